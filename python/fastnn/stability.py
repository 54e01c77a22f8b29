"""How much a model's quality depends on its seed and on the rows it is trained on.

Depends on NumPy, `models`, `training` and `display`; estimators of scikit-learn are served by what
they have.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.base import tree
from fastnn.base.absent import answer_missing
from fastnn.base.arguments import as_number, is_whole, verbosity
from fastnn.base.messages import print_msg
from fastnn.data.arrays import as_arrays, is_sparse, unmasked
from fastnn.display.progress import Progbar, format_value
from fastnn.models import Model
from fastnn.training.many import Seeded, checked_workers, side_by_side

__all__ = ["Stability", "evaluate_stability"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Spread:
    """One metric over all runs: `values` is (seeds, folds)."""

    values: Array
    mean: float
    deviation: float
    interval: tuple[float, float]
    worst: float | None
    worst_fold: tuple[int, int] | None
    rises: bool | None

    def __str__(self) -> str:
        low, high = map(format_value, self.interval)
        text = (
            f"{format_value(self.mean)} +- {format_value(self.deviation)}, 95 % interval {low} to "
            f"{high}"
        )
        if self.worst_fold is None:
            return text
        seed, fold = self.worst_fold
        return f"{text}, worst {format_value(self.worst)} (seed {seed}, fold {fold})"


class Stability(Mapping[str, Spread]):
    """What `evaluate_stability` found: a mapping from the name of a metric to its spread.

    A spread has `values` (seeds, folds), `mean`, `deviation` (over all runs), `interval` (95 % of
    the mean), `worst`, `worst_fold` as (seed, number of the fold) and `rises`, which says whether
    more is better; of a metric that does not say so these three are None.

    Args:
        spreads: The spreads by metric.
        seeds: The seeds.
        folds: How many folds there were.

    Example:
        >>> def build():
        ...     model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
        ...     model.compile(fastnn.optimizers.Adam(0.1), "mse")
        ...     return model
        >>> x = np.random.default_rng(0).normal(size=(60, 2))
        >>> found = fastnn.evaluate_stability(build, x, x.sum(1), seeds=2, folds=3, epochs=50,
        ...                                   verbose=0)
        >>> list(found), found["loss"].values.shape
        (['loss'], (2, 3))
    """

    seeds: list[int]
    folds: int

    def __init__(self, spreads: dict[str, Spread], seeds: Sequence[int], folds: int) -> None:
        self._spreads = spreads
        self.seeds, self.folds = list(seeds), folds

    def __getitem__(self, name: str) -> Spread:
        return self._spreads[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._spreads)

    def __len__(self) -> int:
        return len(self._spreads)

    def __str__(self) -> str:
        head = f"{len(self.seeds)} seeds x {self.folds} folds"
        return "\n".join([head, *(f"  {name}: {spread}" for name, spread in self.items())])

    __repr__ = __str__


def evaluate_stability(
    build: Callable[[], Any],
    X: Any,
    y: Any,
    *,
    seeds: int | Sequence[int] = 10,
    folds: int = 5,
    sample_weight: Any = None,
    verbose: Any = "auto",
    workers: int | None = None,
    **fit: Any,
) -> Stability:
    """Trains and tests on every fold under every seed; says how far the metrics scatter.

    Each seed cuts the rows into folds of its own, in equal shares of each class where y holds
    classes; each run builds a new model. The same arguments give the same bits again, whatever was
    drawn before.

    The interval is that of the mean by the corrected resampled t test (Nadeau and Bengio 2003): the
    runs share rows, so their plain standard error would be too small.

    Args:
        build: A function without arguments that gives a compiled model, or an estimator with `fit`
            and `score`, such as a pipeline; each `random_state` in it gets the seed.
        X: Rows: an array, a frame, a sparse matrix, or a list or dict of arrays.
        y: Targets, one per row.
        seeds: How many seeds (0, 1, …), or the seeds.
        folds: How many parts the rows are cut into; each is tested on once a seed.
        sample_weight: A weight per row, for training and testing.
        verbose: 0 is silent, 1 shows progress and prints the result, 2 prints a line a run.
        workers: How many models train at the same time, one core each; None: as many as the core
            uses threads. Estimators run one after another.
        **fit: Further arguments of the model's `fit`, such as `epochs`.

    Returns:
        A `Stability`: the loss and the compiled metrics, or the score of an estimator.

    Raises:
        ValueError: There are not enough rows or seeds, or the model is not compiled.

    Example:
        >>> def build():
        ...     model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
        ...     model.compile(fastnn.optimizers.Adam(0.1), "mse", metrics=["mae"])
        ...     return model
        >>> x = np.random.default_rng(0).normal(size=(60, 2))
        >>> found = fastnn.evaluate_stability(build, x, x.sum(1), seeds=3, folds=4, epochs=50,
        ...                                   verbose=0)
        >>> found["mae"].worst >= found["mae"].mean
        True
    """
    chosen, count = _checked_seeds(seeds), as_number(folds)
    level = verbosity(verbose)
    if not callable(build) or isinstance(build, Model):
        raise TypeError(
            f"build is {build!r}, wanted a function that gives a model\n"
            "  hint: evaluate_stability(build, X, y), where build() compiles a model and returns it"
        )
    rows = _Rows(X, y, sample_weight)
    if not is_whole(count) or not 2 <= count <= rows.n:
        raise ValueError(
            f"folds is {folds!r}, wanted a whole number from 2 to {rows.n}, the number of rows\n"
            "  hint: folds=5"
        )
    unknown = {"x", "y", "X", "validation_split", "validation_data"} & fit.keys()
    if unknown:
        name = sorted(unknown)[0]
        raise ValueError(
            f"{name} cannot be given: each fold is trained on without the rows it is tested on\n"
            f"  hint: leave {name} out"
        )
    runs: dict[str, list[float]] = {}
    rises: dict[str, bool | None] = {}
    cuts = [(seed, n, *cut) for seed in chosen for n, cut in enumerate(rows.cut(count, seed))]
    bar = Progbar(len(cuts), unit_name="run") if level == 1 else None

    def make(at: int) -> Seeded:
        return Seeded(_mixed(cuts[at][0], cuts[at][1]), build)

    def work(at: int, run: Seeded) -> tuple[Any, Any, float]:
        seed, number, train, test = cuts[at]
        start = time.perf_counter()
        values, up = run(_run, run.made, rows, train, test, _mixed(seed, number), fit)
        return values, up, time.perf_counter() - start

    first = make(0)
    # Estimators may draw from NumPy's own source, whose order threads would change.
    several = checked_workers(workers) if isinstance(first.made, Model) else 1
    found_by_run = side_by_side(len(cuts), lambda at: make(at) if at else first, work, several)
    for at, (values, up, seconds) in enumerate(found_by_run):
        seed, number = cuts[at][:2]
        if runs and values.keys() != runs.keys():
            raise ValueError(
                f"build gave a model with the metrics {sorted(values)}, before it had "
                f"{sorted(runs)}\n  hint: build the same model each time"
            )
        for name, value in values.items():
            runs.setdefault(name, []).append(value)
        rises.update(up)
        if bar is not None:
            bar.update(at + 1, list(values.items()))
        elif level == 2:
            text = " - ".join(f"{k}: {format_value(v)}" for k, v in values.items())
            print_msg(f"seed {seed}, fold {number}: {text} ({seconds:.1f}s)")
    spreads = {
        name: _spread(np.array(v).reshape(len(chosen), count), rises[name], chosen, count)
        for name, v in runs.items()
    }
    found = Stability(spreads, chosen, count)
    if level:
        print_msg(str(found))
    return found


def _checked_seeds(seeds: Any) -> list[int]:
    seeds = as_number(seeds)
    given = list(range(seeds)) if is_whole(seeds) else list(seeds)
    given = [as_number(s) for s in given]
    if not given or any(not is_whole(s) or s < 0 for s in given) or len({*given}) < len(given):
        raise ValueError(
            f"seeds is {seeds!r}, wanted a count of at least 1, or whole numbers from 0, each once"
            "\n  hint: seeds=10"
        )
    return given


def _mixed(seed: int, fold: int) -> int:
    """A seed for one run, apart from those of other runs."""
    return int(np.random.SeedSequence([seed, fold]).generate_state(1)[0]) & 0x7FFFFFFF


class _Rows:
    """Rows to cut into folds; numbers as the front takes them, labels as they are."""

    def __init__(self, x: Any, y: Any, weights: Any) -> None:
        # Frames stay what they are: an estimator may look at their columns.
        whole = isinstance(x, np.ndarray) or hasattr(x, "to_numpy")
        x = x.tocsr() if is_sparse(x) else x
        self.x = x if whole or is_sparse(x) else as_arrays(x, "X")
        self.y = unmasked(y.to_numpy() if hasattr(y, "to_numpy") else y, "y")
        self.weights: Any = None if weights is None else as_arrays(weights, "sample_weight")
        sizes = {"X": {int(a.shape[0]) for a in tree.flatten(self.x)}, "y": {len(self.y)}}
        if self.weights is not None:
            sizes["sample_weight"] = {len(self.weights)}
        if len(set().union(*sizes.values())) != 1:
            text = ", ".join(f"{k} has {'/'.join(map(str, sorted(v)))}" for k, v in sizes.items())
            raise ValueError(f"{text} rows\n  hint: all need the same number of rows")
        self.n = len(self.y)

    def pick(self, rows: Array) -> tuple[Any, Any, Any]:
        """Some of the rows."""
        weights = None if self.weights is None else self.weights[rows]
        x = tree.map_structure(
            lambda a: a.iloc[rows] if hasattr(a, "iloc") else a[rows], self.x
        )  # fmt: skip
        return x, self.y[rows], weights

    def _classes(self) -> Array | None:
        """The class of each row where y holds classes, none of which is rare."""
        y = self.y
        if y.ndim == 2 and y.shape[1] > 1 and y.dtype.kind in "iufb":
            one_hot = np.isin(y, (0, 1)).all() and (y.sum(1) == 1).all()
            return y.argmax(1) if one_hot else None
        y = y.reshape(self.n, -1)[:, 0] if y.ndim > 1 else y
        if y.dtype.kind == "f" and (y != np.rint(y)).any():
            return None
        _, numbers = np.unique(y, return_inverse=True)
        numbers = numbers.ravel()
        return numbers if np.bincount(numbers).min() > 1 else None

    def cut(self, folds: int, seed: int) -> Iterator[tuple[Array, Array]]:
        """Rows to train and to test on, fold by fold, in the order in which they were given."""
        rng = np.random.default_rng(seed)
        order = rng.permutation(self.n)
        classes = self._classes()
        if classes is not None:
            # Dealt out class by class, every fold gets its share of each.
            order = order[np.argsort(classes[order], kind="stable")]
        place = np.empty(self.n, np.intp)
        place[order] = np.arange(self.n) % folds
        for fold in range(folds):
            yield np.flatnonzero(place != fold), np.flatnonzero(place == fold)


def _run(
    made: Any,
    rows: _Rows,
    train: Array,
    test: Array,
    seed: int,
    fit: dict[str, Any],
) -> tuple[dict[str, float], dict[str, bool | None]]:
    """The metrics of one run, and which of them shall rise; None where that is not known."""
    x, y, weights = rows.pick(train)
    x_test, y_test, w_test = rows.pick(test)
    if isinstance(made, Model):
        made.fit(x, y, sample_weight=weights, verbose=0, **fit)
        logs = made.evaluate(
            x_test, y_test, sample_weight=w_test, verbose=0, return_dict=True,
            batch_size=fit.get("batch_size"),
        )  # fmt: skip
        values = {k: float(v) for k, v in logs.items() if np.ndim(v) == 0}
        known = {m.name: getattr(m, "_direction", None) for m in made.metrics}
        up: dict[str, bool | None] = {}
        for name in values:
            way = "down" if name.endswith("loss") else known.get(name)
            up[name] = None if way is None else way == "up"
        return values, up
    if not hasattr(made, "fit") or not hasattr(made, "score"):
        raise ValueError(
            f"build gave {type(made).__name__}, wanted a compiled model, or an estimator with fit "
            "and score\n  hint: def build(): ...; model.compile(...); return model"
        )
    settings = made.get_params() if hasattr(made, "get_params") else {}
    drawn = [k for k in settings if k.rpartition("__")[2] == "random_state"]
    if drawn:
        made.set_params(**dict.fromkeys(drawn, seed))
    given = {} if weights is None else {"sample_weight": weights}
    made.fit(x, y, **given, **fit)
    tested = {} if w_test is None else {"sample_weight": w_test}
    return {"score": float(made.score(x_test, y_test, **tested))}, {"score": True}


def _spread(values: Array, rises: bool | None, seeds: list[int], folds: int) -> Spread:
    flat = values.ravel()
    mean = float(flat.mean())
    deviation = float(flat.std(ddof=1)) if len(flat) > 1 else 0.0
    # Nadeau and Bengio: variance times (1 / runs + rows tested / rows trained on).
    share = 1 / len(flat) + 1 / (folds - 1)
    half = t_quantile(0.975, len(flat) - 1) * deviation * math.sqrt(share)
    ends = (mean - half, mean + half)
    if rises is None:
        return Spread(values, mean, deviation, ends, None, None, None)
    # A run that diverged is the worst there is.
    marks = np.where(np.isnan(flat), np.inf, -flat if rises else flat)
    at = int(np.argmax(marks))
    where = (seeds[at // folds], at % folds)
    return Spread(values, mean, deviation, ends, float(flat[at]), where, rises)


def t_quantile(p: float, freedom: int) -> float:
    """The quantile of Student's t distribution, p from one half to below 1."""
    # With t = sqrt(v) tan(a) the density becomes cos(a)^(v - 1), which is summed over a.
    angles = np.linspace(0, np.pi / 2, 200_001)
    heights = np.cos(angles) ** (freedom - 1)
    areas = np.concatenate([[0.0], np.cumsum((heights[1:] + heights[:-1]) / 2)])
    angle = np.interp((2 * p - 1) * areas[-1], areas, angles)
    return float(math.sqrt(freedom) * math.tan(angle))


answer_missing(globals())
