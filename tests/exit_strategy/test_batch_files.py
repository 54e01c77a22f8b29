"""Promises of batch files: every way of writing CSV is told, a row never stops the others, a file
that was cut off never looks whole, and no cell is a formula.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exit_profiles import make_profile_dict

from fastnn.exit_strategy import batch
from fastnn.exit_strategy.batch import evaluate_many
from fastnn.exit_strategy.batch_output import partial_path, safe_cell
from fastnn.exit_strategy.cli import commands as cli
from fastnn.exit_strategy.criteria import load_criteria
from fastnn.exit_strategy.errors import ExitError
from fastnn.exit_strategy.gates.data import load_gates
from fastnn.exit_strategy.money.ocf import read_ocf
from fastnn.exit_strategy.profile.profile import Profile


def flat(name: str = "Acme", **changes: Any) -> dict[str, str]:
    out: dict[str, str] = {}
    for key, value in make_profile_dict(name=name, as_of="2026-11-01", **changes).items():
        if isinstance(value, dict):
            out |= {f"{key}.{inner}": str(v) for inner, v in value.items()}
        elif not isinstance(value, list):
            out[key] = str(value)
    return out


def write(
    path: Path, rows: list[dict[str, str]], separator: str = ",", encoding: str = "utf-8"
) -> Path:
    with path.open("w", encoding=encoding, newline="") as file:
        sheet = csv.DictWriter(file, list(rows[0]), delimiter=separator)
        sheet.writeheader()
        sheet.writerows(rows)
    return path


def scores(result: Any) -> list[float]:
    return [float(x) for x in result["score_mean_ma"]]


@pytest.mark.parametrize(
    ("separator", "encoding", "remark"),
    [(";", "utf-8", "semicolons"), ("\t", "utf-8", "tabs"), ("|", "utf-8", "bars"),
     (",", "utf-16", "UTF-16"), (",", "gbk", "GB18030"), (";", "utf-8-sig", "semicolons"),
     (",", "utf-16-le", "UTF-16-LE")],
)  # fmt: skip
def test_csv_as_spreadsheets_save_it_is_read_and_the_way_named(
    tmp_path: Path, separator: str, encoding: str, remark: str
) -> None:
    rows = [flat("星河智能"), flat("飞天科技", cash="9m")]
    plain = evaluate_many(write(tmp_path / "a.csv", rows), draws=100)
    other = evaluate_many(write(tmp_path / "b.csv", rows, separator, encoding), draws=100)
    assert scores(other) == scores(plain)
    assert list(other["name"]) == ["星河智能", "飞天科技"]
    assert any(remark in words for words in other.remarks)
    assert plain.remarks == ()


def test_a_first_line_that_names_the_separator_is_heeded(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", [flat()], ";")
    path.write_text("sep=;\n" + path.read_text())
    assert evaluate_many(path, draws=100).failed == 0


def test_an_encoding_that_can_only_be_guessed_is_refused_by_name_and_can_be_stated(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "a.csv", [flat("Größe Müller")], encoding="cp1252")
    with pytest.raises(ExitError, match=r"not UTF-8.*may be"):
        evaluate_many(path, draws=100)
    stated = evaluate_many(path, draws=100, encoding="cp1252")
    assert list(stated["name"]) == ["Größe Müller"]


def test_a_column_that_stands_twice_stops_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", [flat()])
    text = path.read_text().splitlines()
    path.write_text(f"{text[0]},cash\n{text[1]},9\n")
    with pytest.raises(ExitError, match="cash: the column stands 2 times"):
        evaluate_many(path, draws=100)


def test_cells_beyond_the_header_or_missing_are_faults_of_their_row_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", [flat("a"), flat("b"), flat("c"), flat("d")])
    lines = path.read_text().splitlines()
    lines[2] += ",000,000"
    lines[3] = lines[3].rpartition(",")[0]
    lines[4] += ",,"  # empty cells of a spreadsheet
    path.write_text("\n".join(lines) + "\n")
    made = evaluate_many(path, draws=100)
    assert [bool(text) for text in made["errors"]] == [False, True, True, False]
    assert "EX110 row 2" in made["errors"][1]
    assert "header" in made["errors"][2]
    assert list(made["row"]) == [1, 2, 3, 4]
    assert set(made["rows"]) == {4}


@pytest.mark.parametrize("text", ["", "\n\n", "name,as_of\n", "\ufeff"])
def test_a_file_without_companies_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ExitError) as caught:
        evaluate_many(path, draws=100)
    assert caught.value.code == "EX114"
    assert cli.main(["batch", str(path), "-o", str(tmp_path / "o.csv")]) != 0
    assert not (tmp_path / "o.csv").exists()


def test_amounts_as_people_write_them_are_read_in_csv(tmp_path: Path) -> None:
    good = [flat("a", cash="9,5m", growth_yoy="55%"), flat("b", cash="$9.5m", growth_yoy="0,55")]
    made = evaluate_many(write(tmp_path / "a.csv", good), draws=100)
    assert made.failed == 0
    assert scores(made)[0] == scores(made)[1]
    doubtful = write(tmp_path / "b.csv", [flat("a", cash="9,500")])
    assert "EX122 cash" in evaluate_many(doubtful, draws=100)["errors"][0]
    assert evaluate_many(doubtful, draws=100, decimal=".").failed == 0


class Odd:
    def __repr__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    "bad",
    [None, 7, "text", [], {"name": Odd()}, {1: 2}, {"cash": Odd()},
     {"cash": object()}, {"cap_table": {"classes": [None]}}, {"name": "x" * 10**6},
     {"revenue_last_fy": np.ones((2, 2))}, {"valuation": {"low": [1]}}],
)  # fmt: skip
def test_no_row_stops_the_others(bad: Any) -> None:
    row = bad if not isinstance(bad, dict) else {**make_profile_dict(as_of="2026-11-01"), **bad}
    good = make_profile_dict(as_of="2026-11-01")
    made = evaluate_many([good, row, good], draws=100)
    assert [bool(text) for text in made["errors"]] == [False, True, False]
    assert made["recommendation"][1] == "error"
    assert np.isnan(made["p_complete_ma"][1])


def test_data_frames_are_read_and_their_missing_marks_are_missing_values() -> None:
    pandas = pytest.importorskip("pandas")
    row = make_profile_dict(as_of="2026-11-01")
    frame = pandas.DataFrame([row, {**row, "gross_margin": 0.7}])
    frame["founded"] = [pandas.NaT, pandas.Timestamp("2020-01-01")]
    made = evaluate_many(frame, draws=100)
    assert made.failed == 0
    twice = pandas.concat([frame, frame[["cash"]]], axis=1)
    with pytest.raises(ExitError, match="stands 2 times"):
        evaluate_many(twice, draws=100)
    odd = [row, {**row, "gross_margin": pandas.NA}, {**row, "founded": pandas.NaT}]
    assert evaluate_many(odd, draws=100).failed == 0


@pytest.mark.parametrize(
    "name", ["=cmd|'/C calc'!A0", "@SUM(1)", "+1+2", "-2+3", " =1", "＝1", "|x", "%0A=1"]
)
def test_no_cell_can_be_taken_for_a_formula(tmp_path: Path, name: str) -> None:
    out = tmp_path / "o.csv"
    evaluate_many(write(tmp_path / "a.csv", [flat(name)]), output=out, draws=100)
    text = out.read_text(encoding="utf-8")
    (cells,) = csv.DictReader(text.splitlines())
    assert cells["name"] == f"'{name}"
    assert all(cell[:1] not in tuple("=+@|%") for cell in cells.values())
    assert f'"{cells["name"]}"' in text  # in quotes, so that no other separator splits it
    assert safe_cell(-1.5) == -1.5


def companies(count: int) -> list[dict[str, str]]:
    return [flat(f"C{i}", cash=str(5_000_000 + i)) for i in range(count)]


def interrupted_after(monkeypatch: pytest.MonkeyPatch, chunks: int) -> None:
    real = batch._score_chunk
    calls = iter(range(10**6))

    def score(*args: Any) -> Any:
        if next(calls) >= chunks:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(batch, "_score_chunk", score)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_batch_that_was_cut_off_has_another_name_and_can_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    monkeypatch.setattr(batch, "CHUNK", 2)
    source = write(tmp_path / "in.csv", [*companies(6), flat("bad", cash="x")])
    whole, out = tmp_path / f"whole{suffix}", tmp_path / f"out{suffix}"
    evaluate_many(source, output=whole, draws=100)
    with monkeypatch.context() as patch:
        interrupted_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            evaluate_many(source, output=out, draws=100)
    assert not out.exists()
    assert partial_path(out).exists()
    with pytest.raises(ExitError, match="other settings"):
        evaluate_many(source, output=out, draws=200, resume=True)
    made = evaluate_many(source, output=out, draws=100, resume=True)
    assert (made.rows, made.failed) == (7, 1)
    assert "went on after 4 rows" in made.remarks
    assert not partial_path(out).exists()
    if suffix == ".csv":
        assert out.read_bytes() == whole.read_bytes()
    else:
        import pyarrow.parquet as parquet

        assert parquet.read_table(out).equals(parquet.read_table(whole))
        assert parquet.read_metadata(out).metadata[b"complete"] == b"true"
        assert parquet.read_metadata(out).metadata[b"rows"] == b"7"


def test_a_line_that_was_cut_off_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "CHUNK", 2)
    source = write(tmp_path / "in.csv", companies(5))
    whole, out = tmp_path / "whole.csv", tmp_path / "out.csv"
    evaluate_many(source, output=whole, draws=100)
    with monkeypatch.context() as patch:
        interrupted_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            evaluate_many(source, output=out, draws=100)
    part = partial_path(out)
    part.write_bytes(part.read_bytes()[:-20])  # killed in the middle of a line
    made = evaluate_many(source, output=out, draws=100, resume=True)
    assert made.rows == 5
    assert out.read_bytes() == whole.read_bytes()


def test_the_command_tells_of_an_interruption_and_of_the_way_a_file_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(batch, "CHUNK", 2)
    source = write(tmp_path / "in.csv", companies(6), ";")
    out = tmp_path / "out.csv"
    words = ["batch", str(source), "-o", str(out), "--draws", "100", "--workers", "1"]
    with monkeypatch.context() as patch:
        interrupted_after(patch, 1)
        assert cli.main(words) == 130
    assert "--resume" in capsys.readouterr().err
    assert cli.main([*words, "--resume"]) == 0
    assert "semicolons" in capsys.readouterr().err
    assert len(out.read_text(encoding="utf-8").splitlines()) == 7


def test_only_a_file_can_be_taken_up_again(tmp_path: Path) -> None:
    with pytest.raises(ExitError) as caught:
        evaluate_many([{}], output=tmp_path / "o.csv", resume=True)
    assert caught.value.code == "EX803"
    with pytest.raises(ExitError, match="no output"):
        evaluate_many([{}], resume=True)


def test_rows_of_an_iterable_without_a_length_are_counted_as_they_come() -> None:
    def rows() -> Iterator[dict[str, Any]]:
        yield make_profile_dict(as_of="2026-11-01")
        yield json.loads("null")

    made = evaluate_many(rows(), draws=100)
    assert list(made["row"]) == [1, 2]
    assert np.isnan(made["rows"]).all()


def test_a_key_that_stands_twice_in_json_is_refused_wherever_json_is_read(tmp_path: Path) -> None:
    """The last of the two was taken: a cap table in a cell had nine million shares, not eight."""
    twice = '{"common": 8000000, "common": 9000000, "founders": 7000000}'
    made = evaluate_many([flat(cap_table=twice), flat()], draws=100)
    assert "EX121 common: the field is given twice" in made["errors"][0]
    assert made["errors"][1] == ""
    path = tmp_path / "twice.json"
    path.write_text(twice, encoding="utf-8")
    for read in (load_criteria, load_gates, read_ocf, Profile.from_file):
        with pytest.raises(ExitError, match="EX121 common: the field is given twice"):
            read(path)


@pytest.mark.parametrize("head", ["", "field,value\n", "Acme Inc,\n\n"])
@pytest.mark.parametrize("mark", [",", ";"])
def test_a_batch_of_one_company_in_two_columns_is_that_company(
    tmp_path: Path, head: str, mark: str
) -> None:
    upright = tmp_path / "one.csv"
    lines = [f"{key},{value}\n" for key, value in flat().items()]
    upright.write_text("".join((head, *lines)).replace(",", mark), encoding="utf-8")
    result = evaluate_many(upright, draws=100, workers=1)
    across = evaluate_many(write(tmp_path / "row.csv", [flat()]), draws=100, workers=1)
    assert scores(result) == scores(across)
    assert any("one company" in text for text in result.remarks)


def test_companies_side_by_side_are_refused_with_how_to_write_them(tmp_path: Path) -> None:
    file = tmp_path / "two.csv"
    file.write_text("field,A,B\nname,A,B\nas_of,2026-11-01,2026-11-01\n", encoding="utf-8")
    with pytest.raises(ExitError, match="several companies have a row each"):
        evaluate_many(file, draws=100, workers=1)
