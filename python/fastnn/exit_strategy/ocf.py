"""Imports the part of an Open Cap Format package that a waterfall needs.

Reads the JSON files of a folder, a .zip/.ocf.zip, or one file: stock classes, stakeholders, stock,
equity compensation and convertible issuances, and the transactions that close or reduce a security.
OCF ranks a higher seniority number first; it is turned round here. A class without a participation
cap is read as not participating, since the format has no other mark for it. Source: Open Cap Format
schema 1.2 (Open Cap Table Coalition). Standard library only.
"""

from __future__ import annotations

import datetime as dt
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .captable import CapTable, Note, OptionGrant, Safe, ShareClass
from .errors import ExitError, Issue

__all__ = ["read_ocf"]

Item = Mapping[str, Any]

#: Transactions after which a security no longer exists; what is left of it is issued anew.
_CLOSING = (
    "CANCELLATION", "REPURCHASE", "TRANSFER", "CONVERSION", "RETRACTION", "REISSUANCE",
    "CONSOLIDATION", "WARRANT_EXERCISE",
)  # fmt: skip

#: Transactions that take a quantity off a grant and leave the rest.
_REDUCING = (
    "COMPENSATION_EXERCISE",
    "COMPENSATION_RELEASE",
    "SECURITY_EXERCISE",
    "SECURITY_RELEASE",
)

#: More than any real package; stops a file that unpacks without end.
_MAX_BYTES = 200_000_000


def read_ocf(path: str | Path) -> CapTable:
    """Return the cap table of an OCF package; ExitError EX309 when it cannot be read.

    Founders are stakeholders whose `current_relationship(s)` holds FOUNDER. Interest of notes runs
    to the manifest's `as_of`, or else to the last transaction.
    """
    items: list[Item] = []
    days: list[dt.date] = []
    for name, text in _texts(Path(str(path))):
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise _unreadable(f"{name} is not JSON: {error}") from error
        if isinstance(data, Mapping) and str(data.get("file_type", "")).startswith("OCF_"):
            items += [item for item in data.get("items") or [] if isinstance(item, Mapping)]
            days += [_day(data["as_of"], name)] if "as_of" in data else []
    if not items:
        raise _unreadable(f"{path} holds no OCF items")
    return _build(items, max(days, default=None))


def _unreadable(text: str) -> ExitError:
    return ExitError(Issue("EX309", "cap_table.ocf", text, "export the package again as OCF 1.2"))


def _texts(path: Path) -> Iterator[tuple[str, str]]:
    try:
        if path.is_dir():
            for file in sorted(path.rglob("*.json")):
                yield file.name, _limited(file.read_bytes())
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                entries = [e for e in archive.infolist() if e.filename.endswith(".json")]
                if sum(e.file_size for e in entries) > _MAX_BYTES:
                    raise _unreadable(f"{path} unpacks to more than {_MAX_BYTES} bytes")
                for entry in entries:
                    yield entry.filename, _limited(archive.read(entry))
        else:
            yield path.name, _limited(path.read_bytes())
    except (OSError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise _unreadable(f"cannot read {path}: {error}") from error


def _limited(data: bytes) -> str:
    if len(data) > _MAX_BYTES:
        raise _unreadable(f"a file is larger than {_MAX_BYTES} bytes")
    return data.decode("utf-8-sig")


def _of(item: Item) -> str:
    return f"{item.get('object_type')} {item.get('id') or item.get('security_id') or '?'}"


def _field(item: Item, name: str) -> Any:
    if item.get(name) is None:
        raise _unreadable(f"{_of(item)} has no {name}")
    return item[name]


def _number(item: Item, name: str) -> float:
    value = _field(item, name)
    return _amount(value.get("amount") if isinstance(value, Mapping) else value, item, name)


def _amount(value: object, item: Item, name: str) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = float("nan")
    if abs(number) < float("inf"):
        return number
    raise _unreadable(f"{_of(item)}: {name} is {value!r}, expected a number")


def _optional(item: Item, name: str, default: float = 0.0) -> float:
    return default if item.get(name) is None else _number(item, name)


def _day(value: object, where: str) -> dt.date:
    try:
        return dt.date.fromisoformat(str(value)[:10])
    except ValueError:
        raise _unreadable(f"{where}: {value!r} is not a date") from None


def _kind(item: Item) -> str:
    return str(item.get("object_type", ""))


def _build(items: list[Item], as_of: dt.date | None) -> CapTable:
    classes = {str(_field(i, "id")): i for i in items if _kind(i) == "STOCK_CLASS"}
    founders = {i.get("id") for i in items if _kind(i) == "STAKEHOLDER" and _is_founder(i)}
    moves = [i for i in items if _kind(i).startswith("TX_")]
    closed: set[object] = set()
    used: dict[object, float] = {}
    for i in moves:
        if _kind(i).endswith(_REDUCING):
            key = _field(i, "security_id")
            used[key] = used.get(key, 0.0) + _number(i, "quantity")
        elif _kind(i).endswith(_CLOSING):
            closed.update(i.get("security_ids") or [_field(i, "security_id")])
    issued = [
        i for i in moves
        if _kind(i).endswith("_ISSUANCE") and _field(i, "security_id") not in closed
    ]  # fmt: skip
    _check_splits(moves, issued)
    common = own = 0.0
    held: dict[str, tuple[float, float]] = {}
    for i in (i for i in issued if _kind(i) == "TX_STOCK_ISSUANCE"):
        shares, key = _number(i, "quantity"), str(_field(i, "stock_class_id"))
        if key not in classes:
            raise _unreadable(f"{_of(i)}: no stock class {key!r} in the package")
        if _field(classes[key], "class_type") == "COMMON":
            common += shares
            own += shares if i.get("stakeholder_id") in founders else 0.0
        else:
            before = held.get(key, (0.0, 0.0))
            price = _optional(i, "share_price") or _optional(classes[key], "price_per_share")
            held[key] = (before[0] + shares, before[1] + shares * price)
    ranks = sorted({_number(classes[key], "seniority") for key in held}, reverse=True)
    ratios = _ratios(moves)
    rows = tuple(_share_class(classes[key], *held[key], ranks, ratios.get(key)) for key in held)
    days = [_day(i["date"], _of(i)) for i in moves if "date" in i]
    until = as_of or max(days, default=None)
    papers = _convertibles(issued, len(ranks) or 1, until)
    return CapTable(common, own, rows, _options(issued, founders, used), *papers, as_of=until)


def _check_splits(moves: list[Item], issued: list[Item]) -> None:
    """A split must have been carried out: shares issued before it are counted in old shares."""
    for split in (i for i in moves if _kind(i) == "TX_STOCK_CLASS_SPLIT"):
        day, key = _day(_field(split, "date"), _of(split)), _field(split, "stock_class_id")
        for i in issued:
            if i.get("stock_class_id") == key and _day(_field(i, "date"), _of(i)) < day:
                raise _unreadable(f"{_of(split)} is later than {_of(i)}, which was not reissued")


def _ratios(moves: list[Item]) -> dict[str, Item]:
    """The newest conversion terms of classes whose terms were adjusted."""
    rows = [i for i in moves if _kind(i) == "TX_STOCK_CLASS_CONVERSION_RATIO_ADJUSTMENT"]
    rows.sort(key=lambda i: str(i.get("date")))
    return {
        str(_field(i, "stock_class_id")): _field(i, "new_ratio_conversion_mechanism") for i in rows
    }


def _is_founder(stakeholder: Item) -> bool:
    many = stakeholder.get("current_relationships") or []
    return "FOUNDER" in (stakeholder.get("current_relationship"), *many)


def _share_class(
    data: Item, shares: float, invested: float, ranks: list[float], adjusted: Item | None
) -> ShareClass:
    terms: Item | None = adjusted
    for right in data.get("conversion_rights") or [] if adjusted is None else []:
        mechanism = right.get("conversion_mechanism") if isinstance(right, Mapping) else None
        if isinstance(mechanism, Mapping) and mechanism.get("type") == "RATIO_CONVERSION":
            terms = mechanism
    cap = _optional(data, "participation_cap_multiple", -1.0)
    multiple = _optional(data, "liquidation_preference_multiple")
    return ShareClass(
        name=str(_field(data, "name")),
        shares=shares,
        invested=invested,
        multiple=multiple,
        participation="none" if cap < 0 else "capped",
        cap=None if cap < 0 else max(cap, multiple),
        seniority=ranks.index(_number(data, "seniority")) + 1,
        conversion_ratio=1.0 if terms is None else _ratio(terms.get("ratio"), data),
        votes=_optional(data, "votes_per_share"),
    )


def _ratio(value: object, item: Item) -> float:
    if not isinstance(value, Mapping):
        raise _unreadable(f"{_of(item)}: ratio is {value!r}, expected numerator and denominator")
    below = _amount(value.get("denominator"), item, "denominator")
    if below <= 0:
        raise _unreadable(f"{_of(item)}: a ratio with denominator {below:g}")
    return _amount(value.get("numerator"), item, "numerator") / below


def _options(
    issued: list[Item], founders: set[Any], used: Mapping[object, float]
) -> tuple[OptionGrant, ...]:
    kinds = ("TX_EQUITY_COMPENSATION_ISSUANCE", "TX_PLAN_SECURITY_ISSUANCE", "TX_WARRANT_ISSUANCE")
    pools: dict[float, tuple[float, float]] = {}
    for i in (i for i in issued if _kind(i) in kinds):
        strike = _optional(i, "exercise_price") or _optional(i, "base_price")
        n = max(0.0, _number(i, "quantity") - used.get(i["security_id"], 0.0))
        total, own = pools.get(strike, (0.0, 0.0))
        pools[strike] = (total + n, own + (n if i.get("stakeholder_id") in founders else 0.0))
    return tuple(
        OptionGrant(f"options at {strike:g}", n, strike, own / n)
        for strike, (n, own) in sorted(pools.items())
        if n > 0
    )


def _convertibles(
    issued: list[Item], last_rank: int, until: dt.date | None
) -> tuple[tuple[Safe, ...], tuple[Note, ...]]:
    safes, notes = [], []
    for i in (i for i in issued if _kind(i) == "TX_CONVERTIBLE_ISSUANCE"):
        terms: Item = {}
        for trigger in i.get("conversion_triggers") or []:
            right = trigger.get("conversion_right") if isinstance(trigger, Mapping) else None
            found = right.get("conversion_mechanism") if isinstance(right, Mapping) else None
            terms = found if isinstance(found, Mapping) else terms
        cap = _optional(terms, "conversion_valuation_cap", -1.0)
        limit = None if cap < 0 else cap
        discount = _optional(terms, "conversion_discount")
        post = terms.get("conversion_timing", "POST_MONEY") == "POST_MONEY"
        name = str(i.get("custom_id") or i["security_id"])
        amount = _number(i, "investment_amount")
        exit_multiple = terms.get("exit_multiple")
        multiple = 1.0 if exit_multiple is None else _ratio(exit_multiple, i)
        rate, years = _interest(terms, i, until)
        if i.get("convertible_type") == "NOTE":
            notes.append(Note(name, amount, rate, years, limit, discount, multiple, post))
        elif multiple != 1.0:  # a SAFE repaid more than once is a note without interest
            notes.append(Note(name, amount, 0.0, 0.0, limit, discount, multiple, post, last_rank))
        else:
            safes.append(Safe(name, amount, limit, discount, post, last_rank))
    return tuple(safes), tuple(notes)


def _interest(terms: Item, issuance: Item, until: dt.date | None) -> tuple[float, float]:
    """Simple interest: the rate, and the years it has run (the last of several rates counts)."""
    rates = [row for row in terms.get("interest_rates") or [] if isinstance(row, Mapping)]
    if not rates:
        return 0.0, 0.0
    start = _day(rates[-1].get("accrual_start_date") or _field(issuance, "date"), _of(issuance))
    end = until or start
    if rates[-1].get("accrual_end_date"):
        end = min(end, _day(rates[-1]["accrual_end_date"], _of(issuance)))
    rate = _amount(rates[-1].get("rate"), issuance, "interest rate")
    return rate, max(0.0, (end - start).days / 365.0)
