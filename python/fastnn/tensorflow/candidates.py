"""Losses over many classes that look at the right ones and a few that are drawn, as in `tf.nn`.

Depends on `ops`, `random`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import ops, random
from fastnn._core import Tensor
from fastnn.base.typing import TensorLike
from fastnn.errors import ShapeError

__all__ = ["expected_unlike", "nce_loss", "sampled_softmax_loss", "zipf"]

#: What logits of drawn classes that are right after all are lowered by.
_NEVER = float(np.finfo(np.float32).min)


def sampled_softmax_loss(
    weights: Any,
    biases: TensorLike,
    labels: TensorLike,
    inputs: TensorLike,
    num_sampled: int,
    num_classes: int,
    num_true: int = 1,
    sampled_values: Any = None,
    remove_accidental_hits: bool = True,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Cross entropies among the right classes and drawn ones, (batch,)."""
    logits, wanted = _of_candidates(
        weights, biases, labels, inputs, num_sampled, num_classes, num_true, sampled_values,
        remove_accidental_hits, seed,
    )  # fmt: skip
    return -ops.sum(wanted * ops.log_softmax(logits, axis=-1), axis=-1)


def nce_loss(
    weights: Any,
    biases: TensorLike,
    labels: TensorLike,
    inputs: TensorLike,
    num_sampled: int,
    num_classes: int,
    num_true: int = 1,
    sampled_values: Any = None,
    remove_accidental_hits: bool = False,
    name: str | None = None,
) -> Tensor:
    """Noise contrastive estimates: right classes against drawn ones, each by itself, (batch,)."""
    logits, wanted = _of_candidates(
        weights, biases, labels, inputs, num_sampled, num_classes, num_true, sampled_values,
        remove_accidental_hits, None,
    )  # fmt: skip
    return ops.sum(ops.softplus(logits) - wanted * logits, axis=-1)


def _of_candidates(
    weights: Any,
    biases: Any,
    labels: TensorLike,
    inputs: TensorLike,
    count: int,
    classes: int,
    true: int,
    sampled: Any,
    no_hits: bool,
    seed: int | None,
) -> tuple[Tensor, Tensor]:
    """Logits of the right classes, then of the drawn ones, less the logarithm of how often each is
    drawn; and what is wanted of them.
    """
    weights = ops.concatenate(weights, axis=0) if isinstance(weights, list | tuple) else weights
    weights, biases = ops.convert_to_tensor(weights), ops.convert_to_tensor(biases)
    inputs, labels = ops.convert_to_tensor(inputs), ops.cast(labels, "int32")
    if len(labels.shape) == 1 and true == 1:
        labels = ops.expand_dims(labels, axis=-1)
    if len(labels.shape) != 2 or labels.shape[-1] != true:
        raise ShapeError(
            f"labels have shape {tuple(labels.shape)}, wanted (batch, num_true={true})\n"
            "  hint: tf.expand_dims(labels, 1) where each sample has one class"
        )
    found = _drawn(labels, count, classes, seed) if sampled is None else sampled
    drawn, right_counts, drawn_counts = (ops.stop_gradient(ops.convert_to_tensor(v)) for v in found)
    drawn = ops.cast(drawn, "int32")
    right = ops.sum(ops.expand_dims(inputs, 1) * ops.take(weights, labels, axis=0), axis=-1)
    right = right + ops.take(biases, labels, axis=0) - ops.log(right_counts)
    others = ops.matmul(inputs, ops.transpose(ops.take(weights, drawn, axis=0)))
    others = others + ops.take(biases, drawn, axis=0)
    if no_hits:
        hits = ops.any(ops.equal(ops.expand_dims(labels, 2), drawn), axis=1)
        others = ops.where(hits, _NEVER, others)
    others = others - ops.log(drawn_counts)
    wanted = [ops.ones_like(right) / float(true), ops.zeros_like(others)]
    return ops.concatenate([right, others], axis=1), ops.concatenate(wanted, axis=1)


def zipf(classes: int) -> Any:
    """The chance of each class by Zipf's law, small numbers first."""
    return np.log1p(1.0 / np.arange(1, classes + 1)) / np.log(classes + 1)


def expected_unlike(chance: Any, count: int) -> Any:
    """How often each class is expected among `count` unlike ones; ValueError if there are fewer."""
    if count > len(chance):
        raise ValueError(f"{count} unlike classes of {len(chance)}\n  hint: a smaller num_sampled")
    return 1.0 - (1.0 - chance) ** count


def _drawn(labels: Tensor, count: int, classes: int, seed: int | None) -> tuple[Any, Any, Any]:
    """Unlike classes drawn by Zipf's law, small numbers first, and how often each is expected.

    By tensors, so that a compiled step draws others every time.
    """
    chance = zipf(classes)
    expected = ops.convert_to_tensor(expected_unlike(chance, count).astype(np.float32))
    # The largest of logarithms with Gumbel's noise are draws without putting back.
    uniform = random.uniform((classes,), 1e-20, 1.0, seed=seed)
    keys = np.log(chance).astype(np.float32) - ops.log(-ops.log(uniform))
    _, drawn = ops.top_k(keys, count)
    return drawn, ops.take(expected, labels, axis=0), ops.take(expected, drawn, axis=0)
