"""Keras's own models, computed by fastnn in the slot of its NumPy back end. Needs `[peers]`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.peers
pytest.importorskip("keras", reason="the peers extra is not installed: keras")


@pytest.fixture(scope="module")
def found():
    # A process of its own: Keras has one back end a process, and the other tests use JAX.
    program = str(Path(__file__).with_name("keras_slot_nets.py"))
    done = subprocess.run(
        [sys.executable, program], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_layers_of_keras_give_what_its_numpy_code_gives(found):
    assert found["faults"] == []
    assert found["backend"] == "numpy"


def test_calls_are_programs_of_fastnn(found):
    assert len(set(found["compiled"])) >= 50


def test_a_back_end_that_is_loaded_is_not_replaced(run_python):
    program = (
        "import os; os.environ['KERAS_BACKEND'] = 'jax'\n"
        "import keras, fastnn.keras_backend as slot\n"
        "try: slot.install()\n"
        "except RuntimeError as error: print(error)"
    )
    pytest.importorskip("jax", reason="the peers extra is not installed: jax")
    text = run_python(program)
    assert "Keras already computes with 'jax'" in text
    assert "hint: call fastnn.keras_backend.install() before keras is imported" in text
