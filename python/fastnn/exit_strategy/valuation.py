"""Four ways to value a company: multiples, the venture capital method, First Chicago, DCF.

Each returns (low, mid, high) in the currency of its inputs. Formulas: multiples = metric x
multiple; VC method (Sahlman 1987) post-money = exit value x retention / target multiple; First
Chicago = sum of probability x scenario value; DCF = present value of cash flows and of an end value
(Gordon growth or an exit multiple). Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .errors import Issue, suggest

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


def multiples(metric: float, low: float, median: float, high: float) -> Range:
    """Return metric x (low, median, high multiple)."""
    return metric * low, metric * median, metric * high


def vc_method(
    exit_value: float,
    target_multiple: float,
    retention: float = 1.0,
    investment: float = 0.0,
) -> float:
    """Return the pre-money value: exit value x retention / target multiple - investment."""
    return exit_value * retention / target_multiple - investment


def first_chicago(probabilities: Sequence[float], values: Sequence[float]) -> float:
    """Return the probability-weighted value of the scenarios."""
    return sum(p * v for p, v in zip(probabilities, values, strict=True))


def dcf(
    cash_flows: Sequence[float],
    discount_rate: float,
    growth: float | None = None,
    exit_multiple: float | None = None,
) -> float:
    """Return the present value of yearly cash flows (year ends) and of the end value.

    The end value is the last cash flow x (1 + growth) / (rate - growth), or x exit_multiple.
    """
    rate = 1.0 + discount_rate
    value = sum(flow / rate ** (year + 1) for year, flow in enumerate(cash_flows))
    end = 0.0
    if exit_multiple is not None:
        end = cash_flows[-1] * exit_multiple
    elif growth is not None:
        end = cash_flows[-1] * (1.0 + growth) / (discount_rate - growth)
    return value + end / rate ** len(cash_flows)


def estimate(method: str, inputs: Mapping[str, object], issues: list[Issue]) -> Range | None:
    """Return (low, mid, high) by a named method, or None after appending EX115 issues.

    For "vc" and "dcf" low and high lie `spread` (default 0.3) below and above; for "first_chicago"
    they are the lowest and highest scenario.
    """
    if method not in METHOD_INPUTS:
        near = suggest(method, METHOD_INPUTS)
        hint = f"did you mean {near}?" if near else f"choose one of {', '.join(METHOD_INPUTS)}"
        issues.append(Issue("EX115", "valuation.method", "unknown method", hint, method))
        return None
    numbers = _read(method, inputs, issues)
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
    method: str, inputs: Mapping[str, object], issues: list[Issue]
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
        many = name in lists
        items: list[Any] = list(value) if many and isinstance(value, list | tuple) else [value]
        bad = many and not isinstance(value, list | tuple)
        numbers = [float(v) for v in items if _is_number(v)]
        if bad or not items or len(numbers) != len(items):
            _refuse(name, "is not a finite number" if not many else "is not a list of numbers",
                    "give plain numbers", issues)  # fmt: skip
        else:
            out[name] = numbers
    for name, needed in known.items():
        if needed and name not in inputs:
            _refuse(name, "is missing", f"{method} needs {name}", issues)
    return out if len(issues) == before else None


def _is_number(value: object) -> bool:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return plain and abs(value) < 1e300  # type: ignore[arg-type]
