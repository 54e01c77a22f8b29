"""The articles: every option, factor and risk has a place, every correction is computed."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

from fastnn.exit_strategy.catalogue import has_text
from fastnn.exit_strategy.criteria import load_criteria
from fastnn.exit_strategy.process.chart import STATES
from fastnn.exit_strategy.reading.fields import CHECKLISTS, FIELD_BY_PATH
from fastnn.exit_strategy.resources import load_json

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_every_seed_row_has_a_place_in_the_tool() -> None:
    tree = load_criteria()
    items = {item for items in CHECKLISTS.values() for item in items}
    places = {
        "leaf": {leaf.id for leaf in tree.leaves},
        "option": set(tree.options),
        "field": set(FIELD_BY_PATH),
        "state": set(STATES),
        "checklist": items,
    }
    table = load_json("seed_mapping.json")
    counts = {name: len(table[name]) for name in ("options", "rules", "factors", "risks")}
    assert counts == {"options": 4, "rules": 8, "factors": 12, "risks": 13}
    for name in (*counts, "readers"):
        for row in table[name]:
            assert row["at"], row["seed"]
            for kind, place in row["at"]:
                if kind == "rule":
                    assert has_text(f"rule.{place}")
                elif kind == "report":
                    assert has_text(place), place
                elif kind == "docs":
                    assert (DOCS / "exit_strategy" / place).is_file()
                else:
                    assert place in places[kind], (kind, place)


def test_all_41_corrections_are_on_the_page() -> None:
    words = (DOCS / "articles-corrected.md").read_text(encoding="utf-8")
    rows = {int(n) for n in re.findall(r"(?:^\| |\*\*)(\d+)(?:\.\*\*| \|)", words, re.MULTILINE)}
    assert rows == set(range(1, 42))


def test_every_corrected_number_is_computed() -> None:
    made = doctest.testfile(str(DOCS / "articles-corrected.md"), module_relative=False)
    assert made.failed == 0
    assert made.attempted >= 60


def test_documentation_pages_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(DOCS.parent)  # the pages name files from the root of the repository
    for name in ("quickstart.md", "method.md", "papers.md", "investors.md"):
        made = doctest.testfile(str(DOCS / "exit_strategy" / name), module_relative=False)
        assert made.failed == 0, name
        assert made.attempted >= 5, name
