"""Layers called one after another, outside any model, hand their masks on with the tensors."""

import numpy as np
import pytest

import fastnn
from fastnn import layers, ops

IDS = np.array([[0, 0, 0, 8, 3, 1], [1, 2, 0, 0, 0, 0]])


def chain():
    fastnn.utils.set_random_seed(0)
    return [
        layers.Embedding(9, 4, mask_zero=True), layers.Dense(4),
        layers.Bidirectional(layers.GRU(3, return_sequences=True)), layers.GlobalAveragePooling1D(),
    ]  # fmt: skip


def one_by_one(parts, x):
    for part in parts:
        x = part(x)
    return x


def test_layers_called_by_hand_give_what_the_model_of_them_gives():
    parts = chain()
    expected = fastnn.Sequential(parts).predict(IDS, verbose=0)
    np.testing.assert_allclose(np.asarray(one_by_one(parts, IDS)), expected, atol=1e-6)


def test_so_do_layers_in_a_compiled_function_and_on_a_tape():
    parts = chain()
    expected = fastnn.Sequential(parts).predict(IDS, verbose=0)
    compiled = fastnn.jit(lambda x: one_by_one(parts, x))(IDS)
    np.testing.assert_allclose(np.asarray(compiled), expected, atol=1e-6)
    with fastnn.GradientTape() as tape:
        loss = ops.sum(one_by_one(parts, IDS))
    (slope,) = tape.gradient(loss, [parts[0].embeddings])
    assert not np.asarray(slope)[0].any(), "padding has no part in the loss"


def test_the_mask_of_a_tensor_can_be_read():
    embedded = layers.Embedding(9, 4, mask_zero=True)(IDS)
    np.testing.assert_array_equal(np.asarray(embedded._keras_mask), IDS != 0)
    assert (embedded * 2)._keras_mask is None
    assert layers.Embedding(9, 4)(IDS)._keras_mask is None
    kept = layers.Masking()(np.array([[[0.0, 0.0], [1.0, 0.0]]], "float32"))
    np.testing.assert_array_equal(np.asarray(kept._keras_mask), [[False, True]])


def test_a_layer_that_splits_its_mask():
    class Halves(layers.Layer):
        def call(self, inputs):
            return ops.split(inputs, 2, axis=1)

        def compute_mask(self, inputs, mask=None):
            return None if mask is None else ops.split(mask, 2, axis=1)

    first, second = Halves()(layers.Embedding(9, 4, mask_zero=True)(IDS))
    np.testing.assert_array_equal(np.asarray(first._keras_mask), IDS[:, :3] != 0)
    np.testing.assert_array_equal(np.asarray(second._keras_mask), IDS[:, 3:] != 0)


def test_a_layer_that_ends_a_mask_says_so():
    class Plain(layers.Layer):
        def call(self, inputs):
            return inputs * 1.0

    with pytest.warns(UserWarning, match="does not support masking"):
        out = Plain()(layers.Embedding(9, 4, mask_zero=True)(IDS))
    assert out._keras_mask is None
