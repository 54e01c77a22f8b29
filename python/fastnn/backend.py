"""Names of `keras.backend` that programs use. Depends on `config`, `layers`, `utils`."""

from __future__ import annotations

from typing import Any

from fastnn.base.absent import answer_missing
from fastnn.config import (
    backend,
    clear_session,
    epsilon,
    floatx,
    get_uid,
    image_data_format,
    set_epsilon,
    set_floatx,
    set_image_data_format,
    stored_dtype,
)
from fastnn.tracing.call_context import NameScope
from fastnn.utils import is_keras_tensor

__all__ = [
    "backend", "clear_session", "epsilon", "floatx", "get_uid", "image_data_format",
    "is_float_dtype", "is_int_dtype", "is_keras_tensor", "name_scope", "set_epsilon",
    "set_floatx", "set_image_data_format", "standardize_dtype",
]  # fmt: skip

name_scope = NameScope


def standardize_dtype(dtype: Any) -> str:
    """The element type that fastnn stores for a type of NumPy or Keras: "float32" for None."""
    return "float32" if dtype is None else stored_dtype(dtype)


def is_float_dtype(dtype: Any) -> bool:
    """True for floating types."""
    return str(getattr(dtype, "name", dtype)).startswith(("float", "bfloat"))


def is_int_dtype(dtype: Any) -> bool:
    """True for integer types, signed or not."""
    return str(getattr(dtype, "name", dtype)).startswith(("int", "uint"))


answer_missing(globals())
