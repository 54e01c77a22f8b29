"""Vectors of sizes: what `expand_dims`, `stack` and `concatenate` make of sizes that are open yet.

Programs join the sizes of a tensor to a shape as they would join tensors. An open size has no value
while a step is traced, so such a vector stays a tuple of sizes, which `reshape`, `tile` and `zeros`
take; in calculations it is a tensor. Depends on `_core`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from fastnn import _core
from fastnn._core import Dim, Tensor
from fastnn.base.tensors import TensorShape

__all__ = ["SizeVector", "Sizes", "joined_sizes", "stacked_sizes"]


class SizeVector(tuple[Any, ...]):
    """Sizes side by side, with arithmetic; a subclass says what it is done on, in `_with`."""

    __slots__ = ()

    def _with(self, f: Callable[[Any, Any], Any], other: Any) -> Any:
        """`f` of the sizes and of the other operand."""
        raise NotImplementedError

    def __getitem__(self, at: Any) -> Any:
        part = super().__getitem__(int(at) if hasattr(at, "item") else at)
        return type(self)(part) if isinstance(at, slice) else part

    def __add__(self, other: Any) -> Any:
        return self._with(operator.add, other)

    def __radd__(self, other: Any) -> Any:
        return self._with(lambda a, b: b + a, other)

    def __mul__(self, other: Any) -> Any:
        return self._with(operator.mul, other)

    def __rmul__(self, other: Any) -> Any:
        return self * other

    def __sub__(self, other: Any) -> Any:
        return self._with(operator.sub, other)

    def __rsub__(self, other: Any) -> Any:
        return self._with(lambda a, b: b - a, other)

    def __floordiv__(self, other: Any) -> Any:
        return self._with(operator.floordiv, other)


class Sizes(SizeVector):
    """Whole numbers and open sizes, one of which is open at least; arithmetic gives tensors."""

    __slots__ = ()

    def tensor(self) -> Tensor:
        """The sizes as a tensor, which has its values once the model is called on data."""
        joined: Tensor = _core.ops.stack(*self, axis=0)
        return joined

    @property
    def dtype(self) -> str:
        """What the tensor holds."""
        return "int32"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the tensor."""
        return (len(self),)

    def _with(self, f: Callable[[Any, Any], Any], other: Any) -> Any:
        return f(self.tensor(), other)

    def __truediv__(self, other: Any) -> Any:
        return self.tensor() / other


def _size(value: Any) -> Any:
    """A whole number or an open size, or None for anything else."""
    kind = value.__class__
    if kind is Dim or kind is int:
        return value
    if kind is Tensor and not value.is_traced and value.ndim == 0 and value.dtype == "int32":
        return int(value)
    return None if not hasattr(value, "__index__") or kind is Tensor else value.__index__()


def _vector(value: Any) -> list[Any] | None:
    """The sizes of a vector of them, or None for anything else."""
    if value.__class__ is Tensor:
        known = not value.is_traced and value.ndim == 1 and value.dtype == "int32"
        return value.tolist() if known else None
    if not isinstance(value, tuple | list) and getattr(value, "ndim", 0) != 1:
        return None
    sizes = [_size(v) for v in value]
    return None if any(s is None for s in sizes) else sizes


def stacked_sizes(values: Sequence[Any]) -> Sizes | None:
    """Sizes side by side, where one of them is open; None where these are other values."""
    if not any(v.__class__ is Dim for v in values):
        return None
    sizes = [_size(v) for v in values]
    return None if any(s is None for s in sizes) else Sizes(sizes)


def joined_sizes(values: Sequence[Any]) -> Sizes | None:
    """Vectors of sizes one after another, where one is open; None where these are other values."""
    if not any(
        v.__class__ is Sizes
        or (v.__class__ in (tuple, list, TensorShape) and any(d.__class__ is Dim for d in v))
        for v in values
    ):
        return None
    vectors = [_vector(v) for v in values]
    if any(v is None for v in vectors):
        return None
    return Sizes(d for v in vectors for d in v or ())
