"""`tf.nn`, `tf.linalg`, `tf.math` and the top level take TensorFlow's arguments, and mean it."""

import numpy as np
import pytest

import fastnn as tf
from fastnn import ops


def f(rng, *shape):
    return rng.random(shape).astype("f")


def test_convolutions_take_tensorflows_strides_borders_and_layouts(rng):
    x, k = f(rng, 2, 9, 8, 3), f(rng, 3, 3, 3, 4)
    same = tf.nn.conv2d(x, k, strides=[1, 2, 2, 1], padding="SAME")
    np.testing.assert_array_equal(same, ops.conv(x, k, strides=2, padding="same"))
    borders = tf.nn.conv2d(x, k, 1, padding=[[0, 0], [1, 1], [2, 0], [0, 0]])
    padded = np.pad(x, [(0, 0), (1, 1), (2, 0), (0, 0)])
    np.testing.assert_allclose(borders, ops.conv(padded, k), rtol=1e-6)
    wide = tf.nn.atrous_conv2d(x, k, 2, "VALID")
    np.testing.assert_allclose(wide, ops.conv(x, k, dilation_rate=2), rtol=1e-6)
    each, point = f(rng, 3, 3, 3, 2), f(rng, 1, 1, 6, 5)
    np.testing.assert_allclose(
        tf.nn.separable_conv2d(x, each, point, [1, 1, 1, 1], "SAME"),
        ops.separable_conv(x, each, point, padding="same"), rtol=1e-5,
    )  # fmt: skip
    assert tf.nn.conv1d(f(rng, 2, 9, 3), f(rng, 3, 3, 4), stride=2, padding="VALID").shape == (
        2, 4, 4,
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"samples or channels\n  hint"):
        tf.nn.conv2d(x, k, [2, 1, 1, 1], "SAME")
    with pytest.raises(tf.ShapeError, match=r"wanted 4 axes\n  hint"):
        tf.nn.conv2d(x[0], k, 1, "SAME")


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(("size", "step"), [(3, 2), (4, 2), (2, 2), (5, 3), (3, 1), (1, 2)])
def test_a_transposed_convolution_is_the_gradient_of_the_convolution(rng, padding, size, step):
    """As TensorFlow defines it, for every size that the convolution makes of others."""
    k = f(rng, size, size, 2, 3)
    for n in range(6, 10):
        whole = tf.constant(f(rng, 1, n, n, 2))
        with tf.GradientTape() as tape:
            tape.watch(whole)
            out = tf.nn.conv2d(whole, k, step, padding)
        dy = f(rng, *out.shape)
        wanted = tape.gradient(out, whole, output_gradients=dy)
        if padding == "SAME" and n % step:
            continue  # refused where the layer has no such border
        found = tf.nn.conv2d_transpose(dy, k, (1, n, n, 2), step, padding)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_a_transposed_convolution_of_an_odd_size_is_right_or_refused(rng):
    k, refused = f(rng, 4, 4, 2, 3), 0
    for n, step in ((7, 2), (9, 2), (7, 3), (8, 3), (5, 4)):
        whole = tf.constant(f(rng, 1, n, n, 2))
        with tf.GradientTape() as tape:
            tape.watch(whole)
            out = tf.nn.conv2d(whole, k, step, "SAME")
        dy = f(rng, *out.shape)
        try:
            found = tf.nn.conv2d_transpose(dy, k, (1, n, n, 2), step, "SAME")
        except tf.DataError:
            refused += 1
            continue
        wanted = tape.gradient(out, whole, output_gradients=dy)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    assert refused < 5


def test_windows_are_pooled_by_tensorflows_arguments(rng):
    x = f(rng, 2, 6, 6, 3)
    np.testing.assert_array_equal(
        tf.nn.max_pool2d(x, ksize=2, strides=2, padding="VALID"), ops.max_pool(x, 2, 2)
    )
    np.testing.assert_array_equal(
        tf.nn.avg_pool(x, ksize=[1, 3, 3, 1], strides=[1, 1, 1, 1], padding="SAME"),
        ops.average_pool(x, 3, 1, "same"),
    )
    assert tf.nn.max_pool1d(x[:, :, 0], 2, 2, "VALID").shape == (2, 3, 3)
    assert tf.nn.pool(x, [2, 2], "AVG", strides=[2, 2]).shape == (2, 3, 3, 3)
    with pytest.raises(tf.ShapeError, match=r"wanted 4 axes\n  hint"):
        tf.nn.max_pool2d(x[0], 2, 2, "VALID")


def test_functions_of_the_same_name_have_tensorflows_order_and_defaults(rng):
    x = f(rng, 4, 5)
    mean, variance = tf.nn.moments(x, axes=[0])
    out = tf.nn.batch_normalization(x, mean, variance, 1.0, 2.0, 1e-3)
    wanted = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-3) * 2 + 1
    np.testing.assert_allclose(out, wanted, rtol=1e-5)
    np.testing.assert_allclose(tf.nn.gelu(x), ops.gelu(x, approximate=False), rtol=1e-6)
    np.testing.assert_allclose(tf.nn.leaky_relu(-x, alpha=0.1), -0.1 * x, rtol=1e-6)
    np.testing.assert_allclose(tf.nn.softmax(logits=x, axis=0), ops.softmax(x, axis=0))
    whole, size = tf.nn.normalize(x, axis=1)
    np.testing.assert_allclose(whole * size, x, rtol=1e-5)
    labels, logits = np.array([[1, 2, 2], [0, 1, 3]]), f(rng, 2, 7, 5)
    for blank, major in ((-1, True), (0, False)):
        told = labels if blank else labels + 1
        loss = tf.nn.ctc_loss(
            told, logits.swapaxes(0, 1) if major else logits, [3, 2], [7, 6],
            logits_time_major=major, blank_index=blank,
        )  # fmt: skip
        wanted = ops.ctc_loss(told, logits, [3, 2], [7, 6], mask_index=4 if blank else 0)
        np.testing.assert_allclose(loss, wanted, rtol=1e-5)
    z, y = f(rng, 3), np.array([0.0, 1.0, 1.0], "f")
    share = 1 / (1 + np.exp(-z))
    np.testing.assert_allclose(
        tf.nn.weighted_cross_entropy_with_logits(y, z, 3.0),
        -(3 * y * np.log(share) + (1 - y) * np.log(1 - share)), rtol=1e-5,
    )  # fmt: skip
    table = f(rng, 5, 2)
    np.testing.assert_array_equal(tf.nn.embedding_lookup(table, [[1], [4]]), table[[[1], [4]]])
    near = tf.nn.lrn(x[None, None], depth_radius=1, bias=2.0, alpha=0.5, beta=0.75)
    around = np.pad(x**2, ((0, 0), (1, 1)))
    around = around[:, :-2] + around[:, 1:-1] + around[:, 2:]
    np.testing.assert_allclose(near[0, 0], x / (2 + 0.5 * around) ** 0.75, rtol=1e-5)


def test_matrices_are_the_last_two_axes(rng):
    x = f(rng, 3, 4, 4)
    np.testing.assert_array_equal(tf.linalg.diag_part(x), np.diagonal(x, axis1=1, axis2=2))
    np.testing.assert_array_equal(tf.linalg.diag(x[0]), [np.diag(r) for r in x[0]])
    np.testing.assert_allclose(tf.linalg.trace(x), np.trace(x, axis1=1, axis2=2), rtol=1e-6)
    changed = x.copy()
    changed[:, range(4), range(4)] = 7.0
    np.testing.assert_array_equal(tf.linalg.set_diag(x, np.full((3, 4), 7.0, "f")), changed)
    wide = tf.linalg.set_diag(np.zeros((2, 3), "f"), [1.0, 2.0])
    assert wide.tolist() == [[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]]
    np.testing.assert_array_equal(tf.linalg.band_part(x, -1, 0), np.tril(x))
    np.testing.assert_array_equal(tf.linalg.band_part(x, 1, 1), np.triu(np.tril(x, 1), -1))
    values, left, right = tf.linalg.svd(x)
    back = left.numpy() * values.numpy()[:, None, :] @ right.numpy().swapaxes(1, 2)
    np.testing.assert_allclose(back, x, atol=1e-5)
    low, b = np.tril(x) + np.eye(4, dtype="f"), f(rng, 3, 4, 2)
    np.testing.assert_allclose(low @ tf.linalg.triangular_solve(low, b).numpy(), b, atol=1e-5)
    both = low @ low.swapaxes(1, 2)
    np.testing.assert_allclose(both @ tf.linalg.cholesky_solve(low, b).numpy(), b, atol=1e-4)
    np.testing.assert_allclose(tf.linalg.matvec(x, b[..., 0]), (x @ b[..., :1])[..., 0], rtol=1e-5)


def test_names_at_the_top_take_tensorflows_arguments(rng):
    x = f(rng, 2, 3, 4)
    np.testing.assert_allclose(tf.matmul(x, x, transpose_b=True), x @ x.swapaxes(1, 2), rtol=1e-5)
    np.testing.assert_allclose(tf.matmul(x, x, transpose_a=True), x.swapaxes(1, 2) @ x, rtol=1e-5)
    assert tf.stack(values=[x, x], axis=1).shape == (2, 2, 3, 4)
    assert tf.tile(input=x, multiples=[1, 2, 1]).shape == (2, 6, 4)
    assert tf.eye(3, batch_shape=[2]).shape == (2, 3, 3)
    assert tf.cumsum([1, 2, 3], exclusive=True).tolist() == [0, 1, 3]
    assert tf.math.cumsum([1, 2, 3], reverse=True).tolist() == [6, 5, 3]
    assert tf.math.cumprod([2.0, 3.0, 4.0], exclusive=True, reverse=True).tolist() == [12, 4, 1]
    assert tf.cast(x, dtype=tf.int32, name="whole").dtype == "int32"
    assert tf.math.top_k(x, k=2).values.shape == (2, 3, 2)
    assert tf.sequence_mask([1, 3], 3).tolist() == [[True, False, False], [True] * 3]
    values, at = tf.unique([4, 2, 4, 7])
    assert (values.tolist(), at.tolist()) == ([4, 2, 7], [0, 1, 0, 2])
    assert tf.tensor_scatter_nd_add(tf.zeros(3), [[1], [1]], [1.0, 2.0]).tolist() == [0, 3, 0]
    assert tf.tensor_scatter_nd_max([1.0, 2.0, 3.0], [[0], [0], [2]], [5.0, 4.0, 1.0]).tolist() == [
        5, 2, 3,
    ]  # fmt: skip
    assert tf.math.confusion_matrix([0, 1, 1], [0, 1, 0]).tolist() == [[1, 0], [1, 1]]
    assert (
        tf.case([(tf.constant(False), lambda: 1), (tf.constant(True), lambda: 2)], lambda: 3) == 2
    )
    assert tf.switch_case(tf.constant(1), [lambda: 5, lambda: 6]) == 6
    assert tf.foldl(lambda a, b: a - b, [1.0, 2.0, 3.0]) == -4
    assert tf.scan(lambda a, b: a + b, [1.0, 2.0, 3.0]).tolist() == [1, 3, 6]


@pytest.mark.parametrize(
    ("shape", "at", "axis", "dims"),
    [((2, 3, 4), (2, 5), 1, 1), ((2, 3, 4), (2, 3, 5), 2, 2), ((2, 3, 4), (2, 5), 2, 1),
     ((2, 3, 4, 2), (2, 3), 3, 1)],
)  # fmt: skip
def test_gather_goes_sample_by_sample(rng, shape, at, axis, dims):
    x, places = f(rng, *shape), rng.integers(0, shape[axis], at)
    wanted = np.stack([
        np.take(a, i, axis - 1) if dims == 1
        else np.stack([np.take(b, j, 0) for b, j in zip(a, i, strict=True)])
        for a, i in zip(x, places, strict=True)
    ])  # fmt: skip
    found = tf.gather(x, places, axis=axis, batch_dims=dims)
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(
        tf.function(lambda v: tf.gather(v, places, axis=axis, batch_dims=dims))(x), wanted
    )


def test_sizes_from_shape_are_numbers_to_compute_with(rng):
    x = f(rng, 2, 3, 4)
    sizes = tf.shape(x)
    assert sizes.numpy().tolist() == [2, 3, 4]
    assert sizes[:-1] // 2 == (1, 1)
    assert tf.reshape(x, tf.concat([sizes[:-1], [2, 2]], axis=0)).shape == (2, 3, 2, 2)
    i = tf.keras.Input((3, 4))
    out = tf.reshape(i, tf.concat([tf.shape(i)[:-1], [2, 2]], axis=0))
    ones = tf.ones((tf.cast(tf.shape(i)[0], tf.int64), 1))
    model = tf.keras.Model(i, [out, ones])
    found = model.predict(x, verbose=0)
    assert [a.shape for a in found] == [(2, 3, 2, 2), (2, 1)]


def test_python_functions_and_lists_of_tensors_run_where_values_are():
    def doubled(a, text):
        a[0] = 5.0
        assert text == b"path"
        return a * 2

    data = tf.data.Dataset.from_tensor_slices(np.ones((2, 3), "f"))
    data = data.map(lambda x: tf.numpy_function(doubled, [x, "path"], tf.float32))
    assert [x.tolist() for x in data] == [[10.0, 2.0, 2.0]] * 2
    assert tf.py_function(lambda x: x + 1, inp=[tf.constant(1)], Tout=tf.int32) == 2
    with pytest.raises(tf.TraceError, match=r"needs values.*\n  hint"):
        tf.jit(lambda x: tf.numpy_function(np.sin, [x], tf.float32))(tf.constant(1.0))
    found = tf.TensorArray(tf.float32, size=0, dynamic_size=True)
    for i in range(3):
        found = found.write(i, [float(i)])
    assert found.stack().tolist() == [[0.0], [1.0], [2.0]]
    assert found.concat().tolist() == [0.0, 1.0, 2.0]
    with pytest.raises(tf.DataError, match=r"are empty\n  hint"):
        tf.TensorArray(tf.float32, size=2).write(0, 1.0).stack()


def test_variables_modules_and_older_names_are_those_of_tensorflow():
    assert tf.Variable(initial_value=[1.0, 2.0]).shape == (2,)
    assert tf.Variable(lambda: tf.ones([3])).shape == (3,)
    for wrong in ({}, {"initializer": 1.0, "initial_value": 1.0}):
        with pytest.raises(TypeError, match=r"one first value.*\n  hint"):
            tf.Variable(**wrong)

    class Line(tf.Module):
        def __init__(self, name=None):
            super().__init__(name=name)
            self.w = tf.Variable(2.0)
            self.b = tf.Variable(0.0, trainable=False)

        def __call__(self, x):
            return self.w * x + self.b

    line = Line()
    assert float(line(3.0)) == 6.0
    assert len(line.trainable_variables) == 1
    assert tf.keras.layers.experimental.preprocessing.Rescaling is tf.keras.layers.Rescaling
    assert tf.data.experimental.AUTOTUNE == tf.data.AUTOTUNE
    loss = tf.keras.losses.MeanSquaredError(reduction=tf.keras.losses.Reduction.NONE)
    assert loss([[1.0]], [[3.0]]).tolist() == [4.0]
    assert tf.keras.losses.MeanSquaredError(reduction="auto").reduction == "sum_over_batch_size"
    assert tf.config.experimental.list_physical_devices("GPU") == []
    assert tf.constant_initializer(3.0)((2,)).tolist() == [3.0, 3.0]


def test_numbers_without_state_repeat_and_generators_go_on():
    a, b = (tf.random.stateless_normal((3,), seed=(1, 2)) for _ in range(2))
    assert a.tolist() == b.tolist()
    assert a.tolist() != tf.random.stateless_normal((3,), seed=(2, 1)).tolist()
    source = tf.random.Generator.from_seed(1)
    first = source.uniform((3,), 0, 10, dtype=tf.int32).tolist()
    assert first == tf.random.Generator.from_seed(1).uniform((3,), 0, 10, dtype=tf.int32).tolist()
    assert first != source.uniform((3,), 0, 10, dtype=tf.int32).tolist()
    assert source.make_seeds(2).shape == (2, 2)
    assert tf.random.gamma([4], alpha=[0.5]).shape == (4, 1)
    mean = tf.random.poisson([4000], lam=[2.0, 8.0], seed=1).numpy().mean(0)
    np.testing.assert_allclose(mean, [2.0, 8.0], atol=0.2)


def test_sizes_are_computed_with_as_numbers_and_joined_as_sequences():
    sizes, two = tf.shape(tf.ones((4, 6))), [2]
    made = [sizes + 1, 1 + sizes, 10 - sizes, sizes - 1, sizes // 2, 2 * sizes, sizes * [1, 2]]
    wanted = [(5, 7), (5, 7), (6, 4), (3, 5), (2, 3), (8, 12), (4, 12)]
    made += [two + sizes, sizes + two, sizes[:1], sizes[np.int64(1)] + sizes]
    wanted += [(2, 4, 6), (4, 6, 2), (4,), (10, 12)]
    assert [tuple(m.as_list()) for m in made] == wanted
