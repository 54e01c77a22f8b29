"""CIFAR-100: 50,000 + 10,000 colour pictures of a hundred kinds, 32x32 (Krizhevsky 2009)."""

from __future__ import annotations

from os import PathLike
from typing import Any

from . import keras_cache

__all__ = ["load_data"]


def load_data(label_mode: str = "fine", path: str | PathLike[str] | None = None) -> Any:
    """Reads the two files of CIFAR-100 for Python; nothing is downloaded.

    Args:
        label_mode: `"fine"` for the hundred kinds, `"coarse"` for their twenty groups.
        path: The folder `cifar-100-python`, or one that holds it; None looks in Keras's cache.

    Returns:
        ((x, y), (x_test, y_test)): x (n, 32, 32, 3) uint8, 0 to 255; y (n, 1) uint8, the kind.

    Raises:
        FileNotFoundError: The files are missing; the message says where they are looked for.
        FormatError: A file is damaged, or holds what is no array.
        ValueError: `label_mode` is another word.

    Example:
        >>> try:
        ...     train, test = fastnn.datasets.cifar100.load_data(path="no such folder")
        ... except FileNotFoundError as error:
        ...     print("hint:" in str(error))
        True
    """
    if label_mode not in ("fine", "coarse"):
        raise ValueError(f"label_mode is {label_mode!r}\n  hint: 'fine' or 'coarse'")
    folder = keras_cache.folder("cifar100", "cifar-100-python", path)
    parts = [keras_cache.unpickled(folder / name) for name in ("train", "test")]
    train, test = (
        keras_cache.pictures([(part["data"], part[f"{label_mode}_labels"])]) for part in parts
    )
    return train, test
