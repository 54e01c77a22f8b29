"""Arrays at every function that takes them: nothing changes its value in silence."""

import decimal
import fractions

import numpy as np
import pytest

import fastnn
from fastnn import keras as K, ops
from fastnn.data import arrays
from fastnn.errors import DataError

X = np.array([[1.0], [2.0], [3.0]], "float32")
Y = np.array([1.0, 2.0, 3.0], "float32")


def model():
    made = K.Sequential([K.Input((1,)), K.layers.Dense(1, kernel_initializer="zeros")])
    made.compile("sgd", "mse")
    return made


def adapted(x):
    layer = K.layers.Normalization()
    layer.adapt(x)
    return layer


ENTRIES = {
    "fit x": lambda a: model().fit(a, Y, verbose=0),
    "fit y": lambda a: model().fit(X, a[:, 0], verbose=0),
    "sample_weight": lambda a: model().fit(X, Y, sample_weight=a[:, 0], verbose=0),
    "evaluate": lambda a: model().evaluate(a, Y, verbose=0),
    "predict": lambda a: model().predict(a, verbose=0),
    "predict_on_batch": lambda a: model().predict_on_batch(a),
    "train_on_batch": lambda a: model().train_on_batch(a, Y),
    "model(x)": lambda a: model()(a),
    "layer(x)": lambda a: K.layers.Dense(1)(a),
    "generator": lambda a: model().fit(iter([(a, Y)]), verbose=0),
    "validation_data": lambda a: model().fit(X, Y, validation_data=(a, Y), verbose=0),
    "adapt": adapted,
    "tensor": fastnn.tensor,
    "convert_to_tensor": lambda a: ops.convert_to_tensor(a, "float32"),
    "op": lambda a: ops.sum(a),
    "operator": lambda a: fastnn.tensor(X) + a,
    "Variable": lambda a: K.Variable(a),
    "assign": lambda a: K.Variable(X).assign(a),
    "loss": lambda a: K.losses.MeanSquaredError()(a, X),
    "metric": lambda a: K.metrics.MeanSquaredError()(a, X),
    "set_weights": lambda a: model().set_weights([a[:1], np.zeros(1)]),
}
MASKED = np.ma.masked_array(X, mask=[[1], [0], [1]])


@pytest.mark.parametrize("entry", ENTRIES)
def test_what_lies_behind_a_mask_is_no_data(entry):
    with pytest.raises(DataError, match="mask") as caught:
        ENTRIES[entry](MASKED)
    assert "hint:" in str(caught.value)
    ENTRIES[entry](np.ma.masked_array(X, mask=False))


def test_masks_inside_lists_are_seen():
    rows = [np.ma.masked_array([1.0, 2.0], mask=[0, 1]), np.ma.masked_array([1.0, 2.0])]
    for entry in (
        fastnn.tensor, ops.sum, adapted, lambda a: K.utils.split_dataset(a[0], 0.5),
        lambda a: K.utils.pad_sequences(a, dtype="float32"), lambda a: K.utils.normalize(a[0]),
        lambda a: K.utils.to_categorical(a[0]),
    ):  # fmt: skip
        with pytest.raises(DataError, match="mask"):
            entry(rows)
    with pytest.raises(DataError, match="mask"):
        model().predict([rows[0][:1], rows[0][1:]], verbose=0)


def test_arrays_of_arrays_name_the_odd_one():
    rows = np.empty(2, object)
    rows[:] = [np.zeros((2, 3)), np.zeros((2, 3))]
    with pytest.raises(DataError, match=r"numpy\.stack\(list\(x\)\)"):
        model().predict(rows, verbose=0)
    rows[1] = np.zeros((1, 3))
    with pytest.raises(ValueError, match=r"x\[1\] has shape \(1, 3\)(.|\n)*resize"):
        model().predict(rows, verbose=0)


WRONG = {
    "beyond float32": X.astype("float64") * 1e300,
    "beyond int32": np.full((3, 1), 2**40),
    "uint64": np.full((3, 1), 2**63, "uint64"),
    "complex": X.astype("complex64"),
    "dates": np.array([["2026-01-01"]] * 3, "datetime64[D]"),
    "spans": np.array([[1]] * 3, "timedelta64[D]"),
    "text": np.array([["1.5"]] * 3),
    "bytes": np.array([[b"1"]] * 3),
    "objects": np.array([["1.5"]] * 3, object),
    "records": np.zeros((3, 1), [("a", "f4"), ("b", "f4")]),
}


#: Entries that compute in floats, which hold whole numbers beyond int32 to 24 bits.
FLOATING = ("adapt", "convert_to_tensor", "assign", "loss", "metric", "layer(x)", "model(x)")


@pytest.mark.parametrize(("entry", "kind"), [
    (entry, kind) for entry in ENTRIES if entry != "set_weights" for kind in WRONG
    if not (kind in ("beyond int32", "uint64") and entry in FLOATING)
])  # fmt: skip
def test_what_is_no_real_number_in_range_is_refused(entry, kind):
    with pytest.raises((DataError, TypeError, ValueError)) as caught:
        ENTRIES[entry](WRONG[kind])
    numpys_own = entry == "operator" and kind in ("dates", "spans")
    assert numpys_own or "hint:" in str(caught.value)


SAME = {
    "float16": X.astype("float16"),
    "float64": X.astype("float64"),
    "int8": X.astype("int8"),
    "uint8": X.astype("uint8"),
    "int64": X.astype("int64"),
    "uint64": X.astype("uint64"),
    "strided": np.repeat(X, 2, axis=0)[::2],
    "Fortran": np.asfortranarray(X),
    "objects": X.astype(object),
    "ints as objects": np.array([[1], [2], [3]], object),
    "decimals": np.array([[decimal.Decimal(i)] for i in (1, 2, 3)], object),
    "fractions": np.array([[fractions.Fraction(i)] for i in (1, 2, 3)], object),
    "a list": X.tolist(),
    "a list of decimals": [[decimal.Decimal(i)] for i in (1, 2, 3)],
}


@pytest.mark.parametrize("kind", SAME)
def test_other_ways_to_write_the_same_numbers_are_taken(kind):
    net = K.Sequential([K.Input((1,)), K.layers.Dense(1, kernel_initializer="ones")])
    np.testing.assert_array_equal(net.predict(SAME[kind], verbose=0), X)


def test_big_endian_arrays_are_read_in_their_order_or_refused():
    net = K.Sequential([K.Input((1,)), K.layers.Dense(1, kernel_initializer="ones")])
    np.testing.assert_array_equal(net.predict(X.astype(">f4"), verbose=0), X)
    with pytest.raises(DataError, match="big-endian"):
        fastnn.tensor(X.astype(">f4"))


def test_objects_keep_what_they_are():
    whole = arrays.leaf(np.array([2**24 + 1, 5], object), "x")
    assert whole.dtype == np.int32
    assert whole[0] == 2**24 + 1
    missing = arrays.leaf(np.array([1, None, 2.5], object), "x")
    np.testing.assert_array_equal(missing, np.array([1, np.nan, 2.5], "float32"))
    assert arrays.leaf(np.array([True, False], object), "x").tolist() == [1.0, 0.0]
    for bad in ([1, "2"], [None, None], [1, [2]], [1j, 2]):
        array = np.empty(2, object)
        array[:] = bad
        with pytest.raises(DataError, match="objects"):
            arrays.leaf(array, "x")


def test_frames_of_mixed_numbers_and_their_values_are_the_same_and_texts_are_refused():
    pd = pytest.importorskip("pandas")
    net = K.Sequential([K.Input((2,)), K.layers.Dense(1)])
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [True, False]})
    np.testing.assert_array_equal(
        net.predict(frame, verbose=0), net.predict(frame.values, verbose=0)
    )
    nullable = pd.DataFrame({"a": pd.array([1, None], "Int64"), "b": [1.0, 2.0]})
    assert np.isnan(net.predict(nullable, verbose=0)[1, 0])
    for column in (["1", "2"], ["a", "b"], pd.to_datetime(["2026-01-01", None]),
                   pd.Categorical(["x", "y"])):  # fmt: skip
        with pytest.raises(DataError, match=r"text or objects|dtype"):
            net.predict(pd.DataFrame({"a": column, "b": [1.0, 2.0]}), verbose=0)


# ---- sparse matrices -----------------------------------------------------------------------------


def sparse_case():
    sp = pytest.importorskip("scipy.sparse")
    rng = np.random.default_rng(0)
    dense = np.where(rng.random((40, 6)) < 0.3, rng.normal(size=(40, 6)), 0).astype("float32")
    return sp, dense, dense.sum(1)


def trained(x, y, **settings):
    K.utils.set_random_seed(3)
    net = K.Sequential([K.Input((6,)), K.layers.Dense(1)])
    net.compile("adam", "mse")
    history = net.fit(x, y, epochs=3, batch_size=8, verbose=0, **settings).history
    return net, history


@pytest.mark.parametrize("limit", [64 << 20, 100])
@pytest.mark.parametrize("form", ["csr_matrix", "csc_array", "coo_matrix", "lil_matrix"])
def test_a_sparse_matrix_trains_as_its_dense_form(form, limit, monkeypatch):
    sp, dense, y = sparse_case()
    monkeypatch.setattr(arrays, "DENSE_BYTES", limit)
    x = getattr(sp, form)(dense)
    settings = {"validation_split": 0.25}
    (a, got), (b, want) = trained(x, y, **settings), trained(dense, y, **settings)
    assert got == want
    np.testing.assert_array_equal(a.predict(x, verbose=0), b.predict(dense, verbose=0))
    assert a.evaluate(x, y, verbose=0) == b.evaluate(dense, y, verbose=0)
    assert a.train_on_batch(x, y) == b.train_on_batch(dense, y)
    np.testing.assert_array_equal(a.predict_on_batch(x), b.predict_on_batch(dense))
    two = trained(x, y, validation_data=(x, y), steps_per_epoch=3)[1]
    assert two == trained(dense, y, validation_data=(dense, y), steps_per_epoch=3)[1]


def test_only_a_batch_of_a_large_sparse_matrix_is_ever_dense(monkeypatch):
    sp, dense, y = sparse_case()
    monkeypatch.setattr(arrays, "DENSE_BYTES", 100)
    seen = []
    make = arrays.SparseRows.__getitem__
    monkeypatch.setattr(arrays.SparseRows, "__getitem__",
                        lambda s, rows: seen.append(make(s, rows)) or seen[-1])  # fmt: skip
    net, _ = trained(sp.csr_matrix(dense), y)
    net.predict(sp.csr_matrix(dense), batch_size=8, verbose=0)
    assert max(len(batch) for batch in seen) == 8


def test_where_a_sparse_matrix_does_not_fit_it_is_named():
    sp, dense, _ = sparse_case()
    for entry in (fastnn.tensor, ops.sum, lambda a: K.layers.Dense(1)(a)):
        with pytest.raises((DataError, TypeError), match="sparse") as caught:
            entry(sp.csr_matrix(dense))
        assert "toarray" in str(caught.value)
