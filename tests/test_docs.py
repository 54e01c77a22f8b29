"""What the documents show is what happens: their examples run, their numbers are compared."""

import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


DOCTESTS = sorted(p for p in (ROOT / "docs").rglob("*.md") if ">>>" in p.read_text("utf-8"))


@pytest.mark.parametrize("path", DOCTESTS, ids=lambda p: p.name)
def test_the_examples_of_a_page_give_the_printed_results(path):
    result = doctest.testfile(str(path), module_relative=False)
    assert result.attempted > 0
    assert result.failed == 0


def test_the_programs_of_the_readme_run(tmp_path):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    programs = re.findall(r"```python\n(.*?)```", text, re.S)
    assert programs
    for program in programs:
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr


def test_links_between_our_own_files_lead_somewhere():
    for path in [ROOT / "README.md", ROOT / "rust/ARCHITECTURE.md", *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8")):
            # What the package index shows cannot follow relative links.
            link = link.removeprefix("https://github.com/fastnn/fastnn/blob/main/")
            if "://" not in link:
                assert (path.parent / link).exists(), f"{path.name}: {link}"


def test_the_make_targets_named_in_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    named = set(re.findall(r"`?make ([a-z-]+)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert named <= targets
