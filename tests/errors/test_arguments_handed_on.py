"""Functions that hand further arguments to a library take those of the library."""

import numpy as np

from fastnn.keras.utils import load_img, save_img


def test_a_picture_is_saved_with_the_settings_of_its_format(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3))
    for quality in (5, 95):
        save_img(tmp_path / f"{quality}.jpg", picture, scale=False, quality=quality)
    assert (tmp_path / "5.jpg").stat().st_size < (tmp_path / "95.jpg").stat().st_size
    assert load_img(tmp_path / "5.jpg").size == (32, 32)
