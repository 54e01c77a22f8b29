"""ops.scan against loops in NumPy: carries, results, order, gradients, a plain recurrent net."""

import numpy as np
import pytest

import fastnn
from fastnn import ShapeError, layers, ops


def test_carry_and_results_of_any_structure(rng):
    xs = {"a": rng.normal(size=(5, 3)).astype("f"), "b": rng.integers(0, 9, 5).astype("i4")}

    def f(carry, x):
        total, (count,) = carry
        return (total + x["a"], (count + x["b"],)), {"sum": total, "twice": [x["b"] * 2]}

    for reverse in (False, True):
        (total, (count,)), ys = ops.scan(
            f, (np.zeros(3, "f"), (ops.array(0),)), xs, reverse=reverse
        )
        assert np.asarray(total) == pytest.approx(xs["a"].sum(0), rel=1e-5)
        assert int(count) == xs["b"].sum()
        a = xs["a"][::-1] if reverse else xs["a"]
        before = np.concatenate([np.zeros((1, 3), "f"), np.cumsum(a, 0)[:-1]])
        before = before[::-1] if reverse else before
        assert np.asarray(ys["sum"]) == pytest.approx(before, rel=1e-5, abs=1e-6)
        assert np.array_equal(np.asarray(ys["twice"][0]), 2 * xs["b"])


def test_rounds_without_slices_and_without_results():
    last, ys = ops.scan(lambda c, _: (c * 2.0, None), 1.0, length=10)
    assert float(last) == 1024
    assert ys is None
    last, ys = ops.scan(lambda c, _: (c * 2.0, c), 1.0, length=0)
    assert float(last) == 1
    assert np.asarray(ys).shape == (0,)
    last, ys = ops.scan(
        lambda c, x: (c, ops.sum(x * c, -1)), np.ones(4, "f"), np.ones((0, 2, 4), "f")
    )
    assert np.asarray(ys).shape == (0, 2)


def test_what_does_not_fit_is_refused():
    ones = np.ones((3, 2), "f")
    with pytest.raises(TypeError, match="function"):
        ops.scan(3, 0.0, ones)
    with pytest.raises(ValueError, match=r"no xs.*\n  hint"):
        ops.scan(lambda c, x: (c, x), 0.0)
    with pytest.raises(ShapeError, match="length is 4"):
        ops.scan(lambda c, x: (c, x), 0.0, ones, length=4)
    with pytest.raises(ShapeError, match=r"float32\(\) into float32\(2,\)"):
        ops.scan(lambda c, x: (c + x, x), 0.0, ones)
    with pytest.raises(ValueError, match="another structure"):
        ops.scan(lambda c, x: ((c, c), x), 0.0, ones)
    with pytest.raises(ValueError, match="no pair"):
        ops.scan(lambda c, x: c, 0.0, ones)
    with pytest.raises(ShapeError, match="first axes"):
        ops.scan(lambda c, x: (c, None), 0.0, (ones, ones[:2]))


@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_match_finite_differences(reverse, rng):
    w, h = rng.normal(size=(3, 3)).astype("f") / 2, rng.normal(size=3).astype("f")
    xs, weights = rng.normal(size=(2, 6, 3)).astype("f")

    def loss(w, h, xs):
        last, ys = ops.scan(
            lambda c, x: (ops.tanh(ops.matmul(c, w) + x),) * 2, h, xs, reverse=reverse
        )
        return ops.sum(ys * weights) + ops.sum(last * last)

    def exact(w, h, xs):
        total = 0.0
        for i in range(6)[::-1] if reverse else range(6):
            h = np.tanh(h @ w + xs[i])
            total += (h * weights[i]).sum()
        return total + (h * h).sum()

    got = fastnn.grad(loss, argnums=(0, 1, 2))(w, h, xs)
    wide = [a.astype("f8") for a in (w, h, xs)]
    for k, slopes in enumerate(got):
        for at in np.ndindex(wide[k].shape):
            moved = [a.copy() for a in wide]
            moved[k][at] += 1e-6
            up = exact(*moved)
            moved[k][at] -= 2e-6
            wanted = (up - exact(*moved)) / 2e-6
            assert float(np.asarray(slopes)[at]) == pytest.approx(wanted, rel=1e-3, abs=1e-4)


class Recurrent(layers.Layer):
    """A plain recurrent layer: h = tanh(x W + h U + b), its last h."""

    def __init__(self, units):
        super().__init__()
        self.units = units

    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1], self.units), name="w")
        self.u = self.add_weight(shape=(self.units, self.units), name="u")
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", name="b")

    def call(self, x):
        steps = ops.transpose(ops.matmul(x, self.w) + self.b, (1, 0, 2))
        first = ops.zeros_like(steps[0])
        last, _ = ops.scan(lambda h, z: (ops.tanh(z + ops.matmul(h, self.u)), None), first, steps)
        return last


def test_a_recurrent_net_learns_the_sign_of_a_sum(rng):
    fastnn.utils.set_random_seed(1)
    x = rng.normal(size=(512, 12, 2)).astype("f")
    y = (x.sum((1, 2)) > 0).astype("f")
    model = fastnn.Sequential(
        [fastnn.Input((12, 2)), Recurrent(8), layers.Dense(1, activation="sigmoid")]
    )
    model.compile(fastnn.optimizers.Adam(0.02), "binary_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=25, batch_size=64, verbose=0)
    assert model.evaluate(x, y, verbose=0)[1] > 0.93
    w, u, b = (np.asarray(v) for v in model.layers[0].get_weights())
    h = np.zeros((512, 8))
    for t in range(12):
        h = np.tanh(x[:, t] @ w + b + h @ u)
    inner = fastnn.Sequential([fastnn.Input((12, 2)), model.layers[0]])
    assert inner.predict(x, verbose=0) == pytest.approx(h, rel=1e-3, abs=1e-4)
