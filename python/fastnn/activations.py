"""Activation functions under Keras's names and defaults, and the table of their names.

Depends on `ops`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastnn import _core, ops
from fastnn._core import Tensor
from fastnn.base.absent import answer_missing
from fastnn.base.arguments import as_number, hints_arguments
from fastnn.base.typing import Identifier, TensorLike
from fastnn.serialization.custom_objects import custom_object_scope
from fastnn.serialization.encoding import to_config
from fastnn.serialization.registry import Registry, table
from fastnn.tracing.known_ops import enter_ops
from fastnn.tracing.symbolic import keras_op

__all__ = [
    "celu", "deserialize", "elu", "exponential", "gelu", "get", "glu", "hard_shrink",
    "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh", "leaky_relu", "linear", "log_sigmoid",
    "log_softmax", "mish", "relu", "relu6", "selu", "serialize", "sigmoid", "silu", "soft_shrink",
    "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus",
    "swish", "tanh", "tanh_shrink", "threshold",
]  # fmt: skip

_c = _core.ops


@keras_op
def linear(x: TensorLike) -> Any:
    """`x` itself.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.activations.linear(np.array([-1.0, 2.0]))
        array([-1.,  2.])
    """
    return x


@keras_op
def relu(
    x: TensorLike,
    negative_slope: float = 0.0,
    max_value: float | None = None,
    threshold: float = 0.0,
) -> Tensor:
    """max(x, 0); with a slope below the threshold and a ceiling if asked.

    Args:
        x: A tensor or array.
        negative_slope: The slope below the threshold.
        max_value: The largest output; None: no ceiling.
        threshold: The value from which on the input passes.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.activations.relu(np.array([-1.0, 2.0])).numpy()
        array([0., 2.], dtype=float32)
    """
    if negative_slope == 0.0 and max_value is None and threshold == 0.0:
        return ops.relu(x)
    x = ops.convert_to_tensor(x, "float32")
    above = _c.where(x > float(threshold), x, 0.0) if threshold else _c.relu(x)
    if max_value is not None:
        above = _c.minimum(_c.maximum(above, 0.0), float(max_value))
    return above - negative_slope * _c.relu(threshold - x) if negative_slope else above


@keras_op
def relu6(x: TensorLike) -> Tensor:
    """min(max(x, 0), 6).

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.activations.relu6(np.array([-1.0, 2.0, 9.0])).numpy()
        array([0., 2., 6.], dtype=float32)
    """
    return ops.relu6(x)


@keras_op
def leaky_relu(x: TensorLike, negative_slope: float = 0.2) -> Tensor:
    """`x` where positive, negative_slope * x elsewhere.

    Args:
        x: A tensor or array.
        negative_slope: The slope for negative inputs.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.activations.leaky_relu(np.array([-1.0, 2.0])).numpy()
        array([-0.2,  2. ], dtype=float32)
    """
    return _c.leaky_relu(x, negative_slope=negative_slope)


@keras_op
def elu(x: TensorLike, alpha: float = 1.0) -> Tensor:
    """`x` where positive, alpha * (e^x - 1) elsewhere.

    Args:
        x: A tensor or array.
        alpha: The value that very negative inputs approach, negated.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.activations.elu(np.array([-1.0, 2.0])).numpy().round(4)
        array([-0.6321,  2.    ], dtype=float32)
    """
    return _c.elu(x, alpha=alpha)


@keras_op
def selu(x: TensorLike) -> Tensor:
    """A scaled elu whose constants keep mean 0 and variance 1 from layer to layer. Source:
    Klambauer et al. 2017.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.activations.selu(np.array([-1.0, 2.0])).numpy().round(4)
        array([-1.1113,  2.1014], dtype=float32)
    """
    return _c.selu(x)


@keras_op
def celu(x: TensorLike, alpha: float = 1.0) -> Tensor:
    """max(x, 0) + min(0, alpha * (e^(x / alpha) - 1)).

    Args:
        x: A tensor or array.
        alpha: The value that very negative inputs approach, negated.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.activations.celu(np.array([-1.0, 2.0])).numpy().round(4)
        array([-0.6321,  2.    ], dtype=float32)
    """
    return _c.celu(x, alpha=alpha)


@keras_op
def gelu(x: TensorLike, approximate: bool = False) -> Tensor:
    """`x` Φ(x), with the distribution function Φ of the normal law. Source: Hendrycks & Gimpel
    2016.

    Args:
        x: A tensor or array.
        approximate: Whether Φ is taken by tanh instead of exactly.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.activations.gelu(np.array([-1.0, 2.0])).numpy().round(4)
        array([-0.1587,  1.9545], dtype=float32)
    """
    return _c.gelu(x, approximate=approximate)


@keras_op
def sigmoid(x: TensorLike) -> Tensor:
    """1 / (1 + e^-x).

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.activations.sigmoid(np.array([0.0, 2.0])).numpy().round(4)
        array([0.5   , 0.8808], dtype=float32)
    """
    return _c.sigmoid(x)


@keras_op
def hard_sigmoid(x: TensorLike) -> Tensor:
    """`x` / 6 + 1/2, cut to 0 … 1.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.activations.hard_sigmoid(np.array([-4.0, 0.0, 1.5])).numpy()
        array([0.  , 0.5 , 0.75], dtype=float32)
    """
    return _c.hard_sigmoid(x)


@keras_op
def tanh(x: TensorLike) -> Tensor:
    """The hyperbolic tangent.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.activations.tanh(np.array([0.0, 2.0])).numpy().round(4)
        array([0.   , 0.964], dtype=float32)
    """
    return _c.tanh(x)


@keras_op
def hard_tanh(x: TensorLike) -> Tensor:
    """`x` cut to -1 … 1.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.activations.hard_tanh(np.array([-4.0, 0.5, 3.0])).numpy()
        array([-1. ,  0.5,  1. ], dtype=float32)
    """
    return ops.hard_tanh(x)


@keras_op
def softmax(x: TensorLike, axis: int | Sequence[int] | None = -1) -> Tensor:
    """e^x divided by its sum: positive numbers that add up to 1.

    Args:
        x: A tensor or array.
        axis: The axis or axes whose values add up to 1; None: all of them.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.activations.softmax(np.array([[0.0, np.log(3.0)]])).numpy().round(4)
        array([[0.25, 0.75]], dtype=float32)
    """
    axis = as_number(axis)
    if isinstance(axis, int):
        return _c.softmax(x, axis=axis)
    return _c.exp(log_softmax(x, axis))


@keras_op
def log_softmax(x: TensorLike, axis: int | Sequence[int] | None = -1) -> Tensor:
    """The logarithm of softmax, without overflow.

    Args:
        x: A tensor or array.
        axis: The axis or axes whose probabilities add up to 1; None: all of them.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.activations.log_softmax(np.array([[0.0, 0.0]])).numpy().round(4)
        array([[-0.6931, -0.6931]], dtype=float32)
    """
    axis = as_number(axis)
    if isinstance(axis, int):
        return _c.log_softmax(x, axis=axis)
    axes = None if axis is None else list(axis)
    return x - _c.logsumexp(x, axis=axes, keepdims=True)


@keras_op
def softplus(x: TensorLike) -> Tensor:
    """log(1 + e^x).

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.activations.softplus(np.array([0.0, 2.0])).numpy().round(4)
        array([0.6931, 2.1269], dtype=float32)
    """
    return _c.softplus(x)


@keras_op
def sparsemax(x: TensorLike, axis: int = -1) -> Tensor:
    """The nearest point of the simplex: shares that sum to 1, many of them 0.

    Args:
        x: A tensor of scores.
        axis: The axis that the shares sum to 1 over.

    Returns:
        A tensor of the same shape.

    Example:
        >>> fastnn.activations.sparsemax(np.array([2.0, 1.0, -1.0])).numpy()
        array([1., 0., 0.], dtype=float32)
    """
    return ops.sparsemax(x, axis)


@keras_op
def softsign(x: TensorLike) -> Tensor:
    """`x` / (1 + |x|).

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.activations.softsign(np.array([-1.0, 3.0])).numpy()
        array([-0.5 ,  0.75], dtype=float32)
    """
    return _c.softsign(x)


@keras_op
def silu(x: TensorLike) -> Tensor:
    """`x` sigmoid(x), also called swish.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.activations.silu(np.array([0.0, 2.0])).numpy().round(4)
        array([0.    , 1.7616], dtype=float32)
    """
    return _c.silu(x)


swish = silu


@keras_op
def hard_silu(x: TensorLike) -> Tensor:
    """`x` hard_sigmoid(x).

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.activations.hard_silu(np.array([-4.0, 0.0, 1.5])).numpy()
        array([-0.   ,  0.   ,  1.125], dtype=float32)
    """
    return _c.hard_silu(x)


hard_swish = hard_silu


@keras_op
def mish(x: TensorLike) -> Tensor:
    """`x` tanh(softplus(x)). Source: Misra 2019.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.activations.mish(np.array([0.0, 2.0])).numpy().round(4)
        array([0.   , 1.944], dtype=float32)
    """
    return _c.mish(x)


@keras_op
def exponential(x: TensorLike) -> Tensor:
    """e^x.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.activations.exponential(np.array([0.0, 1.0])).numpy().round(4)
        array([1.    , 2.7183], dtype=float32)
    """
    return _c.exp(x)


@keras_op
def log_sigmoid(x: TensorLike) -> Tensor:
    """The logarithm of sigmoid, without overflow.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.activations.log_sigmoid(np.array([0.0, -100.0])).numpy().round(4)
        array([  -0.6931, -100.    ], dtype=float32)
    """
    return _c.log_sigmoid(x)


@keras_op
def glu(x: TensorLike, axis: int = -1) -> Tensor:
    """The first half of an axis times the sigmoid of the second half.

    Args:
        x: A tensor or array.
        axis: The axis that is halved.

    Returns:
        A tensor with half the size along `axis`.

    Example:
        >>> fastnn.activations.glu(np.array([[3.0, 0.0]])).numpy()
        array([[1.5]], dtype=float32)
    """
    a, b = ops.split(x, 2, axis)
    return a * _c.sigmoid(b)


@keras_op
def squareplus(x: TensorLike, b: float = 4) -> Tensor:
    """(x + sqrt(x² + b)) / 2.

    Args:
        x: A tensor or array.
        b: The width of the bend at zero.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.activations.squareplus(np.array([0.0, 3.0])).numpy().round(4)
        array([1.    , 3.3028], dtype=float32)
    """
    return ops.squareplus(x, b)


@keras_op
def threshold(x: TensorLike, threshold: float, default_value: float) -> Tensor:
    """`x` where above a threshold, another value elsewhere.

    Args:
        x: A tensor or array.
        threshold: The threshold.
        default_value: The value elsewhere.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.activations.threshold(np.array([1.0, 3.0]), 2.0, 0.0).numpy()
        array([0., 3.], dtype=float32)
    """
    return ops.threshold(x, threshold, default_value)


@keras_op
def tanh_shrink(x: TensorLike) -> Tensor:
    """`x` - tanh(x).

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.activations.tanh_shrink(np.array([0.0, 2.0])).numpy().round(4)
        array([0.   , 1.036], dtype=float32)
    """
    return _c.tanh_shrink(x)


@keras_op
def soft_shrink(x: TensorLike, threshold: float = 0.5) -> Tensor:
    """`x` moved towards zero by a threshold, zero within it.

    Args:
        x: A tensor or array.
        threshold: The threshold, at least 0.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.activations.soft_shrink(np.array([-1.0, 0.2])).numpy()
        array([-0.5,  0. ], dtype=float32)
    """
    return ops.soft_shrink(x, threshold)


@keras_op
def hard_shrink(x: TensorLike, threshold: float = 0.5) -> Tensor:
    """`x` where |x| is above a threshold, zero within it.

    Args:
        x: A tensor or array.
        threshold: The threshold, at least 0.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.activations.hard_shrink(np.array([-1.0, 0.2])).numpy()
        array([-1.,  0.], dtype=float32)
    """
    return ops.hard_shrink(x, threshold)


@keras_op
def sparse_plus(x: TensorLike) -> Tensor:
    """0 below -1, x above 1, (x + 1)² / 4 between.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.activations.sparse_plus(np.array([-2.0, 0.0, 3.0])).numpy()
        array([0.  , 0.25, 3.  ], dtype=float32)
    """
    return ops.sparse_plus(x)


@keras_op
def sparse_sigmoid(x: TensorLike) -> Tensor:
    """0 below -1, 1 above 1, (x + 1) / 2 between.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.activations.sparse_sigmoid(np.array([-2.0, 0.0, 3.0])).numpy()
        array([0. , 0.5, 1. ], dtype=float32)
    """
    return ops.sparse_sigmoid(x)


TABLE = Registry(
    "activation",
    [
        linear, relu, relu6, leaky_relu, elu, selu, celu, gelu, sigmoid, hard_sigmoid, tanh,
        hard_tanh, softmax, log_softmax, sparsemax, softplus, softsign, silu, hard_silu, mish,
        exponential, log_sigmoid, glu, squareplus, threshold, tanh_shrink, soft_shrink, hard_shrink,
        sparse_plus, sparse_sigmoid,
    ],
    {"swish": silu, "hard_swish": hard_silu},
)  # fmt: skip
enter_ops("activations", {k: v for k, v in TABLE.names.items() if callable(v)})


@hints_arguments
def get(identifier: Identifier) -> Callable[..., Tensor]:
    """The activation that a name, function, layer or None stands for.

    Args:
        identifier: A name such as `"relu"`, a function, a layer, or None for `linear`.

    Returns:
        A function of a tensor.

    Raises:
        ValueError: The name is not known; the hint names the nearest ones.

    Example:
        >>> fastnn.activations.get("relu").__name__
        'relu'
    """
    if identifier is None:
        return linear
    if isinstance(identifier, dict) and identifier.get("class_name") not in TABLE.names:
        layers = table("layer")
        if identifier.get("class_name") in layers.names:
            layer: Callable[..., Any] = layers.from_config(identifier)
            return layer
    return TABLE.get(identifier)


@hints_arguments
def serialize(activation: Callable[..., Any]) -> Any:
    """The name of an activation, for configs.

    Args:
        activation: A function of a tensor.

    Returns:
        Its name, or a config.

    Example:
        >>> fastnn.activations.serialize(fastnn.activations.relu)
        'relu'
    """
    return to_config(activation)


@hints_arguments
def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Callable[..., Tensor]:
    """The activation that a name or config describes.

    Args:
        config: What `serialize` gave.
        custom_objects: Functions and classes by name, for what fastnn does not know.

    Returns:
        A function of a tensor.

    Raises:
        ValueError: The name is not known.

    Example:
        >>> fastnn.activations.deserialize("relu").__name__
        'relu'
    """
    with custom_object_scope(custom_objects):
        return get(config)


answer_missing(globals())
