"""`Loss`: what reduces the numbers of samples to one; masked positions are not counted.

The mean divides by the number of elements also with sample weights.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.arguments import hints_arguments
from fastnn.base.typing import DTypeLike, TensorLike
from fastnn.config import snake_case as _snake, unique_name
from fastnn.dtype_policies import computing_dtype
from fastnn.errors import DataError, ShapeError
from fastnn.losses.checks import broadcasts, squeeze_or_expand_to_same_rank
from fastnn.losses.targets import guarded, labels_are_checked, targets_of
from fastnn.serialization.encoding import Configurable, to_config
from fastnn.tracing.call_context import mask_of
from fastnn.tracing.ranks import current_step

__all__ = [
    "Loss",
    "LossFunctionWrapper",
    "Reduction",
    "match_weights",
    "reduce_values",
    "reduce_weighted",
    "weight_of_mask",
]


_REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)


class Reduction:
    """Names of reductions, as older versions of Keras spell them.

    Example:
        >>> fastnn.losses.MeanSquaredError(reduction=fastnn.losses.Reduction.SUM).reduction
        'sum'
    """

    AUTO, NONE, SUM, SUM_OVER_BATCH_SIZE = "auto", "none", "sum", "sum_over_batch_size"


def reduce_values(values: TensorLike, sample_weight: TensorLike, reduction: str | None) -> Any:
    """Per-sample values to a number by the reduction's rule."""
    if reduction in (None, "none"):
        return values
    total = ops.sum(values)
    if ops.ndim(values) == 0:
        return total
    # Of several ranks each gives its part: the mean of the parts by rows is the loss of all rows.
    step = current_step()
    if reduction == "sum":
        return total if step is None else step.as_part(total)
    if reduction == "mean_with_sample_weight" and sample_weight is not None:
        weight = ops.sum(sample_weight)
        if step is not None:
            total, weight = step.as_part(total), step.sum(step.present(weight))
        return ops.divide_no_nan(total, weight)
    return ops.mean(values)


def reduce_weighted(
    values: TensorLike, sample_weight: TensorLike, mask: TensorLike, reduction: str | None
) -> Any:
    """Values times weights, reduced; a mask removes positions and shrinks the divisor."""
    values = ops.convert_to_tensor(values, "float32")
    share = None
    if mask is not None:
        keep, values = match_weights(ops.cast(mask, "float32"), values)
        valid, places = ops.sum(keep), ops.sum(ops.ones_like(keep))
        step = current_step()
        if step is not None and reduction in ("sum_over_batch_size", "mean"):
            both = step.sum(step.present(ops.stack([valid, places])))
            valid, places = ops.unstack(both)
        share = places / ops.maximum(valid, 1e-7)
        sample_weight = weight_of_mask(sample_weight, keep)
    if sample_weight is not None:
        sample_weight = ops.convert_to_tensor(sample_weight, "float32")
        sample_weight, values = match_weights(sample_weight, values)
        values = values * sample_weight
    out = reduce_values(values, sample_weight, reduction)
    if share is not None and reduction in ("sum_over_batch_size", "mean"):
        out = out * share
    return out


def weight_of_mask(sample_weight: TensorLike, mask: TensorLike) -> Any:
    """The weight of each position that a mask leaves: that of its sample, or 1."""
    keep = ops.cast(mask, "float32")
    if sample_weight is None:
        return keep
    weight, keep = match_weights(ops.convert_to_tensor(sample_weight, "float32"), keep)
    return weight * keep


def match_weights(weight: Any, values: TensorLike) -> tuple[Any, Any]:
    """A weight per sample shaped to broadcast over the values' further axes."""
    if ops.ndim(weight) == ops.ndim(values) + 1 and weight.shape[-1] == 1:
        weight = ops.squeeze(weight, -1)
    given = tuple(weight.shape)
    while ops.ndim(weight) < ops.ndim(values):
        weight = ops.expand_dims(weight, axis=-1)
    if not broadcasts(tuple(weight.shape), tuple(values.shape)):
        hint = "one weight per sample, or one per number"
        if not tuple(values.shape):
            hint = "give y and the predictions with the shape (samples, 1): one axis is one sample"
        raise ShapeError(
            f"sample_weight has shape {given}, the numbers it weighs have shape "
            f"{tuple(values.shape)}\n  hint: {hint}"
        )
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

    name: str

    def __init__(
        self,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: DTypeLike = None,
    ) -> None:
        self.name = name or unique_name(_snake(type(self).__name__))
        reduction = Reduction.SUM_OVER_BATCH_SIZE if reduction == "auto" else reduction
        if reduction not in _REDUCTIONS:
            known = ", ".join(repr(r) for r in _REDUCTIONS)
            raise ValueError(
                f"Invalid value for argument `reduction`: {reduction!r}\n  hint: one of {known}"
            )
        self.reduction = reduction
        computing_dtype(dtype, self.name)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, with those of this class that `**kwargs` took.

        Returns:
            A dict of settings.

        Example:
            >>> class Shortfall(fastnn.losses.Loss):
            ...     def __init__(self, **kwargs):
            ...         super().__init__(**kwargs)
            >>> Shortfall(reduction="sum").get_config()["reduction"]
            'sum'
        """
        config = super().get_config()
        parameters = inspect.signature(type(self).__init__).parameters.values()
        if any(p.kind is p.VAR_KEYWORD for p in parameters):
            config = {"name": self.name, "reduction": self.reduction} | config
        return config

    @property
    def dtype(self) -> str:
        """The type that losses compute in."""
        return "float32"

    def call(self, y_true: TensorLike, y_pred: TensorLike) -> Tensor:
        """One number a sample; subclasses define it.

        Args:
            y_true: True values.
            y_pred: Predictions.

        Returns:
            A tensor without the last axis.

        Example:
            >>> fastnn.losses.MeanSquaredError().call(np.array([[1.0]]), np.array([[3.0]])).numpy()
            array([4.], dtype=float32)
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define call(self, y_true, y_pred)"
            "\n  hint: def call(self, y_true, y_pred): return the loss of each sample"
        )

    @hints_arguments
    def __call__(
        self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike = None
    ) -> Tensor:
        """Gives the reduced loss."""
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        mask = mask_of(y_pred)
        values = self._checked(y_true, y_pred, sample_weight, mask)
        own = mask_of(values)
        if own is not None:
            mask = own if mask is None else ops.logical_and(own, mask)
        return reduce_weighted(values, sample_weight, mask, self.reduction)

    def _checked(
        self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike, mask: TensorLike
    ) -> Any:
        return self._values(y_true, y_pred)

    def _values(self, y_true: TensorLike, y_pred: TensorLike) -> Any:
        values = self.call(y_true, y_pred)
        if values is None:
            raise DataError(
                f"the loss '{self.name}' returned None, wanted a number for each sample\n"
                "  hint: end it with `return ...`"
            )
        return values

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
        dtype: DTypeLike = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name or getattr(fn, "__name__", None), reduction, dtype)
        self.fn = fn
        self._fn_kwargs = kwargs

    def __setattr__(self, name: str, value: Any) -> None:
        # A setting that is changed later, such as `delta`, is what the function is given.
        if name in self.__dict__ and name in self.__dict__.get("_fn_kwargs", ()):
            self._fn_kwargs[name] = value
        super().__setattr__(name, value)

    def call(self, y_true: TensorLike, y_pred: TensorLike) -> Tensor:
        """The function's values."""
        y_true, y_pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
        return self.fn(y_true, y_pred, **self._fn_kwargs)

    def _checked(
        self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike, mask: TensorLike
    ) -> Any:
        """The losses of targets that are checked: here, as the function does not know weights."""
        targets = targets_of(self)
        if targets is None:
            return self._values(y_true, y_pred)
        with labels_are_checked(True):
            values = self._values(y_true, y_pred)
        return guarded(targets, values, y_true, y_pred, sample_weight, mask)

    def get_config(self) -> dict[str, Any]:
        """Name, reduction and the function's settings."""
        own = {} if type(self) is not LossFunctionWrapper else {"fn": to_config(self.fn)}
        return {"name": self.name, "reduction": self.reduction, **own, **to_config(self._fn_kwargs)}
