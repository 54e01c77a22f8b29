"""`tf.function`: functions compiled, with Python's numbers as constants.

Depends on `transforms` and `tracing`.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from fastnn.base.text import TextArray
from fastnn.base.tree import flatten
from fastnn.errors import TraceError
from fastnn.tracing.variables import current_scope
from fastnn.transforms import Traced, as_leaf, jit

__all__ = ["executing_eagerly", "function"]

#: How many choices of Python's numbers a compiled function has programs of, before it takes them
#: as inputs where it can: a number of the step would otherwise be a program for each step.
_NUMBERS = 5

_PYTHON_NUMBERS = (int, float)


def executing_eagerly() -> bool:
    """True outside traced steps."""
    scope = current_scope()
    return scope is None or scope.eager


def _leaves(values: Iterable[Any]) -> list[Any]:
    nests = (list, tuple, dict)
    return [x for v in values for x in (flatten(v) if v.__class__ in nests else (v,))]


def _with_numbers(func: Callable[..., Any], compiled: Callable[..., Any]) -> Callable[..., Any]:
    """`func` compiled with Python's numbers as constants: they say shapes, places and keys."""
    constants = Traced(func, lambda f, args, kwargs: f(*args, **kwargs), leaf=_but_numbers)
    seen: set[tuple[Any, ...]] = set()
    by_value: list[str] = []

    def call(numbers: tuple[Any, ...], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not (by_value or numbers in seen or not executing_eagerly()):
            if len(seen) >= _NUMBERS:
                try:
                    return compiled(*args, **kwargs)
                except Exception as error:  # an error of the function's own is raised again below
                    by_value.append(str(error))
            else:
                seen.add(numbers)
        return constants(*args, **kwargs)

    return call


def _but_numbers(x: Any) -> Any:
    return x if type(x) in _PYTHON_NUMBERS else as_leaf(x)


def function(func: Callable[..., Any] | None = None, **options: Any) -> Any:
    """`func` compiled as by `fastnn.jit`; one that reads values while it is traced runs as written.

    Python's numbers among the arguments are constants, as in TensorFlow: each choice of them is
    traced, until they are many.
    `input_signature`, `jit_compile` and the other options of TensorFlow are taken and not needed.
    """
    known = {
        "input_signature", "autograph", "jit_compile", "reduce_retracing", "experimental_compile",
        "experimental_relax_shapes", "experimental_implements", "experimental_attributes",
        "experimental_autograph_options", "experimental_follow_type_hints",
    }  # fmt: skip
    if set(options) - known:
        raise TypeError(
            f"function got {', '.join(sorted(set(options) - known))}\n  hint: input_signature=[...]"
        )
    if func is None:
        return lambda f: function(f, **options)
    compiled = jit(func)
    # A signature says that the arguments are tensors.
    numbered = None if options.get("input_signature") else _with_numbers(func, compiled)
    eager: list[str] = []

    @functools.wraps(func)
    def call(*args: Any, **kwargs: Any) -> Any:
        leaves = [*_leaves(args), *_leaves(kwargs.values())]
        # No tensor and no trace holds text.
        if eager or TextArray in map(type, leaves):
            return func(*args, **kwargs)
        numbers = tuple(x for x in leaves if type(x) in _PYTHON_NUMBERS)
        try:
            if numbers and numbered is not None:
                return numbered(numbers, args, kwargs)
            return compiled(*args, **kwargs)
        except TraceError as error:
            if not executing_eagerly():
                raise
            eager.append(str(error))
            name = getattr(func, "__name__", "the function")
            warnings.warn(
                f"{name} reads values while it is traced, so it runs uncompiled: "
                f"{str(error).splitlines()[0]}",
                stacklevel=2,
            )
            return func(*args, **kwargs)

    call.python_function = func  # type: ignore[attr-defined]
    # One function serves all shapes and types.
    call.get_concrete_function = lambda *_, **__: call  # type: ignore[attr-defined]
    return call
