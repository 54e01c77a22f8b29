"""Pictures of every kind arrive as what they show, or are refused by name."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image

import fastnn
from fastnn.data.image_resize import METHODS, resize_picture
from fastnn.utils import array_to_img, img_to_array, load_img, save_img


def saved(image, path, **how):
    image.save(path, **how)
    return path


def ramp(height=4, width=6):
    return np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)


def test_a_picture_comes_back_from_a_file(tmp_path):
    save_img(tmp_path / "a.png", ramp(), scale=False)
    image = load_img(tmp_path / "a.png")
    np.testing.assert_array_equal(img_to_array(image), ramp())
    assert img_to_array(image).dtype == np.float32
    assert img_to_array(image, "channels_first").shape == (3, 4, 6)
    assert img_to_array(image, dtype="uint8").dtype == np.uint8
    assert load_img(io.BytesIO((tmp_path / "a.png").read_bytes())).size == (6, 4)


@pytest.mark.parametrize("kind", ["png", "jpeg", "progressive", "gif", "bmp"])
def test_a_damaged_picture_is_a_picture_or_an_error_that_names_it(tmp_path, kind):
    rng = np.random.default_rng(7)
    how = {"format": "jpeg", "progressive": True} if kind == "progressive" else {"format": kind}
    whole = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (17, 23, 3), dtype=np.uint8)).save(whole, **how)
    path, refused = tmp_path / "damaged", []
    for _ in range(120):
        data = bytearray(whole.getvalue())
        for at in rng.integers(len(data), size=rng.integers(1, 8)):
            data[at] = rng.integers(256)
        if rng.random() < 0.4:
            data = data[: rng.integers(len(data))]
        path.write_bytes(data)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                pixels = img_to_array(load_img(path, target_size=(4, 4)))
        except fastnn.DataError as error:
            refused.append(str(error))
        else:
            assert pixels.shape == (4, 4, 3)
    assert refused
    assert all(str(path) in text and "hint:" in text for text in refused)


def test_a_file_that_is_no_picture_is_said_to_be_of_no_known_format(tmp_path):
    (tmp_path / "a.jpg").write_text("words")
    with pytest.raises(fastnn.DataError, match=r"a.jpg' cannot be read: it is in no known format"):
        load_img(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("mode", "kind"), [("L", "png"), ("1", "png"), ("P", "png"), ("LA", "png"), ("CMYK", "jpeg"),
                       ("RGBA", "png"), ("L", "jpeg"), ("P", "gif"), ("RGB", "bmp")]
)  # fmt: skip
def test_every_kind_of_picture_gives_the_channels_that_were_asked_for(tmp_path, mode, kind):
    path = saved(Image.fromarray(ramp(16, 16)).convert(mode), tmp_path / "x", format=kind)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, channels in (("rgb", 3), ("rgba", 4), ("grayscale", 1)):
            x = img_to_array(load_img(path, color_mode=name))
            assert x.shape == (16, 16, channels)


def test_a_palette_with_transparency_keeps_its_colours(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1])
    path = saved(image, tmp_path / "p.png", transparency=b"\x80\xff")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = img_to_array(load_img(path))
    assert x.tolist() == [[[255, 0, 0], [0, 0, 255]]]


def test_sixteen_bits_are_brought_to_eight_for_colours_and_kept_for_grey(tmp_path):
    values = np.array([[0, 257, 32896, 65535]], np.uint16)
    path = saved(Image.fromarray(values), tmp_path / "deep.png")
    assert img_to_array(load_img(path, "grayscale"))[..., 0].tolist() == values.tolist()
    assert img_to_array(load_img(path))[0, :, 0].tolist() == [0, 1, 128, 255]


def test_numbers_of_32_bits_have_no_colours(tmp_path):
    path = saved(Image.fromarray(np.full((2, 2), 0.5, np.float32)), tmp_path / "f.tiff")
    assert img_to_array(load_img(path, "grayscale"))[0, 0, 0] == 0.5
    with pytest.raises(fastnn.DataError, match=r"f\.tiff.*\n  hint: color_mode='grayscale'"):
        load_img(path)


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_picture_that_the_camera_turned_stands_upright(tmp_path, turn):
    upright = Image.fromarray(ramp(4, 6))
    back = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE",
            6: "ROTATE_90", 7: "TRANSVERSE", 8: "ROTATE_270"}  # fmt: skip
    lying = upright if turn == 1 else upright.transpose(getattr(Image.Transpose, back[turn]))
    exif = Image.Exif()
    exif[0x0112] = turn
    path = saved(lying, tmp_path / "t.png", exif=exif)
    np.testing.assert_array_equal(img_to_array(load_img(path)), ramp(4, 6))


def test_a_broken_picture_is_named(tmp_path):
    whole = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(
        whole, "jpeg"
    )
    for name, content in (("cut", whole.getvalue()[:900]), ("text", b"no picture"), ("none", b"")):
        path = tmp_path / f"{name}.jpg"
        path.write_bytes(content)
        with pytest.raises(fastnn.DataError, match=rf"{name}\.jpg.*\n  hint: "):
            load_img(path)
    with pytest.raises(FileNotFoundError, match=r"absent\.jpg'\n  hint: "):
        load_img(tmp_path / "absent.jpg")


def test_resizing_stretches_or_keeps_the_middle(tmp_path):
    x = np.zeros((4, 8, 3), np.uint8)
    x[:, 2:6] = 255
    path = saved(Image.fromarray(x), tmp_path / "x.png")
    assert load_img(path, target_size=(2, 2)).size == (2, 2)
    middle = img_to_array(load_img(path, target_size=(4, 4), keep_aspect_ratio=True))
    assert (middle == 255).all()
    for size in (0, (0, 2), (2,), "x", (2, 2, 2)):
        with pytest.raises(ValueError, match="target_size"):
            load_img(path, target_size=size)
    with pytest.raises(ValueError, match="bilinear"):
        load_img(path, target_size=(2, 2), interpolation="linear")
    with pytest.raises(ValueError, match="color_mode"):
        load_img(path, color_mode="bgr")


def test_arrays_become_pictures():
    assert array_to_img(np.zeros((2, 3, 1))).mode == "L"
    assert array_to_img(np.zeros((2, 3, 4))).mode == "RGBA"
    assert array_to_img(np.zeros((3, 2, 5)), "channels_first").size == (5, 2)
    assert array_to_img(np.full((1, 1, 1), 300.0), scale=False).getpixel((0, 0)) == 300
    spread = np.asarray(array_to_img(np.array([[[-1.0]], [[1.0]]])))
    assert spread.ravel().tolist() == [0, 255]
    for bad in (np.zeros((2, 2)), np.zeros((2, 2, 2)), np.full((1, 1, 3), np.nan)):
        with pytest.raises(ValueError, match="hint"):
            array_to_img(bad)


@pytest.mark.parametrize("kind", METHODS)
@pytest.mark.parametrize("size", [(5, 7), (12, 3), (1, 1), (8, 9), (30, 40)])
def test_a_picture_of_one_colour_keeps_it_at_every_size(kind, size):
    x = np.full((8, 9, 2), 77, np.uint8)
    out = resize_picture(x, size, kind)
    assert out.shape == (*size, 2)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, 77, rtol=1e-5)


@pytest.mark.parametrize("kind", ["bilinear", "nearest", "bicubic", "lanczos3", "lanczos5"])
def test_pictures_are_resized_as_the_op_does(kind):
    x = np.random.default_rng(1).random((9, 14, 3)).astype(np.float32)
    for size in ((5, 20), (9, 7), (18, 28)):
        want = fastnn.ops.image.resize(x, size, kind).numpy()
        np.testing.assert_allclose(resize_picture(x, size, kind), want, atol=2e-5)


def test_area_gives_the_mean_of_what_a_pixel_covers():
    x = np.arange(16.0, dtype=np.float32).reshape(4, 4, 1)
    want = x.reshape(2, 2, 2, 2).mean((1, 3))
    np.testing.assert_allclose(resize_picture(x, (2, 2), "area")[..., 0], want)
    row = resize_picture(np.array([[[0.0], [3.0], [9.0]]], np.float32), (1, 2), "area")
    np.testing.assert_allclose(row.ravel(), [1.0, 7.0], rtol=1e-6)
