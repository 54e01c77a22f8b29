"""The `fastnn` command and the examples do what they say."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import cli

ROOT = Path(__file__).resolve().parents[2]


def run(*args: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "fastnn", *args],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_demo_trains_tests_saves_and_proves_the_same_bits():
    done = run("demo", "--data", "digits")
    assert done.returncode == 0, done.stderr
    accuracy = next(s for s in done.stdout.splitlines() if s.startswith("test accuracy"))
    assert float(accuracy.split()[2].rstrip("%")) >= 97
    assert "true \\ predicted" in done.stdout
    assert "\nsame bits\n" in done.stdout
    for part in ("data and training", "test", "saving, a new process, loading"):
        assert re.search(rf"^\[{part}: [0-9.]+ s\]$", done.stdout, re.M), part
    digests = [s.split()[-1] for s in done.stdout.splitlines() if s.startswith("predictions of")]
    assert len(digests) == 2
    assert digests[0] == digests[1]


def test_version_is_printed():
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"fastnn {fastnn.__version__}\n")


def test_demo_reports_other_bits(monkeypatch, capsys):
    class Answer:
        stdout = "0" * 64

    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: Answer())
    assert cli.main(["demo", "--data", "digits", "--epochs", "1"]) == 1
    assert "other bits" in capsys.readouterr().out


def test_info_prints_lines_and_json(capsys):
    assert cli.main(["info"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["fastnn"] == fastnn.__version__
    assert cli.main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["numpy"] == np.__version__
    assert facts["threads"] == fastnn.get_num_threads()


@pytest.mark.parametrize("args", [["demo", "--epochs", "0"], ["demo", "--data", "x"], ["bogus"]])
def test_wrong_arguments_are_explained(args, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(args)
    assert caught.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_exit_mounts_the_tools_of_exit_strategy():
    done = run("exit", "--help")
    assert done.returncode == 0, done.stderr
    assert "score" in done.stdout


def test_help_of_the_command_imports_no_layers():
    program = (
        "import sys; from fastnn import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "assert 'fastnn.exit_strategy' not in sys.modules\n"
        "assert 'fastnn.layers' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_confusion_table_counts_truth_by_guess():
    table = cli.confusion_table(np.array([0, 0, 1, 9]), np.array([0, 1, 1, 9]))
    rows = [line.split() for line in table.splitlines()[1:]]
    assert rows[0] == ["0", "1", "1", *["."] * 8]
    assert rows[1][2] == "1"
    assert rows[9][10] == "1"


@pytest.mark.slow
def test_the_mnist_example_reaches_98_percent_in_five_epochs(data_dir):
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "mnist_mlp.py"), str(data_dir / "mnist")],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-2000:]
    accuracy = float(done.stdout.strip().splitlines()[-1].split()[-1].rstrip("%"))
    assert accuracy >= 98.0
