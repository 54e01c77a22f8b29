"""What `element_spec` says, as TensorFlow does, and data sets in files."""

import zipfile

import numpy as np
import pytest

import fastnn as tf
from fastnn.errors import FormatError

Dataset = tf.data.Dataset
PAIRS = Dataset.from_tensor_slices((np.ones((5, 2), "float32"), np.arange(5, dtype="int32")))


def shapes(dataset):
    return [tuple(s.shape) for s in tf.nest.flatten(dataset.element_spec)]


def uneven():
    for n in (1, 3, 2):
        yield list(range(n))


UNEVEN = Dataset.from_generator(uneven, output_signature=tf.TensorSpec((None,), tf.int32))


def test_the_size_of_batches_is_open_unless_the_remainder_is_dropped():
    assert shapes(PAIRS) == [(2,), ()]
    assert shapes(PAIRS.batch(2)) == [(None, 2), (None,)]
    assert shapes(PAIRS.batch(2, drop_remainder=True)) == [(2, 2), (2,)]
    assert shapes(PAIRS.batch(2).batch(3)) == [(None, None, 2), (None, None)]
    assert shapes(PAIRS.batch(2).unbatch()) == [(2,), ()]


@pytest.mark.parametrize(
    "step",
    [
        lambda d: d.shuffle(5),
        lambda d: d.repeat(2),
        lambda d: d.take(1),
        lambda d: d.skip(1),
        lambda d: d.shard(2, 0),
        lambda d: d.cache(),
        lambda d: d.prefetch(1),
        lambda d: d.filter(lambda x, y: True),
        lambda d: d.take_while(lambda x, y: True),
        lambda d: d.concatenate(d),
        lambda d: d.map(lambda x, y: (x * 2.0, tf.cast(y, tf.int32))),
    ],
)
def test_steps_that_keep_elements_keep_what_they_are(step):
    assert shapes(step(PAIRS.batch(2))) == [(None, 2), (None,)]


def test_signatures_paddings_and_pairs_say_what_elements_are():
    assert shapes(UNEVEN) == [(None,)]
    assert shapes(UNEVEN.padded_batch(2)) == [(None, None)]
    assert shapes(UNEVEN.padded_batch(2, padded_shapes=[4])) == [(None, 4)]
    assert shapes(UNEVEN.padded_batch(2, padded_shapes=[-1], drop_remainder=True)) == [(2, None)]
    assert shapes(Dataset.zip((PAIRS, UNEVEN))) == [(2,), (), (None,)]
    assert shapes(PAIRS.enumerate()) == [(), (2,), ()]
    older = Dataset.from_generator(uneven, tf.int32, [None])
    assert shapes(older) == [(None,)]
    other = Dataset.from_tensor_slices((np.ones((5, 3), "float32"), np.arange(5)))
    assert shapes(PAIRS.concatenate(other)) == [(None,), ()]


def test_a_function_may_change_everything_but_the_open_size_of_batches():
    changed = PAIRS.batch(2).map(lambda x, y: {"a": tf.one_hot(y, 3), "b": tf.reduce_sum(x)})
    assert {k: tuple(s.shape) for k, s in changed.element_spec.items()} == {"a": (None, 3), "b": ()}


def test_a_spec_reads_as_tensorflows_and_text_is_string():
    spec = Dataset.from_tensor_slices(["a", "bc"]).batch(2).element_spec
    assert repr(spec) == "TensorSpec(shape=(None,), dtype=tf.string, name=None)"
    assert spec == tf.TensorSpec([None], tf.string)


def test_ragged_batches_are_answered_with_padded_ones():
    with pytest.raises(AttributeError, match=r"ragged(.|\n)*hint: padded_batch\(2\)"):
        PAIRS.ragged_batch(2)


@pytest.mark.parametrize("compression", [None, "GZIP"])
def test_a_data_set_is_saved_and_loaded(tmp_path, compression):
    given = {"a": np.arange(6.0).reshape(3, 2), "t": np.array(["x", "yy", "z"])}
    made = Dataset.from_tensor_slices((given, np.arange(3))).batch(2)
    made.save(tmp_path / "d", compression=compression)
    loaded = Dataset.load(str(tmp_path / "d"))
    assert loaded.element_spec == made.element_spec
    assert len(loaded) == 2
    for one, other in zip(made.as_numpy_iterator(), loaded.as_numpy_iterator(), strict=True):
        for a, b in zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True):
            np.testing.assert_array_equal(a, b)
    Dataset.range(2).save(tmp_path / "d")  # what was there is replaced
    assert [int(v) for v in Dataset.load(tmp_path / "d")] == [0, 1]


def test_a_folder_without_a_data_set_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no saved data set(.|\n)*hint:"):
        Dataset.load(tmp_path)
    with zipfile.ZipFile(tmp_path / "elements.zip", "w") as archive:
        archive.writestr("dataset.json", '{"format": "other"}')
    with pytest.raises(FormatError, match=r"is no saved data set(.|\n)*hint:"):
        Dataset.load(tmp_path)
    with pytest.raises(ValueError, match=r"no end(.|\n)*hint:"):
        Dataset.range(2).repeat().save(tmp_path / "x")
    with pytest.raises(ValueError, match=r"shard_func"):
        Dataset.range(2).save(tmp_path / "x", shard_func=lambda x: 0)


def test_numbers_of_pythons_have_tensorflows_types():
    kinds = {
        "float32": Dataset.from_tensor_slices([1.0, 2.0]),
        "int32": Dataset.from_tensor_slices([1, 2]),
        "float64": Dataset.from_tensor_slices(np.array([1.0])),
        "int64": Dataset.range(2),
    }
    for kind, made in kinds.items():
        assert made.element_spec.dtype == kind
        assert next(made.as_numpy_iterator()).dtype == kind
    assert Dataset.from_tensors(2**40).element_spec.dtype == "int64"
    assert Dataset.range(1).map(lambda x: 0.5).element_spec.dtype == "float32"


def test_a_generators_numbers_have_the_types_of_its_signature():
    def make():
        yield np.ones(2), 3, 2**40

    floats = tf.TensorSpec((2,), tf.float32), tf.TensorSpec((), tf.float32)
    signature = (*floats, tf.TensorSpec((), tf.int64))
    x, y, z = next(Dataset.from_generator(make, output_signature=signature).as_numpy_iterator())
    assert (x.dtype, y.dtype, z) == (np.float32, np.float32, 2**40)


def test_a_save_that_fails_leaves_what_was_there_and_nothing_else(tmp_path):
    whole = tf.data.Dataset.from_tensor_slices(np.arange(3.0))
    whole.save(tmp_path / "kept")

    def broken():
        yield np.zeros(2, np.float32)
        raise OSError("the disk is gone")

    spec = tf.TensorSpec((2,), tf.float32)
    with pytest.raises(OSError, match="the disk is gone"):
        tf.data.Dataset.from_generator(broken, output_signature=spec).save(tmp_path / "kept")
    assert [p.name for p in (tmp_path / "kept").iterdir()] == ["elements.zip"]
    again = tf.data.Dataset.load(str(tmp_path / "kept"))
    assert [float(x) for x in again] == [0.0, 1.0, 2.0]
