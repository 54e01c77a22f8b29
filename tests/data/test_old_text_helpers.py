"""`keras.preprocessing.text` and `.sequence` as programs of older Keras use them."""

import numpy as np
import pytest

import fastnn
from fastnn.preprocessing.sequence import (
    TimeseriesGenerator,
    make_sampling_table,
    pad_sequences,
    skipgrams,
)
from fastnn.preprocessing.text import (
    Tokenizer,
    hashing_trick,
    one_hot,
    text_to_word_sequence,
    tokenizer_from_json,
)

TEXTS = ["The cat sat on the mat.", "The dog, the dog & the fox!"]


def test_words_are_numbered_by_how_frequent_they_are():
    tokenizer = Tokenizer(num_words=4, oov_token="<OOV>")
    tokenizer.fit_on_texts(TEXTS)
    assert list(tokenizer.word_index)[:4] == ["<OOV>", "the", "dog", "cat"]
    assert tokenizer.texts_to_sequences(["the fox and the dog"]) == [[2, 1, 1, 2, 3]]
    assert tokenizer.sequences_to_texts([[2, 3, 7]]) == ["the dog <OOV>"]
    again = tokenizer_from_json(tokenizer.to_json())
    assert again.texts_to_sequences(TEXTS) == tokenizer.texts_to_sequences(TEXTS)
    assert Tokenizer(char_level=True)._words("Ab") == "ab"


@pytest.mark.parametrize(
    ("mode", "want"),
    [
        ("binary", [0, 1, 1, 0, 0, 0, 0, 1]),
        ("count", [0, 2, 1, 0, 0, 0, 0, 1]),
        ("freq", [0, 0.5, 0.25, 0, 0, 0, 0, 0.25]),
        ("tfidf", [0, 0.864903, 0.693147, 0, 0, 0, 0, 0.693147]),
    ],
)
def test_matrices_of_texts(mode, want):
    tokenizer = Tokenizer()
    tokenizer.fit_on_texts(TEXTS)
    assert np.allclose(tokenizer.texts_to_matrix(["the fox the dog"], mode)[0], want, atol=1e-6)


def test_words_without_a_table():
    assert text_to_word_sequence("A good, GOOD day!") == ["a", "good", "good", "day"]
    assert hashing_trick("a b a", 10, "md5") == [2, 5, 2]
    assert all(0 < i < 50 for i in one_hot("a good day", 50))


def test_pairs_of_near_words_and_of_words_drawn_at_random():
    pairs, labels = skipgrams([1, 2, 3, 0, 4], 5, window_size=2, negative_samples=0)
    assert sorted(pairs) == [
        [1, 2], [1, 3], [2, 1], [2, 3], [3, 1], [3, 2], [3, 4], [4, 3],
    ]  # fmt: skip
    assert labels == [1] * 8
    pairs, labels = skipgrams([1, 2, 3], 9, window_size=1, negative_samples=2.0, seed=1)
    assert (len(pairs), sum(labels)) == (12, 4)
    assert all(1 <= word < 9 for pair in pairs for word in pair)
    assert np.allclose(make_sampling_table(4), [0.003152, 0.003152, 0.005476, 0.007416], atol=1e-5)
    assert pad_sequences([[1], [2, 3]]).tolist() == [[0, 1], [2, 3]]


def test_windows_of_a_series_and_the_target_after_each():
    series = np.arange(40).reshape(20, 2)
    made = TimeseriesGenerator(series, np.arange(20), length=4, sampling_rate=2, batch_size=3)
    assert len(made) == 6
    x, y = made[0]
    assert x.tolist() == [[[0, 1], [4, 5]], [[2, 3], [6, 7]], [[4, 5], [8, 9]]]
    assert y.tolist() == [4, 5, 6]
    assert len(made[5][1]) == 1
    model = fastnn.Sequential([fastnn.layers.Flatten(), fastnn.layers.Dense(1)])
    model.compile("adam", "mse")
    assert len(model.fit(made, epochs=2, verbose=0).history["loss"]) == 2


@pytest.mark.parametrize(
    "slip",
    [
        lambda: Tokenizer(words=3),
        lambda: Tokenizer().fit_on_texts("one text"),
        lambda: Tokenizer().texts_to_matrix(["a"]),
        lambda: Tokenizer(num_words=3).texts_to_matrix(["a"], mode="hot"),
        lambda: tokenizer_from_json("{}"),
        lambda: TimeseriesGenerator([1, 2], [1], 1),
        lambda: TimeseriesGenerator([1, 2], [1, 2], 3),
        # A missing value is no word "nan", and bytes are no word "b'a'".
        lambda: Tokenizer().fit_on_texts(["a", float("nan")]),
        lambda: Tokenizer(char_level=True).fit_on_texts([None]),
        lambda: Tokenizer().fit_on_texts([["a", None]]),
        lambda: Tokenizer().texts_to_sequences([b"a"]),
        lambda: text_to_word_sequence(None),
        lambda: hashing_trick("a", 1),
        lambda: pad_sequences([[1]], maxlen=-1),
        lambda: pad_sequences([[1], [0.5]]),
        lambda: pad_sequences([[1, 2**40]]),
        lambda: pad_sequences([[-1]], dtype="uint8"),
    ],
)
def test_slips_are_told_with_a_hint(slip):
    with pytest.raises((TypeError, ValueError), match="hint:"):
        slip()


def test_texts_are_counted_all_or_none():
    tokenizer = Tokenizer()
    with pytest.raises(fastnn.DataError, match=r"texts\[1\] is None"):
        tokenizer.fit_on_texts(["the cat", None])
    assert tokenizer.document_count == 0
    tokenizer.fit_on_texts([["the", 7], ["7"]])
    assert tokenizer.word_index == {"7": 1, "the": 2}
    assert pad_sequences([[1.0, 2.0], [3]]).tolist() == [[1, 2], [0, 3]]
