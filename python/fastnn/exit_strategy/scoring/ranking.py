"""From draws and scores to a ranking and a recommendation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastnn.exit_strategy.contracts import Simulation
from fastnn.exit_strategy.criteria import Criteria, Weights
from fastnn.exit_strategy.gates.judge import GateReport

from .record import (
    MAX_UNKNOWN,
    MIN_LEAD,
    MIN_P_FIRST,
    SURE_P_FIRST,
    SURE_UNKNOWN,
    Rank,
    Recommendation,
    TornadoBar,
)
from .scores import Scores, topsis

__all__ = ["rank_rows", "recommend"]


def rank_rows(sim: Simulation, scores: Scores, report: GateReport) -> tuple[Rank, ...]:
    """Return the ranking: open options first, by first-place chance, then by mean score."""
    rows = [
        Rank(
            option,
            float(sim.p_first[k]),
            float(sim.score_mean[k]),
            float(sim.score_p05[k]),
            float(sim.score_p95[k]),
            report.is_open(option),
            float(sim.mc_error[k]),
            float(scores.wsm[k]),
            float(scores.topsis[k]),
        )
        for k, option in enumerate(sim.options)
    ]
    # chances that differ by less than a hundredth are even; the mean score orders those
    return tuple(
        sorted(rows, key=lambda row: (not row.open, -round(row.p_first, 2), -row.score_mean))
    )


def recommend(
    criteria: Criteria,
    weights: Weights,
    ranking: Sequence[Rank],
    scores: Scores,
    unknown: Sequence[str],
    bars: Sequence[TornadoBar],
) -> Recommendation:
    """Apply the recommendation rule of section 6.4: sure enough, far enough, both methods agree."""
    total = sum(weights.values)
    share = sum(
        weights.values[group] * local
        for leaf, group, local in zip(
            criteria.leaves, criteria.group_of, criteria.local_weights, strict=True
        )
        if leaf.id in unknown
    )
    unknown_weight = share / total if total else 1.0
    rows = [row for row in ranking if row.open]
    pair = tuple(row.option for row in rows[:2])
    rivals = [row.score_mean for row in rows[1:]]
    lead = rows[0].score_mean - max(rivals) if rivals else 1.0
    agree = _methods_agree(rows, scores, weights)
    swings = [bar.leaf for bar in bars if abs(bar.swing) > 0]
    settle = tuple(dict.fromkeys([*(n for n in swings if n in unknown), *swings]))[:5]
    p_first = rows[0].p_first if rows else 0.0
    if not rows:
        answer = "none_open"
    elif unknown_weight > (SURE_UNKNOWN if p_first >= SURE_P_FIRST else MAX_UNKNOWN):
        answer = "insufficient_information"
    elif p_first >= MIN_P_FIRST and lead >= MIN_LEAD and agree:
        answer = rows[0].option
    else:
        answer = "near_tie"
    return Recommendation(answer, pair, p_first, lead, agree, unknown_weight, settle)


def _methods_agree(rows: Sequence[Rank], scores: Scores, weights: Weights) -> bool:
    """Return whether weighted sum and TOPSIS put the same open option first (ties agree)."""
    if len(rows) < 2:
        return True
    at = [scores.options.index(row.option) for row in rows]
    wsm = scores.wsm[at]
    close = topsis(scores.groups[at], weights.values)
    best_wsm = set(np.flatnonzero(wsm >= wsm.max() - 1e-12).tolist())
    best_close = set(np.flatnonzero(close >= close.max() - 1e-12).tolist())
    return bool(best_wsm & best_close)
