"""Optimisers as Keras's users write them: state added in `build`, assigned in `update_step`."""

import numpy as np
import pytest

import fastnn
from fastnn import keras as K
from fastnn.keras import layers, ops


class Heavy(K.optimizers.Optimizer):
    def __init__(self, learning_rate=0.01, momentum=0.9, name="heavy", **kwargs):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.momentum = momentum

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.moments = [self.add_variable_from_reference(v, "moment") for v in variables]
        self.count = self.add_variable((), dtype="int32", name="count")

    def update_step(self, gradient, variable, learning_rate):
        moment = self.moments[self._get_variable_index(variable)]
        self.assign(moment, self.momentum * moment - gradient * ops.cast(learning_rate, "float32"))
        self.assign_add(variable, moment)
        if self._get_variable_index(variable) == 0:
            self.assign_add(self.count, 1)

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum}


X = np.linspace(-1, 1, 20).reshape(10, 2).astype("float32")
Y = X.sum(1, keepdims=True)


def fitted(optimizer, epochs):
    model = K.Sequential([K.Input((2,)), layers.Dense(3, kernel_initializer="ones"),
                          layers.Dense(1, kernel_initializer="ones")])  # fmt: skip
    model.compile(optimizer, "mse")
    model.fit(X, Y, epochs=epochs, batch_size=5, shuffle=False, verbose=0)
    return model


def test_state_that_build_adds_is_trained_as_that_of_sgd_with_momentum():
    own, built_in = fitted(Heavy(), 3), fitted(K.optimizers.SGD(0.01, momentum=0.9), 3)
    for a, b in zip(own.get_weights(), built_in.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert int(own.optimizer.count.numpy()) == 6
    assert len(own.optimizer.variables) == 2 + 4 + 1


@pytest.mark.parametrize("suffix", ["safetensors", "keras"])
def test_a_run_goes_on_from_a_file_with_that_state(suffix, tmp_path):
    if suffix == "keras":
        pytest.importorskip("h5py")
    model, path = fitted(Heavy(), 2), tmp_path / f"m.{suffix}"
    model.save(path)
    again = K.models.load_model(path, custom_objects={"Heavy": Heavy})
    for m in (model, again):
        m.fit(X, Y, batch_size=5, shuffle=False, verbose=0)
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert int(again.optimizer.count.numpy()) == 6


def test_a_constructor_may_call_itself_what_it_likes():
    class Pinball(K.losses.Loss):
        def __init__(this, alpha=0.3, **kwargs):
            super().__init__(**kwargs)
            this.alpha = alpha

        def call(self, y, p):
            return ops.mean(ops.maximum(self.alpha * (y - p), (self.alpha - 1) * (y - p)), axis=-1)

    config = Pinball(0.7, reduction="sum").get_config()
    assert config.pop("name").startswith("pinball")
    assert config == {"alpha": 0.7, "reduction": "sum"}
    assert Pinball.from_config(config).alpha == 0.7


def test_several_kinds_of_state_are_added_at_once():
    optimizer, w = K.optimizers.SGD(), fastnn.Variable([1.0, 2.0])
    first, second = optimizer.add_optimizer_variables([w], ("m", "v"), ("zeros", "ones"))
    np.testing.assert_array_equal(first[0].numpy(), [0, 0])
    np.testing.assert_array_equal(second[0].numpy(), [1, 1])


def test_binomial_numbers_have_their_mean_and_spread():
    drawn = fastnn.random.binomial((4000,), 20, 0.25, seed=3).numpy()
    assert drawn.mean() == pytest.approx(5.0, abs=0.15)
    assert drawn.var() == pytest.approx(3.75, abs=0.35)
    each = fastnn.random.binomial((3,), [0, 5, 9], [0.5, 1.0, 0.0], seed=1).numpy()
    np.testing.assert_array_equal(each, [0, 5, 0])
    with pytest.raises(ValueError, match=r"counts(?s:.)*hint:"):
        fastnn.random.binomial((2,), -1, 0.5)


def test_tensorflows_sort_takes_a_direction():
    x = np.array([[2.0, 3.0, 2.0], [1.0, -1.0, 0.0]])
    np.testing.assert_array_equal(fastnn.sort(x, direction="DESCENDING").numpy(), -np.sort(-x))
    np.testing.assert_array_equal(
        fastnn.argsort(x, direction="DESCENDING").numpy(), np.argsort(-x, kind="stable")
    )
    np.testing.assert_array_equal(fastnn.argsort(x, axis=0).numpy(), np.argsort(x, axis=0))
    with pytest.raises(ValueError, match=r"direction(?s:.)*hint:"):
        fastnn.sort(x, direction="down")
