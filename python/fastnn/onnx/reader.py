"""ONNX files to `Graph`s: parsed by the package onnx, and held to limits before use.

Depends on `extra`, `graph`, `nodes`, `schemas`.
"""

from __future__ import annotations

import math
import os
import stat
from typing import Any

import numpy as np

from fastnn.base.arguments import local_path
from fastnn.base.atomic import check_regular, quoted
from fastnn.errors import FormatError
from fastnn.onnx.extra import onnx_package
from fastnn.onnx.graph import ELEMENTS, Function, Graph, Node, ValueType, numpy_type
from fastnn.onnx.nodes import KNOWN
from fastnn.onnx.schemas import check_schemas

__all__ = ["read"]

_OWN_DOMAINS = ("", "ai.onnx")


class Reader:
    """Turns the parts of a parsed file into those of a `Graph`."""

    onnx: Any
    folder: str | None

    def __init__(self, onnx: Any, folder: str | None) -> None:
        self.onnx, self.folder = onnx, folder
        #: What nodes were made of, by their ids.
        self.protos: dict[int, Any] = {}

    def graph(self, proto: Any, sparse: bool = True) -> Graph:
        """A graph, with the arrays that stand in it."""
        arrays = {}
        for tensor in proto.initializer:
            if tensor.name in arrays:
                raise FormatError(
                    f"there are two initializers {quoted(tensor.name)}\n  hint: damaged file?"
                )
            arrays[tensor.name] = self.tensor(tensor, f"initializer {quoted(tensor.name)}")
        for tensor in proto.sparse_initializer:
            arrays[tensor.values.name] = self.sparse(tensor)
        return Graph(
            proto.name,
            [self.value(v) for v in proto.input if v.name not in arrays],
            [self.value(v) for v in proto.output],
            [self.node(n) for n in proto.node],
            arrays,
        )

    def value(self, proto: Any) -> ValueType:
        """Name and type of an input or output."""
        kind = proto.type.WhichOneof("value")
        if kind != "tensor_type":
            held = proto.type.optional_type.elem_type if kind == "optional_type" else proto.type
            sequence = held.WhichOneof("value") == "sequence_type"
            return ValueType(proto.name, None, None, sequence)
        of = proto.type.tensor_type
        shape = None
        if of.HasField("shape"):
            shape = [
                d.dim_value if d.HasField("dim_value") else (d.dim_param or None)
                for d in of.shape.dim
            ]
            if any(isinstance(d, int) and d < 0 for d in shape):
                shape = [None if isinstance(d, int) and d < 0 else d for d in shape]
        if of.elem_type not in ELEMENTS:
            raise FormatError(
                f"{quoted(proto.name)} has the element type {of.elem_type}, which nobody knows\n"
                "  hint: is the file damaged?"
            )
        return ValueType(proto.name, ELEMENTS[of.elem_type], shape)

    def node(self, proto: Any) -> Node:
        """A node with its attributes."""
        domain = "" if proto.domain in _OWN_DOMAINS else proto.domain
        node = Node(proto.op_type, domain, proto.name, list(proto.input), list(proto.output))
        self.protos[id(node)] = proto
        for attr in proto.attribute:
            if attr.ref_attr_name:
                node.refs[attr.name] = attr.ref_attr_name
            else:
                node.attrs[attr.name] = self.attribute(attr, node)
        return node

    def attribute(self, attr: Any, node: Node) -> Any:
        """The value of an attribute."""
        kinds = self.onnx.AttributeProto
        where = f"{node.label}: attribute {quoted(attr.name)}"
        if attr.type == kinds.FLOAT:
            return float(attr.f)
        if attr.type == kinds.INT:
            return int(attr.i)
        if attr.type == kinds.STRING:
            return attr.s.decode("utf-8", "surrogateescape")
        if attr.type == kinds.TENSOR:
            return self.tensor(attr.t, where)
        if attr.type == kinds.SPARSE_TENSOR:
            return self.sparse(attr.sparse_tensor)
        if attr.type == kinds.GRAPH:
            return self.graph(attr.g)
        if attr.type == kinds.FLOATS:
            return [float(v) for v in attr.floats]
        if attr.type == kinds.INTS:
            return [int(v) for v in attr.ints]
        if attr.type == kinds.STRINGS:
            return [s.decode("utf-8", "surrogateescape") for s in attr.strings]
        if attr.type == kinds.GRAPHS:
            return [self.graph(g) for g in attr.graphs]
        if attr.type == kinds.TENSORS:
            return [self.tensor(t, where) for t in attr.tensors]
        if attr.type == kinds.TYPE_PROTO:
            holder = self.onnx.ValueInfoProto()
            holder.type.CopyFrom(attr.tp)
            return self.value(holder)
        raise FormatError(f"{where} has a type that is not read ({attr.type})\n  hint: damaged?")

    # ---- arrays ----------------------------------------------------------------------------------

    def tensor(self, proto: Any, where: str) -> np.ndarray[Any, Any]:
        """An array whose bytes are there: sizes are compared before anything is allocated."""
        if proto.data_type not in ELEMENTS:
            raise FormatError(f"{where} has no known element type\n  hint: damaged file?")
        sizes = list(proto.dims)
        if any(d < 0 for d in sizes) or len(sizes) > 64:
            raise FormatError(f"{where} has the shape {sizes[:8]}\n  hint: damaged file?")
        count = math.prod(sizes)
        name = ELEMENTS[proto.data_type]
        if proto.data_location == self.onnx.TensorProto.EXTERNAL:
            return self.external(proto, where, name, sizes, count)
        have = _count_held(proto, name)
        if have != count:
            raise FormatError(
                f"{where} has the shape {sizes}, {count:,} values, but holds {have:,}\n"
                "  hint: the file is damaged or cut off"
            )
        return np.asarray(self.onnx.numpy_helper.to_array(proto))

    def sparse(self, proto: Any) -> np.ndarray[Any, Any]:
        """A sparse array as a dense one, if that is no larger than reason allows."""
        where = f"sparse array {quoted(proto.values.name)}"
        sizes, count = list(proto.dims), math.prod(proto.dims)
        values = self.tensor(proto.values, where)
        if any(d < 0 for d in sizes) or count > 64 * max(values.size, 1 << 14):
            raise FormatError(
                f"{where} of shape {sizes[:8]} is too large for its {values.size} values\n"
                "  hint: damaged file?"
            )
        places = self.tensor(proto.indices, where)
        dense = np.zeros(count, values.dtype)
        at = places if places.ndim == 1 else np.ravel_multi_index(tuple(places.T), sizes, "raise")
        if at.size and not 0 <= at.min() <= at.max() < count:
            raise FormatError(f"{where} names places outside of it\n  hint: damaged file?")
        dense[at] = values
        return dense.reshape(sizes)

    def external(
        self, proto: Any, where: str, name: str, sizes: list[int], count: int
    ) -> np.ndarray[Any, Any]:
        """An array in a file beside the model's: in its folder, no link, and long enough."""
        given = {e.key: e.value for e in proto.external_data}
        location = given.get("location", "")
        if self.folder is None:
            raise FormatError(
                f"{where} lies in the file {quoted(location)}, which bytes cannot name\n"
                "  hint: give the path of the model, or save it with its data inside"
            )
        try:
            offset = int(given.get("offset", "0"))
            dtype = numpy_type(name)
        except ValueError:
            raise FormatError(f"{where} has no usable offset\n  hint: damaged file?") from None
        if name in ("object", "uint4", "int4", "float4_e2m1fn", "uint2", "int2"):
            raise FormatError(f"{where}: {name} is not read from other files\n  hint: save inside")
        size = count * dtype.itemsize
        if int(given.get("length", size)) != size or offset < 0:
            raise FormatError(
                f"{where} takes {size:,} bytes, the file says {given.get('length')!r} at {offset}\n"
                "  hint: damaged file?"
            )
        with _open_inside(self.folder, location, where) as file:
            if os.fstat(file.fileno()).st_size < offset + size:
                raise FormatError(
                    f"{where}: {quoted(location)} ends before {offset + size:,} bytes\n"
                    "  hint: the file is cut off"
                )
            file.seek(offset)
            raw = file.read(size)
        return np.frombuffer(raw, dtype.newbyteorder("<")).reshape(sizes).astype(dtype)

    def function(self, proto: Any) -> Function:
        """A function of the file."""
        defaults = {
            a.name: self.attribute(a, Node(proto.name, proto.domain, "", [], []))
            for a in proto.attribute_proto
        }
        return Function(
            proto.name,
            "" if proto.domain in _OWN_DOMAINS else proto.domain,
            list(proto.input),
            list(proto.output),
            [self.node(n) for n in proto.node],
            _opsets(proto.opset_import),
            {**dict.fromkeys(proto.attribute), **defaults},
        )


def _count_held(proto: Any, name: str) -> int:
    """How many values a tensor holds, by the bytes or numbers that are there."""
    if name == "object":
        return len(proto.string_data)
    packed = {"uint4": 2, "int4": 2, "float4_e2m1fn": 2, "uint2": 4, "int2": 4}
    if name in packed:
        stored = len(proto.raw_data) if proto.HasField("raw_data") else len(proto.int32_data)
        count, per = math.prod(proto.dims), packed[name]
        return count if stored == -(-count // per) else stored * per
    if proto.HasField("raw_data"):
        size, rest = divmod(len(proto.raw_data), numpy_type(name).itemsize)
        return size if not rest else -1
    fields = {
        "float32": proto.float_data, "complex64": proto.float_data, "float64": proto.double_data,
        "complex128": proto.double_data, "int64": proto.int64_data, "uint32": proto.uint64_data,
        "uint64": proto.uint64_data,
    }  # fmt: skip
    held = len(fields.get(name, proto.int32_data))
    return held // 2 if name.startswith("complex") else held


def _open_inside(folder: str, location: str, where: str) -> Any:
    """A plain file of the folder, opened without following links."""
    inside = os.path.realpath(folder)
    path = os.path.normpath(os.path.join(inside, location))
    outside = (
        not location
        or "\0" in location
        or os.path.isabs(location)
        or os.path.commonpath([inside, path]) != inside
        or os.path.realpath(path) != path
    )
    if not outside:
        try:
            number = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | os.O_NONBLOCK)
        except OSError as error:
            raise FormatError(
                f"{where} lies in {quoted(location)}, which cannot be opened: {error.strerror}\n"
                "  hint: keep the file beside the model"
            ) from None
        held = os.fstat(number)
        if stat.S_ISREG(held.st_mode) and held.st_nlink == 1:
            return os.fdopen(number, "rb")
        os.close(number)
    raise FormatError(
        f"{where} lies in {quoted(location)}, which is no plain file of the model's folder\n"
        "  hint: external data may not be links, or lie elsewhere"
    )


def _opsets(imports: Any) -> dict[str, int]:
    return {("" if o.domain in _OWN_DOMAINS else o.domain): int(o.version) for o in imports}


def read(source: str | os.PathLike[str] | bytes | Any, max_bytes: int | None = None) -> Graph:
    """The graph of an ONNX file, of its bytes, or of a parsed `ModelProto`."""
    onnx = onnx_package("fastnn.onnx.load")
    folder = None
    where = "the bytes"
    if isinstance(source, bytes | bytearray | memoryview):
        data: Any = bytes(source)
    elif isinstance(source, onnx.ModelProto):
        data = None
    else:
        path = local_path(source)
        where = quoted(path)
        check_regular(path)
        if not os.path.exists(path):
            raise FileNotFoundError(f"no file {where}\n  hint: the path of an ONNX file, or bytes")
        folder = os.path.dirname(os.path.abspath(path))
        size = os.path.getsize(path)
        if size > (1 << 31) or (max_bytes is not None and size > max_bytes):
            raise FormatError(
                f"{where} has {size:,} bytes, more than can be read\n"
                "  hint: max_bytes=, or keep the weights in files beside it"
            )
        with open(path, "rb") as file:
            data = file.read()
    try:
        proto = source if data is None else _parsed(onnx, data, where)
        graph = _graph(onnx, proto, folder)
    except FormatError as error:
        what, _, hint = str(error).partition("\n  hint: ")
        head = "" if where in what else f"{where}: "
        raise FormatError(f"{head}{what}\n  hint: {hint or 'is the file damaged?'}") from error
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, OverflowError,
            RecursionError, UnicodeError) as error:  # fmt: skip
        raise FormatError(
            f"{where} holds no ONNX model that can be read: {type(error).__name__}: {error!s:.300}"
            "\n  hint: is the file damaged?"
        ) from error
    return graph


def _parsed(onnx: Any, data: bytes, where: str) -> Any:
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except Exception as error:  # protobuf's own classes
        raise FormatError(
            f"{where} is no ONNX file: {error!s:.200}\n  hint: the file is damaged or cut off"
        ) from error
    if not proto.HasField("graph"):
        raise FormatError(f"{where} holds no graph\n  hint: is it an ONNX model?")
    return proto


def _graph(onnx: Any, proto: Any, folder: str | None) -> Graph:
    opsets = _opsets(proto.opset_import)
    if not opsets:
        raise FormatError("it imports no opset\n  hint: damaged file?")
    reader = Reader(onnx, folder)
    graph = reader.graph(proto.graph)
    graph.opsets = opsets
    functions = [reader.function(f) for f in proto.functions]
    graph.functions = {(f.domain, f.name): f for f in functions}
    _write_out(onnx, proto, reader, graph)
    graph.check(KNOWN)
    check_schemas(onnx, graph, reader.protos)
    return graph


#: How deep the definitions of ops by other ops may go.
_DEEPEST = 8


def _write_out(onnx: Any, proto: Any, reader: Reader, graph: Graph) -> None:
    """Puts functions in the place of unknown ops that ONNX defines by other ops."""
    lacking = _lacking(onnx, graph, graph.graphs())
    if not lacking:
        return
    graph.check(_Either(lacking))  # nothing is inferred of a graph that is not whole
    types = _types(onnx, proto)
    for inner in graph.graphs():
        _write_out_nodes(onnx, reader, graph, inner.nodes, types, 0)


def _write_out_nodes(
    onnx: Any, reader: Reader, graph: Graph, nodes: list[Node], types: dict[str, Any], depth: int
) -> None:
    for node in nodes:
        key = (node.domain, node.op)
        if key in graph.functions or KNOWN(*key) or depth > _DEEPEST:
            continue
        schema = _defined(onnx, node, graph.opsets)
        if schema is None:
            continue
        body = _body(onnx, schema, node, reader.protos[id(node)], types)
        function = reader.function(body)
        defaults = {
            k: reader.attribute(a.default_value, node)
            for k, a in schema.attributes.items()
            if a.default_value.type
        }
        function.attributes = function.attributes | defaults
        name = f"{node.op} as {len(graph.functions)}"
        node.op, function.name = name, name
        graph.functions[node.domain, name] = function
        _write_out_nodes(onnx, reader, graph, function.nodes, {}, depth + 1)


def _body(onnx: Any, schema: Any, node: Node, node_proto: Any, types: dict[str, Any]) -> Any:
    """The definition of a node's op by other ops, as a `FunctionProto`."""
    if schema.has_function:
        return schema.function_body
    given = [types.get(name, onnx.TypeProto()).SerializeToString() for name in node.inputs]
    text = schema.get_context_dependent_function(node_proto.SerializeToString(), given)
    body = onnx.FunctionProto()
    body.ParseFromString(text)
    return body


def _types(onnx: Any, proto: Any) -> dict[str, Any]:
    """The types of the values of a graph, as far as ONNX's rules find them."""
    light = onnx.ModelProto()
    light.CopyFrom(proto)
    inferred = onnx.shape_inference.infer_shapes(light)
    found: dict[str, Any] = {}
    for t in inferred.graph.initializer:
        found[t.name] = onnx.helper.make_tensor_type_proto(t.data_type, list(t.dims))
    for v in (*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output):
        found[v.name] = v.type
    return found


def _defined(onnx: Any, node: Node, opsets: dict[str, int]) -> Any:
    """The schema of an op that ONNX defines by other ops, or None."""
    version = opsets.get(node.domain, 1)
    if not onnx.defs.has(node.op, node.domain):
        return None
    schema = onnx.defs.get_schema(node.op, version, node.domain)
    defined = schema.has_function or schema.has_context_dependent_function
    return schema if defined else None


def _lacking(onnx: Any, graph: Graph, graphs: Any) -> set[tuple[str, str]]:
    """Ops that are not known here and that ONNX defines by other ops."""
    return {
        (node.domain, node.op)
        for inner in graphs
        for node in inner.nodes
        if (node.domain, node.op) not in graph.functions
        and not KNOWN(node.domain, node.op)
        and _defined(onnx, node, graph.opsets) is not None
    }


class _Either:
    """Ops that are known, or among a few more."""

    def __init__(self, more: set[tuple[str, str]]) -> None:
        self.more = more

    def __call__(self, domain: str, op: str) -> bool:
        return KNOWN(domain, op) or (domain, op) in self.more

    def names(self, domain: str) -> list[str]:
        """The ops of a domain."""
        return KNOWN.names(domain)
