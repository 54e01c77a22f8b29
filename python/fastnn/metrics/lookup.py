"""Metrics by name, and the names that they go by. Depends on the other modules of the package."""

from __future__ import annotations

from typing import Any

from fastnn import losses, metrics, ops
from fastnn.base.arguments import hints_arguments
from fastnn.base.typing import TensorLike
from fastnn.losses import (
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
)
from fastnn.metrics.accuracies import sign_accuracy
from fastnn.metrics.base import (
    BinaryAccuracy,
    BinaryCrossentropy,
    CategoricalAccuracy,
    CategoricalCrossentropy,
    CosineSimilarity,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanMetricWrapper,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Metric,
    RootMeanSquaredError,
    SparseCategoricalAccuracy,
    SparseCategoricalCrossentropy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
)
from fastnn.metrics.confusion import AUC
from fastnn.serialization.objects import written
from fastnn.serialization.registry import Registry

# Keras's short names of the functions.
mse = MSE = mean_squared_error
mae = MAE = mean_absolute_error
mape = MAPE = mean_absolute_percentage_error
msle = MSLE = mean_squared_logarithmic_error
kld = KLD = kullback_leibler_divergence = kl_divergence
logcosh = log_cosh
_CLASSES = [getattr(metrics, n) for n in metrics.__all__ if n[0].isupper()]
ALIASES = {
    "mse": MeanSquaredError, "MSE": MeanSquaredError, "mae": MeanAbsoluteError,
    "MAE": MeanAbsoluteError, "mape": MeanAbsolutePercentageError,
    "MAPE": MeanAbsolutePercentageError, "msle": MeanSquaredLogarithmicError,
    "MSLE": MeanSquaredLogarithmicError, "bce": BinaryCrossentropy, "BCE": BinaryCrossentropy,
    "cosine_similarity": CosineSimilarity, "cosine": CosineSimilarity, "kld": KLDivergence,
    "KLD": KLDivergence, "rmse": RootMeanSquaredError, "RMSE": RootMeanSquaredError,
    "logcosh": LogCoshError, "auc": AUC,
    "top_k_categorical_accuracy": TopKCategoricalAccuracy,
    "sparse_top_k_categorical_accuracy": SparseTopKCategoricalAccuracy,
}  # fmt: skip
TABLE = Registry("metric", _CLASSES, ALIASES)
#: Names that mean a class chosen by the shapes of y and p.
BY_SHAPE = ("accuracy", "acc", "crossentropy", "ce")


def check_name(name: str) -> None:
    """ValueError with the nearest names when no metric or loss function has this name."""
    from fastnn.errors import unknown_name

    known = {*TABLE.names, *BY_SHAPE, *losses.TABLE.names}
    from fastnn.serialization.custom_objects import custom_objects

    if name not in known and name.lower() not in known and name not in custom_objects():
        raise unknown_name("metric", name, {k for k in known if k.islower()})


def by_shape(
    name: str,
    y_true: TensorLike,
    y_pred: TensorLike,
    from_logits: bool = False,
    targets: str | None = None,
) -> Metric:
    """The accuracy or cross-entropy that fits the shapes, as Keras chooses it, and the loss.

    `from_logits` says that the outputs are logits: a binary accuracy cuts them at 0 then.
    `targets` is the kind that the loss wants: labels that are each yes or no make several binary
    accuracies, and labels -1 and 1 are right where the sign of the output is.
    """
    rank_true, rank_pred = ops.ndim(y_true), ops.ndim(y_pred)
    binary = y_pred.shape[-1] == 1 or targets in ("binary", "sign") if rank_pred else True
    if targets == "sign" and name in ("accuracy", "acc"):
        return MeanMetricWrapper(sign_accuracy, name)
    sparse = rank_true < rank_pred or (rank_true > 0 and y_true.shape[-1] == 1)
    if name in ("accuracy", "acc"):
        kind: Any = (
            BinaryAccuracy
            if binary
            else SparseCategoricalAccuracy
            if sparse
            else CategoricalAccuracy
        )
    else:
        kind = (
            BinaryCrossentropy if binary
            else SparseCategoricalCrossentropy if sparse else CategoricalCrossentropy
        )  # fmt: skip
    settings: dict[str, Any] = {}
    if from_logits and kind is BinaryAccuracy:
        settings = {"threshold": 0.0}
    elif from_logits and name in ("crossentropy", "ce"):
        settings = {"from_logits": True}
    metric: Metric = kind(name=name, **settings)
    return metric


@hints_arguments
def get(identifier: Any) -> Any:
    """The metric that a name, config, function or object stands for; None for None.

    Args:
        identifier: A name such as `"mae"`, a config, a function, a `Metric`, or None.

    Returns:
        A `Metric`, a function of (y_true, y_pred), or None.

    Raises:
        ValueError: The name is not known; the hint names the nearest ones.

    Example:
        >>> type(fastnn.metrics.get("auc")).__name__
        'AUC'
    """
    if isinstance(identifier, str) and identifier not in TABLE.names:
        check_name(identifier)
        if identifier.lower() not in TABLE.names and identifier in losses.TABLE.names:
            return MeanMetricWrapper(losses.TABLE.find(identifier), identifier)
    return TABLE.get(identifier)


@hints_arguments
def serialize(metric: Metric) -> Any:
    """The config of a metric.

    Args:
        metric: A `Metric`.

    Returns:
        A dict that JSON holds.

    Example:
        >>> config = fastnn.metrics.serialize(fastnn.metrics.BinaryAccuracy(threshold=0.7))
        >>> config["config"]["threshold"]
        0.7
    """
    return written(metric)


@hints_arguments
def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The metric that a config describes.

    Args:
        config: What `serialize` gave.
        custom_objects: Classes and functions by name, for what fastnn does not know.

    Returns:
        A `Metric`.

    Raises:
        ValueError: The config names a class that is not known.

    Example:
        >>> config = fastnn.metrics.serialize(fastnn.metrics.BinaryAccuracy(threshold=0.7))
        >>> fastnn.metrics.deserialize(config).threshold
        0.7
    """
    from fastnn.serialization.custom_objects import custom_object_scope

    with custom_object_scope(custom_objects):
        return get(config)
