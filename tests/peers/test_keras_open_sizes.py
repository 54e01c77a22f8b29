"""Random nets with open sizes: shapes, outputs and files agree with Keras. Needs `[peers]`."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")
# Compiling takes the time here, not running.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="needs keras: the `peers` extra")
pytest.importorskip("h5py", reason='needs h5py: pip install "fastnn-rs[keras-files]"')

import fastnn  # noqa: E402

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]


def step_layers(rng, k):
    """A layer for (n, steps, features) that keeps the rank and leaves steps open."""
    L = k.layers
    pick = [
        lambda: L.Dense(int(rng.integers(2, 6)), activation="tanh"),
        lambda: L.BatchNormalization(),
        lambda: L.LayerNormalization(),
        lambda: L.Masking(),
        lambda: L.ZeroPadding1D((1, 2)),
        lambda: L.Cropping1D((1, 0)),
        lambda: L.UpSampling1D(2),
        lambda: L.Dropout(0.3),
        lambda: L.PReLU(shared_axes=[1]),
        lambda: L.Softmax(),
        lambda: L.UnitNormalization(),
        lambda: L.RMSNormalization(),
        lambda: L.SpatialDropout1D(0.2),
        lambda: L.Activation("gelu"),
    ]
    return pick[int(rng.integers(len(pick)))]()


def image_layers(rng, k):
    """A layer for (n, rows, columns, channels) that leaves rows and columns open."""
    L = k.layers
    pick = [
        lambda: L.Dense(int(rng.integers(2, 5))),
        lambda: L.ZeroPadding2D(((1, 0), (2, 1))),
        lambda: L.Cropping2D(((0, 1), (1, 0))),
        lambda: L.UpSampling2D((2, 1)),
        lambda: L.GroupNormalization(1),
        lambda: L.BatchNormalization(),
        lambda: L.Permute((2, 1, 3)),
        lambda: L.LeakyReLU(),
    ]
    return pick[int(rng.integers(len(pick)))]()


def net(k, seed):
    """The same random net in either library, and its input's inner shape."""
    rng = np.random.default_rng(seed)
    image = bool(rng.integers(2))
    shape = (None, None, 3) if image else (None, 3)
    x = y = k.Input(shape)
    for _ in range(int(rng.integers(2, 6))):
        y = (image_layers if image else step_layers)(rng, k)(y)
        if rng.random() < 0.3:
            y = k.layers.Concatenate()([y, y * 2.0 + 1.0])
    end = int(rng.integers(3))
    if end == 0:
        y = k.ops.mean(y, axis=tuple(range(1, len(shape))))
        y = k.layers.Dense(2)(y)
    elif end == 1:
        y = k.layers.Reshape((-1, y.shape[-1]))(y)
    else:
        y = k.layers.Flatten()(y)
    return k.Model(x, y), shape


@pytest.mark.parametrize("seed", range(24))
def test_random_nets_of_open_sizes_agree(seed, tmp_path):
    (ours, shape), (theirs, _) = net(fastnn, seed), net(keras, seed)
    for a, b in zip(ours.layers, theirs.layers, strict=True):
        if hasattr(a, "output"):
            assert tuple(a.output.shape) == tuple(b.output.shape), a.name
    rng = np.random.default_rng(seed + 500)
    weights = [np.abs(rng.normal(size=w.shape)).astype(np.float32) for w in theirs.get_weights()]
    theirs.set_weights(weights)
    ours.set_weights(weights)
    ours.save(tmp_path / "ours.keras")
    theirs.save(tmp_path / "theirs.keras")
    read_there = keras.models.load_model(tmp_path / "ours.keras")
    read_here = fastnn.models.load_model(tmp_path / "theirs.keras")
    for _ in range(3):
        inner = [int(rng.integers(4, 9)) if d is None else d for d in shape]
        x = rng.normal(size=(2, *inner)).astype(np.float32)
        want = np.asarray(theirs(x))
        for model in (ours, read_here, read_there):
            have = model.predict(x, verbose=0)
            np.testing.assert_allclose(have, want, rtol=1e-5, atol=2e-5)
