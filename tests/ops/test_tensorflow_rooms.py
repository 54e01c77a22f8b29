"""Modules of TensorFlow that programs use beside computing: sparse elements, summaries, errors."""

import numpy as np
import pytest

import fastnn as tf


def test_elements_by_their_places_become_a_dense_tensor():
    x = tf.SparseTensor(indices=[[1, 0], [0, 2]], values=[3.0, 4.0], dense_shape=[2, 3])
    assert (x.shape.as_list(), x.get_shape(), x.dtype) == ([2, 3], (2, 3), "float32")
    assert tf.sparse.to_dense(x).tolist() == [[0.0, 0.0, 4.0], [3.0, 0.0, 0.0]]
    assert tf.sparse.to_dense(x, default_value=-1.0).tolist() == [
        [-1.0, -1.0, 4.0],
        [3.0, -1.0, -1.0],
    ]
    assert tf.sparse.reorder(x).indices.tolist() == [[0, 2], [1, 0]]
    again = tf.sparse.from_dense([[0, 5], [6, 0]])
    assert (again.indices.tolist(), again.values.tolist()) == ([[0, 1], [1, 0]], [5, 6])
    mask = tf.sparse.to_dense(tf.SparseTensor([[1]], [-float("inf")], [3]))
    assert mask.tolist() == [0.0, -float("inf"), 0.0]
    b = np.arange(6.0).reshape(3, 2)
    wanted = np.asarray(tf.sparse.to_dense(x)) @ b
    assert tf.sparse.sparse_dense_matmul(x, b).tolist() == wanted.tolist()


def test_wrong_places_and_what_does_not_compute_on_them_are_told():
    for places in ([[0]], [[0, 3]], [[0, 0], [0, 1]]):
        with pytest.raises(tf.DataError, match=r"SparseTensor.*\n  hint"):
            tf.SparseTensor(places, [1.0], [2, 3])
    with pytest.raises(
        AttributeError, match=r"elements and their places.*\n  hint: tf.sparse.to_dense"
    ):
        _ = tf.sparse.softmax


def test_summaries_are_written_where_tensorboard_reads_them(tmp_path):
    pytest.importorskip("tensorboardX")
    writer = tf.summary.create_file_writer(str(tmp_path / "logs"))
    assert not tf.summary.scalar("loss", 1.0, step=0)
    with writer.as_default():
        assert tf.summary.should_record_summaries()
        assert tf.summary.scalar("loss", tf.constant(0.5), step=3)
        assert tf.summary.histogram("w", tf.constant([1.0, 2.0]), step=3)
        assert tf.summary.text("note", "good", step=3)
        with pytest.raises(ValueError, match=r"no step\n  hint"):
            tf.summary.scalar("loss", 0.5)
    with writer.as_default(step=4):
        assert tf.summary.scalar("loss", 0.25)
    writer.close()
    content = b"".join(p.read_bytes() for p in (tmp_path / "logs").iterdir())
    for name in (b"loss", b"note"):
        assert name in content


def test_pictures_are_written_too(tmp_path):
    pytest.importorskip("tensorboardX")
    pytest.importorskip("PIL")
    with tf.summary.create_file_writer(tmp_path).as_default(step=0):
        assert tf.summary.image("x", np.random.rand(2, 4, 4, 3))
        assert tf.summary.image("y", np.zeros((1, 4, 4, 1), np.uint8))


def test_a_summary_in_a_traced_step_is_refused(tmp_path):
    pytest.importorskip("tensorboardX")
    with tf.summary.create_file_writer(tmp_path).as_default(step=0):
        written = tf.jit(lambda x: tf.summary.scalar("x", x))
        with pytest.raises(tf.TraceError, match=r"tf.summary.scalar.*\n  hint"):
            written(tf.constant(1.0))


def test_errors_that_programs_catch_are_those_that_are_raised():
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.matmul(tf.ones((2, 3)), tf.ones((2, 3)))
    with pytest.raises(tf.errors.OutOfRangeError):
        iter(tf.data.Dataset.range(0)).get_next()
    with pytest.raises(tf.errors.NotFoundError):
        tf.train.Checkpoint(v=tf.Variable(1.0)).restore("nowhere/ckpt-1")
    with pytest.raises(AttributeError, match=r"no 'Invalid'\n  hint"):
        _ = tf.errors.Invalid


def test_a_function_is_its_own_concrete_function():
    @tf.function
    def add(a, b):
        return a + b

    concrete = add.get_concrete_function(tf.TensorSpec([2]), tf.TensorSpec([2]))
    assert concrete(tf.constant([1.0, 2.0]), tf.constant([1.0, 2.0])).tolist() == [2.0, 4.0]


def test_a_function_of_texts_runs_as_written():
    lookup = tf.keras.layers.StringLookup(vocabulary=["a", "b"], mask_token=None)

    @tf.function
    def numbers(texts, state=None):
        return lookup(tf.strings.unicode_split(texts, "UTF-8")).to_tensor(), state

    found, state = numbers(tf.constant(["ab"]), state=None)
    assert found.tolist() == [[1, 2]]
    assert state is None
    assert numbers(tf.constant(["ba"]))[0].tolist() == [[2, 1]]


def test_texts_in_arrays_of_objects_are_texts():
    found = tf.constant(np.array([["a", b"b"], ["\u00e9", "d"]], dtype=object))
    assert found.tolist() == [["a", "b"], ["\u00e9", "d"]]
    assert found.numpy()[1, 0] == "\u00e9".encode()
    for other in (["a", None], ["a", 1.5]):
        with pytest.raises(tf.DataError, match=r"\n  hint"):
            tf.constant(np.array(other, dtype=object))
