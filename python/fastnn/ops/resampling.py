"""Resizing along axes by interpolation weights: those that are not 0, or a matrix for open sizes.

Sample points lie at pixel centres, weights outside the image are dropped and the rest sums to one
(as `jax.image.resize`). Cubic: Keys 1981 with a = -1/2; Lanczos: Duchon 1979.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from fastnn import _core
from fastnn._core import Tensor
from fastnn.base.caching import cached
from fastnn.errors import ShapeError
from fastnn.ops.convert import TensorLike, arange, cast, convert_to_tensor, known_size, ones, shape
from fastnn.ops.elements import abs, where
from fastnn.ops.linalg import exact_matmul
from fastnn.ops.reduce import sum
from fastnn.ops.rows import maximum, take
from fastnn.ops.shapes import moveaxis, reshape, transpose
from fastnn.ops.special import sinc
from fastnn.tracing.symbolic import keras_op

__all__ = ["KINDS", "banded", "resampled", "resized", "scale_and_translate", "weights"]

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


#: First places (new,) and weights (new, taps), as the row `resample` takes them.
Table = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


def banded(matrix: np.ndarray[Any, Any]) -> Table:
    """A matrix (new, size) as the weights from the first to the last of a row that is not 0."""
    new, size = matrix.shape
    seen = matrix != 0
    first = seen.argmax(1) if size else np.zeros(new, np.int64)
    beyond = size - seen[:, ::-1].argmax(1) if size else first
    taps = int(np.where(seen.any(1), beyond - first, 0).max(initial=1))
    places = first[:, None] + np.arange(taps)
    by = np.zeros((new, taps), np.float32)
    rows, taken = np.nonzero(places < beyond[:, None])
    by[rows, taken] = matrix[rows, places[rows, taken]]
    return first.astype(np.int32), by


@cached(256)
def table(size: int, new: int, kind: str, antialias: bool = False) -> Table:
    """What resizes an axis of `size` elements to `new` by one of `KINDS` or `"nearest"`."""
    if kind != "nearest":
        return banded(weights(size, new, kind, antialias))
    first = (2 * np.arange(new) + 1) * size // (2 * new)
    return first.astype(np.int32), np.ones((new, 1), np.float32)


def _same(size: Any) -> tuple[Any, Any]:
    """The table that leaves an axis as it is."""
    if isinstance(size, int):
        return np.arange(size, dtype=np.int32), np.ones((size, 1), np.float32)
    return arange(size), ones((size, 1))


def resampled(x: Tensor, axis: int, *tables: Table | None) -> Tensor:
    """`x` with the axis, and the one behind it, made anew by tables; None leaves one as it is."""
    axis, count, all_sizes = axis % x.ndim, len(tables), shape(x)
    lead, sizes, tail = all_sizes[:axis], all_sizes[axis : axis + count], all_sizes[axis + count :]
    made = [size if t is None else len(t[0]) for size, t in zip(sizes, tables, strict=True)]
    if len(tables) == 1:
        # Sums of rows are sums of long lines, those of columns of pixels.
        sizes, tables = ((*sizes, 1), (*tables, None)) if tail else ((1, *sizes), (None, *tables))
    if all(t is None for t in tables):
        return x
    given = [part for size, t in zip(sizes, tables, strict=True) for part in t or _same(size)]
    y = _core.ops.resample(reshape(x, (math.prod(lead), *sizes, math.prod(tail))), *given)
    return reshape(y, (*lead, *made, *tail))


def nearest(size: Any, new: int) -> Any:
    """The elements of an axis of `size` that stand for it at `new` points."""
    return (2 * arange(new) + 1) * size // (2 * new)


def resized(x: Tensor, axis: int, new: Any, kind: str, antialias: bool = False) -> Tensor:
    """float32 `x` with `axis` and the one behind it brought to the sizes `new`, by one of `KINDS`
    or `"nearest"`.
    """
    axis %= x.ndim
    tables: list[Table | None] = []
    for at, wanted in enumerate(new, axis):
        size = shape(x)[at]
        known = isinstance(size, int) and isinstance(wanted, int)
        tables.append(table(size, wanted, kind, antialias) if known and size != wanted else None)
        if known or size == wanted:
            continue
        if kind == "nearest":
            x = take(x, nearest(size, wanted), axis=at)
        else:
            matrix = transpose(convert_to_tensor(weights(size, wanted, kind, antialias)))
            x = moveaxis(exact_matmul(moveaxis(x, at, -1), matrix), -1, at)
    return resampled(x, axis, *tables)


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
