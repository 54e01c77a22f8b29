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
    """The type that fastnn stores for a type of NumPy or Keras.

    Args:
        dtype: A name, a type of NumPy, or None for "float32".

    Returns:
        The name of the type.

    Raises:
        ValueError: It is no type.

    Example:
        >>> fastnn.backend.standardize_dtype(np.float32)
        'float32'
    """
    return "float32" if dtype is None else stored_dtype(dtype)


def is_float_dtype(dtype: Any) -> bool:
    """Whether a type is a floating one.

    Args:
        dtype: A name, or a type of NumPy.

    Returns:
        True or False.

    Example:
        >>> fastnn.backend.is_float_dtype("float32")
        True
    """
    return str(getattr(dtype, "name", dtype)).startswith(("float", "bfloat"))


def is_int_dtype(dtype: Any) -> bool:
    """Whether a type is an integer one, signed or not.

    Args:
        dtype: A name, or a type of NumPy.

    Returns:
        True or False.

    Example:
        >>> fastnn.backend.is_int_dtype("uint8")
        True
    """
    return str(getattr(dtype, "name", dtype)).startswith(("int", "uint"))


answer_missing(globals())
