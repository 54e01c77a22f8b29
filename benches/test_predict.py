"""One prediction, fastnn and NumPy by hand: `pytest benches --benchmark-enable`."""

import pytest

from rivals import fastnn, numpy

SIDES = {"fastnn": fastnn, "numpy": numpy}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("how", ["call", "predict"])
@pytest.mark.parametrize("sizes", [[20, 64, 64, 1], [784, 512, 512, 10]], ids=["small", "big"])
def test_one_sample(benchmark, sizes, how, side):
    benchmark.group = f"one sample through {sizes}"
    call = SIDES[side].predict_one(sizes, how)
    wanted = numpy.predict_one(sizes, how)()
    got = benchmark(call)
    if sizes[-1] == 1:  # the other ends in a softmax here and in logits there
        assert abs(got - wanted) < 1e-4 * max(1.0, abs(wanted))
