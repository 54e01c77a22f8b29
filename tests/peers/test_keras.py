"""The same nets in Keras on JAX: outputs, gradients, optimiser steps, metrics. Needs `[peers]`."""

import os

import numpy as np
import pytest

import fastnn

pytestmark = [
    pytest.mark.peers,
    # Keras 3.15.1 with NumPy 2.3: its variables' __array__ takes no copy argument.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    # Keras says so of Flatten; masks end there in both libraries.
    pytest.mark.filterwarnings("ignore:.*does not support masking:UserWarning"),
]
os.environ.setdefault("KERAS_BACKEND", "jax")
# Compiling takes the time here, not running.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
pytest.importorskip("jax", reason="the peers extra is not installed: jax")
keras = pytest.importorskip("keras", reason="the peers extra is not installed: keras")
if keras.backend.backend() != "jax":
    pytest.skip("Keras runs on another back end", allow_module_level=True)

ACTIVATIONS = ["relu", "tanh", "sigmoid", "gelu", "elu", "selu", "softplus", "swish", "linear"]
OPTIMIZERS = ["SGD", "RMSprop", "Adam", "AdamW", "Nadam", "Adagrad", "Adadelta", "Adamax", "Lion"]


def net(library, seed):
    """The same random net in either library."""
    rng = np.random.default_rng(seed)
    features, outputs = int(rng.integers(1, 20)), int(rng.integers(1, 6))
    stack = [library.Input((features,))]
    for _ in range(int(rng.integers(1, 4))):
        stack.append(
            library.layers.Dense(int(rng.integers(1, 40)), activation=str(rng.choice(ACTIVATIONS)))
        )
        if rng.random() < 0.3:
            stack.append(library.layers.LayerNormalization())
    stack.append(library.layers.Dense(outputs))
    return library.Sequential(stack), features, outputs


def pair(seed):
    theirs, features, outputs = net(keras, seed)
    ours, _, _ = net(fastnn, seed)
    rng = np.random.default_rng(seed + 1000)
    weights = [rng.normal(size=w.shape).astype(np.float32) * 0.4 for w in theirs.get_weights()]
    theirs.set_weights(weights)
    ours.set_weights(weights)
    x = rng.normal(size=(16, features)).astype(np.float32)
    y = rng.normal(size=(16, outputs)).astype(np.float32)
    return theirs, ours, x, y


@pytest.mark.parametrize("seed", range(100))
def test_outputs_and_gradients_agree(seed):
    import jax

    theirs, ours, x, y = pair(seed)
    np.testing.assert_allclose(
        ours.predict(x, verbose=0), np.asarray(theirs(x)), rtol=1e-5, atol=1e-5
    )

    def loss(values):
        out, _ = theirs.stateless_call(values, [], x)
        return ((out - y) ** 2).mean()

    expected = jax.grad(loss)([v.value for v in theirs.trainable_variables])

    def own(weights):
        return fastnn.ops.mean((ours(x) - y) ** 2)

    _, got = fastnn.value_and_grad(own)(ours.trainable_variables)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("setting", [{}, {"clipnorm": 0.1}, {"weight_decay": 0.01}])
def test_twenty_optimizer_steps_agree(name, setting):
    theirs, ours, x, y = pair(7)
    history = []
    for library, model in ((keras, theirs), (fastnn, ours)):
        model.compile(getattr(library.optimizers, name)(0.01, **setting), "mse", metrics=["mae"])
        run = model.fit(x, y, batch_size=8, epochs=10, shuffle=False, verbose=0)
        history.append(run.history)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    assert list(history[0]) == list(history[1])
    for key in history[0]:
        np.testing.assert_allclose(history[1][key], history[0][key], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "name",
    ["MeanSquaredError", "MeanAbsoluteError", "MeanAbsolutePercentageError", "Huber", "LogCosh",
     "MeanSquaredLogarithmicError", "BinaryCrossentropy", "CategoricalCrossentropy",
     "KLDivergence", "Poisson", "Hinge", "SquaredHinge", "CategoricalHinge", "CosineSimilarity",
     "BinaryFocalCrossentropy", "CategoricalFocalCrossentropy", "Dice", "Tversky"],
)  # fmt: skip
@pytest.mark.parametrize("weighted", [False, True])
def test_losses_agree(name, weighted):
    rng = np.random.default_rng(3)
    y = (rng.uniform(size=(9, 4)) > 0.5).astype(np.float32)
    p = rng.uniform(0.01, 0.99, size=(9, 4)).astype(np.float32)
    w = rng.uniform(size=9).astype(np.float32) if weighted else None
    expected = getattr(keras.losses, name)()(y, p, sample_weight=w)
    got = getattr(fastnn.losses, name)()(y, p, sample_weight=w)
    np.testing.assert_allclose(np.asarray(got), np.asarray(expected), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("AUC", {}), ("AUC", {"curve": "PR"}), ("AUC", {"summation_method": "minoring"}),
        ("Precision", {}), ("Precision", {"thresholds": [0.3, 0.6]}), ("Recall", {"top_k": 2}),
        ("Precision", {"class_id": 1}), ("TruePositives", {}), ("FalseNegatives", {}),
        ("F1Score", {}), ("F1Score", {"average": "macro"}),
        ("FBetaScore", {"average": "weighted", "beta": 2.0, "threshold": 0.4}),
        ("R2Score", {}), ("RootMeanSquaredError", {}), ("CosineSimilarity", {}),
        ("CategoricalAccuracy", {}), ("BinaryAccuracy", {}),
        ("TopKCategoricalAccuracy", {"k": 2}), ("KLDivergence", {}), ("MeanSquaredError", {}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("weighted", [False, True])
def test_metrics_agree(name, options, weighted):
    rng = np.random.default_rng(4)
    y = np.eye(4, dtype=np.float32)[rng.integers(0, 4, 30)]
    p = rng.uniform(0.01, 0.99, size=(30, 4)).astype(np.float32)
    w = rng.uniform(size=30).astype(np.float32) if weighted else None
    results = []
    for library in (keras, fastnn):
        metric = getattr(library.metrics, name)(**options)
        for part in (slice(0, 16), slice(16, 30)):
            metric.update_state(y[part], p[part], sample_weight=None if w is None else w[part])
        results.append(np.asarray(metric.result()))
    np.testing.assert_allclose(results[1], results[0], rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
    "name", ["ExponentialDecay", "CosineDecay", "CosineDecayRestarts", "InverseTimeDecay",
             "PolynomialDecay", "PiecewiseConstantDecay"],
)  # fmt: skip
def test_schedules_agree(name):
    arguments = {
        "ExponentialDecay": (0.1, 10, 0.9), "CosineDecay": (0.1, 20),
        "CosineDecayRestarts": (0.1, 7), "InverseTimeDecay": (0.1, 10, 0.5),
        "PolynomialDecay": (0.1, 20), "PiecewiseConstantDecay": ([3, 8], [0.1, 0.05, 0.01]),
    }[name]  # fmt: skip
    theirs = getattr(keras.optimizers.schedules, name)(*arguments)
    ours = getattr(fastnn.optimizers.schedules, name)(*arguments)
    for step in range(0, 40, 3):
        np.testing.assert_allclose(np.asarray(ours(step)), np.asarray(theirs(step)), atol=2e-6)


def test_two_hundred_sequences_get_the_same_decisions():
    """EarlyStopping and ReduceLROnPlateau on random losses."""
    rng = np.random.default_rng(5)

    class Stub:
        def __init__(self, library, settings):
            self.metrics = []
            self.optimizer = library.optimizers.SGD(1.0)
            self.stop_training = False

        def get_weights(self):
            return 0

    for _ in range(200):
        values = np.cumsum(rng.normal(-0.02, 0.1, size=25)) + 2
        patience, delta = int(rng.integers(0, 5)), float(rng.choice([0, 0.05]))
        cooldown, start = int(rng.integers(0, 3)), int(rng.integers(0, 4))
        traces = []
        for library in (keras, fastnn):
            stub = Stub(library, None)
            stop = library.callbacks.EarlyStopping(
                monitor="loss", patience=patience, min_delta=delta, start_from_epoch=start
            )
            reduce = library.callbacks.ReduceLROnPlateau(
                monitor="loss", factor=0.5, patience=patience + 1, cooldown=cooldown
            )
            trace = []
            for c in (stop, reduce):
                c.set_model(stub)
                c.on_train_begin()
            for epoch, value in enumerate(values):
                for c in (stop, reduce):
                    c.on_epoch_end(epoch, {"loss": float(value)})
                trace.append((stub.stop_training, float(np.asarray(stub.optimizer.learning_rate))))
            traces.append(trace)
        assert traces[0] == traces[1]


OPEN = [
    (lambda k: k.layers.Masking(), (None, 2)),
    (lambda k: k.layers.Dense(7), (None, 2)),
    (lambda k: k.layers.Flatten(), (None, 2)),
    (lambda k: k.layers.Reshape((-1, 4)), (None, 2)),
    (lambda k: k.layers.Reshape((3, 5)), (None,)),
    (lambda k: k.layers.Permute((2, 1)), (None, 2)),
    (lambda k: k.layers.Cropping1D((1, 2)), (None, 2)),
    (lambda k: k.layers.ZeroPadding1D(2), (None, 2)),
    (lambda k: k.layers.UpSampling1D(3), (None, 2)),
    (lambda k: k.layers.Cropping2D(1), (None, 6, 2)),
    (lambda k: k.layers.ZeroPadding2D(1), (None, None, 2)),
    (lambda k: k.layers.UpSampling2D((2, 3)), (4, None, 2)),
    (lambda k: k.layers.BatchNormalization(), (None, 2)),
    (lambda k: k.layers.GroupNormalization(2), (None, 4)),
    (lambda k: k.layers.RepeatVector(3), (None,)),
    (lambda k: k.layers.Softmax(), (None, None)),
    (lambda k: k.layers.Embedding(5, 3), (None,)),
    (lambda k: k.layers.Lambda(lambda x: k.ops.max(x, axis=1)), (None, 2)),
    (
        lambda k: k.layers.Lambda(lambda x: k.ops.matmul(x, k.ops.transpose(x, (0, 2, 1)))),
        (None, 4),
    ),
    (lambda k: k.layers.Lambda(lambda x: x[:, 1:, 0]), (None, 4)),
]


@pytest.mark.parametrize("row", range(len(OPEN)))
def test_open_sizes_are_inferred_alike(row):
    make, shape = OPEN[row]
    ours, theirs = (make(k)(k.Input(shape)) for k in (fastnn, keras))
    assert tuple(ours.shape) == tuple(theirs.shape)


@pytest.mark.filterwarnings("ignore")
def test_training_on_sequences_of_varying_lengths_agrees():
    def build(k):
        x = k.Input((None, 2))
        y = k.layers.BatchNormalization()(k.layers.Masking()(x))
        y = k.layers.Dense(6, activation="tanh")(y)
        y = k.layers.Lambda(lambda v: k.ops.mean(v, axis=1))(y)
        return k.Model(x, k.layers.Dense(1)(y))

    ours, theirs = build(fastnn), build(keras)
    rng = np.random.default_rng(5)
    weights = [rng.normal(size=w.shape).astype(np.float32) for w in theirs.get_weights()]
    weights = [np.abs(w) if i == 3 else w for i, w in enumerate(weights)]
    data = []
    for n in (5, 3, 8, 3):
        x = rng.normal(size=(4, n, 2)).astype(np.float32)
        x[0, n // 2 :] = 0.0
        data.append((x, x.sum((1, 2))[:, None]))
    for model, library in ((ours, fastnn), (theirs, keras)):
        model.set_weights(weights)
        model.compile(library.optimizers.SGD(0.05), "mse")
        for x, y in data:
            model.train_on_batch(x, y)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)
    for x, _ in data:
        np.testing.assert_allclose(
            ours.predict(x, verbose=0), theirs.predict(x, verbose=0), rtol=2e-5, atol=2e-5
        )


@pytest.mark.parametrize("kind", ["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"])
@pytest.mark.parametrize("size", [(2, 2), (3, 1), (1, 4)])
def test_up_sampling_agrees(kind, size, rng):
    x = rng.normal(size=(2, 5, 3, 2)).astype(np.float32)
    ours = fastnn.layers.UpSampling2D(size, interpolation=kind)(x)
    theirs = keras.layers.UpSampling2D(size, interpolation=kind)(x)
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=1e-5, atol=1e-5)
