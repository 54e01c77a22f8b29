"""Every error that fastnn raises ends in a hint: found by reading all raise sites of the package.

The exit tool's errors carry their hint in a field of `Issue`, which its own tests hold to it.
"""

import ast
import re
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "python" / "fastnn"

#: Files and functions whose errors get their hint elsewhere, and where.
ELSEWHERE = {
    ("keras_files", ""): "serial.format_errors adds 'is the file damaged' and the file's name",
    ("cli.py", "ArgumentTypeError"): "argparse prints it with the usage",
    ("serial.py", "FormatError"): "the texts are built with their hints just above",
    ("finder.py", "AttributeError"): "the import system asks and nobody reads it",
    ("layers/base.py", "ConfigError"): "the text gets its hint just above",
    ("layers/base.py", "TypeError"): "the inner error's text, hint included, stands in it",
    ("data.py", "ShapeError"): "the text is built with its hint just above",
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
