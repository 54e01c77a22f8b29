"""Every text of the reports in English and Chinese, from one catalogue.

`data/catalogue.json` maps a key to [English, Chinese]; leaf and group names come from the criteria
file. A key that is missing in either language is a fault that a test finds.
"""

from __future__ import annotations

from .criteria import load_criteria
from .errors import ExitError, Issue
from .resources import load_json

__all__ = ["LANGUAGES", "check_language", "has_text", "leaf_name", "text"]

LANGUAGES = ("en", "zh")


def check_language(lang: str) -> str:
    """Return the language; EX801 when there is no catalogue for it."""
    if lang not in LANGUAGES:
        raise ExitError(Issue("EX801", "lang", f"no texts in {lang!r}", "use en or zh", str(lang)))
    return lang


def text(key: str, lang: str = "en", **values: object) -> str:
    """Return the text of a key, with values filled in."""
    row = load_json("catalogue.json")[key]
    out = str(row[LANGUAGES.index(check_language(lang))])
    return out.format(**values) if values else out


def has_text(key: str) -> bool:
    """Return whether the catalogue holds a key (ids of a user's own files have none)."""
    return key in load_json("catalogue.json")


def leaf_name(leaf: str, lang: str = "en") -> str:
    """Return the short name of a criterion; one of a user's own file has its own name."""
    if has_text(f"leaf.{leaf}"):
        return text(f"leaf.{leaf}", lang)
    row = load_criteria().leaf(leaf)
    return row.en if check_language(lang) == "en" else row.zh
