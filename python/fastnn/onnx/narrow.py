"""Whole numbers of 8 and 16 bits in a trace, where the engine has int32 in their place.

Depends on `values`.
"""

from __future__ import annotations

from typing import Any

from fastnn import ops
from fastnn._core import Tensor
from fastnn.onnx.graph import ELEMENTS, Node
from fastnn.onnx.values import dtype_of, is_known, traced

__all__ = ["Narrow"]

_BITS = {"int8": 8, "uint8": 8, "int16": 16, "uint16": 16}

#: Ops whose results may lie outside of the type of their first input, and then wrap around.
_LEAVING = frozenset((
    "Abs", "Add", "BitShift", "BitwiseNot", "Cast", "CastLike", "CumProd", "CumSum", "Div",
    "Einsum", "Gemm", "MatMul", "Mul", "Neg", "Pow", "ReduceL1", "ReduceProd", "ReduceSum",
    "ReduceSumSquare", "ScatterElements", "ScatterND", "Sub", "Sum",
))  # fmt: skip

#: Ops whose first result has another type than their first input.
_OTHER = frozenset((
    "ArgMax", "ArgMin", "Bernoulli", "BitCast", "ConvInteger", "DequantizeLinear", "EyeLike", "If",
    "Loop", "MatMulInteger", "Multinomial", "NonZero", "OneHot", "RandomNormalLike",
    "RandomUniformLike", "Scan", "Shape", "Size",
))  # fmt: skip

#: Ops that note what they give.
_NOTING = frozenset(("DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "QuantizeLinear"))


class Narrow:
    """Which tensors of a trace stand for narrower whole numbers."""

    def __init__(self) -> None:
        self._kinds: dict[int, tuple[Tensor, str]] = {}  # the tensors, so that no number is reused

    def note(self, x: Any, name: str | None) -> None:
        """Says what a value is in the file."""
        if name in _BITS and isinstance(x, Tensor) and dtype_of(x) == "int32" and traced(x):
            self._kinds[id(x)] = (x, name)

    def kind(self, x: Any) -> str | None:
        """The narrow type of a value in the file, or None."""
        if is_known(x):
            name = str(x.dtype)
            return name if name in _BITS else None
        return self._kinds.get(id(x), (None, None))[1]

    def results(self, node: Node, inputs: list[Any], made: tuple[Any, ...]) -> tuple[Any, ...]:
        """The results of a node, wrapped around where their type in the file is too narrow."""
        if (
            node.domain
            or node.op in _OTHER | _NOTING
            or not any(isinstance(x, Tensor) for x in made)
        ):
            return made
        if node.op == "Cast":
            name = ELEMENTS.get(int(node.attrs.get("to", 0)))
        else:
            place = 1 if node.op in ("CastLike", "Where") else 0
            name = self.kind(inputs[place]) if len(inputs) > place else None
        if name not in _BITS:
            # A type that is int32 here as well may have given the tensor itself.
            return tuple(x + 0 if id(x) in self._kinds else x for x in made)
        found = list(made)
        for i in range(len(found) if node.op == "Split" else 1):
            x = found[i]
            if not isinstance(x, Tensor) or dtype_of(x) != "int32" or not traced(x):
                continue
            if node.op in _LEAVING:
                low = 0 if name[0] == "u" else -(1 << (_BITS[name] - 1))
                found[i] = ops.mod(x - low, 1 << _BITS[name]) + low
            self.note(found[i], name)
        return tuple(found)
