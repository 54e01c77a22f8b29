"""Programs that the core encodes by itself."""

import numpy as np
import pytest

from fastnn import _core
from fastnn.devices import recording
from fastnn.devices.executor import Executable
from fastnn.errors import DataError

DOUBLE = """
@group(0) @binding(0) var<storage, read_write> w: array<f32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x < 100u) { w[id.x] = 2.0 * w[id.x]; }
}
"""


def program():
    return {
        "version": 1,
        "kernels": [{"name": "double", "wgsl": DOUBLE, "bindings": ["read_write"]}],
        "buffers": [
            {"name": "w", "bytes": 400, "role": "state", "number": 0, "dtype": "float32"},
            {"name": "y", "bytes": 400, "role": "output", "number": 0, "dtype": "float32"},
        ],
        "groups": [{"kernel": 0, "bindings": [[0, 0, 400]]}],
        "steps": [[0, 0, 2, 1, 1]] * 3,
        "copies": [[0, 1, 400]],
        "faults": [],
    }


def test_the_core_encodes_the_second_run_and_gives_what_wgpu_gives(gpu):
    w = gpu.buffer(400, "w")
    start = np.linspace(-1, 1, 100, dtype=np.float32)
    gpu.write(w, start)
    made = Executable(gpu, program(), [w])
    for run in range(1, 4):
        made.run()
        (y,) = gpu.read([(made.outputs[0][0], 0, 400)])
        np.testing.assert_array_equal(y.view(np.float32), start * 8.0**run)
    assert len(made._recording) == 3


def test_a_library_that_declares_a_function_otherwise_is_left_to_wgpu(gpu, monkeypatch):
    changed = {**recording._FUNCTIONS, "wgpuQueueSubmit": "v p8p8"}
    monkeypatch.setattr(recording, "_FUNCTIONS", changed)
    recording._addresses.cache_clear()
    try:
        w = gpu.buffer(400, "w")
        gpu.write(w, np.ones(100, np.float32))
        made = Executable(gpu, program(), [w])
        made.run()
        made.run()
        assert made._recording is None
        (y,) = gpu.read([(made.outputs[0][0], 0, 400)])
        assert (y.view(np.float32) == 64).all()
    finally:
        recording._addresses.cache_clear()


def test_a_whole_run_is_submitted_in_one_call_as_often_as_asked(gpu):
    w = gpu.buffer(400, "w")
    gpu.write(w, np.ones(100, np.float32))
    made = Executable(gpu, program(), [w])
    made.run()
    recording.recorded(gpu.device, made.steps, made.copies).run(4)
    (y,) = gpu.read([(made.outputs[0][0], 0, 400)])
    assert (y.view(np.float32) == 8.0**5).all()


def test_recordings_refuse_handles_and_grids_that_are_nothing():
    functions = dict.fromkeys(recording._FUNCTIONS, 1)
    for device, steps, copies in [
        (0, [], []),
        (1, [(1, 0, 1, 1, 1)], []),
        (1, [(1, 1, 1, 0, 1)], []),
        (1, [], [(1, 0, 4)]),
    ]:
        with pytest.raises(DataError, match="recording"):
            _core.GpuRecording(functions, device, 1, steps, copies, None)
    with pytest.raises(DataError, match="wgpuQueueSubmit"):
        _core.GpuRecording({**functions, "wgpuQueueSubmit": 0}, 1, 1, [], [], None)
