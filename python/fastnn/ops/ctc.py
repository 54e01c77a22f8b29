"""Connectionist temporal classification: the loss of labels whose places in time are not known.

Source: Graves et al. 2006. Depends on `control`, `index`.
"""

from __future__ import annotations

from typing import Any

from fastnn import _core
from fastnn._core import Tensor
from fastnn.errors import ShapeError
from fastnn.ops.control import scan
from fastnn.ops.convert import TensorLike, arange, cast, computed, shape
from fastnn.ops.index import take_along_axis
from fastnn.ops.nn import log_softmax
from fastnn.ops.shapes import pad, reshape, stack, transpose
from fastnn.ops.special import logaddexp
from fastnn.tracing.symbolic import keras_op

__all__ = ["ctc_loss"]

_c = _core.ops
#: The logarithm of what cannot be: small enough, and far from where float32 ends.
_NEVER = -1e5


@keras_op
def ctc_loss(
    target: TensorLike,
    output: TensorLike,
    target_length: TensorLike,
    output_length: TensorLike,
    mask_index: int = 0,
) -> Tensor:
    """-log of the chance that `output` says `target`, over all ways to spread it over the steps.

    A step says a class or nothing (`mask_index`); a class that is said several times in a row is
    one label, unless nothing stands between.

    Args:
        target: Labels, int32 (batch, labels); what stands after `target_length` does not count.
        output: Scores before softmax, (batch, steps, classes).
        target_length: How many labels count, (batch,).
        output_length: How many steps count, (batch,).
        mask_index: The class that stands for nothing.

    Returns:
        A tensor (batch,). Labels that do not fit into the steps give about 1e5.

    Raises:
        ShapeError: The shapes do not go together.

    Example:
        >>> scores = np.zeros((1, 2, 3))
        >>> fastnn.ops.ctc_loss([[1]], scores, [1], [2]).numpy().round(4)
        array([1.0986], dtype=float32)
    """
    labels = cast(target, "int32")
    scores = computed(output, "float32")
    if len(labels.shape) != 2 or len(scores.shape) != 3:
        raise ShapeError(
            f"ctc_loss: labels of shape {tuple(labels.shape)} and scores of shape "
            f"{tuple(scores.shape)}, wanted (batch, labels) and (batch, steps, classes)\n"
            "  hint: scores of every step"
        )
    batch, count = shape(labels)
    log = log_softmax(scores, axis=-1)
    # The labels with "nothing" before, between and after: 2 * count + 1 places.
    blank = _c.full(shape=[], value=float(mask_index), dtype="int32")
    nothing = labels * 0 + blank
    places = reshape(stack([nothing, labels], axis=-1), (batch, count * 2))
    places = pad(places, ((0, 0), (0, 1)), constant_values=mask_index)
    size = count * 2 + 1
    before = pad(places[:, :-2], ((0, 0), (2, 0)), constant_values=mask_index)
    # A label may follow the one before at once where it is another one.
    skips = _c.logical_and(_c.not_equal(places, mask_index), _c.not_equal(places, before))
    at = _c.expand_dims(places, axis=[1])
    said = take_along_axis(log, _c.broadcast_to(at, shape=[batch, shape(log)[1], size]), axis=-1)
    said = transpose(said, (1, 0, 2))
    order = arange(size, dtype="int32")
    first = _c.where(_c.less(order, 2), said[0], _NEVER)
    steps = cast(output_length, "int32")

    def one(carry: Any, x: Any) -> tuple[Any, None]:
        alpha, t = carry
        moved = pad(alpha[:, :-1], ((0, 0), (1, 0)), constant_values=_NEVER)
        leapt = pad(alpha[:, :-2], ((0, 0), (2, 0)), constant_values=_NEVER)
        new = logaddexp(logaddexp(alpha, moved), _c.where(skips, leapt, _NEVER)) + x
        counts = _c.expand_dims(_c.less(t, steps), axis=[-1])
        return [_c.where(counts, new, alpha), t + 1], None

    start = [first, _core.tensor(1, dtype="int32")]
    (alpha, _), _ = scan(one, start, said[1:])
    last = _c.expand_dims(cast(target_length, "int32") * 2, axis=[-1])
    ends = _c.where(_c.equal(order, last), alpha, 2 * _NEVER)
    whole = _c.logical_and(_c.equal(order, last - 1), _c.greater(last, 0))
    ends = logaddexp(ends, _c.where(whole, alpha, 2 * _NEVER))
    return -_c.logsumexp(ends, axis=[-1])
