"""`Sequential`: one layer after another. Depends on `functional`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from typing import Any, Self

from fastnn._core import Dim
from fastnn.base import tree
from fastnn.base.arguments import hints_arguments
from fastnn.config import COMPUTED, unique_name
from fastnn.errors import ShapeError
from fastnn.layers.base.call import note_path
from fastnn.layers.base.config import accepted, config_of, constructor
from fastnn.layers.base.layer import Layer
from fastnn.layers.core import Lambda
from fastnn.layers.input_layer import InputLayer
from fastnn.layers.preprocessing.host import HostLayer
from fastnn.models.functional import Functional
from fastnn.models.model import Model
from fastnn.serialization.keras_config import deserialize
from fastnn.serialization.objects import own_config
from fastnn.tracing.call_context import NameScope, current_names, masked
from fastnn.tracing.symbolic import KerasTensor
from fastnn.tracing.variables import suspended_scope

__all__ = ["Sequential"]


class Sequential(Model):
    """A stack of layers, each fed by the one before.

    It is built at once when it starts with `Input`, else on first use.

    Args:
        layers: A list of layers; `add` appends further ones.
        trainable: Whether training changes the weights.
        name: The name of the model; made from the class name when left out.

    Example:
        >>> model = fastnn.Sequential([
        ...     fastnn.Input((3,)),
        ...     fastnn.layers.Dense(4, activation="relu"),
        ...     fastnn.layers.Dense(1),
        ... ])
        >>> model.output_shape, model.count_params()
        ((None, 1), 21)
    """

    built: bool

    model_kind: str = "sequential"

    def __init__(self, layers: Any = None, trainable: bool = True, name: str | None = None) -> None:
        second: Any = trainable
        if isinstance(second, Layer):
            raise TypeError(
                f"Sequential takes one list of layers, got {type(layers).__name__} and "
                f"{type(second).__name__} apart\n  hint: Sequential([Dense(8), Dense(1)])"
            )
        super().__init__(trainable=trainable, name=name)
        self._stack: list[Layer] = []
        self._functional: Functional | None = None
        #: Inner shapes that were tried on a model which took its input shape from data.
        self._tried: dict[Any, bool] | None = None
        if layers is not None:
            if isinstance(layers, Iterator):  # read once: a copy is made from the layers
                layers = list(layers)
                self._init_arguments = ((), {})
            for layer in layers if isinstance(layers, list | tuple) else [layers]:
                self._append(layer)
            self._rebuild()

    @hints_arguments
    def add(self, layer: Any, rebuild: bool = True) -> None:
        """Adds a layer at the end.

        Args:
            layer: The layer.
            rebuild: Whether the stack is built at once where it can be.

        Raises:
            ValueError: It is no layer, or does not fit.

        Example:
            >>> model = fastnn.Sequential()
            >>> model.add(fastnn.Input((2,)))
            >>> model.add(fastnn.layers.Dense(3))
            >>> model.output_shape
            (None, 3)
        """
        self._append(layer)
        if rebuild:
            self._rebuild()

    def pop(self, rebuild: bool = True) -> Layer | None:
        """Takes the last layer off.

        Args:
            rebuild: Whether the stack is built at once where it can be.

        Returns:
            The layer, or None.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.ReLU()])
            >>> model.pop().__class__.__name__
            'ReLU'
        """
        if not self.layers:
            return None
        layer = self._stack.pop()
        self.built, self._functional = False, None
        if rebuild:
            self._rebuild()
        return layer

    def _append(self, layer: Any) -> None:
        if isinstance(layer, KerasTensor):
            layer = layer.node.operation if layer.node is not None else layer
        if not isinstance(layer, Layer):
            if isinstance(layer, type) and issubclass(layer, Layer):
                raise ValueError(
                    f"Sequential takes layers, got the class {layer.__name__}\n"
                    f"  hint: {layer.__name__}(...), with its arguments in brackets"
                )
            if not callable(layer):
                raise ValueError(
                    f"Sequential takes layers, got {layer!r}\n  hint: Sequential([Dense(1)])"
                )
            layer = Lambda(layer)
        if any(layer.name == other.name for other in self._stack):
            raise ValueError(
                f"two layers of {self.name!r} are called {layer.name!r}\n"
                "  hint: give each layer its own name="
            )
        if isinstance(layer, InputLayer) and any(isinstance(x, InputLayer) for x in self._stack):
            raise ValueError(f"{self.name!r} already starts with an Input\n  hint: keep one")
        if not self._stack and not isinstance(layer, InputLayer):
            shape = layer._given_input_shape
            if shape is not None:
                # States are kept for batches of one size; other layers take any.
                keeps = getattr(layer, "stateful", False)
                batch = getattr(layer, "_given_batch_size", None) if keeps else None
                self._stack.append(InputLayer(batch_shape=(batch, *shape)))
            elif isinstance(layer, Functional):
                first = layer.inputs[0]
                self._stack.append(InputLayer(batch_shape=first.shape, dtype=first.dtype))
            elif isinstance(layer, Sequential) and layer._functional is not None:
                first = layer._functional.inputs[0]
                self._stack.append(InputLayer(batch_shape=first.shape, dtype=first.dtype))
        self._stack.append(layer)
        self.built, self._functional = False, None

    def _rebuild(self) -> None:
        self._forget_traces()
        self._tried = None
        if len(self._stack) > 1 and isinstance(self._stack[0], InputLayer):
            self._build_from(self._stack[0])

    def _build_from(self, start: InputLayer) -> None:
        x = start.output
        inputs = x
        with self._own_scope():
            note_path(self)
            for layer in self._stack:
                if layer is not start:
                    x = layer(x)
        self._functional = Functional(inputs, x, name=self.name)
        unique_name("functional")  # Keras names the inner model itself, so names count it
        self.built = True

    def _own_scope(self) -> Any:
        """The prefix of the weights' paths; a model built in its first call stands in it."""
        return nullcontext() if current_names()[-1:] == [self.name] else NameScope(self.name)

    def build(self, input_shape: Any = None) -> None:
        """Makes the weights for inputs of a shape.

        Args:
            input_shape: The shape of the inputs with the batch; None: what is known of it.

        Example:
            >>> model = fastnn.Sequential([fastnn.layers.Dense(1)])
            >>> model.build((None, 3))
            >>> model.count_params()
            4
        """
        if self._functional is not None:
            return
        self._require_layers()
        if input_shape is None:
            raise ValueError(
                f"{self.name!r} needs an input shape\n  hint: model.build((None, features))"
            )
        shape = tuple(input_shape)
        if not all(d is None or isinstance(d, int) for d in shape):
            self.built = True
            return
        self._start_with(InputLayer(batch_shape=(None, *shape[1:])))

    def _ensure_built(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._require_layers()
        if self._functional is None and args and hasattr(args[0], "shape"):
            with suspended_scope():
                self._build_typed(args[0])
        self.built = True

    def _require_compiled(self, verb: str) -> None:
        super()._require_compiled(verb)
        self._require_layers()

    def _require_layers(self) -> None:
        if not self.layers:
            raise ValueError(
                f"Sequential {self.name!r} has no layers, so it cannot be built\n"
                "  hint: model.add(Dense(1))"
            )

    def _build_typed(self, x: Any) -> None:
        sizes = (None if isinstance(d, Dim) else d for d in tuple(x.shape)[1:])
        self._start_with(
            InputLayer(
                batch_shape=(None, *sizes),
                dtype=COMPUTED.get(str(x.dtype), str(x.dtype)),
            )
        )

    def _start_with(self, start: InputLayer) -> None:
        first = self._stack[0]
        if isinstance(first, HostLayer):  # the data were read by it already
            shape = (None, 1) if first.wants_rows() else (None,)
            start = InputLayer(
                batch_shape=shape, dtype="int32" if first.takes_numbers else "string"
            )
        self._stack.insert(0, start)
        try:
            self._build_from(start)
        except BaseException:
            self._stack.pop(0)
            raise
        self._tried = {}

    def _takes(self, array: Any, shape: Any) -> bool:
        """Whether the layers take another size than the first data had, when no Input gave it."""
        if self._tried is None or array.ndim != len(shape):
            return False
        key = array.shape[1:]
        if key not in self._tried and len(self._tried) < 1000:
            try:
                self._functional.compute_output_shape((None, *key))  # type: ignore[union-attr]
                self._tried[key] = True
            except ShapeError:
                self._tried[key] = False
        return self._tried.get(key, False)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """The layers one after another.

        Args:
            inputs: What the first layer takes.
            training: Given to the layers that take it.
            mask: A mask of the inputs.

        Returns:
            What the last layer gives.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.ReLU()])
            >>> model(np.array([[-1.0, 2.0]])).numpy()
            array([[0., 2.]], dtype=float32)
        """
        if self._functional is not None:
            return self._functional.call(inputs, training=training, mask=mask)
        x = inputs
        with masked(tree.flatten(inputs), mask, training):
            for layer in self.layers:
                x = layer(x)
        return x

    def _listed_layers(self) -> list[Layer]:
        return [x for x in self._stack if not isinstance(x, InputLayer)]

    def _sublayers(self) -> Iterator[Layer]:
        yield from self.__dict__.get("_stack", ())

    def _graph(self) -> Functional:
        if self._functional is None:
            raise AttributeError(
                f"{self.name!r} is not built, so it has no inputs and outputs\n"
                "  hint: start it with Input(shape=...) or call build"
            )
        return self._functional

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic inputs."""
        return self._graph().inputs

    @property
    def input_names(self) -> list[str]:
        """The name of the input; none before the model is built."""
        return [] if self._functional is None else self._functional.input_names

    @property
    def outputs(self) -> list[KerasTensor]:
        """The symbolic outputs."""
        return self._graph().outputs

    @property
    def input(self) -> Any:
        """The symbolic input: of the first call within another model, else its own."""
        return super().input if self._call_nodes else self._graph().input

    @property
    def output(self) -> Any:
        """The symbolic output: of the first call within another model, else its own."""
        return super().output if self._call_nodes else self._graph().output

    @property
    def output_shape(self) -> Any:
        """Shape of the output."""
        return self._graph().output_shape

    @property
    def input_dtype(self) -> str:
        """Type of the input."""
        return self.inputs[0].dtype

    @property
    def _output_sizes(self) -> list[int | None] | None:
        return None if self._functional is None else self._functional._output_sizes

    def _single_input(self) -> bool:
        return True

    def _input_shapes(self) -> Any:
        return None if self._functional is None else self._functional._input_shapes()

    def _callable_fast(self) -> bool:
        return type(self).call is Sequential.call and super()._callable_fast()

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the outputs for a shape of the inputs.

        Args:
            input_shape: The shape of the inputs with the batch.

        Returns:
            A tuple.

        Example:
            >>> model = fastnn.Sequential([fastnn.layers.Dense(5)])
            >>> model.compute_output_shape((None, 3))
            (None, 5)
        """
        if self._functional is not None:
            return self._functional.compute_output_shape(input_shape)
        return super().compute_output_shape(input_shape)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy takes along; the graph of the layers is made anew."""
        return super().__getstate__() | {"_functional": self._functional is not None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restores what `__getstate__` gave and builds the graph."""
        state, built = {**state, "_functional": None}, state["_functional"]
        super().__setstate__(state)
        if built:
            self._build_from(self._stack[0])  # type: ignore[arg-type]

    def get_config(self) -> dict[str, Any]:
        """The name and the configs of the layers, as JSON holds them.

        Returns:
            A dict; `from_config` makes a model of it.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)], name="m")
            >>> len(model.get_config()["layers"])
            2
        """
        config: dict[str, Any] = {
            "name": self.name,
            "trainable": self._trainable,
            "dtype": "float32",
            "layers": [own_config(layer) for layer in self._stack],
        }
        if self._functional is not None:
            config["build_input_shape"] = list(self._functional.inputs[0].shape)
        if type(self).__init__ is not Sequential.__init__:
            with suppress(TypeError):  # what cannot be written is left to the subclass
                config = config_of(self, ("layers",)) | config
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """A new model from a config."""
        own = {"name", "trainable", "dtype", "layers", "build_input_shape"}
        parameters = inspect.signature(constructor(cls)).parameters
        open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        added = {
            k: v for k, v in config.items()
            if k == "name" or (k not in own and (open_ended or k in parameters))
        }  # fmt: skip
        settings, beside = accepted(cls, added)  # what a subclass has beside
        model = cls(**settings)
        if "name" in beside:
            model.name = beside["name"]
        if config.get("trainable") is False:
            model.trainable = False
        if not model._stack:  # else the constructor has made them
            for layer in config.get("layers", []):
                model._append(deserialize(layer, custom_objects))
            model._rebuild()
        shape = config.get("build_input_shape")
        if shape and not model.built and model.layers:
            model.build(tuple(shape))
        return model
