"""A whole cap table as a game, in fractions: every paper, its day, and what each holder may choose.

Written from the terms alone; of the package it takes only the dataclasses that hold the terms.
Strikes are paid in cash into the pot that is shared.
"""

from __future__ import annotations

import calendar
import datetime as dt
import random
from fractions import Fraction as F
from typing import Any

from fastnn.exit_strategy.money.captable import CapTable
from fastnn.exit_strategy.money.interest import Accrual
from fastnn.exit_strategy.money.terms import Note, OptionGrant, Safe, ShareClass, Vesting

_MONTHS = {"monthly": 1, "quarterly": 3, "semiannual": 6, "annual": 12}


def exact(x: Any) -> F:
    """A number as its shortest decimal text says."""
    return F(str(x))


def years_between(a: dt.date, b: dt.date, count: str) -> F:
    """The part of a year between two days."""
    if count == "30/360":
        one = 30 if a.day == 31 else a.day
        two = 30 if b.day == 31 and one == 30 else b.day
        return F(360 * (b.year - a.year) + 30 * (b.month - a.month) + two - one, 360)
    if count == "actual/actual":
        days = (a + dt.timedelta(k) for k in range((b - a).days))
        return sum((F(1, 366 if calendar.isleap(day.year) else 365) for day in days), F(0))
    return F((b - a).days, 360 if count == "actual/360" else 365)


def months_later(day: dt.date, months: int) -> dt.date:
    """The same day of a later month, or its last."""
    year, month = divmod(day.month - 1 + months, 12)
    year += day.year
    return dt.date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def whole_months(start: dt.date, on: dt.date, step: int = 1) -> int:
    """How many whole steps of months fit between two days."""
    count = 0
    while months_later(start, (count + 1) * step) <= on:
        count += 1
    return count


def grown(row: Accrual, on: dt.date) -> F:
    """What one unit of money has become by one period."""
    end = on if row.end is None else min(on, row.end + dt.timedelta(1))
    if end <= row.start:
        return F(1)
    rate = exact(row.rate)
    if row.compounding == "simple":
        return 1 + rate * years_between(row.start, end, row.day_count)
    if row.compounding == "daily":
        base = 365 if row.day_count == "actual/365" else 360
        return (1 + rate / base) ** int(years_between(row.start, end, row.day_count) * base)
    step = _MONTHS[row.compounding]
    count = whole_months(row.start, end, step)
    last = years_between(months_later(row.start, count * step), end, row.day_count)
    return F((1 + rate * step / 12) ** count * (1 + rate * last))


def class_due(c: ShareClass, on: dt.date) -> F:
    """The preference of a class on a day, with its dividends or its redemption."""
    accrued = exact(c.accrued_dividend)
    if c.dividend_from is not None and on > c.dividend_from:
        row = Accrual(c.dividend_rate, c.dividend_from, compounding=c.dividend_compounding)
        accrued += exact(c.invested) * (grown(row, on) - 1)
    times = exact(c.multiple)
    if c.redemption_date is not None and on >= c.redemption_date:
        times = max(times, exact(c.redemption_multiple))
    return times * exact(c.invested) + accrued


def note_owed(note: Note, as_of: dt.date, on: dt.date) -> tuple[F, F]:
    """Principal and interest of a note, and what a change of control repays."""
    if note.accruals:
        factor = grown(note.accruals[0], on)
    elif note.years is None and note.date is not None:
        factor = grown(Accrual(note.interest, note.date, day_count=note.day_count), on)
    else:
        years = exact(note.years or 0) + years_between(as_of, on, note.day_count)
        factor = 1 + exact(note.interest) * years
    principal, times = exact(note.principal), exact(note.multiple)
    owed = principal * factor
    return owed, owed * times if note.multiple_on_interest else owed + principal * (times - 1)


def common_of(c: ShareClass) -> F:
    """The common shares that a class becomes."""
    if c.conversion_price is not None:
        return exact(c.invested) / exact(c.conversion_price)
    return exact(c.shares) * exact(c.conversion_ratio)


def part_counted(grant: OptionGrant, on: dt.date) -> F:
    """The part of a grant that a sale pays."""
    v = grant.vesting
    if v is None or grant.unvested == "assumed":
        return F(1)
    months = whole_months(v.start, on)
    now = F(0) if months < v.cliff else min(F(1), F(months - months % v.every, v.months))
    return now + (1 - now) * exact(v.accelerated) if v.trigger == "single" else now


def favoured(paper: Any, papers: list[Any]) -> Any:
    """The terms that most-favoured paper takes."""
    later = [
        q for q in papers
        if q is not paper and not (paper.date and q.date and q.date <= paper.date)
    ]  # fmt: skip
    capped = [q for q in (paper, *later) if q.valuation_cap is not None]
    if capped:
        return min(capped, key=lambda q: q.valuation_cap)
    return max((paper, *later), key=lambda q: q.discount)


class Game:
    """The choices of all holders of a table on a day, and what a choice of all pays.

    In a `listing` all classes convert, and notes are owed no multiple of a change of control.
    """

    def __init__(self, table: CapTable, on: dt.date, *, listing: bool = False) -> None:
        assert table.as_of is not None
        self.table, self.on, self.listing = table, on, listing
        last = max((c.seniority for c in table.classes), default=1)
        papers: list[Any] = [*table.safes, *table.notes]
        self.papers = []  # paper, terms, amount that converts, repaid, rank, with the discount
        for p in papers:
            terms = favoured(p, papers) if p.mfn else p
            if isinstance(p, Safe):
                amount = repaid = exact(p.amount)
                rank = last if p.seniority is None else p.seniority
            else:
                amount, repaid = note_owed(p, table.as_of, on)
                repaid, rank = (amount if listing else repaid), p.seniority
            works = terms.discount_in_sale
            works = terms.valuation_cap is None if works is None else works
            full = max(repaid, amount / (1 - exact(terms.discount))) if works else repaid
            self.papers.append((p.name, terms, amount, repaid, rank, full))
        counted = [(o, exact(o.n) * part_counted(o, on)) for o in table.options]
        self.grants = [(o, n) for o, n in counted if n > 0]
        self.by_name = {c.name: c for c in table.classes}
        self.moves: dict[str, tuple[str, ...]] = {}
        for c in table.classes:
            if c.participation != "full" and not listing:
                self.moves[c.name] = ("hold", "convert")
        for o, _ in self.grants:
            if o.share_class is None:
                self.moves[o.name] = ("leave", "convert") if o.strike else ("convert",)
            elif listing:
                self.moves[o.name] = ("leave", "convert")
            else:
                full = self.by_name[o.share_class].participation == "full"
                self.moves[o.name] = ("leave", "hold") if full else ("leave", "hold", "convert")
        for name, terms, *_ in self.papers:
            self.moves[name] = ("hold", "convert") if terms.valuation_cap else ("hold",)

    def pay(self, choice: dict[str, str], price: F) -> dict[str, F]:
        """What everybody is paid of a net price, strikes taken off."""
        table = self.table
        rows: list[dict[str, Any]] = []
        everybody = shares = exact(table.common)  # if all convert, and as all choose
        capped = F(0)  # held, and participating up to a cap

        def add(name: str, units: F = F(0), due: F = F(0), rank: int = 0, **more: Any) -> None:
            row = {"name": name, "units": units, "due": due, "rank": rank, "cap": None}
            rows.append({**row, "strike": F(0), "late": None, **more})

        add("founders", exact(table.founders))
        if table.common > table.founders:
            add("common", exact(table.common) - exact(table.founders))
        for c in table.classes:
            units, due = common_of(c), class_due(c, self.on)
            everybody += units
            if self.listing or choice.get(c.name) == "convert":
                shares += units
                add(c.name, units)
            elif c.participation == "full":
                shares += units
                add(c.name, units, due, c.seniority)
            elif c.participation == "capped":
                cap = max(due, exact(c.cap) * exact(c.invested))
                capped += units if cap > due else 0
                add(c.name, units, due, c.seniority, cap=cap)
            else:
                add(c.name, F(0), due, c.seniority)
        for o, n in self.grants:
            move, strike = choice[o.name], n * exact(o.strike)
            of = None if o.share_class is None else self.by_name[o.share_class]
            units = n if of is None else n * common_of(of) / exact(of.shares)
            full = of is not None and of.participation == "full"
            everybody += units
            if of is None or strike > 0 or move == "convert" or full:
                shares += units
            if move == "leave":
                add(o.name)
            elif move == "convert" or of is None:
                add(o.name, units, strike=strike)
            else:
                due = n * exact(of.multiple) * exact(of.invested) / exact(of.shares)
                add(o.name, units if full else F(0), due, of.seniority, strike=strike)
        self._add_papers(choice, add, everybody, shares, capped)
        return _share(rows, price)

    def _add_papers(
        self, choice: dict[str, str], add: Any, everybody: F, shares: F, capped: F
    ) -> None:
        pool = exact(self.table.pool)

        def beside(terms: Any) -> F:
            counted = capped if terms.post_money and terms.counts_capped else F(0)
            return counted + (pool if terms.counts_pool else F(0))

        parts, before = F(0), shares
        units: dict[str, F] = {}
        for name, terms, amount, *_ in self.papers:
            if terms.valuation_cap is None:
                continue
            part, extra = amount / exact(terms.valuation_cap), beside(terms)
            if not terms.post_money:
                units[name] = part * (everybody + extra)
                before += units[name] if choice[name] == "convert" else 0
            elif choice[name] == "convert":
                parts, before = parts + part, before + part * extra
        whole = before / (1 - parts)
        for name, terms, amount, repaid, rank, full in self.papers:
            if choice[name] == "convert":
                of_all = amount / exact(terms.valuation_cap) * (whole + beside(terms))
                add(name, units.get(name, of_all))
            else:
                add(name, F(0), repaid, rank, late=full if full > repaid else None)

    def gains(self, choice: dict[str, str], price: F) -> dict[str, F]:
        """What each holder would gain by the best other move of its own."""
        paid = self.pay(choice, price)
        out = {}
        for name, moves in self.moves.items():
            others = [m for m in moves if m != choice[name]]
            best = max((self.pay({**choice, name: m}, price)[name] for m in others), default=F(0))
            out[name] = best - paid[name] if others else F(0)
        return out


def _share(rows: list[dict[str, Any]], price: F) -> dict[str, F]:
    left = price + sum(row["strike"] for row in rows)
    paid = {row["name"]: F(0) for row in rows}
    for rank in sorted({row["rank"] for row in rows if row["due"] > 0}):
        mine = [row for row in rows if row["due"] > 0 and row["rank"] == rank]
        total = sum(row["due"] for row in mine)
        part = min(F(1), left / total)
        for row in mine:
            paid[row["name"]] += row["due"] * part
        left -= total * part
    left = _late(rows, paid, left)
    live = [row for row in rows if row["units"] > 0]
    while left > 0 and live:
        units = sum(row["units"] for row in live)
        step = left / units
        for row in live:
            if row["cap"] is not None:
                step = min(step, (row["cap"] - paid[row["name"]]) / row["units"])
        for row in live:
            paid[row["name"]] += step * row["units"]
        left -= step * units
        live = [row for row in live if row["cap"] is None or paid[row["name"]] < row["cap"]]
    return {row["name"]: paid[row["name"]] - row["strike"] for row in rows}


def _late(rows: list[dict[str, Any]], paid: dict[str, F], left: F) -> F:
    """Discounted paper takes shares after all ranks: the part f of its due, or what was repaid."""
    late = [row for row in rows if row["late"] is not None]

    def needs(part: F) -> F:
        return sum((max(row["due"], part * row["late"]) - row["due"] for row in late), F(0))

    if not late or left <= 0:
        return left
    part = F(1)
    if needs(part) > left:
        marks = sorted({row["due"] / row["late"] for row in late} | {F(1)})
        k = next(k for k, mark in enumerate(marks) if needs(mark) > left)
        low, high = marks[k - 1], marks[k]
        part = low + (left - needs(low)) / (needs(high) - needs(low)) * (high - low)
    taken = needs(part)
    for row in late:
        paid[row["name"]] = max(row["due"], part * row["late"])
    return left - taken


def random_table(rng: random.Random) -> CapTable:
    """A table with everything: some tables are refused where post-money caps give away all."""

    def day(first: int, last: int) -> dt.date:
        return dt.date(rng.randint(first, last), rng.randint(1, 12), rng.randint(1, 28))

    def some(low: int, high: int) -> float:
        return float(rng.randint(low, high))

    common = rng.choice([1e6, 1e7, some(100_000, 20_000_000)])
    classes, options, safes, notes = [], [], [], []
    for i in range(rng.randint(0, 3)):
        kind, times = rng.choice(["none", "none", "full", "capped"]), rng.choice([1.0, 1.5, 2.0])
        invested, shares = some(100_000, 50_000_000), some(100_000, 5_000_000)
        more: dict[str, Any] = {}
        if rng.random() < 0.3:
            more = {"dividend_rate": 0.08, "dividend_from": day(2019, 2025),
                    "dividend_compounding": rng.choice(["simple", "annual"])}  # fmt: skip
        elif rng.random() < 0.3:
            more = {"accrued_dividend": round(invested * 0.08)}
        if rng.random() < 0.2:
            redeemed = 1.5 if kind == "none" else 1.0
            more |= {"redemption_date": day(2024, 2028), "redemption_multiple": redeemed}
        if rng.random() < 0.2:
            more["conversion_price"] = round(invested / shares * rng.choice([0.5, 1]), 4)
        else:
            more["conversion_ratio"] = rng.choice([1.0, 1.2, 2.0])
        cap = times + rng.choice([0, 0.5, 2]) if kind == "capped" else None
        classes.append(ShareClass(f"C{i}", shares, invested, times, participation=kind, cap=cap,
                                  seniority=rng.randint(1, 3), **more))  # fmt: skip
    for i in range(rng.randint(0, 2)):
        more = {}
        if rng.random() < 0.5:
            trigger = rng.choice(["none", "single", "double"])
            left = "assumed" if trigger == "double" else rng.choice(["assumed", "lapse"])
            vests = Vesting(day(2022, 2026), 48, 12, rng.choice([1, 3]), trigger, 0.5)
            more = {"vesting": vests, "unvested": left}
        strike = rng.choice([0.0, 0.1, 2.0, round(rng.uniform(0, 10), 2)])
        options.append(OptionGrant(f"O{i}", some(10_000, 2_000_000), strike, **more))
    warranted = [c for c in classes if c.participation != "capped"]
    if warranted and rng.random() < 0.5:
        of = rng.choice(warranted)
        strike = round(float(of.invested) / float(of.shares) * rng.choice([0, 0.3, 1, 2.5]), 2)
        options.append(OptionGrant("W", some(10_000, 300_000), strike, share_class=of.name))
    for i in range(rng.randint(0, 3)):
        mfn = rng.random() < 0.2
        limit = None if mfn or rng.random() < 0.4 else some(5, 50) * 1e6
        safes.append(Safe(f"S{i}", some(100_000, 1_500_000), limit,
                          0.0 if mfn else rng.choice([0.0, 0.2, 0.15]), rng.random() < 0.6,
                          rng.choice([None, 1, 2]), mfn=mfn, date=day(2021, 2026),
                          counts_pool=rng.choice([None, True]),
                          counts_capped=rng.choice([None, True])))  # fmt: skip
    for i in range(rng.randint(0, 2)):
        count = rng.choice(["actual/365", "actual/360", "actual/actual", "30/360"])
        more = {"date": day(2023, 2025), "interest": 0.08, "day_count": count}
        if rng.random() < 0.4:
            count = rng.choice(["actual/365", "actual/360", "30/360"])
            kind = rng.choice(["simple", "daily", *_MONTHS])
            more = {"accruals": (Accrual(0.08, day(2023, 2024), None, count, kind),)}
        notes.append(Note(f"N{i}", some(100_000, 3_000_000), discount=rng.choice([0.0, 0.2]),
                          valuation_cap=rng.choice([None, some(5, 40) * 1e6]),
                          multiple=rng.choice([1.0, 1.5, 2.0]), post_money=rng.random() < 0.3,
                          seniority=rng.choice([0, 1, 2]), discount_in_sale=rng.random() < 0.4,
                          multiple_on_interest=rng.random() < 0.6, **more))  # fmt: skip
    as_of = dt.date(2026, rng.randint(1, 12), rng.randint(1, 28))
    founders = float(int(common * rng.choice([1, 0.8, rng.uniform(0.1, 0.9)])))
    return CapTable(common, founders, tuple(classes), tuple(options), tuple(safes), tuple(notes),
                    as_of=as_of, pool=rng.choice([0.0, 5e5]))  # fmt: skip
