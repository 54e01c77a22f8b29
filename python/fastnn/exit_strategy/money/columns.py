"""The exit paths of many companies at once, one column a figure.

For companies of which only the founders' part is known: all shares are alike, so what the founders
are paid of a net price is that part of it. Companies with a cap table are valued one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastnn.exit_strategy.records import dataclass

from .deals import (
    Assumptions,
    cash_after,
    going_on,
    most,
    net_at,
    offer_of,
    pay_to_founders,
    pick,
    present_value,
    raised_at,
    sold_for,
    spread_rate,
    ways_to_go_on,
)

__all__ = ["COLUMN_OPTIONS", "Companies", "Worth", "is_plain", "read_companies", "value_columns"]

Floats = npt.NDArray[np.float64]

#: Options whose months do not depend on the company, so that they can be valued as columns.
COLUMN_OPTIONS = ("ipo", "ma", "license_hire", "transform", "private_round", "ma_buy", "dual_track")


def is_plain(profile: Any, a: Assumptions) -> bool:
    """Return whether a company's options can be valued as columns."""
    terms = (a.qualified_price, a.qualified_size)
    return profile.cap_table is None and terms == (None, None)


class Worth(NamedTuple):
    """What an option is worth to the founders, when they are first paid, and their votes after."""

    npv: Floats
    months: Floats
    control: Floats


@dataclass(frozen=True, slots=True)
class Companies:
    """What the paths need to know of each company; all of them have only common shares."""

    founder_votes: Floats  # and part of the shares
    cash: Floats
    debt: Floats
    acquirer_stake: Floats
    burn: Floats
    committed: Floats
    usd: Callable[[Floats], Floats]

    def cash_in(self, months: float) -> Floats:
        """Cash some months from now."""
        return np.asarray(cash_after(self.cash, self.burn, self.committed, months))

    def grown(self, months: float) -> Companies:
        """The same: nothing is due to anybody that grows with time."""
        return self

    @property
    def _shares(self) -> Floats:
        """All shares, added up as a schedule of claims does: they may miss 1 by a bit."""
        return self.founder_votes + (1.0 - self.founder_votes)

    def founders_at(self, net: Floats) -> Floats:
        """The founders' part of a net price."""
        return np.where(net > 0, self.founder_votes / self._shares * net, 0.0)

    def others_at(self, net: Floats) -> Floats:
        """The part of all others."""
        return np.where(net > 0, (1.0 - self.founder_votes) / self._shares * net, 0.0)


def value_columns(option: str, price: Floats, company: Companies, a: Assumptions) -> Worth:
    """Return what `value_deal` says of each company; `option` is one of `COLUMN_OPTIONS`."""
    if option == "ma":
        return _sale(price, company, a, a.months_to_close)
    if option == "ipo":
        return _listing(price, company, a)[0]
    if option == "license_hire":
        sale = _sale(price * a.license_part, company, a, a.license_months)
        pay = pay_to_founders(price * a.people_part, a)[1]
        return Worth(sale.npv + pay, sale.months, np.zeros(len(price)))
    if option == "dual_track":
        return _dual(price, company, a)
    way = ways_to_go_on(a)[option]
    good = _sale(price * way.multiple, company, a, way.months)
    bad = _sale(price * a.failure_part, company, a, a.failure_months)
    npv, votes = going_on(price, company, good.npv, bad.npv, a, way)
    return Worth(npv, np.full(len(price), way.first_cash), votes)


def _sale(price: Floats, company: Companies, a: Assumptions, months: float) -> Worth:
    made = net_at(price, company, a, months)
    sold = sold_for(made, company.founders_at, a, months)
    votes = company.founder_votes * (1.0 - company.acquirer_stake)
    return Worth(sold.npv, np.full(len(price), months), votes)


def _listing(price: Floats, company: Companies, a: Assumptions) -> tuple[Worth, Floats, Floats]:
    """A listing, and what the founders' shares and all others are worth before the new money."""
    value = most(0.0, price + company.cash_in(a.months_to_list) - company.debt)
    raised = raised_at(value, a) + np.zeros(len(price))
    spread: Any = a.ipo_spread
    if spread is None:
        spread = np.array([spread_rate(x) for x in company.usd(raised).tolist()])
    own, others = company.founders_at(value), company.others_at(value)
    offer = offer_of(own, value, raised, spread, a)
    votes = company.founder_votes * offer.dilution
    return Worth(offer.npv, np.full(len(price), offer.months), votes), own, others


def _dual(price: Floats, company: Companies, a: Assumptions) -> Worth:
    sale = _sale(price, company, a, a.months_to_close)
    listing, own, others = _listing(price, company, a)
    lists = listing.npv > sale.npv
    net = net_at(price, company, a, a.months_to_close).net
    own = np.where(lists, own, company.founders_at(net))
    total = own + np.where(lists, others, company.others_at(net))
    none = total <= 0
    part = np.where(none, 0.0, own / np.where(none, 1.0, total))
    cost = present_value(price * a.dual_track_cost * part, a.months_to_close, a)
    best = (pick(lists, one, other) for one, other in zip(listing, sale, strict=True))
    npv, months, votes = best
    return Worth(most(0.0, npv - cost), months, votes)


def read_companies(profiles: Sequence[Any], a: Assumptions) -> Companies:
    """Return plain companies that share their assumptions as columns."""

    def column(values: Sequence[float | None], missing: float = 0.0) -> Floats:
        return np.array([missing if v is None else v for v in values], dtype=np.float64)

    rates = np.array([p.usd(1.0) for p in profiles])
    return Companies(
        column([p.founder_share for p in profiles], a.founder_share),
        column([p.cash for p in profiles]),
        column([p.debt for p in profiles]),
        column([p["deal.acquirer_stake"] for p in profiles], 1.0),
        column([p.monthly_burn for p in profiles]),
        column([p.committed_funds for p in profiles]),
        lambda amounts: amounts * rates,
    )
