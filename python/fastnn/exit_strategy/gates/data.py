"""The gate files: load, overlay, validate, and say what is out of date.

Every figure carries source, date of check, confidence and validity; a figure checked more than
12 months ago, past its end date or of low confidence is flagged wherever it is used. Standard
library only.
"""

from __future__ import annotations

import copy
import datetime as dt
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastnn.exit_strategy.errors import ExitError, Issue, suggest
from fastnn.exit_strategy.notes import Note
from fastnn.exit_strategy.reading.files import home, json_of, read_text_file
from fastnn.exit_strategy.records import dataclass
from fastnn.exit_strategy.resources import cached, data_hash, load_json

from .windows import OPERATORS, WINDOWS

__all__ = ["GateFlag", "Gates", "check_age", "flags_of", "load_gates", "parse_day"]

MAX_AGE_DAYS = 365
RATE_AGE_DAYS = 90  # of the shipped exchange rates
_GOOD_CONFIDENCE = ("high", "medium-high", "medium")
_FILES = ("listing_thresholds.json", "regulatory_and_market_gates.json", "gate_rules.json")

#: Field of a listing condition -> whether it is an amount of money (converted to the venue's).
CONDITION_FIELDS: dict[str, bool] = {
    "pretax_income": True, "net_income": True, "net_profit": True, "profit_attributable": True,
    "revenue": True, "operating_cash_flow": True, "market_cap": True,
    "market_cap_at_listing": True, "market_value_public_float": True,
    "market_value_unrestricted_public_float": True, "total_assets": True,
    "stockholders_equity": True, "share_price": True, "round_lot_holders": False,
    "publicly_held_shares": False, "unrestricted_public_shares": False, "audited_years": False,
    "public_float_pct": False, "rd_years": False, "rd_share_of_opex": False,
    "rd_share_of_revenue": False, "operating_history_years": False,
    "state_or_milestone_approval": False, "free_float_pct": False,
    "market_value_free_float": True, "sophisticated_investors": False, "offer_size": True,
    "rd_expenditure": True, "adviser_agreed": False, "neeq_year": False,
    "return_on_equity": False, "revenue_growth": False, "rd_share_two_years": False,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class GateFlag:
    """One reason to distrust a gate figure on a given day."""

    id: str
    kind: str  # "old" | "rates_old" | "expired" | "not_yet" | "low_confidence"
    note: Note
    stale: bool  # counts for exit code 4 under --strict


@dataclass(frozen=True, slots=True)
class Gates:
    """Listing and regulatory gates as data, the rules for reading them, and their hashes."""

    venues: tuple[Mapping[str, Any], ...]
    regulatory: tuple[Mapping[str, Any], ...]
    rules: Mapping[str, Any]
    hashes: Mapping[str, str]
    checked: dt.date  # newest date of check in the files

    def items(self) -> tuple[Mapping[str, Any], ...]:
        """Every venue and regulatory gate."""
        return (*self.venues, *self.regulatory)


def load_gates(overlay: str | Path | None = None) -> Gates:
    """Return the shipped gates, with a user's newer file laid over them by id.

    The overlay is JSON: {"venues": [...], "gates": [...]} with whole entries. EX403 names every
    fault in it.
    """
    if overlay is None:
        return _shipped()
    path = home(overlay)
    try:
        text = read_text_file(path)
        raw = json_of(text)
    except (ExitError, ValueError, RecursionError) as error:
        raise ExitError(
            Issue("EX403", "gates", f"cannot read {path}: {error}", "give a JSON gate file")
        ) from error
    return overlay_gates(_shipped(), raw, hashlib.sha256(text.encode()).hexdigest())


@cached()
def _shipped() -> Gates:
    venues = load_json(_FILES[0])["venues"]
    regulatory = load_json(_FILES[1])["gates"]
    return _assemble(venues, regulatory, {name: data_hash(name) for name in _FILES})


def overlay_gates(base: Gates, raw: Any, digest: str) -> Gates:
    """Return `base` with the entries of a parsed overlay replacing those of the same id."""
    if not isinstance(raw, Mapping) or not set(raw) <= {"schema", "venues", "gates", "note"}:
        raise ExitError(
            Issue(
                "EX403",
                "gates",
                "a gate file holds the lists venues and gates",
                'write {"venues": [...], "gates": [...]}',
            )
        )
    merged = []
    for current, key in ((base.venues, "venues"), (base.regulatory, "gates")):
        table = {str(item["id"]): item for item in current}
        for index, item in enumerate(raw.get(key) or ()):
            if not isinstance(item, Mapping) or not isinstance(item.get("id"), str):
                raise ExitError(
                    Issue("EX403", f"{key}[{index}]", "the entry has no id", "give it an id")
                )
            table[item["id"]] = copy.deepcopy(item)
        merged.append(list(table.values()))
    return _assemble(merged[0], merged[1], {**base.hashes, "overlay": digest})


def _assemble(venues: Any, regulatory: Any, hashes: Mapping[str, str]) -> Gates:
    issues: list[Issue] = []
    for venue in venues:
        _check_common(venue, issues)
        _check_venue(venue, issues)
    for gate in regulatory:
        _check_common(gate, issues)
    if issues:
        raise ExitError(issues)
    days = [parse_day(item["checked"]) for item in (*venues, *regulatory)]
    newest = max((day for day in days if day), default=dt.date.min)
    return Gates(tuple(venues), tuple(regulatory), load_json(_FILES[2]), hashes, newest)


def _check_common(item: Mapping[str, Any], issues: list[Issue]) -> None:
    where = str(item.get("id"))
    for key in ("source", "checked", "confidence"):
        if not isinstance(item.get(key), str) or not item[key].strip():
            issues.append(
                Issue(
                    "EX403",
                    f"{where}.{key}",
                    f"the gate has no {key}",
                    "every figure carries source, checked and confidence",
                )
            )
    if isinstance(item.get("checked"), str) and parse_day(item["checked"]) is None:
        issues.append(
            Issue(
                "EX403",
                f"{where}.checked",
                f"{item['checked']!r} is not a date",
                "write year-month-day",
            )
        )


def _check_venue(venue: Mapping[str, Any], issues: list[Issue]) -> None:
    where = str(venue.get("id"))
    tests = venue.get("tests_any_of")
    if not isinstance(tests, list) or not tests:
        issues.append(Issue("EX403", f"{where}.tests_any_of", "the venue has no test", "give one"))
        return
    if not isinstance(venue.get("currency"), str) or len(venue["currency"]) != 3:
        issues.append(Issue("EX403", f"{where}.currency", "no currency", "give an ISO 4217 code"))
    groups = [("common_all_of", venue.get("common_all_of") or [])]
    groups += [(f"tests_any_of[{k}]", test.get("all_of") or []) for k, test in enumerate(tests)]
    for k, group in enumerate(venue.get("common_any_of") or []):
        where_group = f"common_any_of[{k}]"
        if not isinstance(group, Mapping) or not group.get("any_of"):
            text = "a group of alternatives is empty"
            issues.append(Issue("EX403", f"{where}.{where_group}", text, "give any_of"))
            continue
        groups.append((f"{where_group}.before", group.get("before") or []))
        groups += [
            (f"{where_group}.any_of[{i}]", choice.get("all_of") or [])
            for i, choice in enumerate(group["any_of"])
        ]
    groups.append(("pending", venue.get("pending") or []))
    for part, conditions in groups:
        for index, condition in enumerate(conditions):
            _check_condition(f"{where}.{part}[{index}]", condition, issues)


def _check_condition(path: str, condition: Mapping[str, Any], issues: list[Issue]) -> None:
    name = condition.get("field")
    if name not in CONDITION_FIELDS:
        near = suggest(str(name), CONDITION_FIELDS)
        issues.append(
            Issue(
                "EX403",
                f"{path}.field",
                f"{name!r} is not a gate field",
                f"did you mean {near!r}?" if near else "see gate_data.py",
            )
        )
    if condition.get("op") not in OPERATORS:
        issues.append(
            Issue(
                "EX403",
                f"{path}.op",
                f"{condition.get('op')!r} is not an operator",
                f"use one of {', '.join(OPERATORS)}",
            )
        )
    if not isinstance(condition.get("value"), bool | int | float):
        issues.append(Issue("EX403", f"{path}.value", "the threshold is not a number", "give one"))
    if condition.get("window", "") not in WINDOWS:
        issues.append(
            Issue(
                "EX403",
                f"{path}.window",
                f"{condition['window']!r} is not known",
                f"use one of: {'; '.join(w for w in WINDOWS if w)}",
            )
        )


@cached(maxsize=1024)
def parse_day(text: object) -> dt.date | None:
    """Return the last date in a text such as "2026-11-22" or "2019-07 / 2025-06", else None."""
    found = re.findall(r"(\d{4})-(\d{2})(?:-(\d{2}))?", str(text or ""))
    if not found:
        return None
    year, month, day = found[-1]
    try:
        return dt.date(int(year), int(month), int(day or 1))
    except ValueError:
        return None


def flags_of(item: Mapping[str, Any], on: dt.date) -> tuple[GateFlag, ...]:
    """Return why a gate should be distrusted on a day: old, expired, not yet in force, weak."""
    texts = (
        item["id"],
        item["checked"],
        item.get("effective_from"),
        item.get("effective_to"),
        item.get("expires"),
        item["confidence"],
    )
    return _flags(on, *(str(words or "") for words in texts))


@cached(maxsize=4096)
def _flags(
    on: dt.date, name: str, checked_on: str, starts: str, ends: str, expires: str, confidence: str
) -> tuple[GateFlag, ...]:
    out: list[GateFlag] = []
    checked = parse_day(checked_on)
    if checked and (on - checked).days > MAX_AGE_DAYS:
        out.append(_flag(name, "old", True, day=checked))
    end, start = parse_day(ends), parse_day(starts)
    if "every February" in expires and start:
        end = start.replace(year=start.year + 1) - dt.timedelta(days=1)
    if end and on > end:
        out.append(_flag(name, "expired", True, day=end))
    if start and on < start:
        out.append(_flag(name, "not_yet", False, day=start))
    level = confidence.split(" ")[0].split("(")[0].strip(" ;,").lower()
    if level not in _GOOD_CONFIDENCE:
        out.append(_flag(name, "low_confidence", False, level=confidence))
    return tuple(out)


def _flag(name: str, kind: str, stale: bool, **values: object) -> GateFlag:
    note = Note(kind, {"id": name, **{key: str(value) for key, value in values.items()}})
    return GateFlag(name, kind, note, stale)


def check_age(gates: Gates, on: dt.date) -> tuple[GateFlag, ...]:
    """Return every flag of every gate on a day, and of the exchange rates."""
    from fastnn.exit_strategy.reading.fx import load_rates

    found = [flag for item in gates.items() for flag in flags_of(item, on)]
    day = load_rates().date
    if (on - day).days > RATE_AGE_DAYS:
        note = Note("rates_old", {"day": day.isoformat(), "age": str((on - day).days)})
        found.append(GateFlag("FX", "rates_old", note, (on - day).days > 2 * RATE_AGE_DAYS))
    return tuple(found)
