"""Every function of `fastnn.ops` that Keras has gives Keras's values, shapes and types."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "ops"))

import ops_cases
from test_ops_keras import FLOATS, arrays, close, function

pytest.importorskip("keras")


@pytest.mark.parametrize("name", sorted(ops_cases.CASES))
def test_values_shapes_and_types_are_those_of_keras(name):
    import keras

    theirs = keras.ops
    for part in name.split("."):
        theirs = getattr(theirs, part)
    for i, (args, kwargs) in enumerate(ops_cases.CASES[name]):
        try:
            wanted = arrays(theirs(*args, **kwargs))
        except (TypeError, ValueError, NotImplementedError):
            continue
        ours = arrays(function(name)(*args, **kwargs))
        close(ours, wanted, f"{name} case {i}")
        if name not in FLOATS:
            kinds = [
                (a.dtype.kind, b.dtype.kind.replace("u", "i"))
                for a, b in zip(ours, wanted, strict=True)
            ]
            assert all(a == b for a, b in kinds), (name, i, kinds)
        assert isinstance(ours[0], np.ndarray)
