"""Means of losses of classes and shares. Depends on `metric`, `losses`."""

from __future__ import annotations

from fastnn import losses
from fastnn.base.typing import DTypeLike
from fastnn.metrics.metric import MeanMetricWrapper

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "KLDivergence",
    "Poisson",
    "SparseCategoricalCrossentropy",
]


class BinaryCrossentropy(MeanMetricWrapper):
    """The mean cross-entropy of yes/no labels.

    Args:
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.
        from_logits: Whether predictions are logits, before sigmoid or softmax.
        label_smoothing: Moves labels this share of the way to even odds, from 0 to 1.

    Example:
        >>> metric = fastnn.metrics.BinaryCrossentropy()
        >>> metric.update_state([[1.0, 0.0]], [[0.5, 0.5]])
        >>> round(float(metric.result()), 4)
        0.6931
    """

    _direction = "down"

    def __init__(
        self,
        name: str | None = "binary_crossentropy",
        dtype: DTypeLike = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ) -> None:
        super().__init__(
            losses.binary_crossentropy,
            name or "binary_crossentropy",
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
        )
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing


class CategoricalCrossentropy(MeanMetricWrapper):
    """The mean cross-entropy of one-hot labels.

    Args:
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.
        from_logits: Whether predictions are logits, before sigmoid or softmax.
        label_smoothing: Moves labels this share of the way to even odds, from 0 to 1.
        axis: The axis of the classes.

    Example:
        >>> metric = fastnn.metrics.CategoricalCrossentropy()
        >>> metric.update_state([[0.0, 1.0]], [[0.5, 0.5]])
        >>> round(float(metric.result()), 4)
        0.6931
    """

    _direction = "down"

    def __init__(
        self,
        name: str | None = "categorical_crossentropy",
        dtype: DTypeLike = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        super().__init__(
            losses.categorical_crossentropy,
            name or "categorical_crossentropy",
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis


class SparseCategoricalCrossentropy(MeanMetricWrapper):
    """The mean cross-entropy of class numbers; `ignore_class` has loss 0, and weight 0 if weighted.

    Args:
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.
        from_logits: Whether predictions are logits, before sigmoid or softmax.
        ignore_class: A label whose positions have loss 0, such as -1.
        axis: The axis of the classes.

    Example:
        >>> metric = fastnn.metrics.SparseCategoricalCrossentropy()
        >>> metric.update_state([1], [[0.5, 0.5]])
        >>> round(float(metric.result()), 4)
        0.6931
    """

    _direction = "down"

    def __init__(
        self,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: DTypeLike = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        super().__init__(
            losses.sparse_categorical_crossentropy,
            name or "sparse_categorical_crossentropy",
            dtype,
            from_logits=from_logits,
            ignore_class=ignore_class,
            axis=axis,
        )
        self.from_logits = from_logits
        self.ignore_class = ignore_class
        self.axis = axis


class KLDivergence(MeanMetricWrapper):
    """The mean Kullback-Leibler divergence of labels and predictions.

    Args:
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.KLDivergence()
        >>> metric.update_state([[0.5, 0.5]], [[0.25, 0.75]])
        >>> round(float(metric.result()), 4)
        0.1438
    """

    _direction = "down"

    def __init__(
        self,
        name: str | None = "kl_divergence",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(losses.kl_divergence, name or "kl_divergence", dtype)


class Poisson(MeanMetricWrapper):
    """The mean loss of counts that follow a Poisson law: p - y log(p).

    Args:
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.Poisson()
        >>> metric.update_state([[2.0]], [[1.0]])
        >>> round(float(metric.result()), 4)
        1.0
    """

    _direction = "down"

    def __init__(
        self,
        name: str | None = "poisson",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(losses.poisson, name or "poisson", dtype)
