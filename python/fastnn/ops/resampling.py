"""Resizing along an axis as a product with a matrix of interpolation weights, or by neighbours.

Sample points lie at pixel centres, weights outside the image are dropped and the rest sums to one
(as `jax.image.resize`). Cubic: Keys 1981 with a = -1/2; Lanczos: Duchon 1979.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from fastnn._core import Tensor
from fastnn.errors import ShapeError
from fastnn.ops.convert import TensorLike, arange, cast, convert_to_tensor, known_size, shape
from fastnn.ops.elements import abs, where
from fastnn.ops.linalg import exact_matmul
from fastnn.ops.reduce import sum
from fastnn.ops.rows import maximum, take
from fastnn.ops.shapes import moveaxis, reshape
from fastnn.ops.special import sinc
from fastnn.tracing.symbolic import keras_op

__all__ = ["KINDS", "nearest", "resized", "scale_and_translate", "shrunk", "weights"]

#: Where the kernels find their functions: NumPy, or the ops where sizes are open.
Arrays = Any
_OPS = SimpleNamespace(maximum=maximum, sinc=sinc, where=where)


def _triangle(m: Arrays, x: TensorLike) -> Any:
    return m.maximum(0.0, 1.0 - x)


def _cubic(m: Arrays, x: TensorLike) -> Any:
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


def shrunk(x: TensorLike, axis: int, matrix: Any) -> Any:
    """`x` with the elements along `axis` that `matrix` makes, where they are no more than before
    and each is made of one or two; else None. What is not finite stays where it is read.
    """
    if not isinstance(matrix, np.ndarray) or matrix.shape[0] > matrix.shape[1]:
        return None
    seen = matrix != 0
    if not 0 < seen.sum(1).max(initial=0) <= 2:
        return None
    first, last = seen.argmax(1), matrix.shape[1] - 1 - seen[:, ::-1].argmax(1)
    # An element that is made of one reads it twice, by halves: 0 times infinity would be NaN.
    share = np.where(first == last, np.float32(0.5), np.float32(1.0))
    places = [1] * (x.ndim + axis) + [len(matrix)] + [1] * (-1 - axis)

    def part(at: Any) -> Any:
        factors = matrix[np.arange(len(matrix)), at] * share
        return take(x, at.astype(np.int32), axis=axis) * factors.reshape(places)

    return part(first) + part(last)


def nearest(size: Any, new: int) -> Any:
    """The elements of an axis of `size` that stand for it at `new` points."""
    return (2 * arange(new) + 1) * size // (2 * new)


def resized(x: TensorLike, axis: int, new: Any, kind: str) -> Any:
    """`x` with `axis` (after the batch) brought to `new` elements."""
    batch, lead, size, tail = shape(x)[0], x.shape[1:axis], x.shape[axis], x.shape[axis + 1 :]
    rows = reshape(x, (math.prod((batch, *lead)), size, math.prod(tail)))
    out = exact_matmul(convert_to_tensor(weights(size, new, kind)), rows)
    return reshape(out, (batch, *lead, new, *tail))


#: Keras's further names of the kernels.
_OTHER_NAMES = {
    **dict.fromkeys(("linear", "bilinear", "trilinear", "triangle"), "bilinear"),
    **dict.fromkeys(("cubic", "bicubic", "tricubic"), "bicubic"),
    "lanczos3": "lanczos3", "lanczos5": "lanczos5",
}  # fmt: skip


@keras_op
def scale_and_translate(
    images: TensorLike,
    output_shape: Any,
    scale: TensorLike,
    translation: TensorLike,
    spatial_dims: Any,
    method: str,
    antialias: bool = True,
) -> Tensor:
    """Images made larger or smaller and moved: what lies at x comes to x * scale + translation.

    Pixels have their centres at halves; what comes from outside is 0.

    Args:
        images: An array of any rank.
        output_shape: The shape of the result.
        scale: A factor for each of `spatial_dims`.
        translation: Pixels of the result, for each of `spatial_dims`.
        spatial_dims: The axes that are scaled and moved.
        method: `"linear"`, `"cubic"`, `"lanczos3"` or `"lanczos5"`, or another name of them.
        antialias: Whether pixels are averaged where images become smaller.

    Returns:
        A tensor of `output_shape`.

    Raises:
        ShapeError: Axes, scales and moves are of unlike number, or other axes change their size.
        ValueError: The method is not known.

    Example:
        >>> x = np.array([[0.0, 1.0], [2.0, 3.0]])
        >>> moved = fastnn.ops.image.scale_and_translate(x, (2, 2), [1], [1], (0,), "linear")
        >>> moved.numpy()
        array([[0., 0.],
               [0., 1.]], dtype=float32)
    """
    if method not in _OTHER_NAMES:
        raise ValueError(
            f"Invalid value for argument `method`. Expected of one {sorted(_OTHER_NAMES)}. "
            f"Received: method={method}\n  hint: method='linear'"
        )
    x: Any = convert_to_tensor(images, "float32")
    factors: Any = convert_to_tensor(scale, "float32")
    moves: Any = convert_to_tensor(translation, "float32")
    sizes, axes = tuple(output_shape), [int(a) % x.ndim for a in spatial_dims]
    fixed = [i for i in range(x.ndim) if i not in axes]
    if (
        len(sizes) != x.ndim
        or {tuple(factors.shape), tuple(moves.shape)} != {(len(axes),)}
        or any(x.shape[i] != sizes[i] for i in fixed)
    ):
        raise ShapeError(
            f"scale_and_translate: images {tuple(x.shape)} to {sizes} along {axes} with "
            f"{tuple(factors.shape)} scales and {tuple(moves.shape)} moves\n"
            "  hint: one scale and one move for each of spatial_dims; other axes keep their sizes"
        )
    for i, axis in enumerate(axes):
        matrix = _moved(known_size("scale_and_translate", x, axis), sizes[axis], factors[i],
                        moves[i], _OTHER_NAMES[method], antialias)  # fmt: skip
        x = moveaxis(exact_matmul(moveaxis(x, axis, -1), matrix), -1, axis)
    return x


def _moved(size: int, new: int, scale: Any, move: Any, kind: str, antialias: bool) -> Any:
    """The matrix (size, new) that brings an axis to another scale and place."""
    back = 1.0 / scale
    wide = maximum(back, 1.0) if antialias else 1.0
    at = (np.arange(new, dtype=np.float32) + 0.5 - move) * back - 0.5
    pixels = np.arange(size, dtype=np.float32)[:, None]
    values = KINDS[kind](_OPS, abs(reshape(at, (1, -1)) - pixels) / wide)
    total = sum(values, axis=0, keepdims=True)
    there = abs(total) > 1000.0 * float(np.finfo(np.float32).eps)
    values = where(there, values / where(there, total, 1.0), 0.0)
    inside = cast(at >= -0.5, "float32") * cast(at <= size - 0.5, "float32")
    return where(reshape(inside, (1, -1)) > 0.5, values, 0.0)
