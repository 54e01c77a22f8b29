"""`tf.random`'s functions without state, its generators and its Poisson numbers.

Depends on `random`, `ops`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import ops, random
from fastnn._core import Tensor
from fastnn.base.typing import DTypeLike, TensorLike
from fastnn.tensorflow.candidates import expected_unlike, zipf

__all__ = [
    "Generator", "fold_in", "get_global_generator", "log_uniform_candidate_sampler", "poisson",
    "split", "stateless_categorical", "stateless_normal", "stateless_truncated_normal",
    "stateless_uniform", "uniform_candidate_sampler", "whole_seed",
]  # fmt: skip


def whole_seed(seed: Any) -> int:
    """One seed of the two numbers that functions without state are given."""
    numbers = [abs(int(n)) for n in np.ravel(seed)]
    return int(np.random.SeedSequence(numbers).generate_state(1)[0] // 2)


def stateless_uniform(
    shape: Any, seed: Any, minval: Any = 0, maxval: Any = None, dtype: DTypeLike = "float32",
    name: str | None = None, alg: Any = None,
) -> Tensor:  # fmt: skip
    """Uniform numbers, the same for the same two numbers."""
    top = 1.0 if maxval is None else maxval
    numbers: Tensor = random.uniform(shape, minval, top, dtype=dtype, seed=whole_seed(seed))
    return numbers


def stateless_normal(
    shape: Any, seed: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: DTypeLike = "float32",
    name: str | None = None, alg: Any = None,
) -> Tensor:  # fmt: skip
    """Normal numbers, the same for the same two numbers."""
    numbers: Tensor = random.normal(shape, seed=whole_seed(seed)) * stddev + mean
    return numbers


def stateless_truncated_normal(
    shape: Any, seed: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: DTypeLike = "float32",
    name: str | None = None, alg: Any = None,
) -> Tensor:  # fmt: skip
    """Normal numbers within two deviations, the same for the same two numbers."""
    numbers: Tensor = random.truncated_normal(shape, seed=whole_seed(seed)) * stddev + mean
    return numbers


def stateless_categorical(
    logits: TensorLike,
    num_samples: int,
    seed: Any,
    dtype: DTypeLike = "int32",
    name: str | None = None,
) -> Tensor:
    """Classes drawn by logits, the same for the same two numbers."""
    drawn: Tensor = random.categorical(logits, num_samples, seed=whole_seed(seed))
    return drawn


def split(seed: Any, num: int = 2, alg: Any = "auto_select") -> Tensor:
    """Seeds of two numbers made of one, (num, 2), the same for the same seed."""
    drawn = np.random.default_rng(whole_seed(seed)).integers(0, 2**24, (num, 2))
    return ops.convert_to_tensor(drawn.astype(np.int32))


def fold_in(seed: Any, data: Any, alg: Any = "auto_select") -> Tensor:
    """A seed of two numbers made of one and of a number, such as that of the step."""
    return split((whole_seed(seed), int(data)), 1)[0]


def poisson(
    shape: Any, lam: Any, dtype: DTypeLike = "float32", seed: Any = None, name: str | None = None
) -> Tensor:
    """Poisson numbers; a list of means adds its axes to the shape."""
    mean = np.asarray(lam, np.float64)
    sizes = tuple(int(n) for n in shape) + mean.shape
    start = random.make_default_seed() if seed is None else int(seed)
    drawn = np.random.default_rng(abs(start)).poisson(mean, sizes)
    return ops.cast(drawn.astype(np.float32), dtype)


class Generator:
    """A source of random numbers with a state of its own.

    Example:
        >>> import fastnn as tf
        >>> tf.random.Generator.from_seed(1).normal([2]).shape
        (2,)
    """

    def __init__(self, seed: int | None = None) -> None:
        self._source = random.SeedGenerator(seed)

    @classmethod
    def from_seed(cls, seed: Any, alg: Any = None) -> Generator:
        """One that gives the same numbers for the same seed."""
        return cls(int(seed) if np.ndim(seed) == 0 else whole_seed(seed))

    @classmethod
    def from_non_deterministic_state(cls, alg: Any = None) -> Generator:
        """One with a seed that is drawn."""
        return cls()

    def uniform(
        self, shape: Any, minval: Any = 0, maxval: Any = None, dtype: DTypeLike = "float32",
        name: str | None = None,
    ) -> Tensor:  # fmt: skip
        """Uniform numbers from `minval` below `maxval`."""
        top = 1.0 if maxval is None else maxval
        numbers: Tensor = random.uniform(shape, minval, top, dtype=dtype, seed=self._source)
        return numbers

    def normal(
        self, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: DTypeLike = "float32",
        name: str | None = None,
    ) -> Tensor:  # fmt: skip
        """Normal numbers."""
        numbers: Tensor = random.normal(shape, seed=self._source) * stddev + mean
        return numbers

    def truncated_normal(
        self, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: DTypeLike = "float32",
        name: str | None = None,
    ) -> Tensor:  # fmt: skip
        """Normal numbers within two deviations."""
        numbers: Tensor = random.truncated_normal(shape, seed=self._source) * stddev + mean
        return numbers

    def make_seeds(self, count: int = 1) -> Tensor:
        """Seeds for functions without state, (2, count)."""
        numbers: Tensor = random.uniform((2, count), 0, 2**24, dtype="int32", seed=self._source)
        return numbers

    def split(self, count: int = 1) -> list[Generator]:
        """Generators of their own."""
        return [Generator(whole_seed(column)) for column in self.make_seeds(count).numpy().T]


_shared: list[Generator] = []


def get_global_generator() -> Generator:
    """The one generator of the process."""
    if not _shared:
        _shared.append(Generator())
    return _shared[0]


def log_uniform_candidate_sampler(
    true_classes: Any, num_true: int, num_sampled: int, unique: bool, range_max: int,
    seed: int | None = None, name: str | None = None,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Classes drawn by Zipf's law, small numbers first, and how often each is to be expected."""
    return _candidates(zipf(range_max), true_classes, num_sampled, unique, seed)


def uniform_candidate_sampler(
    true_classes: Any, num_true: int, num_sampled: int, unique: bool, range_max: int,
    seed: int | None = None, name: str | None = None,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Classes drawn alike, and how often each is to be expected."""
    chance = np.full(range_max, 1.0 / range_max)
    return _candidates(chance, true_classes, num_sampled, unique, seed)


def _candidates(
    chance: Any, true_classes: Any, count: int, unique: bool, seed: int | None
) -> tuple[Tensor, Tensor, Tensor]:
    expected = expected_unlike(chance, count) if unique else chance * count
    start = random.make_default_seed() if seed is None else int(seed)
    rng = np.random.default_rng(abs(start))
    drawn = rng.choice(len(chance), count, replace=not unique, p=chance / chance.sum())
    true = np.asarray(ops.convert_to_numpy(true_classes), np.int64)
    parts = (drawn.astype(np.int32), *(v.astype(np.float32) for v in (expected[true],
             expected[drawn])))  # fmt: skip
    return tuple(ops.convert_to_tensor(v) for v in parts)  # type: ignore[return-value]
