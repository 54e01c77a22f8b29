"""Lengths of vectors are right for elements whose squares float32 does not hold."""

import numpy as np
import pytest

from fastnn import _core, grad, keras as K, ops

SIZES = [1e-38, 1e-30, 1e-25, 1e-12, 1.0, 1e12, 1e19, 1e25, 1e37]
V = np.array([3.0, -4.0], "float32")


@pytest.mark.parametrize("size", SIZES)
def test_norms_and_cosines_are_right_for_vectors_of_any_length(size):
    v = (V * np.float32(size)).astype("float32")
    both = np.stack([v, V])
    assert float(ops.norm(v)) == pytest.approx(5 * size, rel=1e-5)
    np.testing.assert_allclose(np.asarray(ops.norm(both, axis=1)), [5 * size, 5], rtol=1e-5)
    assert ops.norm(both, axis=(0, 1), keepdims=True).shape == (1, 1)
    assert float(K.metrics.CosineSimilarity()([v], [v])) == pytest.approx(1, abs=1e-5)
    assert float(K.losses.CosineSimilarity()([v], [-v])) == pytest.approx(1, abs=1e-5)
    unit = np.asarray(K.layers.UnitNormalization()(both))
    np.testing.assert_allclose(unit, [V / 5, V / 5], rtol=1e-5)
    if size >= 1:
        np.testing.assert_allclose(np.asarray(ops.normalize(v, axis=0)), V / 5, rtol=1e-5)
        np.testing.assert_allclose(np.asarray(K.constraints.MaxNorm(1.0)(v)), V / 5, rtol=1e-5)
        np.testing.assert_allclose(np.asarray(K.constraints.UnitNorm()(v)), V / 5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["clipnorm", "global_clipnorm"])
@pytest.mark.parametrize("size", SIZES)
def test_a_gradient_of_any_length_is_clipped_to_the_limit_or_left_alone(size, kind):
    a, b = K.Variable(np.zeros(2, "float32")), K.Variable(np.zeros(2, "float32"))
    optimizer = K.optimizers.SGD(1.0, **{kind: 1.0})
    optimizer.build([a, b])
    gradient = (V * np.float32(size)).astype("float32")
    optimizer.apply([gradient, np.zeros(2, "float32")], [a, b])
    length = min(1.0, 5 * size)
    np.testing.assert_allclose(a.numpy(), -V / 5 * length, rtol=1e-5)
    assert not b.numpy().any()
    # Beside a gradient of length 5, which sets the scale of the common length.
    optimizer.apply([gradient, V], [a, b])
    if kind == "clipnorm" or size < 1e-6:
        np.testing.assert_allclose(b.numpy(), -V / 5, rtol=1e-5)


def test_no_length_stays_no_length():
    zero = np.zeros(2, "float32")
    assert float(ops.norm(zero)) == 0
    assert float(ops.norm(np.zeros((0,), "float32"))) == 0
    assert float(K.losses.CosineSimilarity()([zero], [V])) == 0
    slope = grad(lambda p: K.losses.CosineSimilarity(axis=0)(V, p))(zero)
    assert np.isfinite(np.asarray(slope)).all()
    assert np.asarray(ops.normalize(zero, axis=0)).tolist() == [0, 0]


@pytest.mark.parametrize("size", [1e-25, 1.0, 1e25])
def test_the_gradient_of_a_norm_is_the_unit_vector(size):
    v = (V * np.float32(size)).astype("float32")
    np.testing.assert_allclose(np.asarray(grad(ops.norm)(v)), V / 5, rtol=1e-5)


@pytest.mark.parametrize("size", [1e20, 1e-30, 1.0])
@pytest.mark.parametrize("order", [1, 2, 3, np.inf, 0])
def test_rows_of_any_size_are_normalized_on_values(size, order):
    rows = np.array([[3.0, -4.0], [0.0, 0.0]])
    got = K.utils.normalize((rows * size).astype(np.float32), order=order)
    length = np.linalg.norm(rows[0], order)
    right = rows / length * (size if order == 0 else 1)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, right, rtol=1e-6)


def normal(x, axis, epsilon, about_mean=True):
    """(x - mean) / sqrt(variance + epsilon) in float64."""
    d = x - x.mean(axis, keepdims=True) if about_mean else x
    return d / np.sqrt((d**2).mean(axis, keepdims=True) + epsilon)


#: How each layer or op normalises a matrix of 8 columns.
NORMALISED = {
    "LayerNormalization": (lambda x, e: K.layers.LayerNormalization(epsilon=e)(x),
                           lambda x, e: normal(x, -1, e)),
    "RMSNormalization": (lambda x, e: K.layers.RMSNormalization(epsilon=e)(x),
                         lambda x, e: normal(x, -1, e, False)),
    "GroupNormalization": (lambda x, e: K.layers.GroupNormalization(2, epsilon=e)(x),
                           lambda x, e: normal(x.reshape(-1, 2, 4), -1, e).reshape(x.shape)),
    "BatchNormalization": (lambda x, e: K.layers.BatchNormalization(epsilon=e)(x, training=True),
                           lambda x, e: normal(x, 0, e)),
    "BatchNormalization, masked": (
        lambda x, e: K.layers.BatchNormalization(epsilon=e)(
            x[:, None], training=True, mask=np.ones((len(x), 1), bool))[:, 0],
        lambda x, e: normal(x, 0, e)),
    "ops.layer_normalization": (lambda x, e: ops.layer_normalization(x, epsilon=e),
                                lambda x, e: normal(x, -1, e)),
    "ops.rms_normalization": (lambda x, e: ops.rms_normalization(x, epsilon=e),
                              lambda x, e: normal(x, -1, e, False)),
    "the row": (lambda x, e: _core.ops.layer_normalize(x, epsilon=e),
                lambda x, e: normal(x, -1, e)),
}  # fmt: skip
ROWS = np.random.default_rng(0).normal(size=(5, 8))


@pytest.mark.parametrize("epsilon", [1e-3, 1e-6])
@pytest.mark.parametrize("size", [1e-30, 1e-25, 1e-10, 1.0, 1e10, 1e19, 1e25, 1e30])
@pytest.mark.parametrize("name", NORMALISED)
def test_rows_of_any_size_are_normalised_and_so_are_their_gradients(name, size, epsilon):
    layer, formula = NORMALISED[name]
    x = (ROWS * size).astype("float32")
    right = formula(x.astype("float64"), epsilon)
    np.testing.assert_allclose(np.asarray(layer(x, epsilon)), right, rtol=2e-4,
                               atol=2e-4 * np.abs(right).max())  # fmt: skip
    share = ROWS[::-1].astype("float32")
    slope = np.asarray(grad(lambda v: ops.sum(layer(v, epsilon) * share))(ops.convert_to_tensor(x)))
    step = size * 1e-6
    wide = np.repeat(x.astype("float64")[None], 40, 0) + step * np.eye(40).reshape(40, 5, 8)
    low = np.repeat(x.astype("float64")[None], 40, 0) - step * np.eye(40).reshape(40, 5, 8)
    change = [((formula(a, epsilon) - formula(b, epsilon)) * share).sum() for a, b in
              zip(wide, low, strict=True)]  # fmt: skip
    right = np.reshape(change, (5, 8)) / (2 * step)
    np.testing.assert_allclose(slope, right, rtol=2e-3, atol=2e-3 * np.abs(right).max())


def test_ordinary_rows_have_the_bits_of_the_plain_formula():
    x = ops.convert_to_tensor((ROWS * 3).astype("float32"))
    d = x - ops.mean(x, axis=-1, keepdims=True)
    plain = d * ops.rsqrt(ops.mean(ops.square(d), axis=-1, keepdims=True) + 1e-3)
    assert np.array_equal(plain, K.layers.LayerNormalization()(x))
    assert np.array_equal(ops.std(x, axis=-1), ops.sqrt(ops.var(x, axis=-1)))


def test_rows_beyond_that_are_right_or_no_number_and_no_silent_zeros():
    x = np.array([[1.0, -1.0, 0.5, 1.0]])
    for size in (1e31, 1e37, 3e38):
        large = (x * size).astype("float32")
        for about_mean, made in (
            (False, K.layers.RMSNormalization()(large)),
            (False, ops.rms_normalization(large.T, axis=0).numpy().T),
            (True, K.layers.LayerNormalization()(large)),
            (True, ops.layer_normalization(large.T, axis=0).numpy().T),
            (True, K.layers.GroupNormalization(1)(large)),
        ):
            made = np.asarray(made)
            right = normal(x, -1, 0.0, about_mean)
            assert np.isnan(made).all() or np.allclose(made, right, rtol=1e-5), size
    wide = np.full((1, 4), 1e37, "float32")
    np.testing.assert_allclose(K.layers.RMSNormalization()(wide), np.ones((1, 4)), rtol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_deviations_of_any_size_are_right(size):
    x = (np.array([[1.0, 2.0, 5.0], [0.0, 0.0, 4.0]]) * size).astype("float32")
    wide = x.astype("float64")
    for axis in (None, 0, 1, -1):
        right = wide.std(axis)
        np.testing.assert_allclose(np.asarray(ops.std(x, axis=axis)), right, rtol=1e-5)
        np.testing.assert_allclose(np.asarray(ops.nanstd(x, axis=axis)), right, rtol=1e-5)
    assert ops.std(x, axis=1, keepdims=True).shape == (2, 1)
    np.testing.assert_allclose(np.asarray(ops.corrcoef(x)), np.corrcoef(wide), rtol=1e-4)
    length = np.linalg.norm(wide, 3, axis=1)
    np.testing.assert_allclose(np.asarray(ops.norm(x, 3, axis=1)), length, rtol=1e-5)


@pytest.mark.parametrize("size", [1e-25, 1.0, 1e25])
def test_the_gradient_of_a_deviation_is_right(size):
    x = (ROWS[0] * size).astype("float32")
    d = ROWS[0] - ROWS[0].mean()
    np.testing.assert_allclose(np.asarray(grad(ops.std)(ops.convert_to_tensor(x))),
                               d / ROWS[0].std() / 8, rtol=1e-4)  # fmt: skip
    assert np.asarray(grad(ops.std)(ops.convert_to_tensor(np.zeros(3, "f")))).tolist() == [0, 0, 0]
    assert np.isnan(float(ops.std(np.zeros((0,), "float32"))))


def test_a_score_that_float32_does_not_hold_is_no_number():
    for p in ([1e25, -2e25], [np.nan, 0.0]):
        metric = K.metrics.R2Score()
        metric.update_state(np.array([[1e25], [3e25]]), np.array(p)[:, None])
        assert np.isnan(float(metric.result()))
