"""Keras's own models, computed by fastnn: `install()` before Keras is imported."""

from fastnn.base.absent import answer_missing
from fastnn.keras_backend.slot import install

__all__ = ["install"]

answer_missing(globals())
