"""The exit process as a state machine: legal events, a log, advice, Mermaid text.

A process starts at CAPITAL_TEST of an evaluated company. Guards read the result's own numbers; an
event that is not legal, or whose guard does not hold, raises with the list of legal ones. Two
states are active at once on a dual track until one of them closes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from fastnn.exit_strategy.catalogue import text
from fastnn.exit_strategy.errors import ExitError, Issue, suggest
from fastnn.exit_strategy.gates.hard import runway_months
from fastnn.exit_strategy.notes import Note
from fastnn.exit_strategy.records import dataclass
from fastnn.exit_strategy.scoring.record import Record

from .advice import ROADS, advice_numbers, road
from .chart import EDGES, ENDS, SEED_EDGES, SEED_NODES, STATE_RULES, STATES, Edge

__all__ = ["ROADS", "LogEntry", "Process", "Step", "mermaid", "road", "seed_mermaid"]

_CLOSED = ("IPO_CLOSED", "MA_CLOSED")
_MIN_WINDOW, _MIN_READINESS = 0.4, 0.7


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One event that happened: day, actor, from, event, to."""

    date: dt.date
    actor: str
    source: str
    event: str
    target: str


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next in one state: advice, cited rules, legal events and blocked ones."""

    state: str
    title: str
    advice: str
    rules: tuple[tuple[str, str], ...]
    events: tuple[tuple[str, str], ...]
    blocked: tuple[tuple[str, str], ...]


class Process:
    """Where a company stands in its exit process; `fire` moves it on and logs the event."""

    def __init__(self, result: Record, *, start: str = "CAPITAL_TEST") -> None:
        if start not in STATES:
            near = suggest(start, STATES)
            raise ExitError(
                Issue(
                    "EX702",
                    "state",
                    f"{start!r} is not a state",
                    f"did you mean {near}?" if near else f"states: {', '.join(STATES)}",
                    start,
                )
            )
        self._result = result
        self._active: tuple[str, ...] = (start,)
        self._flags: frozenset[str] = frozenset()
        self._log: tuple[LogEntry, ...] = ()

    @property
    def states(self) -> tuple[str, ...]:
        """Active states: one, or two on a dual track."""
        return self._active

    @property
    def state(self) -> str:
        """The first active state."""
        return self._active[0]

    @property
    def log(self) -> tuple[LogEntry, ...]:
        """Events so far, oldest first."""
        return self._log

    @property
    def ended(self) -> bool:
        """Whether every active state is an end."""
        return all(state in ENDS for state in self._active)

    def rescore(self, result: Record) -> None:
        """Use newer numbers for the guards and the advice."""
        self._result = result

    def legal_events(self) -> tuple[str, ...]:
        """Events that may happen now, guards included."""
        return tuple(edge.event for edge in self._edges() if not self._objection(edge))

    def fire(self, event: str, date: dt.date | None = None, actor: str = "") -> str:
        """Let an event happen; return the state it leads to. EX701 lists the legal ones."""
        day = date or self._result.profile.as_of
        if not isinstance(day, dt.date) or (self._log and day < self._log[-1].date):
            last = self._log[-1].date.isoformat() if self._log else "-"
            raise ExitError(
                Issue(
                    "EX703",
                    "date",
                    f"{day} comes before the last event of {last}",
                    "log events in order",
                    str(day),
                )
            )
        for edge in self._edges():
            if edge.event == event:
                objection = self._objection(edge)
                if objection:
                    raise self._illegal(event, objection.text())
                return self._move(edge, day, actor)
        raise self._illegal(event, f"not possible in {' and '.join(self._active)}")

    def _illegal(self, event: str, reason: str) -> ExitError:
        legal = ", ".join(self.legal_events()) or "none; the process has ended"
        return ExitError(
            Issue("EX701", "event", f"{event!r}: {reason}", f"legal events: {legal}", event)
        )

    def _edges(self) -> list[Edge]:
        return [edge for state in self._active for edge in EDGES if edge.source == state]

    def _move(self, edge: Edge, day: dt.date, actor: str) -> str:
        others = tuple(state for state in self._active if state != edge.source)
        entered = tuple(name for name in (edge.target, edge.fork) if name)
        if edge.target in _CLOSED:
            others = ()  # first to close wins; the other track ends
        self._active = tuple(dict.fromkeys((*entered, *others)))
        flags = self._flags | ({edge.sets} if edge.sets else frozenset())
        self._flags = flags - {edge.clears}
        self._log = (*self._log, LogEntry(day, actor, edge.source, edge.event, edge.target))
        return edge.target

    def _objection(self, edge: Edge) -> Note | None:
        """Return why a guard does not hold, or None."""
        if not edge.guard:
            return None
        return _GUARDS[edge.guard](self._result, self._flags)

    def next_steps(self, lang: str = "en") -> tuple[Step, ...]:
        """Return the advice for every active state, with the articles' rules it rests on."""
        numbers = advice_numbers(self._result, lang)
        out = []
        for state in self._active:
            edges = [edge for edge in EDGES if edge.source == state]
            blocked = [(e.event, why.text(lang)) for e in edges if (why := self._objection(e))]
            legal = [
                (e.event, text(f"event.{e.event}", lang)) for e in edges if not self._objection(e)
            ]
            rules = [(rule, text(f"rule.{rule}", lang)) for rule in STATE_RULES.get(state, ())]
            out.append(
                Step(
                    state,
                    text(f"state.{state}", lang),
                    text(f"advice.{state}", lang, **numbers),
                    tuple(rules),
                    tuple(legal),
                    tuple(blocked),
                )
            )
        return tuple(out)

    def to_mermaid(self, lang: str = "en", *, seed_view: bool = False) -> str:
        """Return the repaired chart with the active states marked, or the article's own chart."""
        return seed_mermaid(lang) if seed_view else mermaid(lang, self._active)


def _audits(result: Record) -> Note | None:
    audited = result.profile.audited_years
    return Note("audits_short", {"years": str(audited)}) if audited < 2 else None


def _venue_open(result: Record, flags: frozenset[str]) -> Note | None:
    states = {venue.state for venue in result.gates.venues}
    return _audits(result) if states & {"pass", "unknown"} else Note("gate_no_venue")


def _window_open(result: Record, flags: frozenset[str]) -> Note | None:
    window = result.leaves["ipo_window"].value
    if window >= _MIN_WINDOW:
        return None
    return Note("window_low", {"value": f"{window:.2f}", "least": f"{_MIN_WINDOW:.2f}"})


def _prepared(result: Record, flags: frozenset[str]) -> Note | None:
    ready = result.leaves["ipo_readiness"].value
    if ready < _MIN_READINESS:
        return Note("readiness_low", {"value": f"{ready:.2f}", "least": f"{_MIN_READINESS:.2f}"})
    return _audits(result)


def _market_and_prep(result: Record, flags: frozenset[str]) -> Note | None:
    if "market" not in flags:
        return Note("not_done", {"step": "IPO_MARKET"})
    return None if "prep" in flags else Note("not_done", {"step": "IPO_PREP"})


def _ready_to_file(result: Record, flags: frozenset[str]) -> Note | None:
    return _window_open(result, flags) or _prepared(result, flags) or _venue_open(result, flags)


def _both_lead(result: Record, flags: frozenset[str]) -> Note | None:
    plain = [row.option for row in result.ranking if row.open and row.option != "dual_track"]
    return None if {"ipo", "ma"} == set(plain[:2]) else Note("not_both")


def _runway(result: Record, flags: frozenset[str]) -> Note | None:
    months = runway_months(result.profile)
    funded = result.profile["deal.transform_plan_funded"] == "yes"
    if months >= 6 or funded:
        return None
    return Note("gate_runway", {"months": f"{months:.1f}", "least": "6"})


_GUARDS: dict[str, Callable[[Record, frozenset[str]], Note | None]] = {
    "venue_open": _venue_open, "window_open": _window_open, "prepared": _prepared,
    "market_and_prep": _market_and_prep, "ready_to_file": _ready_to_file,
    "both_lead": _both_lead, "runway": _runway,
}  # fmt: skip


def mermaid(lang: str = "en", active: tuple[str, ...] = ()) -> str:
    """Return the repaired chart as Mermaid text; failure edges are dotted."""
    lines = ["graph TD"]
    for state in STATES:
        shape = ("([", "])") if state in ENDS else ("[", "]")
        lines.append(f'  {state}{shape[0]}"{text(f"state.{state}", lang)}"{shape[1]}')
    for edge in EDGES:
        arrow = "-.->" if edge.failure else "-->"
        label = text(f"event.{edge.event}", lang)
        for target in (edge.target, edge.fork):
            if target:
                lines.append(f'  {edge.source} {arrow}|"{label}"| {target}')
    for state in active:
        lines.append(f"  style {state} stroke-width:4px")
    return "\n".join(lines) + "\n"


def seed_mermaid(lang: str = "zh") -> str:
    """Return the article's own chart unchanged (18 nodes, 21 edges), faulty edges dashed."""
    lines = ["graph TD"]
    for node, (label, _) in SEED_NODES.items():
        name = label if lang == "zh" else text(f"seed.{node}", lang)
        shape = ("[", "]") if node == "A" else ("{", "}")
        lines.append(f'  {node}{shape[0]}"{name}"{shape[1]}')
    for source, target, label, faulty in SEED_EDGES:
        arrow = "-.->" if faulty else "-->"
        word = label if lang == "zh" or not label else text(f"seed.{label}", lang)
        middle = f'|"{word}"| ' if word else ""
        lines.append(f"  {source} {arrow}{middle or ' '}{target}")
    return "\n".join(lines) + "\n"
