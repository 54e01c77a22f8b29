"""Pictures in files and in memory, as arrays. Pillow (extra `[image]`) is imported when used.

Depends on `config`, `errors`.
"""

from __future__ import annotations

import io
import os
import pathlib
import warnings
from typing import Any

import numpy as np

from fastnn.base.arguments import hints_arguments
from fastnn.base.messages import escaped
from fastnn.base.typing import DTypeLike
from fastnn.config import floatx, standardize_data_format
from fastnn.errors import DataError

__all__ = [
    "CHANNELS", "array_to_img", "img_to_array", "load_img", "pillow", "resampling", "save_img",
    "size_of",
]  # fmt: skip

Array = np.ndarray[Any, Any]

#: Channels of a picture by Keras's name of its colours.
CHANNELS = {"grayscale": 1, "rgb": 3, "rgba": 4}

#: Names of Pillow's filters.
_FILTERS = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")

#: Values of EXIF's orientation and what turns the picture upright.
_TURNS = {
    2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE",
    6: "ROTATE_270", 7: "TRANSVERSE", 8: "ROTATE_90",
}  # fmt: skip
_ORIENTATION = 0x0112


def pillow(what: str) -> Any:
    """Pillow's module `Image`, or an ImportError that says what needs it."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            f"{what} needs Pillow, which is not installed\n  hint: pip install 'fastnn-rs[image]'"
        ) from error
    return Image


def resampling(name: str) -> Any:
    """Pillow's filter of this name."""
    if name not in _FILTERS:
        raise ValueError(
            f"Invalid interpolation method {name} specified. Supported methods are "
            f"{', '.join(_FILTERS)}\n  hint: interpolation='bilinear'"
        )
    return getattr(pillow("resizing").Resampling, name.upper())


def size_of(value: Any, name: str) -> tuple[int, int]:
    """(height, width) from an argument."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = (value, value)
    sizes = tuple(value) if isinstance(value, list | tuple) else ()
    if len(sizes) != 2 or any(int(s) != s or s < 1 for s in sizes):
        raise ValueError(
            f"{name} is {value!r}, wanted (height, width) in pixels, whole numbers from 1\n"
            f"  hint: {name}=(224, 224)"
        )
    return int(sizes[0]), int(sizes[1])


def _unreadable(name: str, error: BaseException) -> DataError:
    said = "it is in no known format" if "BytesIO" in str(error) else escaped(str(error))
    return DataError(
        f"the picture {name!r} cannot be read: {said}\n"
        "  hint: mend or remove the file; loaders of folders leave such files out with "
        "on_error='skip'"
    )


def _opened(path: Any) -> tuple[Any, str]:
    """The decoded picture and what messages call it."""
    module = pillow("load_img")
    if isinstance(path, io.BytesIO):
        source, name = path, "in memory"
    elif isinstance(path, str | bytes | os.PathLike):
        name = escaped(os.fsdecode(path))
        try:
            source = io.BytesIO(pathlib.Path(os.fsdecode(path)).expanduser().read_bytes())
        except FileNotFoundError as error:
            raise FileNotFoundError(
                error.errno,
                f"there is no picture {name!r}\n  hint: the path is looked up from {os.getcwd()!r}",
            ) from None
    else:
        raise TypeError(
            f"path should be path-like or io.BytesIO, not {type(path)}\n"
            "  hint: load_img('photo.jpg')"
        )
    try:
        image = module.open(source)
        image.load()
    # Pillow's decoders raise errors of many classes, SyntaxError and struct.error among them.
    except Exception as error:
        raise _unreadable(name, error) from error
    return image, name


def _upright(image: Any) -> Any:
    """The picture as it was taken: cameras store how it is to be turned beside the pixels."""
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION))
    except Exception:  # damaged metadata say nothing about the pixels
        return image
    module = pillow("load_img")
    return image if turn is None else image.transpose(getattr(module.Transpose, turn))


def _eight_bits(image: Any, name: str) -> Any:
    """A picture of 16 bits as one of 8, which colours have; Pillow would cut off at 255."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        values = np.asarray(image).astype(np.float64) / 257.0
        return pillow("load_img").fromarray(np.rint(values.clip(0, 255)).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise DataError(
            f"the picture {name!r} holds numbers of type {image.mode!r} (32 bits), whose black and "
            "white are not known, so it has no colours\n"
            "  hint: color_mode='grayscale' gives the numbers as they are"
        )
    return image


def _coloured(image: Any, mode: str, name: str) -> Any:
    if mode == "grayscale":
        if image.mode in ("I", "F") or image.mode.startswith("I;16"):
            return image
        return image if image.mode == "L" else image.convert("L")
    wanted = mode.upper()
    image = _eight_bits(image, name)
    if image.mode == wanted:
        return image
    if image.mode == "P" and wanted == "RGB" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert(wanted)


def _middle(size: tuple[int, int], target: tuple[int, int]) -> tuple[int, int, int, int]:
    """The largest box in the middle of a picture that has the target's ratio of sides."""
    (width, height), (target_width, target_height) = size, target
    high = min(height, (width * target_height) // target_width)
    wide = min(width, (height * target_width) // target_height)
    top, left = (height - high) // 2, (width - wide) // 2
    return left, top, left + wide, top + high


@hints_arguments
def load_img(
    path: Any,
    color_mode: str = "rgb",
    target_size: Any = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> Any:
    """A picture from a file, decoded, turned upright and resized.

    Pictures of 16 bits keep their numbers (0 to 65,535) with `color_mode="grayscale"` and are
    brought to 8 bits for colours. Where the file says how the picture is to be turned (EXIF), it
    is; Keras leaves it as it lies in the file.

    Args:
        path: The path of the file, or an `io.BytesIO` with its bytes.
        color_mode: `"rgb"`, `"rgba"` or `"grayscale"`.
        target_size: (height, width) in pixels; None keeps the size.
        interpolation: `"nearest"`, `"bilinear"`, `"bicubic"`, `"lanczos"`, `"box"` or `"hamming"`.
        keep_aspect_ratio: Whether to cut what does not fit the target's ratio of sides off first,
            instead of stretching the picture.

    Returns:
        A `PIL.Image.Image`.

    Raises:
        DataError: The file holds no picture, or a broken one.
        ImportError: Pillow (extra `[image]`) is not installed.

    Example:
        >>> import io
        >>> file = io.BytesIO()
        >>> fastnn.utils.save_img(file, np.zeros((2, 4, 3)), file_format="png")
        >>> fastnn.utils.load_img(file, target_size=(8, 8)).size
        (8, 8)
    """
    if color_mode not in CHANNELS:
        raise ValueError(
            'color_mode must be "grayscale", "rgb", or "rgba". '
            f"Received: {color_mode!r}\n  hint: color_mode='rgb'"
        )
    image, name = _opened(path)
    image = _coloured(_upright(image), color_mode, name)
    if target_size is None:
        return image
    height, width = size_of(target_size, "target_size")
    kind = resampling(interpolation)
    if image.size == (width, height):
        return image
    box = _middle(image.size, (width, height)) if keep_aspect_ratio else None
    return image.resize((width, height), kind, box=box)


@hints_arguments
def img_to_array(img: Any, data_format: str | None = None, dtype: DTypeLike = None) -> Array:
    """A picture as an array.

    Args:
        img: A Pillow image, or an array (height, width) or (height, width, channels).
        data_format: `"channels_last"` (default) or `"channels_first"`.
        dtype: The type of the array; None: float32.

    Returns:
        An array (height, width, channels), or (channels, height, width).

    Example:
        >>> fastnn.utils.img_to_array(np.zeros((4, 6))).shape
        (4, 6, 1)
    """
    form = standardize_data_format(data_format)
    x: Array = np.asarray(img, dtype=dtype or floatx())
    if x.ndim not in (2, 3):
        raise ValueError(
            f"Unsupported image shape: {x.shape}\n  hint: (height, width) or (height, width, "
            "channels)"
        )
    if x.ndim == 2:
        x = x[:, :, None]
    return x.transpose(2, 0, 1) if form == "channels_first" else x


@hints_arguments
def array_to_img(
    x: Any, data_format: str | None = None, scale: bool = True, dtype: DTypeLike = None
) -> Any:
    """An array as a Pillow image.

    Args:
        x: (height, width, channels) with 1, 3 or 4 channels.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        scale: Whether the smallest number becomes 0 and the largest 255; else numbers are taken
            as they are, from 0 to 255.
        dtype: The type to compute in; None: float32.

    Returns:
        A `PIL.Image.Image`.

    Raises:
        ValueError: It is no picture, or holds numbers that are not finite.

    Example:
        >>> fastnn.utils.array_to_img(np.zeros((4, 6, 3))).size
        (6, 4)
    """
    form = standardize_data_format(data_format)
    module = pillow("array_to_img")
    values: Array = np.asarray(x, dtype=dtype or floatx())
    if values.ndim != 3:
        raise ValueError(
            "Expected image array to have rank 3 (single image). "
            f"Got array with shape: {values.shape}\n  hint: one picture of a batch: x[0]"
        )
    if form == "channels_first":
        values = values.transpose(1, 2, 0)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise DataError(
            "array_to_img: the array holds NaN or infinite numbers\n  hint: numpy.nan_to_num(x)"
        )
    if scale and values.size:
        values = values - values.min()
        top = values.max()
        values = (values / top if top != 0 else values) * 255
    channels = values.shape[2]
    if channels == 1 and values.size and values.max() > 255:
        return module.fromarray(values[:, :, 0].astype("int32"))
    if channels not in (1, 3, 4):
        raise ValueError(
            f"Unsupported channel number: {channels}\n  hint: 1 (grey), 3 (RGB) or 4 (RGBA)"
        )
    if values.dtype.kind == "f":
        # Numbers outside 0 to 255 wrap around, as with Keras; only so on every processor.
        values = values.astype(np.int64)
    bytes_ = values.astype("uint8")
    return module.fromarray(bytes_[:, :, 0] if channels == 1 else bytes_)


def save_img(
    path: Any,
    x: Any,
    data_format: str | None = None,
    file_format: str | None = None,
    scale: bool = True,
    **kwargs: Any,
) -> None:
    """Writes an array as a picture.

    Args:
        path: A path, whose ending names the format, or a file object.
        x: (height, width, channels) with 1, 3 or 4 channels.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        file_format: The format where `path` does not name it, e.g. `"png"`.
        scale: Whether the smallest number becomes 0 and the largest 255.
        **kwargs: Given to Pillow's `Image.save`.

    Example:
        >>> import io
        >>> file = io.BytesIO()
        >>> fastnn.utils.save_img(file, np.zeros((2, 2, 3)), file_format="png")
        >>> file.getvalue()[1:4]
        b'PNG'
    """
    if isinstance(path, str | os.PathLike):
        path = pathlib.Path(os.fspath(path)).expanduser()
        file_format = file_format or path.suffix[1:].lower()
        if not file_format:
            raise ValueError(
                f"save_img: {str(path)!r} has no ending that names a format\n"
                "  hint: 'picture.png', or file_format='png'"
            )
    if file_format is not None and file_format.lower() == "jpg":
        file_format = "jpeg"
    image = array_to_img(x, data_format=data_format, scale=scale)
    if image.mode == "RGBA" and file_format == "jpeg":
        warnings.warn(
            "The JPEG format does not support RGBA images, converting to RGB.", stacklevel=2
        )
        image = image.convert("RGB")
    image.save(path, format=file_format, **kwargs)
