"""What tests of several kinds of files share."""

import pytest


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with one trained model in every kind of Keras's files."""
    from fuzz_files import small, write_legacy

    folder = tmp_path_factory.mktemp("saved")
    model = small(trained=True)
    model.save(folder / "m.keras")
    model.save_weights(folder / "m.weights.h5")
    write_legacy(folder / "m.h5", model)
    return folder
