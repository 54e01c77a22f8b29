"""Methods of optimisers and arguments of runs that programs of Keras 2 use."""

import numpy as np
import pytest

import fastnn as tf
from fastnn import keras


def test_minimize_takes_a_function_or_a_loss_with_its_tape():
    v = tf.Variable([1.0, 2.0])
    optimizer = keras.optimizers.SGD(0.25)
    assert int(optimizer.minimize(lambda: tf.reduce_sum(v * v), [v])) == 1
    assert v.numpy().tolist() == [0.5, 1.0]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(v * v)
    optimizer.minimize(loss, lambda: [v], tape=tape)
    assert v.numpy().tolist() == [0.25, 0.5]
    with pytest.raises(ValueError, match=r"without its tape\n  hint"):
        optimizer.minimize(loss, [v])


def test_weights_of_an_optimizer_go_to_another():
    x, y = np.ones((4, 2)), np.ones((4, 1))
    models = []
    for _ in range(2):
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile("adam", "mse")
        model.fit(x, y, verbose=0)
        models.append(model)
    weights = models[0].optimizer.get_weights()
    models[1].optimizer.set_weights(weights)
    for a, b in zip(weights, models[1].optimizer.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_how_data_are_read_ahead_may_be_said_and_changes_nothing():
    x, y = np.ones((4, 2)), np.ones((4, 1))
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    told = {"workers": 4, "use_multiprocessing": True, "max_queue_size": 10}
    model.fit(x, y, verbose=0, **told)
    assert model.evaluate(x, y, verbose=0, **told) == model.evaluate(x, y, verbose=0)
    np.testing.assert_array_equal(model.predict(x, verbose=0, **told), model.predict(x, verbose=0))
    with pytest.raises(TypeError, match="worker"):
        model.fit(x, y, verbose=0, worker=2)


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (keras.layers, "ThresholdedReLU"), (keras.layers, "LocallyConnected1D"),
        (keras.layers, "RandomHeight"), (tf.train, "ExponentialMovingAverage"),
        (keras.Sequential(), "add_metric"),
    ],
)  # fmt: skip
def test_what_went_is_told_with_what_to_write_instead(where, name):
    with pytest.raises(AttributeError, match=r"\n  hint: (fastnn|self)\."):
        getattr(where, name)


def test_a_tensor_over_its_norm_and_the_norm():
    x = np.array([[3.0, 4.0], [6.0, 8.0]], "float32")
    found, size = tf.linalg.normalize(x, axis=1)
    np.testing.assert_allclose(found, [[0.6, 0.8], [0.6, 0.8]], rtol=1e-6)
    assert size.tolist() == [[5.0], [10.0]]
    whole, size = tf.linalg.normalize(x)
    np.testing.assert_allclose(whole, x / np.sqrt(125.0), rtol=1e-6)
    assert size.shape == (1, 1)
    np.testing.assert_allclose(tf.linalg.normalize(x, 1, axis=0)[1], [[9.0, 12.0]])
