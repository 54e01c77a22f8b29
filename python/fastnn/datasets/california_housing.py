"""California housing: 20,640 block groups with 8 features and a price (Pace & Barry 1997)."""

from __future__ import annotations

from os import PathLike
from typing import Any

from . import keras_cache

__all__ = ["load_data"]


def load_data(
    version: str = "large",
    path: str | PathLike[str] = "california_housing.npz",
    test_split: float = 0.2,
    seed: int = 113,
) -> Any:
    """Reads `california_housing.npz` of Keras from `~/.keras/datasets` or from `path`.

    Args:
        version: `"large"` for all rows, `"small"` for the first 600.
        path: The file, a folder that holds it, or its name in Keras's cache.
        test_split: The share of the rows that is for tests.
        seed: What the order is drawn by.

    Returns:
        ((x, y), (x_test, y_test)): x (n, 8), y (n,) in dollars.

    Raises:
        FileNotFoundError: The file is missing; the message says where it is looked for.
        ValueError: `version` is another word.

    Example:
        >>> try:
        ...     train, test = fastnn.datasets.california_housing.load_data(path="no such file")
        ... except FileNotFoundError as error:
        ...     print("hint:" in str(error))
        True
    """
    if version not in ("small", "large"):
        raise ValueError(f"version is {version!r}\n  hint: 'small' or 'large'")
    file = keras_cache.where("california_housing", "california_housing.npz", path)
    x, y = keras_cache.arrays_of(file, ("x", "y"))
    rows = 600 if version == "small" else len(x)
    return keras_cache.split(*keras_cache.shuffled(x[:rows], y[:rows], seed), test_split)
