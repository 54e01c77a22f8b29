"""Ops with several results: sort and top_k, whose order, ties and NaN are those of NumPy, and the
parts themselves, which cost nothing unless they are read and are computed once."""

import threading

import numpy as np
import pytest

import fastnn
from fastnn import ShapeError, _core, ops

NAN, INF = np.nan, np.inf


def arrays(*tensors):
    return [np.asarray(t) for t in tensors]


# ---- top_k -------------------------------------------------------------------------------------


def test_top_k_never_repeats_a_position():
    values, places = arrays(*ops.top_k(np.array([-INF, -INF, 1], "f"), k=3))
    assert values.tolist() == [1, -INF, -INF]
    assert places.tolist() == [2, 0, 1]


@pytest.mark.parametrize("n", [1, 2, 31, 33, 1000, 5000])
@pytest.mark.parametrize("kind", ["floats", "few values", "specials", "integers"])
def test_top_k_takes_the_largest_first_and_of_equals_the_first(n, kind, rng):
    x = {
        "floats": lambda: rng.normal(size=(3, n)).astype("f"),
        "few values": lambda: rng.integers(0, 3, (3, n)).astype("f"),
        "specials": lambda: rng.choice(
            np.array([NAN, INF, -INF, 0.0, -0.0, 1e-40, 1], "f"), (3, n)
        ),
        "integers": lambda: rng.integers(-(2**31), 2**31, (3, n)).astype("i4"),
    }[kind]()
    order = np.argsort(-x.astype("f8"), -1, kind="stable")
    number = ~np.isnan(np.take_along_axis(x, order, -1))  # these come after NaN
    order = np.take_along_axis(order, np.argsort(number, -1, kind="stable"), -1)
    for k in {0, 1, min(n, 32), min(n, 33), n}:
        values, places = arrays(*ops.top_k(x, k))
        assert places.dtype == np.int32
        assert values.dtype == x.dtype
        assert np.array_equal(places, order[:, :k]), k
        assert np.array_equal(values, np.take_along_axis(x, order[:, :k], -1), equal_nan=True)


@pytest.mark.parametrize("k", [-1, 4, 10**6])
def test_top_k_refuses_more_than_there_are(k):
    with pytest.raises(ShapeError, match=rf"k is {k}, wanted 0 to 3.*\n  hint: "):
        ops.top_k(np.ones((2, 3), "f"), k)


def test_top_k_refuses_a_scalar():
    with pytest.raises(ShapeError, match="scalar"):
        ops.top_k(1.0, 1)


def test_the_gradient_of_top_k_goes_to_the_chosen_elements():
    x = np.array([[0.1, 0.7, 0.2], [3.0, 1.0, 2.0]], "f")
    slopes = fastnn.grad(lambda x: ops.sum(ops.top_k(x, 2)[0] * np.array([10.0, 1.0], "f")))(x)
    assert np.asarray(slopes).tolist() == [[0, 10, 1], [10, 0, 1]]


def test_in_top_k_counts_ties_and_knows_what_is_no_class():
    p = np.array([[0.1, 0.7, 0.2], [1, 1, 0], [NAN, 1, 2], [-INF, -INF, 1], [1, NAN, 2]], "f")

    def inside(targets, k):
        return np.asarray(ops.in_top_k(np.array(targets), p, k)).tolist()

    assert inside([1, 0, 0, 2, 2], 1) == [True, True, False, True, True]
    assert inside([2, 1, 2, 2, 0], 1) == [False, True, True, True, False]
    assert inside([2, 2, 1, 0, 1], 2) == [True, False, True, False, False]
    assert inside([0, 2, 2, 1, 0], 10) == [True, True, True, False, True]
    assert inside([3, -1, 5, 2, -3], 10) == [False, False, False, True, False]
    assert inside([0, 0, 1, 2, 0], 0) == [False] * 5


# ---- sort --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(0,), (1,), (1000,), (3, 50), (4, 0, 2), (2, 3, 4)])
def test_sort_and_argsort_are_those_of_numpy(shape, rng):
    pool = np.array([NAN, INF, -INF, 0.0, -0.0, 1e-40, -1e-40, 3.5, -2], "f")
    for x in (rng.choice(pool, shape), rng.integers(-3, 3, shape).astype("i4")):
        for axis in (*range(-len(shape), len(shape)), None):
            got = np.asarray(ops.sort(x, axis=axis))
            assert np.array_equal(got, np.sort(x, axis, kind="stable"), equal_nan=True)
            assert got.dtype == x.dtype
            places = np.asarray(ops.argsort(x, axis=axis))
            assert places.dtype == np.int32
            assert np.array_equal(places, np.argsort(x, axis, kind="stable"))


def test_the_gradient_of_sort_goes_through_the_permutation(rng):
    x = rng.normal(size=(3, 7)).astype("f")
    weights = rng.normal(size=(3, 7)).astype("f")
    slopes = np.asarray(fastnn.grad(lambda x: ops.sum(ops.sort(x, axis=0) * weights))(x))
    wanted = np.zeros_like(x)
    np.put_along_axis(wanted, np.argsort(x, 0), weights, 0)
    assert np.array_equal(slopes, wanted)


# ---- parts -------------------------------------------------------------------------------------


def test_results_are_read_in_any_order_and_alone(rng):
    x = rng.normal(size=(4, 9)).astype("f")
    order = np.argsort(x, -1)
    for first, second in ((0, 1), (1, 0)):
        results = _core.ops.sort(x + 0.0)
        np.asarray(results[first])
        np.asarray(results[second])
        assert np.array_equal(np.asarray(results[0]), np.sort(x, -1))
        assert np.array_equal(np.asarray(results[1]), order)
    for which in (0, 1):  # the other one is dropped unread
        only = _core.ops.sort(x + 0.0)[which]
        assert np.array_equal(np.asarray(only), (np.sort(x, -1), order)[which])


def test_results_of_one_op_meet_again_in_one_graph(rng):
    x = rng.normal(size=(4, 9)).astype("f")
    values, places = _core.ops.sort(x)
    again = _core.ops.take_along_axis(x, places, axis=-1) - values
    np.asarray(values)  # read in between: the other result is still to be had
    assert np.abs(np.asarray(again)).max() == 0
    assert np.array_equal(np.asarray(places), np.argsort(x, -1))


def test_a_result_that_nobody_reads_has_no_memory():
    x = _core.placeholder((64, 1000), "float32")
    values, places = _core.ops.sort(x)
    function = _core.Function([x], [_core.ops.sum(values)])
    function(np.ones((64, 1000), "f"))
    (line,) = [s for s in function.steps.splitlines() if "kernel  sort" in s]
    assert line.endswith("unread")
    only = _core.Function([x], [_core.ops.sum(places)])
    only(np.ones((64, 1000), "f"))
    (line,) = [s for s in only.steps.splitlines() if "kernel  sort" in s]
    assert "-> unread Arena" in line


def test_gradients_see_all_results(rng):
    """A second derivative, and a gradient beside integer results, which have none."""
    x = rng.normal(size=(6,)).astype("f")

    def f(x):
        values, places = ops.top_k(x, 3)
        return ops.sum(values**3) + ops.sum(ops.cast(places, "float32"))

    top = np.argsort(-x)[:3]
    slopes = np.asarray(fastnn.grad(f)(x))
    wanted = np.zeros(6)
    wanted[top] = 3 * x[top] ** 2
    assert slopes == pytest.approx(wanted, rel=1e-5)
    curved = np.asarray(fastnn.grad(lambda x: ops.sum(fastnn.grad(f)(x)))(x))
    wanted[top] = 6 * x[top]
    assert curved == pytest.approx(wanted, rel=1e-5)


def test_several_threads_read_results_of_one_op(rng):
    x = rng.normal(size=(40, 30)).astype("f")
    wanted = np.sort(x, -1), np.argsort(x, -1)
    wrong = []
    for _ in range(30):
        results = _core.ops.sort(x + 0.0)

        def read(which, results=results):
            if not np.array_equal(np.asarray(results[which]), wanted[which]):
                wrong.append(which)

        threads = [threading.Thread(target=read, args=(i % 2,)) for i in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    assert not wrong


def test_a_model_with_several_results_is_saved_and_run(tmp_path, rng):
    inputs = fastnn.Input((8,))
    values, places = ops.top_k(inputs, 3)
    model = fastnn.Model(inputs, [values, places])
    x = rng.normal(size=(5, 8)).astype("f")
    wanted = [np.asarray(a) for a in model.predict(x, verbose=0)]
    model.save(tmp_path / "m.safetensors")
    file = _core.Model.load(tmp_path / "m.safetensors")
    again = fastnn.load_model(tmp_path / "m.safetensors").predict(x, verbose=0)
    for got in (file.predict(x), again):
        for a, b in zip(got, wanted, strict=True):
            assert np.array_equal(np.asarray(a), b)
    assert np.array_equal(wanted[1], np.argsort(-x, -1)[:, :3])


@pytest.mark.parametrize("lie", [b'"index":9', b'"index":0', b'"index":-'])
def test_a_file_that_names_a_result_there_is_not_is_refused(tmp_path, lie):
    inputs = fastnn.Input((8,))
    model = fastnn.Model(inputs, ops.top_k(inputs, 3)[1])
    path = tmp_path / "m.safetensors"
    model.save(path)
    data = path.read_bytes()
    true = next(t for t in (b'"index":1', b'\\"index\\":1') if t in data)
    lie = lie if true[:1] == b'"' else lie.replace(b'"', b'\\"')
    path.write_bytes(data.replace(true, lie))
    with pytest.raises(fastnn.FormatError):
        _core.Model.load(path)


def test_an_axis_without_elements_has_as_many_parts_as_are_asked_for():
    x = np.zeros((0, 4), "float32")
    assert [part.shape for part in ops.split(x, 2)] == [(0, 4), (0, 4)]
    assert ops.glu(x, axis=0).shape == (0, 4)
