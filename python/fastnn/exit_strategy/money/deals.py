"""The exit paths as cash flows to the founders: sale, listing, licence-and-hire, going on.

Each path turns a headline price into dated payments through the waterfall and discounts them at the
founders' rate (monthly compounding of the yearly rate). Defaults are stated in `Assumptions`, the
figures behind them in `docs/exit_strategy/method.md`. What says "numbers or columns" takes a
number, or one number a company (`columns` values many companies so).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, fields, replace
from typing import Any, NamedTuple

import numpy as np

from fastnn.exit_strategy.errors import ExitError, Issue
from fastnn.exit_strategy.records import dataclass
from fastnn.exit_strategy.resources import cached

from . import ratchets
from .claims import Claim, as_listed
from .waterfall import Schedule

#: A number, or one number a company: the same arithmetic, hence the same bits.
Numbers = Any

# What a number is; the reader of texts goes by the name.
Money = float
Months = float
Rate = float
Times = float

__all__ = [
    "Assumptions",
    "Bridge",
    "Company",
    "Path",
    "cash_after",
    "first_root",
    "going_on",
    "headline_for",
    "least",
    "most",
    "net_at",
    "net_of",
    "offer_of",
    "pay_to_founders",
    "pick",
    "present_value",
    "raised_at",
    "sale_flags",
    "sell",
    "sold_for",
    "spread_rate",
    "value_deal",
    "ways_to_go_on",
    "worth_by_price",
]


@dataclass(frozen=True, slots=True)
class Assumptions:
    """Deal terms; rates are parts of 1, times are months, `*_part` are parts of the price."""

    discount_rate: Rate = 0.25  # the founders' yearly rate
    tax_rate: Rate | None = None  # after-tax only if given
    founder_share: Rate = 0.5  # used without a cap table and without profile.founder_share
    # sale
    months_to_close: Months = 9.0
    fee_rate: Rate = 0.03
    fee_fixed: Money = 0.0
    carve_out: Rate = 0.0  # part of the equity value set aside for management
    founder_carve_out: Rate = 0.0  # founders' part of it
    escrow_rate: Rate = 0.10
    escrow_months: Months = 18.0
    escrow_release: Rate = 0.9  # expected part released
    earn_out_rate: Rate = 0.0
    earn_out_months: Months = 24.0
    earn_out_probability: Rate = 0.5
    # listing
    months_to_list: Months = 14.0
    ipo_raise: Money | None = None  # primary money; None: 20 % of the value before it
    ipo_spread: Rate | None = None  # None: by size
    lock_up_months: Months = 6.0
    sale_months: Months = 12.0  # founders sell in four equal parts over this time
    sold_at_ipo: Rate = 0.0  # founders' part sold in the offering
    marketability_discount: Rate = 0.10  # on shares still locked
    qualified_price: Money | None = None  # price per share for automatic conversion
    qualified_size: Money | None = None  # primary money for automatic conversion
    # licence and hire
    license_months: Months = 6.0
    license_part: Rate = 0.35  # fee to the company
    people_part: Rate = 0.35  # pay to people, outside the waterfall
    founder_people_share: Rate = 0.3  # founders' part of that pay
    people_months: Months = 24.0  # over which it vests
    # going on: transformation, private round, buying another firm
    later_months: Months = 44.0
    transform_success: Rate = 0.5
    transform_multiple: Times = 1.5  # value when it works, times today's
    failure_part: Rate = 0.15  # value when it does not, times today's
    failure_months: Months = 24.0
    round_success: Rate = 0.55
    round_multiple: Times = 2.0
    round_raise: Rate = 0.25  # new money, times the value before it
    round_secondary: Rate = 0.0  # founders' part sold in the round
    buy_success: Rate = 0.45
    buy_multiple: Times = 1.8
    buy_dilution: Rate = 0.2  # new shares for the target
    dual_track_cost: Rate = 0.01  # extra cost, times the price
    # keeping the company, in whole or in part
    hold_months: Months = 60.0  # until what is kept is sold
    hold_multiple: Times = 1.0  # value then, times today's
    dividend_part: Rate = 1.0  # of the monthly surplus
    secondary_part: Rate = 0.2  # of the founders' shares sold now
    secondary_discount: Rate = 0.15  # on the worth of their common shares
    minority_part: Rate = 0.3  # of everybody's shares sold now
    minority_discount: Rate = 0.15
    # buy-outs that earnings pay for
    buy_out_months: Months = 8.0  # to the closing
    buy_out_discount: Rate = 0.15  # of managers, on the price
    buy_out_cash: Rate = 0.6  # paid at closing, the rest over the years that follow
    buy_out_years: Months = 36.0
    trust_cash: Rate = 0.3  # of an employee trust, which pays the full price
    trust_years: Months = 72.0
    deferred_default: Rate = 0.1  # expected loss of what is paid later
    # winding down
    wind_down_months: Months = 6.0
    wind_down_part: Rate = 0.05  # of the price that the assets bring
    wind_down_cost: Months = 3.0  # months of burn that it costs

    def __post_init__(self) -> None:
        issues = [issue for f in fields(self) if (issue := _fault(f.name, getattr(self, f.name)))]
        if self.fee_rate + self.escrow_rate + self.earn_out_rate >= 1 and not issues:
            text = "fees, escrow and earn-out take the whole price"
            hint = "lower fee_rate, escrow_rate or earn_out_rate"
            issues.append(Issue("EX307", "assumptions", text, hint))
        if issues:
            raise ExitError(issues)


_MOST = {"discount_rate": 5.0, "round_raise": 10.0, "license_part": 1.0}


def _fault(name: str, value: float | None) -> Issue | None:
    if value is None:
        return None
    kind = str(Assumptions.__dataclass_fields__[name].type).partition(" ")[0]
    most = _MOST.get(name, {"Money": 1e15, "Times": 1000.0, "Months": 240.0}.get(kind, 1.0))
    if 0 <= value <= most:
        return None
    return Issue("EX307", f"assumptions.{name}", f"{value} is outside 0 to {most:g}",
                 "rates are parts of 1, times are months", str(value))  # fmt: skip


def spread_rate(raised: float) -> float:
    """Median underwriting spread by money raised in US dollars (2007-2011, WilmerHale)."""
    for most, rate in ((250e6, 0.07), (500e6, 0.0614), (1e9, 0.055)):
        if raised <= most:
            return rate
    return 0.0331


def pick(mark: Numbers, one: Numbers, other: Numbers) -> Numbers:
    """`one` where the mark is true, else `other`; numbers or columns."""
    return np.where(mark, one, other) if isinstance(mark, np.ndarray) else one if mark else other


def most(one: Numbers, other: Numbers) -> Numbers:
    """The larger of two, the first of equals; numbers or columns."""
    return pick(other > one, other, one)


def least(one: Numbers, other: Numbers) -> Numbers:
    """The smaller of two, the first of equals; numbers or columns."""
    return pick(other < one, other, one)


def cash_after(cash: Numbers, burn: Numbers, committed: Numbers, months: float) -> Numbers:
    """Cash some months from now: what burns is gone, what is earned is there. Numbers or columns.

    Committed money pays for the burn before cash does, but is not counted as cash: it brings new
    shares or debt. Cash does not go below zero: somebody else has paid from there on.
    """
    left = cash + pick(burn > 0, committed, 0.0) - burn * months
    return most(0.0, pick(burn > 0, least(left, cash), left))


@cached(maxsize=256)
def _schedule(claims: tuple[Claim[float], ...]) -> Schedule[float]:
    """The schedule of claims: many paths share the money of one day, at several prices."""
    return Schedule(claims)


@dataclass(frozen=True, slots=True)
class Company:
    """What a path needs to know: the claims, the founders' part of each, cash, debt, votes.

    A price is for the business without cash and debt; `cash` is today's, `burn` what a month takes
    of it (below zero: adds to it). `claims_in` gives the claims some months from now, where what is
    due grows with time.
    """

    claims: tuple[Claim[float], ...]
    founder_parts: Mapping[str, float]
    founder_votes: float
    cash: float
    debt: float
    acquirer_stake: float
    usd: Callable[[float], float]  # for tables stated in US dollars
    burn: float = 0.0
    committed: float = 0.0
    claims_in: Callable[[float], tuple[Claim[float], ...]] | None = None
    schedule: Schedule[float] = field(init=False, repr=False, compare=False)
    #: The founders' part of a net price.
    founders_at: Callable[[float], float] = field(init=False, repr=False, compare=False)
    #: Months from now -> the company of that day, where what is due grows.
    _later: dict[float, Company] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_later", {})
        object.__setattr__(self, "schedule", _schedule(self.claims))
        object.__setattr__(self, "founders_at", self.schedule.part_of(self.founder_parts))

    def cash_in(self, months: float) -> float:
        """Cash some months from now."""
        return float(cash_after(self.cash, self.burn, self.committed, months))

    def grown(self, months: float) -> Company:
        """The company with what is due to everybody some months from now."""
        if self.claims_in is None:
            return self
        made = self._later.get(months)
        if made is None:
            made = self._later[months] = replace(self, claims=self.claims_in(months))
        return made

    def founders(self, payouts: Mapping[str, float]) -> float:
        """The founders' part of payouts."""
        return sum(payouts.get(holder, 0.0) * part for holder, part in self.founder_parts.items())


@dataclass(frozen=True, slots=True)
class Bridge:
    """From the headline price to what the holders share at closing, step by step."""

    net: float
    escrow: float
    earn_out: float
    carve_out: float
    steps: tuple[tuple[str, float], ...]
    short: bool  # the price does not cover debt and costs


@dataclass(frozen=True, slots=True)
class Path:
    """One option at one price: present value to the founders and how it comes about."""

    npv: float
    payouts: Mapping[str, float]
    net: float
    months: float
    control: float
    steps: tuple[tuple[str, float], ...]
    outside: float = 0.0
    flags: tuple[str, ...] = ()


class Net(NamedTuple):
    """What the holders share at closing and what is taken before; numbers or columns."""

    net: Numbers
    escrow: Numbers
    earn_out: Numbers
    carve_out: Numbers
    cash: Numbers
    fees: Numbers
    short: Numbers


def net_at(price: Numbers, company: Any, a: Assumptions, months: float = 0.0) -> Net:
    """Net = price + cash at closing - debt - fees - carve-out - escrow - earn-out."""
    return _net_with(price, company.cash_in(months), company.debt, a)


def _net_with(price: Numbers, cash: Numbers, debt: Numbers, a: Assumptions) -> Net:
    """The same with the cash at closing: many prices share it."""
    fees = a.fee_fixed + a.fee_rate * price
    equity = price + cash - debt - fees
    short = equity < 0
    equity = most(0.0, equity)
    carve = a.carve_out * equity
    rest = equity - carve
    escrow = least(a.escrow_rate * price, rest)
    earn_out = least(a.earn_out_rate * price, rest - escrow)
    return Net(rest - escrow - earn_out, escrow, earn_out, carve, cash, fees, short)


def net_of(price: float, company: Company, a: Assumptions, months: float = 0.0) -> Bridge:
    """Return `net_at` as a bridge with its steps."""
    return _bridge(price, company, net_at(price, company, a, months))


def _bridge(price: float, company: Company, made: Net) -> Bridge:
    steps = (
        *_worth(price, company, made.cash), ("fees", -made.fees), ("carve_out", -made.carve_out),
        ("escrow", -made.escrow), ("earn_out", -made.earn_out), ("net", made.net),
    )  # fmt: skip
    return Bridge(made.net, made.escrow, made.earn_out, made.carve_out, steps, made.short)


def _worth(price: float, company: Company, cash: float) -> tuple[tuple[str, float], ...]:
    """The steps from the price of the business to what its shares are worth."""
    steps = [("price", price), ("cash", company.cash)]
    if cash != company.cash:
        steps.append(("cash_change", cash - company.cash))
    return (*steps, ("debt", -company.debt))


def headline_for(net: float, company: Company, a: Assumptions, months: float) -> float | None:
    """The headline price at which `net` is shared at closing; None if no price gives so much."""
    cash, debt = company.cash_in(months), company.debt

    def missing(price: float) -> float:
        return float(_net_with(price, cash, debt, a).net - net)

    low, top = 0.0, max(1.0, net)
    below = missing(low)
    if below >= 0:
        return low  # cash alone pays for it
    above = missing(top)
    while above < 0:
        low, below, top = top, above, 2.0 * top
        if top > 1e18:
            return None
        above = missing(top)
    return first_root(missing, (low, below), (top, above), 1e-10)


def first_root(
    missing: Callable[[float], float], under: tuple[float, float], over: tuple[float, float],
    slack: float,
) -> float:  # fmt: skip
    """The lowest price at which nothing is missing, to a part `slack` of it, from above.

    `under` and `over` are prices with what is missing there, below zero and not. What is paid is
    linear in pieces: a straight line, a hair to either side of its root, closes in on the price
    once both ends lie in its piece; every third step halves, whatever the pieces are.
    """
    (low, below), (top, above) = under, over
    for step in range(200):
        width = top - low
        if width <= slack * top:
            break
        middle = 0.5 * (low + top)
        if step % 3 != 2:
            guess = low + width * below / (below - above)
            guess += (0.4 if step % 3 == 0 else -0.4) * slack * top
            middle = guess if low < guess < top else middle
        if middle in (low, top):
            break
        here = missing(middle)
        if here < 0:
            low, below = middle, here
        else:
            top, above = middle, here
    return top


def present_value(amount: Numbers, months: float, a: Assumptions) -> Numbers:
    """A payment some months from now at the founders' rate, after tax if a rate is given."""
    keep = 1.0 if a.tax_rate is None else 1.0 - a.tax_rate
    return amount * keep * (1.0 + a.discount_rate) ** (-months / 12.0)


class Sold(NamedTuple):
    """What a sale pays the founders; numbers or columns."""

    npv: Numbers
    at_closing: Numbers
    escrow: Numbers
    earn_out: Numbers


def sold_for(
    made: Net, founders: Callable[[Numbers], Numbers], a: Assumptions, months: float
) -> Sold:
    """What a sale pays the founders, of what the holders share and the founders' part of it."""
    closing, released = founders(made.net), made.net + made.escrow * a.escrow_release
    later = founders(released) - closing
    earned = founders(released + made.earn_out) - founders(released)
    own = closing + made.carve_out * a.founder_carve_out
    npv = present_value(own, months, a)
    npv = npv + present_value(later, months + a.escrow_months, a)
    npv = npv + present_value(earned * a.earn_out_probability, months + a.earn_out_months, a)
    return Sold(npv, own, later, earned * a.earn_out_probability)


def sale_flags(company: Company, net: float, *, short: bool) -> tuple[str, ...]:
    """What a reader should know of a sale at a net price."""
    flags = ("price_below_debt",) if short else ()
    doubt = company.schedule.doubt_at(net)
    return (*flags, f"conversion_{doubt}") if doubt else flags


def sell(price: float, company: Company, a: Assumptions, months: float) -> Path:
    """A sale of the whole company at a headline price some months from now."""
    made = net_at(price, company, a, months)
    bridge = _bridge(price, company, made)
    company = company.grown(months)
    sold = sold_for(made, company.founders_at, a, months)
    steps = (*bridge.steps, ("founders_at_closing", sold.at_closing),
             ("founders_escrow", sold.escrow), ("founders_earn_out", sold.earn_out))  # fmt: skip
    flags = sale_flags(company, bridge.net, short=bool(bridge.short))
    control = company.founder_votes * (1.0 - company.acquirer_stake)
    payouts = company.schedule.pay(bridge.net)
    return Path(sold.npv, payouts, bridge.net, months, control, steps, flags=flags)


class Offer(NamedTuple):
    """Sale of new shares and, later, of the founders' own; numbers or columns."""

    npv: Numbers
    offered: Numbers
    locked: Numbers
    dilution: Numbers
    months: float


def raised_at(value: Numbers, a: Assumptions) -> Numbers:
    """New money of a listing at a value before it."""
    return 0.2 * value if a.ipo_raise is None else a.ipo_raise


def offer_of(own: Numbers, value: Numbers, raised: Numbers, spread: Numbers,
             a: Assumptions) -> Offer:  # fmt: skip
    """What a listing pays founders whose shares are worth `own` before the new money."""
    # Every share, old or new, is worth the value after the money over all shares.
    whole = value + raised
    after = value + raised * (1.0 - spread)
    none = whole == 0
    over = pick(none, 1.0, whole)
    kept = pick(none, 1.0, after / over)
    offered = own * kept * a.sold_at_ipo * (1.0 - spread)
    locked = own * kept * (1.0 - a.sold_at_ipo) * (1.0 - a.marketability_discount)
    start = a.months_to_list + a.lock_up_months
    parts = [start + a.sale_months * i / 3.0 for i in range(4)]
    npv = present_value(offered, a.months_to_list, a)
    npv = npv + sum(present_value(locked / 4.0, months, a) for months in parts)
    first = a.months_to_list if a.sold_at_ipo > 0 else start
    return Offer(npv, offered, locked, pick(none, 1.0, value / over), first)


def _listing(price: float, company: Company, a: Assumptions) -> Path:
    """Sale of new shares at a value `price` of the company before the money, debt repaid first."""
    cash = company.cash_in(a.months_to_list)
    value = most(0.0, price + cash - company.debt)
    before, company = company, company.grown(a.months_to_list)
    raised = raised_at(value, a)
    spread = spread_rate(company.usd(raised)) if a.ipo_spread is None else a.ipo_spread
    claims, schedule = _listing_of(company.claims)
    payouts, flags = _offered(claims, schedule, value)
    asked = a.qualified_price
    low_price = asked is not None and _offer_price(claims, schedule, value) < asked
    low_size = a.qualified_size is not None and raised < a.qualified_size
    if low_price or low_size:
        payouts = company.schedule.pay(value)
        flags = ("ipo_not_qualified",)
    offer = offer_of(company.founders(payouts), value, raised, spread, a)
    steps = (
        *_worth(price, before, cash), ("net", value), ("raised", raised),
        ("spread", -raised * spread), ("founders_at_offer", offer.offered),
        ("founders_after_lock_up", offer.locked),
    )  # fmt: skip
    control = company.founder_votes * offer.dilution
    return Path(offer.npv, payouts, value, offer.months, control, steps, flags=flags)


@cached(maxsize=64)
def _listing_of(
    claims: tuple[Claim[float], ...],
) -> tuple[tuple[Claim[float], ...], Schedule[float] | None]:
    """The claims of a listing and their schedule; None where a ratchet waits for its price."""
    made = tuple(map(as_listed, claims))
    return made, None if any(map(ratchets.promised, made)) else Schedule(made)


def _offered(
    claims: tuple[Claim[float], ...], schedule: Schedule[float] | None, value: float
) -> tuple[dict[str, float], tuple[str, ...]]:
    """What everybody's papers are worth in a listing, and what a reader should know of it.

    All classes are common shares; options count if worth their strike, paper converts or takes what
    it is owed.
    """
    if schedule is None:
        return ratchets.offered(claims, value)
    doubt = schedule.doubt_at(value)
    return schedule.pay(value), (f"conversion_{doubt}",) if doubt else ()


def _offer_price(
    claims: tuple[Claim[float], ...], schedule: Schedule[float] | None, value: float
) -> float:
    """The price per share of a listing."""
    return ratchets.share_price(claims, value) if schedule is None else schedule.unit_value(value)


def pay_to_founders(people: Numbers, a: Assumptions) -> tuple[Numbers, Numbers]:
    """The founders' pay of a licence-and-hire deal, and what it is worth today."""
    own = people * a.founder_people_share
    worth = sum(
        present_value(own / 4.0, a.license_months + a.people_months * i / 4.0, a)
        for i in range(1, 5)
    )
    return own, worth


def _license(price: float, company: Company, a: Assumptions) -> Path:
    sale = sell(price * a.license_part, company, a, a.license_months)
    people = price * a.people_part
    own, pay = pay_to_founders(people, a)
    steps = (*sale.steps, ("pay_to_people", people), ("founders_pay", own))
    months = a.license_months
    return Path(sale.npv + pay, sale.payouts, sale.net, months, 0.0, steps, people, sale.flags)


_ROUND_MONTHS = 3.0  # to the closing of a private round


@dataclass(frozen=True, slots=True)
class GoOn:
    """A way to go on: how likely it works, what the company is worth then, and what it costs."""

    success: float
    multiple: float
    dilution: float
    months: float
    secondary: float = 0.0

    @property
    def first_cash(self) -> float:
        """Months until the founders are first paid."""
        return _ROUND_MONTHS if self.secondary > 0 else self.months


def ways_to_go_on(a: Assumptions) -> dict[str, GoOn]:
    """Option -> the way to go on that it is."""
    return {
        "transform": GoOn(a.transform_success, a.transform_multiple, 0.0, a.later_months),
        "private_round": GoOn(a.round_success, a.round_multiple,
                              a.round_raise / (1.0 + a.round_raise), a.later_months,
                              a.round_secondary),
        "ma_buy": GoOn(a.buy_success, a.buy_multiple, a.buy_dilution, a.later_months),
    }  # fmt: skip


def going_on(
    price: Numbers, company: Any, good: Numbers, bad: Numbers, a: Assumptions, way: GoOn
) -> tuple[Numbers, Numbers]:
    """Worth to the founders and their votes; `good` and `bad` are what a later sale pays them."""
    kept = 1.0 - way.dilution
    worth = most(0.0, price + company.cash_in(_ROUND_MONTHS) - company.debt)
    now = company.grown(_ROUND_MONTHS).founders_at(worth) * way.secondary
    chance = way.success * good * kept + (1.0 - way.success) * bad
    npv = present_value(now, _ROUND_MONTHS, a) + chance * (1.0 - way.secondary)
    return npv, company.founder_votes * kept * (1.0 - 0.5 * way.secondary)


def _go_on(price: float, company: Company, a: Assumptions, way: GoOn) -> Path:
    """Success: a later sale at `multiple`, diluted; failure: a sale at `failure_part`."""
    good = sell(price * way.multiple, company, a, way.months)
    bad = sell(price * a.failure_part, company, a, a.failure_months)
    npv, control = going_on(price, company, good.npv, bad.npv, a, way)
    steps = (*good.steps, ("success", way.success),
             ("founders_if_it_works", good.npv * (1.0 - way.dilution)),
             ("founders_if_not", bad.npv))  # fmt: skip
    return Path(npv, good.payouts, good.net, way.first_cash, control, steps, flags=good.flags)


def _dual(price: float, company: Company, a: Assumptions) -> Path:
    sale, listing = sell(price, company, a, a.months_to_close), _listing(price, company, a)
    best = listing if listing.npv > sale.npv else sale
    total = sum(best.payouts.values())  # the founders bear the cost as they share the money
    part = company.founders(best.payouts) / total if total > 0 else 0.0
    cost = present_value(price * a.dual_track_cost * part, a.months_to_close, a)
    steps = (*best.steps, ("dual_track_cost", -cost))
    chosen = "dual_track_ipo" if best is listing else "dual_track_ma"
    npv = max(0.0, best.npv - cost)
    flags = (chosen, *best.flags)
    return Path(npv, best.payouts, best.net, best.months, best.control, steps, flags=flags)


def worth_by_price(option: str, company: Company, a: Assumptions) -> Callable[[float], float]:
    """What a sale ("ma", "license_hire") is worth to the founders by its headline price.

    The same numbers as `value_deal`, without the steps that lead to them.
    """
    licensed = option == "license_hire"
    months = a.license_months if licensed else a.months_to_close
    founders_at = company.grown(months).founders_at
    cash, debt = company.cash_in(months), company.debt

    def at(price: float) -> float:
        headline = price * a.license_part if licensed else price
        npv = sold_for(_net_with(headline, cash, debt, a), founders_at, a, months).npv
        return float(npv + pay_to_founders(price * a.people_part, a)[1] if licensed else npv)

    return at


def value_deal(option: str, price: float, company: Company, a: Assumptions) -> Path:
    """Return what an option pays the founders at a headline price; KeyError if it has no model."""
    if option == "ma":
        return sell(price, company, a, a.months_to_close)
    if option == "ipo":
        return _listing(price, company, a)
    if option == "license_hire":
        return _license(price, company, a)
    if option == "dual_track":
        return _dual(price, company, a)
    return _go_on(price, company, a, ways_to_go_on(a)[option])
