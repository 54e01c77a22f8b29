"""Tables of companies as of a date, and the features a model may see.

Features are the counts, times and amounts of the landmark tables, the sector and the last round's
type: what was known on the landmark, no geography. A column that tells the outcome is refused by
name. NumPy and the standard library only.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import ExitError, Issue

__all__ = [
    "CATEGORIES",
    "CLASSES",
    "GEOGRAPHY",
    "LEAKED",
    "NUMBERS",
    "Table",
    "check_features",
    "profile_row",
    "read_table",
]

FloatArray = npt.NDArray[np.float64]

CLASSES = ("none", "acquired", "ipo")

#: Numeric features; amounts in US dollars, times in years or months.
NUMBERS = (
    "age_years", "n_rounds", "undisclosed_rounds", "total_raised_usd", "max_round_usd",
    "last_round_usd", "raised_per_year", "months_since_first", "months_since_last",
    "mean_gap_months", "n_angel", "n_venture", "n_series_a", "n_series_b", "n_series_cplus",
    "n_private_equity", "n_crowdfunding", "n_other",
)  # fmt: skip
CATEGORIES = ("category_code", "last_round_type")

#: Known at the landmark, left out by default: without them the model is better and fairer.
GEOGRAPHY = ("region", "state_code")

#: Columns that know the outcome, or name the row.
LEAKED = ("exit_date", "outcome", "status", "closed_at", "acquired_at", "permalink", "landmark")

_ROUNDS = {
    "angel": "n_angel", "venture": "n_venture", "series-a": "n_series_a",
    "series-b": "n_series_b", "series-c+": "n_series_cplus", "private-equity": "n_private_equity",
    "crowdfunding": "n_crowdfunding", "other": "n_other",
}  # fmt: skip

#: Profile sector -> sector code of the training data; None where it has no counterpart.
_SECTORS: dict[str, str | None] = {
    "foundation_model": None, "ai_application": None, "ai_infra": None, "software": "software",
    "consumer_internet": "web", "fintech": "finance", "healthcare": "health", "biotech": "biotech",
    "hardware": "hardware", "semiconductor": "semiconductor", "robotics": None,
    "cleantech": "cleantech", "education": "education", "media_games": "games_video",
    "commerce": "ecommerce", "other": "other",
}  # fmt: skip


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
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
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


def money_raised(profile: Any) -> float | None:
    """All money raised, in the profile's currency; None when nothing tells.

    `total_raised`, or the larger of the disclosed rounds and what the cap table shows paid in.
    """
    if profile.total_raised is not None:
        return float(profile.total_raised)
    known = [float(r.amount) for r in profile.funding_rounds or () if r.amount is not None]
    table = getattr(profile, "cap_table", None)
    paid = table.raised if table is not None else 0.0
    return max(sum(known), paid) if known or paid > 0 else None


def profile_row(profile: Any) -> tuple[dict[str, float], dict[str, str], tuple[str, ...]]:
    """Features of a profile: numbers, categories, and the names that are not known.

    Months are 30.4375 days, as in the training table; amounts are turned into US dollars.
    """
    rounds = sorted(profile.funding_rounds or (), key=lambda r: r.date)
    as_of: dt.date = profile.as_of

    def months(day: dt.date) -> float:
        return (as_of - day).days / 30.4375

    known = [float(profile.usd(r.amount)) for r in rounds if r.amount is not None]
    raised = money_raised(profile)
    total = float("nan") if raised is None else float(profile.usd(raised))
    out = dict.fromkeys(NUMBERS, 0.0)
    nan = float("nan")
    out["age_years"] = nan if profile.founded is None else (as_of - profile.founded).days / 365.25
    out["n_rounds"] = float(len(rounds)) if rounds else nan
    out["undisclosed_rounds"] = float(len(rounds) - len(known))
    out["total_raised_usd"] = total
    out["max_round_usd"] = max(known) if known else nan
    last_known = rounds[-1].amount if rounds else None
    out["last_round_usd"] = nan if last_known is None else float(profile.usd(last_known))
    first = months(rounds[0].date) if rounds else nan
    out["months_since_first"] = first
    out["months_since_last"] = months(rounds[-1].date) if rounds else nan
    out["raised_per_year"] = total / max(first / 12.0, 0.25) if rounds else nan
    gaps = len(rounds) - 1
    out["mean_gap_months"] = (first - out["months_since_last"]) / gaps if gaps > 0 else nan
    for r in rounds:
        out[_ROUNDS.get(_round_type(r.type), "n_other")] += 1.0
    category = _SECTORS.get(profile.sector)
    last = _round_type(rounds[-1].type) if rounds else ""
    labels = {"category_code": category or "", "last_round_type": last}
    unknown = [name for name in NUMBERS if out[name] != out[name] and name != "mean_gap_months"]
    unknown += [name for name, label in labels.items() if not label]
    return out, labels, tuple(unknown)


def _round_type(name: str) -> str:
    text = str(name).lower().replace("_", "-").replace(" ", "-")
    if text in ("series-c", "series-d", "series-e", "series-f", "series-g", "growth"):
        return "series-c+"
    if text in ("seed", "pre-seed"):
        return "angel"
    return text if text in _ROUNDS else "other"
