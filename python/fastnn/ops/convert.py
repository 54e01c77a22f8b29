"""Making tensors and converting them: `convert_to_tensor`, `cast`, `zeros`, `arange`."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import _core
from fastnn._core import Dim, Tensor
from fastnn.base.arguments import as_number, hints_arguments, is_whole, whole_number
from fastnn.base.tensors import TensorShape
from fastnn.base.text import as_text
from fastnn.base.typing import Axis as Axis, DTypeLike, TensorLike as TensorLike
from fastnn.config import COMPUTED, stored_dtype
from fastnn.errors import DataError
from fastnn.ops.families import name_ops
from fastnn.tracing.size_vectors import Sizes
from fastnn.tracing.symbolic import KerasTensor, holds_tensors, keras_op, shape_of
from fastnn.tracing.variables import Variable

__all__ = [
    "arange",
    "array",
    "cast",
    "convert_to_numpy",
    "convert_to_tensor",
    "dtype",
    "eye",
    "full",
    "identity",
    "is_tensor",
    "linspace",
    "ndim",
    "ones",
    "ones_like",
    "shape",
    "size",
    "zeros",
    "zeros_like",
]

_c = _core.ops


@hints_arguments
def convert_to_tensor(
    x: TensorLike, dtype: DTypeLike = None, sparse: bool | None = None, ragged: bool | None = None
) -> Tensor:
    """`x` as a tensor; arrays, numbers, nested lists and variables are accepted.

    Args:
        x: An array, number, nested list, tensor or variable; or text, for layers that read it.
        dtype: The type of the result: `"float32"`, `"int32"`, `"bool"` or a storage type.
        sparse: Not supported; None or False.
        ragged: Not supported; None or False.

    Returns:
        A tensor; of text, which no tensor holds, an array of NumPy's.

    Example:
        >>> fastnn.ops.convert_to_tensor([1.0, 2.0]).shape
        (2,)
    """
    if sparse or ragged:
        raise ValueError("sparse and ragged tensors are not supported\n  hint: a dense array")
    if dtype is not None:
        dtype = stored_dtype(dtype)
        if dtype == "string" and isinstance(x, list | tuple) and np.size(x) == 0:
            return as_text(np.zeros(np.shape(x), "U1"))  # type: ignore[return-value]
        dtype = None if dtype == "string" else dtype
    if isinstance(x, KerasTensor):
        return x if dtype in (None, x.dtype) else cast(x, dtype)  # type: ignore[return-value]
    if isinstance(x, Variable):
        x = x.value
    elif x.__class__ is Sizes:
        x = x.tensor()
    if isinstance(x, Tensor):
        return x if dtype in (None, x.dtype) else x.astype(dtype)
    if x.__class__ in (list, tuple, TensorShape) and holds_tensors(x):
        # One by one, so that traces and tapes see where the parts come from.
        made = _core.ops.stack(*promoted(*x), axis=0)
        return made if dtype in (None, made.dtype) else made.astype(dtype)
    try:
        return _core.tensor(x, dtype=dtype)
    except DataError:
        text = np.asarray(x) if dtype is None else None
        if text is not None and text.dtype.kind == "O":
            text = _texts_of(text)
        if text is None or text.dtype.kind not in "US":
            raise
        return as_text(text)  # type: ignore[return-value]


@hints_arguments
def tensor(value: Any, dtype: DTypeLike = None, copy: bool | None = None) -> Tensor:
    """A tensor of arrays, numbers, nested lists, anything with `__array__` or `__dlpack__`.

    Lists may hold tensors and variables; gradients flow through them.

    Args:
        value: What the tensor holds.
        dtype: The type as text, which may be a storage type; None: float32 of floats, int32 of
            integers, bool of truth values.
        copy: False shares the memory of a contiguous float32 or int32 array, or fails where it
            cannot; otherwise the value is copied.

    Returns:
        A tensor of the value's shape.

    Raises:
        DataError: The value holds text or objects, or an integer that does not fit; the message
            names value and position.

    Example:
        >>> fastnn.tensor([[1, 2], [3, 4]]).dtype
        'int32'
    """
    if value.__class__ in (list, tuple) and copy is not False and holds_tensors(value):
        return convert_to_tensor(value, dtype)
    return _core.tensor(value, dtype=dtype, copy=copy)


def _texts_of(objects: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    """An array of Python's texts, as pandas gives them, as one of NumPy's; None for others."""
    values = objects.ravel().tolist()
    if not values or not all(isinstance(v, str | bytes) for v in values):
        return None
    texts = [v.decode() if isinstance(v, bytes) else v for v in values]
    return np.asarray(texts).reshape(objects.shape)


def computed(x: TensorLike, dtype: DTypeLike = None) -> Tensor:
    """`x` as a tensor of a type that is computed with: storage types become float32 or int32."""
    x = convert_to_tensor(x, dtype)
    wide = COMPUTED.get(x.dtype)
    return x if wide is None else x.astype(wide)


@hints_arguments
def array(x: TensorLike, dtype: DTypeLike = None) -> Tensor:
    """`x` as a tensor, as `numpy.array`.

    Args:
        x: An array, number, nested list, tensor or variable.
        dtype: The type of the result: `"float32"`, `"int32"`, `"bool"` or a storage type.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.array([1.0, 2.0]).numpy()
        array([1., 2.], dtype=float32)
    """
    return convert_to_tensor(x, dtype)


@hints_arguments
def convert_to_numpy(x: TensorLike) -> np.ndarray[Any, Any]:
    """`x` as a NumPy array.

    Args:
        x: A tensor or array.

    Returns:
        A NumPy array.

    Example:
        >>> fastnn.ops.convert_to_numpy(fastnn.ops.ones(2))
        array([1., 1.], dtype=float32)
    """
    return np.array(x) if isinstance(x, Tensor | Variable) else np.asarray(x)


def is_tensor(x: object) -> bool:
    """True for tensors, symbolic ones included.

    Args:
        x: Anything.

    Returns:
        True or False.

    Example:
        >>> fastnn.ops.is_tensor(fastnn.ops.ones(2))
        True
    """
    return isinstance(x, Tensor | KerasTensor)


@keras_op
def cast(x: TensorLike, dtype: DTypeLike) -> Tensor:
    """`x` converted to "float32", "int32", "bool" or a storage type.

    Storage types are "bfloat16" and "float16" (rounded to the nearest, ties to even) and "int8" and
    "uint8" (toward zero, then the low eight bits, as NumPy). Ops compute with them as float32 and
    int32, and give these.

    Args:
        x: A tensor or array.
        dtype: The type of the result: `"float32"`, `"int32"`, `"bool"` or a storage type.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.cast(np.array([1.7, 0.0]), "int32").numpy()
        array([1, 0], dtype=int32)
    """
    dtype = stored_dtype(dtype)
    if x.__class__ is Dim and dtype == "int32":
        return x  # type: ignore[return-value]  # a size to compute with, and to make shapes of
    x = convert_to_tensor(x)
    return x if x.dtype == dtype else x.astype(dtype)


def shape(x: TensorLike) -> tuple[Any, ...]:
    """Sizes of `x`; those not known yet are sizes to compute with, which equal None.

    `ops.reshape(x, (-1, 2 * ops.shape(x)[1]))`, `ops.zeros((ops.shape(x)[0], 3))` and
    `ops.cast(ops.shape(x)[0], "float32")` follow the data that the model is called on.

    Args:
        x: A tensor or array.

    Returns:
        A tuple of sizes.

    Example:
        >>> fastnn.ops.shape(np.zeros((2, 3)))
        (2, 3)
    """
    return shape_of(x)


def ndim(x: TensorLike) -> int:
    """Number of axes of `x`.

    Args:
        x: A tensor or array.

    Returns:
        A whole number.

    Example:
        >>> fastnn.ops.ndim(np.zeros((2, 3)))
        2
    """
    return len(shape(x))


def size(x: TensorLike) -> Any:
    """The number of elements; while a size is not known yet, a size to compute with.

    `ops.cast(ops.size(x), "float32")` follows the data that the model is called on.

    Args:
        x: A tensor or array.

    Returns:
        A whole number, or a size that equals None until it is known.

    Example:
        >>> fastnn.ops.size(np.zeros((2, 3)))
        6
    """
    return math.prod(shape(x))


def known_size(name: str, x: TensorLike, axis: int) -> int:
    """The size of an axis that the op `name` needs as a number."""
    size = shape(x)[axis]
    if not isinstance(size, int):
        raise _core.ShapeError(
            f"{name}: axis {axis} of shape {shape(x)} has no known size\n"
            "  hint: give it a size in Input(shape=...) or batch_shape"
        )
    return int(size)


def promoted(*xs: TensorLike) -> list[Tensor]:
    """`xs` in one element type: float32 where one is, else int32 where one is, else bool."""
    tensors = [computed(x) for x in xs]
    kinds = {x.dtype for x in tensors}
    if len(kinds) == 1:
        return tensors
    kind = "float32" if "float32" in kinds else "int32"
    return [x if x.dtype == kind else _c.cast(x, dtype=kind) for x in tensors]


# ---- making ----------------------------------------------------------------------------------

#: The types that tensors compute with, which NumPy has by the same names.
_NUMPY = ("float32", "int32", "bool")
#: The most elements of an array that NumPy makes: what a signed 64-bit count of bytes holds.
_MOST = 2**60


def sizes_of(name: str, shape: Any) -> list[Any]:
    """The sizes that a wanted shape has, checked before NumPy makes an array of them."""
    shape = as_number(shape)
    several = hasattr(shape, "__iter__") and not isinstance(shape, str | bytes)
    sizes: list[Any] = []
    for size in shape if several else [shape]:
        if (size is None and several) or isinstance(size, Dim):
            sizes.append(size)
            continue
        if not hasattr(size, "__index__") or isinstance(size, bool):
            raise TypeError(
                f"{name}: size {size!r} in shape {shape!r} is no whole number\n"
                "  hint: shape=(2, 3), or int(size)"
            )
        sizes.append(operator.index(size))
        if sizes[-1] < 0:
            raise _core.ShapeError(
                f"{name}: size {size} in shape {shape!r} is negative\n  hint: sizes are 0 or more"
            )
    if math.prod(s for s in sizes if is_whole(s)) > _MOST:
        raise _core.ShapeError(
            f"{name}: shape {shape!r} has more than 2^60 elements\n  hint: sizes that fit in memory"
        )
    return sizes


@keras_op
def zeros(shape: Sequence[int | Dim | None] | int | Dim, dtype: DTypeLike = None) -> Tensor:
    """Zeros of this shape; None stands for the batch that `ops.shape` does not know yet.

    Args:
        shape: The sizes; None stands for the batch.
        dtype: The type of the result: `"float32"`, `"int32"`, `"bool"` or a storage type.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.zeros((2,)).numpy()
        array([0., 0.], dtype=float32)
    """
    return full(shape, 0, stored_dtype(dtype or "float32"))


@keras_op
def ones(shape: Sequence[int | Dim | None] | int | Dim, dtype: DTypeLike = None) -> Tensor:
    """Ones of this shape; None stands for the batch that `ops.shape` does not know yet.

    Args:
        shape: The sizes; None stands for the batch.
        dtype: The type of the result: `"float32"`, `"int32"`, `"bool"` or a storage type.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.ones((2,)).numpy()
        array([1., 1.], dtype=float32)
    """
    return full(shape, 1, stored_dtype(dtype or "float32"))


@keras_op
def full(
    shape: Sequence[int | Dim | None] | int | Dim, fill_value: TensorLike, dtype: DTypeLike = None
) -> Tensor:
    """`fill_value` everywhere; None stands for the batch that `ops.shape` does not know yet.

    Args:
        shape: The sizes; None stands for the batch.
        fill_value: The value.
        dtype: The type of the result: `"float32"` unless told, `"int32"`, `"bool"` or a storage
            type.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.full((2,), 7.0).numpy()
        array([7., 7.], dtype=float32)
    """
    dtype = stored_dtype(dtype or "float32")
    sizes = sizes_of("full", shape)
    if None in sizes or isinstance(fill_value, Tensor | Variable):
        return _c.broadcast_to(convert_to_tensor(fill_value, dtype), shape=sizes)
    # NumPy has not every storage type: those are made of the value's own type.
    made = np.full(sizes, fill_value, dtype if dtype in _NUMPY else None)
    return _core.tensor(made, dtype=dtype)


@keras_op
def zeros_like(x: TensorLike, dtype: DTypeLike = None) -> Tensor:
    """Zeros with the shape of `x`.

    Args:
        x: A tensor or array.
        dtype: The type of the result: `"float32"`, `"int32"`, `"bool"` or a storage type.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.zeros_like(np.ones(2)).numpy()
        array([0., 0.], dtype=float32)
    """
    x = convert_to_tensor(x)
    return _broadcast(_core.tensor(0, dtype=stored_dtype(dtype or x.dtype)), x)


@keras_op
def ones_like(x: TensorLike, dtype: DTypeLike = None) -> Tensor:
    """Ones with the shape of `x`.

    Args:
        x: A tensor or array.
        dtype: The type of the result: `"float32"`, `"int32"`, `"bool"` or a storage type.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.ones_like(np.zeros(2)).numpy()
        array([1., 1.], dtype=float32)
    """
    x = convert_to_tensor(x)
    return _broadcast(_core.tensor(1, dtype=stored_dtype(dtype or x.dtype)), x)


def _broadcast(value: Tensor, like: Tensor) -> Tensor:
    return _c.broadcast_to(value, shape=list(like.shape))


@keras_op
def arange(
    start: float | Dim,
    stop: float | Dim | None = None,
    step: float | None = None,
    dtype: DTypeLike = None,
) -> Tensor:
    """Evenly spaced values, as `numpy.arange`.

    Args:
        start: The first value, or the end when it is alone.
        stop: The end, excluded.
        step: The distance of two values.
        dtype: The type of the result: `"float32"`, `"int32"`, `"bool"` or a storage type.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.arange(5).numpy()
        array([0, 1, 2, 3, 4], dtype=int32)
    """
    if stop is None:
        start, stop = 0, start
    step = 1 if step is None else step
    if isinstance(step, int | float) and step == 0:
        raise ValueError("arange: step is 0, which gets nowhere\n  hint: step=1")
    if isinstance(start, Dim) or isinstance(stop, Dim):
        if not isinstance(step, int) or step < 1:
            raise ValueError(
                f"arange: step {step!r} up to an open size\n  hint: a whole step from 1 on"
            )
        count = -((start - stop) // step)
        found = _c.iota(stop=count) * step + start
        return found if dtype is None else cast(found, dtype)
    return _core.tensor(np.arange(start, stop, step), dtype=stored_dtype(dtype) if dtype else None)


_WHOLE = ("int32", "int8", "uint8")


@keras_op
def linspace(
    start: TensorLike, stop: TensorLike, num: int | Dim = 50, endpoint: bool = True,
    retstep: bool = False, dtype: DTypeLike = None, axis: int = 0,
) -> Any:  # fmt: skip
    """`num` evenly spaced values from `start` to `stop`, the last one left out by `endpoint`.

    Args:
        start: The first value.
        stop: The last value.
        num: How many.
        endpoint: Whether `stop` is among them.
        retstep: Whether the distance of two values is given as well.
        dtype: The type of the result: `"float32"`, `"int32"`, `"bool"` or a storage type.
        axis: Where the axis of the numbers stands in the result.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.linspace(0.0, 1.0, 5).numpy()
        array([0.  , 0.25, 0.5 , 0.75, 1.  ], dtype=float32)
    """
    a, b = (convert_to_numpy(x).astype(np.float64) for x in (start, stop))
    if isinstance(num, Dim):
        return _open_linspace(a, b, num, endpoint, retstep, dtype, axis)
    num = whole_number("num", num, 0, "linspace: ")
    spaced: Any = np.linspace
    points, step = spaced(a, b, num, bool(endpoint), True, axis=axis)
    kept = stored_dtype(dtype) if dtype else None
    if kept in _WHOLE:
        points = np.floor(points)  # as NumPy does, so that steps below 0 are as long as those above
    out = _core.tensor(points, dtype=kept)
    return (out, step) if retstep else out


def _open_linspace(
    a: Any, b: Any, num: Dim, endpoint: bool, retstep: bool, dtype: DTypeLike, axis: int
) -> Any:
    """`linspace` of a size that is not known yet."""
    a, b = np.broadcast_arrays(a, b)
    at = axis % (a.ndim + 1)
    first, last = (_core.tensor(np.expand_dims(v, at), dtype="float32") for v in (a, b))
    place = _c.reshape(cast(arange(num), "float32"), shape=[1] * at + [-1] + [1] * (a.ndim - at))
    count = cast(num - 1 if endpoint else num, "float32")
    step = (last - first) / _c.maximum(count, 1.0)
    out = first + place * step
    if endpoint:  # to the last bit, but for a single value, which is the first
        ends = _c.logical_and(_c.equal(place, count), count > 0.0)
        out = _c.where(ends, last, out)
    if dtype is not None:
        out = cast(_c.floor(out) if stored_dtype(dtype) in _WHOLE else out, dtype)
    return (out, _c.squeeze(step, axis=[at])) if retstep else out


@keras_op
def eye(N: int | Dim, M: int | Dim | None = None, k: int = 0, dtype: DTypeLike = None) -> Tensor:
    """Ones on the k-th diagonal of N rows and M columns (as many when None).

    Args:
        N: Rows.
        M: Columns; None: as many as rows.
        k: Which diagonal; 0 is the main one.
        dtype: The type of the result: `"float32"`, `"int32"`, `"bool"` or a storage type.

    Returns:
        A matrix.

    Example:
        >>> fastnn.ops.eye(2).numpy()
        array([[1., 0.],
               [0., 1.]], dtype=float32)
    """
    if isinstance(N, Dim) or isinstance(M, Dim):
        rows, columns = arange(N), arange(N if M is None else M)
        on = _c.equal(_c.expand_dims(rows, axis=[1]) + k, _c.expand_dims(columns, axis=[0]))
        return cast(on, dtype or "float32")
    height, width = sizes_of("eye", (N, N if M is None else M))
    ones = np.eye(height, width, k, dtype=np.float32)
    return _core.tensor(ones, dtype=stored_dtype(dtype) if dtype else None)


@keras_op
def identity(n: int | Dim, dtype: DTypeLike = None) -> Tensor:
    """The unit matrix of n rows.

    Args:
        n: Rows and columns.
        dtype: The type of the result: `"float32"`, `"int32"`, `"bool"` or a storage type.

    Returns:
        A matrix (n, n).

    Example:
        >>> fastnn.ops.identity(2).numpy()
        array([[1., 0.],
               [0., 1.]], dtype=float32)
    """
    return eye(n, dtype=dtype)


def dtype(x: TensorLike) -> str:
    """The element type of `x`.

    Args:
        x: A tensor or array.

    Returns:
        The name of the type.

    Example:
        >>> fastnn.ops.dtype(np.ones(2, "float32"))
        'float32'
    """
    return str(x.dtype) if hasattr(x, "dtype") else convert_to_tensor(x).dtype


name_ops(globals())
