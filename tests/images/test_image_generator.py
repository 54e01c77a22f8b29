"""`ImageDataGenerator` changes pictures as it says, the same ones for a seed."""

import warnings

import numpy as np
import pytest
from PIL import Image

import fastnn
from fastnn.preprocessing import image as images
from fastnn.preprocessing.image import ImageDataGenerator, apply_affine_transform


def by_hand(x, at, mode, cval, order):
    """Each pixel from the point that `at` gives, one by one."""
    height, width, _ = x.shape

    def index(i, n):
        if mode == "reflect":
            i %= 2 * n
            return i if i < n else 2 * n - 1 - i
        return min(max(i, 0), n - 1)

    out = np.zeros(x.shape)
    for i in range(height):
        for j in range(width):
            r, c = at(i, j)
            if mode == "constant" and not (0 <= r <= height - 1 and 0 <= c <= width - 1):
                out[i, j] = cval
                continue
            if mode == "nearest":
                r, c = min(max(r, 0), height - 1), min(max(c, 0), width - 1)
            if order == 0:
                out[i, j] = x[index(int(np.floor(r + 0.5)), height),
                              index(int(np.floor(c + 0.5)), width)]  # fmt: skip
                continue
            i0, j0 = int(np.floor(r)), int(np.floor(c))
            for di in (0, 1):
                for dj in (0, 1):
                    weight = abs(1 - di - (r - i0)) * abs(1 - dj - (c - j0))
                    out[i, j] += weight * x[index(i0 + di, height), index(j0 + dj, width)]
    return out


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("mode", ["nearest", "constant", "reflect"])
@pytest.mark.parametrize("shape", [(7, 7, 3), (5, 9, 1)])
def test_a_picture_turns_about_its_middle(shape, mode, order):
    x = np.random.default_rng(0).random(shape)
    angle, zoom = 33.0, 1.3
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    middle = (shape[0] - 1) / 2, (shape[1] - 1) / 2

    def at(i, j):
        dy, dx = (i - middle[0]) * zoom, (j - middle[1]) * zoom
        return middle[0] + sin * dx + cos * dy, middle[1] + cos * dx - sin * dy

    got = apply_affine_transform(
        x, theta=angle, zx=zoom, zy=zoom, row_axis=0, col_axis=1, channel_axis=2,
        fill_mode=mode, cval=0.25, order=order,
    )  # fmt: skip
    np.testing.assert_allclose(got, by_hand(x, at, mode, 0.25, order), atol=1e-12)


def test_height_shifts_move_rows_and_width_shifts_columns():
    x = np.zeros((8, 12, 1))
    x[4, 6] = 1.0
    for name, axis in (("height_shift_range", 0), ("width_shift_range", 1)):
        gen = ImageDataGenerator(**{name: [2]})
        moved = np.argwhere(gen.random_transform(x, seed=0)[..., 0])[0] - (4, 6)
        assert abs(moved[axis]) == 2
        assert moved[1 - axis] == 0


def test_channels_first_is_the_same_picture():
    x = np.random.default_rng(1).random((6, 8, 3)).astype(np.float32)
    how = dict(rotation_range=40, zoom_range=0.3, shear_range=10, horizontal_flip=True)
    last = ImageDataGenerator(**how).random_transform(x, seed=4)
    first = ImageDataGenerator(data_format="channels_first", **how)
    got = first.random_transform(x.transpose(2, 0, 1), seed=4)
    np.testing.assert_array_equal(got.transpose(1, 2, 0), last)


def test_a_seed_gives_the_same_pictures_in_any_order_of_asking(photos):
    gen = ImageDataGenerator(rotation_range=30, brightness_range=(0.5, 1.5), zoom_range=0.2)

    def batches(workers):
        it = gen.flow_from_directory(photos, (8, 8), batch_size=3, seed=7)
        it.workers = workers
        return it

    one, two = batches(1), batches(3)
    forward = [one[i] for i in range(len(one))]
    backward = [two[i] for i in reversed(range(len(two)))][::-1]
    stepped = [next(one) for _ in range(len(one))]
    for a, b, c in zip(forward, backward, stepped, strict=True):
        for other in (b, c):
            np.testing.assert_array_equal(a[0], other[0])
            np.testing.assert_array_equal(a[1], other[1])
    one.on_epoch_end()
    assert not np.array_equal(one[0][0], forward[0][0])
    assert not np.array_equal(next(two)[0], two[1][0])


def test_pictures_and_masks_of_one_seed_change_alike(photos):
    how = dict(rotation_range=30, zoom_range=0.2, horizontal_flip=True)
    pair = [
        ImageDataGenerator(**how).flow_from_directory(
            photos, (8, 8), batch_size=4, seed=1, class_mode=None
        )
        for _ in range(2)
    ]
    for _, (a, b) in zip(range(6), zip(*pair, strict=False), strict=False):
        np.testing.assert_array_equal(a, b)


def test_numbers_are_those_of_keras():
    """Drawn by Keras 3.15.1 for this seed."""
    gen = ImageDataGenerator(rotation_range=30, shear_range=20, zoom_range=0.2, vertical_flip=True)
    got = gen.get_random_transform((8, 8, 3), seed=42)
    assert got["theta"] == pytest.approx(-7.52759286915825)
    assert got["shear"] == pytest.approx(18.028572256396647)
    assert (got["zx"], got["zy"]) == pytest.approx((1.0927975767245621, 1.0394633936788146))
    assert got["flip_vertical"] is True


@pytest.mark.parametrize(
    ("mode", "shape"), [("binary", ()), ("sparse", ()), ("categorical", (2,)),
                        ("input", (6, 6, 3))]
)  # fmt: skip
def test_folders_give_labels_by_class_mode(photos, mode, shape, capsys):
    it = ImageDataGenerator(rescale=1 / 255).flow_from_directory(
        photos, (6, 6), class_mode=mode, batch_size=5, shuffle=False
    )
    assert capsys.readouterr().out == "Found 16 images belonging to 2 classes.\n"
    assert it.class_indices == {"cat": 0, "dog": 1}
    assert it.classes.tolist() == [0] * 9 + [1] * 7
    assert len(it) == 4
    x, y = it[1]
    assert x.shape == (5, 6, 6, 3)
    assert y.shape == (5, *shape)
    assert y.dtype == x.dtype == np.float32
    np.testing.assert_allclose(x[:, 0, 0, 0], np.array([50, 60, 70, 80, 0]) / 255, rtol=1e-6)


def test_subsets_of_a_folder_share_no_picture(photos):
    gen = ImageDataGenerator(validation_split=0.3)
    parts = [
        set(gen.flow_from_directory(photos, (6, 6), subset=s).filenames)
        for s in ("training", "validation")
    ]
    assert [len(p) for p in parts] == [12, 4]
    assert not parts[0] & parts[1]


def test_tables_name_pictures(photos):
    pandas = pytest.importorskip("pandas")
    names = [f"cat/{i}.png" for i in range(4)] + ["dog/0.png", "dog/1.png", "absent.png"]
    table = pandas.DataFrame(
        {
            "filename": names, "class": ["cat"] * 4 + ["dog"] * 2 + ["dog"],
            "weight": np.arange(7.0), "size": np.arange(7.0) + 0.5,
            "tags": [["a"], ["a", "b"], ["b"], None, ["a"], ["b"], ["b"]],
        }
    )  # fmt: skip
    gen = ImageDataGenerator()

    def flow(**how):
        with pytest.warns(UserWarning, match="1 invalid image filename"):
            return gen.flow_from_dataframe(
                table, str(photos), target_size=(4, 4), shuffle=False, batch_size=8, **how
            )

    it = flow(class_mode="binary", weight_col="weight")
    _, y, w = it[0]
    assert y.tolist() == [0, 0, 0, 0, 1, 1]
    assert w.tolist() == [0, 1, 2, 3, 4, 5]
    assert flow(class_mode="raw", y_col="size")[0][1].tolist() == [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]
    _, (a, b) = flow(class_mode="multi_output", y_col=["size", "weight"])[0]
    assert (a - b).tolist() == [0.5] * 6
    assert flow(y_col="tags")[0][1].tolist() == [[1, 0], [1, 1], [0, 1], [1, 0], [0, 1]]
    assert flow(classes=["dog"])[0][1].tolist() == [[1], [1]]
    with pytest.raises(fastnn.DataError, match="'nothing'"):
        gen.flow_from_dataframe(table, str(photos), x_col="nothing")
    with pytest.raises(TypeError, match="must be strings"):
        flow(class_mode="sparse", y_col="size")


def test_statistics_of_the_whole_set():
    x = np.random.default_rng(2).random((30, 4, 4, 3)) * 50
    gen = ImageDataGenerator(featurewise_center=True, featurewise_std_normalization=True)
    with pytest.raises(fastnn.DataError, match="fit"):
        gen.flow(x)[0]
    gen.fit(x)
    out = gen.flow(x, batch_size=30, shuffle=False)[0]
    np.testing.assert_allclose(out.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(out.std((0, 1, 2)), 1, atol=1e-4)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        white = ImageDataGenerator(zca_whitening=True, zca_epsilon=1e-3)
    assert "overrides" in str(said[0].message)
    small = x[:, :2, :2, :1]
    white.fit(small)
    flat = white.flow(small, batch_size=30, shuffle=False)[0].reshape(30, -1)
    np.testing.assert_allclose(flat.T @ flat / 30, np.eye(4), atol=1e-3)


def test_arrays_with_labels_weights_and_further_inputs():
    x = np.zeros((10, 4, 4, 1), np.uint8)
    gen = ImageDataGenerator(validation_split=0.2)
    a, b, w = gen.flow(x, np.arange(10), 4, False, sample_weight=np.arange(10) / 2)[1]
    assert a.dtype == np.float32
    assert b.tolist() == [4, 5, 6, 7]
    assert w.tolist() == [2, 2.5, 3, 3.5]
    (first, second), _ = gen.flow((x, [np.arange(10)]), np.arange(10), 4, False)[0]
    assert first.shape == (4, 4, 4, 1)
    assert second.tolist() == [0, 1, 2, 3]
    parts = [
        gen.flow(x, np.arange(10), subset=s, ignore_class_split=True).n
        for s in ("training", "validation")
    ]
    assert parts == [8, 2]
    with pytest.raises(fastnn.DataError, match="shuffle them"):
        gen.flow(x, np.arange(10), subset="training")
    with pytest.raises(fastnn.ShapeError, match="rank 4"):
        gen.flow(x[0])
    with pytest.raises(fastnn.DataError, match="same length"):
        gen.flow(x, np.arange(9))


def test_functions_of_the_user_run_in_order():
    seen = []

    def note(x):
        seen.append(int(x[0, 0, 0]))
        return x + 1

    x = np.arange(8.0).reshape(8, 1, 1, 1)
    out = ImageDataGenerator(preprocessing_function=note).flow(x, shuffle=False)[0]
    assert seen == list(range(8))
    assert out.ravel().tolist() == list(range(1, 9))


def test_changed_pictures_are_written(photos, tmp_path):
    folder = tmp_path / "seen"
    it = ImageDataGenerator().flow_from_directory(
        photos, (6, 6), batch_size=4, save_to_dir=str(folder), save_prefix="p", save_format="jpeg"
    )
    it[0]
    names = [p.name for p in folder.iterdir()]
    assert len(names) == 4
    assert all(n.startswith("p_") and n.endswith(".jpeg") for n in names)


def test_a_broken_picture_stops_the_run_or_is_left_out(photos):
    (photos / "dog" / "3.png").write_bytes(b"broken")
    gen = ImageDataGenerator()
    stop = gen.flow_from_directory(photos, (6, 6), batch_size=16)
    with pytest.raises(fastnn.DataError, match=r"3\.png"):
        stop[0]
    skip = gen.flow_from_directory(photos, (6, 6), batch_size=16, on_error="skip")
    with pytest.warns(UserWarning, match=r"3\.png.*left out"):
        x, y = skip[0]
    assert len(x) == len(y) == 15
    assert [p[-9:] for p in skip.broken] == ["dog/3.png"]
    only = gen.flow_from_directory(photos, (6, 6), batch_size=1, shuffle=False, on_error="skip")
    with (
        pytest.warns(UserWarning, match="left out"),
        pytest.raises(fastnn.DataError, match="none of the 1 pictures"),
    ):
        only[12]


def test_folders_that_do_not_fit_are_answered(photos, tmp_path):
    gen = ImageDataGenerator()
    (tmp_path / "one" / "a").mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(tmp_path / "one" / "a" / "x.png")
    with pytest.raises(fastnn.DataError, match="two classes"):
        gen.flow_from_directory(tmp_path / "one", class_mode="binary")
    (tmp_path / "none" / "a").mkdir(parents=True)
    for folder in ("none", "absent"):
        with pytest.raises(fastnn.DataError, match="hint"):
            gen.flow_from_directory(tmp_path / folder)
    for how in (
        dict(class_mode="other"), dict(color_mode="bgr"), dict(subset="training"),
        dict(target_size=0), dict(batch_size=0), dict(classes=["cat", "cow"]),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="hint"):
            gen.flow_from_directory(photos, **how)


def test_bad_settings_are_answered():
    for how in (
        dict(zoom_range=(1, 2, 3)), dict(zoom_range="x"), dict(fill_mode="mirror"),
        dict(validation_split=1.0), dict(brightness_range=1), dict(data_format="x"),
        dict(rescale="1/255"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="hint"):
            ImageDataGenerator(**how)


def test_a_model_trains_on_a_folder_with_the_true_number_of_steps(photos):
    fastnn.utils.set_random_seed(0)
    gen = ImageDataGenerator(rescale=1 / 255, horizontal_flip=True)
    train = gen.flow_from_directory(photos, (6, 6), class_mode="binary", batch_size=5, seed=0)
    model = fastnn.Sequential([fastnn.layers.Flatten(), fastnn.layers.Dense(1, "sigmoid")])
    model.compile(fastnn.optimizers.Adam(0.05), "binary_crossentropy", metrics=["accuracy"])
    history = model.fit(train, epochs=10, validation_data=train, verbose=0)
    assert history.params["steps"] == 4
    assert history.history["val_accuracy"][-1] == 1.0
    still = gen.flow_from_directory(photos, (6, 6), class_mode="binary", shuffle=False)
    next(still)  # what was taken by hand does not move where predictions begin
    predicted = model.predict(still, verbose=0)[:, 0] > 0.5
    assert predicted.tolist() == (still.classes == 1).tolist()
    assert model.evaluate(still, verbose=0)[1] == 1.0


def test_steps_that_end_within_a_pass_see_every_picture_once():
    x = np.arange(12.0, dtype=np.float32).reshape(12, 1, 1, 1)
    seen = []

    it = ImageDataGenerator().flow(x, x[:, 0, 0, 0], batch_size=2, seed=1)
    data = fastnn.data.IterableData(it, "x")
    for _ in range(2):
        seen += [b[1].tolist() for b in data.batches(3)]
    data.close()
    assert sorted(v for b in seen for v in np.ravel(b)) == list(range(12))


def test_single_steps_have_functions_of_their_own():
    x = np.random.default_rng(3).random((6, 6, 3)).astype(np.float32)
    np.random.seed(0)
    axes = dict(row_axis=0, col_axis=1, channel_axis=2)
    for out in (
        images.random_rotation(x, 20, **axes), images.random_shift(x, 0.2, 0.2, **axes),
        images.random_shear(x, 20, **axes), images.random_zoom(x, (0.8, 1.2), **axes),
        images.random_channel_shift(x, 0.2, 2), images.random_brightness(x, (0.5, 1.5)),
    ):  # fmt: skip
        assert out.shape == x.shape
        assert not np.array_equal(out, x)
    dark = images.apply_brightness_shift(np.full((2, 2, 3), 100.0), 0.5, scale=False)
    assert (dark == 50).all()
    with pytest.raises(ValueError, match="zoom_range"):
        images.random_zoom(x, 0.2, **axes)
