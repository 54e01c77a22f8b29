"""Accuracies: shares of predictions that are right. Depends on `metric`."""

from __future__ import annotations

from typing import Any

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.arguments import hints_arguments
from fastnn.base.typing import DTypeLike, TensorLike
from fastnn.losses.checks import check_alike
from fastnn.losses.targets import wants
from fastnn.metrics.metric import MeanMetricWrapper, labels_as_numbers, pair_alike

__all__ = [
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy",
    "TopKCategoricalAccuracy",
    "accuracy",
    "binary_accuracy",
    "categorical_accuracy",
    "sparse_categorical_accuracy",
    "sparse_top_k_categorical_accuracy",
    "top_k_categorical_accuracy",
]


@hints_arguments
def accuracy(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """1 where y equals p, 0 elsewhere.

    Args:
        y_true: True values, of the shape of `y_pred`.
        y_pred: Predictions: (…, values).

    Returns:
        Ones and zeros, of the shape of `y_pred`.

    Example:
        >>> fastnn.metrics.accuracy(np.array([1, 2]), np.array([1, 3])).numpy()
        array([1., 0.], dtype=float32)
    """
    y_true, y_pred = pair_alike(y_true, y_pred)
    return ops.cast(ops.equal(y_true, y_pred), "float32")


@hints_arguments
@wants("binary")
def binary_accuracy(y_true: TensorLike, y_pred: TensorLike, threshold: float = 0.5) -> Tensor:
    """1 where y equals p > threshold, 0 elsewhere.

    Args:
        y_true: True values, of the shape of `y_pred`.
        y_pred: Predictions: (…, values).
        threshold: Predictions above it count as 1.

    Returns:
        Ones and zeros, of the shape of `y_pred`.

    Example:
        >>> fastnn.metrics.binary_accuracy(np.array([1.0, 0.0]), np.array([0.9, 0.7])).numpy()
        array([1., 0.], dtype=float32)
    """
    y_true, y_pred = pair_alike(y_true, y_pred)
    return ops.cast(ops.equal(y_true, ops.cast(y_pred > threshold, "float32")), "float32")


@wants("sign")
def sign_accuracy(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """1 where y and p are both above 0 or both not, 0 elsewhere: accuracy beside a hinge loss."""
    y_true, y_pred = pair_alike(y_true, y_pred)
    return ops.cast(ops.equal(y_true > 0.0, y_pred > 0.0), "float32")


def _one_hot_pair(y_true: TensorLike, y_pred: TensorLike) -> tuple[Any, Any]:
    """One-hot targets and scores; ShapeError when y holds something else, such as numbers."""
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    check_alike(y_true, y_pred)
    return y_true, y_pred


@hints_arguments
@wants("share")
def categorical_accuracy(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """1 where the largest of y and of p stand at the same place, 0 elsewhere.

    Args:
        y_true: One-hot labels (…, classes).
        y_pred: Scores (…, classes).

    Returns:
        Ones and zeros (…).

    Example:
        >>> y, p = np.array([[0.0, 1.0]]), np.array([[0.3, 0.7]])
        >>> fastnn.metrics.categorical_accuracy(y, p).numpy()
        array([1.], dtype=float32)
    """
    y_true, y_pred = _one_hot_pair(y_true, y_pred)
    return ops.cast(ops.equal(ops.argmax(y_true, axis=-1), ops.argmax(y_pred, axis=-1)), "float32")


@hints_arguments
@wants("number")
def sparse_categorical_accuracy(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """1 where the largest of p stands at place y, 0 elsewhere.

    Args:
        y_true: Class numbers (…) or (…, 1).
        y_pred: Scores (…, classes).

    Returns:
        Ones and zeros (…).

    Example:
        >>> y, p = np.array([1]), np.array([[0.3, 0.7]])
        >>> fastnn.metrics.sparse_categorical_accuracy(y, p).numpy()
        array([1.], dtype=float32)
    """
    return ops.cast(
        ops.equal(labels_as_numbers(y_true, y_pred), ops.argmax(y_pred, axis=-1)), "float32"
    )


@hints_arguments
@wants("share")
def top_k_categorical_accuracy(y_true: TensorLike, y_pred: TensorLike, k: int = 5) -> Tensor:
    """1 where the class of one-hot y is among the k best of p, 0 elsewhere.

    Args:
        y_true: One-hot labels (…, classes).
        y_pred: Scores (…, classes).
        k: How many of the best count.

    Returns:
        Ones and zeros (…).

    Example:
        >>> y, p = np.array([[0.0, 1.0, 0.0]]), np.array([[0.5, 0.3, 0.2]])
        >>> fastnn.metrics.top_k_categorical_accuracy(y, p, k=2).numpy()
        array([1.], dtype=float32)
    """
    y_true, y_pred = _one_hot_pair(y_true, y_pred)
    return sparse_top_k_categorical_accuracy(ops.argmax(y_true, axis=-1), y_pred, k)


@hints_arguments
@wants("number")
def sparse_top_k_categorical_accuracy(
    y_true: TensorLike, y_pred: TensorLike, k: int = 5, from_sorted_ids: bool = False
) -> Tensor:
    """1 where class y is among the k best of p, 0 elsewhere.

    Args:
        y_true: Class numbers (…) or (…, 1).
        y_pred: Scores (…, classes).
        k: How many of the best count.
        from_sorted_ids: Whether `y_pred` holds class numbers already, best first.

    Returns:
        Ones and zeros (…).

    Example:
        >>> y, p = np.array([1]), np.array([[0.5, 0.3, 0.2]])
        >>> fastnn.metrics.sparse_top_k_categorical_accuracy(y, p, k=2).numpy()
        array([1.], dtype=float32)
    """
    y_true = labels_as_numbers(y_true, y_pred)
    if from_sorted_ids:
        best = ops.cast(y_pred, "int32")[..., :k]
        return ops.cast(
            ops.any(ops.equal(ops.expand_dims(y_true, axis=-1), best), axis=-1), "float32"
        )
    return ops.cast(ops.in_top_k(y_true, y_pred, k), "float32")


class Accuracy(MeanMetricWrapper):
    """The share of predictions that equal their label.

    Args:
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.Accuracy()
        >>> metric.update_state([1, 2, 3], [1, 2, 0])
        >>> round(float(metric.result()), 4)
        0.6667
    """

    _direction = "up"

    def __init__(
        self,
        name: str | None = "accuracy",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(accuracy, name or "accuracy", dtype)


class BinaryAccuracy(MeanMetricWrapper):
    """The share of yes/no answers that are right: labels 0 and 1 against p > threshold.

    Args:
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.
        threshold: Predictions above it count as 1.

    Example:
        >>> metric = fastnn.metrics.BinaryAccuracy()
        >>> metric.update_state([[1.0], [0.0], [1.0], [1.0]], [[0.9], [0.2], [0.4], [0.8]])
        >>> float(metric.result())
        0.75
    """

    _direction = "up"

    def __init__(
        self,
        name: str | None = "binary_accuracy",
        dtype: DTypeLike = None,
        threshold: float = 0.5,
    ) -> None:
        super().__init__(binary_accuracy, name or "binary_accuracy", dtype, threshold=threshold)
        self.threshold = threshold


class CategoricalAccuracy(MeanMetricWrapper):
    """The share of samples whose largest prediction stands where the label is one: labels one-hot.

    Args:
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.CategoricalAccuracy()
        >>> metric.update_state([[0.0, 1.0], [1.0, 0.0]], [[0.3, 0.7], [0.4, 0.6]])
        >>> float(metric.result())
        0.5
    """

    _direction = "up"

    def __init__(
        self,
        name: str | None = "categorical_accuracy",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(categorical_accuracy, name or "categorical_accuracy", dtype)


class SparseCategoricalAccuracy(MeanMetricWrapper):
    """The share of samples whose largest prediction is the class of the label: labels class
    numbers.

    Args:
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.SparseCategoricalAccuracy()
        >>> metric.update_state([1, 0], [[0.3, 0.7], [0.4, 0.6]])
        >>> float(metric.result())
        0.5
    """

    _direction = "up"

    def __init__(
        self,
        name: str | None = "sparse_categorical_accuracy",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(sparse_categorical_accuracy, name or "sparse_categorical_accuracy", dtype)


class TopKCategoricalAccuracy(MeanMetricWrapper):
    """The share of samples whose class is among the k best predictions: labels one-hot.

    Args:
        k: How many of the best count.
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.TopKCategoricalAccuracy(k=2)
        >>> metric.update_state([[0.0, 1.0, 0.0]], [[0.5, 0.3, 0.2]])
        >>> float(metric.result())
        1.0
    """

    _direction = "up"

    def __init__(
        self,
        k: int = 5,
        name: str | None = "top_k_categorical_accuracy",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(
            top_k_categorical_accuracy, name or "top_k_categorical_accuracy", dtype, k=k
        )
        self.k = k


class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """The share of samples whose class is among the k best predictions: labels class numbers.

    Args:
        k: How many of the best count.
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.
        from_sorted_ids: Whether predictions are class numbers already, best first.

    Example:
        >>> metric = fastnn.metrics.SparseTopKCategoricalAccuracy(k=2)
        >>> metric.update_state([1], [[0.5, 0.3, 0.2]])
        >>> float(metric.result())
        1.0
    """

    _direction = "up"

    def __init__(
        self,
        k: int = 5,
        name: str | None = "sparse_top_k_categorical_accuracy",
        dtype: DTypeLike = None,
        from_sorted_ids: bool = False,
    ) -> None:
        super().__init__(
            sparse_top_k_categorical_accuracy,
            name or "sparse_top_k_categorical_accuracy",
            dtype,
            k=k,
            from_sorted_ids=from_sorted_ids,
        )
        self.k = k
        self.from_sorted_ids = from_sorted_ids
