"""The regressor. Depends on scikit-learn and `network`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin

from fastnn import losses
from fastnn.sklearn.network import Network

__all__ = ["FastNNRegressor"]

Array = np.ndarray[Any, Any]


class Numbers(Network):
    """Targets that are numbers, one or several a row."""

    loss: Any
    _y_numeric = True

    def _targets(self, y: Any, weights: Array | None, first: bool, classes: Any) -> Array:
        with np.errstate(over="ignore"):
            targets = np.asarray(y, np.float32)
        if not np.isfinite(targets).all():
            raise ValueError(
                "y holds numbers beyond float32 (up to 3.4e38)\n"
                "  hint: sklearn.compose.TransformedTargetRegressor scales them"
            )
        size = 0 if targets.ndim == 1 else targets.shape[1]
        if first:
            self._columns = size
        elif size != self._columns:
            raise ValueError(
                f"y has {size or 1} columns, the network was trained for {self._columns or 1}\n"
                "  hint: warm_start=False, or a new estimator"
            )
        return targets.reshape(len(targets), -1)

    def _outputs(self) -> int:
        return self._columns or 1

    def _loss(self) -> Any:
        return losses.get(self.loss)


class FastNNRegressor(RegressorMixin, Numbers):
    """A network that predicts numbers, as a scikit-learn estimator.

    It serves one target or several. Targets are trained on as they are: scale them where they are
    far from 1 (`sklearn.compose.TransformedTargetRegressor`), as the inputs (`StandardScaler`).

    When all rows fit in one batch the result does not depend on their order, and weighing a row 3
    is the same, in every bit, as giving it three times.

    Args:
        hidden_layer_sizes: Units of the hidden layers: a whole number or a list of them.
        loss: A name, an object or a function as in `fastnn.losses`.
        activation: Of the hidden layers: a name as in `fastnn.activations`, "logistic" or
            "identity" as in scikit-learn, or a function.
        dropout: The share of hidden units that a training step leaves out, 0 to below 1.
        l2: The penalty on squared kernels, as in `fastnn.regularizers.L2`.
        optimizer: A name or an object of `fastnn.optimizers`, which is copied for every fit.
        learning_rate: Its learning rate or schedule; None: that of the optimiser.
        epochs: Passes over the rows.
        batch_size: Rows of a batch; "auto" is 200, or all rows where they are fewer.
        shuffle: Whether every epoch has its own order of rows.
        early_stopping: Whether to hold out rows, stop when their loss no longer falls, and keep the
            weights of the best epoch.
        validation_fraction: The share of rows to hold out.
        n_iter_no_change: Epochs without improvement after which to stop.
        tol: By how much the loss must fall to count as an improvement.
        warm_start: Whether `fit` goes on from the weights of the last one.
        callbacks: A list of `fastnn.callbacks`, or a function that gives one for every fit.
        random_state: A seed, a `RandomState` or None, as in scikit-learn. With a seed the same
            data give the same bits in any process and on any number of threads.
        verbose: 0, 1 or 2, as in `Model.fit`.
        model: A function (n_features, n_outputs) that builds a `fastnn.Model`; the settings from
            activation to l2, and hidden_layer_sizes, are not used then.

    Example:
        >>> from fastnn.sklearn import FastNNRegressor
        >>> x = np.random.default_rng(0).normal(size=(500, 3))
        >>> y = x @ [1.0, -2.0, 0.5]
        >>> net = FastNNRegressor([32], epochs=100, random_state=0).fit(x, y)
        >>> net.score(x, y) > 0.9
        True
    """

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        *,
        loss: Any = "mse",
        activation: Any = "relu",
        dropout: float = 0.0,
        l2: float = 0.0,
        optimizer: Any = "adam",
        learning_rate: float | Callable[..., Any] | None = None,
        epochs: int = 200,
        batch_size: Any = "auto",
        shuffle: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        warm_start: bool = False,
        callbacks: Any = None,
        random_state: Any = None,
        verbose: Any = 0,
        model: Callable[[int, int], Any] | None = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.loss = loss
        self.activation = activation
        self.dropout = dropout
        self.l2 = l2
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.random_state = random_state
        self.verbose = verbose
        self.model = model

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Trains for `epochs` passes over the rows.

        Args:
            X: (n_samples, n_features): an array, a frame or a sparse matrix, which is made dense a
                batch at a time where it is large.
            y: (n_samples,) or (n_samples, n_outputs) numbers.
            sample_weight: (n_samples,) weights of 0 or more; only their ratios matter.

        Returns:
            The estimator.

        Raises:
            ValueError: The data or a setting are not valid.
        """
        return self._fit(X, y, sample_weight)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Trains for one pass over rows; the network and the optimiser go on from call to call.

        Args:
            X: (n_samples, n_features), as in `fit`.
            y: Numbers, as in `fit`.
            sample_weight: (n_samples,) weights, taken as they are.

        Returns:
            The estimator.
        """
        return self._partial_fit(X, y, None, sample_weight)

    def predict(self, X: Any) -> Array:
        """The numbers that the network gives.

        Args:
            X: (n_samples, n_features).

        Returns:
            (n_samples,) or (n_samples, n_outputs), float64 (computed in float32).
        """
        numbers = self._predicted(X).astype(np.float64)
        return numbers if self._columns else numbers[:, 0]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
