"""Batches: the same answer as one by one, any chunk size, streaming files, rows with errors."""

from __future__ import annotations

import csv
import dataclasses
import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exit_profiles import TODAY, make_profile_dict

from fastnn.exit_strategy import batch
from fastnn.exit_strategy.batch import evaluate_many
from fastnn.exit_strategy.cli.meter import Meter, clock
from fastnn.exit_strategy.errors import ExitError
from fastnn.exit_strategy.evaluation import evaluate
from fastnn.exit_strategy.gates.data import load_gates
from fastnn.exit_strategy.profile.profile import Profile
from fastnn.exit_strategy.reading.delimited import count_rows, open_csv


def companies(count: int) -> list[dict[str, Any]]:
    return [
        make_profile_dict(name=f"c{k}", growth_yoy=0.1 * (k % 9), cash=(20 + 7 * k) * 1e6)
        for k in range(count)
    ]


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {k: ";".join(map(str, v)) if isinstance(v, list) else v for k, v in row.items()}
            )


def test_every_company_of_a_batch_is_scored_as_alone() -> None:
    rows = companies(3)
    made = evaluate_many(rows, draws=500)
    for k in range(3):
        alone = evaluate(Profile.from_dict(rows[k], today=TODAY), draws=500)
        for row in alone.ranking:
            assert made[f"p_first_{row.option}"][k] == row.p_first
            assert made[f"score_mean_{row.option}"][k] == row.score_mean
        assert made["recommendation"][k] == alone.recommendation
    assert made.rows == 3
    assert made.failed == 0


def test_results_do_not_depend_on_the_chunk_size(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = companies(7)
    rows[3]["cash"] = -1
    whole = evaluate_many(rows, draws=200)
    monkeypatch.setattr(batch, "CHUNK", 2)
    parts = evaluate_many(rows, draws=200)
    for name, column in whole.columns.items():
        if isinstance(column, np.ndarray):
            assert np.array_equal(column, parts[name], equal_nan=True), name
        else:
            assert column == parts[name], name


def test_a_row_is_warned_of_what_its_report_would_say_of_its_figures() -> None:
    rows = companies(4)
    rows[1]["growth_yoy"] = 9
    rows[2]["sector"] = "nonsense"
    rows[3]["cap_table"] = {
        "common": 8e6, "founders": 7e6, "options": [
            {"name": "team", "n": 1e6, "strike": 0.5, "vesting": {"start": "2024-01-01"}}
        ],
    }  # fmt: skip
    made = evaluate_many(rows, draws=200)
    assert "growth_yoy is read as 900%" in made["warnings"][1]
    assert made["warnings"][2] == ""  # its errors say it
    assert "not vested" in made["warnings"][3]
    of_rules = {"not_yet", "old", "expired", "low_confidence", "fx_old", "curve_doubt"}
    for k in (0, 1, 3):
        told = made["warnings"][k].split(" | ")
        notes = evaluate(rows[k], draws=200).warnings
        assert {n.text() for n in notes} >= set(told)
        assert {n.text() for n in notes if n.text() not in told} == {
            n.text() for n in notes if n.key in of_rules or n.key.startswith("pending")
        }


def test_a_row_says_whether_a_listing_passes_by_rules_that_were_read() -> None:
    """A batch passed a listing by rules from memory without a word."""
    gates = load_gates()
    listed = {"listing.market_cap": 9e8, "listing.round_lot_holders": 500, "venue_region": "US",
              "listing.public_shares": 5e6, "listing.share_price": 10,
              "listing.public_float_pct": 0.1, "revenue_last_fy": [5e7, 9e7, 1.2e8]}  # fmt: skip
    rows = [row | listed for row in companies(3)]
    rows.append(make_profile_dict(name="small", revenue_ttm=1e5, audited_years=0))
    rows[2]["sector"] = "nonsense"
    memory = dataclasses.replace(gates, venues=tuple({**v, "read": None} for v in gates.venues))
    for rules, word in ((gates, "pass"), (memory, "pass_unread")):
        made = evaluate_many(rows, draws=200, gates=rules)
        assert made["listing_rules"][:2] == [word, word]
        assert made["listing_rules"][2] == ""  # its errors say what is wrong
        for k in (0, 1, 3):
            venue = evaluate(rows[k], draws=200, gates=rules).gates.of("ipo")[1]
            assert made["listing_rules"][k] == venue.word
    sold = evaluate_many(rows, draws=200, options=("ma", "transform"))
    assert sold["listing_rules"] == [""] * 4  # no listing is weighed


def test_bad_row_is_named_and_does_not_stop_the_batch() -> None:
    rows = companies(3)
    rows[1]["sector"] = "nonsense"
    made = evaluate_many(rows, draws=200)
    assert made.failed == 1
    first, bad, last = made["errors"]
    assert first == last == ""
    assert bad.startswith("EX106 sector: ")
    assert "(choose from: " in bad
    assert made["recommendation"][1] == "error"
    assert np.isnan(made["p_first_ipo"][1])
    assert np.isfinite(made["p_first_ipo"][[0, 2]]).all()


def test_csv_and_parquet_stream_the_same_numbers(tmp_path: Path) -> None:
    rows = companies(4)
    write_csv(tmp_path / "in.csv", rows)
    memory = evaluate_many(tmp_path / "in.csv", draws=200)
    counted = evaluate_many(tmp_path / "in.csv", draws=200, output=tmp_path / "out.csv")
    assert counted.rows == 4
    assert counted.columns == {}
    with (tmp_path / "out.csv").open() as file:
        back = list(csv.DictReader(file))
    assert [float(row["p_first_ma"]) for row in back] == list(memory["p_first_ma"])
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    evaluate_many(tmp_path / "in.csv", draws=200, output=tmp_path / "out.parquet")
    table = parquet.read_table(tmp_path / "out.parquet")
    assert table["p_first_ma"].to_pylist() == list(memory["p_first_ma"])
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "in.parquet")
    again = evaluate_many(tmp_path / "in.parquet", draws=200)
    assert list(again["p_first_ma"]) == list(memory["p_first_ma"])


def test_workers_change_nothing_but_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "CHUNK", 2)
    rows = companies(5)
    alone, shared = evaluate_many(rows, draws=200), evaluate_many(rows, draws=200, workers=2)
    for name, column in alone.columns.items():
        assert list(column) == list(shared[name]), name
    with pytest.raises(ExitError) as caught:
        evaluate_many(rows, draws=200, workers=0)
    assert caught.value.code == "EX803"


@pytest.mark.parametrize(("source", "output"), [("a.xlsx", None), ("none.csv", None),
                                                ("none.parquet", None)])  # fmt: skip
def test_unreadable_source_is_refused(tmp_path: Path, source: str, output: str | None) -> None:
    with pytest.raises(ExitError) as caught:
        evaluate_many(tmp_path / source, draws=200, output=output)
    assert caught.value.code in ("EX112", "EX113")


def test_progress_is_told_after_each_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "CHUNK", 2)
    seen: list[int] = []
    evaluate_many(companies(5), draws=200, progress=seen.append)
    assert seen == [2, 4, 5]


def test_progress_is_told_with_the_total_to_those_who_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "CHUNK", 2)
    seen: list[tuple[int, int | None]] = []
    evaluate_many(companies(3), draws=100, progress=lambda done, total: seen.append((done, total)))
    evaluate_many(iter(companies(3)), draws=100, progress=lambda d, total: seen.append((d, total)))
    assert seen == [(2, 3), (3, 3), (2, None), (3, None)]


def test_the_command_tells_how_much_time_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    times = iter([0.0, 2.0, 4.0, 5.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(times))
    out = Terminal()
    meter = Meter("en", out)
    for done in (512, 1024, 1536):
        meter.show(done, 16_384)
    meter.close()
    lines = [line.strip() for line in out.getvalue().split("\r")]
    assert lines[1:] == [
        "512 of 16,384 companies",
        "1,024 of 16,384 companies, 1:00 left",
        "1,536 of 16,384 companies, 0:58 left",
    ]
    quiet = io.StringIO()
    Meter("zh", quiet).show(1, 2)
    assert quiet.getvalue() == ""
    assert clock(3725) == "1:02:05"


def test_rows_are_counted_as_they_are_read(tmp_path: Path) -> None:
    """Blank lines are no rows, rows that cannot be read are."""
    text = "name,cash\na,1\n\n  ,  \nb\nc,1,2\n"
    (tmp_path / "in.csv").write_text(text)
    path = tmp_path / "in.csv"
    assert count_rows(path) == len(list(open_csv(path).rows)) == 3


def test_a_chunk_that_cannot_be_judged_together_is_judged_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A fault that shows while several companies are judged stays with its company."""
    real = batch.judge_many

    def picky(profiles: Any, frame: Any) -> Any:
        if any(profile.name == "c2" for profile in profiles):
            raise RuntimeError("no c2")
        return real(profiles, frame)

    whole = evaluate_many(companies(5), draws=100)
    monkeypatch.setattr(batch, "judge_many", picky)
    made = evaluate_many(companies(5), draws=100)
    assert made.failed == 1
    assert "no c2" in made["errors"][2]
    assert [made["lead"][k] for k in (0, 1, 3, 4)] == [whole["lead"][k] for k in (0, 1, 3, 4)]
