"""Layers: defaults of the semantics card, values, gradients through them, masks, configs."""

import inspect
import json

import numpy as np
import pytest

import fastnn
from fastnn import initializers, layers, ops


def array(x) -> np.ndarray:
    return np.asarray(x)


def test_dense_is_a_product_and_a_sum(rng):
    dense = layers.Dense(3, activation="tanh", bias_initializer="ones")
    x = rng.normal(size=(4, 5)).astype(np.float32)
    kernel, bias = (dense(x), dense.get_weights())[1]
    assert (kernel.shape, bias.tolist()) == ((5, 3), [1.0] * 3)
    assert array(dense(x)) == pytest.approx(np.tanh(x @ kernel + bias), rel=1e-5, abs=1e-6)
    assert array(dense(np.ones((2, 7, 5), np.float32))).shape == (2, 7, 3)


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
    weights = array(initializers.get(name)((200, 300)))
    assert weights.std() == pytest.approx(std, rel=0.02)
    assert abs(weights.mean()) < 0.001
    if name in ("he_normal", "glorot_normal", "lecun_normal"):
        stddev = {"he_normal": (2 / 200) ** 0.5, "glorot_normal": (2 / 500) ** 0.5}.get(
            name, (1 / 200) ** 0.5
        )
        assert np.abs(weights).max() <= 2 * stddev / 0.87962566103423978 + 1e-6


def test_orthogonal_columns_are_orthonormal():
    q = array(initializers.Orthogonal(seed=1)((8, 5)))
    assert q.T @ q == pytest.approx(np.eye(5), abs=1e-5)


def test_an_initializer_with_a_seed_repeats_itself():
    first = initializers.GlorotUniform(seed=5)
    assert np.array_equal(array(first((3, 4))), array(first((3, 4))))
    assert np.array_equal(array(first((3, 4))), array(initializers.GlorotUniform(seed=5)((3, 4))))
    assert not np.array_equal(array(first((3, 4))), array(initializers.HeUniform(seed=6)((3, 4))))


def test_batch_normalization_moves_with_the_biased_variance():
    bn = layers.BatchNormalization()
    out = array(bn(np.array([[0.0], [2.0]], np.float32), training=True))
    assert out.ravel() == pytest.approx([-0.9995, 0.9995], abs=1e-4)
    gamma, beta, mean, variance = (w.item() for w in bn.get_weights())
    assert (gamma, beta, mean, variance) == pytest.approx((1.0, 0.0, 0.01, 1.0))
    frozen = array(bn(np.array([[0.0], [2.0]], np.float32)))
    assert frozen.ravel() == pytest.approx(np.array([-0.01, 1.99]) / np.sqrt(1.001), rel=1e-5)


def test_batch_normalization_that_is_not_trainable_uses_its_averages():
    bn = layers.BatchNormalization()
    bn.build((None, 1))
    bn.trainable = False
    out = array(bn(np.array([[0.0], [2.0]], np.float32), training=True))
    assert out.ravel() == pytest.approx(np.array([0.0, 2.0]) / np.sqrt(1.001), rel=1e-5)
    assert [w.item() for w in bn.get_weights()][2:] == [0.0, 1.0]


def test_layer_normalization_follows_its_formula(rng):
    x = rng.normal(size=(3, 6)).astype(np.float32)
    expected = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-3)
    assert array(layers.LayerNormalization()(x)) == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_group_and_unit_and_rms_normalization(rng):
    x = rng.normal(size=(2, 3, 4)).astype(np.float32)
    unit = array(layers.UnitNormalization()(x))
    assert np.linalg.norm(unit, axis=-1) == pytest.approx(np.ones((2, 3)), rel=1e-5)
    groups = array(layers.GroupNormalization(groups=2)(x)).reshape(2, 3, 2, 2)
    assert groups.mean(axis=(1, 3)) == pytest.approx(np.zeros((2, 2)), abs=1e-5)
    rms = array(layers.RMSNormalization()(x))
    expected = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)
    assert rms == pytest.approx(expected, rel=1e-4)


def test_normalization_adapts_to_data(rng):
    data = rng.normal(3.0, 2.0, size=(500, 4))
    layer = layers.Normalization()
    layer.adapt(data)
    out = array(layer(data))
    assert out.mean(0) == pytest.approx(np.zeros(4), abs=1e-6)
    assert out.var(0) == pytest.approx(np.ones(4), abs=1e-5)
    given = layers.Normalization(mean=[1.0, 2.0], variance=[4.0, 9.0])
    assert array(given(np.array([[3.0, 5.0]]))).tolist() == [[1.0, 1.0]]


def test_dropout_keeps_the_mean_and_is_idle_outside_training():
    layer = layers.Dropout(0.25, seed=1)
    x = np.ones((200, 50), np.float32)
    out = array(layer(x, training=True))
    assert set(np.unique(out)) == {np.float32(0.0), np.float32(1 / 0.75)}
    assert out.mean() == pytest.approx(1.0, abs=0.03)
    assert not np.array_equal(out, array(layer(x, training=True)))
    assert np.array_equal(array(layer(x)), x)


def test_spatial_dropout_drops_whole_channels():
    out = array(layers.SpatialDropout1D(0.5, seed=1)(np.ones((8, 5, 6)), training=True))
    assert (out == out[:, :1]).all()
    assert 0 < (out == 0).mean() < 1


def test_noise_layers_keep_the_mean():
    x = np.ones((300, 40), np.float32)
    for layer in (layers.GaussianNoise(0.5, seed=1), layers.GaussianDropout(0.2, seed=1)):
        out = array(layer(x, training=True))
        assert out.mean() == pytest.approx(1.0, abs=0.02)
        assert out.std() == pytest.approx(0.5, abs=0.02)
    normal = np.random.default_rng(0).normal(size=(300, 40)).astype(np.float32)
    out = array(layers.AlphaDropout(0.2, seed=1)(normal, training=True))
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
    assert array(made(x)).shape == expected
    symbolic = made(fastnn.Input(shape[1:]))
    assert symbolic.shape == (None, *expected[1:])


def test_upsampling_repeats_neighbours():
    out = array(layers.UpSampling1D(2)(np.array([[[1.0], [2.0]]])))
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
    assert array(layer(np.array([[-1.0, 2.0]], np.float32))).ravel() == pytest.approx(
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
        assert array(layer(x)) == pytest.approx(wanted, rel=1e-5, abs=1e-6)


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
        assert array(layer([a, b])) == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert array(layers.add([a, b])) == pytest.approx(a + b)


def test_embedding_looks_rows_up_and_masks_zero():
    table = np.arange(12, dtype=np.float32).reshape(4, 3)
    layer = layers.Embedding(4, 3, weights=[table], mask_zero=True)
    assert array(layer(np.array([[1, 0]])))[0].tolist() == table[[1, 0]].tolist()
    assert array(layer.compute_mask(np.array([[1, 0]]), None)).tolist() == [[True, False]]


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
    assert array(layer.compute_mask(x, None)).tolist() == [[True, False]]


def test_lambda_configs_bring_the_function_along_in_memory_only():
    layer = layers.Lambda(lambda x, by: x * by, arguments={"by": 2.0})
    copy = layers.Lambda.from_config(layer.get_config())
    assert array(copy(np.ones((1, 2)))).tolist() == [[2.0, 2.0]]
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
    assert array(model(data)).tolist() == [2.0]
    assert array(model(data, training=True)).tolist() == [12.0]


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
    np.testing.assert_allclose(array(layer([x, y])), want, rtol=1e-5, atol=1e-6)
    assert layer([fastnn.Input(a[1:]), fastnn.Input(b[1:])]).shape == (None, *want.shape[1:])


def test_layer_normalization_with_rms_scaling_divides_by_the_deviation(rng):
    x = rng.normal(2.0, 3.0, size=(4, 6)).astype(np.float32)
    layer = layers.LayerNormalization(rms_scaling=True)
    want = x / np.sqrt(x.var(-1, keepdims=True) + 1e-3)
    np.testing.assert_allclose(array(layer(x)), want, rtol=1e-5)
    assert [v.name for v in layer.weights] == ["gamma"]


def test_axes_in_any_order_normalise_alike(rng):
    x = rng.normal(size=(2, 3, 4)).astype(np.float32)
    gamma = rng.normal(size=(3, 4)).astype(np.float32)
    outs = []
    for axis in ([-2, -1], [-1, -2]):
        layer = layers.LayerNormalization(axis=axis)
        layer.build(x.shape)
        layer.set_weights([gamma, np.zeros((3, 4))])
        outs.append(array(layer(x)))
    assert np.array_equal(*outs)


def test_own_variables_go_through_a_store(rng):
    a, b = layers.BatchNormalization(), layers.BatchNormalization()
    a.build((None, 3))
    b.build((None, 3))
    a.set_weights([rng.normal(size=3) for _ in range(4)])
    store = {}
    a.save_own_variables(store)
    b.load_own_variables(store)
    assert all(np.array_equal(*p) for p in zip(a.get_weights(), b.get_weights(), strict=True))
    with pytest.raises(ValueError, match="expected 4 variables, but received 3"):
        b.load_own_variables({k: store[k] for k in ("0", "1", "2")})
    with pytest.raises(fastnn.ShapeError, match="moving_variance"):
        b.load_own_variables({**store, "3": np.zeros(2)})


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


def test_a_layer_that_reads_values_works_eagerly_when_it_says_its_shape():
    class Eager(layers.Layer):
        def compute_output_shape(self, input_shape):
            return input_shape

        def call(self, inputs):
            return inputs * float(np.max(inputs))

    model = fastnn.Sequential([fastnn.Input((2,)), Eager()])
    x = np.array([[1.0, 3.0]], np.float32)
    for _ in range(2):
        assert array(model(x)).tolist() == [[3.0, 9.0]]
    with pytest.raises(fastnn.TraceError):
        model.predict(x, verbose=0)


def test_weights_are_listed_by_layer_with_trained_ones_first():
    bn = layers.BatchNormalization()
    bn.build((None, 2))
    assert [v.name for v in bn.weights] == ["gamma", "beta", "moving_mean", "moving_variance"]
    assert [v.name for v in bn.trainable_weights] == ["gamma", "beta"]
    bn.trainable = False
    assert bn.trainable_weights == []
    assert len(bn.non_trainable_weights) == 4


def test_own_layers_and_their_config():
    class Scale(layers.Layer):
        def __init__(self, factor, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor

        def build(self, input_shape):
            self.w = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="w")

        def call(self, x):
            return x * self.w * self.factor

    layer = Scale(3.0, name="s")
    assert array(layer(np.ones((1, 2)))).tolist() == [[3.0, 3.0]]
    assert layer.w.path == "s/w"
    again = Scale.from_config(layer.get_config())
    assert (again.factor, again.name) == (3.0, "s")


def test_penalties_and_added_losses_are_collected():
    class Extra(layers.Layer):
        def call(self, x):
            self.add_loss(ops.sum(x) * 0.5)
            return x

    dense = layers.Dense(1, kernel_initializer="ones", kernel_regularizer="l2")
    dense(np.ones((1, 3), np.float32))
    assert [float(array(v)) for v in dense.losses] == pytest.approx([0.03])
    extra = Extra()
    extra(np.ones((1, 4), np.float32))
    assert [float(array(v)) for v in extra.losses] == [2.0]


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


def test_a_subclass_with_weights_is_built_by_its_own_build():
    class Scaled(layers.ReLU):
        def build(self, input_shape):
            self.scale = self.add_weight((input_shape[-1],), "ones")
            self.built = True

    layer = Scaled()
    assert not layer.built
    layer(np.ones((1, 3), np.float32))
    assert layer.scale.shape == (3,)


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
    np.testing.assert_allclose(array(layer(flat)), np.full((1, 8, 15, 2), 3.0), rtol=1e-5)
    x = rng.normal(size=(2, 4, 5, 2)).astype(np.float32)
    first = layers.UpSampling2D((2, 3), data_format="channels_first", interpolation=kind)
    np.testing.assert_allclose(
        array(first(x.transpose(0, 3, 1, 2))).transpose(0, 2, 3, 1), array(layer(x)), atol=1e-5
    )
    assert layer(fastnn.Input((None, 5, 2))).shape == (None, None, 15, 2)


def test_bilinear_up_sampling_by_hand():
    x = np.array([0.0, 4.0], np.float32).reshape(1, 2, 1, 1)
    out = array(layers.UpSampling2D((2, 1), interpolation="bilinear")(x)).ravel()
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
    want = array(layers.ZeroPadding2D(1)(last)).transpose(0, 3, 1, 2)
    assert np.array_equal(array(layer(x)), want)
    assert np.array_equal(array(flat(x)), array(layers.Flatten()(last)))
    assert layers.ZeroPadding2D.from_config(layer.get_config()).data_format == "channels_first"
    with pytest.raises(ValueError, match=r"`data_format` argument must be one of.*\n  hint:"):
        fastnn.config.set_image_data_format("NHWC")


def test_a_layer_that_loses_a_mask_says_so_once():
    flat = layers.Flatten(name="flat")
    with pytest.warns(UserWarning, match=r"Layer 'flat' \(of type Flatten\).* destroy the mask"):
        model = fastnn.Sequential([fastnn.Input((2, 1)), layers.Masking(), flat, layers.Dense(1)])
    model.predict(np.ones((1, 2, 1)), verbose=0)

    class Pooled(layers.Layer):
        def call(self, inputs, mask=None):
            return ops.sum(inputs * ops.expand_dims(ops.cast(mask, "float32"), -1), axis=1)

    fastnn.Sequential([fastnn.Input((2, 1)), layers.Masking(), Pooled(), layers.Dense(1)])


def test_a_layer_that_says_what_becomes_of_masks_passes_them_on():
    class Table(fastnn.layers.Layer):
        def build(self, input_shape):
            self.rows = self.add_weight((9, 4), "random_normal", name="rows")

        def call(self, inputs):
            return fastnn.ops.take(self.rows, inputs, axis=0)

        def compute_mask(self, inputs, mask=None):
            return fastnn.ops.not_equal(inputs, 0)

    seen = []

    class Counts(fastnn.layers.Layer):
        def call(self, inputs, mask=None):
            seen.append(mask is not None)
            return fastnn.ops.sum(fastnn.ops.cast(mask, "float32"), axis=-1)

    ids = fastnn.Input((None,), dtype="int32")
    model = fastnn.Model(ids, Counts()(fastnn.layers.Dense(2)(Table()(ids))))
    assert model.predict(np.array([[1, 0, 2], [0, 0, 3]]), verbose=0).tolist() == [2, 1]
    assert all(seen)
    assert not fastnn.layers.Layer().supports_masking


def test_a_build_that_is_called_by_hand_is_not_run_again():
    class Own(fastnn.layers.Layer):
        def build(self, input_shape, start="zeros"):
            self.w = self.add_weight((input_shape[-1],), start, name="w")

        def call(self, x):
            return x * self.w

    class Further(Own):
        def build(self, input_shape):
            super().build(input_shape, "ones")
            self.b = self.add_weight((1,), "zeros", name="b")

    layer = Own()
    layer.build((None, 3), "ones")
    assert layer.built
    model = fastnn.Sequential([fastnn.Input((3,)), layer])
    assert model.predict(np.ones((1, 3)), verbose=0).tolist() == [[1, 1, 1]]
    assert len(model.weights) == 1
    assert layer.get_build_config() == {"input_shape": (None, 3)}
    more = Further()
    assert more(np.ones((2, 3))).numpy().tolist() == [[1] * 3] * 2
    assert [v.name for v in more.weights] == ["w", "b"]


def test_layers_may_be_kept_before_the_base_is_set_up():
    class Router(fastnn.layers.Layer):
        def __init__(self, count):
            self.count = count
            self.route = fastnn.layers.Dense(count)
            super().__init__()

        def call(self, x):
            return fastnn.ops.softmax(self.route(x))

    router = Router(3)
    assert router(np.ones((2, 4))).shape == (2, 3)
    assert len(router.weights) == 2

    class Forgot(fastnn.layers.Layer):
        def __init__(self):
            self.inner = fastnn.layers.Dense(2)

        def call(self, x):
            return self.inner(x)

    with pytest.raises(AttributeError, match=r"(?s)hint: super\(\)\.__init__\(\)"):
        Forgot()(np.ones((1, 2)))


def test_what_a_run_remembers_of_a_model_is_not_searched_for_layers(monkeypatch):
    from fastnn.layers.base import module

    class Net(fastnn.Model):
        def __init__(self):
            super().__init__()
            self.hidden = [layers.Dense(3) for _ in range(8)]

        def call(self, x):
            for layer in self.hidden:
                x = layer(x)
            return x

    model = Net()
    model.compile("adam", "mse")
    real, looked_at = module.modules_in, []
    monkeypatch.setattr(module, "modules_in", lambda x: looked_at.append(x) or real(x))
    list(model._sublayers())
    before = len(looked_at)
    for _ in range(3):
        model.train_on_batch(np.ones((2, 3)), np.ones((2, 3)))
    looked_at.clear()
    list(model._sublayers())
    assert len(looked_at) <= before + 10


def test_batch_normalization_takes_renorm_as_keras_writes_it_and_refuses_the_method():
    layer = layers.BatchNormalization(renorm=False, renorm_clipping=None, renorm_momentum=0.99)
    assert "renorm" not in layer.get_config()
    with pytest.raises(ValueError, match="batch renormalisation is not there"):
        layers.BatchNormalization(renorm=True)
