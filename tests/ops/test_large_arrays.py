"""Rows that work by chunks give NumPy's result where there are many chunks, on 1 to 3 threads."""

import numpy as np
import pytest

import fastnn
from fastnn import ops

SHAPES = [(3, 70_000), (70_000, 3), (5, 40, 1100), (2, 30_001, 2), (40_000,)]
DTYPES = ["float32", "int32"]


@pytest.fixture(params=[1, 2, 3], ids="{} threads".format)
def threads(request):
    before = fastnn.get_num_threads()
    fastnn.set_num_threads(request.param)
    yield request.param
    fastnn.set_num_threads(before)


def numbers(shape, dtype):
    drawn = np.random.default_rng(len(shape)).integers(-50, 50, shape)
    return drawn.astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_running_sums(threads, shape, dtype):
    x = numbers(shape, dtype)
    for axis in range(len(shape)):
        expected = np.cumsum(x, axis, dtype=dtype)
        np.testing.assert_array_equal(np.asarray(ops.cumsum(x, axis)), expected)


@pytest.mark.parametrize("shape", [(3_000_000,), (1_000_000, 3)], ids=str)
def test_long_running_sums_of_fractions_do_not_drift(threads, shape):
    sums = np.asarray(ops.cumsum(np.full(shape, 0.1, "float32"), 0))
    expected = np.cumsum(np.full(shape, 0.1, "float32"), 0, dtype="float64")
    np.testing.assert_allclose(sums, expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_elements_by_index_along_an_axis(threads, shape, dtype):
    x = numbers(shape, dtype)
    for axis, n in enumerate(shape):
        ids = np.random.default_rng(axis).integers(-n, n, shape).astype("int32")
        got = ops.take_along_axis(x, ids, axis)
        np.testing.assert_array_equal(np.asarray(got), np.take_along_axis(x, ids, axis))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_gradient_of_elements_by_index(threads, shape):
    x, up = numbers(shape, "float32"), numbers(shape, "float32")
    for axis, n in enumerate(shape):
        ids = np.random.default_rng(axis).integers(-n, n, shape).astype("int32")
        got = fastnn.grad(lambda v, i=ids, a=axis: ops.sum(ops.take_along_axis(v, i, a) * up))(x)
        expected = np.zeros_like(x)
        places = list(np.indices(shape))
        places[axis] = ids % n
        np.add.at(expected, tuple(places), up)
        np.testing.assert_array_equal(np.asarray(got), expected)


def test_the_first_of_several_indices_outside_is_named(threads):
    ids = np.zeros((3, 70_000), "int32")
    ids[2, 5], ids[1, 69_999], ids[1, 69_000] = 7, 8, -9
    with pytest.raises(fastnn.DataError, match=r"index -9 at position \[1, 69000\]"):
        np.asarray(ops.take_along_axis(np.ones((3, 3), "float32"), ids, 1))


@pytest.mark.parametrize("dtype", [*DTYPES, "float16", "int8"])
@pytest.mark.parametrize("widths", [(1, 1), (1, 2, 4), (3, 5), (40_000, 1)], ids=str)
def test_arrays_side_by_side(threads, widths, dtype):
    for rows in (1, 50_000 // max(widths) + 1):
        parts = [numbers((rows, w), dtype) for w in widths]
        for axis in (0, 1):
            chosen = parts if axis else [p[:, :1] for p in parts]
            got = ops.concatenate([ops.convert_to_tensor(p) for p in chosen], axis)
            expected = np.concatenate(chosen, axis)
            np.testing.assert_array_equal(np.asarray(got).astype(dtype), expected)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_padding(threads, shape):
    x = numbers(shape, "float32")
    widths = [(i + 1, 2 * i) for i in range(len(shape))]
    got = ops.pad(x, widths, constant_values=3)
    np.testing.assert_array_equal(np.asarray(got), np.pad(x, widths, constant_values=3))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_gradient_of_slices(threads, shape):
    x = numbers(shape, "float32")
    for part in (slice(1, None), slice(None, None, -1), slice(1, None, 2), slice(-1, 0, -3)):
        for axis in range(len(shape)):
            where = (slice(None),) * axis + (part,)
            up = np.arange(x[where].size, dtype="float32").reshape(x[where].shape)
            got = fastnn.grad(lambda v, w=where, u=up: ops.sum(v[w] * u))(x)
            expected = np.zeros_like(x)
            expected[where] = up
            np.testing.assert_array_equal(np.asarray(got), expected)


def test_counts_beyond_what_a_float_counts_are_exact():
    x = np.ones(2**24 + 3, "int32")
    np.testing.assert_array_equal(np.asarray(ops.bincount(x)), [0, 2**24 + 3])
    rows = np.array([[0, 2, 2], [1, 1, 1]])
    np.testing.assert_array_equal(np.asarray(ops.bincount(rows)), [[1, 0, 2], [0, 3, 0]])
    assert ops.bincount(np.zeros((0, 3), "int32"), minlength=2).shape == (0, 2)
