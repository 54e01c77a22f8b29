"""Lines and columns of text files as data sets: `TextLineDataset`, `CsvDataset`, csv to batches.

Depends on `pipeline`.
"""

from __future__ import annotations

import csv
import gzip
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from fastnn.config import COMPUTED, STORED, stored_dtype
from fastnn.data.paths import files_of
from fastnn.data.pipeline import UNKNOWN_CARDINALITY, Dataset
from fastnn.errors import DataError

__all__ = ["CsvDataset", "TextLineDataset", "columns_of_lines", "make_csv_dataset"]

Array = np.ndarray[Any, Any]


class TextLineDataset(Dataset):
    r"""The lines of text files, without their ends.

    Args:
        filenames: A path, several, or a data set of paths.
        compression_type: None, "" or "GZIP".
        buffer_size: Taken and not needed.
        num_parallel_reads: Taken and not needed.

    Example:
        >>> import pathlib
        >>> _ = pathlib.Path("lines.txt").write_text("one\ntwo\n")
        >>> [line.numpy() for line in fastnn.data.TextLineDataset("lines.txt")]
        [b'one', b'two']
    """

    def __init__(
        self,
        filenames: Any,
        compression_type: str | None = None,
        buffer_size: Any = None,
        num_parallel_reads: Any = None,
        name: str | None = None,
    ) -> None:
        paths = files_of(filenames, "TextLineDataset")
        _check_compression(compression_type)

        def make() -> Iterator[Any]:
            for path in paths:
                yield from map(np.asarray, _lines(path, compression_type))

        super().__init__(make, UNKNOWN_CARDINALITY)


class CsvDataset(Dataset):
    """The rows of csv files as tuples, one value a column.

    Args:
        filenames: A path, several, or a data set of paths.
        record_defaults: One for each column: a type, for columns that must be filled, or a list
            of the value for empty cells.
        compression_type: None, "" or "GZIP".
        buffer_size: Taken and not needed.
        header: Whether the first line names the columns.
        field_delim: What is between cells.
        use_quote_delim: Whether `"` holds cells together.
        na_value: What an empty cell says besides nothing.
        select_cols: The numbers of the columns to read; all unless told.
    """

    def __init__(
        self,
        filenames: Any,
        record_defaults: Sequence[Any],
        compression_type: str | None = None,
        buffer_size: Any = None,
        header: bool = False,
        field_delim: str = ",",
        use_quote_delim: bool = True,
        na_value: str = "",
        select_cols: Sequence[int] | None = None,
        exclude_cols: Sequence[int] | None = None,
    ) -> None:
        paths = files_of(filenames, "CsvDataset")
        _check_compression(compression_type)
        left_out = set(exclude_cols or ())

        def make() -> Iterator[Any]:
            for path in paths:
                rows = _rows(path, field_delim, use_quote_delim, compression_type)
                for row in itertools.islice(rows, int(header), None):
                    columns = (
                        [i for i in range(len(row)) if i not in left_out]
                        if select_cols is None
                        else list(select_cols)
                    )
                    if len(columns) != len(record_defaults):
                        raise DataError(
                            f"{path}: {len(columns)} columns, record_defaults has "
                            f"{len(record_defaults)}\n  hint: one default for each column"
                        )
                    yield tuple(
                        _column([row[c]], _default(d), na_value, f"{path}, column {c}")[0]
                        for c, d in zip(columns, record_defaults, strict=True)
                    )

        super().__init__(make, UNKNOWN_CARDINALITY)


def make_csv_dataset(
    file_pattern: Any,
    batch_size: int,
    column_names: Sequence[str] | None = None,
    column_defaults: Sequence[Any] | None = None,
    label_name: str | None = None,
    select_columns: Sequence[Any] | None = None,
    field_delim: str = ",",
    use_quote_delim: bool = True,
    na_value: str = "",
    header: bool = True,
    num_epochs: int | None = None,
    shuffle: bool = True,
    shuffle_buffer_size: int = 10000,
    shuffle_seed: int | None = None,
    compression_type: str | None = None,
    **further: Any,
) -> Dataset:
    """Batches of the columns of csv files: dicts of arrays, with labels beside them when named.

    Args:
        file_pattern: A path, a pattern, or several.
        batch_size: Rows of a batch.
        column_names: Names of the columns; the first line says them unless told.
        column_defaults: For each column read, a type or a list of the value for empty cells;
            types are whole numbers, numbers or text, by the cells, unless told.
        label_name: The column that is the target.
        select_columns: Names or numbers of the columns to read; all unless told.
        field_delim: What is between cells.
        use_quote_delim: Whether `"` holds cells together.
        na_value: What an empty cell says besides nothing.
        header: Whether the first line names the columns.
        num_epochs: How often the rows come; without end when None.
        shuffle: Whether rows come in random order.
        shuffle_buffer_size: Rows that the next one is drawn from.
        shuffle_seed: Where draws begin.
        compression_type: None, "" or "GZIP".
        **further: Settings of TensorFlow about reading ahead: taken and not needed.

    Returns:
        A data set of dicts, or of pairs (dict, labels).

    Raises:
        DataError: A row has another number of cells, or a cell does not fit its column's type.
    """
    unknown = further.keys() - {
        "prefetch_buffer_size", "num_parallel_reads", "sloppy", "num_rows_for_inference",
        "ignore_errors", "encoding",
    }  # fmt: skip
    if unknown:
        raise TypeError(f"make_csv_dataset got {sorted(unknown)}\n  hint: num_epochs=1")
    _check_compression(compression_type)
    names = None if column_names is None else [str(n) for n in column_names]
    cells: list[list[str]] = []
    for path in files_of(file_pattern, "make_csv_dataset"):
        rows = _rows(path, field_delim, use_quote_delim, compression_type)
        first = next(rows, []) if header else None
        names = names or first or []
        if not names:
            raise DataError(
                f"{path}: its columns have no names\n"
                "  hint: column_names=['a', 'b'], or header=True"
            )
        for number, row in enumerate(rows, 1 + header):
            if len(row) != len(names):
                raise DataError(
                    f"{path}, row {number}: {len(row)} cells for {len(names)} columns\n"
                    "  hint: field_delim is what is between cells"
                )
            cells.append(row)
    assert names is not None
    picked = [names.index(c) if isinstance(c, str) else int(c) for c in select_columns or names]
    if column_defaults is not None and len(column_defaults) != len(picked):
        raise DataError(
            f"make_csv_dataset: {len(column_defaults)} column_defaults for {len(picked)} columns\n"
            "  hint: one default for each column that is read"
        )
    columns = {
        names[c]: _column(
            [row[c] for row in cells],
            _default(None if column_defaults is None else column_defaults[i]),
            na_value,
            f"column {names[c]!r}",
        )
        for i, c in enumerate(picked)
    }
    if label_name is not None and label_name not in columns:
        raise DataError(
            f"make_csv_dataset: no column {label_name!r}\n  hint: columns are {list(columns)}"
        )
    label = None if label_name is None else columns.pop(label_name)
    data = Dataset.from_tensor_slices(columns if label is None else (columns, label))
    if shuffle:
        data = data.shuffle(max(1, min(shuffle_buffer_size, len(cells))), seed=shuffle_seed)
    if num_epochs != 1:
        data = data.repeat(num_epochs)
    return data.batch(batch_size, drop_remainder=num_epochs is None)


def _check_compression(kind: str | None) -> None:
    if kind not in (None, "", "GZIP"):
        raise ValueError(f"compression_type is {kind!r}\n  hint: 'GZIP', or the unpacked file")


def _open(path: str, compression: str | None) -> Any:
    if compression == "GZIP":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return open(path, encoding="utf-8", newline="")


def _lines(path: str, compression: str | None) -> Iterator[str]:
    try:
        with _open(path, compression) as file:
            for line in file:
                yield line.removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: {error}\n  hint: save it as UTF-8") from None


def _rows(path: str, delim: str, quoted: bool, compression: str | None) -> Iterator[list[str]]:
    return (row for row in _reader(_lines(path, compression), delim, quoted) if row)


def _reader(lines: Iterable[str], delim: str, quoted: bool) -> Iterator[list[str]]:
    if quoted:
        return csv.reader(lines, delimiter=delim)
    return csv.reader(lines, delimiter=delim, quoting=csv.QUOTE_NONE)


def columns_of_lines(
    lines: list[str],
    defaults: Sequence[Any],
    delim: str = ",",
    quoted: bool = True,
    empty: str = "",
    picked: Sequence[int] | None = None,
    where: str = "decode_csv",
) -> list[Array]:
    """The columns of lines of a csv file: one array for each default, whose type it has.

    Args:
        lines: Texts without line ends.
        defaults: A number or text for each column, which stands for empty cells, alone or in a
            list; one without elements says the type of a column that has no empty cells.
        delim: What is between cells.
        quoted: Whether `"` holds cells together.
        empty: What an empty cell says besides nothing.
        picked: Numbers of the columns to read, in order; all unless told.
        where: Who asks, for errors.

    Returns:
        Arrays of one value a line.

    Raises:
        DataError: A line has another number of cells, or a cell does not fit its column's type.
    """
    rows = [next(_reader([line], delim, quoted), []) for line in lines]
    for line, row in zip(lines, rows, strict=True):
        wanted = len(defaults) if picked is None else max(picked) + 1
        if len(row) < wanted or (picked is None and len(row) > wanted):
            raise DataError(
                f"{where}: {line!r:.80} has {len(row)} cells, wanted {wanted}\n"
                "  hint: one default for each column, or select_cols"
            )
    at = range(len(defaults)) if picked is None else picked
    return [
        _column([row[c] for row in rows], _filled(given), empty, f"{where}: column {c}")
        for c, given in zip(at, defaults, strict=True)
    ]


def _filled(given: Any) -> tuple[str | None, Any]:
    """As `_default`; one without elements has a type alone."""
    value = given if isinstance(given, np.ndarray) else np.asarray(given)
    if value.size:
        return _default(value.tolist() if value.dtype.kind in "UO" else given)
    return {"U": "string", "O": "string", "i": "int32"}.get(value.dtype.kind, "float32"), None


def _default(given: Any) -> tuple[str | None, Any]:
    """The type of a column and its value for empty cells: (None, None) when the cells decide."""
    if given is None:
        return None, None
    if given is str or (isinstance(given, str) and given in ("string", *STORED, *COMPUTED)):
        return ("string" if given in (str, "string") else stored_dtype(given)), None
    value = np.asarray(given.numpy() if hasattr(given, "numpy") else given)
    if value.dtype == object or value.size != 1:
        return stored_dtype(given), None
    item = value.ravel()[0].item()
    kind = "string" if isinstance(item, str) else "int32" if isinstance(item, int) else "float32"
    return kind, item


def _column(cells: list[str], default: tuple[str | None, Any], empty: str, where: str) -> Array:
    kind, value = default
    blank = [c == "" or c == empty for c in cells]
    if kind is None:
        filled = [c for c, b in zip(cells, blank, strict=True) if not b]
        kind = _kind_of(filled)
        value = "" if kind == "string" else 0
    if any(blank) and value is None:
        raise DataError(
            f"{where}: a cell is empty\n  hint: a list as its default, e.g. [0.0], fills it"
        )
    texts = [str(value) if b else c for c, b in zip(cells, blank, strict=True)]
    if kind == "string":
        return np.array(texts, str)
    try:
        if kind in ("float32", "bfloat16", "float16"):
            return np.array([float(t) for t in texts], np.float32)
        return np.array([int(t) for t in texts], np.int64)
    except ValueError as error:
        raise DataError(f"{where}: {error}\n  hint: its type is {kind}; [''] reads text") from None


def _kind_of(cells: list[str]) -> str:
    """The narrowest of whole numbers, numbers and text that all cells fit."""
    for kind, read in (("int32", int), ("float32", float)):
        try:
            for cell in cells:
                read(cell)
            return kind
        except ValueError:
            continue
    return "string"
