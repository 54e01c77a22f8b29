"""Files of Keras's data sets where Keras keeps them, read without running what they say.

Nothing is downloaded. Pickled lists of numbers, which some of these files hold, are read by an
unpickler that knows NumPy's arrays and nothing else.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from fastnn.errors import FormatError

from .idx import format_error, keras_home, search_path

#: What a pickle of an array may name.
_ARRAYS = {
    ("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode"),
    ("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "scalar"),
}  # fmt: skip


def _folders(name: str) -> list[Path]:
    """Where the files of a data set are looked for when no path is given."""
    return [keras_home(), *search_path(name, None, (name, "."))]


def where(name: str, file: str, path: str | PathLike[str] | None) -> Path:
    """A file or folder of a data set; FileNotFoundError that names where it was looked for.

    `path` is the file itself, a folder that holds it, or, as in Keras, its name in the cache.
    """
    named = file if path is None else os.fspath(path)
    found = [folder / named for folder in _folders(name)]
    if path is not None:
        found = [Path(named), Path(named, file), *found]
    for place in found:
        if place.is_file():
            return place
    raise FileNotFoundError(
        f"{name}: {file} is not in any of: {', '.join(str(place.parent) for place in found)}\n"
        f"  hint: fastnn never downloads; put {file}, as Keras has it, into one of these folders, "
        f'or call {name}.load_data(path="{file}") with where it is'
    )


def folder(name: str, inner: str, path: str | PathLike[str] | None) -> Path:
    """A folder of files: where Keras unpacks it, itself, or within `path`."""
    roots = _folders(name) if path is None else [Path(path), Path(path).parent]
    for root in roots:
        for place in (root / inner, root / f"{inner}-target" / inner):
            if place.is_dir():
                return place
    raise FileNotFoundError(
        f"{name}: the folder {inner} is not in any of: {', '.join(map(str, roots))}\n"
        f"  hint: fastnn never downloads; unpack {inner} into one of these folders, "
        f'or call {name}.load_data(path="{inner}") with where it is'
    )


class _Arrays(pickle.Unpickler):
    """Reads pickles of arrays, lists and numbers; whatever else one names is refused."""

    def __init__(self, file: Any, path: Path, **settings: Any) -> None:
        super().__init__(file, **settings)
        self.path = path

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ARRAYS:
            raise format_error(self.path, f"names {module}.{name}, which is no array")
        return super().find_class(module, name)


def _loaded(path: Path, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except FormatError:
        raise
    except (pickle.UnpicklingError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise format_error(path, f"is not what its name says ({error})") from error


def unpickled(path: Path) -> dict[str, Any]:
    """The dict that a file of CIFAR holds."""

    def read() -> dict[str, Any]:
        with open(path, "rb") as file:
            return {k.decode(): v for k, v in _Arrays(file, path, encoding="bytes").load().items()}

    return _loaded(path, read)  # type: ignore[no-any-return]


def arrays_of(path: Path, names: tuple[str, ...]) -> list[Any]:
    """Arrays of an `.npz` file, those of Python lists among them."""

    def one(archive: zipfile.ZipFile, name: str) -> Any:
        stream = io.BytesIO(archive.read(f"{name}.npy"))
        version = np.lib.format.read_magic(stream)
        header = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
        shape, _, dtype = header[version[0]](stream)
        if dtype.hasobject:
            values: Any = _Arrays(stream, path).load()
            return values.reshape(shape)
        stream.seek(0)
        return np.lib.format.read_array(stream, allow_pickle=False)

    def read() -> list[Any]:
        with zipfile.ZipFile(path) as archive:
            return [one(archive, name) for name in names]

    return _loaded(path, read)  # type: ignore[no-any-return]


def word_index(name: str, path: str | PathLike[str] | None) -> dict[str, int]:
    """The numbers of the words of a text data set."""
    place = where(name, f"{name}_word_index.json", path)

    def read() -> dict[str, int]:
        with open(place, encoding="utf-8") as file:
            return dict(json.load(file))

    return _loaded(place, read)  # type: ignore[no-any-return]


def shuffled(x: Any, y: Any, seed: int) -> tuple[Any, Any]:
    """Both in the order that Keras draws by this seed."""
    order = np.arange(len(x))
    np.random.RandomState(seed).shuffle(order)
    return x[order], y[order]


def split(x: Any, y: Any, test_split: float) -> Any:
    """Rows, of which the last are for tests."""
    if not 0 <= test_split < 1:
        raise ValueError(f"test_split is {test_split!r}, wanted 0 to 1\n  hint: test_split=0.2")
    count = int(len(x) * (1 - test_split))
    return (x[:count], y[:count]), (x[count:], y[count:])


def numbered(
    x: Any, y: Any, maxlen: int | None, start_char: int | None, index_from: int | None
) -> tuple[list[list[int]], Any]:
    """Texts with a mark at their start and numbers moved up; long ones are left out."""
    add, start = index_from or 0, [] if start_char is None else [start_char]
    texts = [[*start, *(w + add for w in text)] for text in x]
    if maxlen:
        short = [i for i, text in enumerate(texts) if len(text) < maxlen]
        if not short:
            raise ValueError(
                f"maxlen={maxlen} leaves no text\n  hint: a larger maxlen, or None for all"
            )
        texts, y = [texts[i] for i in short], np.asarray([y[i] for i in short])
    return texts, y


def cut_words(
    texts: list[list[int]], num_words: int | None, skip_top: int, oov_char: int | None
) -> list[list[int]]:
    """Texts with the words out of the range replaced by `oov_char`, or left out for None."""
    end = num_words or max(max(text) for text in texts)
    if oov_char is None:
        return [[w for w in text if skip_top <= w < end] for text in texts]
    return [[w if skip_top <= w < end else oov_char for w in text] for text in texts]


def lists(texts: list[list[int]]) -> Any:
    """An array of lists, as Keras gives it."""
    made = np.empty(len(texts), dtype=object)
    made[:] = texts
    return made


def pictures(batches: list[tuple[Any, Any]]) -> tuple[Any, Any]:
    """Pictures (n, 32, 32, 3) and labels (n, 1) of batches of rows of 3072 bytes."""
    x = np.concatenate([np.asarray(data, np.uint8) for data, _ in batches])
    y = np.concatenate([np.asarray(labels, np.uint8) for _, labels in batches])
    return x.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), y.reshape(-1, 1)
