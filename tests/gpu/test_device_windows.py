"""Values larger than a binding are bound in windows: the same bits as in one piece.

The limit is made small, so that small values stand for large ones.
"""

import numpy as np
import pytest
from test_device_rows import run_program

import fastnn
from fastnn import _core, layers
from fastnn.devices.functions import row_program
from fastnn.errors import DeviceError

r = np.random.default_rng(7)


def f(*shape):
    return r.normal(size=shape).astype(np.float32)


def ids(high, *shape):
    return r.integers(0, high, shape).astype(np.int32)


ROWS = [
    ("add", [f(40, 37), f(40, 37)], {}),
    ("multiply", [f(40, 37), f(37)], {}),
    ("where", [f(40, 37) > 0, f(40, 37), f(1, 37)], {}),
    ("exp", [f(1500)], {}),
    ("cast", [f(40, 37)], {"dtype": "int32"}),
    ("transpose", [f(40, 37)], {}),
    ("sum", [f(40, 37)], {"axis": (0,), "keepdims": False}),
    ("argmax", [f(3, 700)], {"axis": 1, "keepdims": False}),
    ("matmul", [f(40, 29), f(29, 37)], {}),
    ("matmul", [f(40, 32), f(32, 36)], {}),
    ("matmul", [f(3, 600), f(600, 2)], {"transpose_a": False}),
    ("conv", [f(2, 9, 9, 8), f(3, 3, 8, 12)], {}),
    ("conv", [f(2, 16, 15, 3), f(3, 3, 3, 4)], {}),
    ("take", [f(100, 16), ids(100, 7, 5)], {"axis": 0}),
    ("take_grad", [f(7, 5, 16), ids(100, 7, 5)], {"shape": (100, 16), "axis": 0}),
    ("concatenate", [f(30, 20), f(40, 20)], {"axis": 0}),
    ("pad", [f(30, 20)], {"widths": (1, 2, 3, 4)}),
    ("softmax_last", [f(9, 170)], {}),
    ("layer_norm", [f(9, 170), f(170), f(170)], {}),
    ("cumsum", [f(3, 500)], {"axis": 1}),
]


@pytest.mark.parametrize(("name", "arrays", "attrs"), ROWS, ids=[row[0] for row in ROWS])
def test_a_row_over_windows_gives_the_same_bits(gpu, name, arrays, attrs):
    tensors = [_core.tensor(a) for a in arrays]
    inputs = [(list(t.shape), t.dtype) for t in tensors]
    found = []
    for binding in (1 << 20, 2048):
        limits = {**gpu.limits, "binding_bytes": binding, "storage_buffers": 16}
        program = row_program(name, inputs, attrs, limits)
        bound = [b[2] for group in program["groups"] for b in group["bindings"]]
        assert max(bound) <= binding
        found.append(run_program(gpu, program, tensors))
        split = any("_window1" in k["wgsl"] for k in program["kernels"])
        assert split == (binding == 2048)
    for whole, parts in zip(*found, strict=True):
        np.testing.assert_array_equal(whole, parts)


def test_a_model_with_an_embedding_larger_than_a_binding_trains_as_on_the_cpu(gpu, monkeypatch):
    tokens = ids(300, 32, 6)
    targets = ids(4, 32)
    losses = []
    for device in ("cpu", "gpu:0"):
        if device == "gpu:0":
            # 300 rows of 8 numbers are 9,600 bytes.
            monkeypatch.setitem(gpu.limits, "binding_bytes", 4096)
        fastnn.utils.set_random_seed(3)
        model = fastnn.Sequential(
            [
                fastnn.Input((6,), dtype="int32"),
                layers.Embedding(300, 8),
                layers.Flatten(),
                layers.Dense(48, activation="tanh"),
                layers.Dense(4),
            ]
        )
        loss = fastnn.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(fastnn.optimizers.Adam(0.01), loss, device=device)
        losses.append(model.fit(tokens, targets, batch_size=8, epochs=5, verbose=0))
    got, want = (h.history["loss"] for h in losses[::-1])
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_too_many_windows_for_a_kernel_are_refused_by_name(gpu):
    limits = {**gpu.limits, "binding_bytes": 256, "storage_buffers": 8}
    with pytest.raises(DeviceError, match=r"add reads and writes values larger than the 256 bytes"):
        row_program("add", [([1000], "float32")] * 2, {}, limits)


def test_a_value_larger_than_a_buffer_is_refused_by_name(gpu):
    limits = {**gpu.limits, "buffer_bytes": 2048}
    with pytest.raises(DeviceError, match=r"'input 0' takes 4000 bytes .* has buffers of 2048"):
        row_program("exp", [([1000], "float32")], {}, limits)
