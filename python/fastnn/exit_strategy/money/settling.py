"""Prices at which who converts is not settled: no choice of all is stable, or several are.

Where post-money paper counts only those who convert, each choice changes the others' shares. A set
of holders is stable from the price at which the last of them would rather convert up to the price
at which the first of the others would. All sets are tried, as columns. Imports NumPy alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from .claims import Claim
from .liquidity import depends_on_who_converts

__all__ = ["Doubt", "stable_sets", "too_many", "unsettled"]

N = TypeVar("N", float, Decimal)

#: From one net price to another: "none" or "several" choices of all are stable.
Doubt = tuple[float, float, str]

_MOST = 12  # holders who choose, whose sets are all tried
_HAIR = 1e-9  # parts of a price by which ends of ranges may differ


def too_many(claims: Sequence[Claim[N]]) -> bool:
    """Return whether more holders choose than all sets can be tried of."""
    return len(_free(claims)) > _MOST


def _free(claims: Sequence[Claim[N]]) -> list[int]:
    return [i for i, c in enumerate(claims) if c.cap is not None and c.units > 0]


def stable_sets(claims: Sequence[Claim[N]]) -> list[tuple[float, float, tuple[bool, ...]]]:
    """Return every set of converting holders with the net prices between which it is stable.

    Empty where nothing depends on who converts, or more than 12 holders choose.
    """
    free = _free(claims)
    if not depends_on_who_converts(claims) or len(free) > _MOST:
        return []
    many = 2 ** len(free)
    converts = np.zeros((many, len(claims)), dtype=bool)
    for k, i in enumerate(free):
        converts[:, i] = np.arange(many) >> k & 1
    low, high = np.zeros(many), np.full(many, np.inf)
    prices = _thresholds(claims, converts, free)
    for k, i in enumerate(free):
        with_it = np.flatnonzero(converts[:, i])
        without = with_it - 2**k
        low[with_it] = np.maximum(low[with_it], prices[with_it, k])
        high[without] = np.minimum(high[without], prices[with_it, k])
    stable = np.flatnonzero(high > low * (1 + _HAIR))
    return [(float(low[s]), float(high[s]), tuple(map(bool, converts[s]))) for s in stable]


def _thresholds(
    claims: Sequence[Claim[N]], converts: npt.NDArray[np.bool_], free: Sequence[int]
) -> npt.NDArray[np.float64]:
    """The price at which converting gives each as much as it may take without; (sets, free)."""

    def column(name: str, missing: float = 0.0) -> npt.NDArray[np.float64]:
        values = (getattr(c, name) for c in claims)
        return np.array([missing if v is None else float(v) for v in values])

    units, strike, due = column("units"), column("strike"), column("due")
    cap, part, pool = column("cap", np.inf), column("part"), column("pool")
    paper = np.array([c.part is not None for c in claims])
    counted = ~paper & ((cap == np.inf) | (strike > 0) | converts)
    joined = paper & converts
    capped = np.where(~paper & ~counted & (cap > due), units, 0.0).sum(axis=1)
    beside = pool + np.array([c.with_capped for c in claims]) * capped[:, None]
    base = (np.where(counted, units, 0.0) + np.where(joined, part * beside, 0.0)).sum(axis=1)
    left = 1.0 - np.where(joined, part, 0.0).sum(axis=1)
    whole = np.where(left > 0, base / np.where(left > 0, left, 1.0), 0.0)
    held = np.where(paper, part * (whole[:, None] + beside), units)
    shares = np.where(~converts & (cap == due), 0.0, held)
    owed = np.where(converts, 0.0, due)
    most = np.where(converts, np.inf, cap)
    out = np.zeros((len(converts), len(free)))
    for k, i in enumerate(free):
        own = held[:, i]
        worth = strike[i] + cap[i] / np.where(own > 0, own, 1.0)
        paid = owed + shares * np.maximum(0.0, worth[:, None] - strike)
        out[:, k] = np.where(own > 0, np.minimum(paid, most).sum(axis=1), np.inf)
    return out


def unsettled(claims: Sequence[Claim[N]]) -> tuple[Doubt, ...]:
    """Return the ranges of net prices in which no choice, or more than one, is stable."""
    sets: list[tuple[float, float, tuple[bool, ...]]] = stable_sets(claims)
    if not sets:
        return ()
    marks = sorted({0.0, *(mark for low, high, _ in sets for mark in (low, high))})
    out: list[Doubt] = []
    for begin, end in pairwise(marks):
        if end <= begin * (1 + _HAIR):
            continue
        middle = 2 * begin + 1 if end == np.inf else 0.5 * (begin + end)
        count = sum(low < middle < high for low, high, _ in sets)
        kind = "none" if count == 0 else "several" if count > 1 else ""
        if not kind:
            continue
        if out and out[-1][1] == begin and out[-1][2] == kind:
            begin = out.pop()[0]
        out.append((begin, end, kind))
    return tuple(out)
