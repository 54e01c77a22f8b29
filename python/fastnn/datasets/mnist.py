"""MNIST: 60,000 + 10,000 handwritten digits, 28x28 (LeCun, Cortes, Burges)."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from . import idx, keras_cache

__all__ = ["load_data"]


def load_data(path: str | PathLike[str] | None = None) -> tuple[idx.Split, idx.Split]:
    """Reads MNIST from its four idx files, plain or `.gz`; nothing is downloaded.

    Looks in `path` when given, else in `$FASTNN_DATA/mnist`, `$FASTNN_DATA` and the cache folder
    `~/.cache/fastnn/mnist`, and then for Keras's `~/.keras/datasets/mnist.npz`. Source: the idx
    format, http://yann.lecun.com/exdb/mnist.

    Args:
        path: The folder of the files, or Keras's `mnist.npz`.

    Returns:
        ((x, y), (x_test, y_test)): x (n, 28, 28) uint8, 0 to 255; y (n,) uint8, the digit.

    Raises:
        FileNotFoundError: The files are missing; the message names them and the folders.
        FormatError: A file is not what its name says.

    Example:
        >>> try:
        ...     (x, y), (x_test, y_test) = fastnn.datasets.mnist.load_data("no such folder")
        ... except FileNotFoundError as error:
        ...     print("hint:" in str(error))
        True
    """
    kept = idx.keras_home() / "mnist.npz"
    if path is not None and Path(path).suffix == ".npz":
        kept = keras_cache.where("mnist", "mnist.npz", path)
    else:
        try:
            return idx.load_folder("mnist", path, subfolders=("mnist", "."))
        except FileNotFoundError:
            if path is not None or not kept.is_file():
                raise
    x, y, x_test, y_test = keras_cache.arrays_of(kept, ("x_train", "y_train", "x_test", "y_test"))
    return (x, y), (x_test, y_test)
