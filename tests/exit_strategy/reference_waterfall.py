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


def liquidity_equilibria(table: Any, price: float) -> list[dict[str, float]]:
    """Equilibria when post-money SAFEs count only holders that convert (and full participants)."""
    sets = list(
        product(
            *[(False, True) if c.participation != "full" else (False,) for c in table.classes],
            *[(False, True)] * (len(table.options) + len(table.safes)),
        )
    )
    pays = {choice: _pay_liquidity(table, choice, price) for choice in sets}
    found = []
    for choice, pay in pays.items():
        stable = True
        for i, holder in enumerate((*table.classes, *table.options, *table.safes)):
            other = pays.get((*choice[:i], not choice[i], *choice[i + 1 :]))
            if other is not None:
                stable &= other[holder.name] <= pay[holder.name] + 1e-9 * price
        if stable:
            found.append(pay)
    return found


def _pay_liquidity(table: Any, choice: tuple[bool, ...], price: float) -> dict[str, float]:
    many, grants = len(table.classes), len(table.options)
    base = table.common + sum(o.n for o in table.options)
    base += sum(
        c.shares for c, yes in zip(table.classes, choice, strict=False) if yes or (c.cap is None
        and c.participation == "full")
    )  # fmt: skip
    taken = sum(
        s.amount / s.valuation_cap
        for s, yes in zip(table.safes, choice[many + grants :], strict=True)
        if yes
    )
    whole = base / (1 - taken)
    names, rows, picks = ["founders"], [], []
    rows.append({"kind": "common", "due": 0.0, "rank": 9, "units": table.common})
    picks.append(False)
    for c, yes in zip(table.classes, choice, strict=False):
        rows.append({"kind": c.participation, "due": c.invested, "rank": c.seniority,
                     "units": c.shares, "cap": (c.cap or 1) * c.invested})  # fmt: skip
        names.append(c.name)
        picks.append(yes)
    for o, yes in zip(table.options, choice[many:], strict=False):
        rows.append({"kind": "option", "due": 0.0, "rank": 9, "units": o.n, "strike": o.strike})
        names.append(o.name)
        picks.append(yes)
    last = max(c.seniority for c in table.classes)
    for s, yes in zip(table.safes, choice[many + grants :], strict=True):
        units = s.amount / s.valuation_cap * whole
        rows.append({"kind": "none", "due": s.amount, "rank": last, "units": units,
                     "cap": s.amount})  # fmt: skip
        names.append(s.name)
        picks.append(yes)
    return dict(zip(names, map(float, pay_fixed(rows, tuple(picks), price)), strict=True))


def pay_gross(rows: list[tuple[float, int, float, float | None]], pot: float) -> list[float]:
    """Share a pot among rows (due, rank, units, cap): ranks first, the rest by units up to caps."""
    paid, left = [0.0] * len(rows), pot
    for rank in sorted({row[1] for row in rows}):
        total = sum(row[0] for row in rows if row[1] == rank)
        part = 1.0 if total <= left else left / total
        for i, row in enumerate(rows):
            if row[1] == rank:
                paid[i] += row[0] * part
        left = max(0.0, left - total)
    live = [i for i, row in enumerate(rows) if row[2] > 0]
    while left > 0 and live:
        units = sum(rows[i][2] for i in live)
        step = left / units
        for i in live:
            cap = rows[i][3]
            if cap is not None:
                step = min(step, max(0.0, cap - paid[i]) / rows[i][2])
        for i in live:
            paid[i] += rows[i][2] * step
        left -= step * units
        live = [
            i for i in live if (cap := rows[i][3]) is None or paid[i] < cap * (1 - 1e-13) - 1e-9
        ]
        if left <= 1e-9 * pot:
            break
    return paid


def exercise_equilibria(papers: list[dict[str, Any]], price: float) -> list[list[float]]:
    """Equilibria when options and warrants pay their strike in cash into the pot that is shared.

    Each paper has `moves`: lists of (due, rank, units, cap, strike paid), one of which is chosen.
    """
    sets = list(product(*[range(len(p["moves"])) for p in papers]))
    nets: dict[tuple[int, ...], list[float]] = {}
    for choice in sets:
        rows = [p["moves"][k] for p, k in zip(papers, choice, strict=True)]
        pot = price + sum(row[4] for row in rows)
        paid = pay_gross([row[:4] for row in rows], pot)
        nets[choice] = [a - row[4] for a, row in zip(paid, rows, strict=True)]
    found = []
    for choice, net in nets.items():
        stable = True
        for i, p in enumerate(papers):
            for k in range(len(p["moves"])):
                other = (*choice[:i], k, *choice[i + 1 :])
                stable &= nets[other][i] <= net[i] + 1e-7 * price
        if stable:
            found.append(net)
    return found
