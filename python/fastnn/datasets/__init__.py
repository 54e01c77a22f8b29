"""Real data sets as Keras hands them out: `load_data() -> ((x_train, y_train), (x_test, y_test))`.

`digits` ships with the package; `mnist` and `fashion_mnist` read the four idx files from a folder
of yours. Nothing is ever downloaded. Uses NumPy and fastnn's exceptions only.
"""

from . import digits, fashion_mnist, mnist

__all__ = ["digits", "fashion_mnist", "mnist"]
