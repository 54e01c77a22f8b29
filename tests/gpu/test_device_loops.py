"""Loops that stay loops on a GPU: a round is planned once and repeated, with the CPU's results."""

import json

import numpy as np
import pytest

import fastnn
from fastnn import _core, layers, ops
from fastnn.errors import DeviceError

r = np.random.default_rng(3)


def f(*shape):
    return r.normal(size=shape).astype(np.float32)


def cell(carry, x):
    """A round of some operations: two carries that swap, and two gifts, of which one is a carry."""
    h, old, count = carry
    h = ops.tanh(x @ W + h * 0.5 + ops.sin(old) * 0.1)
    h = h - ops.mean(h, axis=-1, keepdims=True) + 0.01 * ops.cumsum(ops.softmax(h), axis=-1)
    return (old * 0.9 + h, h, count + 1), (h, ops.sum(h * x, axis=-1), count * 2)


W = f(5, 5)


def start():
    return np.zeros((3, 5), np.float32), f(3, 5) * 0 + 0.3, np.int32(0)


def both(function, *arrays):
    """What a function gives on the CPU and on the device."""
    want = [np.asarray(v) for v in function(*arrays)]
    with fastnn.device("gpu:0"):
        return [np.asarray(v) for v in function(*arrays)], want


@pytest.mark.parametrize("reverse", [False, True])
def test_long_loops_give_what_the_cpu_gives(gpu, reverse):
    @fastnn.jit
    def run(x):
        carry, gifts = ops.scan(cell, start(), x, reverse=reverse)
        return [*carry, *gifts]

    got, want = both(run, f(400, 3, 5))
    for a, b in zip(got, want, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(got[2], 400)


def test_gradients_through_long_loops_are_those_of_the_cpu(gpu):
    def loss(x, w):
        def step(h, row):
            h = ops.tanh(row @ w + ops.sin(h) * 0.5)
            return h, ops.mean(ops.square(h))

        h, means = ops.scan(step, np.zeros((3, 5), np.float32), x)
        return ops.sum(h) + ops.mean(means)

    slopes = fastnn.jit(lambda x, w: fastnn.grad(loss, argnums=(0, 1))(x, w))
    got, want = both(slopes, f(600, 3, 5), 0.3 * f(5, 5))
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_loops_in_loops_are_repeated_too(gpu):
    @fastnn.jit
    def run(x):
        def inner(h, row):
            return ops.sin(h + row), h

        def outer(h, _):
            h, seen = ops.scan(inner, h * 0.5, x)
            return h, ops.mean(seen, axis=0)

        h, means = ops.scan(outer, np.ones(4, np.float32), None, length=7)
        return [h, means]

    got, want = both(run, 0.1 * f(700, 4))
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_layer_of_an_own_cell_trains_on_long_sequences(gpu):
    class Cell(layers.Layer):
        state_size = output_size = 6

        def build(self, shape):
            self.w = self.add_weight((shape[-1], 6), name="w")
            self.u = self.add_weight((6, 6), name="u")

        def call(self, x, states):
            h = ops.tanh(x @ self.w + ops.sigmoid(states[0] @ self.u) * states[0])
            return h, [h]

    x, y = f(32, 300, 4), f(32, 1)
    losses = []
    for device in ("cpu", "gpu:0"):
        fastnn.utils.set_random_seed(1)
        model = fastnn.Sequential([fastnn.Input((300, 4)), layers.RNN(Cell()), layers.Dense(1)])
        model.compile(fastnn.optimizers.Adam(0.01), "mse", device=device)
        losses.append(model.fit(x, y, batch_size=8, epochs=2, verbose=0).history["loss"])
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_a_program_of_a_long_loop_has_the_kernels_of_one_round(gpu):
    def planned(length):
        x = _core.placeholder((length, 3, 5), "float32")
        carry, gifts = ops.scan(cell, start(), x)
        function = _core.Function([x], [*carry, *gifts])
        return json.loads(_core.gpu_program(function, [[length, 3, 5]], gpu.limits))

    short, long = planned(300), planned(3000)
    assert len(short["kernels"]) == len(long["kernels"]) < 40
    assert len(short["groups"]) == len(long["groups"])
    assert 9 * len(short["steps"]) < len(long["steps"]) < 11 * len(short["steps"])


def test_too_many_rounds_for_a_device_are_refused(gpu):
    run = fastnn.jit(lambda x: ops.scan(lambda h, _: (ops.sin(h), None), x, None, length=10**6)[0])
    with (
        fastnn.device("gpu:0"),
        pytest.raises(DeviceError, match=r"scan: 1000000 rounds of .*\n  hint"),
    ):
        run(np.ones(3, np.float32))
