"""Criteria and weights: the tree as data, value functions, AHP with its consistency, presets.

AHP after T. L. Saaty, "The Analytic Hierarchy Process" (1980): weights are the principal right
eigenvector, CI = (lambda - n) / (n - 1), CR = CI / RI with Saaty's random index. Criteria and their
curves are expert defaults in `data/criteria_default.json`; nothing in code lists a leaf.
"""

from __future__ import annotations

import bisect
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn.exit_strategy.records import dataclass

from .contracts import CurveTable
from .errors import ExitError, Issue, suggest
from .reading.files import home, json_of
from .resources import cached, load_json

__all__ = [
    "BASE_OPTIONS",
    "EXTENDED_OPTIONS",
    "KEEPING_OPTIONS",
    "MOST_OPTIONS",
    "AhpResult",
    "Criteria",
    "Criterion",
    "Weights",
    "ahp",
    "check_options",
    "load_criteria",
    "resolve_weights",
]

FloatArray = npt.NDArray[np.float64]

BASE_OPTIONS = ("ipo", "ma", "transform")
EXTENDED_OPTIONS = ("license_hire", "private_round", "dual_track", "ma_buy")

#: What the owners of a company have beside these: keeping it, selling a part, selling it within.
KEEPING_OPTIONS = ("hold", "secondary", "mbo", "esop", "minority", "wind_down")

#: Options that can be compared at once.
MOST_OPTIONS = 8
_SUM_TOLERANCE = 5e-4  # published weights are rounded to four figures and are used as printed
_WARN_CR, _REFUSE_CR = 0.10, 0.20


@dataclass(frozen=True, slots=True)
class Criterion:
    """One leaf: a fact on the x axis, and per option the fit (0..1) it gives."""

    id: str
    group: str
    en: str
    zh: str
    unit: str
    log: bool
    computed: bool
    x: tuple[float, ...]
    fits: Mapping[str, tuple[float, ...]]

    grid: tuple[float, ...]  # x, or log10 x where `log`

    def fit(self, option: str, value: float) -> float:
        """Return the fit of `option` at `value` (in the leaf's unit), flat outside the curve."""
        at = _log10(value) if self.log else value
        xs, fits = self.grid, self.fits[option]
        if at <= xs[0]:
            return fits[0]
        if at >= xs[-1]:
            return fits[-1]
        k = bisect.bisect_right(xs, at)
        share = (at - xs[k - 1]) / (xs[k] - xs[k - 1])
        return fits[k - 1] + share * (fits[k] - fits[k - 1])

    def fit_columns(self, options: Sequence[str], values: FloatArray) -> FloatArray:
        """Return `fit` of every value (values, options), to the bit."""
        at = np.array([_log10(v) for v in values.tolist()]) if self.log else values
        xs = np.array(self.grid)
        k = np.clip(np.searchsorted(xs, at, side="right"), 1, len(xs) - 1)
        share = (at - xs[k - 1]) / (xs[k] - xs[k - 1])
        below, beyond = at <= xs[0], at >= xs[-1]
        out = np.empty((len(at), len(options)))
        for column, option in enumerate(options):
            fits = np.array(self.fits[option])
            inside = fits[k - 1] + share * (fits[k] - fits[k - 1])
            out[:, column] = np.where(below, fits[0], np.where(beyond, fits[-1], inside))
        return out

    def curve(self, options: Sequence[str]) -> CurveTable:
        """Return the curve as the sampling kernel reads it; x is log10 where `log`."""
        return CurveTable(self.grid, tuple(self.fits[option] for option in options), self.log)


def _log10(value: float) -> float:
    return math.log10(value) if value > 0 else -300.0


@dataclass(frozen=True, slots=True)
class Criteria:
    """The whole tree: groups in order with default weights, leaves in order."""

    groups: tuple[str, ...]
    group_weights: tuple[float, ...]
    leaves: tuple[Criterion, ...]
    options: tuple[str, ...]
    status: str
    group_of: tuple[int, ...]  # group index of each leaf
    local_weights: tuple[float, ...]  # equal shares, summing to 1 inside each group
    source: tuple[str, str] | None = None  # name and sha256 of a user's own file

    def leaf(self, name: str) -> Criterion:
        """Return the leaf with this id; KeyError names the nearest one."""
        for leaf in self.leaves:
            if leaf.id == name:
                return leaf
        raise KeyError(f"no leaf {name!r}; near: {suggest(name, [x.id for x in self.leaves])}")


@cached()
def _default_criteria() -> Criteria:
    return _read_criteria(load_json("criteria_default.json"), load_json("criteria_extended.json"))


def load_criteria(path: str | Path | None = None) -> Criteria:
    """Return the shipped criteria, or a file of the same layout; EX206 says what is wrong in it."""
    if path is None:
        return _default_criteria()
    try:
        data = home(path).read_bytes()
        raw = json_of(data.decode("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ExitError(
            Issue("EX206", "criteria", f"cannot read {path}: {error}", "give a JSON criteria file")
        ) from error
    made = _read_criteria(raw, load_json("criteria_extended.json"))
    return replace(made, source=(Path(path).name, hashlib.sha256(data).hexdigest()))


def _read_criteria(raw: Any, extended: Any) -> Criteria:
    try:
        weights = {str(name): float(value) for name, value in raw["group_weights"].items()}
        base = tuple(str(option) for option in raw["options"])
        leaves = tuple(_read_leaf(row, base, extended) for row in raw["criteria"])
        status = str(raw["status"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ExitError(
            Issue(
                "EX206",
                "criteria",
                f"criteria file lacks or misuses {error}",
                "keep the layout of data/criteria_default.json",
            )
        ) from error
    issues = [fault for leaf in leaves for fault in _leaf_faults(leaf, weights)]
    for group in weights:
        if not any(leaf.group == group for leaf in leaves):
            issues.append(Issue("EX206", f"criteria.{group}", "the group has no leaf", "add one"))
    if issues:
        raise ExitError(issues)
    named = (*base, *EXTENDED_OPTIONS, *KEEPING_OPTIONS)
    options = tuple(option for option in named if all(option in leaf.fits for leaf in leaves))
    _check_weights(list(weights.values()), "criteria.group_weights")
    groups = tuple(weights)
    counts = {group: sum(leaf.group == group for leaf in leaves) for group in groups}
    return Criteria(
        groups,
        tuple(weights.values()),
        leaves,
        options,
        status,
        tuple(groups.index(leaf.group) for leaf in leaves),
        tuple(1.0 / counts[leaf.group] for leaf in leaves),
    )


def _read_leaf(row: Mapping[str, Any], base: Sequence[str], extended: Any) -> Criterion:
    fits = {option: tuple(float(v) for v in row["fit"][option]) for option in base}
    computed = "computed" in row["source"] or "per option" in row["source"]
    xs = tuple(float(v) for v in row["x"])
    more = extended["fits"].get(row["id"])
    if computed:
        shared = fits[base[0]]
        fits.update(dict.fromkeys((*EXTENDED_OPTIONS, *KEEPING_OPTIONS), shared))
    elif more is not None and all(len(curve) == len(xs) for curve in more.values()):
        fits.update({option: tuple(map(float, curve)) for option, curve in more.items()})
        for option, blend in extended["blends"].items():
            one, two = (fits[name] for name in blend["of"])
            best = float(blend["best"])
            fits[option] = tuple(
                best * max(a, b) + (1 - best) * min(a, b) for a, b in zip(one, two, strict=True)
            )
    return Criterion(
        str(row["id"]),
        str(row["group"]),
        str(row["en"]),
        str(row["zh"]),
        str(row["unit"]),
        row["scale"] == "log10",
        computed,
        xs,
        fits,
        tuple(map(_log10, xs)) if row["scale"] == "log10" else xs,
    )


def _leaf_faults(leaf: Criterion, groups: Mapping[str, float]) -> list[Issue]:
    where = f"criteria.{leaf.id}"
    out: list[Issue] = []
    if leaf.group not in groups:
        out.append(
            Issue("EX206", where, f"group {leaf.group!r} has no weight", "name it in group_weights")
        )
    if len(leaf.x) < 2 or any(b <= a for a, b in zip(leaf.x, leaf.x[1:], strict=False)):
        out.append(Issue("EX206", where, "x does not rise strictly", "sort the breakpoints"))
    if leaf.log and leaf.x and leaf.x[0] <= 0:
        out.append(Issue("EX206", where, "a log10 scale needs x > 0", "use scale lin"))
    for option, curve in leaf.fits.items():
        if len(curve) != len(leaf.x) or not all(0 <= v <= 1 for v in curve):
            out.append(
                Issue(
                    "EX206",
                    f"{where}.fit.{option}",
                    "needs one fit from 0 to 1 per x",
                    f"give {len(leaf.x)} numbers",
                )
            )
    return out


#: Other words for the options, as people write them, without case, blanks and hyphens.
_WORDS = {
    "sale": "ma", "sell": "ma", "m&a": "ma", "merger": "ma", "tradesale": "ma", "exit": "ma",
    "acquisition": "ma", "acquired": "ma", "takeover": "ma", "出售": "ma", "并购": "ma",
    "listing": "ipo", "float": "ipo", "flotation": "ipo", "gopublic": "ipo", "goingpublic": "ipo",
    "public": "ipo", "上市": "ipo", "pivot": "transform", "transformation": "transform",
    "转型": "transform", "acquihire": "license_hire", "licence": "license_hire",
    "license": "license_hire", "round": "private_round", "raise": "private_round",
    "funding": "private_round", "fundraising": "private_round", "融资": "private_round",
    "buy": "ma_buy", "buyandbuild": "ma_buy", "rollup": "ma_buy", "收购": "ma_buy",
    "keep": "hold", "dividend": "hold", "dividends": "hold", "nothing": "hold", "wait": "hold",
    "stay": "hold", "分红": "hold", "buyout": "mbo", "managementbuyout": "mbo",
    "tender": "secondary", "tenderoffer": "secondary", "secondarysale": "secondary",
    "老股": "secondary",
    "employees": "esop", "trust": "esop", "eot": "esop", "minoritysale": "minority",
    "stake": "minority", "liquidate": "wind_down", "liquidation": "wind_down", "close": "wind_down",
    "shutdown": "wind_down", "winddown": "wind_down", "清算": "wind_down",
}  # fmt: skip


def _meant(word: str, known: Sequence[str]) -> str | None:
    """Return the option that a word means: another name of it, or one spelled nearly so."""
    plain = "".join(char for char in word.lower() if char not in " -_")
    meant = _WORDS.get(plain)
    return meant if meant in known else suggest(word.lower(), known)


def check_options(options: Sequence[str], criteria: Criteria) -> tuple[str, ...]:
    """Return the options as a tuple; EX207 for unknown, repeated or fewer than two."""
    if isinstance(options, str):
        options = [part.strip() for part in options.split(",") if part.strip()]
    out = tuple(options)
    issues = []
    for option in out:
        if option not in criteria.options:
            near = _meant(str(option), criteria.options)
            issues.append(
                Issue(
                    "EX207",
                    "options",
                    f"{option!r} is not an option",
                    f"did you mean {near!r}?"
                    if near
                    else f"options: {', '.join(criteria.options)}",
                    str(option),
                )
            )
    if len(out) > MOST_OPTIONS:
        text = f"{len(out)} options side by side"
        issues.append(Issue("EX207", "options", text, f"name at most {MOST_OPTIONS}"))
    if len(set(out)) != len(out):
        issues.append(Issue("EX207", "options", "an option is named twice", "name each once"))
    if len(out) < 2:
        issues.append(Issue("EX207", "options", "a choice needs two options", "name at least two"))
    if issues:
        raise ExitError(issues)
    return out


@dataclass(frozen=True, slots=True)
class AhpResult:
    """Weights of a pairwise matrix and how consistent its judgements are."""

    weights: tuple[float, ...]
    lambda_max: float
    ci: float
    cr: float
    random_index: str
    worst_triad: tuple[str, str, str] | None
    triad_text: str = ""


def ahp(matrix: Sequence[Sequence[float]], names: Sequence[str]) -> AhpResult:
    """Return AHP weights, consistency and the worst triad of a full pairwise matrix.

    EX203 when the matrix is not square, positive and reciprocal. CR uses Saaty's random index.
    """
    a = _pairwise(matrix, names)
    values, vectors = np.linalg.eig(a)
    first = int(np.argmax(values.real))
    weights = np.abs(vectors[:, first].real)
    weights = weights / weights.sum()
    n = len(names)
    lam = float(values[first].real)
    ci = max(0.0, (lam - n) / (n - 1)) if n > 1 else 0.0
    table = load_json("weight_presets.json")["random_index"]
    ri = table["values"][min(n, len(table["values"])) - 1]
    triad, text = _worst_triad(a, names)
    return AhpResult(
        tuple(map(float, weights)), lam, ci, ci / ri if ri else 0.0, table["name"], triad, text
    )


def _pairwise(matrix: Sequence[Sequence[float]], names: Sequence[str]) -> FloatArray:
    fault: str | None = None
    try:
        a = np.asarray(matrix, dtype=np.float64)
    except (TypeError, ValueError):
        a, fault = np.empty((0, 0)), "it holds something that is not a number"
    n = len(names)
    if fault is None and a.shape != (n, n):
        fault = f"its shape is {a.shape}, expected ({n}, {n})"
    elif fault is None and (not np.isfinite(a).all() or (a <= 0).any()):
        fault = "every entry must be positive"
    elif fault is None and not np.allclose(a * a.T, 1.0, rtol=1e-6, atol=0):
        i, j = divmod(int(np.argmax(np.abs(np.log(a * a.T)))), n)
        fault = f"{names[i]} over {names[j]} is {a[i, j]:g}, but the reverse is {a[j, i]:g}"
    if fault:
        raise ExitError(
            Issue(
                "EX203",
                "weights",
                f"pairwise matrix refused: {fault}",
                "give a[i][j] > 0 with a[j][i] = 1 / a[i][j]",
            )
        )
    return a


def _worst_triad(a: FloatArray, names: Sequence[str]) -> tuple[tuple[str, str, str] | None, str]:
    worst, found = 1e-9, None
    for i in range(len(names)):
        for j in range(i + 1, len(names)):
            for k in range(j + 1, len(names)):
                gap = abs(math.log(a[i, j] * a[j, k] / a[i, k]))
                if gap > worst:
                    worst, found = gap, (i, j, k)
    if found is None:
        return None, ""
    i, j, k = found
    text = (
        f"{names[i]} over {names[j]} is {a[i, j]:.3g} and {names[j]} over {names[k]} is "
        f"{a[j, k]:.3g}, so {names[i]} over {names[k]} should be near {a[i, j] * a[j, k]:.3g}, "
        f"but it is {a[i, k]:.3g}"
    )
    return (names[i], names[j], names[k]), text


@dataclass(frozen=True, slots=True)
class Weights:
    """Group weights in the criteria's order, where they came from, and warnings about them."""

    values: tuple[float, ...]
    source: str
    cr: float | None = None
    triad_text: str = ""  # set when the consistency ratio is above the warning line


def resolve_weights(
    weights: object, criteria: Criteria, *, allow_inconsistent: bool = False
) -> Weights:
    """Return group weights from a preset name, {group: weight}, a list, or a pairwise matrix."""
    if isinstance(weights, Weights):
        return weights
    if isinstance(weights, str):
        return _preset(weights, criteria)
    if isinstance(weights, Mapping):
        unknown = [name for name in weights if name not in criteria.groups]
        missing = [name for name in criteria.groups if name not in weights]
        if unknown or missing:
            raise ExitError(
                Issue(
                    "EX206",
                    "weights",
                    f"unknown groups {unknown}, missing groups {missing}",
                    f"give one weight for each of: {', '.join(criteria.groups)}",
                )
            )
        weights = [weights[name] for name in criteria.groups]
    if isinstance(weights, np.ndarray):
        weights = weights.tolist()
    if isinstance(weights, Sequence) and weights and isinstance(weights[0], Sequence):
        return _from_matrix(weights, criteria, "matrix", allow_inconsistent)
    if isinstance(weights, Sequence) and len(weights) == len(criteria.groups):
        return Weights(_check_weights(list(weights), "weights"), "given")
    raise ExitError(
        Issue(
            "EX206",
            "weights",
            f"cannot read weights from {type(weights).__name__}",
            f"give a preset, {len(criteria.groups)} weights, or a pairwise matrix",
        )
    )


def _preset(name: str, criteria: Criteria) -> Weights:
    table = load_json("weight_presets.json")
    if name not in table["presets"]:
        near = suggest(name, table["presets"])
        raise ExitError(
            Issue(
                "EX205",
                "weights",
                f"{name!r} is not a preset",
                f"did you mean {near!r}?" if near else f"presets: {', '.join(table['presets'])}",
                name,
            )
        )
    if tuple(table["order"]) != criteria.groups:
        raise ExitError(
            Issue(
                "EX205",
                "weights",
                "presets fit the shipped groups only",
                "give your own weights with your own criteria file",
            )
        )
    return _shipped_weights(name, criteria.groups)


@cached()
def _shipped_weights(name: str, groups: tuple[str, ...]) -> Weights:
    row = load_json("weight_presets.json")["presets"][name]
    cr = None
    if "upper_triangle" in row:
        made = ahp(_full_matrix(row["upper_triangle"]), groups)
        cr, values = made.cr, made.weights
    if "weights" in row:
        values = tuple(float(row["weights"][group]) for group in groups)
    return Weights(values, name, cr)


def _full_matrix(upper: Sequence[Sequence[Any]]) -> list[list[float]]:
    from fractions import Fraction

    n = len(upper) + 1
    full = [[1.0] * n for _ in range(n)]
    for i, row in enumerate(upper):
        for offset, entry in enumerate(row):
            value = float(Fraction(entry)) if isinstance(entry, str) else float(entry)
            full[i][i + 1 + offset] = value
            full[i + 1 + offset][i] = 1.0 / value
    return full


def _from_matrix(
    rows: Sequence[Any], criteria: Criteria, source: str, allow_inconsistent: bool
) -> Weights:
    made = ahp(rows, criteria.groups)
    triad = ""
    if made.cr > _WARN_CR:
        text = (
            f"consistency ratio {made.cr:.3f} ({made.random_index}) is above {_WARN_CR}; "
            f"worst triad: {made.triad_text}"
        )
        if made.cr > _REFUSE_CR and not allow_inconsistent:
            raise ExitError(
                Issue(
                    "EX204",
                    "weights",
                    text,
                    "mend the triad, or pass allow_inconsistent=True",
                    f"{made.cr:.4f}",
                )
            )
        triad = made.triad_text
    return Weights(made.weights, source, made.cr, triad)


def _check_weights(weights: list[Any], field: str) -> tuple[float, ...]:
    issues = []
    out = []
    for index, weight in enumerate(weights):
        bad = isinstance(weight, bool) or not isinstance(weight, int | float)
        if bad or not math.isfinite(weight) or weight < 0:
            issues.append(
                Issue(
                    "EX202",
                    f"{field}[{index}]",
                    f"{weight!r} is not a weight of 0 or more",
                    "give a number from 0 to 1",
                    str(weight),
                )
            )
        else:
            out.append(float(weight))
    if not issues and abs(sum(out) - 1.0) > _SUM_TOLERANCE:
        issues.append(
            Issue(
                "EX201",
                field,
                f"the weights sum to {sum(out):g}, not 1",
                "divide each by the sum",
                f"{sum(out):g}",
            )
        )
    if issues:
        raise ExitError(issues)
    return tuple(out)
