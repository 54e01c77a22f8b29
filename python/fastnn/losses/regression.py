"""Losses of numbers: functions of (y, p) that give one number per sample."""

from __future__ import annotations

from typing import Any

from fastnn import _core, ops
from fastnn._core import Tensor
from fastnn.base.typing import TensorLike
from fastnn.config import epsilon
from fastnn.losses.checks import float_pair
from fastnn.losses.targets import wants
from fastnn.ops.linalg import scale_of_squares
from fastnn.tracing.symbolic import keras_op

__all__ = [
    "categorical_hinge",
    "cosine_similarity",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "squared_hinge",
]

_c = _core.ops


@keras_op
def mean_squared_error(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """mean((y - p)²) over the last axis.

    Args:
        y_true: True values, of the shape of `y_pred`.
        y_pred: Predictions: (…, values).

    Returns:
        One number a sample: the shape without the last axis.

    Example:
        >>> fastnn.losses.mean_squared_error(np.array([[1.0, 2.0]]), np.array([[1.0, 4.0]])).numpy()
        array([2.], dtype=float32)
    """
    y_true, y_pred = float_pair(y_true, y_pred)
    return ops.mean(_c.square(y_true - y_pred), axis=-1)


@keras_op
def mean_absolute_error(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """mean(|y - p|) over the last axis.

    Args:
        y_true: True values, of the shape of `y_pred`.
        y_pred: Predictions: (…, values).

    Returns:
        One number a sample: the shape without the last axis.

    Example:
        >>> y, p = np.array([[1.0, 2.0]]), np.array([[1.0, 4.0]])
        >>> fastnn.losses.mean_absolute_error(y, p).numpy()
        array([1.], dtype=float32)
    """
    y_true, y_pred = float_pair(y_true, y_pred)
    return ops.mean(_c.absolute(y_true - y_pred), axis=-1)


@keras_op
def mean_absolute_percentage_error(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """100 mean(|y - p| / max(|y|, 1e-7)) over the last axis.

    Args:
        y_true: True values, of the shape of `y_pred`.
        y_pred: Predictions: (…, values).

    Returns:
        One number a sample: the shape without the last axis.

    Example:
        >>> y, p = np.array([[2.0, 4.0]]), np.array([[1.0, 4.0]])
        >>> fastnn.losses.mean_absolute_percentage_error(y, p).numpy()
        array([25.], dtype=float32)
    """
    y_true, y_pred = float_pair(y_true, y_pred)
    share = _c.absolute((y_true - y_pred) / _c.maximum(_c.absolute(y_true), epsilon()))
    return 100.0 * ops.mean(share, axis=-1)


@keras_op
@wants("count")
def mean_squared_logarithmic_error(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """mean((log(1 + y) - log(1 + p))²) over the last axis, values cut at 1e-7.

    Args:
        y_true: True values, of the shape of `y_pred`.
        y_pred: Predictions: (…, values).

    Returns:
        One number a sample: the shape without the last axis.

    Example:
        >>> y, p = np.array([[1.0]]), np.array([[3.0]])
        >>> fastnn.losses.mean_squared_logarithmic_error(y, p).numpy().round(4)
        array([0.4805], dtype=float32)
    """
    y_true, y_pred = float_pair(y_true, y_pred)
    a = _c.log(_c.maximum(y_pred, epsilon()) + 1.0)
    b = _c.log(_c.maximum(y_true, epsilon()) + 1.0)
    return ops.mean(_c.square(a - b), axis=-1)


@keras_op
def cosine_similarity(y_true: TensorLike, y_pred: TensorLike, axis: int = -1) -> Tensor:
    """-cos of the angle between y and p along `axis`.

    Args:
        y_true: True values, of the shape of `y_pred`.
        y_pred: Predictions: (…, values).
        axis: The axis of the vectors.

    Returns:
        One number a vector, from -1 to 1.

    Example:
        >>> fastnn.losses.cosine_similarity(np.array([[1.0, 0.0]]), np.array([[2.0, 0.0]])).numpy()
        array([-1.], dtype=float32)
    """
    y_true, y_pred = float_pair(y_true, y_pred)
    return -ops.sum(_unit(y_true, axis) * _unit(y_pred, axis), axis=axis)


def _unit(x: TensorLike, axis: int) -> Any:
    """`x` by its length, however small; zero stays zero."""
    return ops.normalize(x * scale_of_squares(x, axis), axis=axis)


@keras_op
def huber(y_true: TensorLike, y_pred: TensorLike, delta: float = 1.0) -> Tensor:
    """Quadratic within `delta`, linear beyond, mean over the last axis. Source: Huber 1964.

    Args:
        y_true: True values, of the shape of `y_pred`.
        y_pred: Predictions: (…, values).
        delta: Where squares end, in units of the labels.

    Returns:
        One number a sample: the shape without the last axis.

    Example:
        >>> fastnn.losses.huber(np.array([[0.0, 0.0]]), np.array([[1.0, 3.0]])).numpy()
        array([1.5], dtype=float32)
    """
    y_true, y_pred = float_pair(y_true, y_pred)
    error = _c.absolute(y_pred - y_true)
    inside = 0.5 * _c.square(error)
    outside = delta * error - 0.5 * delta * delta
    return ops.mean(_c.where(error <= delta, inside, outside), axis=-1)


@keras_op
def log_cosh(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """mean(log cosh(p - y)) over the last axis.

    Args:
        y_true: True values, of the shape of `y_pred`.
        y_pred: Predictions: (…, values).

    Returns:
        One number a sample: the shape without the last axis.

    Example:
        >>> fastnn.losses.log_cosh(np.array([[0.0]]), np.array([[1.0]])).numpy().round(4)
        array([0.4338], dtype=float32)
    """
    y_true, y_pred = float_pair(y_true, y_pred)
    d = y_pred - y_true
    return ops.mean(d + _c.softplus(-2.0 * d) - 0.6931471805599453, axis=-1)


@keras_op
@wants("sign")
def hinge(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """mean(max(1 - y p, 0)); labels 0 and 1 are read as -1 and 1.

    Args:
        y_true: Labels -1 and 1, or 0 and 1, of the shape of `y_pred`.
        y_pred: Predictions: (…, values).

    Returns:
        One number a sample: the shape without the last axis.

    Example:
        >>> fastnn.losses.hinge(np.array([[1.0, -1.0]]), np.array([[0.5, -2.0]])).numpy()
        array([0.25], dtype=float32)
    """
    y_true, y_pred = float_pair(y_true, y_pred)
    return ops.mean(_c.maximum(1.0 - _signed(y_true) * y_pred, 0.0), axis=-1)


@keras_op
@wants("sign")
def squared_hinge(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """mean(max(1 - y p, 0)²); labels 0 and 1 are read as -1 and 1.

    Args:
        y_true: Labels -1 and 1, or 0 and 1, of the shape of `y_pred`.
        y_pred: Predictions: (…, values).

    Returns:
        One number a sample: the shape without the last axis.

    Example:
        >>> fastnn.losses.squared_hinge(np.array([[1.0, -1.0]]), np.array([[0.5, -2.0]])).numpy()
        array([0.125], dtype=float32)
    """
    y_true, y_pred = float_pair(y_true, y_pred)
    return ops.mean(_c.square(_c.maximum(1.0 - _signed(y_true) * y_pred, 0.0)), axis=-1)


def _signed(y: TensorLike) -> Any:
    """Labels 0 and 1 as -1 and 1 when all are such; others as they are."""
    binary = ops.all(ops.logical_or(y == 0.0, y == 1.0))
    return _c.where(binary, 2.0 * y - 1.0, y)


@keras_op
@wants("unit")
def categorical_hinge(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """max(1 + best wrong score - right score, 0).

    Args:
        y_true: One-hot labels (…, classes).
        y_pred: Predictions: (…, values).

    Returns:
        One number a sample: the shape without the last axis.

    Example:
        >>> y, p = np.array([[0.0, 1.0]]), np.array([[0.25, 0.75]])
        >>> fastnn.losses.categorical_hinge(y, p).numpy()
        array([0.5], dtype=float32)
    """
    y_true, y_pred = float_pair(y_true, y_pred)
    right = ops.sum(y_true * y_pred, axis=-1)
    wrong = ops.max((1.0 - y_true) * y_pred, axis=-1)
    return _c.maximum(wrong - right + 1.0, 0.0)


@keras_op
@wants("unit")
def kl_divergence(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """sum(y log(y / p)) over the last axis, both cut to [1e-7, 1].

    Args:
        y_true: Probabilities (…, outcomes).
        y_pred: Probabilities of the same shape.

    Returns:
        One number a sample: the shape without the last axis.

    Example:
        >>> y, p = np.array([[0.5, 0.5]]), np.array([[0.25, 0.75]])
        >>> fastnn.losses.kl_divergence(y, p).numpy().round(4)
        array([0.1438], dtype=float32)
    """
    y_true, y_pred = float_pair(y_true, y_pred)
    y_true, y_pred = ops.clip(y_true, epsilon(), 1.0), ops.clip(y_pred, epsilon(), 1.0)
    return ops.sum(y_true * _c.log(y_true / y_pred), axis=-1)


@keras_op
@wants("count")
def poisson(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """mean(p - y log(p + 1e-7)) over the last axis.

    Args:
        y_true: Counts, of the shape of `y_pred`.
        y_pred: Rates above 0.

    Returns:
        One number a sample: the shape without the last axis.

    Example:
        >>> fastnn.losses.poisson(np.array([[2.0]]), np.array([[1.0]])).numpy().round(4)
        array([1.], dtype=float32)
    """
    y_true, y_pred = float_pair(y_true, y_pred)
    return ops.mean(y_pred - y_true * _c.log(y_pred + epsilon()), axis=-1)
