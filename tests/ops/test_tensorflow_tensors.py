"""What programs of TensorFlow ask of a tensor: its value, its shape and its type."""

import json
import operator
import pickle

import numpy as np
import pytest

import fastnn as tf


@pytest.mark.parametrize("make", [tf.constant, tf.Variable])
def test_numpy_gives_an_array_of_the_callers_own(make):
    x = make([[1.0, 2.0], [3.0, 6.0]])
    v = x.numpy()
    v -= v.mean()
    assert v.tolist() == [[-2.0, -1.0], [0.0, 3.0]]
    assert x.numpy().tolist() == [[1.0, 2.0], [3.0, 6.0]]
    assert not np.asarray(x).flags.writeable
    assert tf.ops.convert_to_numpy(x).flags.writeable
    assert tf.keras.backend.get_value(x).flags.writeable


@pytest.mark.parametrize("make", [tf.constant, tf.Variable])
def test_numpy_of_a_value_without_axes_is_a_scalar(make):
    loss, label = make(0.5).numpy(), make(3).numpy()
    assert isinstance(loss, np.float32)
    assert isinstance(label, np.int32)
    assert {3: "cat"}[label] == "cat"
    assert ["a", "b", "c", "d"][label] == "d"
    total = loss
    total += 1.0
    assert (float(total), float(make(0.5).numpy())) == (1.5, 0.5)


def test_shapes_are_tuples_with_the_methods_of_tensorflow():
    x = tf.zeros((2, 3, 4))
    assert x.shape == (2, 3, 4)
    assert x.shape == [2, 3, 4]
    assert x.shape != [2, 3]
    assert (x.shape.as_list(), x.shape.rank, x.shape.ndims) == ([2, 3, 4], 3, 3)
    assert x.shape[1:].as_list() == [3, 4]
    assert x.shape[-1] == 4
    assert x.shape[:-1] + [5] == (2, 3, 5)  # noqa: RUF005
    assert [1] + x.shape == (1, 2, 3, 4)  # noqa: RUF005
    assert x.shape.num_elements() == 24
    assert x.shape.is_fully_defined()
    assert x.get_shape().as_list() == tf.Variable(x).get_shape().as_list() == [2, 3, 4]
    assert str(x.shape) == repr(x.shape) == "(2, 3, 4)"
    assert type(pickle.loads(pickle.dumps(x.shape))) is tuple
    assert json.dumps(x.shape) == "[2, 3, 4]"
    assert {x.shape: 1}[(2, 3, 4)] == 1
    assert isinstance(x.shape, tf.TensorShape)


def test_shapes_and_types_are_made_once():
    x, y = tf.zeros((2, 3)), tf.Variable(tf.ones((2, 3)))
    assert x.shape is y.shape is x.get_shape()
    assert x.dtype is y.dtype is tf.float32
    shapes = [(n, m) for n in range(40) for m in range(40)]
    tensors = [tf.zeros(shape) for shape in shapes]
    for _ in range(2):  # shapes that share a place take turns
        assert [tuple(t.shape) for t in tensors] == shapes
        assert all(type(t.shape) is tf.TensorShape for t in tensors)


def test_shapes_know_open_sizes():
    image = tf.keras.Input((None, 3))
    assert image.shape.as_list() == image.get_shape().as_list() == [None, None, 3]
    assert image.shape.num_elements() is None
    assert not image.shape.is_fully_defined()
    assert image.shape.is_compatible_with([2, 5, 3])
    assert not image.shape.is_compatible_with([2, 5])
    assert image.shape.merge_with([4, None, 3]).as_list() == [4, None, 3]
    with pytest.raises(ValueError, match=r"incompatible\n  hint"):
        image.shape.merge_with([4, None, 2])
    with pytest.raises(ValueError, match=r"rank 2\n  hint"):
        image.shape.assert_has_rank(2)


def test_set_shape_says_what_a_shape_is_and_refuses_another():
    for x in (tf.ones((2, 3)), tf.Variable(tf.ones((2, 3))), tf.keras.Input((3,), batch_size=2)):
        x.set_shape([None, 3])
        with pytest.raises(ValueError, match=r"incompatible\n  hint"):
            x.set_shape([None, 4])


def test_layers_of_ones_own_read_shapes_in_tensorflows_words():
    class Scaled(tf.keras.layers.Layer):
        def build(self, input_shape):
            width = tf.TensorShape(input_shape).as_list()[-1]
            self.w = self.add_weight(shape=(width,), initializer="ones", name="w")

        def call(self, x):
            rows, width = x.get_shape().as_list()
            assert rows is None or rows == 4
            return tf.reshape(x, [-1, x.shape.as_list()[-1]]) * self.w / width

    model = tf.keras.Sequential([tf.keras.Input((2,)), Scaled()])
    model.compile("sgd", "mse")
    model.fit(np.ones((8, 2)), np.ones((8, 2)), batch_size=4, verbose=0)
    assert model.predict(np.ones((4, 2)), verbose=0).shape == (4, 2)


def test_types_are_text_with_the_attributes_of_tensorflow():
    x = tf.constant([1.0])
    assert x.dtype == "float32" == tf.float32
    assert x.dtype.name == "float32"
    assert np.zeros(2, tf.float32.as_numpy_dtype).dtype == np.float32
    assert tf.int32.is_integer
    assert tf.float32.is_floating
    assert tf.bool.is_bool
    assert (tf.int32.max, tf.int32.min, tf.float32.size) == (2**31 - 1, -(2**31), 4)
    assert tf.constant([1]).dtype.is_integer
    assert tf.Variable([1.0]).dtype.is_floating
    assert tf.as_dtype("int32") is tf.int32
    assert tf.string.as_numpy_dtype is np.object_
    assert tf.keras.Input((3,)).dtype.name == "float32"
    assert tf.float32.is_compatible_with("float32")
    assert not tf.float32.is_compatible_with(tf.int32)
    assert type(pickle.loads(pickle.dumps(x.dtype))) is str
    with pytest.raises(TypeError, match=r"no maximum value\n  hint"):
        _ = tf.bool.max


def test_counts_and_sizes_are_whole_numbers_that_numpy_reads():
    x = tf.zeros((2, 3))
    for count, wanted in (
        (tf.size(x), 6), (tf.rank(x), 2), (tf.shape(x)[1], 3),
        (tf.data.Dataset.range(5).cardinality(), 5),
    ):  # fmt: skip
        assert isinstance(count, int)
        assert count == count.numpy() == wanted
        assert isinstance(count.numpy(), np.integer)
        assert count.shape == ()
    assert tf.reshape(x, (tf.shape(x)[1], -1)).shape == (3, 2)
    assert float(tf.cast(tf.size(x), tf.float32) / 4) == 1.5


def test_data_sets_give_numpy_bytes_for_text_and_arrays_of_the_callers_own():
    ds = tf.data.Dataset.from_tensor_slices({"t": ["x", "\u00e9"], "n": [1, 2]})
    assert list(ds.as_numpy_iterator()) == [{"t": b"x", "n": 1}, {"t": "\u00e9".encode(), "n": 2}]
    assert next(ds.batch(2).as_numpy_iterator())["t"].tolist() == [b"x", "\u00e9".encode()]
    rows = np.ones((2, 2), "float32")
    first = tf.data.Dataset.from_tensor_slices(rows).as_numpy_iterator().next()
    first += 1.0
    assert rows.tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_unique_names_its_results():
    found = tf.unique_with_counts([3, 3, 1])
    assert (found.y.tolist(), found.idx.tolist(), found.count.tolist()) == (
        [3, 1],
        [0, 0, 1],
        [2, 1],
    )
    assert tf.unique([3, 3, 1]).idx.tolist() == [0, 0, 1]


def test_a_variable_is_a_target_of_a_tape():
    v, w = tf.Variable([2.0, 3.0]), tf.Variable(1.0)
    with tf.GradientTape() as tape:
        target = v
    by_v, by_w = tape.gradient(target, [v, w])
    assert by_v.tolist() == [1.0, 1.0]
    assert by_w is None


def test_modules_need_not_set_their_base_up():
    class Late(tf.Module):
        def __init__(self):
            self.v = None

        def __call__(self, x):
            if self.v is None:
                self.v = tf.Variable(tf.ones_like(x))
            return self.v * x

    class First(tf.Module):
        def __init__(self, name=None):
            self.a = tf.Variable(1.0)
            super().__init__(name=name)
            self.late = Late()

    late = Late()
    assert late(tf.constant([2.0])).tolist() == [2.0]
    assert len(late.trainable_variables) == 1
    first = First("first")
    assert (first.name, len(first.variables), len(first.submodules)) == ("first", 1, 1)


OPERATORS = "add sub mul truediv floordiv mod pow lt le gt ge eq ne".split()


@pytest.mark.parametrize("name", OPERATORS)
def test_sizes_compute_beside_tensors_and_variables(name):
    apply = getattr(operator, name)
    size = tf.shape(np.zeros((2, 3)))[1]
    assert apply(size, 3) == apply(3, 3)
    for values in (np.array([1, 2, 3], np.int32), np.array([1.0, 2.0, 3.0], np.float32)):
        for held in (tf.constant(values), tf.Variable(values)):
            np.testing.assert_array_equal(apply(held, size), apply(tf.constant(values), 3))
            np.testing.assert_array_equal(apply(size, held), apply(3, tf.constant(values)))


def test_a_size_stays_a_number():
    size = tf.shape(np.zeros((2, 3)))[1]
    assert {size: "three"}[3] == "three"
    assert "a" * size == size * "a" == "aaa"
    assert [0] * size == [0, 0, 0]
    assert pow(size, 2, 5) == 4
    assert size != "3"
    with pytest.raises(TypeError, match="unsupported operand"):
        size + "3"
    places = tf.range(size)
    causal = places[:, None] >= places - size + 3
    assert causal.numpy().tolist() == np.tri(3, dtype=bool).tolist()


class CausalMask(tf.layers.Layer):
    """A mask for each sample, whose number is joined to a shape."""

    def call(self, inputs):
        sizes = tf.shape(inputs)
        places = tf.range(sizes[1])
        mask = tf.reshape(places[:, None] >= places, [1, sizes[1], sizes[1]])
        ones = tf.constant([1, 1], dtype=tf.int32)
        return tf.tile(mask, tf.concat([tf.expand_dims(sizes[0], -1), ones], 0))


def test_an_open_batch_is_joined_to_a_shape():
    x, layer = np.ones((3, 2), np.float32), CausalMask()
    wanted = np.broadcast_to(np.tri(2, dtype=bool), (3, 2, 2))
    inputs = tf.Input((2,))
    for call in (layer, tf.function(layer), tf.Model(inputs, layer(inputs))):
        np.testing.assert_array_equal(call(x), wanted)
