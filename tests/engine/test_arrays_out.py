"""What leaves the core as arrays: views, arrays of the caller's own, memory that DLPack shares."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from core_programs import linear, rss

from fastnn import _core


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


def test_plain_calls_and_predictions_leave_everything_else_alone() -> None:
    f, w = linear()
    x = np.ones((4, 3), np.float32)
    out = f.call_plain(x, (3,))
    assert out is not None
    np.testing.assert_array_equal(out.numpy(), f(x).numpy())
    w.assign(_core.tensor(np.zeros((3, 2), np.float32)))
    again = f.call_plain(x, (3,))
    assert again is not None
    assert not again.numpy().any()
    w.assign(_core.tensor(np.ones((3, 2), np.float32)))
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
    assert [f.call_plain(value, (3,)) for value in odd] == [None] * len(odd)
    turned = np.asfortranarray(x * np.arange(1, 5, dtype=np.float32)[:, None])
    np.testing.assert_array_equal(f.predict_plain(turned, (3,), 2), f.predict([turned], 2)[0])
    np.testing.assert_array_equal(f.call_plain(turned, (3,)), f(turned))


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
