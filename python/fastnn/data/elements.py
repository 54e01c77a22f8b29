"""Elements of data sets: nested tuples and dicts of arrays, stacked, padded and shown to functions.

Depends on `tree` and `base.text`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from fastnn import _core
from fastnn._core import Tensor
from fastnn.base import tree
from fastnn.base.text import as_text
from fastnn.errors import DataError
from fastnn.tracing.variables import Variable

__all__ = [
    "arrays", "beside", "called", "group_count", "groups", "padded", "stacked", "tensors",
]  # fmt: skip

Array = np.ndarray[Any, Any]


def _array(x: Any) -> Any:
    if isinstance(x, Tensor | Variable):
        return np.asarray(x)
    if hasattr(x, "as_numpy_iterator"):
        return x
    made = np.asarray(x)
    if hasattr(x, "__array__"):
        return made
    # Numbers of Python's are of TensorFlow's own types, whatever NumPy makes of them.
    if made.dtype == np.float64:
        return made.astype(np.float32)
    if made.dtype == np.int64 and (not made.size or abs(made).max() < 2**31):
        return made.astype(np.int32)
    return made


def arrays(value: Any) -> Any:
    """The arrays in nested tuples and dicts; a list is one array, a data set stays."""
    if isinstance(value, dict):
        return {k: arrays(v) for k, v in value.items()}
    if isinstance(value, tuple):
        return tuple(arrays(v) for v in value)
    return _array(value)


def _tensor(a: Any) -> Any:
    kind = a.dtype.kind if isinstance(a, np.ndarray) else ""
    if kind and kind in "biuf":
        return _core.tensor(a)
    return as_text(a) if kind in ("U", "S") or (kind == "O" and _is_text(a)) else a


def _is_text(a: Array) -> bool:
    return all(isinstance(v, str) for v in a.ravel().tolist())


def tensors(element: Any) -> Any:
    """An element as functions and loops of users see it: tensors, and text as `TextArray`."""
    return tree.map_structure(_tensor, element)


def called(f: Callable[..., Any], element: Any) -> Any:
    """`f` of an element, spread over its arguments when it is a tuple."""
    given = tensors(element)
    return f(*given) if isinstance(given, tuple) else f(given)


def group_count(size: int, count: int, drop_remainder: bool) -> int:
    """How many groups of `count` there are of `size` elements; negative sizes (unknown) stay."""
    if size < 0:
        return size
    return size // count if drop_remainder else -(-size // count)


def groups(items: Iterable[Any], count: int, drop: bool) -> Iterator[list[Any]]:
    """Lists of `count` items in a row; the last may be shorter unless it is dropped."""
    it = iter(items)
    while group := list(itertools.islice(it, count)):
        if len(group) == count or not drop:
            yield group


def stacked(elements: list[Any]) -> Any:
    """Elements of one shape as one element with an axis more."""
    columns = list(zip(*(tree.flatten(e) for e in elements), strict=True))
    out = []
    for column in columns:
        shapes = {a.shape for a in column}
        if len(shapes) > 1:
            raise DataError(
                f"batch: elements of shapes {sorted(shapes)[:3]}, wanted one shape\n"
                "  hint: padded_batch, or map them to one size"
            )
        out.append(np.stack(column))
    return tree.pack(elements[0], out)


def padded(elements: list[Any], shapes: Any = None, values: Any = None) -> Any:
    """As `stacked`, with arrays filled up to the largest of their column, or to given shapes."""
    columns = list(zip(*(tree.flatten(e) for e in elements), strict=True))
    wanted = beside(elements[0], shapes, "padded_shapes")
    fills = beside(elements[0], values, "padding_values")
    return tree.pack(
        elements[0], [_filled(c, s, f) for c, s, f in zip(columns, wanted, fills, strict=True)]
    )


def beside(element: Any, given: Any, where: str) -> list[Any]:
    """One part of `given` for each array of an element, in the order of `tree.flatten`."""
    if not isinstance(element, dict | tuple):
        return [given]
    one_for_all = where == "padding_values" and not isinstance(given, dict | tuple | list)
    if given is None or one_for_all:
        return [given] * len(tree.flatten(element))
    named = isinstance(element, dict)
    keys = sorted(element) if named else range(len(element))
    fits = isinstance(given, dict) if named else isinstance(given, tuple | list)
    if not fits or len(given) != len(element) or (named and set(given) != set(element)):
        raise DataError(
            f"padded_batch: {where}={given!r:.80} for elements of {len(element)} parts\n"
            f"  hint: the nesting of the elements, e.g. {where}=([None], [])"
        )
    return [v for k in keys for v in beside(element[k], given[k], where)]


def _filled(column: tuple[Array, ...], shape: Any, fill: Any) -> Array:
    largest = [max(d) for d in zip(*(a.shape for a in column), strict=True)]
    if shape is not None:
        given = list(np.atleast_1d(np.asarray(shape, object)).tolist())
        if len(given) != len(largest):
            raise DataError(
                f"padded_batch: padded_shapes has {given}, elements have {len(largest)} axes\n"
                "  hint: one size per axis, None for the largest of the batch"
            )
        for at, (size, most) in enumerate(zip(given, largest, strict=True)):
            if size is None or size == -1:
                continue
            if most > size:
                raise DataError(
                    f"padded_batch: an element has size {most} on axis {at}, padded_shapes says "
                    f"{size}\n  hint: None for the largest of the batch"
                )
            largest[at] = int(size)
    dtype = np.result_type(*column)
    if fill is None:
        fill = "" if dtype.kind in "US" else 0
    elif dtype.kind in "US":
        dtype = np.result_type(dtype, np.asarray(fill))
    out = np.full((len(column), *largest), fill, dtype)
    for i, a in enumerate(column):
        place: Any = (i, *(slice(0, d) for d in a.shape))
        out[place] = a
    return out
