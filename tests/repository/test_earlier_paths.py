"""What earlier versions wrote and named goes on working: pickles, files, and import paths.

`earlier/` holds the pickle, the files and the list of names that were taken before the modules of
the front were put into packages.
"""

import importlib
import pickle
from pathlib import Path

import numpy as np
import pytest

import fastnn

EARLIER = Path(__file__).parent / "earlier"
PATHS = (EARLIER / "import_paths.txt").read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module")
def earlier():
    return pickle.loads((EARLIER / "objects.pickle").read_bytes())


@pytest.mark.parametrize("line", PATHS, ids=lambda line: line.split()[0])
def test_an_earlier_import_path_gives_the_same_names(line):
    module, *names = line.split()
    found = importlib.import_module(module)
    lacking = [name for name in names if not hasattr(found, name)]
    assert not lacking


def test_names_of_modules_that_became_packages_are_found():
    from fastnn.tracing import KEPT_STEPS, Tracing, gradients
    from fastnn.training import Trainer

    assert issubclass(fastnn.Model, Trainer)
    assert issubclass(Trainer, Tracing)
    assert KEPT_STEPS
    assert callable(gradients)
    assert importlib.import_module("fastnn.ops.arrays").tril is fastnn.ops.tril
    assert importlib.import_module("fastnn.ops.elements").threshold is fastnn.ops.threshold
    for package in (importlib.import_module("fastnn.training"),
                    importlib.import_module("fastnn.tracing")):  # fmt: skip
        with pytest.raises(AttributeError, match="has no 'Trainre'"):
            package.Trainre  # noqa: B018


@pytest.mark.parametrize("kind", ["sequential", "functional"])
def test_an_earlier_pickle_of_a_model_predicts_and_trains_as_then(earlier, kind):
    objects, want = earlier
    model = objects[kind]
    np.testing.assert_array_equal(model.predict(want["x"], verbose=0), want[kind])
    history = model.fit(want["x"], np.zeros((8, 2)), epochs=1, verbose=0)
    assert np.isfinite(history.history["loss"][0])


def test_an_earlier_pickle_gives_every_kind_of_object(earlier):
    objects, _ = earlier
    assert objects["loss_function"] is fastnn.losses.mean_squared_error
    assert objects["activation"] is fastnn.activations.gelu
    assert isinstance(objects["losses"][0], fastnn.losses.MeanSquaredError)
    assert isinstance(objects["optimizers"][0], fastnn.optimizers.Adam)
    assert isinstance(objects["variable"], fastnn.Variable)
    assert isinstance(objects["symbolic"], fastnn.KerasTensor)
    assert isinstance(objects["error"], fastnn.ShapeError)
    assert isinstance(objects["policy"], fastnn.DTypePolicy)
    assert float(objects["mae"].result()) == pytest.approx(1.0)


@pytest.mark.parametrize("kind", ["sequential", "functional"])
def test_an_earlier_file_gives_the_model_that_was_saved(earlier, kind):
    _, want = earlier
    model = fastnn.models.load_model(EARLIER / f"{kind}.safetensors")
    np.testing.assert_array_equal(model.predict(want["x"], verbose=0), want[kind])
    assert model.optimizer.iterations.numpy() > 0
