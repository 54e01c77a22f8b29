"""Layers that bind the size of the batch, because they keep a state per sample from batch to batch.

Depends on the standard library.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

__all__ = ["bind_batch", "fixed_batch"]

_bound: WeakKeyDictionary[Any, int] = WeakKeyDictionary()


def bind_batch(layer: Any, size: int) -> None:
    """Notes that a layer works for batches of this size alone."""
    _bound[layer] = size


def fixed_batch(model: Any, given: int | None = None, samples: int | None = None) -> int | None:
    """The size of batches for a model: `given`, or what its stateful layers are bound to.

    ValueError when another size is given, or samples are left over.
    """
    if not _bound:
        return given
    size = next((_bound[x] for x in model._every_layer() if x in _bound), None)
    if size is None:
        return given
    if given not in (None, size):
        raise ValueError(
            f"batch_size is {given}, but a stateful layer of the model keeps the states of {size} "
            f"samples from batch to batch\n  hint: batch_size={size}, or leave it out"
        )
    if samples is not None and samples % size:
        raise ValueError(
            f"{samples} samples are not a whole number of batches of {size}, as a stateful layer "
            f"needs\n  hint: give a multiple of {size} samples"
        )
    return size
