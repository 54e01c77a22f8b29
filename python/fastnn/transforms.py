"""Functions of functions: gradients and compilation. Depends on `_core`, `devices`, `tree`.

`f` is traced once per structure and shapes of its arguments on tensors without data; what it
returns may be nested. A Python `if` on a traced value raises TraceError: use `ops.where`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from fastnn import _core
from fastnn._core import Tensor
from fastnn.base import tree
from fastnn.base.absent import answer_missing
from fastnn.base.arguments import hints_arguments
from fastnn.base.recent import Recent
from fastnn.devices import choice
from fastnn.errors import DataError
from fastnn.tracing.away import held
from fastnn.tracing.call_context import CallContext
from fastnn.tracing.fingerprint import Same, Seen
from fastnn.tracing.surroundings import Surroundings
from fastnn.tracing.symbolic import KerasTensor
from fastnn.tracing.tables import naming_table
from fastnn.tracing.tape import GradientTape
from fastnn.tracing.variables import (
    Scope,
    Variable,
    current_scope,
    local as _scopes,
    structure_version,
)

__all__ = ["KEPT_PROGRAMS", "Traced", "grad", "jit", "value_and_grad"]

#: How many programs a transformed function keeps, the most recently used ones.
KEPT_PROGRAMS = 64


def _tensor(x: Any) -> Any:
    if isinstance(x, Tensor | Variable | KerasTensor):
        return x
    return _core.tensor(x)


def _apart(x: Any) -> Any:
    """An argument as a handle of its own: where `f` reads the same value from around it, that is
    no argument, and the derivative does not see it. Whole numbers become float32: the derivative
    by a number that moves in whole steps would be cut to one.
    """
    x = _tensor(x)
    if not isinstance(x, Tensor):
        return x
    return x.reshape(*x.shape) if "float" in x.dtype else x.astype("float32")


def _check_function(name: str, f: Any) -> None:
    if not callable(f):
        raise TypeError(
            f"{name} takes a function, got {type(f).__name__}\n"
            f"  hint: fastnn.{name}(f)(x), not fastnn.{name}(f(x))"
        )


def _is_array(x: Any) -> bool:
    return (
        isinstance(x, Tensor | np.ndarray | np.generic | float)
        or (hasattr(x, "__array__") and not isinstance(x, Variable))
        or (isinstance(x, int) and not isinstance(x, bool))
    )


class Traced:
    """A function with the programs made of it, one per structure and shapes.

    They run on the device that is chosen when they are called.

    Args:
        f: The function.
        transform: What calls it: with `f`, its arguments by position and by name.
        leaf: Makes a tensor of each part of the arguments that is an input.

    Example:
        >>> def plain(f, args, kwargs):
        ...     return f(*args, **kwargs)
        >>> double = fastnn.transforms.Traced(lambda x: x * 2.0, plain)
        >>> float(double(3.0)), float(double(4.0)), double.traces
        (6.0, 8.0, 1)
    """

    #: What a trace around this one depends on; the rest is what was kept of earlier calls.
    _traced_parts: ClassVar[tuple[str, ...]] = ("f", "transform", "leaf")

    traces: int
    around: Surroundings
    f: Callable[..., Any]
    transform: Callable[..., Any]
    leaf: Callable[..., Any]
    placements: Any

    def __init__(
        self,
        f: Callable[..., Any],
        transform: Callable[..., Any],
        leaf: Callable[[Any], Any] | None = None,
    ) -> None:
        """Traces nothing yet."""
        self.f, self.transform, self.leaf = f, transform, leaf or as_leaf
        self.placements = choice.Placements(KEPT_PROGRAMS)
        self.programs: Recent = Recent(KEPT_PROGRAMS)
        # Tensors or arrays in, one tensor out: found without looking through nested arguments.
        self.plain: Recent = Recent(KEPT_PROGRAMS)
        # The last of those that was found, and its key.
        self.latest: tuple[Any, Any] = (None, None)
        self.traces = 0
        self.around = Surroundings(f)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the program for these arguments."""
        return self.apply(args, kwargs)

    def apply(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs the program for arguments by position and by name, which need no unpacking."""
        if kwargs or getattr(_scopes, "scope", None) is not None:
            return self._call(args, kwargs)
        if choice.is_used and (held or choice.get_device() != choice.CPU):
            return self._call(args, kwargs)
        around = self.around
        if around.mutable:
            return self._call(args, kwargs)
        key: Any = _core.call_key(args, around.cells)
        if key is None:
            return self._call(args, kwargs)
        others = around.others() if around.has_others else ()
        if others:
            key = (key, *map(id, others))
        if around.holds_layers:
            key = (key, structure_version())
        latest, found = self.latest
        if latest != key:
            found = self.plain.find(key)
            if found is not None:
                self.latest = key, found
        if found is not None:
            try:
                return found[0](*args)
            except DataError as error:
                raise naming_table(error, found[2]) from None
        layered = around.holds_layers
        captured = around.held()
        out = self._call(args, kwargs)
        if around.mutable or around.holds_layers is not layered:
            return out
        program = self.programs.find(self._key(args, kwargs, [self.leaf(x) for x in args]))
        if program is not None and out.__class__ is Tensor and program[1].__class__ is Tensor:
            # With the captured objects, so that no other gets the address of one.
            self.plain.keep(key, (program[0], captured, program[3]))
        return out

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        leaves = [self.leaf(x) for x in tree.flatten([args, kwargs])]
        if current_scope() is not None or any(
            isinstance(x, Tensor) and x.is_traced for x in leaves
        ):
            args, kwargs = tree.pack([args, kwargs], leaves)
            return self.transform(self.f, tuple(args), kwargs)
        key = self._key(args, kwargs, leaves)
        program = self.programs.find(key)
        if program is None:
            before = key[-1]
            program = self.trace(args, kwargs, leaves)
            # A trace may build layers, or change what is around the function itself.
            self.around.note_effects(before)
            self.programs.keep(self._key(args, kwargs, leaves), program)
        return self.run(program, leaves)

    def run(self, program: Any, leaves: list[Any]) -> Any:
        """Runs what `trace` gave on these arguments."""
        function, shape_of_result, fixed, tables = program
        if choice.is_used:
            function = self.placements.on(function, choice.get_device())
        try:
            results = function(*[x for i, x in enumerate(leaves) if i not in fixed])
        except DataError as error:
            raise naming_table(error, tables) from None
        results = list(results) if isinstance(results, tuple) else [results]
        if not tree.flatten(shape_of_result):
            results = []
        return tree.pack(shape_of_result, results)

    def _key(self, args: Any, kwargs: Any, leaves: list[Any]) -> Any:
        return (
            tree.structure([list(args), kwargs]),
            tuple(
                (x.shape, x.dtype) if isinstance(x, Tensor) else (type(x), _static(x))
                for x in leaves
            ),
            self.around.fingerprint(),
        )

    def trace(self, args: Any, kwargs: Any, leaves: list[Any]) -> Any:
        """The function of the core for these arguments, what it gives, and which are no inputs."""
        self.traces += 1
        fixed = [i for i, x in enumerate(leaves) if not isinstance(x, Tensor)]
        inputs = [
            x if i in fixed else _core.placeholder(x.shape, dtype=x.dtype)
            for i, x in enumerate(leaves)
        ]
        args, kwargs = tree.pack([args, kwargs], inputs)
        with Scope(traces=True) as scope, CallContext():
            out = self.transform(self.f, tuple(args), kwargs)
            outputs = [_tensor(x) for x in tree.flatten(out)]
            outputs = [x.value if isinstance(x, Variable) else x for x in outputs]
        feeds = [x for i, x in enumerate(inputs) if i not in fixed]
        return _core.Function(feeds, outputs, scope.updates()), out, fixed, scope.tables


def as_leaf(x: Any) -> Any:
    """Arrays and numbers as tensors, which are inputs of a program; anything else as it is."""
    return _core.tensor(x) if _is_array(x) and not isinstance(x, Tensor) else x


def _static(x: Any) -> Any:
    if hasattr(x, "__dict__") and not isinstance(x, type | Variable):
        return Seen((Tensor, Variable)).around(x)
    try:
        hash(x)
    except TypeError:
        return Same(x)
    return x


def _plain_call(f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return f(*args, **kwargs)


@hints_arguments
def jit(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function compiled: traced once per structure, shapes and types, then run as one program.

    It runs on the device that `fastnn.device` or `fastnn.set_device` chose when it is called.
    Variables that `f` reads or assigns are read and updated at each call. Other values that it
    reads from around it are constants of the trace; it is traced again when a name, or what a list,
    a dict, an object, a layer or a function that it calls holds, has become another one. Not seen
    are the inside of other libraries' objects, and values within arrays of more than a megabyte.
    Other effects in Python happen once, while it is traced.

    Args:
        f: A function of tensors, or of nested lists and dicts of them.

    Returns:
        A function with the arguments of `f`.

    Raises:
        TraceError: `f` reads values of tensors, as in `if x > 0`.

    Example:
        >>> @fastnn.jit
        ... def norm(x):
        ...     return fastnn.ops.sqrt(fastnn.ops.sum(x * x))
        >>> float(norm(np.array([3.0, 4.0])))
        5.0
    """
    _check_function("jit", f)
    traced = Traced(f, _plain_call)
    run = traced.apply

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        return run(args, kwargs)

    call.trace_count = lambda: traced.traces  # type: ignore[attr-defined]
    return call


@hints_arguments
def value_and_grad(
    f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that gives value and gradient of a scalar function in one go.

    Arguments may be nested lists, tuples and dicts of arrays, or of variables such as
    `model.trainable_variables`.

    Args:
        f: A function of tensors that gives a number.
        argnums: Which argument to differentiate, or several.
        has_aux: Whether `f` gives (value, something besides).

    Returns:
        A function with the arguments of `f` that gives (value, gradient), the gradient shaped like
        the argument.

    Raises:
        TraceError: `f` reads values of tensors.

    Example:
        >>> both = fastnn.value_and_grad(lambda x: fastnn.ops.sum(x * x))
        >>> value, gradient = both(np.array([1.0, 2.0]))
        >>> float(value), gradient.numpy()
        (5.0, array([2., 4.], dtype=float32))
    """
    _check_function("value_and_grad", f)
    many = not isinstance(argnums, int)
    if not all(isinstance(i, int) for i in (argnums if many else [argnums])):  # type: ignore[union-attr]
        raise TypeError(
            f"argnums is {type(argnums).__name__} of {type(tree.flatten(argnums)[0]).__name__}, "
            "wanted the positions of the differentiated arguments\n"
            "  hint: value_and_grad(loss)(model.trainable_variables), where loss takes them"
        )
    wanted = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    def transform(f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if max(wanted, default=0) >= len(args):
            raise ValueError(
                f"argnums {argnums} asks for argument {max(wanted)}, got {len(args)} arguments\n"
                "  hint: give the differentiated arguments by position"
            )
        args = tuple(tree.map_structure(_apart, a) if i in wanted else a
                     for i, a in enumerate(args))  # fmt: skip
        chosen = [args[i] for i in wanted]
        # Only what `f` itself reads counts: a value that was read before it is a constant.
        with GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(chosen)
            out = f(*args, **kwargs)
        value, aux = out if has_aux else (out, None)
        value = _tensor(value)
        if value.shape != ():
            raise _core.ShapeError(
                f"{getattr(f, '__name__', 'f')} gave shape {value.shape}, wanted a scalar\n"
                "  hint: reduce it, e.g. with ops.mean"
            )
        grads = tape.gradient(value, chosen, unconnected_gradients="zero")
        result = grads if many else grads[0]
        if many:
            result = tuple(grads)
        return ((value, aux) if has_aux else value), result

    run = Traced(f, transform).apply

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        return run(args, kwargs)

    return call


@hints_arguments
def grad(
    f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that gives the gradient of a scalar function; it can be nested.

    Args:
        f: A function of tensors that gives a number.
        argnums: Which argument to differentiate, or several.
        has_aux: Whether `f` gives (value, something besides).

    Returns:
        A function with the arguments of `f` that gives the gradient, shaped like the argument (a
        tuple for several); with `has_aux`, (gradient, something besides).

    Raises:
        TraceError: `f` reads values of tensors.

    Example:
        >>> square = fastnn.grad(lambda x: x * x)
        >>> float(square(3.0)), float(fastnn.grad(square)(3.0))
        (6.0, 2.0)
    """
    _check_function("grad", f)
    both = value_and_grad(f, argnums, has_aux)

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return call


answer_missing(globals())
