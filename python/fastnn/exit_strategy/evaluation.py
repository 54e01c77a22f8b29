"""Evaluate one profile: gates, money, chances, scores, sampling, explanation.

This is the one place where the rooms meet; each step is a function of another room. `batch` does
the same for many profiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from .base_rates import PRICE_BAND, price_over_raised
from .completion import base_of, complete
from .contracts import ExitModel, Simulation
from .criteria import BASE_OPTIONS, Criteria, Weights, check_options, load_criteria, resolve_weights
from .errors import ExitError, Issue
from .explain import differences, find_flips
from .gate_data import Gates, load_gates
from .gates import GateReport, judge_gates, unique
from .leaves import LeafFact, read_leaves
from .notes import Note
from .profile import Profile
from .resources import data_hashes
from .result import (
    MAX_UNKNOWN,
    MIN_LEAD,
    MIN_P_FIRST,
    Provenance,
    Rank,
    Recommendation,
    Result,
    TornadoBar,
)
from .sampling import build_spec, computed_facts
from .scoring import Scores, score_fits, topsis

__all__ = [
    "DEFAULT_DRAWS",
    "check_draws",
    "compare",
    "evaluate",
    "point_fits",
    "rank_rows",
    "recommend",
    "unknown_leaves",
]

FloatArray = npt.NDArray[np.float64]

DEFAULT_DRAWS = 10_000
MAX_DRAW_CELLS = 100_000_000  # draws x options; beyond it the answer does not get better
_DATA_FILES = (
    "criteria_default.json",
    "criteria_extended.json",
    "weight_presets.json",
    "spreads.json",
    "fx_rates.json",
)


def evaluate(
    profile: Profile | Mapping[str, Any],
    *,
    options: Sequence[str] = BASE_OPTIONS,
    weights: object = "founder",
    draws: int = DEFAULT_DRAWS,
    seed: int = 0,
    kappa: float = 60.0,
    gates: Gates | None = None,
    model: ExitModel | None = None,
    criteria: Criteria | None = None,
    allow_inconsistent: bool = False,
    threads: int | None = None,
) -> Result:
    """Return ranking, gates, proceeds, explanation and advice for one company.

    `weights` is a preset name, {group: weight}, a list or a pairwise matrix; `kappa` says how
    firmly the weights are held (60 by default). The same seed gives the same bytes on one platform.
    """
    from .money import proceeds as find_proceeds

    company = profile if isinstance(profile, Profile) else Profile.from_dict(profile)
    tree = criteria or load_criteria()
    chosen = check_options(options, tree)
    weighting = resolve_weights(weights, tree, allow_inconsistent=allow_inconsistent)
    check_draws(draws, seed, kappa, len(chosen), threads)
    gate_data = gates or load_gates()
    report = judge_gates(company, gate_data, chosen)
    leaves, notes = read_leaves(company, tree)
    money = find_proceeds(company, company.cap_table, company.assumptions, chosen)
    base = base_of(company, model)
    chances = complete(company, chosen, leaves, report, base)
    computed = computed_facts(chosen, money, chances, report)
    spec = build_spec(company, tree, chosen, weighting.values, leaves, computed, report)
    fits = point_fits(tree, chosen, leaves, computed)
    scores = score_fits(tree, chosen, fits, weighting.values)
    sims, bars = _sample(spec, draws, seed, kappa, threads)
    unknown = unknown_leaves(tree, leaves, company)
    ranking = rank_rows(sims["main"], scores, report)
    advice = recommend(tree, weighting, ranking, scores, unknown, bars)
    order = [chosen.index(row.option) for row in ranking]
    second = order[1] if len(order) > 1 else order[0]
    open_rows = [k for k, option in enumerate(chosen) if report.is_open(option)]
    flags = [*money.flags, *(flag for row in money.options.values() for flag in row.flags)]
    warnings = [*notes, *report.warnings, *(Note(flag) for flag in flags)]
    if weighting.triad_text:
        warnings.append(
            Note("inconsistent", {"cr": f"{weighting.cr:.3f}", "triad": weighting.triad_text})
        )
    multiple = price_over_raised(company)
    if multiple is not None and not PRICE_BAND[0] <= multiple <= PRICE_BAND[2]:
        low, middle, high = (f"{v:g}" for v in PRICE_BAND)
        band = {"ratio": f"{multiple:.1f}", "low": low, "middle": middle, "high": high}
        warnings.append(Note("price_band", band))
    if company.country != "US":
        warnings.append(Note("us_rates"))
    if not base.in_hull:
        warnings.append(Note("outside_model", {"features": " ".join(base.outside)}))
    return Result(
        company,
        chosen,
        dict(zip(tree.groups, weighting.values, strict=True)),
        ranking,
        advice,
        scores,
        tree.groups,
        MappingProxyType(leaves),
        chances,
        base,
        report,
        money,
        computed,
        {o: tuple(map(float, sims["main"].p_rank[k])) for k, o in enumerate(chosen)},
        {
            name: dict(zip(chosen, map(float, sim.p_first), strict=True))
            for name, sim in sims.items()
            if name != "main"
        },
        bars,
        differences(tree, scores, order[0], second, leaves),
        find_flips(tree, scores, weighting.values, leaves, open_rows),
        unknown,
        unique(warnings),
        Provenance(
            _version(),
            seed,
            draws,
            kappa,
            weighting.source,
            {
                **data_hashes(_DATA_FILES),
                **(dict([tree.source]) if tree.source else {}),
                **gate_data.hashes,
            },
            gate_data.checked.isoformat(),
            company.as_of,
        ),
        spec,
        tree,
        gate_data,
    )


def compare(profiles: Sequence[Profile | Mapping[str, Any]], **settings: Any) -> tuple[Result, ...]:
    """Return one result per company under the same settings."""
    return tuple(evaluate(profile, **settings) for profile in profiles)


def check_draws(
    draws: int, seed: int, kappa: float, options: int, threads: int | None = None
) -> None:
    """Refuse draws, seed, kappa or threads out of range (EX501, EX503)."""
    issues = []
    if threads is not None and (
        isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= 256
    ):
        text = f"{threads!r} is not a number of threads"
        issues.append(Issue("EX501", "threads", text, "use 1 to 256", str(threads)))
    if isinstance(draws, bool) or not isinstance(draws, int) or draws < 100:
        issues.append(
            Issue("EX501", "draws", f"{draws!r} draws are too few", "use 100 or more", str(draws))
        )
    elif draws * options > MAX_DRAW_CELLS:
        issues.append(
            Issue(
                "EX503",
                "draws",
                f"{draws} draws x {options} options pass the memory limit",
                f"use at most {MAX_DRAW_CELLS // options} draws",
                str(draws),
            )
        )
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**64:
        issues.append(
            Issue("EX501", "seed", f"{seed!r} is not a seed", "use 0 to 2**64 - 1", str(seed))
        )
    if isinstance(kappa, bool) or not isinstance(kappa, int | float) or not 0 <= kappa <= 1e9:
        issues.append(
            Issue(
                "EX501",
                "kappa",
                f"{kappa!r} is not a firmness",
                "use 60, or 0 for none at all",
                str(kappa),
            )
        )
    if issues:
        raise ExitError(issues)


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


def _sample(
    spec: Any, draws: int, seed: int, kappa: float, threads: int | None
) -> tuple[dict[str, Simulation], tuple[TornadoBar, ...]]:
    from .uncertainty import simulate, tornado_runs

    main = simulate(spec, kappa=kappa, draws=draws, seed=seed, threads=threads)
    runs = tornado_runs(spec, kappa=kappa, draws=draws, seed=seed)  # on the same draws
    sims = {"main": main}
    for name, firmness in (("kappa20", 20.0), ("no_weight_information", 0.0)):
        sims[name] = simulate(spec, kappa=firmness, draws=draws, seed=seed, threads=threads)
    first = int(np.argmax(main.p_first))
    bars = [
        TornadoBar(leaf, float(runs[k, 0, first]), float(runs[k, 1, first]))
        for k, leaf in enumerate(spec.leaves)
    ]
    return sims, tuple(sorted(bars, key=lambda bar: -abs(bar.swing)))


def unknown_leaves(
    criteria: Criteria, leaves: Mapping[str, LeafFact], profile: Profile
) -> tuple[str, ...]:
    """Return the leaves nobody knows, computed ones included when ownership is unknown."""
    names = [leaf.id for leaf in criteria.leaves if not leaf.computed and not leaves[leaf.id].known]
    if profile.cap_table is None and profile.founder_share is None:
        names += ["founder_npv", "control_after"]
    return tuple(names)


def rank_rows(sim: Simulation, scores: Scores, report: GateReport) -> tuple[Rank, ...]:
    """Return the ranking: open options first, by first-place chance, then by mean score."""
    rows = [
        Rank(
            option,
            float(sim.p_first[k]),
            float(sim.score_mean[k]),
            float(sim.score_p05[k]),
            float(sim.score_p95[k]),
            report.is_open(option),
            float(sim.mc_error[k]),
            float(scores.wsm[k]),
            float(scores.topsis[k]),
        )
        for k, option in enumerate(sim.options)
    ]
    # chances that differ by less than a hundredth are even; the mean score orders those
    return tuple(
        sorted(rows, key=lambda row: (not row.open, -round(row.p_first, 2), -row.score_mean))
    )


def recommend(
    criteria: Criteria,
    weights: Weights,
    ranking: Sequence[Rank],
    scores: Scores,
    unknown: Sequence[str],
    bars: Sequence[TornadoBar],
) -> Recommendation:
    """Apply the recommendation rule of section 6.4: sure enough, far enough, both methods agree."""
    total = sum(weights.values)
    share = sum(
        weights.values[group] * local
        for leaf, group, local in zip(
            criteria.leaves, criteria.group_of, criteria.local_weights, strict=True
        )
        if leaf.id in unknown
    )
    unknown_weight = share / total if total else 1.0
    rows = [row for row in ranking if row.open]
    pair = tuple(row.option for row in rows[:2])
    rivals = [row.score_mean for row in rows[1:]]
    lead = rows[0].score_mean - max(rivals) if rivals else 1.0
    agree = _methods_agree(rows, scores, weights)
    swings = [bar.leaf for bar in bars if abs(bar.swing) > 0]
    settle = tuple(dict.fromkeys([*(n for n in swings if n in unknown), *swings]))[:5]
    p_first = rows[0].p_first if rows else 0.0
    if not rows:
        answer = "none_open"
    elif unknown_weight > MAX_UNKNOWN:
        answer = "insufficient_information"
    elif p_first >= MIN_P_FIRST and lead >= MIN_LEAD and agree:
        answer = rows[0].option
    else:
        answer = "near_tie"
    return Recommendation(answer, pair, p_first, lead, agree, unknown_weight, settle)


def _methods_agree(rows: Sequence[Rank], scores: Scores, weights: Weights) -> bool:
    """Return whether weighted sum and TOPSIS put the same open option first (ties agree)."""
    if len(rows) < 2:
        return True
    at = [scores.options.index(row.option) for row in rows]
    wsm = scores.wsm[at]
    close = topsis(scores.groups[at], weights.values)
    best_wsm = set(np.flatnonzero(wsm >= wsm.max() - 1e-12).tolist())
    best_close = set(np.flatnonzero(close >= close.max() - 1e-12).tolist())
    return bool(best_wsm & best_close)


def _version() -> str:
    try:
        import fastnn

        return str(fastnn.__version__)
    except (ImportError, AttributeError):
        return "unbuilt"
