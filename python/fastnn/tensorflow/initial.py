"""TensorFlow's older names of initialisers. Depends on `initializers`."""

from __future__ import annotations

from typing import Any

from fastnn import initializers

__all__ = [
    "constant_initializer", "ones_initializer", "random_normal_initializer",
    "random_uniform_initializer", "zeros_initializer",
]  # fmt: skip


def constant_initializer(value: Any = 0, support_partition: bool = False) -> Any:
    """One number everywhere, or an array."""
    return initializers.Constant(value)


def ones_initializer() -> Any:
    """Ones everywhere."""
    return initializers.Ones()


def zeros_initializer() -> Any:
    """Zeros everywhere."""
    return initializers.Zeros()


def random_normal_initializer(mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> Any:
    """Normal numbers."""
    return initializers.RandomNormal(mean, stddev, seed)


def random_uniform_initializer(
    minval: float = -0.05, maxval: float = 0.05, seed: Any = None
) -> Any:
    """Uniform numbers."""
    return initializers.RandomUniform(minval, maxval, seed)
