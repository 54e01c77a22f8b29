"""Numbers in Chinese characters: 三亿五千万, 叁佰万, 百分之八; with units, or not read at all.

A last digit without its unit is left alone: 三百五 is 350 to a speaker and 305 by its characters;
so is 一亿二千, which lacks its 万. Standard library only.
"""

from __future__ import annotations

import re

from fastnn.exit_strategy.errors import AmountError

__all__ = ["date_in_digits", "in_digits", "read_numeral", "unit_left_out"]

_DIGITS = {char: k for k, chars in enumerate((
    "零〇", "一壹", "二两兩贰貳", "三叁參", "四肆", "五伍", "六陆陸", "七柒", "八捌", "九玖",
)) for char in chars}  # fmt: skip
_SMALL = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1000, "仟": 1000}
_LARGE = {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}
_CHARS = "".join((*_DIGITS, *_SMALL, *_LARGE))

# Patterns are compiled on first use: many runs meet no such text.
#: A numeral that stands apart from other digits and their marks.
_NUMERAL = (
    rf"(?<![0-9.,'’{_CHARS}点])(?=[{_CHARS}]*[{''.join(_DIGITS)}十拾])[{_CHARS}]+(?![0-9.,'’点])"
)
_PARTS = r"(百|千|万|萬)分之\s*(\S.*)"
_PART_SIGNS = {"百": "%", "千": "‰", "万": " bps", "萬": " bps"}
#: "五成", "三成五", "5成半": tenths, with hundredths behind.
_TENTHS = rf"([0-9]|[{''.join(_DIGITS)}十])成([0-9半]|[{''.join(_DIGITS)}])?"


def in_digits(text: str) -> str:
    """Return a text with its one Chinese numeral in digits; as it is where there is none."""
    if text.isascii():
        return text
    share = re.fullmatch(_PARTS, text.strip())
    if share:
        text = f"{share[2]}{_PART_SIGNS[share[1]]}"
    tenths = re.fullmatch(_TENTHS, text.strip())
    if tenths:
        high, low = _digit(tenths[1]), _digit(tenths[2] or "0")
        return text if high == 10 and low else f"{10 * high + low}%"
    found = re.findall(_NUMERAL, text)
    number = read_numeral(found[0]) if len(found) == 1 else None
    if len(found) == 1 and number is None and (both := _without_myriad(found[0])):
        raise unit_left_out(found[0], *both)
    return text if number is None else text.replace(found[0], str(number))


def unit_left_out(shown: str, written: int, spoken: int) -> AmountError:
    """What is told of 一亿二千 and 1亿2千."""
    return AmountError(
        f"{shown} is {written} by its characters and {spoken} to a speaker who leaves out a unit",
        f"write {written} or {spoken}",
        two_ways=True,
    )


def _without_myriad(word: str) -> tuple[int, int] | None:
    """Both readings of 一亿二千, None for another shape."""
    high, mark, low = word.replace("億", "亿").partition("亿")
    total = read_numeral(high + mark) if len(low) > 1 else None
    rest = _section(low, first=True)
    return (total + rest, total + 10**4 * rest) if total and rest else None


def _digit(char: str) -> int:
    """A digit in either writing; 十 is ten, 半 five of the next smaller unit."""
    return {"十": 10, "半": 5}.get(char) or (int(char) if char.isdecimal() else _DIGITS[char])


def read_numeral(word: str) -> int | None:
    """Return the number a word of numeral characters stands for, None where it is not settled.

    Example:
        >>> read_numeral("三亿五千万"), read_numeral("三百零五"), read_numeral("三百五")
        (350000000, 305, None)
    """
    return _read(word, first=True) or None


def _read(word: str, *, first: bool) -> int | None:
    for unit in (10**8, 10**4):
        marks = [k for k, char in enumerate(word) if _LARGE.get(char) == unit]
        if len(marks) > 1:
            return None
        if marks:
            high, rest = _read(word[: marks[0]], first=first), word[marks[0] + 1 :]
            if not high or not rest:
                return high and high * unit
            if unit == 10**8 and _DIGITS.get(rest[0]) != 0 and not set(rest) & {"万", "萬"}:
                return None  # 一亿二千: to a speaker 一亿二千万
            low = None if len(rest) == 1 else _read(rest, first=False)
            return low and high * unit + low
    return _section(word, first=first)


def _section(word: str, *, first: bool) -> int | None:
    """A number below 10,000 with its units in falling order; a gap needs its zero."""
    total, last, digit, zero = 0, 10**4, None, False
    for k, char in enumerate(word):
        if char in _DIGITS and _DIGITS[char] == 0:
            if digit is not None or zero or (k == 0 and first):
                return None
            zero = True
        elif char in _DIGITS:
            if digit is not None:
                return None
            digit = _DIGITS[char]
        else:
            unit = _SMALL[char]
            if digit is None and not (unit == 10 and k == 0):
                return None
            if unit >= last or (last < 10**4 and unit * 10 < last and not zero):
                return None
            total, last, digit, zero = total + (digit or 1) * unit, unit, None, False
    if digit is not None:
        if last not in (10, 10**4) and not zero:
            return None
        return total + digit
    return None if zero else total


_DATE = rf"([{_CHARS}]{{4}})年([{_CHARS}]{{1,3}})月([{_CHARS}]{{1,3}})([日号]?)"


def date_in_digits(text: str) -> str:
    """Return "二〇二六年三月一日" in digits; other text as it is."""
    found = None if text.isascii() else re.fullmatch(_DATE, text)
    if found is None or any(char not in _DIGITS for char in found[1]):
        return text
    year = "".join(str(_DIGITS[char]) for char in found[1])
    month, day = read_numeral(found[2]), read_numeral(found[3])
    return text if month is None or day is None else f"{year}-{month:02}-{day:02}"
