"""Cap tables as data: share classes, options, SAFEs and notes, and the claims they amount to.

SAFEs and notes are converted first: their share count follows from the valuation cap (pre-money
over the capitalisation before them, post-money over the one after them). A discount that works in a
sale is a fixed gain `amount * d / (1 - d)`, paid as common shares are. Standard library only.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from typing import Any, TypeVar

from fastnn.exit_strategy.errors import ExitError, Issue, visible

from .claims import Claim
from .interest import DAY_COUNTS, PERIODS, Accrual, grown

__all__ = ["FOUNDERS", "CapTable", "Note", "OptionGrant", "Safe", "ShareClass", "check_cap_table"]

Amount = float | Decimal  # counts
Money = float | Decimal  # in the table's currency
Rate = float | Decimal  # parts of 1
Times = float | Decimal  # multiples
N = TypeVar("N", float, Decimal)

#: Holder name of the founders' common shares.
FOUNDERS = "founders"

#: Holder name of all other common shares.
COMMON = "common"

PARTICIPATION = ("none", "full", "capped")
COMPOUNDING = ("simple", "annual")

#: More than any paper says; larger numbers are slips that would drown all others.
_MOST = {"Rate": 1e3, "Times": 1e6}


@dataclass(frozen=True, slots=True)
class ShareClass:
    """A preferred class. `cap` is the total a capped class takes, as a multiple of `invested`;
    seniority 1 is paid first, equal numbers share in proportion (pari passu).

    `dividend_rate` accrues on `invested` from `dividend_from` to the day of the payment, on top of
    `accrued_dividend`; it is due with the preference and lost on conversion.
    """

    name: str
    shares: Amount
    invested: Money
    multiple: Times = 1.0
    accrued_dividend: Money = 0.0
    participation: str = "none"
    cap: Times | None = None
    seniority: int = 1
    conversion_ratio: Times = 1.0
    votes: Times = 1.0  # per share as converted
    dividend_rate: Rate = 0.0
    dividend_from: dt.date | None = None
    dividend_compounding: str = "simple"  # simple | annual


@dataclass(frozen=True, slots=True)
class OptionGrant:
    """Options or warrants on common shares; `founder_part` of them belongs to the founders."""

    name: str
    n: Amount
    strike: Money = 0.0
    founder_part: Rate = 0.0


@dataclass(frozen=True, slots=True)
class Safe:
    """A simple agreement for future equity; without `seniority` it ranks with the last class.

    `discount_in_sale` says whether the discount works in a sale of the company: in Y Combinator's
    forms it does only where there is no valuation cap (the default, None). With `mfn` the holder
    takes the lowest cap, or else the largest discount, of paper issued on or after its `date`.
    """

    name: str
    amount: Money
    valuation_cap: Money | None = None
    discount: Rate = 0.0
    post_money: bool = True
    seniority: int | None = None
    discount_in_sale: bool | None = None
    mfn: bool = False
    date: dt.date | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """A convertible note; repaid `multiple` times before all classes, or converted at its cap.

    Interest is simple over `years` (to the table's `as_of`, and on from there), or, with
    `accruals`, runs in stated periods to the day of the payment. The usual text gives a discount in
    a financing only: `discount_in_sale` is False. `mfn` is as in `Safe`.
    """

    name: str
    principal: Money
    interest: Rate = 0.0
    years: Amount = 0.0
    valuation_cap: Money | None = None
    discount: Rate = 0.0
    multiple: Times = 1.0
    post_money: bool = False
    seniority: int = 0
    discount_in_sale: bool = False
    date: dt.date | None = None
    accruals: tuple[Accrual, ...] = ()
    mfn: bool = False


@dataclass(frozen=True, slots=True)
class CapTable:
    """Who owns what. `common` counts all common shares, `founders` those of the founders.

    `as_of` is the day up to which interest and dividends run when no later one is asked for.
    `remarks` are keys of what a reader of the table should know, such as terms not in the source.
    """

    common: Amount
    founders: Amount
    classes: tuple[ShareClass, ...] = ()
    options: tuple[OptionGrant, ...] = ()
    safes: tuple[Safe, ...] = ()
    notes: tuple[Note, ...] = ()
    founder_votes: Times = 1.0  # votes of a founder share; 10 in many dual-class firms
    as_of: dt.date | None = None
    remarks: tuple[str, ...] = ()
    currency: str | None = None  # of the amounts, None: the profile's

    def __post_init__(self) -> None:
        issues = list(check_cap_table(self))
        if issues:
            raise ExitError(issues)

    def claims(self, on: dt.date | None = None) -> tuple[Claim[float], ...]:
        """The claims in float64, founders first, with interest and dividends to a day."""
        return _claims(self, float, on or self.as_of)

    def exact_claims(self, on: dt.date | None = None) -> tuple[Claim[Decimal], ...]:
        """The claims in Decimal; floats are read by their shortest decimal text."""
        return _claims(
            self, lambda x: x if isinstance(x, Decimal) else Decimal(str(x)), on or self.as_of
        )

    @property
    def accrues(self) -> bool:
        """Whether what is due to somebody grows with time."""
        return any(n.accruals or n.interest for n in self.notes) or any(
            c.dividend_rate and c.dividend_from for c in self.classes
        )

    @property
    def raised(self) -> float:
        """Money paid in by investors, paper included."""
        rows = [*(c.invested for c in self.classes), *(s.amount for s in self.safes),
                *(n.principal for n in self.notes)]  # fmt: skip
        return float(sum(map(float, rows)))

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


def _claims(
    table: CapTable, number: Callable[[Any], N], on: dt.date | None
) -> tuple[Claim[N], ...]:
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
        if c.dividend_rate and c.dividend_from and on:
            rows = (Accrual(c.dividend_rate, c.dividend_from, compounding=c.dividend_compounding),)
            due = due + number(c.invested) * (grown(rows, on, number) - 1)
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
    out.extend(_converting(table, number, base, last_rank, on))
    return tuple(out)


def _converting(
    table: CapTable, number: Callable[[Any], N], base: N, last_rank: int, on: dt.date | None
) -> Iterator[Claim[N]]:
    """SAFEs and notes as claims; `base` is the capitalisation before them."""
    zero = number(0)
    items: list[tuple[Safe | Note, N, N, int]] = []  # (paper, amount, repaid, rank)
    for s in table.safes:
        amount = number(s.amount)
        rank = last_rank if s.seniority is None else s.seniority
        items.append((_favoured(s, table) if s.mfn else s, amount, amount, rank))
    for n in table.notes:
        years = number(n.years)
        if on and table.as_of and on > table.as_of:  # `years` are those to the table's day
            years = years + number((on - table.as_of).days) / number(365)
        amount = number(n.principal) * (1 + number(n.interest) * years)
        if n.accruals and on:
            amount = number(n.principal) * grown(n.accruals, on, number)
        paper = _favoured(n, table) if n.mfn else n
        items.append((paper, amount, amount * number(n.multiple), n.seniority))
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
        units, share = zero, None
        if paper.valuation_cap is not None:
            part = amount / number(paper.valuation_cap)
            units = part * (whole if paper.post_money else base)
            share = part if paper.post_money else None
        due = repaid
        if _discount_works(paper) and amount / (1 - number(paper.discount)) > repaid:
            due = amount / (1 - number(paper.discount))
        yield Claim(paper.name, due, due - repaid, rank, units, zero, due, share)


def _discount_works(paper: Safe | Note) -> bool:
    """Whether the discount counts in a sale.

    Source: Y Combinator's post-money SAFE v1.1. "Discount, no cap" sets the liquidity price to the
    market value times the discount rate; the forms with a cap set it to cap over capitalisation.
    """
    if paper.discount_in_sale is None:
        return paper.valuation_cap is None
    return paper.discount_in_sale


def _favoured(safe: Safe | Note, table: CapTable) -> Safe | Note:
    """Most-favoured-nation paper with the best terms of the paper issued after it."""
    others: list[Safe | Note] = [*table.safes, *table.notes]
    later = [
        p
        for p in others
        if p.name != safe.name and not (safe.date and p.date and p.date < safe.date)
    ]
    choices: list[Safe | Note] = [safe, *later]
    capped = [p for p in choices if p.valuation_cap is not None]
    if capped:
        best = min(capped, key=lambda p: float(p.valuation_cap or 0))
    else:
        best = max(choices, key=lambda p: float(p.discount))
    if best is safe:
        return safe
    terms = {"valuation_cap": best.valuation_cap, "discount": best.discount,
             "post_money": best.post_money, "discount_in_sale": best.discount_in_sale}  # fmt: skip
    return replace(safe, **terms)  # type: ignore[arg-type]


def check_cap_table(table: CapTable) -> Iterator[Issue]:
    """Yield every fault of a cap table."""
    for row, where in _rows(table):
        for f in fields(row):
            value = getattr(row, f.name)
            if isinstance(value, bool | str | tuple | dt.date) or value is None:
                continue
            most = _MOST.get(str(f.type).partition(" ")[0], 1e18)
            if not _is_finite(value) or not 0 <= value <= most:
                text = f"{value} is not an amount"
                hint = f"give a finite number from 0 to {most:g}"
                yield Issue("EX308", f"{where}.{f.name}", text, hint, str(value))
    names = [FOUNDERS, COMMON, *(r.name for r in _papers(table))]
    for name in (n for n in names if visible(n) != n):
        yield Issue("EX111", "cap_table", f"the name {visible(name)!r} holds control marks",
                    "give one line of plain text", visible(name))  # fmt: skip
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
        if c.dividend_rate and c.dividend_from is None:
            yield Issue(
                "EX303",
                f"{where}.dividend_from",
                "the dividend has no first day",
                "give the day from which it accrues, or accrued_dividend alone",
            )
        if c.dividend_compounding not in COMPOUNDING:
            yield Issue(
                "EX303",
                f"{where}.dividend_compounding",
                f"{c.dividend_compounding!r} is not known",
                "choose simple or annual",
            )
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
    for i, note in enumerate(table.notes):
        for k, row in enumerate(note.accruals):
            where = f"cap_table.notes[{i}].accruals[{k}]"
            if row.day_count not in DAY_COUNTS or row.compounding not in PERIODS:
                text = f"{row.day_count} and {row.compounding} interest is not known"
                hint = f"choose {' or '.join(DAY_COUNTS)}, and one of {', '.join(PERIODS)}"
                yield Issue("EX303", where, text, hint)
            if not _is_finite(row.rate) or row.rate < 0:
                yield Issue("EX308", f"{where}.rate", f"{row.rate} is not a rate", "0.08 is 8 %")
            if row.end is not None and row.end < row.start:
                yield Issue("EX303", f"{where}.end", "ends before it starts", "check both days")
        if note.accruals and (note.interest or note.years):
            yield Issue("EX303", f"cap_table.notes[{i}].interest", "interest is given twice",
                        "give interest and years, or accruals")  # fmt: skip
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
