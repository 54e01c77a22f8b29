"""Checks of what `fit`, `evaluate` and `predict` are asked for. Depends on NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["check_counts", "verbosity"]


def verbosity(verbose: Any) -> int:
    """0, 1 or 2 from what `verbose=` may be."""
    if verbose == "auto" or verbose is True:
        return 1
    if verbose in (0, 1, 2):
        return int(verbose)
    raise ValueError(f"verbose is {verbose!r}\n  hint: 0, 1, 2 or 'auto'")


def _whole(name: str, value: Any, low: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < low:
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
    if split and (not isinstance(split, int | float) or not 0 < split < 1):
        raise ValueError(
            f"validation_split is {split!r}, wanted a number from 0 up to, not including, 1\n"
            "  hint: validation_split=0.2"
        )
    if initial_epoch.__class__ is not int or initial_epoch < 0:
        _whole("initial_epoch", initial_epoch, 0)
    if steps is not None:
        _whole(name, steps, 1)
