"""How a report writes a number, an amount, a name or a list, in either language."""

from __future__ import annotations

from collections.abc import Sequence

from .catalogue import has_text, text
from .criteria import Criteria, load_criteria
from .gates.results import VenueResult
from .profile.profile import Profile

__all__ = [
    "fact",
    "join_words",
    "money",
    "option_name",
    "percent",
    "source_name",
    "venue_name",
]


def percent(value: float, digits: int = 0) -> str:
    """Return a share as percent text; a small chance is never shown as zero."""
    shown = f"{value * 100:.{digits}f} %"
    if value > 0 and float(f"{value * 100:.{digits}f}") == 0:
        return f"< {10**-digits:.{digits}f} %"
    if value < 1 and float(f"{value * 100:.{digits}f}") == 100:
        return f"> {100 - 10**-digits:.{digits}f} %"
    return shown


def money(value: float, currency: str, lang: str = "en") -> str:
    """Return an amount such as "USD 12.3m" or "1,230 万 USD"."""
    size, sign = abs(value), "-" if value < 0 else ""
    if lang == "zh":
        if size >= 1e8:
            amount = f"{size / 1e8:,.2f}".rstrip("0").rstrip(".")
            return f"{sign}{amount} 亿 {currency}"
        if size >= 1e4:
            return f"{sign}{size / 1e4:,.0f} 万 {currency}"
        return f"{sign}{size:,.0f} {currency}"
    for limit, unit in ((1e9, "bn"), (1e6, "m"), (1e3, "k")):
        if size >= limit * 0.9995:
            return f"{currency} {sign}{size / limit:,.4g}{unit}"
    return f"{currency} {sign}{size:,.4g}"


def fact(
    leaf: str,
    value: float,
    lang: str = "en",
    tree: Criteria | None = None,
    company: Profile | None = None,
) -> str:
    """Return a leaf's value in its unit; amounts in the company's currency, else in US dollars."""
    unit = (tree or load_criteria()).leaf(leaf).unit
    if unit == "USD":
        if company is None:
            return money(value, "USD", lang)
        own = str(company.currency)
        return money(company.rates.convert(value, "USD", own), own, lang)
    if unit == "months":
        return f"{value:.0f} " + ("个月" if lang == "zh" else "months")
    if unit == "ratio" and leaf in ("growth_yoy", "ebitda_margin"):
        return f"{value:+.0%}"
    return f"{value:.2f}" + ("x" if unit == "ratio" else "")


def option_name(name: str, lang: str) -> str:
    """Return the name of an option."""
    return text(f"option.{name}", lang)


def join_words(items: Sequence[str], lang: str) -> str:
    """Return words joined as a list is read in the language."""
    if lang == "zh":
        return "、".join(items)
    if len(items) < 2:
        return "".join(items)
    if any(" and " in item for item in items):  # one that holds the word is a part of its own
        return "; ".join(items)
    return ", ".join(items[:-1]) + " and " + items[-1]


def source_name(option: str, source: str, lang: str) -> str:
    """Return where a base rate comes from: the model by name, or a text of the catalogue."""
    key = f"source.{option}" if has_text(f"source.{option}") else f"source.{source}"
    return text(key, lang) if has_text(key) else source


def venue_name(venue: VenueResult, lang: str = "en") -> str:
    """Return a venue's name; one from an overlay keeps the name it came with."""
    return text(f"venue.{venue.id}", lang) if has_text(f"venue.{venue.id}") else venue.name
