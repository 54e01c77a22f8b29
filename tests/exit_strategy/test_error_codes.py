"""Every code of the catalogue is reached: a fault of its own, a field or a place, and a fix."""

from __future__ import annotations

import argparse
import builtins
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exit_profiles import TODAY, make_profile_dict

from fastnn.exit_strategy.batch import evaluate_many
from fastnn.exit_strategy.cli import commands as cli
from fastnn.exit_strategy.cli.model import add_commands
from fastnn.exit_strategy.criteria import load_criteria, resolve_weights
from fastnn.exit_strategy.errors import CODES, ExitError, Issue, code_title
from fastnn.exit_strategy.evaluation import evaluate
from fastnn.exit_strategy.gates.data import check_age, load_gates
from fastnn.exit_strategy.model.network import load_model
from fastnn.exit_strategy.model.table import check_features, read_table
from fastnn.exit_strategy.money.outcomes import parse_assumptions, parse_cap_table, proceeds
from fastnn.exit_strategy.notes import Note
from fastnn.exit_strategy.process.process import Process
from fastnn.exit_strategy.profile.profile import Profile
from fastnn.exit_strategy.result import Result
from fastnn.exit_strategy.scoring.scores import topsis
from fastnn.exit_strategy.scoring.uncertainty import simulate

TREE = load_criteria()


def company(**changes: Any) -> Profile:
    return Profile.from_dict(make_profile_dict(**changes), today=TODAY)


def scored(**settings: Any) -> Result:
    return evaluate(company(), draws=100, **settings)


def circular() -> list[list[float]]:
    """Economics over stage over market over economics, nine times each."""
    matrix = np.ones((7, 7))
    for i, j in ((0, 1), (1, 2), (2, 0)):
        matrix[i, j], matrix[j, i] = 9.0, 1 / 9
    return [list(map(float, row)) for row in matrix]


def cap_table(data: Any) -> None:
    issues: list[Issue] = []
    parse_cap_table(data, issues)
    raise ExitError(issues)


def assumption(**data: Any) -> None:
    issues: list[Issue] = []
    parse_assumptions(data, issues)
    raise ExitError(issues)


def unstable_conversion(patch: pytest.MonkeyPatch) -> None:
    """The equilibrium always exists, so the check behind it is shown a holder who would switch."""
    patch.setattr("fastnn.exit_strategy.money.outcomes.profitable_switch", lambda claims, net: "A")
    made = company(cap_table={"common": 1e6, "founders": 1e6})
    proceeds(made, made.cap_table, None, ["ma"])


def without_yaml(patch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: Any, **more: Any) -> Any:
        if name == "yaml":
            raise ImportError(name)
        return real(name, *rest, **more)

    patch.setattr(builtins, "__import__", refuse)
    patch.delitem(sys.modules, "fastnn.exit_strategy.reading.bounded_yaml", raising=False)
    Profile.from_text("name: x", ".yaml")


def odd_row() -> None:
    """A row that raises what nobody foresaw, in a batch that goes on."""
    made = evaluate_many([Odd()], draws=100)
    code, _, text = made["errors"][0].partition(" ")
    raise ExitError(Issue(code, "", text, "see the row"))


class Odd(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise RuntimeError("broken")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("broken")

    def __len__(self) -> int:
        return 1


def evaluate_base_rates(resamples: str, table: str) -> None:
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    words = ["model", "evaluate", table, "--model", "default", "--resamples", resamples]
    args = parser.parse_args(words)
    args.action(args)


def write(folder: Path, name: str, words: str) -> Path:
    (folder / name).write_text(words, encoding="utf-8")
    return folder / name


#: code -> what meets it, given a scratch folder; raises ExitError, or returns warnings.
CASES: dict[str, Callable[[Path, pytest.MonkeyPatch], object]] = {
    "EX101": lambda f, m: company(cash=None),
    "EX102": lambda f, m: company(csh=1),
    "EX103": lambda f, m: company(cash="plenty"),
    "EX104": lambda f, m: company(cash=float("nan")),
    "EX105": lambda f, m: company(cash=-1),
    "EX106": lambda f, m: company(sector="ai"),
    "EX107": lambda f, m: company(as_of="soon"),
    "EX108": lambda f, m: company(as_of="2031-01-01"),
    "EX109": lambda f, m: company(**{"valuation.low": 9e9}),
    "EX110": lambda f, m: company(revenue_last_fy=[1, 2, 3, 4]),
    "EX111": lambda f, m: company(name=" "),
    "EX112": lambda f, m: Profile.from_file(f / "none.toml"),
    "EX113": lambda f, m: Profile.from_file(write(f, "a.docx", "x")),
    "EX114": lambda f, m: Profile.from_file(write(f, "a.toml", "a = = 1")),
    "EX115": lambda f, m: company(**{"valuation.high": None}),
    "EX116": lambda f, m: company(uncertainty={"growth_yoy": {"dist": "cauchy"}}),
    "EX117": lambda f, m: company(**{"controls.data_security": {"encryption": "maybe"}}),
    "EX118": lambda f, m: company(ebitda_margin=0.9),
    "EX119": lambda f, m: company(cash="KZT 5m"),
    "EX120": lambda f, m: company(correlation=[["growth_yoy", "growth_yoy", 0.3]]),
    "EX121": lambda f, m: Profile.from_text('{"cash": 1, "cash": 2}', ".json"),
    "EX122": lambda f, m: company(cash="1,500"),
    "EX123": lambda f, m: odd_row(),
    "EX201": lambda f, m: resolve_weights([0.2] * 7, TREE),
    "EX202": lambda f, m: resolve_weights([0.5, 0.5, -0.1, 0.1, 0, 0, 0], TREE),
    "EX203": lambda f, m: resolve_weights([[1, 2], [3, 4]], TREE),
    "EX204": lambda f, m: resolve_weights(circular(), TREE),
    "EX205": lambda f, m: resolve_weights("mine", TREE),
    "EX206": lambda f, m: load_criteria(write(f, "c.json", "{")),
    "EX207": lambda f, m: scored(options=("ipo", "mma")),
    "EX208": lambda f, m: topsis(np.ones((2, 3)), [1.0]),
    "EX301": lambda f, m: company(cap_table={}),
    "EX302": lambda f, m: cap_table({"common": 1, "options": {"n": 0}}),
    "EX303": lambda f, m: cap_table({"common": 1, "founders": 2}),
    "EX304": lambda f, m: evaluate(company(debt=900e6), draws=100).warnings,
    "EX305": lambda f, m: unstable_conversion(m),
    "EX306": lambda f, m: cap_table({"common": 1, "clases": []}),
    "EX307": lambda f, m: assumption(discount_rate=-1),
    "EX308": lambda f, m: cap_table({"common": -5}),
    "EX309": lambda f, m: cap_table({"ocf": str(f / "none.ocf.zip")}),
    "EX401": lambda f, m: company(currency="USX"),
    "EX402": lambda f, m: company(fx={"HKD": -1}),
    "EX403": lambda f, m: load_gates(write(f, "g.json", "{")),
    "EX404": lambda f, m: [flag.note for flag in check_age(load_gates(), TODAY.replace(2029))],
    "EX501": lambda f, m: scored(seed=-1),
    "EX502": lambda f, m: simulate(replace(scored().spec, open_options=(True,))),
    "EX503": lambda f, m: evaluate(company(), draws=10**9),
    "EX601": lambda f, m: load_model(f / "none"),
    "EX602": lambda f, m: load_model(write(f, "model.json", "{").parent),
    "EX603": lambda f, m: read_table(write(f, "t.csv", "outcome\nnone\n")),
    "EX604": lambda f, m: check_features(["exit_date"], ["exit_date"]),
    "EX605": lambda f, m: read_table(write(f, "t.csv", "a,outcome\n1,sold\n"), ("a",)),
    "EX701": lambda f, m: Process(scored()).fire("ring_the_bell"),
    "EX702": lambda f, m: Process(scored(), start="LIMBO"),
    "EX703": lambda f, m: Process(scored()).fire("x", date="today"),  # type: ignore[arg-type]
    "EX801": lambda f, m: scored().to_html(lang="fr"),
    "EX802": lambda f, m: scored().to_html(f / "no" / "a.html"),
    "EX803": lambda f, m: cli._gates(argparse.Namespace(on="someday", gates=None)),
    "EX804": lambda f, m: without_yaml(m),
}  # fmt: skip


#: Codes that are flagged beside the answer; all others refuse the input.
FLAGGED = ("EX304", "EX404")


@pytest.mark.parametrize("code", [code for code in CODES if code not in FLAGGED])
def test_every_code_refuses_something_with_a_reason_and_a_fix(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert code_title(code)
    with pytest.raises(ExitError) as caught:
        CASES[code](tmp_path, monkeypatch)
    assert code in [issue.code for issue in caught.value.issues], str(caught.value)
    assert all(issue.hint and issue.message for issue in caught.value.issues)


@pytest.mark.parametrize("code", FLAGGED)
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_flagged_faults_carry_their_code_in_both_languages(
    code: str, lang: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = CASES[code](tmp_path, monkeypatch)
    assert isinstance(found, list | tuple)
    notes = [note for note in found if isinstance(note, Note) and note.code == code]
    assert notes
    assert all(note.text(lang).startswith(f"{code} ") for note in notes)


def test_a_price_below_debt_is_flagged_with_its_code_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, "a.json", json.dumps(make_profile_dict(debt=200e6)))
    assert cli.main(["waterfall", str(path), "--prices", "10m,500m", "--lang", "en"]) == 0
    shown = capsys.readouterr().out
    assert "EX304" in shown
    assert "settle the debt first" in shown
