"""Activation functions under Keras's names and defaults, and the table of their names.

Depends on `ops`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastnn import _core
from fastnn.base.arguments import as_number
from fastnn.ops import abs as _abs, cast, convert_to_tensor
from fastnn.serialization.registry import Table, plain, table
from fastnn.tracing.known_ops import enter_ops
from fastnn.tracing.symbolic import keras_op

_c = _core.ops


@keras_op
def linear(x: Any) -> Any:
    """`x` itself."""
    return x


@keras_op
def relu(
    x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Any:
    """max(x, 0); with a slope below the threshold and a ceiling if asked."""
    if negative_slope == 0.0 and max_value is None and threshold == 0.0:
        return _c.relu(x)
    x = convert_to_tensor(x, "float32")
    above = _c.where(x > float(threshold), x, 0.0) if threshold else _c.relu(x)
    if max_value is not None:
        above = _c.minimum(_c.maximum(above, 0.0), float(max_value))
    return above - negative_slope * _c.relu(threshold - x) if negative_slope else above


@keras_op
def relu6(x: Any) -> Any:
    """min(max(x, 0), 6)."""
    return _c.relu6(x)


@keras_op
def leaky_relu(x: Any, negative_slope: float = 0.2) -> Any:
    """`x` where positive, negative_slope * x elsewhere."""
    return _c.leaky_relu(x, negative_slope=negative_slope)


@keras_op
def elu(x: Any, alpha: float = 1.0) -> Any:
    """`x` where positive, alpha (e^x - 1) elsewhere."""
    return _c.elu(x, alpha=alpha)


@keras_op
def selu(x: Any) -> Any:
    """Scaled elu with the self-normalising constants (Klambauer et al. 2017)."""
    return _c.selu(x)


@keras_op
def celu(x: Any, alpha: float = 1.0) -> Any:
    """max(x, 0) + min(0, alpha (e^(x/alpha) - 1))."""
    return _c.celu(x, alpha=alpha)


@keras_op
def gelu(x: Any, approximate: bool = False) -> Any:
    """X Φ(x), exact by default; by tanh when approximate."""
    return _c.gelu(x, approximate=approximate)


@keras_op
def sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x)."""
    return _c.sigmoid(x)


@keras_op
def hard_sigmoid(x: Any) -> Any:
    """x/6 + 1/2 cut to [0, 1]."""
    return _c.hard_sigmoid(x)


@keras_op
def tanh(x: Any) -> Any:
    """Hyperbolic tangent."""
    return _c.tanh(x)


@keras_op
def hard_tanh(x: Any) -> Any:
    """`x` cut to [-1, 1]."""
    return _c.hard_tanh(x)


@keras_op
def softmax(x: Any, axis: int | Sequence[int] = -1) -> Any:
    """e^x divided by its sum over `axis`, or over several axes together."""
    axis = as_number(axis)
    if isinstance(axis, int):
        return _c.softmax(x, axis=axis)
    return _c.exp(log_softmax(x, axis))


@keras_op
def log_softmax(x: Any, axis: int | Sequence[int] = -1) -> Any:
    """Logarithm of softmax over `axis`, or over several axes together."""
    axis = as_number(axis)
    if isinstance(axis, int):
        return _c.log_softmax(x, axis=axis)
    return x - _c.logsumexp(x, axis=list(axis), keepdims=True)


@keras_op
def softplus(x: Any) -> Any:
    """log(1 + e^x)."""
    return _c.softplus(x)


@keras_op
def softsign(x: Any) -> Any:
    """X / (1 + |x|)."""
    return _c.softsign(x)


@keras_op
def silu(x: Any) -> Any:
    """X sigmoid(x)."""
    return _c.silu(x)


swish = silu


@keras_op
def hard_silu(x: Any) -> Any:
    """X hard_sigmoid(x)."""
    return _c.hard_silu(x)


hard_swish = hard_silu


@keras_op
def mish(x: Any) -> Any:
    """X tanh(softplus(x))."""
    return _c.mish(x)


@keras_op
def exponential(x: Any) -> Any:
    """e^x."""
    return _c.exp(x)


@keras_op
def log_sigmoid(x: Any) -> Any:
    """Logarithm of sigmoid, without overflow."""
    return _c.log_sigmoid(x)


@keras_op
def glu(x: Any, axis: int = -1) -> Any:
    """First half times the sigmoid of the second half, along `axis`."""
    from fastnn.ops import split

    a, b = split(x, 2, axis)
    return a * _c.sigmoid(b)


@keras_op
def squareplus(x: Any, b: float = 4) -> Any:
    """(x + sqrt(x² + b)) / 2."""
    x = convert_to_tensor(x, "float32")
    return 0.5 * (x + _c.sqrt(x * x + b))


@keras_op
def threshold(x: Any, threshold: float, default_value: float) -> Any:
    """`x` where above the threshold, `default_value` elsewhere."""
    x = convert_to_tensor(x, "float32")
    return _c.where(x > float(threshold), x, float(default_value))


@keras_op
def tanh_shrink(x: Any) -> Any:
    """X - tanh(x)."""
    return _c.tanh_shrink(x)


@keras_op
def soft_shrink(x: Any, threshold: float = 0.5) -> Any:
    """`x` moved towards zero by the threshold, zero within it."""
    x = convert_to_tensor(x, "float32")
    return _c.sign(x) * _c.maximum(_abs(x) - threshold, 0.0)


@keras_op
def hard_shrink(x: Any, threshold: float = 0.5) -> Any:
    """`x` where |x| is above the threshold, zero within it."""
    x = convert_to_tensor(x, "float32")
    return x * cast(_abs(x) > threshold, "float32")


@keras_op
def sparse_plus(x: Any) -> Any:
    """0 below -1, x above 1, (x + 1)² / 4 between."""
    x = convert_to_tensor(x, "float32")
    middle = 0.25 * (x + 1.0) * (x + 1.0)
    return _c.where(x <= -1.0, 0.0, _c.where(x < 1.0, middle, x))


@keras_op
def sparse_sigmoid(x: Any) -> Any:
    """0 below -1, 1 above 1, (x + 1) / 2 between."""
    return _c.clip(0.5 * (convert_to_tensor(x, "float32") + 1.0), min=0.0, max=1.0)


TABLE = Table(
    "activation",
    [
        linear, relu, relu6, leaky_relu, elu, selu, celu, gelu, sigmoid, hard_sigmoid, tanh,
        hard_tanh, softmax, log_softmax, softplus, softsign, silu, hard_silu, mish, exponential,
        log_sigmoid, glu, squareplus, threshold, tanh_shrink, soft_shrink, hard_shrink,
        sparse_plus, sparse_sigmoid,
    ],
    {"swish": silu, "hard_swish": hard_silu},
)  # fmt: skip
enter_ops("activations", {k: v for k, v in TABLE.names.items() if callable(v)})


def get(identifier: Any) -> Callable[..., Any]:
    """The activation for a name, a function, a layer or None (linear)."""
    if identifier is None:
        return linear
    if isinstance(identifier, dict) and identifier.get("class_name") not in TABLE.names:
        layers = table("layer")
        if identifier.get("class_name") in layers.names:
            layer: Callable[..., Any] = layers.from_config(identifier)
            return layer
    return TABLE.get(identifier)  # type: ignore[no-any-return]


def serialize(activation: Callable[..., Any]) -> Any:
    """The name of an activation."""
    return plain(activation)


def deserialize(config: Any) -> Callable[..., Any]:
    """The activation that a name or config describes."""
    return get(config)
