"""The policies of half precision on a GPU: activations in two bytes between steps, nothing else."""

import contextlib
import json

import numpy as np
import pytest
from test_device_models import gpt

import fastnn
from fastnn import _core, layers, ops
from fastnn.errors import DeviceError

#: How far losses of up to twenty steps may be from the CPU's, relative.
FAR = {"bfloat16": 2e-2, "float16": 2e-3}
TYPES = list(FAR)


@pytest.fixture(params=TYPES)
def dtype(request, gpu):
    if not gpu.limits["halves"]:
        pytest.skip("the adapter has no shader-f16")
    return request.param


@pytest.fixture(autouse=True)
def as_before():
    yield
    fastnn.config.set_dtype_policy("float32")


def policy(dtype):
    if dtype is None:
        fastnn.config.set_dtype_policy("float32")
        return
    says = pytest.warns(UserWarning, match="a GPU keeps activations in two bytes")
    with says if dtype == "float16" else contextlib.nullcontext():
        fastnn.config.set_dtype_policy(f"mixed_{dtype}")


def run(gpu, function, arrays, between):
    """A function's results on the device, and its program."""
    shapes = [list(a.shape) for a in arrays]
    program = json.loads(_core.gpu_program(function, shapes, gpu.limits, between))
    from test_device_rows import run_program

    return run_program(gpu, program, [_core.tensor(a) for a in arrays]), program


def held(values):
    """Numbers through memory of that type: a product whose result is turned around by a copy."""
    n = len(values)
    x = _core.placeholder((n, 1), "float32")
    y = _core.placeholder((1, 2), "float32")
    return _core.Function([x, y], [_core.ops.flip(_core.ops.matmul(x, y), axis=(0,))]), [
        values.reshape(n, 1), np.ones((1, 2), np.float32)
    ]  # fmt: skip


def values_of(dtype):
    r = np.random.default_rng(0)
    exponents = r.uniform(-30, 30, 3000) if dtype == "bfloat16" else r.uniform(-7, 4.5, 3000)
    some = (r.choice([-1, 1], 3000) * 10.0**exponents).astype(np.float32)
    ties = np.array([1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-11, 1 + 3 * 2**-11], np.float32)
    return np.concatenate([some, ties, [0.0, -0.0, 1.0, -2.0, 1e-45, 3e4]]).astype(np.float32)


def rounded(values, dtype):
    return np.asarray(fastnn.ops.cast(fastnn.ops.cast(values, dtype), "float32"))


def test_numbers_are_rounded_to_the_nearest_as_a_cast_rounds_them(gpu, dtype):
    values = values_of(dtype)
    function, arrays = held(values)
    (got,), program = run(gpu, function, arrays, dtype)
    assert program["needs"]["features"] == ["shader-f16"]
    want = rounded(values, dtype)[::-1]
    np.testing.assert_array_equal(got[:, 0], want)
    np.testing.assert_array_equal(got[:, 1], want)
    (exact,), program = run(gpu, function, arrays, None)
    np.testing.assert_array_equal(exact[:, 0], values[::-1])
    assert program["needs"]["features"] == []


def test_large_numbers_stay_finite_where_they_can_and_nan_is_told(gpu, dtype):
    values = np.zeros(1100, np.float32)
    values[:6] = [np.inf, -np.inf, np.nan, 3e38, -1e6, 1e35]
    (got,), _ = run(gpu, *held(values), dtype)
    got = got[::-1, 0]
    if dtype == "float16":
        want = [np.inf, -np.inf, np.nan, 65504, -65504, 65504]
    else:
        want = [np.inf, -np.inf, np.nan, np.inf, *rounded(np.float32([-1e6, 1e35]), dtype)]
    np.testing.assert_array_equal(got[:6], np.float32(want))


def mlp():
    r = np.random.default_rng(0)
    x = r.normal(size=(20 * 64, 24)).astype("f")
    y = (x @ r.normal(size=(24, 5))).argmax(-1)
    net = [
        fastnn.Input((24,)), layers.Dense(48, "relu"), layers.Dropout(0.2),
        layers.Dense(48, "gelu"), layers.BatchNormalization(), layers.Dense(32, "tanh"),
        layers.Dense(5),
    ]  # fmt: skip
    return fastnn.Sequential(net), x, y, 64


def cnn():
    r = np.random.default_rng(1)
    x = r.normal(size=(20 * 8, 16, 16, 3)).astype("f")
    y = (x.mean((1, 2)) @ r.normal(size=(3, 4))).argmax(-1)
    net = [
        fastnn.Input((16, 16, 3)), layers.Conv2D(16, 3, padding="same", activation="relu"),
        layers.BatchNormalization(), layers.MaxPooling2D(), layers.Conv2D(24, 3, strides=2),
        layers.LayerNormalization(), layers.ReLU(), layers.AveragePooling2D(2), layers.Flatten(),
        layers.Dense(4),
    ]  # fmt: skip
    return fastnn.Sequential(net), x, y, 8


def transformer():
    model, x, y, _ = gpt()
    return model, x[:160], y[:160], 16


def recurrent():
    r = np.random.default_rng(2)
    x = r.integers(0, 20, (10 * 16, 12))
    net = [
        fastnn.Input((12,), dtype="int32"), layers.Embedding(20, 24),
        layers.Bidirectional(layers.LSTM(16, return_sequences=True)),
        layers.Conv1D(16, 3, padding="causal", activation="relu"), layers.GlobalMaxPooling1D(),
        layers.Dense(4),
    ]  # fmt: skip
    return fastnn.Sequential(net), x, x.sum(1) % 4, 16


def trained(make, device):
    fastnn.utils.set_random_seed(5)
    model, x, y, batch = make()
    loss = fastnn.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(fastnn.optimizers.Adam(0.003), loss, device=device)
    seen = []

    class Losses(fastnn.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(logs["loss"])

    model.fit(x, y, batch_size=batch, epochs=1, verbose=0, callbacks=[Losses()])
    return model, np.array(seen), x


@pytest.mark.parametrize("make", [mlp, cnn, transformer, recurrent])
def test_models_train_to_the_losses_of_the_cpu(gpu, dtype, make):
    _, want, _ = trained(make, "cpu")
    _, exact, _ = trained(make, "gpu:0")
    policy(dtype)
    model, got, x = trained(make, "gpu:0")
    _, again, _ = trained(make, "gpu:0")
    np.testing.assert_allclose(got, want, rtol=FAR[dtype])
    assert not np.array_equal(got, exact)
    np.testing.assert_array_equal(got, again)
    on_device = model.predict(x, verbose=0)
    model.compile(device="cpu")
    on_cpu = model.predict(x, verbose=0)
    spread = np.abs(on_cpu).max()
    np.testing.assert_allclose(on_device, on_cpu, atol=spread * FAR[dtype])


def slots(model, gpu, rows, dtype):
    """Bytes between steps of a step of training."""
    from fastnn.training.memory import _step

    function, arrays = _step(model, np.zeros((rows, 64), np.float32))
    shapes = [list(a.shape) for a in arrays]
    program = json.loads(_core.gpu_program(function, shapes, gpu.limits, dtype))
    return program["memory"]["slot"]


def test_activations_of_a_step_take_less_memory(gpu, dtype):
    model = fastnn.Sequential([fastnn.Input((64,)), *(layers.Dense(64, "tanh") for _ in range(8))])
    model.compile("adam", "mse")
    whole, halves = slots(model, gpu, 2048, None), slots(model, gpu, 2048, dtype)
    assert halves < (0.55 if dtype == "bfloat16" else 0.8) * whole, (halves, whole)


def test_gradients_of_weights_and_small_ones_of_float16_keep_their_digits(gpu, dtype):
    """A loss of a millionth has gradients that a float16 cannot hold."""
    r = np.random.default_rng(4)
    x, w = r.normal(size=(64, 32)).astype("f"), r.normal(size=(32, 32)).astype("f")
    first, second = fastnn.Variable(w), fastnn.Variable(w * 0.1)

    @fastnn.jit
    def step(x):
        with fastnn.GradientTape() as tape:
            h = ops.tanh(x @ first)
            loss = 1e-6 * ops.mean(ops.square(h @ second))
        for v, g in zip([first, second], tape.gradient(loss, [first, second]), strict=True):
            v.assign(v - 1e6 * g)
        return loss

    found = {}
    for device in ("cpu", "gpu:0"):
        first.assign(w)
        second.assign(w * 0.1)
        policy(dtype if device != "cpu" else None)
        with fastnn.device(device):
            step(x)
        found[device] = [np.array(v) - start for v, start in ((first, w), (second, w * 0.1))]
    for got, want in zip(found["gpu:0"], found["cpu"], strict=True):
        assert np.abs(got - want).max() < FAR[dtype] * np.abs(want).max()


def test_what_tells_neighbouring_numbers_apart_sees_all_digits(gpu, dtype):
    """The largest of a row is found again by comparing, and places are whole numbers."""
    r = np.random.default_rng(5)
    x, w = r.normal(size=(64, 32)).astype("f"), r.normal(size=(32, 32)).astype("f")

    @fastnn.jit
    def largest(x):
        h = x @ w
        top = ops.max(h, axis=-1, keepdims=True)
        return ops.sum(ops.cast(ops.equal(h, top), "float32"), axis=-1), ops.cast(h * 1e4, "int32")

    want = [np.asarray(v) for v in largest(x)]
    policy(dtype)
    with fastnn.device("gpu:0"):
        got = [np.asarray(v) for v in largest(x)]
    np.testing.assert_array_equal(got[0], want[0])
    assert np.abs(got[1] - want[1]).max() <= 2


def test_the_policy_counts_at_each_call(gpu, dtype):
    r = np.random.default_rng(6)
    x, w = r.normal(size=(64, 32)).astype("f"), r.normal(size=(32, 32)).astype("f")
    double = fastnn.jit(lambda x: ops.tanh(ops.tanh(x @ w) @ w))
    with fastnn.device("gpu:0"):
        exact = np.asarray(double(x))
        policy(dtype)
        halves = np.asarray(double(x))
        policy(None)
        np.testing.assert_array_equal(np.asarray(double(x)), exact)
    assert 0 < np.abs(halves - exact).max() < FAR[dtype]


def test_an_adapter_without_halves_refuses_the_policy(gpu, monkeypatch):
    double = fastnn.jit(lambda x: ops.tanh(x @ x))
    monkeypatch.setitem(gpu.limits, "halves", 0)
    policy("bfloat16")
    with (
        fastnn.device("gpu:0"),
        pytest.raises(DeviceError, match=r"shader-f16.*\n  hint: ") as told,
    ):
        double(np.ones((40, 40), np.float32))
    assert "bfloat16" in str(told.value)
    policy(None)
    with fastnn.device("gpu:0"):
        assert double(np.ones((40, 40), np.float32)).shape == (40, 40)


def test_values_of_two_bytes_between_steps_give_what_the_cpu_gives(gpu):
    """A cast is a type of a value: its memory is as wide, also without a policy."""
    r = np.random.default_rng(7)
    x, w = r.normal(size=(64, 48)).astype("f"), r.normal(size=(48, 32)).astype("f")
    for dtype in TYPES:

        @fastnn.jit
        def through(x, w, dtype=dtype):
            h = ops.cast(ops.transpose(x), dtype)
            weights = ops.cast(ops.flip(w, 0), dtype)
            return ops.matmul(ops.transpose(h), weights), ops.sum(ops.cast(h, "float32"), axis=0)

        want = [np.asarray(v) for v in through(x, w)]
        with fastnn.device("gpu:0"):
            got = [np.asarray(v) for v in through(x, w)]
        for a, b in zip(got, want, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-6, atol=2e-5)
