"""What flows between the nodes of an ONNX graph, and how much of it there may be.

A value is a NumPy array where it is known and of a type that fastnn does not compute with, or small
and needed while the graph is read (shapes, axes); a tensor otherwise; a list for a sequence, None
for an optional value that is missing. Depends on `ops`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from fastnn import ops
from fastnn._core import Dim, Tensor
from fastnn.errors import DataError, FormatError, ShapeError
from fastnn.onnx.graph import Node
from fastnn.tracing.variables import current_scope

__all__ = [
    "MOST_ELEMENTS",
    "Call",
    "check_size",
    "dtype_of",
    "host",
    "is_known",
    "like",
    "ndim",
    "shape",
    "tensor",
    "traced",
]  # fmt: skip

#: Elements of one value that a file may ask for beyond what its inputs and weights hold.
MOST_ELEMENTS = 1 << 28


def check_size(sizes: Iterable[Any], what: str) -> None:
    """Refuses sizes that no file should ask for, before anything is allocated."""
    known = [d for d in sizes if isinstance(d, int | np.integer)]
    if any(d < 0 for d in known):
        raise ShapeError(f"{what}: the shape {known} has a negative size\n  hint: damaged file?")
    if math.prod(int(d) for d in known) > MOST_ELEMENTS:
        raise ShapeError(
            f"{what}: a value of shape {known} has more than {MOST_ELEMENTS:,} elements\n"
            "  hint: is the file damaged, or was it made to exhaust memory?"
        )


def is_known(x: Any) -> bool:
    """Whether this is an array, not a tensor of the engine."""
    return isinstance(x, np.ndarray)


def traced(x: Any) -> bool:
    """Whether this is a tensor whose numbers are not known, or are those of weights in a trace."""
    return isinstance(x, Tensor) and (x.is_traced or current_scope() is not None)


def shape(x: Any) -> tuple[Any, ...]:
    """The sizes of a value; open ones are `Dim`s."""
    if isinstance(x, Tensor):
        return tuple(Dim.named("batch") if d is None else d for d in x.shape)
    return tuple(np.shape(x))


def ndim(x: Any) -> int:
    """The number of axes."""
    return len(x.shape)


def dtype_of(x: Any) -> str:
    """The name of the element type."""
    return str(x.dtype)


def tensor(x: Any) -> Any:
    """The value as a tensor that the engine computes with: float32, int32 or bool."""
    if isinstance(x, Tensor):
        return x
    if isinstance(x, list) or x is None:
        raise DataError(
            "a sequence or a missing value is no tensor\n  hint: call the model on arrays"
        )
    a = np.asarray(x)
    if a.dtype == np.bool_ or a.dtype == np.float32:
        return ops.convert_to_tensor(np.ascontiguousarray(a).reshape(a.shape))
    if a.dtype == object:
        return _of_sizes(a)
    if a.dtype.kind in "iu":
        if a.size and (a.max() > 2**31 - 1 or a.min() < -(2**31)):
            raise DataError(
                "a whole number does not fit 32 bits, which fastnn computes with\n"
                "  hint: call the model on arrays, where whole numbers stay as they are"
            )
        a = a.astype(np.int32)
    elif a.dtype.kind in "OUSc":
        raise DataError(f"{a.dtype} is no type to compute with\n  hint: numbers or truth values")
    else:
        a = a.astype(np.float32)
    return ops.convert_to_tensor(np.ascontiguousarray(a).reshape(a.shape))


def _of_sizes(a: np.ndarray[Any, Any]) -> Any:
    """Sizes, of which some are open, as a tensor."""
    if a.dtype == object and any(isinstance(v, str | bytes) for v in a.flat):
        raise DataError("text is no type to compute with\n  hint: numbers or truth values")
    parts = [ops.axis_size(v) if isinstance(v, Dim) else tensor(np.int32(v)) for v in a.flat]
    if a.ndim == 0:
        return parts[0]
    return ops.reshape(ops.stack(parts), a.shape)


def host(x: Any, what: str = "an input") -> Any:
    """The value as an array; TraceError-like refusal when it is computed from data of a trace."""
    if isinstance(x, Tensor):
        if traced(x):
            raise DataError(
                f"{what} is computed from the model's inputs, but has to be known when the graph "
                "is read\n  hint: call the model on arrays, where every value is known"
            )
        return np.asarray(x)
    return np.asarray(x)


def like(result: Any, x: Any) -> Any:
    """A result that the engine computed, as the type of an operand that it does not know."""
    if isinstance(x, np.ndarray) and isinstance(result, Tensor) and not traced(result):
        a = np.asarray(result)
        return a if a.dtype == x.dtype else a.astype(x.dtype)
    return result


class Call:
    """One call of a node: its attributes, opset, and the runner for graphs inside it."""

    node: Node
    opset: int
    outputs: int
    runner: Any

    __slots__ = ("node", "opset", "outputs", "runner")

    def __init__(self, node: Node, opset: int, runner: Any) -> None:
        self.node, self.opset, self.runner = node, opset, runner
        self.outputs = len(node.outputs)

    def attr(self, name: str, default: Any = None) -> Any:
        """An attribute, or the default."""
        return self.node.attrs.get(name, default)

    def ints(self, name: str, default: Any = None) -> Any:
        """A list of whole numbers, or the default."""
        value = self.node.attrs.get(name)
        return default if value is None else [int(v) for v in value]

    @property
    def where(self) -> str:
        """What messages call the node."""
        return self.node.label

    def type_in_file(self, x: Any) -> str:
        """The element type of a value in the file, where a trace has int32 for narrower ones."""
        return self.runner.runner.narrow.kind(x) or dtype_of(x)

    def narrow(self, x: Any, name: str) -> Any:
        """A tensor that is noted to stand for a narrower type in the file."""
        self.runner.runner.narrow.note(x, name)
        return x

    def wrong(self, what: str, hint: str = "damaged file?") -> FormatError:
        """The error for a node that says something impossible."""
        return FormatError(f"{self.where}: {what}\n  hint: {hint}")

    def host(self, x: Any, what: str) -> Any:
        """An input that has to be known when the graph is read."""
        return host(x, f"{self.where}: its input {what!r}")

    def list(self, x: Any, what: str) -> list[Any]:
        """A short known list, as of axes or sizes; sizes may be open."""
        found = self.host(x, what).reshape(-1)
        if found.size > 65_536:
            raise self.wrong(f"its input {what!r} has {found.size} numbers")
        return [v if isinstance(v, Dim) else int(v) for v in found]

    def check(self, sizes: Iterable[Any]) -> None:
        """Refuses sizes beyond all reason."""
        check_size(sizes, self.where)

    def axis(self, axis: int, rank: int) -> int:
        """An axis, counted from the front."""
        if not -rank <= axis < max(rank, 1):
            raise self.wrong(f"axis {axis} of a value of {rank} axes")
        return axis % rank if rank else 0

    def engine(self, f: Callable[..., Any], *xs: Any) -> Any:
        """A function of tensors, with the result in the type of the first operand."""
        found = f(*(None if x is None else tensor(x) for x in xs))
        if all(x is None or is_known(x) for x in xs) and not found.is_traced:
            return np.asarray(found).astype(xs[0].dtype)
        return like(found, xs[0])

    def on_arrays(self, f: Callable[..., Any], *xs: Any, names: Sequence[str] = ()) -> Any:
        """A function of arrays, for nodes that need all numbers."""
        label = dict(enumerate(names))
        return f(*(None if x is None else self.host(x, label.get(i, str(i)))
                   for i, x in enumerate(xs)))  # fmt: skip
