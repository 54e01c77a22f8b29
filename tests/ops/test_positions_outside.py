"""Positions and class numbers outside an array are refused by eager calls and traced ones alike."""

import numpy as np
import pytest

import fastnn
from fastnn import layers, losses, ops

LABELS = np.array([0, 1, -1, 2])
SCORES = np.array([[0.2, 0.3, 0.5]] * 4, "float32")


@pytest.mark.parametrize("place", [(0, 4), (3, 0), (0, -5), (-4, 0)], ids=str)
@pytest.mark.parametrize("reduction", [None, "add", "max"])
def test_a_scatter_outside_of_one_axis_is_refused_also_where_the_flat_array_has_it(
    place, reduction
):
    def put(ids, values):
        return ops.scatter_update(np.zeros((3, 4), "float32"), ids, values, reduction)

    for call in (put, fastnn.jit(put)):
        with pytest.raises(fastnn.errors.DataError, match="out"):
            np.asarray(call(np.array([place], "int32"), np.ones(1, "float32")))


@pytest.mark.parametrize("place", [(0, 3), (-1, -1), (2, -4)], ids=str)
def test_a_traced_scatter_puts_values_where_numpy_does(place):
    want = np.zeros((3, 4), "float32")
    want[place] = 2.0
    ids, values = np.array([place], "int32"), np.array([2.0], "float32")
    table = np.zeros((3, 4), "float32")
    for call in (lambda f: f, fastnn.jit):
        got = call(lambda i, v: ops.scatter(i, v, (3, 4)))(ids, values)
        np.testing.assert_array_equal(got, want)
        got = call(lambda i, v: ops.scatter_update(table, i, v))(ids, values)
        np.testing.assert_array_equal(got, want)


def test_a_scatter_into_more_positions_than_indices_count_is_refused():
    with pytest.raises(fastnn.errors.ShapeError, match=r"4,900,000,000 positions"):
        ops.scatter(np.array([[69_999, 0]]), np.ones(1), (70_000, 70_000))


@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("bad", [-1, 3, 1.5, np.nan])
def test_the_cross_entropy_of_a_number_of_no_class_is_refused_or_nan(bad, logits):
    labels = np.array([0, 1, bad, 2])
    with pytest.raises(fastnn.errors.DataError, match="wanted class numbers 0…2"):
        ops.sparse_categorical_crossentropy(labels, SCORES, logits)
    if bad in (-1, 3):
        traced = fastnn.jit(lambda y, p: ops.sparse_categorical_crossentropy(y, p, logits))
        got = np.asarray(traced(labels.astype("int32"), SCORES))
        assert np.isnan(got).tolist() == [False, False, True, False]


@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("way", ["arrays", "generator", "evaluate", "batch", "call"])
def test_labels_of_no_class_may_have_weight_0_with_probabilities_and_with_logits(way, logits):
    x, weights = np.ones((4, 2), "float32"), np.array([1.0, 1.0, 0.0, 1.0], "float32")
    last = layers.Dense(3, None if logits else "softmax")
    model = fastnn.Sequential([fastnn.Input((2,)), last])
    loss = losses.SparseCategoricalCrossentropy(from_logits=logits)
    model.compile(fastnn.optimizers.SGD(0.0), loss)
    keep = weights > 0
    want = float(np.sum(loss(LABELS[keep], model(x[keep])).numpy()) * 3 / 4)
    found = {
        "arrays": lambda: model.fit(x, LABELS, sample_weight=weights, verbose=0).history["loss"],
        "generator": lambda: model.fit(iter([(x, LABELS, weights)]), verbose=0).history["loss"],
        "evaluate": lambda: model.evaluate(x, LABELS, sample_weight=weights, verbose=0),
        "batch": lambda: model.train_on_batch(x, LABELS, sample_weight=weights),
        "call": lambda: loss(LABELS, model(x), sample_weight=weights).numpy(),
    }[way]()
    assert float(np.ravel(found)[0]) == pytest.approx(want, rel=1e-5)
    weights[2] = 1.0
    with pytest.raises(fastnn.errors.DataError, match="class -1"):
        model.train_on_batch(x, LABELS, sample_weight=weights)


@pytest.mark.parametrize("q", [-0.1, 1.5, [0.5, 2.0]], ids=str)
@pytest.mark.parametrize("name", ["quantile", "nanquantile", "percentile", "nanpercentile"])
def test_a_quantile_outside_of_0_to_1_is_refused(name, q):
    scale = 100.0 if "percentile" in name else 1.0
    with pytest.raises(ValueError, match="hint"):
        getattr(ops, name)(np.ones(3), np.multiply(q, scale))


@pytest.mark.parametrize("offset", [4, -3, 100, -100])
def test_a_diagonal_outside_of_the_matrix_is_empty(offset):
    x = np.ones((2, 3, 4), "float32")
    got = np.asarray(ops.diagonal(x, offset, 1, 2))
    np.testing.assert_array_equal(got, np.diagonal(x, offset, 1, 2))
