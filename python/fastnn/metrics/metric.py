"""`Metric`: variables that sum over batches inside the compiled step, and a result of them.

Weighted means divide by the sum of weights (unlike losses). Sums keep what float32 rounds off in
a second variable, so that they are exact for billions of samples. Depends on `losses`, `ops`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from fastnn import _core, initializers, losses, ops
from fastnn.base.arguments import hints_arguments
from fastnn.base.typing import DTypeLike, TensorLike
from fastnn.config import snake_case, unique_name
from fastnn.dtype_policies import computing_dtype
from fastnn.losses.base import match_weights, weight_of_mask
from fastnn.losses.checks import check_alike, squeeze_or_expand_to_same_rank
from fastnn.losses.targets import guarded, labels_are_checked, targets_of
from fastnn.serialization.encoding import Configurable, to_config
from fastnn.tracing.call_context import mask_of
from fastnn.tracing.variables import Scope, Variable

__all__ = [
    "Mean",
    "MeanMetricWrapper",
    "Metric",
    "Sum",
]

_c = _core.ops

#: Keras's ways to join the states of several devices; "none" is "sum" there for metrics too.
_AGGREGATIONS = ("sum", "mean", "only_first_replica", "none", None)


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

    name: str

    #: "up" where more is better, "down" where less is: what callbacks that watch it go by.
    _direction: str | None = None
    #: Whether targets of any kind are taken: for an accuracy by name beside a loss of numbers.
    _any_targets = False
    #: What to do where the value is NaN because of the predictions.
    _nan_hint: str | None = None
    #: While values come from the caller: what `variables` do not hold is lost between calls.
    _stateless = False

    def __init__(self, dtype: DTypeLike = None, name: str | None = None) -> None:
        self.name = name or unique_name(snake_case(type(self).__name__))
        self._dtype = computing_dtype(dtype, type(self).__name__)
        self._variables: list[Variable] = []

    def add_variable(
        self,
        shape: Sequence[int] = (),
        initializer: Any = "zeros",
        dtype: DTypeLike = None,
        aggregation: str = "sum",
        name: str | None = None,
    ) -> Variable:
        """A variable that holds part of the state.

        Args:
            shape: Its shape; () for a number.
            initializer: First values: a name, an `Initializer` or a function.
            dtype: `"float32"` (default) or `"int32"`, for one that counts.
            aggregation: How ranks that train together (`fastnn.distributed`) join their states:
                `"sum"`, `"mean"` or `"only_first_replica"`.
            name: Its name in paths.

        Returns:
            A `Variable`, which `reset_state` puts back to zero.

        Example:
            >>> metric = fastnn.metrics.Metric(name="own")
            >>> metric.add_variable(name="total").path
            'own/total'
        """
        variable = Variable(
            initializers.get(initializer), shape, dtype or "float32", trainable=False, name=name
        )
        variable.path = f"{self.name}/{variable.name}"
        if aggregation not in _AGGREGATIONS:
            raise ValueError(
                f"aggregation is {aggregation!r}, wanted {', '.join(map(repr, _AGGREGATIONS))}"
                "\n  hint: leave it out for a state that sums up"
            )
        variable.aggregation = aggregation
        self._variables.append(variable)
        return variable

    add_weight = add_variable

    def _add_sum(self, name: str, shape: Sequence[int] = ()) -> Variable:
        """A variable to sum into with `_accumulate`."""
        variable = self.add_variable(shape, name=name)
        self._rest_of(variable)
        return variable

    def _join_ranks(self, parts: Any) -> None:
        """Told once each variable holds its sum over all ranks: what is no sum is put right.

        `parts` gives what a variable held on each rank, in their order.
        """

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

    def get_config(self) -> dict[str, Any]:
        """The settings; the name is the one that was given, without that of an output before it.

        Returns:
            Arguments of the constructor by name.

        Example:
            >>> fastnn.metrics.Mean(name="gap").get_config()
            {'name': 'gap', 'dtype': 'float32'}
        """
        config = super().get_config()
        return config | {"name": self.__dict__.get("_given_name", self.name)}

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
        """Puts the metric back to the start.

        Example:
            >>> metric = fastnn.metrics.Mean()
            >>> metric.update_state([2.0])
            >>> metric.reset_state()
            >>> float(metric.result())
            0.0
        """
        # An assignment sets what a sum has rounded off to 0 as well.
        for v in self.variables:
            v.assign(np.zeros(v.shape, np.int32 if v.dtype == "int32" else np.float32))

    reset_states = reset_state

    def stateless_update_state(self, metric_variables: Sequence[Any], *args: Any, **kw: Any) -> Any:
        """New values of the variables after a batch; the stored ones stay.

        Args:
            metric_variables: A value for each of `variables`.
            *args: As for `update_state`.
            **kw: As for `update_state`.

        Returns:
            A list of tensors.

        Example:
            >>> metric = fastnn.metrics.Sum()
            >>> state = metric.stateless_update_state(metric.stateless_reset_state(), [2.0, 3.0])
            >>> float(metric.stateless_result(state)), float(metric.result())
            (5.0, 0.0)
        """
        with Scope() as scope:
            self._put(scope, metric_variables)
            self._stateless = True
            try:
                self.update_state(*args, **kw)
            finally:
                self._stateless = False
            return [v.value for v in self.variables]

    def stateless_result(self, metric_variables: Sequence[Any]) -> Any:
        """The result that these values of the variables give.

        Args:
            metric_variables: A value for each of `variables`.

        Returns:
            A tensor, or a dict of tensors.

        Example:
            >>> float(fastnn.metrics.Mean().stateless_result([6.0, 2.0]))
            3.0
        """
        with Scope() as scope:
            self._put(scope, metric_variables)
            return self.result()

    def stateless_reset_state(self) -> list[Any]:
        """The values of the variables at the start.

        Returns:
            A list of tensors.

        Example:
            >>> [float(v) for v in fastnn.metrics.Mean().stateless_reset_state()]
            [0.0, 0.0]
        """
        with Scope():
            self.reset_state()
            return [v.value for v in self.variables]

    def _put(self, scope: Scope, values: Sequence[Any]) -> None:
        own = self.variables
        if len(own) != len(values):
            raise ValueError(
                f"{type(self).__name__} has {len(own)} variables, got {len(values)} values\n"
                "  hint: give one value for each of metric.variables"
            )
        for v, value in zip(own, list(values), strict=True):
            scope.put(v, value)

    def update_state(self, *args: Any, **kwargs: Any) -> Any:
        """Takes a batch into account; subclasses define it.

        Args:
            *args: Values, or labels and predictions.
            **kwargs: `sample_weight`, and what a subclass takes besides.

        Returns:
            Nothing.

        Example:
            >>> metric = fastnn.metrics.MeanSquaredError()
            >>> metric.update_state([1.0], [3.0], sample_weight=[1.0])
            >>> float(metric.result())
            4.0
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define update_state"
            "\n  hint: def update_state(self, y_true, y_pred, sample_weight=None): ..."
        )

    def result(self) -> Any:
        """The value over all batches since the reset.

        Returns:
            A tensor, or a dict of tensors.

        Example:
            >>> metric = fastnn.metrics.Mean()
            >>> metric.update_state([2.0, 4.0])
            >>> float(metric.result())
            3.0
        """
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


def _weighted(
    values: TensorLike, sample_weight: TensorLike, reduce: Callable[..., Any] = ops.mean
) -> tuple[Any, Any]:
    """Values reduced to the rank of the weights by `reduce`, and weights of that shape.

    As in Keras a mask of the values is heeded where there are weights.
    """
    mask = mask_of(values)
    values = ops.convert_to_tensor(values, "float32")
    if sample_weight is None:
        return values, None
    if mask is not None:
        sample_weight = weight_of_mask(sample_weight, mask)
    weight = ops.convert_to_tensor(sample_weight, "float32")
    weight, values = squeeze_or_expand_to_same_rank(weight, values)
    if ops.ndim(values) > ops.ndim(weight):
        values = reduce(values, axis=list(range(ops.ndim(weight), ops.ndim(values))))
    weight, values = match_weights(weight, values)
    return values, weight


def _count_of(x: TensorLike) -> Any:
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

    total: Any
    count: Any

    def __init__(self, name: str | None = "mean", dtype: DTypeLike = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = self._add_sum("total")
        self.count = self._add_sum("count")

    @hints_arguments
    def update_state(self, values: TensorLike, sample_weight: TensorLike = None) -> None:
        """Adds values, each with its weight."""
        values, weight = _weighted(values, sample_weight)
        if ops.ndim(values) > 1:
            # A sample counts once however many numbers it has: batches of long sequences weigh no
            # more than batches of short ones, and weighted batches no less than unweighted ones.
            inner = list(range(1, ops.ndim(values)))
            if weight is not None:
                values = values * weight
                weight = ops.mean(weight * ops.ones_like(values), axis=inner)
            values = ops.mean(values, axis=inner)
        elif weight is not None:
            values = values * weight
        if weight is None:
            self._accumulate(self.total, ops.sum(values))
            self._accumulate(self.count, _count_of(values))
            return
        if ops.ndim(values) == 0:
            self._accumulate(self.total, values)
            self._accumulate(self.count, weight)
            return
        self._accumulate(self.total, ops.sum(values))
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

    total: Any

    def __init__(self, name: str = "sum", dtype: DTypeLike = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = self._add_sum("total")

    @hints_arguments
    def update_state(self, values: TensorLike, sample_weight: TensorLike = None) -> None:
        """Adds values times weights."""
        values, weight = _weighted(values, sample_weight, ops.sum)
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
        self,
        fn: Callable[..., Any],
        name: str | None = None,
        dtype: DTypeLike = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self._fn, self._fn_kwargs = fn, kwargs

    def __setattr__(self, name: str, value: Any) -> None:
        # A setting that is changed later is what the function is given.
        if name in self.__dict__ and name in self.__dict__.get("_fn_kwargs", ()):
            self._fn_kwargs[name] = value
        super().__setattr__(name, value)

    @hints_arguments
    def update_state(  # type: ignore[override]
        self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike = None
    ) -> None:
        """Adds the function's values of a batch."""
        mask = mask_of(y_pred)
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        y_true, y_pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
        targets = targets_of(self)
        if targets is None:
            values = self._fn(y_true, y_pred, **self._fn_kwargs)
        else:
            # Here and not in the function, which does not know the weights.
            with labels_are_checked(True):
                values = self._fn(y_true, y_pred, **self._fn_kwargs)
            values = guarded(targets, values, y_true, y_pred, sample_weight, mask)
        if mask is not None:
            sample_weight = weight_of_mask(sample_weight, mask)
        super().update_state(values, sample_weight)

    def get_config(self) -> dict[str, Any]:
        """Name and the function's settings."""
        own = {"fn": to_config(self._fn)} if type(self) is MeanMetricWrapper else {}
        return {
            "name": self.__dict__.get("_given_name", self.name),
            "dtype": self.dtype,
            **own,
            **to_config(self._fn_kwargs),
        }


def pair_alike(y_true: TensorLike, y_pred: TensorLike) -> tuple[Any, Any]:
    """Both as floats of one shape; (n,) and (n, 1) are brought together, others are refused."""
    y_true, y_pred = squeeze_or_expand_to_same_rank(
        ops.convert_to_tensor(y_true, "float32"), ops.convert_to_tensor(y_pred, "float32")
    )
    check_alike(y_true, y_pred)
    return y_true, y_pred


def nan_of_bad(
    metric: Metric, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike
) -> Any:
    """DataError for targets that the metric cannot count; in a trace 0, or NaN where there are
    some; else None.
    """
    targets = targets_of(metric)
    marked = guarded(targets, _NONE, y_true, y_pred, sample_weight)
    return None if marked is _NONE else marked


_NONE = _core.tensor(0.0)


def labels_as_numbers(y_true: TensorLike, y_pred: TensorLike) -> Any:
    y_true, y_pred = ops.cast(y_true, "int32"), ops.convert_to_tensor(y_pred)
    if ops.ndim(y_true) == ops.ndim(y_pred) and y_true.shape[-1] == 1:
        y_true = ops.squeeze(y_true, -1)
    if ops.ndim(y_true) == ops.ndim(y_pred) and y_true.shape[-1] == y_pred.shape[-1]:
        losses.check_sparse(y_true, y_pred, "a sparse metric")
    return y_true
