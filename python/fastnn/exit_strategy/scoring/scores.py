"""Scores: fits, weighted sum and TOPSIS side by side.

TOPSIS after C. L. Hwang and K. Yoon (1981) with vector normalisation; all criteria here are
benefits because the curves have already turned facts into fits. NumPy only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastnn.exit_strategy.criteria import Criteria
from fastnn.exit_strategy.errors import ExitError, Issue

__all__ = ["Scores", "fit_matrix", "group_matrix", "score", "topsis", "weighted_sum"]

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
    """Return group scores (options, groups) as local-weighted means of the leaves."""
    share = np.zeros((len(criteria.leaves), len(criteria.groups)))
    share[np.arange(len(criteria.leaves)), criteria.group_of] = criteria.local_weights
    return np.asarray(fits @ share)


def weighted_sum(matrix: FloatArray, weights: Sequence[float] | FloatArray) -> FloatArray:
    """Return the weighted sum of each row."""
    return np.asarray(matrix @ np.asarray(weights, dtype=np.float64))


def topsis(matrix: FloatArray, weights: Sequence[float] | FloatArray) -> FloatArray:
    """Return the closeness of each row to the ideal, 0..1; equal rows all get 0.5."""
    m = np.asarray(matrix, dtype=np.float64)
    w = np.asarray(weights, dtype=np.float64)
    if m.ndim != 2 or m.shape[1] != w.shape[0] or not np.isfinite(m).all() or (w < 0).any():
        raise ExitError(
            Issue(
                "EX208",
                "matrix",
                f"matrix {m.shape} does not fit {w.shape[0]} weights",
                "give finite numbers, one column per weight, weights of 0 or more",
            )
        )
    norm = np.sqrt((m * m).sum(axis=0))
    scaled = m / np.where(norm > 0, norm, 1.0) * w
    to_best = np.sqrt(((scaled - scaled.max(axis=0)) ** 2).sum(axis=1))
    to_worst = np.sqrt(((scaled - scaled.min(axis=0)) ** 2).sum(axis=1))
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
    groups = group_matrix(criteria, fits)
    w = np.asarray(weights, dtype=np.float64)
    leaf_weights = w[list(criteria.group_of)] * np.asarray(criteria.local_weights)
    return Scores(
        tuple(options),
        fits,
        groups,
        weighted_sum(groups, w),
        topsis(groups, w),
        fits * leaf_weights,
    )
