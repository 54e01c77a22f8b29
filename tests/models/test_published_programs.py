"""Idioms of published Keras programs: steps that know their batch, batches of unlike parts."""

import numpy as np
import pytest

import fastnn as tf
from fastnn import keras, ops
from fastnn.keras import layers

BATCH = 8


class Denoiser(keras.Model):
    """Draws noise for batches of one size, as programs of diffusion models do."""

    def __init__(self):
        super().__init__()
        self.inner = keras.Sequential([keras.Input((3,)), layers.Dense(3)])
        self.tracker = keras.metrics.Mean(name="n_loss")

    @property
    def metrics(self):
        return [self.tracker]

    def _loss(self, data):
        noise = keras.random.normal((BATCH, 3))
        rates = keras.random.uniform((BATCH, 1))
        return self.loss(noise, self.inner(rates * data + (1 - rates) * noise))

    def train_step(self, data):
        with tf.GradientTape() as tape:
            loss = self._loss(data)
        gradients = tape.gradient(loss, self.inner.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.inner.trainable_weights, strict=True))
        self.tracker.update_state(loss)
        return {m.name: m.result() for m in self.metrics}

    def test_step(self, data):
        self.tracker.update_state(self._loss(data))
        return {m.name: m.result() for m in self.metrics}


def test_a_step_may_mix_the_batch_with_a_size_of_its_own(rng):
    x = rng.random((4 * BATCH, 3)).astype("f")
    model = Denoiser()
    model.compile(keras.optimizers.SGD(0.1), keras.losses.MeanSquaredError())
    before = model.inner.get_weights()[0].copy()
    data = tf.data.Dataset.from_tensor_slices(x).batch(BATCH, drop_remainder=True)
    history = model.fit(data, epochs=2, validation_data=data, verbose=0).history
    assert len(history["n_loss"]) == len(history["val_n_loss"]) == 2
    assert np.all(np.isfinite(history["n_loss"]))
    history = model.fit(x, batch_size=BATCH, epochs=2, verbose=0).history
    assert len(history["n_loss"]) == 2
    assert np.isfinite(model.evaluate(x, batch_size=BATCH, verbose=0))
    assert int(model.optimizer.iterations) == 16
    assert not np.array_equal(before, model.inner.get_weights()[0])


def test_rows_that_do_not_fit_a_size_of_the_step_are_still_named(rng):
    model = Denoiser()
    model.compile("sgd", keras.losses.MeanSquaredError())
    with pytest.raises(tf.ShapeError, match=r"multiply: shapes.*\n  hint"):
        model.fit(rng.random((BATCH + 1, 3)).astype("f"), batch_size=BATCH + 1, verbose=0)


class Pairs(keras.Model):
    """Takes many pictures without labels and few with them."""

    def __init__(self):
        super().__init__()
        self.encoder = keras.Sequential([keras.Input((4,)), layers.Dense(2)])

    def train_step(self, data):
        (free, _), (labelled, y) = data
        both = ops.concatenate([free, labelled], axis=0)
        with tf.GradientTape() as tape:
            out = self.encoder(both)
            known = out[ops.shape(free)[0] :]
            loss = ops.mean(ops.square(known[:, 0] - y)) + ops.mean(ops.square(out))
        gradients = tape.gradient(loss, self.encoder.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.encoder.trainable_weights, strict=True))
        return {"loss": loss, "rows": ops.shape(both)[0] * ops.ones(())}


def test_parts_of_a_batch_may_have_unlike_rows_where_the_step_takes_them_apart(rng):
    x, y = rng.random((24, 4)).astype("f"), rng.random(24).astype("f")
    free = tf.data.Dataset.from_tensor_slices((x, y)).batch(12)
    labelled = tf.data.Dataset.from_tensor_slices((x[:8], y[:8])).batch(4)
    data = tf.data.Dataset.zip((free, labelled))
    model = Pairs()
    model.compile("sgd")
    assert model.fit(data, epochs=2, verbose=0).history["rows"] == [16.0, 16.0]
    plain = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    plain.compile("sgd", "mse")
    with pytest.raises(tf.DataError, match="x has 12 samples, y has 4 samples"):
        plain.fit(iter([(x[:12], y[:4])]), verbose=0)


@pytest.mark.parametrize("name", ["m.weights.h5", "m.safetensors"])
def test_a_model_of_built_models_is_saved_without_being_called(rng, tmp_path, name):
    first, second = Pairs(), Pairs()
    first.save_weights(tmp_path / name)
    second.load_weights(tmp_path / name)
    for a, b in zip(first.encoder.get_weights(), second.encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)

    class Later(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)

    with pytest.raises(ValueError, match=r"is not built\n  hint"):
        Later().save_weights(tmp_path / name)


def test_a_sequence_may_set_its_number_of_batches():
    class Given(keras.utils.Sequence):
        def __init__(self, num_batches):
            super().__init__()
            self.num_batches = num_batches

        def __len__(self):
            return self.num_batches

        def __getitem__(self, i):
            return np.ones((2, 3), "f"), np.ones(2, "f")

    model = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    assert model.fit(Given(5), verbose=0).params["steps"] == 5


@pytest.mark.parametrize("eager", [False, True])
def test_a_step_may_log_the_result_of_all_compiled_metrics(rng, eager):
    class Own(keras.Model):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                out = self(x, training=True)
                loss = self.compute_loss(y=y, y_pred=out)
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply(gradients, self.trainable_variables)
            results = {}
            for metric in self.metrics:
                if metric.name == "loss":
                    metric.update_state(loss)
                else:
                    metric.update_state(y, out)
                results[metric.name] = metric.result()
            return results

    x, y = rng.random((12, 3)).astype("f"), rng.random((12, 1)).astype("f")
    i = keras.Input((3,))
    model = Own(i, layers.Dense(1)(i))
    model.compile(keras.optimizers.SGD(0.0), "mse", metrics=["mae"], run_eagerly=eager)
    history = model.fit(x, y, batch_size=4, verbose=0).history
    np.testing.assert_allclose(
        history["mae"][0], np.abs(model.predict(x, verbose=0) - y).mean(), rtol=1e-5
    )
    assert set(history) == {"loss", "mae"}


def test_a_schedule_may_give_a_tensor(rng):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.5), "mse")
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * ops.exp(-1.0))
    model.fit(np.ones((4, 3)), np.ones(4), verbose=0, callbacks=[schedule])
    np.testing.assert_allclose(float(model.optimizer.learning_rate), 0.5 * np.exp(-1), rtol=1e-5)
