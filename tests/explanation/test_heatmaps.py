"""Grad-CAM finds what a network looks at, and heat maps are drawn over images."""

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn.training import cache_features


def scenes(count, seed):
    """Noise with a bright square left or right, and which."""
    draw = np.random.default_rng(seed)
    x = draw.random((count, 16, 16, 1)).astype(np.float32) * 0.2
    y = draw.integers(0, 2, count)
    for i in range(count):
        column = 2 if y[i] == 0 else 11
        x[i, 6:9, column : column + 3] = 1.0
    return x, y


@pytest.fixture(scope="module")
def network():
    fastnn.utils.set_random_seed(0)
    x, y = scenes(200, 0)
    model = fastnn.Sequential(
        [
            fastnn.Input((16, 16, 1)),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.Conv2D(8, 3, padding="same", activation="relu", name="last"),
            layers.Flatten(),
            layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile(fastnn.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=5, verbose=0)
    return model


def test_grad_cam_points_at_what_the_network_looks_at(network):
    x, y = scenes(20, 1)
    found = fastnn.explain(network, x, "grad_cam", target=y)
    assert found.values.shape == (20, 16, 16)
    assert found.values.min() >= 0
    for one, label in zip(found.values, y, strict=True):
        column = np.unravel_index(one.argmax(), one.shape)[1]
        assert (column < 8) == (label == 0)
    named = fastnn.explain(network, x, "grad_cam", target=y, layer="last")
    np.testing.assert_array_equal(named.values, found.values)


def test_the_other_methods_take_images_too(network):
    x, _ = scenes(3, 2)
    for method, how in (("saliency", {}), ("integrated_gradients", {}),
                        ("occlusion", {"window": (4, 4, 1)})):  # fmt: skip
        assert fastnn.explain(network, x, method, **how).values.shape == x.shape


def test_grad_cam_says_what_it_needs(network):
    x, _ = scenes(2, 3)
    flat = fastnn.Sequential([fastnn.Input((4,)), layers.Dense(2)])
    with pytest.raises(fastnn.ShapeError, match="hint"):
        fastnn.explain(flat, np.zeros((2, 4)), "grad_cam")
    bare = fastnn.Sequential([fastnn.Input((16, 16, 1)), layers.Flatten(), layers.Dense(2)])
    with pytest.raises(fastnn.DataError, match="no layer"):
        fastnn.explain(bare, x, "grad_cam")
    with pytest.raises(fastnn.ShapeError, match="flatten"):
        fastnn.explain(network, x, "grad_cam", layer=network.layers[-2])


def test_heat_maps_lie_over_their_image(network):
    pytest.importorskip("matplotlib").use("Agg")
    x, y = scenes(2, 4)
    found = fastnn.explain(network, x, "grad_cam", target=y)
    assert len(fastnn.plot.heatmap(found, x[1], row=1).images) == 2
    assert len(fastnn.plot.heatmap(np.array([[-1.0, 1.0]])).images) == 1
    with pytest.raises(fastnn.DataError, match="hint"):
        fastnn.plot.heatmap(found, x[0][:8])
    with pytest.raises(fastnn.DataError, match="hint"):
        fastnn.plot.heatmap(np.zeros(3))
    figure = fastnn.plot.images(x, ["a", "b"], wrong=[True, False])
    assert len(figure.axes) == 2
    with pytest.raises(fastnn.DataError, match="one per picture"):
        fastnn.plot.images(x, ["a"])


def test_features_of_a_frozen_model_are_computed_once(network):
    x, y = scenes(12, 5)
    body = fastnn.Model(network.inputs, network.get_layer("last").output)
    with pytest.raises(fastnn.DataError, match="trainable = False"):
        cache_features(body, x, verbose=0)
    body.trainable = False
    want = body.predict(x, verbose=0)
    np.testing.assert_array_equal(cache_features(body, x, verbose=0), want)
    features, labels, weights = cache_features(body, x, y, np.ones(12), verbose=0)
    np.testing.assert_array_equal(labels, y)
    assert weights.shape == (12,)
    gen = fastnn.preprocessing.image.ImageDataGenerator()
    features, labels = cache_features(body, gen.flow(x, y, 5, shuffle=False))
    np.testing.assert_allclose(features, want, atol=1e-6)
    np.testing.assert_array_equal(labels, y)
    turning = fastnn.preprocessing.image.ImageDataGenerator(rotation_range=9)
    with pytest.raises(fastnn.DataError, match="at random"):
        cache_features(body, turning.flow(x, y))
    body.trainable = True
