"""The site: `make docs` builds it from these pages, the docstrings and the package's own tables.

Pages under `generated/` are written at the start of each build: the API from the public names, the
errors of the exit tool from its codes, what is missing from the table that answers for it, and the
documents that live elsewhere in the repository. Nothing is fetched.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import docstrings  # noqa: E402  (tools/ is on the path from here on)
import fastnn  # noqa: E402
from fastnn.base.absent import ABSENT  # noqa: E402
from fastnn.exit_strategy.errors import CODES  # noqa: E402

project = "fastnn"
author = "the fastnn developers"
copyright = author
version = release = fastnn.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
html_title = f"fastnn {release}"
html_show_sourcelink = False
html_copy_source = False
exclude_patterns = ["generated/missing.md", "generated/exit-errors.md"]
default_role = "literal"
nitpicky = False
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
add_module_names = False
python_maximum_signature_line_length = 88

GENERATED = Path(__file__).parent / "generated"
BLOB = "https://github.com/fastnn/fastnn/blob/main/"
#: Documents that live elsewhere: their place in the repository, and their page.
ELSEWHERE = {
    "rust/ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "examples/README.md": "examples.md",
}


def write(path: Path, text: str) -> None:
    """Writes a page where it differs, so that only changed pages are built again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def write_pages() -> None:
    """Everything under `generated/`."""
    write(GENERATED / "missing.md", missing())
    write(GENERATED / "exit-errors.md", exit_errors())
    for source, page in ELSEWHERE.items():
        write(GENERATED / page, moved(ROOT / source))
    known = api()
    for name, text in known.items():
        write(GENERATED / "api" / f"{name}.rst", text)
    for old in (GENERATED / "api").glob("*.rst"):
        if old.stem not in known:
            old.unlink()


def missing() -> str:
    """The table of absent names, one row a reason."""
    rows: dict[tuple[str, str], list[str]] = {}
    for name, (why, instead) in ABSENT.items():
        rows.setdefault((why, instead), []).append(f"`{name}`")
    lines = [f"| {', '.join(n)} | {cell(why)} | {cell(instead)} |" for (why, instead), n in
             rows.items()]  # fmt: skip
    return "\n".join(["| name | why | instead |", "| --- | --- | --- |", *lines]) + "\n"


def exit_errors() -> str:
    """The stable codes of the exit tool."""
    lines = [f"| `{code}` | {cell(text)} |" for code, text in CODES.items()]
    return "\n".join(["| code | meaning |", "| --- | --- |", *lines]) + "\n"


def cell(text: str) -> str:
    """Text for a cell of a table."""
    return text.replace("|", "\\|").replace("*", "\\*")


def moved(source: Path) -> str:
    """A document of the repository as a page: its links lead to pages, or to the repository."""

    def target(match: re.Match[str]) -> str:
        link = match[1].removeprefix(BLOB)
        if "://" in link or link.startswith("#"):
            return match[0]
        base = ROOT if match[1].startswith(BLOB) else source.parent
        place, _, anchor = link.partition("#")
        inside = (base / place).resolve().relative_to(ROOT)
        if inside.parts[0] == "docs" and inside.suffix == ".md":
            found = "../" + "/".join(inside.parts[1:])
        elif str(inside) in ELSEWHERE:
            found = ELSEWHERE[str(inside)]
        else:
            found = BLOB + "/".join(inside.parts)
        return f"]({found}{'#' + anchor if anchor else ''})"

    return re.sub(r"\]\(([^)\s]+)\)", target, source.read_text(encoding="utf-8"))


def title(text: str, line: str = "=") -> str:
    """A heading."""
    return f"{text}\n{line * len(text)}\n\n"


def api() -> dict[str, str]:
    """One page a module: its text, its classes and functions, and the names that are aliases."""
    first = {id(value): name for name, value in docstrings.public().items()}
    pages: dict[str, str] = {}
    for where, module in [*docstrings.modules(), ("fastnn", fastnn)]:
        text = title(where) + prose(module.__doc__) + f".. currentmodule:: {where}\n\n"
        aliases = []
        for name in docstrings.names_of(module):
            value = getattr(module, name)
            if inspect.ismodule(value) or not callable(value):
                continue
            full = f"{where}.{name}"
            if first.get(id(value)) != full:
                aliases.append(f"* ``{name}``: :py:obj:`{first[id(value)]}`\n")
            elif inspect.isclass(value):
                text += f".. autoclass:: {full}\n{members(value, first)}\n"
            else:
                text += f".. autofunction:: {full}\n\n"
        if aliases:
            text += title("Further names", "-") + "".join(aliases) + "\n"
        pages[where] = text
    order = sorted(pages)
    listed = "".join(f"   {name}\n" for name in order)
    intro = "Every public name, from its docstring; ``help(name)`` shows the same.\n\n"
    pages["index"] = title("API") + intro + f".. toctree::\n   :maxdepth: 1\n\n{listed}"
    return pages


def members(cls: type, first: dict[int, str]) -> str:
    """The methods of a class that are worth a place: its own, with a docstring.

    Of the base classes, those of its bases that have no page of their own too.
    """
    skipped = {"build", "call", "compute_output_shape", "compute_mask", "compute_output_spec",
               "get_config", "from_config", "update_state", "result", "reset_state"}  # fmt: skip
    is_base = cls.__name__ in {"Layer", "Loss", "Metric", "Optimizer", "Model", "Callback"}
    ours = [part for part in reversed(cls.__mro__) if part.__module__.startswith("fastnn")]
    parts = [part for part in ours if part is cls or (is_base and id(part) not in first)]
    found = {n: m for part in parts for n, m in docstrings.methods(part).items()}
    names = [n for n, m in found.items() if m.__doc__ and (is_base or n not in skipped)]
    return f"   :members: {', '.join(names)}\n" if names else ""


# ---- docstrings as reStructuredText -------------------------------------------------------------


def inline(text: str) -> str:
    """Text of a docstring, with what reStructuredText would take for markup made plain."""
    out = ""
    for i, part in enumerate(re.split(r"(`+[^`]+`+)", text)):
        if i % 2:
            out += ("\\ " if out[-1:].isalnum() else "") + "``" + part.strip("`") + "``"
        else:
            # A literal has to stand apart from the letters around it.
            out += "\\ " if i and part[:1].isalnum() else ""
            out += re.sub(r"([\\*|_])", r"\\\1", part)
    return out


def prose(doc: str | None) -> str:
    """Paragraphs, lists and sessions of a docstring."""
    out = []
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(doc or "")):
        lines = paragraph.splitlines()
        if any(line.lstrip().startswith(">>>") for line in lines):
            out.append(".. code-block:: pycon\n\n" + "".join(f"   {line}\n" for line in lines))
        elif all(re.match(r"( {4,}|\t)", line) for line in lines) and lines:
            out.append(".. code-block:: text\n\n" + "".join(f"   {line}\n" for line in lines))
        else:
            out.append(inline(" ".join(line.strip() for line in lines)))
    return "\n\n".join(out) + "\n\n"


def as_rst(app: Any, kind: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """A docstring of the one form as fields and a session."""
    doc = docstrings.parse("\n".join(lines))
    out = prose(doc.summary) + (prose(doc.text) if doc.text else "")
    for names, text in docstrings.entries(doc.sections.get("Args", "")):
        for one in names.split(","):
            out += f":param {one.strip().replace('*', chr(92) + '*')}: {inline(text)}\n"
    for section, label in (("Returns", "returns"), ("Yields", "returns")):
        if section in doc.sections:
            out += f":{label}: {inline(' '.join(doc.sections[section].split()))}\n"
    for error, text in docstrings.entries(doc.sections.get("Raises", "")):
        for one in error.split(","):
            out += f":raises {one.strip()}: {inline(text)}\n"
    if doc.example:
        out += "\n.. code-block:: pycon\n\n"
        out += "".join(f"   {line}\n" for line in doc.example.splitlines())
    lines[:] = (out + "\n").splitlines()


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("builder-inited", lambda _: write_pages())
    app.connect("autodoc-process-docstring", as_rst)
