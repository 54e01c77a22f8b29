"""A table of a spreadsheet or CSV file as rows of cells, before anybody knows what they mean.

Standard library; workbooks need openpyxl (the extra `excel`), imported when used.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastnn.exit_strategy.errors import ExitError, Issue

from .files import decode_text, read_bytes

__all__ = ["Grid", "read_grid"]

#: Rows of a sheet: their number as a spreadsheet shows it, and the cells; an Issue is a cell that
#: cannot be read.
Grid = list[tuple[int, list[Any]]]


def read_grid(
    path: str | Path, fits: Callable[[Grid], bool], tab: str | None = None,
    encoding: str | None = None,
) -> Grid:  # fmt: skip
    """Return the rows of the one sheet that fits; `tab` names it where there are several.

    `encoding` is that of a text file, where it cannot be told from the file.

    Raises:
        ExitError: EX112 unreadable, EX114 no sheet or several that fit, EX804 without openpyxl.
    """
    if str(path).lower().endswith((".xlsx", ".xlsm")):
        from .workbooks import sheets_of  # openpyxl is an extra

        grids = sheets_of(path)
    else:
        text = decode_text(read_bytes(path), str(path), encoding)
        grids = {"": _of_text(text, fits)}
    if tab is not None:
        if tab not in grids:
            names = ", ".join(grids)[:80]
            text = f"{path} has no sheet {tab!r}"
            raise ExitError(Issue("EX114", "cap_table.tab", text, f"sheets: {names}", tab))
        return grids[tab]
    found = [name for name, grid in grids.items() if fits(grid)]
    if len(found) == 1:
        return grids[found[0]]
    if not found:
        text = f"{path} has no row of column names with a holder, a class and shares"
        hint = ("write a row for each paper, under the columns holder, class, shares, price; or a "
                "row for each holder, under a column for each class")  # fmt: skip
        raise ExitError(Issue("EX114", "cap_table.sheet", text, hint))
    names = ", ".join(found)[:80]
    text = f"several sheets of {path} are cap tables: {names}"
    raise ExitError(Issue("EX114", "cap_table.tab", text, 'name the one meant: tab = "..."'))


def _of_text(text: str, fits: Callable[[Grid], bool]) -> Grid:
    """The rows of CSV text, by the separator with which they fit."""
    text = text.lstrip("\ufeff")
    first, _, rest = text.partition("\n")
    ahead = 0
    if first.strip().lower().startswith("sep=") and len(first.strip()) == 5:
        marks, text, ahead = first.strip()[4], rest, 1  # Excel's own first line
    else:
        marks = ",;\t|"
    grid: Grid = []
    for mark in marks:
        reader = csv.reader(text.splitlines(keepends=True), delimiter=mark)
        try:
            grid = [(reader.line_num + ahead, list(row)) for row in reader]
        except csv.Error as error:
            raise ExitError(
                Issue("EX112", "cap_table.sheet", f"the file cannot be read: {error}", "check it")
            ) from error
        if fits(grid):
            break
    return grid
