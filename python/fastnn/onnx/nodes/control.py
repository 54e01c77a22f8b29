"""Branches and loops, whose graphs the runner runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import ops
from fastnn._core import Dim
from fastnn.onnx.graph import Graph
from fastnn.onnx.values import Call, host, is_known, ndim, shape, tensor, traced

__all__ = ["OPS"]

Op = Callable[..., Any]


def _graph(c: Call, name: str) -> Graph:
    graph = c.attr(name)
    if not isinstance(graph, Graph):
        raise c.wrong(f"it has no graph {name!r}")
    return graph


def _if(c: Call, condition: Any) -> Any:
    yes, no = _graph(c, "then_branch"), _graph(c, "else_branch")
    if not traced(condition):
        taken = bool(host(condition).reshape(-1)[0])
        return tuple(c.runner.run(yes if taken else no, []))
    # Both are computed and one is chosen, which needs results of one shape.
    pairs = zip(c.runner.run(yes, []), c.runner.run(no, []), strict=True)
    choice = ops.reshape(condition, ())
    found = []
    for a, b in pairs:
        if isinstance(a, list) or isinstance(b, list) or shape(a) != shape(b):
            raise c.wrong(
                "its branches give values of different shapes, and which is taken depends on the "
                "model's inputs", "call the model on arrays"
            )  # fmt: skip
        found.append(ops.where(choice, tensor(a), tensor(b)))
    return tuple(found)


def _true(x: Any) -> bool:
    return x is None or bool(host(x, "the condition of a loop").reshape(-1)[0])


def _loop(c: Call, limit: Any = None, condition: Any = None, *carried: Any) -> Any:
    body = _graph(c, "body")
    most = None if limit is None else int(c.host(limit, "M").reshape(-1)[0])
    state: list[Any] = list(carried)
    gifts: list[list[Any]] = [[] for _ in range(len(body.outputs) - 1 - len(state))]
    is_traced = any(traced(x) for x in state)
    going, i = _true(condition), 0
    if going and _never_ends_itself(body):
        c.runner.check_rounds(most)
    while going and (most is None or i < most):
        c.runner.count(1)
        if is_traced and i > 4096:
            c.runner.count(i, written_out=True)
        results = c.runner.run(body, [np.asarray(i, np.int64), np.asarray(True), *state])
        if traced(results[0]):
            raise c.wrong(
                "whether it goes on depends on the model's inputs", "call the model on arrays"
            )
        going = _true(results[0])
        state = results[1 : 1 + len(state)]
        for held, value in zip(gifts, results[1 + len(state) :], strict=True):
            held.append(value)
        i += 1
    return (*state, *(_stacked(c, held, v) for held, v in
                      zip(gifts, body.outputs[1 + len(state) :], strict=True)))  # fmt: skip


def _never_ends_itself(body: Graph) -> bool:
    """Whether the body hands its condition on as it came, so that the trip count alone ends it."""
    made = {name: node for node in body.nodes for name in node.outputs}
    name = body.outputs[0].name
    while name in made and made[name].op == "Identity":
        name = made[name].inputs[0]
    return len(body.inputs) > 1 and name == body.inputs[1].name


def _stacked(c: Call, values: list[Any], declared: Any, axis: int = 0) -> Any:
    if not values:
        sizes = [d if isinstance(d, int) else 0 for d in declared.shape or []]
        dtype = declared.dtype or "float32"
        return np.zeros([0, *sizes], "float32" if dtype == "object" else dtype)
    if all(is_known(v) for v in values):
        return np.stack(values, axis)
    return ops.stack([tensor(v) for v in values], axis=axis)


def _scan(c: Call, *inputs: Any) -> Any:
    body = _graph(c, "body")
    if c.opset < 9:
        return _batched(c, body, inputs)
    count = int(c.attr("num_scan_inputs", 0))
    states, arrays = list(inputs[: len(inputs) - count]), list(inputs[len(inputs) - count :])
    gifts = len(body.outputs) - len(states)
    axes = c.ints("scan_input_axes", [0] * count)
    ways = c.ints("scan_input_directions", [0] * count)
    out_axes = c.ints("scan_output_axes", [0] * gifts)
    out_ways = c.ints("scan_output_directions", [0] * gifts)
    return _scanned(c, body, states, arrays, axes, ways, out_axes, out_ways)


def _scanned(
    c: Call, body: Graph, states: list[Any], arrays: list[Any], axes: list[int], ways: list[int],
    out_axes: list[int], out_ways: list[int],
) -> Any:  # fmt: skip
    axes = [c.axis(a, ndim(x)) for a, x in zip(axes, arrays, strict=True)]
    lengths = [shape(x)[a] for a, x in zip(axes, arrays, strict=True)]
    if not lengths:
        raise c.wrong("it reads no array")
    is_traced = any(traced(x) for x in (*states, *arrays))
    if is_traced and (isinstance(lengths[0], Dim) or lengths[0] > 16):
        found = _in_engine(c, body, states, arrays, axes, ways)
        if found is not None:
            return _placed(c, found, len(states), out_axes, out_ways)
    if isinstance(lengths[0], Dim):
        raise c.wrong("its length is open", "give the size of that axis as a number")
    c.runner.count(int(lengths[0]), written_out=is_traced)
    gifts: list[list[Any]] = [[] for _ in range(len(body.outputs) - len(states))]
    for i in range(int(lengths[0])):
        slices = [
            _taken(x, int(n) - 1 - i if way else i, a)
            for x, a, way, n in zip(arrays, axes, ways, lengths, strict=True)
        ]
        results = c.runner.run(body, [*states, *slices])
        states = results[: len(states)]
        for held, value in zip(gifts, results[len(states) :], strict=True):
            held.append(value)
    found = []
    for held, declared, axis, way in zip(
        gifts, body.outputs[len(states) :], out_axes, out_ways, strict=True
    ):
        found.append(_stacked(c, held[::-1] if way else held, declared, axis))
    return (*states, *found)


def _taken(x: Any, at: int, axis: int) -> Any:
    if is_known(x):
        return np.take(x, at, axis)
    return x[(slice(None),) * axis + (at,)]


def _in_engine(
    c: Call, body: Graph, states: list[Any], arrays: list[Any], axes: list[int], ways: list[int]
) -> Any:
    """The loop as the engine's own, if all arrays are read in one direction."""
    if len(set(ways)) > 1:
        return None
    moved = [ops.moveaxis(tensor(x), a, 0) for x, a in zip(arrays, axes, strict=True)]

    def one(carry: Any, slices: Any) -> Any:
        results = c.runner.run(body, [*carry, *slices])
        values = [tensor(r) for r in results]
        return tuple(values[: len(carry)]), tuple(values[len(carry) :])

    start = tuple(tensor(x) for x in states)
    carry, gifts = ops.scan(one, start, tuple(moved), reverse=bool(ways[0]))
    # The engine leaves results where their slices were; ONNX puts the first round first.
    gifts = [ops.flip(g, axis=0) if ways[0] else g for g in gifts]
    return [*carry, *gifts]


def _placed(c: Call, found: list[Any], states: int, axes: list[int], ways: list[int]) -> Any:
    out = list(found[:states])
    for value, axis, way in zip(found[states:], axes, ways, strict=True):
        value = ops.flip(value, axis=0) if way else value
        out.append(ops.moveaxis(value, 0, axis) if axis else value)
    return tuple(out)


def _batched(c: Call, body: Graph, inputs: Any) -> Any:
    """Opset 8: the first input is of lengths, and all others have a batch axis in front."""
    count = int(c.attr("num_scan_inputs", 0))
    rest = list(inputs[1:])
    states, arrays = rest[: len(rest) - count], rest[len(rest) - count :]
    ways = c.ints("directions", [0] * count)
    if inputs[0] is not None:
        lengths, whole = c.list(inputs[0], "sequence_lens"), shape(arrays[0])[1]
        if any(n != whole for n in lengths):
            raise c.wrong(
                f"its sequences have lengths of {lengths}, the arrays of {whole}",
                "a Scan of opset 9 or newer, or sequences of one length",
            )
    rows = []
    for row in range(int(shape(arrays[0])[0])):
        rows.append(
            _scanned(
                c, body, [_taken(x, row, 0) for x in states], [_taken(x, row, 0) for x in arrays],
                [0] * count, ways, [0] * (len(body.outputs) - len(states)),
                [0] * (len(body.outputs) - len(states)),
            )
        )  # fmt: skip
    return tuple(_stacked(c, list(column), None) for column in zip(*rows, strict=True))


OPS: dict[str, Op] = {"If": _if, "Loop": _loop, "Scan": _scan}
