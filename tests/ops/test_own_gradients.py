"""`custom_gradient`: tapes, `grad` and `fit` take the gradient that the user wrote."""

import numpy as np
import pytest

import fastnn as tf
from fastnn import ops
from fastnn.keras import layers


@tf.custom_gradient
def halved(x):
    return x * 3.0, lambda dy: dy * 0.5


@ops.custom_gradient
def clipped(x):
    def grad(*args, upstream=None):
        (upstream,) = args if upstream is None else (upstream,)
        return ops.clip(upstream, -0.1, 0.1)

    return ops.exp(x), grad


def test_a_tape_takes_the_gradient_that_is_written():
    x = tf.Variable([1.0, 2.0])
    with tf.GradientTape(persistent=True) as tape:
        y = halved(x * x)
        z = tf.reduce_sum(clipped(y) * 5.0) + tf.reduce_sum(y)
    assert tape.gradient(y, x).tolist() == [1.0, 2.0]
    # 5 is cut to 0.1, joined by the 1 of the sum, and halved.
    np.testing.assert_allclose(tape.gradient(z, x), (0.1 + 1.0) * 0.5 * 2 * np.array([1.0, 2.0]))


def test_gradients_that_are_not_linear_in_what_flows_are_taken_as_they_are():
    @tf.custom_gradient
    def guided(x):
        return tf.nn.relu(x), lambda dy: tf.cast(dy > 0, "float32") * tf.cast(x > 0, "float32") * dy

    x = tf.constant([-1.0, 2.0, 3.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(guided(guided(x) * 2.0) * tf.constant([1.0, 1.0, -1.0]))
    assert tape.gradient(y, x).tolist() == [0.0, 2.0, 0.0]


@pytest.mark.parametrize("compiled", [True, False])
def test_grad_and_jit_take_it_too(compiled):
    slope = tf.grad(lambda x: ops.sum(halved(x) * halved(x)))
    slope = tf.jit(slope) if compiled else slope
    np.testing.assert_allclose(slope(np.float32([1.0, 2.0])), [3.0, 6.0])


def test_several_arguments_and_results_have_a_gradient_each():
    @tf.custom_gradient
    def swapped(a, b):
        return (a + b, a * b), lambda da, db: (da * 10.0, db * 100.0)

    a, b = tf.constant(2.0), tf.constant(3.0)
    with tf.GradientTape() as tape:
        tape.watch([a, b])
        first, second = swapped(a, b)
        y = first * 7.0
    assert second == 6.0
    assert [float(g) for g in tape.gradient(y, [a, b])] == [70.0, 0.0]

    @tf.custom_gradient
    def wrong(a, b):
        return a + b, lambda dy: (dy, dy, dy)

    with tf.GradientTape() as tape:
        tape.watch(a)
        y = wrong(a, b)
    with pytest.raises(TypeError, match=r"wrong: its gradient gave 3 values for 2 .*\n  hint"):
        tape.gradient(y, a)


def test_second_derivatives_go_through_the_written_gradient():
    @tf.custom_gradient
    def cubed(x):
        return x**3, lambda dy: dy * x * x  # a third of the true one

    x = tf.Variable(2.0)
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            y = cubed(x)
        slope = inner.gradient(y, x)
    assert float(slope) == 4.0
    assert float(outer.gradient(slope, x)) == 4.0


@pytest.mark.parametrize("eager", [False, True])
def test_a_reversed_gradient_trains_what_is_below_the_other_way(rng, eager):
    @tf.custom_gradient
    def reverse(x):
        return tf.identity(x), lambda dy: -dy

    class Reverse(layers.Layer):
        def call(self, x):
            return reverse(x)

    x, y = rng.random((16, 3)).astype("f"), rng.random((16, 1)).astype("f")

    def trained(middle):
        tf.keras.utils.set_random_seed(1)
        i = tf.keras.Input((3,))
        below = layers.Dense(2, use_bias=False)
        above = layers.Dense(1, use_bias=False)
        model = tf.keras.Model(i, above(middle(below(i))))
        before = [w.numpy() for w in model.weights]
        model.compile(tf.keras.optimizers.SGD(0.1), "mse", run_eagerly=eager)
        model.fit(x, y, batch_size=16, epochs=1, verbose=0)
        return [w.numpy() - b for w, b in zip(model.weights, before, strict=True)]

    plain, other = trained(layers.Activation("linear")), trained(Reverse())
    np.testing.assert_allclose(other[0], -plain[0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(other[1], plain[1], rtol=1e-4, atol=1e-6)


def test_lists_of_tensors_become_one_that_gradients_flow_through():
    x = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        y = tf.convert_to_tensor([[1.0, x * x], [x, 0]])
    assert y.tolist() == [[1.0, 4.0], [2.0, 0.0]]
    assert float(tape.gradient(y, x)) == 5.0
    assert tf.jit(lambda v: ops.convert_to_tensor([v, v + 1]))(tf.constant(1.0)).tolist() == [1, 2]


def test_ctc_of_older_keras_takes_shares_and_the_last_class_as_blank(rng):
    from fastnn import backend as K

    shares = rng.random((2, 7, 5)).astype("f")
    shares /= shares.sum(-1, keepdims=True)
    labels = np.array([[1, 2, 2], [0, 1, 3]])
    lengths, given = np.array([[3], [2]]), np.array([[7], [6]])
    loss = K.ctc_batch_cost(labels, shares, given, lengths)
    wanted = ops.ctc_loss(labels, np.log(shares), [3, 2], [7, 6], mask_index=4)
    assert loss.shape == (2, 1)
    np.testing.assert_allclose(loss[:, 0], wanted, rtol=1e-4)
    sure = np.full((1, 5, 4), 0.01, "f")
    for step, best in enumerate([0, 0, 3, 1, 1]):
        sure[0, step, best] = 0.97
    for greedy in (True, False):
        paths, _ = K.ctc_decode(sure, [5], greedy=greedy)
        assert [n for n in paths[0][0].tolist() if n >= 0] == [0, 1]


def test_sizes_cast_to_whole_numbers_still_make_shapes():
    i = tf.keras.Input((3,))
    rows = tf.cast(tf.shape(i)[0], "int64")
    model = tf.keras.Model(i, rows * ops.ones((rows, 1), "int64"))
    assert model.predict(np.ones((5, 3)), verbose=0).ravel().tolist() == [5.0] * 5
    assert tf.Variable(0, dtype="int64").dtype == "int32"
