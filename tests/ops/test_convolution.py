"""Convolutions and pooling as users call them: errors that say what does not fit, sizes left open,
what is computed in the same step, the same bits on any number of threads, files and loops.

What each row computes stands in row_table.py.
"""

import numpy as np
import pytest

import fastnn
import windows
from fastnn import ShapeError, _core, ops

NAN = np.nan


def values(tensor):
    return np.asarray(tensor)


def normal(rng, *shape):
    return rng.normal(size=shape).astype("f")


# ---- what does not fit -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda x, w: ops.conv(x[0], w), r"conv: inputs are \(6, 5, 4\).*|kernel"),
        (lambda x, w: ops.conv(x, w[0]), "kernel is .*for inputs of 4 axes"),
        (lambda x, w: ops.conv(x, w[:, :, :3]), "have 4 channels, kernel .* is for 3"),
        (lambda x, w: ops.conv(x[:, :2], w), "window of 3 .* more than the 2 of axis 1"),
        (lambda x, w: ops.conv(x, w, dilation_rate=3), "spans 7, more than the 6"),
        (lambda x, w: ops.conv(x, w, strides=0), "strides is 0"),
        (lambda x, w: ops.conv(x, w, strides=(1, -1)), r"strides is \(1, -1\)"),
        (lambda x, w: ops.conv(x, w, strides=(1, 1, 1)), "for 2 spatial axes"),
        (lambda x, w: ops.conv(x, w, strides=(1.5, 1)), "for 2 spatial axes"),
        (lambda x, w: ops.unfold(x, 1.5), "for 2 spatial axes"),
        (lambda x, w: ops.conv(x, w[:, :, :2, :5]), "2 groups do not divide 5 filters"),
        (lambda x, w: ops.depthwise_conv(x, w[:, :, :3]), "have 4 channels, kernel .* is for 3"),
        (lambda x, w: ops.conv_transpose(x, w), "have 4 channels, kernel .* is for 6"),
        (lambda x, w: ops.max_pool(x, 7), "window of 7 .* more than the 6"),
        (lambda x, w: ops.max_pool(x, 0), "pool_size is 0"),
        (lambda x, w: ops.max_pool(x, 2, padding=[(2, 0), (0, 0)]), "windows of padding alone"),
        (lambda x, w: ops.average_pool(x, (2, 2, 2)), "for 2 spatial axes"),
        (lambda x, w: _core.ops.conv(x, w, groups=0), "groups is 0"),
        (lambda x, w: _core.ops.conv(x, w, strides=(0,)), "strides .* has 0"),
        (lambda x, w: _core.ops.conv(x, w, padding=(1, 1, 1)), "for 2 spatial axes"),
        (lambda x, w: _core.ops.conv(x, w, padding=(1, 1, 1, -2)), "negative"),
        (lambda x, w: _core.ops.conv_input_grad(x, w, size=(8, 8)), "dy .* has 4 channels"),
        (
            lambda x, w: _core.ops.conv_input_grad(x, w[..., :4], size=(9, 7)),
            "takes .7, 5. places",
        ),
        (
            lambda x, w: _core.ops.conv_weight_grad(x, np.ones((3, 4, 3, 6)), kernel=(3, 3)),
            "x is .2, 6, 5, 4. and dy is .3, 4, 3, 6.",
        ),
    ],
)
def test_what_does_not_fit_is_said_with_sizes_and_a_hint(call, said, rng):
    with pytest.raises(ShapeError, match=rf"(?s){said}.*\n  hint: "):
        call(normal(rng, 2, 6, 5, 4), normal(rng, 3, 3, 4, 6))


def test_a_word_that_is_no_padding_is_refused():
    with pytest.raises(ValueError, match="padding='full'"):
        ops.conv(np.ones((1, 4, 4, 1)), np.ones((2, 2, 1, 1)), padding="full")


# ---- what is chosen ----------------------------------------------------------------------------


def test_nan_is_the_largest_and_of_equals_the_first_is_chosen():
    x = np.array([[1, 1], [NAN, 2], [3, NAN], [3, 3], [-np.inf, 7], [-np.inf, 7]], "f")
    best, indices = (values(t) for t in _core.ops.max_pool(x[None], window=2, strides=2))
    assert np.array_equal(best[0], [[NAN, 2], [3, NAN], [-np.inf, 7]], equal_nan=True)
    assert indices[0].tolist() == [[1, 1], [0, 0], [0, 0]]


def test_padding_is_never_the_largest_and_never_counted():
    x = np.full((1, 3, 3, 1), -5, "f")
    assert (values(ops.max_pool(x, 2, padding="same")) == -5).all()
    assert (values(ops.average_pool(x, 2, padding="same")) == -5).all()


def test_channels_first_is_the_same_image_transposed(rng):
    x, w = normal(rng, 2, 7, 6, 4), normal(rng, 3, 3, 4, 5)
    first = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    for call in (
        lambda x, **k: ops.conv(x, w, padding="same", **k),
        lambda x, **k: ops.max_pool(x, 2, **k),
        lambda x, **k: ops.adaptive_average_pool(x, (3, 4), **k),
    ):
        y = values(call(x, data_format="channels_last"))
        z = values(call(first, data_format="channels_first"))
        assert np.array_equal(z, y.transpose(0, 3, 1, 2))


@pytest.mark.parametrize(("n", "out"), [(6, 3), (7, 3), (6, 7), (1, 3), (5, 5), (10, 4)])
def test_adaptive_windows_reach_from_floor_to_ceil(n, out, rng):
    x = normal(rng, 2, n, 3)
    parts = [x[:, i * n // out : -(-(i + 1) * n // out)] for i in range(out)]
    wanted = np.stack([p.max(1) for p in parts], 1)
    assert np.array_equal(values(ops.adaptive_max_pool(x, out)), wanted)
    wanted = np.stack([p.mean(1) for p in parts], 1)
    assert np.allclose(values(ops.adaptive_average_pool(x, out)), wanted, atol=1e-6)


def test_an_integer_image_and_a_stored_one_are_convolved_as_floats(rng):
    x = rng.integers(0, 255, (1, 6, 6, 3))
    w = normal(rng, 3, 3, 3, 2)
    wanted = values(ops.conv(x.astype("f"), w))
    assert np.array_equal(values(ops.conv(x.astype("i4"), w)), wanted)
    assert np.array_equal(values(ops.conv(x.astype("u1"), w)), wanted)


# ---- as part of a program ------------------------------------------------------------------------


def network(x, w, v, b):
    """Convolution, bias, relu, residual, pooling, depthwise convolution, transposed convolution."""
    y = ops.relu(ops.conv(x, w, padding="same") + b)
    y = y + ops.relu(ops.conv(y, v, padding="same", strides=1) + b)
    y = ops.max_pool(y, 2, padding="same")
    y = ops.depthwise_conv(y, ops.transpose(w, (0, 1, 3, 2)), padding="same", strides=2)
    return ops.conv_transpose(y, ops.reshape(v, (3, 3, 8, 8))[:, :, :, : y.shape[-1]], strides=2)


def operands(rng):
    return normal(rng, 3, 3, 1, 8), normal(rng, 3, 3, 8, 8) / 6, normal(rng, 8)


def test_open_sizes_take_any_image_and_their_gradients_too(rng):
    w, v, b = operands(rng)
    x = _core.placeholder((None, "high", "wide", 1))
    weight = _core.placeholder(w.shape)
    y = network(x, weight, v, b)
    loss = ops.sum(ops.sin(y))
    whole = _core.Function([x, weight], [y, *_core.gradients(loss, [x, weight])])
    for shape in [(2, 8, 9, 1), (1, 5, 5, 1), (3, 12, 7, 1)]:
        image = normal(rng, *shape)
        fixed, taps = _core.placeholder(shape), _core.placeholder(w.shape)
        z = network(fixed, taps, v, b)
        grads = _core.gradients(ops.sum(ops.sin(z)), [fixed, taps])
        wanted = _core.Function([fixed, taps], [z, *grads])(image, w)
        for got, want in zip(whole(image, w), wanted, strict=True):
            assert np.array_equal(values(got), values(want)), shape


def test_a_fused_program_agrees_with_one_op_at_a_time(rng):
    w, v, b = operands(rng)
    image = normal(rng, 2, 9, 8, 1)
    x = _core.placeholder(image.shape)
    got = values(_core.Function([x], [network(x, w, v, b)])(image))

    def now(tensor):
        return _core.tensor(values(tensor))

    y = now(ops.conv(image, w, padding="same"))
    y = now(ops.relu(now(y + b)))
    z = now(ops.conv(y, v, padding="same"))
    y = now(y + now(ops.relu(now(z + b))))
    y = now(ops.max_pool(y, 2, padding="same"))
    y = now(ops.depthwise_conv(y, ops.transpose(w, (0, 1, 3, 2)), padding="same", strides=2))
    y = now(ops.conv_transpose(y, v, strides=2))
    assert np.allclose(got, values(y), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "kernel", "options"),
    [
        ((4, 30, 31, 16), (3, 3, 16, 70), {"padding": "same"}),
        ((4, 30, 31, 16), (3, 3, 16, 24), {"strides": 2}),
        ((2, 14, 14, 128), (3, 3, 128, 128), {"padding": "same"}),
        ((3, 40, 40, 48), (1, 1, 48, 33), {}),
        ((4, 30, 31, 32), (3, 3, 1, 32), {"padding": "same"}),
        ((1, 4000, 3), (5, 3, 40), {"padding": "causal"}),
        ((4, 20, 20, 8), (3, 3, 4, 16), {"dilation_rate": 2}),
        ((2, 30, 29, 33), (3, 3, 33, 40), {"padding": "same"}),
        ((4, 20, 20, 180), (3, 3, 180, 180), {"padding": "same"}),
    ],
)
def test_the_same_bits_on_any_number_of_threads(shape, kernel, options, rng):
    image, taps = normal(rng, *shape), normal(rng, *kernel)
    x, w = _core.placeholder(shape), _core.placeholder(kernel)
    y = ops.conv(x, w, **options)
    pooled = ops.max_pool(y, 2, strides=1)
    mean = ops.average_pool(ops.relu(y), 3, strides=2, padding="same")
    loss = ops.sum(ops.square(pooled)) + ops.sum(mean)
    step = _core.Function([x, w], [y, mean, ops.sum(y, axis=0), *_core.gradients(loss, [x, w])])
    before, found = _core.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            _core.set_num_threads(threads)
            found.append([values(t).tobytes() for t in step(image, taps)])
    finally:
        _core.set_num_threads(before)
    assert found[0] == found[1] == found[2]


def test_a_loop_convolves_its_state(rng):
    w = normal(rng, 3, 3, 2, 2) / 5
    image = normal(rng, 1, 6, 6, 2)

    def turn(state, _):
        state = ops.max_pool(ops.tanh(ops.conv(state, w, padding="same")), 2, 1, "same")
        return state, ops.sum(state)

    last, sums = ops.scan(turn, _core.tensor(image), None, length=7)
    wanted = image
    for total in values(sums):
        wanted = values(ops.max_pool(ops.tanh(ops.conv(wanted, w, padding="same")), 2, 1, "same"))
        assert np.isclose(total, wanted.sum(), rtol=1e-4, atol=1e-5)
    assert np.allclose(values(last), wanted, atol=1e-6)


def test_a_model_of_these_ops_is_saved_and_loaded(rng, tmp_path):
    w, v, b = operands(rng)
    x = fastnn.Input((None, None, 1))
    model = fastnn.Model(x, network(x, w, v, b))
    image = normal(rng, 2, 9, 12, 1)
    wanted = model.predict(image, verbose=0)
    for name in ("m.safetensors", "m.keras"):
        model.save(tmp_path / name)
        again = fastnn.models.load_model(tmp_path / name)
        assert np.array_equal(again.predict(image, verbose=0), wanted)


def test_zeros_around_an_image_are_padding_and_transposes_cancel(rng):
    x, w = normal(rng, 2, 9, 8, 5), normal(rng, 3, 3, 5, 6)
    feed, taps = _core.placeholder(x.shape), _core.placeholder(w.shape)

    def program(y):
        return _core.Function(
            [feed, taps], [y, *_core.gradients(ops.sum(ops.sin(y)), [feed, taps])]
        )

    wide = ops.pad(feed, [(0, 0), (2, 1), (0, 1), (0, 0)])
    padded = program(ops.conv(wide, taps, strides=2, padding=[(1, 0), (0, 0)]))
    direct = program(ops.conv(feed, taps, strides=2, padding=[(3, 1), (0, 1)]))
    for got, wanted in zip(padded(x, w), direct(x, w), strict=True):
        assert np.array_equal(values(got), values(wanted))
    ones = ops.pad(feed, [(0, 0), (1, 1), (1, 1), (0, 0)], constant_values=1.0)
    wanted = windows.convolved(np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], constant_values=1), w,
                               (1, 1), (), (1, 1), 1)  # fmt: skip
    assert np.allclose(values(program(ops.conv(ones, taps))(x, w)[0]), wanted, atol=1e-5)
    first = ops.conv(ops.transpose(feed, (0, 3, 1, 2)), taps, data_format="channels_first")
    wanted = program(ops.conv(feed, taps))(x, w)
    got = program(ops.transpose(first, (0, 2, 3, 1)))(x, w)
    for a, b in zip(got, wanted, strict=True):
        assert np.array_equal(values(a), values(b))


# ---- accuracy ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "size", "channels", "filters"),
    [(2, 16, 16, 16), (1, 56, 64, 64), (2, 28, 128, 96), (2, 30, 32, 48), (3, 14, 256, 192)],
)
def test_the_largest_error_of_convolutions_by_tiles_is_bounded(n, size, channels, filters, rng):
    """Within 400 units of 2^-24 times the deviation of the result; the direct way has 60."""
    x, w = normal(rng, n, size, size, channels), normal(rng, 3, 3, channels, filters)
    dy = normal(rng, n, size, size, filters)
    wide = [a.astype("f8") for a in (x, w, dy)]
    options = ((1, 1), (-1,), (1, 1), 1)
    named = dict(zip(("strides", "padding", "dilation", "groups"), options, strict=True))
    shape = {"size": (size, size)}, {"kernel": (3, 3)}
    pairs = [
        (_core.ops.conv(x, w, **named), windows.convolved(wide[0], wide[1], *options), wide[:2]),
        (
            _core.ops.conv_input_grad(dy, w, **shape[0], **named),
            windows.convolved_back(wide[2], wide[1], (size, size), *options),
            (wide[2], wide[1]),
        ),
        (
            _core.ops.conv_weight_grad(x, dy, **shape[1], **named),
            windows.convolved_weights(wide[0], wide[2], (3, 3), *options),
            (wide[0], wide[2]),
        ),
    ]
    for got, wanted, (a, b) in pairs:
        terms = a[..., 0].size if wanted.shape == w.shape else 9 * a.shape[-1]
        norm = np.sqrt(terms) * np.sqrt(np.mean(a**2) * np.mean(b**2))
        assert np.abs(values(got) - wanted).max() <= 400 * 2.0**-24 * norm


def test_predictions_with_filters_transformed_beforehand_are_those_of_training(rng):
    x = fastnn.Input((24, 24, 20))
    y = fastnn.layers.Conv2D(33, 3, padding="same", activation="relu")(x)
    y = fastnn.layers.Conv2D(40, 1, use_bias=False)(y)
    model = fastnn.Model(x, fastnn.layers.Conv2D(24, 3)(y))
    image = normal(rng, 3, 24, 24, 20)
    once = model.predict(image, verbose=0)
    feed = _core.placeholder(image.shape)
    function = _core.Function([feed], [model(feed)])
    assert np.array_equal(once, values(function(image)))
    for variable in model.trainable_variables:  # what was prepared follows the weights
        variable.assign(variable * 2.0)
    again = model.predict(image, verbose=0)
    assert not np.array_equal(once, again)
    assert np.array_equal(again, values(_core.Function([feed], [model(feed)])(image)))


# ---- patches -----------------------------------------------------------------------------------


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_patches_are_the_windows_bit_by_bit(padding, rng):
    x = normal(rng, 2, 7, 8, 3)
    x[0, 0, 0] = NAN
    got = values(ops.image.extract_patches(x, (2, 3), strides=(2, 1), padding=padding))
    wide = np.pad(x, [(0, 0), (0, 1), (1, 1), (0, 0)]) if padding == "same" else x
    for row in range(got.shape[1]):
        for column in range(got.shape[2]):
            window = wide[:, 2 * row : 2 * row + 2, column : column + 3].reshape(2, -1)
            assert np.array_equal(got[:, row, column], window, equal_nan=True)
    first = ops.image.extract_patches(
        x.transpose(0, 3, 1, 2), (2, 3), (2, 1), padding=padding, data_format="channels_first"
    )
    assert np.array_equal(values(first).transpose(0, 2, 3, 1), got, equal_nan=True)
    assert ops.image.extract_patches_3d(np.ones((5, 6, 7, 2)), 2).shape == (2, 3, 3, 16)


def test_images_are_pulled_about_smoothly(rng):
    x = np.broadcast_to(np.arange(40.0, dtype="f")[:, None], (3, 40, 40))[..., None]
    pull = ops.image.elastic_transform
    moved = values(pull(x, alpha=8.0, sigma=4.0, seed=1)) - x
    inside = moved[:, 10:-10, 10:-10]
    # Of moves 8 * 4 * blurred normal numbers: the blur divides their spread by 2 * 4 * sqrt(pi).
    assert abs(inside.std() / (8.0 / (2 * np.sqrt(np.pi))) - 1) < 0.4
    assert np.abs(np.diff(inside, axis=1)).max() < 2.5
    assert np.array_equal(values(pull(x, seed=1)), values(pull(x, seed=1)))
    assert not np.array_equal(values(pull(x, seed=1)), values(pull(x, seed=2)))
    first = values(pull(np.moveaxis(x, -1, 1), seed=1, data_format="channels_first"))
    assert np.array_equal(np.moveaxis(first, 1, -1), values(pull(x, seed=1)))
    assert pull(x[0], seed=1).shape == (40, 40, 1)
    assert values(pull(x, alpha=1e6, fill_mode="constant", fill_value=-7.0, seed=1)).min() == -7.0
    i = fastnn.Input((None, None, 1))
    model = fastnn.Model(i, pull(i, seed=1))
    assert np.array_equal(model.predict(x, verbose=0), values(pull(x, seed=1)))
    with pytest.raises(ValueError, match="sigma is 0"):
        pull(x, sigma=0)


def test_edges_are_those_of_sobel(rng):
    x = normal(rng, 1, 5, 6, 2)
    down, across = (values(ops.image.sobel_edges(x))[..., i] for i in range(2))
    wide = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    smooth = wide[:, :, :-2] + 2 * wide[:, :, 1:-1] + wide[:, :, 2:]
    assert np.allclose(down, smooth[:, 2:] - smooth[:, :-2], atol=1e-5)
    smooth = wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]
    assert np.allclose(across, smooth[:, :, 2:] - smooth[:, :, :-2], atol=1e-5)
