"""Keras's own models, computed by fastnn: `install()` before Keras is imported.

Keras has a slot for back ends, but no list that another package can enter. Its NumPy back end,
which only computes predictions, holds the place: arrays stay NumPy's, and where Keras's `predict`
and `evaluate` call a model, the call is traced with tensors of fastnn, compiled, and run as one
program. Functions of the back end that meet such a tensor are those of `fastnn.ops`, which has them
under Keras's names. Keras is imported when `install` is called. Depends on `ops`, `calls`.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base import tree
from fastnn.base.arguments import hints_arguments
from fastnn.base.typing import DTypeLike
from fastnn.keras_backend.calls import Unable, compile_calls, is_tracing, notes

__all__ = ["install"]


@hints_arguments
def install() -> None:
    """Makes Keras compute predictions with fastnn: `predict`, `evaluate`, and what calls them.

    What fastnn cannot compile, Keras's NumPy code computes, which a warning says once a model; so
    does a plain call, `model(x)`. As with Keras's other back ends, a setting of a layer that
    changes after the first `predict` is seen once the model was compiled again. There is no `fit`:
    train with `fastnn.keras`, or with another back end.

    Raises:
        ImportError: Keras 3 is not installed.
        RuntimeError: Keras was imported before, with a back end that trains.

    Example:
        >>> fastnn.keras_backend.install()  # doctest: +SKIP
        >>> import keras  # doctest: +SKIP
        >>> model = keras.models.load_model("model.keras")  # doctest: +SKIP
        >>> model.predict(x)  # doctest: +SKIP
    """
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "numpy"
    try:
        import keras
        from keras.src.backend.common import tensor_attributes as attributes
        from keras.src.backend.numpy import core, image, linalg, math, nn, numpy, rnn
        from keras.src.backend.numpy.trainer import NumpyTrainer
    except ImportError:
        if "keras" in sys.modules:
            raise
        raise ImportError("Keras 3 is not installed\n  hint: pip install keras") from None
    if keras.config.backend() != "numpy":
        raise RuntimeError(
            f"Keras already computes with {keras.config.backend()!r}\n"
            "  hint: call fastnn.keras_backend.install() before keras is imported"
        )
    if hasattr(NumpyTrainer, "_fastnn"):
        return
    changed: dict[int, tuple[Any, Any]] = {}
    for module in (core, image, linalg, math, nn, numpy):
        for name, own in list(vars(module).items()):
            if not name.startswith("_") and getattr(own, "__module__", "") == module.__name__ and (
                callable(own) and not isinstance(own, type)
            ):  # fmt: skip
                ours = _OWN.get(name) or getattr(ops, name, getattr(ops.image, name, None))
                changed[id(own)] = own, _either(name, own, ours)
    changed[id(rnn)] = rnn, _either("rnn", rnn, _rnn)
    is_tensor = core.is_tensor
    changed[id(is_tensor)] = is_tensor, lambda x: isinstance(x, Tensor) or is_tensor(x)
    for own, change in ((attributes.get_tensor_attr, _read), (attributes.set_tensor_attr, _note)):
        changed[id(own)] = own, functools.partial(change, own)
    # Keras's modules import some of these functions by name.
    for place in [m for n, m in list(sys.modules.items()) if n.split(".")[0] == "keras"]:
        for name, value in list(vars(place).items()):
            if id(value) in changed:
                setattr(place, name, changed[id(value)][1])
    compile_calls(NumpyTrainer)


def _either(name: str, own: Callable[..., Any], ours: Any) -> Callable[..., Any]:
    """A function of the back end: fastnn's where a call is traced, else NumPy's."""

    @functools.wraps(own)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not is_tracing():
            return own(*args, **kwargs)
        args, kwargs = _values(args), _values(kwargs)
        if not _meets_tensor((args, kwargs)):
            return own(*args, **kwargs)
        if ours is None:
            raise Unable(f"fastnn has no {name!r}")
        return ours(*args, **kwargs)

    return call


def _values(given: Any) -> Any:
    """The same with the values of Keras's variables in their places."""
    if type(given) in (list, tuple):
        return type(given)(_values(g) for g in given)
    if type(given) is dict:
        return {k: _values(v) for k, v in given.items()}
    return given.value if hasattr(given, "overwrite_with_gradient") else given


def _meets_tensor(given: Any) -> bool:
    if isinstance(given, dict):
        given = given.values()
    elif not isinstance(given, list | tuple):
        return isinstance(given, Tensor)
    return any(_meets_tensor(g) for g in given)


def _convert(x: Any, dtype: DTypeLike = None, sparse: Any = None, ragged: Any = None) -> Any:
    if sparse or ragged:
        raise Unable("sparse and ragged tensors")
    x = ops.convert_to_tensor(x)
    return x if dtype is None else _cast(x, dtype)


def _cast(x: Any, dtype: DTypeLike) -> Any:
    from keras.src.backend import standardize_dtype

    dtype = standardize_dtype(dtype)
    return x if standardize_dtype(x.dtype) == dtype else ops.cast(x, dtype)


def _rnn(
    step: Callable[..., Any],
    inputs: Any,
    initial_states: Any,
    go_backwards: bool = False,
    mask: Any = None,
    constants: Any = None,
    unroll: bool = False,
    input_length: Any = None,
    time_major: bool = False,
    zero_output_for_mask: bool = False,
    return_all_outputs: bool = True,
) -> tuple[Any, Any, list[Any]]:
    """Keras's loop over the steps of a sequence, as one loop of the core."""

    def steps_first(x: Any) -> Any:
        x = x if time_major else ops.moveaxis(x, 1, 0)
        return ops.flip(x, 0) if go_backwards else x

    given = tree.map_structure(steps_first, inputs)
    rest = tuple(constants or ())
    if mask is not None:
        mask = ops.cast(mask, "bool")
        mask = steps_first(ops.expand_dims(mask, -1) if mask.ndim == 2 else mask)

    def kept(m: Any, new: Any, old: Any) -> Any:
        return ops.where(ops.reshape(m, (*m.shape, *[1] * (new.ndim - m.ndim))), new, old)

    def one(carry: Any, x: Any) -> Any:
        states, last = carry
        out, new = step(x[0], (*states, *rest))
        new = tree.pack(states, tree.flatten(new))
        if mask is not None:
            out = kept(x[1], out, ops.zeros_like(out) if zero_output_for_mask else last)
            new = tree.map_structure(lambda n, o: kept(x[1], n, o), new, states)
        return (new, out), out if return_all_outputs else None

    states = tree.map_structure(ops.convert_to_tensor, list(initial_states))
    first, _ = step(tree.map_structure(lambda x: x[0], given), (*states, *rest))
    xs = (given,) if mask is None else (given, mask)
    (states, last), outputs = ops.scan(one, (states, ops.zeros_like(first)), xs)
    if not return_all_outputs:
        outputs = ops.expand_dims(last, 0)
    return last, outputs if time_major else ops.moveaxis(outputs, 0, 1), states


def _note(own: Callable[..., Any], tensor: Any, name: str, value: Any) -> None:
    """Keras notes masks at tensors; ours are held until the trace ends."""
    if not isinstance(tensor, Tensor):
        own(tensor, name, value)
    elif is_tracing():
        notes()[id(tensor), name] = tensor, value


def _read(own: Callable[..., Any], tensor: Any, name: str) -> Any:
    if not isinstance(tensor, Tensor):
        return own(tensor, name)
    return notes().get((id(tensor), name), (None, None))[1]


_OWN = {"convert_to_tensor": _convert, "cast": _cast, "shape": lambda x: tuple(x.shape)}
