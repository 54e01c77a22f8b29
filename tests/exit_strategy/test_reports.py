"""Reports: both languages, no network, 80 columns, alt texts, the same numbers everywhere."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import string
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from exit_profiles import TODAY, make_profile_dict

from fastnn.exit_strategy.catalogue import LANGUAGES, data_words, has_text, text
from fastnn.exit_strategy.criteria import load_criteria
from fastnn.exit_strategy.errors import CODES, ExitError
from fastnn.exit_strategy.evaluation import evaluate
from fastnn.exit_strategy.gates.data import load_gates
from fastnn.exit_strategy.process.process import Process
from fastnn.exit_strategy.profile.profile import Profile
from fastnn.exit_strategy.report.terminal import width_of
from fastnn.exit_strategy.resources import load_json
from fastnn.exit_strategy.result import Result
from fastnn.exit_strategy.wording import money, percent

PACKAGE = Path(__file__).resolve().parents[2] / "python" / "fastnn" / "exit_strategy"
ALL = ("ipo", "ma", "transform", "license_hire", "private_round", "dual_track", "ma_buy")
CAP_TABLE = {
    "common": 6e6, "founders": 5e6, "options": [{"n": 1e6, "strike": 0.5}],
    "classes": [
        {"name": "Seed", "shares": 1e6, "invested": 1e6, "seniority": 3},
        {"name": "A", "shares": 2e6, "invested": 8e6, "seniority": 2},
        {"name": "B", "shares": 2e6, "invested": 20e6, "participation": "capped", "cap": 2.0,
         "seniority": 1},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def made() -> Result:
    company = Profile.from_dict(
        make_profile_dict(cap_table=CAP_TABLE, name='A & <b>"B"</b>', audited_years=1), today=TODAY
    )
    return evaluate(company, draws=300, options=ALL)


def test_catalogue_has_every_text_in_both_languages_with_the_same_values() -> None:
    rows = load_json("catalogue.json")
    for key, row in rows.items():
        assert len(row) == len(LANGUAGES) == 2, key
        fields = [{f for _, f, _, _ in string.Formatter().parse(words) if f} for words in row]
        assert fields[0] == fields[1], key
        assert all(words.strip() for words in row), key
    for leaf in load_criteria().leaves:
        assert f"leaf.{leaf.id}" in rows
    for code, title in CODES.items():
        assert rows[f"code.{code}"][0] == title


def test_every_key_in_the_code_is_in_the_catalogue() -> None:
    rows = load_json("catalogue.json")
    used = set()
    for path in PACKAGE.rglob("*.py"):
        for key in re.findall(r'[^_a-z]text\(\s*"([a-z_]+\.[A-Za-z_0-9]+)"', path.read_text()):
            used.add(key)
    assert len(used) > 40
    assert used <= set(rows), used - set(rows)


#: Latin words a Chinese report may hold: names, units, codes and terms that have no other form.
LATIN = frozenset(
    "Seed sha ACME IPO TOPSIS EBITDA CFIUS HSR NDA USD HKD CNY GBP EUR SGD PERT Beta fastnn "
    "founder".split()
)


def chinese_texts(result: Result) -> dict[str, str]:
    """Every text of a Chinese report, without tags, styles, hashes and the Mermaid block."""
    page = re.sub(r"<(style|script)>.*?</\1>", "", result.to_html(lang="zh"), flags=re.DOTALL)
    labels = re.findall(r'(?:aria-label|title|data-label)="([^"]*)"', page)
    markdown = re.sub(r"```mermaid.*?```", "", result.to_markdown(lang="zh"), flags=re.DOTALL)
    steps = Process(result).next_steps("zh")
    words = [(s.title, s.advice, *(w for part in (s.rules, s.events, s.blocked) for _, w in part))
             for s in steps]  # fmt: skip
    hard = [gate.reason.text("zh") for gate in result.gates.hard]
    return {
        "html": unescape(re.sub(r"<[^>]+>", "\n", page)),
        "labels": unescape("\n".join(labels)),
        "markdown": markdown,
        "terminal": result.to_terminal(lang="zh"),
        "steps": "\n".join(map(str, [*words, *hard])),
    }


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"cap_table": CAP_TABLE, "audited_years": 1},
        {"country": "CN", "currency": "CNY", "debt": 900e6, "personal_records_held": 5_000_000,
         "monthly_burn": 90e6, "deal.covenant_blocks_sale": "yes", "market.date": "2025-01-01",
         "founder.assessor": "self"},
        {"country": "GB", "sector": "foundation_model", "reg_exposure": None, "tech.moat": None,
         "ai_act_class": "general_purpose_systemic", "market.date": None,
         "controls.ipo_readiness": None, "ebitda_margin": None},
    ],
    ids=["full", "cap-table", "china", "unknowns"],
)  # fmt: skip
def test_a_chinese_report_holds_no_english_words(changes: dict[str, Any]) -> None:
    company = Profile.from_dict(make_profile_dict(name="ACME", **changes), today=TODAY)
    for where, words in chinese_texts(evaluate(company, draws=200, options=ALL)).items():
        plain = re.sub(r"\b[0-9a-f]{64}\b|[\w.\\]+\.json|deal\.\w+|EX\d{3}", "", words)
        found = set(re.findall(r"[A-Za-z]{2,}", plain)) - LATIN
        assert not found, (where, found)
        assert not re.search(r"[A-Za-z]{3,} [a-z]{3,}", plain), where


def test_every_word_of_the_shipped_data_has_a_chinese_form() -> None:
    gates = load_gates()
    rows = [*gates.venues, *gates.regulatory]
    said = [row["confidence"] for row in rows]
    for row in gates.regulatory:
        said += [row["jurisdiction"], row.get("effect", "")]
        said += [test["then"] for test in row.get("tests", ())]
    said += [row["name"] for row in load_json("spreads.json")["prior"].values() if "name" in row]
    for words in filter(None, said):
        assert not re.search(r"[A-Za-z]{4,}", re.sub("PERT|Beta", "", data_words(words, "zh")))
        assert data_words(words, "en") == words
    for venue in gates.venues:
        for test in venue["tests_any_of"]:
            assert has_text(f"test.{test['id']}"), test["id"]
    assert data_words("a user's own rule; not ours", "zh") == "a user's own rule；not ours"


class Page(HTMLParser):
    """Collect tags, and complain about tags that close in the wrong order."""

    VOID = frozenset({"meta", "br", "line", "rect", "path", "link", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in self.VOID:
            return
        assert self.open.pop() == tag


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_html_is_whole_and_asks_nothing_of_the_network(made: Result, lang: str) -> None:
    page = made.to_html(lang=lang)
    reader = Page()
    reader.feed(page)
    assert reader.open == []
    for tag, attrs in reader.tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base"), tag
        for name in ("src", "href", "action", "data", "srcset", "poster"):
            assert (attrs.get(name) or "#").startswith("#"), attrs
    for word in ("http:", "https:", "//cdn", "@import", "url(http", "fetch(", "XMLHttp", "import("):
        assert word not in page, word
    drawings = [attrs for tag, attrs in reader.tags if tag == "svg"]
    assert len(drawings) >= 5
    assert all(attrs.get("role") == "img" and attrs.get("aria-label") for attrs in drawings)
    assert page.count("<desc>") == len(drawings)
    assert "A &amp; &lt;b&gt;" in page
    assert "<b>&quot;B" not in page
    assert '"B"</b>' not in page
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page
    for name in ("founder", "cfo", "investor", "adviser", "researcher"):
        assert f"id={name} " in page
        assert text(f"reader.{name}", lang) in page


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_founder_page_answers_the_four_questions(made: Result, lang: str) -> None:
    page = made.to_html(lang=lang)
    founder = unescape(page[page.index("id=founder ") : page.index("id=cfo ")])
    for key in ("report.sure", "report.money", "report.at_prices", "report.next"):
        assert f"<h3>{text(key, lang)}</h3>" in founder
    assert text(f"option.{made.leader}", lang) in founder
    assert percent(made.ranking[0].p_first) in founder
    assert money(350e6, "USD", lang) in founder  # a row of the price table, near the value
    assert text("step.cash_change", lang) in founder


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_terminal_keeps_to_80_columns_without_colour(made: Result, lang: str) -> None:
    words = made.to_terminal(lang=lang)
    assert max(map(width_of, words.splitlines())) <= 80
    assert "\x1b" not in words
    assert "\x1b[1m" in made.to_terminal(lang=lang, colour=True)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_markdown_has_tables_and_the_process(made: Result, lang: str) -> None:
    words = made.to_markdown(lang=lang)
    assert "```mermaid\ngraph TD" in words
    for line in words.splitlines():
        if line.startswith("|"):
            assert line.endswith("|")
    assert text("limit.2", lang) in words
    assert "\\<b\\>" in words


def test_json_repeats_the_numbers_and_says_how_to_repeat_them(made: Result) -> None:
    plain: dict[str, Any] = json.loads(made.to_json())
    assert plain["ranking"][0]["p_first"] == made.ranking[0].p_first
    assert plain["recommendation"] == made.recommendation
    assert plain["provenance"]["seed"] == 0
    assert plain["provenance"]["draws"] == 300
    assert len(plain["provenance"]["hashes"]) >= 8
    assert plain["gates"]["venues"][0]["source"]


def test_no_report_shows_a_bare_pass_by_rules_that_nobody_read() -> None:
    """The JSON and the hard gates of the HTML said "pass" where all rules were from memory."""
    rules = load_gates()
    memory = replace(rules, venues=tuple({**v, "read": None} for v in rules.venues))
    listed = {"listing.market_cap": 9e8, "listing.round_lot_holders": 500, "venue_region": "US",
              "listing.public_shares": 5e6, "listing.share_price": 10,
              "listing.public_float_pct": 0.1, "revenue_last_fy": [5e7, 9e7, 1.2e8]}  # fmt: skip
    company = Profile.from_dict(make_profile_dict(**listed), today=TODAY)
    for gates, word in ((rules, "pass"), (memory, "pass_unread")):
        made = evaluate(company, draws=200, gates=gates)
        plain = json.loads(made.to_json())["gates"]
        (hard,) = (g for g in plain["hard"] if (g["option"], g["name"]) == ("ipo", "venue"))
        assert (hard["state"], hard["word"]) == ("pass", word)
        assert word in {venue["word"] for venue in plain["venues"]}
        cells = rf"{text('gate.venue', 'en')}</td><td [^>]*>{text(f'state.{word}', 'en')}</td>"
        assert re.search(cells, made.to_html())


def check_schema(value: Any, schema: dict[str, Any], where: str = "$") -> None:
    """Check the few JSON Schema words that the shipped schema uses."""
    kinds = {"object": dict, "array": list, "string": str, "number": (int, float),
             "integer": int, "boolean": bool, "null": type(None)}  # fmt: skip
    names = schema.get("type", [])
    names = [names] if isinstance(names, str) else names
    if names:
        fits = any(isinstance(value, kinds[name]) for name in names)
        assert fits, f"{where}: {value!r} is not {names}"
    if isinstance(value, dict):
        assert set(schema.get("required", ())) <= set(value), where
        if schema.get("additionalProperties") is False:
            assert set(value) <= set(schema["properties"]), where
        for name, part in schema.get("properties", {}).items():
            if name in value:
                check_schema(value[name], part, f"{where}.{name}")
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            check_schema(item, schema["items"], f"{where}[{index}]")
    if "enum" in schema:
        assert value in schema["enum"], where


def test_json_follows_the_shipped_schema(made: Result) -> None:
    check_schema(json.loads(made.to_json()), load_json("result.schema.json"))


def test_reports_refuse_unknown_languages_and_bad_paths(made: Result, tmp_path: Path) -> None:
    for render in (made.to_html, made.to_markdown, made.to_terminal):
        with pytest.raises(ExitError) as caught:
            render(lang="fr")
        assert caught.value.code == "EX801"
    with pytest.raises(ExitError) as missing:
        made.to_html(tmp_path / "no" / "where.html")
    assert missing.value.code == "EX802"
    made.to_json(tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text())["company"].startswith("A &")


def test_small_chances_are_never_shown_as_zero_or_certain() -> None:
    assert percent(0.0004) == "< 1 %"
    assert percent(0.9996) == "> 99 %"
    assert percent(0.0) == "0 %"
    assert percent(1.0) == "100 %"
    assert money(1_234_000, "USD") == "USD 1.234m"
    assert money(-5, "EUR") == "EUR -5"
    assert money(123_456_789, "CNY", "zh") == "1.23 亿 CNY"


def test_a_page_runs_its_own_script_and_loads_nothing(made: Result) -> None:
    page = made.to_html()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy
    script = page[page.index("<script>") + 8 : page.index("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy[1]
    assert policy[1].startswith("default-src 'none'")
    assert page.index("Content-Security-Policy") < page.index("<style>")


def test_names_are_no_markdown() -> None:
    table = {"common": 1e6, "classes": [{"name": "![x](http://e)<img src=x>|*a*~b~ `c`",
                                         "shares": 1e6, "invested": 1e6}]}  # fmt: skip
    company = Profile.from_dict(make_profile_dict(cap_table=table), today=TODAY)
    page = evaluate(company, draws=100).to_markdown()
    assert r"!\[x\](http://e)\<img src=x\>\|\*a\*\~b\~ \`c\`" in page
    assert "<img" not in page.replace(r"\<img", "")


def test_companies_outside_the_united_states_are_told_whose_rates_they_see() -> None:
    for country, told in (("US", False), ("DE", True)):
        company = Profile.from_dict(make_profile_dict(country=country), today=TODAY)
        keys = {note.key for note in evaluate(company, draws=100).warnings}
        assert ("us_rates" in keys) is told
