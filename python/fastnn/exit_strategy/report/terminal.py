"""The report for a terminal: 80 columns, no colour when piped, wide characters counted as two."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Sequence

from fastnn.exit_strategy.catalogue import check_language, leaf_name, text
from fastnn.exit_strategy.process.advice import road
from fastnn.exit_strategy.scoring.record import Record
from fastnn.exit_strategy.wording import percent

from . import sentences as say, tables

__all__ = ["WIDTH", "fit_table", "render", "width_of"]

WIDTH = 80
_BAR = 24

#: What a line of Chinese text never breaks: a word or number in other letters, with the marks that
#: must not begin a line; or one character with them.
_PIECES = r"(?s:(?:[!-~]+ ?|[（“《]?.)[，。、；：！？）”》]*)"


def render(result: Record, lang: str = "en", colour: bool = False) -> str:
    """Return the report: answer, ranking, gates, tornado, money, next steps."""
    check_language(lang)

    def strong(words: str) -> str:
        return f"\x1b[1m{words}\x1b[0m" if colour else words

    lines = [text("report.title", lang, name=result.profile.name)]
    lines += [strong(say.headline(result, lang)), ""]
    for sentence in say.reasons(result, lang):
        lines += wrap(sentence)
    lines += ["", strong(text("report.ranking", lang))]
    lines += _ranking(result, lang)
    title = text("head.npv", lang)
    lines += ["", strong(title[0].upper() + title[1:])]
    lines += fit_table(
        [row[:4] for row in tables.money_table(result, lang).rows],
        tables.money_table(result, lang).head[:4],
        (1, 2, 3),
    )
    bridge = tables.bridge_table(result, lang)
    lines += ["", strong(bridge.title)]
    rows = [row[:4] for row in bridge.rows if row[0] in _shared_steps(lang)]
    lines += fit_table(rows, bridge.head[:4], (1, 2, 3))
    lines += ["", strong(text("report.gates", lang))]
    venues = tables.venue_table(result, lang)
    lines += fit_table(
        [(row[0], row[1], row[3]) for row in venues.rows],
        (venues.head[0], venues.head[1], venues.head[3]),
    )
    lines += ["", strong(text("report.tornado", lang))]
    view = tables.tornado_view(result)
    lines += wrap(view.title(lang), "  ", "  ")
    for bar in view.bars[:3]:
        name = pad(leaf_name(bar.leaf, lang, result.criteria), 34)
        lines.append(f"  {name} {view.shown(bar.low):>7} → {view.shown(bar.high):>7}")
    lines += ["", strong(text("report.next", lang))]
    for number, (title, advice) in enumerate(road(result, lang), 1):
        lines += wrap(f"{number}. {text('ui.step', lang, title=title)}{advice}", "  ", "     ")
    lines += ["", strong(text("report.change", lang))]
    for sentence in say.change_sentences(result, lang, 2):
        lines += wrap(sentence, "  ", "  ")
    if result.unknown:
        lines += ["", *wrap(say.unknown_sentence(result, lang))]
    if result.warnings:
        lines += ["", strong(text("report.warnings", lang))]
        for note in result.warnings:
            lines += wrap(note.text(lang), "  ! ", "    ")
    lines += ["", text("report.disclaimer", lang)]
    return "\n".join(lines) + "\n"


def _shared_steps(lang: str) -> tuple[str, ...]:
    return tuple(tables.step_name(name, lang) for name in (*tables.BRIDGE, "conversion"))


def _ranking(result: Record, lang: str) -> list[str]:
    out = []
    for row in result.ranking:
        name = pad(text(f"option.{row.option}", lang), 26)
        full = round(row.p_first * _BAR)
        bar = ("█" * full).ljust(_BAR, "·")
        share = percent(row.p_first) if row.open else text("state.closed", lang)
        out.append(f"  {name}{bar} {share:>7}  {row.score_mean:.3f}")
    return out


def width_of(words: str) -> int:
    """Return the columns a text takes; East Asian wide characters take two."""
    if words.isascii():
        return len(words)
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in words)


def pad(words: str, columns: int) -> str:
    """Return a text cut or filled to a number of columns."""
    columns = max(columns, 1)
    while width_of(words) > columns and len(words) > 1:
        words = words[:-2] + "…"
    return words + " " * (columns - width_of(words))


def wrap(words: str, first: str = "", rest: str = "") -> list[str]:
    """Return a text as lines of at most 80 columns."""
    if width_of(words) == len(words):
        return textwrap.wrap(words, WIDTH, initial_indent=first, subsequent_indent=rest) or [""]
    lines, line = [], first
    for piece in re.findall(_PIECES, words):
        if width_of(line + piece.rstrip()) > WIDTH and line.strip():
            lines.append(line.rstrip())
            line, piece = rest, piece.lstrip()
        line += piece
    return [*lines, line]


def fit_table(
    rows: Sequence[Sequence[str]], head: Sequence[str], numeric: Sequence[int] = ()
) -> list[str]:
    """Return a table of at most 80 columns; the last column wraps, the others are cut."""
    if not rows:
        return []
    table = [tuple(head), *map(tuple, rows)]
    count = len(table[0])
    widths = [max(width_of(row[k]) for row in table) for k in range(count)]
    room = WIDTH - 2 * count
    while sum(widths) > room:
        widest = max(range(count), key=lambda k: widths[k] - (0 if k == count - 1 else 14))
        widths[widest] -= 1
    out = []
    for row in table:
        cells = []
        for k, cell in enumerate(row):
            cut = pad(cell, widths[k]) if k < count - 1 or k in numeric else cell
            cells.append(
                " " * (widths[k] - width_of(cut.rstrip())) + cut.rstrip() if k in numeric else cut
            )
        lead = "  " + "  ".join(cells[:-1]) + "  "
        if count - 1 in numeric:
            out.append((lead + cells[-1]).rstrip())
            continue
        indent = " " * width_of(lead)
        out += wrap(cells[-1], lead, indent)
    return [line.rstrip() for line in out]
