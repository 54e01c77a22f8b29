"""Training: encode, fit an ensemble of small networks with fastnn, calibrate on a later slice.

The encoder standardises logarithms of counts, times and amounts, lets times and amounts bend at
quantiles, marks what is unknown, and spells sector and last round as one-hot columns (the first
layer's rows for them are their embedding). The networks are small, start from the class rates, and
stop on log-loss. Depends on NumPy and fastnn's public API.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn.exit_strategy.records import dataclass

from .table import CATEGORIES, CLASSES, NUMBERS, Table, check_features

__all__ = [
    "KNOTS",
    "Encoder",
    "FitSettings",
    "Layers",
    "apply_calibration",
    "calibrate",
    "ensemble_logits",
    "fit_encoder",
    "fit_network",
]

FloatArray = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]

#: (weights, bias) of every layer, first to last; float32.
Layers = list[tuple[F32, F32]]

#: Labels rarer than this share one bucket with unseen ones; columns that differ from their usual
#: value in fewer rows are silent, since a network cannot learn what they mean later.
_RARE = 40

#: Numbers whose effect may bend, and the quantiles at which it may: hinges max(0, z - q), as in
#: Friedman 1991 (MARS) with fixed knots.
_BENDING = (
    "age_years", "total_raised_usd", "max_round_usd", "last_round_usd", "raised_per_year",
    "months_since_first", "months_since_last",
)  # fmt: skip
KNOTS = (0.1, 0.3, 0.5, 0.7, 0.9, 0.97)

#: Beyond four deviations a network only extrapolates.
_FAR = 4.0


@dataclass(frozen=True, slots=True)
class Encoder:
    """How a row becomes a vector; made from training rows alone."""

    numbers: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    low: tuple[float, ...]  # 1 % and 99 % quantiles of the raw feature: the hull
    high: tuple[float, ...]
    knots: tuple[tuple[float, ...], ...]  # logarithms at which each number's effect may bend
    labels: Mapping[str, tuple[str, ...]]
    silent: tuple[int, ...] = ()  # columns that hardly vary in training: always 0

    @property
    def width(self) -> int:
        """Length of an encoded row."""
        bends = sum(len(k) for k in self.knots)
        return 2 * len(self.numbers) + bends + sum(len(v) for v in self.labels.values())

    def blocks(self) -> dict[str, list[int]]:
        """Feature -> its columns in the encoded row."""
        n = len(self.numbers)
        out = {name: [i, n + i] for i, name in enumerate(self.numbers)}
        at = 2 * n
        for name, knots in zip(self.numbers, self.knots, strict=True):
            out[name] += range(at, at + len(knots))
            at += len(knots)
        for name, labels in self.labels.items():
            out[name] = list(range(at, at + len(labels)))
            at += len(labels)
        return out

    def encode(self, numbers: Mapping[str, FloatArray], labels: Mapping[str, Sequence[str]]) -> F32:
        """Encode columns: standardised logarithms, marks of the unknown, hinges, one-hot labels."""
        raw = np.stack([numbers[name] for name in self.numbers], axis=1)
        unknown = np.isnan(raw)
        squashed, scale = _squash(raw), np.array(self.scale)
        z = (squashed - np.array(self.mean)) / scale
        parts = [np.where(unknown, 0.0, np.clip(z, -_FAR, _FAR)), unknown.astype(np.float64)]
        for i, knots in enumerate(self.knots):
            over = (squashed[:, i : i + 1] - np.array(knots)) / scale[i]
            parts.append(np.where(unknown[:, i : i + 1], 0.0, np.clip(over, 0.0, _FAR)))
        for name, known in self.labels.items():
            index = {label: i for i, label in enumerate(known)}
            block = np.zeros((len(raw), len(known)))
            for row, label in enumerate(labels[name]):
                if label in index:
                    block[row, index[label]] = 1.0
            parts.append(block)
        out = np.concatenate(parts, axis=1).astype(np.float32)
        out[:, list(self.silent)] = 0.0
        return out

    def encode_table(self, table: Table) -> F32:
        """Encode a table."""
        numbers = {name: table.numbers(name) for name in self.numbers}
        return self.encode(numbers, {name: table.columns[name] for name in self.labels})


def _squash(raw: FloatArray) -> FloatArray:
    with np.errstate(invalid="ignore"):
        return np.log1p(np.maximum(raw, 0.0))


def fit_encoder(
    table: Table,
    numbers: Sequence[str] = NUMBERS,
    categories: Sequence[str] = CATEGORIES,
    knots: Sequence[float] = KNOTS,
) -> Encoder:
    """Make an encoder from training rows; EX604 when a feature leaks the outcome.

    `knots` are the quantiles at which times and amounts may bend; empty for straight lines.
    """
    check_features([*numbers, *categories], table.columns)
    raw = np.stack([table.numbers(name) for name in numbers], axis=1)
    squashed = _squash(raw)
    scale = np.nanstd(squashed, axis=0)
    labels: dict[str, tuple[str, ...]] = {}
    for name in categories:
        values, counts = np.unique(np.array(table.columns[name]), return_counts=True)
        labels[name] = tuple(
            str(v) for v, c in zip(values, counts, strict=True) if c >= _RARE and v
        )
    low, high = np.nanquantile(raw, (0.01, 0.99), axis=0)
    bends = [
        np.unique(np.nanquantile(squashed[:, i], knots)) if knots and name in _BENDING else ()
        for i, name in enumerate(numbers)
    ]
    made = Encoder(
        tuple(numbers),
        tuple(float(x) for x in np.nanmean(squashed, axis=0)),
        tuple(float(x) if x > 0 else 1.0 for x in scale),
        tuple(float(x) for x in low),
        tuple(float(x) for x in high),
        tuple(tuple(float(x) for x in row) for row in bends),
        labels,
    )
    x = made.encode_table(table)
    varies = (x != np.median(x, axis=0)).sum(axis=0)
    return replace(made, silent=tuple(int(i) for i in np.flatnonzero(varies < _RARE)))


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How one network is trained; no hidden layer makes it a logistic regression."""

    hidden: tuple[int, ...] = (64, 32)
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    l2: float = 0.0
    dropout: float = 0.2
    batch_size: int = 256
    epochs: int = 60
    patience: int = 6


def fit_network(
    train: tuple[F32, npt.NDArray[np.int64], F32],
    stop: tuple[F32, npt.NDArray[np.int64]],
    settings: FitSettings,
    seed: int,
) -> tuple[Layers, int]:
    """Train one network on (x, y, row weight), stopped on the log-loss of `stop`.

    Its last bias starts at the logarithm of the class rates and no bias decays: a class of one in a
    hundred is otherwise still being found when training stops. Returns its layers at the best
    epoch, and that epoch's number. Same seed, same bits.
    """
    import fastnn

    fastnn.utils.set_random_seed(seed)
    x, y, weight = train
    shrink = fastnn.regularizers.L2(settings.l2) if settings.l2 else None
    body: list[Any] = [fastnn.Input((x.shape[1],))]
    for units in settings.hidden:
        body.append(fastnn.layers.Dense(units, activation="relu", kernel_regularizer=shrink))
        body.append(fastnn.layers.Dropout(settings.dropout))
    body.append(fastnn.layers.Dense(len(CLASSES), kernel_regularizer=shrink))
    model = fastnn.Sequential(body)
    counts = np.bincount(y, weights=weight, minlength=len(CLASSES)) + 0.5
    start = model.get_weights()
    start[-1] = np.log(counts / counts.sum()).astype(np.float32)
    model.set_weights(start)
    optimizer = fastnn.optimizers.AdamW(
        learning_rate=settings.learning_rate, weight_decay=settings.weight_decay
    )
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    crossentropy = fastnn.metrics.SparseCategoricalCrossentropy(from_logits=True, name="log_loss")
    model.compile(
        optimizer=optimizer,
        loss=fastnn.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[crossentropy],
    )
    stopper = fastnn.callbacks.EarlyStopping(
        monitor="val_log_loss", mode="min", patience=settings.patience, restore_best_weights=True
    )
    history = model.fit(
        x,
        y.astype(np.int32),
        sample_weight=weight,
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        validation_data=(stop[0], stop[1].astype(np.int32)),
        callbacks=[stopper],
        verbose=0,
    )
    arrays = [np.asarray(w, dtype=np.float32) for w in model.get_weights()]
    layers = [(arrays[i], arrays[i + 1]) for i in range(0, len(arrays), 2)]
    best = int(np.argmin(history.history["val_log_loss"])) + 1
    return layers, best


def ensemble_logits(networks: Sequence[Layers], x: F32) -> FloatArray:
    """Logits of every network, (networks, rows, classes)."""
    out = []
    for layers in networks:
        h = x
        for i, (w, b) in enumerate(layers):
            h = h @ w + b
            if i + 1 < len(layers):
                h = np.maximum(h, np.float32(0.0))
        out.append(h.astype(np.float64))
    return np.stack(out)


def softmax(z: FloatArray) -> FloatArray:
    """Softmax over the last axis."""
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def mean_log_probability(logits: FloatArray) -> FloatArray:
    """Logarithm of the networks' mean probability, (rows, classes)."""
    return np.asarray(np.log(np.maximum(softmax(logits).mean(axis=0), 1e-12)))


def apply_calibration(log_p: FloatArray, terms: Sequence[float]) -> FloatArray:
    """Probabilities by `softmax(t log p + b)`; the terms are (t, b1, b2, ...)."""
    bias = np.array([0.0, *terms[1:]])
    return softmax(terms[0] * log_p + bias)


def calibrate(
    log_p: FloatArray, y: npt.NDArray[np.int64], weight: FloatArray | None = None
) -> tuple[float, ...]:
    """Fit one temperature and a bias per class by Newton steps on the mean log-loss.

    Guo et al. 2017 (vector scaling with a shared slope). A ridge of 1e-3 keeps slope near 1 and
    biases near 0 where the slice says little.
    """
    n, k = log_p.shape
    w = np.ones(n) if weight is None else weight
    w = w / w.sum()
    terms = np.array([1.0] + [0.0] * (k - 1))
    start = terms.copy()
    phi = np.zeros((n, k, k))
    phi[:, :, 0] = log_p
    for c in range(1, k):
        phi[:, c, c] = 1.0
    ridge = 1e-3 * np.eye(k)

    def loss(at: FloatArray) -> float:
        p = apply_calibration(log_p, list(at))[np.arange(n), y]
        penalty = 0.5 * float((at - start) @ ridge @ (at - start))
        return penalty - float((w * np.log(np.maximum(p, 1e-300))).sum())

    now = loss(terms)
    for _ in range(100):
        p = apply_calibration(log_p, list(terms))
        gap = p - np.eye(k)[y]
        mean = np.einsum("ij,ijk->ik", p, phi)
        gradient = np.einsum("i,ij,ijk->k", w, gap, phi) + ridge @ (terms - start)
        second = np.einsum("i,ij,ijk,ijl->kl", w, p, phi, phi)
        second -= np.einsum("i,ik,il->kl", w, mean, mean)
        step = np.linalg.solve(second + ridge, gradient)
        # A full Newton step may overshoot far from the optimum: halve it until the loss falls.
        while loss(terms - step) > now and float(np.abs(step).max()) > 1e-10:
            step = 0.5 * step
        if float(np.abs(step).max()) <= 1e-10:
            break
        terms = terms - step
        now = loss(terms)
    return tuple(float(t) for t in terms)
