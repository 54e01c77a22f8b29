"""Steps as programs of Keras 2 write them, and predictions of models for batches of one size."""

import numpy as np
import pytest

import fastnn as tf
from fastnn import keras

X, Y = np.linspace(-1, 1, 24, dtype="float32").reshape(8, 3), np.ones((8, 1), "float32")


class Older(keras.Model):
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            p = self(x, training=True)
            loss = self.compiled_loss(y, p, regularization_losses=self.losses)
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        self.compiled_metrics.update_state(y, p)
        return {m.name: m.result() for m in self.metrics}


def test_steps_of_keras_2_train_as_the_built_in_step_does():
    histories = []
    for kind in (Older, keras.Model):
        keras.utils.set_random_seed(1)
        i = keras.Input((3,))
        model = kind(i, keras.layers.Dense(1, kernel_regularizer="l2")(i))
        model.compile("sgd", "mse", metrics=["mae"])
        histories.append(model.fit(X, Y, epochs=2, batch_size=4, shuffle=False, verbose=0).history)
    assert sorted(histories[0]) == ["loss", "mae"]
    for name in histories[0]:
        np.testing.assert_allclose(histories[0][name], histories[1][name], rtol=1e-6)


def test_a_compiled_loss_that_is_not_there_is_told():
    i = keras.Input((3,))
    model = Older(i, keras.layers.Dense(1)(i))
    model.compile("sgd")
    with pytest.raises(ValueError, match=r"compiled_loss.*\n  hint"):
        model.compiled_loss(Y, Y)
    assert model.compiled_metrics.metrics == []


def made():
    rows = tf.constant(np.arange(12, dtype="float32").reshape(4, 3))
    i = keras.Input((3,), batch_size=4)
    return keras.Model(i, keras.layers.Lambda(lambda t: t * 2.0 + rows)(i)), rows.numpy()


def test_a_constant_with_as_many_rows_as_the_batch_is_predicted_batch_by_batch():
    model, rows = made()
    wanted = 2.0 * X + np.concatenate([rows, rows])
    np.testing.assert_array_equal(model.predict(X, batch_size=4, verbose=0), wanted)
    np.testing.assert_array_equal(model.predict(X, batch_size=4, verbose=0), wanted)
    np.testing.assert_array_equal(model.predict_on_batch(X[:4]), wanted[:4])
    data = tf.data.Dataset.from_tensor_slices(X).batch(4)
    np.testing.assert_array_equal(made()[0].predict(data, verbose=0), wanted)
    for _ in range(2):
        np.testing.assert_array_equal(model(X[:4]), wanted[:4])
    model.compile("sgd", "mse")
    assert model.evaluate(X, wanted, batch_size=4, verbose=0) == 0.0


def test_another_number_of_rows_is_refused_in_terms_of_the_batch():
    model, _ = made()
    for _ in range(2):
        with pytest.raises(tf.ShapeError, match=r"batch against 4"):
            model.predict(X, batch_size=3, verbose=0)
