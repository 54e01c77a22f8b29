"""`ops.linear_cross_entropy` gives the loss and gradients of the product that it never holds."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn
from fastnn import layers, ops


def _plain(x, w, y, b=None, transpose_kernel=False):
    z = ops.matmul(x, ops.transpose(w) if transpose_kernel else w)
    z = z if b is None else z + b
    return ops.sparse_categorical_crossentropy(y, z, from_logits=True)


def _case(lead, features, classes, transpose, seed=0):
    r = np.random.default_rng(seed)
    x = r.normal(size=(*lead, features)).astype("float32")
    w = r.normal(size=(features, classes)).astype("float32")
    y = r.integers(0, classes, size=lead).astype("int32")
    b = r.normal(size=classes).astype("float32")
    return x, (w.T.copy() if transpose else w), y, b


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize(
    ("lead", "features", "classes"),
    [
        ((5,), 3, 4),
        ((1,), 1, 1),
        ((0,), 3, 4),
        ((2, 3), 4, 5),
        ((2, 0), 4, 5),
        ((700,), 2, 33_000),  # blocks of 128 rows, of which the last is short
        ((3, 100), 2, 33_000),
    ],
)
def test_value_and_gradients_are_those_of_the_whole_product(
    lead, features, classes, with_bias, transpose
):
    x, w, y, b = _case(lead, features, classes, transpose)
    bias = b if with_bias else None
    weights = np.linspace(0.5, 1.5, max(1, int(np.prod(lead)))).astype("float32")
    weights = weights[: int(np.prod(lead))].reshape(lead)

    def total(loss):
        return lambda x, w, b: ops.sum(loss(x, w, y, b, transpose_kernel=transpose) * weights)

    got = ops.linear_cross_entropy(x, w, y, bias, transpose)
    np.testing.assert_allclose(got, _plain(x, w, y, bias, transpose), rtol=1e-5, atol=1e-5)
    wrt = (0, 1, 2) if with_bias else (0, 1)
    for f in (fastnn.grad, lambda g, argnums: fastnn.jit(fastnn.grad(g, argnums=argnums))):
        ours = f(total(ops.linear_cross_entropy), argnums=wrt)(x, w, bias)
        theirs = fastnn.grad(total(_plain), argnums=wrt)(x, w, bias)
        for a, e in zip(ours, theirs, strict=True):
            assert a.shape == e.shape
            np.testing.assert_allclose(a, e, rtol=2e-4, atol=2e-5)


class Reader(fastnn.Model):
    """A small language model whose loss is made of its features and its table."""

    def __init__(self, lean: bool):
        super().__init__()
        self.table = layers.Embedding(11, 4, embeddings_initializer="glorot_uniform")
        self.inner, self.lean = layers.GRU(4, return_sequences=True), lean

    def call(self, tokens, training=None):
        return self.inner(self.table(tokens))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=None):
        loss = ops.linear_cross_entropy if self.lean else _plain
        return ops.mean(loss(y_pred, self.table.embeddings, y, None, True))


def test_a_model_of_open_sizes_trains_as_with_the_whole_product():
    tokens = np.random.default_rng(0).integers(0, 11, size=(20, 7))
    histories = []
    for lean in (False, True):
        fastnn.utils.set_random_seed(3)
        model = Reader(lean)
        model.compile("adam")
        shown = model.fit(tokens[:, :-1], tokens[:, 1:], batch_size=8, epochs=3, verbose=0)
        model.fit(tokens[:, :4], tokens[:, 1:5], batch_size=8, verbose=0)
        histories.append(shown.history["loss"])
    np.testing.assert_allclose(*histories, rtol=1e-5)
    assert histories[1][-1] < histories[1][0]


def test_labels_outside_the_classes_are_refused():
    x, w, _, _ = _case((2,), 3, 4, transpose=False)
    for label in (4, -1):
        with pytest.raises(fastnn.DataError, match=rf"label {label} at position 1 .*\n +hint:"):
            ops.linear_cross_entropy(x, w, [0, label]).numpy()


@pytest.mark.parametrize(
    ("x", "w", "y"),
    [
        ((2, 3), (4, 3), (2,)),
        ((2, 3), (3,), (2,)),
        ((2, 3), (3, 4), (2, 1)),
        ((2, 3), (3, 4), (3,)),
    ],
)
def test_shapes_that_do_not_fit_are_told(x, w, y):
    with pytest.raises(fastnn.ShapeError, match=r"linear_cross_entropy: .* wanted .*\n +hint: "):
        ops.linear_cross_entropy(np.ones(x), np.ones(w), np.zeros(y, "int32"))


def test_a_functional_model_may_hold_it():
    x, y = fastnn.Input((3,)), fastnn.Input((), dtype="int32")
    w = np.arange(12, dtype="float32").reshape(3, 4)
    model = fastnn.Model([x, y], ops.linear_cross_entropy(x, w, y))
    data = np.eye(3, dtype="float32")
    got = model.predict([data, np.array([0, 1, 2])], verbose=0)
    np.testing.assert_allclose(got, _plain(data, w, np.array([0, 1, 2])), rtol=1e-5)
