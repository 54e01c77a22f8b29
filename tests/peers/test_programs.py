"""The programs of Keras's guides give the same on Keras and on fastnn. Needs `[peers]`."""

import os

import numpy as np
import pytest

import fastnn
import fastnn.keras

from .programs import PROGRAMS

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*shuffle=True.*:UserWarning"),
    pytest.mark.filterwarnings("ignore:Layer 'temporal_mean'.*mask:UserWarning"),
]
os.environ.setdefault("KERAS_BACKEND", "jax")
pytest.importorskip("jax", reason="the peers extra is not installed: jax")
keras = pytest.importorskip("keras", reason="the peers extra is not installed: keras")
if keras.backend.backend() != "jax":
    pytest.skip("Keras runs on another back end", allow_module_level=True)


def run(program, library, folder, monkeypatch):
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "80")
    library.utils.clear_session()
    library.utils.set_random_seed(0)
    return program(library)


def assert_same(theirs, ours, where="result"):
    if isinstance(theirs, dict):
        assert list(theirs) == list(ours), where
        for key in theirs:
            assert_same(theirs[key], ours[key], f"{where}[{key!r}]")
    elif isinstance(theirs, list | tuple) and not isinstance(theirs, str):
        assert len(theirs) == len(ours), where
        for i, (a, b) in enumerate(zip(theirs, ours, strict=True)):
            assert_same(a, b, f"{where}[{i}]")
    elif isinstance(theirs, str | bool | None.__class__):
        assert theirs == ours, where
    else:
        theirs, ours = np.asarray(theirs), np.asarray(ours)
        assert theirs.shape == ours.shape, where
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=5e-5, err_msg=where)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_a_program_gives_the_same_on_both(program, tmp_path, monkeypatch):
    theirs = run(program, keras, tmp_path / "keras", monkeypatch)
    ours = run(program, fastnn.keras, tmp_path / "fastnn", monkeypatch)
    assert_same(theirs, ours)


def test_the_comparison_sees_a_difference():
    for a, b in (([1.0], [1.1]), ({"a": 1}, {"b": 1}), (["x"], ["y"]), ([[1]], [[1], [2]])):
        with pytest.raises(AssertionError):
            assert_same(a, b)
