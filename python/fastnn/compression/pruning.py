"""Magnitude pruning: the smallest weights are put to zero and stay there while training goes on.

Depends on `constraints`, `tracing`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.base.arguments import as_number, hints_arguments
from fastnn.constraints import KeptZeros
from fastnn.tracing.stored import stored_weights, weights_in

__all__ = ["keep_zeros", "prune", "sparsity"]


def _built_layers(model: Any) -> list[Any]:
    if not getattr(model, "built", False):
        raise ValueError(
            f"model {getattr(model, 'name', model)!r} is not built\n"
            "  hint: begin it with Input(shape), or call it on data"
        )
    return list(model._every_layer())


def _kernels(model: Any) -> list[Any]:
    return [v for _, _, v in weights_in(_built_layers(model)) if v.trainable]


def _zeros(weights: list[Any]) -> float:
    arrays = [v.numpy() for v in weights]
    total = sum(a.size for a in arrays)
    return float(sum((a == 0).sum() for a in arrays) / total) if total else 0.0


def _freeze(model: Any, masks: list[tuple[Any, np.ndarray[Any, Any]]]) -> None:
    for variable, mask in masks:
        KeptZeros.hold(variable, mask)
    model._forget_traces()


@hints_arguments
def prune(model: Any, share: float, *, by: str = "layer") -> float:
    """Puts the smallest weights to zero, where `fit` leaves them; train on afterwards.

    Kernels and embeddings are pruned, biases are not. Pruned in a few steps with training between,
    networks keep more of their quality. What was pruned before stays so, in fastnn's files too.

    Args:
        model: A built model.
        share: The share of the weights that shall be zero, from 0 up to, not including, 1.
        by: `"layer"`: this share of each weight; `"model"`: of all together, so that layers that
            matter less lose more.

    Returns:
        The share of the prunable weights that is zero now.

    Raises:
        ValueError: An argument is out of range, or the model is not built.

    Example:
        >>> model = fastnn.Sequential([fastnn.Input((8,)), fastnn.layers.Dense(10)])
        >>> fastnn.compression.prune(model, 0.75)
        0.75
        >>> model.compile("adam", "mse")
        >>> history = model.fit(np.ones((20, 8)), np.ones((20, 10)), epochs=2, verbose=0)
        >>> fastnn.compression.sparsity(model)
        0.75
    """
    wanted = as_number(share)
    if isinstance(wanted, bool) or not isinstance(wanted, int | float) or not 0 <= wanted < 1:
        raise ValueError(
            f"share is {share!r}, wanted a number from 0 up to, not including, 1\n  hint: share=0.8"
        )
    if by not in ("layer", "model"):
        raise ValueError(f"by is {by!r}\n  hint: 'layer' or 'model'")
    kernels = _kernels(model)
    sizes = [np.abs(np.asarray(v)) for v in kernels]
    if any(not np.isfinite(s).all() for s in sizes):
        raise ValueError(
            "a weight is NaN or infinite, so none is the smallest\n"
            "  hint: fastnn.debug.find_nan(model, x, y) says where they come from"
        )
    groups = [[i] for i in range(len(sizes))] if by == "layer" else [list(range(len(sizes)))]
    masks: list[Any] = [None] * len(sizes)
    for group in groups:
        if not group:
            continue
        flat = np.concatenate([sizes[i].ravel() for i in group])
        kept = np.ones(len(flat), bool)
        # By rank, so that equal weights do not all go or all stay.
        kept[np.argsort(flat, kind="stable")[: round(wanted * len(flat))]] = False
        kept &= flat > 0
        ends = np.cumsum([sizes[i].size for i in group])[:-1]
        for i, part in zip(group, np.split(kept, ends), strict=True):
            masks[i] = part.reshape(sizes[i].shape)
    _freeze(model, list(zip(kernels, masks, strict=True)))
    return _zeros(kernels)


@hints_arguments
def keep_zeros(model: Any) -> float:
    """Keeps weights that are zero at zero while training goes on.

    fastnn's files say that pruned weights stay so; after reading a file in one of Keras's formats,
    or weights alone, this does.

    Args:
        model: A built model.

    Returns:
        The share of the prunable weights that is zero.

    Raises:
        ValueError: The model is not built.

    Example:
        >>> model = fastnn.Sequential([fastnn.Input((8,)), fastnn.layers.Dense(10)])
        >>> share = fastnn.compression.prune(model, 0.5)
        >>> again = fastnn.models.clone_model(model)
        >>> again.set_weights(model.get_weights())
        >>> fastnn.compression.keep_zeros(again)
        0.5
    """
    kernels = _kernels(model)
    _freeze(model, [(v, np.asarray(v) != 0) for v in kernels])
    return _zeros(kernels)


@hints_arguments
def sparsity(model: Any) -> float:
    """The share of the weights of kernels and embeddings that is zero, frozen and quantized ones
    among them.

    Args:
        model: A built model.

    Returns:
        A number from 0 to 1.

    Raises:
        ValueError: The model is not built.

    Example:
        >>> model = fastnn.Sequential([fastnn.Input((8,)), fastnn.layers.Dense(10)])
        >>> fastnn.compression.sparsity(model)
        0.0
    """
    layers = _built_layers(model)
    return _zeros([*(v for _, _, v in weights_in(layers)), *stored_weights(layers)])
