"""Open sizes in the arguments of ops, written down: in files and copies of functional models.

A size is an expression over the sizes of the model's inputs, such as twice the number of steps. The
inputs of a loaded model have symbols of their own, so a written size says which axis of which
input's tensor it means. Depends on `_core`, `errors`.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from fastnn._core import Dim
from fastnn.errors import FormatError

__all__ = ["note_sizes", "read_size", "written_size"]

#: The signs between names and whole numbers.
_SIGNS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
}  # fmt: skip
_LONGEST = 2000


def note_sizes(x: Any, call: int, output: int, places: dict[Any, Any]) -> None:
    """Notes in `places`, by their names, the open axes of an input: result `output` of `call`."""
    for axis, size in enumerate(_sizes(x)):
        if isinstance(size, Dim) and size.names == [str(size)]:
            places.setdefault(str(size), [call, output, axis])


def written_size(size: Dim, places: Mapping[Any, Any]) -> str:
    """`size` as text over the axes that `note_sizes` has noted."""
    names = {n: "size_{}_{}_{}".format(*places[n]) for n in size.names if n in places}
    bound = size.bind({n: Dim.named(name) for n, name in names.items()})
    text = str(bound)
    try:
        same = len(names) == len(size.names) and _value(text, Dim.named) == bound
    except FormatError:
        same = False
    if not same:
        raise ValueError(
            f"the size {size} in the arguments of an op cannot be written down\n"
            "  hint: compute it in the `call` of a layer of your own"
        )
    return text


def read_size(text: Any, tensors: Mapping[tuple[Any, ...], Any]) -> Any:
    """The size that `written_size` wrote, over the axes of `tensors`, by call and output."""

    def axis(name: str) -> Any:
        found = re.fullmatch(r"size_(\d+)_(\d+)_(\d+)", name)
        call, output, at = map(int, found.groups()) if found else (-1, -1, -1)
        x = tensors.get((call, output))
        if x is None or at >= x.ndim:
            raise _damaged(name)
        return _sizes(x)[at]

    return _value(text, axis)


def _sizes(x: Any) -> list[Any]:
    return [Dim.named("batch") if d is None else d for d in x.spec.shape]


def _value(text: Any, named: Callable[[str], Any]) -> Any:
    def value(node: ast.AST) -> Any:
        if isinstance(node, ast.Name):
            return named(node.id)
        if isinstance(node, ast.Constant) and type(node.value) is int:
            return node.value
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -value(node.operand)
        if isinstance(node, ast.BinOp) and type(node.op) in _SIGNS:
            return _SIGNS[type(node.op)](value(node.left), value(node.right))
        raise _damaged(text)

    if not isinstance(text, str) or len(text) > _LONGEST:
        raise _damaged(text)
    try:
        return value(ast.parse(text, mode="eval").body)
    except (ValueError, SyntaxError, RecursionError, MemoryError, ArithmeticError) as error:
        raise _damaged(text) from error


def _damaged(text: Any) -> FormatError:
    return FormatError(
        f"a saved model holds the size {str(text)[:80]!r}, wanted an expression of its inputs\n"
        "  hint: the file is damaged: save the model again"
    )
