"""The transformer of hidden features. Depends on scikit-learn, `classifier` and `regressor`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import validate_data

from fastnn import layers, losses, models
from fastnn.sklearn.classifier import Classes
from fastnn.sklearn.regressor import Numbers

__all__ = ["FastNNFeatures"]

Array = np.ndarray[Any, Any]
_TASKS = ("auto", "classification", "regression", "reconstruction")


class FastNNFeatures(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Classes, Numbers):
    """What a hidden layer of a trained network gives, as features for other estimators.

    The network is trained on y, on classes or numbers; without y it learns to reproduce its own
    inputs (an autoencoder), so that a narrow layer holds what matters most of them.

    Args:
        hidden_layer_sizes: Units of the hidden layers: a whole number or a list of them.
        layer: Which hidden layer: its number as in a list, or with `model` also its name; -1 is
            the last one before the outputs.
        task: What y is: "classification", "regression" or "reconstruction" (y is not looked at);
            "auto" takes text and whole numbers for classes and other numbers for numbers, and
            reconstructs without y.
        loss: For numbers and reconstruction: as in `fastnn.losses`.
        activation: Of the hidden layers: a name as in `fastnn.activations`, "logistic" or
            "identity" as in scikit-learn, or a function.
        dropout: The share of hidden units that a training step leaves out, 0 to below 1.
        l2: The penalty on squared kernels, as in `fastnn.regularizers.L2`.
        optimizer: A name or an object of `fastnn.optimizers`, which is copied for every fit.
        learning_rate: Its learning rate or schedule; None: that of the optimiser.
        epochs: Passes over the rows.
        batch_size: Rows of a batch; "auto" is 200, or all rows where they are fewer.
        shuffle: Whether every epoch has its own order of rows.
        class_weight: For classes: weights by label as a dict, or "balanced".
        early_stopping: Whether to hold out rows, stop when their loss no longer falls, and keep the
            weights of the best epoch.
        validation_fraction: The share of rows to hold out.
        n_iter_no_change: Epochs without improvement after which to stop.
        tol: By how much the loss must fall to count as an improvement.
        warm_start: Whether `fit` goes on from the weights of the last one.
        callbacks: A list of `fastnn.callbacks`, or a function that gives one for every fit.
        random_state: A seed, a `RandomState` or None, as in scikit-learn.
        verbose: 0, 1 or 2, as in `Model.fit`.
        model: A function (n_features, n_outputs) that builds a `fastnn.Model`, as for
            `FastNNClassifier`.

    Example:
        >>> from fastnn.sklearn import FastNNFeatures
        >>> x = np.random.default_rng(0).normal(size=(100, 6))
        >>> FastNNFeatures([8, 2], epochs=5, random_state=0).fit_transform(x).shape
        (100, 2)
    """

    task_: str
    encoder_: Any

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        *,
        layer: int | str = -1,
        task: str = "auto",
        loss: Any = "mse",
        activation: Any = "relu",
        dropout: float = 0.0,
        l2: float = 0.0,
        optimizer: Any = "adam",
        learning_rate: float | Callable[..., Any] | None = None,
        epochs: int = 200,
        batch_size: Any = "auto",
        shuffle: bool = True,
        class_weight: Any = None,
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
        self.layer = layer
        self.task = task
        self.loss = loss
        self.activation = activation
        self.dropout = dropout
        self.l2 = l2
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.class_weight = class_weight
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.random_state = random_state
        self.verbose = verbose
        self.model = model

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Trains the network.

        Args:
            X: (n_samples, n_features): an array, a frame or a sparse matrix.
            y: Classes or numbers, one or several a row; None to reconstruct X.
            sample_weight: (n_samples,) weights of 0 or more; only their ratios matter.

        Returns:
            The estimator.

        Raises:
            ValueError: The data or a setting are not valid.
        """
        return self._fit(X, y, sample_weight)

    def partial_fit(
        self, X: Any, y: Any = None, classes: Any = None, sample_weight: Any = None
    ) -> Self:
        """Trains for one pass over rows; the network and the optimiser go on from call to call.

        Args:
            X: (n_samples, n_features), as in `fit`.
            y: As in `fit`.
            classes: All labels that will occur, at the first call where y holds classes; None:
                those of the first call.
            sample_weight: (n_samples,) weights, taken as they are.

        Returns:
            The estimator.
        """
        return self._partial_fit(X, y, classes, sample_weight)

    def transform(self, X: Any) -> Array:
        """What the hidden layer gives.

        Args:
            X: (n_samples, n_features).

        Returns:
            (n_samples, units of the layer), float32.
        """
        return self._predicted(X, getattr(self, "encoder_", None))

    @property
    def _n_features_out(self) -> int:
        return int(self.encoder_.outputs[0].shape[-1])

    # ---- targets by the task -----------------------------------------------------------------

    def _checked(
        self, X: Any, y: Any, sample_weight: Any, first: bool
    ) -> tuple[Any, Any, Array | None]:
        task = self.task
        if task not in _TASKS:
            raise ValueError(f"task is {task!r}\n  hint: {', '.join(map(repr, _TASKS))}")
        if task == "auto":
            numbers = y is not None and type_of_target(y).startswith("continuous")
            task = "regression" if numbers else "classification"
            task = "reconstruction" if y is None else task
        elif y is None and task != "reconstruction":
            raise ValueError(
                f"requires y to be passed, but the target y is None: task is {task!r}\n"
                "  hint: fit(X, y), or task='reconstruction'"
            )
        if not first and task != self.task_:
            raise ValueError(
                f"y asks for {task}, the network was trained for {self.task_}\n"
                "  hint: warm_start=False, or a new estimator"
            )
        self.task_ = task
        if task == "reconstruction":
            # The rows themselves stand for y while these are checked.
            X = validate_data(self, X, accept_sparse="csr", dtype=np.float32, reset=first)
            column = np.zeros(X.shape[0], np.float32)
            _, _, weights = super()._checked(X, column, sample_weight, False)
            return X, X, weights
        return super()._checked(X, y, sample_weight, first)

    def _targets(self, y: Any, weights: Array | None, first: bool, classes: Any) -> Array:
        if self.task_ == "classification":
            return Classes._targets(self, y, weights, first, classes)
        if sparse.issparse(y):
            y = y.toarray()
        return Numbers._targets(self, y, weights, first, classes)

    def _row_weights(self, targets: Array, weights: Array | None, partial: bool) -> Array | None:
        if self.task_ == "classification":
            return Classes._row_weights(self, targets, weights, partial)
        return weights

    def _outputs(self) -> int:
        if self.task_ == "classification":
            return Classes._outputs(self)
        return Numbers._outputs(self)

    def _loss(self) -> Any:
        return Classes._loss(self) if self.task_ == "classification" else losses.get(self.loss)

    def _strata(self, targets: Array) -> Array | None:
        return Classes._strata(self, targets) if self.task_ == "classification" else None

    _y_numeric = False

    # ---- the part of the network -------------------------------------------------------------

    def _build(self) -> None:
        super()._build()
        stack = self.model_.layers[:-1]
        if self.model is None:
            # With dropout between, what counts are the layers that the sizes name.
            stack = [layer for layer in stack if isinstance(layer, layers.Dense)]
        else:
            stack = [layer for layer in stack if not isinstance(layer, layers.InputLayer)]
        if isinstance(self.layer, str):
            found = [layer for layer in stack if layer.name == self.layer]
        else:
            at = self.layer if self.layer >= 0 else len(stack) + self.layer
            found = stack[at : at + 1] if at >= 0 else []
        if not found:
            raise ValueError(
                f"layer is {self.layer!r}, the network has {len(stack)} hidden layers"
                f"{'' if self.model is None else ': ' + ', '.join(s.name for s in stack)}\n"
                "  hint: layer=-1 is the last before the outputs"
            )
        self.encoder_ = models.Model(self.model_.inputs, found[0].output)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
