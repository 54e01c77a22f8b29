"""Words that stand beside numbers: lengths of time, rates a year, parts of a whole.

"18 months", "1.5 years", "1年半"; "8 % p.a."; "1/3" and "½". Standard library only.
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

from .amounts import AmountError
from .numerals import in_digits

__all__ = ["GROWTH", "SPENT", "per_month", "per_year", "read_part", "read_span", "said_of"]

#: Kinds of fields that are lengths of time -> the unit they are counted in.
_SPANS = {"months": "months", "whole_months": "months", "span": "years"}

#: Whole numbers that count years.
_COUNTED_YEARS = ("audited_years", "listing.rd_years")

#: Growth in a year, and the last names of rates a year.
GROWTH = ("growth_yoy",)
_RATES = ("interest", "rate", "dividend_rate", "discount_rate", *GROWTH)

#: Fields that count what is spent in a month as positive; accounts put the same in brackets.
SPENT = ("monthly_burn",)


def said_of(kind: str, path: str, text: str) -> str | float:
    """Return a field's text without words that repeat what the field counts, or its number.

    Raises:
        AmountError: words that say that the text counts something else.
    """
    unit = "years" if path in _COUNTED_YEARS else _SPANS.get(kind)
    if unit:
        span = read_span(text, unit)
        return text if span is None else span
    if kind == "count":
        counted = re.fullmatch(_COUNTED, unicodedata.normalize("NFKC", text.strip()), re.IGNORECASE)
        return counted[1] if counted else text
    if kind == "fraction":
        part = read_part(text)
        if part is not None:
            return part
    of_year, of_month = path.rpartition(".")[2].lstrip("-") in _RATES, path in SPENT
    if not of_year and not of_month:
        return text
    year, month = per_year(text), per_month(text)
    if (month if of_year else year) is not None:
        wanted = "a year" if of_year else "a month"
        raise AmountError(f"{text!r} is not said of {wanted}", f"give what it comes to {wanted}")
    return (year if of_year else month) or text


#: Words for a year and a month, lower case.
_YEARS = (
    "y yr yrs year years jahr jahre jahren an ans année années annee annees año años anni anno "
    "ano anos jaar år rok lat лет год года 年 년"
)
_MONTHS = (
    "m mo mos mth mths month months monat monate monaten mois mes meses mese mesi mês maand "
    "maanden månad månader miesiąc miesięcy мес месяцев 月 个月 個月 ヶ月 か月 ヵ月 개월"
)
_QUARTERS = "q quarter quarters quartal quartale 季度 个季度"
_UNITS = {
    **dict.fromkeys(_YEARS.split(), 12), **dict.fromkeys(_MONTHS.split(), 1),
    **dict.fromkeys(_QUARTERS.split(), 3),
}  # fmt: skip
_SPLIT = "d day days w wk wks week weeks tag tage woche wochen jour jours semaines 天 日 周".split()

# Patterns are compiled on first use: many runs meet no such text.
_PIECE = r"([0-9]{1,4}(?:[.,][0-9]{1,2})?)[\s-]*([^\W\d_]+)\.?(?:\s*(?:,|and|und|et|y)\s+)?\s*"
_HALF = r"(?:([0-9]{1,3})\s*(年)|(半)\s*(年))(半)?"


def read_span(text: str, unit: str) -> float | None:
    """Return a length of time in "months" or "years"; None for a text that names no unit of time.

    Raises:
        AmountError: days or weeks, which are no whole part of a month.

    Example:
        >>> [read_span(text, "years") for text in ("18 months", "1.5 years", "1年半", "18")]
        [1.5, 1.5, 1.5, None]
    """
    words = in_digits(unicodedata.normalize("NFKC", text.strip())).lower()
    half = re.fullmatch(_HALF, words)
    if half:
        months = Fraction(6) if half[3] else 12 * Fraction(half[1]) + (6 if half[5] else 0)
        if half[3] and half[5]:
            return None
        return float(months if unit == "months" else months / 12)
    months, at, seen = Fraction(0), 0, 10**3
    while at < len(words):
        piece = re.compile(_PIECE).match(words, at)
        if piece is None:
            return None
        if piece[2] in _SPLIT:
            raise AmountError(
                f"{text!r} is no number of months", f"write it in {unit}: 3 months, 1.5 years"
            )
        size = _UNITS.get(piece[2])
        if size is None or size >= seen:  # years before months, each once
            return None
        months += Fraction(piece[1].replace(",", ".")) * size
        at, seen = piece.end(), size
    if not at:
        return None
    return float(months if unit == "months" else months / 12)


_A_YEAR = (
    r"(.*?[^\s./])\s*(?:p\.?\s?a\.?|per\s+annum|per\s+year|an?\s+year|/\s*(?:yr|year|a|年)|annual|"
    r"annually|yearly|yoy|y/y|y-o-y|year[- ]on[- ]year|year[- ]over[- ]year|同比|pro\s+jahr|"
    r"par\s+an|al\s+año|ao\s+ano|每年)"
)
_A_MONTH = (
    r"(.*?[^\s./])\s*(?:p\.?\s?m\.?|pcm|per\s+month|an?\s+month|/\s*(?:mo|mth|month|月)|monthly|"
    r"pro\s+monat|par\s+mois|al\s+mes|每月)"
)
_BEFORE_YEAR = r"(?:年利率|年化|每年|年息|同比)\s*[:：]?\s*(\S.*)"
_BEFORE_MONTH = r"(?:每月|月均|月利率)\s*[:：]?\s*(\S.*)"


def per_year(text: str) -> str | None:
    """Return what a text says of a year ("8 %" of "8 % p.a."); None where it names no year."""
    return _said(text, _BEFORE_YEAR, _A_YEAR)


def per_month(text: str) -> str | None:
    """Return what a text says of a month ("100k" of "100k/month"); None where it names none."""
    return _said(text, _BEFORE_MONTH, _A_MONTH)


def _said(text: str, *shapes: str) -> str | None:
    words = in_digits(unicodedata.normalize("NFKC", text.strip()))
    matches = (re.fullmatch(shape, words, re.IGNORECASE) for shape in shapes)
    found = next((found for found in matches if found), None)
    number = found[1] if found else ""
    return number if any(char.isdigit() for char in number) else None


#: "800万股", "1,250,000 shares": what a number of shares counts.
_COUNTED = r"(?s)(.*\S)\s*(?:股|份|株|주|shares?|aktien|anteile|actions|acciones)"
_FRACTION = r"([0-9]{1,4})\s*/\s*([0-9]{1,4})"
_HALVES = frozenset(("half", "one half", "一半", "半", "半数"))


def read_part(text: str) -> float | None:
    """Return a part of a whole written as a fraction ("1/3", "½", "三分之一"), else None."""
    words = unicodedata.normalize("NFKC", text.strip()).replace("\u2044", "/")
    if words.lower() in _HALVES:
        return 0.5
    whole, middle, part = words.partition("分之")
    if middle and whole not in ("百", "千", "万", "萬"):
        words = f"{in_digits(part)}/{in_digits(whole)}"
    found = re.fullmatch(_FRACTION, words)
    if found is None or not int(found[2]) or int(found[1]) > int(found[2]):
        return None
    return int(found[1]) / int(found[2])
