"""Chance that an option completes: base rate or model, times gates, times readiness.

All three numbers are kept so that a report can show them. Base rates are unconditional 26-month
frequencies of US start-ups, so they are low for everybody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastnn.exit_strategy.contracts import ExitModel, ModelProbabilities
from fastnn.exit_strategy.gates.hard import runway_months
from fastnn.exit_strategy.gates.results import GateReport
from fastnn.exit_strategy.profile.profile import Profile
from fastnn.exit_strategy.records import dataclass
from fastnn.exit_strategy.resources import load_json

from .base_rates import base_rates
from .leaves import LeafFact

__all__ = ["BaseRate", "Completion", "base_of", "complete"]


@dataclass(frozen=True, slots=True)
class BaseRate:
    """The learned or tabulated probabilities, and why one or the other was used."""

    probabilities: ModelProbabilities
    in_hull: bool
    outside: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Completion:
    """p_complete of one option with the three numbers it is made of."""

    option: str
    base: float
    gate_factor: float
    readiness_factor: float
    value: float
    source: str


def base_of(profile: Profile, model: ExitModel | None) -> BaseRate:
    """Return the model's probabilities inside its hull, else base rates."""
    if model is None:
        return BaseRate(base_rates(profile), True, ())
    hull = model.in_hull(profile)
    chosen = model.probabilities(profile) if hull.inside else base_rates(profile)
    return BaseRate(chosen, hull.inside, hull.outside)


def complete(
    profile: Profile,
    options: Sequence[str],
    leaves: Mapping[str, LeafFact],
    report: GateReport,
    base: BaseRate,
) -> dict[str, Completion]:
    """Return option -> completion; the value is capped to the range in `data/spreads.json`."""
    rules = load_json("spreads.json")["completion"]
    low, high = map(float, rules["cap"])
    out: dict[str, Completion] = {}
    for option in (*options, *(("ipo", "ma") if "dual_track" in options else ())):
        if option in out or option == "dual_track":
            continue
        rate, source = _base(option, base, rules)
        gate, ready = _gate_factor(option, report), _readiness(option, profile, leaves)
        value = min(high, max(low, rate * gate * ready))
        out[option] = Completion(option, rate, gate, ready, value, source)
    if "dual_track" in options:
        a, b = out["ipo"], out["ma"]
        rate = 1 - (1 - a.base) * (1 - b.base)
        value = 1 - (1 - a.value) * (1 - b.value)
        factor = value / rate if rate > 0 else 0.0
        out["dual_track"] = Completion(
            "dual_track", rate, factor, 1.0, min(high, value), "either of ipo and ma completes"
        )
    return {option: out[option] for option in options}


def _base(option: str, base: BaseRate, rules: Mapping[str, Any]) -> tuple[float, str]:
    if option == "ipo":
        return base.probabilities.ipo, base.probabilities.source
    if option == "ma":
        return base.probabilities.acquired, base.probabilities.source
    row = rules["base"][option]
    return float(row["value"]), str(row["source"])


def _gate_factor(option: str, report: GateReport) -> float:
    factor = 1.0
    for gate in report.of(option):
        factor *= 0.0 if gate.state == "fail" else gate.prior
    for item in report.regulatory:
        if option in item.options:
            factor *= item.factor
    return factor


def _readiness(option: str, profile: Profile, leaves: Mapping[str, LeafFact]) -> float:
    """Return how ready the company is, 0.2 to 1; each rises with what a counterparty checks."""

    def at(leaf: str) -> float:
        return leaves[leaf].value if leaf in leaves else 0.5

    if option == "ipo":
        return float(np.interp(at("ipo_readiness"), (0.0, 0.7, 1.0), (0.2, 0.9, 1.0)))
    if option == "wind_down":
        return 1.0
    if option in ("ma", "license_hire", "mbo", "esop"):
        audited = min(profile.audited_years, 2) / 2
        return 0.6 + 0.2 * float(audited) + 0.2 * at("data_security")
    if option in ("private_round", "secondary", "minority"):
        return 0.3 + 0.7 * at("private_access")
    return float(np.interp(runway_months(profile), (0.0, 6.0, 18.0), (0.2, 0.5, 1.0)))
