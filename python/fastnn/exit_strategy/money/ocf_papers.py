"""Convertibles of an Open Cap Format package as SAFEs and notes; other terms are refused by name.

Source: Open Cap Format schema 1.2, ConvertibleIssuance and its conversion mechanisms. Standard
library only.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, NamedTuple

from .interest import Accrual
from .ocf_items import (
    Item,
    amount_of,
    check_fields,
    day_of,
    field_of,
    kind_of,
    label,
    number_of,
    ratio_of,
    refuse,
)
from .terms import Note, Safe

__all__ = ["Papers", "read_papers"]

_DAY_COUNTS = {"ACTUAL_365": "actual/365", "30_360": "30/360"}
_PERIODS = {"DAILY": "daily", "MONTHLY": "monthly", "QUARTERLY": "quarterly",
            "SEMI_ANNUAL": "semiannual", "ANNUAL": "annual"}  # fmt: skip
_READ = ("SAFE_CONVERSION", "CONVERTIBLE_NOTE_CONVERSION",
         "FIXED_PERCENT_OF_CAPITALIZATION_CONVERSION")  # fmt: skip
_TYPES = ("NOTE", "SAFE", "CONVERTIBLE_SECURITY")

#: Terms of a mechanism that several triggers of one paper must agree on.
_TERMS = ("conversion_valuation_cap", "conversion_discount", "conversion_mfn", "conversion_timing",
          "exit_multiple", "interest_rates", "day_count_convention", "interest_payout",
          "interest_accrual_period", "compounding_type", "capitalization_definition_rules",
          "converts_to_percent")  # fmt: skip

_MISSPELT = "capitalization_defintion_rules"

#: Rules of the capitalization that a sale does not have, or the forms leave out of it.
_FINANCING = ("include_outstanding_unissued_options", "include_additional_option_pool_topup",
              "include_option_pool_topup_for_promised_options", "include_new_money")  # fmt: skip


#: When Y Combinator's post-money form came out; SAFEs before it count shares before them.
_POST_MONEY = dt.date(2018, 9, 1)


class Papers(NamedTuple):
    """SAFEs and notes, and how many ranks the notes take before the share classes."""

    safes: tuple[Safe, ...]
    notes: tuple[Note, ...]
    note_ranks: int


def read_papers(
    issued: list[Item], left: Mapping[str, float], last_rank: int, until: dt.date | None,
    options: bool, remarks: list[str],
) -> Papers:  # fmt: skip
    """Return the papers; what the reader should know is appended to `remarks`."""
    rows = [i for i in issued if kind_of(i) == "TX_CONVERTIBLE_ISSUANCE"]
    debts = [i for i in rows if i.get("convertible_type") == "NOTE"]
    ranks = sorted({number_of(i, "seniority", 1.0) for i in debts})  # 1 is paid first
    shift = max(0, len(ranks) - 1)
    safes: list[Safe] = []
    notes: list[Note] = []
    for i in rows:
        kind = field_of(i, "convertible_type")
        if kind not in _TYPES:
            raise refuse(f"{label(i)}: a convertible of type {kind!r} is not modelled")
        terms = _terms(i, remarks)
        name, amount = str(i.get("custom_id") or i["security_id"]), left[str(i["security_id"])]
        issue_day = day_of(i["date"], label(i)) if i.get("date") else None
        cap = number_of(terms, "conversion_valuation_cap", -1.0)
        limit = None if cap < 0 else cap
        post = _post_money(i, terms, str(kind), len(rows) > 1, options, remarks)
        if terms.get("converts_to_percent") is not None:
            part = amount_of(terms["converts_to_percent"], i, "converts_to_percent")
            if not 0 < part < 1:
                raise refuse(f"{label(i)}: converts_to_percent is {part:g}, 0.1 means 10 %")
            limit, post = amount / part, True
        discount = number_of(terms, "conversion_discount", 0.0)
        exit_multiple = terms.get("exit_multiple")
        multiple = 1.0 if exit_multiple is None else ratio_of(exit_multiple, i)
        mfn = terms.get("conversion_mfn") is True
        rate, years, accruals = _interest(terms, i, until)
        if kind == "NOTE" or multiple != 1.0 or accruals or rate:
            rank = last_rank + shift
            if kind == "NOTE":
                rank = ranks.index(number_of(i, "seniority", 1.0))
            notes.append(
                Note(name, amount, rate, years, limit, discount, multiple, post, rank,
                     discount_in_sale=kind != "NOTE" and limit is None, date=issue_day,
                     accruals=accruals, mfn=mfn)
            )  # fmt: skip
        else:
            safes.append(
                Safe(name, amount, limit, discount, post, last_rank + shift, mfn=mfn,
                     date=issue_day)
            )  # fmt: skip
    return Papers(tuple(safes), tuple(notes), shift + 1)


def _terms(item: Item, remarks: list[str]) -> dict[str, Any]:
    """The terms of all triggers together; they must not contradict each other."""
    out: dict[str, Any] = {}
    others = []
    read = 0
    for trigger in item.get("conversion_triggers") or []:
        right = trigger.get("conversion_right") if isinstance(trigger, Mapping) else None
        found = right.get("conversion_mechanism") if isinstance(right, Mapping) else None
        if not isinstance(found, Mapping):
            continue
        kind = found.get("type")
        if kind not in _READ:
            others.append(str(kind))
            continue
        read += 1
        if _MISSPELT in found:  # so in schemas of 2022
            found = {"capitalization_definition_rules": found[_MISSPELT], **found}
        known = (*_TERMS, "type", "capitalization_definition", "comments", _MISSPELT)
        check_fields(found, known, item)
        for name in _TERMS:
            value = found.get(name)
            if value is None or value == []:
                continue
            if name in out and out[name] != value:
                raise refuse(f"{label(item)}: its conversion triggers differ in {name}")
            out[name] = value
    if others and (not read or any(kind != "CUSTOM_CONVERSION" for kind in others)):
        raise refuse(f"{label(item)}: conversion by {', '.join(others)} is not modelled")
    if others:
        remarks.append("ocf_custom_trigger")
    return {**out, "object_type": kind_of(item), "id": item.get("id")}


def _post_money(
    item: Item, terms: Item, kind: str, others: bool, options: bool, remarks: list[str]
) -> bool:
    """Whether the cap is over the capitalization with this and other paper in it."""
    timing = terms.get("conversion_timing")
    if timing not in (None, "PRE_MONEY", "POST_MONEY"):
        raise refuse(f"{label(item)}: conversion_timing {timing!r} is not known")
    rules = terms.get("capitalization_definition_rules")
    if not isinstance(rules, Mapping):
        if timing is not None:
            return bool(timing == "POST_MONEY")
        if terms.get("conversion_valuation_cap") is not None:
            remarks.append("ocf_timing")
        day = day_of(item["date"], label(item)) if item.get("date") else _POST_MONEY
        return bool(kind != "NOTE" and day >= _POST_MONEY)
    if rules.get("include_outstanding_shares") is False:
        raise refuse(f"{label(item)}: a capitalization without outstanding shares")
    if options and rules.get("include_outstanding_options") is False:
        raise refuse(f"{label(item)}: a capitalization without outstanding options")
    if any(rules.get(name) for name in _FINANCING):
        remarks.append("ocf_financing_rules")
    own = bool(rules.get("include_this_security"))
    if others and own != bool(rules.get("include_other_converting_securities")):
        raise refuse(f"{label(item)}: a capitalization with only some of the convertibles")
    if timing is not None and (timing == "POST_MONEY") != own:
        raise refuse(f"{label(item)}: conversion_timing {timing} contradicts its rules")
    return own


def _interest(
    terms: Item, item: Item, until: dt.date | None
) -> tuple[float, float, tuple[Accrual, ...]]:
    """Rate and years of one simple rate, or the periods of anything else."""
    rates = terms.get("interest_rates") or []
    if not isinstance(rates, list) or not all(isinstance(row, Mapping) for row in rates):
        raise refuse(f"{label(item)}: interest_rates is not a list of rates")
    if not rates:
        return 0.0, 0.0, ()
    payout = terms.get("interest_payout", "DEFERRED")
    if payout == "CASH":  # paid as it falls due, so nothing is owed on top
        return 0.0, 0.0, ()
    names = (
        ("interest_payout", payout, ("DEFERRED",)),
        ("compounding_type", terms.get("compounding_type", "SIMPLE"), ("SIMPLE", "COMPOUNDING")),
        ("day_count_convention", terms.get("day_count_convention", "ACTUAL_365"), _DAY_COUNTS),
        ("interest_accrual_period", terms.get("interest_accrual_period", "ANNUAL"), _PERIODS),
    )
    for name, value, known in names:
        if value not in known:
            raise refuse(f"{label(item)}: {name} {value!r} is not modelled")
    day_count = _DAY_COUNTS[str(names[2][1])]
    grows = names[1][1] == "COMPOUNDING"
    compounding = _PERIODS[str(names[3][1])] if grows else "simple"
    rows = []
    for row in rates:
        start = day_of(row.get("accrual_start_date") or field_of(item, "date"), label(item))
        end = row.get("accrual_end_date")
        rows.append((start, day_of(end, label(item)) if end else None, row))
    rows.sort(key=lambda r: r[0])
    made = []
    for k, (start, end, row) in enumerate(rows):
        if k + 1 < len(rows):  # a rate ends where the next one begins
            before_next = rows[k + 1][0] - dt.timedelta(days=1)
            if before_next < start:
                raise refuse(f"{label(item)}: two interest rates from {start.isoformat()}")
            end = before_next if end is None else min(end, before_next)
        rate = amount_of(row.get("rate"), item, "interest rate")
        made.append(Accrual(rate, start, end, day_count, compounding))
    if len(made) == 1 and compounding == "simple" and day_count == "actual/365":
        one = made[0]
        end = until or one.start
        if one.end is not None:
            end = min(end, one.end)
        if one.end is None or (until is not None and one.end >= until):
            return float(one.rate), max(0.0, (end - one.start).days / 365.0), ()
    return 0.0, 0.0, tuple(made)
