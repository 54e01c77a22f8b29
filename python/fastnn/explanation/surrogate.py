"""A small decision tree that imitates a model, and how well it does. Needs scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.base.arguments import hints_arguments, is_whole
from fastnn.data.arrays import leaf
from fastnn.errors import ShapeError

__all__ = ["Surrogate", "surrogate_tree"]


@dataclass(frozen=True)
class Surrogate:
    """A tree that imitates a model; printing it shows its rules and its fidelity.

    Args:
        tree: scikit-learn's tree.
        fidelity: On rows that the tree was not grown on: the share of rows for which it gives the
            model's class, or of a regression the share of the variance that it explains (R2).
        names: Names of the features.
        classifies: Whether it imitates classes.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(200, 2))
        >>> found = fastnn.explanation.surrogate_tree(lambda x: x[:, 0] > 0, x)
        >>> print(str(found).partition(":")[0])
        fidelity
    """

    tree: Any
    fidelity: float
    names: list[str]
    classifies: bool

    def __str__(self) -> str:
        from sklearn.tree import export_text

        kind = "gives the model's class for" if self.classifies else "explains (R2)"
        rules = export_text(self.tree, feature_names=self.names)
        return f"fidelity: {kind} {self.fidelity:.1%} of held-out rows\n{rules}"


@hints_arguments
def surrogate_tree(
    model: Any,
    x: Any,
    *,
    max_depth: int = 3,
    names: Sequence[str] | None = None,
    seed: int = 0,
) -> Surrogate:
    """A decision tree grown on what a model says, not on the truth: a picture of the model.

    The fidelity is measured on a third of the rows, which the tree has not seen. A tree with a low
    one tells little about the model.

    Args:
        model: A model, or a function of rows; outputs of several columns are scores of classes.
        x: Rows of features (n, k), n at least 10.
        max_depth: How deep the tree may be.
        names: Names of the features; None: those of a frame's columns, or numbers.
        seed: Which rows are held out.

    Returns:
        A `Surrogate`.

    Raises:
        ShapeError: `x` is not (n, k), or there are fewer than 10 rows.
        ImportError: scikit-learn is not installed.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(200, 2))
        >>> found = fastnn.explanation.surrogate_tree(lambda x: x[:, 0] > 0, x, names=["a", "b"])
        >>> found.fidelity > 0.9
        True
    """
    try:
        from sklearn.metrics import accuracy_score, r2_score
        from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
    except ImportError:
        raise ImportError(
            "surrogate_tree needs scikit-learn, which is not installed\n"
            '  hint: pip install "fastnn-rs[explain]"'
        ) from None
    if not is_whole(max_depth) or max_depth < 1:
        raise ValueError(
            f"max_depth is {max_depth!r}, wanted a whole number of at least 1\n  hint: max_depth=3"
        )
    if names is None:
        names = [str(c) for c in getattr(x, "columns", ())]
    rows = leaf(x, "x")
    if rows.ndim != 2 or len(rows) < 10:
        raise ShapeError(
            f"x has shape {rows.shape}, wanted (n, k) with at least 10 rows\n"
            "  hint: explain(model, x, 'occlusion') explains single rows"
        )
    names = list(names) or [f"x{i}" for i in range(rows.shape[1])]
    if len(names) != rows.shape[1]:
        raise ShapeError(
            f"there are {len(names)} names for {rows.shape[1]} features\n  hint: one per column"
        )
    said = np.asarray(model.predict(rows, verbose=0) if hasattr(model, "predict") else model(rows))
    classes = said.ndim == 2 and said.shape[1] > 1
    said = said.argmax(axis=1) if classes else said.reshape(len(rows), -1)[:, 0]
    classes = classes or said.dtype.kind in "biu"
    order = np.random.default_rng(seed).permutation(len(rows))
    held, grown = order[: len(rows) // 3], order[len(rows) // 3 :]
    kind = DecisionTreeClassifier if classes else DecisionTreeRegressor
    tree = kind(max_depth=max_depth, random_state=seed).fit(rows[grown], said[grown])
    score = accuracy_score if classes else r2_score
    fidelity = float(score(said[held], tree.predict(rows[held])))
    return Surrogate(tree, fidelity, names, bool(classes))
