"""A traced step does what the same step does as it is written, whatever it says.

`FASTNN_TRACED` sets how many programs are drawn, `FASTNN_TRACED_FIRST` the first one's number.
"""

import os

import numpy as np
import pytest
from traced_programs import drawn, results

COUNT = int(os.environ.get("FASTNN_TRACED", "40"))
FIRST = int(os.environ.get("FASTNN_TRACED_FIRST", "0"))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
def test_a_drawn_step_gives_the_same_traced_eagerly_and_plain(seed):
    wanted = results(seed, "plain")
    for how in ("traced", "eager"):
        found = results(seed, how)
        for call, (got, want) in enumerate(zip(found, wanted, strict=True)):
            for name, value in want.items():
                np.testing.assert_allclose(
                    got[name], value, rtol=2e-3, atol=2e-4,
                    err_msg=f"{name} of call {call}, {how}\n{drawn(seed)[0]}\n{drawn(seed)[1]}",
                )  # fmt: skip
