"""The validated profile: read a file or a mapping, report every fault at once, stay immutable.

Values are looked up by dotted path (`profile["tech.moat"]`) or by attribute (`profile.cash`,
`profile.tech.moat`); an optional field that was not given is None and is never filled in silence.
Depends on `reading`, `tables`, `plausible`, and on `money` for the cap table.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from fastnn.exit_strategy.errors import ExitError, Issue, suggest
from fastnn.exit_strategy.money.captable import CapTable
from fastnn.exit_strategy.money.deals import cash_after
from fastnn.exit_strategy.money.outcomes import parse_assumptions, parse_cap_table
from fastnn.exit_strategy.reading.amounts import plain_value
from fastnn.exit_strategy.reading.fields import FIELD_BY_PATH, FIELDS
from fastnn.exit_strategy.reading.files import home, json_of, read_text_file
from fastnn.exit_strategy.reading.fx import Rates, load_rates
from fastnn.exit_strategy.reading.parse import PARSERS, Reader, show
from fastnn.exit_strategy.records import dataclass

from .plausible import check_days, check_scale, check_together
from .tables import (
    Valuation,
    read_correlation,
    read_fx,
    read_rounds,
    read_uncertainty,
    read_valuation,
)

__all__ = ["Profile", "read_mapping"]

_PREFIXES = frozenset(path.split(".")[0] for path in FIELD_BY_PATH if "." in path)
_SPECIAL = ("fx", "cap_table", "assumptions", "uncertainty", "correlation", "funding_rounds")
_REQUIRED = frozenset(row.path for row in FIELDS if row.required)
_PLACE = {row.path: k for k, row in enumerate(FIELDS)}  # faults come in this order
_MAX_DEPTH = 8  # a profile nests three deep; deeper input is somebody's accident
#: Names under which there are fields.
_GROUPS = frozenset(
    path[:end] for path in FIELD_BY_PATH for end, letter in enumerate(path) if letter == "."
)


@dataclass(frozen=True, slots=True)
class _Group:
    """Attribute access to the fields below one prefix, for example `profile.tech`."""

    prefix: str
    values: Mapping[str, Any]

    def __getattr__(self, name: str) -> Any:
        path = f"{self.prefix}.{name}"
        if path in FIELD_BY_PATH:
            return self.values.get(path)
        raise AttributeError(f"the profile has no field {path!r}")


@dataclass(frozen=True)
class Profile:
    """One company as validated input; build it with `from_file`, `from_dict` or `from_text`."""

    values: Mapping[str, Any]
    valuation: Valuation
    rates: Rates
    cap_table: Any = None
    assumptions: Any = None
    funding_rounds: tuple[Any, ...] = ()
    uncertainty: Mapping[str, Any] = field(default_factory=dict)
    correlation: tuple[tuple[str, str, float], ...] = ()

    def __getattr__(self, name: str) -> Any:
        """Return a field's value, None when it was not given."""
        if name in FIELD_BY_PATH:
            return self.values.get(name)
        if name in _PREFIXES:
            return _Group(name, self.values)
        raise AttributeError(f"the profile has no field {name!r}")

    def __getitem__(self, path: str) -> Any:
        """Return the value at a dotted path, None when it was not given."""
        if path not in FIELD_BY_PATH:
            near = suggest(path, FIELD_BY_PATH)
            raise KeyError(
                f"{path!r} is not a field" + (f"; did you mean {near!r}?" if near else "")
            )
        return self.values.get(path)

    @property
    def missing(self) -> tuple[str, ...]:
        """Optional fields that were not given, in the order of the field table."""
        return tuple(
            row.path
            for row in FIELDS
            if row.path not in self.values
            and row.kind != "table"
            and row.path != "decimal"  # how the file is written, no fact of the company
            and not row.required
        )

    def usd(self, amount: float) -> float:
        """Return an amount of the profile's currency in US dollars."""
        return self.rates.convert(amount, str(self.values["currency"]), "USD")

    def equity(self, price: float, months: float = 0.0) -> float:
        """Return what all shares are worth some months from now at a price of the business."""
        cash = cash_after(
            self.values["cash"], self.values["monthly_burn"],
            self.values.get("committed_funds") or 0.0, months,
        )  # fmt: skip
        return float(max(0.0, price + cash - (self.values.get("debt") or 0.0)))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, today: dt.date | None = None) -> Profile:
        """Validate a mapping (nested, or flat with dotted keys); ExitError lists every fault."""
        return _build(data, today or dt.date.today())

    @classmethod
    def from_file(cls, path: str | Path, *, today: dt.date | None = None) -> Profile:
        """Validate a .toml, .json, .yaml (extra), one-row .csv or .xlsx (extra) file."""
        return _build(read_mapping(path), today or dt.date.today())

    @classmethod
    def from_text(
        cls, text: str, suffix: str = ".toml", *, today: dt.date | None = None
    ) -> Profile:
        """Validate text in the format that `suffix` names."""
        return _build(_parse_text(text, suffix, "<text>"), today or dt.date.today())


def read_mapping(path: str | Path) -> Mapping[str, Any]:
    """Return the raw mapping of a profile file; EX112 to EX114 when it cannot be read."""
    file = home(path)
    if file.suffix.lower() in (".xlsx", ".xlsm"):
        from fastnn.exit_strategy.reading.workbooks import open_workbook

        return _beside(_only_row(open_workbook(file).rows, f"the workbook {path}"), file)
    return _beside(_parse_text(read_text_file(file), file.suffix.lower(), str(file)), file)


def _beside(raw: Mapping[str, Any], file: Path) -> Mapping[str, Any]:
    """A profile whose cap table names a file that lies beside it, from wherever it is read."""
    table = raw.get("cap_table")
    if not isinstance(table, Mapping):
        return raw
    found = {}
    for key in ("ocf", "sheet"):
        name = table.get(key)
        if isinstance(name, str) and name and "\0" not in name and (file.parent / name).exists():
            found[key] = str(file.parent / name)
    return {**raw, "cap_table": {**table, **found}} if found else raw


def _parse_text(text: str, suffix: str, where: str) -> Mapping[str, Any]:
    try:
        data = _decode(text, suffix)
    except ExitError:
        raise
    except Exception as error:  # each parser has its own error type; all mean "not valid"
        bare = _bare_line(text, str(error)) if suffix == ".toml" else None
        raise ExitError(
            Issue(
                "EX114",
                "",
                f"{where} is not valid {suffix[1:].upper()}: {error}",
                f"put the words of line {bare[0]} in quotes: {bare[1]}"
                if bare
                else "mend the line it names; `fastnn exit init` writes a correct file",
            )
        ) from error
    if not isinstance(data, Mapping):
        raise ExitError(Issue("EX114", "", *_no_fields(data, suffix, where)))
    return data


def _no_fields(data: object, suffix: str, where: str) -> tuple[str, str]:
    """What is said of a file that holds no fields, and how one is written in its format."""
    if isinstance(data, list):
        return (
            f"{where} holds a list of {len(data)}, expected the fields of one company",
            "leave out the list around them; `fastnn exit batch` reads many companies from CSV, "
            "Parquet or .xlsx",
        )
    held = "nothing" if data is None else type(data).__name__
    example = '{"name": "Acme AI", ...}' if suffix == ".json" else "name: Acme AI"
    return f"{where} holds {held}, expected fields", f"write the fields so: {example}"


def _bare_line(text: str, error: str) -> tuple[int, str] | None:
    """The number of the line of TOML at fault and how it is mended, where it lacks quotes alone."""
    import tomllib

    at = re.search(r"line (\d+)", error)
    lines = text.splitlines()
    if at is None or int(at[1]) > len(lines):
        return None
    key, sign, value = lines[int(at[1]) - 1].partition("=")
    value = re.split(r"\s#", value)[0].strip().strip("“”‘’„")  # quotes that a word processor turns
    mended = f'{key.strip()} = "{value}"'
    if not sign or not value or any(char in value for char in "\"'[]{}\\"):
        return None
    try:
        tomllib.loads(mended)
    except tomllib.TOMLDecodeError:
        return None
    return int(at[1]), mended


def _decode(text: str, suffix: str) -> Any:
    if suffix == ".toml":
        import tomllib

        return tomllib.loads(text)
    if suffix == ".json":
        return json_of(text)
    if suffix in (".yaml", ".yml"):
        try:
            from fastnn.exit_strategy.reading.bounded_yaml import load_yaml
        except ImportError as error:
            raise ExitError(
                Issue(
                    "EX804",
                    "",
                    "reading YAML needs the package pyyaml",
                    "pip install 'fastnn-rs[exit]', or write the profile as TOML",
                )
            ) from error
        return load_yaml(text)
    if suffix == ".csv":
        from fastnn.exit_strategy.reading.delimited import parse_csv
        from fastnn.exit_strategy.reading.upright import upright_text

        pairs = upright_text(text, "the CSV")
        if pairs is not None:
            return pairs
        return _only_row(parse_csv(text, "the CSV").rows, "the CSV")
    raise ExitError(
        Issue(
            "EX113",
            "",
            f"file format {suffix!r} is not known",
            "use .toml, .json, .yaml, .csv or .xlsx",
        )
    )


def _only_row(rows: Iterable[Any], where: str) -> Mapping[str, Any]:
    """The one company of a table."""
    from fastnn.exit_strategy.reading.delimited import BadRow

    first = list(islice(rows, 2))
    bad = [row.issue for row in first if isinstance(row, BadRow)]
    if bad:
        raise ExitError(bad)
    hint = "use `fastnn exit batch` for many companies"
    if not first:
        raise ExitError(Issue("EX114", "", f"{where} holds no company", hint))
    if len(first) > 1:
        raise ExitError(Issue("EX114", "", f"{where} holds several companies", hint))
    only: Mapping[str, Any] = first[0]
    return only


def _flatten(reader: Reader, data: Mapping[Any, Any], prefix: str, out: dict[str, Any]) -> None:
    """Spread nested groups into dotted paths; unknown names become EX102 with the nearest name."""
    for key, value in data.items():
        if not isinstance(key, str):
            reader.fail("EX102", show(key), key, "field names are text", "quote the name")
            continue
        path = f"{prefix}{key}"
        value = cast(Any, plain_value(value))
        if path in FIELD_BY_PATH:
            if path in out:
                reader.fail("EX121", path, value, "the field is given twice", "keep one of the two")
            elif not _is_missing(value):
                out[path] = value
            continue
        inside = isinstance(value, Mapping) and path.count(".") < _MAX_DEPTH
        if inside and path in _GROUPS:
            _flatten(reader, value, f"{path}.", out)
        elif not _checklist_item(path, value, out):
            plain = path.lower().replace(" ", "_")
            near = suggest(plain, FIELD_BY_PATH) or suggest(key, FIELD_BY_PATH) or _by_label(key)
            reader.fail(
                "EX102",
                path,
                value,
                f"{show(path)} is not a field",
                f"did you mean {near!r}?" if near else "see `fastnn exit init`",
            )


def _by_label(word: str) -> str | None:
    """The field whose label in either language, or its first words, is meant."""
    plain = word.strip().casefold()
    for row in FIELDS:
        if plain in (re.split("[，,;；]", label)[0].casefold() for label in (row.en, row.zh)):
            return row.path
    held = [row.path for row in FIELDS if len(plain) > 1 and plain in row.zh.casefold()]
    return held[0] if held and not plain.isascii() else None


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, str) and value == "")


def _checklist_item(path: str, value: Any, out: dict[str, Any]) -> bool:
    """Take `controls.ipo_readiness.audit_committee` as one item of its checklist (CSV columns)."""
    head, _, item = path.rpartition(".")
    row = FIELD_BY_PATH.get(head)
    if row is None or row.kind != "checklist" or not isinstance(out.get(head, {}), dict):
        return False
    out.setdefault(head, {})[item] = value
    return True


def _build(data: Mapping[str, Any], today: dt.date) -> Profile:
    if not isinstance(data, Mapping):
        raise ExitError(
            Issue(
                "EX103",
                "",
                f"expected a mapping of fields, got {type(data).__name__}",
                "give a dict such as {'name': 'Acme', ...}",
            )
        )
    issues: list[Issue] = []
    reader = Reader(issues, today)
    raw: dict[str, Any] = {}
    _flatten(reader, data, "", raw)
    for path in _SPECIAL:
        if isinstance(raw.get(path), str):  # a CSV cell holds a table as JSON
            table = PARSERS["table"](reader, FIELD_BY_PATH[path], raw.pop(path))
            if table is not None:
                raw[path] = table
    if isinstance(raw.get("name"), str):
        reader.company = raw["name"]
    if "decimal" in raw:
        mark = FIELD_BY_PATH["decimal"]
        before = len(issues)
        reader.decimal = PARSERS[mark.kind](reader, mark, raw["decimal"])
        del issues[before:]  # reported once, in field order, below
    given, fx_date = read_fx(reader, raw["fx"]) if "fx" in raw else ({}, None)
    try:
        reader.rates = load_rates(given, fx_date)
    except ExitError as error:
        issues += error.issues
        reader.rates = load_rates()
    if "currency" in raw:
        row = FIELD_BY_PATH["currency"]
        before = len(issues)
        reader.currency = PARSERS[row.kind](reader, row, raw["currency"])
        del issues[before:]  # reported once, in field order, below
    values = _read_fields(reader, raw)
    reader.as_of = values.get("as_of")
    profile = _read_tables(reader, raw, values)
    check_together(reader, values)
    if issues or profile is None:
        raise ExitError(issues)
    return profile


def _read_fields(reader: Reader, raw: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for path in sorted(_REQUIRED.union(raw), key=_PLACE.__getitem__):
        row = FIELD_BY_PATH[path]
        if path in raw:
            if path in _SPECIAL:
                continue
            value = PARSERS[row.kind](reader, row, raw[path])
            if value is not None:
                values[path] = value
        else:
            reader.fail(
                "EX101", row.path, None, f"missing: {row.en}", f"add {row.path} = {row.example}"
            )
    return values


def _check_holders(reader: Reader, table: CapTable | None) -> None:
    """Refuse the company as a holder of its own shares: nobody is paid for them."""
    if not isinstance(table, CapTable) or not table.holders:
        return
    from fastnn.exit_strategy.money.sheet_words import is_company  # most profiles name nobody

    for i, row in enumerate(table.holders):
        if is_company(row.person, reader.company):
            text = f"{row.person!r} is the company itself, which is paid nothing for its shares"
            hint = (
                "leave treasury shares out of the table, write pool for ungranted options, and a "
                "person of that name as Ada Li (person)"
            )
            reader.fail("EX302", f"cap_table.holders[{i}].person", row.person, text, hint)


def _read_tables(reader: Reader, raw: dict[str, Any], values: dict[str, Any]) -> Profile | None:
    valuation = read_valuation(reader, values)
    rounds = read_rounds(reader, raw["funding_rounds"]) if "funding_rounds" in raw else ()
    spread = read_uncertainty(reader, raw["uncertainty"]) if "uncertainty" in raw else {}
    triples = read_correlation(reader, raw["correlation"]) if "correlation" in raw else ()
    cap_table = None
    if "cap_table" in raw:
        cap_table = parse_cap_table(raw["cap_table"], reader.issues, reader)
        _check_holders(reader, cap_table)
    assumptions = parse_assumptions(raw.get("assumptions", {}), reader.issues, reader)
    if isinstance(cap_table, CapTable) and cap_table.as_of is None:
        cap_table = replace(cap_table, as_of=values.get("as_of"))
    check_days(reader, values.get("founded"), cap_table, rounds)
    if valuation is not None:
        check_scale(reader, valuation, values, cap_table)
    if valuation is None or reader.rates is None:
        return None
    return Profile(
        MappingProxyType(values),
        valuation,
        reader.rates,
        cap_table,
        assumptions,
        rounds,
        MappingProxyType(spread),
        triples,
    )
