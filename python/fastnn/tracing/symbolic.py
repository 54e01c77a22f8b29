"""Symbolic tensors of functional models: what `Input` returns and layers give back.

A `KerasTensor` is a shape and a type with its provenance: the node, that is the layer or op call,
that made it. Provenance lives on this side only, so the graph of layers can be run again on other
inputs, cut, copied, summarised and saved. Behind it stands a traced tensor of the core, whose open
sizes are expressions over symbols: here they are None, as in Keras. Depends on `_core`.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from numbers import Number
from typing import Any, ClassVar, Self, TypeVar

import numpy as np

from fastnn import _core
from fastnn._core import Dim
from fastnn.base import tree
from fastnn.base.arguments import refuse_unfit
from fastnn.base.caching import cached
from fastnn.base.tensors import TYPES, DType, TensorShape, given_shape
from fastnn.base.typing import DTypeLike, Shape
from fastnn.config import stored_dtype, unique_name
from fastnn.errors import DataError, ShapeError, unknown_name
from fastnn.tracing.known_ops import known_ops
from fastnn.tracing.size_vectors import Sizes
from fastnn.tracing.variables import Scope, Variable, current_scope

__all__ = [
    "KerasTensor", "Node", "OpCall", "holds_tensors", "infer", "is_symbolic", "keras_op", "record",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])


class OpCall:
    """An op used between layers of a functional model; `name` is its name in `fastnn.ops`."""

    key: str
    name: str

    def __init__(self, fn: Callable[..., Any], op_name: str, key: str = "") -> None:
        self.fn = fn
        self.op_name = op_name
        #: What files call it: an operator's method or the name of a function.
        self.key = key or op_name
        self.name = unique_name(op_name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the function."""
        return self.fn(*args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by name, as in files; functions outside `fastnn.ops` by Python's rules."""
        known = self.key in OPERATORS or self.key in METHODS or self.key in known_ops()
        return _op_again, (None if known else self.fn, self.op_name, self.key, self.name)


class Node:
    """One call of a layer or op: what was called, with which arguments, giving which outputs."""

    def __init__(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.operation = operation
        self.args = args
        self.kwargs = kwargs
        self.outputs: Any = None

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic tensors among the arguments, in order."""
        leaves = tree.flatten([self.args, self.kwargs])
        return [x for x in leaves if isinstance(x, KerasTensor)]

    @property
    def starts(self) -> bool:
        """True for an `Input`: nothing was called. An op on an open size has no inputs either."""
        return not (self.args or self.kwargs)


def _method(name: str) -> Callable[..., Any]:
    def call(x: Any, *args: Any) -> Any:
        return getattr(x, name)(*args)

    return call


def _op_again(fn: Any, op_name: str, key: str, name: str) -> OpCall:
    call = op_call(key, known_ops(), op_name) if fn is None else OpCall(fn, op_name, key)
    call.name = name
    return call


#: NumPy's functions behind operators, `array + x`, and the method of an operand on the right.
_REFLECTED = {
    "add": "__radd__", "subtract": "__rsub__", "multiply": "__rmul__", "divide": "__rtruediv__",
    "floor_divide": "__rfloordiv__", "remainder": "__rmod__", "power": "__rpow__",
    "matmul": "__rmatmul__", "less": "__gt__", "less_equal": "__ge__", "greater": "__lt__",
    "greater_equal": "__le__", "equal": "__eq__", "not_equal": "__ne__",
    "logical_and": "__rand__", "logical_or": "__ror__",
    "logical_xor": "__rxor__", "bitwise_and": "__rand__", "bitwise_or": "__ror__",
    "bitwise_xor": "__rxor__",
}  # fmt: skip
#: Methods of KerasTensor as files name them.
METHODS = ("reshape()", "astype()")
#: Python operators of KerasTensor and the name of the op that each stands for.
OPERATORS: dict[str, str] = {}


def _unary(dunder: str, op_name: str) -> Callable[[Any], Any]:
    """A method that records the operator as a node."""
    call = _method(dunder)
    OPERATORS[dunder] = op_name

    def method(self: Any) -> Any:
        return record(call, op_name, (self,), {}, dunder)

    method.__name__ = dunder
    return method


def _binary(dunder: str, op_name: str) -> Callable[[Any, Any], Any]:
    """A method that records the operator with its operand as a node."""
    call = _method(dunder)
    OPERATORS[dunder] = op_name

    def method(self: Any, other: Any, /) -> Any:
        if other.__class__ in (list, tuple) and dunder != "__getitem__" and is_symbolic(other):
            raise TypeError(
                f"{op_name} of {self!r} and a {type(other).__name__} of symbolic tensors, wanted "
                "one tensor\n  hint: fastnn.ops.stack(tensors), or one operation for each of them"
            )
        return record(call, op_name, (self, other), {}, dunder)

    method.__name__ = dunder
    return method


def _computed(dtype: DTypeLike) -> str:
    """The type of the core, which sees numbers where a text input has been read."""
    return "int32" if dtype == "string" else stored_dtype(dtype)


class KerasTensor:
    """A value known by shape and type: what `Input`, and calls of layers on it, give.

    Layers, `fastnn.ops` and `Model` take it.

    Args:
        shape: All sizes with the batch; None for one that is open.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.
        sparse: Not supported; False.
        ragged: Not supported; False.
        record_history: Accepted for Keras's sake.
        name: The name of the object; made from the class name when left out.

    Example:
        >>> x = fastnn.Input((4,))
        >>> (x + 1.0).shape
        (None, 4)
    """

    dtype: DType
    name: str
    index: int

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """`array + x` is the operator of this class; other functions of NumPy have no value."""
        name = _REFLECTED.get(ufunc.__name__) if method == "__call__" and not kwargs else None
        if name is None or isinstance(inputs[0], KerasTensor):
            raise self._no_value(f"np.{ufunc.__name__}")
        return getattr(self, name)(inputs[0])

    def __init__(
        self,
        shape: Sequence[int | None],
        dtype: DTypeLike = "float32",
        sparse: bool = False,
        ragged: bool = False,
        record_history: bool = True,
        name: str | None = None,
        **_: Any,
    ) -> None:
        if sparse or ragged:
            raise ValueError("sparse and ragged tensors are not supported\n  hint: a dense array")
        name = name or unique_name("keras_tensor")
        self._set(_core.placeholder(tuple(shape), dtype=_computed(dtype), name=name), name)
        self.dtype = TYPES["string"] if dtype == "string" else self.dtype

    def _set(self, spec: _core.Tensor, name: str = "") -> Self:
        #: The traced tensor.
        self.spec = spec
        #: Sizes; None is open: any batch, any number of steps.
        self.shape: TensorShape = known_sizes(spec.shape)
        #: Element type.
        self.dtype = spec.dtype
        self.name = name
        self.node: Node | None = None
        self.index = 0
        self.mask: Any = None
        return self

    @classmethod
    def of(cls, spec: _core.Tensor) -> Self:
        """The symbolic form of a traced tensor."""
        return cls.__new__(cls)._set(spec)

    @classmethod
    def shaped(cls, shape: Shape, dtype: str = "float32") -> Self:
        """A symbolic tensor of this shape that nothing has made yet."""
        made = cls.__new__(cls)._set(_core.placeholder(tuple(shape), dtype=_computed(dtype)))
        made.dtype = TYPES["string"] if dtype == "string" else made.dtype
        return made

    def made(self, node: Node, name: str, index: int = 0) -> Self:
        """This tensor as result `index` of `node`."""
        self.node, self.name, self.index = node, name, index
        return self

    sparse = ragged = False
    truth: bool | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Shape, type and name: a copy has no past."""
        return {"shape": self.shape, "dtype": self.dtype, "name": self.name}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restores what `__getstate__` gave."""
        self.__init__(state["shape"], state["dtype"], name=state["name"])  # type: ignore[misc]

    @property
    def _keras_mask(self) -> Any:
        """The mask of the tensor, as Keras's layers keep it; None where there is none."""
        return self.mask

    @_keras_mask.setter
    def _keras_mask(self, mask: Any) -> None:
        self.mask = mask

    @_keras_mask.deleter
    def _keras_mask(self) -> None:
        self.mask = None

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def get_shape(self) -> TensorShape:
        """The sizes, as `shape`."""
        return self.shape

    def set_shape(self, shape: Sequence[int | None]) -> None:
        """ValueError unless the tensor has this shape; None fits any size."""
        given_shape(self.shape, shape)

    def __repr__(self) -> str:
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, name={self.name}>"

    def __bool__(self) -> bool:
        if self.truth is None:
            raise self._no_value("bool()")
        return self.truth

    def __float__(self) -> float:
        raise self._no_value("float()")

    def __int__(self) -> int:
        raise self._no_value("int()")

    def __array__(self, dtype: DTypeLike = None, copy: bool | None = None) -> Any:
        raise self._no_value("a NumPy function")

    def __iter__(self) -> Any:
        raise self._no_value("iteration")

    def _no_value(self, use: str) -> _core.TraceError:
        return _core.TraceError(
            f"{self!r} has no value yet, so {use} cannot read it\n"
            "  hint: use layers and fastnn.ops on it; for a choice, fastnn.ops.where(c, a, b)"
        )

    def reshape(self, *shape: int) -> Any:
        """The same elements under another shape."""
        return record(_method("reshape"), "reshape", (self, *shape), {}, "reshape()")

    def squeeze(self, axis: Any = None) -> Any:
        """The same elements without axes of size 1: these axes, or all there are."""
        return known_ops()["squeeze"](self, axis=axis)

    def __round__(self, ndigits: int | None = None) -> Any:
        return known_ops()["round"](self, decimals=ndigits or 0)

    def __divmod__(self, other: Any) -> tuple[Any, Any]:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> tuple[Any, Any]:
        return other // self, other % self

    def astype(self, dtype: str) -> Any:
        """Converted elements."""
        return record(_method("astype"), "cast", (self, dtype), {}, "astype()")

    __add__: Callable[[Any, Any], Any] = _binary("__add__", "add")
    __radd__: Callable[[Any, Any], Any] = _binary("__radd__", "add")
    __sub__: Callable[[Any, Any], Any] = _binary("__sub__", "subtract")
    __rsub__: Callable[[Any, Any], Any] = _binary("__rsub__", "subtract")
    __mul__: Callable[[Any, Any], Any] = _binary("__mul__", "multiply")
    __rmul__: Callable[[Any, Any], Any] = _binary("__rmul__", "multiply")
    __truediv__: Callable[[Any, Any], Any] = _binary("__truediv__", "divide")
    __rtruediv__: Callable[[Any, Any], Any] = _binary("__rtruediv__", "divide")
    __floordiv__: Callable[[Any, Any], Any] = _binary("__floordiv__", "floor_divide")
    __rfloordiv__: Callable[[Any, Any], Any] = _binary("__rfloordiv__", "floor_divide")
    __mod__: Callable[[Any, Any], Any] = _binary("__mod__", "mod")
    __rmod__: Callable[[Any, Any], Any] = _binary("__rmod__", "mod")
    __pow__: Callable[[Any, Any], Any] = _binary("__pow__", "power")
    __rpow__: Callable[[Any, Any], Any] = _binary("__rpow__", "power")
    __matmul__: Callable[[Any, Any], Any] = _binary("__matmul__", "matmul")
    __rmatmul__: Callable[[Any, Any], Any] = _binary("__rmatmul__", "matmul")
    __and__: Callable[[Any, Any], Any] = _binary("__and__", "logical_and")
    __rand__: Callable[[Any, Any], Any] = _binary("__rand__", "logical_and")
    __or__: Callable[[Any, Any], Any] = _binary("__or__", "logical_or")
    __ror__: Callable[[Any, Any], Any] = _binary("__ror__", "logical_or")
    __xor__: Callable[[Any, Any], Any] = _binary("__xor__", "logical_xor")
    __rxor__: Callable[[Any, Any], Any] = _binary("__rxor__", "logical_xor")
    __invert__: Callable[[Any], Any] = _unary("__invert__", "logical_not")
    __neg__: Callable[[Any], Any] = _unary("__neg__", "negative")
    __abs__: Callable[[Any], Any] = _unary("__abs__", "absolute")
    _equal: ClassVar[Callable[[Any, Any], Any]] = _binary("__eq__", "equal")
    _not_equal: ClassVar[Callable[[Any, Any], Any]] = _binary("__ne__", "not_equal")

    def __eq__(self, other: Any) -> Any:
        return self._compared(other, self._equal, same=True)

    def __ne__(self, other: Any) -> Any:
        return self._compared(other, self._not_equal, same=False)

    def _compared(self, other: Any, record: Callable[[Any], Any], same: bool) -> Any:
        """The comparison, recorded; for a condition or `in` whether both are one object."""
        truth = same if self is other else not same
        if isinstance(other, KerasTensor):
            try:
                result = record(other)
            except (DataError, ShapeError):
                return truth
            result.truth = truth
            return result
        is_numbers = isinstance(other, Number) or hasattr(other, "__array__")
        return record(other) if is_numbers else truth

    def __hash__(self) -> int:
        return id(self)  # in dicts and sets, equal is the same object

    __lt__: Callable[[Any, Any], Any] = _binary("__lt__", "less")
    __le__: Callable[[Any, Any], Any] = _binary("__le__", "less_equal")
    __gt__: Callable[[Any, Any], Any] = _binary("__gt__", "greater")
    __ge__: Callable[[Any, Any], Any] = _binary("__ge__", "greater_equal")
    __getitem__: Callable[[Any, Any], Any] = _binary("__getitem__", "get_item")


def op_call(key: str, known: Mapping[str, Callable[..., Any]], op_name: str) -> OpCall:
    """The op call that a file names: an operator, or one of the `known` functions."""
    if key in OPERATORS or key in METHODS:
        return OpCall(_method(key.removesuffix("()")), op_name, key)
    if key not in known:
        raise unknown_name("op in a saved model", key, known)
    return OpCall(known[key], op_name, key)


def is_symbolic(value: Any) -> bool:
    """True when a KerasTensor is among the leaves of `value`."""
    if isinstance(value, KerasTensor):
        return True
    if isinstance(value, dict | list | tuple):
        return any(isinstance(x, KerasTensor) for x in tree.flatten(value))
    return False


def known_size(size: Any) -> int | None:
    """The number that a size is, in the data at hand while a step is traced; None where open."""
    try:
        return None if size is None else int(size)
    except _core.TraceError:
        return None


def known_sizes(shape: Sequence[Any]) -> TensorShape:
    """Sizes as Keras writes them: None where one is open."""
    return TensorShape(d if isinstance(d, int) else None for d in shape)


def shape_of(x: Any) -> tuple[Any, ...]:
    """The sizes of a tensor, array or symbolic tensor, open ones as sizes to compute with."""
    sizes = x.spec.shape if isinstance(x, KerasTensor) else getattr(x, "shape", None)
    if sizes is None:
        return np.shape(x)
    return tuple(Dim.named("batch") if d is None else d for d in sizes)


def specs(value: Any) -> Any:
    """`value` with every KerasTensor replaced by its traced tensor."""
    return tree.map_structure(lambda x: x.spec if isinstance(x, KerasTensor) else x, value)


def infer(
    given: Any, run: Callable[[Callable[[Any], Any]], Any], tries: Callable[[], bool] | None = None
) -> Any:
    """Symbolic forms of what `run` gives for `given`; sizes that follow from open ones are None.

    `run` gets a function that replaces the symbolic tensors in a structure by traced ones. It may
    need sizes as numbers: then it runs for some of them, unless `tries` says that it must not.
    """
    try:
        return tree.map_structure(_symbolic, run(specs))
    except (_core.TraceError, _core.ShapeError):
        found = _tried(given, run) if tries is None or tries() else None
        if found is None:
            raise
        return found


#: What stands for the first open size, and how much more for each further one. Multiples of 32, as
#: steps and blocks may have to divide them, and a small one that shows what is bounded by others.
_TRIED = ((3, 2), (96, 64), (128, 192), (1536, 1024), (2048, 3072))


def _tried(given: Any, run: Callable[[Callable[[Any], Any]], Any]) -> Any:
    """What `run` gives where open sizes are numbers, those that change with them open again.

    None where it does not run for two of the numbers, or what it gives is not alike.
    """
    inputs = [x for x in tree.flatten(given) if isinstance(x, KerasTensor)]
    sizes = [d for x in inputs for d in x.spec.shape if isinstance(d, Dim)]
    names = list(dict.fromkeys(name for d in sizes for name in d.names))
    found: list[Any] = []
    for first, more in _TRIED if names else ():
        numbers = {name: first + more * at for at, name in enumerate(names)}
        stand_ins = {id(x): _of_sizes(x, numbers) for x in inputs}

        put = functools.partial(_replaced, stand_ins)
        with contextlib.suppress(_core.TraceError, _core.ShapeError, ValueError):
            found.append(run(put))
    if len(found) < 2 or any(tree.structure(out) != tree.structure(found[0]) for out in found):
        return None
    alike = list(zip(*map(tree.flatten, found), strict=True))
    if any(len({_traced(x).ndim for x in leaves}) > 1 for leaves in alike):
        return None
    return tree.pack(found[0], [_common(leaves) for leaves in alike])


def _replaced(by: dict[int, Any], value: Any) -> Any:
    return tree.map_structure(lambda x: by.get(id(x), x), value)


def _of_sizes(x: KerasTensor, numbers: dict[str, int]) -> _core.Tensor:
    shape = [d.bind(numbers) if isinstance(d, Dim) else d for d in x.spec.shape]
    return _core.placeholder(shape, dtype=x.spec.dtype)


def _common(leaves: Sequence[Any]) -> KerasTensor:
    """The symbolic tensor that stands for all of these: a size in which they differ is open."""
    one, *others = map(_traced, leaves)
    open_sizes = _core.placeholder((None,) * (one.ndim + 1)).shape[1:]
    shape = [
        (Dim.named("batch") if d is None else d) if all(x.shape[at] == d for x in others) else size
        for at, (d, size) in enumerate(zip(one.shape, open_sizes, strict=True))
    ]
    return KerasTensor.of(_core.placeholder(shape, dtype=one.dtype))


def _symbolic(x: Any) -> KerasTensor:
    x = _traced(x)
    if not x.is_traced:
        return KerasTensor.of(x)
    # Only shape and type count: what the weights were when it was made is not held.
    sizes = [Dim.named("batch") if d is None else d for d in x.shape]
    return KerasTensor.of(_core.placeholder(sizes, dtype=x.dtype))


def _traced(x: Any) -> _core.Tensor:
    return x if isinstance(x, _core.Tensor) else _core.tensor(value_of(x))


def wrap(outputs: Any, node: Node, name: str) -> Any:
    """Notes inferred `outputs` as the results of `node`."""
    for i, x in enumerate(tree.flatten(outputs)):
        x.made(node, name, i)
    node.outputs = outputs
    return outputs


def record(
    fn: Callable[..., Any], op_name: str, args: Any, kwargs: dict[str, Any], key: str = ""
) -> Any:
    """Calls `fn` on the traced tensors behind symbolic arguments and notes the call as a node."""
    operation = OpCall(fn, op_name, key)
    node = Node(operation, args, kwargs)

    def run(replaced: Callable[[Any], Any]) -> Any:
        with Scope(training=False):
            return fn(*replaced(list(args)), **replaced(kwargs))

    return wrap(infer([args, kwargs], run), node, operation.name)


def call_again(operation: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """What a layer or op gives for symbolic arguments, in a graph that is made a second time."""
    if not args and not kwargs:
        return operation.output
    if not isinstance(operation, OpCall):
        return operation(*args, **kwargs)
    outputs = record(operation.fn, operation.op_name, args, kwargs, operation.key)
    for x in tree.flatten(outputs):
        x.node.operation.name = x.name = operation.name
    return outputs


def keras_op(fn: F, quick: Callable[..., Any] | None = None) -> F:
    """Makes a function of tensors usable inside functional models, on KerasTensors.

    Where nothing is recorded, `quick` is called, which does the same as `fn`.
    """
    run = quick or fn
    tensor = _core.Tensor
    none = object()  # where nothing is given by position

    @functools.wraps(fn)
    def op(first: Any = none, second: Any = none, /, *args: Any, **kwargs: Any) -> Any:
        given: Any = none
        try:
            # Calls with one or two operands, or one and settings, are most of them: without a loop.
            if first.__class__ is tensor and not args:
                if not kwargs:
                    if second is none:
                        return run(first)
                    if second.__class__ in _PLAIN or _is_plain(second):
                        return run(first, second)
                elif second is none:
                    for a in kwargs.values():
                        if a.__class__ not in _PLAIN:
                            break
                    else:
                        return run(first, **kwargs)
            if first is not none:
                args = (first, *args) if second is none else (first, second, *args)
            given = args
            listed = False
            for a in args:
                kind = a.__class__
                if kind is tensor:
                    continue
                if kind is KerasTensor:
                    return record(fn, fn.__name__, args, kwargs)
                if kind in _MAY_HOLD and not _is_plain(a):
                    if not _is_of_tensors(a) and _is_recorded(a, args, kwargs):
                        return record(op, fn.__name__, args, kwargs)
                    listed = listed or kind in _LISTS
            for a in kwargs.values():
                if a.__class__ is not tensor and not _is_plain(a):
                    if _is_recorded(kwargs, args, kwargs):
                        return record(op, fn.__name__, args, kwargs)
                    listed = True
                    break
            if listed:
                args, kwargs = _lists_as_tensors(fn, args, kwargs)
            return run(*args, **kwargs)
        except TypeError as error:
            if "hint:" not in str(error):  # the core's errors have one
                if given is none:
                    given = (first,) if second is none else (first, second)
                refuse_unfit(f"{fn.__name__}()", fn, given, kwargs)
            raise

    return op  # type: ignore[return-value]


@cached()
def _of_tensors(fn: Callable[..., Any]) -> tuple[frozenset[int], frozenset[str]]:
    """Places and names of the parameters that take one tensor; -1 for `*args` of tensors."""
    places, names = set(), set()
    for at, (name, p) in enumerate(inspect.signature(fn).parameters.items()):
        row = p.annotation is p.empty and p.default is p.empty  # rows say nothing of their operands
        if row or str(p.annotation).split(" ")[0] == "TensorLike":
            places.add(-1 if p.kind is p.VAR_POSITIONAL else at)
            names.add(name)
    return frozenset(places), frozenset(names)


def _lists_as_tensors(
    fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Lists of tensors as one tensor where `fn` takes one, so that gradients flow through them."""
    places, names = _of_tensors(fn)
    return (
        tuple(_as_one(a) if at in places or -1 in places else a for at, a in enumerate(args)),
        {name: _as_one(a) if name in names else a for name, a in kwargs.items()},
    )


def _as_one(value: Any) -> Any:
    if value.__class__ not in (list, tuple) or not holds_tensors(value):
        return value
    return known_ops()["convert_to_tensor"](value)


#: Lists that are looked through for tensors.
_SHORT = 64


def holds_tensors(x: Any) -> bool:
    """Whether there is a tensor or a variable in nested lists; of long ones the first item says."""
    return any(
        v.__class__ is _core.Tensor
        or isinstance(v, Variable)
        or (v.__class__ in (list, tuple) and holds_tensors(v))
        for v in (x if len(x) <= _SHORT else x[:1])
    )


# Classes of arguments that may be or hold what makes a call part of a functional model.
_MAY_HOLD = frozenset({Dim, Sizes, TensorShape, list, tuple, dict})
# Classes of values that never do, and of lists of such values.
_PLAIN = frozenset({int, float, bool, str, DType, types.NoneType, _core.Tensor})
_TENSORS: frozenset[type] = frozenset({_core.Tensor})
_NUMBERS = _PLAIN - _TENSORS
_LISTS = frozenset({list, tuple, TensorShape})


def _is_plain(value: Any) -> bool:
    """Whether a value shows at a glance that no functional model is about."""
    kind = value.__class__
    if kind in _PLAIN:
        return True
    return kind in _LISTS and _NUMBERS.issuperset(map(type, value))


def _is_of_tensors(value: Any) -> bool:
    """Whether a value is a list of tensors alone, none of which is symbolic."""
    kind = value.__class__
    return kind in _LISTS and _TENSORS.issuperset(map(type, value))


def _is_recorded(value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a call with `value` among its arguments is a node of a functional model.

    One with a symbolic tensor is, and one that computes with an open size alone, outside of any
    trace: the size is another one for each input of the model.
    """
    leaves = tree.flatten(value)
    if any(isinstance(x, KerasTensor) for x in leaves):
        return True
    if current_scope() is not None or not any(isinstance(x, Dim) for x in leaves):
        return False
    return not any(isinstance(x, _core.Tensor) for x in tree.flatten([args, kwargs]))


def value_of(x: Any) -> Any:
    """The tensor that stands for a variable; other values pass through."""
    return x.value if isinstance(x, Variable) else x
