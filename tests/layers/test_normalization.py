"""Layers that normalise: their formulas, axes and moving statistics."""

import numpy as np
import pytest

import fastnn
from fastnn import layers


def test_batch_normalization_moves_with_the_biased_variance():
    bn = layers.BatchNormalization()
    out = np.asarray(bn(np.array([[0.0], [2.0]], np.float32), training=True))
    assert out.ravel() == pytest.approx([-0.9995, 0.9995], abs=1e-4)
    gamma, beta, mean, variance = (w.item() for w in bn.get_weights())
    assert (gamma, beta, mean, variance) == pytest.approx((1.0, 0.0, 0.01, 1.0))
    frozen = np.asarray(bn(np.array([[0.0], [2.0]], np.float32)))
    assert frozen.ravel() == pytest.approx(np.array([-0.01, 1.99]) / np.sqrt(1.001), rel=1e-5)


def test_batch_normalization_that_is_not_trainable_uses_its_averages():
    bn = layers.BatchNormalization()
    bn.build((None, 1))
    bn.trainable = False
    out = np.asarray(bn(np.array([[0.0], [2.0]], np.float32), training=True))
    assert out.ravel() == pytest.approx(np.array([0.0, 2.0]) / np.sqrt(1.001), rel=1e-5)
    assert [w.item() for w in bn.get_weights()][2:] == [0.0, 1.0]


def test_layer_normalization_follows_its_formula(rng):
    x = rng.normal(size=(3, 6)).astype(np.float32)
    expected = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-3)
    assert np.asarray(layers.LayerNormalization()(x)) == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_group_and_unit_and_rms_normalization(rng):
    x = rng.normal(size=(2, 3, 4)).astype(np.float32)
    unit = np.asarray(layers.UnitNormalization()(x))
    assert np.linalg.norm(unit, axis=-1) == pytest.approx(np.ones((2, 3)), rel=1e-5)
    groups = np.asarray(layers.GroupNormalization(groups=2)(x)).reshape(2, 3, 2, 2)
    assert groups.mean(axis=(1, 3)) == pytest.approx(np.zeros((2, 2)), abs=1e-5)
    rms = np.asarray(layers.RMSNormalization()(x))
    expected = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)
    assert rms == pytest.approx(expected, rel=1e-4)


def test_normalization_adapts_to_data(rng):
    data = rng.normal(3.0, 2.0, size=(500, 4))
    layer = layers.Normalization()
    layer.adapt(data)
    out = np.asarray(layer(data))
    assert out.mean(0) == pytest.approx(np.zeros(4), abs=1e-6)
    assert out.var(0) == pytest.approx(np.ones(4), abs=1e-5)
    given = layers.Normalization(mean=[1.0, 2.0], variance=[4.0, 9.0])
    assert np.asarray(given(np.array([[3.0, 5.0]]))).tolist() == [[1.0, 1.0]]


def test_layer_normalization_with_rms_scaling_divides_by_the_deviation(rng):
    x = rng.normal(2.0, 3.0, size=(4, 6)).astype(np.float32)
    layer = layers.LayerNormalization(rms_scaling=True)
    want = x / np.sqrt(x.var(-1, keepdims=True) + 1e-3)
    np.testing.assert_allclose(np.asarray(layer(x)), want, rtol=1e-5)
    assert [v.name for v in layer.weights] == ["gamma"]


def test_axes_in_any_order_normalise_alike(rng):
    x = rng.normal(size=(2, 3, 4)).astype(np.float32)
    gamma = rng.normal(size=(3, 4)).astype(np.float32)
    outs = []
    for axis in ([-2, -1], [-1, -2]):
        layer = layers.LayerNormalization(axis=axis)
        layer.build(x.shape)
        layer.set_weights([gamma, np.zeros((3, 4))])
        outs.append(np.asarray(layer(x)))
    assert np.array_equal(*outs)


def test_settings_of_renormalisation_are_left_out_of_configs_where_they_change_nothing():
    layer = layers.BatchNormalization(renorm=False, renorm_clipping=None, renorm_momentum=0.99)
    assert not [k for k in layer.get_config() if "renorm" in k]


@pytest.mark.parametrize(
    ("clipping", "affine"),
    [(None, True), ({"rmax": 1.2, "rmin": 0.9, "dmax": 0.1}, True), ({"dmax": 0.3}, False)],
)
def test_batch_renormalisation_follows_its_formula(rng, clipping, affine):
    layer = layers.BatchNormalization(
        momentum=0.8, renorm=True, renorm_clipping=clipping, renorm_momentum=0.6,
        scale=affine, center=affine,
    )  # fmt: skip
    layer.build((None, 3))
    if affine:
        layer.gamma.assign([1.0, 2.0, 0.5])
        layer.beta.assign([0.0, 1.0, -1.0])
    mean, stddev = np.zeros(3), np.ones(3)
    moving_mean, moving_stddev = np.zeros(3), np.ones(3)
    bounds = {"rmin": -np.inf, "rmax": np.inf, "dmax": np.inf, **(clipping or {})}
    for _ in range(3):
        x = (rng.normal(size=(6, 3)) * [1, 2, 3] + 1).astype(np.float32)
        m, s = x.mean(0), np.sqrt(x.var(0) + 1e-3)
        r = np.clip(s / stddev, bounds["rmin"], bounds["rmax"])
        d = np.clip((m - mean) / stddev, -bounds["dmax"], bounds["dmax"])
        want = (x - m) / s * r + d
        if affine:
            want = want * layer.gamma.numpy() + layer.beta.numpy()
        np.testing.assert_allclose(layer(x, training=True), want, rtol=2e-5, atol=2e-5)
        mean, stddev = 0.6 * mean + 0.4 * m, 0.6 * stddev + 0.4 * s
        moving_mean, moving_stddev = 0.8 * moving_mean + 0.2 * m, 0.8 * moving_stddev + 0.2 * s
    np.testing.assert_allclose(layer.renorm_mean, mean, rtol=1e-5)
    np.testing.assert_allclose(layer.renorm_stddev, stddev, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_mean, moving_mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, moving_stddev**2 - 1e-3, rtol=1e-4)
    want = (x - moving_mean) / moving_stddev
    if affine:
        want = want * layer.gamma.numpy() + layer.beta.numpy()
    np.testing.assert_allclose(layer(x, training=False), want, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("ending", ["keras", "safetensors"])
def test_batch_renormalisation_is_kept_in_files(tmp_path, ending):
    if ending == "keras":
        pytest.importorskip("h5py")
    bounds = {"rmax": 2.0, "rmin": 0.5}
    model = fastnn.Sequential([
        fastnn.Input((2,)), layers.BatchNormalization(renorm=True, renorm_clipping=bounds),
        layers.Dense(1),
    ])  # fmt: skip
    model.compile("sgd", "mse")
    x = np.arange(8.0).reshape(4, 2)
    model.fit(x, x[:, :1], verbose=0)
    model.save(tmp_path / f"m.{ending}")
    again = fastnn.load_model(tmp_path / f"m.{ending}")
    assert again.layers[0].renorm_clipping == bounds
    for a, b in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    for m in (model, again):
        m.fit(x, x[:, :1], shuffle=False, verbose=0)
    np.testing.assert_array_equal(model.predict(x, verbose=0), again.predict(x, verbose=0))


@pytest.mark.parametrize(
    "bounds", [{"rmx": 1.0}, {"rmax": 0.5, "rmin": 1.0}, {"dmax": -1.0}], ids=str
)
def test_bounds_of_renormalisation_that_are_none_are_refused(bounds):
    with pytest.raises(ValueError, match=r"renorm_clipping.*\n +hint: "):
        layers.BatchNormalization(renorm=True, renorm_clipping=bounds)


@pytest.mark.parametrize("kind", [layers.RMSNormalization, layers.LayerNormalization])
def test_scales_of_several_axes_lie_in_the_order_of_the_input(kind):
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    scale = np.random.default_rng(1).normal(size=(3, 4)).astype("float32")
    found = []
    for axis in ([1, 2], [2, 1]):
        layer = kind(axis=axis)
        layer.build(x.shape)
        assert layer.weights[0].shape == (3, 4)
        layer.weights[0].assign(scale)
        found.append(layer(x).numpy())
    np.testing.assert_array_equal(found[0], found[1])
