"""What the documents show is what happens: their examples run, their numbers are compared."""

import ast
import doctest
import re
import shutil
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

import fastnn

ROOT = Path(__file__).resolve().parents[2]
SITE = "https://github.com/fastnn/fastnn/blob/main/"
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        ROOT / "rust" / "ARCHITECTURE.md",
        ROOT / "examples" / "README.md",
        *(p for p in (ROOT / "docs").rglob("*.md") if "generated" not in p.parts),
    ]
)
#: Pages that exist in English and Chinese.
TWINS = [
    ("README.md", "README.zh.md"),
    ("docs/quickstart.md", "docs/zh/quickstart.md"),
    ("docs/errors.md", "docs/zh/errors.md"),
]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(path: Path) -> list[tuple[str, int, str]]:
    """Language, first line and text of every fenced block."""
    found, language, start, held = [], None, 0, []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if language is None and line.startswith("```"):
            language, start, held = line[3:].strip(), number + 1, []
        elif line == "```" and language is not None:
            found.append((language, start, "\n".join(held)))
            language = None
        elif language is not None:
            held.append(line)
    assert language is None, f"{path}: a block without an end"
    return found


def of_language(language: str) -> list[Path]:
    return [p for p in PAGES if any(kind == language for kind, _, _ in blocks(p))]


def test_every_block_is_of_a_kind_that_is_tested():
    # A directive in braces is the site's; TOML is read below.
    known = re.compile(r"python|pycon|sh|toml|\{\w+\}.*")
    for path in PAGES:
        for language, line, text in blocks(path):
            assert known.fullmatch(language), f"{name(path)}:{line}: {language!r}"
            if language == "toml":
                tomllib.loads(text)
            if language == "python":  # else a prompt would hide it from both tests
                assert (">>>" in text) == any(t.startswith(">>> ") for t in text.splitlines())


def sessions(path: Path) -> bool:
    return any(">>> " in text for _, _, text in blocks(path))


@pytest.mark.parametrize("path", [p for p in PAGES if sessions(p)], ids=name)
def test_the_sessions_of_a_page_give_the_printed_results(path, monkeypatch):
    monkeypatch.chdir(ROOT)  # the pages name files from the root of the repository
    result = doctest.testfile(str(path), module_relative=False)
    assert result.attempted > 0
    assert result.failed == 0


def program(path: Path) -> str:
    """The Python blocks of a page as one program, on the lines on which they stand.

    Where they go on from what a session made, the inputs of the sessions are part of it.
    """
    lines: list[str] = []
    plain = False
    for language, start, text in blocks(path):
        if language not in ("python", "pycon"):
            continue
        if ">>> " in text:
            inputs = [re.match(r"(?:>>>|\.\.\.) ?(.*)", line) for line in text.splitlines()]
            text = "\n".join(found[1] if found else "" for found in inputs)
        else:
            plain = True
        lines += [""] * (start - 1 - len(lines)) + text.splitlines()
    return "\n".join(lines) + "\n" if plain else ""


@pytest.mark.parametrize("path", [p for p in PAGES if program(p)], ids=name)
def test_the_programs_of_a_page_run(path, tmp_path):
    file = tmp_path / f"{path.stem}.md.py"
    file.write_text(program(path), encoding="utf-8")
    # What a page supposes its reader to have.
    (tmp_path / "portfolio.csv").write_text("name,tech.moat\nAcme,0.4\n", encoding="utf-8")
    shutil.copytree(ROOT / "examples" / "exit_profiles", tmp_path / "examples" / "exit_profiles")
    done = subprocess.run(
        [sys.executable, file.name], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


def commands(path: Path) -> list[str]:
    """The commands of the shell blocks of a page, without comments."""
    text = "\n".join(text for kind, _, text in blocks(path) if kind == "sh")
    return [line.split(" #")[0].strip() for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("path", of_language("sh"), ids=name)
def test_the_commands_of_a_page_exist(path):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    checked = 0
    for line in commands(path):
        words = line.split()
        if words[0] == "mpiexec":
            words = words[words.index("python") :]
        if words[0] == "make":
            assert words[1] in targets, line
        elif words[0] == "fastnn":
            sub = [w for w in words[1:] if re.fullmatch(r"[a-z]+", w)]
            depth = 3 if sub[:2] == ["exit", "model"] else 2 if sub[0] == "exit" else 1
            offered = [*sub[:depth], "--help"]
            code = f"import sys; from fastnn.cli import main; sys.exit(main({offered!r}))"
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
            assert done.returncode == 0, f"{line}: {done.stderr}"
            options = re.findall(r"--[a-z][a-z-]*", line)
            assert all(option in done.stdout for option in options), line
        elif words[0] == "cargo":
            for flag, value in pairwise(words):
                if flag == "--package":
                    assert (ROOT / "rust" / value / "Cargo.toml").is_file(), line
                if flag == "--test":
                    assert (ROOT / "rust/fastnn/tests" / f"{value}.rs").is_file(), line
                if flag == "--example":
                    manifest = (ROOT / "rust/fastnn/Cargo.toml").read_text(encoding="utf-8")
                    there = (ROOT / "rust/fastnn/examples" / f"{value}.rs").is_file()
                    assert there or f'name = "{value}"' in manifest, line
        else:
            assert words[0] in ("pip", ".venv/bin/python", "python"), line
            for word in words[1:]:
                if re.fullmatch(r"(tests|tools|examples|benches)/[\w/]+\.py", word):
                    assert (ROOT / word).is_file(), line
        checked += 1
    assert checked


def test_make_targets_named_in_prose_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    for path in PAGES:
        if path.name == "CHANGELOG.md":
            continue
        named = set(re.findall(r"`make ([a-z-]+)", path.read_text(encoding="utf-8")))
        assert named <= targets, f"{name(path)}: {named - targets}"


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_links_between_our_own_files_lead_somewhere(path):
    for link in re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8")):
        # What the package index shows cannot follow relative links.
        place = path.parent / link
        if link.startswith(SITE):
            place = ROOT / link.removeprefix(SITE)
        elif "://" in link or link.startswith("mailto:"):
            continue
        assert place.exists(), link


@pytest.mark.parametrize(("english", "chinese"), TWINS)
def test_a_page_and_its_translation_are_in_step(english, chinese):
    pair = [ROOT / english, ROOT / chinese]
    structure = []
    for path in pair:
        outside = re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.M | re.S)
        headings = [len(h) for h in re.findall(r"^(#+) ", outside, re.M)]
        tables = [row.count("|") for row in re.findall(r"^\|.*$", outside, re.M)]
        structure.append((headings, tables))
    assert structure[0] == structure[1]
    code = [
        [(kind.replace("../", ""), without_comments(text)) for kind, _, text in blocks(p)]
        for p in pair
    ]
    assert code[0] == code[1]
    han = re.compile(r"[\u4e00-\u9fff]")
    lines = [line for line in pair[1].read_text("utf-8").splitlines() if line.startswith("#")]
    translated = [line for line in lines if han.search(line)]
    assert len(translated) >= len(structure[1][0]) // 2


def without_comments(text: str) -> list[str]:
    return [re.sub(r"\s*#.*", "", line) for line in text.splitlines()]


def test_the_error_catalogue_has_every_error():
    """The sections are the error classes of `fastnn.errors`, each shown where it is raised."""
    classes = {
        n
        for n in fastnn.errors.__all__
        if isinstance(c := getattr(fastnn.errors, n), type) and issubclass(c, Exception)
    }
    for page in ("docs/errors.md", "docs/zh/errors.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        sections = set(re.findall(r"^## `(\w+)`", text, re.M))
        assert sections == classes, page
        for section in re.split(r"^## ", text, flags=re.M)[1:]:
            found = re.match(r"`(\w+)`", section)
            if found:
                bases = getattr(fastnn.errors, found[1]).__mro__[1:]
                also = [b.__name__ for b in bases if b.__module__ == "builtins"]
                wanted = [n for n in also if n not in ("Exception", "BaseException", "object")]
                assert all(f"`{n}`" in section for n in wanted), found[1]


def test_decisions_are_numbered_and_linked():
    pages = sorted((ROOT / "docs/decisions").glob("0*.md"))
    architecture = (ROOT / "rust/ARCHITECTURE.md").read_text(encoding="utf-8")
    linked = re.findall(r"\[(.+?)\]\(\.\./docs/decisions/([\w.-]+)\)", architecture)
    assert [file for _, file in linked] == [p.name for p in pages]
    for number, ((title, _), path) in enumerate(zip(linked, pages, strict=True), 1):
        text = path.read_text(encoding="utf-8")
        assert path.name.startswith(f"{number:04d}-")
        assert text.startswith(f"# {title}\n\nDecided ")
        assert title.startswith(f"{number}. ")
        assert len(text.splitlines()) <= 60, f"{path.name} is not short"


def test_the_short_table_of_the_readme_is_part_of_the_report():
    report = (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8")
    for page in ("README.md", "README.zh.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        table = text.split("<!-- measured: start -->\n")[1].split("<!-- measured: end -->")[0]
        rows = table.strip().splitlines()[2:]
        assert len(rows) <= 10
        assert all(row in report for row in rows)
        assert text.index("```sh") < 1500, "the commands stand at the top"


def test_programs_of_the_pages_do_not_reach_into_private_names():
    for path in PAGES:
        tree = ast.parse(program(path))
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
                assert node.attr.startswith("__"), f"{name(path)}: {node.attr}"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as `make docs` does."""
    pytest.importorskip("sphinx", reason="needs the `docs` extra")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "--quiet"]
    done = subprocess.run(
        [*command, str(ROOT / "docs"), str(out)], capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_has_every_public_name(site):
    sys.path.append(str(ROOT / "tools"))
    import docstrings
    from fastnn.exit_strategy.errors import CODES

    pages = "".join(p.read_text("utf-8") for p in (site / "generated" / "api").glob("*.html"))
    anchors = set(re.findall(r'id="(fastnn[\w.]*)"', pages))
    assert set(docstrings.public()) <= anchors
    for code in CODES:
        assert code in (site / "errors.html").read_text("utf-8")
    html = [p.read_text("utf-8") for p in site.rglob("*.html")]
    fetched = re.compile(r'<(?:script|link|img)[^>]+(?:src|href)="(?:https?:)?//')
    assert not any(fetched.search(page) for page in html), "the site fetches from the network"
    assert len(html) > len([p for p in PAGES if p.is_relative_to(ROOT / "docs")])
