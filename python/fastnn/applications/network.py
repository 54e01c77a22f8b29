"""What the networks share: inputs, the classifier on top, and files of trained weights.

Depends on `layers`, `models`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastnn import layers
from fastnn.base.arguments import hints_arguments
from fastnn.base.typing import Identifier, TensorLike
from fastnn.config import image_data_format
from fastnn.errors import DataError, ShapeError
from fastnn.models import Model
from fastnn.tracing.symbolic import KerasTensor

__all__ = [
    "axis_of_channels", "dense_top", "even_padding", "find", "made", "normed", "preprocess_input",
    "trained_side", "whole",
]  # fmt: skip

Body = Callable[[Any], Any]


def _sources(x: KerasTensor) -> list[KerasTensor]:
    """The `Input`s that a symbolic tensor comes from, in order."""
    found: list[KerasTensor] = []
    seen: set[int] = set()
    pending = [x]
    while pending:
        tensor = pending.pop(0)
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        node = tensor.node
        if node is None or node.starts:
            found.append(tensor)
        else:
            pending += node.inputs
    return found


def axis_of_channels() -> int:
    """The axis of channels of images."""
    return 1 if image_data_format() == "channels_first" else -1


def normed(x: TensorLike, name: str) -> Any:
    """Batch normalisation as MobileNets have it."""
    return layers.BatchNormalization(
        axis=axis_of_channels(), epsilon=1e-3, momentum=0.999, name=name
    )(x)


def whole(value: float, least: int = 8) -> int:
    """Channels as a multiple of 8 that is not more than a tenth below."""
    number = max(least, int(value + 4) // 8 * 8)
    return number + 8 if number < 0.9 * value else number


def even_padding(x: TensorLike, kernel: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Borders with which a window of steps of 2 covers an image as TensorFlow's "same" would."""
    sides = x.shape[2:] if axis_of_channels() == 1 else x.shape[1:3]
    half = kernel // 2
    before = [half - (1 - s % 2 if isinstance(s, int) else 1) for s in sides]
    return (before[0], half), (before[1], half)


def trained_side(shape: Any, known: tuple[int, ...]) -> int:
    """The side that files of trained weights exist for: that of the input, or the largest."""
    if shape is None or len(shape) != 3:
        return known[-1]
    rows, columns = shape[1:] if axis_of_channels() == 1 else shape[:2]
    return rows if rows == columns and rows in known else known[-1]


def dense_top(classes: int, activation: Identifier, dropout: float = 0.0, **names: str) -> Body:
    """The mean over all positions and a dense layer, as most of the networks end."""

    def top(x: TensorLike) -> Any:
        x = layers.GlobalAveragePooling2D(name=names.get("pool", "avg_pool"))(x)
        if dropout:
            x = layers.Dropout(dropout, name=names.get("dropout"))(x)
        return layers.Dense(
            classes, activation=activation, name=names.get("dense", "predictions")
        )(x)  # fmt: skip

    return top


def _shape(
    name: str, shape: Any, size: int, least: int, include_top: bool, trained: bool
) -> tuple[Any, ...]:
    """The input's shape without the batch, checked."""
    first = axis_of_channels() == 1
    if shape is None:
        side = size if include_top else None
        return (3, side, side) if first else (side, side, 3)
    given = tuple(shape)
    if len(given) != 3:
        raise ShapeError(
            f"{name}: `input_shape` must be a tuple of three integers, got {shape!r}\n"
            f"  hint: input_shape=({size}, {size}, 3)"
        )
    channels, *spatial = given if first else (given[2], given[0], given[1])
    if trained and channels != 3:
        raise ShapeError(
            f"{name}: The input must have 3 channels for weights='imagenet'; Received "
            f"`input_shape={given}`\n  hint: weights=None for other channels"
        )
    if any(s is not None and s < least for s in spatial):
        raise ShapeError(
            f"{name}: Input size must be at least {least}x{least}; Received: input_shape={given}\n"
            "  hint: larger pictures"
        )
    if include_top and None in spatial:
        raise ShapeError(
            f"{name}: If `include_top` is True, you should specify a static `input_shape`. "
            f"Received: input_shape={given}\n  hint: include_top=False, pooling='avg'"
        )
    return given


def _folders() -> list[Path]:
    """Where files of weights are looked for, in order."""
    data = os.environ.get("FASTNN_DATA")
    subfolders = ("", "models", "weights", "weights/keras_h5")
    found = [Path(data, sub) for sub in subfolders] if data else []
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    keras = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    return [*found, Path(cache, "fastnn", "models"), Path(keras, "models")]


def find(name: str, file: str) -> Path:
    """The file of trained weights in one of the folders, or what to do to have it there."""
    folders = _folders()
    for folder in folders:
        if (folder / file).is_file():
            return folder / file
    places = "\n    ".join(str(f) for f in folders)
    raise DataError(
        f"{name}: weights='imagenet' needs the file {file!r}, which is in none of these folders "
        f"(nothing is downloaded):\n    {places}\n"
        "  hint: put the file that Keras publishes under this name there, or give weights=path, or "
        "weights=None to start from random weights"
    )


def made(
    name: str,
    body: Body,
    top: Body,
    *,
    size: int,
    least: int,
    files: tuple[str | None, str | None],
    model_name: str,
    include_top: bool,
    weights: Any,
    input_tensor: TensorLike,
    input_shape: Any,
    pooling: str | None,
    classes: int,
    own_classes: int = 1000,
    end: Body | None = None,
) -> Model:
    """A network as a functional model.

    Args:
        name: What messages call it.
        body: The layers without the classifier.
        top: The classifier.
        size: The side of the pictures that it was trained on.
        least: The smallest side.
        files: Names of the files with and without the classifier; None: there is none.
        model_name: The name of the model.
        include_top: Whether the classifier is part of it.
        weights: None, "imagenet", or the path of a file.
        input_tensor: A symbolic tensor to start from, or None.
        input_shape: The shape of the input, or None.
        pooling: None, "avg" or "max", without the classifier.
        classes: The classes of the classifier.
        own_classes: The classes that the file of trained weights is for.
        end: What comes last without the classifier, after the pooling; None for nothing.

    Returns:
        The model.
    """
    trained = isinstance(weights, str) and weights == "imagenet"
    if weights is not None and not trained and not Path(os.fspath(weights)).is_file():
        raise DataError(
            f"{name}: the `weights` argument is {os.fspath(weights)!r}, which is no file; wanted "
            "None (random numbers), 'imagenet', or the path of a file\n  hint: weights=None"
        )
    if trained and include_top and classes != own_classes:
        raise DataError(
            f"{name}: with weights='imagenet' and include_top=True, classes should be "
            f"{own_classes}. Received classes={classes}\n"
            "  hint: include_top=False and a classifier of your own"
        )
    if pooling not in (None, "avg", "max"):
        raise ValueError(f"{name}: pooling is {pooling!r}\n  hint: None, 'avg' or 'max'")
    path = Path(os.fspath(weights)) if weights is not None and not trained else None
    if trained:
        file = files[0] if include_top else files[1]
        if file is None:
            raise DataError(
                f"{name}: no trained weights are published for these arguments\n"
                "  hint: weights=None, or another alpha"
            )
        path = find(name, file)  # before seconds are spent on building
    shape = _shape(name, input_shape, size, least, include_top, trained)
    if input_tensor is None:
        start = layers.Input(shape=shape)
    elif isinstance(input_tensor, KerasTensor):
        start = input_tensor
    else:
        raise DataError(
            f"{name}: input_tensor is a {type(input_tensor).__name__}, wanted what Input(...) "
            "gives\n  hint: input_tensor=fastnn.Input((224, 224, 3))"
        )
    x = body(start)
    if include_top:
        x = top(x)
    elif pooling == "avg":
        x = layers.GlobalAveragePooling2D()(x)
    elif pooling == "max":
        x = layers.GlobalMaxPooling2D()(x)
    if end is not None and not include_top:
        x = end(x)
    inputs = start if input_tensor is None else _sources(start)
    model = Model(inputs, x, name=model_name)
    if path is not None:
        model.load_weights(path)
    return model


@hints_arguments
def preprocess_input(x: TensorLike, data_format: str | None = None) -> Any:
    """Pixels as they are: this network scales them itself.

    Args:
        x: Pictures (…, height, width, 3), red, green and blue, from 0 to 255.
        data_format: Accepted for Keras's sake.

    Returns:
        `x`.

    Example:
        >>> fastnn.applications.efficientnet.preprocess_input(np.zeros((1, 2, 2, 3))).shape
        (1, 2, 2, 3)
    """
    return x
