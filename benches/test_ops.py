"""Functions of arrays, fastnn and NumPy side by side: `pytest benches --benchmark-enable`.

For a quick look while working; what is published comes from compare.py.
"""

import pytest

from rivals import fastnn, numpy

SIDES = {"fastnn": fastnn, "numpy": numpy}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("size", [64, 1024])
@pytest.mark.parametrize("op", ["exp", "tanh", "sigmoid", "gelu", "softmax", "layer_norm", "sum"])
def test_elementwise(benchmark, op, size, side):
    benchmark.group = f"{op} {size}x{size}"
    benchmark(SIDES[side].elementwise(op, size, size))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("n", [64, 256, 1024])
def test_gemm(benchmark, n, side):
    benchmark.group = f"gemm {n}"
    benchmark(SIDES[side].gemm(n))
