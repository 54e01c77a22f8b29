"""`tf.image`'s changes of colours: pictures (…, rows, columns, 3). Depends on `ops`, `random`."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import ops, random
from fastnn._core import Tensor
from fastnn.base.typing import TensorLike
from fastnn.errors import DataError, ShapeError

__all__ = [
    "adjust_gamma", "adjust_hue", "adjust_saturation", "hsv_to_rgb", "random_hue",
    "random_saturation", "rgb_to_hsv", "rgb_to_yiq", "rgb_to_yuv", "scaled", "scaled_back",
    "yiq_to_rgb", "yuv_to_rgb",
]  # fmt: skip

#: Rows: red, green, blue; columns: brightness and the two differences of colours.
_YUV = np.array(
    [[0.299, -0.14714119, 0.61497538], [0.587, -0.28886916, -0.51496512],
     [0.114, 0.43601035, -0.10001026]], np.float32,
)  # fmt: skip
_FROM_YUV = np.array(
    [[1.0, 1.0, 1.0], [0.0, -0.394642334, 2.03206185], [1.13988303, -0.58062185, 0.0]], np.float32
)
_YIQ = np.array(
    [[0.299, 0.59590059, 0.21153661], [0.587, -0.27455667, -0.52273617],
     [0.114, -0.32134392, 0.31119955]], np.float32,
)  # fmt: skip
_FROM_YIQ = np.array(
    [[1.0, 1.0, 1.0], [0.95598634, -0.27201283, -1.10674021], [0.6208248, -0.64720424, 1.70423049]],
    np.float32,
)


def _colours(images: TensorLike, name: str, dtype: str | None = "float32") -> Any:
    x = ops.convert_to_tensor(images, dtype)
    if len(x.shape) not in (3, 4) or x.shape[-1] != 3:
        raise ShapeError(
            f"tf.image.{name}: got shape {tuple(x.shape)}, wanted (rows, columns, 3), with or "
            "without a batch before\n  hint: tf.image.grayscale_to_rgb(image)"
        )
    return x


def rgb_to_hsv(images: TensorLike, name: str | None = None) -> Tensor:
    """Hue, saturation and value of red, green and blue, all from 0 to 1."""
    return ops.image.rgb_to_hsv(_colours(images, "rgb_to_hsv"), data_format="channels_last")


def hsv_to_rgb(images: TensorLike, name: str | None = None) -> Tensor:
    """Red, green and blue of hue, saturation and value, all from 0 to 1."""
    return ops.image.hsv_to_rgb(_colours(images, "hsv_to_rgb"), data_format="channels_last")


def rgb_to_yuv(images: TensorLike, name: str | None = None) -> Tensor:
    """Brightness and two differences of colours, of red, green and blue from 0 to 1."""
    return ops.matmul(_colours(images, "rgb_to_yuv"), _YUV)


def yuv_to_rgb(images: TensorLike, name: str | None = None) -> Tensor:
    """The inverse of `rgb_to_yuv`."""
    return ops.matmul(_colours(images, "yuv_to_rgb"), _FROM_YUV)


def rgb_to_yiq(images: TensorLike, name: str | None = None) -> Tensor:
    """Brightness, in-phase and quadrature, of red, green and blue from 0 to 1."""
    return ops.matmul(_colours(images, "rgb_to_yiq"), _YIQ)


def yiq_to_rgb(images: TensorLike, name: str | None = None) -> Tensor:
    """The inverse of `rgb_to_yiq`."""
    return ops.matmul(_colours(images, "yiq_to_rgb"), _FROM_YIQ)


def scaled(images: Any) -> tuple[Any, bool]:
    """Pictures from 0 to 1, and whether they came as whole numbers from 0 to 255."""
    given = ops.convert_to_tensor(images)
    whole = str(given.dtype) != "float32"
    x = ops.cast(given, "float32")
    return (x / 255.0, True) if whole else (x, False)


def scaled_back(x: TensorLike, whole: bool) -> Any:
    """Whole numbers from 0 to 255 where the pictures came so, cut off as TensorFlow does it."""
    return ops.cast(ops.clip(x * 255.5, 0.0, 255.0), "int32") if whole else x


def adjust_hue(image: TensorLike, delta: Any, name: str | None = None) -> Tensor:
    """Hues with a number from -1 to 1 added."""
    x, whole = scaled(_colours(image, "adjust_hue", None))
    hsv = ops.image.rgb_to_hsv(x, data_format="channels_last")
    hue = ops.mod(hsv[..., :1] + delta, 1.0)
    turned = ops.concatenate([hue, hsv[..., 1:]], axis=-1)
    return scaled_back(ops.image.hsv_to_rgb(turned, data_format="channels_last"), whole)


def adjust_saturation(image: TensorLike, saturation_factor: Any, name: str | None = None) -> Tensor:
    """Saturations times a factor, at most 1."""
    x, whole = scaled(_colours(image, "adjust_saturation", None))
    hsv = ops.image.rgb_to_hsv(x, data_format="channels_last")
    saturation = ops.clip(hsv[..., 1:2] * saturation_factor, 0.0, 1.0)
    changed = ops.concatenate([hsv[..., :1], saturation, hsv[..., 2:]], axis=-1)
    return scaled_back(ops.image.hsv_to_rgb(changed, data_format="channels_last"), whole)


def adjust_gamma(image: TensorLike, gamma: Any = 1.0, gain: float = 1.0) -> Tensor:
    """`gain` times pictures from 0 to 1 to a power."""
    if not isinstance(gamma, Tensor) and gamma < 0:
        raise DataError(f"tf.image.adjust_gamma: gamma={gamma}\n  hint: 0 or more")
    x, whole = scaled(image)
    return scaled_back(gain * ops.power(x, gamma), whole)


def random_hue(image: TensorLike, max_delta: float, seed: Any = None) -> Tensor:
    """Hues with one number from `-max_delta` to `max_delta` added."""
    if not 0 <= max_delta <= 0.5:
        raise DataError(f"tf.image.random_hue: max_delta={max_delta}\n  hint: from 0 to 0.5")
    return adjust_hue(image, (random.uniform((), seed=seed) * 2 - 1) * max_delta)


def random_saturation(image: TensorLike, lower: float, upper: float, seed: Any = None) -> Tensor:
    """Saturations times one factor from `lower` to `upper`."""
    if not 0 <= lower < upper:
        raise DataError(
            f"tf.image.random_saturation: from {lower} to {upper}\n  hint: 0 <= lower < upper"
        )
    return adjust_saturation(image, lower + random.uniform((), seed=seed) * (upper - lower))
