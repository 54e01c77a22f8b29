"""Reader of idx files, the format of MNIST and its relatives: a big-endian header, then bytes.

Nothing in a header is believed before it is checked: a file must hold exactly the bytes its header
promises, and a compressed file is never unpacked beyond them.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from os import PathLike
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np
import numpy.typing as npt

Bytes: TypeAlias = npt.NDArray[np.uint8]
Split: TypeAlias = tuple[Bytes, Bytes]

IMAGES_MAGIC = 0x0803  # unsigned bytes, three axes
LABELS_MAGIC = 0x0801  # unsigned bytes, one axis
CLASSES = 10
GZIP_MOST = 1100  # deflate cannot pack more than about 1032 bytes into one

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def load_folder(
    name: str, path: str | PathLike[str] | None, subfolders: tuple[str, ...]
) -> tuple[Split, Split]:
    """Read a data set of four idx files from the first folder that holds them all.

    Raises: FileNotFoundError naming files and folders; FormatError for a damaged or foreign file.
    """
    folders = search_path(name, path, subfolders)
    for folder in folders:
        found = {part: [find(folder, file) for file in files] for part, files in FILES.items()}
        if all(file is not None for files in found.values() for file in files):
            train, test = (read_split(*files) for files in found.values())  # type: ignore[arg-type]
            return train, test
    wanted = ", ".join(file for files in FILES.values() for file in files)
    raise FileNotFoundError(
        f"{name}: the four files {wanted} (plain or with .gz) are not together in any of: "
        f"{', '.join(str(folder) for folder in folders)}\n"
        f"  hint: fastnn never downloads; put the files into one of these folders, "
        f'or call {name}.load_data(path="folder")'
    )


def search_path(
    name: str, path: str | PathLike[str] | None, subfolders: tuple[str, ...]
) -> list[Path]:
    """The folders to look in, in order; an explicit `path` is the only one."""
    if path is not None:
        return [Path(path)]
    data = os.environ.get("FASTNN_DATA")
    folders = [Path(data, sub) for sub in subfolders] if data else []
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return [*folders, Path(cache, "fastnn", name), keras_home() / name.replace("_", "-")]


def keras_home() -> Path:
    """The folder in which Keras keeps data sets."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras", "datasets")


def find(folder: Path, file: str) -> Path | None:
    """The plain or the compressed file, whichever is there; plain first."""
    for candidate in (folder / file, folder / f"{file}.gz"):
        if candidate.is_file():
            return candidate
    return None


def read_split(images: Path, labels: Path) -> Split:
    """Read one pair of files and check that they belong together.

    Shapes: (n, 28, 28) and (n,), both uint8.
    """
    x, y = read_array(images, IMAGES_MAGIC), read_array(labels, LABELS_MAGIC)
    if x.shape[1:] != (28, 28):
        raise format_error(images, f"pictures are {x.shape[1]}x{x.shape[2]}, not 28x28")
    if len(x) != len(y):
        raise format_error(labels, f"{len(y)} labels for the {len(x)} pictures of {images.name}")
    if y.size and y.max() >= CLASSES:
        raise format_error(labels, f"label {y.max()} at position {y.argmax()}; labels are 0 to 9")
    return x, y


def read_array(path: Path, magic: int) -> Bytes:
    """Read one idx file of unsigned bytes whose header starts with `magic`."""
    with open(path, "rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        most = path.stat().st_size * (GZIP_MOST if packed else 1)
        if not packed:
            return read_stream(raw, path, magic, most)
        with gzip.open(raw) as stream:
            try:
                return read_stream(stream, path, magic, most)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise format_error(path, f"damaged gzip data ({error})") from error


def read_stream(stream: IO[bytes] | gzip.GzipFile, path: Path, magic: int, most: int) -> Bytes:
    """Read header and bytes; exactly as many bytes as the header says must follow.

    `most` bounds what the file can possibly hold, so that no header makes us ask for more memory.
    """
    head = stream.read(4)
    if head != struct.pack(">I", magic):
        got = f"starts with {head.hex()}" if head else "is empty"
        raise format_error(path, f"{got}; an idx file of this name starts with {magic:08x}")
    axes = magic & 0xFF
    sizes = stream.read(4 * axes)
    if len(sizes) < 4 * axes:
        raise format_error(path, "ends inside its header")
    shape = struct.unpack(f">{axes}I", sizes)
    wanted = math.prod(shape)
    if wanted > most:
        raise format_error(path, f"is too short for the shape {shape} that its header declares")
    data = stream.read(wanted + 1)
    if len(data) != wanted:
        relation = "more than" if len(data) > wanted else f"only {len(data)} of"
        raise format_error(path, f"holds {relation} the {wanted} bytes that its header declares")
    return np.frombuffer(data, np.uint8).reshape(shape).copy()


def format_error(path: Path, problem: str) -> Exception:
    """A FormatError naming file and problem."""
    import fastnn

    return fastnn.FormatError(
        f"{path}: {problem}\n  hint: fetch the file again; a whole one is never refused"
    )
