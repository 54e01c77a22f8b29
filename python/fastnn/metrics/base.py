"""Metrics: variables that sum over batches inside the compiled step, and a result of them.

Weighted means divide by the sum of weights (unlike losses). Sums keep what float32 rounds off in
a second variable, so that they are exact for billions of samples. Depends on `losses`, `ops`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from fastnn import _core, initializers, losses, ops
from fastnn.base.arguments import signature_of
from fastnn.config import epsilon, snake_case, unique_name
from fastnn.dtype_policies import computing_dtype
from fastnn.losses.checks import check_alike, squeeze_or_expand_to_same_rank
from fastnn.serialization.encoding import Configurable, plain
from fastnn.tracing.call_context import current_call
from fastnn.tracing.variables import Scope, Variable

__all__ = [
    "Accuracy", "BinaryAccuracy", "BinaryCrossentropy", "CategoricalAccuracy",
    "CategoricalCrossentropy", "CategoricalHinge", "ConcordanceCorrelation", "CosineSimilarity",
    "Hinge", "KLDivergence", "LogCoshError", "Mean", "MeanAbsoluteError",
    "MeanAbsolutePercentageError", "MeanMetricWrapper", "MeanSquaredError",
    "MeanSquaredLogarithmicError", "Metric", "PearsonCorrelation", "Poisson",
    "RootMeanSquaredError", "SparseCategoricalAccuracy", "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy", "SquaredHinge", "Sum", "TopKCategoricalAccuracy", "accuracy",
    "binary_accuracy", "categorical_accuracy", "concordance_correlation", "pearson_correlation",
    "sparse_categorical_accuracy", "sparse_top_k_categorical_accuracy",
    "top_k_categorical_accuracy",
]  # fmt: skip

_c = _core.ops


class Metric(Configurable):
    """A number that is gathered over batches, such as the accuracy of an epoch.

    Subclasses add variables in `__init__`, assign them in `update_state` and read them in `result`.
    A float32 variable counts no further than 2^24 in steps of one; one that counts is made by
    `add_weight(dtype="int32")`. Sums of the library's own metrics keep what float32 rounds off.

    Args:
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.
        name: The name of the metric; made from the class name when left out.

    Example:
        >>> class Largest(fastnn.metrics.Metric):
        ...     def __init__(self, **kwargs):
        ...         super().__init__(**kwargs)
        ...         self.most = self.add_weight(name="most", initializer="zeros")
        ...     def update_state(self, y_true, y_pred, sample_weight=None):
        ...         self.most.assign(fastnn.ops.maximum(self.most, fastnn.ops.max(y_pred)))
        ...     def result(self):
        ...         return self.most.value
        >>> metric = Largest()
        >>> metric.update_state([0.0], [3.0])
        >>> float(metric.result())
        3.0
    """

    #: "up" where more is better, "down" where less is: what callbacks that watch it go by.
    _direction: str | None = None
    #: While values come from the caller: what `variables` do not hold is lost between calls.
    _stateless = False

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        self.name = name or unique_name(snake_case(type(self).__name__))
        self._dtype = computing_dtype(dtype, type(self).__name__)
        self._variables: list[Variable] = []

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

    def _add_sum(self, name: str, shape: Sequence[int] = ()) -> Variable:
        """A variable to sum into with `_accumulate`."""
        variable = self.add_variable(shape, name=name)
        self._rest_of(variable)
        return variable

    def _rest_of(self, variable: Variable) -> Variable:
        """Where `_accumulate` keeps what a sum rounds off."""
        if variable.rest is None:
            zeros, name = np.zeros(variable.shape, np.float32), f"{variable.name}_rest"
            variable.rest = Variable(zeros, trainable=False, name=name)
            variable.rest.path = f"{variable.path}_rest"
        return variable.rest

    def _accumulate(self, variable: Variable, amount: Any) -> None:
        """Adds to a sum: to about 48 bits, where float32 alone would stop counting at 2^24."""
        rest, old = self._rest_of(variable), variable.value
        amount = amount + rest.value
        total = old + amount
        lost = amount - (total - old)
        variable.assign(total)  # an assignment from elsewhere sets the rest to 0, as this does
        rest.assign(_c.where(ops.isfinite(total), lost, 0.0))

    @property
    def dtype(self) -> str:
        """The type of the state."""
        return self._dtype

    @property
    def variables(self) -> list[Variable]:
        """The state: own variables first, then those in attributes and in metrics inside.

        What sums round off is kept apart from it, so that the list is the same as in Keras.
        """
        found = dict.fromkeys(self._variables)
        for key, value in self.__dict__.items():
            if key not in ("_variables", "_carries"):
                found.update(dict.fromkeys(_variables_in(value)))
        return list(found)

    @property
    def _state(self) -> list[Variable]:
        """All that a reset sets to 0: the variables, and what their sums round off."""
        own = self.variables
        return own + [v.rest for v in own if v.rest is not None]

    def reset_state(self) -> None:
        """Back to the start."""
        for v in self._state:
            v.assign(np.zeros(v.shape, np.int32 if v.dtype == "int32" else np.float32))

    reset_states = reset_state

    def stateless_update_state(self, metric_variables: Sequence[Any], *args: Any, **kw: Any) -> Any:
        """New values of the variables after a batch; the stored ones stay."""
        with Scope():
            given = self._set(metric_variables)
            self._stateless = True
            try:
                self.update_state(*args, **kw)
            finally:
                self._stateless = False
            return [v.value for v in given]

    def stateless_result(self, metric_variables: Sequence[Any]) -> Any:
        """The result that these values of the variables give."""
        with Scope():
            self._set(metric_variables)
            return self.result()

    def stateless_reset_state(self) -> list[Any]:
        """The values of the variables at the start."""
        with Scope():
            self.reset_state()
            return [v.value for v in self.variables]

    def _set(self, values: Sequence[Any]) -> list[Variable]:
        own = self.variables
        if len(own) != len(values):
            raise ValueError(
                f"{type(self).__name__} has {len(own)} variables, got {len(values)} values\n"
                "  hint: give one value for each of metric.variables"
            )
        for v, value in zip(own, list(values), strict=True):
            v.assign(value)
        return own

    def update_state(self, *args: Any, **kwargs: Any) -> Any:
        """Takes a batch into account."""
        raise NotImplementedError(
            f"{type(self).__name__} must define update_state"
            "\n  hint: def update_state(self, y_true, y_pred, sample_weight=None): ..."
        )

    def result(self) -> Any:
        """The value over all batches since the reset."""
        raise NotImplementedError(
            f"{type(self).__name__} must define result"
            "\n  hint: def result(self): return self.total / self.count"
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Takes a batch into account and gives the value so far."""
        self.update_state(*args, **kwargs)
        return self.result()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


def state_of(metric: Any) -> list[Variable]:
    """All variables that a metric sums in."""
    return list(getattr(metric, "_state", metric.variables))


def metric_variables(model: Any) -> list[Variable]:
    """The state of all metrics of a model, each variable once."""
    return list({v: None for m in model.metrics for v in state_of(m)})


def _variables_in(value: Any) -> Iterator[Variable]:
    """Variables held in a value: itself, inside metrics, lists and dicts."""
    if isinstance(value, Variable):
        yield value
    elif isinstance(value, Metric):
        yield from value.variables
    elif isinstance(value, list | tuple | dict):
        for x in value.values() if isinstance(value, dict) else value:
            yield from _variables_in(x)


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
    """The mean of values, weighted if weights are given.

    Args:
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.Mean()
        >>> metric.update_state([1.0, 3.0])
        >>> metric.update_state([8.0], sample_weight=[2.0])
        >>> float(metric.result())
        5.0
    """

    def __init__(self, name: str = "mean", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = self._add_sum("total")
        self.count = self._add_sum("count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Adds values, each with its weight."""
        context = current_call()
        mask = context.mask_of(values) if context is not None else None
        if mask is not None:
            keep = ops.cast(mask, "float32")
            sample_weight = keep if sample_weight is None else keep * sample_weight
        values, weight = _weighted(values, sample_weight)
        if weight is None:
            self._accumulate(self.total, ops.sum(values))
            self._accumulate(self.count, _count_of(values))
            return
        if ops.ndim(values) == 0:
            self._accumulate(self.total, values * weight)
            self._accumulate(self.count, weight)
            return
        self._accumulate(self.total, ops.sum(values * weight))
        self._accumulate(self.count, ops.sum(weight * ops.ones_like(values)))

    def result(self) -> Any:
        """Total / count, 0 before any value."""
        return ops.divide_no_nan(self.total.value, self.count.value)


class Sum(Metric):
    """The sum of values, weighted if weights are given.

    Args:
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.Sum()
        >>> metric.update_state([1.0, 3.0])
        >>> float(metric.result())
        4.0
    """

    def __init__(self, name: str = "sum", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = self._add_sum("total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Adds values times weights."""
        values, weight = _weighted(values, sample_weight)
        self._accumulate(self.total, ops.sum(values if weight is None else values * weight))

    def result(self) -> Any:
        """The sum."""
        return self.total.value


class MeanMetricWrapper(Mean):
    """The mean of a function of (y_true, y_pred).

    Further keyword arguments are given to the function.

    Args:
        fn: A function that gives one number a sample.
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> def gap(y, p):
        ...     return fastnn.ops.abs(y - p)
        >>> metric = fastnn.metrics.MeanMetricWrapper(gap)
        >>> metric.update_state([1.0, 2.0], [1.0, 4.0])
        >>> float(metric.result())
        1.0
    """

    def __init__(
        self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(name=str(name or getattr(fn, "__name__", "mean_metric")), dtype=dtype)
        self._fn, self._fn_kwargs = fn, kwargs

    def update_state(  # type: ignore[override]
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        """Adds the function's values of a batch."""
        context = current_call()
        mask = context.mask_of(y_pred) if context is not None else None
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        y_true, y_pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
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
        return {"name": self.name, "dtype": self.dtype, **own, **plain(self._fn_kwargs)}


# ---- accuracies ------------------------------------------------------------------------------


def _pair_alike(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Both as floats of one shape; (n,) and (n, 1) are brought together, others are refused."""
    y_true, y_pred = squeeze_or_expand_to_same_rank(
        ops.convert_to_tensor(y_true, "float32"), ops.convert_to_tensor(y_pred, "float32")
    )
    check_alike(y_true, y_pred)
    return y_true, y_pred


def accuracy(y_true: Any, y_pred: Any) -> Any:
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
    y_true, y_pred = _pair_alike(y_true, y_pred)
    return ops.cast(ops.equal(y_true, y_pred), "float32")


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Any:
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
    y_true, y_pred = _pair_alike(y_true, y_pred)
    return ops.cast(ops.equal(y_true, ops.cast(y_pred > threshold, "float32")), "float32")


def _one_hot_pair(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """One-hot targets and scores; ShapeError when y holds something else, such as numbers."""
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    check_alike(y_true, y_pred)
    return y_true, y_pred


def categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
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


def _class_numbers(y_true: Any, y_pred: Any) -> Any:
    y_true, y_pred = ops.cast(y_true, "int32"), ops.convert_to_tensor(y_pred)
    if ops.ndim(y_true) == ops.ndim(y_pred) and y_true.shape[-1] == 1:
        y_true = ops.squeeze(y_true, -1)
    if ops.ndim(y_true) == ops.ndim(y_pred) and y_true.shape[-1] == y_pred.shape[-1]:
        losses.check_sparse(y_true, y_pred)  # one-hot targets
    return y_true


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
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
        ops.equal(_class_numbers(y_true, y_pred), ops.argmax(y_pred, axis=-1)), "float32"
    )


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Any:
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


def sparse_top_k_categorical_accuracy(
    y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False
) -> Any:
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
    y_true = _class_numbers(y_true, y_pred)
    if from_sorted_ids:
        best = ops.cast(y_pred, "int32")[..., :k]
        return ops.cast(
            ops.any(ops.equal(ops.expand_dims(y_true, axis=-1), best), axis=-1), "float32"
        )
    return ops.cast(ops.in_top_k(y_true, y_pred, k), "float32")


def _mean_class(
    fn: Callable[..., Any],
    class_name: str,
    doc: str,
    name: str | None = None,
    up: bool = False,
    **defaults: Any,
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
        name = given.get("name") or default_name
        MeanMetricWrapper.__init__(self, fn, name, given.get("dtype"), **settings)
        for key, value in settings.items():
            setattr(self, key, value)

    shown = {k: defaults.get(k, default_name if k == "name" else None) for k in _order(defaults)}
    __init__.__signature__ = signature_of(shown)  # type: ignore[attr-defined]
    body = {
        "__init__": __init__, "__doc__": doc, "__module__": __name__,
        "_direction": "up" if up else "down",
    }  # fmt: skip
    return type(class_name, (MeanMetricWrapper,), body)


def _order(defaults: dict[str, Any]) -> list[str]:
    leading = [k for k in defaults if k in ("k", "delta")]
    return [*leading, "name", "dtype", *(k for k in defaults if k not in leading)]


Accuracy = _mean_class(
    accuracy,
    "Accuracy",
    """The share of predictions that equal their label.

    Args:
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.Accuracy()
        >>> metric.update_state([1, 2, 3], [1, 2, 0])
        >>> round(float(metric.result()), 4)
        0.6667
    """,
    up=True,
)
BinaryAccuracy = _mean_class(
    binary_accuracy,
    "BinaryAccuracy",
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
    """,
    up=True,
    threshold=0.5,
)
CategoricalAccuracy = _mean_class(
    categorical_accuracy,
    "CategoricalAccuracy",
    """The share of samples whose largest prediction stands where the label is one: labels one-hot.

    Args:
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.CategoricalAccuracy()
        >>> metric.update_state([[0.0, 1.0], [1.0, 0.0]], [[0.3, 0.7], [0.4, 0.6]])
        >>> float(metric.result())
        0.5
    """,
    up=True,
)
SparseCategoricalAccuracy = _mean_class(
    sparse_categorical_accuracy,
    "SparseCategoricalAccuracy",
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
    """,
    up=True,
)
TopKCategoricalAccuracy = _mean_class(
    top_k_categorical_accuracy,
    "TopKCategoricalAccuracy",
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
    """,
    up=True,
    k=5,
)
SparseTopKCategoricalAccuracy = _mean_class(
    sparse_top_k_categorical_accuracy,
    "SparseTopKCategoricalAccuracy",
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
    """,
    up=True,
    k=5,
    from_sorted_ids=False,
)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """Cos of the angle between y and p along `axis`."""
    return -losses.cosine_similarity(y_true, y_pred, axis)


MeanSquaredError = _mean_class(
    losses.mean_squared_error,
    "MeanSquaredError",
    """The mean of squared errors.

    Args:
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.MeanSquaredError()
        >>> metric.update_state([[1.0, 2.0]], [[1.0, 4.0]])
        >>> float(metric.result())
        2.0
    """,
)
MeanAbsoluteError = _mean_class(
    losses.mean_absolute_error,
    "MeanAbsoluteError",
    """The mean of absolute errors.

    Args:
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.MeanAbsoluteError()
        >>> metric.update_state([[1.0, 2.0]], [[1.0, 4.0]])
        >>> float(metric.result())
        1.0
    """,
)
MeanAbsolutePercentageError = _mean_class(
    losses.mean_absolute_percentage_error,
    "MeanAbsolutePercentageError",
    """The mean of absolute errors in percent of the labels.

    Args:
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.MeanAbsolutePercentageError()
        >>> metric.update_state([[2.0, 4.0]], [[1.0, 4.0]])
        >>> float(metric.result())
        25.0
    """,
)
MeanSquaredLogarithmicError = _mean_class(
    losses.mean_squared_logarithmic_error,
    "MeanSquaredLogarithmicError",
    """The mean of squared differences of log(1 + y) and log(1 + p).

    Args:
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.MeanSquaredLogarithmicError()
        >>> metric.update_state([[1.0]], [[3.0]])
        >>> round(float(metric.result()), 4)
        0.4805
    """,
)
CosineSimilarity = _mean_class(
    cosine_similarity,
    "CosineSimilarity",
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
    """,
    up=True,
    axis=-1,
)
LogCoshError = _mean_class(
    losses.log_cosh,
    "LogCoshError",
    """The mean of log(cosh(p - y)).

    Args:
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.LogCoshError()
        >>> metric.update_state([[0.0]], [[1.0]])
        >>> round(float(metric.result()), 4)
        0.4338
    """,
    name="logcosh",
)
Hinge = _mean_class(
    losses.hinge,
    "Hinge",
    """The mean of max(1 - y p, 0); labels 0 and 1 are read as -1 and 1.

    Args:
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.Hinge()
        >>> metric.update_state([[1.0, -1.0]], [[0.5, -2.0]])
        >>> float(metric.result())
        0.25
    """,
)
SquaredHinge = _mean_class(
    losses.squared_hinge,
    "SquaredHinge",
    """The mean of max(1 - y p, 0)²; labels 0 and 1 are read as -1 and 1.

    Args:
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.SquaredHinge()
        >>> metric.update_state([[1.0, -1.0]], [[0.5, -2.0]])
        >>> float(metric.result())
        0.125
    """,
)
CategoricalHinge = _mean_class(
    losses.categorical_hinge,
    "CategoricalHinge",
    """The mean of max(1 + best wrong score - right score, 0); labels one-hot.

    Args:
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.CategoricalHinge()
        >>> metric.update_state([[0.0, 1.0]], [[0.25, 0.75]])
        >>> float(metric.result())
        0.5
    """,
)
KLDivergence = _mean_class(
    losses.kl_divergence,
    "KLDivergence",
    """The mean Kullback-Leibler divergence of labels and predictions.

    Args:
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.KLDivergence()
        >>> metric.update_state([[0.5, 0.5]], [[0.25, 0.75]])
        >>> round(float(metric.result()), 4)
        0.1438
    """,
)
Poisson = _mean_class(
    losses.poisson,
    "Poisson",
    """The mean loss of counts that follow a Poisson law: p - y log(p).

    Args:
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.Poisson()
        >>> metric.update_state([[2.0]], [[1.0]])
        >>> round(float(metric.result()), 4)
        1.0
    """,
)
BinaryCrossentropy = _mean_class(
    losses.binary_crossentropy,
    "BinaryCrossentropy",
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
    """,
    from_logits=False,
    label_smoothing=0,
)
CategoricalCrossentropy = _mean_class(
    losses.categorical_crossentropy,
    "CategoricalCrossentropy",
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
    """,
    from_logits=False,
    label_smoothing=0,
    axis=-1,
)
_SparseCrossentropy = _mean_class(
    losses.sparse_categorical_crossentropy, "SparseCategoricalCrossentropy",
    "Mean cross-entropy, class numbers.", from_logits=False, ignore_class=None, axis=-1,
)  # fmt: skip


class SparseCategoricalCrossentropy(_SparseCrossentropy):  # type: ignore[misc, valid-type]
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

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds the loss of a batch."""
        if self.ignore_class is not None and sample_weight is not None:
            keep = ops.not_equal(_class_numbers(y_true, y_pred), self.ignore_class)
            weight, keep = squeeze_or_expand_to_same_rank(
                ops.convert_to_tensor(sample_weight, "float32"), ops.cast(keep, "float32")
            )
            sample_weight = weight * keep
        super().update_state(y_true, y_pred, sample_weight)


def pearson_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
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


def concordance_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
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


def _centred(x: Any, axis: int) -> Any:
    x = ops.convert_to_tensor(x, "float32")
    return x - ops.mean(x, axis=axis, keepdims=True)


PearsonCorrelation = _mean_class(
    pearson_correlation,
    "PearsonCorrelation",
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
    """,
    up=True,
    axis=-1,
)
ConcordanceCorrelation = _mean_class(
    concordance_correlation,
    "ConcordanceCorrelation",
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
    """,
    up=True,
    axis=-1,
)


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

    def __init__(self, name: str = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def update_state(  # type: ignore[override]
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        """Adds squared errors."""
        y_true, y_pred = _pair_alike(y_true, y_pred)
        super().update_state(ops.square(y_pred - y_true), sample_weight)

    def result(self) -> Any:
        """sqrt(mean)."""
        return ops.sqrt(super().result())
