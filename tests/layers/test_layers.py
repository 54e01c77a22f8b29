"""Layers: defaults of the semantics card, values, gradients through them, masks, configs."""

import inspect
import json

import numpy as np
import pytest

import fastnn
from fastnn import initializers, layers, ops


def test_dense_is_a_product_and_a_sum(rng):
    dense = layers.Dense(3, activation="tanh", bias_initializer="ones")
    x = rng.normal(size=(4, 5)).astype(np.float32)
    kernel, bias = (dense(x), dense.get_weights())[1]
    assert (kernel.shape, bias.tolist()) == ((5, 3), [1.0] * 3)
    assert np.asarray(dense(x)) == pytest.approx(np.tanh(x @ kernel + bias), rel=1e-5, abs=1e-6)
    assert np.asarray(dense(np.ones((2, 7, 5), np.float32))).shape == (2, 7, 3)


@pytest.mark.parametrize(
    ("name", "std"),
    [
        ("glorot_uniform", 0.0632), ("glorot_normal", 0.0635), ("he_normal", 0.1002),
        ("he_uniform", 0.1001), ("lecun_normal", 0.0706), ("orthogonal", 0.0577),
        ("truncated_normal", 0.0440), ("random_normal", 0.0501), ("random_uniform", 0.0288),
    ],
)  # fmt: skip
def test_first_weights_spread_as_in_keras(name, std):
    fastnn.random.set_seed(3)
    weights = np.asarray(initializers.get(name)((200, 300)))
    assert weights.std() == pytest.approx(std, rel=0.02)
    assert abs(weights.mean()) < 0.001
    if name in ("he_normal", "glorot_normal", "lecun_normal"):
        stddev = {"he_normal": (2 / 200) ** 0.5, "glorot_normal": (2 / 500) ** 0.5}.get(
            name, (1 / 200) ** 0.5
        )
        assert np.abs(weights).max() <= 2 * stddev / 0.87962566103423978 + 1e-6


def test_orthogonal_columns_are_orthonormal():
    q = np.asarray(initializers.Orthogonal(seed=1)((8, 5)))
    assert q.T @ q == pytest.approx(np.eye(5), abs=1e-5)


def test_an_initializer_with_a_seed_repeats_itself():
    first = initializers.GlorotUniform(seed=5)
    assert np.array_equal(first((3, 4)), first((3, 4)))
    assert np.array_equal(first((3, 4)), initializers.GlorotUniform(seed=5)((3, 4)))
    assert not np.array_equal(first((3, 4)), initializers.HeUniform(seed=6)((3, 4)))


def test_dropout_keeps_the_mean_and_is_idle_outside_training():
    layer = layers.Dropout(0.25, seed=1)
    x = np.ones((200, 50), np.float32)
    out = np.asarray(layer(x, training=True))
    assert set(np.unique(out)) == {np.float32(0.0), np.float32(1 / 0.75)}
    assert out.mean() == pytest.approx(1.0, abs=0.03)
    assert not np.array_equal(out, np.asarray(layer(x, training=True)))
    assert np.array_equal(np.asarray(layer(x)), x)


def test_spatial_dropout_drops_whole_channels():
    out = np.asarray(layers.SpatialDropout1D(0.5, seed=1)(np.ones((8, 5, 6)), training=True))
    assert (out == out[:, :1]).all()
    assert 0 < (out == 0).mean() < 1


def test_noise_layers_keep_the_mean():
    x = np.ones((300, 40), np.float32)
    for layer in (layers.GaussianNoise(0.5, seed=1), layers.GaussianDropout(0.2, seed=1)):
        out = np.asarray(layer(x, training=True))
        assert out.mean() == pytest.approx(1.0, abs=0.02)
        assert out.std() == pytest.approx(0.5, abs=0.02)
    normal = np.random.default_rng(0).normal(size=(300, 40)).astype(np.float32)
    out = np.asarray(layers.AlphaDropout(0.2, seed=1)(normal, training=True))
    assert (out.mean(), out.std()) == pytest.approx((0.0, 1.0), abs=0.03)


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (lambda: layers.Flatten(), (2, 3, 4), (2, 12)),
        (lambda: layers.Reshape((4, -1)), (2, 3, 4), (2, 4, 3)),
        (lambda: layers.Permute((2, 1)), (2, 3, 4), (2, 4, 3)),
        (lambda: layers.RepeatVector(3), (2, 4), (2, 3, 4)),
        (lambda: layers.ZeroPadding1D(2), (2, 3, 4), (2, 7, 4)),
        (lambda: layers.ZeroPadding2D(((1, 0), (2, 3))), (2, 3, 4, 1), (2, 4, 9, 1)),
        (lambda: layers.Cropping1D((1, 1)), (2, 5, 4), (2, 3, 4)),
        (lambda: layers.Cropping2D(1), (2, 5, 4, 1), (2, 3, 2, 1)),
        (lambda: layers.UpSampling1D(2), (2, 3, 4), (2, 6, 4)),
        (lambda: layers.UpSampling2D((2, 3)), (2, 3, 4, 1), (2, 6, 12, 1)),
    ],
)
def test_shape_layers(layer, shape, expected):
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    made = layer()
    assert np.asarray(made(x)).shape == expected
    symbolic = made(fastnn.Input(shape[1:]))
    assert symbolic.shape == (None, *expected[1:])


def test_upsampling_repeats_neighbours():
    out = np.asarray(layers.UpSampling1D(2)(np.array([[[1.0], [2.0]]])))
    assert out.ravel().tolist() == [1.0, 1.0, 2.0, 2.0]


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (layers.ReLU(), [0.0, 2.0]), (layers.ReLU(max_value=1.0), [0.0, 1.0]),
        (layers.LeakyReLU(), [-0.3, 2.0]), (layers.ELU(), [np.expm1(-1), 2.0]),
        (layers.PReLU(alpha_initializer="ones"), [-1.0, 2.0]),
        (layers.Snake(), [np.sin(1.0) ** 2 - 1.0, 2.0 + np.sin(2.0) ** 2]),
        (layers.Softmax(), [1 / (1 + np.exp(3)), 1 / (1 + np.exp(-3))]),
        (layers.Activation("swish"), [-1 / (1 + np.e), 2 / (1 + np.exp(-2))]),
        (layers.Rescaling(2.0, 1.0), [-1.0, 5.0]),
    ],
)  # fmt: skip
def test_activation_layers(layer, expected):
    assert np.asarray(layer(np.array([[-1.0, 2.0]], np.float32))).ravel() == pytest.approx(
        expected, rel=1e-5
    )


def test_snake_learns_a_frequency_for_each_feature_along_its_axis(rng):
    x = rng.normal(size=(2, 3, 4)).astype(np.float32)
    for axis, alpha in ((-1, [0.0, 0.5, 2.0, 9.0]), (1, [0.0, 0.5, 9.0])):
        layer = layers.Snake(axis=axis)
        assert layer.compute_output_shape((None, 3, 4)) == (None, 3, 4)
        layer.build((None, 3, 4))
        layer.set_weights([np.array(alpha, np.float32)])
        a = np.array(alpha).reshape((1, 1, 4) if axis == -1 else (1, 3, 1))
        with np.errstate(invalid="ignore"):
            wanted = np.where(a == 0, x, x + np.sin(a * x) ** 2 / a)
        assert np.asarray(layer(x)) == pytest.approx(wanted, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(("start", "end"), [(0.0, 0.5), (0.2, 0.0)])
def test_snake_trains_away_from_and_to_a_frequency_of_zero(start, end):
    x = np.linspace(-3, 3, 64, dtype=np.float32)[:, None]
    y = x + np.sin(end * x) ** 2 / end if end else x - np.sin(0.2 * x) ** 2 / 0.2
    model = fastnn.Sequential([fastnn.Input((1,)), layers.Snake(initializers.Constant(start))])
    model.compile(fastnn.optimizers.SGD(0.02), "mse")
    model.fit(x, y, epochs=100, verbose=0)
    assert model.get_weights()[0] == pytest.approx([end], abs=0.05)
    assert np.isfinite(model.predict(x, verbose=0)).all()


@pytest.mark.parametrize("axis", [0, 1.0, None, True, "last"])
def test_snake_refuses_what_is_no_axis_of_features(axis):
    with pytest.raises(ValueError, match=rf"Snake: axis is {axis!r}.*\n  hint: axis=-1"):
        layers.Snake(axis=axis)


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.BatchNormalization(axis=3), lambda: layers.LayerNormalization(axis=[1, 3]),
        lambda: layers.GroupNormalization(2, axis=-4), lambda: layers.RMSNormalization(axis=3),
        lambda: layers.Normalization(axis=3), lambda: layers.Snake(axis=3),
        lambda: layers.PReLU(shared_axes=[3]), lambda: layers.Concatenate(axis=3),
        lambda: layers.Dot(axes=3), lambda: layers.Dot(axes=(1, -4)),
    ],
)  # fmt: skip
def test_an_axis_that_inputs_do_not_have_is_named(make):
    layer, x = make(), np.ones((2, 4, 4), np.float32)
    given = [x, x] if isinstance(layer, layers.Concatenate | layers.Dot) else x
    wanted = rf"{layer.name!r}.*ndim=3, while axis=.*(3|-4)(.|\n)*\n  hint: "
    with pytest.raises(fastnn.errors.ShapeError, match=wanted):
        layer(given)


def test_dot_refuses_the_axis_of_the_samples():
    x = np.ones((4, 4), np.float32)
    with pytest.raises(fastnn.errors.ShapeError, match=r"axes=0 names axis 0(.|\n)*hint: axes=-1"):
        layers.Dot(axes=0)([x, x])


@pytest.mark.parametrize("axes", [0, -1, [1, 0], [1.0], True])
def test_prelu_counts_shared_axes_from_one(axes):
    with pytest.raises(ValueError, match=r"shared_axes is .*from 1.*\n  hint: "):
        layers.PReLU(shared_axes=axes)


def test_merge_layers(rng):
    a, b = rng.normal(size=(2, 4, 3)).astype(np.float32)
    for layer, expected in (
        (layers.Add(), a + b), (layers.Subtract(), a - b), (layers.Multiply(), a * b),
        (layers.Average(), (a + b) / 2), (layers.Maximum(), np.maximum(a, b)),
        (layers.Minimum(), np.minimum(a, b)),
        (layers.Concatenate(), np.concatenate([a, b], -1)),
        (layers.Dot(axes=1), (a * b).sum(-1, keepdims=True)),
    ):  # fmt: skip
        assert np.asarray(layer([a, b])) == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert np.asarray(layers.add([a, b])) == pytest.approx(a + b)


def test_embedding_looks_rows_up_and_masks_zero():
    table = np.arange(12, dtype=np.float32).reshape(4, 3)
    layer = layers.Embedding(4, 3, weights=[table], mask_zero=True)
    assert np.asarray(layer(np.array([[1, 0]])))[0].tolist() == table[[1, 0]].tolist()
    assert np.asarray(layer.compute_mask(np.array([[1, 0]]), None)).tolist() == [[True, False]]


def test_masks_reach_the_loss():
    x = fastnn.Input((3,), dtype="int32")
    h = layers.Embedding(5, 2, mask_zero=True, embeddings_initializer="ones")(x)
    out = layers.Dense(1, kernel_initializer="ones")(h)
    model = fastnn.Model(x, out)
    model.compile("sgd", "mse")
    loss = model.evaluate(np.array([[1, 2, 0]]), np.array([[[2.0], [0.0], [9.0]]]), verbose=0)
    assert loss == pytest.approx(2.0)  # (0 + 4) / 2 valid steps


def test_masking_marks_empty_steps():
    layer = layers.Masking()
    x = np.array([[[1.0, 0.0], [0.0, 0.0]]], np.float32)
    assert np.asarray(layer.compute_mask(x, None)).tolist() == [[True, False]]


def test_lambda_configs_bring_the_function_along_in_memory_only():
    layer = layers.Lambda(lambda x, by: x * by, arguments={"by": 2.0})
    copy = layers.Lambda.from_config(layer.get_config())
    assert np.asarray(copy(np.ones((1, 2)))).tolist() == [[2.0, 2.0]]
    with pytest.raises(TypeError, match="not JSON serializable"):
        json.dumps(layer.get_config())

    def twice(x):
        return x * 2

    config = json.loads(json.dumps(layers.Lambda(twice, name="l").get_config()))
    assert config["function"] == "twice"
    with pytest.raises(ValueError, match=r"'l' uses the function 'twice'.*\n.*custom_objects"):
        layers.Lambda.from_config(config)
    again = layers.Lambda.from_config(config, custom_objects={"twice": twice})
    assert again.function is twice
    code = {"class_name": "__lambda__", "config": {"code": "4wEAAAA="}}
    with pytest.raises(ValueError, match="holds code, which is never read"):
        layers.Lambda.from_config({"function": code}, safe_mode=False)


def test_lambda_passes_mask_and_training_to_functions_that_take_them():
    def count(x, mask=None, training=None):
        return ops.sum(ops.cast(mask, "float32"), axis=1) + (10.0 if training else 0.0)

    x = fastnn.Input((3, 2))
    model = fastnn.Model(x, layers.Lambda(count)(layers.Masking()(x)))
    data = np.array([[[1, 0], [0, 0], [2, 2]]], np.float32)
    assert np.asarray(model(data)).tolist() == [2.0]
    assert np.asarray(model(data, training=True)).tolist() == [12.0]


def test_clones_keep_lambda_functions():
    model = fastnn.Sequential([fastnn.Input((2,)), layers.Lambda(lambda x: x + 3.0)])
    copy = fastnn.models.clone_model(model)
    assert copy.predict(np.zeros((1, 2)), verbose=0).tolist() == [[3.0, 3.0]]


@pytest.mark.parametrize(
    ("a", "b", "axes", "formula"),
    [
        ((2, 3, 4), (2, 4, 5), (2, 1), "nij,njk->nik"),
        ((2, 3, 4), (2, 1, 4, 3), (-2, -1), "nik,nabi->nkab"),
        ((2, 3, 4, 5), (2, 6, 4, 7), 2, "niaj,nkal->nijkl"),
        ((2, 3), (2, 3), 1, "ni,ni->n"),
        ((2, 3), (2, 4, 3), (1, 2), "ni,nai->na"),
    ],
)
def test_dot_joins_inputs_of_any_rank(a, b, axes, formula, rng):
    x, y = rng.normal(size=a).astype(np.float32), rng.normal(size=b).astype(np.float32)
    want = np.einsum(formula, x, y)
    want = want[:, None] if want.ndim == 1 else want
    layer = layers.Dot(axes=axes)
    np.testing.assert_allclose(np.asarray(layer([x, y])), want, rtol=1e-5, atol=1e-6)
    assert layer([fastnn.Input(a[1:]), fastnn.Input(b[1:])]).shape == (None, *want.shape[1:])


def test_every_policy_that_is_taken_computes_in_float32():
    policy = fastnn.DTypePolicy("float32")
    for dtype in ("float32", np.float32, np.dtype("float32"), policy, None):
        layer = layers.Dense(2, dtype=dtype)
        assert layer.dtype_policy == policy
        assert layer.compute_dtype == layer.variable_dtype == "float32"
    mixed = {"class_name": "DTypePolicy", "config": {"name": "mixed_float16"}}
    for dtype in ("mixed_float16", mixed, fastnn.DTypePolicy("mixed_bfloat16")):
        assert layers.Dense(2, dtype=dtype).compute_dtype == "float32"
    for dtype in ("float16", np.float64):
        with pytest.raises(
            ValueError, match=r"not supported\n  hint: fastnn computes in 'float32'"
        ):
            layers.Dense(2, dtype=dtype)
    assert fastnn.config.dtype_policy().name == "float32"
    with pytest.raises(ValueError, match="set_dtype_policy"):
        fastnn.config.set_dtype_policy("bfloat16")


@pytest.mark.parametrize("bad", [3.7, 4.0, "3", None, True, -1, 0])
def test_sizes_are_whole_numbers(bad):
    for make in (
        lambda: layers.Dense(bad),
        lambda: layers.Embedding(bad, 2),
        lambda: layers.Embedding(2, bad),
    ):
        with pytest.raises(ValueError, match="must be a positive integer"):
            make()
    assert layers.Dense(np.int64(3)).units == 3


def test_a_config_that_a_class_refuses_is_a_value_and_a_type_error():
    for kind in (ValueError, TypeError):
        with pytest.raises(kind, match=r"Embedding cannot be made from its config: .*`input_dim`"):
            layers.Embedding.from_config({"input_dim": 3.7, "output_dim": 8})


def test_input_layers_know_their_type_and_tensor():
    tensor = fastnn.KerasTensor((2, 3), dtype="int32")
    layer = layers.InputLayer(input_tensor=tensor)
    assert layer.output is tensor
    assert (layer.dtype, layer.sparse, layer.ragged) == ("int32", False, False)
    with pytest.raises(ValueError, match="incompatible `sparse`"):
        layers.InputLayer(input_tensor=tensor, sparse=True)
    with pytest.warns(UserWarning, match="`input_shape` is deprecated"):
        assert layers.InputLayer(input_shape=(4,)).batch_shape == (None, 4)


@pytest.mark.parametrize(
    ("constraint", "check"),
    [
        ("non_neg", lambda w: (w >= 0).all()),
        ("unit_norm", lambda w: np.linalg.norm(w, axis=0) == pytest.approx(1.0, abs=1e-4)),
        ("max_norm", lambda w: (np.linalg.norm(w, axis=0) <= 2.0001).all()),
    ],
)
def test_constraints_hold_after_training(constraint, check, rng):
    model = fastnn.Sequential([fastnn.Input((4,)), layers.Dense(3, kernel_constraint=constraint)])
    model.compile(fastnn.optimizers.SGD(1.0), "mse")
    x = rng.normal(size=(16, 4)).astype(np.float32)
    model.fit(x, 5 * x[:, :3], epochs=3, verbose=0)
    assert check(model.get_weights()[0])


def test_every_layer_comes_back_from_its_config():
    needed = {
        "activation": "relu", "axes": 1, "cell": layers.LSTMCell(2), "cells": [layers.GRUCell(2)],
        "dims": (2, 1), "embedding_dim": 4, "equation": "ab,bc->ac", "factor": 1, "filters": 2,
        "head_dim": 4, "height": 2, "height_factor": 0.1, "input_dim": 3, "intermediate_dim": 4,
        "kernel_size": 2, "key_dim": 3, "layer": layers.LSTM(2), "layers": [layers.Dense(2)],
        "n": 2, "num_bins": 3,
        "num_heads": 2, "num_key_value_heads": 1, "num_query_heads": 2, "output_dim": 2,
        "output_shape": 3, "output_size": 2, "pool_size": 2, "rate": 0.1, "scale": 0.5,
        "sequence_length": 3, "stddev": 0.1, "target_shape": (2,), "units": 2,
        "vocabulary_size": 5, "width": 2, "width_factor": 0.1,
    }  # fmt: skip
    more = {
        "InputLayer": {"shape": (2,)}, "CategoryEncoding": {"num_tokens": 3},
        "Discretization": {"bin_boundaries": [0.0]},
    }  # fmt: skip
    skip = {"Lambda", "Wrapper"}
    for cls in {c for c in layers.TABLE.names.values() if c.__name__ not in skip}:
        given = more.get(cls.__name__, {}) | {
            p.name: needed[p.name]
            for p in inspect.signature(cls).parameters.values()
            if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
        }
        layer = cls(**given)
        again = layers.deserialize(layers.serialize(layer))
        assert type(again) is cls
        assert again.get_config() == layer.get_config()


def test_merged_masks_hold_where_any_input_does():
    x = np.array([[[0.0], [1.0], [0.0]]], np.float32)
    y = np.array([[[0.0], [0.0], [2.0]]], np.float32)
    a, b = fastnn.Input((3, 1)), fastnn.Input((3, 1))
    masked = layers.Multiply()([layers.Masking()(a), layers.Masking()(b)])
    model = fastnn.Model([a, b], masked)
    assert np.asarray(model.predict([x, y], verbose=0)).ravel().tolist() == [0.0, 1.0, 2.0]


def test_channels_first_moves_the_positions():
    x = np.arange(2 * 3 * 4, dtype=np.float32).reshape(1, 2, 3, 4)
    last = np.moveaxis(x, 1, -1)
    for kind in (
        layers.Cropping2D(((1, 0), (1, 1))),
        layers.ZeroPadding2D(1),
        layers.UpSampling2D(2),
    ):
        config = kind.get_config() | {"data_format": "channels_first", "name": "first"}
        first = np.asarray(type(kind).from_config(config)(x))
        assert np.array_equal(first, np.moveaxis(np.asarray(kind(last)), -1, 1))


def test_activity_penalties_are_means_over_the_batch(rng):
    x = rng.normal(size=(6, 3)).astype(np.float32)
    layer = layers.Dense(2, activity_regularizer="l2")
    out = np.asarray(layer(x))
    assert float(layer.losses[0]) == pytest.approx(0.01 * (out**2).sum() / 6, rel=1e-5)
    layer(x[:2])
    assert float(layer.losses[0]) == pytest.approx(0.01 * (out[:2] ** 2).sum() / 2, rel=1e-5)


@pytest.mark.parametrize("kind", ["bilinear", "bicubic", "lanczos3", "lanczos5"])
def test_interpolated_up_sampling_keeps_constants_and_axes(kind, rng):
    layer = layers.UpSampling2D((2, 3), interpolation=kind)
    flat = np.full((1, 4, 5, 2), 3.0, np.float32)
    np.testing.assert_allclose(np.asarray(layer(flat)), np.full((1, 8, 15, 2), 3.0), rtol=1e-5)
    x = rng.normal(size=(2, 4, 5, 2)).astype(np.float32)
    first = layers.UpSampling2D((2, 3), data_format="channels_first", interpolation=kind)
    moved = np.asarray(first(x.transpose(0, 3, 1, 2))).transpose(0, 2, 3, 1)
    np.testing.assert_allclose(moved, np.asarray(layer(x)), atol=1e-5)
    assert layer(fastnn.Input((None, 5, 2))).shape == (None, None, 15, 2)


def test_bilinear_up_sampling_by_hand():
    x = np.array([0.0, 4.0], np.float32).reshape(1, 2, 1, 1)
    out = np.asarray(layers.UpSampling2D((2, 1), interpolation="bilinear")(x)).ravel()
    np.testing.assert_allclose(out, [0.0, 1.0, 3.0, 4.0])
    with pytest.raises(ValueError, match="`interpolation` argument should be one of"):
        layers.UpSampling2D(2, interpolation="linear")


def test_layers_take_the_axis_order_that_config_sets(rng):
    x = rng.normal(size=(1, 3, 4, 5)).astype(np.float32)
    last = x.transpose(0, 2, 3, 1)
    fastnn.config.set_image_data_format("channels_first")
    try:
        layer, flat = layers.ZeroPadding2D(1), layers.Flatten()
        assert fastnn.config.image_data_format() == "channels_first"
    finally:
        fastnn.config.set_image_data_format("channels_last")
    want = np.asarray(layers.ZeroPadding2D(1)(last)).transpose(0, 3, 1, 2)
    assert np.array_equal(np.asarray(layer(x)), want)
    assert np.array_equal(np.asarray(flat(x)), np.asarray(layers.Flatten()(last)))
    assert layers.ZeroPadding2D.from_config(layer.get_config()).data_format == "channels_first"
    with pytest.raises(ValueError, match=r"`data_format` argument must be one of.*\n  hint:"):
        fastnn.config.set_image_data_format("NHWC")
