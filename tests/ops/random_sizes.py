"""Random graphs traced once over open sizes, and run at sizes that were not there at the trace.

`check` gives the sizes of a random graph's leaves names, traces it with them, and binds them:
first to the sizes that the graph was drawn with, then to others, down to 0 and 1. Each time the
results are those of the ops run one at a time, and the gradients those of a trace at these sizes.
"""

import collections

import numpy as np

import fastnn
from drawn_graph import KINDS, SIZES, Graph, apply
from fastnn import _core
from graph_oracle import Tolerance, bits

REFUSALS = (
    fastnn.errors.ShapeError,
    fastnn.errors.DataError,
    fastnn.errors.TraceError,
    MemoryError,
)


class Open:
    """Which sizes of a graph have names, and what stands for them."""

    def __init__(self, g):
        self.g = g
        self.leaves = [i for i, node in enumerate(g.nodes) if node[0] == "leaf"]
        found = sorted({d for i in self.leaves for d in g.values[i].shape if d > 1})
        self.names = {d: f"n{d}" for d in found if g.chance(0.6)}

    def shape(self, i, table):
        """The shape of leaf `i` with sizes by `table`. Keys of random rows and positions of windows
        keep the sizes that their rows ask for."""
        value = self.g.values[i]
        fixed = value.dtype == np.int32 and value.ndim == 1
        return tuple(d if fixed else table.get(d, d) for d in value.shape)

    def attrs(self, attrs, table):
        """Attributes in which wanted shapes name sizes, too."""
        if "shape" not in attrs:
            return attrs
        return {**attrs, "shape": tuple(table.get(d, d) for d in attrs["shape"])}

    def leaf(self, i, table):
        """Values for leaf `i` where `table` has other sizes than those that were drawn."""
        old, shape, rng = self.g.values[i], self.shape(i, table), self.g.rng
        if shape == old.shape:
            return old
        if old.dtype == np.float32:
            return np.asarray(rng.normal(size=shape), np.float32)
        if old.dtype == np.int32:
            return rng.integers(0, 2, shape).astype(np.int32)
        return rng.random(shape) < 0.5

    def run(self, tensors, table):
        """All nodes, from the tensors of the leaves on."""
        tensors, done = dict(tensors), {}
        for i, (name, *rest) in enumerate(self.g.nodes):
            if name != "leaf":
                inputs, attrs, k = rest
                at = (name, inputs, repr(attrs))
                if at not in done:
                    done[at] = apply(name, [tensors[j] for j in inputs], self.attrs(attrs, table))
                tensors[i] = done[at][k]
        return [tensors[i] for i in range(len(self.g.nodes))]

    def trace(self, outputs, table):
        """A function of the leaves, and one of the gradients by them where the graph is smooth."""
        feeds = {}
        for i in self.leaves:
            kind = KINDS[self.g.values[i].dtype.kind]
            feeds[i] = _core.placeholder(self.shape(i, table), kind)
        tensors = self.run(feeds, table)
        outs = [tensors[o] for o in outputs]
        function = _core.Function(list(feeds.values()), outs)
        floats = [feeds[i] for i in self.leaves if self.g.values[i].dtype == np.float32]
        sums = [_core.ops.sum(_core.ops.sin(y)) for y in outs if y.dtype == "float32"]
        if not self.g.smooth or not floats or not sums:
            return function, None
        total = sums[0]
        for one in sums[1:]:
            total = _core.ops.add(total, one)
        return function, _core.Function(list(feeds.values()), _core.gradients(total, floats))


class Values:
    """What a graph computes at some sizes, one op at a time, for `Tolerance`."""

    def __init__(self, opened, arrays, table):
        g = opened.g
        self.nodes = [
            node if node[0] == "leaf" else (*node[:2], opened.attrs(node[2], table), node[3])
            for node in g.nodes
        ]
        leaves = {i: _core.tensor(a) for i, a in arrays.items()}
        self.values = [np.asarray(t.numpy()) for t in opened.run(leaves, table)]


def called(function, arrays):
    """The results as arrays."""
    got = function(*arrays.values())
    return [np.asarray(y.numpy()) for y in (got if isinstance(got, tuple) else (got,))]


def new_counts():
    """Empty counts for `check` to fill in."""
    return collections.Counter()


def check(seed, drawn):
    """The faults of the graph of `seed`; counts in `drawn` what was tried."""
    g = Graph(seed)
    ops = [i for i, node in enumerate(g.nodes) if node[0] != "leaf"]
    used = {j for i in ops for j in g.nodes[i][1]}
    outputs = [i for i in ops if i not in used]
    opened = Open(g)
    if not outputs or not opened.names:
        return []
    symbols = {d: _core.placeholder((name,)).shape[0] for d, name in opened.names.items()}
    drawn["graphs"] += 1
    try:
        function, slope = opened.trace(outputs, symbols)
    except REFUSALS:
        # An op that needs one of its sizes as a number.
        drawn["refused"] += 1
        return []
    drawn["traced"] += 1
    faults = []
    for tries in range(4):
        sizes = {d: int(g.one(SIZES)) for d in symbols} if tries else {}
        arrays = {i: opened.leaf(i, sizes) for i in opened.leaves}
        try:
            right = Values(opened, arrays, sizes)
        except REFUSALS:
            drawn["misfits"] += 1
            continue
        drawn["bound"] += 1
        tolerance = None
        try:
            for o, y in zip(outputs, called(function, arrays), strict=True):
                if bits(y) != bits(right.values[o]):
                    tolerance = tolerance or Tolerance(right)
                    if fault := tolerance.fault(y, right.values[o], o):
                        faults.append(f"{sizes}: node {o} {g.nodes[o]}: {fault}")
            if slope is not None:
                drawn["slopes"] += 1
                wanted = called(opened.trace(outputs, sizes)[1], arrays)
                for y, x in zip(called(slope, arrays), wanted, strict=True):
                    top = np.abs(x[np.isfinite(x)]).max(initial=0.0)
                    if y.shape != x.shape or not np.allclose(y, x, 1e-4, 1e-4 * top, True):
                        faults.append(f"{sizes}: gradient {y}, traced at these sizes {x}")
        except REFUSALS as error:
            faults.append(f"{sizes}: refused: {error}")
    return faults
