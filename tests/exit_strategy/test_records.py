"""Records are what the standard library's frozen dataclasses are, whoever makes them."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
from dataclasses import field
from typing import Any

import pytest

from fastnn.exit_strategy import records
from fastnn.exit_strategy.money.terms import ShareClass
from fastnn.exit_strategy.reading.parse import Reader


def made_by(decorator: Any, **settings: Any) -> Any:
    @decorator(**settings)
    class Row:
        """A row."""

        a: int
        b: float = 2.0
        c: list[int] = field(default_factory=list, compare=False)
        d: int = field(default=3, repr=False)
        e: int = field(init=False, repr=False, compare=False)
        f: str = field(default="x", kw_only=True)

        def __post_init__(self) -> None:
            object.__setattr__(self, "e", 2 * self.a)

    return Row


def outcome(action: Any) -> tuple[str, str]:
    try:
        return "gives", repr(action())
    except Exception as error:
        return type(error).__name__, str(error)


@pytest.mark.parametrize(
    "settings",
    [{"frozen": True, "slots": True}, {"frozen": True}, {"slots": True}, {}],
    ids=["frozen, slots", "frozen", "slots", "plain"],
)
def test_a_record_behaves_as_a_dataclass(settings: dict[str, bool]) -> None:
    own, standard = (made_by(d, **settings) for d in (records.dataclass, dataclasses.dataclass))
    assert str(inspect.signature(own)) == str(inspect.signature(standard))
    assert own.__match_args__ == standard.__match_args__
    assert own.__doc__ == standard.__doc__
    actions = (
        lambda row: row(1), lambda row: row(1, 2, [3], 4, f="y"), lambda row: row(),
        lambda row: row(1, z=2), lambda row: row(1, 2, [3], 4, "y"),
        lambda row: row(1) == row(1, c=[5]), lambda row: row(1) == row(2),
        lambda row: row(1) == 1, lambda row: hash(row(1)) == hash((1, 2.0, 3, "x")),
        lambda row: setattr(row(1), "a", 5), lambda row: delattr(row(1), "a"),
        lambda row: dataclasses.replace(row(1), a=5), lambda row: dataclasses.asdict(row(1)),
        lambda row: row(1).e, lambda row: copy.copy(row(1)),
        lambda row: hasattr(row(1), "__dict__"),
        lambda row: [f.name for f in dataclasses.fields(row)], lambda row: row(1).c is row(1).c,
    )  # fmt: skip
    for action in actions:
        assert outcome(lambda a=action: a(own)) == outcome(lambda a=action: a(standard))


def test_every_record_of_a_class_is_of_it_and_frozen() -> None:
    """The first is filled in another way than the rest, and so are those of subclasses."""
    row = made_by(records.dataclass, frozen=True, slots=True)

    class Sub(row):  # type: ignore[misc, valid-type]
        __slots__ = ("more",)

    for kind in (row, row, row, Sub, Sub):
        made = kind(1, 4.0, f="y")
        assert type(made) is kind
        assert (made.a, made.b, made.c, made.d, made.e, made.f) == (1, 4.0, [], 3, 2, "y")
        with pytest.raises(dataclasses.FrozenInstanceError):
            made.a = 2
    assert row(1) == row(1)
    assert made_by(records.dataclass, frozen=True, slots=True)(1) != row(1)


def test_a_field_may_have_the_name_of_anything_in_the_module() -> None:
    @records.dataclass(frozen=True, slots=True)
    class Row:
        first: int
        turn: int
        put: int = 3
        Factory: list[int] = field(default_factory=list)
        default_put: int = 5

    for _ in range(3):
        made = Row(1, 2)
        assert (made.first, made.turn, made.put, made.Factory, made.default_put) == (1, 2, 3, [], 5)


def test_records_are_pickled_and_stay_frozen() -> None:
    row = ShareClass("A", 1e6, 5e6)
    again = pickle.loads(pickle.dumps(row))
    assert again == row
    assert hash(again) == hash(row)
    with pytest.raises(dataclasses.FrozenInstanceError):
        again.shares = 2.0  # type: ignore[misc]
    assert Reader.__hash__ is None


def test_the_exit_tools_short_commands_read_no_more_than_they_need() -> None:
    """What a ranking on the terminal does not show is not imported for it."""
    code = (
        "import sys; from fastnn.cli import build_parser;"
        "build_parser(['exit', 'score', 'x']).parse_args(['exit', 'score', 'x']);"
        "print(*sorted(m for m in sys.modules if m in ('shutil', 'numpy.random', 'csv', 'html')))"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == ""
