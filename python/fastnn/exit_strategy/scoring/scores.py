"""Scores: fits, weighted sum and TOPSIS side by side.

TOPSIS after C. L. Hwang and K. Yoon (1981) with vector normalisation; all criteria here are
benefits because the curves have already turned facts into fits. NumPy only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from fastnn.exit_strategy.criteria import Criteria
from fastnn.exit_strategy.errors import ExitError, Issue
from fastnn.exit_strategy.records import dataclass

__all__ = [
    "Scores", "fit_matrix", "group_matrix", "score", "score_fits", "score_many", "topsis",
    "weighted_sum",
]  # fmt: skip

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scores:
    """Fits (options, leaves), group scores (options, groups), and the two aggregate scores."""

    options: tuple[str, ...]
    fits: FloatArray
    groups: FloatArray
    wsm: FloatArray
    topsis: FloatArray
    contributions: FloatArray  # (options, leaves); each row sums to its weighted sum


def fit_matrix(
    criteria: Criteria,
    options: Sequence[str],
    facts: Mapping[str, float],
    computed: Mapping[str, Mapping[str, float]],
) -> FloatArray:
    """Return fits (options, leaves): `facts` per leaf, `computed` per option and leaf."""
    fits = np.empty((len(options), len(criteria.leaves)))
    for column, leaf in enumerate(criteria.leaves):
        for row, option in enumerate(options):
            value = computed[option][leaf.id] if leaf.computed else facts[leaf.id]
            fits[row, column] = leaf.fit(option, value)
    return fits


def group_matrix(criteria: Criteria, fits: FloatArray) -> FloatArray:
    """Return group scores (..., options, groups) as local-weighted means of the leaves."""
    groups = np.zeros((*fits.shape[:-1], len(criteria.groups)))
    for leaf, (group, local) in enumerate(
        zip(criteria.group_of, criteria.local_weights, strict=True)
    ):
        groups[..., group] += fits[..., leaf] * local
    return groups


def weighted_sum(matrix: FloatArray, weights: Sequence[float] | FloatArray) -> FloatArray:
    """Return the weighted sum of each row (the last axis), added up from left to right."""
    return _added(np.asarray(matrix) * np.asarray(weights, dtype=np.float64))


def _added(terms: FloatArray) -> FloatArray:
    """The sum along the last axis, one by one: its bits do not hang on the shape of the whole."""
    total = np.zeros(terms.shape[:-1])
    for k in range(terms.shape[-1]):
        total = total + terms[..., k]
    return total


def topsis(matrix: FloatArray, weights: Sequence[float] | FloatArray) -> FloatArray:
    """Return the closeness of each row (..., options, criteria) to the ideal, 0..1.

    Equal rows all get 0.5.
    """
    m = np.asarray(matrix, dtype=np.float64)
    w = np.asarray(weights, dtype=np.float64)
    fits = m.ndim >= 2 and m.shape[-1] == w.shape[0]
    if not fits or not np.isfinite(m).all() or (w < 0).any():
        raise ExitError(
            Issue(
                "EX208",
                "matrix",
                f"matrix {m.shape} does not fit {w.shape[0]} weights",
                "give finite numbers, one column per weight, weights of 0 or more",
            )
        )
    norm = np.sqrt(_added((m * m).swapaxes(-1, -2)))[..., None, :]
    scaled = m / np.where(norm > 0, norm, 1.0) * w
    to_best = np.sqrt(_added((scaled - scaled.max(axis=-2, keepdims=True)) ** 2))
    to_worst = np.sqrt(_added((scaled - scaled.min(axis=-2, keepdims=True)) ** 2))
    span = to_best + to_worst
    return np.asarray(np.where(span > 0, to_worst / np.where(span > 0, span, 1.0), 0.5))


def score(
    criteria: Criteria,
    options: Sequence[str],
    facts: Mapping[str, float],
    computed: Mapping[str, Mapping[str, float]],
    weights: Sequence[float],
) -> Scores:
    """Return all scores of one company at its stated facts."""
    return score_fits(criteria, options, fit_matrix(criteria, options, facts, computed), weights)


def score_fits(
    criteria: Criteria, options: Sequence[str], fits: FloatArray, weights: Sequence[float]
) -> Scores:
    """Return all scores from a ready fit matrix."""
    return score_many(criteria, options, fits[None], weights)[0]


def score_many(
    criteria: Criteria, options: Sequence[str], fits: FloatArray, weights: Sequence[float]
) -> list[Scores]:
    """Return the scores of many companies from fits (companies, options, leaves).

    A company's scores are the same bits alone and among others.
    """
    w = np.asarray(weights, dtype=np.float64)
    leaf_weights = w[list(criteria.group_of)] * np.asarray(criteria.local_weights)
    groups = group_matrix(criteria, fits)
    columns = (fits, groups, weighted_sum(groups, w), topsis(groups, w), fits * leaf_weights)
    return [Scores(tuple(options), *rows) for rows in zip(*columns, strict=True)]
