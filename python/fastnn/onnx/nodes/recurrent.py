"""LSTM, GRU and RNN: a scan for each direction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import ops
from fastnn.onnx.values import Call, like, shape, tensor

__all__ = ["OPS"]

Op = Callable[..., Any]


def _activation(c: Call, name: str, alpha: float | None, beta: float | None) -> Op:
    def given(value: float | None, default: float) -> float:
        return default if value is None else value

    key = name.lower()
    plain: dict[str, Op] = {
        "sigmoid": ops.sigmoid, "tanh": ops.tanh, "relu": ops.relu, "softplus": ops.softplus,
        "softsign": ops.softsign,
    }  # fmt: skip
    if key in plain:
        return plain[key]
    if key == "affine":
        return lambda x: given(alpha, 1.0) * x + given(beta, 0.0)
    if key == "leakyrelu":
        return lambda x: ops.where(ops.less(x, 0), given(alpha, 0.01) * x, x)
    if key == "thresholdedrelu":
        return lambda x: ops.where(ops.greater(x, given(alpha, 1.0)), x, 0.0 * x)
    if key == "scaledtanh":
        return lambda x: given(alpha, 1.0) * ops.tanh(given(beta, 1.0) * x)
    if key == "hardsigmoid":
        return lambda x: ops.clip(given(alpha, 0.2) * x + given(beta, 0.5), 0.0, 1.0)
    if key == "elu":
        return lambda x: ops.where(ops.less(x, 0), given(alpha, 1.0) * ops.expm1(x), x)
    raise c.wrong(f"there is no activation {name!r}")


#: Activations of two parameters, in small letters; others have the first one alone, or none.
_TAKE_BETA = {"affine", "scaledtanh", "hardsigmoid"}


def _shared_out(values: list[float], names: list[str], takers: set[str]) -> list[float | None]:
    """A value for each activation, where values stand in the order of those that take one."""
    if len(values) == len(names):
        return list(values)
    left = iter(values)
    return [next(left, None) if name.lower() in takers else None for name in names]


def _activations(c: Call, each: list[str], directions: int) -> list[list[Op]]:
    """The activations of each direction."""
    names = c.attr("activations") or each * directions
    alphas = list(c.attr("activation_alpha") or [])
    betas = list(c.attr("activation_beta") or [])
    alphas = _shared_out(alphas, names, {*_TAKE_BETA, "leakyrelu", "thresholdedrelu", "elu"})
    betas = _shared_out(betas, names, _TAKE_BETA)
    found = [_activation(c, *each) for each in zip(names, alphas, betas, strict=True)]
    if len(found) != len(each) * directions:
        raise c.wrong(f"{len(found)} activations, wanted {len(each) * directions}")
    return [found[i * len(each) : (i + 1) * len(each)] for i in range(directions)]


class _Run:
    """What the three kinds share: directions, layout, lengths, first states."""

    def __init__(self, c: Call, gates: int, x: Any, w: Any, lengths: Any, states: int) -> None:
        self.c = c
        self.t = tensor(x)
        if c.attr("layout", 0):
            self.t = ops.transpose(self.t, [1, 0, 2])
        self.directions = int(shape(w)[0])
        self.hidden = int(c.attr("hidden_size", int(shape(w)[1]) // gates))
        self.batch = shape(self.t)[1]
        way = c.attr("direction", "forward")
        self.reverse = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}.get(
            way, []
        )
        if len(self.reverse) != self.directions:
            raise c.wrong(f"direction {way!r} with weights for {self.directions}")
        self.lengths = None if lengths is None else ops.cast(tensor(lengths), "int32")
        self.states = states
        clip = c.attr("clip")
        self.clip: Op = (lambda v: v) if clip is None else (
            lambda v: ops.clip(v, -float(clip), float(clip)))  # fmt: skip

    def start(self, given: Any, direction: int) -> Any:
        """The first state of a direction."""
        if given is not None:
            first = tensor(given)
            if self.c.attr("layout", 0):
                first = ops.transpose(first, [1, 0, 2])
            return first[direction]
        like_batch = self.t[0, :, :1]
        return ops.broadcast_to(ops.zeros_like(like_batch), [self.batch, self.hidden])

    def scan(self, step: Op, start: tuple[Any, ...], z: Any, reverse: bool) -> Any:
        """Hidden states of all steps in order of time, and the last states."""
        steps = shape(self.t)[0]

        def one(carry: Any, slices: Any) -> Any:
            now, at = slices
            new = step(carry, now)
            if self.lengths is None:
                return new, new[0]
            alive = ops.expand_dims(ops.less(at, self.lengths), 1)
            kept = tuple(ops.where(alive, n, o) for n, o in zip(new, carry, strict=True))
            return kept, ops.where(alive, new[0], ops.zeros_like(new[0]))

        places = ops.iota(steps) if not isinstance(steps, int) else tensor(
            np.arange(steps, dtype=np.int32))  # fmt: skip
        # A mask by length serves both directions: going back, steps behind the end come first.
        return ops.scan(one, start, (z, places), reverse=reverse)

    def results(self, found: list[tuple[Any, Any]], x: Any) -> Any:
        """Y, and the last states, in ONNX's layout; zeros for a sequence of no steps."""
        y = ops.stack([hidden for _, hidden in found], axis=1)  # (time, directions, batch, hidden)
        last = [ops.stack([states[i] for states, _ in found], axis=0) for i in range(self.states)]
        if self.lengths is not None:
            some = ops.reshape(ops.greater(self.lengths, 0), [1, -1, 1])
            last = [ops.where(some, v, ops.zeros_like(v)) for v in last]
        if self.c.attr("layout", 0):
            y = ops.transpose(y, [2, 0, 1, 3])
            last = [ops.transpose(v, [1, 0, 2]) for v in last]
        return tuple(like(v, x) for v in (y, *last))[: max(self.c.outputs, 1)]


def _bias(run: _Run, bias: Any, direction: int, gates: int) -> tuple[Any, Any]:
    """The biases of inputs and of states."""
    if bias is None:
        nothing = tensor(np.zeros(gates * run.hidden, np.float32))
        return nothing, nothing
    b = tensor(bias)[direction]
    return b[: gates * run.hidden], b[gates * run.hidden :]


def _parts(x: Any, count: int, size: int) -> list[Any]:
    return [x[..., i * size : (i + 1) * size] for i in range(count)]


def _rnn(
    c: Call, x: Any, w: Any, r: Any, bias: Any = None, lengths: Any = None, h0: Any = None
) -> Any:
    run = _Run(c, 1, x, w, lengths, 1)
    acts = _activations(c, ["Tanh"], run.directions)
    found = []
    for d in range(run.directions):
        (f,), back = acts[d], ops.transpose(tensor(r)[d])
        b, rb = _bias(run, bias, d, 1)
        z = ops.matmul(run.t, ops.transpose(tensor(w)[d])) + (b + rb)

        def step(carry: Any, now: Any, f: Op = f, back: Any = back) -> Any:
            return (f(run.clip(now + ops.matmul(carry[0], back))),)

        found.append(run.scan(step, (run.start(h0, d),), z, run.reverse[d]))
    return run.results(found, x)


def _gru(
    c: Call, x: Any, w: Any, r: Any, bias: Any = None, lengths: Any = None, h0: Any = None
) -> Any:
    run = _Run(c, 3, x, w, lengths, 1)
    n, acts = run.hidden, _activations(c, ["Sigmoid", "Tanh"], run.directions)
    late = bool(c.attr("linear_before_reset", 0))
    found = []
    for d in range(run.directions):
        f, g = acts[d]
        back = tensor(r)[d]
        b, rb = _bias(run, bias, d, 3)
        z = ops.matmul(run.t, ops.transpose(tensor(w)[d])) + b
        gates, inner = ops.transpose(back[: 2 * n]), ops.transpose(back[2 * n :])
        gate_bias, inner_bias = rb[: 2 * n], rb[2 * n :]

        def step(
            carry: Any, now: Any, f: Op = f, g: Op = g, gates: Any = gates, inner: Any = inner,
            gate_bias: Any = gate_bias, inner_bias: Any = inner_bias,
        ) -> Any:  # fmt: skip
            (h,) = carry
            both = f(run.clip(now[..., : 2 * n] + ops.matmul(h, gates) + gate_bias))
            update, reset = both[..., :n], both[..., n:]
            if late:
                new = now[..., 2 * n :] + reset * (ops.matmul(h, inner) + inner_bias)
            else:
                new = now[..., 2 * n :] + ops.matmul(reset * h, inner) + inner_bias
            return ((1.0 - update) * g(run.clip(new)) + update * h,)

        found.append(run.scan(step, (run.start(h0, d),), z, run.reverse[d]))
    return run.results(found, x)


def _lstm(
    c: Call, x: Any, w: Any, r: Any, bias: Any = None, lengths: Any = None, h0: Any = None,
    c0: Any = None, peepholes: Any = None,
) -> Any:  # fmt: skip
    run = _Run(c, 4, x, w, lengths, 2)
    n, acts = run.hidden, _activations(c, ["Sigmoid", "Tanh", "Tanh"], run.directions)
    coupled = bool(c.attr("input_forget", 0))
    found = []
    for d in range(run.directions):
        f, g, h_of = acts[d]
        back = ops.transpose(tensor(r)[d])
        b, rb = _bias(run, bias, d, 4)
        z = ops.matmul(run.t, ops.transpose(tensor(w)[d])) + (b + rb)
        looks = [0.0] * 3 if peepholes is None else _parts(tensor(peepholes)[d], 3, n)

        def step(
            carry: Any, now: Any, f: Op = f, g: Op = g, h_of: Op = h_of, back: Any = back,
            looks: Any = looks,
        ) -> Any:  # fmt: skip
            h, cell = carry
            i, o, forget, new = _parts(now + ops.matmul(h, back), 4, n)
            i = f(run.clip(i + looks[0] * cell))
            forget = 1.0 - i if coupled else f(run.clip(forget + looks[2] * cell))
            cell = forget * cell + i * g(run.clip(new))
            return f(run.clip(o + looks[1] * cell)) * h_of(cell), cell

        start = (run.start(h0, d), run.start(c0, d))
        found.append(run.scan(step, start, z, run.reverse[d]))
    return run.results(found, x)


OPS: dict[str, Op] = {"RNN": _rnn, "GRU": _gru, "LSTM": _lstm}
