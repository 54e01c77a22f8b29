"""First values of weights. Depends on `random`.

An initialiser is called with a shape and gives an array; the same one gives the same array again.
Sources: Glorot & Bengio 2010; He et al. 2015; LeCun et al. 1998; Saxe et al. 2014 (orthogonal).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import _core, random
from fastnn.base.absent import answer_missing
from fastnn.base.arguments import hints_arguments
from fastnn.base.typing import DTypeLike
from fastnn.config import stored_dtype
from fastnn.serialization.custom_objects import custom_object_scope
from fastnn.serialization.encoding import Configurable
from fastnn.serialization.objects import written
from fastnn.serialization.registry import Registry

__all__ = [
    "STFT", "Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Identity",
    "Initializer", "LecunNormal", "LecunUniform", "Ones", "Orthogonal", "RandomInitializer",
    "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling", "Zeros", "get",
]  # fmt: skip

Shape = Sequence[int]


class Initializer(Configurable):
    """First values of weights: the base of all initialisers.

    Called with a shape (and a type), gives an array; subclasses define `__call__(shape,
    dtype=None)`.

    Example:
        >>> class Ramp(fastnn.initializers.Initializer):
        ...     def __call__(self, shape, dtype=None):
        ...         return np.arange(np.prod(shape), dtype="float32").reshape(shape)
        >>> fastnn.layers.Dense(2, kernel_initializer=Ramp())(np.ones((1, 2))).numpy()
        array([[2., 4.]], dtype=float32)
    """

    def __call__(self, shape: Shape, dtype: DTypeLike = None) -> np.ndarray[Any, Any]:
        """Gives an array of this shape."""
        raise NotImplementedError(
            f"{type(self).__name__} must define __call__(self, shape, dtype)"
            "\n  hint: def __call__(self, shape, dtype=None): return an array"
        )

    def clone(self) -> Any:
        """A copy."""
        return type(self).from_config(self.get_config())

    def __repr__(self) -> str:
        inner = ", ".join(f"{k}={v!r}" for k, v in self.get_config().items())
        return f"{type(self).__name__}({inner})"


def _numpy_type(dtype: DTypeLike) -> Any:
    """The type in which NumPy makes first values: it has no bfloat16."""
    name = "float32" if dtype is None else stored_dtype(dtype)
    return "float32" if name == "bfloat16" else name


def _typed(values: np.ndarray[Any, Any], dtype: DTypeLike) -> Any:
    """An array in the type that was asked for; a tensor where NumPy has not that type."""
    name = "float32" if dtype is None else stored_dtype(dtype)
    return (
        _core.tensor(values, dtype=name) if name == "bfloat16" else values.astype(name, copy=False)
    )


class Zeros(Initializer):
    """All 0.

    Example:
        >>> fastnn.initializers.Zeros()((2,))
        array([0., 0.], dtype=float32)
    """

    def __call__(self, shape: Shape, dtype: DTypeLike = None) -> Any:
        """Gives an array of this shape."""
        return _typed(np.zeros(shape, _numpy_type(dtype)), dtype)


class Ones(Initializer):
    """All 1.

    Example:
        >>> fastnn.initializers.Ones()((2,))
        array([1., 1.], dtype=float32)
    """

    def __call__(self, shape: Shape, dtype: DTypeLike = None) -> Any:
        """Gives an array of this shape."""
        return _typed(np.ones(shape, _numpy_type(dtype)), dtype)


class Constant(Initializer):
    """One value everywhere.

    Args:
        value: A number, or an array that broadcasts to the shape.

    Example:
        >>> fastnn.initializers.Constant(3.0)((2,))
        array([3., 3.], dtype=float32)
    """

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Shape, dtype: DTypeLike = None) -> Any:
        """Gives an array of this shape."""
        return _typed(np.full(shape, self.value, _numpy_type(dtype)), dtype)


class Identity(Initializer):
    """A number on the diagonal of a matrix, zeros elsewhere.

    Args:
        gain: The number.

    Raises:
        ValueError: The shape is not that of a matrix.

    Example:
        >>> fastnn.initializers.Identity()((2, 2))
        array([[1., 0.],
               [0., 1.]], dtype=float32)
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Shape, dtype: DTypeLike = None) -> Any:
        """Gives an array of this shape."""
        if len(shape) != 2:
            raise ValueError(
                f"Identity needs a shape of 2 sizes, got {tuple(shape)}"
                "\n  hint: use it for matrices, such as the kernel of Dense"
            )
        return _typed(np.eye(*shape, dtype=np.float32) * np.float32(self.gain), dtype)


class RandomInitializer(Initializer):
    """An initialiser with a seed, drawn when it is made if none is given.

    The same object gives the same values at each call.

    Args:
        seed: A whole number or a `SeedGenerator` for numbers that repeat; None takes the global
            seed.

    Example:
        >>> issubclass(fastnn.initializers.HeNormal, fastnn.initializers.RandomInitializer)
        True
    """

    draw_seed: Any

    def __init__(self, seed: Any = None) -> None:
        if isinstance(seed, dict):  # as a config holds a generator
            seed = random.SeedGenerator.from_config(seed["config"])
        self._config_seed = seed
        self.draw_seed = random.make_default_seed() if seed is None else seed

    @property
    def seed(self) -> Any:
        """The seed asked for; None when it was drawn."""
        return self._config_seed


class RandomNormal(RandomInitializer):
    """Normal numbers.

    Args:
        mean: Their mean.
        stddev: Their standard deviation.
        seed: A whole number or a `SeedGenerator` for numbers that repeat; None takes the global
            seed.

    Example:
        >>> w = fastnn.initializers.RandomNormal(seed=1)((100, 100)).numpy()
        >>> bool(abs(w.std() - 0.05) < 0.001)
        True
    """

    mean: float
    stddev: float

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        self.mean, self.stddev = mean, stddev
        super().__init__(seed)

    def __call__(self, shape: Shape, dtype: DTypeLike = None) -> Any:
        """Gives an array of this shape."""
        return random.normal(shape, self.mean, self.stddev, dtype, seed=self.draw_seed)


class TruncatedNormal(RandomInitializer):
    """Normal numbers within two standard deviations of their mean.

    Args:
        mean: Their mean, before they are cut.
        stddev: Their standard deviation, before they are cut.
        seed: A whole number or a `SeedGenerator` for numbers that repeat; None takes the global
            seed.

    Example:
        >>> w = fastnn.initializers.TruncatedNormal(seed=1)((100,)).numpy()
        >>> bool(np.abs(w).max() <= 0.1)
        True
    """

    mean: float
    stddev: float

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        self.mean, self.stddev = mean, stddev
        super().__init__(seed)

    def __call__(self, shape: Shape, dtype: DTypeLike = None) -> Any:
        """Gives an array of this shape."""
        return random.truncated_normal(shape, self.mean, self.stddev, dtype, self.draw_seed)


class RandomUniform(RandomInitializer):
    """Numbers spread evenly over [minval, maxval).

    Args:
        minval: The lower end.
        maxval: The upper end.
        seed: A whole number or a `SeedGenerator` for numbers that repeat; None takes the global
            seed.

    Example:
        >>> w = fastnn.initializers.RandomUniform(seed=1)((100,)).numpy()
        >>> bool(w.min() >= -0.05 and w.max() < 0.05)
        True
    """

    minval: float
    maxval: float

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Any = None) -> None:
        self.minval, self.maxval = minval, maxval
        super().__init__(seed)

    def __call__(self, shape: Shape, dtype: DTypeLike = None) -> Any:
        """Gives an array of this shape."""
        return random.uniform(shape, self.minval, self.maxval, dtype, seed=self.draw_seed)


def compute_fans(
    shape: Shape, input_axes: Sequence[int] | None = None, output_axes: Sequence[int] | None = None
) -> tuple[float, float]:
    """Inputs and outputs of one unit of a kernel of this shape: (…receptive field, in, out).

    Given both, `input_axes` and `output_axes` say which axes are inputs and which outputs.
    """
    if input_axes is not None and output_axes is not None:
        return (
            float(math.prod(shape[a] for a in input_axes)),
            float(math.prod(shape[a] for a in output_axes)),
        )
    if len(shape) < 1:
        return 1.0, 1.0
    if len(shape) == 1:
        return float(shape[0]), float(shape[0])
    field = math.prod(shape[:-2])
    return float(shape[-2] * field), float(shape[-1] * field)


_MODES = ("fan_in", "fan_out", "fan_avg")
_DISTRIBUTIONS = ("normal", "truncated_normal", "untruncated_normal", "uniform")
#: Standard deviation of a unit normal cut at ±2.
_TRUNCATED_STD = 0.87962566103423978


class VarianceScaling(RandomInitializer):
    """Random numbers whose variance follows from the size of the kernel: scale / fan.

    Args:
        scale: The variance times the fan.
        mode: Which fan: `"fan_in"`, `"fan_out"` or `"fan_avg"`.
        distribution: `"truncated_normal"`, `"untruncated_normal"` or `"uniform"`.
        seed: A whole number or a `SeedGenerator` for numbers that repeat; None takes the global
            seed.
        input_axes: Axes of the shape that count as inputs; None: all but the last.
        output_axes: Axes of the shape that count as outputs; None: the last.

    Raises:
        ValueError: A setting is not known or not positive.

    Example:
        >>> w = fastnn.initializers.VarianceScaling(2.0, seed=1)((200, 100)).numpy()
        >>> bool(abs(w.var() - 2.0 / 200) < 0.001)
        True
    """

    scale: float
    input_axes: Sequence[int] | None
    output_axes: Sequence[int] | None

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Any = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        if not scale > 0:
            raise ValueError(
                f"Argument `scale` must be positive float. Received: scale={scale}\n"
                "  hint: scale=1.0"
            )
        if mode not in _MODES:
            raise ValueError(
                f"Invalid `mode` argument: {mode!r}\n  hint: one of {', '.join(_MODES)}"
            )
        distribution = distribution.lower()
        if distribution not in _DISTRIBUTIONS:
            raise ValueError(
                f"Invalid `distribution` argument: {distribution!r}\n"
                f"  hint: one of {', '.join(_DISTRIBUTIONS)}"
            )
        self.scale, self.mode = scale, mode
        self.input_axes, self.output_axes = input_axes, output_axes
        self.distribution = "truncated_normal" if distribution == "normal" else distribution
        super().__init__(seed)

    def __call__(self, shape: Shape, dtype: DTypeLike = None) -> Any:
        """Gives an array of this shape."""
        fan_in, fan_out = compute_fans(shape, self.input_axes, self.output_axes)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        scale = self.scale / max(1.0, fan)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * scale)
            return random.uniform(shape, -limit, limit, dtype, seed=self.draw_seed)
        if self.distribution == "untruncated_normal":
            return random.normal(shape, 0.0, math.sqrt(scale), dtype, seed=self.draw_seed)
        stddev = math.sqrt(scale) / _TRUNCATED_STD
        return random.truncated_normal(shape, 0.0, stddev, dtype, seed=self.draw_seed)


class _Scaled(VarianceScaling):
    """A variance scaling with fixed settings; only the seed is free."""

    settings: tuple[float, str, str] = (1.0, "fan_in", "truncated_normal")

    def __init__(
        self,
        seed: Any = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(*self.settings, seed, input_axes, output_axes)


class GlorotUniform(_Scaled):
    """Uniform within ±sqrt(6 / (fan in + fan out)): the default of dense kernels. Source: Glorot &
    Bengio 2010.

    Args:
        seed: A whole number or a `SeedGenerator` for numbers that repeat; None takes the global
            seed.
        input_axes: Axes of the shape that count as inputs; None: all but the last.
        output_axes: Axes of the shape that count as outputs; None: the last.

    Example:
        >>> w = fastnn.initializers.GlorotUniform(seed=1)((4, 2)).numpy()
        >>> bool(np.abs(w).max() <= 1.0)
        True
    """

    settings: tuple[float, str, str] = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Scaled):
    """Truncated normal of variance 2 / (fan in + fan out). Source: Glorot & Bengio 2010.

    Args:
        seed: A whole number or a `SeedGenerator` for numbers that repeat; None takes the global
            seed.
        input_axes: Axes of the shape that count as inputs; None: all but the last.
        output_axes: Axes of the shape that count as outputs; None: the last.

    Example:
        >>> w = fastnn.initializers.GlorotNormal(seed=1)((200, 200)).numpy()
        >>> bool(abs(w.var() - 2 / 400) < 0.0005)
        True
    """

    settings: tuple[float, str, str] = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Scaled):
    """Uniform within ±sqrt(6 / fan in), for layers with relu. Source: He et al. 2015.

    Args:
        seed: A whole number or a `SeedGenerator` for numbers that repeat; None takes the global
            seed.
        input_axes: Axes of the shape that count as inputs; None: all but the last.
        output_axes: Axes of the shape that count as outputs; None: the last.

    Example:
        >>> w = fastnn.initializers.HeUniform(seed=1)((6, 2)).numpy()
        >>> bool(np.abs(w).max() <= 1.0)
        True
    """

    settings: tuple[float, str, str] = (2.0, "fan_in", "uniform")


class HeNormal(_Scaled):
    """Truncated normal of variance 2 / fan in, for layers with relu. Source: He et al. 2015.

    Args:
        seed: A whole number or a `SeedGenerator` for numbers that repeat; None takes the global
            seed.
        input_axes: Axes of the shape that count as inputs; None: all but the last.
        output_axes: Axes of the shape that count as outputs; None: the last.

    Example:
        >>> w = fastnn.initializers.HeNormal(seed=1)((200, 200)).numpy()
        >>> bool(abs(w.var() - 2 / 200) < 0.001)
        True
    """

    settings: tuple[float, str, str] = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Scaled):
    """Uniform within ±sqrt(3 / fan in). Source: LeCun et al. 1998.

    Args:
        seed: A whole number or a `SeedGenerator` for numbers that repeat; None takes the global
            seed.
        input_axes: Axes of the shape that count as inputs; None: all but the last.
        output_axes: Axes of the shape that count as outputs; None: the last.

    Example:
        >>> w = fastnn.initializers.LecunUniform(seed=1)((3, 2)).numpy()
        >>> bool(np.abs(w).max() <= 1.0)
        True
    """

    settings: tuple[float, str, str] = (1.0, "fan_in", "uniform")


class LecunNormal(_Scaled):
    """Truncated normal of variance 1 / fan in, for layers with selu. Source: LeCun et al. 1998.

    Args:
        seed: A whole number or a `SeedGenerator` for numbers that repeat; None takes the global
            seed.
        input_axes: Axes of the shape that count as inputs; None: all but the last.
        output_axes: Axes of the shape that count as outputs; None: the last.

    Example:
        >>> w = fastnn.initializers.LecunNormal(seed=1)((200, 200)).numpy()
        >>> bool(abs(w.var() - 1 / 200) < 0.0005)
        True
    """

    settings: tuple[float, str, str] = (1.0, "fan_in", "truncated_normal")


class Orthogonal(RandomInitializer):
    """Orthonormal columns (or rows, where there are fewer) times a gain.

    By QR of a matrix of normal numbers; further axes are taken together with the first.

    Args:
        gain: The factor.
        seed: A whole number or a `SeedGenerator` for numbers that repeat; None takes the global
            seed.

    Raises:
        ValueError: The shape has fewer than two axes.

    Example:
        >>> q = fastnn.initializers.Orthogonal(seed=1)((3, 2))
        >>> np.abs(q.T @ q - np.eye(2)).max() < 1e-5
        np.True_
    """

    def __init__(self, gain: float = 1.0, seed: Any = None) -> None:
        self.gain = gain
        super().__init__(seed)

    def __call__(self, shape: Shape, dtype: DTypeLike = None) -> np.ndarray[Any, Any]:
        """Gives an array of this shape."""
        if len(shape) < 2:
            raise ValueError(
                f"Orthogonal needs a shape of 2 or more sizes, got {tuple(shape)}"
                "\n  hint: use it for matrices, such as the kernel of Dense"
            )
        rows, columns = math.prod(shape[:-1]), shape[-1]
        flat = (max(rows, columns), min(rows, columns))
        q, r = np.linalg.qr(random.normal(flat, seed=self.draw_seed).numpy())
        q = q * np.sign(np.diag(r))
        q = q.T if rows < columns else q
        return np.ascontiguousarray(self.gain * q.reshape(shape), np.float32)


class STFT(Initializer):
    """Kernels of a convolution that computes one part of a short-time Fourier transform.

    Args:
        side: `"real"` for cosines or `"imag"` for sines.
        window: The name of a window, its values, or None for none.
        scaling: What the window is divided by: `"density"` (the root of the sum of its squares),
            `"spectrum"` (its sum) or None for nothing.
        periodic: Whether the window is one turn of a wave, rather than the same from both ends.

    Raises:
        ValueError: A setting is not known, or the window has another length than the kernel.

    Example:
        >>> fastnn.initializers.STFT("real", None)((4, 1, 3))[:, 0].round(3)
        array([[ 1.,  1.,  1.],
               [ 1.,  0., -1.],
               [ 1., -1.,  1.],
               [ 1., -0., -1.]], dtype=float32)
    """

    side: str
    scaling: str | None
    periodic: bool

    def __init__(
        self,
        side: str = "real",
        window: Any = "hann",
        scaling: str | None = "density",
        periodic: bool = False,
    ) -> None:
        if side not in ("real", "imag"):
            raise ValueError(f"STFT: side is {side!r}\n  hint: 'real' or 'imag'")
        if scaling not in (None, "density", "spectrum"):
            raise ValueError(f"STFT: scaling is {scaling!r}\n  hint: 'density', 'spectrum' or None")
        if isinstance(window, str):
            from fastnn.ops.audio import signal_window  # not needed by other initialisers

            signal_window(window, 8)  # an unknown name is refused here
        self.side, self.window, self.scaling = side, window, scaling
        self.periodic = periodic

    def __call__(self, shape: Shape, dtype: DTypeLike = None) -> Any:
        """Gives an array of this shape: (samples of a frame, 1, terms)."""
        if len(shape) != 3 or shape[1] != 1 or shape[2] < 2:
            raise ValueError(
                f"STFT needs a shape (samples, 1, terms) with 2 terms or more, got {tuple(shape)}"
                "\n  hint: terms are fft_length // 2 + 1"
            )
        from fastnn.ops.audio import signal_window
        from fastnn.ops.fourier import waves

        size, _, terms = shape
        cos, sin = waves(2 * (terms - 1), terms, -1.0, size)
        kernel = cos if self.side == "real" else sin
        if self.window is not None:
            window = self.window
            if isinstance(window, str):
                window = signal_window(window, size, self.periodic)
            window = np.asarray(window, np.float64)
            if window.shape != (size,):
                raise ValueError(
                    f"STFT: the window has shape {window.shape}, wanted ({size},)"
                    "\n  hint: one value for each sample of a frame"
                )
            divisor = {
                "density": np.sqrt(np.square(window).sum()), "spectrum": np.abs(window).sum(),
            }.get(self.scaling or "", 1.0)  # fmt: skip
            kernel = kernel * (window / divisor).astype(np.float32)[:, None]
        return _typed(kernel[:, None].astype(_numpy_type(dtype)), dtype)


# Keras's further names of the classes, one a line: so type checkers take them for the classes.
constant = Constant
zeros = Zeros
ones = Ones
identity = Identity
IdentityInitializer = Identity
orthogonal = Orthogonal
OrthogonalInitializer = Orthogonal
random_normal = RandomNormal
random_uniform = RandomUniform
truncated_normal = TruncatedNormal
glorot_normal = GlorotNormal
glorot_uniform = GlorotUniform
he_normal = HeNormal
he_uniform = HeUniform
lecun_normal = LecunNormal
lecun_uniform = LecunUniform
variance_scaling = VarianceScaling
STFTInitializer = STFT

TABLE = Registry(
    "initializer",
    [
        Zeros, Ones, Constant, Identity, RandomNormal, RandomUniform, TruncatedNormal,
        VarianceScaling, GlorotUniform, GlorotNormal, HeUniform, HeNormal, LecunUniform,
        LecunNormal, Orthogonal, STFT,
    ],
    {
        "normal": RandomNormal, "uniform": RandomUniform, "one": Ones, "zero": Zeros,
        "IdentityInitializer": Identity, "OrthogonalInitializer": Orthogonal, "eye": Identity,
        "STFTInitializer": STFT,
    },
)  # fmt: skip


def _given(value: Any, shape: Shape, dtype: DTypeLike = None) -> Any:
    """A ready value as an initialiser."""
    if tuple(value.shape) != tuple(shape):
        raise ValueError(
            f"Expected `shape` to be {tuple(value.shape)}, the shape of the value given. "
            f"Received: {tuple(shape)}\n  hint: give an initializer for other shapes"
        )
    return value


@hints_arguments
def get(identifier: Any) -> Any:
    """The initialiser that a name, config, array, number or object stands for.

    Args:
        identifier: A name such as `"he_normal"`, a config, an array, a number, an `Initializer`, or
            None.

    Returns:
        An `Initializer` or a function of a shape; None for None.

    Raises:
        ValueError: The name is not known; the hint names the nearest ones.

    Example:
        >>> type(fastnn.initializers.get("he_normal")).__name__
        'HeNormal'
    """
    if isinstance(identifier, np.ndarray | _core.Tensor):
        return functools.partial(_given, identifier)
    return TABLE.get(identifier)


def serialize(initializer: Initializer) -> Any:
    """An initialiser as a config."""
    return written(initializer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The initialiser that a config describes."""
    with custom_object_scope(custom_objects):
        return get(config)


answer_missing(globals())
