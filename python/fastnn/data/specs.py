"""Shapes and types of tensors, and of the elements of data sets, as TensorFlow describes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.base import tree
from fastnn.base.tensors import TYPES, TensorShape
from fastnn.base.typing import DTypeLike
from fastnn.config import stored_dtype

__all__ = [
    "TensorSpec",
    "batched",
    "mapped",
    "merged",
    "of_element",
    "of_type",
    "padded_to",
    "unbatched",
]


class TensorSpec:
    """Shape and type of a tensor, as in `input_signature`."""

    shape: TensorShape
    dtype: str
    name: str | None

    def __init__(
        self, shape: Sequence[int | None], dtype: DTypeLike = "float32", name: str | None = None
    ):
        self.shape, self.name = TensorShape(() if shape is None else shape), name
        self.dtype = TYPES[dtype if isinstance(dtype, str) else stored_dtype(dtype or "float32")]

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, TensorSpec)
            and tuple(self.shape) == tuple(other.shape)
            and self.dtype == other.dtype
        )

    def __hash__(self) -> int:
        return hash((tuple(self.shape), str(self.dtype)))

    def __repr__(self) -> str:
        kind = getattr(self.dtype, "name", self.dtype)
        return f"TensorSpec(shape={tuple(self.shape)}, dtype=tf.{kind}, name={self.name!r})"


def of_element(element: Any) -> Any:
    """What an element of arrays is: all its sizes, and its types."""

    def spec(a: Any) -> Any:
        if not isinstance(a, np.ndarray | np.generic):
            return a
        kind = "string" if a.dtype.kind in "USO" else str(a.dtype)
        return TensorSpec(a.shape, kind)

    return tree.map_structure(spec, element)


def _each(change: Any, spec: Any) -> Any:
    return tree.map_structure(lambda s: change(s) if isinstance(s, TensorSpec) else s, spec)


def of_type(element: Any, spec: Any) -> Any:
    """An element with its numbers as floats where a signature says so; whole ones stay whole."""
    leaves, kinds = tree.flatten(element), tree.flatten(spec)
    if len(leaves) != len(kinds):
        return element

    def cast(a: Any, s: Any) -> Any:
        kind = str(getattr(s, "dtype", ""))
        wanted = kind in ("float32", "float64") and str(getattr(a, "dtype", kind)) != kind
        return a.astype(kind) if wanted and a.dtype.kind in "biuf" else a

    return tree.pack(element, [cast(a, s) for a, s in zip(leaves, kinds, strict=True)])


def batched(spec: Any, size: int | None) -> Any:
    """Elements stacked to batches of `size`, None where the last one may be smaller."""
    return _each(lambda s: TensorSpec((size, *s.shape), s.dtype), spec)


def unbatched(spec: Any) -> Any:
    """The slices of elements along their first axis."""
    return _each(lambda s: TensorSpec(s.shape[1:], s.dtype), spec)


def padded_to(spec: Any, shapes: list[Any]) -> Any:
    """Elements filled up to shapes, one for each array; None where they are filled up to the
    largest.
    """
    parts = iter(shapes)

    def one(s: TensorSpec) -> TensorSpec:
        given = next(parts)
        if given is None:
            return s
        sizes = np.atleast_1d(np.asarray(given, object)).tolist()
        return TensorSpec([None if n in (None, -1) else int(n) for n in sizes], s.dtype)

    return _each(one, spec)


def merged(one: Any, other: Any) -> Any:
    """What both are: None where their sizes differ."""

    def both(a: Any, b: Any) -> Any:
        if not isinstance(a, TensorSpec) or len(a.shape) != len(b.shape):
            return a
        sizes = [n if n == m else None for n, m in zip(a.shape, b.shape, strict=True)]
        return TensorSpec(sizes, a.dtype)

    return tree.map_structure(both, one, other)


def mapped(before: Any, element: Any, after: Any) -> Any:
    """What a function makes of elements, from one and what it became: the open size of batches
    stays open where the function kept it.
    """
    found = zip(tree.flatten(before), tree.flatten(element), strict=True)
    sizes = {
        len(a)
        for s, a in found
        if isinstance(s, TensorSpec) and len(s.shape) and s.shape[0] is None and np.ndim(a)
    }

    def opened(s: TensorSpec) -> TensorSpec:
        if len(s.shape) and s.shape[0] in sizes:
            return TensorSpec((None, *s.shape[1:]), s.dtype)
        return s

    return _each(opened, of_element(after))
