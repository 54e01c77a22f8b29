"""Files as text, bounded: regular files only, a size that is given, an encoding that is named.

UTF-8, and UTF-16 or UTF-32 with their mark, are read; GB18030 (Excel in China) where nothing else
fits. Anything else is refused with the name of the likely encoding. Standard library only.
"""

from __future__ import annotations

import codecs
import os
import re
import stat
from pathlib import Path
from typing import Any

from fastnn.exit_strategy.errors import ExitError, Issue

__all__ = [
    "MAX_PROFILE_BYTES",
    "check_encoding",
    "decode_text",
    "home",
    "json_of",
    "read_bytes",
    "read_text_file",
]

MAX_PROFILE_BYTES = 20_000_000

_MARKS = (  # longest first: the mark of UTF-32 begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_HIGH = rb"[\x80-\xff]+"


def json_of(text: str) -> Any:
    """Return what JSON text says; a key that stands twice in an object is refused (EX121).

    Raises:
        ValueError: it is no JSON; RecursionError: it is nested too deeply.
    """
    import json

    return json.loads(text, object_pairs_hook=_no_twins)


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ExitError(Issue("EX121", twice, "the field is given twice", "keep one of the two"))
    return out


def home(path: str | os.PathLike[str]) -> Path:
    """Return a path with a leading `~` as the home folder."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # no such user: the path is taken as it is
        return Path(path)


def read_bytes(
    path: str | Path, limit: int = MAX_PROFILE_BYTES, code: str = "EX112", *, head: bool = False
) -> bytes:
    """Return the bytes of a regular file; ExitError `code` when it has more than `limit`.

    With `head`, return its first `limit` bytes instead.
    """
    path = home(path)
    try:
        mode = os.stat(path).st_mode  # before opening: to open a pipe would wait for a writer
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "not a plain file"
            raise ExitError(Issue(code, "", f"{path} is {kind}", "name a file"))
        with open(path, "rb") as file:
            data = file.read(limit + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, ExitError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise ExitError(
            Issue(code, "", f"cannot read {path}: {reason}", "check the path and its rights")
        ) from error
    if len(data) > limit and not head:
        raise ExitError(
            Issue(code, "", f"{path} is larger than {limit:,} bytes", "is it the right file?")
        )
    return data[:limit]


def read_text_file(path: str | Path, limit: int = MAX_PROFILE_BYTES) -> str:
    """Return the text of a file whose encoding can be told; EX112 otherwise."""
    return decode_text(read_bytes(path, limit), str(path))


def decode_text(data: bytes, where: str, stated: str | None = None) -> str:
    """Return bytes as text; EX112 names the encoding that seems to be meant."""
    encoding = check_encoding(data, where, stated)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ExitError(
            Issue("EX112", "", f"{where} is damaged {encoding.upper()}: {error}", "save it again")
        ) from error


def check_encoding(data: bytes, where: str, stated: str | None = None) -> str:
    """Return the name of the encoding of the beginning of a file.

    `data` may end within a character. EX112 when it can only be guessed.
    """
    if stated is not None:
        try:
            return codecs.lookup(stated).name
        except LookupError:
            raise ExitError(
                Issue("EX803", "encoding", f"{stated!r} is not an encoding", "such as gb18030")
            ) from None
    for mark, name in _MARKS:
        if data.startswith(mark):
            return name
    if b"\0" in data[:4096]:
        half = data[:4096]
        even, odd = half[::2].count(0), half[1::2].count(0)
        if max(even, odd) > len(half) // 8:  # Latin text in UTF-16 without its mark
            return "utf-16-be" if even > odd else "utf-16-le"
        raise ExitError(Issue("EX112", "", f"{where} is not text", "name a text file"))
    if _decodes(data, "utf-8"):
        return "utf-8"
    if _looks_chinese(data):
        return "gb18030"
    likely = "GBK (GB18030)" if _decodes(data, "gb18030") else "Windows-1252 or another 8-bit code"
    if _decodes(data, "cp949"):
        likely = "Korean (CP949) or Chinese (GB18030)"
    raise ExitError(
        Issue(
            "EX112", "", f"{where} is not UTF-8; it may be {likely}",
            "save it as UTF-8 (in Excel: CSV UTF-8), or state it: --encoding gb18030, "
            "big5, shift_jis, cp949 or cp1252",
        )
    )  # fmt: skip


def _decodes(data: bytes, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        decoder.decode(data)  # not final: the sample may end within a character
    except UnicodeDecodeError:
        return False
    return True


def _looks_chinese(data: bytes) -> bool:
    """Whether the bytes above ASCII are common Chinese characters and nothing else.

    They must come in pairs of GB2312's first level or its marks. Western letters with accents stand
    alone among ASCII, so they fail; a single pair is too little to tell. So are pairs that are all
    Korean syllables as well, which Excel in Korea writes where GB2312 has A to R by their sound.
    """
    runs = re.findall(_HIGH, data)
    if runs and len(data) > 4 and len(runs[-1]) % 2 and data.endswith(runs[-1]):
        runs[-1] = runs[-1][:-1]  # the sample ends within a character
    pairs = set()
    for run in runs:
        if len(run) % 2:
            return False
        for k in range(0, len(run), 2):
            if not (0xB0 <= run[k] <= 0xD7 or run[k] in (0xA1, 0xA3)) or run[k + 1] < 0xA1:
                return False
            pairs.add(run[k : k + 2])
    return len(pairs) >= 2 and any(pair[0] > _LAST_KOREAN for pair in pairs)


#: The last first byte of a Korean syllable in CP949's pairs of two high bytes.
_LAST_KOREAN = 0xC8
