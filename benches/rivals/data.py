"""The inputs that every rival gets: seeded, float32, the same bytes in every process."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def uniform(*shape: int, seed: int = 1) -> Floats:
    """Numbers from -2 to 2."""
    return np.random.default_rng(seed).uniform(-2, 2, shape).astype(np.float32)


def layer_weights(sizes: list[int]) -> list[tuple[Floats, Floats]]:
    """Kernel (in, out) and bias of every dense layer, Glorot uniform and zeros."""
    rng = np.random.default_rng(2)
    pairs = []
    for i, o in itertools.pairwise(sizes):
        limit = np.sqrt(6 / (i + o))
        kernel = rng.uniform(-limit, limit, (i, o)).astype(np.float32)
        pairs.append((kernel, np.zeros(o, np.float32)))
    return pairs


def training_set(sizes: list[int], samples: int) -> tuple[Floats, npt.NDArray[np.generic]]:
    """Inputs and targets: classes for ten outputs, numbers for one."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(samples, sizes[0])).astype(np.float32)
    score = x @ rng.normal(size=(sizes[0], sizes[-1])).astype(np.float32)
    if sizes[-1] == 1:
        return x, np.tanh(score).astype(np.float32)
    return x, score.argmax(axis=1).astype(np.int32)


LINE_X = np.array([1, 2, 3, 4, 5])
LINE_Y = np.array([2, 4, 6, 8, 10])
