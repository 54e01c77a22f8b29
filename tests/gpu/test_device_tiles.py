"""Every tile of products gives the CPU's results: ragged sizes, fours and none, batches, parts."""

import numpy as np
import pytest
from test_device_rows import on_cpu, run_program

from fastnn import _core
from fastnn.devices.functions import row_program
from fastnn.devices.speeds import prefixed

TILES = _core.gpu_tiles()
#: Shapes, and which operands are given transposed; few, as drivers on the CPU compile slowly.
PRODUCTS = [
    ((9, 1), (1, 9), (False, True)), ((64, 32), (32, 64), (True, False)),
    ((130, 40), (40, 132), (False, False)), ((33, 7), (7, 65), (True, True)),
    ((2, 3, 20, 12), (3, 12, 36), (False, True)), ((40, 2050), (2050, 33), (True, False)),
]  # fmt: skip


def only(gpu, tile):
    """The adapter's limits, with one tile alone."""
    return {**gpu.limits, **prefixed({t: int(t == tile) for t in TILES})}


def fits(gpu, tile):
    rows, columns, depth = map(int, tile.split("x"))
    return 4 * depth * (rows + columns + 8) <= gpu.limits["workgroup_bytes"]


def by(gpu, tile, name, arrays, attrs):
    """The result of a row whose tile is chosen, and the names of its kernels."""
    tensors = [_core.tensor(a) for a in arrays]
    inputs = [(list(t.shape), t.dtype) for t in tensors]
    program = row_program(name, inputs, attrs, only(gpu, tile))
    (got,) = run_program(gpu, program, tensors)
    return got, [k["name"] for k in program["kernels"]]


@pytest.mark.parametrize("tile", TILES)
def test_a_tile_gives_the_products_of_the_cpu(gpu, tile):
    if not fits(gpu, tile):
        pytest.skip(f"{gpu.adapter.name} has too little workgroup memory")
    rng = np.random.default_rng(3)
    rows, columns, _ = tile.split("x")
    for a, b, (left, right) in PRODUCTS:
        x = rng.normal(size=a).astype(np.float32)
        y = rng.normal(size=b).astype(np.float32)
        x = np.ascontiguousarray(np.swapaxes(x, -1, -2)) if left else x
        y = np.ascontiguousarray(np.swapaxes(y, -1, -2)) if right else y
        attrs = {"transpose_a": left, "transpose_b": right}
        got, names = by(gpu, tile, "matmul", [x, y], attrs)
        assert f"tiles of {rows} by {columns}" in names[0]
        (want,) = on_cpu("matmul", [x, y], attrs)
        bound = 4e-6 * np.sqrt(a[-1]) * max(1.0, np.abs(want).max())
        np.testing.assert_allclose(got, want, rtol=0, atol=bound, err_msg=f"{a} {b}")


@pytest.mark.parametrize("tile", TILES)
@pytest.mark.parametrize("channels", [(8, 12), (3, 9)], ids=str)
def test_a_tile_gives_the_convolutions_of_the_cpu(gpu, tile, channels):
    if not fits(gpu, tile):
        pytest.skip(f"{gpu.adapter.name} has too little workgroup memory")
    rng = np.random.default_rng(4)
    c, f = channels
    x = rng.normal(size=(2, 9, 8, c)).astype(np.float32)
    w = rng.normal(size=(3, 2, c, f)).astype(np.float32)
    attrs = {"strides": (2, 1), "padding": (-1,)}
    (y,) = on_cpu("conv", [x, w], attrs)
    dy = rng.normal(size=y.shape).astype(np.float32)
    for name, arrays, more in (
        ("conv", [x, w], {}),
        ("conv_input_grad", [dy, w], {"size": (9, 8)}),
        ("conv_weight_grad", [x, dy], {"kernel": (3, 2)}),
    ):
        got, _ = by(gpu, tile, name, arrays, {**attrs, **more})
        (want,) = on_cpu(name, arrays, {**attrs, **more})
        np.testing.assert_allclose(got, want, rtol=0, atol=2e-5 * np.abs(want).max())


def test_a_limit_of_an_unknown_tile_is_refused_by_name():
    with pytest.raises(ValueError, match="tile_9x9x9"):
        row_program("matmul", [([2, 2], "float32")] * 2, {}, {"tile_9x9x9": 1})
