"""TensorFlow's own names at the top of `fastnn`; `functions` has them all."""

from __future__ import annotations

from fastnn.tensorflow import functions
from fastnn.tensorflow.functions import GradientTape, TensorShape, TensorSpec, at_top, function

__all__ = ["GradientTape", "TensorShape", "TensorSpec", "at_top", "function"]

globals().update({name: value for name, value in vars(functions).items() if name[0] != "_"})
