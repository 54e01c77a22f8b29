"""What `fastnn._core` promises at the door: conversions, sharing, lifetimes, threads, stops."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastnn import _core

ops = _core.ops


def rss() -> int:
    """Resident bytes of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def linear(width: int = 3, units: int = 2) -> tuple[_core.Function, _core.Variable]:
    """x @ w with w of ones."""
    x = _core.placeholder((None, width), name="x")
    w = _core.Variable(np.ones((width, units), np.float32), name="w")
    return _core.Function([x], [x @ w.traced()]), w


def training_loop(rows: int = 64, width: int = 8) -> tuple[_core.Loop, list[Any], _core.Variable]:
    """Least squares by gradient steps, with the mean loss as result."""
    rng = np.random.default_rng(0)
    data = rng.normal(size=(rows, width)).astype(np.float32)
    target = data.sum(axis=1, keepdims=True)
    x = _core.placeholder((None, width), name="x")
    y = _core.placeholder((None, 1), name="y")
    w = _core.Variable(np.zeros((width, 1), np.float32), name="w")
    total, count = (_core.Variable(np.float32(0), name=n) for n in ("total", "count"))
    leaf = w.traced()
    loss = ops.mean(ops.square(x @ leaf - y))
    (grad,) = _core.gradients(loss, [leaf])
    updates = [
        (w, leaf - 0.05 * grad),
        (total, total.traced() + loss),
        (count, count.traced() + 1.0),
    ]
    step = _core.Function([x, y], [], updates)
    results = _core.Function([], [total.traced() / count.traced()])
    return _core.Loop(step, results, [total, count]), [data, target], w


# ---- conversions -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "dtype", "wanted"),
    [
        (1.5, "float32", 1.5),
        (7, "int32", 7),
        (True, "bool", True),
        ([[1, 2], [3, 4]], "int32", [[1, 2], [3, 4]]),
        ([1.0, 2], "float32", [1.0, 2.0]),
        (np.float64(2.5), "float32", 2.5),
        (np.arange(3, dtype=np.int64), "int32", [0, 1, 2]),
        (np.arange(3, dtype=np.uint8), "int32", [0, 1, 2]),
        (np.array([0.5, 65504.0], np.float16), "float32", [0.5, 65504.0]),
        (np.array([True, False]), "bool", [True, False]),
        (np.zeros((0, 4)), "float32", []),
        (np.float32(3.0), "float32", 3.0),
        (range(4), "int32", [0, 1, 2, 3]),
    ],
)
def test_values_become_tensors_of_the_nearest_type(value: Any, dtype: str, wanted: Any) -> None:
    t = _core.tensor(value)
    assert t.dtype == dtype
    assert t.tolist() == wanted


def test_strided_reversed_and_transposed_arrays_are_copied_in_order() -> None:
    a = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    for view in (a[:, ::2], a[::-1], a.T, a[:, :, 1], np.broadcast_to(a[:1, :1], (5, 3, 4))):
        np.testing.assert_array_equal(_core.tensor(view).numpy(), view)


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        (np.array([[1, 2], [3, 2**31]]), ["2147483648", "(1, 1)", "int32"]),
        (np.array([1, -(2**31) - 1]), ["-2147483649", "position 1"]),
        (2**40, [str(2**40), "int32"]),
        ("text", ["text", "hint"]),
        (b"bytes", ["text", "hint"]),
        (np.array(["a", "b"]), ["text", "hint"]),
        (np.array([object()]), ["objects", "hint"]),
        (np.array([1j]), ["complex", "hint"]),
        (np.arange(3).astype(">i4"), ["big-endian", "hint"]),
        ([[1, 2], [3]], ["list", "hint"]),
        (object(), ["object"]),
    ],
)
def test_what_cannot_be_a_tensor_is_refused_with_a_reason(value: Any, texts: list[str]) -> None:
    with pytest.raises(_core.DataError) as error:
        _core.tensor(value)
    for text in texts:
        assert text in str(error.value)


def test_nan_has_no_integer() -> None:
    with pytest.raises(_core.DataError, match="position 1"):
        _core.tensor(np.array([1.0, np.nan]), dtype="int32")
    assert _core.tensor(np.array([1.9, -1.9]), dtype="int32").tolist() == [1, -1]


def test_a_tensor_is_a_copy_unless_sharing_is_asked_for() -> None:
    a = np.zeros(4, np.float32)
    copied, shared = _core.tensor(a), _core.tensor(a, copy=False)
    a[0] = 5
    assert copied.tolist()[0] == 0
    assert shared.tolist()[0] == 5
    assert np.asarray(shared).ctypes.data == a.ctypes.data
    with pytest.raises(_core.DataError, match="copy"):
        _core.tensor(a.astype(np.float64), copy=False)


def test_exceptions_belong_to_the_builtin_families() -> None:
    for name, base in [("ShapeError", ValueError), ("DataError", ValueError),
                       ("TraceError", RuntimeError), ("DeviceError", RuntimeError),
                       ("FormatError", ValueError), ("InternalError", RuntimeError)]:  # fmt: skip
        error = getattr(_core, name)
        assert issubclass(error, base)
        assert issubclass(error, _core.FastnnError)


# ---- arrays out ------------------------------------------------------------------------------


def test_an_array_of_a_tensor_is_a_view_that_cannot_write() -> None:
    t = _core.tensor(np.arange(6, dtype=np.float32).reshape(2, 3)) + 1.0
    a, b = np.asarray(t), np.asarray(t)
    assert a.ctypes.data == b.ctypes.data
    assert not a.flags.writeable
    assert np.array(t).flags.writeable
    kept = np.asarray(t)
    del t, a, b
    gc.collect()
    np.testing.assert_array_equal(kept, [[1, 2, 3], [4, 5, 6]])


def test_views_keep_what_they_read_and_stay_read_only() -> None:
    view = np.asarray(_core.tensor(np.arange(6, dtype=np.float32).reshape(2, 3)) + 1.0)
    with pytest.raises(ValueError, match="WRITEABLE"):
        view.flags.writeable = True
    gc.collect()
    np.ones((64, 64), np.float32) + 1  # what was let go would be written over
    np.testing.assert_array_equal(view[1:].T.copy(), [[4], [5], [6]])
    assert view.flags.c_contiguous
    assert view.flags.aligned
    assert not view.flags.owndata


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1, 1, 1, 1, 1, 1, 1, 2)])
@pytest.mark.parametrize("dtype", ["float32", "int32", "float16", "int8", "uint8", "bool"])
def test_views_have_the_shape_and_type_of_the_tensor(shape: tuple, dtype: str) -> None:
    given = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    view = np.asarray(_core.tensor(given, dtype=dtype))
    assert (view.shape, view.dtype) == (given.shape, given.dtype)
    assert view.flags.c_contiguous
    np.testing.assert_array_equal(view, given)


def test_without_numpys_table_views_come_through_the_buffer_protocol(run_python) -> None:
    told = run_python(
        "import numpy as np\n"
        "from numpy._core import _multiarray_umath as inside\n"
        "del inside._ARRAY_API\n"
        "import fastnn\n"
        "view = np.asarray(fastnn.tensor([[1.0, 2.0]]) * 2.0)\n"
        "print(view.tolist(), view.flags.writeable, type(view.base).__name__)\n"
    )
    assert told.strip() == "[[2.0, 4.0]] False memoryview"


SHAPES = [(), (0,), (5,), (3, 0, 2), (64, 65), (300, 100), (600, 1800), (1, 1, 1, 1, 1, 1, 1, 2)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "dtype", ["float32", "int32", "float16", "int8", "uint8", "bool", "bfloat16"]
)
def test_numpy_is_the_callers_own_whether_the_tensor_lives_on_or_not(shape, dtype) -> None:
    x = _core.tensor(np.arange(np.prod(shape, dtype=int)).reshape(shape) % 7, dtype=dtype)
    kept = _core.ops.transpose(x)
    wanted = np.array(kept)
    of_kept, of_none = kept.numpy(), _core.ops.transpose(x).numpy()
    assert type(of_kept) is type(of_none) is type(wanted[()])
    for got in (of_kept, of_none):
        assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype)
        np.testing.assert_array_equal(got, wanted)
    if shape:
        assert of_kept.flags.writeable
        assert of_none.flags.writeable
        of_kept[...] = of_none[...] = 1
    np.testing.assert_array_equal(kept.numpy(), wanted)


def test_a_bound_method_gives_the_same_values_each_time() -> None:
    x = _core.tensor(np.arange(6, dtype=np.float32))
    key = _core.tensor(np.array([1, 2, 3, 0], np.int32))
    drawn = _core.ops.random_uniform(key, shape=(4,))
    for read in (_core.ops.exp(x).numpy, ((x + 1.0) * 2.0).numpy, drawn.numpy):
        first = read()
        wanted = first.copy()
        first[:] = 7
        np.testing.assert_array_equal(read(), wanted)


def test_what_others_hold_is_computed_once_beside_what_numpy_is_asked_of() -> None:
    x = _core.tensor(np.arange(3, dtype=np.float32))
    held = x * 3.0
    got = (held + 1.0).numpy()
    got[:] = 0
    np.testing.assert_array_equal(np.asarray(held), [0, 3, 6])
    values, places = _core.ops.top_k(x, k=2)
    values.numpy()[:] = 0
    del values
    np.testing.assert_array_equal(places.numpy(), [2, 1])
    np.testing.assert_array_equal(_core.ops.top_k(x, k=2)[0].numpy(), [2, 1])


def test_a_traced_tensor_has_no_array() -> None:
    for shape in ((2, 3), (None, 3), ()):
        with pytest.raises(_core.TraceError, match="being traced"):
            _core.ops.exp(_core.placeholder(shape)).numpy()


def test_without_numpys_table_arrays_are_the_callers_own_too(run_python) -> None:
    told = run_python(
        "import numpy as np\n"
        "from numpy._core import _multiarray_umath as inside\n"
        "del inside._ARRAY_API\n"
        "import fastnn\n"
        "x = fastnn.tensor([[1.0, 2.0]])\n"
        "a = (x * 2.0).numpy()\n"
        "a += 1\n"
        "print(a.tolist(), a.flags.owndata, (x.numpy() * 2).tolist())\n"
        "print(repr(fastnn.ops.sum(x).numpy()))\n"
    )
    assert told.strip() == f"[[3.0, 5.0]] True [[2.0, 4.0]]\n{np.float32(3.0)!r}"


def test_array_protocol_honours_dtype_and_copy() -> None:
    t = _core.tensor([1.0, 2.0])
    assert np.asarray(t, dtype=np.float64).dtype == np.float64
    assert np.array(t, copy=True).ctypes.data != np.asarray(t).ctypes.data
    assert np.asarray(_core.tensor([True, False])).dtype == np.bool_
    assert bytes(memoryview(_core.tensor(np.array([1, 2], np.int32)))) == b"\1\0\0\0\2\0\0\0"


@pytest.mark.parametrize("rows", [10, 200_000])
def test_predictions_are_writable_arrays_of_their_own(rows: int) -> None:
    f, _ = linear()
    x = np.ones((rows, 3), np.float32)
    (first,), second = f.predict([x], 4096), f.predict_plain(x, (3,), 4096)
    first[:] = 0
    np.testing.assert_array_equal(second, np.full((rows, 2), 3.0))
    del first
    third = f.predict_plain(x, (3,), 4096)
    third[:] = 1
    np.testing.assert_array_equal(second, np.full((rows, 2), 3.0))


def test_a_plain_prediction_leaves_everything_else_alone() -> None:
    f, _ = linear()
    x = np.ones((4, 3), np.float32)
    masked = np.ma.masked_array(x, mask=x > 0)
    odd = [
        x.astype(">f4"),
        x.astype("f8"),
        x[:, :2],
        x[:0],
        x[0],
        x[None],
        masked,
        x.tolist(),
        None,
    ]
    assert [f.predict_plain(value, (3,), 2) for value in odd] == [None] * len(odd)
    turned = np.asfortranarray(x * np.arange(1, 5, dtype=np.float32)[:, None])
    np.testing.assert_array_equal(f.predict_plain(turned, (3,), 2), f.predict([turned], 2)[0])


def test_a_large_array_outlives_its_tensor_and_gives_its_memory_back() -> None:
    x = _core.tensor(np.arange(1 << 19, dtype=np.float32))
    arrays = [(x + float(i)).numpy() for i in range(4)]
    views = [a[7:9] for a in arrays]
    del arrays
    (x * 0.0).numpy()
    for i, view in enumerate(views):
        np.testing.assert_array_equal(view, [7.0 + i, 8.0 + i])


def test_dlpack_shares_memory_both_ways() -> None:
    t = _core.tensor(np.arange(6, dtype=np.float32).reshape(2, 3))
    a = np.from_dlpack(t)
    assert a.ctypes.data == np.asarray(t).ctypes.data
    assert not a.flags.writeable
    source = np.arange(4, dtype=np.int32)
    back = _core.from_dlpack(source)
    assert np.asarray(back).ctypes.data == source.ctypes.data
    assert _core.from_dlpack(source[::2]).tolist() == [0, 2]
    assert _core.from_dlpack(np.arange(2, dtype=np.int64)).tolist() == [0, 1]
    assert np.from_dlpack(_core.tensor([True, False])).tolist() == [True, False]
    with pytest.raises(_core.DataError, match="__dlpack__"):
        _core.from_dlpack([1, 2])


def test_dlpack_imports_release_their_source_exactly_once() -> None:
    class Source(np.ndarray):
        pass

    a = np.arange(8, dtype=np.float32).view(Source)
    gone = weakref.ref(a)
    t = _core.from_dlpack(a)
    y = t + 1.0
    del a
    assert gone() is not None
    assert y.tolist()[7] == 8
    del t, y
    gc.collect()
    assert gone() is None


def test_unused_dlpack_capsules_free_their_tensor() -> None:
    big = _core.tensor(np.ones(1 << 20, np.float32))
    before = rss()
    for _ in range(50):
        (big + 1.0).__dlpack__(max_version=(1, 0))
        (big + 1.0).__dlpack__()
    assert rss() - before < 64 << 20


def test_tensors_pickle_copy_and_compare_like_arrays() -> None:
    t = _core.tensor([[1.0, 2.0]])
    assert pickle.loads(pickle.dumps(t)).tolist() == t.tolist()
    assert copy.copy(t) is t
    assert copy.deepcopy(t) is t
    assert (t == 1.0).tolist() == [[True, False]]
    assert {t: 1}[t] == 1
    assert (np.ones((1, 2), np.float32) + t).tolist() == [[2.0, 3.0]]
    assert isinstance(np.ones((1, 2), np.float32) + t, _core.Tensor)


def test_python_protocols_of_numbers_and_sequences() -> None:
    assert float(_core.tensor(2.5)) == 2.5
    assert int(_core.tensor(2.5)) == 2
    assert [10, 20, 30][_core.tensor(1)] == 20
    assert bool(_core.tensor(0.0)) is False
    rows = list(_core.tensor([[1, 2], [3, 4]]))
    assert [r.tolist() for r in rows] == [[1, 2], [3, 4]]
    with pytest.raises(_core.DataError, match="ambiguous"):
        bool(_core.tensor([1.0, 2.0]))
    with pytest.raises(TypeError):
        len(_core.tensor(1.0))
    assert _core.tensor(1.0).__add__(object()) is NotImplemented


@pytest.mark.parametrize(
    "key",
    [
        0, -1, slice(1, None), slice(None, None, -2), (slice(None), 1), (..., 0), (0, ..., -1),
        (None, 1), (slice(None), None, slice(0, 2)), np.array([2, 0]), (0, 1, 2),
        (np.array([0, 1]), np.array([1, 2])), np.array([True, False, True]),
    ],
)  # fmt: skip
def test_indexing_is_numpys(key: Any) -> None:
    a = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    np.testing.assert_array_equal(_core.tensor(a)[key].numpy(), a[key])


def test_indices_out_of_range_are_index_errors() -> None:
    t = _core.tensor([[1.0, 2.0]])
    for key in (1, -2, (0, 2), (0, 0, 0)):
        with pytest.raises(IndexError):
            t[key]


# ---- ops and functions -----------------------------------------------------------------------


def test_ops_take_positions_keywords_and_lists_and_say_what_they_do_not_know() -> None:
    a = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(ops.sum(a, 0).numpy(), a.sum(0))
    np.testing.assert_array_equal(
        ops.sum(a, axis=[1], keepdims=True).numpy(), a.sum(1, keepdims=True)
    )
    np.testing.assert_array_equal(ops.concatenate([a, a], axis=0).numpy(), np.concatenate([a, a]))
    np.testing.assert_array_equal(_core.apply("sum", [a], {"axis": 1}).numpy(), a.sum(1))
    with pytest.raises(TypeError, match=r"(?s)axes.*hint: it takes"):
        ops.sum(a, axes=1)
    with pytest.raises(TypeError, match="twice"):
        ops.sum(a, 0, axis=0)
    with pytest.raises(TypeError, match="takes"):
        ops.exp()
    with pytest.raises(_core.DataError, match="no_such_op"):
        _core.apply("no_such_op", [a])


def test_every_row_is_a_documented_function() -> None:
    rows = _core.op_table()
    assert len(rows) > 80
    for row in rows:
        call = getattr(ops, row.name)
        assert call.__name__ == row.name
        assert call.__doc__
        assert call.__text_signature__


def test_a_call_reads_arrays_in_place_and_converts_the_rest() -> None:
    f, w = linear()
    a = np.arange(6, dtype=np.float64).reshape(2, 3)
    np.testing.assert_array_equal(f(a).numpy(), [[3, 3], [12, 12]])
    np.testing.assert_array_equal(f(a.astype(np.float32)[::-1]).numpy(), [[12, 12], [3, 3]])
    np.testing.assert_array_equal(f([[1, 2, 3]]).numpy(), [[6, 6]])
    w.assign(np.zeros((3, 2)))
    assert not f(a).numpy().any()
    with pytest.raises(_core.ShapeError, match="4 features"):
        f(np.zeros((2, 4), np.float32))
    with pytest.raises(_core.ShapeError, match="batch axis is missing"):
        f(np.zeros(3, np.float32))
    with pytest.raises(_core.ShapeError, match="'w'"):
        w.assign(np.zeros(3))


def test_retraces_warn_once_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    f, _ = linear()
    with caplog.at_level("WARNING", logger="fastnn"):
        for rows in range(1, 40):
            f(np.zeros((rows, 3), np.float32))
    assert [r.name for r in caplog.records] == ["fastnn"]
    assert "batch sizes" in caplog.text


def test_traced_tensors_refuse_values_with_a_hint() -> None:
    x = _core.placeholder((None, 3), name="x")
    for read in (float, bool, np.asarray, lambda t: t.numpy(), lambda t: t.tolist()):
        with pytest.raises((_core.TraceError, BufferError), match="hint"):
            read(ops.mean(x))
    assert "traced" in repr(x)
    assert x.shape == (None, 3)
    assert x.size is None


def test_numbers_do_not_need_new_plans() -> None:
    x = _core.tensor([1.0])
    assert [float((x * float(k))[0]) for k in range(3, 600)] == [float(k) for k in range(3, 600)]


# ---- memory ----------------------------------------------------------------------------------


def test_a_million_calls_do_not_grow_memory() -> None:
    f, _ = linear()
    a = np.ones((1, 3), np.float32)
    x = _core.tensor(a)

    def work(n: int) -> None:
        for _ in range(n):
            f(a)
            (x + 1.0).numpy()

    work(20_000)
    gc.collect()
    growths = []
    for _ in range(4):  # what leaks grows each time; what else moves in a process does not
        before = rss()
        work(60_000)
        growths.append(rss() - before)
    assert min(growths) < 1 << 18, growths


def test_long_chains_drop_without_overflowing_the_stack() -> None:
    y = x = _core.placeholder((None, 1))
    for _ in range(100_000):
        y = y + 1.0
    del y
    z = _core.tensor([0.0])
    for _ in range(100_000):
        z = z + 1.0
    assert z.tolist() == [100_000.0]
    assert x.is_traced


def test_a_variable_and_its_functions_die_together() -> None:
    class Watched(_core.Variable):
        pass

    w = Watched(np.ones((3, 2), np.float32))
    gone = weakref.ref(w)
    x = _core.placeholder((None, 3))
    f = _core.Function([x], [x @ w.traced()], [(w, w.traced() * 2.0)])
    f(np.ones((1, 3), np.float32))
    del w, f, x
    gc.collect()
    assert gone() is None


# ---- threads, forks, stops -------------------------------------------------------------------


def test_threads_predict_on_one_function_with_the_same_bits() -> None:
    f, _ = linear(64, 32)
    data = np.random.default_rng(1).normal(size=(500, 64)).astype(np.float32)
    wanted = f(data).numpy()
    failures: list[int] = []

    def work() -> None:
        for _ in range(20):
            if not np.array_equal(f.predict([data], 64)[0], wanted):
                failures.append(1)
            if not np.array_equal(f(data).numpy(), wanted):
                failures.append(2)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures


def test_readers_get_snapshots_while_a_loop_runs() -> None:
    loop, arrays, w = training_loop(256)
    done = threading.Event()
    seen: list[np.ndarray[Any, Any]] = []

    def read() -> None:
        while not done.is_set():
            seen.append(w.numpy())

    reader = threading.Thread(target=read)
    reader.start()
    loop.run(arrays, 8, 200, seed=1)
    done.set()
    reader.join()
    assert len(seen) > 10
    assert all(np.isfinite(s).all() for s in seen)
    first = seen[0].copy()
    loop.run(arrays, 8, 5, seed=1)
    np.testing.assert_array_equal(seen[0], first)


def test_a_forked_child_computes_and_trains() -> None:
    loop, arrays, w = training_loop()
    loop.run(arrays, 16, 2, seed=1)
    big = _core.tensor(np.ones((300, 300), np.float32))
    (big @ big).numpy()
    pid = os.fork()
    if pid == 0:
        try:
            loop.run(arrays, 16, 2, seed=1)
            ok = np.isfinite(w.numpy()).all() and float((big @ big)[0, 0]) == 300.0
            os._exit(0 if ok else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_callbacks_stop_a_loop_and_their_errors_pass_through() -> None:
    loop, arrays, w = training_loop()
    calls: list[tuple[int, int, bool]] = []

    def stop(epoch: int, batch: int, begin: bool, results: list[float] | None) -> bool:
        calls.append((epoch, batch, begin))
        assert (results is None) == begin
        return (epoch, batch, begin) == (1, 2, False)

    results = loop.run(arrays, 16, 5, on_batch=stop)
    assert len(results) == 2
    assert calls[-1] == (1, 2, False)
    before = w.numpy()

    def fail(*_: Any) -> bool:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        loop.run(arrays, 16, 5, on_batch=fail)
    np.testing.assert_array_equal(w.numpy(), before)
    assert loop.finished == []
    assert len(loop.run(arrays, 16, 3)) == 3


def test_on_batch_sees_and_changes_variables() -> None:
    loop, arrays, w = training_loop()
    seen = []

    def zero(_epoch: int, _batch: int, begin: bool, _results: list[float] | None) -> None:
        if begin:
            w.assign(np.zeros((8, 1), np.float32))
        else:
            seen.append(w.numpy())

    loop.run(arrays, 64, 3, on_batch=zero)
    np.testing.assert_array_equal(seen[0], seen[2])


# Without the interrupt it would run for hours. On a machine so busy that it cannot even start
# within the time it has, it says where every thread is.
INTERRUPTED = """
import faulthandler, os, signal
faulthandler.dump_traceback_later(240, exit=True)
import numpy as np
from test_core_binding import training_loop
loop, arrays, w = training_loop(2000)
first = loop.run(arrays, 10, 1, seed=3)
def beat(epoch, batch, steps, results):
    assert steps == 200 and len(results) == 1
    os.kill(os.getpid(), signal.SIGINT)
try:
    loop.run(arrays, 10, 10**7, seed=3, heartbeat=beat)
except KeyboardInterrupt:
    assert loop.finished and np.isfinite(w.numpy()).all()
    assert len(loop.run(arrays, 10, 2)) == 2
    print("stopped")
"""


@pytest.mark.skipif(not hasattr(signal, "SIGINT"), reason="needs POSIX signals")
def test_ctrl_c_stops_a_loop_and_keeps_what_was_done() -> None:
    run = subprocess.run(
        [sys.executable, "-c", INTERRUPTED],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.stdout == "stopped\n", run.stderr


# ---- files -----------------------------------------------------------------------------------


def test_files_keep_tensors_metadata_and_the_function(tmp_path: Path) -> None:
    f, w = linear()
    path = tmp_path / "model.safetensors"
    extra = np.arange(4)
    _core.save_file(path, {"w": w, "extra": extra}, {"note": "x"}, f)
    tensors, metadata = _core.load_file(path)
    assert sorted(tensors) == ["extra", "w"]
    assert metadata["note"] == "x"
    np.testing.assert_array_equal(tensors["w"].numpy(), w.numpy())
    data = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    model = _core.Model.load(path)
    np.testing.assert_array_equal(model.predict(data), f.predict([data])[0])
    assert model.inputs == [("x", (None, 3), "float32")]
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_files_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent"):
        _core.load_file(tmp_path / "absent")
    with pytest.raises(IsADirectoryError):
        _core.load_file(tmp_path)
    with pytest.raises(OSError, match="cannot write"):
        _core.save_file(tmp_path / "no" / "where", {})
    junk = tmp_path / "junk"
    junk.write_bytes(b"junk junk junk")
    with pytest.raises(_core.FormatError, match="6a, 75, 6e, 6b"):
        _core.load_file(junk)
    _core.save_file(junk, {"a": np.zeros(3)})
    with pytest.raises(_core.FormatError, match="no inference graph"):
        _core.Model.load(junk)


# ---- optimizers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "hyper", "steps", "wanted"),
    [
        ("adam", {}, 1, 0.9000008),
        ("rmsprop", {}, 1, 0.68377227),
        ("sgd", {"momentum": 0.9, "nesterov": True}, 2, 0.07800001),
        ("adamw", {}, 1, 0.8996008),
    ],
)
def test_optimizer_steps_are_those_of_keras(
    kind: str, hyper: dict[str, Any], steps: int, wanted: float
) -> None:
    w: Any = _core.tensor([1.0])
    slots = [_core.tensor([0.0]) for _ in _core.optimizer_slots(kind, hyper)]
    for i in range(steps):
        w, slots = _core.optimizer_update(kind, w, _core.tensor([2.0]), slots, i, 0.1, hyper)
    assert float(w) == pytest.approx(wanted, rel=2e-7)


def test_two_reads_of_a_variable_are_one_value_to_gradients():
    v = _core.Variable(np.array([1.0, 2.0, 3.0], np.float32))
    y = _core.ops.sum(_core.ops.square(v.value))
    (grad,) = _core.gradients(y, [v.value])
    assert grad.numpy().tolist() == [2.0, 4.0, 6.0]


@pytest.mark.parametrize("dy", [[1.0, 2.0, 3.0], [[1.0, 2.0]], 1.0, np.array([1, 2], np.int32)])
def test_weights_of_a_derivative_have_the_shape_and_type_of_the_value(dy):
    x = _core.tensor([1.0, 2.0]) * 1.0
    with pytest.raises(_core.ShapeError, match=r"dy is .*, wanted float32\(2,\)(.|\n)*hint:"):
        _core.gradients(x * x, [x], _core.tensor(dy))


def test_lists_of_numbers_stand_beside_a_tensor():
    t = _core.tensor([1.0, 2.0])
    assert (t == [1.0, 3.0]).tolist() == [True, False]  # it was one False
    assert (t != (1.0, 3.0)).tolist() == [False, True]
    assert ([1, 2] + t).tolist() == [2.0, 4.0]  # noqa: RUF005
    assert ([[2], [4]] / t).tolist() == [[2.0, 1.0], [4.0, 2.0]]
    assert (t > [1, np.float32(1)]).tolist() == [False, True]
    with pytest.raises(_core.DataError, match="does not make an array"):
        t + [1, [2, 3]]  # noqa: RUF005
    with pytest.raises(_core.ShapeError, match="do not broadcast"):
        t + [1, 2, 3]  # noqa: RUF005
    with pytest.raises(TypeError):
        t + [t, 1.0]  # noqa: RUF005
    itself: list[Any] = []
    itself.append(itself)
    assert (t == itself) is False
