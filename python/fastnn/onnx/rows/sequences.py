"""Recurrences and attention, in ONNX: its own nodes where they say the same, else a `Scan`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.onnx.builder import TYPES, Builder
from fastnn.onnx.rows.reducing import reduce
from fastnn.onnx.traced import Row, Value

__all__ = ["ROWS"]

Write = Callable[..., Any]
_F32 = TYPES["float32"]


def _refuse_dropped(b: Builder, drop: Value) -> None:
    if b.scalars.get(drop.name) != 1.0:
        raise NotImplementedError("states are dropped\n  hint: export the model, not its training")


def _first(b: Builder, state: Value, z: Value, units: int) -> str:
    """The first state (batch, units)."""
    if state.shape:
        return b.cast(state, "float32")
    batch = b.node("Shape", z.name, start=0, end=1)
    return b.node("Expand", b.cast(state, "float32"),
                  b.node("Concat", batch, b.ints([units]), axis=0))  # fmt: skip


class _Node:
    """A recurrence as a node of ONNX: time in front, one direction."""

    def __init__(self, b: Builder, row: Row, z: Value, gates: int, order: list[int]) -> None:
        self.b, self.units = b, z.shape[-1] // gates
        self.way = "reverse" if row.attrs["reverse"] else "forward"
        inputs = b.products.get(z.name)
        #: Rows of the parameters in ONNX's order of gates.
        self.order = order
        if inputs is not None:
            x, kernel, bias = inputs
            self.x = b.node("Transpose", x, perm=[1, 0, 2])
            self.w = self.gates(b.node("Transpose", kernel, perm=[1, 0]))
            self.bias = self.gates(bias)
        else:  # what inputs give is computed already: it goes in as it is
            self.x = b.node("Transpose", z.name, perm=[1, 0, 2])
            eye = np.eye(gates * self.units, dtype=np.float32)
            self.w = self.gates(b.array(eye, "float32"))
            self.bias = b.array(np.zeros(gates * self.units), "float32")

    def gates(self, x: str) -> str:
        """Parameters, whose first axis goes by gates, in ONNX's order."""
        n = self.units
        places = [g * n + i for g in self.order for i in range(n)]
        if places == list(range(len(places))):
            return x
        return self.b.node("Gather", x, self.b.ints(places), axis=0)

    def made(
        self, op: str, weights: Value, bias: str, states: list[str], **attrs: Any
    ) -> list[str]:
        """States of all steps (batch, steps, units), and the last ones."""
        b = self.b
        one = [0]
        r = self.gates(b.node("Transpose", b.cast(weights, "float32"), perm=[1, 0]))
        both = b.node("Concat", self.bias, bias, axis=0)
        given = [self.x, *(b.with_axes("Unsqueeze", v, one) for v in (self.w, r, both)), ""]
        given += [b.with_axes("Unsqueeze", s, one) for s in states]
        found = b.nodes_of(op, given, 1 + len(states), hidden_size=self.units,
                           direction=self.way, **attrs)  # fmt: skip
        y = b.node("Transpose", b.with_axes("Squeeze", found[0], [1]), perm=[1, 0, 2])
        return [y, *(b.with_axes("Squeeze", v, one) for v in found[1:])]


def _scanned(
    b: Builder, row: Row, z: Value, mask: Value, states: list[str], step: Callable[..., list[str]]
) -> list[str]:
    """A `Scan` over the steps: where the mask is false a step keeps the states."""
    inner = Builder(b.onnx, b.opset, [], b)
    info = b.onnx.helper.make_tensor_value_info
    old = [b.name("state") for _ in states]
    now, seen = b.name("now"), b.name("seen")
    new = step(inner, now, old)
    alive = inner.with_axes("Unsqueeze", seen, [1])
    kept = [inner.node("Where", alive, n, o) for n, o in zip(new, old, strict=True)]
    ends = []
    for value in (*kept, kept[0]):
        name = b.name("gives")
        inner.nodes.append(b.onnx.helper.make_node("Identity", [value], [name], name=name))
        ends.append(info(name, _F32, None))
    takes = [*(info(n, _F32, None) for n in (*old, now)), info(seen, TYPES["bool"], None)]
    graph = b.onnx.helper.make_graph(inner.nodes, b.name("body"), takes, ends)
    steps = b.node("Shape", z.name, start=0, end=2)
    truth = b.node("Expand", b.cast(mask, "bool"), steps)
    reads = [b.node("Transpose", z.name, perm=[1, 0, 2]), b.node("Transpose", truth, perm=[1, 0])]
    way = int(row.attrs["reverse"])
    found = b.nodes_of(
        "Scan", [*states, *reads], len(states) + 1, body=graph, num_scan_inputs=2,
        scan_input_directions=[way, way], scan_output_directions=[way],
    )  # fmt: skip
    return [b.node("Transpose", found[-1], perm=[1, 0, 2]), *found[:-1]]


def _cut(b: Builder, x: str, at: int, units: int) -> str:
    return b.node("Slice", x, b.ints([at * units]), b.ints([(at + 1) * units]), b.ints([-1]))


def _lstm(
    b: Builder, row: Row, z: Value, weights: Value, h0: Value, c0: Value, mask: Value, drop: Value
) -> list[str]:
    _refuse_dropped(b, drop)
    units = z.shape[-1] // 4
    states = [_first(b, s, z, units) for s in (h0, c0)]
    if b.scalars.get(mask.name) == 1.0:
        nothing = b.array(np.zeros(4 * units), "float32")
        return _Node(b, row, z, 4, [0, 3, 1, 2]).made("LSTM", weights, nothing, states)

    def step(inner: Builder, now: str, old: list[str]) -> list[str]:
        total = inner.node("Add", now, inner.node("MatMul", old[0], weights.name))
        i, f, new, o = (_cut(inner, total, k, units) for k in range(4))
        i, f, o = (inner.node("Sigmoid", v) for v in (i, f, o))
        kept = inner.node("Mul", f, old[1])
        cell = inner.node("Add", kept, inner.node("Mul", i, inner.node("Tanh", new)))
        return [inner.node("Mul", o, inner.node("Tanh", cell)), cell]

    return _scanned(b, row, z, mask, states, step)


def _gru(
    b: Builder, row: Row, z: Value, weights: Value, bias: Value, h0: Value, mask: Value, drop: Value
) -> list[str]:
    _refuse_dropped(b, drop)
    units, late = z.shape[-1] // 3, bool(row.attrs["reset_after"])
    states = [_first(b, h0, z, units)]
    wide = b.node("Expand", b.cast(bias, "float32"), b.ints([3 * units]))
    if b.scalars.get(mask.name) == 1.0:
        made = _Node(b, row, z, 3, [0, 1, 2])
        return made.made("GRU", weights, wide, states, linear_before_reset=int(late))

    def step(inner: Builder, now: str, old: list[str]) -> list[str]:
        (h,) = old
        parts = [_cut(inner, weights.name, k, units) for k in range(3)]
        adds = [_cut(inner, wide, k, units) for k in range(3)]
        own = [_cut(inner, now, k, units) for k in range(3)]

        def through(k: int, state: str) -> str:
            return inner.node("Add", inner.node("MatMul", state, parts[k]), adds[k])

        update, reset = (
            inner.node("Sigmoid", inner.node("Add", own[k], through(k, h))) for k in (0, 1)
        )
        if late:
            back = inner.node("Mul", reset, through(2, h))
        else:
            back = through(2, inner.node("Mul", reset, h))
        new = inner.node("Tanh", inner.node("Add", own[2], back))
        rest = inner.node("Sub", inner.number(1.0), update)
        return [inner.node("Add", inner.node("Mul", update, h), inner.node("Mul", rest, new))]

    return _scanned(b, row, z, mask, states, step)


_SIMPLE = ("Tanh", "Relu", "Affine", "Sigmoid")


def _simple_rnn(
    b: Builder, row: Row, z: Value, weights: Value, h0: Value, mask: Value, drop: Value
) -> list[str]:
    _refuse_dropped(b, drop)
    units, kind = z.shape[-1], _SIMPLE[row.attrs["activation"]]
    states = [_first(b, h0, z, units)]
    if b.scalars.get(mask.name) == 1.0 and kind != "Affine":
        nothing = b.array(np.zeros(units), "float32")
        made = _Node(b, row, z, 1, [0])
        return made.made("RNN", weights, nothing, states, activations=[kind])

    def step(inner: Builder, now: str, old: list[str]) -> list[str]:
        total = inner.node("Add", now, inner.node("MatMul", old[0], weights.name))
        return [total if kind == "Affine" else inner.node(kind, total)]

    return _scanned(b, row, z, mask, states, step)


def _attention(
    b: Builder, row: Row, q: Value, k: Value, v: Value, bias: Value, mask: Value, lengths: Value,
    start: Value, key: Value,
) -> list[str]:  # fmt: skip
    if row.attrs["rate"]:
        raise NotImplementedError("weights are dropped\n  hint: export the model, not its training")
    heads, groups = q.shape[2], k.shape[2]
    front = [0, 2, 1, 3]
    qt = b.node("Transpose", b.cast(q, "float32"), perm=front)
    kt = b.node("Transpose", b.cast(k, "float32"), perm=[0, 2, 3, 1])
    vt = b.node("Transpose", b.cast(v, "float32"), perm=front)
    if heads != groups:  # neighbours share a group
        places = b.ints([h * groups // heads for h in range(heads)])
        kt, vt = (b.node("Gather", x, places, axis=1) for x in (kt, vt))
    scores = b.node("Mul", b.node("MatMul", qt, kt), b.number(float(row.attrs["scale"])))
    if b.scalars.get(bias.name) != 0.0:
        scores = b.node("Add", scores, b.cast(bias, "float32"))
    seen = []
    if b.scalars.get(mask.name) != 1.0:
        seen.append(b.cast(mask, "bool"))
    keys = _places(b, k)
    if lengths.shape:
        seen.append(b.node("Less", keys, _by_row(b, lengths)))
    elif b.scalars.get(lengths.name, 0.0) < 2**24:
        seen.append(b.node("Less", keys, b.node("Cast", lengths.name, to=TYPES["int64"])))
    if row.attrs["causal"]:
        first = _by_row(b, start) if start.shape else b.node("Cast", start.name, to=TYPES["int64"])
        rows = b.node("Reshape", _places(b, q), b.ints([-1, 1]))
        seen.append(b.node("LessOrEqual", keys, b.node("Add", rows, first)))
    alive = None
    for truth in seen:
        alive = truth if alive is None else b.node("And", alive, truth)
    if alive is not None:
        scores = b.node("Where", alive, scores, b.number(float("-inf")))
    shares = b.node("Softmax", scores, axis=-1)
    if alive is not None:  # a query that sees no key gives zeros
        shares = b.node("Where", b.node("IsNaN", shares), b.number(0.0), shares)
    return [b.node("Transpose", b.node("MatMul", shares, vt), perm=front), _log_sum(b, scores)]


def _log_sum(b: Builder, scores: str) -> str:
    """The logarithm of the softmax's sum, -inf where no key is seen."""
    top = reduce(b, "ReduceMax", scores, [-1], True)
    level = b.node("Where", b.node("IsInf", top), b.number(0.0), top)
    parts = b.node("Exp", b.node("Sub", scores, level))
    total = b.node("Add", b.node("Log", reduce(b, "ReduceSum", parts, [-1], True)), level)
    return b.with_axes("Squeeze", total, [-1])


def _places(b: Builder, x: Value) -> str:
    size = b.with_axes("Squeeze", b.node("Shape", x.name, start=1, end=2), [0])
    return b.node("Range", b.number(0, "int64"), size, b.number(1, "int64"))


def _by_row(b: Builder, x: Value) -> str:
    return b.node("Reshape", b.node("Cast", x.name, to=TYPES["int64"]), b.ints([-1, 1, 1, 1]))


ROWS: dict[str, Write] = {
    "lstm": _lstm, "gru": _gru, "simple_rnn": _simple_rnn, "attention": _attention,
}  # fmt: skip
