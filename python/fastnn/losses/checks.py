"""Shapes that losses and metrics are given. Depends on `ops`."""

from __future__ import annotations

from typing import Any

from fastnn import ops
from fastnn.base.typing import TensorLike
from fastnn.errors import ShapeError
from fastnn.tracing.symbolic import known_size

__all__ = [
    "broadcasts",
    "check_alike",
    "check_same_shape",
    "check_sparse",
    "class_numbers",
    "float_pair",
    "squeeze_or_expand_to_same_rank",
]


def squeeze_or_expand_to_same_rank(
    x1: TensorLike, x2: TensorLike, expand_rank_1: bool = True
) -> tuple[Any, Any]:
    """Brings (n,) and (n, 1) to one rank, as Keras does before losses and metrics."""
    r1, r2 = ops.ndim(x1), ops.ndim(x2)
    if r1 == r2:
        return x1, x2
    if r1 == r2 + 1 and x1.shape[-1] == 1:
        if r2 == 1 and expand_rank_1:
            return x1, ops.expand_dims(x2, axis=-1)
        return ops.squeeze(x1, -1), x2
    if r2 == r1 + 1 and x2.shape[-1] == 1:
        if r1 == 1 and expand_rank_1:
            return ops.expand_dims(x1, axis=-1), x2
        return x1, ops.squeeze(x2, -1)
    return x1, x2


def float_pair(y_true: TensorLike, y_pred: TensorLike, alike: bool = False) -> tuple[Any, Any]:
    """Both as floats of one rank, of broadcastable shapes or, when `alike`, of equal ones."""
    y_pred = ops.convert_to_tensor(y_pred, "float32")
    y_true = ops.convert_to_tensor(y_true, "float32")
    y_true, y_pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
    _check_shapes(y_true, y_pred, alike)
    return y_true, y_pred


def _check_shapes(y_true: TensorLike, y_pred: TensorLike, alike: bool = False) -> None:
    check_same_shape(tuple(y_true.shape), tuple(y_pred.shape), (None,) if alike else (None, 1))


def check_alike(y_true: TensorLike, y_pred: TensorLike) -> None:
    """ShapeError unless y and p have the same shape, as far as it is known."""
    _check_shapes(y_true, y_pred, alike=True)


def check_same_shape(a: tuple[Any, ...], b: tuple[Any, ...], free: tuple[Any, ...]) -> None:
    """ShapeError unless the shapes are equal; a size of either in `free` may differ."""
    if len(a) == len(b) and all(_agree(m, n, 1 in free) for m, n in zip(a, b, strict=True)):
        return
    raise ShapeError(
        f"y has shape {a}, the model gives {b}; they must have the same shape\n"
        f"  hint: {_shape_hint(a, b)}"
    )


def _agree(m: Any, n: Any, stretched: bool) -> bool:
    """Whether two sizes are equal, as far as they are known; 1 is if it may be `stretched`."""
    if stretched and any(type(d) is int and d == 1 for d in (m, n)):
        return True  # before an open size is read: a trace serves only the sizes that it has read
    if m == n:
        return True
    m, n = known_size(m), known_size(n)
    return m is None or n is None or m == n or (stretched and 1 in (m, n))


def broadcasts(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    """Whether shapes of one rank are equal, as far as they are known, but for sizes 1."""
    return len(a) == len(b) and all(_agree(m, n, True) for m, n in zip(a, b, strict=True))


def _shape_hint(a: tuple[Any, ...], b: tuple[Any, ...]) -> str:
    if len(a) < len(b) or (a and a[-1] == 1):
        return (
            f"for class numbers as y use loss='sparse_categorical_crossentropy'; "
            f"else end the model with {a[-1] if len(a) > 1 else 1} unit(s)"
        )
    if len(b) > 1 and len(a) > 1:
        return f"end the model with Dense({a[-1]}), or give y of shape {('n', *b[1:])}".replace(
            "'n'", "n"
        )
    return f"give y the shape {b}"


def class_numbers(y_true: TensorLike, y_pred: TensorLike) -> Any:
    """Class numbers of shape (…), of (…) or (…, 1)."""
    y = ops.cast(y_true, "int32")
    return ops.squeeze(y, -1) if ops.ndim(y) == ops.ndim(y_pred) and y.shape[-1] == 1 else y


def check_sparse(
    y_true: TensorLike, y_pred: TensorLike, who: str = "sparse_categorical_crossentropy"
) -> None:
    """ShapeError unless y has a class number for every row of scores in p; `who` wants that."""
    a, b = tuple(y_true.shape), tuple(y_pred.shape)
    if len(a) + 1 != len(b) or not all(_agree(m, n, False) for m, n in zip(a, b[:-1], strict=True)):
        hint = (
            "y looks one-hot: use loss='categorical_crossentropy'"
            if len(a) == len(b) and a[-1] == b[-1]
            else f"y of class numbers has shape {b[:-1]}"
        )
        raise ShapeError(
            f"y has shape {a}, the model gives {b}: {who} wants class numbers of shape {b[:-1]}\n"
            f"  hint: {hint}"
        )
