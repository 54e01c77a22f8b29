"""CSV as people save it: separator and encoding found and named, rows that do not fit named too.

A fault of the file (a column twice, no header) is an error; a fault of one row is an issue of that
row, and reading goes on. Standard library only.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from fastnn.exit_strategy.errors import ExitError, Issue
from fastnn.exit_strategy.reading.fields import CHECKLISTS, FIELD_BY_PATH
from fastnn.exit_strategy.records import dataclass

from .files import check_encoding, home, read_bytes
from .remarks import CHANGES, unit_row

__all__ = [
    "KNOWN",
    "SEPARATORS",
    "BadRow",
    "CsvFile",
    "check_twice",
    "field_name",
    "open_csv",
    "parse_csv",
]

_SAMPLE = 1_000_000
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
#: Names that a column may have.
KNOWN = frozenset(FIELD_BY_PATH) | {f"{p}.{i}" for p, items in CHECKLISTS.items() for i in items}


def field_name(text: str) -> str:
    """Return the field that a column's name means in other capitals or with spaces, or the name."""
    name = text.strip()
    plain = re.sub(r"[\s\-]+", "_", name).lower()
    return plain if plain in KNOWN else name


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read; `cells` is what could be told of it."""

    issue: Issue
    cells: Mapping[str, str]


@dataclass(frozen=True)
class CsvFile:
    """How a CSV file is written, and its rows: field -> cell, empty cells left out."""

    encoding: str
    separator: str
    columns: tuple[str, ...]
    rows: Iterator[Mapping[str, str] | BadRow]
    close: Callable[[], None]

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is not plain UTF-8 with commas, in words."""
        out = []
        if self.encoding not in ("utf-8", "utf-8-sig"):
            out.append(f"read as {self.encoding.upper()}")
        if self.separator != ",":
            out.append(f"columns separated by {SEPARATORS.get(self.separator, self.separator)}")
        return tuple(out)


#: Makes a row of its number, the header and the cells.
MakeRow = Callable[[int, list[str], list[str]], "Mapping[str, str] | BadRow"]


def open_csv(path: str | Path, encoding: str | None = None, make: MakeRow | None = None) -> CsvFile:
    """Return a CSV file, its rows read as they are asked for; `make` reads a row otherwise.

    Raises:
        ExitError: EX112 unreadable, EX114 no header or no row, EX121 a column twice.
    """
    found = check_encoding(read_bytes(path, _SAMPLE, head=True), str(path), encoding)
    try:
        file = home(path).open(  # closed by the rows, which outlive this call
            encoding=found, errors="surrogateescape", newline=""
        )
    except OSError as error:
        raise ExitError(
            Issue("EX112", "", f"cannot read {path}: {error.strerror}", "check the file")
        ) from error
    try:
        return _open(file, found, str(path), make or _row)
    except BaseException:
        file.close()
        raise


def parse_csv(text: str, where: str) -> CsvFile:
    """Return CSV text as `open_csv` does a file."""
    return _open(io.StringIO(text, newline=""), "utf-8", where, _row)


def count_rows(path: str | Path, encoding: str | None = None) -> int:
    """Return how many rows `open_csv` gives, without reading their cells."""
    return sum(1 for _ in open_csv(path, encoding, make=lambda number, header, cells: {}).rows)


def _open(file: TextIO, encoding: str, where: str, make: MakeRow) -> CsvFile:
    try:
        lines: Iterator[str] = iter(file)
        first = next((line for line in lines if line.strip("\ufeff \t\r\n")), "").lstrip("\ufeff")
        stated = first.strip().lower()
        if stated.startswith("sep=") and len(stated) == 5:  # Excel's own first line
            separator, first = stated[4], next(lines, "")
        else:
            separator = _separator(first)
        ahead = _Lines(itertools.chain([first], lines))
        reader = csv.reader(ahead, delimiter=separator)
        header = [field_name(name) for name in next(reader, [])]
    except (csv.Error, UnicodeError) as error:
        raise ExitError(Issue("EX112", "", f"cannot read {where}: {error}", "check it")) from error
    if not any(header):
        raise ExitError(
            Issue("EX114", "", f"{where} is empty", "write a header of field names and a row each")
        )
    check_twice(header, where)
    if not any(name in KNOWN for name in header):
        shown = ", ".join(name for name in header if name)[:60]
        text = f"the first line of {where} names no field: {shown!r}"
        hint = "begin with a line of field names such as name, as_of, cash; leave titles out"
        raise ExitError(Issue("EX114", "", text, hint))
    while header and not header[-1]:  # a spreadsheet's empty columns at the end
        header.pop()
    return CsvFile(
        encoding, separator, tuple(header), _rows(file, ahead, separator, header, make), file.close
    )


def check_twice(names: Sequence[str], where: str) -> None:
    """Refuse a table in which a column stands several times (EX121)."""
    twice = [name for name in dict.fromkeys(names) if name and names.count(name) > 1]
    if twice:
        raise ExitError(
            [
                Issue("EX121", name, f"the column stands {names.count(name)} times in {where}",
                      "keep one of them")
                for name in twice
            ]
        )  # fmt: skip


def check_units(number: int, header: Sequence[str], cells: Sequence[object]) -> None:
    """Refuse a file with a row of units, which change the numbers of every company (EX114)."""
    unit = unit_row(header, cells)
    if unit is not None:
        text = f"row {number} holds units and no company: {unit!r}"
        raise ExitError(Issue("EX114", "", text, CHANGES))


def _separator(header: str) -> str:
    """Return the mark that splits a header into the most names that are known."""

    def score(mark: str) -> tuple[int, int]:
        names = next(csv.reader([header], delimiter=mark), [])
        return sum(field_name(name) in KNOWN for name in names), len(names)

    return max(SEPARATORS, key=score)


class _Lines:
    """The lines of a file; those that were `taken` for a row can be given back."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.taken: list[str] = []
        self._back: deque[str] = deque()
        self._lines = lines

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._back.popleft() if self._back else next(self._lines)
        self.taken.append(line)
        return line

    def keep_first(self) -> None:
        """Give back what was taken beyond the first line."""
        self._back.extendleft(reversed(self.taken[1:]))


def _rows(
    file: TextIO, lines: _Lines, separator: str, header: list[str], make: MakeRow
) -> Iterator[Mapping[str, str] | BadRow]:
    reader = csv.reader(lines, delimiter=separator)
    number = 0
    with file:
        while True:
            lines.taken.clear()
            try:
                cells = next(reader)
            except StopIteration:
                return
            except (csv.Error, UnicodeError) as error:
                number += 1
                if len(lines.taken) > 1:
                    yield _unclosed(number, header, lines)
                    continue
                yield _bad(number, header, [], f"the row cannot be read: {error}", "mend the line")
                if isinstance(error, UnicodeError):  # the rest cannot be told from it
                    return
                continue
            if not any(cell.strip() for cell in cells):
                continue
            number += 1
            if len(lines.taken) > 1 and _holds_rows(lines.taken, len(cells), header, separator):
                yield _unclosed(number, header, lines)
                continue
            check_units(number, header, cells)
            yield make(number, header, cells)


def _holds_rows(taken: list[str], cells: int, header: list[str], separator: str) -> bool:
    """Whether an unclosed quotation mark made one row of several: a line of it is a row itself."""
    if cells != len(header):
        return True
    rows = (line for line in taken[1:] if not line.lstrip().startswith(_WITHIN))
    return any(line.count(separator) >= len(header) - 1 > 0 for line in rows)


#: How the lines of a table begin that a cell holds as JSON.
_WITHIN = ("{", "[", "]", "}", '""')


def _unclosed(number: int, header: list[str], lines: _Lines) -> BadRow:
    """A row whose quotation mark takes in the lines after it, which are given back."""
    lines.keep_first()
    text = f"row {number} opens a quotation mark that it does not close"
    return _bad(number, header, [], text, 'close it, or write the mark twice: ""')


#: What stands for a byte that is not in the encoding.
_UNDECODED = re.compile("[\udc80-\udcff]")


def _row(number: int, header: list[str], cells: list[str]) -> Mapping[str, str] | BadRow:
    if _UNDECODED.search("".join(cells)):
        text = f"row {number} is not in the encoding of the file"
        return _bad(number, header, cells, text, "save the file again as UTF-8")
    beyond = [cell for cell in cells[len(header) :] if cell.strip()]
    if beyond:
        text = f"row {number} has {len(cells)} cells, the header {len(header)}: {beyond[0]!r}"
        hint = 'quote a cell that holds the separator, such as "20,000,000"'
        return _bad(number, header, cells, text, hint)
    if len(cells) < len(header):
        text = f"row {number} has {len(cells)} cells, the header {len(header)}"
        return _bad(number, header, cells, text, "a line may be cut off; leave empty cells empty")
    nameless = [
        cell for name, cell in zip(header, cells, strict=False) if not name and cell.strip()
    ]
    if nameless:
        text = f"row {number} has {nameless[0]!r} in a column without a name"
        return _bad(number, header, cells, text, "name every column")
    return {
        name: cell for name, cell in zip(header, cells, strict=False) if name and cell.strip() != ""
    }


def _bad(number: int, header: list[str], cells: list[str], text: str, hint: str) -> BadRow:
    known = {name: cell for name, cell in zip(header, cells, strict=False) if name and cell}
    return BadRow(Issue("EX110", f"row {number}", text, hint), known)
