"""Keras's own layers computed by fastnn, beside Keras's NumPy code; run by test_keras_slot.py.

Prints a line of JSON: what differs, and which calls were not compiled.
"""

import json
import warnings

import numpy as np

from fastnn import keras_backend

keras_backend.install()
keras_backend.install()  # a second call changes nothing

import keras  # noqa: E402
from keras import layers as L, ops  # noqa: E402

RNG = np.random.default_rng(0)
LINE, IMAGE, SPACE, FLAT = (9, 4), (8, 10, 3), (5, 6, 4, 2), (12,)


class Own(L.Layer):
    """A layer as users write them."""

    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1], 4))

    def call(self, x):
        y = ops.tanh(ops.matmul(x, self.w))
        top, _ = ops.top_k(y, 2)
        return ops.where(y > 0, ops.exp(-y), y * ops.sum(top, axis=-1, keepdims=True))


LAYERS = {
    "Dense": (L.Dense(3, "gelu"), FLAT),
    "EinsumDense": (L.EinsumDense("abc,cd->abd", (None, 5), bias_axes="d"), LINE),
    "Own": (Own(), FLAT),
    "PReLU": (L.PReLU(), FLAT), "LeakyReLU": (L.LeakyReLU(), FLAT), "ELU": (L.ELU(), FLAT),
    "ReLU": (L.ReLU(6.0), FLAT), "Softmax": (L.Softmax(), FLAT),
    "Conv1D": (L.Conv1D(3, 3, padding="causal", dilation_rate=2), LINE),
    "Conv2D": (L.Conv2D(6, 3, 2, padding="same", groups=3), IMAGE),
    "Conv3D": (L.Conv3D(3, 2), SPACE),
    "DepthwiseConv1D": (L.DepthwiseConv1D(3), LINE),
    "DepthwiseConv2D": (L.DepthwiseConv2D(3, 2, depth_multiplier=2), IMAGE),
    "SeparableConv1D": (L.SeparableConv1D(3, 3), LINE),
    "SeparableConv2D": (L.SeparableConv2D(4, 3, padding="same"), IMAGE),
    "Conv1DTranspose": (L.Conv1DTranspose(3, 3, 2), LINE),
    "Conv2DTranspose": (L.Conv2DTranspose(3, 3, 2, padding="same"), IMAGE),
    "MaxPooling1D": (L.MaxPooling1D(2), LINE), "MaxPooling2D": (L.MaxPooling2D(3, 2), IMAGE),
    "AveragePooling2D": (L.AveragePooling2D(2, padding="same"), IMAGE),
    "AveragePooling3D": (L.AveragePooling3D(2), SPACE),
    "GlobalAveragePooling1D": (L.GlobalAveragePooling1D(), LINE),
    "GlobalMaxPooling2D": (L.GlobalMaxPooling2D(), IMAGE),
    "BatchNormalization": (L.BatchNormalization(), IMAGE),
    "LayerNormalization": (L.LayerNormalization(), LINE),
    "GroupNormalization": (L.GroupNormalization(2), LINE),
    "RMSNormalization": (L.RMSNormalization(), LINE),
    "UnitNormalization": (L.UnitNormalization(), LINE),
    "SpectralNormalization": (L.SpectralNormalization(L.Dense(3)), FLAT),
    "Dropout": (L.Dropout(0.5), FLAT), "SpatialDropout1D": (L.SpatialDropout1D(0.5), LINE),
    "GaussianNoise": (L.GaussianNoise(0.5), FLAT),
    "Flatten": (L.Flatten(), LINE), "Reshape": (L.Reshape((-1, 2)), LINE),
    "Permute": (L.Permute((2, 1)), LINE), "RepeatVector": (L.RepeatVector(3), FLAT),
    "Cropping2D": (L.Cropping2D(1), IMAGE), "ZeroPadding2D": (L.ZeroPadding2D(2), IMAGE),
    "UpSampling1D": (L.UpSampling1D(2), LINE),
    "UpSampling2D": (L.UpSampling2D(2, interpolation="bilinear"), IMAGE),
    "SimpleRNN": (L.SimpleRNN(4), LINE), "GRU": (L.GRU(4, return_sequences=True), LINE),
    "LSTM": (L.LSTM(4, go_backwards=True), LINE),
    "Bidirectional": (L.Bidirectional(L.LSTM(3, return_sequences=True)), LINE),
    "RNN": (L.RNN([L.LSTMCell(3), L.GRUCell(2)]), LINE),
    "ConvLSTM1D": (L.ConvLSTM1D(2, 2), (4, 6, 3)),
    "TimeDistributed": (L.TimeDistributed(L.Dense(2)), LINE),
    "Rescaling": (L.Rescaling(0.1, 1.0), FLAT),
}  # fmt: skip

faults, compiled = [], []


def compare(name, model, x, tolerance=2e-5):
    """`predict`, which is compiled, beside a call, which is NumPy's."""
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always")
        found = model.predict(x, verbose=0)
    notes = [str(n.message) for n in noted if "computed by NumPy" in str(n.message)]
    faults.extend(f"{name}: {n}" for n in notes)
    wanted = model(x, training=False)
    for w, f in zip(keras.tree.flatten(wanted), keras.tree.flatten(found), strict=True):
        far = np.abs(w - f).max() / max(1.0, np.abs(w).max())
        if w.shape != f.shape or w.dtype != f.dtype or not far < tolerance:
            faults.append(f"{name}: {f.dtype} {f.shape}, wanted {w.dtype} {w.shape}; {far:.1e} off")
    if not notes:
        compiled.append(name)


def shake(model):
    """Other weights, as training would leave them."""
    model.set_weights([
        np.abs(RNG.normal(size=w.shape) * 0.4 + 0.1).astype(w.dtype) if w.dtype.kind == "f" else w
        for w in model.get_weights()
    ])  # fmt: skip


for name, (layer, shape) in LAYERS.items():
    model = keras.Sequential([keras.Input(shape), layer])
    shake(model)
    compare(name, model, RNG.normal(size=(5, *shape)).astype("float32"))
    shake(model)  # new values of weights are seen
    compare(name, model, RNG.normal(size=(3, *shape)).astype("float32"))

words = keras.Input((7,), dtype="int32")
h = L.Embedding(30, 6, mask_zero=True)(words)
h = L.Bidirectional(L.GRU(4, return_sequences=True))(h)
h = L.MultiHeadAttention(2, 4)(h, h)
numbers = keras.Input((3,))
out = L.Concatenate()([L.GlobalAveragePooling1D()(h), numbers])
model = keras.Model([words, numbers], {"kind": L.Dense(2, "softmax")(out), "last": L.LSTM(3)(h)})
given = [RNG.integers(0, 30, (6, 7)).astype("int32"), RNG.normal(size=(6, 3)).astype("float32")]
compare("several inputs and outputs, masks", model, given)


class Twice(keras.Model):
    """A subclassed model with a model inside."""

    def __init__(self):
        super().__init__()
        self.inner = keras.Sequential([L.Dense(4, "relu"), L.Dense(4)])

    def call(self, x, training=None):
        return self.inner(self.inner(x)) + x


twice = Twice()
twice.predict(RNG.normal(size=(5, 4)).astype("float32"), verbose=0)  # makes the weights
compare("subclassed", twice, RNG.normal(size=(70, 4)).astype("float32"))
net = keras.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3), classes=5)
compare("MobileNetV2", net, RNG.normal(size=(2, 32, 32, 3)), 1e-4)

model = keras.Sequential([keras.Input((4,)), L.Dense(1)])
model.compile(loss="mse", metrics=["mae"])
x, y = RNG.normal(size=(50, 4)).astype("float32"), np.ones((50, 1), "float32")
loss = model.evaluate(x, y, verbose=0)[0]
if abs(loss - float(np.mean((model(x) - y) ** 2))) > 1e-5:
    faults.append(f"evaluate: {loss}")


# What is no program is computed by NumPy, and said so.
class Counting(L.Layer):
    """Changes a variable whenever it is called."""

    def build(self, shape):
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x):
        self.calls.assign_add(1.0)
        return x * 2.0


model = keras.Sequential([keras.Input((4,)), Counting()])
with warnings.catch_warnings(record=True) as noted:
    warnings.simplefilter("always")
    twice = [model.predict(x[:5], verbose=0) for _ in range(2)]
says = [str(n.message) for n in noted if "computed by NumPy" in str(n.message)]
if len(says) != 1 or "changes a variable" not in says[0] or not (twice[1] == 2 * x[:5]).all():
    faults.append(f"a layer that counts: {says}")
if float(model.layers[0].calls.value) != 2.0:
    faults.append(f"counted {model.layers[0].calls.value}, wanted 2")

try:
    model.compile(loss="mse")
    model.fit(x[:5], x[:5])
    faults.append("fit did not refuse")
except NotImplementedError:
    pass
print(json.dumps({"faults": faults, "compiled": compiled, "backend": keras.backend.backend()}))
