"""Folders of text files with a subfolder a class, and batches of rows of like length.

Depends on `folders`, `pipeline`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastnn.base.arguments import hints_arguments
from fastnn.config import floatx
from fastnn.data.folders import _checked_split, check_format, check_label_mode, index_directory
from fastnn.data.pass_numbers import Passes
from fastnn.data.pipeline import Dataset
from fastnn.errors import DataError

__all__ = ["by_length", "text_dataset_from_directory"]

Array = np.ndarray[Any, Any]


@hints_arguments
def text_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    max_length: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    format: str = "tf",
    verbose: bool = True,
) -> Any:
    """A data set of the `.txt` files in a folder that has a subfolder for each class.

    Args:
        directory: The folder.
        labels: `"inferred"` from the subfolders, None, or a number for each file in order of paths.
        label_mode: `"int"`, `"binary"` (float32 of shape (batch, 1)), `"categorical"` (one-hot) or
            None.
        class_names: Subfolders in the order of their class numbers; None: sorted.
        batch_size: Texts of a batch; None for single texts.
        max_length: Letters of a text that are kept; None: all.
        shuffle: Whether texts are mixed, anew in each pass.
        seed: Of the order; a number makes it the same in each run.
        validation_split: The share of the files, the last ones, that is for validation.
        subset: `"training"`, `"validation"` or `"both"` (two data sets).
        follow_links: Whether links to folders are followed.
        format: `"tf"`.
        verbose: Whether to say how many files were found.

    Returns:
        A `fastnn.data.Dataset` of (texts, labels) with `class_names` and `file_paths`, or two.

    Raises:
        DataError: There is no such folder, no text in it, or a file is not UTF-8.

    Example:
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> for name in ("bad", "good"):
        ...     (folder / name).mkdir()
        ...     _ = (folder / name / "0.txt").write_text(f"a {name} film")
        >>> ds = fastnn.utils.text_dataset_from_directory(folder, verbose=False, shuffle=False)
        >>> [(x.tolist(), y.tolist()) for x, y in ds]
        [(['a bad film', 'a good film'], [0, 1])]
    """
    check_label_mode(label_mode)
    if labels is None or label_mode is None:
        labels = label_mode = None
    check_format(format)
    _checked_split(validation_split, subset, shuffle, seed)
    if shuffle and seed is None:
        seed = int(np.random.randint(10**6))
    paths, numbers, names = index_directory(
        directory, labels, (".txt",), class_names, shuffle, seed, follow_links, verbose
    )
    if label_mode == "binary" and len(names or ()) != 2:
        raise ValueError(
            'When passing `label_mode="binary"`, there must be exactly 2 class_names. '
            f"Received: class_names={names}\n  hint: label_mode='int' or 'categorical'"
        )
    if not paths:
        raise DataError(
            f"No text files found in directory {str(directory)!r}. Allowed format: .txt\n"
            "  hint: one subfolder a class, texts in it"
        )
    held = int((validation_split or 0) * len(paths))
    parts = {"training": (0, len(paths) - held), "validation": (len(paths) - held, len(paths))}
    wanted = (subset,) if subset in parts else tuple(parts) if subset == "both" else (None,)
    made = []
    for part in wanted:
        first, last = parts.get(part or "", (0, len(paths)))
        mixed = shuffle and not (subset == "both" and part == "validation")
        order = Dataset.from_tensor_slices(np.arange(first, last))
        order = order.shuffle(last - first, seed=seed) if mixed else order
        ds = _dataset(order, last - first, paths, numbers, label_mode, len(names or ()), max_length)
        ds = ds if batch_size is None else ds.batch(batch_size)
        vars(ds).update(class_names=names, file_paths=paths[first:last])
        made.append(ds)
    return made if subset == "both" else made[0]


def _dataset(
    order: Any, count: int, paths: list[str], numbers: Any, mode: str | None, classes: int,
    most: int | None,
) -> Dataset:  # fmt: skip
    def target(i: int) -> Array:
        if mode == "binary":
            return np.asarray([numbers[i]], floatx())
        if mode == "categorical":
            one: Array = np.eye(classes, dtype=floatx())[int(numbers[i])]
            return one
        return np.asarray(numbers[i], np.int32)

    def make() -> Iterator[Any]:
        for i in order.as_numpy_iterator():
            text = np.asarray(_read(paths[int(i)], most))
            yield text if mode is None else (text, target(int(i)))

    return Dataset(make, count)


def _read(path: str, most: int | None) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")[:most]
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: {error}\n  hint: save it as UTF-8") from None


def by_length(
    x: Any,
    y: Any = None,
    batch_size: int = 32,
    widths: Sequence[int] | None = None,
    pad: int = 0,
    shuffle: bool = True,
    seed: int | None = None,
) -> Any:
    """Batches of rows of like length, each padded to a width of its own: little is padding.

    Rows are put into the narrowest width that holds them; batches of all widths come mixed, in
    another order in each pass. A model of open length trains on them with one trace.

    Args:
        x: Rows of different lengths: lists or arrays of token numbers.
        y: A label for each row, or a row of labels that is padded alike.
        batch_size: Rows of a batch; the last one of a width may have fewer.
        widths: The widths, rising; the last one holds the longest row. None: powers of two from 8.
        pad: What rows are filled up with, behind.
        shuffle: Whether rows and batches are mixed.
        seed: Of the order; a number makes it the same in each run.

    Returns:
        A `fastnn.data.Dataset` of batches x, or (x, y).

    Raises:
        DataError: A row is longer than the last width, or has no tokens.

    Example:
        >>> rows = [[1, 2], [3, 4, 5], [6] * 9]
        >>> batches = fastnn.data.by_length(rows, batch_size=2, widths=[4, 9], shuffle=False)
        >>> [x.shape for x in batches.as_numpy_iterator()]
        [(2, 4), (1, 9)]
    """
    rows = [np.asarray(r) for r in x]
    lengths = np.array([r.shape[0] if r.ndim else 0 for r in rows])
    if not len(rows) or lengths.min() == 0:
        at = int(lengths.argmin()) if len(rows) else 0
        raise DataError(f"row {at} of x has no tokens\n  hint: leave empty rows out")
    if y is not None and len(y) != len(rows):
        raise DataError(f"x has {len(rows)} rows, y has {len(y)}\n  hint: one label a row")
    longest = int(lengths.max())
    if widths is None:
        widths = [8]
        while widths[-1] < longest:
            widths.append(2 * widths[-1])
        widths[-1] = min(widths[-1], longest) if len(widths) > 1 else widths[-1]
    edges = np.array(sorted(widths))
    if edges[-1] < longest:
        raise DataError(
            f"row {int(lengths.argmax())} has {longest} tokens, the widest batch {edges[-1]}\n"
            "  hint: a larger last width, or shorter rows"
        )
    bucket = np.searchsorted(edges, lengths)
    passes = Passes()

    def padded(values: Any, width: int) -> Array:
        out = np.full((len(values), width, *values[0].shape[1:]), pad, values[0].dtype)
        for row, value in zip(out, values, strict=True):
            row[: len(value)] = value
        return out

    def make() -> Iterator[Any]:
        rng = np.random.default_rng(None if seed is None else [seed, next(passes)])
        batches = []
        for b, width in enumerate(edges):
            chosen = np.flatnonzero(bucket == b)
            chosen = rng.permutation(chosen) if shuffle else chosen
            batches += [
                (chosen[i : i + batch_size], int(width)) for i in range(0, len(chosen), batch_size)
            ]
        order = rng.permutation(len(batches)) if shuffle else np.arange(len(batches))
        for at in order:
            chosen, width = batches[at]
            inputs = padded([rows[i] for i in chosen], width)
            if y is None:
                yield inputs
                continue
            labels = [np.asarray(y[i]) for i in chosen]
            alike = all(v.ndim and len(v) == len(rows[i]) for v, i in zip(labels, chosen,
                                                                         strict=True))  # fmt: skip
            yield inputs, padded(labels, width) if alike else np.stack(labels)

    count = sum(-(-int((bucket == b).sum()) // batch_size) for b in range(len(edges)))
    return Dataset(make, count, passes=passes)
