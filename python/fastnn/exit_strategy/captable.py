"""Cap tables as data: share classes, options, SAFEs and notes, and the claims they amount to.

SAFEs and notes are converted first: their share count follows from the valuation cap (pre-money
over the capitalisation before them, post-money over the one after them), their discount is a fixed
gain `amount * d / (1 - d)` that is paid as common shares are. Standard library only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any, TypeVar

from .errors import ExitError, Issue
from .waterfall import Claim

__all__ = ["FOUNDERS", "CapTable", "Note", "OptionGrant", "Safe", "ShareClass", "check_cap_table"]

Amount = float | Decimal
N = TypeVar("N", float, Decimal)

#: Holder name of the founders' common shares.
FOUNDERS = "founders"

#: Holder name of all other common shares.
COMMON = "common"

PARTICIPATION = ("none", "full", "capped")


@dataclass(frozen=True, slots=True)
class ShareClass:
    """A preferred class. `cap` is the total a capped class takes, as a multiple of `invested`;
    seniority 1 is paid first, equal numbers share in proportion (pari passu).
    """

    name: str
    shares: Amount
    invested: Amount
    multiple: Amount = 1.0
    accrued_dividend: Amount = 0.0
    participation: str = "none"
    cap: Amount | None = None
    seniority: int = 1
    conversion_ratio: Amount = 1.0
    votes: Amount = 1.0  # per share as converted


@dataclass(frozen=True, slots=True)
class OptionGrant:
    """Options or warrants on common shares; `founder_part` of them belongs to the founders."""

    name: str
    n: Amount
    strike: Amount = 0.0
    founder_part: Amount = 0.0


@dataclass(frozen=True, slots=True)
class Safe:
    """A simple agreement for future equity; without `seniority` it ranks with the last class."""

    name: str
    amount: Amount
    valuation_cap: Amount | None = None
    discount: Amount = 0.0
    post_money: bool = True
    seniority: int | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """A convertible note with simple interest; repaid `multiple` times before all classes."""

    name: str
    principal: Amount
    interest: Amount = 0.0
    years: Amount = 0.0
    valuation_cap: Amount | None = None
    discount: Amount = 0.0
    multiple: Amount = 1.0
    post_money: bool = False
    seniority: int = 0


@dataclass(frozen=True, slots=True)
class CapTable:
    """Who owns what. `common` counts all common shares, `founders` those of the founders."""

    common: Amount
    founders: Amount
    classes: tuple[ShareClass, ...] = ()
    options: tuple[OptionGrant, ...] = ()
    safes: tuple[Safe, ...] = ()
    notes: tuple[Note, ...] = ()
    founder_votes: Amount = 1.0  # votes of a founder share; 10 in many dual-class firms

    def __post_init__(self) -> None:
        issues = list(check_cap_table(self))
        if issues:
            raise ExitError(issues)

    def claims(self) -> tuple[Claim[float], ...]:
        """The claims in float64, founders first."""
        return _claims(self, float)

    def exact_claims(self) -> tuple[Claim[Decimal], ...]:
        """The claims in Decimal; floats are read by their shortest decimal text."""
        return _claims(self, lambda x: x if isinstance(x, Decimal) else Decimal(str(x)))

    def founder_parts(self) -> dict[str, float]:
        """Holder -> part of its payout that goes to the founders."""
        parts = {FOUNDERS: 1.0}
        parts.update({o.name: float(o.founder_part) for o in self.options if o.founder_part})
        return parts

    def founder_vote_share(self) -> float:
        """Founders' share of the votes today, options not exercised, SAFEs and notes not voting."""
        own = float(self.founders) * float(self.founder_votes)
        rest = float(self.common) - float(self.founders)
        rest += sum(
            float(c.shares) * float(c.conversion_ratio) * float(c.votes) for c in self.classes
        )
        return own / (own + rest) if own + rest > 0 else 0.0


def _claims(table: CapTable, number: Callable[[Any], N]) -> tuple[Claim[N], ...]:
    zero = number(0)
    last_rank: int = max((c.seniority for c in table.classes), default=1)
    out: list[Claim[N]] = []
    if table.founders > 0:
        out.append(Claim(FOUNDERS, zero, zero, last_rank, number(table.founders), zero, None))
    if table.common > table.founders:
        rest = number(table.common) - number(table.founders)
        out.append(Claim(COMMON, zero, zero, last_rank, rest, zero, None))
    for c in table.classes:
        due = number(c.multiple) * number(c.invested) + number(c.accrued_dividend)
        units = number(c.shares) * number(c.conversion_ratio)
        cap: N | None = due
        if c.participation == "full":
            cap = None
        elif c.participation == "capped" and c.cap is not None:
            most = number(c.cap) * number(c.invested)
            cap = most if most > due else due
        out.append(Claim(c.name, due, zero, c.seniority, units, zero, cap))
    base: N = sum((c.units for c in out), zero)
    for o in table.options:
        out.append(Claim(o.name, zero, zero, last_rank, number(o.n), number(o.strike), None))
        base = base + number(o.n)
    out.extend(_converting(table, number, base, last_rank))
    return tuple(out)


def _converting(
    table: CapTable, number: Callable[[Any], N], base: N, last_rank: int
) -> Iterator[Claim[N]]:
    """SAFEs and notes as claims; `base` is the capitalisation before them."""
    zero = number(0)
    items: list[tuple[Safe | Note, N, N, int]] = []  # (paper, amount, repaid, rank)
    for s in table.safes:
        amount = number(s.amount)
        items.append((s, amount, amount, last_rank if s.seniority is None else s.seniority))
    for n in table.notes:
        amount = number(n.principal) * (1 + number(n.interest) * number(n.years))
        items.append((n, amount, amount * number(n.multiple), n.seniority))
    pre, post = zero, zero  # shares of pre-money paper; part of the whole of post-money paper
    for paper, amount, _, _ in items:
        if paper.valuation_cap is not None:
            part = amount / number(paper.valuation_cap)
            if paper.post_money:
                post = post + part
            else:
                pre = pre + base * part
    if post >= 1:
        raise ExitError(
            Issue(
                "EX303",
                "cap_table.safes",
                f"post-money caps give away {float(post):.0%}",
                "the amounts over their caps must add up to less than 100 %",
            )
        )
    whole = (base + pre) / (1 - post)
    for paper, amount, repaid, rank in items:
        units = zero
        if paper.valuation_cap is not None:
            part = amount / number(paper.valuation_cap)
            units = part * (whole if paper.post_money else base)
        discounted = amount / (1 - number(paper.discount))
        due = discounted if discounted > repaid else repaid
        yield Claim(paper.name, due, due - repaid, rank, units, zero, due)


def check_cap_table(table: CapTable) -> Iterator[Issue]:
    """Yield every fault of a cap table."""
    for row, where in _rows(table):
        for f in fields(row):
            value = getattr(row, f.name)
            if isinstance(value, bool) or value is None or isinstance(value, str | tuple):
                continue
            if not _is_finite(value) or value < 0:
                text, hint = f"{value} is not an amount", "give a finite number, zero or more"
                yield Issue("EX308", f"{where}.{f.name}", text, hint, str(value))
    names = [FOUNDERS, COMMON, *(r.name for r in _papers(table))]
    for name in sorted({n for n in names if names.count(n) > 1}):
        yield Issue(
            "EX303",
            "cap_table",
            f"the name {name!r} is used twice",
            f"give every holder its own name; {FOUNDERS!r} and {COMMON!r} are taken",
            name,
        )
    if not _is_finite(table.common) or not _is_finite(table.founders):
        return
    if table.founders > table.common:
        yield Issue(
            "EX303",
            "cap_table.founders",
            f"founders hold {table.founders} of {table.common}",
            "`common` counts all common shares, the founders' among them",
            str(table.founders),
        )
    if table.common <= 0 and not table.classes:
        yield Issue("EX301", "cap_table", "nobody holds a share", "give common shares or classes")
    yield from _check_terms(table)
    yield from _check_papers(table)


def _check_terms(table: CapTable) -> Iterator[Issue]:
    for i, c in enumerate(table.classes):
        where = f"cap_table.classes[{i}]"
        if c.shares == 0 or c.conversion_ratio == 0:
            yield Issue(
                "EX302",
                f"{where}.shares",
                f"class {c.name!r} has no shares as converted",
                "shares and conversion_ratio are above zero",
                str(c.shares),
            )
        if c.participation not in PARTICIPATION:
            yield Issue(
                "EX303",
                f"{where}.participation",
                f"{c.participation!r} is not a term",
                "choose none, full or capped",
                c.participation,
            )
        if c.participation == "capped" and (c.cap is None or c.cap < c.multiple):
            yield Issue(
                "EX303",
                f"{where}.cap",
                f"cap {c.cap} is below the multiple {c.multiple}",
                "cap is the total a capped class takes, as a multiple of invested",
                str(c.cap),
            )
        if c.participation in ("none", "full") and c.cap is not None:
            yield Issue(
                "EX303",
                f"{where}.cap",
                f"a cap does not go with {c.participation!r}",
                'set participation = "capped" or leave cap out',
                str(c.cap),
            )


def _check_papers(table: CapTable) -> Iterator[Issue]:
    papers: list[tuple[str, int, Safe | Note]] = [
        *(("safes", i, safe) for i, safe in enumerate(table.safes)),
        *(("notes", i, note) for i, note in enumerate(table.notes)),
    ]
    for kind, i, paper in papers:
        if paper.valuation_cap is not None and paper.valuation_cap == 0:
            yield Issue(
                "EX303",
                f"cap_table.{kind}[{i}].valuation_cap",
                "a cap of zero",
                "leave the cap out if there is none",
                "0",
            )
        if paper.discount >= 1:
            yield Issue(
                "EX303",
                f"cap_table.{kind}[{i}].discount",
                f"a discount of {paper.discount}",
                "0.2 means 20 %",
                str(paper.discount),
            )
    for i, o in enumerate(table.options):
        if o.n == 0:
            yield Issue(
                "EX302",
                f"cap_table.options[{i}].n",
                "a grant of zero options",
                "leave the grant out",
                "0",
            )
        if o.founder_part > 1:
            yield Issue(
                "EX303",
                f"cap_table.options[{i}].founder_part",
                f"{o.founder_part} is above 1",
                "0.5 means half",
                str(o.founder_part),
            )


def _papers(table: CapTable) -> list[ShareClass | OptionGrant | Safe | Note]:
    return [*table.classes, *table.options, *table.safes, *table.notes]


def _rows(table: CapTable) -> Iterator[tuple[Any, str]]:
    yield table, "cap_table"
    for kind in ("classes", "options", "safes", "notes"):
        for i, row in enumerate(getattr(table, kind)):
            yield row, f"cap_table.{kind}[{i}]"


def _is_finite(value: Amount) -> bool:
    return Decimal(value).is_finite() if isinstance(value, Decimal) else abs(value) < float("inf")
