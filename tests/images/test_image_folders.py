"""Folders of pictures become data sets with the right labels."""

import warnings

import numpy as np
import pytest
from PIL import Image

import fastnn
from fastnn.utils import image_dataset_from_directory


def dataset(folder, **how):
    return image_dataset_from_directory(folder, image_size=(4, 5), verbose=False, **how)


def test_pictures_come_with_the_class_of_their_folder(photos):
    ds = dataset(photos, batch_size=5)
    assert ds.class_names == ["cat", "dog"]
    assert len(ds) == 4
    batches = list(ds.as_numpy_iterator())
    assert [x.shape for x, _ in batches] == [(5, 4, 5, 3)] * 3 + [(1, 4, 5, 3)]
    for x, y in batches:
        assert x.dtype == np.float32
        assert y.dtype == np.int32
        np.testing.assert_array_equal(x[:, 0, 0, 1] > 100, y == 1)


def test_without_shuffling_pictures_are_in_the_order_of_their_paths(photos):
    ds = dataset(photos, shuffle=False, batch_size=None)
    assert ds.file_paths == sorted(ds.file_paths)
    assert [int(x[0, 0, 0]) for x, _ in ds] == [10 * i for i in (*range(9), *range(7))]


def test_a_seed_fixes_the_order_and_each_pass_has_another(photos):
    def reds(ds):
        return [x[0, 0].numpy().tolist() for x, _ in ds]

    one, two = dataset(photos, seed=1, batch_size=None), dataset(photos, seed=1, batch_size=None)
    first = reds(one)
    assert first == reds(two)
    assert first != reds(one)


@pytest.mark.parametrize(
    ("mode", "shape", "kind"), [("int", (), "int32"), ("binary", (1,), "float32"),
                                ("categorical", (2,), "float32")]
)  # fmt: skip
def test_labels_have_the_form_that_losses_want(photos, mode, shape, kind):
    for _, y in dataset(photos, label_mode=mode, batch_size=4).as_numpy_iterator():
        assert y.shape == (4, *shape)
        assert y.dtype == kind
    assert not isinstance(next(iter(dataset(photos, label_mode=None))), tuple)


def test_two_parts_share_no_picture(photos):
    both = dataset(photos, validation_split=0.25, subset="both", seed=2)
    alone = [
        dataset(photos, validation_split=0.25, subset=s, seed=2) for s in ("training", "validation")
    ]
    for pair in (both, alone):
        train, held = (set(ds.file_paths) for ds in pair)
        assert (len(train), len(held)) == (12, 4)
        assert not train & held
    assert both[0].file_paths == alone[0].file_paths


def test_the_whole_picture_or_its_middle(photos, tmp_path):
    folder = tmp_path / "wide"
    (folder / "a").mkdir(parents=True)
    x = np.zeros((4, 8, 3), np.uint8)
    x[:, 2:6] = 255
    Image.fromarray(x).save(folder / "a" / "x.png")
    how = dict(image_size=(8, 8), label_mode=None, batch_size=None, verbose=False)
    (cut,) = image_dataset_from_directory(folder, crop_to_aspect_ratio=True, **how)
    assert (cut.numpy() == 255).all()
    (padded,) = image_dataset_from_directory(folder, pad_to_aspect_ratio=True, **how)
    assert (padded.numpy()[:2] == 0).all()
    assert (padded.numpy()[4, 3:5] == 255).all()
    (first,) = image_dataset_from_directory(folder, data_format="channels_first", **how)
    assert first.shape == (3, 8, 8)


def test_a_broken_picture_stops_the_epoch_or_is_left_out(photos):
    (photos / "cat" / "4.png").write_bytes(b"broken")
    with pytest.raises(fastnn.DataError, match=r"4\.png"):
        list(dataset(photos))
    ds = dataset(photos, on_error="skip", batch_size=5)
    with pytest.warns(UserWarning, match=r"4\.png.*left out"):
        assert sum(len(x) for x, _ in ds.as_numpy_iterator()) == 15


def test_bad_folders_and_arguments_are_answered(photos, tmp_path):
    empty = tmp_path / "empty"
    (empty / "a").mkdir(parents=True)
    for folder in (empty, tmp_path / "absent", tmp_path / "cat"):
        with pytest.raises(fastnn.DataError, match="hint"):
            dataset(folder)
    for how in (
        dict(labels="x"), dict(labels=[1, 2]), dict(label_mode="float"), dict(color_mode="bgr"),
        dict(interpolation="linear"), dict(validation_split=0.2), dict(subset="training"),
        dict(validation_split=2, subset="both"), dict(class_names=["cat", "cow"]),
        dict(validation_split=0.2, subset="training"), dict(on_error="ignore"),
        dict(crop_to_aspect_ratio=True, pad_to_aspect_ratio=True),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="hint"):
            dataset(photos, **how)
    (photos / "cow").mkdir()
    with pytest.raises(ValueError, match="exactly 2"):
        dataset(photos, label_mode="binary")


def test_a_folder_of_one_class_is_told(photos, tmp_path):
    """The folder above the one that was meant is the usual slip."""
    (tmp_path / "above" / "pets").mkdir(parents=True)
    for name in ("cat", "dog"):
        (photos / name).rename(tmp_path / "above" / "pets" / name)
    generator = fastnn.preprocessing.image.ImageDataGenerator()
    for read in (dataset, generator.flow_from_directory):
        with pytest.warns(UserWarning, match=r"one subfolder, 'pets'(.|\n)*\['cat', 'dog'\]"):
            read(tmp_path / "above")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset(tmp_path / "above", label_mode=None)
        generator.flow_from_directory(tmp_path / "above", class_mode=None)


def test_a_model_learns_from_a_folder(photos):
    fastnn.utils.set_random_seed(0)
    ds = dataset(photos, batch_size=4, seed=0)
    model = fastnn.Sequential(
        [
            fastnn.layers.Rescaling(1 / 255),
            fastnn.layers.Flatten(),
            fastnn.layers.Dense(1, "sigmoid"),
        ]
    )
    model.compile(fastnn.optimizers.Adam(0.1), "binary_crossentropy", metrics=["accuracy"])
    history = model.fit(ds, epochs=8, verbose=0)
    assert history.params["steps"] == 4
    assert history.history["accuracy"][-1] == 1.0
