"""State that is changed costs what changes: windows are written into variables in place, and a
result takes the memory of an operand that is read for the last time."""

import re

import numpy as np
import pytest

import fastnn
from fastnn import ShapeError, _core, ops


def placeholder(shape, dtype="float32"):
    return _core.placeholder(shape, dtype)


def steps_of(function, *args):
    """The steps and copies of the compiled function, after one call."""
    function(*args)
    return [s.strip() for s in function.steps.splitlines() if re.match(r"\s+(\d+|copy) ", s)]


def outputs(results):
    """The results of a call as a list, one or several."""
    return list(results) if isinstance(results, list | tuple) else [results]


def copies(steps):
    return [s for s in steps if "copy" in s]


def arena(function):
    return int(re.search(r"arena (\d+) bytes", function.steps)[1])


# ---- windows -----------------------------------------------------------------------------------


def test_slice_and_slice_update_move_a_window_inside_as_jax_does(rng):
    x = rng.normal(size=(4, 6)).astype("f")
    part = rng.normal(size=(2, 3)).astype("f")
    for a in (-9, -4, -1, 0, 1, 3, 99):
        for b in (-7, -2, 0, 3, 5):
            top = min(max(a + 4 if a < 0 else a, 0), 2)
            left = min(max(b + 6 if b < 0 else b, 0), 3)
            wanted = x.copy()
            wanted[top : top + 2, left : left + 3] = part
            vector = np.array([a, b], np.int32)
            for start in ((a, b), (ops.array(a), b), ops.array(vector)):
                got = np.asarray(ops.slice(x, start, (2, 3)))
                assert np.array_equal(got, x[top : top + 2, left : left + 3]), start
                assert np.array_equal(np.asarray(ops.slice_update(x, start, part)), wanted), start


def test_windows_refuse_what_does_not_fit():
    x = np.ones((4, 6), "f")
    with pytest.raises(ShapeError, match="one start for each of 2 axes"):
        ops.slice(x, (1,), (2, 3))
    with pytest.raises(ShapeError, match="one size for each of 2 axes"):
        ops.slice(x, (1, 1), (2,))
    with pytest.raises(ShapeError, match=r"does not fit axis 0.*\n  hint"):
        ops.slice(x, (ops.array(1), 0), (5, 6))
    with pytest.raises(ShapeError, match="does not fit axis 1"):
        ops.slice_update(x, (0, 0), np.ones((4, 7), "f"))
    with pytest.raises(ShapeError, match="axis of size 1"):
        ops.slice_update(x, (0, 0), np.ones(3, "f"))


def test_gradients_of_windows(rng):
    x, part = rng.normal(size=(3, 5)).astype("f"), rng.normal(size=(3, 2)).astype("f")
    weights = rng.normal(size=(3, 5)).astype("f")

    def f(x, part, at):
        return ops.sum(ops.slice_update(x, (0, at), part) * weights)

    dx, dpart = fastnn.grad(f, argnums=(0, 1))(x, part, ops.array(2))
    wanted = weights.copy()
    wanted[:, 2:4] = 0
    assert np.array_equal(np.asarray(dx), wanted)
    assert np.array_equal(np.asarray(dpart), weights[:, 2:4])
    slopes = fastnn.grad(lambda x: ops.sum(ops.slice(x, (0, ops.array(3)), (3, 2)) ** 2))(x)
    wanted = np.zeros_like(x)
    wanted[:, 3:] = 2 * x[:, 3:]
    assert np.asarray(slopes) == pytest.approx(wanted)


def test_windows_of_an_open_batch(rng):
    inputs = fastnn.Input((5,))
    model = fastnn.Model(inputs, ops.slice(inputs, (0, ops.array(2)), (None, 3)))
    x = rng.normal(size=(7, 5)).astype("f")
    assert np.array_equal(model.predict(x, verbose=0), x[:, 2:5])


def test_one_position_of_a_cache_costs_the_slice(rng):
    """No step and no copy of the plan touches the whole cache."""
    shape = (8, 1024, 12, 64)
    cache = _core.Variable(np.zeros(shape, "f"), name="cache")
    new, at = placeholder((8, 1, 12, 64)), placeholder((), "int32")
    changed = ops.slice_update(cache.traced(), (0, at, 0, 0), new)
    function = _core.Function([new, at], [ops.sum(new)], updates=[(cache, changed)])
    x = rng.normal(size=(8, 1, 12, 64)).astype("f")
    steps = steps_of(function, x, np.int32(700))
    (write,) = [s for s in steps if "update_slice" in s]
    state = re.search(r"update_slice \[(Input\(\d+\))", write)[1]
    assert write.endswith(f"-> {state}"), "the kernel writes over the variable"
    assert not copies(steps)
    assert arena(function) < 40_000
    function(2 * x, np.int32(-1))
    wanted = np.zeros(shape, "f")
    wanted[:, 700:701], wanted[:, 1023:] = x, 2 * x
    assert np.array_equal(cache.numpy(), wanted)


def test_several_windows_of_one_state_are_written_in_its_memory(rng):
    state = _core.Variable(np.zeros((100, 50), "f"), name="state")
    a, b, at = placeholder((1, 50)), placeholder((1, 50)), placeholder((), "int32")
    once = ops.slice_update(state.traced(), (at, 0), a)
    twice = ops.slice_update(once, (at + 1, 0), b)
    function = _core.Function([a, b, at], [], updates=[(state, twice * 1.0)])
    steps = steps_of(function, np.ones((1, 50), "f"), np.full((1, 50), 2.0, "f"), np.int32(4))
    assert not copies(steps)
    assert len({s.split("-> ")[1] for s in steps if "update_slice" in s}) == 1
    wanted = np.zeros((100, 50), "f")
    wanted[4], wanted[5] = 1, 2
    assert np.array_equal(state.numpy(), wanted)


def test_a_state_that_is_read_later_is_not_overwritten_early(rng):
    state = _core.Variable(rng.normal(size=(100, 50)).astype("f"), name="state")
    before = state.numpy().copy()
    a, at = placeholder((1, 50)), placeholder((), "int32")
    changed = ops.slice_update(state.traced(), (at, 0), a)
    function = _core.Function(
        [a, at],
        [ops.matmul(state.traced(), ops.transpose(changed)), state.traced()],
        [(state, changed)],
    )
    one = np.ones((1, 50), "f")
    product, old = (np.asarray(t) for t in function(one, np.int32(3)))
    after = before.copy()
    after[3] = 1
    assert np.array_equal(old, before)
    assert product == pytest.approx(before @ after.T, rel=1e-4, abs=1e-4)
    assert np.array_equal(state.numpy(), after)


def test_a_window_of_the_state_itself_is_read_before_it_is_written(rng):
    """The kernel reads its part from the memory it writes: then it may not work in place."""
    state = _core.Variable(np.arange(10, dtype="f"), name="state")
    at = placeholder((), "int32")
    changed = ops.slice_update(state.traced(), (at,), state.traced()[2:6])
    function = _core.Function([at], [], [(state, changed)])
    function(np.int32(3))
    assert state.numpy().tolist() == [0, 1, 2, 2, 3, 4, 5, 7, 8, 9]


# ---- dying operands ----------------------------------------------------------------------------


def test_a_chain_of_layers_needs_two_values_at_a_time(rng):
    """A product reads one value and writes another; what follows elementwise takes its place."""
    n = 256
    x = placeholder((n, n))
    w = rng.normal(size=(n, n)).astype("f") / 16
    y = x
    for _ in range(6):
        y = ops.matmul(y, w)
        y = y - ops.sum(y, axis=-1, keepdims=True)
        y = ops.softmax(y, axis=-1) * y
    function = _core.Function([x], [ops.sum(y, axis=0)])
    function(np.ones((n, n), "f"))
    assert arena(function) <= 4 * 3.2 * n * n


def test_values_that_take_the_place_of_others_are_right(rng):
    """Random chains of elementwise work, reductions and products in f64."""
    for seed in range(40):
        draw = np.random.default_rng(seed)
        x = draw.normal(size=(6, 6)).astype("f")
        input_ = placeholder((6, 6))
        pairs = [(input_, x.astype("f8"))]
        for _ in range(25):
            (a, u), (b, v) = (pairs[draw.integers(len(pairs))] for _ in range(2))
            kind = draw.integers(6)
            if kind == 0:
                pairs.append((ops.tanh(a + b), np.tanh(u + v)))
            elif kind == 1:
                pairs.append((a * 0.5 - b, u * 0.5 - v))
            elif kind == 2:
                pairs.append((ops.matmul(a, b) * 0.1 + a, u @ v * 0.1 + u))
            elif kind == 3:
                m = u.mean(0, keepdims=True)
                pairs.append((b - ops.mean(a, axis=0, keepdims=True), v - m))
            elif kind == 4:
                pairs.append((ops.transpose(a) * b, u.T * v))
            else:
                pairs.append((ops.maximum(a, b), np.maximum(u, v)))
            pairs = pairs[-6:]
        function = _core.Function([input_], [t for t, _ in pairs[-3:]])
        for got, (_, want) in zip(outputs(function(x)), pairs[-3:], strict=True):
            assert np.asarray(got) == pytest.approx(want, rel=1e-3, abs=1e-3), seed


def test_a_product_of_one_row_adds_a_bias_that_is_updated(rng):
    """The sums over a long inner axis are kept in the result, where the bias must not lie."""
    bias = _core.Variable(rng.normal(size=(1, 40)).astype("f"), name="bias")
    before = bias.numpy().copy()
    x, w = placeholder((1, 3000)), rng.normal(size=(3000, 40)).astype("f")
    function = _core.Function([x], [], [(bias, ops.matmul(x, w) + bias.traced())])
    row = rng.normal(size=(1, 3000)).astype("f")
    function(row)
    assert bias.numpy() == pytest.approx(row @ w + before, rel=1e-3, abs=1e-3)


def test_a_new_state_that_is_a_product_does_not_hide_the_old_one(rng):
    state = _core.Variable(rng.normal(size=(8, 8)).astype("f"), name="state")
    before = state.numpy().copy()
    x, y = placeholder((8, 8)), placeholder((8, 8))
    product = ops.matmul(x, y)
    function = _core.Function([x, y], [product + state.traced()], [(state, product)])
    a, b = rng.normal(size=(2, 8, 8)).astype("f")
    total = np.asarray(*outputs(function(a, b)))
    assert total == pytest.approx(a @ b + before, rel=1e-4, abs=1e-4)
    assert state.numpy() == pytest.approx(a @ b, rel=1e-4, abs=1e-4)
