"""A model that was saved, in any format, and loaded draws and learns on as if it had not been."""

import warnings

import numpy as np
import pytest

from fastnn import keras as K, ops

layers = K.layers


@K.saving.register_keras_serializable("files_resume")
class Block(layers.Layer):
    """Random layers as attributes and in a list."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense, self.drop = layers.Dense(6, "relu"), layers.Dropout(0.3)
        self.more = [layers.GaussianNoise(0.1), layers.Dropout(0.2)]

    def call(self, x, training=None):
        x = self.drop(self.dense(x), training=training)
        for layer in self.more:
            x = layer(x, training=training)
        return x


@K.saving.register_keras_serializable("files_resume")
class Noise(layers.Layer):
    """Generators of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = K.random.SeedGenerator(3)
        self.others = {"a": K.random.SeedGenerator(5)}

    def call(self, x, training=None):
        if training:
            for seed in (self.seed_generator, self.others["a"]):
                x = x + 0.1 * K.random.normal(ops.shape(x), seed=seed)
        return x


@K.saving.register_keras_serializable("files_resume")
class Net(K.Model):
    """A model whose layers stand in attributes, one of them a model."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.block, self.norm, self.noise = Block(), layers.BatchNormalization(), Noise()
        self.end = K.Sequential([layers.Dropout(0.2), layers.Dense(1)])

    def call(self, x, training=None):
        x = self.norm(self.block(x, training=training), training=training)
        return self.end(self.noise(x, training=training), training=training)


def sequential():
    return K.Sequential([K.Input((4,)), layers.Dropout(0.3), Block(), Noise(), layers.Dense(1)])


def functional():
    x = K.Input((4,))
    inner = K.Sequential([layers.Dense(5), layers.Dropout(0.1)])
    return K.Model(x, layers.Dense(1)(Noise()(inner(layers.GaussianDropout(0.2)(x)))))


MODELS = {"Sequential": sequential, "functional": functional, "subclass": Net}
OPTIMIZERS = {
    "Adam": lambda: K.optimizers.Adam(0.01),
    "momentum": lambda: K.optimizers.SGD(
        K.optimizers.schedules.ExponentialDecay(0.01, 10, 0.9), momentum=0.9
    ),
    "moving average": lambda: K.optimizers.Adam(0.01, use_ema=True, ema_overwrite_frequency=5),
    "accumulated": lambda: K.optimizers.Adam(0.01, gradient_accumulation_steps=3),
}
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(48, 4)).astype("float32"), RNG.normal(size=(48, 1)).astype("float32")


def trained(kind, optimizer):
    K.utils.set_random_seed(1)
    model = MODELS[kind]()
    model.compile(OPTIMIZERS[optimizer](), "mse")
    model.fit(X, Y, epochs=2, batch_size=16, verbose=0)
    return model


def go_on(model):
    model.fit(X, Y, epochs=4, initial_epoch=2, batch_size=16, verbose=0)
    return model.get_weights()


#: The older format holds no subclasses; that it refuses them stands in test_keras_files.py.
WAYS = [(k, s) for k in MODELS for s in (".safetensors", ".keras", ".h5") if (k, s) != (
    "subclass", ".h5")]  # fmt: skip


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(("kind", "suffix"), WAYS)
def test_training_goes_on_with_the_same_bits(kind, optimizer, suffix, tmp_path):
    path = tmp_path / f"model{suffix}"
    model = trained(kind, optimizer)
    model.save(path)
    right = go_on(model)
    K.utils.set_random_seed(2)  # what it draws with comes out of the file
    for got, want in zip(go_on(K.models.load_model(path)), right, strict=True):
        assert np.array_equal(got, want)


@pytest.mark.parametrize("suffix", [".safetensors", ".weights.h5"])
@pytest.mark.parametrize("kind", MODELS)
def test_weights_bring_their_random_states_along(kind, suffix, tmp_path):
    model, other = trained(kind, "Adam"), trained(kind, "Adam")
    model.save_weights(tmp_path / f"w{suffix}")
    other.fit(X, Y, verbose=0)
    other.load_weights(tmp_path / f"w{suffix}")
    draws = [np.asarray(m(X, training=True)) for m in (model, other)]
    assert np.array_equal(*draws)


def test_a_file_of_keras_without_random_states_is_read(tmp_path):
    h5py = pytest.importorskip("h5py")
    model = trained("Sequential", "Adam")
    model.save_weights(tmp_path / "m.weights.h5")
    with h5py.File(tmp_path / "m.weights.h5", "a") as file:
        del file["fastnn"]
    model.load_weights(tmp_path / "m.weights.h5")


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_file_says_what_of_the_optimizer_it_leaves_out(suffix, tmp_path):
    model = trained("Sequential", "Adam")
    model.layers[-1].trainable = False
    with pytest.warns(UserWarning, match="4 of its 10 arrays belong to frozen weights"):
        model.save(tmp_path / f"m{suffix}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.save(tmp_path / "m.safetensors")
        model.layers[-1].trainable = True
        model.save(tmp_path / f"m{suffix}")


@pytest.mark.parametrize("text", ["[]", '{"random_states": {"dropout/seed_generator/state": [1]}}'])
def test_damaged_random_states_are_refused(text, tmp_path):
    h5py = pytest.importorskip("h5py")
    model = trained("Sequential", "Adam")
    model.save_weights(tmp_path / "m.weights.h5")
    with h5py.File(tmp_path / "m.weights.h5", "a") as file:
        del file["fastnn/run"]
        file["fastnn/run"] = np.frombuffer(text.encode(), np.uint8)
    with pytest.raises(ValueError, match="hint:"):
        model.load_weights(tmp_path / "m.weights.h5")


class Unnamed(K.losses.Loss):
    """A loss whose config is not known."""

    def __init__(self, factor):
        super().__init__()
        self.scale = factor

    def call(self, y, p):
        return ops.mean(ops.square(y - p), axis=-1) * self.scale


@pytest.mark.parametrize("suffix", [".safetensors", ".keras", ".h5"])
def test_a_file_without_compile_settings_says_so(suffix, tmp_path):
    model = sequential()
    model.compile("sgd", Unnamed(2.0))
    with pytest.warns(UserWarning, match="holds no compile settings.*Unnamed keeps no attribute"):
        model.save(tmp_path / f"m{suffix}")


@pytest.mark.parametrize("suffix", [".safetensors", ".keras", ".h5"])
def test_a_loss_of_ones_own_is_asked_for(suffix, tmp_path):
    def own(y, p):
        return ops.mean(ops.square(y - p))

    model = sequential()
    model.compile("sgd", own)
    model.save(tmp_path / f"m{suffix}")
    with pytest.raises(
        ValueError, match=r"unknown loss: 'own'(.|\n)*custom_objects=(.|\n)*compile=F"
    ):
        K.models.load_model(tmp_path / f"m{suffix}")
    assert not K.models.load_model(tmp_path / f"m{suffix}", compile=False).compiled
    assert K.models.load_model(tmp_path / f"m{suffix}", custom_objects={"own": own}).compiled
