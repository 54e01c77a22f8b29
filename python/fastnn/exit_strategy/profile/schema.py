"""What derives from the field table: JSON Schema, commented template, docs table.

Nothing here lists fields; change `fields.FIELDS` and all three follow. Standard library only.
"""

from __future__ import annotations

from typing import Any

from fastnn.exit_strategy.errors import ExitError, Issue
from fastnn.exit_strategy.reading.fields import CHECKLISTS, FIELDS, GROUPS, Field
from fastnn.exit_strategy.reading.fx import ISO_4217

from .tables import DISTRIBUTIONS

__all__ = ["field_table", "group_of", "intro", "json_schema", "template", "template_row"]

_INTRO = {
    "en": (
        "Profile for `fastnn exit score`. Lines marked (required) must be filled in.",
        "A line that starts with # is left out: unknown is fine, widens the answer, is listed.",
        "Amounts may be written 12_000_000, \"12m\", \"1.2bn\" or \"HKD 250m\".",
    ),
    "zh": (
        "供 `fastnn exit score` 使用的公司资料。标注（必填）的行必须填写。",
        "以 # 开头的行视为未知：未知会使结论的范围变宽，并会在报告中列出。",
        "金额可写作 12_000_000、\"12m\"、\"1200万\"、\"1.2亿\" 或 \"HKD 250m\"。",
    ),
}  # fmt: skip
_REQUIRED = {"en": "(required)", "zh": "（必填）"}
_CAP_TABLE = """\
# common = 6_000_000        # {common}
# founders = 5_000_000      # {founders}
# pool = 500_000            # {pool}
# [[cap_table.classes]]
# name = "A"
# shares = 2_000_000
# invested = 8_000_000
# multiple = 1.0
# participation = "none"    # none, full, capped
# seniority = 1             # {senior}
# anti_dilution = "broad"   # none, full_ratchet, broad, narrow, narrow_preferred
# date = 2024-05-01         # {paid}
# [[cap_table.options]]
# name = "options"
# n = 1_000_000
# strike = 0.5
# vesting = {{start = 2025-01-01, months = 48, cliff = 12, trigger = "none"}}
# [[cap_table.holders]]     # {holders}
# person = "Ada"
# paper = "founders"
# part = 0.5"""
_CAP_WORDS = {
    "en": {
        "common": "all common shares",
        "founders": "of these, held by the founders",
        "senior": "1 is paid first",
        "pool": "reserved for options, granted to nobody",
        "paid": "on which the class was paid for",
        "holders": "who holds what; one person may hold several papers",
    },
    "zh": {
        "common": "普通股总数",
        "founders": "其中创始人持有",
        "senior": "1 最先受偿",
        "pool": "预留而尚未授予的期权",
        "paid": "缴款日",
        "holders": "谁持有什么；一人可持有多种证券",
    },
}


def intro(lang: str) -> tuple[str, ...]:
    """Return the first lines of a profile file, for its writer; EX801 for another language."""
    if lang not in _INTRO:
        raise ExitError(Issue("EX801", "lang", f"no template in {lang!r}", "use en or zh", lang))
    return _INTRO[lang]


def template(lang: str = "en") -> str:
    """Return the commented TOML template in English or Chinese; it validates as it stands."""
    lines = [f"# {line}" for line in intro(lang)]
    for prefix, english, chinese in GROUPS:
        rows = [row for row in FIELDS if group_of(row) == prefix]
        title = english if lang == "en" else chinese
        lines += ["", f"# ---- {title} " + "-" * max(3, 60 - len(title))]
        if prefix == "cap_table":
            lines += ["# [cap_table]", _CAP_TABLE.format(**_CAP_WORDS[lang])]
            continue
        if prefix in ("fx", "assumptions", "uncertainty"):
            lines += _commented_table(prefix, rows[0], lang)
            continue
        if prefix:
            lines.append(f"[{prefix}]")
        for row in rows:
            lines += template_row(row, lang)
    return "\n".join(lines) + "\n"


def group_of(row: Field) -> str:
    """Return the group of the template that a field stands in."""
    if row.path in ("fx", "cap_table", "assumptions", "uncertainty"):
        return row.path
    return "uncertainty" if row.path == "correlation" else row.path.rpartition(".")[0]


def _commented_table(prefix: str, row: Field, lang: str) -> list[str]:
    text = row.en if lang == "en" else row.zh
    samples = {
        "fx": ["HKD = 7.84", "date = 2026-11-20"],
        "assumptions": ["discount_rate = 0.25"],
        "uncertainty": ['growth_yoy = {dist = "triangular", low = 0.3, mode = 0.55, high = 0.7}'],
    }
    return [f"# {text}", f"# [{prefix}]", *(f"# {sample}" for sample in samples[prefix])]


def template_row(row: Field, lang: str) -> list[str]:
    """Return the lines of one field of the template, those above it first."""
    text = row.en if lang == "en" else row.zh
    name = row.path.rpartition(".")[2]
    mark = _REQUIRED[lang] if row.required else ""
    if row.kind == "checklist":
        items = ", ".join(f'{item} = "unknown"' for item in CHECKLISTS[row.path])
        return [f"# {text}", f"{name} = {{{items}}}"]
    limits = ", ".join(row.choices)
    note = f"  # {text}"
    note += f" {mark}" if mark else ""
    note += f": {limits}" if limits and len(limits) < 120 else ""
    keep = row.required or row.path in ("valuation.low", "valuation.mid", "valuation.high")
    lead = [f"# {limits}"] if len(limits) >= 120 else []
    return [*lead, f"{'' if keep else '# '}{name} = {row.example}{note}"]


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a profile."""
    top: dict[str, Any] = {}
    required: list[str] = []
    for row in FIELDS:
        prefix, _, name = row.path.rpartition(".")
        if prefix:
            group = top.setdefault(
                prefix, {"type": "object", "additionalProperties": False, "properties": {}}
            )
            group["properties"][name] = _schema_of(row)
        else:
            top[name] = _schema_of(row)
        if row.required:
            required.append(row.path)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "fastnn exit profile",
        "type": "object",
        "additionalProperties": False,
        "required": [*required, "valuation"],
        "properties": top,
    }


def _schema_of(row: Field) -> dict[str, Any]:
    unit = {"type": "number", "minimum": 0, "maximum": 1}
    bounds: dict[str, Any] = {}
    if row.low is not None:
        bounds["minimum"] = row.low
    if row.high is not None:
        bounds["maximum"] = row.high
    answers = {"enum": ["yes", "no", "unknown"]}
    number = {"anyOf": [{"type": "number", **bounds}, {"type": "string"}]}
    five = {"type": "array", "items": {"type": "number"}, "minItems": 5, "maxItems": 5}
    made: dict[str, dict[str, Any]] = {
        "text": {"type": "string", "minLength": 1, "maxLength": int(row.high or 120)},
        "date": {"type": "string", "format": "date"},
        "country": {"type": "string", "pattern": "^[A-Za-z]{2}$"},
        "currency": {"enum": sorted(ISO_4217)},
        "choice": {"enum": list(row.choices)},
        "integer": {"type": "integer", **bounds},
        "number": {"type": "number", **bounds},
        "fraction": unit,
        "money": number,
        "years": {"type": "array", "items": number, "minItems": 1, "maxItems": 3},
        "score": {"anyOf": [unit, five]},
        "level": {"anyOf": [unit, {"enum": list(row.choices)}]},
        "answer": answers,
        "market": {
            "anyOf": [
                unit,
                {"type": "object", "properties": {"value": unit, "date": {"type": "string"}}},
            ]
        },
        "checklist": {
            "type": "object",
            "additionalProperties": False,
            "properties": {item: answers for item in CHECKLISTS.get(row.path, ())},
        },
        "table": {"type": ["object", "array"]},
    }
    return {"description": row.en, **made[row.kind]}


def field_table(lang: str = "en") -> str:
    """Return the field table as Markdown, for the docs page."""
    head = (
        ("field", "kind", "range", "required", "meaning")
        if lang == "en"
        else ("字段", "类型", "范围", "必填", "含义")
    )
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in FIELDS:
        span = ", ".join(row.choices)
        if not span and (row.low is not None or row.high is not None) and row.kind != "text":
            ends = ("" if bound is None else f"{bound:g}" for bound in (row.low, row.high))
            span = " … ".join(ends)
        need = {"en": ("yes", ""), "zh": ("是", "")}[lang][0 if row.required else 1]
        text = row.en if lang == "en" else row.zh
        lines.append(f"| `{row.path}` | {row.kind} | {span} | {need} | {text} |")
    kinds = "; ".join(f"`{kind}` ({', '.join(names)})" for kind, names in DISTRIBUTIONS.items())
    lines += ["", ("Distributions: " if lang == "en" else "分布：") + kinds]
    return "\n".join(lines) + "\n"
