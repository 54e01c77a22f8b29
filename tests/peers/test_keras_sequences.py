"""Random recurrent and attention nets with masks in Keras on JAX: outputs, gradients, steps.

Needs `[peers]`.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")
# Compiling takes the time here, not running.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="needs keras: the `peers` extra")
pytest.importorskip("jax", reason="the peers extra is not installed: jax")

import fastnn  # noqa: E402

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]
WORDS = 15


def recurrent(k, rng, sequences):
    """A recurrent layer with random settings."""
    kind = str(rng.choice(["LSTM", "GRU", "SimpleRNN", "RNN"]))
    units = int(rng.integers(2, 7))
    settings = {"return_sequences": sequences, "go_backwards": bool(rng.random() < 0.3)}
    L = k.layers
    if kind == "RNN":
        cells = [L.LSTMCell(3), L.GRUCell(units, reset_after=bool(rng.random() < 0.5))]
        layer = L.RNN(cells if rng.random() < 0.5 else cells[0], **settings)
    else:
        if kind == "GRU":
            settings["reset_after"] = bool(rng.random() < 0.6)
        if rng.random() < 0.3:
            settings["activation"] = str(rng.choice(["relu", "sigmoid", "softsign"]))
        settings["use_bias"] = bool(rng.random() < 0.8)
        layer = getattr(L, kind)(units, **settings)
    if rng.random() < 0.4 and not settings["go_backwards"]:
        return L.Bidirectional(layer, merge_mode=str(rng.choice(["concat", "sum", "ave", "mul"])))
    return layer


def attention(k, rng, x):
    """Attention of a sequence to itself."""
    L = k.layers
    kind = int(rng.integers(4))
    causal = bool(rng.random() < 0.5)
    if kind == 0:
        layer = L.MultiHeadAttention(int(rng.integers(1, 4)), int(rng.integers(2, 5)))
        return layer(x, x, use_causal_mask=causal)
    if kind == 1:
        layer = L.GroupQueryAttention(3, 4, int(rng.choice([1, 2, 4])))
        return layer(x, x, use_causal_mask=causal)
    if kind == 2:
        return L.Attention(use_scale=True)([x, x], use_causal_mask=causal)
    return L.AdditiveAttention()([x, x])


def net(k, seed):
    """The same random net in either library."""
    rng = np.random.default_rng(seed)
    inputs = k.Input((None,), dtype="int32")
    x = k.layers.Embedding(WORDS, int(rng.integers(3, 7)), mask_zero=bool(rng.random() < 0.6))(
        inputs
    )
    for _ in range(int(rng.integers(0, 3))):
        if rng.random() < 0.5:
            x = recurrent(k, rng, True)(x)
        else:
            x = k.layers.LayerNormalization()(attention(k, rng, x))
    x = recurrent(k, rng, False)(x)
    return k.Model(inputs, k.layers.Dense(2)(x))


def pair(seed):
    theirs, ours = net(keras, seed), net(fastnn, seed)
    rng = np.random.default_rng(seed + 1000)
    weights = [rng.normal(size=w.shape).astype(np.float32) * 0.4 for w in theirs.get_weights()]
    theirs.set_weights(weights)
    ours.set_weights(weights)
    tokens = rng.integers(1, WORDS, size=(6, 7))
    for row, length in zip(tokens, (7, 7, 5, 3, 1, 6), strict=True):
        row[length:] = 0
    return theirs, ours, tokens, rng.normal(size=(6, 2)).astype(np.float32)


@pytest.mark.parametrize("seed", range(60))
def test_sequences_agree(seed):
    theirs, ours, x, y = pair(seed)
    wanted = np.asarray(theirs(x))
    assert ours.predict(x, verbose=0) == pytest.approx(wanted, abs=1e-5, rel=1e-5)
    for model, k in ((theirs, keras), (ours, fastnn)):
        model.compile(k.optimizers.SGD(1.0), "mse")
    before = theirs.get_weights()
    theirs.train_on_batch(x, y)
    ours.train_on_batch(x, y)
    for start, a, b in zip(before, theirs.get_weights(), ours.get_weights(), strict=True):
        assert b - start == pytest.approx(a - start, abs=1e-4, rel=1e-3)  # the gradients
    for model, k in ((theirs, keras), (ours, fastnn)):
        model.set_weights(before)
        model.compile(k.optimizers.Adam(0.01), "mse")
        for _ in range(20):
            model.train_on_batch(x, y)
    after = np.asarray(theirs(x))
    assert ours.predict(x, verbose=0) == pytest.approx(after, abs=2e-3, rel=2e-3)
