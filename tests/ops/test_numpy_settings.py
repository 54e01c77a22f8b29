"""Settings given as NumPy's numbers, and arrays of other layouts and types, change no result."""

import numpy as np
import pytest

import fastnn
import ops_cases
from fastnn import ops


def _as_numpy(value):
    if isinstance(value, bool):
        return np.bool_(value)
    if isinstance(value, int):
        return np.int64(value)
    if isinstance(value, float):
        return np.float64(value)
    if isinstance(value, str):
        return np.str_(value)
    return value


def _wide(value):
    if isinstance(value, np.ndarray):
        wider = {"float32": np.float64, "int32": np.int64}.get(value.dtype.name)
        return value if wider is None else value.astype(wider)
    return value


def _columns_first(value):
    return np.asfortranarray(value) if isinstance(value, np.ndarray) else value


def _read_only(value):
    if isinstance(value, np.ndarray):
        value = value.copy()
        value.setflags(write=False)
    return value


def _tensor(value):
    return ops.convert_to_tensor(value) if isinstance(value, np.ndarray) else value


def _variable(value):
    stored = isinstance(value, np.ndarray) and value.dtype in (np.float32, np.int32)
    return fastnn.Variable(value) if stored else value


WAYS = [_as_numpy, _wide, _columns_first, _read_only, _tensor, _variable]


def _changed(value, way):
    if isinstance(value, list | tuple):
        return type(value)(_changed(v, way) for v in value)
    return way(value)


def _arrays(result):
    if isinstance(result, list | tuple):
        return [a for part in result for a in _arrays(part)]
    return [np.asarray(result)]


@pytest.mark.parametrize("name", sorted(ops_cases.C))
def test_an_op_takes_its_arguments_in_every_form(name):
    op = ops
    for part in name.split("."):
        op = getattr(op, part)
    for args, settings in ops_cases.C[name]:
        expected = _arrays(op(*args, **settings))
        for way in WAYS:
            changed = {key: _changed(value, way) for key, value in settings.items()}
            found = _arrays(op(*(_changed(a, way) for a in args), **changed))
            assert [a.dtype for a in found] == [a.dtype for a in expected], way.__name__
            for a, b in zip(found, expected, strict=True):
                np.testing.assert_allclose(a, b, 1e-5, 1e-6, err_msg=way.__name__)
