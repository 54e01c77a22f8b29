"""CIFAR-10: 50,000 + 10,000 colour pictures of ten kinds, 32x32 (Krizhevsky 2009)."""

from __future__ import annotations

from os import PathLike
from typing import Any

from . import keras_cache

__all__ = ["load_data"]


def load_data(path: str | PathLike[str] | None = None) -> Any:
    """Reads the six batches of CIFAR-10 for Python; nothing is downloaded.

    Args:
        path: The folder `cifar-10-batches-py`, or one that holds it; None looks in Keras's cache.

    Returns:
        ((x, y), (x_test, y_test)): x (n, 32, 32, 3) uint8, 0 to 255; y (n, 1) uint8, the kind.

    Raises:
        FileNotFoundError: The files are missing; the message says where they are looked for.
        FormatError: A file is damaged, or holds what is no array.

    Example:
        >>> try:
        ...     (x, y), (x_test, y_test) = fastnn.datasets.cifar10.load_data("no such folder")
        ... except FileNotFoundError as error:
        ...     print("hint:" in str(error))
        True
    """
    folder = keras_cache.folder("cifar10", "cifar-10-batches-py", path)
    train = [keras_cache.unpickled(folder / f"data_batch_{i}") for i in range(1, 6)]
    test = keras_cache.unpickled(folder / "test_batch")
    return (
        keras_cache.pictures([(part["data"], part["labels"]) for part in train]),
        keras_cache.pictures([(test["data"], test["labels"])]),
    )
