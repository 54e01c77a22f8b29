"""The table that `model.summary()` prints, in Keras's layout. Depends on `symbolic`."""

from __future__ import annotations

import shutil
from typing import Any

from fastnn import tree
from fastnn.symbolic import OpCall

__all__ = ["layer_kind", "summary"]


def summary(model: Any, line_length: int | None, nested: bool, trainable: bool) -> str:
    """Layers, output shapes and weights as a boxed table with totals."""
    if not model.built:
        return f'Model: "{model.name}" is not built yet.\n' \
               "  hint: start it with Input(shape=...), call build, or fit it first."  # fmt: skip
    connected = not hasattr(model, "_stack") and hasattr(model, "_order") and _branches(model)
    columns = ["Layer (type)", "Output Shape", "Param #"]
    columns += ["Connected to"] if connected else []
    columns += ["Trainable"] if trainable else []
    width = line_length or _width(108 if connected else 88)
    shares = [0.28, 0.24, 0.12, 0.36][:4] if connected else [0.45, 0.34, 0.21]
    if trainable:
        shares = [s * 0.88 for s in shares] + [0.12]
    sizes = [max(int(s * (width - len(shares) * 3 - 1)), 6) for s in shares]
    rows = _rows(model, nested, connected, trainable)
    lines = [f'Model: "{model.name}"', *_table(columns, rows, sizes)]
    return "\n".join([*lines, *_totals(model)])


def _width(limit: int) -> int:
    columns = shutil.get_terminal_size((limit + 4, 24)).columns
    return min(limit, max(columns - 4, 60))


def _branches(model: Any) -> bool:
    for node in model._order:
        if len(node.inputs) > 1 or isinstance(node.operation, OpCall):
            return True
    return len(model.inputs) > 1 or len(model.outputs) > 1 or any(
        sum(x is y for n in model._order for y in n.inputs) > 1
        for n in model._order for x in tree.flatten(n.outputs)
    )  # fmt: skip


def _rows(model: Any, nested: bool, connected: bool, trainable: bool, indent: int = 0) -> list[Any]:
    rows = []
    operations = getattr(model, "_operations", None) if connected else None
    for layer in operations if operations is not None else model.layers:
        prefix = "  " * indent
        row = [
            f"{prefix}{layer.name} ({layer_kind(layer)})",
            _output_shape(layer, model),
            f"{sum(v.size for v in getattr(layer, 'weights', [])):,}"
            if getattr(layer, "built", True) else "0 (unbuilt)",
        ]  # fmt: skip
        if connected:
            row.append(_connections(layer, model))
        if trainable:
            row.append("Y" if getattr(layer, "trainable", False) else "N")
        rows.append(row)
        if nested and getattr(layer, "layers", None):
            inner = _rows(layer, nested, False, trainable, indent + 1)
            rows += [r[:3] + ([""] if connected else []) + r[3:] for r in inner]
    return rows


def layer_kind(layer: Any) -> str:
    """What a layer or op is: its class, or the name of the op."""
    if isinstance(layer, OpCall):
        return "".join(part.capitalize() for part in layer.op_name.split("_"))
    return type(layer).__name__


def _nodes(layer: Any, model: Any) -> list[Any]:
    graph = getattr(model, "_functional", None) or model
    return [n for n in getattr(graph, "_order", ()) if n.operation is layer]


def _output_shape(layer: Any, model: Any) -> str:
    nodes = _nodes(layer, model)
    if not nodes:
        return "?"
    shapes = [str(tuple(x.shape)) for x in tree.flatten(nodes[-1].outputs)]
    return shapes[0] if len(shapes) == 1 else "[" + ", ".join(shapes) + "]"


def _connections(layer: Any, model: Any) -> str:
    found = []
    for node in _nodes(layer, model):
        for x in node.inputs:
            found.append(f"{x.name}[0][{x.index}]")
    return ", ".join(found) or "-"


def _wrap(text: str, size: int) -> list[str]:
    lines = []
    while len(text) > size:
        cut = text.rfind(" ", 1, size + 1)
        cut = cut if cut > 0 else size
        lines.append(text[:cut])
        text = text[cut:].lstrip()
    return [*lines, text]


def _table(columns: list[str], rows: list[Any], sizes: list[int]) -> list[str]:
    def rule(left: str, line: str, middle: str, right: str) -> str:
        return left + middle.join(line * (s + 2) for s in sizes) + right

    def cells(row: list[str], bar: str) -> list[str]:
        wrapped = [_wrap(c, s) for c, s in zip(row, sizes, strict=True)]
        height = max(len(w) for w in wrapped)
        out = []
        for i in range(height):
            parts = []
            for k, (w, s) in enumerate(zip(wrapped, sizes, strict=True)):
                text = w[i] if i < len(w) else ""
                parts.append(text.rjust(s) if k == 2 else text.ljust(s))
            out.append(bar + bar.join(f" {p} " for p in parts) + bar)
        return out

    lines = [rule("┏", "━", "┳", "┓"), *cells(columns, "┃"), rule("┡", "━", "╇", "┩")]
    for i, row in enumerate(rows):
        lines += cells(row, "│")
        lines.append(rule("├", "─", "┼", "┤") if i + 1 < len(rows) else rule("└", "─", "┴", "┘"))
    if not rows:
        lines.append(rule("└", "─", "┴", "┘"))
    return lines


def readable_bytes(n: int) -> str:
    """`16.00 B`, `1.20 KB`, …."""
    size = float(n)
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1024:
            return f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} TB"


def _totals(model: Any) -> list[str]:
    trained = sum(v.size for v in model.trainable_weights)
    rest = sum(v.size for v in model.non_trainable_weights)
    optimizer = getattr(model, "optimizer", None) if model.compiled else None
    extra = sum(v.size for v in optimizer.variables) if optimizer and optimizer.built else 0

    def line(title: str, n: int) -> str:
        return f" {title}: {n:,} ({readable_bytes(4 * n)})"

    lines = [
        line("Total params", trained + rest + extra),
        line("Trainable params", trained),
        line("Non-trainable params", rest),
    ]
    return [*lines, line("Optimizer params", extra)] if extra else lines
