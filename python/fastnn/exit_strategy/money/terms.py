"""The papers a cap table holds, with the terms that their texts state.

Share classes, options and warrants, SAFEs, notes, vesting, and who holds what. The name of a
field's type (Money, Rate, Times, ...) says what the number is, for readers of texts. Standard
library only.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from numbers import Real
from typing import Any, TypeGuard

from fastnn.exit_strategy.records import dataclass

from .interest import Accrual

__all__ = [
    "ANTI_DILUTION",
    "COMMON",
    "COMPOUNDING",
    "FOUNDERS",
    "PARTICIPATION",
    "TRIGGERS",
    "UNVESTED",
    "Holding",
    "Note",
    "OptionGrant",
    "Safe",
    "ShareClass",
    "Vesting",
    "is_number",
]

Amount = float | Decimal  # counts
Money = float | Decimal  # in the table's currency
Rate = float | Decimal  # parts of 1
Times = float | Decimal  # multiples
Years = float | Decimal
WholeMonths = int
#: Holder name of the founders' common shares.
FOUNDERS = "founders"

#: Holder name of all other common shares.
COMMON = "common"

PARTICIPATION = ("none", "full", "capped")
COMPOUNDING = ("simple", "annual")

#: What a later, cheaper issue does to the conversion price; `antidilution` says how.
ANTI_DILUTION = ("none", "full_ratchet", "broad", "narrow", "narrow_preferred")

#: What a sale does to what has not vested: nothing, all at once, or all once the holder must go.
TRIGGERS = ("none", "single", "double")

#: What becomes of what a sale leaves unvested: the buyer takes it over, or it lapses.
UNVESTED = ("assumed", "lapse")

#: More than any paper says; larger numbers are slips that would drown all others.
_MOST = {"Rate": 1e3, "Times": 1e6}


@dataclass(frozen=True, slots=True)
class ShareClass:
    """A preferred class. `cap` is the total a capped class takes, as a multiple of `invested`;
    seniority 1 is paid first, equal numbers share in proportion (pari passu).

    `dividend_rate` accrues on `invested` from `dividend_from` to the day of the payment, on top of
    `accrued_dividend`; it is due with the preference and lost on conversion.

    `conversion_price` (money a common share) states the conversion where the papers do: the class
    converts into `invested / conversion_price` common shares, whatever `conversion_ratio` says.
    `anti_dilution` acts in later rounds (`CapTable.round`). `ipo_ratchet` is the multiple of
    `invested` that the class takes at least in a listing, in shares at the offer price. From
    `redemption_date` on the holders may ask for `redemption_multiple` times `invested` and what has
    accrued, so no sale after it pays them less in their rank.
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
    conversion_price: Money | None = None
    anti_dilution: str = "none"
    ipo_ratchet: Times | None = None
    redemption_date: dt.date | None = None
    redemption_multiple: Times = 1.0
    date: dt.date | None = None  # on which the class was paid for


@dataclass(frozen=True, slots=True)
class Vesting:
    """A schedule: nothing before `cliff` months, then equal parts `every` so many months.

    `trigger` single: a sale vests the part `accelerated` of what has not vested; double: it does so
    once the holder is dismissed, so the buyer goes on with it.
    """

    start: dt.date
    months: WholeMonths = 48
    cliff: WholeMonths = 12
    every: WholeMonths = 1
    trigger: str = "none"
    accelerated: Rate = 1.0


@dataclass(frozen=True, slots=True)
class OptionGrant:
    """Options or warrants; `founder_part` of them belongs to the founders.

    They are over common shares, or over those of `share_class` (a warrant on preferred shares). The
    strike is netted (a cashless exercise); paying it in cash comes to the same. With `vesting` what
    has not vested on the day of a sale counts as `unvested` says.
    """

    name: str
    n: Amount
    strike: Money = 0.0
    founder_part: Rate = 0.0
    share_class: str | None = None
    vesting: Vesting | None = None
    unvested: str = "assumed"


@dataclass(frozen=True, slots=True)
class Safe:
    """A simple agreement for future equity; without `seniority` it ranks with the last class.

    `discount_in_sale` says whether the discount works in a sale of the company: in Y Combinator's
    forms it does only where there is no valuation cap (the default, None). With `mfn` the holder
    takes the lowest cap, or else the largest discount, of paper issued after its `date`. Where a
    day is missing `mfn_counts_undated` says whether the other paper counts as issued after it; the
    default, None: it does, except for the $125k SAFE of Y Combinator's deal beside the $375k one.
    `counts_pool` says whether the capitalization holds the unissued option pool: in Y Combinator's
    forms that of a financing does and that of a sale does not (the default, None).
    `counts_capped` says whether in a sale post-money paper counts the shares of a class that
    participates up to a cap and has not converted: it is paid a preference, but not "in lieu of"
    its part of the rest. The default, None: it does not.
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
    counts_pool: bool | None = None
    mfn_counts_undated: bool | None = None
    counts_capped: bool | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """A convertible note; repaid `multiple` times principal and interest before all classes, or
    converted at its cap.

    Interest is simple over `years` (to the table's `as_of`, and on from there; left out: from
    `date`, by `day_count`), or, with `accruals`, runs in stated periods to the day of the payment.
    The usual text gives a discount in a financing only: `discount_in_sale` is False. `mfn`,
    `mfn_counts_undated`, `counts_pool` and `counts_capped` are as in `Safe`. Texts differ in what a
    sale of control multiplies: with `multiple_on_interest` (the default) principal and interest,
    else the principal, to which the interest is added.
    """

    name: str
    principal: Money
    interest: Rate = 0.0
    years: Years | None = None
    valuation_cap: Money | None = None
    discount: Rate = 0.0
    multiple: Times = 1.0
    post_money: bool = False
    seniority: int = 0
    discount_in_sale: bool = False
    date: dt.date | None = None
    accruals: tuple[Accrual, ...] = ()
    mfn: bool = False
    counts_pool: bool | None = None
    day_count: str = "actual/365"
    multiple_on_interest: bool = True
    mfn_counts_undated: bool | None = None
    counts_capped: bool | None = None


@dataclass(frozen=True, slots=True)
class Holding:
    """What one person holds of one paper: a `part` of it, or `units` (shares, options, money).

    `paper` is the name of a class, grant, SAFE or note, or "founders" or "common". One person may
    hold several papers. With `founder` the holding counts as the founders' in every result.
    """

    person: str
    paper: str
    part: Rate | None = None
    units: Amount | None = None
    founder: bool = False


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a setting is a number: Python's, NumPy's or a Decimal; True and False are none."""
    return isinstance(value, Real | Decimal) and not isinstance(value, bool)
