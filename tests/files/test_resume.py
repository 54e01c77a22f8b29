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


# argv: the phase (whole, first, second), the folder, the batch in which the process dies.
DECISIONS = """
import json, os, signal, sys
from pathlib import Path
import numpy as np
import fastnn
from fastnn import callbacks, layers

phase, folder, death = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
fastnn.utils.set_random_seed(5 if phase != "second" else 77)
rng = np.random.default_rng(4)
x, y = rng.normal(size=(64, 5)).astype("f"), rng.normal(size=(64, 2)).astype("f")
model = fastnn.Sequential([fastnn.Input((5,)), layers.Dense(8, "relu"), layers.Dropout(0.4),
                           layers.Dense(2)])
model.compile(fastnn.optimizers.Adam(0.05), "mse")
name = "whole" if phase == "whole" else "cut"

class Death(callbacks.Callback):
    seen = 0
    def on_train_batch_end(self, batch, logs=None):
        self.seen += 1
        if phase == "first" and self.seen == death:
            os.kill(os.getpid(), signal.SIGKILL)

stop = callbacks.EarlyStopping("val_loss", patience=4, restore_best_weights=True)
reduce = callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=1, cooldown=1)
best = callbacks.ModelCheckpoint(folder / f"{name}.best.safetensors", save_best_only=True)
backup = [callbacks.BackupAndRestore(folder / "backup")] if phase != "whole" else []
calls = [*backup, stop, callbacks.CSVLogger(folder / f"{name}.csv"), reduce, best, Death()]
history = model.fit(x[:48], y[:48], epochs=30, batch_size=8, verbose=0, callbacks=calls,
                    validation_data=(x[48:], y[48:]))
np.savez(folder / f"{name}.npz", *model.get_weights(), *[v.numpy() for v in
                                                         model.optimizer.variables])
state = [stop.wait, stop.stopped_epoch, stop.best_epoch, stop.best, reduce.wait, reduce.best,
         reduce.cooldown_counter, best.best]
(folder / f"{name}.json").write_text(json.dumps([history.history, history.epoch, state]))
"""


def decide(phase, folder, death, killed=False):
    done = subprocess.run(
        [sys.executable, "-c", DECISIONS, phase, str(folder), str(death)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == (-signal.SIGKILL if killed else 0), done.stderr


def test_callbacks_decide_after_a_kill_as_they_would_have_without_it(tmp_path):
    """Patience, cooldown, best value, best weights, rows and stopping survive `kill -9`."""
    decide("whole", tmp_path, 0)
    history, epochs, state = json.loads((tmp_path / "whole.json").read_text())
    rates = history["learning_rate"]
    assert 4 < len(epochs) < 30, "the test needs a run that stops early"
    assert len(set(rates)) > 2, "the test needs a run whose rate falls"
    for finished in range(1, len(epochs)):  # six batches an epoch
        for left in tmp_path.glob("cut*"):
            left.unlink()
        (tmp_path / "cut.csv").write_text("rows of another run\n")
        decide("first", tmp_path, 6 * finished + 3, killed=True)
        decide("second", tmp_path, 0)
        resumed, later, found = json.loads((tmp_path / "cut.json").read_text())
        assert later == epochs[finished:]
        assert resumed == {k: v[finished:] for k, v in history.items()}
        assert found == state
        assert (tmp_path / "cut.csv").read_text() == (tmp_path / "whole.csv").read_text()
        with np.load(tmp_path / "whole.npz") as a, np.load(tmp_path / "cut.npz") as b:
            assert all(a[k].tobytes() == b[k].tobytes() for k in a)


def test_a_run_that_had_stopped_when_it_was_killed_stays_stopped(tmp_path):
    import fastnn
    from fastnn import callbacks, layers

    class Killed(Exception):
        pass

    class Death(callbacks.Callback):
        comes_last = True

        def on_train_end(self, logs=None):
            raise Killed

    x = np.ones((8, 2), np.float32)
    for end in ([Death()], []):
        model = fastnn.Sequential([fastnn.Input((2,)), layers.Dense(1, kernel_initializer="ones")])
        model.compile(fastnn.optimizers.SGD(0.0), "mse")
        stop = callbacks.EarlyStopping("loss", patience=2, restore_best_weights=True)
        calls = [stop, *end, callbacks.BackupAndRestore(tmp_path / "b")]
        if end:
            with pytest.raises(Killed):
                model.fit(x, x[:, :1], epochs=9, verbose=0, callbacks=calls)
            assert len(model.history.epoch) == 3
        else:
            history = model.fit(x, x[:, :1], epochs=9, verbose=0, callbacks=calls)
            assert history.epoch == []
            assert (stop.wait, stop.stopped_epoch) == (2, 2)


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
