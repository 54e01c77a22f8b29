"""Dense and the small layers around it. Depends on `base`."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable
from typing import Any, Self

from fastnn import activations, constraints, initializers, ops, regularizers
from fastnn._core import Tensor
from fastnn.base.arguments import positive_size
from fastnn.base.finder import answer_earlier
from fastnn.base.messages import warn_of_one_unit
from fastnn.base.typing import Identifier, Shape, TensorLike
from fastnn.errors import DataError, ShapeError
from fastnn.layers.base.input_spec import InputSpec
from fastnn.layers.base.layer import Layer
from fastnn.layers.base.low_rank import Adapted, LowRank
from fastnn.serialization.custom_objects import custom_object_scope
from fastnn.serialization.encoding import function_config, function_of, to_config
from fastnn.serialization.keras_config import deserialize
from fastnn.tracing.stored import StoredVariable

__all__ = ["Activation", "Dense", "Identity", "Lambda", "Masking", "Wrapper"]

answer_earlier(globals())


class Dense(LowRank):
    """A fully connected layer: `activation(x @ kernel + bias)` over the last axis.

    Shapes: (…, features) -> (…, units). Weights: `kernel` (features, units) and `bias` (units,),
    made when the number of features is known.

    Args:
        units: The number of outputs, a whole number above 0.
        activation: A function, or its name such as `"relu"`; None leaves the sums as they are.
        use_bias: Whether a bias is added.
        kernel_initializer: First values of the kernel: a name, a config or an `Initializer`.
        bias_initializer: First values of the bias.
        kernel_regularizer: Penalty on the kernel, added to the loss: a name or a `Regularizer`.
        bias_regularizer: Penalty on the bias, added to the loss.
        activity_regularizer: Penalty on the output, added to the loss.
        kernel_constraint: What the kernel is brought back to after each step: a `Constraint`.
        bias_constraint: What the bias is brought back to after each step.
        lora_rank: The rank of a trained change of a frozen kernel (`enable_lora`); None for none.
        lora_alpha: The change is multiplied by `lora_alpha / lora_rank`; None for `lora_rank`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: `units` is not a positive whole number, or a name is not known.
        ShapeError: The input has another number of features than the layer was built for.

    Example:
        >>> layer = fastnn.layers.Dense(3, activation="relu", kernel_initializer="ones")
        >>> layer(np.array([[1.0, 2.0], [-1.0, -2.0]])).numpy()
        array([[3., 3., 3.],
               [0., 0., 0.]], dtype=float32)
        >>> [w.shape for w in layer.weights]
        [(2, 3), (3,)]
    """

    units: int
    kernel_initializer: Any
    bias_initializer: Any
    kernel_regularizer: Any
    bias_regularizer: Any
    kernel_constraint: Any
    bias_constraint: Any
    bias: Any
    input_spec: Any
    activation: Callable[..., Tensor]
    _adapted = "kernel"
    kernel: Adapted = Adapted("kernel")

    def __init__(
        self,
        units: int,
        activation: Identifier = None,
        use_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier = None,
        bias_regularizer: Identifier = None,
        activity_regularizer: Identifier = None,
        kernel_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self._take_rank(lora_rank, lora_alpha)
        self.units = positive_size("units", units, f"Dense {self.name!r}")
        self.activation = activations.get(activation)
        if self.activation is activations.softmax:
            warn_of_one_unit(f"Dense {self.name!r}", self.units)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.input_spec = InputSpec(min_ndim=2)
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        """Kernel (in, units) and bias (units,)."""
        if input_shape[-1] is None:
            raise ShapeError(
                f"The last dimension of the inputs to a Dense layer should be defined. Layer "
                f"{self.name!r} found None: shape {tuple(input_shape)}\n"
                "  hint: give the number of features in Input(shape=...), or reduce that axis first"
            )
        self.kernel = self.add_weight(
            name="kernel",
            shape=(input_shape[-1], self.units),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = (
            self.add_weight(
                name="bias",
                shape=(self.units,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
            if self.use_bias
            else None
        )
        self.input_spec = InputSpec(min_ndim=2, axes={-1: input_shape[-1]})
        self.built = True
        self._adapt_as_given()

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """activation(inputs @ kernel + bias)."""
        kernel = self.__dict__["kernel"]
        if isinstance(kernel, StoredVariable):  # codes are read as they lie in memory
            x = ops.matmul(inputs, kernel.narrow)
            x = x if kernel.scale is None else x * kernel.scale.value
        else:
            x = ops.matmul(inputs, kernel.value)
        if self.lora_enabled:  # the product of the adapters is never made
            a, b = self._adapters
            x = x + ops.matmul(ops.matmul(inputs, a.value), b.value) * self._adapter_scale
        if self.bias is not None:
            x = x + self.bias.value
        return x if self.activation is None else self.activation(x)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(…, units)."""
        return (*tuple(input_shape)[:-1], self.units)


class Activation(Layer):
    """An activation function as a layer.

    Shapes: the output has the input's.

    Args:
        activation: A function of a tensor, or its name such as `"tanh"`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: The name is not known.

    Example:
        >>> fastnn.layers.Activation("relu")(np.array([-1.0, 2.0])).numpy()
        array([0., 2.], dtype=float32)
    """

    activation: Callable[..., Tensor]

    def __init__(self, activation: Identifier, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)
        self.supports_masking = True
        self._build_at_init()

    def call(self, inputs: Tensor) -> Any:
        """activation(inputs)."""
        if self.activation is activations.softmax:
            shape = tuple(ops.convert_to_tensor(inputs).shape)
            warn_of_one_unit(f"Activation {self.name!r}", shape[-1] if shape else None)
        return self.activation(inputs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The input's shape."""
        return tuple(input_shape)


class Identity(Layer):
    """Gives back its input.

    Shapes: the output has the input's.

    Args:
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.Identity()(np.array([1.0, 2.0])).numpy()
        array([1., 2.], dtype=float32)
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self._build_at_init()

    def call(self, inputs: Tensor) -> Tensor:
        """`inputs` themselves."""
        return inputs


class Lambda(Layer):
    """A function as a layer; it gets `mask` and `training` if it has parameters so named.

    A config brings the function along in memory. In a file stands its name alone, so loading needs
    `custom_objects={name: function}`; a lambda has no name and cannot be saved.

    Args:
        function: A function of the inputs, made of `fastnn.ops`.
        output_shape: Not needed: the function is traced. Taken for Keras's sake.
        mask: The mask of the output, or a function that makes it of inputs and mask.
        arguments: Further keyword arguments of the function.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.Lambda(lambda x: x * x)(np.array([2.0, 3.0])).numpy()
        array([4., 9.], dtype=float32)
    """

    arguments: dict[str, Any]
    supports_masking: Any

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: Any = None,
        arguments: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not callable(function):
            raise TypeError(f"Lambda needs a function, got {function!r}\n  hint: lambda x: x * 2")
        self.function = function
        self.arguments = dict(arguments or {})
        self.output_shape_given = output_shape
        self.mask = mask
        try:
            parameters = inspect.signature(function).parameters
        except (TypeError, ValueError):
            parameters = {}  # type: ignore[assignment]
        self._passes = [k for k in ("mask", "training") if k in parameters]
        self.supports_masking = mask is not None
        self._build_at_init()

    def call(self, inputs: Tensor, mask: TensorLike = None, training: bool | None = None) -> Any:
        """function(inputs, **arguments)."""
        given = {"mask": mask, "training": training}
        return self.function(inputs, **{**self.arguments, **{k: given[k] for k in self._passes}})

    def __getstate__(self) -> dict[str, Any]:
        """What a copy takes along; a pickle takes functions that modules define, as always."""
        state = super().__getstate__()
        return state | {"function": _Code(self), "_init_arguments": ((), {})}

    def compute_mask(self, inputs: TensorLike, mask: TensorLike = None) -> TensorLike:
        """The `mask` given: a value or a function of inputs and mask."""
        if callable(self.mask) or self.mask is None:
            return self.mask and self.mask(inputs, mask)
        return ops.convert_to_tensor(self.mask)

    def get_config(self) -> dict[str, Any]:
        """The function by name where it has one, with its arguments."""
        result = {"name": self.name, "trainable": self._trainable, "dtype": "float32"}
        result["function"] = function_config(self.function)
        for name, value in (("output_shape", self.output_shape_given), ("mask", self.mask)):
            if value is not None:
                result[name] = function_config(value) if callable(value) else to_config(value)
        return {**result, "arguments": to_config(self.arguments)}

    @classmethod
    def from_config(
        cls,
        config: dict[str, Any],
        custom_objects: dict[str, Any] | None = None,
        safe_mode: bool | None = None,
    ) -> Self:
        """A new layer; `custom_objects` holds functions by name. No `safe_mode` reads code."""
        config, where = dict(config), f"Lambda layer '{config.get('name')}'"
        with custom_object_scope(custom_objects):
            config["function"] = function_of(config.get("function"), where)
            for key in ("output_shape", "mask"):
                value = config.get(key)
                if isinstance(value, str) or (isinstance(value, dict) and "class_name" in value):
                    config[key] = function_of(value, where)
        return super().from_config(config)


class _Code:
    """The function of a Lambda layer on its way into a copy or a pickle."""

    def __init__(self, layer: Lambda) -> None:
        self.name, self.function = layer.name, layer.function

    def __deepcopy__(self, memo: Any) -> Callable[..., Any]:
        return self.function

    def __reduce__(self) -> tuple[Any, ...]:
        try:
            pickle.dumps(self.function)
        except Exception as error:
            raise pickle.PicklingError(
                f"Lambda layer {self.name!r} holds {self.function!r}, which pickle cannot write: "
                f"{error}\n  hint: a function that a module defines, or a Layer subclass"
            ) from error
        return _same, (self.function,)


def _same(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


class Masking(Layer):
    """Marks the steps whose features all equal a value; later layers and the loss leave them out.

    Shapes: (n, steps, features) -> the same, with marked steps set to zero.

    Args:
        mask_value: The value that marks a step.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> layer = fastnn.layers.Masking(-1.0)
        >>> layer(np.array([[[1.0, 2.0], [-1.0, -1.0]]])).numpy()
        array([[[ 1.,  2.],
                [-0., -0.]]], dtype=float32)
    """

    def __init__(self, mask_value: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mask_value = mask_value
        self.supports_masking = True
        self._build_at_init()

    def compute_mask(self, inputs: TensorLike, mask: TensorLike = None) -> TensorLike:
        """True where some feature differs from the mask value."""
        return ops.any(ops.not_equal(inputs, self.mask_value), axis=-1)

    def _mask_sources(self, inputs: TensorLike, masks: TensorLike) -> Any:
        return ((inputs,),)

    def call(self, inputs: Tensor) -> Tensor:
        """The inputs, zero at masked steps."""
        keep = ops.any(ops.not_equal(inputs, self.mask_value), axis=-1, keepdims=True)
        return inputs * ops.cast(keep, "float32")


class Wrapper(Layer):
    """A layer around another layer, as a base for layers of one's own.

    Weights and losses of the inner layer count as this layer's.

    Args:
        layer: The layer inside.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        DataError: `layer` is no layer.

    Example:
        >>> fastnn.layers.Wrapper(fastnn.layers.Dense(2, name="inner"), name="outer").layer.name
        'inner'
    """

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        if not isinstance(layer, Layer):
            raise DataError(
                f"Layer {layer!r} supplied to {type(self).__name__} isn't a supported layer type. "
                "Please ensure wrapped layer is a valid Keras layer.\n  hint: layers.Dense(8)"
            )
        super().__init__(**kwargs)
        self.layer = layer

    def build(self, input_shape: Shape) -> None:
        """Builds the inner layer."""
        if not self.layer.built:
            self.layer.build(input_shape)
            self.layer.built = True
        self.built = True

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A wrapper and its inner layer."""
        config = dict(config)
        return cls(deserialize(config.pop("layer")), **config)
