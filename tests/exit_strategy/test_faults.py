"""Faults are whole in Chinese: every message and hint that a user's figures can cause."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastnn.exit_strategy.cli.running import _error_text
from fastnn.exit_strategy.errors import ExitError
from fastnn.exit_strategy.faults import in_chinese
from fastnn.exit_strategy.profile.profile import Profile
from fastnn.exit_strategy.resources import load_json

HOME = Path(load_json.__wrapped__.__code__.co_filename).parent  # type: ignore[attr-defined]
#: Modules whose messages speak of files that programmers write: gate files, models, specifications.
FOR_PROGRAMMERS = ("model", "gates/data.py", "scoring", "cli/model.py", "reading/bounded_yaml.py")


def words_of(node: ast.expr) -> list[str]:
    """The patterns of a message; nothing where it is made elsewhere."""
    if isinstance(node, ast.IfExp):
        return words_of(node.body) + words_of(node.orelse)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.JoinedStr):
        parts = (v.value if isinstance(v, ast.Constant) else "{}" for v in node.values)
        return ["".join(map(str, parts))]
    return []


def patterns() -> Iterator[tuple[str, str]]:
    for file in sorted(HOME.rglob("*.py")):
        module = file.relative_to(HOME).as_posix()
        if module.startswith(FOR_PROGRAMMERS):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            made = node.args[2:4] if name == "Issue" else node.args[-2:] if name == "fail" else []
            made = node.args[:2] if name in ("AmountError", "refuse_sheet") else made
            for part in made:
                for words in words_of(part):
                    yield module, words


def test_every_message_and_hint_has_a_chinese_form() -> None:
    found = list(patterns())
    assert len(found) > 300  # the finder finds them
    lacking = {
        (module, words)
        for module, words in found
        if re.search("[a-z]{3}", words.replace("{}", ""))
        and in_chinese(words.replace("{}", "7")) is None
    }
    assert lacking == set()


def test_every_chinese_form_fills_in_what_the_english_one_does() -> None:
    for english, chinese in load_json("faults_zh.json").items():
        places = set(re.findall(r"\{(\d)\}", chinese))
        assert places == {str(k) for k in range(english.count("{}"))}, english


def test_a_profile_full_of_faults_is_told_in_chinese() -> None:
    raw = {
        "name": "", "as_of": "2026-13-01", "country": "Germany", "sector": "softwear",
        "currency": "EURO", "revenue_ttm": "1.234", "cash": "a lot", "growth_yoy": "nan",
        "monthly_burn": True, "revenue_last_fy": [1, 2, 3, 4], "tech.moat": 7, "wages": 3,
        "valuation.low": 5e6, "valuation.mid": 4e6, "valuation.high": 6e6,
        "cap_table": {"common": 10, "founders": 20, "classes": [{"name": "A", "shares": -1}]},
        "uncertainty": {"cash": {"dist": "cauchy"}}, "deal.covenant_blocks_sale": "maybe",
    }  # fmt: skip
    with pytest.raises(ExitError) as caught:
        Profile.from_dict(raw)
    assert len(caught.value.issues) > 12
    text = _error_text(caught.value, "zh")
    for line in text.splitlines():
        assert re.search("[\u4e00-\u9fff]", line), line
        # words of plain English between spaces; names of fields and choices stay as they are
        assert not re.search(r"\b(is|not|the|give|write|expected|add|use|did you)\b", line), line


@pytest.mark.parametrize(
    ("words", "chinese"),
    [
        ("add sector = \"ai_application\"", "加上 sector = \"ai_application\""),
        ("missing: sector", "缺少：行业"),
        ("'2x' may be growth to 2 times or by 2 times",
         "'2x' 可能指增长到 2 倍，也可能指增长了 2 倍"),
        ("'1m p.a.' is not said of a month", "'1m p.a.' 不是按月计的"),
        ("give what it comes to a month", "换算成每月的数"),
        ("Excel counts days so: if this is 2025-12-01, write it as year-month-day",
         "这是 Excel 的日期序号：若指 2025-12-01，请按年-月-日书写"),
    ],
)  # fmt: skip
def test_what_is_to_be_typed_stays_and_the_rest_is_chinese(words: str, chinese: str) -> None:
    assert in_chinese(words) == chinese


def test_what_has_no_form_keeps_its_english_words_behind_the_kind_of_fault() -> None:
    from fastnn.exit_strategy.errors import Issue

    issue = Issue("EX502", "spec", "quite new words", "another new hint")
    text = _error_text(ExitError(issue), "zh")
    assert "quite new words" in text
    assert "another new hint" in text
