"""The workflow files and the pre-commit hooks say what the project says elsewhere.

They cannot run here; what can be checked without their runners is checked.
"""

import re
import tomllib
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def read(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def commands(text: str) -> list[str]:
    return re.findall(r"(?<=make )[a-z-]+", text)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.name)
def test_a_workflow_is_well_formed(path):
    workflow = read(path)
    assert True in workflow, "YAML reads the key `on` as true"
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["runs-on"]
        for step in job["steps"]:
            assert len({"uses", "run"} & set(step)) == 1
            assert re.fullmatch(r"[\w./-]+@v\d+", step.get("uses", "a@v1"))


def test_the_wheel_is_built_and_tested_on_every_platform():
    job = read(ROOT / ".github/workflows/ci.yml")["jobs"]["wheel"]
    systems = [entry["os"] for entry in job["strategy"]["matrix"]["include"]]
    for system in ("ubuntu-24.04", "ubuntu-24.04-arm", "macos", "windows"):
        assert any(s.startswith(system) for s in systems), system
    runs = " ".join(step.get("run", "") for step in job["steps"])
    assert "maturin build" in runs
    assert "pytest" in runs
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    pythons = [s["with"]["python-version"] for s in job["steps"] if "python-version" in
               s.get("with", {})]  # fmt: skip
    assert f">={pythons[0]}" == wanted["requires-python"]
    newest = [c for c in wanted["classifiers"] if "Python :: 3." in c][-1].split(" :: ")[-1]
    assert pythons[-1] == newest


def test_the_oldest_rust_is_the_one_that_cargo_promises():
    text = (ROOT / ".github/workflows/ci.yml").read_text("utf-8")
    workspace = tomllib.loads((ROOT / "Cargo.toml").read_text("utf-8"))["workspace"]
    oldest = workspace["package"]["rust-version"]
    assert f"rustup toolchain install {oldest} " in text
    assert f"cargo +{oldest} check" in text


def test_what_workflows_and_hooks_call_exists():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    for path in WORKFLOWS:
        text = path.read_text("utf-8")
        assert set(commands(text)) <= targets
        for tool in re.findall(r"tools/\w+\.py", text):
            assert (ROOT / tool).is_file(), tool
    hooks = read(ROOT / ".pre-commit-config.yaml")["repos"][0]["hooks"]
    assert {hook["id"] for hook in hooks} == {"ruff-format", "ruff", "rustfmt", "stubs"}
    for hook in hooks:
        for tool in re.findall(r"tools/\w+\.py", hook["entry"]):
            assert (ROOT / tool).is_file(), tool
