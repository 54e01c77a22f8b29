"""The loss of connectionist temporal classification, as a function and as an object."""

from __future__ import annotations

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.typing import DTypeLike, TensorLike
from fastnn.errors import ShapeError
from fastnn.losses.base import LossFunctionWrapper
from fastnn.losses.targets import wants
from fastnn.tracing.symbolic import keras_op

__all__ = ["CTC", "ctc"]


@keras_op
@wants("whole")
def ctc(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """-log of the chance that the scores of all steps say the labels, wherever they lie in time.

    Args:
        y_true: Labels from 1, int32 (batch, labels), padded with 0.
        y_pred: Scores before softmax, (batch, steps, classes); class 0 stands for nothing.

    Returns:
        One number a sample.

    Raises:
        ShapeError: The shapes do not go together.

    Example:
        >>> fastnn.losses.ctc(np.array([[1, 0]]), np.zeros((1, 2, 3))).numpy().round(4)
        array([1.0986], dtype=float32)
    """
    y_true, y_pred = ops.cast(y_true, "int32"), ops.convert_to_tensor(y_pred, "float32")
    if len(y_true.shape) != 2:
        raise ShapeError(
            "Targets `y_true` are expected to be a tensor of shape `(batch_size, max_length)` in "
            f"integer format. Received: y_true.shape={tuple(y_true.shape)}\n"
            "  hint: labels from 1, padded with 0"
        )
    if len(y_pred.shape) != 3:
        raise ShapeError(
            "Logits `y_pred` are expected to be a tensor of shape `(batch_size, max_length, "
            f"num_classes)`. Received: y_pred.shape={tuple(y_pred.shape)}\n"
            "  hint: scores of every step"
        )
    counts = ops.sum(ops.cast(y_true != 0, "int32"), axis=-1)
    steps = ops.zeros_like(counts) + ops.shape(y_pred)[1]
    return ops.ctc_loss(y_true, y_pred, counts, steps, mask_index=0)


class CTC(LossFunctionWrapper):
    """Connectionist temporal classification: labels whose places in time are not known.

    Labels are (batch, labels), numbers from 1 padded with 0; predictions are scores before softmax,
    (batch, steps, classes), of which class 0 stands for nothing.

    Args:
        reduction: How losses of samples become one number: `"sum_over_batch_size"` (the mean),
            `"sum"`, `"mean_with_sample_weight"` (divided by the sum of the weights) or `"none"`.
        name: The name of the loss; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Raises:
        ShapeError: The shapes do not go together.

    Example:
        >>> loss = fastnn.losses.CTC()
        >>> round(float(loss(np.array([[1, 0]]), np.zeros((1, 2, 3)))), 4)
        1.0986
    """

    def __init__(
        self, reduction: str = "sum_over_batch_size", name: str = "ctc", dtype: DTypeLike = None
    ) -> None:
        super().__init__(ctc, name=name, reduction=reduction, dtype=dtype)
