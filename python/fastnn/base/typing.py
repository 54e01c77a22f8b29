"""Types that signatures share.

A name here says what a value means where its type could be many; annotations import it from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from numpy.typing import ArrayLike

__all__ = ["ArrayLike", "Axis", "Shape", "TensorLike"]

#: Sizes of a tensor; None is one that is open.
Shape: TypeAlias = tuple[int | None, ...]
#: An axis, several, or None for all of them.
Axis: TypeAlias = int | Sequence[int] | None
#: A tensor, a symbolic tensor, a variable, an array, a number, or nested lists of numbers.
TensorLike: TypeAlias = Any
