"""What `fastnn._core` promises to Python: conversions, sharing, lifetimes, threads, stops."""

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
from core_programs import linear, rss, training_loop

from fastnn import _core

ops = _core.ops


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


# ---- protocols -------------------------------------------------------------------------------


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
from core_programs import training_loop
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
        t + [None, t]  # noqa: RUF005
    itself: list[Any] = []
    itself.append(itself)
    assert (t == itself) is False
