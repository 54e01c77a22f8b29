"""A model drawn as text: Mermaid flowcharts and self-contained SVG, without graphviz.

One box per call of a layer or op; layers of a subclassed model, whose order only `call` knows,
stand without arrows. Rows by longest path, long edges through free slots (K. Sugiyama and others,
"Methods for visual understanding of hierarchical system structures", 1981). Depends on `summary`.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

from fastnn.base import tree
from fastnn.base.messages import escaped
from fastnn.display.summary import layer_kind

__all__ = ["Box", "boxes", "mermaid", "svg"]

ROW, LINE, PAD, GAP, CHAR = 30, 16, 10, 24, 7.2


@dataclass
class Box:
    """One call: what it is called, what it gives, how many weights it holds, what it reads."""

    title: str
    shape: str
    weights: str
    sources: list[int]

    def lines(self) -> list[str]:
        """The text of the box."""
        return [self.title, *(t for t in (self.shape, self.weights) if t)]


def boxes(model: Any) -> list[Box]:
    """The calls of a functional model in order, or the layers of another model."""
    graph = getattr(getattr(model, "_functional", None) or model, "_layer_graph", None)
    if graph is None:
        chained = hasattr(model, "_stack")
        return [
            Box(_title(layer, 1), "", _weights(layer, 1), [i - 1] if chained and i else [])
            for i, layer in enumerate(model.layers)
        ]
    made: dict[int, int] = {}
    calls: dict[int, int] = {}
    out: list[Box] = []
    for node in graph.calls:
        times = calls[id(node.operation)] = calls.get(id(node.operation), 0) + 1
        shapes = [str(tuple(x.shape)) for x in tree.flatten(node.outputs)]
        sources = [made[id(x)] for x in node.inputs if id(x) in made]
        for x in tree.flatten(node.outputs):
            made[id(x)] = len(out)
        out.append(
            Box(_title(node.operation, times), ", ".join(shapes),
                _weights(node.operation, times), list(dict.fromkeys(sources)))
        )  # fmt: skip
    return out


def _title(layer: Any, times: int) -> str:
    again = f", call {times}" if times > 1 else ""
    return f"{escaped(layer.name)} ({layer_kind(layer)}{again})"


def _weights(layer: Any, times: int) -> str:
    if not getattr(layer, "built", True):
        return "not built"
    count = sum(v.size for v in getattr(layer, "weights", []))
    if times > 1 and count:
        return "same parameters"
    return f"{count:,} parameters" if count else ""


def mermaid(model: Any) -> str:
    """The model as a Mermaid flowchart, top down (mermaid.js.org/syntax/flowchart.html)."""
    lines = ["flowchart TD"]
    found = boxes(model)
    for i, box in enumerate(found):
        text = "<br/>".join(_quoted(t) for t in box.lines())
        lines.append(f'    n{i}["{text}"]')
    lines += [f"    n{s} --> n{i}" for i, box in enumerate(found) for s in box.sources]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Text inside a quoted Mermaid label: entities start with # and end with ;."""
    codes = {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "`": "#96;", "&": "#amp;"}
    return "".join(codes.get(c, c) for c in text.replace("\n", " "))


# ---- SVG ----------------------------------------------------------------------------------------


@dataclass
class _Slot:
    """A place in a row: a box, or the passage of an edge that crosses the row."""

    row: int
    box: int | None
    above: list[_Slot]
    width: float
    x: float = 0.0


def _slots(found: list[Box]) -> list[list[_Slot]]:
    """Boxes and passages by rows; each knows what stands above it."""
    depth: list[int] = []
    for box in found:
        depth.append(max((depth[s] + 1 for s in box.sources), default=0))
    if not any(box.sources for box in found):
        depth = list(range(len(found)))
    rows: list[list[_Slot]] = [[] for _ in range(max(depth, default=-1) + 1)]
    made: list[_Slot] = []
    for i, box in enumerate(found):
        width = max(len(t) for t in box.lines()) * CHAR + 2 * PAD
        slot = _Slot(depth[i], i, [], width)
        for s in box.sources:
            above = made[s]
            for row in range(depth[s] + 1, depth[i]):
                above = _Slot(row, None, [above], 2 * PAD)
                rows[row].append(above)
            slot.above.append(above)
        rows[depth[i]].append(slot)
        made.append(slot)
    return rows


def _place(rows: list[list[_Slot]]) -> float:
    """Gives each slot its middle, near the mean of what it reads; returns the drawing's width."""
    total = max(sum(s.width + GAP for s in row) for row in rows) + GAP
    for row in rows:
        for s in row:
            s.x = sum(a.x for a in s.above) / len(s.above) if s.above else total / 2
        row.sort(key=lambda s: s.x)
        left = (total - sum(s.width + GAP for s in row) + GAP) / 2
        for s in row:
            s.x = left + s.width / 2
            left += s.width + GAP
    return total


def svg(model: Any) -> str:
    """The model as one self-contained SVG element; colours follow the page's text colour."""
    found = boxes(model)
    rows = _slots(found)
    if not rows:
        return '<svg xmlns="http://www.w3.org/2000/svg" width="0" height="0"></svg>'
    width = _place(rows)
    tops, y = [], float(GAP)
    for row in rows:
        tops.append(y)
        y += max(_height(found, s) for s in row) + ROW
    height = y - ROW + GAP
    label = escape(f"graph of model {escaped(model.name)}", quote=True)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{label}" '
        f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" '
        'font-family="ui-monospace, monospace" font-size="12" fill="none" stroke="currentColor">',
        f"<title>{label}</title>",
    ]
    for row in rows:
        for s in row:
            parts += _edges(found, s, tops)
            parts += _drawn(found[s.box], s, tops[s.row]) if s.box is not None else []
    return "\n".join([*parts, "</svg>"])


def _height(found: list[Box], slot: _Slot) -> float:
    return 0.0 if slot.box is None else len(found[slot.box].lines()) * LINE + PAD


def _edges(found: list[Box], slot: _Slot, tops: list[float]) -> list[str]:
    lines = []
    top = tops[slot.row]
    for above in slot.above:
        start = tops[above.row] + _height(found, above)
        middle = top - ROW / 2
        path = (
            f"M{above.x:.1f} {start:.1f} C{above.x:.1f} {middle:.1f} "
            f"{slot.x:.1f} {middle:.1f} {slot.x:.1f} {top:.1f}"
        )
        lines.append(f'<path d="{path}"/>')
    if slot.box is not None and slot.above:
        tip = f"M{slot.x - 4:.1f} {top - 6:.1f} L{slot.x:.1f} {top:.1f} L{slot.x + 4:.1f} "
        lines.append(f'<path d="{tip}{top - 6:.1f}"/>')
    return lines


def _drawn(box: Box, slot: _Slot, top: float) -> list[str]:
    lines = box.lines()
    left = slot.x - slot.width / 2
    out = [
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{slot.width:.1f}" '
        f'height="{len(lines) * LINE + PAD}" rx="4"/>'
    ]
    for i, text in enumerate(lines):
        weight = ' font-weight="bold"' if i == 0 else ""
        y = top + PAD / 2 + LINE * (i + 0.75)
        out.append(
            f'<text x="{slot.x:.1f}" y="{y:.1f}" text-anchor="middle" fill="currentColor" '
            f'stroke="none"{weight}>{escape(text)}</text>'
        )
    return out
