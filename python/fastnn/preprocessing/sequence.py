"""`keras.preprocessing.sequence`."""

from __future__ import annotations

from fastnn.base.absent import answer_missing
from fastnn.utils import pad_sequences

__all__ = ["pad_sequences"]

answer_missing(globals())
