"""A profile as commented TOML text: what `template` writes, with values filled in.

Standard library only.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from fastnn.exit_strategy.reading.fields import FIELDS, GROUPS, Field

from .schema import intro, template_row

__all__ = ["profile_toml", "toml_table"]

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def profile_toml(values: Mapping[str, Any], lang: str = "en") -> str:
    """Return TOML of a profile: dotted path -> raw value; a field without one stays a comment.

    What is read again is what was given: numbers, dates, texts such as "12m", lists and tables.
    """
    lines = [f"# {line}" for line in intro(lang)]
    for prefix, english, chinese in GROUPS:
        title = english if lang == "en" else chinese
        lines += ["", f"# ---- {title} " + "-" * max(3, 60 - len(title))]
        rows = [row for row in FIELDS if row.path.rpartition(".")[0] == prefix]
        if prefix and rows:
            lines.append(f"[{prefix}]")
        for row in rows:
            if row.kind != "table" or (row.path in values and not _has_head(values[row.path])):
                lines += _row(row, values, lang)
    lines.append("")
    for row in FIELDS:  # tables come last: what follows a table's head belongs to it
        if row.kind == "table" and row.path in values and _has_head(values[row.path]):
            words = row.en if lang == "en" else row.zh
            lines += [f"# {words}", toml_table(row.path, values[row.path])]
    return "\n".join(lines).rstrip("\n") + "\n"


def _row(row: Field, values: Mapping[str, Any], lang: str) -> list[str]:
    if row.path not in values:
        return [line if line.startswith("#") else f"# {line}" for line in template_row(row, lang)]
    name = row.path.rpartition(".")[2]
    text = row.en if lang == "en" else row.zh
    return [f"{name} = {_inline(values[row.path])}  # {text}"]


def _has_head(value: Any) -> bool:
    """Whether a value is written below a head in brackets: a table or a list of tables."""
    return isinstance(value, Mapping) or _is_tables(value)


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, Mapping) for v in value)


def toml_table(path: str, value: Any) -> str:
    """Return a table, or a list of tables, with its head; any other value as one line."""
    if _is_tables(value):
        return "\n".join(f"[[{path}]]\n{_body(path, item)}" for item in value)
    if isinstance(value, Mapping):
        return f"[{path}]\n{_body(path, value)}"
    return f"{path} = {_inline(value)}\n"


def _body(path: str, table: Mapping[str, Any]) -> str:
    plain, inner = [], []
    for key, value in table.items():
        if _is_tables(value):
            inner.append(toml_table(f"{path}.{_key(key)}", value))
        elif value is not None:
            plain.append(f"{_key(key)} = {_inline(value)}\n")
    return "".join(plain) + "".join(inner)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _text(words: str) -> str:
    # TOML's basic strings are JSON's, but for the delete character
    return json.dumps(words, ensure_ascii=False).replace("\x7f", "\\u007f")


def _inline(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, Mapping):
        cells = (f"{_key(k)} = {_inline(v)}" for k, v in value.items() if v is not None)
        return "{" + ", ".join(cells) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_inline(item) for item in value) + "]"
    return _text(str(value))
