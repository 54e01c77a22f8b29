"""`Layer`: weights, sublayers and `call`, traced when used inside a model, run at once on arrays.

A layer never runs per batch: `fit` and `predict` trace it once. Behaviour follows
`keras.layers.Layer`. What it holds is in `module`, how it is called in `call` and `symbolic_call`,
what it was made of in `config`, what it demands of inputs in `input_spec`.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Self

from fastnn import config, regularizers
from fastnn._core import Tensor
from fastnn.base import tree
from fastnn.base.arguments import (
    as_number,
    missing_argument,
    refuse_unknown,
    takes_numbers,
)
from fastnn.base.typing import DTypeLike, Identifier, Shape, TensorLike
from fastnn.dtype_policies import DTypePolicy, computing_dtype, policy_name
from fastnn.errors import ConfigError, FastnnError, reject_arguments
from fastnn.layers.base.call import (
    as_called,
    as_tensors,
    build_for_call,
    in_its_name,
    needs_inputs,
    noted,
    run,
    set_policy,
    shapes_of,
)
from fastnn.layers.base.config import (
    accepted,
    batch_size_of,
    config_of,
    constructor,
    input_shape_of,
    required,
)
from fastnn.layers.base.module import Module, default, overrides
from fastnn.layers.base.symbolic_call import call_symbolic, trace_shapes
from fastnn.serialization.encoding import to_config
from fastnn.serialization.keras_config import build_for
from fastnn.tracing.symbolic import Node, is_symbolic
from fastnn.tracing.variables import Scope, Variable, current_scope, touch

__all__ = ["Layer"]

#: What a call takes besides the parameters of `call`.
_OF_CALLS = ("training",)


def _is_ours(cls: type) -> bool:
    return cls.__module__.startswith("fastnn.")


class Layer(Module):
    """A function with weights: the base of all layers.

    Subclasses define `call(inputs, …)`, and `build(input_shape)` where weights are added with
    `add_weight`. A `call` with a parameter `training` or `mask` is given it. The config is read
    from the signature of `__init__`, so arguments are kept under their names.

    Args:
        name: The name of the layer, unique in a model; made from the class name when left out.
        trainable: Whether training changes the weights.
        dtype: `"float32"`, or a policy such as `"mixed_bfloat16"`, under which products may round
            their operands; None: the policy that is set.
        activity_regularizer: Penalty on the output, added to the loss.
        input_shape: Sizes of the input without the batch, for the first layer of a `Sequential`.

    Example:
        >>> class Scale(fastnn.layers.Layer):
        ...     def build(self, input_shape):
        ...         self.factor = self.add_weight((input_shape[-1],), "ones", name="factor")
        ...     def call(self, inputs):
        ...         return inputs * self.factor
        >>> layer = Scale()
        >>> layer(np.array([[1.0, 2.0]])).numpy()
        array([[1., 2.]], dtype=float32)
        >>> layer.count_params()
        2
    """

    name: str
    built: bool
    activity_regularizer: Any
    supports_masking: bool

    #: What files do with it if it is a model: "functional", "sequential" or "subclassed".
    model_kind: str | None = None
    #: Whether it takes symbolic tensors of text.
    reads_text = False
    _init_arguments: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})
    #: The policy by name.
    _policy = "float32"
    #: Whether the policy counts for products in `call`; False where they must be exact.
    _rounds_products = True

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Remembers the arguments for the config."""
        needed = required(cls) if args or kwargs else ()  # copies come without arguments
        missing = [n for i, n in enumerate(needed) if i >= len(args) and n not in kwargs]
        if missing:
            raise missing_argument(cls.__name__, missing[0], constructor(cls), kwargs)
        layer = super().__new__(cls)
        if _is_ours(cls):
            args, kwargs = as_number(args), {k: as_number(v) for k, v in kwargs.items()}
        object.__setattr__(layer, "_init_arguments", (args, kwargs))
        return layer

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        takes_numbers(cls)
        own = cls.__dict__.get("build")
        if not inspect.isfunction(own):
            return
        if cls.model_kind is None:
            own = noted(own)
        cls.build = in_its_name(own)  # type: ignore[method-assign]

    def __init__(
        self,
        *,
        activity_regularizer: Identifier = None,
        trainable: bool = True,
        dtype: DTypeLike = None,
        autocast: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        computing_dtype(dtype, type(self).__name__)
        self._policy = set_policy() if dtype is None else policy_name(dtype)
        batch = batch_size_of(kwargs)
        given = input_shape_of(kwargs)
        if kwargs:
            raise reject_arguments(type(self).__name__, kwargs, constructor(type(self)))
        if name is not None and not isinstance(name, str):
            raise ValueError(f"name is {name!r}, wanted text\n  hint: name='hidden'")
        self.name = name or config.unique_name(config.snake_case(type(self).__name__))
        self._trainable = bool(trainable)
        self.built = False
        self._build_config: dict[str, Any] | None = None
        # A layer that says what becomes of masks is one that they go through.
        self.supports_masking = overrides(self, "compute_mask")
        self.input_spec: Any = None
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self._variables: list[Variable] = []
        self._losses: list[Any] = []
        self._given_input_shape = given
        self._given_batch_size = batch
        self._call_nodes: list[Node] = []

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle takes along: all but the calls in graphs of other layers."""
        return {**self.__dict__, "_call_nodes": []}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restores what `__getstate__` gave."""
        self.__dict__.update({"_call_nodes": []} | state)
        touch()

    @property
    def dtype(self) -> str:
        """The type of the weights."""
        return "float32"

    @property
    def path(self) -> str | None:
        """The layer's name after those of the layers around it; None before it is built."""
        return self.__dict__.get("_built_path")

    @property
    def compute_dtype(self) -> str:
        """The type that the layer computes in."""
        return "float32"

    @property
    def variable_dtype(self) -> str:
        """The type that the layer's weights are stored in."""
        return "float32"

    @property
    def dtype_policy(self) -> DTypePolicy:
        """The policy that the layer was made under, or was given as `dtype`."""
        return DTypePolicy(self._policy)

    @dtype_policy.setter
    def dtype_policy(self, policy: Any) -> None:
        computing_dtype(policy, type(self).__name__)
        self._policy = policy_name(policy)

    @property
    def input_dtype(self) -> str:
        """The type that inputs are brought to."""
        return self.compute_dtype

    # ---- losses ------------------------------------------------------------------------------

    def add_loss(self, loss: Any) -> None:
        """Adds a number to the loss that `fit` minimises; used inside `call`.

        Args:
            loss: A tensor; its elements are summed.

        Example:
            >>> class Quiet(fastnn.layers.Layer):
            ...     def call(self, inputs):
            ...         self.add_loss(0.1 * fastnn.ops.mean(fastnn.ops.square(inputs)))
            ...         return inputs
            >>> layer = Quiet()
            >>> y = layer(np.ones((1, 2)))
            >>> len(layer.losses)
            1
        """
        scope = current_scope()
        for x in tree.flatten(loss):
            if scope is None or scope.eager:
                self._losses.append(x)
            else:
                scope.losses.append((self, x))

    @property
    def losses(self) -> list[Any]:
        """Losses added in the last call, and the penalties of regularised weights."""
        scope, layers = current_scope(), self._every_layer()
        if scope is None or scope.eager:
            return [x for layer in layers for x in layer._losses] + self._penalties()
        own = set(map(id, layers))
        return [x for layer, x in scope.losses if id(layer) in own] + self._penalties()

    def stateless_call(
        self,
        trainable_variables: Sequence[Any],
        non_trainable_variables: Sequence[Any],
        *args: Any,
        return_losses: bool = False,
        **kwargs: Any,
    ) -> Any:
        """The call with these values of the variables; the stored ones stay.

        Args:
            trainable_variables: A value for each of `trainable_variables`.
            non_trainable_variables: A value for each of `non_trainable_variables`.
            *args: What the layer is called with.
            return_losses: Whether the losses that the call adds are given as well.
            **kwargs: `training` and what else the call takes.

        Returns:
            The outputs and a list of the new values of `non_trainable_variables`; and a list of
            losses with `return_losses`.

        Raises:
            ValueError: The layer is not built, or there are more or fewer values than variables.

        Example:
            >>> layer = fastnn.layers.Dense(1)
            >>> layer.build((None, 2))
            >>> weights = [np.ones((2, 1)), np.zeros(1)]
            >>> out, state = layer.stateless_call(weights, [], np.ones((1, 2)))
            >>> out.numpy(), state
            (array([[2.]], dtype=float32), [])
        """
        if not self.built:
            raise ValueError(
                f"stateless_call needs built layers, {self.name!r} is not\n"
                "  hint: call it on data first, or build(input_shape)"
            )
        kept = self.non_trainable_variables
        given = {"trainable_variables": (self.trainable_variables, list(trainable_variables)),
                 "non_trainable_variables": (kept, list(non_trainable_variables))}  # fmt: skip
        training = kwargs.get("training")
        with Scope(training=None if training is None else bool(training)) as scope:
            for what, (own, values) in given.items():
                if len(own) != len(values):
                    raise ValueError(
                        f"layer {self.name!r} has {len(own)} {what}, got {len(values)} values\n"
                        f"  hint: give one for each of layer.{what}"
                    )
                for v, value in zip(own, values, strict=True):
                    scope.put(v, value)
            outputs = self(*args, **kwargs)
            state = [v.value for v in kept]
            losses = self.losses
        return (outputs, state, losses) if return_losses else (outputs, state)

    def _penalties(self) -> list[Tensor]:
        return [v.regularizer(v.value) for v in self.trainable_weights if v.regularizer is not None]

    # ---- calling -----------------------------------------------------------------------------

    @default
    def build(self, input_shape: Shape) -> None:
        """Makes the weights; subclasses override it.

        Args:
            input_shape: The shape of the inputs with the batch, or a structure of shapes.

        Example:
            >>> layer = fastnn.layers.Dense(3)
            >>> layer.build((None, 2))
            >>> layer.count_params()
            9
        """
        self.built = True

    @default
    def get_build_config(self) -> dict[str, Any] | None:
        """What the layer was built for, as files keep it; subclasses may add to it.

        Returns:
            A dict that `build_from_config` takes, such as `{"input_shape": (None, 2)}`, or None.

        Example:
            >>> layer = fastnn.layers.Dense(3)
            >>> y = layer(np.ones((1, 2)))
            >>> layer.get_build_config()
            {'input_shape': (1, 2)}
        """
        given = self._build_config
        return None if given is None else {k: to_config(v) for k, v in given.items()}

    @default
    def build_from_config(self, config: dict[str, Any]) -> None:
        """Builds the layer as it was built when it was saved.

        Args:
            config: What `get_build_config` returned.

        Example:
            >>> layer = fastnn.layers.Dense(3)
            >>> layer.build_from_config({"input_shape": [None, 2]})
            >>> layer.count_params()
            9
        """
        build_for(self, config)

    def _build_at_init(self) -> None:
        """Marks a layer without weights as built, unless a subclass has a `build` of its own."""
        self.built = not overrides(self, "build")

    def call(self, *args: Any, **kwargs: Any) -> Tensor:
        """The computation; subclasses define it.

        Args:
            *args: What the layer is called with: a tensor, or a structure of tensors.
            **kwargs: `training` and `mask`, where a subclass takes them, and what else it takes.

        Returns:
            A tensor, or a structure of tensors.

        Example:
            >>> class Double(fastnn.layers.Layer):
            ...     def call(self, inputs):
            ...         return inputs * 2.0
            >>> Double()(np.ones((1, 2))).numpy()
            array([[2., 2.]], dtype=float32)
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no `call` method\n  hint: def call(self, inputs): ..."
        )

    @default
    def compute_mask(self, inputs: TensorLike, previous_mask: TensorLike) -> TensorLike:
        """The mask of the outputs: that of the inputs, for layers that keep positions.

        Args:
            inputs: The inputs.
            previous_mask: Their mask, None for none.

        Returns:
            A mask, or None.

        Example:
            >>> layer = fastnn.layers.Embedding(5, 2, mask_zero=True)
            >>> layer.compute_mask(np.array([[1, 0]])).numpy()
            array([[ True, False]])
        """
        return previous_mask

    def _mask_sources(self, inputs: TensorLike, masks: TensorLike) -> Any:
        """What the outputs' mask is made of in Keras: a mask, a tensor, or a tuple of these for
        each step that `compute_mask` takes there. Files number layers by how far they are from the
        outputs, and these steps count.
        """
        return masks[0] if isinstance(masks, list | tuple) else masks

    @default
    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """The shape of the outputs for a shape of the inputs.

        Args:
            *args: The shape of the inputs with the batch, or one shape an input.
            **kwargs: Shapes by name.

        Returns:
            A tuple, or a structure of them.

        Example:
            >>> fastnn.layers.Dense(3).compute_output_shape((None, 2))
            (None, 3)
        """
        return shapes_of(trace_shapes(self, *args, **kwargs))

    @default
    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Symbolic outputs for symbolic inputs.

        Args:
            *args: As for `call`, with `KerasTensor`s for tensors.
            **kwargs: As for `call`.

        Returns:
            A `KerasTensor`, or a structure of them.

        Example:
            >>> fastnn.layers.Dense(3).compute_output_spec(fastnn.Input((2,))).shape
            (None, 3)
        """
        return self(*args, **kwargs)

    def symbolic_call(self, *args: Any, **kwargs: Any) -> Any:
        """The call on symbolic tensors, which is noted in the graph of a functional model.

        Args:
            *args: As for `call`, with `KerasTensor`s for tensors.
            **kwargs: As for `call`.

        Returns:
            A `KerasTensor`, or a structure of them.

        Example:
            >>> fastnn.layers.Dense(3).symbolic_call(fastnn.Input((2,))).shape
            (None, 3)
        """
        return self(*args, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the layer, building it first if needed."""
        if kwargs:
            try:
                return self._call_with(args, kwargs)
            except TypeError:
                refuse_unknown(f"{type(self).__name__} {self.name!r}", self.call, kwargs, _OF_CALLS)
                raise
        if not args:
            needs_inputs(self, args, kwargs)
        if is_symbolic(args):
            return call_symbolic(self, args, kwargs)
        return run(self, tuple(as_tensors(a) for a in args), kwargs)

    def _call_with(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        args, kwargs = as_called(type(self).call, args, kwargs)
        if not args:
            needs_inputs(self, args, kwargs)
        if is_symbolic(args) or is_symbolic(kwargs):
            return call_symbolic(self, args, kwargs)
        return run(self, tuple(as_tensors(a) for a in args), kwargs)

    def _read_values(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Arguments with what becomes of symbolic text before the layer runs in its place."""
        return args

    def _ensure_built(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        build_for_call(self, args, kwargs)

    @property
    def input(self) -> Any:
        """The symbolic input of the first call of this layer in a functional model."""
        found = self._first_node().inputs
        return found[0] if len(found) == 1 else found

    @property
    def output(self) -> Any:
        """The symbolic output of the first call of this layer in a functional model."""
        return self._first_node().outputs

    def _first_node(self) -> Node:
        if self._call_nodes:
            return self._call_nodes[0]
        raise AttributeError(
            f"layer {self.name!r} was never called on symbolic tensors, so it has no input or "
            "output\n  hint: start the model with Input(...) and call its layers on that"
        )

    # ---- config ------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The name, the trainable flag and the constructor's arguments, as JSON holds them.

        Read from the signature of `__init__`, whose arguments are kept under their names; override
        it where they are not.

        Returns:
            A dict; `from_config` makes a layer of it.

        Example:
            >>> fastnn.layers.Dense(3, name="d").get_config()["units"]
            3
        """
        return config_of(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A new layer from a config."""
        config, beside = accepted(cls, config)
        try:
            layer = cls(**config)
            if "trainable" in beside:
                layer.trainable = beside["trainable"]
            if "name" in beside:
                layer.name = beside["name"]
            if "dtype" in beside:
                layer._policy = policy_name(beside["dtype"])
            return layer
        except FastnnError:
            raise
        except (TypeError, ValueError) as error:
            text = str(error)
            if "unknown " in text:
                text += ". What is your own goes into custom_objects={name: object}"
            if "\n  hint:" not in text:
                text += "\n  hint: give what get_config() returned"
            raise ConfigError(f"{cls.__name__} cannot be made from its config: {text}") from error

    def __repr__(self) -> str:
        built = f", {sum(v.size for v in self.weights):,} weights" if self.built else ", not built"
        return f"<{type(self).__name__} name={self.name}{built}>"
