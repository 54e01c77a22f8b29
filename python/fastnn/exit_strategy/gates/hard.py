"""Hard gates: what closes an option when it fails, whatever the scores say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastnn.exit_strategy.notes import Note
from fastnn.exit_strategy.profile.profile import Profile

from .results import HardGate, VenueResult, VenueState

__all__ = ["MAX_RUNWAY", "hard_gates", "runway_months"]

MAX_RUNWAY = 120.0  # a company that earns cash has ten years in the report, more says nothing


def runway_months(profile: Profile) -> float:
    """Return months of cash left, committed funds included; 120 when the company earns cash."""
    money = profile.cash + (profile.committed_funds or 0.0)
    burn = profile.monthly_burn
    return MAX_RUNWAY if burn <= 0 else min(MAX_RUNWAY, money / burn)


def hard_gates(
    profile: Profile,
    options: Sequence[str],
    venues: Sequence[VenueResult | VenueState],
    rules: Mapping[str, Any],
) -> tuple[HardGate, ...]:
    """Return the gates that close an option when they fail, for each of the options."""
    return tuple(gate for option in options for gate in _hard(profile, option, venues, rules))


def _hard(
    profile: Profile,
    option: str,
    venues: Sequence[VenueResult | VenueState],
    rules: Mapping[str, Any],
) -> tuple[HardGate, ...]:
    priors = rules["unknown_prior"]
    if option == "ipo":
        return _ipo_gates(profile, venues, rules)
    if option == "dual_track":
        both = (*_hard(profile, "ipo", venues, rules), *_hard(profile, "ma", venues, rules))
        return tuple(
            HardGate("dual_track", gate.name, gate.state, gate.reason, gate.prior) for gate in both
        )
    if option in ("ma", "license_hire"):
        out = [_answer_gate(profile, option, "class_veto_against_sale", "veto", priors)]
        if option == "ma":
            covenant = _answer_gate(profile, option, "covenant_blocks_sale", "covenant", priors)
            out.insert(0, covenant)
        return tuple(out)
    if option in ("transform", "ma_buy"):
        least = float(rules["transform_min_runway_months"]["value"])
        months = runway_months(profile)
        funded = option == "transform" and profile["deal.transform_plan_funded"] == "yes"
        state = "pass" if months >= least or funded else "fail"
        values = {"months": f"{months:.1f}", "least": f"{least:.0f}"}
        reason = Note("gate_runway_funded" if funded else "gate_runway", values)
        return (HardGate(option, "runway", state, reason),)
    if option in ("hold", "mbo", "esop"):
        return _earnings_gates(profile, option, priors)
    return ()


_HOLD_RUNWAY = 12.0  # months of cash with which a company that burns may still be kept


def _earnings_gates(
    profile: Profile, option: str, priors: Mapping[str, float]
) -> tuple[HardGate, ...]:
    """Dividends and the price of a buy-out by managers or employees are paid from earnings."""
    earns = profile.monthly_burn <= 0
    reason = Note("gate_earnings_fine" if earns else "gate_earnings")
    if option == "hold":
        months = runway_months(profile)
        if not earns:
            values = {"months": f"{months:.1f}", "least": f"{_HOLD_RUNWAY:.0f}"}
            reason = Note("gate_runway", values)
        state = "pass" if earns or months >= _HOLD_RUNWAY else "fail"
        return (HardGate(option, "hold_runway", state, reason),)
    veto = _answer_gate(profile, option, "class_veto_against_sale", "veto", priors)
    covenant = _answer_gate(profile, option, "covenant_blocks_sale", "covenant", priors)
    return (HardGate(option, "earnings", "pass" if earns else "fail", reason), covenant, veto)


def _answer_gate(
    profile: Profile, option: str, name: str, kind: str, priors: Mapping[str, float]
) -> HardGate:
    answer = profile[f"deal.{name}"] or "unknown"
    state = {"yes": "fail", "no": "pass"}.get(answer, "unknown")
    reason = Note("gate_answer", {"field": f"deal.{name}", "answer": answer})
    return HardGate(option, name, state, reason, priors[kind] if state == "unknown" else 1.0)


def _ipo_gates(
    profile: Profile, venues: Sequence[VenueResult | VenueState], rules: Mapping[str, Any]
) -> tuple[HardGate, ...]:
    least = int(rules["ipo_min_audited_years"]["value"])
    enough = profile.audited_years >= least
    values = {"years": str(profile.audited_years), "least": str(least)}
    reason = Note("gate_audited_fine" if enough else "gate_audited", values)
    audited = HardGate("ipo", "audited_years", "pass" if enough else "fail", reason)
    states = [venue.state for venue in venues]
    state = "pass" if "pass" in states else ("unknown" if "unknown" in states else "fail")
    named = [venue for venue in venues if venue.state == state] if state != "fail" else []
    word = state
    if state == "pass":  # by rules whose source was read, where there are any
        read = [venue for venue in named if venue.read is not None]
        named, word = (read, word) if read else (named, "pass_unread")
    values = {"venues": " ".join(venue.id for venue in named), "state": word}
    reason = Note("gate_venues", values) if named else Note("gate_no_venue")
    prior = max((venue.prior for venue in venues), default=0.0) if state == "unknown" else 1.0
    return (audited, HardGate("ipo", "venue", state, reason, prior))
