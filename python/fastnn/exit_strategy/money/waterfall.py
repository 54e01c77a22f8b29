"""Who gets what at which price: stacked, participating, capped and converting claims.

A claim pays `max(min(due + n u, cap), n u)` with `u = max(0, v - strike)`, where v is the worth of
one common share. The sum over claims rises with v, so a price fixes v and thereby everybody's best
choice: the result is the Nash equilibrium of conversion (`profitable_switch` proves it case by
case). Where post-money paper counts only those who convert (`Claim.part`), who converts decides how
many shares there are, and `liquidity` finds who does. Works on float and on Decimal. Standard
library and `fastnn.ensemble` (batches) only.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from fastnn.exit_strategy.contracts import BreakPoint

from .claims import Claim, above
from .liquidity import Stage, depends_on_who_converts, settled, stages
from .settling import Doubt, too_many, unsettled

__all__ = [
    "Claim",
    "Schedule",
    "break_points",
    "claim_rows",
    "lost_to_preferences",
    "pay_many",
    "payouts_given",
    "profitable_switch",
]

N = TypeVar("N", float, Decimal)


def _joins(claim: Claim[N]) -> N:
    return claim.units * 0 if claim.joins is None else claim.joins


def _rank_levels(claims: Sequence[Claim[N]], rank: int) -> list[tuple[N, list[N]]]:
    """What one rank is paid in turn, each level with the part of the rank's due at its begin.

    A warrant pays its strike k to take a preference p, so it takes part once the rank is paid k/p
    of what is due; all then share by what is due in full.
    """
    zero = claims[0].units * 0
    rows = [c.due - c.last if c.rank == rank else zero for c in claims]
    marks = sorted({zero} | {_joins(c) for c, row in zip(claims, rows, strict=True) if row > 0})
    if len(marks) == 1:
        return [(zero, rows)]
    out = []
    for k, begin in enumerate(marks):
        step = (marks[k + 1] if k + 1 < len(marks) else zero + 1) - begin
        level = []
        for c, row in zip(claims, rows, strict=True):
            starts = _joins(c)
            level.append(row / (1 - starts) * step if row > 0 and starts <= begin else zero)
        out.append((begin, level))
    return out


def _levels(claims: Sequence[Claim[N]]) -> list[list[N]]:
    """What is paid before anything is shared: rank by rank, then the gains of discounted paper."""
    out = [
        level
        for rank in sorted({c.rank for c in claims})
        for _, level in _rank_levels(claims, rank)
    ]
    return out + [level for _, level in _late_levels(claims)]


def _late_levels(claims: Sequence[Claim[N]]) -> list[tuple[N, list[N]]]:
    """The gains of discounted paper in turn, each level with the part of the due at its begin.

    Paper at a discount d may be repaid or take shares at 1 - d of their price. While shares bring a
    part f of all that is due so, it takes the larger of both: each joins in where f passes its own
    (due - last) / due, and all share by what is due to them.
    """
    zero = claims[0].units * 0
    out = []
    joins = sorted({(c.due - c.last) / c.due for c in claims if c.last > 0})
    for k, begin in enumerate(joins):
        step = (joins[k + 1] if k + 1 < len(joins) else begin * 0 + 1) - begin
        level = [
            c.due * step if c.last > 0 and (c.due - c.last) / c.due <= begin else zero
            for c in claims
        ]
        out.append((begin, level))
    return out


class Schedule(Generic[N]):
    """Payouts of a set of claims as linear pieces of the net price; prices at or below 0 pay 0.

    The pieces end with the one that holds the price `until`; without it they go on.
    """

    def __init__(self, claims: Sequence[Claim[N]], until: N | None = None) -> None:
        if not claims or not any(claim.units > 0 for claim in claims):
            raise ValueError("no claim has units: nobody takes what is left after preferences")
        self.claims: tuple[Claim[N], ...] = tuple(claims)
        self._starts: list[N] = []
        self._values: list[list[N]] = []
        self._slopes: list[list[N]] = []
        self._stages: tuple[Stage[N], ...] = ()
        self._until: N | None = until
        self._doubts: tuple[Doubt, ...] | None = None
        if depends_on_who_converts(self.claims):
            self._stages = stages(self.claims)
            for k, stage in enumerate(self._stages):
                until = self._stages[k + 1].start if k + 1 < len(self._stages) else None
                self._take(Schedule(stage.claims, until), stage.start, until)
            return
        self._add_ranks()
        self._add_shares()

    def _take(self, other: Schedule[N], start: N, until: N | None) -> None:
        """Append the pieces of another schedule between two prices."""
        first = max(0, bisect_right(other._starts, start) - 1)
        for k in range(first, len(other._starts)):
            begin = max(start, other._starts[k])
            if until is not None and begin >= until and k > first:
                return
            over = begin - other._starts[k]
            values = [v + s * over for v, s in zip(other._values[k], other._slopes[k], strict=True)]
            self._push(begin, values, other._slopes[k])

    def converted(self, price: N) -> list[bool]:
        """Return which claims convert at a price."""
        if self._stages:
            found = self._stages[0]
            for stage in self._stages:
                found = stage if stage.start <= price else found
            return [i in found.converted for i in range(len(self.claims))]
        worth = self.unit_value(price)
        return [
            c.may_convert and c.cap is not None and c.units * above(worth, c.strike) > c.cap
            for c in self.claims
        ]

    def doubt_at(self, price: N) -> str:
        """Return "none" or "several" where so many choices of all are stable, else "".

        "unfound" where more choose than all choices can be tried of, and somebody would switch.
        The payouts are then those of the choices to which a rising price leads.
        """
        if not self._stages:
            return ""
        if too_many(self.claims):
            return "unfound" if _switcher(self, price) is not None else ""
        if self._doubts is None:
            self._doubts = unsettled(self.claims)
        return next((kind for low, high, kind in self._doubts if low < price < high), "")

    def pieces(self) -> Iterator[tuple[N, Sequence[N], Sequence[N]]]:
        """Yield each linear piece by rising price: its start, payouts there, and their slopes."""
        yield from zip(self._starts, self._values, self._slopes, strict=True)

    def pay(self, price: N) -> dict[str, N]:
        """Return holder -> payout; the payouts add up to the price."""
        return dict(zip((c.holder for c in self.claims), self.amounts(price), strict=True))

    def amounts(self, price: N) -> list[N]:
        """Return the payouts in the order of the claims."""
        zero = price * 0
        if price <= 0:
            return [zero for _ in self.claims]
        piece = max(0, bisect_right(self._starts, price) - 1)
        over = price - self._starts[piece]
        pairs = zip(self._values[piece], self._slopes[piece], strict=True)
        return [value + slope * over for value, slope in pairs]

    def part_of(self, parts: Mapping[str, N]) -> Callable[[N], N]:
        """Return the payout of holders together (holder -> part of its claim) by price."""
        own = [parts.get(c.holder, c.due * 0) for c in self.claims]

        def together(row: list[N]) -> N:
            return sum((a * b for a, b in zip(row, own, strict=True) if b), own[0] * 0)

        starts = self._starts
        values, slopes = (list(map(together, rows)) for rows in (self._values, self._slopes))

        def at(price: N) -> N:
            if price <= 0:
                return price * 0
            piece = max(0, bisect_right(starts, price) - 1)
            return values[piece] + slopes[piece] * (price - starts[piece])

        return at

    def unit_value(self, price: N) -> N:
        """Worth of one common unit at a price (0 while preferences are not covered)."""
        low = price * 0
        for stage in reversed(self._stages):
            if stage.start <= price:
                return Schedule(stage.claims).unit_value(price)
        marks = self._marks()
        at = [sum((c.at(v) for c in self.claims), low) for v in marks]
        piece = bisect_right(at, price) - 1
        if piece < 0:
            return low
        middle = self._inside(marks, piece)
        slope = sum((c.slope(middle) for c in self.claims), low)
        return marks[piece] if slope == 0 else marks[piece] + (price - at[piece]) / slope

    def _add_ranks(self) -> None:
        zero = self.claims[0].units * 0
        paid = [zero for _ in self.claims]
        price = zero
        for amounts in _levels(self.claims):
            total = sum(amounts, zero)
            if total > 0:
                self._push(price, paid, [a / total for a in amounts])
                paid = [p + a for p, a in zip(paid, amounts, strict=True)]
                price = price + total

    def _add_shares(self) -> None:
        zero = self.claims[0].units * 0
        marks = self._marks()
        for i, v in enumerate(marks):
            middle = self._inside(marks, i)
            slopes = [c.slope(middle) for c in self.claims]
            total = sum(slopes, zero)
            if total > 0:
                values = [c.at(v) for c in self.claims]
                self._push(sum(values, zero), values, [s / total for s in slopes])
                if self._until is not None and self._starts[-1] >= self._until:
                    return  # nobody asks what lies beyond

    def _marks(self) -> list[N]:
        """Unit values at which some claim bends, rising, from 0."""
        marks = {self.claims[0].units * 0}
        for c in self.claims:
            if c.units > 0:
                marks.add(c.strike)
                if c.cap is not None:
                    marks.update((c.strike + (c.cap - c.due) / c.units, c.strike + c.cap / c.units))
        return sorted(marks)

    @staticmethod
    def _inside(marks: Sequence[N], i: int) -> N:
        return (marks[i] + marks[i + 1]) / 2 if i + 1 < len(marks) else marks[i] + 1

    def _push(self, start: N, values: Sequence[N], slopes: Sequence[N]) -> None:
        self._starts.append(start)
        self._values.append(list(values))
        self._slopes.append(list(slopes))


def break_points(claims: Sequence[Claim[float]]) -> tuple[BreakPoint, ...]:
    """Net prices at which somebody starts to be paid, exercises, reaches a cap or converts."""
    if depends_on_who_converts(claims):
        return _staged_break_points(claims)
    found: list[BreakPoint] = []
    price = 0.0
    for rank in sorted({c.rank for c in claims}):
        for begin, level in _rank_levels(claims, rank):
            for c, amount in zip(claims, level, strict=True):
                if price > 0 and amount > 0 and (c.joins or 0.0) == begin:
                    event = "exercises" if c.joins else "starts"
                    found.append(BreakPoint(price, c.holder, event))
            price += sum(level)
    for begin, level in _late_levels(claims):
        for c in claims:
            if price > 0 and c.last > 0 and (c.due - c.last) / c.due == begin:
                found.append(BreakPoint(price, c.holder, "converts"))
        price += sum(level)
    for c in claims:
        if c.units <= 0:
            continue
        marks = []
        if c.due == 0 and c.cap is None:
            marks = [(c.strike, "exercises" if c.strike > 0 else "starts")]
        elif c.cap is not None:
            marks = [(c.strike + c.cap / c.units, "converts")]
            if c.cap > c.due:
                marks.append((c.strike + (c.cap - c.due) / c.units, "reaches_cap"))
        for v, event in marks:
            at = sum(other.at(v) for other in claims)
            if at > 0:
                found.append(BreakPoint(at, c.holder, event))
    return tuple(sorted(found, key=lambda p: (p.price, p.event, p.holder)))


def _staged_break_points(claims: Sequence[Claim[float]]) -> tuple[BreakPoint, ...]:
    """Break points where who converts decides how many shares there are."""
    rows = stages(claims)
    found: set[BreakPoint] = set()
    for k, stage in enumerate(rows):
        until = rows[k + 1].start if k + 1 < len(rows) else float("inf")
        late = {c.holder for c in stage.claims if c.last > 0}  # converts at its discount
        for point in break_points(stage.claims):
            chosen = point.event == "converts" and point.holder not in late
            if stage.start <= point.price < until and not chosen:
                found.add(point)
        before = rows[k - 1].converted if k else frozenset()
        found |= {
            BreakPoint(stage.start, claims[i].holder, "converts") for i in stage.converted - before
        }
    return tuple(sorted(found, key=lambda p: (p.price, p.event, p.holder)))


def payouts_given(claims: Sequence[Claim[N]], converted: Sequence[bool], price: N) -> list[N]:
    """Payouts when exactly the marked claims convert and the others keep what is due to them.

    Money that nobody may take (every claim at its cap) stays undistributed.
    """
    zero = price * 0
    chosen: list[Claim[N]] = []
    if depends_on_who_converts(claims):
        claims = settled(claims, frozenset(i for i, yes in enumerate(converted) if yes))
    for claim, converts in zip(claims, converted, strict=True):
        if converts:
            chosen.append(replace(claim, due=zero, last=zero, cap=None))
        elif claim.may_convert and claim.cap == claim.due:
            chosen.append(replace(claim, units=zero))
        else:
            chosen.append(claim)

    def held(c: Claim[N], v: N) -> N:
        amount = c.due + c.units * above(v, c.strike)
        return c.cap if c.cap is not None and amount > c.cap else amount

    left = price if price > 0 else zero
    paid = [zero for _ in chosen]
    for amounts in _levels(chosen):
        total = sum(amounts, zero)
        if total > left:
            return [p + a * left / total for p, a in zip(paid, amounts, strict=True)]
        left = left - total
        paid = [p + a for p, a in zip(paid, amounts, strict=True)]
    marks = sorted(
        {zero}
        | {c.strike for c in chosen}
        | {
            c.strike + (c.cap - c.due) / c.units
            for c in chosen
            if c.cap is not None and c.units > 0
        }
    )
    for i, v in enumerate(marks):
        at = sum((held(c, v) for c in chosen), zero)
        after = marks[i + 1] if i + 1 < len(marks) else v + 1
        slope = (sum((held(c, after) for c in chosen), zero) - at) / (after - v)
        last = i + 1 == len(marks)
        if slope > 0 and (last or at + slope * (after - v) >= price):
            worth = v + (price - at) / slope
            return [held(c, worth if worth > v else v) for c in chosen]
        if not last and at + slope * (after - v) >= price:
            return [held(c, v) for c in chosen]
    return [held(c, marks[-1]) for c in chosen]


def profitable_switch(claims: Sequence[Claim[N]] | Schedule[N], price: N) -> str | None:
    """Return a holder that would gain by switching between holding and converting, or None."""
    return _switcher(claims if isinstance(claims, Schedule) else Schedule(claims), price)


def _switcher(schedule: Schedule[N], price: N) -> str | None:
    claims = schedule.claims
    paid = schedule.amounts(price)
    converted = schedule.converted(price)
    slack = abs(price) / 10**9
    for i, claim in enumerate(claims):
        if not claim.may_convert:
            continue
        other = list(converted)
        other[i] = not other[i]
        if payouts_given(claims, other, price)[i] > paid[i] + slack:
            return claim.holder
    return None


def lost_to_preferences(
    claims: Sequence[Claim[float]] | Schedule[float], price: float, holders: Mapping[str, float]
) -> float:
    """Part (0..1) of their pro-rata share that holders (holder -> part of its claim) lose.

    Pro rata means that everybody had common shares; below zero (a gain) counts as zero.
    """
    made = claims if isinstance(claims, Schedule) else Schedule(claims)
    shares = [c for c in made.claims if c.units > 0]
    plain = [Claim(c.holder, 0.0, 0.0, c.rank, c.units, c.strike, None) for c in shares]
    fair = Schedule(plain, price).pay(price)
    paid = made.pay(price)
    wanted = sum(fair.get(h, 0.0) * part for h, part in holders.items())
    got = sum(paid.get(h, 0.0) * part for h, part in holders.items())
    return max(0.0, 1.0 - got / wanted) if wanted > 0 else 0.0


def claim_rows(claims: Sequence[Claim[float]]) -> npt.NDArray[np.float64]:
    """The claims as rows for `fastnn.ensemble.pay_claims`."""
    inf = float("inf")
    rows = [
        (c.due, c.last, c.rank, c.units, c.strike, inf if c.cap is None else c.cap) for c in claims
    ]
    return np.array(rows, dtype=np.float64)


def pay_many(
    tables: Sequence[Sequence[Claim[float]]], prices: npt.ArrayLike
) -> npt.NDArray[np.float64]:
    """Payouts of many sets of claims at rising prices, (tables, claims, prices), in compiled code.

    All tables need the same number of claims.
    """
    if any(
        depends_on_who_converts(t) or sum(c.last > 0 for c in t) > 1 or any(c.joins for c in t)
        for t in tables
    ):
        rows = np.asarray(prices, dtype=np.float64)
        plain = [[Schedule(table).amounts(float(p)) for p in rows] for table in tables]
        return np.array(plain).transpose(0, 2, 1)
    from fastnn.ensemble import pay_claims

    return pay_claims(np.stack([claim_rows(table) for table in tables]), prices)
