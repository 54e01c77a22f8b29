"""`fit_many`: many networks at once, each as if it were alone."""

import signal
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest

import fastnn
from fastnn import layers


def build():
    model = fastnn.Sequential(
        [fastnn.Input((3,)), layers.Dense(8, "relu"), layers.Dropout(0.2), layers.Dense(1)]
    )
    model.compile("adam", "mse", metrics=["mae"])
    return model


@pytest.fixture
def parts(rng):
    found = []
    for n in (40, 55, 40, 33, 64, 20, 90):
        x = rng.normal(size=(n, 3)).astype("float32")
        found.append((x, x.sum(1)))
    return found


def facts(runs):
    return [
        (run.history, [w.tobytes() for w in run.model.get_weights()], run.epoch) for run in runs
    ]


def test_the_bits_are_those_of_one_after_another(parts):
    several = fastnn.fit_many(
        build, parts, seeds=range(7), workers=3, epochs=4, batch_size=16, verbose=0
    )
    alone = fastnn.fit_many(
        build, parts, seeds=range(7), workers=1, epochs=4, batch_size=16, verbose=0
    )
    by_hand = []
    for seed, (x, y) in enumerate(parts):
        with fastnn.random.seed_scope(seed):
            by_hand.append(build().fit(x, y, epochs=4, batch_size=16, verbose=0))
    assert facts(several) == facts(alone) == facts(by_hand)
    assert len({f[1][0] for f in facts(several)}) == 7


def test_seeds_come_from_the_process_where_none_are_given(parts):
    found = []
    for _ in range(2):
        fastnn.utils.set_random_seed(3)
        found.append(facts(fastnn.fit_many(build, parts, workers=2, verbose=0)))
    assert found[0] == found[1]
    assert facts(fastnn.fit_many(build, parts, workers=2, verbose=0)) != found[0]


def test_models_and_arguments_of_ones_own(parts):
    (x, y), other = parts[0], parts[1]
    models = [build(), build(), build]
    data = [
        {"x": x, "y": y, "validation_data": other, "epochs": 3},
        (x, y, np.ones(len(x))),
        [x, y],
    ]
    stopping = []

    def callbacks():
        stopping.append(fastnn.callbacks.EarlyStopping(monitor="loss", patience=9))
        return stopping[-1:]

    runs = fastnn.fit_many(models, data, epochs=2, callbacks=callbacks, verbose=0, workers=2)
    assert [len(r.epoch) for r in runs] == [3, 2, 2]
    assert "val_loss" in runs[0].history
    assert runs[0].model is models[0]
    assert len({id(s.model) for s in stopping}) == 3
    one_for_all = fastnn.fit_many([build] * 2, (x, y), seeds=[1, 1], verbose=0)
    assert facts(one_for_all)[0] == facts(one_for_all)[1]


def test_generators_and_eager_steps_run_side_by_side_too(parts):
    def eager():
        model = build()
        model.compile("sgd", "mse", run_eagerly=True)
        return model

    class Rows(fastnn.utils.PyDataset):
        def __init__(self, x, y):
            super().__init__()
            self.x, self.y = x, y

        def __len__(self):
            return 4

        def __getitem__(self, i):
            return self.x[i * 5 : i * 5 + 5], self.y[i * 5 : i * 5 + 5]

    for make, data in ((eager, parts), (build, [{"x": Rows(*p)} for p in parts])):
        runs = [
            facts(fastnn.fit_many(make, data, seeds=range(7), epochs=2, workers=w, verbose=0))
            for w in (1, 3)
        ]
        assert runs[0] == runs[1]


def test_the_number_of_threads_is_put_back(parts):
    before = fastnn.get_num_threads()
    try:
        fastnn.set_num_threads(3)
        seen = []

        class Look(fastnn.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                seen.append(fastnn.get_num_threads())

        fastnn.fit_many(build, parts, callbacks=lambda: [Look()], verbose=0)
        assert seen == [1] * 7
        assert fastnn.get_num_threads() == 3
        with pytest.raises(ValueError, match="features"):
            fastnn.fit_many(build, [*parts, (np.ones((4, 9)), np.ones(4))], verbose=0)
        assert fastnn.get_num_threads() == 3
    finally:
        fastnn.set_num_threads(before)


def test_the_first_failure_stops_the_others_and_is_named(parts):
    class Fails(fastnn.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyError("mine")

    endless = [{"x": x, "y": y, "epochs": 10**9} for x, y in parts[:2]]
    bad = {"x": parts[0][0], "y": parts[0][1], "callbacks": [Fails()]}
    with pytest.raises(KeyError, match="mine") as caught:
        fastnn.fit_many([build] * 3, [bad, *endless], workers=3, verbose=0)
    assert "in model 0 of fit_many" in "".join(caught.value.__notes__)
    deadline = time.monotonic() + 60
    while any(t.name.startswith("fastnn-fit") for t in threading.enumerate()):
        assert time.monotonic() < deadline


@pytest.mark.parametrize("where", ["build", "fit"])
def test_ctrl_c_ends_all_of_them(where, tmp_path):
    program = f"""
import threading, time, numpy as np, fastnn
def build():
    model = fastnn.Sequential([fastnn.Input((3,)), fastnn.layers.Dense(8), fastnn.layers.Dense(1)])
    model.compile("adam", "mse")
    if {where == "build"}:
        print("ready", flush=True); time.sleep(60)
    return model
x = np.ones((64, 3), "float32")
try:
    if {where == "fit"}:
        threading.Timer(1.0, lambda: print("ready", flush=True)).start()
    fastnn.fit_many(build, [(x, x.sum(1))] * 4, epochs=10**9, workers=2, verbose=0)
except KeyboardInterrupt:
    left = [t for t in threading.enumerate() if t.name.startswith("fastnn-fit") and t.is_alive()]
    print("stopped", len(left), fastnn.get_num_threads() > 0)
"""
    running = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    with running:
        try:
            assert running.stdout.readline() == "ready\n"
            running.send_signal(signal.SIGINT)
            out, _ = running.communicate(timeout=60)
        finally:
            running.kill()
    assert out.splitlines()[-1] == "stopped 0 True"


def test_models_that_share_what_changes_are_refused(parts):
    x, y = parts[0]
    model = build()
    with pytest.raises(ValueError, match="models 0 and 1 share the model"):
        fastnn.fit_many([model, model], (x, y), verbose=0)
    dense = layers.Dense(1)

    def sharing():
        made = fastnn.Sequential([fastnn.Input((3,)), dense])
        made.compile("sgd", "mse")
        return made

    with pytest.raises(ValueError, match="share the weight"):
        fastnn.fit_many([sharing, sharing], (x, y), verbose=0)
    rate = fastnn.optimizers.SGD(0.1)

    def one_optimizer():
        made = build()
        made.compile(rate, "mse")
        return made

    with pytest.raises(ValueError, match="share the optimizer"):
        fastnn.fit_many([one_optimizer, one_optimizer], (x, y), verbose=0)
    mae = fastnn.metrics.MeanAbsoluteError()

    def one_metric():
        made = build()
        made.compile("sgd", "mse", metrics=[mae])
        return made

    with pytest.raises(ValueError, match="share the metric"):
        fastnn.fit_many([one_metric, one_metric], (x, y), verbose=0)


@pytest.mark.parametrize(
    ("models", "data", "more", "text"),
    [
        (build, ("x", "y"), {}, "how many models"),
        ([build] * 3, [("x", "y")] * 2, {}, "3 models and 2 entries"),
        (build, "xy", {}, "wanted a list"),
        (build, [5], {}, r"data\[0\] is a int"),
        ([5], ("x", "y"), {}, r"models\[0\] is a int"),
        (5, [("x", "y")], {}, "wanted a function"),
        (lambda: 5, [("x", "y")], {}, "gave a int"),
        (build, [("x", "y")], {"seeds": [1, 2]}, "2 values, wanted 1"),
        (build, [("x", "y")], {"seeds": [-1]}, "wanted 1 whole numbers"),
        (build, [("x", "y")], {"workers": 0}, "workers is 0"),
        (build, [("x", "y")], {"callbacks": []}, "all models would share"),
    ],
)
def test_what_is_ambiguous_is_refused(models, data, more, text):
    with pytest.raises(ValueError, match=text):
        fastnn.fit_many(models, data, verbose=0, **more)


def test_nothing_to_train_is_an_empty_list():
    assert fastnn.fit_many(build, [], verbose=0) == []


def test_progress_counts_models(parts, capsys):
    fastnn.fit_many(build, parts, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [f"model {i}" for i in range(7)]


def test_stability_is_the_same_for_any_number_of_workers(rng):
    x = rng.normal(size=(90, 3))
    y = (x[:, 0] > 0).astype(int)

    def classifier():
        model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(2, "softmax")])
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    found = [
        fastnn.evaluate_stability(classifier, x, y, seeds=2, folds=3, verbose=0, workers=w)
        for w in (1, 2, 4)
    ]
    for name in found[0]:
        assert all((f[name].values == found[0][name].values).all() for f in found)


def test_threads_hear_stop_training_within_an_epoch(parts):
    """`model.stop_training = True` from outside ends a fit in another thread, however long."""
    model, (x, y) = build(), parts[0]
    thread = threading.Thread(target=lambda: model.fit(x, y, epochs=10**9, verbose=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        thread.start()
        deadline = time.monotonic() + 60
        while thread.is_alive() and time.monotonic() < deadline:
            model.stop_training = True
            thread.join(0.05)
    assert not thread.is_alive()
