"""Every error that fastnn raises ends in a hint: found by reading all raise sites, Python and Rust.

The exit tool's errors carry their hint in a field of `Issue`, which its own tests hold to it.
"""

import ast
import importlib
import re
from pathlib import Path

import pytest

import fastnn
from fastnn import namespaces

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "python" / "fastnn"
CRATES = [ROOT / "rust" / name / "src" for name in ("fastnn", "fastnn-py")]

#: Files and functions whose errors get their hint elsewhere, and where.
ELSEWHERE = {
    ("files/keras/", ""): "format_errors adds 'is the file damaged' and the name of the file",
    ("serialization/keras_config.py", "FormatError"): "format_errors, as above",
    ("cli.py", "ArgumentTypeError"): "argparse prints it with the usage",
    ("serialization/file_budget.py", "FormatError"): "the texts get their hints just above",
    ("base/finder.py", "AttributeError"): "the import system asks and nobody reads it",
    ("layers/base/layer.py", "ConfigError"): "the text gets its hint just above",
    ("layers/base/config.py", "TypeError"): "the inner error's text, hint included, stands in it",
    ("ops/rounds.py", "Untraceable"): "the loops in control.py catch it and say it with a hint",
    ("ops/control.py", "Untraceable"): "the loops catch it and say it with a hint",
    ("layers/base/module.py", "AttributeError"): "Python adds the near name; hint just above",
    ("data/batches.py", "ShapeError"): "the text is built with its hint just above",
    ("keras_backend/", "Unable"): "it becomes a warning, whose hint stands in calls.py",
    ("devices/executor.py", "DataError"): "the planner's text, hint included, stands in it",
    ("devices/gpu.py", "GpuUnavailableError"): "the text is built with its hint just below",
}


def texts(node):
    return "".join(
        n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)
    )


def raises():
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if name.startswith("exit_strategy/"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                made = node.exc.func
                kind = getattr(made, "id", getattr(made, "attr", "?"))
                if kind[0].isupper():
                    yield name, node.lineno, kind, node.exc


def excused(name, kind):
    return any(name.startswith(part) and wanted in ("", kind) for part, wanted in ELSEWHERE)


def test_every_error_of_the_front_ends_in_a_hint():
    found = list(raises())
    assert len(found) > 300, "the walk has lost the raise sites"
    without = [
        f"{name}:{line} {kind}: {texts(call)[:60]}"
        for name, line, kind, call in found
        if "hint:" not in texts(call) and not excused(name, kind) and kind != "StopIteration"
    ]
    assert not without, "\n".join(without)


def test_no_excuse_is_idle():
    kinds = [(name, kind) for name, _, kind, call in raises() if "hint:" not in texts(call)]
    for part, wanted in ELSEWHERE:
        assert any(n.startswith(part) and wanted in ("", k) for n, k in kinds), (part, wanted)


def test_hints_stand_on_a_line_of_their_own():
    for name, line, _, call in raises():
        for part in ast.walk(call):
            text = part.value if isinstance(part, ast.Constant) else None
            if isinstance(text, str) and "hint:" in text:
                assert re.search(r"^  hint: ?", text, re.M), f"{name}:{line}"


#: Rust files whose errors get their hint elsewhere, or that no user can cause, and why.
ELSEWHERE_IN_RUST = {
    ("save.rs", "Error::Format"): "serial.format_errors adds 'is the file damaged'",
    ("save/graph.rs", "Error::Format"): "serial.format_errors adds 'is the file damaged'",
    ("save/json.rs", "Error::Format"): "serial.format_errors adds 'is the file damaged'",
    ("save/safetensors.rs", "Error::Format"): "serial.format_errors adds 'is the file damaged'",
    ("save/safetensors.rs", "Error::Io"): "the operating system's own words",
    ("save/safetensors.rs", "Error::System"): "the operating system's own words",
    ("shape.rs", "shape_err!"): "the rules that call `broadcast` add what fits them",
    ("optim.rs", "data_err!"): "optimizers make their slots themselves",
    ("optim.rs", "Error::Shape"): "optimizers make their slots themselves",
}

_MADE = re.compile(
    r"\b(shape_err!|data_err!|Error::(?:Shape|Data|Trace|Device|Format|Io|System|Memory)"
    r"|Py\w+Error::new_err)\("
)
#: Functions whose texts, which end in a hint, are told by the CPU and by other devices.
_WITH_HINT = "outside("
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[()]', re.S)


def rust_call(text, start):
    """The arguments of the call whose bracket opens at `start`."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        depth += {"(": 1, ")": -1}.get(token[0], 0)
        if depth == 0:
            return text[start : token.end()]
    raise AssertionError(f"a bracket is not closed: {text[start : start + 60]}")


def rust_errors():
    """File, line, kind and arguments of every place in Rust that makes an error from a text."""
    for crate in CRATES:
        for path in sorted(crate.rglob("*.rs")):
            text = path.read_text(encoding="utf-8").split("#[cfg(test)]\nmod ")[0]
            for made in _MADE.finditer(text):
                call = rust_call(text, made.end() - 1)
                if '"' in call:
                    line = text.count("\n", 0, made.start()) + 1
                    yield path.relative_to(crate).as_posix(), line, made[1], call


def test_every_error_of_the_engine_ends_in_a_hint():
    found = list(rust_errors())
    assert len(found) > 100, "the walk has lost the places that make errors"
    without = [
        f"{name}:{line} {kind} {' '.join(call.split())[:80]}"
        for name, line, kind, call in found
        if "hint:" not in call and _WITH_HINT not in call and (name, kind) not in ELSEWHERE_IN_RUST
    ]
    assert not without, "\n".join(without)


def test_no_excuse_of_the_engine_is_idle():
    without = {(name, kind) for name, _, kind, call in rust_errors() if "hint:" not in call}
    assert set(ELSEWHERE_IN_RUST) <= without


def test_hints_of_the_engine_stand_on_a_line_of_their_own():
    for name, line, _, call in rust_errors():
        assert not re.search(r"; hint:", call), f"{name}:{line}"
        if "hint:" in call and "{hint}" not in call:
            assert re.search(r"\\n\s*(\\\s*)?hint: ?", call), f"{name}:{line} {call}"


def public_modules():
    """The modules that users name: by `fastnn`, `fastnn.keras`, TensorFlow's words and the rest."""
    named = {*namespaces.MODULES.values(), *namespaces.KERAS_MODULES.values()}
    named |= {f"fastnn.{name}" for name in ("exit_strategy", "exit_strategy.money", "keras")}
    for package in (fastnn.applications, fastnn.datasets):
        named |= {f"{package.__name__}.{name}" for name in package.__all__ if name.islower()}
    modules = {name: importlib.import_module(name) for name in named}
    return modules | {f"tf.{n}": getattr(fastnn, n) for n in namespaces.TENSORFLOW_MODULES}


def test_every_public_module_answers_for_names_that_it_has_not():
    assert len(public_modules()) > 80
    for name, module in public_modules().items():
        with pytest.raises(AttributeError, match="no_such_name") as caught:
            _ = module.no_such_name
        assert re.search(r"^  hint: .", str(caught.value), re.M), name


def test_misspelt_names_of_small_modules_are_told():
    for module, name, meant in (
        (fastnn.activations, "rellu", "relu"),
        (fastnn.keras.applications.vgg16, "preproces_input", "preprocess_input"),
        (fastnn.datasets.mnist, "load_dat", "load_data"),
        (fastnn.debugging, "enable_check_numerics", "check_numerics"),
    ):
        with pytest.raises(AttributeError, match=meant):
            getattr(module, name)
