"""Sample, score and rank on the compiled core: Monte Carlo over weighted, curve-shaped criteria.

`Ensemble` draws group weights (Dirichlet) and inputs (marginals joined by a Gaussian copula), looks
each input up in a piecewise-linear curve, adds the weighted fits of every option and counts its
ranks; `quantiles` are those of one input. `pay_claims` shares sums of money among stacked claims.
Depends on NumPy and `fastnn._core`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _core
from fastnn.base.absent import answer_missing
from fastnn.base.arguments import hints_arguments

__all__ = ["KINDS", "Ensemble", "Summary", "Variable", "pay_claims", "quantiles"]

FloatArray = npt.NDArray[np.float64]

#: Marginal families in the order of their numbers; parameters as in `Ensemble.score`.
KINDS = ("fixed", "normal", "lognormal", "triangular", "pert", "uniform", "beta")

#: Profiles scored in one call into the core; between calls Ctrl-C and progress are served.
_CHUNK = 256

#: Payouts made in one call into the core.
_PAYOUTS = 1 << 24


@dataclass(frozen=True, slots=True)
class Variable:
    """One input of a score: a curve that turns a drawn value into fits of the options.

    Args:
        group: The weight that multiplies the fit, by number.
        stream: The random number that draws it; variables that share one move together.
        weight: The share within its group.
        knots: Places of the curve, strictly rising.
        fits: One row an option: the fit at each knot; flat outside.
        only: The one option it counts for; None: all.
        log: Whether the curve is in log10.

    Example:
        >>> v = fastnn.ensemble.Variable(0, 0, 1.0, (0.0, 1.0), ((0.0, 1.0), (1.0, 0.0)))
        >>> v.fits[0]
        (0.0, 1.0)
    """

    group: int
    stream: int
    weight: float
    knots: tuple[float, ...]
    fits: tuple[tuple[float, ...], ...]
    only: int | None = None
    log: bool = False


@dataclass(frozen=True, slots=True)
class Summary:
    """The results of profiles that were scored on draws.

    Counts are of draws; options of exactly one score take turns.

    Args:
        ranks: How often each option took each rank: (profiles, options, ranks).
        mean: Mean scores (profiles, options).
        quantiles: Quantiles of scores (profiles, options, levels).
        pinned: How often each option was first with one stream held: (profiles, streams, pins,
            options).
        firsts: How often each option was first in each variant: (profiles, variants, options).

    Example:
        >>> a = np.zeros((1, 2))
        >>> fastnn.ensemble.Summary(np.zeros((1, 2, 2), "uint32"), a, a[..., None], a, a).mean.shape
        (1, 2)
    """

    ranks: npt.NDArray[np.uint32]
    mean: FloatArray
    quantiles: FloatArray
    pinned: npt.NDArray[np.uint32]
    firsts: npt.NDArray[np.uint32]


class Ensemble:
    """A set of variables and the draws on which every profile is scored.

    Args:
        options: Number of options, 1 to 8.
        variables: What the score is made of.
        weights: One per group: Dirichlet concentrations, or fixed weights without `dirichlet_sum`.
        dirichlet_sum: What the weights of a draw add up to.
        streams: Number of random streams.
        correlation: (streams, streams) correlation matrix of the Gaussian copula, or None.
        draws: Number of draws.
        seed: Key of the Philox streams, 0 to 2**64 - 1.
        stream: Another value gives another, independent set of draws; 0 to 2**32 - 1.

    Results depend on these and on the profile alone: not on threads, batch order or batch size.

    Raises:
        ValueError: An index, curve, weight or correlation is not valid.
        MemoryError: The draws do not fit in memory.

    Example:
        >>> knots, fits = (0.0, 1.0), ((0.0, 1.0), (1.0, 0.0))
        >>> variable = fastnn.ensemble.Variable(0, 0, 1.0, knots, fits)
        >>> made = fastnn.ensemble.Ensemble(2, [variable], [1.0], streams=1, draws=100, seed=0)
        >>> fixed_at_0_8 = np.array([[[0, 0.8, 0, 0, 0, 1]]], float)
        >>> made.score(fixed_at_0_8).mean.round(3)
        array([[0.8, 0.2]])
    """

    variables: int
    groups: Any

    def __init__(
        self,
        options: int,
        variables: Sequence[Variable],
        weights: Sequence[float],
        *,
        dirichlet_sum: float | None = None,
        streams: int,
        correlation: npt.ArrayLike | None = None,
        draws: int = 10_000,
        seed: int = 0,
        stream: int = 0,
    ) -> None:
        rows = _rows_of(variables)
        factor = None if correlation is None else _cholesky(correlation, streams)
        if not 0 <= seed < 2**64:
            raise ValueError(
                f"seed: got {seed}, wanted 0 to 2**64 - 1"
                "\n  hint: a whole number that is not negative"
            )
        self._core: Any = _core.Ensemble(
            options,
            streams,
            rows,
            [float(w) for w in weights],
            dirichlet_sum,
            factor,
            draws,
            seed,
            stream,
        )
        self.options = options
        self.streams = streams
        self.variables = len(rows)
        self.groups = len(weights)
        self.draws = draws

    def reweighted(
        self, weights: Sequence[float], *, dirichlet_sum: float | None = None
    ) -> Ensemble:
        """The same variables and inputs under other weights, without drawing the inputs again.

        Equals a new `Ensemble` made with these weights.

        Raises:
            ValueError: Another number of weights, or one that is not valid.
        """
        other = copy.copy(self)
        other._core = self._core.reweighted([float(w) for w in weights], dirichlet_sum)
        return other

    def extended(self, variables: Sequence[Variable], *, streams: int) -> Ensemble:
        """The same draws with further variables on independent streams, up to `streams`.

        Equals a new `Ensemble` with all variables. The new streams have uniforms alone: their
        marginals are uniform or triangular, or fixed.

        Raises:
            ValueError: An index or curve is not valid, or there are more streams already.
            MemoryError: The draws do not fit in memory.
        """
        other = copy.copy(self)
        other._core = self._core.extended(streams, _rows_of(variables))
        other.streams, other.variables = streams, self.variables + len(variables)
        return other

    def score(
        self,
        marginals: npt.ArrayLike,
        open_options: npt.ArrayLike | None = None,
        *,
        quantiles: Sequence[float] = (),
        pins: Sequence[float] = (),
        variants: Sequence[Ensemble] = (),
        progress: Callable[[int, int], None] | None = None,
    ) -> Summary:
        """Score profiles over all draws.

        Args:
            marginals: (profiles, variables, 6): kind (index in `KINDS`), three parameters, low,
                high. fixed (value), normal (mean, sd), lognormal (median, sd of ln), triangular and
                pert (low, mode, high), uniform (low, high), beta (a, b; scaled to low .. high).
                Every draw is clipped to low .. high.
            open_options: (profiles, options) truth values; closed options are scored and take the
                last ranks. None: all open.
            quantiles: Levels of exact score quantiles, linear between order statistics.
            pins: Levels at which every stream is held in turn while the others stay free.
            variants: Ensembles made of this one by `reweighted` or `extended`, in which first
                places are counted on the way. `marginals` are then of the one with most variables.
            progress: Called with (profiles done, profiles in all) between calls into the core.

        Raises:
            ValueError: Shapes do not fit, a marginal is not a distribution, or a variant was not
                made of this ensemble.
        """
        rows = np.ascontiguousarray(marginals, dtype=np.float64)
        most = max(made.variables for made in (self, *variants))
        if rows.ndim != 3 or rows.shape[1:] != (most, 6):
            raise ValueError(
                f"marginals: got shape {rows.shape}, wanted (profiles, {most}, 6)"
                "\n  hint: six numbers per variable and profile"
            )
        n, o = len(rows), self.options
        marks = np.ones((n, o), np.uint8)
        if open_options is not None:
            marks = np.ascontiguousarray(open_options, dtype=bool).astype(np.uint8)
            if marks.shape != (n, o):
                raise ValueError(
                    f"open_options: got shape {marks.shape}, wanted ({n}, {o})"
                    "\n  hint: one mark per profile and option"
                )
        out = Summary(
            np.zeros((n, o, o), np.uint32),
            np.zeros((n, o)),
            np.zeros((n, o, len(quantiles))),
            np.zeros((n, self.streams, len(pins), o), np.uint32),
            np.zeros((n, len(variants), o), np.uint32),
        )
        for start in range(0, n, _CHUNK):
            part = slice(start, min(start + _CHUNK, n))
            self._core.score(
                rows[part],
                marks[part],
                list(quantiles),
                list(pins),
                [made._core for made in variants],
                out.ranks[part],
                out.mean[part],
                out.quantiles[part],
                out.pinned[part],
                out.firsts[part],
            )
            if progress is not None:
                progress(part.stop, n)
        return out

    def total_effects(self, other: Ensemble, marginals: npt.ArrayLike) -> FloatArray:
        """Total effect of every stream, and of the weights, on each option's score (Jansen 1999).

        `other` has the same variables and independent draws (another `stream`), both without
        correlation; `marginals` is (variables, 6). Returns (streams + 1, options), weights last.
        """
        rows = np.ascontiguousarray(marginals, dtype=np.float64)
        if rows.shape != (self.variables, 6):
            raise ValueError(
                f"marginals: got shape {rows.shape}, wanted ({self.variables}, 6)"
                "\n  hint: six numbers per variable"
            )
        out = np.zeros((self.streams + 1, self.options))
        self._core.total_effects(other._core, rows, np.ones(self.options, np.uint8), out)
        return out

    def sampled_weights(self) -> npt.NDArray[np.float32]:
        """Weights of every draw, (groups, draws)."""
        return self._rows(True, self.groups)

    def sampled_normals(self) -> npt.NDArray[np.float32]:
        """Correlated standard normals of every draw, (streams, draws)."""
        return self._rows(False, self.streams)

    def _rows(self, weights: bool, count: int) -> npt.NDArray[np.float32]:
        out = np.empty((count, self.draws), np.float32)
        for i in range(count):
            self._core.copy_draws(weights, i, out[i])
        return out


def _rows_of(variables: Sequence[Variable]) -> list[tuple[Any, ...]]:
    return [
        (v.group, v.stream, v.weight, v.only, v.log, list(v.knots), [list(f) for f in v.fits])
        for v in variables
    ]


def _cholesky(correlation: npt.ArrayLike, streams: int) -> list[float]:
    matrix = np.asarray(correlation, dtype=np.float64)
    if matrix.shape != (streams, streams):
        raise ValueError(
            f"correlation: got shape {matrix.shape}, wanted ({streams}, {streams})"
            "\n  hint: one row and column per stream"
        )
    same = np.array_equal(matrix, matrix.T) or np.allclose(matrix, matrix.T, atol=1e-12)
    symmetric = same and np.all(np.diag(matrix) == 1.0)
    try:
        if not symmetric:
            raise np.linalg.LinAlgError
        factor = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        raise ValueError(
            "correlation: the matrix is not symmetric and positive definite with a unit diagonal\n"
            "  hint: correlations that contradict each other cannot all hold; lower the largest"
        ) from None
    made: list[float] = factor.ravel().tolist()
    return made


@hints_arguments
def quantiles(marginal: npt.ArrayLike, levels: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Values that an input is at most with given probabilities, clipped to its limits.

    Args:
        marginal: One row of what `Ensemble.score` takes: the place of the kind in `KINDS`, three
            parameters, low, high.
        levels: Probabilities between 0 and 1, of one axis.

    Returns:
        An array with a value for each level.

    Raises:
        DataError: The row is no distribution, or a level is not between 0 and 1.

    Example:
        >>> from fastnn.ensemble import KINDS, quantiles
        >>> uniform = (KINDS.index("uniform"), 0.0, 2.0, 0.0, 0.0, 1.5)
        >>> quantiles(uniform, [0.25, 0.9]).round(9).tolist()
        [0.5, 1.5]
    """
    row, at = np.asarray(marginal, np.float64), np.asarray(levels, np.float64)
    return np.array(_core.marginal_quantiles(row.tolist(), at.tolist()))


@hints_arguments
def pay_claims(
    claims: npt.ArrayLike,
    prices: npt.ArrayLike,
    out: FloatArray | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> FloatArray:
    """Share sums of money among stacked claims; every holder takes its better choice.

    A claim pays `max(min(due + units * u, cap), units * u)`, `u = max(0, v - strike)`, where v is
    the worth of one unit at which all claims add up to the price; below the sum of dues, ranks
    are paid in order, equal ranks in proportion.

    Args:
        claims: (tables, claims, 6): due, part of it that is paid after all ranks, rank (lower is
            paid first), units, strike, cap (equal to due: nothing beside the due).
        prices: Rising prices, the same for all tables.
        out: Where to write; None makes an array.
        progress: Called with (tables done, tables in all) between calls into the core.

    Returns:
        (tables, claims, prices), float64.

    Raises:
        ValueError: A claim or price is not valid, or `out` does not fit.

    Example:
        >>> note, shares = [60, 1, 0, 0, 0, 60], [0, 0, 1, 100, 0, 0]
        >>> fastnn.ensemble.pay_claims([[note, shares]], [40, 160])
        array([[[ 40.,  60.],
                [  0., 100.]]])
    """
    rows = np.ascontiguousarray(claims, dtype=np.float64)
    at = np.ascontiguousarray(prices, dtype=np.float64)
    if rows.ndim != 3 or rows.shape[2] != 6 or at.ndim != 1:
        raise ValueError(
            f"claims and prices: got shapes {rows.shape} and {at.shape}, "
            "wanted (tables, claims, 6) and (prices,)"
            "\n  hint: one row of six numbers per claim"
        )
    shape = (len(rows), rows.shape[1], len(at))
    if out is None:
        out = np.empty(shape)
    elif out.shape != shape or out.dtype != np.float64 or not out.flags.c_contiguous:
        raise ValueError(
            f"out: wanted a contiguous float64 array of shape {shape}\n  hint: numpy.empty(shape)"
        )
    step = max(1, _PAYOUTS // max(1, shape[1] * shape[2]))
    for start in range(0, len(rows), step):
        part = slice(start, min(start + step, len(rows)))
        _core.pay_claims(rows[part], shape[1], at, out[part])
        if progress is not None:
            progress(part.stop, len(rows))
    return out


answer_missing(globals())
