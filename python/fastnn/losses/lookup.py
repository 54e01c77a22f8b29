"""Losses by name, and the names that they go by. Depends on the other modules of the package."""

from __future__ import annotations

import inspect
from typing import Any

from fastnn.base.arguments import hints_arguments
from fastnn.base.typing import TensorLike
from fastnn.losses import (
    classification,
    classification_classes,
    regression,
    regression_classes,
    temporal,
)
from fastnn.losses.base import LossFunctionWrapper
from fastnn.losses.checks import check_same_shape
from fastnn.losses.classification import binary_crossentropy
from fastnn.losses.regression import (
    cosine_similarity,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
)
from fastnn.losses.targets import targets_of
from fastnn.serialization.custom_objects import custom_object_scope
from fastnn.serialization.objects import written
from fastnn.serialization.registry import Registry
from fastnn.tracing.known_ops import enter_ops

CLASSES: list[Any] = [
    getattr(module, name)
    for module in (regression_classes, classification_classes, temporal)
    for name in module.__all__
    if inspect.isclass(getattr(module, name))
]
FUNCTIONS: list[Any] = [
    f
    for module in (regression, classification, temporal)
    for name in module.__all__
    if inspect.isfunction(f := getattr(module, name))
]
ALIASES = {
    "bce": binary_crossentropy, "BCE": binary_crossentropy, "kld": kl_divergence,
    "KLD": kl_divergence, "mae": mean_absolute_error, "MAE": mean_absolute_error,
    "mse": mean_squared_error, "MSE": mean_squared_error,
    "mape": mean_absolute_percentage_error, "MAPE": mean_absolute_percentage_error,
    "msle": mean_squared_logarithmic_error, "MSLE": mean_squared_logarithmic_error,
    "kullback_leibler_divergence": kl_divergence, "logcosh": log_cosh, "huber_loss": huber,
    "cosine_proximity": cosine_similarity,
}  # fmt: skip
#: The functions that want class numbers, and those that want labels from 0 to 1.
BY_NUMBER, BINARY = (
    tuple(f for f in FUNCTIONS if (wanted := targets_of(f)) is not None and wanted.kind == kind)
    for kind in ("number", "binary")
)
TABLE = Registry(
    "loss", [LossFunctionWrapper, *CLASSES], {f.__name__: f for f in FUNCTIONS} | ALIASES
)
enter_ops("losses", {f.__name__: f for f in FUNCTIONS})
mse = MSE = mean_squared_error
mae = MAE = mean_absolute_error
mape = MAPE = mean_absolute_percentage_error
msle = MSLE = mean_squared_logarithmic_error
bce = BCE = binary_crossentropy
kld = KLD = kl_divergence
logcosh = log_cosh


def check_targets(loss: Any, y_true: TensorLike, y_pred: TensorLike) -> None:
    """ShapeError where a loss of this package would stretch targets over outputs, or the reverse.

    Called by itself a loss may, as in Keras; in training it is a mistake that nobody sees.
    """
    fn = getattr(loss, "fn", None)
    wanted = targets_of(loss)
    if fn not in FUNCTIONS or (wanted is not None and wanted.kind in ("number", "whole")):
        return
    a, b = tuple(y_true.shape), tuple(y_pred.shape)
    if len(a) == len(b) + 1 and a[-1] == 1:
        a = a[:-1]
    elif len(b) == len(a) + 1 and b[-1] == 1:
        b = b[:-1]
    check_same_shape(a, b, (None,))


@hints_arguments
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


@hints_arguments
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
    return written(loss)


@hints_arguments
def deserialize(name: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The loss that a config describes.

    Args:
        name: What `serialize` gave, or a name.
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
    with custom_object_scope(custom_objects):
        return get(name)
