"""Inline SVG charts: bars, tornado, proceeds curve, heat map, process graph.

Colours are CSS variables, so that dark mode and print need no second drawing; every chart has a
title and a description for screen readers. Standard library only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from fastnn.exit_strategy.catalogue import group_name, holder_name, leaf_name, text
from fastnn.exit_strategy.process.chart import EDGES, ENDS
from fastnn.exit_strategy.scoring.record import Record
from fastnn.exit_strategy.wording import money, percent

from .tables import tornado_view

__all__ = ["bars", "curve", "heat", "process_graph", "tornado"]

_W = 390  # narrow on purpose: text stays legible when a phone shrinks the drawing


def _svg(height: float, title: str, body: Sequence[str], detail: str, width: int = _W) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height:.0f}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title><desc>{escape(detail)}</desc>{''.join(body)}</svg>"
    )


def _label(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} class="{kind}">{escape(words)}</text>'


def bars(result: Record, lang: str) -> str:
    """Return how often each option comes first, with its score range beneath."""
    out, y, told = [], 4.0, []
    for row in result.ranking:
        name = text(f"option.{row.option}", lang)
        share = percent(row.p_first) if row.open else text("state.closed", lang)
        told.append(f"{name}: {share}")
        kind = "lead" if row is result.ranking[0] and row.open else ""
        out.append(_label(0, y + 15, name, "strong"))
        out.append(_label(_W, y + 15, share, "strong", "end"))
        out.append(f'<rect class="track" x="0" y="{y + 22:.0f}" width="{_W}" height="14" rx="3"/>')
        width = row.p_first * _W if row.open else 0.0
        out.append(
            f'<rect class="bar {kind}" x="0" y="{y + 22:.0f}" width="{width:.1f}" '
            'height="14" rx="3"/>'
        )
        y += 50
    return _svg(y, text("alt.bars", lang), out, "; ".join(told))


def tornado(result: Record, lang: str, count: int = 8) -> str:
    """Return the leader's first places, or its lead, at the 10 and 90 % quantile of each input."""
    view = tornado_view(result)
    shown, base = view.bars[:count], view.base
    ends = [base, *(v for bar in shown for v in (bar.low, bar.high))]
    low, high = min(ends) - 0.02, max(ends) + 0.02
    if not view.lead:
        low, high = max(0.0, low), min(1.0, high)
    span = max(high - low, 0.02)

    def at(value: float) -> float:
        return (value - low) / span * _W

    out, y, told = [], 4.0, []
    for bar in shown:
        name = leaf_name(bar.leaf, lang, result.criteria)
        ends_text = f"{view.shown(bar.low)} → {view.shown(bar.high)}"
        told.append(f"{name}: {ends_text}")
        left, right = sorted((at(bar.low), at(bar.high)))
        kind = "good" if bar.swing > 0 else "bad"
        out += [
            _label(0, y + 14, name),
            _label(_W, y + 14, ends_text, "dim", "end"),
            f'<rect class="track" x="0" y="{y + 20:.0f}" width="{_W}" height="12" rx="3"/>',
            f'<rect class="bar {kind}" x="{left:.1f}" y="{y + 20:.0f}" '
            f'width="{max(2.0, right - left):.1f}" height="12" rx="2"/>',
        ]
        y += 42
    line = at(base)
    out.append(f'<line class="mark" x1="{line:.1f}" y1="4" x2="{line:.1f}" y2="{y - 6:.0f}"/>')
    detail = "; ".join(told) or text("text.flip_none", lang)
    return _svg(max(y, 20), view.title(lang), out if shown else [], detail)


def curve(result: Record, lang: str) -> str:
    """Return the founders' payout against the net price, break points dashed."""
    points = result.proceeds.curve
    if len(points) < 2:
        return ""
    xs = [float(x) for x, _ in points]
    ys = [float(y) for _, y in points]
    left, top, width, height = 8.0, 26.0, _W - 16.0, 190.0
    x_max, y_max = max(xs) or 1.0, max(max(ys), 1e-9)

    def place(x: float, y: float) -> tuple[float, float]:
        return left + x / x_max * width, top + height - y / y_max * height

    out, labels = [], []  # labels are drawn last, so that their halo covers the lines
    for tick in _ticks(y_max):
        y = place(0, tick)[1]
        out.append(f'<line class="grid" x1="{left}" y1="{y:.1f}" x2="{_W - left}" y2="{y:.1f}"/>')
        labels.append(_label(left, y - 3, money(tick, result.proceeds.currency, lang), "dim halo"))
    for point in result.proceeds.break_points:
        if 0 < point.price <= x_max:
            x = place(point.price, 0)[0]
            price = money(point.price, result.proceeds.currency, lang)
            tip = f"{holder_name(point.holder, lang)}: {price}"
            out.append(
                f'<line class="break" x1="{x:.1f}" y1="{top}" x2="{x:.1f}" '
                f'y2="{top + height}"><title>{escape(tip)}</title></line>'
            )
    path = " ".join(
        f"{'M' if k == 0 else 'L'}{x:.1f} {y:.1f}"
        for k, (x, y) in enumerate(place(*pair) for pair in zip(xs, ys, strict=True))
    )
    out.append(f'<path class="line" d="{path}"/>')
    base = top + height
    out.append(f'<line class="axis" x1="{left}" y1="{base}" x2="{left + width}" y2="{base}"/>')
    for tick in (0.0, *_ticks(x_max, 3)):
        x = place(tick, 0)[0]
        anchor = "start" if tick == 0 else ("end" if x > _W - 60 else "middle")
        words = money(tick, result.proceeds.currency, lang)
        out.append(_label(x, base + 18, words, "dim", anchor))
    last = money(ys[-1], result.proceeds.currency, lang)
    detail = f"{money(x_max, result.proceeds.currency, lang)}: {last}"
    return _svg(base + 28, text("alt.curve", lang), [*out, *labels], detail)


def _ticks(top: float, most: int = 4) -> list[float]:
    """Return up to `most` round values 1, 2, 2.5 or 5 times a power of ten apart, up to `top`."""
    power = 10.0 ** math.floor(math.log10(top / most))
    step = next(m * power for m in (1.0, 2.0, 2.5, 5.0, 10.0, 20.0) if top / (m * power) < most + 1)
    return [step * k for k in range(1, int(top / step * (1 + 1e-9)) + 1)]


def heat(result: Record, lang: str) -> str:
    """Return the score of every option in every group as a coloured grid."""
    options = [row.option for row in result.ranking]
    first, rise = 92.0, 30.0
    width = max(_W, int(first) + 92 * len(options))
    cell = (width - first) / max(1, len(options))
    out, told = [], []
    for k, option in enumerate(options):
        name = text(f"short.{option}", lang)
        out.append(_label(first + (k + 0.5) * cell, 16, name, "strong", "middle"))
    for g, group in enumerate(result.groups):
        y = 26 + g * rise
        out.append(_label(0, y + 20, group_name(group, lang)))
        for k, option in enumerate(options):
            value = float(result.scores.groups[result.options.index(option), g])
            name = text(f"option.{option}", lang)
            told.append(f"{group_name(group, lang)}, {name}: {value:.2f}")
            x = first + k * cell
            out.append(
                f'<rect class="heat" style="fill-opacity:{0.04 + 0.5 * value:.2f}" '
                f'x="{x + 1:.1f}" y="{y + 1:.0f}" width="{cell - 2:.1f}" '
                f'height="{rise - 2}" rx="3"/>'
            )
            out.append(_label(x + cell / 2, y + 20, f"{value:.2f}", "", "middle"))
    height = 30 + len(result.groups) * rise
    return _svg(height, text("alt.heat", lang), out, "; ".join(told), width)


#: State -> (column, row) on a grid of five columns: listing | private | start | sale | transform.
_GRID: dict[str, tuple[float, float]] = {
    "PROFILE": (2, 0), "CAPITAL_TEST": (2, 1),
    "IPO_CONSIDER": (0, 2), "IPO_MARKET": (0, 3), "IPO_PREP": (0, 4), "IPO_FILED": (0, 5),
    "IPO_CLOSED": (0, 6), "LOCK_UP": (0, 7), "USE_OF_FUNDS": (0, 8),
    "WAIT": (1, 1), "PRIVATE_ROUND": (1, 2), "DUAL_TRACK": (1, 3.5), "IPO_WITHDRAWN": (1, 5),
    "LICENSE_HIRE": (1, 7), "OPERATE": (1, 8),
    "MA_OR_TRANSFORM": (2, 2.5), "WIND_DOWN": (2, 8),
    "DEAL_MARKET": (3, 3), "PARTNER_SCREEN": (3, 4), "MA_NEGOTIATE": (3, 5),
    "MA_APPROVALS": (3, 6), "MA_BLOCKED": (2, 5), "MA_CLOSED": (3, 7), "INTEGRATION": (3, 8),
    "TRANSFORM_PLAN": (4, 4), "TRANSFORM_RUN": (4, 5), "TRANSFORM_DONE": (4, 6.5),
    "NEW_BUSINESS": (4, 8),
}  # fmt: skip


def process_graph(active: Sequence[str], lang: str) -> str:
    """Return the repaired process; failure edges dashed, active states outlined."""
    width, box, tall, step = 900, 168, 34, 62

    def centre(state: str) -> tuple[float, float]:
        column, row = _GRID[state]
        return 90 + column * 180, 24 + row * step

    out = [
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" class="tip"/></marker></defs>'
    ]
    pairs: dict[tuple[str, str], bool] = {}
    for edge in EDGES:
        for target in (edge.target, edge.fork):
            if target and target != edge.source:
                key = (edge.source, target)
                pairs[key] = pairs.get(key, True) and edge.failure
    ways = sorted(pairs.items(), key=lambda item: item[0][0] in active)  # ways on from here on top
    for (source, target), failure in ways:
        (x1, y1), (x2, y2) = centre(source), centre(target)
        start = _border(x1, y1, x2, y2, box, tall)
        end = _border(x2, y2, x1, y1, box, tall)
        bend = _bend(start, end)
        kind = "edge" + (" fail" if failure else "") + (" now" if source in active else "")
        out.append(
            f'<path class="{kind}" marker-end="url(#tip)" d="M{start[0]:.0f} {start[1]:.0f}'
            f'Q{bend[0]:.0f} {bend[1]:.0f} {end[0]:.0f} {end[1]:.0f}"/>'
        )
    for state in _GRID:
        x, y = centre(state)
        kind = "node" + (" end" if state in ENDS else "") + (" now" if state in active else "")
        out.append(
            f'<rect class="{kind}" x="{x - box / 2:.0f}" y="{y - tall / 2:.0f}" '
            f'width="{box}" height="{tall}" rx="{17 if state in ENDS else 5}"/>'
        )
        out.append(_label(x, y + 5, text(f"state.{state}", lang), "small", "middle"))
    names = ", ".join(text(f"state.{state}", lang) for state in active)
    return _svg(24 + 8 * step + 26, text("alt.process", lang), out, names, width)


def _border(
    x: float, y: float, to_x: float, to_y: float, box: float, tall: float
) -> tuple[float, float]:
    """Return where the line from a box's centre towards a point leaves the box."""
    dx, dy = to_x - x, to_y - y
    scale = min(
        (box / 2 + 2) / abs(dx) if dx else math.inf, (tall / 2 + 2) / abs(dy) if dy else math.inf
    )
    return x + dx * scale, y + dy * scale


def _bend(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    """Return a control point that bends long edges a little, so that they do not lie on others."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    length = math.hypot(dx, dy) or 1.0
    lift = 0.0 if length < 70 else min(34.0, length * 0.12)
    return (a[0] + b[0]) / 2 - dy / length * lift, (a[1] + b[1]) / 2 + dx / length * lift
