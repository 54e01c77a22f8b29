"""Class numbers, shares and labels in a range: checks that hold wherever labels enter, and weights
by class.

Depends on NumPy, `arguments`, `errors`.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from fastnn._core import Tensor
from fastnn.base import tree
from fastnn.base.arguments import as_number
from fastnn.config import are_targets_checked
from fastnn.errors import DataError

__all__ = [
    "ABOUT", "RANGES", "check_binary", "check_class_numbers", "check_class_weight", "check_one_hot",
    "check_probabilities", "check_range", "check_whole", "class_weights", "in_range",
    "known_values",
]  # fmt: skip

Array = np.ndarray[Any, Any]


def known_values(value: Any) -> Array | None:
    """The numbers of a value that has some already: None inside a trace."""
    if isinstance(value, Tensor):
        return None if value.is_traced else np.asarray(value)
    if isinstance(value, np.ndarray | np.generic | list | tuple | int | float):
        try:
            array = np.asarray(value)
        except (ValueError, TypeError):
            return None
        return array if array.dtype.kind in "biuf" else None
    return None


def _place(bad: Any) -> Any:
    place = tuple(int(i) for i in np.unravel_index(int(np.argmax(bad)), bad.shape))
    return place if bad.ndim else ()


def check_class_numbers(
    labels: Array,
    classes: int | None,
    what: str = "y",
    who: str = "the model",
    ignore: Any = None,
    weights: Any = None,
) -> None:
    """DataError when labels are no whole numbers from 0 to `classes` - 1, or `ignore`.

    Rows of weight 0 may hold anything but fractions.
    """
    if classes is None or not labels.size:
        return
    check_whole(labels, what, f" 0…{classes - 1}")
    if ignore is None and labels.min() >= 0 and labels.max() < classes:
        return
    bad = (labels < 0) | (labels >= classes)
    if ignore is not None:
        bad &= labels != ignore
    bad = _but_weightless(bad, weights)
    if not bad.any():
        return
    place, low, high = _place(bad), labels[bad].min(), labels[bad].max()
    hint = "did you mean to subtract 1?" if labels.min() >= 1 and labels.max() == classes else (
        "number the classes from 0" if low < 0
        else f"the model ends with {classes} units; give it {int(high) + 1}"
    )  # fmt: skip
    raise DataError(
        f"{what} holds class {labels[place]} at position {place} ({int(bad.sum())} such "
        f"labels), {who} has {classes} classes: labels must be 0…{classes - 1}\n"
        f"  hint: {hint}"
    )


#: Kinds of targets that are numbers in a range: its ends, what it is called, and what may be meant
#: where one lies below or above.
_RANGES: dict[str, tuple[float, float, str, str, str]] = {
    # Noise on labels, a usual trick for adversarial networks, passes 0 and 1 by less than a half.
    "binary": (
        -0.5, 1.5, "labels from 0 to 1", "for labels -1 and 1 use loss='hinge', or (y + 1) / 2",
        "for class numbers use loss='sparse_categorical_crossentropy' and one unit a class",
    ),
    "unit": (
        0.0, 1.0, "values from 0 to 1", "for labels -1 and 1 give (y + 1) / 2",
        "divide masks and shares by their largest value, and give class numbers as one-hot rows",
    ),
    "yes_no": (
        0.0, 1.0, "labels 0 and 1", "for labels -1 and 1 give (y + 1) / 2",
        "for class numbers give y == class, or one-hot rows",
    ),
    "sign": (
        -1.0, 1.0, "labels -1 and 1, or 0 and 1", "labels are -1 and 1",
        "for class numbers use loss='categorical_hinge' and one-hot rows",
    ),
    "count": (
        0.0, math.inf, "numbers of 0 or more", "shift or clip y, or use loss='mse'", "",
    ),
}  # fmt: skip
RANGES = tuple(_RANGES)


def in_range(kind: str, labels: Any, both: Any, either: Any) -> Any:
    """Where labels of a kind in `RANGES` lie as they must: with NumPy's or a trace's and, or."""
    low, high = _RANGES[kind][:2]
    if kind == "yes_no":
        return either(labels == low, labels == high)
    return both(labels >= low, labels <= high)


def check_range(kind: str, labels: Array, who: str, what: str = "y", weights: Any = None) -> None:
    """DataError when labels of a kind in `RANGES` lie outside it, but in rows of weight 0."""
    low, high, wanted, below, above = _RANGES[kind]
    if not labels.size or not are_targets_checked():
        return
    if labels.min() >= low and labels.max() <= high and (
        kind != "yes_no" or labels.dtype.kind in "biu"
    ):  # fmt: skip
        return
    bad = ~in_range(kind, labels, np.logical_and, np.logical_or)
    # NaN times a weight of 0 is NaN, so it is told here.
    bad = _but_weightless(bad, weights) | np.isnan(labels)
    if not bad.any():
        return
    place = _place(bad)
    worst = labels[bad]
    hint = below if (worst < low).any() else above
    if kind == "yes_no" and not ((worst < low) | (worst > high)).any():
        hint = "round soft labels: y > 0.5"
    if worst.min() > high and worst.max() == 255:
        hint = "for pixels from 0 to 255 give y / 255"
    if np.isnan(worst).any():
        hint = "drop rows without a label, or give them sample_weight 0 and the label 0"
    raise DataError(
        f"{what} holds {labels[place]:.6g} at position {place} ({int(bad.sum())} such values), "
        f"{who} wants {wanted}\n  hint: {hint}{SWITCH}"
    )


#: How a hint ends where the switch lets targets pass as Keras does.
SWITCH = "; fastnn.config.set_target_checks(False) takes any numbers"


def check_binary(labels: Array, who: str, what: str = "y") -> None:
    """DataError when labels or probabilities lie outside 0 to 1."""
    check_range("binary", labels, who, what)


def check_probabilities(scores: Array, who: str, what: str = "y_pred", hint: str = "") -> None:
    """DataError when predictions that shall be probabilities lie outside 0 to 1."""
    # A softmax or a sum of shares may pass 1 by what float32 rounds.
    if not scores.size or not are_targets_checked() or (
        scores.min() >= -1e-5 and scores.max() <= 1.0 + 1e-5
    ):  # fmt: skip
        return
    bad = (scores < -1e-5) | (scores > 1.0 + 1e-5)
    if not bad.any():
        return  # NaN shows by itself
    place = _place(bad)
    raise DataError(
        f"{what} holds {scores[place]:.6g} at position {place} ({int(bad.sum())} such values), "
        f"{who} wants probabilities from 0 to 1\n"
        f"  hint: {hint or 'from_logits=True for logits'}{SWITCH}"
    )


def check_whole(labels: Array, what: str, range_: str = "") -> None:
    """DataError when class numbers have fractions."""
    if labels.dtype.kind == "f" and (odd := labels != np.rint(labels)).any():
        place = _place(odd)
        raise DataError(
            f"{what} holds {labels[place]:.6g} at position {place}, wanted whole class numbers"
            f"{range_}\n  hint: for regression use loss='mse' and Dense(1)"
        )


def _but_weightless(bad: Any, weights: Any) -> Any:
    """`bad` without what a weight of 0 leaves out, where weights are said one per row of it."""
    if weights is None or not bad.any():
        return bad
    weights = np.asarray(weights)
    while weights.ndim > bad.ndim and weights.shape[-1] == 1:
        weights = weights[..., 0]
    if weights.ndim > bad.ndim:
        return bad
    full = weights.reshape(weights.shape + (1,) * (bad.ndim - weights.ndim))
    if all(m in (1, n) for m, n in zip(full.shape, bad.shape, strict=True)):
        return bad & (full != 0)
    return bad


#: How far a row of shares may be from 1 in all: shares are often given with two digits.
ABOUT = 0.05


def check_one_hot(
    labels: Array,
    what: str = "y",
    weights: Any = None,
    axis: int = -1,
    who: str = "a categorical loss",
) -> None:
    """DataError when rows along `axis` are no shares of one label that add up to 1.

    One value besides zeros is a one-hot row times a weight and passes, as do rows of zeros among
    such, rows whose weight is 0, and rows of zeros among labels per time step: padding. Several
    ones in a row are several labels: a warning says so, and the loss is reckoned as it is written.
    """
    if not labels.size or not labels.ndim or not are_targets_checked():
        return
    sums = labels.sum(axis, dtype=np.float64)
    if labels.min() >= 0 and (np.abs(sums - 1.0) <= ABOUT).all():
        return
    counts = np.count_nonzero(labels, axis)
    single, empty = counts == 1, counts == 0
    bad = ~single & ((np.abs(sums - 1.0) > ABOUT) | (labels < 0).any(axis))
    if labels.ndim > 2 or (single & (np.abs(sums - 1.0) > ABOUT)).any():
        bad &= ~empty
    several = (counts > 1) & ((labels == 0) | (labels == 1)).all(axis)
    if several.any():
        warnings.warn(
            f"{what} has several ones in a row: {who} wants one class a sample\n"
            "  hint: for several labels at once use loss='binary_crossentropy' and a sigmoid",
            stacklevel=2,
        )
        bad &= ~several & ~empty
    bad = _but_weightless(bad, weights)
    if not bad.any():
        return
    place = _place(bad)
    row = np.moveaxis(labels, axis, -1)[place]
    shown = np.array2string(row, threshold=8, edgeitems=3, separator=", ")
    if empty[place]:
        fault = "is all zeros"
        hint = (
            "give every sample a class: did the encoder miss a category? Rows to leave out take "
            "sample_weight 0"
        )
    elif row.min() < 0:
        fault = "has negative values"
        hint = "y holds classes as one-hot or as probabilities; for other numbers use loss='mse'"
    else:
        fault = f"adds up to {sums[place]:.4g}"
        hint = "divide each row by its sum"
    if labels.ndim == 1:
        hint = (
            "a row of one axis is the shares of one sample; for class numbers, one a sample, use "
            "loss='sparse_categorical_crossentropy'"
        )
    raise DataError(
        f"{what} of shape {labels.shape} {fault} at position {place} ({int(bad.sum())} such rows): "
        f"{shown}, {who} wants one-hot rows or probabilities that add up to 1\n"
        f"  hint: {hint}{SWITCH}"
    )


# ---- weights by class ----------------------------------------------------------------------------


def check_class_weight(given: Any) -> dict[int, float]:
    """`class_weight` as numbers by class number."""
    if not isinstance(given, dict):
        raise ValueError(f"class_weight is {given!r}, wanted a dict\n  hint: {{0: 1.0, 1: 5.0}}")
    weights: dict[int, float] = {}
    for key, value in given.items():
        cls, weight = as_number(key), as_number(value)
        if not isinstance(cls, int | float) or cls != int(cls):  # False and True are 0 and 1
            raise ValueError(
                f"class_weight has the key {key!r} ({type(key).__name__}), wanted class numbers\n"
                "  hint: {0: 1.0, 1: 5.0}"
            )
        if not isinstance(weight, int | float) or not 0 <= weight < math.inf:
            raise ValueError(
                f"class_weight gives class {cls} the weight {value!r}, wanted a number of 0 or more"
                "\n  hint: {0: 1.0, 1: 5.0}"
            )
        weights[int(cls)] = float(weight)
    return weights


def class_weights(y: Any, given: Any, sample_weight: Any, numbered: bool) -> Array:
    """A weight per label from its class, times the sample weights; classes not named weigh 1.

    `numbered` says that y holds a class number at every place, so that labels per time step get a
    weight each; else the last axis of y holds one class as one-hot, or has the size 1.
    """
    weights, leaves = check_class_weight(given), tree.flatten(y)
    if len(leaves) != 1:
        raise ValueError(
            f"class_weight needs a single y, got {len(leaves)}\n  hint: use sample_weight, one "
            "array per output"
        )
    labels = _labels(leaves[0], numbered)
    out = np.ones(labels.shape, np.float32)
    for cls, weight in weights.items():
        out[labels == cls] = weight
    shares = tree.flatten(sample_weight)
    return out if not shares else _times(out, np.asarray(shares[0], np.float32))


def _times(out: Array, share: Array) -> Array:
    while share.ndim > out.ndim and share.shape[-1] == 1:
        share = share[..., 0]
    rank = max(share.ndim, out.ndim)
    a, b = (v.reshape(v.shape + (1,) * (rank - v.ndim)) for v in (out, share))
    if any(m != n and 1 not in (m, n) for m, n in zip(a.shape, b.shape, strict=True)):
        raise DataError(
            f"sample_weight has shape {share.shape}, the labels that class_weight weighs "
            f"{out.shape}\n  hint: one weight per sample, or one per label"
        )
    return np.ascontiguousarray(a * b, np.float32)


def _labels(y: Array, numbered: bool) -> Array:
    """The class number of each label."""
    if numbered or y.ndim == 1 or y.shape[-1] == 1:
        labels = y[..., 0] if y.ndim > 1 and y.shape[-1] == 1 else y
        if labels.dtype.kind == "f" and (odd := labels != np.rint(labels)).any():
            place = _place(odd)
            raise DataError(
                f"class_weight needs class numbers, y holds {labels[place]} at position {place}\n"
                "  hint: give sample_weight, a weight per sample"
            )
        return labels
    sums, low = y.sum(-1), y.min()
    if low < 0 or np.abs(sums - 1).max() > 1e-3:
        row = _place(np.abs(sums - 1) > 1e-3) if low >= 0 else _place((y < 0).any(-1))
        raise DataError(
            f"class_weight needs one class per label, y of shape {('n', *y.shape[1:])} is not "
            f"one-hot along its last axis: {y[row].tolist()} at position {row}\n".replace(
                "'n'", "n")
            + "  hint: for labels per time step use loss='sparse_categorical_crossentropy'; for "
            "several labels at once give sample_weight"
        )  # fmt: skip
    best: Array = y.argmax(-1)
    return best
