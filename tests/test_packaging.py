"""What a user installs: versions agree, licences and type marker are there, the import is light."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import fastnn

ROOT = Path(__file__).resolve().parents[1]

# Modules that `import fastnn` may load beyond NumPy's own; a count does not depend on the machine.
MODULE_BUDGET = 70


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def workspace() -> dict:
    return tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))["workspace"]


def test_there_is_one_version():
    assert "version" in project()["dynamic"]
    version = workspace()["package"]["version"]
    assert fastnn.__version__ == version
    assert importlib.metadata.version("fastnn-rs") == version
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    first = re.search(r"^## \[(.+?)\]", changelog, re.M)
    assert first is not None
    assert first[1] in ("Unreleased", version)


def test_the_stable_abi_and_the_python_floor_agree():
    manifest = tomllib.loads((ROOT / "rust/fastnn-py/Cargo.toml").read_text(encoding="utf-8"))
    features = manifest["dependencies"]["pyo3"]["features"]
    floor = project()["requires-python"].removeprefix(">=")
    assert f"abi3-py{floor.replace('.', '')}" in features


def test_numpy_is_the_only_run_time_dependency():
    assert [re.match(r"[\w-]+", d)[0] for d in project()["dependencies"]] == ["numpy"]
    always = [r for r in importlib.metadata.requires("fastnn-rs") or [] if "extra ==" not in r]
    assert [re.match(r"[\w-]+", r)[0] for r in always] == ["numpy"]


def test_licences_and_type_marker_are_shipped():
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert project()["license"] == workspace()["package"]["license"] == "Apache-2.0"
    package = ROOT / "python" / "fastnn"
    assert (package / "py.typed").is_file()
    digits = (package / "datasets" / "LICENSE-digits.txt").read_text(encoding="utf-8")
    assert "CC BY 4.0" in digits
    assert "Alpaydin" in digits


def test_the_import_is_light(run_python):
    program = (
        "import sys, numpy; before = set(sys.modules); import fastnn; "
        "print('\\n'.join(set(sys.modules) - before))"
    )
    loaded = run_python(program).split()
    assert len(loaded) <= MODULE_BUDGET, sorted(loaded)


def test_the_command_is_installed_and_answers(run_python):
    program = "import sys; from fastnn.cli import main; sys.exit(main(['info', '--json']))"
    import json

    facts = json.loads(run_python(program))
    assert facts["fastnn"] == fastnn.__version__
    assert facts["threads"] >= 1
    assert facts["isa"] in facts["isa_available"]
    scripts = importlib.metadata.entry_points(group="console_scripts")
    assert [s.value for s in scripts if s.name == "fastnn"] == ["fastnn.cli:main"]


def test_no_absolute_path_of_a_machine_is_committed():
    """Text files of the repository name no home, work or temporary folder of whoever wrote them."""
    bad = re.compile(r"(?<![\w.~-])/(?:root|home/\w+|work)/")
    for folder in ("python", "tests", "benches", "examples", "tools", "rust", "docs", ".ci"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in {".py", ".pyi", ".rs", ".md", ".toml", ".txt"} and path.is_file():
                found = bad.search(path.read_text(encoding="utf-8"))
                assert not found or path.name == "test_packaging.py", f"{path}: {found}"
