"""The profile as an HTML form: every row of the field table, what is wrong beside its field.

Text goes in and out as people write it: a cell of the form is read as a cell of a CSV file is.
Standard library only.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from fastnn.exit_strategy.catalogue import check_language, text
from fastnn.exit_strategy.errors import ExitError, Issue
from fastnn.exit_strategy.faults import fault_lines
from fastnn.exit_strategy.profile.schema import group_of
from fastnn.exit_strategy.profile.toml_text import toml_table
from fastnn.exit_strategy.reading.fields import CHECKLISTS, FIELDS, GROUPS, Field
from fastnn.exit_strategy.reading.files import json_of
from fastnn.exit_strategy.resources import read_text

__all__ = ["Cells", "cells_of", "faults_of", "form_page", "read_form", "values_of"]

#: Name of an input -> the text in it. A checklist has an input an item.
Cells = dict[str, str]

_ANSWERS = ("", "yes", "no", "unknown")
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_NUMBERS = ("integer", "number", "fraction", "money", "score", "level", "market")


def cells_of(data: Mapping[str, Any]) -> tuple[Cells, dict[str, Any]]:
    """Return a raw mapping (nested or dotted) as cells, and as values by dotted path."""
    cells: Cells = {}
    values: dict[str, Any] = {}
    for row in FIELDS:
        value = _at(data, row.path)
        if value is None:
            continue
        values[row.path] = value
        if row.kind == "table":
            cells[row.path] = _table_text(value)
        elif row.kind == "checklist" and isinstance(value, Mapping):
            cells |= {f"{row.path}.{item}": str(answer) for item, answer in value.items()}
        elif row.kind == "checklist" and isinstance(value, list):
            items = zip(CHECKLISTS[row.path], value, strict=False)
            cells |= {f"{row.path}.{item}": str(answer) for item, answer in items}
        elif isinstance(value, list):
            cells[row.path] = "; ".join("" if v is None else _plain(v) for v in value)
        elif isinstance(value, Mapping):
            cells[row.path] = json.dumps(value, ensure_ascii=False, default=str)
        else:
            cells[row.path] = _plain(value)
    return cells, values


def _at(data: Mapping[str, Any], path: str) -> Any:
    if path in data:
        return data[path]
    found: Any = data
    for part in path.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return found


def _plain(value: Any) -> str:
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def _table_text(value: Any) -> str:
    """A table as the TOML below its head, so that it can be edited."""
    if isinstance(value, Mapping):
        return toml_table("t", value).partition("\n")[2].replace("[t.", "[").replace("[[t.", "[[")
    return toml_table("t", value)


def read_form(given: Mapping[str, str]) -> Cells:
    """Return the cells of a posted form; other names and empty cells are left out."""
    known = {row.path for row in FIELDS}
    known |= {f"{path}.{item}" for path, items in CHECKLISTS.items() for item in items}
    tidy = {name: cell.replace("\r\n", "\n").strip() for name, cell in given.items()}
    return {name: cell for name, cell in tidy.items() if name in known and cell}


def values_of(cells: Cells) -> dict[str, Any]:
    """Return dotted path -> value to be read and to be written; EX114 for a table's bad TOML."""
    out: dict[str, Any] = {}
    issues = []
    for row in FIELDS:
        items = [item for item in CHECKLISTS.get(row.path, ()) if f"{row.path}.{item}" in cells]
        if items:
            out[row.path] = {item: cells[f"{row.path}.{item}"] for item in items}
        elif row.path not in cells:
            continue
        elif row.kind == "table":
            try:
                out[row.path] = _table_value(cells[row.path])
            except tomllib.TOMLDecodeError as error:
                hint = "write name = value, one a line"
                issues.append(Issue("EX114", row.path, f"not valid TOML: {error}", hint))
        else:
            out[row.path] = _value(row, cells[row.path])
    if issues:
        raise ExitError(issues)
    return out


def _table_value(words: str) -> Any:
    found = tomllib.loads(words)
    return found["t"] if set(found) == {"t"} else found


def _value(row: Field, cell: str) -> Any:
    if row.kind == "date" and _DAY.fullmatch(cell):
        try:
            return dt.date.fromisoformat(cell)
        except ValueError:
            return cell  # the reader says what is wrong with it
    if row.kind in ("years", "score") and ";" in cell:
        parts = [part.strip() for part in cell.split(";")]
        if all(_NUMBER.fullmatch(part) for part in parts):
            return [_number(part) for part in parts]
        return cell
    if row.kind == "market" and cell.startswith("{"):
        try:
            return json_of(cell)
        except ValueError:
            return cell
    return _number(cell) if row.kind in _NUMBERS and _NUMBER.fullmatch(cell) else cell


def _number(cell: str) -> int | float:
    return int(cell) if re.fullmatch(r"-?\d+", cell) else float(cell)


def faults_of(error: ExitError) -> dict[str, list[Issue]]:
    """Return issues by the input that they belong to; "" for those of the whole."""
    names = {row.path for row in FIELDS}
    names |= {f"{path}.{item}" for path, items in CHECKLISTS.items() for item in items}
    out: dict[str, list[Issue]] = {}
    for issue in error.issues:
        name = issue.field
        while name and name not in names:
            cut = max(name.rfind("."), name.rfind("["))
            name = name[:cut] if cut > 0 else ""
        out.setdefault(name, []).append(issue)
    return out


def form_page(
    cells: Cells, faults: Mapping[str, Sequence[Issue]], *, file: str, token: str, lang: str,
    saved: bool,
) -> str:  # fmt: skip
    """Return the whole page."""
    check_language(lang)
    count = sum(map(len, faults.values()))
    note = ""
    if count:
        words = escape(text("serve.faults", lang, count=str(count)))
        links = "".join(_link(name, issue, lang) for name, rows in faults.items() for issue in rows)
        note = f'<div class="faults" role="alert"><p>{words}</p><ul>{links}</ul></div>'
    elif saved:
        note = f'<p class="saved" role="status">{escape(text("serve.saved", lang))}</p>'
    groups = "".join(_group(group, cells, faults, lang) for group in GROUPS)
    title = escape(text("serve.title", lang, file=file))
    other = "zh" if lang == "en" else "en"
    language = {"en": "English", "zh": "中文"}[other]
    return (
        f'<!doctype html>\n<html lang="{"zh-Hans" if lang == "zh" else "en"}">\n<head>\n'
        '<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, '
        'initial-scale=1">\n<meta name="color-scheme" content="light dark">\n'
        f"<title>{title}</title>\n<style>\n{read_text('form.css')}</style>\n</head>\n<body>\n"
        f'<header><h1>{title}</h1><p class="dim">{escape(text("serve.intro", lang))}</p>'
        f'<p><a href="/report?lang={lang}">{escape(text("serve.report", lang))}</a> · '
        f'<a href="/?lang={other}" hreflang="{other}">{language}</a></p></header>\n'
        f'<main>{note}<form method="post" action="/?lang={lang}" accept-charset="utf-8" '
        'autocomplete="off" novalidate>'
        f'<input type="hidden" name="token" value="{escape(token)}">{groups}'
        f'<p class="save"><button name="then" value="report">'
        f"{escape(text('serve.save_report', lang))}</button> "
        f'<button name="then" value="form">{escape(text("serve.save", lang))}</button></p>'
        "</form></main>\n</body>\n</html>\n"
    )


def _link(name: str, issue: Issue, lang: str) -> str:
    words = escape(_label(name, lang) or issue.field)
    said = escape(f"{text(f'code.{issue.code}', lang)}")
    where = f'<a href="#{escape(_id(name))}">{words}</a>' if name else words
    return f"<li>{where}{'：' if lang == 'zh' else ': '}{said}</li>"


def _label(name: str, lang: str) -> str:
    for row in FIELDS:
        if row.path == name or (name.startswith(f"{row.path}.") and row.kind == "checklist"):
            return row.en if lang == "en" else row.zh
    return ""


def _id(name: str) -> str:
    return f"f-{name.replace('.', '-')}"


def _group(
    group: tuple[str, str, str], cells: Cells, faults: Mapping[str, Sequence[Issue]], lang: str
) -> str:
    prefix, english, chinese = group
    rows = [row for row in FIELDS if group_of(row) == prefix]
    inside = "".join(_input(row, cells, faults, lang) for row in rows)
    opened = any(row.required for row in rows) or any(
        name == row.path or name.startswith(f"{row.path}.")
        for row in rows for name in (*cells, *faults)
    )  # fmt: skip
    mark = " open" if opened else ""
    title = english if lang == "en" else chinese
    return f"<details{mark}><summary>{escape(title)}</summary>{inside}</details>"


def _input(row: Field, cells: Cells, faults: Mapping[str, Sequence[Issue]], lang: str) -> str:
    words = escape(row.en if lang == "en" else row.zh)
    if row.kind == "checklist":
        items = "".join(
            _cell(f"{row.path}.{item}", escape(item.replace("_", " ")), _select, cells, faults,
                  lang, _ANSWERS)
            for item in CHECKLISTS[row.path]
        )  # fmt: skip
        own = _said(row.path, faults, lang)
        return f"<fieldset><legend>{words}</legend>{own}{items}</fieldset>"
    must = f' <span class="must">{escape(text("serve.required", lang))}</span>'
    label = words + (must if row.required else "")
    maker: Any = _text_input
    if row.kind == "table":
        maker = _area
    elif row.kind == "answer" or (row.kind == "choice" and row.choices):
        maker = _select
    choices = _ANSWERS if row.kind == "answer" else ("", *row.choices)
    return _cell(row.path, label, maker, cells, faults, lang, choices, row)


def _cell(
    name: str, label: str, maker: Any, cells: Cells, faults: Mapping[str, Sequence[Issue]],
    lang: str, choices: Sequence[str], row: Field | None = None,
) -> str:  # fmt: skip
    bad = name in faults
    said = f' aria-invalid="true" aria-describedby="{_id(name)}-said"' if bad else ""
    heads = f'id="{_id(name)}" name="{escape(name)}"{said}'
    made = maker(heads, cells.get(name, ""), choices, row)
    return (
        f'<div class="cell{" bad" if bad else ""}"><label for="{_id(name)}">{label}</label>{made}'
        f"{_said(name, faults, lang)}</div>"
    )


def _said(name: str, faults: Mapping[str, Sequence[Issue]], lang: str) -> str:
    rows = faults.get(name, ())
    if not rows:
        return ""
    lines = []
    for issue in rows:
        words = f"{issue.message}. {issue.hint}"
        if lang == "zh":
            words = "。".join(fault_lines(issue, text(f"code.{issue.code}", lang)))
        lines.append(f"<span>{escape(words)}</span>")
    return f'<p class="said" id="{_id(name)}-said">{"<br>".join(lines)}</p>'


def _text_input(heads: str, value: str, choices: Sequence[str], row: Field | None) -> str:
    hint = "" if row is None or not row.example else row.example.strip('"')
    shown = f' placeholder="{escape(hint)}"' if hint else ""
    return f'<input type="text" {heads} value="{escape(value)}"{shown} maxlength="2000">'


def _area(heads: str, value: str, choices: Sequence[str], row: Field | None) -> str:
    lines = min(24, max(3, value.count("\n") + 2))
    return f'<textarea {heads} rows="{lines}" spellcheck="false">{escape(value)}</textarea>'


def _select(heads: str, value: str, choices: Sequence[str], row: Field | None) -> str:
    known = choices if value in choices else (*choices, value)
    marks = "".join(
        f"<option{' selected' if choice == value else ''}>{escape(choice)}</option>"
        for choice in known
    )
    return f"<select {heads}>{marks}</select>"
