"""Why the ranking is as it is: contributions, differences, flip distances.

A weighted sum explains itself: the contribution of a leaf is its weight times its fit, and the
contributions of an option add up to its score exactly. Flip distances are exact too: scores are
linear in a group's weight and piecewise linear in a fact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from fastnn.ensemble import KINDS, quantiles
from fastnn.exit_strategy.criteria import Criteria, Criterion
from fastnn.exit_strategy.records import dataclass

from .leaves import LeafFact
from .scores import Scores
from .uncertainty import marginal

__all__ = ["Difference", "Flip", "differences", "find_flips"]

#: What may well happen: quantiles of a distribution, and a share of a curve's range.
_PLAUSIBLE, _STEP = (0.01, 0.99), 0.25

#: More than rounding makes of a difference of fits.
_HAIR = 1e-12


@dataclass(frozen=True, slots=True)
class Difference:
    """How much one leaf adds to the leader's score beyond the runner-up's."""

    leaf: str
    group: str
    value: float | None  # the fact, None for a computed leaf
    difference: float


@dataclass(frozen=True, slots=True)
class Flip:
    """A single change that brings another option to first place."""

    kind: str  # "weight" | "input"
    name: str
    now: float
    then: float
    distance: float  # in weight, or as a share of the curve's x range
    new_first: str
    plausible: bool = True  # whether a weight or fact may well move as far


def differences(
    criteria: Criteria,
    scores: Scores,
    leader: int,
    other: int,
    leaves: Mapping[str, LeafFact],
) -> tuple[Difference, ...]:
    """Return leaf differences leader minus other, largest first; they sum to the score lead."""
    gap = scores.contributions[leader] - scores.contributions[other]
    rows = [
        Difference(
            leaf.id, leaf.group, None if leaf.computed else leaves[leaf.id].value, float(gap[k])
        )
        for k, leaf in enumerate(criteria.leaves)
    ]
    return tuple(sorted(rows, key=lambda row: -row.difference))


def find_flips(
    criteria: Criteria,
    scores: Scores,
    weights: Sequence[float],
    leaves: Mapping[str, LeafFact],
    open_rows: Sequence[int],
    kappa: float = 60.0,
) -> tuple[Flip, ...]:
    """Return the nearest weight change and the nearest input change per leaf, nearest first.

    Only the stated facts are moved, one at a time, by the weighted sum; computed leaves stay.
    A weight moves plausibly inside its middle 98 % under Dirichlet(kappa * weights); a fact inside
    the middle 98 % of its own distribution, or by up to a quarter of its curve's range.
    """
    if len(open_rows) < 2:
        return ()
    leader = max(open_rows, key=lambda row: float(scores.wsm[row]))
    rivals = [row for row in open_rows if row != leader]
    flips = _weight_flips(criteria, scores, weights, leader, rivals, kappa)
    for column, leaf in enumerate(criteria.leaves):
        if not leaf.computed:
            found = _input_flip(criteria, scores, weights, leaves, leader, rivals, column)
            if found is not None:
                may = _fact_may(found, leaf, leaves[leaf.id])
                flips.append(replace(found, plausible=may))
    return tuple(sorted(flips, key=lambda flip: flip.distance))


def _weight_flips(
    criteria: Criteria,
    scores: Scores,
    weights: Sequence[float],
    leader: int,
    rivals: Sequence[int],
    kappa: float,
) -> list[Flip]:
    """Move one group weight, the others scaled to keep the sum: the score gap is linear in it."""
    w = np.asarray(weights, dtype=np.float64)
    total = float(w.sum())
    out: list[Flip] = []
    for g, name in enumerate(criteria.groups):
        best: Flip | None = None
        for rival in rivals:
            gap = scores.groups[leader] - scores.groups[rival]
            others = total - w[g]
            if others <= 0:
                continue
            rest = float((w @ gap - w[g] * gap[g]) / others)
            if gap[g] == rest:
                continue
            at = total * rest / (rest - float(gap[g]))
            if 0 <= at <= total and (best is None or abs(at - w[g]) < best.distance):
                best = Flip(
                    "weight", name, float(w[g]), at, abs(at - float(w[g])), scores.options[rival]
                )
        if best is not None:
            out.append(replace(best, plausible=_weight_may(best, total, kappa)))
    return out


def _weight_may(flip: Flip, total: float, kappa: float) -> bool:
    """Whether a group weight may be drawn as far: its share of all weight is a Beta variable."""
    share = flip.now / total
    if not kappa or not 0 < share < 1:
        return not kappa
    row = (KINDS.index("beta"), kappa * share, kappa * (1 - share), 0.0, 0.0, 1.0)
    low, high = quantiles(row, _PLAUSIBLE)
    return bool(low <= flip.then / total <= high)


def _fact_may(flip: Flip, leaf: Criterion, fact: LeafFact) -> bool:
    if flip.distance <= _STEP:
        return True
    low, high = quantiles(marginal(fact.distribution, leaf.id, leaf.curve(())), _PLAUSIBLE)
    return bool(low <= flip.then <= high)


def _input_flip(
    criteria: Criteria,
    scores: Scores,
    weights: Sequence[float],
    leaves: Mapping[str, LeafFact],
    leader: int,
    rivals: Sequence[int],
    column: int,
) -> Flip | None:
    leaf = criteria.leaves[column]
    weight = weights[criteria.group_of[column]] * criteria.local_weights[column]
    if not weight:
        return None
    now = leaves[leaf.id].value
    at = float(np.log10(max(now, 1e-300))) if leaf.log else now
    at = min(max(at, leaf.grid[0]), leaf.grid[-1])
    a = scores.options[leader]
    own, first = leaf.fits[a], leaf.fit(a, now)
    best: Flip | None = None
    for rival in rivals:
        b = scores.options[rival]
        gap = [x - y for x, y in zip(own, leaf.fits[b], strict=True)]
        here = first - leaf.fit(b, now)
        target = here - float(scores.wsm[leader] - scores.wsm[rival]) / weight
        found = _nearest_crossing(leaf, gap, at, target)
        if found is not None and (best is None or found[1] < best.distance):
            best = Flip("input", leaf.id, now, found[0], found[1], b)
    return best


def _nearest_crossing(
    leaf: Criterion, gap: Sequence[float], at: float, target: float
) -> tuple[float, float] | None:
    """Return the x nearest to `at` where the gap of two curves reaches `target`, and how far.

    `at` is on the curve's own grid.
    """
    xs = leaf.grid
    if not min(gap) - _HAIR <= target <= max(gap) + _HAIR:  # most facts cannot turn the ranking
        return None
    span = xs[-1] - xs[0]
    best: tuple[float, float] | None = None
    for k in range(len(xs) - 1):
        rise = gap[k + 1] - gap[k]
        if rise == 0:
            continue
        share = (target - gap[k]) / rise
        if 0 <= share <= 1:
            x = xs[k] + share * (xs[k + 1] - xs[k])
            distance = abs(x - at) / span
            if best is None or distance < best[1]:
                best = (10**x if leaf.log else x, distance)
    return best
