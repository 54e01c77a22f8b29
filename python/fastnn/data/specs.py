"""Shapes and types of tensors as TensorFlow describes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn.base.tensors import TYPES, TensorShape

__all__ = ["TensorShape", "TensorSpec"]


class TensorSpec:
    """Shape and type of a tensor, as in `input_signature`."""

    shape: Sequence[int | None]
    dtype: str
    name: str | None

    def __init__(self, shape: Sequence[int | None], dtype: Any = "float32", name: Any = None):
        self.shape, self.name = TensorShape(shape or ()), name
        self.dtype = TYPES[dtype] if isinstance(dtype, str) else dtype

    def __repr__(self) -> str:
        return f"TensorSpec(shape={tuple(self.shape)}, dtype={self.dtype!r})"
