"""Inputs that leave sizes besides the batch open: shapes, training, prediction, files, errors."""

import pickle
import threading

import numpy as np
import pytest

import fastnn
from fastnn import _core, layers, ops
from fastnn.errors import FormatError, ShapeError
from fastnn.tracing.sizes import read_size, written_size
from fastnn.training.step import KEPT_STEPS


def steps_model(size=None, seed=3):
    """Steps of two features, masked, normalised and averaged; `size` fixes the steps."""
    fastnn.utils.set_random_seed(seed)
    x = fastnn.Input((size, 2))
    y = layers.Dense(5, activation="tanh")(x)
    y = layers.LayerNormalization()(y)
    y = ops.mean(y, axis=1)
    return fastnn.Model(x, layers.Dense(1)(y))


def batches(rng, count=12):
    """Batches whose number of steps varies."""
    out = []
    for _ in range(count):
        x = rng.normal(size=(4, int(rng.integers(2, 9)), 2)).astype(np.float32)
        out.append((x, x.sum((1, 2), keepdims=True)[:, 0]))
    return out


# ---- shapes --------------------------------------------------------------------------------------

ROWS = [
    (lambda: layers.Masking(), (None, 2), (None, None, 2)),
    (lambda: layers.Dense(7), (None, 2), (None, None, 7)),
    (lambda: layers.Flatten(), (None, 2), (None, None)),
    (lambda: layers.Flatten(), (3, None), (None, None)),
    (lambda: layers.Reshape((-1, 4)), (None, 2), (None, None, 4)),
    (lambda: layers.Reshape((3, 5)), (None,), (None, 3, 5)),
    (lambda: layers.Reshape((7, -1)), (None, 2), (None, 7, None)),
    (lambda: layers.Permute((2, 1)), (None, 2), (None, 2, None)),
    (lambda: layers.Cropping1D((1, 2)), (None, 2), (None, None, 2)),
    (lambda: layers.ZeroPadding1D(2), (None, 2), (None, None, 2)),
    (lambda: layers.UpSampling1D(3), (None, 2), (None, None, 2)),
    (lambda: layers.Cropping2D(1), (None, 6, 2), (None, None, 4, 2)),
    (lambda: layers.ZeroPadding2D(1), (None, None, 2), (None, None, None, 2)),
    (lambda: layers.UpSampling2D((2, 3)), (4, None, 2), (None, 8, None, 2)),
    (lambda: layers.BatchNormalization(), (None, 2), (None, None, 2)),
    (lambda: layers.GroupNormalization(2), (None, 4), (None, None, 4)),
    (lambda: layers.RepeatVector(3), (None,), (None, 3, None)),
    (lambda: layers.Softmax(), (None, None), (None, None, None)),
    (lambda: layers.SpatialDropout1D(0.5), (None, 2), (None, None, 2)),
    (lambda: layers.Lambda(lambda x: ops.max(x, axis=1)), (None, 2), (None, 2)),
]  # fmt: skip


@pytest.mark.parametrize(("make", "given", "wanted"), ROWS)
def test_what_follows_from_an_open_size_is_open_and_the_rest_is_known(make, given, wanted):
    layer = make()
    assert layer(fastnn.Input(given)).shape == wanted
    assert tuple(make().compute_output_shape((None, *given))) == wanted
    filled = tuple(6 if d is None else d for d in given)
    if wanted != (None, 3, 5) and wanted != (None, 7, None):  # six elements do not fit these
        for x in (np.ones((2, *filled), np.float32), np.ones((3, *filled), np.float32)):
            have = tuple(np.asarray(layer(x)).shape)
            assert len(have) == len(wanted)
            assert all(w in (None, h) for w, h in zip(wanted, have, strict=True))


def test_operators_and_ops_follow_open_sizes():
    x = fastnn.Input((None, 4))
    assert (x * 2.0 + 1.0).shape == (None, None, 4)
    assert x[:, 1:, :2].shape == (None, None, 2)
    assert x[:, 0].shape == (None, 4)
    assert ops.matmul(x, ops.transpose(x, (0, 2, 1))).shape == (None, None, None)
    assert ops.matmul(ops.transpose(x, (0, 2, 1)), x).shape == (None, 4, 4)
    assert ops.concatenate([x, fastnn.Input((None, 3))], axis=-1).shape == (None, None, 7)
    assert layers.Add()([x, x]).shape == (None, None, 4)
    assert layers.Dot(axes=(2, 2))([x, fastnn.Input((6, 4))]).shape == (None, None, 6)


def test_an_open_size_that_meets_a_known_one_takes_it():
    x = fastnn.Input((None, 4))
    assert layers.Add()([x, fastnn.Input((10, 4))]).shape == (None, 10, 4)
    assert layers.Concatenate()([fastnn.Input((10, 3)), x]).shape == (None, 10, 7)
    table = np.arange(40, dtype=np.float32).reshape(10, 4)
    y = x + table
    assert y.shape == (None, 10, 4)
    model = fastnn.Model(x, y)
    assert np.array_equal(model.predict(np.ones((2, 10, 4)), verbose=0)[1], table + 1.0)
    with pytest.raises(ShapeError, match="4 against 5"):
        layers.Add()([x, fastnn.Input((10, 5))])


def test_windows_may_be_wide():
    x = fastnn.Input((None, 4))
    assert layers.Cropping1D(200)(x).shape == (None, None, 4)
    assert x[:, 1000].shape == (None, 4)
    assert layers.Cropping1D(1500)(fastnn.Input((None, 4))).shape == (None, None, 4)


def test_counts_and_shapes_that_would_depend_on_an_open_size_are_refused():
    x = fastnn.Input((None, 4))
    with pytest.raises(ShapeError, match=r"number of outputs.*open \(None\)\n  hint:"):
        ops.unstack(x, axis=1)
    with pytest.raises(ShapeError, match=r"\(-1, None, 2\) leaves a size open"):
        ops.reshape(x, (-1, None, 2))
    assert ops.reshape(x, (None, -1)).shape == (None, None)


def test_a_fixed_batch_stays_beside_an_open_size():
    assert layers.Reshape((3, 5))(fastnn.Input(batch_shape=(2, None))).shape == (2, 3, 5)
    assert layers.Flatten()(fastnn.Input(batch_shape=(5, 2, None))).shape == (5, None)


def test_layers_are_traced_once_whatever_is_open():
    calls = []

    class Counted(layers.Layer):
        def call(self, x):
            calls.append(x.shape)
            return x * 2.0

    Counted()(fastnn.Input((3,)))
    assert calls == [(None, 3)]
    Counted()(fastnn.Input((None,)))
    assert calls[1:] == [(None, None)]


# ---- running -------------------------------------------------------------------------------------


def test_every_size_gives_the_bits_of_the_model_built_for_it(rng):
    open_model = steps_model()
    assert open_model.input_shape == (None, None, 2)
    for size in (1, 2, 5, 9, 5):
        fixed = steps_model(size)
        fixed.set_weights(open_model.get_weights())
        x = rng.normal(size=(3, size, 2)).astype(np.float32)
        want = fixed.predict(x, verbose=0)
        assert np.array_equal(open_model.predict(x, verbose=0), want)
        assert np.array_equal(np.asarray(open_model(x)), want)
        assert np.array_equal(np.asarray(open_model(x[:1])), np.asarray(fixed(x[:1])))
        assert np.array_equal(open_model.predict_on_batch(x), want)


def test_training_on_varying_sizes_equals_training_step_by_step(rng):
    data = batches(rng)
    model, other = steps_model(), steps_model()
    for m in (model, other):
        m.compile(fastnn.optimizers.Adam(0.01), "mse", metrics=["mae"])
    history = model.fit(iter(data), epochs=1, verbose=0).history
    losses = [other.train_on_batch(x, y, return_dict=True)["loss"] for x, y in data]
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        assert np.array_equal(a, b)
    sizes = [len(x) for x, _ in data]
    assert history["loss"][0] == pytest.approx(np.average(losses, weights=sizes))
    found = model.evaluate(iter(data), verbose=0, return_dict=True)
    errors = [np.abs(model.predict(x, verbose=0) - y) for x, y in data]
    assert found["mae"] == pytest.approx(np.mean(errors), rel=1e-5)


def test_fit_learns_from_sequences_of_all_lengths(rng):
    fastnn.utils.set_random_seed(1)
    x = fastnn.Input((None, 1))
    model = fastnn.Model(x, layers.Dense(1)(ops.mean(x, axis=1)))
    model.compile(fastnn.optimizers.Adam(0.1), "mse")

    def source():
        while True:
            batch = rng.normal(size=(16, int(rng.integers(1, 7)), 1)).astype(np.float32)
            yield batch, 3.0 * batch.mean(1) - 1.0

    model.fit(source(), steps_per_epoch=60, epochs=2, verbose=0)
    kernel, bias = model.get_weights()
    assert kernel[0, 0] == pytest.approx(3.0, abs=0.05)
    assert bias[0] == pytest.approx(-1.0, abs=0.05)


@pytest.mark.parametrize("eager", [False, True])
def test_masked_steps_do_not_count_in_moving_averages(eager):
    data = np.tile(np.array([[1, 5], [2, 5], [0, 0], [0, 0]], np.float32), (10, 1, 1))
    x = fastnn.Input((None, 2))
    normed = layers.BatchNormalization(momentum=0.0)(layers.Masking()(x))
    model = fastnn.Model(x, normed)
    model.compile("rmsprop", "mse", run_eagerly=eager)
    model.fit(data, data, epochs=2, batch_size=10, verbose=0)
    np.testing.assert_allclose(model.layers[2].moving_mean.numpy(), [1.5, 5.0], atol=1e-5)
    np.testing.assert_allclose(model.layers[2].moving_variance.numpy(), [0.25, 0.0], atol=1e-5)


def test_predict_joins_batches_of_other_sizes_where_the_outputs_have_one(rng):
    model = steps_model()
    data = [x for x, _ in batches(rng, 5)]
    out = model.predict(iter(data), verbose=0)
    assert out.shape == (20, 1)
    assert np.array_equal(out[8:12], model.predict(data[2], verbose=0))
    x = fastnn.Input((None, 2))
    each = fastnn.Model(x, layers.Dense(3)(x))
    with pytest.raises(
        ShapeError, match=r"outputs of different sizes.*\n  hint: .*predict_on_batch"
    ):
        each.predict(iter([np.ones((1, 2, 2), np.float32), np.ones((1, 3, 2), np.float32)]))


def test_two_open_axes_and_two_open_inputs(rng):
    image, words = fastnn.Input((None, None, 3)), fastnn.Input((None,), dtype="int32")
    a = ops.mean(layers.Dense(4)(layers.ZeroPadding2D(1)(image)), axis=(1, 2))
    b = ops.mean(layers.Embedding(9, 4)(words), axis=1)
    model = fastnn.Model([image, words], layers.Dense(2)(layers.Multiply()([a, b])))
    model.compile("adam", "mse")
    for height, width, length in ((2, 3, 4), (5, 2, 1), (2, 3, 4)):
        x = [rng.normal(size=(6, height, width, 3)).astype(np.float32),
             rng.integers(0, 9, (6, length))]  # fmt: skip
        model.fit(x, np.zeros((6, 2)), verbose=0)
        assert model.predict(x, verbose=0).shape == (6, 2)


def test_nested_and_subclassed_models_take_open_sizes(rng):
    inner = steps_model()
    x = fastnn.Input((None, 2))
    outer = fastnn.Model(x, inner(layers.Dense(2)(x)) * 2.0)
    assert outer.output_shape == (None, 1)

    class Own(fastnn.Model):
        def __init__(self):
            super().__init__()
            self.first, self.rest = layers.Dense(2), inner

        def call(self, inputs):
            return self.rest(self.first(inputs)) * 2.0

    own = Own()
    own.build((None, None, 2))
    own.first.set_weights(outer.layers[1].get_weights())
    for size in (2, 6):
        data = rng.normal(size=(3, size, 2)).astype(np.float32)
        assert np.array_equal(own.predict(data, verbose=0), outer.predict(data, verbose=0))


def test_sequential_takes_open_sizes(rng):
    model = fastnn.Sequential(
        [fastnn.Input((None, 4)), layers.LayerNormalization(), layers.Dense(3), layers.Flatten()]
    )
    assert model.output_shape == (None, None)
    for size in (2, 5):
        x = rng.normal(size=(2, size, 4)).astype(np.float32)
        assert model.predict(x, verbose=0).shape == (2, 3 * size)
        assert np.array_equal(np.asarray(model(x)), model.predict(x, verbose=0))


def test_a_sequential_without_input_takes_every_size_its_layers_take():
    model = fastnn.Sequential([layers.Reshape((-1, 8))])
    model.compile(loss="mse")

    def source():
        for size, rows in ((12, 3), (20, 5)):
            yield np.ones((1, size, 2), np.float32), np.zeros((1, rows, 8), np.float32)

    with pytest.warns(UserWarning, match="trainable weights"):
        history = model.fit(source(), steps_per_epoch=2, epochs=1, verbose=0)
    assert history.history["loss"] == [1.0]
    assert [np.asarray(model(np.ones((1, n, 2), np.float32))).shape[1] for n in (12, 24)] == [3, 6]
    dense = fastnn.Sequential([layers.Dense(1)])
    dense.compile("sgd", "mse")
    dense.fit(np.ones((4, 3)), np.ones(4), verbose=0)
    with pytest.raises(ShapeError, match=r"x has 2 features, model '.*' expects 3"):
        dense.predict(np.ones((4, 2)), verbose=0)


def test_threads_predict_different_sizes_at_once(rng):
    model = steps_model()
    data = [rng.normal(size=(5, n, 2)).astype(np.float32) for n in range(1, 9)]
    want = [model.predict(x, verbose=0) for x in data]
    wrong = []

    def work(start):
        for i in range(40):
            k = (start + i) % len(data)
            if not np.array_equal(model.predict(data[k], verbose=0), want[k]):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []


def test_a_model_keeps_a_bounded_number_of_compiled_sizes():
    model = steps_model()
    model.compile("sgd", "mse")
    for size in range(1, KEPT_STEPS + 10):
        model.train_on_batch(np.ones((1, size, 2), np.float32), np.ones((1, 1), np.float32))
        model.predict(np.ones((1, size, 2), np.float32), verbose=0)
    assert len(model._step_programs) == 1
    assert len(model._predict_programs) == 1
    model.compile("sgd", lambda y, p: ops.square(y - p) * (1e-3 * int(model.size)))
    for size in range(1, KEPT_STEPS + 10):
        model.size = size  # another step each
        model.train_on_batch(np.ones((1, size, 2), np.float32), np.ones((1, 1), np.float32))
    assert len(model._step_programs) == KEPT_STEPS
    assert np.isfinite(model.predict(np.ones((1, 1, 2), np.float32), verbose=0)).all()


# ---- masks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [4, None])
def test_the_mask_of_a_symbolic_tensor_can_be_an_output(size, tmp_path):
    x = fastnn.Input((size, 2))
    y = layers.Dense(3)(layers.Masking()(x))
    assert y.mask.shape == (None, size)
    assert y.mask.dtype == "bool"
    model = fastnn.Model(x, [y, ops.cast(y.mask, "float32")])
    data = np.array([[[0, 0], [1, 2], [0, 0], [3, 4]]], np.float32)
    assert np.asarray(model(data)[1]).tolist() == [[0, 1, 0, 1]]
    assert model.predict(data, verbose=0)[1].tolist() == [[0, 1, 0, 1]]
    model.save(tmp_path / "m.safetensors")
    again = fastnn.models.load_model(tmp_path / "m.safetensors")
    assert again.predict(data, verbose=0)[1].tolist() == [[0, 1, 0, 1]]
    copy = fastnn.models.clone_model(model, clone_function=lambda layer: layer)
    assert copy.predict(data, verbose=0)[1].tolist() == [[0, 1, 0, 1]]
    with pytest.raises(ValueError, match=r"mask of a layer's output.*Keras file(.|\n)*safetensors"):
        model.save(tmp_path / "m.keras")


# ---- texts and files -----------------------------------------------------------------------------


def test_summary_shows_open_sizes_and_clones_keep_them(capsys):
    model = steps_model()
    model.summary()
    assert "(None, None, 5)" in capsys.readouterr().out
    copy = fastnn.models.clone_model(model)
    assert copy.input_shape == (None, None, 2)
    assert copy.predict(np.ones((2, 7, 2), np.float32), verbose=0).shape == (2, 1)
    assert fastnn.models.model_from_json(model.to_json()).input_shape == (None, None, 2)


@pytest.mark.parametrize("name", ["m.safetensors", "m.keras"])
def test_saved_models_keep_open_sizes(name, tmp_path, rng):
    if name.endswith(".keras"):
        pytest.importorskip("h5py", reason="needs the extra [keras-files]")
    model = steps_model()
    model.compile("adam", "mse")
    data = batches(rng, 4)
    model.fit(iter(data), verbose=0)
    model.save(tmp_path / name)
    again = fastnn.models.load_model(tmp_path / name)
    assert again.input_shape == (None, None, 2)
    model.reset_metrics()
    for x, y in data:
        assert np.array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
        assert again.train_on_batch(x, y) == model.train_on_batch(x, y)
    weights = tmp_path / ("w.weights.h5" if name.endswith(".keras") else "w.safetensors")
    model.save_weights(weights)
    other = steps_model(seed=9)
    other.load_weights(weights)
    assert np.array_equal(other.predict(x, verbose=0), model.predict(x, verbose=0))


def test_a_file_without_inference_graph_says_what_is_missing(tmp_path):
    steps_model().save_weights(tmp_path / "m.safetensors")
    with pytest.raises(FormatError, match=r"no inference graph\n  hint: .*load_model"):
        _core.Model.load(str(tmp_path / "m.safetensors"))


@pytest.mark.parametrize("shape", [(None, 4), (None, None, 3)])
def test_a_file_of_open_sizes_runs_without_layers_at_every_size(shape, tmp_path, rng):
    fastnn.utils.set_random_seed(4)
    x = fastnn.Input(shape)
    y = layers.Dense(5, activation="tanh")(layers.LayerNormalization()(x))
    y = ops.concatenate([y, y[:, ::2] if len(shape) == 3 else y], axis=1)
    y = layers.Dense(2)(ops.mean(y, axis=tuple(range(1, len(shape)))))
    model = fastnn.Model(x, y)
    model.save(tmp_path / "m.safetensors")
    core = _core.Model.load(str(tmp_path / "m.safetensors"))
    for size in (1, 4, 7):
        filled = [size + i if d is None else d for i, d in enumerate(shape)]
        data = rng.normal(size=(3, *filled)).astype(np.float32)
        assert np.array_equal(core.predict(data), model.predict(data, verbose=0))
    wrong = np.ones((3, *(2 for _ in shape[:-1]), 9), np.float32)
    with pytest.raises(ShapeError, match=r"\(batch, (time|height)"):
        core.predict(wrong)


def test_sizes_of_traced_tensors_are_there_to_compute_with(rng):
    class Own(layers.Layer):
        def call(self, x):
            rows, steps = ops.shape(x)[0], ops.shape(x)[1]
            total = ops.sum(x, axis=1) / ops.cast(steps, "float32")
            flat = ops.reshape(x, (-1, ops.shape(x)[1] * 4))
            pad = ops.zeros((rows, 3))
            where = ops.cast(ops.arange(steps), "float32")[None, :, None]
            wide = ops.concatenate([total, pad, ops.sum(flat, axis=1, keepdims=True)], axis=1)
            return wide + ops.mean(where) + ops.cast(rows, "float32")

    x = fastnn.Input((None, 4))
    layer = Own()
    model = fastnn.Model(x, layer(x))
    assert model.output_shape == (None, 8)
    assert ops.shape(x) == (None, None, 4)
    for size in (1, 3, 6):
        data = rng.normal(size=(2, size, 4)).astype(np.float32)
        want = np.concatenate([data.mean(1), np.zeros((2, 3)), data.sum((1, 2))[:, None]], 1)
        want = want + (size - 1) / 2 + 2
        np.testing.assert_allclose(model.predict(data, verbose=0), want, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(np.asarray(model(data)), want, rtol=1e-4, atol=1e-5)


def test_sizes_in_the_arguments_of_functional_models_follow_the_inputs(rng):
    x = fastnn.Input((None, 4))
    n = ops.shape(x)[1]
    model = fastnn.Model(x, ops.reshape(x, (-1, n * 2, 2)))
    assert model.output_shape == (None, None, 2)
    for size in (1, 5):
        data = rng.normal(size=(3, size, 4)).astype(np.float32)
        assert np.array_equal(np.asarray(model(data)), data.reshape(3, 2 * size, 2))
        assert np.array_equal(model.predict(data, verbose=0), data.reshape(3, 2 * size, 2))


def test_axes_longer_than_int32_are_indexed_right_or_refused():
    n = 2**31 + 16
    x, i = _core.placeholder((n,)), _core.placeholder((1,), dtype="int32")
    f = _core.Function([x, i], [ops.take_along_axis(x, i, 0)])
    zeros = np.zeros(n, np.float32)  # pages that nobody writes take no memory
    assert f(zeros, np.array([-1], np.int32)).numpy().tolist() == [0.0]
    with pytest.raises(ShapeError, match="int32 positions"):
        ops.argmax(x)


def test_work_that_makes_no_elements_ends_at_once():
    x = _core.tensor(np.zeros((2**40, 3, 0), np.float32))
    assert ops.take(x, np.array([0, 2]), axis=1).numpy().shape == (2**40, 2, 0)
    assert ops.concatenate([x, x], axis=1).numpy().shape == (2**40, 6, 0)
    assert ops.sum(x, axis=1).numpy().shape == (2**40, 0)
    assert ops.softmax(x, axis=1).numpy().shape == (2**40, 3, 0)


def test_an_open_size_is_no_number_before_data_is_there():
    n = ops.shape(fastnn.Input((None, 4)))[1]
    assert n == None  # noqa: E711
    assert (n * 2) // 2 == n
    assert n + 1 - 1 == n
    assert (2 * n + 4) // 2 == n + 2
    assert n + 1 > n
    for use in (int, float, range, lambda n: n > 3, lambda n: np.zeros(n)):
        with pytest.raises((_core.TraceError, TypeError), match="time"):
            use(n)


# ---- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "shape", "text"),
    [
        (lambda: layers.Dense(2, name="d"), (None,), "Dense layer should be defined. Layer 'd'"),
        (lambda: layers.GroupNormalization(name="g"), (2, None), "'g': axis -1 .* defined dim"),
        (lambda: layers.LayerNormalization(axis=[1, 2]), (None, 3), "axis 1 of the input"),
        (lambda: layers.BatchNormalization(), (3, None), "axis -1 of the input"),
        (lambda: layers.PReLU(name="p"), (None, 2), "layer 'p' .*'alpha'.* open on axis 0"),
    ],
)  # fmt: skip
def test_weights_that_would_need_an_open_size_are_refused(make, shape, text):
    with pytest.raises(ShapeError, match=text) as caught:
        make()(fastnn.Input(shape))
    assert "hint: " in str(caught.value)
    assert "Input(shape=...)" in str(caught.value)


def test_a_layer_inside_a_layer_that_needs_an_open_size_is_named():
    class Own(layers.Layer):
        def __init__(self):
            super().__init__(name="own")
            self.inner = layers.Dense(3, name="inner")

        def call(self, x):
            return self.inner(ops.reshape(x, (x.shape[0], -1)))

    with pytest.raises(
        ShapeError, match=r"'inner' found None(.|\n)*'inner' \(Dense\)(.|\n)*Input\(shape"
    ):
        Own()(fastnn.Input((None, 2)))


def test_fixed_sizes_beside_open_ones_are_still_checked():
    model = steps_model()
    model.compile("sgd", "mse")
    with pytest.raises(ShapeError, match=r"samples of shape \(5, 3\), model .* \(None, 2\)"):
        model.predict(np.ones((2, 5, 3), np.float32), verbose=0)
    with pytest.raises(ShapeError, match="samples of shape"):
        model.fit(np.ones((2, 5, 3), np.float32), np.ones(2), verbose=0)


def test_open_sizes_of_the_core_have_names_and_take_any_size():
    x = _core.placeholder((None, None, 2), name="x")
    y = _core.placeholder((None, "steps", 2), name="y")
    assert x.shape == (None, None, 2)
    assert str(x.shape[1]).startswith("time")
    f = _core.Function([y], [_core.ops.mean(y, axis=1)])
    for size in (1, 3, 8):
        data = np.arange(4 * size, dtype=np.float32).reshape(2, size, 2)
        np.testing.assert_allclose(f(data).numpy(), data.mean(1), rtol=1e-6)
    two = _core.Function([x, y], [x + y])
    with pytest.raises(ShapeError, match=r"\(2, 3, 2\) and \(2, 5, 2\) do not broadcast"):
        two(np.ones((2, 3, 2), np.float32), np.ones((2, 5, 2), np.float32))
    same = _core.Function([y, z := _core.placeholder((None, "steps"))], [y, z])
    with pytest.raises(ShapeError, match="do not share one size 'steps'"):
        same(np.ones((2, 3, 2), np.float32), np.ones((2, 5), np.float32))


def test_a_size_of_two_to_the_thirty_one_minus_one_is_a_size_like_any_other():
    x = _core.placeholder((2147483647,))
    assert x.shape == (2147483647,)
    assert _core.ops.reshape(x, shape=(1, -1)).shape == (1, 2147483647)
    assert _core.ops.slice(x, begin=0, end=2147483647, step=1000000).shape == (2148,)
    key = np.array([1, 2, 3, 0], np.int32)
    drawn = _core.ops.random_integers(key, shape=(1000,), low=-2147483648, high=2147483647)
    assert drawn.numpy().min() < -(10**9)
    assert drawn.numpy().max() > 10**9


def test_ops_on_sizes_alone_follow_the_inputs_in_every_copy_of_a_model(rng, tmp_path):
    i = fastnn.Input((None, 4))
    b, n, _ = ops.shape(i)
    mean = ops.sum(i, axis=1) / ops.cast(n, "float32")
    place = ops.expand_dims(ops.cast(ops.arange(n), "float32"), -1)
    grown = ops.sum(i * ops.ones((b, n, 1)), axis=1) + ops.full((b, 4), 2.0) + ops.sqrt(n)
    pairs = ops.max(ops.reshape(i, (b, 2 * n, 2)), axis=1)
    x = fastnn.layers.Concatenate()([mean, ops.sum(i * place, axis=1), grown, pairs])
    model = fastnn.Model(i, fastnn.layers.Dense(1, kernel_initializer="ones")(x))
    model.save(tmp_path / "m.safetensors")
    clone = fastnn.models.clone_model(model)
    clone.set_weights(model.get_weights())
    j = fastnn.Input((None, 4))
    copies = [
        clone, pickle.loads(pickle.dumps(model)), fastnn.Model(j, model(j)),
        fastnn.models.load_model(tmp_path / "m.safetensors"),
    ]  # fmt: skip
    for size in (3, 5, 1):
        data = rng.normal(size=(2, size, 4)).astype("f")
        parts = [
            data.mean(1), (data * np.arange(size)[:, None]).sum(1),
            data.sum(1) + 2 + size**0.5, data.reshape(2, -1, 2).max(1),
        ]  # fmt: skip
        want = np.concatenate(parts, 1).sum(1, keepdims=True)
        for m in (model, *copies):
            np.testing.assert_allclose(m.predict(data, verbose=0), want, rtol=1e-4, atol=1e-4)
    for m in (model, *copies):
        m.compile("sgd", "mse")
        for size in (3, 5):
            assert np.isfinite(m.train_on_batch(np.ones((2, size, 4), "f"), np.ones((2, 1))))


def test_a_written_size_is_read_as_it_was_or_refused():
    n = ops.shape(fastnn.Input((None, 4)))[1]
    places = {str(n): [0, 0, 1]}
    tensors = {(0, 0): fastnn.Input((None, 3))}
    for size in (n, 2 * n + 1, (n - 1) // 2, n * n - 3 * n, -n, n % 3, 2 * (n // 3), n // 2 * n):
        other = ops.shape(tensors[0, 0])[1]
        assert read_size(written_size(size, places), tensors) == size.bind({str(n): other})
    with pytest.raises(ValueError, match=r"cannot be written down\n  hint: "):
        written_size(n, {})
    for text in ("size_0_0_9", "size_1_0_0", "__import__('os')", "9**9", "(" * 999, "", None):
        with pytest.raises(fastnn.errors.FormatError, match="hint: "):
            read_size(text, tensors)


@pytest.mark.parametrize("k", [-1, 0, 2])
@pytest.mark.parametrize("name", ["tril", "triu"])
def test_triangles_of_open_sizes_are_those_of_numpy(name, k, rng):
    i = fastnn.Input((None, 4))
    model = fastnn.Model(i, getattr(ops, name)(i, k))
    for size in (1, 3, 6):
        data = rng.normal(size=(2, size, 4)).astype("f")
        np.testing.assert_array_equal(np.asarray(model(data)), getattr(np, name)(data, k))


@pytest.mark.parametrize(
    ("op", "shape"),
    [
        (lambda x: ops.cumprod(x, axis=1), (None, None, 4)),
        (lambda x: ops.diagonal(x, axis1=1, axis2=2), (None, None)),
        (lambda x: ops.pad(x, ((0, 0), (1, 1), (0, 0)), mode="reflect"), (None, None, 4)),
        (lambda x: ops.correlate(x[0, :, 0], [1.0, 2.0]), (None,)),
        (lambda x: ops.vander(x[0, :, 0]), (None, None)),
        (lambda x: ops.rfft(ops.moveaxis(x, 1, 2))[0], (None, 4, None)),
        (lambda x: ops.image.crop_images(x[..., None], 0, 1, None, None, 2, 3), (None, 2, 3, 1)),
        (lambda x: ops.image.extract_patches(x[..., None], (2, 2)), (None, None, 2, 4)),
    ],
)  # fmt: skip
def test_ops_that_need_a_size_take_that_of_the_data(op, shape, rng):
    i = fastnn.Input((None, 4))
    model = fastnn.Model(i, op(i))
    assert model.output_shape == shape
    for size in (6, 3, 9):
        data = rng.normal(size=(7, size, 4)).astype("f")
        want = np.asarray(op(data))
        np.testing.assert_allclose(np.asarray(model(data)), want, atol=1e-5)
        if len(want) == len(data):
            np.testing.assert_allclose(model.predict(data, verbose=0), want, atol=1e-5)


@pytest.mark.parametrize(
    "op", [lambda x: ops.unstack(x, axis=1), lambda x: ops.repeat(x, [1, 2], axis=1)]
)
def test_ops_that_need_a_size_name_the_axis_and_say_where_to_give_it(op):
    with pytest.raises(ShapeError, match=r"(?s)(axis|axes|size).*\n  hint: "):
        op(fastnn.Input((None, 4)))
