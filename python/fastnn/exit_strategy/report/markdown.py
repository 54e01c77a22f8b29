"""The report as Markdown, with the process as a Mermaid block."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fastnn.exit_strategy.catalogue import check_language, text
from fastnn.exit_strategy.errors import visible
from fastnn.exit_strategy.process.advice import road
from fastnn.exit_strategy.process.process import Process
from fastnn.exit_strategy.scoring.record import Record
from fastnn.exit_strategy.wording import join_words

from . import sentences as say, tables
from .tables import Table

__all__ = ["render"]


def render(result: Record, lang: str = "en") -> str:
    """Return the whole report as Markdown."""
    check_language(lang)
    date = text(
        "report.as_of",
        lang,
        date=result.profile.as_of.isoformat(),
        gates=result.provenance.gates_checked,
    )
    steps = [
        f"**{_safe(text('ui.step', lang, title=title)).strip()}** {_safe(words)}"
        for title, words in road(result, lang)
    ]
    made = result.provenance
    method = text("text.method", lang, kappa=f"{made.kappa:g}", draws=f"{made.draws:,}")
    numbers = {"seed": made.seed, "draws": made.draws, "kappa": f"{made.kappa:g}"}
    told = [f"{text(f'made.{name}', lang)} {value}" for name, value in numbers.items()]
    repeat = [join_words([f"fastnn {made.version}", *told], lang)]
    repeat += [f"`{name}` sha256 {digest}" for name, digest in made.hashes.items()]
    parts = [
        f"# {_safe(text('report.title', lang, name=result.profile.name))}",
        f"## {_safe(say.headline(result, lang))}",
        _paragraphs([*say.reasons(result, lang), date]),
        _table(tables.ranking_table(result, lang)),
        _section(
            "report.money",
            lang,
            _table(tables.money_table(result, lang), False),
            _paragraphs(say.money_sentences(result, lang)),
            _table(tables.price_table(result, lang), False),
        ),
        _section("report.next", lang, _list(steps, "1.")),
        _section(
            "report.change",
            lang,
            _list([_safe(line) for line in say.change_sentences(result, lang)]),
        ),
        *(
            [_table(played)]
            if len((played := tables.scenario_table(result, lang)).rows) > 1
            else []
        ),
        _table(tables.rate_table(result, lang)),
        _section("report.unknown", lang, _safe(say.unknown_sentence(result, lang))),
        _table(tables.venue_table(result, lang)),
        _table(tables.regulator_table(result, lang)),
        _table(tables.bridge_table(result, lang)),
        _table(tables.payout_table(result, lang)),
        *([_table(returned)] if (returned := tables.return_table(result, lang)) else []),
        *([_table(persons)] if (persons := tables.person_table(result, lang)) else []),
        _table(tables.break_point_table(result, lang)),
        _section("report.base", lang, _paragraphs(say.base_sentences(result, lang))),
        _table(tables.completion_table(result, lang)),
        _table(tables.kappa_table(result, lang)),
        _table(tables.fact_table(result, lang)),
        _section("report.process", lang, f"```mermaid\n{Process(result).to_mermaid(lang)}```"),
        _section("report.method", lang, method),
        _section("report.provenance", lang, _list(repeat)),
        _section("report.warnings", lang, _list([_safe(n.text(lang)) for n in result.warnings])),
        _section("report.limits", lang, _list(say.limits(lang))),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _safe(words: str) -> str:
    """A text without Markdown: its marks and HTML's are escaped, controls written out."""
    return _MARKS.sub(r"\\\g<0>", visible(words))


#: What Markdown or HTML could take for a mark; an underscore inside a word is none.
_MARKS = re.compile(r"[\\`*\[\]<>|#~$]|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])")


def _section(key: str, lang: str, *bodies: str) -> str:
    body = "\n\n".join(body for body in bodies if body)
    return f"## {text(key, lang)}\n\n{body}" if body else ""


def _paragraphs(lines: Sequence[str]) -> str:
    return "\n\n".join(_safe(line) for line in lines)


def _list(lines: Sequence[str], mark: str = "-") -> str:
    return "\n".join(f"{mark} {line}" for line in lines)


def _table(table: Table, title: bool = True) -> str:
    if not table.rows:
        return ""
    head = "| " + " | ".join(_safe(name) for name in table.head) + " |"
    rule = (
        "|"
        + "|".join(" ---: " if k in table.numeric else " --- " for k in range(len(table.head)))
        + "|"
    )
    rows = ["| " + " | ".join(_safe(cell) for cell in row) + " |" for row in table.rows]
    lead = f"## {table.title}\n\n" if title and table.title else ""
    return lead + "\n".join([head, rule, *rows])
