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


class Doubled(layers.Layer):
    """Hands the mask on by hand, as layers do that say nothing about masks."""

    def call(self, inputs):
        out = inputs * 2.0
        out._keras_mask = inputs._keras_mask
        return out


class Unmasked(layers.Layer):
    """Takes the mask off what it gives."""

    supports_masking = True

    def call(self, inputs):
        out = layers.Dense(1, kernel_initializer="ones")(inputs)
        del out._keras_mask
        assert out._keras_mask is None
        return out

    def compute_mask(self, inputs, mask=None):
        return None


def test_a_layer_reads_and_sets_masks_inside_its_call():
    start = layers.Input((6,), dtype="int32")
    embedding, recurrent = layers.Embedding(9, 4, mask_zero=True), layers.LSTM(3)
    by_hand = fastnn.Model(start, recurrent(Doubled()(embedding(start))))
    expected = recurrent(embedding(IDS) * 2.0, mask=IDS != 0)
    for out in (
        by_hand(IDS),
        by_hand.predict(IDS, verbose=0),
        recurrent(Doubled()(embedding(IDS))),
    ):
        np.testing.assert_allclose(np.asarray(out), np.asarray(expected), atol=1e-6)
    assert np.abs(np.asarray(recurrent(embedding(IDS) * 2.0)) - np.asarray(expected)).max() > 1e-3


def test_a_mask_that_a_layer_takes_off_does_not_reach_the_loss():
    model = fastnn.Sequential([layers.Embedding(9, 4, mask_zero=True), Unmasked()])
    model.compile("sgd", "mse", metrics=["mae"])
    target = np.zeros((*IDS.shape, 1), "float32")
    values = model.evaluate(IDS, target, verbose=0)
    out = np.asarray(model(IDS))
    np.testing.assert_allclose(values, [(out**2).mean(), np.abs(out).mean()], rtol=1e-5)


def test_losses_and_metrics_called_by_hand_leave_masked_positions_out():
    keep = IDS != 0
    model = fastnn.Sequential([layers.Embedding(9, 4, mask_zero=True), layers.Dense(3, "softmax")])
    guesses, labels = model(IDS), np.arange(IDS.size).reshape(IDS.shape) % 3
    plain = np.asarray(guesses)
    each = -np.log(np.take_along_axis(plain, labels[..., None], -1))[..., 0]
    right = plain.argmax(-1) == labels
    loss = fastnn.losses.SparseCategoricalCrossentropy()
    np.testing.assert_allclose(float(loss(labels, guesses)), each[keep].mean(), rtol=1e-5)
    metric = fastnn.metrics.SparseCategoricalAccuracy()
    metric.update_state(labels, guesses)
    np.testing.assert_allclose(float(metric.result()), right[keep].mean(), rtol=1e-6)

    # What a loss leaves out by itself is left out beside the mask, and by that loss alone.
    kept = keep & (labels != 1)
    loss = fastnn.losses.SparseCategoricalCrossentropy(ignore_class=1)
    np.testing.assert_allclose(float(loss(labels, guesses)), each[kept].mean(), rtol=1e-5)
    model.compile("sgd", loss, metrics=["accuracy"])
    value, accuracy = model.evaluate(IDS, labels, verbose=0)
    np.testing.assert_allclose(
        [value, accuracy], [each[kept].mean(), right[keep].mean()], rtol=1e-5
    )


@pytest.mark.parametrize(
    ("layer", "inputs", "mask"),
    [
        (layers.Masking(), np.ones((2, 3, 1)), None),
        (layers.Embedding(9, 4, mask_zero=True), IDS, None),
        (layers.Add(), [np.ones((2, 3)), np.ones((2, 3))], [None, None]),
        (layers.Concatenate(), [np.ones((2, 3)), np.ones((2, 3))], [None, None]),
        (layers.Dot(axes=1), [np.ones((2, 3)), np.ones((2, 3))], [None, None]),
        (layers.Lambda(lambda x: x), np.ones((2, 3)), None),
        (layers.GlobalAveragePooling1D(), np.ones((2, 3, 1)), None),
        (layers.LSTM(2), np.ones((2, 3, 1)), None),
        (layers.Bidirectional(layers.GRU(2)), np.ones((2, 3, 1)), None),
        (layers.ConvLSTM1D(2, 1), np.ones((2, 3, 4, 1)), None),
    ],
    ids=lambda value: value.name if isinstance(value, layers.Layer) else "",
)
def test_the_mask_is_called_mask_wherever_keras_calls_it_so(layer, inputs, mask):
    named = layer.compute_mask(inputs, mask=mask)
    by_place = layer.compute_mask(inputs, mask)
    np.testing.assert_array_equal(np.asarray(named), np.asarray(by_place))
