"""Words beside an amount: units and currencies of many countries, in any order beside the digits.

A word that stands for different numbers or currencies is refused unless the amount itself, or the
profile's currency, settles it. Read only when a text is more than a number. Standard library only.
"""

from __future__ import annotations

import re
from decimal import Decimal

from fastnn.exit_strategy.errors import EXAMPLE, AmountError
from fastnn.exit_strategy.reading.fx import ISO_4217
from fastnn.exit_strategy.reading.numerals import unit_left_out

__all__ = ["PARTS", "behind", "check_unit", "code_of", "in_front", "stacked", "without_stop"]

#: Unit words, lower case, without a closing full stop. A factor of 0 marks a word that means
#: different numbers in different languages.
_UNITS: dict[str, int] = {
    "": 1,
    **dict.fromkeys((
        "k", "thousand", "tsd", "tausend", "тыс", "тысяч", "тысячи", "tys", "tis", "tisíc", "ezer",
        "bin", "ribu", "rb", "nghìn", "ngàn", "พัน", "ألف", "אלף", "千", "仟", "천", "тис",
    ), 10**3),
    **dict.fromkeys((
        "m", "mm", "mn", "mln", "mio", "mi", "mill", "milj", "million", "millions", "millionen",
        "millioner", "millones", "millón", "milhões", "milhão", "milioni", "milione", "miljoner",
        "miljoen", "miljoonaa", "milyon", "milion", "milionów", "miliony", "milionů", "milioane",
        "millió", "млн", "миллион", "миллиона", "миллионов", "juta", "jt", "triệu", "ล้าน",
        "مليون", "ملايين", "מיליון", "百万", "百萬", "佰万", "佰萬", "백만", "мільйон", "мільйони",
        "мільйонів",
    ), 10**6),
    **dict.fromkeys((
        "b", "bn", "bln", "mrd", "md", "mds", "mld", "mlrd", "mia", "milliarde", "milliarden",
        "milliard", "milliards", "milliarder", "miliardi", "miliardo", "miljarder", "miljard",
        "miljardia",
        "milyar", "miliard", "miliardy", "miliardów", "miliarde", "milliárd", "bilhões", "bilhão",
        "bi", "billion", "billions", "mil millones", "mil milhões", "млрд", "миллиард",
        "миллиарда", "миллиардов", "мільярд", "мільярди", "мільярдів", "miliar",
        "tỷ", "tỉ", "พันล้าน", "مليار", "מיליארד", "十亿",
        "十億", "십억",
    ), 10**9),
    **dict.fromkeys((
        "tn", "trn", "trillion", "trillions", "triliun", "조", "万亿", "萬億",
    ), 10**12),
    **dict.fromkeys(("lakh", "lakhs", "lac", "lacs"), 10**5),
    **dict.fromkeys(("crore", "crores", "cr", "crs"), 10**7),
    **dict.fromkeys(("lakh crore", "lakh crores", "lac crore"), 10**12),
    "만": 10**4, "천만": 10**7, "억": 10**8, "백억": 10**10, "천억": 10**11,
    "十": 10, "百": 10**2, "万": 10**4, "十万": 10**5, "千万": 10**7, "佰": 10**2,
    "仟万": 10**7, "仟萬": 10**7,
    "亿": 10**8, "百亿": 10**10, "千亿": 10**11,
    "萬": 10**4, "千萬": 10**7, "億": 10**8, "百億": 10**10, "千億": 10**11,
    "t": 0, "mil": 0, "mille": 0, "bio": 0, "billionen": 0, "兆": 0, "g": 0,
}  # fmt: skip

#: Doubtful words that one currency's own word settles, without their full stops.
_SETTLED = {
    "mil reais": (10**3, "BRL"), "mil kč": (10**6, "CZK"), "mil korun": (10**6, "CZK"),
    "mil lei": (10**6, "RON"),
}  # fmt: skip

#: Where 兆 can only be a million million.
_MILLION_MILLIONS = frozenset(("JPY", "TWD"))

#: Units that mean another number beside the amounts of some currencies, with both readings.
_ELSEWHERE: dict[str, dict[str, str]] = {
    "m": {"IDR": "miliar, a thousand million", "CLP": "miles, thousands"},
    "b": {"IDR": "biliun, a million million"},
}

#: Where "cr" is a crore; in the accounts of other countries it marks a credit.
_CRORES = frozenset(("INR", "PKR", "NPR", "BDT", "LKR"))

#: "TEUR 500", "500 T€" and "500 tkr" are thousands in the accounts of these currencies; a bare T
#: may be a trillion.
_IN_THOUSANDS = frozenset(("eur", "€", "chf", "usd", "gbp", "sek", "nok", "dkk", "kr"))

#: Currency words and signs besides the ISO codes, lower case.
_SIGNS: dict[str, str] = {
    word: code
    for code, words in {
        "AED": ("د.إ", "درهم"),
        "AUD": ("a$", "au$", "aud$", "澳元"),
        "BDT": ("৳", "tk", "taka"),
        "BGN": ("лв",),
        "BRL": ("r$", "brl$", "reais"),
        "CAD": ("c$", "ca$", "can$", "cdn$", "cad$", "$ca", "$ ca", "$ can", "加元"),
        "CHF": ("sfr", "fr.", "franken", "瑞士法郎"),
        "CLP": ("clp$",),
        "CNY": ("rmb", "人民币", "人民幣", "人民元", "元人民币", "元人民幣", "cn¥", "yuan",
                "renminbi"),
        "COP": ("cop$", "col$"),
        "CRC": ("₡",),
        "CZK": ("kč", "korun", "koruna"),
        "DOP": ("rd$",),
        "EGP": ("e£",),
        "EUR": ("€", "euro", "euros", "euroa", "евро", "欧元", "歐元", "ユーロ", "유로"),
        "GBP": ("£", "sterling", "pounds sterling", "英镑", "英鎊", "ポンド"),
        "GHS": ("gh₵", "₵"),
        "HKD": ("hk$", "hkd$", "港元", "港币", "港幣"),
        "HUF": ("ft", "forint"),
        "IDR": ("rp", "rupiah"),
        "ILS": ("₪", "nis", "shekel", "shekels", "שקל", "שקלים"),
        "INR": ("₹",),
        "ISK": ("krónur",),
        "JMD": ("j$",),
        "JPY": ("jp¥", "日元", "円", "日圆", "日圓", "日币", "yen", "엔"),
        "KES": ("ksh", "kshs"),
        "KRW": ("₩", "원", "won", "韩元", "韓元", "韩币", "ウォン"),
        "KZT": ("тг", "тенге", "₸"),
        "MXN": ("mx$", "mxn$", "mex$"),
        "MYR": ("rm", "ringgit"),
        "NGN": ("₦", "naira"),
        "NZD": ("nz$", "nzd$"),
        "PEN": ("s/", "soles"),
        "PHP": ("₱",),
        "PLN": ("zł", "złotych", "zloty", "zlotys"),
        "PYG": ("₲",),
        "RUB": ("₽", "руб", "руб.", "рублей", "рубля", "卢布"),
        "SEK": ("kronor",),
        "SGD": ("s$", "sg$", "sgd$", "新加坡元", "新币"),
        "THB": ("฿", "baht", "บาท"),
        "TRY": ("₺", "tl", "lira"),
        "TTD": ("tt$",),
        "TWD": ("nt$", "twd$", "新台币", "新臺幣", "新台幣", "台币", "台幣", "臺幣"),
        "TZS": ("tsh", "tshs"),
        "UAH": ("₴", "грн", "гривень"),
        "UGX": ("ush", "ugx/="),
        "USD": ("us$", "$us", "$ us", "u$s", "us dollar", "us dollars", "usd$", "美元", "美金",
                "달러", "ドル", "米ドル", "долл", "долларов"),
        "VND": ("₫", "đ", "đồng", "dong"),
        "ZAR": ("r", "rand"),
    }.items()
    for word in words
}  # fmt: skip

#: Signs shared by several currencies -> those currencies, the usual one first. The profile's own
#: currency decides when it is one of them; else the usual one when no other is in sight.
_SHARED: dict[str, tuple[str, ...]] = {
    "$": ("USD", "HKD", "AUD", "CAD", "SGD", "NZD", "TWD", "MXN", "ARS", "CLP", "COP", "BBD",
          "BMD", "BND", "BSD", "BZD", "FJD", "GYD", "JMD", "KYD", "LRD", "NAD", "SBD", "SRD",
          "TTD", "UYU", "XCD"),
    "¥": ("CNY", "JPY"),
    "元": ("CNY", "HKD", "TWD", "SGD", "MOP"),
    "kr": ("SEK", "NOK", "DKK", "ISK"),
    "kroner": ("NOK", "DKK"),
    "rs": ("INR", "PKR", "LKR", "NPR", "MUR"),
    "dh": ("AED", "MAD"),
    "lei": ("RON", "MDL"),
    "pesos": ("MXN", "ARS", "CLP", "COP", "PHP", "DOP", "UYU", "CUP"),
    "riyals": ("SAR", "QAR", "OMR", "YER"),
    "francs": ("CHF", "XOF", "XAF", "XPF", "CDF", "RWF"),
}  # fmt: skip
#: Words that stand for the usual one of several where the profile's own is none of them.
_POUNDS = ("pound", "pounds")
_SHARED.update(dict.fromkeys(_POUNDS, ("GBP", "EGP", "LBP", "SYP", "SDG", "SSP", "FKP", "GIP")))
_DOLLARS = ("$", "dollar", "dollars", "dólares", "dolares", "dólar")
for _sign, _words in (
    ("$", _DOLLARS), ("rs", ("rupee", "rupees", "卢比")), ("dh", ("dirham", "dirhams")),
    ("riyals", ("riyal",)), ("pesos", ("peso",)),
):  # fmt: skip
    _SHARED.update(dict.fromkeys(_words, _SHARED[_sign]))

#: Currency words that people close with a full stop ("Rs.500"), with what they are without it.
_CLOSED = {"rs": "rs", "kr": "kr", "fr": "chf", "sfr": "chf", "rp": "rp", "руб": "руб", "тг": "тг",
           "ft": "ft", "лв": "лв", "долл": "долл", "грн": "грн", "tk": "tk"}  # fmt: skip
_STOP = r"(?s)(?P<head>[+-]?\s*)(?P<word>[^\W\d_]+)\.(?P<gap>\s*)(?P<rest>[+-]?[0-9].*)"
#: "Mio. € 5": the full stop of a unit that stands before the currency.
_UNIT_FIRST = r"(?s)(?P<word>[^\W\d_]+)\.(?P<rest>\s*[^\d.,+-]+[+-]?[0-9].*)"

#: Words for parts of a whole -> how many make it up.
PARTS = {
    **dict.fromkeys((
        "%", "percent", "per cent", "pct", "prozent", "procent", "prosent", "por ciento",
        "pour cent", "per cento", "por cento", "процентов", "процента", "퍼센트", "v.h", "yüzde",
        "٪", "percentage", "パーセント",
    ), 100),
    **dict.fromkeys(("‰", "per mille", "promille"), 1000),
    **dict.fromkeys((
        "bp", "bps", "basis point", "basis points", "basispunkte", "基点", "个基点", "個基點",
    ), 10_000),
}  # fmt: skip

_HIGH = {"兆": 10**12, "조": 10**12, "亿": 10**8, "億": 10**8, "억": 10**8, "万": 10**4,
         "萬": 10**4, "만": 10**4}  # fmt: skip
_PIECE = r"(?P<n>[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+(?:\.[0-9]+)?)\s*"
_STACKED = (
    rf"(?P<pre>[^0-9]*)(?P<high>(?:[0-9][0-9,.]*\s*[{''.join(_HIGH)}]\s*)+)"
    r"(?P<low>[0-9][0-9,.]*)\s*(?P<rest>[^0-9.,]*)"
)


def stacked(words: str, shown: str) -> tuple[Decimal, str, str] | None:
    """Read 1亿2000万 or 1兆2,345億円: each part in its own unit, below the one before it.

    Returns the number in the unit that stands last, what stands in front of it, and what stands
    behind it with that unit; None for text of another shape.
    """
    found = re.fullmatch(_STACKED, words)
    if found is None:
        return None
    wrong = AmountError(f"expected a number, got {shown}", "write it in one unit: 1.2亿")
    if "." in found["high"]:  # 1.2亿3千万: a fraction, or its parts
        raise wrong
    rest = found["rest"].strip()
    total, above = Decimal(0), 10**16
    for piece in re.finditer(rf"([0-9][0-9,.]*)\s*([{''.join(_HIGH)}])", found["high"]):
        unit = _HIGH[piece[2]]
        part = _piece(piece[1], wrong) * unit
        if unit >= above or part >= above:
            raise wrong
        total, above = total + part, unit
    word = max((u for u in _UNITS if u and _UNITS[u] and rest.startswith(u)), key=len, default="")
    low = _piece(found["low"], wrong)
    full = low == int(low) and 10 * low >= above  # 1万5000: no digit is left out; 1万5 is 15,000
    if low * _UNITS[word] >= above or not (word or full):
        raise wrong
    if word and above >= 10**8 and _UNITS[word] < 10**4:  # 1亿2千: the speaker means 1.2亿
        part = low * _UNITS[word]
        raise unit_left_out(shown, int(total + part), int(total + part * (above // 10**4)))
    return (total + low * _UNITS[word]) / _UNITS[word], found["pre"], rest


def _piece(text: str, wrong: AmountError) -> Decimal:
    if not re.fullmatch(_PIECE, text):
        raise wrong
    return Decimal(text.replace(",", ""))


def without_stop(words: str, shown: str) -> str:
    """Return the text without the full stop that closes a word before the digits."""
    found = re.fullmatch(_STOP, words)
    if found is None:
        found = re.fullmatch(_UNIT_FIRST, words)
        unit = found["word"].lower() if found else ""
        return words if not found or unit not in _UNITS else f"{found['word']}{found['rest']}"
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


def in_front(pre: str, own: str | None, shown: str, unit: str) -> tuple[int, str]:
    """Return factor and currency of what stands before the digits: USD, US$m, MSEK, kr.

    `unit` is what stands behind them.
    """
    thousands = _thousands(pre, own, shown)
    if thousands:
        return 1000, thousands
    code = _currency(pre, own, shown, unit)
    if code is not None:
        return 1, code
    factor, word, money, _ = _both(pre, own, shown)
    if money is None:
        raise AmountError(f"expected a number, got {shown}", EXAMPLE)
    check_unit(word, money, shown)
    return factor, money


def behind(post: str, own: str | None, shown: str) -> tuple[int, str, str | None, str]:
    """Return factor, unit, currency and sign of what stands behind the digits."""
    low = post.lower()
    if low in ("x", "×", "times", "倍"):
        return 1, "", None, "x"
    if low.rstrip(".") in PARTS:
        return 1, low.rstrip("."), None, "%"
    thousands = _thousands(post, own, shown)
    if thousands:
        return 1000, "", thousands, ""
    settled = _SETTLED.get(" ".join(low.replace(".", " ").split()))
    if settled:
        return settled[0], "", settled[1], ""
    return _both(post, own, shown)


def _thousands(word: str, own: str | None, shown: str) -> str | None:
    """The currency of TEUR, T€, tkr, t.kr. and kDKK's like; None for another word."""
    low = word.lower().replace(".", "")
    if low[:1] != "t" or low[1:] not in _IN_THOUSANDS:
        return None
    return _currency(low[1:], own, shown, "")


def _both(words: str, own: str | None, shown: str) -> tuple[int, str, str | None, str]:
    """A unit, a currency, or both: the unit first, or else the currency."""
    readings = _readings(words, own, shown) or _readings(words, own, shown, turned=True)
    if any(factor == 0 for factor, _ in readings):
        raise AmountError(
            f"the unit of {shown} means different numbers in different languages",
            "write k, m, bn or the whole number",
            two_ways=True,
        )
    if len(readings) != 1:
        bad = re.fullmatch(r"[A-Za-z]{3}", words)
        hint = f"{words.upper()} is neither a unit nor a currency" if bad else EXAMPLE
        raise AmountError(f"expected a number, got {shown}", hint)
    ((factor, money), unit), *_ = readings.items()
    return factor, unit, money, ""


def _readings(
    words: str, own: str | None, shown: str, *, turned: bool = False
) -> dict[tuple[int, str | None], str]:
    """(factor, currency) -> unit, for every place where a unit may end and a currency begin."""
    out: dict[tuple[int, str | None], str] = {}
    if (whole := words.rstrip(".").lower()) in _UNITS and not turned:  # mlrd is no million LRD
        return {
            (10**12 if whole == "兆" and own in _MILLION_MILLIONS else _UNITS[whole], None): whole
        }
    for cut in range(len(words) + 1):
        first, second = words[:cut].strip(), words[cut:].strip()
        if turned and not (first and second):
            continue
        unit, code = (second, first) if turned else (first, second)
        unit = unit.rstrip(".").lower()
        if unit not in _UNITS or (cut and words[cut - 1] == "." and not unit):
            continue
        if not code:
            factor = 10**12 if unit == "兆" and own in _MILLION_MILLIONS else _UNITS[unit]
            out[(factor, None)] = unit
            continue
        if unit:  # "5 millions d'euros", "5 millones de dólares", "5 milioni di euro"
            code = re.sub(r"(?i)^(?:d['’]|d[ei]\s+)", "", code)
        if code.endswith(".") and code[:-1].lower() in _CLOSED:
            code = _CLOSED[code[:-1].lower()]
        if unit and not turned and _no_pair(unit, code.lower()):
            continue
        found = _currency(code, own, shown, unit)
        if found:
            million_millions = unit == "兆" and found in _MILLION_MILLIONS
            out[(10**12 if million_millions else _UNITS[unit], found)] = unit
    return out


def _no_pair(unit: str, code: str) -> bool:
    """Whether a unit and a currency behind it are one word: kr, Br in Ethiopia, B$ in Brunei."""
    return code == "r" or (unit == "b" and code == "$")


def code_of(word: str) -> str | None:
    """The code of a currency by its name or sign, None for one that several share."""
    return _SIGNS.get(word.strip().lower())


def check_unit(unit: str, money: str | None, shown: str) -> None:
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
    if low == "rm" and own == "ZAR":  # Rm 5 is five million rand, RM 5 five ringgit
        choices: tuple[str, ...] = ("MYR", "million ZAR")
    elif low in _SIGNS:
        return _SIGNS[low]
    elif low not in _SHARED:
        return None
    else:
        choices = _SHARED[low]
    if own in choices:
        return own
    if low in _DOLLARS or low in _POUNDS:  # no other dollar or pound in sight
        return choices[0]
    if low == "¥" and "亿" in unit + shown:  # only Chinese is written with this sign
        return "CNY"
    if low == "元" and own is not None:  # of another currency's company: renminbi, or its own
        choices = ("CNY", own)
    elif low == "元" and "亿" in unit + shown:
        return "CNY"
    raise AmountError(
        f"{word} in {shown} may be {' or '.join(choices[:3])}",
        f"write the code: {choices[0]} ...",
        two_ways=True,
    )
