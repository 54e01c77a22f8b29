"""Lengths of vectors are right for elements whose squares float32 does not hold."""

import numpy as np
import pytest

from fastnn import grad, keras as K, ops

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
