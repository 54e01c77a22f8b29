"""What a model file holds: kind, layers, inputs, and every array with type and size.

Nothing of the file is run, and of fastnn's own files and ONNX's no layers are built.
Depends on `files`, `fastnn.onnx`.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastnn import _core
from fastnn.base.arguments import hints_arguments, local_path
from fastnn.base.atomic import check_regular
from fastnn.base.messages import shown
from fastnn.errors import FormatError
from fastnn.files import keras as keras_files
from fastnn.files.keras.archive import read_json
from fastnn.files.native import load_model
from fastnn.files.variables import BESIDE
from fastnn.serialization.file_budget import format_errors

__all__ = ["FileContents", "inspect_file"]


@dataclass
class FileContents:
    """What `inspect_file` found; printed, it is a table.

    Args:
        path: The file.
        kind: What kind of file it is, in words.
        size: Its bytes.
        model: Class and name of the model; None for a file of arrays alone.
        inputs: Names, sizes and types of the inputs, as far as the file says.
        outputs: The same of the outputs.
        layers: Class and name of each layer, or op and count in an ONNX file.
        arrays: Name, element type, shape and bytes of each array.
        state: Bytes of what is no weight: an optimizer's state, random states.

    Example:
        >>> fastnn.Sequential([fastnn.Input((3,)), fastnn.layers.Dense(1)]).save("m.safetensors")
        >>> found = fastnn.models.inspect_file("m.safetensors")
        >>> [(name, shape) for name, _, shape, _ in found.arrays]
        [('dense/bias', (1,)), ('dense/kernel', (3, 1))]
    """

    path: str
    kind: str
    size: int
    model: str | None = None
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    layers: list[tuple[str, str]] = field(default_factory=list)
    arrays: list[tuple[str, str, tuple[int, ...], int]] = field(default_factory=list)
    state: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The same in terms of JSON.

        Returns:
            A dict.

        Example:
            >>> fastnn.models.FileContents("m", "a file", 3).to_dict()["size"]
            3
        """
        return dict(self.__dict__)

    def __str__(self) -> str:
        """A table of facts, layers and arrays."""
        numbers: Counter[str] = Counter()
        for _, dtype, shape, _ in self.arrays:
            numbers[dtype] += math.prod(shape)
        held = ", ".join(f"{n:,} {dtype}" for dtype, n in numbers.most_common()) or "none"
        total = sum(a[3] for a in self.arrays)
        facts = [
            ("file", self.path), ("kind", self.kind), ("size", f"{self.size:,} bytes"),
            ("model", self.model), ("inputs", "; ".join(self.inputs)),
            ("outputs", "; ".join(self.outputs)),
            ("weights", f"{len(self.arrays)} arrays, {held}, {total:,} bytes"),
            ("other state", f"{self.state:,} bytes" if self.state else ""),
        ]  # fmt: skip
        lines = [f"{name:<12} {value}" for name, value in facts if value]
        lines += _table(("layer", "name"), self.layers)
        rows = [(n, t, str(tuple(s)), f"{b:,}") for n, t, s, b in self.arrays]
        lines += _table(("weight", "type", "shape", "bytes"), rows)
        return shown("\n".join(lines))


def _table(heads: tuple[str, ...], rows: Any) -> list[str]:
    if not rows:
        return []
    widths = [max(len(str(r[i])) for r in (heads, *rows)) for i in range(len(heads))]
    return [
        "",
        *("  ".join(f"{c!s:<{w}}" for c, w in zip(r, widths, strict=True)).rstrip()
          for r in (heads, *rows)),
    ]  # fmt: skip


@hints_arguments
def inspect_file(path: str | os.PathLike[str]) -> FileContents:
    """What a model file holds, of fastnn, Keras or ONNX, or any safetensors file.

    Args:
        path: The file.

    Returns:
        A `FileContents`, which prints as a table.

    Raises:
        FileNotFoundError: There is no such file.
        FormatError: The file is damaged or of another kind.

    Example:
        >>> model = fastnn.Sequential([fastnn.Input((3,)), fastnn.layers.Dense(1)], name="m")
        >>> model.save("m.safetensors")
        >>> print(fastnn.models.inspect_file("m.safetensors").model)
        Sequential 'm', 2 layers
    """
    name = local_path(path)
    check_regular(name)
    if not os.path.exists(name):
        raise FileNotFoundError(f"no file {name!r}\n  hint: the path of a model file")
    with open(name, "rb") as file:
        head = file.read(8)
    if head[:2] == b"PK" or head == b"\x89HDF\r\n\x1a\n":
        return _of_keras(name, head[:2] == b"PK")
    if name.endswith(".onnx"):
        return _of_onnx(name)
    return _of_safetensors(name)


def _arrays(tensors: dict[str, Any]) -> list[tuple[str, str, tuple[int, ...], int]]:
    return [
        (k, str(a.dtype), tuple(int(d) for d in a.shape), int(a.nbytes))
        for k, a in ((k, np.asarray(v)) for k, v in sorted(tensors.items()))
    ]


def _of_safetensors(path: str) -> FileContents:
    with format_errors(path):
        tensors, metadata = _core.load_file(path)
    found = FileContents(path, "safetensors", os.path.getsize(path))
    weights = {
        k: v for k, v in tensors.items() if not k.startswith(BESIDE) and not k.endswith("/state")
    }
    found.arrays = _arrays(weights)
    found.state = sum(np.asarray(v).nbytes for k, v in tensors.items() if k not in weights)
    if "fastnn.format" in metadata:
        version = metadata.get("fastnn.version", "?")
        found.kind = f"safetensors of fastnn {version}, format {metadata['fastnn.format']}"
    if "fastnn.config" in metadata:
        config = read_json(metadata["fastnn.config"], "'fastnn.config'", path)
        found.layers = _layers(config)
        inner = config.get("config") if isinstance(config, dict) else None
        name = inner.get("name") if isinstance(inner, dict) else None
        found.model = f"{config.get('class_name')} {name!r}, {len(found.layers)} layers"
    if "fastnn.graph" in metadata:
        graph = read_json(metadata["fastnn.graph"], "'fastnn.graph'", path)
        found.inputs = [_input(i, graph.get("sizes", [])) for i in graph.get("inputs", [])]
    return found


def _input(entry: Any, sizes: Any) -> str:
    def told(d: Any) -> str:
        if isinstance(d, dict) and "size" in d:
            size = sizes[d["size"]]
            return size if isinstance(size, str) else "?"
        return "batch" if d is None else str(d)

    return f"{entry.get('name')} ({', '.join(map(told, entry['shape']))}) {entry.get('dtype')}"


def _layers(config: Any) -> list[tuple[str, str]]:
    """Class and name of the layers that a config lists, those of models inside too."""
    inner = config.get("config") if isinstance(config, dict) else None
    listed = inner.get("layers") if isinstance(inner, dict) else None
    found = []
    for entry in listed if isinstance(listed, list) else []:
        held = entry.get("config") if isinstance(entry, dict) else None
        if isinstance(held, dict):
            found.append((str(entry.get("class_name")), str(held.get("name", ""))))
            found += _layers(entry)
    return found


def _of_keras(path: str, is_zip: bool) -> FileContents:
    found = FileContents(path, "Keras 3" if is_zip else "Keras, HDF5", os.path.getsize(path))
    if path.endswith(".weights.h5"):
        found.kind = "weights of Keras 3"
        held = keras_files.read_weights(path)
        weights = {k: v for k, v in held.items() if not k.startswith("optimizer/")}
        found.arrays = _arrays(weights)
        found.state = sum(v.nbytes for k, v in held.items() if k not in weights)
        return found
    try:
        model = load_model(path, compile=False)
    except FormatError:
        if is_zip:
            raise
        found.kind = "weights of Keras, HDF5"
        found.arrays = _arrays(keras_files.read_weights(path))
        return found
    layers = [layer for layer in model._every_layer() if layer is not model]
    found.layers = [(type(layer).__name__, layer.name) for layer in layers]
    found.model = f"{type(model).__name__} {model.name!r}, {len(layers)} layers"
    shapes = model._input_shapes()
    if shapes is not None:
        told = zip(*shapes, strict=True)
        found.inputs = [f"{n} {tuple('batch' if d is None else d for d in s)}" for n, s in told]
    found.arrays = [
        (v.path, v.dtype, tuple(v.shape), int(np.asarray(v).nbytes)) for v in model.weights
    ]
    return found


def _of_onnx(path: str) -> FileContents:
    from fastnn.onnx.reader import read

    graph = read(path)
    opsets = ", ".join(f"{k or 'ai.onnx'} {v}" for k, v in sorted(graph.opsets.items()))
    found = FileContents(path, f"ONNX, opset {opsets}", os.path.getsize(path))
    found.model = f"graph {graph.name!r}, {len(graph.nodes)} nodes"
    for values, into in ((graph.inputs, found.inputs), (graph.outputs, found.outputs)):
        for v in values:
            sizes = "?" if v.shape is None else ", ".join("?" if d is None else str(d)
                                                          for d in v.shape)  # fmt: skip
            into.append(f"{v.name} ({sizes}) {v.dtype}")
    counted = Counter(n.op for n in graph.nodes)
    found.layers = [(op, f"{n} times" if n > 1 else "once") for op, n in counted.most_common()]
    found.arrays = _arrays({k: v for k, v in graph.arrays.items() if v is not None})
    return found
