"""The report as one HTML page: no network, inline SVG, dark mode, print style, five readers' pages.

Words come from `report_sentences`, tables from `report_tables`, drawings from `report_svg`,
style from `data/report.css` and the few lines of script (tabs, sorting) from `data/report.js`;
without script every page is shown.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from html import escape

from fastnn.exit_strategy.catalogue import check_language, text
from fastnn.exit_strategy.process.advice import road, sale_floor
from fastnn.exit_strategy.process.process import Process, Step
from fastnn.exit_strategy.resources import read_text
from fastnn.exit_strategy.scoring.record import Record

from . import sentences as say, svg, tables
from .tables import Table

__all__ = ["render"]

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
READERS = ("founder", "cfo", "investor", "adviser", "researcher")


def render(result: Record, lang: str = "en") -> str:
    """Return the whole page."""
    check_language(lang)
    title = text("report.title", lang, name=result.profile.name)
    makers = (_founder, _cfo, _investor, _adviser, _researcher)
    pages = "".join(
        _page(reader, maker(result, lang), lang)
        for reader, maker in zip(READERS, makers, strict=True)
    )
    tabs = "".join(
        f'<a href="#{reader}" class="tab">{escape(text(f"reader.{reader}", lang))}</a>'
        for reader in READERS
    )
    tabs += f'<a href="#all" class="tab">{escape(text("ui.all", lang))}</a>'
    return (
        f'<!doctype html>\n<html lang="{"zh-Hans" if lang == "zh" else "en"}">\n<head>\n'
        f'<meta charset="utf-8">\n{_policy()}\n<meta name="viewport" content="width=device-width, '
        'initial-scale=1">\n<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>\n{read_text('report.css')}</style>\n</head>\n"
        f'<body>\n<a class="skip" href="#answer">{escape(text("ui.skip", lang))}</a>\n'
        f"{_header(result, title, lang)}\n"
        f'<nav aria-label="{escape(text("ui.readers", lang))}">{tabs}</nav>\n'
        f"<main>\n{pages}</main>\n{_footer(result, lang)}"
        f"<script>\n{read_text('report.js')}</script>\n</body>\n</html>\n"
    )


def _policy() -> str:
    """The page's content security policy: its own style and script, and nothing from elsewhere."""
    script = f"\n{read_text('report.js')}".encode()
    digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
    rules = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    return f'<meta http-equiv="Content-Security-Policy" content="{rules}">'


def _header(result: Record, title: str, lang: str) -> str:
    date = text(
        "report.as_of",
        lang,
        date=result.profile.as_of.isoformat(),
        gates=result.provenance.gates_checked,
    )
    first = say.reasons(result, lang)[:1]
    label = escape(text("report.answer", lang))
    kind = result.recommendation if result.recommendation in _MOODS else "clear"
    return (
        f"<header><p class=company>{escape(title)}</p>"
        f'<section id=answer class="answer {kind}" aria-label="{label}">'
        f"<h1>{escape(say.headline(result, lang))}</h1>"
        f"{''.join(f'<p>{escape(line)}</p>' for line in first)}</section>"
        f"<p class=dim>{escape(date)} {escape(text('report.disclaimer', lang))}</p></header>"
    )


_MOODS = ("near_tie", "insufficient_information", "none_open")


def _footer(result: Record, lang: str) -> str:
    notes = [note.text(lang) for note in result.warnings]
    warnings = _box("report.warnings", _list(notes), lang) if notes else ""
    return f"<footer>{warnings}{_box('report.limits', _list(say.limits(lang)), lang)}</footer>\n"


def _page(reader: str, body: str, lang: str) -> str:
    return (
        f"<article id={reader} class=page><h2>{escape(text(f'reader.{reader}', lang))}</h2>"
        f"<p class=dim>{escape(text(f'reader.{reader}_lead', lang))}</p>{body}</article>\n"
    )


def _founder(result: Record, lang: str) -> str:
    share = say.share_of(result, lang)  # stands below its picture
    why = [line for line in say.reasons(result, lang)[1:] if line != share]
    money = _lines(say.money_sentences(result, lang))
    prices = _table(tables.price_table(result, lang), lang)
    curve = _figure(svg.curve(result, lang), text("text.price_row", lang))
    changes = [*say.change_sentences(result, lang), say.unknown_sentence(result, lang)]
    played = tables.scenario_table(result, lang)  # of one row: no scenario fits the company
    return (
        _box("report.sure", _figure(svg.bars(result, lang), share), lang)
        + _box("report.why", _lines(why), lang)
        + _box(
            "report.money",
            _table(tables.money_table(result, lang), lang, caption=True) + money,
            lang,
            True,
        )
        + _box("report.at_prices", prices + curve, lang)
        + _box("report.bridge", _table(tables.bridge_table(result, lang), lang), lang, True)
        + "<div class=stack>"
        + _box("report.next", _road(result, lang), lang)
        + _box("report.change", _list(changes), lang)
        + "</div>"
        + (
            _box("report.scenarios", _table(played, lang), lang, True)
            if len(played.rows) > 1
            else ""
        )
    )


def _cfo(result: Record, lang: str) -> str:
    cash = _lines([say.cash_sentence(result, lang), say.unknown_sentence(result, lang)])
    return (
        _box("report.cash", cash, lang, True)
        + _box("report.rates", _table(tables.rate_table(result, lang), lang), lang, True)
        + _box("report.gates", _table(tables.venue_table(result, lang), lang), lang, True)
        + _box("report.regulators", _table(tables.regulator_table(result, lang), lang), lang, True)
        + _box("report.hard", _hard_gates(result, lang), lang, True)
    )


def _hard_gates(result: Record, lang: str) -> str:
    rows = tuple(
        (
            text(f"option.{gate.option}", lang),
            text(f"gate.{gate.name}", lang),
            text(f"state.{gate.word}", lang),
            gate.reason.text(lang),
        )
        for gate in result.gates.hard
    )
    head = tuple(text(f"head.{key}", lang) for key in ("option", "rule", "state", "reason"))
    return _table(Table("", head, rows), lang)


def _investor(result: Record, lang: str) -> str:
    points, persons = tables.break_point_table(result, lang), tables.person_table(result, lang)
    returned = tables.return_table(result, lang)
    shown = _table(points, lang) if points.rows else _lines([text("text.no_break_points", lang)])
    return (
        _box(
            "report.waterfall",
            _table(tables.payout_table(result, lang), lang, caption=True)
            + (_table(persons, lang, caption=True) if persons else "")
            + (_table(returned, lang, caption=True) if returned else "")
            + _figure(svg.curve(result, lang), text("text.price_row", lang)),
            lang,
        )
        + "<div class=stack>"
        + _box("report.break_points", shown, lang)
        + _box("report.base", _lines(say.base_sentences(result, lang)), lang)
        + "</div>"
        + _box("report.completion", _table(tables.completion_table(result, lang), lang), lang, True)
    )


def _adviser(result: Record, lang: str) -> str:
    stop = text("ui.stop", lang)
    moves = tables.tornado_view(result).title(lang)
    graph = _figure(svg.process_graph(Process(result).states, lang), wide=True)
    return (
        _box(
            "report.floor",
            _lines([f"{sale_floor(result, lang)}{stop}", *say.money_sentences(result, lang)]),
            lang,
        )
        + _box("report.tornado", _figure(svg.tornado(result, lang), moves), lang)
        + _box("report.regulators", _table(tables.regulator_table(result, lang), lang), lang, True)
        + _box("report.process", graph, lang, True)
    )


def _researcher(result: Record, lang: str) -> str:
    made = result.provenance
    method = text("text.method", lang, kappa=f"{made.kappa:g}", draws=f"{made.draws:,}")
    settings = {
        "version": made.version, "seed": str(made.seed), "draws": str(made.draws),
        "kappa": f"{made.kappa:g}", "weights": made.weights, "as_of": made.as_of.isoformat(),
    }  # fmt: skip
    facts = {text(f"made.{name}", lang): value for name, value in settings.items()}
    facts |= dict(made.hashes)
    head = (text("head.item", lang), text("head.value", lang))
    hashes = Table("", head, tuple(facts.items()))
    many = len(result.options) > 4  # the heat map needs the whole width
    return (
        _box("report.method", _lines([method]), lang, many)
        + _box("report.groups", _figure(svg.heat(result, lang), wide=many), lang, many)
        + _box("report.ranking", _table(tables.ranking_table(result, lang), lang), lang, True)
        + _box("report.kappa", _table(tables.kappa_table(result, lang), lang), lang, True)
        + _box("report.facts", _table(tables.fact_table(result, lang), lang), lang, True)
        + _box("report.provenance", _table(hashes, lang), lang, True)
    )


def _box(key: str, body: str, lang: str, wide: bool = False) -> str:
    kind = ' class="wide"' if wide else ""
    return f"<section{kind}><h3>{escape(text(key, lang))}</h3>{body}</section>"


def _lines(lines: Sequence[str]) -> str:
    return "".join(f"<p>{escape(line)}</p>" for line in lines)


def _list(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _figure(drawing: str, caption: str = "", wide: bool = False) -> str:
    if not drawing:
        return ""
    note = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure{' class=scroll' if wide else ''}>{drawing}{note}</figure>"


def _road(result: Record, lang: str) -> str:
    """Return the leading option's first steps, then every way on and the rules behind it."""
    items = "".join(
        f"<li><b>{escape(text('ui.step', lang, title=title))}</b>{escape(advice)}</li>"
        for title, advice in road(result, lang)
    )
    ways = _steps(Process(result).next_steps(lang), lang)
    more = escape(text("ui.events", lang))
    return f"<ol>{items}</ol><details><summary>{more}</summary>{ways}</details>"


def _steps(steps: Sequence[Step], lang: str) -> str:
    out = []
    for step in steps:
        rules = "".join(
            f"<li><b>{escape(rule)}</b> {escape(words)}</li>" for rule, words in step.rules
        )
        events = "".join(f"<li>{escape(words)}</li>" for _, words in step.events)
        out.append(
            f"<p><b>{escape(text('ui.step', lang, title=step.title))}</b>{escape(step.advice)}</p>"
            f"<ul class=events>{events}</ul>"
            + (f"<p><b>{escape(text('ui.rules', lang))}</b></p><ul>{rules}</ul>" if rules else "")
        )
    return "".join(out)


def _table(table: Table, lang: str, *, caption: bool = False) -> str:
    if not table.rows:
        return ""
    title = f"<caption>{escape(table.title)}</caption>" if caption and table.title else ""
    states = {
        text(f"state.{name}", lang): name
        for name in ("pass", "fail", "unknown", "open", "closed", "applies")
    }
    head = "".join(
        f"<th scope=col{' class=num' if k in table.numeric else ''}>{escape(name)}</th>"
        for k, name in enumerate(table.head)
    )
    body = []
    for row in table.rows:
        cells = []
        for k, cell in enumerate(row):
            kind = "num" if k in table.numeric else states.get(cell, "")
            kind = kind or ("date" if _DATE.fullmatch(cell) else "")
            mark = f' class="{kind}"' if kind else ""
            name = f' data-label="{escape(table.head[k])}"'
            cells.append(f"<td{mark}{name}>{escape(cell)}</td>")
        body.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f'<div class=scroll><table class=sortable title="{escape(text("ui.sort", lang))}">{title}'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )
