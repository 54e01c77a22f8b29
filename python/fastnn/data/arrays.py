"""Whatever holds numbers, as contiguous arrays: what is taken, what is refused, and why.

Floats become float32, whole numbers int32 (range checked), booleans float32; samples of uint8,
int8 and float16 are read as they are. Nothing changes its value in silence: masks, text, complex
numbers, dates and numbers beyond the range are refused.
Messages name the argument, the place and the remedy. Depends on NumPy, `errors`.
"""

from __future__ import annotations

import decimal
import math
import numbers
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn._core import Tensor
from fastnn.base.arguments import hints_arguments
from fastnn.errors import DataError, ShapeError

__all__ = [
    "DENSE_BYTES", "RowsByBatch", "SparseRows", "WideRows", "as_arrays", "is_masked",
    "is_sparse", "leaf", "numbers_of", "stacked", "unmasked",
]  # fmt: skip

Array = np.ndarray[Any, Any]
_F32 = np.dtype(np.float32)
_I32 = np.dtype(np.int32)
#: Types of arrays that can be read as they are.
_NARROW = ("uint8", "int8", "float16")
#: A sparse matrix, or an array of another type, of up to so many bytes as float32 is converted at
#: once, a larger one by batches.
DENSE_BYTES = 64 << 20


@hints_arguments
def leaf(value: Any, name: str, narrow: bool = False) -> Array:
    """One array of float32 or int32, contiguous; a copy only where needed.

    Args:
        value: An array, a list or a frame.
        name: What messages call it.
        narrow: Whether uint8, int8 and float16 stay what they are: batches of them are widened as
            they are read.

    Returns:
        The array.

    Raises:
        DataError: It holds text or objects, or numbers beyond the range.

    Example:
        >>> fastnn.data.leaf(np.array([1.0]), "x").dtype
        dtype('float32')
    """
    if isinstance(value, RowsByBatch):
        return value  # type: ignore[return-value]
    value = numbers_of(value, name)
    dtype = value.dtype
    if dtype is _F32 or dtype is _I32 or (narrow and dtype.name in _NARROW and dtype.isnative):
        return value if value.flags.c_contiguous else np.ascontiguousarray(value)
    if dtype.kind == "f":
        return _narrowed(value, name)
    if dtype.kind in "iu":
        return _whole(value, name)
    return np.ascontiguousarray(value, np.float32)


def numbers_of(value: Any, name: str) -> Array:
    """One array of real numbers or booleans, of the type that it has; DataError for all else."""
    if value.__class__ is not np.ndarray:
        value = _to_numpy(value, name)
    if value.dtype.kind == "O":
        value = _of_objects(value, name)
    if value.dtype.kind not in "fiub":
        raise _unusable(value, name)
    return value  # type: ignore[no-any-return]


def _narrowed(value: Array, name: str) -> Array:
    """As float32; DataError where a finite number is beyond its range."""
    with np.errstate(over="ignore"):
        narrow = np.ascontiguousarray(value, np.float32)
    if value.dtype.itemsize > 4:
        bad = ~np.isfinite(narrow)
        if bad.any():
            bad &= np.isfinite(value)
        if bad.any():
            place = _first(bad)
            raise DataError(
                f"{name} holds {value[place]} at position {_shown(place)}, beyond float32 (up to "
                f"3.4e38)\n  hint: scale it first, e.g. the logarithm, or divide by a unit"
            )
    return narrow


def _whole(value: Array, name: str) -> Array:
    if value.dtype.itemsize >= 4 and value.size:
        low, high = value.min(), value.max()
        if low < -(2**31) or high >= 2**31:
            raise DataError(
                f"{name} holds whole numbers from {low} to {high}, wanted 32-bit integers\n"
                f"  hint: {name}.astype('float32'), or number the values from 0"
            )
    return np.ascontiguousarray(value, np.int32)


def _first(bad: Array) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(bad)), bad.shape))


def _shown(place: tuple[int, ...]) -> str:
    return str(place[0]) if len(place) == 1 else str(place)


def is_sparse(value: Any) -> bool:
    """Whether a value is a sparse matrix or array, as scipy and others make them."""
    return hasattr(value, "toarray") and hasattr(value, "nnz") and hasattr(value, "shape")


def is_masked(value: Any) -> bool:
    """Whether a value is a masked array. NumPy loads them when they are first asked for, and while
    nobody has there are none.
    """
    masked = sys.modules.get("numpy.ma")
    return masked is not None and isinstance(value, getattr(masked, "MaskedArray", ()))


def _to_numpy(value: Any, name: str) -> Array:
    if isinstance(value, Tensor):
        return np.asarray(value)
    if is_masked(value):
        return unmasked(value, name)
    if is_sparse(value):
        return np.asarray(value.toarray())
    given = value
    if hasattr(value, "to_numpy"):
        value = value.to_numpy()
    elif hasattr(value, "numpy") and not isinstance(value, np.ndarray):
        value = value.numpy()
    if isinstance(value, list | tuple):
        _refuse_masked_parts(value, name)
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{name} cannot be made an array: {error}\n  hint: all rows need the same length"
        ) from None
    return _of_objects(array, name, given) if array.dtype.kind == "O" else array


def unmasked(value: Any, name: str) -> Array:
    """A value as a NumPy array; DataError for a masked array that masks some of its values."""
    masked = np.ma.getmaskarray(value)
    if masked.any():
        place = _first(masked) if masked.ndim else ()
        raise DataError(
            f"{name} is a masked array with {int(masked.sum())} masked values, the first at "
            f"position {_shown(place)}; what lies behind a mask is no data\n"
            f"  hint: {name}.filled(0), drop the rows, or give sample_weight=0 for them"
        )
    return np.asarray(value)


def _refuse_masked_parts(rows: Any, name: str) -> None:
    """DataError when rows of a list hold masked values, which NumPy would take for data."""
    for i, row in enumerate(rows):
        if is_masked(row):
            unmasked(row, f"{name}[{i}]")
        elif isinstance(row, list | tuple):
            _refuse_masked_parts(row, f"{name}[{i}]")


def _is_missing(kind: type) -> bool:
    return kind is type(None) or kind.__name__ == "NAType"


def _of_objects(array: Array, name: str, frame: Any = None) -> Array:
    """An array of Python objects as numbers; None and pandas' NA are missing numbers, like NaN.

    Texts are refused also where they look like numbers: whether "1.5" means 1.5 is the caller's
    to say.
    """
    kinds: set[Any] = {type(v) for v in array.ravel()}
    if kinds and kinds <= {np.ndarray, list, tuple}:
        raise _of_arrays(array, name)
    missing = {k for k in kinds if _is_missing(k)}
    wrong = [
        k for k in kinds - missing
        if not issubclass(k, numbers.Real | decimal.Decimal | np.bool_) or k is np.timedelta64
    ]  # fmt: skip
    if wrong or kinds == missing != set():
        raise _unusable(array, name, _text_column(frame))
    if missing:
        array = np.where(np.vectorize(lambda v: _is_missing(type(v)), otypes=[bool])(array),
                         np.nan, array)  # fmt: skip
    elif all(issubclass(k, numbers.Integral) and k is not bool for k in kinds):
        return _integers(array, name)
    return array.astype(np.float64)


def _of_arrays(array: Array, name: str) -> DataError | ShapeError:
    """What is wrong with an array of objects that are arrays or lists, such as pictures."""
    shapes = [v.shape if isinstance(v, np.ndarray) else (len(v),) for v in array.ravel()]
    for i, shape in enumerate(shapes):
        if shape != shapes[0]:
            place = [int(n) for n in np.unravel_index(i, array.shape)]
            return ShapeError(
                f"{name}{place} has shape {shape}, {name}{[0] * array.ndim} has {shapes[0]}\n"
                "  hint: samples of one shape: resize pictures, pad sequences"
            )
    return DataError(
        f"{name} holds objects, each an array or list of shape {shapes[0]}, wanted one array\n"
        f"  hint: numpy.stack(list({name}))"
    )


def _integers(array: Array, name: str) -> Array:
    try:
        return array.astype(np.int64)
    except OverflowError:
        raise DataError(
            f"{name} holds whole numbers beyond 64 bits\n  hint: scale them, or number the values"
        ) from None


def _text_column(frame: Any) -> str:
    """The first column of a frame that holds no numbers, as part of a message."""
    for column in getattr(frame, "columns", ()):
        try:
            _of_objects(np.asarray(frame[column].to_numpy(), object), "")
        except (DataError, AttributeError, KeyError):
            return f" in column {column!r}"
    return ""


def _unusable(value: Array, name: str, where: str = "") -> DataError:
    kind = value.dtype.kind
    if kind in "USTO" or str(value.dtype).startswith("StringDType"):
        return DataError(
            f"{name} holds text or objects{where} (dtype {value.dtype}), wanted numbers\n"
            "  hint: number the words or classes first, e.g. numpy.unique(x, return_inverse=True)"
        )
    hint = {
        "c": f"give {name}.real and {name}.imag as features of their own",
        "M": f"give days since a start: ({name} - {name}.min()) / numpy.timedelta64(1, 'D')",
        "m": f"give days: {name} / numpy.timedelta64(1, 'D')",
        "V": f"give one column: numpy.lib.recfunctions.structured_to_unstructured({name})",
    }.get(kind, f"{name}.astype('float32')")
    return DataError(f"{name} has dtype {value.dtype}, wanted real numbers\n  hint: {hint}")


@hints_arguments
def as_arrays(value: Any, name: str, narrow: bool = False) -> Any:
    """A structure of data as arrays: lists of numbers become one array, frames become matrices.

    Args:
        value: Arrays, lists, frames, or a list or dict of them.
        name: What messages call it.
        narrow: Whether arrays of uint8, int8 and float16 stay what they are.

    Returns:
        The structure with NumPy arrays of float32 or int32 as leaves.

    Raises:
        DataError: It holds text or objects.

    Example:
        >>> fastnn.data.as_arrays([[1.0, 2.0]], "x")
        array([[1., 2.]], dtype=float32)
    """
    if narrow and isinstance(value, np.ndarray) and _is_wide(value):
        return WideRows(value, name)
    if value.__class__ is np.ndarray:
        return leaf(value, name, narrow)
    if value is None:
        return None
    if isinstance(value, dict):
        return {k: as_arrays(v, f"{name}['{k}']", narrow) for k, v in value.items()}
    if isinstance(value, list | tuple):
        if _is_numbers(value):
            return leaf(_rectangle(value, name), name)
        return type(value)(as_arrays(v, f"{name}[{i}]", narrow) for i, v in enumerate(value))
    if is_sparse(value):
        rows = SparseRows(value, name)
        return rows if rows.nbytes > DENSE_BYTES else rows.dense()
    return leaf(value, name, narrow)


def stacked(rows: Sequence[Any], name: str) -> Array:
    """Arrays of one shape as one array, each a sample; ShapeError names the first odd one.

    Args:
        rows: The arrays.
        name: What the list of them is called.

    Returns:
        An array with an axis more.
    """
    arrays = [np.asarray(row) for row in rows]
    for i, array in enumerate(arrays):
        if array.shape != arrays[0].shape:
            raise ShapeError(
                f"{name}[{i}] has shape {array.shape}, {name}[0] has {arrays[0].shape}\n"
                "  hint: samples of one shape: resize pictures, pad sequences"
            )
    return np.stack(arrays)


def _rectangle(rows: Any, name: str) -> Array:
    """Nested lists as one array; DataError when the rows differ in length."""
    _refuse_masked_parts(rows, name)
    try:
        return np.asarray(rows)
    except ValueError:
        sizes = [len(row) if isinstance(row, list | tuple) else 0 for row in rows]
        odd = next((i for i, size in enumerate(sizes) if size != sizes[0]), 0)
        raise DataError(
            f"{name} has rows of different lengths: row 0 has {sizes[0]}, row {odd} has "
            f"{sizes[odd]}\n  hint: fastnn.utils.pad_sequences({name}), or rows of one length"
        ) from None


def _is_numbers(value: Any) -> bool:
    """True for (nested) lists of plain numbers or of strings: one array, not several inputs."""
    first = value
    while isinstance(first, list | tuple) and first:
        first = first[0]
    return isinstance(
        first, int | float | str | bytes | np.generic | numbers.Real | decimal.Decimal
    )


class RowsByBatch:
    """Stands where an array of samples would, and is converted a batch at a time.

    It has `shape`, `dtype`, `ndim`, and rows by slice or by numbers.
    """

    name: str
    shape: Any
    dtype: Any
    ndim: int

    @property
    def nbytes(self) -> int:
        """Bytes of all rows as float32 or int32."""
        return int(math.prod(self.shape)) * 4

    def dense(self) -> Array:
        """All rows."""
        raise NotImplementedError

    def __getitem__(self, rows: Any) -> Array:
        raise NotImplementedError

    def part(self, start: int, stop: int) -> Any:
        """Rows from start to stop, still to be converted."""
        raise NotImplementedError


class WideRows(RowsByBatch):
    """A large array of a type that the core does not read: float64, int16, int64, booleans."""

    name: str
    shape: Any
    ndim: int
    dtype: Any

    def __init__(self, array: Array, name: str) -> None:
        self._rows, self.name = array, name
        self.shape, self.ndim = array.shape, array.ndim
        self.dtype = leaf(np.empty((0, *array.shape[1:]), array.dtype), name).dtype

    def dense(self) -> Array:
        """All rows."""
        return leaf(self._rows, self.name)

    def __getitem__(self, rows: Any) -> Array:
        return leaf(self._rows[rows], self.name)

    def part(self, start: int, stop: int) -> WideRows:
        """Rows from start to stop, still to be converted."""
        return WideRows(self._rows[start:stop], self.name)

    def reshape(self, *shape: Any) -> Any:
        """The same rows under another shape of samples."""
        return WideRows(self._rows.reshape(*shape), self.name)


def _is_wide(value: Array) -> bool:
    """Whether an array is large and would be converted, and copied, as a whole."""
    if value.size * 4 <= DENSE_BYTES or value.ndim < 2 or is_masked(value):
        return False
    return value.dtype.kind in "fiub" and value.dtype.name not in (*_NARROW, "float32", "int32")


class SparseRows(RowsByBatch):
    """A large sparse matrix, read as dense rows: a batch at a time is all that is ever dense."""

    name: str
    shape: Any
    dtype: Any

    ndim = 2

    def __init__(self, matrix: Any, name: str) -> None:
        if len(matrix.shape) != 2:
            raise DataError(
                f"{name} is a sparse array of shape {tuple(matrix.shape)}, wanted a matrix\n"
                f"  hint: {name}.toarray()"
            )
        self._rows = matrix.tocsr() if hasattr(matrix, "tocsr") else matrix
        self.name, self.shape = name, tuple(matrix.shape)
        self.dtype = leaf(np.empty((0, 1), matrix.dtype), name).dtype

    def dense(self) -> Array:
        """All rows."""
        return leaf(self._rows.toarray(), self.name)

    def __getitem__(self, rows: Any) -> Array:
        return leaf(self._rows[rows].toarray(), self.name)

    def part(self, start: int, stop: int) -> SparseRows:
        """Rows from start to stop, still sparse."""
        return SparseRows(self._rows[start:stop], self.name)

    def reshape(self, *shape: int) -> Array:
        """Refused: rows of a matrix have one axis."""
        raise DataError(
            f"{self.name} is a sparse matrix of shape {self.shape}, the model wants samples of "
            "another shape\n  hint: start the model with Input((features,)) and Reshape"
        )
