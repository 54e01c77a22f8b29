"""A company's figures as the gates see them: by the gates' names, in a venue's currency."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from fastnn.exit_strategy.profile.profile import Profile
from fastnn.exit_strategy.records import dataclass

from .data import CONDITION_FIELDS
from .windows import Series

__all__ = ["View", "Views", "facts_of"]


def facts_of(profile: Profile) -> dict[str, Series]:
    """Return the profile's figures under the names the gate files use."""
    get = profile.values.get
    cap = get("listing.market_cap")
    cap = _at_listing(profile, profile.valuation.mid) if cap is None else cap
    float_pct, offer = get("listing.public_float_pct"), get("listing.offer_size")
    by_share = None if float_pct is None else float_pct * cap
    float_value = by_share if by_share is not None else offer
    founded = get("founded")
    years = None if founded is None else _whole_years(founded, profile.as_of)
    rd, opex, revenue = get("rd_opex_fy"), get("opex_fy"), get("revenue_last_fy")
    rd_known = sum(1 for value in rd or () if value)
    rd_years = get("listing.rd_years")
    if rd_years is None and rd_known >= 3:
        rd_years = rd_known
    answers = {"yes": 1.0, "no": 0.0}
    approval = answers.get(get("listing.milestone_approval") or "")
    adviser = answers.get(get("listing.adviser_agreed") or "")
    quoted = answers.get(get("listing.neeq_year") or "")
    backed = answers.get(get("listing.sophisticated_investors") or "")
    free = get("listing.free_float_pct")
    net = _years(get("net_income_fy"))
    one = _one
    return {
        "pretax_income": _years(get("pretax_income_fy")),
        "net_income": net, "net_profit": net, "profit_attributable": net,
        "revenue": _years(revenue),
        "operating_cash_flow": _years(get("operating_cash_flow_fy")),
        "market_cap": one(cap), "market_cap_at_listing": one(cap),
        "market_value_public_float": one(float_value),
        "market_value_unrestricted_public_float": one(offer if offer is not None else by_share),
        "total_assets": one(get("total_assets")),
        "stockholders_equity": one(get("stockholders_equity")),
        "share_price": one(get("listing.share_price")),
        "round_lot_holders": one(get("listing.round_lot_holders")),
        "publicly_held_shares": one(get("listing.public_shares")),
        "unrestricted_public_shares": one(get("listing.public_shares")),
        "audited_years": one(get("audited_years")),
        "public_float_pct": one(float_pct),
        "rd_years": one(rd_years),
        "rd_expenditure": _years(rd),
        "rd_share_of_opex": _ratio(rd, opex),
        "rd_share_of_revenue": _ratio(rd, revenue),
        "operating_history_years": one(years),
        "state_or_milestone_approval": one(approval),
        "sophisticated_investors": one(backed),
        "free_float_pct": one(free),
        "market_value_free_float": one(None if free is None else free * cap),
        "offer_size": one(offer),
        "adviser_agreed": one(adviser),
        "neeq_year": one(quoted),
        "return_on_equity": one(_part(net.last, get("stockholders_equity"))),
        "revenue_growth": one(_growth(revenue)),
        "rd_share_two_years": one(_ratio((rd or ())[-2:], (revenue or ())[-2:]).total()),
    }  # fmt: skip


def _whole_years(start: dt.date, end: dt.date) -> float:
    """Years from one day to another: whole ones by the calendar, and the part of the next."""
    if end < start:
        return 0.0
    whole = end.year - start.year - ((end.month, end.day) < (start.month, start.day))
    last, following = (_anniversary(start, start.year + whole + k) for k in (0, 1))
    return whole + (end - last).days / (following - last).days


def _anniversary(start: dt.date, year: int) -> dt.date:
    """The day in another year; 1 March where there is no 29 February."""
    try:
        return start.replace(year=year)
    except ValueError:
        return dt.date(year, 3, 1)


def _at_listing(profile: Profile, price: float) -> float:
    """Market value at a listing, as the money of a listing counts it: with the cash of that day."""
    terms = profile.assumptions
    return profile.equity(price, 0.0 if terms is None else terms.months_to_list)


def _one(value: float | None) -> Series:
    return Series((None if value is None else float(value),))


def _years(values: Sequence[float | None] | None) -> Series:
    return Series(tuple(values) if values else (None, None, None))


def _ratio(top: Sequence[float | None] | None, below: Sequence[float | None] | None) -> Series:
    size = len(top or below or (None,) * 3)
    pairs = tuple(zip(top or (None,) * size, below or (None,) * size, strict=True))
    shares = tuple(None if a is None or not b else a / b for a, b in pairs)
    return Series(shares, pairs)


def _part(top: float | None, below: float | None) -> float | None:
    return None if top is None or below is None or below <= 0 else top / below


def _growth(years: Sequence[float | None] | None) -> float | None:
    last, before = (years[-1], years[-2]) if years and len(years) > 1 else (None, None)
    rate = _part(last, before)
    return None if rate is None else rate - 1.0


class _Facts(dict[str, Series]):
    """Facts in another currency, converted when first asked for."""

    def __init__(self, own: Mapping[str, Series], rate: float) -> None:
        super().__init__()
        self._own, self._rate = own, rate

    def __missing__(self, name: str) -> Series:
        series, rate = self._own[name], self._rate
        if CONDITION_FIELDS[name] and rate != 1.0:
            years = tuple([None if v is None else v * rate for v in series.years])
            series = Series(years, series.parts)
        self[name] = series
        return series


@dataclass(frozen=True, slots=True)
class View:
    """A company as one currency sees it: facts and valuation range in that currency."""

    rate: float
    facts: Mapping[str, Series]
    spread: tuple[float, float] | None  # None when the market value was given


class Views(dict[str, View]):
    """The views of a profile by currency, made when first asked for."""

    def __init__(self, profile: Profile) -> None:
        super().__init__()
        self._profile, self._facts = profile, facts_of(profile)

    def __missing__(self, currency: str) -> View:
        profile = self._profile
        rate = profile.rates.rate(profile.currency, currency)
        own_cap = profile["listing.market_cap"] is None
        value = profile.valuation
        ends = (_at_listing(profile, value.low), _at_listing(profile, value.high))
        spread = (ends[0] * rate, ends[1] * rate) if own_cap else None
        self[currency] = made = View(rate, _Facts(self._facts, rate), spread)
        return made
