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

import fastnn
from fastnn import _core
from test_ops import ROWS, reference

SPECIALS = np.array(
    [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-38, -1e-40, 1.4e-45, 3e38, -3e38, 1.0, -1.0, 2.0**31],
    np.float32,
)
SIZES = (0, 1, 1, 2, 3, 4, 5, 7, 16, 17, 33)
LARGE_SIZES = (1, 64, 65, 128, 255, 256, 300, 1025)
KINDS = {"f": "float32", "i": "int32", "b": "bool"}
DTYPES = {"float32": np.float32, "int32": np.int32, "bool": np.bool_}
#: Rows whose result jumps: their inputs must be far from a jump before results can be compared.
JUMPS = {"floor_divide", "mod"}
#: Inputs and attributes of rows that the general rule of `Graph.general` does not fit, by name.
RECIPES = {}
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


def broadcasts(a, b):
    return all(x == y or 1 in (x, y) for x, y in zip(a[::-1], b[::-1], strict=False))


def recipe(*names):
    """Registers a function (graph, row) -> (inputs, attributes), or None, for the named rows."""

    def register(f):
        RECIPES.update(dict.fromkeys(names, f))
        return f

    return register


def with_axis(g, kind="f", fits=lambda v: True):
    return g.pick(lambda v: v.ndim > 0 and fits(v), kind)


# --- recipes --------------------------------------------------------------------------------------


@recipe("reshape")
def _reshape(g, row):
    i = g.pick(kind="fib")
    n = g.values[i].size
    first = g.one([d for d in range(1, n + 1) if n % d == 0]) if n else 0
    shape = g.one([(-1,), (n,), (first, n // first)] if n else [(0,), (3, 0), (0, 1)])
    return [i], {"shape": shape}


@recipe("expand_dims")
def _expand_dims(g, row):
    i = g.pick(lambda v: v.ndim < 6, "fib")
    return None if i is None else ([i], {"axis": (int(g.rng.integers(0, g.values[i].ndim + 1)),)})


@recipe("squeeze")
def _squeeze(g, row):
    i = g.pick(lambda v: 1 in v.shape, "fib")
    return (
        None
        if i is None
        else ([i], {"axis": tuple(a for a, d in enumerate(g.values[i].shape) if d == 1)})
    )


@recipe("transpose")
def _transpose(g, row):
    i = with_axis(g, "fib")
    return (
        None
        if i is None
        else ([i], {"axes": tuple(int(a) for a in g.rng.permutation(g.values[i].ndim))})
    )


@recipe("broadcast_to")
def _broadcast_to(g, row):
    i = g.pick(lambda v: v.ndim < 6, "fib")
    shape = tuple(int(g.one((1, 2, 5))) if d == 1 else d for d in g.values[i].shape)
    return [i], {"shape": (int(g.one((1, 2, 3))), *shape) if g.chance(0.5) else shape}


def bounds(g, shape):
    begin, end, step = [], [], []
    for d in shape:
        whole = g.chance(0.5)
        begin.append(0 if whole else int(g.rng.integers(-d - 2, d + 3)))
        end.append(d if whole else int(g.rng.integers(-d - 2, d + 3)))
        step.append(int(g.one((1, 2, 3) if whole else (1, 1, 2, 3, -1, -2))))
    return {"begin": tuple(begin), "end": tuple(end), "step": tuple(step)}


@recipe("slice")
def _slice(g, row):
    i = with_axis(g, "fib")
    return None if i is None else ([i], bounds(g, g.values[i].shape))


def window(g, shape):
    """Axes, sizes along them, and where a window of these sizes may begin: outside too."""
    axes = [int(a) for a in g.rng.permutation(len(shape))[: g.rng.integers(1, len(shape) + 1)]]
    sizes = [int(g.rng.integers(0, shape[a] + 1)) for a in axes]
    start = [int(g.rng.integers(-shape[a] - 2, shape[a] + 3)) for a in axes]
    return tuple(axes), tuple(sizes), g.raw(np.array(start, np.int32))


@recipe("dynamic_slice")
def _dynamic_slice(g, row):
    i = with_axis(g)
    if i is None:
        return None
    axes, sizes, start = window(g, g.values[i].shape)
    return [i, start], {"axes": axes, "sizes": sizes}


@recipe("update_slice")
def _update_slice(g, row):
    i = with_axis(g)
    if i is None:
        return None
    shape = list(g.values[i].shape)
    axes, sizes, start = window(g, shape)
    for axis, size in zip(axes, sizes, strict=True):
        shape[axis] = size
    part = g.pick(lambda v: v.shape == tuple(shape))
    return [i, g.leaf(tuple(shape)) if part is None else part, start], {"axes": axes}


@recipe("unslice")
def _unslice(g, row):
    i = with_axis(g, fits=lambda v: v.size > 0)
    if i is None:
        return None
    step = [int(g.one((1, 1, 2))) for _ in g.values[i].shape]
    begin = [int(g.rng.integers(0, 3)) for _ in step]
    end = [b + (d - 1) * s + 1 for b, d, s in zip(begin, g.values[i].shape, step, strict=True)]
    shape = tuple(e + int(g.rng.integers(0, 3)) for e in end)
    return [i], {"shape": shape, "begin": tuple(begin), "end": tuple(end), "step": tuple(step)}


@recipe("pad")
def _pad(g, row):
    i = with_axis(g)
    if i is None:
        return None
    widths = tuple(int(w) for w in g.rng.integers(0, 3, 2 * g.values[i].ndim))
    return [i], {"widths": widths, "value": float(g.one((0.0, 1.5, -2.0)))}


@recipe("concatenate")
def _concatenate(g, row):
    i = with_axis(g, "f" if g.smooth else "fib")
    if i is None:
        return None
    x, axis = g.values[i], g.axis(g.values[i].ndim)
    rest = [a for a in range(x.ndim) if a != axis % x.ndim]

    def fits(v):
        return v.ndim == x.ndim and all(v.shape[a] == x.shape[a] for a in rest)

    return [g.pick(fits, x.dtype.kind) for _ in range(g.rng.integers(1, 4))], {"axis": axis}


@recipe("stack")
def _stack(g, row):
    i = g.pick(lambda v: v.ndim < 6, "f" if g.smooth else "fib")
    x = g.values[i]
    inputs = [
        g.pick(lambda v: v.shape == x.shape, x.dtype.kind) for _ in range(g.rng.integers(1, 4))
    ]
    return inputs, {"axis": int(g.rng.integers(-x.ndim - 1, x.ndim + 1))}


@recipe("tile")
def _tile(g, row):
    i = with_axis(g)
    return (
        None
        if i is None
        else ([i], {"repeats": tuple(int(r) for r in g.rng.integers(1, 3, g.values[i].ndim))})
    )


@recipe("repeat")
def _repeat(g, row):
    i = with_axis(g)
    return (
        None
        if i is None
        else ([i], {"repeats": int(g.rng.integers(1, 4)), "axis": g.axis(g.values[i].ndim)})
    )


@recipe("roll")
def _roll(g, row):
    i = with_axis(g)
    return (
        None
        if i is None
        else ([i], {"shift": int(g.rng.integers(-9, 10)), "axis": g.axis(g.values[i].ndim)})
    )


@recipe("matmul")
def _matmul(g, row):
    i = g.pick(lambda v: v.ndim >= 2)
    if i is None:
        return None
    x, flip = g.values[i], g.chance(0.25)
    k = x.shape[-2] if flip else x.shape[-1]

    def fits(v):
        return v.ndim >= 2 and v.shape[-2] == k and broadcasts(v.shape[:-2], x.shape[:-2])

    j, other = g.pick(fits), False
    if j is None or g.chance(0.6):
        n, other = int(g.one((1, 2, 5, 8, 16, 17, 64))), g.chance(0.25)
        j = g.leaf((n, k) if other else (k, n))
    return [i, j], {"transpose_a": flip, "transpose_b": other}


@recipe("dot")
def _dot(g, row):
    i = g.pick(lambda v: v.ndim in (1, 2))
    if i is None:
        return None
    k = g.values[i].shape[-1]
    j = g.pick(lambda v: v.ndim == 1 and v.shape[0] == k)
    return [i, g.leaf((k,)) if j is None else j], {}


@recipe("clip")
def _clip(g, row):
    i = g.pick()
    return [i], {"min": float(g.one((-1.0, -0.0, 0.25))), "max": float(g.one((0.5, 1.5, np.inf)))}


@recipe("cast")
def _cast(g, row):
    i = g.pick(kind="fib")
    return [i], {"dtype": "float32" if g.smooth else str(g.one(tuple(DTYPES)))}


@recipe("where")
def _where(g, row):
    i = g.pick()
    shape = g.values[i].shape
    j = g.pick(lambda v: broadcasts(v.shape, shape))
    return [g.leaf(g.sub(shape), "b"), *((i, j) if g.chance(0.5) else (j, i))], {}


@recipe("iota")
def _iota(g, row):
    return [], {"stop": int(g.one((0, 1, 7, 33))), "dtype": str(g.one(("int32", "float32")))}


@recipe("full")
def _full(g, row):
    value = float(g.one((0.0, -0.0, 1.5, -3.0)))
    return [], {"shape": g.shape(), "value": value, "dtype": str(g.one(("int32", "float32")))}


@recipe("axis_size")
def _axis_size(g, row):
    return [], {"size": int(g.one((0, 1, 7, 2**31 - 1)))}


@recipe("sum_to")
def _sum_to(g, row):
    i = g.pick()
    return [i], {"shape": g.sub(g.values[i].shape)}


@recipe("eye")
def _eye(g, row):
    n, m, k = (int(d) for d in g.rng.integers(-3, 6, 3))
    return [], {"n": abs(n), "m": g.one((None, abs(m))), "k": k}


@recipe("one_hot")
def _one_hot(g, row):
    return [g.leaf(g.shape(2, 60), "i")], {"num_classes": int(g.one((1, 3, 17)))}


@recipe("take")
def _take(g, row):
    i = with_axis(g, fits=lambda v: v.size > 0 and v.ndim < 6)
    if i is None:
        return None
    x = g.values[i]
    axis = None if g.chance(0.2) else g.axis(x.ndim)
    n = x.size if axis is None else x.shape[axis]
    ids = g.raw(g.rng.integers(-n, n, g.shape(2, 50)).astype(np.int32))
    return [i, ids], {"axis": axis}


@recipe("take_grad")
def _take_grad(g, row):
    i = with_axis(g, fits=lambda v: v.size > 0)
    if i is None:
        return None
    x = g.values[i]
    axis, n = int(g.rng.integers(x.ndim)), int(g.rng.integers(1, 6))
    ids = g.raw(g.rng.integers(-n, n, x.shape[axis]).astype(np.int32))
    return [i, ids], {"shape": (*x.shape[:axis], n, *x.shape[axis + 1 :]), "axis": axis}


@recipe("take_along_axis")
def _take_along_axis(g, row):
    i = with_axis(g, fits=lambda v: v.size > 0)
    if i is None:
        return None
    shape, axis = list(g.values[i].shape), g.axis(g.values[i].ndim)
    n, shape[axis] = shape[axis], int(g.one((1, 2, 5)))
    return [i, g.raw(g.rng.integers(-n, n, shape).astype(np.int32))], {"axis": axis}


@recipe("take_along_axis_grad")
def _take_along_axis_grad(g, row):
    i = with_axis(g, fits=lambda v: v.size > 0)
    if i is None:
        return None
    shape, axis, n = list(g.values[i].shape), g.axis(g.values[i].ndim), int(g.rng.integers(1, 6))
    ids = g.raw(g.rng.integers(-n, n, shape).astype(np.int32))
    shape[axis] = n
    return [i, ids], {"shape": tuple(shape), "axis": axis}


def key(g):
    return g.raw(np.array([*g.rng.integers(0, 1000, 3), 0], np.int32))


@recipe("random_uniform", "random_normal")
def _random(g, row):
    return [key(g)], {"shape": g.shape(), "stream": int(g.rng.integers(3))}


@recipe("random_integers")
def _random_integers(g, row):
    return [key(g)], {"shape": g.shape(), "low": -3, "high": 9, "stream": int(g.rng.integers(3))}


@recipe("random_permutation")
def _random_permutation(g, row):
    return [key(g)], {"n": int(g.one((1, 2, 17, 100)))}


@recipe("dropout")
def _dropout(g, row):
    return [g.pick(), key(g)], {"rate": float(g.one((0.1, 0.5)))}


@recipe("softmax_last", "log_softmax_last", "layer_normalize")
def _rows(g, row):
    i = with_axis(g, fits=lambda v: v.shape[-1] > (row.name == "layer_normalize"))
    return None if i is None else ([i], {})


@recipe("top_k")
def _top_k(g, row):
    i = with_axis(g)
    return None if i is None else ([i], {"k": int(g.rng.integers(0, g.values[i].shape[-1] + 1))})


@recipe("softmax", "log_softmax", "cumsum", "sort")
def _along(g, row):
    i = with_axis(g)
    return None if i is None else ([i], {"axis": g.axis(g.values[i].ndim)})


@recipe("softmax_cross_entropy")
def _softmax_cross_entropy(g, row):
    i = with_axis(g, fits=lambda v: v.shape[-1] > 0)
    return None if i is None else ([g.leaf(g.values[i].shape), i], {})


def images(g):
    """A node with one to three spatial axes, and for each of them a window that fits."""
    i = g.pick(lambda v: 3 <= v.ndim <= 5 and 0 not in v.shape[1:-1])
    if i is None:
        i = g.leaf(
            (
                int(g.one((1, 2, 3))),
                *(int(n) for n in g.rng.integers(1, 9, g.one((1, 2)))),
                int(g.one((1, 3, 4, 17))),
            )
        )
    return i, g.values[i].shape[1:-1]


def factor(g, shape):
    """What meets padding: of numbers that are not finite the products may be NaN or left out."""
    return g.raw(np.asarray(g.rng.normal(size=shape), np.float32))


def placing(g, sizes, kernel, dilated=True):
    """Attributes under which windows of `kernel` fit, and the places that they take."""
    attrs = {
        "strides": tuple(int(g.one((1, 1, 2, 3))) for _ in sizes),
        "dilation": tuple(int(g.one((1, 1, 2))) if dilated else 1 for _ in sizes),
    }
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, attrs["dilation"], strict=True)]
    if g.chance(0.4):
        attrs["padding"] = (-1,)
        places = [-(-n // s) for n, s in zip(sizes, attrs["strides"], strict=True)]
        return attrs, places
    pads, places = [], []
    for n, span, k, s in zip(sizes, spans, kernel, attrs["strides"], strict=True):
        low, high = (int(p) for p in g.rng.integers(0, k, 2))
        high += max(span - n - low - high, 0) if dilated else 0
        pads += [low, high]
        places.append((n + low + high - span) // s + 1)
    attrs["padding"] = tuple(pads)
    return attrs, places


@recipe("conv")
def _conv(g, row):
    i, sizes = images(g)
    x = g.values[i]
    kernel = tuple(int(g.one((1, 2, 3))) for _ in sizes)
    attrs, _ = placing(g, sizes, kernel)
    channels = x.shape[-1]
    groups = int(g.one([d for d in (1, 1, 2, 3, channels) if d and channels % d == 0]))
    filters = groups * int(g.one((1, 2, 5)))
    return [i, factor(g, (*kernel, channels // groups, filters))], {**attrs, "groups": groups}


@recipe("conv_input_grad")
def _conv_input_grad(g, row):
    i, places = images(g)
    dy = g.values[i]
    kernel = tuple(int(g.one((1, 2, 3))) for _ in places)
    strides = tuple(int(g.one((1, 1, 2, 3))) for _ in places)
    filters = dy.shape[-1]
    groups = int(g.one([d for d in (1, 1, 2, filters) if d and filters % d == 0]))
    size = tuple((n - 1) * s + k for n, k, s in zip(places, kernel, strides, strict=True))
    w = factor(g, (*kernel, int(g.one((1, 2, 4))), filters))
    return [i, w], {"size": size, "strides": strides, "groups": groups}


@recipe("conv_weight_grad")
def _conv_weight_grad(g, row):
    i, sizes = images(g)
    x = g.values[i]
    kernel = tuple(int(g.one((1, 2, 3))) for _ in sizes)
    attrs, places = placing(g, sizes, kernel)
    channels = x.shape[-1]
    groups = int(g.one([d for d in (1, 1, 2, channels) if d and channels % d == 0]))
    dy = factor(g, (x.shape[0], *places, groups * int(g.one((1, 2, 5)))))
    return [i, dy], {**attrs, "kernel": kernel, "groups": groups}


def pooling(g):
    i, sizes = images(g)
    window = tuple(int(g.rng.integers(1, min(n, 3) + 1)) for n in sizes)
    attrs, places = placing(g, sizes, window, dilated=False)
    del attrs["dilation"]
    return i, {**attrs, "window": window}, tuple(places)


@recipe("max_pool")
def _max_pool(g, row):
    i, attrs, _ = pooling(g)
    return [i], attrs


@recipe("average_pool")
def _average_pool(g, row):
    i, attrs, _ = pooling(g)
    return [i], {**attrs, "count_padding": g.chance(0.3)}


def chosen(g, shape, window):
    return g.raw(g.rng.integers(0, math.prod(window), shape).astype(np.int32))


@recipe("max_pool_pick")
def _max_pool_pick(g, row):
    i, attrs, places = pooling(g)
    n, *_, channels = g.values[i].shape
    return [i, chosen(g, (n, *places, channels), attrs["window"])], attrs


@recipe("max_pool_grad", "average_pool_grad")
def _pool_grad(g, row):
    i, attrs, places = pooling(g)
    n, *size, channels = g.values[i].shape
    dy = g.leaf((n, *places, channels))
    attrs["size"] = tuple(size)
    if row.name == "average_pool_grad":
        return [dy], attrs
    return [dy, chosen(g, (n, *places, channels), attrs["window"])], attrs


@recipe("sparse_softmax_cross_entropy")
def _sparse_softmax_cross_entropy(g, row):
    i = with_axis(g, fits=lambda v: v.shape[-1] > 0)
    if i is None:
        return None
    shape = g.values[i].shape
    return [i, g.raw(g.rng.integers(0, shape[-1], shape[:-1]).astype(np.int32))], {}


def recurrent(g, gates, operands):
    """Operands of a recurrent row by letter, as in `test_ops.recurrent`; small, and bounded where
    the row would grow without bound."""
    batch, steps, units = (int(g.one((1, 2, 3, 5)) if g.chance(0.9) else 0) for _ in range(3))
    units = units or 1
    shapes = {
        "z": (batch, steps, gates * units),
        "y": (batch, steps, units),
        "d": (batch, steps, units),
        "h": (batch, units),
        "w": (units, gates * units),
        "b": (gates * units,),
        "m": (batch, steps),
        "f": (batch, gates * units),
    }
    inputs = []
    for letter in operands:
        shape = () if letter in "dhbmf" and g.chance(0.3) else shapes[letter]
        i = g.pick(lambda v, shape=shape: v.shape == shape, "b" if letter == "m" else "f")
        inputs.append(g.leaf(shape, "b" if letter == "m" else "f") if i is None else i)
    return inputs


RECURRENT = {
    "lstm": (4, "zwhhmf"),
    "lstm_grad": (4, "dhhwzyhmf"),
    "gru": (3, "zwbhmf"),
    "gru_grad": (3, "dhwzyymf"),
    "simple_rnn": (1, "zwhmf"),
    "simple_rnn_grad": (1, "dhwymf"),
}


@recipe(*RECURRENT)
def _recurrent(g, row):
    attrs = {"reverse": g.chance(0.5)}
    if "gru" in row.name:
        attrs["reset_after"] = g.chance(0.5)
    if "simple" in row.name:
        attrs["activation"] = int(g.one((0, 2, 3) if g.smooth else (0, 1, 2, 3)))
    inputs = recurrent(g, *RECURRENT[row.name])
    return inputs if g.special else g.into_domain(row, inputs), attrs


@recipe("layer_norm", "layer_norm_grad")
def _layer_norm(g, row):
    i = with_axis(g, fits=lambda v: v.shape[-1] > 1)
    if i is None:
        return None
    shape = g.values[i].shape

    def column():
        return g.leaf(g.one(((), shape[-1:])))

    if row.name == "layer_norm":
        inputs, attrs = [i, column(), column()], {"epsilon": 1e-2}
    else:
        inputs = [g.leaf(shape), i, column(), g.leaf(shape[:-1]), g.leaf(shape[:-1])]
        attrs = {}
    return inputs, {**attrs, "center": g.chance(0.5)}


@recipe("attention", "attention_grad")
def _attention(g, row):
    b, t, s = (int(g.one((1, 2, 3, 5, 17)) if g.chance(0.9) else 0) for _ in range(3))
    groups, share, width, values = (int(g.one((1, 1, 2, 3))) for _ in range(4))
    weights = (b, groups * share, t, s)
    beside = tuple(g.one((d, d, 1)) for d in weights) if g.chance(0.5) else ()
    mask = tuple(g.one((d, d, 1)) for d in weights) if g.chance(0.5) else ()
    out, lse = (b, t, groups * share, values), weights[:3]
    floats = [(b, t, groups * share, width), (b, s, groups, width), (b, s, groups, values), beside]
    if row.name == "attention_grad":
        floats = [out, *floats]

    def fill(shape):
        i = g.pick(lambda v: v.shape == shape)
        return g.leaf(shape) if i is None else i

    inputs = [fill(shape) for shape in floats]
    # Never all of a row's keys: its score would be -inf, whose slopes differences do not see.
    hidden = g.rng.random(mask) < (1.0 if g.smooth else 0.8)
    lengths = g.rng.integers(1 if g.smooth else 0, s + 3, (b,) if g.chance(0.3) else ())
    start = g.rng.integers(0, 3, (b,) if g.chance(0.3) else ())
    inputs += [g.raw(hidden), g.raw(np.asarray(lengths, np.int32))]
    inputs += [g.raw(np.asarray(start, np.int32)), g.raw(np.zeros(4, np.int32))]
    if row.name == "attention_grad":
        inputs += [fill(out), fill(lse)]
    inputs = inputs if g.special else g.into_domain(row, inputs)
    return inputs, {"scale": float(g.one((0.5, 1.0))), "causal": g.chance(0.5)}


# --- the graph in float64 -------------------------------------------------------------------------


def exact(g, leaves, noise=0.0, rng=None):
    """Every value by the rows' formulas in float64, each float off by up to `noise` of itself."""
    values = []
    for i, node in enumerate(g.nodes):
        if node[0] == "leaf":
            y = leaves[i]
        elif node[0] == "dropout":
            # Which elements stay is the row's own choice: a factor of each.
            factor = _core.apply(
                "dropout", [np.ones_like(g.values[i]), g.values[node[1][1]]], node[2]
            )
            y = values[node[1][0]] * np.asarray(factor.numpy(), np.float64)
        elif not ROWS[node[0]].formula:
            y = g.values[i]
        else:
            name, inputs, attrs, k = node
            y = formula_of(name, [values[j] for j in inputs], attrs, k)
        kind = g.values[i].dtype.kind
        y = np.asarray(y).astype({"f": np.float64, "i": np.int64, "b": np.bool_}[kind])
        if noise and kind == "f":
            y = y * (1 + noise * rng.uniform(-1, 1, y.shape))
        values.append(y)
    return values


def formula_of(name, arrays, attrs, k):
    """Result k of a row by its NumPy formula in float64."""
    row = ROWS[name]
    if name == "power":  # of integers is float32 too
        # Each with its own exponent: NumPy takes roots for one exponent of 0.5, NaN for -infinity.
        arrays = [a.astype(np.float64) for a in np.broadcast_arrays(*arrays)]
    return reference(row, numbers(arrays), attrs, row.parts[k - 1][1] if k else row.formula)


def numbers(arrays):
    """The arrays as arithmetic takes them: truth values count as 0 and 1."""
    return [a.astype(np.int64) if a.dtype == np.bool_ else a for a in arrays]


def wide(array):
    return array.astype(np.float64) if array.dtype == np.float32 else array


def bits(array):
    """The bytes, with one NaN for all."""
    array = np.ascontiguousarray(array)
    if array.dtype == np.float32:
        array = np.where(np.isnan(array), np.float32(np.nan), array)
    return f"{array.shape}{array.dtype}".encode() + array.tobytes()


# --- checks ---------------------------------------------------------------------------------------


def step_fault(g, i):
    """What is wrong with node i against its formula on its float32 inputs, or None."""
    name, inputs, attrs, k = g.nodes[i]
    row, got = ROWS[name], g.values[i]
    if not row.formula:
        return None
    arrays = numbers([g.values[j] for j in inputs])
    try:
        y = formula_of(name, arrays, attrs, k)
    except ValueError as error:
        unknown = ("zero-size", "empty sequence", "negative integer powers")
        return None if any(u in str(error) for u in unknown) else f"the formula raised {error}"
    if got.shape != y.shape:
        return f"shape {got.shape}, NumPy {y.shape}"
    y = y.astype(np.float64) if got.dtype == np.float32 else y
    whole = [a for a in arrays if a.dtype.kind == "i" and a.size]
    floats = [wide(a) for a in arrays if a.dtype == np.float32 and a.size]
    rounded = got.dtype == np.float32 or floats
    if rounded and any(np.abs(a.astype(np.int64)).max() > 2**24 for a in whole):
        return None  # such integers are rounded on their way to float32
    with np.errstate(all="ignore"):
        if got.dtype != np.float32:
            huge = name in ("cast", "to_int") and any((~(np.abs(f) < 2**31)).any() for f in floats)
            return None if huge or np.array_equal(got, y.astype(got.dtype)) else "integers differ"
        clear = np.ones(y.shape, bool)
        if name in JUMPS:
            q = wide(arrays[0]) / wide(arrays[1])
            off = np.abs(q - np.round(q)) < 1e-6 * np.maximum(1, np.abs(q))
            clear = np.broadcast_to(~(off | ~(np.abs(q) < 1e6)), y.shape)
        top = max((np.nanmax(np.abs(f[np.isfinite(f)]), initial=0.0) for f in floats), default=0.0)
        if top > 1e15 and row.klass != "Elementwise":
            return None  # float32 may overflow on the way
        if top > 4 and (name in RECURRENT or name.startswith("attention")):
            return None  # errors grow without bound, step by step or in an exponent
        if name.startswith("attention") and g.special:
            # What a weight of 0 hides may be read or not.
            y = np.where(np.isnan(got) | ~np.isfinite(y), got, y)
        products = name in ("matmul", "dot", "layer_norm_grad") or name in RECURRENT
        if name == "prod" or (products and g.special):
            # Part of a product may reach 0 or infinity before the rest is taken in, and NumPy's
            # products drop NaN times 0.
            lost = ~np.isfinite(got) | (got == 0) if name == "prod" else np.isnan(got)
            y = np.where(lost | ~np.isfinite(y), got, y)
        if name == "layer_norm" and k == 0:
            # Infinity times a difference from the mean that only rounding tells from 0.
            y = np.where(np.isinf(arrays[1]) & np.isnan(y) & np.isinf(got), got, y)
        rounded = y.astype(np.float32)
        whole = np.isfinite(rounded) & np.isfinite(y)
        same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
        wrong = ~whole & ~same & clear
        terms = max((a.size for a in arrays), default=1)
        scale = np.abs(y)
        if row.klass != "Elementwise" or name in ("gelu_erf", "gelu_tanh"):
            power = {"variance": 2, "matmul": 2, "dot": 2}.get(name, 1)
            width = max((a.shape[-1] for a in arrays if a.ndim), default=1)
            scale = scale + max(1.0, top) ** power * (width if power == 2 else 1)
        # A small last sum keeps the rounding of the large ones before it.
        if name in ("cumsum", "layer_norm_grad") or name.startswith("attention"):
            scale = scale + np.nanmax(scale[np.isfinite(scale)], initial=0.0)
        if name == "layer_norm_grad" and k == 0:
            # What is left of a product with the levels, twice, may be far smaller than the product.
            dy, x, gamma, mean, by = (np.nanmax(np.abs(wide(a)), initial=0.0) for a in arrays)
            scale = scale + dy * gamma * by * ((x + mean) * by) ** 2
        if name.startswith("attention"):  # its weights come of any sums, not of those that fit
            scale = scale * np.exp(top)
        bound = 64 * 2.0**-24 * scale + terms * 2.0**-24 * scale * (row.klass != "Elementwise")
        wrong |= whole & clear & ~(np.abs(wide(got) - y) <= bound + 1e-44)
    if wrong.any():
        at = np.argmax(wrong)
        return f"{got.flat[at]!r}, its formula says {y.flat[at]!r}"
    return None


class Tolerance:
    """How far each value of a graph may move when every op rounds differently."""

    def __init__(self, g):
        leaves = [wide(v) for v in g.values]
        rng = np.random.default_rng(1)
        self.exact = self.moved = None
        try:
            with np.errstate(all="ignore"):
                self.exact = exact(g, leaves)
                self.moved = [exact(g, leaves, 2.0**-21, rng) for _ in range(3)]
        except ValueError:
            pass  # a formula that takes no empty arrays

    def fault(self, got, wanted, i):
        """What is wrong with `got` for node i, which alone computes `wanted`, or None."""
        if (got.shape, got.dtype) != (wanted.shape, wanted.dtype):
            return f"{got.dtype}{got.shape} instead of {wanted.dtype}{wanted.shape}"
        if self.moved is None or not got.size:
            return None
        with np.errstate(all="ignore"):
            y = np.asarray(self.exact[i], np.float64)
            off = [np.abs(np.asarray(m[i], np.float64) - y) for m in self.moved]
            deviation = np.max(off, axis=0)
            spread = np.nanmax(deviation[np.isfinite(deviation)], initial=0.0)
            a, b = got.astype(np.float64), wanted.astype(np.float64)
            same = (a == b) | (np.isnan(a) & np.isnan(b))
            if got.dtype != np.float32:
                wrong = ~same & np.isfinite(deviation) & (spread == 0)
            else:
                top = np.nanmax(np.abs(b[np.isfinite(b)]), initial=0.0)
                limit = 100 * spread + 1e-5 * np.abs(b) + 1e-6 * top
                settled = np.isfinite(deviation) & (np.abs(y) < 1e36)
                # An infinity or NaN that no rounding brings or takes away must be there.
                fixed = ~np.isfinite(y) & (np.isnan(y) | np.isinf(y))
                for m in self.moved:
                    fixed &= (m[i] == y) | (np.isnan(m[i]) & np.isnan(y))
                agreed = (b == y) | (np.isnan(b) & np.isnan(y))
                wrong = ~same & ((settled & ~(np.abs(a - b) <= limit)) | (fixed & agreed))
                zero = (a == 0) & (b == 0) & (y == 0) & (spread == 0)
                signs = np.signbit(b) == np.signbit(y)
                wrong |= zero & signs & (np.signbit(a) != np.signbit(b))
        if wrong.any():
            at = np.argmax(wrong)
            return f"{got.flat[at]!r} instead of {wanted.flat[at]!r} (exactly {y.flat[at]!r})"
        return None


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
