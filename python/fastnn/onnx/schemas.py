"""What ONNX says a node of an op may have: how many inputs, and which attributes of which types.

Depends on `graph`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastnn.errors import FormatError
from fastnn.onnx.graph import Graph, Node

__all__ = ["check_schemas"]


@dataclass(frozen=True)
class _Rules:
    """The schema of an op in one opset, as far as nodes are held to it."""

    least: int
    most: int
    needed: frozenset[int]
    attributes: Mapping[str, int]
    required: frozenset[str]


def check_schemas(onnx: Any, graph: Graph, protos: Mapping[int, Any]) -> None:
    """Refuses nodes that their op's schema does not allow, which would compute something else.

    Args:
        onnx: The package.
        graph: A graph that is whole.
        protos: What nodes were made of, by their ids.

    Raises:
        FormatError: A node has too few or too many inputs, lacks an attribute, or has one that is
            unknown or of another type.
    """
    known: dict[tuple[str, str, int], _Rules | None] = {}

    def check(nodes: Sequence[Node], opsets: Mapping[str, int]) -> None:
        for node in nodes:
            function = graph.functions.get((node.domain, node.op))
            if function is not None:
                if len(node.inputs) > len(function.inputs):
                    raise _wrong_count(node, 0, len(function.inputs))
                continue
            key = (node.op, node.domain, opsets.get(node.domain, opsets.get("", 1)))
            if key not in known:
                known[key] = _rules(onnx, *key)
            rules = known[key]
            if rules is not None:
                _check_node(onnx, node, rules, protos.get(id(node)))

    for inner in graph.graphs():
        check(inner.nodes, graph.opsets)
    for function in graph.functions.values():
        for inner in Graph("", [], [], function.nodes, {}).graphs():
            check(inner.nodes, {**graph.opsets, **function.opsets})


def _rules(onnx: Any, op: str, domain: str, version: int) -> _Rules | None:
    """None where the package has no schema of the op in that opset."""
    try:
        schema = onnx.defs.get_schema(op, version, domain)
    except onnx.defs.SchemaError:
        return None
    single = onnx.defs.OpSchema.FormalParameterOption.Single
    attributes = schema.attributes
    return _Rules(
        schema.min_input,
        schema.max_input,
        frozenset(i for i, x in enumerate(schema.inputs) if x.option == single),
        {k: int(a.type.value) for k, a in attributes.items()},
        frozenset(k for k, a in attributes.items() if a.required),
    )


def _check_node(onnx: Any, node: Node, rules: _Rules, proto: Any) -> None:
    if not rules.least <= len(node.inputs) <= rules.most:
        raise _wrong_count(node, rules.least, rules.most)
    for i, name in enumerate(node.inputs):
        if not name and i in rules.needed:
            raise FormatError(
                f"{node.label}: input {i} is left out, its op needs it\n"
                "  hint: is the file damaged?"
            )
    given = {*node.attrs, *node.refs}
    for name in rules.required - given:
        raise FormatError(f"{node.label} has no attribute {name!r}\n  hint: is the file damaged?")
    types = {} if proto is None else {a.name: int(a.type) for a in proto.attribute}
    for name in given:
        if name.startswith("__"):  # notes that programs leave for themselves
            continue
        wanted = rules.attributes.get(name)
        if wanted is None:
            raise FormatError(
                f"{node.label}: its op has no attribute {name!r} in this opset\n"
                f"  hint: it has {', '.join(sorted(rules.attributes)) or 'none'}"
            )
        if types.get(name, wanted) != wanted:
            type_name = onnx.AttributeProto.AttributeType.Name
            raise FormatError(
                f"{node.label}: attribute {name!r} is of type {type_name(types[name])}, wanted "
                f"{type_name(wanted)}\n  hint: is the file damaged?"
            )


def _wrong_count(node: Node, least: int, most: int) -> FormatError:
    end = f" to {most}" if most < 1 << 20 else " or more"
    wanted = f"{least}{'' if least == most else end}"
    return FormatError(
        f"{node.label} has {len(node.inputs)} inputs, its op takes {wanted}\n"
        "  hint: is the file damaged?"
    )
