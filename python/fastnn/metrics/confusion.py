"""Counts of hits and misses at thresholds, and what is made of them: precision, recall, curves.

Depends on `base`, `ops`. Sources: Davis & Goadrich 2006 (precision-recall area), Flach & Kull 2015
(precision-recall-gain).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import _core, ops
from fastnn.base.arguments import hints_arguments
from fastnn.base.typing import DTypeLike, TensorLike
from fastnn.config import epsilon, unique_name
from fastnn.errors import ShapeError
from fastnn.losses.base import match_weights
from fastnn.losses.targets import Targets, out_of_range
from fastnn.metrics.metric import Metric, nan_of_bad, pair_alike

__all__ = [
    "AUC", "FalseNegatives", "FalsePositives", "Precision", "PrecisionAtRecall", "Recall",
    "RecallAtPrecision", "SensitivityAtSpecificity", "SpecificityAtSensitivity", "TrueNegatives",
    "TruePositives",
]  # fmt: skip

_c = _core.ops
_COUNTS = ("true_positives", "true_negatives", "false_positives", "false_negatives")


def _weights_like(sample_weight: TensorLike, y_pred: TensorLike) -> Any:
    """A weight for every element of the scores, None for none."""
    if sample_weight is None:
        return None
    w = ops.convert_to_tensor(sample_weight, "float32")
    w, _ = match_weights(w, y_pred)
    return w * ops.ones_like(y_pred)


def _checked_thresholds(given: Any) -> list[float]:
    values = [0.5] if given is None else list(given) if np.iterable(given) else [given]
    bad = [t for t in values if t is None or not 0 <= t <= 1]
    if bad:
        raise ValueError(
            f"Threshold values must be in [0, 1]. Received: {bad}\n  hint: thresholds=0.5"
        )
    return [float(t) for t in values]


def _spread(count: int) -> list[float]:
    """The inner ones of `count` evenly spaced thresholds from 0 to 1."""
    return [(i + 1) / (count - 1) for i in range(count - 2)]


class _Confusion(Metric):
    """Weighted counts per threshold, of all elements or column by column."""

    _direction = "up"
    _wanted: tuple[str, ...] = _COUNTS
    _cuts: list[float]
    #: Whether thresholds go from 0 to 1 and scores beyond them would spoil the result.
    _between = False
    #: What to do about such scores.
    _nan_hint: str | None = "end the model with a sigmoid"

    @property
    def _targets(self) -> Targets:
        return Targets("yes_no", self.name)

    def _add_counts(self, *columns: int) -> None:
        for which in self._wanted:
            setattr(self, which, self._add_sum(which, (len(self._cuts), *columns)))

    @hints_arguments
    def update_state(
        self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike = None
    ) -> None:
        """Counts a batch."""
        y, p = pair_alike(y_true, y_pred)
        faults = [nan_of_bad(self, y, p, sample_weight)]
        if self._between:
            faults.append(out_of_range(p, self.name, self._nan_hint or ""))
        faults = [fault for fault in faults if fault is not None]
        y, p, w = self._select(y, p, sample_weight)
        cuts = np.asarray(self._cuts, np.float32).reshape(-1, *([1] * (ops.ndim(p) - 1)))
        hit = ops.cast(ops.expand_dims(p, axis=1) > _core.tensor(cuts), "float32")
        label = ops.expand_dims(ops.cast(ops.cast(y, "bool"), "float32"), axis=1)
        parts = {
            "true_positives": (hit, label),
            "false_positives": (hit, 1.0 - label),
            "false_negatives": (1.0 - hit, label),
            "true_negatives": (1.0 - hit, 1.0 - label),
        }
        for which in self._wanted:
            counts = parts[which][0] * parts[which][1]
            if w is not None:
                counts = counts * ops.expand_dims(w, axis=1)
            self._accumulate(getattr(self, which), sum(faults, ops.sum(counts, axis=0)))

    def _select(self, y: TensorLike, p: Any, sample_weight: TensorLike) -> tuple[Any, Any, Any]:
        """Labels, scores and weights to count, all in one axis."""
        w = _weights_like(sample_weight, p)
        return ops.ravel(y), ops.ravel(p), None if w is None else ops.ravel(w)

    def _column(self, y: TensorLike, p: Any, w: Any, class_id: int) -> tuple[Any, Any, Any]:
        """One class of labels and scores (samples, classes)."""
        if ops.ndim(p) != 2:
            raise ShapeError(
                "When class_id is provided, y_pred must be a 2D array with shape "
                f"(num_samples, num_classes), found shape: {tuple(p.shape)}\n"
                "  hint: leave class_id out for scores of one class"
            )
        w = _weights_like(w, p)
        return y[:, class_id], p[:, class_id], None if w is None else w[:, class_id]

    def _values(self, *names: str) -> list[Any]:
        return [getattr(self, name).value for name in names]

    def _scalar(self, value: Any) -> Any:
        return value[0] if len(self._cuts) == 1 else value


class _Count(_Confusion):
    thresholds: list[float]

    def __init__(
        self, thresholds: Any = None, name: str | None = None, dtype: DTypeLike = None
    ) -> None:
        super().__init__(name=name or unique_name(self._wanted[0]), dtype=dtype)
        self.thresholds = self._cuts = _checked_thresholds(thresholds)
        self._given = thresholds
        self._add_counts()

    def get_config(self) -> dict[str, Any]:
        """Name, type and the thresholds as they were given."""
        return {**super().get_config(), "thresholds": self._given}

    def result(self) -> Any:
        """The count, one per threshold."""
        return self._scalar(*self._values(*self._wanted))


class TruePositives(_Count):
    """How many positives are found: label 1 and p > threshold.

    Args:
        thresholds: A number from 0 to 1, or several for one result each; 0.5 by default.
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.TruePositives()
        >>> metric.update_state([1, 1, 0, 0], [0.9, 0.2, 0.8, 0.1])
        >>> float(metric.result())
        1.0
    """

    _wanted = ("true_positives",)


class TrueNegatives(_Count):
    """How many negatives are found: label 0 and p at most the threshold.

    Args:
        thresholds: A number from 0 to 1, or several for one result each; 0.5 by default.
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.TrueNegatives()
        >>> metric.update_state([1, 1, 0, 0], [0.9, 0.2, 0.8, 0.1])
        >>> float(metric.result())
        1.0
    """

    _wanted = ("true_negatives",)


class FalsePositives(_Count):
    """How many negatives are called positive: label 0 and p > threshold.

    Args:
        thresholds: A number from 0 to 1, or several for one result each; 0.5 by default.
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.FalsePositives()
        >>> metric.update_state([1, 1, 0, 0], [0.9, 0.2, 0.8, 0.1])
        >>> float(metric.result())
        1.0
    """

    _direction = "down"
    _wanted = ("false_positives",)


class FalseNegatives(_Count):
    """How many positives are missed: label 1 and p at most the threshold.

    Args:
        thresholds: A number from 0 to 1, or several for one result each; 0.5 by default.
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.FalseNegatives()
        >>> metric.update_state([1, 1, 0, 0], [0.9, 0.2, 0.8, 0.1])
        >>> float(metric.result())
        1.0
    """

    _direction = "down"
    _wanted = ("false_negatives",)


class _Share(_Confusion):
    """What precision and recall share: `top_k` and `class_id`."""

    top_k: int | None
    class_id: int | None
    thresholds: list[float]

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.top_k, self.class_id, self._given = top_k, class_id, thresholds
        self._cuts = _checked_thresholds(thresholds)
        if top_k is not None and thresholds is None:
            self._cuts = [-np.inf]
        self.thresholds = self._cuts
        self._add_counts()

    def get_config(self) -> dict[str, Any]:
        """The settings, the thresholds as they were given."""
        return super().get_config() | {"thresholds": self._given}

    def _select(self, y: TensorLike, p: Any, sample_weight: TensorLike) -> tuple[Any, Any, Any]:
        if self.top_k is not None:
            places = ops.top_k(p, self.top_k)[1]
            chosen = ops.sum(ops.one_hot(places, p.shape[-1]), axis=-2)
            p = _c.where(chosen > 0.0, p, -np.inf)
        if self.class_id is not None:
            return self._column(y, p, sample_weight, self.class_id)
        return super()._select(y, p, sample_weight)

    def result(self) -> Any:
        """The share, one per threshold."""
        right, wrong = self._values(*self._wanted)
        return self._scalar(ops.divide_no_nan(right, right + wrong))


class Precision(_Share):
    """True positives among all that are called positive.

    Args:
        thresholds: A number from 0 to 1, or several for one result each; 0.5 by default.
        top_k: Looks at the k best classes of each sample alone, instead of a threshold.
        class_id: Looks at one class alone.
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.Precision()
        >>> metric.update_state([1, 1, 0, 0], [0.9, 0.2, 0.8, 0.1])
        >>> float(metric.result())
        0.5
    """

    _wanted = ("true_positives", "false_positives")


class Recall(_Share):
    """True positives among all that are positive.

    Args:
        thresholds: A number from 0 to 1, or several for one result each; 0.5 by default.
        top_k: Looks at the k best classes of each sample alone, instead of a threshold.
        class_id: Looks at one class alone.
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.Recall()
        >>> metric.update_state([1, 1, 0, 0], [0.9, 0.2, 0.8, 0.1])
        >>> float(metric.result())
        0.5
    """

    _wanted = ("true_positives", "false_negatives")


class _BestUnder(_Confusion):
    """The best of one rate over the thresholds where another rate is high enough."""

    value: float
    num_thresholds: int
    class_id: int | None
    thresholds: list[float]

    _between = True

    _bound, _sought = "", ""

    def _start(self, value: float, num_thresholds: int, class_id: int | None) -> None:
        if not 0 <= value <= 1:
            raise ValueError(
                f"Argument `{self._bound}` must be in the range [0, 1]. Received: "
                f"{self._bound}={value}"
                "\n  hint: 0.5"
            )
        if num_thresholds <= 0:
            raise ValueError(
                "Argument `num_thresholds` must be an integer > 0. "
                f"Received: num_thresholds={num_thresholds}"
                "\n  hint: num_thresholds=200"
            )
        self.value, self.num_thresholds, self.class_id = value, num_thresholds, class_id
        self._cuts = [0.5] if num_thresholds == 1 else [0.0, *_spread(num_thresholds), 1.0]
        self.thresholds = self._cuts
        self._add_counts()

    def _select(self, y: TensorLike, p: Any, sample_weight: TensorLike) -> tuple[Any, Any, Any]:
        if self.class_id is not None:
            return self._column(y, p, sample_weight, self.class_id)
        return super()._select(y, p, sample_weight)

    def result(self) -> Any:
        """The rate, 0 when no threshold reaches the bound."""
        tp, tn, fp, fn = self._values(*_COUNTS)
        rates = {
            "sensitivity": (tp, fn), "recall": (tp, fn), "specificity": (tn, fp),
            "precision": (tp, fp),
        }  # fmt: skip
        bound, sought = (ops.divide_no_nan(a, a + b) for a, b in (
            rates[self._bound], rates[self._sought]))  # fmt: skip
        return ops.max(_c.where(bound >= self.value, sought, 0.0))


class SensitivityAtSpecificity(_BestUnder):
    """The best sensitivity among thresholds whose specificity is at least `specificity`.

    Args:
        specificity: The specificity to be kept, from 0 to 1.
        num_thresholds: How many thresholds are tried.
        class_id: Looks at one class alone.
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.SensitivityAtSpecificity(0.5)
        >>> metric.update_state([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
        >>> float(metric.result())
        1.0
    """

    _bound, _sought = "specificity", "sensitivity"

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.specificity = specificity
        self._start(specificity, num_thresholds, class_id)


class SpecificityAtSensitivity(_BestUnder):
    """The best specificity among thresholds whose sensitivity is at least `sensitivity`.

    Args:
        sensitivity: The sensitivity to be kept, from 0 to 1.
        num_thresholds: How many thresholds are tried.
        class_id: Looks at one class alone.
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.SpecificityAtSensitivity(0.5)
        >>> metric.update_state([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
        >>> float(metric.result())
        1.0
    """

    _bound, _sought = "sensitivity", "specificity"

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.sensitivity = sensitivity
        self._start(sensitivity, num_thresholds, class_id)


class PrecisionAtRecall(_BestUnder):
    """The best precision among thresholds whose recall is at least `recall`.

    Args:
        recall: The recall to be kept, from 0 to 1.
        num_thresholds: How many thresholds are tried.
        class_id: Looks at one class alone.
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.PrecisionAtRecall(0.5)
        >>> metric.update_state([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
        >>> float(metric.result())
        1.0
    """

    _bound, _sought = "recall", "precision"

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.recall = recall
        self._start(recall, num_thresholds, class_id)


class RecallAtPrecision(_BestUnder):
    """The best recall among thresholds whose precision is at least `precision`.

    Args:
        precision: The precision to be kept, from 0 to 1.
        num_thresholds: How many thresholds are tried.
        class_id: Looks at one class alone.
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.RecallAtPrecision(0.5)
        >>> metric.update_state([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
        >>> float(metric.result())
        1.0
    """

    _bound, _sought = "precision", "recall"

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.precision = precision
        self._start(precision, num_thresholds, class_id)


class AUC(_Confusion):
    """The area under a curve of rates, by a number of thresholds.

    Args:
        num_thresholds: How many thresholds approximate the curve, at least 2.
        curve: `"ROC"`, `"PR"` (precision over recall) or `"PRGAIN"`.
        summation_method: `"interpolation"`, `"minoring"` or `"majoring"`: how the area between two
            points is taken.
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.
        thresholds: Thresholds from 0 to 1, instead of `num_thresholds` even ones.
        multi_label: Whether labels (n, labels) have a curve each; the result is their mean.
        num_labels: The number of labels, where it is known before the first batch.
        label_weights: The weight of each label in that mean.
        from_logits: Whether predictions are logits, before the sigmoid.

    Example:
        >>> metric = fastnn.metrics.AUC()
        >>> metric.update_state([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
        >>> round(float(metric.result()), 4)
        0.75
    """

    curve: str
    summation_method: str
    from_logits: bool
    multi_label: bool
    num_labels: int | None
    num_thresholds: int

    _nan_hint = "end the model with a sigmoid, or AUC(from_logits=True) for logits"

    @property
    def _between(self) -> bool:  # type: ignore[override]
        return not self.from_logits

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: DTypeLike = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        _check_curve(curve, summation_method)
        if thresholds is None and num_thresholds <= 1:
            raise ValueError(
                "Argument `num_thresholds` must be an integer > 1. "
                f"Received: num_thresholds={num_thresholds}"
                "\n  hint: num_thresholds=200"
            )
        if num_labels and not multi_label:
            raise ValueError(
                "`num_labels` is needed only when `multi_label` is True."
                "\n  hint: multi_label=True, or leave num_labels out"
            )
        self.curve, self.summation_method = str(curve).upper(), str(summation_method).lower()
        self.from_logits, self.multi_label, self.num_labels = from_logits, multi_label, num_labels
        weights = None if label_weights is None else np.asarray(label_weights, np.float32)
        self.label_weights = weights
        inner = (
            _spread(num_thresholds)
            if thresholds is None
            else sorted(_checked_thresholds(thresholds))
        )
        self._inner = None if thresholds is None else inner
        self.num_thresholds = len(inner) + 2
        self._cuts = [-epsilon(), *inner, 1.0 + epsilon()]
        self._built = False
        if not multi_label or num_labels:
            self._build(*([num_labels] if num_labels else []))

    def _build(self, *columns: int) -> None:
        self._add_counts(*columns)
        self._built = True

    @property
    def thresholds(self) -> list[float]:
        """The cuts, first and last just outside 0 and 1."""
        return list(self._cuts)

    def get_config(self) -> dict[str, Any]:
        """The settings; thresholds only when they were given."""
        return super().get_config() | {"thresholds": self._inner}

    @hints_arguments
    def update_state(
        self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike = None
    ) -> None:
        """Counts a batch."""
        if not self._built:
            shape = ops.shape(y_pred)
            if len(shape) != 2 or shape[1] is None:
                raise ShapeError(
                    "`y_pred` must have rank 2 when `multi_label=True`. Found rank "
                    f"{len(shape)}. Full shape received for `y_pred`: {tuple(shape)}\n"
                    "  hint: scores of shape (samples, labels)"
                )
            self._build(shape[1])
        super().update_state(y_true, y_pred, sample_weight)

    def _select(self, y: TensorLike, p: Any, sample_weight: TensorLike) -> tuple[Any, Any, Any]:
        p = ops.sigmoid(p) if self.from_logits else p
        if self.multi_label:
            return y, p, _weights_like(sample_weight, p)
        if self.label_weights is not None:
            w = _weights_like(sample_weight, p)
            sample_weight = (ops.ones_like(p) if w is None else w) * self.label_weights
        return super()._select(y, p, sample_weight)

    def result(self) -> Any:
        """The area."""
        tp, tn, fp, fn = self._values(*_COUNTS) if self._built else [ops.zeros((2, 1))] * 4
        if self.curve == "PR" and self.summation_method == "interpolation":
            return self._over_labels(_interpolated_pr(tp, fp, fn, *self._steps()))
        recall = ops.divide_no_nan(tp, tp + fn)
        if self.curve == "ROC":
            x, y = ops.divide_no_nan(fp, fp + tn), recall
        elif self.curve == "PR":
            x, y = recall, ops.divide_no_nan(tp, tp + fp)
        else:
            x, y = _gains(tp, tn, fp, fn)
        a, b = y[:-1], y[1:]
        height = {
            "interpolation": lambda: (a + b) / 2.0,
            "minoring": lambda: ops.minimum(a, b),
            "majoring": lambda: ops.maximum(a, b),
        }[self.summation_method]()
        return self._over_labels((x[:-1] - x[1:]) * height)

    def _steps(self) -> list[Any]:
        """From one cut to the next: true positives, and all called positive, without rounding."""
        if not self._built:
            return [ops.zeros((1, 1))] * 2
        found = [
            (v[:-1] - v[1:]) + (rest[:-1] - rest[1:])
            for v in (self.true_positives, self.false_positives)  # type: ignore[attr-defined]
            for rest in [self._rest_of(v)]
        ]
        return [found[0], found[0] + found[1]]

    def _over_labels(self, parts: Any) -> Any:
        """The sum of the parts; with `multi_label` one per label and their mean."""
        if not self.multi_label:
            return ops.sum(parts)
        areas = ops.sum(parts, axis=0)
        if self.label_weights is None:
            return ops.mean(areas)
        return ops.sum(areas * self.label_weights) / float(np.sum(self.label_weights))


def _check_curve(curve: Any, summation_method: Any) -> None:
    if str(curve).upper() not in ("ROC", "PR", "PRGAIN"):
        raise ValueError(f"Invalid AUC curve value: \"{curve}\".\n  hint: 'ROC', 'PR' or 'PRGAIN'")
    if str(summation_method).lower() not in ("interpolation", "majoring", "minoring"):
        raise ValueError(
            f'Invalid AUC summation method value: "{summation_method}".\n'
            "  hint: 'interpolation', 'majoring' or 'minoring'"
        )


def _gains(tp: Any, tn: Any, fp: Any, fn: Any) -> tuple[Any, Any]:
    """Recall gain, at least 0, and precision gain; 0 and 1 where nothing is found."""
    odds = ops.divide_no_nan(tp + fn, tn + fp)
    none = ops.equal(tp, 0.0)
    recall = _c.where(none, 0.0, 1.0 - odds * ops.divide_no_nan(fn, tp))
    precision = _c.where(none, 1.0, 1.0 - odds * ops.divide_no_nan(fp, tp))
    return ops.maximum(recall, 0.0), precision


def _interpolated_pr(tp: Any, fp: Any, fn: Any, dtp: Any, dp: Any) -> Any:
    # Davis & Goadrich 2006: precision between two points of the curve is not linear.
    p = tp + fp
    slope = ops.divide_no_nan(dtp, ops.maximum(dp, 0.0))
    intercept = tp[1:] - slope * p[1:]
    both = ops.logical_and(p[:-1] > 0.0, p[1:] > 0.0)
    ratio = _c.where(both, ops.divide_no_nan(p[:-1], ops.maximum(p[1:], 0.0)), 1.0)
    return ops.divide_no_nan(
        slope * (dtp + intercept * ops.log(ops.maximum(ratio, 1e-30))),
        ops.maximum(tp[1:] + fn[1:], 0.0),
    )
