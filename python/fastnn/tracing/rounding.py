"""Rounding to decimals, for `ops.round` and for Python's `round` of variables."""

from __future__ import annotations

from typing import Any

from fastnn import _core

__all__ = ["rounded"]

_c = _core.ops


def rounded(x: Any, decimals: int) -> Any:
    """A float32, int32 or bool tensor with so many decimals; whole numbers stay whole."""
    if x.dtype != "float32":
        if decimals >= 0:
            return x if x.dtype == "int32" else _c.cast(x, dtype="int32")
        scale = 10.0**-decimals
        return _c.cast(_c.round(_c.cast(x, dtype="float32") / scale) * scale, dtype="int32")
    if not decimals:
        return _c.round(x)
    scale = 10.0**decimals
    return _c.round(x * scale) / scale
