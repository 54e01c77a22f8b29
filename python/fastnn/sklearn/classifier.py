"""The classifier. Depends on scikit-learn, `network` and `rows`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from fastnn import losses
from fastnn.sklearn.network import Network
from fastnn.sklearn.rows import by_class

__all__ = ["FastNNClassifier"]

Array = np.ndarray[Any, Any]


class Classes(Network):
    """Targets that are classes: two, several, or any number of them at once (multilabel)."""

    class_weight: Any
    classes_: Any

    def _targets(self, y: Any, weights: Array | None, first: bool, classes: Any) -> Array:
        check_classification_targets(y)
        kind = type_of_target(y)
        if kind == "multiclass-multioutput":
            raise ValueError(
                f"y has {y.shape[1]} columns of several classes each (multiclass-multioutput), "
                "wanted one column of classes, or a matrix of zeros and ones\n"
                "  hint: sklearn.multioutput.MultiOutputClassifier(FastNNClassifier())"
            )
        several = kind == "multilabel-indicator"
        if first:
            self._several = several
            if several:
                self.classes_ = np.arange(y.shape[1])
            else:
                self.classes_ = np.unique(y if classes is None else classes)
        elif several != self._several or (several and y.shape[1] != len(self.classes_)):
            raise ValueError(
                f"y is {kind} of shape {y.shape}, the network was trained for "
                f"{len(self.classes_)} {'labels' if self._several else 'classes'}\n"
                "  hint: warm_start=False, or a new estimator"
            )
        if several:
            return y.astype(np.float32)
        numbers = np.searchsorted(self.classes_, y)
        numbers[numbers == len(self.classes_)] = 0
        if (wrong := self.classes_[numbers] != y).any():
            raise ValueError(
                f"y holds the class {y[wrong].tolist()[0]!r}, the network was made for "
                f"{', '.join(map(repr, self.classes_[:10].tolist()))}\n"
                "  hint: name all classes in the first partial_fit(X, y, classes=...), or "
                "warm_start=False"
            )
        if len(self.classes_) == 2:
            return numbers.astype(np.float32)[:, None]
        return numbers.astype(np.int32)

    def _row_weights(self, targets: Array, weights: Array | None, partial: bool) -> Array | None:
        given = self.class_weight
        if given is None:
            return weights
        if partial and isinstance(given, str):
            raise ValueError(
                f"class_weight={given!r} needs all rows, partial_fit sees some\n"
                "  hint: class_weight={label: weight} from all rows, or sample_weight"
            )
        if self._several:
            own = compute_sample_weight(given, targets.astype(int))
        else:
            numbers = targets.reshape(len(targets)).astype(np.int64)
            own = by_class(given, self.classes_, numbers, weights)[numbers]
        return own if weights is None else own * weights

    def _outputs(self) -> int:
        return 1 if not self._several and len(self.classes_) == 2 else len(self.classes_)

    def _loss(self) -> Any:
        kind: Any = losses.SparseCategoricalCrossentropy
        if self._several or len(self.classes_) == 2:
            kind = losses.BinaryCrossentropy
        return kind(from_logits=True)

    def _strata(self, targets: Array) -> Array | None:
        return None if self._several else targets.reshape(len(targets))


class FastNNClassifier(ClassifierMixin, Classes):
    """A network that tells classes apart, as a scikit-learn estimator.

    It serves two classes, several classes, and several labels at once (y as a matrix of zeros and
    ones). The loss is the cross-entropy of scores that the last layer gives without activation.

    When all rows fit in one batch the result does not depend on their order, and weighing a row 3
    is the same, in every bit, as giving it three times.

    Args:
        hidden_layer_sizes: Units of the hidden layers: a whole number or a list of them.
        activation: Of the hidden layers: a name as in `fastnn.activations`, "logistic" or
            "identity" as in scikit-learn, or a function.
        dropout: The share of hidden units that a training step leaves out, 0 to below 1.
        l2: The penalty on squared kernels, as in `fastnn.regularizers.L2`.
        optimizer: A name or an object of `fastnn.optimizers`, which is copied for every fit.
        learning_rate: Its learning rate or schedule; None: that of the optimiser.
        epochs: Passes over the rows.
        batch_size: Rows of a batch; "auto" is 200, or all rows where they are fewer.
        shuffle: Whether every epoch has its own order of rows.
        class_weight: Weights by label as a dict, or "balanced": in inverse proportion to how often
            (by sample weight) a class occurs.
        early_stopping: Whether to hold out rows, stop when their loss no longer falls, and keep the
            weights of the best epoch.
        validation_fraction: The share of rows to hold out, in equal shares of each class.
        n_iter_no_change: Epochs without improvement after which to stop.
        tol: By how much the loss must fall to count as an improvement.
        warm_start: Whether `fit` goes on from the weights of the last one.
        callbacks: A list of `fastnn.callbacks`, or a function that gives one for every fit.
        random_state: A seed, a `RandomState` or None, as in scikit-learn. With a seed the same
            data give the same bits in any process and on any number of threads.
        verbose: 0, 1 or 2, as in `Model.fit`.
        model: A function (n_features, n_outputs) that builds a `fastnn.Model` ending in n_outputs
            scores without activation; the settings from hidden_layer_sizes to l2 are not used then.

    Example:
        >>> from fastnn.sklearn import FastNNClassifier
        >>> (x, y), (x_test, y_test) = fastnn.datasets.digits.load_data()
        >>> x, x_test = x.reshape(-1, 64) / 16, x_test.reshape(-1, 64) / 16
        >>> net = FastNNClassifier([64], epochs=50, batch_size=32, random_state=0).fit(x, y)
        >>> net.score(x_test, y_test) > 0.85
        True
    """

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        *,
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

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Trains for `epochs` passes over the rows.

        Args:
            X: (n_samples, n_features): an array, a frame or a sparse matrix, which is made dense a
                batch at a time where it is large.
            y: (n_samples,) labels of any kind, or (n_samples, n_labels) of zeros and ones.
            sample_weight: (n_samples,) weights of 0 or more; only their ratios matter.

        Returns:
            The estimator.

        Raises:
            ValueError: The data or a setting are not valid.
        """
        return self._fit(X, y, sample_weight)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Trains for one pass over rows; the network and the optimiser go on from call to call.

        Args:
            X: (n_samples, n_features), as in `fit`.
            y: Labels, as in `fit`.
            classes: All labels that will occur; needed at the first call.
            sample_weight: (n_samples,) weights, taken as they are.

        Returns:
            The estimator.

        Raises:
            ValueError: The first call has no `classes`, or a later one other classes.
        """
        if not hasattr(self, "model_"):
            if classes is None and type_of_target(y) != "multilabel-indicator":
                raise ValueError(
                    "classes must be passed on the first call to partial_fit\n"
                    "  hint: partial_fit(X, y, classes=numpy.unique(all_y))"
                )
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(
                f"classes={classes!r} is not the same as on the last call to partial_fit: "
                f"{self.classes_!r}\n  hint: leave it out after the first call"
            )
        return self._partial_fit(X, y, classes, sample_weight)

    def decision_function(self, X: Any) -> Array:
        """The scores of the last layer (logits).

        Args:
            X: (n_samples, n_features).

        Returns:
            (n_samples,) scores of the second class where there are two, else (n_samples,
            n_classes) or (n_samples, n_labels).
        """
        scores = self._predicted(X)
        return scores[:, 0] if self._outputs() == 1 and not self._several else scores

    def predict_proba(self, X: Any) -> Array:
        """Probabilities of the classes, in the order of `classes_`.

        Args:
            X: (n_samples, n_features).

        Returns:
            (n_samples, n_classes) whose rows add up to 1, or (n_samples, n_labels) with a
            probability for each label.
        """
        # Float32 numbers as float64: tools write numbers of their own into what they are given, and
        # sums over an ensemble are exact, so that they do not depend on the number of jobs.
        return np.exp(self.predict_log_proba(X)).astype(np.float64)

    def predict_log_proba(self, X: Any) -> Array:
        """Logarithms of the probabilities, exact where these are near 0.

        Args:
            X: (n_samples, n_features).

        Returns:
            An array as `predict_proba` gives it.
        """
        scores = self._predicted(X)
        if self._several:
            # In float64, which tells the labels of far scores apart: float32 ends below 1 - 6e-8.
            return -np.logaddexp(0.0, -scores.astype(np.float64))
        if len(self.classes_) == 2:
            both = np.concatenate([scores, -scores], axis=1)
            return -np.logaddexp(np.float32(0), both)
        low = scores - scores.max(axis=1, keepdims=True)
        return low - np.log(np.exp(low).sum(axis=1, keepdims=True))

    def predict(self, X: Any) -> Array:
        """The likeliest class of each row, or the labels whose probability is above one half.

        Args:
            X: (n_samples, n_features).

        Returns:
            (n_samples,) labels, or (n_samples, n_labels) of zeros and ones.
        """
        scores = self._predicted(X)
        if self._several:
            return (scores > 0).astype(np.int64)
        if len(self.classes_) == 2:
            return self.classes_[(scores[:, 0] > 0).astype(np.intp)]
        return self.classes_[scores.argmax(axis=1)]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.target_tags.multi_output = True
        return tags
