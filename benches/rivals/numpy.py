"""NumPy by hand: what a careful user writes without any library."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rivals import data


def versions(threads: int) -> dict[str, str]:
    return {"numpy": np.__version__}


def gemm(n: int) -> Callable[[], None]:
    a, b = (data.uniform(n, n, seed=s) for s in (1, 2))

    def call() -> None:
        np.matmul(a, b)

    return call


def dense(m: int, n: int, k: int) -> Callable[[], None]:
    x, w, b = (data.uniform(*shape) for shape in ((m, k), (k, n), (n,)))

    def call() -> None:
        np.add(x @ w, b)

    return call


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.float32(0.7978845608) * (x + np.float32(0.044715) * x**3)))


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def layer_norm(x):
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = np.mean(centred * centred, axis=-1, keepdims=True)
    return centred / np.sqrt(variance + np.float32(1e-3))


OPS = {
    "exp": np.exp,
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "gelu": gelu,
    "softmax": softmax,
    "layer_norm": layer_norm,
    "add": lambda x: x + np.float32(1),
    "relu": lambda x: np.maximum(x, 0),
    "sum": lambda x: x.sum(axis=-1),
}


def elementwise(op: str, rows: int, cols: int) -> Callable[[], None]:
    x, function = data.uniform(rows, cols), OPS[op]

    def call() -> None:
        function(x)

    return call


class Network:
    """Dense layers with ReLU between them, softmax cross-entropy or squared error, and Adam."""

    def __init__(self, sizes: list[int]) -> None:
        self.weights = [a for pair in data.layer_weights(sizes) for a in pair]
        self.m = [np.zeros_like(w) for w in self.weights]
        self.v = [np.zeros_like(w) for w in self.weights]
        self.step = 0

    def forward(self, x) -> list:
        kept = [x]
        last = len(self.weights) // 2 - 1
        for i in range(last + 1):
            x = x @ self.weights[2 * i]
            x += self.weights[2 * i + 1]
            if i < last:
                np.maximum(x, 0, out=x)
            kept.append(x)
        return kept

    def train(self, x, y) -> float:
        kept = self.forward(x)
        out = kept[-1]
        if out.shape[1] == 1:
            g = out - y
            loss = float(np.mean(g * g))
            g *= 2 / len(y)
        else:
            g = softmax(out)
            rows = np.arange(len(y))
            loss = float(-np.mean(np.log(g[rows, y] + 1e-7)))
            g[rows, y] -= 1
            g /= len(y)
        grads = [None] * len(self.weights)
        for i in reversed(range(len(self.weights) // 2)):
            grads[2 * i] = kept[i].T @ g
            grads[2 * i + 1] = g.sum(axis=0)
            if i:
                g = g @ self.weights[2 * i].T
                g *= kept[i] > 0
        self.adam(grads)
        return loss

    def adam(self, grads) -> None:
        self.step += 1
        rate = np.float32(1e-3 * np.sqrt(1 - 0.999**self.step) / (1 - 0.9**self.step))
        for w, g, m, v in zip(self.weights, grads, self.m, self.v, strict=True):
            m += (g - m) * np.float32(0.1)
            v += (g * g - v) * np.float32(0.001)
            w -= rate * m / (np.sqrt(v) + np.float32(1e-7))


def mlp_fit(sizes: list[int], batch: int, samples: int) -> Callable[[], float]:
    x, y = data.training_set(sizes, samples)
    network, rng = Network(sizes), np.random.default_rng(0)

    def call() -> float:
        order, total = rng.permutation(samples), 0.0
        for start in range(0, samples, batch):
            chosen = order[start : start + batch]
            total += network.train(x[chosen], y[chosen])
        return total / -(-samples // batch)

    return call


def line_fit() -> Callable[[], float]:
    x, y = (a.astype(np.float32) for a in (data.LINE_X, data.LINE_Y))
    w, b = 0.5, 0.0

    def call() -> float:
        nonlocal w, b
        losses = []
        for _ in range(100):
            error = x * w + b - y
            losses.append(float(np.mean(error * error)))
            w -= 0.01 * 2 * np.mean(error * x)
            b -= 0.01 * 2 * np.mean(error)
        return losses[-1]

    return call


def predict_one(sizes: list[int], how: str) -> Callable[[], float]:
    network, x = Network(sizes), data.uniform(1, sizes[0])
    return lambda: float(network.forward(x)[-1][0, 0])


def rank(profiles: int, draws: int, uncertain: bool) -> Callable[[], float]:
    o, rng = data.options(profiles), np.random.default_rng(0)
    shares = rng.dirichlet(o.weights, draws).T.astype(np.float32)
    z = rng.standard_normal((28, draws)).astype(np.float32)
    starts = np.arange(0, 28, 4)

    def scores(centres):
        if not uncertain:
            fits = np.empty((3, 28))
            for i in range(28):
                for k in range(3):
                    fits[k, i] = np.interp(centres[i], o.knots[i], o.fits[i, k])
            return np.add.reduceat(fits * 0.25, starts, axis=1).astype(np.float32) @ shares
        out = np.zeros((3, draws), np.float32)
        for i in range(28):
            x = centres[i] + o.spread * z[i]
            for k in range(3):
                out[k] += 0.25 * shares[o.groups[i]] * np.interp(x, o.knots[i], o.fits[i, k])
        return out

    def call() -> float:
        total = 0.0
        for centres in o.centres:
            s = scores(centres)
            places = [sum((s[j] > s[k]).astype(np.int8) for j in range(3) if j != k)
                      for k in range(3)]  # fmt: skip
            ranks = [np.bincount(p, minlength=3) for p in places]
            np.quantile(s, data.LEVELS, axis=1)
            total += float(s.mean(axis=1).sum()) + 0.0 * ranks[0][0]
        return total

    return call
