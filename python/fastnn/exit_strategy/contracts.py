"""Typed contracts between the packages of the exit tool: who hands what to whom.

`evaluate` reads a profile, asks `money` for proceeds and `model` for probabilities, builds a
`SamplingSpec`, and has `uncertainty` sample, score and rank it. All amounts are in the profile's
currency as float64 (or Decimal where the caller gave Decimal), never float32. NumPy and the
standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    "SamplingSpec",
    "Simulation",
]

FloatArray = npt.NDArray[np.float64]


# ---- money --------------------------------------------------------------------------------------


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


# ---- sampling -----------------------------------------------------------------------------------


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


# ---- the learned model --------------------------------------------------------------------------


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
    """What gives chances: the base rates, or a trained ensemble."""

    name: str

    def probabilities(self, profile: Any) -> ModelProbabilities:
        """Return the chances of a profile over 26 months."""
        ...

    def in_hull(self, profile: Any) -> HullCheck:
        """Return whether the profile lies inside the training data's hull."""
        ...
