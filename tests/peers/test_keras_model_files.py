"""Keras and fastnn read each other's files: 40 random nets, trained state included.

Needs keras 3 with the JAX back end and h5py (the `peers` extra).
"""

import inspect
import os

os.environ.setdefault("KERAS_BACKEND", "jax")
# Compiling takes the time here, not running.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="needs keras: the `peers` extra")
pytest.importorskip("h5py", reason='needs h5py: pip install "fastnn-rs[keras-files]"')

from layer_cases import CASES  # noqa: E402

import fastnn  # noqa: E402

pytestmark = [
    pytest.mark.peers,
    # Keras 3.15.1 with NumPy 2.3: its variables' __array__ takes no copy argument.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    # Keras says so of Flatten; masks end there in both libraries.
    pytest.mark.filterwarnings("ignore:.*does not support masking:UserWarning"),
]
SEEDS = range(40)
TOLERANCE = 1e-6

ACTIVATIONS = [
    "relu", "tanh", "sigmoid", "elu", "selu", "gelu", "silu", "softplus", "leaky_relu", "linear",
    "hard_sigmoid", "softmax", "relu6", "softsign", "mish",
]  # fmt: skip


def flat_layer(rng, k):
    """A layer for (n, features) that keeps the rank."""
    L = k.layers
    units = int(rng.integers(2, 7))
    pick = [
        lambda: L.Dense(units, activation=str(rng.choice(ACTIVATIONS))),
        lambda: L.Dense(units, use_bias=False, kernel_initializer=k.initializers.HeNormal(seed=3)),
        lambda: L.Dense(units, kernel_regularizer=k.regularizers.L1L2(1e-3, 1e-2),
                        bias_regularizer="l2", kernel_constraint=k.constraints.MaxNorm(3.0)),
        lambda: L.BatchNormalization(momentum=0.9, scale=bool(rng.integers(2))),
        lambda: L.LayerNormalization(epsilon=1e-4),
        lambda: L.RMSNormalization(),
        lambda: L.UnitNormalization(),
        lambda: L.PReLU(),
        lambda: L.LeakyReLU(negative_slope=0.1),
        lambda: L.ReLU(max_value=4.0, negative_slope=0.2),
        lambda: L.ELU(alpha=0.7),
        lambda: L.Softmax(),
        lambda: L.Dropout(0.3, seed=int(rng.integers(9))),
        lambda: L.GaussianNoise(0.1),
        lambda: L.GaussianDropout(0.2),
        lambda: L.AlphaDropout(0.1),
        lambda: L.ActivityRegularization(l2=1e-3),
        lambda: L.Activation(str(rng.choice(ACTIVATIONS[:9]))),
        lambda: L.Rescaling(0.5, offset=0.1),
        lambda: L.Identity(),
    ]  # fmt: skip
    return pick[int(rng.integers(len(pick)))]()


def sequence_block(rng, k):
    """Layers for (n, steps, features), back to (n, features)."""
    L = k.layers
    middle = [
        lambda: [L.ZeroPadding1D(1), L.Cropping1D((1, 0))],
        lambda: [L.UpSampling1D(2)],
        lambda: [L.Permute((2, 1)), L.LayerNormalization()],
        lambda: [L.SpatialDropout1D(0.2), L.Dense(3)],
        lambda: [L.GroupNormalization(groups=1)],
        lambda: [L.BatchNormalization(axis=1)],
        lambda: [L.PReLU(shared_axes=[1])],
    ]
    return [L.RepeatVector(4), *middle[int(rng.integers(len(middle)))](), L.Flatten()]


def image_block(rng, k):
    """Layers for images, back to (n, features); 12 features in."""
    L = k.layers
    middle = [
        lambda: [L.ZeroPadding2D((1, 2)), L.Cropping2D(((1, 0), (0, 1)))],
        lambda: [L.UpSampling2D(2), L.SpatialDropout2D(0.1)],
        lambda: [L.BatchNormalization(), L.Activation("relu")],
    ]
    return [
        L.Dense(12), L.Reshape((2, 3, 2)), *middle[int(rng.integers(len(middle)))](), L.Flatten(),
    ]  # fmt: skip


def sequential(rng, k):
    layers = [k.Input((5,))] if rng.integers(4) else [k.layers.InputLayer(shape=(5,), name="start")]
    for _ in range(int(rng.integers(1, 5))):
        kind = rng.integers(5)
        layers += (
            sequence_block(rng, k) if kind == 0
            else image_block(rng, k) if kind == 1
            else [flat_layer(rng, k)]
        )  # fmt: skip
    return k.Sequential([*layers, k.layers.Dense(2, name="out_of_order")]), [(5,)]


def tokens(rng, k):
    L = k.layers
    inputs = k.Input((6,), dtype="int32")
    x = L.Embedding(11, 4, mask_zero=bool(rng.integers(2)))(inputs)
    x = L.BatchNormalization()(x) if rng.integers(2) else L.Dense(3, activation="tanh")(x)
    x = L.Flatten()(x)
    return k.Model(inputs, L.Dense(2)(x)), ["tokens"]


def functional(rng, k):
    L = k.layers
    a, b = k.Input((5,), name="left"), k.Input((4,), name="right")
    shared = L.Dense(6, activation="tanh", name="shared")
    inner = k.Sequential([k.Input((6,)), flat_layer(rng, k), L.Dense(6)], name="inner")
    p = k.Input((6,))
    q = L.Dense(4)(p)
    nested = k.Model(p, [q, L.Add()([q, L.Dense(4, use_bias=False)(p)])], name="nested")
    x = shared(L.Dense(5)(a))
    y = shared(L.Dense(5, activation="relu")(b))
    x, y = inner(x), inner(y) if rng.integers(2) else L.Dense(6)(y)
    merge = [L.Add, L.Subtract, L.Multiply, L.Average, L.Maximum, L.Minimum, L.Concatenate]
    z = merge[int(rng.integers(len(merge)))]()([x, y])
    z = L.Concatenate(axis=-1)([z, L.Dot(axes=1, normalize=bool(rng.integers(2)))([x, y])])
    first, second = nested(L.Dense(6)(z))
    third, _ = nested(x)
    z = L.Concatenate()([first, second, third])
    if rng.integers(2):
        o = k.ops
        z = o.tanh(z) * 2.0 + (1.0 - z) / 3.0 - o.mean(z, axis=-1, keepdims=True)
        z = o.concatenate(
            [z[:, 1:4], o.maximum(z, 0.1), o.expand_dims(o.sum(z, axis=1), -1)], axis=1
        )
        z = o.where(z > 0.0, z, o.exp(z) - 1.0)
    for _ in range(int(rng.integers(0, 3))):
        z = flat_layer(rng, k)(z)
    outputs = [L.Dense(2, name="head")(z), L.Dense(1, activation="sigmoid")(y)]
    if rng.integers(2):
        return k.Model([a, b], outputs), [(5,), (4,)]
    return k.Model({"left": a, "right": b}, dict(zip(("p", "q"), outputs, strict=True))), {
        "left": (5,), "right": (4,)}  # fmt: skip


def net(seed, k):
    """The same random net with either library, and the shapes of its inputs."""
    rng = np.random.default_rng(seed)
    k.utils.set_random_seed(seed)
    build = [sequential, functional, functional, tokens][seed % 4]
    return build(rng, k)


def data(shapes, seed, n=7):
    rng = np.random.default_rng(1000 + seed)

    def one(shape):
        if shape == "tokens":
            return rng.integers(0, 11, (n, 6)).astype(np.int32)
        return rng.standard_normal((n, *shape)).astype(np.float32)

    if isinstance(shapes, dict):
        return {name: one(s) for name, s in shapes.items()}
    made = [one(s) for s in shapes]
    return made[0] if len(made) == 1 else made


def outputs(model, x):
    found = model.predict(x, verbose=0)
    if isinstance(found, dict):
        return [np.asarray(found[name]) for name in sorted(found)]
    return (
        [np.asarray(v) for v in found] if isinstance(found, list | tuple) else [np.asarray(found)]
    )


def scatter_weights(model, seed):
    """Values that no initialiser gives, so that a weight in the wrong place shows."""
    rng = np.random.default_rng(2000 + seed)
    values = [
        np.abs(rng.normal(0.5, 0.2, w.shape)) + 0.1 if w.ndim == 1 else rng.normal(0, 0.5, w.shape)
        for w in model.get_weights()
    ]
    model.set_weights([np.asarray(v, np.float32) for v in values])


def assert_same(found, wanted):
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        scale = max(1.0, float(np.abs(b).max()))
        np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE * scale)


@pytest.mark.parametrize("seed", SEEDS)
def test_keras_files_load_here_and_ours_load_in_keras(seed, tmp_path):
    theirs, shapes = net(seed, keras)
    scatter_weights(theirs, seed)
    x = data(shapes, seed)
    wanted = outputs(theirs, x)
    theirs.save(tmp_path / "m.keras")
    theirs.save(tmp_path / "m.h5")
    theirs.save_weights(tmp_path / "m.weights.h5")

    ours = fastnn.models.load_model(tmp_path / "m.keras")
    assert_same(outputs(ours, x), wanted)
    assert_same(outputs(fastnn.models.load_model(tmp_path / "m.h5"), x), wanted)
    for name in ("m.weights.h5", "m.keras", "m.h5"):
        fresh, _ = net(seed, fastnn)
        fresh.load_weights(tmp_path / name)
        assert_same(outputs(fresh, x), wanted)

    built_here, _ = net(seed, fastnn)
    built_here.load_weights(tmp_path / "m.weights.h5")
    for model in (ours, built_here):
        model.save(tmp_path / "ours.keras")
        assert_same(outputs(keras.models.load_model(tmp_path / "ours.keras"), x), wanted)
        model.save_weights(tmp_path / "ours.weights.h5")
        scatter_weights(theirs, seed + 1)
        theirs.load_weights(tmp_path / "ours.weights.h5")
        assert_same(outputs(theirs, x), wanted)


OPTIMIZERS = {
    "sgd": lambda k: k.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "adam": lambda k: k.optimizers.Adam(0.01, amsgrad=True),
    "rmsprop": lambda k: k.optimizers.RMSprop(0.005, momentum=0.5, centered=True),
    "adamw": lambda k: k.optimizers.AdamW(0.01, weight_decay=0.01),
    "schedule": lambda k: k.optimizers.Adam(k.optimizers.schedules.ExponentialDecay(0.02, 3, 0.8)),
    "accumulated": lambda k: k.optimizers.Adam(0.01, gradient_accumulation_steps=2),
    "clipped": lambda k: k.optimizers.Nadam(0.01, global_clipnorm=0.5),
}


def trainable_net(k):
    a, b = k.Input((5,)), k.Input((3,))
    dense = k.layers.Dense(6, activation="tanh")
    x = dense(k.layers.Dense(4, kernel_regularizer="l2")(a))
    y = dense(k.layers.Dense(4)(b))
    z = k.layers.BatchNormalization()(k.layers.Concatenate()([x, y]))
    inner = k.Sequential([k.Input((12,)), k.layers.Dense(5), k.layers.LayerNormalization()])
    return k.Model([a, b], k.layers.Dense(1)(inner(z)))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_fastnn_goes_on_where_keras_stopped(name, tmp_path):
    rng = np.random.default_rng(7)
    x = [rng.standard_normal((64, 5)).astype("f"), rng.standard_normal((64, 3)).astype("f")]
    y = (x[0][:, :1] - x[1][:, 1:2]).astype("f")
    how = {"batch_size": 16, "epochs": 1, "shuffle": False, "verbose": 0}

    keras.utils.set_random_seed(1)
    theirs = trainable_net(keras)
    theirs.compile(OPTIMIZERS[name](keras), loss="mse", metrics=["mae"])
    theirs.fit(x, y, **how)
    theirs.save(tmp_path / "one.keras")
    theirs.save(tmp_path / "one.h5")
    theirs.fit(x, y, **how)

    ours = fastnn.models.load_model(tmp_path / "one.keras")
    legacy = fastnn.models.load_model(tmp_path / "one.h5")
    for model in (ours, legacy):
        history = model.fit(x, y, **how)
        assert set(history.history) == {"loss", "mae"}
        for a, b in zip(model.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)

    ours.save(tmp_path / "two.keras")
    back = keras.models.load_model(tmp_path / "two.keras")
    assert int(np.asarray(back.optimizer.variables[0])) == 8
    theirs.fit(x, y, **how)
    back.fit(x, y, **how)
    for a, b in zip(back.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=3e-5)


def test_every_op_of_the_table_exists_in_keras_with_these_settings():
    import importlib

    from fastnn.serialization.keras_names import _rows
    from fastnn.tracing.known_ops import known_ops

    for op in _rows():
        cls = getattr(importlib.import_module(op.module), op.class_name)
        made = set(inspect.signature(cls.__init__).parameters)
        called = list(inspect.signature(cls.call).parameters)[1:]
        assert set(op.config) <= made, op
        assert len(called) >= len(op.call), op
        assert op.function in known_ops() or op.function == "get_item"


#: Arguments of the layers that `layer_cases` has not, where they need some.
ARGUMENTS = {
    "CategoryEncoding": (4,), "Discretization": ([0.5],), "Dot": (1,), "Embedding": (4, 2),
    "GRUCell": (3,), "HashedCrossing": (4,), "Hashing": (4,), "InputLayer": ((3,),),
    "LSTMCell": (3,), "MultiHeadAttention": (2, 2), "ReversibleEmbedding": (4, 2),
    "SimpleRNNCell": (3,),
}  # fmt: skip
#: Layers around others, and one around a function: whole models have them, above.
AROUND = {
    "Bidirectional", "ConvLSTM", "Lambda", "Pipeline", "RNN", "SpectralNormalization",
    "StackedRNNCells", "TimeDistributed", "Wrapper",
}  # fmt: skip


def theirs(name):
    """Layers of Keras with the settings that ours are tested with."""
    made = getattr(keras.layers, name)
    if name not in CASES:
        return [made(*ARGUMENTS.get(name, ()))]
    taken = {*inspect.signature(made.__init__).parameters, "name"}
    configs = [layer.get_config() for layer, _ in CASES[name]()]
    return [made(**{k: v for k, v in c.items() if k in taken}) for c in configs]


def test_every_layer_that_exists_here_and_in_keras_is_read_from_keras_configs():
    from keras.src.saving.serialization_lib import serialize_keras_object

    from fastnn import layers
    from fastnn.serialization.keras_config import restore

    seen = 0
    for name, cls in layers.TABLE.names.items():
        if cls.__name__ != name or name in AROUND or not hasattr(keras.layers, name):
            continue
        for layer in theirs(name):
            found = restore(serialize_keras_object(layer))
            assert type(found) is cls
            assert found.name == layer.name
            assert found.trainable == layer.trainable
            seen += 1
    assert seen >= 130
