"""Faults in Chinese: the words of an issue by the pattern they were made from.

`data/faults_zh.json` holds English patterns, `{}` for what is filled in, and their Chinese form, in
which `{0}`, `{1}` ... stand for it. Standard library only.
"""

from __future__ import annotations

import re

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
            parts = [_names().get(part, part) for part in found.groups()]
            return _filled(chinese, parts)
    return None


def _filled(form: str, parts: list[str]) -> str:
    return re.sub(_PLACE, lambda place: parts[int(place[1])], form)


def fault_lines(issue: Issue, title: str) -> tuple[str, str]:
    """Return what is wrong and what to do, in Chinese; `title` names the kind of fault.

    Words that have no Chinese form stand as they are.
    """
    message, hint = in_chinese(issue.message), in_chinese(issue.hint)
    said = issue.message if message is None else message
    return f"{title}（{said}）", issue.hint if hint is None else hint
