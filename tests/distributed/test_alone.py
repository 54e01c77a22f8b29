"""`fastnn.distributed` in a process that is alone: nothing changes, mistakes are told."""

import numpy as np
import pytest

import fastnn
from fastnn import distributed
from fastnn.errors import FastnnError, RankError
from fastnn.training.ranks import _digest


@pytest.fixture(autouse=True)
def _not_yet(monkeypatch):
    monkeypatch.setattr(distributed, "_settings", None)


def test_a_process_that_nobody_launched_is_rank_0_of_1():
    assert not distributed.is_initialized()
    distributed.init()
    assert distributed.is_initialized()
    assert (distributed.rank(), distributed.size()) == (0, 1)
    assert distributed.broadcast([1]) == [1]
    distributed.barrier()


def test_a_second_call_agrees_with_the_first():
    distributed.init()
    distributed.init()
    with pytest.raises(ValueError, match=r"(?s)own_data.*hint: call it once"):
        distributed.init(own_data=True)


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", True])
def test_threads_are_a_whole_number_of_at_least_one(threads):
    with pytest.raises(ValueError, match=r"(?s)threads is .*wanted 1 or more.*hint"):
        distributed.init(threads=threads)
    assert not distributed.is_initialized()


def test_sums_and_means_keep_types_and_refuse_what_is_no_number():
    assert distributed.all_reduce(np.float32([1, 2])).dtype == np.float32
    assert distributed.all_reduce(np.int64([1, 2])).tolist() == [1, 2]
    assert distributed.all_reduce(3, op="mean") == 3.0
    assert distributed.all_reduce(np.array([True, False])).tolist() == [1, 0]
    with pytest.raises(ValueError, match=r"(?s)op is 'max', wanted 'sum' or 'mean'.*hint"):
        distributed.all_reduce(1, op="max")
    with pytest.raises(ValueError, match=r"(?s)value is of type .*wanted numbers.*hint"):
        distributed.all_reduce("text")


def test_an_error_of_ranks_is_one_of_fastnn():
    assert issubclass(RankError, FastnnError)
    assert issubclass(RankError, RuntimeError)


def test_a_state_of_a_metric_says_how_ranks_join_it():
    metric = fastnn.metrics.Metric(name="m")
    assert metric.add_variable((), name="a").aggregation == "sum"
    assert metric.add_variable((), name="b", aggregation="mean").aggregation == "mean"
    with pytest.raises(ValueError, match=r"(?s)aggregation is 'max'.*hint"):
        metric.add_variable((), name="c", aggregation="max")


@pytest.mark.parametrize("shape", [(5000, 9), (1,), (0, 3), (1024, 2), (3, 1023)])
def test_a_digest_tells_contents_and_their_order_apart(shape, rng):
    rows = rng.normal(size=shape).astype("float32")
    seen = {_digest(rows)}
    assert _digest(rows.copy()) in seen
    for _ in range(20 if rows.size else 0):
        other = rows.copy()
        flat = other.reshape(-1)
        at, to = rng.integers(0, rows.size, 2)
        if rng.random() < 0.5 and flat[at] != flat[to]:
            flat[[at, to]] = flat[[to, at]]
        else:
            flat.view(np.uint32)[at] ^= np.uint32(1 << rng.integers(0, 32))
        assert _digest(other) not in seen
    if len(rows) > 1 and rows.size:
        assert _digest(rows[::-1]) not in seen
        assert _digest(np.roll(rows, 1024, axis=0)) not in seen or 1024 % len(rows) == 0
