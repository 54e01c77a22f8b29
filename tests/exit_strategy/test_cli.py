"""The command line: every command, its exit codes, its files."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest
from exit_profiles import make_profile_dict

from fastnn.exit_strategy.cli import commands as cli
from fastnn.exit_strategy.errors import ExitError
from fastnn.exit_strategy.profile.schema import template


@pytest.fixture
def acme(tmp_path: Path) -> str:
    path = tmp_path / "acme.json"
    path.write_text(json.dumps(make_profile_dict(as_of="2026-11-20")))
    return str(path)


def run(*words: str) -> int:
    return cli.main([*words])


def test_init_then_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new.toml"
    assert run("init", str(path), "--lang", "zh") == 0
    assert path.read_text(encoding="utf-8") == template("zh")
    assert run("check", str(path)) == 0
    assert run("init", str(path)) == cli.BAD_INPUT
    assert "use --force" in capsys.readouterr().err
    assert run("init", str(path), "--force", "--lang", "en") == 0


def test_score_prints_and_writes_every_format(
    acme: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / name for name in ("r.html", "r.json", "r.md")]
    code = run("score", acme, "--draws", "300", "--html", str(files[0]), "--json", str(files[1]),
               "--markdown", str(files[2]), "--lang", "en",
               "--options", "ipo,ma,dual_track")  # fmt: skip
    assert code == 0
    shown = capsys.readouterr()
    assert "Ranking" in shown.out
    assert "\x1b" not in shown.out
    assert shown.err == ""
    assert files[0].read_text(encoding="utf-8").startswith("<!doctype html>")
    assert len(json.loads(files[1].read_text(encoding="utf-8"))["ranking"]) == 3
    assert files[2].read_text(encoding="utf-8").startswith("# ")


def test_bad_input_is_2_and_names_every_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(make_profile_dict(cash=-1, sector="x")))
    assert run("score", str(path)) == cli.BAD_INPUT
    told = capsys.readouterr().err
    assert "2 problems:" in told
    assert "EX105 cash" in told
    assert "EX106 sector" in told
    assert run("score", str(tmp_path / "none.toml")) == cli.BAD_INPUT
    assert run("score", str(path), "--weights", "mine") == cli.BAD_INPUT


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (("score", "acme.jsn"), "EX112", "check the path"),
        (("score", "ACME", "--options", "ipo,mna"), "EX207", "did you mean 'ma'"),
        (("score", "ACME", "--weights", "foundr"), "EX205", "did you mean 'founder'"),
        (("score", "ACME", "--draws", "5"), "EX501", "100 or more"),
        (("score", "ACME", "--threads", "0"), "EX501", "1 to 256"),
        (("score", "ACME", "--html", "no/where.html"), "EX802", "create it first"),
        (("score", "ACME", "--options", "ipo,Sale"), "EX207", "did you mean 'ma'"),
        (("score", "ACME", "--options", "ipo,Hold"), "EX207", "did you mean 'hold'"),
        (("score", "ACME", "--options", "ipo,并购"), "EX207", "did you mean 'ma'"),
        (("score", "ACME", "--gates", "ACME"), "EX403", ""),
        (("score", "ACME", "--criteria", "none.json"), "EX206", "JSON criteria file"),
        (("score", "ACME", "--model", "nowhere"), "EX601", "model.json"),
        (("waterfall", "ACME", "--prices", "ten,-5"), "EX103", "30m"),
        (("waterfall", "ACME", "--prices", "-5m"), "EX105", "0 or more"),
        (("waterfall", "ACME", "--prices", "-€5m,3m"), "EX105", "0 or more"),
        (("round", "ACME", "--raise", "-4m", "--pre-money", "16m"), "EX301", "cap_table"),
        (("opm", "ACME", "--volatility", "-60%", "--years", "3"), "EX301", "cap_table"),
        (("investor", "ACME", "--holder", "A", "--prices", "-5m"), "EX105 --prices", "0 or more"),
        (("batch", "ACME", "-o", "x.csv"), "EX113", ".csv, .xlsx or .parquet"),
        (("gates", "--on", "someday"), "EX803", "year-month-day"),
        (("init", "ACME"), "EX802", "--force"),
        (("model", "evaluate", "x.csv", "--model", "default"), "EX601", "trained model"),
    ],
)
def test_a_users_mistake_is_told_with_its_code_and_its_fix(
    acme: str, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: str, hint: str
) -> None:
    assert run(*(acme if word == "ACME" else word for word in words)) == cli.BAD_INPUT
    told = capsys.readouterr()
    assert told.out == ""
    assert code in told.err
    assert "hint: " in told.err
    assert hint in told.err


@pytest.mark.parametrize(
    ("name", "given", "wanted"),
    [("--draws", "10k", "a whole number"), ("--kappa", "firm", "a number"),
     ("--threads", "2.5", "a whole number")],
)  # fmt: skip
def test_a_setting_that_is_no_number_is_told_how_to_write_it(
    acme: str, capsys: pytest.CaptureFixture[str], name: str, given: str, wanted: str
) -> None:
    with pytest.raises(SystemExit):
        run("score", acme, name, given)
    assert f"argument {name}: {given!r} is not {wanted}\n  hint: write it in digits" in (
        capsys.readouterr().err
    )


def test_faults_are_told_in_chinese(acme: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("score", acme, "--lang", "zh", "--weights", "mine") == cli.BAD_INPUT
    told = capsys.readouterr().err
    assert told.startswith("1 个问题：\nEX205 weights：没有这个权重方案")
    assert "提示：" in told


def test_too_little_information_is_3(tmp_path: Path) -> None:
    path = tmp_path / "bare.toml"
    path.write_text(template("en"), encoding="utf-8")
    assert run("score", str(path), "--draws", "200", "--quiet") == cli.INSUFFICIENT


def test_stale_gates_are_4_only_under_strict(acme: str, tmp_path: Path) -> None:
    raw = {"gates": [{"id": "EU_GDPR", "applies_to": ["ipo"], "jurisdiction": "EU", "rule": "x",
                      "source": "x", "confidence": "high", "checked": "2020-01-01"}]}  # fmt: skip
    overlay = tmp_path / "gates.json"
    overlay.write_text(json.dumps(raw))
    words = ("score", acme, "--draws", "200", "--quiet")
    assert run(*words, "--gates", str(overlay)) == 0
    assert run(*words, "--gates", str(overlay), "--strict") == cli.STALE
    assert run(*words, "--strict") == 0
    assert run("gates", "--check-age", "--on", "2026-11-22", "--strict") == 0
    assert run("gates", "--check-age", "--on", "2028-01-01") == 0
    assert run("gates", "--check-age", "--on", "2028-01-01", "--strict") == cli.STALE
    assert run("gates", "--on", "someday") == cli.BAD_INPUT
    assert run("venues", acme, "--gates", str(overlay), "--strict") == cli.STALE


def test_venues_process_and_waterfall_print(acme: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("venues", acme, "--lang", "en") == 0
    assert "New York Stock Exchange" in capsys.readouterr().out
    assert run("process", acme, "--draws", "200", "--lang", "en") == 0
    shown = capsys.readouterr().out
    assert "R8" in shown
    assert "->" in shown
    assert run("process", acme, "--draws", "200", "--mermaid", "--lang", "zh") == 0
    assert "graph TD" in capsys.readouterr().out
    assert run("process", acme, "--seed-view", "--lang", "zh") == 0
    assert capsys.readouterr().out.count("-.->") == 2
    assert run("waterfall", acme, "--prices", "10m,1.2bn") == 0
    assert "USD 1.2bn" in capsys.readouterr().out
    assert run("waterfall", acme, "--prices", "ten") == cli.BAD_INPUT


def test_batch_writes_and_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [make_profile_dict(name="A"), make_profile_dict(name="B", cash=-1)]
    source, output = tmp_path / "in.csv", tmp_path / "out.csv"
    names = list(rows[0])
    lines = [
        ",".join(";".join(map(str, v)) if isinstance(v, list) else str(v) for v in row.values())
        for row in rows
    ]
    source.write_text("\n".join([",".join(names), *lines]) + "\n")
    assert run("batch", str(source), "-o", str(output), "--draws", "200") == 0
    assert "2 companies, 1 with errors" in capsys.readouterr().out
    assert len(output.read_text().splitlines()) == 3
    assert run("batch", str(source), "-o", str(tmp_path / "x.xls")) == cli.BAD_INPUT
    assert run("batch", str(tmp_path / "no.csv"), "-o", str(output)) == cli.BAD_INPUT


def test_commands_mount_under_another_parser(acme: str) -> None:
    parser = argparse.ArgumentParser(prog="fastnn")
    tools = parser.add_subparsers(dest="command").add_parser("exit")
    cli.add_commands(tools.add_subparsers(dest="tool", required=True))
    args = parser.parse_args(["exit", "check", acme])
    assert args.run(args) == 0


def test_interrupt_and_unknown_error_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(args: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    assert cli.run(argparse.Namespace(action=interrupt)) == 130

    def fault(args: argparse.Namespace) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cli.run(argparse.Namespace(action=fault))
    assert issubclass(ExitError, ValueError)


def test_scoring_loads_no_heavy_package(acme: str) -> None:
    code = (
        "import sys; from fastnn.exit_strategy import cli; "
        f"code = cli.main(['score', {acme!r}, '--draws', '200', '--quiet']); "
        "heavy = {'pandas', 'matplotlib', 'pyarrow', 'yaml', 'scipy', 'sklearn', 'csv', "
        "'fastnn.exit_strategy.model'}; "
        "print(code, sorted(heavy & set(sys.modules)))"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "0 []", made.stdout + made.stderr
    code = "import sys, fastnn.exit_strategy; print('numpy' in sys.modules)"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "False"


def test_a_folder_that_does_not_exist_is_named_once(
    acme: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "no" / "a.md"
    for words in (("score", acme, "--markdown", str(path)), ("init", str(path))):
        assert run(*words) == cli.BAD_INPUT
        told = capsys.readouterr().err
        assert told.count("cannot write") == 1
        assert f"EX802 cannot write {path}: the folder {path.parent} does not exist" in told
        assert told.count("hint: ") == 1
    assert run("score", acme, "--markdown", str(path), "--lang", "zh") == cli.BAD_INPUT
    assert "不存在" in capsys.readouterr().err


def test_a_price_without_its_unit_is_remarked(
    acme: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("waterfall", acme, "--prices", "10;30m") == 0
    assert "is its unit missing?" in capsys.readouterr().out
    assert run("waterfall", acme, "--prices", "10;30m", "--lang", "zh") == 0
    assert "是否漏写单位" in capsys.readouterr().out
    assert run("waterfall", acme, "--prices", "0;10m;30m") == 0
    assert "unit" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "mended"),
    [
        ("cash = 1.5m", 'cash = "1.5m"'),
        ("cash = “5m”", 'cash = "5m"'),
        ("cash = HKD 250m  # in the bank", 'cash = "HKD 250m"'),
        ("growth_yoy = 55%", 'growth_yoy = "55%"'),
        ("sector = fintech", 'sector = "fintech"'),
        ("founded = 1 March 2021", 'founded = "1 March 2021"'),
    ],
)
def test_toml_words_without_quotes_are_told_with_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, mended: str
) -> None:
    path = tmp_path / "acme.toml"
    path.write_text(f'name = "Acme"\n{line}\n', encoding="utf-8")
    assert run("check", str(path)) == cli.BAD_INPUT
    assert f"hint: put the words of line 2 in quotes: {mended}" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["cash = [1,", 'cash = "1', "= 5", "cash", "cash ="])
def test_other_slips_in_toml_keep_the_general_hint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    path = tmp_path / "acme.toml"
    path.write_text(f"{line}\n")
    assert run("check", str(path)) == cli.BAD_INPUT
    assert "mend the line it names" in capsys.readouterr().err
