"""Judging one company: everything that is known of it before anything is sampled.

`evaluate`, a batch and every scenario judge by this one function: gates, facts, money, chances,
fits and scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from fastnn.exit_strategy.contracts import ExitModel, Proceeds
from fastnn.exit_strategy.criteria import Criteria
from fastnn.exit_strategy.gates.data import Gates
from fastnn.exit_strategy.gates.judge import judge_gates
from fastnn.exit_strategy.gates.results import GateReport
from fastnn.exit_strategy.money.outcomes import proceeds, proceeds_many
from fastnn.exit_strategy.notes import Note
from fastnn.exit_strategy.profile.profile import Profile
from fastnn.exit_strategy.records import dataclass

from .completion import BaseRate, Completion, base_of, complete
from .leaves import LeafFact, read_leaves
from .sampling import computed_facts
from .scores import Scores, score_many

__all__ = ["Frame", "Judgement", "judge", "judge_many", "point_fits", "unknown_leaves"]

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


def judge(profile: Profile, frame: Frame, *, base: BaseRate | None = None) -> Judgement:
    """Return what the frame says of a company; `base` stands for the frame's model."""
    report = judge_gates(profile, frame.gates, frame.options)
    return _judged([profile], frame, [report], base=base, brief=False)[0]


def judge_many(profiles: Sequence[Profile], frame: Frame) -> list[Judgement]:
    """Return what `judge` says of each company, without what only a report shows."""
    from fastnn.exit_strategy.gates.columns import judge_gates_many  # one company needs none

    if not profiles:
        return []
    reports = judge_gates_many(profiles, frame.gates, frame.options)
    return _judged(profiles, frame, reports, base=None, brief=True)


def _judged(
    profiles: Sequence[Profile],
    frame: Frame,
    reports: Sequence[GateReport],
    *,
    base: BaseRate | None,
    brief: bool,
) -> list[Judgement]:
    options, tree = frame.options, frame.criteria
    facts = [read_leaves(profile, tree) for profile in profiles]
    money = proceeds_many(profiles, options) if brief else [
        proceeds(profile, profile.cap_table, profile.assumptions, options) for profile in profiles
    ]  # fmt: skip
    rates = [base or base_of(profile, frame.model) for profile in profiles]
    rows = list(zip(profiles, reports, facts, money, rates, strict=True))
    chances = [
        complete(who, options, leaves, told, rate) for who, told, (leaves, _), _, rate in rows
    ]
    computed = [
        computed_facts(options, cash, chance, told)
        for (_, told, _, cash, _), chance in zip(rows, chances, strict=True)
    ]
    fits = fit_columns(tree, options, [leaves for leaves, _ in facts], computed)
    scores = score_many(tree, options, fits, frame.weights)
    return [
        Judgement(told, leaves, tuple(notes), cash, rate, chance, made, score,
                  unknown_leaves(tree, leaves, who))
        for (who, told, (leaves, notes), cash, rate), chance, made, score
        in zip(rows, chances, computed, scores, strict=True)
    ]  # fmt: skip


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


def fit_columns(
    criteria: Criteria,
    options: Sequence[str],
    leaves: Sequence[Mapping[str, LeafFact]],
    computed: Sequence[Mapping[str, Mapping[str, tuple[float, float, float]]]],
) -> FloatArray:
    """Return `point_fits` of every company, (companies, options, leaves), to the bit."""
    if len(leaves) == 1:
        return point_fits(criteria, options, leaves[0], computed[0])[None]
    fits = np.empty((len(leaves), len(options), len(criteria.leaves)))
    for column, leaf in enumerate(criteria.leaves):
        if not leaf.computed:
            own = np.array([facts[leaf.id].value for facts in leaves], dtype=np.float64)
            fits[:, :, column] = leaf.fit_columns(options, own)
            continue
        for row, option in enumerate(options):
            own = np.array([facts[option][leaf.id][1] for facts in computed])
            fits[:, row, column] = leaf.fit_columns([option], own)[:, 0]
    return fits


def unknown_leaves(
    criteria: Criteria, leaves: Mapping[str, LeafFact], profile: Profile
) -> tuple[str, ...]:
    """Return the leaves nobody knows, computed ones included when ownership is unknown."""
    names = [leaf.id for leaf in criteria.leaves if not leaf.computed and not leaves[leaf.id].known]
    if profile.cap_table is None and profile.founder_share is None:
        names += ["founder_npv", "control_after"]
    return tuple(names)
