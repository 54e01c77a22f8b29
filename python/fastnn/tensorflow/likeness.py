"""`tf.image`'s measures of pictures: likeness, edges, variation. Depends on `ops`."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.typing import TensorLike
from fastnn.errors import ShapeError
from fastnn.ops.likeness import similarity

__all__ = [
    "extract_patches", "image_gradients", "psnr", "sobel_edges", "ssim", "total_variation",
]  # fmt: skip


def _pair(a: Any, b: Any, name: str) -> tuple[Any, Any]:
    x, y = ops.convert_to_tensor(a, "float32"), ops.convert_to_tensor(b, "float32")
    if len(x.shape) < 3 or len(y.shape) < 3:
        raise ShapeError(
            f"tf.image.{name}: got shapes {tuple(x.shape)} and {tuple(y.shape)}, wanted "
            "(…, rows, columns, channels)\n  hint: image[..., None]"
        )
    return x, y


def psnr(a: Any, b: Any, max_val: float, name: str | None = None) -> Tensor:
    """The peak signal-to-noise ratio of each picture, in decibels."""
    x, y = _pair(a, b, "psnr")
    error = ops.mean(ops.square(x - y), axis=(-3, -2, -1))
    return 20.0 * np.log10(float(max_val)) - (10.0 / np.log(10.0)) * ops.log(error)


def ssim(
    img1: Any, img2: Any, max_val: float, filter_size: int = 11, filter_sigma: float = 1.5,
    k1: float = 0.01, k2: float = 0.03, return_index_map: bool = False,
) -> Tensor:  # fmt: skip
    """The structural similarity of each picture, 1 for equal ones; a mean over channels."""
    x, y = _pair(img1, img2, "ssim")
    single = len(x.shape) == 3
    if single:
        x, y = x[None], y[None]
    each = similarity("tf.image.ssim", x, y, max_val, filter_size, filter_sigma, k1, k2)
    found = ops.mean(each, axis=-1)
    if not return_index_map:
        found = ops.mean(found, axis=(-2, -1))
    return found[0] if single else found


def total_variation(images: TensorLike, name: str | None = None) -> Tensor:
    """The sum of differences of neighbours, of each picture."""
    x = ops.convert_to_tensor(images, "float32")
    if len(x.shape) not in (3, 4):
        raise ShapeError(
            f"tf.image.total_variation: got shape {tuple(x.shape)}, wanted 3 or 4 axes\n"
            "  hint: (batch, rows, columns, channels)"
        )
    down = ops.abs(x[..., 1:, :, :] - x[..., :-1, :, :])
    right = ops.abs(x[..., 1:, :] - x[..., :-1, :])
    axes = (-3, -2, -1)
    return ops.sum(down, axis=axes) + ops.sum(right, axis=axes)


def image_gradients(image: TensorLike) -> tuple[Tensor, Tensor]:
    """Differences to the next row and to the next column; the last ones are 0."""
    x = ops.convert_to_tensor(image, "float32")
    if len(x.shape) != 4:
        raise ShapeError(
            f"tf.image.image_gradients: got shape {tuple(x.shape)}, wanted 4 axes\n"
            "  hint: image[None] for one picture"
        )
    down = ops.pad(x[:, 1:] - x[:, :-1], [(0, 0), (0, 1), (0, 0), (0, 0)])
    right = ops.pad(x[:, :, 1:] - x[:, :, :-1], [(0, 0), (0, 0), (0, 1), (0, 0)])
    return down, right


def sobel_edges(image: TensorLike) -> Tensor:
    """Slopes down and to the right of each channel: (batch, rows, columns, channels, 2)."""
    x = ops.convert_to_tensor(image, "float32")
    if len(x.shape) != 4:
        raise ShapeError(
            f"tf.image.sobel_edges: got shape {tuple(x.shape)}, wanted 4 axes\n"
            "  hint: image[None] for one picture"
        )
    down = np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]], np.float32)
    kernel = np.stack([down, down.T], axis=-1)[:, :, None, :]
    channels = x.shape[-1]
    around = ops.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], "reflect")
    slopes = ops.depthwise_conv(
        around, np.tile(kernel, (1, 1, channels, 1)), padding="valid", data_format="channels_last"
    )
    return ops.reshape(slopes, (*ops.shape(x), 2))


def extract_patches(
    images: TensorLike, sizes: Any, strides: Any, rates: Any, padding: str, name: str | None = None
) -> Tensor:
    """Patches of pictures, (batch, rows, columns, patch), of sizes (1, rows, columns, 1)."""
    inner = [tuple(int(n) for n in v)[1:3] for v in (sizes, strides, rates)]
    return ops.image.extract_patches(
        images, inner[0], strides=inner[1], dilation_rate=inner[2], padding=padding.lower(),
        data_format="channels_last",
    )  # fmt: skip
