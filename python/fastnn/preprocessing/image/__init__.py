"""`keras.preprocessing.image`: pictures in files, and batches of pictures changed at random."""

from __future__ import annotations

from fastnn.base.absent import answer_missing
from fastnn.data.folders import image_dataset_from_directory
from fastnn.data.images import array_to_img, img_to_array, load_img, save_img
from fastnn.preprocessing.image.frames import DataFrameIterator
from fastnn.preprocessing.image.generator import ImageDataGenerator
from fastnn.preprocessing.image.iterators import DirectoryIterator, Iterator, NumpyArrayIterator
from fastnn.preprocessing.image.smart_resize import smart_resize
from fastnn.preprocessing.image.transforms import (
    apply_affine_transform,
    apply_brightness_shift,
    apply_channel_shift,
    random_brightness,
    random_channel_shift,
    random_rotation,
    random_shear,
    random_shift,
    random_zoom,
)

__all__ = [
    "DataFrameIterator", "DirectoryIterator", "ImageDataGenerator", "Iterator",
    "NumpyArrayIterator", "apply_affine_transform", "apply_brightness_shift",
    "apply_channel_shift", "array_to_img", "image_dataset_from_directory", "img_to_array",
    "load_img", "random_brightness", "random_channel_shift", "random_rotation", "random_shear",
    "random_shift", "random_zoom", "save_img", "smart_resize",
]  # fmt: skip

answer_missing(globals())
