"""The checked-in stubs are what the built module would give."""

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_the_stubs_are_current():
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "stubs.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("package", ["fastnn.layers", "fastnn.metrics", "fastnn.optimizers"])
def test_a_package_exports_what_its_modules_export(package):
    whole = importlib.import_module(package)
    names = [f"{package}.{module.name}" for module in pkgutil.iter_modules(whole.__path__)]
    held = {n for name in names for n in getattr(importlib.import_module(name), "__all__", ())}
    if package == "fastnn.optimizers":  # a namespace of its own
        held -= set(whole.schedules.__all__)
    if package == "fastnn.layers":  # offered by `fastnn.nn`
        assert set(whole.transformer.__all__) <= set(importlib.import_module("fastnn.nn").__all__)
        held -= {*whole.transformer.__all__, "TABLE"}
    assert "Layer" in held or "AUC" in held or "Adam" in held
    assert held - {"CallContext"} <= set(whole.__all__)
    assert all(hasattr(whole, name) for name in whole.__all__)
