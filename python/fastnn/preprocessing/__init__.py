"""`keras.preprocessing`: helpers that make arrays for training; the same as in `fastnn.utils`."""

from __future__ import annotations

from fastnn.base.absent import answer_missing
from fastnn.data.folders import image_dataset_from_directory
from fastnn.data.texts import text_dataset_from_directory
from fastnn.preprocessing import image, sequence, text
from fastnn.utils import timeseries_dataset_from_array

__all__ = [
    "image",
    "image_dataset_from_directory",
    "sequence",
    "text",
    "text_dataset_from_directory",
    "timeseries_dataset_from_array",
]

answer_missing(globals())
