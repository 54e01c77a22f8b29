"""Variables with Keras's attributes, and the scope that turns assignments into graph updates.

Inside a `Scope` (while a step is traced) `variable.value` is the current traced value and
`variable.assign(x)` records an update; outside both work on the stored array at once. So one
source of an optimiser, a metric or a layer serves the compiled step and direct use.
Depends on `_core`, `away`.
"""

from __future__ import annotations

import contextlib
import functools
import math
import operator
import threading
from collections.abc import Callable, Iterator, Sequence
from inspect import signature
from itertools import islice
from types import FunctionType, TracebackType
from typing import Any, Self

import numpy as np

from fastnn import _core
from fastnn._core import Tensor
from fastnn.base.tensors import TensorShape, given_shape, own_array
from fastnn.base.typing import DTypeLike
from fastnn.config import COMPUTED, stored_dtype
from fastnn.errors import TraceError
from fastnn.tracing.away import assigning, bring_home, held, staying
from fastnn.tracing.known_ops import initializer_named
from fastnn.tracing.rounding import rounded
from fastnn.tracing.scattered import Scattered

__all__ = [
    "OwnGradient",
    "Scope",
    "Variable",
    "assign_all",
    "current_scope",
    "gradients",
    "pulled",
    "read_all",
    "settle",
    "snapshots",
    "suspended_scope",
]

#: What this thread is in; `scope` is read directly where every nanosecond of a call counts.
local = threading.local()


class Scope:
    """What one trace collects: values of variables, losses added on the way, the training flag."""

    #: True for the block of a gradient tape: values are there, assignments happen at once.
    eager = False

    def __init__(self, training: bool | None = None, traces: bool = False) -> None:
        self.training = training
        #: Whether what is computed here is compiled, to run with other values of the variables.
        self.traces = traces
        self.leaves: dict[Variable, Tensor] = {}
        self.values: dict[Variable, Tensor] = {}
        #: Every value that a variable had in the trace: its gradient is the sum of theirs.
        self.read: dict[Variable, list[Tensor]] = {}
        #: What layers added, each with its layer.
        self.losses: list[tuple[Any, Tensor]] = []
        #: The gradient tapes whose blocks the trace is in; each is told what is read.
        self.tapes: list[Any] = []
        #: The tables that embeddings look up here, names with numbers of rows.
        self.tables: list[tuple[str, int]] = []
        #: What was computed here whose gradient is the user's, in order.
        self.own_gradients: list[OwnGradient] = []
        self._outer: Scope | None = None

    def __enter__(self) -> Self:
        self._outer = current_scope()
        local.scope = self
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        local.scope = self._outer

    def leaf(self, variable: Variable) -> Tensor:
        """The value before the first assignment here: one handle per variable."""
        leaf = self.leaves.get(variable)
        if leaf is None:
            if self.traces:
                leaf = variable.traced()
            else:
                leaf = variable.apart() if self._outer is None else self._outer.get(variable)
            self.leaves[variable] = leaf
            self.read.setdefault(variable, []).append(leaf)
        return leaf

    def get(self, variable: Variable) -> Tensor:
        """The value as whoever reads it here sees it."""
        value = self.values.get(variable)
        if value is None:
            value = self.leaf(variable)
        return self._noted(variable, value)

    def _noted(self, variable: Variable, value: Tensor) -> Tensor:
        """The value as the tapes know it, whose blocks it is read in."""
        for tape in self.tapes:
            value = tape.note(variable, value)
        return value

    def follows(self, variable: Variable) -> bool:
        """Whether gradients by the variable may be taken here."""
        return variable.trainable or any(tape.watches(variable) for tape in self.tapes)

    def note_table(self, name: str, rows: int) -> None:
        """Notes that an embedding looks a table up, here and around here."""
        scope: Scope | None = self
        while scope is not None:
            scope.tables.append((name, rows))
            scope = scope._outer

    def sources(self, variable: Variable) -> list[Tensor]:
        """The values whose gradients add up to that of a variable."""
        return self.read.get(variable) or [self.leaf(variable)]

    def assign(self, variable: Variable, value: Any) -> Tensor:
        """Notes the new value of a variable, which further reads in this scope give.

        No gradient flows through to what the value was computed from.
        """
        new: Tensor = _core.ops.stop_gradient(self.put(variable, value))
        if new.dtype != variable.dtype:  # a storage type
            new = new.astype(variable.dtype)
        self.values[variable] = new
        self.read.setdefault(variable, []).append(new)
        return self._noted(variable, new)

    def put(self, variable: Variable, value: Any) -> Tensor:
        """Lets a variable have a value in this scope; gradients flow through to the value."""
        if isinstance(value, Variable):
            value = value.value
        x: Tensor = (
            value if isinstance(value, Tensor) else _core.tensor(value, dtype=variable.dtype)
        )
        if x.shape != variable.shape:
            x = _core.apply("broadcast_to", [x], {"shape": list(variable.shape)})
        if x.dtype != variable.dtype:
            x = x.astype(variable.dtype)
        self.values[variable] = x
        return x

    def updates(self) -> list[tuple[_core.Variable, Tensor]]:
        """Variables that the trace assigned, with their new values."""
        return list(self.values.items())


def current_scope() -> Scope | None:
    """The innermost scope of this thread."""
    return getattr(local, "scope", None)


@contextlib.contextmanager
def suspended_scope() -> Iterator[None]:
    """Inside, nothing is traced: variables are read and assigned as stored."""
    outer = current_scope()
    local.scope = None
    try:
        yield
    finally:
        local.scope = outer


def settle(what: str) -> None:
    """Told before a program of its own reads the stored values of variables.

    In a step that runs eagerly what it assigned so far is stored. A traced step has no values, so
    the program would run once, at the time of the trace, and its result never change: TraceError.
    """
    scope = current_scope()
    if scope is None or scope.eager:
        return
    if scope.traces:
        raise TraceError(
            f"{what} runs a program of its own, which a step that is traced cannot do\n"
            "  hint: call the model itself, model(x), or compile(run_eagerly=True)"
        )
    for variable, value in scope.values.items():
        variable.store(value)


def gradients(y: Any, sources: Sequence[Variable | Tensor]) -> list[Tensor]:
    """Gradients of a scalar by variables and tensors, inside a trace or on lazy values."""
    scope = current_scope()
    values = [
        [x] if isinstance(x, Tensor) else [x.value] if scope is None else scope.sources(x)
        for x in sources
    ]
    flat = [x for each in values for x in each]
    own = [] if scope is None else scope.own_gradients
    parts = [
        _core.gradients(target, flat, weight)
        for target, weight in (pulled(y, None, own, _core.gradients) if own else [(y, None)])
    ]
    found = iter([functools.reduce(operator.add, column) for column in zip(*parts, strict=True)])
    return [functools.reduce(operator.add, islice(found, len(each))) for each in values]


def _first_value(kind: type, initializer: Any, initial_value: Any) -> Any:
    """The one of the two names of a first value that was given."""
    given = initial_value if initializer is None else initializer
    if given is None or (initializer is not None and initial_value is not None):
        raise TypeError(
            f"{kind.__name__} needs one first value, by `initializer` or `initial_value`\n"
            "  hint: Variable([1.0, 2.0])"
        )
    return given


def _is_plain(initializer: Any) -> bool:
    """Whether a function makes a value of nothing, as TensorFlow's do."""
    return isinstance(initializer, FunctionType) and not signature(initializer).parameters


class OwnGradient:
    """Results whose gradient a function of the user's carries on to what they were made of."""

    made_of: list[Tensor]
    results: list[Tensor]
    back: Callable[..., Any]

    __slots__ = ("back", "made_of", "results")

    def __init__(
        self,
        results: list[Tensor],
        made_of: list[Tensor],
        back: Callable[..., list[Any]],
    ) -> None:
        self.results, self.made_of, self.back = results, made_of, back


def pulled(
    y: Tensor,
    dy: Any,
    own: Sequence[OwnGradient],
    gradients: Callable[[Tensor, Sequence[Tensor], Any], Sequence[Any]],
) -> list[tuple[Tensor, Any]]:
    """The tensors from which gradients flow to the sources: `y`, and what results were made of.

    `gradients(y, xs, dy)` gives the gradients by `xs`, None where none flows.
    """
    pending: list[tuple[Tensor, Any]] = [(y, dy)]
    for one in reversed(own):
        totals: list[Any] = [None] * len(one.results)
        for target, weight in pending:
            for i, g in enumerate(gradients(target, one.results, weight)):
                if g is not None:
                    totals[i] = g if totals[i] is None else totals[i] + g
        if all(g is None for g in totals):
            continue
        dys = [
            _core.ops.multiply(z, 0.0) if g is None else g
            for g, z in zip(totals, one.results, strict=True)
        ]
        pending += [
            (x, dx) for x, dx in zip(one.made_of, one.back(*dys), strict=True) if dx is not None
        ]
    return pending


class Variable(_core.Variable, Scattered):
    """A tensor that persists and changes: weights, slots of optimisers, sums of metrics, seeds.

    Args:
        initializer: An array, a number, or a function of (shape, dtype), or of nothing, that gives
            one, or the name of an initialiser, such as `"ones"`. TensorFlow's name of it,
            `initial_value`, is taken as well.
        shape: The shape, for a function or a name.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.
        trainable: Whether training changes it.
        name: The name in paths and files.

    Example:
        >>> v = fastnn.Variable([1.0, 2.0], name="v")
        >>> v.assign_add([1.0, 1.0]).numpy()
        array([2., 3.], dtype=float32)
        >>> v.shape, v.dtype
        ((2,), 'float32')
    """

    initializer: Any
    path: str
    #: Whether it was made to be trained, by which weights are ordered, also when it is frozen.
    made_trainable: bool = True
    #: Whether it stays as it is when its layer is told to be trained.
    fixed: bool = False
    #: Of an optimiser's state: what it is of its variable, as "momentum".
    kind: str | None = None
    #: NumPy leaves `array * variable` to the variable, so that gradients flow through it.
    __array_priority__: float = 1000.0

    def __new__(
        cls,
        initializer: Any = None,
        shape: Sequence[int] | None = None,
        dtype: DTypeLike = None,
        trainable: bool = True,
        name: str | None = None,
        **further: Any,
    ) -> Self:
        """Makes the stored array."""
        initializer = _first_value(cls, initializer, further.get("initial_value"))
        if isinstance(initializer, str) and shape is not None:
            initializer = initializer_named(initializer)
        if _is_plain(initializer):
            value = initializer()
        elif callable(initializer) and not hasattr(initializer, "__array__"):
            made = stored_dtype(dtype or "float32")
            value = initializer(tuple(shape or ()), dtype=COMPUTED.get(made, made))
        else:
            value = initializer
        kept = None if dtype is None else stored_dtype(dtype)
        return super().__new__(cls, value, dtype=kept, name=name or "variable")

    def __init__(
        self,
        initializer: Any = None,
        shape: Sequence[int] | None = None,
        dtype: DTypeLike = None,
        trainable: bool = True,
        name: str | None = None,
        *,
        regularizer: Callable[[Tensor], Tensor] | None = None,
        constraint: Callable[[Tensor], Tensor] | None = None,
        initial_value: Any = None,
    ) -> None:
        initializer = _first_value(type(self), initializer, initial_value)
        if isinstance(initializer, str):
            initializer = initializer_named(initializer)
        self._trainable = trainable
        self.made_trainable = bool(trainable)
        self.initializer = initializer if callable(initializer) else None
        self.regularizer = regularizer
        self.constraint = constraint
        self.path = self.name

    #: Of a metric's sum: the variable that holds what float32 rounded off it.
    rest: Variable | None = None

    #: Of a metric's state: how ranks that train together join theirs.
    aggregation: str | None = "sum"

    @property
    def trainable(self) -> bool:
        """Whether `fit` changes it by gradients."""
        return self._trainable

    @trainable.setter
    def trainable(self, flag: bool) -> None:
        self._trainable = bool(flag)
        touch()

    def stored(self) -> Tensor:
        """The stored value, whatever is being traced.

        Returns:
            A tensor.

        Example:
            >>> fastnn.Variable([1.0]).stored().numpy()
            array([1.], dtype=float32)
        """
        if held:
            bring_home((self,))
        return super().value

    @property
    def value(self) -> Tensor:
        """The current value: inside a trace, what the trace last assigned."""
        scope = current_scope()
        if scope is not None:
            return scope.get(self)
        if held:
            bring_home((self,))
        return super().value

    def apart(self) -> Tensor:
        """The stored value, as a tensor that alone stands for the variable in derivatives.

        Returns:
            A tensor; each call gives another one.

        Example:
            >>> weight = fastnn.Variable([1.0, 2.0])
            >>> leaf = weight.apart()
            >>> (slope,) = fastnn.gradients(leaf * leaf, [leaf])
            >>> slope.numpy()
            array([2., 4.], dtype=float32)
        """
        if held:
            bring_home((self,))
        return super().apart()

    def assign(self, value: Any) -> Tensor:
        """Sets the value; while a step is traced, records the update.

        Args:
            value: An array, number or tensor of the variable's shape.

        Returns:
            The new value.

        Raises:
            ShapeError: The shape is another one.

        Example:
            >>> v = fastnn.Variable([1.0])
            >>> v.assign([2.0]).numpy()
            array([2.], dtype=float32)
        """
        if isinstance(value, Variable):
            value = value.value
        if self.rest is not None:
            self.rest.assign(np.zeros(self.shape, np.float32))
        scope = current_scope()
        if scope is not None:
            return scope.assign(self, value)
        self.store(value)
        return super().value

    def store(self, value: Any) -> None:
        """Sets the stored value, whatever is being traced.

        Args:
            value: An array or tensor of the variable's shape.

        Example:
            >>> variable = fastnn.Variable([1.0])
            >>> variable.store(np.array([2.0]))
            >>> variable.stored().numpy()
            array([2.], dtype=float32)
        """
        if not held:
            super().assign(value)
            return
        with assigning((self,)):
            super().assign(value)

    def assign_add(self, value: Any) -> Tensor:
        """Adds to the value.

        Args:
            value: An array, number or tensor of the variable's shape.

        Returns:
            The new value.

        Example:
            >>> fastnn.Variable([1.0]).assign_add([2.0]).numpy()
            array([3.], dtype=float32)
        """
        return self.assign(self.value + _operand(value))

    def assign_sub(self, value: Any) -> Tensor:
        """Subtracts from the value.

        Args:
            value: An array, number or tensor of the variable's shape.

        Returns:
            The new value.

        Example:
            >>> fastnn.Variable([1.0]).assign_sub([2.0]).numpy()
            array([-1.], dtype=float32)
        """
        return self.assign(self.value - _operand(value))

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def numpy(self) -> np.ndarray[Any, Any]:
        """The value now, as an array of the caller's own; without axes a NumPy scalar.

        `np.asarray(variable)` is a read-only view of it, without a copy.

        Returns:
            An array.

        Raises:
            TraceError: A step is being traced, which runs later, with other values.

        Example:
            >>> fastnn.Variable([1.0, 2.0]).numpy()
            array([1., 2.], dtype=float32)
        """
        found: np.ndarray[Any, Any] = own_array(self.__array__())
        return found

    def __array__(self, dtype: DTypeLike = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        if current_scope() is not None:
            return self.value.__array__(dtype, copy)
        if held:
            bring_home((self,))
        return super().__array__(dtype, copy)

    def read_value(self) -> Tensor:
        """The value now, as a tensor that later updates do not change.

        Returns:
            A tensor.

        Example:
            >>> fastnn.Variable([1.0]).read_value().numpy()
            array([1.], dtype=float32)
        """
        return self.value

    def get_shape(self) -> TensorShape:
        """The sizes, as `shape`.

        Returns:
            A tuple with TensorFlow's methods.

        Example:
            >>> fastnn.Variable([1.0, 2.0]).get_shape().as_list()
            [2]
        """
        return self.shape

    def set_shape(self, shape: Sequence[int | None]) -> None:
        """Says what the shape is, as TensorFlow's programs do.

        Args:
            shape: Sizes; None fits any.

        Raises:
            ValueError: The variable has another shape.

        Example:
            >>> fastnn.Variable([1.0, 2.0]).set_shape([2])
        """
        given_shape(self.shape, shape)

    def __float__(self) -> float:
        return float(self.value)

    def __int__(self) -> int:
        return int(self.value)

    def __index__(self) -> int:
        return operator.index(self.value)

    def __format__(self, spec: str) -> str:
        return format(self.value, spec) if spec else str(self)

    def __round__(self, ndigits: int | None = None) -> Any:
        x = self.value
        return rounded(x.astype(COMPUTED[x.dtype]) if x.dtype in COMPUTED else x, ndigits or 0)

    def __trunc__(self) -> int:
        return math.trunc(float(self.value))

    def __getitem__(self, key: Any) -> Any:
        return self.value[key]

    def __add__(self, other: Any) -> Any:
        return self.value + other

    def __radd__(self, other: Any) -> Any:
        return other + self.value

    def __sub__(self, other: Any) -> Any:
        return self.value - other

    def __rsub__(self, other: Any) -> Any:
        return other - self.value

    def __mul__(self, other: Any) -> Any:
        return self.value * other

    def __rmul__(self, other: Any) -> Any:
        return other * self.value

    def __truediv__(self, other: Any) -> Any:
        return self.value / other

    def __rtruediv__(self, other: Any) -> Any:
        return other / self.value

    def __pow__(self, other: Any) -> Any:
        return self.value**other

    def __matmul__(self, other: Any) -> Any:
        return self.value @ other

    def __rmatmul__(self, other: Any) -> Any:
        return other @ self.value

    def __neg__(self) -> Any:
        return -self.value

    def __pos__(self) -> Any:
        return +self.value

    def __invert__(self) -> Any:
        return ~self.value

    def __abs__(self) -> Tensor:
        return abs(self.value)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __floordiv__(self, other: Any) -> Any:
        return self.value // other

    def __rfloordiv__(self, other: Any) -> Any:
        return other // self.value

    def __mod__(self, other: Any) -> Any:
        return self.value % other

    def __rmod__(self, other: Any) -> Any:
        return other % self.value

    def __divmod__(self, other: Any) -> tuple[Any, Any]:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> tuple[Any, Any]:
        return other // self.value, other % self.value

    def __rpow__(self, other: Any) -> Any:
        return other**self.value

    def __and__(self, other: Any) -> Any:
        return self.value & other

    def __rand__(self, other: Any) -> Any:
        return other & self.value

    def __or__(self, other: Any) -> Any:
        return self.value | other

    def __ror__(self, other: Any) -> Any:
        return other | self.value

    def __xor__(self, other: Any) -> Any:
        return self.value ^ other

    def __rxor__(self, other: Any) -> Any:
        return other ^ self.value

    def __lt__(self, other: Any) -> Any:
        return self.value < other

    def __le__(self, other: Any) -> Any:
        return self.value <= other

    def __gt__(self, other: Any) -> Any:
        return self.value > other

    def __ge__(self, other: Any) -> Any:
        return self.value >= other

    def __ne__(self, other: object) -> Any:
        return self.value != (other.value if isinstance(other, Variable) else other)

    __hash__: Callable[[object], int] = object.__hash__  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        state = {k: v for k, v in self.__dict__.items() if k != "initializer"}
        return _restored, (np.array(self.stored()), self.dtype, self.name, state)

    def __eq__(self, other: object) -> Any:
        """Element by element, as in Keras; sets and dicts go by identity, which is the hash."""
        return self.value == (other.value if isinstance(other, Variable) else other)

    def __repr__(self) -> str:
        with np.printoptions(threshold=20):
            text = str(np.asarray(self.stored()))
        return f"<Variable path={self.path}, shape={self.shape}, dtype={self.dtype}, value={text}>"


def read_all(variables: Sequence[Variable]) -> list[np.ndarray[Any, Any]]:
    """Copies of the values, all of one moment: between two steps of a fit that runs in another
    thread.
    """
    if current_scope() is not None:
        return [np.array(v) for v in variables]
    return [np.array(value) for value in snapshots(variables)]


def snapshots(variables: Sequence[Variable]) -> list[Tensor]:
    """The stored values, all of one moment, as tensors that later updates do not change."""
    if not held:
        return _core.snapshots(variables)
    with staying(variables):
        return _core.snapshots(variables)


def assign_all(variables: Sequence[Variable], values: Sequence[Any]) -> None:
    """Sets the values of all at one moment, between two steps of a fit in another thread."""
    if current_scope() is None:
        values = [value.value if isinstance(value, Variable) else value for value in values]
        with assigning(variables):
            _core.assign_all(variables, values)
        return
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _operand(value: Any) -> Any:
    return np.asarray(value) if isinstance(value, list | tuple) else value


def _restored(value: Any, dtype: str, name: str, state: dict[str, Any]) -> Variable:
    variable = Variable(value, dtype=dtype, name=name)
    variable.__dict__.update(state, initializer=None)
    return variable


_version = 0


def touch() -> None:
    """Marks that some structure (layers, weights, trainable flags) may have changed."""
    global _version
    _version += 1


def structure_version() -> int:
    """Grows whenever a layer, a weight or a trainable flag is set anywhere in the process."""
    return _version
