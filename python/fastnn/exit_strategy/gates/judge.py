"""Judge a profile by the gates: listing venues, and with them regulators and hard gates.

A venue is open when all common conditions and any one financial test pass, closed when a common
condition or every test fails, unknown otherwise.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fastnn.exit_strategy.notes import Note
from fastnn.exit_strategy.profile.profile import Profile

from .data import CONDITION_FIELDS, GateFlag, Gates, flags_of, parse_day
from .facts import View, Views
from .hard import hard_gates
from .regulators import answered, judge_regulators
from .results import Condition, GateReport, VenueResult, VenueTest
from .windows import OPERATORS, WINDOWS

__all__ = [
    "MAX_RATE_AGE_DAYS",
    "ends_early",
    "judge_gates",
    "relaxations",
    "unique",
    "venue_is_for",
]

MAX_RATE_AGE_DAYS = 180
_VALUE_FIELDS = ("market_cap", "market_cap_at_listing")


def judge_gates(profile: Profile, gates: Gates, options: Sequence[str]) -> GateReport:
    """Return venues, regulators and hard gates for one profile on its own `as_of` date."""
    on = profile.as_of
    views = Views(profile)
    venues = tuple(
        _judge_venue(profile, venue, gates.rules, views[venue["currency"]])
        for venue in gates.venues
        if venue_is_for(profile, venue, gates.rules)
    )
    regulatory = judge_regulators(profile, gates, on)
    hard = hard_gates(profile, options, venues, gates.rules)
    used = [item for item in regulatory if item.state in ("applies", "unknown")]
    notes = [note for venue in venues for note in venue.warnings]
    notes += [note for item in used for note in item.warnings]
    notes += _rate_warnings(profile, venues, on)
    return GateReport(venues, regulatory, hard, unique(notes), gates.checked.isoformat())


def unique(notes: Iterable[Note]) -> tuple[Note, ...]:
    """Return the notes without repeats, in order."""
    return tuple({(note.key, *note.values.values()): note for note in notes}.values())


def _rate_warnings(profile: Profile, venues: Sequence[VenueResult], on: dt.date) -> list[Note]:
    """Warn when a rate that was used is more than half a year from the figures."""
    used = {profile.currency, *(venue.currency for venue in venues)}
    if len(used) == 1:
        return []
    days = [profile.rates.date_of(code) for code in used if code != "USD"]
    far = max(days, key=lambda day: abs((on - day).days))
    if abs((on - far).days) <= MAX_RATE_AGE_DAYS:
        return []
    return [Note("fx_old", {"day": far.isoformat(), "as_of": on.isoformat()})]


def venue_is_for(profile: Profile, venue: Mapping[str, Any], rules: Mapping[str, Any]) -> bool:
    """Return whether a company of this region, country and sector may list on a venue."""
    china = profile.country == "CN" or profile["deal.operations_in_china"] == "yes"
    region = rules["venue_region"].get(venue["id"], str(venue.get("region", "")))
    countries = rules["venue_countries"].get(venue["id"])
    sectors = rules["venue_sectors"].get(venue["id"])
    if profile.venue_region and region != profile.venue_region:
        return False
    if countries and profile.country not in countries and not ("CN" in countries and china):
        return False
    return not sectors or profile.sector in sectors


def relaxations(venue: Mapping[str, Any], rules: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return field -> rule of the milder thresholds that a venue grants."""
    return {row["field"]: row for row in rules["relaxations"] if row["venue"] == venue["id"]}


def _in_force(state: str, flags: Sequence[GateFlag]) -> str:
    """A venue whose rules have ended, or have not begun, may pass but is not known to."""
    return "unknown" if ends_early(flags) and state == "pass" else state


def ends_early(flags: Sequence[GateFlag]) -> bool:
    """Return whether rules have ended on the day of the flags, or have not begun."""
    return any(flag.kind in ("expired", "not_yet") for flag in flags)


def _judge_venue(
    profile: Profile, venue: Mapping[str, Any], rules: Mapping[str, Any], view: View
) -> VenueResult:
    milder = relaxations(venue, rules)
    judged = [_judge_condition(row, view, milder) for row in venue["common_all_of"]]
    common = (*judged, *_alternatives(venue, profile.as_of, view, milder))
    tests = tuple(
        [_judge_test(test, view, milder) for test in _live(venue["tests_any_of"], profile.as_of)]
    )
    flags = flags_of(venue, profile.as_of)
    pending = _pending(profile, venue, view, milder)
    state = _in_force(_venue_state(common, tests), flags)
    state = "unknown" if pending and state == "pass" else state
    return VenueResult(
        venue["id"],
        venue["name"],
        rules["venue_region"].get(venue["id"], ""),
        venue["currency"],
        state,
        _venue_prior(common, tests, rules["unknown_prior"]),
        common,
        tests,
        venue["source"],
        venue["checked"],
        venue["confidence"],
        venue.get("effective_from"),
        venue.get("effective_to"),
        (*(flag.note for flag in flags), *pending),
        tuple(venue.get("notes") or ()),
        view.rate,
        profile.rates.date_of(venue["currency"]).isoformat(),
        venue.get("read", venue["checked"]),
    )


def _live(tests: Sequence[Mapping[str, Any]], on: dt.date) -> list[Mapping[str, Any]]:
    """The tests that are in force on a day."""
    return [t for t in tests if not (start := t.get("effective_from")) or _begun(start, on)]


def _begun(start: str, on: dt.date) -> bool:
    day = parse_day(start)
    return day is None or day <= on


def _alternatives(
    venue: Mapping[str, Any], on: dt.date, view: View, milder: Mapping[str, Mapping[str, Any]]
) -> list[Condition]:
    """Conditions of the nearest alternative of every group of which one is enough."""
    out: list[Condition] = []
    for group in venue.get("common_any_of") or ():
        start = parse_day(group.get("effective_from"))
        if start is not None and on < start:
            out += [_judge_condition(row, view, milder) for row in group.get("before") or ()]
            continue
        choices = [
            [_judge_condition(row, view, milder) for row in choice["all_of"]]
            for choice in group["any_of"]
        ]
        order = {"pass": 0, "unknown": 1, "fail": 2}
        nearest: list[Condition] = min(
            choices,
            key=lambda rows: (order[_all_state(rows)], sum(r.state != "pass" for r in rows)),
        )
        out += nearest
    return out


def _pending(
    profile: Profile, venue: Mapping[str, Any], view: View,
    milder: Mapping[str, Mapping[str, Any]],
) -> tuple[Note, ...]:  # fmt: skip
    """Rules whose fate could not be found and which the company may not meet."""
    china = answered(profile, "operations_in_china") is not False
    out = []
    for rule in venue.get("pending") or ():
        concerned = china or not rule.get("china")
        if concerned and _judge_condition(rule, view, milder).state != "pass":
            out.append(Note(f"pending_{rule['id']}", {"id": venue["id"]}))
    return tuple(out)


def _judge_test(
    test: Mapping[str, Any], view: View, milder: Mapping[str, Mapping[str, Any]]
) -> VenueTest:
    rows = tuple([_judge_condition(row, view, milder) for row in test["all_of"]])
    return VenueTest(str(test.get("id", "")), _all_state(rows), rows)


def _judge_condition(
    row: Mapping[str, Any], view: View, milder: Mapping[str, Mapping[str, Any]]
) -> Condition:
    name, op, threshold = row["field"], row["op"], row["value"]
    if name in milder:
        threshold = _relaxed(threshold, milder[name], view)
    test, window, spread = OPERATORS[op], row.get("window", ""), view.spread
    if window:
        state, value = WINDOWS[window](view.facts[name], lambda v: test(v, threshold))
    else:  # most conditions: the latest figure, judged without a detour
        value = view.facts[name].last
        state = "unknown" if value is None else "pass" if test(value, threshold) else "fail"
    sensitive = False
    if spread is not None and name in _VALUE_FIELDS:
        low, high = spread
        sensitive = test(low, threshold) != test(high, threshold)
    gap = None if value is None else value - threshold
    note, money = str(row.get("note", "")), CONDITION_FIELDS[name]
    return Condition(name, op, threshold, window, value, state, gap, money, sensitive, note)


def _relaxed(threshold: float, rule: Mapping[str, Any], view: View) -> float:
    """Return the milder threshold that the venue's own note grants, where it applies."""
    figure = view.facts[rule["when"]["field"]].last
    applies = figure is not None and rule["when"]["min"] <= figure < rule["when"]["max"]
    return float(rule["value"]) if applies else threshold


def _all_state(rows: Sequence[Condition]) -> str:
    states = [row.state for row in rows]
    return "fail" if "fail" in states else ("unknown" if "unknown" in states else "pass")


def _venue_state(common: Sequence[Condition], tests: Sequence[VenueTest]) -> str:
    states = [test.state for test in tests]
    best = "pass" if "pass" in states else ("unknown" if "unknown" in states else "fail")
    shared = _all_state(common) if common else "pass"
    if "fail" in (shared, best):
        return "fail"
    return "pass" if shared == best == "pass" else "unknown"


def _venue_prior(
    common: Sequence[Condition],
    tests: Sequence[VenueTest],
    priors: Mapping[str, float],
) -> float:
    """Chance that the venue is open, unknown conditions counted at their prior."""
    shared = _prior_of(common, priors)
    return shared * max((_prior_of(test.conditions, priors) for test in tests), default=0.0)


def _prior_of(rows: Sequence[Condition], priors: Mapping[str, float]) -> float:
    chance = 1.0
    for row in rows:
        if row.state == "fail":
            return 0.0
        if row.state == "unknown":
            chance *= priors.get(row.field, priors["default"])
    return chance
