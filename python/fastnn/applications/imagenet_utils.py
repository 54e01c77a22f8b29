"""Pixels as the networks were trained on them, and names of the classes they tell apart.

Depends on `config`, `ops`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from fastnn import ops
from fastnn.applications.network import find
from fastnn.base.arguments import hints_arguments
from fastnn.base.typing import TensorLike
from fastnn.config import floatx, standardize_data_format
from fastnn.data.arrays import numbers_of
from fastnn.errors import DataError, FormatError, ShapeError

__all__ = ["decode_predictions", "preprocess_input"]

_MEANS = {"caffe": (103.939, 116.779, 123.68), "torch": (0.485, 0.456, 0.406)}
_DEVIATIONS = (0.229, 0.224, 0.225)


@hints_arguments
def preprocess_input(x: TensorLike, data_format: str | None = None, mode: str = "caffe") -> Any:
    """Pixels from 0 to 255 as a network wants them.

    Args:
        x: Pictures (…, height, width, 3), red, green and blue. An array stays as it is.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        mode: `"caffe"` (blue, green and red without their means on ImageNet), `"tf"` (from -1 to 1)
            or `"torch"` (from 0 to 1, then mean 0 and deviation 1 on ImageNet).

    Returns:
        An array for an array, a tensor for a tensor.

    Example:
        >>> from fastnn.applications import imagenet_utils
        >>> imagenet_utils.preprocess_input(np.full((1, 1, 3), 255.0), mode="tf").ravel()
        array([1., 1., 1.])
    """
    if mode not in ("caffe", "tf", "torch"):
        raise ValueError(
            f"Expected mode to be one of `caffe`, `tf` or `torch`. Received: mode={mode}"
            "\n  hint: mode='caffe'"
        )
    form = standardize_data_format(data_format)
    if isinstance(x, str | bytes | os.PathLike):
        raise DataError(
            f"preprocess_input got the text {os.fsdecode(x)!r:.60}, wanted pixels\n"
            "  hint: img_to_array(load_img(path)) reads a picture"
        )
    if isinstance(x, np.ndarray):
        x = numbers_of(x, "x")
        x = x.astype(x.dtype if x.dtype.kind == "f" else floatx())
    else:
        x = ops.cast(ops.convert_to_tensor(x), "float32")
    if mode == "tf":
        return x / 127.5 - 1.0
    axis = -3 if form == "channels_first" else -1
    if len(x.shape) < 3 or x.shape[axis] != 3:
        raise ShapeError(
            f"preprocess_input: pictures of shape {tuple(x.shape)}, wanted 3 channels on axis "
            f"{axis}\n  hint: red, green and blue"
        )
    shape = (3, 1, 1) if axis == -3 else (3,)
    kind = x.dtype if isinstance(x, np.ndarray) else "float32"
    mean = np.asarray(_MEANS[mode], kind).reshape(shape)
    if mode == "torch":
        return (x / 255.0 - mean) / np.asarray(_DEVIATIONS, kind).reshape(shape)
    turned = np.flip(x, axis) if isinstance(x, np.ndarray) else ops.flip(x, axis)
    return turned - mean


def _class_names(path: Any) -> list[tuple[str, str]]:
    """(identifier, name) of each class in a file: Keras's JSON, or one name a line."""
    text = Path(path).read_text(encoding="utf-8")
    if not text.lstrip().startswith("{"):
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return [(str(i), line) for i, line in enumerate(lines)]
    try:
        table = json.loads(text)
        return [tuple(table[str(i)]) for i in range(len(table))]
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(
            f"{os.fspath(path)!r} is no list of classes: {error}\n"
            '  hint: {"0": ["n01440764", "tench"], ...}, or one name a line'
        ) from error


@hints_arguments
def decode_predictions(preds: Any, top: int = 5, class_file: Any = None) -> list[Any]:
    """The most probable classes with their names.

    Args:
        preds: Probabilities (n, classes).
        top: How many classes of each picture.
        class_file: The file of names: Keras's `imagenet_class_index.json`, or text with one name a
            line. None looks for Keras's file where trained weights are looked for.

    Returns:
        A list per picture of (identifier, name, probability), the most probable first.

    Raises:
        ShapeError: `preds` is no batch of predictions of so many classes.

    Example:
        >>> import pathlib, tempfile
        >>> names = pathlib.Path(tempfile.mkdtemp()) / "names.txt"
        >>> _ = names.write_text(chr(10).join(["daisy", "dandelion"]))
        >>> preds = np.array([[0.25, 0.75]])
        >>> found = fastnn.applications.imagenet_utils.decode_predictions(preds, 1, names)
        >>> [(name, float(p)) for _, name, p in found[0]]
        [('dandelion', 0.75)]
    """
    values = ops.convert_to_numpy(preds)
    if values.ndim != 2 or (class_file is None and values.shape[1] != 1000):
        raise ShapeError(
            "`decode_predictions` expects a batch of predictions (i.e. a 2D array of shape "
            f"(samples, 1000)). Received array with shape: {values.shape}\n"
            "  hint: class_file=... names other classes"
        )
    if class_file is None:
        class_file = find("decode_predictions", "imagenet_class_index.json")
    names = _class_names(class_file)
    if len(names) != values.shape[1]:
        raise DataError(
            f"{os.fspath(class_file)!r} names {len(names)} classes, the predictions have "
            f"{values.shape[1]}\n  hint: the list that belongs to the network"
        )
    found = []
    for row in values:
        best = np.argsort(-row, kind="stable")[:top]
        found.append([(*names[i], row[i]) for i in best])
    return found
