"""A cap table in the wide form: a row for each holder, a column for each share class.

Rows and columns of totals and percentages are compared with the numbers, never read as papers. What
a class costs or is promised stands in rows of its own ("price per share") or in columns named by
the class ("Series A price"). A column whose name can mean two things is refused by it. Standard
library only.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any

from fastnn.exit_strategy.errors import ExitError, Issue
from fastnn.exit_strategy.reading.grids import Grid
from fastnn.exit_strategy.reading.parse import Reader
from fastnn.exit_strategy.records import dataclass

from .checks import is_a_sum
from .sheet_checks import SheetRow, Stated, check_new, refuse_sheet, wholes
from .sheet_rows import CLASS_TERMS, NOTHING, TERMS_OF, number_of, paper_of, with_unit
from .sheet_words import COLUMNS, column_of, kind_of, plain_words, unit_of

__all__ = ["WideColumn", "WideTable", "read_wide", "wide_header"]

_LOOK = 30  # rows from the top, within which the header stands
#: Columns of totals, besides what sums are called.
_TOTALS = frozenset((
    "total outstanding", "total issued", "total issued and outstanding", "total shares held",
    "fully diluted shares", "total fully diluted shares", "fd shares", "total fd", "fully diluted",
    "as converted", "total as converted", "总股数", "总持股数", "完全稀释股数", "gesamt anteile",
    "total ações", "total acciones", "total actions", "total quotas",
))  # fmt: skip
#: What "total" may be said of; an investor may be called Total Energies.
_SUM_OF = (
    r"(?:sub ?)?totals? (?:of |for )?(?:all )?(?:shares?|outstanding|issued|fully|diluted|founders?"
    r"|investors?|employees?|holders?|shareholders?|stockholders?|common|ordinary|preferred"
    r"|preference|options?|team|management|angels?|series|seed|others?)\b.*|"
    r".+ (?:sub ?)?total|.+(?:小计|合计)|total (?:geral|ações|acciones|actions)"
)
#: What a row says of the classes, where its name is not known: nobody is called so.
_SAYS = (
    r"%|\b(?:valuation|(?:pre|post) money|price|proceeds|raised|dividends?|date|percent(?:age)?|pct"
    r"|discount|multiple|liquidation|bewertung|preis|datum|preço|prix|valorisation|valoración"
    r"|avaliação|precio|fecha)\b|估值|价格|每股|投前|投后|比例|占比|日期|倍数|株価|評価額"
)
#: Fields that a class may have in rows or columns of its own.
_OF_A_CLASS = ("price", "invested", "strike", "valuation_cap", "discount", "interest", *CLASS_TERMS)
_PARTS = ("ownership", "diluted")
#: How exports abbreviate a class behind its name: "Series A Preferred (PA)".
_LETTERS = r"[A-Z]{2,3}[0-9]?"


@dataclass(frozen=True, slots=True)
class WideColumn:
    """What a column holds: a field of the holder, a field of a class, or a total."""

    field: str
    unit: str
    name: str  # of the class, "" for a field of the holder
    shown: str  # the column's own name


@dataclass(slots=True)
class WideTable:
    """The papers of a wide table, the percentages it states, and what its classes were paid."""

    rows: list[SheetRow] = field(default_factory=list)
    parts: list[Stated] = field(default_factory=list)
    paid: dict[str, float] = field(default_factory=dict)
    stated_roles: bool = False


def wide_header(grid: Grid, skip: set[str]) -> tuple[int, dict[int, WideColumn]] | None:
    """The place of the row of names, and what each column holds; None where there is none."""
    for place, (_, cells) in enumerate(grid[:_LOOK]):
        above = grid[place - 1][1] if place else []
        for names in (_own(cells), _under(cells, above)):
            columns = _paired(
                {k: _column(name) for k, name in names.items() if plain_words(name) not in skip}
            )
            if _is_wide(columns):
                first = _first(columns, grid[place + 1 : place + 4])
                if first is not None:
                    return place, first
    return None


def _own(cells: Sequence[Any]) -> dict[int, str]:
    return {k: cell for k, cell in enumerate(cells) if isinstance(cell, str) and cell.strip()}


def _under(cells: Sequence[Any], above: Sequence[Any]) -> dict[int, str]:
    """Names of two rows: the class, over its shares, price and money."""
    own = _own(cells)
    out, over = {}, ""
    for k in range(len(cells)):
        here = above[k] if k < len(above) else None
        if isinstance(here, str) and here.strip():
            over = here.strip()
        if k in own:
            name = own[k].strip()
            joined = bool(over) and column_of(name)[0] in ("shares", *_OF_A_CLASS, *_PARTS)
            out[k] = f"{over} {name}" if joined and kind_of(_bare(over)[0])[0] else name
        elif isinstance(here, str) and here.strip():
            out[k] = here.strip()
    return out


def _paired(columns: dict[int, WideColumn]) -> dict[int, WideColumn]:
    """The columns with one name for a class: "Series A shares" stands beside "Series A price"."""
    bare = {c.name for c in columns.values() if c.name and c.field != "shares"}
    out = {}
    for k, c in columns.items():
        head, _, tail = c.name.rpartition(" ")
        short = c.field == "shares" and head in bare and COLUMNS.get(plain_words(tail)) == "shares"
        out[k] = WideColumn(c.field, c.unit, head, c.shown) if short else c
    return out


def _is_wide(columns: Mapping[int, WideColumn]) -> bool:
    if any(c.field == "class" for c in columns.values()):
        return False
    held = {plain_words(c.name) for c in columns.values() if c.name}
    shares = [c for c in columns.values() if c.name and c.field == "shares"]
    kinds = {kind_of(_bare(c.name)[0])[0] for c in shares}
    return bool(shares) and (len(held) > 1 or bool(kinds & {"common", "preferred"}))


def _first(columns: dict[int, WideColumn], below: Grid) -> dict[int, WideColumn] | None:
    """The columns with that of the holders, which often has no name."""
    if any(c.field == "holder" for c in columns.values()):
        return columns
    for k in columns:  # names of two rows begin in the first one
        under = below[0][1][k] if below and k < len(below[0][1]) else None
        if isinstance(under, str) and column_of(under)[0] not in ("?", ""):
            return None
    left = min(k for k, c in columns.items() if c.name)
    blank = [k for k in range(left) if k not in columns]
    for k in blank:
        if any(k < len(row) and isinstance(row[k], str) and row[k].strip() for _, row in below):
            return {**columns, k: WideColumn("holder", "", "", "")}
    return None


def _bare(text: str) -> tuple[str, str]:
    """A column's name without its bracket, and the unit that stands there."""
    words = unicodedata.normalize("NFKC", text).strip()
    found = re.fullmatch(r"(?s)(.+?)\s*[(\[]\s*([^()\[\]]*)\s*[)\]]", words)
    if not found:
        return words, ""
    unit = unit_of(found[2])
    if unit or plain_words(found[2]) in ("股", "shares"):
        return found[1], unit
    if re.fullmatch(_LETTERS, found[2]):
        kind = kind_of(found[1])[0]
        if kind != "common" or kind_of(words)[0] == kind:  # Common (RSU) is no common stock
            return found[1], unit
    return words, ""


def _column(text: str) -> WideColumn:
    """What a column of this name holds; "?" where that cannot be told."""
    shown = text.strip()
    bare, unit = _bare(shown)
    plain = plain_words(bare)
    if is_a_sum(bare) or plain in _TOTALS:
        return WideColumn("total", unit, "", shown)
    known, own = column_of(shown)
    if known == "shares":
        return WideColumn("total", own, "", shown)
    if known != "?":
        return WideColumn(known, own, "", shown)
    if kind_of(bare)[0]:
        return WideColumn("shares", unit, bare, shown)
    words = bare.split()
    for k in range(len(words) - 1, 0, -1):
        name, what = " ".join(words[:k]), COLUMNS.get(plain_words(" ".join(words[k:])))
        if what in ("shares", *_OF_A_CLASS) and kind_of(name)[0]:
            return WideColumn(what, unit, name, shown)
    return WideColumn("?", "", "", shown)


def _check_columns(columns: Mapping[int, WideColumn]) -> None:
    known: dict[tuple[str, str], str] = {}
    for _, c in sorted(columns.items()):
        leave = f'or leave it out: ignore = ["{c.shown}"]'
        if c.field == "?":
            hint = (
                f"name it as a share class, such as Class A common or Series A preferred, {leave}"
            )
            raise refuse_sheet(f"the column {c.shown!r} is not known", hint)
        kind = kind_of(c.name)[0] if c.name else ""
        if kind in ("safe", "note") and c.field == "shares" and not _is_money(c.unit):
            other = (
                "remarks"
                if kind == "note" and plain_words(c.name) in ("notes", "note")
                else "shares"
            )
            text = f"the column {c.shown!r} may hold money or {other}"
            raise refuse_sheet(text, f"write its currency: {c.name} (USD), {leave}")
        if kind not in ("", "safe", "note") and c.field == "shares" and _is_money(c.unit):
            text = f"the column {c.shown!r} holds money, not shares"
            raise refuse_sheet(text, f"name it {c.name} invested, beside a column of the shares")
        if c.field in ("", "total", *_PARTS):
            continue
        key = (_bared(c.name), c.field)
        if key in known:
            text = f"the columns {known[key]!r} and {c.shown!r} say the same"
            raise refuse_sheet(text, f'keep one of them: ignore = ["{c.shown}"]')
        known[key] = c.shown


def _bared(name: str) -> str:
    """A class's name without the words that are left out at will: Series A Preferred is A."""
    plain = plain_words(name)
    bare = re.sub(r"\b(?:preferred|preference|pref|stock|shares?|series|serie|round)\b", "", plain)
    return " ".join(bare.split()) or plain


def _is_money(unit: str) -> bool:
    return bool(re.search(r"[A-Za-z]{3}|[$€£¥₹元円원]", unit))


@dataclass(slots=True)
class _Line:
    """A row of the body: its number, its label, and the cells of each column."""

    number: int
    label: str
    cells: dict[int, Any]


def _lines(body: Grid, columns: Mapping[int, WideColumn]) -> Iterator[_Line]:
    place = next(k for k, c in columns.items() if c.field == "holder")
    for number, values in body:
        cells = {}
        for k, value in enumerate(values):
            if isinstance(value, Issue) and k in columns:
                raise ExitError(Issue("EX309", "cap_table.sheet", value.message, value.hint))
            empty = value is None or str(value).strip().lower() in NOTHING
            if k in columns and columns[k].field and not empty:
                cells[k] = value
        label = str(cells.pop(place, "")).strip()
        numbers = {k: v for k, v in cells.items() if not _is_zero(v)}
        if numbers:
            yield _Line(number, label, numbers)


def _is_zero(value: Any) -> bool:
    if isinstance(value, str):
        return bool(re.fullmatch(r"0+(?:[.,]0+)?\s*%?", value.strip()))
    return not isinstance(value, bool) and isinstance(value, int | float) and value == 0


def read_wide(body: Grid, columns: dict[int, WideColumn], reader: Reader) -> WideTable:
    """Return the papers of the rows below the names, every total and percentage compared.

    Raises:
        ExitError: EX309 for what cannot be told or does not agree, with its row or column.
    """
    _check_columns(columns)
    lines = list(_lines(body, columns))
    _check_labels(lines)
    facts = _facts(lines, columns)
    out = WideTable(stated_roles=any(c.field == "role" for c in columns.values()))
    totals: list[tuple[_Line, list[SheetRow]]] = []
    sums: list[tuple[_Line, int, int]] = []
    held: list[tuple[int, SheetRow]] = []
    seen: dict[str, int] = {}
    last = 0
    for line in lines:
        kind = _line_kind(line)
        if kind == "sum":
            sums.append((line, len(held), last))
            last = len(held)
        if kind != "holder":
            continue
        check_new(seen, line.number, (line.label, line.cells))
        mine = _papers_of(line, columns, facts, reader)
        held += mine
        rows = [row for _, row in mine]
        out.rows += rows
        totals.append((line, rows))
        said = {c.field: line.cells[k] for k, c in columns.items()
                if c.field in _PARTS and k in line.cells}  # fmt: skip
        if said:
            out.parts.append((line.number, said, rows))
    if reader.issues:
        return out
    if not out.rows:
        raise refuse_sheet("the sheet has no holder below its column names", "write a row for each")
    _check_sums(sums, held, columns, reader)
    _check_totals(totals, columns, reader)
    _check_facts(lines, columns, held, out, reader)
    return out


def _line_kind(line: _Line) -> str:
    """Whether a row is a holder's, a sum, a term of each class, or percentages."""
    plain = plain_words(line.label)
    field = column_of(line.label)[0] if line.label else "?"
    if field in _OF_A_CLASS:
        return "fact"
    if field in _PARTS:
        return "part"
    total = is_a_sum(line.label) or re.fullmatch(_SUM_OF, plain) or plain in _TOTALS
    return "sum" if total or field == "shares" else "holder"


def _check_labels(lines: Sequence[_Line]) -> None:
    """Refuse rows that say something of the classes in words that are not known."""
    sums = [line for line in lines if _line_kind(line) == "sum"]
    last = sums[-1] if sums else None
    whole = last is not None and (is_a_sum(last.label) or plain_words(last.label) in _TOTALS)
    for line in lines:
        if _line_kind(line) != "holder":
            continue
        if re.search(_SAYS, line.label.casefold().replace("-", " ")):
            text = f"row {line.number} may be of the classes or of a holder: {line.label!r}"
            hint = "name it as a column is named, such as price per share, or delete the row"
            raise refuse_sheet(text, hint)
        if whole and last is not None and line.number > last.number:
            text = f"row {line.number} ({line.label!r}) stands below the total of row {last.number}"
            raise refuse_sheet(text, "put holders above the total, remarks out of the table")


def _facts(lines: list[_Line], columns: Mapping[int, WideColumn]) -> dict[str, dict[str, Any]]:
    """Class -> field -> cell, of the rows that say something of each class."""
    out: dict[str, dict[str, Any]] = {}
    for line in lines:
        if _line_kind(line) != "fact":
            continue
        what, unit = column_of(line.label)
        for k, value in line.cells.items():
            c = columns[k]
            if not c.name or c.field != "shares":
                continue
            mine = out.setdefault(c.name, {})
            if what in mine:
                raise refuse_sheet(
                    f"two rows say the {line.label} of {c.name!r}", "keep one of them"
                )
            mine[what] = with_unit(value, unit)
    return out


def _papers_of(
    line: _Line, columns: Mapping[int, WideColumn], facts: Mapping[str, Mapping[str, Any]],
    reader: Reader,
) -> list[tuple[int, SheetRow]]:  # fmt: skip
    """The papers of one holder, with the column of each."""
    of_class: dict[str, dict[str, Any]] = {}
    places: dict[str, int] = {}
    for k, value in line.cells.items():
        c = columns[k]
        if not c.name:
            continue
        kind = kind_of(c.name)[0]
        what = "invested" if kind in ("safe", "note") and c.field == "shares" else c.field
        of_class.setdefault(c.name, {})[what] = with_unit(value, c.unit)
        places.setdefault(c.name, k)
    if not of_class:
        stated = [columns[k].shown for k in line.cells if columns[k].field != "role"]
        if stated:
            text = f"row {line.number} has a number under {stated[0]!r} and no shares"
            raise refuse_sheet(text, "give the shares of the holder, or delete the row")
        return []
    pool = kind_of(line.label)[0] == "pool" if line.label else False
    own = {c.field: with_unit(line.cells[k], c.unit) for k, c in columns.items()
           if not c.name and k in line.cells and c.field not in ("total", *_PARTS)}  # fmt: skip
    out = []
    for name, cells in of_class.items():
        kind = kind_of(name)[0]
        extra = {k: v for k, v in facts.get(name, {}).items()
                 if k != "invested" and k in TERMS_OF[kind] and k not in cells}  # fmt: skip
        cells = {**extra, **cells, **_own_fields(line, own, kind, of_class)}
        if pool and kind in ("options", "pool", "common", "units"):
            row = paper_of(line.number, line.label, line.label, {"shares": cells["shares"]}, reader)
        else:
            row = paper_of(line.number, line.label, name, cells, reader)
        if row is not None:
            out.append((places[name], row))
    return out


def _own_fields(
    line: _Line, own: Mapping[str, Any], kind: str, held: Mapping[str, Any]
) -> dict[str, Any]:
    """What a row says of its holder's one paper that it can be said of."""
    out = {}
    for name, value in own.items():
        able = [c for c in held if name in TERMS_OF[kind_of(c)[0]]]
        if name in ("price", "invested"):  # common shares have a price too; a preference is owed it
            able = [c for c in able if kind_of(c)[0] != "common"] or able
        if name in ("role", "status", "currency"):
            out[name] = value
        elif len(able) > 1 and name != "date":
            text = f"row {line.number} says one {name} for {len(able)} papers: {', '.join(able)}"
            raise refuse_sheet(text, f"give a column for each class, such as {able[0]} {name}")
        elif not able:
            raise refuse_sheet(f"row {line.number}: {name} is no term of {', '.join(held)}",
                               "leave the cell empty")  # fmt: skip
        elif kind in {kind_of(c)[0] for c in able}:
            out[name] = value
    return out


def _read(reader: Reader, line: _Line, what: str, value: Any, unit: str) -> float:
    kind = "money" if what == "invested" else "count"
    number = number_of(reader, line.number, what, kind, with_unit(value, unit))
    if number is None:
        raise ExitError([reader.issues.pop()])
    return number


def _check_sums(
    sums: Sequence[tuple[_Line, int, int]], held: Sequence[tuple[int, SheetRow]],
    columns: Mapping[int, WideColumn], reader: Reader,
) -> None:  # fmt: skip
    """A row of sums holds, in each column, what stands above it, or above it since the last one."""
    for line, above, last in sums:
        for k, value in line.cells.items():
            c = columns[k]
            if c.field not in ("shares", "total", "invested"):
                continue
            paper = kind_of(c.name)[0] in ("safe", "note") if c.name else False
            what = "invested" if paper or c.field == "invested" else "shares"
            said = _read(reader, line, what, value, c.unit)
            groups = [
                [row for at, row in part if not c.name or columns[at].name == c.name]
                for part in (held[:above], held[last:above])
            ]
            worth = [[_amount(row, what) for row in group] for group in groups]
            exact = [sum(x for x in row if x is not None) for row in worth]
            if what == "invested" and any(None in row for row in worth):
                continue  # compared with the class's own money, where that is known
            if c.field == "total":
                exact = [
                    one for group in groups for one in _sizes(group)
                ]  # issued, diluted, converted
            slack = 0.5 if what == "shares" else 0.005 * abs(said) + 0.5
            if not any(abs(said - one) <= slack for one in exact):
                text = (f"row {line.number} says {said:,.10g} under {c.shown!r}, and its rows add "
                        f"up to {exact[0]:,.10g}")  # fmt: skip
                raise refuse_sheet(text, "a row may be missing or twice; mend the sum or the rows")


def _amount(row: SheetRow, what: str) -> float | None:
    """Shares or money of a paper; None where its money is not known."""
    if what == "shares":
        return row.shares
    if row.cells.get("invested") is not None:
        return float(row.cells["invested"])
    if row.kind == "preferred":
        price = row.cells.get("price")
        return None if price is None else row.shares * float(price)
    return 0.0


def _sizes(rows: Sequence[SheetRow]) -> list[float]:
    """What a total of these papers may be: of all, of issued ones, as they are or as converted."""
    out = []
    for kinds in wholes("ownership"):
        held = [row for row in rows if row.kind in kinds]
        out += [sum(r.shares for r in held), sum(r.shares * r.ratio for r in held)]
    return out


def _check_totals(
    totals: Sequence[tuple[_Line, list[SheetRow]]],
    columns: Mapping[int, WideColumn],
    reader: Reader,
) -> None:
    """A column of totals holds, in every row, the same kind of sum of the row."""
    for k, c in columns.items():
        if c.field != "total":
            continue
        said = [(line, _read(reader, line, "shares", line.cells[k], c.unit), _sizes(rows))
                for line, rows in totals if k in line.cells]  # fmt: skip
        if not said:
            continue
        tries = [
            [(line, one, sizes[at]) for line, one, sizes in said if abs(one - sizes[at]) > 0.5]
            for at in range(len(said[0][2]))
        ]
        if all(tries):
            line, one, right = min(tries, key=len)[0]
            text = (f"row {line.number} says {one:,.10g} under {c.shown!r}, and its shares add up "
                    f"to {right:,.10g}")  # fmt: skip
            raise refuse_sheet(text, "a class may be missing; mend the total or the shares")


def _check_facts(
    lines: Sequence[_Line], columns: Mapping[int, WideColumn],
    held: Sequence[tuple[int, SheetRow]], out: WideTable, reader: Reader,
) -> None:  # fmt: skip
    """Percentages under the classes, and the money that was paid for each."""
    for line in lines:
        kind = _line_kind(line)
        if kind == "part":
            what = column_of(line.label)[0]
            for k, value in line.cells.items():
                if columns[k].name and columns[k].field == "shares":
                    rows = [row for at, row in held if columns[at].name == columns[k].name]
                    out.parts.append((line.number, {what: value}, rows))
        elif kind == "fact" and column_of(line.label)[0] == "invested":
            unit = column_of(line.label)[1]
            for k, value in line.cells.items():
                c = columns[k]
                if c.name and kind_of(c.name)[0] == "preferred" and c.field == "shares":
                    out.paid[c.name] = _read(reader, line, "invested", value, unit)
