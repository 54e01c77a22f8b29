"""The profile: valid in every format, every fault named at once, nothing but documented errors."""

from __future__ import annotations

import datetime as dt
import json
import math
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from exit_profiles import TODAY, make_profile_dict

from fastnn.exit_strategy.errors import CODES, ExitError, Issue
from fastnn.exit_strategy.profile.profile import Profile
from fastnn.exit_strategy.profile.schema import field_table, json_schema, template
from fastnn.exit_strategy.reading.fields import CHECKLISTS, FIELDS
from fastnn.exit_strategy.resources import load_json

#: (changes to a valid profile, code, field named, word the hint must hold)
BROKEN: list[tuple[dict[str, Any], str, str, str]] = [
    ({"name": None}, "EX101", "name", "name ="),
    ({"as_of": None}, "EX101", "as_of", "as_of ="),
    ({"country": None}, "EX101", "country", "country ="),
    ({"sector": None}, "EX101", "sector", "sector ="),
    ({"currency": None}, "EX101", "currency", "currency ="),
    ({"revenue_ttm": None}, "EX101", "revenue_ttm", "revenue_ttm ="),
    ({"growth_yoy": None}, "EX101", "growth_yoy", "growth_yoy ="),
    ({"audited_years": None}, "EX101", "audited_years", "audited_years ="),
    ({"cash": None}, "EX101", "cash", "cash ="),
    ({"monthly_burn": None}, "EX101", "monthly_burn", "monthly_burn ="),
    ({"need_24m": None}, "EX101", "need_24m", "need_24m ="),
    ({"revenu_ttm": 1}, "EX102", "revenu_ttm", "revenue_ttm"),
    ({"tech.strenght": 0.5}, "EX102", "tech.strenght", "tech.strength"),
    ({"market.ipo_windw": 0.5}, "EX102", "market.ipo_windw", "market.ipo_window"),
    ({"founder": {"leadrship": 0.4}}, "EX102", "founder.leadrship", "founder.leadership"),
    ({"name": 12}, "EX103", "name", "quotes"),
    ({"cash": "plenty"}, "EX103", "cash", "number"),
    ({"cash": True}, "EX103", "cash", "number"),
    ({"cash": [1]}, "EX103", "cash", "number"),
    ({"audited_years": 2.5}, "EX103", "audited_years", "write 2"),
    ({"revenue_last_fy": {"a": 1}}, "EX103", "revenue_last_fy", "oldest first"),
    ({"controls.data_security": 3}, "EX103", "controls.data_security", "yes"),
    ({"cash": math.nan}, "EX104", "cash", "leave the field out"),
    ({"debt": math.inf}, "EX104", "debt", "leave the field out"),
    ({"need_24m": "nan"}, "EX104", "need_24m", "leave the field out"),
    ({"revenue_ttm": -1}, "EX105", "revenue_ttm", "0 or more"),
    ({"growth_yoy": 55}, "EX105", "growth_yoy", "0.55"),
    ({"growth_yoy": -1.2}, "EX105", "growth_yoy", "-1"),
    ({"top_customer_share": 15}, "EX105", "top_customer_share", "0.15"),
    ({"gross_margin": 1.2}, "EX105", "gross_margin", "fractions"),
    ({"audited_years": 40}, "EX105", "audited_years", "10"),
    ({"cash": 1e30}, "EX105", "cash", "within"),
    ({"cash": 10**400}, "EX104", "cash", "leave"),
    ({"sector": "ai_aplication"}, "EX106", "sector", "ai_application"),
    ({"venue_region": "Mars"}, "EX106", "venue_region", "US"),
    ({"country": "USA"}, "EX106", "country", "did you mean US?"),
    ({"country": " Hong  Kong "}, "EX106", "country", "did you mean HK?"),
    ({"country": "中国"}, "EX106", "country", "did you mean CN?"),
    ({"country": "Atlantis"}, "EX106", "country", "ISO 3166"),
    ({"country": "EN"}, "EX106", "country", "did you mean GB?"),
    ({"country": "XX"}, "EX106", "country", "ISO 3166"),
    ({"country": False}, "EX106", "country", "in quotes"),
    ({"reg_exposure": "hihg"}, "EX106", "reg_exposure", "high"),
    ({"ai_act_class": "danger"}, "EX106", "ai_act_class", "limited"),
    ({"as_of": "last week"}, "EX107", "as_of", "2026-11-22"),
    ({"as_of": "2026-13-01"}, "EX107", "as_of", "year-month-day"),
    ({"as_of": "2031-01-01"}, "EX108", "as_of", "check the year"),
    ({"founded": "2031-01-01"}, "EX108", "founded", "check the year"),
    ({"valuation.low": 9e9}, "EX109", "valuation", "low <= mid <= high"),
    ({"revenue_last_fy": [1, 2, 3, 4]}, "EX110", "revenue_last_fy", "oldest first"),
    ({"tech.moat": [1, 2, 3]}, "EX110", "tech.moat", "five"),
    ({"controls.explain_fair": ["yes"]}, "EX110", "controls.explain_fair", "every item"),
    ({"name": "  "}, "EX111", "name", "short text"),
    ({"name": "x" * 121}, "EX111", "name", "short text"),
    ({"name": "a\nb"}, "EX111", "name", "one line"),
    ({"valuation.low": None, "valuation.mid": None, "valuation.high": None}, "EX115",
     "valuation", "valuation.low"),
    ({"valuation.high": None}, "EX115", "valuation.high", "low, mid and high"),
    ({"valuation.method": "multiples"}, "EX115", "valuation.inputs", "valuation.inputs"),
    ({"uncertainty": {"growth_yoy": {"dist": "nromal"}}}, "EX116", "uncertainty.growth_yoy.dist",
     "normal"),
    ({"uncertainty": {"growth_yoy": {"dist": "triangular", "low": 3, "mode": 2, "high": 1}}},
     "EX116", "uncertainty.growth_yoy", "low <= mode"),
    ({"controls.data_security": {"encryption": "maybe"}}, "EX117",
     "controls.data_security.encryption", "yes, no or unknown"),
    ({"deal.covenant_blocks_sale": "perhaps"}, "EX117", "deal.covenant_blocks_sale", "unknown"),
    ({"founded": "2026-11-21"}, "EX118", "founded", "both dates"),
    ({"ebitda_margin": 0.9}, "EX118", "ebitda_margin", "operating cost"),
    ({"rd_opex_fy": [1e6, 2e6, 90e6]}, "EX118", "rd_opex_fy", "includes"),
    ({"cash": "KZT 5m"}, "EX119", "cash", "[fx] KZT"),
    ({"correlation": [["growth_yoy", "growth_yoy", 0.3]]}, "EX120", "correlation[0]", "different"),
    ({"currency": "USX"}, "EX401", "currency", "did you mean"),
    ({"currency": "KZT"}, "EX402", "fx.KZT", "per US dollar"),
    ({"fx": {"HKD": -1}}, "EX402", "fx.HKD", "per US dollar"),
    ({"cap_table": {}}, "EX301", "cap_table", ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "code", "field", "hint"), BROKEN, ids=[f"{row[1]}-{row[2]}" for row in BROKEN]
)
def test_broken_profile_names_code_field_and_fix(
    changes: dict[str, Any], code: str, field: str, hint: str
) -> None:
    with pytest.raises(ExitError) as caught:
        Profile.from_dict(make_profile_dict(**changes), today=TODAY)
    found = [issue for issue in caught.value.issues if issue.code == code]
    assert found, str(caught.value)
    assert any(issue.field == field and hint in issue.hint for issue in found), str(caught.value)


def test_there_are_sixty_broken_profiles() -> None:
    assert len(BROKEN) >= 60


def test_all_faults_are_reported_at_once() -> None:
    broken = make_profile_dict(cash=-1, sector="x", founded="soon", growth_yoy=None, oops=1)
    with pytest.raises(ExitError) as caught:
        Profile.from_dict(broken, today=TODAY)
    assert {issue.code for issue in caught.value.issues} >= {
        "EX105", "EX106", "EX107", "EX101", "EX102",
    }  # fmt: skip
    assert "5 problems" in str(caught.value)


def test_valid_profile_keeps_its_values(profile_dict: dict[str, Any]) -> None:
    company = Profile.from_dict(profile_dict, today=TODAY)
    assert company.cash == 60e6
    assert company.tech.moat == 0.55
    assert company["market.ipo_window"].value == 0.65
    assert company.valuation.mid == 500e6
    assert company.reg_exposure == 0.5
    assert company.listing.share_price is None
    assert "listing.share_price" in company.missing
    with pytest.raises(AttributeError, match="nothing"):
        _ = company.nothing
    with pytest.raises(KeyError, match=r"did you mean 'tech\.moat'"):
        _ = company["tech.moatt"]


def nest(flat: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for path, value in flat.items():
        head, _, name = path.rpartition(".")
        (out.setdefault(head, {}) if head else out)[name] = value
    return out


def test_every_format_gives_the_same_profile(tmp_path: Path, profile_dict: dict[str, Any]) -> None:
    want = dict(Profile.from_dict(profile_dict, today=TODAY).values)
    nested = nest(profile_dict)
    (tmp_path / "a.json").write_text(json.dumps(nested))
    lines = [
        ";".join(map(str, value)) if isinstance(value, list) else str(value)
        for value in profile_dict.values()
    ]
    (tmp_path / "a.csv").write_text(",".join(profile_dict) + "\n" + ",".join(lines) + "\n")
    toml = [f"{key} = {json.dumps(value)}" for key, value in profile_dict.items()]
    (tmp_path / "a.toml").write_text("\n".join(toml))
    for name in ("a.json", "a.csv", "a.toml"):
        assert dict(Profile.from_file(tmp_path / name, today=TODAY).values) == want, name
    yaml = pytest.importorskip("yaml")
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(nested))
    assert dict(Profile.from_file(tmp_path / "a.yaml", today=TODAY).values) == want


def test_amounts_read_units_currencies_and_decimals() -> None:
    made = Profile.from_dict(
        make_profile_dict(cash="12.5m", debt="HKD 78m", need_24m=Decimal("1e8"), fx={"HKD": 7.8}),
        today=TODAY,
    )
    assert made.cash == 12.5e6
    assert made.debt == pytest.approx(10e6)
    assert made.need_24m == 1e8
    chinese = Profile.from_dict(make_profile_dict(cash="1200万"), today=TODAY)
    assert chinese.cash == 12e6


def test_tables_in_a_csv_cell_are_json() -> None:
    table = json.dumps({"common": 6e6, "founders": 5e6, "classes": []})
    made = Profile.from_dict(make_profile_dict(cap_table=table, fx='{"HKD": 7.8}'), today=TODAY)
    assert made.cap_table.founders == 5e6
    assert made.rates.per_usd["HKD"] == 7.8
    with pytest.raises(ExitError) as caught:
        Profile.from_dict(make_profile_dict(cap_table="{oops"), today=TODAY)
    assert [(i.code, i.field) for i in caught.value.issues] == [("EX103", "cap_table")]


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_template_is_valid_as_it_stands(lang: str) -> None:
    words = template(lang)
    made = Profile.from_text(words, today=TODAY)
    assert made.name == "Acme AI"
    for row in FIELDS:
        if row.kind != "table":
            assert row.path.rpartition(".")[2] in words, row.path


def test_uncommented_template_is_valid() -> None:
    lines = []
    for line in template("en").split("# ---- Who owns what")[0].splitlines():
        bare = line.removeprefix("# ")
        takes = "=" in bare and "  # " in bare and line.startswith("# ") and "inputs" not in bare
        lines.append(bare if takes else line)
    made = Profile.from_text("\n".join(lines), today=TODAY)
    assert made["listing.share_price"] == 10
    assert made.funding_rounds[0].type == "angel"


def test_schema_and_docs_follow_the_field_table() -> None:
    schema = json_schema()
    for row in FIELDS:
        prefix, _, name = row.path.rpartition(".")
        group = schema["properties"][prefix] if prefix else schema
        assert name in group["properties"], row.path
        assert row.path in field_table("zh")
        assert row.en
        assert row.zh
    assert schema == load_json("profile.schema.json")
    assert all(len(set(items)) == len(items) for items in CHECKLISTS.values())
    assert {path: len(items) for path, items in CHECKLISTS.items()} == {
        "controls.data_security": 6, "controls.explain_fair": 6, "controls.ipo_readiness": 20,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("a.toml", "cash = = 1", "EX114"),
        ("a.json", "{", "EX114"),
        ("a.json", "[1]", "EX114"),
        ("a.json", '{"cash": 1, "cash": 2}', "EX121"),
        ("a.csv", "name\nx\ny\n", "EX114"),
        ("a.docx", "x", "EX113"),
    ],
)
def test_broken_file_is_refused(tmp_path: Path, name: str, text: str, code: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ExitError) as caught:
        Profile.from_file(tmp_path / name)
    assert caught.value.code == code
    with pytest.raises(ExitError) as missing:
        Profile.from_file(tmp_path / "none.toml")
    assert missing.value.code == "EX112"


POISON: list[Any] = [
    None, "", 0, -1, 1, 1e308, -1e308, math.nan, math.inf, -math.inf, True, False, "nan", "yes",
    "1e999", "12m", "HKD 1bn", "2026-01-01", "2099-01-01", b"x", [], [1], [1, 2, 3], [None] * 3,
    [math.nan] * 3, {}, {"value": 1}, {"dist": "beta"}, {"a": {"b": {}}}, set(), object, 10**500,
    Decimal("NaN"), Decimal("1E+400"), dt.date(2020, 1, 1), dt.datetime(2020, 1, 1), complex(1, 2),
    "是", "x" * 5000, "\x00", ("a", "b"), [["growth_yoy", "market.ipo_window", 2]],
]  # fmt: skip


def random_dict(rng: random.Random) -> dict[Any, Any]:
    """Return a valid profile with a few fields poisoned, or plain rubbish."""
    if rng.random() < 0.1:
        return {rng.choice([1, None, "a", "cash", "tech", ("x",)]): rng.choice(POISON)
                for _ in range(rng.randrange(5))}  # fmt: skip
    made: dict[Any, Any] = make_profile_dict()
    paths = [row.path for row in FIELDS] + ["tech", "market", "controls", "valuation", "zzz", 5]
    for _ in range(rng.randrange(1, 4)):
        made[rng.choice(paths)] = rng.choice(POISON)
    return made


def read(data: dict[Any, Any]) -> tuple[Profile | None, tuple[Issue, ...]]:
    """Return the profile, or the documented issues; any other error fails the test."""
    try:
        return Profile.from_dict(data, today=TODAY), ()
    except ExitError as error:
        return None, error.issues


def check_random_dicts(count: int, seed: int) -> int:
    rng = random.Random(seed)
    valid = 0
    for _ in range(count):
        data = random_dict(rng)
        made, issues = read(data)
        assert all(issue.code in CODES and issue.hint for issue in issues)
        if made is None:
            continue
        valid += 1
        for value in made.values.values():
            assert not (isinstance(value, float) and not math.isfinite(value))
    return valid


def test_random_dicts_raise_documented_errors_only() -> None:
    assert check_random_dicts(1_500, seed=1) > 20


@pytest.mark.slow
def test_a_hundred_thousand_random_dicts_raise_documented_errors_only() -> None:
    assert check_random_dicts(100_000, seed=2) > 1_500
