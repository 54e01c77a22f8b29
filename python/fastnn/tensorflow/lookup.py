"""`tf.lookup`: tables from texts or numbers to others, read on the host. Depends on `ops`."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import _core, ops
from fastnn.base.absent import answer_missing
from fastnn.base.text import as_text
from fastnn.base.typing import TensorLike
from fastnn.data.paths import one_path
from fastnn.errors import DataError

__all__ = [
    "KeyValueTensorInitializer", "StaticHashTable", "StaticVocabularyTable", "TextFileIndex",
    "TextFileInitializer",
]  # fmt: skip


def _values(x: TensorLike) -> list[Any]:
    array = np.asarray(ops.convert_to_numpy(x) if hasattr(x, "is_traced") else x)
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8")
    flat: list[Any] = array.ravel().tolist()
    return [v.decode() if isinstance(v, bytes) else v for v in flat]


class KeyValueTensorInitializer:
    """What a table holds: keys and a value for each."""

    keys: list[Any]
    values: list[Any]

    def __init__(
        self, keys: Any, values: Any, key_dtype: Any = None, value_dtype: Any = None,
        name: str | None = None,
    ) -> None:  # fmt: skip
        self.keys, self.values = _values(keys), _values(values)
        if len(self.keys) != len(self.values):
            raise DataError(
                f"{len(self.keys)} keys and {len(self.values)} values\n  hint: one value a key"
            )
        if len(set(self.keys)) != len(self.keys):
            raise DataError("a key is there twice\n  hint: each key once")


class TextFileIndex:
    """What `TextFileInitializer` reads of a line besides the numbers of columns."""

    WHOLE_LINE, LINE_NUMBER = -2, -1


class TextFileInitializer(KeyValueTensorInitializer):
    """What a table holds, from the lines of a file."""

    def __init__(
        self, filename: Any, key_dtype: Any, key_index: int, value_dtype: Any, value_index: int,
        vocab_size: int | None = None, delimiter: str = "\t", name: str | None = None,
    ) -> None:  # fmt: skip
        def part(line: str, number: int, index: int, dtype: str) -> Any:
            if index == TextFileIndex.LINE_NUMBER:
                return number
            text = line if index == TextFileIndex.WHOLE_LINE else line.split(delimiter)[index]
            return text if dtype == "string" else float(text) if "float" in dtype else int(text)

        with open(one_path(filename), encoding="utf-8") as file:
            lines = file.read().splitlines()[:vocab_size]
        super().__init__(
            [part(line, i, key_index, key_dtype) for i, line in enumerate(lines)],
            [part(line, i, value_index, value_dtype) for i, line in enumerate(lines)],
        )


class StaticHashTable:
    """A table that gives the value of each key, and a default for keys that it has not."""

    def __init__(
        self, initializer: KeyValueTensorInitializer, default_value: Any, name: str | None = None,
        experimental_is_anonymous: bool = False,
    ) -> None:  # fmt: skip
        self._table = dict(zip(initializer.keys, initializer.values, strict=True))
        (self._default,) = _values(default_value)

    def size(self) -> int:
        """How many keys there are."""
        return len(self._table)

    def _value(self, key: Any) -> Any:
        return self._table.get(key, self._default)

    def lookup(self, keys: Any, name: str | None = None) -> Any:
        """The values of keys, as a tensor; texts as an array of texts."""
        if getattr(keys, "is_traced", False):
            raise _core.TraceError(
                "a table is read on the host, and a step is traced\n"
                "  hint: look keys up in Dataset.map, or use layers.StringLookup"
            )
        found = np.array([self._value(key) for key in _values(keys)]).reshape(np.shape(keys))
        return as_text(found) if found.dtype.kind in "US" else ops.convert_to_tensor(found)

    def __getitem__(self, keys: Any) -> Any:
        return self.lookup(keys)


class StaticVocabularyTable(StaticHashTable):
    """A table of numbers; a key that it has not gets one of `num_oov_buckets` further ones."""

    def __init__(
        self, initializer: KeyValueTensorInitializer, num_oov_buckets: int, **_: Any
    ) -> None:
        super().__init__(initializer, -1)
        self._buckets = num_oov_buckets

    def size(self) -> int:
        """How many keys there are, and numbers for others."""
        return len(self._table) + self._buckets

    def _value(self, key: Any) -> Any:
        from zlib import crc32

        known = self._table.get(key)
        return len(self._table) + crc32(str(key).encode()) % self._buckets if known is None else (
            known
        )  # fmt: skip


answer_missing(globals())
