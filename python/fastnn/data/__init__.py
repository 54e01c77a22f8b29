"""Data for `fit`, `evaluate` and `predict`: arrays, batches, and `tf.data`'s pipelines."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from fastnn.data.batches import (
    ArrayData,
    IterableData,
    PyDataset,
    Sequence,
    as_arrays,
    check_features as check_features,
    closing,
    is_iterable_data as is_iterable_data,
    leaf,
    pack as pack,
    split_tail,
    unpack,
)

__all__ = [
    "ArrayData", "IterableData", "PyDataset", "Sequence", "as_arrays", "closing", "leaf",
    "split_tail", "unpack",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """`tf.data.Dataset` and what belongs to it, loaded when it is asked for."""
    from fastnn.base.absent import missing

    if name == "by_length":
        return import_module("fastnn.data.texts").by_length
    if name == "experimental":
        return import_module("fastnn.data.experimental")
    pipeline = import_module("fastnn.data.pipeline")
    text_files = import_module("fastnn.data.text_files")
    for module in (pipeline, text_files):
        if name in module.__all__ and name != "make_csv_dataset":
            return getattr(module, name)
    raise missing(__name__, name, [*pipeline.__all__, *text_files.__all__, *globals()])
