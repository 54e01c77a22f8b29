"""Gates of many companies at once: every condition of every venue as one column.

Says what `judge_gates` says of each company's options and regulators, and no more: a batch shows
neither venues nor figures. Conditions are compared as columns; regulators are judged once for all
companies that answer alike.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastnn.exit_strategy.profile.profile import Profile

from .data import CONDITION_FIELDS, Gates, flags_of, parse_day
from .facts import facts_of
from .hard import hard_gates
from .judge import ends_early, relaxations, venue_is_for
from .regulators import answered, is_met, judge_regulators
from .results import GateReport, RegulatoryResult, VenueState
from .windows import COLUMN_WINDOWS, OPERATORS, Column

__all__ = ["judge_gates_many"]

Floats = npt.NDArray[np.float64]
Marks = npt.NDArray[np.bool_]


class _State(NamedTuple):
    """A condition or a test as columns: failed, not known (and not failed), and its chance."""

    fail: Marks
    unknown: Marks
    prior: Floats  # chance that what is not known holds; read where nothing fails


def judge_gates_many(
    profiles: Sequence[Profile], gates: Gates, options: Sequence[str]
) -> list[GateReport]:
    """Return hard gates and regulators of each company, without venues and warnings."""
    states = _Batch(profiles, gates).venue_states()
    regulators = _regulators(profiles, gates)
    checked = gates.checked.isoformat()
    return [
        GateReport((), told, hard_gates(profile, options, open_to, gates.rules), (), checked)
        for profile, told, open_to in zip(profiles, regulators, states, strict=True)
    ]


class _Batch:
    """The figures of many companies as columns, in each venue's currency when first asked for."""

    def __init__(self, profiles: Sequence[Profile], gates: Gates) -> None:
        self._profiles, self._gates = profiles, gates
        self._facts = [facts_of(profile) for profile in profiles]
        self._days = [profile.as_of for profile in profiles]
        kinds: dict[tuple[object, ...], int] = {}
        self._kinds: list[Profile] = []  # one company of each kind
        self._kind_of = np.empty(len(profiles), np.intp)
        for k, profile in enumerate(profiles):
            get = profile.values.get
            key = (get("venue_region"), get("country"), get("sector"),
                   get("deal.operations_in_china"))  # fmt: skip
            if key not in kinds:
                kinds[key] = len(kinds)
                self._kinds.append(profile)
            self._kind_of[k] = kinds[key]
        self._columns: dict[tuple[str, str], Column] = {}
        self._rates: dict[str, Floats] = {}

    def venue_states(self) -> list[list[VenueState]]:
        """Return for each company its venues that have not failed, up to the first that is open.

        The first by rules that were read at their source, where there is one.
        """
        out: list[list[VenueState]] = [[] for _ in self._profiles]
        left = np.ones(len(out), np.bool_)
        for venue in self._gates.venues:
            at = left & self._for_whom(venue)
            if not at.any():
                continue
            state = self._venue(venue)
            read = venue.get("read", venue["checked"])
            for k in np.flatnonzero(at & ~state.fail).tolist():
                word = "unknown" if state.unknown[k] else "pass"
                out[k].append(VenueState(venue["id"], word, float(state.prior[k]), read))
            if read is not None:
                left &= ~(at & ~state.fail & ~state.unknown)
        return out

    def _for_whom(self, venue: Mapping[str, Any]) -> Marks:
        """Companies that may list on a venue; those of one kind are asked once."""
        kinds = [venue_is_for(profile, venue, self._gates.rules) for profile in self._kinds]
        return np.array(kinds, np.bool_)[self._kind_of]

    def _venue(self, venue: Mapping[str, Any]) -> _State:
        size = len(self._profiles)
        shared = self._all_of(venue, venue["common_all_of"], _certain(size))
        none = np.zeros(size, np.bool_)
        passes, maybe, best = none, none, np.zeros(size)
        for test in venue["tests_any_of"]:
            live = self._on_day(partial(_begun, test.get("effective_from")))
            made = self._all_of(venue, test["all_of"], _certain(size))
            passes = passes | (live & ~made.fail & ~made.unknown)
            maybe = maybe | (live & ~made.fail & made.unknown)
            best = np.maximum(best, np.where(live & ~made.fail, made.prior, 0.0))
        shared = self._alternatives(venue, shared)
        fail = shared.fail | ~(passes | maybe)
        unknown = shared.unknown | ~passes
        unknown = unknown | self._on_day(lambda day: ends_early(flags_of(venue, day)))
        for rule in venue.get("pending") or ():
            unknown = unknown | (self._concerned(rule) & ~self._holds(venue, rule))
        return _State(fail, unknown, shared.prior * best)

    def _all_of(
        self, venue: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], made: _State
    ) -> _State:
        """Add conditions, all of which must hold, to what has been judged before."""
        priors = self._gates.rules["unknown_prior"]
        fail, unknown, chance = made
        for row in rows:
            failed, open_ = self._weigh(venue, row)
            likely = priors.get(row["field"], priors["default"])
            chance = np.where(open_, chance * likely, chance)
            fail, unknown = fail | failed, unknown | open_
        return _State(fail, unknown & ~fail, chance)

    def _alternatives(self, venue: Mapping[str, Any], made: _State) -> _State:
        """Add the nearest alternative of every group of which one is enough."""
        for group in venue.get("common_any_of") or ():
            before = ~self._on_day(partial(_begun, group.get("effective_from")))
            size = len(self._profiles)
            alone = [self._all_of(venue, c["all_of"], _certain(size)) for c in group["any_of"]]
            added = [self._all_of(venue, c["all_of"], made) for c in group["any_of"]]
            far = [self._distance(venue, c["all_of"]) for c in group["any_of"]]
            ranks = np.array(
                [(2 * s.fail + s.unknown) * 1000 + d for s, d in zip(alone, far, strict=True)]
            )
            nearest = np.argmin(ranks, axis=0)  # the first of equals
            old = self._all_of(venue, group.get("before") or (), made)
            made = _State(
                *(
                    np.where(before, old[part], np.choose(nearest, [s[part] for s in added]))
                    for part in range(3)
                )
            )
        return made

    def _distance(self, venue: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Any:
        """How many conditions do not hold, as far as is known."""
        return sum(~self._holds(venue, row) * 1 for row in rows)

    def _holds(self, venue: Mapping[str, Any], row: Mapping[str, Any]) -> Marks:
        failed, unknown = self._weigh(venue, row)
        return ~(failed | unknown)

    def _weigh(self, venue: Mapping[str, Any], row: Mapping[str, Any]) -> tuple[Marks, Marks]:
        name, threshold = row["field"], row["value"]
        rule = relaxations(venue, self._gates.rules).get(name)
        if rule is not None:
            when = rule["when"]
            figure = self._column(when["field"], venue["currency"]).last
            applies = (when["min"] <= figure) & (figure < when["max"])
            threshold = np.where(applies, float(rule["value"]), threshold)
        test = OPERATORS[row["op"]]
        window = COLUMN_WINDOWS[row.get("window", "")]
        return window(self._column(name, venue["currency"]), lambda v: test(v, threshold))

    def _column(self, name: str, currency: str) -> Column:
        money = CONDITION_FIELDS[name]
        key = (name, currency if money else "")
        if key not in self._columns:
            series = [facts[name] for facts in self._facts]
            years = np.array([row.years for row in series], dtype=np.float64)
            if money:
                years = years * self._rate_to(currency)[:, None]
            total = np.array([row.total() for row in series], dtype=np.float64)
            self._columns[key] = Column(years, total)
        return self._columns[key]

    def _rate_to(self, currency: str) -> Floats:
        if currency not in self._rates:
            known: dict[tuple[int, str], float] = {}
            for profile in self._profiles:
                key = (id(profile.rates), profile.currency)
                if key not in known:
                    known[key] = profile.rates.rate(profile.currency, currency)
            self._rates[currency] = np.array(
                [known[id(profile.rates), profile.currency] for profile in self._profiles]
            )
        return self._rates[currency]

    def _on_day(self, says: Callable[[dt.date], bool]) -> Marks:
        """What depends on nothing but the day of a company's figures."""
        known = {day: says(day) for day in set(self._days)}
        return np.array([known[day] for day in self._days], np.bool_)

    def _concerned(self, rule: Mapping[str, Any]) -> Marks:
        if not rule.get("china"):
            return np.ones(len(self._profiles), np.bool_)
        told = [answered(profile, "operations_in_china") for profile in self._profiles]
        return np.array([answer is not False for answer in told], np.bool_)


def _certain(size: int) -> _State:
    none = np.zeros(size, np.bool_)
    return _State(none, none, np.ones(size))


def _begun(start: str | None, on: dt.date) -> bool:
    day = parse_day(start)
    return day is None or day <= on


def _regulators(profiles: Sequence[Profile], gates: Gates) -> list[tuple[RegulatoryResult, ...]]:
    """Judge regulators once for all companies of the same day that answer alike."""
    rules = gates.rules["regulatory"]
    names: dict[str, None] = {}
    for rule in rules.values():
        needs = rule.get("needs", ())
        names.update(dict.fromkeys((needs,) if isinstance(needs, str) else needs))
    tests = [test for gate in gates.regulatory for test in gate.get("tests") or ()]
    known: dict[tuple[object, ...], tuple[RegulatoryResult, ...]] = {}
    out = []
    for profile in profiles:
        key = (
            profile.as_of, profile.country, profile.sector, profile.ai_act_class,
            *[answered(profile, name) for name in names],
            *[is_met(profile, test) for test in tests],
        )  # fmt: skip
        if key not in known:
            known[key] = judge_regulators(profile, gates, profile.as_of)
        out.append(known[key])
    return out
