"""Ten epochs are four, a process killed with -9, and six more in a new one: the same bits.

Each way of training runs whole, cut and resumed, in three processes that share nothing but files.
"""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

# argv: the phase (whole, first, second), the folder, the names of the ways.
PROGRAM = '''
import json, os, signal, sys
from pathlib import Path
import numpy as np
import fastnn
from fastnn import callbacks, layers, optimizers as o

phase, folder, ways = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
rng = np.random.default_rng(3)
x = rng.normal(size=(50, 6)).astype(np.float32)
y = (x[:, :2] ** 2).astype(np.float32)

class Batches(fastnn.utils.PyDataset):
    def __len__(self):
        return 5
    def __getitem__(self, i):
        return x[10 * i : 10 * i + 10], y[10 * i : 10 * i + 10]

class Noise(layers.Layer):
    """Draws from the generators of a list and from the process-wide one."""
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.sources = [fastnn.random.SeedGenerator(5), fastnn.random.SeedGenerator(6)]
    def call(self, inputs, training=None):
        if not training:
            return inputs
        for source in [*self.sources, *([None] if shared else [])]:
            inputs = inputs + 0.1 * fastnn.random.normal(inputs.shape[1:], seed=source)
        return inputs

def net(way):
    made = fastnn.Sequential([
        fastnn.Input((6,)), layers.Dense(8, activation="relu", name="low"), layers.Dropout(0.3),
        layers.BatchNormalization(), layers.GaussianNoise(0.1), Noise(), layers.Dense(2),
    ])
    made.compile(OPTIMIZERS.get(way, lambda: o.Adam(0.01))(), "mse", metrics=["mae"],
                 run_eagerly=way == "eager")
    return made

OPTIMIZERS = {
    "sgd": lambda: o.SGD(0.01, momentum=0.9, nesterov=True),
    "schedule": lambda: o.RMSprop(o.schedules.ExponentialDecay(0.01, 7, 0.5), centered=True),
    "nadam": lambda: o.Nadam(0.01),
    "accumulation": lambda: o.AdamW(0.01, gradient_accumulation_steps=3, global_clipnorm=1.0),
    "ftrl": lambda: o.Ftrl(0.01),
}
shared = False

def train(model, way, start, end, extra=()):
    given = dict(x=x, y=y, batch_size=8)
    if way == "dataset":
        given = dict(x=Batches(), shuffle=True)
    if way == "steps":
        given["steps_per_epoch"] = 3
    if way == "callbacks":
        extra = [*extra, callbacks.LearningRateScheduler(lambda e, r: 0.01 / (1 + e))]
    if way == "validation":
        given["validation_split"] = 0.2
    return model.fit(**given, initial_epoch=start, epochs=end, verbose=0, callbacks=[*extra])

def keep(model, way, history):
    out = {f"w{i}": w for i, w in enumerate(model.get_weights())}
    out |= {f"o{i}": v.numpy() for i, v in enumerate(model.optimizer.variables)}
    np.savez(folder / f"{phase}-{way}.npz", **out)
    (folder / f"{phase}-{way}.json").write_text(json.dumps([history.epoch, history.history]))

class Death(callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        self.batches = getattr(self, "batches", 0) + 1
        if self.batches == 30:  # in epoch 5, with four epochs done
            os.kill(os.getpid(), signal.SIGKILL)

# A new process draws other numbers; what it trains with has to come out of the file.
fastnn.utils.set_random_seed(99 if phase == "second" else 11)
for way in ways:
    path = folder / f"{way}.safetensors"
    if way == "backup":
        shared = True
        extra = [callbacks.BackupAndRestore(folder / "backup")] if phase != "whole" else []
        model = net(way)
        history = train(model, way, 0, 10, [*extra, *([Death()] if phase == "first" else [])])
        keep(model, way, history)
        continue
    if phase == "second":
        model = fastnn.load_model(path, custom_objects={"Noise": Noise})
        if way == "eager":
            model.run_eagerly = True
    else:
        model = net(way)
    if way == "frozen" and phase != "second":
        # Unfreezing between fits gives the optimiser an order of its own.
        model.get_layer("low").trainable = False
        train(model, way, 0, 2)
        model.get_layer("low").trainable = True
        if phase == "whole":
            keep(model, way, train(model, way, 2, 10))
        else:
            train(model, way, 2, 4)
    elif phase == "whole":
        keep(model, way, train(model, way, 0, 10))
    elif phase == "first":
        train(model, way, 0, 4)
    else:
        keep(model, way, train(model, way, 4, 10))
    if phase == "first":
        model.save(path)
if phase == "first":
    os.kill(os.getpid(), signal.SIGKILL)
'''

WAYS = ["arrays", "eager", "steps", "dataset", "callbacks", "validation", "frozen", "sgd",
        "schedule", "nadam", "accumulation", "ftrl"]  # fmt: skip


def run(phase, folder, *ways, killed=False):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, phase, str(folder), *ways],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONHASHSEED": "random"},
    )  # fmt: skip
    assert done.returncode == (-signal.SIGKILL if killed else 0), done.stderr


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resume")
    run("whole", folder, *WAYS)
    run("first", folder, *WAYS, killed=True)
    run("second", folder, *WAYS)
    return folder


def assert_same_bits(folder, way, first_epoch):
    with np.load(folder / f"whole-{way}.npz") as a, np.load(folder / f"second-{way}.npz") as b:
        assert sorted(a) == sorted(b)
        differ = [k for k in a if a[k].tobytes() != b[k].tobytes()]
        assert not differ, f"{way}: {differ} differ"
        assert any(k.startswith("o") for k in a)
    texts = [(folder / f"{p}-{way}.json").read_text() for p in ("whole", "second")]
    (epochs, whole), (later, resumed) = map(json.loads, texts)
    assert later == list(range(first_epoch, 10))
    assert epochs[-len(later) :] == later
    # JSON holds the shortest text of each double: equal texts are equal bits.
    assert resumed == {k: v[-len(later) :] for k, v in whole.items()}


@pytest.mark.parametrize("way", WAYS)
def test_four_epochs_kill_load_and_six_are_ten_epochs_bit_for_bit(trained, way):
    assert_same_bits(trained, way, 4)


def test_backup_and_restore_goes_on_bit_for_bit_after_kill_9_inside_an_epoch(tmp_path):
    run("whole", tmp_path, "backup")
    run("first", tmp_path, "backup", killed=True)
    assert (tmp_path / "backup" / "backup.safetensors").exists()
    run("second", tmp_path, "backup")
    assert_same_bits(tmp_path, "backup", 4)
    assert not (tmp_path / "backup").exists()


def test_eager_and_traced_training_see_the_samples_in_one_order(rng):
    import fastnn
    from fastnn import layers

    x = rng.normal(size=(40, 3)).astype(np.float32)
    losses = []
    for eager in (False, True):
        fastnn.utils.set_random_seed(3)
        model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(1)])
        model.compile(fastnn.optimizers.SGD(0.1), "mse", run_eagerly=eager)
        losses.append(model.fit(x, x[:, :1], epochs=3, batch_size=7, verbose=0).history["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
