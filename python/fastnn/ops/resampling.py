"""Resizing along an axis as a product with a matrix of interpolation weights.

Sample points lie at pixel centres, weights outside the image are dropped and the rest sums to one
(as `jax.image.resize`). Cubic: Keys 1981 with a = -1/2; Lanczos: Duchon 1979.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from fastnn.errors import ShapeError
from fastnn.ops.convert import arange, cast, convert_to_tensor, shape
from fastnn.ops.elements import abs, where
from fastnn.ops.linalg import exact_matmul
from fastnn.ops.reduce import sum
from fastnn.ops.rows import maximum
from fastnn.ops.shapes import reshape
from fastnn.ops.special import sinc

__all__ = ["KINDS", "nearest", "resized", "weights"]

#: Where the kernels find their functions: NumPy, or the ops where sizes are open.
Arrays = Any
_OPS = SimpleNamespace(maximum=maximum, sinc=sinc, where=where)


def _triangle(m: Arrays, x: Any) -> Any:
    return m.maximum(0.0, 1.0 - x)


def _cubic(m: Arrays, x: Any) -> Any:
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return m.where(x < 1.0, near, m.where(x < 2.0, far, 0.0))


def _lanczos(radius: int) -> Callable[[Arrays, Any], Any]:
    return lambda m, x: m.where(x < radius, m.sinc(x) * m.sinc(x / radius), 0.0)


#: Kernels of the distance from a sample point to a pixel, by Keras's names.
KINDS: dict[str, Callable[[Arrays, Any], Any]] = {
    "bilinear": _triangle, "bicubic": _cubic, "lanczos3": _lanczos(3), "lanczos5": _lanczos(5),
}  # fmt: skip


def weights(size: Any, new: Any, kind: str, antialias: bool = False) -> Any:
    """The matrix (new, size) that resizes an axis of `size` elements to `new`.

    With `antialias` the kernel is as wide as what an element of a smaller axis covers.
    """
    if isinstance(size, int) and isinstance(new, int):
        at = (np.arange(new) + 0.5) * (size / new) - 0.5
        wide = max(size / new, 1.0) if antialias else 1.0
        values = KINDS[kind](np, np.abs(at[:, None] - np.arange(size)) / wide)
        return (values / values.sum(1, keepdims=True)).astype(np.float32)
    if antialias:
        raise ShapeError(
            "antialias needs an axis of a known size\n"
            "  hint: give height and width in Input(shape=...)"
        )
    # Whole numbers keep the distance exact however far along an axis of open size.
    at = (2 * arange(new)[:, None] + 1) * size - new
    distance = cast(abs(at - 2 * arange(size)[None] * new), "float32")
    values = KINDS[kind](_OPS, distance / (2.0 * cast(new, "float32")))
    return values / sum(values, axis=1, keepdims=True)


def nearest(size: Any, new: int) -> Any:
    """The elements of an axis of `size` that stand for it at `new` points."""
    return (2 * arange(new) + 1) * size // (2 * new)


def resized(x: Any, axis: int, new: Any, kind: str) -> Any:
    """`x` with `axis` (after the batch) brought to `new` elements."""
    batch, lead, size, tail = shape(x)[0], x.shape[1:axis], x.shape[axis], x.shape[axis + 1 :]
    rows = reshape(x, (math.prod((batch, *lead)), size, math.prod(tail)))
    out = exact_matmul(convert_to_tensor(weights(size, new, kind)), rows)
    return reshape(out, (batch, *lead, new, *tail))
