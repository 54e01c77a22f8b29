"""Weights of rows and classes, and rows that are trained in one batch. Depends on NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["by_class", "mean_one", "merged"]

Array = np.ndarray[Any, Any]


def by_class(given: Any, classes: Array, numbers: Array, weights: Array | None) -> Array:
    """One weight per class from `class_weight`: a dict by label, or "balanced".

    Args:
        given: The setting; classes that a dict does not name weigh 1.
        classes: The labels, sorted.
        numbers: The class number of every row.
        weights: The weight of every row, which "balanced" counts by; None: 1 each.

    Returns:
        An array as long as `classes`.

    Raises:
        ValueError: The setting is neither, names labels that do not occur, or has a weight below 0.
    """
    out = np.ones(len(classes))
    if isinstance(given, str) and given == "balanced":
        sums = np.bincount(numbers, weights, minlength=len(classes))
        there = sums > 0
        out[there] = sums.sum() / (there.sum() * sums[there])
        return out
    if not isinstance(given, dict):
        raise ValueError(
            f"class_weight is {given!r}, wanted a dict of weights by label, 'balanced' or None\n"
            f"  hint: class_weight={{{classes.tolist()[0]!r}: 2.0}}"
        )
    named = set()
    for label, weight in given.items():
        at = [i for i, c in enumerate(classes) if c == label]
        if not isinstance(weight, int | float | np.number) or not 0 <= weight < np.inf:
            raise ValueError(
                f"class_weight gives {label!r} the weight {weight!r}, wanted a number of 0 or more"
                f"\n  hint: class_weight={{{label!r}: 2.0}}"
            )
        named |= set(at)
        out[at] = weight
    # A fold or a bag may lack a class that the dict names; only a dict that misses others is wrong.
    left = [c for i, c in enumerate(classes.tolist()) if i not in named]
    if left and len(named) < len(given):
        unknown = [k for k in given if not any(k == c for c in classes)]
        raise ValueError(
            f"class_weight names {unknown[0]!r}, which is no class of y, and not {left[0]!r}\n"
            f"  hint: the classes are {', '.join(map(repr, classes[:10].tolist()))}"
        )
    return out


def mean_one(weights: Array) -> Array | None:
    """Weights with the mean 1, so that their scale does not matter; None where all are equal.

    Raises:
        ValueError: All of them are 0.
    """
    total = float(weights.sum(dtype=np.float64))
    if not total > 0:
        raise ValueError(
            "all weights of rows, by sample_weight and class_weight, are zero\n"
            "  hint: give at least one row a weight"
        )
    if (weights == weights[0]).all():
        return None
    return (weights * (len(weights) / total)).astype(np.float32)


def merged(x: Array, y: Array, weights: Array | None) -> tuple[Array, Array, Array | None]:
    """Equal rows as one with the sum of their weights, in an order of their own.

    What one batch makes of the rows then does not depend, in any bit, on their order, and weights
    do what repeated rows do.
    """
    x, y = np.ascontiguousarray(x), np.ascontiguousarray(y)
    targets = y.reshape(len(y), -1)
    keys = np.concatenate(
        [x.view(np.uint8).reshape(len(x), -1), targets.view(np.uint8).reshape(len(y), -1)], axis=1
    )
    whole = keys.view(f"V{keys.shape[1]}").ravel()
    _, first, place = np.unique(whole, return_index=True, return_inverse=True)
    sums = np.bincount(place.ravel(), weights)
    return x[first], y[first], sums
