"""Layers that normalise: their formulas, axes and moving statistics."""

import numpy as np
import pytest

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


def test_batch_normalization_takes_renorm_as_keras_writes_it_and_refuses_the_method():
    layer = layers.BatchNormalization(renorm=False, renorm_clipping=None, renorm_momentum=0.99)
    assert "renorm" not in layer.get_config()
    with pytest.raises(ValueError, match="batch renormalisation is not there"):
        layers.BatchNormalization(renorm=True)
