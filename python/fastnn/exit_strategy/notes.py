"""A warning as data: a catalogue key and its values, so that it reads in either language.

A warning about a fault of the list in `errors` carries its code: the work goes on, and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field

from fastnn.exit_strategy.records import dataclass

from .catalogue import data_words, feature_names, gate_name, gate_names, leaf_name, text

__all__ = ["Note"]

#: Faults that are flagged where a refusal would hide the rest of the answer.
_CODES = {"price_below_debt": "EX304", "old": "EX404", "expired": "EX404"}


#: Values that are names of ours: how they read in a language.
_SHOWN: dict[str, Callable[[str, str], str]] = {
    "leaf": leaf_name,
    "id": gate_name,
    "venues": lambda words, lang: gate_names(words.split(), lang),
    "state": lambda word, lang: text(f"state.{word}", lang),
    "answer": lambda word, lang: text(f"word.{word}", lang),
    "step": lambda word, lang: text(f"state.{word}", lang),
    "level": data_words,
    "features": lambda words, lang: feature_names(words.split(), lang),
}


@dataclass(frozen=True, slots=True)
class Note:
    """One warning; `str` gives English, `text(lang)` either language."""

    key: str
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def code(self) -> str | None:
        """The stable code of the fault that is flagged, None for a plain remark."""
        return _CODES.get(self.key)

    def text(self, lang: str = "en") -> str:
        """Return the warning's text; a key of another package without a text is shown as it is."""
        try:
            shown = {k: _SHOWN[k](v, lang) if k in _SHOWN else v for k, v in self.values.items()}
            words = text(f"note.{self.key}", lang, **shown)
        except KeyError:
            words = self.key.replace("_", " ")
        return f"{self.code} {words}" if self.code else words

    def __str__(self) -> str:
        return self.text()
