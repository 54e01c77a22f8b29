"""Features of a frozen model, computed once instead of in every epoch.

The model is whatever has `predict`. Depends on `data`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.base import tree
from fastnn.base.arguments import hints_arguments
from fastnn.base.typing import TensorLike
from fastnn.data.arrays import leaf
from fastnn.data.batches import is_iterable_data, unpack
from fastnn.errors import DataError

__all__ = ["cache_features"]


def _changes_images(source: Any) -> bool:
    """Whether an iterator of pictures gives others each time."""
    gen = getattr(source, "image_data_generator", None)
    if gen is None:
        return False
    moves = (
        gen.rotation_range, gen.shear_range, gen.channel_shift_range, gen.horizontal_flip,
        gen.vertical_flip, gen.brightness_range is not None, list(gen.zoom_range) != [1, 1],
        np.any(gen.width_shift_range), np.any(gen.height_shift_range),
    )  # fmt: skip
    return any(bool(m) for m in moves)


@hints_arguments
def cache_features(
    backbone: Any,
    x: Any,
    y: Any = None,
    sample_weight: TensorLike = None,
    *,
    batch_size: int | None = None,
    verbose: Any = "auto",
) -> Any:
    """What a frozen model gives for all samples, to fit a small model on.

    Fine-tuning begins with a frozen backbone, which gives the same features in every epoch. With
    them in memory an epoch of the layers on top takes milliseconds; `fastnn.Model` joins both
    afterwards. Features take 4 bytes each: 800 pictures of 9 x 9 x 512 are 133 MB.

    Args:
        backbone: A model none of whose weights are trained (`trainable = False`).
        x: Arrays, or an iterable of batches x, (x, y) or (x, y, weights): one pass is read.
        y: Labels of arrays.
        sample_weight: Weights of arrays.
        batch_size: Samples of a batch of arrays; None: 32.
        verbose: Whether a progress bar is shown.

    Returns:
        (features, y, sample_weight) without what is not there, as arrays in one order: what `fit`
        takes.

    Raises:
        DataError: The model is trained, or pictures change at random.

    Example:
        >>> from fastnn.training import cache_features
        >>> layers = fastnn.layers
        >>> net = fastnn.Sequential([fastnn.Input((8, 8, 3)), layers.GlobalAveragePooling2D()])
        >>> net.trainable = False
        >>> features, y = cache_features(net, np.zeros((4, 8, 8, 3)), np.arange(4), verbose=0)
        >>> features.shape, y.shape
        ((4, 3), (4,))
    """
    if backbone.trainable_weights:
        raise DataError(
            f"cache_features: model {backbone.name!r} has {len(backbone.trainable_weights)} "
            "weights that training changes, so its features do too\n"
            "  hint: backbone.trainable = False"
        )
    if not is_iterable_data(x):
        features = backbone.predict(x, batch_size=batch_size, verbose=verbose)
        return _joined([(features, y, sample_weight)])
    if y is not None or sample_weight is not None:
        raise DataError(
            "cache_features: an iterable gives labels and weights itself\n"
            "  hint: leave y and sample_weight out"
        )
    if _changes_images(x):
        raise DataError(
            "cache_features: the generator changes its pictures at random, so one pass does not "
            "stand for the others\n  hint: ImageDataGenerator(rescale=1 / 255) without changes"
        )
    parts = []
    count = len(x) if hasattr(x, "__len__") else None
    batches = (x[i] for i in range(count)) if count is not None and hasattr(x, "__getitem__") else x
    for batch in batches:
        inputs, labels, weights = unpack(batch)
        parts.append((backbone.predict_on_batch(inputs), labels, weights))
    if not parts:
        raise DataError("cache_features: there are no batches\n  hint: look at the source")
    return _joined(parts)


def _joined(parts: list[tuple[Any, Any, Any]]) -> Any:
    """Batches end to end, as arrays, without what is not there."""
    found: list[Any] = []
    for column in zip(*parts, strict=True):
        if column[0] is None:
            found.append(None)
            continue
        leaves = [[np.asarray(leaf(v, "x")) for v in tree.flatten(part)] for part in column]
        whole = [np.concatenate(group) for group in zip(*leaves, strict=True)]
        found.append(tree.pack(column[0], whole))
    features, y, weights = found
    if weights is not None:
        return features, y, weights
    return features if y is None else (features, y)
