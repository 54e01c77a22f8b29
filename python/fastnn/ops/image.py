"""Functions of images (batch, height, width, channels), or of one image without the batch.

Depends on `_core`, `shapes`, `resampling`, `warp`, `patches`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _core
from fastnn._core import Tensor
from fastnn.base.absent import answer_from
from fastnn.config import image_data_format
from fastnn.errors import ShapeError
from fastnn.ops.convert import TensorLike, convert_to_tensor, sizes_of
from fastnn.ops.families import name_ops
from fastnn.ops.likeness import ssim
from fastnn.ops.patches import extract_patches, extract_patches_3d, sobel_edges
from fastnn.ops.resampling import KINDS, resized, scale_and_translate
from fastnn.ops.shapes import moveaxis, stack
from fastnn.ops.warp import (
    affine_transform,
    elastic_transform,
    gaussian_blur,
    map_coordinates,
    perspective_transform,
)
from fastnn.tracing.symbolic import keras_op

__all__ = [
    "affine_transform",
    "crop_images",
    "elastic_transform",
    "extract_patches",
    "extract_patches_3d",
    "gaussian_blur",
    "hsv_to_rgb",
    "map_coordinates",
    "pad_images",
    "perspective_transform",
    "resize",
    "rgb_to_grayscale",
    "rgb_to_hsv",
    "scale_and_translate",
    "sobel_edges",
    "ssim",
]

_c = _core.ops


def _last(name: str, images: TensorLike, data_format: str | None) -> tuple[Any, bool]:
    """Images with channels last, and whether they came with channels first."""
    x = convert_to_tensor(images, "float32")
    form = data_format or image_data_format()
    if x.ndim not in (3, 4) or form not in ("channels_last", "channels_first"):
        raise ShapeError(
            f"{name}: shape {tuple(x.shape)} with data_format={form!r}\n"
            "  hint: (batch, height, width, channels) or (height, width, channels)"
        )
    return (moveaxis(x, -3, -1), True) if form == "channels_first" else (x, False)


def _back(x: TensorLike, first: bool) -> Any:
    return moveaxis(x, -1, -3) if first else x


@keras_op
def rgb_to_grayscale(images: TensorLike, data_format: str | None = None) -> Tensor:
    """One channel of brightness, of red, green and blue by 0.2989, 0.587 and 0.114."""
    x, first = _last("rgb_to_grayscale", images, data_format)
    _colours("rgb_to_grayscale", x)
    weights = np.array([[0.2989], [0.5870], [0.1140]], np.float32)
    return _back(_c.matmul(x, weights), first)


def _colours(name: str, x: TensorLike) -> None:
    if x.shape[-1] != 3:
        raise ShapeError(
            f"{name}: {x.shape[-1]} channels, wanted 3\n  hint: red, green and blue in that order"
        )


@keras_op
def rgb_to_hsv(images: TensorLike, data_format: str | None = None) -> Tensor:
    """Hue, saturation and value of red, green and blue, all from 0 to 1."""
    x, first = _last("rgb_to_hsv", images, data_format)
    _colours("rgb_to_hsv", x)
    r, g, b = (x[..., i] for i in range(3))
    value, low = _c.max(x, axis=-1), _c.min(x, axis=-1)
    spread = value - low
    safe = _c.where(spread > 0.0, spread, 1.0)
    hue = _c.where(
        _c.equal(value, r),
        (g - b) / safe,
        _c.where(_c.equal(value, g), (b - r) / safe + 2.0, (r - g) / safe + 4.0),
    )
    hue = _c.where(spread > 0.0, _c.mod(hue / 6.0, 1.0), 0.0)
    saturation = _c.where(value > 0.0, spread / _c.where(value > 0.0, value, 1.0), 0.0)
    return _back(stack([hue, saturation, value], axis=-1), first)


@keras_op
def hsv_to_rgb(images: TensorLike, data_format: str | None = None) -> Tensor:
    """Red, green and blue of hue, saturation and value, all from 0 to 1."""
    x, first = _last("hsv_to_rgb", images, data_format)
    _colours("hsv_to_rgb", x)
    hue, saturation, value = (x[..., i] for i in range(3))
    sixth = hue * 6.0
    out = []
    for start in (5.0, 3.0, 1.0):
        k = _c.mod(sixth + start, 6.0)
        part = _c.minimum(_c.maximum(_c.minimum(k, 4.0 - k), 0.0), 1.0)
        out.append(value - value * saturation * part)
    return _back(stack(out, axis=-1), first)


def _border(name: str, size: int, before: Any, after: Any, target: Any, grow: bool) -> Any:
    """(before, after) of an axis, one of which may follow from the size that is wanted."""
    given = [before is not None, after is not None, target is not None]
    if sum(given) != 2:
        raise ValueError(
            f"{name}: two of the border before, the border after and the target size are wanted, "
            f"got {sum(given)}\n  hint: top_{name.split('_')[0]}ping=0, target_height=..."
        )
    change = (target - size if grow else size - target) if target is not None else 0
    before = change - after if before is None else before
    after = change - before if after is None else after
    if before < 0 or after < 0 or (not grow and before + after >= size):
        raise ValueError(
            f"{name}: borders of {before} and {after} for {size} pixels\n"
            "  hint: look at the target size"
        )
    return before, after


@keras_op
def pad_images(
    images: TensorLike, top_padding: int | None = None, left_padding: int | None = None,
    bottom_padding: int | None = None, right_padding: int | None = None,
    target_height: int | None = None, target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:  # fmt: skip
    """Images with a border of zeros."""
    x, first = _last("pad_images", images, data_format)
    rows_ = _border("pad_images", x.shape[-3], top_padding, bottom_padding, target_height, True)
    columns = _border("pad_images", x.shape[-2], left_padding, right_padding, target_width, True)
    widths = [0, 0] * (x.ndim - 3) + [*rows_, *columns, 0, 0]
    return _back(_c.pad(x, widths=widths, value=0.0), first)


@keras_op
def crop_images(
    images: TensorLike, top_cropping: int | None = None, left_cropping: int | None = None,
    bottom_cropping: int | None = None, right_cropping: int | None = None,
    target_height: int | None = None, target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:  # fmt: skip
    """Images without a border."""
    x, first = _last("crop_images", images, data_format)
    top, bottom = _border(
        "crop_images", x.shape[-3], top_cropping, bottom_cropping, target_height, False
    )
    left, right = _border(
        "crop_images", x.shape[-2], left_cropping, right_cropping, target_width, False
    )
    h, w = x.shape[-3], x.shape[-2]
    return _back(x[..., top : h - bottom, left : w - right, :], first)


@keras_op
def resize(
    images: TensorLike, size: Any, interpolation: str = "bilinear", antialias: bool = False,
    crop_to_aspect_ratio: bool = False, pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant", fill_value: float = 0.0, data_format: str | None = None,
) -> Tensor:  # fmt: skip
    """Images of another height and width.

    Args:
        images: (batch, height, width, channels), or one image.
        size: (height, width).
        interpolation: `"nearest"`, `"bilinear"`, `"bicubic"`, `"lanczos3"` or `"lanczos5"`.
        antialias: Whether a smaller image's pixels are means over what they cover.
        crop_to_aspect_ratio: Whether to cut off what does not fit the ratio of sides.
        pad_to_aspect_ratio: Whether to add borders instead.
        fill_mode: `"constant"`.
        fill_value: The number in the borders.
        data_format: `"channels_last"` or `"channels_first"`.

    Returns:
        float32 images.

    Example:
        >>> fastnn.ops.image.resize(np.zeros((1, 8, 8, 3)), (4, 6)).shape
        (1, 4, 6, 3)
    """
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError(
            "Only one of `pad_to_aspect_ratio` & `crop_to_aspect_ratio` can be `True`."
            "\n  hint: choose what happens to images of another ratio of sides"
        )
    if fill_mode != "constant":
        raise ValueError(
            f"Invalid value for argument `fill_mode`. Only `'constant'` is supported. Received: "
            f"fill_mode={fill_mode}\n  hint: leave fill_mode out"
        )
    if interpolation not in (*KINDS, "nearest"):
        raise ValueError(
            f"resize: interpolation is {interpolation!r}\n  hint: {', '.join(('nearest', *KINDS))}"
        )
    if len(size) != 2:
        raise ValueError(
            f"`size` must be a tuple of 2 integers. Received: size={size}\n  hint: (224, 224)"
        )
    size = tuple(sizes_of("resize", size))
    if 0 in size:
        raise ShapeError(f"resize: size {size} has no pixels\n  hint: sizes are 1 or more")
    x, first = _last("resize", images, data_format)
    if crop_to_aspect_ratio:
        x = _middle(x, size)
    if pad_to_aspect_ratio:
        x = _bordered(x, size, fill_value)
    x = _back(x, first)
    return resized(x, -2 if first else -3, tuple(size), interpolation, antialias)


def _sides(x: TensorLike, what: str) -> tuple[int, int]:
    height, width = x.shape[-3], x.shape[-2]
    if not isinstance(height, int) or not isinstance(width, int):
        raise ShapeError(
            f"resize: {what} needs images of a known size, got {tuple(x.shape)}\n"
            "  hint: give height and width in Input(shape=...)"
        )
    return height, width


def _middle(x: TensorLike, size: Any) -> Any:
    """The largest part in the middle that has the ratio of sides of `size`."""
    height, width = _sides(x, "crop_to_aspect_ratio")
    high = max(min(height, int(width * size[0] / size[1])), 1)
    wide = max(min(width, int(height * size[1] / size[0])), 1)
    top, left = (height - high) // 2, (width - wide) // 2
    return x[..., top : top + high, left : left + wide, :]


def _bordered(x: TensorLike, size: Any, value: float) -> Any:
    """The whole image with equal borders that bring it near the ratio of sides of `size`."""
    height, width = _sides(x, "pad_to_aspect_ratio")
    rows = (max(height, int(width * size[0] / size[1])) - height) // 2
    columns = (max(width, int(height * size[1] / size[0])) - width) // 2
    widths = [0, 0] * (x.ndim - 3) + [rows, rows, columns, columns, 0, 0]
    return _c.pad(x, widths=widths, value=float(value))


if TYPE_CHECKING:  # the package answers with its own names

    def __getattr__(name: str) -> Any: ...


name_ops(globals(), __name__)
answer_from(globals(), "fastnn.ops")
