"""A random graph: leaves and rows of the op table, with the values that they have one at a time."""

import collections
import math

import numpy as np

import fastnn
import network_recipes  # noqa: F401 - adds its recipes to the registry
from fastnn import _core
from graph_recipes import RECIPES, broadcasts
from row_table import ROWS

SPECIALS = np.array(
    [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-38, -1e-40, 1.4e-45, 3e38, -3e38, 1.0, -1.0, 2.0**31],
    np.float32,
)
SIZES = (0, 1, 1, 2, 3, 4, 5, 7, 16, 17, 33)
LARGE_SIZES = (1, 64, 65, 128, 255, 256, 300, 1025)
KINDS = {"f": "float32", "i": "int32", "b": "bool"}
#: Rows with tests of their own: of storage types, and the one in which processes meet.
NOT_DRAWN = ("to_bfloat16", "to_float16", "to_int8", "to_uint8", "all_reduce")


class Graph:
    """Grows a random graph; `values[i]` is what node i computes, all ops run one at a time."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        #: ("leaf",) or (row name, input nodes, attributes, which result)
        self.nodes, self.values = [], []
        self.smooth = self.chance(0.5)
        self.special = not self.smooth and self.chance(0.4)
        self.large = self.chance(0.04)
        self.empty = self.chance(0.15)
        self.refused = collections.Counter()
        for _ in range(self.rng.integers(1, 4)):
            self.leaf(self.shape())
        want = int(self.rng.integers(5, 41))
        for _ in range(4 * want):
            if sum(node[0] != "leaf" for node in self.nodes) >= want:
                break
            self.grow(str(self.rng.choice(self.names())))

    def names(self):
        """The rows to draw from; in a smooth graph those with a derivative."""
        rows = [n for n, row in ROWS.items() if row.differentiable or not self.smooth]
        return [n for n in rows if n not in NOT_DRAWN]

    # --- choices --------------------------------------------------------------------------------

    def chance(self, p):
        return bool(self.rng.random() < p)

    def one(self, items):
        return items[int(self.rng.integers(len(items)))]

    def shape(self, rank=4, most=None):
        most = most or (200_000 if self.large else 3000)
        while True:
            sizes = [
                int(self.one(LARGE_SIZES if self.large else SIZES))
                for _ in range(self.rng.integers(0, rank + 1))
            ]
            if not self.empty:
                sizes = [d or 1 for d in sizes]
            if math.prod(sizes) <= most:
                return tuple(sizes)

    def axis(self, rank):
        return int(self.rng.integers(-rank, rank))

    def axes(self, rank):
        if self.chance(0.25):
            return None
        return tuple(int(a) for a in self.rng.permutation(rank)[: self.rng.integers(1, rank + 1)])

    def sub(self, shape):
        """A shape that broadcasts to `shape`."""
        sizes = tuple(d if self.chance(0.7) else 1 for d in shape)
        return sizes[self.rng.integers(0, len(sizes) + 1) :] if self.chance(0.3) else sizes

    # --- nodes ----------------------------------------------------------------------------------

    def raw(self, array):
        self.nodes.append(("leaf",))
        self.values.append(np.asarray(array))
        return len(self.values) - 1

    def leaf(self, shape, kind="f"):
        if kind == "i":
            return self.raw(self.rng.integers(-4, 5, shape).astype(np.int32))
        if kind == "b":
            return self.raw(self.rng.random(shape) < 0.5)
        x = self.rng.normal(size=shape)
        if self.special:
            x = np.where(self.rng.random(shape) < 0.2, self.rng.choice(SPECIALS, size=shape), x)
        elif not self.smooth and self.chance(0.3):
            x = np.round(10 * x)
        return self.raw(np.asarray(x, np.float32))

    def pick(self, fits=lambda v: True, kind="f"):
        """A node whose value fits, later ones more often; None when there is none."""
        found = [i for i, v in enumerate(self.values) if v.dtype.kind in kind and fits(v)]
        if not found:
            return None
        weights = np.array(found) + 1.0
        return int(self.rng.choice(found, p=weights / weights.sum()))

    def partner(self, i):
        """A node that broadcasts with node i: one there is, or a new leaf."""
        shape = self.values[i].shape
        kinds = "f" if self.smooth else "fib"
        found = [
            j
            for j, v in enumerate(self.values)
            if j != i and v.dtype.kind in kinds and broadcasts(v.shape, shape)
        ]
        if found and self.chance(0.6):
            return self.one(found)
        return self.leaf(self.sub(shape), "f" if self.chance(0.85) else self.one(kinds))

    def grow(self, name):
        """Adds the named row on inputs that fit, if there are any."""
        drawn = RECIPES.get(name, Graph.general)(self, ROWS[name])
        if drawn is None:
            return
        inputs, attrs = drawn
        if self.smooth:
            inputs = self.into_domain(ROWS[name], inputs)
        if inputs is not None:
            self.add(name, inputs, attrs)

    def add(self, name, inputs, attrs):
        """Runs the row on the values so far and adds its results as nodes."""
        try:
            results = apply(name, [self.values[i] for i in inputs], attrs)
            got = [np.asarray(y.numpy()) for y in results]
        except (fastnn.errors.ShapeError, fastnn.errors.DataError, MemoryError) as error:
            self.refused[f"{name}: {error}"] += 1
            return None
        if sum(y.size for y in got) > (400_000 if self.large else 6000):
            return None
        for k, y in enumerate(got):
            self.nodes.append((name, tuple(inputs), attrs, k))
            self.values.append(y)
        return len(self.values) - 1

    def into_domain(self, row, inputs):
        """Float inputs squashed into the row's sample range, where its derivative is smooth."""
        fitted = []
        for k, i in enumerate(inputs or ()):
            low, high = row.domain[min(k, len(row.domain) - 1)]
            x = self.values[i]
            if x.dtype.kind == "f" and x.size and not (low <= x.min() and x.max() <= high):
                half, middle = np.float32((high - low) * 0.499), np.float32((high + low) / 2)
                i = self.add("tanh", [i], {})
                for name, number in (("multiply", half), ("add", middle)):
                    i = i and self.add(name, [i, self.raw(number)], {})
                if i is None:
                    return None  # a value that is too large for these graphs
            fitted.append(i)
        return inputs and fitted

    def general(self, row):
        """Elementwise rows, and those whose attributes are an axis, a switch or have defaults."""
        kind = "f" if self.smooth or self.chance(0.9) else "fib"
        axes = [name for name, _, _ in row.attrs if name in ("axis", "axes")]
        i = self.pick(lambda v: v.ndim > 0 or not axes, kind)
        if i is None:
            return None
        inputs = [i, *(self.partner(i) for _ in row.args[1:])]
        if self.chance(0.5):
            inputs.reverse()
        rank = self.values[inputs[0]].ndim
        attrs = {}
        for name, kind, default in row.attrs:
            if name in ("axis", "axes") and kind == "IntsOrNone":
                attrs[name] = self.axes(rank) if rank else None
            elif name == "axis":
                attrs[name] = (
                    None if kind.endswith("None") and self.chance(0.3) else self.axis(rank)
                )
            elif kind == "Bool":
                attrs[name] = self.chance(0.5)
            elif default is ...:
                raise KeyError(f"{row.name}: nothing is known about `{name}`; add it to RECIPES")
        return inputs, attrs


def apply(name, tensors, attrs):
    """All results of a row, the value first."""
    got = getattr(_core.ops, name)(*tensors, **attrs)
    return got if isinstance(got, tuple) else (got,)
