"""What a cheaper issue does to the conversion price of a protected class.

Sources: the NVCA model charter's formula CP2 = CP1 * (A + B) / (A + C), with A the shares
outstanding before the issue, B those that its money would have bought at CP1, C those it did buy.
Broad counts options and converting paper in A; narrow counts shares on issue as converted only;
some charters narrow it to the preferred shares alone. A full ratchet takes the new price as it is.
Standard library only.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TypeVar

from fastnn.exit_strategy.errors import ExitError, Issue

from .terms import ANTI_DILUTION

__all__ = ["adjusted_price"]

N = TypeVar("N", float, Decimal)


def adjusted_price(kind: str, old: N, new: N, raised: N, outstanding: N) -> N:
    """Return the conversion price of a class after an issue at the price `new`.

    Args:
        kind: "none", "full_ratchet", "broad", "narrow" or "narrow_preferred".
        old: conversion price before the issue, money a common share.
        new: price a share of the issue, money.
        raised: money that the issue brings in.
        outstanding: shares that count in A, before the issue.

    Returns:
        The lower price, or `old` where the issue is not cheaper or the class is not protected.

    Raises:
        ExitError: EX303 for an unknown kind, EX308 for a price that is not above zero.

    Example:
        >>> round(adjusted_price("broad", 10.0, 9.0, 5e6, 2e6), 2)
        9.78
    """
    if kind not in ANTI_DILUTION:
        hint = f"choose {', '.join(ANTI_DILUTION)}"
        raise ExitError(Issue("EX303", "anti_dilution", f"{kind!r} is not a term", hint, kind))
    for name, value in (("old", old), ("new", new)):
        if not 0 < value < float("inf"):
            raise ExitError(Issue("EX308", name, f"{value} is not a price",
                                  "give a finite price above zero", str(value)))  # fmt: skip
    for name, value in (("raised", raised), ("outstanding", outstanding)):
        if not 0 <= value < float("inf"):
            raise ExitError(Issue("EX308", name, f"{value} is not an amount",
                                  "give a finite amount of zero or more", str(value)))  # fmt: skip
    if kind == "none" or new >= old or raised == 0:
        return old
    if kind == "full_ratchet":
        return new
    return old * (outstanding + raised / old) / (outstanding + raised / new)
