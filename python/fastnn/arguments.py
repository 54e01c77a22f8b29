"""Checks of arguments that many functions take: counts, verbosity, paths. Depends on NumPy."""

from __future__ import annotations

import decimal
import numbers
import os
from typing import Any

import numpy as np

__all__ = ["as_number", "check_counts", "is_whole", "local_path", "verbosity"]


def as_number(value: Any) -> Any:
    """A setting as Python's own number: NumPy scalars and arrays of no axes, fractions, decimals.

    Lists and tuples go item by item; anything else stays as it is.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return type(value)(as_number(v) for v in value)
    if isinstance(value, np.generic | np.ndarray):
        return value.item() if np.ndim(value) == 0 and value.dtype.kind in "biuf" else value
    if isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if isinstance(value, numbers.Real | decimal.Decimal) else value


def is_whole(value: Any) -> bool:
    """Whether a setting is a whole number; True and False are none."""
    return isinstance(as_number(value), int) and not isinstance(as_number(value), bool)


def local_path(path: Any) -> str:
    """A path as text, with the home folder for a leading `~`, as a shell would write it."""
    return os.path.expanduser(os.fsdecode(path))


def verbosity(verbose: Any) -> int:
    """0, 1 or 2 from what `verbose=` may be."""
    if verbose == "auto" or verbose is True:
        return 1
    if verbose in (0, 1, 2):
        return int(verbose)
    raise ValueError(f"verbose is {verbose!r}\n  hint: 0, 1, 2 or 'auto'")


def _whole(name: str, value: Any, low: int) -> None:
    if not is_whole(value) or value < low:
        raise ValueError(f"{name} is {value!r}, wanted a whole number of at least {low}\n"
                         f"  hint: {name}={max(low, 1)}")  # fmt: skip


def check_counts(
    epochs: Any, batch_size: Any, split: Any, initial_epoch: Any, steps: Any, name: str = "steps"
) -> None:
    """ValueError for counts that make no sense, which Keras takes in silence."""
    if epochs.__class__ is not int or epochs < 0:
        _whole("epochs", epochs, 0)
    if batch_size is not None and (batch_size.__class__ is not int or batch_size < 1):
        _whole("batch_size", batch_size, 1)
    share = as_number(split)
    if split and (not isinstance(share, float) or not 0 < share < 1):
        raise ValueError(
            f"validation_split is {split!r}, wanted a number from 0 up to, not including, 1\n"
            "  hint: validation_split=0.2"
        )
    if initial_epoch.__class__ is not int or initial_epoch < 0:
        _whole("initial_epoch", initial_epoch, 0)
    if steps is not None:
        _whole(name, steps, 1)
