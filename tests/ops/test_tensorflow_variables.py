"""Parts of variables, seeds made of seeds, and checkpoints that stay for good, as in TensorFlow."""

import os
import time

import numpy as np
import pytest

import fastnn as tf

START = np.arange(8, dtype="float32").reshape(4, 2)


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("update", lambda old, new: new),
        ("add", lambda old, new: old + new),
        ("sub", lambda old, new: old - new),
        ("max", np.maximum),
        ("min", np.minimum),
    ],
)
def test_parts_of_a_variable_are_updated_at_positions_and_rows(kind, wanted):
    rows, new = [2, 0], np.array([[9.0, -1.0], [2.5, 7.0]], "float32")
    right = START.copy()
    right[rows] = wanted(START[rows], new)
    v = tf.Variable(START)
    assert getattr(v, f"scatter_nd_{kind}")([[2], [0]], new) is v
    np.testing.assert_array_equal(v, right)
    v = tf.Variable(START)
    getattr(v, f"scatter_{kind}")(tf.IndexedSlices(new, rows))
    np.testing.assert_array_equal(v, right)
    v = tf.Variable(START)
    getattr(v, f"scatter_nd_{kind}")([[1, 0], [3, 1]], [4.0, 5.0])
    right = START.copy()
    right[[1, 3], [0, 1]] = wanted(START[[1, 3], [0, 1]], np.array([4.0, 5.0]))
    np.testing.assert_array_equal(v, right)


def test_updates_of_parts_are_traced_and_rows_are_read():
    v = tf.Variable(START)

    @tf.function
    def step(at):
        v.scatter_nd_add(at, tf.constant([[1.0, 1.0]]))
        return v.sparse_read([0])

    np.testing.assert_array_equal(step(tf.constant([[0]])), [[1.0, 2.0]])
    np.testing.assert_array_equal(step(tf.constant([[0]])), [[2.0, 3.0]])
    v.scatter_mul(tf.IndexedSlices([[2.0, 3.0]], [1]))
    np.testing.assert_array_equal(v[1], [4.0, 9.0])
    with pytest.raises(TypeError, match=r"IndexedSlices(.|\n)*hint:"):
        v.scatter_add([[1.0, 1.0]])


def test_seeds_are_split_and_folded_alike_each_time():
    parts = tf.random.split([1, 2], 3)
    assert parts.shape == (3, 2)
    np.testing.assert_array_equal(parts, tf.random.split([1, 2], 3))
    assert len(np.unique(np.asarray(parts), axis=0)) == 3
    one, other = tf.random.fold_in([1, 2], 5), tf.random.fold_in([1, 2], 6)
    assert one.shape == (2,)
    assert (np.asarray(one) != np.asarray(other)).any()
    assert tf.random.stateless_normal([2], parts[0]).shape == (2,)


def test_a_checkpoint_in_so_many_hours_stays_for_good(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    ckpt = tf.train.Checkpoint(step=tf.Variable(1))
    manager = tf.train.CheckpointManager(
        ckpt, tmp_path, max_to_keep=2, keep_checkpoint_every_n_hours=2
    )
    for _ in range(10):
        now[0] += 3600.0
        manager.save()
    there = sorted(int(n.split("-")[1].split(".")[0]) for n in os.listdir(tmp_path) if "-" in n)
    assert there == [2, 4, 6, 8, 9, 10]
    assert [p.split("-")[-1] for p in manager.checkpoints] == ["9", "10"]
