"""Workbooks as people keep them: one sheet of companies, read as its reader sees it.

A row is a company under field names, or the sheet is one company: names in the first column, values
in the second.
A cell is its value in full. What a sheet shows differs from it where rows are hidden, cells are
merged, a formula was never computed, or a number's format writes a unit behind it: the first is
told, the others are refused by cell. A currency of a format is the currency of the amount. Needs
openpyxl (the extra `excel`), imported when used.
"""

from __future__ import annotations

import datetime as dt
import re
import zipfile
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from fastnn.exit_strategy.errors import ExitError, Issue
from fastnn.exit_strategy.records import dataclass

from .amounts import AmountError, read_amount
from .delimited import KNOWN, BadRow, check_twice, check_units, field_name
from .files import home, read_bytes
from .remarks import CHANGES, remarked
from .upright import check_names, is_above, is_upright

__all__ = ["SUFFIXES", "Sheet", "open_workbook", "sheets_of"]

SUFFIXES = (".xlsx", ".xlsm")
_MOST_UNPACKED = 500_000_000  # bytes; what a workbook unpacks to takes several times its file


@dataclass(frozen=True, slots=True)
class Sheet:
    """The companies of a workbook: field -> value, empty cells left out; and what to say of it."""

    rows: tuple[Mapping[str, Any] | BadRow, ...]
    remarks: tuple[str, ...]


def open_workbook(path: str | Path) -> Sheet:
    """Return the one sheet of a workbook whose first row, or first column, names fields.

    Raises:
        ExitError: EX112 unreadable, EX114 no such sheet or several, a header of merged cells, or
            cells beside the two columns of one company, EX121 a field twice, EX804 without
            openpyxl.
    """
    shown, written = _load(path)
    upright = [s for s in shown.worksheets if is_upright(s.iter_rows(values_only=True))]
    found = [s for s in shown.worksheets if s not in upright and KNOWN & set(_header(s)[1])]
    if found:  # a list of the fields and their meanings is no company
        upright = [s for s in upright if _is_dated(s)]
    found += upright
    if len(found) != 1:
        names = ", ".join(sheet.title for sheet in found or shown.worksheets)[:80]
        text = f"{len(found)} sheets of {path} begin with field names: {names}"
        if not found:
            text = f"no sheet of {path} begins with field names: {names}"
        hint = (
            "keep one sheet whose first row, or first column, has names such as name, as_of, cash"
        )
        raise ExitError(Issue("EX114", "", text, hint))
    sheet = found[0]
    if upright:
        row = _upright(sheet, written[sheet.title], f"{path}, sheet {sheet.title}")
        return Sheet((row,), tuple(_remarks(sheet, 0, ["field", "value"])))
    top, header = _header(sheet)
    check_twice(header, f"{path}, sheet {sheet.title}")
    merged = _merged(sheet)
    if any(row == top for row, _ in merged):
        text = f"cells of the first row of {path} are merged"
        raise ExitError(Issue("EX114", "", text, "unmerge them: a column needs a name of its own"))
    rows = tuple(_rows(sheet, written[sheet.title], top, header, merged))
    return Sheet(rows, tuple(_remarks(sheet, top, header)))


def sheets_of(path: str | Path) -> dict[str, list[tuple[int, list[Any]]]]:
    """Return the cells of each visible sheet by its name: row number and values.

    A cell whose value a reader does not see as it stands is an Issue: an error, a formula that was
    never computed, part of a merged area, in a hidden row or column.
    """
    shown, written = _load(path)
    out = {}
    for sheet in shown.worksheets:
        if sheet.sheet_state != "visible":
            continue
        formulas, merged = written[sheet.title], _merged(sheet)
        hidden = {n for n, row in sheet.row_dimensions.items() if row.hidden}
        unseen = {
            k
            for row in sheet.column_dimensions.values()
            if row.hidden
            for k in range(row.min or 0, min(row.max or 0, sheet.max_column) + 1)
        }
        rows = []
        for cells in sheet.iter_rows():
            values = [_seen(cell, formulas, merged, hidden, unseen) for cell in cells]
            rows.append((cells[0].row, values))
        out[sheet.title] = rows
    return out


def _seen(
    cell: Any, written: Any, merged: Mapping[tuple[int, int], str], hidden: set[int],
    unseen: set[int],
) -> Any:  # fmt: skip
    area = merged.get((cell.row, cell.column))
    if area is not None and not area.startswith(f"{cell.coordinate}:"):
        return _bad(cell, f"the cells {area} are merged", "unmerge them and fill in each")
    if _is_empty(cell, written):
        return None
    if cell.row in hidden or cell.column in unseen:
        text = f"cell {cell.coordinate} is hidden"
        return _bad(cell, text, "show the row and the column, or delete them")
    wrong = _fault(cell, "named")
    if wrong is None:
        value, wrong = _value(cell)
    return value if wrong is None else wrong


def _load(path: str | Path) -> tuple[Any, Any]:
    """The workbook with the values that were computed last, and with its formulas."""
    try:
        import openpyxl
    except ImportError:
        raise ExitError(
            Issue("EX804", "", "reading workbooks needs openpyxl",
                  'install it: pip install "fastnn-rs[excel]", or save the sheet as CSV')
        ) from None  # fmt: skip
    read_bytes(path, 1, head=True)  # a plain file that may be read
    try:
        with zipfile.ZipFile(home(path)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MOST_UNPACKED:
                raise ValueError(f"it unpacks to more than {_MOST_UNPACKED:,} bytes")
        return (
            openpyxl.load_workbook(home(path), data_only=True),
            openpyxl.load_workbook(home(path), data_only=False),
        )
    except Exception as error:  # openpyxl has no error type of its own
        raise ExitError(
            Issue("EX112", "", f"cannot read {path}: {error}", "save it again as .xlsx, or as CSV")
        ) from error


def _header(sheet: Any) -> tuple[int, list[str]]:
    """The first row that holds anything, and its texts."""
    for number, row in enumerate(sheet.iter_rows(values_only=True), 1):
        if any(cell not in (None, "") for cell in row):
            names = ["" if cell is None else field_name(str(cell)) for cell in row]
            while names and not names[-1]:
                names.pop()
            return number, names
    return 0, []


def _is_dated(sheet: Any) -> bool:
    """Whether a sheet with field names in its first column states the day of its figures."""
    rows = [row for row in sheet.iter_rows(values_only=True, max_col=2) if len(row) > 1]
    days = [row[1] for row in rows if isinstance(row[0], str) and field_name(row[0]) == "as_of"]
    return any(isinstance(d, dt.date) or re.search(r"\d{4}", str(d)) for d in days)


def _upright(sheet: Any, written: Any, where: str) -> Mapping[str, Any] | BadRow:
    """The company of a sheet with field names in its first column and values in its second."""
    merged, row, faults = _merged(sheet), {}, []
    names: list[str] = []
    for cells in sheet.iter_rows():
        first, filled = cells[0], [c for c in cells[1:] if not _is_empty(c, written)]
        text = "" if first.value is None else str(first.value)
        name = field_name(text)
        if not filled:  # a field that is left open, a title, a heading
            said = None if name in KNOWN else remarked(first.value)
            if said is not None:
                text = f"cell {first.coordinate} says {said[0]!r} of the numbers"
                faults.append(_bad(first, text, CHANGES))
            continue
        beside = next((cell for cell in filled if cell.column > 2), None)
        if beside is not None:
            text = f"cell {beside.coordinate} stands beside the values of {where}"
            hint = "give one company in two columns, its fields and their values; delete the others"
            raise ExitError(Issue("EX114", "", text, hint))
        cell = filled[0]
        if not names and is_above(text, cell.value):
            continue
        area = merged.get((cell.row, 2)) or merged.get((cell.row, 1))
        wrong = _fault(cell, name)
        if area is not None:
            wrong = _bad(cell, f"the cells {area} are merged", "unmerge them and fill in each")
        elif not name:
            wrong = _bad(cell, f"cell {cell.coordinate} stands beside no field name",
                         "name the field in the first column, or delete it")  # fmt: skip
        if wrong is None and first.has_style and first.font.strike:
            wrong = _fault(first, name)
        names.append(name)
        if wrong is None:
            row[name], wrong = _value(cell)
        faults += [wrong] if wrong is not None else []
    check_names(names)
    return BadRow(faults[0], {k: str(v) for k, v in row.items()}) if faults else row


def _merged(sheet: Any) -> dict[tuple[int, int], str]:
    return {cell: str(area) for area in sheet.merged_cells.ranges for cell in area.cells}


def _rows(
    sheet: Any, written: Any, top: int, header: list[str], merged: Mapping[tuple[int, int], str]
) -> Iterator[Mapping[str, Any] | BadRow]:
    for cells in sheet.iter_rows(min_row=top + 1):
        filled = [cell for cell in cells if not _is_empty(cell, written)]
        if not filled:
            continue
        check_units(cells[0].row, header, [cell.value for cell in cells])
        row: dict[str, Any] = {}
        faults = [
            _bad(cell, f"the cells {merged[cell.row, cell.column]} are merged",
                 "unmerge them and fill in each")
            for cell in cells[: len(header)] if (cell.row, cell.column) in merged
        ]  # fmt: skip
        for cell in () if faults else filled:
            name = header[cell.column - 1] if cell.column <= len(header) else ""
            wrong = _fault(cell, name)
            if wrong is None:
                row[name], wrong = _value(cell)
            faults += [wrong] if wrong is not None else []
        yield BadRow(faults[0], {k: str(v) for k, v in row.items()}) if faults else row


def _is_empty(cell: Any, written: Any) -> bool:
    if cell.value is None:
        return bool(written.cell(cell.row, cell.column).data_type != "f")
    return isinstance(cell.value, str) and not cell.value.strip()


def _fault(cell: Any, name: str) -> Issue | None:
    at = cell.coordinate
    if cell.data_type == "e":
        return _bad(cell, f"cell {at} holds the error {cell.value}", "mend its formula")
    if cell.value is None:
        text = f"the formula of cell {at} was never computed"
        return _bad(cell, text, "open the file in a spreadsheet program and save it")
    if cell.has_style and cell.font.strike:
        text = f"cell {at} is crossed out"
        return _bad(cell, text, "delete what no longer holds, or take the line off")
    if cell.number_format.strip() == ";;;":
        text = f"cell {at} is hidden by its format"
        return _bad(cell, text, "give it a format that shows its value, or delete it")
    if not name:
        return _bad(cell, f"cell {at} stands in a column without a name", "name every column")
    return None


def _value(cell: Any) -> tuple[Any, Issue | None]:
    """A cell's value; money in the currency of its format is text that names it."""
    value = cell.value
    if isinstance(value, dt.datetime):
        return (value.date() if value.time() == dt.time() else value), None
    if isinstance(value, bool) or not isinstance(value, int | float) or cell.is_date:
        return value, None
    sign = _sign_shown(cell, value)
    if sign == "":
        text = f"cell {cell.coordinate} shows {-value:g} and holds {value:g}"
        return value, _bad(cell, text, "let its format show the minus sign, or mend the number")
    words, scaled = _written_beside(cell)
    for word in words:
        try:
            one = read_amount(f"1 {word}")
        except AmountError as error:
            if error.two_ways:  # the reader of the field knows the currency, or refuses the unit
                return f"{_exact(value)} {word}", None
            continue
        if one.value != 1 and not scaled:
            text = f"cell {cell.coordinate} shows {value:g} {word} and holds {value:g}"
            return value, _bad(cell, text, "enter the whole number, or the unit as text: 12.5m")
        if one.currency is not None:
            return _shown(value, sign, f" {one.currency}"), None
    return (_shown(value, sign) if sign == "(" else value), None


def _sign_shown(cell: Any, value: float) -> str:
    """How a negative number is shown: "-", in brackets or in red "(", or "" as a positive one."""
    sections = cell.number_format.split(";")
    if value >= 0 or len(sections) < 2:
        return "-"
    shape = re.sub(r"[_*].", "", sections[1])
    if "(" in shape or re.search(r"\[(?:red|color ?\d+)\]", shape, re.IGNORECASE):
        return "-" if "-" in re.sub(r"\[[^\]]*\]", "", shape) else "("
    plain = re.sub(r"\[[^\]]*\]", "", shape)
    return (
        "-"
        if re.search(r"[-\u2010-\u2013\u2212▲△]", plain) or not re.search("[0#?]", plain)
        else ""
    )


def _shown(value: float, sign: str, behind: str = "") -> str:
    """A number with what stands behind it; in brackets where its sheet shows it so."""
    if sign == "-":
        return f"{_exact(value)}{behind}"
    whole = float(value).is_integer() and abs(value) < 1e15
    return f"({int(-value) if whole else _exact(-value)}{behind})"


def _exact(value: float) -> str:
    """A number as digits and a power of ten, which no decimal mark can change."""
    sign, digits, power = Decimal(repr(value)).as_tuple()
    return f"{'-' if sign else ''}{''.join(map(str, digits))}e{power}"


def _written_beside(cell: Any) -> tuple[list[str], bool]:
    """The words that a cell's format writes beside its number, and whether it shows it scaled.

    Formats that are built in show the currency of whoever opens the file, so they say nothing.
    """
    from openpyxl.styles.numbers import BUILTIN_FORMATS

    if cell.number_format in BUILTIN_FORMATS.values():
        return [], False
    shape = re.sub(r"[_*].", "", cell.number_format.split(";")[0])
    shape = re.sub(r"(?:\\.)+", lambda m: '"' + m[0].replace("\\", "") + '"', shape)
    found = re.findall(r'"([^"]*)"|\[\$([^\]-]*)[^\]]*\]|([$€£¥₹₩])', shape)
    words = ["".join(parts).strip() for parts in found]
    bare = re.sub(r'"[^"]*"|\[[^\]]*\]', "", shape)
    return [word for word in words if word], bool(re.search(r"[0#?],+(?![0#?,])", bare))


def _bad(cell: Any, text: str, hint: str) -> Issue:
    return Issue("EX110", f"row {cell.row}", text, hint)


def _remarks(sheet: Any, top: int, header: list[str]) -> Iterator[str]:
    if sheet.sheet_state != "visible":
        yield f"the sheet {sheet.title} is hidden"
    rows = sum(
        1
        for number, row in sheet.row_dimensions.items()
        if row.hidden and top < number <= sheet.max_row
    )
    if rows:
        yield f"{rows} hidden rows are read as well"
    columns = [
        header[k - 1]
        for row in sheet.column_dimensions.values()
        if row.hidden
        for k in range(row.min or 0, min(row.max or 0, len(header)) + 1)
        if k and header[k - 1]
    ]
    if columns:
        yield f"hidden columns are read as well: {', '.join(columns)}"
