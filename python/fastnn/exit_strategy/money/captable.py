"""Cap tables as data, and the claims they amount to in a sale on a given day.

SAFEs and notes are converted first: their share count follows from the valuation cap (pre-money
over the capitalisation before them, post-money over the one after them). A discount that works in a
sale is a fixed gain `amount * d / (1 - d)`, paid as common shares are. Standard library only.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from fastnn.exit_strategy.errors import ExitError, Issue
from fastnn.exit_strategy.records import dataclass

from .checks import check_cap_table
from .claims import Claim
from .conversion import (
    common_units,
    favoured,
    is_as_dated,
    is_standard_deal,
    owed,
    with_interest,
)
from .terms import (
    COMMON,
    FOUNDERS,
    Amount,
    Holding,
    Note,
    OptionGrant,
    Safe,
    ShareClass,
    Times,
    Vesting,
)
from .vesting import counted, vested

if TYPE_CHECKING:
    from .rounds import RoundResult

__all__ = [
    "COMMON",
    "FOUNDERS",
    "CapTable",
    "Holding",
    "Note",
    "OptionGrant",
    "Safe",
    "ShareClass",
    "Vesting",
    "check_cap_table",
]

N = TypeVar("N", float, Decimal)

_HIGH_RATE = 0.3  # a year; interest and dividends above it are rare, a lost zero is not


@dataclass(frozen=True, slots=True)
class CapTable:
    """Who owns what. `common` counts all common shares, `founders` those of the founders.

    `pool` counts the shares reserved for options that nobody holds yet; a sale pays them nothing.
    `holders` says which person holds what of which paper; what they leave is somebody else's.
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
    pool: Amount = 0.0
    holders: tuple[Holding, ...] = ()

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
        return (
            any(n.accruals or n.interest for n in self.notes)
            or any(c.redemption_date or (c.dividend_rate and c.dividend_from) for c in self.classes)
            or any(o.vesting for o in self.options)
        )

    @property
    def told(self) -> tuple[str, ...]:
        """`remarks`, and what the terms make worth knowing."""
        out = list(self.remarks)
        grants = [o for o in self.options if o.vesting is not None]
        if any(o.unvested == "assumed" for o in grants):
            out.append("unvested_assumed")
        if any(o.unvested == "lapse" for o in grants):
            out.append("unvested_lapse")
        if any(c.redemption_date for c in self.classes):
            out.append("redeemable")
        papers: list[Safe | Note] = [*self.safes, *self.notes]
        pairs = [
            (p, o) for p in papers for o in papers
            if p.mfn and o is not p and p.mfn_counts_undated is None and not (p.date and o.date)
        ]  # fmt: skip
        if any(is_standard_deal(p, o) for p, o in pairs):
            out.append("mfn_standard_deal")
        if any(not is_standard_deal(p, o) for p, o in pairs):
            out.append("mfn_undated")
        rates = [n.interest for n in self.notes] + [c.dividend_rate for c in self.classes]
        rates += [period.rate for n in self.notes for period in n.accruals]
        if any(rate > _HIGH_RATE for rate in rates):
            out.append("rate_high")
        if any(0 < c.multiple < 1 for c in self.classes):
            out.append("multiple_low")
        if {n.seniority for n in self.notes} & {c.seniority for c in self.classes}:
            out.append("notes_with_classes")
        after = [p for p in papers if p.valuation_cap is not None and p.post_money]
        capped = any(c.participation == "capped" for c in self.classes)
        if capped and any(p.counts_capped is None for p in after):
            out.append("capped_not_counted")
        if self.as_of and any(not is_as_dated(n, self.as_of) for n in self.notes):
            out.append("note_years")
        dated = [row.date for row in (*self.classes, *papers) if row.date is not None]
        if self.as_of and any(day > self.as_of for day in dated):
            out.append("paper_after_figures")
        return tuple(dict.fromkeys(out))

    def days(self) -> Iterator[tuple[str, dt.date]]:
        """Where a day is stated, and the day."""
        for kind in ("classes", "options", "safes", "notes"):
            for i, row in enumerate(getattr(self, kind)):
                where = f"cap_table.{kind}[{i}]"
                for name in ("dividend_from", "redemption_date", "date"):
                    if getattr(row, name, None) is not None:
                        yield f"{where}.{name}", getattr(row, name)
                if getattr(row, "vesting", None) is not None:
                    yield f"{where}.vesting.start", row.vesting.start
                for k, period in enumerate(getattr(row, "accruals", ())):
                    yield f"{where}.accruals[{k}].start", period.start

    @property
    def raised(self) -> float:
        """Money paid in by investors, paper included."""
        rows = [*(c.invested for c in self.classes), *(s.amount for s in self.safes),
                *(n.principal for n in self.notes)]  # fmt: skip
        return float(sum(map(float, rows)))

    def round(
        self,
        raised: float,
        *,
        pre_money: float | None = None,
        price: float | None = None,
        name: str = "new money",
        pool: float | None = None,
        pool_after_money: bool = False,
        pro_rata: Sequence[str] = (),
        keep: Sequence[str] = (),
        senior: bool = False,
        date: dt.date | None = None,
        **terms: Any,
    ) -> RoundResult[CapTable]:
        """Return what a priced round makes of the table; the table itself stays as it is.

        SAFEs and notes convert at the best of the round's price, their discount and their cap, into
        shares that are due what was paid for them. Protected classes are repriced.

        Args:
            raised: new money, in the table's currency.
            pre_money: value of all shares before the money, those of converting paper and the
                enlarged pool included.
            price: money a new share, instead of `pre_money`.
            name: of the new class.
            pool: unissued pool after the round, as part (0..1) of all shares; it never shrinks.
            pool_after_money: the increase dilutes the new money too, and the price ignores it.
            pro_rata: persons or papers that buy their part of the new shares.
            keep: SAFEs and notes that do not convert.
            senior: the new class is paid before all present ones (else it ranks by `seniority`).
            date: of the closing, to which interest runs; default the table's `as_of`.
            **terms: of the new class, as in `ShareClass`: multiple, participation, anti_dilution...

        Returns:
            The tables before and after, the price, and the pro forma; `undo()` gives the first.

        Raises:
            ExitError: EX303 or EX308 for terms that cannot be, such as ratchets and converting
                paper that together take the whole pre-money valuation.

        Example:
            >>> table = CapTable(6e6, 6e6)
            >>> table.round(2e6, pre_money=8e6, pool=0.2).price
            1.0
        """
        from .rounds import Offer, play_round  # most tables are never played on

        return play_round(
            self,
            partial(replace, self),
            Offer(
                raised, pre_money, price, name, pool, pool_after_money, tuple(pro_rata),
                tuple(keep), senior, date or self.as_of, terms,
            ),
        )  # fmt: skip

    def founder_parts(self) -> dict[str, float]:
        """Holder -> part of its payout that goes to the founders."""
        parts = {FOUNDERS: 1.0}
        parts.update({o.name: float(o.founder_part) for o in self.options if o.founder_part})
        for row in self.holders:
            if row.founder and row.paper != FOUNDERS:
                part = parts.get(row.paper, 0.0) + self.part_of(row)
                parts[row.paper] = min(1.0, part)
        return parts

    def part_of(self, holding: Holding) -> float:
        """The part (0..1) of its paper that a holding is."""
        if holding.part is not None:
            return float(holding.part)
        return float(holding.units or 0.0) / float(self.sizes()[holding.paper])

    def sizes(self) -> dict[str, Amount]:
        """Paper -> how much of it there is: shares, options, or money of SAFEs and notes."""
        out = {FOUNDERS: self.founders, COMMON: float(self.common) - float(self.founders)}
        out.update({c.name: c.shares for c in self.classes})
        out.update({o.name: o.n for o in self.options})
        out.update({s.name: s.amount for s in self.safes})
        out.update({n.name: n.principal for n in self.notes})
        return out

    def by_person(self, payouts: Mapping[str, float]) -> dict[str, dict[str, float]]:
        """Person -> paper -> payout, given what each paper is paid; "" holds what nobody named."""
        out: dict[str, dict[str, float]] = {}
        left = {paper: float(paid) for paper, paid in payouts.items()}
        for row in self.holders:
            paid = float(payouts.get(row.paper, 0.0)) * self.part_of(row)
            mine = out.setdefault(row.person, {})
            mine[row.paper] = mine.get(row.paper, 0.0) + paid
            left[row.paper] = left.get(row.paper, 0.0) - paid
        rest = {paper: max(0.0, paid) for paper, paid in left.items()}
        return {**out, "": {p: v for p, v in rest.items() if v > 1e-9 * abs(payouts.get(p, 0.0))}}

    def at_closing(self, on: dt.date | None = None) -> dict[str, float]:
        """Grant -> part of its payout that is paid at closing; the rest vests with the buyer."""
        out = {}
        for o in self.options:
            whole, now = counted(o, on or self.as_of)
            if whole and now < whole:
                out[o.name] = float(now / whole)
        return out

    def founder_vote_share(self) -> float:
        """Founders' share of the votes today, options not exercised, SAFEs and notes not voting."""
        own = float(self.founders) * float(self.founder_votes)
        rest = float(self.common) - float(self.founders)
        rest += sum(float(common_units(c, float)) * float(c.votes) for c in self.classes)
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
    preferred: dict[str, Claim[N]] = {}
    for c in table.classes:
        due = owed(c, on, number)
        cap: N | None = due
        if c.participation == "full":
            cap = None
        elif c.participation == "capped" and c.cap is not None:
            most = number(c.cap) * number(c.invested)
            cap = most if most > due else due
        least = None if c.ipo_ratchet is None else number(c.ipo_ratchet) * number(c.invested)
        units = common_units(c, number)
        preferred[c.name] = Claim(c.name, due, zero, c.seniority, units, zero, cap, listing=least)
    out += preferred.values()
    base: N = sum((c.units for c in out), zero)
    for o in table.options:
        whole = counted(o, on)[0]
        n = number(o.n)
        if whole != 1:
            n = n * number(whole.numerator) / number(whole.denominator)
        if not n > 0:
            continue
        if o.share_class is None:
            own = whole if o.vesting is None or on is None else vested(o.vesting, on)
            lapses = (
                number(o.n) * number((whole - own).numerator) / number((whole - own).denominator)
            )
            claim = Claim(o.name, zero, zero, last_rank, n, number(o.strike), None)
            claim = claim if own == whole else replace(claim, unvested=lapses)
        else:
            row = next(c for c in table.classes if c.name == o.share_class)
            claim = _warrant(o, n, row, preferred[o.share_class], number)
        out.append(claim)
        base = base + claim.units
    out.extend(_converting(table, number, base, last_rank, on))
    return tuple(out)


def _warrant(
    grant: OptionGrant, n: N, row: ShareClass, of: Claim[N], number: Callable[[Any], N]
) -> Claim[N]:
    """A warrant on preferred shares, net of its strike; the class pays the warrant's shares alike.

    A share of the class is due p (no dividend has accrued on it) and converts into r common shares:
    exercised at k the warrant
    takes p - k, or r v - k once a common share is worth v; with full participation both together.
    """
    zero = number(0)
    shares, strike = number(row.shares), number(grant.strike)
    share_due, ratio = number(row.multiple) * number(row.invested) / shares, of.units / shares
    net = share_due - strike
    units = n * ratio
    if of.cap is None:  # full participation: p + r v - k
        listed = strike / ratio
        if net >= 0:
            joins = strike / share_due if strike > 0 else None
            return Claim(
                grant.name, n * net, zero, of.rank, units, zero, None, joins=joins, exercise=listed
            )
        return Claim(grant.name, zero, zero, of.rank, units, -net / ratio, None, exercise=listed)
    if net <= 0:
        return Claim(grant.name, zero, zero, of.rank, units, strike / ratio, None)
    joins = strike / share_due if strike > 0 else None
    due = n * net
    return Claim(grant.name, due, zero, of.rank, units, strike / ratio, due, joins=joins)


def _converting(
    table: CapTable, number: Callable[[Any], N], base: N, last_rank: int, on: dt.date | None
) -> Iterator[Claim[N]]:
    """SAFEs and notes as claims; `base` is the capitalisation before them."""
    zero = number(0)
    papers: list[Safe | Note] = [*table.safes, *table.notes]
    items: list[tuple[Safe | Note, N, N, int]] = []  # (paper, amount, repaid, rank)
    for s in table.safes:
        amount = number(s.amount)
        rank = last_rank if s.seniority is None else s.seniority
        items.append((favoured(s, papers) if s.mfn else s, amount, amount, rank))
    for n in table.notes:
        amount = with_interest(n, table.as_of, on, number)
        paper = favoured(n, papers) if n.mfn else n
        repaid = amount * number(n.multiple)
        if not n.multiple_on_interest:
            repaid = amount + number(n.principal) * (number(n.multiple) - 1)
        items.append((paper, amount, repaid, n.seniority))
    pool = number(table.pool)
    before, post = base, zero  # shares before post-money paper; what such paper owns of the whole
    rows: list[tuple[N | None, N]] = []  # (part of the capitalisation or None, shares of the pool)
    for paper, amount, _, _ in items:
        part = None if paper.valuation_cap is None else amount / number(paper.valuation_cap)
        extra = pool if paper.counts_pool else zero
        rows.append((part, extra))
        if part is not None and paper.post_money:
            post = post + part
            before = before + part * extra
        elif part is not None:
            before = before + part * (base + extra)
    if post >= 1:
        raise ExitError(
            Issue(
                "EX303",
                "cap_table.safes",
                f"post-money caps give away {float(post):.0%}",
                "the amounts over their caps must add up to less than 100 %",
            )
        )
    whole = before / (1 - post)
    for (paper, amount, repaid, rank), (part, extra) in zip(items, rows, strict=True):
        units, share = zero, None
        if part is not None:
            units = part * ((whole if paper.post_money else base) + extra)
            share = part if paper.post_money else None
        owed = amount / (1 - number(paper.discount)) if _discount_works(paper) else amount
        due = owed if owed > repaid else repaid
        held = extra if share is not None and extra > 0 else None
        yield Claim(
            paper.name, due, due - repaid, rank, units, zero, due, share, pool=held, listing=owed,
            paper=amount, with_capped=share is not None and bool(paper.counts_capped),
        )  # fmt: skip


def _discount_works(paper: Safe | Note) -> bool:
    """Whether the discount counts in a sale.

    Source: Y Combinator's post-money SAFE v1.1. "Discount, no cap" sets the liquidity price to the
    market value times the discount rate; the forms with a cap set it to cap over capitalisation.
    """
    if paper.discount_in_sale is None:
        return paper.valuation_cap is None
    return paper.discount_in_sale
