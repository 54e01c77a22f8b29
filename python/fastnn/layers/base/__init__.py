"""`Layer`, and what its parts share."""

from __future__ import annotations

from fastnn.layers.base.call import as_tensors as as_tensors, shapes_of as shapes_of
from fastnn.layers.base.input_spec import InputSpec
from fastnn.layers.base.layer import Layer
from fastnn.tracing.call_context import (
    CallContext,
    NameScope as NameScope,
    current_call as current_call,
    current_names as current_names,
)

__all__ = ["CallContext", "InputSpec", "Layer"]
