"""Functions of tensors under the names of `keras.ops`.

The rows of the core's op table (`rows`), NumPy-like forms of those that take lists, and composites
of rows, by family: `convert`, `shapes`, `reduce`, `order`, `elements`, `linalg`, `nn`. All accept
tensors, arrays, numbers and variables, work while a step is traced, and on the symbolic tensors of
functional models. Depends on `_core`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastnn.ops import convert, elements, linalg, nn, order, reduce, rows, shapes

# A name that the rows and a family both have is the family's, so the rows come first.
# isort: off
from fastnn.ops.rows import *  # noqa: F403
from fastnn.ops.convert import *  # noqa: F403
from fastnn.ops.elements import *  # noqa: F403
from fastnn.ops.linalg import *  # noqa: F403
from fastnn.ops.nn import *  # noqa: F403
from fastnn.ops.order import *  # noqa: F403
from fastnn.ops.reduce import *  # noqa: F403
from fastnn.ops.shapes import *  # noqa: F403
# isort: on

_FAMILIES = (rows, convert, elements, linalg, nn, order, reduce, shapes)

__all__ = sorted({_name for _family in _FAMILIES for _name in _family.__all__})

for _name in __all__:  # pickles and files name a function by the package, whatever its family
    globals()[_name].__module__ = __name__


def __getattr__(name: str) -> Callable[..., Any]:
    from fastnn.errors import nearest

    close = nearest(name, __all__)
    hint = f"\n  hint: did you mean {', '.join(close)}?" if close and name[0] != "_" else ""
    raise AttributeError(f"fastnn.ops has no function {name!r}{hint}")
