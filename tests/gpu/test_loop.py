"""The loop over a step made by hand: order, rests, hooks, bad data, interruption."""

import json

import numpy as np
import pytest

from fastnn import _core
from fastnn.devices.functions import OnDevice
from fastnn.devices.loop import Loop
from fastnn.errors import DataError, ShapeError

#: s = s / 2 + sum of the batch: the order of rows and batches shows in it. Ids below 0 are a fault.
STEP = """
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> ids: array<i32>;
@group(0) @binding(2) var<storage, read_write> s: array<f32>;
@group(0) @binding(3) var<storage, read_write> fault: array<u32>;
@compute @workgroup_size(1) fn main() {
    var sum = 0.0;
    for (var i = 0u; i < COUNTu; i++) {
        sum += x[i];
        if (ids[i / 3u] < 0 && fault[0] == 0u) {
            fault[0] = 0xffffffffu - i / 3u;
            fault[1] = bitcast<u32>(ids[i / 3u]);
        }
    }
    s[0] = s[0] * 0.5 + sum;
    s[1] += 1.0;
}
"""


def by_hand(function, shapes, limits, between=None):
    n = shapes[0][0]
    return json.dumps({
        "version": 1,
        "kernels": [{"name": "step", "wgsl": STEP.replace("COUNT", str(3 * n)),
                     "bindings": ["read", "read", "read_write", "read_write"]}],
        "buffers": [
            {"name": "x", "bytes": 12 * n, "role": "input", "number": 0, "dtype": "float32"},
            {"name": "i", "bytes": 4 * n, "role": "input", "number": 1, "dtype": "int32"},
            {"name": "s", "bytes": 8, "role": "state", "number": 0, "dtype": "float32"},
            {"name": "f", "bytes": 8, "role": "fault", "dtype": "int32"},
        ],
        "groups": [
            {"kernel": 0, "bindings": [[0, 0, 12 * n], [1, 0, 4 * n], [2, 0, 8], [3, 0, 8]]}
        ],
        "steps": [[0, 0, 1, 1, 1]], "copies": [],
        "faults": [
            {"buffer": 3, "offset": 0, "op": "take", "message": "id {value} at {position}"}
        ],
    })  # fmt: skip


class Setting:
    def __init__(self):
        self.s = _core.Variable(np.zeros(2, np.float32))
        x = _core.placeholder((None, 3))
        ids = _core.placeholder((None,), dtype="int32")
        total = _core.ops.sum(x) + 0.0 * _core.ops.sum(ids.astype("float32"))
        new = self.s.traced() * np.array([0.5, 1.0], np.float32) + _core.ops.concatenate(
            [total.reshape((1,)), _core.tensor(np.ones(1, np.float32))], axis=0
        )
        self.step = _core.Function([x, ids], [], [(self.s, new)])
        self.results = _core.Function([], [self.s.traced()[0]])
        self.on_cpu = _core.Loop(self.step, self.results, [self.s])


@pytest.fixture
def setting(gpu, monkeypatch):
    monkeypatch.setattr(_core, "gpu_program", by_hand, raising=False)
    made = Setting()
    made.on_gpu = Loop(OnDevice(made.step, "gpu:0"), made.results, [made.s])
    return made


def data(rng, n=107):
    return rng.integers(-5, 5, (n, 3)).astype(np.float32), np.arange(n, dtype=np.int32)


@pytest.mark.parametrize("seed", [None, 7])
def test_epochs_are_those_of_the_cpu(setting, rng, seed):
    arrays = data(rng)
    wanted = setting.on_cpu.run(arrays, 10, 3, seed=seed, first_epoch=2)
    got = setting.on_gpu.run(arrays, 10, 3, seed=seed, first_epoch=2)
    assert got == wanted
    assert setting.on_gpu.finished == got
    np.testing.assert_array_equal(setting.s.numpy()[1], 11)


def test_data_that_do_not_fit_are_uploaded_batch_by_batch(setting, rng, monkeypatch):
    monkeypatch.setattr("fastnn.devices.data.RESIDENT", 100)
    arrays = data(rng)
    assert setting.on_gpu.run(arrays, 10, 2, seed=3) == setting.on_cpu.run(arrays, 10, 2, seed=3)


def test_hooks_see_every_batch_and_what_they_assign_counts(setting, rng):
    arrays, seen = data(rng, 20), []

    def hook(epoch, batch, begin, values):
        seen.append((epoch, batch, begin, values))
        if begin and batch == 1:
            setting.s.assign(np.array([100.0, 0.0], np.float32))
        return False

    runs = [loop.run(arrays, 8, 1, on_batch=hook) for loop in (setting.on_cpu, setting.on_gpu)]
    assert runs[0] == runs[1]
    assert seen[: len(seen) // 2] == seen[len(seen) // 2 :]


def test_a_hook_stops_the_run_gently(setting, rng):
    arrays = data(rng, 40)
    rows = setting.on_gpu.run(
        arrays, 8, 5, on_batch=lambda epoch, batch, begin, values: not begin and batch == 2
    )
    assert len(rows) == 1
    assert setting.s.numpy()[1] == 3


def test_bad_data_leave_the_values_of_the_last_epoch(setting, rng):
    x, ids = data(rng, 40)
    setting.on_gpu.run((x, ids), 8, 1)
    before = setting.s.numpy().copy()
    bad = ids.copy()
    bad[13] = -4
    with pytest.raises(DataError, match="id -4 at 5"):
        setting.on_gpu.run((x, bad), 8, 1)
    np.testing.assert_array_equal(setting.s.numpy(), [0, 0])
    setting.s.assign(before)
    setting.on_gpu.run((x, ids), 8, 1)
    np.testing.assert_array_equal(setting.s.numpy(), before)


def test_an_interruption_leaves_whole_steps(setting, rng):
    arrays = data(rng, 40)

    def beat(epoch, batch, begin, values):
        if begin and batch == 3:
            raise KeyboardInterrupt
        return False

    with pytest.raises(KeyboardInterrupt):
        setting.on_gpu.run(arrays, 8, 2, on_batch=beat)
    assert setting.s.numpy()[1] == 3
    assert setting.on_gpu.finished == []


def test_arrays_that_do_not_fit_are_refused_as_on_the_cpu(setting, rng):
    x, ids = data(rng, 10)
    for arrays in ((x[:, :2], ids), (x, ids[:5]), (x[:0], ids[:0])):
        with pytest.raises((DataError, ShapeError)) as cpu:
            setting.on_cpu.run(arrays, 4, 1)
        with pytest.raises(type(cpu.value)):
            setting.on_gpu.run(arrays, 4, 1)


def test_memory_goes_with_the_last_user(gpu, setting, rng):
    import gc

    setting.on_gpu.run(data(rng), 10, 1)
    gc.collect()
    used = gpu.bytes
    other = Setting()
    loop = Loop(OnDevice(other.step, "gpu:0"), other.results, [other.s])
    loop.run(data(rng), 10, 1)
    assert gpu.bytes > used
    del loop, other
    gc.collect()
    assert gpu.bytes == used
