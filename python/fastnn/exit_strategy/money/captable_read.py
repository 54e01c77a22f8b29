"""Reads cap tables and deal assumptions from raw mappings; every fault becomes an issue.

The tables' keys are the fields of the dataclasses, so a new field needs no change here: the name of
a field's type (Money, Rate, Times, ...) says how its text is read. Numbers go through the reader of
the profile; a Decimal stays one. Standard library only.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, replace
from decimal import Decimal
from typing import Any

from fastnn.exit_strategy.errors import ExitError, Issue, suggest
from fastnn.exit_strategy.reading.amounts import plain_value
from fastnn.exit_strategy.reading.fields import Field
from fastnn.exit_strategy.reading.parse import Reader, read_date, read_number, show

from .captable import CapTable
from .interest import Accrual
from .terms import Holding, Note, OptionGrant, Safe, ShareClass, Vesting

__all__ = ["read_cap_table", "read_row"]

_KINDS: dict[str, type] = {
    "classes": ShareClass, "options": OptionGrant, "safes": Safe, "notes": Note,
    "holders": Holding,
}  # fmt: skip

#: Name of a field's type -> kind of number it is.
_NUMBERS = {
    "Money": "money", "Amount": "count", "Rate": "fraction", "Times": "times", "Months": "months",
    "Years": "span", "float": "number",
}  # fmt: skip


def read_cap_table(
    data: object, issues: list[Issue], reader: Reader | None = None
) -> CapTable | None:
    """Return the cap table, or None after appending what is wrong with it.

    `reader` knows the profile's currency, rates and decimal mark.
    """
    reader = reader or Reader(issues, dt.date.today())
    if isinstance(data, CapTable):
        return data
    if isinstance(data, Mapping) and set(data) == {"ocf"}:
        from .ocf import read_ocf

        try:
            return _in_own_currency(read_ocf(data["ocf"]), reader)
        except ExitError as error:
            issues.extend(error.issues)
            return None
    told: tuple[str, ...] = ()
    if isinstance(data, Mapping) and "sheet" in data:
        from .captable_sheet import read_sheet

        try:
            data, told = read_sheet(data, replace(reader, issues=[]))
        except ExitError as error:
            issues.extend(error.issues)
            return None
    if not isinstance(data, Mapping):
        issues.append(
            Issue(
                "EX103",
                "cap_table",
                "expected a table",
                "write [cap_table] with common, founders, classes, options",
                show(data),
            )
        )
        return None
    if not data:
        issues.append(
            Issue(
                "EX301",
                "cap_table",
                "the table is empty",
                "give common shares and classes, or leave cap_table out",
            )
        )
        return None
    before = len(issues)
    values: dict[str, Any] = {}
    plain = {k: v for k, v in data.items() if k not in _KINDS}
    for kind, row_type in _KINDS.items():
        raw = data.get(kind, ())
        raw = plain_value(raw)
        rows = [raw] if isinstance(raw, Mapping) else raw
        if isinstance(rows, str) or not isinstance(rows, Sequence):
            issues.append(
                Issue(
                    "EX103",
                    f"cap_table.{kind}",
                    "expected a list of tables",
                    f"write [[cap_table.{kind}]]",
                    show(raw),
                )
            )
            continue
        found = []
        for i, row in enumerate(rows):
            if kind == "classes" and isinstance(row, Mapping):
                _check_name(row, f"cap_table.classes[{i}]", issues)
            if isinstance(row, Mapping) and kind == "options" and "name" not in row:
                row = {"name": "options" if len(rows) == 1 else f"options {i + 1}", **row}
            found.append(read_row(row_type, row, f"cap_table.{kind}[{i}]", reader))
        values[kind] = tuple(row for row in found if row is not None)
    plain.setdefault("founders", plain.get("common", 0))
    plain.setdefault("common", plain["founders"])
    head = read_row(
        CapTable, plain, "cap_table", reader, skip=(*_KINDS, "remarks", "currency"), build=False
    )
    copied = [n for n in ("common", "founders") if n not in data]  # its fault is told once
    issues[before:] = [
        i for i in issues[before:] if i.field not in map("cap_table.{}".format, copied)
    ]
    if head is None or len(issues) > before:
        return None
    _check_conversions(values["classes"], issues)
    if len(issues) > before:
        return None
    try:
        return CapTable(**head, **values, remarks=told)
    except ExitError as error:
        issues.extend(error.issues)
        return None


def _check_name(row: Mapping[str, Any], where: str, issues: list[Issue]) -> None:
    """Refuse a class whose name says a term that the row leaves to its default."""
    from .sheet_words import says_of_itself

    name = row.get("name")
    if not isinstance(name, str):
        return
    for term in says_of_itself(name):
        if term not in row:
            text = f"the name of {name!r} says something of its {term}, and the row does not"
            hint = 'state it: participation = "full", or dividend_rate = 0.08; "none" or 0 if not'
            issues.append(Issue("EX303", f"{where}.{term}", text, hint, name))


def _check_conversions(classes: Sequence[ShareClass], issues: list[Issue]) -> None:
    """Refuse a conversion price that is one of all shares; later rounds may make any of it."""
    for i, c in enumerate(classes):
        if c.conversion_price and c.invested and c.shares:
            ratio = float(c.invested) / float(c.conversion_price) / float(c.shares)
            if not 1 / _CONVERTS <= ratio <= _CONVERTS:
                where = f"cap_table.classes[{i}].conversion_price"
                text = f"{ratio:,.6g} common shares for each share of the class"
                hint = "give the money for one common share"
                issues.append(Issue("EX303", where, text, hint, str(c.conversion_price)))


_CONVERTS = 1000.0  # common shares for one of a class, or one for so many


def _in_own_currency(table: CapTable, reader: Reader) -> CapTable:
    """Convert a table that says its currency to the profile's, at the dated rate."""
    code = table.currency
    if code is None or reader.currency in (None, code):
        return table
    row = Field("cap_table.ocf", "money", "", "", "1")
    rate = read_number(reader, row, f"{code} 1")
    if rate is None:
        raise ExitError([reader.issues.pop()])

    def own(item: Any) -> Any:
        money = [f.name for f in fields(item) if str(f.type).startswith("Money")]
        values = {name: getattr(item, name) for name in money}
        return replace(item, **{k: None if v is None else v * rate for k, v in values.items()})

    made: dict[str, Any] = {kind: tuple(map(own, getattr(table, kind))) for kind in _KINDS}
    return replace(
        table, **made, remarks=(*table.remarks, "ocf_converted"), currency=reader.currency
    )


def read_row(
    row_type: type,
    data: object,
    where: str,
    reader: Reader,
    *,
    skip: tuple[str, ...] = (),
    build: bool = True,
) -> Any:
    """Return an instance of a dataclass (or its keywords) from a mapping, None after a fault."""
    issues = reader.issues
    if not isinstance(data, Mapping):
        issues.append(
            Issue("EX103", where, "expected a table", "write key = value lines", show(data))
        )
        return None
    before = len(issues)
    known = {f.name: f for f in fields(row_type) if f.name not in skip}
    values: dict[str, Any] = {}
    for key, value in data.items():
        if key not in known:
            called = _CALLED.get(str(key).lower(), ())
            near = next((name for name in called if name in known), suggest(str(key), known))
            hint = f"did you mean {near}?" if near else f"known: {', '.join(known)}"
            issues.append(Issue("EX306", f"{where}.{key}", "unknown field", hint, show(value)))
        else:
            got = plain_value(value)
            values[key] = _value(str(known[key].type), got, f"{where}.{key}", reader)
    for name, f in known.items():
        if name not in values and f.default is MISSING:
            issues.append(Issue("EX303", f"{where}.{name}", "missing", f"add {name} = ..."))
    if len(issues) > before:
        return None
    return row_type(**values) if build else values


#: What papers and programs call a field, with its name here: the first that a table has.
_CALLED: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("cap", "post_money_cap", "pre_money_cap", "估值上限"), ("valuation_cap",)),
    **dict.fromkeys(("participation_cap", "cap_multiple", "participating_cap"), ("cap",)),
    **dict.fromkeys(
        ("liquidation", "liquidation_preference", "liq_pref", "preference", "清算优先倍数"),
        ("multiple",),
    ),
    **dict.fromkeys(("rank", "priority", "优先级"), ("seniority",)),
    **dict.fromkeys(("ratio", "conversion_rate"), ("conversion_ratio",)),
    **dict.fromkeys(("rate", "coupon", "利率"), ("interest", "dividend_rate")),
    **dict.fromkeys(
        ("amount", "principal", "money", "raised", "purchase_amount", "投资额", "本金"),
        ("invested", "amount", "principal"),
    ),
    **dict.fromkeys(("exercise_price", "price", "行权价"), ("strike",)),
    **dict.fromkeys(("shares", "quantity", "number", "count", "股数"), ("n", "units", "shares")),
    **dict.fromkeys(("share", "fraction", "percent", "stake", "比例"), ("part",)),
    **dict.fromkeys(("holder", "investor", "owner", "name", "持有人"), ("person", "name")),
    **dict.fromkeys(("security", "class", "instrument"), ("paper",)),
    **dict.fromkeys(("issue_date", "issued", "issued_on", "日期"), ("date",)),
}


def _value(kind: str, value: object, where: str, reader: Reader) -> Any:
    """Return a value of a field's type, None after appending what is wrong with it."""
    base, _, rest = kind.partition(" ")
    if rest and (value is None or value == ""):
        return None
    if base == "str" and isinstance(value, str) and value.strip():
        word = value.strip()
        if where.rpartition(".")[2] in _WORDS:  # one of a few words, however it is written
            word = word.lower().replace(" ", "_").replace("-", "_")
            word = _SAME_WORDS.get(word, word)
        return word
    if base == "bool" or rest.startswith("| bool") or base == "bool|None":
        known = _ANSWERS | _MONEY_SIDES if where.endswith(".post_money") else _ANSWERS
        answer = known.get(value.strip().lower()) if isinstance(value, str) else value
        if isinstance(answer, bool):
            return answer
    elif base == "dt.date":
        name = where.rpartition(".")[2]
        ahead = name in _AHEAD or "vesting" in where
        return read_date(
            replace(reader, today=_LATE) if ahead else reader, Field(where, "date", "", ""), value
        )
    elif base.startswith("tuple[Accrual"):
        return _accruals(value, where, reader)
    elif base == "Vesting":
        return value if isinstance(value, Vesting) else read_row(Vesting, value, where, reader)
    elif base in ("int", "WholeMonths"):
        unit = "integer" if base == "int" else "whole_months"
        number = read_number(reader, Field(where, unit, "", "", _example(where)), value)
        if number is None:
            return None
        if number == int(number):
            return int(number)
    elif base in _NUMBERS:
        return _amount(value, base, where, reader)
    wanted = {"str": "a text", "bool": "true or false", "int": "a whole number"}
    word = wanted.get(base, "a finite number")
    code = "EX308" if word == "a finite number" else "EX103"
    reader.issues.append(Issue(code, where, f"expected {word}", f"give {word}", show(value)))
    return None


#: Fields that hold one of a few words.
_WORDS = ("participation", "anti_dilution", "trigger", "unvested", "dividend_compounding")

#: What term sheets call them.
_SAME_WORDS = {
    "non_participating": "none", "fully_participating": "full", "full_participating": "full",
    "full_participation": "full", "participating": "full", "broad_based": "broad",
    "broad_based_weighted_average": "broad", "narrow_based": "narrow",
    "narrow_based_weighted_average": "narrow", "ratchet": "full_ratchet",
}  # fmt: skip
_MONEY_SIDES = {"post-money": True, "post money": True, "post": True, "pre-money": False,
                "pre money": False, "pre": False}  # fmt: skip

#: Days that a paper may state ahead of time.
_AHEAD = ("redemption_date", "end")
_LATE = dt.date(9000, 1, 1)

_ANSWERS = {"true": True, "yes": True, "是": True, "false": False, "no": False, "否": False}


#: Counts of shares: part of one among a few is a mark that groups digits, taken for another.
_COUNTED, _FEW = ("shares", "n", "units", "common", "founders", "pool"), 1000


def _amount(
    value: object, base: str = "Money", where: str = "amount", reader: Reader | None = None
) -> float | Decimal | None:
    """Read a number as the profile does; a Decimal stays one, a plain fault is the cap table's."""
    if isinstance(value, Decimal) and value.is_finite():
        return value
    reader = reader or Reader([], dt.date.today())
    before = len(reader.issues)
    number = read_number(reader, Field(where, _NUMBERS[base], "", "", _example(where, base)), value)
    counted = isinstance(value, str) and where.rpartition(".")[2] in _COUNTED
    part = number is not None and number < _FEW and number != int(number)
    if counted and part and reader.decimal is None:
        text = f"{show(value)} is read as {number:g} shares"
        reader.issues.append(Issue("EX122", where, text, "write the number in full, without marks",
                                   show(value)))  # fmt: skip
        return None
    for k in range(before, len(reader.issues)):
        issue = reader.issues[k]
        if issue.code in ("EX103", "EX104"):
            hint = issue.hint
            if base == "Times" and isinstance(value, str) and ":" in value:
                hint = "write one number: 2 where one becomes two"
            if counted and "%" in str(value):
                hint = "give the number of shares, not their part"
            reader.issues[k] = Issue("EX308", where, issue.message, hint, issue.value)
    return number


#: What a good value looks like, by the last name of a field or by its type.
_EXAMPLES = {
    "months": "48", "cliff": "12", "every": "1", "years": "1.5", "multiple": "1.0", "Rate": "0.08",
    "Money": "1_000_000", "Amount": "1_000_000", "Months": "9",
}  # fmt: skip


def _example(where: str, base: str = "") -> str:
    return _EXAMPLES.get(where.rpartition(".")[2]) or _EXAMPLES.get(base, "1")


def _accruals(value: object, where: str, reader: Reader) -> tuple[Accrual, ...]:
    rows = [value] if isinstance(value, Mapping) else value
    if isinstance(rows, str) or not isinstance(rows, Sequence):
        reader.issues.append(
            Issue("EX103", where, "expected a list of periods", "give rate and start", show(value))
        )
        return ()
    made = (
        row if isinstance(row, Accrual) else read_row(Accrual, row, f"{where}[{i}]", reader)
        for i, row in enumerate(rows)
    )
    return tuple(row for row in made if row is not None)
