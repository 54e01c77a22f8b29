"""fastnn, through its public API."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import json
import os
import pty
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np

import fastnn as nn
from fastnn import ensemble, exit_strategy
from rivals import data
from rivals.callers import Clients, from_threads

# A result is computed when it is read; `numpy()` gives an array of the caller's own, as NumPy does.
OPS = {
    "exp": lambda x: nn.ops.exp(x),
    "tanh": lambda x: nn.ops.tanh(x),
    "sigmoid": lambda x: nn.ops.sigmoid(x),
    "gelu": lambda x: nn.ops.gelu(x),
    "softmax": lambda x: nn.ops.softmax(x),
    "layer_norm": lambda x: nn.ops.layer_normalize(x),
    "add": lambda x: nn.ops.add(x, 1.0),
    "relu": lambda x: nn.ops.relu(x),
    "sum": lambda x: nn.ops.sum(x, axis=-1),
}


def versions(threads: int) -> dict[str, str]:
    nn.set_num_threads(threads)
    return {"fastnn": nn.__version__, "fastnn ISA": str(nn.info()["isa"])}


def gemm(n: int) -> Callable[[], None]:
    a, b = (nn.ops.convert_to_tensor(data.uniform(n, n, seed=s)) for s in (1, 2))

    def call() -> None:
        np.asarray(nn.ops.matmul(a, b))

    return call


def dense(m: int, n: int, k: int) -> Callable[[], None]:
    x, w, b = (data.uniform(*shape) for shape in ((m, k), (k, n), (n,)))
    x, w, b = (nn.ops.convert_to_tensor(a) for a in (x, w, b))
    step = nn.jit(lambda x: x @ w + b)

    def call() -> None:
        step(x).numpy()

    return call


def convolution(
    images: int, high: int, wide: int, channels: int, filters: int, taps: int, stride: int,
    padding: int, groups: int, part: str,
) -> Callable[[], float]:  # fmt: skip
    x, w = (
        data.uniform(images, high, wide, channels),
        data.uniform(taps, taps, channels // groups, filters),
    )
    options = {"strides": (stride,), "padding": (padding,) * 4, "groups": groups}
    rows = nn.ops.rows
    if part == "forward":
        operands, step = (x, w), lambda x, w: rows.conv(x, w, **options)
    else:
        places = [(n + 2 * padding - taps) // stride + 1 for n in (high, wide)]
        dy = data.uniform(images, *places, filters)
        if part == "input":
            operands = (dy, w)
            step = lambda dy, w: rows.conv_input_grad(dy, w, size=(high, wide), **options)  # noqa: E731
        else:
            operands = (x, dy)
            step = lambda x, dy: rows.conv_weight_grad(x, dy, kernel=(taps, taps), **options)  # noqa: E731
    step = nn.jit(step)
    tensors = [nn.ops.convert_to_tensor(a) for a in operands]
    return lambda: float(step(*tensors).numpy().flat[0])


def batch_norm_step(images: int, size: int, channels: int) -> Callable[[], float]:
    x, dy = (
        nn.ops.convert_to_tensor(data.uniform(images, size, size, channels, seed=s)) for s in (1, 2)
    )
    scale, offset = (nn.ops.convert_to_tensor(data.uniform(channels, seed=s)) for s in (3, 4))

    def loss(x, scale, offset, dy):
        mean, variance = nn.ops.moments(x, axes=(0, 1, 2))
        y = nn.ops.batch_normalization(x, mean, variance, -1, offset, scale)
        return nn.ops.sum(y * dy), y

    step = nn.jit(nn.grad(loss, argnums=(0, 1, 2), has_aux=True))

    def call() -> float:
        (dx, dscale, _), y = step(x, scale, offset, dy)
        y, dx, dscale = (np.asarray(a) for a in (y, dx, dscale))
        return float(y.flat[0]) + float(dx.flat[0]) + float(dscale[0])

    return call


def resize_step(images: int, size: int, to: int, channels: int) -> Callable[[], float]:
    x = nn.ops.convert_to_tensor(data.uniform(images, size, size, channels, seed=1))
    dy = nn.ops.convert_to_tensor(data.uniform(images, to, to, channels, seed=2))

    def loss(x, dy):
        y = nn.ops.image.resize(x, (to, to))
        return nn.ops.sum(y * dy), y

    step = nn.jit(nn.grad(loss, has_aux=True))

    def call() -> float:
        dx, y = (np.asarray(a) for a in step(x, dy))
        return float(y.flat[0]) + float(dx.flat[0])

    return call


def elementwise(op: str, rows: int, cols: int) -> Callable[[], None]:
    x = nn.ops.convert_to_tensor(data.uniform(rows, cols))
    function = OPS[op]

    def call() -> None:
        function(x).numpy()

    return call


def build(sizes: list[int]) -> nn.Sequential:
    last = None if sizes[-1] == 1 else "softmax"
    hidden = [nn.layers.Dense(n, activation="relu") for n in sizes[1:-1]]
    model = nn.Sequential([nn.Input((sizes[0],)), *hidden, nn.layers.Dense(sizes[-1], last)])
    model.set_weights([a for pair in data.layer_weights(sizes) for a in pair])
    return model


def mlp_fit(sizes: list[int], batch: int, samples: int) -> Callable[[], float]:
    x, y = data.training_set(sizes, samples)
    model = build(sizes)
    model.compile("adam", "mse" if sizes[-1] == 1 else "sparse_categorical_crossentropy")

    def call() -> float:
        return model.fit(x, y, batch_size=batch, epochs=1, verbose=0).history["loss"][-1]

    return call


def mlp_ranks(sizes: list[int], batch: int, samples: int, variant: str) -> Callable[[], float]:
    """`mlp_fit` by "2 ranks" with that batch each, or by threads with twice the batch."""
    if "rank" not in variant:
        return mlp_fit(sizes, 2 * batch, samples)
    program = Path(__file__).parents[1] / "programs" / "ranks_fastnn.py"
    told = json.dumps({"sizes": sizes, "batch": batch, "samples": samples})
    launcher = Path(sysconfig.get_path("scripts")) / "mpiexec"
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    job = subprocess.Popen(
        [launcher, "-n", variant.split()[0], sys.executable, program, told],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={k: v for k, v in os.environ.items() if k != "FASTNN_NUM_THREADS"} | root,
    )  # fmt: skip
    atexit.register(job.terminate)  # the launcher does not pass on that its input has ended

    def call() -> float:
        job.stdin.write("go\n")
        job.stdin.flush()
        return float(job.stdout.readline())

    return call


class Recurrent(nn.layers.Layer):
    """tanh(x W + h U + b) along a sequence, its last value."""

    def __init__(self, units: int, unroll: bool) -> None:
        super().__init__()
        self.units, self.unroll = units, unroll

    def build(self, shape: tuple[int, ...]) -> None:
        self.w = self.add_weight((shape[-1], self.units))
        self.u = self.add_weight((self.units, self.units), initializer="orthogonal")
        self.b = self.add_weight((self.units,), initializer="zeros")

    def call(self, x):
        def one(h, v):
            return nn.ops.tanh(v @ self.w + h @ self.u + self.b), None

        first = nn.ops.zeros((nn.ops.shape(x)[0], self.units))
        return nn.ops.scan(one, first, nn.ops.moveaxis(x, 1, 0), unroll=self.unroll)[0]


def rnn_fit(
    units: int, steps: int, batch: int, samples: int, variant: str = ""
) -> Callable[[], float]:
    """An epoch of a recurrent net, its rounds run by the core or written out ("unrolled")."""
    x, y = data.sequences(units, steps, samples)
    nn.utils.set_random_seed(0)
    layers = [Recurrent(units, variant == "unrolled"), nn.layers.Dense(1)]
    model = nn.Sequential([nn.Input((steps, units)), *layers])
    model.compile("adam", "mse")

    def call() -> float:
        return model.fit(x, y, batch_size=batch, epochs=1, verbose=0).history["loss"][-1]

    return call


def fit_shown(sizes: list[int], batch: int, samples: int, variant: str) -> Callable[[], float]:
    """Epochs as a user at a terminal trains them ("bar"), or with verbose=0 ("silent")."""
    x, y = data.training_set(sizes, samples)
    model = build(sizes)
    model.compile("adam", "mse")
    screen, inside = pty.openpty()
    # What a terminal does: takes whatever is written, in a process of its own.
    quiet = subprocess.DEVNULL
    subprocess.Popen(["cat"], stdin=screen, stdout=quiet, stderr=quiet)
    terminal = os.fdopen(inside, "w")

    def call() -> float:
        shown = {"verbose": 0} if variant == "silent" else {}
        with contextlib.redirect_stdout(terminal):
            return model.fit(x, y, batch_size=batch, epochs=20, **shown).history["loss"][-1]

    return call


def line_fit() -> Callable[[], float]:
    model = nn.Sequential([nn.layers.Dense(units=1, input_shape=[1])])
    model.compile(optimizer="sgd", loss="mean_squared_error")

    def call() -> float:
        return model.fit(data.LINE_X, data.LINE_Y, epochs=100, verbose=0).history["loss"][-1]

    return call


def predict_one(sizes: list[int], how: str, batch: int = 1) -> Callable[[], float]:
    model, x = build(sizes), data.uniform(batch, sizes[0])
    if how == "batches":
        return lambda: float(model.predict(x, batch_size=batch, verbose=0)[0, 0])
    if how == "call":
        return lambda: float(model(x).numpy()[0, 0])
    return lambda: float(model.predict(x, verbose=0)[0, 0])


def fit_nets(
    sizes: list[int], nets: int, batch: int, samples: int, epochs: int, variant: str
) -> Callable[[], float]:
    """Many nets by `fit_many` ("side by side"), or by a `fit` each ("in turn")."""
    x, y = data.training_set(sizes, samples)
    models = [build(sizes) for _ in range(nets)]
    for model in models:
        model.compile("adam", "mse" if sizes[-1] == 1 else "sparse_categorical_crossentropy")
    fit = {"batch_size": batch, "epochs": epochs, "verbose": 0}

    def call() -> float:
        if variant == "in turn":
            runs = [model.fit(x, y, **fit) for model in models]
        else:
            runs = nn.fit_many(models, (x, y), seeds=range(nets), **fit)
        return float(np.mean([run.history["loss"][-1] for run in runs]))

    return call


def asked(
    sizes: list[int], samples: int = 1, calls: int = 1, variant: str = ""
) -> Callable[[], None]:
    """`Predictor.predict` for rows, from one or two threads."""
    predictor, x = nn.Predictor(build(sizes)), data.uniform(samples, sizes[0])
    ask = lambda: float(predictor.predict(x)[0, 0])  # noqa: E731
    return ask if calls == 1 else from_threads(ask, 2 if "two" in variant else 1, calls)


def service(sizes: list[int], connections: int, requests: int) -> Callable[[], None]:
    """`fastnn serve`, and its clients."""
    file = Path(tempfile.mkdtemp(), "model.safetensors")
    build(sizes).save(file)
    row = data.uniform(1, sizes[0])[0].tolist()
    return Clients("serve_fastnn.py", file, row, connections, requests)


def ulp_error(op: str) -> Callable[[], float]:
    """The largest error in units in the last place over four million inputs; not a timing."""
    x = np.linspace(-20, 20, 4_000_001, dtype=np.float32)
    wide = x.astype(np.float64)
    exact = {"exp": np.exp, "tanh": np.tanh, "sigmoid": lambda v: 1 / (1 + np.exp(-v))}[op](wide)

    def call() -> float:
        got = OPS[op](nn.ops.convert_to_tensor(x)).numpy().astype(np.float64)
        return float(np.max(np.abs(got - exact) / np.spacing(np.abs(exact).astype(np.float32))))

    return call


def classifier_fit(name: str, widths: list[int], epochs: int, batch: int) -> Callable[[], float]:
    """The estimator trained from scratch; gives its accuracy on rows that it has not seen."""
    from fastnn.sklearn import FastNNClassifier

    x, y, x_test, y_test = data.classes(name)
    model = FastNNClassifier(widths, epochs=epochs, batch_size=batch, random_state=0)
    return lambda: float(model.fit(x, y).score(x_test, y_test))


def rank(profiles: int, draws: int, uncertain: bool) -> Callable[[], float]:
    """Ranks, means and quantiles of every profile's options over all draws."""
    o = data.options(profiles)
    variables = [
        ensemble.Variable(int(group), i, 0.25, tuple(o.knots[i]), tuple(map(tuple, o.fits[i])))
        for i, group in enumerate(o.groups)
    ]
    model = ensemble.Ensemble(3, variables, list(o.weights), dirichlet_sum=1.0, streams=28,
                              draws=draws)  # fmt: skip
    rows = np.zeros((profiles, 28, 6))
    rows[:, :, 0] = ensemble.KINDS.index("normal" if uncertain else "fixed")
    rows[:, :, 1], rows[:, :, 2] = o.centres, o.spread
    rows[:, :, 4:] = -np.inf, np.inf
    return lambda: float(model.score(rows, quantiles=data.LEVELS).mean.sum())


def waterfall(tables: int, prices: int) -> Callable[[], float]:
    """Payouts of every class at every price."""
    claims, at = data.claims(tables), np.linspace(0, 400, prices)
    out = np.empty((tables, 10, prices))
    return lambda: float(ensemble.pay_claims(claims, at, out)[-1, -1, -1])


def exit_score(fresh: bool) -> Callable[[], float]:
    """One company after another with everything: gates, money, chances, draws, tornado, flips.

    Draws depend on the seed alone and are kept; `fresh` gives every company a seed of its own.
    """
    company = tomllib.loads(exit_strategy.template())
    companies = itertools.cycle(
        exit_strategy.Profile.from_dict(company | {"revenue_ttm": 9e6 * (1 + i / 100)})
        for i in range(64)
    )
    seeds = itertools.count() if fresh else itertools.repeat(0)
    return lambda: exit_strategy.evaluate(next(companies), seed=next(seeds)).ranking[0].score_mean


def exit_many(companies: int) -> Callable[[], float]:
    """The same for many companies, from mappings to columns."""
    company = tomllib.loads(exit_strategy.template())
    rows = [company | {"revenue_ttm": 9e6 * (1 + i / 100)} for i in range(companies)]
    return lambda: float(exit_strategy.evaluate_many(rows)["lead"][0])


def stepped(
    loss: nn.Tensor, feeds: list, variables: list[nn.Variable], values: list
) -> Callable[[], float]:
    """A step of plain gradient descent on `variables`, compiled once; each call runs it once."""
    pairs = list(
        zip(variables, nn._core.gradients(loss, [v.traced() for v in variables]), strict=True)
    )
    updates = [(v, v.traced() - 0.01 * slope) for v, slope in pairs]
    step = nn._core.Function(feeds, [loss], updates)
    return lambda: float(step(*values))


def recurrent_step(
    kind: str, batch: int, steps: int, inputs: int, units: int
) -> Callable[[], float]:
    gates = {"lstm": 4, "gru": 3}[kind] * units
    shapes = ((inputs, gates), (units, gates), (gates,))
    kernel, weights, bias = (nn._core.Variable(data.uniform(*shape) * 0.05) for shape in shapes)
    x = nn._core.placeholder((batch, steps, inputs), "float32")
    z = nn.ops.matmul(x, kernel.traced()) + bias.traced()
    y = getattr(nn.ops, kind)(z, weights.traced())[0]
    loss = nn.ops.mean(nn.ops.square(y))
    return stepped(loss, [x], [kernel, weights, bias], [data.uniform(batch, steps, inputs)])


def attention_step(batch: int, steps: int, heads: int, width: int) -> Callable[[], float]:
    shape = (batch, steps, heads, width)
    operands = [nn._core.Variable(data.uniform(*shape, seed=seed)) for seed in (1, 2, 3)]
    weigh = nn._core.placeholder(shape, "float32")
    out = nn.ops.dot_product_attention(*(v.traced() for v in operands), is_causal=True)
    loss = nn.ops.sum(out * weigh)
    return stepped(loss, [weigh], operands, [data.uniform(*shape, seed=4)])


def embedding_step(rows: int, width: int, batch: int, steps: int) -> Callable[[], float]:
    ids = np.random.default_rng(5).integers(0, rows, (batch, steps)).astype(np.int32)
    model = nn.Sequential([nn.Input((steps,), dtype="int32"), nn.layers.Embedding(rows, width)])
    model.compile(nn.optimizers.Adam(1e-3), "mse")
    target = np.zeros((batch, steps, width), np.float32)
    return lambda: float(model.train_on_batch(ids, target))


def embedding_epoch(
    rows: int, width: int, batch: int, steps: int, batches: int
) -> Callable[[], float]:
    tokens = np.random.default_rng(5).integers(0, rows, (batches * batch, steps)).astype(np.int32)
    model = nn.Sequential(
        [
            nn.Input((steps,), dtype="int32"),
            nn.layers.Embedding(rows, width),
            nn.layers.GlobalAveragePooling1D(),
        ]
    )
    model.compile(nn.optimizers.Adam(1e-3), "mse")
    target = np.zeros((batches * batch, width), np.float32)
    options = {"batch_size": batch, "epochs": 1, "shuffle": False, "verbose": 0}
    return lambda: float(model.fit(tokens, target, **options).history["loss"][0])


def gpt_step(
    layers: int, heads: int, width: int, steps: int, batch: int, tokens: int,
    policy: str = "float32",
) -> Callable[[], float]:  # fmt: skip
    text = np.random.default_rng(5).integers(0, tokens, (batch, steps + 1)).astype(np.int32)
    nn.config.set_dtype_policy(policy)
    model = nn.applications.GPT(tokens, width, layers, heads, max_length=steps)
    nn.config.set_dtype_policy("float32")
    loss = nn.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(nn.optimizers.Adam(1e-3), loss)
    x, y = text[:, :-1], text[:, 1:]
    return lambda: float(model.train_on_batch(x, y))
