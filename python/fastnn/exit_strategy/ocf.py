"""Imports the part of an Open Cap Format package that a waterfall needs.

Reads the JSON files of a folder, a .zip/.ocf.zip, or one file: stock classes, stakeholders, stock,
equity compensation and convertible issuances, and the transactions that close a security. OCF ranks
a higher seniority number first; it is turned round here. Source: Open Cap Format schema 1.2 (Open
Cap Table Coalition). Standard library only.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .captable import CapTable, Note, OptionGrant, Safe, ShareClass
from .errors import ExitError, Issue

__all__ = ["read_ocf"]

#: Transactions after which a security no longer exists; what is left of it is issued anew.
_CLOSING = (
    "CANCELLATION", "REPURCHASE", "TRANSFER", "CONVERSION", "RETRACTION", "EXERCISE", "RELEASE",
)  # fmt: skip

#: More than any real package; stops a file that unpacks without end.
_MAX_BYTES = 200_000_000


def read_ocf(path: str | Path) -> CapTable:
    """Return the cap table of an OCF package; ExitError EX309 when it cannot be read.

    Founders are stakeholders whose `current_relationship(s)` holds FOUNDER.
    """
    items: list[Mapping[str, Any]] = []
    for name, text in _texts(Path(str(path))):
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise _unreadable(f"{name} is not JSON: {error}") from error
        if isinstance(data, Mapping) and str(data.get("file_type", "")).startswith("OCF_"):
            items += [item for item in data.get("items") or [] if isinstance(item, Mapping)]
    if not items:
        raise _unreadable(f"{path} holds no OCF items")
    try:
        return _build(items)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, ExitError):
            raise
        raise _unreadable(f"an item lacks or garbles a field: {error!r}") from error


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


def _build(items: list[Mapping[str, Any]]) -> CapTable:
    classes = {i["id"]: i for i in items if i.get("object_type") == "STOCK_CLASS"}
    founders = {i["id"] for i in items if i.get("object_type") == "STAKEHOLDER" and _is_founder(i)}
    closed = {
        i["security_id"]
        for i in items
        if str(i.get("object_type", "")).startswith("TX_")
        and str(i["object_type"]).endswith(_CLOSING)
    }
    issued = [
        i for i in items
        if str(i.get("object_type", "")).endswith("_ISSUANCE") and i["security_id"] not in closed
    ]  # fmt: skip
    common = own = 0.0
    held: dict[str, tuple[float, float]] = {}
    for i in (i for i in issued if i["object_type"] == "TX_STOCK_ISSUANCE"):
        shares = float(i["quantity"])
        if classes[i["stock_class_id"]]["class_type"] == "COMMON":
            common += shares
            own += shares if i.get("stakeholder_id") in founders else 0.0
        else:
            before = held.get(i["stock_class_id"], (0.0, 0.0))
            price = _money(i.get("share_price")) or _money(_class_price(classes, i))
            held[i["stock_class_id"]] = (before[0] + shares, before[1] + shares * price)
    ranks = sorted({int(classes[key]["seniority"]) for key in held}, reverse=True)
    rows = tuple(_share_class(classes[key], *held[key], ranks) for key in held)
    return CapTable(
        common, own, rows, _options(issued, founders), *_convertibles(issued, len(ranks) or 1)
    )


def _is_founder(stakeholder: Mapping[str, Any]) -> bool:
    many = stakeholder.get("current_relationships") or []
    return "FOUNDER" in (stakeholder.get("current_relationship"), *many)


def _money(value: object) -> float:
    amount = value.get("amount") if isinstance(value, Mapping) else value
    return 0.0 if amount is None else float(amount)  # type: ignore[arg-type]


def _class_price(classes: Mapping[str, Any], issuance: Mapping[str, Any]) -> object:
    return classes[issuance["stock_class_id"]].get("price_per_share")


def _share_class(
    data: Mapping[str, Any], shares: float, invested: float, ranks: list[int]
) -> ShareClass:
    ratio = 1.0
    for right in data.get("conversion_rights") or []:
        terms = right.get("conversion_mechanism") or {}
        if isinstance(terms, Mapping) and terms.get("type") == "RATIO_CONVERSION":
            ratio = float(terms["ratio"]["numerator"]) / float(terms["ratio"]["denominator"])
    cap = data.get("participation_cap_multiple")
    multiple = float(data.get("liquidation_preference_multiple") or 0.0)
    return ShareClass(
        name=str(data["name"]),
        shares=shares,
        invested=invested,
        multiple=multiple,
        participation="none" if cap is None else "capped",
        cap=None if cap is None else max(float(cap), multiple),
        seniority=ranks.index(int(data["seniority"])) + 1,
        conversion_ratio=ratio,
        votes=float(data.get("votes_per_share") or 0.0),
    )


def _options(issued: list[Mapping[str, Any]], founders: set[str]) -> tuple[OptionGrant, ...]:
    kinds = ("TX_EQUITY_COMPENSATION_ISSUANCE", "TX_PLAN_SECURITY_ISSUANCE", "TX_WARRANT_ISSUANCE")
    pools: dict[float, tuple[float, float]] = {}
    for i in (i for i in issued if i["object_type"] in kinds):
        strike = _money(i.get("exercise_price") or i.get("base_price"))
        n = float(i["quantity"])
        total, own = pools.get(strike, (0.0, 0.0))
        pools[strike] = (total + n, own + (n if i.get("stakeholder_id") in founders else 0.0))
    return tuple(
        OptionGrant(f"options at {strike:g}", n, strike, own / n)
        for strike, (n, own) in sorted(pools.items())
        if n > 0
    )


def _convertibles(
    issued: list[Mapping[str, Any]], last_rank: int
) -> tuple[tuple[Safe, ...], tuple[Note, ...]]:
    safes, notes = [], []
    for i in (i for i in issued if i["object_type"] == "TX_CONVERTIBLE_ISSUANCE"):
        terms: Mapping[str, Any] = {}
        for trigger in i.get("conversion_triggers") or []:
            right = trigger.get("conversion_right") or {}
            terms = right.get("conversion_mechanism") or terms
        cap = terms.get("conversion_valuation_cap")
        limit = None if cap is None else _money(cap)
        discount = float(terms.get("conversion_discount") or 0.0)
        post = terms.get("conversion_timing", "POST_MONEY") == "POST_MONEY"
        name = str(i.get("custom_id") or i["security_id"])
        amount = _money(i["investment_amount"])
        if i.get("convertible_type") == "NOTE":
            rates = terms.get("interest_rates") or []
            rate = float(rates[0]["rate"]) if rates else 0.0
            notes.append(Note(name, amount, rate, 0.0, limit, discount, post_money=post))
        else:
            safes.append(Safe(name, amount, limit, discount, post, last_rank))
    return tuple(safes), tuple(notes)
