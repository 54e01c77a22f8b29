"""Losses under Keras's names, defaults and reductions. Depends on `ops`.

A loss function gives one number per sample; the class of the same meaning reduces them. The mean
divides by the number of elements also with sample weights; masked positions are not counted.
"""

from __future__ import annotations

import contextlib
import inspect
import math
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from fastnn import _core, ops
from fastnn.base.arguments import signature_of
from fastnn.config import epsilon, snake_case as _snake, unique_name
from fastnn.data.labels import check_binary, check_class_numbers, check_one_hot, known_values
from fastnn.dtype_policies import computing_dtype
from fastnn.errors import ShapeError
from fastnn.ops.linalg import scale_of_squares
from fastnn.serialization.encoding import Configurable, plain
from fastnn.serialization.registry import Table
from fastnn.tracing.call_context import current_call
from fastnn.tracing.known_ops import enter_ops
from fastnn.tracing.symbolic import keras_op

__all__ = [
    "NLL",
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalGeneralizedCrossEntropy",
    "CategoricalHinge",
    "Circle",
    "CosineSimilarity",
    "Dice",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "LossFunctionWrapper",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "Tversky",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy",
    "categorical_hinge",
    "circle",
    "cosine_similarity",
    "deserialize",
    "dice",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "nll",
    "poisson",
    "serialize",
    "sparse_categorical_crossentropy",
    "squared_hinge",
    "tversky",
]  # fmt: skip

#: What is public here and no loss.
_ACCESS = ("deserialize", "get", "serialize")
_c = _core.ops
_REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)


def squeeze_or_expand_to_same_rank(x1: Any, x2: Any, expand_rank_1: bool = True) -> tuple[Any, Any]:
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


def reduce_values(values: Any, sample_weight: Any, reduction: str | None) -> Any:
    """Per-sample values to a number by the reduction's rule."""
    if reduction in (None, "none"):
        return values
    total = ops.sum(values)
    if reduction == "sum" or ops.ndim(values) == 0:
        return total
    if reduction == "mean_with_sample_weight" and sample_weight is not None:
        return ops.divide_no_nan(total, ops.sum(sample_weight))
    return ops.mean(values)


def reduce_weighted(values: Any, sample_weight: Any, mask: Any, reduction: str | None) -> Any:
    """Values times weights, reduced; a mask removes positions and shrinks the divisor."""
    values = ops.convert_to_tensor(values, "float32")
    share = None
    if mask is not None:
        keep = ops.cast(mask, "float32")
        keep, values = _match(keep, values)
        valid = ops.sum(keep)
        share = ops.sum(ops.ones_like(keep)) / ops.maximum(valid, 1e-7)
        if sample_weight is None:
            sample_weight = keep
        else:
            weight, keep = _match(ops.convert_to_tensor(sample_weight, "float32"), keep)
            sample_weight = weight * keep
    if sample_weight is not None:
        sample_weight = ops.convert_to_tensor(sample_weight, "float32")
        sample_weight, values = _match(sample_weight, values)
        values = values * sample_weight
    out = reduce_values(values, sample_weight, reduction)
    if share is not None and reduction in ("sum_over_batch_size", "mean"):
        out = out * share
    return out


def _match(weight: Any, values: Any) -> tuple[Any, Any]:
    """A weight per sample shaped to broadcast over the values' further axes."""
    if ops.ndim(weight) == ops.ndim(values) + 1 and weight.shape[-1] == 1:
        weight = ops.squeeze(weight, -1)
    while ops.ndim(weight) < ops.ndim(values):
        weight = ops.expand_dims(weight, axis=-1)
    return weight, values


class Loss(Configurable):
    """A loss: how far predictions are from labels, as one number to minimise.

    Subclasses define `call(y_true, y_pred)`, which gives one number a sample; the call weighs and
    reduces them. Masked positions are not counted.

    Args:
        name: The name of the loss; made from the class name when left out.
        reduction: How losses of samples become one number: `"sum_over_batch_size"` (the mean),
            `"sum"`, `"mean_with_sample_weight"` (divided by the sum of the weights) or `"none"`.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> class Shortfall(fastnn.losses.Loss):
        ...     def call(self, y_true, y_pred):
        ...         return fastnn.ops.mean(fastnn.ops.relu(y_true - y_pred), axis=-1)
        >>> float(Shortfall()(np.array([[2.0], [2.0]]), np.array([[1.0], [3.0]])))
        0.5
    """

    def __init__(
        self,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        self.name = name or unique_name(_snake(type(self).__name__))
        if reduction not in _REDUCTIONS:
            known = ", ".join(repr(r) for r in _REDUCTIONS)
            raise ValueError(
                f"Invalid value for argument `reduction`: {reduction!r}\n  hint: one of {known}"
            )
        self.reduction = reduction
        computing_dtype(dtype, self.name)

    @property
    def dtype(self) -> str:
        """The type that losses compute in."""
        return "float32"

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """One number per sample."""
        raise NotImplementedError(
            f"{type(self).__name__} must define call(self, y_true, y_pred)"
            "\n  hint: def call(self, y_true, y_pred): return the loss of each sample"
        )

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Gives the reduced loss."""
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        context = current_call()
        mask = None if context is None else context.mask_of(y_pred)
        return self._measure(y_true, y_pred, sample_weight, mask)

    def _measure(self, y_true: Any, y_pred: Any, sample_weight: Any, mask: Any) -> Any:
        return reduce_weighted(self.call(y_true, y_pred), sample_weight, mask, self.reduction)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, reduction={self.reduction}>"


class LossFunctionWrapper(Loss):
    """A function of (y_true, y_pred) as a loss.

    Further keyword arguments are given to the function.

    Args:
        fn: A function that gives one number a sample.
        reduction: How losses of samples become one number: `"sum_over_batch_size"` (the mean),
            `"sum"`, `"mean_with_sample_weight"` (divided by the sum of the weights) or `"none"`.
        name: The name of the loss; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> def fourth(y, p):
        ...     return fastnn.ops.mean((y - p) ** 4, axis=-1)
        >>> loss = fastnn.losses.LossFunctionWrapper(fourth)
        >>> float(loss(np.array([[1.0]]), np.array([[3.0]])))
        16.0
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name or getattr(fn, "__name__", None), reduction, dtype)
        self.fn = fn
        self._fn_kwargs = kwargs

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The function's values."""
        y_true, y_pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
        return self.fn(y_true, y_pred, **self._fn_kwargs)

    def _measure(self, y_true: Any, y_pred: Any, sample_weight: Any, mask: Any) -> Any:
        if self.fn not in ONE_HOT:
            return super()._measure(y_true, y_pred, sample_weight, mask)
        # Here and not in the function, which does not know the weights.
        with labels_are_checked(True):
            value = super()._measure(y_true, y_pred, sample_weight, mask)
        _check_known_one_hot(y_true, self._fn_kwargs.get("axis", -1), known_values(sample_weight))
        return value

    def get_config(self) -> dict[str, Any]:
        """Name, reduction and the function's settings."""
        own = {} if type(self) is not LossFunctionWrapper else {"fn": plain(self.fn)}
        return {"name": self.name, "reduction": self.reduction, **own, **plain(self._fn_kwargs)}


def _float_pair(y_true: Any, y_pred: Any, alike: bool = False) -> tuple[Any, Any]:
    """Both as floats of one rank, of broadcastable shapes or, when `alike`, of equal ones."""
    y_pred = ops.convert_to_tensor(y_pred, "float32")
    y_true = ops.convert_to_tensor(y_true, "float32")
    y_true, y_pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
    _check_shapes(y_true, y_pred, alike)
    return y_true, y_pred


def _check_shapes(y_true: Any, y_pred: Any, alike: bool = False) -> None:
    _check_alike(tuple(y_true.shape), tuple(y_pred.shape), (None,) if alike else (None, 1))


def check_alike(y_true: Any, y_pred: Any) -> None:
    """ShapeError unless y and p have the same shape, as far as it is known."""
    _check_shapes(y_true, y_pred, alike=True)


def _check_alike(a: tuple[Any, ...], b: tuple[Any, ...], free: tuple[Any, ...]) -> None:
    if len(a) == len(b) and all(
        m == n or m in free or n in free for m, n in zip(a, b, strict=True)
    ):  # fmt: skip
        return
    raise ShapeError(
        f"y has shape {a}, the model gives {b}; they must have the same shape\n"
        f"  hint: {_shape_hint(a, b)}"
    )


def _check_known_binary(y_true: Any, who: str) -> None:
    known = known_values(y_true)
    if known is not None:
        check_binary(known, who)


def _check_known_one_hot(y_true: Any, axis: int, weights: Any = None) -> None:
    known = None if getattr(_local, "checked", False) else known_values(y_true)
    if known is not None:
        check_one_hot(known, "y", weights, axis)


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


# ---- functions: one number per sample --------------------------------------------------------


@keras_op
def mean_squared_error(y_true: Any, y_pred: Any) -> Any:
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
    y_true, y_pred = _float_pair(y_true, y_pred)
    return ops.mean(_c.square(y_true - y_pred), axis=-1)


@keras_op
def mean_absolute_error(y_true: Any, y_pred: Any) -> Any:
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
    y_true, y_pred = _float_pair(y_true, y_pred)
    return ops.mean(_c.absolute(y_true - y_pred), axis=-1)


@keras_op
def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Any:
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
    y_true, y_pred = _float_pair(y_true, y_pred)
    share = _c.absolute((y_true - y_pred) / _c.maximum(_c.absolute(y_true), epsilon()))
    return 100.0 * ops.mean(share, axis=-1)


@keras_op
def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Any:
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
    y_true, y_pred = _float_pair(y_true, y_pred)
    a = _c.log(_c.maximum(y_pred, epsilon()) + 1.0)
    b = _c.log(_c.maximum(y_true, epsilon()) + 1.0)
    return ops.mean(_c.square(a - b), axis=-1)


@keras_op
def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
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
    y_true, y_pred = _float_pair(y_true, y_pred)
    return -ops.sum(_unit(y_true, axis) * _unit(y_pred, axis), axis=axis)


def _unit(x: Any, axis: int) -> Any:
    """`x` by its length, however small; zero stays zero."""
    return ops.normalize(x * scale_of_squares(x, axis), axis=axis)


@keras_op
def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Any:
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
    y_true, y_pred = _float_pair(y_true, y_pred)
    error = _c.absolute(y_pred - y_true)
    inside = 0.5 * _c.square(error)
    outside = delta * error - 0.5 * delta * delta
    return ops.mean(_c.where(error <= delta, inside, outside), axis=-1)


@keras_op
def log_cosh(y_true: Any, y_pred: Any) -> Any:
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
    y_true, y_pred = _float_pair(y_true, y_pred)
    d = y_pred - y_true
    return ops.mean(d + _c.softplus(-2.0 * d) - 0.6931471805599453, axis=-1)


@keras_op
def hinge(y_true: Any, y_pred: Any) -> Any:
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
    y_true, y_pred = _float_pair(y_true, y_pred)
    return ops.mean(_c.maximum(1.0 - _signed(y_true) * y_pred, 0.0), axis=-1)


@keras_op
def squared_hinge(y_true: Any, y_pred: Any) -> Any:
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
    y_true, y_pred = _float_pair(y_true, y_pred)
    return ops.mean(_c.square(_c.maximum(1.0 - _signed(y_true) * y_pred, 0.0)), axis=-1)


def _signed(y: Any) -> Any:
    """Labels 0 and 1 as -1 and 1 when all are such; others as they are."""
    binary = ops.all(ops.logical_or(y == 0.0, y == 1.0))
    return _c.where(binary, 2.0 * y - 1.0, y)


@keras_op
def categorical_hinge(y_true: Any, y_pred: Any) -> Any:
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
    y_true, y_pred = _float_pair(y_true, y_pred)
    right = ops.sum(y_true * y_pred, axis=-1)
    wrong = ops.max((1.0 - y_true) * y_pred, axis=-1)
    return _c.maximum(wrong - right + 1.0, 0.0)


@keras_op
def kl_divergence(y_true: Any, y_pred: Any) -> Any:
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
    y_true, y_pred = _float_pair(y_true, y_pred)
    y_true, y_pred = ops.clip(y_true, epsilon(), 1.0), ops.clip(y_pred, epsilon(), 1.0)
    return ops.sum(y_true * _c.log(y_true / y_pred), axis=-1)


@keras_op
def poisson(y_true: Any, y_pred: Any) -> Any:
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
    y_true, y_pred = _float_pair(y_true, y_pred)
    return ops.mean(y_pred - y_true * _c.log(y_pred + epsilon()), axis=-1)


@keras_op
def binary_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
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
    y_true, y_pred = _float_pair(y_true, y_pred, alike=True)
    _check_known_binary(y_true, "binary_crossentropy")
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    return ops.mean(ops.binary_crossentropy(y_true, y_pred, from_logits), axis=axis)


@keras_op
def categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
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
    _check_known_one_hot(y_true, axis)
    if label_smoothing:
        classes = y_pred.shape[axis]
        y_true = y_true * (1.0 - label_smoothing) + label_smoothing / classes
    return ops.categorical_crossentropy(y_true, y_pred, from_logits, axis)


@keras_op
def sparse_categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Any:
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
    y_pred = ops.convert_to_tensor(y_pred, "float32")
    y_true, marked = _numbered(y_true, y_pred, axis, ignore_class)
    check_sparse(y_true, y_pred)
    if ignore_class is None:
        return marked(ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits, axis))
    keep = ops.not_equal(y_true, ignore_class)
    safe = _c.where(keep, y_true, ops.zeros_like(y_true))
    values = ops.sparse_categorical_crossentropy(safe, y_pred, from_logits, axis)
    context = current_call()
    if context is not None:
        context.set_mask(y_pred, keep)
    return marked(_c.where(keep, values, 0.0))


_local = threading.local()


@contextlib.contextmanager
def labels_are_checked(checked: bool) -> Iterator[None]:
    """While a training step is traced whose labels are checked before each run."""
    before = getattr(_local, "checked", False)
    _local.checked = checked
    try:
        yield
    finally:
        _local.checked = before


def _numbered(
    y_true: Any, y_pred: Any, axis: int = -1, ignore: int | None = None
) -> tuple[Any, Callable[[Any], Any]]:
    """Class numbers of shape (…), and what to do with the losses of numbers outside the classes.

    Numbers that are known are checked: DataError. Inside a trace of the caller's, where they are
    not, the loss of a number outside becomes NaN instead of passing for a good one.
    """
    classes, known = y_pred.shape[axis], known_values(y_true)
    if known is not None:
        check_class_numbers(known, classes, "y", "y_pred", ignore)
    y = ops.cast(y_true, "int32")
    if ops.ndim(y) == ops.ndim(y_pred) and y.shape[-1] == 1:
        y = ops.squeeze(y, -1)
    if known is not None or classes is None or getattr(_local, "checked", False):
        return y, lambda values: values
    inside = ops.logical_and(y >= 0, y < classes)
    if ignore is not None:
        inside = ops.logical_or(inside, ops.equal(y, ignore))
    return y, lambda values: _c.where(inside, values, math.nan)


def check_sparse(y_true: Any, y_pred: Any) -> None:
    """ShapeError unless y has a class number for every row of scores in p."""
    a, b = tuple(y_true.shape), tuple(y_pred.shape)
    if len(a) + 1 != len(b) or any(
        m != n and None not in (m, n) for m, n in zip(a, b[:-1], strict=True)
    ):
        hint = (
            "y looks one-hot: use loss='categorical_crossentropy'"
            if len(a) == len(b) and a[-1] == b[-1]
            else f"y of class numbers has shape {b[:-1]}"
        )
        raise ShapeError(f"y has shape {a}, the model gives {b}\n  hint: {hint}")


@keras_op
def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
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
    y_true, y_pred = _float_pair(y_true, y_pred)
    _check_known_binary(y_true, "binary_focal_crossentropy")
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
def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
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
    _check_known_one_hot(y_true, axis)
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + label_smoothing / y_pred.shape[axis]
    if from_logits:
        y_pred = _c.softmax(y_pred, axis=axis)
    y_pred = y_pred / ops.sum(y_pred, axis=axis, keepdims=True)
    y_pred = ops.clip(y_pred, epsilon(), 1.0 - epsilon())
    focal = alpha * _c.power(1.0 - y_pred, gamma)
    return ops.sum(-focal * y_true * _c.log(y_pred), axis=axis)


@keras_op
def dice(y_true: Any, y_pred: Any, axis: Any = None) -> Any:
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
    y_true, y_pred = _float_pair(y_true, y_pred)
    both = ops.sum(y_true * y_pred, axis=axis)
    total = ops.sum(y_true, axis=axis) + ops.sum(y_pred, axis=axis)
    return 1.0 - ops.divide_no_nan(2.0 * both, total + epsilon())


@keras_op
def tversky(
    y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: Any = None
) -> Any:
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
    y_true, y_pred = _float_pair(y_true, y_pred)
    both = ops.sum(y_true * y_pred, axis=axis)
    missed = ops.sum(y_true * (1.0 - y_pred), axis=axis)
    false = ops.sum((1.0 - y_true) * y_pred, axis=axis)
    return 1.0 - both / (both + missed * alpha + false * beta + epsilon())


@keras_op
def categorical_generalized_cross_entropy(y_true: Any, y_pred: Any, q: float) -> Any:
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
    y_true, marked = _numbered(y_true, y_pred)
    p = ops.sum(ops.one_hot(y_true, y_pred.shape[-1]) * y_pred, axis=-1)
    return marked((1.0 - _c.power(p, float(q))) / q)


def circle(
    y_true: Any,
    y_pred: Any,
    ref_labels: Any = None,
    ref_embeddings: Any = None,
    remove_diagonal: bool = True,
    gamma: float = 80.0,
    margin: float = 0.4,
) -> Any:
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
    context = current_call()
    if context is not None:
        context.set_mask(values, values > 0.0)
    return values


@keras_op
def nll(y_true: Any, y_pred: Any) -> Any:
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
    y_true, marked = _numbered(y_true, y_pred)
    return marked(-ops.sum(ops.one_hot(y_true, y_pred.shape[-1]) * y_pred, axis=-1))


def _loss_class(fn: Callable[..., Any], class_name: str, doc: str, **defaults: Any) -> type[Loss]:
    """The class of a loss function; `defaults` are its settings, in the constructor's order."""

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        reduction = kwargs.pop("reduction", "sum_over_batch_size")
        name = kwargs.pop("name", fn.__name__)
        computing_dtype(kwargs.pop("dtype", None), class_name)
        settings = dict(defaults)
        order = list(defaults) if defaults else []
        names = [*order, "reduction", "name"]
        for key, value in zip(names, args, strict=False):
            if key in settings:
                settings[key] = value
            elif key == "reduction":
                reduction = value
            else:
                name = value
        unknown = [k for k in kwargs if k not in settings]
        if unknown:
            from fastnn.errors import nearest

            close = nearest(unknown[0], names, 1)
            hint = f"did you mean `{close[0]}`?" if close else "it takes " + ", ".join(names)
            raise TypeError(
                f"{class_name} got an unexpected keyword argument '{unknown[0]}'\n  hint: {hint}"
            )
        settings.update(kwargs)
        LossFunctionWrapper.__init__(self, fn, reduction, name, **settings)
        for key, value in settings.items():
            setattr(self, key, value)

    shown = {**defaults, "reduction": "sum_over_batch_size", "name": fn.__name__}
    __init__.__signature__ = signature_of(shown, dtype=None)  # type: ignore[attr-defined]
    body = {"__init__": __init__, "__doc__": doc, "__module__": __name__}
    return type(class_name, (LossFunctionWrapper,), body)


MeanSquaredError = _loss_class(
    mean_squared_error,
    "MeanSquaredError",
    """The mean of squared errors: mean((y - p)²).

    For regression; large errors count most.

    Args:
        reduction: How losses of samples become one number: `"sum_over_batch_size"` (the mean),
            `"sum"`, `"mean_with_sample_weight"` (divided by the sum of the weights) or `"none"`.
        name: The name of the loss; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> loss = fastnn.losses.MeanSquaredError()
        >>> float(loss(np.array([[1.0, 2.0]]), np.array([[1.0, 4.0]])))
        2.0
    """,
)
MeanAbsoluteError = _loss_class(
    mean_absolute_error,
    "MeanAbsoluteError",
    """The mean of absolute errors: mean(|y - p|).

    For regression where outliers should not rule.

    Args:
        reduction: How losses of samples become one number: `"sum_over_batch_size"` (the mean),
            `"sum"`, `"mean_with_sample_weight"` (divided by the sum of the weights) or `"none"`.
        name: The name of the loss; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> loss = fastnn.losses.MeanAbsoluteError()
        >>> float(loss(np.array([[1.0, 2.0]]), np.array([[1.0, 4.0]])))
        1.0
    """,
)
MeanAbsolutePercentageError = _loss_class(
    mean_absolute_percentage_error,
    "MeanAbsolutePercentageError",
    """The mean of absolute errors in percent of the labels: 100 mean(|y - p| / max(|y|, 1e-7)).

    Args:
        reduction: How losses of samples become one number: `"sum_over_batch_size"` (the mean),
            `"sum"`, `"mean_with_sample_weight"` (divided by the sum of the weights) or `"none"`.
        name: The name of the loss; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> loss = fastnn.losses.MeanAbsolutePercentageError()
        >>> float(loss(np.array([[2.0, 4.0]]), np.array([[1.0, 4.0]])))
        25.0
    """,
)
MeanSquaredLogarithmicError = _loss_class(
    mean_squared_logarithmic_error,
    "MeanSquaredLogarithmicError",
    """The mean of squared differences of logarithms: mean((log(1 + y) - log(1 + p))²).

    Values are cut at 1e-7 from below.

    Args:
        reduction: How losses of samples become one number: `"sum_over_batch_size"` (the mean),
            `"sum"`, `"mean_with_sample_weight"` (divided by the sum of the weights) or `"none"`.
        name: The name of the loss; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> loss = fastnn.losses.MeanSquaredLogarithmicError()
        >>> round(float(loss(np.array([[1.0]]), np.array([[3.0]]))), 4)
        0.4805
    """,
)
CosineSimilarity = _loss_class(
    cosine_similarity,
    "CosineSimilarity",
    """The negative cosine of the angle between labels and predictions, from -1 (alike) to 1
    (opposite).

    Args:
        axis: The axis of the vectors.
        reduction: How losses of samples become one number: `"sum_over_batch_size"` (the mean),
            `"sum"`, `"mean_with_sample_weight"` (divided by the sum of the weights) or `"none"`.
        name: The name of the loss; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> loss = fastnn.losses.CosineSimilarity()
        >>> float(loss(np.array([[1.0, 0.0]]), np.array([[2.0, 0.0]])))
        -1.0
    """,
    axis=-1,
)
Huber = _loss_class(
    huber,
    "Huber",
    """Squares of small errors, absolute values of large ones.

    Half the square where |y - p| is at most `delta`, delta * (|y - p| - delta / 2) beyond, as a
    mean. Source: Huber 1964.

    Args:
        delta: Where squares end, in units of the labels.
        reduction: How losses of samples become one number: `"sum_over_batch_size"` (the mean),
            `"sum"`, `"mean_with_sample_weight"` (divided by the sum of the weights) or `"none"`.
        name: The name of the loss; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> loss = fastnn.losses.Huber(delta=1.0)
        >>> float(loss(np.array([[0.0, 0.0]]), np.array([[1.0, 3.0]])))
        1.5
    """,
    delta=1.0,
)
LogCosh = _loss_class(
    log_cosh,
    "LogCosh",
    """The mean of log(cosh(p - y)): like half the square for small errors, like the absolute value
    for large ones.

    Args:
        reduction: How losses of samples become one number: `"sum_over_batch_size"` (the mean),
            `"sum"`, `"mean_with_sample_weight"` (divided by the sum of the weights) or `"none"`.
        name: The name of the loss; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> loss = fastnn.losses.LogCosh()
        >>> round(float(loss(np.array([[0.0]]), np.array([[1.0]]))), 4)
        0.4338
    """,
)
Hinge = _loss_class(
    hinge,
    "Hinge",
    """The mean of max(1 - y p, 0), for labels -1 and 1; labels 0 and 1 are read as -1 and 1.

    Args:
        reduction: How losses of samples become one number: `"sum_over_batch_size"` (the mean),
            `"sum"`, `"mean_with_sample_weight"` (divided by the sum of the weights) or `"none"`.
        name: The name of the loss; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> loss = fastnn.losses.Hinge()
        >>> float(loss(np.array([[1.0, -1.0]]), np.array([[0.5, -2.0]])))
        0.25
    """,
)
SquaredHinge = _loss_class(
    squared_hinge,
    "SquaredHinge",
    """The mean of max(1 - y p, 0)², for labels -1 and 1; labels 0 and 1 are read as -1 and 1.

    Args:
        reduction: How losses of samples become one number: `"sum_over_batch_size"` (the mean),
            `"sum"`, `"mean_with_sample_weight"` (divided by the sum of the weights) or `"none"`.
        name: The name of the loss; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> loss = fastnn.losses.SquaredHinge()
        >>> float(loss(np.array([[1.0, -1.0]]), np.array([[0.5, -2.0]])))
        0.125
    """,
)
CategoricalHinge = _loss_class(
    categorical_hinge,
    "CategoricalHinge",
    """By how much the best wrong class comes within 1 of the right one: max(1 + wrong - right, 0).

    Labels are one-hot: (n, classes).

    Args:
        reduction: How losses of samples become one number: `"sum_over_batch_size"` (the mean),
            `"sum"`, `"mean_with_sample_weight"` (divided by the sum of the weights) or `"none"`.
        name: The name of the loss; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> loss = fastnn.losses.CategoricalHinge()
        >>> float(loss(np.array([[0.0, 1.0]]), np.array([[0.25, 0.75]])))
        0.5
    """,
)
KLDivergence = _loss_class(
    kl_divergence,
    "KLDivergence",
    """The Kullback-Leibler divergence of two distributions: sum(y log(y / p)) over the last axis.

    Both are cut to 1e-7 … 1.

    Args:
        reduction: How losses of samples become one number: `"sum_over_batch_size"` (the mean),
            `"sum"`, `"mean_with_sample_weight"` (divided by the sum of the weights) or `"none"`.
        name: The name of the loss; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> loss = fastnn.losses.KLDivergence()
        >>> round(float(loss(np.array([[0.5, 0.5]]), np.array([[0.25, 0.75]]))), 4)
        0.1438
    """,
)
Poisson = _loss_class(
    poisson,
    "Poisson",
    """The loss of counts that follow a Poisson law: mean(p - y log(p + 1e-7)).

    Predictions are rates above 0.

    Args:
        reduction: How losses of samples become one number: `"sum_over_batch_size"` (the mean),
            `"sum"`, `"mean_with_sample_weight"` (divided by the sum of the weights) or `"none"`.
        name: The name of the loss; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> loss = fastnn.losses.Poisson()
        >>> round(float(loss(np.array([[2.0]]), np.array([[1.0]]))), 4)
        1.0
    """,
)
BinaryCrossentropy = _loss_class(
    binary_crossentropy, "BinaryCrossentropy", 
    """The cross-entropy of yes/no labels: mean(-y log p - (1 - y) log(1 - p)).

    Labels are 0 and 1, or probabilities, of the predictions' shape.

    Args:
        from_logits: Whether predictions are logits, before sigmoid or softmax.
        label_smoothing: Moves labels this share of the way to even odds, from 0 to 1.
        axis: The axis of the classes.
        reduction: How losses of samples become one number: `"sum_over_batch_size"` (the mean),
            `"sum"`, `"mean_with_sample_weight"` (divided by the sum of the weights) or `"none"`.
        name: The name of the loss; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Raises:
        DataError: A label lies outside 0 to 1.

    Example:
        >>> loss = fastnn.losses.BinaryCrossentropy()
        >>> round(float(loss(np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]]))), 4)
        0.6931
    """,
    from_logits=False, label_smoothing=0.0, axis=-1,
)  # fmt: skip
CategoricalCrossentropy = _loss_class(
    categorical_crossentropy, "CategoricalCrossentropy", 
    """The cross-entropy of one-hot labels: -sum(y log p) over the classes.

    Shapes: labels and predictions (…, classes). For labels that are class numbers there is
    `SparseCategoricalCrossentropy`.

    Args:
        from_logits: Whether predictions are logits, before sigmoid or softmax.
        label_smoothing: Moves labels this share of the way to even odds, from 0 to 1.
        axis: The axis of the classes.
        reduction: How losses of samples become one number: `"sum_over_batch_size"` (the mean),
            `"sum"`, `"mean_with_sample_weight"` (divided by the sum of the weights) or `"none"`.
        name: The name of the loss; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> loss = fastnn.losses.CategoricalCrossentropy()
        >>> round(float(loss(np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]]))), 4)
        0.6931
    """,
    from_logits=False, label_smoothing=0.0, axis=-1,
)  # fmt: skip
BinaryFocalCrossentropy = _loss_class(
    binary_focal_crossentropy, "BinaryFocalCrossentropy", 
    """Binary cross-entropy that looks away from what is already right.

    The cross-entropy times (1 - p of the truth)^gamma. Source: Lin et al. 2017.

    Args:
        apply_class_balancing: Whether positives weigh `alpha` and negatives 1 - alpha.
        alpha: The weight of positives, from 0 to 1.
        gamma: How strongly easy samples are turned down; 0 gives the cross-entropy.
        from_logits: Whether predictions are logits, before sigmoid or softmax.
        label_smoothing: Moves labels this share of the way to even odds, from 0 to 1.
        axis: The axis of the classes.
        reduction: How losses of samples become one number: `"sum_over_batch_size"` (the mean),
            `"sum"`, `"mean_with_sample_weight"` (divided by the sum of the weights) or `"none"`.
        name: The name of the loss; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> loss = fastnn.losses.BinaryFocalCrossentropy(gamma=2.0)
        >>> round(float(loss(np.array([[1.0]]), np.array([[0.5]]))), 4)
        0.1733
    """,
    apply_class_balancing=False, alpha=0.25, gamma=2.0, from_logits=False, label_smoothing=0.0,
    axis=-1,
)  # fmt: skip
CategoricalFocalCrossentropy = _loss_class(
    categorical_focal_crossentropy, "CategoricalFocalCrossentropy", 
    """Categorical cross-entropy that looks away from what is already right.

    The cross-entropy times alpha (1 - p)^gamma; labels are one-hot. Source: Lin et al. 2017.

    Args:
        alpha: A weight for all classes, or one a class.
        gamma: How strongly easy samples are turned down.
        from_logits: Whether predictions are logits, before sigmoid or softmax.
        label_smoothing: Moves labels this share of the way to even odds, from 0 to 1.
        axis: The axis of the classes.
        reduction: How losses of samples become one number: `"sum_over_batch_size"` (the mean),
            `"sum"`, `"mean_with_sample_weight"` (divided by the sum of the weights) or `"none"`.
        name: The name of the loss; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> loss = fastnn.losses.CategoricalFocalCrossentropy()
        >>> round(float(loss(np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]]))), 4)
        0.0433
    """,
    alpha=0.25, gamma=2.0, from_logits=False, label_smoothing=0.0, axis=-1,
)  # fmt: skip
Dice = _loss_class(
    dice,
    "Dice",
    """One minus twice the overlap over the sum of both: 1 - 2|y p| / (|y| + |p|), for segmentation.

    Args:
        axis: The axes summed over; None: all of them.
        reduction: How losses of samples become one number: `"sum_over_batch_size"` (the mean),
            `"sum"`, `"mean_with_sample_weight"` (divided by the sum of the weights) or `"none"`.
        name: The name of the loss; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> loss = fastnn.losses.Dice()
        >>> round(float(loss(np.array([[1.0, 0.0]]), np.array([[1.0, 1.0]]))), 4)
        0.3333
    """,
    axis=None,
)
Tversky = _loss_class(
    tversky,
    "Tversky",
    """The Dice loss with weights for what is missed and what is found too much. Source: Salehi et
    al. 2017, who name the two weights the other way round.

    Args:
        alpha: The weight of y (1 - p).
        beta: The weight of (1 - y) p.
        axis: The axes summed over; None: all of them.
        reduction: How losses of samples become one number: `"sum_over_batch_size"` (the mean),
            `"sum"`, `"mean_with_sample_weight"` (divided by the sum of the weights) or `"none"`.
        name: The name of the loss; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> loss = fastnn.losses.Tversky(alpha=0.5, beta=0.5)
        >>> round(float(loss(np.array([[1.0, 0.0]]), np.array([[1.0, 1.0]]))), 4)
        0.3333
    """,
    alpha=0.5,
    beta=0.5,
    axis=None,
)
CategoricalGeneralizedCrossEntropy = _loss_class(
    categorical_generalized_cross_entropy, "CategoricalGeneralizedCrossEntropy",
    """A cross-entropy that tolerates wrong labels: (1 - p[y]^q) / q, with class numbers as labels.
    Source: Zhang & Sabuncu 2018.

    Args:
        q: From 0 (cross-entropy) to 1 (absolute error), both ends excluded.
        reduction: How losses of samples become one number: `"sum_over_batch_size"` (the mean),
            `"sum"`, `"mean_with_sample_weight"` (divided by the sum of the weights) or `"none"`.
        name: The name of the loss; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> loss = fastnn.losses.CategoricalGeneralizedCrossEntropy(q=0.5)
        >>> round(float(loss(np.array([1]), np.array([[0.5, 0.5]]))), 4)
        0.5858
    """, q=0.5,
)  # fmt: skip
NLL = _loss_class(
    nll,
    "NLL",
    """The negative log-likelihood of log-probabilities: -p[y], with class numbers as labels.

    Args:
        reduction: How losses of samples become one number: `"sum_over_batch_size"` (the mean),
            `"sum"`, `"mean_with_sample_weight"` (divided by the sum of the weights) or `"none"`.
        name: The name of the loss; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> loss = fastnn.losses.NLL()
        >>> round(float(loss(np.array([1]), np.log([[0.5, 0.5]]))), 4)
        0.6931
    """,
)


class Circle(LossFunctionWrapper):
    """Brings embeddings of one class together and pushes those of others apart.

    Labels are class numbers, predictions unit vectors (n, features). Samples without loss do not
    count in the mean. Source: Sun et al. 2020.

    Args:
        gamma: The scale of the similarities.
        margin: The margin by which similarities are relaxed.
        remove_diagonal: Whether a sample is left out of its own partners.
        reduction: How losses of samples become one number: `"sum_over_batch_size"` (the mean),
            `"sum"`, `"mean_with_sample_weight"` (divided by the sum of the weights) or `"none"`.
        name: The name of the loss; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> loss = fastnn.losses.Circle()
        >>> vectors = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
        >>> round(float(loss(np.array([0, 0, 1]), vectors)), 2)
        3.2
    """

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = "sum_over_batch_size",
        name: str = "circle",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            circle, reduction, name, dtype,
            gamma=gamma, margin=margin, remove_diagonal=remove_diagonal,
        )  # fmt: skip
        self.gamma, self.margin, self.remove_diagonal = gamma, margin, remove_diagonal

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The function's values; class numbers keep their rank."""
        return self.fn(y_true, y_pred, **self._fn_kwargs)

    def _measure(self, y_true: Any, y_pred: Any, sample_weight: Any, mask: Any) -> Any:
        values = self.call(y_true, y_pred)
        return reduce_weighted(values, sample_weight, values > 0.0, self.reduction)


class SparseCategoricalCrossentropy(LossFunctionWrapper):
    """The cross-entropy of class numbers: -log p[y].

    Shapes: labels (…) or (…, 1) of whole numbers, predictions (…, classes).

    Args:
        from_logits: Whether predictions are logits, before sigmoid or softmax.
        ignore_class: A label whose positions are not counted, such as -1.
        reduction: How losses of samples become one number: `"sum_over_batch_size"` (the mean),
            `"sum"`, `"mean_with_sample_weight"` (divided by the sum of the weights) or `"none"`.
        axis: The axis of the classes.
        name: The name of the loss; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Raises:
        DataError: A label is no class of the predictions.

    Example:
        >>> loss = fastnn.losses.SparseCategoricalCrossentropy(from_logits=True)
        >>> round(float(loss(np.array([1]), np.array([[0.0, 0.0]]))), 4)
        0.6931
    """

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str = "sparse_categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            sparse_categorical_crossentropy, reduction, name,
            dtype, from_logits=from_logits, ignore_class=ignore_class, axis=axis,
        )  # fmt: skip
        self.from_logits, self.ignore_class, self.axis = from_logits, ignore_class, axis

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The function's values; y keeps its rank."""
        return self.fn(y_true, y_pred, **self._fn_kwargs)

    def _measure(self, y_true: Any, y_pred: Any, sample_weight: Any, mask: Any) -> Any:
        values = self.call(y_true, y_pred)
        if self.ignore_class is not None:
            flat = ops.cast(y_true, "int32")
            if ops.ndim(flat) == ops.ndim(y_pred):
                flat = ops.squeeze(flat, -1)
            valid = ops.not_equal(flat, self.ignore_class)
            mask = valid if mask is None else ops.logical_and(valid, mask)
        return reduce_weighted(values, sample_weight, mask, self.reduction)


_CLASSES: list[Any] = [
    c
    for n in __all__
    if inspect.isclass(c := globals().get(n)) and c not in (Loss, LossFunctionWrapper)
]
_FUNCTIONS: list[Any] = [
    f for n in __all__ if inspect.isfunction(f := globals().get(n)) and n not in _ACCESS
]
#: Functions whose y holds numbers of the classes that the last axis of p counts.
BY_NUMBER = (sparse_categorical_crossentropy, categorical_generalized_cross_entropy, nll)
#: Functions whose y holds labels or probabilities from 0 to 1.
BINARY = (binary_crossentropy, binary_focal_crossentropy)
#: Functions whose y holds shares of one label, that is one-hot rows or probabilities.
ONE_HOT = (categorical_crossentropy, categorical_focal_crossentropy)
ALIASES = {
    "bce": binary_crossentropy, "BCE": binary_crossentropy, "kld": kl_divergence,
    "KLD": kl_divergence, "mae": mean_absolute_error, "MAE": mean_absolute_error,
    "mse": mean_squared_error, "MSE": mean_squared_error,
    "mape": mean_absolute_percentage_error, "MAPE": mean_absolute_percentage_error,
    "msle": mean_squared_logarithmic_error, "MSLE": mean_squared_logarithmic_error,
    "kullback_leibler_divergence": kl_divergence, "logcosh": log_cosh, "huber_loss": huber,
    "cosine_proximity": cosine_similarity,
}  # fmt: skip
TABLE = Table(
    "loss", [LossFunctionWrapper, *_CLASSES], {f.__name__: f for f in _FUNCTIONS} | ALIASES
)
enter_ops("losses", {f.__name__: f for f in _FUNCTIONS})
mse = MSE = mean_squared_error
mae = MAE = mean_absolute_error
mape = MAPE = mean_absolute_percentage_error
msle = MSLE = mean_squared_logarithmic_error
bce = BCE = binary_crossentropy
kld = KLD = kl_divergence
logcosh = log_cosh


def check_targets(loss: Any, y_true: Any, y_pred: Any) -> None:
    """ShapeError where a loss of this module would stretch targets over outputs, or the reverse.

    Called by itself a loss may, as in Keras; in training it is a mistake that nobody sees.
    """
    fn = getattr(loss, "fn", None)
    if fn not in _FUNCTIONS or fn in BY_NUMBER or fn is circle:
        return
    a, b = tuple(y_true.shape), tuple(y_pred.shape)
    if len(a) == len(b) + 1 and a[-1] == 1:
        a = a[:-1]
    elif len(b) == len(a) + 1 and b[-1] == 1:
        b = b[:-1]
    _check_alike(a, b, (None,))


def get(identifier: Any) -> Any:
    """The loss that a name, config, function or object stands for; None for None.

    Args:
        identifier: A name such as `"mse"`, a config, a function, a `Loss`, or None.

    Returns:
        A `Loss`, a function of (y_true, y_pred), or None.

    Raises:
        ValueError: The name is not known; the hint names the nearest ones.

    Example:
        >>> fastnn.losses.get("mse").__name__
        'mean_squared_error'
    """
    return TABLE.get(identifier)


def serialize(loss: Any) -> Any:
    """The config of a loss.

    Args:
        loss: A `Loss` or a function.

    Returns:
        A dict that JSON holds, or the name of a function.

    Example:
        >>> fastnn.losses.serialize(fastnn.losses.Huber(delta=2.0))["config"]["delta"]
        2.0
    """
    return plain(loss)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The loss that a config describes.

    Args:
        config: What `serialize` gave.
        custom_objects: Classes and functions by name, for what fastnn does not know.

    Returns:
        A `Loss` or a function.

    Raises:
        ValueError: The config names a class that is not known.

    Example:
        >>> config = fastnn.losses.serialize(fastnn.losses.Huber(delta=2.0))
        >>> fastnn.losses.deserialize(config).delta
        2.0
    """
    from fastnn.serialization.custom_objects import custom_object_scope

    with custom_object_scope(custom_objects):
        return get(config)
