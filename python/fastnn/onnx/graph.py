"""An ONNX graph as plain data: what is kept of a file, and what configs of models hold.

Depends on the standard library and NumPy; the package onnx is needed to read files only.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastnn.errors import FormatError, nearest

__all__ = ["ELEMENTS", "Function", "Graph", "Node", "ValueType", "array_from", "array_to"]

#: Element types by their numbers in files, as NumPy names; those of `ml_dtypes` have no NumPy name
#: of their own until that package is imported.
ELEMENTS = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64",
    8: "object", 9: "bool", 10: "float16", 11: "float64", 12: "uint32", 13: "uint64",
    14: "complex64", 15: "complex128", 16: "bfloat16", 17: "float8_e4m3fn", 18: "float8_e4m3fnuz",
    19: "float8_e5m2", 20: "float8_e5m2fnuz", 21: "uint4", 22: "int4", 23: "float4_e2m1fn",
    24: "float8_e8m0fnu", 25: "uint2", 26: "int2",
}  # fmt: skip
#: How deep graphs may stand in each other, and how many nodes there may be in all.
DEEPEST, MOST_NODES = 16, 200_000
_BUILT_IN = frozenset((
    "float32", "uint8", "int8", "uint16", "int16", "int32", "int64", "bool", "float16", "float64",
    "uint32", "uint64", "complex64", "complex128",
))  # fmt: skip


@dataclass
class ValueType:
    """Name, element type and sizes of an input or output; None for sizes that are not given."""

    name: str
    dtype: str | None
    shape: list[int | str | None] | None
    #: Whether it is a list of arrays, or an optional one.
    sequence: bool = False


@dataclass
class Node:
    """A call of an op. Graphs among its attributes are `Graph`s, tensors are arrays."""

    op: str
    domain: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attrs: dict[str, Any] = field(default_factory=dict)
    #: Attributes whose values are those of the function that the node stands in.
    refs: dict[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What messages call the node."""
        named = self.name or next((o for o in self.outputs if o), "")
        return f"node {named!r} ({f'{self.domain}.' if self.domain else ''}{self.op})"


@dataclass
class Function:
    """A function of a file: nodes with names of their own and attributes to be given."""

    name: str
    domain: str
    inputs: list[str]
    outputs: list[str]
    nodes: list[Node]
    opsets: dict[str, int]
    attributes: dict[str, Any]


@dataclass
class Graph:
    """Nodes in order, inputs and outputs, and the arrays that stand in the file."""

    name: str
    inputs: list[ValueType]
    outputs: list[ValueType]
    nodes: list[Node]
    arrays: dict[str, Any]
    opsets: dict[str, int] = field(default_factory=dict)
    functions: dict[tuple[str, str], Function] = field(default_factory=dict)

    def graphs(self) -> Iterator[Graph]:
        """This graph and all that stand in its nodes."""
        yield self
        for node in self.nodes:
            for inner in inner_graphs(node):
                yield from inner.graphs()

    # ---- checks --------------------------------------------------------------------------------

    def check(self, known_ops: Any) -> None:
        """Refuses graphs that cannot run: unknown ops, names that nothing gives, circles."""
        self._count = 0
        self._check(set(), 1, known_ops)
        for function in self.functions.values():
            body = Graph("", [], [], function.nodes, {})
            body._count = self._count
            body._check_nodes(set(function.inputs), 1, known_ops, self.functions)
            self._count = body._count
            given = set(function.inputs) | {o for n in function.nodes for o in n.outputs}
            _all_given(function.outputs, given, f"function {function.name!r}")
        _no_recursion(self.functions)

    def _check(self, outer: set[str], depth: int, known_ops: Any, functions: Any = None) -> None:
        if depth > DEEPEST:
            raise FormatError(
                f"graphs stand in each other more than {DEEPEST} deep\n  hint: damaged file?"
            )
        names = [v.name for v in self.inputs]
        if len(set(names)) < len(names):
            raise FormatError(f"graph {self.name!r} has two inputs of one name\n  hint: damaged?")
        given = outer | set(names) | set(self.arrays)
        given = self._check_nodes(given, depth, known_ops, functions or self.functions)
        _all_given([v.name for v in self.outputs], given, f"graph {self.name!r}")

    def _check_nodes(self, given: set[str], depth: int, known_ops: Any, functions: Any) -> set[str]:
        given, made = set(given), set()
        later = {o for n in self.nodes for o in n.outputs if o}
        for node in self.nodes:
            self._count += 1
            if self._count > MOST_NODES:
                raise FormatError(f"there are more than {MOST_NODES:,} nodes\n  hint: damaged?")
            if (node.domain, node.op) not in functions and not known_ops(node.domain, node.op):
                raise _unknown(node, known_ops)
            for name in node.inputs:
                if name and name not in given:
                    what = (
                        "which it or a later node gives: the graph is circular or not in order"
                        if name in later
                        else "which nothing gives"
                    )
                    raise FormatError(
                        f"{node.label} reads {name!r}, {what}\n  hint: is the file damaged?"
                    )
            for inner in inner_graphs(node):
                inner._count = self._count
                inner._check(given, depth + 1, known_ops, functions)
                self._count = inner._count
            for name in node.outputs:
                if name and name in made:
                    raise FormatError(
                        f"{node.label} gives {name!r}, which another node gives too\n"
                        "  hint: is the file damaged?"
                    )
                made.add(name)
                given.add(name)
        return given

    _count: int = 0

    # ---- configs -------------------------------------------------------------------------------

    def to_config(self) -> dict[str, Any]:
        """The graph in terms of JSON."""
        config: dict[str, Any] = {
            "name": self.name,
            "inputs": [_type_to(v) for v in self.inputs],
            "outputs": [_type_to(v) for v in self.outputs],
            "nodes": [_node_to(n) for n in self.nodes],
            "arrays": {k: array_to(v) for k, v in self.arrays.items()},
        }
        if self.opsets:
            config["opsets"] = self.opsets
        if self.functions:
            config["functions"] = [
                {
                    "name": f.name, "domain": f.domain, "inputs": f.inputs, "outputs": f.outputs,
                    "opsets": f.opsets, "nodes": [_node_to(n) for n in f.nodes],
                    "attributes": {k: _attr_to(v) for k, v in f.attributes.items()},
                }
                for f in self.functions.values()
            ]  # fmt: skip
        return config

    @classmethod
    def from_config(cls, config: Any, depth: int = 1) -> Graph:
        """The graph that `to_config` wrote; FormatError for anything else."""
        if depth > DEEPEST:
            raise FormatError(f"graphs stand more than {DEEPEST} deep\n  hint: damaged file?")
        try:
            functions = [
                Function(
                    f["name"], f["domain"], _texts(f["inputs"]), _texts(f["outputs"]),
                    [_node_from(n, depth) for n in f["nodes"]], _opsets(f["opsets"]),
                    {k: _attr_from(v, depth) for k, v in f["attributes"].items()},
                )
                for f in config.get("functions", ())
            ]  # fmt: skip
            return cls(
                str(config["name"]),
                [_type_from(v) for v in config["inputs"]],
                [_type_from(v) for v in config["outputs"]],
                [_node_from(n, depth) for n in config["nodes"]],
                {str(k): array_from(v) for k, v in config["arrays"].items()},
                _opsets(config.get("opsets", {})),
                {(f.domain, f.name): f for f in functions},
            )
        except FormatError:
            raise
        except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
            raise FormatError(
                f"the config holds no graph of nodes: {error!r:.200}\n  hint: damaged file?"
            ) from error


def inner_graphs(node: Node) -> list[Graph]:
    """The graphs among a node's attributes."""
    found = []
    for value in node.attrs.values():
        if isinstance(value, Graph):
            found.append(value)
        elif isinstance(value, list):
            found += [v for v in value if isinstance(v, Graph)]
    return found


def _unknown(node: Node, known_ops: Any) -> FormatError:
    close = nearest(node.op, known_ops.names(node.domain), 2)
    more = f"; near it are {', '.join(close)}" if close else ""
    if node.op == "ZipMap":
        more = "; skl2onnx leaves it out with options={'zipmap': False}"
    return FormatError(
        f"{node.label}: there is no op {node.op!r} of domain {node.domain or 'ai.onnx'!r} here\n"
        f"  hint: docs/howto/onnx.md lists the ops that are read{more}"
    )


def _all_given(names: list[str], given: set[str], where: str) -> None:
    for name in names:
        if name not in given:
            raise FormatError(
                f"{where} has the output {name!r}, which no node gives\n  hint: damaged file?"
            )


def _no_recursion(functions: dict[tuple[str, str], Function]) -> None:
    """Refuses functions that call themselves, and those that grow without bound."""
    sizes: dict[tuple[str, str], int] = {}
    active: set[tuple[str, str]] = set()

    def nodes_in(nodes: list[Node]) -> Iterator[Node]:
        for node in nodes:
            yield node
            for graph in inner_graphs(node):
                yield from nodes_in(graph.nodes)

    def size(key: tuple[str, str]) -> int:
        if key in sizes:
            return sizes[key]
        if key in active or len(active) > 64:
            raise FormatError(
                f"function {key[1]!r} calls itself, or calls go too deep\n  hint: damaged file?"
            )
        active.add(key)
        total = 0
        for node in nodes_in(functions[key].nodes):
            inner = (node.domain, node.op)
            total += size(inner) if inner in functions else 1
        active.discard(key)
        if total > MOST_NODES:
            raise FormatError(
                f"function {key[1]!r} stands for more than {MOST_NODES:,} nodes\n"
                "  hint: damaged file?"
            )
        sizes[key] = total
        return total

    for key in functions:
        size(key)


# ---- JSON ----------------------------------------------------------------------------------------


def array_to(a: Any) -> Any:
    """An array in terms of JSON; None stands for a weight, which the model's file holds."""
    if a is None:
        return None
    if a.dtype == object:
        texts = [v.decode("latin-1") if isinstance(v, bytes) else str(v) for v in a.reshape(-1)]
        return {"dtype": "object", "shape": list(a.shape), "texts": texts}
    flat = np.ascontiguousarray(a)
    data = base64.b64encode(flat.tobytes()).decode("ascii")
    return {"dtype": str(a.dtype), "shape": list(a.shape), "data": data}


def array_from(value: Any) -> Any:
    """The array that `array_to` wrote."""
    if value is None:
        return None
    sizes = [int(d) for d in value["shape"]]
    if any(d < 0 for d in sizes) or len(sizes) > 64:
        raise FormatError(f"an array has the shape {sizes[:8]}\n  hint: damaged file?")
    if value["dtype"] == "object":
        flat = np.empty(len(value["texts"]), object)
        flat[:] = [str(t) for t in value["texts"]]
        return flat.reshape(sizes)
    dtype = numpy_type(value["dtype"])
    raw = base64.b64decode(value["data"], validate=True)
    return np.frombuffer(raw, dtype).reshape(sizes).copy()


def numpy_type(name: Any) -> np.dtype[Any]:
    """The NumPy type of a name; those beyond NumPy's come with the package `ml_dtypes`."""
    if name in _BUILT_IN:
        found: np.dtype[Any] = np.dtype(name)
        return found
    if name not in ELEMENTS.values():
        raise FormatError(f"{name!r:.80} is no element type\n  hint: damaged file?")
    try:
        import ml_dtypes
    except ImportError:
        raise ImportError(
            f'values of {name} need the package ml_dtypes\n  hint: pip install "fastnn-rs[onnx]"'
        ) from None
    wide: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
    return wide


def _attr_to(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return {"array": array_to(value)}
    if isinstance(value, Graph):
        return {"graph": value.to_config()}
    if isinstance(value, ValueType):
        return {"type": _type_to(value)}
    if isinstance(value, float):
        return {"float": value.hex()}
    if isinstance(value, list):
        return [_attr_to(v) for v in value]
    return value


def _attr_from(value: Any, depth: int) -> Any:
    if isinstance(value, list):
        return [_attr_from(v, depth) for v in value]
    if not isinstance(value, dict):
        if value is not None and not isinstance(value, str | int):
            raise FormatError("an attribute of a node has no known kind\n  hint: damaged file?")
        return value
    ((kind, held),) = value.items()
    if kind == "array":
        return array_from(held)
    if kind == "graph":
        return Graph.from_config(held, depth + 1)
    if kind == "type":
        return _type_from(held)
    return float.fromhex(held)


def _node_to(node: Node) -> dict[str, Any]:
    found: dict[str, Any] = {"op": node.op, "inputs": node.inputs, "outputs": node.outputs}
    if node.name:
        found["name"] = node.name
    if node.domain:
        found["domain"] = node.domain
    if node.attrs:
        found["attrs"] = {k: _attr_to(v) for k, v in node.attrs.items()}
    if node.refs:
        found["refs"] = node.refs
    return found


def _node_from(value: dict[str, Any], depth: int) -> Node:
    return Node(
        str(value["op"]), str(value.get("domain", "")), str(value.get("name", "")),
        _texts(value["inputs"]), _texts(value["outputs"]),
        {str(k): _attr_from(v, depth) for k, v in value.get("attrs", {}).items()},
        {str(k): str(v) for k, v in value.get("refs", {}).items()},
    )  # fmt: skip


def _texts(values: Any) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
        raise FormatError("names of a node are no list of texts\n  hint: damaged file?")
    return list(values)


def _opsets(value: Any) -> dict[str, int]:
    return {str(k): int(v) for k, v in value.items()}


def _type_to(value: ValueType) -> list[Any]:
    plain = [value.name, value.dtype, value.shape]
    return [*plain, value.sequence] if value.dtype is None else plain


def _type_from(value: Any) -> ValueType:
    name, dtype, sizes, *more = value
    # Files of older versions do not say what a value without an element type is.
    sequence = bool(more[0]) if more else dtype is None
    if sizes is not None:
        sizes = [d if d is None or isinstance(d, str) else int(d) for d in sizes]
    return ValueType(str(name), None if dtype is None else str(dtype), sizes, sequence)
