"""Names, and tensors by layer, that programs written for Keras ask for."""

import numpy as np
import pytest

import fastnn as tf
from fastnn import keras
from fastnn.keras import layers


@pytest.fixture(autouse=True)
def fresh_names():
    keras.utils.clear_session()


def test_a_sequential_within_a_model_has_the_input_and_output_of_its_call_there():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(2)], name="inner")
    own = keras.Model(inner.input, inner.output)
    late = keras.Sequential([layers.Dense(3)], name="late")
    inputs = keras.Input((4,))
    x = inner(inputs)
    y = late(x)
    model = keras.Model(inputs, layers.Dense(1)(y))
    assert model.get_layer("inner").input is inputs
    assert model.get_layer("inner").output is x
    assert model.get_layer("late").output is y
    cut = keras.Model(model.input, model.get_layer("late").output)
    data = np.ones((2, 4), "float32")
    np.testing.assert_allclose(cut.predict(data, verbose=0), late(inner(data)).numpy(), rtol=1e-6)
    np.testing.assert_allclose(own(data).numpy(), inner(data).numpy(), rtol=1e-6)


def test_automatic_names_count_what_keras_counts():
    keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    inputs = keras.Input((4, 2))
    layers.MultiHeadAttention(2, 2)(inputs, inputs)
    assert layers.Dropout(0.1).name == "dropout_1"
    assert keras.Model(inputs, layers.Flatten()(inputs)).name == "functional_1"


def test_a_symbolic_tensor_tells_its_mask():
    inputs = keras.Input((5,))
    masked = layers.Embedding(3, 4, mask_zero=True)(inputs)
    assert masked._keras_mask.shape == (None, 5)
    assert layers.Dense(2)(layers.Flatten()(inputs))._keras_mask is None


@keras.saving.register_keras_serializable("mine")
class Own(layers.Layer):
    """A registered layer."""


KINDS = {
    "layers": lambda: layers.Dense(2),
    "losses": lambda: keras.losses.Huber(0.5),
    "metrics": lambda: keras.metrics.AUC(),
    "optimizers": lambda: keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, 5)),
    "initializers": lambda: keras.initializers.HeNormal(seed=3),
    "regularizers": lambda: keras.regularizers.L2(0.1),
    "constraints": lambda: keras.constraints.MaxNorm(3.0),
}


@pytest.mark.parametrize("kind", KINDS)
def test_serialize_says_module_and_registered_name_and_deserialize_reads_it(kind):
    made, module = KINDS[kind](), getattr(keras, kind)
    config = module.serialize(made)
    assert config["class_name"] == type(made).__name__
    assert config["module"].startswith("keras.")
    assert config["registered_name"] is None
    again = module.deserialize(config)
    assert type(again) is type(made)
    assert again.get_config() == made.get_config()


def test_serialize_of_a_registered_layer_names_it():
    config = layers.serialize(Own(name="o"))
    assert (config["class_name"], config["registered_name"]) == ("Own", "mine>Own")
    assert type(layers.deserialize(config)) is Own
    assert keras.activations.serialize(keras.activations.relu) == "relu"


def test_arguments_stand_where_keras_has_them():
    y, p = np.array([[1.0, 0.0]]), np.array([[1.0, 1.0]])
    assert keras.losses.Dice("none", "d").name == "d"
    assert keras.losses.Tversky(0.5, 0.5, "sum", "t")(y, p).shape == ()
    rnn = layers.SimpleRNN(2, "tanh", True, "zeros", "zeros", "zeros", None, None, None, None, None,
                           None, None, 0.0, 0.0, True)  # fmt: skip
    assert rnn(tf.ones((1, 3, 2))).shape == (1, 3, 2)


def test_networks_and_losses_have_kerass_names():
    for make, name in ((keras.applications.MobileNet, "mobilenet_0.35_32"),
                       (keras.applications.MobileNetV2, "mobilenetv2_0.35_32")):  # fmt: skip
        made = make(weights=None, input_shape=(32, 32, 3), include_top=False, alpha=0.35)
        assert made.name == name
    assert keras.losses.Huber().name == "huber_loss"


def test_paths_of_weights_name_every_layer_on_the_way():

    class Block(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.d = layers.Dense(2, name="d")

        def build(self, input_shape):
            self.d.build(input_shape)

        def call(self, x):
            return self.d(x)

    class Outer(keras.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.b = Block(name="b")

        def build(self, input_shape):
            self.b.build(input_shape)

        def call(self, x):
            return self.b(x)

    class Built(Outer):
        def build(self, input_shape):
            keras.Model.build(self, input_shape)

    for kind in (Outer, Built):
        called, built = kind(name="o"), kind(name="o")
        called(np.ones((1, 3), "float32"))
        built.build((None, 3))
        for model in (called, built):
            assert [w.path for w in model.weights] == ["o/b/d/kernel", "o/b/d/bias"]
    x = np.ones((1, 3, 2), "float32")
    for layer, want in (
        (layers.Bidirectional(layers.GRU(2, name="g"), name="bi"),
         ["bi/forward_g/gru_cell/kernel", "bi/backward_g/gru_cell/kernel"]),
        (layers.RNN(layers.StackedRNNCells([layers.GRUCell(2, name="c")], name="s"), name="r"),
         ["r/s/c/kernel"]),
        (layers.TimeDistributed(layers.Dense(2, name="d"), name="td"), ["td/d/kernel"]),
    ):  # fmt: skip
        layer(x)
        kernels = [w.path for w in layer.weights if w.name == "kernel"]
        assert kernels == want
