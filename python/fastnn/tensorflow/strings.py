"""`tf.strings`: functions of text, which is an array of NumPy's here. Depends on `layers`' door."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnn import _core, ops
from fastnn._core import Tensor
from fastnn.base.absent import answer_missing
from fastnn.errors import DataError
from fastnn.layers.preprocessing.host import array_of, texts_of

__all__ = [
    "as_string", "join", "length", "lower", "reduce_join", "regex_full_match", "regex_replace",
    "split", "strip", "substr", "to_number", "upper",
]  # fmt: skip

Text = np.ndarray[Any, Any]


def _texts(value: Any, where: str) -> Text:
    return texts_of(array_of(value), f"tf.strings.{where}")


def _each(f: Callable[[str], str], value: Any, where: str) -> Text:
    texts = _texts(value, where)
    return np.array([f(v) for v in texts.ravel().tolist()], str).reshape(texts.shape)


def lower(input: Any, encoding: str = "", name: Any = None) -> Text:
    """Texts in small letters."""
    return _each(str.lower, input, "lower")


def upper(input: Any, encoding: str = "", name: Any = None) -> Text:
    """Texts in capital letters."""
    return _each(str.upper, input, "upper")


def strip(input: Any, name: Any = None) -> Text:
    """Texts without white space at their ends."""
    return _each(str.strip, input, "strip")


def regex_replace(
    input: Any, pattern: str, rewrite: str, replace_global: bool = True, name: Any = None
) -> Text:
    """Texts with `rewrite` in place of what fits the pattern: of all of it, or of the first."""
    found, most = _compiled(pattern), 0 if replace_global else 1
    rewrite = rewrite.replace("\\0", "\\g<0>")  # TensorFlow's name of all that fits
    return _each(lambda v: found.sub(rewrite, v, count=most), input, "regex_replace")


def regex_full_match(input: Any, pattern: str, name: Any = None) -> Tensor:
    """Whether a whole text fits the pattern."""
    texts, found = _texts(input, "regex_full_match"), _compiled(pattern)
    fits = [found.fullmatch(v) is not None for v in texts.ravel().tolist()]
    return _core.tensor(np.array(fits, bool).reshape(texts.shape))


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise DataError(
            f"tf.strings: {pattern!r:.80} is no regular expression: {error}\n"
            "  hint: re.escape(text) for characters that stand for themselves"
        ) from None


def length(input: Any, unit: str = "BYTE", name: Any = None) -> Tensor:
    """How many bytes of UTF-8 a text has, or with `unit="UTF8_CHAR"` how many characters."""
    texts = _texts(input, "length")
    counts = [len(v) if unit == "UTF8_CHAR" else len(v.encode()) for v in texts.ravel().tolist()]
    return _core.tensor(np.array(counts, np.int32).reshape(texts.shape))


def substr(input: Any, pos: int, len: int, unit: str = "BYTE", name: Any = None) -> Text:
    """`len` bytes or characters of each text from `pos` on."""

    def cut(text: str) -> str:
        if unit == "UTF8_CHAR":
            return text[pos : pos + len] if pos >= 0 else text[pos:][:len]
        data = text.encode()
        return (data[pos : pos + len] if pos >= 0 else data[pos:][:len]).decode("utf-8", "replace")

    return _each(cut, input, "substr")


def join(inputs: Sequence[Any], separator: str = "", name: Any = None) -> Text:
    """Texts of several arrays joined element by element."""
    parts = np.broadcast_arrays(*(_texts(v, "join") for v in inputs))
    rows = zip(*(p.ravel().tolist() for p in parts), strict=True)
    return np.array([separator.join(row) for row in rows], str).reshape(parts[0].shape)


def reduce_join(
    inputs: Any, axis: int | None = None, separator: str = "", name: Any = None
) -> Text:
    """Texts along an axis joined to one; all of them without an axis."""
    texts = _texts(inputs, "reduce_join")
    rows = texts.reshape(1, -1) if axis is None else np.moveaxis(texts, axis, -1)
    flat = [separator.join(r) for r in rows.reshape(-1, rows.shape[-1]).tolist()]
    return np.array(flat, str).reshape(() if axis is None else rows.shape[:-1])


def split(input: Any, sep: str | None = None, maxsplit: int = -1, name: Any = None) -> Text:
    """The words of one text; of several, rows with "" after the words of shorter ones."""
    texts = _texts(input, "split")
    rows = [v.split(sep, maxsplit) for v in texts.ravel().tolist()]
    if texts.ndim == 0:
        return np.array(rows[0], str)
    width = max(map(_count, rows), default=0)
    padded = [[*row, *[""] * (width - _count(row))] for row in rows]
    return np.array(padded, str).reshape(*texts.shape, width)


def _count(row: list[str]) -> int:
    return row.__len__()


def to_number(input: Any, out_type: str = "float32", name: Any = None) -> Tensor:
    """The numbers that texts say."""
    texts = _texts(input, "to_number")
    try:
        return ops.cast(_core.tensor(texts.astype(np.float64).astype(np.float32)), out_type)
    except ValueError as error:
        raise DataError(f"tf.strings.to_number: {error}\n  hint: texts such as '1.5'") from None


def as_string(input: Any, name: Any = None) -> Text:
    """Numbers as texts."""
    return np.asarray(ops.convert_to_numpy(input)).astype(str)


answer_missing(globals())
