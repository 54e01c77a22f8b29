"""Faults in Chinese: the words of an issue by the pattern they were made from.

`data/faults_zh.json` holds English patterns, `{}` for what is filled in, and their Chinese form, in
which `{0}`, `{1}` ... stand for it. Standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from .errors import Issue
from .reading.fields import FIELDS
from .resources import cached, load_json

__all__ = ["fault_lines", "in_chinese"]

_PLACE = r"\{(\d)\}"


@cached()
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Patterns with their Chinese form, those that say most first."""
    table: dict[str, str] = load_json("faults_zh.json")
    rising = sorted(table.items(), key=lambda item: len(item[0].replace("{}", "")))
    return tuple(
        (re.compile("(.*?)".join(map(re.escape, words.split("{}"))), re.DOTALL), chinese)
        for words, chinese in reversed(rising)
    )


@cached()
def _names() -> dict[str, str]:
    return {row.en: row.zh for row in FIELDS}


@cached(maxsize=1024)
def in_chinese(words: str) -> str | None:
    """Return a message or a hint in Chinese, None where there is no form of it."""
    if not words:
        return ""
    for pattern, chinese in _patterns():
        found = pattern.fullmatch(words)
        if found:
            return _filled(chinese, found.groups())
    return None


def _filled(form: str, parts: Sequence[str]) -> str:
    """The form with its parts, labels of fields in Chinese; a name to be typed stays as it is."""

    def part(place: re.Match[str]) -> str:
        words = parts[int(place[1])]
        typed = form[place.end() :].startswith(" =")
        return words if typed else _names().get(words, words)

    return re.sub(_PLACE, part, form)


def fault_lines(issue: Issue, title: str) -> tuple[str, str]:
    """Return what is wrong and what to do, in Chinese; `title` names the kind of fault.

    Words that have no Chinese form stand as they are.
    """
    message, hint = in_chinese(issue.message), in_chinese(issue.hint)
    said = issue.message if message is None else message
    return f"{title}（{said}）", issue.hint if hint is None else hint
