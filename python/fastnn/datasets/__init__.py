"""Real data sets as Keras hands them out: `load_data() -> ((x_train, y_train), (x_test, y_test))`.

`digits` ships with the package; `mnist` and `fashion_mnist` read the four idx files from a folder
of yours, the others what Keras keeps in `~/.keras/datasets`. Nothing is ever downloaded. Uses NumPy
and fastnn's exceptions only.
"""

from fastnn.base.absent import answer_missing

from . import (
    boston_housing,
    california_housing,
    cifar10,
    cifar100,
    digits,
    fashion_mnist,
    imdb,
    mnist,
    reuters,
)

__all__ = [
    "boston_housing", "california_housing", "cifar10", "cifar100", "digits", "fashion_mnist",
    "imdb", "mnist", "reuters",
]  # fmt: skip

answer_missing(globals())
for _module in (
    boston_housing, california_housing, cifar10, cifar100, digits, fashion_mnist, imdb, mnist,
    reuters,
):  # fmt: skip
    answer_missing(vars(_module))
