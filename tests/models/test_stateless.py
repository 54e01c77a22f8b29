"""`stateless_call`, copies of models with classes of the user's, and what callbacks are told."""

import numpy as np
import pytest

import fastnn
from fastnn import keras as K
from fastnn.keras import layers, ops

X = np.linspace(-1, 1, 12).reshape(4, 3).astype("float32")


def test_a_stateless_call_gives_new_state_and_leaves_the_stored_one():
    ones = {"kernel_initializer": "ones"}
    model = K.Sequential([
        K.Input((3,)), layers.Dense(2, kernel_regularizer=K.regularizers.L2(0.5), **ones),
        layers.BatchNormalization(momentum=0.5), layers.Dense(1, **ones),
    ])  # fmt: skip
    before = model.get_weights()
    given = [2.0 * v.numpy() for v in model.trainable_variables]
    out, state, losses = model.stateless_call(
        given, model.non_trainable_variables, X, training=True, return_losses=True
    )
    h = X @ (2.0 * np.ones((3, 2)))
    np.testing.assert_allclose(state[0].numpy(), 0.5 * h.mean(0), rtol=1e-5)
    want = ((h - h.mean(0)) / np.sqrt(h.var(0) + 1e-3) * 2.0) @ (2.0 * np.ones((2, 1)))
    np.testing.assert_allclose(out.numpy(), want, rtol=1e-4, atol=1e-5)
    assert float(losses[0]) == pytest.approx(0.5 * 24.0)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    again, _ = model.stateless_call(model.trainable_variables, model.non_trainable_variables, X)
    np.testing.assert_allclose(again.numpy(), model(X).numpy(), rtol=1e-6)
    with pytest.raises(ValueError, match=r"4 trainable_variables, got 1|6 trainable_variables"):
        model.stateless_call([np.ones((3, 2))], [], X)
    with pytest.raises(ValueError, match=r"built(?s:.)*hint:"):
        layers.Dense(2).stateless_call([], [], X)


class Twice(layers.Layer):
    def call(self, x):
        return ops.multiply(x, 2.0)


def test_copies_need_no_registered_classes():
    inner = K.Sequential([K.Input((3,)), Twice(), layers.Dense(2)])
    x = K.Input((3,))
    for model in (
        inner,
        K.Model(x, inner(x)),
        K.Model(x, layers.TimeDistributed(Twice())(layers.Reshape((3, 1))(x)))
        if hasattr(layers, "TimeDistributed")
        else inner,
    ):
        copy = K.models.clone_model(model)
        copy.set_weights(model.get_weights())
        np.testing.assert_array_equal(copy(X), model(X))


def test_callbacks_of_evaluate_and_predict_know_the_run():
    told = {}

    class Told(K.callbacks.Callback):
        def on_test_begin(self, logs=None):
            told["evaluate"] = dict(self.params)

        def on_predict_begin(self, logs=None):
            told["predict"] = dict(self.params)

    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    for steps, data in ((2, X), (1, iter([X]))):
        model.predict(data, batch_size=2 if steps == 2 else None, verbose=0, callbacks=[Told()])
        known = steps if steps == 2 else None
        assert told["predict"] == {"verbose": 0, "epochs": 1, "steps": known}
    model.evaluate(X, X[:, :1], batch_size=3, verbose=0, callbacks=[Told()])
    assert told["evaluate"] == {"verbose": 0, "epochs": 1, "steps": 2}
