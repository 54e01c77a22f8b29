"""Typed contracts between the packages of the exit tool: who hands what to whom.

`evaluate` reads a profile, asks `money` for proceeds and `model` for probabilities, builds a
`SamplingSpec`, and has `uncertainty` sample, score and rank it. All amounts are in the profile's
currency as float64 (or Decimal where the caller gave Decimal), never float32. NumPy and the
standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fastnn.exit_strategy.records import dataclass

__all__ = [
    "BreakPoint",
    "CurveTable",
    "Distribution",
    "ExitModel",
    "HullCheck",
    "ModelProbabilities",
    "OptionProceeds",
    "Proceeds",
    "ProceedsFunction",
    "SamplingSpec",
    "SimulateFunction",
    "Simulation",
]

FloatArray = npt.NDArray[np.float64]


# --- money.py ------------------------------------------------------------------------------------
# money.parse_cap_table(data: object, issues: list[Issue]) -> CapTable | None
#     reads profile.cap_table (raw mapping; keys: common, founders, classes[], options[], safes[],
#     notes[]); appends EX3xx issues (field names start with "cap_table.") instead of raising.
# money.parse_assumptions(data: object, issues: list[Issue]) -> Assumptions | None
#     reads profile.assumptions (raw mapping, {} = defaults), same rule, fields "assumptions.".
# money.CapTable, money.Assumptions: frozen dataclasses. `profile.cap_table` is a CapTable or None,
#     `profile.assumptions` an Assumptions. With cap_table None, proceeds() works by ownership
#     alone (profile.founder_share, default from Assumptions) and adds flag "no_preference_data".
# money.proceeds has the signature of ProceedsFunction.
# valuation.estimate(method: str, inputs: Mapping, issues: list[Issue])
#     -> tuple[float, float, float] | None: methods "multiples", "vc", "first_chicago", "dcf"; the
#     (low, mid, high) company value; appends EX115 (fields "valuation.inputs.<name>") instead of
#     raising.
# A profile is read by attribute: profile.cash, .debt, .committed_funds, .founder_share,
#     .total_raised, .sector, .founded, .as_of, .currency, .valuation (low, mid, high, method),
#     .funding_rounds (date, type, amount), .cap_table, .assumptions, .deal.acquirer_stake; an
#     optional field that was not given is None. Rows: fields.py; money amounts are float.


@dataclass(frozen=True, slots=True)
class BreakPoint:
    """A net price at which somebody starts to be paid, converts, exercises or reaches a cap.

    `headline` is the price of the sale in which this net price is shared, None when not asked for.
    """

    price: float
    holder: str
    event: str  # "starts" | "exercises" | "converts" | "reaches_cap"
    headline: float | None = None


@dataclass(frozen=True, slots=True)
class OptionProceeds:
    """What one option pays the founders; (low, median, high) from valuation low / mid / high."""

    option: str
    founder_npv: tuple[float, float, float]
    founder_share: float  # founders' part of the net price at the median, 0..1
    months_to_cash: float
    control_after: float  # founders' voting share after the option completes, 0..1
    price: float  # headline price at the median
    net_price: float  # after debt, fees, carve-out, escrow, earn-out
    payouts: Mapping[str, float] = field(default_factory=dict)  # holder -> amount at the median
    bridge: tuple[tuple[str, float], ...] = ()  # from price to founder cash, named steps
    pay_outside_waterfall: float = 0.0  # license_hire: pay to people
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Proceeds:
    """Money side of a result; `curve` and `break_points` are for a sale at a net price."""

    currency: str
    options: Mapping[str, OptionProceeds]
    break_points: tuple[BreakPoint, ...]
    curve: tuple[tuple[float, float], ...]  # (net price, founder payout), rising price
    lost_to_preferences: float = 0.0  # part of the founders' pro-rata share at the median, 0..1
    indifference: tuple[tuple[str, str, float], ...] = ()  # (A, B, price at which B beats A)
    flags: tuple[str, ...] = ()
    prices: tuple[tuple[float, float, float], ...] = ()  # (headline, net, founders) of a sale


class ProceedsFunction(Protocol):
    """Signature of `money.proceeds`."""

    def __call__(  # noqa: D102
        self,
        profile: Any,
        cap_table: Any,
        assumptions: Any,
        options: Sequence[str],
        *,
        brief: bool = False,
    ) -> Proceeds: ...


# --- uncertainty.py ------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Distribution:
    """How one leaf's input is drawn, in the leaf's own unit (before any log10).

    kind and params: "fixed" (value,), "normal" (mean, sd), "lognormal" (median, sigma of ln),
    "triangular" (low, mode, high), "pert" (low, mode, high), "uniform" (low, high),
    "beta" (a, b; scaled to [low, high]). A draw is clipped to [low, high].
    """

    kind: str
    params: tuple[float, ...]
    low: float = -np.inf
    high: float = np.inf


@dataclass(frozen=True, slots=True)
class CurveTable:
    """Piecewise-linear fits of one leaf: x rises strictly, flat outside; x is log10 if `log`."""

    x: tuple[float, ...]
    fits: tuple[tuple[float, ...], ...]  # one row per option, each len(x)
    log: bool = False


@dataclass(frozen=True, slots=True)
class SamplingSpec:
    """Everything a draw needs, leaves in the order of the criteria file.

    Score of option o = sum over groups g of w_g * sum over leaves l in g of local_l * fit_ol, with
    w ~ Dirichlet(kappa * group_weights) scaled to sum(group_weights) (kappa None: fixed weights;
    kappa 0: flat Dirichlet). Leaf l is looked up in curves[l] at a draw of inputs[l], or, where
    curves[l] is None, drawn per option from triangular(computed[o, l] = low, mode, high) with one
    uniform shared by all options (fixed where low == high). Closed options are scored, not ranked.

    `curve_doubt` d moves every score S_o by sum over g of w_g * e_go, e_go uniform in [-d, d]: in a
    draw all curves of a group are off together for one option, as one expert's would be.
    """

    options: tuple[str, ...]
    leaves: tuple[str, ...]
    group_of: tuple[int, ...]  # group index of each leaf
    group_weights: tuple[float, ...]
    local_weights: tuple[float, ...]  # sum to 1 inside each group
    inputs: tuple[Distribution, ...]  # one per leaf; ignored where curves[l] is None
    curves: tuple[CurveTable | None, ...]
    computed: FloatArray  # (options, leaves, 3), NaN where curves[l] is given
    correlation: FloatArray | None = None  # (leaves, leaves) for the Gaussian copula
    open_options: tuple[bool, ...] = ()  # empty = all open
    curve_doubt: float = 0.0


@dataclass(frozen=True, slots=True)
class Simulation:
    """Ranks and score quantiles over the draws; arrays follow spec.options."""

    options: tuple[str, ...]
    p_first: FloatArray  # (options,), ties split equally; 0 for closed options
    p_rank: FloatArray  # (options, ranks)
    score_mean: FloatArray
    score_p05: FloatArray
    score_p50: FloatArray
    score_p95: FloatArray
    mc_error: FloatArray  # sqrt(p (1 - p) / draws) of p_first
    draws: int
    seed: int
    kappa: float | None


class SimulateFunction(Protocol):
    """Signature of `uncertainty.simulate`; `profile_index` keys the Philox stream in a batch."""

    def __call__(  # noqa: D102
        self,
        spec: SamplingSpec,
        *,
        kappa: float | None = 60.0,
        draws: int = 10_000,
        seed: int = 0,
        profile_index: int = 0,
        threads: int | None = None,
    ) -> Simulation: ...


# uncertainty.simulate_many(specs: Sequence[SamplingSpec], *, kappa, draws, seed, first_index,
#     threads, progress) -> list[Simulation]; every profile of the batch draws from the one stream
#     `first_index` (common random numbers), so each result equals simulate(spec,
#     profile_index=first_index) and depends neither on the order nor on the size of the batch.
# uncertainty.tornado_runs(spec, *, kappa, draws, seed) -> FloatArray (leaves, 2, options): p_first
#     with leaf l held at its 10 % and 90 % quantile, the others free, same random numbers.


# --- model.py ------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class ModelProbabilities:
    """Chances over 26 months; `spread` is the ensemble's standard deviation (none, acq., ipo)."""

    none: float
    acquired: float
    ipo: float
    spread: tuple[float, float, float] = (0.0, 0.0, 0.0)
    source: str = "base_rate"  # model name, or "base_rate"


@dataclass(frozen=True, slots=True)
class HullCheck:
    """Whether a profile lies inside the 1-99 % hull of the training data, and if not, why."""

    inside: bool
    outside: tuple[str, ...] = ()  # feature names out of range or unknown


class ExitModel(Protocol):
    """What `model.load_model(name)` returns."""

    name: str

    def probabilities(self, profile: Any) -> ModelProbabilities:
        """Return the chances of a profile over 26 months."""
        ...

    def in_hull(self, profile: Any) -> HullCheck:
        """Return whether the profile lies inside the training data's hull."""
        ...


# model.base_rates(profile) -> ModelProbabilities: table of 5.2 by money raised and last round.
# Model features come from profile.funding_rounds: tuple of FundingRound(date, type, amount or
# None), profile.total_raised (float or None), profile.sector, profile.founded, profile.as_of.
# Command line: exitb offers model_cli.add_commands(subparsers) for `fastnn exit model ...` and
# `run_waterfall(profile, prices) -> Waterfall` for `fastnn exit waterfall`.
