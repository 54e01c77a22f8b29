"""Elements as a GPU holds them: four bytes each, whatever their type. Depends on NumPy alone."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["array_of", "words_of"]

#: What the four bytes of an element are, by its type.
_HELD = {
    "float32": np.float32, "bfloat16": np.float32, "float16": np.float32, "int32": np.int32,
    "int8": np.int32, "uint8": np.int32, "bool": np.uint32,
}  # fmt: skip
#: The arrays that Python gets; NumPy has no bfloat16.
_GIVEN = {"float16": np.float16, "int8": np.int8, "uint8": np.uint8, "bool": np.bool_}


def words_of(array: Any, dtype: str) -> np.ndarray[Any, Any]:
    """The elements of an array as the words of a GPU, without a copy where that is possible."""
    return np.ascontiguousarray(array, _HELD[dtype]).reshape(-1).view(np.uint32)


def array_of(
    words: np.ndarray[Any, Any], dtype: str, shape: tuple[int, ...]
) -> np.ndarray[Any, Any]:
    """The array of a type whose elements a GPU gave as words."""
    count = int(np.prod(shape, dtype=np.int64))
    held = words[:count].view(_HELD[dtype]).reshape(shape)
    given = _GIVEN.get(dtype)
    return held if given is None else held.astype(given)
