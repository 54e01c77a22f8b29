"""Who says whether layers train: the call, the one around it, or a default, as in Keras."""

import numpy as np
import pytest

import fastnn as tf
from fastnn import keras
from fastnn.keras import layers

X = np.ones((64, 4), "float32")


class Stepped(keras.Model):
    """A step of its own that calls the net as `how` says."""

    def __init__(self, how):
        super().__init__()
        self.net = keras.Sequential(
            [
                keras.Input((4,)),
                layers.Dropout(0.9, seed=1),
                layers.Dense(1),
                layers.BatchNormalization(),
            ]
        )
        self.how = how

    def call(self, x, training=None):
        return self.net(x, training=training)

    def train_step(self, data):
        x, _ = data
        with tf.GradientTape() as tape:
            p = self.how(self, x)
            loss = tf.reduce_mean(tf.square(p))
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return {"loss": loss, "mean": tf.reduce_mean(p), "spread": tf.math.reduce_std(p)}


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize(
    ("how", "trains"),
    [
        (lambda m, x: m(x), False),
        (lambda m, x: m.net(x), False),
        (lambda m, x: m(x, training=True), True),
        (lambda m, x: m.net(x, training=True), True),
    ],
)
def test_layers_in_a_step_of_ones_own_train_where_the_step_says_so(how, trains, eager):
    model = Stepped(how)
    model.compile(keras.optimizers.SGD(0.0), run_eagerly=eager)
    spread = model.fit(X, X, batch_size=64, verbose=0).history["spread"][0]
    moved = model.net.layers[-1].moving_variance.numpy()
    assert (spread > 0.1) is trains
    assert (moved != 1.0).all() == trains


class Silent(keras.Model):
    """A call that takes no `training`."""

    def __init__(self):
        super().__init__()
        self.drop = layers.Dropout(0.9)

    def call(self, x):
        return self.drop(x)


def test_a_model_whose_call_takes_no_training_is_trained_as_in_inference_and_says_so():
    model = Silent()
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning, match="takes no `training`|trainable weights") as told:
        history = model.fit(X, X, verbose=0)
    assert history.history["loss"] == [0.0]
    assert any("Silent.call takes no `training`" in str(w.message) for w in told)
    assert any("hint: def call(self, inputs, training=None)" in str(w.message) for w in told)


def test_the_default_of_a_call_counts_where_nobody_says_training():
    class Noisy(layers.Layer):
        def __init__(self):
            super().__init__()
            self.drop = layers.Dropout(0.9)

        def call(self, x, training=True):
            return self.drop(x)

    layer = Noisy()
    assert (layer(X).numpy() == 0).any()
    assert (layer(X, training=False).numpy() == 1).all()
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layer(inputs))
    assert (model(X, training=False).numpy() == 1).all()
    assert (model.predict(X, verbose=0) == 1).all()
