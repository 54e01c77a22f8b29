"""The table that `model.summary()` prints, in Keras's layout. Depends on `symbolic`.

Keras prints through the library rich; widths and line breaks here follow rich's rules for a table
of fixed columns, so that both tables are the same text.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastnn.base import tree
from fastnn.base.messages import escaped
from fastnn.tracing.symbolic import OpCall

__all__ = ["layer_kind", "summary"]


@dataclass
class Layout:
    """What the table shows: its length, relative ends of columns, and which rows and columns."""

    line_length: int | None = None
    positions: Any = None
    nested: bool = False
    trainable: bool = False
    layer_range: Any = None
    #: Seconds by the path of a layer; None: no column of times.
    times: dict[str, float] | None = None
    #: Lines on the memory of a device.
    memory: Sequence[str] = ()


def summary(model: Any, layout: Layout) -> str:
    """Layers, output shapes and weights as a boxed table with totals."""
    connected = model.model_kind == "functional" and _branches(model)
    columns = ["Layer (type)", "Output Shape", "Param #"]
    columns += ["Connected to"] if connected else []
    columns += ["Trainable"] if layout.trainable else []
    columns += ["Time"] if layout.times is not None else []
    sizes = _sizes(layout, connected)
    lines = [
        f'Model: "{escaped(model.name)}"',
        *_table(columns, _rows(model, layout, connected), sizes),
    ]
    unbuilt = [] if model.built else [
        "  hint: not built yet: start it with Input(shape=...), call build, or fit it first."
    ]  # fmt: skip
    return "\n".join([*lines, *_totals(model), *layout.memory, *unbuilt])


def _sizes(layout: Layout, connected: bool) -> list[int]:
    """Characters of text in each column."""
    ends = list(layout.positions or ([0.3, 0.56, 0.74, 1.0] if connected else [0.45, 0.80, 1.0]))
    length = 108 if connected else 88
    if layout.trainable:
        length += 12
        ends = [0.90 * end for end in ends] + [1.0]
    if layout.times is not None:
        length += 12
        ends = [(1 - 12 / length) * end for end in ends] + [1.0]
    length = layout.line_length or min(length, shutil.get_terminal_size().columns - 4)
    sizes, start = [], 0
    for end in ends:
        sizes.append(int(end * length) - start)
        if sizes[-1] < 4:
            raise ValueError(
                f"summary: a line of {length} characters with columns ending at {ends} leaves "
                f"{sizes[-1]} for a column, wanted at least 4\n  hint: summary(line_length=88)"
            )
        start += sizes[-1]
    widths = [size + 2 for size in sizes]
    excess = sum(widths) + len(widths) + 1 - length
    for k in range(len(widths)):
        less = min(widths[k], round(excess / (len(widths) - k)))
        widths[k] -= less
        excess -= less
    return [width - 2 for width in widths]


def _branches(model: Any) -> bool:
    """Whether the graph is more than a chain: then the table says what is connected to what."""
    nodes = model._layer_graph.calls
    called = [id(n.operation) for n in nodes]
    read = [id(x) for n in nodes for x in n.inputs]
    return (
        any(len(n.inputs) > 1 for n in nodes)
        or len(model.inputs) > 1
        or len(set(called)) < len(called)
        or len(set(read)) < len(read)
    )


def _rows(model: Any, layout: Layout, connected: bool) -> list[list[str]]:
    layers = model._layer_graph.operations if model.model_kind == "functional" else model.layers
    first, last = _bounds(layers, layout.layer_range)
    rows: list[list[str]] = []
    for layer in layers[first:last]:
        _add_rows(rows, layer, "", (model, layout, connected))
    return rows


def _add_rows(rows: list[list[str]], layer: Any, prefix: str, of: tuple[Any, Layout, bool]) -> None:
    model, layout, connected = of
    weights = getattr(layer, "weights", [])
    count = f"{sum(v.size for v in weights):,}" if getattr(layer, "built", True) else "0 (unbuilt)"
    row = [
        f"{prefix}{escaped(layer.name)} ({layer_kind(layer)})",
        _output_shape(layer, model),
        count,
    ]
    if connected:
        row.append(_connections(layer, model))
    if layout.trainable:
        row.append(("Y" if layer.trainable else "N") if weights else "-")
    if layout.times is not None:
        row.append(_time_of(layer, layout.times))
    rows.append(row)
    if layout.nested:
        inner = "   " * (prefix.count("   ") + 1) + "└ "
        for sub in getattr(layer, "layers", []):
            _add_rows(rows, sub, inner, of)


def _time_of(layer: Any, times: dict[str, float]) -> str:
    """The time of all calls of a layer, which is the last part of the paths."""
    found = [t for path, t in times.items() if path.rpartition("/")[2] == layer.name]
    if not found:
        return "-"
    total = sum(found)
    return f"{total * 1e3:.3g} ms" if total >= 1e-3 else f"{total * 1e6:.3g} us"


def _bounds(layers: list[Any], layer_range: Any) -> tuple[int, int]:
    """First and last row for the two layer names, or patterns of names, of `layer_range`."""
    if layer_range is None:
        return 0, len(layers)
    if (
        not isinstance(layer_range, list | tuple)
        or len(layer_range) != 2
        or not all(isinstance(name, str) for name in layer_range)
    ):
        raise ValueError(
            f"summary: layer_range is {layer_range!r}, wanted two layer names\n"
            "  hint: layer_range=('dense', 'dense_2')"
        )
    found = [
        [i for i, layer in enumerate(layers) if re.match(name, layer.name)] for name in layer_range
    ]
    if not all(found):
        raise ValueError(
            f"summary: layer_range {layer_range!r} names no layer of {[x.name for x in layers]}\n"
            "  hint: two names of them, or patterns"
        )
    low, high = found
    if min(low) > max(high):
        return min(high), max(low) + 1
    return min(low), max(high) + 1


def layer_kind(layer: Any) -> str:
    """What a layer or op is: its class, or the name of the op."""
    if isinstance(layer, OpCall):
        return "".join(part.capitalize() for part in layer.op_name.split("_"))
    return type(layer).__name__


def _output_shape(layer: Any, model: Any) -> str:
    nodes = getattr(layer, "_call_nodes", None)
    if not nodes and model.model_kind == "functional":
        nodes = model._layer_graph.calls_of(layer)
    if nodes:
        shapes = tree.map_structure(lambda x: _shape(x.shape), nodes[-1].outputs)
    else:
        shapes = _shapes_when_built(layer)
    leaves = tree.flatten(shapes)
    return str(leaves[0]) if len(leaves) == 1 else str(shapes).replace("'", "")


def _shapes_when_built(layer: Any) -> Any:
    """Shapes for the input that a layer of fastnn was built for, `?` where nothing is known."""
    if getattr(layer, "_functional", None) is not None or hasattr(layer, "_layer_graph"):
        return _shape(layer.output_shape)
    given = getattr(layer, "_build_config", None)
    if not given or not type(layer).__module__.startswith("fastnn.layers."):
        return "?"
    shapes = given.get("shapes_dict") or {"input_shape": given["input_shape"]}
    out = layer.compute_output_shape(*shapes.values())
    return _shape(out) if all(d is None or isinstance(d, int) for d in out) else str(out)


def _shape(shape: Any) -> str:
    return f"({', '.join(str(d) for d in shape)})"


def _connections(layer: Any, model: Any) -> str:
    found = []
    for node in model._layer_graph.calls:
        if node.operation is layer:
            for x in node.inputs:
                maker = x.node.operation
                turn = next(
                    (i for i, n in enumerate(getattr(maker, "_call_nodes", [])) if n is x.node), 0
                )
                found.append(f"{escaped(maker.name)}[{turn}][{x.index}]")
    return ", ".join(found) or "-"


def _wrap(text: str, size: int) -> list[str]:
    """The text in lines of at most `size`: broken between words, a longer word cut short."""
    breaks, used = [0], 0
    for word in re.finditer(r"\s*\S+\s*", text):
        length = len(word[0].rstrip())
        if size - used >= length:
            used += len(word[0])
        elif (used or length > size) and word.start():
            breaks.append(word.start())
            used = len(word[0])
        elif length > size:
            used = len(word[0])
    lines = [text[a:b].rstrip() for a, b in zip(breaks, [*breaks[1:], None], strict=True)]
    return [line if len(line) <= size else line[: size - 1] + "…" for line in lines]


def _table(columns: list[str], rows: list[list[str]], sizes: list[int]) -> list[str]:
    def rule(left: str, line: str, middle: str, right: str) -> str:
        return left + middle.join(line * (s + 2) for s in sizes) + right

    def cells(row: list[str], bar: str) -> list[str]:
        wrapped = [_wrap(c, s) for c, s in zip(row, sizes, strict=True)]
        height = max(len(w) for w in wrapped)
        out = []
        for i in range(height):
            parts = []
            for title, w, s in zip(columns, wrapped, sizes, strict=True):
                text = w[i] if i < len(w) else ""
                left = (s - len(text)) // 2 if title == "Trainable" else 0
                text = text.rjust(s) if title == "Param #" else (" " * left + text).ljust(s)
                parts.append(f" {text} ")
            out.append(bar + bar.join(parts) + bar)
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
