"""What the gates say: conditions, tests and venues, regulators, hard gates, and all of a report.

Standard library only.
"""

from __future__ import annotations

from typing import NamedTuple

from fastnn.exit_strategy.notes import Note
from fastnn.exit_strategy.records import dataclass

__all__ = [
    "Condition",
    "GateReport",
    "HardGate",
    "RegulatoryResult",
    "VenueResult",
    "VenueState",
    "VenueTest",
]


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a venue, in the venue's currency; `gap` < 0 is what is missing."""

    field: str
    op: str
    threshold: float
    window: str
    value: float | None
    state: str  # pass | fail | unknown
    gap: float | None
    money: bool
    sensitive: bool = False  # the low and high valuation disagree
    note: str = ""


@dataclass(frozen=True, slots=True)
class VenueTest:
    """One alternative financial test of a venue."""

    id: str
    state: str
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class VenueResult:
    """One venue: state, every condition, and how far its figures can be trusted."""

    id: str
    name: str
    region: str
    currency: str
    state: str
    prior: float  # chance that the unknown conditions hold
    common: tuple[Condition, ...]
    tests: tuple[VenueTest, ...]
    source: str
    checked: str
    confidence: str
    effective_from: str | None
    effective_to: str | None
    warnings: tuple[Note, ...]
    notes: tuple[str, ...]
    rate: float  # venue currency per unit of the profile's currency
    rate_date: str
    read: str | None = None  # day on which the rule's source was read; None: from memory

    @property
    def word(self) -> str:
        """The state, `pass_unread` where nobody has read the rules at their source."""
        return "pass_unread" if self.state == "pass" and self.read is None else self.state


@dataclass(frozen=True, slots=True)
class RegulatoryResult:
    """One regulatory or market gate: does it apply, and what does it add."""

    id: str
    rule: str
    jurisdiction: str
    options: tuple[str, ...]
    state: str  # applies | not | unknown | note
    effect: str
    months: float
    factor: float
    source: str
    checked: str
    confidence: str
    warnings: tuple[Note, ...]
    read: str | None = None  # day on which the rule's source was read; None: from memory


@dataclass(frozen=True, slots=True)
class HardGate:
    """A gate that closes an option when it fails; `prior` is the chance of an unknown one."""

    option: str
    name: str
    state: str
    reason: Note
    prior: float = 1.0

    @property
    def word(self) -> str:
        """The state, `pass_unread` where no rule that passes has been read at its source."""
        return str(self.reason.values.get("state", self.state))


@dataclass(frozen=True, slots=True)
class GateReport:
    """Everything the gates say about one profile."""

    venues: tuple[VenueResult, ...]
    regulatory: tuple[RegulatoryResult, ...]
    hard: tuple[HardGate, ...]
    warnings: tuple[Note, ...]
    checked: str

    def of(self, option: str) -> tuple[HardGate, ...]:
        """Hard gates of one option."""
        return tuple(gate for gate in self.hard if gate.option == option)

    def is_open(self, option: str) -> bool:
        """Return whether no hard gate of the option has failed."""
        return not any(g.option == option and g.state == "fail" for g in self.hard)


class VenueState(NamedTuple):
    """What a hard gate needs to know of a venue."""

    id: str
    state: str
    prior: float
    read: str | None
