"""MNIST: 60,000 + 10,000 handwritten digits, 28x28 (LeCun, Cortes, Burges)."""

from __future__ import annotations

from os import PathLike

from . import idx


def load_data(path: str | PathLike[str] | None = None) -> tuple[idx.Split, idx.Split]:
    """Read MNIST from its four idx files, plain or `.gz`; nothing is downloaded.

    Shapes: x (n, 28, 28) uint8, 0 to 255; y (n,) uint8, the digit.
    Looks in `path` when given, else in `$FASTNN_DATA/mnist`, `$FASTNN_DATA` and the cache folder
    `~/.cache/fastnn/mnist`.
    Raises: FileNotFoundError naming the four files and the folders; FormatError if a file is not
    what its name says. Source: the idx format, http://yann.lecun.com/exdb/mnist.
    """
    return idx.load_folder("mnist", path, subfolders=("mnist", "."))
