"""Losses of classes and shares: functions of (y, p) that give one number per sample."""

from __future__ import annotations

import math
import warnings
from typing import Any

from fastnn import _core, ops
from fastnn._core import Tensor
from fastnn.base.arguments import hints_arguments
from fastnn.base.typing import TensorLike
from fastnn.config import epsilon
from fastnn.losses.checks import (
    _check_shapes,
    check_sparse,
    class_numbers,
    float_pair,
)
from fastnn.losses.targets import wants
from fastnn.tracing.call_context import set_mask
from fastnn.tracing.ranks import current_step
from fastnn.tracing.symbolic import keras_op

__all__ = [
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy",
    "circle",
    "dice",
    "nll",
    "sparse_categorical_crossentropy",
    "tversky",
]

_c = _core.ops


@keras_op
@wants("binary")
def binary_crossentropy(
    y_true: TensorLike,
    y_pred: TensorLike,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """mean(-y log p - (1 - y) log(1 - p)) over `axis`; p is cut to [1e-7, 1 - 1e-7].

    Args:
        y_true: Labels from 0 to 1, of the shape of `y_pred`.
        y_pred: Predictions: (…, values).
        from_logits: Whether predictions are logits, before sigmoid or softmax.
        label_smoothing: Moves labels this share of the way to even odds, from 0 to 1.
        axis: The axis of the classes.

    Returns:
        One number a sample: the shape without `axis`.

    Raises:
        DataError: A label lies outside 0 to 1.

    Example:
        >>> y, p = np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])
        >>> fastnn.losses.binary_crossentropy(y, p).numpy().round(4)
        array([0.6931], dtype=float32)
    """
    y_true, y_pred = float_pair(y_true, y_pred, alike=True)
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    return ops.mean(ops.binary_crossentropy(y_true, y_pred, from_logits), axis=axis)


@keras_op
@wants("share")
def categorical_crossentropy(
    y_true: TensorLike,
    y_pred: TensorLike,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """-sum(y log p) over `axis`; p is divided by its sum, then cut.

    Args:
        y_true: One-hot labels or probabilities, of the shape of `y_pred`.
        y_pred: Predictions: (…, values).
        from_logits: Whether predictions are logits, before sigmoid or softmax.
        label_smoothing: Moves labels this share of the way to even odds, from 0 to 1.
        axis: The axis of the classes.

    Returns:
        One number a sample: the shape without `axis`.

    Example:
        >>> y, p = np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]])
        >>> fastnn.losses.categorical_crossentropy(y, p).numpy().round(4)
        array([0.6931], dtype=float32)
    """
    y_true = ops.convert_to_tensor(y_true, "float32")
    y_pred = ops.convert_to_tensor(y_pred, "float32")
    if y_pred.shape[-1] == 1:
        warnings.warn(
            f"categorical_crossentropy over one class is always 0: y_pred has shape "
            f"{tuple(y_pred.shape)}; use binary_crossentropy",
            SyntaxWarning,
            stacklevel=2,
        )
    _check_shapes(y_true, y_pred, alike=True)
    if label_smoothing:
        classes = y_pred.shape[axis]
        y_true = y_true * (1.0 - label_smoothing) + label_smoothing / classes
    return ops.categorical_crossentropy(y_true, y_pred, from_logits, axis)


@keras_op
@wants("number")
def sparse_categorical_crossentropy(
    y_true: TensorLike,
    y_pred: TensorLike,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Tensor:
    """-log p[y], for labels that are class numbers.

    Args:
        y_true: Class numbers of shape (…) or (…, 1).
        y_pred: Probabilities or logits (…, classes).
        from_logits: Whether predictions are logits, before sigmoid or softmax.
        ignore_class: A label whose positions have loss 0, such as -1.
        axis: The axis of the classes.

    Returns:
        One number a sample: the shape of `y_pred` without `axis`.

    Raises:
        DataError: A label is no class of the predictions.

    Example:
        >>> y, p = np.array([1]), np.array([[0.5, 0.5]])
        >>> fastnn.losses.sparse_categorical_crossentropy(y, p).numpy().round(4)
        array([0.6931], dtype=float32)
    """
    from fastnn.ops.nn import loss_of_classes  # here, as other losses do without that family

    y_pred = ops.convert_to_tensor(y_pred, "float32")
    y_true = class_numbers(y_true, y_pred)
    check_sparse(y_true, y_pred)
    scores = y_pred if axis in (-1, ops.ndim(y_pred) - 1) else ops.moveaxis(y_pred, axis, -1)
    if ignore_class is None:
        return loss_of_classes(y_true, scores, from_logits)
    keep = ops.not_equal(y_true, ignore_class)
    safe = _c.where(keep, y_true, ops.zeros_like(y_true))
    values = loss_of_classes(safe, scores, from_logits)
    values = _c.where(keep, values, 0.0)
    set_mask(values, keep)
    return values


@keras_op
@wants("binary")
def binary_focal_crossentropy(
    y_true: TensorLike,
    y_pred: TensorLike,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Binary cross-entropy times (1 - p of the truth)^gamma. Source: Lin et al. 2017.

    Args:
        y_true: Labels from 0 to 1, of the shape of `y_pred`.
        y_pred: Predictions: (…, values).
        apply_class_balancing: Whether positives weigh `alpha` and negatives 1 - alpha.
        alpha: The weight of positives, from 0 to 1.
        gamma: How strongly easy samples are turned down; 0 gives the cross-entropy.
        from_logits: Whether predictions are logits, before sigmoid or softmax.
        label_smoothing: Moves labels this share of the way to even odds, from 0 to 1.
        axis: The axis of the classes.

    Returns:
        One number a sample: the shape without `axis`.

    Example:
        >>> y, p = np.array([[1.0]]), np.array([[0.5]])
        >>> fastnn.losses.binary_focal_crossentropy(y, p).numpy().round(4)
        array([0.1733], dtype=float32)
    """
    y_true, y_pred = float_pair(y_true, y_pred)
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    if from_logits:
        y_pred = _c.sigmoid(y_pred)
    values = ops.binary_crossentropy(y_true, y_pred)
    truth = y_true * y_pred + (1.0 - y_true) * (1.0 - y_pred)
    values = _c.power(1.0 - truth, gamma) * values
    if apply_class_balancing:
        values = (y_true * alpha + (1.0 - y_true) * (1.0 - alpha)) * values
    return ops.mean(values, axis=axis)


@keras_op
@wants("share")
def categorical_focal_crossentropy(
    y_true: TensorLike,
    y_pred: TensorLike,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Categorical cross-entropy times alpha (1 - p)^gamma. Source: Lin et al. 2017.

    Args:
        y_true: One-hot labels or probabilities, of the shape of `y_pred`.
        y_pred: Predictions: (…, values).
        alpha: A weight for all classes, or one a class.
        gamma: How strongly easy samples are turned down.
        from_logits: Whether predictions are logits, before sigmoid or softmax.
        label_smoothing: Moves labels this share of the way to even odds, from 0 to 1.
        axis: The axis of the classes.

    Returns:
        One number a sample: the shape without `axis`.

    Example:
        >>> y, p = np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]])
        >>> fastnn.losses.categorical_focal_crossentropy(y, p).numpy().round(4)
        array([0.0433], dtype=float32)
    """
    y_true = ops.convert_to_tensor(y_true, "float32")
    y_pred = ops.convert_to_tensor(y_pred, "float32")
    _check_shapes(y_true, y_pred)
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + label_smoothing / y_pred.shape[axis]
    if from_logits:
        y_pred = _c.softmax(y_pred, axis=axis)
    y_pred = y_pred / ops.sum(y_pred, axis=axis, keepdims=True)
    y_pred = ops.clip(y_pred, epsilon(), 1.0 - epsilon())
    focal = alpha * _c.power(1.0 - y_pred, gamma)
    return ops.sum(-focal * y_true * _c.log(y_pred), axis=axis)


@keras_op
@wants("unit")
def dice(y_true: TensorLike, y_pred: TensorLike, axis: Any = None) -> Tensor:
    """1 - 2|y p| / (|y| + |p|).

    Args:
        y_true: True values, of the shape of `y_pred`.
        y_pred: Predictions: (…, values).
        axis: The axes summed over; None: all of them.

    Returns:
        A number, or one for each place that is left by `axis`.

    Example:
        >>> fastnn.losses.dice(np.array([[1.0, 0.0]]), np.array([[1.0, 1.0]])).numpy().round(4)
        np.float32(0.3333)
    """
    y_true, y_pred = float_pair(y_true, y_pred)
    both = ops.sum(y_true * y_pred, axis=axis)
    total = ops.sum(y_true, axis=axis) + ops.sum(y_pred, axis=axis)
    both, total = _of_all_rows([both, total], axis, ops.ndim(y_pred))
    return 1.0 - ops.divide_no_nan(2.0 * both, total + epsilon())


def _of_all_rows(sums: list[Any], axis: Any, rank: int) -> Any:
    """Sums over the batch as those of all ranks that train together."""
    step = current_step()
    axes = [0] if axis is None else [axis] if isinstance(axis, int) else list(axis)
    if step is None or not any(a % rank == 0 for a in axes):
        return sums
    return ops.unstack(step.sum(step.present(ops.stack(sums))))


@keras_op
@wants("unit")
def tversky(
    y_true: TensorLike, y_pred: TensorLike, alpha: float = 0.5, beta: float = 0.5, axis: Any = None
) -> Tensor:
    """1 - both / (both + alpha missed + beta false alarms), weighted as Keras weighs them.

    `alpha` is the weight of y (1 - p), `beta` of (1 - y) p (Salehi et al. 2017 name them the other
    way round).

    Args:
        y_true: True values, of the shape of `y_pred`.
        y_pred: Predictions: (…, values).
        alpha: The weight of y (1 - p).
        beta: The weight of (1 - y) p.
        axis: The axes summed over; None: all of them.

    Returns:
        A number, or one for each place that is left by `axis`.

    Example:
        >>> fastnn.losses.tversky(np.array([[1.0, 0.0]]), np.array([[1.0, 1.0]])).numpy().round(4)
        np.float32(0.3333)
    """
    y_true, y_pred = float_pair(y_true, y_pred)
    both = ops.sum(y_true * y_pred, axis=axis)
    missed = ops.sum(y_true * (1.0 - y_pred), axis=axis)
    false = ops.sum((1.0 - y_true) * y_pred, axis=axis)
    both, missed, false = _of_all_rows([both, missed, false], axis, ops.ndim(y_pred))
    return 1.0 - both / (both + missed * alpha + false * beta + epsilon())


@keras_op
@wants("number")
def categorical_generalized_cross_entropy(
    y_true: TensorLike, y_pred: TensorLike, q: float
) -> Tensor:
    """(1 - p[y]^q) / q, robust to wrong labels. Source: Zhang & Sabuncu 2018.

    Args:
        y_true: Class numbers of shape (…) or (…, 1).
        y_pred: Probabilities (…, classes).
        q: From 0 (cross-entropy) to 1 (absolute error), both ends excluded.

    Returns:
        One number a sample: the shape without the last axis.

    Example:
        >>> y, p = np.array([1]), np.array([[0.5, 0.5]])
        >>> fastnn.losses.categorical_generalized_cross_entropy(y, p, q=0.5).numpy().round(4)
        array([0.5858], dtype=float32)
    """
    if not 0 < q < 1:
        raise ValueError(f"q is {q}, wanted above 0 and below 1\n  hint: q=0.5")
    y_pred = ops.convert_to_tensor(y_pred, "float32")
    y_true = class_numbers(y_true, y_pred)
    p = ops.sum(ops.one_hot(y_true, y_pred.shape[-1]) * y_pred, axis=-1)
    return (1.0 - _c.power(p, float(q))) / q


@hints_arguments
@wants("whole")
def circle(
    y_true: TensorLike,
    y_pred: TensorLike,
    ref_labels: Any = None,
    ref_embeddings: Any = None,
    remove_diagonal: bool = True,
    gamma: float = 80.0,
    margin: float = 0.4,
) -> Tensor:
    """The circle loss of unit vectors with class numbers; samples without loss are masked. Source:
    Sun et al. 2020.

    Args:
        y_true: Class numbers (n,).
        y_pred: Unit vectors (n, features).
        ref_labels: Class numbers of `ref_embeddings`; None: those of the batch.
        ref_embeddings: Vectors to compare with; None: those of the batch.
        remove_diagonal: Whether a sample is left out of its own partners.
        gamma: The scale of the similarities.
        margin: The margin by which similarities are relaxed.

    Returns:
        One number a sample: (n,).

    Example:
        >>> vectors = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
        >>> fastnn.losses.circle(np.array([0, 0, 1]), vectors).numpy().round(2)
        array([0. , 6.4, 0. ], dtype=float32)
    """
    x = ops.convert_to_tensor(y_pred, "float32")
    y = ops.ravel(ops.cast(y_true, "int32"))
    others = x if ref_embeddings is None else ops.convert_to_tensor(ref_embeddings, "float32")
    labels = y if ref_labels is None else ops.ravel(ops.cast(ref_labels, "int32"))
    distance = ops.maximum(1.0 - ops.matmul(x, ops.transpose(others)), 0.0)
    same = ops.equal(ops.expand_dims(y, axis=1), ops.expand_dims(labels, axis=0))
    positive = same
    if remove_diagonal:
        rows = ops.cumsum(ops.ones_like(y, "float32"), axis=0)
        columns = ops.cumsum(ops.ones_like(labels, "float32"), axis=0)
        diagonal = ops.equal(ops.expand_dims(rows, axis=1), ops.expand_dims(columns, axis=0))
        positive = ops.logical_and(same, ops.logical_not(diagonal))
    pull = -gamma * (margin + distance) * (margin - distance)
    push = gamma * ops.maximum(1.0 + margin - distance, 0.0) * (1.0 - margin - distance)
    near = ops.logsumexp(_c.where(positive, pull, -math.inf), axis=1)
    far = ops.logsumexp(_c.where(ops.logical_not(same), push, -math.inf), axis=1)
    values = _c.softplus(near + far)
    set_mask(values, values > 0.0)
    return values


@keras_op
@wants("number")
def nll(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """-p[y] for log-probabilities p, as PyTorch's NLLLoss.

    Args:
        y_true: Class numbers of shape (…) or (…, 1).
        y_pred: Log-probabilities (…, classes).

    Returns:
        One number a sample: the shape without the last axis.

    Example:
        >>> fastnn.losses.nll(np.array([1]), np.log([[0.5, 0.5]])).numpy().round(4)
        array([0.6931], dtype=float32)
    """
    y_pred = ops.convert_to_tensor(y_pred, "float32")
    y_true = class_numbers(y_true, y_pred)
    return -ops.sum(ops.one_hot(y_true, y_pred.shape[-1]) * y_pred, axis=-1)
