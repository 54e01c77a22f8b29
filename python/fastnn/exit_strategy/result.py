"""The result of an evaluation, and the methods that write its reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fastnn.config import shown
from fastnn.exit_strategy.records import dataclass
from fastnn.files import write_text

from .errors import ExitError, unwritable
from .reading.files import home
from .report.data import result_dict, to_plain
from .scoring.record import (
    MAX_UNKNOWN,
    MIN_LEAD,
    MIN_P_FIRST,
    Provenance,
    Rank,
    Recommendation,
    Record,
    TornadoBar,
)

__all__ = [
    "MAX_UNKNOWN",
    "MIN_LEAD",
    "MIN_P_FIRST",
    "Provenance",
    "Rank",
    "Recommendation",
    "Result",
    "TornadoBar",
    "to_plain",
]


@dataclass(frozen=True)
class Result(Record):
    """Everything the tool says about one company, as data, text, Markdown or a page."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data (no NaN, no arrays), the content of `to_json`."""
        return result_dict(self)

    def to_json(self, path: str | Path | None = None) -> str:
        """Return the result as JSON; write it when a path is given."""
        return _write(json.dumps(self.to_dict(), ensure_ascii=False, indent=1), path)

    def to_markdown(self, path: str | Path | None = None, *, lang: str = "en") -> str:
        """Return the report as Markdown in English or Chinese."""
        from .report import markdown  # each report is loaded when it is asked for

        return _write(markdown.render(self, lang), path)

    def to_html(self, path: str | Path | None = None, *, lang: str = "en") -> str:
        """Return the report as one self-contained HTML page: no network, inline SVG."""
        from .report import html

        return _write(html.render(self, lang), path)

    def to_excel(self, path: str | Path, *, lang: str = "en") -> Path:
        """Write the sale waterfall as a workbook with live formulas; needs the extra `excel`.

        Sheets: named inputs and the bridge, papers, prices, and one for every holder. Returns the
        path; EX802 where it cannot be written, EX804 without XlsxWriter.
        """
        from .report.excel import write_workbook

        return write_workbook(self.profile, path, lang)

    def to_terminal(self, *, lang: str = "en", colour: bool = False) -> str:
        """Return the report for an 80-column terminal."""
        from .report import terminal

        return shown(terminal.render(self, lang, colour))


def _write(text: str, path: str | Path | None) -> str:
    if path is not None:
        try:
            write_text(home(path), text)
        except OSError as error:
            raise ExitError(unwritable(path, error)) from error
    return text
