"""Programs of several rows: what is fused, cut and done in place gives the CPU's values."""

import types

import numpy as np
import pytest

import random_programs
from fastnn import _core
from fastnn.devices.functions import OnDevice


def apply(name, *tensors, **attrs):
    return _core.apply(name, list(tensors), attrs)


def both(inputs, outputs, arrays, updates=()):
    """What the CPU and the device give for a function of placeholders."""
    function = _core.Function(inputs, outputs, list(updates))
    # First the device: a run changes the variables.
    on_device = OnDevice(function, "gpu:0")
    names = [k["name"] for k in on_device.program([list(a.shape) for a in arrays])["kernels"]]
    got, want = on_device(*arrays), function(*arrays)
    if len(outputs) == 1:
        got, want = [got], [want]
    return [np.asarray(g) for g in got], [w.numpy() for w in want], names


@pytest.mark.parametrize(
    ("rows", "depth", "columns", "kernel"),
    [
        (3, 70, 40, "by rows"),
        (65, 33, 31, "tiles of 32 by 32"),
        (33, 2050, 40, "parts joined"),
        (720, 20, 750, "tiles of 64 by 64"),
        (1410, 9, 1400, "tiles of 128 by 128"),
    ],
)
def test_a_product_ends_with_the_group_that_reads_it(gpu, rows, depth, columns, kernel):
    rng = np.random.default_rng(rows)
    shapes = [(rows, depth), (depth, columns), (columns,), (rows, columns)]
    x, w, b, r = (_core.placeholder(s, "float32", name=f"x{k}") for k, s in enumerate(shapes))
    product = apply("matmul", x, w)
    y = apply("add", apply("relu", apply("add", product, b)), r)
    arrays = [rng.normal(0, 0.1, s).astype(np.float32) for s in shapes]
    got, want, names = both([x, w, b, r], [y, product], arrays)
    for g, v in zip(got, want, strict=True):
        np.testing.assert_allclose(g, v, rtol=2e-6, atol=2e-6)
    assert len([n for n in names if kernel in n]) == 1
    assert ", then add" in names[-1]
    assert len(names) == (2 if kernel == "parts joined" else 1)


CONVOLUTIONS = [
    ((2, 9, 9, 3), (3, 3, 3, 5), {}),  # a result an invocation
    ((2, 16, 16, 8), (3, 3, 8, 16), {"padding": (-1,)}),  # tiles, loads by fours
    ((2, 16, 15, 6), (3, 3, 3, 18), {"padding": (-1,), "groups": 2}),
    ((0, 9, 9, 3), (3, 3, 3, 5), {}),
    ((2, 9, 9, 0), (3, 3, 0, 5), {}),  # sums of nothing
]


@pytest.mark.parametrize(("x", "w", "attrs"), CONVOLUTIONS, ids=str)
def test_a_convolution_ends_with_bias_normalisation_activation_and_residual(gpu, x, w, attrs):
    rng = np.random.default_rng(1)
    arrays = [rng.normal(size=s).astype(np.float32) for s in (x, w)]
    f = w[-1]
    plain = _core.ops.conv(*arrays, **attrs).numpy()
    arrays += [rng.normal(size=(f,)).astype(np.float32) for _ in range(3)]
    arrays.append(rng.normal(size=plain.shape).astype(np.float32))
    inputs = [_core.placeholder(a.shape, "float32") for a in arrays]
    y = apply("add", apply("conv", *inputs[:2], **attrs), inputs[2])
    y = apply("relu", apply("add", apply("multiply", y, inputs[3]), inputs[4]))
    got, want, names = both(inputs, [apply("add", y, inputs[5])], arrays)
    np.testing.assert_allclose(got[0], want[0], rtol=1e-5, atol=1e-5)
    assert len(names) == (1 if plain.size else 0)


def test_the_gradients_of_a_convolution_end_with_the_step_of_an_optimiser(gpu):
    rng = np.random.default_rng(2)
    shapes = [(2, 40, 40, 3), (3, 3, 3, 8), (2, 38, 38, 8)]
    arrays = [rng.normal(size=s).astype(np.float32) for s in shapes]
    x, w, dy = (_core.placeholder(s, "float32") for s in shapes)
    dw = apply("conv_weight_grad", x, dy, kernel=(3, 3))
    dx = apply("conv_input_grad", dy, w, size=(40, 40))
    step = apply("subtract", w, apply("multiply", dw, 0.1))
    got, want, names = both([x, w, dy], [step, apply("relu", dx)], arrays)
    for g, v in zip(got, want, strict=True):
        np.testing.assert_allclose(g, v, rtol=1e-5, atol=1e-4)
    assert len(names) == 3  # the weights' gradient in parts, then joined


@pytest.mark.parametrize(
    "row", ["sum", "mean", "max", "min", "prod", "argmax", "argmin", "any", "all"]
)
@pytest.mark.parametrize("axes", [(1,), (0,), (0, 1)], ids=str)
def test_a_reduction_begins_with_the_group_that_it_reads(gpu, row, axes):
    rng = np.random.default_rng(3)
    arrays = [rng.normal(size=s).astype(np.float32) for s in ((130, 77), (77,))]
    x, b = (_core.placeholder(a.shape, "float32") for a in arrays)
    z = apply("tanh", apply("add", x, b))
    z = apply("greater", z, 0.9) if row in ("any", "all") else z
    z = apply("add", apply("multiply", z, 0.01), 1.0) if row == "prod" else z
    if row in ("argmax", "argmin"):
        axes = None if axes == (0, 1) else axes[0]
    got, want, names = both([x, b], [apply(row, z, axis=axes)], arrays)
    np.testing.assert_allclose(got[0], want[0], rtol=1e-5, atol=1e-5)
    assert ", then " in names[0]
    assert len(names) == 1 or ", then " not in names[1]  # long ones are cut in chunks


def test_a_reduction_also_stores_what_others_read_and_states_change_in_place(gpu):
    rng = np.random.default_rng(4)
    arrays = [rng.normal(size=(90, 70)).astype(np.float32)]
    x = _core.placeholder((90, 70), "float32")
    start = rng.normal(size=(90, 70)).astype(np.float32)
    results = []
    state = _core.Variable(start, name="s")
    new = apply("add", apply("multiply", state.traced(), 0.9), x)
    function = _core.Function([x], [apply("sum", new, axis=(1,)), new], [(state, new)])
    on_device = OnDevice(function, "gpu:0")
    data = on_device.program([[90, 70]])
    assert len(data["steps"]) == 1
    for run in (on_device, function):
        state.assign(start)
        found = [np.asarray(r) for _ in range(3) for r in run(*arrays)]
        on_device.home()
        results.append([*found, state.numpy()])
    for got, want in zip(*results, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_a_reduction_of_nothing_reads_nothing(gpu):
    x = _core.placeholder((3, 0), "float32")
    total = apply("sum", apply("tanh", apply("add", x, 1.0)), axis=(1,))
    got, want, _ = both([x], [total], [np.zeros((3, 0), np.float32)])
    np.testing.assert_array_equal(got[0], want[0])


def test_what_a_sum_rounds_off_is_there_on_a_device(gpu):
    """Compilers may take sums for exact, and then (a + b) - a for b."""
    a, b = (_core.placeholder((4000,), "float32", name=n) for n in "ab")
    total = apply("add", a, b)
    part = apply("subtract", total, a)
    rest = apply(
        "add", apply("subtract", a, apply("subtract", total, part)), apply("subtract", b, part)
    )
    rng = np.random.default_rng(3)
    arrays = [rng.normal(0, s, 4000).astype(np.float32) for s in (1000, 1)]
    got, want, _ = both([a, b], [total, rest], arrays)
    assert np.count_nonzero(want[1]) > 3000
    for g, v in zip(got, want, strict=True):
        np.testing.assert_array_equal(g, v)


def test_states_that_swap_and_results_of_old_states_are_those_of_the_cpu(gpu):
    x = _core.placeholder((5, 7), "float32", name="x")
    start = np.arange(35, dtype=np.float32).reshape(5, 7)
    first, second = (_core.Variable(start * k, name=f"v{k}") for k in (1, 2))
    old = apply("multiply", first.traced(), 3.0)
    # The two swap, and a result is made of the old values.
    updates = [(first, apply("add", second.traced(), x)), (second, first.traced())]
    arrays = [np.ones((5, 7), np.float32)]
    function = _core.Function([x], [old], updates)
    on_device = OnDevice(function, "gpu:0")
    results = []
    for run in (on_device, function):
        for v, k in ((first, 1), (second, 2)):
            v.assign(start * k)
        outs = [np.asarray(run(*arrays)) for _ in range(3)]
        on_device.home()  # variables of the core do not ask for it themselves
        results.append([*outs, first.numpy(), second.numpy()])
    for got, want in zip(*results, strict=True):
        np.testing.assert_array_equal(got, want)


def placed(inputs, outputs, updates=()):
    """A function that runs on the device, and whose variables are on the CPU after each call."""
    function, made = _core.Function(inputs, outputs, list(updates)), []

    def call(*arrays):
        if not made:
            made.append(OnDevice(function, "gpu:0"))
        results = made[0](*arrays)
        made[0].home()
        return results

    return call


@pytest.mark.parametrize("seed", range(6))
def test_random_programs_with_state_agree_call_after_call(gpu, monkeypatch, seed):
    names = types.SimpleNamespace(**{**vars(_core), "Function": placed})
    monkeypatch.setattr(random_programs, "_core", names)
    monkeypatch.setattr(random_programs, "ROWS", (0, 1, 2, 7, 64))
    assert random_programs.check(seed) == []
