"""Layers of categories and texts: what they adapt to, what they refuse, and calls before that."""

import itertools

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn.data import PyDataset
from fastnn.errors import DataError

WORDS = np.array(["b", "a", "c", "b", "b", "c", "d"])
TEXTS = np.array(["b a", "c b", "b", "c d"])
WHOLE = np.array([5, 9, 7, 5, 5, 7, 3])
NUMBERS = np.arange(20.0)[::-1].copy()


class Numbered(PyDataset):
    def __init__(self, values):
        super().__init__()
        self.values = values

    def __len__(self):
        return 2

    def __getitem__(self, i):
        return np.array_split(self.values, 2)[i % 2], np.zeros(1)


def halves(x):
    return np.array_split(x, 2)


SOURCES = {
    "list": lambda x: x.tolist(),
    "tuple": lambda x: tuple(x.tolist()),
    "column": lambda x: x[:, None],
    "list of batches of other sizes": halves,
    "batches with targets": lambda x: [(h, np.zeros(len(h))) for h in halves(x)],
    "generator": lambda x: iter(halves(x)),
    "generator of lists": lambda x: (h.tolist() for h in halves(x)),
    "PyDataset": Numbered,
    "tf.data": lambda x: fastnn.data.Dataset.from_tensor_slices(x).batch(3),
    "tf.data with targets": lambda x: fastnn.data.Dataset.from_tensor_slices(
        (x, np.zeros(len(x)))
    ).batch(3),
}
ADAPTED = {
    "StringLookup": (layers.StringLookup, WORDS, lambda x: x.get_vocabulary()),
    "TextVectorization": (layers.TextVectorization, TEXTS, lambda x: x.get_vocabulary()),
    "IntegerLookup": (layers.IntegerLookup, WHOLE, lambda x: x.get_vocabulary()),
    "Discretization": (
        lambda: layers.Discretization(num_bins=4), NUMBERS, lambda x: x.bin_boundaries,
    ),
}  # fmt: skip


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("kind", ADAPTED)
def test_every_source_of_the_same_values_teaches_the_same(kind, source):
    make, data, learned = ADAPTED[kind]
    whole, other = make(), make()
    whole.adapt(data)
    other.adapt(SOURCES[source](data))
    assert learned(other) == learned(whole)


@pytest.mark.parametrize("data", [fastnn.tensor(WHOLE), [fastnn.tensor(WHOLE[:3]), WHOLE[3:]]])
def test_tensors_are_adapted_to_as_arrays_are(data):
    layer = layers.IntegerLookup()
    layer.adapt(data)
    assert layer.get_vocabulary() == [-1, 5, 7, 9, 3]


@pytest.mark.parametrize("kind", ADAPTED)
@pytest.mark.parametrize(
    "empty", [[], (), np.zeros(0), [np.zeros(0)], iter([])], ids=lambda e: type(e).__name__
)
def test_empty_data_are_refused_and_what_was_learned_stays(kind, empty):
    make, data, learned = ADAPTED[kind]
    layer = make()
    layer.adapt(data)
    before = learned(layer)
    with pytest.raises(DataError, match=r"empty iterable|no tokens|0 numbers") as caught:
        layer.adapt(empty)
    assert "hint:" in str(caught.value)
    assert learned(layer) == before


@pytest.mark.parametrize("make", [layers.StringLookup, layers.TextVectorization])
def test_data_of_padding_alone_teach_no_vocabulary(make):
    layer = make() if make is layers.TextVectorization else make(mask_token="")
    with pytest.raises(DataError, match="no tokens in 2 samples"):
        layer.adapt(["", ""])


@pytest.mark.parametrize("kind", ADAPTED)
@pytest.mark.parametrize("data", [42, None, {"a": WORDS}], ids=["number", "None", "dict"])
def test_what_is_no_data_is_a_type_error(kind, data):
    with pytest.raises(TypeError, match="adapt got") as caught:
        ADAPTED[kind][0]().adapt(data)
    assert "hint:" in str(caught.value)


@pytest.mark.parametrize("kind", ADAPTED)
def test_steps_bound_an_endless_source(kind):
    make, data, learned = ADAPTED[kind]
    layer, once = make(), make()
    read = itertools.count()
    layer.adapt((data for _ in read), steps=2)
    assert next(read) == 2  # no batch was made for nothing
    once.adapt(np.concatenate([data, data]))
    assert learned(layer) == learned(once)
    with pytest.raises(ValueError, match="steps=0"):
        layer.adapt(data, steps=0)


@pytest.mark.parametrize(
    ("make", "data", "text"),
    [
        (layers.StringLookup, [1, 2], "wants text"),
        (layers.StringLookup, ["a", None], "value 1 is None"),
        (layers.StringLookup, np.ma.masked_array(WORDS, WORDS == "b"), "masked"),
        (layers.StringLookup, [["a", "b"], ["c"]], "rows of one length"),
        (layers.TextVectorization, np.ma.masked_array(TEXTS, TEXTS == "b"), "masked"),
        (layers.TextVectorization, [["a", "b"], ["c"]], "rows of one length"),
        (layers.IntegerLookup, [1.5], "whole numbers"),
        (layers.IntegerLookup, [np.nan, 1.0], "whole numbers"),
        (layers.IntegerLookup, [np.inf, 1.0], "64 bits"),
        (layers.IntegerLookup, [1e30], "64 bits"),
        (layers.IntegerLookup, np.array([2**63], np.uint64), "64 bits"),
        (layers.IntegerLookup, np.ma.masked_array(WHOLE, WHOLE == 5), "masked"),
        (ADAPTED["Discretization"][0], ["1.5", "2"], "text"),
        (ADAPTED["Discretization"][0], [np.inf, 1.0], "infinities"),
        (ADAPTED["Discretization"][0], [np.nan, 1.0], "NaN"),
        (ADAPTED["Discretization"][0], [1e300, 1.0], "beyond float32"),
        (ADAPTED["Discretization"][0], np.ma.masked_array(NUMBERS, NUMBERS > 3), "masked"),
    ],
)
def test_values_that_would_change_in_silence_are_refused(make, data, text):
    with pytest.raises(DataError, match=text) as caught:
        make().adapt(data)
    assert "hint:" in str(caught.value)


@pytest.mark.parametrize("texts", [[b"b", b"a", b"b"], np.array([b"b", b"a", b"b"])])
def test_texts_as_bytes_are_read_as_utf_8(texts):
    for make in (layers.StringLookup, layers.TextVectorization):
        layer = make()
        layer.adapt(texts)
        assert layer.get_vocabulary(include_special_tokens=False) == ["b", "a"]


def test_a_single_text_is_one_sample_and_not_its_letters():
    layer = layers.StringLookup()
    layer.adapt("abc")
    assert layer.get_vocabulary() == ["[UNK]", "abc"]


def test_a_batch_of_one_axis_is_one_document_of_a_lookup():
    """As Keras counts: of an array each value is a document, of a source of batches each batch."""
    rows = [np.array(["a", "b"]), np.array(["a", "c"])]
    batches, array = (layers.StringLookup(output_mode="tf_idf") for _ in range(2))
    batches.adapt(iter(rows))
    array.adapt(np.concatenate(rows))
    weights = [dict(zip(x.vocabulary, x.idf_weights, strict=True)) for x in (batches, array)]
    assert weights[0]["a"] == pytest.approx(np.log(1 + 2 / 3))
    assert weights[0]["b"] == pytest.approx(np.log(1 + 2 / 2))
    assert weights[1]["a"] == pytest.approx(np.log(1 + 4 / 3))


@pytest.mark.parametrize(
    ("layer", "data"),
    [
        (layers.StringLookup(name="mine"), WORDS),
        (layers.StringLookup(invert=True, name="mine"), np.array([1])),
        (layers.IntegerLookup(name="mine"), WHOLE),
        (layers.TextVectorization(name="mine"), TEXTS),
    ],
)
def test_a_layer_without_a_vocabulary_does_not_call_all_values_unknown(layer, data):
    with pytest.raises(RuntimeError, match=r"'mine'.* has no vocabulary yet") as caught:
        layer(data)
    assert "hint: layer.adapt(data)" in str(caught.value)


def test_a_model_may_be_built_before_its_texts_are_adapted_to():
    vectorize = layers.TextVectorization(output_sequence_length=3)
    model = fastnn.Sequential([vectorize, layers.Embedding(10, 2), layers.Flatten()])
    with pytest.raises(RuntimeError, match="no vocabulary"):
        model.predict(TEXTS, verbose=0)
    vectorize.adapt(TEXTS)
    assert model.predict(TEXTS, verbose=0).shape == (4, 6)


@pytest.mark.parametrize("mode", ["multi_hot", "one_hot", "count"])
@pytest.mark.parametrize(
    ("values", "text"),
    [([[-1, 0]], "got -1"), ([[0, 3]], "got 3"), ([[0.5, 1]], "whole"), ([[np.nan, 1]], "whole")],
)
def test_categories_outside_are_refused_and_never_counted_from_the_end(mode, values, text):
    layer = layers.CategoryEncoding(3, output_mode=mode)
    with pytest.raises(DataError, match=text) as caught:
        layer(np.array(values))
    assert "hint:" in str(caught.value)


@pytest.mark.parametrize("mode", ["multi_hot", "one_hot", "count"])
@pytest.mark.parametrize("value", [-1, 3])
def test_categories_outside_are_refused_in_a_model(mode, value):
    model = fastnn.Sequential(
        [fastnn.Input((2,), dtype="int32"), layers.CategoryEncoding(3, output_mode=mode)]
    )
    with pytest.raises(DataError, match="out of range"):
        model.predict(np.array([[value, 0]]), verbose=0)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (np.array([1.5, 1.4]), "whole numbers"),
        (np.array([np.nan]), "whole numbers"),
        (np.array([None, "a"], object), "objects"),
        (np.ma.masked_array([1, 2], [0, 1]), "masked"),
    ],
)
def test_hashing_refuses_what_it_would_have_to_change(values, text):
    with pytest.raises(DataError, match=text):
        layers.Hashing(10)(values)


def test_hashing_takes_whole_numbers_of_any_type():
    want = layers.Hashing(10)(np.array([0, 1])).numpy()
    for kind in ("float64", "uint8", "bool", object):
        np.testing.assert_array_equal(layers.Hashing(10)(np.array([0, 1], kind)).numpy(), want)


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.Hashing(2.5),
        lambda: layers.CategoryEncoding(2.5),
        lambda: layers.Discretization(num_bins=2.5),
        lambda: layers.Discretization(bin_boundaries=[np.nan, 1.0]),
    ],
)
def test_counts_and_boundaries_that_are_none_are_refused(make):
    with pytest.raises(ValueError, match="hint:"):
        make()
