"""`Layer`, and what its parts share."""

from __future__ import annotations

from fastnn.layers.base.layer import (
    CallContext,
    InputSpec,
    Layer,
    NameScope as NameScope,
    as_tensors as as_tensors,
    current_call as current_call,
    current_names as current_names,
    shapes_of as shapes_of,
)

__all__ = ["CallContext", "InputSpec", "Layer"]
