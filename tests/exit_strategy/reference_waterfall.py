"""The waterfall by exhaustive search: every set of conversion choices, Nash equilibria kept.

Written from the terms alone (pay ranks, then share, caps by bisection); shares no code with the
package.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np


def pay_fixed(table: list[dict[str, Any]], choice: tuple[bool, ...], price: float) -> np.ndarray:
    """Payouts when the holders marked in `choice` convert (options: exercise)."""
    n = len(table)
    paid = np.zeros(n)
    left = price
    live = []
    for i, (h, converts) in enumerate(zip(table, choice, strict=True)):
        if h["kind"] in ("none", "capped", "full") and not converts:
            if h["kind"] != "none":
                live.append(i)
        elif h["kind"] != "option" or converts:
            live.append(i)
    for rank in sorted({h["rank"] for h in table}):
        owed = np.array(
            [
                h["due"] if h["rank"] == rank and not choice[i] and h["due"] > 0 else 0.0
                for i, h in enumerate(table)
            ]
        )
        total = owed.sum()
        if total > left:
            return paid + owed * left / total
        paid, left = paid + owed, left - total

    def share(v: float) -> np.ndarray:
        out = np.zeros(n)
        for i in live:
            h = table[i]
            amount = h["units"] * v
            if h["kind"] == "option":
                amount = h["units"] * (v - h["strike"])
            if h["kind"] == "capped" and not choice[i]:
                amount = min(amount, h["cap"] - h["due"])
            out[i] = amount
        return out

    if not live:
        return paid
    low, high = 0.0, 1.0
    while share(high).sum() < left and high < 1e18:
        high *= 2
    for _ in range(75):
        mid = 0.5 * (low + high)
        low, high = (mid, high) if share(mid).sum() < left else (low, mid)
    return paid + share(0.5 * (low + high))


def equilibria(table: list[dict[str, Any]], price: float) -> list[np.ndarray]:
    """Payouts of every pure-strategy Nash equilibrium (full and common never choose)."""
    free = [h["kind"] in ("none", "capped", "option") for h in table]
    sets = [c for c in product(*[(False, True) if f else (False,) for f in free])]
    pays = {c: pay_fixed(table, c, price) for c in sets}
    found = []
    slack = 1e-9 * max(1.0, price)
    for choice, pay in pays.items():
        stable = True
        for i, f in enumerate(free):
            if f:
                other = (*choice[:i], not choice[i], *choice[i + 1 :])
                stable &= bool(pays[other][i] <= pay[i] + slack)
        if stable:
            found.append(pay)
    return found
