"""Scores of class probabilities: log-loss, Brier, calibration error, AUC, AP, precision at 100.

All take row weights, so that a bootstrap is one pass over integer counts. Definitions as in
scikit-learn where it has one; Brier is the sum over classes; the calibration error is the mean over
classes of the sum over 15 quantile bins of bin share x |mean probability - observed rate|.
Intervals are percentiles of the resamples shifted by their bias (Efron 1982): resampling alone
raises a calibration error. NumPy only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn.exit_strategy.records import dataclass

__all__ = ["BINS", "Evaluation", "bootstrap_difference", "evaluate_probabilities"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Quantile bins of the calibration error.
BINS = 15


class _Ranking:
    """One class's probabilities sorted from high to low, ties grouped."""

    def __init__(self, p: FloatArray, hit: FloatArray) -> None:
        self.order = np.argsort(-p, kind="stable")
        self.p, self.hit = p[self.order], hit[self.order]
        self.starts = np.flatnonzero(np.r_[True, np.diff(self.p) != 0])

    def groups(self, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(hits, rows) of every group of equal probabilities."""
        w = weight[self.order]
        return np.add.reduceat(w * self.hit, self.starts), np.add.reduceat(w, self.starts)

    def auc(self, weight: FloatArray) -> float:
        hits, rows = self.groups(weight)
        misses = rows - hits
        below = misses.sum() - np.cumsum(misses)
        total = hits.sum() * misses.sum()
        return float((hits * (below + 0.5 * misses)).sum() / total) if total > 0 else float("nan")

    def ap(self, weight: FloatArray) -> float:
        hits, rows = self.groups(weight)
        seen = np.cumsum(rows)
        precision = np.divide(np.cumsum(hits), seen, out=np.zeros_like(seen), where=seen > 0)
        total = hits.sum()
        return float((precision * hits).sum() / total) if total > 0 else float("nan")

    def precision_at(self, n: int, weight: FloatArray) -> float:
        w = weight[self.order]
        taken = np.minimum(w, np.maximum(0.0, n - (np.cumsum(w) - w)))
        return float((taken * self.hit).sum() / taken.sum())

    def calibration(self, weight: FloatArray) -> float:
        """Calibration error over quantile bins of the weighted rows."""
        w = weight[self.order]
        middle = (np.cumsum(w) - 0.5 * w) / w.sum()
        bins = np.minimum((middle * BINS).astype(np.int64), BINS - 1)
        gap = np.bincount(bins, w * (self.p - self.hit), BINS)
        return float(np.abs(gap).sum() / w.sum())


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores and 95 % bootstrap intervals under the same keys."""

    values: dict[str, Any]
    intervals: dict[str, Any]
    rows: int

    def as_json(self) -> dict[str, Any]:
        """The scores at the top, their intervals under `intervals`."""
        return {**self.values, "intervals": self.intervals, "rows": self.rows}


def _scorer(p: FloatArray, y: IntArray, names: tuple[str, ...]) -> Callable[[FloatArray], Any]:
    k = p.shape[1]
    one = np.eye(k)[y]
    # scikit-learn clips at the resolution of the type; so do we.
    eps = np.finfo(np.float64).eps
    loss = -np.log(np.clip(p[np.arange(len(y)), y], eps, 1.0))
    square = ((p - one) ** 2).sum(1)
    ranks = [_Ranking(p[:, i], one[:, i]) for i in range(k)]

    def score(w: FloatArray) -> dict[str, Any]:
        total = w.sum()
        per = {"auc": {}, "ap": {}, "precision_at_100": {}}  # type: dict[str, dict[str, float]]
        for i, name in enumerate(names):
            if i > 0:  # class 0 is the absence of an exit
                per["auc"][name] = ranks[i].auc(w)
                per["ap"][name] = ranks[i].ap(w)
                per["precision_at_100"][name] = ranks[i].precision_at(100, w)
        return {
            "log_loss": float((w * loss).sum() / total),
            "brier": float((w * square).sum() / total),
            "ece": float(np.mean([r.calibration(w) for r in ranks])),
            **per,
        }

    return score


def evaluate_probabilities(
    p: FloatArray,
    y: IntArray,
    names: tuple[str, ...],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Score probabilities (rows, classes) against class indices, with 95 % bootstrap intervals."""
    score = _scorer(p, y, names)
    values = score(np.ones(len(y)))
    rng = np.random.default_rng(seed)
    found = [score(_counts(rng, len(y))) for _ in range(resamples)]
    return Evaluation(values, _spread(values, found, least=0.0), len(y))


def bootstrap_difference(
    p: FloatArray,
    q: FloatArray,
    y: IntArray,
    names: tuple[str, ...],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Scores of `p` minus scores of `q` on the same resamples: value and 95 % interval each."""
    a, b = _scorer(p, y, names), _scorer(q, y, names)
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(resamples):
        w = _counts(rng, len(y))
        found.append(_minus(a(w), b(w)))
    ones = np.ones(len(y))
    values = _minus(a(ones), b(ones))
    return {"difference": values, "intervals": _spread(values, found)}


def _counts(rng: np.random.Generator, n: int) -> FloatArray:
    return np.bincount(rng.integers(0, n, n), minlength=n).astype(np.float64)


def _minus(a: Any, b: Any) -> Any:
    return {k: _minus(a[k], b[k]) for k in a} if isinstance(a, dict) else a - b


def _spread(values: Any, found: list[Any], least: float = -np.inf) -> Any:
    if isinstance(values, dict):
        return {k: _spread(values[k], [f[k] for f in found], least) for k in values}
    numbers = np.array(found)
    numbers = numbers[~np.isnan(numbers)]
    if len(numbers) == 0:
        return [float("nan"), float("nan")]
    shift = values - float(numbers.mean())
    return [max(least, float(x) + shift) for x in np.quantile(numbers, (0.025, 0.975))]
