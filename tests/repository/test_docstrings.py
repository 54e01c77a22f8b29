"""Public docstrings have one form, and their examples give what they show."""

import doctest
import inspect
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import fastnn

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tools"))

import docstrings  # noqa: E402  (tools/ is on the path from here on)

PUBLIC = docstrings.with_methods()
#: Not in the one form yet, by public name: what is machinery in a public module, and what the
#: extension defines. The list may only shrink; a name that has the form has to leave it.
NOT_YET = set(
    (ROOT / "tests" / "repository" / "docstrings_not_yet.txt").read_text(encoding="utf-8").split()
)


def section(name: str) -> str:
    return name.rpartition(".")[0]


@pytest.mark.parametrize("where", sorted({section(name) for name in PUBLIC}))
def test_public_docstrings_have_the_one_form(where):
    named = {n: v for n, v in PUBLIC.items() if section(n) == where}
    lacking = {n: docstrings.faults(v) for n, v in named.items()}
    wrong = {n: what for n, what in lacking.items() if what and n not in NOT_YET}
    assert not wrong, "\n".join(f"{n} lacks {'; '.join(what)}" for n, what in wrong.items())
    kept = {n for n, what in lacking.items() if not what and n in NOT_YET}
    assert not kept, f"take these out of docstrings_not_yet.txt: {sorted(kept)}"


def told_of_none(value) -> list[str]:
    """The parameters of which a docstring says what None does, and that do not take it."""
    try:
        parameters = inspect.signature(value).parameters
    except (TypeError, ValueError):
        return []
    told = docstrings.parse(inspect.getdoc(value)).args
    return [
        name
        for name, p in parameters.items()
        if re.search(r"\bNone[:,]", told.get(name, ""))
        and p.default is not None
        and p.annotation is not p.empty
        and not re.search("None|Any|Axis", str(p.annotation))
    ]


@pytest.mark.parametrize("where", sorted({section(name) for name in PUBLIC}))
def test_docstrings_say_what_none_does_where_it_is_taken(where):
    wrong = {n: told_of_none(v) for n, v in PUBLIC.items() if section(n) == where}
    assert not {n: names for n, names in wrong.items() if names}


def test_the_list_of_what_is_not_done_names_public_things():
    assert set(PUBLIC) >= NOT_YET


def examples(name: str) -> list[doctest.Example]:
    text = docstrings.parse(inspect.getdoc(PUBLIC[name])).example
    return doctest.DocTestParser().get_examples(text + "\n")


@pytest.mark.parametrize("where", sorted({section(name) for name in PUBLIC}))
def test_the_examples_of_docstrings_give_what_they_show(where, tmp_path, monkeypatch):
    """They may use `np` and `fastnn` without importing them, and write files where they stand."""
    monkeypatch.chdir(tmp_path)
    registered = fastnn.saving.get_custom_objects()
    kept = dict(registered)
    if where == "fastnn.plot":
        pytest.importorskip("matplotlib.pyplot").switch_backend("Agg")
    runner, said = doctest.DocTestRunner(), []
    for name in PUBLIC:
        if section(name) == where and (found := examples(name)):
            fastnn.backend.clear_session()
            names = {"np": np, "fastnn": fastnn}
            test = doctest.DocTest(found, names, name, None, 0, None)
            runner.run(test, out=said.append)
    registered.clear()
    registered.update(kept)
    if where == "fastnn.plot":
        import matplotlib.pyplot as plt

        plt.close("all")
    assert runner.failures == 0, "".join(said)


def test_the_form_is_asked_for():
    """A docstring without parts of the form is told so: the test above can fail."""

    def bare(x: int) -> int:
        return x

    def half(x: int, y: int) -> int:
        """Adds.

        Args:
            x: One number.
            z: Another.
        """
        return x + y

    assert docstrings.faults(bare) == ["a docstring"]
    assert docstrings.faults(half) == [
        "Args for y",
        "parameters that it does not have: z",
        "Returns",
        "an Example that runs",
    ]


def test_help_of_a_class_made_in_a_loop_shows_its_settings():
    assert list(inspect.signature(fastnn.losses.Huber).parameters)[:2] == ["delta", "reduction"]
    assert "threshold" in inspect.signature(fastnn.metrics.BinaryAccuracy).parameters
