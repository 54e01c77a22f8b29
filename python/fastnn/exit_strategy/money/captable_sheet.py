"""A cap table as companies export it: a spreadsheet of papers, or of holders by share class.

A row holds a holder, a class and shares, or (`sheet_wide`) a holder and his shares of every class.
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
from fastnn.exit_strategy.reading.dates import order_of_days, turned
from fastnn.exit_strategy.reading.grids import Grid, read_grid
from fastnn.exit_strategy.reading.parse import Reader, show

from .checks import is_a_sum
from .sheet_checks import (
    SheetRow,
    SheetSum,
    Stated,
    check_new,
    check_parts,
    check_remarks,
    check_sums,
    refuse_sheet,
)
from .sheet_rows import CLASS_TERMS, NOTHING, PAPER_TERMS, numbers_of, paper_of, with_unit
from .sheet_titles import check_titles
from .sheet_wide import read_wide, wide_header
from .sheet_words import column_of, kind_of, plain_words, says_of_itself
from .terms import COMMON, FOUNDERS

__all__ = ["OWN_KEYS", "read_sheet"]

#: Keys of `cap_table` that say how a sheet is read.
OWN_KEYS = ("sheet", "tab", "encoding", "ignore")

_SUM_OF = r"(?i)(?:sub)?-?total(?: of|:)? (.+)|(.+) (?:sub)?-?total|(.+)(?:小计|合计)"
HOW = ("write a row for each paper, under the columns holder, class, shares, price; or a row for "
       "each holder, under a column for each class")  # fmt: skip
HINT_FOUNDERS = (
    'name them: founders = ["Ada", "Ben"], or a column role; founders = [] where none is left'
)
_LOOK = 30  # rows from the top, within which the header stands
_TAKES_PART = {"yes": "full", "true": "full", "participating": "full", "是": "full", "有": "full",
               "no": "none", "false": "none", "non participating": "none", "否": "none",
               "无": "none", "不参与": "none", "参与": "full", "full": "full", "none": "none",
               "capped": "capped"}  # fmt: skip


def read_sheet(data: Mapping[str, Any], reader: Reader) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the cap table of the file that `data["sheet"]` names, as a profile would state it.

    With it come the keys of what a reader should be told of the reading.

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
    grid = read_grid(path, lambda rows: _fits(rows, skip), tab, encoding)
    names = data.get("founders", ())
    if isinstance(names, str):
        names = [names]
    if not isinstance(names, Sequence):
        raise refuse_sheet("the sheet says how many shares the founders hold",
                      'name them: founders = ["Ada", "Ben"]')  # fmt: skip
    found, wide = _header(grid, skip), None
    parts: list[Stated] | None = None
    paid: dict[str, float] = {}
    if found is not None:
        top, columns = found
        titled = check_titles(grid, top, reader)
        _check_columns(columns, grid[top][1])
        split = {
            k: (words.partition(" ")[0], words.partition(" ")[2]) for k, words in columns.items()
        }
        check_remarks(grid, top, split, reader.currency)
        _check_width(path, grid, top)
        rows, sums = _rows(grid[top + 1 :], columns, reader)
        roles = "role" in columns.values()
    else:
        wide = wide_header(grid, skip)
        if wide is None:
            text = f"{path} has no row of column names with a holder, a class and shares"
            raise refuse_sheet(text, HOW)
        titled = check_titles(grid, wide[0], reader)
        _check_width(path, grid, wide[0])
        fields = {k: (c.field, c.unit) for k, c in wide[1].items()}
        check_remarks(grid, wide[0], fields, reader.currency, rows_of_money=True)
        made = read_wide(grid[wide[0] + 1 :], wide[1], reader)
        rows, sums, parts, paid = made.rows, [], made.parts, made.paid
        roles = made.stated_roles
    if reader.issues:
        raise ExitError([reader.issues.pop() for _ in range(len(reader.issues))][::-1])
    _mark_founders(rows, [str(name) for name in names], roles, "founders" in data)
    check_sums(rows, sums)
    check_parts(rows, parts)
    given = _given(data)
    days = (*_settle_days(rows), *_days_differ(rows, given))
    told = ("sheet_terms", *titled, *days, *_prices_differ(rows))
    return _merged(_papers(rows, paid, given), data), told


def _settle_days(rows: list[SheetRow]) -> tuple[str, ...]:
    """Read 03/04/2024 as the days of its column are written that can be read in one way alone."""
    dated = [row for row in rows if isinstance(row.cells.get("date"), str)]
    order = order_of_days(row.cells["date"] for row in dated)
    changed = False
    for row in dated if order else ():
        day = turned(row.cells["date"], str(order))
        changed |= day != row.cells["date"]
        row.cells["date"] = day
    return (f"sheet_{order}_first",) if changed else ()


def _prices_differ(rows: list[SheetRow]) -> tuple[str, ...]:
    """Whether shares of one class cost different money, so that its preference is doubtful."""
    paid: dict[str, list[float]] = {}
    for row in rows:
        if row.kind == "preferred" and row.shares and {"price", "invested"} & set(row.cells):
            paid.setdefault(row.paper, []).append(_paid(row) / row.shares)
    differ = any(max(each) - min(each) > 0.005 * max(each) for each in paid.values())
    return ("sheet_prices",) if differ else ()


def _days_of(group: Sequence[SheetRow]) -> set[str | None]:
    """The days that rows of a class state, None for a row without one."""
    stated = [r.cells.get("date") for r in group if r.shares]
    return {None if day is None else str(day).strip() for day in stated}


def _days_differ(rows: list[SheetRow], given: Mapping[str, set[str]]) -> tuple[str, ...]:
    """Whether a class was paid for on several days, and the profile does not say which counts."""
    names = {
        r.paper for r in rows if r.kind == "preferred" and "date" not in given.get(r.paper, ())
    }
    groups = ([r for r in rows if r.kind == "preferred" and r.paper == name] for name in names)
    return ("sheet_days",) if any(len(_days_of(group)) > 1 for group in groups) else ()


def _fits(grid: Grid, skip: set[str]) -> bool:
    return _header(grid, skip) is not None or wide_header(grid, skip) is not None


def _given(data: Mapping[str, Any]) -> dict[str, set[str]]:
    """What the profile says of papers by their names."""
    out: dict[str, set[str]] = {}
    for kind in ("classes", "options"):
        rows = data.get(kind, ())
        for row in [rows] if isinstance(rows, Mapping) else rows:
            if isinstance(row, Mapping) and "name" in row:
                out.setdefault(str(row["name"]), set()).update(map(str, row))
    return out


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


def _check_width(path: str, grid: Grid, top: int) -> None:
    """Refuse rows of a text file with cells beyond its header: a number cut at its commas.

    The cells of a workbook are whole; what stands beside its table is a remark.
    """
    if path.lower().endswith((".xlsx", ".xlsm")):
        return
    filled = [k for row in grid[max(0, top - 1) : top + 1] for k, cell in enumerate(row[1]) if cell]
    most = max(filled) + 1
    for number, values in grid[top + 1 :]:
        if any(str(value).strip() for value in values[most:] if value is not None):
            text = f"row {number} has {len(values)} cells below {most} columns"
            raise refuse_sheet(
                text, "put numbers with commas into quotation marks, and name every column"
            )


def _rows(
    body: Grid, columns: dict[int, str], reader: Reader
) -> tuple[list[SheetRow], list[SheetSum]]:
    """The papers, and the rows of sums."""
    rows: list[SheetRow] = []
    sums: list[SheetSum] = []
    seen: dict[str, int] = {}
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
            if field and value is not None and str(value).strip().lower() not in NOTHING:
                cells[field] = with_unit(value, unit)
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
            sums.append((len(rows), number, name, numbers_of(reader, number, cells)))
            continue
        check_new(seen, number, values)
        row = paper_of(number, holder, paper, cells, reader)
        if row is not None:
            rows.append(row)
    if not rows and not reader.issues:
        raise refuse_sheet(
            "the sheet has no row below its column names", "write a row for each paper"
        )
    return rows, sums


def _sum_of(label: str) -> str:
    """The class of "Total Series A", else ""; an investor may be called Total Energies."""
    found = re.fullmatch(_SUM_OF, label.strip())
    name = next((part for part in found.groups() if part), "") if found else ""
    return name.strip() if name and kind_of(name)[0] else ""


def _mark_founders(rows: list[SheetRow], names: list[str], roles: bool, named: bool) -> None:
    """Mark the founders, by their roles or by name; that there are none must be said."""
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
    if not founding and not named and any(row.kind == "common" for row in rows):
        text = "nobody of the sheet is marked as a founder"
        if roles:
            text = "no role of the sheet is that of a founder"
        raise refuse_sheet(text, HINT_FOUNDERS)


def _papers(
    rows: list[SheetRow], paid: Mapping[str, float], given: Mapping[str, set[str]]
) -> dict[str, Any]:
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
        out["classes"].append(_class(name, group, paid.get(name), given.get(name, set())))
        for row in group:
            hold(row, name, founder=row.founder)
    grants: dict[tuple[str, float | None], list[SheetRow]] = {}
    stated = any("strike" in r.cells for r in rows)  # else a price of options is their strike
    for row in rows:
        if row.kind in ("options", "units", "warrants"):
            told = "strike" in given.get(row.paper, ())
            strike = None if told else _strike(row, stated)
            grants.setdefault((row.paper, strike), []).append(row)
    often = [name for name, _ in grants]
    for (name, strike), group in grants.items():
        title = name if often.count(name) == 1 else f"{name} at {strike:g}"
        grant: dict[str, Any] = {"name": title, "n": sum(r.shares for r in group)}
        if strike is not None:
            grant["strike"] = strike
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


def _class(
    name: str, group: list[SheetRow], together: float | None, given: set[str]
) -> dict[str, Any]:
    """A class; `together` was paid for all of it, and the profile states what is `given`."""
    made: dict[str, Any] = {"name": name, "shares": sum(r.shares for r in group)}
    silent = [r for r in group if r.cells.get("price") is None and r.cells.get("invested") is None]
    if silent and together is None and "invested" not in given:
        text = f"row {silent[0].number} says neither the price nor the money invested"
        hint = "a preference is owed what was paid in: give one of them, or invested in the profile"
        raise refuse_sheet(text, hint)
    sums = [_paid(row) for row in group if row not in silent]
    if together is None and not silent:
        made["invested"] = sum(sums)
    elif together is not None:
        made["invested"] = together
        if not silent and abs(sum(sums) - together) > 0.005 * together + 0.5:
            text = f"{name!r} was paid {together:,.10g}, and its rows add up to {sum(sums):,.10g}"
            raise refuse_sheet(text, "mend the money of the class, or the numbers and the price")
    for field in CLASS_TERMS:
        said = {str(r.cells[field]).strip(): r.cells[field] for r in group if field in r.cells}
        if len(said) > 1:
            one, other = list(said)[:2]
            raise refuse_sheet(f"the rows of {name!r} differ in {field}: {one} and {other}",
                          "a class has one set of terms: write it alike in every row")  # fmt: skip
        for value in said.values():
            made[field] = value
    for term in says_of_itself(name):
        if term not in made and term not in given:
            text = f"the name of {name!r} says something of its {term}, and no column does"
            raise refuse_sheet(
                text, "give the term in a column, or in the profile by the class's name"
            )
    if len(days := _days_of(group)) == 1 and None not in days:
        made["date"] = next(r.cells["date"] for r in group if r.shares)
    if "participation" in made:
        word = plain_words(made["participation"])
        made["participation"] = _TAKES_PART.get(word, made["participation"])
    times, price = _plain_number(made.get("multiple")), group[0].cells.get("price")
    if price is None and made.get("invested"):
        price = made["invested"] / made["shares"]
    if times and price and times != 1 and abs(times - price) <= 0.001 * price:
        text = f"the liquidation preference of {name!r} is the price of a share"
        raise refuse_sheet(text, "give it as a multiple of what was paid: 1x")
    return made


def _plain_number(said: Any) -> float | None:
    """A multiple without its sign: "1.5x" says what it is, "1.5" may be money a share."""
    try:
        return float(str(said).strip().replace(",", "."))
    except ValueError:
        return None


def _paid(row: SheetRow) -> float:
    """What was paid for a paper, by its money or by its price; both must agree."""
    price, paid = row.cells.get("price"), row.cells.get("invested")
    if price is not None and paid is not None:
        made_of = row.shares * price
        shift = row.shares * 0.5 * 10.0 ** int(Decimal(repr(price)).as_tuple().exponent)
        if abs(made_of - paid) > shift + 0.005 * paid + 0.5:
            text = (
                f"row {row.number}: {row.shares:,.10g} shares at {price:g} are "
                f"{made_of:,.10g}, not {paid:,.10g}"
            )
            raise refuse_sheet(text, "mend the number, the price or the money")
    return float(row.shares * (price or 0.0) if paid is None else paid)


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
    for field in (*PAPER_TERMS[row.kind], "multiple"):
        if field in row.cells:
            made[field] = row.cells[field]
    if row.said == "mfn":
        made["mfn"] = True
    elif row.kind == "safe" and row.said:
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
