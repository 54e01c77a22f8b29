"""Layers that resize and change images: what they do, for whom, and that a seed repeats it."""

import numpy as np
import pytest

import fastnn
from fastnn import layers

X = np.random.default_rng(0).random((4, 8, 10, 3)).astype(np.float32) * 255

RANDOM = {
    "RandomFlip": {}, "RandomRotation": {"factor": 0.2}, "RandomZoom": {"height_factor": 0.3},
    "RandomTranslation": {"height_factor": 0.3, "width_factor": 0.3},
    "RandomShear": {"x_factor": 0.3, "y_factor": 0.2}, "RandomPerspective": {},
    "RandomContrast": {"factor": 0.5}, "RandomBrightness": {"factor": 0.5},
    "RandomErasing": {}, "RandomGrayscale": {}, "RandomInvert": {"factor": 0.5},
    "RandomHue": {"factor": 0.5}, "RandomSaturation": {"factor": (0.2, 0.9)},
    "RandomColorDegeneration": {"factor": 0.8}, "RandomPosterization": {"factor": (1, 4)},
    "RandomColorJitter": {"brightness_factor": 0.3, "contrast_factor": 0.3, "hue_factor": 0.1},
    "RandomSharpness": {"factor": 0.5}, "RandomGaussianBlur": {}, "RandomElasticTransform": {},
    "Solarization": {"addition_factor": 0.3, "threshold_factor": 0.5}, "MixUp": {}, "CutMix": {},
    "RandAugment": {}, "AugMix": {},
}  # fmt: skip


@pytest.mark.parametrize("name", RANDOM)
def test_images_change_in_training_only_and_a_seed_repeats_it(name):
    def made():
        return getattr(layers, name)(**RANDOM[name], seed=3)

    layer = made()
    np.testing.assert_array_equal(layer(X, training=False).numpy(), X)
    first, second = layer(X, training=True).numpy(), layer(X, training=True).numpy()
    assert first.shape == X.shape
    assert np.isfinite(first).all()
    assert not np.array_equal(first, X) or not np.array_equal(second, X)
    assert not np.array_equal(first, second)
    again = made()
    again(X, training=False)
    np.testing.assert_allclose(again(X, training=True).numpy(), first, atol=1e-4)
    copy = layers.deserialize(layers.serialize(layer))
    assert copy.get_config() == layer.get_config()


@pytest.mark.parametrize("name", ["RandAugment", "AugMix"])
def test_the_seed_of_the_process_repeats_what_layers_pick(name):
    seen = []
    for _ in range(2):
        fastnn.utils.set_random_seed(5)
        layer = getattr(layers, name)()
        seen.append([layer(X, training=True).numpy() for _ in range(4)])
    np.testing.assert_array_equal(seen[0], seen[1])


@pytest.mark.parametrize("name", [n for n in RANDOM if n != "AugMix"])
def test_channels_first_changes_images_in_the_same_way(name):
    last = getattr(layers, name)(**RANDOM[name], seed=3)
    other = getattr(layers, name)(**RANDOM[name], seed=3, data_format="channels_first")
    if name == "RandomErasing":  # noise is drawn in the shape of the images
        last.fill_value = other.fill_value = 7.0
    if name == "RandomElasticTransform":
        return
    want = last(X, training=True).numpy()
    got = np.moveaxis(other(np.moveaxis(X, -1, 1), training=True).numpy(), 1, -1)
    np.testing.assert_allclose(got, want, atol=2e-3)


@pytest.mark.parametrize("name", RANDOM)
def test_one_image_is_changed_too(name):
    layer = getattr(layers, name)(**RANDOM[name], seed=3)
    assert layer(X[0], training=True).shape == X[0].shape


@pytest.mark.parametrize("name", [n for n in RANDOM if n not in ("RandomElasticTransform",)])
def test_models_train_on_changed_images_and_predict_on_those_given(name):
    fastnn.utils.set_random_seed(0)
    model = fastnn.Sequential(
        [
            fastnn.Input((8, 10, 3)),
            getattr(layers, name)(**RANDOM[name], seed=1),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, kernel_initializer="identity", use_bias=False),
        ]
    )
    model.compile(fastnn.optimizers.SGD(0.0), "mse")
    model.fit(X, np.zeros((4, 3)), batch_size=3, verbose=0)
    np.testing.assert_allclose(model.predict(X, verbose=0), X.mean((1, 2)), rtol=1e-4)


def test_a_model_changes_images_at_every_call_that_does_not_say_that_it_is_no_training():
    model = fastnn.Sequential([fastnn.Input((8, 10, 3)), layers.RandomTranslation(0.5, 0.5)])
    for _ in range(3):
        assert not np.array_equal(model(X).numpy(), X)
    for _ in range(3):
        np.testing.assert_array_equal(model(X, training=False).numpy(), X)
    assert not np.array_equal(model(X).numpy(), X)
    np.testing.assert_array_equal(model.predict(X, verbose=0), X)


@pytest.mark.parametrize(
    "layer",
    [
        layers.RandomCrop(6, 7), layers.CenterCrop(6, 7),
        layers.Resizing(6, 7, crop_to_aspect_ratio=True),
        layers.Resizing(6, 7, pad_to_aspect_ratio=True, antialias=True),
        layers.AdaptiveAveragePooling2D((6, 7)),
    ],
)  # fmt: skip
def test_images_of_open_sizes_come_out_at_the_size_that_is_wanted(layer, rng):
    i = fastnn.Input((None, None, 3))
    inner = layer(i)
    model = fastnn.Model(i, layers.Dense(2)(layers.Flatten()(inner)))
    sized = fastnn.Model(i, inner)
    assert inner.shape == (None, 6, 7, 3)
    model.compile("sgd", "mse")
    for size in ((12, 9), (8, 16), (4, 30)):
        x = rng.random((4, *size, 3)).astype("f")
        want = layer(x, training=False).numpy()
        np.testing.assert_allclose(sized(x, training=False).numpy(), want, atol=1e-6)
        np.testing.assert_allclose(sized.predict(x, verbose=0), want, atol=1e-6)
        model.fit(x, np.zeros((4, 2)), verbose=0)


def test_a_flip_mirrors_whole_images():
    out = layers.RandomFlip("horizontal", seed=1)(np.repeat(X, 5, 0), training=True).numpy()
    flipped = [np.array_equal(o, x[:, ::-1]) for o, x in zip(out, np.repeat(X, 5, 0), strict=True)]
    same = [np.array_equal(o, x) for o, x in zip(out, np.repeat(X, 5, 0), strict=True)]
    assert all(a != b for a, b in zip(flipped, same, strict=True))
    assert 3 < sum(flipped) < 17


def test_a_quarter_turn_is_exact():
    square = X[:, :8, :8]
    out = layers.RandomRotation((0.25, 0.25))(square, training=True).numpy()
    np.testing.assert_allclose(out, np.rot90(square, 1, (1, 2)), atol=0.05)


def test_a_shift_by_whole_pixels_is_exact():
    layer = layers.RandomTranslation((0.25, 0.25), (-0.2, -0.2), fill_mode="constant")
    out = layer(X, training=True).numpy()
    want = np.zeros_like(X)
    want[:, 2:, :-2] = X[:, :-2, 2:]
    np.testing.assert_allclose(out, want, atol=1e-3)


def test_labels_and_masks_go_with_their_images():
    labels = np.eye(4, dtype=np.float32)
    for layer in (layers.MixUp(seed=2), layers.CutMix(seed=2)):
        coded = np.broadcast_to(np.eye(4)[:, None, None, :], (4, 8, 10, 4)).astype(np.float32)
        out = layer({"images": coded, "labels": labels}, training=True)
        shares = out["images"].numpy().mean((1, 2))
        if isinstance(layer, layers.MixUp):
            np.testing.assert_allclose(shares, out["labels"].numpy(), atol=1e-5)
        np.testing.assert_allclose(out["labels"].numpy().sum(1), 1, atol=1e-6)
    flip = layers.RandomFlip(seed=5)
    masks = (X[..., :1] > 100).astype(np.float32)
    out = flip({"images": X, "segmentation_masks": masks, "labels": labels}, training=True)
    moved = out["images"].numpy()[..., :1] > 100
    np.testing.assert_array_equal(moved, out["segmentation_masks"].numpy() > 0.5)
    np.testing.assert_array_equal(out["labels"].numpy(), labels)
    with pytest.raises(ValueError, match="bounding boxes"):
        flip({"images": X, "bounding_boxes": {}})
    with pytest.raises(ValueError, match="bounding boxes"):
        layers.RandomFlip(bounding_box_format="xyxy")


def test_sizes_are_what_was_asked_for():
    assert layers.Resizing(4, 5)(X).shape == (4, 4, 5, 3)
    assert layers.Resizing(4, 5).compute_output_shape((None, 9, 9, 3)) == (None, 4, 5, 3)
    small = layers.Resizing(4, 5, antialias=True)(X).numpy()
    np.testing.assert_allclose(small.mean(), X.mean(), rtol=0.02)
    np.testing.assert_array_equal(layers.CenterCrop(4, 6)(X).numpy(), X[:, 2:6, 2:8])
    assert layers.CenterCrop(20, 20)(X).shape == (4, 20, 20, 3)
    crop = layers.RandomCrop(3, 4, seed=1)
    out = crop(X, training=True).numpy()
    windows = np.lib.stride_tricks.sliding_window_view(X, (3, 4), (1, 2))
    found = (np.moveaxis(windows, 3, -1) == out[:, None, None]).all((0, 3, 4, 5))
    assert found.sum() == 1
    np.testing.assert_allclose(
        crop(X, training=False).numpy(), layers.Resizing(3, 4, crop_to_aspect_ratio=True)(X).numpy()
    )
    first = layers.Resizing(4, 5, data_format="channels_first")(np.moveaxis(X, -1, 1))
    np.testing.assert_allclose(
        np.moveaxis(first.numpy(), 1, -1), layers.Resizing(4, 5)(X).numpy(), atol=1e-4
    )


def test_wider_ranges_come_out_in_their_range():
    unit = X / 255
    for name in ("RandAugment", "RandomColorJitter", "RandomBrightness", "Solarization", "AugMix"):
        layer = getattr(layers, name)(**RANDOM[name], value_range=(0, 1), seed=4)
        out = layer(unit, training=True).numpy()
        assert out.min() >= -1e-5
        assert out.max() <= 1 + 1e-5


def test_equalised_images_use_all_levels():
    dull = np.round(X / 8 + 100)
    out = layers.Equalization()(dull, training=True).numpy()
    assert out.min() == 0
    assert out.max() == 255
    flat = np.full((1, 4, 4, 1), 9.0)
    np.testing.assert_array_equal(layers.Equalization()(flat).numpy(), flat)
    np.testing.assert_array_equal(layers.AutoContrast()(flat).numpy(), flat)


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.RandomRotation(2.0), lambda: layers.RandomRotation("a"),
        lambda: layers.RandomZoom((1, 2, 3)), lambda: layers.RandomTranslation(2, 0),
        lambda: layers.RandomShear(-1), lambda: layers.RandomContrast(2),
        lambda: layers.RandomBrightness((0, 5)), lambda: layers.RandomGrayscale(2),
        lambda: layers.RandomPosterization(9), lambda: layers.RandomFlip("diagonal"),
        lambda: layers.Resizing(0, 4), lambda: layers.Resizing(4, 4, interpolation="cubic"),
        lambda: layers.RandomBrightness(0.1, value_range=5), lambda: layers.CenterCrop(2, -1),
        lambda: layers.RandomGaussianBlur(kernel_size=2),
        lambda: layers.RandomErasing(fill_value=(1, 2)),
    ],
)  # fmt: skip
def test_settings_out_of_range_are_answered(make):
    with pytest.raises(ValueError, match="hint"):
        make()


def test_one_number_counts_to_both_sides_as_in_keras():
    shear = layers.RandomShear(0.3, (0.1, 0.2), seed=1)
    assert (shear.x_factor, shear.y_factor) == ((-0.3, 0.3), (0.1, 0.2))
    drawn = shear.get_random_transformation(np.zeros((200, 2, 2, 1)))["shear_factor"].numpy()
    alike = drawn[:, 0] * drawn[:, 1] > 0  # x and y to one side: not always
    assert 0.3 < alike.mean() < 0.7
    for make in (layers.RandomShear, layers.RandomSaturation, layers.RandomColorDegeneration):
        layer = make(0.3)
        assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()
    assert layers.RandomSaturation(0.3).factor == (-0.3, 0.3)
    assert layers.RandomColorDegeneration(0.3).factor == (-0.3, 0.3)
    with pytest.raises(ValueError, match="hint"):
        layers.RandomShear((-0.1, 0.2))


def test_other_words_are_answered():
    with pytest.raises(NotImplementedError, match="hint"):
        layers.RandomRotation(0.1, fill_mode="mirror")
    with pytest.raises(ValueError, match="rank 3 or 4"):
        layers.RandomFlip()(np.zeros((4, 4)))


@pytest.mark.parametrize("share", [0.05, 0.3, 1.0, 4.0])
def test_random_shares_have_their_distribution(share):
    g = fastnn.random.gamma((100_000,), share, seed=1).numpy()
    assert g.min() >= 0
    assert g.mean() == pytest.approx(share, rel=0.03)
    assert g.var() == pytest.approx(share, rel=0.08)
    b = fastnn.random.beta((100_000,), share, 2 * share, seed=2).numpy()
    assert b.min() >= 0
    assert b.max() <= 1
    assert b.mean() == pytest.approx(1 / 3, rel=0.03)
    want = 2 * share**2 / ((3 * share) ** 2 * (3 * share + 1))
    assert b.var() == pytest.approx(want, rel=0.05)


def test_masks_are_pulled_about_as_their_images_are():
    mask = np.round(X[..., :1] / 255.0)
    layer = layers.RandomElasticTransform(scale=1.0, interpolation="nearest", seed=2)
    out = layer({"images": mask * 200.0, "segmentation_masks": mask}, training=True)
    moved = out["segmentation_masks"].numpy()
    assert not np.array_equal(moved, mask)
    np.testing.assert_array_equal(out["images"].numpy(), moved * 200.0)


def clahe_by_definition(image, grid, limit):
    """One channel, 0 to 255: the tables of tiles, interpolated between the middles of tiles."""
    rows, columns = (-(-n // g) for n, g in zip(image.shape, grid, strict=True))
    room = [(0, t * g - n) for t, g, n in zip((rows, columns), grid, image.shape, strict=True)]
    levels = np.pad(image, room, "symmetric").astype(int)
    tables = np.zeros((*grid, 256))
    for i, j in np.ndindex(*grid):
        tile = levels[i * rows : (i + 1) * rows, j * columns : (j + 1) * columns]
        counts = np.bincount(tile.ravel(), minlength=256).astype(float)
        if limit:
            kept = np.minimum(counts, limit * tile.size / 256)
            counts = kept + (counts - kept).sum() / 256
        total = counts.cumsum()
        tables[i, j] = (total - total.min()) / (tile.size - total.min()) * 255

    def table(i, j):
        return tables[np.clip(i, 0, grid[0] - 1), np.clip(j, 0, grid[1] - 1)]

    out = np.zeros(image.shape)
    for y, x in np.ndindex(*image.shape):
        (i, v), (j, u) = (divmod(at / n - 0.5, 1) for at, n in ((y, rows), (x, columns)))
        i, j, level = int(i), int(j), levels[y, x]
        top = (1 - u) * table(i, j)[level] + u * table(i, j + 1)[level]
        low = (1 - u) * table(i + 1, j)[level] + u * table(i + 1, j + 1)[level]
        out[y, x] = (1 - v) * top + v * low
    return out


@pytest.mark.parametrize(("grid", "limit"), [((2, 2), 4.0), ((3, 4), 0.0), ((8, 8), 1.5)])
def test_contrast_is_equalised_tile_by_tile(grid, limit, rng):
    x = np.floor(rng.beta(2, 6, (2, 13, 17, 2)) * 256).astype("f")
    make = layers.ContrastLimitedAdaptiveHistogramEqualization
    layer = make(clip_limit=limit, tile_grid_size=grid)
    want = np.stack(
        [[clahe_by_definition(x[n, ..., c], grid, limit) for c in range(2)] for n in range(2)]
    )
    out = layer(x, training=False).numpy()
    np.testing.assert_allclose(out, np.moveaxis(want, 1, -1), atol=1e-3)
    first = make((0, 1), limit, grid, data_format="channels_first")
    np.testing.assert_allclose(first(np.moveaxis(x, -1, 1) / 255.0), want / 255.0, atol=1e-2)
    model = fastnn.Sequential([fastnn.Input((None, None, 2)), layer])
    np.testing.assert_allclose(model.predict(x, verbose=0), out, atol=1e-4)
    assert layer.get_config()["tile_grid_size"] in (grid, list(grid))


@pytest.mark.parametrize("grid", [8, (0, 2), (2.0, 2), (2, 2, 2)])
def test_grids_of_tiles_are_pairs_of_counts(grid):
    with pytest.raises(ValueError, match=r"tile_grid_size is .*\n  hint: "):
        layers.ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=grid)
