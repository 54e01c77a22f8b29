"""Units in remarks around a table: "in thousands", "Angaben in TEUR", "单位：万元", "in EUR".

A remark of this kind changes every number of its table, so whoever leaves it out must look first.
Standard library only.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from .amounts import AmountError, read_amount

__all__ = ["CHANGES", "Remark", "remarked", "unit_row"]

#: What to do about a remark that changes every number.
CHANGES = "write the unit behind each number, such as 12.5m, and delete the remark"

#: What a remark says of all numbers: the words, whether they scale, and their currency; "" where
#: they are of money alone.
Remark = tuple[str, bool, str | None]

_SCALES = (
    r"thousands?|millions?|billions?|lakhs?|lacs?|crores?|tausend|tsd|mio|millionen|mrd|milliarden|"
    r"milliers|milliards?|migliaia|milioni|milhares|milhões|miles|millones|tys|mln|tkr|mkr|crs?|000s?"
)
_CODES = r"rs\.?|usd|eur|gbp|chf|inr|cny|rmb|hkd|sgd|jpy|cad|aud|us\$|[$€£₹¥]"
_SCALED = (
    rf"\b(?:in|en|em|as|x)\s(?:(?:of|{_CODES})\s)?['’]?(?:{_SCALES})(?![a-z])",
    rf"(?<![a-z0-9])(?:{_CODES})\s?['’]?(?:k|m|mm|mn|bn|{_SCALES})(?![a-z0-9])",
    rf"\b(?:k|t|m)\s?(?:{_CODES})(?![a-z])",
    r"\bx\s?1[.,]?000(?![0-9.,])",
    r"(?<![0-9])['’]000|\b000s\b|\(000\)",
    r"[(（]\s*(?:人民币|人民幣)?\s*[十百千]?[万萬亿億千](?:美元|港元|元|股|円|株)?\s*[)）]",
    r"(?:以|按)?[十百千]?[万萬亿億千](?:美元|港元|元|股)(?:计|为单位|計|為單位)|\b(?:百万|千)円\s*単位",
)
_OF_MONEY = rf"(?<![a-z0-9])[ktm]?(?:{_CODES})\.?(?:['’]?(?:k|m|mm|mn|bn|000s?))?(?![a-z])|[元円]"
_UNIT = r"(?:单位|單位|単位|단위)\s*[:：]?\s*([^\s()（）]+)"
_MONEY = (
    r"(?:\b(?:[Ii]n|en|em|[Cc]urrency|CURRENCY|Währung|[Dd]evise|[Mm]oneda|[Mm]oeda)\s*[:：]?\s+"
    r"|(?:币种|货币|幣種|貨幣|通貨)\s*[:：]?\s*)"
    r"([A-Z]{3}\b|US\$|HK\$|[$€£₹¥]|人民币|美元|港元|港币|欧元|日元|英镑)"
)
_WORDS = {"euros": "EUR", "euro": "EUR", "us dollars": "USD", "pounds": "GBP", "rupees": "INR",
          "pounds sterling": "GBP", "yen": "JPY", "renminbi": "CNY"}  # fmt: skip


def remarked(text: object) -> Remark | None:
    """Return what a remark says of the numbers around it; None where it says nothing.

    Example:
        >>> remarked("Angaben in TEUR"), remarked("Acme Inc., 1 000 000 shares")
        (('TEUR', True, ''), None)
    """
    if not isinstance(text, str):
        return None
    words = unicodedata.normalize("NFKC", text)
    for shape in _SCALED:
        found = re.search(shape, words.casefold())
        if found:
            said = words[found.start() : found.end()].strip()
            before, behind = words.casefold()[: found.end()], words.casefold()[found.end() :]
            money = re.search(_OF_MONEY, before) or re.match(rf"\.?\s*(?:{_CODES})", behind)
            return said, True, "" if money else None
    unit = re.search(_UNIT, words)
    for part in re.split(r"[、,，/和及]", unit[1]) if unit else ():
        amount = _one(part.removesuffix("股"))
        if amount is not None and (amount[0] != 1 or amount[1]):
            return part, amount[0] != 1, amount[1]
    money = re.search(_MONEY, words)
    amount = _one(money[1]) if money else None
    if money and amount is not None and amount[1]:
        return money[1], False, amount[1]
    named = re.search(
        rf"\b(?:in|en) ({'|'.join(map(re.escape, _WORDS))})(?![a-z])", words.casefold()
    )
    return (named[1], False, _WORDS[named[1]]) if named else None


def unit_row(names: Sequence[str], cells: Sequence[object]) -> str | None:
    """Return a cell of a row that holds units and no number, such as "USD k"; else None.

    `names` are those of the columns: what stands under "name" is no unit.
    """
    for cell in cells:  # most rows end here, at their first number
        if cell is not None and re.search(r"[0-9]", str(cell).replace("000", "")):
            return None
    for name, cell in zip(names, cells, strict=False):
        text = cell.strip() if isinstance(cell, str) and name != "name" else ""
        one = _one(text.strip("()[]（）")) if text else None
        said = remarked(text)
        if (said is not None and said[1]) or (one is not None and (one[0] != 1 or one[1])):
            return text
    return None


def _one(unit: str) -> tuple[float, str | None] | None:
    try:
        found = read_amount(f"1 {unit}") if unit else None
    except AmountError as error:
        if not error.two_ways:
            return None
        return 1.0 if unit in ("元", "圆", "円") else 0.0, None
    return None if found is None else (found.value, found.currency)
