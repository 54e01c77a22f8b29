"""How much of a grant has vested on a day, and how much of it counts in a sale.

Standard library only.
"""

from __future__ import annotations

import datetime as dt
from fractions import Fraction

from .interest import months_between
from .terms import OptionGrant, Vesting

__all__ = ["counted", "vested"]


def vested(vesting: Vesting, on: dt.date) -> Fraction:
    """Return the part of a grant that has vested on a day, without any sale."""
    months = months_between(vesting.start, on)
    if months < vesting.cliff:
        return Fraction(0)
    months -= months % vesting.every
    return min(Fraction(1), Fraction(months, vesting.months)) if vesting.months else Fraction(1)


def counted(grant: OptionGrant, on: dt.date | None) -> tuple[Fraction, Fraction]:
    """Return which part of a grant a sale pays, and which part of it is paid at closing.

    The rest is paid as it vests with the buyer.
    """
    if grant.vesting is None or on is None:
        return Fraction(1), Fraction(1)
    now = vested(grant.vesting, on)
    if grant.vesting.trigger == "single":
        now += (1 - now) * Fraction(grant.vesting.accelerated)
    return (Fraction(1) if grant.unvested == "assumed" else now), now
