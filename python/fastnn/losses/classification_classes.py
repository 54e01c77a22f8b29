"""Losses of classes and shares as objects: the functions of `classification` with settings."""

from __future__ import annotations

from typing import Any

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.typing import DTypeLike, TensorLike
from fastnn.losses.base import LossFunctionWrapper
from fastnn.losses.classification import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_generalized_cross_entropy,
    circle,
    dice,
    nll,
    sparse_categorical_crossentropy,
    tversky,
)

__all__ = [
    "NLL",
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalGeneralizedCrossEntropy",
    "Circle",
    "Dice",
    "SparseCategoricalCrossentropy",
    "Tversky",
]


class BinaryCrossentropy(LossFunctionWrapper):
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
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "binary_crossentropy",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(
            binary_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis


class CategoricalCrossentropy(LossFunctionWrapper):
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
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_crossentropy",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(
            categorical_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis


class BinaryFocalCrossentropy(LossFunctionWrapper):
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
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "binary_focal_crossentropy",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(
            binary_focal_crossentropy,
            reduction,
            name,
            dtype,
            apply_class_balancing=apply_class_balancing,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )
        self.apply_class_balancing = apply_class_balancing
        self.alpha = alpha
        self.gamma = gamma
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis


class CategoricalFocalCrossentropy(LossFunctionWrapper):
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
    """

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_focal_crossentropy",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(
            categorical_focal_crossentropy,
            reduction,
            name,
            dtype,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )
        self.alpha = alpha
        self.gamma = gamma
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis


class _OfTheBatch(LossFunctionWrapper):
    """A loss that may be one number of the whole batch, which each weight of a sample weighs."""

    def _checked(
        self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike, mask: TensorLike
    ) -> Any:
        values = super()._checked(y_true, y_pred, sample_weight, mask)
        weights = mask if sample_weight is None else sample_weight
        if weights is None or ops.ndim(values):
            return values
        return values * ops.ones_like(ops.convert_to_tensor(weights), dtype="float32")


class Dice(_OfTheBatch):
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
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "dice",
        axis: Any = None,
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(dice, reduction, name, dtype, axis=axis)
        self.axis = axis


class Tversky(_OfTheBatch):
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
    """

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str = "tversky",
        axis: Any = None,
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(tversky, reduction, name, dtype, alpha=alpha, beta=beta, axis=axis)
        self.alpha = alpha
        self.beta = beta
        self.axis = axis


class CategoricalGeneralizedCrossEntropy(LossFunctionWrapper):
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
    """

    def __init__(
        self,
        q: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_generalized_cross_entropy",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(categorical_generalized_cross_entropy, reduction, name, dtype, q=q)
        self.q = q


class NLL(LossFunctionWrapper):
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
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "nll",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(nll, reduction, name, dtype)


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

    gamma: float
    margin: float
    remove_diagonal: bool

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = "sum_over_batch_size",
        name: str = "circle",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(
            circle, reduction, name, dtype,
            gamma=gamma, margin=margin, remove_diagonal=remove_diagonal,
        )  # fmt: skip
        self.gamma, self.margin, self.remove_diagonal = gamma, margin, remove_diagonal

    def call(self, y_true: TensorLike, y_pred: TensorLike) -> Tensor:
        """The function's values; class numbers keep their rank."""
        return self.fn(y_true, y_pred, **self._fn_kwargs)


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

    from_logits: bool
    ignore_class: int | None
    axis: int

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str = "sparse_categorical_crossentropy",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(
            sparse_categorical_crossentropy, reduction, name,
            dtype, from_logits=from_logits, ignore_class=ignore_class, axis=axis,
        )  # fmt: skip
        self.from_logits, self.ignore_class, self.axis = from_logits, ignore_class, axis

    def call(self, y_true: TensorLike, y_pred: TensorLike) -> Tensor:
        """The function's values; y keeps its rank."""
        return self.fn(y_true, y_pred, **self._fn_kwargs)
