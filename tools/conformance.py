"""Runs Keras's own unit tests against fastnn and writes docs/conformance.md.

Downloads the pinned Keras wheel (and no other thing) with pip into a cache outside the checkout,
takes the `*_test.py` files of the areas and `keras.src.testing` out of it, and runs them with
`tests/conformance/keras_shim.py` answering for `keras`. Every test that does not pass needs a line
in `tests/conformance/reasons.txt`; one without makes this program fail.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import re
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / "tests" / "conformance"
VERSION = "3.15.1"
AREAS = (
    "activations", "initializers", "regularizers", "constraints", "losses", "metrics",
    "optimizers", "callbacks", "layers/core", "layers/activations", "layers/merging",
    "layers/normalization", "layers/regularization", "layers/reshaping", "layers/rnn",
    "layers/attention", "layers/preprocessing", "layers/convolutional", "layers/pooling",
    "distillation",
)  # fmt: skip


def cache() -> Path:
    """The folder for the wheel and what is taken out of it, outside the checkout."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "fastnn-conformance"


def wheel() -> Path:
    """The pinned wheel, downloaded once."""
    folder = cache()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"keras-{VERSION}-py3-none-any.whl"
    if not path.exists():
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
        subprocess.run([*pip, "--no-deps", "--dest", folder, f"keras=={VERSION}"], check=True)
    return path


def extract(path: Path) -> Path:
    """The tests, `testing/` and the list of module names; nothing else of Keras is kept."""
    tree = cache() / f"keras-{VERSION}"
    with zipfile.ZipFile(path) as archive:
        modules = []
        for name in archive.namelist():
            if not name.startswith("keras/src/") or not name.endswith(".py"):
                continue
            modules.append(name.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
            inner = name.removeprefix("keras/src/")
            test = inner.endswith("_test.py") and any(inner.startswith(f"{a}/") for a in AREAS)
            helper = inner.startswith("testing/") and not inner.endswith("_test.py")
            helper = helper or inner == "backend/common/backend_utils.py"
            if test or helper:
                target = tree / ("tests" if test else "") / inner
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(name))
    (tree / "modules.txt").write_text("\n".join(["keras", *sorted(modules)]))
    (tree / "tests" / "pytest.ini").write_text("[pytest]\n")
    return tree


class Reasons:
    """`reasons.txt`: lines `kind | test pattern | text pattern | reason`, first match counts."""

    def __init__(self, path: Path) -> None:
        self.rows = []
        for line in path.read_text().splitlines():
            if line.strip() and not line.startswith("#"):
                kind, test, text, reason = (part.strip() for part in line.split(" | "))
                self.rows.append((kind, test, text, reason))
        self.used: set[int] = set()

    def outside(self, test: str, text: str) -> str | None:
        """Why a test lies outside what fastnn offers, None when it counts."""
        return self._find("outside", test, text)

    def failure(self, test: str, text: str) -> str | None:
        """Why a test that counts does not pass."""
        return self._find("differs", test, text)

    def _find(self, wanted: str, test: str, text: str) -> str | None:
        for i, (kind, pattern, words, reason) in enumerate(self.rows):
            if kind == wanted and fnmatch.fnmatch(test, pattern) and (
                words == "*" or re.search(words, text, re.DOTALL)
            ):  # fmt: skip
                self.used.add(i)
                return reason
        return None


def run(tree: Path, paths: list[str], arguments: list[str]) -> list[dict[str, str]]:
    """Outcomes of the tests below these paths."""
    log = cache() / "outcomes.jsonl"
    log.unlink(missing_ok=True)
    environment = os.environ | {
        "FASTNN_CONFORMANCE_TREE": str(tree), "FASTNN_CONFORMANCE_LOG": str(log),
        "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]),
    }  # fmt: skip
    command = [
        sys.executable, "-m", "pytest", "-q", "-p", "keras_plugin", "-p", "no:cacheprovider",
        "--continue-on-collection-errors", "--import-mode=importlib", "-W", "ignore",
        "--tb=short", "--timeout=120", f"--rootdir={tree / 'tests'}", *arguments, *paths,
    ]  # fmt: skip
    code = subprocess.run(command, cwd=tree / "tests", env=environment, check=False).returncode
    if code > 1:
        raise SystemExit(f"pytest ended with code {code}\n  hint: see its message above")
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def area_of(test: str) -> str:
    """The area that a test id belongs to."""
    return next(a for a in AREAS if test.startswith(f"{a}/"))


def last_line(text: str) -> str:
    """The error of a traceback in short."""
    errors = [line[2:].strip() for line in text.splitlines() if line.startswith("E ")]
    return (errors or text.strip().splitlines() or [""])[0][:160]


def report(outcomes: list[dict[str, str]], reasons: Reasons) -> tuple[str, list[str]]:
    """The text of docs/conformance.md, and the failures that have no reason."""
    counts: dict[str, Counter[str]] = {a: Counter() for a in AREAS}
    lines: dict[str, list[str]] = {"failed": [], "skipped": [], "outside": []}
    bare = []
    for row in outcomes:
        test, outcome, area = row["test"], row["outcome"], area_of(row["test"])
        why = reasons.outside(test, row["text"])
        if outcome == "passed":
            counts[area]["passed"] += 1
        elif outcome == "skipped":
            counts[area]["skipped"] += 1
            lines["skipped"].append(f"- `{test}`: {row['text'].removeprefix('Skipped: ')}")
        elif why is not None:
            counts[area]["outside"] += 1
            lines["outside"].append(f"- `{test}`: {why}")
        else:
            counts[area]["failed"] += 1
            why = reasons.failure(test, row["text"])
            if why is None:
                bare.append(f"{test}: {last_line(row['text'])}")
            lines["failed"].append(f"- `{test}`: {why or last_line(row['text'])}")
    return _page(counts, lines), bare


def _page(counts: dict[str, Counter[str]], lines: dict[str, list[str]]) -> str:
    total: Counter[str] = sum(counts.values(), Counter())
    out = [
        "# Conformance", "",
        "Written by `make conformance`; do not edit. The columns are explained below the table.",
        "",
        f"Suite: Keras {VERSION}'s unit tests, from its wheel, with `keras` answered by fastnn.",
        "", "| area | passed | failed | skipped by Keras | outside | passed of those run |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for area, c in [*counts.items(), ("all", total)]:
        ran = c["passed"] + c["failed"]
        share = f"{100 * c['passed'] / ran:.1f} %" if ran else "-"
        cells = [area, *(str(c[k]) for k in ("passed", "failed", "skipped", "outside")), share]
        out.append(f"| {' | '.join(cells)} |")
    out += [
        "", "Skipped by Keras: the test skips itself on this back end. Outside: the test is about "
        "something that fastnn does not offer (other number types, sparse tensors, quantisation, "
        "TensorFlow, features of a later version); it is listed with its reason and not counted as "
        "run. A file that cannot be imported counts once. `run_layer_test` runs without its "
        "mixed_float16 step.", "",
    ]  # fmt: skip
    for title, key in (
        ("Failed", "failed"),
        ("Outside", "outside"),
        ("Skipped by Keras", "skipped"),
    ):
        out += [f"## {title}", "", *sorted(lines[key]), ""]
    return "\n".join(out).rstrip() + "\n"


def main() -> int:
    """Runs all areas, or the paths given (then nothing is written)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="*", help="areas or files, as losses or losses/loss_test.py")
    parser.add_argument("--pytest", default="", help="further arguments for pytest")

    options = parser.parse_args()
    tree = extract(wheel())
    reasons = Reasons(HERE / "reasons.txt")
    outcomes = run(tree, options.paths or list(AREAS), options.pytest.split())
    text, bare = report(outcomes, reasons)
    print("\n".join(text.split("\nSkipped by Keras:")[0].splitlines()[5:]))
    if not options.paths:
        (ROOT / "docs" / "conformance.md").write_text(text)
    for line in bare:
        print("no reason given:", line)
    stale = [] if options.paths else [
        row for i, row in enumerate(reasons.rows) if i not in reasons.used
    ]  # fmt: skip
    for _, test, words, _ in stale:
        print(f"stale line in reasons.txt: {test} | {words}")
    return 1 if bare or stale else 0


if __name__ == "__main__":
    sys.exit(main())
