"""Resizing one picture on the host, while a data set reads it: only the pixels needed are touched.

As `tf.image.resize`: sample points at pixel centres, no antialiasing but for `area`. Depends on
`ops.resampling` (the kernels).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.errors import ShapeError
from fastnn.ops.resampling import KINDS

__all__ = ["METHODS", "resize_picture", "resize_rows"]

Array = np.ndarray[Any, Any]


def _gaussian(m: Any, x: Any) -> Any:
    return m.where(x < 1.5, np.exp(-2.0 * x * x), 0.0)


def _mitchell(m: Any, x: Any) -> Any:
    """The cubic of Mitchell and Netravali 1988 with B = C = 1/3."""
    near = ((7.0 * x - 12.0) * x * x + 16.0 / 3.0) / 6.0
    far = (((-7.0 / 3.0 * x + 12.0) * x - 20.0) * x + 32.0 / 3.0) / 6.0
    return m.where(x < 1.0, near, m.where(x < 2.0, far, 0.0))


#: Kernels of the distance to a pixel, and how many pixels they reach to each side.
_KERNELS = {
    "bilinear": (KINDS["bilinear"], 1), "bicubic": (KINDS["bicubic"], 2),
    "lanczos3": (KINDS["lanczos3"], 3), "lanczos5": (KINDS["lanczos5"], 5),
    "gaussian": (_gaussian, 2), "mitchellcubic": (_mitchell, 2),
}  # fmt: skip

#: The methods by Keras's names.
METHODS = ("bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian",
           "mitchellcubic")  # fmt: skip


def _taps(size: int, new: int, kind: str) -> tuple[Array, Array]:
    """The pixels (new, k) that each new one is made of, and their weights, which sum to one."""
    kernel, reach = _KERNELS[kind]
    at = (np.arange(new) + 0.5) * (size / new) - 0.5
    places = np.floor(at).astype(np.int64)[:, None] + np.arange(1 - reach, reach + 1)
    weights = kernel(np, np.abs(at[:, None] - places))
    weights = np.where((places >= 0) & (places < size), weights, 0.0)
    weights = weights / weights.sum(1, keepdims=True)
    return places.clip(0, size - 1), weights.astype(np.float32)


def _area(x: Array, new: int) -> Array:
    """Rows as means over the stretch that each new one covers."""
    size = len(x)
    # Sums up to each row in 64 bits, read at fractions of rows: exact for pixels of 8 and 16 bits.
    sums = np.concatenate([np.zeros((1, *x.shape[1:])), np.cumsum(x, axis=0, dtype=np.float64)])
    at = np.arange(new + 1) * (size / new)
    low = np.minimum(np.floor(at).astype(np.int64), size - 1)
    part = (at - low).reshape(-1, *[1] * (x.ndim - 1))
    upto = sums[low] + part * x[low]
    return np.asarray(np.diff(upto, axis=0) / (size / new), np.float32)


def resize_rows(x: Array, new: int, kind: str) -> Array:
    """An array with another number of rows, by one of `METHODS`."""
    size = len(x)
    if kind == "nearest":
        return x[(2 * np.arange(new) + 1) * size // (2 * new)]
    if kind == "area":
        return _area(x, new)
    if size == new and kind in KINDS:
        return x
    places, weights = _taps(size, new, kind)
    shape = (-1, *[1] * (x.ndim - 1))
    out = np.zeros((new, *x.shape[1:]), np.float32)
    for k in range(places.shape[1]):
        out += weights[:, k].reshape(shape) * x[places[:, k]]
    return out


def resize_picture(x: Array, size: tuple[int, int], kind: str) -> Array:
    """A picture (height, width, channels) at another size, as float32.

    Args:
        x: Numbers of any type.
        size: (height, width).
        kind: One of `METHODS`.

    Returns:
        An array (*size, channels).
    """
    if 0 in x.shape:
        raise ShapeError(f"a picture of shape {x.shape} has no pixels\n  hint: look at the file")
    rows = resize_rows(x, size[0], kind)
    columns = resize_rows(np.ascontiguousarray(rows.swapaxes(0, 1)), size[1], kind)
    return np.ascontiguousarray(columns.swapaxes(0, 1), np.float32)
