"""Promises of the learned model: features, leaks, metrics, calibration, files, explanation."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn.exit_strategy.cli import model as model_cli
from fastnn.exit_strategy.errors import ExitError
from fastnn.exit_strategy.model.card import audit, card_markdown, tpr_ratio
from fastnn.exit_strategy.model.fit import (
    FitSettings,
    apply_calibration,
    calibrate,
    ensemble_logits,
    fit_encoder,
    fit_network,
    mean_log_probability,
)
from fastnn.exit_strategy.model.metrics import bootstrap_difference, evaluate_probabilities
from fastnn.exit_strategy.model.network import BaseRates, ExitNetwork, base_rates, load_model
from fastnn.exit_strategy.model.table import (
    CATEGORIES,
    CLASSES,
    NUMBERS,
    Table,
    check_features,
    profile_row,
    read_table,
)


def made_table(n: int = 1500, seed: int = 0) -> Table:
    """Companies whose chance of sale rises with money raised, and of listing even more."""
    rng = np.random.default_rng(seed)
    raised = 10 ** rng.uniform(5, 8.5, n)
    columns: dict[str, Any] = {name: rng.integers(0, 5, n).astype(str) for name in NUMBERS}
    columns["total_raised_usd"] = [f"{x:.0f}" if x > 2e5 else "" for x in raised]
    columns["age_years"] = [f"{x:.2f}" for x in rng.uniform(0.5, 15, n)]
    columns["category_code"] = rng.choice(["software", "biotech", "web", "rare"], n,
                                          p=[0.5, 0.29, 0.2, 0.01])  # fmt: skip
    columns["last_round_type"] = rng.choice(["angel", "series-a", "series-b"], n)
    columns["region"] = rng.choice(["SF Bay", "Boston", "Austin"], n)
    columns["exit_date"] = [""] * n
    z = np.log10(raised) - 7
    logits = np.stack([np.full(n, 2.0), z, 1.5 * z - 1], axis=1)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    y = (rng.random(n)[:, None] > p.cumsum(1)).sum(1).clip(0, 2)
    columns["outcome"] = [CLASSES[i] for i in y]
    return Table({k: tuple(str(x) for x in v) for k, v in columns.items()}, y.astype(np.int64))


def write_csv(table: Table, path: Path) -> Path:
    names = list(table.columns)
    rows = zip(*(table.columns[n] for n in names), strict=True)
    path.write_text("\n".join([",".join(names), *(",".join(r) for r in rows)]) + "\n")
    return path


@pytest.fixture(scope="module")
def model() -> ExitNetwork:
    """A small trained ensemble."""
    table, stop = made_table(), made_table(600, 1)
    encoder = fit_encoder(table)
    x, later = encoder.encode_table(table), encoder.encode_table(stop)
    settings = FitSettings(epochs=12, patience=4)
    weight = np.ones(len(x), np.float32)
    nets = [
        fit_network((x, table.outcome, weight), (later, stop.outcome), settings, seed)[0]
        for seed in range(3)
    ]
    log_p = mean_log_probability(ensemble_logits(nets, later))
    medians = {"": tuple(float(v) for v in np.median(x, axis=0))}
    terms = calibrate(log_p, stop.outcome)
    fairness = audit(stop, apply_calibration(log_p, terms))
    facts = {"rows": 1500, "landmarks": ["made"], "networks": 3, "epochs": [1, 2, 3]}
    return ExitNetwork(
        "made", encoder, tuple(nets), terms, medians, {**facts, "fairness": fairness}
    )


def make_profile(**changes: Any) -> SimpleNamespace:
    day = dt.date
    rounds = (
        SimpleNamespace(date=day(2010, 1, 1), type="angel", amount=5e5),
        SimpleNamespace(date=day(2011, 1, 1), type="series_a", amount=None),
    )
    values: dict[str, Any] = {
        "funding_rounds": rounds,
        "as_of": day(2012, 1, 1),
        "founded": day(2009, 1, 1),
        "sector": "software",
        "total_raised": 4e6,
        "usd": float,
    }
    return SimpleNamespace(**(values | changes))


def test_profile_features_are_those_of_the_training_table() -> None:
    numbers, labels, unknown = profile_row(make_profile())
    assert numbers["age_years"] == pytest.approx(3.0, abs=0.01)
    assert numbers["months_since_first"] == pytest.approx(24.0, abs=0.05)
    assert numbers["mean_gap_months"] == pytest.approx(12.0, abs=0.05)
    assert (numbers["n_angel"], numbers["n_series_a"], numbers["n_rounds"]) == (1, 1, 2)
    assert numbers["undisclosed_rounds"] == 1
    assert numbers["raised_per_year"] == pytest.approx(2e6, rel=0.01)
    assert labels == {"category_code": "software", "last_round_type": "series-a"}
    assert unknown == ("last_round_usd",)


@pytest.mark.parametrize("name", ["exit_date", "outcome", "closed_at", "permalink"])
def test_a_leaked_column_is_refused_by_name(name: str) -> None:
    with pytest.raises(ExitError, match=name) as caught:
        fit_encoder(made_table(200), numbers=(*NUMBERS, name))
    assert caught.value.code == "EX604"
    with pytest.raises(ExitError, match="EX604"):
        check_features([name], [name])


def test_tables_with_faults_are_refused(tmp_path: Path) -> None:
    table = made_table(50)
    no_column = replace(table, columns={k: v for k, v in table.columns.items() if k != "n_angel"})
    wrong = {**table.columns, "outcome": ("sold",) * 50}
    empty = replace(table.take(np.zeros(50, bool)), outcome=np.zeros(0, np.int64))
    for case, code in (
        (no_column, "EX603"),
        (replace(table, columns=wrong), "EX605"),
        (empty, "EX605"),
    ):
        with pytest.raises(ExitError) as caught:
            read_table(write_csv(case, tmp_path / "t.csv"))
        assert caught.value.code == code
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "b.csv", tmp_path / "absent.csv"):
        with pytest.raises(ExitError) as caught:
            read_table(path)
        assert caught.value.code == "EX112"
    ragged = write_csv(table, tmp_path / "r.csv")
    ragged.write_text(ragged.read_text() + "1,2\n")
    with pytest.raises(ExitError, match="row 52"):
        read_table(ragged)


def test_metrics_equal_scikit_learn() -> None:
    sk = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(5)
    y = rng.choice(3, 4000, p=[0.9, 0.07, 0.03])
    p = rng.dirichlet([8, 1, 0.5], 4000).round(3) + 1e-4
    p /= p.sum(1, keepdims=True)
    got = evaluate_probabilities(p, y, CLASSES, resamples=50)
    v = got.values
    assert v["log_loss"] == pytest.approx(sk.log_loss(y, p))
    assert v["brier"] == pytest.approx(((p - np.eye(3)[y]) ** 2).sum(1).mean())
    for i, name in ((1, "acquired"), (2, "ipo")):
        assert v["auc"][name] == pytest.approx(sk.roc_auc_score(y == i, p[:, i]))
        assert v["ap"][name] == pytest.approx(sk.average_precision_score(y == i, p[:, i]))
        low, high = got.intervals["auc"][name]
        assert low < v["auc"][name] < high
    top = np.argsort(-p[:, 1], kind="stable")[:100]
    assert v["precision_at_100"]["acquired"] == pytest.approx((y[top] == 1).mean())
    errors = []
    for i in range(3):  # 15 bins of equal size
        order = np.argsort(-p[:, i], kind="stable")
        bins = np.minimum(((np.arange(4000) + 0.5) / 4000 * 15).astype(int), 14)
        gaps = [abs((p[order, i] - (y[order] == i))[bins == b].sum()) / 4000 for b in range(15)]
        errors.append(sum(gaps))
    assert v["ece"] == pytest.approx(np.mean(errors))


def test_every_interval_holds_its_score() -> None:
    rng = np.random.default_rng(11)
    p = rng.dirichlet([8, 1, 0.5], 1500)
    y = (rng.random(1500)[:, None] > p.cumsum(1)).sum(1).clip(0, 2)
    got = evaluate_probabilities(p, y, CLASSES, resamples=200)

    def check(value: Any, interval: Any) -> None:
        if isinstance(value, dict):
            for name in value:
                check(value[name], interval[name])
        else:
            assert 0 <= interval[0] < value < interval[1]

    check(got.values, got.intervals)


def test_shuffled_labels_have_no_skill_and_no_difference() -> None:
    rng = np.random.default_rng(2)
    y = rng.choice(3, 20_000, p=[0.8, 0.15, 0.05])
    p = rng.dirichlet([8, 1, 0.5], 20_000)
    v = evaluate_probabilities(p, y, CLASSES, resamples=2).values
    assert v["auc"]["acquired"] == pytest.approx(0.5, abs=0.02)
    same = bootstrap_difference(p, p, y, CLASSES, resamples=5)
    assert same["difference"]["log_loss"] == 0.0
    assert same["intervals"]["brier"] == [0.0, 0.0]


def test_shuffled_training_labels_teach_nothing() -> None:
    table, later = made_table(3000), made_table(20_000, 21)
    encoder, rng = fit_encoder(table), np.random.default_rng(4)
    x, y = encoder.encode_table(table), rng.permutation(table.outcome)
    train = (x[:2400], y[:2400], np.ones(2400, np.float32))
    nets = [fit_network(train, (x[2400:], y[2400:]), FitSettings(epochs=15), k)[0]
            for k in range(3)]  # fmt: skip
    p = np.exp(mean_log_probability(ensemble_logits(nets, encoder.encode_table(later))))
    v = evaluate_probabilities(p, rng.permutation(later.outcome), CLASSES, resamples=2).values
    assert v["auc"]["acquired"] == pytest.approx(0.5, abs=0.02)
    assert v["auc"]["ipo"] == pytest.approx(0.5, abs=0.02)


def test_a_rare_class_starts_at_its_rate_and_is_not_lost() -> None:
    """Without a start at the class rates the bias of a class of 1 % is still far off."""
    rng = np.random.default_rng(6)
    x = rng.normal(size=(6000, 5)).astype(np.float32)
    y = (rng.random(6000) < 0.01).astype(np.int64) * 2
    train = (x[:5000], y[:5000], np.ones(5000, np.float32))
    settings = FitSettings(hidden=(), epochs=1, weight_decay=0.0, l2=1e-3)
    layers, _ = fit_network(train, (x[5000:], y[5000:]), settings, 1)
    p = np.exp(mean_log_probability(ensemble_logits([layers], x[5000:])))
    assert p[:, 2].mean() < 0.05
    assert p[:, 1].mean() < 0.01


def test_encoded_numbers_bend_at_their_quantiles_and_belong_to_their_feature() -> None:
    table = made_table(800)
    bent, straight = fit_encoder(table), fit_encoder(table, knots=())
    x = bent.encode_table(table)
    raised = np.log1p(np.nan_to_num(table.numbers("total_raised_usd"), nan=0.0))
    columns = bent.blocks()["total_raised_usd"]
    assert len(columns) == 2 + 6
    assert straight.width + sum(len(k) for k in bent.knots) == bent.width == x.shape[1]
    assert sorted(i for row in bent.blocks().values() for i in row) == list(range(bent.width))
    at = bent.numbers.index("total_raised_usd")
    known = ~np.isnan(table.numbers("total_raised_usd"))
    hinge = np.clip((raised - bent.knots[at][2]) / bent.scale[at], 0, 4)
    assert np.allclose(x[known, columns[4]], hinge[known], atol=1e-5)
    assert (x[~known][:, columns[2:]] == 0).all()


def test_a_column_that_hardly_varied_in_training_says_nothing_later() -> None:
    table = made_table(900)
    rare = {**table.columns, "n_crowdfunding": ("1",) * 3 + ("0",) * 897}
    encoder = fit_encoder(replace(table, columns=rare))
    later = {**table.columns, "n_crowdfunding": ("2",) * 900, "n_angel": ("",) * 900}
    x = encoder.encode_table(replace(table, columns=later))
    column, mark = encoder.blocks()["n_crowdfunding"]
    assert {column, mark} <= set(encoder.silent)
    assert (x[:, encoder.silent] == 0).all()
    assert encoder.blocks()["n_angel"][1] in encoder.silent  # never missing in training
    assert encoder.blocks()["n_angel"][0] not in encoder.silent


def test_calibration_finds_the_slope_and_biases_back() -> None:
    rng = np.random.default_rng(8)
    truth = rng.dirichlet([6, 2, 1], 40_000)
    y = (rng.random(40_000)[:, None] > truth.cumsum(1)).sum(1).clip(0, 2)
    log_p = np.log(truth)
    # Too sure by 2 and biased: softmax(2 log p + (0, -1, 0.5)).
    z = 2 * log_p + np.array([0.0, -1.0, 0.5])
    bad = z - np.log(np.exp(z).sum(1, keepdims=True))
    terms = calibrate(bad, y)
    assert terms[0] == pytest.approx(0.5, abs=0.03)
    fixed = apply_calibration(bad, terms)
    assert np.abs(fixed - truth).mean() < 0.01


def test_networks_learn_and_repeat_bit_for_bit(model: ExitNetwork) -> None:
    test = made_table(3000, 9)
    v = evaluate_probabilities(model.predict_table(test), test.outcome, CLASSES, resamples=2).values
    assert v["auc"]["acquired"] > 0.6
    assert v["auc"]["ipo"] > 0.7
    prior = np.bincount(test.outcome, minlength=3) / len(test)
    assert v["log_loss"] < -(prior * np.log(prior)).sum()
    x = model.encoder.encode_table(made_table())
    y = made_table().outcome
    settings = FitSettings(epochs=2)
    weight = np.ones(len(x), np.float32)
    a, b = (fit_network((x, y, weight), (x[:100], y[:100]), settings, 5)[0] for _ in range(2))
    assert all(p.tobytes() == q.tobytes() for s, t in zip(a, b, strict=True)
               for p, q in zip(s, t, strict=True))  # fmt: skip


def test_unseen_labels_and_missing_numbers_are_unknown_not_errors(model: ExitNetwork) -> None:
    later = made_table(40, 3)
    columns = {**later.columns, "category_code": ("never seen",) * 40, "age_years": ("",) * 40,
               "max_round_usd": ("########",) * 40}  # fmt: skip
    p = model.predict_table(replace(later, columns=columns))
    assert np.isfinite(p).all()
    assert p.sum(1) == pytest.approx(np.ones(40))


def test_a_saved_model_predicts_the_same_bits(model: ExitNetwork, tmp_path: Path) -> None:
    model.save(tmp_path / "m")
    again = load_model(tmp_path / "m")
    assert isinstance(again, ExitNetwork)
    table = made_table(100, 4)
    assert again.predict_table(table).tobytes() == model.predict_table(table).tobytes()
    assert "Model card" in card_markdown(again.facts)


@pytest.mark.parametrize("damage", ["schema", "missing", "shape", "cut", "text"])
def test_damaged_model_files_are_refused(model: ExitNetwork, tmp_path: Path, damage: str) -> None:
    model.save(tmp_path)
    head = json.loads((tmp_path / "model.json").read_text())
    if damage == "schema":
        head["schema"] = "exit-model/99"
    if damage == "missing":
        del head["calibration"]
    if damage == "shape":
        head["encoder"]["numbers"] = head["encoder"]["numbers"][:-1]
    (tmp_path / "model.json").write_text("{" if damage == "text" else json.dumps(head))
    if damage == "cut":
        data = (tmp_path / "networks.npz").read_bytes()
        (tmp_path / "networks.npz").write_bytes(data[: len(data) // 2])
    with pytest.raises(ExitError) as caught:
        load_model(tmp_path)
    assert caught.value.code == "EX602"


def test_explanation_adds_up(model: ExitNetwork) -> None:
    for outcome in CLASSES:
        told = model.explain(make_profile(), outcome)
        assert told.completeness_error < 1e-3
        assert sum(told.contributions.values()) == pytest.approx(
            told.value - told.baseline, abs=1e-3
        )
    raised = model.explain(make_profile(total_raised=2.5e8), "ipo")
    assert raised.contributions["total_raised_usd"] == max(raised.contributions.values())


def test_a_profile_beyond_the_training_data_is_outside_the_hull(model: ExitNetwork) -> None:
    lab = make_profile(sector="foundation_model", total_raised=9e9)
    check = model.in_hull(lab)
    assert not check.inside
    assert {"total_raised_usd", "category_code"} <= set(check.outside)
    chances = model.probabilities(make_profile())
    assert chances.none + chances.acquired + chances.ipo == pytest.approx(1.0)
    assert all(s >= 0 for s in chances.spread)
    assert chances.source == "made"


def test_base_rates_follow_their_table() -> None:
    wanted = {5e5: (0.035, 0.0005), 4e6: (0.069, 0.0004), 3e7: (0.11, 0.02), 2e8: (0.079, 0.122)}
    for raised, (acquired, ipo) in wanted.items():
        p = base_rates(make_profile(total_raised=raised))
        assert (p.acquired, p.ipo) == (acquired, ipo)
        assert p.none == pytest.approx(1 - acquired - ipo)
    blind = make_profile(total_raised=None, funding_rounds=())
    assert (base_rates(blind).acquired, base_rates(blind).ipo) == (0.078, 0.008)
    shipped = load_model("default")
    assert isinstance(shipped, BaseRates)
    assert shipped.probabilities(make_profile()) == base_rates(make_profile())
    with pytest.raises(ExitError, match="EX601"):
        load_model("no/such/folder")


def test_audit_counts_groups_by_hand() -> None:
    table = made_table(1000, 6)
    p = np.zeros((1000, 3))
    p[:, 1] = np.linspace(0, 1, 1000)
    rows = audit(table, p)["region"]
    assert sum(r["rows"] for r in rows) == 1000
    hubs = np.array(table.columns["region"]) == "SF Bay"
    hit, chosen = table.outcome == 1, p[:, 1] >= np.quantile(p[:, 1], 0.9)
    own = next(r for r in rows if r["group"] == "SF Bay")
    assert own["tpr"] == pytest.approx(chosen[hubs & hit].mean())
    assert own["selection_rate"] == pytest.approx(chosen[hubs].mean())
    assert own["calibration_gap"] == pytest.approx(p[hubs, 1].mean() - hit[hubs].mean())
    assert tpr_ratio([{"tpr": 0.137, "acquired": 50}, {"tpr": 0.301, "acquired": 50}]) == (
        pytest.approx(0.455, abs=1e-3)
    )


def test_the_evaluate_command_prints_one_json_object(
    model: ExitNetwork, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import argparse

    model.save(tmp_path / "m")
    path = write_csv(made_table(400, 7), tmp_path / "later.csv")
    parser = argparse.ArgumentParser()
    model_cli.add_commands(parser.add_subparsers())
    args = parser.parse_args(["model", "evaluate", str(path), "--model", str(tmp_path / "m"),
                              "--json", "--resamples", "20"])  # fmt: skip
    assert args.action(args) == 0
    out = json.loads(capsys.readouterr().out)
    for key in ("log_loss", "brier", "ece"):
        low, high = out["intervals"][key]
        assert 0 <= low <= high
        assert isinstance(out[key], float)
    for key in ("auc", "ap", "precision_at_100"):
        assert set(out[key]) == {"acquired", "ipo"} == set(out["intervals"][key])
    lines = path.read_text().splitlines()
    order = np.random.default_rng(1).permutation(len(lines[0].split(",")))
    mixed = "\n".join(",".join(np.array(line.split(","))[order]) for line in lines)
    (tmp_path / "mixed.csv").write_text(mixed + "\n1,2\n" + lines[0] + "\n")
    words = ["model", "evaluate", str(tmp_path / "mixed.csv"), "--model", str(tmp_path / "m")]
    again = parser.parse_args([*words, "--json", "--resamples", "20"])
    assert again.action(again) == 0
    shown = capsys.readouterr()
    other = json.loads(shown.out)
    assert [row.split(":")[0] for row in other.pop("skipped")] == ["row 402", "row 403"]
    assert "left out: row 402: 2 fields" in shown.err
    assert out.pop("skipped") == []
    assert other == out
    card = parser.parse_args(["model", "card", "--model", str(tmp_path / "m")])
    assert card.action(card) == 0
    assert "Fairness audit" in capsys.readouterr().out
    assert fastnn.__version__


PROFILE = """
name = "Co"
as_of = 2012-01-01
country = "US"
sector = "software"
currency = "USD"
founded = 2009-01-01
revenue_ttm = 5e6
growth_yoy = 0.5
audited_years = 2
cash = 5e6
monthly_burn = 3e5
need_24m = 1e7
total_raised = 40e6
funding_rounds = [{date = 2010-06-01, type = "series_a", amount = 8e6},
                  {date = 2011-01-01, type = "series_b", amount = 32e6}]
valuation = {low = 3e7, mid = 5e7, high = 8e7}
"""


def test_the_explain_command_adds_up_and_reports_show_the_networks_spread(
    model: ExitNetwork, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from fastnn.exit_strategy.cli import commands as cli
    from fastnn.exit_strategy.evaluation import evaluate
    from fastnn.exit_strategy.profile.profile import Profile

    model.save(tmp_path / "m")
    (tmp_path / "co.toml").write_text(PROFILE.replace("\n                  {", "{"))
    words = ["model", "explain", str(tmp_path / "co.toml"), "--model", str(tmp_path / "m")]
    assert cli.main([*words, "--outcome", "ipo"]) == 0
    shown = capsys.readouterr().out
    assert "Chance of a listing within 26 months" in shown
    assert "money raised" in shown
    assert cli.main([*words, "--lang", "zh"]) == 0
    assert "被收购的概率" in capsys.readouterr().out
    assert cli.main([*words[:-1], "default"]) == cli.BAD_INPUT
    company = Profile.from_file(tmp_path / "co.toml")
    wide = replace(model.encoder, low=(-1.0,) * len(NUMBERS), high=(1e12,) * len(NUMBERS))
    inside = evaluate(company, model=replace(model, encoder=wide), draws=200)
    assert inside.base.probabilities.source == "made"
    assert "The model's networks differ by" in inside.to_markdown()
    beyond = evaluate(company, model=model, draws=200)
    assert beyond.base.probabilities.source == "base_rate"
    note = next(n for n in beyond.warnings if n.key == "outside_model")
    assert "轮" in note.text("zh")
    assert "n_series" not in note.text("zh")


def test_the_landmark_table_reads_whole(golden: dict[str, Any]) -> None:
    assert golden["schema"] == "golden/1"  # the fixture skips without the data folder
    root = Path(__file__).resolve().parents[2]
    folder = Path(os.environ.get("FASTNN_DATA") or root.parent / "shared" / "data")
    table = read_table(folder / "startups" / "exit_landmarks_2006_2011_h26m.csv")
    assert len(table) == 32_523
    assert np.bincount(table.outcome).tolist() == [29_714, 2_550, 259]
    encoder = fit_encoder(table)
    bends = sum(len(v) for v in encoder.knots)
    labels = sum(len(v) for v in encoder.labels.values())
    assert encoder.width == 2 * len(NUMBERS) + bends + labels
    assert bends >= 30
    assert set(encoder.labels) == set(CATEGORIES)
    assert np.isfinite(encoder.encode_table(table.take(np.arange(500)))).all()


@pytest.mark.slow
def test_training_from_the_data_folder_is_no_worse_than_logistic_regression(
    golden: dict[str, Any], tmp_path: Path
) -> None:
    pytest.importorskip("sklearn")
    assert golden["schema"] == "golden/1"  # the fixture skips without the data folder
    root = Path(__file__).resolve().parents[2]
    data = Path(os.environ.get("FASTNN_DATA") or root.parent / "shared" / "data")
    train = [
        sys.executable,
        str(root / "examples" / "exit_model" / "train.py"),
        "--data",
        str(data),
    ]
    words = [*train, "--out", str(tmp_path / "m"), "--networks", "5", "--resamples", "50"]
    environment = {**os.environ, "PYTHONPATH": str(root / "python"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "m" / "report.json").read_text())
    for part in (report["selection"], report["selection"]["unseen_companies"]):
        for key in ("log_loss", "brier"):
            assert part["model"][key] < part["baseline"][key], key
            low, high = part["difference"]["intervals"][key]
            assert low < part["difference"]["difference"][key] < high
        assert part["model"]["ece"] < part["baseline"]["ece"] + 0.002
    assert report["selection"]["tpr_ratio"] >= 0.45
    encoder = json.loads((tmp_path / "m" / "model.json").read_text())["encoder"]
    assert not {"region", "state_code"} & {*encoder["numbers"], *encoder["labels"]}
    card = (tmp_path / "m" / "MODEL_CARD.md").read_text()
    for heading in ("Choice by rolling origin", "Inner time split", "Fairness audit", "By region"):
        assert heading in card
    leaked = subprocess.run([*words, "--also", "exit_date"], env=environment, capture_output=True,
                            text=True, check=False)  # fmt: skip
    assert leaked.returncode == 2
    assert "EX604 exit_date" in leaked.stderr
