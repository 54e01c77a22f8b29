"""`tf.io`: files and pictures in them. Pillow (extra `[image]`) is imported when used.

What a file holds is an array without axes of one `bytes`. Depends on `data`, `_core`.
"""

from __future__ import annotations

import glob as _glob
import io as _memory
import os
import shutil
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from fastnn import _core, ops
from fastnn._core import Tensor
from fastnn.base.absent import answer_missing
from fastnn.base.text import as_text
from fastnn.base.typing import DTypeLike, TensorLike
from fastnn.data.images import pillow
from fastnn.data.text_files import columns_of_lines
from fastnn.errors import DataError
from fastnn.layers.preprocessing.host import array_of, texts_of

__all__ = [
    "decode_bmp", "decode_csv", "decode_gif", "decode_image", "decode_jpeg", "decode_png",
    "encode_jpeg", "encode_png", "gfile", "matching_files", "read_file", "write_file",
]  # fmt: skip

Content = np.ndarray[Any, Any]


def _text(value: Any) -> str:
    """A path, given as text, as bytes or as an array of one."""
    value = value.item() if isinstance(value, np.ndarray) else value
    return value.decode() if isinstance(value, bytes) else os.fspath(value)


def _content(data: bytes) -> Content:
    held = np.empty((), object)
    held[()] = data
    return held


def read_file(filename: Any, name: str | None = None) -> Content:
    """What a file holds."""
    with open(_text(filename), "rb") as file:
        return _content(file.read())


def write_file(filename: Any, contents: Any, name: str | None = None) -> None:
    """Writes what `read_file` gives or an encoder made; folders are made."""
    path = _text(filename)
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    contents = contents.item() if isinstance(contents, np.ndarray) else contents
    with open(path, "wb") as file:
        file.write(contents.encode() if isinstance(contents, str) else contents)


def matching_files(pattern: Any, name: str | None = None) -> Content:
    """The paths that fit a pattern, in order."""
    return np.array(sorted(_glob.glob(_text(pattern))), str)


_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def decode_csv(
    records: Any,
    record_defaults: Sequence[Any],
    field_delim: str = ",",
    use_quote_delim: bool = True,
    na_value: str = "",
    select_cols: Sequence[int] | None = None,
    name: str | None = None,
) -> list[Any]:
    """The columns of lines of a csv file, as tensors of the lines' shape."""
    lines = texts_of(array_of(records), "tf.io.decode_csv")
    columns = columns_of_lines(
        lines.ravel().tolist(), record_defaults, field_delim, use_quote_delim, na_value,
        select_cols, "tf.io.decode_csv",
    )  # fmt: skip
    shaped = [column.reshape(lines.shape) for column in columns]
    return [as_text(c) if c.dtype.kind == "U" else ops.convert_to_tensor(c) for c in shaped]


def _decoded(contents: Any, channels: Any, name: str) -> Tensor:
    data = contents.item() if isinstance(contents, np.ndarray) else contents
    if not isinstance(data, bytes):
        raise DataError(
            f"tf.io.{name}: got {type(data).__name__}, wanted what a file holds\n"
            "  hint: tf.io.read_file(path)"
        )
    if channels not in (None, 0, *_MODES):
        raise DataError(f"tf.io.{name}: channels={channels!r}\n  hint: 0, 1, 3 or 4")
    try:
        picture = pillow("tf.io").open(_memory.BytesIO(data))
        picture.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(
            f"tf.io.{name}: the content is no picture in a known format\n  hint: look at the file"
        ) from error
    if channels:
        picture = picture.convert(_MODES[channels])
    elif picture.mode not in ("L", "RGB", "RGBA"):
        picture = picture.convert("RGBA" if "transparency" in picture.info else "RGB")
    array = np.asarray(picture)
    return _core.tensor(array[..., None] if array.ndim == 2 else array)


def decode_image(
    contents: Any, channels: int | None = None, dtype: DTypeLike = None, name: str | None = None,
    expand_animations: bool = True,
) -> Tensor:  # fmt: skip
    """A picture of any format as (rows, columns, channels), from 0 to 255, or 1 for floats."""
    x = _decoded(contents, channels, "decode_image")
    return ops.cast(x, "float32") / 255.0 if "float" in str(dtype) else x


def decode_jpeg(
    contents: Any, channels: int = 0, ratio: int = 1, fancy_upscaling: bool = True,
    try_recover_truncated: bool = False, acceptable_fraction: float = 1, dct_method: str = "",
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """A picture as (rows, columns, channels), from 0 to 255; 0 channels: as in the file."""
    if ratio != 1:
        raise DataError(f"tf.io.decode_jpeg: ratio={ratio}\n  hint: tf.image.resize afterwards")
    return _decoded(contents, channels, "decode_jpeg")


def decode_png(
    contents: Any, channels: int = 0, dtype: DTypeLike = None, name: str | None = None
) -> Tensor:
    """A picture as (rows, columns, channels), from 0 to 255; 0 channels: as in the file."""
    return _decoded(contents, channels, "decode_png")


def decode_bmp(contents: Any, channels: int = 0, name: str | None = None) -> Tensor:
    """A picture as (rows, columns, channels), from 0 to 255; 0 channels: as in the file."""
    return _decoded(contents, channels, "decode_bmp")


def decode_gif(contents: Any, name: str | None = None) -> Tensor:
    """The first picture of a file as (1, rows, columns, 3), from 0 to 255."""
    return _decoded(contents, 3, "decode_gif")[None]


def _encoded(image: TensorLike, form: str, **options: Any) -> Content:
    x = np.asarray(image)
    if x.ndim != 3 or x.shape[-1] not in _MODES or x.dtype.kind == "f":
        raise DataError(
            f"tf.io.encode_{form}: got shape {x.shape} of {x.dtype}, wanted (rows, columns, 1, 3 "
            "or 4) of whole numbers\n  hint: tf.cast(image * 255, tf.uint8)"
        )
    if x.size and (x.min() < 0 or x.max() > 255):
        raise DataError(f"tf.io.encode_{form}: numbers outside 0 to 255\n  hint: clip them")
    held, pixels = _memory.BytesIO(), x.astype(np.uint8)
    picture = pillow("tf.io").fromarray(pixels[..., 0] if x.shape[-1] == 1 else pixels)
    picture.save(held, form.upper(), **options)
    return _content(held.getvalue())


def encode_jpeg(
    image: TensorLike, format: str = "", quality: int = 95, name: str | None = None
) -> Content:
    """A picture of whole numbers from 0 to 255 as the content of a JPEG file."""
    return _encoded(image, "jpeg", quality=quality)


def encode_png(image: TensorLike, compression: int = -1, name: str | None = None) -> Content:
    """A picture of whole numbers from 0 to 255 as the content of a PNG file."""
    return _encoded(image, "png")


#: Files and folders, as `tf.io.gfile` names what `os` and `glob` have.
gfile = SimpleNamespace(
    GFile=lambda name, mode="r": open(_text(name), mode),  # noqa: SIM115
    exists=lambda path: os.path.exists(_text(path)),
    glob=lambda pattern: sorted(_glob.glob(_text(pattern))),
    isdir=lambda path: os.path.isdir(_text(path)),
    listdir=lambda path: sorted(os.listdir(_text(path))),
    makedirs=lambda path: os.makedirs(_text(path), exist_ok=True),
    mkdir=lambda path: os.mkdir(_text(path)),
    remove=lambda path: os.remove(_text(path)),
    rmtree=lambda path: shutil.rmtree(_text(path)),
    copy=lambda src, dst, overwrite=False: shutil.copyfile(_text(src), _text(dst)) and None,
    join=os.path.join,
)

answer_missing(globals(), "fastnn.io")
