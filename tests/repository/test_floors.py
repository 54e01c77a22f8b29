"""The house stands on its floors: a module uses lower floors only, the core and the kernels of
decisions know neither Python nor the GPU, and what is built on fastnn uses its public names only.

The floors are those of rust/ARCHITECTURE.md. A new top-level module of the core, or a new module of
the front, must be given one here, or a test fails.
"""

import ast
import functools
import importlib
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


CORE = ROOT / "rust" / "fastnn" / "src"
DECISION = ROOT / "rust" / "fastnn-decision" / "src"
FLOORS = (
    ("error", "sync", "dim", "shape"),
    ("simd", "pool", "buffer"),
    ("kernels",),
    ("graph",),
    ("ops",),
    ("passes",),
    ("exec",),
    ("tensor", "function", "optim", "repeat", "train", "save"),
)
FLOOR = {module: floor for floor, modules in enumerate(FLOORS) for module in modules}

FRONT = ROOT / "python" / "fastnn"
#: Files and packages below `fastnn`. Those of one floor do not know each other.
FLOORS_PY = (
    ("errors", "namespaces", "dtype_policies"),
    ("base",),
    ("config",),
    ("tracing",),
    ("serialization",),
    ("ops",),
    ("random",),
    ("activations", "initializers", "regularizers", "constraints"),
    ("data", "devices"),
    ("losses", "transforms"),
    ("metrics", "optimizers"),
    ("layers", "display"),
    ("files",),
    ("onnx",),
    ("callbacks",),
    ("training",),
    ("models",),
    (
        "saving",
        "plot",
        "debug",
        "distillation",
        "distributed",
        "distribution",
        "ensemble",
        "mixed_precision",
        "stability",
        "explanation",
        "generation",
        "privacy",
        "hub",
        "keras_backend",
        "compression",
        "serving",
        "visualization",
    ),
    ("utils",),
    ("applications", "backend", "preprocessing", "tensorflow", "datasets", "keras"),
    ("nn",),
    ("exit_strategy", "sklearn"),
    ("wrappers",),
    ("cli",),
    ("__main__",),
)
FLOOR_PY = {name: floor for floor, names in enumerate(FLOORS_PY) for name in names}
#: The files that import a module by a name that is not written there, and why they may.
BY_NAME = {
    "base/lazy.py",  # loads on use: names of the public tables
    "base/finder.py",  # other names of modules
    "base/absent.py",  # the same names, asked for as attributes
    "exit_strategy/__init__.py",  # its own public names, loaded on use
    "exit_strategy/money/__init__.py",  # likewise
    "plot.py",  # extras, with a hint when they are missing
}
#: What loads modules of higher floors by `base.lazy.load`: configs and pickles name classes there.
LOAD_BY_NAME = {"serialization/registry.py", "tracing/known_ops.py"}
FOREIGN_WORDS = r"pyo3|python|cpython|gil|wgpu|wgsl|webgpu|cuda|rocm|metal|vulkan|gpu"
HEAVY = (
    "wgpu", "matplotlib", "sklearn", "scipy", "pandas", "h5py", "yaml", "pyarrow", "torch", "jax",
    "keras", "tensorflow", "onnx", "onnxruntime", "IPython", "PIL", "hypothesis", "pytest",
    "mpi4py",
)  # fmt: skip


def strip_rust(text: str) -> str:
    """The code of a Rust file: without comments, strings and its `#[cfg(test)]` module."""
    text = text.split("#[cfg(test)]")[0]
    text = re.sub(r'"(?:\\.|[^"\\])*"', '""', text)
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    return re.sub(r"//[^\n]*", "", text)


def crate_modules(code: str, depth: int) -> set[str]:
    """Top-level modules of the crate that `code`, `depth` folders below `src`, names."""
    root = rf"\b(?:crate|(?:super::){{{depth - 1}}}super)\s*::\s*"
    found = set(re.findall(root + r"(\w+)", code))
    for group in re.findall(root + r"\{", code):
        start = code.index(group) + len(group)
        found |= top_level_names(code[start:])
    return found


def top_level_names(text: str) -> set[str]:
    """First names of the items of a `{a, b::c, d::{e, f}}` list, given the text after `{`."""
    names, level, item = set(), 0, ""
    for char in text:
        if level == 0 and char in ",}":
            names |= set(re.findall(r"^\s*(\w+)", item))
            item = ""
            if char == "}":
                break
            continue
        level += {"{": 1, "}": -1}.get(char, 0)
        item += char
    return names


def core_files():
    files = sorted(CORE.rglob("*.rs"))
    assert files, "the core has moved; this test must follow"
    return [f for f in files if f.name != "lib.rs"]


def test_the_checker_sees_an_upward_use():
    assert crate_modules("use crate::kernels::gemm;", 1) == {"kernels"}
    assert crate_modules("use crate::{error::Error, ops::{a, b}, exec};", 1) == {
        "error",
        "ops",
        "exec",
    }
    assert crate_modules("fn f() { super::super::exec::run() }", 2) == {"exec"}
    assert crate_modules("use super::tile_ops::TileFn;", 2) == set()
    assert "exec" not in strip_rust(
        '// crate::exec\nlet s = "crate::exec";\n#[cfg(test)] crate::exec'
    )


@pytest.mark.parametrize("path", core_files(), ids=lambda p: str(p.relative_to(CORE)))
def test_no_module_of_the_core_uses_a_higher_floor(path):
    parts = path.relative_to(CORE).with_suffix("").parts
    assert parts[0] in FLOOR, f"{parts[0]}: give the new module a floor in FLOORS"
    used = crate_modules(strip_rust(path.read_text(encoding="utf-8")), len(parts))
    upward = {m for m in used & FLOOR.keys() if FLOOR[m] > FLOOR[parts[0]]}
    assert not upward, f"{parts[0]} (F{FLOOR[parts[0]]}) uses {sorted(upward)}"


def files_without_python():
    files = [*sorted(CORE.rglob("*.rs")), *sorted(DECISION.rglob("*.rs"))]
    assert DECISION / "lib.rs" in files, (
        "the kernels of decisions have moved; this test must follow"
    )
    return files


@pytest.mark.parametrize(
    "path", files_without_python(), ids=lambda p: str(p.relative_to(ROOT / "rust"))
)
def test_below_the_binding_is_no_word_of_python_or_gpu(path):
    words = re.findall(rf"\b(?:{FOREIGN_WORDS})\b", path.read_text(encoding="utf-8"), re.I)
    assert not words


def test_one_file_of_the_core_waits_and_one_of_the_binding_leaves_the_interpreter():
    """A wait elsewhere could be made with the interpreter held, or be met half-way by a fork."""
    binding = ROOT / "rust" / "fastnn-py" / "src"
    waits = (
        r"\b(?:Mutex|RwLock|Condvar|OnceLock|LazyLock|Once|Barrier|mpsc|eprintln|eprint|println)\b"
    )
    parks = rf"{waits}|thread::(?:park|sleep)|\.join\(\)"
    leaves = r"\.detach\(|Python::(?:attach|try_attach)|PyGILState|PyEval_(?:Save|Restore)Thread"
    for path in [*core_files(), *sorted(DECISION.rglob("*.rs")), *sorted(binding.rglob("*.rs"))]:
        text = strip_rust(path.read_text(encoding="utf-8"))
        name = str(path.relative_to(ROOT / "rust"))
        if name != "fastnn/src/sync.rs":
            # The pool's helpers park; its caller only spins and yields.
            found = re.findall(waits if name == "fastnn/src/pool.rs" else parks, text)
            assert not found, f"{name}: {found[0]}; use fastnn::sync"
        if name != "fastnn-py/src/interpreter.rs":
            found = re.findall(leaves, text)
            assert not found, f"{name}: {found[0]}; use interpreter::detach and attach"


def test_the_core_depends_on_five_small_crates_only():
    manifest = tomllib.loads((ROOT / "rust/fastnn/Cargo.toml").read_text(encoding="utf-8"))
    assert set(manifest["dependencies"]) <= {
        "libc",
        "serde",
        "serde_json",
        "smallvec",
        "thiserror",
    }
    assert not manifest.get("build-dependencies")


def test_the_kernels_of_decisions_use_the_core_only_and_each_other_never():
    manifest = tomllib.loads((ROOT / "rust/fastnn-decision/Cargo.toml").read_text(encoding="utf-8"))
    assert set(manifest["dependencies"]) == {"fastnn"}
    assert not manifest.get("build-dependencies")
    modules = {path.stem for path in DECISION.glob("*.rs")} - {"lib"}
    for path in sorted(DECISION.rglob("*.rs")):
        parts = path.relative_to(DECISION).with_suffix("").parts
        used = crate_modules(strip_rust(path.read_text(encoding="utf-8")), len(parts))
        assert not used & (modules - {parts[0]}), f"{path.name} uses {sorted(used)}"


@functools.cache
def front_modules() -> dict[str, Path]:
    """Every module of the front by its dotted name."""
    found = {}
    for path in sorted(FRONT.rglob("*.py")):
        parts = path.relative_to(FRONT.parent).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    assert "fastnn.layers" in found, "the front has moved; this test must follow"
    return found


def imports_of(text: str, module: str, is_package: bool) -> set[str]:
    """What a file imports anywhere: in functions, for type checkers, and by a name it spells out.

    Modules come with the names taken from them (`a.b.c` of `from a.b import c`).
    """
    package = module if is_package else module.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                outer = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*outer, base] if base else outer)
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
        elif imports_by_name(node) and isinstance(node.args[0], ast.Constant):
            found.add(node.args[0].value)
    return found


def imports_by_name(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
        ("import_module", "__import__")
    )


@functools.cache
def front_imports() -> dict[str, set[str]]:
    """What every module of the front imports, as `imports_of` reads it."""
    return {
        module: imports_of(path.read_text(encoding="utf-8"), module, path.name == "__init__.py")
        for module, path in front_modules().items()
    }


@functools.cache
def front_graph() -> dict[str, set[str]]:
    """Which module of the front imports which; importing `fastnn` itself is free for all."""
    modules = front_modules()
    graph = {}
    for module, used in front_imports().items():
        above = {d for d in used if f"{module}.".startswith(f"{d}.")}
        graph[module] = {d for d in used & modules.keys() if d not in above | {"fastnn"}}
    return graph


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The groups of modules that import each other in a circle."""
    reached: dict[str, set[str]] = {}
    for start in graph:
        seen: set[str] = set()
        pending = [*graph[start]]
        while pending:
            module = pending.pop()
            if module not in seen:
                seen.add(module)
                pending.extend(graph[module])
        reached[start] = seen
    groups = {
        tuple(sorted(b for b in reached[a] if a in reached[b])) for a in graph if a in reached[a]
    }
    return [list(group) for group in sorted(groups)]


def test_the_checker_sees_imports_of_every_kind():
    text = """
import fastnn.ops
from . import tree
from fastnn.layers import Dense
if TYPE_CHECKING:
    from fastnn.models import Model
def f():
    from ..files import native
    importlib.import_module("fastnn.saving")
"""
    found = imports_of(text, "fastnn.base.lazy", False)
    assert {
        "fastnn.ops", "fastnn.base.tree", "fastnn.layers.Dense", "fastnn.models", "fastnn.saving",
        "fastnn.files.native",
    } <= found  # fmt: skip
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]


def test_the_front_has_no_circle_of_imports():
    assert circles(front_graph()) == []


@pytest.mark.parametrize("package", sorted({m.split(".")[1] for m in front_modules() if "." in m}))
def test_no_module_of_the_front_uses_a_higher_floor(package):
    assert package in FLOOR_PY, f"{package}: give the new module a floor in FLOORS_PY"
    for module, used in front_graph().items():
        if module.partition(".")[2].partition(".")[0] != package:
            continue
        others = {d.split(".")[1] for d in used} - {package}
        upward = {other for other in others if FLOOR_PY[other] >= FLOOR_PY[package]}
        assert not upward, f"{module} (F{FLOOR_PY[package]}) uses {sorted(upward)}"


def named_below(text: str) -> set[str]:
    """The modules that "Depends on `a`, `b`" in the first lines of a file names."""
    said = re.search(r"\bDepends on (.*?)(?:\.\s|\.$|;|$)", " ".join(text.split()))
    return set(re.findall(r"`([\w.]+)`", said[1])) if said else set()


def test_the_checker_reads_what_a_file_depends_on():
    assert named_below("Does.\n\nDepends on `a`,\n`b.c`. Not on `d`.") == {"a", "b.c"}
    assert named_below("Depends on `a`; the model brings `predict`.") == {"a"}
    assert named_below("Uses `a`.") == set()


def test_what_a_file_says_it_depends_on_it_imports():
    """A package depends on what its modules import, and names those modules as well."""
    wrong, seen = {}, 0
    for module, path in front_modules().items():
        named = named_below(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "")
        files = {module}
        if path.name == "__init__.py":
            files |= {m for m in front_modules() if m.startswith(f"{module}.")}
        used = files.union(*(front_imports()[m] for m in files)) - {module}
        known = {f".{name}." for name in used}
        absent = {n for n in named if not any(f".{n}." in name for name in known)}
        seen += bool(named)
        if absent:
            wrong[module] = sorted(absent)
    assert not wrong
    assert seen > 200, "the lines have another form; this test must follow"


def test_the_front_imports_by_name_in_one_module_only():
    for module, path in front_modules().items():
        name = path.relative_to(FRONT).as_posix()
        text = path.read_text(encoding="utf-8")
        calls = [n for n in ast.walk(ast.parse(text)) if imports_by_name(n)]
        if any(not isinstance(n.args[0], ast.Constant) for n in calls):
            assert name in BY_NAME, f"{name} imports a module by a name it does not spell out"
        if "fastnn.base.lazy.load" in front_imports()[module]:
            assert name in LOAD_BY_NAME, f"{name}: import what it needs, or register it"


def test_the_front_names_its_modules_by_their_places():
    """Paths of earlier versions are for programs and pickles."""
    from fastnn.base.finder import _EARLIER

    for module, used in front_imports().items():
        assert not used & {f"fastnn.{earlier}" for earlier in _EARLIER}, module


def test_the_front_hall_is_not_where_things_are_put_down():
    assert len(list(FRONT.glob("*.py"))) <= 25


@pytest.mark.parametrize("folder", ["tests", "tools", "benches", "examples"])
def test_what_is_imported_from_fastnn_exists(folder):
    """Tests that are skipped without an extra import on use what may have moved meanwhile."""
    wrong, seen = [], 0
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or not f"{node.module}.".startswith("fastnn."):
                continue
            for alias in node.names:
                seen += 1
                if not is_found(node.module, alias.name):
                    wrong.append(
                        f"{path.relative_to(ROOT)}:{node.lineno}: {node.module}.{alias.name}"
                    )
    assert not wrong
    assert seen


def is_found(module: str, name: str) -> bool:
    try:
        found = importlib.import_module(module)
    except ImportError:
        return False
    return name == "*" or hasattr(found, name) or f"{module}.{name}" in front_modules()


def users_of_fastnn():
    package = ROOT / "python" / "fastnn"
    files = [package / "cli.py", package / "__main__.py"]
    for folder in (package / "exit_strategy", package / "datasets", package / "sklearn"):
        files += sorted(folder.rglob("*.py"))
    for folder in (ROOT / "examples", ROOT / "benches"):
        files += sorted(folder.rglob("*.py"))
    return files


def resolve(path, node: ast.ImportFrom) -> str:
    """The absolute module that a `from` statement of `path` imports from."""
    if not node.level:
        return node.module or ""
    package = path.relative_to(ROOT / "python").with_suffix("").parts[: -node.level]
    return ".".join([*package, node.module] if node.module else package)


def fastnn_names(path) -> set[str]:
    """Every dotted name under `fastnn` that a file imports or reads from the module `fastnn`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = resolve(path, node)
            found |= {f"{module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute):
            found.add(ast.unparse(node))
    return {name for name in found if re.fullmatch(r"fastnn(\.\w+)*", name)}


@pytest.mark.parametrize("path", users_of_fastnn(), ids=lambda p: str(p.relative_to(ROOT)))
def test_what_stands_on_fastnn_uses_public_names_only(path):
    import fastnn
    from fastnn.namespaces import TENSORFLOW, TENSORFLOW_OPS

    own = (
        ".".join(path.relative_to(ROOT / "python").parts[:2])
        if path.is_relative_to(ROOT / "python/fastnn")
        else ""
    )
    for name in fastnn_names(path):
        parts = name.split(".")[1:]
        if not parts or f"fastnn.{parts[0]}" == own.removesuffix(".py"):
            continue
        private = [p for p in parts if p.startswith("_") and p != "__version__"]
        assert not private, f"{name} is private"
        if path.name == "__init__.py" and name.startswith("fastnn.base.absent"):
            continue  # packages answer for names that they have not in one way
        public = {*fastnn.__all__, *TENSORFLOW, *TENSORFLOW_OPS, "cli", "__version__"}
        assert parts[0] in public, f"{name} is not a public name"


def test_importing_fastnn_imports_no_extra(run_python):
    out = run_python("import sys, fastnn; print('\\n'.join(sys.modules))")
    assert not {name.split(".")[0] for name in out.split()} & set(HEAVY)


def test_importing_fastnn_imports_nothing_of_others_but_numpy(run_python):
    """Modules of the standard library that NumPy does without cost milliseconds each."""
    out = run_python(
        "import sys, numpy; before = set(sys.modules); import fastnn; "
        "print('\\n'.join(set(sys.modules) - before))"
    )
    assert {name.partition(".")[0] for name in out.split()} <= {"fastnn", "__future__"}


def test_importing_fastnn_starts_no_thread(run_python):
    out = run_python("import os, numpy; a = len(os.listdir('/proc/self/task')); import fastnn; "
                     "print(len(os.listdir('/proc/self/task')) - a)")  # fmt: skip
    assert out.strip() == "0"
