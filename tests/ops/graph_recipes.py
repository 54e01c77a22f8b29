"""Inputs and attributes of rows for random graphs: the registry, and the rows that move and choose.

A recipe is a function (graph, row) -> (inputs, attributes), or None where nothing in the graph
fits. Rows without one are drawn by the general rule of `drawn_graph.Graph.general`.
"""

import numpy as np

DTYPES = {"float32": np.float32, "int32": np.int32, "bool": np.bool_}
#: Inputs and attributes of rows that the general rule of `Graph.general` does not fit, by name.
RECIPES = {}


def recipe(*names):
    """Registers a function (graph, row) -> (inputs, attributes), or None, for the named rows."""

    def register(f):
        RECIPES.update(dict.fromkeys(names, f))
        return f

    return register


def with_axis(g, kind="f", fits=lambda v: True):
    return g.pick(lambda v: v.ndim > 0 and fits(v), kind)


def broadcasts(a, b):
    return all(x == y or 1 in (x, y) for x, y in zip(a[::-1], b[::-1], strict=False))


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
