"""Sizes of tensors as TensorFlow gives them: numbers to compute with. Depends on `ops`."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnn import ops
from fastnn._core import Dim
from fastnn.base.tensors import TensorShape, WholeNumber
from fastnn.base.typing import DTypeLike, TensorLike
from fastnn.tracing.size_vectors import SizeVector

__all__ = [
    "Sizes",
    "broadcast_dynamic_shape",
    "broadcast_static_shape",
    "cast",
    "concat",
    "rank",
    "shape",
    "shape_n",
    "size",
]  # fmt: skip


class Sizes(SizeVector):
    """What `tf.shape` gives: sizes, with the arithmetic of a tensor of whole numbers.

    Arithmetic goes element by element and gives sizes again; `+` with a sequence joins.
    """

    __slots__ = ()

    def numpy(self) -> np.ndarray[Any, Any]:
        """The sizes as an array."""
        return np.array(self, np.int32)

    def get_shape(self) -> TensorShape:
        """The shape of the sizes as a tensor."""
        return TensorShape((len(self),))

    @property
    def shape(self) -> TensorShape:
        """The shape of the sizes as a tensor."""
        return self.get_shape()

    def as_list(self) -> list[Any]:
        """The sizes as a list."""
        return list(self)

    def _with(self, f: Callable[[Any, Any], Any], other: Any) -> Sizes:
        others = other if isinstance(other, tuple | list) else [other] * len(self)
        return Sizes(f(a, b) for a, b in zip(self, others, strict=True))

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return WholeNumber(found) if isinstance(found, int) else found

    def __add__(self, other: Any) -> Sizes:
        if isinstance(other, tuple | list):
            return Sizes((*self, *other))
        return self._with(operator.add, other)

    def __radd__(self, other: Any) -> Sizes:
        return Sizes((*other, *self)) if isinstance(other, tuple | list) else self + other


def shape(input: TensorLike, out_type: Any = None, name: str | None = None) -> Sizes:
    """The sizes of a tensor."""
    return Sizes(ops.shape(input))


def size(input: TensorLike, out_type: Any = None, name: str | None = None) -> Any:
    """The number of elements; where it is open a size to compute with."""
    found = ops.size(input)
    return WholeNumber(found) if isinstance(found, int) else found


def rank(input: TensorLike, name: str | None = None) -> WholeNumber:
    """The number of axes."""
    return WholeNumber(ops.ndim(input))


def shape_n(input: TensorLike, out_type: Any = None, name: str | None = None) -> list[Sizes]:
    """The sizes of several tensors."""
    return [shape(x) for x in input]


def cast(x: TensorLike, dtype: DTypeLike, name: str | None = None) -> Any:
    """A tensor in another type; a size that is open stays one as a whole number."""
    if isinstance(x, Dim) and "int" in str(dtype):
        return x
    if isinstance(x, Sizes) and "int" in str(dtype):
        return x
    return ops.cast(ops.stack(list(x)) if isinstance(x, Sizes) else x, dtype)


def concat(values: Sequence[TensorLike], axis: int, name: str | None = None) -> Any:
    """Tensors joined along an axis; sizes from `tf.shape` stay sizes."""
    if any(isinstance(v, Sizes) for v in values) and all(
        isinstance(v, tuple | list) for v in values
    ):
        return Sizes(n for v in values for n in v)
    return ops.concatenate(values, axis=axis)


def broadcast_static_shape(shape_x: Any, shape_y: Any) -> TensorShape:
    """The shape that two shapes have together."""
    return TensorShape(np.broadcast_shapes(tuple(shape_x), tuple(shape_y)))


def broadcast_dynamic_shape(shape_x: Any, shape_y: Any) -> Sizes:
    """The shape that two shapes have together."""
    return Sizes(np.broadcast_shapes(tuple(shape_x), tuple(shape_y)))
