"""Compiled models behind scikit-learn's interface, as `keras.wrappers` has them.

Depends on scikit-learn and public names of fastnn.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from fastnn import losses, models, random

__all__ = ["SKLearnClassifier", "SKLearnRegressor", "SKLearnTransformer"]

Array = np.ndarray[Any, Any]


class Compiled(BaseEstimator):
    """A compiled model, or a function that builds one, as an estimator."""

    model_: Any
    history_: Any

    def __init__(
        self,
        model: Any,
        warm_start: bool = False,
        model_kwargs: dict[str, Any] | None = None,
        fit_kwargs: dict[str, Any] | None = None,
        random_state: Any = None,
    ) -> None:
        self.model = model
        self.warm_start = warm_start
        self.model_kwargs = model_kwargs
        self.fit_kwargs = fit_kwargs
        self.random_state = random_state

    @property
    def epoch_(self) -> int:
        """Epochs of the last fit."""
        return len(self.history_.epoch) if hasattr(self, "history_") else 0

    def fit(self, X: Any, y: Any, **kwargs: Any) -> Self:
        """Builds or copies the model and trains it.

        Args:
            X: (n_samples, n_features).
            y: Targets.
            **kwargs: For `Model.fit`; they come before `fit_kwargs`.

        Returns:
            The estimator.

        Raises:
            RuntimeError: The model is not compiled.
            ValueError: The data are not valid.
        """
        X, y = validate_data(self, X, y, multi_output=True, dtype=np.float32)
        if self.random_state is None:
            seed = random.make_default_seed()
        else:
            seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        with random.seed_scope(seed):
            targets = self._encode(y)
            if not (self.warm_start and hasattr(self, "model_")):
                self.model_ = self._new(X, targets)
            targets = self._as_the_loss_wants(targets)
            self.history_ = self.model_.fit(X, targets, **{**(self.fit_kwargs or {}), **kwargs})
        return self

    def _new(self, X: Array, targets: Array) -> Any:
        if isinstance(self.model, models.Model):
            _check_compiled(self.model)
            return self.model if self.warm_start else models.clone_model(self.model)
        if not callable(self.model):
            raise ValueError(
                f"model is {type(self.model).__name__}, wanted a compiled model or a function "
                "that builds one\n  hint: def build(X, y): ...; return model"
            )
        made = self.model(X=X, y=targets, **(self.model_kwargs or {}))
        _check_compiled(made)
        return made

    def _encode(self, y: Array) -> Array:
        kind = type_of_target(y)
        if kind == "unknown":
            raise ValueError(f"Unknown label type: {y!r}\n  hint: numbers, or labels of one kind")
        self._ndim = y.ndim
        return y.reshape(-1, 1) if y.ndim == 1 else y

    def _as_the_loss_wants(self, targets: Array) -> Array:
        return targets

    def _outputs(self, X: Any) -> Array:
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float32)
        out: Array = self.model_.predict(X, verbose=0)
        return out

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # Without a seed a model of the user's draws as it will.
        tags.non_deterministic = self.random_state is None
        return tags


class SKLearnClassifier(ClassifierMixin, Compiled):
    """A compiled model that tells classes apart, as a scikit-learn estimator.

    The model is given y one-hot, (n_samples, n_classes); where its loss takes class numbers, or it
    has one output for two classes, it is trained on these.

    Args:
        model: A compiled model, which is copied with fresh weights for every fit, or a function
            that is called with X, y (one-hot) and `model_kwargs` by name and gives a compiled
            model.
        warm_start: Whether `fit` goes on with the weights of the last one, and a given model is
            trained itself.
        model_kwargs: Further arguments of the function.
        fit_kwargs: Arguments of `Model.fit`, such as `epochs`.
        random_state: A seed, a `RandomState`, or None for the numbers of the process.

    Example:
        >>> from fastnn.wrappers import SKLearnClassifier
        >>> def build(X, y, units):
        ...     model = fastnn.Sequential([
        ...         fastnn.Input(X.shape[1:]),
        ...         fastnn.layers.Dense(units, "relu"),
        ...         fastnn.layers.Dense(y.shape[1], "softmax"),
        ...     ])
        ...     model.compile("adam", "categorical_crossentropy")
        ...     return model
        >>> (x, y), _ = fastnn.datasets.digits.load_data()
        >>> net = SKLearnClassifier(build, model_kwargs={"units": 32},
        ...                         fit_kwargs={"epochs": 10, "verbose": 0}, random_state=0)
        >>> net.fit(x.reshape(-1, 64) / 16, y).score(x.reshape(-1, 64) / 16, y) > 0.9
        True
    """

    classes_: Array

    def _encode(self, y: Array) -> Array:
        y = column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y
        kind = type_of_target(y)
        if kind not in ("binary", "multiclass"):
            raise ValueError(
                "Only binary and multiclass target types are supported. "
                f"Target type: {kind}. Unknown label type: {kind}\n"
                "  hint: fastnn.sklearn.FastNNClassifier takes several labels a row"
            )
        self.classes_, numbers = np.unique(y, return_inverse=True)
        if len(self.classes_) == 1:
            raise ValueError(
                "Classifier can't train when only one class is present.\n"
                "  hint: rows of at least two classes"
            )
        return np.eye(len(self.classes_), dtype=np.float32)[numbers.ravel()]

    def _as_the_loss_wants(self, targets: Array) -> Array:
        shape = getattr(self.model_, "output_shape", None)
        if shape is not None and shape[-1] == 1 and len(self.classes_) == 2:
            return targets[:, 1:]
        loss = self.model_.loss
        sparse = losses.SparseCategoricalCrossentropy
        if loss in ("sparse_categorical_crossentropy",) or isinstance(loss, sparse):
            return targets.argmax(axis=1).astype(np.int32)
        return targets

    def decision_function(self, X: Any) -> Array:
        """What the model gives.

        Args:
            X: (n_samples, n_features).

        Returns:
            (n_samples, n_classes), or (n_samples,) for one output.
        """
        out = self._outputs(X)
        return out[:, 0] if out.shape[1] == 1 else out

    def predict(self, X: Any) -> Array:
        """The class with the largest output; of one output, whether it is above its middle.

        Args:
            X: (n_samples, n_features).

        Returns:
            (n_samples,) labels.
        """
        out = self._outputs(X)
        if out.shape[1] == 1:
            middle = 0.0 if getattr(self.model_.loss, "from_logits", False) else 0.5
            numbers = (out[:, 0] > middle).astype(np.intp)
        else:
            numbers = out.argmax(axis=1)
        labels: Array = self.classes_[numbers]
        return labels

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True
        return tags


class SKLearnRegressor(RegressorMixin, Compiled):
    """A compiled model that predicts numbers, as a scikit-learn estimator.

    Args:
        model: A compiled model, which is copied with fresh weights for every fit, or a function
            that is called with X, y and `model_kwargs` by name and gives a compiled model.
        warm_start: Whether `fit` goes on with the weights of the last one, and a given model is
            trained itself.
        model_kwargs: Further arguments of the function.
        fit_kwargs: Arguments of `Model.fit`, such as `epochs`.
        random_state: A seed, a `RandomState`, or None for the numbers of the process.

    Example:
        >>> from fastnn.wrappers import SKLearnRegressor
        >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
        >>> model.compile(fastnn.optimizers.Adam(0.1), "mse")
        >>> x = np.random.default_rng(0).normal(size=(200, 2))
        >>> net = SKLearnRegressor(model, fit_kwargs={"epochs": 30, "verbose": 0}, random_state=0)
        >>> net.fit(x, x @ [1.0, 2.0]).score(x, x @ [1.0, 2.0]) > 0.99
        True
    """

    def predict(self, X: Any) -> Array:
        """What the model gives.

        Args:
            X: (n_samples, n_features).

        Returns:
            (n_samples,) or (n_samples, n_outputs), as y was, float64.
        """
        out = self._outputs(X).astype(np.float64)
        return out[:, 0] if self._ndim == 1 and out.shape[1] == 1 else out

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        tags.target_tags.multi_output = True
        return tags


class SKLearnTransformer(TransformerMixin, Compiled):
    """A compiled model whose outputs are features, as a scikit-learn transformer.

    Args:
        model: A compiled model, which is copied with fresh weights for every fit, or a function
            that is called with X, y and `model_kwargs` by name and gives a compiled model.
        warm_start: Whether `fit` goes on with the weights of the last one, and a given model is
            trained itself.
        model_kwargs: Further arguments of the function.
        fit_kwargs: Arguments of `Model.fit`, such as `epochs`.
        random_state: A seed, a `RandomState`, or None for the numbers of the process.

    Example:
        >>> from fastnn.wrappers import SKLearnTransformer
        >>> model = fastnn.Sequential([fastnn.Input((4,)), fastnn.layers.Dense(2)])
        >>> model.compile("adam", "mse")
        >>> x = np.random.default_rng(0).normal(size=(50, 4))
        >>> net = SKLearnTransformer(model, fit_kwargs={"verbose": 0})
        >>> net.fit(x, x[:, :2]).transform(x).shape
        (50, 2)
    """

    def transform(self, X: Any) -> Array:
        """What the model gives.

        Args:
            X: (n_samples, n_features).

        Returns:
            (n_samples, n_outputs), float32.
        """
        return self._outputs(X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def _check_compiled(model: Any) -> None:
    if not getattr(model, "compiled", False) or not getattr(model, "loss", None):
        raise RuntimeError(
            "Given model needs to be compiled, and have a loss and an optimizer.\n"
            "  hint: model.compile('adam', 'mse') before it is given"
        )
