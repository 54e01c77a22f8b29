"""Functions of updates that run again and again without Python."""

import os
import signal
import threading
import time

import numpy as np
import pytest

import fastnn
from fastnn import _core, ops
from fastnn.errors import DataError, ShapeError


def counter(stop=10**9):
    """A function that counts in a variable, and is done at `stop`."""
    count, done = _core.Variable(np.int32(0)), _core.Variable(np.zeros((), np.bool_))
    after = count.traced() + 1
    step = _core.Function([], [], [(count, after), (done, ops.greater_equal(after, stop))])
    return step, count, done


def test_a_function_runs_as_often_as_asked():
    step, count, _ = counter()
    assert step.repeat(7) == 7
    assert int(count.numpy()) == 7
    assert step.repeat(0) == 0
    assert step.repeat(3) == 3
    assert int(count.numpy()) == 10


def test_a_variable_says_when_to_end():
    step, count, done = counter(stop=5)
    assert step.repeat(100, until=done) == 5
    assert int(count.numpy()) == 5
    assert bool(done.numpy())


def test_a_loop_is_that_of_single_calls(rng):
    """Windows of a state written one after the other, as a cache is."""
    w = rng.normal(size=(8, 8)).astype("f") * 0.3

    def build():
        x, at = _core.Variable(np.ones((1, 8), "f")), _core.Variable(np.zeros(1, "i4"))
        cache = _core.Variable(np.zeros((50, 8), "f"))
        new = ops.tanh(ops.matmul(x.traced(), w))
        kept = _core.ops.update_slice(cache.traced(), new, at.traced(), axes=(0,))
        mean = ops.sum(kept, axis=0, keepdims=True) * 0.1
        step = _core.Function([], [], [(x, new + mean), (at, at.traced() + 1), (cache, kept)])
        return step, cache

    one, other = build(), build()
    assert one[0].repeat(40) == 40
    for _ in range(40):
        other[0]()
    assert np.array_equal(one[1].numpy(), other[1].numpy())
    assert one[1].numpy()[39].any()
    assert not one[1].numpy()[40:].any()


def test_what_cannot_be_repeated_is_refused():
    x = _core.placeholder((), "float32")
    v = _core.Variable(np.float32(0))
    with pytest.raises(DataError, match=r"1 inputs and 0 outputs[\s\S]*hint"):
        _core.Function([x], [], [(v, x)]).repeat(1)
    with pytest.raises(DataError, match=r"0 inputs and 1 outputs[\s\S]*hint"):
        _core.Function([], [v.traced()], [(v, v.traced() + 1)]).repeat(1)
    step, count, _ = counter()
    with pytest.raises(ShapeError, match=r"until is float32[\s\S]*hint"):
        step.repeat(1, until=v)
    with pytest.raises(DataError, match=r"does not update[\s\S]*hint"):
        step.repeat(1, until=_core.Variable(np.int32(0)))
    assert int(count.numpy()) == 0


def test_ctrl_c_ends_a_loop_behind_a_whole_run():
    step, count, _ = counter()

    def interrupt():
        while int(count.numpy()) == 0:  # a busy machine begins late
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    # A shell's job in the background is started with the signal ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=interrupt).start()
    whole = 2**31 - 5
    try:
        with pytest.raises(KeyboardInterrupt):
            step.repeat(whole)
    finally:
        signal.signal(signal.SIGINT, before)
    assert 0 < int(count.numpy()) < whole
    assert step.repeat(2) == 2


def test_other_threads_read_the_state_meanwhile():
    step, count, done = counter(stop=2_000_000)
    loop = threading.Thread(target=lambda: step.repeat(10**9, until=done))
    loop.start()
    seen = [int(count.numpy()) for _ in range(20)]
    loop.join()
    assert seen == sorted(seen)
    assert int(count.numpy()) == 2_000_000
    assert fastnn.get_num_threads() > 0
