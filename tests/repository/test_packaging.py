"""What a user installs: versions agree, licences and type marker are there, the import is light."""

import base64
import hashlib
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import fastnn

ROOT = Path(__file__).resolve().parents[2]

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


def test_the_licences_of_the_linked_crates_are_shipped_at_the_locked_versions():
    assert "THIRD-PARTY-LICENSES.txt" in project()["license-files"]
    text = (ROOT / "THIRD-PARTY-LICENSES.txt").read_text(encoding="utf-8")
    named = re.findall(r"^([\w-]+) ([\d.]+\S*): (.+), https://", text, re.M)
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text(encoding="utf-8"))["package"]
    locked = {(p["name"], p["version"]) for p in lock}
    assert {(name, version) for name, version, _ in named} <= locked
    direct = set()
    members = [
        tomllib.loads((ROOT / m / "Cargo.toml").read_text("utf-8")) for m in workspace()["members"]
    ]
    for member in members:
        direct |= set(member["dependencies"])
    assert direct - {m["package"]["name"] for m in members} <= {name for name, _, _ in named}
    assert text.count("Permission is hereby granted") >= 1


def test_the_page_of_the_package_index_has_no_relative_links():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert not [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]


def test_classifiers_name_the_pythons_that_the_stable_abi_serves():
    named = [c.split(" :: ")[-1] for c in project()["classifiers"] if "Python :: 3." in c]
    assert named == ["3.11", "3.12", "3.13", "3.14"]


def test_a_wheel_names_no_folder_of_the_machine_that_built_it(tmp_path):
    tool = ROOT / "tools" / "wheel.py"
    parts = json.dumps({"bom-ref": f"path+file://{ROOT}/rust/fastnn#0.1.0"}).encode()

    def made(binary):
        path = tmp_path / "a-1-py3-none-any.whl"
        files = {"a/_core.so": binary, "a-1.dist-info/sboms/a.json": parts}
        record = [f"{name},sha256=x,{len(data)}" for name, data in files.items()]
        with zipfile.ZipFile(path, "w") as wheel:
            for name, data in (files | {
                "a-1.dist-info/RECORD": "\n".join([*record, "a-1.dist-info/RECORD,,"]).encode()
            }).items():  # fmt: skip
                wheel.writestr(name, data)
        done = subprocess.run([sys.executable, tool, path], capture_output=True, text=True)
        return done, path

    done, path = made(b"code")
    assert done.returncode == 0, done.stdout
    with zipfile.ZipFile(path) as wheel:
        bom = wheel.read("a-1.dist-info/sboms/a.json")
        assert str(ROOT).encode() not in bom
        digest = base64.urlsafe_b64encode(hashlib.sha256(bom).digest()).rstrip(b"=").decode()
        lines = wheel.read("a-1.dist-info/RECORD").decode().splitlines()
        assert f"a-1.dist-info/sboms/a.json,sha256={digest},{len(bom)}" in lines
        assert lines[0] == "a/_core.so,sha256=x,4"
    done, _ = made(b"panicked at " + str(ROOT).encode() + b"/rust/x.rs")
    assert done.returncode == 1
    assert "a/_core.so names" in done.stdout


@pytest.mark.parametrize("package", [fastnn, fastnn.keras])
def test_completion_shows_the_public_names_alone(package):
    public = {n for n in dir(package) if not n.startswith("_")}
    assert public == set(package.__all__)
