"""A graph in ONNX as it is written: nodes, constants, and sizes that are computed when it runs.

Depends on `traced`, `errors`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnn.errors import DataError, InternalError
from fastnn.onnx.traced import Value

__all__ = ["TYPES", "Builder"]

#: What ONNX calls the element types: numbers of `TensorProto.DataType`.
TYPES = {
    "float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7, "bool": 9, "float16": 10,
    "bfloat16": 16,
}  # fmt: skip


class Builder:
    """Collects nodes. Its methods give the names of the values that they make."""

    onnx: Any
    opset: int

    def __init__(self, package: Any, opset: int, sizes: list[Any], outer: Builder | None = None):
        self.onnx, self.opset, self._entries, self._outer = package, opset, sizes, outer
        self.nodes: list[Any] = []
        #: Weights and constants by name.
        self.arrays: dict[str, np.ndarray[Any, Any]] = {}
        self._count: list[int] = [0] if outer is None else outer._count
        self._constants: dict[Any, str] = {}
        #: Where a named size is read: value and axis.
        self.places: dict[str, tuple[str, int]] = {}
        self._sizes: dict[int, str] = {}
        #: Numbers in place of the open sizes, for which types are known.
        self.sample: list[int] = [] if outer is None else outer.sample
        #: Numbers of the graph by the names of their constants.
        self.scalars: dict[str, float] = {} if outer is None else outer.scalars
        #: What `x kernel + bias` was made of, by its name: recurrences take the parts.
        self.products: dict[str, tuple[str, str, str]] = {} if outer is None else outer.products
        #: Writes the nodes of a body; set by the writer, which stands above the rows.
        self.translate: Callable[..., list[list[Value]]] = _no_bodies
        if outer is not None:
            self.translate = outer.translate
        self.taken: set[str] = set() if outer is None else outer.taken

    # ---- values ------------------------------------------------------------------------------

    def name(self, stem: str) -> str:
        """A name that nothing else has."""
        while True:
            self._count[0] += 1
            name = f"{stem}_{self._count[0]}"
            if name not in self.taken:
                self.taken.add(name)
                return name

    def nodes_of(self, op: str, inputs: Sequence[str], outputs: int, **attrs: Any) -> list[str]:
        """Adds a node with several outputs."""
        names = [self.name(op) for _ in range(outputs)]
        made = self.onnx.helper.make_node(
            op, list(inputs), names, name=names[0],
            **{k: v for k, v in attrs.items() if v is not None},
        )  # fmt: skip
        self.nodes.append(made)
        return names

    def node(self, op: str, *inputs: str, **attrs: Any) -> str:
        """Adds a node with one output."""
        return self.nodes_of(op, inputs, 1, **attrs)[0]

    def array(self, value: Any, dtype: str) -> str:
        """A constant."""
        a = np.ascontiguousarray(np.asarray(value, dtype=dtype))
        if a.ndim == 0 or np.ndim(value) == 0:
            a = a.reshape(())
        if self._outer is not None:
            return self._outer.array(value, dtype)  # bodies read what lies around them
        key = (a.dtype.str, a.shape, a.tobytes()) if a.size <= 64 else None
        if key not in self._constants or key is None:
            name = self.name("const")
            self.arrays[name] = a
            if key is None:
                return name
            self._constants[key] = name
        return self._constants[key]

    def number(self, value: float, dtype: str = "float32") -> str:
        """A constant without axes."""
        return self.array(value, dtype)

    def ints(self, values: Sequence[int]) -> str:
        """A list of int64, as axes and shapes are."""
        return self.array(np.asarray(list(values), np.int64).reshape(-1), "int64")

    def cast(self, x: Value, dtype: str) -> str:
        """The value as another type."""
        return x.name if x.dtype == dtype else self.node("Cast", x.name, to=TYPES[dtype])

    def number_like(self, x: Value) -> Value:
        """The value as the type that it is computed with: storage types become float32, int32."""
        wide = {"bfloat16": "float32", "float16": "float32", "int8": "int32", "uint8": "int32"}
        dtype = wide.get(x.dtype, x.dtype)
        return x if dtype == x.dtype else Value(self.cast(x, dtype), x.shape, dtype)

    def with_axes(self, op: str, x: str, axes: Sequence[int], since: int = 13, **a: Any) -> str:
        """A node whose axes are an input from opset `since` on and an attribute before."""
        if self.opset >= since:
            return self.node(op, x, self.ints(axes), **a)
        return self.node(op, x, axes=list(axes), **a)

    # ---- shapes that open sizes depend on ------------------------------------------------------

    def is_open(self, size: Any) -> bool:
        """Whether a size of an attribute is known only when the graph runs."""
        return isinstance(size, dict)

    def size(self, size: Any) -> str:
        """A size as a list of one int64."""
        if not self.is_open(size):
            return self.ints([int(size)])
        if self._outer is not None:
            return self._outer.size(size)
        at = size["size"]
        if at not in self._sizes:
            self._sizes[at] = self._entry(self._entries[at])
        return self._sizes[at]

    def _entry(self, entry: Any) -> str:
        if isinstance(entry, str):
            if entry not in self.places:
                raise DataError(
                    f"export: the size {entry!r} is that of no axis of an input\n"
                    "  hint: give the sizes of the inputs as numbers"
                )
            name, axis = self.places[entry]
            return self.node("Shape", name, start=axis, end=axis + 1)
        ((kind, parts),) = entry.items()
        if kind == "sum":
            terms = []
            for times, *factors in parts:
                product = self.ints([times])
                for k in factors:
                    other = self.size({"size": k})
                    product = other if product == self.ints([1]) else self.node(
                        "Mul", product, other
                    )  # fmt: skip
                terms.append(product)
            total = terms[0] if terms else self.ints([0])
            for term in terms[1:]:
                total = self.node("Add", total, term)
            return total
        a, b = map(self.size, parts)
        if kind == "floordiv":  # ONNX's division truncates, which differs below zero
            return self.node("Div", self.node("Sub", a, self.node("Mod", a, b)), b)
        if kind == "broadcast":  # one of them is 1, or they are equal
            return self.node("Where", self.node("Equal", a, self.ints([1])), b, a)
        op = {"max": "Max", "min": "Min", "plus": "Add", "times": "Mul"}[kind]
        return self.node(op, a, b)

    def shape(self, sizes: Sequence[Any], minus_one: bool = False) -> str:
        """A shape as a list of int64; with `minus_one` a single open size is left to ONNX."""
        open_at = [i for i, d in enumerate(sizes) if self.is_open(d)]
        if not open_at:
            return self.ints([int(d) for d in sizes])
        if minus_one and len(open_at) == 1 and 0 not in sizes and -1 not in sizes:
            return self.ints([-1 if self.is_open(d) else int(d) for d in sizes])
        parts: list[str] = []
        known: list[int] = []
        for d in sizes:
            if self.is_open(d):
                parts += [self.ints(known)] if known else []
                parts.append(self.size(d))
                known = []
            else:
                known.append(int(d))
        parts += [self.ints(known)] if known else []
        return parts[0] if len(parts) == 1 else self.node("Concat", *parts, axis=0)


def _no_bodies(*_: Any) -> list[list[Value]]:
    raise InternalError("export: no writer of bodies is set\n  hint: please report it")
