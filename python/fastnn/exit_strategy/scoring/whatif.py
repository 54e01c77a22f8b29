"""What if: other discount rates, dearer compute, technology that ages. Computed for a report.

A scenario changes a few facts of the company, keeps everything else, and scores at the stated
values; nothing is sampled. The two scenarios are risks that the articles name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from fastnn.exit_strategy.money.outcomes import proceeds
from fastnn.exit_strategy.profile.profile import Profile
from fastnn.exit_strategy.records import dataclass

from .judging import Frame, judge
from .record import Record

__all__ = ["RATE_STEP", "Scenario", "rate_values", "scenarios"]

#: Distance of the other discount rates from the founders' own.
RATE_STEP = 0.10

_COMPUTE = 0.5  # change of the price of compute
_AGING = 0.5  # what one half-life leaves of a technical lead


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario: score of every option, and which open one is first."""

    name: str
    scores: Mapping[str, float]
    first: str


def rate_values(result: Record) -> dict[float, dict[str, float]]:
    """Founders' value today per option, at the founders' rate and 10 points to either side."""
    company, a = result.profile, result.profile.assumptions
    rates = sorted({max(0.0, a.discount_rate + k * RATE_STEP) for k in (-1, 0, 1)})
    out = {}
    for rate in rates:
        terms = replace(a, discount_rate=rate)
        money = proceeds(company, company.cap_table, terms, result.options, brief=True)
        out[rate] = {o: money.options[o].founder_npv[1] for o in result.options}
    return out


def scenarios(result: Record) -> tuple[Scenario, ...]:
    """Score the company as it is, with compute half as dear and dearer, and after a half-life.

    Only scenarios whose facts are known are told.
    """
    made = [Scenario("now", _scores_now(result), _first(result, _scores_now(result)))]
    changes: dict[str, Callable[[Profile], dict[str, Any]]] = {
        "compute_up": lambda company: _compute(company, 1.0 + _COMPUTE),
        "compute_down": lambda company: _compute(company, 1.0 - _COMPUTE),
        "half_life": _half_life,
    }
    for name, change in changes.items():
        facts = change(result.profile)
        if facts:
            values = MappingProxyType({**result.profile.values, **facts})
            scores = _scores(result, replace(result.profile, values=values))
            made.append(Scenario(name, scores, _first(result, scores)))
    return tuple(made)


def _compute(company: Profile, factor: float) -> dict[str, Any]:
    """Facts when rented compute costs `factor` times as much; revenue stays."""
    share = company.compute_cost_share
    if share is None:
        return {}
    cost = max(0.0, company.monthly_burn + company.revenue_ttm / 12.0)
    rise = share * (factor - 1.0)
    facts: dict[str, Any] = {
        "compute_cost_share": share * factor / (1.0 + rise),
        "monthly_burn": company.monthly_burn + cost * rise,
    }
    if company.ebitda_margin is not None:
        facts["ebitda_margin"] = max(
            -10.0, company.ebitda_margin - (1 - company.ebitda_margin) * rise
        )
    return facts


def _half_life(company: Profile) -> dict[str, Any]:
    known = {path: company[path] for path in ("tech.strength", "tech.moat")}
    return {path: value * _AGING for path, value in known.items() if value is not None}


def _scores(result: Record, company: Profile) -> dict[str, float]:
    frame = Frame(result.criteria, result.options, tuple(result.weights.values()), result.gate_data)
    made = judge(company, frame, base=result.base)
    return dict(zip(result.options, map(float, made.scores.wsm), strict=True))


def _scores_now(result: Record) -> dict[str, float]:
    return dict(zip(result.scores.options, map(float, result.scores.wsm), strict=True))


def _first(result: Record, scores: Mapping[str, float]) -> str:
    """The best option among those that are open today."""
    free = [row.option for row in result.ranking if row.open] or list(scores)
    return max(free, key=lambda option: scores[option])
