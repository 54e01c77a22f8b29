"""Every row of the op table on a GPU: equal to the CPU's, and near float64, from poisoned memory.

The cases are those of `row_cases`, many in one program. Memory that a program is not given holds
NaN before it runs, so that what is read before it is written shows.
"""

import json

import numpy as np
import pytest
import row_cases

import fastnn
import row_formulas
import row_table
from fastnn import _core
from fastnn.devices.cells import array_of, words_of
from fastnn.devices.executor import Executable
from fastnn.devices.functions import OnDevice, row_program
from fastnn.errors import DeviceError, FastnnError

#: Rows that devices have no kernel for: processes meet on the host, so ranks compute on the CPU.
WITHOUT = {"all_reduce"}
#: Rows whose results are the CPU's to the bit.
EXACT = {
    "abs", "negative", "add", "subtract", "multiply", "maximum", "minimum", "floor", "ceil",
    "relu", "where", "equal", "not_equal", "less", "less_equal", "greater", "greater_equal",
    "sign", "square", "transpose", "reshape", "broadcast_to", "slice", "pad", "concatenate",
    "take", "take_along_axis", "iota", "sort", "top_k", "argmax", "argmin", "max", "min", "any",
    "all", "random_uniform", "random_integers", "random_permutation", "cast",
}  # fmt: skip


def accepted(name, arrays):
    """The arrays in the types that the row takes: `fastnn.ops` casts so before it makes a node."""
    given = [np.asarray(a) for a in arrays]
    accept = row_table.ROWS[name].accept
    if accept == "Truth":
        return [a != 0 for a in given]
    if accept == "Float":
        return [a.astype(np.float32) for a in given]
    if accept == "Number":
        given = [a.astype(np.int32) if a.dtype == np.bool_ else a for a in given]
    if accept in ("Common", "Number") and len({a.dtype for a in given}) > 1:
        return [a.astype(np.float32) for a in given]
    return given


def run_row(gpu, name, arrays, attrs):
    """The value and the parts of a row."""
    tensors = [_core.tensor(a) for a in accepted(name, arrays)]
    inputs = [(list(t.shape), t.dtype) for t in tensors]
    return run_program(gpu, row_program(name, inputs, attrs, gpu.limits), tensors)


def run_program(gpu, program, tensors):
    """The results of a program for these inputs."""
    executable = Executable(gpu, program, [])
    nan = np.full(1 << 16, 0x7FC0_0000, np.uint32)
    for role, buffer in executable.buffers:
        if role in ("slot", "scratch", "output", "input"):
            for at in range(0, buffer.size, nan.nbytes):
                gpu.write(buffer, nan[: (min(buffer.size - at, nan.nbytes)) // 4], at)
    for at, tensor in enumerate(tensors):
        buffer = executable.inputs.get(at)
        if buffer is not None and np.prod(tensor.shape):
            gpu.write(buffer, words_of(tensor.numpy(), tensor.dtype))
    executable.run()
    rows = sorted(
        (b for b in program["buffers"] if b["role"] == "output"), key=lambda b: b["number"]
    )
    parts = [(executable.outputs[b["number"]][0], 0, b["bytes"]) for b in rows]
    words = gpu.read([*executable.fault_parts(), *parts])
    faults = len(executable.fault_parts())
    executable.tell_faults(words[:faults])
    found = words[faults:]
    return [array_of(w, b["dtype"], tuple(b["shape"])) for w, b in zip(found, rows, strict=True)]


def run_cases(gpu, cases):
    """The values and parts of rows, which are one program: on the device, and on the CPU."""
    inputs, outputs, tensors, counts = [], [], [], []
    for one in cases:
        own = [_core.tensor(a) for a in accepted(one.name, one.arrays)]
        given = [_core.placeholder(t.shape, t.dtype) for t in own]
        made = getattr(_core.ops, one.name)(*given, **one.attrs)
        made = made if isinstance(made, tuple) else (made,)
        inputs += given
        outputs += made
        tensors += own
        counts.append(len(made))
    function = _core.Function(inputs, outputs)
    shapes = [list(t.shape) for t in tensors]
    program = json.loads(_core.gpu_program(function, shapes, gpu.limits))
    got = iter(run_program(gpu, program, tensors))
    want = function(*tensors)
    want = iter(want if isinstance(want, tuple) else (want,))
    for count in counts:
        yield [next(got) for _ in range(count)], [np.asarray(next(want)) for _ in range(count)]


def on_cpu(name, arrays, attrs):
    got = getattr(_core.ops, name)(*arrays, **attrs)
    return [np.asarray(t.numpy()) for t in (got if isinstance(got, tuple) else (got,))]


def allowed(row, arrays, attrs, wide):
    """How far a result may be from float64: what the CPU may, and a few units for other orders of
    sums and approximations of the same polynomials."""
    return 2 * row_formulas.bound(row, arrays, attrs, wide) + 2e-7 * (1 + np.abs(wide))


def check(row, one, arrays, got, cpu, formula):
    assert got.shape == cpu.shape, (got.shape, cpu.shape)
    assert got.dtype == cpu.dtype
    if got.dtype != np.float32 or row.name in EXACT:
        np.testing.assert_array_equal(got, cpu)
        return
    wide = row_formulas.reference(row, arrays, one.attrs, formula) if formula else cpu.astype("f8")
    wide = np.broadcast_to(wide, got.shape)
    finite = np.isfinite(wide) & np.isfinite(cpu)
    np.testing.assert_array_equal(got[~finite], cpu[~finite])
    limit = np.broadcast_to(allowed(row, arrays, one.attrs, wide), got.shape)[finite]
    for other in (wide, cpu.astype("f8")):
        off = np.abs(got.astype("f8")[finite] - other[finite])
        worst = int(np.argmax(off - limit)) if off.size else 0
        assert (off <= limit).all(), (
            f"{got[finite][worst]!r} against {other[finite][worst]!r}: off by {off[worst]:.3g}, "
            f"allowed {limit[worst]:.3g}"
        )


NAMES = [n for n in row_table.table() if n not in WITHOUT]
#: Cases of one program.
TOGETHER = 24


@pytest.mark.parametrize("name", NAMES)
def test_a_row_is_the_cpus_and_near_float64(gpu, name):
    row, cases = row_table.ROWS[name], row_cases.cases(name)
    formulas = [row.formula, *(f for _, f in row.parts)]
    for first in range(0, len(cases), TOGETHER):
        several = cases[first : first + TOGETHER]
        for one, (got, cpu) in zip(several, run_cases(gpu, several), strict=True):
            arrays = accepted(name, one.arrays)
            assert len(got) == len(cpu) == len(formulas)
            for mine, theirs, formula in zip(got, cpu, formulas, strict=True):
                try:
                    check(row, one, arrays, mine, theirs, formula)
                except AssertionError as error:
                    raise AssertionError(f"{one.label()}: {error}") from None


def test_rows_are_tried_in_many_cases():
    assert sum(len(row_cases.cases(name)) for name in NAMES) >= 1500


def test_every_row_has_a_kernel_or_is_named(gpu):
    """Coverage: rows that no program can hold are listed by name, and nothing else is."""
    lacking = set()
    for name in row_table.table():
        row = row_table.ROWS[name]
        one = row_table.cases_of(row, small=False)[0]
        arrays = row_table.sample(row, one, np.random.default_rng(0))
        given = accepted(name, arrays)
        inputs = [(list(np.shape(a)), str(_core.tensor(a).dtype)) for a in given]
        try:
            row_program(name, inputs, one.attrs, gpu.limits)
        except DeviceError:
            lacking.add(name)
        except FastnnError as error:
            raise AssertionError(name) from error
    assert lacking == WITHOUT


INTEGERS = [
    n for n in row_table.table(elementwise=True)
    if row_table.ROWS[n].accept in ("Number", "Common", "Exact", "Truth")
]  # fmt: skip


# Sums and products of truth values are the rows logical_or and logical_and.
@pytest.mark.parametrize(
    ("name", "dtype"),
    [(n, np.int32) for n in INTEGERS]
    + [(n, np.bool_) for n in INTEGERS if n not in ("add", "multiply")],
)
def test_a_row_of_whole_numbers_is_the_cpus(gpu, name, dtype, rng):
    row = row_table.ROWS[name]
    low, high = (-9, 9) if dtype is np.int32 else (0, 2)
    arrays = [rng.integers(low, high, 300).astype(dtype) for _ in row.args]
    if name in ("divide", "floor_divide", "mod"):
        arrays[1] = np.where(arrays[1] == 0, 3, arrays[1]).astype(dtype)
    if name == "where":
        arrays[0] = arrays[0] > 0
    for mine, theirs in zip(run_row(gpu, name, arrays, {}), on_cpu(name, arrays, {}), strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)


def test_more_workgroups_than_one_axis_has(gpu):
    x = np.arange(65_536 * 256 + 77, dtype=np.float32)
    (y,) = run_row(gpu, "negative", [x], {})
    np.testing.assert_array_equal(y, -x)


def test_functions_of_computed_values_are_the_cpus(gpu, rng):
    """A compiler sees where a value comes from: it must conclude nothing wrong."""
    x = rng.normal(size=(4, 12)).astype(np.float32)
    names = ("tanh", "erf", "expm1", "sinh", "sigmoid", "softplus", "arctan", "log1p", "gelu")
    ops = fastnn.ops
    rounds = [
        lambda p, f, g: f(p * p),
        lambda p, f, g: g(f(p)),
        lambda p, f, g: ops.sigmoid(p) * f(ops.sigmoid(p + 1.0) * g(p)),
    ]
    for at, first in enumerate(names):
        f, g = (getattr(ops, n) for n in (first, names[(at + 3) % len(names)]))
        p = _core.placeholder((None, 12))
        function = _core.Function([p], [round_(ops.abs(p), f, g) for round_ in rounds])
        got = OnDevice(function, "gpu:0")(x)
        for mine, theirs in zip(got, function(x), strict=True):
            np.testing.assert_allclose(mine, np.asarray(theirs), 1e-5, 1e-6, err_msg=first)
