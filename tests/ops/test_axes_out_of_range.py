"""An axis that a tensor lacks is refused by every op; a remainder would take another one."""

import inspect

import numpy as np
import pytest

from fastnn import ops
from fastnn.errors import ShapeError

X = np.arange(6, dtype=np.float32).reshape(2, 3)
AXES = ("axis", "axis1", "axis2", "axisa", "axisb", "axisc", "source", "destination")
#: What ops are called with that want more than one tensor of two axes.
FIRST = {
    "append": [X, X], "argpartition": [X, 1], "array_split": [X, 1], "concatenate": [[X, X]],
    "cross": [X, X], "moveaxis": [X], "nanpercentile": [X, 50.0], "nanquantile": [X, 0.5],
    "multi_hot": [X.astype(np.int32), 7], "one_hot": [X.astype(np.int32), 3],
    "percentile": [X, 50.0], "quantile": [X, 0.5],
    "repeat": [X, 2], "roll": [X, 1], "split": [X, 1], "stack": [[X, X]], "take": [X, [0]],
    "take_along_axis": [X, np.zeros((2, 3), np.int32)],
}  # fmt: skip


def _places():
    for name in sorted(set(dir(ops)) - {"enter_ops"}):
        f = getattr(ops, name)
        if name.startswith("_") or not callable(f):
            continue
        try:
            parameters = inspect.signature(f).parameters
        except (TypeError, ValueError):
            continue
        wanted = [
            p for p, v in parameters.items()
            if v.default is v.empty and v.kind is not v.VAR_KEYWORD and p not in AXES
        ]  # fmt: skip
        for axis in AXES:
            if axis in parameters and (name in FIRST or len(wanted) == 1):
                yield name, axis


@pytest.mark.parametrize(("name", "argument"), list(_places()))
@pytest.mark.parametrize("axis", [5, -7])
def test_an_axis_that_is_not_there_is_refused_with_the_way_on(name, argument, axis):
    given = {argument: axis}
    if argument in ("source", "destination"):
        given = {"source": 0, "destination": 0, **given}
    elif argument in ("axis1", "axis2"):
        given = {"axis1": 0, "axis2": 1, **given}
    with pytest.raises(ValueError, match="hint:"):
        getattr(ops, name)(*FIRST.get(name, [X]), **given)


@pytest.mark.parametrize(("name", "argument"), list(_places()))
@pytest.mark.parametrize("axis", [None, (0, 1), 0.5])
def test_an_axis_of_a_kind_that_an_op_does_not_take_is_refused_with_a_hint(name, argument, axis):
    given = {argument: axis}
    if argument in ("source", "destination"):
        given = {"source": 0, "destination": 0, **given}
    elif argument in ("axis1", "axis2"):
        given = {"axis1": 0, "axis2": 1, **given}
    refusal = None
    try:
        getattr(ops, name)(*FIRST.get(name, [X]), **given)
    except (TypeError, ValueError) as error:
        refusal = str(error)
    assert refusal is None or "hint:" in refusal


def test_axes_of_tensors_without_axes_are_refused_by_name():
    for call in (ops.moveaxis, ops.swapaxes):
        with pytest.raises(ShapeError, match="a tensor without axes has none"):
            call(np.float32(1.0), 0, -1)
    with pytest.raises(ShapeError, match="norm: axis -1"):
        ops.norm(np.float32(1.0), axis=-1)


def test_tensordot_and_array_split_refuse_counts_below_what_they_mean():
    with pytest.raises(ShapeError, match="tensordot: axes -1"):
        ops.tensordot(X, X, axes=-1)
    with pytest.raises(ValueError, match="array_split: got 0 sections"):
        ops.array_split(X, 0)


@pytest.mark.parametrize("shape", [(0,), (2, 0)])
def test_nothing_counted_gives_bins_of_zero(shape):
    nothing = np.zeros(shape, np.int32)
    assert np.array_equal(ops.bincount(nothing, minlength=3), np.zeros((*shape[:-1], 3)))
    assert ops.bincount(nothing).shape == (*shape[:-1], 0)
    weighed = ops.bincount(nothing, weights=nothing.astype(np.float32), minlength=2)
    assert weighed.dtype == "float32"
    assert np.array_equal(weighed, np.zeros((*shape[:-1], 2)))
