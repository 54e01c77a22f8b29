"""JAX: everything jitted; training once as a step per dispatch, once as a scan over the epoch."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from rivals import data

OPS = {
    "exp": jnp.exp,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "gelu": jax.nn.gelu,
    "softmax": jax.nn.softmax,
    "layer_norm": lambda x: jax.nn.standardize(x, axis=-1, epsilon=1e-3),
    "add": lambda x: x + 1,
    "relu": jax.nn.relu,
    "sum": lambda x: x.sum(axis=-1),
}


def versions(threads: int) -> dict[str, str]:
    return {"jax": jax.__version__}


def blocked(function: Callable, *args) -> Callable[[], None]:
    def call() -> None:
        function(*args).block_until_ready()

    return call


def gemm(n: int) -> Callable[[], None]:
    return blocked(jax.jit(jnp.matmul), *(jnp.asarray(data.uniform(n, n, seed=s)) for s in (1, 2)))


def dense(m: int, n: int, k: int) -> Callable[[], None]:
    x, w, b = (jnp.asarray(data.uniform(*shape)) for shape in ((m, k), (k, n), (n,)))
    return blocked(jax.jit(lambda x, w, b: x @ w + b), x, w, b)


def convolution(
    images: int, high: int, wide: int, channels: int, filters: int, taps: int, stride: int,
    padding: int, groups: int, part: str,
) -> Callable[[], None]:  # fmt: skip
    x = jnp.asarray(data.uniform(images, high, wide, channels))
    w = jnp.asarray(data.uniform(taps, taps, channels // groups, filters))

    def conv(x, w):
        return jax.lax.conv_general_dilated(
            x, w, (stride,) * 2, [(padding,) * 2] * 2, feature_group_count=groups,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )  # fmt: skip

    if part == "forward":
        return blocked(jax.jit(conv), x, w)
    y, back = jax.vjp((lambda x: conv(x, w)) if part == "input" else (lambda w: conv(x, w)),
                      x if part == "input" else w)  # fmt: skip
    return blocked(jax.jit(lambda dy: back(dy)[0]), jnp.ones_like(y))


def batch_norm_step(images: int, size: int, channels: int) -> Callable[[], float]:
    x, dy = (jnp.asarray(data.uniform(images, size, size, channels, seed=s)) for s in (1, 2))
    scale, offset = (jnp.asarray(data.uniform(channels, seed=s)) for s in (3, 4))

    def norm(x, scale, offset):
        return jax.nn.standardize(x, axis=(0, 1, 2), epsilon=1e-3) * scale + offset

    def step(x, scale, offset, dy):
        y, back = jax.vjp(norm, x, scale, offset)
        return y, *back(dy)

    step = jax.jit(step)

    def call() -> float:
        y, dx, dscale, _ = (np.asarray(a) for a in step(x, scale, offset, dy))
        return float(y.flat[0]) + float(dx.flat[0]) + float(dscale[0])

    return call


def resize_step(images: int, size: int, to: int, channels: int) -> Callable[[], float]:
    x = jnp.asarray(data.uniform(images, size, size, channels, seed=1))
    dy = jnp.asarray(data.uniform(images, to, to, channels, seed=2))

    def step(x, dy):
        resize = lambda x: jax.image.resize(x, dy.shape, "bilinear", antialias=False)  # noqa: E731
        y, back = jax.vjp(resize, x)
        return y, *back(dy)

    step = jax.jit(step)

    def call() -> float:
        y, dx = (np.asarray(a) for a in step(x, dy))
        return float(y.flat[0]) + float(dx.flat[0])

    return call


def elementwise(op: str, rows: int, cols: int) -> Callable[[], None]:
    return blocked(jax.jit(OPS[op]), jnp.asarray(data.uniform(rows, cols)))


def forward(weights, x):
    for i, (w, b) in enumerate(weights):
        x = x @ w + b
        if i < len(weights) - 1:
            x = jax.nn.relu(x)
    return x


def loss_of(weights, x, y):
    out = forward(weights, x)
    if out.shape[1] == 1:
        return jnp.mean((out - y) ** 2)
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(out), y[:, None], axis=1))


def step(state, x, y, loss_of=loss_of):
    """One Adam step; the state is (weights, first moments, second moments, count)."""
    weights, m, v, count = state
    loss, grads = jax.value_and_grad(loss_of)(weights, x, y)
    count = count + 1
    rate = 1e-3 * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
    m = jax.tree.map(lambda m, g: m + (g - m) * 0.1, m, grads)
    v = jax.tree.map(lambda v, g: v + (g * g - v) * 0.001, v, grads)
    weights = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-7), weights, m, v)
    return (weights, m, v, count), loss


def mlp_fit(sizes: list[int], batch: int, samples: int, variant: str = "") -> Callable[[], float]:
    x, y = (jnp.asarray(a) for a in data.training_set(sizes, samples))
    weights = [(jnp.asarray(w), jnp.asarray(b)) for w, b in data.layer_weights(sizes)]
    zeros = jax.tree.map(jnp.zeros_like, weights)
    state = (weights, zeros, jax.tree.map(jnp.copy, zeros), jnp.float32(0))
    key, steps = jax.random.key(0), samples // batch

    @jax.jit
    def orders(key):
        return jax.random.permutation(key, samples)[: steps * batch].reshape(steps, batch)

    @jax.jit
    def epoch(state, order):
        return jax.lax.scan(lambda s, rows: step(s, x[rows], y[rows]), state, order)

    one = jax.jit(lambda s, order, i: step(s, x[order[i]], y[order[i]]), donate_argnums=0)

    def call() -> float:
        nonlocal state, key
        key, now = jax.random.split(key)
        order = orders(now)
        if variant == "scan":
            state, losses = epoch(state, order)
            return float(losses.mean())
        total = jnp.float32(0)
        for i in range(steps):
            state, loss = one(state, order, i)
            total = total + loss if i % 16 == 0 else total
        total.block_until_ready()
        return float(total) / -(-steps // 16)

    return call


def fit_nets(
    sizes: list[int], nets: int, batch: int, samples: int, epochs: int
) -> Callable[[], float]:
    """Many nets as one: `vmap` over epochs that are scans, each net with an order of its own."""
    x, y = (jnp.asarray(a) for a in data.training_set(sizes, samples))
    weights = [(jnp.asarray(w), jnp.asarray(b)) for w, b in data.layer_weights(sizes)]
    zeros = jax.tree.map(jnp.zeros_like, weights)
    one = (weights, zeros, zeros, jnp.float32(0))
    state = jax.tree.map(lambda a: jnp.stack([a] * nets), one)
    keys, steps = jax.random.split(jax.random.key(0), nets), samples // batch

    def epoch(state, key):
        order = jax.random.permutation(key, samples)[: steps * batch].reshape(steps, batch)
        return jax.lax.scan(lambda s, rows: step(s, x[rows], y[rows]), state, order)

    def fit(state, key):
        state, losses = jax.lax.scan(epoch, state, jax.random.split(key, epochs))
        return state, losses[-1].mean()

    run = jax.jit(jax.vmap(fit), donate_argnums=0)

    def call() -> float:
        nonlocal state
        state, losses = run(state, keys)
        return float(losses.mean())

    return call


def rnn_fit(units: int, steps: int, batch: int, samples: int) -> Callable[[], float]:
    x, y = (jnp.asarray(a) for a in data.sequences(units, steps, samples))
    w, u, head = (jnp.asarray(data.uniform(units, n, seed=7)) * 0.1 for n in (units, units, 1))
    weights = (w, u, jnp.zeros(units), head, jnp.zeros(1))

    def loss_of_sequences(weights, x, y):
        w, u, b, head, c = weights
        first = jnp.zeros((x.shape[0], units))
        one = lambda h, v: (jnp.tanh(v @ w + h @ u + b), None)  # noqa: E731
        last, _ = jax.lax.scan(one, first, x.transpose(1, 0, 2))
        return jnp.mean((last @ head + c - y) ** 2)

    run = jax.jit(lambda s, x, y: step(s, x, y, loss_of_sequences), donate_argnums=0)
    zeros = jax.tree.map(jnp.zeros_like, weights)
    state = (weights, zeros, jax.tree.map(jnp.copy, zeros), jnp.float32(0))

    def call() -> float:
        nonlocal state
        for at in range(0, samples, batch):
            state, loss = run(state, x[at : at + batch], y[at : at + batch])
        return float(loss)

    return call


def predict_one(sizes: list[int], how: str) -> Callable[[], float]:
    weights = [(jnp.asarray(w), jnp.asarray(b)) for w, b in data.layer_weights(sizes)]
    run, x = jax.jit(lambda x: forward(weights, x)), data.uniform(1, sizes[0])
    return lambda: float(np.asarray(run(x))[0, 0])


def attention_step(batch: int, steps: int, heads: int, width: int) -> Callable[[], float]:
    shape = (batch, steps, heads, width)
    operands = [jnp.asarray(data.uniform(*shape, seed=seed)) for seed in (1, 2, 3)]
    weigh = jnp.asarray(data.uniform(*shape, seed=4))

    def loss_of(operands, weigh):
        return jnp.sum(jax.nn.dot_product_attention(*operands, is_causal=True) * weigh)

    @jax.jit
    def descend(operands, weigh):
        loss, slopes = jax.value_and_grad(loss_of)(operands, weigh)
        return [a - 0.01 * slope for a, slope in zip(operands, slopes, strict=True)], loss

    def call() -> float:
        nonlocal operands
        operands, loss = descend(operands, weigh)
        return float(loss)

    return call
