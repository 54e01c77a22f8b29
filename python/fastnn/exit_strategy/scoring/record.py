"""The frozen records of an evaluation: what was found, and what is needed to repeat it.

Every record carries library version, data-file hashes, seed, draws and the date of the gate file.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import field
from functools import cached_property

from fastnn.exit_strategy.contracts import Proceeds, SamplingSpec
from fastnn.exit_strategy.criteria import Criteria
from fastnn.exit_strategy.gates.data import Gates
from fastnn.exit_strategy.gates.results import GateReport
from fastnn.exit_strategy.notes import Note
from fastnn.exit_strategy.profile.profile import Profile
from fastnn.exit_strategy.records import dataclass

from .completion import BaseRate, Completion
from .explain import Difference, Flip
from .leaves import LeafFact
from .scores import Scores
from .uncertainty import lead_runs, total_effects

#: The rule of recommendation: sure enough, far enough ahead, enough known.
MIN_P_FIRST, MIN_LEAD, MAX_UNKNOWN = 0.60, 0.02, 0.40

#: What nobody knows is drawn from wide priors. An option that comes first in this many draws all
#: the same is recommended up to this share of unknown weight.
SURE_P_FIRST, SURE_UNKNOWN = 0.90, 0.60

#: Below this change of the share of first places a tornado chart shows the score lead instead.
MIN_SWING = 0.02

__all__ = [
    "MAX_UNKNOWN",
    "MIN_LEAD",
    "MIN_P_FIRST",
    "SURE_P_FIRST",
    "SURE_UNKNOWN",
    "Provenance",
    "Rank",
    "Recommendation",
    "Record",
    "TornadoBar",
]


@dataclass(frozen=True, slots=True)
class Rank:
    """One option in the ranking; closed options come last with p_first 0."""

    option: str
    p_first: float
    score_mean: float
    score_p05: float
    score_p95: float
    open: bool
    mc_error: float
    wsm: float
    topsis: float


@dataclass(frozen=True, slots=True)
class Recommendation:
    """An option, or near_tie, insufficient_information, none_open; and why."""

    answer: str
    pair: tuple[str, ...]
    p_first: float
    lead: float
    methods_agree: bool
    unknown_weight: float
    settle: tuple[str, ...]  # leaves that would settle it, most telling first


@dataclass(frozen=True, slots=True)
class TornadoBar:
    """The leader's p_first, or its score lead, with a leaf at its 10 % and 90 % quantile."""

    leaf: str
    low: float
    high: float

    @property
    def swing(self) -> float:
        """Signed change, low to high."""
        return self.high - self.low


@dataclass(frozen=True, slots=True)
class Provenance:
    """What is needed to repeat the result."""

    version: str
    seed: int
    draws: int
    kappa: float
    weights: str
    hashes: Mapping[str, str]
    gates_checked: str
    as_of: dt.date


@dataclass(frozen=True)
class Record:
    """All that was found out about one company; `Result` adds the methods that write reports."""

    profile: Profile
    options: tuple[str, ...]
    weights: Mapping[str, float]
    ranking: tuple[Rank, ...]
    advice: Recommendation
    scores: Scores
    groups: tuple[str, ...]
    leaves: Mapping[str, LeafFact]
    completion: Mapping[str, Completion]
    base: BaseRate
    gates: GateReport
    proceeds: Proceeds
    computed: Mapping[str, Mapping[str, tuple[float, float, float]]]
    p_rank: Mapping[str, tuple[float, ...]]
    other_kappa: Mapping[str, Mapping[str, float]]
    tornado: tuple[TornadoBar, ...]
    differences: tuple[Difference, ...]
    flips: tuple[Flip, ...]
    unknown: tuple[str, ...]
    warnings: tuple[Note, ...]
    provenance: Provenance
    spec: SamplingSpec = field(repr=False)
    criteria: Criteria = field(repr=False)  # the tree and the gate files it was judged by
    gate_data: Gates = field(repr=False)

    def total_effects(self) -> dict[str, dict[str, float]]:
        """Return the Sobol total index of every leaf, and of the weights, per option.

        Saltelli pairs with Jansen's estimator on each option's score, inputs taken as independent;
        costs two more evaluations of all leaves, so it is computed on request.
        """
        made = self.provenance
        leaves, weights = total_effects(
            self.spec, kappa=made.kappa, draws=made.draws, seed=made.seed
        )
        out = {
            leaf: dict(zip(self.options, map(float, leaves[k]), strict=True))
            for k, leaf in enumerate(self.spec.leaves)
        }
        out["weights"] = dict(zip(self.options, map(float, weights), strict=True))
        return out

    def lead_tornado(self) -> tuple[TornadoBar, ...]:
        """Return the leader's mean score lead over the runner-up at both ends of every leaf.

        It tells inputs apart where the share of first places stays near 0 or 100 %. Largest first.
        """
        return self._lead_bars

    @cached_property  # a report shows them in three places
    def _lead_bars(self) -> tuple[TornadoBar, ...]:
        if len(self.ranking) < 2:
            return ()
        leader, rival = (self.options.index(row.option) for row in self.ranking[:2])
        runs = lead_runs(self.spec, leader, rival)
        bars = [
            TornadoBar(leaf, float(runs[k, 0]), float(runs[k, 1]))
            for k, leaf in enumerate(self.spec.leaves)
        ]
        return tuple(sorted(bars, key=lambda bar: -abs(bar.swing)))

    @property
    def saturated(self) -> bool:
        """Whether no input moves the leader's share of first places by as much as 2 points."""
        return max((abs(bar.swing) for bar in self.tornado), default=0.0) < MIN_SWING

    @property
    def recommendation(self) -> str:
        """An option id, or "near_tie", "insufficient_information", "none_open"."""
        return self.advice.answer

    @property
    def flip(self) -> Flip | None:
        """The smallest single change of an input or weight that changes the first place."""
        return self.flips[0] if self.flips else None

    @property
    def leader(self) -> str:
        """First option of the ranking."""
        return self.ranking[0].option
