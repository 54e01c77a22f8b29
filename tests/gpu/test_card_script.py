"""The script that measures a card: what it writes, also when time is short."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REPORT = """<testsuites><testsuite>
<testcase name="a"/><testcase name="b"><skipped message="no"/></testcase>
<testcase name="c"><failure message="off by 1">text</failure></testcase>
<testcase name="d"><error message="no device">text</error></testcase>
</testsuite></testsuites>"""


@pytest.fixture(scope="module")
def card():
    spec = importlib.util.spec_from_file_location("gpu_card", ROOT / "benches" / "gpu_card.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(folder, *words):
    out = folder / "card.json"
    script = [sys.executable, str(ROOT / "benches" / "gpu_card.py"), "--out", str(out), "--small"]
    subprocess.run([*script, *words], check=True)
    return json.loads(out.read_text("utf-8"))


def test_losses_are_written_beside_those_of_the_cpu(gpu, tmp_path):
    found = run(tmp_path, "--jobs", "mlp", "transfers")
    losses = [found["mlp"][d]["loss of the first epoch"] for d in ("cpu", "gpu:0")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert [row["bytes"] for row in found["transfers"]] == [4, 1 << 16, 1 << 20]
    assert found["limits"]["storage_buffers"] >= 8
    assert "cnn" not in found


def test_jobs_that_time_does_not_suffice_for_are_said_to_be_left_out(gpu, tmp_path):
    found = run(tmp_path, "--minutes", "0", "--rows", "0")
    assert found["mlp"] == found["large product"] == "no time left"


def test_what_dispatches_cost_is_measured_both_ways(gpu, card):
    found = card.encoding(gpu, 3)
    for name in ("dependent", "independent"):
        assert found[name]["encode by the core"]["min"] > 0
        assert found[name]["encode, submit and wait"]["runs"] >= 3


def test_cases_of_rows_are_counted_and_failures_named(card, tmp_path):
    report = tmp_path / "rows.xml"
    report.write_text(REPORT, "utf-8")
    failed = {"c": "off by 1", "d": "no device"}
    assert card._counted(report) == {"passed": 1, "skipped": 1, "failed": failed}
    cut = card._counted(report, is_whole=False)
    assert cut == {"passed": 1, "skipped": 1, "failed": {"c": "off by 1"}, "ended in": "d"}
    assert "absent" in card.rows_of_the_table("gpu:0", 0)
    assert "gpu:1" in card.rows_of_the_table("gpu:1", 60)["absent"]


def test_a_folder_that_is_none_is_told(tmp_path):
    words = [str(ROOT / "benches" / "gpu_card.sh"), str(tmp_path / "none"), str(tmp_path)]
    done = subprocess.run(["bash", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage" in done.stderr
