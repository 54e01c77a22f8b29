"""Files of layers that hold other layers name every array as Keras does, and load both ways.

Needs keras 3 with the JAX back end and h5py (the `peers` extra).
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")
# Compiling takes the time here, not running.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

import io
import zipfile

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="needs keras: the `peers` extra")
h5py = pytest.importorskip("h5py", reason='needs h5py: pip install "fastnn-rs[keras-files]"')

import fastnn  # noqa: E402

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


def own_class(k):
    """A layer of the caller's: a private layer that a property shows, and one in a list."""

    @k.saving.register_keras_serializable(package="names")
    class Mixed(k.layers.Layer):
        def __init__(self, **settings):
            super().__init__(**settings)
            self._mix = k.layers.GroupQueryAttention(4, 2, 1)
            self._last = [k.layers.Dense(2)]

        @property
        def blend(self):
            return self._mix

        @property
        def broken(self):
            raise RuntimeError("not yet")

        def call(self, x):
            return self._last[0](self._mix(x, x))

        def compute_output_shape(self, shape):
            return (*shape[:-1], 2)

    return Mixed


KINDS = {
    "attention": lambda k: lambda x: k.layers.MultiHeadAttention(2, 3)(x, x),
    "grouped attention": lambda k: lambda x: k.layers.GroupQueryAttention(4, 4, 2)(x, x),
    "scaled attention": lambda k: lambda x: k.layers.AdditiveAttention()([x, x]),
    "own layer": lambda k: own_class(k)(),
    "both ways": lambda k: k.layers.Bidirectional(k.layers.LSTM(3, return_sequences=True)),
    "cells": lambda k: k.layers.RNN([k.layers.LSTMCell(3), k.layers.GRUCell(2)]),
    "steps of spectral": lambda k: k.layers.TimeDistributed(
        k.layers.SpectralNormalization(k.layers.Dense(3))
    ),
    "model inside": lambda k: k.Sequential(
        [k.Input((5, 4)), k.layers.Dense(3), k.layers.Dense(3, name="z")]
    ),
}


def model_of(k, kind):
    k.backend.clear_session()
    entrance = k.Input((5, 4))
    model = k.Model(entrance, k.layers.Dense(2)(KINDS[kind](k)(entrance)))
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.1, 1.0, w.shape) for w in model.get_weights()])
    return model


def arrays_in(path):
    data = zipfile.ZipFile(path).read("model.weights.h5") if path.suffix == ".keras" else None
    found = {}
    with h5py.File(io.BytesIO(data) if data else path, "r") as file:
        file.visititems(lambda n, o: found.update({n: o.shape} if hasattr(o, "shape") else {}))
    return {n: shape for n, shape in found.items() if not n.startswith("fastnn/")}


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_stand_under_the_names_of_keras_and_load_both_ways(kind, tmp_path):
    x = np.linspace(-1, 1, 40, dtype=np.float32).reshape(2, 5, 4)
    theirs, ours = model_of(keras, kind), model_of(fastnn.keras, kind)
    want = theirs.predict(x, verbose=0)
    for ending in ("keras", "weights.h5"):
        a, b = tmp_path / f"theirs.{ending}", tmp_path / f"ours.{ending}"
        for model, path in ((theirs, a), (ours, b)):
            model.save(path) if ending == "keras" else model.save_weights(path)
        assert arrays_in(b) == arrays_in(a)
        if ending == "keras":
            loaded, other = fastnn.models.load_model(a), keras.models.load_model(b)
        else:
            loaded, other = model_of(fastnn.keras, kind), model_of(keras, kind)
            loaded.load_weights(a)
            other.load_weights(b)
        np.testing.assert_allclose(loaded.predict(x, verbose=0), want, atol=1e-5)
        np.testing.assert_allclose(other.predict(x, verbose=0), want, atol=1e-5)
