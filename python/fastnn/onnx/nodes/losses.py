"""Losses of class scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastnn import ops
from fastnn.onnx.values import Call, like, tensor

__all__ = ["OPS"]

Op = Callable[..., Any]


def _picked(c: Call, log: Any, target: Any, weight: Any) -> Any:
    """The loss of scores that are logarithms of probabilities."""
    ignored, how = c.attr("ignore_index"), c.attr("reduction", "mean")
    labels = tensor(target)
    kept = ops.ones_like(labels, "float32")
    if ignored is not None:
        kept = ops.cast(ops.not_equal(labels, int(ignored)), "float32")
        labels = ops.where(ops.equal(labels, int(ignored)), 0, labels)
    scores = ops.moveaxis(tensor(log), 1, -1)
    found = -ops.take_along_axis(scores, ops.expand_dims(labels, -1), axis=-1)[..., 0]
    weights = kept if weight is None else kept * ops.take(tensor(weight), labels, axis=0)
    loss = found * weights
    if how == "none":
        return loss
    if how == "sum":
        return ops.sum(loss)
    if weight is None and ignored is None:
        return ops.mean(loss)
    return ops.sum(loss) / ops.sum(weights)


def _negative_log(c: Call, x: Any, target: Any, weight: Any = None) -> Any:
    return like(_picked(c, x, target, weight), x)


def _softmax_cross_entropy(c: Call, x: Any, target: Any, weight: Any = None) -> Any:
    log = ops.log_softmax(tensor(x), axis=1)
    loss = like(_picked(c, log, target, weight), x)
    return (loss, like(log, x)) if c.outputs > 1 else loss


OPS: dict[str, Op] = {
    "NegativeLogLikelihoodLoss": _negative_log, "SoftmaxCrossEntropyLoss": _softmax_cross_entropy,
}  # fmt: skip
