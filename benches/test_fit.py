"""One epoch of training, fastnn and NumPy by hand: `pytest benches --benchmark-enable`."""

import pytest

from rivals import fastnn, numpy

SIDES = {"fastnn": fastnn, "numpy": numpy}
JOBS = {
    "big": {"sizes": [784, 512, 512, 10], "batch": 128, "samples": 1280},
    "small": {"sizes": [20, 64, 64, 1], "batch": 32, "samples": 3200},
}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("job", JOBS)
def test_epoch(benchmark, job, side):
    benchmark.group = f"epoch of the {job} network"
    call = SIDES[side].mlp_fit(**JOBS[job])
    first = call()
    assert benchmark(call) < first  # it learns


@pytest.mark.parametrize("side", SIDES)
def test_linear_regression(benchmark, side):
    benchmark.group = "article 000, 100 epochs"
    call = SIDES[side].line_fit()
    call()
    assert benchmark(call) < 0.1
