"""Recipes of random graphs for what networks are made of: random numbers, softmax, convolution,
pooling, recurrence, attention."""

import math

import numpy as np

from graph_recipes import recipe, with_axis


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


@recipe("resample", "resample_grad")
def _resample(g, row):
    back = row.name == "resample_grad"
    i = g.pick(lambda v: v.ndim == 4)
    if i is None or g.chance(0.3):
        i = g.leaf(
            (int(g.rng.integers(1, 3)), *g.rng.integers(1, 7, 2), int(g.one((1, 2, 3, 5, 8, 17))))
        )
    tables, size = [], []
    for have in g.values[i].shape[1:3]:
        other, taps = int(g.rng.integers(1, 9)), int(g.rng.integers(1, 4))
        new, old = (have, other) if back else (other, have)
        at = (
            np.sort(g.rng.integers(-1, old + 1, new))
            if g.chance(0.7)
            else g.rng.integers(-2, old + 2, new)
        )
        weights = factor(g, (new, taps))
        tables += [g.raw(at.astype(np.int32)), weights]
        size.append(old)
    return [i, *tables], {"size": tuple(size)} if back else {}


@recipe("sparse_softmax_cross_entropy")
def _sparse_softmax_cross_entropy(g, row):
    i = with_axis(g, fits=lambda v: v.shape[-1] > 0)
    if i is None:
        return None
    shape = g.values[i].shape
    return [i, g.raw(g.rng.integers(0, shape[-1], shape[:-1]).astype(np.int32))], {}


def recurrent(g, gates, operands):
    """Operands of a recurrent row by letter, as in `row_table.recurrent`; small, and bounded where
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
