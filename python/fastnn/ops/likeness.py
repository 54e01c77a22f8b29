"""How alike two images are. Depends on `convolution`, `reduce`, `shapes`.

Source: Wang, Bovik, Sheikh & Simoncelli 2004 (structural similarity).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import _core
from fastnn._core import Tensor
from fastnn.base.arguments import whole_number
from fastnn.config import standardize_data_format
from fastnn.errors import ShapeError
from fastnn.ops.convert import TensorLike, convert_to_tensor
from fastnn.ops.convolution import depthwise_conv
from fastnn.ops.reduce import mean
from fastnn.ops.shapes import moveaxis
from fastnn.tracing.symbolic import keras_op

__all__ = ["similarity", "ssim"]

_c = _core.ops


def similarity(
    name: str,
    x: TensorLike,
    y: TensorLike,
    max_val: float,
    filter_size: int,
    filter_sigma: float,
    k1: float,
    k2: float,
) -> Any:
    """The structural similarity around each pixel of images (…, rows, columns, channels)."""
    size = whole_number("filter_size", filter_size, 1, f"{name}: ")
    if any(isinstance(n, int) and n < size for n in x.shape[-3:-1]):
        raise ShapeError(
            f"{name}: images of {x.shape[-3]} by {x.shape[-2]} and filter_size={size}\n"
            "  hint: a filter_size that fits"
        )
    places = np.arange(size) - (size - 1) / 2
    weight = np.exp(-0.5 * (places / filter_sigma) ** 2)
    weight = np.outer(weight, weight)
    shape = (size, size, x.shape[-1], 1)
    kernel = np.broadcast_to((weight / weight.sum())[..., None, None], shape).astype("float32")

    def blurred(v: Any) -> Any:
        return depthwise_conv(v, kernel, padding="valid", data_format="channels_last")

    c1, c2 = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    first, second = blurred(x), blurred(y)
    both, squares = first * second * 2.0, _c.square(first) + _c.square(second)
    light = (both + c1) / (squares + c1)
    contrast = (blurred(x * y) * 2.0 - both + c2) / (
        blurred(_c.square(x) + _c.square(y)) - squares + c2
    )
    return light * contrast


@keras_op
def ssim(
    image1: TensorLike,
    image2: TensorLike,
    max_val: float = 1.0,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
    data_format: str | None = None,
) -> Tensor:
    """The structural similarity of images: 1 for equal ones, at least -1.

    Args:
        image1: (batch, height, width, channels), or one image.
        image2: Images of the same shape.
        max_val: The largest value of a pixel: 1.0, or 255.0.
        filter_size: Rows and columns of the Gaussian window.
        filter_sigma: Its standard deviation, in pixels.
        k1: Steadies the comparison of brightness.
        k2: Steadies the comparison of contrast.
        data_format: `"channels_last"` or `"channels_first"`; None: `config.image_data_format()`.

    Returns:
        (batch,), or a number for one image: the mean over pixels and channels.

    Raises:
        ShapeError: The images have other axes, unlike shapes, or are smaller than the window.

    Example:
        >>> x = np.linspace(0.0, 1.0, 256).reshape(1, 16, 16, 1)
        >>> fastnn.ops.image.ssim(x, x).numpy(), fastnn.ops.image.ssim(x, 1.0 - x).numpy()[0] < 0.5
        (array([1.], dtype=float32), np.True_)
    """
    x, y = convert_to_tensor(image1, "float32"), convert_to_tensor(image2, "float32")
    if x.ndim not in (3, 4) or tuple(x.shape) != tuple(y.shape):
        raise ShapeError(
            "ssim: Invalid image1 rank or shape: expected rank 3 (single image) or rank 4 (batch "
            f"of images), both alike. Received: {tuple(x.shape)} and {tuple(y.shape)}\n"
            "  hint: (batch, height, width, channels)"
        )
    single = x.ndim == 3
    if single:
        x, y = _c.expand_dims(x, axis=[0]), _c.expand_dims(y, axis=[0])
    if standardize_data_format(data_format) == "channels_first":
        x, y = moveaxis(x, 1, -1), moveaxis(y, 1, -1)
    each = similarity("ssim", x, y, max_val, filter_size, filter_sigma, k1, k2)
    found: Any = mean(each, axis=(1, 2, 3))
    return found[0] if single else found
