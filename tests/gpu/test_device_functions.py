"""`jit`, `grad` and steps of one's own on a GPU; variables stay there until somebody reads."""

import gc
import threading

import numpy as np
import pytest

import fastnn
from fastnn import layers, ops
from fastnn._core import Tensor
from fastnn.base import tree
from fastnn.devices.gpu import Gpu
from fastnn.tracing import away


@pytest.fixture
def submitted(gpu, monkeypatch):
    """Command buffers so far, as a list whose length counts them."""
    seen, submit = [], Gpu.submit
    monkeypatch.setattr(Gpu, "submit", lambda self, encode: seen.append(1) or submit(self, encode))
    return seen


@pytest.fixture
def words_read(gpu, monkeypatch):
    """How many words each reading of the device brought home."""
    seen, read = [], Gpu.read

    def counted(self, parts):
        seen.append(sum(size for _, _, size in parts) // 4)
        return read(self, parts)

    monkeypatch.setattr(Gpu, "read", counted)
    return seen


def on(device, f, *args):
    with fastnn.device(device):
        return f(*args)


def test_a_compiled_function_runs_on_the_device_that_is_chosen_at_the_call(submitted, rng):
    @fastnn.jit
    def f(x, settings):
        y = ops.tanh(x @ settings["w"])
        return {"y": y, "sums": [ops.sum(y), ops.argmax(y, axis=-1)], "positive": y > 0}

    x, w = rng.normal(size=(5, 3)).astype("f"), rng.normal(size=(3, 4)).astype("f")
    wanted = f(x, {"w": w})
    assert not submitted
    got = on("gpu", f, x, {"w": w})
    assert submitted
    assert isinstance(got["y"], Tensor)
    np.testing.assert_allclose(got["y"], wanted["y"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got["sums"][0], wanted["sums"][0], rtol=1e-5)
    for mine, theirs in (
        (got["sums"][1], wanted["sums"][1]),
        (got["positive"], wanted["positive"]),
    ):
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)
    count = len(submitted)
    np.testing.assert_array_equal(f(x, {"w": w})["y"], wanted["y"])
    assert len(submitted) == count
    assert f.trace_count() == 1


def test_results_and_tensors_of_the_cpu_mix(gpu):
    double = fastnn.jit(lambda x: 2.0 * x)
    x = fastnn.convert_to_tensor([1.0, 2.0])
    y = on("gpu", double, x + 1.0)
    np.testing.assert_array_equal(x + y, [5.0, 8.0])
    np.testing.assert_array_equal(on("gpu", double, y * x), [8.0, 24.0])


def test_gradients_are_those_of_the_cpu(submitted, rng):
    x = {"a": rng.normal(size=(4, 3)).astype("f"), "b": [rng.normal(size=3).astype("f")]}

    def loss(p):
        return ops.sum(ops.square(ops.sin(p["a"]) * p["b"][0])), ops.max(p["a"])

    both = fastnn.value_and_grad(loss, has_aux=True)
    (wanted, aux), grads = both(x)
    (got, aux_there), grads_there = on("gpu", both, x)
    assert submitted
    np.testing.assert_allclose(got, wanted, rtol=1e-5)
    np.testing.assert_array_equal(aux_there, aux)
    np.testing.assert_allclose(grads_there["a"], grads["a"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(grads_there["b"][0], grads["b"][0], rtol=1e-4, atol=1e-5)
    cubes = fastnn.grad(fastnn.grad(lambda x: x**3))
    assert float(on("gpu", cubes, 2.0)) == pytest.approx(12.0)


def stepper(ids=False):
    fastnn.utils.set_random_seed(2)
    first = [layers.Embedding(7, 6), layers.Flatten()] if ids else [layers.Dense(12, "tanh")]
    model = fastnn.Sequential(
        [
            fastnn.Input((3,), dtype="int32" if ids else "float32"), *first,
            layers.BatchNormalization(), layers.Dropout(0.2), layers.Dense(1),
        ]
    )  # fmt: skip
    optimizer = fastnn.optimizers.Adam(0.05)

    @fastnn.jit
    def step(x, y):
        with fastnn.GradientTape() as tape:
            loss = ops.mean(ops.square(model(x, training=True) - y))
        weights = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return loss

    return model, optimizer, step


def data(rng, ids=False):
    x = rng.integers(0, 7, (16, 3)).astype("i4") if ids else rng.normal(size=(16, 3)).astype("f")
    return x, x.sum(1, keepdims=True).astype("f")


@pytest.mark.parametrize("ids", [False, True])
def test_a_step_of_ones_own_trains_as_on_the_cpu(gpu, rng, ids):
    x, y = data(rng, ids)
    runs = []
    for device in ("cpu", "gpu"):
        model, optimizer, step = stepper(ids)
        losses = [float(on(device, step, x, y)) for _ in range(20)]
        runs.append((losses, model.get_weights(), int(optimizer.iterations)))
    np.testing.assert_allclose(runs[1][0], runs[0][0], rtol=1e-5)
    for mine, theirs in zip(runs[1][1], runs[0][1], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=2e-4)
    assert runs[1][2] == runs[0][2] == 20


def test_variables_stay_on_the_device_and_only_what_is_read_comes_home(words_read, rng):
    x, y = data(rng)
    model, optimizer, step = stepper()
    on("gpu", step, x, y)
    words_read.clear()
    for _ in range(3):
        on("gpu", step, x, y)
    assert words_read == [1, 1, 1]  # the loss
    words_read.clear()
    assert int(optimizer.iterations) == 4
    assert words_read == [1]
    kernel = model.layers[-1].kernel
    before = kernel.numpy()
    assert words_read == [1, kernel.size]
    assert kernel.numpy() is not None
    assert words_read == [1, kernel.size]
    on("gpu", step, x, y)
    assert not np.array_equal(kernel.numpy(), before)
    model.get_weights()
    assert not any(v.key in away.held for v in model.weights)


def test_what_is_assigned_between_two_steps_goes_up(gpu, rng):
    x, y = data(rng)
    runs = []
    for device in ("cpu", "gpu"):
        model, _, step = stepper()
        for _ in range(2):
            on(device, step, x, y)
        model.layers[-1].kernel.assign(np.full((12, 1), 0.25, "f"))
        model.layers[-1].bias.assign_add([1.0])
        runs.append(
            [float(on(device, step, x, y)), model.predict(x, verbose=0), model.get_weights()]
        )
    np.testing.assert_allclose(runs[1][0], runs[0][0], rtol=1e-5)
    np.testing.assert_allclose(runs[1][1], runs[0][1], rtol=1e-4, atol=1e-4)
    for mine, theirs in zip(runs[1][2], runs[0][2], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


def test_the_cpu_goes_on_where_the_device_stopped(gpu, rng, tmp_path):
    """Every way of reading variables sees those of the device."""
    x, y = data(rng)
    model, _, step = stepper()
    model.compile("sgd", "mse")
    model.predict(x, verbose=0)
    model(x)
    readers = {
        "predict": lambda: model.predict(x, verbose=0),
        "call": lambda: model(x).numpy(),
        "evaluate": lambda: np.float32(model.evaluate(x, y, verbose=0)),
        "get_weights": lambda: model.get_weights()[0],
        "value": lambda: (model.weights[0] + 0.0).numpy(),
        "file": lambda: saved(model, tmp_path / "w.safetensors"),
        "keras": lambda: saved(model, tmp_path / "w.weights.h5"),
        "jit": lambda: fastnn.jit(lambda: ops.sum(model.weights[0].value))().numpy(),
    }

    def saved(model, path):
        model.save_weights(path)
        other, *_ = stepper()
        other.load_weights(path)
        return other.get_weights()[0]

    for name, read in readers.items():
        before = read()
        on("gpu", step, x, y)
        after = read()
        assert not np.array_equal(before, after), name
        model.get_weights()
        np.testing.assert_array_equal(read(), after, err_msg=name)


def test_a_value_outlives_the_function_that_left_it_on_the_device(gpu):
    count = fastnn.Variable(1.0)
    for _ in range(3):
        on("gpu", fastnn.jit(lambda: count.assign_add(1.0)))
        gc.collect()
    assert float(count) == 4.0


@pytest.mark.parametrize("waits", [True, False])
def test_bad_data_leave_the_variables_of_the_step_before(gpu, rng, waits):
    x, y = data(rng, True)
    model, _, step = stepper(True)
    model.compile("sgd", "mse")
    run = step if waits else model.train_on_batch
    on("gpu", run, x, y)
    kept = model.get_weights()
    on("gpu", run, x, y)
    later = [v.numpy() for v in model.weights]
    bad = x.copy()
    bad[3, 1] = 7

    def run_and_read():
        on("gpu", run, bad, y)
        model.get_weights()

    with pytest.raises(fastnn.DataError, match="7"):
        run_and_read()
    for mine, theirs in zip(model.get_weights(), later, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert not np.array_equal(kept[0], later[0])
    on("gpu", run, x, y)
    assert not np.array_equal(model.get_weights()[0], later[0])


def test_another_thread_reads_the_variables_of_one_moment(gpu):
    a, b = fastnn.Variable(np.zeros(50, "f")), fastnn.Variable(np.zeros(70, "f"))

    @fastnn.jit
    def step():
        a.assign_add(ops.ones(50))
        b.assign_add(ops.ones(70))

    wrong, seen, stop = [], set(), threading.Event()

    def look():
        while not stop.is_set():
            one, other = fastnn.tracing.variables.read_all([a, b])
            seen.add(one[0])
            if len({*one, *other}) > 1:
                wrong.append((one, other))

    thread = threading.Thread(target=look)
    thread.start()
    for _ in range(60):
        on("gpu", step)
    stop.set()
    thread.join()
    assert not wrong
    assert float(a[0]) == 60.0


def test_two_functions_share_the_variables_on_the_device(words_read):
    v = fastnn.Variable(np.arange(4.0, dtype="f"))
    add, double = fastnn.jit(lambda: v.assign_add(ops.ones(4))), fastnn.jit(lambda: v.assign(2 * v))
    for _ in range(3):
        on("gpu", add)
        on("gpu", double)
    np.testing.assert_array_equal(v, 8 * np.arange(4.0) + 14)


def test_programs_of_many_sizes_are_let_go(gpu):
    f = fastnn.jit(lambda x: ops.exp(x) + 1.0)
    held = []
    for n in range(1, 100):
        on("gpu", f, np.zeros(1000 * n, "f"))
        held.append(gpu.bytes)
    assert held[-1] < 70 * 2 * 4 * 100_000


class Hook(fastnn.callbacks.Callback):
    """Does something before each batch."""

    def __init__(self, act):
        super().__init__()
        self.act = act

    def on_train_batch_begin(self, batch, logs=None):
        self.act(self.model)


def test_a_hook_of_batches_costs_what_it_reads(words_read, rng):
    x, y = data(rng)
    model, *_ = stepper()
    model.compile("sgd", "mse", device="gpu")
    weights = sum(w.size for w in model.weights)
    hooks = {
        "nothing": lambda model: None,
        "one": lambda model: model.layers[-1].bias.numpy(),
        "all": lambda model: model.get_weights(),
    }
    model.fit(x, y, batch_size=4, epochs=1, verbose=0)
    read = {}
    for name, act in hooks.items():
        words_read.clear()
        model.fit(x, y, batch_size=4, epochs=1, verbose=0, callbacks=[Hook(act)])
        read[name] = sum(words_read)
    assert read["one"] - read["nothing"] == 3  # before the first batch it is home
    assert (
        read["all"] - read["nothing"] >= 3 * weights - 3 * 13
    )  # less the optimiser's and metrics'


def test_what_a_hook_of_batches_sets_counts_from_that_batch_on(gpu, rng):
    x, y = data(rng)

    def halve(model):
        model.layers[-1].kernel.assign(0.5 * model.layers[-1].kernel.value)
        model.optimizer.learning_rate = 0.9 * float(model.optimizer.learning_rate.numpy())

    runs = []
    for device in ("cpu", "gpu"):
        model, *_ = stepper()
        model.compile("sgd", "mse", device=device)
        model.fit(x, y, batch_size=4, epochs=3, verbose=0, callbacks=[Hook(halve)])
        runs.append((model.history.history["loss"], model.get_weights()))
    np.testing.assert_allclose(runs[1][0], runs[0][0], rtol=1e-5)
    for mine, theirs in zip(runs[1][1], runs[0][1], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


def test_batches_of_a_generator_move_no_weights_but_at_the_end_of_an_epoch(words_read, rng):
    x, y = data(rng)
    model, *_ = stepper()
    model.compile("sgd", "mse", device="gpu")
    model.fit(x, y, batch_size=4, verbose=0)
    counts = []
    for steps in (4, 4, 12):  # the first makes room
        words_read.clear()
        batches = ((x[i % 16 : i % 16 + 4], y[i % 16 : i % 16 + 4]) for i in range(0, 4 * steps, 4))
        model.fit(batches, verbose=0)
        counts.append(sum(words_read))
    assert counts[1] == counts[2] > 0


def test_weights_from_a_hook_on_the_cpu_that_uses_the_device_are_read(gpu, rng):
    """A fit on the CPU goes on from what a step on the device made of its variables."""
    x, y = data(rng)
    runs = []
    for device in ("cpu", "gpu"):
        model, _, step = stepper()
        model.compile("sgd", "mse", device="cpu")
        hook = Hook(lambda model, step=step, device=device: on(device, step, x, y))
        model.fit(x, y, batch_size=4, epochs=2, verbose=0, callbacks=[hook])
        runs.append(model.history.history["loss"])
    np.testing.assert_allclose(runs[1], runs[0], rtol=1e-4)


def test_once_a_minute_all_comes_home(gpu, rng, monkeypatch):
    from fastnn.devices import functions

    x, y = data(rng)
    model, _, step = stepper()
    on("gpu", step, x, y)
    assert any(v.key in away.held for v in model.weights)
    monkeypatch.setattr(functions, "HOME", 0.0)
    on("gpu", step, x, y)
    assert not any(v.key in away.held for v in model.weights)


def test_what_has_no_kernel_is_refused_by_name_with_the_way_to_the_cpu(gpu, monkeypatch):
    from fastnn import _core

    def refuse(*_):
        raise _core.DataError("the op 'odd' has no kernel for devices")

    f = fastnn.jit(lambda x: x + 1.0)
    monkeypatch.setattr(_core, "gpu_program", refuse)
    with pytest.raises(
        fastnn.errors.DeviceError, match=r"odd.*\n  hint: with fastnn.device\('cpu'"
    ):
        on("gpu", f, np.zeros(3, "f"))
    np.testing.assert_array_equal(on("cpu", f, np.zeros(3, "f")), np.ones(3))


def test_functions_of_odd_shapes_and_kinds(gpu):
    v = fastnn.Variable(np.arange(3, dtype="i4"), dtype="int32")
    cases = [
        (lambda x: x * 2, np.zeros((0, 3), "f")),
        (lambda x: ops.sum(x, axis=0), np.zeros((0, 3), "f")),
        (lambda x: x, np.float32(2.0)),
        (lambda x: (x, x, {"same": x}), np.arange(6)),
        (lambda x: [ops.logical_not(x), ops.cast(x, "float16")], np.array([True, False])),
        (lambda x: ops.cast(x, "bfloat16"), np.linspace(0, 1, 7, dtype="f")),
        (lambda x: v.value + x, 4),
        (lambda x: ops.zeros((2, 2)), 1.0),
        (lambda x: {}, 1.0),
        (lambda x: ops.cond(x > 0, lambda: x, lambda: -x), -3.0),
        (lambda x: ops.while_loop(lambda i: i < 5, lambda i: (i + 1,), (0,))[0] + x, 1),
    ]
    for f, x in cases:
        call = fastnn.jit(f)
        got, wanted = on("gpu", call, x), call(x)
        for mine, theirs in zip(tree.flatten(got), tree.flatten(wanted), strict=True):
            assert (mine.dtype, mine.shape) == (theirs.dtype, theirs.shape)
            np.testing.assert_array_equal(mine, theirs)


def test_programs_of_other_functions_are_let_go_before_memory_is_said_to_be_short(gpu, monkeypatch):
    from fastnn.errors import GpuOutOfMemoryError

    made, room = Gpu.buffer, gpu.bytes + (8 << 20)

    def buffer(self, size, what):
        if self.bytes + size > room:
            raise GpuOutOfMemoryError(f"no memory for {what}\n  hint: less")
        return made(self, size, what)

    monkeypatch.setattr(Gpu, "buffer", buffer)
    functions = [fastnn.jit(lambda x, k=k: ops.exp(x) * k) for k in range(12)]
    x = np.ones(250_000, "f")
    for _ in range(2):
        for k, f in enumerate(functions):
            np.testing.assert_allclose(on("gpu", f, x)[0], np.e * k, rtol=1e-5)
    with pytest.raises(GpuOutOfMemoryError, match=r"the program needs .* for the batch"):
        on("gpu", functions[0], np.ones(3_000_000, "f"))


@pytest.mark.parametrize("dtype", ["bool", "int32", "bfloat16", "float16", "float32"])
@pytest.mark.parametrize("shape", [(), (3,)])
def test_variables_of_every_type_change_and_are_set(gpu, dtype, shape):
    start = np.zeros(shape, "bool" if dtype == "bool" else "f")
    v = fastnn.Variable(start, dtype=dtype, trainable=False)

    @fastnn.jit
    def turn():
        v.assign(ops.logical_not(v) if dtype == "bool" else ops.cast(1 - v.value, dtype))

    def read():
        return float(np.asarray(v.numpy(), "f").max())

    seen = []
    for _ in range(3):
        on("gpu", turn)
        seen.append(read())
    on("gpu", turn)
    v.assign(start + (1 if dtype != "bool" else True))  # what the home copy holds already
    seen.append(read())
    on("gpu", turn)
    on("gpu", turn)
    fastnn.tracing.variables.assign_all([v], [start])
    on("gpu", turn)
    seen.append(read())
    assert seen == [1.0, 0.0, 1.0, 1.0, 1.0]
