"""The modules of the exit tool: older paths name the same things; one function judges companies."""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys
from typing import Any

import pytest
from exit_profiles import TODAY, make_profile_dict

from fastnn.base.finder import _EARLIER_EXIT
from fastnn.exit_strategy.batch import evaluate_many
from fastnn.exit_strategy.evaluation import evaluate
from fastnn.exit_strategy.money import CapTable, ShareClass
from fastnn.exit_strategy.profile import Profile
from fastnn.exit_strategy.scoring import judging, whatif


@pytest.mark.parametrize("name", sorted(_EARLIER_EXIT))
def test_a_module_is_one_module_under_its_older_path(name: str) -> None:
    home = "fastnn.exit_strategy"
    found = importlib.import_module(f"{home}.{name}")
    assert found is importlib.import_module(f"{home}.{_EARLIER_EXIT[name]}")
    assert sys.modules[f"{home}.{name}"] is found


def test_a_path_that_never_was_is_absent() -> None:
    with pytest.raises(ModuleNotFoundError, match="cap_table"):
        importlib.import_module("fastnn.exit_strategy.cap_table")


def test_pickles_that_name_older_paths_load() -> None:
    code = (
        "import pickle; "
        "made = pickle.loads(b'cfastnn.exit_strategy.captable\\nCapTable\\n'"
        "b'(F100.0\\nF60.0\\ntR.'); print(made.founders)"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "60.0"
    result = evaluate(Profile.from_dict(make_profile_dict(), today=TODAY), draws=100)
    again = pickle.loads(pickle.dumps(result.proceeds))
    assert again == result.proceeds


def test_evaluate_batch_and_scenarios_judge_by_one_function(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[str] = []
    real = judging.complete

    def seen(profile: Any, *rest: Any, **more: Any) -> Any:
        calls.append(profile.name)
        return real(profile, *rest, **more)

    monkeypatch.setattr(judging, "complete", seen)
    company = Profile.from_dict(make_profile_dict(compute_cost_share=0.4), today=TODAY)
    result = evaluate(company, draws=100)
    assert len(calls) == 1
    evaluate_many([make_profile_dict()], draws=100)
    assert len(calls) == 2
    assert len(whatif.scenarios(result)) > 1
    assert len(calls) > 3


def test_names_are_found_where_they_were_before_the_rooms() -> None:
    """Programs name functions by the modules of before, as well as the modules themselves."""
    for path, names in {
        "captable": ("PARTICIPATION", "COMPOUNDING", "CapTable", "ShareClass"),
        "deals": ("value_option", "Company", "net_of"),
        "gates": ("MAX_RATE_AGE_DAYS", "MAX_RUNWAY", "judge_gates"),
        "money": ("DAYS_A_MONTH", "Assumptions"),
        "process": ("advice_numbers",),
        "report_sentences": ("sale_floor",),
        "scoring": ("score_fits", "score"),
    }.items():
        module = importlib.import_module(f"fastnn.exit_strategy.{path}")
        assert [name for name in names if not hasattr(module, name)] == []


def test_a_participating_class_below_its_investment_has_no_redemption_to_check() -> None:
    """Without a redemption day its multiple is nobody's wish."""
    part = ShareClass("A", 1e6, 2e6, 0.5, participation="full")
    table = CapTable(1e7, 6e6, (part,))
    assert {claim.holder for claim in table.claims()} >= {"A"}
