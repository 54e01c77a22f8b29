"""Elements of data sets in a folder: one archive of arrays, and what it holds as JSON.

Nothing in it is code, and names are those that are expected, so a file from elsewhere does no more
than give arrays. Depends on `specs`, `atomic`, `tree`.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.lib import format as npy

from fastnn.base import tree
from fastnn.base.atomic import replace_file
from fastnn.data.specs import TensorSpec
from fastnn.errors import DataError, FormatError

__all__ = ["read_elements", "write_elements"]

_FILE, _TOLD, _FORMAT = "elements.zip", "dataset.json", "fastnn data set 1"


def _shaped(element: Any, leaf: Callable[[Any], Any]) -> Any:
    """The nesting of an element as JSON: tuples and dicts, with leaves as told."""
    if isinstance(element, dict):
        return {"dict": {str(k): _shaped(v, leaf) for k, v in element.items()}}
    if isinstance(element, tuple | list):
        return {"tuple": [_shaped(v, leaf) for v in element]}
    return leaf(element)


def _nested(told: Any) -> Any:
    """The nesting that `_shaped` told, with a `TensorSpec` for each array."""
    if "dict" in told:
        return {k: _nested(v) for k, v in told["dict"].items()}
    if "tuple" in told:
        return tuple(_nested(v) for v in told["tuple"])
    return TensorSpec(told["shape"], told["dtype"])


def _leaf(spec: Any) -> dict[str, Any]:
    if not isinstance(spec, TensorSpec):
        raise DataError(
            f"save: an element holds {type(spec).__name__}, wanted arrays\n"
            "  hint: flat_map(lambda w: w.batch(n)) makes arrays of windows"
        )
    return {"shape": spec.shape.as_list(), "dtype": str(spec.dtype)}


def write_elements(
    path: Any, elements: Iterable[Any], spec: Callable[[], Any], compressed: bool
) -> None:
    """Writes elements into the folder `path`; what is there stays whole until all are written."""
    folder = os.fspath(path)
    os.makedirs(folder, exist_ok=True)
    kind = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED

    def write(temporary: str) -> None:
        count = 0
        with zipfile.ZipFile(temporary, "w", kind) as archive:
            for element in elements:
                for at, a in enumerate(tree.flatten(element)):
                    value = np.asarray(a)
                    value = value.astype(str) if value.dtype.kind == "O" else value
                    with archive.open(f"{count}/{at}.npy", "w", force_zip64=True) as entry:
                        npy.write_array(entry, value, allow_pickle=False)
                count += 1
            told = _shaped(spec(), _leaf) if count else None
            text = json.dumps({"format": _FORMAT, "count": count, "spec": told})
            archive.writestr(_TOLD, text)

    replace_file(os.path.join(folder, _FILE), write)


def read_elements(path: Any) -> tuple[Callable[[], Iterator[Any]], int, Any]:
    """How to read the elements of a folder, how many there are, and what they are."""
    folder = os.fspath(path)
    place = os.path.join(folder, _FILE)
    if not os.path.isfile(place):
        if os.path.isfile(os.path.join(folder, "dataset_spec.pb")):
            raise FormatError(
                f"{folder!r} was saved by TensorFlow, whose format is not read\n"
                "  hint: there, np.savez of the arrays; here, from_tensor_slices"
            )
        raise FileNotFoundError(
            f"there is no saved data set in {folder!r}\n  hint: dataset.save(path) first"
        )
    try:
        with zipfile.ZipFile(place) as archive:
            told = json.loads(archive.read(_TOLD))
        count, spec = int(told["count"]), told["spec"] and _nested(told["spec"])
        known = told["format"] == _FORMAT and count >= 0
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError):
        known = False
    if not known:
        raise FormatError(
            f"{place!r} is no saved data set\n  hint: the file is damaged: save it again"
        )

    def make() -> Iterator[Any]:
        leaves = len(tree.flatten(spec))
        with zipfile.ZipFile(place) as archive:
            for i in range(count):
                found = []
                for at in range(leaves):
                    with archive.open(f"{i}/{at}.npy") as entry:
                        found.append(npy.read_array(entry, allow_pickle=False))
                yield tree.pack(spec, found)

    return make, count, spec
