"""Names of TensorFlow over fastnn's own functions, for programs that say `import fastnn as tf`.

They stand at the top of `fastnn` (`tf.constant`, `tf.reduce_mean`) and in `tf.math`, `tf.nn` and
`tf.linalg`. Types follow fastnn: float32, int32 and bool.
Depends on `ops`, `tracing`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastnn import ops
from fastnn._core import Dim, Tensor, tensor
from fastnn.base.tensors import TYPES, DType as DType, NarrowType, TensorShape, asked_type
from fastnn.base.text import TextArray, as_text
from fastnn.base.typing import Axis, DTypeLike, TensorLike
from fastnn.config import stored_dtype
from fastnn.data.specs import TensorSpec
from fastnn.errors import DataError
from fastnn.namespaces import TENSORFLOW_OPS
from fastnn.tensorflow.checks import debugging
from fastnn.tensorflow.compiled import executing_eagerly as executing_eagerly, function as function
from fastnn.tensorflow.host import (
    Module as Module,
    TensorArray as TensorArray,
    case as case,
    control_dependencies as control_dependencies,
    foldl as foldl,
    foldr as foldr,
    get_logger as get_logger,
    numpy_function as numpy_function,
    py_function as py_function,
    scan as scan,
    switch_case as switch_case,
    timestamp as timestamp,
)
from fastnn.tensorflow.initial import (
    constant_initializer as constant_initializer,
    ones_initializer as ones_initializer,
    random_normal_initializer as random_normal_initializer,
    random_uniform_initializer as random_uniform_initializer,
    zeros_initializer as zeros_initializer,
)
from fastnn.tensorflow.parameters import as_tensorflow
from fastnn.tensorflow.places import (
    boolean_mask as boolean_mask,
    dynamic_partition as dynamic_partition,
    gather as gather,
    gather_nd as gather_nd,
    reverse_sequence as reverse_sequence,
    scatter_nd as scatter_nd,
    sequence_mask as sequence_mask,
    slice_ as slice_,
    strided_slice as strided_slice,
    tensor_scatter_nd_add as tensor_scatter_nd_add,
    tensor_scatter_nd_max as tensor_scatter_nd_max,
    tensor_scatter_nd_min as tensor_scatter_nd_min,
    tensor_scatter_nd_sub as tensor_scatter_nd_sub,
    tensor_scatter_nd_update as tensor_scatter_nd_update,
    unique as unique,
    unique_with_counts as unique_with_counts,
    unravel_index as unravel_index,
    where as where,
)
from fastnn.tensorflow.signal import Spectrum
from fastnn.tensorflow.sizes import (
    Sizes as Sizes,
    broadcast_dynamic_shape as broadcast_dynamic_shape,
    broadcast_static_shape as broadcast_static_shape,
    cast as cast,
    concat as concat,
    rank as rank,
    shape as shape,
    shape_n as shape_n,
    size as size,
)
from fastnn.tensorflow.sparse import (
    IndexedSlices as IndexedSlices,
    SparseTensor as SparseTensor,
)
from fastnn.tensorflow.strings import as_string as as_string
from fastnn.tensorflow.windows import dropout as dropout
from fastnn.tracing.own_gradients import custom_gradient as custom_gradient
from fastnn.tracing.symbolic import KerasTensor, keras_op
from fastnn.tracing.tape import GradientTape

__all__ = ["GradientTape", "TensorShape", "TensorSpec", "at_top", "function"]


float16 = float32 = float64 = double = half = bfloat16 = TYPES["float32"]
int32 = int64 = TYPES["int32"]
int8, int16 = NarrowType("int8"), NarrowType("int16")
uint8, uint16, uint32 = NarrowType("uint8"), NarrowType("uint16"), NarrowType("uint32")
bool_, string = TYPES["bool"], TYPES["string"]
newaxis = None


def at_top(name: str) -> Any:
    """The object that `fastnn` shows under a name of TensorFlow."""
    module = globals()
    found = module.get(name, module.get(f"{name}_"))
    if found is None and name in TENSORFLOW_OPS:
        found = getattr(ops, name)
    return as_tensorflow(found, name) if inspect.isroutine(found) else found


def saturate_cast(value: TensorLike, dtype: DTypeLike, name: str | None = None) -> Tensor:
    """Values converted; those beyond the limits of the type that is asked for become its limits."""
    return ops.cast(ops.saturate_cast(value, asked_type(dtype)), dtype)


assert_equal, assert_less = debugging.assert_equal, debugging.assert_less
assert_greater, assert_rank = debugging.assert_greater, debugging.assert_rank
Assert = debugging.Assert


def abs_(x: TensorLike, name: str | None = None) -> Tensor:
    """Elements without their signs; of a spectrum its magnitudes."""
    return x.magnitude() if isinstance(x, Spectrum) else ops.abs(x)


def _alike(x: TensorLike, y: TensorLike) -> Any:
    """Whether texts are equal; None where one of two values is no text."""
    if not all(isinstance(v, str | bytes | TextArray) for v in (x, y)):
        return None
    return tensor(np.asarray(np.equal(as_text(x), as_text(y)), bool))


def equal(x: TensorLike, y: TensorLike, name: str | None = None) -> Tensor:
    """Whether elements are equal; texts as well."""
    same: Tensor | None = _alike(x, y)
    return ops.equal(x, y) if same is None else same


def not_equal(x: TensorLike, y: TensorLike, name: str | None = None) -> Tensor:
    """Whether elements differ; texts as well."""
    same: Tensor | None = _alike(x, y)
    return ops.not_equal(x, y) if same is None else ops.logical_not(same)


def matmul(
    a: TensorLike, b: TensorLike, transpose_a: bool = False, transpose_b: bool = False,
    adjoint_a: bool = False, adjoint_b: bool = False, name: str | None = None,
) -> Tensor:  # fmt: skip
    """Products of matrices, each of which may be transposed first."""
    x = ops.swapaxes(a, -2, -1) if transpose_a or adjoint_a else a
    y = ops.swapaxes(b, -2, -1) if transpose_b or adjoint_b else b
    return ops.matmul(x, y)


def eye(
    num_rows: Any, num_columns: Any = None, batch_shape: Any = None, dtype: DTypeLike = None,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """Matrices with ones on their diagonal."""
    found = ops.eye(num_rows, num_columns, dtype=dtype)
    return found if batch_shape is None else ops.broadcast_to(found, (*batch_shape, *found.shape))


def _running(join: str, x: TensorLike, axis: int, exclusive: bool, reverse: bool) -> Tensor:
    x = ops.convert_to_tensor(x)
    x = ops.flip(x, axis=axis) if reverse else x
    if exclusive:
        rank = len(x.shape)
        at = axis % rank
        sides = [(0, 0)] * at + [(1, 0)] + [(0, 0)] * (rank - at - 1)
        cut = tuple(slice(0, -1) if i == at else slice(None) for i in range(rank))
        x = ops.pad(x, sides, constant_values=0 if join == "cumsum" else 1)[cut]
    found = getattr(ops, join)(x, axis=axis)
    return ops.flip(found, axis=axis) if reverse else found


def cumsum(
    x: TensorLike,
    axis: int = 0,
    exclusive: bool = False,
    reverse: bool = False,
    name: str | None = None,
) -> Tensor:
    """Running sums along an axis; exclusive ones leave the element itself out."""
    return _running("cumsum", x, axis, exclusive, reverse)


def cumprod(
    x: TensorLike,
    axis: int = 0,
    exclusive: bool = False,
    reverse: bool = False,
    name: str | None = None,
) -> Tensor:
    """Running products along an axis; exclusive ones leave the element itself out."""
    return _running("cumprod", x, axis, exclusive, reverse)


def scalar_mul(scalar: Any, x: TensorLike, name: str | None = None) -> Tensor:
    """A number times a tensor."""
    return ops.multiply(scalar, x)


def as_dtype(type_value: Any) -> DType:
    """The type that values are kept in."""
    return TYPES[stored_dtype(type_value)]


def identity_n(input: TensorLike, name: str | None = None) -> list[Tensor]:
    """The tensors themselves."""
    return [ops.convert_to_tensor(x) for x in input]


def recompute_grad(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f`: what is kept for gradients is decided by the compiled program."""
    return f


acos, asin, atan = ops.arccos, ops.arcsin, ops.arctan
acosh, asinh, atanh = ops.arccosh, ops.arcsinh, ops.arctanh
atan2, truediv, realdiv = ops.arctan2, ops.true_divide, ops.true_divide
floordiv, floormod = ops.floor_divide, ops.mod


def constant(
    value: TensorLike, dtype: DTypeLike = None, shape: Any = None, name: str | None = None
) -> Tensor:
    """`value` as a tensor, spread over `shape` when given."""
    x = ops.convert_to_tensor(value, dtype)
    if shape is None:
        return x
    return ops.reshape(x, shape) if x.size == np.prod(shape) else ops.broadcast_to(x, shape=shape)


def _shaped(name: str, x: TensorLike, *args: Any, **kwargs: Any) -> Any:
    """A function of shapes that `ops` and NumPy have alike; text is an array of NumPy's."""
    # An open size stays one: what it becomes can be part of a shape.
    x = x if x.__class__ is Dim else ops.convert_to_tensor(x)
    return getattr(np if isinstance(x, np.ndarray) else ops, name)(x, *args, **kwargs)


def expand_dims(input: TensorLike, axis: int, name: str | None = None) -> Any:
    """A new axis of size 1."""
    return _shaped("expand_dims", input, axis)


def reshape(tensor: TensorLike, shape: Any, name: str | None = None) -> Any:
    """The same elements under another shape."""
    return _shaped("reshape", tensor, shape)


def squeeze(input: TensorLike, axis: Axis = None, name: str | None = None) -> Any:
    """Without axes of size 1."""
    return _shaped("squeeze", input, axis=axis)


def identity(input: TensorLike, name: str | None = None) -> Tensor:
    """The tensor itself."""
    return ops.convert_to_tensor(input)


def fill(dims: Sequence[int], value: TensorLike, name: str | None = None) -> Tensor:
    """`value` everywhere."""
    if isinstance(value, Tensor | KerasTensor) or hasattr(value, "value"):
        return ops.full(dims, value, str(value.dtype))
    kind = np.asarray(value).dtype.kind
    return ops.full(dims, value, {"b": "bool", "i": "int32", "u": "int32"}.get(kind))


def range_(start: Any, limit: Any = None, delta: Any = 1, dtype: DTypeLike = None) -> Tensor:
    """Numbers from `start` below `limit`."""
    first, end, step = (v.item() if isinstance(v, Tensor) else v for v in (start, limit, delta))
    return ops.arange(first, end, step, dtype)


def _reduction(name: str, ours: Callable[..., Any], doc: str) -> Callable[..., Tensor]:
    def reduce(
        input_tensor: TensorLike, axis: Axis = None, keepdims: bool = False, name: str | None = None
    ) -> Tensor:
        return ours(input_tensor, axis=axis, keepdims=keepdims)

    reduce.__name__ = reduce.__qualname__ = name
    reduce.__doc__ = doc
    return reduce


reduce_sum = _reduction("reduce_sum", ops.sum, "Sum over `axis`.")
reduce_mean = _reduction("reduce_mean", ops.mean, "Mean over `axis`.")
reduce_max = _reduction("reduce_max", ops.max, "Largest element over `axis`.")
reduce_min = _reduction("reduce_min", ops.min, "Smallest element over `axis`.")
reduce_prod = _reduction("reduce_prod", ops.prod, "Product over `axis`.")
reduce_all = _reduction("reduce_all", ops.all, "Whether all are true over `axis`.")
reduce_any = _reduction("reduce_any", ops.any, "Whether any is true over `axis`.")
reduce_logsumexp = _reduction("reduce_logsumexp", ops.logsumexp, "log(sum(exp(x))) over `axis`.")
reduce_std = _reduction("reduce_std", ops.std, "Standard deviation over `axis`.")
reduce_variance = _reduction("reduce_variance", ops.var, "Variance over `axis`.")


def _norm(x: TensorLike, axis: Axis, keepdims: bool) -> Tensor:
    x = ops.convert_to_tensor(x)
    # The type is the operand's, as for every reduction of TensorFlow: whole numbers are cut.
    kind = "int32" if x.dtype == "int32" else "float32"
    return ops.cast(ops.norm(ops.cast(x, "float32"), None, axis, keepdims), kind)


reduce_euclidean_norm = _reduction("reduce_euclidean_norm", _norm, "Euclidean norm over `axis`.")


def argmax(input: TensorLike, axis: int | None = 0, output_type: Any = None) -> Tensor:
    """Position of the largest element along `axis`, the first unless told."""
    return ops.argmax(input, axis=0 if axis is None else axis)


def argmin(input: TensorLike, axis: int | None = 0, output_type: Any = None) -> Tensor:
    """Position of the smallest element along `axis`, the first unless told."""
    return ops.argmin(input, axis=0 if axis is None else axis)


def transpose(a: TensorLike, perm: Sequence[int] | None = None, name: str | None = None) -> Tensor:
    """Axes in another order, reversed when None."""
    return ops.transpose(a, perm)


def split(value: TensorLike, num_or_size_splits: Any, axis: int = 0) -> list[Tensor]:
    """`value` cut along an axis into equal parts, or into parts of these sizes."""
    if ops.ndim(num_or_size_splits) == 0:
        return ops.split(value, int(num_or_size_splits), axis)
    sizes = [int(n) for n in num_or_size_splits]
    if -1 in sizes:
        total = ops.shape(value)[axis]
        if total is None:
            raise DataError("split: -1 needs a known size\n  hint: give all the sizes")
        sizes[sizes.index(-1)] = total - sum(sizes) - 1
    return ops.split(value, [int(i) for i in np.cumsum(sizes)[:-1]], axis)


def one_hot(
    indices: TensorLike, depth: int, on_value: Any = 1, off_value: Any = 0, axis: int = -1,
    dtype: DTypeLike = None,
) -> Tensor:  # fmt: skip
    """Rows with `on_value` at the place that `indices` names."""
    hot = ops.one_hot(indices, depth, axis=axis)
    out = hot if (on_value, off_value) == (1, 0) else hot * (on_value - off_value) + off_value
    return ops.cast(out, dtype or "float32")


def pad(
    tensor: TensorLike, paddings: Any, mode: str = "CONSTANT", constant_values: float = 0.0
) -> Tensor:
    """A border around a tensor."""
    mode = mode.lower()
    value = constant_values if mode == "constant" else None
    return ops.pad(tensor, paddings, mode, value)


def reverse(tensor: TensorLike, axis: Any) -> Tensor:
    """Axes in reverse."""
    return ops.flip(tensor, axis)


def clip_by_value(t: TensorLike, clip_value_min: Any, clip_value_max: Any) -> Tensor:
    """Elements brought between two limits."""
    return ops.clip(t, clip_value_min, clip_value_max)


@keras_op
def clip_by_norm(t: TensorLike, clip_norm: Any, axes: Axis = None) -> Tensor:
    """`t` with its norm brought down to `clip_norm`."""
    t = ops.convert_to_tensor(t, "float32")
    size = ops.norm(t, axis=axes, keepdims=axes is not None)
    return t * clip_norm / ops.maximum(size, clip_norm)


def global_norm(t_list: Sequence[TensorLike]) -> Tensor:
    """The norm of all tensors together; None among them is passed over."""
    norms = [ops.norm(t) for t in t_list if t is not None]
    return ops.norm(ops.stack(norms)) if norms else ops.convert_to_tensor(0.0)


def clip_by_global_norm(
    t_list: Sequence[TensorLike], clip_norm: Any, use_norm: Any = None
) -> tuple[list[Any], Tensor]:
    """Tensors scaled together so that their common norm is at most `clip_norm`; and that norm."""
    size = global_norm(t_list) if use_norm is None else use_norm
    scale = clip_norm / ops.maximum(size, clip_norm)
    return [None if t is None else t * scale for t in t_list], size


def pow(x: TensorLike, y: TensorLike) -> Tensor:
    """X to the power of y."""
    return ops.power(x, y)


def map_fn(fn: Callable[..., Any], elems: Any, **_: Any) -> Any:
    """`fn` of every slice of the first axis, stacked."""
    return ops.map(fn, elems)


def _down(direction: str) -> bool:
    if direction not in ("ASCENDING", "DESCENDING"):
        raise ValueError(
            f"direction is {direction!r}, wanted 'ASCENDING' or 'DESCENDING'\n"
            "  hint: direction='DESCENDING'"
        )
    return direction == "DESCENDING"


def sort(values: TensorLike, axis: int = -1, direction: str = "ASCENDING") -> Tensor:
    """The elements in order along an axis."""
    x = ops.sort(values, axis=axis)
    return ops.flip(x, axis=axis) if _down(direction) else x


def argsort(values: TensorLike, axis: int = -1, direction: str = "ASCENDING") -> Tensor:
    """Where the elements in order stand; of equal ones the first comes first."""
    x = ops.convert_to_tensor(values)
    if not _down(direction):
        return ops.argsort(x, axis=axis)
    last = ops.shape(x)[axis] - 1
    return ops.flip(last - ops.argsort(ops.flip(x, axis=axis), axis=axis), axis=axis)


def add_n(inputs: Sequence[TensorLike]) -> Tensor:
    """The sum of tensors."""
    return functools.reduce(ops.add, inputs)


def ensure_shape(x: TensorLike, shape: Sequence[int | None]) -> Tensor:
    """`x`, when it has this shape; None fits any size."""
    t = ops.convert_to_tensor(x)
    fits = len(t.shape) == len(shape) and all(
        a is None or b is None or a == b for a, b in zip(t.shape, shape, strict=False)
    )
    if not fits:
        raise DataError(f"ensure_shape: got {t.shape}, wanted {tuple(shape)}\n  hint: reshape it")
    return t


class UnconnectedGradients:
    """What a tape gives for sources that a target does not depend on."""

    NONE, ZERO = "none", "zero"


def is_tensor(x: object) -> bool:
    """True for tensors."""
    return ops.is_tensor(x)


def print_(*args: Any, **kwargs: Any) -> None:
    """Prints values; while a step is traced their shapes."""
    kwargs.pop("output_stream", None)
    kwargs.pop("summarize", None)
    known = [np.asarray(a) if isinstance(a, Tensor) and not a.is_traced else a for a in args]
    print(*known, **kwargs)


def group(*_: Any, **__: Any) -> None:
    """Nothing: updates happen where they are written."""


no_op = group


# ---- what `tf.nn` and `tf.linalg` have beside -------------------------------------------------
def softmax_cross_entropy_with_logits(
    labels: TensorLike, logits: TensorLike, axis: int = -1
) -> Any:
    """Cross entropy of distributions and logits, per sample."""
    return ops.categorical_crossentropy(labels, logits, from_logits=True, axis=axis)


def sparse_softmax_cross_entropy_with_logits(labels: TensorLike, logits: TensorLike) -> Any:
    """Cross entropy of class numbers and logits, per sample."""
    return ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)


def sigmoid_cross_entropy_with_logits(labels: TensorLike, logits: TensorLike) -> Any:
    """Cross entropy of truth values and logits, per element."""
    return ops.binary_crossentropy(labels, logits, from_logits=True)


def l2_normalize(x: TensorLike, axis: Axis = None, epsilon: float = 1e-12) -> Tensor:
    """`x` over its Euclidean norm along `axis`, or that of all of it."""
    return ops.normalize(x, axis=axis, order=2, epsilon=epsilon**0.5)


def l2_loss(t: TensorLike) -> Tensor:
    """Half the sum of squares."""
    return ops.sum(ops.square(t)) * 0.5


class TopK(NamedTuple):
    """The largest elements and where they are."""

    values: Tensor
    indices: Tensor


def top_k(input: TensorLike, k: int = 1, sorted: bool = True) -> TopK:
    """The k largest elements of the last axis and their positions."""
    return TopK(*ops.top_k(input, k))


def matrix_transpose(a: TensorLike) -> Tensor:
    """The last two axes exchanged."""
    return ops.swapaxes(a, -2, -1)
