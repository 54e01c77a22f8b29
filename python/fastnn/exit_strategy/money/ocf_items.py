"""Fields of an Open Cap Format object, or a refusal that names the object and the field."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from typing import Any

from fastnn.exit_strategy.errors import ExitError, Issue, visible

__all__ = ["Item", "amount_of", "check_fields", "day_of", "field_of", "kind_of", "label",
           "number_of", "ratio_of", "refuse"]  # fmt: skip

Item = Mapping[str, Any]
_NEEDED = float("nan")


def refuse(text: str) -> ExitError:
    """Return the error of a package that cannot be read as it is."""
    hint = "export the package again as OCF 1.2, or write the term in [cap_table]"
    return ExitError(Issue("EX309", "cap_table.ocf", text, hint))


def kind_of(item: Item) -> str:
    """Return the object type."""
    return str(item.get("object_type", ""))


def label(item: Item) -> str:
    """Return type and id, for messages."""
    name = str(item.get("id") or item.get("security_id") or "?")[:60]
    return visible(f"{kind_of(item)[:60]} {name}")


def check_fields(found: Mapping[str, Any], known: Collection[str], item: Item) -> None:
    """Refuse a field that the schema does not have: it may be a term that nobody would read."""
    for name, value in found.items():
        if name not in known and value not in (None, "", [], {}, False):
            raise refuse(f"{label(item)}: the field {visible(str(name)[:60])} is not known")


def field_of(item: Item, name: str) -> Any:
    """Return a field that must be there."""
    if item.get(name) is None:
        raise refuse(f"{label(item)} has no {name}")
    return item[name]


def number_of(item: Item, name: str, default: float = _NEEDED) -> float:
    """Return a number or an amount of money; without a default it must be there."""
    if item.get(name) is None and default == default:
        return default
    value = field_of(item, name)
    return amount_of(value.get("amount") if isinstance(value, Mapping) else value, item, name)


def amount_of(value: object, item: Item, name: str) -> float:
    """Return a number that the schema writes as text."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if abs(number) < float("inf") and not isinstance(value, bool):
        return number
    raise refuse(f"{label(item)}: {name} is {visible(repr(value)[:60])}, expected a number")


def day_of(value: object, where: str) -> dt.date:
    """Return a date."""
    try:
        return dt.date.fromisoformat(str(value)[:10])
    except ValueError:
        raise refuse(f"{where}: {visible(repr(value)[:60])} is not a date") from None


def ratio_of(value: object, item: Item) -> float:
    """Return numerator over denominator."""
    if not isinstance(value, Mapping):
        text = visible(repr(value)[:60])
        raise refuse(f"{label(item)}: ratio is {text}, expected numerator and denominator")
    below = amount_of(value.get("denominator"), item, "denominator")
    if below <= 0:
        raise refuse(f"{label(item)}: a ratio with denominator {below:g}")
    return amount_of(value.get("numerator"), item, "numerator") / below
