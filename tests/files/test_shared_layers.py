"""A layer that stands at several places of one model is one layer in every copy of it."""

import copy
import pickle
import re
import zipfile

import numpy as np
import pytest

import fastnn
from fastnn import layers, models


def _beside_a_nested_model():
    x, shared = fastnn.Input((3,)), layers.Dense(3)
    return fastnn.Model(x, shared(fastnn.Model(x, shared(x))(x)))


def _in_two_nested_models():
    x, shared = fastnn.Input((3,)), layers.Dense(3)
    first = fastnn.Model(x, shared(x))
    second = fastnn.Sequential([fastnn.Input((3,)), shared, layers.ReLU()])
    return fastnn.Model(x, layers.Add()([first(x), second(x)]))


def _in_a_sequential_model():
    shared = layers.Dense(3)
    inner = fastnn.Sequential([fastnn.Input((3,)), shared])
    return fastnn.Sequential([fastnn.Input((3,)), inner, shared])


def _in_a_wrapper():
    x, shared = fastnn.Input((2, 3)), layers.Dense(3)
    return fastnn.Model(x, shared(layers.TimeDistributed(shared)(x)))


def _saved(end):
    def again(model, folder):
        model.save(folder / f"model{end}")
        return models.load_model(folder / f"model{end}")

    return again


def _with_weights(make):
    def again(model, _):
        other = make(model)
        other.set_weights(model.get_weights())
        return other

    return again


WAYS = {
    "keras": _saved(".keras"),
    "safetensors": _saved(".safetensors"),
    "h5": _saved(".h5"),
    "json": _with_weights(lambda m: models.model_from_json(m.to_json())),
    "clone": _with_weights(models.clone_model),
    "pickle": lambda m, _: pickle.loads(pickle.dumps(m)),
    "deepcopy": lambda m, _: copy.deepcopy(m),
}
MODELS = (_beside_a_nested_model, _in_two_nested_models, _in_a_sequential_model, _in_a_wrapper)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("make", MODELS)
def test_a_copy_shares_what_the_model_shares(make, way, tmp_path, rng):
    model = make()
    x = rng.normal(size=(4, *model.input_shape[1:])).astype("float32")
    other = WAYS[way](model, tmp_path)
    assert len(other.weights) == len(model.weights) == 2
    np.testing.assert_array_equal(other.predict(x, verbose=0), model.predict(x, verbose=0))
    for m in (model, other):
        m.compile("sgd", "mse")
        m.fit(x, x, epochs=2, shuffle=False, verbose=0)
    np.testing.assert_array_equal(other.predict(x, verbose=0), model.predict(x, verbose=0))


def test_only_layers_that_are_shared_are_marked(tmp_path):
    model = fastnn.Sequential(
        [
            fastnn.Input((4, 3)),
            layers.Bidirectional(layers.LSTM(2, return_sequences=True)),
            layers.TimeDistributed(layers.Dense(2)),
        ]
    )
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as file:
        assert b"shared_object_id" not in file.read("config.json")


@pytest.mark.parametrize("number", ["[1]", '"0"', "null", "-1"])
def test_a_mark_that_is_no_number_is_passed_over(number):
    text, found = re.subn(
        r'"shared_object_id": \d+',
        f'"shared_object_id": {number}',
        _beside_a_nested_model().to_json(),
    )
    assert found == 2
    assert len(models.model_from_json(text).weights) == 4
