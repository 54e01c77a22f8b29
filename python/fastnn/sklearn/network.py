"""What the estimators share: settings, the network, training and its outputs.

Depends on scikit-learn, `rows` and public names of fastnn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from fastnn import callbacks, layers, models, optimizers, random, regularizers
from fastnn.sklearn.rows import mean_one, merged

__all__ = ["Network"]

#: Settings that a network is made of, and those that its training is compiled with.
_OF_NETWORK = ("hidden_layer_sizes", "activation", "dropout", "l2", "model", "layer")
_OF_STEPS = ("optimizer", "learning_rate", "loss")

Array = np.ndarray[Any, Any]

#: Rows of a batch unless the data are fewer, as in scikit-learn's own perceptrons.
_AUTO_BATCH = 200

#: Names of activations in scikit-learn, and here.
_ACTIVATIONS = {"logistic": "sigmoid", "identity": "linear"}


class Network(BaseEstimator):
    """A network behind scikit-learn's interface; subclasses say what targets and outputs are.

    Subclasses list all settings in their own constructors, as scikit-learn reads them there.
    """

    hidden_layer_sizes: Any
    activation: Any
    dropout: float
    l2: float
    optimizer: Any
    learning_rate: Any
    epochs: int
    batch_size: Any
    shuffle: bool
    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: int
    tol: float
    warm_start: bool
    callbacks: Any
    random_state: Any
    verbose: Any
    model: Callable[[int, int], Any] | None

    model_: Any
    n_features_in_: int
    n_iter_: int

    # ---- what subclasses say ---------------------------------------------------------------------

    def _targets(self, y: Any, weights: Array | None, first: bool, classes: Any) -> Array:
        """Targets for the loss; sets what is learned of them (classes, sizes) when `first`."""
        raise NotImplementedError

    def _row_weights(self, targets: Array, weights: Array | None, partial: bool) -> Array | None:
        """`weights` with what the classes weigh."""
        return weights

    def _outputs(self) -> int:
        """How many numbers the network gives for a row."""
        raise NotImplementedError

    def _loss(self) -> Any:
        """What is trained for."""
        raise NotImplementedError

    def _strata(self, targets: Array) -> Array | None:
        """Classes that the held-out rows shall have in the same shares."""
        return None

    _y_numeric = False

    # ---- fit -------------------------------------------------------------------------------------

    def _fit(self, X: Any, y: Any, sample_weight: Any) -> Self:
        self._check_settings()
        again = bool(self.warm_start) and hasattr(self, "model_")
        X, y, weights = self._checked(X, y, sample_weight, not again)
        targets = self._targets(y, weights, not again, None)
        weights = self._row_weights(targets, weights, False)
        if weights is not None and not (keep := weights > 0).all():
            # A row that weighs nothing is no row: it takes no place in a batch either.
            mean_one(weights)
            X, targets, weights = X[keep], targets[keep], weights[keep]
        if again:
            self._go_on()
        else:
            self._start(self.random_state)
        with random.seed_scope(self._next_seed()):
            if not again:
                self._build()
            self._train(X, targets, weights)
        return self

    def _partial_fit(self, X: Any, y: Any, classes: Any, sample_weight: Any) -> Self:
        self._check_settings()
        if self.early_stopping:
            raise ValueError(
                "partial_fit does not support early_stopping=True: it makes one pass over the rows"
                " it is given\n  hint: early_stopping=False, or fit"
            )
        first = not hasattr(self, "model_")
        X, y, weights = self._checked(X, y, sample_weight, first)
        targets = self._targets(y, weights, first, classes)
        weights = self._row_weights(targets, weights, True)
        if first:
            self._start(self.random_state)
        else:
            self._go_on()
        with random.seed_scope(self._next_seed()):
            if first:
                self._build()
            batch = self._batch(X.shape[0])
            # Weights stay as they are given: those of one call are set against those of others.
            if weights is not None:
                weights = weights.astype(np.float32)
            self._run(X, targets, weights, batch, 1, None, [])
        return self

    def _checked(
        self, X: Any, y: Any, sample_weight: Any, first: bool
    ) -> tuple[Any, Any, Array | None]:
        X, y = validate_data(
            self, X, y, accept_sparse="csr", dtype=np.float32, multi_output=True,
            y_numeric=self._y_numeric, reset=first,
        )  # fmt: skip
        if sparse.issparse(y):
            y = y.toarray()
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, X, dtype=np.float64)
            if (low := weights < 0).any():
                raise ValueError(
                    f"Negative values in sample_weight, the first in row {int(low.argmax())}; "
                    "wanted numbers of 0 or more\n  hint: 0 leaves a row out"
                )
        return X, y, weights

    def _start(self, random_state: Any) -> None:
        """Forgets what was learned; all seeds of this run of life come from one generator."""
        seed = check_random_state(random_state).randint(np.iinfo(np.int32).max)
        self._random = np.random.RandomState(seed)
        self.history_: dict[str, list[float]] = {}
        self.n_iter_ = 0

    def _next_seed(self) -> int:
        return int(self._random.randint(np.iinfo(np.int32).max))

    def _batch(self, rows: int) -> int:
        """The rows of a batch."""
        wanted = _AUTO_BATCH if self.batch_size in ("auto", None) else int(self.batch_size)
        return max(1, min(wanted, rows))

    def _train(self, X: Any, targets: Array, weights: Array | None) -> None:
        held, watch = None, []
        if self.early_stopping:
            X, targets, weights, held = self._hold_out(X, targets, weights)
            watch.append(
                callbacks.EarlyStopping(
                    "val_loss", min_delta=self.tol, patience=self.n_iter_no_change, mode="min",
                    restore_best_weights=True,
                )
            )  # fmt: skip
        batch = self._batch(X.shape[0])
        if batch == X.shape[0]:
            # One batch: the order of rows means nothing, so the result shall not depend on it.
            X = X.toarray() if sparse.issparse(X) else X
            X, targets, weights = merged(X, targets, weights)
            batch = X.shape[0]
        if weights is not None:
            weights = mean_one(weights)
        self._run(X, targets, weights, batch, self.epochs, held, watch)

    def _hold_out(
        self, X: Any, targets: Array, weights: Array | None
    ) -> tuple[Any, Array, Array | None, Any]:
        """Rows to train on, and those by which training is stopped."""
        parts = [X, targets] if weights is None else [X, targets, weights]
        seed, strata = self._next_seed(), self._strata(targets)
        try:
            cut = train_test_split(
                *parts, test_size=self.validation_fraction, random_state=seed, stratify=strata
            )
        except ValueError as error:
            raise ValueError(
                f"early_stopping cannot hold out validation_fraction={self.validation_fraction} of "
                f"{X.shape[0]} rows: {error}\n  hint: early_stopping=False, or another fraction"
            ) from None
        held = tuple(cut[1::2])
        if weights is not None:
            scaled = mean_one(held[2])
            held = held[:2] if scaled is None else (*held[:2], scaled)
        return cut[0], cut[2], None if weights is None else cut[4], held

    def _run(
        self,
        X: Any,
        targets: Array,
        weights: Array | None,
        batch: int,
        epochs: int,
        held: Any,
        watch: list[Any],
    ) -> None:
        given = self.callbacks
        if callable(given):
            given = given()
        run = self.model_.fit(
            X, targets, sample_weight=weights, batch_size=batch, epochs=int(epochs),
            shuffle=bool(self.shuffle), validation_data=held, callbacks=[*watch, *(given or ())],
            verbose=int(self.verbose),
        )  # fmt: skip
        for name, values in run.history.items():
            self.history_.setdefault(name, []).extend(values)
        self.n_iter_ += len(run.epoch)

    # ---- the network -----------------------------------------------------------------------------

    def _build(self) -> None:
        model = self._sequential() if self.model is None else self._given()
        model.compile(self._optimizer(), self._loss())
        self.model_ = model
        self._made_of = {name: getattr(self, name, None) for name in (*_OF_NETWORK, *_OF_STEPS)}

    def _go_on(self) -> None:
        """Lets settings that changed since the network was made count, or refuses them."""
        made = self._made_of
        for name in _OF_NETWORK:
            if not _same(now := getattr(self, name, None), made[name]):
                raise ValueError(
                    f"{name} is {now!r}, the network that is trained further was made with "
                    f"{made[name]!r}\n  hint: warm_start=False and fit, or a new estimator"
                )
        changed = [n for n in _OF_STEPS if not _same(getattr(self, n, None), made[n])]
        if changed:
            # A new optimiser starts without what the old one has gathered.
            self.model_.compile(self._optimizer(), self._loss())
            made |= {name: getattr(self, name, None) for name in changed}

    def _sequential(self) -> Any:
        sizes = self.hidden_layer_sizes
        sizes = list(sizes) if isinstance(sizes, Iterable) else [sizes]
        activation = self.activation
        if isinstance(activation, str):
            activation = _ACTIVATIONS.get(activation, activation)
        penalty = regularizers.L2(self.l2) if self.l2 else None
        stack: list[Any] = [layers.Input((self.n_features_in_,))]
        for size in sizes:
            stack.append(layers.Dense(int(size), activation, kernel_regularizer=penalty))
            if self.dropout:
                stack.append(layers.Dropout(float(self.dropout)))
        stack.append(layers.Dense(self._outputs(), kernel_regularizer=penalty))
        return models.Sequential(stack)

    def _given(self) -> Any:
        """The model of the user's function, if it is what is wanted."""
        assert self.model is not None
        if not callable(self.model) or isinstance(self.model, models.Model):
            raise ValueError(
                f"model is {type(self.model).__name__}, wanted a function that builds one\n"
                "  hint: def build(n_features, n_outputs): return fastnn.Sequential([...])"
            )
        n, k = self.n_features_in_, self._outputs()
        made = self.model(n, k)
        if not isinstance(made, models.Model) or not made.layers:
            raise ValueError(
                f"model(n_features={n}, n_outputs={k}) gave {type(made).__name__}, wanted a "
                "fastnn.Model\n  hint: return the model"
            )
        if made.compiled:
            raise ValueError(
                "model gave a compiled model; the estimator compiles it for its targets\n"
                "  hint: return it without compile, or take fastnn.wrappers.SKLearnClassifier"
            )
        shape = getattr(made, "output_shape", None)
        if shape is not None and tuple(shape) != (None, k):
            raise ValueError(
                f"model gave a model with outputs of shape {tuple(shape)}, wanted (None, {k})\n"
                "  hint: end it in Dense(n_outputs)"
            )
        last = getattr(made.layers[-1], "activation", None)
        name = getattr(last, "__name__", "") or type(made.layers[-1]).__name__.lower()
        if name in ("softmax", "sigmoid", "log_softmax"):
            raise ValueError(
                f"model gave a model that ends in {name}; wanted raw scores, without an activation"
                "\n  hint: end it in Dense(n_outputs)"
            )
        return made

    def _optimizer(self) -> Any:
        rate = self.learning_rate
        if isinstance(self.optimizer, optimizers.Optimizer):
            if rate is not None:
                raise ValueError(
                    f"learning_rate is {rate!r}, but optimizer is an object that has its own\n"
                    "  hint: optimizer='adam', or leave learning_rate out"
                )
            # Every fit starts with an optimiser of its own: the setting stays as it is.
            return type(self.optimizer).from_config(self.optimizer.get_config())
        made = optimizers.get(self.optimizer)
        if rate is None:
            return made
        return type(made).from_config({**made.get_config(), "learning_rate": rate})

    # ---- outputs ---------------------------------------------------------------------------------

    def _predicted(self, X: Any, model: Any = None) -> Array:
        """What the network, or a part of it, gives for rows: float32, a row each."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=np.float32, reset=False)
        out: Array = (self.model_ if model is None else model).predict(X, verbose=0)
        return out

    # ---- settings --------------------------------------------------------------------------------

    def _check_settings(self) -> None:
        """ValueError for settings that make no sense, before anything is trained."""
        sizes = self.hidden_layer_sizes
        for size in sizes if isinstance(sizes, Iterable) else [sizes]:
            _whole("hidden_layer_sizes", size, 1, "hidden_layer_sizes=(64, 64)")
        _whole("epochs", self.epochs, 0, "epochs=100")
        _whole("n_iter_no_change", self.n_iter_no_change, 1, "n_iter_no_change=10")
        if self.batch_size is not None and not (
            isinstance(self.batch_size, str) and self.batch_size == "auto"
        ):
            _whole("batch_size", self.batch_size, 1, "batch_size=32, or 'auto'")
        _within("dropout", self.dropout, 0, 1, "dropout=0.2")
        _within("l2", self.l2, 0, np.inf, "l2=1e-4")
        if isinstance(
            self.learning_rate, int | float | np.number
        ):  # else a schedule, or the default
            _within("learning_rate", self.learning_rate, 0, np.inf, "learning_rate=0.001")
        _within("tol", self.tol, 0, np.inf, "tol=1e-4")
        if self.early_stopping:
            _within("validation_fraction", self.validation_fraction, 0, 1, "0.1", strict=True)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _same(a: Any, b: Any) -> bool:
    """Whether two settings are the same; lists, tuples and arrays of the same sizes are."""
    if isinstance(a, Iterable) and isinstance(b, Iterable) and not isinstance(a, str):
        return list(a) == list(b)
    try:
        return a is b or bool(a == b)
    except (TypeError, ValueError):
        return False


def _whole(name: str, value: Any, low: int, hint: str) -> None:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer) or value < low:
        raise ValueError(
            f"{name} is {value!r}, wanted whole numbers of at least {low}\n  hint: {hint}"
        )


def _within(
    name: str, value: Any, low: float, high: float, hint: str, strict: bool = False
) -> None:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not low <= value < high or (strict and value == low):
        bounds = f"above {low}" if strict else f"from {low}"
        end = f" up to, not including, {high:g}" if np.isfinite(high) else ""
        raise ValueError(f"{name} is {value!r}, wanted a number {bounds}{end}\n  hint: {hint}")
