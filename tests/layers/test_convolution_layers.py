"""Convolutional and pooling layers: shapes, numbers, files, and what they refuse."""

import itertools

import numpy as np
import pytest

import fastnn
from fastnn import layers


def by_hand(x, kernel, strides, padding, dilation, groups=1):
    """A convolution of any number of axes, window by window; channels last."""
    rank = kernel.ndim - 2
    spans = [(k - 1) * dilation + 1 for k in kernel.shape[:rank]]
    if padding == "same":
        sides = []
        for n, span in zip(x.shape[1:-1], spans, strict=True):
            total = max((-(-n // strides) - 1) * strides + span - n, 0)
            sides.append((total // 2, total - total // 2))
        x = np.pad(x, [(0, 0), *sides, (0, 0)])
    elif padding == "causal":
        x = np.pad(x, [(0, 0), (spans[0] - 1, 0), (0, 0)])
    places = [range(0, n - s + 1, strides) for n, s in zip(x.shape[1:-1], spans, strict=True)]
    out = np.zeros((len(x), *(len(p) for p in places), kernel.shape[-1]))
    per, filters = kernel.shape[-2], kernel.shape[-1] // groups
    for at in itertools.product(*(enumerate(p) for p in places)):
        window = x[(slice(None), *(slice(p, p + s, dilation) for (_, p), s in zip(
            at, spans, strict=True)))]  # fmt: skip
        for g in range(groups):
            part = window[..., g * per : (g + 1) * per]
            w = kernel[..., g * filters : (g + 1) * filters]
            axes = list(range(1, rank + 2)), list(range(rank + 1))
            value = np.tensordot(part, w, axes)
            out[(slice(None), *(i for i, _ in at), slice(g * filters, (g + 1) * filters))] = value
    return out


def first(x):
    return np.moveaxis(x, -1, 1)


SHAPES = {1: (2, 11, 4), 2: (2, 7, 6, 4), 3: (2, 5, 4, 6, 4)}
CONV = {1: layers.Conv1D, 2: layers.Conv2D, 3: layers.Conv3D}
WINDOWS = [
    (rank, padding, strides, dilation, groups)
    for rank, padding, (strides, dilation), groups in itertools.product(
        (1, 2, 3), ("valid", "same", "causal"), ((1, 1), (2, 1), (1, 2)), (1, 2)
    )
    if padding != "causal" or rank == 1
]


@pytest.mark.parametrize(("rank", "padding", "strides", "dilation", "groups"), WINDOWS)
def test_convolution_is_what_it_is_by_hand(rank, padding, strides, dilation, groups):
    fastnn.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=SHAPES[rank]).astype(np.float32)
    how = dict(
        strides=strides, padding=padding, dilation_rate=dilation, groups=groups,
        bias_initializer="normal", activation="relu",
    )  # fmt: skip
    layer = CONV[rank](6, 3 if rank < 3 else 2, **how)
    out = layer(x).numpy()
    kernel, bias = (w.numpy() for w in layer.weights)
    want = np.maximum(by_hand(x, kernel, strides, padding, dilation, groups) + bias, 0)
    np.testing.assert_allclose(out, want, atol=2e-5)
    assert out.shape == layer.compute_output_shape(x.shape)
    if padding != "causal":
        other = CONV[rank](6, layer.kernel_size, data_format="channels_first", **how)
        other.build(first(x).shape)
        other.set_weights([kernel, bias])
        np.testing.assert_allclose(other(first(x)).numpy(), first(want), atol=2e-5)
        assert other.compute_output_shape(first(x).shape) == first(want).shape


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [1, 2])
def test_depthwise_and_separable_convolutions_go_channel_by_channel(padding, strides):
    x = np.random.default_rng(1).normal(size=(2, 7, 6, 3)).astype(np.float32)
    deep = layers.DepthwiseConv2D(3, strides, padding, depth_multiplier=2)
    out = deep(x).numpy()
    kernel = deep.kernel.numpy()
    want = np.concatenate(
        [
            by_hand(x[..., c : c + 1], kernel[:, :, c : c + 1], strides, padding, 1)
            for c in range(3)
        ],
        axis=-1,
    )
    np.testing.assert_allclose(out, want, atol=1e-5)
    assert [w.shape for w in deep.weights] == [(3, 3, 3, 2), (6,)]
    both = layers.SeparableConv2D(5, 3, strides, padding, depth_multiplier=2, use_bias=False)
    both.build(x.shape)
    both.set_weights([kernel, both.pointwise_kernel.numpy()])
    np.testing.assert_allclose(
        both(x).numpy(), want @ both.pointwise_kernel.numpy()[0, 0], atol=1e-5
    )
    flat = layers.SeparableConv1D(4, 3, padding="same")
    assert flat(np.zeros((2, 9, 3))).shape == (2, 9, 4)
    assert layers.DepthwiseConv1D(3)(np.zeros((2, 9, 3))).shape == (2, 7, 3)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [1, 2])
def test_a_transposed_convolution_is_the_way_back_of_one(rank, padding, strides):
    cls = {1: layers.Conv1DTranspose, 2: layers.Conv2DTranspose, 3: layers.Conv3DTranspose}[rank]
    layer = cls(3, 3, strides=strides, padding=padding, use_bias=False)
    y = np.random.default_rng(2).normal(size=(1, *(4,) * rank, 2)).astype(np.float32)
    out = layer(y).numpy()
    assert out.shape == layer.compute_output_shape(y.shape)
    x = np.random.default_rng(3).normal(size=out.shape)
    kernel = layer.kernel.numpy()
    there = by_hand(x, kernel, strides, padding, 1)
    assert there.shape == y.shape
    np.testing.assert_allclose((there * y).sum(), (x * out).sum(), rtol=1e-4)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_pooling_is_what_it_is_by_hand(rank, padding):
    x = np.random.default_rng(4).normal(size=(2, *(7,) * rank, 3)).astype(np.float32)
    filled = {"Max": -np.inf, "Average": np.nan}
    for kind, value in filled.items():
        layer = getattr(layers, f"{kind}Pooling{rank}D")(3, 2, padding)
        wide = x.astype(float)
        if padding == "same":
            wide = np.pad(wide, [(0, 0), *[(1, 1)] * rank, (0, 0)], constant_values=value)
        view = np.lib.stride_tricks.sliding_window_view(
            wide, (3,) * rank, tuple(range(1, rank + 1))
        )[(slice(None), *(slice(None, None, 2),) * rank)]
        inner = tuple(range(-rank, 0))
        want = view.max(inner) if kind == "Max" else np.nanmean(view, inner)
        np.testing.assert_allclose(layer(x).numpy(), want, atol=1e-5)
        assert layer.compute_output_shape(x.shape) == want.shape
        other = type(layer)(3, 2, padding, data_format="channels_first")
        np.testing.assert_allclose(other(first(x)).numpy(), first(want), atol=1e-5)
        spatial = tuple(range(1, rank + 1))
        whole = getattr(layers, f"Global{kind}Pooling{rank}D")(keepdims=True)
        want = (x.max if kind == "Max" else x.mean)(spatial, keepdims=True)
        np.testing.assert_allclose(whole(x).numpy(), want, atol=1e-5)
        assert whole.compute_output_shape(x.shape) == want.shape
        few = getattr(layers, f"Adaptive{kind}Pooling{rank}D")(2)
        assert few(x).shape == few.compute_output_shape(x.shape) == (2, *(2,) * rank, 3)
        corner = x[(slice(None), *(slice(4),) * rank)]
        want = (corner.max if kind == "Max" else corner.mean)(spatial)
        np.testing.assert_allclose(few(x).numpy()[(slice(None), *(0,) * rank)], want, atol=1e-5)


def test_steps_that_are_masked_do_not_count_in_the_mean():
    x = np.array([[[2.0], [4.0], [9.0]]])
    layer = layers.GlobalAveragePooling1D()
    assert layer(x, mask=np.array([[True, True, False]])).numpy().tolist() == [[3.0]]
    masked = fastnn.Sequential([layers.Masking(9.0), layer])
    assert masked(x).numpy().tolist() == [[3.0]]


def test_a_mean_of_no_steps_is_zero():
    x = np.array([[[2.0], [4.0]], [[0.0], [0.0]]])
    for layout, values in (("channels_last", x), ("channels_first", x.transpose(0, 2, 1))):
        layer = layers.GlobalAveragePooling1D(layout)
        means = layer(values, mask=np.array([[True, True], [False, False]]))
        assert means.numpy().tolist() == [[3.0], [0.0]]
    padded = fastnn.Sequential(
        [fastnn.Input((2, 1)), layers.Masking(), layers.GlobalAveragePooling1D(), layers.Dense(1)]
    )
    padded.compile("sgd", "mse")
    assert np.isfinite(padded.fit(x, np.ones((2, 1)), verbose=0).history["loss"]).all()


@pytest.mark.parametrize("shape", [(None, None, 3), (12, None, 3)])
def test_images_of_any_size_share_a_model(shape):
    model = fastnn.Sequential(
        [
            fastnn.Input(shape),
            layers.Conv2D(4, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(5, 3, padding="same", strides=2),
            layers.GlobalAveragePooling2D(),
        ]
    )
    assert model.output_shape == (None, 5)
    for side in (9, 14):
        x = np.random.default_rng(side).normal(size=(2, shape[0] or side, side, 3))
        whole = model.predict(x, verbose=0)
        np.testing.assert_allclose(model(x).numpy(), whole, atol=1e-6)
    with pytest.raises(ValueError, match="hint"):
        model.predict(np.zeros((1, shape[0] or 2, 2, 3)), verbose=0)


@pytest.mark.parametrize("ending", ["keras", "h5", "weights.h5", "safetensors"])
def test_files_keep_convolutional_models(tmp_path, ending):
    def fresh():
        return fastnn.Sequential(
            [
                fastnn.Input((10, 10, 3)),
                layers.Conv2D(4, 3, strides=2, padding="same", groups=1),
                layers.BatchNormalization(),
                layers.DepthwiseConv2D(3, depth_multiplier=2),
                layers.SeparableConv2D(6, 2, activation="relu"),
                layers.Conv2DTranspose(3, 3, strides=2, output_padding=1),
                layers.ZeroPadding2D(1),
                layers.AveragePooling2D(2),
                layers.GlobalMaxPooling2D(),
            ]
        )

    model, x = fresh(), np.random.default_rng(5).normal(size=(2, 10, 10, 3))
    path = tmp_path / f"m.{ending}"
    if ending == "weights.h5":
        model.save_weights(path)
        again = fresh()
        again.load_weights(path)
    else:
        model.save(path)
        again = fastnn.models.load_model(path)
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    names = [w.path.split("/")[-1] for w in again.layers[3].weights]
    assert names == ["depthwise_kernel", "pointwise_kernel", "bias"]


def test_layers_of_three_dimensions_move_what_they_say():
    x = np.arange(2 * 3 * 4 * 2.0).reshape(1, 2, 3, 4, 2)
    padded = layers.ZeroPadding3D(((0, 1), (1, 0), (2, 2)))(x).numpy()
    assert padded.shape == (1, 3, 4, 8, 2)
    np.testing.assert_array_equal(layers.Cropping3D(((0, 1), (1, 0), (2, 2)))(padded).numpy(), x)
    wide = layers.UpSampling3D((2, 1, 3))(x).numpy()
    np.testing.assert_array_equal(wide, x.repeat(2, 1).repeat(3, 3))
    turned = layers.UpSampling3D((2, 1, 3), data_format="channels_first")(first(x)).numpy()
    np.testing.assert_array_equal(turned, first(wide))
    dropped = layers.SpatialDropout3D(0.5, seed=1)(np.ones((3, 2, 2, 2, 8)), training=True).numpy()
    assert set(np.unique(dropped)) == {0.0, 2.0}
    assert (dropped == dropped[:, :1, :1, :1]).all()


def test_spectral_normalisation_brings_the_largest_singular_value_to_one():
    fastnn.utils.set_random_seed(0)
    inner = layers.Conv2D(6, 3)
    model = fastnn.Sequential(
        [fastnn.Input((6, 6, 2)), layers.SpectralNormalization(inner, power_iterations=4)]
    )
    model.compile(fastnn.optimizers.SGD(0.0), "mse")
    x, y = np.ones((4, 6, 6, 2)), np.ones((4, 4, 4, 6))
    for _ in range(4):
        model.train_on_batch(x, y)
    largest = np.linalg.svd(inner.kernel.numpy().reshape(-1, 6))[1][0]
    assert largest == pytest.approx(1.0, abs=1e-3)
    before = inner.kernel.numpy()
    model.predict(x, verbose=0)
    np.testing.assert_array_equal(inner.kernel.numpy(), before)


def test_a_small_network_learns():
    fastnn.utils.set_random_seed(0)
    (x, y), _ = fastnn.datasets.digits.load_data()
    x = x[..., None] / 16.0
    model = fastnn.Sequential(
        [
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.GlobalMaxPooling2D(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(fastnn.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["acc"])
    history = model.fit(x, y, epochs=5, batch_size=64, verbose=0).history
    assert history["acc"][-1] > 0.95


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda: layers.Conv2D(0, 3), "strictly positive"),
        (lambda: layers.Conv2D(2.5, 3), "strictly positive"),
        (lambda: layers.Conv2D(2, 0), r"value > 0"),
        (lambda: layers.Conv2D(2, (3, 3, 3)), "tuple of 2 integers"),
        (lambda: layers.Conv2D(2, "3"), "tuple of 2 integers"),
        (lambda: layers.Conv2D(2, 3, strides=-1), r"value > 0"),
        (lambda: layers.Conv2D(2, 3, strides=2, dilation_rate=2), "not supported in conjunction"),
        (lambda: layers.Conv2D(5, 3, groups=2), "evenly divisible"),
        (lambda: layers.Conv2D(4, 3, groups=0), "positive integer"),
        (lambda: layers.Conv2D(4, 3, padding="causal"), "'valid', 'same'"),
        (lambda: layers.Conv2D(4, 3, padding="full"), "'valid', 'same'"),
        (lambda: layers.Conv2D(4, 3, data_format="first"), "channels_last"),
        (lambda: layers.Conv2DTranspose(4, 3, 2, output_padding=2), "strictly less"),
        (lambda: layers.DepthwiseConv2D(3, depth_multiplier=0), "depth_multiplier"),
        (lambda: layers.MaxPooling2D(0), "value > 0"),
        (lambda: layers.AdaptiveMaxPooling2D((2, 2, 2)), "tuple of 2 integers"),
    ],
)
def test_arguments_that_make_no_window_are_answered(make, wanted):
    with pytest.raises(ValueError, match=rf"(?s){wanted}.*hint: "):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "wanted"),
    [
        (layers.Conv2D(4, 5, name="c"), (1, 4, 8, 3), "layer 'c'"),
        (layers.Conv2D(4, 3, groups=2, name="c"), (1, 8, 8, 3), "layer 'c'"),
        (layers.Conv2D(4, 3, name="c"), (8, 8, 3), "layer 'c'"),
        (layers.MaxPooling2D(5, name="c"), (1, 4, 8, 3), "layer 'c'"),
        (layers.SeparableConv1D(4, 5, name="c"), (1, 4, 3), "layer 'c'"),
        (layers.GlobalMaxPooling2D(name="c"), (1, 4, 3), "layer 'c'"),
    ],
)
def test_inputs_that_do_not_fit_name_the_layer(layer, shape, wanted):
    with pytest.raises(ValueError, match=rf"(?s){wanted}.*hint: "):
        layer(np.zeros(shape))


def test_other_channels_than_before_are_refused():
    layer = layers.Conv2D(4, 3)
    layer(np.zeros((1, 8, 8, 3)))
    with pytest.raises(ValueError, match="hint"):
        layer(np.zeros((1, 8, 8, 4)))


def test_windows_of_pooling_are_of_two_by_default(rng):
    x = rng.normal(size=(1, 4, 6, 1))
    blocks = x.reshape(1, 2, 2, 3, 2, 1)
    assert np.asarray(layers.AveragePooling2D()(x)) == pytest.approx(blocks.mean((2, 4)), abs=1e-6)
    assert np.asarray(layers.MaxPooling2D()(x)) == pytest.approx(blocks.max((2, 4)), abs=1e-6)
