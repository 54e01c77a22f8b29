"""Feature spaces and crossed features give what Keras's give. Needs `[peers]` and TensorFlow."""

import os

import numpy as np
import pytest

import fastnn

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]
os.environ.setdefault("KERAS_BACKEND", "jax")
pytest.importorskip("tensorflow", reason="crossed features of Keras's need tensorflow")
keras = pytest.importorskip("keras", reason="the peers extra is not installed: keras")

RNG = np.random.default_rng(0)
ROWS = 60
TABLE = {
    "age": RNG.normal(40, 10, ROWS).astype("float32"),
    "pay": RNG.random(ROWS).astype("float32"),
    "kind": RNG.integers(0, 5, ROWS),
    "code": RNG.integers(-(2**31), 2**31, ROWS),
    "city": RNG.choice(["Rome", "Oslo", "Bern", "長崎", ""], ROWS),
    "zip": RNG.choice([f"{i:05}" for i in range(40)], ROWS),
}


def space(library, mode="concat"):
    kinds = library.utils.FeatureSpace
    made = kinds(
        {
            "age": kinds.float_normalized(),
            "pay": kinds.float_rescaled(scale=2.0, offset=1.0),
            "kind": "integer_categorical",
            "code": kinds.integer_hashed(num_bins=9),
            "city": kinds.string_categorical(num_oov_indices=0),
            "zip": "string_hashed",
        },
        crosses=[("kind", "city"), kinds.cross(("zip", "code"), crossing_dim=50)],
        crossing_dim=16,
        output_mode=mode,
    )
    made.adapt({k: list(v) if v.dtype.kind == "U" else v for k, v in TABLE.items()})
    return made


def called(made):
    return made({k: list(map(str, v)) if v.dtype.kind == "U" else v for k, v in TABLE.items()})


def test_crosses_of_text_and_whole_numbers_are_those_of_keras():
    columns = [TABLE["city"], TABLE["code"], TABLE["zip"], -TABLE["kind"]]
    for bins in (1, 2, 97, 2**20, 2**31 - 1):
        for first, last in ((0, 2), (1, 3), (0, 4), (2, 4)):
            theirs = keras.layers.HashedCrossing(bins)(columns[first:last])
            ours = fastnn.layers.HashedCrossing(bins)(columns[first:last])
            assert np.asarray(ours).tolist() == np.asarray(theirs).tolist()


@pytest.mark.parametrize("mode", ["concat", "dict"])
def test_a_table_is_encoded_as_in_keras(mode):
    theirs, ours = called(space(keras, mode)), called(space(fastnn, mode))
    if mode == "concat":
        theirs, ours = {"": theirs}, {"": ours}
    assert set(ours) == set(theirs)
    for key in theirs:
        np.testing.assert_allclose(np.asarray(ours[key]), np.asarray(theirs[key]), atol=1e-5)


def test_files_of_either_are_read_by_the_other(tmp_path):
    pytest.importorskip("h5py")
    theirs, ours = space(keras), space(fastnn)
    theirs.save(tmp_path / "theirs.keras")
    ours.save(tmp_path / "ours.keras")
    read = fastnn.models.load_model(tmp_path / "theirs.keras")
    np.testing.assert_allclose(np.asarray(called(read)), np.asarray(called(theirs)), atol=1e-5)
    back = keras.models.load_model(tmp_path / "ours.keras")
    np.testing.assert_allclose(np.asarray(called(back)), np.asarray(called(ours)), atol=1e-5)
