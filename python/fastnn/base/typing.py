"""Types that signatures share.

A name here says what a value means where its type could be many; annotations import it from here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["ArrayLike", "Axis", "DTypeLike", "Identifier", "Shape", "TensorLike", "Transformation"]

#: Sizes of a tensor; None is one that is open.
Shape: TypeAlias = tuple[int | None, ...]
#: An axis, several, or None for all of them.
Axis: TypeAlias = int | Sequence[int] | None
#: A tensor, a symbolic tensor, a variable, an array, a number, or nested lists of numbers.
TensorLike: TypeAlias = Any
#: A type of elements: its name, NumPy's or Python's type; None for the default of the place.
DTypeLike: TypeAlias = str | np.dtype[Any] | type[Any] | None
#: A name, a config, or an object that is called: what activations, initializers, regularizers and
#: constraints are given by. None stands for none.
Identifier: TypeAlias = str | Mapping[str, Any] | Callable[..., Any] | None
#: What an augmentation drew for a batch; None leaves the images as they are.
Transformation: TypeAlias = Any
