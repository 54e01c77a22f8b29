"""TensorFlow's own names at the top of `fastnn`, loaded when they are asked for."""

from __future__ import annotations

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    try:
        return getattr(importlib.import_module("fastnn.tensorflow.functions"), name)
    except AttributeError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
