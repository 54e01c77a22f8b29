"""`model.export("m.onnx")`: the traced inference graph, each row as nodes of ONNX.

Depends on `traced`, `builder`, `rows`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import _core
from fastnn.base.arguments import hints_arguments, local_path
from fastnn.base.atomic import write_bytes
from fastnn.errors import DataError, ShapeError
from fastnn.onnx.builder import TYPES, Builder
from fastnn.onnx.extra import onnx_package
from fastnn.onnx.rows import NOT_WRITTEN, ROWS
from fastnn.onnx.traced import Row, TracedModel, Value, is_shape, trace, types_of

__all__ = ["OLDEST_OPSET", "export", "to_proto"]

#: Opsets of the default domain that are written; the newest is that of the installed package.
OLDEST_OPSET, DEFAULT_OPSET = 17, 18
#: Protocol buffers end at 2 GiB.
_MOST_BYTES = (1 << 31) - (1 << 20)


def export(
    model: Any,
    filepath: str | os.PathLike[str],
    opset_version: int | None = None,
    input_signature: Any = None,
) -> None:
    """Writes the inference graph of a model as an ONNX file. See `Model.export`."""
    onnx = onnx_package("export to ONNX")
    path = local_path(filepath)
    proto = to_proto(model, opset_version, input_signature)
    try:
        onnx.checker.check_model(proto, full_check=True)
    except Exception as error:
        raise _core.InternalError(
            f"export: onnx.checker refuses what was written: {str(error)[:500]}\n"
            "  hint: please report it, with the model's summary"
        ) from error
    write_bytes(path, proto.SerializeToString())


@hints_arguments
def to_proto(model: Any, opset_version: int | None = None, input_signature: Any = None) -> Any:
    """The `onnx.ModelProto` of a model.

    Args:
        model: A built model whose inputs are known.
        opset_version: The opset, 17 or newer; 18 when left out.
        input_signature: Shapes or `InputSpec`s to export for, batch first, None for open sizes; the
            model's own when left out.

    Returns:
        A `ModelProto`.

    Raises:
        DataError: A part of the model has no counterpart in ONNX; the message names the layer.

    Example:
        >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
        >>> len(fastnn.onnx.to_proto(model).graph.initializer)
        2
    """
    onnx = onnx_package("export to ONNX")
    opset = _opset(onnx, opset_version)
    if not model.built and input_signature is not None:
        shapes = _shapes(input_signature)
        model.build(shapes[0] if len(shapes) == 1 else shapes)
    if not model.built:
        raise ValueError(
            f"export: model {model.name!r} is not built, so it has no weights to write\n"
            "  hint: call it on data or fit it first"
        )
    traced = trace(model, "export", input_signature)
    if input_signature is not None:
        _fix_sizes(traced, _shapes(input_signature))
    size = sum(a.nbytes for a in traced.tensors.values())
    if size > _MOST_BYTES:
        raise DataError(
            f"export: the weights take {size:,} bytes, an ONNX file holds 2 GiB\n"
            "  hint: model.save('m.safetensors') has no such limit"
        )
    graph = _graph(onnx, traced, opset, model.name)
    proto = onnx.helper.make_model(
        graph,
        opset_imports=[onnx.helper.make_opsetid("", opset)],
        producer_name="fastnn",
        producer_version=str(_core.info()["version"]),
        ir_version=_ir_version(onnx, opset),
    )
    return proto


def _ir_version(onnx: Any, opset: int) -> int:
    """The oldest format that may hold the opset, which older readers know."""
    known = dict(onnx.helper.OP_SET_ID_VERSION_MAP)
    return int(max(8, known.get(("ai.onnx", opset), onnx.IR_VERSION)))


def _opset(onnx: Any, given: int | None) -> int:
    newest = int(onnx.defs.onnx_opset_version())
    opset = DEFAULT_OPSET if given is None else given
    if not isinstance(opset, int) or isinstance(opset, bool) or not OLDEST_OPSET <= opset <= newest:
        raise ValueError(
            f"export: opset_version is {given!r}, wanted {OLDEST_OPSET} to {newest}\n"
            "  hint: opset_version=18"
        )
    return opset


def _shapes(signature: Any) -> list[tuple[Any, ...]]:
    if is_shape(signature):
        return [tuple(getattr(signature, "shape", signature))]
    parts = signature.values() if isinstance(signature, dict) else signature
    return [shape for part in parts for shape in _shapes(part)]


def _fix_sizes(traced: TracedModel, shapes: list[tuple[Any, ...]]) -> None:
    """Puts numbers that the signature gives in place of the names of open sizes."""
    inputs, sizes = traced.graph["inputs"], traced.graph["sizes"]
    if len(shapes) != len(inputs):
        raise ShapeError(
            f"export: input_signature has {len(shapes)} shapes, the model {len(inputs)} inputs\n"
            "  hint: one shape an input, batch first"
        )
    fixed: dict[int, int] = {}
    for spec, shape in zip(inputs, shapes, strict=True):
        fits = len(spec["shape"]) == len(shape)
        for d, n in zip(spec["shape"], shape, strict=False):
            if n is not None and isinstance(d, dict) and isinstance(sizes[d["size"]], str):
                fits &= fixed.setdefault(d["size"], int(n)) == int(n)
            elif n is not None and not isinstance(d, dict):
                fits &= d == n
        if not fits:
            raise ShapeError(
                f"export: input_signature {tuple(shape)} does not fit input {spec['name']!r}\n"
                "  hint: the shapes of model.inputs, with numbers where None stands"
            )
    for at, n in fixed.items():
        sizes[at] = {"sum": [[n]]}


def _graph(onnx: Any, traced: TracedModel, opset: int, name: str) -> Any:
    graph, helper = traced.graph, onnx.helper
    plain = _plain_names(graph["sizes"])
    b = Builder(onnx, opset, graph["sizes"])
    b.taken |= {*traced.input_names, *traced.output_names, *graph["constants"]}
    slots: list[str] = []
    inputs = []
    for label, spec in zip(traced.input_names, graph["inputs"], strict=True):
        slots.append(label)
        dims = [_dimension(d, graph["sizes"]) for d in spec["shape"]]
        inputs.append(helper.make_tensor_value_info(label, TYPES[spec["dtype"]], dims))
        for axis, d in enumerate(spec["shape"]):
            if isinstance(d, dict) and isinstance(entry := graph["sizes"][d["size"]], str):
                b.places.setdefault(entry, (label, axis))
    constants = []
    for key in graph["constants"]:
        label = key if key not in slots else b.name("weight")
        slots.append(label)
        array = traced.tensors[key]
        constants.append(_core.placeholder(array.shape, dtype=str(array.dtype)))
        b.arrays[label] = array
    types, b.sample = types_of(graph, constants)
    b.translate = lambda inner, nodes, types, slots: translate(inner, nodes, types, slots, traced)
    values = b.translate(b, graph["nodes"], types, slots)
    outputs = []
    for label, at, sizes in zip(
        traced.output_names, graph["outputs"], traced.output_shapes, strict=True
    ):
        value = values[at][0]
        b.nodes.append(helper.make_node("Identity", [value.name], [label], name=f"give_{label}"))
        dims = [d if isinstance(d, int) else _name_of(d, plain, b.places) for d in sizes]
        outputs.append(helper.make_tensor_value_info(label, TYPES[value.dtype], dims))
    nodes = _needed(b.nodes, traced.output_names)
    used = {n for node in nodes for n in _reads(node)}
    arrays = [
        onnx.numpy_helper.from_array(np.asarray(a), k) for k, a in b.arrays.items() if k in used
    ]
    return helper.make_graph(nodes, name, inputs, outputs, arrays)


def _dimension(d: Any, sizes: list[Any]) -> int | str | None:
    if not isinstance(d, dict):
        return int(d)
    entry = sizes[d["size"]]
    if isinstance(entry, dict) and list(entry) == ["sum"] and [len(t) for t in entry["sum"]] == [1]:
        return int(entry["sum"][0][0])
    return entry if isinstance(entry, str) else None


def _plain_names(sizes: list[Any]) -> dict[str, str]:
    """Renames open sizes, which are numbered per process, to be numbered in this file."""
    found: dict[str, str] = {}
    for at, entry in enumerate(sizes):
        if isinstance(entry, str):
            base = re.sub(r"_\d+$", "", entry)
            same = sum(re.sub(r"_\d+$", "", name) == base for name in found)
            sizes[at] = found[entry] = f"{base}_{same}" if same else base
    return found


def _name_of(size: Any, plain: dict[str, str], known: Any) -> str | None:
    """What an open size of an output is called, if an input has it."""
    name = plain.get("batch" if size is None else str(size))
    return name if name in known else None


def _reads(node: Any) -> list[str]:
    """Names that a node reads, those of graphs in it included."""
    found = list(node.input)
    for attr in node.attribute:
        for inner in attr.g.node:
            found += _reads(inner)
        found += [o.name for o in attr.g.output]
    return found


def _needed(nodes: list[Any], outputs: Sequence[str]) -> list[Any]:
    """The nodes that outputs depend on, in order."""
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if wanted & set(node.output):
            wanted |= set(_reads(node))
            kept.append(node)
    return kept[::-1]


def translate(
    b: Builder,
    nodes: list[dict[str, Any]],
    types: list[list[Any]],
    slots: Sequence[str],
    traced: TracedModel | None,
) -> list[list[Value]]:
    """The values of all nodes; each row is written by its entry of `ROWS`."""
    values: list[list[Value]] = []
    for node, results in zip(nodes, types, strict=True):
        op = node["op"]
        if op == "input":
            names = [slots[node["slot"]]]
        elif op == "scalar":
            names = [b.number(float(node["value"]), results[0].dtype)]
            b.scalars[names[0]] = float(node["value"])
        elif op == "part":
            parent = values[node["inputs"][0]]
            if node["attrs"]["index"] >= len(parent):
                raise _absent(nodes[node["inputs"][0]]["op"], traced)
            values.append([parent[node["attrs"]["index"]]])
            continue
        elif op not in ROWS:
            raise _absent(op, traced)
        else:
            row = Row(op, node["inputs"], node["attrs"], results)
            given = [values[i][0] for i in node["inputs"]]
            try:
                made = ROWS[op](b, row, *given)
            except NotImplementedError:
                raise _absent(op, traced) from None
            names = [made] if isinstance(made, str) else list(made)
            if op == "add":
                _note_product(b, nodes, node, values, names[0])
        values.append(
            [Value(n, tuple(t.shape), t.dtype) for n, t in zip(names, results, strict=False)]
        )
    return values


def _note_product(
    b: Builder, nodes: list[dict[str, Any]], node: dict[str, Any], values: Any, name: str
) -> None:
    """Notes `x kernel + bias` for an array of three axes, a matrix and a row of weights."""
    left, right = node["inputs"]
    product = nodes[left]
    if product["op"] != "matmul" or any(product["attrs"][f"transpose_{side}"] for side in "ab"):
        return
    x, kernel = (values[i][0] for i in product["inputs"])
    bias = values[right][0]
    if (x.rank, kernel.rank, bias.rank) == (3, 2, 1) and x.dtype == kernel.dtype == "float32":
        b.products[name] = (x.name, kernel.name, bias.name)


def _absent(op: str, traced: TracedModel | None) -> DataError:
    layer = traced.layer_of(op) if traced is not None else None
    where = f"layer {layer} uses the op {op!r}" if layer else f"the model uses the op {op!r}"
    hint = NOT_WRITTEN.get(
        op, "export the model up to that layer, or save it as safetensors, which Rust reads too"
    )
    return DataError(f"export: {where}, which has no counterpart in ONNX\n  hint: {hint}")
