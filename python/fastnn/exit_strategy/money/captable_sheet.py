"""A cap table as companies export it: a spreadsheet with a holder, a class and shares in each row.

The rows become the mapping that a profile would hold, so every term is checked as if it had been
typed there. Sums and percentages are not data but checks: where they do not agree with the rows the
table is refused. Nothing is guessed: a column or a class that is not understood is refused by name.
Standard library only; workbooks need openpyxl.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from fastnn.exit_strategy.errors import ExitError, Issue
from fastnn.exit_strategy.reading.fields import Field
from fastnn.exit_strategy.reading.grids import Grid, read_grid
from fastnn.exit_strategy.reading.parse import Reader, read_number, show

from .checks import is_a_sum
from .sheet_checks import SheetRow, SheetSum, check_parts, check_sums, refuse_sheet
from .sheet_words import column_of, is_founding, kind_of, plain_words
from .terms import COMMON, FOUNDERS

__all__ = ["OWN_KEYS", "read_sheet"]

#: Keys of `cap_table` that say how a sheet is read.
OWN_KEYS = ("sheet", "tab", "encoding", "ignore")

_SUM_OF = r"(?i)(?:sub)?-?total(?: of|:)? (.+)|(.+) (?:sub)?-?total|(.+)(?:小计|合计)"
_LOOK = 30  # rows from the top, within which the header stands
#: Column -> kind of number; the others hold words or days, which their fields read.
_NUMBERS = {"shares": "count", "price": "money", "invested": "money", "strike": "money"}
#: Columns that are terms of a share class, and of SAFEs and notes, under the names of the fields.
_CLASS_TERMS = ("multiple", "participation", "cap", "seniority", "conversion_ratio",
                "conversion_price", "dividend_rate", "anti_dilution")  # fmt: skip
_PAPER_TERMS = {"safe": ("valuation_cap", "discount", "date"),
                "note": ("valuation_cap", "discount", "interest", "date")}  # fmt: skip
_TAKES_PART = {"yes": "full", "true": "full", "participating": "full", "是": "full", "有": "full",
               "no": "none", "false": "none", "non participating": "none", "否": "none",
               "无": "none", "不参与": "none", "参与": "full", "full": "full", "none": "none",
               "capped": "capped"}  # fmt: skip
#: Cells that say that there is nothing to say.
_NOTHING = frozenset(("", "-", "–", "—", "n/a", "na", "无", "不适用", "/"))
#: What each kind of paper may say besides its holder, class and checks.
_OF_KIND = {
    "common": ("shares", "price", "invested", "date"),
    "preferred": ("shares", "price", "invested", "date", *_CLASS_TERMS),
    "options": ("shares", "price", "strike", "date"), "pool": ("shares",),
    "units": ("shares", "price", "strike", "date"),
    "warrants": ("shares", "price", "strike", "date"),
    "safe": ("invested", *_PAPER_TERMS["safe"]),
    "note": ("invested", "multiple", *_PAPER_TERMS["note"]),
}  # fmt: skip
_ALWAYS = ("holder", "class", "role", "status", "currency", "ownership", "diluted")
_STANDS = frozenset(("", "outstanding", "issued", "active", "已发行", "有效", "在册"))
_YES = frozenset(("yes", "true", "是", "ja", "sim", "sí", "oui", "y", "x"))


def read_sheet(data: Mapping[str, Any], reader: Reader) -> dict[str, Any]:
    """Return the cap table of the file that `data["sheet"]` names, as a profile would state it.

    `data` may add what a sheet does not say: `founders` (names of holders), the terms of classes
    and papers by their names, `tab`, `encoding`, and `ignore` (columns to leave out).

    Raises:
        ExitError: whatever of the file cannot be told, with the row or the column.
    """
    path, tab = str(data["sheet"]), data.get("tab")
    ignored = data.get("ignore", ())
    ignored = [ignored] if isinstance(ignored, str) else list(ignored)
    skip = {plain_words(name) for name in ignored}
    encoding = data.get("encoding")
    grid = read_grid(path, lambda rows: _header(rows, skip) is not None, tab, encoding)
    found = _header(grid, skip)
    if found is None:
        raise refuse_sheet(f"{path} has no row of column names with a holder, a class and shares",
                      "write a row for each paper, under the columns holder, class, shares, price",
        )  # fmt: skip
    top, columns = found
    _check_columns(columns, grid[top][1])
    names = data.get("founders", ())
    if isinstance(names, str):
        names = [names]
    if not isinstance(names, Sequence):
        raise refuse_sheet("the sheet says how many shares the founders hold",
                      'name them: founders = ["Ada", "Ben"]')  # fmt: skip
    rows, sums = _rows(grid[top + 1 :], columns, reader)
    if reader.issues:
        raise ExitError([reader.issues.pop() for _ in range(len(reader.issues))][::-1])
    _mark_founders(rows, [str(name) for name in names], "role" in columns.values())
    check_sums(rows, sums)
    check_parts(rows)
    return _merged(_papers(rows), data)


def _header(grid: Grid, skip: set[str]) -> tuple[int, dict[int, str]] | None:
    """The place of the row of names, and column -> field, with a unit behind it after a space."""
    for place, (_, cells) in enumerate(grid[:_LOOK]):
        columns = {}
        for k, cell in enumerate(cells):
            if isinstance(cell, str) and cell.strip() and plain_words(cell) not in skip:
                field, unit = column_of(cell)
                columns[k] = f"{field} {unit}".strip()
        fields = {words.partition(" ")[0] for words in columns.values()}
        if {"holder", "class", "shares"} <= fields:
            return place, columns
    return None


def _check_columns(columns: dict[int, str], header: Sequence[Any]) -> None:
    known: dict[str, str] = {}
    for k, words in sorted(columns.items()):
        field, name = words.partition(" ")[0], str(header[k]).strip()
        if field == "?":
            raise refuse_sheet(f"the column {name!r} is not known",
                          f'rename it, or leave it out: ignore = ["{name}"]')  # fmt: skip
        if field in known:
            text = f"the columns {known[field]!r} and {name!r} say the same"
            raise refuse_sheet(text, f'keep one of them: ignore = ["{name}"]')
        if field:
            known[field] = name


def _rows(
    body: Grid, columns: dict[int, str], reader: Reader
) -> tuple[list[SheetRow], list[SheetSum]]:
    """The papers, and the rows of sums."""
    rows: list[SheetRow] = []
    sums: list[SheetSum] = []
    for number, values in body:
        if all(value is None or value == "" or str(value).strip() == "" for value in values):
            continue
        cells: dict[str, Any] = {}
        for k, value in enumerate(values):
            if isinstance(value, Issue) and (k in columns or k >= len(columns)):
                raise ExitError(
                    Issue("EX309", "cap_table.sheet", value.message, value.hint)
                )  # fmt: skip
            words = columns.get(k)
            if words is None:
                continue
            field, _, unit = words.partition(" ")
            if field and value is not None and str(value).strip().lower() not in _NOTHING:
                cells[field] = _with_unit(value, unit)
        if not cells:
            continue
        if set(cells) <= {"holder"} or set(cells) <= {"class"}:
            text = next(iter(cells.values()))
            raise refuse_sheet(f"row {number} holds words alone: {show(text)}",
                          "move headings and remarks out of the table")  # fmt: skip
        holder, paper = str(cells.get("holder", "")).strip(), str(cells.get("class", "")).strip()
        label = holder or paper
        if is_a_sum(label) or is_a_sum(paper) or _sum_of(label):
            name = _sum_of(label) or (paper if holder and not is_a_sum(paper) else "")
            cells = {k: v for k, v in cells.items() if k in ("shares", "invested", "currency")}
            sums.append((len(rows), number, name, _numbers(reader, number, cells)))
            continue
        row = _paper(number, holder, paper, cells, reader)
        if row is not None:
            rows.append(row)
    if not rows:
        raise refuse_sheet(
            "the sheet has no row below its column names", "write a row for each paper"
        )
    return rows, sums


def _sum_of(label: str) -> str:
    """The class of "Total Series A", else ""; an investor may be called Total Energies."""
    found = re.fullmatch(_SUM_OF, label.strip())
    name = next((part for part in found.groups() if part), "") if found else ""
    return name.strip() if name and kind_of(name)[0] else ""


def _with_unit(value: Any, unit: str) -> Any:
    """A cell with what its column's name puts behind its numbers."""
    if not unit or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        sign, digits, power = Decimal(repr(value)).as_tuple()
        return f"{'-' if sign else ''}{''.join(map(str, digits))}e{power} {unit}"
    return f"{str(value).strip()} {unit}"


def _paper(
    number: int, holder: str, name: str, cells: dict[str, Any], reader: Reader
) -> SheetRow | None:
    if not name:
        raise refuse_sheet(f"row {number} has no class",
                      "name it: common, Series A, options, SAFE")  # fmt: skip
    kind, said = kind_of(name)
    if not kind:
        hint = "write common, Series A preferred, options granted, unissued pool, warrants or SAFE"
        raise refuse_sheet(f"row {number}: the class {name!r} can be several things", hint)
    if not holder and kind != "pool":
        raise refuse_sheet(f"row {number} has no holder", "name who holds it")
    status = plain_words(cells.get("status", ""))
    if status not in _STANDS:
        raise refuse_sheet(f"row {number} is {cells['status']!r}",
                      "keep the rows of what is outstanding today")  # fmt: skip
    cells = _numbers(reader, number, cells)
    if None in (cells.get(field, 0.0) for field in _NUMBERS):
        return None
    paper = kind in ("safe", "note")
    if paper and cells.get("shares"):
        raise refuse_sheet(f"row {number}: a SAFE or note has no shares until it converts",
                      "leave its shares empty and give the amount invested")  # fmt: skip
    if not paper and not cells.get("shares"):
        raise refuse_sheet(f"row {number} has no shares", "give their number, or delete the row")
    for field, value in cells.items():
        if field not in (*_OF_KIND[kind], *_ALWAYS, "shares") and value not in (0, "0"):
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
            _number(reader, number, "conversion_ratio", "times", cells["conversion_ratio"]) or 1.0
        )
    return SheetRow(number, holder, kind, name, said, cells, cells.get("shares") or 0.0,
                founder, ratio)  # fmt: skip


def _numbers(reader: Reader, row: int, cells: Mapping[str, Any]) -> dict[str, Any]:
    """The cells of a row with their numbers read, money in the profile's currency."""
    out = dict(cells)
    code = out.pop("currency", None)
    for field in ("price", "invested", "strike", "valuation_cap", "conversion_price"):
        if code is not None and field in out:
            out[field] = _with_unit(out[field], str(code).strip())
    for field, unit in _NUMBERS.items():
        if field in out:
            out[field] = _number(reader, row, field, unit, out[field])
    return out


def _number(reader: Reader, row: int, field: str, kind: str, value: Any) -> float | None:
    where = f"cap_table.sheet[{row}].{field}"
    number = read_number(reader, Field(where, kind, "", "", "1000000", False, 0.0), value)
    if number is not None and field == "shares" and number < 1000 and number != int(number):
        text = f"{show(value)} is read as {number:g} shares"
        hint = "write the number in full, without marks"
        reader.issues.append(Issue("EX122", where, text, hint, show(value)))
        return None
    return number


def _mark_founders(rows: list[SheetRow], names: list[str], stated: bool) -> None:
    people = {plain_words(row.holder) for row in rows}
    for name in names:
        if plain_words(name) not in people:
            raise refuse_sheet(
                f"no row is of the founder {name!r}", "write the name as the sheet does"
            )
    wanted = {plain_words(name) for name in names}
    for row in rows:
        row.founder = row.founder or plain_words(row.holder) in wanted
    founding = {row.holder for row in rows if row.founder}
    for row in rows:  # a person is a founder in every row
        row.founder = row.holder in founding
    if not founding and not stated and any(row.kind == "common" for row in rows):
        raise refuse_sheet("nobody of the sheet is marked as a founder",
                      'name them: founders = ["Ada", "Ben"], or add a column role')  # fmt: skip


def _papers(rows: list[SheetRow]) -> dict[str, Any]:
    common = [r for r in rows if r.kind == "common"]
    out: dict[str, Any] = {
        "common": sum(r.shares for r in common),
        "founders": sum(r.shares for r in common if r.founder),
        "pool": sum(r.shares for r in rows if r.kind == "pool"),
        "classes": [], "options": [], "safes": [], "notes": [],
    }  # fmt: skip
    held: dict[tuple[str, str], dict[str, Any]] = {}
    hold = partial(_hold, held)
    for row in common:
        hold(row, FOUNDERS if row.founder else COMMON, founder=False)
    _check_spellings(rows)
    for name in dict.fromkeys(r.paper for r in rows if r.kind == "preferred"):
        group = [r for r in rows if r.kind == "preferred" and r.paper == name]
        out["classes"].append(_class(name, group))
        for row in group:
            hold(row, name, founder=row.founder)
    grants: dict[tuple[str, float], list[SheetRow]] = {}
    stated = any("strike" in r.cells for r in rows)  # else a price of options is their strike
    for row in rows:
        if row.kind in ("options", "units", "warrants"):
            grants.setdefault((row.paper, _strike(row, stated)), []).append(row)
    often = [name for name, _ in grants]
    for (name, strike), group in grants.items():
        title = name if often.count(name) == 1 else f"{name} at {strike:g}"
        grant = {"name": title, "n": sum(r.shares for r in group), "strike": strike}
        if group[0].kind == "warrants":
            grant.update(_over(group[0], out["classes"]))
        out["options"].append(grant)
        for row in group:
            hold(row, title, founder=row.founder)
    for row in rows:
        if row.kind in ("safe", "note"):
            paper = _convertible(row, rows)
            out[f"{row.kind}s"].append(paper)
            holding = {"person": row.holder, "paper": paper["name"], "part": 1.0}
            held[row.holder, paper["name"]] = holding | {"founder": row.founder}
    out["holders"] = list(held.values())
    return out


def _hold(
    held: dict[tuple[str, str], dict[str, Any]], row: SheetRow, paper: str, *, founder: bool
) -> None:
    mine = held.setdefault((row.holder, paper),
                           {"person": row.holder, "paper": paper, "units": 0.0})  # fmt: skip
    mine["units"] += row.shares
    if founder:
        mine["founder"] = True


def _check_spellings(rows: list[SheetRow]) -> None:
    known: dict[str, str] = {}
    for row in rows:
        if (
            row.kind == "preferred"
            and known.setdefault(plain_words(row.paper), row.paper) != row.paper
        ):
            text = f"the classes {known[plain_words(row.paper)]!r} and {row.paper!r} look alike"
            raise refuse_sheet(text, "write a class the same way in every row")


def _class(name: str, group: list[SheetRow]) -> dict[str, Any]:
    made: dict[str, Any] = {"name": name, "shares": sum(r.shares for r in group), "invested": 0.0}
    for row in group:
        price, paid = row.cells.get("price"), row.cells.get("invested")
        if price is None and paid is None:
            text = f"row {row.number} says neither the price nor the money invested"
            raise refuse_sheet(text, "a preference is owed what was paid in: give one of them")
        if price is not None and paid is not None:
            made_of = row.shares * price
            shift = row.shares * 0.5 * 10.0 ** int(Decimal(repr(price)).as_tuple().exponent)
            if abs(made_of - paid) > shift + 0.005 * paid + 0.5:
                text = (
                    f"row {row.number}: {row.shares:,.10g} shares at {price:g} are "
                    f"{made_of:,.10g}, not {paid:,.10g}"
                )
                raise refuse_sheet(text, "mend the number, the price or the money")
        made["invested"] += row.shares * (price or 0.0) if paid is None else paid
    for field in _CLASS_TERMS:
        said = {str(r.cells[field]).strip(): r.cells[field] for r in group if field in r.cells}
        if len(said) > 1:
            one, other = list(said)[:2]
            raise refuse_sheet(f"the rows of {name!r} differ in {field}: {one} and {other}",
                          "a class has one set of terms: write it alike in every row")  # fmt: skip
        for value in said.values():
            made[field] = value
    if "participation" in made:
        word = plain_words(made["participation"])
        made["participation"] = _TAKES_PART.get(word, made["participation"])
    price = group[0].cells.get("price")
    if (
        "multiple" in made
        and price is not None
        and price != 1
        and str(made["multiple"]).strip() == f"{price:g}"
    ):
        text = f"the liquidation preference of {name!r} is the price of a share"
        raise refuse_sheet(text, "give it as a multiple of what was paid: 1x")
    return made


def _strike(row: SheetRow, stated: bool) -> float:
    strike = row.cells.get("strike")
    if strike is None and row.kind == "units":
        return 0.0  # a restricted stock unit costs nothing
    if strike is None and not stated:
        strike = row.cells.get("price")
    if strike is None:
        text = f"row {row.number} has no strike price"
        raise refuse_sheet(text, "give it in a column strike price")
    return float(strike)


def _over(row: SheetRow, classes: list[dict[str, Any]]) -> dict[str, Any]:
    """The class that a warrant is for."""
    if row.said and kind_of(row.said)[0] == "common":
        return {}
    for made in classes:
        if plain_words(made["name"]) in (row.said, f"{row.said} preferred"):
            return {"share_class": made["name"]}
    raise refuse_sheet(f"row {row.number} does not say for which shares its warrants are",
                  "write common warrants, or the name of a class: Series A warrants")  # fmt: skip


def _convertible(row: SheetRow, rows: list[SheetRow]) -> dict[str, Any]:
    amount = row.cells.get("invested")
    if amount is None:
        raise refuse_sheet(f"row {row.number} does not say the money invested",
                      "give it in a column amount invested")  # fmt: skip
    word = "SAFE" if row.kind == "safe" else "note"
    twice = sum(r.kind == row.kind and r.holder == row.holder for r in rows) > 1
    name = f"{row.holder} {word}" + (f" (row {row.number})" if twice else "")
    made: dict[str, Any] = {"name": name, "amount" if word == "SAFE" else "principal": amount}
    for field in (*_PAPER_TERMS[row.kind], "multiple"):
        if field in row.cells:
            made[field] = row.cells[field]
    if row.kind == "safe" and row.said:
        made["post_money"] = row.said == "post"
    if row.kind == "note" and "date" not in row.cells and "interest" not in row.cells:
        made["years"] = 0.0
    return made


def _merged(found: dict[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """The sheet with the terms that the profile adds, by the names of the papers."""
    out = dict(found)
    for key, value in data.items():
        if key in OWN_KEYS or key == "founders":
            continue
        if key not in ("classes", "options", "safes", "notes", "holders"):
            if found.get(key):
                raise refuse_sheet(
                    f"{key} stands in the sheet and in the profile", "keep one of them"
                )
            out[key] = value
            continue
        rows = list(out[key])
        for row in [value] if isinstance(value, Mapping) else value:
            name = row.get("name") if isinstance(row, Mapping) and key != "holders" else None
            place = next((k for k, r in enumerate(rows) if name and r["name"] == name), None)
            if place is None:
                rows.append(row)
                continue
            twice = [k for k in row if k != "name" and k in rows[place]]
            if twice:
                text = f"{twice[0]} of {name!r} stands in the sheet and in the profile"
                raise refuse_sheet(text, "keep one of them")
            rows[place] = {**rows[place], **row}
        out[key] = rows
    return out
