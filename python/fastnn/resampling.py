"""Resizing along an axis as a product with a matrix of interpolation weights.

Sample points lie at pixel centres, weights outside the image are dropped and the rest sums to one
(as `jax.image.resize`). Cubic: Keys 1981 with a = -1/2; Lanczos: Duchon 1979. Depends on `ops`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import ops

__all__ = ["KINDS", "resized", "weights"]

Array = np.ndarray[Any, Any]


def _triangle(x: Array) -> Array:
    return np.maximum(0.0, 1.0 - x)


def _cubic(x: Array) -> Array:
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))


def _lanczos(radius: int) -> Callable[[Array], Array]:
    return lambda x: np.where(x < radius, np.sinc(x) * np.sinc(x / radius), 0.0)


#: Kernels of the distance from a sample point to a pixel, by Keras's names.
KINDS: dict[str, Callable[[Array], Array]] = {
    "bilinear": _triangle, "bicubic": _cubic, "lanczos3": _lanczos(3), "lanczos5": _lanczos(5),
}  # fmt: skip


def weights(size: int, new: int, kind: str) -> Any:
    """The matrix (new, size) that resizes an axis of `size` elements to `new`; no antialiasing."""
    at = (np.arange(new) + 0.5) * (size / new) - 0.5
    values = KINDS[kind](np.abs(at[:, None] - np.arange(size)))
    return (values / values.sum(1, keepdims=True)).astype(np.float32)


def resized(x: Any, axis: int, new: int, kind: str) -> Any:
    """`x` with `axis` (after the batch) brought to `new` elements."""
    lead, size, tail = x.shape[1:axis], x.shape[axis], x.shape[axis + 1 :]
    rows = ops.reshape(x, (-1, size, math.prod(tail)))
    out = ops.matmul(ops.convert_to_tensor(weights(size, new, kind)), rows)
    return ops.reshape(out, (-1, *lead, new, *tail))
