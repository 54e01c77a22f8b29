"""Checks of a cap table's sheet against itself: its sums and its percentages.

Standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from fastnn.exit_strategy.errors import ExitError, Issue
from fastnn.exit_strategy.reading.amounts import AmountError, read_amount
from fastnn.exit_strategy.reading.grids import Grid
from fastnn.exit_strategy.reading.remarks import remarked
from fastnn.exit_strategy.records import dataclass

from .sheet_words import kind_of, plain_words

__all__ = [
    "SheetRow", "SheetSum", "Stated", "check_new", "check_parts", "check_remarks", "check_sums",
    "refuse_sheet", "wholes",
]  # fmt: skip

#: A row of sums: how many papers stand above it, its number, the class it is of, its cells.
SheetSum = tuple[int, int, str, dict[str, Any]]


@dataclass(slots=True)
class SheetRow:
    """A row of the sheet that is somebody's paper."""

    number: int
    holder: str
    kind: str
    paper: str  # name of the class, or what the kind is said of
    said: str
    cells: dict[str, Any]
    shares: float
    founder: bool = False
    ratio: float = 1.0


def refuse_sheet(text: str, hint: str) -> ExitError:
    """Return the error of a sheet that cannot be read as a cap table."""
    return ExitError(Issue("EX309", "cap_table.sheet", text, hint))


def check_remarks(
    grid: Grid, top: int, columns: Mapping[int, tuple[str, str]], own: str | None, *,
    rows_of_money: bool = False,
) -> None:  # fmt: skip
    """Refuse a table beside which a remark changes its numbers: "in thousands", "单位：万元".

    `columns` are the field and the unit of each column below the row `top`; `own` is the currency
    of amounts without one. What every column of numbers states itself changes nothing; with
    `rows_of_money` rows may hold money too.
    """
    holder = next((k for k, (field, _) in columns.items() if field == "holder"), 0)
    for k, (field, unit) in columns.items():
        if unit and field in ("holder", "class", "role", "status", "date"):
            name = str(grid[top][1][k]).strip()
            text = f"the column {name!r} has a unit and no numbers"
            raise refuse_sheet(text, "write units behind the names of the columns of numbers")
    counted = {unit for field, unit in columns.values() if field in _COUNTED}
    paid = {unit for field, unit in columns.values() if field in _PAID}
    if rows_of_money and not paid:
        paid = {""}
    for place, (number, cells) in enumerate(grid):
        filled = sum(1 for cell in cells if cell is not None and str(cell).strip())
        for k, cell in enumerate(cells):
            inside = place >= top and k in columns and not (place > top and filled == 1)
            said = None if inside or (place == top and k == holder) else remarked(cell)
            if said is None:
                continue
            words, scales, currency = said
            units = paid | (counted if scales and currency is None else set())
            if "" not in units or (not scales and currency in (own, None)):
                continue
            text = f"row {number} says {words!r} of the numbers: {str(cell).strip()[:60]!r}"
            raise refuse_sheet(text, "write the unit into the names of the columns it is of, such "
                               "as Invested (USD k), and delete the remark")  # fmt: skip


#: Columns of numbers of shares, and of money.
_COUNTED = ("shares", "total")
_PAID = ("price", "invested", "strike", "valuation_cap", "conversion_price")


def check_new(seen: dict[str, int], number: int, values: object) -> None:
    """Refuse a row that says all that another says: it was pasted twice, or is a second paper."""
    same = seen.setdefault(repr(values), number)
    if same != number:
        raise refuse_sheet(
            f"row {number} says the same as row {same}",
            "leave one of them out; if both are meant, add them up in one row",
        )


def check_sums(rows: list[SheetRow], sums: list[SheetSum]) -> None:
    """Rows of sums must be sums: of all above, of those since the last one, or of a class."""
    last = 0
    for above, number, paper, cells in sums:
        groups = [rows[:above], rows[last:above]]
        groups += [[r for r in part if r.kind in ("common", "preferred")] for part in groups[:2]]
        groups += [[r for r in part if r.kind not in ("safe", "note")] for part in groups[:2]]
        groups += [
            [r for r in part if r.kind not in ("safe", "note", "pool")] for part in groups[:2]
        ]
        if paper:
            kind = kind_of(paper)[0]
            same = [r for r in rows[:above] if plain_words(r.paper) == plain_words(paper)]
            groups = [same or [r for r in rows[:above] if r.kind == kind]]
        for field in ("shares", "invested"):
            value = cells.get(field)
            if value is None:
                continue
            exact = [sum(_worth(r, field) for r in group) for group in groups]
            slack = 0.5 if field == "shares" else 0.005 * abs(value) + 0.5
            if not any(abs(value - one) <= slack for one in exact):
                text = f"row {number} says {value:,.10g}, and its rows add up to {exact[0]:,.10g}"
                raise refuse_sheet(text, "a row may be missing or twice; mend the sum or the rows")
        last = above


def _worth(row: SheetRow, field: str) -> float:
    value = row.cells.get(field)
    if value is None and field == "invested" and row.kind == "preferred" and "price" in row.cells:
        return row.shares * float(row.cells["price"])
    return float(value or 0.0)


#: Percentages of a row or a column: its number, field -> cell, and the papers they are said of.
Stated = tuple[int, Mapping[str, Any], list[SheetRow]]


def check_parts(rows: list[SheetRow], parts: Sequence[Stated] | None = None) -> None:
    """Percentages must be those of the shares, of issued or of all, in per cent or as parts.

    Each row's own cells state them, or `parts` does.
    """
    if parts is None:
        parts = [(row.number, row.cells, [row]) for row in rows]
    for field in ("ownership", "diluted"):
        stated = [
            (number, *_part(cells[field], number), of)
            for number, cells, of in parts
            if field in cells
        ]
        if not stated:
            continue
        tries = list(_disagreements(stated, rows, field))
        if all(tries):
            row_number, shown, right = min(tries, key=len)[0]
            text = f"row {row_number}: {shown:.4%} of the shares, and {right:.4%} by their numbers"
            raise refuse_sheet(
                text, "a row may be missing, or shares be of another day; mend one of them"
            )


def _part(value: Any, number: int) -> tuple[float, float]:
    """A percentage as written and half of its last digit, both as the number that stands there."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        places = -int(Decimal(repr(value)).as_tuple().exponent)
        return float(value), 0.5 * 10.0 ** -max(places, 0)
    text = str(value).strip()
    try:
        found = read_amount(text, large=False)
    except AmountError:
        try:
            found = read_amount(text, decimal=",")
        except AmountError as error:
            raise refuse_sheet(f"row {number}: {error.message}", error.hint) from None
    digits = re.search(r"[.,]([0-9]+)\s*%?$", text)
    half = 0.5 * 10.0 ** -(len(digits[1]) if digits else 0)
    if found.sign == "%":
        return found.value * 100, half
    return found.value, half


def wholes(field: str) -> list[tuple[str, ...]]:
    """The kinds of papers whose sum a percentage or a total may be of."""
    out: list[tuple[str, ...]] = [("common", "preferred", "options", "units", "warrants", "pool")]
    if field == "ownership":
        out += [("common", "preferred"), ("common", "preferred", "options", "units", "warrants"),
                ("common", "preferred", "options", "units", "pool")]  # fmt: skip
    return out


def _disagreements(
    stated: list[tuple[int, float, float, list[SheetRow]]], rows: list[SheetRow], field: str
) -> Iterator[list[tuple[int, float, float]]]:
    """The rows that disagree, for each whole that the parts may be of, and parts or per cent."""
    for kinds in wholes(field):
        whole = sum(r.shares * r.ratio for r in rows if r.kind in kinds)
        for scale in (100.0, 1.0):
            out = []
            for number, part, slack, of in stated:
                own = sum(r.shares * r.ratio for r in of if r.kind in kinds)
                right = own / whole if whole else 0.0
                # 0.005 % for sheets that round what they show on the way
                if abs(part / scale - right) > slack * 1.01 / scale + 5e-5:
                    out.append((number, part / scale, right))
            yield out
