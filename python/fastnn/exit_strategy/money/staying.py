"""Options beside a sale, a listing and going on: keep and pay dividends, sell a part, let managers
or employees buy, wind down.

Dividends go to the shares as converted; what is kept is sold after `hold_months`. Buy-outs by
managers and employees are paid in part at closing and in part from later earnings, through the
waterfall. All figures are stated defaults of `Assumptions`. Standard library only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fastnn.exit_strategy.records import dataclass

from .claims import as_wound_up
from .deals import Assumptions, Company, Path, net_of, present_value, sale_flags, sell

__all__ = ["STAYING", "founders_part", "value_staying"]


def founders_part(company: Company) -> float:
    """The founders' part (0..1) of all shares as converted, options left out."""
    rows = [c for c in company.claims if c.strike == 0 and c.units > 0]
    whole = sum(c.units for c in rows)
    own = sum(c.units * company.founder_parts.get(c.holder, 0.0) for c in rows)
    return own / whole if whole > 0 else 0.0


@dataclass(frozen=True, slots=True)
class _Kept:
    """The company as it is kept: dividends, then a sale; per whole founders' holding."""

    npv: float
    dividends: float  # of all holders, not discounted
    founders_dividends: float  # today's value
    sale: Path


def _keep(price: float, company: Company, a: Assumptions) -> _Kept:
    """A surplus is paid out each quarter; a company that burns is sold when its cash ends."""
    surplus = max(0.0, -company.burn) * a.dividend_part
    quarters = int(a.hold_months // 3)
    part = founders_part(company)
    own = sum(present_value(3.0 * surplus * part, 3.0 * q, a) for q in range(1, quarters + 1))
    kept = replace(company, burn=company.burn + surplus)
    months = a.hold_months
    value = price * a.hold_multiple
    if company.burn > 0:
        left = (company.cash + company.committed) / company.burn
        if left < months:  # the cash ends first: what is left is sold for what it brings
            months, value = max(0.0, left), price * a.failure_part
    sale = sell(value, kept, a, months)
    return _Kept(own + sale.npv, 3.0 * surplus * quarters, own, sale)


def _hold(price: float, company: Company, a: Assumptions) -> Path:
    kept = _keep(price, company, a)
    first = 3.0 if kept.dividends > 0 else kept.sale.months
    steps = (*kept.sale.steps, ("dividends", kept.dividends),
             ("founders_dividends", kept.founders_dividends))  # fmt: skip
    return Path(kept.npv, kept.sale.payouts, kept.sale.net, first, company.founder_votes, steps,
                flags=kept.sale.flags)  # fmt: skip


def _secondary(price: float, company: Company, a: Assumptions) -> Path:
    """The founders sell a part of their shares at a discount and keep the rest."""
    kept = _keep(price, company, a)
    months = 3.0
    worth = max(0.0, price + company.cash_in(months) - company.debt)
    sold = company.grown(months).founders_at(worth) * a.secondary_part
    sold *= 1.0 - a.secondary_discount
    npv = present_value(sold, months, a) + kept.npv * (1.0 - a.secondary_part)
    paid = kept.founders_dividends * (1.0 - a.secondary_part)
    steps = (*kept.sale.steps, ("founders_sold", sold), ("founders_dividends", paid))
    votes = company.founder_votes * (1.0 - a.secondary_part)
    return Path(npv, kept.sale.payouts, kept.sale.net, months, votes, steps, flags=kept.sale.flags)


def _minority(price: float, company: Company, a: Assumptions) -> Path:
    """All holders sell the same part of their shares to one buyer, at a discount."""
    kept = _keep(price, company, a)
    months = a.months_to_close
    worth = max(0.0, price + company.cash_in(months) - company.debt)
    costs = a.fee_rate * price * a.minority_part
    sold = company.grown(months).founders_at(worth) * a.minority_part * (1.0 - a.minority_discount)
    sold = max(0.0, sold - costs * founders_part(company))
    npv = present_value(sold, months, a) + kept.npv * (1.0 - a.minority_part)
    paid = kept.founders_dividends * (1.0 - a.minority_part)
    steps = (*kept.sale.steps, ("founders_sold", sold), ("founders_dividends", paid))
    votes = company.founder_votes * (1.0 - a.minority_part)
    return Path(npv, kept.sale.payouts, kept.sale.net, months, votes, steps, flags=kept.sale.flags)


def _paid_later(price: float, company: Company, a: Assumptions, cash: float, years: float) -> Path:
    """A sale paid in part at closing; the rest comes evenly over the months that follow."""
    terms = replace(a, escrow_rate=0.0, earn_out_rate=0.0, carve_out=0.0)
    months = a.buy_out_months
    bridge = net_of(price, company, terms, months)
    grown = company.grown(months)
    now = bridge.net * cash
    later = bridge.net * (1.0 - cash) * (1.0 - a.deferred_default)
    at_closing = grown.founders_at(now)
    own_later = grown.founders_at(now + later) - at_closing
    npv = present_value(at_closing, months, a)
    parts = 4
    for k in range(1, parts + 1):
        npv += present_value(own_later / parts, months + years * k / parts, a)
    steps = (*bridge.steps, ("deferred", -bridge.net * (1.0 - cash)),
             ("founders_at_closing", at_closing), ("founders_pay_later", own_later))  # fmt: skip
    flags = sale_flags(grown, now + later, short=bool(bridge.short))
    return Path(npv, grown.schedule.pay(now + later), bridge.net, months, 0.0, steps, flags=flags)


def _buy_out(price: float, company: Company, a: Assumptions) -> Path:
    value = price * (1.0 - a.buy_out_discount)
    return _paid_later(value, company, a, a.buy_out_cash, a.buy_out_years)


def _trust(price: float, company: Company, a: Assumptions) -> Path:
    return _paid_later(price, company, a, a.trust_cash, a.trust_years)


def _wind_down(price: float, company: Company, a: Assumptions) -> Path:
    """Assets and cash pay debt and cost first; the holders share the rest by their ranks."""
    months = a.wind_down_months
    cost = max(0.0, company.burn) * a.wind_down_cost
    assets = price * a.wind_down_part
    cash = company.cash_in(months)
    left = cash + assets - company.debt - cost
    net = max(0.0, left)
    grown = company.grown(months)
    claims = tuple(as_wound_up(claim) for claim in grown.claims)
    grown = replace(grown, claims=claims, claims_in=None)
    own = grown.founders_at(net)
    steps = (("cash", company.cash), ("cash_change", cash - company.cash),
             ("assets_sold", assets), ("debt", -company.debt), ("wind_down_cost", -cost),
             ("net", net), ("founders_at_closing", own))  # fmt: skip
    flags = sale_flags(grown, net, short=left < 0)
    return Path(present_value(own, months, a), grown.schedule.pay(net), net, months, 0.0, steps,
                flags=flags)  # fmt: skip


#: Option -> how it pays the founders at a headline price.
STAYING: dict[str, Callable[[float, Company, Assumptions], Path]] = {
    "hold": _hold, "secondary": _secondary, "mbo": _buy_out, "esop": _trust,
    "minority": _minority, "wind_down": _wind_down,
}  # fmt: skip


def value_staying(option: str, price: float, company: Company, a: Assumptions) -> Path:
    """Return what one of these options pays the founders; KeyError for any other."""
    return STAYING[option](price, company, a)
