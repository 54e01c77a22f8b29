"""`keras.layers.Pipeline`: layers one after another, random ones among them."""

import numpy as np
import pytest

import fastnn as tf
from fastnn import DataError
from fastnn.keras import layers

X = np.arange(2 * 6 * 6 * 3, dtype="float32").reshape(2, 6, 6, 3)


def test_layers_follow_each_other_and_come_back_from_the_config():
    pipeline = layers.Pipeline([layers.CenterCrop(4, 4), layers.Rescaling(1.0 / 255)], name="prep")
    wanted = X[:, 1:5, 1:5] / 255
    np.testing.assert_allclose(pipeline(X), wanted, rtol=1e-6)
    again = layers.Pipeline.from_config(pipeline.get_config())
    assert again.name == "prep"
    assert [type(x).__name__ for x in again.layers] == ["CenterCrop", "Rescaling"]
    np.testing.assert_allclose(again(X), wanted, rtol=1e-6)
    assert pipeline.compute_output_shape((None, 6, 6, 3)) == (None, 4, 4, 3)


def test_random_layers_change_data_unless_told_otherwise():
    pipeline = layers.Pipeline([layers.RandomBrightness(0.5, seed=1)])
    assert not np.array_equal(pipeline(X), X)
    np.testing.assert_array_equal(pipeline(X, training=False), X)
    data = tf.data.Dataset.from_tensor_slices(X).batch(2).map(lambda x: pipeline(x, training=True))
    assert not np.array_equal(next(iter(data)), X)


def test_what_is_no_layer_is_refused():
    with pytest.raises(DataError, match=r"wanted layers\n  hint"):
        layers.Pipeline([layers.CenterCrop(4, 4), "flip"])
