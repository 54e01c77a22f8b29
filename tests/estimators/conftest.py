"""Data that the tests of estimators share."""

import pytest


@pytest.fixture(scope="module")
def moons():
    make_moons = pytest.importorskip("sklearn.datasets").make_moons
    return make_moons(200, noise=0.2, random_state=0)
