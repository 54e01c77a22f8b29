"""Every layer goes through every kind of file and comes back with its config and its results."""

import pickle

import numpy as np
import pytest
from layer_cases import CASES, WITHOUT

import fastnn
from fastnn import layers

#: A lambda is code, which no file holds; `test_saving.py` has what is said of it.
CODE = {"Lambda"}


def through(model, name, folder):
    """A copy of `model` that went through the file `name`, or through pickle."""
    if name == "pickle":
        return pickle.loads(pickle.dumps(model))
    path = folder / name
    if name.startswith("weights"):
        copy = fastnn.models.clone_model(model)
        model.save_weights(path)
        copy.load_weights(path)
        return copy
    model.save(path)
    return fastnn.models.load_model(path)


@pytest.mark.parametrize("name", sorted(CASES.keys() - CODE))
def test_every_layer_comes_back_from_every_kind_of_file(name, tmp_path, rng):
    for layer, shape in CASES[name]():
        model = fastnn.Sequential([fastnn.Input(shape), layer])
        model.set_weights([rng.uniform(0.2, 1.2, w.shape) for w in model.get_weights()])
        x = rng.random((2, *[5 if size is None else size for size in shape])).astype(np.float32)
        wanted = model.predict(x, verbose=0)
        for kind in ("m.safetensors", "m.keras", "m.h5", "pickle", "weights.safetensors",
                     "weights.weights.h5"):  # fmt: skip
            again = through(model, kind, tmp_path)
            assert type(again.layers[-1]) is type(layer), kind
            assert again.layers[-1].get_config() == layer.get_config(), kind
            np.testing.assert_array_equal(again.predict(x, verbose=0), wanted, err_msg=kind)


def test_every_layer_has_a_case_or_is_named():
    named = {getattr(layers, n).__name__ for n in layers.__all__ if n[0].isupper()}
    assert sorted(named - CASES.keys() - WITHOUT) == []
    assert sorted((CASES.keys() | WITHOUT) - named) == []
