"""Dense, Embedding and the small layers around them. Depends on `base`."""

from __future__ import annotations

import inspect
import pickle
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnn import activations, constraints, initializers, ops, regularizers
from fastnn._core import Tensor
from fastnn.base.arguments import hints_arguments
from fastnn.base.messages import warn_of_one_unit
from fastnn.config import stored_dtype, unique_name
from fastnn.errors import DataError, ShapeError
from fastnn.layers.base.input_spec import InputSpec
from fastnn.layers.base.layer import Layer
from fastnn.serialization.custom_objects import custom_object_scope
from fastnn.serialization.encoding import function_config, function_of, to_config
from fastnn.serialization.keras_config import deserialize
from fastnn.tracing.stored import StoredVariable
from fastnn.tracing.symbolic import KerasTensor, Node, wrap
from fastnn.tracing.tables import outside_table
from fastnn.tracing.variables import current_scope

__all__ = [
    "Activation", "Dense", "Embedding", "Identity", "Input", "InputLayer", "Lambda", "Masking",
    "Wrapper",
]  # fmt: skip


def positive_size(name: str, value: Any, where: str) -> int:
    """`value` as a whole number above zero; ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value <= 0:
        raise ValueError(
            f"{where}: `{name}` must be a positive integer, a whole number above 0. "
            f"Received: {name}={value!r}\n  hint: {name}=32"
        )
    return int(value)


class InputLayer(Layer):
    """The start of a model: a layer without a call that holds an input's shape and type.

    `Input` makes one and gives its tensor; models list it among their layers.

    Args:
        shape: Sizes of a sample, without the batch.
        batch_size: The size of the batch, where it is fixed.
        dtype: The type of the input: `"float32"`, `"int32"` or `"bool"`.
        sparse: Not supported; None or False.
        ragged: Not supported; None or False.
        batch_shape: All sizes with the batch, instead of `shape`.
        input_tensor: A symbolic tensor to stand for the input.
        optional: Whether the input may be None when the model is called.
        name: The name of the layer; made from the class name when left out.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: There is no shape, or one that is not of whole numbers.

    Example:
        >>> fastnn.layers.InputLayer((4,)).output.shape
        (None, 4)
    """

    batch_shape: tuple[int | None, ...]

    def __init__(
        self,
        shape: Sequence[int | None] | int | None = None,
        batch_size: int | None = None,
        dtype: str | None = None,
        sparse: Any = None,
        ragged: Any = None,
        batch_shape: Sequence[int | None] | None = None,
        input_tensor: KerasTensor | None = None,
        optional: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if "input_shape" in kwargs:
            warnings.warn(
                "Argument `input_shape` is deprecated. Use `shape` instead.", stacklevel=2
            )
            shape = kwargs.pop("input_shape")
        super().__init__(name=name or unique_name("input_layer"), **kwargs)
        for other, value in (("shape", shape), ("batch_size", batch_size)):
            if batch_shape is not None and value is not None:
                raise ValueError(
                    f"You cannot pass both `{other}` and `batch_shape` at the same time.\n"
                    "  hint: batch_shape=(batch, features) alone, or shape=(features,)"
                )
        if input_tensor is not None and not isinstance(input_tensor, KerasTensor):
            raise ValueError(
                f"Argument `input_tensor` must be a KerasTensor. Received: {type(input_tensor)}\n"
                "  hint: give arrays when the model is called"
            )
        if input_tensor is not None:
            given: list[tuple[str, Any, Any]] = [
                ("shape", shape, input_tensor.shape[1:]),
                ("batch_size", batch_size, input_tensor.shape[0]),
                ("batch_shape", batch_shape, input_tensor.shape),
                ("dtype", dtype, input_tensor.dtype),
                ("sparse", sparse, False),
                ("ragged", ragged, False),
            ]
            for other, value, own in given:
                value = tuple(value) if isinstance(value, list) else value
                if value is not None and value != own:
                    raise ValueError(
                        "When providing the `input_tensor` argument, you cannot provide an "
                        f"incompatible `{other}` argument: {value}, the tensor has {own}"
                        "\n  hint: leave it out: the tensor says it"
                    )
            batch_shape, dtype = input_tensor.shape, input_tensor.dtype
        if sparse or ragged:
            raise ValueError(
                f"Input {self.name!r}: `{'sparse' if sparse else 'ragged'}=True` is not supported\n"
                "  hint: give dense arrays, padded with pad_sequences"
            )
        self.sparse = self.ragged = False
        self.optional = optional
        if batch_shape is None:
            if shape is None:
                raise ValueError(
                    f"Input {self.name!r} needs a shape: pass a `shape` argument.\n"
                    "  hint: Input(shape=(features,))"
                )
            if isinstance(shape, int) and batch_size is not None:
                raise ValueError(
                    f"Input {self.name!r}: {shape}, {batch_size} may be the shape of a sample, or "
                    "a size and a batch\n"
                    f"  hint: Input(({shape}, {batch_size})), or Input(({shape},), "
                    f"batch_size={batch_size})"
                )
            sizes = (shape,) if isinstance(shape, int) else tuple(shape)
            batch_shape = (batch_size, *sizes)
        for size in tuple(batch_shape)[1:]:
            if size is not None and (not hasattr(size, "__index__") or size < 0):
                raise ValueError(
                    f"Input {self.name!r}: size {size!r} in shape {tuple(batch_shape)} "
                    "is not a whole number\n  hint: Input(shape=(features,)), without the batch"
                )
        self.batch_shape = tuple(None if d is None else int(d) for d in batch_shape)
        self._input_dtype = stored_dtype(dtype or "float32")
        self.built = True
        node = Node(self, (), {})
        if input_tensor is not None and input_tensor.node is None:
            output = input_tensor
        else:
            output = KerasTensor(self.batch_shape, dtype=self._input_dtype, name=self.name)
        wrap(output, node, self.name)
        self._nodes.append(node)

    @property
    def dtype(self) -> str:
        """The type of the input."""
        return self._input_dtype

    def __getstate__(self) -> dict[str, Any]:
        """What a copy takes along; the symbolic output is made anew."""
        return super().__getstate__() | {"_init_arguments": ((), {})}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Takes what `__getstate__` gave and makes the output."""
        super().__setstate__(state)
        node = Node(self, (), {})
        wrap(KerasTensor(self.batch_shape, self._input_dtype, name=self.name), node, self.name)
        self._nodes.append(node)

    def call(self) -> Any:
        """Nothing: an input layer is not called, its output is the start of a model."""
        return None

    def get_config(self) -> dict[str, Any]:
        """Shape with batch, type and name."""
        config = {
            "batch_shape": list(self.batch_shape),
            "dtype": self._input_dtype,
            "name": self.name,
        }
        return {**config, "optional": True} if self.optional else config


@hints_arguments
def Input(
    shape: Sequence[int | None] | int | None = None,
    batch_size: int | None = None,
    dtype: str | None = None,
    sparse: Any = None,
    batch_shape: Sequence[int | None] | None = None,
    name: str | None = None,
    tensor: KerasTensor | None = None,
    optional: bool = False,
) -> Any:
    """The symbolic input of a functional model, or the first entry of a `Sequential`.

    Args:
        shape: Sizes of a sample, without the batch. A size that is None takes any size, batch by
            batch; weights must not depend on it.
        batch_size: The size of the batch, where it is fixed.
        dtype: `"float32"` (default), `"int32"` or `"bool"`.
        sparse: Not supported; None or False.
        batch_shape: All sizes with the batch, instead of `shape`.
        name: The name of the layer; made from the class name when left out.
        tensor: A symbolic tensor to stand for the input.
        optional: Whether the input may be None when the model is called.

    Returns:
        A `KerasTensor` to call layers with.

    Raises:
        ValueError: There is no shape, or one that is not of whole numbers.

    Example:
        >>> x = fastnn.Input((4,))
        >>> model = fastnn.Model(x, fastnn.layers.Dense(2)(x))
        >>> x.shape, model.output_shape
        ((None, 4), (None, 2))
    """
    layer = InputLayer(
        shape,
        batch_size,
        dtype,
        sparse=sparse,
        batch_shape=batch_shape,
        input_tensor=tensor,
        optional=optional,
        name=name,
    )
    return layer.output


class Dense(Layer):
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
    kernel: Any
    bias: Any

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
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

    def build(self, input_shape: Any) -> None:
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

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """activation(inputs @ kernel + bias)."""
        kernel = self.kernel
        if isinstance(kernel, StoredVariable):  # codes are read as they lie in memory
            x = ops.matmul(inputs, kernel.narrow)
            x = x if kernel.scale is None else x * kernel.scale.value
        else:
            x = ops.matmul(inputs, kernel.value)
        if self.bias is not None:
            x = x + self.bias.value
        return x if self.activation is None else self.activation(x)

    def compute_output_shape(self, input_shape: Any) -> Any:
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

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)
        self.supports_masking = True
        self._build_at_init()

    def call(self, inputs: Any) -> Any:
        """activation(inputs)."""
        if self.activation is activations.softmax:
            shape = tuple(ops.convert_to_tensor(inputs).shape)
            warn_of_one_unit(f"Activation {self.name!r}", shape[-1] if shape else None)
        return self.activation(inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
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

    def call(self, inputs: Any) -> Any:
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

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        """function(inputs, **arguments)."""
        given = {"mask": mask, "training": training}
        return self.function(inputs, **{**self.arguments, **{k: given[k] for k in self._passes}})

    def __getstate__(self) -> dict[str, Any]:
        """What a copy takes along; a pickle takes functions that modules define, as always."""
        state = super().__getstate__()
        return state | {"function": _Code(self), "_init_arguments": ((), {})}

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The `mask` given: a value or a function of inputs and mask."""
        if callable(self.mask) or self.mask is None:
            return self.mask and self.mask(inputs, previous_mask)
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
    ) -> Any:
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


class Embedding(Layer):
    """Looks rows of a learned table up by whole numbers.

    Shapes: (…) of int32 -> (…, output_dim). Weight: `embeddings` (input_dim, output_dim).

    Args:
        input_dim: The number of rows: the largest number that may come, plus 1.
        output_dim: The length of a row.
        embeddings_initializer: First values of the table.
        embeddings_regularizer: Penalty on the table, added to the loss.
        embeddings_constraint: What the table is brought back to after each step.
        mask_zero: Whether the number 0 marks padding, which later layers and the loss leave out.
        weights: First values of the table as an array (input_dim, output_dim), or a list that holds
            it.
        lora_rank: Not supported; None.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        DataError: A number lies outside 0 to input_dim - 1.

    Example:
        >>> layer = fastnn.layers.Embedding(3, 2, weights=np.array([[0.0, 0], [1, 1], [2, 2]]))
        >>> layer(np.array([[2, 0]])).numpy()
        array([[[2., 2.],
                [0., 0.]]], dtype=float32)
    """

    input_dim: int
    output_dim: int
    embeddings_initializer: Any
    embeddings_regularizer: Any
    embeddings_constraint: Any
    embeddings: Any

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        lora_rank: None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("input_length", None)
        super().__init__(**kwargs)
        self.input_dim = positive_size("input_dim", input_dim, f"Embedding {self.name!r}")
        self.output_dim = positive_size("output_dim", output_dim, f"Embedding {self.name!r}")
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)
        self.mask_zero = mask_zero
        self.supports_masking = mask_zero
        self._first_weights = weights
        if weights is not None:
            self.build(None)

    def build(self, input_shape: Any = None) -> None:
        """Embeddings (input_dim, output_dim)."""
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.input_dim, self.output_dim),
            initializer=self.embeddings_initializer,
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
        )
        if self._first_weights is not None:
            first = self._first_weights
            self.embeddings.assign(first[0] if isinstance(first, list) else first)
        self.built = True

    def call(self, inputs: Any) -> Any:
        """embeddings[inputs]; a number outside the table is a DataError when the step runs."""
        ids = ops.cast(inputs, "int32")
        if isinstance(ids, Tensor) and not ids.is_traced:
            self._check(ids.numpy())
        elif (scope := current_scope()) is not None:
            scope.note_table(self.name, self.input_dim)
        # Rows are not counted from the end: what is negative is put outside the table.
        ids = ops.where(ids < 0, ids - self.input_dim, ids)
        return ops.take(self.embeddings.value, ids, axis=0)

    def _check(self, ids: np.ndarray[Any, Any]) -> None:
        outside = (ids < 0) | (ids >= self.input_dim)
        if outside.any():
            place = tuple(int(i) for i in np.argwhere(outside)[0])
            raise outside_table(self.name, int(ids[place]), place, self.input_dim)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """True where the number is not 0, with mask_zero."""
        return ops.cast(inputs, "int32") != 0 if self.mask_zero else None

    def get_config(self) -> dict[str, Any]:
        """Without first weights."""
        result = super().get_config()
        result.pop("weights", None)
        result.pop("lora_rank", None)
        return result


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

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """True where some feature differs from the mask value."""
        return ops.any(ops.not_equal(inputs, self.mask_value), axis=-1)

    def call(self, inputs: Any) -> Any:
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

    def build(self, input_shape: Any) -> None:
        """Builds the inner layer."""
        if not self.layer.built:
            self.layer.build(input_shape)
            self.layer.built = True
        self.built = True

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A wrapper and its inner layer."""
        config = dict(config)
        return cls(deserialize(config.pop("layer")), **config)
