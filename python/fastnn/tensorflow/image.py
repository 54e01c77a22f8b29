"""`tf.image`: pictures (rows, columns, channels), or (batch, rows, columns, channels), in functions
of `ops`, for data sets and programs written with TensorFlow. Depends on `ops`, `random`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import ops, random
from fastnn._core import Tensor
from fastnn.base.absent import answer_missing
from fastnn.base.typing import DTypeLike, TensorLike
from fastnn.data.image_resize import resize_rows
from fastnn.errors import DataError, ShapeError
from fastnn.tensorflow.boxes import (
    combined_non_max_suppression,
    crop_and_resize,
    non_max_suppression,
)
from fastnn.tensorflow.colours import (
    adjust_gamma,
    adjust_hue,
    adjust_saturation,
    hsv_to_rgb,
    random_hue,
    random_saturation,
    rgb_to_hsv,
    rgb_to_yiq,
    rgb_to_yuv,
    scaled,
    scaled_back,
    yiq_to_rgb,
    yuv_to_rgb,
)
from fastnn.tensorflow.files import (
    decode_bmp,
    decode_gif,
    decode_image,
    decode_jpeg,
    decode_png,
    encode_jpeg,
    encode_png,
)
from fastnn.tensorflow.likeness import (
    extract_patches,
    image_gradients,
    psnr,
    sobel_edges,
    ssim,
    total_variation,
)
from fastnn.tensorflow.randomness import whole_seed

__all__ = [
    "ResizeMethod", "adjust_brightness", "adjust_contrast", "adjust_gamma", "adjust_hue",
    "adjust_saturation", "central_crop", "combined_non_max_suppression", "convert_image_dtype",
    "crop_and_resize", "crop_to_bounding_box", "decode_bmp", "decode_gif", "decode_image",
    "decode_jpeg", "decode_png", "encode_jpeg", "encode_png", "extract_patches", "flip_left_right",
    "flip_up_down", "grayscale_to_rgb", "hsv_to_rgb", "image_gradients", "non_max_suppression",
    "pad_to_bounding_box", "per_image_standardization", "psnr", "random_brightness",
    "random_contrast", "random_crop", "random_flip_left_right", "random_flip_up_down",
    "random_hue", "random_saturation", "resize", "resize_with_crop_or_pad", "resize_with_pad",
    "rgb_to_grayscale", "rgb_to_hsv", "rgb_to_yiq", "rgb_to_yuv", "rot90", "sobel_edges", "ssim",
    "stateless_random_brightness", "stateless_random_contrast", "stateless_random_crop",
    "stateless_random_flip_left_right", "stateless_random_flip_up_down", "stateless_random_hue",
    "stateless_random_saturation", "total_variation", "transpose", "yiq_to_rgb", "yuv_to_rgb",
]  # fmt: skip


class ResizeMethod:
    """Names of the ways to resize."""

    AREA, BICUBIC, BILINEAR, GAUSSIAN = "area", "bicubic", "bilinear", "gaussian"
    LANCZOS3, LANCZOS5, MITCHELLCUBIC = "lanczos3", "lanczos5", "mitchellcubic"
    NEAREST_NEIGHBOR = "nearest"


def _picture(image: TensorLike, name: str) -> Tensor:
    x: Any = ops.convert_to_tensor(image)
    if not isinstance(x, np.ndarray) and len(x.shape) in (3, 4):
        return x
    raise ShapeError(
        f"tf.image.{name}: got shape {tuple(x.shape)}, wanted (rows, columns, channels), with or "
        "without a batch before\n  hint: image[..., None] for a picture without channels"
    )


def _drawn(seed: Any, *shape: int) -> Any:
    return random.uniform(shape, seed=seed)


def resize(
    images: TensorLike, size: Any, method: str = "bilinear", preserve_aspect_ratio: bool = False,
    antialias: bool = False, name: str | None = None,
) -> Tensor:  # fmt: skip
    """Pictures in another size, float32; with `preserve_aspect_ratio` the largest that fits."""
    x = _picture(images, "resize")
    rows, columns = (int(v) for v in (np.asarray(size) if hasattr(size, "numpy") else size))
    if preserve_aspect_ratio:
        share = min(rows / x.shape[-3], columns / x.shape[-2])
        rows, columns = round(share * x.shape[-3]), round(share * x.shape[-2])
    if method in ("area", "gaussian", "mitchellcubic"):
        return _by_tables(ops.cast(x, "float32"), (rows, columns), method)
    return ops.image.resize(
        ops.cast(x, "float32"), (rows, columns), interpolation=method, antialias=antialias,
        data_format="channels_last",
    )  # fmt: skip


def resize_with_pad(
    image: TensorLike, target_height: int, target_width: int, method: str = "bilinear",
    antialias: bool = False,
) -> Tensor:  # fmt: skip
    """Pictures resized until they fit, in the middle of a size of zeros."""
    x = resize(image, (target_height, target_width), method, True, antialias)
    top, left = (target_height - x.shape[-3]) // 2, (target_width - x.shape[-2]) // 2
    return pad_to_bounding_box(x, top, left, target_height, target_width)


def resize_with_crop_or_pad(image: TensorLike, target_height: int, target_width: int) -> Tensor:
    """The middle of pictures, or pictures in the middle of zeros, axis by axis."""
    x = _picture(image, "resize_with_crop_or_pad")
    rows, columns = x.shape[-3], x.shape[-2]
    high, wide = min(rows, target_height), min(columns, target_width)
    x = crop_to_bounding_box(x, (rows - high) // 2, (columns - wide) // 2, high, wide)
    top, left = (target_height - high) // 2, (target_width - wide) // 2
    return pad_to_bounding_box(x, top, left, target_height, target_width)


def transpose(image: TensorLike, name: str | None = None) -> Tensor:
    """Rows and columns exchanged."""
    return ops.swapaxes(_picture(image, "transpose"), -3, -2)


def _by_tables(x: TensorLike, size: tuple[int, int], method: str) -> Tensor:
    """Pictures of a known size, each axis by a table of weights."""
    if any(not isinstance(n, int) for n in x.shape[-3:-1]):
        raise ShapeError(
            f"tf.image.resize: method={method!r} needs pictures of a known size, got "
            f"{tuple(x.shape)}\n  hint: method='bilinear', or Input((rows, columns, channels))"
        )
    for axis, new in ((-3, size[0]), (-2, size[1])):
        matrix = resize_rows(np.eye(x.shape[axis], dtype=np.float32), new, method)
        x = ops.moveaxis(ops.matmul(ops.moveaxis(x, axis, -1), matrix.T), -1, axis)
    found: Tensor = x
    return found


def convert_image_dtype(
    image: TensorLike, dtype: DTypeLike, saturate: bool = False, name: str | None = None
) -> Tensor:
    """Whole numbers from 0 to 255 as floats from 0 to 1, or the reverse.

    Pictures of 8 bits are int32 here, so other whole numbers are refused.
    """
    x = ops.convert_to_tensor(image)
    wanted, given = getattr(dtype, "name", dtype), str(x.dtype)
    if wanted not in ("float32", "int32", "uint8"):
        raise DataError(
            f"tf.image.convert_image_dtype: wanted {wanted}, float32 computes here\n"
            "  hint: tf.image.convert_image_dtype(image, tf.float32)"
        )
    if (wanted == "float32") == (given == "float32"):
        return x
    if wanted != "float32":
        if not saturate and not x.is_traced and bool(ops.any(ops.logical_or(x < 0, x > 1))):
            raise DataError(
                "tf.image.convert_image_dtype: floats outside 0 to 1 do not fit 8 bits\n"
                "  hint: saturate=True cuts them off"
            )
        return scaled_back(x, True)
    if not x.is_traced and bool(ops.any(ops.logical_or(x < 0, x > 255))):
        raise DataError(
            "tf.image.convert_image_dtype: whole numbers outside 0 to 255\n"
            "  hint: tf.cast(image, tf.float32) / largest"
        )
    return ops.cast(x, "float32") / 255.0


def flip_left_right(image: TensorLike) -> Tensor:
    """Pictures with their columns in the other order."""
    return ops.flip(_picture(image, "flip_left_right"), axis=-2)


def flip_up_down(image: TensorLike) -> Tensor:
    """Pictures with their rows in the other order."""
    return ops.flip(_picture(image, "flip_up_down"), axis=-3)


def _perhaps(image: TensorLike, axis: int, seed: Any, name: str) -> Tensor:
    x = _picture(image, name)
    batch = [ops.shape(x)[0], 1, 1, 1] if len(x.shape) == 4 else [1, 1, 1]
    return ops.where(random.uniform(batch, seed=seed) < 0.5, ops.flip(x, axis=axis), x)


def random_flip_left_right(image: TensorLike, seed: Any = None) -> Tensor:
    """Each picture as it is, or with its columns in the other order."""
    return _perhaps(image, -2, seed, "random_flip_left_right")


def random_flip_up_down(image: TensorLike, seed: Any = None) -> Tensor:
    """Each picture as it is, or with its rows in the other order."""
    return _perhaps(image, -3, seed, "random_flip_up_down")


def rot90(image: TensorLike, k: int = 1, name: str | None = None) -> Tensor:
    """Pictures turned `k` times by a right angle, against the clock."""
    x = _picture(image, "rot90")
    return ops.rot90(x, k=k, axes=(0, 1) if len(x.shape) == 3 else (1, 2))


def adjust_brightness(image: TensorLike, delta: Any) -> Tensor:
    """Pictures with a number added, of the size of brightness from 0 to 1."""
    x, whole = scaled(_picture(image, "adjust_brightness"))
    return scaled_back(x + delta, whole)


def adjust_contrast(images: TensorLike, contrast_factor: Any) -> Tensor:
    """Distances from the mean of each channel times a factor."""
    x, whole = scaled(_picture(images, "adjust_contrast"))
    mean = ops.mean(x, axis=(-3, -2), keepdims=True)
    return scaled_back((x - mean) * contrast_factor + mean, whole)


def random_brightness(image: TensorLike, max_delta: float, seed: Any = None) -> Tensor:
    """Pictures with one number from `-max_delta` to `max_delta` added."""
    return adjust_brightness(image, (_drawn(seed) * 2 - 1) * max_delta)


def random_contrast(image: TensorLike, lower: float, upper: float, seed: Any = None) -> Tensor:
    """Contrasts times one factor from `lower` to `upper`."""
    return adjust_contrast(image, lower + _drawn(seed) * (upper - lower))


def per_image_standardization(image: TensorLike) -> Tensor:
    """Each picture with mean 0 and deviation 1; of even ones only the mean is taken away."""
    x = ops.cast(_picture(image, "per_image_standardization"), "float32")
    count = float(np.prod(x.shape[-3:]))
    mean = ops.mean(x, axis=(-3, -2, -1), keepdims=True)
    spread = ops.std(x, axis=(-3, -2, -1), keepdims=True)
    return (x - mean) / ops.maximum(spread, count**-0.5)


def rgb_to_grayscale(images: TensorLike, name: str | None = None) -> Tensor:
    """Brightness of each pixel, (…, 1)."""
    x, whole = scaled(_picture(images, "rgb_to_grayscale"))
    return scaled_back(ops.image.rgb_to_grayscale(x, data_format="channels_last"), whole)


def grayscale_to_rgb(images: TensorLike, name: str | None = None) -> Tensor:
    """The one channel three times."""
    return ops.repeat(_picture(images, "grayscale_to_rgb"), 3, axis=-1)


def crop_to_bounding_box(
    image: TensorLike, offset_height: int, offset_width: int, target_height: int, target_width: int
) -> Tensor:
    """The part of pictures that begins at an offset."""
    x = _picture(image, "crop_to_bounding_box")
    low, right = offset_height + target_height, offset_width + target_width
    if min(offset_height, offset_width) < 0 or low > x.shape[-3] or right > x.shape[-2]:
        raise ShapeError(
            f"tf.image.crop_to_bounding_box: rows {offset_height} to {low} and columns "
            f"{offset_width} to {right} of {x.shape[-3]} and {x.shape[-2]}\n"
            "  hint: a box inside the picture"
        )
    return x[..., offset_height:low, offset_width:right, :]


def pad_to_bounding_box(
    image: TensorLike, offset_height: int, offset_width: int, target_height: int, target_width: int
) -> Tensor:
    """Pictures at an offset in larger ones of zeros."""
    x = _picture(image, "pad_to_bounding_box")
    below = target_height - offset_height - x.shape[-3]
    after = target_width - offset_width - x.shape[-2]
    if min(offset_height, offset_width, below, after) < 0:
        raise ShapeError(
            f"tf.image.pad_to_bounding_box: a picture of {x.shape[-3]} by {x.shape[-2]} at "
            f"{offset_height}, {offset_width} does not fit {target_height} by {target_width}\n"
            "  hint: larger targets"
        )
    around = [(offset_height, below), (offset_width, after), (0, 0)]
    return ops.pad(x, [(0, 0), *around] if len(x.shape) == 4 else around)


def central_crop(image: TensorLike, central_fraction: float) -> Tensor:
    """The middle of pictures: this share of their rows and columns."""
    x = _picture(image, "central_crop")
    if not 0 < central_fraction <= 1:
        raise DataError(
            f"tf.image.central_crop: central_fraction={central_fraction}, wanted above 0, up to 1\n"
            "  hint: central_fraction=0.5"
        )
    top, left = (int((n - n * central_fraction) / 2) for n in x.shape[-3:-1])
    return x[..., top : x.shape[-3] - top, left : x.shape[-2] - left, :]


def random_crop(
    value: Any, size: Sequence[int], seed: Any = None, name: str | None = None
) -> Tensor:
    """A part of this size from anywhere in a tensor."""
    x = ops.convert_to_tensor(value)
    sizes = [int(n) for n in size]
    if len(sizes) != len(x.shape) or any(
        n > m for n, m in zip(sizes, x.shape, strict=True) if isinstance(m, int)
    ):
        raise ShapeError(
            f"tf.image.random_crop: {tuple(sizes)} of {tuple(x.shape)}\n  hint: a part of the whole"
        )
    room = ops.convert_to_tensor([m - n + 1 for n, m in zip(sizes, x.shape, strict=True)])
    starts = ops.cast(ops.floor(_drawn(seed, len(sizes)) * ops.cast(room, "float32")), "int32")
    starts = ops.minimum(starts, room - 1)
    return ops.slice(x, starts, sizes)


def stateless_random_flip_left_right(image: TensorLike, seed: Any) -> Tensor:
    """As `random_flip_left_right`, the same for the same two numbers."""
    return random_flip_left_right(image, whole_seed(seed))


def stateless_random_flip_up_down(image: TensorLike, seed: Any) -> Tensor:
    """As `random_flip_up_down`, the same for the same two numbers."""
    return random_flip_up_down(image, whole_seed(seed))


def stateless_random_brightness(image: TensorLike, max_delta: float, seed: Any) -> Tensor:
    """As `random_brightness`, the same for the same two numbers."""
    return random_brightness(image, max_delta, whole_seed(seed))


def stateless_random_contrast(image: TensorLike, lower: float, upper: float, seed: Any) -> Tensor:
    """As `random_contrast`, the same for the same two numbers."""
    return random_contrast(image, lower, upper, whole_seed(seed))


def stateless_random_hue(image: TensorLike, max_delta: float, seed: Any) -> Tensor:
    """As `random_hue`, the same for the same two numbers."""
    return random_hue(image, max_delta, whole_seed(seed))


def stateless_random_saturation(
    image: TensorLike, lower: float, upper: float, seed: Any = None
) -> Tensor:
    """As `random_saturation`, the same for the same two numbers."""
    return random_saturation(image, lower, upper, whole_seed(seed))


def stateless_random_crop(
    value: Any, size: Sequence[int], seed: Any, name: str | None = None
) -> Tensor:
    """As `random_crop`, the same for the same two numbers."""
    return random_crop(value, size, whole_seed(seed))


answer_missing(globals(), "fastnn.image")
