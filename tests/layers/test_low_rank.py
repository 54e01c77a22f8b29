"""Low-rank adaptation: a frozen weight and two small ones that are trained beside it."""

import pickle

import numpy as np
import pytest

import fastnn
from fastnn import layers, ops

ADAPTED = {
    "Dense": (lambda **k: layers.Dense(3, **k), (2, 4), "kernel"),
    "EinsumDense": (lambda **k: layers.EinsumDense("abc,cde->abde", (None, 2, 3), **k), (2, 5, 4),
                    "kernel"),
    "Conv1D": (lambda **k: layers.Conv1D(3, 2, **k), (2, 5, 4), "kernel"),
    "Conv2D": (lambda **k: layers.Conv2D(4, 2, groups=2, **k), (2, 5, 5, 4), "kernel"),
    "Embedding": (lambda **k: layers.Embedding(6, 3, **k), (2, 4), "embeddings"),
    "ReversibleEmbedding": (lambda **k: layers.ReversibleEmbedding(6, 3, **k), (2, 4),
                            "embeddings"),
}  # fmt: skip


def inputs_of(name, shape, rng):
    if "Embedding" in name:
        return rng.integers(0, 6, shape)
    return rng.normal(size=shape).astype("float32")


def fill(layer, rng):
    for v in layer.weights:
        v.assign(rng.normal(size=v.shape))


def model_of(rng, **settings):
    inputs = fastnn.Input((4,))
    hidden = layers.Dense(5, activation="relu", name="hidden", **settings)(inputs)
    model = fastnn.Model(inputs, layers.Dense(2, name="head")(hidden))
    fill(model, rng)
    return model


@pytest.mark.parametrize("name", ADAPTED)
def test_a_layer_with_adapters_computes_with_the_sum(name, rng):
    make, shape, weight = ADAPTED[name]
    layer, x = make(), inputs_of(name, shape, rng)
    layer(x)
    fill(layer, rng)
    before = layer(x).numpy()
    layer.enable_lora(2, lora_alpha=3)
    np.testing.assert_array_equal(layer(x).numpy(), before)  # the second adapter starts at 0
    fill(layer, rng)
    base = layer.__dict__[weight].numpy()
    a, b = (getattr(layer, f"lora_{weight}_{part}").numpy() for part in "ab")
    merged = base + a @ b * 1.5
    np.testing.assert_allclose(getattr(layer, weight), merged, atol=1e-5)
    plain = make()
    plain(x)
    bias = [layer.bias] if getattr(layer, "bias", None) is not None else []
    plain.set_weights([merged, *bias])
    np.testing.assert_allclose(layer(x), plain(x), atol=1e-4)
    assert not layer.__dict__[weight].trainable
    assert {f"lora_{weight}_{part}" for part in "ab"} <= {v.name for v in layer.trainable_weights}


@pytest.mark.parametrize("name", ADAPTED)
def test_the_constructor_asks_for_adapters_and_the_config_keeps_them(name, rng):
    make, shape, _ = ADAPTED[name]
    layer = make(lora_rank=2, lora_alpha=8)
    assert not layer.lora_enabled
    layer(inputs_of(name, shape, rng))
    assert layer.lora_enabled
    assert (layer.lora_rank, layer.lora_alpha) == (2, 8)
    config = layer.get_config()
    assert (config["lora_rank"], config["lora_alpha"]) == (2, 8)
    again = type(layer).from_config(config)
    assert (again.lora_rank, again.lora_alpha) == (2, 8)
    assert not {"lora_rank", "lora_alpha"} & make().get_config().keys()


def test_reversed_embeddings_take_the_sum_too(rng):
    layer = layers.ReversibleEmbedding(6, 3, lora_rank=2)
    layer.build(None)
    fill(layer, rng)
    x = rng.normal(size=(2, 3)).astype("float32")
    wanted = x @ np.asarray(layer.embeddings).T
    np.testing.assert_allclose(layer(x, reverse=True), wanted, atol=1e-5)


def test_fit_changes_the_adapters_and_leaves_the_weight(rng):
    model = model_of(rng)
    model.get_layer("hidden").enable_lora(2)
    hidden = model.get_layer("hidden")
    model.compile("sgd", "mse")
    before = {v.name: v.numpy() for v in hidden.weights}
    model.fit(rng.normal(size=(32, 4)), rng.normal(size=(32, 2)), epochs=3, verbose=0)
    moved = {v.name for v in hidden.weights if (v.numpy() != before[v.name]).any()}
    assert moved == {"bias", "lora_kernel_a", "lora_kernel_b"}


@pytest.mark.parametrize("file", ["m.keras", "m.safetensors", "m.h5"])
def test_a_model_with_adapters_comes_back_from_files(file, rng, tmp_path):
    model = model_of(rng)
    model.get_layer("hidden").enable_lora(2, lora_alpha=4)
    fill(model, rng)
    x = rng.normal(size=(3, 4)).astype("float32")
    wanted = model.predict(x, verbose=0)
    model.save(tmp_path / file)
    again = fastnn.load_model(tmp_path / file)
    np.testing.assert_allclose(again.predict(x, verbose=0), wanted, atol=1e-5)
    hidden = again.get_layer("hidden")
    assert (hidden.lora_enabled, hidden.lora_rank, hidden.lora_alpha) == (True, 2, 4)
    # Training goes on: not both adapters are 0.
    assert any(np.asarray(v).any() for v in (hidden.lora_kernel_a, hidden.lora_kernel_b))


def test_weights_files_of_keras_hold_the_sum_and_fit_a_model_without_adapters(rng, tmp_path):
    model = model_of(rng)
    model.get_layer("hidden").enable_lora(2)
    fill(model, rng)
    x = rng.normal(size=(3, 4)).astype("float32")
    model.save_weights(tmp_path / "m.weights.h5")
    plain = model_of(rng)
    plain.load_weights(tmp_path / "m.weights.h5")
    wanted = model.predict(x, verbose=0)
    np.testing.assert_allclose(plain.predict(x, verbose=0), wanted, atol=1e-5)


def test_a_layer_with_adapters_is_pickled_quantized_and_cloned(rng):
    model = model_of(rng)
    model.get_layer("hidden").enable_lora(2)
    fill(model, rng)
    x = rng.normal(size=(3, 4)).astype("float32")
    wanted = model.predict(x, verbose=0)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_allclose(again.predict(x, verbose=0), wanted, atol=1e-5)
    clone = fastnn.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_allclose(clone.predict(x, verbose=0), wanted, atol=1e-5)
    model.quantize("bfloat16")
    np.testing.assert_allclose(model.predict(x, verbose=0), wanted, atol=0.2)


def test_adapters_that_cannot_be_are_refused(rng):
    layer = layers.Dense(3)
    with pytest.raises(ValueError, match=r"isn't yet built(.|\n)*hint:"):
        layer.enable_lora(2)
    with pytest.raises(AttributeError, match=r"must build the layer(.|\n)*hint:"):
        layer.kernel  # noqa: B018
    layer.build((None, 4))
    with pytest.raises(ValueError, match=r"rank of LoRA is 0(.|\n)*hint:"):
        layer.enable_lora(0)
    layer.enable_lora(2)
    with pytest.raises(ValueError, match=r"already enabled(.|\n)*hint:"):
        layer.enable_lora(2)
    bound = layers.Embedding(5, 3, embeddings_constraint="non_neg")
    bound.build(None)
    with pytest.raises(ValueError, match=r"embeddings_constraint out"):
        bound.enable_lora(2)
    with pytest.raises(ValueError, match=r"rank of LoRA is 1\.5(.|\n)*hint:"):
        layers.Dense(3, lora_rank=1.5)


def test_a_weight_that_is_frozen_keeps_its_place_among_weights(rng, tmp_path):
    model = model_of(rng)
    shapes = [v.shape for v in model.weights]
    model.save_weights(tmp_path / "before.weights.h5")
    model.get_layer("hidden").kernel.trainable = False
    assert [v.shape for v in model.weights] == shapes
    kernel = model.get_layer("hidden").kernel.numpy()
    model.get_layer("hidden").kernel.assign(kernel * 0)
    model.load_weights(tmp_path / "before.weights.h5")
    np.testing.assert_array_equal(model.get_layer("hidden").kernel, kernel)


def test_a_layer_of_ones_own_may_set_its_kernel_itself():
    class Own(layers.Dense):
        def build(self, input_shape):
            self.kernel = self.add_weight((input_shape[-1], self.units), "ones", name="k")
            self.bias = None
            self.built = True

    assert Own(2)(ops.ones((1, 3))).numpy().tolist() == [[3.0, 3.0]]
