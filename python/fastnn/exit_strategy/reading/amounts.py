"""The one reader of numbers written as text: amounts, shares, percentages, with their currency.

Text that can be read in two ways is refused unless the decimal mark is stated: "1,500" is 1500 in
London and 1.5 in Berlin. What only one reading fits is taken: "1,5m", "1.234,56", "12'500",
"1,23,45,678", "(80k)". Standard library only.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal, InvalidOperation

from fastnn.exit_strategy.errors import EXAMPLE, AmountError
from fastnn.exit_strategy.reading.numerals import in_digits
from fastnn.exit_strategy.records import dataclass

__all__ = ["EXAMPLE", "Amount", "AmountError", "plain_value", "read_amount", "split_amounts"]


@dataclass(frozen=True, slots=True)
class Amount:
    """A number read from text; `sign` is "", "%" or "x", already applied for "%"."""

    value: float
    currency: str | None
    sign: str


#: As spreadsheets show a number in too narrow a column: 8.23E+06 was 8,234,567.
_SHORTENED = r"(?<![0-9.,])[0-9](?:[.,][0-9]{1,5})?E\+[0-9]{2}(?![0-9])"
_LONGEST = 80  # characters; bounds the work on a text that only looks like a number
_SPACES = " '’_"  # marks that can only group digits
_NUMBER = r"(?:[0-9][0-9., '’_]*(?:[eE][+-]?[0-9]+)?|[.,][0-9]+)"
_SHAPE = (
    rf"(?s)(?P<pre>[^0-9+\-.,]*?)\s*(?P<minus>[+-]?)\s*(?P<mid>[^0-9+\-.,]*?)\s*"
    rf"(?P<num>{_NUMBER})(?P<post>.*)"
)
#: "CHF 500.-" and "500,– €": a dash for hundredths that are none.
_DASH = r"(?s)(?P<body>[^0-9]*[0-9][0-9., '’]*?)(?P<mark>[.,])[-–—]{1,2}(?P<rest>\s*[^0-9]*)"


def plain_value(value: object) -> object:
    """Return a NumPy or pandas value as a plain one; missing marks (NA, NaT) become None."""
    if value is None or isinstance(value, str | bool | int | float | Decimal | dict | list | tuple):
        return value
    kind = type(value)
    home = kind.__module__.partition(".")[0]
    if home == "pandas" and kind.__name__ in ("NAType", "NaTType"):
        return None
    if home == "numpy" and hasattr(value, "tolist"):
        return plain_value(value.tolist())  # a missing date (NaT) comes out as None
    if home == "pandas" and hasattr(value, "tolist"):  # a Series or an Index
        return value.tolist()
    return value


def read_amount(
    text: str, *, decimal: str | None = None, currency: str | None = None, large: bool = True
) -> Amount:
    """Return the number in a text, with its currency where one is written.

    Args:
        text: such as "12.5m", "HKD 250m", "3,4 Mio. €", "¥3亿", "(80k)" or "55 %".
        decimal: "." or ",": the decimal mark of the writer; None when it is not stated.
        currency: the profile's currency; it decides what "$", "¥" or "kr" mean.
        large: whether thousands are plausible, so that "1.500" can be read in two ways.

    Raises:
        AmountError: not a number, or a number that can be read in two ways.
    """
    plain = _PLAIN.fullmatch(text)
    if plain and _is_plain(plain, decimal, large):
        return Amount(float(text), None, "")
    shown = repr(text) if len(text) <= 40 else repr(text[:37]) + "..."
    if len(text) > _LONGEST:
        raise AmountError(f"expected a number, got {shown}", EXAMPLE)
    if any(unicodedata.category(char) in ("No", "Nl") for char in text):
        raise AmountError(f"expected a number, got {shown}", EXAMPLE)
    if re.search(_SHORTENED, text):
        raise AmountError(
            f"{shown} may have been shortened by a spreadsheet",
            "give the column more width before it is saved as text, or write all digits",
        )
    from .units import PARTS, behind, check_unit, in_front, stacked, without_stop

    words, mark = _plain_marks(text, shown)
    words, negative = _sign_outside(words, shown)
    words = without_stop(words, shown)
    dash = re.fullmatch(_DASH, words)
    if dash and dash["mark"] not in dash["body"] and decimal in (None, dash["mark"]):
        words, decimal = dash["body"] + dash["rest"], dash["mark"]
    heap = stacked(words, shown)
    if heap:
        number, pre, post = heap
        minus = "-" if pre.strip().startswith("-") else ""
        pre = pre.strip().lstrip("+-").strip()
    else:
        found = re.fullmatch(_SHAPE, words)
        if found is None:
            raise AmountError(f"expected a number, got {shown}", EXAMPLE)
        decimal = mark or decimal
        if decimal is None:
            decimal = _east_asian_mark(found["num"], found["post"], currency, shown, large)
        number = _digits(found["num"].rstrip(" "), decimal, large, shown)
        pre, mid, minus = found["pre"].strip(), found["mid"].strip(), found["minus"]
        if pre and mid:
            raise AmountError(f"expected a number, got {shown}", EXAMPLE)
        pre, post = pre or mid, found["post"].strip()
    if negative and minus:
        raise AmountError(f"{shown} has two minus signs", "write -80k or (80k)")
    if pre.lower() in ("x", "×") and not post:
        pre, post = "", "x"
    if pre and re.fullmatch(_YUAN, post):  # US$300万元: the currency stands in front
        post = post[:-1]
    factor, unit, code, sign = behind(post, currency, shown)
    if pre:
        more, first = in_front(pre, currency, shown, post)
        if more != 1 and (unit or factor != 1):
            raise AmountError(f"expected a number, got {shown}", EXAMPLE)
        if code is not None and code != first:
            raise AmountError(f"{shown} names two currencies", "name one of them")
        code, factor = first, factor * more
        if sign:
            raise AmountError(f"{shown} is money and a share at once", EXAMPLE)
    check_unit(unit, code or currency, shown)
    value = number * factor / (PARTS[unit] if sign == "%" else 1)
    try:
        result = float(-value if negative or minus == "-" else value)
    except OverflowError:
        result = float("inf")
    return Amount(result, code, sign)


#: Brackets around the digits, with what stands outside: "$(80k)", "(80) %".
_BRACKETS = r"(?s)(?P<pre>[^()0-9]*)\((?P<inner>[^()]*[0-9][^()]*)\)(?P<post>[^()0-9]*)"
#: "HK$'000 500", the head of a column of accounts.
_IN_THOUSANDS = r"(?s)^([^0-9'’]+?)\s*['’]000s?\s+(?=[(+-]?\s*[0-9])"
_YUAN = "[十百千万萬亿億]*元"
#: What stands behind an amount and says that it ends there: "500:-", "5,00,000/-", "100万元整".
_ENDINGS = r"(?s)(.*[0-9])\s*(?::-|/-)|(.*[元圆])整"


def _plain_marks(text: str, shown: str) -> tuple[str, str | None]:
    """The text in plain digits and marks, and its decimal mark where the mark says that it is."""
    words = unicodedata.normalize("NFKC", text).replace("\u2212", "-").strip()
    mark = None
    if not words.isascii():
        mark = "." if "\u066b" in words else None  # the Arabic decimal mark, which groups nothing
        words = words.replace("\u066b", ".").replace("\u066c", "'")
        words = "".join(str(unicodedata.decimal(char)) if char.isdecimal() else char
                        for char in words)  # fmt: skip
        words = in_digits(re.sub(r"^[\u2010\u2013](?=[^\s])", "-", words))
    if words.endswith("折"):
        raise AmountError(
            f"{shown} may be the part that is left to pay or the part that is taken off",
            "write the part that is meant as a percentage",
            two_ways=True,
        )
    words = re.sub(_IN_THOUSANDS, r"\1 k ", words)
    ended = re.fullmatch(_ENDINGS, words)
    if ended:
        words = ended[1] or ended[2]
    share = re.fullmatch(r"([+-]?)\s*[%٪]\s*([+-]?[0-9][0-9.,]*)", words)  # as Turkey writes it
    return (f"{share[1]}{share[2]}%" if share else words), mark


def _sign_outside(words: str, shown: str) -> tuple[str, bool]:
    """The text without brackets, or a minus sign behind the digits, and whether it had them."""
    found = re.fullmatch(_BRACKETS, words)
    if found:  # accountants write losses in brackets
        return f"{found['pre']}{found['inner'].strip()}{found['post']}".strip(), True
    last = re.fullmatch(r"(?s)(.*[0-9])\s?-", words)
    if last is None:
        return words, False
    if re.search(r"[.,][0-9]{1,2}$", last[1]):  # the hundredths are there, so it is a sign
        return last[1], True
    raise AmountError(
        f"the dash behind {shown} may be a minus sign or stand for no hundredths",
        "write -80k or (80k)",
        two_ways=True,
    )


#: Groups of two digits before the last three: lakhs and crores, as India writes them.
_INDIAN = r"[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}"

#: Digits with at most one full stop, as programs write numbers.
_PLAIN = re.compile(r"-?([0-9]{1,15})(?:\.([0-9]{1,20}))?")


def _is_plain(found: re.Match[str], decimal: str | None, large: bool) -> bool:
    """Whether a full stop can only be a decimal mark, as `_digits` would find the long way."""
    head, part = found[1], found[2]
    if len(head) >= 3 and head.startswith("0"):  # 0100 is, 000 and 012 are not
        return False
    if part is None or decimal == ".":
        return True
    if decimal is not None:
        return False
    return len(part) != 3 or len(head) > 3 or head.startswith("0") or not large


def split_amounts(text: str, *, decimal: str | None = None) -> list[str]:
    """Return the parts of a list such as "10m,30m" or "1,5m; 3m".

    A comma separates only where no part can be half of a decimal number: every part has a unit,
    a currency or four digits.

    Raises:
        AmountError: a comma that may be a decimal mark.
    """
    if ";" in text:
        parts = text.split(";")
    elif decimal == ",":
        parts = [text]
    else:
        parts = text.split(",")
        whole = re.compile(r"\s*[0-9]+(?:\.[0-9]+)?\s*")
        if len(parts) > 1 and any(whole.fullmatch(p) and _count(p) < 4 for p in parts):
            raise AmountError(
                f"{text!r} may be a list or a number with a decimal comma",
                "separate the amounts by semicolons: 1.5m;3m",
                two_ways=True,
            )
    return [part.strip() for part in parts if part.strip()]


def _count(text: str) -> int:
    return sum(char.isdigit() for char in text.partition(".")[0])


#: Units and currencies of countries that group digits by commas and never write a decimal comma.
_EAST_ASIAN = re.compile("[千万萬亿億円圆元만억원]")


#: Currencies of countries that also group digits by fours.
_MYRIADS = frozenset(("CNY", "HKD", "JPY", "KRW", "TWD"))


def _east_asian_mark(
    number: str, post: str, own: str | None, shown: str, large: bool
) -> str | None:
    """The decimal mark of "3,000" in 3,000万: a comma before three digits groups there.

    A comma before four digits or more may be a slip of grouping anywhere: 1,0000.
    """
    number = number.strip()
    fours = own in _MYRIADS and re.fullmatch(r"[1-9][0-9]{0,3}(?:,[0-9]{4})+", number)
    if fours or (large and re.fullmatch(r"[1-9][0-9]*,[0-9]{4,}", number)):
        whole, part = number.replace(",", ""), number.replace(",", ".")
        raise AmountError(
            f"{shown} is {whole} to some and {part} to others",
            "write the digits without groups, group them by threes, or state the mark: "
            'decimal = ","',
            two_ways=True,
        )
    if not _EAST_ASIAN.search(post):
        return None
    grouped = re.fullmatch(r"[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]+)?", number)
    return "." if grouped else None


def _digits(text: str, decimal: str | None, large: bool, shown: str) -> Decimal:
    """Return the number that digits and marks stand for."""
    wrong = AmountError(
        f"{shown} is not grouped as a number is", "group digits by threes, or leave the groups out"
    )
    body, _, power = text.lower().partition("e")
    marks = {char for char in body if char in _SPACES}
    last = max(body.rfind(","), body.rfind("."))
    whole, point, part = body, "", ""
    both = "," in body and "." in body
    if last >= 0:
        mark = body[last]
        head, tail = body[:last], body[last + 1 :]
        other = "," if mark == "." else "."
        alone = body.count(mark) == 1
        groups = 1 <= len(head) <= 3 and head.isdigit() and not head.startswith("0")
        if both and (not alone or marks):
            raise wrong
        if alone and (both or marks):  # the other mark groups, so this one is the decimal mark
            if decimal is not None and decimal != mark:
                raise _other_mark(shown, decimal)
            whole, point, part = head, mark, tail
        elif not alone:
            if decimal == mark:
                raise _other_mark(shown, decimal)
        elif decimal == mark:
            whole, point, part = head, mark, tail
        elif decimal is not None:
            if not (groups and len(tail) == 3):
                raise _other_mark(shown, decimal)
        elif groups and len(tail) == 3 and (mark == "," or large) and not power:
            raise AmountError(
                f"{shown} is {head}{tail} to some and {head}.{tail} to others",
                f"write {head}{tail} or {head}.{tail.rstrip('0') or '0'}, "
                f'or state the mark: decimal = "{mark}" or "{other}"',
                two_ways=True,
            )
        else:
            whole, point, part = head, mark, tail
        if point and (not part.isdigit() or (not whole and mark == ",")):
            raise wrong
        marks |= {char for char in whole if char in ".,"}
    if marks:
        if len(marks) > 1:
            raise wrong
        if not re.fullmatch(_INDIAN, whole):
            first, *more = whole.split(marks.pop())
            if not (1 <= len(first) <= 3) or any(len(group) != 3 for group in more):
                raise wrong
        else:
            first, *more = whole.split(",")
        if more and first.startswith("0"):
            raise wrong
        whole = "".join((first, *more))
    if (whole and not whole.isdigit()) or len(whole) + len(part) > 400:
        raise wrong
    rest = len(whole) == 3 and whole.startswith("0")
    if rest or (len(whole) > 3 and not whole.strip("0") and not part):
        raise AmountError(
            f"{shown} may be the rest of a number that was cut at its comma",
            "write the number without zeros in front, or the whole of it in one cell",
        )
    try:
        number = Decimal(f"{whole or '0'}.{part or '0'}")
        return number if not power else number.scaleb(int(power[:8]))
    except (InvalidOperation, ValueError, OverflowError):
        return Decimal("Infinity")


def _other_mark(shown: str, decimal: str) -> AmountError:
    return AmountError(
        f"{shown} does not fit the decimal mark that is stated ({decimal!r})",
        "write every number the same way, or change the mark",
    )
