"""Sizes joined to a shape as tensors are, while they are open."""

import numpy as np
import pytest

import fastnn as keras
from fastnn import layers, ops


class Causal(layers.Layer):
    """A mask tiled over the batch, as programs with attention make it."""

    def call(self, x):
        batch, steps = ops.shape(x)[0], ops.shape(x)[1]
        mask = ops.cast(ops.arange(steps)[:, None] >= ops.arange(steps), "int32")
        mask = ops.reshape(mask, (1, steps, steps))
        counts = ops.concatenate(
            [ops.expand_dims(batch, -1), ops.convert_to_tensor([1, 1])], axis=0
        )
        return ops.tile(mask, counts)


class Shapes(layers.Layer):
    """Shapes made of sizes in several ways, and calculations with them."""

    def call(self, x):
        batch, steps = ops.shape(x)[0], ops.shape(x)[1]
        a = ops.reshape(x, ops.stack([batch, steps, 1]))
        b = ops.zeros(ops.concatenate([ops.shape(x)[:1], [3]])) + 1
        c = ops.broadcast_to(
            ops.ones((1, 1)), ops.concatenate([ops.expand_dims(batch, 0), (steps,)])
        )
        total = ops.sum(ops.cast(ops.stack([batch, steps]) * 2, "float32"))
        return ops.zeros((batch,)) + ops.sum(a) + ops.sum(b) + ops.sum(c) + total


def test_a_mask_is_tiled_over_a_batch_that_is_open():
    inputs = keras.Input((None,))
    model = keras.Model(inputs, Causal()(inputs))
    assert model.output_shape == (None, None, None)
    want = np.broadcast_to(np.tri(3), (2, 3, 3))
    assert np.array_equal(model.predict(np.ones((2, 3)), verbose=0), want)
    assert model(np.ones((1, 5))).shape == (1, 5, 5)


def test_shapes_of_open_sizes_are_those_of_known_ones():
    inputs = keras.Input((None,))
    model = keras.Model(inputs, Shapes()(inputs))
    want = 6 + 6 + 6 + 10
    assert Shapes()(np.ones((2, 3), "float32")).tolist() == [want, want]
    assert model.predict_on_batch(np.ones((2, 3))).tolist() == [want, want]


@pytest.mark.parametrize(
    ("got", "want"),
    [
        (lambda: ops.concatenate([[1, 2], [3]]), [1, 2, 3]),
        (lambda: ops.concatenate([(2,), [3]]), [2, 3]),
        (lambda: ops.concatenate([[[1.0]], [[2.0]]], axis=1), [[1.0, 2.0]]),
        (lambda: ops.stack([(2,), (3,)]), [[2], [3]]),
        (lambda: ops.stack([2, 3]), [2, 3]),
        (lambda: ops.expand_dims(5, -1), [5]),
    ],
)
def test_nested_lists_are_tensors_to_join(got, want):
    assert got().tolist() == want


def test_a_sequential_within_a_layer_is_built_for_sequences_of_any_length():
    class Block(layers.Layer):
        def __init__(self):
            super().__init__()
            self.table = layers.Embedding(9, 3)
            self.dense = keras.Sequential([layers.Dense(4, activation="relu"), layers.Dense(2)])

        def call(self, x):
            return self.dense(self.table(x))

    inputs = keras.Input((None,), dtype="int32")
    model = keras.Model(inputs, Block()(inputs))
    assert model.output_shape == (None, None, 2)
    assert model.predict(np.ones((2, 4), "int32"), verbose=0).shape == (2, 4, 2)


def test_segments_may_be_as_many_as_the_batch():
    class Degrees(layers.Layer):
        def call(self, x, ids):
            n = ops.shape(x)[0]
            total = ops.segment_sum(x, ids, num_segments=n)
            return total + ops.maximum(ops.segment_max(x, ids, num_segments=n), 0.0)

    x, ids = keras.Input((2,)), keras.Input((), dtype="int32")
    model = keras.Model([x, ids], Degrees()(x, ids))
    values = np.arange(6, dtype="float32").reshape(3, 2)
    at = np.array([2, 0, 2], "int32")
    want = np.zeros((3, 2))
    np.add.at(want, at, values)
    want += np.array([[2, 3], [0, 0], [4, 5]])
    assert np.array_equal(model.predict_on_batch([values, at]), want)


def test_outputs_without_a_loss_need_no_targets():
    inputs = keras.Input((3,))
    hidden = layers.Dense(4, name="hidden")(inputs)
    model = keras.Model(inputs, [layers.Dense(1, name="out")(hidden), hidden])
    model.compile("adam", loss=["mse", None], metrics=[["mae"], []])
    x, y = np.ones((8, 3), "float32"), np.ones((8, 1), "float32")
    first = model.fit(x, y, verbose=0, epochs=3).history
    assert first["loss"][-1] < first["loss"][0]
    batches = keras.data.Dataset.from_tensor_slices((x, y)).batch(4)
    assert model.evaluate(batches, verbose=0, return_dict=True)["loss"] >= 0
    with pytest.raises(keras.DataError, match="hint:"):
        model.fit(x, [y, y, y], verbose=0)


def test_a_stateful_layer_knows_its_batch_by_the_older_spelling():
    x = np.arange(16, dtype="float32").reshape(16, 1, 1) / 16
    lstm = layers.LSTM(4, batch_input_shape=(8, 1, 1), stateful=True)
    model = keras.Sequential([lstm, layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(x, x[:, 0], batch_size=8, shuffle=False, verbose=0)
    first = model.predict(x, batch_size=8, verbose=0)
    assert not np.allclose(first, model.predict(x, batch_size=8, verbose=0))
    free = keras.Sequential([layers.Dense(1, batch_input_shape=(8, 3))])
    assert free.input_shape == (None, 3)
