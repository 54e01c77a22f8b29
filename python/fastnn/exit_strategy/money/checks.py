"""Faults of a cap table: terms that are no terms, contradict each other or cannot be.

Standard library only.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import fields
from decimal import Decimal
from typing import Any, Protocol

from fastnn.exit_strategy.errors import Issue, visible

from .conversion import favoured
from .interest import DAY_COUNTS, PERIODS
from .terms import (
    ANTI_DILUTION,
    COMMON,
    COMPOUNDING,
    FOUNDERS,
    PARTICIPATION,
    TRIGGERS,
    UNVESTED,
    Amount,
    Holding,
    Note,
    OptionGrant,
    Safe,
    ShareClass,
    Vesting,
)

__all__ = ["Table", "check_cap_table", "is_a_sum"]

#: More than any paper says; larger numbers are slips that would drown all others.
_MOST = {"Rate": 1e3, "Times": 1e6}

#: Terms that are easily typed in another unit, with the most that a paper says.
_USUAL = {
    "interest": (1.0, "0.08 means 8 % a year"), "dividend_rate": (1.0, "0.08 means 8 % a year"),
    "multiple": (10.0, "1 means once the amount"), "cap": (50.0, "3 means three times invested"),
    "redemption_multiple": (10.0, "1 means once the amount"),
    "discount": (0.5, "0.2 is 20 % off; a form's \"Discount Rate\" of 80 % is a discount of 0.2"),
    "ipo_ratchet": (10.0, "1.2 means shares worth 20 % more than was invested"),
    "years": (10.0, "1.5 means 18 months; give date for an older note"),
}  # fmt: skip

#: Counts of shares: below 1 beside this many common shares they were typed as a part.
_COUNTS, _MANY = ("founders", "pool", "n", "shares"), 1000

#: Whole numbers up to a hundred beside this many shares were typed as per cent, or in millions.
_PER_CENT, _MOST_SHARES = 100, 100_000

#: More than a paper is above what it is compared with; beyond it one of them is in millions.
_FAR, _BEYOND = 1000.0, 10.0

_LEAST_MONEY = 100  # for many shares of a class; less is in millions, or the price of a share

_TINY = 1e-5  # of its cap, which the money for a SAFE or note is above

_YEARS = 6  # that a schedule runs, at most

#: What rows of totals are called, without spaces and marks.
_SUMS = frozenset((
    "total", "totals", "subtotal", "grandtotal", "sum", "totalshares", "fullydiluted",
    "fullydilutedtotal", "totalfullydiluted", "allholders", "summe", "gesamt", "gesamtsumme",
    "zwischensumme", "totale", "totaal", "suma", "итого", "всего", "合计", "总计", "小计", "总和",
    "总数", "合計", "總計", "小計", "總和", "합계", "총계", "σ", "totalgénéral", "totalgeneral",
    "totalgenerale", "totalgeral", "celkem", "spolu", "razem", "łącznie", "toplam", "geneltoplam",
    "összesen", "ukupno", "skupaj", "yhteensä", "ialt", "totalt", "sammanlagt", "jumlah",
    "tổng", "tổngcộng", "รวม", "всьогоразом", "разом", "усього", "sumofshares", "totaloutstanding",
    "totalissued", "totalissuedandoutstanding", "outstanding", "fullydilutedshares",
))  # fmt: skip


class Table(Protocol):
    """What is checked: the fields of a cap table."""

    @property
    def common(self) -> Amount: ...  # noqa: D102
    @property
    def founders(self) -> Amount: ...  # noqa: D102
    @property
    def pool(self) -> Amount: ...  # noqa: D102
    @property
    def classes(self) -> tuple[ShareClass, ...]: ...  # noqa: D102
    @property
    def options(self) -> tuple[OptionGrant, ...]: ...  # noqa: D102
    @property
    def safes(self) -> tuple[Safe, ...]: ...  # noqa: D102
    @property
    def notes(self) -> tuple[Note, ...]: ...  # noqa: D102
    @property
    def holders(self) -> tuple[Holding, ...]: ...  # noqa: D102
    def part_of(self, holding: Holding) -> float: ...  # noqa: D102
    def sizes(self) -> dict[str, Amount]: ...  # noqa: D102


def check_cap_table(table: Table) -> Iterator[Issue]:
    """Yield every fault of a cap table."""
    for row, where in _rows(table):
        for f in fields(row):
            value = getattr(row, f.name)
            if isinstance(value, bool | str | tuple | dt.date | Vesting) or value is None:
                continue
            most = _MOST.get(str(f.type).partition(" ")[0], 1e18)
            if not _is_finite(value) or not 0 <= value <= most:
                text = f"{value} is not an amount"
                hint = f"give a finite number from 0 to {most:g}"
                yield Issue("EX308", f"{where}.{f.name}", text, hint, str(value))
            elif f.name in _USUAL and value > _USUAL[f.name][0]:
                text = f"{value} is more than a paper says"
                hint = _USUAL[f.name][1]
                yield Issue("EX303", f"{where}.{f.name}", text, hint, str(value))
            elif f.name in _COUNTS and 0 < value < 1 and table.common >= _MANY:
                text = f"{value} of a share beside {table.common} common shares"
                hint = "give the number of shares, not their part"
                yield Issue("EX303", f"{where}.{f.name}", text, hint, str(value))
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
    for one, other in _alike(names):
        yield Issue("EX303", "cap_table", f"the names {one!r} and {other!r} look alike",
                    "give papers names that differ in more than capitals and spaces",
                    other)  # fmt: skip
    people = [row.person for row in table.holders]
    for one, other in _alike(people):
        yield Issue("EX303", "cap_table.holders", f"the names {one!r} and {other!r} look alike",
                    "write a person's name the same way in every row", other)  # fmt: skip
    for name in dict.fromkeys([*names, *people]):
        if is_a_sum(name):
            yield Issue("EX303", "cap_table", f"{name!r} is the name of a sum, not of a holder",
                        "leave rows of totals out: they would be paid as well", name)  # fmt: skip
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
    yield from _check_scale(table)
    yield from _check_terms(table)
    yield from _check_papers(table)
    yield from _check_grants(table)
    yield from _check_holders(table)


def is_a_sum(name: str) -> bool:
    """Whether a name is what rows of totals are called."""
    return re.sub(r"[\s:：.\-]", "", _plain(name)) in _SUMS


def _plain(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _alike(names: list[str]) -> Iterator[tuple[str, str]]:
    """Pairs of different names that a reader of a report would take for one."""
    known: dict[str, str] = {}
    for name in dict.fromkeys(names):
        plain = _plain(name)
        if plain in known:
            yield known[plain], name
        known.setdefault(plain, name)


def _check_scale(table: Table) -> Iterator[Issue]:
    """Numbers that are far from those beside them: per cent, parts and millions for counts."""
    for name in ("founders", "pool"):
        value = getattr(table, name)
        whole = 1 <= value <= _PER_CENT and value == int(value)  # a round leaves other parts
        if whole and table.common >= _MOST_SHARES:
            yield Issue("EX303", f"cap_table.{name}",
                        f"{value} shares beside {table.common} common shares",
                        "give the number of shares, not their part", str(value))  # fmt: skip
    plain = [c for c in table.classes if c.conversion_price is None and c.conversion_ratio == 1]
    most = max((float(c.shares) for c in plain), default=0.0)
    if 0 < table.common <= _PER_CENT and most >= _MOST_SHARES:
        yield Issue("EX303", "cap_table.common",
                    f"{table.common} common shares beside {most:,.0f} of a class",
                    "give all numbers of shares in full", str(table.common))  # fmt: skip
    for c in plain if table.common >= _MOST_SHARES else ():
        if 1 <= c.shares <= _PER_CENT and float(c.invested) > _FAR * float(
            c.shares
        ):  # a golden share is cheap
            where = f"cap_table.classes[{table.classes.index(c)}].shares"
            yield Issue("EX303", where,
                        f"{c.shares} shares beside {table.common} common shares",
                        "give the number of shares, not their part", str(c.shares))  # fmt: skip
    for i, c in enumerate(table.classes):
        if 0 < c.invested < _LEAST_MONEY and c.shares >= _MOST_SHARES:
            yield Issue("EX303", f"cap_table.classes[{i}].invested",
                        f"{c.invested} of money for {c.shares:,.0f} shares of a class",
                        "give all that was paid in, in full: 8m", str(c.invested))  # fmt: skip
    paid = [float(c.invested) / float(c.shares) for c in table.classes if c.shares > 0]
    dearest = max(paid, default=0.0)
    for i, o in enumerate(table.options):
        if dearest > 0 and o.share_class is None and float(o.strike) > _FAR * dearest:
            yield Issue("EX303", f"cap_table.options[{i}].strike",
                        f"a strike of {o.strike} a share beside shares bought at {dearest:,.6g}",
                        "give the price of one share, not of all", str(o.strike))  # fmt: skip


def _check_terms(table: Table) -> Iterator[Issue]:
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
        if c.ipo_ratchet is not None and c.ipo_ratchet < 1:
            yield Issue("EX303", f"{where}.ipo_ratchet",
                        f"a ratchet to {c.ipo_ratchet} times invested promises nothing",
                        _USUAL["ipo_ratchet"][1], str(c.ipo_ratchet))  # fmt: skip
        if c.anti_dilution not in ANTI_DILUTION:
            yield Issue("EX303", f"{where}.anti_dilution", f"{c.anti_dilution!r} is not a term",
                        f"choose {', '.join(ANTI_DILUTION)}", c.anti_dilution)  # fmt: skip
        if c.conversion_price is not None and (c.conversion_price == 0 or c.invested == 0):
            yield Issue("EX302", f"{where}.conversion_price",
                        "a conversion price of zero, or of a class in which nothing is invested",
                        "give the price of a common share, or conversion_ratio")  # fmt: skip
        if c.conversion_price is not None and c.conversion_ratio != 1:
            yield Issue("EX303", f"{where}.conversion_price", "the conversion is given twice",
                        "give conversion_price or conversion_ratio")  # fmt: skip
        if c.redemption_date is None and c.redemption_multiple != 1:
            yield Issue("EX303", f"{where}.redemption_date", "the redemption has no first day",
                        "give the day from which holders may ask for it")  # fmt: skip
        redeemed = c.redemption_date is not None
        if redeemed and c.participation != "none" and c.redemption_multiple > c.multiple:
            text = "redemption above the preference of a participating class is not modelled"
            hint = "leave redemption_multiple at the multiple of the preference"
            yield Issue("EX303", f"{where}.redemption_multiple", text, hint)
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


def _check_papers(table: Table) -> Iterator[Issue]:
    papers: list[tuple[str, int, Safe | Note]] = [
        *(("safes", i, safe) for i, safe in enumerate(table.safes)),
        *(("notes", i, note) for i, note in enumerate(table.notes)),
    ]
    yield from _given_away([paper for _, _, paper in papers])
    for kind, i, paper in papers:
        if paper.valuation_cap is not None and paper.valuation_cap == 0:
            yield Issue(
                "EX303",
                f"cap_table.{kind}[{i}].valuation_cap",
                "a cap of zero",
                "leave the cap out if there is none",
                "0",
            )
        money = paper.amount if isinstance(paper, Safe) else paper.principal
        if paper.valuation_cap and float(money) > _BEYOND * float(paper.valuation_cap):
            yield Issue("EX303", f"cap_table.{kind}[{i}].valuation_cap",
                        f"a cap of {paper.valuation_cap} for {money} of money",
                        "give the cap in full: 10m", str(paper.valuation_cap))  # fmt: skip
        if paper.valuation_cap and 0 < float(money) < _TINY * float(paper.valuation_cap):
            name = "amount" if kind == "safes" else "principal"
            yield Issue("EX303", f"cap_table.{kind}[{i}].{name}",
                        f"{money} of money under a cap of {paper.valuation_cap}",
                        "give the money in full: 1m", str(money))  # fmt: skip
    for i, note in enumerate(table.notes):
        for k, row in enumerate(note.accruals):
            where = f"cap_table.notes[{i}].accruals[{k}]"
            if row.day_count not in DAY_COUNTS or row.compounding not in PERIODS:
                text = f"{row.day_count} and {row.compounding} interest is not known"
                hint = f"choose {' or '.join(DAY_COUNTS)}, and one of {', '.join(PERIODS)}"
                yield Issue("EX303", where, text, hint)
            if not _is_finite(row.rate) or not 0 <= row.rate <= 1:
                yield Issue("EX308", f"{where}.rate", f"{row.rate} is not a rate", "0.08 is 8 %")
            if row.compounding == "daily" and row.day_count == "actual/actual":
                yield Issue("EX303", where, "daily interest by actual/actual is not modelled",
                            "choose actual/365")  # fmt: skip
            if row.end is not None and row.end < row.start:
                yield Issue("EX303", f"{where}.end", "ends before it starts", "check both days")
        if note.interest and note.years is None and note.date is None and not note.accruals:
            yield Issue("EX303", f"cap_table.notes[{i}].years", "the interest has no time",
                        "give years, date or accruals; years = 0 for a new note")  # fmt: skip
        if note.accruals and (note.interest or note.years):
            yield Issue("EX303", f"cap_table.notes[{i}].interest", "interest is given twice",
                        "give interest and years, or accruals")  # fmt: skip
        if note.day_count not in DAY_COUNTS:
            text = f"{note.day_count!r} is not known"
            hint = f"choose {', '.join(DAY_COUNTS)}"
            yield Issue("EX303", f"cap_table.notes[{i}].day_count", text, hint, note.day_count)


def _given_away(papers: list[Safe | Note]) -> Iterator[Issue]:
    """Post-money caps that leave nothing to anybody else."""
    part = 0.0
    for paper in papers:
        terms = favoured(paper, papers) if paper.mfn else paper
        if terms.post_money and terms.valuation_cap:
            amount = paper.amount if isinstance(paper, Safe) else paper.principal
            part += float(amount) / float(terms.valuation_cap)
    if part >= 1:
        yield Issue("EX303", "cap_table.safes", f"post-money caps give away {part:.0%}",
                    "the amounts over their caps must add up to less than 100 %")  # fmt: skip


def _check_grants(table: Table) -> Iterator[Issue]:
    classes = {c.name: c for c in table.classes}
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
        where = f"cap_table.options[{i}]"
        if o.share_class is not None and o.share_class not in classes:
            names = ", ".join(classes) or "no class is given"
            yield Issue("EX303", f"{where}.share_class", f"{o.share_class!r} is not a class",
                        f"classes: {names}; leave it out for common shares",
                        o.share_class)  # fmt: skip
        elif o.share_class is not None and classes[o.share_class].participation == "capped":
            text = "a warrant on a class that participates up to a cap is not modelled"
            yield Issue("EX303", f"{where}.share_class", text, "state it as shares of the class")
        if o.unvested not in UNVESTED:
            yield Issue("EX303", f"{where}.unvested", f"{o.unvested!r} is not known",
                        f"choose {' or '.join(UNVESTED)}", o.unvested)  # fmt: skip
        v = o.vesting
        if v is None:
            if o.unvested != "assumed":
                yield Issue("EX303", f"{where}.unvested", "the grant has no vesting",
                            "give vesting = {start = ...}")  # fmt: skip
            continue
        if v.trigger not in TRIGGERS:
            yield Issue("EX303", f"{where}.vesting.trigger", f"{v.trigger!r} is not known",
                        f"choose {', '.join(TRIGGERS)}", v.trigger)  # fmt: skip
        if v.cliff == 1 and 3 <= v.months <= _YEARS:
            yield Issue("EX303", f"{where}.vesting.months",
                        f"{v.months} months with a cliff of 1 may be years",
                        "write months: months = 48, cliff = 12")  # fmt: skip
        if not 0 <= v.cliff <= v.months <= 600 or v.every < 1:
            text = f"{v.months} months with a cliff of {v.cliff}, every {v.every}"
            yield Issue("EX303", f"{where}.vesting", text, "such as months 48, cliff 12, every 1")
        if not _is_finite(v.accelerated) or not 0 <= v.accelerated <= 1:
            yield Issue("EX303", f"{where}.vesting.accelerated", f"{v.accelerated} is no part of 1",
                        "0.5 means half", str(v.accelerated))  # fmt: skip
        if v.trigger == "double" and o.unvested == "lapse":
            text = (
                "a double trigger is about grants that the buyer takes over, not those that lapse"
            )
            yield Issue("EX303", f"{where}.unvested", text, 'write unvested = "assumed"')


def _check_holders(table: Table) -> Iterator[Issue]:
    sizes = table.sizes()
    held: dict[str, float] = {}
    own = {o.name for o in table.options if o.founder_part}
    for i, row in enumerate(table.holders):
        where = f"cap_table.holders[{i}]"
        if not row.person.strip() or visible(row.person) != row.person:
            yield Issue("EX111", f"{where}.person", "a holder needs a plain name", "give one line")
        if row.paper not in sizes:
            yield Issue("EX303", f"{where}.paper", f"{row.paper!r} is not a paper of the table",
                        f"papers: {', '.join(sizes)}", row.paper)  # fmt: skip
            continue
        if (row.part is None) == (row.units is None):
            yield Issue("EX303", where, "give part or units", "part = 0.25, or units = 1000000")
            continue
        size = float(sizes[row.paper])
        amount = float(row.part or 0.0) if row.part is not None else float(row.units or 0.0)
        part = amount if row.part is not None else amount / size if size > 0 else float("inf")
        held[row.paper] = held.get(row.paper, 0.0) + part
        if row.founder and row.paper in own:
            text = "the founders' part of the grant is given twice"
            yield Issue("EX303", f"{where}.founder", text, "leave founder_part out of the grant")
    for paper, part in held.items():
        if not part <= 1 + 1e-9:
            yield Issue("EX303", "cap_table.holders", f"{part:.1%} of {paper!r} are handed out",
                        "the holdings of a paper add up to at most all of it")  # fmt: skip


def _papers(table: Table) -> list[ShareClass | OptionGrant | Safe | Note]:
    return [*table.classes, *table.options, *table.safes, *table.notes]


def _rows(table: Table) -> Iterator[tuple[Any, str]]:
    yield table, "cap_table"
    for kind in ("classes", "options", "safes", "notes", "holders"):
        for i, row in enumerate(getattr(table, kind)):
            yield row, f"cap_table.{kind}[{i}]"


def _is_finite(value: Amount) -> bool:
    return Decimal(value).is_finite() if isinstance(value, Decimal) else abs(value) < float("inf")
