"""Which weights of a model were pruned, as files note it. Depends on `constraints`.

A file has the zeros already, so it names the weights, and of each the zeros that are none of the
mask's: the places where training may go on.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from fastnn.base.messages import escaped
from fastnn.constraints import KeptZeros
from fastnn.errors import FormatError

__all__ = ["prune_again", "pruned_weights", "warn_of_pruned"]


def pruned_weights(variables: dict[str, Any]) -> dict[str, list[int]]:
    """For each pruned weight by name, where it is zero and may change, as flat places."""
    found = {}
    for name, v in variables.items():
        if isinstance(v.constraint, KeptZeros):
            free = (np.asarray(v) == 0) & v.constraint.mask
            found[name] = [int(i) for i in np.flatnonzero(free)]
    return found


def prune_again(variables: dict[str, Any], noted: Any, path: str) -> None:
    """Makes weights keep their zeros as the model that was saved did."""
    if not isinstance(noted, dict):
        raise FormatError(f"{path!r}: 'fastnn.pruned' is no table\n  hint: save the model again")
    for name, free in noted.items():
        v = variables.get(name)
        size = 0 if v is None else int(np.prod(v.shape))
        right = isinstance(free, list) and all(type(i) is int and 0 <= i < size for i in free)
        if v is None or v.dtype != "float32" or not right:
            raise FormatError(
                f"{path!r} says that {escaped(str(name))!r} was pruned, which does not fit the "
                "model\n  hint: the file is damaged: save the model again"
            )
        mask = np.asarray(v) != 0
        mask.reshape(-1)[free] = True
        KeptZeros.hold(v, mask)


def warn_of_pruned(variables: dict[str, Any], path: str) -> None:
    """Says that Keras's formats do not hold which zeros are to stay."""
    if pruned := pruned_weights(variables):
        warnings.warn(
            f"{path!r} does not say that the zeros of {len(pruned)} pruned weights are to stay, "
            "which Keras's formats cannot\n  hint: save to a .safetensors file, or call "
            "fastnn.compression.keep_zeros(model) after load_model",
            stacklevel=4,
        )
