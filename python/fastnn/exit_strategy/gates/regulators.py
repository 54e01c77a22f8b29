"""Regulators: does a gate apply to a company, and what does it add.

They add months and risk, never a veto.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from fastnn.exit_strategy.profile.profile import Profile

from .data import Gates, flags_of
from .results import RegulatoryResult
from .windows import OPERATORS

__all__ = ["answered", "is_met", "judge_regulators"]


def judge_regulators(profile: Profile, gates: Gates, on: dt.date) -> tuple[RegulatoryResult, ...]:
    """Return every regulatory gate that may concern a company."""
    rules = gates.rules["regulatory"]
    made = (_judge_regulator(profile, gate, rules, on) for gate in gates.regulatory)
    return tuple(result for result in made if result is not None)


def _judge_regulator(
    profile: Profile, gate: Mapping[str, Any], rules: Mapping[str, Any], on: dt.date
) -> RegulatoryResult | None:
    rule = rules.get(gate["id"], {})
    state = _regulator_state(profile, gate, rule)
    if state == "not" and not gate.get("tests"):
        return None
    effect = str(gate.get("effect") or "")
    for test in gate.get("tests") or ():
        if state != "not" and is_met(profile, test) is not False:
            effect = f"{effect}; {test['then']}" if effect else str(test["then"])
    applies = state == "applies"
    half = 0.5 if state == "unknown" else float(applies)
    factor = 1.0 - (1.0 - float(rule.get("factor", 1.0))) * half
    return RegulatoryResult(
        gate["id"],
        gate["rule"],
        gate["jurisdiction"],
        tuple(gate["applies_to"]),
        state,
        effect,
        float(rule.get("months", 0)) * half,
        factor,
        gate["source"],
        gate["checked"],
        gate["confidence"],
        tuple(flag.note for flag in flags_of(gate, on)),
        gate.get("read", gate["checked"]),
    )


def _regulator_state(profile: Profile, gate: Mapping[str, Any], rule: Mapping[str, Any]) -> str:
    """Return applies, not, unknown, or note (market practice, always shown)."""
    if rule.get("countries") and profile.country not in rule["countries"]:
        return "not"
    if rule.get("sectors") and profile.sector not in rule["sectors"]:
        return "not"
    if rule.get("classes"):
        if profile.ai_act_class is None:
            return "unknown"
        return "applies" if profile.ai_act_class in rule["classes"] else "not"
    states = []
    needs = rule.get("needs", ())
    for name in (needs,) if isinstance(needs, str) else needs:
        states.append(answered(profile, name))
    tests = [is_met(profile, test) for test in gate.get("tests") or ()]
    if tests:
        states.append(True if True in tests else (None if None in tests else False))
    if not states:
        return "note" if not rule.get("countries") else "applies"
    if False in states:
        return "not"
    return "unknown" if None in states else "applies"


def answered(profile: Profile, name: str) -> bool | None:
    """Return an answer of the section `deal`; operations in China follow from the country."""
    if name == "operations_in_china" and profile.country == "CN":
        return True
    known = {"yes": True, "no": False}.get(profile[f"deal.{name}"] or "unknown")
    if known is None and name == "operations_in_china":
        return None if profile.country in ("HK", "MO") else False
    return known


def is_met(profile: Profile, test: Mapping[str, Any]) -> bool | None:
    """Return whether a regulatory test is met, None when the profile does not say."""
    name = test["field"]
    value: Any
    if name == "transaction_value_usd":
        value = profile.usd(profile.valuation.mid)
    elif name == "principal_operations_in_china":
        value = answered(profile, "operations_in_china")
    elif name == "acquirer_stake":
        stake = profile["deal.acquirer_stake"]
        value = 1.0 if stake is None else stake
    elif name == "turnover":
        # all turnover bounds that in one place, and the buyer's counts as well: below the threshold
        # the rule does not apply, above it nobody knows
        bound = profile.revenue_ttm
        limit = profile.rates.convert(test["value"], test["currency"], profile.currency)
        return None if bound is None or OPERATORS[test["op"]](bound, limit) else False
    elif name == "personal_records_held":
        value = profile.personal_records_held
    else:
        return None
    return None if value is None else bool(OPERATORS[test["op"]](value, test["value"]))
