"""Where the companies of a batch come from: CSV, workbooks, Parquet, data frames, any iterable.

A fault of one row is a `BadRow` and goes on as one; a fault of the whole is an ExitError. Parquet
needs pyarrow and workbooks openpyxl, imported when used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fastnn.exit_strategy.records import dataclass

from .errors import ExitError, Issue
from .reading.delimited import check_twice, count_rows, open_csv
from .reading.files import home
from .reading.upright import upright_file
from .reading.workbooks import SUFFIXES, open_workbook

__all__ = ["Source", "open_source", "pyarrow_rooms"]


@dataclass(frozen=True)
class Source:
    """The rows of a batch, how many there are (None when only the end will tell), and remarks."""

    rows: Iterator[Any]
    total: int | None
    path: str | None = None
    remarks: tuple[str, ...] = ()
    close: Callable[[], None] = lambda: None


def open_source(source: Any, encoding: str | None, chunk: int) -> Source:
    """Return the rows of a path, a data frame or an iterable.

    Raises:
        ExitError: EX103 not companies, EX112 to EX114 a file that cannot be read, EX121 a column
            that stands twice.
    """
    if isinstance(source, str | Path):
        path = home(source)
        suffix = path.suffix.lower()
        if suffix in (".csv", ".tsv", ".txt"):
            one = upright_file(path, encoding)
            if one is not None:
                remark = "read as one company, a field a row"
                return Source(iter((one,)), 1, str(path), (remark,))
            total = count_rows(path, encoding)
            made = open_csv(path, encoding)
            return Source(iter(made.rows), total, str(path), made.remarks, made.close)
        if suffix in (".parquet", ".pq"):
            return _parquet(path, chunk)
        if suffix in SUFFIXES:
            sheet = open_workbook(path)
            return Source(iter(sheet.rows), len(sheet.rows), str(path), sheet.remarks)
        raise ExitError(
            Issue("EX113", "", f"file format {path.suffix!r} is not known",
                  "use .csv, .xlsx or .parquet")
        )  # fmt: skip
    if hasattr(source, "columns") and hasattr(source, "__len__"):
        return _frame(source, chunk)
    if isinstance(source, Mapping) or not isinstance(source, Iterable):
        raise ExitError(
            Issue(
                "EX103", "source", f"expected companies, got {type(source).__name__}",
                "give a path, a data frame, or a list of mappings",
            )
        )  # fmt: skip
    return Source(iter(source), len(source) if isinstance(source, Sequence) else None)


def _frame(frame: Any, chunk: int) -> Source:
    """A pandas or polars data frame; its missing marks (NaN, NA, NaT, null) are missing values."""
    check_twice([str(name) for name in frame.columns], "the data frame")

    def rows() -> Iterator[dict[str, Any]]:
        if hasattr(frame, "iter_rows"):  # polars
            parts: Iterable[Any] = (frame.iter_rows(named=True),)
        else:
            starts = range(0, len(frame), chunk)
            parts = (frame.iloc[k : k + chunk].to_dict("records") for k in starts)
        for part in parts:
            for row in part:
                yield {key: value for key, value in row.items() if not _is_nan(value)}

    return Source(rows(), len(frame))


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _parquet(path: Path, chunk: int) -> Source:
    parquet = pyarrow_rooms()[1]
    try:
        file = parquet.ParquetFile(path)
    except Exception as error:  # Arrow has error types of its own
        raise _unreadable(path, error) from error
    check_twice(list(file.schema_arrow.names), str(path))

    def rows() -> Iterator[dict[str, Any]]:
        with file:
            try:
                for batch in file.iter_batches(batch_size=chunk):
                    for row in batch.to_pylist():
                        yield {key: cell for key, cell in row.items() if cell is not None}
            except Exception as error:
                raise _unreadable(path, error) from error

    return Source(rows(), int(file.metadata.num_rows), str(path), close=file.close)


def _unreadable(path: Path, error: Exception) -> ExitError:
    return ExitError(Issue("EX112", "", f"cannot read {path}: {error}", "check the file"))


def pyarrow_rooms() -> tuple[Any, Any]:
    """Return pyarrow and pyarrow.parquet; EX804 when the package is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise ExitError(
            Issue(
                "EX804",
                "",
                "Parquet needs the package pyarrow",
                "pip install 'fastnn-rs[exit]', or use CSV",
            )
        ) from error
    return pyarrow, parquet
