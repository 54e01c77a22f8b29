"""A list of tensors is one tensor wherever an op takes one: for values, gradients and traces."""

import numpy as np
import pytest

import fastnn
import fastnn as tf
from fastnn import activations, layers, losses, ops

CALLS = {
    "sum": lambda a, b: ops.sum([a, b]),
    "mean": lambda a, b: ops.mean((a, b)),
    "max": lambda a, b: ops.max([a, b]),
    "keyword": lambda a, b: ops.sum(x=[a, b]),
    "nested": lambda a, b: ops.sum([[a, 1.0], [b, a]]),
    "row": lambda a, b: ops.sum(ops.square([a, b])),
    "operand": lambda a, b: ops.sum(ops.add([a, b], [1.0, b])),
    "second operand": lambda a, b: ops.sum(ops.multiply(a, [a, b])),
    "reshape": lambda a, b: ops.sum(ops.reshape([a, b], (2, 1))),
    "where": lambda a, b: ops.sum(ops.where([True, False], [a, b], 0.0)),
    "reduce_sum": lambda a, b: tf.reduce_sum([a, b]),
    "reduce_mean": lambda a, b: tf.reduce_mean([a, b]),
    "variables": lambda a, b: ops.sum([W, W]),
    "activation": lambda a, b: ops.sum(activations.leaky_relu([a, b])),
    "loss": lambda a, b: ops.sum(losses.mean_squared_error([[0.0, 0.0]], [[a, b]])),
}
W = fastnn.Variable(2.0)
#: The derivatives of the values by W, where a is W and b is 3 W.
SLOPES = {
    "sum": 4.0, "mean": 2.0, "max": 3.0, "keyword": 4.0, "nested": 5.0, "row": 40.0,
    "operand": 7.0, "second operand": 16.0, "reshape": 4.0, "where": 1.0, "reduce_sum": 4.0,
    "reduce_mean": 2.0, "variables": 2.0, "activation": 4.0, "loss": 20.0,
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_gradients_flow_through_lists_of_tensors(name):
    W.assign(2.0)
    with tf.GradientTape() as tape:
        value = CALLS[name](W * 1.0, W * 3.0)
    assert float(tape.gradient(value, W)) == SLOPES[name]


@pytest.mark.parametrize("name", sorted(set(activations.TABLE.names) - {"linear"}))
def test_activations_take_lists_of_tensors_in_traces_too(name):
    function = activations.get(name)
    more = {"threshold": (0.0, 0.0)}.get(name, ())
    x = np.array([0.5, 0.25], np.float32)
    of_list = fastnn.grad(lambda t: ops.sum(ops.square(function([t, 2.0 * t], *more))))(x)
    of_one = fastnn.grad(lambda t: ops.sum(ops.square(function(ops.stack([t, 2.0 * t]), *more))))(x)
    np.testing.assert_array_equal(of_list.numpy(), of_one.numpy())


@pytest.mark.parametrize("name", CALLS)
def test_lists_of_tensors_are_traced(name, recwarn):
    W.assign(2.0)

    @tf.function
    def compiled(w):
        return CALLS[name](w * 1.0, w * 3.0)

    assert float(compiled(tf.constant(2.0))) == float(CALLS[name](W * 1.0, W * 3.0))
    assert not recwarn.list


def test_lists_of_symbolic_tensors_are_one_tensor(tmp_path, rng):
    inputs = fastnn.Input((3,))
    parts = [layers.Dense(2)(inputs), layers.Dense(2)(inputs)]
    model = fastnn.Model(inputs, ops.sum(parts, axis=0))
    x = rng.normal(size=(4, 3)).astype("float32")
    wanted = sum(fastnn.Model(inputs, part)(x).numpy() for part in parts)
    np.testing.assert_allclose(model(x), wanted, rtol=1e-5)
    clone = fastnn.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(clone(x), model(x))
    model.save(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(fastnn.load_model(tmp_path / "m.safetensors")(x), model(x))


def test_a_loss_of_a_model_may_sum_the_list_of_its_losses(rng):
    class Summed(fastnn.Model):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return ops.mean(ops.square(y_pred - y)) + ops.sum(self.losses)

    inputs = fastnn.Input((4,))
    outputs = layers.Dense(1, kernel_regularizer="l2", bias_regularizer="l1")(inputs)
    model = Summed(inputs, outputs)
    model.compile("sgd")
    x, y = rng.normal(size=(8, 4)), rng.normal(size=(8, 1))
    loss = model.evaluate(x, y, verbose=0)
    kernel, bias = model.get_weights()
    penalty = 0.01 * (kernel**2).sum() + 0.01 * np.abs(bias).sum()
    assert loss == pytest.approx(np.mean((x @ kernel + bias - y) ** 2) + penalty, rel=1e-5)
    model.fit(x, y, epochs=1, verbose=0)


def test_operators_take_lists_of_tensors_and_gradients_flow_through():
    t, a, v = ops.convert_to_tensor([1.0, 3.0]), ops.convert_to_tensor(3.0), fastnn.Variable(2.0)
    pair, mixed = [a, 2.0], (1, a)
    found = [t + pair, pair - t, t * mixed, t == [2.0, a], t < [v, a], t @ [v, a]]
    wanted = [[4, 5], [2, -1], [1, 9], [False, True], [True, False], 11]
    for value, want in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(value, want)
    np.testing.assert_array_equal([[a, 1.0], [v, 2.0]] @ t, [6.0, 8.0])
    with fastnn.GradientTape() as tape:
        total = ops.sum(t * [v, 2.0 * v])
    assert float(tape.gradient(total, v)) == 7.0
    np.testing.assert_array_equal(fastnn.jit(lambda x: t * [x, 1.0])(a), [3.0, 3.0])
