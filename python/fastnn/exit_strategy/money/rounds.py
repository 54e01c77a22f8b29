"""A priced round before the exit: who owns what after it, and what everything converts into.

The price is the pre-money valuation over all shares before the new money: shares as converted after
anti-dilution, options and warrants, what SAFEs and notes convert into, and the unissued pool with
its increase where the round asks for that before the money (the "option pool shuffle"). Several of
these depend on the price, so it is the root of one rising function. Standard library only.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import field, fields, replace
from typing import Any, Generic, TypeVar

from fastnn.exit_strategy.errors import ExitError, Issue, suggest
from fastnn.exit_strategy.records import dataclass

from .antidilution import adjusted_price
from .checks import Table
from .conversion import common_units, favoured, with_interest
from .interest import year_part
from .terms import COMMON, FOUNDERS, Holding, Note, Safe, ShareClass, is_number

__all__ = ["POOL", "Offer", "ProForma", "RoundResult", "play_round"]

#: Row of a pro forma for the unissued option pool.
POOL = "unissued pool"

T = TypeVar("T", bound=Table)

#: The least part of all shares that a round sells, and the most times its pre-money valuation that
#: it raises; beyond them one of the amounts was typed in millions.
_LEAST, _MOST = 1e-6, 1e3


@dataclass(frozen=True, slots=True)
class ProForma:
    """One line of the pro forma: a paper's fully diluted shares before and after the round."""

    holder: str
    before: float  # shares as converted; SAFEs and notes have none yet
    before_part: float  # of all shares, 0..1
    after: float
    after_part: float
    paid: float  # new money


@dataclass(frozen=True, slots=True)
class RoundResult(Generic[T]):
    """A round: the tables before and after it, its price, and what changed.

    Both tables are values: undoing the round is to go on with `before`.
    """

    before: T
    after: T
    name: str
    price: float  # money a new share
    pre_money: float
    post_money: float
    rows: tuple[ProForma, ...]
    converted: Mapping[str, float] = field(default_factory=dict)  # SAFE or note -> price a share
    repriced: Mapping[str, float] = field(default_factory=dict)  # class -> new conversion price
    bought: Mapping[str, float] = field(default_factory=dict)  # pro rata holder -> new shares
    pool_added: float = 0.0

    def undo(self) -> T:
        """Return the table as it was before the round."""
        return self.before


@dataclass(frozen=True, slots=True)
class Offer:
    """What a round asks for; `CapTable.round` explains each."""

    raised: float
    pre_money: float | None
    price: float | None
    name: str
    pool: float | None
    pool_after: bool
    pro_rata: tuple[str, ...]
    keep: tuple[str, ...]
    senior: bool
    day: dt.date | None
    terms: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Paper:
    """A SAFE or note that converts: the money it stands for, and its terms."""

    name: str
    amount: float
    discount: float
    cap: float | None
    post: bool
    counts_pool: bool
    date: dt.date | None


@dataclass(frozen=True, slots=True)
class _State:
    """Everything that a price decides, in shares."""

    units: Mapping[str, float]  # class -> common shares as converted
    prices: Mapping[str, float]  # repriced class -> conversion price
    papers: Mapping[str, float]  # SAFE or note -> shares
    added: float  # to the pool before the money
    all: float  # before the new money


def play_round(table: T, remake: Callable[..., T], offer: Offer) -> RoundResult[T]:
    """Return what the offer makes of a table; `remake` gives the table with other fields."""
    _check(table, offer)
    offer = _plain(offer)
    terms = ShareClass(offer.name, 1.0, 1.0, **{"date": offer.day, **offer.terms})
    papers = _papers(table, offer)
    price = offer.price
    if price is None:
        assert offer.pre_money is not None  # checked above
        price = _root(table, papers, offer, offer.pre_money)
    state = _state(table, papers, offer, price)
    new = offer.raised / price
    if new < _LEAST * state.all:
        text = f"{offer.raised:,.10g} buys {new:,.3g} of {state.all:,.0f} shares"
        raise ExitError(Issue("EX303", "round.raised", text, "give amounts in full: 5m"))
    if offer.pre_money is not None and offer.raised > _MOST * offer.pre_money:
        text = f"{offer.raised:,.10g} of new money for a company worth {offer.pre_money:,.10g}"
        raise ExitError(Issue("EX303", "round.pre_money", text, "give amounts in full: 5m"))
    kept = tuple(_kept(n, table, offer.day) for n in table.notes if n.name in offer.keep)
    whole, added = state.all + new, state.added
    if offer.pool is not None and offer.pool_after:
        added = max(0.0, (offer.pool * whole - float(table.pool)) / (1.0 - offer.pool))
        whole += added
    bought = _pro_rata(table, state, offer, new)
    after = remake(
        classes=_classes(table, state, papers, offer, replace(terms, shares=new,
                                                              invested=offer.raised)),
        safes=tuple(s for s in table.safes if s.name in offer.keep),
        notes=kept,
        pool=float(table.pool) + added,
        holders=_holders(table, offer, bought, new),
        as_of=_later_day(table, offer.day),
    )  # fmt: skip
    return RoundResult(
        before=table,
        after=after,
        name=offer.name,
        price=price,
        pre_money=price * state.all,
        post_money=price * (state.all + new),
        rows=_rows(table, state, offer, new, whole, added),
        converted={p.name: p.amount / state.papers[p.name] for p in papers},
        repriced=state.prices,
        bought=bought,
        pool_added=added,
    )


def _later_day(table: Table, day: dt.date | None) -> dt.date | None:
    """The day of the figures after a closing, which is never one before them."""
    as_of: dt.date | None = getattr(table, "as_of", None)
    return day if as_of is None or day is None else max(as_of, day)


def _kept(note: Note, table: Table, day: dt.date | None) -> Note:
    """A note that goes on: years that run to the day of the figures run to the new one."""
    as_of: dt.date | None = getattr(table, "as_of", None)
    runs_by_date = note.accruals or (note.years is None and note.date)
    if runs_by_date or as_of is None or day is None or day <= as_of:
        return note
    days, year = year_part(as_of, day, note.day_count)
    return replace(note, years=float(note.years or 0.0) + days / year)


def _plain(offer: Offer) -> Offer:
    """The offer with Python's own floats."""

    def plain(value: float | None) -> float | None:
        return None if value is None else float(value)

    return replace(
        offer, raised=float(offer.raised), pre_money=plain(offer.pre_money),
        price=plain(offer.price), pool=plain(offer.pool),
    )  # fmt: skip


def _check(table: Table, offer: Offer) -> None:
    issues: list[Issue] = []

    def amount(value: object, where: str) -> None:
        good = is_number(value)
        if not (good and 0 < float(value) < 1e18):  # type: ignore[arg-type]
            hint = "give a finite amount above zero"
            issues.append(Issue("EX308", where, f"{value!r} is not an amount", hint, str(value)))

    amount(offer.raised, "round.raised")
    for value, where in ((offer.pre_money, "round.pre_money"), (offer.price, "round.price")):
        if value is not None:
            amount(value, where)
    if (offer.pre_money is None) == (offer.price is None):
        issues.append(Issue("EX303", "round.pre_money", "a round needs a valuation or a price",
                            "give either pre_money or price"))  # fmt: skip
    good = is_number(offer.pool)
    if offer.pool is not None and not (good and 0 <= offer.pool < 1):
        issues.append(Issue("EX303", "round.pool", f"{offer.pool!r} is no part of all shares",
                            "0.1 means 10 % after the round", str(offer.pool)))  # fmt: skip
    names = [FOUNDERS, COMMON, POOL, *(r.name for r in _all_papers(table))]
    if offer.name in names or not str(offer.name).strip():
        issues.append(Issue("EX303", "round.name", f"the name {offer.name!r} is taken",
                            "give the new class a name of its own", str(offer.name)))  # fmt: skip
    both: list[Safe | Note] = [*table.safes, *table.notes]
    convertible = {paper.name for paper in both}
    for name in (n for n in offer.keep if n not in convertible):
        hint = f"SAFEs and notes: {', '.join(sorted(convertible)) or 'none'}"
        issues.append(Issue("EX303", "round.keep", f"{name!r} is no SAFE or note", hint, name))
    buyers = {*names, *(h.person for h in table.holders)}
    for name in (n for n in offer.pro_rata if n not in buyers):
        hint = f"persons and papers: {', '.join(sorted(buyers - {POOL}))}"
        issues.append(Issue("EX303", "round.pro_rata", f"{name!r} holds nothing", hint, name))
    known = {f.name for f in fields(ShareClass)} - {"name", "shares", "invested"}
    for name in (n for n in offer.terms if n not in known):
        near = suggest(name, known)
        hint = f"did you mean {near}?" if near else f"known: {', '.join(sorted(known))}"
        issues.append(Issue("EX306", f"round.{name}", "unknown term", hint, name))
    if offer.senior and "seniority" in offer.terms:
        issues.append(Issue("EX303", "round.seniority", "the rank is given twice",
                            "give senior or seniority"))  # fmt: skip
    if float(table.common) + sum(float(c.shares) for c in table.classes) <= 0:
        issues.append(Issue("EX301", "cap_table", "nobody holds a share", "give common shares"))
    if issues:
        raise ExitError(issues)


def _all_papers(table: Table) -> list[Any]:
    return [*table.classes, *table.options, *table.safes, *table.notes]


def _papers(table: Table, offer: Offer) -> list[_Paper]:
    both: list[Safe | Note] = [*table.safes, *table.notes]
    as_of = getattr(table, "as_of", None)
    out = []
    for paper in both:
        if paper.name in offer.keep:
            continue
        amount = float(paper.amount) if isinstance(paper, Safe) else float(
            with_interest(paper, as_of, offer.day, float)
        )  # fmt: skip
        if amount <= 0:
            raise ExitError(Issue("EX302", "cap_table", f"{paper.name!r} stands for no money",
                                  "leave it out", paper.name))  # fmt: skip
        terms = favoured(paper, both) if paper.mfn else paper
        cap = None if terms.valuation_cap is None else float(terms.valuation_cap)
        pool = terms.counts_pool is not False
        out.append(
            _Paper(
                paper.name, amount, float(terms.discount), cap, terms.post_money, pool, paper.date
            )
        )
    return out


def _options(table: Table, units: Mapping[str, float] | None = None) -> dict[str, float]:
    """Common shares that options and warrants stand for, vested or not.

    `units` are those that every class converts into, where a round has changed them.
    """
    now = units or {c.name: float(common_units(c, float)) for c in table.classes}
    ratios = {c.name: now[c.name] / float(c.shares) for c in table.classes}
    return {o.name: float(o.n) * ratios.get(o.share_class or "", 1.0) for o in table.options}


def _state(table: Table, papers: list[_Paper], offer: Offer, price: float) -> _State:
    old = {c.name: float(common_units(c, float)) for c in table.classes}
    options, pool = sum(_options(table).values()), float(table.pool)
    issued = float(table.common) + sum(old.values())
    outstanding = issued + options
    least = {p.name: p.amount / (price * (1.0 - p.discount)) for p in papers}
    added = 0.0
    shares = _converted(papers, least, outstanding, pool, added)
    for _ in range(5000):  # the pool's increase counts for pre-money paper, which counts for it
        units, prices = _repriced(table, old, offer, price, outstanding + sum(shares.values()))
        whole = float(table.common) + sum(units.values()) + pool + sum(shares.values())
        whole += sum(_options(table, units).values())
        if offer.pool is None or offer.pool_after:
            break
        wanted = offer.pool * (whole + offer.raised / price) - pool
        wanted = max(0.0, wanted / (1.0 - offer.pool))
        shares = _converted(papers, least, outstanding, pool, wanted)
        done = abs(wanted - added) <= 1e-13 * (whole + wanted)
        added = wanted
        if done:
            break
    else:
        text = "the pool and pre-money caps outgrow each other"
        raise ExitError(Issue("EX303", "round.pool", text, "ask for a smaller pool"))
    units, prices = _repriced(table, old, offer, price, outstanding + sum(shares.values()))
    whole = float(table.common) + sum(units.values()) + pool + sum(shares.values())
    whole += sum(_options(table, units).values())
    return _State(units, prices, shares, added, whole + added)


def _converted(
    papers: list[_Paper], least: Mapping[str, float], outstanding: float, pool: float, added: float
) -> dict[str, float]:
    """Shares of every paper: the most of its money at the round's price and at its cap.

    Sources: Y Combinator's SAFEs. The capitalization of pre-money paper counts shares, options and
    the pool with its increase, not other such paper; that of post-money paper counts all that
    converts and the pool before its increase.
    """
    shares = dict(least)
    for p in papers:
        if p.cap is not None and not p.post:
            base = outstanding + (pool + added if p.counts_pool else 0.0)
            shares[p.name] = max(least[p.name], p.amount / p.cap * base)
    capped = [p for p in papers if p.cap is not None and p.post]
    active: set[str] = set()
    while True:  # shares only rise, so paper that converts at its cap goes on to
        parts = sum(p.amount / (p.cap or 1.0) for p in capped if p.name in active)
        extra = sum(
            p.amount / (p.cap or 1.0) * pool for p in capped if p.name in active and p.counts_pool
        )
        if parts >= 1:
            text = f"post-money caps give away {parts:.0%}"
            hint = "the amounts over their caps must add up to less than 100 %"
            raise ExitError(Issue("EX303", "cap_table.safes", text, hint))
        rest = sum(n for name, n in shares.items() if name not in active)
        whole = (outstanding + rest + extra) / (1.0 - parts)
        now = {
            p.name: p.amount / (p.cap or 1.0) * (whole + (pool if p.counts_pool else 0.0))
            for p in capped
        }
        more = {name for name, n in now.items() if name not in active and n > least[name]}
        for name in active | more:
            shares[name] = now[name]
        if not more:
            return shares
        for name in more:
            shares[name] = least[name]  # counted by its part from now on
        active |= more


def _repriced(
    table: Table, old: Mapping[str, float], offer: Offer, price: float, outstanding: float
) -> tuple[dict[str, float], dict[str, float]]:
    """Common shares of every class after the issue, and the new conversion prices."""
    issued = float(table.common) + sum(old.values())
    counts = {"broad": outstanding, "narrow": issued, "narrow_preferred": sum(old.values())}
    units, prices = dict(old), {}
    for c in table.classes:
        if c.anti_dilution == "none" or not c.invested:
            continue
        was = float(c.invested) / old[c.name]
        now = adjusted_price(
            c.anti_dilution, was, price, offer.raised, counts.get(c.anti_dilution, issued)
        )
        if now < was:
            prices[c.name] = now
            units[c.name] = float(c.invested) / now
    return units, prices


def _root(table: Table, papers: list[_Paper], offer: Offer, pre_money: float) -> float:
    """The price at which all shares before the money are worth the pre-money valuation."""
    options = sum(_options(table).values())
    fixed = float(table.common) + options + float(table.pool)
    fixed += sum(float(common_units(c, float)) for c in table.classes)
    high = pre_money / fixed  # more shares than these only lower the price
    low = high * 1e-9
    if low * _state(table, papers, offer, low).all >= pre_money:
        text = "converting paper, ratchets and the pool take the whole pre-money valuation"
        hint = "raise pre_money, ask for a smaller pool, or have a ratchet waived"
        raise ExitError(Issue("EX303", "round.pre_money", text, hint, str(pre_money)))
    for _ in range(200):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        if middle * _state(table, papers, offer, middle).all < pre_money:
            low = middle
        else:
            high = middle
    return high


def _classes(
    table: Table, state: _State, papers: list[_Paper], offer: Offer, new: ShareClass
) -> tuple[ShareClass, ...]:
    shift = 1 if offer.senior else 0
    out = []
    for c in table.classes:
        if c.name in state.prices:
            c = replace(c, conversion_price=state.prices[c.name], conversion_ratio=1.0)
        out.append(replace(c, seniority=c.seniority + shift))
    for p in papers:  # a shadow series: the new class's terms, due what was paid
        out.append(
            replace(new, name=p.name, shares=state.papers[p.name], invested=p.amount, date=p.date)
        )
    return (*out, new)


def _shares_before_money(table: Table, state: _State) -> dict[str, float]:
    out = {FOUNDERS: float(table.founders), COMMON: float(table.common) - float(table.founders)}
    return {**out, **state.units, **_options(table, state.units), **state.papers}


def _pro_rata(table: Table, state: _State, offer: Offer, new: float) -> dict[str, float]:
    """New shares that holders with a pro rata right buy: their part of all before the money."""
    shares = _shares_before_money(table, state)
    after_money = {s.name for s in table.safes if s.post_money}

    def part(paper: str) -> float:
        # Y Combinator's side letter: of the capitalization, without the pool's increase
        whole = state.all - (state.added if paper in after_money else 0.0)
        return shares.get(paper, 0.0) / whole

    out = {}
    for name in offer.pro_rata:
        mine = sum(part(h.paper) * table.part_of(h) for h in table.holders if h.person == name)
        out[name] = new * (part(name) + mine)
    if sum(out.values()) > new * (1 + 1e-9):
        raise ExitError(Issue("EX303", "round.pro_rata", "the holders buy more than is sold",
                              "name each holder once, by person or by paper"))  # fmt: skip
    return out


def _holders(
    table: Table, offer: Offer, bought: Mapping[str, float], new: float
) -> tuple[Holding, ...]:
    old = [replace(h, part=table.part_of(h), units=None) for h in table.holders]
    added = [
        Holding(name, offer.name, n / new, None, name == FOUNDERS) for name, n in bought.items()
    ]
    return (*old, *added)


def _rows(
    table: Table, state: _State, offer: Offer, new: float, whole: float, added: float
) -> tuple[ProForma, ...]:
    old = {FOUNDERS: float(table.founders), COMMON: float(table.common) - float(table.founders)}
    old.update({c.name: float(common_units(c, float)) for c in table.classes})
    old.update(_options(table))
    old[POOL] = float(table.pool)
    total = sum(old.values())
    now = {**_shares_before_money(table, state), offer.name: new, POOL: old[POOL] + added}
    return tuple(
        ProForma(
            holder,
            old.get(holder, 0.0),
            old.get(holder, 0.0) / total,
            shares,
            shares / whole,
            offer.raised if holder == offer.name else 0.0,
        )
        for holder, shares in now.items()
        if shares > 0
    )
