"""Recurrences: what layers are promised of them besides their formulas (tests/ops/test_ops.py has
these, tests/ops/random_graphs.py draws them)."""

import numpy as np
import pytest

import fastnn
import recurrences
from fastnn import ShapeError, _core, layers, ops

GATES = {"lstm": 4, "gru": 3, "simple_rnn": 1}


def operands(name, rng, batch, steps, units, input_size=None):
    gates = GATES[name]
    z = rng.normal(size=(batch, steps, gates * units)).astype("f")
    weights = (rng.normal(size=(units, gates * units)) / np.sqrt(units)).astype("f")
    return z, weights


def run(name, z, weights, **options):
    return [np.asarray(x) for x in getattr(ops, name)(z, weights, **options)]


@pytest.mark.parametrize("name", GATES)
def test_any_number_of_threads_gives_the_same_bits(name, rng):
    z, weights = operands(name, rng, 70, 9, 37)
    weigh = rng.normal(size=(70, 9, 37)).astype("f")
    mask = rng.random((70, 9)) < 0.8

    def loss(z, weights):
        return ops.sum(getattr(ops, name)(z, weights, mask=mask)[0] * weigh)

    before, found = fastnn.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            fastnn.set_num_threads(threads)
            slopes = fastnn.grad(loss, argnums=(0, 1))(z, weights)
            found.append([*run(name, z, weights, mask=mask), *(np.asarray(s) for s in slopes)])
    finally:
        fastnn.set_num_threads(before)
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            assert np.array_equal(a, b)


@pytest.mark.parametrize("name", GATES)
def test_a_row_of_the_batch_does_not_see_the_others(name, rng):
    z, weights = operands(name, rng, 41, 5, 19)
    whole = run(name, z, weights)
    alone = run(name, z[29:30], weights)
    for a, b in zip(whole, alone, strict=True):
        assert np.array_equal(a[29:30], b)


@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize("reverse", [False, True])
def test_hidden_steps_leave_no_trace(name, reverse, rng):
    """Steps that the mask hides may hold anything, NaN too, and nothing flows back into them."""
    z, weights = operands(name, rng, 3, 6, 5)
    mask = np.array([[1, 1, 0, 1, 0, 0], [0, 0, 1, 1, 1, 1], [0] * 6], bool)
    z[~mask] = np.nan
    h0 = rng.normal(size=(3, 5)).astype("f")
    y, h, *_ = run(name, z, weights, h0=h0, mask=mask, reverse=reverse)
    assert np.isfinite(y).all()
    assert np.array_equal(h, y[:, 0 if reverse else -1])
    assert np.array_equal(h[2], h0[2])
    for row in range(2):
        kept = run(
            name, z[row : row + 1, mask[row]], weights, h0=h0[row : row + 1], reverse=reverse
        )
        assert np.array_equal(kept[1][0], h[row])
        assert np.array_equal(kept[0][0], y[row, mask[row]])

    def loss(z, h0):
        return ops.sum(getattr(ops, name)(z, weights, h0=h0, mask=mask, reverse=reverse)[0])

    dz, dh0 = (np.asarray(d) for d in fastnn.grad(loss, argnums=(0, 1))(z, h0))
    assert np.isfinite(dz).all()
    assert not dz[~mask].any()
    assert dz[mask].any(-1).all()
    assert np.array_equal(dh0[2], np.full(5, 6.0))


@pytest.mark.parametrize("name", GATES)
def test_nan_and_infinity_pass_through(name, rng):
    z, weights = operands(name, rng, 4, 3, 6)
    z[0, 1, 0], z[1, 1, 0] = np.nan, np.inf
    y = run(name, z, weights)[0]
    assert np.isfinite(y[:2, 0]).all()
    assert np.isnan(y[0, 1, 0])
    assert np.isnan(y[0, 2]).all()
    assert np.isfinite(y[1:]).all()


@pytest.mark.parametrize("name", GATES)
def test_no_steps_give_the_first_state(name, rng):
    z, weights = operands(name, rng, 3, 0, 4)
    h0 = rng.normal(size=(3, 4)).astype("f")
    y, h, *_ = run(name, z, weights, h0=h0)
    assert y.shape == (3, 0, 4)
    assert np.array_equal(h, h0)
    for batch, steps in ((0, 3), (0, 0)):
        y, h, *_ = run(name, *operands(name, rng, batch, steps, 4))
        assert (y.shape, h.shape) == ((batch, steps, 4), (batch, 4))


class Net(layers.Layer):
    def __init__(self, name, units):
        super().__init__()
        self.row, self.units = name, units

    def build(self, shape):
        gates = GATES[self.row] * self.units
        self.kernel = self.add_weight((shape[-1], gates), "glorot_uniform", name="kernel")
        self.weights_ = self.add_weight((self.units, gates), "orthogonal", name="recurrent")

    def call(self, x):
        return getattr(ops, self.row)(ops.matmul(x, self.kernel), self.weights_)[1]


def open_model(name):
    x = fastnn.Input((None, 3))
    return fastnn.Model(x, layers.Dense(2)(Net(name, 8)(x)))


@pytest.mark.parametrize("name", GATES)
def test_one_trace_serves_every_length_and_the_file_runs_from_rust(name, rng, tmp_path):
    model = open_model(name)
    model.save(tmp_path / "model.safetensors")
    loaded = _core.Model.load(tmp_path / "model.safetensors")
    model.compile(fastnn.optimizers.Adam(0.02), "mse")
    for steps in (1, 2, 7, 30):
        x = rng.normal(size=(25, steps, 3)).astype("f")
        got = model.predict(x, verbose=0)
        assert np.array_equal(np.asarray(loaded.predict(x)), got)
        kernel, weights, *dense = (np.asarray(v, "f8") for v in model.trainable_variables)
        extra = {"lstm": (0.0, 0.0), "gru": (0.0, 0.0), "simple_rnn": (0.0,)}[name]
        last = {"lstm": (False,), "gru": (False, True), "simple_rnn": (False, 0)}[name]
        h = recurrences.FORMULAS[name](x @ kernel, weights, *extra, True, 1.0, *last)[1]
        np.testing.assert_allclose(got, h @ dense[0] + dense[1], rtol=1e-4, atol=1e-5)
    for steps in (3, 8):
        x = rng.normal(size=(64, steps, 3)).astype("f")
        y = x.mean(1)[:, :2]
        losses = model.fit(x, y, epochs=15, verbose=0).history["loss"]
        assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", GATES)
def test_results_that_nobody_reads_have_no_memory(name, rng):
    z, weights = operands(name, rng, 20, 50, 16)
    x = _core.placeholder(z.shape, "float32")
    function = _core.Function([x], [getattr(ops, name)(x, weights)[1]])
    function(z)
    (line,) = [s for s in function.steps.splitlines() if f"kernel  {name}" in s]
    assert line.count("unread") == {"lstm": 5, "gru": 4, "simple_rnn": 2}[name]


@pytest.mark.parametrize("name", GATES)
def test_the_derivative_by_dropout_factors_and_second_derivatives_are_right(name, rng):
    z, weights = operands(name, rng, 2, 3, 2)
    drop = rng.uniform(0.5, 1.5, (2, GATES[name] * 2)).astype("f")

    def loss(drop, z):
        y = getattr(ops, name)(z, weights, drop=drop)[0]
        return ops.sum(y * y)

    along = rng.normal(size=drop.shape).astype("f")
    step = 1e-2
    up, down = (float(loss(drop + s * step * along, z)) for s in (1, -1))
    slope = float(np.sum(np.asarray(fastnn.grad(loss)(drop, z)) * along))
    assert slope == pytest.approx((up - down) / (2 * step), rel=2e-3, abs=2e-3)

    def sharpness(z):
        return ops.sum(ops.square(fastnn.grad(loss, argnums=1)(drop, z)))

    way = rng.normal(size=z.shape).astype("f")
    up, down = (float(sharpness(z + s * step * way)) for s in (1, -1))
    slope = float(np.sum(np.asarray(fastnn.grad(sharpness)(z)) * way))
    assert slope == pytest.approx((up - down) / (2 * step), rel=1e-2, abs=1e-2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"h0": np.zeros((2, 4), "f")}, r"h0 is float32\(2, 4\), wanted \(3, 4\)"),
        ({"h0": np.zeros((3, 5), "f")}, r"h0 is float32\(3, 5\)"),
        ({"mask": np.ones((3, 4), bool)}, r"mask is bool\(3, 4\), wanted \(3, 5\)"),
        ({"drop": np.ones((3, 4), "f")}, r"drop is float32\(3, 4\), wanted \(3, 16\)"),
        ({"weights": np.zeros((4, 12), "f")}, r"weights are float32\(4, 12\), wanted 4 columns"),
        ({"weights": np.zeros((3, 12), "f")}, r"for weights of 3 units, wanted 12 numbers"),
        ({"z": np.zeros((3, 16), "f")}, r"z is float32\(3, 16\)"),
    ],
)
def test_what_does_not_fit_is_named(change, words):
    fits = {"z": np.zeros((3, 5, 16), "f"), "weights": np.zeros((4, 16), "f")}
    with pytest.raises(ShapeError, match=rf"lstm: .*{words}[\s\S]*\n  hint: "):
        ops.lstm(**{**fits, **change})


def test_an_activation_that_the_row_does_not_know_is_refused():
    with pytest.raises(fastnn.errors.DataError, match=r"'gelu', wanted one of tanh[\s\S]*hint"):
        ops.simple_rnn(np.zeros((1, 1, 1), "f"), np.zeros((1, 1), "f"), activation="gelu")
    with pytest.raises(fastnn.errors.DataError, match=r"activation is 9[\s\S]*hint"):
        _core.ops.simple_rnn(
            np.zeros((1, 1, 1), "f"), np.zeros((1, 1), "f"), 0.0, True, 1.0, activation=9
        )
