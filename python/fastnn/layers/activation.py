"""Activations with settings, as layers. Depends on `base`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastnn import activations, constraints, initializers, ops, regularizers
from fastnn._core import Tensor
from fastnn.base.messages import warn_of_one_unit
from fastnn.base.typing import Identifier, Shape, TensorLike
from fastnn.errors import ShapeError
from fastnn.layers.base.axes import check_axes, sizes_along, spread_along
from fastnn.layers.base.input_spec import InputSpec
from fastnn.layers.base.layer import Layer
from fastnn.tracing.variables import Variable

__all__ = ["ELU", "LeakyReLU", "PReLU", "ReLU", "Snake", "Softmax"]


class _Elementwise(Layer):
    """A layer of an elementwise function."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self._build_at_init()

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The input's shape."""
        return tuple(input_shape)


class ReLU(_Elementwise):
    """max(x, 0), with a slope below the threshold and a ceiling if asked.

    Shapes: the output has the input's.

    Args:
        max_value: The largest output; None: no ceiling.
        negative_slope: The slope below the threshold, at least 0.
        threshold: The value from which on the input passes, at least 0.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: A setting is negative.

    Example:
        >>> fastnn.layers.ReLU(max_value=6.0)(np.array([-1.0, 2.0, 9.0])).numpy()
        array([0., 2., 6.], dtype=float32)
    """

    max_value: float | None
    negative_slope: float

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, value in (("max_value", max_value), ("negative_slope", negative_slope),
                            ("threshold", threshold)):  # fmt: skip
            if (value is None and name != "max_value") or (value is not None and value < 0):
                wrong = "a negative value" if name == "max_value" else "None or a negative value"
                raise ValueError(
                    f"{name} of a ReLU layer cannot be {wrong}. Received: {name}={value}\n"
                    f"  hint: {name}=0.0"
                )
        self.max_value, self.negative_slope = max_value, negative_slope
        self.threshold = threshold

    def call(self, inputs: TensorLike) -> Tensor:
        """activations.relu with the settings."""
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)


class LeakyReLU(_Elementwise):
    """`x` where positive, negative_slope * x elsewhere.

    Shapes: the output has the input's.

    Args:
        negative_slope: The slope for negative inputs, at least 0.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: The slope is None or negative.

    Example:
        >>> fastnn.layers.LeakyReLU(0.1)(np.array([-1.0, 2.0])).numpy()
        array([-0.1,  2. ], dtype=float32)
    """

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        if "alpha" in kwargs:
            negative_slope = kwargs.pop("alpha")
        super().__init__(**kwargs)
        if negative_slope is None or negative_slope < 0:
            raise ValueError(
                "The negative_slope value of a Leaky ReLU layer cannot be None or negative value. "
                f"Received: negative_slope={negative_slope}\n  hint: negative_slope=0.3"
            )
        self.negative_slope = negative_slope

    def call(self, inputs: TensorLike) -> Tensor:
        """activations.leaky_relu with the slope."""
        return activations.leaky_relu(inputs, self.negative_slope)


class ELU(_Elementwise):
    """`x` where positive, alpha * (e^x - 1) elsewhere.

    Shapes: the output has the input's. Source: Clevert et al. 2016.

    Args:
        alpha: The value that very negative inputs approach, negated.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.ELU()(np.array([-1.0, 2.0])).numpy().round(4)
        array([-0.6321,  2.    ], dtype=float32)
    """

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = alpha

    def call(self, inputs: TensorLike) -> Tensor:
        """activations.elu with alpha."""
        return activations.elu(inputs, self.alpha)


class PReLU(Layer):
    """`x` where positive, alpha * x elsewhere, with a learned slope for each element.

    Shapes: the output has the input's; `alpha` has a sample's, with size 1 along shared axes.
    Source: He et al. 2015.

    Args:
        alpha_initializer: First values of the slopes.
        alpha_regularizer: Penalty on the slopes, added to the loss.
        alpha_constraint: What the slopes are brought back to after each step.
        shared_axes: Axes, counted from 1, along which elements share a slope.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: `shared_axes` has another thing than whole numbers from 1.

    Example:
        >>> fastnn.layers.PReLU("ones")(np.array([[-1.0, 2.0]])).numpy()
        array([[-1.,  2.]], dtype=float32)
    """

    alpha_initializer: Any
    alpha_regularizer: Any
    alpha_constraint: Any
    shared_axes: list[int] | None
    alpha: Any
    input_spec: Any

    def __init__(
        self,
        alpha_initializer: Identifier = "Zeros",
        alpha_regularizer: Identifier = None,
        alpha_constraint: Identifier = None,
        shared_axes: int | Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        self.shared_axes = (
            None if shared_axes is None
            else [shared_axes] if isinstance(shared_axes, int) else list(shared_axes)
        )  # fmt: skip
        if any(isinstance(a, bool) or not isinstance(a, int) or a < 1
               for a in self.shared_axes or ()):  # fmt: skip
            raise ValueError(
                f"PReLU: shared_axes is {shared_axes!r}, wanted whole numbers from 1, the first "
                "axis after the samples\n  hint: shared_axes=[1, 2] for images (rows, columns, "
                "channels)"
            )
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        """alpha, of size 1 along shared axes."""
        sizes = list(input_shape[1:])
        check_axes(self.shared_axes or (), len(input_shape), f"PReLU {self.name!r}: shared_axes")
        for axis in self.shared_axes or ():
            sizes[axis - 1] = 1
        self.alpha = self.add_weight(
            sizes,
            self.alpha_initializer,
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
            name="alpha",
        )
        self.input_spec = InputSpec(ndim=len(input_shape))
        self.built = True

    def call(self, inputs: Tensor) -> Any:
        """relu(x) - alpha relu(-x)."""
        x = ops.convert_to_tensor(inputs, "float32")
        return ops.relu(x) - self.alpha * ops.relu(-x)


class Snake(Layer):
    """`x` + sin(alpha x)^2 / alpha with a learned frequency for each feature.

    For data with periods: the network goes on with them beyond the data it was trained on. A
    frequency of 0 gives `x`, so nothing is divided by zero.
    Shapes: the output has the input's; `alpha` has the size of `axis`. Source: Ziyin et al. 2020.

    Args:
        alpha_initializer: First values of the frequencies; around 10 for data of short periods.
        alpha_regularizer: Penalty on the frequencies, added to the loss.
        alpha_constraint: What the frequencies are brought back to after each step.
        axis: The axis of the features, each of which has its own frequency.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: `axis` is not a whole number, or is the axis of the samples.

    Example:
        >>> fastnn.layers.Snake()(np.array([[0.0, np.pi / 2]])).numpy().round(4)
        array([[0.    , 2.5708]], dtype=float32)
    """

    alpha_initializer: Callable[..., Any]
    alpha_regularizer: Callable[..., Any] | None
    alpha_constraint: Callable[..., Any] | None
    axis: int
    alpha: Variable
    input_spec: Any

    def __init__(
        self,
        alpha_initializer: Identifier = "ones",
        alpha_regularizer: Identifier = None,
        alpha_constraint: Identifier = "non_neg",
        axis: int = -1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(axis, bool) or not isinstance(axis, int) or axis == 0:
            raise ValueError(
                f"Snake: axis is {axis!r}, wanted a whole number other than 0, which is the axis "
                "of the samples\n  hint: axis=-1"
            )
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        self.axis = axis
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        """alpha, of the size of the axis."""
        (size,) = sizes_along(input_shape, [self.axis], f"Snake {self.name!r}")
        self.alpha = self.add_weight(
            (size,),
            self.alpha_initializer,
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
            name="alpha",
        )
        self.input_spec = InputSpec(min_ndim=2, axes={self.axis: size})
        self.built = True

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The input's shape."""
        return tuple(input_shape)

    def call(self, inputs: TensorLike) -> Tensor:
        """ops.snake with the frequencies along the axis."""
        x = ops.convert_to_tensor(inputs, "float32")
        return ops.snake(x, spread_along(self.alpha, x.shape, [self.axis]))


class Softmax(_Elementwise):
    """e^x over the sum along some axes: positive numbers that add up to 1.

    Shapes: the output has the input's. A `mask` given to the call sets the other positions to zero.

    Args:
        axis: The axis or axes whose values add up to 1; None: all of them, the batch included.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.Softmax()(np.array([[0.0, 0.0, np.log(2.0)]])).numpy()
        array([[0.25, 0.25, 0.5 ]], dtype=float32)
    """

    def __init__(self, axis: int | Sequence[int] | None = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis: Any = list(axis) if isinstance(axis, list | tuple) else axis

    def call(self, inputs: Tensor, mask: TensorLike = None) -> Tensor:
        """Probabilities."""
        x = ops.convert_to_tensor(inputs, "float32")
        if isinstance(self.axis, int) and -len(x.shape) <= self.axis < len(x.shape):
            warn_of_one_unit(f"Softmax {self.name!r}", x.shape[self.axis])
        if mask is None:
            return activations.softmax(x, self.axis)
        mask = ops.cast(mask, "bool")
        _check_mask(tuple(x.shape), tuple(mask.shape))
        x = ops.where(mask, x, -3.0e38)
        return ops.where(mask, activations.softmax(x, self.axis), 0.0)


def _check_mask(shape: tuple[Any, ...], mask: tuple[Any, ...]) -> None:
    ends = zip(mask[::-1], shape[::-1], strict=False)
    if len(mask) > len(shape):
        rule = "and must not have more dimensions"
    elif any(m not in (1, None) and n is not None and m != n for m, n in ends):
        rule = "each mask dimension must be 1 or match the corresponding input dimension"
    else:
        return
    raise ShapeError(
        f"The `mask` must be broadcastable to `inputs`, {rule}. Received: inputs.shape={shape}, "
        f"mask.shape={mask}\n  hint: one entry per input"
    )
