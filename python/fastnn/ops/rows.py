"""The rows of the core's op table as functions, made in a loop: a new row is a function at once.

Types and docstrings for readers and type checkers are in `rows.pyi`, made from the same table.
Depends on `_core`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastnn import _core
from fastnn._core import Tensor
from fastnn.ops.row_docs import docstring, signature
from fastnn.tracing.symbolic import keras_op


def _row_function(row: _core.OpRow) -> Callable[..., Any]:
    call = getattr(_core.ops, row.name)

    def op(*args: Any, **kwargs: Any) -> Tensor:
        return call(*args, **kwargs)

    op.__name__ = op.__qualname__ = row.name
    op.__doc__ = docstring(row)
    op.__signature__ = signature(row)  # type: ignore[attr-defined]
    return keras_op(op, call)


__all__ = [row.name for row in _core.op_table()]
globals().update({row.name: _row_function(row) for row in _core.op_table()})
