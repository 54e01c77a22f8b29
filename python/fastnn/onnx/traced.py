"""The inference graph of a model as rows of the op table, with the types of all values.

The graph is the one that fastnn's files hold. Types are found by running the shape rules again on
numbers in place of open sizes. Depends on `files`, `layers`.
"""

from __future__ import annotations

import json
import math
import operator
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastnn import _core
from fastnn._core import Tensor
from fastnn.base import tree
from fastnn.errors import DataError
from fastnn.files.variables import named_variables, save_file
from fastnn.layers.preprocessing.host import HostLayer
from fastnn.tracing.call_context import CallContext, current_names

__all__ = [
    "Row", "TracedModel", "Value", "in_numbers", "is_shape", "replayed", "trace",
    "types_of",
]  # fmt: skip

#: Numbers in place of open sizes; the first for which all shape rules hold is taken. They are
#: large, as windows and slices must fit, and no two are equal.
_SAMPLES = ((24, 40, 56, 72), (96, 224, 160, 288), (1, 1, 1, 1))


@dataclass
class Value:
    """A value of the graph: what it is called in the file, and its type for sampled sizes."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self.shape)


@dataclass
class Row:
    """A call of an op: its name, operands, attributes by name, and the types of its results."""

    op: str
    inputs: list[int]
    attrs: dict[str, Any]
    results: list[Tensor] = field(default_factory=list)


@dataclass
class TracedModel:
    """A model's inference graph: `graph` is that of fastnn's files, read from JSON."""

    graph: dict[str, Any]
    tensors: dict[str, np.ndarray[Any, Any]]
    input_names: list[str]
    output_names: list[str]
    output_shapes: list[tuple[Any, ...]]
    calls: list[tuple[str, str, list[Tensor]]]
    feeds: list[Tensor]

    def layer_of(self, op: str) -> str | None:
        """Path and class of the first layer whose result needs a row of this name."""
        for path, kind, outputs in self.calls:
            function = _core.Function(self.feeds, outputs, [])
            graph, _ = _as_file(function, {})
            if any(node["op"] == op for node in _all_nodes(graph)):
                return f"{path!r} ({kind})"
        return None


class _Watch(CallContext):
    """A call that notes what each layer gives, inner layers first."""

    def __init__(self) -> None:
        super().__init__(False)
        self.calls: list[tuple[str, str, list[Tensor]]] = []

    def called(self, layer: Any, args: tuple[Any, ...], outputs: Any) -> None:
        """Notes one call."""
        path = "/".join([*current_names(), layer.name])
        found = [x for x in tree.flatten(outputs) if isinstance(x, Tensor)]
        self.calls.append((path, type(layer).__name__, found))


def trace(model: Any, what: str, signature: Any = None) -> TracedModel:
    """The inference graph of a model for all sizes that its inputs leave open.

    `signature` is a shape or an object with one, or a list or dict of them, in place of the model's
    own inputs.
    """
    for layer in model._every_layer():
        if isinstance(layer, HostLayer):
            raise DataError(
                f"{what}: layer {layer.name!r} ({type(layer).__name__}) works on values before the "
                "graph begins, which would be lacking in the file\n"
                "  hint: export what comes after it: fastnn.Model(layer.output, model.output)"
            )
    names, shapes, dtypes, structure = _inputs_of(model, what, signature)
    arrays = [
        np.zeros([1 if d is None else d for d in (1, *s[1:])], dtype)
        for s, dtype in zip(shapes, dtypes, strict=True)
    ]
    watch = _Watch()
    function, out, _ = model._traced_prediction(tree.pack(structure, arrays), context=watch)
    rows, tensors = _as_file(function, named_variables(model))
    named = getattr(model, "_functional", None) or model  # a Sequential's outputs have no names
    outputs = tree.flatten(out)
    names = _unique(names, "input", len(arrays))
    ends = _unique(getattr(named, "output_names", None) or [], "output", len(outputs))
    if set(ends) & set(names):  # an output that is an input: a file has one value of a name
        ends = _unique([f"{n}_output" if n in names else n for n in ends], "given", len(ends))
    return TracedModel(
        rows,
        tensors,
        names,
        ends,
        [tuple(x.shape) for x in outputs],
        watch.calls,
        watch.feeds,
    )


def _inputs_of(model: Any, what: str, signature: Any) -> tuple[list[str], Any, list[str], Any]:
    """Names, shapes, types and structure of the inputs."""
    found = model._input_shapes()
    if found is not None:
        names, shapes = found
        specs = getattr(model, "inputs", None)
        dtypes = [str(x.dtype) for x in specs] if specs else ["float32"] * len(shapes)
        graph = getattr(model, "_layer_graph", None)
        structure = graph.inputs if graph else shapes[0] if len(shapes) == 1 else list(shapes)
        if graph is None:
            structure = 0 if len(shapes) == 1 else [0] * len(shapes)
        return list(names), shapes, dtypes, structure
    given = signature
    if given is None:
        given = (model._build_config or {}).get("input_shape")
    if given is None:
        raise DataError(
            f"{what}: model {model.name!r} has no known inputs\n"
            "  hint: call it on data first, or give input_signature=[InputSpec(shape=(None, 3))]"
        )
    leaves = _leaves(given)
    names = [n or getattr(x, "name", None) or "" for n, x in leaves]
    shapes = [(None, *tuple(getattr(x, "shape", x))[1:]) for _, x in leaves]
    dtypes = [str(getattr(x, "dtype", None) or "float32") for _, x in leaves]
    kind: Any = 0
    if isinstance(given, dict):
        kind = dict.fromkeys(given, 0)
    elif not is_shape(given) and (len(leaves) > 1 or signature is None):
        kind = [0] * len(leaves)
    return [n for n in names if n], shapes, dtypes, kind


def is_shape(value: Any) -> bool:
    """Whether this is one shape, or something that has one."""
    sizes = isinstance(value, list | tuple) and all(d is None or isinstance(d, int) for d in value)
    return sizes or hasattr(value, "shape")


def _leaves(given: Any) -> list[tuple[str | None, Any]]:
    """The shapes of a structure of them, each with the name that a dict gives it."""
    if is_shape(given):
        return [(None, given)]
    if isinstance(given, dict):
        return [(str(k), given[k]) for k in sorted(given)]
    return [leaf for part in given for leaf in _leaves(part)]


def _as_file(
    function: _core.Function, variables: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    """The graph that a file of this function holds, and the tensors beside it."""
    with tempfile.TemporaryDirectory(prefix="fastnn-") as folder:
        path = os.path.join(folder, "graph.safetensors")
        save_file(path, variables, {}, function)
        tensors, metadata = _core.load_file(path)
        return json.loads(metadata["fastnn.graph"]), {k: np.array(v) for k, v in tensors.items()}


def _all_nodes(graph: dict[str, Any]) -> list[dict[str, Any]]:
    """The nodes of a graph and of the bodies in it."""
    found = []
    for node in graph["nodes"]:
        found.append(node)
        body = node.get("attrs", {}).get("body")
        if isinstance(body, dict):
            found += _all_nodes(body)
    return found


def _unique(names: list[str], stem: str, count: int) -> list[str]:
    if len(names) != count or len(set(names)) < count:
        return [stem] if count == 1 else [f"{stem}_{i}" for i in range(count)]
    return names


# ---- sizes -----------------------------------------------------------------------------------


#: What sizes are made of beside sums.
_MADE: dict[str, Callable[[int, int], int]] = {
    "floordiv": operator.floordiv, "max": max, "min": min, "plus": operator.add,
    "times": operator.mul, "broadcast": lambda a, b: b if a == 1 else a,
}  # fmt: skip


def sample_sizes(entries: list[Any], sample: tuple[int, ...]) -> list[int]:
    """The sizes of a graph, in numbers, where its names stand for those of `sample`."""
    found: list[int] = []

    def value(of: Any) -> int:
        return found[of["size"]] if isinstance(of, dict) else int(of)

    names = 0
    for entry in entries:
        if isinstance(entry, str):
            found.append(sample[names % len(sample)])
            names += 1
            continue
        ((kind, parts),) = entry.items()
        if kind == "sum":
            found.append(sum(p[0] * math.prod(found[k] for k in p[1:]) for p in parts))
            continue
        a, b = map(value, parts)
        found.append(_MADE[kind](a, b))
    return found


def types_of(
    graph: dict[str, Any], constants: list[Tensor]
) -> tuple[list[list[Tensor]], list[int]]:
    """The results of every node of a graph as tensors without data, and the sizes they are for."""
    fault: Exception | None = None
    for sample in _SAMPLES:
        sizes = sample_sizes(graph["sizes"], sample)
        feeds = [
            _core.placeholder([_number(d, sizes) for d in i["shape"]], dtype=i["dtype"])
            for i in graph["inputs"]
        ]
        try:
            return replayed(graph["nodes"], [*feeds, *constants], sizes), sizes
        except _core.ShapeError as error:
            fault = error
    assert fault is not None
    raise fault


def _number(d: Any, sizes: list[int]) -> int:
    return sizes[d["size"]] if isinstance(d, dict) else int(d)


def in_numbers(value: Any, sizes: list[int]) -> Any:
    """An attribute in which sizes are numbers."""
    if isinstance(value, dict) and set(value) == {"size"}:
        return sizes[value["size"]]
    if isinstance(value, list):
        return [in_numbers(v, sizes) for v in value]
    if value == "none":
        return None
    if isinstance(value, str) and value.lower() in (
        "inf",
        "-inf",
        "nan",
    ):  # JSON has no such numbers
        return float(value)
    return value


def replayed(nodes: list[dict[str, Any]], slots: list[Tensor], sizes: list[int]) -> Any:
    """The results of nodes whose inputs are `slots`, for sizes in numbers."""
    results: list[list[Tensor]] = []
    for node in nodes:
        op = node["op"]
        if op == "input":
            results.append([slots[node["slot"]]])
        elif op == "scalar":
            results.append([_core.tensor(float(node["value"]), dtype=node["dtype"])])
        elif op == "part":
            parent, index = results[node["inputs"][0]], node["attrs"]["index"]
            results.append([parent[index]])
        elif op == "scan":
            results.append(_scanned(node, [results[i][0] for i in node["inputs"]], sizes))
        else:
            attrs = {k: in_numbers(v, sizes) for k, v in node["attrs"].items()}
            made = getattr(_core.ops, op)(*(results[i][0] for i in node["inputs"]), **attrs)
            results.append(list(made) if isinstance(made, tuple | list) else [made])
    return results


def _scanned(node: dict[str, Any], inputs: list[Tensor], sizes: list[int]) -> list[Tensor]:
    attrs, body = node["attrs"], node["attrs"]["body"]
    carries, length = attrs["carries"], in_numbers(attrs["length"], sizes)
    slots = [
        _core.placeholder([_number(d, sizes) for d in i["shape"]], dtype=i["dtype"])
        for i in body["inputs"]
    ]
    inner = replayed(body["nodes"], slots, sizes)
    outputs = [inner[i][0] for i in body["outputs"]]
    stacked = [_core.placeholder((length, *x.shape), dtype=x.dtype) for x in outputs[carries:]]
    return [*inputs[:carries], *stacked]
