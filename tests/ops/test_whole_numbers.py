"""Whole numbers stay whole, and exact, where float32 would round them."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn
from fastnn import ops
from fastnn.errors import DataError

BIG = 2**24 + 1


def both(f, *args):
    """What `f` gives as it is and compiled, which must agree."""
    result, compiled = f(*args), fastnn.jit(f)(*args)
    assert result.dtype == compiled.dtype
    np.testing.assert_array_equal(result, compiled)
    return result


def test_operators_keep_products_and_powers_of_whole_numbers():
    row, column = fastnn.tensor([[BIG, 1]]), fastnn.tensor([[1], [1]])
    product = both(lambda a, b: a @ b, row, column)
    assert (product.dtype, product.tolist()) == ("int32", [[BIG + 1]])
    assert (np.array([[1, 2]], np.int32) @ column).tolist() == [[3]]
    power = both(lambda a, b: a**b, fastnn.tensor([4097, 3]), fastnn.tensor([2, 2]))
    assert (power.dtype, power.tolist()) == ("int32", [4097**2, 9])
    assert (2 ** fastnn.tensor([3, 25])).tolist() == [8, 2**25]
    for x in (fastnn.tensor([3]) ** 0.5, 2.0 ** fastnn.tensor([3]), fastnn.tensor([3]) ** -1):
        assert x.dtype == "float32"


def test_the_operator_of_products_takes_vectors():
    v, m = fastnn.tensor([1.0, 2.0]), fastnn.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert both(lambda a, b: a @ b, v, v).numpy() == 5.0
    assert (m @ v).tolist() == [5.0, 11.0]
    assert (v @ m).tolist() == [7.0, 10.0]
    assert ([1.0, 2.0] @ m).tolist() == [7.0, 10.0]
    assert (np.ones((3, 2), np.float32) @ v).tolist() == [3.0, 3.0, 3.0]
    gradient = fastnn.grad(lambda v: ops.sum(m @ v))(np.array([1.0, 2.0]))
    assert gradient.tolist() == [4.0, 6.0]
    with pytest.raises(fastnn.ShapeError, match=r"matmul: .*\n +hint: "):
        v @ 3


@pytest.mark.parametrize("rows", [0, 1, 70_000])
def test_sums_at_positions_are_exact(rows):
    draw = np.random.default_rng(0)
    x = draw.integers(-(2**31), 2**31, size=(rows, 2)).astype(np.int32)
    ids = draw.integers(0, 3, size=rows).astype(np.int32)
    want = np.zeros((3, 2), np.int64)
    np.add.at(want, ids, x)
    want = want.astype(np.int32)  # sums beyond int32 wrap around
    got = both(lambda x, ids: ops.segment_sum(x, ids, num_segments=3), x, ids)
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(ops.scatter(ids[:, None], x, (3, 2)), want)
    table = np.full((3, 2), BIG, np.int32)
    updated = ops.scatter_update(table, ids[:, None], x, reduction="add")
    np.testing.assert_array_equal(updated, want + table)


def test_weighted_counts_of_whole_numbers_are_exact():
    counts = ops.bincount([0, 0, 1], weights=[BIG, 1, 3])
    assert (counts.dtype, counts.tolist()) == ("int32", [BIG + 1, 3])


def test_a_model_of_whole_numbers_keeps_them_after_a_call_with_floats():
    tokens = fastnn.Input((1,), dtype="int32")
    model = fastnn.Model(tokens, ops.cast(tokens - BIG, "float32"))
    for first in (model.predict, model):
        first(np.ones((1, 1), np.float32))  # what is traced for floats is no trace for these:
        assert float(model(np.array([[BIG + 2]]))[0, 0]) == 2.0
        assert float(model(fastnn.tensor([[BIG + 2]]))[0, 0]) == 2.0
        assert model.predict(np.array([[BIG + 2]]), verbose=0).tolist() == [[2.0]]


def test_floats_given_to_an_input_of_whole_numbers_are_exact_or_refused():
    tokens = fastnn.Input((1,), dtype="int64", name="q")
    model = fastnn.Model(tokens, tokens % 10)
    x = np.array([[BIG], [BIG + 2]], np.float64)
    ways = (model, lambda x: model.predict(x, verbose=0), model.predict_on_batch)
    for f in (*ways, fastnn.Predictor(model)):
        for given in (x, x.tolist(), {"q": x}):
            got = f(given)
            assert (str(got.dtype), np.asarray(got).tolist()) == ("int32", [[7], [9]])
    with pytest.raises(DataError, match="may have rounded"):  # batches are float32 as they come
        model.predict(iter([(x,)]), verbose=0)


def test_sums_and_products_of_truth_values_are_truth_values():
    a, b = np.array([True, True, False]), np.array([True, False, False])
    x, y = ops.convert_to_tensor(a), ops.convert_to_tensor(b)
    results = [x + y, x * y, ops.add(x, b), True + x]
    for got, wanted in zip(results, [a + b, a * b, a + b, True + a], strict=True):
        assert got.dtype == "bool"
        np.testing.assert_array_equal(got, wanted)
    assert (x + 1).dtype == ops.sum(x).dtype == "int32"
    symbol = fastnn.Input((3,), dtype="bool")
    assert (symbol * symbol).dtype == "bool"


def _ways(model):
    """Every way from arrays to what a model gives."""
    return [
        model,
        lambda x: model(ops.convert_to_tensor(x)),
        lambda x: model.predict(x, verbose=0),
        lambda x: model.predict(iter([(np.asarray(x),)]), verbose=0),
        model.predict_on_batch,
        fastnn.Predictor(model),
    ]


def test_an_input_of_truth_values_counts_every_number_but_zero_as_true():
    flags = fastnn.Input((2,), dtype="bool")
    model = fastnn.Model(flags, ops.cast(flags, "float32") * 2.0)
    for f in _ways(model):
        for x in ([[8, 0]], np.array([[3.7, 0.0]]), np.array([[True, False]])):
            assert np.asarray(f(np.asarray(x))).tolist() == [[2.0, 0.0]]
    model.compile("sgd", "mse")
    wanted = np.array([[2.0, 0.0]], np.float32)
    assert model.evaluate(np.array([[8, 0]]), wanted, verbose=0) == 0.0
    assert model.evaluate(iter([(np.array([[8.0, 0.0]]), wanted)]), verbose=0) == 0.0


@pytest.mark.parametrize(
    ("dtype", "odd"), [("uint8", 300), ("uint8", -1), ("int8", 128), ("uint8", 3.7), ("int32", 3.7)]
)
def test_numbers_that_a_whole_input_does_not_hold_are_refused_on_every_way(dtype, odd):
    numbers = fastnn.Input((2,), dtype=dtype)
    model = fastnn.Model(numbers, ops.cast(numbers, "float32") * 2.0)
    for f in _ways(model):
        assert np.asarray(f(np.array([[5.0, 100.0]], np.float32))).tolist() == [[10.0, 200.0]]
        with pytest.raises(DataError, match=r"holds .* whole numbers"):
            f(np.array([[1, odd]]))
        if isinstance(odd, float):
            with pytest.raises(DataError, match=r"holds .* whole numbers"):
                f(np.array([[1, odd]], np.float32))


def test_products_of_segments_stay_whole_beyond_what_floats_hold():
    large = np.array([16777217, 3, 5], np.int32)  # 2^24 + 1 has no float32
    found = ops.segment_prod(large, np.array([0, 0, 2]), num_segments=3)
    assert found.dtype == "int32"
    assert found.numpy().tolist() == [50331651, 1, 5]
    written = ops.scatter_update(
        np.array([1, 2], np.int32), np.array([[0], [0]]), large[:2], reduction="mul"
    )
    assert written.numpy().tolist() == [50331651, 2]


def test_whole_steps_between_two_values_are_rounded_down_as_numpy_does():
    for kind in ("int32", "int8"):
        wanted = np.linspace(-2.0, 1.0, 8, dtype=kind)
        np.testing.assert_array_equal(ops.linspace(-2.0, 1.0, 8, dtype=kind).numpy(), wanted)


def test_a_product_in_a_storage_type_keeps_its_fractions():
    for kind in ("float16", "bfloat16", "float32"):
        assert float(ops.prod(np.array([1.5, 2.5], "float32"), dtype=kind)) == 3.75
    assert int(ops.prod(np.array([2, 3]), dtype="uint8")) == 6
