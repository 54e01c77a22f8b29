"""The public names of fastnn and the form of their docstrings: for the tests and the API pages.

A docstring is a summary, further paragraphs, then sections `Args:`, `Returns:`, `Yields:`,
`Raises:` and `Example:`, each with an indented body. Depends on `fastnn` and the standard library.
"""

from __future__ import annotations

import importlib
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import fastnn
from fastnn.namespaces import CORE, KERAS, MODULES

SECTIONS = ("Args", "Returns", "Yields", "Raises", "Example")


@dataclass
class Docstring:
    """A docstring taken apart."""

    summary: str
    text: str  # what follows the summary, paragraphs kept
    sections: dict[str, str] = field(default_factory=dict)

    @property
    def args(self) -> dict[str, str]:
        """What `Args:` says of each parameter; a line `a, b: text` speaks of both."""
        return {
            name.strip().lstrip("*"): text
            for names, text in entries(self.sections.get("Args", ""))
            for name in names.split(",")
        }

    @property
    def example(self) -> str:
        """The text of `Example:`."""
        return self.sections.get("Example", "")


def parse(doc: str | None) -> Docstring:
    """A docstring taken apart."""
    lines = inspect.cleandoc(doc or "").splitlines()
    sections: dict[str, list[str]] = {}
    head: list[str] = []
    current = head
    for line in lines:
        title = re.fullmatch(r"(\w+):", line)
        if title and title[1] in SECTIONS:
            current = sections.setdefault(title[1], [])
        elif line and not line.startswith(" ") and current is not head:
            current = head  # a paragraph after a section belongs to the text
            current.append(line)
        else:
            current.append(line)
    paragraphs = "\n".join(head).strip().split("\n\n", 1)
    return Docstring(
        " ".join(paragraphs[0].split()),
        paragraphs[1].strip() if len(paragraphs) > 1 else "",
        {name: textwrap.dedent("\n".join(body)).strip() for name, body in sections.items()},
    )


def entries(body: str) -> list[tuple[str, str]]:
    """The entries `name: text` of a section; indented lines go on."""
    found: list[tuple[str, str]] = []
    for line in body.splitlines():
        start = re.match(r"(\*{0,2}\w+(?:, \*{0,2}\w+)*): (.*)", line)
        if start:
            found.append((start[1], start[2]))
        elif found and line.strip():
            found[-1] = (found[-1][0], f"{found[-1][1]} {line.strip()}")
    return found


def names_of(module: ModuleType) -> list[str]:
    """The public names of a module: those it lists, else those that it defines."""
    if listed := getattr(module, "__all__", None):
        return sorted(listed)
    own = [  # of a copy: asking a lazy module for an attribute may add its name here
        n for n, value in list(vars(module).items())
        if not n.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]  # fmt: skip
    return sorted(own)


def modules() -> Iterator[tuple[str, ModuleType]]:
    """Every public module by its public name, submodules that are packages' own included."""
    for name, path in MODULES.items():
        module = importlib.import_module(path)
        yield f"fastnn.{name}", module
        for inner in names_of(module):
            value = getattr(module, inner)
            if inspect.ismodule(value) and value.__name__ == f"{path}.{inner}":
                yield f"fastnn.{name}.{inner}", value


def public() -> dict[str, Any]:
    """Every public class and function once, by the first name under which it is offered."""
    found: dict[str, Any] = {}
    seen: set[int] = set()

    def take(name: str, value: Any) -> None:
        if id(value) not in seen and callable(value) and not inspect.ismodule(value):
            seen.add(id(value))
            found[name] = value

    for where, module in modules():
        for name in names_of(module):
            take(f"{where}.{name}", getattr(module, name))
    for name in {**KERAS, **CORE}:
        take(f"fastnn.{name}", getattr(fastnn, name))
    return found


def with_methods() -> dict[str, Any]:
    """`public()`, and the public methods of the classes that programs call most."""
    found = public()
    seen = set()
    for name in ("Model", "Sequential", "Layer", "Optimizer", "Metric", "Loss", "Variable"):
        for method, value in inspect.getmembers(getattr(fastnn, name), inspect.isfunction):
            ours = value.__module__.partition(".")[0] == "fastnn" and not method.startswith("_")
            if ours and value not in seen:
                seen.add(value)
                found[f"fastnn.{name}.{method}"] = value
    return found


def methods(cls: type) -> dict[str, Callable[..., Any]]:
    """The public methods that a class defines itself."""
    return {n: v for n, v in vars(cls).items() if inspect.isfunction(v) and not n.startswith("_")}


def parameters(value: Any) -> list[str]:
    """The parameters that a docstring has to name."""
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return []
    skipped = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        name
        for name, p in signature.parameters.items()
        if p.kind not in skipped and name not in ("self", "cls") and not name.startswith("_")
    ]


def faults(value: Any) -> list[str]:
    """What the docstring of a public class or function lacks of the one form."""
    doc = parse(value.__doc__ if inspect.isclass(value) else inspect.getdoc(value))
    lacks = []
    if not doc.summary:
        return ["a docstring"]
    if inspect.isclass(value) and issubclass(value, Exception):
        return []  # the error catalogue shows them
    if not doc.summary.rstrip(":").endswith((".", "`", ")")):
        lacks.append("a summary that ends in a full stop")
    missing = [name for name in parameters(value) if name not in doc.args]
    if missing:
        lacks.append(f"Args for {', '.join(missing)}")
    unknown = set(doc.args) - set(parameters(value)) - _open(value)
    if unknown:
        lacks.append(f"parameters that it does not have: {', '.join(sorted(unknown))}")
    if (
        not inspect.isclass(value)
        and _gives(value)
        and not {"Returns", "Yields"} & set(doc.sections)
    ):
        lacks.append("Returns")
    if ">>> " not in doc.example:
        lacks.append("an Example that runs")
    return lacks


def _open(value: Any) -> set[str]:
    """Names that a signature with `*args` or `**kwargs` may have besides."""
    try:
        kinds = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return {"args", "kwargs"}
    wide = any(p.kind is p.VAR_KEYWORD or p.kind is p.VAR_POSITIONAL for p in kinds)
    named = parse(inspect.getdoc(value)).args
    return set(named) if wide else set()


def _gives(value: Any) -> bool:
    """Whether a function gives anything but None, as far as its annotation says."""
    return getattr(value, "__annotations__", {}).get("return") not in (None, "None")
