"""Callbacks: order of hooks, decisions, files."""

import csv
import itertools
import warnings

import numpy as np
import pytest

import fastnn
from fastnn import Input, Sequential, callbacks, layers, optimizers
from fastnn.layers import Dense
from fastnn.models import load_model


class Stub:
    """A model as far as callbacks look at it."""

    def __init__(self, rate=1.0):
        self.stop_training = False
        self.optimizer = fastnn.optimizers.SGD(rate)
        self.weights = 0

    def get_weights(self):
        return self.weights

    def set_weights(self, weights):
        self.weights = weights


def model():
    made = fastnn.Sequential([fastnn.Input((1,)), layers.Dense(1)])
    made.compile("sgd", "mse")
    return made


X = np.arange(8.0)[:, None] / 8


def test_hooks_come_in_order():
    seen = []

    class Spy(callbacks.Callback):
        def on_train_begin(self, logs=None):
            seen.append("train")

        def on_epoch_begin(self, epoch, logs=None):
            seen.append(f"epoch {epoch}")

        def on_train_batch_begin(self, batch, logs=None):
            seen.append(f"batch {batch}")

        def on_train_batch_end(self, batch, logs=None):
            assert logs["loss"] >= 0
            seen.append("end")

        def on_test_begin(self, logs=None):
            seen.append("test")

        def on_epoch_end(self, epoch, logs=None):
            assert sorted(logs) == ["loss", "val_loss"]
            seen.append("epoch end")

        def on_train_end(self, logs=None):
            seen.append("train end")

    spy = Spy()
    made = model()
    made.fit(X, X, batch_size=4, verbose=0, callbacks=[spy], validation_data=(X, X))
    assert seen == ["train", "epoch 0", "batch 0", "end", "batch 1", "end", "test", "epoch end",
                    "train end"]  # fmt: skip
    assert spy.model is made
    assert spy.params == {"verbose": 0, "epochs": 1, "steps": 2}


def stopping(values, **settings):
    stop = callbacks.EarlyStopping(monitor="loss", **settings)
    stub = Stub()
    stop.set_model(stub)
    stop.on_train_begin()
    for epoch, value in enumerate(values):
        stub.weights = epoch
        stop.on_epoch_end(epoch, {"loss": value})
        if stub.stop_training:
            break
    stop.on_train_end()
    return epoch, stub


@pytest.mark.parametrize(
    ("values", "settings", "last"),
    [
        ([3, 2, 1, 1, 1, 1], {"patience": 2}, 4),
        ([3, 2, 1, 1, 1], {}, 3),
        ([1, 2, 3], {"patience": 5}, 2),
        ([3, 2.95, 2.9, 2.85], {"min_delta": 0.2, "patience": 1}, 1),
        ([1, 2, 3, 3, 3], {"mode": "max", "patience": 1}, 3),
        ([5, 5, 5, 5, 5], {"start_from_epoch": 2, "patience": 1}, 3),
        ([5, 4, 3, 3], {"baseline": 2.0, "patience": 2}, 3),
    ],
)
def test_early_stopping_decides_as_keras(values, settings, last):
    assert stopping(values, **settings)[0] == last


def test_early_stopping_restores_the_best_weights():
    _, stub = stopping([3, 1, 2, 2], patience=5, restore_best_weights=True)
    assert stub.weights == 1


def test_early_stopping_ends_fit():
    made = model()
    stop = callbacks.EarlyStopping(monitor="loss", min_delta=1e9)
    history = made.fit(X, X, epochs=50, verbose=0, callbacks=[stop])
    assert len(history.epoch) == 2
    assert stop.stopped_epoch == 1


def test_a_missing_monitor_is_said():
    with pytest.warns(UserWarning, match="watches 'val_loss', which is not among the logs: loss"):
        model().fit(X, X, verbose=0, callbacks=[callbacks.EarlyStopping()])


def test_reduce_on_plateau_waits_reduces_and_cools_down():
    reduce = callbacks.ReduceLROnPlateau(monitor="loss", factor=0.5, patience=2, cooldown=1)
    stub = Stub(1.0)
    reduce.set_model(stub)
    reduce.on_train_begin()
    rates = []
    for epoch, value in enumerate([1.0, 1.0, 1.0, 1.0, 1.0, 1.0]):
        logs = {"loss": value}
        reduce.on_epoch_end(epoch, logs)
        rates.append(float(stub.optimizer.learning_rate.numpy()))
        assert "learning_rate" in logs
    assert rates == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]


def test_scheduler_sets_and_logs_the_rate():
    made = model()
    history = made.fit(
        X, X, epochs=3, verbose=0,
        callbacks=[callbacks.LearningRateScheduler(lambda epoch, rate: 0.1 / (epoch + 1))],
    )  # fmt: skip
    assert history.history["learning_rate"] == pytest.approx([0.1, 0.05, 0.1 / 3])
    assert list(history.history) == ["loss", "learning_rate"]


def test_checkpoints_are_named_by_epoch_and_value(tmp_path):
    made = model()
    path = tmp_path / "m-{epoch:02d}-{val_loss:.2f}.safetensors"
    history = made.fit(
        X, X, epochs=2, verbose=0, validation_data=(X, X),
        callbacks=[callbacks.ModelCheckpoint(path)],
    )  # fmt: skip
    names = sorted(p.name for p in tmp_path.iterdir())
    values = history.history["val_loss"]
    assert names == [f"m-{i + 1:02d}-{v:.2f}.safetensors" for i, v in enumerate(values)]
    loaded = fastnn.load_model(tmp_path / names[1])
    assert np.array_equal(loaded.predict(X, verbose=0), made.predict(X, verbose=0))


def test_only_the_best_is_kept(tmp_path):
    keep = callbacks.ModelCheckpoint(
        tmp_path / "best.safetensors", monitor="loss", save_best_only=True, save_weights_only=True
    )
    made = model()
    keep.set_model(made)
    keep.on_epoch_end(0, {"loss": 1.0})
    best = (tmp_path / "best.safetensors").read_bytes()
    made.set_weights([np.full((1, 1), 9.0), np.zeros(1)])
    keep.on_epoch_end(1, {"loss": 2.0})
    assert (tmp_path / "best.safetensors").read_bytes() == best
    keep.on_epoch_end(2, {"loss": 0.5})
    assert (tmp_path / "best.safetensors").read_bytes() != best


def test_csv_has_a_row_per_epoch(tmp_path):
    model().fit(X, X, epochs=3, verbose=0, callbacks=[callbacks.CSVLogger(tmp_path / "log.csv")])
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [r["epoch"] for r in rows] == ["0", "1", "2"]
    assert float(rows[0]["loss"]) > float(rows[2]["loss"])


def test_training_stops_at_nan(capsys):
    made = model()
    with pytest.warns(UserWarning, match="loss is nan"):
        history = made.fit(
            np.full((4, 1), np.nan), np.ones(4), epochs=5, verbose=0,
            callbacks=[callbacks.TerminateOnNaN()],
        )  # fmt: skip
    assert len(history.epoch) <= 1
    assert "Batch 0: Invalid loss, terminating training" in capsys.readouterr().out


def test_a_cut_off_run_resumes_with_the_same_bits(tmp_path):
    def net():
        fastnn.utils.set_random_seed(11)
        made = fastnn.Sequential(
            [fastnn.Input((1,)), layers.Dense(4), layers.Dropout(0.5), layers.Dense(1)]
        )
        made.compile("adam", "mse")
        return made

    whole = net()
    whole.fit(X, X, epochs=6, batch_size=3, verbose=0)

    class Cut(callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 3:
                raise KeyboardInterrupt

    first = net()
    with pytest.raises(KeyboardInterrupt):
        first.fit(X, X, epochs=6, batch_size=3, verbose=0,
                  callbacks=[callbacks.BackupAndRestore(tmp_path / "b"), Cut()])  # fmt: skip
    second = net()
    fastnn.utils.set_random_seed(99)
    history = second.fit(
        X, X, epochs=6, batch_size=3, verbose=0,
        callbacks=[callbacks.BackupAndRestore(tmp_path / "b")],
    )  # fmt: skip
    assert history.epoch == [3, 4, 5]
    pairs = zip(whole.get_weights(), second.get_weights(), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)
    assert not (tmp_path / "b").exists()


def test_a_callback_that_raises_leaves_the_model_usable():
    class Bad(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise RuntimeError("mine")

    made = model()
    with pytest.raises(RuntimeError, match="mine"):
        made.fit(X, X, verbose=0, callbacks=[Bad()])
    assert np.isfinite(made.fit(X, X, verbose=0).history["loss"][0])


def test_messages_go_to_the_log_when_interactive_logging_is_off(caplog, capsys):
    from fastnn import config, utils

    fastnn.utils.set_random_seed(0)
    m = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
    m.compile("sgd", "mse")
    rate = callbacks.LearningRateScheduler(lambda epoch: 0.5, verbose=1)
    utils.disable_interactive_logging()
    try:
        assert not config.is_interactive_logging_enabled()
        config.set_logging_verbosity("INFO")
        m.fit(np.ones((4, 2)), np.ones(4), callbacks=[rate], verbose=1)
        m.evaluate(np.ones((4, 2)), np.ones(4), verbose=1)
    finally:
        config.enable_interactive_logging()
        config.set_logging_verbosity(0)
    assert capsys.readouterr().out == ""
    lines = [r.message for r in caplog.records if r.name == "fastnn"]
    assert lines[0] == "Epoch 1: LearningRateScheduler setting learning rate to 0.5."
    assert lines[1].startswith("Epoch 1/1 - 1/1 - ")
    assert lines[2].startswith("1/1 - ")
    with pytest.raises(ValueError, match="hint: DEBUG"):
        config.set_logging_verbosity("LOUD")


def test_lambda_callbacks_keep_other_attributes_and_refuse_misspelt_hooks():
    LambdaCallback = callbacks.LambdaCallback
    assert LambdaCallback(custom_method=len).custom_method is len
    for name in ("on_epoch_ending", "epoch_end"):
        with pytest.raises(ValueError, match="did you mean 'on_epoch_end'"):
            LambdaCallback(**{name: len})


def test_double_checkpoint_restores_the_backup_before_a_damaged_one(tmp_path):
    BackupAndRestore, LambdaCallback = callbacks.BackupAndRestore, callbacks.LambdaCallback
    fastnn.utils.set_random_seed(0)
    m = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
    m.compile("sgd", "mse")
    x, y, seen = np.ones((8, 2)), np.ones(8), []

    def stop(epoch, logs):
        seen.append(m.get_weights())
        if epoch == 2:
            raise RuntimeError("cut off")

    backup = BackupAndRestore(tmp_path / "b", double_checkpoint=True)
    with pytest.raises(RuntimeError, match="cut off"):
        m.fit(x, y, epochs=5, callbacks=[backup, LambdaCallback(on_epoch_end=stop)], verbose=0)
    (tmp_path / "b" / "backup.safetensors").write_text("0")
    starts = []
    note = LambdaCallback(on_epoch_begin=lambda e, logs: starts.append((e, m.get_weights())))
    with pytest.warns(UserWarning, match="the backup before it is restored"):
        m.fit(x, y, epochs=5, callbacks=[backup, note], verbose=0)
    assert [e for e, _ in starts] == [2, 3, 4]
    assert all(np.array_equal(*p) for p in zip(starts[0][1], seen[1], strict=True))
    assert not (tmp_path / "b").exists()


def test_a_backup_holds_the_epoch_in_which_another_callback_failed(tmp_path):
    fastnn.utils.set_random_seed(0)
    m = fastnn.Sequential([fastnn.Input((2,)), layers.Dense(1)])
    m.compile("sgd", "mse")
    x, y = np.ones((8, 2)), np.ones(8)

    def fail(epoch, logs):
        if epoch == 1:
            raise RuntimeError("cut off")

    backup = callbacks.BackupAndRestore(tmp_path / "b")
    with pytest.raises(RuntimeError, match="cut off"):
        m.fit(x, y, epochs=4, verbose=0,
              callbacks=[backup, callbacks.LambdaCallback(on_epoch_end=fail)])  # fmt: skip
    trained = m.get_weights()
    starts = []
    note = callbacks.LambdaCallback(on_epoch_begin=lambda e, logs: starts.append(m.get_weights()))
    assert m.fit(x, y, epochs=4, callbacks=[backup, note], verbose=0).epoch == [2, 3]
    assert all(np.array_equal(*p) for p in zip(starts[0], trained, strict=True))


class Feed(callbacks.Callback):
    """Puts a series of values into the logs."""

    def __init__(self, values):
        super().__init__()
        self.values = values

    def on_epoch_end(self, epoch, logs=None):
        if self.values[epoch] is not None:
            logs["val_x"] = self.values[epoch]


def watch(callback, values, rate=1.0):
    model = Sequential([Input((1,)), Dense(1)])
    model.compile(optimizers.SGD(rate), "mse")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model, model.fit(
            np.ones((2, 1)), np.ones(2), epochs=len(values), verbose=0,
            callbacks=[Feed(values), callback],
        ).history  # fmt: skip


NAN, INF = float("nan"), float("inf")
SERIES = {
    "nan first": ("min", [NAN, 3.0, 1.0, 2.0], 2),
    "inf first": ("min", [INF, 3.0, 1.0, 2.0], 2),
    "minus inf first": ("min", [-INF, 3.0, 1.0, 2.0], 2),
    "inf first, rising": ("max", [INF, 1.0, 3.0, 2.0], 2),
    "nan later": ("min", [3.0, NAN, 1.0, NAN], 2),
    "numpy's nan": ("max", [np.float32("nan"), np.float32(1), np.float32(3), 2.0], 2),
    "late": ("min", [None, 3.0, 1.0, None], 2),
}


@pytest.mark.parametrize("name", SERIES)
def test_a_value_that_is_not_finite_is_never_the_best(name, tmp_path):
    mode, values, best = SERIES[name]
    stop = callbacks.EarlyStopping("val_x", mode=mode, patience=9, restore_best_weights=True)
    watch(stop, values)
    assert (stop.best, stop.best_epoch) == (values[best], best)
    save = callbacks.ModelCheckpoint(
        tmp_path / "{epoch}.safetensors", "val_x", mode=mode, save_best_only=True
    )
    watch(save, values)
    assert (tmp_path / f"{best + 1}.safetensors").exists()
    assert not (tmp_path / "4.safetensors").exists()
    slow = callbacks.ReduceLROnPlateau("val_x", mode=mode, patience=3, factor=0.5)
    _, history = watch(slow, values)
    assert history["learning_rate"] == [1.0] * 4


def test_without_a_finite_epoch_the_last_weights_stay_and_it_is_said():
    stop = callbacks.EarlyStopping("val_x", mode="min", patience=9, restore_best_weights=True)
    model = Sequential([Input((1,)), Dense(1)])
    model.compile(optimizers.SGD(0.1), "mse")
    seen = []
    look = callbacks.LambdaCallback(on_epoch_end=lambda *_: seen.append(model.get_weights()))
    with pytest.warns(UserWarning, match="not finite in any epoch"):
        model.fit(np.ones((2, 1)), np.ones(2), epochs=2, verbose=0,
                  callbacks=[Feed([NAN, NAN]), stop, look])  # fmt: skip
    np.testing.assert_array_equal(model.get_weights()[0], seen[-1][0])


def test_a_baseline_that_is_nan_counts_as_none():
    stop = callbacks.EarlyStopping("val_x", mode="min", patience=1, baseline=NAN)
    watch(stop, [3.0, 2.0, 1.0])
    assert stop.stopped_epoch == 0


def test_an_error_in_a_schedule_is_told_as_it_is():
    model = Sequential([Input((1,)), Dense(1)])
    model.compile("sgd", "mse")
    for schedule, text in (
        (lambda epoch, rate: rate * "0.5", "multiply"),
        (lambda epoch: epoch + "1", "unsupported operand"),
    ):
        with pytest.raises(TypeError, match=text):
            model.fit(np.ones((2, 1)), np.ones(2), verbose=0,
                      callbacks=[callbacks.LearningRateScheduler(schedule)])  # fmt: skip
    with pytest.raises(ValueError, match="finite"):
        model.fit(np.ones((2, 1)), np.ones(2), verbose=0,
                  callbacks=[callbacks.LearningRateScheduler(lambda epoch: NAN)])  # fmt: skip


def test_a_tilde_is_the_home_folder_wherever_a_path_is_given(tmp_path, monkeypatch):
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    model = Sequential([Input((1,)), Dense(1)])
    model.compile("sgd", "mse")
    model.fit(
        np.ones((2, 1)), np.ones(2), verbose=0, callbacks=[
            callbacks.ModelCheckpoint("~/sub/m.safetensors"), callbacks.CSVLogger("~/log.csv"),
            callbacks.BackupAndRestore("~/backup", delete_checkpoint=False),
        ],
    )  # fmt: skip
    model.save("~/a.safetensors")
    model.save_weights("~/w.safetensors")
    model.load_weights("~/w.safetensors")
    fastnn.models.load_model("~/sub/m.safetensors")
    fastnn.utils.plot_model(model, "~/m.svg")
    assert not list(here.iterdir())
    assert {p.name for p in home.iterdir()} == {
        "sub", "log.csv", "backup", "a.safetensors", "w.safetensors", "m.svg",
    }  # fmt: skip


def averaged(**settings):
    model = Sequential([Input((1,)), Dense(1, kernel_initializer="zeros")])
    model.compile(optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9, **settings), "mse")
    return model


EMA_X = np.linspace(-1, 1, 16, dtype="float32")[:, None]
EMA = {"x": EMA_X, "y": 3 * EMA_X[:, 0], "batch_size": 4, "shuffle": False, "verbose": 0}


@pytest.mark.parametrize("on_epoch", [False, True])
def test_after_training_with_swapped_averages_the_model_holds_them(on_epoch, tmp_path):
    plain, model = averaged(), averaged()
    plain.fit(**EMA, epochs=3)
    path = tmp_path / "{epoch}.safetensors"
    history = model.fit(
        **EMA, epochs=3, validation_data=(EMA["x"], EMA["y"]),
        callbacks=[callbacks.SwapEMAWeights(on_epoch), callbacks.ModelCheckpoint(path)],
    ).history  # fmt: skip
    np.testing.assert_array_equal(model.get_weights()[0], plain.get_weights()[0])
    # Validation is on the averages, and so is a checkpoint after the callback when asked.
    loss = model.evaluate(EMA["x"], EMA["y"], batch_size=4, verbose=0)
    assert history["val_loss"][-1] == loss
    saved = load_model(tmp_path / "3.safetensors").get_weights()[0]
    assert np.array_equal(saved, model.get_weights()[0]) == on_epoch


def test_averages_in_the_model_do_not_change_how_it_trains(tmp_path):
    def weights(fits, *calls):
        seen = []
        look = callbacks.LambdaCallback(on_train_batch_end=lambda *_: seen.append(
            float(model.get_weights()[0][0, 0])))  # fmt: skip
        model = averaged()
        for first, last in fits:
            model.fit(**EMA, initial_epoch=first, epochs=last, callbacks=[look, *calls])
        return seen

    assert weights([(0, 3)]) == weights([(0, 3)], callbacks.SwapEMAWeights(True))
    again = weights([(0, 2), (2, 4)], callbacks.SwapEMAWeights(True))
    assert again == weights([(0, 2), (2, 4)])


def test_no_update_means_no_averages_to_put_in():
    model = averaged()
    model.optimizer.build(model.trainable_variables)
    model.set_weights([np.ones((1, 1)), np.ones(1)])
    model.fit(**EMA, epochs=0)
    model.evaluate(EMA["x"], EMA["y"], verbose=0, callbacks=[callbacks.SwapEMAWeights()])
    assert model.get_weights()[0] == 1.0
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="keeps no averages"):
        model.fit(**EMA, callbacks=[callbacks.SwapEMAWeights()])


def test_a_list_of_callbacks_in_a_loop_of_ones_own_keeps_one_history_which_the_model_has():
    model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)])
    kept = callbacks.History()
    for given in (None, [kept]):
        both = callbacks.CallbackList(given, add_history=True, model=model, epochs=2)
        assert sum(isinstance(c, callbacks.History) for c in both.callbacks) == 1
        both.on_train_begin()
        for epoch in range(2):
            both.on_epoch_end(epoch, {"loss": 2.0 - epoch})
        assert model.history.history == {"loss": [2.0, 1.0]}
    assert model.history is kept


@pytest.mark.parametrize("endless", [True, False])
@pytest.mark.parametrize(
    ("verb", "word", "hook"),
    [("evaluate", "evaluating", "test"), ("predict", "predicting", "predict")],
)
def test_a_callback_stops_an_evaluation_or_prediction(verb, word, hook, endless):
    class Stopper(callbacks.Callback):
        seen = 0

    def batch_end(batch, logs=None):
        stopper.seen += 1
        assert batch == stopper.seen - 1
        if hook == "predict":
            assert logs["outputs"].shape == (2, 3)
        if stopper.seen == 5:
            setattr(model, f"stop_{word}", True)

    stopper = Stopper()
    setattr(stopper, f"on_{hook}_batch_end", batch_end)
    model = fastnn.Sequential([fastnn.Input((2,)), layers.Dense(3)])
    model.compile("sgd", "mse")
    x, y = np.ones((40, 2), "f"), np.ones((40, 3), "f")
    batch = (x[:2],) if verb == "predict" else (x[:2], y[:2])
    if endless:
        given = {"x": itertools.repeat(batch)}
    else:
        given = {"x": x, "batch_size": 2} | ({} if verb == "predict" else {"y": y})
    out = getattr(model, verb)(**given, callbacks=[stopper], verbose=0)
    assert stopper.seen == 5
    if verb == "predict":
        assert out.shape == (10, 3)
    rest = getattr(model, verb)(**given | {"x": x, "batch_size": 2}, **(
        {"y": y} if verb == "evaluate" and endless else {}), verbose=0)  # fmt: skip
    assert np.isfinite(rest).all()
    if verb == "predict":
        assert rest.shape == (40, 3)
