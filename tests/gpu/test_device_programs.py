"""Programs of several rows: what is fused, cut and done in place gives the CPU's values."""

import numpy as np
import pytest

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
