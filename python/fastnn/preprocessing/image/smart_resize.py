"""`smart_resize`: pictures at another size without stretching them. Depends on `ops`."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import ops
from fastnn.base.arguments import hints_arguments
from fastnn.errors import ShapeError

__all__ = ["smart_resize"]


@hints_arguments
def smart_resize(
    x: Any, size: Any, interpolation: str = "bilinear", data_format: str = "channels_last"
) -> Any:
    """The largest part in the middle with the ratio of sides that is wanted, resized.

    Args:
        x: A picture (height, width, channels), or a batch of them.
        size: (height, width).
        interpolation: `"bilinear"`, `"nearest"`, `"bicubic"`, `"lanczos3"` or `"lanczos5"`.
        data_format: `"channels_last"` or `"channels_first"`.

    Returns:
        An array where `x` is one, else a tensor.

    Example:
        >>> fastnn.preprocessing.image.smart_resize(np.zeros((4, 8, 3)), (2, 2)).shape
        (2, 2, 3)
    """
    if len(size) != 2:
        raise ValueError(
            f"Expected `size` to be a tuple of 2 integers, but got: {size}.\n  hint: (224, 224)"
        )
    images = ops.convert_to_tensor(x, "float32")
    if len(images.shape) not in (3, 4):
        raise ShapeError(
            "Expected an image array with shape `(height, width, channels)`, or `(batch_size, "
            "height, width, channels)`, but got input with incorrect rank, of shape "
            f"{tuple(images.shape)}.\n  hint: (height, width, channels)"
        )
    axis = len(images.shape) - (2 if data_format == "channels_first" else 3)
    height, width = images.shape[axis], images.shape[axis + 1]
    high = max(min(height, int(width * size[0] / size[1])), 1)
    wide = max(min(width, int(height * size[1] / size[0])), 1)
    top, left = (height - high) // 2, (width - wide) // 2
    cut = (slice(None),) * axis + (slice(top, top + high), slice(left, left + wide))
    images = ops.image.resize(images[cut], size, interpolation, data_format=data_format)
    return images.numpy() if isinstance(x, np.ndarray) else images
