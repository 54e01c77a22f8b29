"""One holder's claim on the money of a sale: what is due first, and what it shares.

Works on float and on Decimal. Standard library only.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Generic, TypeVar

from fastnn.exit_strategy.records import dataclass

__all__ = ["Claim", "above", "as_listed", "as_wound_up"]

N = TypeVar("N", float, Decimal)


@dataclass(frozen=True, slots=True)
class Claim(Generic[N]):
    """One holder's claim on the net price.

    `due` is paid by `rank` (lower first, equal ranks in proportion) before anything is shared;
    `last` is the part of it that comes after all ranks. `units` share what is left, once a unit is
    worth more than `strike`. `cap` bounds what the claim takes without converting: equal to `due`
    for non-participating shares, None for full participation and for common shares. `part` is what
    post-money paper owns of the liquidity capitalization: of all shares but those of holders who
    take money instead, and `pool`; `units` is then its number when everybody converts.

    A warrant on preferred shares is a claim net of its strike: it `joins` its rank once the rank
    is paid the part that its strike is of a share's preference.
    """

    holder: str
    due: N
    last: N
    rank: int
    units: N
    strike: N
    cap: N | None
    part: N | None = None
    holds: bool = False  # has chosen not to convert
    joins: N | None = None  # takes its due once its rank is paid this part of what is due to it
    pool: N | None = None  # shares that `part` is also taken of: the unissued option pool
    listing: N | None = None  # least in a listing: a ratchet's promise, or what paper is owed
    paper: N | None = None  # money and interest of a SAFE or note
    exercise: N | None = None  # strike of a unit in a listing, where `due` is net of it
    with_capped: bool = False  # `part` is also of classes that participate up to a cap and hold
    unvested: N | None = None  # units that a sale counts and a dissolution does not

    def at(self, v: N) -> N:
        """Payout when a unit is worth `v` and everything due is paid."""
        shared = self.units * above(v, self.strike)
        held = self.due + shared
        if self.cap is not None and held > self.cap:
            held = self.cap
        return held if self.holds or held > shared else shared

    def slope(self, v: N) -> N:
        """Change of `at` per unit of `v` inside a linear piece."""
        shared = self.units * above(v, self.strike)
        capped = self.cap is not None and self.due + shared >= self.cap
        over = self.cap is not None and not self.holds and shared > self.cap
        grows = v > self.strike and (not capped or over)
        return self.units if grows else self.units * 0

    @property
    def may_convert(self) -> bool:
        """Whether the holder has a choice between its claim and its units."""
        return self.cap is not None and self.units > 0 and (self.due > 0 or self.cap > 0)


def as_listed(claim: Claim[N]) -> Claim[N]:
    """The claim in a listing that converts all classes; paper still takes what it is owed or more.

    A listing is a "Liquidity Event" of Y Combinator's SAFE, which pays the larger of both; the
    multiple of a note is one of a change of control.
    """
    zero = claim.units * 0
    if claim.paper is not None:
        owed = claim.paper if claim.listing is None else claim.listing
        return replace(claim, due=owed, last=owed - claim.paper, cap=owed)
    strike = claim.strike if claim.exercise is None else claim.exercise
    return replace(claim, due=zero, last=zero, cap=None, joins=None, strike=strike)


def as_wound_up(claim: Claim[N]) -> Claim[N]:
    """The claim when the company is dissolved: a SAFE or note takes its money back, no more.

    A "Dissolution Event" of Y Combinator's SAFE pays the Purchase Amount, without cap or discount;
    the multiple of a note is one of a change of control. What has not vested without a sale lapses.
    """
    if claim.paper is None:
        return (
            claim if claim.unvested is None else replace(claim, units=claim.units - claim.unvested)
        )
    zero = claim.units * 0
    return Claim(claim.holder, claim.paper, zero, claim.rank, zero, zero, claim.paper)


def above(v: N, strike: N) -> N:
    """What a unit worth `v` brings beyond its strike."""
    return v - strike if v > strike else v * 0
