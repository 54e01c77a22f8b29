"""Batches of pictures that a table names. The table may be of pandas, polars or a dict of columns.

Depends on `iterators`.
"""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np

from fastnn.base.messages import print_msg
from fastnn.base.typing import DTypeLike
from fastnn.errors import DataError
from fastnn.preprocessing.image.iterators import BatchFromFiles, check_class_mode

__all__ = ["DataFrameIterator"]

_UNLABELLED = ("input", "multi_output", "raw", None)


class DataFrameIterator(BatchFromFiles):
    """What `flow_from_dataframe` returns: batches of pictures that a table names.

    Args:
        dataframe: The table.
        directory: The folder that names are looked up in.
        image_data_generator: The `ImageDataGenerator`, or None.
        x_col: The column of names.
        y_col: The column of labels, or a list of columns.
        weight_col: The column of sample weights.
        target_size: (height, width) of the pictures.
        color_mode: `"rgb"`, `"rgba"` or `"grayscale"`.
        classes: Names of the classes in the order of their numbers; None: sorted.
        class_mode: `"categorical"`, `"binary"`, `"sparse"`, `"raw"`, `"multi_output"`, `"input"` or
            None.
        batch_size: Pictures of a batch.
        shuffle: Whether they are mixed in each epoch.
        seed: Of order and changes.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        save_to_dir: A folder that the changed pictures are written to.
        save_prefix: What their names begin with.
        save_format: Their format.
        subset: `"training"` or `"validation"`.
        interpolation: How pictures are resized.
        keep_aspect_ratio: Whether to cut instead of stretching.
        dtype: The type of the batches.
        validate_filenames: Whether names without a file are left out.
        on_error: `"stop"` or `"skip"`.

    Example:
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> (folder / "cat").mkdir()
        >>> fastnn.utils.save_img(folder / "cat" / "0.png", np.zeros((4, 4, 3)))
        >>> gen = fastnn.preprocessing.image.ImageDataGenerator()
        >>> table = {"filename": ["cat/0.png"], "class": ["cat"]}
        >>> it = gen.flow_from_dataframe(table, folder, target_size=(8, 8))
        Found 1 validated image filenames belonging to 1 classes.
        >>> it[0][0].shape, it.class_indices
        ((1, 8, 8, 3), {'cat': 0})
    """

    directory: str
    filenames: list[str]
    samples: int
    sample_weight: Any
    class_indices: dict[str, int]

    allowed_class_modes: frozenset[str | None] = frozenset(
        {"binary", "categorical", "input", "multi_output", "raw", "sparse", None}
    )

    def __init__(
        self,
        dataframe: Any,
        directory: Any = None,
        image_data_generator: Any = None,
        x_col: str = "filename",
        y_col: Any = "class",
        weight_col: str | None = None,
        target_size: Any = (256, 256),
        color_mode: str = "rgb",
        classes: Any = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        data_format: str | None = "channels_last",
        save_to_dir: Any = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
        dtype: DTypeLike = None,
        validate_filenames: bool = True,
        on_error: str = "stop",
    ) -> None:
        self._take(
            image_data_generator, target_size, color_mode, data_format, save_to_dir, save_prefix,
            save_format, subset, interpolation, keep_aspect_ratio, dtype, on_error,
        )  # fmt: skip
        check_class_mode(class_mode, self.allowed_class_modes)
        self.directory = os.path.expanduser(os.fsdecode(directory)) if directory else ""
        self.class_mode = class_mode
        if class_mode == "multi_output" and not isinstance(y_col, list):
            raise TypeError(
                f'If class_mode="{class_mode}", y_col must be a list. '
                f"Received {type(y_col).__name__}.\n  hint: y_col=['first', 'second']"
            )
        names = _column(dataframe, x_col)
        odd = [n for n in names if not isinstance(n, str)]
        if odd:
            raise TypeError(
                f"All values in column x_col={x_col} must be strings. Found {odd[0]!r}"
                "\n  hint: names of files"
            )
        rows = np.arange(len(names))
        if validate_filenames:
            good = [self._is_picture(n) for n in names]
            if not all(good):
                warnings.warn(
                    f'Found {len(good) - sum(good)} invalid image filename(s) in x_col="{x_col}". '
                    "These filename(s) will be ignored.",
                    stacklevel=3,
                )
            rows = rows[np.asarray(good, bool)]
        text = f"{'validated' if validate_filenames else 'non-validated'} image filenames"
        labels: list[Any] = []
        if class_mode not in _UNLABELLED:
            column = _column(dataframe, y_col)
            rows, labels = self._labelled(rows, column, classes, y_col)
            text += f" belonging to {len(self.class_indices)} classes"
        elif classes:
            warnings.warn(
                f'`classes` will be ignored given the class_mode="{class_mode}"', stacklevel=3
            )
        if self.split is not None:
            part = slice(*(int(s * len(rows)) for s in self.split))
            rows, labels = rows[part], labels[part]
        self.classes = labels
        self.filenames = [names[i] for i in rows]
        self._filepaths = [os.path.join(self.directory, name) for name in self.filenames]
        self.samples = len(rows)
        if weight_col:
            weights = np.asarray(_column(dataframe, weight_col))
            if weights.dtype.kind not in "biuf":
                raise TypeError(
                    f"Column weight_col={weight_col} must be numeric.\n  hint: one number a row"
                )
            self.sample_weight = weights[rows]
        self._targets: Any = None
        if class_mode == "multi_output":
            self._targets = [np.asarray(_column(dataframe, c))[rows] for c in y_col]
        elif class_mode == "raw":
            many = isinstance(y_col, list | tuple)
            columns = [_column(dataframe, c) for c in (y_col if many else [y_col])]
            self._targets = (np.stack(columns, -1) if many else np.asarray(columns[0]))[rows]
        print_msg(f"Found {self.samples} {text}.")
        if not self.samples:
            raise DataError(
                f"the table names no pictures that are there, looked up in {self.directory!r}\n"
                "  hint: directory=... is the folder that names start from"
            )
        super().__init__(self.samples, batch_size, shuffle, seed)

    def _is_picture(self, name: str) -> bool:
        path = os.path.join(self.directory, name)
        return name.lower().endswith(self.white_list_formats) and os.path.isfile(path)

    def _labelled(
        self, rows: Any, column: list[Any], classes: Any, y_col: Any
    ) -> tuple[Any, list[Any]]:
        """Rows that have a class, and their class numbers (lists of them for several classes)."""
        several = self.class_mode == "categorical"
        kept, values = [], []
        for i in rows:
            value = column[i]
            if value is None or value != value:
                continue
            if not isinstance(value, str) and not (several and isinstance(value, list | tuple)):
                wanted = "type string, list or tuple" if several else "strings"
                raise TypeError(
                    f'If class_mode="{self.class_mode}", y_col="{y_col}" column values must be '
                    f"{wanted}. Found {value!r}\n"
                    "  hint: df[column].astype(str), or class_mode='raw' for numbers"
                )
            kept.append(i)
            values.append(value)
        each = [[v] if isinstance(v, str) else list(v) for v in values]
        names = list(dict.fromkeys(classes)) if classes else sorted({n for v in each for n in v})
        if self.class_mode == "binary" and len(names) != 2:
            raise ValueError(
                'If class_mode="binary" there must be 2 classes. '
                f"{len(names)} class/es were found: {names}\n  hint: class_mode='sparse'"
            )
        self.class_indices = {name: i for i, name in enumerate(names)}
        chosen, numbers = [], []
        for i, value, parts in zip(kept, values, each, strict=True):
            found = [self.class_indices[n] for n in parts if n in self.class_indices]
            if found:
                chosen.append(i)
                numbers.append(found[0] if isinstance(value, str) else found)
        return np.asarray(chosen, np.intp), numbers

    @property
    def labels(self) -> Any:
        """The labels of the pictures, in the order of `filenames`."""
        return self.classes if self._targets is None else self._targets


def _column(table: Any, name: Any) -> list[Any]:
    try:
        values = table[name]
    except Exception as error:
        known = list(getattr(table, "columns", table))
        raise DataError(
            f"the table has no column {name!r}\n  hint: its columns are {known}"
        ) from error
    return list(values)
