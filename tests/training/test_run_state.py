"""A run's own state: metrics that no callback spoils, validation from the start, resumption."""

import numpy as np
import pytest

from fastnn import keras as K

X = np.arange(8.0, dtype="float32")[:, None]
Y = X[:, 0]


def linear(rate=0.0, **compile):
    model = K.Sequential([K.Input((1,)), K.layers.Dense(1, kernel_initializer="zeros")])
    model.compile(K.optimizers.SGD(rate), "mse", **compile)
    return model


def batches(n=8):
    return [(X[i : i + 1], Y[i : i + 1]) for i in range(n)]


class At(K.callbacks.Callback):
    """Calls a function in one hook."""

    def __init__(self, hook, call, when=2):
        super().__init__()
        setattr(self, hook, lambda at, logs=None: call(self.model) if at == when else None)


DISTURBANCES = {
    "evaluate": lambda m: m.evaluate(X + 100, Y - 100, verbose=0),
    "evaluate batches": lambda m: m.evaluate(((X + 9, Y) for _ in range(2)), verbose=0),
    "test_on_batch": lambda m: m.test_on_batch(X + 100, Y - 100),
    "train_on_batch": lambda m: m.train_on_batch(X + 100, Y - 100),
    "predict": lambda m: m.predict(X + 100, verbose=0),
    "fit": lambda m: m.fit(X + 100, Y - 100, epochs=2, verbose=0),
}


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("source", ["arrays", "generator"])
@pytest.mark.parametrize("hook", ["on_train_batch_begin", "on_train_batch_end"])
@pytest.mark.parametrize("name", DISTURBANCES)
def test_what_a_batch_hook_does_leaves_the_training_metrics(name, hook, source, eager):
    def history(callbacks):
        model = linear(metrics=["mae"], run_eagerly=eager)
        data = (X, Y) if source == "arrays" else (iter(batches()),)
        size = {"batch_size": 1, "shuffle": False} if source == "arrays" else {}
        return model.fit(*data, **size, verbose=0, callbacks=callbacks).history

    assert history([At(hook, DISTURBANCES[name])]) == history([])


def test_an_evaluation_inside_an_evaluation_leaves_its_metrics():
    model = linear(metrics=["mae"])
    probe = At("on_test_batch_end", lambda m: m.evaluate(X + 9, Y, verbose=0))
    assert model.evaluate(X, Y, batch_size=2, verbose=0, callbacks=[probe]) == model.evaluate(
        X, Y, batch_size=2, verbose=0
    )


def test_a_metric_shared_by_two_models_sums_only_what_its_own_epoch_saw():
    shared = K.metrics.MeanAbsoluteError(name="mae")
    other = linear(metrics=[shared])
    probe = At("on_train_batch_end", lambda _: other.evaluate(X + 99, Y - 99, verbose=0))
    got = linear(metrics=[shared]).fit(X, Y, batch_size=2, shuffle=False, verbose=0,
                                       callbacks=[probe]).history  # fmt: skip
    assert got["mae"] == linear(metrics=["mae"]).fit(X, Y, verbose=0).history["mae"]


def test_a_fit_inside_a_fit_leaves_stopping_and_history_to_the_outer_one():
    def inner(model):
        model.stop_training = True
        model.fit(X, Y, epochs=3, verbose=0)
        assert model.stop_training

    model = linear()
    history = model.fit(X, Y, epochs=5, verbose=0, callbacks=[At("on_epoch_end", inner, 1)])
    assert model.history is history
    assert history.epoch == [0, 1]


class Data(K.utils.PyDataset):
    def __len__(self):
        return 4

    def __getitem__(self, i):
        return X[i : i + 1], Y[i : i + 1]


class Loader:
    def __iter__(self):
        return iter(batches(4))


@pytest.mark.parametrize("steps", [1, 3, 4])
@pytest.mark.parametrize("data", [Data(), Loader()])
def test_validation_steps_judge_every_epoch_on_the_same_batches(data, steps):
    values = linear().fit(X, Y, epochs=3, verbose=0, validation_data=data,
                          validation_steps=steps).history["val_loss"]  # fmt: skip
    seen = [float(Y[i % 4] ** 2) for i in range(steps)]
    assert values == pytest.approx([np.mean(seen)] * 3)


@pytest.mark.parametrize("data", [Data(), Loader()])
def test_no_batch_is_judged_twice_where_there_are_fewer_than_the_steps(data):
    model = linear()
    with pytest.warns(UserWarning, match="ran out after 4 of 6 batches"):
        values = model.fit(X, Y, epochs=2, verbose=0, validation_data=data,
                           validation_steps=6).history["val_loss"]  # fmt: skip
    assert values == pytest.approx([14 / 4] * 2)
    with pytest.warns(UserWarning, match="ran out after 4 of 6 batches"):
        assert model.evaluate(data, steps=6, verbose=0) == pytest.approx(14 / 4)
    with pytest.warns(UserWarning, match="ran out after 4 of 6 batches"):
        assert model.predict(data, steps=6, verbose=0).shape == (4, 1)


def test_a_validation_iterator_gives_its_first_two_batches_in_every_epoch_as_in_keras():
    values = linear().fit(X, Y, epochs=3, verbose=0, validation_data=iter(batches(8)),
                          validation_steps=3).history["val_loss"]  # fmt: skip
    assert values == pytest.approx([(0 + 1 + 4) / 3, (0 + 1 + 9) / 3, (0 + 1 + 16) / 3])
    values = linear().fit(X, Y, epochs=3, verbose=0,
                          validation_data=iter(batches(8))).history["val_loss"]  # fmt: skip
    assert values == pytest.approx([140 / 8, 1 / 2, 1 / 2])


@pytest.mark.parametrize(("steps", "made"), [(10, 58), (None, 68)])
def test_a_generator_that_ends_makes_the_steps_that_keras_makes(steps, made):
    model = linear()
    given = ((X[i % 4 : i % 4 + 1], Y[:1]) for i in range(56 if steps else 58))
    with pytest.warns(UserWarning, match="x ran out after .* batches in epoch"):
        history = model.fit(given, steps_per_epoch=steps, epochs=7 if steps else 6, verbose=0)
    assert int(model.optimizer.iterations) == made
    assert len(history.history["loss"]) == len(history.epoch) == (7 if steps else 6)


class Kill(K.callbacks.Callback):
    def __init__(self, after):
        super().__init__()
        self.left = after

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            raise RuntimeError("killed")


class Endless:
    """Five batches over and over, which is not the number of steps of an epoch."""

    def __iter__(self):
        while True:
            yield from batches(5)


SOURCES = {
    "arrays": lambda: {"x": X, "y": Y, "batch_size": 1},
    "arrays, steps": lambda: {"x": X, "y": Y, "batch_size": 1, "steps_per_epoch": 6},
    "PyDataset": lambda: {"x": Data()},
    "PyDataset, steps": lambda: {"x": Data(), "steps_per_epoch": 6},
    "iterable": lambda: {"x": Loader()},
    "iterable, steps": lambda: {"x": Endless(), "steps_per_epoch": 6},
    "generator, steps": lambda: {"x": iter(Endless()), "steps_per_epoch": 6},
}


@pytest.mark.parametrize("after", [3, 7, 8, 11])
@pytest.mark.parametrize("source", SOURCES)
def test_a_run_killed_in_mid_epoch_goes_on_after_the_batch_that_was_saved(source, after, tmp_path):
    def run(*callbacks):
        K.utils.set_random_seed(5)
        model = K.Sequential([K.Input((1,)), K.layers.Dropout(0.3), K.layers.Dense(1)])
        model.compile("adam", "mse", metrics=["mae"])
        slower = K.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5)
        history = model.fit(**SOURCES[source](), epochs=4, verbose=0,
                            callbacks=[slower, *callbacks]).history  # fmt: skip
        return model, history

    model, want = run()
    backup = lambda: K.callbacks.BackupAndRestore(tmp_path / "b", save_freq=2)  # noqa: E731
    with pytest.raises(RuntimeError, match="killed"):
        run(backup(), Kill(after))
    again, got = run(backup())
    assert int(again.optimizer.iterations) == int(model.optimizer.iterations)
    for a, b in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for key, values in got.items():
        assert values == want[key][-len(values) :], key


def test_predict_counts_steps_at_every_call():
    model = K.Sequential([K.Input((2,)), K.layers.Dense(1)])
    x = np.ones((100, 2), np.float32)
    for _ in range(3):
        assert model.predict(x, steps=2, verbose=0).shape == (64, 1)
        assert model.predict(x, steps=2, batch_size=10, verbose=0).shape == (20, 1)
        assert model.predict(x, verbose=0).shape == (100, 1)
