"""Boston housing: 506 districts with 13 features and a price (Harrison & Rubinfeld 1978)."""

from __future__ import annotations

from os import PathLike
from typing import Any

from . import keras_cache

__all__ = ["load_data"]


def load_data(
    path: str | PathLike[str] = "boston_housing.npz", test_split: float = 0.2, seed: int = 113
) -> Any:
    """Reads `boston_housing.npz` of Keras from `~/.keras/datasets` or from `path`.

    Args:
        path: The file, a folder that holds it, or its name in Keras's cache.
        test_split: The share of the rows that is for tests.
        seed: What the order is drawn by.

    Returns:
        ((x, y), (x_test, y_test)): x (n, 13), y (n,) in thousands of dollars.

    Raises:
        FileNotFoundError: The file is missing; the message says where it is looked for.

    Example:
        >>> try:
        ...     train, test = fastnn.datasets.boston_housing.load_data("no such file")
        ... except FileNotFoundError as error:
        ...     print("hint:" in str(error))
        True
    """
    file = keras_cache.where("boston_housing", "boston_housing.npz", path)
    x, y = keras_cache.arrays_of(file, ("x", "y"))
    return keras_cache.split(*keras_cache.shuffled(x, y, seed), test_split)
