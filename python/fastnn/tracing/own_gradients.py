"""Functions whose gradient the caller writes. A result of one is a leaf of the graph; whoever takes
gradients asks here for what flows on from it to what it was made of. Depends on `variables`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastnn import _core
from fastnn._core import Tensor
from fastnn.base import tree
from fastnn.base.arguments import hints_arguments
from fastnn.tracing.variables import OwnGradient, Scope, Variable, current_scope

__all__ = ["custom_gradient"]


def _scopes() -> Iterator[Scope]:
    scope = current_scope()
    while scope is not None:
        yield scope
        scope = scope._outer


def _array(x: Any) -> bool:
    return isinstance(x, Tensor | Variable | np.ndarray | list)


def _handle(x: Any) -> Tensor:
    return x.value if isinstance(x, Variable) else x if isinstance(x, Tensor) else _core.tensor(x)


def _flowing(grad_fn: Callable[..., Any], at: list[int], count: int, name: str) -> Any:
    """A function of the gradients by results that gives those by the tensors among the arguments.

    `at` are the places of tensors among `count` arguments.
    """

    def back(*dys: Tensor) -> list[Any]:
        found = grad_fn(*dys)
        given = list(found) if isinstance(found, list | tuple) else [found]
        if len(given) == count:
            given = [given[i] for i in at]
        if len(given) != len(at):
            raise TypeError(
                f"{name}: its gradient gave {len(given)} values for {len(at)} tensors\n"
                "  hint: return one gradient for each argument"
            )
        return [None if g is None else _handle(g) for g in given]

    return back


@hints_arguments
def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function that says its gradient itself.

    Tapes, `grad` and `fit` take the gradient that `f` gives in place of the one of its operations.

    Args:
        f: A function of tensors that gives its result and a function: of the gradients by each
            result, to the gradients by each argument.

    Returns:
        A function of the same arguments that gives the result.

    Raises:
        TypeError: The gradient function gave another number of gradients than there are arguments.

    Example:
        >>> @fastnn.ops.custom_gradient
        ... def reversed_gradient(x):
        ...     return x * 1.0, lambda upstream: -upstream
        >>> float(fastnn.grad(lambda x: reversed_gradient(x * 3.0))(2.0))
        -3.0
    """
    name = getattr(f, "__name__", "custom_gradient")

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        at = [i for i, x in enumerate(args) if _array(x)]
        xs = [_handle(args[i]) for i in at]
        given = list(args)
        for i, x in zip(at, xs, strict=True):
            given[i] = x
        out, grad_fn = f(*given, **kwargs)
        results = [_core.ops.stop_gradient(_handle(y)) for y in tree.flatten(out)]
        own = OwnGradient(results, xs, _flowing(grad_fn, at, len(args), name))
        for scope in _scopes():
            scope.own_gradients.append(own)
            for tape in scope.tapes:
                tape.note_result(results)
        return tree.pack(out, results)

    return call
