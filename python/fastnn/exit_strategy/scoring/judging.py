"""Judging one company: everything that is known of it before anything is sampled.

`evaluate`, a batch and every scenario judge by this one function: gates, facts, money, chances,
fits and scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastnn.exit_strategy.contracts import ExitModel, Proceeds
from fastnn.exit_strategy.criteria import Criteria
from fastnn.exit_strategy.gates.data import Gates
from fastnn.exit_strategy.gates.judge import GateReport, judge_gates
from fastnn.exit_strategy.money.outcomes import proceeds
from fastnn.exit_strategy.notes import Note
from fastnn.exit_strategy.profile.profile import Profile

from .completion import BaseRate, Completion, base_of, complete
from .leaves import LeafFact, read_leaves
from .sampling import computed_facts
from .scores import Scores, score_fits

__all__ = ["Frame", "Judgement", "judge", "point_fits", "unknown_leaves"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Frame:
    """What companies are judged by: the options, the tree with its group weights, the rules."""

    criteria: Criteria
    options: tuple[str, ...]
    weights: tuple[float, ...]
    gates: Gates
    model: ExitModel | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """One company as it stands; arrays follow the frame's options and leaves."""

    report: GateReport
    leaves: Mapping[str, LeafFact]
    notes: tuple[Note, ...]
    money: Proceeds
    base: BaseRate
    chances: Mapping[str, Completion]
    computed: Mapping[str, Mapping[str, tuple[float, float, float]]]
    scores: Scores
    unknown: tuple[str, ...]


def judge(
    profile: Profile, frame: Frame, *, brief: bool = False, base: BaseRate | None = None
) -> Judgement:
    """Return what the frame says of a company.

    `brief` leaves out what only a report shows; `base` stands for the frame's model.
    """
    options, tree = frame.options, frame.criteria
    report = judge_gates(profile, frame.gates, options, brief=brief)
    leaves, notes = read_leaves(profile, tree)
    money = proceeds(profile, profile.cap_table, profile.assumptions, options, brief=brief)
    rates = base_of(profile, frame.model) if base is None else base
    chances = complete(profile, options, leaves, report, rates)
    computed = computed_facts(options, money, chances, report)
    fits = point_fits(tree, options, leaves, computed)
    scores = score_fits(tree, options, fits, frame.weights)
    unknown = unknown_leaves(tree, leaves, profile)
    return Judgement(report, leaves, tuple(notes), money, rates, chances, computed, scores, unknown)


def point_fits(
    criteria: Criteria,
    options: Sequence[str],
    leaves: Mapping[str, LeafFact],
    computed: Mapping[str, Mapping[str, tuple[float, float, float]]],
) -> FloatArray:
    """Return fits (options, leaves) at the stated facts."""
    fits = np.empty((len(options), len(criteria.leaves)))
    for column, leaf in enumerate(criteria.leaves):
        for row, option in enumerate(options):
            value = computed[option][leaf.id][1] if leaf.computed else leaves[leaf.id].value
            fits[row, column] = leaf.fit(option, value)
    return fits


def unknown_leaves(
    criteria: Criteria, leaves: Mapping[str, LeafFact], profile: Profile
) -> tuple[str, ...]:
    """Return the leaves nobody knows, computed ones included when ownership is unknown."""
    names = [leaf.id for leaf in criteria.leaves if not leaf.computed and not leaves[leaf.id].known]
    if profile.cap_table is None and profile.founder_share is None:
        names += ["founder_npv", "control_after"]
    return tuple(names)
