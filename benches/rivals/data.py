"""The inputs that every rival gets: seeded, float32, the same bytes in every process."""

from __future__ import annotations

import csv
import itertools
import os
from dataclasses import dataclass
from pathlib import Path

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


def sequences(units: int, steps: int, samples: int) -> tuple[Floats, Floats]:
    """Sequences of vectors and a number for each."""
    x = np.random.default_rng(4).normal(size=(samples, steps, units)).astype(np.float32)
    return x, np.tanh(x[:, :, 0].mean(axis=1, keepdims=True))


LINE_X = np.array([1, 2, 3, 4, 5])
LINE_Y = np.array([2, 4, 6, 8, 10])


@dataclass(frozen=True)
class Options:
    """Three options weighed by 28 criteria in 7 groups, and what is known of each profile."""

    groups: npt.NDArray[np.intp]  # of each criterion
    knots: npt.NDArray[np.float64]  # (criteria, 3), rising
    fits: npt.NDArray[np.float64]  # (criteria, options, 3): piecewise-linear curves
    centres: npt.NDArray[np.float64]  # (profiles, criteria)
    spread: float  # standard deviation of a criterion, where it is uncertain
    weights: npt.NDArray[np.float64]  # Dirichlet concentrations of the groups


def options(profiles: int) -> Options:
    """Criteria like those of `fastnn.exit_strategy`."""
    rng = np.random.default_rng(5)
    return Options(
        np.repeat(np.arange(7), 4),
        np.sort(rng.uniform(0, 1, (28, 3)), axis=1),
        rng.uniform(0, 1, (28, 3, 3)),
        rng.uniform(0, 1, (profiles, 28)),
        0.15,
        np.full(7, 60 / 7),
    )


def claims(tables: int) -> npt.NDArray[np.float64]:
    """Ten classes: eight preferred (some participating, some capped), common shares and options."""
    rng = np.random.default_rng(6)
    out = np.zeros((tables, 10, 6))  # due, last, rank, units, strike, cap
    due = rng.uniform(1, 20, (tables, 8))
    out[:, :8, 0], out[:, :8, 2] = due, rng.integers(1, 6, (tables, 8))
    out[:, :8, 5] = due * rng.choice([1, 2, np.inf], (tables, 8))
    out[:, :, 3] = rng.uniform(1, 5, (tables, 10))
    out[:, 8:, 2], out[:, 8:, 5] = 9, np.inf
    out[:, 9, 4] = 0.5
    return out


#: Quantiles that every rival reports.
LEVELS = (0.05, 0.5, 0.95)


#: Columns of the Adult census that hold numbers; the second is a weight of the survey, left out.
ADULT_NUMBERS, ADULT_WORDS = (0, 4, 10, 11, 12), (1, 3, 5, 6, 7, 8, 9, 13)


def adult_folder() -> Path | None:
    """Where the Adult census lies, if it does."""
    folder = Path(os.environ.get("FASTNN_DATA") or ".", "tabular", "adult")
    return folder if (folder / "adult-train.csv").is_file() else None


def classes(name: str) -> tuple[Floats, npt.NDArray[np.int64], Floats, npt.NDArray[np.int64]]:
    """Rows and classes to train and to test on: "digits" of scikit-learn, or "adult"."""
    if name == "digits":
        from sklearn.datasets import load_digits

        x, y = load_digits(return_X_y=True)
        order = np.random.default_rng(8).permutation(len(x))
        x, y = (x[order] / 16).astype(np.float32), y[order].astype(np.int64)
        return x[:1500], y[:1500], x[1500:], y[1500:]
    folder = adult_folder()
    if folder is None:
        raise FileNotFoundError(
            "no Adult census\n  hint: set FASTNN_DATA to the folder of data sets"
        )
    parts = []
    for part in ("train", "test"):
        with open(folder / f"adult-{part}.csv", encoding="utf-8") as file:
            rows = [r for r in csv.reader(file, skipinitialspace=True) if len(r) == 15]
        parts.append(rows)
    known = [sorted({r[c] for r in parts[0]}) for c in ADULT_WORDS]
    x = [np.array([[float(r[c]) for c in ADULT_NUMBERS] for r in rows]) for rows in parts]
    mean, spread = x[0].mean(0), x[0].std(0)
    tables = []
    for rows, numbers in zip(parts, x, strict=True):
        words = [
            np.array([[r[c] == w for w in found] for r in rows])
            for c, found in zip(ADULT_WORDS, known, strict=True)
        ]
        tables.append(np.concatenate([(numbers - mean) / spread, *words], 1).astype(np.float32))
    y = [np.array([r[14].startswith(">50K") for r in rows], np.int64) for rows in parts]
    return tables[0], y[0], tables[1], y[1]
