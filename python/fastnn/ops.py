"""Functions of tensors under the names of `keras.ops`.

Every row of the core's op table becomes a function here, in a loop; what follows are NumPy-like
forms of rows that take lists, and composites of rows. All accept tensors, arrays, numbers and
variables, work while a step is traced, and on the symbolic tensors of functional models.
Depends on `_core`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnn import _core
from fastnn._core import Tensor
from fastnn.config import epsilon, stored_dtype
from fastnn.errors import ShapeError
from fastnn.symbolic import KerasTensor, keras_op, stand_in_size
from fastnn.variables import Variable

Axis = int | Sequence[int] | None
TensorLike = Any

_c = _core.ops
_builtin_slice = slice  # rows of the op table take the names of builtins below


def _row_function(row: _core.OpRow) -> Callable[..., Any]:
    call = getattr(_c, row.name)

    def op(*args: Any, **kwargs: Any) -> Tensor:
        return call(*args, **kwargs)

    op.__name__ = op.__qualname__ = row.name
    op.__doc__ = row.doc
    return keras_op(op)


_ROWS = {row.name: row for row in _core.op_table()}
for _row in _ROWS.values():
    globals()[_row.name] = _row_function(_row)


def __getattr__(name: str) -> Callable[..., Any]:
    from fastnn.errors import nearest

    close = nearest(name, [n for n in globals() if not n.startswith("_")])
    hint = f"\n  hint: did you mean {', '.join(close)}?" if close and name[0] != "_" else ""
    raise AttributeError(f"fastnn.ops has no function {name!r}{hint}")


# ---- making and converting -------------------------------------------------------------------


def convert_to_tensor(x: TensorLike, dtype: str | None = None) -> Tensor:
    """`x` as a tensor; arrays, numbers, nested lists and variables are accepted."""
    if isinstance(x, KerasTensor):
        return x if dtype in (None, x.dtype) else cast(x, dtype)  # type: ignore[return-value]
    if isinstance(x, Variable):
        x = x.value
    if isinstance(x, Tensor):
        return x if dtype in (None, x.dtype) else x.astype(dtype)
    return _core.tensor(x, dtype=dtype)


def array(x: TensorLike, dtype: str | None = None) -> Tensor:
    """`x` as a tensor, as `numpy.array`."""
    return convert_to_tensor(x, dtype)


def convert_to_numpy(x: TensorLike) -> np.ndarray[Any, Any]:
    """`x` as a NumPy array."""
    return np.asarray(x.numpy() if isinstance(x, Tensor | Variable) else x)


def is_tensor(x: object) -> bool:
    """True for tensors, symbolic ones included."""
    return isinstance(x, Tensor | KerasTensor)


@keras_op
def cast(x: TensorLike, dtype: str) -> Tensor:
    """`x` converted to "float32", "int32" or "bool"."""
    x = convert_to_tensor(x)
    dtype = stored_dtype(dtype)
    return x if x.dtype == dtype else x.astype(dtype)


def shape(x: TensorLike) -> tuple[int | None, ...]:
    """Sizes of `x`; None is a batch that is not known yet."""
    return tuple(x.shape) if hasattr(x, "shape") else np.shape(x)


def ndim(x: TensorLike) -> int:
    """Number of axes of `x`."""
    return len(shape(x))


def zeros(shape: Sequence[int | None] | int, dtype: str = "float32") -> Tensor:
    """Zeros of this shape; None stands for the batch that `ops.shape` does not know yet."""
    return full(shape, 0, stored_dtype(dtype))


def ones(shape: Sequence[int | None] | int, dtype: str = "float32") -> Tensor:
    """Ones of this shape; None stands for the batch that `ops.shape` does not know yet."""
    return full(shape, 1, stored_dtype(dtype))


def full(
    shape: Sequence[int | None] | int, fill_value: TensorLike, dtype: str | None = None
) -> Tensor:
    """`fill_value` everywhere; None stands for the batch that `ops.shape` does not know yet."""
    sizes = [shape] if isinstance(shape, int) else list(shape)
    if None in sizes or isinstance(fill_value, Tensor | Variable):
        return _c.broadcast_to(convert_to_tensor(fill_value, dtype), shape=sizes)
    return _core.tensor(np.full(sizes, fill_value, dtype), dtype=dtype)  # type: ignore[arg-type]


@keras_op
def zeros_like(x: TensorLike, dtype: str | None = None) -> Tensor:
    """Zeros with the shape of `x`."""
    x = convert_to_tensor(x)
    return _broadcast(_core.tensor(0, dtype=dtype or x.dtype), x)


@keras_op
def ones_like(x: TensorLike, dtype: str | None = None) -> Tensor:
    """Ones with the shape of `x`."""
    x = convert_to_tensor(x)
    return _broadcast(_core.tensor(1, dtype=dtype or x.dtype), x)


def _broadcast(value: Tensor, like: Tensor) -> Tensor:
    return _c.broadcast_to(value, shape=list(like.shape))


def arange(start: float, stop: float | None = None, step: float = 1, dtype: Any = None) -> Tensor:
    """Evenly spaced values, as `numpy.arange`."""
    if stop is None:
        start, stop = 0, start
    return _core.tensor(np.arange(start, stop, step), dtype=dtype)


def linspace(start: float, stop: float, num: int = 50) -> Tensor:
    """`num` evenly spaced values from `start` to `stop`, both included."""
    return _core.tensor(np.linspace(start, stop, num, dtype=np.float32))


def eye(n: int, m: int | None = None, k: int = 0, dtype: str = "float32") -> Tensor:
    """Ones on the k-th diagonal."""
    return _core.tensor(np.eye(n, m, k, dtype=np.float32), dtype=dtype)


# ---- reductions ------------------------------------------------------------------------------


def _reduction(name: str, doc: str) -> Callable[..., Any]:
    row = getattr(_c, name)

    def reduce(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return row(x, axis=axis, keepdims=keepdims)

    reduce.__name__ = reduce.__qualname__ = name
    reduce.__doc__ = doc
    return keras_op(reduce)


sum = _reduction("sum", "Sum over `axis`, all axes when None.")
mean = _reduction("mean", "Mean over `axis`, all axes when None.")
max = amax = _reduction("max", "Largest element over `axis`; NaN wins.")
min = amin = _reduction("min", "Smallest element over `axis`; NaN wins.")
prod = _reduction("prod", "Product over `axis`, all axes when None.")
all = _reduction("all", "True where every element over `axis` is true.")
any = _reduction("any", "True where some element over `axis` is true.")
std = _reduction("std", "Population standard deviation over `axis`.")
var = _reduction("variance", "Population variance over `axis`.")
logsumexp = _reduction("logsumexp", "log(sum(exp(x))) over `axis`, without overflow.")
argmax = _reduction("argmax", "Position of the largest element along `axis`, flat when None.")
argmin = _reduction("argmin", "Position of the smallest element along `axis`, flat when None.")


@keras_op
def moments(x: TensorLike, axes: Axis, keepdims: bool = False) -> tuple[Tensor, Tensor]:
    """Mean and population variance over `axes`."""
    return mean(x, axis=axes, keepdims=keepdims), var(x, axis=axes, keepdims=keepdims)


@keras_op
def count_nonzero(x: TensorLike, axis: Axis = None) -> Tensor:
    """Number of elements that are not zero."""
    return sum(cast(x, "bool").astype("int32"), axis=axis)


def _axes(axis: Axis, rank: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(rank))
    return (axis,) if isinstance(axis, int) else tuple(axis)


abs = absolute  # noqa: F821 (a row)


@keras_op
def norm(x: TensorLike, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Euclidean norm over `axis`; `ord` 1 and inf are known too."""
    if ord in (None, 2, "euclidean", "fro"):
        return _c.sqrt(sum(_c.square(x), axis=axis, keepdims=keepdims))
    if ord == 1:
        return sum(abs(x), axis=axis, keepdims=keepdims)
    if ord == np.inf:
        return max(abs(x), axis=axis, keepdims=keepdims)
    raise ValueError(f"norm: ord {ord!r} is not known\n  hint: use None, 1, 2 or numpy.inf")


# ---- shapes ----------------------------------------------------------------------------------


@keras_op
def reshape(x: TensorLike, newshape: Sequence[int | None] | int) -> Tensor:
    """The same elements under another shape; one size may be -1, None is an open batch."""
    new = [newshape] if isinstance(newshape, int) else list(newshape)
    if None in new[1:]:
        raise ShapeError(
            f"reshape: the new shape {tuple(new)} leaves a size open that is not the batch\n"
            "  hint: one size may be -1: it is worked out from the others"
        )
    if new and new[0] is None and stand_in_size() is not None:
        new[0] = shape(x)[0]
    return _c.reshape(x, shape=new)


@keras_op
def transpose(x: TensorLike, axes: Sequence[int] | None = None) -> Tensor:
    """Axes in another order, reversed when None."""
    order = list(axes) if axes is not None else list(range(ndim(x)))[::-1]
    return _c.transpose(x, axes=order)


@keras_op
def swapaxes(x: TensorLike, axis1: int, axis2: int) -> Tensor:
    """Two axes exchanged."""
    order = list(range(ndim(x)))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return _c.transpose(x, axes=order)


@keras_op
def moveaxis(x: TensorLike, source: int, destination: int) -> Tensor:
    """One axis moved to another place."""
    rank = ndim(x)
    order = [i for i in range(rank) if i != source % rank]
    order.insert(destination % rank, source % rank)
    return _c.transpose(x, axes=order)


@keras_op
def concatenate(xs: Sequence[TensorLike], axis: int = -1) -> Tensor:
    """Tensors joined along an axis."""
    return _c.concatenate(*xs, axis=axis)


@keras_op
def stack(xs: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """Tensors joined along a new axis."""
    return _c.stack(*xs, axis=axis)


@keras_op
def split(x: TensorLike, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """`x` cut along an axis into equal sections or at positions."""
    size = shape(x)[axis]
    if size is None:
        raise ValueError("split: the batch axis has no known size\n  hint: split another axis")
    if isinstance(indices_or_sections, int):
        if size % indices_or_sections:
            raise ValueError(
                f"split: {size} along axis {axis} is not a multiple of {indices_or_sections}\n"
                "  hint: give positions: split(x, [k1, k2], axis)"
            )
        step = size // indices_or_sections
        cuts = list(range(0, size + 1, step))
    else:
        cuts = [0, *indices_or_sections, size]
    x, at = convert_to_tensor(x), axis % ndim(x)
    head = (_builtin_slice(None),) * at
    return [x[(*head, _builtin_slice(a, b))] for a, b in itertools.pairwise(cuts)]


@keras_op
def unstack(x: TensorLike, num: int | None = None, axis: int = 0) -> list[Tensor]:
    """The slices of `x` along an axis."""
    n = num or shape(x)[axis] or 0
    return [squeeze(p, axis) for p in split(x, n, axis)]


@keras_op
def squeeze(x: TensorLike, axis: Axis = None) -> Tensor:
    """Axes of size 1 removed."""
    rank = ndim(x)
    if axis is None:
        gone = {i for i, d in enumerate(shape(x)) if d == 1}
    else:
        gone = {a % rank for a in _axes(axis, rank)}
    return _c.squeeze(x, axis=sorted(gone)) if gone else convert_to_tensor(x)


@keras_op
def ravel(x: TensorLike) -> Tensor:
    """All elements in one axis."""
    return _c.reshape(x, shape=[-1])


@keras_op
def pad(
    x: TensorLike, pad_width: Any, mode: str = "constant", constant_values: float = 0.0
) -> Tensor:
    """`x` with a border of a constant; `pad_width` as in NumPy."""
    if mode != "constant":
        raise ValueError(f"pad: mode {mode!r} is not known\n  hint: mode='constant'")
    widths = np.broadcast_to(np.asarray(pad_width), (ndim(x), 2)).tolist()
    return _c.pad(x, widths=[w for pair in widths for w in pair], value=constant_values)


# ---- elements --------------------------------------------------------------------------------


isfinite = is_finite  # noqa: F821 (a row)
isnan = is_nan  # noqa: F821 (a row)
isinf = is_inf  # noqa: F821 (a row)


@keras_op
def stop_gradient(x: TensorLike) -> Tensor:
    """`x`, through which no gradient flows."""
    return _c.stop_gradient(x)


@keras_op
def divide_no_nan(x1: TensorLike, x2: TensorLike) -> Tensor:
    """x1 / x2, and 0 where x2 is 0."""
    x2 = convert_to_tensor(x2, "float32")
    zero = x2 == 0.0
    return _c.where(zero, 0.0, x1 / _c.where(zero, 1.0, x2))


@keras_op
def where(condition: TensorLike, x1: TensorLike, x2: TensorLike) -> Tensor:
    """x1 where the condition holds, else x2."""
    return _c.where(condition, x1, x2)


@keras_op
def clip(x: TensorLike, x_min: TensorLike, x_max: TensorLike) -> Tensor:
    """`x` cut to the range from x_min to x_max."""
    return _c.minimum(_c.maximum(x, x_min), x_max)


@keras_op
def take(x: TensorLike, indices: TensorLike, axis: int | None = None) -> Tensor:
    """Slices of `x` at `indices` along `axis`, of the flat array when None."""
    if axis is None:
        x, axis = ravel(x), 0
    return _c.take(x, cast(indices, "int32"), axis=axis)


@keras_op
def one_hot(x: TensorLike, num_classes: int, axis: int = -1, dtype: str = "float32") -> Tensor:
    """Rows with a one at the place that `x` names."""
    out = _c.one_hot(cast(x, "int32"), num_classes=num_classes)
    if axis not in (-1, ndim(x)):
        out = moveaxis(out, -1, axis)
    return cast(out, dtype)


@keras_op
def top_k(x: TensorLike, k: int) -> tuple[Tensor, Tensor]:
    """The k largest elements of the last axis and their positions, largest first."""
    x = convert_to_tensor(x, "float32")
    values, places = [], []
    rest = x
    for _ in range(k):
        place = argmax(rest, axis=-1)
        chosen = one_hot(place, x.shape[-1])  # type: ignore[arg-type]
        values.append(sum(_c.where(chosen > 0, x, 0.0), axis=-1))
        places.append(place)
        rest = _c.where(chosen > 0, -np.inf, rest)
    return stack(values, -1), stack(places, -1)


@keras_op
def in_top_k(targets: TensorLike, predictions: TensorLike, k: int) -> Tensor:
    """True where the target's score is among the k largest; ties count, NaN does not."""
    p = convert_to_tensor(predictions, "float32")
    t = one_hot(targets, p.shape[-1])  # type: ignore[arg-type]
    score = sum(p * t, axis=-1, keepdims=True)
    above = sum(cast(p > score, "int32"), axis=-1)
    return _c.logical_and(above < k, isfinite(squeeze(score, -1)))


@keras_op
def normalize(
    x: TensorLike, axis: int = -1, order: int = 2, epsilon: float | None = None
) -> Tensor:
    """`x` divided by its norm along `axis`."""
    eps = epsilon if epsilon is not None else 1e-12
    if order == 2:
        total = sum(_c.square(x), axis=axis, keepdims=True)
        return x * _c.rsqrt(_c.maximum(total, eps * eps))
    return x / _c.maximum(norm(x, order, axis, True), eps)


@keras_op
def dot(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Product over the last axis of x1 and the first (of two) of x2, as `numpy.dot`."""
    if ndim(x1) == 0 or ndim(x2) == 0:
        return convert_to_tensor(x1) * x2
    return _c.matmul(x1, x2)


@keras_op
def matmul(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Matrix product over the last two axes, broadcast over the others."""
    return _c.matmul(x1, x2)


# ---- losses on logits and probabilities --------------------------------------------------------


@keras_op
def binary_crossentropy(
    target: TensorLike, output: TensorLike, from_logits: bool = False
) -> Tensor:
    """-t log p - (1-t) log(1-p) per element; p is clipped to [1e-7, 1 - 1e-7]."""
    target, output = convert_to_tensor(target, "float32"), convert_to_tensor(output, "float32")
    if from_logits:
        return _c.sigmoid_cross_entropy(target, output)
    output = clip(output, epsilon(), 1.0 - epsilon())
    return -(target * _c.log(output) + (1.0 - target) * _c.log(1.0 - output))


def _log_probabilities(output: Tensor, axis: int) -> Tensor:
    output = output / sum(output, axis=axis, keepdims=True)
    return _c.log(clip(output, epsilon(), 1.0 - epsilon()))


@keras_op
def categorical_crossentropy(
    target: TensorLike, output: TensorLike, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """-sum t log p over `axis`; probabilities are divided by their sum, then clipped."""
    target, output = convert_to_tensor(target, "float32"), convert_to_tensor(output, "float32")
    logs = _c.log_softmax(output, axis=axis) if from_logits else _log_probabilities(output, axis)
    return -sum(target * logs, axis=axis)


@keras_op
def sparse_categorical_crossentropy(
    target: TensorLike, output: TensorLike, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """-log p[target] over the last axis; integer targets of shape (…) or (…, 1)."""
    target, output = cast(target, "int32"), convert_to_tensor(output, "float32")
    if ndim(target) == ndim(output) and target.shape[-1] == 1:
        target = squeeze(target, -1)
    if axis not in (-1, ndim(output) - 1):
        output = moveaxis(output, axis, -1)
    if from_logits:
        return _c.sparse_softmax_cross_entropy(output, target)
    picked = one_hot(target, output.shape[-1])  # type: ignore[arg-type]
    return -sum(picked * _log_probabilities(output, -1), axis=-1)


# ---- composites under further names -----------------------------------------------------------


@keras_op
def average(
    x: TensorLike, axis: int | Sequence[int] | None = None, weights: TensorLike = None
) -> Tensor:
    """The mean, or the mean by weights of the shape of `x` or of its one `axis`."""
    x = convert_to_tensor(x, "float32")
    if weights is None:
        return mean(x, axis=axis)
    weights = convert_to_tensor(weights, "float32")
    if ndim(weights) == 1 and ndim(x) > 1:
        if not isinstance(axis, int):
            raise ShapeError(
                f"average: weights of shape {weights.shape} need one axis, got axis={axis!r}\n"
                "  hint: axis=-1, or weights of the shape of x"
            )
        shape = [1] * ndim(x)
        shape[axis] = weights.shape[0]
        weights = reshape(weights, shape)
    weights = weights * ones_like(x)
    return sum(x * weights, axis=axis) / sum(weights, axis=axis)


_row_gelu = globals()["gelu"]


def gelu(x: TensorLike, approximate: bool = True) -> Tensor:
    """X Φ(x), by tanh unless `approximate=False`; `activations.gelu` is exact unless told."""
    return _row_gelu(x, approximate=approximate)  # type: ignore[no-any-return]


@keras_op
def get_item(x: TensorLike, key: Any) -> Tensor:
    """`x[key]`."""
    return convert_to_tensor(x)[key]


@keras_op
def hstack(xs: Sequence[TensorLike]) -> Tensor:
    """Tensors side by side: along the second axis, vectors along their only one."""
    tensors = [convert_to_tensor(x) for x in xs]
    return concatenate(tensors, axis=0 if ndim(tensors[0]) == 1 else 1)


@keras_op
def vstack(xs: Sequence[TensorLike]) -> Tensor:
    """Tensors below each other: along the first axis, vectors as rows."""
    tensors = [convert_to_tensor(x) for x in xs]
    rows = [_c.expand_dims(t, axis=0) if ndim(t) == 1 else t for t in tensors]
    return concatenate(rows, axis=0)


def identity(n: int, dtype: str | None = None) -> Tensor:
    """The unit matrix of n rows."""
    return _core.tensor(np.eye(n, dtype=np.float32), dtype=dtype)


@keras_op
def isclose(
    x1: TensorLike, x2: TensorLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Where |x1 - x2| <= atol + rtol |x2|, or both are the same infinity."""
    x1, x2 = convert_to_tensor(x1, "float32"), convert_to_tensor(x2, "float32")
    near = abs(x1 - x2) <= atol + rtol * abs(x2)
    found = _c.logical_or(_c.equal(x1, x2), _c.logical_and(near, isfinite(x2)))
    if not equal_nan:
        return found
    return _c.logical_or(found, _c.logical_and(isnan(x1), isnan(x2)))


@keras_op
def nan_to_num(
    x: TensorLike, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """`x` with NaN and infinities replaced, infinities by the largest floats unless told."""
    x = convert_to_tensor(x, "float32")
    largest = float(np.finfo(np.float32).max)
    high = largest if posinf is None else posinf
    low = -largest if neginf is None else neginf
    x = where(isnan(x), nan, x)
    x = where(_c.equal(x, np.inf), high, x)
    return where(_c.equal(x, -np.inf), low, x)


@keras_op
def outer(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The products of all elements of `x1` with all of `x2`."""
    return reshape(x1, (-1, 1)) * reshape(x2, (1, -1))


@keras_op
def vdot(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The sum of the products of elements, both taken as vectors."""
    return sum(reshape(x1, (-1,)) * reshape(x2, (-1,)))


@keras_op
def true_divide(x1: TensorLike, x2: TensorLike) -> Tensor:
    """`x1 / x2`, another name of `divide`."""
    return _c.divide(x1, x2)


def size(x: TensorLike) -> int | None:
    """The number of elements; None while the batch is not known."""
    sizes = shape(x)
    return None if None in sizes else int(np.prod(sizes))  # type: ignore[arg-type]
