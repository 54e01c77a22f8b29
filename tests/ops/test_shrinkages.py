"""Shrinkages and thresholds: one formula under both names; NaN stays NaN, infinity infinity."""

import numpy as np
import pytest

from fastnn import activations, ops

X = np.array([np.nan, np.inf, -np.inf, -2.0, -0.5, -0.1, 0.0, 0.3, 0.5, 2.0], "float32")
CASES = {
    "hard_shrink": ((), np.where(np.abs(X) <= 0.5, 0, X)),
    "soft_shrink": ((), np.where(np.abs(X) <= 0.5, 0, X - np.sign(X) * 0.5)),
    "threshold": ((0.4, -3.0), np.where(X <= 0.4, -3, X)),
    "sparse_plus": ((), np.where(X <= -1, 0, np.where(X >= 1, X, (X + 1) ** 2 / 4))),
    "sparse_sigmoid": ((), np.clip((X + 1) / 2, 0, 1)),
}


@pytest.mark.parametrize("name", CASES)
def test_both_names_keep_what_is_no_number(name):
    arguments, want = CASES[name]
    for module in (activations, ops):
        got = getattr(module, name)(X, *arguments).numpy()
        np.testing.assert_allclose(got, want, rtol=1e-6)
