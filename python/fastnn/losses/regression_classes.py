"""Losses of numbers as objects: the functions of `regression` with their settings."""

from __future__ import annotations

from fastnn.base.typing import DTypeLike
from fastnn.losses.base import LossFunctionWrapper
from fastnn.losses.regression import (
    categorical_hinge,
    cosine_similarity,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    squared_hinge,
)

__all__ = [
    "CategoricalHinge",
    "CosineSimilarity",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "SquaredHinge",
]


class MeanSquaredError(LossFunctionWrapper):
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
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_squared_error",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(mean_squared_error, reduction, name, dtype)


class MeanAbsoluteError(LossFunctionWrapper):
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
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_absolute_error",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(mean_absolute_error, reduction, name, dtype)


class MeanAbsolutePercentageError(LossFunctionWrapper):
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
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_absolute_percentage_error",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(mean_absolute_percentage_error, reduction, name, dtype)


class MeanSquaredLogarithmicError(LossFunctionWrapper):
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
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_squared_logarithmic_error",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(mean_squared_logarithmic_error, reduction, name, dtype)


class CosineSimilarity(LossFunctionWrapper):
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
    """

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "cosine_similarity",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(cosine_similarity, reduction, name, dtype, axis=axis)
        self.axis = axis


class Huber(LossFunctionWrapper):
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
    """

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str = "huber_loss",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(huber, reduction, name, dtype, delta=delta)
        self.delta = delta


class LogCosh(LossFunctionWrapper):
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
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "log_cosh",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(log_cosh, reduction, name, dtype)


class Hinge(LossFunctionWrapper):
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
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "hinge",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(hinge, reduction, name, dtype)


class SquaredHinge(LossFunctionWrapper):
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
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "squared_hinge",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(squared_hinge, reduction, name, dtype)


class CategoricalHinge(LossFunctionWrapper):
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
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_hinge",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(categorical_hinge, reduction, name, dtype)


class KLDivergence(LossFunctionWrapper):
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
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "kl_divergence",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(kl_divergence, reduction, name, dtype)


class Poisson(LossFunctionWrapper):
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
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "poisson",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(poisson, reduction, name, dtype)
