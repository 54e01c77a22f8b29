"""A row of a cap table's sheet as somebody's paper: its kind, its numbers, what it may not say.

Standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from fastnn.exit_strategy.errors import Issue
from fastnn.exit_strategy.reading.fields import Field
from fastnn.exit_strategy.reading.parse import Reader, read_number, show

from .sheet_checks import SheetRow, refuse_sheet
from .sheet_words import is_company, is_founding, is_gone, is_nobody, kind_of, plain_words

__all__ = ["CLASS_TERMS", "NOTHING", "PAPER_TERMS", "TERMS_OF", "number_of", "numbers_of",
           "paper_of", "with_unit"]  # fmt: skip

#: Column -> kind of number; the others hold words or days, which their fields read.
_NUMBERS = {"shares": "count", "price": "money", "invested": "money", "strike": "money"}
#: Columns that are terms of a share class, and of SAFEs and notes, under the names of the fields.
CLASS_TERMS = ("multiple", "participation", "cap", "seniority", "conversion_ratio",
               "conversion_price", "dividend_rate", "anti_dilution")  # fmt: skip
PAPER_TERMS = {"safe": ("valuation_cap", "discount", "date"),
               "note": ("valuation_cap", "discount", "interest", "date")}  # fmt: skip
#: Cells that say that there is nothing to say.
NOTHING = frozenset(("", "-", "–", "—", "n/a", "na", "无", "不适用", "/"))
#: What each kind of paper may say besides its holder, class and checks.
TERMS_OF = {
    "common": ("shares", "price", "invested", "date"),
    "preferred": ("shares", "price", "invested", "date", *CLASS_TERMS),
    "options": ("shares", "price", "strike", "date"), "pool": ("shares",),
    "units": ("shares", "price", "strike", "date"),
    "warrants": ("shares", "price", "strike", "date"),
    "safe": ("invested", *PAPER_TERMS["safe"]),
    "note": ("invested", "multiple", *PAPER_TERMS["note"]),
}  # fmt: skip
#: "A Ordinary", "Ordinary B", "C shares": with a preference in some companies, without in others.
_LETTERED = r"^(?:class )?[a-z] (?:ordinary|shares?|stock)\b|^ordinary [a-z]\b|^class [a-z]$"
_ALWAYS = ("holder", "class", "role", "status", "currency", "ownership", "diluted")
_STANDS = frozenset(("", "outstanding", "issued", "active", "已发行", "有效", "在册"))
_YES = frozenset(("yes", "true", "是", "ja", "sim", "sí", "oui", "y", "x"))


def with_unit(value: Any, unit: str) -> Any:
    """Return a cell with what its column's name puts behind its numbers."""
    if not unit or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        sign, digits, power = Decimal(repr(value)).as_tuple()
        return f"{'-' if sign else ''}{''.join(map(str, digits))}e{power} {unit}"
    return f"{str(value).strip()} {unit}"


def paper_of(
    number: int, holder: str, name: str, cells: dict[str, Any], reader: Reader
) -> SheetRow | None:
    """Return a row as a paper, None after a fault of its numbers; what cannot be is refused."""
    if not name:
        raise refuse_sheet(f"row {number} has no class",
                      "name it: common, Series A, options, SAFE")  # fmt: skip
    kind, said = kind_of(name)
    if not kind:
        hint = "write common, Series A preferred, options granted, unissued pool, warrants or SAFE"
        if re.search(_LETTERED, plain_words(name)):
            hint = "write Class A common where it ranks with the others, else Series A preferred"
        raise refuse_sheet(f"row {number}: the class {name!r} can be several things", hint)
    if not holder and kind != "pool":
        raise refuse_sheet(f"row {number} has no holder", "name who holds it")
    if kind != "pool" and holder != name and is_nobody(holder, kind):
        raise refuse_sheet(
            f"row {number}: {holder!r} may be nobody who is paid in a sale",
            "leave out what is not outstanding, give a pool the class unissued pool, or say who "
            "holds it: employee trust",
        )
    if kind != "pool" and is_company(holder, reader.company):
        raise refuse_sheet(
            f"row {number}: {holder!r} is the company itself, which is paid nothing for its shares",
            "leave out treasury shares, give options that nobody holds the class unissued pool, "
            "and write a person of that name as Ada Li (person)",
        )
    if is_gone(holder):
        raise refuse_sheet(
            f"row {number}: the paper of {holder!r} may be no longer there",
            "keep the rows of what is outstanding today, and remarks out of the names",
        )
    status = plain_words(cells.get("status", ""))
    if status not in _STANDS:
        raise refuse_sheet(f"row {number} is {cells['status']!r}",
                      "keep the rows of what is outstanding today")  # fmt: skip
    cells = numbers_of(reader, number, cells)
    if None in (cells.get(field, 0.0) for field in _NUMBERS):
        return None
    paper = kind in ("safe", "note")
    if paper and cells.get("shares"):
        raise refuse_sheet(f"row {number}: a SAFE or note has no shares until it converts",
                      "leave its shares empty and give the amount invested")  # fmt: skip
    if not paper and not cells.get("shares"):
        raise refuse_sheet(f"row {number} has no shares", "give their number, or delete the row")
    for field, value in cells.items():
        if field not in (*TERMS_OF[kind], *_ALWAYS, "shares") and value not in (0, "0"):
            raise refuse_sheet(
                f"row {number}: {field} is no term of {name!r}",
                "leave the cell empty, or state the paper in the profile",
            )
    role = str(cells.get("role", ""))
    founder = True if plain_words(role) in _YES else is_founding(role)
    if founder is None:
        text = f"row {number}: {role!r} may be a founder or no longer one"
        raise refuse_sheet(text, "write founder, or leave the role empty")
    ratio = 1.0
    if "conversion_ratio" in cells:
        ratio = (
            number_of(reader, number, "conversion_ratio", "times", cells["conversion_ratio"]) or 1.0
        )
    return SheetRow(number, holder, kind, name, said, cells, cells.get("shares") or 0.0,
                founder, ratio)  # fmt: skip


def numbers_of(reader: Reader, row: int, cells: Mapping[str, Any]) -> dict[str, Any]:
    """Return the cells of a row with their numbers read, money in the profile's currency."""
    out = dict(cells)
    code = out.pop("currency", None)
    for field in ("price", "invested", "strike", "valuation_cap", "conversion_price"):
        if code is not None and field in out:
            out[field] = with_unit(out[field], str(code).strip())
    for field, unit in _NUMBERS.items():
        if field in out:
            out[field] = number_of(reader, row, field, unit, out[field])
    return out


def number_of(reader: Reader, row: int, field: str, kind: str, value: Any) -> float | None:
    """Return the number of a cell, None after appending what is wrong with it."""
    where = f"cap_table.sheet[{row}].{field}"
    if field == "shares" and "%" in str(value):
        text = f"{show(value)} is a part of the shares, not their number"
        hint = "give the number of shares; percentages have a column or a row of their own"
        reader.issues.append(Issue("EX122", where, text, hint, show(value)))
        return None
    number = read_number(reader, Field(where, kind, "", "", "1000000", False, 0.0), value)
    if number is not None and field == "shares" and number < 1000 and number != int(number):
        text = f"{show(value)} is read as {number:g} shares"
        hint = "write the number in full, without marks"
        reader.issues.append(Issue("EX122", where, text, hint, show(value)))
        return None
    return number
