"""`Normalization` and `Rescaling`: what they are adapted to, given and called on."""

import pickle

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn.data import PyDataset
from fastnn.errors import DataError, ShapeError

X = np.random.default_rng(0).normal(3.0, 2.0, (24, 4)).astype("float32")
BATCHES = [X[:8], X[8:16], X[16:]]
LABELS = np.zeros(8)


class Numbered(PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, i):
        return BATCHES[i % 3], LABELS  # never an IndexError: its length is what ends it


SOURCES = {
    "array": lambda: X,
    "lists": lambda: X.tolist(),
    "rows": lambda: list(X),
    "tensor": lambda: fastnn.tensor(X),
    "list of batches": lambda: BATCHES,
    "tuple of batches": lambda: tuple(BATCHES),
    "batches of other sizes": lambda: [X[:5], X[5:]],
    "one batch": lambda: [X],
    "batches with targets": lambda: [(b, LABELS) for b in BATCHES],
    "generator": lambda: (b for b in BATCHES),
    "generator with weights": lambda: ((b, LABELS, LABELS) for b in BATCHES),
    "generator of rows": lambda: iter(X),
    "PyDataset": Numbered,
    "tf.data": lambda: fastnn.data.Dataset.from_tensor_slices((X, X[:, 0])).batch(5),
}


@pytest.mark.parametrize("source", SOURCES)
def test_normalization_adapts_to_every_source_of_the_same_samples(source):
    layer = layers.Normalization()
    layer.adapt(SOURCES[source]())
    np.testing.assert_allclose(layer.mean.numpy(), X.mean(0, keepdims=True), rtol=1e-5)
    np.testing.assert_allclose(layer.variance.numpy(), X.var(0, keepdims=True), rtol=1e-5)
    np.testing.assert_allclose(layer(X).numpy().std(0), 1.0, rtol=1e-5)


def test_normalization_adapts_to_batches_along_several_axes():
    x = np.random.default_rng(1).normal(size=(12, 4, 3, 5))
    layer = layers.Normalization(axis=(1, 2))
    layer.adapt([x[:5], x[5:]])
    assert layer.mean.shape == (1, 4, 3, 1)
    np.testing.assert_allclose(layer.mean.numpy()[0, ..., 0], x.mean((0, 3)), atol=1e-6)
    np.testing.assert_allclose(layer(x).numpy().var((0, 3)), 1.0, atol=1e-5)


def test_steps_bound_what_normalization_reads():
    layer, read = layers.Normalization(), iter(BATCHES)
    layer.adapt(read, steps=2)
    np.testing.assert_allclose(layer.mean.numpy()[0], X[:16].mean(0), rtol=1e-5)
    assert len(list(read)) == 1
    with pytest.raises(ValueError, match="steps=0"):
        layer.adapt(BATCHES, steps=0)


@pytest.mark.parametrize(
    ("data", "error", "text"),
    [
        ([], DataError, "empty iterable"),
        (iter([]), DataError, "empty iterable"),
        (np.zeros((0, 4)), DataError, "0 samples"),
        ([X[:0]], DataError, "0 samples"),
        (42, TypeError, "got int"),
        (np.float32(1.0), TypeError, r"`\.shape`"),
        (iter([42]), TypeError, r"`\.shape`"),
        ({"a": X}, TypeError, "got dict"),
        ("text", DataError, "text"),
        (iter([X, X[:, :3]]), ShapeError, "incompatible shape"),
        ([X, X[:, :1]], ShapeError, "incompatible shape"),
        (iter([X[:8, 0], X[:5, 0]]), ShapeError, r"x\[:, None\]"),
        (iter([[X, X]]), DataError, "samples and their targets"),
        (np.array([[1.0, np.nan]]), DataError, r"nan at position \(0, 1\)"),
        ([X, np.full((2, 4), np.inf)], DataError, "inf at position"),
    ],
)  # fmt: skip
def test_normalization_refuses_what_it_cannot_adapt_to(data, error, text):
    with pytest.raises(error, match=text) as caught:
        layers.Normalization().adapt(data)
    assert "hint:" in str(caught.value)


def test_adapting_again_to_other_features_is_refused_and_changes_nothing():
    layer = layers.Normalization()
    layer.adapt(X)
    with pytest.raises(ShapeError, match="an incompatible shape"):
        layer.adapt(X[:, :1])
    np.testing.assert_allclose(layer.mean.numpy()[0], X.mean(0), rtol=1e-5)


@pytest.mark.parametrize("axis", [3, -4, (1, 5), (1, -1)])
def test_normalization_refuses_an_axis_that_inputs_do_not_have_or_that_comes_twice(axis):
    layer = layers.Normalization(axis=axis)
    with pytest.raises(ShapeError, match=r"must be in the range|twice") as caught:
        layer.build((None, 3))
    assert "hint:" in str(caught.value)


@pytest.mark.parametrize("axis", [1.0, "last", True, [None]])
def test_normalization_refuses_an_axis_that_is_no_number(axis):
    with pytest.raises(TypeError, match="`axis`"):
        layers.Normalization(axis=axis)


def test_the_batch_and_open_sizes_cannot_be_kept():
    with pytest.raises(ValueError, match="batch axis"):
        layers.Normalization(axis=0).build((None, 3))
    with pytest.raises(ShapeError, match="known shape"):
        layers.Normalization(axis=1).build((None, None))


@pytest.mark.parametrize(
    ("axis", "mean", "shape", "wide"),
    [
        (-1, 5.0, (3, 7), np.full((1, 7), 5.0)),
        (2, np.arange(5.0), (2, 4, 5, 3), np.arange(5.0).reshape(1, 1, 5, 1)),
        ((1, 2), np.arange(5.0), (2, 7, 5, 3), np.tile(np.arange(5.0)[:, None], (1, 7, 1, 1))),
        ((1, 2), np.ones((7, 5)), (2, 7, 5, 3), np.ones((1, 7, 5, 1))),
        (-1, np.arange(3.0).reshape(1, 1, 3), (2, 4, 3), np.arange(3.0).reshape(1, 1, 3)),
        (None, 2.0, (2, 4), np.full((1, 1), 2.0)),
    ],
)
def test_given_statistics_meet_the_kept_axes(axis, mean, shape, wide):
    layer = layers.Normalization(axis=axis, mean=mean, variance=np.ones_like(mean) * 4)
    x = np.random.default_rng(2).normal(size=shape)
    np.testing.assert_allclose(layer(x).numpy(), (x - wide) / 2, atol=1e-6)
    np.testing.assert_array_equal(layer.mean.numpy(), wide)
    assert layer.variance.shape == wide.shape


@pytest.mark.parametrize("mean", [np.ones(2), np.ones((3, 1)), np.ones((5, 3))])
def test_given_statistics_of_other_sizes_are_refused(mean):
    layer = layers.Normalization(mean=mean, variance=np.ones_like(mean))
    with pytest.raises(ShapeError, match="`mean` has shape") as caught:
        layer(np.ones((2, 3)))
    assert "hint:" in str(caught.value)


@pytest.mark.parametrize("variance", [-1.0, [1.0, np.nan]])
def test_a_variance_below_zero_is_refused(variance):
    with pytest.raises(ValueError, match="`variance`"):
        layers.Normalization(mean=np.zeros_like(variance), variance=variance)


def test_invert_gives_back_what_was_normalised():
    there, back = layers.Normalization(), layers.Normalization(invert=True)
    there.adapt(X)
    back.adapt(iter(BATCHES))
    np.testing.assert_allclose(back(there(X)).numpy(), X, rtol=1e-4, atol=1e-5)


def test_inputs_of_other_features_or_axes_are_refused_instead_of_stretched():
    layer = layers.Normalization()
    layer.adapt(X)
    for other in (X[:, :1], X[:, :3]):
        with pytest.raises(ShapeError, match="statistics of sizes"):
            layer(other)
    narrow = layers.Normalization()
    narrow.adapt(X[:, :1])
    with pytest.raises(ShapeError, match="statistics of sizes"):
        narrow(X)
    first = layers.Normalization(axis=1)
    first.adapt(np.ones((2, 4, 3)))
    with pytest.raises(ShapeError, match="ndim=3"):
        first(np.ones((2, 4)))


def test_the_last_axis_is_met_at_any_number_of_axes():
    layer = layers.Normalization()
    layer.adapt(X)
    want = layer(X).numpy()
    np.testing.assert_array_equal(layer(X[0]).numpy(), want[0])
    np.testing.assert_array_equal(layer(X.reshape(6, 4, 4)).numpy(), want.reshape(6, 4, 4))
    column = layers.Normalization()
    column.adapt(X[:, 0])
    np.testing.assert_allclose(column(X[:, 0]).numpy(), column(X[:, :1]).numpy()[:, 0])


def test_masks_go_through_normalization():
    assert layers.Normalization().supports_masking
    inputs = fastnn.Input((None, 2))
    masked = layers.Masking()(inputs)
    summed = layers.LSTM(3)(layers.Normalization(mean=1.0, variance=2.0)(masked))
    model = fastnn.Model(inputs, summed)
    x = np.ones((2, 5, 2), "float32")
    short = np.concatenate([x[:, :2], np.zeros((2, 3, 2), "float32")], 1)
    np.testing.assert_allclose(model(short).numpy(), model(x[:, :2]).numpy(), rtol=1e-6)


def test_normalization_is_pickled_and_saved_with_its_statistics(tmp_path):
    layer = layers.Normalization(axis=(1, 2))
    layer.adapt(X.reshape(6, 2, 2, 4))
    copy = pickle.loads(pickle.dumps(layer))
    np.testing.assert_array_equal(copy.mean.numpy(), layer.mean.numpy())
    model = fastnn.Sequential([fastnn.Input((2, 2, 4)), layer])
    x = X.reshape(6, 2, 2, 4)
    for name in ("m.keras", "m.safetensors"):
        model.save(tmp_path / name)
        loaded = fastnn.load_model(tmp_path / name)
        np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (3, 4, 5), (2, 3, 4, 5, 6)])
def test_rescaling_meets_channels_that_come_first(shape):
    scale, offset = [1.0, 2.0, 3.0], [0.5, 0.0, -0.5]
    layer, x = layers.Rescaling(scale, offset), np.ones(shape)
    place = shape.index(3)
    wide = [3 if a == place else 1 for a in range(len(shape))]
    fastnn.config.set_image_data_format("channels_first")
    try:
        out = layer(x).numpy()
    finally:
        fastnn.config.set_image_data_format("channels_last")
    want = x * np.reshape(scale, wide) + np.reshape(offset, wide)
    np.testing.assert_allclose(out, want)
    last = np.moveaxis(x, place, -1)
    np.testing.assert_allclose(layer(last).numpy(), np.moveaxis(want, place, -1))
