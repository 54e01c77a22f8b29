"""ops.scan against NumPy and rounds written out: carries, gradients, recurrent nets, files."""

import contextlib
import json
import os
import random
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import fastnn
import fuzz_files
import random_scans
from fastnn import FormatError, ShapeError, TraceError, _core, layers, ops
from fastnn.ops import rounds

COUNT = int(os.environ.get("FASTNN_SCANS", "25"))


def test_carry_and_results_of_any_structure(rng):
    xs = {"a": rng.normal(size=(5, 3)).astype("f"), "b": rng.integers(0, 9, 5).astype("i4")}

    def f(carry, x):
        total, (count,) = carry
        return (total + x["a"], (count + x["b"],)), {"sum": total, "twice": [x["b"] * 2]}

    for reverse in (False, True):
        (total, (count,)), ys = ops.scan(
            f, (np.zeros(3, "f"), (ops.array(0),)), xs, reverse=reverse
        )
        assert np.asarray(total) == pytest.approx(xs["a"].sum(0), rel=1e-5)
        assert int(count) == xs["b"].sum()
        a = xs["a"][::-1] if reverse else xs["a"]
        before = np.concatenate([np.zeros((1, 3), "f"), np.cumsum(a, 0)[:-1]])
        before = before[::-1] if reverse else before
        assert np.asarray(ys["sum"]) == pytest.approx(before, rel=1e-5, abs=1e-6)
        assert np.array_equal(np.asarray(ys["twice"][0]), 2 * xs["b"])


def test_rounds_without_slices_and_without_results():
    last, ys = ops.scan(lambda c, _: (c * 2.0, None), 1.0, length=10)
    assert float(last) == 1024
    assert ys is None
    last, ys = ops.scan(lambda c, _: (c * 2.0, c), 1.0, length=0)
    assert float(last) == 1
    assert np.asarray(ys).shape == (0,)
    last, ys = ops.scan(
        lambda c, x: (c, ops.sum(x * c, -1)), np.ones(4, "f"), np.ones((0, 2, 4), "f")
    )
    assert np.asarray(ys).shape == (0, 2)


def test_what_does_not_fit_is_refused():
    ones = np.ones((3, 2), "f")
    with pytest.raises(TypeError, match="function"):
        ops.scan(3, 0.0, ones)
    with pytest.raises(ValueError, match=r"no xs.*\n  hint"):
        ops.scan(lambda c, x: (c, x), 0.0)
    with pytest.raises(ShapeError, match="length is 4"):
        ops.scan(lambda c, x: (c, x), 0.0, ones, length=4)
    with pytest.raises(ShapeError, match=r"float32\(\) into float32\(2,\)"):
        ops.scan(lambda c, x: (c + x, x), 0.0, ones)
    with pytest.raises(ValueError, match="another structure"):
        ops.scan(lambda c, x: ((c, c), x), 0.0, ones)
    with pytest.raises(ValueError, match="no pair"):
        ops.scan(lambda c, x: c, 0.0, ones)
    with pytest.raises(ShapeError, match="first axes"):
        ops.scan(lambda c, x: (c, None), 0.0, (ones, ones[:2]))


@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_match_finite_differences(reverse, rng):
    w, h = rng.normal(size=(3, 3)).astype("f") / 2, rng.normal(size=3).astype("f")
    xs, weights = rng.normal(size=(2, 6, 3)).astype("f")

    def loss(w, h, xs):
        last, ys = ops.scan(
            lambda c, x: (ops.tanh(ops.matmul(c, w) + x),) * 2, h, xs, reverse=reverse
        )
        return ops.sum(ys * weights) + ops.sum(last * last)

    def exact(w, h, xs):
        total = 0.0
        for i in range(6)[::-1] if reverse else range(6):
            h = np.tanh(h @ w + xs[i])
            total += (h * weights[i]).sum()
        return total + (h * h).sum()

    got = fastnn.grad(loss, argnums=(0, 1, 2))(w, h, xs)
    wide = [a.astype("f8") for a in (w, h, xs)]
    for k, slopes in enumerate(got):
        for at in np.ndindex(wide[k].shape):
            moved = [a.copy() for a in wide]
            moved[k][at] += 1e-6
            up = exact(*moved)
            moved[k][at] -= 2e-6
            wanted = (up - exact(*moved)) / 2e-6
            assert float(np.asarray(slopes)[at]) == pytest.approx(wanted, rel=1e-3, abs=1e-4)


class Recurrent(layers.Layer):
    """A plain recurrent layer: h = tanh(x W + h U + b), its last h."""

    def __init__(self, units):
        super().__init__()
        self.units = units

    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1], self.units), name="w")
        self.u = self.add_weight(shape=(self.units, self.units), name="u")
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", name="b")

    def call(self, x):
        steps = ops.transpose(ops.matmul(x, self.w) + self.b, (1, 0, 2))
        first = ops.zeros_like(steps[0])
        last, _ = ops.scan(lambda h, z: (ops.tanh(z + ops.matmul(h, self.u)), None), first, steps)
        return last


def test_a_recurrent_net_learns_the_sign_of_a_sum(rng):
    fastnn.utils.set_random_seed(1)
    x = rng.normal(size=(512, 12, 2)).astype("f")
    y = (x.sum((1, 2)) > 0).astype("f")
    model = fastnn.Sequential(
        [fastnn.Input((12, 2)), Recurrent(8), layers.Dense(1, activation="sigmoid")]
    )
    model.compile(fastnn.optimizers.Adam(0.02), "binary_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=25, batch_size=64, verbose=0)
    assert model.evaluate(x, y, verbose=0)[1] > 0.93
    w, u, b = (np.asarray(v) for v in model.layers[0].get_weights())
    h = np.zeros((512, 8))
    for t in range(12):
        h = np.tanh(x[:, t] @ w + b + h @ u)
    inner = fastnn.Sequential([fastnn.Input((12, 2)), model.layers[0]])
    assert inner.predict(x, verbose=0) == pytest.approx(h, rel=1e-3, abs=1e-4)


# ---- rounds traced once ------------------------------------------------------------------------


@pytest.mark.parametrize("isa", _core.info()["isa_available"])
def test_random_loops_agree_with_their_rounds_written_out(isa):
    """Values, first and second derivatives, bits on 1 to 3 threads, on each instruction set."""
    at = Path(random_scans.__file__)
    done = subprocess.run(
        [sys.executable, at, "0", str(COUNT)],
        env={**os.environ, "FASTNN_ISA": isa},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith(f"{COUNT} loops, 0 disagree"), done.stdout + done.stderr


def calls(f):
    """`f` and a list that grows with each call of it."""
    seen = []

    def counted(*args):
        seen.append(args)
        return f(*args)

    return counted, seen


@pytest.mark.parametrize("length", [5, 10_000, 1_000_000])
def test_a_round_is_traced_once_however_many_there_are(length):
    f, seen = calls(lambda c, x: (c + x, None))
    assert float(ops.scan(f, 0.0, np.ones(length, "f"))[0]) == length
    assert len(seen) == 1


def test_more_rounds_than_can_be_written_out_run_in_a_traced_step():
    def loss(x):
        return ops.scan(lambda c, v: (0.5 * c + v, None), 0.0, x)[0]

    slopes = fastnn.jit(fastnn.grad(loss))(np.ones(30_000, "f"))
    assert np.asarray(slopes)[-3:] == pytest.approx([0.25, 0.5, 1.0])
    assert np.asarray(slopes)[:20_000].max() == 0


def test_what_a_round_closes_over_is_read_where_the_loop_stands(rng):
    w = fastnn.Variable(rng.normal(size=(3, 3)).astype("f"))
    x = ops.convert_to_tensor(rng.normal(size=(6, 3)).astype("f"))
    scale = ops.exp(x[0])

    def f(c, v):
        return ops.tanh(ops.matmul(c[None], w)[0] * scale + v), c

    last, _ = ops.scan(f, ops.zeros(3), x)
    w.assign(np.zeros((3, 3), "f"))  # read before
    again, _ = ops.scan(f, ops.zeros(3), x)
    assert np.asarray(again) == pytest.approx(np.tanh(np.asarray(x)[-1]), abs=1e-6)
    assert not np.allclose(last, again)


def test_variables_that_a_round_assigns_move_on():
    count, other = fastnn.Variable(0), fastnn.Variable(5.0)

    def f(c, x):
        count.assign_add(2)
        other.assign(other * 0.5)
        return c + x * ops.cast(count, "float32"), count.value

    for unroll in (True, False):
        count.assign(0)
        other.assign(32.0)
        last, counts = ops.scan(f, 0.0, np.arange(5, dtype="f"), unroll=unroll)
        assert float(last) == sum(i * 2 * (i + 1) for i in range(5))
        assert np.array_equal(np.asarray(counts), [2, 4, 6, 8, 10])
        assert int(count) == 10
        assert float(other) == 1.0


def test_random_numbers_differ_from_round_to_round_and_are_those_of_rounds_written_out():
    drawn = []
    for unroll in (True, False):
        seeds = fastnn.random.SeedGenerator(3)
        _, noise = ops.scan(
            lambda c, _, seeds=seeds: (c, fastnn.random.uniform((2,), seed=seeds)),
            0.0,
            length=8,
            unroll=unroll,
        )
        drawn.append(np.asarray(noise))
        assert len(np.unique(noise)) == 16
        assert int(np.asarray(seeds.state)[2]) == 8
    assert np.array_equal(*drawn)


def test_a_round_that_reads_values_is_called_once_per_round_where_there_are_some():
    f, seen = calls(lambda c, x: (c + 1 if x > 0 else c, None))
    x = np.array([1, -1, 2, -2, 3, -3], "f")
    assert float(ops.scan(f, 0.0, x)[0]) == 3
    assert len(seen) == 1 + 6
    with pytest.raises(TraceError, match=r"(?s)scan: f cannot be traced.*\n  hint: "):
        fastnn.jit(lambda x: ops.scan(f, 0.0, x)[0])(x)


def test_losses_added_in_a_round_count_once_per_round():
    class Rough(layers.Layer):
        def call(self, x):
            def f(c, v):
                self.add_loss(ops.sum(v))
                return c + v, None

            return ops.scan(f, ops.zeros_like(x[:, 0]), ops.moveaxis(x, 1, 0))[0]

    model = fastnn.Sequential([fastnn.Input((6, 1)), Rough(), layers.Dense(1)])
    model.compile("sgd", loss=lambda y, p: ops.sum(p) * 0.0)
    logs = model.fit(np.ones((2, 6, 1), "f"), np.zeros((2, 1), "f"), batch_size=2, verbose=0)
    assert logs.history["loss"] == [pytest.approx(12.0)]


def test_a_tape_sees_through_a_loop(rng):
    w, x = fastnn.Variable(2.0), ops.convert_to_tensor(np.arange(1.0, 7.0, dtype="f"))
    with fastnn.GradientTape() as tape:
        tape.watch(x)
        last, _ = ops.scan(lambda c, v: (c + v * w * w, None), 0.0, x)
    by_w, by_x = tape.gradient(last, [w, x])
    assert float(by_w) == pytest.approx(21 * 2 * 2)
    assert np.asarray(by_x) == pytest.approx(np.full(6, 4.0))


def test_loops_in_loops_reverse_each_other(rng):
    x = rng.normal(size=(7, 6)).astype("f")

    def outer(c, row):
        total, sums = ops.scan(lambda s, v: (s + v, s + v), 0.0, row, reverse=True)
        return c + total, sums

    total, sums = ops.scan(outer, 0.0, x)
    assert float(total) == pytest.approx(x.sum(), rel=1e-5)
    assert np.asarray(sums) == pytest.approx(np.cumsum(x[:, ::-1], 1)[:, ::-1], rel=1e-4, abs=1e-5)


ENDLESS = """
import fastnn
from fastnn import ops

last, _ = ops.scan(lambda c, _: (ops.sin(c), None), ops.ones(4), length=2**31)
try:
    print("READY", flush=True)  # in here: the signal may come before the next line
    last.numpy()
except KeyboardInterrupt:
    print("STOPPED", ops.scan(lambda c, _: (c + 1.0, None), 0.0, length=9)[0].item(), flush=True)
"""


def test_ctrl_c_ends_a_loop_between_its_rounds():
    child = subprocess.Popen([sys.executable, "-c", ENDLESS], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout.readline() == "READY\n"
        time.sleep(0.5)
        child.send_signal(signal.SIGINT)
        assert child.communicate(timeout=300)[0] == "STOPPED 9.0\n"
    finally:
        child.kill()


# ---- recurrent nets ----------------------------------------------------------------------------


class Unit(layers.Layer):
    """A gated recurrent layer with dropout on its input, all its h or the last one."""

    def __init__(self, units, unroll=False, whole=False, **more):
        super().__init__(**more)
        self.units, self.unroll, self.whole = units, unroll, whole
        self.dropout = layers.Dropout(0.2, seed=5)

    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1], 2 * self.units), name="w")
        self.u = self.add_weight(shape=(self.units, 2 * self.units), name="u")
        self.b = self.add_weight(shape=(2 * self.units,), initializer="zeros", name="b")

    def call(self, x):
        def f(h, v):
            z = ops.matmul(self.dropout(v), self.w) + ops.matmul(h, self.u) + self.b
            gate, new = ops.split(z, 2, axis=-1)
            gate = ops.sigmoid(gate)
            h = gate * h + (1.0 - gate) * ops.tanh(new)
            return h, h

        first = ops.zeros((ops.shape(x)[0], self.units))
        last, every = ops.scan(f, first, ops.moveaxis(x, 1, 0), unroll=self.unroll)
        return ops.moveaxis(every, 0, 1) if self.whole else last


@pytest.mark.parametrize("steps", [3, 9])
def test_training_is_that_of_rounds_written_out(steps, rng):
    x = rng.normal(size=(70, steps, 4)).astype("f")
    y = x.sum((1, 2))[:, None].astype("f")
    losses, weights = [], []
    for unroll in (True, False):
        fastnn.utils.set_random_seed(2)
        model = fastnn.Sequential([fastnn.Input((steps, 4)), Unit(8, unroll), layers.Dense(1)])
        model.compile(fastnn.optimizers.Adam(0.01), "mse")
        losses.append(model.fit(x, y, epochs=4, batch_size=32, verbose=0).history["loss"])
        weights.append(model.get_weights())
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert losses[0][-1] < losses[0][0]
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def open_model():
    fastnn.utils.set_random_seed(0)
    inputs = fastnn.Input((None, 4))
    return fastnn.Model(inputs, layers.Dense(2)(Unit(8, whole=True)(inputs)))


def test_an_open_length_is_traced_once_and_trains_at_each(rng):
    model = open_model()
    w, u, b, kernel, bias = (np.asarray(v, "f8") for v in model.trainable_variables)
    for steps in (1, 2, 7, 30):
        x = rng.normal(size=(3, steps, 4)).astype("f")
        h, wanted = np.zeros((3, 8)), []
        for t in range(steps):
            gate, new = np.split(x[:, t] @ w + h @ u + b, 2, -1)
            gate = 1 / (1 + np.exp(-gate))
            h = gate * h + (1 - gate) * np.tanh(new)
            wanted.append(h @ kernel + bias)
        got = model.predict(x, verbose=0)
        np.testing.assert_allclose(got, np.stack(wanted, 1), rtol=1e-4, atol=1e-5)
        assert np.array_equal(np.asarray(model(x)), got)
    model.compile(fastnn.optimizers.Adam(0.02), "mse")
    for steps in (3, 8):
        x = rng.normal(size=(64, steps, 4)).astype("f")
        logs = model.fit(x, x[..., :2], epochs=12, verbose=0).history["loss"]
        assert logs[-1] < logs[0]


def test_a_loop_between_layers_takes_open_lengths():
    x = fastnn.Input((None, 3))
    total, sums = ops.scan(
        lambda c, v: (c + v, ops.sum(c, -1)), ops.zeros_like(x[:, 0]), ops.moveaxis(x, 1, 0)
    )
    assert total.shape == (None, 3)
    assert sums.shape == (None, None)
    doubled = ops.map(lambda row: row * 2.0, ops.moveaxis(x, 1, 0))
    model = fastnn.Model(x, [total, sums, doubled])
    for steps in (1, 6):
        data = np.ones((2, steps, 3), "f")
        total, sums, doubled = (np.asarray(out) for out in model(data))
        assert np.array_equal(total, np.full((2, 3), steps))
        assert np.array_equal(sums, 3.0 * np.arange(steps)[:, None].repeat(2, 1))
        assert np.array_equal(doubled, np.full((steps, 2, 3), 2.0))


def test_a_loop_may_walk_along_the_batch():
    x = fastnn.Input((3,))
    model = fastnn.Model(x, ops.scan(lambda c, row: (c + row, c + row), ops.zeros(3), x)[1])
    for rows in (1, 7):
        data = np.ones((rows, 3), "f")
        assert np.array_equal(np.asarray(model(data))[:, 0], np.arange(1.0, rows + 1))


def test_values_with_as_many_axes_as_there_may_be_have_gradients():
    x = np.full((1, 2, 1, 1, 1, 1, 1, 2), 0.5, "f")

    def loss(x, unroll):
        last, _ = ops.scan(lambda c, _: (ops.sin(c * x), None), x, length=6, unroll=unroll)
        return ops.sum(last)

    looped = fastnn.grad(lambda x: loss(x, False))(x)
    assert np.asarray(looped) == pytest.approx(fastnn.grad(lambda x: loss(x, True))(x), rel=1e-5)


def test_results_that_no_memory_holds_are_an_error():
    for length in (2**40, 2**62):
        with pytest.raises(MemoryError, match="hint"):
            ops.scan(lambda c, _: (c, c), ops.ones(1000), length=length)[1].numpy()


def test_an_open_length_is_not_written_out_whatever_is_asked_for():
    x = fastnn.Input((None, 4))
    first = ops.sum(x, (1, 2))
    last, _ = ops.scan(lambda c, _: (c * 2.0, None), first, ops.moveaxis(x, 1, 0), unroll=True)
    model = fastnn.Model(x, last)
    for steps in (1, 5):
        data = np.ones((2, steps, 4), "f")
        assert np.array_equal(model.predict(data, verbose=0), [steps * 4 * 2.0**steps] * 2)


# ---- files -------------------------------------------------------------------------------------


def test_a_loop_in_a_file_runs_without_python_at_any_length(tmp_path, rng):
    model = open_model()
    model.save(tmp_path / "model.safetensors")
    loaded = _core.Model.load(tmp_path / "model.safetensors")
    for steps in (1, 2, 9, 40):
        x = rng.normal(size=(3, steps, 4)).astype("f")
        assert np.array_equal(np.asarray(loaded.predict(x)), model.predict(x, verbose=0))


def the_scan(graph):
    return next(node for node in graph["nodes"] if node["op"] == "scan")


def nest(graph, levels):
    node = the_scan(graph)
    body = node["attrs"]["body"]
    for _ in range(levels):
        count = len(body["inputs"])
        leaves = [{"op": "input", "slot": i} for i in range(count)]
        inner = {**node["attrs"], "body": body, "slices": 0, "length": 2}
        scan = {"op": "scan", "inputs": list(range(count)), "attrs": inner}
        body = {"inputs": body["inputs"], "nodes": [*leaves, scan], "outputs": [count] * 2}
    node["attrs"]["body"] = body


def setting(**attrs):
    return lambda graph: the_scan(graph)["attrs"].update(attrs)


def in_body(key, value):
    return lambda graph: the_scan(graph)["attrs"]["body"].update({key: value})


HOSTILE = {
    "deep": lambda graph: nest(graph, 9),
    "deeper than the parser goes": lambda graph: nest(graph, 200),
    "no body": lambda graph: the_scan(graph)["attrs"].pop("body"),
    "a number for a body": setting(body=3),
    "many carries": setting(carries=2**31),
    "no carries": setting(carries=-1),
    "many slices": setting(slices=7),
    "a negative length": setting(length=-3),
    "an unknown attribute": setting(unroll=1),
    "no outputs": in_body("outputs", []),
    "outputs that are not there": in_body("outputs", [99]),
    "no nodes": in_body("nodes", []),
    "other inputs": in_body("inputs", [{"shape": [3], "dtype": "int32"}]),
    "many nodes": in_body("nodes", [{"op": "scalar", "value": 1.0, "dtype": "float32"}] * 200_001),
    "an input of a loop that is too small": lambda graph: the_scan(graph)["inputs"].pop(),
}


def with_graph(data, graph):
    """The bytes of a model file with another graph."""
    end = 8 + struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:end])
    header["__metadata__"]["fastnn.graph"] = json.dumps(graph)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[end:]


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_loop_in_a_file_is_refused(what, tmp_path):
    path = tmp_path / "model.safetensors"
    open_model().save(path)
    graph = json.loads(_core.load_file(path)[1]["fastnn.graph"])
    HOSTILE[what](graph)
    path.write_bytes(with_graph(path.read_bytes(), graph))
    with pytest.raises(FormatError, match=r"model.safetensors"):
        _core.Model.load(path)


def test_mutated_loops_in_files_load_or_are_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    open_model().save(path)
    whole, loaded, count = path.read_bytes(), 0, 300
    graph = json.loads(_core.load_file(path)[1]["fastnn.graph"])
    for seed in range(count):
        changed = json.loads(json.dumps(graph))
        node = the_scan(changed)
        node["attrs"] = fuzz_files.mutated_config(random.Random(seed), node["attrs"])
        path.write_bytes(with_graph(whole, changed))
        with contextlib.suppress(FormatError):
            _core.Model.load(path)
            loaded += 1
    assert 0 < loaded < count


# ---- other loops -------------------------------------------------------------------------------


def test_other_loops_of_a_traced_step_trace_their_round_once():
    f, seen = calls(lambda i, v: v * 0.5 + ops.cast(i, "float32"))
    looped = fastnn.jit(lambda x: ops.fori_loop(0, 20_000, f, x))
    wanted = 1.0
    for i in range(20_000):
        wanted = wanted * 0.5 + i
    assert float(looped(np.float32(1.0))) == pytest.approx(wanted)
    assert len(seen) == 2
    g, seen = calls(lambda i, v: (i + 1, v * 2.0))
    counted = fastnn.jit(
        lambda n, v: ops.while_loop(lambda i, v: i < n, g, (0, v), maximum_iterations=50_000)
    )
    i, v = counted(np.int32(7), np.float32(1.0))
    assert (int(i), float(v)) == (7, 128.0)
    assert len(seen) == 2
    h, seen = calls(lambda v: (v * 2.0, ops.sum(v)))
    twice, sums = ops.map(h, np.arange(12, dtype="f").reshape(6, 2))
    assert np.array_equal(np.asarray(twice).ravel(), 2.0 * np.arange(12))
    assert np.array_equal(np.asarray(sums), [1, 5, 9, 13, 17, 21])
    assert len(seen) == 1


def test_loops_whose_state_grows_are_written_out():
    @fastnn.jit
    def grown(x):
        return ops.fori_loop(0, 7, lambda i, v: ops.concatenate([v, v[:1] + i]), x)

    assert np.array_equal(np.asarray(grown(np.zeros(1, "f"))), [0, 0, 1, 2, 3, 4, 5, 6])
    f = lambda v: v if v > 2 else -v  # noqa: E731
    assert np.array_equal(np.asarray(ops.map(f, np.arange(6, dtype="f"))), [0, -1, -2, 3, 4, 5])


def test_a_body_may_need_its_count_as_a_number():
    names = {i: float(i) for i in range(12)}
    looped = fastnn.jit(lambda x: ops.fori_loop(0, 12, lambda i, v: v + names[i] * x, x))
    assert float(looped(np.float32(2.0))) == 2.0 + 66 * 2.0
    with pytest.raises(TraceError, match=r"(?s)fori_loop: .* cannot be traced.*\n  hint: at most"):
        fastnn.jit(lambda x: ops.fori_loop(0, 20_000, lambda i, v: v + names[i % 12] * x, x))(1.0)


def test_few_rounds_are_written_out():
    f, seen = calls(lambda c, x: (c + x, None))
    ops.scan(f, 0.0, np.ones(rounds.FEW_ROUNDS, "f"))
    assert len(seen) == rounds.FEW_ROUNDS
