"""`tf.data.experimental`: earlier names of what data sets do now, and batches of csv files."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

from fastnn.base.absent import answer_missing
from fastnn.data.pipeline import (
    AUTOTUNE,
    INFINITE_CARDINALITY,
    UNKNOWN_CARDINALITY,
    Dataset,
    Options,
)
from fastnn.data.text_files import CsvDataset, make_csv_dataset

__all__ = [
    "AUTOTUNE", "INFINITE_CARDINALITY", "UNKNOWN_CARDINALITY", "AutoShardPolicy", "CsvDataset",
    "Options", "assert_cardinality", "bucket_by_sequence_length", "cardinality",
    "choose_from_datasets", "get_single_element", "make_csv_dataset", "sample_from_datasets",
    "unbatch", "unique",
]  # fmt: skip


class AutoShardPolicy(enum.IntEnum):
    """How data are divided among machines in TensorFlow; here `Dataset.shard` divides them."""

    OFF, AUTO, FILE, DATA, HINT = -1, 0, 1, 2, 3


choose_from_datasets = Dataset.choose_from_datasets
sample_from_datasets = Dataset.sample_from_datasets


def cardinality(dataset: Dataset) -> int:
    """The number of elements; -1 without end, -2 when it is not known."""
    return dataset.cardinality()


def assert_cardinality(expected_cardinality: int) -> Callable[[Dataset], Dataset]:
    """For `apply`: the data set, which is said to have so many elements."""
    return lambda dataset: dataset._new(dataset._make, int(expected_cardinality))


def bucket_by_sequence_length(*args: Any, **kwargs: Any) -> Callable[[Dataset], Dataset]:
    """For `apply`: `Dataset.bucket_by_sequence_length` with these arguments."""
    return lambda dataset: dataset.bucket_by_sequence_length(*args, **kwargs)


def get_single_element(dataset: Dataset) -> Any:
    """The only element of a data set."""
    return dataset.get_single_element()


def unbatch() -> Callable[[Dataset], Dataset]:
    """For `apply`: `Dataset.unbatch`."""
    return lambda dataset: dataset.unbatch()


def unique() -> Callable[[Dataset], Dataset]:
    """For `apply`: `Dataset.unique`."""
    return lambda dataset: dataset.unique()


answer_missing(globals())
