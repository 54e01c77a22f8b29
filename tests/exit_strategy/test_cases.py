"""Real cases: profiles written before the tool was run, and not tuned."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastnn.exit_strategy.evaluation import evaluate
from fastnn.exit_strategy.profile.profile import Profile

CASES = Path(__file__).resolve().parents[2] / "examples" / "exit_profiles"


@pytest.mark.parametrize("name", ["zhipu_2025-12", "minimax_2025-12"])
def test_listed_laboratories_had_a_hong_kong_door(name: str) -> None:
    made = evaluate(Profile.from_file(CASES / f"{name}.toml"), draws=4_000)
    states = {venue.id: venue.state for venue in made.gates.venues}
    assert "pass" in (states["HKEX_18C_COMM"], states["HKEX_18C_PRE"])
    assert states["NASDAQ_GS"] in ("fail", "unknown")
    leads = made.recommendation == "ipo"
    tied = made.recommendation == "near_tie" and "ipo" in made.advice.pair
    assert leads or tied


@pytest.mark.parametrize("name", ["inflection_2024-03", "windsurf_2025-07"])
def test_licensed_laboratories_put_licence_or_sale_first(name: str) -> None:
    options = ("ipo", "ma", "transform", "license_hire", "private_round", "dual_track")
    made = evaluate(Profile.from_file(CASES / f"{name}.toml"), options=options, draws=4_000)
    assert made.ranking[0].option in ("license_hire", "ma")
