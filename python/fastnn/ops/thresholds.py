"""Activations that have no row: shrinkages, thresholds, waves, names. Depends on `convert`."""

from __future__ import annotations

from collections.abc import Callable

from fastnn import _core
from fastnn._core import Tensor
from fastnn.ops import rows
from fastnn.ops.convert import TensorLike, computed
from fastnn.ops.families import name_ops
from fastnn.tracing.symbolic import keras_op

__all__ = [
    "hard_shrink",
    "hard_swish",
    "snake",
    "soft_shrink",
    "sparse_plus",
    "sparse_sigmoid",
    "squareplus",
    "swish",
    "threshold",
]

_c = _core.ops


swish: Callable[..., Tensor] = rows.silu
hard_swish: Callable[..., Tensor] = rows.hard_silu


@keras_op
def hard_shrink(x: TensorLike, threshold: float = 0.5) -> Tensor:
    """`x`, and 0 where its size is at most `threshold`.

    Args:
        x: A tensor or array.
        threshold: The threshold, at least 0.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.hard_shrink(np.array([-1.0, 0.2])).numpy()
        array([-1.,  0.], dtype=float32)
    """
    x = computed(x, "float32")
    return _c.where(_c.absolute(x) <= threshold, 0.0, x)


@keras_op
def soft_shrink(x: TensorLike, threshold: float = 0.5) -> Tensor:
    """`x` moved towards 0 by `threshold`, 0 where it is nearer.

    Args:
        x: A tensor or array.
        threshold: The threshold, at least 0.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.soft_shrink(np.array([-1.0, 0.2])).numpy()
        array([-0.5,  0. ], dtype=float32)
    """
    x = computed(x, "float32")
    return _c.where(_c.absolute(x) <= threshold, 0.0, x - _c.sign(x) * threshold)


@keras_op
def threshold(x: TensorLike, threshold: float, default_value: float) -> Tensor:
    """`x` where it is above `threshold`, else `default_value`.

    Args:
        x: A tensor or array.
        threshold: The threshold.
        default_value: The value elsewhere.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.threshold(np.array([1.0, 3.0]), 2.0, 0.0).numpy()
        array([0., 3.], dtype=float32)
    """
    x = computed(x, "float32")
    return _c.where(x <= threshold, computed(default_value, "float32"), x)


@keras_op
def squareplus(x: TensorLike, b: float = 4.0) -> Tensor:
    """(x + sqrt(x^2 + b)) / 2.

    Args:
        x: A tensor or array.
        b: The width of the bend at zero.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.squareplus(np.array([0.0])).numpy()
        array([1.], dtype=float32)
    """
    x = computed(x, "float32")
    return 0.5 * (x + _c.sqrt(_c.square(x) + b))


@keras_op
def snake(x: TensorLike, alpha: TensorLike = 1.0) -> Tensor:
    """`x` + sin(alpha x)^2 / alpha, an activation that goes on periodically; `x` where alpha is 0.

    Never decreasing in `x`, with period pi / alpha around the line `x`. Source: Ziyin et al. 2020.

    Args:
        x: A tensor or array.
        alpha: The frequency, a number or anything that broadcasts with `x`.

    Returns:
        A tensor of the common shape.

    Example:
        >>> fastnn.ops.snake(np.array([0.0, 1.0]), 2.0).numpy().round(4)
        array([0.    , 1.4134], dtype=float32)
    """
    x, alpha = computed(x, "float32"), computed(alpha, "float32")
    angle = alpha * x
    still = _c.equal(angle, 0.0)
    safe = _c.where(still, 1.0, angle)
    # sin(angle)^2 / alpha as x sin(angle) (sin(angle) / angle): alpha may be 0 or so small that its
    # square is, for the derivative by alpha as well, which is x^2 there.
    return x + x * _c.sin(angle) * _c.where(still, 1.0, _c.sin(safe) / safe)


@keras_op
def sparse_plus(x: TensorLike) -> Tensor:
    """0 below -1, x above 1, (x + 1)^2 / 4 between.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.sparse_plus(np.array([-2.0, 0.0, 3.0])).numpy()
        array([0.  , 0.25, 3.  ], dtype=float32)
    """
    x = computed(x, "float32")
    between = 0.25 * _c.square(x + 1.0)
    return _c.where(x <= -1.0, 0.0, _c.where(x >= 1.0, x, between))


@keras_op
def sparse_sigmoid(x: TensorLike) -> Tensor:
    """0 below -1, 1 above 1, (x + 1) / 2 between.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.sparse_sigmoid(np.array([-2.0, 0.0, 3.0])).numpy()
        array([0. , 0.5, 1. ], dtype=float32)
    """
    x = computed(x, "float32")
    return _c.minimum(_c.maximum(0.5 * (x + 1.0), 0.0), 1.0)


name_ops(globals())
