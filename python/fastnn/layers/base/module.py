"""`Module`: something with a name that holds variables and further modules: what a layer keeps.

Attributes are tracked as they are set, so a change of what a model is made of is noticed by its
traces. Depends on `variables`, `call_context`, `initializers`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import constraints as _constraints, initializers, regularizers
from fastnn.base.arguments import as_number
from fastnn.base.typing import DTypeLike, Identifier
from fastnn.config import COMPUTED, stored_dtype
from fastnn.errors import ShapeError, check_arguments
from fastnn.random import SeedGenerator
from fastnn.serialization.file_budget import file_budget
from fastnn.tracing.call_context import current_call, current_names
from fastnn.tracing.fingerprint import TRACES, UNTRACED
from fastnn.tracing.late import made_variables, waiting
from fastnn.tracing.variables import Variable, assign_all, read_all, suspended_scope, touch

__all__ = ["Module", "default", "modules_in", "overrides", "trained_first"]


def default(method: Any) -> Any:
    """Marks a method that does nothing of its own until a subclass writes one."""
    method.is_default = True
    return method


def overrides(thing: Any, name: str) -> bool:
    """Whether the class of a layer has a method of its own in place of a default one."""
    return not getattr(getattr(type(thing), name), "is_default", False)


#: Arguments of `add_weight` for other back ends and earlier versions of Keras.
_ACCEPTED = (
    "collections", "experimental_autocast", "getter", "layout", "overwrite_with_gradient",
    "partitioner", "sparse", "synchronization", "use_resource",
)  # fmt: skip


def trained_first(own: Sequence[Variable]) -> list[Variable]:
    """Variables in the order of files: those that were made to be trained come first."""
    return [v for v in own if v.made_trainable] + [v for v in own if not v.made_trainable]


class Module:
    """Holds variables and modules under the names of its attributes."""

    name: str
    built: bool
    _trainable: bool
    _variables: list[Variable]

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Variable):
            held = self.__dict__.get("_variables")
            if held is None:
                raise self._init_missing()
            if not any(v is value for v in held):
                held.append(value)
            touch()
        elif isinstance(value, Module):
            # Models count what they hold from the start; layers look for it when they are called.
            if "_variables" not in self.__dict__ and getattr(self, "model_kind", None) is not None:
                raise self._init_missing()
            touch()
        elif name not in UNTRACED:
            self._note_change(name)
        object.__setattr__(self, name, value)
        if waiting and isinstance(value, Variable):
            made_variables()

    def _note_change(self, name: str) -> None:
        """Traces are looked at again, unless it is a call that changes what it keeps."""
        moving = self.__dict__.get("_set_in_calls", ())
        if current_call() is None:
            if name in moving:
                moving.discard(name)
            touch()
        elif name not in self.__dict__:
            touch()
        elif name not in moving:
            object.__setattr__(self, "_set_in_calls", {*moving, name})
            touch()

    def __delattr__(self, name: str) -> None:
        touch()
        object.__delattr__(self, name)

    if not TYPE_CHECKING:  # for a checker, any name would be there

        def __getattr__(self, name: str) -> Any:
            """Says of a name that the base would have set why it is missing."""
            if hasattr(type(self), name):  # a property failed: its own error is told
                return object.__getattribute__(self, name)
            text = f"{type(self).__name__!r} object has no attribute {name!r}"
            if "_variables" not in self.__dict__ and not name.startswith("__"):
                text += ": its base is not set up\n  hint: super().__init__() first in __init__"
            raise AttributeError(text, name=name, obj=self)

    def _init_missing(self) -> RuntimeError:
        return RuntimeError(
            f"{type(self).__name__} sets layers or weights before its base is set up\n"
            "  hint: call super().__init__() first in __init__"
        )

    def add_weight(
        self,
        shape: Sequence[int] | None = None,
        initializer: Identifier = None,
        dtype: DTypeLike = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Identifier = None,
        constraint: Identifier = None,
        aggregation: str = "none",
        name: str | None = None,
        **accepted: Any,
    ) -> Variable:
        """Adds a variable of the layer; called in `build` or `__init__`.

        Args:
            shape: Its shape; () for a number.
            initializer: First values: a name, an `Initializer` or a function; float weights start
                glorot-uniform, others at zero.
            dtype: `"float32"` (default) or `"int32"`.
            trainable: Whether training changes it.
            autocast: Accepted for Keras's sake.
            regularizer: Penalty on it, added to the loss.
            constraint: What it is brought back to after each step.
            aggregation: Accepted for Keras's sake.
            name: Its name in paths and files.
            **accepted: Arguments of Keras's for other back ends, which change nothing here.

        Returns:
            A `Variable`.

        Example:
            >>> layer = fastnn.layers.Layer()
            >>> layer.add_weight((2, 3), "zeros", name="kernel").shape
            (2, 3)
        """
        if accepted:
            where = f"{type(self).__name__}.add_weight()"
            check_arguments(where, accepted, _ACCEPTED, Module.add_weight)
        dtype = stored_dtype(dtype or "float32")
        shape = as_number(shape)
        shape = () if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
        start = initializer if initializer is not None else (
            "glorot_uniform" if COMPUTED.get(dtype, dtype) == "float32" else "zeros"
        )  # fmt: skip
        for size in shape:
            if size is None:
                raise ShapeError(
                    f"layer {self.name!r} ({type(self).__name__}): weight {name!r} of shape "
                    f"{shape} needs a size that the input leaves open on axis {shape.index(None)}\n"
                    "  hint: give that size in Input(shape=...)"
                )
        budget = file_budget()
        if budget is not None:
            budget.weights(shape, f"layer {self.name!r} ({type(self).__name__})")
            start = "zeros"
        try:
            with suspended_scope():
                variable = Variable(
                    initializers.get(start),
                    shape,
                    dtype,
                    trainable,
                    name,
                    regularizer=regularizers.get(regularizer),
                    constraint=_constraints.get(constraint),
                )
        except MemoryError:
            raise MemoryError(
                f"layer {self.name!r} ({type(self).__name__}): weight {name!r} of shape {shape} "
                f"needs {4 * math.prod(shape):.3g} bytes, more than there are\n"
                "  hint: fewer units, or narrower inputs"
            ) from None
        prefix = current_names()
        if prefix[-1:] != [self.name]:
            prefix = [*prefix, self.name]
        variable.path = "/".join([*prefix, variable.name])
        variable._trainable = trainable and self._trainable
        self._variables.append(variable)
        touch()
        if waiting:
            made_variables()
        return variable

    add_variable = add_weight

    def _sublayers(self) -> Iterator[Any]:
        seen: set[int] = set()
        for key, value in self.__dict__.items():
            if value.__class__ in _PLAIN or key in _NOTES:
                continue
            if not isinstance(value, _HOLDERS):
                continue
            for layer in modules_in(value):
                if id(layer) not in seen:
                    seen.add(id(layer))
                    yield layer

    def _every_layer(self) -> Iterator[Any]:
        seen: set[int] = set()
        pending: list[Module] = [self]
        while pending:
            layer = pending.pop(0)
            if id(layer) in seen:
                continue
            seen.add(id(layer))
            yield layer
            pending = [*layer._sublayers(), *pending]

    def _collect(self, wanted: Callable[[Variable], bool]) -> list[Variable]:
        found: dict[Variable, None] = {}
        for layer in self._every_layer():
            for v in layer._own_weights():
                if wanted(v):
                    found[v] = None
        return list(found)

    @property
    def weights(self) -> list[Variable]:
        """All weights, trainable ones of a layer first."""
        return self._collect(lambda v: True)

    @property
    def variables(self) -> list[Variable]:
        """Weights and the states of random generators, layer by layer."""
        found: dict[Variable, None] = {}
        for layer in self._every_layer():
            for v in layer._own_weights():
                found[v] = None
            for generator in layer._own_generators():
                found[generator.state] = None
        return list(found)

    def _own_generators(self) -> list[SeedGenerator]:
        return [v for v in self.__dict__.values() if isinstance(v, SeedGenerator)]

    @property
    def trainable_weights(self) -> list[Variable]:
        """Weights that `fit` changes by gradients."""
        found: dict[Variable, None] = {}
        frozen: set[int] = set()
        for layer in self._every_layer():
            if not layer._trainable or id(layer) in frozen:
                frozen.update(id(x) for x in layer._sublayers())
                continue
            for v in layer._variables:
                if v._trainable:
                    found[v] = None
        return list(found)

    trainable_variables = trainable_weights

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The other weights."""
        moving = {id(v) for v in self.trainable_weights}
        return [v for v in self.weights if id(v) not in moving]

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """Weights that are not trained, and the states of random generators."""
        moving = {id(v) for v in self.trainable_weights}
        return [v for v in self.variables if id(v) not in moving]

    @property
    def trainable(self) -> bool:
        """Whether `fit` changes the weights; setting it sets all sublayers."""
        return self._trainable

    @trainable.setter
    def trainable(self, flag: bool) -> None:
        for layer in self._every_layer():
            layer._trainable = bool(flag)
            for v in layer._variables:  # which show it too: `w.trainable` of a frozen layer's
                if v.made_trainable and not v.fixed:
                    v._trainable = bool(flag)
        touch()

    def count_params(self) -> int:
        """The number of elements of all weights.

        Returns:
            A whole number.

        Raises:
            ValueError: The weights have not been made yet.

        Example:
            >>> layer = fastnn.layers.Dense(3)
            >>> layer.build((None, 2))
            >>> layer.count_params()
            9
        """
        if not self.built and not self.weights and overrides(self, "build"):
            raise ValueError(
                f"layer {self.name!r} has no weights yet, it is not built\n"
                "  hint: call it on data or use build(input_shape)"
            )
        return sum(v.size for v in self.weights)

    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """Copies of all weights, in the order of `weights` and of one moment.

        While `fit` runs in another thread, that is between two of its steps.

        Returns:
            A list of NumPy arrays.

        Example:
            >>> layer = fastnn.layers.Dense(3)
            >>> layer.build((None, 2))
            >>> [w.shape for w in layer.get_weights()]
            [(2, 3), (3,)]
        """
        return read_all(self.weights)

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Sets all weights from arrays in the order of `weights`, at one moment.

        While `fit` runs in another thread, that is between two of its steps.

        Args:
            weights: Arrays of the shapes of the weights.

        Raises:
            ValueError: The number of arrays or a shape differs.

        Example:
            >>> layer = fastnn.layers.Dense(1)
            >>> layer.build((None, 2))
            >>> layer.set_weights([np.ones((2, 1)), np.zeros(1)])
            >>> layer(np.array([[1.0, 2.0]])).numpy()
            array([[3.]], dtype=float32)
        """
        own = self.weights
        if len(own) != len(weights):
            raise ValueError(
                f"set_weights on {self.name!r}: got {len(weights)} arrays, it has {len(own)} "
                f"weights: {', '.join(v.path for v in own[:8])}\n"
                "  hint: give what get_weights() returned"
            )
        for v, value in zip(own, weights, strict=True):
            if tuple(np.shape(value)) != v.shape:
                raise ShapeError(
                    f"set_weights on {self.name!r}: weight {v.path!r} has shape {v.shape}, "
                    f"got {np.shape(value)}\n  hint: the arrays stand in the order of `weights`"
                )
        assign_all(own, weights)

    def _own_weights(self) -> list[Variable]:
        """The weights of this layer itself in the order of files: those made to be trained first.

        A weight that is frozen later keeps its place, as in Keras.
        """
        return trained_first(self._variables)

    def save_own_variables(self, store: Any) -> None:
        """Puts this layer's own weights into a mapping, under "0", "1", ….

        Args:
            store: A dict, or a group of a file, that takes arrays by name.

        Example:
            >>> layer, store = fastnn.layers.Dense(2), {}
            >>> layer.build((None, 3))
            >>> layer.save_own_variables(store)
            >>> sorted(store)
            ['0', '1']
        """
        for i, v in enumerate(self._own_weights()):
            store[str(i)] = np.array(v)

    def load_own_variables(self, store: Any) -> None:
        """Sets this layer's own weights from a mapping that `save_own_variables` filled.

        Args:
            store: A dict, or a group of a file, of arrays by name.

        Raises:
            FormatError: An array is missing, or has another shape.

        Example:
            >>> layer = fastnn.layers.Dense(2)
            >>> layer.build((None, 1))
            >>> layer.load_own_variables({"0": np.ones((1, 2)), "1": np.zeros(2)})
            >>> layer.kernel.numpy()
            array([[1., 1.]], dtype=float32)
        """
        own = self._own_weights()
        if set(store.keys()) != {str(i) for i in range(len(own))}:
            raise ValueError(
                f"Layer {self.name!r} expected {len(own)} variables, but received "
                f"{len(store.keys())} variables during loading: {', '.join(sorted(store.keys()))}\n"
                f"  hint: it has {', '.join(v.path for v in own) or 'none; build it first'}"
            )
        values = [np.asarray(store[str(i)]) for i in range(len(own))]
        for v, value in zip(own, values, strict=True):
            if value.shape != v.shape:
                raise ShapeError(
                    f"layer {self.name!r}: weight {v.path!r} has shape {v.shape}, the store holds "
                    f"{value.shape}\n  hint: it was written by another layer"
                )
        for v, value in zip(own, values, strict=True):
            v.assign(value)


#: Classes of most attributes, which hold no layers.
_PLAIN = frozenset((bool, int, float, str, type(None), np.ndarray, Variable))


#: Attributes that hold what is remembered of a layer, often much, and never a layer of its own.
_NOTES = TRACES | {"_call_nodes", "_init_arguments"}


#: Classes of what may be a layer or hold some.
_HOLDERS = (Module, list, tuple, dict)


def modules_in(value: Any) -> list[Module]:
    """The layers that a value holds: itself, or what lists, tuples and dicts of it hold."""
    if isinstance(value, Module):
        return [value]
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return []
    return [layer for x in value if x.__class__ not in _PLAIN for layer in modules_in(x)]
