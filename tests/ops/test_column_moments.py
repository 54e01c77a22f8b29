"""Means, variances and gradients over all axes but the last, which one pass over the rows makes
together: against NumPy's float64, on every instruction set."""

import numpy as np
import pytest

import fastnn
from fastnn import _core, layers, ops
from fastnn.tracing.variables import Scope
from instruction_sets import assert_holds_on, each_lower_set

SHAPES = [
    (1, 16), (2, 33), (7, 16), (129, 48), (300, 17), (256, 512), (3, 5, 5, 100), (4, 28, 28, 64),
    (5000, 16), (40, 4096),
]  # fmt: skip


@each_lower_set
def test_columns_on_lower_instruction_sets(isa):
    assert_holds_on(isa, __file__)


def drawn(rng, shape, mean=0.0, deviation=1.0):
    return (mean + deviation * rng.normal(size=shape)).astype("f")


def normalized(x, scale, offset, axis=-1):
    axes = [i for i in range(x.ndim) if i != axis % x.ndim]
    mean, variance = ops.moments(x, axes=axes)
    return ops.batch_normalization(x, mean, variance, axis, offset, scale), mean, variance


def step(x, scale, offset, dy):
    """What a normalisation and its gradient give, and the function of the core that gave it."""
    feeds = [_core.placeholder(a.shape, "float32") for a in (x, scale, offset, dy)]
    y, mean, variance = normalized(*feeds[:3])
    gradients = _core.gradients(ops.sum(y * feeds[3]), feeds[:3])
    function = _core.Function(feeds, [y, mean, variance, *gradients], [])
    return [np.asarray(a) for a in function(x, scale, offset, dy)], function


def wanted(x, scale, offset, dy):
    x, scale, offset, dy = (a.astype("d") for a in (x, scale, offset, dy))
    axes = tuple(range(x.ndim - 1))
    mean, variance = x.mean(axes), x.var(axes)
    factor = 1.0 / np.sqrt(variance + 1e-3)
    level = (x - mean) * factor
    flat, along = dy.mean(axes), (dy * level).mean(axes)
    dx = scale * factor * (dy - flat - level * along)
    return [level * scale + offset, mean, variance, dx, (dy * level).sum(axes), dy.sum(axes)]


def operands(rng, shape, mean=0.0, deviation=1.0):
    columns = shape[-1:]
    return (
        drawn(rng, shape, mean, deviation), drawn(rng, columns, 1.0, 0.2), drawn(rng, columns),
        drawn(rng, shape),
    )  # fmt: skip


def kernels(function):
    names = ("column_moments", "column_sums", "reduce")
    return [sum(name in line for line in function.steps.splitlines()) for name in names]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_normalisation_and_its_gradient_are_those_of_float64(shape, rng):
    given = operands(rng, shape)
    found, function = step(*given)
    # The gradient of one row is a row, which nobody sums.
    assert kernels(function) == [1, int(shape[0] > 1), 0]
    for a, b in zip(found, wanted(*given), strict=True):
        assert np.abs(a - b).max() <= 1e-5 * max(np.abs(b).max(), 1.0)


@pytest.mark.parametrize("shape", [(300, 17), (4, 28, 28, 64), (5000, 16)])
@pytest.mark.parametrize("deviation", [1.0, 0.05])
def test_a_large_mean_leaves_the_variance_its_digits(shape, deviation, rng):
    given = operands(rng, shape, 1e4, deviation)
    found, _ = step(*given)
    exact = wanted(*given)
    np.testing.assert_allclose(found[1], exact[1], rtol=1.2e-7)
    np.testing.assert_allclose(found[2], exact[2], rtol=2e-6)


def test_rows_that_differ_from_the_first_leave_the_variance_its_digits(rng):
    x = drawn(rng, (4000, 32), 1e4)
    x[:100] = 0.0
    found, _ = step(x, *operands(rng, x.shape)[1:])
    np.testing.assert_allclose(found[2], x.astype("d").var(0), rtol=2e-6)


def test_few_or_many_columns_and_other_axes_are_right(rng):
    for shape in ((40, 3), (3, 5000), (50, 1)):
        given = operands(rng, shape)
        found, function = step(*given)
        assert kernels(function)[:2] == [0, 0]
        for a, b in zip(found, wanted(*given), strict=True):
            assert np.abs(a - b).max() <= 1e-5 * max(np.abs(b).max(), 1.0)
    x = drawn(rng, (6, 20, 5, 7))
    scale, offset = drawn(rng, 20), drawn(rng, 20)
    last, mean, variance = normalized(np.moveaxis(x, 1, -1), scale, offset)
    first, *others = normalized(ops.convert_to_tensor(x), scale, offset, 1)
    np.testing.assert_allclose(np.moveaxis(np.asarray(first), 1, -1), last, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(np.asarray(others), np.asarray([mean, variance]), atol=1e-6)


def test_no_rows_have_no_mean_and_no_gradient(rng):
    found, _ = step(*operands(rng, (0, 20)))
    y, mean, variance, dx, dscale, doffset = found
    assert y.shape == dx.shape == (0, 20)
    assert np.isnan([mean, variance]).all()
    assert not doffset.any()
    assert dscale.shape == (20,)


def test_infinities_and_nan_stay_in_their_columns(rng):
    given = operands(rng, (3000, 40))
    clean, _ = step(*given)
    x = given[0].copy()
    x[0, 3], x[2999, 5], x[1500, 7], x[0, 9], x[2999, 9] = np.inf, -np.inf, np.nan, np.inf, -np.inf
    found, _ = step(x, *given[1:])
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(found[1][[3, 5, 7, 9]], [np.inf, -np.inf, np.nan, np.nan])
    assert np.isnan(found[2][[3, 5, 7, 9]]).all()
    kept = np.setdiff1d(np.arange(40), [3, 5, 7, 9])
    for a, b in zip(found, clean, strict=True):
        assert np.array_equal(a[..., kept], b[..., kept])


def test_squares_beyond_float32_are_infinite(rng):
    x = np.tile(np.float32([[1e30], [-1e30]]), (100, 16))
    mean, variance = (np.asarray(v) for v in ops.moments(x, axes=0))
    assert not mean.any()
    assert np.isposinf(variance).all()


@pytest.mark.parametrize("shape", [(300, 17), (9, 40, 40, 24), (5000, 512)])
def test_any_number_of_threads_gives_the_bits_of_one(shape, rng):
    given = operands(rng, shape)
    before, found = fastnn.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            fastnn.set_num_threads(threads)
            found.append(step(*given)[0])
    finally:
        fastnn.set_num_threads(before)
    for other in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_gradients_of_gradients_are_those_of_the_separate_reductions(rng):
    x, scale, offset, dy = operands(rng, (6, 3, 20))
    weights = drawn(rng, x.shape)

    def slopes(x, scale, dy, weights, axis):
        def first(x, scale):
            y, _, variance = normalized(x, scale, offset, axis)
            return ops.sum(ops.tanh(y) * dy) + ops.sum(ops.square(variance))

        def second(x, scale):
            dx, dscale = fastnn.grad(first, argnums=(0, 1))(x, scale)
            return ops.sum(dx * weights) + ops.sum(ops.square(dscale))

        return fastnn.grad(second, argnums=(0, 1))(x, scale)

    last = slopes(x, scale, dy, weights, -1)
    moved = [np.moveaxis(a, -1, 0).copy() for a in (x, dy, weights)]
    first = slopes(moved[0], scale, moved[1], moved[2], 0)
    np.testing.assert_allclose(last[0], np.moveaxis(np.asarray(first[0]), 0, -1), atol=2e-4)
    np.testing.assert_allclose(last[1], first[1], rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("scale", [True, False])
def test_the_layer_and_its_gradients_are_those_of_float64(center, scale, rng):
    x, gamma, beta, dy = operands(rng, (8, 9, 9, 24), 1e3)
    layer = layers.BatchNormalization(center=center, scale=scale, momentum=0.5)
    layer.build(x.shape)
    weights = ([gamma] if scale else []) + ([beta] if center else [])
    layer.set_weights([*weights, np.zeros(24, "f"), np.zeros(24, "f")])
    given = fastnn.Variable(x)
    with fastnn.GradientTape() as tape:
        y = layer(given, training=True)
        total = ops.sum(y * dy)
    found = tape.gradient(total, [given, *layer.trainable_variables])
    one, zero = np.ones(24, "f"), np.zeros(24, "f")
    exact = wanted(x, gamma if scale else one, beta if center else zero, dy)
    np.testing.assert_allclose(y, exact[0], atol=4e-4)
    np.testing.assert_allclose(layer.moving_mean.numpy(), exact[1] / 2, rtol=1e-6)
    np.testing.assert_allclose(layer.moving_variance.numpy(), exact[2] / 2, rtol=1e-5)
    picked = [exact[3], *([exact[4]] if scale else []), *([exact[5]] if center else [])]
    for a, b in zip(found, picked, strict=True):
        np.testing.assert_allclose(a, b, atol=4e-4 * np.abs(b).max())


def test_a_training_step_reads_its_images_twice(rng):
    """Once for both moments and once for both sums of the gradient; the rest is fused."""
    x = _core.placeholder((4, 6, 6, 32), "float32")
    layer = layers.BatchNormalization()
    layer.build((None, 6, 6, 32))
    with Scope(traces=True) as scope:
        y = ops.relu(layer(x, training=True))
        gradients = _core.gradients(ops.sum(ops.square(y)), [x])
    function = _core.Function([x], gradients, scope.updates())
    function(drawn(rng, x.shape))
    assert kernels(function)[:2] == [1, 1]
