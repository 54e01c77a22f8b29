"""Handwritten digits, 8x8: 1,797 real images that ship with the package.

E. Alpaydin and C. Kaynak (1998), UCI Machine Learning Repository, CC BY 4.0; the licence, the
citation and the changes are in `LICENSE-digits.txt` beside this file.
"""

from __future__ import annotations

from importlib import resources

import numpy as np

from .idx import Split

__all__ = ["load_data"]

# The images come writer by writer, so the last fifth is mostly handwriting not seen in training.
TRAINING_IMAGES = 1437


def load_data() -> tuple[Split, Split]:
    """The handwritten digits that ship with fastnn: 1,437 images to train on, 360 to test with.

    Source: UCI Optical Recognition of Handwritten Digits (CC BY 4.0), the 1,797 images of its test
    set.

    Returns:
        ((x, y), (x_test, y_test)): x (n, 8, 8) uint8, each pixel a count from 0 to 16; y (n,)
        uint8, the digit.

    Example:
        >>> (x, y), (x_test, y_test) = fastnn.datasets.digits.load_data()
        >>> x.shape, y.shape, x_test.shape
        ((1437, 8, 8), (1437,), (360, 8, 8))
    """
    with (
        resources.files(__package__).joinpath("digits.npz").open("rb") as file,
        np.load(file, allow_pickle=False) as arrays,
    ):
        x, y = arrays["images"], arrays["labels"]
    n = TRAINING_IMAGES
    return (x[:n], y[:n]), (x[n:], y[n:])
