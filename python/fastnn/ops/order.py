"""What depends on the order of elements: sorting, ranks, the largest few."""

from __future__ import annotations

from fastnn import _core
from fastnn._core import Tensor
from fastnn.ops.convert import TensorLike, cast, computed, zeros_like
from fastnn.ops.elements import clip, isfinite
from fastnn.ops.families import name_ops
from fastnn.ops.reduce import sum
from fastnn.ops.shapes import ravel, squeeze
from fastnn.tracing.symbolic import keras_op

__all__ = [
    "argsort",
    "in_top_k",
    "sort",
    "top_k",
]

_c = _core.ops


@keras_op
def top_k(x: TensorLike, k: int, sorted: bool = True) -> tuple[Tensor, Tensor]:
    """The k largest elements of the last axis and their positions, largest first.

    NaN counts as the largest; of equal elements the first come first. The result is in order
    whatever `sorted` says.

    Args:
        x: tensor of shape (..., n).
        k: how many; 0 to n.
        sorted: taken for Keras's sake.

    Returns:
        The values and their positions (int32), both of shape (..., k).

    Raises:
        ShapeError: k is negative or larger than n.

    Example:
        >>> values, places = fastnn.ops.top_k([0.1, 0.7, 0.2], k=2)
        >>> places.tolist()
        [1, 2]
    """
    del sorted
    return _c.top_k(x, k=k)


@keras_op
def in_top_k(targets: TensorLike, predictions: TensorLike, k: int) -> Tensor:
    """True where the target's score is among the k largest.

    Scores equal to the k-th largest count. False where the target is no class (negative, or not
    below the number of classes) or its score is NaN or infinite.

    Args:
        targets: class numbers of shape (...).
        predictions: scores of shape (..., classes).
        k: how many places count; more than there are classes means all.

    Returns:
        Truth values of shape (...).

    Example:
        >>> fastnn.ops.in_top_k([1, 0], [[0.1, 0.7, 0.2], [0.1, 0.7, 0.2]], k=2).tolist()
        [True, False]
    """
    p, t = computed(predictions, "float32"), cast(targets, "int32")
    classes = p.shape[-1]
    if classes == 0:
        return zeros_like(t, "bool")
    place = _c.expand_dims(clip(t, 0, classes - 1), axis=-1)
    score = _c.take_along_axis(p, place, axis=-1)
    above = sum(cast(p > score, "int32"), axis=-1)
    known = _c.logical_and(t >= 0, t < classes)
    return _c.logical_and(_c.logical_and(above < k, known), isfinite(squeeze(score, -1)))


@keras_op
def sort(x: TensorLike, axis: int | None = -1) -> Tensor:
    """The elements of `x` in ascending order along `axis`, NaN last; of the flat array when None.

    Args:
        x: A tensor or array.
        axis: The axis; None: of the flat array.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.sort([3.0, 1.0, 2.0]).tolist()
        [1.0, 2.0, 3.0]
    """
    if axis is None:
        x, axis = ravel(x), 0
    return _c.sort(x, axis=axis)[0]


@keras_op
def argsort(x: TensorLike, axis: int | None = -1) -> Tensor:
    """The positions (int32) that sort `x` along `axis`; equal elements keep their order.

    Args:
        x: A tensor or array.
        axis: The axis; None: of the flat array.

    Returns:
        Positions, an int32 tensor.

    Example:
        >>> fastnn.ops.argsort([3.0, 1.0, 2.0]).tolist()
        [1, 2, 0]
    """
    if axis is None:
        x, axis = ravel(x), 0
    return _c.sort(x, axis=axis)[1]


name_ops(globals())
