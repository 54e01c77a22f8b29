"""Who converts where post-money paper counts those who do: none or several choices are stable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference_waterfall import liquidity_equilibria

from fastnn.exit_strategy import cli, evaluate
from fastnn.exit_strategy.money import CapTable, Safe, ShareClass
from fastnn.exit_strategy.money.outcomes import run_waterfall
from fastnn.exit_strategy.money.settling import stable_sets, unsettled
from fastnn.exit_strategy.money.waterfall import Schedule, profitable_switch
from fastnn.exit_strategy.profile.profile import Profile
from fastnn.exit_strategy.report.excel import write_workbook

#: 8m common; A of 4m shares, owed 2m; SAFEs of 3m at 10m and 1m at 5m post-money.
NONE = CapTable(8e6, 8e6, (ShareClass("A", 4e6, 2e6),),
                safes=(Safe("S", 3e6, 10e6), Safe("T", 1e6, 5e6)))  # fmt: skip
#: A participates up to 1.5 times, B does not; a SAFE of 3m at 6m post-money.
SEVERAL = CapTable(
    8e6, 8e6,
    (ShareClass("A", 2e6, 2e6, participation="capped", cap=1.5), ShareClass("B", 2e6, 3e6)),
    safes=(Safe("S", 3e6, 6e6),),
)  # fmt: skip


def equilibria(table: CapTable, price: float) -> int:
    """How many ways to pay are equilibria by exhaustive search."""
    found: list[dict[str, float]] = []
    for paid in liquidity_equilibria(table, price):
        apart = [max(abs(paid[k] - other[k]) for k in paid) for other in found]
        if all(gap > 1e-6 * price for gap in apart):
            found.append(paid)
    return len(found)


@pytest.mark.parametrize(
    ("table", "doubts"),
    [(NONE, ((10.5e6, 12e6, "none"),)), (SEVERAL, ((33e6, 36e6, "several"),))],
)
def test_the_ranges_end_where_exhaustive_search_says(table: CapTable, doubts: Any) -> None:
    claims = table.claims()
    assert [(round(a), round(b), kind) for a, b, kind in unsettled(claims)] == [
        (round(a), round(b), kind) for a, b, kind in doubts
    ]
    ((low, high, kind),) = doubts
    schedule = Schedule(claims)
    for price in (low * 1.001, 0.5 * (low + high), high * 0.999):
        assert schedule.doubt_at(price) == kind
        assert (equilibria(table, price) == 0) == (kind == "none")
        assert (equilibria(table, price) > 1) == (kind == "several")
    for price in (low * 0.999, high * 1.001):
        assert schedule.doubt_at(price) == ""
        assert equilibria(table, price) == 1


def test_random_tables_have_as_many_equilibria_as_exhaustive_search_finds() -> None:
    rng = np.random.default_rng(4)
    seen = {"none": 0, "several": 0, "": 0}
    for _ in range(250):
        classes = tuple(
            ShareClass(
                f"C{k}", float(rng.integers(1, 30)) * 1e5, float(rng.integers(1, 40)) * 5e5,
                participation=str(rng.choice(["none", "full", "capped"], p=[0.6, 0.1, 0.3])),
                seniority=int(rng.integers(1, 3)), cap=float(rng.choice([1.5, 2, 3])),
            )
            for k in range(rng.integers(1, 4))
        )  # fmt: skip
        classes = tuple(c if c.participation == "capped" else ShareClass(
            c.name, c.shares, c.invested, participation=c.participation, seniority=c.seniority
        ) for c in classes)  # fmt: skip
        safes = tuple(
            Safe(f"S{k}", float(rng.integers(1, 30)) * 1e5, float(rng.integers(6, 60)) * 1e6)
            for k in range(rng.integers(1, 3))
        )
        table = CapTable(8e6, 8e6, classes, safes=safes)
        doubts = unsettled(table.claims())
        middles = [0.5 * (low + min(high, 4 * low)) for low, high, _ in doubts]
        for price in (*middles, float(rng.uniform(1e6, 1e8))):
            kind = Schedule(table.claims()).doubt_at(price)
            seen[kind] += 1
            count = equilibria(table, price)
            assert kind == ("none" if count == 0 else "several" if count > 1 else ""), table
    assert min(seen.values()) > 5, seen


def test_without_a_stable_choice_all_the_money_is_paid_and_somebody_would_switch() -> None:
    schedule = Schedule(NONE.claims())
    assert sum(schedule.pay(11e6).values()) == pytest.approx(11e6)
    assert profitable_switch(NONE.claims(), 11e6) is not None
    assert profitable_switch(NONE.claims(), 12.5e6) is None
    assert len(stable_sets(NONE.claims())) > 1


def test_tables_of_fixed_share_counts_are_never_in_doubt() -> None:
    table = CapTable(8e6, 8e6, (ShareClass("A", 4e6, 2e6), ShareClass("B", 2e6, 9e6)))
    assert unsettled(table.claims()) == ()
    assert Schedule(table.claims()).doubt_at(5e6) == ""


def test_of_more_choosers_than_can_be_tried_it_is_said_what_was_not_found() -> None:
    many = tuple(Safe(f"S{k}", 1e5, (4 + k) * 1e6) for k in range(13))
    table = CapTable(8e6, 8e6, NONE.classes, safes=(*NONE.safes, *many))
    schedule = Schedule(table.claims())
    kinds = {}
    for price in np.linspace(2e6, 40e6, 77):
        kinds[price] = schedule.doubt_at(price)
        stable = profitable_switch(table.claims(), price) is None
        assert kinds[price] == ("" if stable else "unfound")
    assert kinds[40e6] == ""


class TestToldToTheReader:
    @pytest.fixture
    def profile(self) -> Profile:
        return Profile.from_dict(self.raw())

    def raw(self) -> dict[str, Any]:
        return {
            "name": "x", "as_of": "2026-11-01", "country": "US", "sector": "software",
            "currency": "USD", "revenue_ttm": "3m", "growth_yoy": 0.5, "cash": 0,
            "audited_years": 1, "monthly_burn": 0, "need_24m": "2m",
            "valuation": {"low": "10.6m", "mid": "11m", "high": "11.4m"},
            "assumptions": {"fee_rate": 0, "escrow_rate": 0},
            "cap_table": {
                "common": 8e6, "founders": 8e6,
                "classes": [{"name": "A", "shares": 4e6, "invested": "2m"}],
                "safes": [{"name": "S", "amount": "3m", "valuation_cap": "10m"},
                          {"name": "T", "amount": "1m", "valuation_cap": "5m"}],
            },
        }  # fmt: skip

    def test_in_the_report_its_bridge_and_its_data(self, profile: Profile) -> None:
        result = evaluate(profile, draws=200)
        assert "conversion_none" in result.proceeds.options["ma"].flags
        data = result.to_dict()
        assert "conversion_none" in data["proceeds"]["options"]["ma"]["flags"]
        assert any("leaves everybody content" in note for note in map(str, data["warnings"]))
        assert "stable choices of who converts" in result.to_terminal()
        assert "稳定的转换选择" in result.to_html(lang="zh")

    def test_in_the_workbook(self, profile: Profile, tmp_path: Path) -> None:
        openpyxl = pytest.importorskip("openpyxl")
        pytest.importorskip("xlsxwriter")
        sheet = openpyxl.load_workbook(write_workbook(profile, tmp_path / "x.xlsx")).worksheets[0]
        said = [str(row[0].value) for row in sheet.iter_rows()]
        assert any("leaves everybody content" in line for line in said)

    def test_in_the_waterfall_by_price(self, profile: Profile) -> None:
        table = run_waterfall(profile, [10e6, 11e6, 13e6])
        assert table.doubts == ("", "none", "")
        assert "conversion_none" in table.flags
        assert run_waterfall(profile, [10e6, 13e6]).doubts == ()

    def test_on_the_command_line(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file = tmp_path / "x.json"
        file.write_text(json.dumps(self.raw()))
        assert cli.main(["waterfall", str(file), "--prices", "10m,11m"]) == 0
        said = capsys.readouterr().out
        row = next(line for line in said.splitlines() if "stable choices" in line)
        assert row.split()[-2:] == ["one", "none"]
        assert "leaves everybody content" in said
