"""`kill -9` at a random moment of a save leaves the old file or the new one, never half of one.

FASTNN_KILLS sets how many children are killed; CI kills 50, a release 1,000.
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

KILLS = int(os.environ.get("FASTNN_KILLS", "50"))

# Saves two versions of a model of a few megabytes in turn, for ever; all weights hold the version.
SAVER = """
import sys
import numpy as np
import fastnn
from fastnn import layers
model = fastnn.Sequential([fastnn.Input((512,)), layers.Dense(1024), layers.Dense(256)])
print("READY", flush=True)
version = 0
while True:
    model.set_weights([np.full_like(w, version % 2) for w in model.get_weights()])
    model.save(sys.argv[1])
    version += 1
"""


def test_a_save_killed_at_a_random_moment_leaves_a_whole_file(tmp_path):
    path = tmp_path / "model.safetensors"
    model = fastnn.Sequential([fastnn.Input((512,)), layers.Dense(1024), layers.Dense(256)])
    model.set_weights([np.zeros_like(w) for w in model.get_weights()])
    model.save(path)
    seen, chance = set(), random.Random(11)
    # Importing costs more than saving: each child is killed in its own loop of many saves.
    for kill in range(KILLS):
        child = subprocess.Popen(
            [sys.executable, "-c", SAVER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        assert "READY" in child.stdout.readline(), f"kill {kill}: the saver did not start"
        pause = time.monotonic() + chance.uniform(0.0, 0.08)
        while time.monotonic() < pause:
            pass
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        values = {
            float(v)
            for w in fastnn.models.load_model(path).get_weights()
            for v in (w.min(), w.max())
        }
        assert len(values) == 1, f"kill {kill}: a mixture of two versions"
        seen |= values
    assert seen <= {0.0, 1.0}
    if KILLS >= 20:
        assert seen == {0.0, 1.0}, "no save ever got through; the kills come too early"


def test_leftovers_of_killed_saves_are_cleaned_by_the_next(tmp_path):
    path = tmp_path / "model.safetensors"
    model = fastnn.Sequential([fastnn.Input((512,)), layers.Dense(1024), layers.Dense(256)])
    for _ in range(5):
        child = subprocess.Popen(
            [sys.executable, "-c", SAVER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        child.stdout.readline()
        pause = time.monotonic() + 0.03
        while time.monotonic() < pause:
            pass
        child.kill()
        child.wait()
        child.stdout.close()
    model.save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_save_that_cannot_finish_keeps_the_old_file(tmp_path):
    model = fastnn.Sequential([fastnn.Input((4,)), layers.Dense(2)])
    path = tmp_path / "model.safetensors"
    model.save(path)
    before = path.read_bytes()
    with pytest.raises(OSError, match="missing"):
        model.save(tmp_path / "missing" / "model.safetensors")
    assert path.read_bytes() == before
