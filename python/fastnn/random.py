"""Random numbers: counter-based (Philox4x32-10), keyed by seed and count, the same everywhere.

A `SeedGenerator` holds its count in a variable, so a traced step draws fresh numbers at each run.
An integer seed always gives the same numbers; without a seed the process-wide generator is used.
Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
Depends on `_core`, `variables`.
"""

from __future__ import annotations

import contextlib
import random as _python_random
from collections.abc import Iterator, Sequence
from contextvars import Context, ContextVar, copy_context
from typing import Any

import numpy as np

from fastnn import _core, config, ops
from fastnn._core import Dim, Tensor
from fastnn.base.absent import missing
from fastnn.base.arguments import as_number, hints_arguments, is_whole
from fastnn.base.lazy import load_beside
from fastnn.base.typing import DTypeLike, TensorLike
from fastnn.tracing.known_ops import enter_ops
from fastnn.tracing.ranks import current_step
from fastnn.tracing.symbolic import keras_op
from fastnn.tracing.variables import Variable

__all__ = [
    "SeedGenerator", "bernoulli", "beta", "binomial", "categorical", "dropout", "gamma", "integers",
    "make_default_seed", "normal", "permutation", "randint", "seed", "seed_scope", "set_seed",
    "shuffle", "truncated_normal", "uniform",
]  # fmt: skip

Seed = "SeedGenerator | int | None"


class _Stream:
    """Where fresh seeds come from, and the generator for calls without a seed."""

    def __init__(self) -> None:
        self.source = _python_random.Random()
        self.generator: SeedGenerator | None = None


_process = _Stream()
#: Set inside `seed_scope`, for the thread (or task) that entered it.
_scoped: ContextVar[_Stream | None] = ContextVar("fastnn_seed_scope", default=None)


def _stream() -> _Stream:
    return _scoped.get() or _process


@hints_arguments
def set_seed(seed: int) -> None:
    """Seeds the process: initialisers, shuffling, dropout and the functions of this module.

    `utils.set_random_seed` seeds Python and NumPy as well.

    Args:
        seed: A whole number of at least 0.

    Example:
        >>> fastnn.random.seed(1)
        >>> a = fastnn.random.normal((2,)).numpy()
        >>> fastnn.random.seed(1)
        >>> bool((fastnn.random.normal((2,)).numpy() == a).all())
        True
    """
    stream = _stream()
    stream.source.seed(_checked(seed))
    stream.generator = None


seed = set_seed


@hints_arguments
@contextlib.contextmanager
def seed_scope(seed: int) -> Iterator[None]:
    """Seeds what this thread draws inside the `with` block; outside nothing changes.

    Models built and trained inside give the same bits again, whatever other threads draw meanwhile
    and whatever was drawn before. Threads that are started inside draw from the process's source.

    Args:
        seed: A whole number of at least 0.

    Yields:
        Nothing.

    Example:
        >>> with fastnn.random.seed_scope(1):
        ...     a = fastnn.random.normal((2,)).numpy()
        >>> with fastnn.random.seed_scope(1):
        ...     b = fastnn.random.normal((2,)).numpy()
        >>> bool((a == b).all())
        True
    """
    stream = _Stream()
    stream.source.seed(_checked(seed))
    token = _scoped.set(stream)
    try:
        yield
    finally:
        _scoped.reset(token)


def seed_context(seed: int) -> Context:
    """A copy of the caller's context in which draws are seeded, to be handed to another thread."""
    stream = _Stream()
    stream.source.seed(_checked(seed))
    context = copy_context()
    context.run(_scoped.set, stream)
    return context


def _checked(seed: Any) -> int:
    if not is_whole(seed):
        raise ValueError(f"seed is {seed!r}, wanted an integer\n  hint: seed=42")
    return int(as_number(seed))


@hints_arguments
def make_default_seed() -> int:
    """A fresh seed from the process-wide source, which `seed` fixes.

    Returns:
        A whole number.

    Example:
        >>> fastnn.random.seed(1)
        >>> isinstance(fastnn.random.make_default_seed(), int)
        True
    """
    return _stream().source.randint(1, 2**31 - 1)


class SeedGenerator:
    """A source of random keys: each use moves it on by one.

    Its `state` is a variable, so a model's random numbers are part of its state and files.

    Args:
        seed: A whole number of at least 0; None draws one.
        name: The name of the generator; made from the class name when left out.

    Example:
        >>> generator = fastnn.random.SeedGenerator(7)
        >>> a = fastnn.random.normal((2,), seed=generator).numpy()
        >>> b = fastnn.random.normal((2,), seed=generator).numpy()
        >>> bool((a == b).any())
        False
    """

    seed: int | None
    name: str
    state: Any

    def __init__(self, seed: int | None = None, name: str | None = None) -> None:
        self.seed = make_default_seed() if seed is None else _checked(seed)
        self.name = name or config.unique_name("seed_generator")
        self.state = Variable(_words(self.seed), dtype="int32", trainable=False, name="seed_state")
        self.state.path = f"{self.name}/seed_generator_state"

    def next(self) -> Any:
        """A key that no earlier call returned; the state moves on."""
        key = self.state.value
        self.state.assign(key + _STEP)
        step = current_step()
        if step is not None and step.rank:
            # The state is the same on all ranks that train together, their numbers are not.
            key = key + np.array([0, 0, 0, step.rank], np.int32)
        return key

    def get_config(self) -> dict[str, Any]:
        """The seed and the name."""
        return {"seed": self.seed, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SeedGenerator:
        """A generator at its start."""
        return cls(**config)


_STEP = _core.tensor(np.array([0, 0, 1, 0], np.int32))


def _words(seed: int, count: int = 0) -> np.ndarray[Any, Any]:
    low, high = seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF
    return np.array([low, high, count, 0], np.uint32).view(np.int32)


def key_of(seed: Any) -> Any:
    """The key that a `seed=` argument stands for."""
    if isinstance(seed, SeedGenerator):
        return seed.next()
    if seed is not None:
        return _core.tensor(_words(_checked(seed)))
    stream = _stream()
    if stream.generator is None:
        stream.generator = SeedGenerator(name="global_seed_generator")
    return stream.generator.next()


def _typed(x: Any, dtype: DTypeLike) -> Any:
    """Numbers in the type that was asked for; what is computed is float32 or int32."""
    return x if dtype is None else ops.cast(x, dtype)


def _float_typed(name: str, x: Any, dtype: DTypeLike) -> Any:
    if dtype is not None and "float" not in config.stored_dtype(dtype):
        raise ValueError(
            f"{name}: `{name}` requires a floating point `dtype`. Received: dtype={dtype!r}\n"
            "  hint: leave dtype out, and ops.cast the numbers"
        )
    return _typed(x, dtype)


def _shape(shape: Sequence[int | Dim | None] | int | Dim) -> list[Any]:
    shape = as_number(shape)
    return [shape] if isinstance(shape, int | Dim) else list(shape)


@hints_arguments
def normal(
    shape: Sequence[int | Dim | None] | int | Dim,
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: DTypeLike = None,
    seed: Any = None,
) -> Tensor:
    """Normal numbers.

    Args:
        shape: The shape of the result.
        mean: Their mean.
        stddev: Their standard deviation.
        dtype: The type of the result; `"float32"` by default.
        seed: A whole number or a `SeedGenerator` for numbers that repeat; None takes the global
            seed.

    Returns:
        A tensor of this shape.

    Example:
        >>> fastnn.random.normal((2, 3), seed=1).shape
        (2, 3)
    """
    x = _core.ops.random_normal(key_of(seed), shape=_shape(shape))
    x = x * stddev + mean if (mean, stddev) != (0.0, 1.0) else x
    return _float_typed("normal", x, dtype)


@hints_arguments
def uniform(
    shape: Sequence[int | Dim | None] | int | Dim,
    minval: float = 0.0,
    maxval: float = 1.0,
    dtype: DTypeLike = None,
    seed: Any = None,
) -> Tensor:
    """Numbers spread evenly over [minval, maxval); with an integer `dtype`, whole numbers.

    Args:
        shape: The shape of the result.
        minval: The lower end.
        maxval: The upper end, excluded.
        dtype: The type of the result; `"float32"` by default.
        seed: A whole number or a `SeedGenerator` for numbers that repeat; None takes the global
            seed.

    Returns:
        A tensor of this shape.

    Example:
        >>> x = fastnn.random.uniform((100,), seed=1).numpy()
        >>> bool(x.min() >= 0 and x.max() < 1)
        True
    """
    if dtype is not None and "int" in config.stored_dtype(dtype):
        return randint(shape, int(minval), int(maxval), dtype, seed)
    x = _core.ops.random_uniform(key_of(seed), shape=_shape(shape))
    x = x * (maxval - minval) + minval if (minval, maxval) != (0.0, 1.0) else x
    return _float_typed("uniform", x, dtype)


@hints_arguments
def randint(
    shape: Sequence[int | Dim | None] | int | Dim,
    minval: int,
    maxval: int,
    dtype: DTypeLike = "int32",
    seed: Any = None,
) -> Tensor:
    """Whole numbers from minval to maxval - 1, each as likely.

    Args:
        shape: The shape of the result.
        minval: The smallest number.
        maxval: The end, excluded.
        dtype: The type of the result, `"int32"`.
        seed: A whole number or a `SeedGenerator` for numbers that repeat; None takes the global
            seed.

    Returns:
        A tensor of this shape.

    Example:
        >>> sorted(set(fastnn.random.integers((100,), 0, 3, seed=1).numpy().tolist()))
        [0, 1, 2]
    """
    if maxval <= minval:
        raise ValueError(f"randint: maxval {maxval} <= minval {minval}\n  hint: maxval is excluded")
    if "int" not in config.stored_dtype(dtype):
        raise ValueError(
            "randint: `keras.random.randint` requires an integer `dtype`. Received: "
            f"dtype={dtype!r}\n  hint: dtype='int32', and ops.cast the numbers"
        )
    x = _core.ops.random_integers(key_of(seed), shape=_shape(shape), low=minval, high=maxval)
    return x if dtype == "int32" else _typed(x, dtype)


integers = randint


@hints_arguments
def truncated_normal(
    shape: Sequence[int | Dim | None] | int | Dim,
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: DTypeLike = None,
    seed: Any = None,
) -> Tensor:
    """Normal numbers within two standard deviations, by the inverse distribution function.

    Args:
        shape: The shape of the result.
        mean: Their mean, before they are cut.
        stddev: Their standard deviation, before they are cut.
        dtype: The type of the result; `"float32"` by default.
        seed: A whole number or a `SeedGenerator` for numbers that repeat; None takes the global
            seed.

    Returns:
        A tensor of this shape.

    Example:
        >>> bool(abs(fastnn.random.truncated_normal((100,), seed=1).numpy()).max() <= 2)
        True
    """
    from statistics import NormalDist

    low = NormalDist().cdf(-2.0)
    u = _core.ops.random_uniform(key_of(seed), shape=_shape(shape))
    x = _core.ops.clip(_normal_quantile(u * (1.0 - 2.0 * low) + low), min=-2.0, max=2.0)
    return _float_typed("truncated_normal", x * stddev + mean, dtype)


#: Acklam's rational approximation of the normal quantile, relative error below 1.2e-9.
_CENTRE = (-3.969683028665376e01, 2.209460984245205e02, -2.759285104469687e02,
           1.383577518672690e02, -3.066479806614716e01, 2.506628277459239e00)  # fmt: skip
_CENTRE_Q = (-5.447609879822406e01, 1.615858368580409e02, -1.556989798598866e02,
             6.680131188771972e01, -1.328068155288572e01, 1.0)  # fmt: skip
_TAIL = (-7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e00,
         -2.549732539343734e00, 4.374664141464968e00, 2.938163982698783e00)  # fmt: skip
_TAIL_Q = (7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e00,
           3.754408661907416e00, 1.0)  # fmt: skip


def _horner(coefficients: Sequence[float], x: Tensor) -> Any:
    total: Any = coefficients[0]
    for c in coefficients[1:]:
        total = total * x + c
    return total


def _normal_quantile(p: Tensor) -> Any:
    c = _core.ops
    q = p - 0.5
    r = q * q
    centre = _horner(_CENTRE, r) * q / _horner(_CENTRE_Q, r)
    outer = c.minimum(p, 1.0 - p)
    t = c.sqrt(-2.0 * c.log(outer))
    tail = _horner(_TAIL, t) / _horner(_TAIL_Q, t)
    tail = c.where(q > 0.0, -tail, tail)
    return c.where(c.absolute(q) <= 0.47575, centre, tail)


@hints_arguments
def bernoulli(shape: Sequence[int | Dim | None] | int | Dim, p: float, seed: Any = None) -> Tensor:
    """Ones with a probability, else zeros.

    Args:
        shape: The shape of the result.
        p: The probability of a one.
        seed: A whole number or a `SeedGenerator` for numbers that repeat; None takes the global
            seed.

    Returns:
        A float tensor of this shape.

    Example:
        >>> sorted(set(fastnn.random.bernoulli((100,), 0.5, seed=1).numpy().tolist()))
        [0.0, 1.0]
    """
    return ops.cast(uniform(shape, seed=seed) < p, "float32")


#: Attempts of which the first that is accepted counts; each one is accepted in 95 of 100 cases.
_ATTEMPTS = 12


def _log_gamma(shape: Sequence[int | None] | int, alpha: Any, seed: Any) -> Any:
    """Logarithms of gamma variates: Marsaglia and Tsang 2000, for `alpha` + 1, brought to alpha."""
    ops = _core.ops
    d = alpha + 1.0 - 1.0 / 3.0
    scale = (d * 9.0) ** -0.5
    value = ops.log(normal(shape, seed=seed) * 0.0 + d)
    for _ in range(_ATTEMPTS):
        x = normal(shape, seed=seed)
        u = ops.maximum(uniform(shape, seed=seed), 1e-30)
        root = x * scale + 1.0
        cube = root * root * root
        safe = ops.maximum(cube, 1e-30)
        accepted = ops.log(u) < x * x * 0.5 + d * (ops.log(safe) + 1.0 - cube)
        fits = ops.cast(accepted, dtype="float32") * ops.cast(root > 0.0, dtype="float32")
        value = ops.where(fits > 0.5, ops.log(safe) + ops.log(d + x * 0.0), value)
    u = ops.maximum(uniform(shape, seed=seed), 1e-30)
    return value + ops.log(u) / alpha


@hints_arguments
def gamma(
    shape: Sequence[int | None] | int, alpha: Any, dtype: DTypeLike = None, seed: Any = None
) -> Tensor:
    """Numbers of a gamma distribution of scale 1.

    Args:
        shape: The shape of the result.
        alpha: The shape parameter, above 0; a tensor of them spreads over the shape, a list adds
            its axes to it.
        dtype: The type of the result, `"float32"`.
        seed: A whole number or a `SeedGenerator` for numbers that repeat; None takes the global
            seed.

    Returns:
        A tensor of this shape.

    Example:
        >>> float(fastnn.random.gamma((1000,), 2.0, seed=1).numpy().mean().round())
        2.0
    """
    seed = SeedGenerator(seed) if isinstance(seed, int) else seed
    if isinstance(alpha, list | tuple):  # as in TensorFlow: each gets numbers of this shape
        alpha = _core.tensor(np.asarray(alpha, np.float32))
        shape = (*_shape(shape), *alpha.shape)
    return _float_typed("gamma", _core.ops.exp(_log_gamma(shape, alpha, seed)), dtype)


@hints_arguments
def beta(
    shape: Sequence[int | None] | int,
    alpha: Any,
    beta: Any,
    dtype: DTypeLike = None,
    seed: Any = None,
) -> Tensor:
    """Numbers of a beta distribution, from 0 to 1.

    Args:
        shape: The shape of the result.
        alpha: The first shape parameter, above 0.
        beta: The second shape parameter, above 0.
        dtype: The type of the result, `"float32"`.
        seed: A whole number or a `SeedGenerator` for numbers that repeat; None takes the global
            seed.

    Returns:
        A tensor of this shape.

    Example:
        >>> x = fastnn.random.beta((1000,), 2.0, 2.0, seed=1).numpy()
        >>> float(x.mean().round(1))
        0.5
    """
    seed = SeedGenerator(seed) if isinstance(seed, int) else seed
    first, second = _log_gamma(shape, alpha, seed), _log_gamma(shape, beta, seed)
    return _float_typed("beta", _core.ops.sigmoid(first - second), dtype)


@hints_arguments
def binomial(
    shape: Sequence[int | Dim | None] | int | Dim,
    counts: Any,
    probabilities: Any,
    dtype: DTypeLike = None,
    seed: Any = None,
) -> Tensor:
    """How many of `counts` trials succeed, each with a probability.

    Every trial is drawn, so that memory grows with the largest count.

    Args:
        shape: The shape of the result.
        counts: How many trials: a whole number, or an array that broadcasts with `shape`.
        probabilities: The chance of each trial, from 0 to 1; broadcasts with `shape`.
        dtype: The type of the result, `"float32"`.
        seed: A whole number or a `SeedGenerator` for numbers that repeat; None takes the global
            seed.

    Returns:
        A tensor of this shape.

    Raises:
        ValueError: A count is negative or above 65536.

    Example:
        >>> fastnn.random.binomial((1000,), 10, 0.5, seed=1).numpy().mean().round()
        np.float32(5.0)
    """
    given = ops.convert_to_numpy(counts)
    most = int(given.max(initial=0))
    if given.min(initial=0) < 0 or most > 1 << 16:
        raise ValueError(
            f"binomial: counts are {given.min()} to {given.max()}, wanted 0 to 65536\n"
            "  hint: a normal distribution is near that of larger counts"
        )
    drawn = uniform([*_shape(shape), max(most, 1)], seed=seed)
    chance, trials = (
        ops.expand_dims(ops.convert_to_tensor(v, "float32"), -1) for v in (probabilities, given)
    )
    hit = ops.logical_and(drawn < chance, ops.arange(max(most, 1)) < trials)
    return _float_typed("binomial", ops.sum(ops.cast(hit, "float32"), axis=-1), dtype)


@hints_arguments
def categorical(logits: Any, num_samples: int, dtype: str = "int32", seed: Any = None) -> Tensor:
    """Class numbers drawn by unnormalised log-probabilities.

    Args:
        logits: (n, classes).
        num_samples: How many are drawn for each row.
        dtype: The type of the result, `"int32"`.
        seed: A whole number or a `SeedGenerator` for numbers that repeat; None takes the global
            seed.

    Returns:
        Class numbers (n, num_samples).

    Example:
        >>> fastnn.random.categorical(np.array([[0.0, -100.0]]), 3, seed=1).numpy()
        array([[0, 0, 0]], dtype=int32)
    """
    logits = ops.convert_to_tensor(logits)
    n, k = logits.shape
    u = _core.ops.random_uniform(key_of(seed), shape=[n, num_samples, k])
    gumbel = -_core.ops.log(-_core.ops.log(_core.ops.maximum(u, 1e-30)))
    found = ops.argmax(ops.expand_dims(logits, axis=1) + gumbel, axis=-1)
    return found if dtype == "int32" else _typed(found, dtype)


@keras_op
def permutation(n: int | Dim, seed: Any = None) -> Tensor:
    """The numbers below `n` in random order.

    Args:
        n: How many.
        seed: A whole number or a `SeedGenerator` for numbers that repeat; None takes the global
            seed.

    Returns:
        An int32 tensor (n,).

    Example:
        >>> sorted(fastnn.random.permutation(4, seed=1).numpy().tolist())
        [0, 1, 2, 3]
    """
    if isinstance(n, Dim):
        # By two numbers each: one of 24 bits is drawn twice too often.
        drawn = uniform((n, 2), seed=seed)
        order = ops.argsort(drawn[:, 1])
        return ops.take(order, ops.argsort(ops.take(drawn[:, 0], order)))
    return _core.ops.random_permutation(key_of(seed), n=n)


#: The stream of the core's shuffling (`fastnn::train`), so that both loops see one order.
_EPOCH_STREAM = 0x54F11


def epoch_order(n: int, seed: int, epoch: int) -> np.ndarray[Any, Any]:
    """The order of `n` samples in an epoch of a run with this seed, as the core's loop has it."""
    key = _core.tensor(_words(seed, epoch))
    order: Tensor = _core.ops.random_permutation(key, n=n, stream=_EPOCH_STREAM)
    return np.asarray(order)


def global_state() -> np.ndarray[Any, Any] | None:
    """The process-wide generator's state; None before its first use."""
    generator = _stream().generator
    return None if generator is None else np.asarray(generator.state)


def set_global_state(state: Any) -> None:
    """Puts the process-wide generator where `global_state` found it."""
    stream = _stream()
    if stream.generator is None:
        stream.generator = SeedGenerator(0, name="global_seed_generator")
    stream.generator.state.assign(state)


@hints_arguments
def shuffle(x: TensorLike, axis: int = 0, seed: Any = None) -> Tensor:
    """The slices of a tensor along an axis in random order.

    Args:
        x: A tensor.
        axis: The axis.
        seed: A whole number or a `SeedGenerator` for numbers that repeat; None takes the global
            seed.

    Returns:
        A tensor of the same shape.

    Example:
        >>> sorted(fastnn.random.shuffle(np.array([1, 2, 3]), seed=1).numpy().tolist())
        [1, 2, 3]
    """
    x = ops.convert_to_tensor(x)
    return ops.take(x, permutation(ops.shape(x)[axis], seed), axis=axis)


@keras_op
def dropout(
    inputs: TensorLike,
    rate: float,
    noise_shape: Sequence[int | None] | None = None,
    seed: Any = None,
) -> Tensor:
    """Elements set to zero with a probability, the others divided by 1 - rate.

    Args:
        inputs: A tensor.
        rate: The share that is dropped, from 0 to 1.
        noise_shape: The shape of the random mask; an axis of size 1 is dropped as a whole.
        seed: A whole number or a `SeedGenerator` for numbers that repeat; None takes the global
            seed.

    Returns:
        A tensor of the inputs' shape.

    Example:
        >>> sorted(set(fastnn.random.dropout(np.ones(100), 0.5, seed=1).numpy().tolist()))
        [0.0, 2.0]
    """
    x = ops.convert_to_tensor(inputs, "float32")
    if rate == 0:
        return x
    full = list(x.shape)
    shape = full if noise_shape is None else [
        full[i] if d is None else d for i, d in enumerate(noise_shape)
    ]  # fmt: skip
    keep = _core.ops.random_uniform(key_of(seed), shape=shape) >= rate
    return _core.ops.where(keep, x * (1.0 / (1.0 - rate)), 0.0)


enter_ops("random", {"dropout": dropout, "normal": normal})


def __getattr__(name: str) -> Any:
    """What `tf.random` has besides, loaded when it is asked for."""
    if name.startswith("__"):  # Python looks for `__path__` at every import of names from here
        raise missing(__name__, name, __all__)
    beside = load_beside("random")
    if name in beside.__all__:
        return getattr(beside, name)
    raise missing(__name__, name, [*__all__, *beside.__all__])
