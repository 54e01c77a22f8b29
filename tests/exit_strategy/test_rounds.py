"""Promises of rounds: price, pool, conversion, repricing and pro rata as in published examples."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastnn.exit_strategy import cli
from fastnn.exit_strategy.errors import ExitError
from fastnn.exit_strategy.money.antidilution import adjusted_price
from fastnn.exit_strategy.money.captable import (
    CapTable,
    Holding,
    Note,
    OptionGrant,
    Safe,
    ShareClass,
)
from fastnn.exit_strategy.money.rounds import RoundResult
from fastnn.exit_strategy.money.waterfall import Schedule


def safes(*rows: tuple[float, float | None]) -> tuple[Safe, ...]:
    return tuple(Safe(f"S{i}", amount, cap) for i, (amount, cap) in enumerate(rows))


def shares(made: RoundResult[CapTable]) -> float:
    return sum(row.after for row in made.rows)


# ---- published examples -------------------------------------------------------------------------


def test_the_option_pool_shuffle() -> None:
    """Venture Hacks, "The option pool shuffle": $8m pre-money, $2m, 20 % pool: $1.00 a share."""
    made = CapTable(6e6, 6e6).round(2e6, pre_money=8e6, pool=0.2)
    assert made.price == pytest.approx(1.0)
    assert [round(row.after_part, 6) for row in made.rows] == [0.6, 0.2, 0.2]
    later = CapTable(6e6, 6e6).round(2e6, pre_money=8e6, pool=0.2, pool_after_money=True)
    assert later.price == pytest.approx(8 / 6)
    assert later.rows[0].after_part == pytest.approx(0.64)
    assert later.after.pool / shares(later) == pytest.approx(0.2)


def test_a_seed_round_with_and_without_a_pool() -> None:
    """1984 Ventures, Founders' Handbook, "Cap Table Premiere": $2m on $8m, a pool of 10 %."""
    table = CapTable(2e6, 2e6)
    plain = table.round(2e6, pre_money=8e6, name="Seed")
    assert plain.price == pytest.approx(4.0)
    assert [row.after for row in plain.rows] == [2e6, 5e5]
    made = table.round(2e6, pre_money=8e6, name="Seed", pool=0.1)
    got = {row.holder: row.after for row in made.rows}
    assert got["Seed"] == pytest.approx(571_428, abs=1)
    assert got["unissued pool"] == pytest.approx(285_714, abs=1)
    assert made.rows[0].after_part == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("common", "pool", "papers", "raised", "pre", "target", "total", "options"),
    [
        (2_000_000, 0, [(2e6, 10e6)], 8e6, 32e6, 0.0, 3_125_000, 0),
        (9_390_728, 609_272,
         [(125e3, 125e3 / 0.07), (375e3, None), (475e3, 10e6), (28.5e3, 13e6), (2_997_500, 30e6)],
         4e6, 16.7e6, 0.1, 20_606_916, 2_060_692),
        (9_390_728, 609_272,
         [(125e3, 125e3 / 0.07), (375e3, 10e6), (475e3, 10e6), (28.5e3, 13e6), (2_997_500, 30e6)],
         4e6, 16.7e6, 0.1, 21_040_767, 2_104_076),
        (11_694_118, 0,
         [(50e3, 10e6), (1e6, 10e6), (25e3, 10e6), (175e3, 10e6), (150e3, 10e6), (50e3, 10e6),
          (5e3, 20e6), (50e3, 20e6), (311_147.8, 20e6), (250e3, 20e6)],
         10_199_995.29, 49.8e6, 0.1, 19_436_361, 1_943_636),
        (15_201_645, 1_259_260,
         [(3.25e6, 17e6), (350e3, 17e6), (15e3, 17e6), (15e3, 17e6), (1e3, 17e6), (1e6, 80e6)],
         20e6, 80e6, 0.07, 27_426_235, 1_919_836),
    ],
)  # fmt: skip
def test_post_money_safes_convert_as_a_published_solver_does(
    common: float, pool: float, papers: Any, raised: float, pre: float, target: float,
    total: float, options: float,
) -> None:  # fmt: skip
    """1984 Ventures' open cap table worksheet and its tests; it rounds prices to five places."""
    table = CapTable(common, common, safes=safes(*papers), pool=pool)
    made = table.round(raised, pre_money=pre, pool=target)
    assert shares(made) == pytest.approx(total, rel=1e-5)
    assert made.after.pool == pytest.approx(options, rel=1e-5, abs=1)
    assert made.post_money == pytest.approx(pre + raised)
    assert made.pre_money == pytest.approx(pre)


def test_a_pool_larger_than_asked_for_stays_as_it_is() -> None:
    """The same worksheet: a target below the present pool takes nothing away."""
    table = CapTable(9_390_728, 9_390_728, pool=609_272)
    assert table.round(4e6, pre_money=16.7e6, pool=0.01).after.pool == 609_272


def test_y_combinators_quick_start_parts_are_those_before_the_new_money() -> None:
    """SAFE user guide: $500k at $5.5m and $500k at $8.3m post-money sell 9 % and 6 %."""
    table = CapTable(9e6, 9e6, safes=safes((5e5, 5.5e6), (5e5, 8.3e6)))
    made = table.round(5e6, pre_money=25e6, name="A")
    got = {row.holder: row.after for row in made.rows}
    before = sum(got.values()) - got["A"]
    assert got["S0"] / before == pytest.approx(5e5 / 5.5e6)
    assert got["S1"] / before == pytest.approx(5e5 / 8.3e6)


def test_y_combinators_user_guide_prices_a_series_a_of_15m_before_5m() -> None:
    """SAFE user guide, quoted by search.yahoo.com, read 2026-11-30: 15m over 13,459,705.

    SAFEs of 5 and 10 % on 10m shares, and a pool that is 10 % of all after the round; the guide
    rounds its increase and prints $1.1144 a share.
    """
    table = CapTable(9.25e6, 9.25e6, options=(OptionGrant("granted", 650e3),), pool=1e5,
                     safes=safes((2e5, 4e6), (8e5, 8e6)))  # fmt: skip
    made = table.round(5e6, pre_money=15e6, pool=0.10, name="A")
    got = {row.holder: row.after for row in made.rows}
    assert got["S0"] + got["S1"] == pytest.approx(11_764_705 - 10e6, abs=1)
    assert got["unissued pool"] - 1e5 == pytest.approx(1_695_000, abs=500)
    assert made.price == pytest.approx(1.1144, abs=1e-4)


def test_notes_convert_at_a_discount_of_the_round_price() -> None:
    """Funders Club's note in a Series A: $25,000 at a price of $2.50 buy 10,000 shares."""
    note = Note("N", 25e3, discount=0.5)
    made = CapTable(1e6, 1e6, notes=(note,)).round(5e6, price=5.0, name="A")
    assert made.converted["N"] == pytest.approx(2.5)
    assert {r.holder: r.after for r in made.rows}["N"] == pytest.approx(10_000)


def test_a_note_with_interest_converts_into_whole_years_of_it() -> None:
    """$100,000 with 8 % for a year, at $400 a share: 270 shares (ccdd law's example)."""
    note = Note("N", 100e3, 0.08, 1.0)
    made = CapTable(1e6, 1e6, notes=(note,)).round(5e6, price=400.0, name="A")
    assert {r.holder: r.after for r in made.rows}["N"] == pytest.approx(270)


@pytest.mark.parametrize(
    ("kind", "price"), [("broad", 9.78), ("full_ratchet", 9.0), ("none", 10.0)]
)
def test_a_down_round_reprices_a_protected_class(kind: str, price: float) -> None:
    """ "100 days from startups", days 20 and 21: 1m common, 1m A at $10, then $5m at $9.

    The page gives 1,111,111 shares by full ratchet, $9.78 by weighted average.
    """
    table = CapTable(1e6, 1e6, (ShareClass("A", 1e6, 10e6, anti_dilution=kind),))
    made = table.round(5e6, price=9.0, name="B")
    assert made.repriced.get("A", 10.0) == pytest.approx(price, abs=0.005)
    got = {row.holder: row.after for row in made.rows}
    assert got["A"] == pytest.approx(10e6 / made.repriced.get("A", 10.0))
    assert "conversion_price" in repr(made.after.classes[0])


def test_weighted_average_by_the_model_charters_formula() -> None:
    """CP2 = CP1 (A + B)/(A + C) as in the NVCA charter and Square's prospectus, by hand."""
    # A 6m, $2 before, 2m new shares at $1: B = $2m/$2 = 1m
    assert adjusted_price("broad", 2.0, 1.0, 2e6, 6e6) == pytest.approx(2.0 * 7 / 8)
    assert adjusted_price("narrow", 2.0, 1.0, 2e6, 5e6) == pytest.approx(2.0 * 6 / 7)
    assert adjusted_price("broad", 2.0, 3.0, 2e6, 6e6) == 2.0
    for bad in ((0.0, 1.0, 1.0, 1.0), (1.0, -1.0, 1.0, 1.0), (1.0, 0.5, float("nan"), 1.0)):
        with pytest.raises(ExitError) as caught:
            adjusted_price("broad", *bad)
        assert caught.value.code == "EX308"
    with pytest.raises(ExitError, match="not a term"):
        adjusted_price("wide", 2.0, 1.0, 1.0, 1.0)


def test_broad_narrow_and_preferred_count_what_their_names_say() -> None:
    row = ShareClass("A", 1e6, 2e6)
    table = CapTable(4e6, 4e6, (row,), (OptionGrant("O", 5e5),), pool=5e5)
    counted = {"broad": 5.5e6, "narrow": 5e6, "narrow_preferred": 1e6}
    for kind, outstanding in counted.items():
        made = replace(table, classes=(replace(row, anti_dilution=kind),)).round(
            2e6, price=1.0, name="B"
        )
        wanted = 2.0 * (outstanding + 1e6) / (outstanding + 2e6)
        assert made.repriced["A"] == pytest.approx(wanted), kind


def test_a_warrant_on_a_repriced_class_converts_into_more_as_well() -> None:
    row = ShareClass("A", 1e6, 10e6, anti_dilution="full_ratchet")
    table = CapTable(6e6, 6e6, (row,), (OptionGrant("W", 1e5, 10.0, share_class="A"),))
    made = table.round(2e6, pre_money=40e6, name="B")
    got = {r.holder: r.after for r in made.rows}
    assert got["W"] / got["A"] == pytest.approx(0.1)
    assert got["A"] == pytest.approx(10e6 / made.price)
    assert sum(got.values()) * made.price == pytest.approx(42e6)


# ---- what every round keeps ---------------------------------------------------------------------


def random_table(rng: np.random.Generator) -> CapTable:
    kinds = ("none", "broad", "narrow", "narrow_preferred", "full_ratchet")
    classes = tuple(
        ShareClass(f"C{i}", float(rng.uniform(2e5, 3e6)), float(rng.uniform(5e5, 2e7)),
                   anti_dilution=str(rng.choice(kinds)),
                   conversion_ratio=float(rng.choice([1.0, 1.25])))
        for i in range(int(rng.integers(0, 3)))
    )  # fmt: skip
    papers = tuple(
        Safe(f"S{i}", float(rng.uniform(1e5, 1e6)),
             None if rng.random() < 0.2 else float(rng.uniform(4e6, 4e7)),
             float(rng.choice([0.0, 0.2])), bool(rng.random() < 0.6),
             counts_pool=[None, True, False][int(rng.integers(0, 3))])
        for i in range(int(rng.integers(0, 4)))
    )  # fmt: skip
    notes = (Note("N", 5e5, 0.08, 1.5, 9e6, 0.2),) if rng.random() < 0.4 else ()
    return CapTable(
        8e6, 6e6, classes, (OptionGrant("O", float(rng.uniform(1e5, 1e6)), 0.5),), papers, notes,
        pool=float(rng.uniform(0, 1e6)),
    )  # fmt: skip


def test_random_rounds_keep_the_promises_of_their_terms() -> None:
    rng = np.random.default_rng(4)
    refused = 0
    for _ in range(300):
        table = random_table(rng)
        raised, pre = float(rng.uniform(1e6, 2e7)), float(rng.uniform(2e7, 8e7))
        target = [None, 0.0, 0.05, 0.15][int(rng.integers(0, 4))]
        try:
            made = table.round(raised, pre_money=pre, name="B", pool=target)
        except ExitError:  # right only if no price fits
            values = [
                table.round(raised, price=float(p), name="B", pool=target).pre_money
                for p in np.geomspace(1e-6, 10, 30)
            ]
            assert min(values) >= pre
            refused += 1
            continue
        got = {row.holder: row.after for row in made.rows}
        whole = sum(got.values())
        assert whole * made.price == pytest.approx(pre + raised)
        assert got["B"] * made.price == pytest.approx(raised)
        assert sum(row.after_part for row in made.rows) == pytest.approx(1.0)
        if target:
            assert made.after.pool >= target * whole * (1 - 1e-9)
        # every paper got the most of what its terms give, none more
        before_money = whole - got["B"]
        convertible = sum(got[s.name] for s in table.safes) + sum(got[n.name] for n in table.notes)
        outstanding = 8e6 + sum(c.shares * c.conversion_ratio for c in table.classes)
        outstanding += table.options[0].n
        for s in table.safes:
            best = s.amount / (made.price * (1 - s.discount))
            if s.valuation_cap is not None:
                count = outstanding + (table.pool if s.counts_pool is not False else 0.0)
                if s.post_money:
                    count += convertible
                elif s.counts_pool is not False:
                    count += made.pool_added
                best = max(best, s.amount / s.valuation_cap * count)
            assert got[s.name] == pytest.approx(best, rel=1e-9)
        assert before_money * made.price == pytest.approx(pre)
        for c in table.classes:
            was = c.invested / (c.shares * c.conversion_ratio)
            now = c.invested / got[c.name]
            assert (now < was) == (c.anti_dilution != "none" and made.price < was)
        # the table after it shares a price like any other, and undo gives the first one
        paid = Schedule(made.after.claims()).pay(50e6)
        assert sum(paid.values()) == pytest.approx(50e6)
        assert made.undo() == table
        assert made.before is table
    assert refused < 60


def test_converted_paper_is_due_what_was_paid_for_it() -> None:
    """A shadow series: the new class's terms, its own price as preference."""
    table = CapTable(9e6, 9e6, safes=safes((1e6, 10e6)))
    made = table.round(5e6, pre_money=40e6, name="A", participation="full", senior=True)
    rows = {c.name: c for c in made.after.classes}
    assert (rows["S0"].invested, rows["A"].invested) == (1e6, 5e6)
    assert rows["S0"].participation == "full"
    assert Schedule(made.after.claims()).pay(3e6)["S0"] == pytest.approx(0.5e6)
    assert not made.after.safes
    kept = table.round(5e6, pre_money=40e6, name="A", keep=["S0"])
    assert kept.after.safes == table.safes


def test_a_senior_round_is_paid_first() -> None:
    table = CapTable(9e6, 9e6, (ShareClass("A", 1e6, 4e6),))
    made = table.round(5e6, pre_money=40e6, name="B", senior=True)
    assert Schedule(made.after.claims()).pay(5e6)["A"] == 0
    equal = table.round(5e6, pre_money=40e6, name="B")
    assert Schedule(equal.after.claims()).pay(4.5e6)["A"] == pytest.approx(2e6)


def test_pro_rata_holders_keep_their_part() -> None:
    table = CapTable(
        8e6, 6e6, (ShareClass("A", 2e6, 8e6),),
        holders=(Holding("Fund", "A", 1.0), Holding("Fund", "common", 0.5)),
    )  # fmt: skip
    made = table.round(10e6, pre_money=40e6, name="B", pro_rata=["Fund"])
    new = {row.holder: row.after for row in made.rows}["B"]
    assert made.bought["Fund"] == pytest.approx(new * 0.3)
    mine = [h for h in made.after.holders if h.person == "Fund"]
    got = made.after.by_person(Schedule(made.after.claims()).pay(1e9))
    assert sum(got["Fund"].values()) / 1e9 == pytest.approx(0.3)  # as before the round
    assert len(mine) == 3


def test_rounds_follow_one_another() -> None:
    table = CapTable(8e6, 8e6, safes=safes((5e5, 6e6)))
    first = table.round(3e6, pre_money=12e6, name="Seed", pool=0.1, anti_dilution="broad")
    second = first.after.round(4e6, pre_money=8e6, name="A", pool=0.1)
    assert {"Seed", "S0"} == set(second.repriced)
    assert second.undo().round(4e6, pre_money=8e6, name="A", pool=0.1) == second


# ---- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"raised": 0}, "not an amount"),
        ({"raised": -1e6}, "not an amount"),
        ({"raised": float("nan")}, "not an amount"),
        ({"pre_money": None}, "a valuation or a price"),
        ({"price": 2.0}, "a valuation or a price"),
        ({"pre_money": "8m"}, "not an amount"),
        ({"pool": 1.0}, "no part"),
        ({"pool": -0.1}, "no part"),
        ({"pool": 20}, "no part"),
        ({"name": "A"}, "is taken"),
        ({"name": "founders"}, "is taken"),
        ({"name": " "}, "is taken"),
        ({"keep": ["Z"]}, "no SAFE or note"),
        ({"pro_rata": ["Z"]}, "holds nothing"),
        ({"pro_rata": ["A", "A"]}, ""),
        ({"participaton": "full"}, "unknown term"),
        ({"senior": True, "seniority": 2}, "given twice"),
        ({"pre_money": 5e5}, "take the whole pre-money"),
    ],
)
def test_rounds_that_cannot_be_are_refused(more: dict[str, Any], word: str) -> None:
    table = CapTable(6e6, 6e6, (ShareClass("A", 1e6, 1e6),), safes=safes((1e6, None)))
    asked = {"raised": 2e6, "pre_money": 8e6, "name": "B", **more}
    if not word:  # named twice it still buys once
        assert set(table.round(**asked).bought) == {"A"}
        return
    with pytest.raises(ExitError, match=word) as caught:
        table.round(**asked)
    assert all(issue.hint for issue in caught.value.issues)


def test_money_that_buys_a_thousand_times_the_company_is_a_slip() -> None:
    """A pre-money of 16 beside 4m: the founders were left with a millionth."""
    table = CapTable(9e6, 9e6, (ShareClass("A", 1e6, 1e6),))
    with pytest.raises(ExitError, match=r"EX303 round.pre_money: 4,000,000 of new money"):
        table.round(4e6, pre_money=16.0, name="B")
    assert table.round(4e6, pre_money=5e4, name="B").price == 0.005  # a company that starts anew


def test_a_ratchet_that_explodes_is_refused() -> None:
    row = ShareClass("A", 1e6, 10e6, anti_dilution="full_ratchet")
    table = CapTable(6e6, 6e6, (row,))
    with pytest.raises(ExitError, match="ratchets") as caught:
        table.round(2e6, pre_money=9e6, name="B")
    assert "waived" in caught.value.issues[0].hint
    made = table.round(2e6, pre_money=11e6, name="B")  # A's 10m at the new price leave 1m
    assert made.price == pytest.approx(1e6 / 6e6)


def test_numbers_of_numpy_and_decimals_are_numbers() -> None:
    table = CapTable(Decimal("6e6"), Decimal("6e6"), pool=Decimal(0))
    plain = CapTable(6e6, 6e6).round(2e6, pre_money=8e6, pool=0.25)
    given = (
        (np.int64(2_000_000), np.float32(8e6), np.float32(0.25)),
        (Decimal("2e6"), Decimal("8e6"), Decimal("0.25")),
    )
    for raised, pre, pool in given:
        made = table.round(raised, pre_money=pre, pool=pool)  # type: ignore[arg-type]
        assert made.price == pytest.approx(plain.price)
        assert type(made.price) is float
        assert type(made.after.pool) is float
    with pytest.raises(ExitError):
        table.round(True, pre_money=8e6)


def test_dates_run_interest_to_the_closing() -> None:
    note = Note("N", 1e6, 0.1, date=dt.date(2025, 1, 1))
    table = CapTable(9e6, 9e6, notes=(note,), as_of=dt.date(2025, 1, 1))
    made = table.round(5e6, price=1.0, name="A", date=dt.date(2026, 1, 1))
    assert {r.holder: r.after for r in made.rows}["N"] == pytest.approx(1.1e6)
    assert made.after.as_of == dt.date(2026, 1, 1)


# ---- command line -------------------------------------------------------------------------------

PROFILE = """
name = "Acme"
country = "US"
sector = "ai_application"
currency = "USD"
as_of = 2026-11-01
revenue_ttm = "5m"
growth_yoy = 0.5
audited_years = 1
need_24m = "3m"
cash = "2m"
monthly_burn = "200k"
valuation.low = "10m"
valuation.mid = "20m"
valuation.high = "30m"
[cap_table]
common = 9_000_000
founders = 8_000_000
[[cap_table.safes]]
name = "Angel"
amount = "500k"
valuation_cap = "5m"
"""


@pytest.fixture
def acme(tmp_path: Path) -> str:
    path = tmp_path / "acme.toml"
    path.write_text(PROFILE, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(("lang", "words"), [("en", "Angel converts"), ("zh", "转股")])
def test_the_command_prints_a_pro_forma(
    acme: str, lang: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["round", acme, "--raise", "4m", "--pre-money", "16m", "--pool", "10%", "--name", "A",
             "--term", "participation=full", "--pro-rata", "Angel", "--lang", lang]  # fmt: skip
    assert cli.main(asked) == 0
    out = capsys.readouterr().out
    assert words in out
    assert "20.00 %" in out
    assert "10.00 %" in out


@pytest.mark.parametrize(
    ("more", "word"),
    [
        (["--raise", "4 million dollars maybe"], "EX"),
        (["--raise", "1,500", "--pre-money", "8m"], "EX122"),
        (["--raise", "4m", "--pre-money", "8m", "--term", "participation"], "EX803"),
        (["--raise", "4m", "--pre-money", "8m", "--term", "cap"], "EX803"),
        (["--raise", "4m", "--pre-money", "8m", "--term", "ratchet=yes"], "EX306"),
        (["--raise", "4m", "--pre-money", "8m", "--date", "soon"], "EX107"),
        (["--raise", "4m", "--pre-money", "8m", "--date", "1.2.2027"], "EX122"),
        (["--raise", "4", "--pre-money", "8m"], "in full: 5m"),
        (["--raise", "4m"], "EX303"),
        (["--raise", "4m", "--pre-money", "16"], "EX303 round.pre_money"),
        (["--raise", "4m", "--pre-money", "8m", "--date", "2020-01-01"], "EX118 --date"),
        (
            ["--raise", "4m", "--pre-money", "8m", "--term", "multiple=2", "--term", "multiple=1"],
            "EX121 --term: multiple is given twice",
        ),
    ],
)
def test_the_command_tells_mistakes(
    acme: str, more: list[str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["round", acme, *more]) == 2
    assert word in capsys.readouterr().err


def test_the_command_needs_a_cap_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bare.toml"
    path.write_text(PROFILE.partition("[cap_table]")[0], encoding="utf-8")
    assert cli.main(["round", str(path), "--raise", "4m", "--pre-money", "8m"]) == 2
    assert "EX301" in capsys.readouterr().err


def test_a_note_that_does_not_convert_goes_on_earning_what_it_did() -> None:
    days = [dt.date(year, 1, 1) for year in (2026, 2027, 2028)]
    notes = (
        Note("years", 1e6, 0.1, years=1.0),
        Note("new", 1e6, 0.1, years=0.0),
        Note("dated", 1e6, 0.1, date=days[0]),
        Note("thirty", 1e6, 0.1, years=0.5, day_count="30/360"),
    )
    table = CapTable(9e6, 9e6, notes=notes, as_of=days[0])
    keep = [n.name for n in notes]
    after = table.round(4e6, pre_money=16e6, keep=keep, date=days[1]).after
    due = [{c.holder: c.due for c in t.claims(days[2]) if c.paper} for t in (table, after)]
    assert due[1] == pytest.approx(due[0], abs=0.005)
    assert due[1]["years"] == pytest.approx(1.3e6)
    # a closing that lies before the day of the figures does not count days twice
    early = table.round(4e6, pre_money=16e6, keep=keep, date=dt.date(2025, 7, 1)).after
    assert {c.holder: c.due for c in early.claims(days[2]) if c.paper} == pytest.approx(due[0])
