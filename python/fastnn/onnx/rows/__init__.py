"""How each row of the op table is written in ONNX, by family.

An entry is a function of the builder, the row and its operands that gives the name of the result,
or the names of all results of a row with parts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastnn.onnx.rows import elements, images, loops, networks, reducing, sequences, shaping

__all__ = ["ROWS"]

#: Writers by the names of rows.
ROWS: dict[str, Callable[..., Any]] = {
    **elements.ROWS, **shaping.ROWS, **reducing.ROWS, **networks.ROWS, **images.ROWS,
    **sequences.ROWS,
    "scan": loops.scan,
}  # fmt: skip
