"""Base rates of sale and listing within 26 months: what is known when no model is loaded.

Counted on US start-ups of the Crunchbase export of October 2013, at seven dates pooled. A module of
its own, so that scoring a company does not load the learned model. Depends on `features`.
"""

from __future__ import annotations

from typing import Any

from fastnn.exit_strategy.contracts import HullCheck, ModelProbabilities
from fastnn.exit_strategy.records import dataclass

from .features import money_raised, profile_row

__all__ = ["PRICE_BAND", "BaseRates", "base_rates", "price_over_raised"]

#: (money raised below, acquired, ipo) in 26 months; seven dates pooled.
_BY_RAISED = (
    (1e6, 0.035, 0.0005), (5e6, 0.069, 0.0004), (20e6, 0.091, 0.004), (50e6, 0.110, 0.020),
    (100e6, 0.112, 0.079), (float("inf"), 0.079, 0.122),
)  # fmt: skip

#: last round -> (acquired, ipo); October 2013.
_BY_ROUND = {
    "angel": (0.042, 0.001), "series-a": (0.082, 0.005), "series-b": (0.089, 0.007),
    "series-c+": (0.124, 0.048),
}  # fmt: skip

#: Disclosed US sale prices over money raised, 890 firms: 10, 50 and 90 % quantile.
PRICE_BAND = (0.9, 6.8, 35.6)

#: All companies of the training landmarks.
_OVERALL = (0.078, 0.008)


def base_rates(profile: Any) -> ModelProbabilities:
    """Base rates by money raised, else by the last round, else of all companies."""
    numbers, labels, _ = profile_row(profile)
    acquired, ipo = _BY_ROUND.get(labels["last_round_type"], _OVERALL)
    raised = numbers["total_raised_usd"]
    if raised == raised:
        acquired, ipo = next((a, i) for most, a, i in _BY_RAISED if raised < most)
    return ModelProbabilities(1.0 - acquired - ipo, acquired, ipo)


def price_over_raised(profile: Any) -> float | None:
    """The middle valuation over the money raised; None when that is not known."""
    raised = money_raised(profile)
    return float(profile.valuation.mid) / raised if raised else None


@dataclass(frozen=True, slots=True)
class BaseRates:
    """The model that ships: base rates, honest about knowing no more."""

    name: str = "base_rate"

    def probabilities(self, profile: Any) -> ModelProbabilities:
        """Base rates of the profile."""
        return base_rates(profile)

    def in_hull(self, profile: Any) -> HullCheck:
        """Base rates hold for everybody; what they lack is listed."""
        return HullCheck(True, profile_row(profile)[2])
