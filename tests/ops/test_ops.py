"""Every row of the op table against NumPy in float64, its derivative against finite differences.

The rows bring their own NumPy formula and sample range; only rows whose inputs must fit together
(shapes, indices, required attributes) have cases written down, in row_table.py, and a new row of
that kind fails until it gets some. The whole file runs again under every instruction set of the
machine.
"""

import numpy as np
import pytest

from fastnn import _core
from instruction_sets import assert_holds_on, each_lower_set
from row_formulas import bound, reference, widen
from row_table import CASES, ROWS, cases_of, needs_cases, sample, table

SPECIALS = np.array(
    [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-38, -1e-38, 3e38, -3e38, 1.0, -1.0, 0.5], np.float32
)


def assert_close(row, arrays, attrs, got, y64):
    assert got.shape == y64.shape, f"shape {got.shape}, NumPy {y64.shape}"
    if got.dtype != np.float32:
        with np.errstate(all="ignore"):
            wanted = y64.astype(got.dtype)
        assert np.array_equal(got, wanted, equal_nan=got.dtype.kind == "f")
        return
    with np.errstate(over="ignore"):
        wanted = y64.astype(np.float32)
    finite = np.isfinite(wanted) & np.isfinite(y64)
    assert np.array_equal(got[~finite], wanted[~finite], equal_nan=True)
    off = np.abs(got.astype(np.float64)[finite] - y64[finite])
    with np.errstate(all="ignore"):
        limit = np.broadcast_to(bound(row, arrays, attrs, y64), y64.shape)[finite]
    worst = np.argmax(off - limit) if off.size else 0
    assert (off <= limit).all(), (
        f"{got[finite][worst]!r} against {y64[finite][worst]!r}: off by {off[worst]:.3g}, "
        f"allowed {limit[worst]:.3g}"
    )


def run(row, arrays, attrs) -> np.ndarray:
    got = getattr(_core.ops, row.name)(*arrays, **attrs)
    return np.asarray((got[0] if row.parts else got).numpy())


def each_case(names: list[str], *, small: bool) -> list:
    return [
        pytest.param(name, one, id=f"{name}-{i}-{one.label()}")
        for name in names
        for i, one in enumerate(cases_of(ROWS[name], small=small))
    ]


def test_every_row_is_tested():
    """A row without a formula is random; one whose inputs must fit together has cases above."""
    for row in ROWS.values():
        assert row.doc.strip().endswith("."), row.name
        if not row.formula:  # test_random.py has these
            assert "key" in row.args, f"{row.name} has no formula"
            continue
        assert row.name in CASES or not needs_cases(row), f"{row.name}: add cases to CASES"
        assert bool(row.domain) == bool(row.args), row.name
    assert set(CASES) <= set(ROWS)


@pytest.mark.parametrize(("name", "one"), each_case(table(), small=False))
def test_a_row_computes_its_formula(name, one, rng):
    row = ROWS[name]
    arrays = sample(row, one, rng)
    y64 = reference(row, arrays, one.attrs)
    assert_close(row, arrays, one.attrs, run(row, arrays, one.attrs), y64)


@pytest.mark.parametrize(
    ("name", "one"), each_case([n for n in table() if ROWS[n].parts], small=False)
)
def test_the_parts_of_a_row_compute_their_formulas(name, one, rng):
    row = ROWS[name]
    arrays = sample(row, one, rng)
    got = getattr(_core.ops, name)(*arrays, **one.attrs)
    assert len(got) == len(row.parts) + 1
    for tensor, (_, formula) in zip(got[1:], row.parts, strict=True):
        y64 = reference(row, arrays, one.attrs, formula)
        assert_close(row, arrays, one.attrs, np.asarray(tensor.numpy()), y64)


@pytest.mark.parametrize("name", table(elementwise=True))
def test_an_elementwise_row_propagates_nan_and_infinity(name):
    row = ROWS[name]
    grids = np.meshgrid(*[SPECIALS] * len(row.args))
    arrays = [np.ascontiguousarray(g.ravel()) for g in grids]
    y64 = reference(row, arrays, {})
    assert_close(row, arrays, {}, run(row, arrays, {}), y64)


@pytest.mark.parametrize("name", table(elementwise=True))
@pytest.mark.parametrize("dtype", [np.int32, np.bool_])
def test_an_elementwise_row_takes_integers_and_truth_values(name, dtype, rng):
    row = ROWS[name]
    low, high = (1, 4) if dtype is np.int32 else (0, 2)
    arrays = [rng.integers(low, high, 37).astype(dtype) for _ in row.args]
    if dtype is np.bool_ and len(row.args) == 2:
        arrays[1] |= name in ("divide", "floor_divide", "mod")
    wide = [a.astype(np.int64) for a in arrays]
    y64 = reference(row, wide, {})
    assert_close(row, arrays, {}, run(row, arrays, {}), y64)


def derivative(row, wide, attrs, weights, step) -> list[np.ndarray]:
    """Central differences of sum(weights * formula), one array per float64 input of `wide`."""
    slopes = []
    for a in wide:
        if a.dtype != np.float64:
            continue
        slope = np.zeros(a.shape)
        for i in np.ndindex(a.shape):
            centre = a[i]
            a[i] = centre + step
            up = reference(row, wide, attrs)
            a[i] = centre - step
            slope[i] = np.sum(weights * (up - reference(row, wide, attrs))) / (2 * step)
            a[i] = centre
        slopes.append(slope)
    return slopes


def outputs(step, *arrays) -> list[np.ndarray]:
    """The results of a compiled function as arrays, one or several."""
    got = step(*arrays)
    return [np.asarray(g.numpy()) for g in (got if isinstance(got, tuple) else (got,))]


def traced(arrays) -> list:
    """A placeholder per float input; other inputs stay constants."""
    return [
        _core.placeholder(a.shape, "float32") if a.dtype == np.float32 else _core.tensor(a)
        for a in arrays
    ]


def assert_gradient(got, wanted, scale=1.0):
    for ours, theirs in zip(got, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4 * scale)


@pytest.mark.parametrize(("name", "one"), each_case(table(differentiable=True), small=True))
def test_a_gradient_matches_finite_differences(name, one, rng):
    row = ROWS[name]
    arrays = sample(row, one, rng)
    shape = reference(row, arrays, one.attrs).shape
    weights = rng.uniform(0.5, 1.5, shape).astype(np.float32)
    inputs = traced(arrays)
    y = _core.apply(name, inputs, one.attrs)
    if y.dtype != "float32":
        return
    variables = [t for t, a in zip(inputs, arrays, strict=True) if a.dtype == np.float32]
    grads = _core.gradients(y, variables, _core.tensor(weights))
    got = outputs(_core.Function(variables, grads), *[a for a in arrays if a.dtype == np.float32])
    wanted = derivative(row, widen(arrays), one.attrs, weights.astype(np.float64), step=1e-5)
    assert_gradient(got, wanted)


@pytest.mark.parametrize(("name", "one"), each_case(table(smooth=True), small=True))
def test_a_second_derivative_matches_finite_differences(name, one, rng):
    """The Hessian times a direction, from our gradient of our gradient."""
    row = ROWS[name]
    arrays = sample(row, one, rng)
    shape = reference(row, arrays, one.attrs).shape
    weights = rng.uniform(0.5, 1.5, shape).astype(np.float32)
    floats = [a for a in arrays if a.dtype == np.float32]
    along = [rng.uniform(-1, 1, a.shape).astype(np.float32) for a in floats]
    inputs = traced(arrays)
    y = _core.apply(name, inputs, one.attrs)
    if y.dtype != "float32":
        return
    variables = [t for t, a in zip(inputs, arrays, strict=True) if a.dtype == np.float32]
    grads = _core.gradients(y, variables, _core.tensor(weights))
    dot = None
    for grad, direction in zip(grads, along, strict=True):
        part = _core.apply("sum", [grad * _core.tensor(direction)], {})
        dot = part if dot is None else dot + part
    got = outputs(_core.Function(variables, _core.gradients(dot, variables)), *floats)

    h, moved = 1e-4, []
    for sign in (h, -h):
        wide, directions = widen(arrays), iter(along)
        wide = [
            np.asarray(a + sign * next(directions)) if a.dtype == np.float64 else a for a in wide
        ]
        moved.append(derivative(row, wide, one.attrs, weights.astype(np.float64), step=h))
    wanted = [(up - down) / (2 * h) for up, down in zip(*moved, strict=True)]
    assert_gradient(got, wanted, scale=10.0)


@each_lower_set
def test_the_rows_hold_on_every_instruction_set(isa):
    """This file again in a process that is limited to one instruction set."""
    assert_holds_on(isa, __file__)
