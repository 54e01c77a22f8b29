"""Write THIRD-PARTY-LICENSES.txt: the licences of the crates that are linked into the wheel.

    python tools/licences.py [--check]

The crates are those that `rust/fastnn-py` needs at run time on any platform, at the versions of
Cargo.lock; procedural macros and build scripts leave no code of theirs behind. Texts come from the
crates themselves, each text once. `--check` writes nothing and fails when the file is out of date.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "THIRD-PARTY-LICENSES.txt"
NAMES = ("LICEN", "COPYING", "NOTICE", "UNLICENSE")
HEAD = (
    "The binary in this wheel contains code of the Rust crates below, under the licences that\n"
    "follow, and of Rust's standard library (MIT OR Apache-2.0, the Rust project developers).\n"
)


def linked() -> list[dict]:
    """The crates whose code is in the binary, by name."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked"]
    data = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    packages = {p["id"]: p for p in data["packages"]}
    nodes = {n["id"]: n for n in data["resolve"]["nodes"]}
    own = set(data["workspace_members"])
    waiting = [i for i in own if packages[i]["name"] == "fastnn-py"]
    found: set[str] = set()
    while waiting:
        for dependency in nodes[waiting.pop()]["deps"]:
            package = packages[dependency["pkg"]]
            macro = any("proc-macro" in t["kind"] for t in package["targets"])
            normal = any(k["kind"] is None for k in dependency["dep_kinds"])
            if normal and not macro and package["id"] not in found:
                found.add(package["id"])
                waiting.append(package["id"])
    return sorted((packages[i] for i in found - own), key=lambda p: (p["name"], p["version"]))


def text() -> str:
    """The whole file."""
    crates = linked()
    bodies: dict[str, list[str]] = {}
    for crate in crates:
        folder = Path(crate["manifest_path"]).parent
        for path in sorted(folder.iterdir()):
            if path.is_file() and path.name.upper().startswith(NAMES):
                body = path.read_text(encoding="utf-8", errors="replace").strip()
                bodies.setdefault(body, []).append(f"{crate['name']} {crate['version']}")
    lines = [HEAD]
    lines += [f"{c['name']} {c['version']}: {c['license']}, {c['repository']}" for c in crates]
    for body, names in bodies.items():
        lines += ["", "=" * 80, "\n".join(names), "-" * 80, body]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Writes the file, or compares it."""
    made = text()
    if "--check" in sys.argv[1:]:
        same = TARGET.is_file() and TARGET.read_text(encoding="utf-8") == made
        print("up to date" if same else f"{TARGET.name} is out of date\n  hint: make licences")
        return 0 if same else 1
    TARGET.write_text(made, encoding="utf-8")
    print(f"wrote {TARGET.name}: {made.count(chr(10)):,} lines")
    return 0


if __name__ == "__main__":
    sys.exit(main())
