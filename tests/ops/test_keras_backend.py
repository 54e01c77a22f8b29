"""`keras.backend` as programs of Keras 2 use it, and what stands around training there."""

import numpy as np
import pytest

from fastnn import keras as K


def test_losses_and_metrics_written_with_the_backend_train():
    B = K.backend

    def dice(y, p, smooth=1.0):
        y, p = B.flatten(y), B.flatten(p)
        return 1.0 - (2.0 * B.sum(y * p) + smooth) / (B.sum(y) + B.sum(p) + smooth)

    def focal(y, p):
        p = B.clip(p, B.epsilon(), 1.0 - B.epsilon())
        return -B.mean(B.pow(1.0 - B.switch(B.equal(y, 1.0), p, 1.0 - p), 2.0) * B.log(p))

    def rmse(y, p):
        return B.sqrt(B.mean(B.square(p - y), axis=-1))

    def counted(y, p):
        return B.sum(B.cast(B.greater(p, 0.5), "float32")) / K.ops.cast(K.ops.size(y), "float32")

    x, y = np.eye(6, 3, dtype="float32"), np.array([[0.0], [1.0]] * 3)
    model = K.Sequential([K.Input((3,)), K.layers.Dense(1, "sigmoid")])
    model.compile("sgd", focal, metrics=[dice, rmse, counted])
    history = model.fit(x, y, batch_size=4, verbose=0).history
    assert set(history) == {"loss", "dice", "rmse", "counted"}
    p = model.predict(x, verbose=0)
    got = model.evaluate(x, y, batch_size=6, verbose=0, return_dict=True)
    assert got["dice"] == pytest.approx(1 - (2 * (y * p).sum() + 1) / (y.sum() + p.sum() + 1), 1e-5)
    B.set_value(model.optimizer.learning_rate, 0.5)
    assert B.get_value(model.optimizer.lr) == 0.5


def test_functions_of_the_backend_have_the_arguments_of_keras_2():
    B = K.backend
    t = B.constant(np.arange(6.0).reshape(2, 3))
    want = {
        "argmax": (lambda: B.argmax(t), [2, 2]),
        "concatenate": (lambda: B.concatenate([t, t]), np.tile(np.arange(6.0).reshape(2, 3), 2)),
        "gather": (lambda: B.gather(t, [1]), [[3, 4, 5]]),
        "repeat": (lambda: B.repeat(t, 1), [[[0, 1, 2]], [[3, 4, 5]]]),
        "reverse": (lambda: B.reverse(t, 0), [[3, 4, 5], [0, 1, 2]]),
        "relu": (lambda: B.relu(t, max_value=2.0), [[0, 1, 2], [2, 2, 2]]),
        "permute_dimensions": (lambda: B.permute_dimensions(t, (1, 0)), [[0, 3], [1, 4], [2, 5]]),
        "batch_dot": (lambda: B.batch_dot(t, t), [[5], [50]]),
        "one_hot": (lambda: B.one_hot(np.array([1]), 2), [[0, 1]]),
        "clip": (lambda: B.clip(t, None, 1.0), [[0, 1, 1], [1, 1, 1]]),
    }
    for name, (call, right) in want.items():
        np.testing.assert_allclose(np.asarray(call()), right, err_msg=name)
    for name in dir(B):
        assert getattr(B, name) is not None
    with pytest.raises(AttributeError, match="has no 'conv9d'"):
        _ = B.conv9d


def test_sizes_that_are_open_are_counted_with():
    assert K.ops.size(np.ones((2, 3))) == 6
    assert K.ops.size(K.Input((2,))) == None  # noqa: E711  a size that is not known equals None

    def per_element(y, p):
        return K.ops.sum(K.ops.square(y - p)) / K.ops.size(y)

    x = np.arange(10.0)[:, None]
    model = K.Sequential([K.Input((1,)), K.layers.Dense(1, kernel_initializer="zeros")])
    model.compile("sgd", per_element)
    assert model.evaluate(x, x, batch_size=10, verbose=0) == pytest.approx((x**2).mean())


def test_an_optimizer_wrapped_for_scaled_losses_is_that_optimizer():
    inner = K.optimizers.Adam()
    assert K.optimizers.LossScaleOptimizer(inner) is inner
    assert K.mixed_precision.LossScaleOptimizer(inner) is inner
    config = {"class_name": "LossScaleOptimizer",
              "config": {"inner_optimizer": K.optimizers.serialize(inner)}}  # fmt: skip
    assert isinstance(K.optimizers.get(config), K.optimizers.Adam)
    wrapper = K.optimizers.LossScaleOptimizer
    assert isinstance(wrapper.from_config(config["config"]), K.optimizers.Adam)
    assert not isinstance(inner, wrapper)


def test_compile_settings_are_a_config_of_their_own():
    model = K.Sequential([K.Input((1,)), K.layers.Dense(1)])
    assert model.get_compile_config() is None
    model.compile(K.optimizers.SGD(0.25), "mse", metrics=["mae"])
    other = K.models.clone_model(model)
    other.compile_from_config(model.get_compile_config())
    assert float(other.optimizer.learning_rate) == 0.25
    assert other.loss == "mse"
