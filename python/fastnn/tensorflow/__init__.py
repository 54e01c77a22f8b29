"""TensorFlow's own names at the top of `fastnn`; `functions` has them all.

What else TensorFlow has at its top, `keras`, `data` or `math`, is what `fastnn` has there, so that
`import fastnn.tensorflow as tf` serves programs as `import fastnn as tf` does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastnn.base.absent import as_asked
from fastnn.tensorflow import functions
from fastnn.tensorflow.functions import GradientTape, TensorShape, TensorSpec, at_top, function

__all__ = ["GradientTape", "TensorShape", "TensorSpec", "at_top", "function"]

globals().update({name: value for name, value in vars(functions).items() if name[0] != "_"})

if not TYPE_CHECKING:  # for a checker, any name would be there

    def __getattr__(name: str) -> Any:
        try:
            return getattr(import_module("fastnn"), name)
        except AttributeError as error:
            raise as_asked(str(error), __name__) from None
