"""What if: other rates, dearer compute, aged technology; a user's own criteria in the reports."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from exit_profiles import TODAY, make_profile_dict

from fastnn.exit_strategy.criteria import load_criteria
from fastnn.exit_strategy.evaluation import evaluate
from fastnn.exit_strategy.profile.profile import Profile
from fastnn.exit_strategy.resources import load_json
from fastnn.exit_strategy.result import Result
from fastnn.exit_strategy.scoring.base_rates import price_over_raised
from fastnn.exit_strategy.scoring.whatif import rate_values, scenarios


def run(**changes: Any) -> Result:
    company = Profile.from_dict(make_profile_dict(**changes), today=TODAY)
    return evaluate(company, draws=200)


def test_founders_value_falls_with_the_discount_rate_and_holds_at_their_own() -> None:
    made = run()
    values = rate_values(made)
    assert list(values) == pytest.approx([0.15, 0.25, 0.35])
    for option in made.options:
        column = [by_option[option] for by_option in values.values()]
        assert column == sorted(column, reverse=True)
        assert column[1] == pytest.approx(made.proceeds.options[option].founder_npv[1])
    assert min(rate_values(run(assumptions={"discount_rate": 0.05}))) == 0.0


def test_the_first_scenario_is_the_result_itself() -> None:
    made = run()
    now = scenarios(made)[0]
    assert now.name == "now"
    assert list(now.scores.values()) == pytest.approx(list(map(float, made.scores.wsm)))
    assert [s.name for s in scenarios(made)] == ["now", "compute_up", "compute_down", "half_life"]


def test_a_scenario_scores_as_a_company_with_those_facts_does() -> None:
    base = {"compute_cost_share": 0.4, "monthly_burn": 3.7e6, "revenue_ttm": 90e6}
    rows = {s.name: s for s in scenarios(run(**base))}
    cost = 3.7e6 + 90e6 / 12
    dearer = run(revenue_ttm=90e6, compute_cost_share=0.6 / 1.2, monthly_burn=3.7e6 + 0.2 * cost,
                 ebitda_margin=-0.2 - 1.2 * 0.2)  # fmt: skip
    assert list(rows["compute_up"].scores.values()) == pytest.approx(list(dearer.scores.wsm))
    aged = run(**{"tech.strength": 0.35, "tech.moat": 0.275})
    assert list(rows["half_life"].scores.values()) == pytest.approx(list(aged.scores.wsm))


def test_scenarios_of_unknown_facts_are_left_out() -> None:
    made = run(compute_cost_share=None, **{"tech.strength": None, "tech.moat": None})
    assert [s.name for s in scenarios(made)] == ["now"]


@pytest.mark.parametrize(("raised", "flagged"), [(110e6, False), (10e6, True), (700e6, True)])
def test_a_valuation_far_from_disclosed_sales_is_flagged(raised: float, flagged: bool) -> None:
    made = run(total_raised=raised)
    assert price_over_raised(made.profile) == pytest.approx(500e6 / raised)
    assert ("price_band" in [note.key for note in made.warnings]) is flagged


def test_a_users_own_criteria_are_named_and_hashed_in_every_report(tmp_path: Path) -> None:
    raw = copy.deepcopy(load_json("criteria_default.json"))
    row = copy.deepcopy(raw["criteria"][12])
    row |= {"id": "recurring_share", "group": "luck", "en": "steady custom", "zh": "稳定客户"}
    raw["criteria"].append(row)
    raw["group_weights"]["capital"] -= 0.1
    raw["group_weights"]["luck"] = 0.1
    path = tmp_path / "own.json"
    path.write_text(json.dumps(raw, ensure_ascii=False), encoding="utf-8")
    company = Profile.from_dict(make_profile_dict(), today=TODAY)
    made = evaluate(company, criteria=load_criteria(path), weights=raw["group_weights"], draws=200)
    assert "稳定客户" in made.to_html(lang="zh")
    assert "steady custom" in made.to_markdown()
    assert made.to_terminal()
    assert len(made.provenance.hashes["own.json"]) == 64
    assert scenarios(made)[0].name == "now"
