"""F scores and the coefficient of determination. Depends on `base`, `ops`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import _core, ops
from fastnn.base.arguments import hints_arguments
from fastnn.base.typing import DTypeLike, TensorLike
from fastnn.losses.base import match_weights
from fastnn.losses.checks import check_alike, squeeze_or_expand_to_same_rank
from fastnn.losses.targets import Targets
from fastnn.metrics.metric import Metric, nan_of_bad

__all__ = [
    "F1Score", "FBetaScore", "R2Score",
]  # fmt: skip

_c = _core.ops


def _columns(who: str, y_true_shape: Any, y_pred_shape: Any) -> int:
    """The number of columns of two matrices; ValueError when they are none."""
    shapes = f"shapes: y_pred.shape={tuple(y_pred_shape)} and y_true.shape={tuple(y_true_shape)}."
    wanted = f"{who} expects 2D inputs with shape (batch_size, output_dim)"
    if len(y_pred_shape) != 2 or len(y_true_shape) != 2:
        raise ValueError(f"{wanted}. Received input {shapes}\n  hint: y[:, None] for one output")
    if y_pred_shape[-1] is None or y_true_shape[-1] is None:
        raise ValueError(
            f"{wanted}, with output_dim fully defined (not None). Received input {shapes}\n"
            "  hint: end the model with Dense(outputs)"
        )
    return int(y_pred_shape[-1])


def _check_number(name: str, value: Any, wanted: str, holds: Callable[[Any], bool]) -> None:
    if not isinstance(value, float):
        raise ValueError(
            f"Invalid `{name}` argument value. It should be a Python float. "
            f"Received: {name}={value} of type '{type(value)}'\n  hint: {name}=0.5"
        )
    if not holds(value):
        raise ValueError(
            f"Invalid `{name}` argument value. It should {wanted}. Received: {name}={value}"
            "\n  hint: look at the argument"
        )


class FBetaScore(Metric):
    """The weighted harmonic mean of precision and recall, by class: labels and predictions (n,
    classes).

    Args:
        average: How classes become one number: `"micro"`, `"macro"`, `"weighted"`, or None for one
            number each.
        beta: How many times as much recall counts as precision, above 0.
        threshold: Predictions above it count as yes; None: the largest of each sample.
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.FBetaScore(beta=2.0, threshold=0.5)
        >>> metric.update_state([[1.0], [1.0], [0.0]], [[0.9], [0.2], [0.8]])
        >>> metric.result().numpy()
        array([0.5], dtype=float32)
    """

    beta: float
    threshold: float | None

    _direction = "up"

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str = "fbeta_score",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if average not in (None, "micro", "macro", "weighted"):
            raise ValueError(
                "Invalid `average` argument value. Expected one of: "
                f"{{None, 'micro', 'macro', 'weighted'}}. Received: average={average}"
                "\n  hint: average='macro'"
            )
        _check_number("beta", beta, "be > 0", lambda b: b > 0)
        if threshold is not None:
            wanted = "verify 0 < threshold <= 1"
            _check_number("threshold", threshold, wanted, lambda t: 0 < t <= 1)
        self.average, self.beta, self.threshold = average, beta, threshold
        self._built = False

    @property
    def _targets(self) -> Targets:
        return Targets("unit", self.name)

    def _build(self, y_true_shape: Any, y_pred_shape: Any) -> None:
        classes = _columns("FBetaScore", y_true_shape, y_pred_shape)
        shape = () if self.average == "micro" else (classes,)
        self._axis = None if self.average == "micro" else 0
        for which in (
            "true_positives",
            "false_positives",
            "false_negatives",
            "intermediate_weights",
        ):
            setattr(self, which, self._add_sum(which, shape))
        self._built = True

    @hints_arguments
    def update_state(
        self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike = None
    ) -> None:
        """Counts a batch."""
        y_true = ops.convert_to_tensor(y_true, "float32")
        y_pred = ops.convert_to_tensor(y_pred, "float32")
        if not self._built:
            self._build(y_true.shape, y_pred.shape)
        check_alike(y_true, y_pred)
        fault = nan_of_bad(self, y_true, y_pred, sample_weight)
        if self.threshold is None:
            top = ops.max(y_pred, axis=-1, keepdims=True)
            hit = ops.logical_and(y_pred >= top, ops.abs(y_pred) > 1e-9)
        else:
            hit = y_pred > self.threshold
        p = ops.cast(hit, "float32")
        w: Any = 1.0
        if sample_weight is not None:
            w, _ = match_weights(ops.convert_to_tensor(sample_weight, "float32"), y_true)
        for which, part in (
            ("true_positives", p * y_true),
            ("false_positives", p * (1.0 - y_true)),
            ("false_negatives", (1.0 - p) * y_true),
            ("intermediate_weights", y_true),
        ):
            amount = ops.sum(part * w, axis=self._axis)
            self._accumulate(getattr(self, which), amount if fault is None else amount + fault)

    def result(self) -> Any:
        """The score, one per class without averaging."""
        if not self._built:
            return _core.tensor(0.0)
        tp, fp, fn = (getattr(self, w).value for w in (
            "true_positives", "false_positives", "false_negatives"))  # fmt: skip
        precision = ops.divide_no_nan(tp, tp + fp)
        recall = ops.divide_no_nan(tp, tp + fn)
        b2 = self.beta**2
        score = ops.divide_no_nan((1 + b2) * precision * recall, b2 * precision + recall)
        if self.average == "weighted":
            share = self.intermediate_weights.value  # type: ignore[attr-defined]
            return ops.sum(score * ops.divide_no_nan(share, ops.sum(share)))
        return ops.mean(score) if self.average is not None else score


class F1Score(FBetaScore):
    """The harmonic mean of precision and recall, by class: labels and predictions (n, classes).

    Args:
        average: How classes become one number: `"micro"`, `"macro"`, `"weighted"`, or None for one
            number each.
        threshold: Predictions above it count as yes; None: the largest of each sample.
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.F1Score(threshold=0.5)
        >>> metric.update_state([[1.0], [1.0], [0.0]], [[0.9], [0.2], [0.8]])
        >>> metric.result().numpy()
        array([0.5], dtype=float32)
    """

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str = "f1_score",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)


_SUMS = ("sum", "squared_sum", "total_mse", "count")


class R2Score(Metric):
    """The coefficient of determination: the share of the labels' variance that predictions explain.

    Labels and predictions are (n, outputs). The sum of squares is about the mean of what was seen,
    so that a mean far from 0 costs no digits (Chan, Golub & LeVeque 1983).

    Args:
        class_aggregation: How outputs become one number: `"uniform_average"`,
            `"variance_weighted_average"`, or None for one number each.
        num_regressors: The number of independent variables, for the adjusted score; 0: not
            adjusted.
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.R2Score()
        >>> metric.update_state([[1.0], [2.0], [3.0]], [[1.0], [2.0], [2.0]])
        >>> float(metric.result())
        0.5
    """

    num_regressors: int
    num_samples: Any

    _direction = "up"

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str = "r2_score",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        known = (None, "uniform_average", "variance_weighted_average")
        if class_aggregation not in known:
            raise ValueError(
                "Invalid value for argument `class_aggregation`. Expected one of "
                f"{known}. Received: class_aggregation={class_aggregation}"
                "\n  hint: class_aggregation='uniform_average'"
            )
        if num_regressors < 0:
            raise ValueError(
                "Invalid value for argument `num_regressors`. Expected a value >= 0. "
                f"Received: num_regressors={num_regressors}"
                "\n  hint: num_regressors=0 leaves the score unadjusted"
            )
        self.class_aggregation, self.num_regressors = class_aggregation, num_regressors
        self.num_samples = self._add_sum("num_samples")
        self._built = False

    @hints_arguments
    def update_state(
        self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike = None
    ) -> None:
        """Adds a batch."""
        y_true = ops.convert_to_tensor(y_true, "float32")
        y_pred = ops.convert_to_tensor(y_pred, "float32")
        y_true, y_pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
        if not self._built:
            n = (_columns("R2Score", y_true.shape, y_pred.shape),)
            for which in ("squared_sum", "sum", "total_mse", "count"):  # in Keras's order
                setattr(self, which, self._add_sum(which, n))
            self._built = True
        check_alike(y_true, y_pred)
        w: Any = ops.ones_like(y_true)
        if sample_weight is not None:
            given, _ = match_weights(ops.convert_to_tensor(sample_weight, "float32"), y_true)
            w = given * w
        total, squares, mse, count = (getattr(self, v) for v in _SUMS)
        before, new, amount = count.value, ops.sum(w, axis=0), ops.sum(y_true * w, axis=0)
        # Squares are taken about the mean so far, or about that of the first batch.
        centre = ops.divide_no_nan(total.value, before)
        centre = _c.where(before > 0.0, centre, ops.divide_no_nan(amount, new))
        away = y_true - centre
        mean = ops.divide_no_nan(ops.sum(away * w, axis=0), new)
        between = ops.square(mean) * ops.divide_no_nan(before * new, before + new)
        self._accumulate(squares, ops.sum(ops.square(away - mean) * w, axis=0) + between)
        self._accumulate(total, amount)
        self._accumulate(mse, ops.sum(ops.square(y_true - y_pred) * w, axis=0))
        self._accumulate(count, new)
        # Keras counts elements here, not rows.
        self._accumulate(self.num_samples, _c.extent(y_true))

    def _join_ranks(self, parts: Any) -> None:
        """Squares are about the mean of each rank: what lies between these means is added."""
        if not self._built:
            return
        total, squares, _, count = (getattr(self, v) for v in _SUMS)
        counts = np.array(parts(count), np.float64)
        sums = np.array(parts(total), np.float64)
        whole = counts.sum(0)
        means = np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
        mean = np.divide(sums.sum(0), whole, out=np.zeros_like(whole), where=whole > 0)
        between = (counts * np.square(means - mean)).sum(0)
        within = np.array(parts(squares), np.float64).sum(0)
        squares.assign((within + between).astype(np.float32))

    def result(self) -> Any:
        """1 - residual / total sum of squares."""
        if not self._built:
            return _core.tensor(0.0)
        variance, mse, count = (
            getattr(self, w).value for w in ("squared_sum", "total_mse", "count")
        )
        score = 1.0 - ops.divide_no_nan(mse, variance)
        # Targets of one value leave nothing to explain: only predictions without error score 1.
        score = _c.where((variance > 0.0) | ((mse == 0.0) & (count > 0.0)), score, 0.0)
        # NaN, or squares beyond the range of float32, leave no score; a 0 would pass for one.
        known = ops.isfinite(variance + mse)
        score = _c.where(known, _c.where(ops.isfinite(score), score, 0.0), math.nan)
        if self.class_aggregation == "uniform_average":
            score = ops.mean(score)
        elif self.class_aggregation == "variance_weighted_average":
            score = ops.sum(score * ops.divide_no_nan(variance, ops.sum(variance)))
        if self.num_regressors:
            n, p = self.num_samples.value, float(self.num_regressors)
            # With too few samples for the number of regressors the plain score stands, as in Keras.
            adjusted = 1.0 - ops.divide_no_nan((1.0 - score) * (n - 1.0), n - p - 1.0)
            score = _c.where(n > p + 1.0, adjusted, score)
        return score
