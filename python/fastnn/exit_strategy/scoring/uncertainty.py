"""Monte Carlo over weights and inputs: rank shares, score quantiles, tornado, total effects.

Turns a `SamplingSpec` into the variables of `fastnn.ensemble` and reads the counts back. Weights
are Dirichlet(kappa x group weights); inputs are joined by a Gaussian copula; random numbers are
Philox streams keyed by (seed, profile index, draw), shared by all options and all tornado runs.
Depends on NumPy and `fastnn.ensemble`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastnn.ensemble import KINDS, Ensemble, Summary, Variable, quantiles
from fastnn.exit_strategy.contracts import CurveTable, Distribution, SamplingSpec, Simulation
from fastnn.exit_strategy.errors import ExitError, Issue

__all__ = [
    "TORNADO_LEVELS",
    "Survey",
    "lead_runs",
    "marginal",
    "simulate",
    "simulate_many",
    "survey",
    "total_effects",
]

FloatArray = npt.NDArray[np.float64]

#: Quantiles at which a leaf is held in a tornado run.
TORNADO_LEVELS = (0.1, 0.9)

#: Places at which means of fits are taken.
_LEAD_GRID = 400

_SCORE_LEVELS = (0.05, 0.5, 0.95)

#: Bytes that draws (two f32 numbers per leaf, one per group) and scores may take.
_MEMORY = 1 << 30

#: Ensembles of the same inputs, by the firmness of their weights and the doubt of their curves.
_Family = dict[tuple[float | None, float], Ensemble]

#: The draws used last: they depend on their key alone, so keeping them changes no result.
_last: list[tuple[object, _Family]] = []
_MEMBERS = 4  # kept at once: an evaluation asks for four
_MAX_KEPT = 100_000  # draws; more are not worth their memory between two calls


def simulate(
    spec: SamplingSpec,
    *,
    kappa: float | None = 60.0,
    draws: int = 10_000,
    seed: int = 0,
    profile_index: int = 0,
    threads: int | None = None,
) -> Simulation:
    """Rank the options of one profile over `draws` draws.

    `kappa` is the firmness of the weights: None fixes them, 0 is the flat Dirichlet. Results are
    the same bytes for any number of threads.

    Raises:
        ExitError: EX501 draws or seed out of range, EX502 a specification that does not fit
            together, EX503 more memory than 1 GiB.
    """
    return simulate_many(
        [spec], kappa=kappa, draws=draws, seed=seed, first_index=profile_index, threads=threads
    )[0]


def simulate_many(
    specs: Sequence[SamplingSpec],
    *,
    kappa: float | None = 60.0,
    draws: int = 10_000,
    seed: int = 0,
    first_index: int = 0,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Simulation]:
    """Rank the options of many profiles on one stream, `first_index` (common random numbers).

    Each result equals `simulate(spec, profile_index=first_index)`: it depends neither on the order
    nor on the size of the batch. Specifications with the same layout (options, leaves, weights,
    curves, correlation) are scored together. Ctrl-C stops between profiles.
    """
    with _thread_count(threads):
        out: list[Simulation | None] = [None] * len(specs)
        done = 0
        for members in _by_layout(specs):
            first = specs[members[0]]
            ensemble = _ensemble(first, kappa, draws, seed, first_index)

            def report(part: int, _: int, start: int = done) -> None:
                if progress is not None:
                    progress(start + part, len(specs))

            with _refused_input():
                summary = ensemble.score(
                    _marginals_many([specs[i] for i in members])
                    if len(members) > 1
                    else _marginals(first)[None],
                    np.array([_open(specs[i]) for i in members]),
                    quantiles=_SCORE_LEVELS,
                    progress=report,
                )
            for row, i in enumerate(members):
                out[i] = _simulation(specs[i], summary, row, draws, seed, kappa)
            done += len(members)
    return [s for s in out if s is not None]


class Survey(NamedTuple):
    """What one pass over the draws of a profile tells.

    `tornado` is p_first (leaves, 2, options) with each leaf held at its 10 % and 90 % quantile in
    turn while the others stay free; a leaf that is known exactly repeats the unheld p_first.
    `first_under` has p_first of each variant.
    """

    main: Simulation
    tornado: FloatArray
    first_under: dict[str, FloatArray]


def survey(
    spec: SamplingSpec,
    under: Mapping[str, tuple[float | None, float]] = MappingProxyType({}),
    *,
    kappa: float | None = 60.0,
    draws: int = 10_000,
    seed: int = 0,
    threads: int | None = None,
) -> Survey:
    """Return what `simulate` does, the tornado, and first places under other assumptions.

    `under` names variants: (firmness of the weights, doubt of the curves). All share their random
    numbers.

    Raises:
        ExitError: As `simulate`; EX502 also for variants of a specification whose curves are
            doubted.
    """
    wanted = ((kappa, spec.curve_doubt), *under.values())
    main, *variants = _ensembles(spec, wanted, draws, seed, 0)
    widest = replace(spec, curve_doubt=max(doubt for _, doubt in wanted))
    is_open = np.array(_open(spec))
    with _thread_count(threads), _refused_input():
        summary = main.score(
            _marginals(widest)[None],
            is_open[None],
            quantiles=_SCORE_LEVELS,
            pins=TORNADO_LEVELS,
            variants=variants,
        )
    runs = summary.pinned[0, : len(spec.leaves)] / float(draws)
    base = summary.ranks[0, :, 0] / float(draws)
    free = runs.sum(axis=2, keepdims=True) > 0
    shares = np.where(is_open, summary.firsts[0] / float(draws), 0.0)
    return Survey(
        _simulation(spec, summary, 0, draws, seed, kappa),
        np.where(free, runs, base),
        dict(zip(under, shares, strict=True)),
    )


def lead_runs(spec: SamplingSpec, leader: int, rival: int) -> FloatArray:
    """Mean score lead (leaves, 2) of one option over another with a leaf held as in a tornado run.

    The lead is what moves where the share of first places cannot: at 100 % of the draws. A lead is
    the sum of w_g * local * (fit_a - fit_b) over the leaves, weights have their mean, so this is
    exact but for the grid on which the means of fits are taken.
    """
    rows = _marginals(replace(spec, curve_doubt=0.0))
    at = (np.arange(_LEAD_GRID) + 0.5) / _LEAD_GRID
    levels = np.concatenate([at, TORNADO_LEVELS])
    swings = np.empty((len(spec.leaves), len(TORNADO_LEVELS)))
    total, row = 0.0, 0
    for leaf, curve in enumerate(spec.curves):
        if curve is None:
            both = rows[row + leader], rows[row + rival]
            gap = np.subtract(*(quantiles(part, levels) for part in both))
            row += len(spec.options)
        else:
            x = quantiles(rows[row], levels)
            x = np.log10(np.maximum(x, 1e-300)) if curve.log else x
            gap = np.subtract(*(np.interp(x, curve.x, curve.fits[o]) for o in (leader, rival)))
            row += 1
        gap = gap * spec.group_weights[spec.group_of[leaf]] * spec.local_weights[leaf]
        mean = float(gap[:_LEAD_GRID].mean())
        swings[leaf] = gap[_LEAD_GRID:] - mean
        total += mean
    return total + swings


def total_effects(
    spec: SamplingSpec,
    *,
    kappa: float | None = 60.0,
    draws: int = 10_000,
    seed: int = 0,
    profile_index: int = 0,
) -> tuple[FloatArray, FloatArray]:
    """Sobol total index of every leaf (leaves, options) and of the weights (options,).

    Saltelli pairs with Jansen's estimator on each option's score. The index is defined for
    independent inputs: a correlation in the specification is left out.
    """
    first = _ensemble(spec, kappa, draws, seed, profile_index, correlated=False)
    other = _ensemble(spec, kappa, draws, seed, profile_index + 2**31, correlated=False)
    with _refused_input():
        effects = first.total_effects(other, _marginals(spec))
    return effects[: len(spec.leaves)], effects[-1]


@contextmanager
def _thread_count(threads: int | None) -> Iterator[None]:
    """Set the number of threads for a block and put the old one back."""
    if threads is None:
        yield
        return
    import fastnn

    before = fastnn.get_num_threads()
    fastnn.set_num_threads(threads)
    try:
        yield
    finally:
        fastnn.set_num_threads(before)


@contextmanager
def _refused_input() -> Iterator[None]:
    """Turn what the core refuses into EX502."""
    try:
        yield
    except ExitError:
        raise
    except ValueError as error:
        text = str(error)
        raise _refuse("EX502", "spec", text, "check weights, inputs, curves, correlation") from None


def _layout_key(spec: SamplingSpec) -> tuple[object, ...]:
    matrix = None if spec.correlation is None else spec.correlation.tobytes()
    return (
        spec.options,
        spec.leaves,
        spec.group_of,
        spec.group_weights,
        spec.local_weights,
        spec.curves,
        matrix,
    )


def _by_layout(specs: Sequence[SamplingSpec]) -> list[list[int]]:
    """Places of specifications that are scored together: those made of the same parts.

    Parts are told by identity, which is quick; equal ones that are not the same are scored apart.
    """
    groups: dict[tuple[object, ...], list[int]] = {}
    for i, spec in enumerate(specs):
        parts = (
            spec.options, spec.leaves, spec.group_of, spec.group_weights, spec.local_weights,
            spec.curve_doubt, id(spec.curves), id(spec.correlation),
        )  # fmt: skip
        groups.setdefault(parts, []).append(i)
    return list(groups.values())


def _refuse(code: str, field: str, text: str, hint: str) -> ExitError:
    return ExitError(Issue(code, field, text, hint))


def _check(spec: SamplingSpec, kappa: float | None, draws: int, seed: int, index: int) -> None:
    if not 1 <= draws <= 100_000_000:
        raise _refuse("EX501", "draws", f"got {draws}", "choose 1 to 100,000,000 draws")
    if not 0 <= seed < 2**64 or not 0 <= index < 2**32:
        raise _refuse("EX501", "seed", f"got {seed}, profile {index}", "use 0 to 2**64 - 1")
    if kappa is not None and not (0 <= kappa < float("inf")):
        raise _refuse("EX501", "kappa", f"got {kappa}", "use None, 0 or a positive number")
    n, o = len(spec.leaves), len(spec.options)
    need = draws * 4 * (2 * (n + len(_doubts(spec))) + len(spec.group_weights) + o)
    if need > _MEMORY:
        raise _refuse(
            "EX503",
            "draws",
            f"{draws} draws need {need / 2**20:.0f} MiB, the limit is {_MEMORY >> 20} MiB",
            f"use at most {_MEMORY * draws // need:,} draws",
        )
    sizes = {len(x) for x in (spec.group_of, spec.local_weights, spec.inputs, spec.curves)}
    if sizes != {n} or spec.computed.shape != (o, n, 3) or o < 1 or n < 1:
        raise _refuse(
            "EX502", "spec", f"{n} leaves and {o} options do not fit the tables", "rebuild the spec"
        )
    if not 0 <= spec.curve_doubt <= 1:
        raise _refuse("EX502", "curve_doubt", f"got {spec.curve_doubt}", "use 0 to 1, such as 0.15")
    if spec.open_options and len(spec.open_options) != o:
        raise _refuse("EX502", "open_options", "one mark per option is needed", "rebuild the spec")


def _ensemble(
    spec: SamplingSpec,
    kappa: float | None,
    draws: int,
    seed: int,
    index: int,
    correlated: bool = True,
) -> Ensemble:
    wanted = ((kappa, spec.curve_doubt),)
    return _ensembles(spec, wanted, draws, seed, index, correlated)[0]


def _ensembles(
    spec: SamplingSpec,
    wanted: Sequence[tuple[float | None, float]],
    draws: int,
    seed: int,
    index: int,
    correlated: bool = True,
) -> list[Ensemble]:
    """Ensembles of the same inputs, each with its firmness of the weights and doubt of the curves.

    They come from those that were kept, and are kept for the next call.
    """
    specs = [replace(spec, curve_doubt=doubt) for _, doubt in wanted]
    for one, (kappa, _) in zip(specs, wanted, strict=True):
        _check(one, kappa, draws, seed, index)
    key = (_layout_key(spec), draws, seed, index, correlated)
    kept = next(iter(_last), None)  # one read: another thread may replace it
    family = dict(kept[1]) if kept is not None and kept[0] == key else {}
    with _refused_input():
        made = [
            _member(family, one, kappa, draws, seed, index, correlated)
            for one, (kappa, _) in zip(specs, wanted, strict=True)
        ]
    _last[:] = [(key, dict(list(family.items())[-_MEMBERS:]))] if draws <= _MAX_KEPT else []
    return made


def _member(
    family: _Family,
    spec: SamplingSpec,
    kappa: float | None,
    draws: int,
    seed: int,
    index: int,
    correlated: bool,
) -> Ensemble:
    """The ensemble of a specification, of what the family has where it has not this one."""
    key = (kappa, spec.curve_doubt)
    if spec.curve_doubt > 0:  # what it extends stays in the family as long as it does
        plain = replace(spec, curve_doubt=0.0)
        base = _member(family, plain, kappa, draws, seed, index, correlated)
        streams = len(spec.leaves) + len(_doubts(spec))
        made = family.pop(key, None) or base.extended(_doubt_variables(spec), streams=streams)
    elif key in family:
        made = family.pop(key)
    else:
        weights, total = _weights(spec, kappa)
        others = [one for (_, doubt), one in family.items() if doubt == 0]
        made = others[0].reweighted(weights, dirichlet_sum=total) if others else Ensemble(
            len(spec.options),
            _variables(spec),
            weights,
            dirichlet_sum=total,
            streams=len(spec.leaves),
            correlation=spec.correlation if correlated else None,
            draws=draws,
            seed=seed,
            stream=index,
        )  # fmt: skip
    family[key] = made  # the last used stands last
    return made


def _used_groups(spec: SamplingSpec) -> list[int]:
    """Groups of positive weight; a group of weight zero has no Dirichlet concentration."""
    return [g for g, w in enumerate(spec.group_weights) if w > 0]


def _weights(spec: SamplingSpec, kappa: float | None) -> tuple[list[float], float | None]:
    used = _used_groups(spec)
    if not used:
        raise _refuse("EX502", "group_weights", "all weights are zero", "give one group a weight")
    weights = [spec.group_weights[g] for g in used]
    total = sum(weights)
    if kappa is None:
        return weights, None
    if kappa == 0:
        return [1.0] * len(used), total
    return [kappa * w / total for w in weights], total


def _variables(spec: SamplingSpec) -> list[Variable]:
    """One variable per leaf, one per option for computed leaves; unused groups are left out."""
    group_at = {g: i for i, g in enumerate(_used_groups(spec))}
    out = []
    for leaf, curve in enumerate(spec.curves):
        group, local = spec.group_of[leaf], spec.local_weights[leaf]
        weight = local if group in group_at else 0.0
        at = group_at.get(group, 0)  # without weight it may stand anywhere
        if curve is not None:
            out.append(Variable(at, leaf, weight, curve.x, curve.fits, log=curve.log))
            continue
        options = range(len(spec.options))
        for option in options:
            fits = tuple((0.0, 1.0) if o == option else (0.0, 0.0) for o in options)
            out.append(Variable(at, leaf, weight, (0.0, 1.0), fits, only=option))
    return out


def _doubt_variables(spec: SamplingSpec) -> list[Variable]:
    """The errors of the curves, each on a stream of its own after those of the leaves."""
    group_at = {g: i for i, g in enumerate(_used_groups(spec))}
    out, d = [], spec.curve_doubt
    for stream, (group, option) in enumerate(_doubts(spec), len(spec.leaves)):
        fits = tuple((-d, d) if o == option else (0.0, 0.0) for o in range(len(spec.options)))
        out.append(Variable(group_at[group], stream, 1.0, (0.0, 1.0), fits, only=option))
    return out


def _doubts(spec: SamplingSpec) -> list[tuple[int, int]]:
    """(group, option) of every error of the curves that is drawn; none without doubt."""
    if spec.curve_doubt <= 0:
        return []
    return [(g, o) for g in _used_groups(spec) for o in range(len(spec.options))]


#: The specification asked for last, and its rows: an evaluation samples it under several weights,
#: with and without doubt of its curves.
_rows_of: list[tuple[SamplingSpec, FloatArray]] = []

_UNIFORM = [float(KINDS.index("uniform")), 0.0, 1.0, 0.0, 0.0, 1.0]
_TRIANGULAR = float(KINDS.index("triangular"))


def _marginals(spec: SamplingSpec) -> FloatArray:
    """Rows for `Ensemble.score`, in the order of `_variables`."""
    rows = None
    for known, made in _rows_of:
        alike = known.inputs is spec.inputs and known.computed is spec.computed
        if alike and known.curves is spec.curves and known.options == spec.options:
            rows = made
    if rows is None:
        rows = _inputs_of(spec)
        _rows_of[:] = [(spec, rows)]
    doubts = len(_doubts(spec))
    return np.concatenate([rows, np.array([_UNIFORM] * doubts)]) if doubts else rows


def _inputs_of(spec: SamplingSpec) -> FloatArray:
    """The rows of one specification, errors of its curves left out."""
    rows: list[Sequence[float]] = []
    for leaf, curve in enumerate(spec.curves):
        if curve is not None:
            rows.append(marginal(spec.inputs[leaf], spec.leaves[leaf], curve))
            continue
        for option, (low, mode, high) in enumerate(spec.computed[:, leaf].tolist()):
            if not 0 <= low <= mode <= high <= 1:
                raise _not_ordered(spec, leaf, option)
            rows.append((_TRIANGULAR, low, mode, high, 0.0, 1.0))
    return np.array(rows, dtype=np.float64)


def _marginals_many(specs: Sequence[SamplingSpec]) -> FloatArray:
    """Rows (companies, variables, 6) of specifications with one layout."""
    first = specs[0]
    columns: list[npt.ArrayLike] = []
    for leaf, curve in enumerate(first.curves):
        if curve is not None:
            name = first.leaves[leaf]
            columns.append([marginal(spec.inputs[leaf], name, curve) for spec in specs])
            continue
        for option in range(len(first.options)):
            columns.append(_computed_rows(specs, leaf, option))
    columns += [[_UNIFORM] * len(specs) for _ in _doubts(first)]
    return np.stack([np.asarray(rows, dtype=np.float64) for rows in columns], axis=1)


def _computed_rows(specs: Sequence[SamplingSpec], leaf: int, option: int) -> FloatArray:
    ends = np.array([spec.computed[option, leaf] for spec in specs], dtype=np.float64)
    low, mode, high = ends.T
    wrong = ~((low >= 0) & (low <= mode) & (mode <= high) & (high <= 1))
    if wrong.any():
        raise _not_ordered(specs[int(np.argmax(wrong))], leaf, option)
    rows = np.zeros((len(specs), 6))
    rows[:, 0], rows[:, 1:4], rows[:, 5] = _TRIANGULAR, ends, 1.0
    return rows


def _not_ordered(spec: SamplingSpec, leaf: int, option: int) -> ExitError:
    low, mode, high = spec.computed[option, leaf]
    return _refuse(
        "EX502",
        f"{spec.leaves[leaf]}.{spec.options[option]}",
        f"computed fit {low}, {mode}, {high} is not ordered inside 0 to 1",
        "give low <= mode <= high",
    )


#: Kind of a distribution -> its number in the core.
_KIND = {kind: float(number) for number, kind in enumerate(KINDS)}


def marginal(dist: Distribution, leaf: str, curve: CurveTable) -> tuple[float, ...]:
    """The row of `Ensemble.score` for an input's distribution."""
    kind, given = _KIND.get(dist.kind), dist.params
    if kind is None or not 1 <= len(given) <= 3:
        raise _refuse(
            "EX502",
            leaf,
            f"{dist.kind}{dist.params} is not a distribution",
            f"use {', '.join(KINDS)}",
        )
    params = (*given, 0.0, 0.0)[:3]
    low, high = dist.low, dist.high
    if curve.log:
        # The curve is flat below its first knot; a log of zero or less reads as that knot.
        low = max(low, 10.0 ** (curve.x[0] - 1.0))
        high = max(low, high)
    if not low <= high or any(p != p for p in given):
        raise _refuse(
            "EX502", leaf, f"{dist.kind}{dist.params} in {low} to {high}", "check the limits"
        )
    return (kind, *params, low, high)


def _open(spec: SamplingSpec) -> list[bool]:
    return list(spec.open_options) or [True] * len(spec.options)


def _simulation(
    spec: SamplingSpec, summary: Summary, row: int, draws: int, seed: int, kappa: float | None
) -> Simulation:
    shares = summary.ranks[row] / float(draws)
    is_open = np.array(_open(spec))
    p_first = np.where(is_open, shares[:, 0], 0.0)
    quantiles = summary.quantiles[row]
    return Simulation(
        options=spec.options,
        p_first=p_first,
        p_rank=shares,
        score_mean=summary.mean[row].copy(),
        score_p05=quantiles[:, 0].copy(),
        score_p50=quantiles[:, 1].copy(),
        score_p95=quantiles[:, 2].copy(),
        mc_error=np.sqrt(p_first * (1.0 - p_first) / draws),
        draws=draws,
        seed=seed,
        kappa=kappa,
    )
