"""Every text of the reports in English and Chinese, from one catalogue.

`data/catalogue.json` maps a key to [English, Chinese]; leaf and group names come from the criteria
file. A key that is missing in either language is a fault that a test finds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .criteria import Criteria, load_criteria
from .errors import ExitError, Issue
from .resources import load_json

__all__ = [
    "LANGUAGES",
    "check_language",
    "data_words",
    "feature_names",
    "gate_name",
    "gate_names",
    "group_name",
    "has_text",
    "holder_name",
    "leaf_name",
    "text",
]

LANGUAGES = ("en", "zh")

#: A space between two Chinese characters or marks, left over where a name was filled in.
_GAP = r"(?<=[\u3000-\u9fff\uff00-\uffef]) (?=[\u3000-\u9fff\uff00-\uffef])"


def check_language(lang: str) -> str:
    """Return the language; EX801 when there is no catalogue for it."""
    if lang not in LANGUAGES:
        raise ExitError(Issue("EX801", "lang", f"no texts in {lang!r}", "use en or zh", str(lang)))
    return lang


def text(key: str, lang: str = "en", **values: object) -> str:
    """Return the text of a key, with values filled in."""
    row = load_json("catalogue.json")[key]
    out = str(row[LANGUAGES.index(check_language(lang))])
    if not values:
        return out
    out = out.format(**values)
    return re.sub(_GAP, "", out) if lang == "zh" else out


def has_text(key: str) -> bool:
    """Return whether the catalogue holds a key (ids of a user's own files have none)."""
    return key in load_json("catalogue.json")


def leaf_name(leaf: str, lang: str = "en", tree: Criteria | None = None) -> str:
    """Return the short name of a criterion; one of a user's own file has its own name."""
    if has_text(f"leaf.{leaf}"):
        return text(f"leaf.{leaf}", lang)
    row = (tree or load_criteria()).leaf(leaf)
    return row.en if check_language(lang) == "en" else row.zh


def gate_name(gate: str, lang: str = "en") -> str:
    """Return the name of a venue or a regulator; one of an overlay keeps its id."""
    for kind in ("venue", "reg"):
        if has_text(f"{kind}.{gate}"):
            return text(f"{kind}.{gate}", lang)
    return gate


def gate_names(gates: Iterable[str], lang: str = "en") -> str:
    """Return the names of venues or regulators as a list; names hold commas of their own."""
    return ("、" if lang == "zh" else "; ").join(gate_name(gate, lang) for gate in gates)


def feature_names(features: Iterable[str], lang: str = "en") -> str:
    """Return the names of the learned model's features as a list."""
    names = [text(f"feature.{f}", lang) if has_text(f"feature.{f}") else f for f in features]
    return ("、" if lang == "zh" else ", ").join(names)


def group_name(group: str, lang: str = "en") -> str:
    """Return the name of a group of criteria; one of a user's own file keeps its id."""
    return text(f"group.{group}", lang) if has_text(f"group.{group}") else group


def holder_name(holder: str, lang: str = "en") -> str:
    """Return the name of a holder: ours for founders, common and options, else the user's own."""
    return text(f"holder.{holder}", lang) if has_text(f"holder.{holder}") else holder


def data_words(words: str, lang: str = "en") -> str:
    """Return words of a shipped data file in a language, part by part; a user's stay as they are.

    Parts are separated by "; ", a remark in brackets is a part of its own.
    """
    if check_language(lang) == "en":
        return words
    found = re.fullmatch(r"([^()]+) \((.+)\)", words)
    if found and not has_text(f"data.{words}"):
        return f"{data_words(found[1], lang)}（{data_words(found[2], lang)}）"
    parts = words.split("; ")
    return "；".join(text(f"data.{p}", lang) if has_text(f"data.{p}") else p for p in parts)
