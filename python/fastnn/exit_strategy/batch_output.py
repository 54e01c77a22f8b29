"""Where the rows of a batch go: a CSV or Parquet file that has its name only when it is whole.

Rows are written to NAME.partial.csv (or .parquet), beside it a note of what made them; at the end
the file is renamed. Text cells cannot be taken for formulas by a spreadsheet.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from .batch_input import pyarrow_rooms
from .errors import ExitError, Issue, unwritable
from .reading.files import home

__all__ = ["TEXTS", "Output", "fingerprint", "partial_path", "safe_cell"]

#: Columns that hold text; all others hold numbers.
TEXTS = ("name", "recommendation", "first", "listing_rules", "errors", "warnings")

#: A spreadsheet takes a cell that begins with one of these for a formula (CWE-1236).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "＝", "＋", "－", "＠")


def safe_cell(text: object) -> object:
    """Return a text that no spreadsheet runs: an apostrophe before what looks like a formula."""
    if isinstance(text, str) and (text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA)):
        return f"'{text}"
    return text


def partial_path(path: Path) -> Path:
    """Return the name of a file while it is being written."""
    return path.with_name(f"{path.stem}.partial{path.suffix}")


def fingerprint(source: Any, settings: Sequence[str]) -> str:
    """Return a hash of a source file and of the settings that its scores depend on."""
    if not isinstance(source, str | Path):
        raise ExitError(
            Issue("EX803", "resume", "only a file can be taken up again", "give a path as source")
        )
    digest = hashlib.sha256(json.dumps(list(settings)).encode())
    try:
        with home(source).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise ExitError(
            Issue("EX112", "", f"cannot read {source}: {error.strerror}", "check the file")
        ) from error
    return digest.hexdigest()


class Output:
    """Writes rows; `rows` and `failed` count those that an earlier, cut-off run has left."""

    rows: Any
    failed: Any

    def __init__(
        self, path: Path, names: Sequence[str], made_by: str, resume: bool, stack: ExitStack
    ) -> None:
        self.rows, self.failed = 0, 0
        self.remarks: tuple[str, ...] = ()
        self._path, self._names = path, list(names)
        self._partial = partial_path(path)
        self._note = self._partial.with_name(f"{self._partial.name}.json")
        self._table: Callable[[Sequence[Mapping[str, Any]]], Any]
        self._parquet = path.suffix.lower() == ".parquet"
        if path.suffix.lower() not in (".csv", ".parquet"):
            text = f"cannot write {path.suffix!r}"
            raise ExitError(Issue("EX802", "output", text, "name a .csv or .parquet file"))
        try:
            if resume:
                self._check_note(made_by)
            if self._parquet:
                self._open_parquet(resume, stack)
            else:
                self._open_csv(resume, stack)
            self._note.write_text(json.dumps({"made_by": made_by}), encoding="utf-8")
        except OSError as error:
            raise self._unwritable(error) from error

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append rows; what is written can be taken up again after an interruption."""
        try:
            if self._parquet:
                self._sink.write_table(self._table(rows))
            else:
                for row in rows:
                    self._writer.writerow(safe_cell(row[name]) for name in self._names)
                self._file.flush()
        except OSError as error:
            raise self._unwritable(error) from error

    def finish(self, rows: int, failed: int) -> None:
        """Give the file its name: it is whole."""
        try:
            if self._parquet:
                counts = {"rows": str(rows), "failed": str(failed), "complete": "true"}
                self._sink.add_key_value_metadata(counts)
                self._sink.close()
                with self._partial.open("rb+") as file:
                    os.fsync(file.fileno())
            else:
                self._file.flush()
                os.fsync(self._file.fileno())
                self._file.close()
            os.replace(self._partial, self._path)
            self._note.unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> ExitError:
        return ExitError(unwritable(self._path, error, "output"))

    def _check_note(self, made_by: str) -> None:
        try:
            known = json.loads(self._note.read_text(encoding="utf-8")).get("made_by")
        except (OSError, ValueError, AttributeError):
            self.remarks = (f"nothing to take up beside {self._path}: began with the first row",)
            self._partial.unlink(missing_ok=True)
            return
        if known != made_by:
            raise ExitError(
                Issue(
                    "EX802", "resume", "the rows there come from another source or other settings",
                    "run as before, or without resume",
                )
            )  # fmt: skip

    def _open_csv(self, resume: bool, stack: ExitStack) -> None:
        begun = resume and self._partial.exists()
        if begun:
            self._cut_csv()
        mode = "a" if self.rows or begun else "w"
        self._file = stack.enter_context(self._partial.open(mode, encoding="utf-8", newline=""))
        self._writer = csv.writer(self._file, quoting=csv.QUOTE_NONNUMERIC)
        if self._file.tell() == 0:
            self._writer.writerow(self._names)
        if begun:
            self.remarks = (f"went on after {self.rows:,} rows",)

    def _cut_csv(self) -> None:
        """Count the whole rows of a file that was cut off, and cut what follows them.

        No cell holds a line break (texts have theirs written out), so a row is a line.
        """
        whole = 0
        with self._partial.open("rb+") as file:
            for number, line in enumerate(file):
                cells = next(csv.reader([line.decode("utf-8", "replace")]), [])
                if not line.endswith(b"\n") or len(cells) != len(self._names):
                    break
                whole += len(line)
                if number:
                    self.rows += 1
                    self.failed += bool(cells[self._names.index("errors")])
            file.truncate(whole)

    def _open_parquet(self, resume: bool, stack: ExitStack) -> None:
        pyarrow, parquet = pyarrow_rooms()
        self._schema = pyarrow.schema(
            [(n, pyarrow.string() if n in TEXTS else pyarrow.float64()) for n in self._names]
        )
        self._table = lambda rows: pyarrow.Table.from_pylist(list(rows), schema=self._schema)
        before = self._partial.with_name(f"{self._partial.name}.before")
        if resume and self._partial.exists():
            os.replace(self._partial, before)
        self._sink = stack.enter_context(parquet.ParquetWriter(str(self._partial), self._schema))
        if resume and before.exists():
            self._take_parquet(parquet, before)

    def _take_parquet(self, parquet: Any, before: Path) -> None:
        try:
            with parquet.ParquetFile(before) as file:
                for k in range(file.num_row_groups):
                    part = file.read_row_group(k)
                    self._sink.write_table(part.cast(self._schema))
                    self.rows += part.num_rows
                    self.failed += sum(bool(text) for text in part.column("errors").to_pylist())
            self.remarks = (f"went on after {self.rows:,} rows",)
        except Exception as error:  # a killed run leaves a file without its last page
            if self.rows:
                raise ExitError(
                    Issue("EX802", "resume", f"{before} is damaged: {error}", "run without resume")
                ) from error
            self.remarks = (f"{before.name} cannot be read: began with the first row",)
        before.unlink(missing_ok=True)
