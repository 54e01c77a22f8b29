"""Functions of tensors under the names of `keras.ops`.

The rows of the core's op table (`rows`), NumPy-like forms of those that take lists, composites of
rows by family, and functions that NumPy computes on values (`host`). All accept tensors, arrays,
numbers and variables; all but those of `host` work while a step is traced, differentiate, and take
the symbolic tensors of functional models. A family is loaded when an op of it is asked for. Names
of Keras that are missing say why. Depends on `_core`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fastnn import _core
from fastnn.base.absent import answer_missing
from fastnn.ops.families import FAMILIES, IN_FILES as _IN_FILES
from fastnn.tracing.known_ops import enter_ops

#: Keras's further paths to the same functions; the functions of images are in `image` alone.
NAMESPACES = ("image", "linalg", "nn", "numpy")

#: The family of each op. A name that the rows and a family both have is the family's.
_HOMES = {row.name: "rows" for row in _core.op_table()} | {
    name: family for family, names in FAMILIES.items() for name in names.split()
}

__all__ = sorted(_HOMES)


class _Functions(Mapping[str, Callable[..., Any]]):
    """Ops by name, each from its family when it is asked for."""

    def __init__(self, homes: Mapping[str, tuple[str, str]]) -> None:
        self._homes = homes

    def __getitem__(self, name: str) -> Callable[..., Any]:
        family, inner = self._homes[name]
        found: Callable[..., Any] = getattr(getattr(sys.modules[__name__], family), inner)
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._homes

    def __iter__(self) -> Iterator[str]:
        return iter(self._homes)

    def __len__(self) -> int:
        return len(self._homes)


#: Ops by the names and with the defaults that model files know, where Keras's defaults differ.
IN_FILES = _Functions(_IN_FILES)

enter_ops("ops", _Functions({name: (family, name) for name, family in _HOMES.items()}))
enter_ops("files", IN_FILES)
answer_missing(
    globals(),
    homes={
        **{name: f"{__name__}.{name}" for name in ("image", "numpy", "rows", *FAMILIES)},
        **{name: f"{__name__}.{family}" for name, family in _HOMES.items()},
    },
)
