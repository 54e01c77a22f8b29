"""`fastnn exit round ...`: a priced round on a profile's cap table, as a pro forma."""

from __future__ import annotations

import argparse
import datetime as dt
from typing import Any

from fastnn.exit_strategy.errors import ExitError, Issue

from .running import PROFILE_HELP, read_date

__all__ = ["add_round", "run_round"]


def add_round(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("profile", help=PROFILE_HELP)
    parser.add_argument("--raise", dest="raised", required=True, help="new money, such as 5m")
    parser.add_argument("--pre-money", help="value of all shares before the money")
    parser.add_argument("--price", help="of a new share, instead of --pre-money")
    parser.add_argument("--name", default="new money", help="of the new class")
    parser.add_argument("--pool", help="unissued pool after the round, such as 10%%")
    parser.add_argument("--pool-after", action="store_true", help="the pool dilutes the new money")
    parser.add_argument("--pro-rata", help="persons or papers that keep their part, with commas")
    parser.add_argument("--keep", help="SAFEs and notes that do not convert, with commas")
    parser.add_argument("--senior", action="store_true", help="the new class is paid first")
    parser.add_argument("--date", metavar="DAY", help="of the closing; interest runs to it")
    parser.add_argument(
        "--term", action="append", default=[], metavar="NAME=VALUE",
        help="of the new class: participation=full, multiple=1.5, anti_dilution=broad ...",
    )  # fmt: skip


def run_round(args: argparse.Namespace) -> int:
    """Print who owns what before and after the round, the price and what it changes."""
    from fastnn.exit_strategy.catalogue import holder_name, text
    from fastnn.exit_strategy.profile.profile import Profile
    from fastnn.exit_strategy.report.terminal import fit_table
    from fastnn.exit_strategy.wording import money, percent

    profile = Profile.from_file(args.profile)
    table = profile.cap_table
    if table is None:
        raise ExitError(Issue("EX301", "cap_table", "the profile has no cap table",
                              "add [cap_table] with common shares and classes"))  # fmt: skip
    made = table.round(**_settings(args, profile))
    lang, currency = args.lang, profile.currency
    head = [
        text(f"head.{key}", lang)
        for key in ("holder", "shares_before", "part_before", "shares_after", "part_after", "paid")
    ]
    rows = [
        [
            holder_name(row.holder, lang),
            f"{row.before:,.0f}",
            percent(row.before_part, 2),
            f"{row.after:,.0f}",
            percent(row.after_part, 2),
            money(row.paid, currency, lang) if row.paid else "",
        ]
        for row in made.rows
    ]
    print("\n".join(fit_table(rows, head, range(1, len(head)))))
    words = {
        "price": f"{currency} {made.price:,.6g}",
        "pre": money(made.pre_money, currency, lang),
        "post": money(made.post_money, currency, lang),
    }
    print(text("round.price", lang, **words))
    for name, price in made.converted.items():
        print(text("round.converted", lang, name=name, price=f"{currency} {price:,.6g}"))
    for name, price in made.repriced.items():
        print(text("round.repriced", lang, name=name, price=f"{currency} {price:,.6g}"))
    for name, shares in made.bought.items():
        print(text("round.bought", lang, name=holder_name(name, lang), shares=f"{shares:,.0f}"))
    if made.pool_added:
        print(text("round.pool", lang, shares=f"{made.pool_added:,.0f}"))
    return 0


def _settings(args: argparse.Namespace, profile: Any) -> dict[str, Any]:
    """The arguments as the profile's own numbers and dates are read."""
    from fastnn.exit_strategy.money.captable_read import read_row
    from fastnn.exit_strategy.money.terms import ShareClass
    from fastnn.exit_strategy.reading.fields import Field
    from fastnn.exit_strategy.reading.parse import Reader, read_number

    issues: list[Issue] = []
    late = dt.date(9000, 1, 1)  # a round is planned ahead
    reader = Reader(issues, late, profile.currency, profile.rates, profile["decimal"])

    def number(name: str, kind: str) -> float | None:
        value = getattr(args, name)
        if value is None:
            return None
        where = f"--{name.replace('_', '-')}"
        return read_number(reader, Field(where, kind, "", "", "5m"), value)

    out: dict[str, Any] = {
        "raised": number("raised", "money"),
        "pre_money": number("pre_money", "money"),
        "price": number("price", "money"),
        "pool": number("pool", "fraction"),
        "name": args.name,
        "pool_after_money": args.pool_after,
        "pro_rata": _names(args.pro_rata),
        "keep": _names(args.keep),
        "senior": args.senior,
    }
    if args.date:
        try:
            day = out["date"] = read_date(args.date, "--date")
            if day < profile.as_of:
                text = f"{day} lies before as_of, {profile.as_of}"
                hint = "give the day of a round to come"
                issues.append(Issue("EX118", "--date", text, hint, args.date))
        except ExitError as error:
            issues += error.issues
    terms = {}
    for term in args.term:
        name, equals, value = term.partition("=")
        if not equals:
            issues.append(Issue("EX803", "--term", f"{term!r} has no value",
                                "write name=value, such as participation=full", term))  # fmt: skip
        if name.strip() in terms:
            text = f"{name.strip()} is given twice"
            issues.append(Issue("EX121", "--term", text, "keep one of the two", term))
        terms[name.strip()] = value.strip()
    row = read_row(ShareClass, terms, "round", reader, skip=("name", "shares", "invested"),
                   build=False)  # fmt: skip
    if issues:
        raise ExitError(issues)
    return {**out, **(row or {})}


def _names(given: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (given or "").split(",") if name.strip())
