"""Models on a GPU: the losses of the CPU, the same bits twice, and files that both read."""

import itertools
import threading

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn.devices import choice
from fastnn.devices.data import Data

STEPS, BATCH = 20, 16


def mlp():
    x = np.random.default_rng(0).normal(size=(STEPS * BATCH, 12)).astype("f")
    y = (x @ np.arange(36).reshape(12, 3) % 7).argmax(-1)
    net = [
        fastnn.Input((12,)), layers.Dense(32, "relu"), layers.Dropout(0.2),
        layers.Dense(16, "tanh"), layers.BatchNormalization(), layers.Dense(3, "softmax"),
    ]  # fmt: skip
    return fastnn.Sequential(net), x, y, "sparse_categorical_crossentropy"


def cnn():
    r = np.random.default_rng(1)
    x = r.normal(size=(STEPS * BATCH, 12, 12, 2)).astype("f")
    y = r.integers(0, 4, STEPS * BATCH)
    net = [
        fastnn.Input((12, 12, 2)), layers.Conv2D(8, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(), layers.Conv2D(12, 3, strides=2), layers.ReLU(),
        layers.GlobalAveragePooling2D(), layers.Dense(4),
    ]  # fmt: skip
    loss = fastnn.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return fastnn.Sequential(net), x, y, loss


def lstm():
    r = np.random.default_rng(2)
    x = r.integers(0, 20, (STEPS * BATCH, 9))
    y = (x.sum(1) % 2).astype("f")
    net = [
        fastnn.Input((9,), dtype="int32"), layers.Embedding(20, 8), layers.LSTM(16),
        layers.Dense(1, "sigmoid"),
    ]  # fmt: skip
    return fastnn.Sequential(net), x, y, "binary_crossentropy"


def gpt():
    r = np.random.default_rng(3)
    x = r.integers(0, 24, (STEPS * BATCH, 11))
    tokens = fastnn.Input((10,), dtype="int32")
    h = layers.Embedding(24, 16)(tokens) + layers.Embedding(10, 16)(np.arange(10, dtype="i4")[None])
    for _ in range(2):
        a = layers.LayerNormalization()(h)
        h = h + layers.MultiHeadAttention(2, 8)(a, a, use_causal_mask=True)
        b = layers.Dense(32, "gelu")(layers.LayerNormalization()(h))
        h = h + layers.Dropout(0.1)(layers.Dense(16)(b))
    out = layers.Dense(24)(layers.LayerNormalization()(h))
    loss = fastnn.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return fastnn.Model(tokens, out), x[:, :-1], x[:, 1:], loss


def gru():
    r = np.random.default_rng(4)
    x = r.normal(size=(STEPS * BATCH, 7, 3)).astype("f")
    net = [
        fastnn.Input((7, 3)), layers.Bidirectional(layers.GRU(8, return_sequences=True)),
        layers.GRU(6), layers.Dense(2),
    ]  # fmt: skip
    return fastnn.Sequential(net), x, x[:, -1, :2] * x[:, 0, :1], "mse"


def autoencoder():
    r = np.random.default_rng(5)
    x = r.normal(size=(STEPS * BATCH, 4)).astype("f") @ r.normal(size=(4, 20)).astype("f")
    net = [
        fastnn.Input((20,)), layers.GaussianNoise(0.1), layers.Dense(12, "elu"),
        layers.Dense(4, activity_regularizer="l1"), layers.Dense(12, "elu"),
        layers.LayerNormalization(), layers.Dense(20, kernel_regularizer="l2"),
    ]  # fmt: skip
    return fastnn.Sequential(net), x, x, "mae"


def two_inputs():
    r = np.random.default_rng(6)
    x = {
        "numbers": r.normal(size=(STEPS * BATCH, 5)).astype("f"),
        "kind": r.integers(0, 6, (STEPS * BATCH, 1)),
    }
    numbers = fastnn.Input((5,), name="numbers")
    kind = fastnn.Input((1,), dtype="int32", name="kind")
    e = layers.Flatten()(layers.Embedding(6, 4)(kind))
    h = layers.Dense(10, "swish")(layers.Concatenate()([numbers, e]))
    y = x["numbers"][:, :1] + x["kind"]
    return fastnn.Model([numbers, kind], layers.Dense(1)(h)), x, y, "huber"


class Losses(fastnn.keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(logs["loss"])


def trained(make, device, epochs=1, by_batch=True, optimizer=lambda o: o.Adam(0.01)):
    fastnn.utils.set_random_seed(5)
    model, x, y, loss = make()
    counted = "entropy" in str(getattr(loss, "name", loss))
    metrics = ["accuracy" if counted else "mae"]
    model.compile(optimizer(fastnn.optimizers), loss, metrics=metrics, device=device)
    losses = Losses()
    done = model.fit(
        x, y, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=[losses] if by_batch else None
    )
    return model, x, y, losses.seen, done.history


OPTIMIZERS = {
    "adam": lambda o: o.Adam(0.01),
    "nesterov": lambda o: o.SGD(0.01, momentum=0.9, nesterov=True),
    "clipped": lambda o: o.AdamW(0.01, weight_decay=0.01, global_clipnorm=0.5),
    "averaged": lambda o: o.RMSprop(0.002, centered=True, use_ema=True, ema_momentum=0.9),
    "scheduled": lambda o: o.Lion(o.schedules.CosineDecay(0.002, 20), clipvalue=0.1),
    "gathered": lambda o: o.Adam(0.01, gradient_accumulation_steps=3, amsgrad=True),
}


@pytest.mark.parametrize(
    ("make", "optimizer"),
    [
        (mlp, "clipped"), (cnn, "adam"), (lstm, "scheduled"), (gpt, "clipped"), (gru, "nesterov"),
        (autoencoder, "averaged"), (autoencoder, "gathered"), (two_inputs, "adam"),
        (two_inputs, "averaged"),
    ],
)  # fmt: skip
def test_twenty_steps_have_the_losses_of_the_cpu(gpu, make, optimizer):
    model, x, y, got, _ = trained(make, "gpu", optimizer=OPTIMIZERS[optimizer])
    other, *_, wanted, _ = trained(make, "cpu", optimizer=OPTIMIZERS[optimizer])
    assert len(got) == STEPS
    np.testing.assert_allclose(got, wanted, rtol=1e-5)
    for mine, theirs in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=2e-4)
    some = {k: v[:37] for k, v in x.items()} if isinstance(x, dict) else x[:37]
    np.testing.assert_allclose(
        model.predict(some, verbose=0), other.predict(some, verbose=0), rtol=1e-3, atol=5e-4
    )
    mine, theirs = (m.evaluate(x, y, verbose=0) for m in (model, other))
    np.testing.assert_allclose(mine, theirs, rtol=1e-3)


@pytest.mark.parametrize("make", [mlp, cnn, lstm, gpt])
def test_two_runs_have_the_same_bits(gpu, make):
    runs = [trained(make, "gpu", epochs=2, by_batch=False) for _ in range(2)]
    assert runs[0][-1] == runs[1][-1]
    for one, other in zip(runs[0][0].get_weights(), runs[1][0].get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_epochs_without_hooks_are_those_with(gpu):
    with_hooks = trained(mlp, "gpu", epochs=3)[-1]
    without = trained(mlp, "gpu", epochs=3, by_batch=False)[-1]
    assert with_hooks == without


def test_a_model_is_saved_from_one_device_and_goes_on_on_the_other(gpu, tmp_path):
    model, x, *_ = trained(mlp, "gpu", by_batch=False)
    model.save(tmp_path / "m.keras")
    again = fastnn.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(
        again.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-4, atol=1e-5
    )
    with fastnn.device("gpu"):
        on_gpu = again.predict(x, verbose=0)
    np.testing.assert_array_equal(on_gpu, model.predict(x, verbose=0))


def test_generators_batches_and_weights_set_by_hand(gpu):
    logs = []
    for device in ("cpu", "gpu"):
        fastnn.utils.set_random_seed(1)
        model, x, y, loss = mlp()
        model.compile("sgd", loss, device=device)
        batches = ((x[i : i + 8], y[i : i + 8]) for i in range(0, 64, 8))
        model.fit(batches, verbose=0)
        logs.append([model.history.history["loss"][-1]])
        logs[-1].append(model.train_on_batch(x[:8], y[:8]))
        model.set_weights([0.5 * w for w in model.get_weights()])
        logs[-1].append(model.test_on_batch(x[:8], y[:8]))
        logs[-1].append(model.train_on_batch(x[:9], y[:9]))
    np.testing.assert_allclose(logs[0], logs[1], rtol=1e-5)


def test_callbacks_that_read_and_write_weights_see_those_of_the_device(gpu):
    class Halve(fastnn.keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.set_weights([0.5 * w for w in self.model.get_weights()])
            self.model.optimizer.learning_rate = 0.1 / (epoch + 1)

    weights = []
    for device in ("cpu", "gpu"):
        fastnn.utils.set_random_seed(1)
        model, x, y, loss = mlp()
        model.compile("sgd", loss, device=device)
        model.fit(x, y, epochs=3, verbose=0, callbacks=[Halve()], validation_data=(x[:50], y[:50]))
        weights.append((model.get_weights(), model.history.history))
    for mine, theirs in zip(weights[0][0], weights[1][0], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)
    for name, values in weights[0][1].items():
        np.testing.assert_allclose(values, weights[1][1][name], rtol=1e-5)


def test_a_block_and_the_process_choose_and_a_model_of_its_own_comes_first(gpu):
    assert fastnn.get_device() == "cpu"
    with fastnn.device("gpu"):
        assert fastnn.get_device() == "gpu:0"
        with fastnn.device("cpu"):
            assert fastnn.get_device() == "cpu"
    fastnn.set_device("gpu")
    try:
        assert fastnn.get_device() == "gpu:0"
        model, *_, loss = mlp()
        model.compile("sgd", loss, device="cpu")
        assert choice.chosen(model._compiled_device) == "cpu"
        model.compile("sgd", loss)
        assert choice.chosen(model._compiled_device) == "gpu:0"
    finally:
        fastnn.set_device("cpu")


def test_eager_steps_and_devices_exclude_each_other(gpu):
    model, *_ = mlp()
    with pytest.raises(ValueError, match=r"run_eagerly=True.*\n  hint"):
        model.compile("sgd", "mse", run_eagerly=True, device="gpu")
    with pytest.raises(ValueError, match="unknown device: 'tpu'"):
        model.compile("sgd", "mse", device="tpu")


def test_a_language_model_speaks_the_same_words(gpu):
    said = []
    for device in ("cpu", "gpu"):
        fastnn.utils.set_random_seed(3)
        model = fastnn.applications.GPT(40, 16, 2, heads=2, max_length=32)
        with fastnn.device(device):
            said.append(
                [
                    fastnn.generate(model, [1, 2, 3], 12, temperature=0),
                    fastnn.generate(model, [5], 12, seed=4),
                ]
            )
    assert said[0] == said[1]


def test_arrays_that_a_callback_changes_are_read_anew(gpu):
    class Change(fastnn.keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.x[:] *= 0.5

    histories = []
    for device in ("cpu", "gpu"):
        fastnn.utils.set_random_seed(1)
        model, x, y, loss = mlp()
        model.compile("sgd", loss, device=device)
        change = Change()
        change.x = x
        model.fit(x, y, epochs=3, verbose=0, callbacks=[change])
        x[:] = 1.0
        model.fit(x, y, epochs=2, verbose=0)
        histories.append((change.x, model.history.history["loss"]))
    np.testing.assert_allclose(histories[0][1], histories[1][1], rtol=1e-5)


def test_epochs_with_a_report_upload_the_data_once(gpu, monkeypatch, capsys):
    from fastnn.devices import loop

    made = []
    monkeypatch.setattr(loop, "Data", lambda *a: made.append(1) or Data(*a))
    model, x, y, loss = mlp()
    model.compile("sgd", loss, device="gpu")
    model.fit(x, y, epochs=4, verbose=2)
    assert capsys.readouterr().out.count("loss") == 4
    assert len(made) == 1


def test_two_threads_predict_and_train_beside_each_other(gpu):
    model, x, y, loss = mlp()
    model.compile("sgd", loss, device="gpu")
    other, *_ = mlp()
    other.compile("sgd", loss, device="gpu")
    wanted = other.predict(x, verbose=0)
    wrong, stop = [], threading.Event()

    def predict():
        while not stop.is_set():
            for n in (7, 40):
                if not np.allclose(other.predict(x[:n], verbose=0), wanted[:n], 1e-4, 1e-6):
                    wrong.append(n)

    threads = [threading.Thread(target=predict) for _ in range(2)]
    for thread in threads:
        thread.start()
    model.fit(x, y, epochs=3, verbose=0)
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong
    fastnn.utils.set_random_seed(5)
    assert np.isfinite(model.evaluate(x, y, verbose=0)).all()


def test_a_fit_that_a_hook_begins_leaves_the_history_of_the_outer_one(gpu):
    class Inside(fastnn.keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 1:
                self.model.fit(self.x[:8], self.y[:8], epochs=2, verbose=0)

    histories = []
    for device in ("cpu", "gpu"):
        fastnn.utils.set_random_seed(1)
        model, x, y, loss = mlp()
        model.compile("sgd", loss, metrics=["accuracy"], device=device)
        inside = Inside()
        inside.x, inside.y = x, y
        model.fit(x[:64], y[:64], batch_size=16, epochs=2, verbose=0, callbacks=[inside])
        histories.append(model.history.history)
    for name, values in histories[0].items():
        assert len(values) == 2
        np.testing.assert_allclose(values, histories[1][name], rtol=1e-5)


@pytest.mark.parametrize("sizes", [[8] * 9, [8, 8, 3], [4, 8, 8, 2, 8], [5], [1] * 70])
def test_predictions_of_many_batches_are_submitted_together(gpu, sizes, monkeypatch):
    from fastnn.devices.gpu import Gpu

    model, x, _, loss = mlp()
    ends = np.cumsum([0, *sizes])
    wanted = model.predict(x[: ends[-1]], verbose=0)
    model.compile("sgd", loss, device="gpu")
    whole = model.predict(x[: ends[-1]], batch_size=16, verbose=0)
    np.testing.assert_allclose(whole, wanted, rtol=1e-4, atol=1e-6)
    reads, read = [], Gpu.read
    monkeypatch.setattr(Gpu, "read", lambda self, parts: reads.append(1) or read(self, parts))
    batches = (x[a:b] for a, b in itertools.pairwise(ends))
    got = model.predict(batches, verbose=0)
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6)
    assert len(reads) == {9: 1, 3: 1, 5: 3, 1: 1, 70: 2}[len(sizes)]


def test_bad_data_in_a_later_batch_are_told_and_the_next_prediction_is_right(gpu):
    model, x, _, loss = lstm()
    model.compile("sgd", loss, device="gpu")
    wanted = model.predict(x[:60], batch_size=8, verbose=0)
    bad = x[:60].copy()
    bad[33, 4] = 20
    with pytest.raises(fastnn.DataError, match="20"):
        model.predict(bad, batch_size=8, verbose=0)
    np.testing.assert_array_equal(model.predict(x[:60], batch_size=8, verbose=0), wanted)
