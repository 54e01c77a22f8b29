"""Data sets that Keras keeps in its cache: read from there, checked, and never run."""

import json
import pickle

import numpy as np
import pytest

from fastnn import FormatError
from fastnn.keras.datasets import (
    boston_housing,
    california_housing,
    cifar10,
    cifar100,
    imdb,
    mnist,
    reuters,
)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("FASTNN_DATA", raising=False)
    (tmp_path / "datasets").mkdir()
    return tmp_path / "datasets"


def texts(rows):
    made = np.empty(len(rows), object)
    made[:] = rows
    return made


ROWS = [[1, 9, 2], [3, 4], [7, 1, 1, 5], [2]]


def test_reviews_are_numbered_ordered_and_cut_as_in_keras(cache):
    np.savez(cache / "imdb.npz", x_train=texts(ROWS), y_train=np.arange(4),
             x_test=texts(ROWS[:2]), y_test=np.arange(2))  # fmt: skip
    order = np.arange(4)
    np.random.RandomState(113).shuffle(order)
    (x, y), (x_test, y_test) = imdb.load_data()
    assert y.tolist() == order.tolist()
    assert x.tolist() == [[1, *(w + 3 for w in ROWS[i])] if 9 not in ROWS[i] else [1, 4, 2, 5]
                          for i in order]  # fmt: skip
    assert len(x_test) == len(y_test) == 2
    (x, y), _ = imdb.load_data(num_words=8, maxlen=5, start_char=None, index_from=0, oov_char=None)
    assert x.tolist() == [[w for w in ROWS[i] if w < 8] for i in order]
    (cache / "imdb_word_index.json").write_text(json.dumps({"the": 1}))
    assert imdb.get_word_index() == {"the": 1}
    with pytest.raises(ValueError, match=r"maxlen=1(?s:.)*hint:"):
        imdb.load_data(maxlen=1)


def test_newswires_have_topics(cache):
    np.savez(cache / "reuters.npz", x=texts(ROWS), y=np.arange(4))
    (x, y), (x_test, y_test) = reuters.load_data(test_split=0.25)
    assert (len(x), len(y), len(x_test), len(y_test)) == (3, 3, 1, 1)
    assert all(row[0] == 1 for row in x)
    assert len(reuters.get_label_names()) == 46


def batch(count, seed, **labels):
    data = np.random.default_rng(seed).integers(0, 256, (count, 3072)).astype(np.uint8)
    return {b"data": data, **{k.encode(): v for k, v in labels.items()}}


def test_pictures_of_cifar_stand_rows_columns_colours(cache):
    inner = cache / "cifar-10-batches-py-target" / "cifar-10-batches-py"
    inner.mkdir(parents=True)
    for i, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        (inner / name).write_bytes(pickle.dumps(batch(2, i, labels=[i, 9]), protocol=2))
    (x, y), (x_test, y_test) = cifar10.load_data()
    assert (x.shape, y.shape, x_test.shape) == ((10, 32, 32, 3), (10, 1), (2, 32, 32, 3))
    assert y[:, 0].tolist() == [0, 9, 1, 9, 2, 9, 3, 9, 4, 9]
    first = batch(2, 0)[b"data"][0]
    assert x[0, 0, 1].tolist() == [first[1], first[1025], first[2049]]
    assert (x.dtype, y_test.dtype) == (np.uint8, np.uint8)
    assert cifar10.load_data(inner)[0][0].shape == x.shape
    inner = cache / "cifar-100-python"
    inner.mkdir()
    for name in ("train", "test"):
        held = batch(3, 1, fine_labels=[5, 6, 7], coarse_labels=[1, 1, 2])
        (inner / name).write_bytes(pickle.dumps(held, protocol=2))
    assert cifar100.load_data()[0][1].tolist() == [[5], [6], [7]]
    assert cifar100.load_data("coarse")[0][1].tolist() == [[1], [1], [2]]


def test_housing_is_split_by_keras_order(cache):
    x = np.arange(20.0).reshape(10, 2)
    for name, module in (("boston", boston_housing), ("california", california_housing)):
        np.savez(cache / f"{name}_housing.npz", x=x, y=x[:, 0])
        order = np.arange(10)
        np.random.RandomState(113).shuffle(order)
        (a, b), (c, d) = module.load_data()
        np.testing.assert_array_equal(np.concatenate([a, c]), x[order])
        np.testing.assert_array_equal(np.concatenate([b, d]), x[order, 0])
        assert len(c) == 2


def test_digits_are_read_from_kerass_one_file(cache):
    x, y = np.zeros((3, 28, 28), np.uint8), np.arange(3, dtype=np.uint8)
    np.savez(cache / "mnist.npz", x_train=x, y_train=y, x_test=x[:1], y_test=y[:1])
    for given in ((), ("mnist.npz",), (cache / "mnist.npz",)):
        assert mnist.load_data(*given)[0][1].tolist() == [0, 1, 2]


@pytest.mark.parametrize("module", [imdb, reuters, cifar10, cifar100, boston_housing,
                                    california_housing])  # fmt: skip
def test_what_is_missing_is_said_with_where_it_was_looked_for(module, cache):
    with pytest.raises(FileNotFoundError, match="never downloads") as told:
        module.load_data()
    assert str(cache) in str(told.value)
    assert "hint:" in str(told.value)


def test_a_pickle_that_names_code_is_refused(cache):
    class Evil:
        def __reduce__(self):
            return print, ("run",)

    inner = cache / "cifar-100-python"
    inner.mkdir()
    (inner / "train").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(FormatError, match=r"names builtins\.print(?s:.)*hint:"):
        cifar100.load_data()
    np.savez(cache / "imdb.npz", x_train=texts([Evil()]), y_train=[0], x_test=texts([[1]]),
             y_test=[0])  # fmt: skip
    with pytest.raises(FormatError, match="is no array"):
        imdb.load_data()
