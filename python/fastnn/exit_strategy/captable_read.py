"""Reads cap tables and deal assumptions from raw mappings; every fault becomes an issue.

The tables' keys are the fields of the dataclasses, so a new field needs no change here. Amounts
may be numbers or texts such as "8m"; a Decimal stays one. Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from decimal import Decimal
from typing import Any

from .captable import CapTable, Note, OptionGrant, Safe, ShareClass
from .errors import ExitError, Issue, suggest

__all__ = ["read_cap_table", "read_row"]

_SUFFIXES = {"k": 1e3, "m": 1e6, "mn": 1e6, "bn": 1e9, "b": 1e9, "万": 1e4, "亿": 1e8}
_KINDS: dict[str, type] = {
    "classes": ShareClass, "options": OptionGrant, "safes": Safe, "notes": Note,
}  # fmt: skip


def read_cap_table(data: object, issues: list[Issue]) -> CapTable | None:
    """Return the cap table, or None after appending what is wrong with it."""
    if isinstance(data, CapTable):
        return data
    if isinstance(data, Mapping) and set(data) == {"ocf"}:
        from .ocf import read_ocf

        try:
            return read_ocf(data["ocf"])
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
                str(data),
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
        rows = [raw] if isinstance(raw, Mapping) else raw
        if isinstance(rows, str) or not isinstance(rows, Sequence):
            issues.append(
                Issue(
                    "EX103",
                    f"cap_table.{kind}",
                    "expected a list of tables",
                    f"write [[cap_table.{kind}]]",
                    str(raw),
                )
            )
            continue
        found = []
        for i, row in enumerate(rows):
            if isinstance(row, Mapping) and kind == "options" and "name" not in row:
                row = {"name": "options" if len(rows) == 1 else f"options {i + 1}", **row}
            found.append(read_row(row_type, row, f"cap_table.{kind}[{i}]", issues))
        values[kind] = tuple(row for row in found if row is not None)
    plain.setdefault("founders", plain.get("common", 0))
    plain.setdefault("common", plain["founders"])
    head = read_row(CapTable, plain, "cap_table", issues, skip=tuple(_KINDS), build=False)
    if head is None or len(issues) > before:
        return None
    try:
        return CapTable(**head, **values)
    except ExitError as error:
        issues.extend(error.issues)
        return None


def read_row(
    row_type: type,
    data: object,
    where: str,
    issues: list[Issue],
    *,
    skip: tuple[str, ...] = (),
    build: bool = True,
) -> Any:
    """Return an instance of a dataclass (or its keywords) from a mapping, None after a fault."""
    if not isinstance(data, Mapping):
        issues.append(
            Issue("EX103", where, "expected a table", "write key = value lines", str(data))
        )
        return None
    before = len(issues)
    known = {f.name: f for f in fields(row_type) if f.name not in skip}
    values: dict[str, Any] = {}
    for key, value in data.items():
        if key not in known:
            near = suggest(str(key), known)
            hint = f"did you mean {near}?" if near else f"known: {', '.join(known)}"
            issues.append(Issue("EX306", f"{where}.{key}", "unknown field", hint, str(value)))
        else:
            values[key] = _value(str(known[key].type), value, f"{where}.{key}", issues)
    for name, f in known.items():
        if name not in values and f.default is MISSING:
            issues.append(Issue("EX303", f"{where}.{name}", "missing", f"add {name} = ..."))
    if len(issues) > before:
        return None
    return row_type(**values) if build else values


def _value(kind: str, value: object, where: str, issues: list[Issue]) -> Any:
    if kind == "str" and isinstance(value, str) and value:
        return value
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind.startswith("int") and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind.endswith("| None") and value is None:
        return None
    if kind.startswith(("Amount", "float")):
        amount = _amount(value)
        if amount is not None:
            return amount
    wanted = {"str": "a text", "bool": "true or false", "int": "a whole number"}
    word = wanted.get(kind.split(" ")[0], "a finite number")
    code = "EX308" if word == "a finite number" else "EX103"
    issues.append(Issue(code, where, f"expected {word}", f"give {word}", str(value)))
    return None


def _amount(value: object) -> float | Decimal | None:
    if isinstance(value, str):
        text = value.strip().replace(",", "").replace("_", "").lower()
        for suffix in sorted(_SUFFIXES, key=len, reverse=True):
            if text.endswith(suffix):
                number = _amount(text[: -len(suffix)])
                return None if number is None else float(number) * _SUFFIXES[suffix]
        try:
            value = float(text)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    if isinstance(value, Decimal):
        return value if value.is_finite() else None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if abs(number) < float("inf") else None
