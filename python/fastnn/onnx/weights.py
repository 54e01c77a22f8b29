"""Which arrays of a file are weights, that training may change, and which only say how.

Depends on `graph`.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from fastnn.files.variables import BESIDE
from fastnn.onnx.graph import Graph, Node, inner_graphs

__all__ = ["split_weights", "variable_names"]

#: Inputs that are known numbers of a node, by op; None: all of them.
_SETTINGS: dict[str, tuple[int, ...] | None] = {
    "Clip": (1, 2), "Pad": (1, 2, 3), "Resize": (1, 2, 3), "Upsample": (1,), "OneHot": (1, 2),
    "Range": None, "Dropout": (1, 2), "If": (0,), "Loop": (0, 1), "NonZero": None, "Unique": None,
    "Compress": (1,), "QuantizeLinear": None, "DequantizeLinear": None, "QLinearConv": None,
    "QLinearMatMul": None, "DynamicQuantizeLinear": None, "MatMulInteger": None,
    "ConvInteger": None, "NonMaxSuppression": None, "RoiAlign": (1,),
    "MaxUnpool": None, "GridSample": (1,), "DFT": None, "STFT": None, "MelWeightMatrix": None,
    "QGemm": None, "QLinearAdd": None, "QLinearMul": None, "QLinearAveragePool": None,
    "QLinearConcat": None, "QLinearGlobalAveragePool": None, "QLinearLeakyRelu": None,
    "QLinearSigmoid": None, "QLinearSoftmax": None, "DynamicQuantizeLSTM": (8, 9, 10, 11),
    "Det": None, "TensorScatter": None, "Col2Im": (1, 2), "Bernoulli": None,
}  # fmt: skip
#: Inputs that a training step of the file's own program would move, and gradients do not.
_STATISTICS = {"BatchNormalization": (3, 4)}
_FLOATS = ("float32", "float16", "float64", "bfloat16")


def split_weights(graph: Graph) -> dict[str, tuple[np.ndarray[Any, Any], bool]]:
    """Takes the weights out of a graph: float32 arrays by name, and whether they are trained."""
    fixed: set[str] = set()
    still: set[str] = set()
    _look(graph.nodes, fixed, still)
    for function in graph.functions.values():
        _look(function.nodes, fixed, still)
    given_out = {v.name for v in graph.outputs}
    found = {}
    for name, array in graph.arrays.items():
        if (
            array is None
            or array.ndim == 0
            or not array.size
            or str(array.dtype) not in _FLOATS
            or name in fixed
            or name in given_out
        ):
            continue
        found[name] = np.ascontiguousarray(array, np.float32), name not in still
    for name in found:
        graph.arrays[name] = None
    return found


def _look(nodes: list[Node], fixed: set[str], still: set[str]) -> None:
    for node in nodes:
        places = _SETTINGS.get(node.op, ())
        fixed.update(name for i, name in enumerate(node.inputs) if places is None or i in places)
        still.update(
            name for i, name in enumerate(node.inputs) if i in _STATISTICS.get(node.op, ())
        )
        for graph in inner_graphs(node):
            _look(graph.nodes, fixed, still)


def variable_names(names: list[str]) -> dict[str, str]:
    """What the weights are called in fastnn's files: plain text, no two alike."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        plain = re.sub(r"[^\w./:-]", "_", name).strip("/") or "weight"
        if plain.startswith(BESIDE):
            plain = f"weights/{plain}"
        plain = plain + "_" if plain.endswith("/state") else plain
        unique, n = plain, 1
        while unique in taken:
            unique, n = f"{plain}_{n}", n + 1
        taken.add(unique)
        found[name] = unique
    return found
