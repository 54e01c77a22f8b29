"""pytest plugin for Keras's tests: installs the shim, notes every outcome as a line of JSON.

Settings come by environment: FASTNN_CONFORMANCE_TREE (where the wheel's tests lie) and
FASTNN_CONFORMANCE_LOG (where outcomes are written).
"""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Any

import keras_shim
import pytest

TREE = Path(os.environ["FASTNN_CONFORMANCE_TREE"])
LOG = Path(os.environ["FASTNN_CONFORMANCE_LOG"])


def pytest_configure(config: Any) -> None:
    """Installs the finder and Keras's marks."""
    for mark in ("requires_trainable_backend", "multi_device"):
        config.addinivalue_line("markers", f"{mark}: a mark of Keras's tests")
    keras_shim.install((TREE / "modules.txt").read_text().split(), TREE / "testing")
    from keras.src.testing import TestCase, test_case

    test_case.get_seed_generators = lambda layer: list(
        {id(g): g for x in layer._every_layer() for g in x._own_generators()}.values()
    )
    check = TestCase.run_layer_test

    @functools.wraps(check)
    def run_layer_test(self: Any, *args: Any, **kwargs: Any) -> Any:
        # fastnn computes in float32 alone: the step in mixed_float16 is left out everywhere.
        return check(self, *args, **{**kwargs, "run_mixed_precision_check": False})

    TestCase.run_layer_test = run_layer_test


def _note(nodeid: str, outcome: str, text: str) -> None:
    with LOG.open("a") as f:
        f.write(json.dumps({"test": nodeid, "outcome": outcome, "text": text[-4000:]}) + "\n")


def pytest_collectreport(report: Any) -> None:
    """A file that cannot be imported counts as a failure of the whole file."""
    if report.failed:
        _note(report.nodeid, "error", str(report.longrepr))


def pytest_runtest_logreport(report: Any) -> None:
    """One line per test."""
    if report.when == "call" or report.outcome != "passed":
        text = report.longrepr or ""
        if report.skipped:  # a failure that its test expects counts as a skip
            text = report.wasxfail if hasattr(report, "wasxfail") else report.longrepr[2]
        _note(report.nodeid, report.outcome, str(text))


@pytest.fixture(autouse=True)
def _clean(request: Any) -> Any:
    keras_shim.know_classes(request.module)
    # Keras tests the formulas of its losses on targets that they are not for, such as a mask of 2.
    keras_shim.config.set_target_checks("losses" not in request.node.nodeid)
    yield
    keras_shim.finish_test()
