"""Metrics: variables that sum over batches inside the compiled step, and a result of them.

Weighted means divide by the sum of weights (unlike losses). Depends on `losses`, `ops`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnn import _core, initializers, losses, ops
from fastnn.config import epsilon, snake_case, unique_name
from fastnn.layers.base import current_call
from fastnn.losses import squeeze_or_expand_to_same_rank
from fastnn.serial import Configurable, Table, plain
from fastnn.variables import Variable

_c = _core.ops


class Metric(Configurable):
    """Subclasses add variables in `__init__`, assign them in `update_state`, read in `result`."""

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        self.name = name or unique_name(snake_case(type(self).__name__))
        self._variables: list[Variable] = []

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        if isinstance(value, Variable) and not any(v is value for v in self._variables):
            self._variables.append(value)

    def add_variable(
        self,
        shape: Sequence[int] = (),
        initializer: Any = "zeros",
        dtype: str | None = None,
        aggregation: str = "sum",
        name: str | None = None,
    ) -> Variable:
        """A variable that holds part of the state."""
        variable = Variable(
            initializers.get(initializer), shape, dtype or "float32", trainable=False, name=name
        )
        variable.path = f"{self.name}/{variable.name}"
        self._variables.append(variable)
        return variable

    add_weight = add_variable

    @property
    def dtype(self) -> str:
        """The type of the state."""
        return "float32"

    @property
    def variables(self) -> list[Variable]:
        """The state, that of metrics inside included."""
        inner = [
            v
            for value in self.__dict__.values()
            for m in (value if isinstance(value, list | tuple) else [value])
            if isinstance(m, Metric)
            for v in m.variables
        ]
        return [*self._variables, *inner]

    def reset_state(self) -> None:
        """Back to the start."""
        for v in self.variables:
            v.assign(np.zeros(v.shape, np.int32 if v.dtype == "int32" else np.float32))

    reset_states = reset_state

    def update_state(self, *args: Any, **kwargs: Any) -> Any:
        """Takes a batch into account."""
        raise NotImplementedError(f"{type(self).__name__} must define update_state")

    def result(self) -> Any:
        """The value over all batches since the reset."""
        raise NotImplementedError(f"{type(self).__name__} must define result")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Takes a batch into account and gives the value so far."""
        self.update_state(*args, **kwargs)
        return self.result()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


def _weighted(values: Any, sample_weight: Any) -> tuple[Any, Any]:
    """Values reduced to the rank of the weights, and weights of that shape."""
    values = ops.convert_to_tensor(values, "float32")
    if sample_weight is None:
        return values, None
    weight = ops.convert_to_tensor(sample_weight, "float32")
    weight, values = squeeze_or_expand_to_same_rank(weight, values)
    if ops.ndim(values) > ops.ndim(weight):
        values = ops.mean(values, axis=list(range(ops.ndim(weight), ops.ndim(values))))
    while ops.ndim(weight) < ops.ndim(values):
        weight = ops.expand_dims(weight, axis=-1)
    return values, weight


def _count_of(x: Any) -> Any:
    """Number of elements of `x`, as a float that follows the batch."""
    return _c.extent(x)


class Mean(Metric):
    """The (weighted) mean of values."""

    def __init__(self, name: str = "mean", dtype: Any = None) -> None:
        super().__init__(name=name)
        self.total = self.add_variable(name="total")
        self.count = self.add_variable(name="count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Adds values, each with its weight."""
        context = current_call()
        mask = context.mask_of(values) if context is not None else None
        if mask is not None:
            keep = ops.cast(mask, "float32")
            sample_weight = keep if sample_weight is None else keep * sample_weight
        values, weight = _weighted(values, sample_weight)
        if weight is None:
            self.total.assign(self.total + ops.sum(values))
            self.count.assign(self.count + _count_of(values))
            return
        if ops.ndim(values) == 0:
            self.total.assign(self.total + values * weight)
            self.count.assign(self.count + weight)
            return
        self.total.assign(self.total + ops.sum(values * weight))
        self.count.assign(self.count + ops.sum(weight * ops.ones_like(values)))

    def result(self) -> Any:
        """Total / count, 0 before any value."""
        return ops.divide_no_nan(self.total.value, self.count.value)


class Sum(Metric):
    """The (weighted) sum of values."""

    def __init__(self, name: str = "sum", dtype: Any = None) -> None:
        super().__init__(name=name)
        self.total = self.add_variable(name="total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Adds values times weights."""
        values, weight = _weighted(values, sample_weight)
        self.total.assign(self.total + ops.sum(values if weight is None else values * weight))

    def result(self) -> Any:
        """The sum."""
        return self.total.value


class MeanMetricWrapper(Mean):
    """The mean of a function of (y_true, y_pred)."""

    def __init__(
        self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(name=str(name or getattr(fn, "__name__", "mean_metric")))
        self._fn, self._fn_kwargs = fn, kwargs

    def update_state(  # type: ignore[override]
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        """Adds the function's values of a batch."""
        context = current_call()
        mask = context.mask_of(y_pred) if context is not None else None
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        values = self._fn(y_true, y_pred, **self._fn_kwargs)
        if mask is not None:
            keep = ops.cast(mask, "float32")
            if sample_weight is None:
                sample_weight = keep
            else:
                weight = ops.convert_to_tensor(sample_weight, "float32")
                while ops.ndim(weight) < ops.ndim(keep):
                    weight = ops.expand_dims(weight, axis=-1)
                sample_weight = weight * keep
        super().update_state(values, sample_weight)

    def get_config(self) -> dict[str, Any]:
        """Name and the function's settings."""
        own = {"fn": plain(self._fn)} if type(self) is MeanMetricWrapper else {}
        return {"name": self.name, "dtype": "float32", **own, **plain(self._fn_kwargs)}


# ---- accuracies ------------------------------------------------------------------------------


def accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where y equals p."""
    y_true, y_pred = squeeze_or_expand_to_same_rank(
        ops.convert_to_tensor(y_true, "float32"), ops.convert_to_tensor(y_pred, "float32")
    )
    return ops.cast(ops.equal(y_true, y_pred), "float32")


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Any:
    """1 where y equals p > threshold."""
    y_true, y_pred = squeeze_or_expand_to_same_rank(
        ops.convert_to_tensor(y_true, "float32"), ops.convert_to_tensor(y_pred, "float32")
    )
    return ops.cast(ops.equal(y_true, ops.cast(y_pred > threshold, "float32")), "float32")


def categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where the largest of y and of p stand at the same place."""
    return ops.cast(ops.equal(ops.argmax(y_true, axis=-1), ops.argmax(y_pred, axis=-1)), "float32")


def _class_numbers(y_true: Any, y_pred: Any) -> Any:
    y_true = ops.cast(y_true, "int32")
    if ops.ndim(y_true) == ops.ndim(y_pred) and y_true.shape[-1] == 1:
        y_true = ops.squeeze(y_true, -1)
    return y_true


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where the largest of p stands at place y."""
    return ops.cast(
        ops.equal(_class_numbers(y_true, y_pred), ops.argmax(y_pred, axis=-1)), "float32"
    )


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Any:
    """1 where the class of one-hot y is among the k best of p."""
    return sparse_top_k_categorical_accuracy(ops.argmax(y_true, axis=-1), y_pred, k)


def sparse_top_k_categorical_accuracy(
    y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False
) -> Any:
    """1 where class y is among the k best of p."""
    y_true = _class_numbers(y_true, y_pred)
    if from_sorted_ids:
        best = ops.cast(y_pred, "int32")[..., :k]
        return ops.cast(
            ops.any(ops.equal(ops.expand_dims(y_true, axis=-1), best), axis=-1), "float32"
        )
    return ops.cast(ops.in_top_k(y_true, y_pred, k), "float32")


def _mean_class(
    fn: Callable[..., Any], class_name: str, doc: str, name: str | None = None, **defaults: Any
) -> type[MeanMetricWrapper]:
    """The metric class of a function; `defaults` are its settings in constructor order."""
    default_name = name or fn.__name__

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        settings = dict(defaults)
        order = _order(defaults)
        given = dict(zip(order, args, strict=False))
        given.update(kwargs)
        unknown = [k for k in given if k not in order]
        if unknown:
            from fastnn.errors import nearest

            close = nearest(unknown[0], order, 1)
            hint = f"did you mean `{close[0]}`?" if close else "it takes " + ", ".join(order)
            raise TypeError(
                f"{class_name} got an unexpected keyword argument '{unknown[0]}'\n  hint: {hint}"
            )
        settings.update({k: v for k, v in given.items() if k in settings})
        MeanMetricWrapper.__init__(self, fn, given.get("name") or default_name, **settings)
        for key, value in settings.items():
            setattr(self, key, value)

    body = {"__init__": __init__, "__doc__": doc, "__module__": __name__}
    return type(class_name, (MeanMetricWrapper,), body)


def _order(defaults: dict[str, Any]) -> list[str]:
    leading = [k for k in defaults if k in ("k", "delta")]
    return [*leading, "name", "dtype", *(k for k in defaults if k not in leading)]


Accuracy = _mean_class(accuracy, "Accuracy", "Share of exact hits.")
BinaryAccuracy = _mean_class(
    binary_accuracy, "BinaryAccuracy", "Share of hits of p > threshold.", threshold=0.5
)
CategoricalAccuracy = _mean_class(
    categorical_accuracy, "CategoricalAccuracy", "Share of hits of the best class."
)
SparseCategoricalAccuracy = _mean_class(
    sparse_categorical_accuracy, "SparseCategoricalAccuracy", "Share of hits of the best class."
)
TopKCategoricalAccuracy = _mean_class(
    top_k_categorical_accuracy, "TopKCategoricalAccuracy", "Share of hits among the k best.", k=5
)
SparseTopKCategoricalAccuracy = _mean_class(
    sparse_top_k_categorical_accuracy, "SparseTopKCategoricalAccuracy",
    "Share of hits among the k best.", k=5, from_sorted_ids=False,
)  # fmt: skip


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """Cos of the angle between y and p along `axis`."""
    return -losses.cosine_similarity(y_true, y_pred, axis)


MeanSquaredError = _mean_class(losses.mean_squared_error, "MeanSquaredError", "Mean squared error.")
MeanAbsoluteError = _mean_class(
    losses.mean_absolute_error, "MeanAbsoluteError", "Mean absolute error."
)
MeanAbsolutePercentageError = _mean_class(
    losses.mean_absolute_percentage_error, "MeanAbsolutePercentageError", "Mean error in percent."
)
MeanSquaredLogarithmicError = _mean_class(
    losses.mean_squared_logarithmic_error, "MeanSquaredLogarithmicError", "Mean squared log ratio."
)
CosineSimilarity = _mean_class(
    cosine_similarity, "CosineSimilarity", "Mean cosine of the angle.", axis=-1
)
LogCoshError = _mean_class(losses.log_cosh, "LogCoshError", "Mean log cosh.", name="logcosh")
Hinge = _mean_class(losses.hinge, "Hinge", "Mean hinge.")
SquaredHinge = _mean_class(losses.squared_hinge, "SquaredHinge", "Mean squared hinge.")
CategoricalHinge = _mean_class(losses.categorical_hinge, "CategoricalHinge", "Mean class hinge.")
KLDivergence = _mean_class(losses.kl_divergence, "KLDivergence", "Mean divergence.")
Poisson = _mean_class(losses.poisson, "Poisson", "Mean Poisson loss.")
BinaryCrossentropy = _mean_class(
    losses.binary_crossentropy, "BinaryCrossentropy", "Mean binary cross-entropy.",
    from_logits=False, label_smoothing=0,
)  # fmt: skip
CategoricalCrossentropy = _mean_class(
    losses.categorical_crossentropy, "CategoricalCrossentropy", "Mean cross-entropy, one-hot y.",
    from_logits=False, label_smoothing=0, axis=-1,
)  # fmt: skip
SparseCategoricalCrossentropy = _mean_class(
    losses.sparse_categorical_crossentropy, "SparseCategoricalCrossentropy",
    "Mean cross-entropy, class numbers.", from_logits=False, axis=-1,
)  # fmt: skip


class RootMeanSquaredError(Mean):
    """Square root of the mean squared error over all elements."""

    def __init__(self, name: str = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name=name)

    def update_state(  # type: ignore[override]
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        """Adds squared errors."""
        y_true, y_pred = squeeze_or_expand_to_same_rank(
            ops.convert_to_tensor(y_true, "float32"), ops.convert_to_tensor(y_pred, "float32")
        )
        super().update_state(ops.square(y_pred - y_true), sample_weight)

    def result(self) -> Any:
        """sqrt(mean)."""
        return ops.sqrt(super().result())


# ---- counts at thresholds ----------------------------------------------------------------------


def _rows(y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
    """Flat labels and scores and a weight per element."""
    y_true = ops.convert_to_tensor(y_true, "float32")
    y_pred = ops.convert_to_tensor(y_pred, "float32")
    y_true, y_pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
    weight = None
    if sample_weight is not None:
        w = ops.convert_to_tensor(sample_weight, "float32")
        w, _ = squeeze_or_expand_to_same_rank(w, y_pred)
        while ops.ndim(w) < ops.ndim(y_pred):
            w = ops.expand_dims(w, axis=-1)
        weight = ops.ravel(w * ops.ones_like(y_pred))
    return ops.ravel(y_true), ops.ravel(y_pred), weight


def _thresholds(given: Any, default: float | None = 0.5) -> list[float]:
    values = [default] if given is None else list(given) if np.iterable(given) else [given]
    for t in values:
        if t is None or not 0 <= t <= 1:
            raise ValueError(f"thresholds hold {t!r}, wanted numbers from 0 to 1\n  hint: 0.5")
    return [float(t) for t in values]  # type: ignore[arg-type]


class _Confusion(Metric):
    """Weighted counts of true and false positives and negatives per threshold."""

    _wanted: tuple[str, ...] = ()

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name=name)
        self.thresholds = thresholds
        self._cuts = _thresholds(thresholds)
        for which in self._wanted:
            setattr(self, which, self.add_variable((len(self._cuts),), name=which))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Counts a batch."""
        y, p, w = self._select(y_true, y_pred, sample_weight)
        cuts = _core.tensor(np.asarray(self._cuts, np.float32))
        hit = ops.cast(ops.expand_dims(p, axis=-1) > cuts, "float32")
        label = ops.expand_dims(ops.cast(y, "bool").astype("float32"), axis=-1)
        one = 1.0
        parts = {
            "true_positives": hit * label,
            "false_positives": hit * (one - label),
            "false_negatives": (one - hit) * label,
            "true_negatives": (one - hit) * (one - label),
        }
        for which in self._wanted:
            counts = parts[which] if w is None else parts[which] * ops.expand_dims(w, axis=-1)
            variable = getattr(self, which)
            variable.assign(variable + ops.sum(counts, axis=0))

    def _select(self, y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
        return _rows(y_true, y_pred, sample_weight)

    def _scalar(self, value: Any) -> Any:
        return value[0] if len(self._cuts) == 1 else value


def _count_class(class_name: str, which: str, doc: str) -> type[_Confusion]:
    def result(self: Any) -> Any:
        return self._scalar(getattr(self, which).value)

    def __init__(
        self: Any, thresholds: Any = None, name: str | None = None, dtype: Any = None
    ) -> None:
        _Confusion.__init__(self, thresholds, name or unique_name(which))

    body = {
        "_wanted": (which,), "result": result, "__init__": __init__, "__doc__": doc,
        "__module__": __name__,
    }  # fmt: skip
    return type(class_name, (_Confusion,), body)


TruePositives = _count_class("TruePositives", "true_positives", "Positives found.")
TrueNegatives = _count_class("TrueNegatives", "true_negatives", "Negatives found.")
FalsePositives = _count_class("FalsePositives", "false_positives", "Negatives called positive.")
FalseNegatives = _count_class("FalseNegatives", "false_negatives", "Positives called negative.")


class _ShareOfClass(_Confusion):
    """Shared by precision and recall: `top_k` and `class_id`."""

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(thresholds, name)
        self.top_k, self.class_id = top_k, class_id
        if top_k is not None and thresholds is None:
            self._cuts = [-math.inf]

    def _select(self, y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
        y_true = ops.convert_to_tensor(y_true, "float32")
        y_pred = ops.convert_to_tensor(y_pred, "float32")
        y_true, y_pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
        if self.top_k is not None:
            lowest = ops.top_k(y_pred, self.top_k)[0][..., -1:]
            y_pred = _c.where(y_pred >= lowest, y_pred, -np.inf)
        if self.class_id is not None:
            y_true, y_pred = y_true[..., self.class_id], y_pred[..., self.class_id]
        return _rows(y_true, y_pred, sample_weight)


class Precision(_ShareOfClass):
    """True positives among all called positive."""

    _wanted = ("true_positives", "false_positives")

    def result(self) -> Any:
        """Tp / (tp + fp)."""
        tp, fp = self.true_positives.value, self.false_positives.value  # type: ignore[attr-defined]
        return self._scalar(ops.divide_no_nan(tp, tp + fp))


class Recall(_ShareOfClass):
    """True positives among all positives."""

    _wanted = ("true_positives", "false_negatives")

    def result(self) -> Any:
        """Tp / (tp + fn)."""
        tp, fn = self.true_positives.value, self.false_negatives.value  # type: ignore[attr-defined]
        return self._scalar(ops.divide_no_nan(tp, tp + fn))


class AUC(Metric):
    """Area under the ROC or PR curve by `num_thresholds` cuts."""

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(name=name)
        if curve.upper() not in ("ROC", "PR"):
            raise ValueError(f"AUC: curve is {curve!r}\n  hint: 'ROC' or 'PR'")
        if summation_method.lower() not in ("interpolation", "majoring", "minoring"):
            raise ValueError(
                f"AUC: summation_method is {summation_method!r}\n"
                "  hint: 'interpolation', 'majoring' or 'minoring'"
            )
        if thresholds is None and num_thresholds <= 1:
            raise ValueError(f"AUC: num_thresholds is {num_thresholds}\n  hint: at least 2")
        if multi_label:
            raise ValueError("AUC: multi_label is not supported\n  hint: one AUC per label")
        self.curve, self.summation_method = curve.upper(), summation_method.lower()
        self.from_logits, self.multi_label = from_logits, multi_label
        self.num_labels, self.label_weights = num_labels, label_weights
        if thresholds is not None:
            inner = sorted(_thresholds(thresholds))
        else:
            inner = [(i + 1) / (num_thresholds - 1) for i in range(num_thresholds - 2)]
        self.thresholds = None if thresholds is None else list(thresholds)
        self.num_thresholds = len(inner) + 2
        self._cuts = [-epsilon(), *inner, 1.0 + epsilon()]
        for which in ("true_positives", "true_negatives", "false_positives", "false_negatives"):
            setattr(self, which, self.add_variable((self.num_thresholds,), name=which))

    update_state = _Confusion.update_state
    _wanted = ("true_positives", "true_negatives", "false_positives", "false_negatives")

    def _select(self, y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
        y, p, w = _rows(y_true, y_pred, sample_weight)
        return y, ops.sigmoid(p) if self.from_logits else p, w

    def result(self) -> Any:
        """The area."""
        tp, tn, fp, fn = (getattr(self, w).value for w in self._wanted)
        if self.curve == "PR" and self.summation_method == "interpolation":
            return self._interpolated_pr(tp, fp, fn)
        recall = ops.divide_no_nan(tp, tp + fn)
        if self.curve == "ROC":
            x, y = ops.divide_no_nan(fp, fp + tn), recall
        else:
            x, y = recall, ops.divide_no_nan(tp, tp + fp)
        a, b = y[:-1], y[1:]
        height = {
            "interpolation": lambda: (a + b) / 2.0,
            "minoring": lambda: ops.minimum(a, b),
            "majoring": lambda: ops.maximum(a, b),
        }[self.summation_method]()
        return ops.sum((x[:-1] - x[1:]) * height)

    def _interpolated_pr(self, tp: Any, fp: Any, fn: Any) -> Any:
        # Davis & Goadrich 2006: precision between two points of the curve is not linear.
        p = tp + fp
        dtp, dp = tp[:-1] - tp[1:], p[:-1] - p[1:]
        slope = ops.divide_no_nan(dtp, ops.maximum(dp, 0.0))
        intercept = tp[1:] - slope * p[1:]
        both = ops.logical_and(p[:-1] > 0.0, p[1:] > 0.0)
        ratio = _c.where(both, ops.divide_no_nan(p[:-1], ops.maximum(p[1:], 0.0)), 1.0)
        increment = ops.divide_no_nan(
            slope * (dtp + intercept * ops.log(ops.maximum(ratio, 1e-30))),
            ops.maximum(tp[1:] + fn[1:], 0.0),
        )
        return ops.sum(increment)


class FBetaScore(Metric):
    """Weighted harmonic mean of precision and recall per class: y_true and y_pred (n, classes)."""

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str = "fbeta_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name)
        if average not in (None, "micro", "macro", "weighted"):
            raise ValueError(f"average is {average!r}\n  hint: None, 'micro', 'macro', 'weighted'")
        if not isinstance(beta, float | int) or beta <= 0:
            raise ValueError(f"beta is {beta!r}, wanted > 0\n  hint: beta=1.0")
        self.average, self.beta, self.threshold = average, beta, threshold
        self._built = False

    def _build(self, classes: int) -> None:
        shape = () if self.average == "micro" else (classes,)
        self._axis = None if self.average == "micro" else 0
        for which in (
            "true_positives",
            "false_positives",
            "false_negatives",
            "intermediate_weights",
        ):
            setattr(self, which, self.add_variable(shape, name=which))
        self._built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Counts a batch."""
        y_true = ops.convert_to_tensor(y_true, "float32")
        y_pred = ops.convert_to_tensor(y_pred, "float32")
        if not self._built:
            self._build(y_pred.shape[-1])
        if self.threshold is None:
            top = ops.max(y_pred, axis=-1, keepdims=True)
            hit = ops.logical_and(y_pred >= top, ops.abs(y_pred) > 1e-9)
        else:
            hit = y_pred > self.threshold
        p = ops.cast(hit, "float32")
        w: Any = 1.0
        if sample_weight is not None:
            w = ops.convert_to_tensor(sample_weight, "float32")
            w = ops.expand_dims(w, axis=1) if ops.ndim(w) == 1 else w
        for which, part in (
            ("true_positives", p * y_true),
            ("false_positives", p * (1.0 - y_true)),
            ("false_negatives", (1.0 - p) * y_true),
            ("intermediate_weights", y_true),
        ):
            v = getattr(self, which)
            v.assign(v + ops.sum(part * w, axis=self._axis))

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
    """Harmonic mean of precision and recall per class."""

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str = "f1_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name)


class R2Score(Metric):
    """Coefficient of determination, the share of variance explained: y (n, outputs)."""

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str = "r2_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name)
        if class_aggregation not in (None, "uniform_average", "variance_weighted_average"):
            raise ValueError(
                f"class_aggregation is {class_aggregation!r}\n"
                "  hint: None, 'uniform_average' or 'variance_weighted_average'"
            )
        if num_regressors < 0:
            raise ValueError(f"num_regressors is {num_regressors}\n  hint: num_regressors=0")
        self.class_aggregation, self.num_regressors = class_aggregation, num_regressors
        self.num_samples = self.add_variable(name="num_samples")
        self._built = False

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch."""
        y_true = ops.convert_to_tensor(y_true, "float32")
        y_pred = ops.convert_to_tensor(y_pred, "float32")
        y_true, y_pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
        if not self._built:
            n = (y_pred.shape[-1],)
            for which in ("squared_sum", "sum", "total_mse", "count"):
                setattr(self, which, self.add_variable(n, name=which))
            self._built = True
        w: Any = ops.ones_like(y_true)
        if sample_weight is not None:
            given = ops.convert_to_tensor(sample_weight, "float32")
            while ops.ndim(given) < ops.ndim(y_true):
                given = ops.expand_dims(given, axis=-1)
            w = given * w
        for which, part in (
            ("sum", y_true * w),
            ("squared_sum", y_true * y_true * w),
            ("total_mse", ops.square(y_true - y_pred) * w),
            ("count", w),
        ):
            v = getattr(self, which)
            v.assign(v + ops.sum(part, axis=0))
        self.num_samples.assign(self.num_samples + _c.extent(y_true, axis=[0]))

    def result(self) -> Any:
        """1 - residual / total sum of squares."""
        if not self._built:
            return _core.tensor(0.0)
        total, squares, mse, count = (getattr(self, w).value for w in (
            "sum", "squared_sum", "total_mse", "count"))  # fmt: skip
        mean = ops.divide_no_nan(total, count)
        variance = squares - total * mean
        score = 1.0 - ops.divide_no_nan(mse, variance)
        score = _c.where(ops.isfinite(score), score, 0.0)
        if self.class_aggregation == "uniform_average":
            score = ops.mean(score)
        elif self.class_aggregation == "variance_weighted_average":
            score = ops.sum(score * ops.divide_no_nan(variance, ops.sum(variance)))
        if self.num_regressors:
            n, p = self.num_samples.value, float(self.num_regressors)
            score = 1.0 - (1.0 - score) * (n - 1.0) / (n - p - 1.0)
        return score


_CLASSES: list[Any] = [
    AUC, Accuracy, BinaryAccuracy, BinaryCrossentropy, CategoricalAccuracy,
    CategoricalCrossentropy, CategoricalHinge, CosineSimilarity, F1Score, FBetaScore,
    FalseNegatives, FalsePositives, Hinge, KLDivergence, LogCoshError, Mean, MeanAbsoluteError,
    MeanAbsolutePercentageError, MeanMetricWrapper, MeanSquaredError, MeanSquaredLogarithmicError,
    Poisson, Precision, R2Score, Recall, RootMeanSquaredError, SparseCategoricalAccuracy,
    SparseCategoricalCrossentropy, SparseTopKCategoricalAccuracy, SquaredHinge, Sum,
    TopKCategoricalAccuracy, TrueNegatives, TruePositives,
]  # fmt: skip
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
TABLE = Table("metric", [Metric, *_CLASSES], ALIASES)
#: Names that mean a class chosen by the shapes of y and p.
BY_SHAPE = ("accuracy", "acc", "crossentropy", "ce")


def check_name(name: str) -> None:
    """ValueError with the nearest names when no metric or loss function has this name."""
    from fastnn.errors import unknown_name

    known = {*TABLE.names, *BY_SHAPE, *losses.TABLE.names}
    from fastnn.serial import custom_objects

    if name not in known and name.lower() not in known and name not in custom_objects():
        raise unknown_name("metric", name, {k for k in known if k.islower()})


def by_shape(name: str, y_true: Any, y_pred: Any) -> Metric:
    """The accuracy or cross-entropy that fits the shapes, as Keras chooses it."""
    rank_true, rank_pred = ops.ndim(y_true), ops.ndim(y_pred)
    binary = y_pred.shape[-1] == 1 if rank_pred else True
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
    metric: Metric = kind(name=name)
    return metric


def get(identifier: Any) -> Any:
    """The metric for None, a name, a config, a function or an object."""
    if isinstance(identifier, str) and identifier not in TABLE.names:
        check_name(identifier)
        if identifier.lower() not in TABLE.names and identifier in losses.TABLE.names:
            return MeanMetricWrapper(losses.TABLE.find(identifier), identifier)
    return TABLE.get(identifier)


def serialize(metric: Metric) -> Any:
    """A metric as a config."""
    return plain(metric)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The metric that a config describes."""
    from fastnn.serial import custom_object_scope

    with custom_object_scope(custom_objects):
        return get(config)


__all__ = ["Metric", "deserialize", "get", "serialize", *(c.__name__ for c in _CLASSES)]
