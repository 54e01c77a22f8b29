"""Weights in fewer bits: stored as int8 with scales, or as bfloat16, and read as float32.

Depends on `variables`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastnn import _core
from fastnn._core import Tensor
from fastnn.tracing.variables import Variable

__all__ = [
    "MODES", "StoredVariable", "layer_filter", "stored_weights", "weights_in", "with_fewer_bits",
]  # fmt: skip

#: The types that weights may be stored as.
MODES = ("int8", "bfloat16")


class StoredVariable(Variable):
    """A weight that is no longer trained, in fewer bits. Its value is float32 in every trace."""

    #: What codes are multiplied by, (out,) or (rows, 1, …); None for floats.
    scale: Variable | None = None

    @property
    def value(self) -> Tensor:
        """The float32 value."""
        wide = self.narrow.astype("float32")
        return wide if self.scale is None else wide * self.scale.value

    @property
    def narrow(self) -> Tensor:
        """The value as it is stored, for ops that read it so."""
        # As a variable's value: the property, not what this class makes of it.
        value: Tensor = super().value
        return value

    def __reduce__(self) -> tuple[Any, ...]:
        state = {k: v for k, v in self.__dict__.items() if k != "initializer"}
        # NumPy has no bfloat16: its float32 values are the same.
        return _restored_stored, (np.array(self.numpy()), self.dtype, self.name, state)


def _restored_stored(array: Any, dtype: str, name: str, state: dict[str, Any]) -> StoredVariable:
    made = StoredVariable(array, dtype=dtype, trainable=False, name=name)
    made.__dict__.update(state)
    return made


def layer_filter(filters: Any) -> Callable[[Any], bool]:
    """Whether a layer is meant: by regular expressions for its name, or by a function."""
    if filters is None:
        return lambda layer: True
    if callable(filters):
        return filters  # type: ignore[no-any-return]
    patterns = [filters] if isinstance(filters, str) else filters
    if not isinstance(patterns, list | tuple) or not all(isinstance(p, str) for p in patterns):
        raise TypeError(
            f"filters is {filters!r}, wanted a regular expression for names of layers, several of "
            "them, or a function of a layer\n  hint: filters='dense_1'"
        )
    return lambda layer: any(re.search(pattern, layer.name) for pattern in patterns)


def weights_in(layers: Any) -> Iterator[tuple[Any, str, Variable]]:
    """Layer, attribute and weight of everything that can be stored in fewer bits, each once."""
    layers = list(layers)
    seen = {id(v.scale) for v in stored_weights(layers)}  # of weights that are in fewer bits
    for layer in layers:
        for name, v in list(layer.__dict__.items()):
            wanted = isinstance(v, Variable) and v.dtype == "float32" and len(v.shape) >= 2
            if wanted and id(v) not in seen and any(v is own for own in layer._variables):
                seen.add(id(v))
                yield layer, name, v


def stored_weights(layers: Any) -> list[StoredVariable]:
    """The weights that are stored in fewer bits."""
    found = [v for layer in layers for v in layer._variables if isinstance(v, StoredVariable)]
    return list({id(v): v for v in found}.values())


def with_fewer_bits(layer: Any, name: str, mode: str) -> StoredVariable:
    """Puts a weight in fewer bits into the place of one of a layer; gives the new one."""
    old = layer.__dict__[name]
    value = np.asarray(old, np.float32)
    made: StoredVariable
    if mode == "bfloat16":
        made = StoredVariable(_core.tensor(value).astype("bfloat16"), dtype="bfloat16",
                              trainable=False, name=old.name)  # fmt: skip
    else:
        # A row of a table is looked up whole; of other weights the last axis is the outputs.
        axes = tuple(range(1, value.ndim)) if name == "embeddings" else tuple(range(value.ndim - 1))
        most = np.abs(value).max(axis=axes, keepdims=name == "embeddings")
        scale = np.where(most > 0, most / np.float32(127), np.float32(1)).astype(np.float32)
        codes = np.clip(np.rint(value / scale), -127, 127).astype(np.int8)
        made = StoredVariable(codes, dtype="int8", trainable=False, name=old.name)
        made.scale = Variable(scale, trainable=False, name=f"{old.name}_scale")
        made.scale.path = f"{old.path}_scale"
    made.path = old.path
    layer._variables[:] = [made if v is old else v for v in layer._variables]
    setattr(layer, name, made)
    if made.scale is not None:
        setattr(layer, f"{name}_scale", made.scale)
    return made
