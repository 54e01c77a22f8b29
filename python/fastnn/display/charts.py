"""Small pictures of number series as text: sparklines, and inline SVG for notebooks.

Depends on the standard library.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

__all__ = ["history_html", "history_text", "scalars", "sparkline"]

BLOCKS = "▁▂▃▄▅▆▇█"
WIDTH, HEIGHT, EDGE = 220, 110, 6


def scalars(logs: Mapping[str, Sequence[Any]]) -> dict[str, list[float]]:
    """The series of single numbers; vectors, such as a score per class, are left out."""
    return {
        key: [float(v) for v in values]
        for key, values in logs.items()
        if len(values) and all(getattr(v, "ndim", 0) == 0 for v in values)
    }


def sparkline(values: Sequence[float], width: int = 12) -> str:
    """At most `width` values, evenly taken and the last one always: `█▅▃▂▁`; × is no number."""
    if len(values) > width:
        values = [values[round(i * (len(values) - 1) / (width - 1))] for i in range(width)]
    finite = [v for v in values if math.isfinite(v)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    scale = (len(BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(BLOCKS[round((v - low) * scale)] if math.isfinite(v) else "×" for v in values)


def history_text(epochs: int, logs: Mapping[str, Sequence[Any]]) -> str:
    """The last values of a run with their sparklines."""
    series = scalars(logs)
    parts = [f"{k} {v[-1]:.4g} {sparkline(v)}" for k, v in series.items()]
    plural = "" if epochs == 1 else "s"
    return f"<History of {epochs} epoch{plural}{': ' if parts else ''}{', '.join(parts)}>"


def history_html(epochs: Sequence[int], logs: Mapping[str, Sequence[Any]]) -> str:
    """A chart for each metric with its validation values, and a table of the values."""
    series = scalars(logs)
    if not series:
        return escape(history_text(len(epochs), logs))
    bases = list(dict.fromkeys(k.removeprefix("val_") for k in series))
    charts = "".join(
        _chart(base, {k: series[k] for k in (base, f"val_{base}") if k in series}) for base in bases
    )
    head = "".join(f"<th>{t}</th>" for t in ("", "first", "last", "lowest", "highest"))
    rows = "".join(_row(key, values) for key, values in series.items())
    return f"<div>{charts}</div><table><tr>{head}</tr>{rows}</table>"


def _row(key: str, values: list[float]) -> str:
    finite = [v for v in values if math.isfinite(v)] or [math.nan]
    cells = (values[0], values[-1], min(finite), max(finite))
    return f"<tr><th>{escape(key)}</th>" + "".join(f"<td>{v:.4g}</td>" for v in cells) + "</tr>"


def _chart(title: str, curves: dict[str, list[float]]) -> str:
    """One SVG: the first curve solid, the second (validation) dashed, on one scale."""
    finite = [v for values in curves.values() for v in values if math.isfinite(v)] or [0.0]
    low, high = min(finite), max(finite)
    label = escape(f"{title} from {low:.4g} to {high:.4g}", quote=True)
    top = EDGE + 14
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{label}" width="{WIDTH}" '
        f'height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" fill="none" stroke="currentColor" '
        'font-family="sans-serif" font-size="11">'
        f'<text x="{EDGE}" y="12" fill="currentColor" stroke="none">{escape(title)}</text>'
    ]
    for values, dash in zip(curves.values(), ("", ' stroke-dasharray="4 3"'), strict=False):
        step = (WIDTH - 2 * EDGE) / max(len(values) - 1, 1)
        scale = (HEIGHT - EDGE - top) / (high - low) if high > low else 0.0
        points = [
            (EDGE + i * step, HEIGHT - EDGE - (v - low) * scale)
            for i, v in enumerate(values)
            if math.isfinite(v)
        ]
        text = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{text}"{dash}/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2"/>' for x, y in points[-1:]]
    return "".join(parts) + "</svg>"
