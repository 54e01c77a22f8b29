"""Calls of a model on data, `model(x)`, on another device than the CPU.

A call is traced as a function of `jit` is. Depends on `devices`, `transforms`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import _core
from fastnn._core import Tensor
from fastnn.base import tree
from fastnn.base.recent import Recent
from fastnn.devices import choice
from fastnn.errors import TraceError
from fastnn.layers.base.call import as_tensors, clear_losses
from fastnn.tracing.variables import Variable, current_scope
from fastnn.transforms import Traced

__all__ = ["ELSEWHERE", "DeviceCalls"]

#: Given where a call is the CPU's.
ELSEWHERE = object()
#: Programs of a model whose own code is looked at anew at each call.
KEPT = 16


class DeviceCalls:
    """The calls of a model that a device runs."""

    def __init__(self, model: Any, call: Callable[..., Any]) -> None:
        """Traces nothing yet.

        Args:
            model: The model.
            call: What a call of it is on the CPU.
        """
        self._model = model
        self._traced = Traced(
            lambda *args, **kwargs: _outcome(model, call(model, *args, **kwargs)), _plain, _leaf
        )
        #: Functions by their graphs.
        self._known = Recent(KEPT)
        #: Whether it was said that values are read, which no trace can.
        self._is_told = False

    def run(self, args: tuple[Any, ...], kwargs: dict[str, Any], cached: bool) -> Any:
        """The outputs of a call, `ELSEWHERE` where it is the CPU's.

        Args:
            args: What the model was called with.
            kwargs: Likewise.
            cached: Whether calls of the same sizes do the same: no code but the library's runs.
        """
        device = choice.chosen(self._model._compiled_device)
        if device in (choice.CPU, choice.AUTO) or self._model.run_eagerly or not args:
            return ELSEWHERE
        given = (as_tensors(args[0]), *args[1:])
        leaves = tree.flatten([given, kwargs])
        if not any(map(_is_data, leaves)) or any(map(_is_followed, leaves)):
            return ELSEWHERE
        with choice.device(device):
            try:
                run = self._traced if cached else self._anew
                outputs, losses = run(*given, **kwargs)
            except TraceError as error:
                self._tell(error)
                return ELSEWHERE
        clear_losses(self._model)
        if losses:
            layers = list(self._model._every_layer())
            for at, values in losses.items():
                layers[int(at)]._losses.extend(values)
        return outputs

    def _anew(self, *args: Any, **kwargs: Any) -> Any:
        """A call that is traced again, since others' code acts at every call; a graph that is
        known keeps its program.
        """
        leaves = [_leaf(x) for x in tree.flatten([args, kwargs])]
        function, *rest = self._traced.trace(args, kwargs, leaves)
        key = _key(function)
        known = self._known.find(key)
        if known is None:
            self._known.keep(key, function)
        return self._traced.run((known or function, *rest), leaves)

    def _tell(self, error: TraceError) -> None:
        if not self._is_told:
            self._is_told = True
            text = str(error).split("\n")[0]
            warnings.warn(
                f"model {self._model.name!r} is called on the CPU, since its `call` cannot be "
                f"traced for a device: {text}",
                stacklevel=4,
            )


def _plain(f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return f(*args, **kwargs)


def _outcome(model: Any, outputs: Any) -> Any:
    """The outputs, and the losses that layers added, by the number of the layer."""
    odd = [x for x in tree.flatten(outputs) if not isinstance(x, Tensor | Variable)]
    if odd:
        raise TraceError(
            f"model {model.name!r} gives a {type(odd[0]).__name__} besides tensors\n"
            "  hint: tensors alone"
        )
    scope: Any = current_scope()
    numbers = {id(layer): str(at) for at, layer in enumerate(model._every_layer())}
    losses: dict[str, list[Any]] = {}
    for layer, value in scope.losses:
        losses.setdefault(numbers[id(layer)], []).append(value)
    return outputs, losses


def _leaf(x: Any) -> Any:
    """Arrays as tensors; all else a trace is made for."""
    return _core.tensor(x) if isinstance(x, np.ndarray) else x


def _is_data(x: Any) -> bool:
    return isinstance(x, Tensor | np.ndarray)


def _is_followed(x: Any) -> bool:
    """Whether a graph or a tape follows what becomes of a value."""
    return (isinstance(x, Tensor) and (x.is_traced or x.is_recorded)) or not (
        _is_data(x) or isinstance(x, bool | int | float | str | Variable | type(None))
    )


def _key(function: _core.Function) -> Any:
    """Equal for functions that compute the same from the same variables."""
    import hashlib  # takes as long as a small model's first call

    captured = tuple(
        hashlib.blake2b(np.asarray(t).tobytes()).digest() for t in function.captured
    )  # fmt: skip
    return (function.steps, tuple(v.key for v in function.variables), captured)
