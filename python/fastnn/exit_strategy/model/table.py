"""Tables of companies as of a date, and the features a model may see.

Features are the counts, times and amounts of the landmark tables, the sector and the last round's
type: what was known on the landmark, no geography. A column that tells the outcome is refused by
name. NumPy and the standard library only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn.exit_strategy.errors import ExitError, Issue
from fastnn.exit_strategy.reading.files import home
from fastnn.exit_strategy.records import dataclass
from fastnn.exit_strategy.scoring.features import (
    CATEGORIES,
    NUMBERS,
    money_raised,
    profile_row,
)

__all__ = [
    "CATEGORIES",
    "CLASSES",
    "GEOGRAPHY",
    "LEAKED",
    "NUMBERS",
    "Table",
    "check_features",
    "money_raised",
    "profile_row",
    "read_table",
]

FloatArray = npt.NDArray[np.float64]

CLASSES = ("none", "acquired", "ipo")

#: Known at the landmark, left out by default: without them the model is better and fairer.
GEOGRAPHY = ("region", "state_code")

#: Columns that know the outcome, or name the row.
LEAKED = ("exit_date", "outcome", "status", "closed_at", "acquired_at", "permalink", "landmark")


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of a landmark table: text columns by name, outcome index per row (-1 unknown)."""

    columns: Mapping[str, tuple[str, ...]]
    outcome: npt.NDArray[np.int64]
    skipped: tuple[str, ...] = ()  # broken rows that were left out, and why

    def __len__(self) -> int:
        return len(self.outcome)

    def numbers(self, name: str) -> FloatArray:
        """A numeric column, NaN where it is empty or damaged."""
        return np.array([_number(x) for x in self.columns[name]], dtype=np.float64)

    def take(self, rows: npt.NDArray[Any]) -> Table:
        """The rows at indices, or where a mask is true."""
        index = np.arange(len(self))[rows]
        columns = {k: tuple(v[i] for i in index) for k, v in self.columns.items()}
        return Table(columns, self.outcome[index])


def check_features(names: Iterable[str], known: Iterable[str]) -> None:
    """Refuse features that leak the outcome (EX604) or that the table lacks (EX603)."""
    issues = []
    have = set(known)
    for name in names:
        if name in LEAKED:
            text = f"{name} is known only after the outcome, or names the row"
            hint = "leave it out: features are as of the landmark"
            issues.append(Issue("EX604", name, text, hint, name))
        elif name not in have:
            hint = "use a table with the columns of exit_landmarks"
            issues.append(Issue("EX603", name, "the table lacks this column", hint, name))
    if issues:
        raise ExitError(issues)


def read_table(
    path: str | Path,
    features: Sequence[str] = (*NUMBERS, *CATEGORIES),
    *,
    skip_broken: bool = False,
) -> Table:
    """Read a landmark table from CSV, columns in any order.

    A row of another length, or of an unknown outcome, is broken: an error, or with `skip_broken`
    left out and named in `Table.skipped`, up to one row in a hundred (and always two).

    Raises:
        ExitError: EX112 unreadable, EX603 a column is missing, EX604 a leaked feature, EX605 no
            usable row or broken rows.
    """
    import csv  # not needed to score a company, so not at the top

    try:
        with home(path).open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            head = [name.strip() for name in next(reader, [])]
            rows = [(reader.line_num, row) for row in reader if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ExitError(
            Issue("EX112", "table", f"cannot read {path}: {error}", "give a CSV file with a header")
        ) from error
    check_features(features, head)
    if "outcome" not in head:
        check_features(["the outcome column"], head)
    at = head.index("outcome")
    broken = {line: why for line, row in rows if (why := _fault(row, len(head), at))}
    if broken and (not skip_broken or len(broken) > max(2, len(rows) // 100)):
        text = "; ".join(f"row {line}: {why}" for line, why in list(broken.items())[:3])
        hint = "write one field per column in every row"
        raise ExitError(Issue("EX605", "table", f"{len(broken)} broken rows: {text}", hint))
    kept = [row for line, row in rows if line not in broken]
    if not kept:
        hint = "write one row per company below the header"
        raise ExitError(Issue("EX605", "table", "the table has no rows", hint))
    columns = {name: tuple(row[i].strip() for row in kept) for i, name in enumerate(head)}
    index = {name: i for i, name in enumerate(CLASSES)}
    outcome = np.array([index[x] for x in columns["outcome"]], dtype=np.int64)
    return Table(columns, outcome, tuple(f"row {line}: {why}" for line, why in broken.items()))


def _fault(row: Sequence[str], width: int, at: int) -> str:
    """Why a row cannot be used, or an empty text."""
    if len(row) != width:
        return f"{len(row)} fields, expected {width}"
    known = row[at].strip() in CLASSES
    return "" if known else f"unknown outcome {row[at]!r}, outcomes are {', '.join(CLASSES)}"


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return float("nan")
    return value if abs(value) < 1e15 else float("nan")
