"""What a model is given, brought to the shapes that it wants. Depends on `data`."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from fastnn._core import Tensor
from fastnn.base import tree
from fastnn.base.caching import cached
from fastnn.data.arrays import as_arrays, leaf, stacked
from fastnn.data.batches import ArrayData, IterableData, check_features, is_iterable_data, unpack
from fastnn.data.labels import class_weights
from fastnn.errors import DataError, ShapeError
from fastnn.layers.preprocessing.host import read_batches, read_text, text_inputs
from fastnn.tracing.fingerprint import is_ours

__all__ = [
    "as_array_data",
    "as_declared",
    "as_whole_numbers",
    "check_class_keys",
    "check_labels",
    "fit_inputs",
    "place_of_odd",
    "source_of",
    "typed_inputs",
    "validation_of",
    "weigh_by_class",
]  # fmt: skip


def fit_inputs(model: Any, x: Any, predicts: bool = False) -> Any:
    """`x` brought to the shapes that the model wants, for a prediction or for the other steps."""
    want = model._input_shapes()
    texts = text_inputs(model)
    if None in texts:
        return x
    if want is None:
        if model.model_kind == "subclassed":
            return x  # its `call` is written for the shapes that it is given
        return tree.map_structure(lambda a: a[:, None] if a.ndim == 1 else a, x)
    names, shapes = want
    # A step of the caller's may take the data apart before the model is called on them.
    steps = ("predict_step",) if predicts else ("train_step", "test_step")
    apart = any(_is_own(model, name) for name in steps)
    if apart and isinstance(x, dict) and not all(n in x for n in names):
        return x
    leaves = _match_inputs(x, names)
    if len(leaves) != len(shapes):
        if apart:
            return x
        raise DataError(
            f"x has {len(leaves)} arrays, model {model.name!r} has {len(shapes)} inputs"
            f" ({', '.join(names)})\n  hint: give a list or dict of {len(shapes)} arrays"
        )
    fixed = []
    for i, (a, shape) in enumerate(zip(leaves, shapes, strict=True)):
        if names[i] in texts:
            fixed.append(a)  # what the layer there has made of it
            continue
        a = _of_batch("x" if len(leaves) == 1 else f"x[{i}]", a, model, i)
        if a.shape[1:] != tuple(shape[1:]) and model._takes(a, shape):
            fixed.append(a)
            continue
        if apart and a.ndim != len(shape):
            return x
        where = functools.partial(model._expects, shape, a.shape)
        fixed.append(check_features("x" if len(leaves) == 1 else f"x[{i}]", a, shape, where))
    return fixed[0] if not isinstance(x, dict | list | tuple) else (
        dict(zip(names, fixed, strict=True)) if isinstance(x, dict) else fixed
    )  # fmt: skip


def typed_inputs(model: Any, x: Any) -> Any:
    """`x` with arrays and tensors in the types of the model's inputs, as Keras has them: truth
    values are all numbers but 0, and whole numbers among floats become int32, which float32 would
    round beyond 2^24. DataError for numbers that a whole type does not hold.
    """
    if model._input_shapes() is None:
        return x
    types = [t.dtype if t.dtype in _CONVERTED else None for t in model.inputs]
    if not any(types):
        return x
    names = model.input_names
    if isinstance(x, dict):
        of = dict(zip(names, types, strict=True))
        return {k: _typed(v, of.get(k), f"x[{k!r}]") for k, v in x.items()}
    if type(x) in (list, tuple):
        if len(names) == 1 and x and isinstance(x[0], int | float | list | tuple):
            return _typed(x, types[0], "x")
        if len(x) != len(names):
            return x
        return type(x)(
            [
                _typed(v, dtype, f"x[{i}]" if len(names) > 1 else "x")
                for i, (v, dtype) in enumerate(zip(x, types, strict=True))
            ]
        )
    return _typed(x, types[0], "x") if len(names) == 1 else x


#: The types of inputs that are not computed in as float32.
_CONVERTED = ("bool", "int32", "int8", "uint8")


def _typed(a: Any, dtype: str | None, what: str) -> Any:
    """What one input is given, in its type."""
    if dtype is None:
        return a
    if isinstance(a, Tensor):
        if a.dtype == dtype:
            return a
        if a.is_traced or dtype == "bool":
            return a.astype(dtype)
        a = a.numpy()
    elif type(a) in (list, tuple):
        try:
            listed = np.asarray(a)
        except (TypeError, ValueError):
            return a  # ragged, which is told where it becomes an array
        if listed.dtype.kind not in "bfiu" or (dtype == "int32" and listed.dtype.kind != "f"):
            return a
        a = listed
    return as_declared(a, dtype, what)


def as_declared(a: Any, dtype: str | None, what: str) -> Any:
    """An array in the type of its input; DataError, which names the array `what`, for numbers that
    this type does not hold.
    """
    if not isinstance(a, np.ndarray) or a.dtype.kind not in "bfiu" or a.dtype == dtype:
        return a
    if dtype == "bool":
        return a != 0
    if dtype == "int32" and a.dtype.kind == "f":
        place = place_of_odd(a, dtype)
        if place is not None:
            raise DataError(
                f"{what} holds {a[place]:.6g} at position {place}, wanted whole numbers for "
                f"Input(dtype='int32')\n  hint: round them first, or Input(dtype='float32')"
            )
        return a.astype(np.int32)
    if dtype in ("int8", "uint8"):
        place = place_of_odd(a, dtype)
        if place is not None:
            limits = np.iinfo(dtype)
            raise DataError(
                f"{what} holds {a[place]:.6g} at position {place}, wanted whole numbers from "
                f"{limits.min} to {limits.max} for Input(dtype={dtype!r})\n"
                f"  hint: {what}.astype({dtype!r}) cuts them, Input(dtype='float32') takes them"
            )
        return a.astype(dtype)
    return a


def as_whole_numbers(a: Any) -> Any:
    """An array of floats that are whole numbers of 32 bits as int32; all else as it is."""
    if not isinstance(a, np.ndarray) or a.dtype.kind != "f" or place_of_odd(a, "int32") is not None:
        return a
    return a.astype(np.int32)


def place_of_odd(a: np.ndarray[Any, Any], dtype: str) -> tuple[int, ...] | None:
    """The place of the first number that a whole type does not hold."""
    limits = np.iinfo(dtype)
    held = (a >= int(limits.min)) & (a < int(limits.max) + 1)
    if a.dtype.kind == "f":
        held &= a == np.rint(a)
    return None if held.all() else tuple(int(n) for n in np.argwhere(~held)[0])


def _of_batch(what: str, a: Any, model: Any, at: int) -> Any:
    """An array of a batch, whose numbers may be float32 as they come, in the type of its input."""
    inputs = getattr(model, "inputs", None)
    if not inputs or at >= len(inputs):
        return a
    if inputs[at].dtype == "int32" and a.dtype.kind == "f" and (big := np.abs(a) >= 2**24).any():
        place = tuple(int(n) for n in np.argwhere(big)[0])
        if -(2**31) <= a[place] < 2**31:
            raise DataError(
                f"{what} holds floats of 2^24 and more, as {a[place]:.0f} at position {place}, "
                "which float32 may have rounded, wanted whole numbers for Input(dtype='int32')\n"
                f"  hint: {what} as an array of int32 or int64"
            )
    return as_declared(a, inputs[at].dtype, what)


def _match_inputs(x: Any, names: list[str]) -> list[Any]:
    if isinstance(x, dict) and all(n in x for n in names):
        return [x[n] for n in names]
    if isinstance(x, dict):
        missing = [n for n in names if n not in x]
        raise DataError(
            f"x lacks the input '{missing[0]}', it has {', '.join(map(repr, x))}\n"
            f"  hint: name the arrays after the inputs: {', '.join(names)}"
        )
    return tree.flatten(x)


def as_array_data(model: Any, x: Any, y: Any, weights: Any, predicts: bool = False) -> ArrayData:
    """Arrays of equal length, x in the shapes that the model wants."""
    x = typed_inputs(model, read_text(model, x))
    if isinstance(x, list) and x and isinstance(x[0], tuple | list) is False and not isinstance(
        x[0], int | float | str | bool | np.generic
    ) and model._single_input():  # fmt: skip
        rows = [leaf(v, f"x[{i}]", narrow=True) for i, v in enumerate(x)]
        x = rows[0] if len(rows) == 1 else stacked(rows, "x")
    samples = as_arrays(x, "x", narrow=True)
    data = ArrayData(samples, as_arrays(y, "y"), as_arrays(weights, "sample_weight"))
    data.x = fit_inputs(model, data.x, predicts)
    data.join()
    return data


#: What a model of the user's may define anew, so that targets reach the loss as others.
_STEPS = ("train_step", "test_step", "compute_loss", "compute_metrics")


def check_labels(model: Any, y: Any, weights: Any = None, program: Any = None) -> None:
    """DataError when labels are none that losses and metrics of the outputs can take.

    Without the program of a step it is not known whether a step of the user's changes them first.
    """
    fed = None if program is None else program.fed
    if fed is None and any(_is_own(model, name) for name in _STEPS):
        return
    # A Sequential has none, and to be told so by an instance takes a while.
    names = model.output_names if hasattr(type(model), "output_names") else None
    done: Any = ()
    if model._compiled_loss is not None and y is not None:
        sizes = getattr(model, "_output_sizes", None)
        done = model._compiled_loss.check_labels(y, names, sizes, weights, fed)
    if model._compiled_metrics is not None and y is not None:
        model._compiled_metrics.check_labels(y, names, weights, fed, done)


def _is_own(model: Any, name: str) -> bool:
    """Whether a method is not the package's own."""
    if name not in model.__dict__:
        return _is_own_of(type(model), getattr(type(model), name, None))
    return not is_ours(model.__dict__[name])


@cached(256)
def _is_own_of(cls: type, method: Any) -> bool:
    return not is_ours(method)


def check_class_keys(model: Any, classes: dict[int, float]) -> None:
    """ValueError when `class_weight` names a class that the single output has not."""
    loss: Any = model._compiled_loss
    sizes: Any = getattr(model, "_output_sizes", None)
    wanted = loss.wanted(0, 1) if loss is not None and sizes is not None else None
    if wanted is None or len(sizes) != 1 or not isinstance(sizes[0], int):
        return
    count = max(sizes[0], 2)
    odd = [c for c in classes if not 0 <= c < count]
    if odd and wanted.kind in ("number", "share", "binary"):
        raise ValueError(
            f"class_weight has the class {odd[0]}, the model has the classes 0…{count - 1}\n"
            "  hint: number the classes from 0, as in y"
        )


def weigh_by_class(model: Any, y: Any, classes: Any, weights: Any) -> Any:
    """The sample weights times those of the classes."""
    loss = model._compiled_loss
    numbered = (loss is not None and loss.takes_numbers) or (
        getattr(model, "_output_sizes", None) == [1]
    )
    return class_weights(y, classes, weights, numbered)


def source_of(
    model: Any, x: Any, y: Any, weights: Any, shuffle: bool, name: str = "x", check: bool = True
) -> ArrayData | IterableData:
    """What a run reads: arrays whose labels are checked, if asked, or an iterable of batches."""
    if is_iterable_data(x):
        if y is not None:
            raise ValueError(
                f"{name} yields its own targets, so y must not be given\n"
                "  hint: fit(generator) with batches (x, y)"
            )
        if weights is not None:
            raise ValueError(
                f"{name} yields its own weights\n  hint: yield batches (x, y, sample_weight)"
            )
        return _iterable(model, x, name, shuffle)
    data = as_array_data(model, x, y, weights)
    if check:
        check_labels(model, data.y, data.weights)
    return data


def _iterable(model: Any, given: Any, name: str, shuffle: bool = False) -> IterableData:
    data = IterableData(read_batches(model, given), name, shuffle)
    data.unlike = _is_own(model, "train_step") or _is_own(model, "test_step")
    return data


def validation_of(model: Any, given: Any) -> ArrayData | IterableData:
    """What `validation_data` was given, as `source_of` gives it."""
    if is_iterable_data(given):
        return _iterable(model, given, "validation_data")
    x, y, w = unpack(given)
    if y is None and model._compiled_loss is not None:
        raise DataError(
            f"validation_data is {type(given).__name__} without targets, the loss needs them\n"
            "  hint: validation_data=(x_val, y_val)"
        )
    try:
        return source_of(model, x, y, w, False, "validation_data")
    except (DataError, ShapeError) as error:
        error.add_note("  in validation_data")
        raise
