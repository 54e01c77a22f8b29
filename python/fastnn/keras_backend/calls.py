"""Calls of Keras's models as programs of fastnn. Depends on `tracing`, `transforms`."""

from __future__ import annotations

import functools
import threading
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.base import tree
from fastnn.tracing.variables import Variable
from fastnn.transforms import jit

__all__ = ["Unable", "compile_calls", "is_tracing", "notes"]

_local = threading.local()


class Unable(Exception):
    """A call that cannot be one program."""


def is_tracing() -> bool:
    """Whether this thread traces a call of one of Keras's models."""
    return getattr(_local, "tracing", False)


def notes() -> dict[Any, Any]:
    """What Keras notes at tensors during the trace."""
    return getattr(_local, "notes", {})


def compile_calls(trainer: Any) -> None:
    """`predict` and `evaluate` of Keras's models run compiled calls, until they are made anew."""

    def watched(make: Any, name: str) -> Any:
        @functools.wraps(make)
        def made(self: Any, force: bool = False) -> Any:
            before = getattr(self, name)
            make(self, force)
            step = getattr(self, name)
            if step is before:
                return step
            compiled = _Compiled(self)

            @functools.wraps(step)
            def run(data: Any) -> Any:
                outer, _local.compiled = getattr(_local, "compiled", None), compiled
                try:
                    return step(data)
                finally:
                    _local.compiled = outer

            setattr(self, name, run)
            return run

        return made

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        own = super(trainer, self).__call__
        compiled = getattr(_local, "compiled", None)
        if compiled is None or is_tracing() or compiled.model() is not self:
            return own(*args, **kwargs)
        return compiled(own, args, kwargs)

    trainer.make_predict_function = watched(trainer.make_predict_function, "predict_function")
    trainer.make_test_function = watched(trainer.make_test_function, "test_function")
    trainer.__call__, trainer._fastnn = call, True


def _first_line(error: BaseException) -> str:
    """What an error says; Keras wraps those of layers in a text of its own."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and lines[0].startswith("Exception encountered when calling"):
        where = lines[0].removeprefix("Exception encountered when calling ").rstrip(".")
        what = [line.replace("\x1b[1m", "").replace("\x1b[0m", "") for line in lines[1:2]]
        return ": ".join([where, *what])
    return lines[0] if lines else type(error).__name__


class _Compiled:
    """The calls of a model, as programs of fastnn by structure, shapes and types."""

    def __init__(self, model: Any) -> None:
        self.model: Callable[[], Any] = weakref.ref(model)
        self._programs: dict[Any, Any] = {}
        #: The calls that NumPy computes.
        self._unable: set[Any] = set()
        #: For each of Keras's variables fastnn's, and the array that it holds.
        self._weights: list[list[Any]] = []
        self._warned = False

    def __call__(self, own: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        leaves, model = tree.flatten(args), self.model()
        arrays = bool(leaves) and all(isinstance(a, np.ndarray | np.generic) for a in leaves)
        # The first call of a model that has no weights yet makes them.
        if not arrays or any(v._value is None for v in model.variables) or not model.built:
            return own(*args, **kwargs)
        key = (
            repr(tree.map_structure(lambda a: (a.shape, a.dtype.name), args)),
            repr(sorted(kwargs.items())),
        )
        if key in self._unable:
            return own(*args, **kwargs)
        try:
            self._refresh()
            program = self._programs.get(key)
            if program is None:
                program = self._programs[key] = self._program(args, kwargs)
            return tree.map_structure(np.asarray, program(*leaves))
        except Exception as error:
            found = own(*args, **kwargs)  # where the input is wrong, Keras's own code says so
            self._unable.add(key)
            self._warn(error)
            return found

    def _warn(self, error: Exception) -> None:
        if self._warned:
            return
        self._warned = True
        model = self.model()
        warnings.warn(
            f"model {getattr(model, 'name', '')!r} is computed by NumPy, which is slower: "
            f"{_first_line(error)}\n"
            "  hint: Keras's other back ends compile it, with KERAS_BACKEND=jax for one",
            stacklevel=6,
        )

    def _refresh(self) -> None:
        """Takes in the values that Keras's variables were given since."""
        model = self.model()
        variables = [v for v in model.variables if str(v.dtype) in ("float32", "int32", "bool")]
        if [w[0] for w in self._weights] != [id(v) for v in variables]:
            self._programs.clear()  # they read the variables that were
            self._weights = [
                [id(v), v, Variable(np.asarray(v._value), trainable=False), v._value]
                for v in variables
            ]
        for weight in self._weights:
            if weight[1]._value is not weight[3]:
                weight[3] = weight[1]._value
                weight[2].assign(np.asarray(weight[3]))

    def _program(self, args: Any, kwargs: Any) -> Any:
        from keras import StatelessScope

        def run(*leaves: Any) -> Any:
            values = [(v, ours.value) for _, v, ours, _ in self._weights]
            model = self.model()
            _local.tracing, _local.notes = True, {}
            try:
                scope = StatelessScope(values, collect_losses=True, initialize_variables=False)
                before = dict(scope.state_mapping)
                with scope:
                    out = model(*tree.pack(args, list(leaves)), **kwargs)
            finally:
                _local.tracing, _local.notes = False, {}
            if scope.losses:
                raise Unable("a layer adds a loss")
            changed = [k for k, v in scope.state_mapping.items() if before.get(k) is not v]
            if changed:
                raise Unable("a layer changes a variable when it is called")
            return out

        return jit(run)
