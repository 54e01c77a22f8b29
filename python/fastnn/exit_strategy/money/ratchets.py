"""Listings beside IPO ratchets: the price of a share decides how many shares a class gets.

A class with a ratchet gets shares until they are worth what it was promised at the offer price. A
post-money SAFE owns its part of all shares, those of the ratchet among them. Once it is known which
papers convert, what all claims are worth rises with the price in straight pieces. Depends on
`claims`.
"""

from __future__ import annotations

from collections.abc import Sequence

from .claims import Claim, above

__all__ = ["offered", "promised", "share_price"]


def promised(claim: Claim[float]) -> float:
    """What a ratchet promises a class in a listing; 0 for others."""
    return 0.0 if claim.paper is not None or claim.listing is None else claim.listing


def share_price(claims: Sequence[Claim[float]], value: float) -> float:
    """The price per share of a listing; 0 where promises take its whole value."""
    return _settled(claims, value)[0]


def offered(
    claims: Sequence[Claim[float]], value: float
) -> tuple[dict[str, float], tuple[str, ...]]:
    """What everybody's papers are worth in a listing, and what a reader should know of it.

    `claims` are those of the listing: all classes common, a paper takes what it is owed or its
    shares. Where promises take everything they share it by what they are.
    """
    share, converts = _settled(claims, value)
    worth = _worth(claims, converts, share)
    flags: tuple[str, ...] = ()
    if any(promised(c) > c.units * share for c in claims):
        flags = ("ipo_ratchet",) if share > 0 else ("ipo_ratchet_explodes",)
    total = sum(worth)
    if share == 0 and total > value:
        worth = [amount * value / total for amount in worth]
    return dict(zip((c.holder for c in claims), worth, strict=True)), flags


def _settled(claims: Sequence[Claim[float]], value: float) -> tuple[float, frozenset[int]]:
    """The price of a share, and which papers convert at it.

    All convert at first; whoever would be paid less than it is owed takes that instead, the one
    that loses most first.
    """
    converts = frozenset(i for i, c in enumerate(claims) if c.paper is not None and c.units > 0)
    while True:
        share = _price(claims, converts, value)
        worth = _worth(claims, converts, share)
        losses = {i: _owed(claims[i]) - worth[i] for i in converts}
        worst = max(losses, key=lambda i: losses[i], default=None)
        if worst is None or losses[worst] <= 1e-9 * value:
            return share, converts
        converts -= {worst}


def _owed(claim: Claim[float]) -> float:
    return claim.due if claim.listing is None else claim.listing


def _worth(claims: Sequence[Claim[float]], converts: frozenset[int], share: float) -> list[float]:
    """What every claim is worth at a price per share."""
    out = []
    shares, parts = 0.0, 0.0  # all shares at that price but those of post-money paper; its part
    for i, c in enumerate(claims):
        if c.paper is not None and i not in converts:
            out.append(_owed(c))
        elif c.part is not None:
            parts += c.part
            shares += c.part * (c.pool or 0.0) * share
            out.append(0.0)
        else:
            worth = c.units * above(share, c.strike) if c.units else c.due
            out.append(max(worth, promised(c)))
            shares += max(c.units * share, promised(c))
    whole = shares / (1.0 - parts)
    for i in converts:
        part = claims[i].part
        if part is not None:
            out[i] = part * (whole + (claims[i].pool or 0.0) * share)
    return out


def _price(claims: Sequence[Claim[float]], converts: frozenset[int], value: float) -> float:
    """The price per share at which all claims together are worth the value."""
    shares = [c for c in claims if c.paper is None and c.units > 0]
    marks = sorted({0.0, *(c.strike for c in shares), *(promised(c) / c.units for c in shares)})
    at = [sum(_worth(claims, converts, mark)) for mark in marks]
    if value <= at[0]:
        return 0.0
    k = max(i for i, worth in enumerate(at) if worth <= value)
    after = marks[k + 1] if k + 1 < len(marks) else marks[k] + 1.0
    slope = (sum(_worth(claims, converts, after)) - at[k]) / (after - marks[k])
    return marks[k] + (value - at[k]) / slope if slope > 0 else marks[k]
