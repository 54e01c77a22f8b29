"""`tf.strings`: functions of text, which is a `TextArray` here. Depends on `layers`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from fastnn import _core, ops
from fastnn._core import Tensor
from fastnn.base.absent import answer_missing
from fastnn.base.text import TextArray, as_text
from fastnn.base.typing import TensorLike
from fastnn.errors import DataError
from fastnn.layers.preprocessing.farmhash import fingerprint64
from fastnn.layers.preprocessing.host import array_of, texts_of
from fastnn.layers.preprocessing.siphash import salt_of, siphash24

__all__ = [
    "as_string", "bytes_split", "format", "join", "length", "lower", "ngrams", "reduce_join",
    "regex_full_match", "regex_replace", "split", "strip", "substr", "to_hash_bucket",
    "to_hash_bucket_fast", "to_hash_bucket_strong", "to_number", "unicode_decode",
    "unicode_encode", "unicode_split", "upper",
]  # fmt: skip

Text = TextArray


def _texts(value: Any, where: str) -> np.ndarray[Any, Any]:
    return texts_of(array_of(value), f"tf.strings.{where}")


def _each(f: Callable[[str], str], value: Any, where: str) -> Text:
    texts = _texts(value, where)
    return as_text(np.array([f(v) for v in texts.ravel().tolist()], str).reshape(texts.shape))


def lower(input: TensorLike, encoding: str = "", name: str | None = None) -> Text:
    """Texts in small letters."""
    return _each(str.lower, input, "lower")


def upper(input: TensorLike, encoding: str = "", name: str | None = None) -> Text:
    """Texts in capital letters."""
    return _each(str.upper, input, "upper")


def strip(input: TensorLike, name: str | None = None) -> Text:
    """Texts without white space at their ends."""
    return _each(str.strip, input, "strip")


def regex_replace(
    input: TensorLike,
    pattern: str,
    rewrite: str,
    replace_global: bool = True,
    name: str | None = None,
) -> Text:
    """Texts with `rewrite` in place of what fits the pattern: of all of it, or of the first."""
    found, most = _compiled(pattern), 0 if replace_global else 1
    rewrite = rewrite.replace("\\0", "\\g<0>")  # TensorFlow's name of all that fits
    return _each(lambda v: found.sub(rewrite, v, count=most), input, "regex_replace")


def regex_full_match(input: TensorLike, pattern: str, name: str | None = None) -> Tensor:
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


def length(input: TensorLike, unit: str = "BYTE", name: str | None = None) -> Tensor:
    """How many bytes of UTF-8 a text has, or with `unit="UTF8_CHAR"` how many characters."""
    texts = _texts(input, "length")
    counts = [len(v) if unit == "UTF8_CHAR" else len(v.encode()) for v in texts.ravel().tolist()]
    return _core.tensor(np.array(counts, np.int32).reshape(texts.shape))


def substr(
    input: TensorLike, pos: int, len: int, unit: str = "BYTE", name: str | None = None
) -> Text:
    """`len` bytes or characters of each text from `pos` on."""

    def cut(text: str) -> str:
        if unit == "UTF8_CHAR":
            return text[pos : pos + len] if pos >= 0 else text[pos:][:len]
        data = text.encode()
        return (data[pos : pos + len] if pos >= 0 else data[pos:][:len]).decode("utf-8", "replace")

    return _each(cut, input, "substr")


def join(inputs: Sequence[Any], separator: str = "", name: str | None = None) -> Text:
    """Texts of several arrays joined element by element."""
    parts = np.broadcast_arrays(*(_texts(v, "join") for v in inputs))
    rows = zip(*(p.ravel().tolist() for p in parts), strict=True)
    joined = np.array([separator.join(row) for row in rows], str)
    return as_text(joined.reshape(parts[0].shape))


def reduce_join(
    inputs: TensorLike, axis: int | None = None, separator: str = "", name: str | None = None
) -> Text:
    """Texts along an axis joined to one; all of them without an axis."""
    texts = _texts(inputs, "reduce_join")
    rows = texts.reshape(1, -1) if axis is None else np.moveaxis(texts, axis, -1)
    flat = [separator.join(r) for r in rows.reshape(-1, rows.shape[-1]).tolist()]
    return as_text(np.array(flat, str).reshape(() if axis is None else rows.shape[:-1]))


def split(
    input: TensorLike, sep: str | None = None, maxsplit: int = -1, name: str | None = None
) -> Text:
    """The words of one text; of several, rows with "" after the words of shorter ones."""
    return _pieces(lambda v: v.split(sep or None, maxsplit), input, "split")


def unicode_split(
    input: TensorLike, input_encoding: str = "UTF-8", errors: str = "replace",
    replacement_char: int = 65533, name: str | None = None,
) -> Text:  # fmt: skip
    """The characters of one text; of several, rows with "" after those of shorter ones."""
    return _pieces(list, input, "unicode_split")


def bytes_split(input: TensorLike, name: str | None = None) -> Text:
    """As `unicode_split`; refused for text whose characters are several bytes."""

    def cut(text: str) -> list[str]:
        if not text.isascii():
            raise DataError(
                f"tf.strings.bytes_split: {text!r:.60} has characters of several bytes\n"
                "  hint: tf.strings.unicode_split(text, 'UTF-8')"
            )
        return list(text)

    return _pieces(cut, input, "bytes_split")


def ngrams(
    data: Any, ngram_width: int | Sequence[int], separator: str = " ", name: str | None = None
) -> Text:
    """The runs of so many texts along the last axis, joined; of several widths one after another.

    Texts of a row that are "" at its end are what filled it up: they make no runs.
    """
    texts = _texts(data, "ngrams")
    widths = [ngram_width] if isinstance(ngram_width, int) else list(ngram_width)
    rows = []
    for row in texts.reshape(-1, texts.shape[-1]).tolist():
        while texts.ndim > 1 and row and row[-1] == "":
            row.pop()
        rows.append(
            [separator.join(row[i : i + w]) for w in widths for i in range(len(row) - w + 1)]
        )
    return _filled(rows, texts.shape[:-1])


def _pieces(f: Callable[[str], list[str]], value: Any, where: str) -> Text:
    texts = _texts(value, where)
    return _filled([f(v) for v in texts.ravel().tolist()], texts.shape)


def _filled(rows: list[list[str]], shape: tuple[int, ...]) -> Text:
    """Rows of one length, "" after shorter ones, under the axes `shape`."""
    width = max(map(_count, rows), default=0)
    padded = [[*row, *[""] * (width - _count(row))] for row in rows]
    return as_text(np.array(padded, str).reshape(*shape, width))


def _count(row: Sequence[Any]) -> int:
    return row.__len__()


def unicode_decode(
    input: TensorLike, input_encoding: str = "UTF-8", name: str | None = None
) -> Tensor:
    """The numbers of the characters; of several texts, rows with 0 after those of shorter ones."""
    pieces = unicode_split(input)
    codes = [ord(v) if v else 0 for v in pieces.ravel().tolist()]
    return _core.tensor(np.array(codes, np.int32).reshape(pieces.shape))


def unicode_encode(
    input: TensorLike, output_encoding: str = "UTF-8", name: str | None = None
) -> Text:
    """Texts of the characters whose numbers stand along the last axis; 0 is none."""
    codes = np.asarray(ops.convert_to_numpy(input))
    rows = [
        "".join(chr(c) for c in row if c) for row in codes.reshape(-1, codes.shape[-1]).tolist()
    ]
    return as_text(np.array(rows, str).reshape(codes.shape[:-1]))


def format(
    template: str,
    inputs: TensorLike,
    placeholder: str = "{}",
    summarize: int = 3,
    name: str | None = None,
) -> Text:
    """A text with values in the places of `placeholder`."""
    parts = template.split(placeholder)
    values = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
    if _count(parts) != _count(values) + 1:
        raise DataError(
            f"tf.strings.format: {_count(parts) - 1} places for {_count(values)} values\n"
            "  hint: one {} for each value"
        )
    said = [
        f'"{v}"' if isinstance(v, str) else str(np.asarray(v) if isinstance(v, Tensor) else v)
        for v in values
    ]
    return as_text(parts[0] + "".join(a + b for a, b in zip(said, parts[1:], strict=True)))


def _buckets(input: TensorLike, count: int, hash_of: Callable[[bytes], int], where: str) -> Tensor:
    texts = _texts(input, where)
    found = [hash_of(v.encode()) % count for v in texts.ravel().tolist()]
    return _core.tensor(np.array(found, np.int32).reshape(texts.shape))


def to_hash_bucket_fast(input: TensorLike, num_buckets: int, name: str | None = None) -> Tensor:
    """A number below `num_buckets` for each text, TensorFlow's own."""
    return _buckets(input, num_buckets, fingerprint64, "to_hash_bucket_fast")


def to_hash_bucket_strong(
    input: TensorLike, num_buckets: int, key: Sequence[int], name: str | None = None
) -> Tensor:
    """The same by a hash with a key of two whole numbers, TensorFlow's own."""
    salt = salt_of(np.ravel(key).tolist(), "tf.strings.to_hash_bucket_strong")
    assert salt is not None  # a list never is
    return _buckets(input, num_buckets, partial(siphash24, salt), "to_hash_bucket_strong")


def to_hash_bucket(input: TensorLike, num_buckets: int, name: str | None = None) -> Tensor:
    """A number below `num_buckets` for each text, TensorFlow's own."""
    return _buckets(input, num_buckets, _hash64, "to_hash_bucket")


def _hash64(text: bytes) -> int:
    """MurmurHash64A with TensorFlow's seed."""
    all_bits, factor = (1 << 64) - 1, 0xC6A4A7935BD1E995
    state = 0xDECAFCAFFE ^ (_count(text) * factor & all_bits)
    whole = _count(text) // 8 * 8
    for at in range(0, whole, 8):
        part = int.from_bytes(text[at : at + 8], "little") * factor & all_bits
        part = (part ^ part >> 47) * factor & all_bits
        state = (state ^ part) * factor & all_bits
    if rest := text[whole:]:
        state = (state ^ int.from_bytes(rest, "little")) * factor & all_bits
    state = (state ^ state >> 47) * factor & all_bits
    return state ^ state >> 47


def to_number(input: TensorLike, out_type: str = "float32", name: str | None = None) -> Tensor:
    """The numbers that texts say."""
    texts = _texts(input, "to_number")
    try:
        return ops.cast(_core.tensor(texts.astype(np.float64).astype(np.float32)), out_type)
    except ValueError as error:
        raise DataError(f"tf.strings.to_number: {error}\n  hint: texts such as '1.5'") from None


def as_string(
    input: TensorLike,
    precision: int = -1,
    scientific: bool = False,
    shortest: bool = False,
    width: int = -1,
    fill: str = "",
    name: str | None = None,
) -> Text:
    """Numbers as texts, in C's formats: `%f` for floats, `true` and `false` for truth values."""
    values = np.asarray(ops.convert_to_numpy(ops.convert_to_tensor(input)))
    floats = values.dtype.kind == "f"
    if not floats and (precision > -1 or scientific or shortest):
        raise DataError(
            f"tf.strings.as_string: precision, scientific and shortest are for floats, got "
            f"{values.dtype}\n  hint: tf.cast(x, tf.float32)"
        )
    if (scientific and shortest) or fill not in ("", " ", "+", "-", "0", "#"):
        raise DataError(
            f"tf.strings.as_string: scientific={scientific}, shortest={shortest}, fill={fill!r}\n"
            "  hint: one of the two; fill=' ', '+', '-', '0', '#' or ''"
        )
    kind = ("e" if scientific else "g" if shortest else "f") if floats else "d"
    form = (
        "%" + fill + (str(width) if width > -1 else "")
        + (f".{precision}" if precision > -1 else "") + kind
    )  # fmt: skip
    said = (
        [str(v).lower() for v in values.ravel().tolist()] if values.dtype.kind == "b"
        else [form % v for v in values.ravel().tolist()]
    )  # fmt: skip
    return as_text(np.array(said, str).reshape(values.shape))


answer_missing(globals(), "fastnn.strings")
