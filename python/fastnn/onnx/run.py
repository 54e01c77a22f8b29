"""Runs a graph on arrays or tensors, node by node; on traced tensors that makes fastnn's graph.

Depends on `graph`, `values`, `nodes`, `narrow`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastnn.errors import DataError, FastnnError, FormatError, ShapeError
from fastnn.onnx.graph import Function, Graph, Node, inner_graphs
from fastnn.onnx.narrow import Narrow
from fastnn.onnx.nodes import find
from fastnn.onnx.values import Call

__all__ = ["MOST_ROUNDS", "Runner"]

#: Rounds of all loops in one run, and rounds that a trace writes out.
MOST_ROUNDS, MOST_WRITTEN_OUT = 1_000_000, 4096


class Runner:
    """One run of a graph."""

    graph: Graph
    opsets: dict[str, int]
    functions: dict[tuple[str, str], Function]
    depth: int

    def __init__(self, graph: Graph) -> None:
        self.graph, self.opsets, self.functions = graph, graph.opsets, graph.functions
        self.rounds_left = MOST_ROUNDS
        self.depth = 0
        self.narrow = Narrow()
        #: Whether a leading size of 1 in shapes stands for the batch.
        self.open_batch = False

    def run(self, values: Mapping[str, Any]) -> list[Any]:
        """The outputs for inputs and weights by name."""
        for v in self.graph.inputs:
            self.narrow.note(values.get(v.name), v.dtype)
        return self.run_graph(self.graph, dict(values), {})

    def run_graph(self, graph: Graph, given: dict[str, Any], outer: Mapping[str, Any]) -> list[Any]:
        """The outputs of a graph; `outer` are the values of the graphs around it."""
        values: dict[str, Any] = {**outer}
        values |= {k: v for k, v in graph.arrays.items() if v is not None}
        values |= given
        self._run_nodes(graph.nodes, values, self.opsets, _last_uses(graph))
        return [values[v.name] for v in graph.outputs]

    def _run_nodes(
        self,
        nodes: Sequence[Node],
        values: dict[str, Any],
        opsets: Mapping[str, int],
        last: Mapping[int, list[str]],
    ) -> None:
        for at, node in enumerate(nodes):
            inputs = [values[n] if n else None for n in node.inputs]
            made = self.call(node, inputs, values, opsets)
            for name, value in zip(node.outputs, made, strict=False):
                if name:
                    values[name] = value
            if any(name and name not in values for name in node.outputs):
                raise FormatError(
                    f"{node.label} has {len(node.outputs)} outputs, its op gives {len(made)}\n"
                    "  hint: is the file damaged?"
                )
            for name in last.get(at, ()):
                values.pop(name, None)

    def call(
        self, node: Node, inputs: list[Any], values: dict[str, Any], opsets: Mapping[str, int]
    ) -> Sequence[Any]:
        """The results of one node, as a list."""
        function = self.functions.get((node.domain, node.op))
        if function is not None:
            return self._call_function(function, node, inputs)
        handler = find(node.domain, node.op)
        call = Call(node, opsets.get(node.domain, opsets.get("", 1)), Inside(self, values, opsets))
        try:
            with np.errstate(all="ignore"):
                made = handler(call, *inputs)
                made = made if isinstance(made, tuple) else (made,)
                return self.narrow.results(node, inputs, made)
        except FastnnError as error:
            if "node " in str(error):
                raise
            raise type(error)(f"{node.label}: {error}") from error
        except MemoryError as error:  # of sizes that the file asks for
            raise ShapeError(
                f"{node.label}: {error!s:.300}\n"
                "  hint: is the file damaged, or was it made to exhaust memory?"
            ) from error
        except (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError,
                ZeroDivisionError, RecursionError) as error:  # fmt: skip
            raise DataError(
                f"{node.label} cannot be computed: {type(error).__name__}: {error!s:.300}\n"
                "  hint: are inputs and attributes those of its op?"
            ) from error

    def _call_function(self, function: Function, node: Node, inputs: list[Any]) -> list[Any]:
        given = {k: v for k, v in function.attributes.items() if v is not None} | node.attrs
        values: dict[str, Any] = dict.fromkeys(function.inputs)
        values |= dict(zip(function.inputs, inputs, strict=False))
        self.depth += 1
        if self.depth > 64:
            raise FormatError(f"{node.label}: calls of functions go too deep\n  hint: damaged?")
        bound = [_bound(n, given) for n in function.nodes]
        self._run_nodes(bound, values, {**self.opsets, **function.opsets}, {})
        self.depth -= 1
        return [values[o] for o in function.outputs]


class Inside:
    """What a node with graphs in it needs of the run: the values around them, and the runner."""

    opsets: Mapping[str, int]
    runner: Runner
    values: dict[str, Any]

    __slots__ = ("opsets", "runner", "values")

    def __init__(self, runner: Runner, values: dict[str, Any], opsets: Mapping[str, int]) -> None:
        self.runner, self.values, self.opsets = runner, values, opsets

    def run(self, graph: Graph, inputs: Sequence[Any]) -> list[Any]:
        """The outputs of a graph of the node."""
        names = [v.name for v in graph.inputs]
        if len(names) != len(inputs):
            raise FormatError(
                f"graph {graph.name!r} takes {len(names)} inputs, its node gives {len(inputs)}\n"
                "  hint: is the file damaged?"
            )
        given = dict(zip(names, inputs, strict=True))
        return self.runner.run_graph(graph, given, self.values)

    def check_rounds(self, rounds: int | None) -> None:
        """FormatError before the first of more rounds than are left; None: without an end."""
        if rounds is None or rounds > self.runner.rounds_left:
            raise self._too_many()

    def count(self, rounds: int = 1, written_out: bool = False) -> None:
        """Charges rounds of a loop."""
        runner = self.runner
        runner.rounds_left -= rounds
        if runner.rounds_left < 0 or (written_out and rounds > MOST_WRITTEN_OUT):
            raise self._too_many()

    def _too_many(self) -> FormatError:
        return FormatError(
            "a loop runs for more rounds than a file may ask for\n"
            "  hint: is the file damaged? While traced, loops of known length only"
        )


def _bound(node: Node, given: Mapping[str, Any]) -> Node:
    """A node of a function, with the attributes of the call in place of references."""
    attrs = dict(node.attrs)
    for name, source in node.refs.items():
        if source in given:
            attrs[name] = given[source]
    for name, value in attrs.items():
        if isinstance(value, Graph):
            nodes = [_bound(n, given) for n in value.nodes]
            attrs[name] = Graph(value.name, value.inputs, value.outputs, nodes, value.arrays)
    return Node(node.op, node.domain, node.name, node.inputs, node.outputs, attrs)


def _last_uses(graph: Graph) -> dict[int, list[str]]:
    """Per node, what nobody reads after it, so that memory is let go as the run goes on."""
    kept = {v.name for v in graph.outputs}
    last: dict[str, int] = {}
    for at, node in enumerate(graph.nodes):
        for name in _read(node):
            last[name] = at
        for name in node.outputs:
            last.setdefault(name, at)
    found: dict[int, list[str]] = {}
    own = {o for n in graph.nodes for o in n.outputs} - kept
    for name, at in last.items():
        if name in own:
            found.setdefault(at, []).append(name)
    return found


def _read(node: Node) -> list[str]:
    names = list(node.inputs)
    for graph in inner_graphs(node):
        for inner in graph.nodes:
            names += _read(inner)
        names += [v.name for v in graph.outputs]
    return names
