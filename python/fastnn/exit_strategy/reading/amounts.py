"""The one reader of numbers written as text: amounts, shares, percentages, with their currency.

Text that can be read in two ways is refused unless the decimal mark is stated: "1,500" is 1500 in
London and 1.5 in Berlin. What only one reading fits is taken: "1,5m", "1.234,56", "12'500",
"1,23,45,678", "(80k)". Standard library only.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal, InvalidOperation

from fastnn.exit_strategy.reading.fx import ISO_4217
from fastnn.exit_strategy.reading.numerals import in_digits
from fastnn.exit_strategy.records import dataclass

__all__ = ["EXAMPLE", "Amount", "AmountError", "plain_value", "read_amount", "split_amounts"]


@dataclass(frozen=True, slots=True)
class Amount:
    """A number read from text; `sign` is "", "%" or "x", already applied for "%"."""

    value: float
    currency: str | None
    sign: str


class AmountError(ValueError):
    """Text that is not a number, or that can be read in two ways (`two_ways`)."""

    message: str
    hint: str
    two_ways: bool

    def __init__(self, message: str, hint: str, *, two_ways: bool = False) -> None:
        super().__init__(message)
        self.message, self.hint, self.two_ways = message, hint, two_ways


#: Unit words, lower case, without a closing full stop. A factor of 0 marks a word that means
#: different numbers in different languages.
_UNITS: dict[str, int] = {
    "": 1,
    "k": 10**3, "thousand": 10**3, "tsd": 10**3, "tausend": 10**3, "тыс": 10**3, "tys": 10**3,
    "m": 10**6, "mm": 10**6, "mn": 10**6, "mln": 10**6, "mio": 10**6, "million": 10**6,
    "millions": 10**6, "millionen": 10**6, "millones": 10**6, "milhões": 10**6, "milhão": 10**6,
    "milioni": 10**6, "miljoner": 10**6, "milyon": 10**6, "milion": 10**6, "млн": 10**6,
    "b": 10**9, "bn": 10**9, "bln": 10**9, "mrd": 10**9, "md": 10**9, "mds": 10**9, "mld": 10**9,
    "milliarde": 10**9, "milliarden": 10**9, "milliard": 10**9, "milliards": 10**9,
    "miliardi": 10**9, "miljarder": 10**9, "milyar": 10**9, "bilhões": 10**9, "bilhão": 10**9,
    "billion": 10**9, "billions": 10**9, "mil millones": 10**9, "млрд": 10**9,
    "tn": 10**12, "trn": 10**12, "trillion": 10**12, "trillions": 10**12,
    "lakh": 10**5, "lakhs": 10**5, "lac": 10**5, "crore": 10**7, "crores": 10**7, "cr": 10**7,
    "만": 10**4, "백만": 10**6, "천만": 10**7, "억": 10**8, "조": 10**12,
    "十": 10, "百": 10**2, "千": 10**3, "万": 10**4, "十万": 10**5, "百万": 10**6, "千万": 10**7,
    "亿": 10**8, "十亿": 10**9, "百亿": 10**10, "千亿": 10**11, "万亿": 10**12,
    "萬": 10**4, "百萬": 10**6, "千萬": 10**7, "億": 10**8, "十億": 10**9, "百億": 10**10,
    "千億": 10**11, "萬億": 10**12,
    "mi": 10**6, "bi": 10**9, "ribu": 10**3, "rb": 10**3, "juta": 10**6, "jt": 10**6,
    "miliar": 10**9, "triliun": 10**12,
    "nghìn": 10**3, "triệu": 10**6, "tỷ": 10**9, "tỉ": 10**9,
    "t": 0, "mil": 0, "bio": 0, "billionen": 0, "兆": 0, "g": 0,
}  # fmt: skip

#: Units that mean another number beside the amounts of some currencies, with both readings.
_ELSEWHERE: dict[str, dict[str, str]] = {
    "m": {"IDR": "miliar, a thousand million", "CLP": "miles, thousands"},
    "b": {"IDR": "biliun, a million million"},
}

#: Where "cr" is a crore; in the accounts of other countries it marks a credit.
_CRORES = frozenset(("INR", "PKR", "NPR", "BDT", "LKR"))

#: "TEUR 500" and "500 T€" are thousands in German accounts; a bare T may be a trillion.
_GERMAN_THOUSANDS = {"teur": "EUR", "t€": "EUR", "tchf": "CHF", "tusd": "USD", "tgbp": "GBP"}

#: Currency words and signs besides the ISO codes, lower case.
_SIGNS: dict[str, str] = {
    "€": "EUR", "euro": "EUR", "euros": "EUR", "欧元": "EUR", "歐元": "EUR", "£": "GBP",
    "英镑": "GBP", "us$": "USD", "$us": "USD", "u$s": "USD", "美元": "USD", "美金": "USD",
    "hk$": "HKD", "港元": "HKD", "港币": "HKD", "港幣": "HKD", "rmb": "CNY", "人民币": "CNY",
    "人民幣": "CNY", "cn¥": "CNY", "jp¥": "JPY", "日元": "JPY", "円": "JPY", "日圆": "JPY",
    "a$": "AUD", "au$": "AUD", "c$": "CAD", "ca$": "CAD", "can$": "CAD", "s$": "SGD",
    "sg$": "SGD", "nz$": "NZD", "nt$": "TWD", "新台币": "TWD", "r$": "BRL", "mx$": "MXN",
    "₹": "INR", "₩": "KRW", "원": "KRW", "тг": "KZT", "руб": "RUB", "руб.": "RUB", "tl": "TRY",
    "kč": "CZK", "ft": "HUF", "rp": "IDR", "rm": "MYR",
    "₽": "RUB", "₺": "TRY", "₫": "VND", "₪": "ILS", "฿": "THB",
    "us dollar": "USD", "us dollars": "USD", "usd$": "USD", "yuan": "CNY", "yen": "JPY",
    "won": "KRW", "달러": "USD", "đồng": "VND", "rupiah": "IDR", "reais": "BRL",
    "zł": "PLN", "sfr": "CHF", "fr.": "CHF", "₴": "UAH", "₦": "NGN", "₱": "PHP",
    "r": "ZAR",
}  # fmt: skip

#: Signs shared by several currencies -> those currencies, the usual one first. The profile's own
#: currency decides when it is one of them; else the usual one when no other is in sight.
_SHARED: dict[str, tuple[str, ...]] = {
    "$": ("USD", "HKD", "AUD", "CAD", "SGD", "NZD", "TWD", "MXN", "ARS", "CLP", "COP", "BBD",
          "BMD", "BND", "BSD", "BZD", "FJD", "GYD", "JMD", "KYD", "LRD", "NAD", "SBD", "SRD",
          "TTD", "UYU", "XCD"),
    "¥": ("CNY", "JPY"),
    "元": ("CNY", "HKD", "TWD", "USD", "EUR", "JPY", "SGD", "CAD", "AUD", "MOP"),
    "kr": ("SEK", "NOK", "DKK", "ISK"),
    "rs": ("INR", "PKR", "LKR", "NPR", "MUR"),
    "dh": ("AED", "MAD"),
}  # fmt: skip
for _word, _sign in (("dollar", "$"), ("dollars", "$"), ("rupee", "rs"), ("rupees", "rs")):
    _SHARED[_word] = _SHARED[_sign]

#: Currency words that people close with a full stop ("Rs.500"), with what they are without it.
_CLOSED = {"rs": "rs", "kr": "kr", "fr": "chf", "sfr": "chf", "rp": "rp", "руб": "руб", "тг": "тг",
           "ft": "ft"}  # fmt: skip
_STOP = r"(?s)(?P<head>[+-]?\s*)(?P<word>[^\W\d_]+)\.(?P<gap>\s*)(?P<rest>[+-]?[0-9].*)"

#: Words for parts of a whole -> how many make it up.
_PARTS = {
    **dict.fromkeys((
        "%", "percent", "per cent", "pct", "prozent", "procent", "por ciento", "pour cent",
        "per cento", "por cento", "процентов", "퍼센트",
    ), 100),
    **dict.fromkeys(("‰", "per mille", "promille"), 1000),
    **dict.fromkeys((
        "bp", "bps", "basis point", "basis points", "basispunkte", "基点", "个基点", "個基點",
    ), 10_000),
}  # fmt: skip

_LONGEST = 80  # characters; bounds the work on a text that only looks like a number
_SPACES = " '’_"  # marks that can only group digits
_NUMBER = r"(?:[0-9][0-9., '’_]*(?:[eE][+-]?[0-9]+)?|[.,][0-9]+)"
_SHAPE = (
    rf"(?s)(?P<pre>[^0-9+\-.,]*?)\s*(?P<minus>[+-]?)\s*(?P<mid>[^0-9+\-.,]*?)\s*"
    rf"(?P<num>{_NUMBER})(?P<post>.*)"
)
_STACKED = (
    r"(?P<pre>[^0-9]*)(?P<high>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>亿|億|万|萬)\s*"
    r"(?P<low>[0-9]+(?:\.[0-9]+)?)\s*(?P<rest>[^0-9.,]*)"
)
#: "CHF 500.-" and "500,– €": a dash for hundredths that are none.
_DASH = r"(?s)(?P<body>[^0-9]*[0-9][0-9., '’]*?)(?P<mark>[.,])[-–—]{1,2}(?P<rest>\s*[^0-9]*)"
EXAMPLE = "write a number such as 12_000_000, 12m or EUR 1.2bn"


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
    words = in_digits(unicodedata.normalize("NFKC", text).replace("\u2212", "-").strip())
    negative = words.startswith("(") and words.endswith(")")
    if negative:  # accountants write losses in brackets
        words = words[1:-1].strip()
    dash = re.fullmatch(_DASH, words)
    if dash and dash["mark"] not in dash["body"] and decimal in (None, dash["mark"]):
        words, decimal = dash["body"] + dash["rest"], dash["mark"]
    stacked = re.fullmatch(_STACKED, words)
    if stacked:
        number, pre, post = _stacked(stacked, shown), stacked["pre"], stacked["rest"]
        minus = "-" if pre.strip().startswith("-") else ""
        pre = pre.strip().lstrip("+-").strip()
    else:
        found = re.fullmatch(_SHAPE, _without_stop(words, shown))
        if found is None:
            raise AmountError(f"expected a number, got {shown}", EXAMPLE)
        if decimal is None and _EAST_ASIAN.search(found["post"]) and "," in found["num"]:
            decimal = _east_asian_mark(found["num"])
        number = _digits(found["num"].rstrip(" "), decimal, large, shown)
        pre, mid, minus = found["pre"].strip(), found["mid"].strip(), found["minus"]
        if pre and mid:
            raise AmountError(f"expected a number, got {shown}", EXAMPLE)
        pre, post = pre or mid, found["post"].strip()
    if negative and minus:
        raise AmountError(f"{shown} has two minus signs", "write -80k or (80k)")
    factor, unit, code, sign = _unit(post, currency, shown)
    if pre:
        if pre.lower() in _GERMAN_THOUSANDS:
            first: str | None = _GERMAN_THOUSANDS[pre.lower()]
            factor *= 1000
        else:
            first = _currency(pre, currency, shown, post)
            if first is None:
                raise AmountError(f"expected a number, got {shown}", EXAMPLE)
        if code is not None and code != first and post not in ("元", "万元", "亿元"):
            raise AmountError(f"{shown} names two currencies", "name one of them")
        code = first
        if sign:
            raise AmountError(f"{shown} is money and a share at once", EXAMPLE)
    _check_unit(unit, code or currency, shown)
    value = number * factor / (_PARTS[unit] if sign == "%" else 1)
    try:
        result = float(-value if negative or minus == "-" else value)
    except OverflowError:
        result = float("inf")
    return Amount(result, code, sign)


#: Groups of two digits before the last three: lakhs and crores, as India writes them.
_INDIAN = r"[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}"

#: Digits with at most one full stop, as programs write numbers.
_PLAIN = re.compile(r"-?([0-9]{1,15})(?:\.([0-9]{1,20}))?")


def _is_plain(found: re.Match[str], decimal: str | None, large: bool) -> bool:
    """Whether a full stop can only be a decimal mark, as `_digits` would find the long way."""
    head, part = found[1], found[2]
    if len(head) == 3 and head.startswith("0"):
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


def _stacked(found: re.Match[str], shown: str) -> Decimal:
    """Read 1亿2000万: each part in its own unit, the second below the first."""
    rest = found["rest"].strip()
    unit = max((u for u in _UNITS if u and _UNITS[u] and rest.startswith(u)), key=len, default="")
    high = Decimal(found["high"]) * _UNITS[found["unit"]]
    low = Decimal(found["low"]) * _UNITS[unit]
    if not unit or low >= _UNITS[found["unit"]]:
        raise AmountError(f"expected a number, got {shown}", "write it in one unit: 1.2亿")
    # what follows the second unit (a currency) is read again with the unit taken off by `_unit`
    return (high + low) / _UNITS[unit]


#: Units and currencies of countries that group digits by commas and never write a decimal comma.
_EAST_ASIAN = re.compile("[千万萬亿億円圆元만억원]")


def _east_asian_mark(number: str) -> str | None:
    """The decimal mark of "3,000" in 3,000万: a comma before three digits groups there."""
    grouped = re.fullmatch(r"[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]+)?", number.strip())
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
    if len(whole) == 3 and whole.startswith("0"):
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


def _without_stop(words: str, shown: str) -> str:
    """Return the text without the full stop that closes a word before the digits."""
    found = re.fullmatch(_STOP, words)
    if found is None:
        return words
    word = found["word"].lower()
    if word in _CLOSED:
        return f"{found['head']}{_CLOSED[word]} {found['rest']}"
    if found["gap"] or (word.upper() not in ISO_4217 and word not in _SIGNS):
        return words
    raise AmountError(
        f"the full stop in {shown} may close the word or be a decimal mark",
        "leave it out, or write 0 before it",
        two_ways=True,
    )


def _unit(post: str, own: str | None, shown: str) -> tuple[int, str, str | None, str]:
    """Return factor, unit, currency and sign of what stands behind the digits."""
    if post.lower() in ("x", "×", "times", "倍"):
        return 1, "", None, "x"
    if post.lower() in _PARTS:
        return 1, post.lower(), None, "%"
    if post.lower() in _GERMAN_THOUSANDS:
        return 1000, "", _GERMAN_THOUSANDS[post.lower()], ""
    readings: dict[tuple[int, str | None], str] = {}
    for cut in range(len(post) + 1):
        unit, code = post[:cut].strip().rstrip(".").lower(), post[cut:].strip()
        if unit not in _UNITS or (cut and post[cut - 1] == "." and not unit):
            continue
        if not code:
            readings[(_UNITS[unit], None)] = unit
            continue
        if code.endswith(".") and code[:-1].lower() in _CLOSED:
            code = _CLOSED[code[:-1].lower()]
        found = _currency(code, own, shown, unit)
        if found:
            readings[(_UNITS[unit], found)] = unit
    if any(factor == 0 for factor, _ in readings):
        raise AmountError(
            f"the unit of {shown} means different numbers in different languages",
            "write k, m, bn or the whole number",
            two_ways=True,
        )
    if len(readings) != 1:
        bad = re.fullmatch(r"[A-Za-z]{3}", post)
        hint = f"{post.upper()} is neither a unit nor a currency" if bad else EXAMPLE
        raise AmountError(f"expected a number, got {shown}", hint)
    ((factor, money), unit), *_ = readings.items()
    return factor, unit, money, ""


def _check_unit(unit: str, money: str | None, shown: str) -> None:
    """Refuse a unit that means another number where the currency is at home."""
    other = _ELSEWHERE.get(unit, {}).get(money or "")
    if other is not None:
        raise AmountError(
            f"the unit of {shown} is {_WRITTEN[unit]} to some and {other} in {money}",
            "write the word or the whole number",
            two_ways=True,
        )
    if unit == "cr" and money not in _CRORES:
        raise AmountError(
            f"cr in {shown} may be crore or mark a credit",
            "write crore, or a minus sign",
            two_ways=True,
        )


_WRITTEN = {"m": "million", "b": "billion"}


def _currency(word: str, own: str | None, shown: str, unit: str) -> str | None:
    """Return the ISO code of a currency word, None when it is none."""
    low = word.strip().lower()
    if low.upper() in ISO_4217:
        return low.upper()
    if low in _SIGNS:
        return _SIGNS[low]
    if low not in _SHARED:
        return None
    choices = _SHARED[low]
    if own in choices:
        return own
    if low in ("$", "dollar", "dollars"):  # no other dollar in sight
        return "USD"
    if low in ("¥", "元") and "亿" in unit + shown:  # only Chinese is written with this sign
        return "CNY"
    raise AmountError(
        f"{word} in {shown} may be {' or '.join(choices[:3])}",
        f"write the code: {choices[0]} ...",
        two_ways=True,
    )
