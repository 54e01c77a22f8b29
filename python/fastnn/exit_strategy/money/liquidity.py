"""Who converts when it decides how many shares there are: post-money paper in a sale.

The liquidity capitalization of a post-money SAFE leaves out preferred shares and other paper whose
holders take money instead (Y Combinator's SAFE v1.1, "Liquidity Capitalization"); of a class that
participates up to a cap and holds, the text can be read both ways (`with_capped`). So the paper's
share count rises with every class that converts. As the price rises holders convert one after the
other; between two such prices the counts are fixed. Standard library only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import combinations
from typing import Generic, TypeVar

from fastnn.exit_strategy.records import dataclass

from .claims import Claim, above

__all__ = ["Stage", "depends_on_who_converts", "settled", "stages"]

N = TypeVar("N", float, Decimal)

_MOST_SEARCHED = 8  # holders who choose, among whose choices one is looked for


@dataclass(frozen=True, slots=True)
class Stage(Generic[N]):
    """From the price `start` on, `converted` (positions) have converted; no choice is left."""

    start: N
    converted: frozenset[int]
    claims: tuple[Claim[N], ...]


def depends_on_who_converts(claims: Sequence[Claim[N]]) -> bool:
    """Return whether some paper's share count depends on what others choose."""
    if not any(c.part is not None for c in claims):
        return False
    return sum(1 for c in claims if c.cap is not None and c.units > 0) > 1


def settled(claims: Sequence[Claim[N]], converted: frozenset[int]) -> tuple[Claim[N], ...]:
    """Return the claims with the share counts that hold when exactly `converted` convert."""
    units = _counts(claims, converted)
    return tuple(
        c if c.part is None else replace(c, units=own) for c, own in zip(claims, units, strict=True)
    )


def _counts(claims: Sequence[Claim[N]], converted: frozenset[int]) -> list[N]:
    """The units of every claim when exactly `converted` convert."""
    zero = claims[0].units * 0
    base, parts, capped = zero, zero, zero
    for i, c in enumerate(claims):
        if c.part is not None:
            continue
        if c.cap is None or i in converted or c.strike > 0:  # options and warrants always count
            base = base + c.units
        elif c.cap > c.due:
            capped = capped + c.units
    beside = [(zero if c.pool is None else c.pool) + (capped if c.with_capped else zero)
              for c in claims]  # fmt: skip
    for i, c in enumerate(claims):
        if c.part is not None and i in converted:
            parts = parts + c.part
            base = base + c.part * beside[i]
    whole = base / (1 - parts) if parts < 1 else base * 0
    return [
        c.units if c.part is None else c.part * (whole + more)
        for c, more in zip(claims, beside, strict=True)
    ]


def stages(claims: Sequence[Claim[N]]) -> tuple[Stage[N], ...]:
    """Return the stages by rising price."""
    free = [i for i, c in enumerate(claims) if c.cap is not None and c.units > 0]
    now: frozenset[int] = frozenset()
    price = claims[0].units * 0
    out = [Stage(price, now, _fixed(claims, now))]
    turns = 2 * len(free)  # who turned back converts again at a higher price
    while True:
        steps = [_threshold(claims, now | {i}, i) for i in free if i not in now]
        if not steps:
            return tuple(out)
        at, _, now = min(steps, key=lambda step: step[:2])
        price = max(price, at)
        if turns > 0:
            came = now
            price, now = _content(claims, free, came, price)
            turns -= came != now
        stage = Stage(price, now, _fixed(claims, now))
        if out[-1].start == price:
            out[-1] = stage
        else:
            out.append(stage)


def _content(
    claims: Sequence[Claim[N]], free: Sequence[int], converted: frozenset[int], price: N
) -> tuple[N, frozenset[int]]:
    """Return from which price on, and which, holders convert and nobody would turn back.

    Whoever converts may raise the count of shares of others, which takes from those who converted
    before. Then the first set is taken with which all are content, of several the nearest to
    `converted`; between the price and that of the set no choice of all is stable.
    """
    slack = price / 10**9
    if all(_threshold(claims, converted, i)[0] <= price + slack for i in sorted(converted)):
        return price, converted  # who has not converted yet does so in a later step
    found: list[tuple[N, int, frozenset[int]]] = []
    for changes in range(len(free) + 1 if len(free) <= _MOST_SEARCHED else 1):
        for turned in combinations(free, changes):
            now = converted.symmetric_difference(turned)
            low = price
            for i in now:
                at = _threshold(claims, now, i)[0]
                low = at if at > low else low
            out = (_threshold(claims, now | {i}, i)[0] for i in free if i not in now)
            if all(later > low + slack for later in out):
                found.append((low if low - price > slack else price, changes, now))
    if not found:
        return price, converted
    start, _, now = min(found, key=lambda row: row[:2])
    return start, now


def _threshold(
    claims: Sequence[Claim[N]], converted: frozenset[int], who: int
) -> tuple[N, int, frozenset[int]]:
    """The price at which converting gives `who` as much as it may take without."""
    units = _counts(claims, converted)
    mine, most = claims[who], claims[who].cap
    assert most is not None  # only holders with a bound choose
    worth = mine.strike + most / units[who]
    total = worth * 0
    for i, c in enumerate(claims):
        due, held, cap = _chosen(c, units[i], i in converted)
        paid = due + held * above(worth, c.strike)
        total = total + (cap if cap is not None and paid > cap else paid)
    return total, who, converted


def _chosen(c: Claim[N], units: N, converts: bool) -> tuple[N, N, N | None]:
    """What is due to a holder who has chosen, the units that share, and the most of both."""
    if converts:
        return units * 0, units, None
    return c.due, units * 0 if c.cap is not None and c.cap == c.due else units, c.cap


def _fixed(claims: Sequence[Claim[N]], converted: frozenset[int]) -> tuple[Claim[N], ...]:
    """The claims once everybody has chosen: converted ones are common, the others hold."""
    out = []
    for i, (c, units) in enumerate(zip(claims, _counts(claims, converted), strict=True)):
        converts = i in converted
        due, held, cap = _chosen(c, units, converts)
        last, joins = (units * 0, None) if converts else (c.last, c.joins)
        holds = c.holds if converts or cap == due else cap is not None
        out.append(
            Claim(c.holder, due, last, c.rank, held, c.strike, cap, None, holds, joins, c.pool,
                  c.listing, c.paper, c.exercise)
        )  # fmt: skip
    return tuple(out)
