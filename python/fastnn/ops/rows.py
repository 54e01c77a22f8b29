"""The rows of the core's op table as functions: a new row is a function at once.

Each is made when it is asked for. Types and docstrings for readers and type checkers are in
`rows.pyi`, made from the same table. Depends on `_core`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastnn import _core
from fastnn._core import Tensor
from fastnn.base.absent import missing
from fastnn.ops.families import PACKAGE
from fastnn.tracing.symbolic import keras_op

_TABLE = {row.name: row for row in _core.op_table()}

__all__ = list(_TABLE)


def _row_function(row: _core.OpRow) -> Callable[..., Any]:
    from fastnn.ops.row_docs import docstring, signature

    call = getattr(_core.ops, row.name)

    def op(*args: Any, **kwargs: Any) -> Tensor:
        return call(*args, **kwargs)

    op.__name__ = op.__qualname__ = row.name
    op.__module__ = PACKAGE
    op.__doc__ = docstring(row)
    op.__signature__ = signature(row)  # type: ignore[attr-defined]
    return keras_op(op, call)


def __getattr__(name: str) -> Any:
    if name not in _TABLE:
        raise missing(__name__, name, __all__)
    # Of two threads that ask at once both get the first one's.
    return globals().setdefault(name, _row_function(_TABLE[name]))


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
