"""A program made by hand, run by the executor."""

import numpy as np
import pytest

from fastnn.devices.executor import Executable
from fastnn.errors import DataError, DeviceError, GpuInternalError, InternalError

AXPY = """
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> w: array<f32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x < 100u) { w[id.x] = w[id.x] + 2.0 * x[id.x]; }
}
"""
FAULT = """
@group(0) @binding(0) var<storage, read_write> f: array<u32>;
@compute @workgroup_size(1) fn main() { f[0] = 0xffffffffu - 5u; f[1] = bitcast<u32>(-3); }
"""


def program(**changes):
    made = {
        "version": 1,
        "kernels": [
            {"name": "axpy", "wgsl": AXPY, "bindings": ["read", "read_write"]},
            {"name": "fault", "wgsl": FAULT, "bindings": ["read_write"]},
        ],
        "buffers": [
            {"name": "x", "bytes": 400, "role": "input", "number": 0, "dtype": "float32"},
            {"name": "w", "bytes": 400, "role": "state", "number": 0, "dtype": "float32"},
            {"name": "y", "bytes": 400, "role": "output", "number": 0, "dtype": "float32"},
            {"name": "f", "bytes": 8, "role": "fault"},
        ],
        "groups": [
            {"kernel": 0, "bindings": [[0, 0, 400], [1, 0, 400]]},
            {"kernel": 1, "bindings": [[3, 0, 8]]},
        ],
        "steps": [[0, 0, 2, 1, 1], [0, 0, 2, 1, 1]],
        "copies": [[1, 2, 400]],
        "faults": [{"buffer": 3, "offset": 0, "op": "take", "message": "id {value} at {position}"}],
    }
    return {**made, **changes}


def test_steps_run_in_order_over_states_that_last(gpu):
    w = gpu.buffer(400, "w")
    gpu.write(w, np.ones(100, np.float32))
    made = Executable(gpu, program(), [w])
    x = np.arange(100, dtype=np.float32)
    gpu.write(made.inputs[0], x)
    made.run()
    made.run()
    (y,) = gpu.read([(made.outputs[0][0], 0, 400)])
    np.testing.assert_array_equal(y.view(np.float32), 1 + 8 * x)


def test_bad_data_is_told_with_value_and_position_and_once(gpu):
    w = gpu.buffer(400, "w")
    made = Executable(gpu, program(steps=[[1, 1, 1, 1, 1]]), [w])
    made.run()
    with pytest.raises(DataError, match="id -3 at 5"):
        made.tell_faults(gpu.read(made.fault_parts()))
    made.tell_faults(gpu.read(made.fault_parts()))


def test_programs_that_could_end_the_process_are_refused(gpu):
    w = gpu.buffer(400, "w")
    with pytest.raises(InternalError, match="grid of 0 x 1 x 1"):
        Executable(gpu, program(steps=[[0, 0, 0, 1, 1]]), [w])
    twice = [{"kernel": 0, "bindings": [[1, 0, 400], [1, 0, 400]]}]
    with pytest.raises(InternalError, match="binds a buffer that it writes twice"):
        Executable(gpu, program(groups=twice, steps=[]), [w])
    with pytest.raises(InternalError, match="version 7"):
        Executable(gpu, program(version=7), [w])


def test_whole_numbers_that_a_kernel_takes_for_floats_are_refused_by_name(gpu):
    whole = [
        {**row, "dtype": "int8"} if row["name"] == "x" else row for row in program()["buffers"]
    ]
    with pytest.raises(DeviceError, match=r"axpy reads 'x', which is of int8, as f32(.|\n)*hint: "):
        Executable(gpu, program(buffers=whole), [gpu.buffer(400, "w")])


def test_a_text_that_does_not_compile_names_its_kernel(gpu):
    broken = [{"name": "axpy", "wgsl": "fn main( {", "bindings": []}]
    with pytest.raises(GpuInternalError, match="the kernel of axpy"):
        Executable(gpu, program(kernels=broken), [gpu.buffer(400, "w")])


def test_what_is_read_comes_back_whole_and_in_parts(gpu, rng):
    for size in (1, 3, 1000, 70_000):
        data = rng.integers(0, 2**32, size, dtype=np.uint32)
        buffer = gpu.buffer(4 * size, "data")
        gpu.write(buffer, data)
        whole, part = gpu.read([(buffer, 0, 4 * size), (buffer, 4 * (size // 2), 4)])
        np.testing.assert_array_equal(whole, data)
        assert part[0] == data[size // 2]
