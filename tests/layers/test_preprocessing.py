"""Layers for texts and categories, and models that read text: vocabularies, encodings, files."""

import numpy as np
import pytest

import fastnn
from fastnn import layers


def array(x) -> np.ndarray:
    return np.asarray(x)


def test_a_vocabulary_is_learned_by_frequency_then_by_name():
    layer = layers.StringLookup(mask_token="")
    layer.adapt(np.array(["b", "a", "c", "b", "c", "d", "", "[UNK]"]))
    assert layer.get_vocabulary() == ["", "[UNK]", "c", "b", "d", "a"]
    assert array(layer(["a", "zebra", ""])).tolist() == [5, 1, 0]
    back = layers.StringLookup(vocabulary=layer.get_vocabulary(), mask_token="", invert=True)
    assert back(np.array([2, 1, 0])).tolist() == ["c", "[UNK]", ""]
    short = layers.StringLookup(max_tokens=3)
    short.adapt(["b", "a", "c", "b", "c", "d"])
    assert short.get_vocabulary() == ["[UNK]", "c", "b"]


def test_look_ups_encode_as_asked():
    words = ["a", "b", "c"]
    one = layers.StringLookup(vocabulary=words, output_mode="one_hot")
    assert array(one(np.array([["b"], ["?"]]))).tolist() == [[0, 0, 1, 0], [1, 0, 0, 0]]
    count = layers.StringLookup(vocabulary=words, output_mode="count", max_tokens=5,
                                pad_to_max_tokens=True)  # fmt: skip
    assert array(count(np.array([["b", "b", "a"]]))).tolist() == [[0, 1, 2, 0, 0]]
    numbers = layers.IntegerLookup(vocabulary=[10, -3], output_mode="multi_hot")
    assert array(numbers(np.array([[10, 10], [7, -3]]))).tolist() == [[0, 1, 0], [1, 0, 1]]
    idf = layers.TextVectorization(output_mode="tf_idf")
    idf.adapt(["a a b", "a"])
    weights = np.log(1 + 2 / (1 + np.array([2, 1])))
    assert array(idf(["a b b"]))[0, 1:] == pytest.approx([weights[0], 2 * weights[1]], rel=1e-5)


def test_hashes_are_those_of_keras():
    # Numbers from Keras's own documentation and tests.
    data = np.array([["A"], ["B"], ["C"], ["D"], ["E"]])
    assert array(layers.Hashing(3)(data)).ravel().tolist() == [1, 0, 1, 1, 2]
    assert array(layers.Hashing(3, salt=[133, 137])(data)).ravel().tolist() == [1, 2, 1, 0, 2]
    words = np.array([["omar"], ["stringer"], ["marlo"], ["wire"], ["skywalker"]])
    assert array(layers.Hashing(2)(words)).ravel().tolist() == [0, 0, 1, 0, 0]
    assert array(layers.Hashing(2, salt=[133, 137])(words)).ravel().tolist() == [0, 1, 0, 1, 0]
    long = np.array([["x" * n] for n in (5, 8, 17, 33, 70, 130)])
    assert ((array(layers.Hashing(7)(long)) >= 0) & (array(layers.Hashing(7)(long)) < 7)).all()


def test_texts_become_rows_of_tokens():
    layer = layers.TextVectorization(output_sequence_length=5, ngrams=2)
    layer.adapt(["To be, or not to be!", "be"])
    assert layer.get_vocabulary()[:4] == ["", "[UNK]", "be", "to be"]
    assert layer.tokens(["To be"]) == [["to", "be", "to be"]]
    assert array(layer(["to be"])).shape == (1, 5)
    letters = layers.TextVectorization(split="character", standardize=None)
    letters.adapt(["aB"])
    assert array(letters([["Ba"], ["b"]])).tolist()[1] == [1, 0]
    own = layers.TextVectorization(standardize=lambda x: np.char.replace(x, "-", " "))
    assert own.tokens(np.array(["a-b"])) == [["a", "b"]]
    assert array(layer([""])).tolist() == [[0] * 5]


def test_tokens_are_divided_by_the_spaces_of_ascii_alone():
    # A vocabulary that Keras learned is then read as Keras reads it.
    layer = layers.TextVectorization(standardize=None)
    text = " a\u3000b\u00a0c\u2003d \t\n\v\f\re\x1cf\x85g "
    assert layer.tokens([text]) == [["a\u3000b\u00a0c\u2003d", "e\x1cf\x85g"]]


def test_categories_and_bins_run_in_the_core():
    inputs = fastnn.Input((3,), dtype="int32")
    model = fastnn.Model(inputs, layers.CategoryEncoding(4, output_mode="count")(inputs))
    assert model.predict(np.array([[0, 3, 3]])).tolist() == [[1, 0, 0, 2]]
    with pytest.raises(fastnn.DataError, match="4"):
        model.predict(np.array([[0, 4, 3]]))
    layer = layers.Discretization(num_bins=4)
    layer.adapt(np.arange(100.0))
    assert layer.bin_boundaries == [24.0, 49.0, 74.0]  # as Keras's; each is in the bin above it
    assert np.bincount(array(layer(np.arange(100.0)))).tolist() == [24, 25, 25, 26]
    again = layers.Discretization.from_config(layer.get_config())
    assert array(again(np.array([[30.0]]))).tolist() == [[1]]


@pytest.mark.parametrize("suffix", [".safetensors", ".keras"])
def test_a_model_reads_text_columns_and_comes_back_from_a_file(suffix, tmp_path):
    if suffix == ".keras":
        pytest.importorskip("h5py")
    sex = layers.StringLookup(output_mode="one_hot")
    sex.adapt(["f", "m", "f"])
    deck = layers.IntegerLookup()
    deck.adapt([3, 9])
    inputs = {
        "sex": fastnn.Input((1,), dtype="string", name="sex"),
        "deck": fastnn.Input((1,), dtype="int64", name="deck"),
        "age": fastnn.Input((1,), name="age"),
    }
    parts = [
        sex(inputs["sex"]), layers.Flatten()(layers.Embedding(3, 2)(deck(inputs["deck"]))),
        inputs["age"],
    ]  # fmt: skip
    outputs = layers.Dense(1, activation="sigmoid")(layers.concatenate(parts))
    model = fastnn.Model(inputs, outputs)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    data = {
        "sex": np.array(["f", "m", "?", "f"]), "deck": np.array([3, 9, 5, 3]),
        "age": np.array([1.0, 2.0, 3.0, 4.0]),
    }  # fmt: skip
    y = np.array([0, 1, 1, 0])
    history = model.fit(data, y, epochs=2, validation_data=(data, y), verbose=0)
    assert set(history.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    wanted = model.predict(data)
    assert array(model(data)) == pytest.approx(wanted, abs=1e-6)
    model.save(tmp_path / f"model{suffix}")
    again = fastnn.models.load_model(tmp_path / f"model{suffix}")
    assert again.predict(data).tolist() == wanted.tolist()
    assert again.get_layer(sex.name).get_vocabulary() == ["[UNK]", "f", "m"]


def test_a_sequential_begins_with_text():
    texts = np.array(["good film", "bad film", "good", "bad"])
    vectorize = layers.TextVectorization()
    vectorize.adapt(texts)
    model = fastnn.Sequential([
        vectorize, layers.Embedding(vectorize.vocabulary_size(), 4, mask_zero=True),
        layers.LSTM(4), layers.Dense(1, activation="sigmoid"),
    ])  # fmt: skip
    model.compile(fastnn.optimizers.Adam(0.05), "binary_crossentropy")
    y = np.array([1, 0, 1, 0])
    history = model.fit(texts, y, epochs=20, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
    batches = [(texts[:2], y[:2]), (texts[2:], y[2:])]
    model.fit(iter(batches), verbose=0)
    assert model.predict(list(texts), verbose=0).shape == (4, 1)
    assert model.predict(np.array(["good"]), verbose=0) == pytest.approx(
        array(model(np.array(["good"]))), abs=1e-6
    )


def test_what_does_not_fit_is_said(tmp_path):
    bad = tmp_path / "words.txt"
    bad.write_bytes(b"caf\xe9\n")
    empty = tmp_path / "none.txt"
    empty.write_text("\n")
    latin = np.array([b"caf\xe9"])
    inputs = fastnn.Input((1,), dtype="string")
    lookup = layers.StringLookup(vocabulary=["a"])
    model = fastnn.Model(inputs, layers.Embedding(2, 2)(lookup(inputs)))
    for wrong, words in (
        (lambda: layers.StringLookup(vocabulary=[]), "empty vocabulary"),
        (lambda: layers.StringLookup(vocabulary=["a", "a"]), "repeated"),
        (lambda: layers.StringLookup(vocabulary=str(bad)), "not UTF-8"),
        (lambda: layers.StringLookup(vocabulary=empty), "empty vocabulary: the file"),
        (lambda: lookup(latin), "not UTF-8"),
        (lambda: layers.TextVectorization(vocabulary=["a"])(latin.astype(object)), "not UTF-8"),
        (lambda: layers.Hashing(3)(latin.astype(object)), "not UTF-8"),
        (lambda: layers.StringLookup(vocabulary=["a"], num_oov_indices=0)(["b"]), "'b' is not in"),
        (lambda: lookup(np.array([1, 2])), "wants text"),
        (lambda: lookup(np.array(["a", None], object)), "value 1 is None"),
        (lambda: lookup(fastnn.Input((1,))), "wants text"),
        (lambda: layers.IntegerLookup(vocabulary=[1])(np.array([0.5])), "whole numbers"),
        (lambda: model.predict(np.array([[1.0]])), "wants text"),
        (lambda: layers.TextVectorization(output_mode="count")(["a"]), "vocabulary before"),
        (lambda: layers.CategoryEncoding(), "num_tokens must be set"),
        (lambda: layers.Discretization(bin_boundaries=[1.0, 0.0]), "must rise"),
        (lambda: layers.Discretization(num_bins=2)(np.ones(2)), "adapt"),
        (lambda: layers.Dense(1)(inputs), "string"),
    ):
        with pytest.raises((ValueError, RuntimeError, fastnn.FastnnError), match=words) as error:
            wrong()
        assert "hint:" in str(error.value)
