"""Gradients of tables that are taken from row by row: made by blocks, with the optimiser's step in
each, and the bits of the dense way."""

import numpy as np
import pytest

import fastnn
from fastnn import _core, layers, ops, optimizers

ROWS, WIDTH = 5000, 24


class Bag(layers.Layer):
    def build(self, shape):
        self.table = self.add_weight((ROWS, WIDTH), "normal", name="table")

    def call(self, ids):
        return ops.mean(ops.take(self.table, ids, axis=0), axis=1)


def model(seed):
    fastnn.random.set_seed(seed)
    ids = fastnn.Input((7,), dtype="int32")
    return fastnn.Model(ids, layers.Dense(1, use_bias=False)(Bag()(ids)))


def data(rng, rows=40):
    ids = rng.integers(0, ROWS, (rows, 7)).astype(np.int32)
    ids[:, 3] = 11  # many rows go to one
    ids[0, 0], ids[1, 1] = -1, -ROWS
    return ids, rng.normal(size=(rows, 1)).astype("f")


@pytest.mark.parametrize(
    "make",
    [
        lambda: optimizers.SGD(0.1),
        lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True),
        lambda: optimizers.Adam(0.01),
        lambda: optimizers.AdamW(0.01, weight_decay=0.1),
        lambda: optimizers.RMSprop(0.01),
        lambda: optimizers.Adam(0.01, clipnorm=0.01),
        lambda: optimizers.Adam(0.01, amsgrad=True),
    ],
)
def test_a_step_has_the_bits_of_one_with_the_whole_gradient(make, rng):
    ids, y = data(rng)
    net, other = model(3), model(3)
    net.compile(make(), "mse")
    optimizer = make()
    optimizer.build(other.trainable_variables)
    for _ in range(4):
        net.train_on_batch(ids, y)
        with fastnn.GradientTape() as tape:
            loss = ops.mean(ops.square(other(ids) - y))
        grads = [np.asarray(g) for g in tape.gradient(loss, other.trainable_variables)]
        optimizer.apply(grads, other.trainable_variables)
    for a, b in zip(net.get_weights(), other.get_weights(), strict=True):
        assert np.array_equal(a, b)


def test_any_number_of_threads_gives_the_same_bits(rng):
    ids, y = data(rng)
    before, found = fastnn.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            fastnn.set_num_threads(threads)
            net = model(5)
            net.compile("adam", "mse")
            net.fit(ids, y, epochs=3, batch_size=16, shuffle=False, verbose=0)
            found.append(net.get_weights())
    finally:
        fastnn.set_num_threads(before)
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            assert np.array_equal(a, b)


def test_the_gradient_itself_is_that_of_the_definition(rng):
    ids = rng.integers(-ROWS, ROWS, (3, 50)).astype(np.int32)
    dy = rng.normal(size=(3, 50, WIDTH)).astype("f")
    wanted = np.zeros((ROWS, WIDTH), "f")
    np.add.at(wanted, ids, dy)
    table = np.zeros((ROWS, WIDTH), "f")
    slope = fastnn.grad(lambda t: ops.sum(ops.take(t, ids, axis=0) * dy))(table)
    assert np.array_equal(slope, wanted)
    none = fastnn.grad(lambda t: ops.sum(ops.take(t, ids[:, :0], axis=0)))(table)
    assert not np.asarray(none).any()


@pytest.mark.parametrize(
    ("shape", "axes", "copied"),
    [
        ((3, 50), (1,), False),
        ((3, 50), (0, 1), False),
        ((4, 5, 6), (2,), False),
        ((4, 5, 6), (1, 2), False),
        ((4, 1, 6), (2,), False),
        ((4, 5, 6), (1,), True),
        ((3, 50), (0,), True),
        ((3, 1), (1,), False),
    ],
)
def test_a_gradient_that_rows_share_is_read_where_it_lies_once(shape, axes, copied, rng):
    rows = rng.integers(-ROWS, ROWS, shape).astype(np.int32)
    rows.flat[::7] = 11
    c = rng.normal(size=[1 if at in axes else n for at, n in enumerate((*shape, WIDTH))]).astype(
        "f"
    )
    wanted = np.zeros((ROWS, WIDTH), "f")
    np.add.at(wanted, rows, np.broadcast_to(c + c, (*shape, WIDTH)))
    ids, factor = _core.placeholder(shape, "int32"), _core.placeholder(c.shape, "float32")
    table = _core.Variable(np.zeros((ROWS, WIDTH), "f"))
    total = ops.sum(ops.take(table.traced(), ids, axis=0), axis=axes, keepdims=True)
    (slope,) = _core.gradients(ops.sum(total * (factor + factor)), [table.traced()])
    gradient = _core.Function([ids, factor], [slope], [])
    assert np.array_equal(gradient(rows, c), wanted)
    assert any(" copy " in line for line in gradient.steps.splitlines()) == copied


def test_the_gradient_of_a_table_does_not_reach_memory():
    ids = _core.placeholder((8,), "int32")
    table = _core.Variable(np.zeros((ROWS, WIDTH), "f"))
    loss = ops.sum(ops.square(ops.take(table.traced(), ids, axis=0) - 1.0))
    (slope,) = _core.gradients(loss, [table.traced()])
    step = _core.Function([ids], [loss], [(table, table.traced() - 0.5 * slope)])
    step(np.arange(8, dtype=np.int32))
    (line,) = [s for s in step.steps.splitlines() if "row_sums" in s]
    assert "then" in line
    assert "-> None" in line
    assert np.array_equal(table.numpy()[:8], np.ones((8, WIDTH)))
    assert not table.numpy()[8:].any()


@pytest.mark.parametrize("bad", [ROWS, -ROWS - 1])
def test_an_index_past_the_table_is_named(bad):
    ids = np.array([1, 2, bad], np.int32)
    table = np.zeros((ROWS, WIDTH), "f")
    with pytest.raises(fastnn.errors.DataError, match=rf"take_grad: index {bad} at position \[2\]"):
        _core.ops.take_grad(np.ones((3, WIDTH), "f"), ids, shape=(ROWS, WIDTH), axis=0).numpy()
    with pytest.raises(fastnn.errors.DataError, match=rf"index {bad} at position \[2\]"):
        fastnn.grad(lambda t: ops.sum(ops.take(t, ids, axis=0)))(table).numpy()
