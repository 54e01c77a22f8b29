"""Four ways to value a company: multiples, the venture capital method, First Chicago, DCF.

Each returns (low, mid, high) in the currency of its inputs. Formulas: multiples = metric x
multiple; VC method (Sahlman 1987) post-money = exit value x retention / target multiple; First
Chicago = sum of probability x scenario value; DCF = present value of cash flows and of an end value
(Gordon growth or an exit multiple). Standard library only.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fastnn.exit_strategy.errors import ExitError, Issue, suggest
from fastnn.exit_strategy.reading.amounts import plain_value
from fastnn.exit_strategy.reading.fields import Field
from fastnn.exit_strategy.reading.parse import Reader, read_number

__all__ = [
    "METHOD_INPUTS",
    "dcf",
    "estimate",
    "first_chicago",
    "multiples",
    "vc_method",
]

Range = tuple[float, float, float]

#: Method -> (input, required?) in the order of the docs.
METHOD_INPUTS: dict[str, tuple[tuple[str, bool], ...]] = {
    "multiples": (("metric", True), ("low", True), ("median", True), ("high", True)),
    "vc": (
        ("exit_value", True), ("target_multiple", True), ("retention", False),
        ("investment", False), ("spread", False),
    ),
    "first_chicago": (("probabilities", True), ("values", True)),
    "dcf": (
        ("cash_flows", True), ("discount_rate", True), ("growth", False),
        ("exit_multiple", False), ("spread", False),
    ),
}  # fmt: skip


#: Input -> the kind of number it is; "low", "median" and "high" are multiples.
_KINDS: dict[str, str] = {
    "metric": "money", "low": "times", "median": "times", "high": "times", "exit_value": "money",
    "target_multiple": "times", "retention": "fraction", "investment": "money",
    "spread": "fraction", "probabilities": "fraction", "values": "money", "cash_flows": "money",
    "discount_rate": "fraction", "growth": "fraction", "exit_multiple": "times",
}  # fmt: skip


def multiples(metric: float, low: float, median: float, high: float) -> Range:
    """Return metric x (low, median, high multiple)."""
    return metric * low, metric * median, metric * high


def vc_method(
    exit_value: float,
    target_multiple: float,
    retention: float = 1.0,
    investment: float = 0.0,
) -> float:
    """Return the pre-money value: exit value x retention / target multiple - investment.

    Raises:
        ExitError: EX115 for a target multiple that is not above zero.
    """
    _demand(target_multiple > 0, "target_multiple", "is not above zero", "10 means ten times")
    return exit_value * retention / target_multiple - investment


def first_chicago(probabilities: Sequence[float], values: Sequence[float]) -> float:
    """Return the probability-weighted value of the scenarios.

    Raises:
        ExitError: EX115 for probabilities that are negative, do not match or do not add up to 1.
    """
    fits = len(probabilities) == len(values) > 0 and min(probabilities) >= 0
    _demand(
        fits and abs(sum(probabilities) - 1) <= 1e-6,
        "probabilities",
        "do not match the values or do not add up to 1",
        "give one probability per value",
    )
    return sum(p * v for p, v in zip(probabilities, values, strict=True))


def dcf(
    cash_flows: Sequence[float],
    discount_rate: float,
    growth: float | None = None,
    exit_multiple: float | None = None,
) -> float:
    """Return the present value of yearly cash flows (year ends) and of the end value.

    The end value is the last cash flow x (1 + growth) / (rate - growth), or x exit_multiple.

    Raises:
        ExitError: EX115 for no cash flow, a rate of -100 % or less, or growth not below the rate.
    """
    _demand(len(cash_flows) > 0, "cash_flows", "is empty", "give one amount a year")
    _demand(discount_rate > -1, "discount_rate", "is -100 % or less", "0.25 means 25 %")
    if growth is not None and exit_multiple is None:
        hint = "give growth below discount_rate, or exit_multiple"
        _demand(growth < discount_rate, "growth", "is not below the discount rate", hint)
    rate = 1.0 + discount_rate
    value = sum(flow / rate ** (year + 1) for year, flow in enumerate(cash_flows))
    end = 0.0
    if exit_multiple is not None:
        end = cash_flows[-1] * exit_multiple
    elif growth is not None:
        end = cash_flows[-1] * (1.0 + growth) / (discount_rate - growth)
    return value + end / rate ** len(cash_flows)


def _demand(holds: bool, name: str, text: str, hint: str) -> None:
    """Refuse an input of a public formula; a number that is not one (NaN) fails as well."""
    if not holds:
        raise ExitError(Issue("EX115", f"valuation.inputs.{name}", text, hint))


def estimate(
    method: str,
    inputs: Mapping[str, object],
    issues: list[Issue],
    reader: Reader | None = None,
) -> Range | None:
    """Return (low, mid, high) by a named method, or None after appending EX115 issues.

    `reader` knows the profile's currency, rates and decimal mark.

    For "vc" and "dcf" low and high lie `spread` (default 0.3) below and above; for "first_chicago"
    they are the lowest and highest scenario.
    """
    if method not in METHOD_INPUTS:
        near = suggest(method, METHOD_INPUTS)
        hint = f"did you mean {near}?" if near else f"choose one of {', '.join(METHOD_INPUTS)}"
        issues.append(Issue("EX115", "valuation.method", "unknown method", hint, method))
        return None
    reader = reader or Reader(issues, dt.date.today())
    numbers = _read(method, inputs, issues, reader)
    if numbers is None:
        return None
    before = len(issues)
    result = _apply(method, numbers, issues)
    if result is None or len(issues) > before:
        return None
    if not 0 <= result[0] <= result[1] <= result[2]:
        issues.append(
            Issue("EX115", "valuation.inputs",
                  f"the value comes out as {result[0]:.0f} / {result[1]:.0f} / {result[2]:.0f}",
                  "check the order and the signs of the inputs")
        )  # fmt: skip
        return None
    return result


def _apply(method: str, x: dict[str, list[float]], issues: list[Issue]) -> Range | None:
    one = {name: values[0] for name, values in x.items() if len(values) == 1}
    spread = one.get("spread", 0.3)
    if method == "multiples":
        return multiples(one["metric"], one["low"], one["median"], one["high"])
    if method == "vc":
        if one["target_multiple"] <= 0:
            _refuse("target_multiple", "is not above zero", "10 means ten times", issues)
            return None
        mid = vc_method(
            one["exit_value"],
            one["target_multiple"],
            one.get("retention", 1.0),
            one.get("investment", 0.0),
        )
        return mid * (1 - spread), mid, mid * (1 + spread)
    if method == "first_chicago":
        chances, values = x["probabilities"], x["values"]
        if len(chances) != len(values) or abs(sum(chances) - 1) > 1e-6 or min(chances) < 0:
            _refuse("probabilities", "do not match the values or do not add up to 1",
                    "give one probability per value", issues)  # fmt: skip
            return None
        return min(values), first_chicago(chances, values), max(values)
    rate, growth = one["discount_rate"], one.get("growth")
    if "exit_multiple" not in one and (growth is None or growth >= rate):
        _refuse("growth", "is missing or not below the discount rate",
                "give growth below discount_rate, or exit_multiple", issues)  # fmt: skip
        return None
    if rate <= -1:
        _refuse("discount_rate", "is -100 % or less", "0.25 means 25 %", issues)
        return None
    mid = dcf(x["cash_flows"], rate, growth, one.get("exit_multiple"))
    return mid * (1 - spread), mid, mid * (1 + spread)


def _refuse(name: str, text: str, hint: str, issues: list[Issue]) -> None:
    issues.append(Issue("EX115", f"valuation.inputs.{name}", text, hint))


def _read(
    method: str, inputs: Mapping[str, object], issues: list[Issue], reader: Reader
) -> dict[str, list[float]] | None:
    before = len(issues)
    lists = ("probabilities", "values", "cash_flows")
    known = dict(METHOD_INPUTS[method])
    out: dict[str, list[float]] = {}
    for name, value in inputs.items():
        if name not in known:
            near = suggest(str(name), known)
            hint = f"did you mean {near}?" if near else f"known: {', '.join(known)}"
            _refuse(str(name), f"is not an input of {method}", hint, issues)
            continue
        value = plain_value(value)
        many = name in lists
        if many and not isinstance(value, list | tuple):
            _refuse(name, "is not a list of numbers", "give a list", issues)
            continue
        items: list[Any] = list(value) if isinstance(value, list | tuple) else [value]
        found: list[Issue] = []
        own = replace(reader, issues=found)
        where = f"valuation.inputs.{name}"
        rows = [(f"{where}[{i}]" if many else where, item) for i, item in enumerate(items)]
        numbers = [read_number(own, Field(p, _KINDS[name], "", "", "1"), v, p) for p, v in rows]
        if found or not items:
            text = found[0].message if found else "is empty"
            hint = found[0].hint if found else "give at least one number"
            code = found[0].code if found and found[0].code in ("EX119", "EX122") else "EX115"
            issues.append(Issue(code, where, text, hint))
        else:
            out[name] = [number for number in numbers if number is not None]
    for name, needed in known.items():
        if needed and name not in inputs:
            _refuse(name, "is missing", f"{method} needs {name}", issues)
    return out if len(issues) == before else None
