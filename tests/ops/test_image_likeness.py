"""`ops.image.ssim`, `resize` and `scale_and_translate` against loops and products in NumPy."""

import numpy as np
import pytest

import fastnn
from fastnn.ops import image, resampling

RNG = np.random.default_rng(0)


def by_windows(x, y, size, sigma, top):
    """The similarity of two channels, window by window, in float64."""
    at = np.arange(size) - (size - 1) / 2
    bell = np.exp(-(at**2) / (2 * sigma**2))
    weight = np.outer(bell, bell) / bell.sum() ** 2
    found = []
    for r in range(x.shape[0] - size + 1):
        for c in range(x.shape[1] - size + 1):
            a, b = x[r : r + size, c : c + size], y[r : r + size, c : c + size]
            ma, mb = (weight * a).sum(), (weight * b).sum()
            va, vb = (weight * (a - ma) ** 2).sum(), (weight * (b - mb) ** 2).sum()
            both = (weight * (a - ma) * (b - mb)).sum()
            c1, c2 = (0.01 * top) ** 2, (0.03 * top) ** 2
            found.append(
                (2 * ma * mb + c1) * (2 * both + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
            )
    return np.mean(found)


@pytest.mark.parametrize(("size", "sigma", "top"), [(11, 1.5, 1.0), (4, 0.8, 255.0)])
def test_similarity_is_that_of_each_window(size, sigma, top):
    x, y = (RNG.random((2, 14, 12, 2)) * top for _ in "xy")
    y = 0.7 * x + 0.3 * y
    wanted = [
        np.mean([by_windows(x[i, ..., c], y[i, ..., c], size, sigma, top) for c in (0, 1)])
        for i in (0, 1)
    ]
    np.testing.assert_allclose(image.ssim(x, y, top, size, sigma).numpy(), wanted, rtol=2e-3)
    first = [v.transpose(0, 3, 1, 2) for v in (x, y)]
    found = image.ssim(*first, top, size, sigma, data_format="channels_first")
    np.testing.assert_allclose(found.numpy(), wanted, rtol=2e-3)
    one = image.ssim(x[0], y[0], top, size, sigma)
    assert one.shape == ()
    assert float(one) == pytest.approx(wanted[0], rel=2e-3)
    np.testing.assert_allclose(image.ssim(x, x, top, size, sigma).numpy(), 1.0, rtol=1e-5)


def test_what_cannot_be_compared_is_refused():
    x = np.zeros((1, 12, 12, 1))
    for bad in ((x, x[:, :11]), (x[0, ..., 0], x[0, ..., 0]), (x, x, 1.0, 13)):
        with pytest.raises(fastnn.ShapeError, match="hint:"):
            image.ssim(*bad)


def between(x, at):
    """Linear interpolation of a row at places between pixels; 0 outside."""
    inside = np.interp(at, np.arange(len(x)), x)
    return np.where((at < -0.5) | (at > len(x) - 0.5), 0.0, inside)


def test_rows_are_scaled_and_moved():
    x = RNG.random((3, 7))
    for scale, move in ((1.0, 0.0), (2.0, 1.5), (1.0, -2.25), (3.0, 0.5)):
        at = (np.arange(12) + 0.5 - move) / scale - 0.5
        wanted = np.stack([between(row, at) for row in x])
        found = image.scale_and_translate(x, (3, 12), [scale], [move], (1,), "linear")
        np.testing.assert_allclose(found.numpy(), wanted, atol=1e-5)
    halves = image.scale_and_translate(x[:, :6], (3, 3), [0.5], [0.0], (1,), "linear", False)
    np.testing.assert_allclose(halves.numpy(), (x[:, 0:6:2] + x[:, 1:6:2]) / 2, atol=1e-5)


def test_scales_and_moves_can_be_learnt():
    x = RNG.random((5, 6)).astype("f")

    def loss(settings):
        out = image.scale_and_translate(x, (5, 6), settings[:2], settings[2:], (0, 1), "cubic")
        return fastnn.ops.sum(out * weights)

    weights = RNG.random((5, 6)).astype("f")
    start, step = np.array([1.1, 1.2, 0.3, -0.4]), np.array([0.3, -0.2, 0.5, 0.7])
    gradient = fastnn.grad(loss)(start.astype("f")).numpy()
    ends = [float(loss((start + s * 1e-2 * step).astype("f"))) for s in (1, -1)]
    assert float(gradient @ step) == pytest.approx((ends[0] - ends[1]) / 2e-2, rel=2e-2)


def test_what_cannot_be_moved_is_refused():
    x = np.zeros((4, 4))
    with pytest.raises(ValueError, match="Expected of one"):
        image.scale_and_translate(x, (4, 4), [1], [0], (0,), "nearest")
    for shape, scale, dims in (((4, 5), [1], (0,)), ((4,), [1], (0,)), ((4, 4), [1, 1], (0,))):
        with pytest.raises(fastnn.ShapeError, match="hint:"):
            image.scale_and_translate(x, shape, scale, [0], dims, "linear")


@pytest.mark.parametrize("kind", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    "sizes", [(8, 9, 4, 5), (7, 6, 7, 3), (5, 3, 1, 1), (12, 1, 5, 1), (4, 5, 9, 2)]
)
def test_resized_images_are_products_with_the_weights_and_so_are_their_gradients(sizes, kind):
    high, wide, to_high, to_wide = sizes
    x = RNG.standard_normal((2, high, wide, 3)).astype(np.float32)
    dy = RNG.standard_normal((2, to_high, to_wide, 3)).astype(np.float32)
    down, across = resampling.weights(high, to_high, kind), resampling.weights(wide, to_wide, kind)
    resize = lambda x: image.resize(x, (to_high, to_wide), interpolation=kind)  # noqa: E731
    want = np.einsum("ih,bhwc,jw->bijc", down, x, across)
    np.testing.assert_allclose(fastnn.jit(resize)(x), want, atol=2e-6)
    slope = fastnn.jit(fastnn.grad(lambda x, dy: fastnn.ops.sum(resize(x) * dy)))(x, dy)
    want = np.einsum("ih,bijc,jw->bhwc", down, dy, across)
    np.testing.assert_allclose(slope, want, atol=2e-6)


def _weights(size, new, kind, antialias):
    if kind == "nearest":
        return np.eye(size)[(2 * np.arange(new) + 1) * size // (2 * new)]
    return resampling.weights(size, new, kind, antialias).astype(np.float64)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6, 8, 17, 40])
@pytest.mark.parametrize("kind", ["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"])
def test_every_way_of_resizing_is_a_product_with_its_weights(kind, channels):
    for size, new in (((9, 7), (4, 20)), ((5, 6), (11, 13)), ((8, 8), (16, 16)), ((12, 1), (6, 5))):
        for antialias in (False, True) if kind != "nearest" else (False,):
            x = RNG.standard_normal((2, *size, channels)).astype(np.float32)
            dy = RNG.standard_normal((2, *new, channels)).astype(np.float32)
            down, across = (_weights(*n, kind, antialias) for n in zip(size, new, strict=True))
            want = np.einsum("ih,bhwc,jw->bijc", down, x, across)
            slope = np.einsum("ih,bijc,jw->bhwc", down, dy, across)
            for form, axes in (("channels_last", (0, 1, 2, 3)), ("channels_first", (0, 3, 1, 2))):
                resize = lambda x: image.resize(x, new, kind, antialias, data_format=form)  # noqa: E731, B023
                laid = np.ascontiguousarray(x.transpose(axes))
                np.testing.assert_allclose(resize(laid), want.transpose(axes), atol=4e-6)
                along = lambda x, dy: fastnn.ops.sum(resize(x) * dy)  # noqa: E731, B023
                back = fastnn.grad(along)(laid, np.ascontiguousarray(dy.transpose(axes)))
                np.testing.assert_allclose(back, slope.transpose(axes), atol=2e-5)


def test_the_gradient_of_a_resizing_s_gradient_is_the_resizing():
    x, dy = RNG.standard_normal((1, 5, 4, 3)), RNG.standard_normal((1, 9, 7, 3))
    x, dy = x.astype(np.float32), dy.astype(np.float32)
    inner = fastnn.grad(lambda x, dy: fastnn.ops.sum(image.resize(x, (9, 7), "bicubic") * dy))
    outer = fastnn.grad(lambda dy, x, z: fastnn.ops.sum(inner(x, dy) * z))
    np.testing.assert_allclose(outer(dy, x, x), image.resize(x, (9, 7), "bicubic"), atol=2e-6)


def test_resized_images_have_the_same_bits_on_any_number_of_threads():
    before = fastnn.get_num_threads()
    try:
        for size, new, channels in ((40, 90, 3), (90, 40, 3), (30, 60, 32), (61, 45, 1)):
            x = RNG.standard_normal((3, size, size, channels)).astype(np.float32)
            dy = RNG.standard_normal((3, new, new, channels)).astype(np.float32)
            both = fastnn.value_and_grad(
                lambda x, dy: fastnn.ops.sum(image.resize(x, (dy.shape[1],) * 2) * dy)
            )
            found = set()
            for threads in (1, 2, 3):
                fastnn.set_num_threads(threads)
                found.add(
                    image.resize(x, (new, new)).numpy().tobytes() + both(x, dy)[1].numpy().tobytes()
                )
            assert len(found) == 1
    finally:
        fastnn.set_num_threads(before)


@pytest.mark.parametrize("shape", [(0, 4, 5, 3), (2, 4, 5, 0)])
def test_no_images_are_resized_to_none(shape):
    assert image.resize(np.zeros(shape, np.float32), (3, 9)).shape == (shape[0], 3, 9, shape[3])


def test_enlarged_images_repeat_or_blend_and_keep_the_type_of_whole_numbers():
    x = np.arange(12, dtype=np.int32).reshape(1, 2, 3, 2)
    twice = x.repeat(2, 1).repeat(3, 2)
    up = fastnn.layers.UpSampling2D((2, 3))
    assert up(x).numpy().tolist() == twice.tolist()
    assert up(x.astype(np.float32)).numpy().tolist() == twice.tolist()
    blended = fastnn.layers.UpSampling2D((2, 3), interpolation="bilinear")(x.astype(np.float32))
    np.testing.assert_allclose(blended, image.resize(x, (4, 9)), atol=1e-6)


def test_what_is_not_finite_stays_where_smaller_images_see_it():
    x = np.ones((1, 9, 6, 1), np.float32)
    x[0, 2, 3], x[0, 8, 0] = np.nan, np.inf
    y = image.resize(x, (5, 6)).numpy()[0, ..., 0]
    # Rows stand at 0.4, 2.2, 4, 5.8 and 7.6 of nine; columns are kept.
    assert np.argwhere(np.isnan(y)).tolist() == [[1, 3]]
    assert np.argwhere(np.isinf(y)).tolist() == [[4, 0]]
    assert np.allclose(y[np.isfinite(y)], 1)
