"""Symbolic tensors of functional models: what `Input` returns and layers give back.

A `KerasTensor` is a traced tensor (`spec`, for shape and type) with its provenance: the node, that
is the layer or op call, that made it. Provenance lives on this side only, so the graph of layers
can be run again on other inputs, cut, copied, summarised and saved. Depends on `_core`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar

from fastnn import _core, tree
from fastnn.config import stored_dtype, unique_name
from fastnn.errors import unknown_name
from fastnn.variables import Scope, Variable

__all__ = ["KerasTensor", "Node", "OpCall", "is_symbolic", "keras_op", "record"]

F = TypeVar("F", bound=Callable[..., Any])
Dims = tuple[int | None, ...]


class OpCall:
    """An op used between layers of a functional model; `name` is its name in `fastnn.ops`."""

    def __init__(self, fn: Callable[..., Any], op_name: str, key: str = "") -> None:
        self.fn = fn
        self.op_name = op_name
        #: What files call it: an operator's method or the name of a function.
        self.key = key or op_name
        self.name = unique_name(op_name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the function."""
        return self.fn(*args, **kwargs)


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


def _method(name: str) -> Callable[..., Any]:
    def call(x: Any, *args: Any) -> Any:
        return getattr(x, name)(*args)

    return call


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
        return record(call, op_name, (self, other), {}, dunder)

    method.__name__ = dunder
    return method


class KerasTensor:
    """A value known by shape and type; give it to layers, `fastnn.ops` and `Model`."""

    __array_ufunc__ = None

    def __init__(
        self,
        shape: Sequence[int | None],
        dtype: Any = "float32",
        sparse: bool = False,
        ragged: bool = False,
        record_history: bool = True,
        name: str | None = None,
        **_: Any,
    ) -> None:
        if sparse or ragged:
            raise ValueError("sparse and ragged tensors are not supported\n  hint: a dense array")
        name = name or unique_name("keras_tensor")
        spec = _core.placeholder(tuple(shape), dtype=stored_dtype(dtype), name=name)
        self._set(spec, name)

    def _set(self, spec: _core.Tensor, name: str, node: Node | None = None, index: int = 0) -> Self:
        self.spec, self.name, self.node, self.index = spec, name, node, index
        self.mask: KerasTensor | None = None
        return self

    @classmethod
    def made(cls, spec: _core.Tensor, name: str, node: Node, index: int) -> Self:
        """The symbolic form of a traced tensor, result `index` of `node`."""
        return cls.__new__(cls)._set(spec, name, node, index)

    @property
    def shape(self) -> Dims:
        """Sizes; None is the batch."""
        return self.spec.shape

    @property
    def dtype(self) -> str:
        """Element type."""
        return self.spec.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __repr__(self) -> str:
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, name={self.name}>"

    def __bool__(self) -> bool:
        raise self._no_value("bool()")

    def __float__(self) -> float:
        raise self._no_value("float()")

    def __int__(self) -> int:
        raise self._no_value("int()")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
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

    def astype(self, dtype: str) -> Any:
        """Converted elements."""
        return record(_method("astype"), "cast", (self, dtype), {}, "astype()")

    __add__ = _binary("__add__", "add")
    __radd__ = _binary("__radd__", "add")
    __sub__ = _binary("__sub__", "subtract")
    __rsub__ = _binary("__rsub__", "subtract")
    __mul__ = _binary("__mul__", "multiply")
    __rmul__ = _binary("__rmul__", "multiply")
    __truediv__ = _binary("__truediv__", "divide")
    __rtruediv__ = _binary("__rtruediv__", "divide")
    __floordiv__ = _binary("__floordiv__", "floor_divide")
    __mod__ = _binary("__mod__", "mod")
    __pow__ = _binary("__pow__", "power")
    __rpow__ = _binary("__rpow__", "power")
    __matmul__ = _binary("__matmul__", "matmul")
    __rmatmul__ = _binary("__rmatmul__", "matmul")
    __neg__ = _unary("__neg__", "negative")
    __abs__ = _unary("__abs__", "absolute")
    __lt__ = _binary("__lt__", "less")
    __le__ = _binary("__le__", "less_equal")
    __gt__ = _binary("__gt__", "greater")
    __ge__ = _binary("__ge__", "greater_equal")
    __getitem__ = _binary("__getitem__", "get_item")


def op_call(key: str, known: dict[str, Callable[..., Any]], op_name: str) -> OpCall:
    """The op call that a file names: an operator, or one of the `known` functions."""
    if key in OPERATORS or key in ("reshape()", "astype()"):
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


def specs(value: Any) -> Any:
    """`value` with every KerasTensor replaced by its traced tensor."""
    return tree.map_structure(lambda x: x.spec if isinstance(x, KerasTensor) else x, value)


def wrap(outputs: Any, node: Node, name: str) -> Any:
    """KerasTensors for traced results of `node`."""
    leaves = [
        KerasTensor.made(x if isinstance(x, _core.Tensor) else _core.tensor(x), name, node, i)
        for i, x in enumerate(tree.flatten(outputs))
    ]
    node.outputs = tree.pack(outputs, leaves)
    return node.outputs


def record(
    fn: Callable[..., Any], op_name: str, args: Any, kwargs: dict[str, Any], key: str = ""
) -> Any:
    """Calls `fn` on the traced tensors behind symbolic arguments and notes the call as a node."""
    operation = OpCall(fn, op_name, key)
    node = Node(operation, args, kwargs)
    with Scope(training=False):
        outputs = fn(*specs(list(args)), **specs(kwargs))
    return wrap(outputs, node, operation.name)


def keras_op(fn: F) -> F:
    """Makes a function of tensors usable inside functional models, on KerasTensors."""

    @functools.wraps(fn)
    def op(*args: Any, **kwargs: Any) -> Any:
        for a in args:
            if a.__class__ is KerasTensor or (
                a.__class__ in (list, tuple, dict) and is_symbolic(a)
            ):
                return record(fn, fn.__name__, args, kwargs)
        if kwargs and is_symbolic(kwargs):
            return record(fn, fn.__name__, args, kwargs)
        return fn(*args, **kwargs)

    return op  # type: ignore[return-value]


def value_of(x: Any) -> Any:
    """The tensor that stands for a variable; other values pass through."""
    return x.value if isinstance(x, Variable) else x
