"""One company in two columns: field names in the first, their values in the second.

Standard library only.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fastnn.exit_strategy.errors import ExitError, Issue

from .delimited import KNOWN, SEPARATORS, field_name
from .files import check_encoding, read_bytes
from .remarks import CHANGES, remarked

__all__ = ["check_names", "is_above", "is_upright", "upright_file", "upright_text"]

_LONGEST = 2**18  # bytes; no company has more to say

#: What stands above the two columns.
_ABOVE = (
    frozenset(("field", "fields", "field name", "item", "name", "key", "feld", "champ", "字段",
               "字段名", "项目", "项", "名称")),
    frozenset(("value", "values", "wert", "valeur", "值", "数值", "内容")),
)  # fmt: skip


def is_upright(rows: Iterable[Sequence[Any]]) -> bool:
    """Return whether the first column names several fields and no row above it names more."""
    named = 0
    for row in rows:
        names = [isinstance(cell, str) and field_name(cell) in KNOWN for cell in row]
        if not named and sum(names) > 1:
            return False  # a row of names
        named += bool(names and names[0])
    return named > 1


def is_above(name: object, value: object) -> bool:
    """Return whether two cells say what stands below them, such as "field" and "value"."""
    pair = (name, value)
    return all(str(c).strip().lower() in names for c, names in zip(pair, _ABOVE, strict=True))


def check_names(names: Sequence[str]) -> None:
    """Refuse a field that stands twice (EX121)."""
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        raise ExitError(Issue("EX121", twice, "the field is given twice", "keep one of the two"))


def upright_text(text: str, where: str) -> Mapping[str, str] | None:
    """Return the company of CSV text in two columns; None where its first row names the fields.

    Raises:
        ExitError: EX114 more than two cells in a row, no name or a remark on all numbers, EX121 a
            field twice.
    """
    lines = text.lstrip("\ufeff").splitlines(keepends=True)
    for mark in SEPARATORS:
        try:
            rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=mark)]
        except csv.Error:
            continue
        if any(len(row) > 1 for row in rows) and is_upright(rows):
            return _pairs(rows, where)
    return None


def upright_file(path: str | Path, encoding: str | None) -> Mapping[str, str] | None:
    """Return the company of a CSV file in two columns, as `upright_text` does of its text."""
    data = read_bytes(path, _LONGEST + 1, head=True)
    if len(data) > _LONGEST:
        return None
    found = check_encoding(data, str(path), encoding)
    return upright_text(data.decode(found, errors="surrogateescape"), str(path))


def _pairs(rows: Sequence[Sequence[str]], where: str) -> Mapping[str, str]:
    out: dict[str, str] = {}
    names: list[str] = []
    for number, row in enumerate(rows, 1):
        if any(row[2:]):
            text = f"row {number} of {where} has {len(row)} cells, and a field has one value"
            hint = (
                "put values with the separator in them into quotation marks; several companies "
                "have a row each below the names of the fields"
            )
            raise ExitError(Issue("EX114", "", text, hint))
        first, value = (*row, "", "")[:2]
        name = field_name(first)
        said = remarked(first) if not value and name not in KNOWN else None
        if said is not None:
            text = f"row {number} of {where} says {said[0]!r} of the numbers"
            raise ExitError(Issue("EX114", "", text, CHANGES))
        if not value or (not names and is_above(first, value)):
            continue  # a field that is left open, a title, a heading
        if not name:
            text = f"row {number} of {where} has a value and no field name"
            hint = "name the field in the first column, or delete it"
            raise ExitError(Issue("EX114", "", text, hint))
        names.append(name)
        out[name] = value
    check_names(names)
    return out
