"""From a profile to leaves: the fact behind each criterion, and how sure it is.

A known fact gets the user's distribution or the default spread; an unknown one gets the prior of
its stage group and is listed. Amounts are turned into US dollars where the curve is in dollars.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fastnn.exit_strategy.contracts import Distribution
from fastnn.exit_strategy.criteria import Criteria
from fastnn.exit_strategy.gates.hard import runway_months
from fastnn.exit_strategy.notes import Note
from fastnn.exit_strategy.profile.profile import Profile
from fastnn.exit_strategy.reading.parse import MarketReading
from fastnn.exit_strategy.records import dataclass
from fastnn.exit_strategy.resources import cached, load_json

__all__ = ["LEAF_FIELDS", "LeafFact", "read_leaves", "stage_group"]

#: Leaf -> the profile field that feeds it (the first one, where several do).
LEAF_FIELDS: dict[str, str] = {
    "revenue_ttm": "revenue_ttm", "growth_yoy": "growth_yoy", "ebitda_margin": "ebitda_margin",
    "ipo_readiness": "controls.ipo_readiness", "ipo_window": "market.ipo_window",
    "ma_activity": "market.ma_activity", "sector_multiple_pct": "market.sector_multiple_pct",
    "competition": "market.competition", "need_ratio": "need_24m", "need_24m": "need_24m",
    "runway_months": "monthly_burn", "private_access": "market.private_access",
    "tech_strength": "tech.strength", "moat": "tech.moat", "compute_share": "compute_cost_share",
    "team_depth": "tech.team_depth", "technical_vision": "founder.technical_vision",
    "business_acumen": "founder.business_acumen", "leadership": "founder.leadership",
    "intent_to_stay": "founder.intent_to_stay", "data_security": "controls.data_security",
    "explain_fair": "controls.explain_fair", "reg_exposure": "reg_exposure",
    "top_customer": "top_customer_share",
}  # fmt: skip

_DOLLARS = ("revenue_ttm", "need_24m")
_MAX_RATIO = 100.0  # need against no money at all; the curve is flat from 4 on
_MIN_DOLLARS = 1.0  # a log curve needs a positive number; it is flat below its first point


@dataclass(frozen=True, slots=True)
class LeafFact:
    """One leaf's value in its own unit, its distribution, and where it came from."""

    id: str
    value: float
    known: bool
    distribution: Distribution
    field: str
    source: str


def stage_group(profile: Profile) -> str:
    """Return the stage group (seed, early, growth, late) by revenue in US dollars."""
    revenue = profile.usd(profile.revenue_ttm)
    for name, limit in load_json("spreads.json")["stage_groups"]:
        if limit is None or revenue < limit:
            return str(name)
    raise AssertionError("the last stage group has no limit")


def read_leaves(profile: Profile, criteria: Criteria) -> tuple[dict[str, LeafFact], list[Note]]:
    """Return leaf -> fact for every leaf that is not computed, and warnings."""
    table = load_json("spreads.json")
    stage = stage_group(profile)
    warnings: list[Note] = []
    out: dict[str, LeafFact] = {}
    for leaf in criteria.leaves:
        if leaf.computed:
            continue
        path = LEAF_FIELDS.get(leaf.id, leaf.id)
        stated = profile.uncertainty.get(path)
        value, widen = _value_of(profile, leaf.id, path, table, warnings)
        if stated is not None and leaf.id != "runway_months":
            spread = _scaled(profile, leaf.id, stated)
            out[leaf.id] = LeafFact(
                leaf.id,
                value if value is not None else centre_of(spread),
                True,
                spread,
                path,
                "stated distribution",
            )
        elif value is None:
            out[leaf.id] = _unknown_fact(leaf.id, stage)
        else:
            spread = _spread(leaf.id, value, widen, table)
            out[leaf.id] = LeafFact(leaf.id, value, True, spread, path, "profile")
    if _is_self(profile["founder.assessor"]) and profile["founder.leadership"] is not None:
        warnings.append(Note("self_rated"))
    return out, warnings


def _value_of(
    profile: Profile, leaf: str, path: str, table: Mapping[str, Any], warnings: list[Note]
) -> tuple[float | None, float]:
    """Return the leaf's value (None = unknown) and the factor that widens its spread."""
    if leaf == "runway_months":
        return runway_months(profile), 1.0
    if leaf == "need_ratio":
        funds = profile.cash + (profile.committed_funds or 0.0)
        need = profile.need_24m
        if funds > 0:
            return min(_MAX_RATIO, need / funds), 1.0
        return (_MAX_RATIO if need > 0 else 0.0), 1.0
    raw = profile.values.get(path)
    if raw is None:
        return None, 1.0
    if leaf in _DOLLARS:
        return max(_MIN_DOLLARS, profile.usd(raw)), 1.0
    if isinstance(raw, MarketReading):
        return _market(profile, leaf, raw, table, warnings)
    if isinstance(raw, Mapping):
        return _checklist(raw, table)
    if path.startswith("founder.") and _is_self(profile["founder.assessor"]):
        return float(raw), float(table["widen"]["self_rated"])
    return float(raw), 1.0


def _is_self(assessor: str | None) -> bool:
    return assessor is None or assessor.strip().lower() in ("self", "founder", "自评", "本人")


def _market(
    profile: Profile,
    leaf: str,
    reading: MarketReading,
    table: Mapping[str, Any],
    warnings: list[Note],
) -> tuple[float | None, float]:
    day = reading.date or profile["market.date"]
    limit = int(table["market_max_age_days"])
    if day is None:
        warnings.append(Note("market_no_date", {"leaf": leaf}))
    elif (profile.as_of - day).days > limit:
        warnings.append(
            Note("market_old", {"leaf": leaf, "day": day.isoformat(), "limit": str(limit)})
        )
    else:
        return reading.value, 1.0
    return reading.value, float(table["widen"]["stale_market"])


def _checklist(items: Mapping[str, str], table: Mapping[str, Any]) -> tuple[float | None, float]:
    yes = sum(answer == "yes" for answer in items.values())
    unknown = sum(answer == "unknown" for answer in items.values())
    if unknown == len(items):
        return None, 1.0
    share = unknown / len(items)
    base = float(table["default"]["sd"])
    widen = 1.0 + float(table["widen"]["unknown_checklist_items"]) * share / base
    return (yes + 0.5 * unknown) / len(items), widen


#: Leaves whose values are not between 0 and 1.
_WIDE = {
    "revenue_ttm": (_MIN_DOLLARS, math.inf), "need_24m": (_MIN_DOLLARS, math.inf),
    "growth_yoy": (-1.0, 20.0), "ebitda_margin": (-10.0, 1.0),
    "need_ratio": (0.0, _MAX_RATIO), "runway_months": (0.0, 120.0),
}  # fmt: skip


def _bounds(leaf: str) -> tuple[float, float]:
    return _WIDE.get(leaf, (0.0, 1.0))


def _spread(leaf: str, value: float, widen: float, table: Mapping[str, Any]) -> Distribution:
    row = table["leaf"].get(leaf, table["default"])
    low, high = _bounds(leaf)
    if row["kind"] == "lognormal" and value > 0:
        return Distribution("lognormal", (value, float(row["sigma"]) * widen), low, high)
    if row["kind"] == "lognormal":
        return Distribution("fixed", (value,), low, high)
    sd = (float(row["sd"]) + float(row.get("relative", 0.0)) * abs(value)) * widen
    return Distribution("normal", (value, sd), low, high)


@cached(maxsize=1024)
def _unknown_fact(leaf: str, stage: str) -> LeafFact:
    """A leaf that nobody knows: the prior of its stage group."""
    table = load_json("spreads.json")
    rows = table["prior"].get(leaf)
    row = rows[stage] if rows else table["prior_default"]
    low, high = _bounds(leaf)
    prior = Distribution(row["kind"], tuple(map(float, row["params"])), low, high)
    path = LEAF_FIELDS.get(leaf, leaf)
    name = str((rows or row)["name"])
    return LeafFact(leaf, centre_of(prior), False, prior, path, name)


def _scaled(profile: Profile, leaf: str, stated: Distribution) -> Distribution:
    """Return the user's distribution in the leaf's unit (dollars, or per unit of funds)."""
    low, high = _bounds(leaf)
    if leaf in _DOLLARS:
        factor = profile.usd(1.0)
    elif leaf == "need_ratio":
        funds = profile.cash + (profile.committed_funds or 0.0)
        factor = 1.0 / funds if funds > 0 else 0.0
    else:
        return replace(stated, low=low, high=high)
    if stated.kind == "beta":
        return Distribution("beta", stated.params, 0.0, stated.high * factor)
    if stated.kind == "lognormal" and factor > 0:
        params: tuple[float, ...] = (stated.params[0] * factor, stated.params[1])
        return Distribution("lognormal", params, low, high)
    if factor == 0:
        return Distribution("fixed", (_MAX_RATIO,), low, high)
    return Distribution(stated.kind, tuple(p * factor for p in stated.params), low, high)


def centre_of(spread: Distribution) -> float:
    """Return the mean of a distribution (the median of a lognormal), clipped to its bounds."""
    p = spread.params
    if spread.kind == "beta":
        low, high = max(spread.low, 0.0), spread.high if math.isfinite(spread.high) else 1.0
        return low + (high - low) * p[0] / (p[0] + p[1])
    centre = {
        "fixed": lambda: p[0],
        "normal": lambda: p[0],
        "lognormal": lambda: p[0],
        "uniform": lambda: (p[0] + p[1]) / 2,
        "triangular": lambda: sum(p) / 3,
        "pert": lambda: (p[0] + 4 * p[1] + p[2]) / 6,
    }[spread.kind]()
    return float(min(max(centre, spread.low), spread.high))
