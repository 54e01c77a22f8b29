"""`fastnn exit investor`, `fund` and `opm`: returns by price, a fund's stakes, values today."""

from __future__ import annotations

import argparse
import datetime as dt
from typing import Any

from fastnn.exit_strategy.errors import ExitError, Issue

from .running import PROFILE_HELP, read_date

__all__ = ["add_fund", "add_investor", "add_opm", "run_fund", "run_investor", "run_opm"]


def add_investor(parser: argparse.ArgumentParser) -> None:
    """Add what `investor` takes."""
    parser.add_argument("profile", help=PROFILE_HELP)
    parser.add_argument("--holder", required=True, help="a person or a paper of the cap table")
    parser.add_argument("--prices", help="such as 10m,30m; default: around the value")
    parser.add_argument(
        "--on", metavar="DAY", help="day of the closing; default: after the months to close"
    )
    parser.add_argument("--target", help="find the price for it: 3x, or 25%% a year")


def add_fund(parser: argparse.ArgumentParser) -> None:
    """Add what `fund` takes."""
    parser.add_argument("profiles", nargs="+", help="one of each company")
    parser.add_argument("--holder", required=True, help="the fund's name in the cap tables")
    parser.add_argument("--currency", default="USD", help="of the rows")


def add_opm(parser: argparse.ArgumentParser) -> None:
    """Add what `opm` takes."""
    parser.add_argument("profile", help=PROFILE_HELP)
    parser.add_argument("--volatility", required=True, help="of the equity a year, such as 60%%")
    parser.add_argument("--years", required=True, help="to the exit, such as 3 or 18 months")
    parser.add_argument("--rate", default="0%", help="risk-free a year, such as 4%%")
    parser.add_argument("--equity", help="value of all shares today; default: the middle value")
    parser.add_argument("--backsolve", metavar="CLASS=PRICE", help="equity from a share's price")
    parser.add_argument("--discount", default="0%", help="for lack of marketability of common")


def run_investor(args: argparse.Namespace) -> int:
    """Print payout, multiple and yearly return of one holder by price."""
    from fastnn.exit_strategy.catalogue import text
    from fastnn.exit_strategy.money.investor import investor_view, price_for_return, stake_of
    from fastnn.exit_strategy.money.outcomes import TINY, price_grid
    from fastnn.exit_strategy.notes import Note
    from fastnn.exit_strategy.profile.profile import Profile
    from fastnn.exit_strategy.report.terminal import fit_table
    from fastnn.exit_strategy.wording import join_words, money

    profile = Profile.from_file(args.profile)
    lang, currency = args.lang, profile.currency
    on = read_date(args.on, "--on") if args.on else None
    if args.target:
        goal = _target(args.target, profile)
        rows = [price_for_return(profile, args.holder, on=on, **goal)]
    else:
        prices = _amounts(args.prices, "--prices", profile) if args.prices else price_grid(profile)
        rows = list(investor_view(profile, args.holder, prices, on=on))
    tiny = any(0 < row.price < profile.valuation.mid * TINY for row in rows)
    head = [text(f"head.{k}", lang) for k in ("headline", "net_price", "payout", "multiple", "irr")]
    lines = [
        [money(row.price, currency, lang), money(row.net, currency, lang),
         money(row.payout, currency, lang), *returns(row.multiple, row.rate)]
        for row in rows
    ]  # fmt: skip
    print("\n".join(fit_table(lines, head, range(len(head)))))
    table = profile.cap_table
    paid = () if table is None else stake_of(table, args.holder).paid
    undated = [paper for paper, day, _ in paid if day is None]
    if undated:
        print(f"! {text('investor.no_day', lang, papers=join_words(undated, lang))}")
    if tiny:
        print(f"! {Note('price_tiny').text(lang)}")
    return 0


def returns(multiple: float | None, rate: float | None) -> list[str]:
    """A multiple and a yearly rate as texts, a dash where one is not known."""
    return [
        "–" if multiple is None else f"{multiple:.2f}x", "–" if rate is None else f"{rate:+.1%}"
    ]  # fmt: skip


def run_fund(args: argparse.Namespace) -> int:
    """Print a fund's stakes: paid in, worth at three valuations, multiple, yearly return."""
    from fastnn.exit_strategy.catalogue import text
    from fastnn.exit_strategy.money.investor import fund_view
    from fastnn.exit_strategy.profile.profile import Profile
    from fastnn.exit_strategy.report.terminal import fit_table
    from fastnn.exit_strategy.wording import money

    lang = args.lang
    rows = fund_view(
        [Profile.from_file(path) for path in args.profiles], args.holder, currency=args.currency
    )
    keys = ("company", "paid_in", "low", "middle", "high", "multiple", "irr")
    head = [text(f"head.{key}", lang) for key in keys]
    lines = [
        [
            row.company or text("word.together", lang),
            money(row.invested, args.currency, lang),
            *(money(worth, args.currency, lang) for worth in row.worth),
            *returns(row.multiple, row.rate),
        ]
        for row in rows
    ]
    print("\n".join(fit_table(lines, head, range(1, len(head)))))
    return 0


def run_opm(args: argparse.Namespace) -> int:
    """Print what every paper is worth today by the option pricing method."""
    from fastnn.exit_strategy.catalogue import holder_name, text
    from fastnn.exit_strategy.money.optionpricing import backsolve, option_values
    from fastnn.exit_strategy.money.outcomes import DAYS_A_MONTH, TINY
    from fastnn.exit_strategy.notes import Note
    from fastnn.exit_strategy.profile.profile import Profile
    from fastnn.exit_strategy.report.terminal import fit_table
    from fastnn.exit_strategy.wording import money

    profile = Profile.from_file(args.profile)
    table, lang, currency = profile.cap_table, args.lang, profile.currency
    if table is None:
        raise ExitError(Issue("EX301", "cap_table", "the profile has no cap table",
                              "add [cap_table] with common shares and classes"))  # fmt: skip
    volatility, rate, discount = (
        _part(getattr(args, name), f"--{name}", profile)
        for name in ("volatility", "rate", "discount")
    )
    years = _years(args.years, profile)
    day = profile.as_of + dt.timedelta(days=round(years * 12 * DAYS_A_MONTH))
    claims = table.claims(day)
    sizes = {c.name: float(c.shares) for c in table.classes}
    sizes.update({o.name: float(o.n) for o in table.options})
    sizes.update(founders=float(table.founders), common=float(table.common) - float(table.founders))
    if args.backsolve:
        name, _, price = args.backsolve.partition("=")
        if name not in sizes or not price:
            raise ExitError(Issue("EX303", "--backsolve", f"{args.backsolve!r} names no share",
                                  f"write CLASS=PRICE; shares: {', '.join(sizes)}"))  # fmt: skip
        worth = _one_amount(price, "--backsolve", profile) * sizes[name]
        equity = backsolve(claims, name, worth, years=years, volatility=volatility, rate=rate)
        if equity * TINY > profile.valuation.high:
            company = f"{profile.valuation.high:,.10g}"
            words = f"at this price all shares are worth {equity:,.10g}, the company {company}"
            hint = "give the price of one share, not of all"
            raise ExitError(Issue("EX118", "--backsolve", words, hint, args.backsolve))
    elif args.equity:
        equity = _one_amount(args.equity, "--equity", profile)
    else:
        value = profile.valuation.mid + float(profile.cash or 0) - float(profile.debt or 0)
        equity = max(0.0, value)
    got = option_values(claims, equity, years=years, volatility=volatility, rate=rate)
    rows = []
    for holder, worth in got.items():
        if holder in ("founders", "common"):
            worth *= 1.0 - discount
        each = f"{currency} {worth / sizes[holder]:,.4g}" if sizes.get(holder) else ""
        rows.append([holder_name(holder, lang), money(worth, currency, lang), each])
    head = [text(f"head.{key}", lang) for key in ("holder", "worth_today", "a_share")]
    print(text("opm.equity", lang, equity=money(equity, currency, lang), years=f"{years:g}",
               volatility=f"{volatility:.0%}", rate=f"{rate:.1%}"))  # fmt: skip
    print("\n".join(fit_table(rows, head, (1, 2))))
    if 0 < equity < profile.valuation.mid * TINY:
        print(f"! {Note('price_tiny').text(lang)}")
    if volatility < _LEAST_VOLATILITY:
        print(f"! {Note('volatility_low').text(lang)}")
    return 0


#: Longer is a number of months, and more than 300 % a year a number without its sign.
_MOST_YEARS, _MOST_RATE = 15.0, 3.0
#: A year; less is a slip.
_LEAST_VOLATILITY = 0.05


def _reader(profile: Any) -> Any:
    from fastnn.exit_strategy.reading.parse import Reader

    return Reader([], dt.date(9000, 1, 1), profile.currency, profile.rates, profile["decimal"])


def _amounts(given: str, where: str, profile: Any) -> list[float]:
    from fastnn.exit_strategy.reading.amounts import AmountError, split_amounts
    from fastnn.exit_strategy.reading.fields import Field
    from fastnn.exit_strategy.reading.parse import read_number

    reader = _reader(profile)
    try:
        parts = split_amounts(given, decimal=profile["decimal"])
    except AmountError as error:
        raise ExitError(Issue("EX122", where, error.message, error.hint)) from error
    row = Field(where, "money", "", "", "30m", low=0, high=1e15)
    found = [read_number(reader, row, part) for part in parts]
    if reader.issues or not found:
        raise ExitError(reader.issues or [Issue("EX803", where, "no amount", "such as 30m")])
    return [amount for amount in found if amount is not None]


def _one_amount(given: str, where: str, profile: Any) -> float:
    found = _amounts(given, where, profile)
    if len(found) > 1:
        text = f"{len(found)} amounts, expected one"
        raise ExitError(Issue("EX803", where, text, "such as 30m", given))
    return found[0]


def _part(given: str, where: str, profile: Any) -> float:
    from fastnn.exit_strategy.reading.fields import Field
    from fastnn.exit_strategy.reading.parse import read_number

    reader = _reader(profile)
    most = 1.0 if where == "--discount" else _MOST_RATE
    made = read_number(reader, Field(where, "fraction", "", "", "0.6", low=0, high=most), given)
    if made is None:
        raise ExitError(reader.issues)
    return made


def _years(given: str, profile: Any) -> float:
    from fastnn.exit_strategy.reading.fields import Field
    from fastnn.exit_strategy.reading.parse import read_number

    reader = _reader(profile)
    made = read_number(reader, Field("--years", "span", "", "", "3"), given)
    if made is None:
        raise ExitError(reader.issues)
    if not 0 < made <= _MOST_YEARS:
        hint = "years to the exit, such as 3; 1.5 means 18 months"
        raise ExitError(Issue("EX308", "--years", f"{made:g} years", hint))
    return made


def _multiple(text: str, profile: Any) -> float | None:
    from fastnn.exit_strategy.reading.amounts import AmountError, read_amount

    try:
        return read_amount(text, decimal=profile["decimal"], large=False).value
    except AmountError:
        return None


def _target(given: str, profile: Any) -> dict[str, float]:
    text = given.strip().lower()
    for words in ("a year", "per year", "p.a.", "irr"):
        text = text.removesuffix(words).strip()
    if text.endswith("x"):
        made = _multiple(text, profile)
        if made is not None:
            return {"multiple": made}
    elif text.endswith("%"):
        return {"rate": _part(text, "--target", profile)}
    raise ExitError(Issue("EX803", "--target", f"{given!r} is no goal", "write 3x, or 25%", given))
