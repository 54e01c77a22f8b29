"""From draws and scores to a ranking and a recommendation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastnn.exit_strategy.contracts import Simulation
from fastnn.exit_strategy.criteria import Criteria, Weights
from fastnn.exit_strategy.gates.results import GateReport

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

__all__ = ["methods_agree", "rank_rows", "recommend"]


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
    agree: bool,
) -> Recommendation:
    """Apply the rule of recommendation: sure enough, far enough, both methods agree.

    `agree` is what `methods_agree` says of the company.
    """
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


def methods_agree(
    scores: Sequence[Scores], opens: Sequence[Sequence[bool]], weights: Weights
) -> list[bool]:
    """Whether weighted sum and TOPSIS put the same open option first (ties agree), by company."""
    out = [True] * len(scores)
    alike: dict[tuple[int, ...], list[int]] = {}  # companies by the options that are open to them
    for k, marks in enumerate(opens):
        free = tuple(i for i, is_open in enumerate(marks) if is_open)
        if len(free) > 1:
            alike.setdefault(free, []).append(k)
    for free, members in alike.items():
        at = list(free)
        sums = np.stack([scores[k].wsm[at] for k in members])
        close = topsis(np.stack([scores[k].groups[at] for k in members]), weights.values)
        first = sums >= sums.max(axis=1, keepdims=True) - 1e-12
        nearest = close >= close.max(axis=1, keepdims=True) - 1e-12
        for k, both in zip(members, (first & nearest).any(axis=1).tolist(), strict=True):
            out[k] = both
    return out
