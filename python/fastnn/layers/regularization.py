"""Layers that disturb or penalise activations while training. Depends on `base`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fastnn import ops, random, regularizers
from fastnn._core import Tensor
from fastnn.base.typing import Shape, TensorLike
from fastnn.config import standardize_data_format
from fastnn.layers.base.input_spec import InputSpec
from fastnn.layers.base.layer import Layer
from fastnn.random import SeedGenerator

__all__ = [
    "ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise",
    "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D",
]  # fmt: skip


class _Noisy(Layer):
    """A layer with a random generator of its own, active in training only."""

    seed_generator: SeedGenerator

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed)
        self.supports_masking = True
        self._build_at_init()

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The input's shape."""
        return tuple(input_shape)


def _checked_rate(rate: Any, where: str) -> float:
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
        raise ValueError(
            "Invalid value received for argument `rate`. Expected a float value between 0 and 1. "
            f"Received: rate={rate} in {where}\n"
            "  hint: the rate is the fraction dropped: Dropout(0.2)"
        )
    return float(rate)


def _checked_noise_shape(sizes: Any) -> tuple[int | None, ...] | None:
    if sizes is None:
        return None
    where = "Invalid value received for argument `noise_shape`. Expected "
    if isinstance(sizes, str) or not hasattr(sizes, "__iter__"):
        raise ValueError(
            f"{where}a tuple or list of integers. Received: noise_shape={sizes}\n"
            "  hint: noise_shape=(None, 1, None)"
        )
    for i, size in enumerate(sizes):
        if size is not None and (isinstance(size, bool) or not isinstance(size, int)):
            raise ValueError(
                f"{where}all elements to be integers or None. Received element at index {i}: "
                f"{size} (type: {type(size).__name__})"
                "\n  hint: a tuple such as (None, 1, 8)"
            )
        if size is not None and size <= 0:
            raise ValueError(
                f"{where}all dimensions to be positive integers or None. "
                f"Received negative or zero value at index {i}: {size}"
                "\n  hint: a tuple such as (None, 1, 8)"
            )
    return tuple(sizes)


class Dropout(_Noisy):
    """Sets random elements to zero in training and scales the others, so that the mean stays.

    Each element is dropped with probability `rate`, the others are divided by 1 - rate. Outside
    training the input passes unchanged. Shapes: the output has the input's. Source: Srivastava et
    al. 2014.

    Args:
        rate: The share that is dropped, from 0 to 1.
        noise_shape: The shape of the random mask; an axis of size 1 is dropped as a whole. None:
            the input's shape.
        seed: A whole number or a `SeedGenerator` for numbers that repeat; None takes the global
            seed.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: `rate` lies outside 0 to 1.

    Example:
        >>> layer = fastnn.layers.Dropout(0.5, seed=1)
        >>> layer(np.ones((1, 6)), training=True).numpy()
        array([[2., 2., 0., 2., 0., 0.]], dtype=float32)
        >>> layer(np.ones((1, 6))).numpy()
        array([[1., 1., 1., 1., 1., 1.]], dtype=float32)
    """

    rate: float
    noise_shape: Sequence[int | None] | None

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, **kwargs)
        self.rate = _checked_rate(rate, f"{type(self).__name__} {self.name!r}")
        self.noise_shape = _checked_noise_shape(noise_shape)

    def call(self, inputs: Tensor, training: bool | None = False) -> Tensor:
        """Dropped inputs in training, else the inputs."""
        if not training or self.rate == 0:
            return inputs
        if self.rate == 1:
            return ops.zeros_like(inputs)
        return random.dropout(inputs, self.rate, self._noise(inputs), self.seed_generator)

    def _noise(self, inputs: TensorLike) -> Sequence[int | None] | None:
        return self.noise_shape


class SpatialDropout1D(Dropout):
    """Dropout of whole channels of a sequence.

    Shapes: (n, steps, channels) -> the same.

    Args:
        rate: The share of channels that is dropped, from 0 to 1.
        seed: A whole number or a `SeedGenerator` for numbers that repeat; None takes the global
            seed.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: `rate` lies outside 0 to 1.

    Example:
        >>> layer = fastnn.layers.SpatialDropout1D(0.5, seed=2)
        >>> layer(np.ones((1, 2, 4)), training=True).numpy()
        array([[[0., 0., 2., 0.],
                [0., 0., 2., 0.]]], dtype=float32)
    """

    input_spec: Any

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(rate, None, seed, **kwargs)
        self.input_spec = InputSpec(ndim=3)

    def _noise(self, inputs: TensorLike) -> Sequence[int | None] | None:
        return (None, 1, None)


class SpatialDropout2D(Dropout):
    """Dropout of whole channels of images.

    Shapes: (n, rows, columns, channels) -> the same; with channels first, (n, channels, rows,
    columns).

    Args:
        rate: The share of channels that is dropped, from 0 to 1.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        seed: A whole number or a `SeedGenerator` for numbers that repeat; None takes the global
            seed.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: `rate` lies outside 0 to 1.

    Example:
        >>> layer = fastnn.layers.SpatialDropout2D(0.5, seed=2)
        >>> layer(np.ones((1, 1, 2, 4)), training=True).numpy()
        array([[[[0., 0., 2., 0.],
                 [0., 0., 2., 0.]]]], dtype=float32)
    """

    data_format: str | None
    input_spec: Any

    def __init__(
        self, rate: float, data_format: str | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(rate, None, seed, **kwargs)
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=4)

    def _noise(self, inputs: TensorLike) -> Sequence[int | None] | None:
        return (None, 1, 1, None) if self.data_format != "channels_first" else (None, None, 1, 1)


class SpatialDropout3D(Dropout):
    """Dropout of whole channels of volumes.

    Shapes: (n, depth, rows, columns, channels) -> the same; with channels first, (n, channels,
    depth, rows, columns).

    Args:
        rate: The share of channels that is dropped, from 0 to 1.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        seed: A whole number or a `SeedGenerator` for numbers that repeat; None takes the global
            seed.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: `rate` lies outside 0 to 1.

    Example:
        >>> layer = fastnn.layers.SpatialDropout3D(0.5, seed=2)
        >>> layer(np.ones((1, 1, 1, 2, 4)), training=True).numpy().shape
        (1, 1, 1, 2, 4)
    """

    data_format: str | None
    input_spec: Any

    def __init__(
        self, rate: float, data_format: str | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(rate, None, seed, **kwargs)
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=5)

    def _noise(self, inputs: TensorLike) -> Sequence[int | None] | None:
        if self.data_format == "channels_first":
            return (None, None, 1, 1, 1)
        return (None, 1, 1, 1, None)


class GaussianNoise(_Noisy):
    """Adds normal noise of mean 0 in training.

    Outside training the input passes unchanged. Shapes: the output has the input's.

    Args:
        stddev: The standard deviation of the noise, in units of the input.
        seed: A whole number or a `SeedGenerator` for numbers that repeat; None takes the global
            seed.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: `stddev` is negative.

    Example:
        >>> layer = fastnn.layers.GaussianNoise(0.1, seed=1)
        >>> layer(np.ones((1, 3))).numpy()
        array([[1., 1., 1.]], dtype=float32)
    """

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        if not stddev >= 0:
            raise ValueError(f"stddev is {stddev}, wanted >= 0\n  hint: GaussianNoise(0.1)")
        self.stddev = stddev

    def call(self, inputs: Tensor, training: bool | None = False) -> Tensor:
        """Noisy inputs in training, else the inputs."""
        if not training or self.stddev == 0:
            return inputs
        x = ops.convert_to_tensor(inputs, "float32")
        return x + random.normal(x.shape, 0.0, self.stddev, seed=self.seed_generator)


class GaussianDropout(_Noisy):
    """Multiplies by normal noise of mean 1 and variance rate / (1 - rate) in training.

    Outside training the input passes unchanged. Shapes: the output has the input's.

    Args:
        rate: The rate of the dropout that has the same variance, from 0 to 1.
        seed: A whole number or a `SeedGenerator` for numbers that repeat; None takes the global
            seed.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: `rate` lies outside 0 to 1.

    Example:
        >>> layer = fastnn.layers.GaussianDropout(0.2, seed=1)
        >>> layer(np.ones((1, 3))).numpy()
        array([[1., 1., 1.]], dtype=float32)
    """

    rate: float

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.rate = _checked_rate(rate, f"GaussianDropout {self.name!r}")

    def call(self, inputs: Tensor, training: bool | None = False) -> Tensor:
        """Noisy inputs in training, else the inputs."""
        if not training or self.rate == 0:
            return inputs
        x = ops.convert_to_tensor(inputs, "float32")
        stddev = math.sqrt(self.rate / (1.0 - self.rate))
        return x * random.normal(x.shape, 1.0, stddev, seed=self.seed_generator)


class AlphaDropout(_Noisy):
    """Dropout that keeps mean and variance of `selu` activations.

    Dropped elements take selu's lowest value instead of zero, and the rest is scaled and shifted.
    Outside training the input passes unchanged. Shapes: the output has the input's. Source:
    Klambauer et al. 2017.

    Args:
        rate: The share that is dropped, from 0 to 1.
        noise_shape: The shape of the random mask; None: the input's shape.
        seed: A whole number or a `SeedGenerator` for numbers that repeat; None takes the global
            seed.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: `rate` lies outside 0 to 1.

    Example:
        >>> layer = fastnn.layers.AlphaDropout(0.5, seed=1)
        >>> layer(np.ones((1, 3))).numpy()
        array([[1., 1., 1.]], dtype=float32)
    """

    rate: float
    noise_shape: Sequence[int | None] | None

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, **kwargs)
        self.rate = _checked_rate(rate, f"AlphaDropout {self.name!r}")
        self.noise_shape = _checked_noise_shape(noise_shape)

    def call(self, inputs: Tensor, training: bool | None = False) -> Any:
        """Inputs with dropped elements at the saturation value, rescaled."""
        if not training or self.rate == 0:
            return inputs
        x = ops.convert_to_tensor(inputs, "float32")
        low = -1.7580993408473766  # -alpha * scale of selu
        shape = self.noise_shape or x.shape
        full = [x.shape[i] if d is None else d for i, d in enumerate(shape)]
        keep = ops.cast(random.uniform(full, seed=self.seed_generator) >= self.rate, "float32")
        a = ((1 - self.rate) * (1 + self.rate * low**2)) ** -0.5
        b = -a * low * self.rate
        return a * (x * keep + low * (1 - keep)) + b


class ActivityRegularization(Layer):
    """Gives its input back and adds l1 * sum|x| + l2 * sum x² of it to the loss, as a mean over the
    batch.

    Shapes: the output has the input's.

    Args:
        l1: The weight of the sum of absolute values, at least 0.
        l2: The weight of the sum of squares, at least 0.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> layer = fastnn.layers.ActivityRegularization(l2=0.1)
        >>> layer(np.array([[1.0, 2.0]])).numpy()
        array([[1., 2.]], dtype=float32)
        >>> [float(loss) for loss in layer.losses]
        [0.5]
    """

    l1: float
    l2: float

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        kwargs.pop("activity_regularizer", None)
        super().__init__(activity_regularizer=regularizers.L1L2(l1=l1, l2=l2), **kwargs)
        self.supports_masking = True
        self.l1, self.l2 = l1, l2
        self._build_at_init()

    def call(self, inputs: Tensor) -> Tensor:
        """`inputs` themselves."""
        return inputs
