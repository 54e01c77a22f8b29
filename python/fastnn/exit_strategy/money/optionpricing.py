"""What every paper is worth today when the price of the sale is not known: OPM and PWERM.

The option pricing method takes the value of all equity as lognormal until the exit. A holder's
payout is made of straight lines between the waterfall's break points, so its value is a sum of
Black-Scholes calls struck there; where a payout jumps (post-money paper that counts one holder
more), a digital option stands for the jump. The probability-weighted method weighs stated exits.
Sources: F. Black, M. Scholes 1973; AICPA, "Valuation of Privately-Held-Company Equity Securities
Issued as Compensation", 2013. Standard library only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from fastnn.exit_strategy.errors import ExitError, Issue
from fastnn.exit_strategy.records import dataclass

from .claims import Claim
from .terms import is_number
from .waterfall import Schedule

__all__ = ["Scenario", "backsolve", "black_scholes", "option_values", "scenario_values"]


def _check(name: str, value: object, low: float, high: float, hint: str) -> float:
    good = is_number(value)
    if not (good and low <= float(value) <= high):  # type: ignore[arg-type]
        raise ExitError(Issue("EX308", name, f"{value!r} is outside {low:g} to {high:g}", hint,
                              str(value)))  # fmt: skip
    return float(value)  # type: ignore[arg-type]


def _normal(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def black_scholes(
    value: float,
    strike: float,
    years: float,
    volatility: float,
    rate: float = 0.0,
    dividend_yield: float = 0.0,
) -> float:
    """Return the value of a European call.

    Args:
        value: of the underlying today, money.
        strike: money.
        years: to the exit, above zero.
        volatility: standard deviation of the yearly log return, 0.6 means 60 %.
        rate: yearly risk-free rate, continuously compounded.
        dividend_yield: yearly, continuously compounded.

    Raises:
        ExitError: EX308 for an input out of range.

    Example:
        >>> round(black_scholes(36.0, 40.0, 90 / 365, 0.4, 0.1), 2)
        1.7
    """
    _check("value", value, 0.0, 1e18, "give an amount of zero or more")
    _check("strike", strike, 0.0, 1e18, "give an amount of zero or more")
    _check("years", years, 0.0, 100.0, "years to the exit, such as 3")
    _check("volatility", volatility, 0.0, 10.0, "0.6 means 60 % a year")
    _check("rate", rate, -1.0, 1.0, "0.04 means 4 % a year")
    _check("dividend_yield", dividend_yield, -1.0, 1.0, "0.02 means 2 % a year")
    call, _ = _options(value, strike, years, volatility, rate, dividend_yield)
    return call


def _options(
    value: float, strike: float, years: float, volatility: float, rate: float, gives: float
) -> tuple[float, float]:
    """A call and a digital option that pays 1, both struck at the same price."""
    forward, money = value * math.exp(-gives * years), math.exp(-rate * years)
    if strike <= 0:
        return forward, money
    if forward <= 0:
        return 0.0, 0.0
    spread = volatility * math.sqrt(years)
    if spread == 0:
        above = forward > strike * money
        return max(0.0, forward - strike * money), money if above else 0.0
    d1 = math.log(forward / (strike * money)) / spread + 0.5 * spread
    digital = money * _normal(d1 - spread)
    return max(0.0, forward * _normal(d1) - strike * digital), digital


def option_values(
    claims: Sequence[Claim[float]],
    equity: float,
    *,
    years: float,
    volatility: float,
    rate: float = 0.0,
    dividend_yield: float = 0.0,
) -> dict[str, float]:
    """Return holder -> value today by the option pricing method; the values add up to the equity.

    Args:
        claims: of the cap table at the exit, `CapTable.claims(day)`.
        equity: value of all shares and claims today, money.
        years: to the exit.
        volatility: of the equity, 0.6 means 60 % a year.
        rate: yearly risk-free rate, continuously compounded.
        dividend_yield: of the equity, which leaves the holders; the sum is lower by it.

    Raises:
        ExitError: EX308 for an input out of range.

    Example:
        >>> from fastnn.exit_strategy.money import CapTable, ShareClass
        >>> table = CapTable(8e6, 8e6, (ShareClass("A", 2e6, 10e6),))
        >>> made = option_values(table.claims(), 30e6, years=3.0, volatility=0.6, rate=0.04)
        >>> round(made["A"] / 2e6, 2), round(made["founders"] / 8e6, 2)
        (4.82, 2.54)
    """
    _check("equity", equity, 0.0, 1e18, "give an amount of zero or more")
    _check("years", years, 0.0, 100.0, "years to the exit, such as 3")
    _check("volatility", volatility, 0.0, 10.0, "0.6 means 60 % a year")
    _check("rate", rate, -1.0, 1.0, "0.04 means 4 % a year")
    _check("dividend_yield", dividend_yield, -1.0, 1.0, "0.02 means 2 % a year")
    totals = [0.0] * len(claims)
    slopes, ends = [0.0] * len(claims), [0.0] * len(claims)
    before = 0.0
    for start, values, rises in Schedule(claims).pieces():
        call, digital = _options(equity, start, years, volatility, rate, dividend_yield)
        for i, (value, rise) in enumerate(zip(values, rises, strict=True)):
            jump = value - (ends[i] + slopes[i] * (start - before))
            totals[i] += (rise - slopes[i]) * call + jump * digital
        slopes, ends, before = list(rises), list(values), start
    return {c.holder: max(0.0, total) for c, total in zip(claims, totals, strict=True)}


def backsolve(
    claims: Sequence[Claim[float]],
    holder: str,
    worth: float,
    *,
    years: float,
    volatility: float,
    rate: float = 0.0,
) -> float:
    """Return the value of all equity at which a holder's paper is worth `worth` today.

    Args:
        claims: of the cap table at the exit.
        holder: whose price is known, such as the class of the last round.
        worth: value of all of the holder's paper, money (price times shares).
        years: to the exit.
        volatility: of the equity.
        rate: yearly risk-free rate, continuously compounded.

    Raises:
        ExitError: EX303 for an unknown holder, EX308 for a value that no equity gives.

    Example:
        >>> from fastnn.exit_strategy.money import CapTable, ShareClass
        >>> claims = CapTable(8e6, 8e6, (ShareClass("A", 2e6, 10e6),)).claims()
        >>> round(backsolve(claims, "A", 10e6, years=3.0, volatility=0.6, rate=0.04) / 1e6, 1)
        32.2
    """
    names = [c.holder for c in claims]
    if holder not in names:
        raise ExitError(Issue("EX303", "holder", f"{holder!r} holds no paper of the table",
                              f"holders: {', '.join(names)}", holder))  # fmt: skip
    _check("worth", worth, 1e-9, 1e18, "give an amount above zero")

    def value(equity: float) -> float:
        return option_values(claims, equity, years=years, volatility=volatility, rate=rate)[holder]

    return lowest(value, worth, "worth")


def lowest(value: Callable[[float], float], target: float, name: str) -> float:
    """Return the lowest argument at which a rising function reaches a target."""
    high = max(1.0, target)
    while value(high) < target:
        high *= 2.0
        if high > 1e17:
            text, hint = "no price is high enough", "ask for less: this paper never pays so much"
            raise ExitError(Issue("EX308", name, text, hint, str(target)))
    low = 0.0
    for _ in range(200):
        middle = 0.5 * (low + high)
        if middle in (low, high) or high - low <= 1e-12 * high:
            break
        low, high = (middle, high) if value(middle) < target else (low, middle)
    return high


@dataclass(frozen=True, slots=True)
class Scenario:
    """One exit: how likely (0..1), the net price of all equity, and in how many years."""

    probability: float
    price: float
    years: float


def scenario_values(
    claims: Callable[[float], Sequence[Claim[float]]],
    scenarios: Sequence[Scenario],
    rate: float,
) -> Mapping[str, float]:
    """Return holder -> value today by stated exits (PWERM): chance times payout, discounted.

    Args:
        claims: years from now -> the claims at that exit, which may have grown.
        scenarios: the exits; their chances add up to 1.
        rate: yearly discount rate of the holders, compounded yearly.

    Raises:
        ExitError: EX303 where the chances do not add up to 1, EX308 for an input out of range.

    Example:
        >>> from fastnn.exit_strategy.money import CapTable, ShareClass
        >>> table = CapTable(8e6, 8e6, (ShareClass("A", 2e6, 10e6),))
        >>> exits = [Scenario(0.3, 100e6, 4.0), Scenario(0.5, 20e6, 2.0), Scenario(0.2, 0.0, 1.0)]
        >>> made = scenario_values(lambda years: table.claims(), exits, 0.25)
        >>> {holder: round(value / 1e6, 2) for holder, value in made.items()}
        {'founders': 13.03, 'A': 5.66}
    """
    total = sum(_check("probability", s.probability, 0.0, 1.0, "0.3 means 30 %") for s in scenarios)
    if not scenarios or abs(total - 1.0) > 1e-9:
        raise ExitError(Issue("EX303", "scenarios", f"the chances add up to {total:.4g}",
                              "give chances that add up to 1", str(total)))  # fmt: skip
    _check("rate", rate, 0.0, 10.0, "0.25 means 25 % a year")
    out: dict[str, float] = {}
    for s in scenarios:
        _check("price", s.price, 0.0, 1e18, "give an amount of zero or more")
        _check("years", s.years, 0.0, 100.0, "years to the exit")
        weight = s.probability * (1.0 + rate) ** -s.years
        for holder, paid in Schedule(claims(s.years)).pay(s.price).items():
            out[holder] = out.get(holder, 0.0) + weight * paid
    return out
