"""The checked-in stubs are what the built module would give."""

import ast
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


@pytest.mark.parametrize("package", ["callbacks", "layers", "losses", "metrics", "optimizers"])
def test_a_package_exports_what_its_modules_export(package):
    whole = importlib.import_module(f"fastnn.{package}")
    modules = [m.name for m in pkgutil.iter_modules(whole.__path__)]
    if package == "losses":  # the others hold what the losses share
        modules = [m for m in modules if m.startswith(("classification", "regression", "temporal"))]
    names = [f"{whole.__name__}.{name}" for name in modules]
    held = {n for name in names for n in getattr(importlib.import_module(name), "__all__", ())}
    if package == "optimizers":  # a namespace of its own
        held -= set(whole.schedules.__all__)
    if package == "layers":  # offered by `fastnn.nn`
        assert set(whole.transformer.__all__) <= set(importlib.import_module("fastnn.nn").__all__)
        held -= {*whole.transformer.__all__, "TABLE"}
    assert held - {"CallContext", "Logs"} <= set(whole.__all__)
    assert all(hasattr(whole, name) for name in whole.__all__)
    for name in set(whole.__all__) - {"deserialize", "get", "serialize"}:
        thing = getattr(whole, name)
        home = getattr(thing, "__module__", "")
        if home.startswith(f"{whole.__name__}.") and thing.__name__ == name:
            assert name in importlib.import_module(home).__all__, f"{home} defines {name}"


def untyped(classes: list[ast.ClassDef]) -> set[str]:
    """Attributes of base classes, given in the class, whose type every checker guesses anew.

    What a number or a string of their own says, or a name that is defined elsewhere, is known.
    """
    bases = {
        ast.unparse(base).split("[")[0].rpartition(".")[2] for c in classes for base in c.bases
    }
    return {
        f"{c.name}.{target.id}"
        for c in classes
        if c.name in bases and not c.name.startswith("_")
        for node in c.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
        and (target.id.startswith("__") or not target.id.startswith("_"))
        and target.id not in ("__slots__", "__match_args__")
        and not isinstance(node.value, ast.Name)
        and type(getattr(node.value, "value", None)) not in (str, int, bool)
    }


def test_attributes_of_base_classes_have_types():
    """One that has none makes everything that names the class or one below it partly unknown."""
    files = (ROOT / "python" / "fastnn").rglob("*.py")
    nodes = [n for f in files for n in ast.walk(ast.parse(f.read_text(encoding="utf-8")))]
    classes = [n for n in nodes if isinstance(n, ast.ClassDef)]
    assert not untyped(classes)
    text = "class A:\n    a = 1\n    b: float = 1.0\n    c = a\n    d = 1.0\nclass B(A): e = 1.0"
    assert untyped([n for n in ast.parse(text).body if isinstance(n, ast.ClassDef)]) == {"A.d"}
