"""A warning as data: a catalogue key and its values, so that it reads in either language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .catalogue import text

__all__ = ["Note"]


@dataclass(frozen=True, slots=True)
class Note:
    """One warning; `str` gives English, `text(lang)` either language."""

    key: str
    values: Mapping[str, str] = field(default_factory=dict)

    def text(self, lang: str = "en") -> str:
        """Return the warning's text; a key of another room without a text is shown as it is."""
        try:
            return text(f"note.{self.key}", lang).format_map(self.values)
        except KeyError:
            return self.key.replace("_", " ")

    def __str__(self) -> str:
        return self.text()
