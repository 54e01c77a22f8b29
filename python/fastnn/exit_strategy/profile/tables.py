"""The profile's tables: exchange rates, funding rounds, uncertainty, correlation, valuation.

Each reader appends issues and returns a typed value or None. Depends on `parse` and `contracts`;
valuation methods other than a plain range are computed by `valuation`.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from typing import Any

from fastnn.exit_strategy.contracts import Distribution
from fastnn.exit_strategy.errors import suggest
from fastnn.exit_strategy.reading.fields import FIELD_BY_PATH, Field
from fastnn.exit_strategy.reading.parse import Reader, read_date, read_number, read_text, show
from fastnn.exit_strategy.records import dataclass

__all__ = [
    "DISTRIBUTIONS",
    "FundingRound",
    "Valuation",
    "read_correlation",
    "read_fx",
    "read_rounds",
    "read_uncertainty",
    "read_valuation",
]

#: kind -> names of its parameters, in the order of `contracts.Distribution`.
DISTRIBUTIONS: dict[str, tuple[str, ...]] = {
    "fixed": ("value",),
    "normal": ("mean", "sd"),
    "lognormal": ("median", "sigma"),
    "triangular": ("low", "mode", "high"),
    "pert": ("low", "mode", "high"),
    "uniform": ("low", "high"),
    "beta": ("a", "b"),
}

_MONEY = Field("", "money", "", "", "1_000_000", low=0, high=1e15)


@dataclass(frozen=True, slots=True)
class FundingRound:
    """One past round; `amount` is None when it was not disclosed."""

    date: dt.date
    type: str
    amount: float | None


@dataclass(frozen=True, slots=True)
class Valuation:
    """Price of the business without cash and debt, in the profile's currency; how it was found.

    `basis` is what the profile states: a value of the shares ("equity") was turned into this price.
    """

    low: float
    mid: float
    high: float
    method: str
    basis: str = "enterprise"


def read_fx(reader: Reader, raw: object) -> tuple[dict[str, float], dt.date | None]:
    """Return the user's rates (units per US dollar) and their date."""
    rates: dict[str, float] = {}
    day: dt.date | None = None
    if not isinstance(raw, Mapping):
        reader.fail("EX103", "fx", raw, "expected a table of rates", "write [fx] HKD = 7.8")
        return rates, day
    from fastnn.exit_strategy.reading.fx import ISO_4217

    for key, value in raw.items():
        if key == "date":
            day = read_date(reader, Field("fx.date", "date", "", ""), value)
        elif not isinstance(key, str) or key.upper() not in ISO_4217:
            near = suggest(str(key).upper(), ISO_4217)
            reader.fail(
                "EX401",
                f"fx.{key}",
                key,
                f"{show(key)} is not a currency",
                f"did you mean {near}?" if near else "use an ISO 4217 code",
            )
        else:
            row = Field(f"fx.{key}", "number", "", "", "7.8")
            before = len(reader.issues)
            number = read_number(reader, row, value)
            if len(reader.issues) > before and reader.issues[-1].code != "EX122":
                reader.issues.pop()
            if number is not None and number > 0:
                rates[key.upper()] = number
            elif len(reader.issues) == before:
                reader.fail(
                    "EX402",
                    f"fx.{key}",
                    value,
                    f"{show(value)} is not a positive rate",
                    "give units of the currency per US dollar, for example 7.8",
                )
    return rates, day


def read_rounds(reader: Reader, raw: object) -> tuple[FundingRound, ...]:
    """Return the funding rounds, oldest first."""
    out: list[FundingRound] = []
    if not isinstance(raw, Sequence):
        reader.fail(
            "EX103",
            "funding_rounds",
            raw,
            "expected a list of rounds",
            "write [[funding_rounds]] with date, type, amount",
        )
        return ()
    for index, item in enumerate(raw):
        path = f"funding_rounds[{index}]"
        if not isinstance(item, Mapping):
            reader.fail(
                "EX103",
                path,
                item,
                "expected a table with date, type and amount",
                'write date = 2024-05-01, type = "series-a", amount = 5_000_000',
            )
            continue
        for key in item:
            if key not in ("date", "type", "amount"):
                near = suggest(str(key), ("date", "type", "amount"))
                reader.fail(
                    "EX102",
                    f"{path}.{key}",
                    key,
                    f"{show(key)} is not known here",
                    f"did you mean {near!r}?" if near else "give date, type, amount",
                )
        if item.get("date") is None:
            reader.fail(
                "EX101",
                f"{path}.date",
                None,
                "the round has no date",
                "give the date, year-month-day",
            )
            continue
        day = read_date(reader, Field(f"{path}.date", "date", "", ""), item["date"])
        kind = item.get("type", "other")
        name = read_text(reader, Field(f"{path}.type", "text", "", "", high=40), kind)
        amount = item.get("amount")
        if amount is not None:
            amount = read_number(reader, _MONEY, amount, f"{path}.amount")
        if day is not None and name is not None:
            out.append(FundingRound(day, name, amount))
    return tuple(sorted(out, key=lambda item: item.date))


def read_uncertainty(reader: Reader, raw: object) -> dict[str, Distribution]:
    """Return field path -> distribution for the fields the user described."""
    out: dict[str, Distribution] = {}
    if not isinstance(raw, Mapping):
        reader.fail(
            "EX103",
            "uncertainty",
            raw,
            "expected a table of fields",
            'write [uncertainty] growth_yoy = {dist = "normal", mean = 0.5, sd = 0.1}',
        )
        return out
    for key, body in _flat_fields(raw).items():
        path = f"uncertainty.{key}"
        row = FIELD_BY_PATH.get(key)
        if row is None:
            near = suggest(key, FIELD_BY_PATH)
            reader.fail(
                "EX102",
                path,
                key,
                f"{show(key)} is not a field",
                f"did you mean {near!r}?" if near else "name a field of the profile",
            )
        elif not isinstance(body, Mapping):
            reader.fail(
                "EX116",
                path,
                body,
                "expected a table with dist and its parameters",
                'write {dist = "triangular", low = 1, mode = 2, high = 3}',
            )
        else:
            made = _read_distribution(reader, path, row, body)
            if made is not None:
                out[key] = made
    return out


def _flat_fields(raw: Mapping[Any, Any]) -> dict[str, Any]:
    """Bring {"market": {"ipo_window": {...}}} and {"market.ipo_window": {...}} to one shape."""
    out: dict[str, Any] = {}
    for key, body in raw.items():
        name = str(key)
        nested = isinstance(body, Mapping) and "dist" not in body and name not in FIELD_BY_PATH
        if nested and any(path.startswith(f"{name}.") for path in FIELD_BY_PATH):
            out.update({f"{name}.{inner}": value for inner, value in body.items()})
        else:
            out[name] = body
    return out


def _read_distribution(
    reader: Reader, path: str, row: Field, body: Mapping[Any, Any]
) -> Distribution | None:
    kind = body.get("dist")
    if not isinstance(kind, str) or kind not in DISTRIBUTIONS:
        near = suggest(str(kind), DISTRIBUTIONS)
        reader.fail(
            "EX116",
            f"{path}.dist",
            kind,
            f"{show(kind)} is not a distribution",
            (f"did you mean {near!r}? " if near else "")
            + f"choose from: {', '.join(DISTRIBUTIONS)}",
        )
        return None
    names = DISTRIBUTIONS[kind]
    before = len(reader.issues)
    for key in body:
        if key != "dist" and key not in names:
            near = suggest(str(key), names)
            reader.fail(
                "EX116",
                f"{path}.{key}",
                key,
                f"{kind} has no parameter {show(key)}",
                f"did you mean {near!r}?" if near else f"give {', '.join(names)}",
            )
    params: list[float] = []
    for name in names:
        if body.get(name) is None:
            reader.fail(
                "EX116", f"{path}.{name}", None, f"{kind} needs {name}", f"give {', '.join(names)}"
            )
            continue
        width = name in ("sigma", "a", "b")  # the others are in the field's own unit
        unit = "number" if width else {"years": "money"}.get(row.kind, row.kind)
        if unit not in ("money", "integer", "fraction"):
            unit = "number"
        number = read_number(reader, Field("", unit, "", "", "1"), body[name], f"{path}.{name}")
        if number is not None:
            params.append(number)
    if len(reader.issues) != before:
        return None
    fault = _shape_fault(kind, params)
    if fault:
        reader.fail("EX116", path, body, fault[0], fault[1])
        return None
    low, high = leaf_bounds(row)
    return Distribution(kind, tuple(params), low, high)


def _shape_fault(kind: str, params: list[float]) -> tuple[str, str] | None:
    if kind == "normal" and params[1] < 0:
        return "the standard deviation is negative", "give sd of 0 or more"
    if kind == "lognormal" and (params[0] <= 0 or params[1] < 0):
        return (
            "a lognormal needs median > 0 and sigma >= 0",
            "use normal for values that may be < 0",
        )
    if kind in ("triangular", "pert") and not params[0] <= params[1] <= params[2]:
        return "low, mode and high are out of order", "give low <= mode <= high"
    if kind == "uniform" and params[0] > params[1]:
        return "low is above high", "give low <= high"
    if kind == "beta" and (params[0] <= 0 or params[1] <= 0):
        return "a and b must be positive", "use a = b = 2 for a wide bell"
    return None


def leaf_bounds(row: Field) -> tuple[float, float]:
    """Return the range a draw of this field is clipped to."""
    if row.kind in ("score", "fraction", "level", "market", "checklist"):
        return 0.0, 1.0
    low = -math.inf if row.low is None else row.low
    high = math.inf if row.high is None else row.high
    return low, high


def read_correlation(reader: Reader, raw: object) -> tuple[tuple[str, str, float], ...]:
    """Return (field, field, rho) triples; the matrix is checked where it is built."""
    out: list[tuple[str, str, float]] = []
    if not isinstance(raw, Sequence):
        reader.fail(
            "EX120",
            "correlation",
            raw,
            "expected a list of triples",
            'write [["growth_yoy", "market.ipo_window", 0.3]]',
        )
        return ()
    for index, item in enumerate(raw):
        path = f"correlation[{index}]"
        if not isinstance(item, Sequence) or isinstance(item, str) or len(item) != 3:
            reader.fail(
                "EX120",
                path,
                item,
                "expected [field, field, rho]",
                'write ["growth_yoy", "market.ipo_window", 0.3]',
            )
            continue
        bad = [name for name in item[:2] if not isinstance(name, str) or name not in FIELD_BY_PATH]
        for name in bad:
            near = suggest(str(name), FIELD_BY_PATH)
            reader.fail(
                "EX120",
                path,
                name,
                f"{show(name)} is not a field",
                f"did you mean {near!r}?" if near else "name a field of the profile",
            )
        row = Field("", "number", "", "", "0.3", low=-0.99, high=0.99)
        rho = read_number(reader, row, item[2], path)
        if not bad and item[0] == item[1]:
            reader.fail(
                "EX120",
                path,
                item[0],
                "a field is always correlated with itself",
                "name two different fields",
            )
        elif not bad and rho is not None:
            out.append((str(item[0]), str(item[1]), rho))
    return tuple(out)


def read_valuation(reader: Reader, values: dict[str, Any]) -> Valuation | None:
    """Return the valuation as a price of the business without cash and debt."""
    found = _stated_valuation(reader, values)
    if found is None or values.get("valuation.basis") != "equity":
        return found
    net_cash = (values.get("cash") or 0.0) - (values.get("debt") or 0.0)
    if found.low < net_cash:
        reader.fail(
            "EX118",
            "valuation.low",
            found.low,
            f"the shares are worth {found.low:,.0f}, less than cash net of debt {net_cash:,.0f}",
            'state the business alone: valuation.basis = "enterprise"',
        )
        return None
    low, mid, high = (value - net_cash for value in (found.low, found.mid, found.high))
    return Valuation(low, mid, high, found.method, "equity")


def _stated_valuation(reader: Reader, values: dict[str, Any]) -> Valuation | None:
    """Return the valuation from a range, or from a method and its inputs."""
    method = values.get("valuation.method") or "range"
    parts = {name: values.get(f"valuation.{name}") for name in ("low", "mid", "high")}
    if method != "range":
        inputs = values.get("valuation.inputs")
        if not isinstance(inputs, Mapping):
            reader.fail(
                "EX115",
                "valuation.inputs",
                inputs,
                f"method {method!r} needs its inputs",
                "give [valuation.inputs], or valuation.low, mid and high",
            )
            return None
        from .valuation import estimate

        found = estimate(method, inputs, reader.issues, reader)
        return None if found is None else Valuation(*found, method)
    given = {name: part for name, part in parts.items() if part is not None}
    already_bad = any(issue.field.startswith("valuation.") for issue in reader.issues)
    if not given:
        if not already_bad:
            reader.fail(
                "EX115",
                "valuation",
                None,
                "the profile has no valuation",
                "give valuation.low, valuation.mid and valuation.high",
            )
        return None
    if len(given) < 3:
        missing = [name for name in parts if name not in given]
        if not already_bad:
            reader.fail(
                "EX115",
                f"valuation.{missing[0]}",
                None,
                f"the valuation lacks {', '.join(missing)}",
                "give low, mid and high; equal numbers mean you are certain",
            )
        return None
    low, mid, high = given["low"], given["mid"], given["high"]
    if not low <= mid <= high:
        reader.fail(
            "EX109",
            "valuation",
            (low, mid, high),
            f"low {low:g}, mid {mid:g}, high {high:g} are out of order",
            "give low <= mid <= high",
        )
        return None
    if high <= 0:
        reader.fail(
            "EX105",
            "valuation.high",
            high,
            "a valuation of zero says nothing",
            "give the price a buyer might pay",
        )
        return None
    return Valuation(low, mid, high, "range")
