"""Checks of arguments that many functions take: counts, verbosity, paths. Depends on NumPy."""

from __future__ import annotations

import decimal
import functools
import inspect
import numbers
import os
import types
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

import numpy as np

from fastnn.base.caching import cached
from fastnn.errors import nearest, reject_arguments

__all__ = [
    "as_number", "call_parameters", "check_counts", "check_validation", "hints_arguments",
    "is_whole", "kept_signature", "local_path", "missing_argument", "refuse_unfit",
    "refuse_unknown", "signature_of", "takes_numbers", "training_default", "verbosity",
    "whole_number",
]  # fmt: skip

Made = TypeVar("Made", bound=Callable[..., Any])

#: An array of whole numbers up to this long is a shape or a list of axes.
_MAX_AXES = 8
#: Python's own settings.
_OWN = frozenset({types.NoneType, bool, int, float, str})


def as_number(value: Any) -> Any:
    """A setting as Python's own number: NumPy scalars and arrays of no axes, fractions, decimals.

    Lists and tuples go item by item, short arrays of whole numbers (shapes, axes) become lists;
    anything else stays as it is.
    """
    if type(value) in _OWN:
        return value
    if type(value) in (list, tuple):
        if _OWN.issuperset(map(type, value)):
            return value
        made = [as_number(v) for v in value]
        same = all(a is b for a, b in zip(made, value, strict=True))
        return value if same else type(value)(made)
    if isinstance(value, np.generic | np.ndarray):
        if value.ndim == 0:
            return value.item() if value.dtype.kind in "biuf" else value
        short = value.ndim == 1 and value.dtype.kind in "iu" and value.size <= _MAX_AXES
        return value.tolist() if short else value
    if isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if isinstance(value, numbers.Real | decimal.Decimal) else value


def refuse_unknown(
    where: str, target: Callable[..., Any], given: Iterable[str], also: Iterable[str] = ()
) -> None:
    """After a TypeError of a call: the error with a hint, where a keyword was misspelt.

    Args:
        where: What messages call the function.
        target: The function; one that hands further arguments on takes them all.
        given: The keywords of the call.
        also: Keywords that are taken besides the function's parameters.
    """
    parameters = inspect.signature(target).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    also = tuple(also)
    if unknown := [name for name in given if name not in parameters and name not in also]:
        raise reject_arguments(where, unknown, target, also) from None


def missing_argument(
    where: str, name: str, target: Callable[..., Any], given: Iterable[str]
) -> TypeError:
    """The error for an argument that is missing, perhaps because it is misspelt.

    Args:
        where: What messages call the function.
        name: The argument.
        target: The function.
        given: The keywords of the call.
    """
    known = inspect.signature(target).parameters
    close = nearest(name, [key for key in given if key not in known], 1)
    hint = (
        f"`{close[0]}` is called `{name}`" if close else f"{where.removesuffix('()')}({name}=...)"
    )
    return TypeError(f"{where} needs the argument {name!r}, which is missing\n  hint: {hint}")


def refuse_unfit(
    where: str, target: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """After a TypeError of a call: the error with a hint, where its arguments do not fit.

    Args:
        where: What messages call the function.
        target: The function.
        args: What was given by position, with the object of a method.
        kwargs: What was given by name.
    """
    parameters = list(inspect.signature(target).parameters.values())
    placed = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    later = [*placed[len(args) :], *(p for p in parameters if p.kind is p.KEYWORD_ONLY)]
    missing = [p.name for p in later if p.default is p.empty and p.name not in kwargs]
    if not missing or not nearest(missing[0], kwargs, 1):  # else one is misspelt for the other
        refuse_unknown(where, target, kwargs)
    if missing:
        raise missing_argument(where, missing[0], target, kwargs) from None
    if len(args) > len(placed) and all(p.kind is not p.VAR_POSITIONAL for p in parameters):
        names = [p.name for p in placed if p.name != "self"]
        named = [f"{p.name}=..." for p in parameters if p.kind is p.KEYWORD_ONLY]
        over = len(args) - len(placed)
        raise TypeError(
            f"{where} takes {len(names)} argument{'s' * (len(names) != 1)} by position, got "
            f"{len(names) + over}\n  hint: {where.removesuffix('()')}({', '.join(names + named)})"
        ) from None


def hints_arguments(function: Made) -> Made:
    """A function whose arguments, where they do not fit, are answered with those that it takes.

    Args:
        function: Any; one that hands further arguments on stays as it is.
    """
    name = function.__name__
    owner = function.__qualname__.removesuffix(".__init__")
    where = owner if name == "__init__" else f"{owner if name.startswith('__') else name}()"

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:  # looked at after a failure alone, so that calls cost no more than before
            return function(*args, **kwargs)
        except TypeError:
            refuse_unfit(where, function, args, kwargs)
            raise

    return cast(Made, call)


def takes_numbers(cls: type) -> None:
    """Makes the constructor of a class of fastnn take settings by `as_number`.

    So units, rates, axes and shapes may come from a grid, a frame or an optimiser of settings;
    what the class keeps are Python's numbers, which go into configs and files. Called for every
    subclass; those of users get their arguments as they are given.
    """
    own = cls.__dict__.get("__init__")
    if own is None or not cls.__module__.startswith("fastnn."):
        return

    # Read with the first call: most of the many classes that an import makes are never called.
    known = functools.cache(lambda: _names_taken(own))

    @functools.wraps(own)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        if kwargs and (names := known()) is not None and not names.issuperset(kwargs):
            unknown = [name for name in kwargs if name not in names]
            raise reject_arguments(cls.__name__, unknown, own)
        try:
            own(self, *map(as_number, args), **{k: as_number(v) for k, v in kwargs.items()})
        except TypeError:
            made = type(self) if type(self).__init__ is __init__ else cls
            refuse_unfit(made.__name__, own, (self, *args), kwargs)
            raise

    cls.__init__ = __init__  # type: ignore[misc]


def _names_taken(function: Callable[..., Any]) -> frozenset[str] | None:
    """Names of a function's parameters; None where it takes any."""
    parameters = inspect.signature(function).parameters.values()
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters)
    return None if open_ended else frozenset(p.name for p in parameters)


def is_whole(value: Any) -> bool:
    """Whether a setting is a whole number; True and False are none."""
    return isinstance(as_number(value), int) and not isinstance(as_number(value), bool)


def positive_size(name: str, value: Any, where: str) -> int:
    """`value` as a whole number above zero; ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value <= 0:
        raise ValueError(
            f"{where}: `{name}` must be a positive integer, a whole number above 0. "
            f"Received: {name}={value!r}\n  hint: {name}=32"
        )
    return int(value)


def local_path(path: Any) -> str:
    """A path as text, with the home folder for a leading `~`, as a shell would write it."""
    if not isinstance(path, str | bytes | os.PathLike):
        raise TypeError(
            f"the path is {path!r} ({type(path).__name__}), wanted text or a pathlib.Path\n"
            "  hint: 'model.safetensors'"
        )
    return os.path.expanduser(os.fsdecode(path))


def verbosity(verbose: Any) -> int:
    """0, 1 or 2 from what `verbose=` may be."""
    if verbose == "auto" or verbose is True:
        return 1
    if verbose in (0, 1, 2):
        return int(verbose)
    raise ValueError(f"verbose is {verbose!r}, wanted 0, 1, 2 or 'auto'\n  hint: verbose=1")


def whole_number(name: str, value: Any, low: int, where: str = "") -> int:
    """A number, or a tensor of one, as a whole number of at least `low`; ValueError otherwise."""
    number = as_number(value.numpy() if hasattr(value, "numpy") else value)
    if not is_whole(number) or number < low:
        raise ValueError(f"{where}{name} is {value!r}, wanted a whole number of at least {low}\n"
                         f"  hint: {name}={max(low, 1)}")  # fmt: skip
    return int(number)


def check_counts(
    epochs: Any, batch_size: Any, split: Any, initial_epoch: Any, steps: Any, name: str = "steps"
) -> None:
    """ValueError for counts that make no sense, which Keras takes in silence."""
    if epochs.__class__ is not int or epochs < 0:
        whole_number("epochs", epochs, 0)
    if batch_size is not None and (batch_size.__class__ is not int or batch_size < 1):
        whole_number("batch_size", batch_size, 1)
    share = as_number(split)
    if share and (not isinstance(share, float) or not 0 < share < 1):
        raise ValueError(
            f"validation_split is {split!r}, wanted a number from 0 up to, not including, 1\n"
            "  hint: validation_split=0.2"
        )
    if initial_epoch.__class__ is not int or initial_epoch < 0:
        whole_number("initial_epoch", initial_epoch, 0)
    if steps is not None:
        whole_number(name, steps, 1)


def check_validation(steps: Any, batch_size: Any, freq: Any) -> None:
    """ValueError for settings of validation that make no sense, before an epoch is trained."""
    if steps is not None:
        whole_number("validation_steps", steps, 1)
    if batch_size is not None:
        whole_number("validation_batch_size", batch_size, 1)
    several = isinstance(freq, Iterable) and not isinstance(freq, str | bytes | dict)
    if several and not all(is_whole(epoch) and epoch >= 1 for epoch in freq):
        raise ValueError(
            f"validation_freq is {freq!r}, wanted the numbers of epochs, from 1 up\n"
            "  hint: validation_freq=[1, 5, 10]"
        )
    if not several:
        whole_number("validation_freq", freq, 1)


@cached(maxsize=512)
def call_parameters(fn: Callable[..., Any]) -> tuple[list[str], bool, bool, bool]:
    """Names of the positional parameters of a `call`, and whether it takes training, mask, **."""
    parameters = list(inspect.signature(fn).parameters.values())[1:]
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    every = {p.name for p in parameters}
    return (
        names,
        "training" in every,
        "mask" in every,
        any(p.kind is p.VAR_KEYWORD for p in parameters),
    )


@cached(maxsize=512)
def training_default(fn: Callable[..., Any]) -> Any:
    """What a `call` has for `training` where nobody says it; None where it has nothing."""
    found = inspect.signature(fn).parameters.get("training")
    return None if found is None or found.default is found.empty else found.default


@cached(1024)
def kept_signature(function: Callable[..., Any]) -> inspect.Signature:
    """The signature of a constructor, which configs ask for again and again."""
    return inspect.signature(function)


def signature_of(defaults: dict[str, Any], **keywords: Any) -> inspect.Signature:
    """The signature of a constructor made in a loop: for `help`, editors and the documents.

    `defaults` may be given by position, `keywords` by name alone.
    """
    either, named = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    return inspect.Signature([
        inspect.Parameter("self", either),
        *(inspect.Parameter(name, either, default=value) for name, value in defaults.items()),
        *(inspect.Parameter(name, named, default=value) for name, value in keywords.items()),
    ])  # fmt: skip
