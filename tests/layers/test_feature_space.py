"""Feature spaces and crossed features: encodings, data sets, models, files, and wrong tables."""

import pathlib
import zipfile

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn.utils import FeatureSpace

TABLE = {
    "age": [20.0, 30.0, 40.0, 50.0],
    "kind": [7, 9, 7, 7],
    "city": ["Rome", "Oslo", "Rome", "Bern"],
}


def array(x) -> np.ndarray:
    return np.asarray(x)


def space(**more) -> FeatureSpace:
    made = FeatureSpace(
        {"age": "float_normalized", "kind": "integer_categorical", "city": "string_categorical"},
        crosses=[("kind", "city")], crossing_dim=8, **more,
    )  # fmt: skip
    made.adapt(TABLE)
    return made


def test_crossed_bins_are_those_of_keras():
    # Numbers from Keras's own documentation and tests.
    first, second = np.array(["A", "B", "A", "B", "A"]), np.array([101, 101, 101, 102, 102])
    layer = layers.HashedCrossing(num_bins=5)
    assert array(layer((first, second))).tolist() == [1, 4, 1, 1, 3]
    one_hot = layers.HashedCrossing(num_bins=5, output_mode="one_hot")
    assert array(one_hot((first[:, None], second[:, None]))).argmax(-1).tolist() == [1, 4, 1, 1, 3]
    assert array(layer(["A", 101])).shape == ()
    assert layer.get_config()["num_bins"] == 5


def test_a_model_crosses_numbers_as_arrays_are_crossed():
    rng = np.random.default_rng(0)
    values = [rng.integers(-(2**31), 2**31, (500, 1)).astype(np.int32) for _ in range(3)]
    values[0][:6, 0] = [0, 1, -1, 2**31 - 1, -(2**31), 255]
    inputs = [fastnn.Input((1,), dtype="int32") for _ in values]
    for bins in (1, 2, 97, 10_007, 2**25):
        layer = layers.HashedCrossing(bins)
        model = fastnn.Model(inputs, layer(inputs))
        expected = array(layer(values))
        assert model.predict(values, verbose=0).tolist() == expected.tolist()
        assert expected.min() >= 0
        assert expected.max() < bins


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (np.zeros((2, 1), int), "list or tuple"),
        ([np.zeros((2, 1), int)], "at least two"),
        ([np.zeros((2, 1), int), np.zeros((3, 1), int)], "equal shape"),
        ([np.zeros((2, 2), int), np.zeros((2, 2), int)], r"\(batch_size, 1\)"),
        ([np.zeros((2, 1)), np.zeros((2, 1), int)], "integer or string dtype"),
    ],
)
def test_crossed_inputs_that_do_not_fit_are_refused(inputs, said):
    with pytest.raises(fastnn.DataError, match=f"(?s){said}.*hint:"):
        layers.HashedCrossing(4)(inputs)


def test_wrong_settings_of_crossed_features_are_refused():
    for more in ({"num_bins": 0}, {"num_bins": 3, "output_mode": "count"},
                 {"num_bins": 3, "sparse": True}):  # fmt: skip
        with pytest.raises(ValueError, match="hint:"):
            layers.HashedCrossing(**more)
    x = fastnn.Input((1,))
    with pytest.raises(fastnn.DataError, match="integer or string dtype"):
        layers.HashedCrossing(3)([x, x])
    many = layers.HashedCrossing(2**26)
    whole = fastnn.Input((1,), dtype="int32")
    with pytest.raises(fastnn.DataError, match="before training"):
        many([whole, whole])


def test_columns_are_encoded_in_the_order_of_their_names():
    made = space()
    out = array(made(TABLE))
    assert out.shape == (4, 1 + 4 + 3 + 8)
    assert out[:, 0] == pytest.approx((np.array(TABLE["age"]) - 35) / np.sqrt(125), rel=1e-5)
    assert made.preprocessors["city"].get_vocabulary() == ["[UNK]", "Rome", "Oslo", "Bern"]
    assert out[:, 1:5].argmax(-1).tolist() == [1, 2, 1, 3]
    assert out[:, 5:8].argmax(-1).tolist() == [1, 2, 1, 1]
    assert (out[:, 1:].sum(-1) == 3).all()
    crossed = made.crossers["kind_X_city"]([np.array([1, 2, 1, 1]), np.array([1, 2, 1, 3])])
    assert out[:, 8:].argmax(-1).tolist() == array(crossed).tolist()


def test_single_values_give_one_vector():
    made = space()
    row = {key: column[1] for key, column in TABLE.items()}
    assert array(made(row)).tolist() == array(made(TABLE))[1].tolist()
    parts = space(output_mode="dict")(row)
    assert {k: tuple(v.shape) for k, v in parts.items()} == {
        "age": (1,), "city": (4,), "kind": (3,), "kind_X_city": (8,)}  # fmt: skip


def test_data_sets_of_rows_and_of_batches_teach_the_same():
    rows = fastnn.data.Dataset.from_tensor_slices(TABLE)
    expected = array(space()(TABLE))
    for data in (rows, rows.batch(3), iter(list(rows.batch(2)))):
        made = space()
        made.adapt(data)
        assert array(made(TABLE)) == pytest.approx(expected)
    mapped = np.concatenate([array(x) for x in rows.batch(3).map(space())])
    assert mapped == pytest.approx(expected)


def test_every_kind_of_feature_has_its_width():
    kinds = {
        "float": (1,), "float_normalized": (1,), "float_rescaled": (1,), "float_discretized": (6,),
        "integer_categorical": (3,), "string_categorical": (4,), "integer_hashed": (5,),
        "string_hashed": (5,),
    }  # fmt: skip
    for kind, width in kinds.items():
        made = FeatureSpace({"c": kind}, hashing_dim=5, num_discretization_bins=6)
        key = "city" if kind.startswith("string") else "kind" if kind[0] == "i" else "age"
        made.adapt({"c": TABLE[key]})
        assert array(made({"c": TABLE[key]})).shape == (4, *width), kind
    bounds = FeatureSpace({"c": FeatureSpace.float_discretized(bin_boundaries=[25.0, 45.0])})
    assert array(bounds({"c": TABLE["age"]})).argmax(-1).tolist() == [0, 1, 1, 2]


def test_a_layer_of_ones_own_reads_a_column():
    layer = layers.TextVectorization(output_mode="count")
    made = FeatureSpace({"t": FeatureSpace.feature("string", layer, "float")})
    made.adapt({"t": ["a b", "b b"]})
    assert array(made({"t": ["b a b"]})).tolist() == [[0, 2, 1]]


def test_models_train_on_encoded_rows_and_predict_raw_ones():
    made, y = space(), np.array([0, 1, 0, 1])
    rows = fastnn.data.Dataset.from_tensor_slices((TABLE, y)).batch(2)
    encoded = made.get_encoded_features()
    out = layers.Dense(1, activation="sigmoid")(encoded)
    trained = fastnn.Model(encoded, out)
    trained.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    trained.fit(rows.map(lambda x, y: (made(x), y)), epochs=2, verbose=0)
    whole = fastnn.Model(made.get_inputs(), out)
    raw = {key: np.array(column) for key, column in TABLE.items()}
    expected = trained.predict(made(TABLE), verbose=0)
    assert whole.predict(raw, verbose=0) == pytest.approx(expected, abs=1e-6)
    one = {key: fastnn.ops.convert_to_tensor([c[0]]) for key, c in TABLE.items()}
    assert whole.predict(one, verbose=0) == pytest.approx(expected[:1], abs=1e-6)


def test_tensors_of_numbers_are_looked_up_as_arrays_are():
    x = fastnn.Input((1,), dtype="int32")
    model = fastnn.Model(x, layers.IntegerLookup(vocabulary=[7, 9, 1])(x))
    raw = np.array([[1], [7], [9]])
    for call in (lambda v: model.predict(v, verbose=0), model):
        assert array(call(fastnn.tensor(raw))).ravel().tolist() == [3, 1, 2]
        assert array(call(raw)).ravel().tolist() == [3, 1, 2]
    text = fastnn.Input((1,), dtype="string")
    words = fastnn.Model(text, layers.StringLookup(vocabulary=["a"])(text))
    with pytest.raises(fastnn.DataError, match="wants text"):
        words.predict(fastnn.tensor(raw), verbose=0)


@pytest.mark.parametrize("ending", ["safetensors", "keras"])
def test_files_keep_what_was_learned(ending, tmp_path):
    if ending == "keras":
        pytest.importorskip("h5py")
    made, path = space(), tmp_path / f"space.{ending}"
    made.save(path)
    again = fastnn.models.load_model(path)
    assert isinstance(again, FeatureSpace)
    assert array(again(TABLE)).tolist() == array(made(TABLE)).tolist()
    out = layers.Dense(2)(made.get_encoded_features())
    model = fastnn.Model(made.get_inputs(), out)
    model.save(tmp_path / f"model.{ending}")
    raw = {key: np.array(column) for key, column in TABLE.items()}
    loaded = fastnn.models.load_model(tmp_path / f"model.{ending}")
    assert loaded.predict(raw, verbose=0).tolist() == model.predict(raw, verbose=0).tolist()


def test_a_config_makes_the_same_space():
    made = FeatureSpace({"city": "string_categorical", "k": FeatureSpace.integer_hashed(4)},
                        crosses=[FeatureSpace.cross(("city", "k"), 16, "int")],
                        output_mode="dict")  # fmt: skip
    again = FeatureSpace.from_config(made.get_config())
    data = {"city": ["a", "b", "a"], "k": [1, 2, 3]}
    for s in (made, again):
        s.adapt(data)
    for key, x in made(data).items():
        assert array(x).tolist() == array(again(data)[key]).tolist()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"features": {}}, "None or empty"),
        ({"features": {"a": "floot"}}, "Invalid feature type"),
        ({"features": {"a": "float"}, "output_mode": "concatenate"}, "output_mode"),
        ({"features": {"a": "float"}, "crosses": [("a", "b")]}, "unknown features"),
        ({"features": {"a": "string_hashed"}, "crosses": [("a", "a")], "crossing_dim": 0},
         "crossing_dim"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused(arguments, said):
    with pytest.raises(ValueError, match=f"(?s){said}.*hint:"):
        FeatureSpace(**arguments)


def test_wrong_tables_are_refused():
    raw = FeatureSpace({"city": "string_categorical"})
    with pytest.raises(ValueError, match="adapt"):
        raw({"city": ["a"]})
    with pytest.raises(ValueError, match="dict of arrays/lists"):
        raw.adapt(np.zeros(3))
    with pytest.raises(fastnn.DataError, match=r"(?s)dicts of columns.*map"):
        raw.adapt(fastnn.data.Dataset.from_tensor_slices(np.zeros((3, 1))))
    made = space()
    with pytest.raises(ValueError, match="only be called with a dict"):
        made([1, 2])
    with pytest.raises(fastnn.DataError, match="no column 'city'"):
        made({"age": [1.0], "kind": [7]})
    with pytest.raises(fastnn.DataError, match="'more' are no features"):
        made({**TABLE, "more": [1, 2, 3, 4]})
    with pytest.raises(ValueError, match="has not been encoded"):
        FeatureSpace(
            {"k": FeatureSpace.integer_hashed(4, output_mode="int")}
        ).get_encoded_features()
    bad = FeatureSpace({"a": FeatureSpace.feature("float32", layers.Rescaling(2.0), "one_hot")})
    with pytest.raises(ValueError, match="integer dtype"):
        bad.get_encoded_features()


class Scaled(layers.Layer):
    """A layer that keeps more than its config says: a size, numbers and a file."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.note = ""

    def build(self, input_shape, start="ones"):
        self.start = start
        self.w = self.add_weight((input_shape[-1],), start, name="w")
        self.built = True

    def call(self, x):
        return x * self.w

    def get_build_config(self):
        return {"input_shape": [None, 3], "start": self.start}

    def build_from_config(self, config):
        self.build(config["input_shape"], config["start"])

    def save_assets(self, folder):
        pathlib.Path(folder, "note.txt").write_text(self.note)

    def load_assets(self, folder):
        self.note = pathlib.Path(folder, "note.txt").read_text()


@pytest.mark.parametrize("kind", ["functional", "sequential"])
def test_layers_of_ones_own_are_built_and_filled_from_files(kind, tmp_path):
    pytest.importorskip("h5py")
    inner = Scaled()
    inner.build((None, 3), "zeros")
    inner.note = "kept"
    x = fastnn.Input((3,))
    net = fastnn.Model(x, inner(x)) if kind == "functional" else fastnn.Sequential([x, inner])
    inner.w.assign([1.0, 2.0, 3.0])
    net.save(tmp_path / "net.keras")
    again = fastnn.models.load_model(tmp_path / "net.keras", {"Scaled": Scaled}).layers[-1]
    assert (again.w.numpy().tolist(), again.note, again.start) == ([1.0, 2.0, 3.0], "kept", "zeros")


def test_names_in_a_file_lead_nowhere_else(tmp_path):
    pytest.importorskip("h5py")
    inner = Scaled()
    net = fastnn.Sequential([fastnn.Input((3,)), inner])
    net.save(tmp_path / "net.keras")
    for name in ("../x.txt", "a/../../x.txt", "a\\b", "/etc/x", "c:x"):
        with zipfile.ZipFile(tmp_path / "net.keras") as whole:
            members = {n: whole.read(n) for n in whole.namelist() if not n.startswith("assets/")}
        with zipfile.ZipFile(tmp_path / "bad.keras", "w") as bad:
            for n, data in {**members, f"assets/layers/scaled/{name}": b"x"}.items():
                bad.writestr(n, data)
        with pytest.raises(fastnn.FormatError, match=r"(?s)outside its folder.*hint:"):
            fastnn.models.load_model(tmp_path / "bad.keras", {"Scaled": Scaled})
    assert not (tmp_path / "x.txt").exists()


def test_learned_vocabularies_and_weights_of_tokens_are_in_keras_files(tmp_path):
    pytest.importorskip("h5py")
    words, texts = fastnn.Input((1,), dtype="string"), np.array([["b a b"], ["c"]])
    reader = layers.TextVectorization(output_mode="tf_idf")
    reader.adapt(texts)
    net = fastnn.Model(words, reader(words))
    net.save(tmp_path / "net.keras")
    with zipfile.ZipFile(tmp_path / "net.keras") as file:
        assert any(n.endswith("vocabulary.txt") for n in file.namelist())
    again = fastnn.models.load_model(tmp_path / "net.keras")
    assert again.predict(texts, verbose=0).tolist() == net.predict(texts, verbose=0).tolist()
