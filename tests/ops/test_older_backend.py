"""`keras.backend` as programs of Keras 2 use it: its own defaults and arguments."""

import numpy as np
import pytest

from fastnn.keras import backend as K

X = np.arange(6.0, dtype="float32").reshape(2, 3)


def test_axes_that_are_not_given_are_those_of_keras_2():
    assert K.expand_dims(X).shape == (2, 3, 1)
    assert K.cumsum(X).numpy().tolist() == np.cumsum(X, 0).tolist()
    assert K.cumprod(X).numpy().tolist() == np.cumprod(X, 0).tolist()
    assert K.concatenate([X, X]).shape == (2, 6)
    assert K.argmax(X).numpy().tolist() == [2, 2]
    assert K.stack([X, X]).shape == (2, 2, 3)


def test_convolutions_and_pools_slide_by_one_unless_told():
    x = np.arange(16.0, dtype="float32").reshape(1, 4, 4, 1)
    kernel = np.ones((2, 2, 1, 1), "float32")
    assert K.conv2d(x, kernel).shape == (1, 3, 3, 1)
    assert K.conv2d(x, kernel, strides=(2, 2), padding="same").shape == (1, 2, 2, 1)
    assert float(K.conv2d(x, kernel)[0, 0, 0, 0]) == 0 + 1 + 4 + 5
    assert K.conv1d(x[0], np.ones((2, 1, 3), "float32")).shape == (4, 3, 3)
    assert K.pool2d(x, (2, 2)).shape == (1, 3, 3, 1)
    pooled = K.pool2d(x, (2, 2), strides=(2, 2), pool_mode="avg")
    assert pooled.numpy().ravel().tolist() == [2.5, 4.5, 10.5, 12.5]
    with pytest.raises(ValueError, match=r"pool_mode.*\n  hint"):
        K.pool2d(x, (2, 2), pool_mode="sum")


def test_zeros_are_put_around_and_pictures_enlarged():
    x = np.ones((1, 2, 3, 1), "float32")
    assert K.spatial_2d_padding(x).shape == (1, 4, 5, 1)
    assert K.spatial_2d_padding(x, ((0, 1), (2, 0))).numpy()[0, :, :, 0].tolist() == [
        [0, 0, 1, 1, 1], [0, 0, 1, 1, 1], [0, 0, 0, 0, 0],
    ]  # fmt: skip
    assert K.spatial_2d_padding(x, data_format="channels_first").shape == (1, 2, 5, 3)
    assert K.temporal_padding(x[0]).shape == (2, 5, 1)
    assert K.resize_images(x, 2, 3, "channels_last").shape == (1, 4, 9, 1)


@pytest.mark.parametrize("name", ["gradients", "function"])
def test_what_needs_a_graph_session_is_refused_with_the_way_of_today(name):
    with pytest.raises(AttributeError, match=r"no graph session\n  hint"):
        getattr(K, name)
