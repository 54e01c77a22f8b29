"""Who converts where post-money paper counts those who do: none or several choices are stable."""

from __future__ import annotations

import datetime as dt
import json
import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference_table import Game, random_table
from reference_waterfall import liquidity_equilibria

from fastnn.exit_strategy import cli, evaluate
from fastnn.exit_strategy.errors import ExitError
from fastnn.exit_strategy.money import CapTable, Note, OptionGrant, Safe, ShareClass
from fastnn.exit_strategy.money.deals import Assumptions, Company, value_deal
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


def _chosen(game: Game, paid: dict[str, float], owed: dict[str, float]) -> dict[str, str]:
    """The moves that payouts show: who takes more than is owed has converted."""
    out = {}
    for name, moves in game.moves.items():
        if "leave" in moves and paid[name] <= 0:
            out[name] = "leave"
        elif len(moves) == 1:
            out[name] = moves[0]
        elif "hold" in moves:
            took = "convert" in moves and paid[name] > owed[name] * (1 + 1e-12)
            out[name] = "convert" if took else "hold"
        else:
            out[name] = "convert"
    return out


def _is_kept(game: Game, price: float, paid: dict[str, float], choice: dict[str, str]) -> None:
    """Payouts are those of the choice to a hundredth, and nobody gains by another move."""
    slack = Fraction(1, 100) + Fraction(price) / 10**9
    wanted = game.pay(choice, Fraction(price))
    assert abs(sum(map(Fraction, paid.values())) - Fraction(price)) <= Fraction(1, 100)
    assert min(paid.values()) >= 0
    for name, amount in paid.items():
        assert abs(wanted[name] - Fraction(amount)) <= slack, (name, choice)
    assert max(game.gains(choice, Fraction(price)).values(), default=Fraction(0)) <= slack


def test_tables_of_all_terms_at_once_are_paid_as_fractions_say() -> None:
    """Warrants, vesting, dividends, redemption, notes and SAFEs of all kinds beside each other."""
    done = 0
    for seed in range(60):
        rng = random.Random(seed)
        table = random_table(rng)
        assert table.as_of is not None
        on = table.as_of + dt.timedelta(days=rng.choice([0, 274, 700]))
        try:
            schedule = Schedule(table.claims(on))
        except ExitError:  # interest has carried post-money caps past the whole
            continue
        game = Game(table, on)
        owed = {c.holder: float(c.cap or 0.0) for c in schedule.claims}
        for _ in range(3):
            price = round(1e6 * 10 ** rng.uniform(-0.5, 2.3))
            if schedule.doubt_at(float(price)):
                continue
            paid = schedule.pay(float(price))
            choice = _chosen(game, paid, owed)
            free = zip(schedule.claims, schedule.converted(float(price)), strict=True)
            converts = {c.holder: yes for c, yes in free if c.may_convert}
            choice.update({
                name: "convert" if converts[name] else "hold"
                for name, move in choice.items() if name in converts and move != "leave"
            })  # fmt: skip
            _is_kept(game, float(price), paid, choice)
            done += 1
    assert done > 150


def _listed(table: CapTable, value: float) -> dict[str, float]:
    company = Company(table.claims(), {"founders": 1.0}, 1.0, 0.0, 0.0, 1.0, float)
    return dict(value_deal("ipo", value, company, Assumptions(months_to_list=0.0)).payouts)


def test_a_listing_pays_paper_what_it_is_owed_or_its_shares_whichever_is_more() -> None:
    """Y Combinator's SAFE counts a listing among its liquidity events; a class converts."""
    capped = CapTable(8e6, 8e6, safes=(Safe("S", 2e6, 40e6),))
    assert _listed(capped, 20e6)["S"] == pytest.approx(2e6)  # 5 % of it would be 1m
    assert _listed(capped, 80e6)["S"] == pytest.approx(4e6)
    drowned = CapTable(8e6, 8e6, notes=(Note("N", 10e6, multiple=2.0),))
    assert _listed(drowned, 5e6) == {"founders": 0.0, "N": 5e6}
    assert _listed(drowned, 50e6)["N"] == pytest.approx(10e6)  # no change of control
    part = ShareClass("A", 2e6, 10e6, participation="full")
    warrant = CapTable(8e6, 8e6, (part,), (OptionGrant("W", 1e5, 4.0, share_class="A"),))
    worth = (100e6 + 4e5) / 10.1e6
    assert _listed(warrant, 100e6)["W"] == pytest.approx(1e5 * (worth - 4.0))


def test_listings_of_tables_of_all_terms_are_paid_as_fractions_say() -> None:
    done = 0
    for seed in range(100, 150):
        rng = random.Random(seed)
        table = random_table(rng)
        assert table.as_of is not None
        game = Game(table, table.as_of, listing=True)
        owed = {name: float(full) for name, *_, full in game.papers}
        for _ in range(3):
            value = float(round(1e6 * 10 ** rng.uniform(-0.5, 2.3)))
            paid = _listed(table, value)
            assert sum(paid.values()) == pytest.approx(value, abs=0.01)
            choice = _chosen(game, paid, owed)
            if max(game.gains(choice, Fraction(value)).values(), default=0) > value / 10**9 + 0.01:
                continue  # no choice of all may be stable; those that are counted below
            _is_kept(game, value, paid, choice)
            done += 1
    assert done > 145
