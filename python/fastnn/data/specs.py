"""Shapes and types of tensors as TensorFlow describes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

__all__ = ["TensorShape", "TensorSpec"]


class TensorShape(tuple):  # type: ignore[type-arg]
    """Sizes of a tensor, with TensorFlow's methods."""

    def __new__(cls, dims: Sequence[int | None] = ()) -> TensorShape:
        """From a sequence of sizes."""
        return super().__new__(cls, dims)

    def as_list(self) -> list[int | None]:
        """The sizes as a list."""
        return list(self)

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self)

    def num_elements(self) -> int | None:
        """The product of the sizes, None where one is open."""
        return None if None in self else math.prod(d or 0 for d in self)


class TensorSpec:
    """Shape and type of a tensor, as in `input_signature`."""

    shape: Sequence[int | None]
    dtype: str
    name: str | None

    def __init__(self, shape: Sequence[int | None], dtype: Any = "float32", name: Any = None):
        self.shape, self.dtype, self.name = TensorShape(shape or ()), dtype, name

    def __repr__(self) -> str:
        return f"TensorSpec(shape={tuple(self.shape)}, dtype={self.dtype!r})"
