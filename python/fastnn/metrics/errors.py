"""Means of errors and losses of numbers, and correlations. Depends on `metric`, `losses`."""

from __future__ import annotations

from typing import Any

from fastnn import losses, ops
from fastnn._core import Tensor
from fastnn.base.arguments import hints_arguments
from fastnn.base.typing import DTypeLike, TensorLike
from fastnn.config import epsilon
from fastnn.metrics.metric import Mean, MeanMetricWrapper, pair_alike

__all__ = [
    "CategoricalHinge",
    "ConcordanceCorrelation",
    "CosineSimilarity",
    "Hinge",
    "LogCoshError",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "PearsonCorrelation",
    "RootMeanSquaredError",
    "SquaredHinge",
    "concordance_correlation",
    "pearson_correlation",
]


def cosine_similarity(y_true: TensorLike, y_pred: TensorLike, axis: int = -1) -> Any:
    """Cos of the angle between y and p along `axis`."""
    return -losses.cosine_similarity(y_true, y_pred, axis)


class MeanSquaredError(MeanMetricWrapper):
    """The mean of squared errors.

    Args:
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.MeanSquaredError()
        >>> metric.update_state([[1.0, 2.0]], [[1.0, 4.0]])
        >>> float(metric.result())
        2.0
    """

    _direction = "down"

    def __init__(
        self,
        name: str | None = "mean_squared_error",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(losses.mean_squared_error, name or "mean_squared_error", dtype)


class MeanAbsoluteError(MeanMetricWrapper):
    """The mean of absolute errors.

    Args:
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.MeanAbsoluteError()
        >>> metric.update_state([[1.0, 2.0]], [[1.0, 4.0]])
        >>> float(metric.result())
        1.0
    """

    _direction = "down"

    def __init__(
        self,
        name: str | None = "mean_absolute_error",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(losses.mean_absolute_error, name or "mean_absolute_error", dtype)


class MeanAbsolutePercentageError(MeanMetricWrapper):
    """The mean of absolute errors in percent of the labels.

    Args:
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.MeanAbsolutePercentageError()
        >>> metric.update_state([[2.0, 4.0]], [[1.0, 4.0]])
        >>> float(metric.result())
        25.0
    """

    _direction = "down"

    def __init__(
        self,
        name: str | None = "mean_absolute_percentage_error",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(
            losses.mean_absolute_percentage_error, name or "mean_absolute_percentage_error", dtype
        )


class MeanSquaredLogarithmicError(MeanMetricWrapper):
    """The mean of squared differences of log(1 + y) and log(1 + p).

    Args:
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.MeanSquaredLogarithmicError()
        >>> metric.update_state([[1.0]], [[3.0]])
        >>> round(float(metric.result()), 4)
        0.4805
    """

    _direction = "down"

    def __init__(
        self,
        name: str | None = "mean_squared_logarithmic_error",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(
            losses.mean_squared_logarithmic_error, name or "mean_squared_logarithmic_error", dtype
        )


class CosineSimilarity(MeanMetricWrapper):
    """The mean cosine of the angle between labels and predictions, 1 where they point the same way.

    Args:
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.
        axis: The axis of the vectors.

    Example:
        >>> metric = fastnn.metrics.CosineSimilarity()
        >>> metric.update_state([[1.0, 0.0]], [[2.0, 0.0]])
        >>> float(metric.result())
        1.0
    """

    _direction = "up"

    def __init__(
        self,
        name: str | None = "cosine_similarity",
        dtype: DTypeLike = None,
        axis: int = -1,
    ) -> None:
        super().__init__(cosine_similarity, name or "cosine_similarity", dtype, axis=axis)
        self.axis = axis


class LogCoshError(MeanMetricWrapper):
    """The mean of log(cosh(p - y)).

    Args:
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.LogCoshError()
        >>> metric.update_state([[0.0]], [[1.0]])
        >>> round(float(metric.result()), 4)
        0.4338
    """

    _direction = "down"

    def __init__(
        self,
        name: str | None = "logcosh",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(losses.log_cosh, name or "logcosh", dtype)


class Hinge(MeanMetricWrapper):
    """The mean of max(1 - y p, 0); labels 0 and 1 are read as -1 and 1.

    Args:
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.Hinge()
        >>> metric.update_state([[1.0, -1.0]], [[0.5, -2.0]])
        >>> float(metric.result())
        0.25
    """

    _direction = "down"

    def __init__(
        self,
        name: str | None = "hinge",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(losses.hinge, name or "hinge", dtype)


class SquaredHinge(MeanMetricWrapper):
    """The mean of max(1 - y p, 0)²; labels 0 and 1 are read as -1 and 1.

    Args:
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.SquaredHinge()
        >>> metric.update_state([[1.0, -1.0]], [[0.5, -2.0]])
        >>> float(metric.result())
        0.125
    """

    _direction = "down"

    def __init__(
        self,
        name: str | None = "squared_hinge",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(losses.squared_hinge, name or "squared_hinge", dtype)


class CategoricalHinge(MeanMetricWrapper):
    """The mean of max(1 + best wrong score - right score, 0); labels one-hot.

    Args:
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.CategoricalHinge()
        >>> metric.update_state([[0.0, 1.0]], [[0.25, 0.75]])
        >>> float(metric.result())
        0.5
    """

    _direction = "down"

    def __init__(
        self,
        name: str | None = "categorical_hinge",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(losses.categorical_hinge, name or "categorical_hinge", dtype)


@hints_arguments
def pearson_correlation(y_true: TensorLike, y_pred: TensorLike, axis: int = -1) -> Tensor:
    """Pearson's correlation of y and p along `axis`.

    Args:
        y_true: True values, of the shape of `y_pred`.
        y_pred: Predictions: (…, values).
        axis: The axis along which values are correlated.

    Returns:
        Numbers from -1 to 1, of the shape without `axis`.

    Example:
        >>> y, p = np.array([[1.0, 2.0, 3.0]]), np.array([[2.0, 4.0, 6.0]])
        >>> fastnn.metrics.pearson_correlation(y, p).numpy().round(4)
        array([1.], dtype=float32)
    """
    y, p = _centred(y_true, axis), _centred(y_pred, axis)
    y, p = y / ops.std(y, axis=axis, keepdims=True), p / ops.std(p, axis=axis, keepdims=True)
    return ops.mean(y * p, axis=axis)


@hints_arguments
def concordance_correlation(y_true: TensorLike, y_pred: TensorLike, axis: int = -1) -> Tensor:
    """Lin's concordance of y and p along `axis`, a correlation that counts shifts. Source: Lin
    1989.

    Args:
        y_true: True values, of the shape of `y_pred`.
        y_pred: Predictions: (…, values).
        axis: The axis along which values are compared.

    Returns:
        Numbers from -1 to 1, of the shape without `axis`.

    Example:
        >>> y, p = np.array([[1.0, 2.0, 3.0]]), np.array([[2.0, 3.0, 4.0]])
        >>> fastnn.metrics.concordance_correlation(y, p).numpy().round(4)
        array([0.5714], dtype=float32)
    """
    y_true = ops.convert_to_tensor(y_true, "float32")
    y_pred = ops.convert_to_tensor(y_pred, "float32")
    y, p = _centred(y_true, axis), _centred(y_pred, axis)
    shift = ops.mean(y_true, axis=axis, keepdims=True) - ops.mean(y_pred, axis=axis, keepdims=True)
    spread = ops.var(y, axis=axis, keepdims=True) + ops.var(p, axis=axis, keepdims=True)
    return ops.mean(2.0 * y * p / (spread + ops.square(shift) + epsilon()), axis=axis)


def _centred(x: TensorLike, axis: int) -> Any:
    x = ops.convert_to_tensor(x, "float32")
    return x - ops.mean(x, axis=axis, keepdims=True)


class PearsonCorrelation(MeanMetricWrapper):
    """The mean correlation of labels and predictions along an axis. Source: Pearson 1895.

    Args:
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.
        axis: The axis along which values are correlated.

    Example:
        >>> metric = fastnn.metrics.PearsonCorrelation()
        >>> metric.update_state([[1.0, 2.0, 3.0]], [[2.0, 4.0, 6.0]])
        >>> round(float(metric.result()), 4)
        1.0
    """

    _direction = "up"

    def __init__(
        self,
        name: str | None = "pearson_correlation",
        dtype: DTypeLike = None,
        axis: int = -1,
    ) -> None:
        super().__init__(pearson_correlation, name or "pearson_correlation", dtype, axis=axis)
        self.axis = axis


class ConcordanceCorrelation(MeanMetricWrapper):
    """The mean concordance of labels and predictions: a correlation that counts shifts and scales
    as errors. Source: Lin 1989.

    Args:
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.
        axis: The axis along which values are compared.

    Example:
        >>> metric = fastnn.metrics.ConcordanceCorrelation()
        >>> metric.update_state([[1.0, 2.0, 3.0]], [[2.0, 3.0, 4.0]])
        >>> round(float(metric.result()), 4)
        0.5714
    """

    _direction = "up"

    def __init__(
        self,
        name: str | None = "concordance_correlation",
        dtype: DTypeLike = None,
        axis: int = -1,
    ) -> None:
        super().__init__(
            concordance_correlation, name or "concordance_correlation", dtype, axis=axis
        )
        self.axis = axis


class RootMeanSquaredError(Mean):
    """The square root of the mean squared error over all elements.

    Args:
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.RootMeanSquaredError()
        >>> metric.update_state([0.0, 0.0], [3.0, 3.0])
        >>> float(metric.result())
        3.0
    """

    _direction = "down"

    def __init__(self, name: str = "root_mean_squared_error", dtype: DTypeLike = None) -> None:
        super().__init__(name=name, dtype=dtype)

    @hints_arguments
    def update_state(  # type: ignore[override]
        self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike = None
    ) -> None:
        """Adds squared errors."""
        y_true, y_pred = pair_alike(y_true, y_pred)
        super().update_state(ops.square(y_pred - y_true), sample_weight)

    def result(self) -> Any:
        """sqrt(mean)."""
        return ops.sqrt(super().result())
