"""Classes and functions of the user's own in files: what is saved can be loaded again."""

import copy
import json
import pickle
import warnings

import numpy as np
import pytest

import fastnn
from fastnn import keras as K
from fastnn.errors import FormatError
from fastnn.keras import layers

pytest.importorskip("h5py")
SUFFIXES = ["safetensors", "keras", "h5"]
X = np.arange(12, dtype="float32").reshape(4, 3)


def doubled(x):
    return x * 2


CODE = {
    "activation": lambda: layers.Dense(2, activation=lambda x: x * 2),
    "initializer": lambda: layers.Dense(2, kernel_initializer=lambda s, dtype=None: np.ones(s)),
    "regularizer": lambda: layers.Dense(2, kernel_regularizer=lambda w: K.ops.sum(w)),
    "constraint": lambda: layers.Dense(2, kernel_constraint=lambda w: w),
}


def model_of(*made):
    return K.Sequential([K.Input((3,)), *made])


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("what", CODE)
def test_a_lambda_is_refused_when_it_is_saved_and_not_when_the_file_is_read(what, suffix, tmp_path):
    model = model_of(CODE[what]())
    with pytest.raises(ValueError, match=r"holds code.*(?s:.)*hint: name the function"):
        model.save(tmp_path / f"m.{suffix}")
    model.save_weights(tmp_path / "m.weights.h5")


@pytest.mark.parametrize("what", CODE)
def test_a_lambda_is_there_in_copies_in_memory(what):
    model = model_of(CODE[what]())
    again = K.models.clone_model(model)
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again(X), model(X))
    np.testing.assert_array_equal(copy.deepcopy(model)(X), model(X))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("part", ["loss", "metric", "rate"])
def test_a_lambda_in_compile_leaves_out_the_settings_and_says_so(part, suffix, tmp_path):
    model = model_of(layers.Dense(1))
    loss = (lambda y, p: K.ops.mean(K.ops.square(y - p), axis=-1)) if part == "loss" else "mse"
    metrics = [lambda y, p: K.ops.mean(p)] if part == "metric" else None
    rate = (lambda: 0.1) if part == "rate" else 0.1
    model.compile(K.optimizers.SGD(rate), loss, metrics=metrics)
    model.fit(X, X[:, :1], verbose=0)
    with pytest.warns(UserWarning, match="no compile settings"):
        model.save(tmp_path / f"m.{suffix}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = K.models.load_model(tmp_path / f"m.{suffix}")
    assert not again.compiled
    np.testing.assert_array_equal(again(X), model(X))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_function_with_a_name_is_found_or_asked_for_by_it(suffix, tmp_path):
    model, path = model_of(layers.Dense(2, activation=doubled)), tmp_path / f"m.{suffix}"
    model.save(path)
    again = K.models.load_model(path, custom_objects={"doubled": doubled})
    np.testing.assert_array_equal(again(X), model(X))
    with pytest.raises(FormatError, match=r"'doubled'(?s:.)*hint:(?s:.)*custom_objects"):
        K.models.load_model(path)
    config = layers.Dense(2, activation=doubled).get_config()
    assert config["activation"] == "doubled"
    assert pickle.loads(pickle.dumps(config)) == config
    assert layers.Dense.from_config(config).activation is doubled


class Plain(K.Model):
    """A model as many are written: no **kwargs and no get_config."""

    def __init__(self, units):
        super().__init__()
        self.out = layers.Dense(units)

    def call(self, x):
        return self.out(x)


class PlainLayer(layers.Layer):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def call(self, x):
        return x * self.factor


@pytest.mark.parametrize("suffix", ["safetensors", "keras"])
def test_a_class_whose_constructor_takes_its_own_arguments_alone_comes_back(suffix, tmp_path):
    model, path = Plain(2), tmp_path / f"m.{suffix}"
    model(X)
    model.save(path)
    again = K.models.load_model(path, custom_objects={"Plain": Plain})
    np.testing.assert_array_equal(again(X), model(X))
    assert again.name == model.name
    held = PlainLayer(3.0)
    held.trainable = False
    model = model_of(held)
    model.save(path)
    again = K.models.load_model(path, custom_objects={"PlainLayer": PlainLayer})
    np.testing.assert_array_equal(again(X), X * 3)
    assert (again.layers[0].name, again.layers[0].trainable) == (held.name, False)


def test_names_of_older_versions_say_what_stands_for_them():
    model = model_of(layers.Dense(1))
    for name, words in {"fit_generator": r"model\.fit", "predict_classes": "argmax",
                        "to_yaml": "to_json", "zero_grad": "GradientTape"}.items():  # fmt: skip
        with pytest.raises(AttributeError, match=rf"{name}(?s:.)*hint:(?s:.)*{words}"):
            getattr(model, name)
    with pytest.raises(AttributeError, match="predcit"):
        model.predcit  # noqa: B018
    assert not hasattr(model, "train_function")
    assert fastnn.Model is K.Model


def of_mine(y, p):
    return fastnn.ops.mean(fastnn.ops.square(y - p), axis=-1)


@pytest.mark.parametrize("ending", ["keras", "safetensors", "h5"])
def test_a_metric_that_is_a_function_loads_with_custom_objects(tmp_path, ending):
    model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
    model.compile("sgd", of_mine, metrics=[of_mine])
    x, y = np.ones((4, 2)), np.ones((4, 1))
    model.fit(x, y, verbose=0)
    path = str(tmp_path / f"m.{ending}")
    model.save(path)
    loaded = fastnn.load_model(path, custom_objects={"of_mine": of_mine})
    assert loaded.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)


@pytest.mark.parametrize("suffix", [".keras", ".safetensors"])
def test_a_class_says_itself_how_it_is_compiled(tmp_path, suffix):
    @fastnn.saving.register_keras_serializable(package="compiled")
    def tenth(y_true, y_pred):
        return K.ops.sum((y_true - y_pred) ** 2.0, axis=1) / 10.0

    @fastnn.saving.register_keras_serializable(package="compiled")
    class Own(fastnn.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.dense = layers.Dense(2)

        def call(self, x):
            return self.dense(x)

        def compile(self, optimizer, loss_fn, alpha=0.5):
            super().compile(optimizer=optimizer, loss=loss_fn)
            self.loss_fn, self.alpha = loss_fn, alpha

        def get_compile_config(self):
            return {"opt": self.optimizer, "loss_fn": self.loss_fn, "alpha": self.alpha}

        def compile_from_config(self, config):
            read = fastnn.saving.deserialize_keras_object
            self.compile(read(config["opt"]), read(config["loss_fn"]), config["alpha"])

    model = Own()
    x, y = np.ones((4, 3), "float32"), np.zeros((4, 2), "float32")
    model(x)
    model.compile(fastnn.optimizers.Adam(0.01), tenth, alpha=0.25)
    model.fit(x, y, epochs=2, verbose=0)
    path = str(tmp_path / f"own{suffix}")
    model.save(path)
    back = fastnn.load_model(path)
    assert (back.alpha, back.loss_fn, int(back.optimizer.iterations)) == (0.25, tenth, 2)
    assert back.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)
    assert back.fit(x, y, verbose=0).history == model.fit(x, y, verbose=0).history


def test_a_serialized_layer_says_what_it_was_built_for_and_comes_back_built():
    from fastnn import layers

    dense, heads = layers.Dense(3), layers.MultiHeadAttention(2, 2)
    dense.build((2, 4))
    heads.build((2, 3, 4), (2, 3, 4))
    for layer in (dense, heads, layers.Dropout(0.2)):
        config = json.loads(json.dumps(fastnn.saving.serialize_keras_object(layer)))
        back = fastnn.saving.deserialize_keras_object(config)
        assert [w.shape for w in back.weights] == [w.shape for w in layer.weights]
    assert "build_config" in fastnn.saving.serialize_keras_object(dense)
    # As Keras 3.15 writes a layer; a block of the caller's keeps such configs of its parts.
    config = {
        "module": "keras.layers", "class_name": "Dense", "registered_name": None,
        "config": {"name": "d", "units": 3, "quantization_config": None},
        "build_config": {"input_shape": [2, 4]},
    }  # fmt: skip
    back = fastnn.saving.deserialize_keras_object(config)
    assert back.built
    assert back.kernel.shape == (4, 3)


def test_a_serialized_layer_is_in_the_layout_of_keras():
    from fastnn import layers

    conv = layers.Conv2D(3, (1, 2), kernel_regularizer="l2", activity_regularizer="l1", name="c")
    written = fastnn.saving.serialize_keras_object(conv)
    config = written["config"]
    assert config["kernel_size"] == (1, 2)  # a list in JSON, as Keras reads it
    policy = {"class_name": "DTypePolicy", "config": {"name": "float32"}}
    assert config["dtype"] == {"module": "keras", **policy, "registered_name": None}
    for key, module in (
        ("kernel_regularizer", "regularizers"),
        ("bias_initializer", "initializers"),
    ):
        assert config[key]["module"] == f"keras.{module}"
        assert config[key]["registered_name"] is None
    back = fastnn.saving.deserialize_keras_object(json.loads(json.dumps(written)))
    assert back.get_config() == conv.get_config()
    quiet = fastnn.saving.serialize_keras_object(layers.ActivityRegularization(0.1))
    assert "activity_regularizer" not in quiet["config"]
    grouped = fastnn.saving.serialize_keras_object(layers.GroupedQueryAttention(2, 4, 2))
    assert grouped["class_name"] == "GroupQueryAttention"


def test_a_layer_within_an_own_one_keeps_its_names_in_a_keras_file(tmp_path):
    import zipfile

    from fastnn import layers, saving

    @saving.register_keras_serializable("house")
    class Inner(layers.Layer):
        def call(self, x):
            return x * 2.0

    @saving.register_keras_serializable("house")
    class Outer(layers.Layer):
        def __init__(self, parts, **kwargs):
            super().__init__(**kwargs)
            self.parts = parts

        def call(self, x):
            for part in self.parts:
                x = part(x)
            return x

        def get_config(self):
            parts = [saving.serialize_keras_object(part) for part in self.parts]
            return {**super().get_config(), "parts": parts}

        @classmethod
        def from_config(cls, config):
            config["parts"] = [saving.deserialize_keras_object(p) for p in config["parts"]]
            return cls(**config)

    outer = Outer([Inner(), layers.Conv1D(2, 3)])
    model = fastnn.Sequential([fastnn.Input((5, 2)), outer])
    path = str(tmp_path / "m.keras")
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        entry = json.loads(archive.read("config.json"))["config"]["layers"][-1]
    own, conv = entry["config"]["parts"]
    assert own["registered_name"] == "house>Inner"
    assert own["class_name"] == "Inner"
    assert conv["config"]["kernel_size"] == [3]
    assert conv["module"] == "keras.layers"
    x = np.ones((1, 5, 2), "float32")
    np.testing.assert_array_equal(fastnn.load_model(path).predict(x), model.predict(x))


@pytest.mark.parametrize(
    "make",
    [
        lambda: fastnn.layers.IntegerLookup(vocabulary=[1, 2]),
        lambda: fastnn.layers.StringLookup(vocabulary=["a"]),
        lambda: fastnn.layers.TextVectorization(vocabulary=["a"]),
        lambda: fastnn.layers.Hashing(3),
        lambda: fastnn.layers.Discretization([0.0, 1.0]),
        lambda: fastnn.layers.GroupQueryAttention(2, 2, 1),
        lambda: fastnn.layers.Dense(2, dtype="mixed_bfloat16"),
        lambda: fastnn.layers.Dense(2, kernel_initializer=_seeded()),
        lambda: _seeded(),
    ],
)
def test_what_an_object_is_written_as_makes_it_again(make):
    written = fastnn.saving.serialize_keras_object(make())
    again = fastnn.saving.deserialize_keras_object(json.loads(json.dumps(written)))
    assert fastnn.saving.serialize_keras_object(again) == written


def _seeded():
    return fastnn.initializers.HeNormal(seed=fastnn.random.SeedGenerator(3))


def test_an_initializer_made_of_a_config_draws_by_its_generator(tmp_path):
    first = _seeded()
    again = fastnn.initializers.HeNormal.from_config(first.get_config())
    config = fastnn.saving.serialize_keras_object(_seeded())
    read = fastnn.saving.deserialize_keras_object(config)
    expected = first((3, 4))
    np.testing.assert_array_equal(again((3, 4)), expected)
    np.testing.assert_array_equal(read((3, 4)), expected)
    model = fastnn.Sequential(
        [fastnn.Input((3,)), fastnn.layers.Dense(2, kernel_initializer=_seeded())]
    )
    model.save(tmp_path / "m.keras")
    back = fastnn.models.load_model(tmp_path / "m.keras").layers[-1].kernel_initializer
    assert back.seed.get_config()["seed"] == 3
