"""Build the sampling specification: leaves, curves, computed fits, correlation, open options.

The sampling itself is `uncertainty.simulate`; this module only says what is uncertain and how.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from fastnn.exit_strategy.contracts import CurveTable, Distribution, Proceeds, SamplingSpec
from fastnn.exit_strategy.criteria import Criteria
from fastnn.exit_strategy.errors import ExitError, Issue
from fastnn.exit_strategy.gates.results import GateReport
from fastnn.exit_strategy.profile.profile import Profile
from fastnn.exit_strategy.resources import cached, load_json

from .completion import Completion
from .leaves import LEAF_FIELDS, LeafFact

__all__ = ["build_spec", "computed_facts", "computed_fits", "correlation_of", "curves_of"]

FloatArray = npt.NDArray[np.float64]
Triple = tuple[float, float, float]

#: Stands in the place of an input where a leaf is computed.
_COMPUTED = Distribution("fixed", (0.0,))


def computed_facts(
    options: Sequence[str],
    proceeds: Proceeds,
    completion: Mapping[str, Completion],
    report: GateReport,
) -> dict[str, dict[str, Triple]]:
    """Return option -> leaf -> (low, middle, high) of the four computed economics leaves."""
    spread = load_json("spreads.json")
    months, chance = float(spread["months_to_cash"]), float(spread["p_complete"])
    low_cap, high_cap = map(float, spread["completion"]["cap"])
    out: dict[str, dict[str, Triple]] = {}
    best = [max(max(proceeds.options[o].founder_npv[k], 0.0) for o in options) for k in range(3)]
    for option in options:
        money = proceeds.options[option]
        ratios = [
            min(1.0, max(0.0, money.founder_npv[k]) / best[k]) if best[k] > 0 else 0.0
            for k in range(3)
        ]
        wait = money.months_to_cash + sum(
            item.months for item in report.regulatory if option in item.options
        )
        p = completion[option].value
        held = money.control_after
        out[option] = {
            "founder_npv": (min(ratios), ratios[1], max(ratios)),
            "months_to_cash": (wait * (1 - months), wait, wait * (1 + months)),
            "p_complete": (
                max(low_cap, p * (1 - chance)), p, min(high_cap, p * (1 + chance)),
            ),
            "control_after": (held, held, held),
        }  # fmt: skip
    return out


def build_spec(
    profile: Profile,
    criteria: Criteria,
    options: Sequence[str],
    weights: Sequence[float],
    leaves: Mapping[str, LeafFact],
    computed: Mapping[str, Mapping[str, Triple]],
    report: GateReport,
    curves: tuple[CurveTable | None, ...] | None = None,
    fits: FloatArray | None = None,
) -> SamplingSpec:
    """Return what `uncertainty.simulate` needs for one profile.

    `curves` are those of `curves_of` and `fits` a company's of `computed_fits`, for callers that
    build many.
    """
    if fits is None:
        fits = computed_fits(criteria, options, [computed])[0]
    inputs = tuple(
        _COMPUTED if leaf.computed else leaves[leaf.id].distribution for leaf in criteria.leaves
    )
    return SamplingSpec(
        tuple(options),
        tuple(leaf.id for leaf in criteria.leaves),
        criteria.group_of,
        tuple(weights),
        criteria.local_weights,
        inputs,
        curves_of(criteria, options) if curves is None else curves,
        fits,
        correlation_of(profile, criteria),
        tuple(report.is_open(option) for option in options),
    )


#: The curves asked for last: one company after another is scored by the same ones.
_curves_of: list[tuple[Criteria, tuple[str, ...], tuple[CurveTable | None, ...]]] = []


def curves_of(criteria: Criteria, options: Sequence[str]) -> tuple[CurveTable | None, ...]:
    """Return the curve of every leaf; computed leaves have none."""
    chosen = tuple(options)
    for tree, known, curves in _curves_of:
        if tree is criteria and known == chosen:
            return curves
    made = tuple(None if leaf.computed else leaf.curve(chosen) for leaf in criteria.leaves)
    _curves_of[:] = [(criteria, chosen, made)]
    return made


def computed_fits(
    criteria: Criteria,
    options: Sequence[str],
    computed: Sequence[Mapping[str, Mapping[str, Triple]]],
) -> FloatArray:
    """Return the fits (companies, options, leaves, 3) of computed leaves, rising; else NaN."""
    fits = np.full((len(computed), len(options), len(criteria.leaves), 3), np.nan)
    for column, leaf in enumerate(criteria.leaves):
        if leaf.computed:
            for row, option in enumerate(options):
                if len(computed) == 1:  # a few numbers are quicker than columns of one
                    three = computed[0][option][leaf.id]
                    fits[0, row, column] = sorted(leaf.fit(option, fact) for fact in three)
                    continue
                facts = np.array([made[option][leaf.id] for made in computed])
                made = leaf.fit_columns([option], facts.ravel()).reshape(facts.shape)
                fits[:, row, column] = np.sort(made, axis=1)
    return fits


def correlation_of(profile: Profile, criteria: Criteria) -> FloatArray:
    """Return the copula's correlation matrix over the leaves; EX120 when it is not valid."""
    return _correlation(profile.correlation, tuple(leaf.id for leaf in criteria.leaves))


@cached(maxsize=64)
def _correlation(triples: tuple[tuple[str, str, float], ...], ids: tuple[str, ...]) -> FloatArray:
    matrix = np.eye(len(ids))
    by_field: dict[str, list[str]] = {}
    for leaf, path in LEAF_FIELDS.items():
        by_field.setdefault(path, []).append(leaf)
    for one, two, rho in load_json("spreads.json")["correlation"]:
        _set(matrix, ids, one, two, float(rho))
    for field_a, field_b, rho in triples:
        for one in by_field.get(field_a, ()):
            for two in by_field.get(field_b, ()):
                _set(matrix, ids, one, two, rho)
    if float(np.linalg.eigvalsh(matrix)[0]) < 1e-9:
        raise ExitError(
            Issue(
                "EX120",
                "correlation",
                "the correlations contradict each other",
                "lower them until the matrix is positive definite",
            )
        )
    matrix.setflags(write=False)  # shared by every profile with these correlations
    return matrix


def _set(matrix: FloatArray, ids: Sequence[str], one: str, two: str, rho: float) -> None:
    if one in ids and two in ids and one != two:
        a, b = ids.index(one), ids.index(two)
        matrix[a, b] = matrix[b, a] = rho
