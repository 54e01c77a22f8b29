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


class Listening(layers.Layer):
    heard = None

    def call(self, x, training=False, mask=None):
        self.heard = (training, mask)
        return x


def test_layers_of_a_pipeline_are_handed_the_mask_of_the_one_before():
    pipeline = layers.Pipeline([layers.Embedding(3, 2, mask_zero=True), Listening(), Listening()])
    pipeline(np.array([[0, 1]]), training=True)
    for layer in pipeline.layers[1:]:
        assert layer.heard[0] is True
    first, given = pipeline.layers[1], np.array([[True, False]])
    layers.Pipeline([first])(np.ones((1, 2, 2)), mask=given)
    np.testing.assert_array_equal(np.asarray(first.heard[1]), given)


@pytest.mark.parametrize("config", [{"name": "p"}, {"layers": None, "name": "p"}])
def test_a_pipeline_without_layers_in_its_config_is_refused(config):
    with pytest.raises(ValueError, match="`layers` is None, wanted a list of configs"):
        layers.Pipeline.from_config(config)
