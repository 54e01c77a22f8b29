"""Keras's own models, computed by fastnn: `install()` before Keras is imported."""

from fastnn.keras_backend.slot import install

__all__ = ["install"]
