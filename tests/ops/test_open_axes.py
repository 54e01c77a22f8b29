"""Ops along an axis whose size is not known yet: one meaning, the values of a known size."""

import numpy as np
import pytest

import fastnn
from fastnn import _core, ops
from fastnn.errors import ShapeError
from fastnn.tracing.variables import Scope


def n(x):
    return ops.shape(x)[0]


def square(x):
    return ops.matmul(x, ops.transpose(x))


#: What is done to x of shape (n, 3), n open.
CASES = {
    "median": lambda x: ops.median(x, axis=0),
    "median of all": ops.median,
    "median, kept": lambda x: ops.median(x, axis=0, keepdims=True),
    "quantile": lambda x: ops.quantile(x, 0.3, axis=0),
    "quantiles": lambda x: ops.quantile(x, [0.1, 0.9], axis=0, method="nearest"),
    "percentile of all": lambda x: ops.percentile(x, 75.0),
    "nanmedian": lambda x: ops.nanmedian(x, axis=0),
    "sparsemax": lambda x: ops.sparsemax(x, axis=0),
    "split": lambda x: ops.split(x, 2, axis=0),
    "vsplit": lambda x: ops.vsplit(x, 2),
    "array_split": lambda x: ops.array_split(x, 4, axis=0),
    "eye": lambda x: ops.eye(n(x)),
    "eye, wide": lambda x: ops.eye(n(x), n(x) + 2, k=1),
    "eye of numbers and a size": lambda x: ops.eye(3, n(x), k=-1, dtype="int32"),
    "identity": lambda x: ops.identity(n(x)),
    "tri": lambda x: ops.tri(n(x), k=-1),
    "meshgrid": lambda x: ops.meshgrid(x[:, 0], x[:, 1]),
    "meshgrid by rows": lambda x: ops.meshgrid(x[:, 0], [1.0, 2.0], indexing="ij"),
    "diagonal": lambda x: ops.diagonal(square(x)),
    "diagonal above": lambda x: ops.diagonal(square(x), offset=2),
    "diagonal below": lambda x: ops.diagonal(square(x), offset=-1),
    "trace": lambda x: ops.trace(square(x)),
    "diag": lambda x: ops.diag(x[:, 0]),
    "diag below": lambda x: ops.diag(x[:, 0], k=-1),
    "kron": lambda x: ops.kron(x, x),
    "linspace": lambda x: ops.linspace(-1.0, 2.0, n(x)),
    "linspace without its end": lambda x: ops.linspace(0.0, 1.0, n(x), endpoint=False),
    "linspace of vectors": lambda x: ops.linspace([0.0, 1.0], [1.0, 5.0], n(x), axis=1),
    "logspace": lambda x: ops.logspace(0.0, 2.0, n(x)),
}


def trace(f, shape):
    """The function of one array with open sizes that `f` is."""
    with Scope(training=False):
        feed = _core.placeholder(shape)
        out = f(feed)
    return _core.Function([feed], list(out) if isinstance(out, list | tuple) else [out])


def results(value):
    return [np.asarray(v) for v in (value if isinstance(value, list | tuple) else [value])]


@pytest.mark.parametrize("name", CASES)
def test_an_open_axis_gives_what_a_known_one_does(name, rng):
    f = CASES[name]
    traced = trace(f, (None, 3))
    for rows in (6, 4, 10, 2):
        x = rng.normal(size=(rows, 3)).astype("float32")
        if name == "nanmedian":
            x[1, 2] = np.nan
        got, want = results(traced(x)), results(f(x))
        assert len(got) == len(want)
        for a, b in zip(got, want, strict=True):
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
            np.testing.assert_allclose(a, b, rtol=2e-6, atol=2e-6)


def test_open_axes_in_functional_models_train_and_are_saved(tmp_path, rng):
    x = fastnn.Input((None, 3))
    centred = x - ops.median(x, axis=1, keepdims=True)
    first, second = ops.split(centred, 2, axis=1)
    mixed = ops.matmul(ops.eye(ops.shape(first)[1]), first) + second
    out = fastnn.layers.Dense(1)(ops.mean(mixed, axis=1))
    model = fastnn.Model(x, out)
    model.compile("sgd", "mse")
    for steps in (2, 6, 4):
        model.train_on_batch(rng.normal(size=(5, steps, 3)), np.ones((5, 1)))
    model.save(tmp_path / "m.safetensors")
    again = fastnn.models.load_model(tmp_path / "m.safetensors")
    data = rng.normal(size=(5, 8, 3)).astype("float32")
    np.testing.assert_array_equal(again.predict(data, verbose=0), model.predict(data, verbose=0))
    halves = data - np.median(data, axis=1, keepdims=True)
    want = (halves[:, :4] + halves[:, 4:]).mean(1) @ model.get_weights()[0]
    np.testing.assert_allclose(model.predict(data, verbose=0) - model.get_weights()[1], want,
                               rtol=1e-4, atol=1e-5)  # fmt: skip


def test_sections_that_are_not_equal_are_refused_once_the_size_is_known(rng):
    halves = trace(lambda x: ops.split(x, 2, axis=0), (None, 3))
    with pytest.raises(ShapeError, match=r"hint:"):
        halves(np.ones((5, 3), "float32"))


def test_a_diagonal_of_two_open_sizes_is_refused_as_its_length_is_not_known():
    with pytest.raises(ShapeError, match=r"diagonal.*length is not known\n  hint:"):
        trace(ops.diagonal, (None, None))


def test_rows_of_an_open_batch_are_shuffled_once_each(rng):
    shuffled = trace(lambda x: fastnn.random.shuffle(x, seed=3), (None, 2))
    seen = set()
    for rows in (7, 50, 1):
        x = np.arange(2.0 * rows, dtype="float32").reshape(rows, 2)
        got = np.asarray(shuffled(x))
        np.testing.assert_array_equal(got[np.argsort(got[:, 0])], x)
        assert rows == 1 or (got != x).any()
        seen.add(tuple(got[:, 0].argsort()[:3]))
    x = fastnn.Input((2,))
    model = fastnn.Model(x, fastnn.random.shuffle(x, seed=3))
    data = np.arange(40.0, dtype="float32").reshape(20, 2)
    got = model.predict(data, verbose=0)
    np.testing.assert_array_equal(np.sort(got, axis=0), data)


def test_a_diagonal_matrix_of_infinities_has_zeros_beside_them():
    x = np.array([np.inf, np.nan, 1.0], "float32")
    np.testing.assert_array_equal(ops.diag(x).numpy(), np.diag(x))
    np.testing.assert_array_equal(ops.diag(x, k=1).numpy(), np.diag(x, 1))
