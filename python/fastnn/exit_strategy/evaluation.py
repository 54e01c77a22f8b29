"""Evaluate one profile: judged by `scoring.judging`, then sampled, ranked and explained.

`batch` does the same for many profiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from .contracts import ExitModel, SamplingSpec, Simulation
from .criteria import BASE_OPTIONS, Criteria, Weights, check_options, load_criteria, resolve_weights
from .errors import ExitError, Issue
from .gates.data import Gates, load_gates
from .gates.judge import unique
from .notes import Note
from .profile.profile import Profile
from .resources import data_hashes, load_json
from .result import Result
from .scoring.explain import differences, find_flips
from .scoring.judging import Frame, Judgement, judge, point_fits, unknown_leaves
from .scoring.ranking import methods_agree, rank_rows, recommend
from .scoring.record import MIN_P_FIRST, Provenance, Recommendation, TornadoBar
from .scoring.sampling import build_spec
from .scoring.told import told_of
from .scoring.uncertainty import survey

__all__ = [
    "DEFAULT_DRAWS",
    "check_draws",
    "compare",
    "evaluate",
    "point_fits",
    "rank_rows",
    "recommend",
    "suited_options",
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

    `options` are up to eight names, or "suited": those that fit the company's cash.
    `weights` is a preset name, {group: weight}, a list or a pairwise matrix; `kappa` says how
    firmly the weights are held (60 by default). The same seed gives the same bytes on one platform.
    """
    company = profile if isinstance(profile, Profile) else Profile.from_dict(profile)
    tree = criteria or load_criteria()
    if isinstance(options, str) and options.strip() == "suited":
        options = suited_options(company)
    chosen = check_options(options, tree)
    weighting = resolve_weights(weights, tree, allow_inconsistent=allow_inconsistent)
    check_draws(draws, seed, kappa, len(chosen), threads)
    gate_data = gates or load_gates()
    made = judge(company, Frame(tree, chosen, tuple(weighting.values), gate_data, model))
    report, money, scores = made.report, made.money, made.scores
    spec = build_spec(company, tree, chosen, weighting.values, made.leaves, made.computed, report)
    main, others, bars = _sample(spec, draws, seed, kappa, threads)
    ranking = rank_rows(main, scores, report)
    (agree,) = methods_agree([scores], [spec.open_options], weighting)
    advice = recommend(tree, weighting, ranking, scores, made.unknown, bars, agree)
    order = [chosen.index(row.option) for row in ranking]
    doubted = float(others["curve_doubt"][order[0]])
    second = order[1] if len(order) > 1 else order[0]
    open_rows = [k for k, option in enumerate(chosen) if report.is_open(option)]
    return Result(
        profile=company,
        options=chosen,
        weights=dict(zip(tree.groups, weighting.values, strict=True)),
        ranking=ranking,
        advice=advice,
        scores=scores,
        groups=tree.groups,
        leaves=MappingProxyType(dict(made.leaves)),
        completion=made.chances,
        base=made.base,
        gates=report,
        proceeds=money,
        computed=made.computed,
        p_rank={o: tuple(map(float, main.p_rank[k])) for k, o in enumerate(chosen)},
        other_kappa={
            name: dict(zip(chosen, map(float, shares), strict=True))
            for name, shares in others.items()
        },
        tornado=bars,
        differences=differences(tree, scores, order[0], second, made.leaves),
        flips=find_flips(tree, scores, weighting.values, made.leaves, open_rows, kappa),
        unknown=made.unknown,
        warnings=unique(_warnings(company, made, weighting, advice, doubted)),
        provenance=Provenance(
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
        spec=spec,
        criteria=tree,
        gate_data=gate_data,
    )


def suited_options(company: Profile) -> tuple[str, ...]:
    """Return the options that fit a company's cash: what earnings pay for, or what cash allows."""
    if company.monthly_burn <= 0:
        return ("ipo", "ma", "transform", "hold", "secondary", "minority", "mbo", "esop")
    return ("ipo", "ma", "transform", "private_round", "secondary", "license_hire", "wind_down")


def _warnings(
    company: Profile,
    made: Judgement,
    weighting: Weights,
    advice: Recommendation,
    doubted: float,
) -> list[Note]:
    """What a reader of the report is told about the inputs and their limits.

    `doubted` is the leader's share of first places when the curves are drawn as well.
    """
    out = [*made.report.warnings, *told_of(company, made, advice)]
    if weighting.triad_text:
        triad = {"cr": f"{weighting.cr:.3f}", "triad": weighting.triad_text}
        out.append(Note("inconsistent", triad))
    if advice.answer in made.scores.options and doubted < MIN_P_FIRST:
        out.append(Note("curve_doubt", {"p": f"{advice.p_first:.0%}", "q": f"{doubted:.0%}"}))
    return out


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


def _sample(
    spec: SamplingSpec, draws: int, seed: int, kappa: float, threads: int | None
) -> tuple[Simulation, dict[str, FloatArray], tuple[TornadoBar, ...]]:
    """The simulation, shares of first places under other assumptions, and the tornado."""
    doubt = float(load_json("spreads.json")["curve_doubt"])
    under = {
        "kappa20": (20.0, 0.0),
        "no_weight_information": (0.0, 0.0),
        "curve_doubt": (kappa, doubt),
    }
    main, runs, others = survey(spec, under, kappa=kappa, draws=draws, seed=seed, threads=threads)
    first = int(np.argmax(main.p_first))
    swings = runs[:, :, first].tolist()
    bars = [
        TornadoBar(leaf, low, high) for leaf, (low, high) in zip(spec.leaves, swings, strict=True)
    ]
    return main, others, tuple(sorted(bars, key=lambda bar: -abs(bar.swing)))


def _version() -> str:
    try:
        import fastnn

        return str(fastnn.__version__)
    except (ImportError, AttributeError):
        return "unbuilt"
