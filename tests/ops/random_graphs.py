"""Random graphs of the op table's rows, and what must hold for each; a program of its own too.

`python tests/ops/random_graphs.py FIRST COUNT FILE` checks the graphs of COUNT seeds from FIRST on
and writes to FILE, as JSON, what failed, which rows were drawn, and a digest of each graph's
results. `python -c "import random_graphs as r; print(r.check(SEED))"` in `tests/ops` looks
at one of them.

A graph is a list of leaves and ops with the values that the ops have one at a time. `check`
compares these with the rows' formulas in float64, compiles the graph whole and compares again, on
1, 2 and 3 threads, and compares its gradients with finite differences.
"""

import collections
import hashlib
import json
import math
import sys
import time
import warnings

import numpy as np

from drawn_graph import KINDS, Graph, apply
from fastnn import _core
from graph_oracle import Tolerance, bits, exact, step_fault, wide


class Compiled:
    """A graph as one compiled function of its leaves, some of them variables that it updates."""

    def __init__(self, g, outputs):
        self.g, self.outputs = g, outputs
        self.leaves = [i for i, node in enumerate(g.nodes) if node[0] == "leaf"]
        self.updates = {}
        for i in self.leaves:
            value = g.values[i]
            if value.dtype == np.float32 and not g.smooth and g.chance(0.15):
                new = g.pick(lambda v, value=value: v.shape == value.shape)
                self.updates[i] = (_core.Variable(value), new)
        self.inputs = [i for i in self.leaves if i not in self.updates]
        self.tensors = self.traced()
        pairs = [(v, self.tensors[new]) for v, new in self.updates.values()]
        outs = [self.tensors[o] for o in outputs]
        self.function = _core.Function([self.tensors[i] for i in self.inputs], outs, pairs)

    def traced(self):
        tensors = []
        for i, node in enumerate(self.g.nodes):
            if i in self.updates:
                tensors.append(self.updates[i][0].traced())
            elif node[0] == "leaf":
                value = self.g.values[i]
                tensors.append(_core.placeholder(value.shape, KINDS[value.dtype.kind]))
            else:
                name, inputs, attrs, k = node
                tensors.append(apply(name, [tensors[j] for j in inputs], attrs)[k])
        return tensors

    def __call__(self, function=None):
        """The outputs, and the new values of the variables by leaf."""
        for i, (variable, _) in self.updates.items():
            variable.assign(self.g.values[i])
        got = (function or self.function)(*[self.g.values[i] for i in self.inputs])
        got = [np.asarray(y.numpy()) for y in (got if isinstance(got, tuple) else (got,))]
        return got, {i: np.asarray(v.numpy()) for i, (v, _) in self.updates.items()}


def check(seed, drawn=None):
    """Draws and checks the graph of `seed`; gives its faults and a digest of its results."""
    g = Graph(seed)
    ops = [i for i, node in enumerate(g.nodes) if node[0] != "leaf"]
    faults = [f"node {i} {g.nodes[i]}: {f}" for i in ops if (f := step_fault(g, i))]
    if drawn is not None:
        drawn["values"].update(g.nodes[i][0] for i in ops)
        drawn["graphs"] += 1
        drawn["ops"] += len(ops)
        drawn["refused"].update(text.split(":")[0] for text in g.refused)
    used = {j for i in ops for j in g.nodes[i][1]}
    outputs = [i for i in ops if i not in used or g.chance(0.15)]
    if not outputs:
        return faults, ""
    tolerance = None

    def compare(what, got, wanted, i):
        nonlocal tolerance
        if bits(got) != bits(wanted):
            tolerance = tolerance or Tolerance(g)
            if fault := tolerance.fault(got, wanted, i):
                faults.append(f"{what}: node {i} {g.nodes[i]}: {fault}")

    whole = Compiled(g, outputs)
    got, states = whole()
    for o, y in zip(outputs, got, strict=True):
        compare("compiled", y, g.values[o], o)
    for i, y in states.items():
        compare("new state", y, g.values[whole.updates[i][1]], whole.updates[i][1])
    if not whole.updates and g.chance(0.2):
        lazy = [_core.tensor(v) for v in g.values]
        for i in ops:
            name, inputs, attrs, k = g.nodes[i]
            lazy[i] = apply(name, [lazy[j] for j in inputs], attrs)[k]
        for o in outputs:
            compare("lazy", np.asarray(lazy[o].numpy()), g.values[o], o)
    digest = hashlib.md5(b"".join(bits(y) for y in (*got, *states.values())))
    faults += thread_faults(whole, None, got, g)
    if g.smooth:
        grads = gradient_faults(g, whole, faults, drawn)
        digest.update(b"".join(bits(y) for y in grads))
    return faults, digest.hexdigest()[:12]


def thread_faults(whole, function, wanted, g):
    """The same bits on 1, 2 and 3 threads; small graphs never leave one thread."""
    faults = []
    before = _core.get_num_threads()
    for n in (1, 2, 3) if g.large else ():
        _core.set_num_threads(n)
        again, _ = whole(function)
        if any(bits(a) != bits(b) for a, b in zip(again, wanted, strict=True)):
            faults.append(f"other bits on {n} threads than on {before}")
    _core.set_num_threads(before)
    return faults


def gradient_faults(g, whole, faults, drawn):
    """Compares the slope along a random direction with central differences in float64."""
    leaves = [i for i in whole.inputs if g.values[i].dtype == np.float32 and g.values[i].size]
    outputs = [o for o in whole.outputs if g.values[o].dtype == np.float32 and g.values[o].size]
    finite = all(np.isfinite(v).all() for v in g.values if v.dtype == np.float32)
    if not leaves or not outputs or not finite:
        return []
    weights = {o: g.rng.normal(size=g.values[o].shape).astype(np.float32) for o in outputs}
    total = None
    for o, w in weights.items():
        part = _core.ops.sum(_core.ops.multiply(whole.tensors[o], w))
        total = part if total is None else _core.ops.add(total, part)
    grads = _core.gradients(total, [whole.tensors[i] for i in leaves])
    function = _core.Function([whole.tensors[i] for i in whole.inputs], grads)
    got, _ = whole(function)
    faults += thread_faults(whole, function, got, g)
    along = {i: g.rng.normal(size=g.values[i].shape) for i in leaves}
    base = [wide(v) for v in g.values]
    try:
        with np.errstate(all="ignore"):
            choices = zip(exact(g, base), g.values, strict=True)
    except ValueError:
        return got
    if any(v.dtype.kind in "bi" and not np.array_equal(v, y) for y, v in choices):
        return got  # float32 decides otherwise, as whether a tiny variance is 0

    def value(h):
        moved = list(base)
        for i in leaves:
            moved[i] = base[i] + h * along[i]
        values = exact(g, moved)
        return sum(float(np.sum(values[o] * w)) for o, w in weights.items())

    def slope(arrays):
        parts = [wide(a) * along[i] for a, i in zip(arrays, leaves, strict=True)]
        return sum(float(p.sum()) for p in parts), sum(float(np.abs(p).sum()) for p in parts)

    try:
        with np.errstate(all="ignore"):
            h = 1e-5
            centre = value(0.0)
            up, down = (value(h) - centre) / h, (centre - value(-h)) / h
            wanted, finer = (up + down) / 2, (value(h / 8) - value(-h / 8)) / (h / 4)
            ours, weight = slope(got)
    except ValueError:
        return got
    room = 1e-3 * (abs(wanted) + 1e-3 * min(weight, 1e30))
    if not np.isfinite([wanted, finer, up, down]).all() or abs(wanted) > 1e37:
        return got
    if abs(up - down) > room or abs(wanted - finer) > room:
        return got  # near a kink
    if drawn is not None:
        drawn["gradients"].update(node[0] for node in g.nodes if node[0] != "leaf")
        drawn["slopes"] += 1
    if not abs(ours - wanted) <= 1e-2 * abs(wanted) + 1e-3 * weight + 1e-7 * abs(centre) + 1e-5:
        # A slope that moves as much when the inputs move by their rounding says nothing.
        moved = [
            (a * (1 + 1e-6 * g.rng.normal(size=a.shape))).astype(a.dtype)
            if a.dtype == np.float32
            else a
            for a in (g.values[i] for i in whole.inputs)
        ]
        again = function(*moved)
        again = again if isinstance(again, tuple) else (again,)
        near, _ = slope([np.asarray(y.numpy()) for y in again])
        if not abs(near - ours) >= 0.1 * abs(ours - wanted):
            faults.append(f"gradient: slope {ours!r}, differences say {wanted!r}")
    return got


def new_counts():
    """Empty counts for `check` to fill in."""
    return {
        "graphs": 0, "ops": 0, "slopes": 0,
        "values": collections.Counter(), "gradients": collections.Counter(),
        "refused": collections.Counter(),
    }  # fmt: skip


def run(first, count, seconds=math.inf):
    """Checks `count` graphs, or as many as fit into the time."""
    drawn, faults, digests = new_counts(), [], {}
    start = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(first, first + count):
            try:
                found, digests[seed] = check(seed, drawn)
            except Exception as error:
                found = [f"{type(error).__name__}: {error}"]
            faults += [f"seed {seed}: {fault}" for fault in found]
            if time.monotonic() - start > seconds:
                break
    return {"faults": faults, "digests": digests, **drawn}


def main(first, count, path):
    result = run(int(first), int(count))
    with open(path, "w") as file:
        json.dump(result, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
