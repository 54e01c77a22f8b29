"""`kill -9` at a random moment of a save leaves the old file or the new one, never half of one.

Saves of safetensors and of `.keras` take turns. FASTNN_KILLS sets how many are killed: 60 here,
1,000 before a release.
"""

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import fastnn
from fastnn import layers

KILLS = int(os.environ.get("FASTNN_KILLS", "60"))

# Imports once and forks a saver for each line of input, which names its file. A saver writes two
# versions of a model of a few megabytes in turn, for ever; all weights hold the version.
SAVERS = """
import os, sys
import numpy as np
import fastnn
from fastnn import layers
model = fastnn.Sequential([fastnn.Input((512,)), layers.Dense(1024), layers.Dense(256)])
for suffix in ("safetensors", "keras"):  # imports what saving needs
    model.save(f"{sys.argv[1]}/warm.{suffix}")
for line in sys.stdin:
    saver = os.fork()
    if saver == 0:
        version = 0
        print(os.getpid(), flush=True)
        while True:
            model.set_weights([np.full_like(w, version % 2) for w in model.get_weights()])
            model.save(line.strip())
            version += 1
    os.waitpid(saver, 0)
    print("ended", flush=True)
"""


@pytest.fixture
def savers(tmp_path_factory):
    pytest.importorskip("h5py", reason='needs h5py: pip install "fastnn-rs[keras-files]"')
    command = [sys.executable, "-c", SAVERS, str(tmp_path_factory.mktemp("warm"))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.stdin.close()


def kill_a_save(savers, path, seconds):
    """Starts a saver of `path` and kills it after so many seconds."""
    print(path, file=savers.stdin, flush=True)
    pid = int(savers.stdout.readline())
    pause = time.monotonic() + seconds
    while time.monotonic() < pause:
        pass
    os.kill(pid, signal.SIGKILL)
    assert savers.stdout.readline() == "ended\n"


@pytest.mark.timeout(0)
def test_a_save_killed_at_a_random_moment_leaves_a_whole_file(savers, tmp_path):
    model = fastnn.Sequential([fastnn.Input((512,)), layers.Dense(1024), layers.Dense(256)])
    model.set_weights([np.zeros_like(w) for w in model.get_weights()])
    paths = [tmp_path / "model.safetensors", tmp_path / "model.keras"]
    seen, chance, longest = {path: set() for path in paths}, random.Random(11), {}
    for path in paths:
        model.save(path)
        began = time.monotonic()
        model.save(path)
        longest[path] = 4 * (time.monotonic() - began)
    for kill in range(KILLS):
        path = paths[kill % 2]
        kill_a_save(savers, path, chance.uniform(0.0, longest[path]))
        values = {
            float(v)
            for w in fastnn.models.load_model(path).get_weights()
            for v in (w.min(), w.max())
        }
        assert len(values) == 1, f"kill {kill}: a mixture of two versions in {path.name}"
        seen[path] |= values
        if 1.0 not in seen[path]:
            longest[path] *= 1.3  # on a busy machine no second save has got through yet
    for path, values in seen.items():
        assert values <= {0.0, 1.0}
        if KILLS >= 40:
            assert values == {0.0, 1.0}, f"no save of {path.name} got through; killed too early"
    print(f"{KILLS} kills")


@pytest.mark.parametrize("name", ["model.safetensors", "model.keras"])
def test_leftovers_of_killed_saves_are_cleaned_by_the_next(savers, tmp_path, name):
    path = tmp_path / name
    model = fastnn.Sequential([fastnn.Input((512,)), layers.Dense(1024), layers.Dense(256)])
    for _ in range(5):
        kill_a_save(savers, path, 0.03)
    model.save(path)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_save_that_cannot_finish_keeps_the_old_file(tmp_path):
    model = fastnn.Sequential([fastnn.Input((4,)), layers.Dense(2)])
    path = tmp_path / "model.safetensors"
    model.save(path)
    before = path.read_bytes()
    with pytest.raises(OSError, match="missing"):
        model.save(tmp_path / "missing" / "model.safetensors")
    assert path.read_bytes() == before
