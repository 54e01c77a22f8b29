"""`error.hint`: what to do, as a field of every error of fastnn's own; texts stay as they are."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

import fastnn
from fastnn import errors

CLASSES = [getattr(errors, n) for n in errors.__all__
           if isinstance(getattr(errors, n), type)]  # fmt: skip


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_class_of_errors_has_the_field(cls):
    error = cls("x is wrong\n  hint: give y; or\nz")
    assert error.hint == "give y; or\nz"
    assert str(error) == "x is wrong\n  hint: give y; or\nz"
    assert cls("x is wrong").hint is None
    assert pickle.loads(pickle.dumps(error)).hint == error.hint


def test_errors_of_the_core_and_of_the_front_fill_it():
    with pytest.raises(errors.ShapeError) as core:
        fastnn.ops.matmul(np.ones((2, 3)), np.ones((2, 3)))
    model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
    with pytest.raises(errors.DataError) as front:
        model.predict(np.array([["a", "b"]]), verbose=0)
    for caught in (core, front):
        assert caught.value.hint
        assert str(caught.value).endswith(f"hint: {caught.value.hint}")


def test_a_note_is_a_hint_too_and_so_is_that_of_errors_of_python():
    error = ValueError("wrong")
    error.add_note("  hint: right")
    assert errors.hint_of(error) == "right"
    assert errors.hint_of(KeyError("plain")) is None


def test_the_field_is_there_without_the_front():
    code = (
        "import fastnn\n"
        "try: fastnn.tensor([[1.0], [2.0, 3.0]])\n"
        "except fastnn._core.FastnnError as error: print(error.hint)\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() not in ("", "None")


def test_the_exit_tool_gives_the_hints_of_all_its_issues():
    from fastnn.exit_strategy.errors import ExitError, Issue

    issues = [Issue("EX102", "a", "unknown", "use b"), Issue("EX103", "c", "text", "give 1")]
    assert ExitError(issues).hint == "use b\ngive 1"
