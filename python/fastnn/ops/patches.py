"""Images cut into patches, and their edges.

Depends on `_core`, `convert`, `shapes`, `convolution`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import _core
from fastnn._core import Tensor
from fastnn.config import image_data_format
from fastnn.errors import ShapeError
from fastnn.ops.convert import TensorLike, computed, known_size
from fastnn.ops.convolution import PerAxis, depthwise_conv, per_axis
from fastnn.ops.shapes import moveaxis, reshape, stack
from fastnn.tracing.symbolic import keras_op

__all__ = ["extract_patches", "extract_patches_3d", "sobel_edges"]

_c = _core.ops


def _chosen(name: str, what: str, value: Any, known: Sequence[Any]) -> None:
    if value not in known:
        shown = ", ".join(repr(k) for k in known)
        raise ValueError(f"{name}: {what}={value!r}\n  hint: one of {shown}")


def _batch(name: str, images: TensorLike, data_format: str | None, spatial: int = 2) -> Any:
    """Images with batch and channels last, and a function that undoes that to a result."""
    form = data_format or image_data_format()
    _chosen(name, "data_format", form, ("channels_last", "channels_first"))
    x = computed(images, "float32")
    if x.ndim not in (spatial + 1, spatial + 2):
        raise ShapeError(
            f"{name}: images of shape {tuple(x.shape)}\n"
            f"  hint: (batch, sizes.., channels) or (sizes.., channels) with {spatial} sizes"
        )
    first, single = form == "channels_first", x.ndim == spatial + 1
    x = moveaxis(x, -spatial - 1, -1) if first else x
    x = _c.expand_dims(x, axis=(0,)) if single else x

    def back(y: Tensor) -> Tensor:
        y = _c.squeeze(y, axis=(0,)) if single else y
        return moveaxis(y, -1, -spatial - 1) if first else y

    return x, back


def _patches(
    name: str, images: TensorLike, size: Any, strides: Any, dilation: Any, padding: str,
    data_format: str | None, spatial: int,
) -> Tensor:  # fmt: skip
    """All windows, their elements one after the other along the channels: bits are kept."""
    x, back = _batch(name, images, data_format, spatial)
    window = per_axis(name, "size", size, spatial)
    steps = window if not strides else per_axis(name, "strides", strides, spatial)
    apart = per_axis(name, "dilation_rate", dilation, spatial)
    _chosen(name, "padding", padding.lower(), ("valid", "same"))
    widths, places = [0, 0], []
    for axis in range(spatial):
        n, span = known_size(name, x, axis + 1), (window[axis] - 1) * apart[axis] + 1
        if padding.lower() == "same":
            places.append(-(-n // steps[axis]))
            both = max((places[-1] - 1) * steps[axis] + span - n, 0)
            widths += [both // 2, both - both // 2]
        else:
            if span > n:
                raise ShapeError(
                    f"{name}: patches of {span} from the {n} of axis {axis + 1}\n"
                    "  hint: smaller patches, or padding='same'"
                )
            places.append((n - span) // steps[axis] + 1)
            widths += [0, 0]
    x = _c.pad(x, widths=(*widths, 0, 0)) if any(widths) else x
    parts = []
    for tap in itertools.product(*(range(k) for k in window)):
        begin = [t * d for t, d in zip(tap, apart, strict=True)]
        end = [b + (p - 1) * s + 1 for b, p, s in zip(begin, places, steps, strict=True)]
        windows = (slice(b, e, s) for b, e, s in zip(begin, end, steps, strict=True))
        parts.append(x[(slice(None), *windows)])
    return back(_c.concatenate(*parts, axis=-1) if len(parts) > 1 else parts[0])


@keras_op
def extract_patches(
    images: TensorLike,
    size: PerAxis,
    strides: PerAxis | None = None,
    dilation_rate: PerAxis = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The windows of images, each laid out along the channels.

    Args:
        images: (batch, height, width, channels) or one image, laid out as `data_format` says; with
            three numbers in `size` one size more.
        size: Sizes of a patch; one number, or one per axis.
        strides: Steps from patch to patch; None: their sizes.
        dilation_rate: The distance of two pixels of a patch.
        padding: `"valid"` or `"same"`: then zeros around the images.
        data_format: `"channels_last"` or `"channels_first"`; None: `config.image_data_format()`.

    Returns:
        A tensor (batch, rows, columns, pixels of a patch times channels).

    Raises:
        ShapeError: a patch is larger than the images.

    Example:
        >>> fastnn.ops.image.extract_patches(np.ones((2, 6, 6, 3)), 2).shape
        (2, 3, 3, 12)
    """
    spatial = 3 if not isinstance(size, int) and len(size) == 3 else 2
    return _patches(
        "extract_patches", images, size, strides, dilation_rate, padding, data_format, spatial
    )


@keras_op
def extract_patches_3d(
    volumes: TensorLike,
    size: PerAxis,
    strides: PerAxis | None = None,
    dilation_rate: PerAxis = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The windows of volumes, each laid out along the channels.

    Args:
        volumes: (batch, depth, height, width, channels) or one volume, laid out as `data_format`
            says.
        size: Sizes of a patch; one number, or one per axis.
        strides: Steps from patch to patch; None: their sizes.
        dilation_rate: The distance of two elements of a patch.
        padding: `"valid"` or `"same"`: then zeros around the volumes.
        data_format: `"channels_last"` or `"channels_first"`; None: `config.image_data_format()`.

    Returns:
        A tensor (batch, places.., elements of a patch times channels).

    Raises:
        ShapeError: a patch is larger than the volumes.

    Example:
        >>> fastnn.ops.image.extract_patches_3d(np.ones((1, 4, 4, 4, 1)), 2).shape
        (1, 2, 2, 2, 8)
    """
    return _patches(
        "extract_patches_3d", volumes, size, strides, dilation_rate, padding, data_format, 3
    )


def _filtered(name: str, x: Tensor, taps: Tensor) -> Tensor:
    """Each channel with the same taps (rows, columns), zeros around."""
    channels = known_size(name, x, -1)
    rows, columns = taps.shape
    each = _c.broadcast_to(reshape(taps, (rows, columns, 1, 1)), shape=(rows, columns, channels, 1))
    return depthwise_conv(x, each, padding="same", data_format="channels_last")


@keras_op
def sobel_edges(images: TensorLike, data_format: str | None = None) -> Tensor:
    """How much brightness changes down and across, by Sobel's filters, zeros around the images.

    Args:
        images: (batch, height, width, channels), laid out as `data_format` says.
        data_format: `"channels_last"` or `"channels_first"`; None: `config.image_data_format()`.

    Returns:
        A tensor with one axis more, of size 2: the change down, then across.

    Raises:
        ShapeError: a shape does not fit.

    Example:
        >>> fastnn.ops.image.sobel_edges(np.ones((1, 5, 5, 3))).shape
        (1, 5, 5, 3, 2)
    """
    x, back = _batch("sobel_edges", images, data_format)
    across = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32)
    filters = (np.ascontiguousarray(across.T), across)
    edges = [back(_filtered("sobel_edges", x, _core.tensor(f))) for f in filters]
    return stack(edges, axis=-1)
