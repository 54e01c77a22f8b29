"""Loops, in ONNX: a `scan` of the graph is a `Scan` with the body's rows as its graph."""

from __future__ import annotations

from typing import Any

from fastnn import _core
from fastnn.onnx.builder import TYPES, Builder
from fastnn.onnx.traced import Row, Value, in_numbers, replayed

__all__ = ["scan"]


def scan(b: Builder, row: Row, *inputs: Value) -> list[str]:
    """Carries first, then what each round gives, stacked."""
    attrs, body = row.attrs, row.attrs["body"]
    carries, slices = attrs["carries"], attrs["slices"]
    inner = Builder(b.onnx, b.opset, [], b)
    slots = [b.name("round") for _ in range(carries + slices)]
    slots += [x.name for x in inputs[carries + slices :]]  # shared values are read from outside
    feeds = [
        _core.placeholder(in_numbers(i["shape"], b.sample), dtype=i["dtype"])
        for i in body["inputs"]
    ]
    types = replayed(body["nodes"], feeds, b.sample)
    values = b.translate(inner, body["nodes"], types, slots)
    info = b.onnx.helper.make_tensor_value_info
    outputs, dtypes = [], []
    for at in body["outputs"]:
        value, name = values[at][0], b.name("gives")
        inner.nodes.append(b.onnx.helper.make_node("Identity", [value.name], [name], name=name))
        outputs.append(info(name, TYPES[value.dtype], None))
        dtypes.append(value.dtype)
    starts = [b.cast(x, t) for x, t in zip(inputs[:carries], dtypes, strict=False)]
    taken = [info(n, TYPES[d], None) for n, d in zip(slots, dtypes[:carries], strict=False)]
    reads = [x.name for x in inputs[carries : carries + slices]]
    read_types = [x.dtype for x in inputs[carries : carries + slices]]
    names = slots[carries : carries + slices]
    if not reads:  # a Scan has at least one array to read; this one counts the rounds
        stop = b.with_axes("Squeeze", b.size(attrs["length"]), [0])
        reads = [b.node("Range", b.number(0, "int64"), stop, b.number(1, "int64"))]
        read_types, names = ["int64"], [b.name("round")]
    taken += [info(n, TYPES[t], None) for n, t in zip(names, read_types, strict=True)]
    graph = b.onnx.helper.make_graph(inner.nodes, b.name("body"), taken, outputs)
    way = int(bool(attrs.get("reverse")))
    made: dict[str, Any] = {"body": graph, "num_scan_inputs": len(reads)}
    if way:
        made["scan_input_directions"] = [1] * len(reads)
        if len(outputs) > carries:
            made["scan_output_directions"] = [1] * (len(outputs) - carries)
    return b.nodes_of("Scan", [*starts, *reads], len(outputs), **made)
