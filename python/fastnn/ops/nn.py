"""What networks are made of besides rows: encodings, ranks, losses of logits and probabilities."""

from __future__ import annotations

from fastnn import _core
from fastnn._core import Tensor
from fastnn.config import epsilon
from fastnn.ops import rows
from fastnn.ops.convert import TensorLike, cast, convert_to_tensor, ndim
from fastnn.ops.elements import clip
from fastnn.ops.linalg import norm, scale_of_squares
from fastnn.ops.reduce import sum
from fastnn.ops.shapes import moveaxis, squeeze
from fastnn.symbolic import keras_op

__all__ = [
    "binary_crossentropy",
    "categorical_crossentropy",
    "gelu",
    "normalize",
    "one_hot",
    "sparse_categorical_crossentropy",
]

_c = _core.ops


def gelu(x: TensorLike, approximate: bool = True) -> Tensor:
    """X Φ(x), by tanh unless `approximate=False`; `activations.gelu` is exact unless told."""
    # The row, so that the graph of a model notes the argument: files read it by another default.
    return rows.gelu(x, approximate=approximate)


@keras_op
def one_hot(x: TensorLike, num_classes: int, axis: int = -1, dtype: str = "float32") -> Tensor:
    """Rows with a one at the place that `x` names."""
    out = _c.one_hot(cast(x, "int32"), num_classes=num_classes)
    if axis not in (-1, ndim(x)):
        out = moveaxis(out, -1, axis)
    return cast(out, dtype)


@keras_op
def normalize(
    x: TensorLike, axis: int = -1, order: int = 2, epsilon: float | None = None
) -> Tensor:
    """`x` divided by its norm along `axis`."""
    eps = epsilon if epsilon is not None else 1e-12
    if order == 2:
        x = convert_to_tensor(x, "float32")
        scale = scale_of_squares(x, axis)
        scaled, least = x * scale, eps * scale
        total = sum(_c.square(scaled), axis=axis, keepdims=True)
        unit = scaled * _c.rsqrt(_c.maximum(total, _c.square(_c.minimum(least, 1e18))))
        return _c.where(least < 1e18, unit, x / eps)
    return x / _c.maximum(norm(x, order, axis, True), eps)


# ---- losses of logits and probabilities ------------------------------------------------------


@keras_op
def binary_crossentropy(
    target: TensorLike, output: TensorLike, from_logits: bool = False
) -> Tensor:
    """-t log p - (1-t) log(1-p) per element; p is clipped to [1e-7, 1 - 1e-7]."""
    target, output = convert_to_tensor(target, "float32"), convert_to_tensor(output, "float32")
    if from_logits:
        return _c.sigmoid_cross_entropy(target, output)
    output = clip(output, epsilon(), 1.0 - epsilon())
    return -(target * _c.log(output) + (1.0 - target) * _c.log(1.0 - output))


def _log_probabilities(output: Tensor, axis: int) -> Tensor:
    output = output / sum(output, axis=axis, keepdims=True)
    return _c.log(clip(output, epsilon(), 1.0 - epsilon()))


@keras_op
def categorical_crossentropy(
    target: TensorLike, output: TensorLike, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """-sum t log p over `axis`; probabilities are divided by their sum, then clipped."""
    target, output = convert_to_tensor(target, "float32"), convert_to_tensor(output, "float32")
    logs = _c.log_softmax(output, axis=axis) if from_logits else _log_probabilities(output, axis)
    return -sum(target * logs, axis=axis)


@keras_op
def sparse_categorical_crossentropy(
    target: TensorLike, output: TensorLike, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """-log p[target] over the last axis; integer targets of shape (…) or (…, 1)."""
    target, output = cast(target, "int32"), convert_to_tensor(output, "float32")
    if ndim(target) == ndim(output) and target.shape[-1] == 1:
        target = squeeze(target, -1)
    if axis not in (-1, ndim(output) - 1):
        output = moveaxis(output, axis, -1)
    if from_logits:
        return _c.sparse_softmax_cross_entropy(output, target)
    picked = one_hot(target, output.shape[-1])
    return -sum(picked * _log_probabilities(output, -1), axis=-1)
