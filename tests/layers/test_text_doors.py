"""Text inputs with several readers, read within models, through a new axis, or by nobody."""

import numpy as np
import pytest

import fastnn as keras
from fastnn import layers, ops

WORDS = np.array(["x", "y", "z", "x", "?"])
NUMBERS = np.array([1, 2, 3, 1, 0])


def lookup(**settings):
    return layers.StringLookup(vocabulary=["x", "y", "z"], **settings)


def test_a_text_is_looked_up_in_several_ways(tmp_path):
    text = keras.Input((1,), dtype="string", name="t")
    hot = lookup(output_mode="multi_hot")(text)
    near = layers.Flatten()(layers.Embedding(4, 2, embeddings_initializer="ones")(lookup()(text)))
    model = keras.Model(text, layers.concatenate([hot, near]))
    want = np.concatenate([np.eye(4)[NUMBERS], np.ones((5, 2))], 1)
    assert np.array_equal(model.predict(WORDS[:, None], verbose=0), want)
    assert np.array_equal(np.asarray(model(WORDS[:, None])), want)
    model.compile("adam", "mse")
    model.fit(WORDS[:, None], want, verbose=0)
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    assert np.array_equal(
        again.predict(WORDS[:, None], verbose=0), model.predict(WORDS[:, None], verbose=0)
    )


def test_models_within_read_the_text_of_the_one_around_them():
    inputs = {
        "t": keras.Input((1,), dtype="string", name="t"), "n": keras.Input((1,), name="n"),
    }  # fmt: skip
    head = keras.Model(
        inputs, layers.concatenate([lookup(output_mode="one_hot")(inputs["t"]), inputs["n"]])
    )
    model = keras.Model(inputs, layers.Dense(1)(head(inputs)))
    model.compile("adam", "mse")
    data = {"t": WORDS, "n": np.ones(5)}
    assert len(model.fit(data, np.ones(5), epochs=2, verbose=0).history["loss"]) == 2
    batches = keras.data.Dataset.from_tensor_slices((data, np.ones(5))).batch(2)
    assert np.allclose(model.predict(batches, verbose=0), model.predict(data, verbose=0))
    kernel, bias = model.layers[-1].get_weights()
    want = np.concatenate([np.eye(4)[NUMBERS], np.ones((5, 1))], 1) @ kernel + bias
    assert np.allclose(model.predict(data, verbose=0), want, atol=1e-6)


@pytest.mark.parametrize("kind", ["arrays", "batches"])
def test_one_text_a_sample_needs_no_axis(kind):
    inputs = {"t": keras.Input((), dtype="string", name="t"), "n": keras.Input((), name="n")}
    near = layers.Embedding(4, 3)(lookup()(inputs["t"]))
    hot = lookup(output_mode="one_hot")(ops.expand_dims(inputs["t"], -1))
    out = layers.concatenate([near, hot, ops.expand_dims(inputs["n"], -1)])
    model = keras.Model(inputs, [out, layers.Dense(1)(out)])
    model.compile("adam", [None, "mse"])
    data = {"t": WORDS, "n": np.ones(5)}
    if kind == "arrays":
        model.fit(data, np.ones(5), verbose=0)
        rows = model.predict(data, verbose=0)[0]
    else:
        batches = keras.data.Dataset.from_tensor_slices((data, np.ones(5))).batch(2)
        model.fit(batches, verbose=0)
        rows = model.predict(batches, verbose=0)[0]
    assert np.array_equal(rows[:, 3:7], np.eye(4)[NUMBERS])
    assert np.array_equal(rows[:, 7], np.ones(5))


def test_a_text_that_nobody_reads_is_passed_over():
    inputs = {"t": keras.Input((1,), dtype="string", name="t"), "n": keras.Input((1,), name="n")}
    spare = {**inputs, "u": keras.Input((1,), dtype="string", name="u")}
    out = layers.concatenate([lookup(output_mode="one_hot")(inputs["t"]), inputs["n"]])
    model = keras.Model(spare, out)
    data = {"t": WORDS[:, None], "u": WORDS[:, None], "n": np.ones((5, 1))}
    assert model.predict(data, verbose=0).shape == (5, 5)


def test_readers_of_open_lengths_cannot_share_a_text():
    text = keras.Input((1,), dtype="string")
    words = layers.TextVectorization(vocabulary=["x", "y"])
    counts = layers.GlobalMaxPooling1D()(layers.Embedding(4, 2)(words(text)))
    hot = lookup(output_mode="multi_hot")(text)
    model = keras.Model(text, layers.concatenate([counts, hot]))
    with pytest.raises(keras.DataError, match="hint:"):
        model.predict(WORDS[:, None], verbose=0)


def test_a_model_within_that_reads_texts_of_several_inputs_is_called_on_data():
    inputs = {n: keras.Input((1,), name=n, dtype="string") for n in ("a", "b")}
    read = [
        layers.CategoryEncoding(num_tokens=3)(layers.StringLookup(vocabulary=["x", "y"])(i))
        for i in inputs.values()
    ]
    head = keras.Model(inputs, layers.Concatenate()(read))
    model = keras.Model(inputs, layers.Dense(1, kernel_initializer="ones")(head(inputs)))
    texts = {"a": np.array([["x"], ["y"]]), "b": np.array([["y"], ["?"]])}
    wanted = model.predict(texts, verbose=0)
    np.testing.assert_array_equal(model(texts), wanted)
    np.testing.assert_array_equal(
        model({k: ops.convert_to_tensor(v) for k, v in texts.items()}), wanted
    )


NUMBERED = np.array([10, 20, 30, 99, 10])


def numbered(shape=(1,)):
    """A model that looks an input up and computes with it as well."""
    given = keras.Input(shape, dtype="int32", name="n")
    hot = layers.IntegerLookup(vocabulary=[10, 20, 30], output_mode="one_hot")(given)
    near = ops.cast(given, "float32") / 10.0
    near = near if shape else ops.expand_dims(near, -1)
    return keras.Model(given, layers.concatenate([hot, near]))


@pytest.mark.parametrize("shape", [(1,), ()])
def test_numbers_are_looked_up_and_computed_with(tmp_path, shape):
    want = np.concatenate([np.eye(4)[[1, 2, 3, 0, 1]], NUMBERED[:, None] / 10.0], 1)
    data = NUMBERED[:, None] if shape else NUMBERED
    model = numbered(shape)
    np.testing.assert_allclose(model.predict(data, verbose=0), want, rtol=1e-6)
    np.testing.assert_allclose(np.asarray(model(data)), want, rtol=1e-6)
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(again.predict(data, verbose=0), want, rtol=1e-6)
    around = keras.Model(model.input, layers.Dense(1)(model.output))
    around.compile("sgd", "mse")
    assert len(around.fit(data, np.ones(5), epochs=2, verbose=0).history["loss"]) == 2


def test_a_model_within_looks_numbers_up_and_computes_with_them():
    inner = numbered()
    given = keras.Input((1,), dtype="int32")
    out = inner(given)
    assert out.shape == (None, 5)
    model = keras.Model(given, layers.Dense(1)(out))
    kernel, bias = model.layers[-1].get_weights()
    want = inner.predict(NUMBERED[:, None], verbose=0) @ kernel + bias
    np.testing.assert_allclose(model.predict(NUMBERED[:, None], verbose=0), want, rtol=1e-5)
    beside = layers.concatenate([inner(given), ops.cast(given, "float32")])
    with pytest.raises(ValueError, match="an Input of its own"):
        keras.Model(given, beside).predict(NUMBERED[:, None], verbose=0)


def test_the_shape_of_a_model_within_that_looks_numbers_up_is_known():
    given = keras.Input((1,), dtype="int32")
    lookup_ = layers.IntegerLookup(vocabulary=[10, 20], output_mode="one_hot")
    inner = keras.Model(given, lookup_(given))
    around = keras.Input((1,), dtype="int32")
    model = keras.Model(around, layers.Dense(2)(inner(around)))
    assert model.predict(NUMBERED[:, None], verbose=0).shape == (5, 2)


def test_a_sequential_begins_with_a_model_whose_text_input_has_a_name_of_its_own(tmp_path):
    word = keras.Input((1,), dtype="string", name="word")
    found = lookup()(word)
    within = keras.Model(word, layers.Flatten()(layers.Embedding(4, 2)(found)))
    model = keras.Sequential([within, layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.array([["x"], ["?"]])
    model.fit(x, np.zeros((2, 1)), verbose=0)
    wanted = model.layers[-1](within.predict(x, verbose=0))
    np.testing.assert_array_equal(model.predict(x, verbose=0), wanted)
    np.testing.assert_array_equal(model(x), wanted)
    model.save(tmp_path / "m.safetensors")
    again = keras.models.load_model(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(again.predict(x, verbose=0), wanted)
