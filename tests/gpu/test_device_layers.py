"""Layers, losses, metrics and ways of training on a GPU, each beside the CPU."""

import numpy as np
import pytest

import fastnn
from fastnn import layers

L = layers


def flat(*net):
    return (16,), [*net, L.Dense(3)]


def image(*net):
    return (9, 8, 4), [*net, L.Flatten(), L.Dense(3)]


def series(*net):
    return (7, 5), [*net, L.Flatten(), L.Dense(3)]


NETS = {
    "activations": lambda: flat(*[L.Dense(8, a) for a in (
        "relu", "gelu", "selu", "elu", "swish", "mish", "softplus", "softsign", "sigmoid", "tanh",
        "hard_sigmoid", "exponential", "leaky_relu", "softmax", "log_softmax")]),
    "norms": lambda: flat(L.BatchNormalization(), L.LayerNormalization(), L.RMSNormalization(),
                          L.GroupNormalization(4), L.UnitNormalization()),
    "noise": lambda: flat(L.GaussianNoise(0.1), L.GaussianDropout(0.2), L.AlphaDropout(0.1)),
    "regularised": lambda: flat(L.Dense(8, kernel_regularizer="l2", activity_regularizer="l1",
                                        kernel_constraint="max_norm")),
    "shapes": lambda: flat(L.Reshape((4, 4)), L.Permute((2, 1)), L.Cropping1D(1),
                           L.ZeroPadding1D(2), L.UpSampling1D(2), L.Flatten(), L.RepeatVector(2),
                           L.Flatten()),
    # Normalisation takes a bias off again: its gradient is rounding, which Adam makes steps of.
    "conv2d": lambda: image(L.Conv2D(6, 3, strides=2, padding="same"), L.ReLU(),
                            L.Conv2D(4, 2, dilation_rate=2, use_bias=False),
                            L.BatchNormalization()),
    "groups": lambda: image(L.Conv2D(8, 3, groups=2), L.DepthwiseConv2D(3, depth_multiplier=2),
                            L.SeparableConv2D(5, 2)),
    "transposed": lambda: image(L.Conv2DTranspose(3, 3, strides=2, padding="same")),
    "pools": lambda: image(L.MaxPooling2D(2), L.AveragePooling2D(2, padding="same")),
    "global pools": lambda: ((9, 8, 4), [L.GlobalMaxPooling2D(), L.Dense(3)]),
    "upsampled": lambda: image(L.UpSampling2D(2, interpolation="bilinear"), L.ZeroPadding2D(1),
                               L.Cropping2D(2)),
    "conv1d": lambda: series(L.Conv1D(6, 3, padding="causal"), L.MaxPooling1D(2),
                             L.Conv1D(4, 2)),
    "conv3d": lambda: ((4, 5, 6, 2), [L.Conv3D(3, 2), L.MaxPooling3D(2), L.Flatten(), L.Dense(3)]),
    "lstm": lambda: series(L.LSTM(6, return_sequences=True), L.LSTM(5, go_backwards=True)),
    "gru": lambda: series(L.GRU(6, return_sequences=True), L.GRU(5, reset_after=False)),
    "rnn": lambda: series(L.SimpleRNN(6, return_sequences=True), L.Bidirectional(L.LSTM(4))),
    "recurrent dropout": lambda: series(L.LSTM(5, dropout=0.2, recurrent_dropout=0.2)),
    "convlstm": lambda: ((3, 5, 5, 2), [L.ConvLSTM2D(3, 2), L.Flatten(), L.Dense(3)]),
    "distributed": lambda: series(L.TimeDistributed(L.Dense(4, "relu"))),
    "attention": lambda: series(L.Lambda(lambda x: x * 2.0)),
    "augmented": lambda: image(L.RandomFlip(), L.RandomTranslation(0.2, 0.2),
                               L.RandomContrast(0.2)),
}  # fmt: skip


def trained(device, net, loss, metrics=(), optimizer="adam", epochs=2, **fit):
    fastnn.utils.set_random_seed(11)
    shape, stack = net()
    model = fastnn.Sequential([fastnn.Input(shape), *stack])
    draw = np.random.default_rng(2)
    x = draw.normal(size=(40, *shape)).astype("f")
    y = draw.integers(0, 3, 40) if "sparse" in str(loss) else draw.random((40, 3)).astype("f")
    if "cross" in str(loss) and y.ndim == 2:
        y = np.eye(3, dtype="f")[y.argmax(-1)]
    model.compile(optimizer, loss, metrics=list(metrics), device=device)
    history = model.fit(x, y, batch_size=16, epochs=epochs, verbose=0, **fit).history
    return history, model.predict(x, verbose=0), model.get_weights()


def assert_same(net, loss="mse", metrics=(), rtol=1e-5, **fit):
    got, wanted = (trained(d, net, loss, metrics, **fit) for d in ("gpu", "cpu"))
    assert got[0].keys() == wanted[0].keys()
    for name, values in wanted[0].items():
        np.testing.assert_allclose(got[0][name], values, rtol, 1e-6, err_msg=name)
    np.testing.assert_allclose(got[1], wanted[1], 2e-3, 5e-4)


@pytest.mark.parametrize("name", NETS)
def test_a_layer_trains_as_on_the_cpu(gpu, name):
    assert_same(NETS[name])


@pytest.mark.parametrize(
    "loss",
    ["mae", "huber", "log_cosh", "mean_squared_logarithmic_error", "cosine_similarity",
     "kl_divergence", "poisson", "hinge", "squared_hinge", "binary_crossentropy",
     "categorical_crossentropy", "sparse_categorical_crossentropy",
     "mean_absolute_percentage_error", "binary_focal_crossentropy"],
)  # fmt: skip
def test_a_loss_is_the_cpus(gpu, loss):
    assert_same(lambda: ((16,), [L.Dense(8, "relu"), L.Dense(3, "softmax")]), loss)


def test_metrics_are_the_cpus(gpu):
    net = lambda: ((16,), [L.Dense(8, "relu"), L.Dense(3, "softmax")])  # noqa: E731
    k = fastnn.keras.metrics
    metrics = lambda: [  # noqa: E731
        "accuracy", k.SparseTopKCategoricalAccuracy(2), k.SparseCategoricalCrossentropy(),
    ]  # fmt: skip
    assert_same(net, "sparse_categorical_crossentropy", metrics())
    regression = ["mae", "mse", "cosine_similarity", k.RootMeanSquaredError()]
    assert_same(lambda: ((16,), [L.Dense(3)]), "mse", regression)
    assert_same(
        lambda: ((16,), [L.Dense(3, "sigmoid")]),
        "binary_crossentropy",
        [k.AUC(num_thresholds=20), k.Precision(), k.Recall(), k.BinaryAccuracy()],
    )


@pytest.mark.parametrize(
    "optimizer", ["sgd", "rmsprop", "adam", "adamw", "nadam", "adamax", "adagrad", "adadelta",
                  "ftrl", "lion", "lamb"],
)  # fmt: skip
def test_an_optimiser_steps_as_on_the_cpu(gpu, optimizer):
    assert_same(lambda: flat(L.Dense(8, "relu")), optimizer=optimizer, epochs=3)


def test_weights_of_samples_and_classes_validation_and_rests(gpu):
    draw = np.random.default_rng(0)
    net = lambda: ((16,), [L.Dense(8, "relu"), L.Dense(3, "softmax")])  # noqa: E731
    loss = "sparse_categorical_crossentropy"
    assert_same(net, loss, ["accuracy"], sample_weight=draw.random(40), validation_split=0.3)
    assert_same(net, loss, ["accuracy"], class_weight={0: 1.0, 1: 3.0, 2: 0.5}, shuffle=False)


def several(device):
    fastnn.utils.set_random_seed(4)
    a, b = fastnn.Input((5,), name="a"), fastnn.Input((6,), dtype="int32", name="b")
    h = L.Concatenate()([L.Dense(6, "relu")(a), L.Flatten()(L.Embedding(9, 3)(b))])
    one = L.Dense(1, name="one")(h)
    two = L.Dense(4, "softmax", name="two")(L.Dropout(0.3)(h))
    model = fastnn.Model([a, b], [one, two])
    model.compile(
        "adam", {"one": "mse", "two": "sparse_categorical_crossentropy"}, {"one": 0.5, "two": 1.0},
        metrics={"two": "accuracy"}, device=device,
    )  # fmt: skip
    draw = np.random.default_rng(1)
    x = {"a": draw.normal(size=(50, 5)).astype("f"), "b": draw.integers(0, 9, (50, 6))}
    y = {"one": draw.normal(size=(50, 1)).astype("f"), "two": draw.integers(0, 4, 50)}
    history = model.fit(x, y, batch_size=8, epochs=2, verbose=0).history
    return history, model.predict(x, verbose=0)


def test_several_inputs_and_outputs(gpu):
    got, wanted = several("gpu"), several("cpu")
    for name, values in wanted[0].items():
        np.testing.assert_allclose(got[0][name], values, 1e-5, err_msg=name)
    for mine, theirs in zip(got[1], wanted[1], strict=True):
        np.testing.assert_allclose(mine, theirs, 1e-4, 1e-5)


def masked(device):
    fastnn.utils.set_random_seed(4)
    net = [
        fastnn.Input((None,), dtype="int32"), L.Embedding(12, 6, mask_zero=True),
        L.Bidirectional(L.GRU(5, return_sequences=True)), L.LSTM(4), L.Dense(1),
    ]  # fmt: skip
    model = fastnn.Sequential(net)
    model.compile("adam", "mse", device=device)
    draw = np.random.default_rng(1)
    losses = []
    for width in (6, 9, 6):
        x = draw.integers(1, 12, (24, width))
        x[:, 4:] *= draw.random((24, width - 4)) < 0.6
        losses += model.fit(x, x.sum(1) % 3, batch_size=8, verbose=0).history["loss"]
    return losses


def test_masks_and_lengths(gpu):
    np.testing.assert_allclose(masked("gpu"), masked("cpu"), 1e-5)


def own_step(device):
    class Net(fastnn.Model):
        def __init__(self):
            super().__init__()
            self.hidden, self.out = L.Dense(8, "tanh"), L.Dense(1)
            self.seen = fastnn.Variable(np.int32(0), dtype="int32", trainable=False)

        def call(self, x, training=False):
            return self.out(self.hidden(x))

        def train_step(self, data):
            x, y = data
            with fastnn.GradientTape() as tape:
                loss = fastnn.ops.mean((self(x, training=True) - y) ** 2)
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
            self.seen.assign_add(fastnn.ops.shape(x)[0] * 0 + 1)
            return {"own": loss}

    fastnn.utils.set_random_seed(6)
    model = Net()
    model.compile("adam", device=device)
    draw = np.random.default_rng(1)
    x = draw.normal(size=(50, 5)).astype("f")
    history = model.fit(x, x.sum(1, keepdims=True), batch_size=8, epochs=2, verbose=0).history
    return history["own"], int(model.seen.numpy())


def test_a_step_of_ones_own(gpu):
    got, wanted = own_step("gpu"), own_step("cpu")
    np.testing.assert_allclose(got[0], wanted[0], 1e-5)
    assert got[1] == wanted[1] == 14


def typed(device, kind):
    fastnn.utils.set_random_seed(4)
    draw = np.random.default_rng(1)
    x = {
        "uint8": lambda: draw.integers(0, 256, (40, 6)).astype(np.uint8),
        "int8": lambda: draw.integers(-128, 128, (40, 6)).astype(np.int8),
        "bool": lambda: draw.random((40, 6)) < 0.5,
        "int64": lambda: draw.integers(-9, 9, (40, 6)),
        "float16": lambda: draw.normal(size=(40, 6)).astype(np.float16),
        "float64": lambda: draw.normal(size=(40, 6)),
    }[kind]()
    model = fastnn.Sequential(
        [fastnn.Input((6,)), L.Rescaling(0.01), L.Dense(4, "relu"), L.Dense(1)]
    )
    model.compile("adam", "mse", device=device)
    history = model.fit(x, x.sum(1) % 5, batch_size=16, epochs=2, verbose=0).history
    return history["loss"], model.predict(x, verbose=0), model.evaluate(x, x[:, 0], verbose=0)


@pytest.mark.parametrize("kind", ["uint8", "int8", "bool", "int64", "float16", "float64"])
def test_arrays_of_every_type(gpu, kind):
    for mine, theirs in zip(typed("gpu", kind), typed("cpu", kind), strict=True):
        np.testing.assert_allclose(mine, theirs, 1e-4, 1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "int8", "uint8"])
def test_values_of_storage_types_are_read_and_written(gpu, dtype, rng):
    from fastnn import _core, ops
    from fastnn.devices.functions import OnDevice

    start = rng.integers(0, 100, (3, 5)).astype("f")
    held = fastnn.Variable(start, dtype=dtype)
    x = _core.placeholder((3, 5))
    new = ops.cast(ops.cast(held.traced(), "float32") + x, dtype)
    function = _core.Function([x], [ops.cast(new, "float32")], [(held, new)])
    a = rng.integers(0, 20, (3, 5)).astype("f") + (0.3 if "float" in dtype else 0)
    wanted = np.asarray(function(a)), np.array(held.numpy())
    held.assign(start)
    got = OnDevice(function, "gpu:0")(a), np.array(held.numpy())
    for mine, theirs in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def small(kind):
    net = [fastnn.Input((7,), dtype="int32"), L.Embedding(9, 8), L.LSTM(6), L.Dense(3)]
    model = fastnn.Sequential(net)
    model.quantize(kind)
    return model


def test_a_model_of_bfloat16_weights_predicts_as_on_the_cpu(gpu, rng):
    model, x = small("bfloat16"), rng.integers(0, 9, (20, 7))
    wanted = model.predict(x, verbose=0)
    with fastnn.device("gpu"):
        got = model.predict(x, verbose=0)
    np.testing.assert_allclose(got, wanted, 1e-4, 1e-5)


def large(kind):
    """Products by tiles and in parts, which end with a bias and an activation."""
    net = [fastnn.Input((2100,)), L.Dense(40, "relu"), L.Dense(70, "tanh"), L.Dense(3)]
    model = fastnn.Sequential(net)
    model.quantize(kind)
    return model


@pytest.mark.parametrize("make", [small, large])
def test_int8_weights_are_read_as_numbers(gpu, rng, make):
    model = make("int8")
    x = rng.normal(size=(70, 2100)).astype("f") if make is large else rng.integers(0, 9, (20, 7))
    wanted = model.predict(x, verbose=0)
    with fastnn.device("gpu"):
        got = model.predict(x, verbose=0)
    np.testing.assert_allclose(got, wanted, 1e-4, 1e-5)


@pytest.mark.parametrize("layer", [L.LSTM, L.GRU, L.SimpleRNN])
def test_predictions_go_on_from_the_states_of_those_before(gpu, rng, layer):
    x = rng.normal(size=(8, 5, 3)).astype("f")
    said = []
    for device in ("cpu", "gpu"):
        fastnn.utils.set_random_seed(1)
        stack = [layer(4, stateful=True), L.Dense(1)]
        model = fastnn.Sequential([fastnn.Input(batch_shape=(4, 5, 3)), *stack])
        model.compile("adam", "mse", device=device)
        # Nothing is read in between, which would bring the states home.
        said.append([model.predict(x[:n], batch_size=4, verbose=0) for n in (8, 4, 4, 8)])
        model.layers[0].reset_states()
        said[-1].append(model.predict(x, batch_size=4, verbose=0))
    assert np.abs(said[0][1] - said[0][2]).max() > 1e-3
    for mine, theirs in zip(said[1], said[0], strict=True):
        np.testing.assert_allclose(mine, theirs, 1e-5, 1e-6)
