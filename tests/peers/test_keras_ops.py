"""Every function of `fastnn.ops` that Keras has gives Keras's values, shapes and types."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "ops"))

import ops_cases
from test_ops_keras import arrays, close, function

pytest.importorskip("keras")

#: Where Keras 3.15 has another result, and why ours stays.
DIFFERENT = {
    "hard_shrink": "a NaN becomes 0 on JAX and TensorFlow, and stays one on PyTorch",
    "soft_shrink": "a NaN becomes 0 on JAX and TensorFlow, and stays one on PyTorch",
    "relu6": "whole numbers become floats on JAX alone",
    "sparsemax": "the results of a row do not add up to 1",
}


@pytest.mark.parametrize("name", sorted(ops_cases.CASES.keys() - DIFFERENT))
def test_values_shapes_and_types_are_those_of_keras(name):
    import keras

    theirs = keras.ops
    for part in name.split("."):
        if not hasattr(theirs, part):
            pytest.skip(f"Keras has no ops.{name}")
        theirs = getattr(theirs, part)
    for i, (args, kwargs) in enumerate(ops_cases.CASES[name]):
        try:
            wanted = arrays(theirs(*args, **kwargs))
        except (TypeError, ValueError, NotImplementedError):
            continue
        ours = arrays(function(name)(*args, **kwargs))
        close(ours, wanted, f"{name} case {i}")
        kinds = [
            (a.dtype.kind, b.dtype.kind.replace("u", "i"))
            for a, b in zip(ours, wanted, strict=True)
        ]
        assert all(a == b for a, b in kinds), (name, i, kinds)
        assert isinstance(ours[0], np.ndarray)
