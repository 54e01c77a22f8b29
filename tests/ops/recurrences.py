"""Recurrent rows in NumPy, step by step: what their formulas call."""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _sizes(each, weights):
    units = weights.shape[0]
    return (*each.shape[:2], units, weights.shape[1] // units if units else 1)


def _shared(mask, drop, batch, steps, units, gates):
    """The mask with an axis for units, and the factors of the state by gate."""
    mask = np.broadcast_to(np.asarray(mask) != 0, (batch, steps))[..., None]
    drop = np.broadcast_to(drop, (batch, gates * units)).reshape(batch, gates, units)
    return mask, drop


def _order(steps, reverse):
    return range(steps)[::-1] if reverse else range(steps)


def _product(h, weights, drop, gates=None):
    """What a state gives to the gates, each of which sees it with its own factors."""
    batch, count, units = drop.shape
    weights = weights.reshape(units, count, units)
    sums = [(h * drop[:, k]) @ weights[:, k] for k in (gates or range(count))]
    return np.stack(sums, 1) if sums else np.zeros((batch, 0, units))


def _back(d, weights, drop, gates):
    """What flows back into the state; `d` is (batch, gates, units)."""
    units = weights.shape[0]
    weights = weights.reshape(units, -1, units)
    total = np.zeros((d.shape[0], units))
    for i, k in enumerate(gates):
        total = total + d[:, i] @ weights[:, k].T * drop[:, k]
    return total


def lstm(z, weights, h0, c0, mask, drop, reverse):
    batch, steps, units, _ = _sizes(z, weights)
    mask, drop = _shared(mask, drop, batch, steps, units, 4)
    h, c = (np.broadcast_to(x, (batch, units)) + 0.0 for x in (h0, c0))
    y, cells, before = (np.zeros((batch, steps, units)) for _ in range(3))
    gates = np.zeros((batch, steps, 4, units))
    for t in _order(steps, reverse):
        before[:, t] = h
        a = z[:, t].reshape(batch, 4, units) + _product(h, weights, drop)
        i, f, n, o = sigmoid(a[:, 0]), sigmoid(a[:, 1]), np.tanh(a[:, 2]), sigmoid(a[:, 3])
        cell = i * n + f * c
        gates[:, t] = np.where(mask[:, t, None], np.stack([i, f, n, o], 1), 0)
        h, c = np.where(mask[:, t], o * np.tanh(cell), h), np.where(mask[:, t], cell, c)
        y[:, t], cells[:, t] = h, c
    return y, h, c, gates.reshape(batch, steps, 4 * units), cells, before


def lstm_grad(dy, dh, dc, weights, gates, cells, c0, mask, drop, reverse):
    batch, steps, units, _ = _sizes(gates, weights)
    mask, drop = _shared(mask, drop, batch, steps, units, 4)
    dy = np.broadcast_to(dy, (batch, steps, units))
    dh, dc, old = (np.broadcast_to(x, (batch, units)) + 0.0 for x in (dh, dc, c0))
    order = list(_order(steps, reverse))
    dz = np.zeros((batch, steps, 4, units))
    for s in reversed(range(steps)):
        t = order[s]
        last = cells[:, order[s - 1]] if s else old
        i, f, n, o = np.moveaxis(gates[:, t].reshape(batch, 4, units), 1, 0)
        bent, flows = np.tanh(cells[:, t]), dh + dy[:, t]
        d = dc + flows * o * (1 - bent**2)
        parts = (d * n * i * (1 - i), d * last * f * (1 - f), d * i * (1 - n**2))
        parts = np.stack([*parts, flows * bent * o * (1 - o)], 1)
        dz[:, t] = np.where(mask[:, t, None], parts, 0)
        dh = np.where(mask[:, t], _back(dz[:, t], weights, drop, range(4)), flows)
        dc = np.where(mask[:, t], d * f, dc)
    return dz.reshape(batch, steps, 4 * units), dh, dc


def gru(z, weights, bias, h0, mask, drop, reverse, reset_after):
    batch, steps, units, _ = _sizes(z, weights)
    mask, drop = _shared(mask, drop, batch, steps, units, 3)
    bias = np.broadcast_to(bias, (3 * units,)).reshape(3, units)
    h = np.broadcast_to(h0, (batch, units)) + 0.0
    y, inner, before = (np.zeros((batch, steps, units)) for _ in range(3))
    gates = np.zeros((batch, steps, 3, units))
    for t in _order(steps, reverse):
        before[:, t] = h
        x = z[:, t].reshape(batch, 3, units)
        sums = _product(h, weights, drop) + bias
        u, r = sigmoid(x[:, 0] + sums[:, 0]), sigmoid(x[:, 1] + sums[:, 1])
        if reset_after:
            own = sums[:, 2]
            n = np.tanh(x[:, 2] + r * own)
        else:
            own = r * h * drop[:, 2]
            n = np.tanh(x[:, 2] + (_product(r * h, weights, drop, [2])[:, 0] + bias[2]))
        gates[:, t] = np.where(mask[:, t, None], np.stack([u, r, n], 1), 0)
        inner[:, t] = np.where(mask[:, t], own, 0)
        h = np.where(mask[:, t], u * h + (1 - u) * n, h)
        y[:, t] = h
    return y, h, gates.reshape(batch, steps, 3 * units), inner, before


def gru_grad(dy, dh, weights, gates, inner, before, mask, drop, reverse, reset_after):
    batch, steps, units, _ = _sizes(gates, weights)
    mask, drop = _shared(mask, drop, batch, steps, units, 3)
    dy = np.broadcast_to(dy, (batch, steps, units))
    dh = np.broadcast_to(dh, (batch, units)) + 0.0
    dz, ds = (np.zeros((batch, steps, 3, units)) for _ in range(2))
    for t in reversed(_order(steps, reverse)):
        u, r, n = np.moveaxis(gates[:, t].reshape(batch, 3, units), 1, 0)
        flows = dh + dy[:, t]
        through = flows * (1 - u) * (1 - n**2)
        update = flows * (before[:, t] - n) * u * (1 - u)
        rest = flows * u
        if reset_after:
            reset, seen = through * inner[:, t] * r * (1 - r), through * r
        else:
            into = _back(through[:, None], weights, drop, [2])
            reset, seen = into * before[:, t] * r * (1 - r), through
            rest = rest + into * r
        dz[:, t] = np.where(mask[:, t, None], np.stack([update, reset, through], 1), 0)
        ds[:, t] = np.where(mask[:, t, None], np.stack([update, reset, seen], 1), 0)
        own = range(3) if reset_after else range(2)
        dh = np.where(mask[:, t], rest + _back(ds[:, t], weights, drop, own), flows)
    return *(d.reshape(batch, steps, 3 * units) for d in (dz, ds)), dh


ACTIVATIONS = (np.tanh, lambda x: np.maximum(x, 0), lambda x: x, sigmoid)
SLOPES = (lambda y: 1 - y**2, lambda y: y > 0, np.ones_like, lambda y: y * (1 - y))


def simple_rnn(z, weights, h0, mask, drop, reverse, activation):
    batch, steps, units, _ = _sizes(z, weights)
    mask, drop = _shared(mask, drop, batch, steps, units, 1)
    h = np.broadcast_to(h0, (batch, units)) + 0.0
    y, before = (np.zeros((batch, steps, units)) for _ in range(2))
    for t in _order(steps, reverse):
        before[:, t] = h
        new = ACTIVATIONS[activation](z[:, t] + (h * drop[:, 0]) @ weights)
        h = y[:, t] = np.where(mask[:, t], new, h)
    return y, h, before


def simple_rnn_grad(dy, dh, weights, y, mask, drop, reverse, activation):
    batch, steps, units, _ = _sizes(y, weights)
    mask, drop = _shared(mask, drop, batch, steps, units, 1)
    dy = np.broadcast_to(dy, (batch, steps, units))
    dh = np.broadcast_to(dh, (batch, units)) + 0.0
    dz = np.zeros((batch, steps, units))
    for t in reversed(_order(steps, reverse)):
        flows = dh + dy[:, t]
        dz[:, t] = np.where(mask[:, t], flows * SLOPES[activation](y[:, t]), 0)
        dh = np.where(mask[:, t], dz[:, t] @ weights.T * drop[:, 0], flows)
    return dz, dh


FORMULAS = {f.__name__: f for f in (lstm, lstm_grad, gru, gru_grad, simple_rnn, simple_rnn_grad)}
