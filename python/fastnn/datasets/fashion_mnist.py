"""Fashion-MNIST: 60,000 + 10,000 pictures of clothing, 28x28 (Xiao, Rasul, Vollgraf 2017)."""

from __future__ import annotations

from os import PathLike

from . import idx

__all__ = ["load_data"]

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def load_data(path: str | PathLike[str] | None = None) -> tuple[idx.Split, idx.Split]:
    """Reads Fashion-MNIST from its four idx files, plain or `.gz`; nothing is downloaded.

    Looks in `path` when given, else in `$FASTNN_DATA/fashion_mnist` (or `fashion-mnist`) and the
    cache folder `~/.cache/fastnn/fashion_mnist`. Its files are named like MNIST's, so they need a
    folder of their own. Source: arXiv:1708.07747.

    Args:
        path: The folder of the files.

    Returns:
        ((x, y), (x_test, y_test)): x (n, 28, 28) uint8, 0 to 255; y (n,) uint8, an index of
        `CLASSES`.

    Raises:
        FileNotFoundError: The files are missing; the message names them and the folders.
        FormatError: A file is not what its name says.

    Example:
        >>> fastnn.datasets.fashion_mnist.CLASSES[0]
        'T-shirt/top'
    """
    # `$FASTNN_DATA` itself is MNIST's: the names alone cannot tell the two apart.
    return idx.load_folder("fashion_mnist", path, subfolders=("fashion_mnist", "fashion-mnist"))
