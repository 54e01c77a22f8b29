"""Imports an Open Cap Format package as a cap table; what is not modelled is refused by name.

Reads the JSON files of a folder, a .zip/.ocf.zip, or one file: stock classes, stakeholders, stock,
equity compensation, warrants and convertibles (`ocf_papers`), and the transactions that close or
reduce a security. OCF ranks a higher seniority number first; it is turned round here. What the
format has no mark for is a remark of the table: a class without a participation cap is read as not
participating, and unvested shares count. Source: Open Cap Format schema 1.2 (Open Cap Table
Coalition). Standard library only.
"""

from __future__ import annotations

import datetime as dt
import zipfile
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from fastnn.exit_strategy.errors import ExitError, visible
from fastnn.exit_strategy.reading.files import home, json_of, read_bytes

from .captable import CapTable
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
from .ocf_papers import read_papers
from .ocf_people import by_id, founders_of, read_holders, unissued_pool
from .sheet_words import is_company
from .terms import OptionGrant, ShareClass

__all__ = ["read_ocf"]

#: Transactions after which a security no longer exists; what is left of it is issued anew.
_CLOSING = ("CANCELLATION", "REPURCHASE", "TRANSFER", "CONVERSION", "RETRACTION", "REISSUANCE",
            "CONSOLIDATION", "WARRANT_EXERCISE")  # fmt: skip

#: Transactions that take a quantity off a grant and leave the rest.
_REDUCING = ("COMPENSATION_EXERCISE", "COMPENSATION_RELEASE", "SECURITY_EXERCISE",
             "SECURITY_RELEASE")  # fmt: skip

#: Transactions that change no number of the table.
_SILENT = ("ACCEPTANCE", "VESTING_START", "VESTING_EVENT", "VESTING_ACCELERATION",
           "AUTHORIZED_SHARES_ADJUSTMENT", "POOL_ADJUSTMENT", "RETURN_TO_POOL")  # fmt: skip

#: Fields of a StockClass.
_CLASS_FIELDS = frozenset((
    "object_type", "id", "comments", "name", "class_type", "default_id_prefix",
    "initial_shares_authorized", "current_shares_authorized", "board_approval_date",
    "stockholder_approval_date", "votes_per_share", "par_value", "price_per_share", "seniority",
    "conversion_rights", "liquidation_preference_multiple", "participation_cap_multiple",
))  # fmt: skip

_GRANTS = ("TX_EQUITY_COMPENSATION_ISSUANCE", "TX_PLAN_SECURITY_ISSUANCE", "TX_WARRANT_ISSUANCE")
_ISSUED = ("TX_STOCK_ISSUANCE", "TX_CONVERTIBLE_ISSUANCE", *_GRANTS)
_COMPENSATION = ("OPTION", "OPTION_NSO", "OPTION_ISO", "RSU", "CSAR", "SSAR")

# More than any real package; they stop a file that unpacks without end.
_MAX_BYTES = 64_000_000
_MAX_RATIO = 200  # of a file's size to its compressed size, beyond a million bytes
_MAX_FILES = 2_000
_MAX_VALUES = 2_000_000


def read_ocf(path: str | Path) -> CapTable:
    """Return the cap table of an OCF package; ExitError EX309 when it cannot be read.

    Founders are stakeholders whose `current_relationship(s)` holds FOUNDER, or whom an event made
    one. Interest of notes runs to the manifest's `as_of`, or else to the last transaction.
    """
    items: list[Item] = []
    days: list[dt.date] = []
    issuer: str | None = None
    for name, text in _texts(home(str(path))):
        data = _parsed(name, text)
        if not isinstance(data, Mapping) or not str(data.get("file_type", "")).startswith("OCF_"):
            continue
        if isinstance(data.get("issuer"), Mapping):
            issuer = str(data["issuer"].get("legal_name") or "") or None
        rows = data.get("items")
        if rows is not None and not isinstance(rows, list):
            raise refuse(f"{name}: items is not a list")
        items += [item for item in rows or [] if isinstance(item, Mapping)]
        days += [day_of(data["as_of"], name)] if "as_of" in data else []
    if not items:
        raise refuse(f"{path} holds no OCF items")
    try:
        table = _build(items, max(days, default=None))
        for row in table.holders:
            if is_company(row.person, issuer):
                text = f"{row.person!r} is the company itself, which is paid nothing for its shares"
                raise refuse(f"{text}: retire them in the package")
        return table
    except ExitError:
        raise
    except (TypeError, ValueError, AttributeError, KeyError, ArithmeticError) as error:
        raise refuse(f"{path} is not as the schema says: {visible(str(error))}") from error


def _parsed(name: str, text: str) -> Any:
    if text.count("{") + text.count("[") + text.count(",") > _MAX_VALUES:
        raise refuse(f"{name} holds more than {_MAX_VALUES:,} values")
    try:
        return json_of(text)
    except ExitError:
        raise
    except (ValueError, RecursionError) as error:
        raise refuse(f"{name} is not JSON: {error}") from error


def _texts(path: Path) -> Iterator[tuple[str, str]]:
    total = 0
    try:
        for name, data in _files(path):
            total += len(data)
            if total > _MAX_BYTES:
                raise refuse(f"{path} holds more than {_MAX_BYTES:,} bytes")
            yield name, data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refuse(f"{path} is not UTF-8: {error}") from error
    except OSError as error:
        raise refuse(f"cannot read {path}: {error}") from error


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        found = list(islice(path.rglob("*.json"), _MAX_FILES + 1))
        if len(found) > _MAX_FILES:
            raise refuse(f"{path} holds more than {_MAX_FILES:,} files")
        for file in sorted(found):
            yield file.name, _bytes(file)
    elif path.is_file() and zipfile.is_zipfile(path):
        yield from _zipped(path)
    else:
        yield path.name, _bytes(path)


def _bytes(path: Path) -> bytes:
    try:
        return read_bytes(path, _MAX_BYTES, "EX309")
    except ExitError as error:
        raise refuse(error.issues[0].message) from error


def _zipped(path: Path) -> Iterator[tuple[str, bytes]]:
    """The JSON files of an archive; sizes are bounded by what is read, not by what it claims."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [e for e in archive.infolist() if e.filename.endswith(".json")]
            if len(entries) > _MAX_FILES:
                raise refuse(f"{path} holds more than {_MAX_FILES:,} files")
            for entry in entries:
                if entry.flag_bits & 1:
                    raise refuse(f"{path} is encrypted")
                most = max(1_000_000, _MAX_RATIO * entry.compress_size)
                most = min(most, _MAX_BYTES)
                with archive.open(entry) as file:
                    data = file.read(most + 1)
                if len(data) > most:
                    raise refuse(f"{entry.filename} unpacks to more than {most:,} bytes")
                yield entry.filename, data
    except ExitError:
        raise
    except Exception as error:  # broken archives raise errors of many types
        raise refuse(f"cannot unpack {path}: {error}") from error


def _build(items: list[Item], as_of: dt.date | None) -> CapTable:
    classes = by_id(items, "STOCK_CLASS")
    for row in classes.values():
        check_fields(row, _CLASS_FIELDS, row)
    founders = founders_of(items)
    moves = [i for i in items if kind_of(i).startswith("TX_")]
    currency = _currency(items)
    issued, left = _outstanding(moves)
    _check_splits(moves, issued)
    strikes = _repriced(moves)
    remarks: list[str] = []
    people = by_id(items, "STAKEHOLDER")
    for i in issued if people else ():  # shares of nobody would count as not the founders'
        if kind_of(i) == "TX_STOCK_ISSUANCE" and str(i.get("stakeholder_id")) not in people:
            who = i.get("stakeholder_id")
            raise refuse(f"{label(i)}: no stakeholder {who!r} in the package")
    common = own = 0.0
    held: dict[str, tuple[float, float]] = {}
    for i in (i for i in issued if kind_of(i) == "TX_STOCK_ISSUANCE"):
        shares, key = left[str(i["security_id"])], str(field_of(i, "stock_class_id"))
        if key not in classes:
            raise refuse(f"{label(i)}: no stock class {key!r} in the package")
        class_type = field_of(classes[key], "class_type")
        if class_type == "COMMON":
            common += shares
            own += shares if str(i.get("stakeholder_id")) in founders else 0.0
        elif class_type == "PREFERRED":
            before = held.get(key, (0.0, 0.0))
            price = number_of(i, "share_price", 0.0)
            price = price or number_of(classes[key], "price_per_share", -1.0)
            if price < 0 and i.get("share_price") is None:
                raise refuse(f"{label(i)}: neither it nor its class says what was paid for a share")
            price = max(0.0, price)
            held[key] = (before[0] + shares, before[1] + shares * price)
        else:
            raise refuse(f"{label(classes[key])}: class_type {class_type!r} is not known")
    if any(i.get("vesting_terms_id") or i.get("vestings") for i in issued):
        remarks.append("ocf_vesting")
    ranks = sorted({number_of(classes[key], "seniority") for key in held}, reverse=True)
    ratios = _ratios(moves)
    days = [day_of(i["date"], label(i)) for i in moves if "date" in i]
    until = as_of or max(days, default=None)
    if until is not None and any(day > until for day in days):
        remarks.append("ocf_later")
    if until is not None and _lapsed(issued, left, until):
        remarks.append("ocf_expired")
    options, grant_of = _options(issued, founders, left, strikes, classes)
    papers = read_papers(issued, left, len(ranks) or 1, until, bool(options), remarks)
    shift = papers.note_ranks - 1  # notes of several ranks all come before the classes
    rows = tuple(
        _share_class(classes[key], *held[key], ranks, ratios.get(key), shift) for key in held
    )
    named = {row.name for row in rows}
    for grant in options:
        if grant.share_class and grant.share_class not in named:
            text = "a warrant on preferred shares of which none is outstanding"
            raise refuse(f"{grant.name}: {text} is not modelled")
    if any(row.participation == "none" for row in rows):
        remarks.append("ocf_participation")
    return CapTable(
        common, own, rows, options, papers.safes, papers.notes, as_of=until,
        remarks=tuple(dict.fromkeys(remarks)), currency=currency or None,
        pool=unissued_pool(items), holders=read_holders(
            people, founders, issued, left, classes, grant_of
        ),
    )  # fmt: skip


def _currency(items: list[Item]) -> str:
    """The one currency of a package's amounts."""
    found: set[str] = set()
    stack: list[Any] = list(items)
    while stack:
        value = stack.pop()
        if isinstance(value, Mapping):
            if "amount" in value and isinstance(value.get("currency"), str):
                found.add(value["currency"].upper())
            stack += list(value.values())
        elif isinstance(value, list):
            stack += value
    if len(found) > 1:
        raise refuse(f"amounts in {' and '.join(sorted(found))}: one currency is needed")
    return next(iter(found), "")


def _outstanding(moves: list[Item]) -> tuple[list[Item], dict[str, float]]:
    """The securities that are still there, and how much of each is left."""
    issued: dict[str, Item] = {}
    left: dict[str, float] = {}
    for i in moves:
        if not kind_of(i).endswith("_ISSUANCE") or kind_of(i).endswith("_REISSUANCE"):
            continue
        if kind_of(i) not in _ISSUED:
            raise refuse(f"{label(i)}: {kind_of(i)} is not known")
        key = _text(i, "security_id")
        if key in issued:
            raise refuse(f"{label(i)}: the security {key!r} is issued twice")
        issued[key] = i
        name = "investment_amount" if kind_of(i) == "TX_CONVERTIBLE_ISSUANCE" else "quantity"
        left[key] = number_of(i, name)
        if left[key] < 0:
            raise refuse(f"{label(i)}: {name} is {left[key]:,.10g}, below zero")
    for i in moves:
        kind = kind_of(i)
        if not kind.endswith(_SILENT):
            _check_results(i, issued)
        if kind.endswith(_REDUCING):
            _take(left, issued, i, _text(i, "security_id"), number_of(i, "quantity"))
        elif kind.endswith("_ISSUANCE") and not kind.endswith("_REISSUANCE"):
            continue
        elif kind.endswith(_CLOSING) and "RATIO" not in kind:
            many = i.get("security_ids")
            for key in map(str, many) if isinstance(many, list) else (_text(i, "security_id"),):
                _close(left, issued, i, key)
        elif not kind.endswith((*_SILENT, "SPLIT", "RATIO_ADJUSTMENT", "REPRICING")):
            raise refuse(f"{label(i)}: the transaction {kind} is not known")
    return [i for key, i in issued.items() if left[key] > 0], left


def _check_results(move: Item, issued: Mapping[str, Item]) -> None:
    """What a transaction leaves must be issued in the package, and what it closes before it."""
    many = move.get("resulting_security_ids")
    made = [*map(str, many)] if isinstance(many, list) else []
    if not made and kind_of(move).endswith(("TRANSFER", "CONVERSION")):
        raise refuse(f"{label(move)} does not say which security stands for it now")
    for name in ("balance_security_id", "resulting_security_id"):
        if move.get(name) is not None:
            made.append(str(move[name]))
    for key in made:
        if key not in issued:
            raise refuse(f"{label(move)} leaves the security {key!r}, which is not issued")
    closed = issued.get(str(move.get("security_id")))
    if closed is None or closed is move or "date" not in move or "date" not in closed:
        return
    if day_of(move["date"], label(move)) < day_of(closed["date"], label(closed)):
        raise refuse(f"{label(move)} is dated before {label(closed)}, which it is about")


def _close(left: dict[str, float], issued: Mapping[str, Item], move: Item, key: str) -> None:
    """A closing transaction: of a part only, when no other security holds the balance."""
    balance = move.get("balance_security_id")
    parts = ("quantity", "quantity_converted", "amount")
    part = next((name for name in parts if move.get(name) is not None), None)
    whole = part is None or (balance is not None and str(balance) != key)
    whole = whole or isinstance(move.get("security_ids"), list)
    if key not in issued:
        raise refuse(f"{label(move)}: no security {key!r} was issued")
    _take(left, issued, move, key, left[key] if whole else number_of(move, str(part)))


def _take(
    left: dict[str, float], issued: Mapping[str, Item], move: Item, key: str, amount: float
) -> None:
    if key not in issued:
        raise refuse(f"{label(move)}: no security {key!r} was issued")
    if amount < 0 or amount > left[key] * (1 + 1e-12):
        raise refuse(f"{label(move)} takes {amount:,.10g} of {left[key]:,.10g} that are left")
    left[key] = max(0.0, left[key] - amount)


def _text(item: Item, name: str) -> str:
    value = field_of(item, name)
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise refuse(f"{label(item)}: {name} is not a text")
    return str(value)


def _check_splits(moves: list[Item], issued: list[Item]) -> None:
    """A split must have been carried out: shares issued before it are counted in old shares."""
    for split in (i for i in moves if kind_of(i) == "TX_STOCK_CLASS_SPLIT"):
        day, key = day_of(field_of(split, "date"), label(split)), field_of(split, "stock_class_id")
        for i in issued:
            if i.get("stock_class_id") == key and day_of(field_of(i, "date"), label(i)) < day:
                raise refuse(f"{label(split)} is later than {label(i)}, which was not reissued")


def _repriced(moves: list[Item]) -> dict[str, float]:
    """The newest exercise price of grants that were repriced."""
    rows = [i for i in moves if kind_of(i).endswith("_REPRICING")]
    rows.sort(key=lambda i: str(i.get("date")))
    return {_text(i, "security_id"): number_of(i, "new_exercise_price") for i in rows}


def _ratios(moves: list[Item]) -> dict[str, Item]:
    """The newest conversion terms of classes whose terms were adjusted."""
    rows = [i for i in moves if kind_of(i) == "TX_STOCK_CLASS_CONVERSION_RATIO_ADJUSTMENT"]
    rows.sort(key=lambda i: str(i.get("date")))
    return {
        str(field_of(i, "stock_class_id")): field_of(i, "new_ratio_conversion_mechanism")
        for i in rows
    }


def _share_class(
    data: Item, shares: float, invested: float, ranks: list[float], adjusted: Item | None,
    shift: int,
) -> ShareClass:  # fmt: skip
    terms: Item | None = adjusted
    for right in data.get("conversion_rights") or [] if adjusted is None else []:
        found = right.get("conversion_mechanism") if isinstance(right, Mapping) else None
        mechanism: Item = found if isinstance(found, Mapping) else {}
        kind = mechanism.get("type")
        if kind != "RATIO_CONVERSION":
            raise refuse(f"{label(data)}: conversion by {kind} is not modelled")
        if terms is not None and terms.get("ratio") != mechanism.get("ratio"):
            raise refuse(f"{label(data)}: its conversion rights differ in their ratio")
        terms = mechanism
    cap = number_of(data, "participation_cap_multiple", -1.0)
    multiple = number_of(data, "liquidation_preference_multiple")  # 0 where there is none
    return ShareClass(
        name=str(field_of(data, "name")),
        shares=shares,
        invested=invested,
        multiple=multiple,
        participation="none" if cap < 0 else "capped",
        cap=None if cap < 0 else max(cap, multiple),
        seniority=ranks.index(number_of(data, "seniority")) + 1 + shift,
        conversion_ratio=1.0 if terms is None else ratio_of(terms.get("ratio"), data),
        votes=number_of(data, "votes_per_share", 0.0),
    )


def _options(
    issued: list[Item], founders: set[str], left: Mapping[str, float],
    strikes: Mapping[str, float], classes: Mapping[str, Item],
) -> tuple[tuple[OptionGrant, ...], dict[str, str]]:  # fmt: skip
    """Grants by what they are over and their strike, and the grant that each security is in."""
    pools: dict[tuple[str, float], tuple[float, float]] = {}
    keys: dict[str, tuple[str, float]] = {}
    for i in (i for i in issued if kind_of(i) in _GRANTS):
        over = _warrant_class(i, classes) if kind_of(i) == "TX_WARRANT_ISSUANCE" else ""
        kind = i.get("compensation_type") or i.get("plan_security_type")
        if kind is not None and kind not in _COMPENSATION:
            raise refuse(f"{label(i)}: compensation of type {kind!r} is not modelled")
        strike = number_of(i, "exercise_price", 0.0) or number_of(i, "base_price", 0.0)
        security = str(i["security_id"])
        stated = any(i.get(name) is not None for name in ("exercise_price", "base_price"))
        if kind != "RSU" and not stated and security not in strikes:
            raise refuse(f"{label(i)} has no exercise_price; 0 stands for none")
        strike = strikes.get(security, strike)
        n = left[security]
        total, own = pools.get((over, strike), (0.0, 0.0))
        mine = n if str(i.get("stakeholder_id")) in founders else 0.0
        pools[over, strike] = (total + n, own + mine)
        keys[security] = (over, strike)

    def name(over: str, strike: float) -> str:
        return f"warrants on {over} at {strike:g}" if over else f"options at {strike:g}"

    grants = tuple(
        OptionGrant(name(over, strike), n, strike, own / n, share_class=over or None)
        for (over, strike), (n, own) in sorted(pools.items())
        if n > 0
    )
    return grants, {security: name(*key) for security, key in keys.items()}


def _lapsed(issued: list[Item], left: Mapping[str, float], day: dt.date) -> bool:
    """Whether a grant that is still there says that it ended before the day."""
    ends = (
        (i.get("expiration_date"), label(i))
        for i in issued
        if kind_of(i) in _GRANTS and left[str(i["security_id"])] > 0
    )
    return any(end is not None and day_of(end, where) < day for end, where in ends)


def _warrant_class(item: Item, classes: Mapping[str, Item]) -> str:
    """The preferred class that a warrant is over, "" for common shares."""
    found = set()
    for trigger in item.get("exercise_triggers") or []:
        right = trigger.get("conversion_right") if isinstance(trigger, Mapping) else None
        if not isinstance(right, Mapping):
            continue
        mechanism = right.get("conversion_mechanism")
        kind = mechanism.get("type") if isinstance(mechanism, Mapping) else None
        if kind not in (None, "FIXED_AMOUNT_CONVERSION"):
            raise refuse(f"{label(item)}: a warrant that converts by {kind} is not modelled")
        many = mechanism.get("converts_to_quantity") if isinstance(mechanism, Mapping) else None
        if many is not None and amount_of(many, item, "quantity") != number_of(item, "quantity"):
            raise refuse(f"{label(item)}: its quantity and its conversion disagree")
        target = classes.get(str(right.get("converts_to_stock_class_id")))
        if target is not None and target.get("class_type") != "COMMON":
            found.add(str(field_of(target, "name")))
        elif target is not None:
            found.add("")
    if len(found) > 1:
        raise refuse(f"{label(item)}: its triggers convert into several classes")
    return found.pop() if found else ""
