"""Functional models: a graph of layer and op calls between symbolic tensors.

Depends on `model`, `symbolic`.
"""

from __future__ import annotations

import inspect
import warnings
from typing import Any

from fastnn import ops
from fastnn.base import tree
from fastnn.errors import DataError
from fastnn.layers.base.call import note_path
from fastnn.layers.base.config import config_of, constructor
from fastnn.layers.base.layer import Layer
from fastnn.layers.input_layer import InputLayer
from fastnn.layers.preprocessing.host import text_inputs
from fastnn.models.model import Model, flat_names
from fastnn.tracing.call_context import mask_of, masked
from fastnn.tracing.layer_graph import LayerGraph, Place, WrittenSize
from fastnn.tracing.symbolic import KerasTensor

__all__ = ["Functional", "new_input"]


class Functional(Model):
    """A model made of symbolic tensors: what `Model(inputs, outputs)` gives.

    Args:
        inputs: A symbolic tensor, or a list or dict of them.
        outputs: A symbolic tensor, or a list or dict of them.
        name: The name of the model; made from the class name when left out.

    Raises:
        ValueError: The outputs do not follow from the inputs.

    Example:
        >>> x = fastnn.Input((2,))
        >>> isinstance(fastnn.Model(x, fastnn.layers.ReLU()(x)), fastnn.Functional)
        True
    """

    model_kind: str = "functional"

    def __init__(
        self, inputs: Any = None, outputs: Any = None, name: str | None = None, **kwargs: Any
    ) -> None:
        if inputs is None or outputs is None:
            raise TypeError(
                f"Model got no {'outputs' if outputs is None else 'inputs'}, wanted both\n"
                "  hint: Model(inputs=x, outputs=layer(x)) with x = Input(shape=...)"
            )
        super().__init__(name=name, **kwargs)
        for which, value in (("inputs", inputs), ("outputs", outputs)):
            for x in tree.flatten(value):
                if not isinstance(x, KerasTensor):
                    raise ValueError(
                        f"{which} hold {x!r}, wanted what Input(...) and layers return\n"
                        "  hint: Model(inputs=x, outputs=layer(x)) with x = Input(shape=...)"
                    )
        self._layer_graph = LayerGraph.between(inputs, outputs, self.name, new_input)
        names = [layer.name for layer in self._listed_layers()]
        double = next((n for n in names if names.count(n) > 1), None)
        if double is not None:
            raise ValueError(
                f"two layers of model {self.name!r} are called {double!r}\n"
                "  hint: give each layer its own name="
            )
        self.built = True
        note_path(self)

    def _listed_layers(self) -> list[Layer]:
        return [op for op in self._layer_graph.operations if isinstance(op, Layer)]

    def _sublayers(self) -> Any:
        if "_layer_graph" in self.__dict__:
            seen = set()
            for layer in self.layers:
                seen.add(id(layer))
                yield layer
            for layer in super()._sublayers():
                if id(layer) not in seen:
                    yield layer

    @property
    def operations(self) -> list[Any]:
        """Layers, and the ops that were called between them, from input to output."""
        return list(self._layer_graph.operations)

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic inputs."""
        return self._layer_graph.starts

    @property
    def outputs(self) -> list[KerasTensor]:
        """The symbolic outputs."""
        return self._layer_graph.ends

    @property
    def input(self) -> Any:
        """The symbolic input as given."""
        return self._layer_graph.inputs

    @property
    def output(self) -> Any:
        """The symbolic output as given."""
        return self._layer_graph.outputs

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs."""
        if isinstance(self._layer_graph.inputs, dict) and all(
            isinstance(x, KerasTensor) for x in self._layer_graph.inputs.values()
        ):
            return sorted(self._layer_graph.inputs)
        return flat_names(self._layer_graph.inputs)

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs, after their layers."""
        if isinstance(self._layer_graph.outputs, dict) and all(
            isinstance(x, KerasTensor) for x in self._layer_graph.outputs.values()
        ):
            return sorted(self._layer_graph.outputs)
        names = flat_names(self._layer_graph.outputs)
        return [n if names.count(n) == 1 else f"{n}_{i}" for i, n in enumerate(names)]

    @property
    def output_shape(self) -> Any:
        """Shape of the output, or shapes of several."""
        shapes = [x.shape for x in self.outputs]
        return shapes[0] if len(shapes) == 1 else shapes

    @property
    def _output_sizes(self) -> list[int | None]:
        return [x.shape[-1] if x.shape else None for x in self.outputs]

    def _input_shapes(self) -> tuple[list[str], list[tuple[int | None, ...]]] | None:
        return self.input_names, [x.shape for x in self.inputs]

    def _callable_fast(self) -> bool:
        return type(self).call is Functional.call and super()._callable_fast()

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Runs the graph of layers on other inputs."""
        given = self._given(inputs)
        read = text_inputs(self)
        fitted = [
            v if v is None or x.dtype == "string" or name in read else _match_rank(v, x)
            for v, x, name in zip(given, self.inputs, self.input_names, strict=True)
        ]
        graph = self._layer_graph
        # Of an input that others than its readers compute with, they get the numbers themselves.
        own: dict[int, Any] = {}
        for v, name in zip(fitted, self.input_names, strict=True):
            part = read[name].itself if name in read else None
            if part is not None:
                own[id(v)] = part.of(v)

        def call(node: Any, args: Any, kwargs: Any) -> Any:
            if own and not getattr(node.operation, "reads_text", False):
                args, kwargs = tree.map_structure(lambda v: own.get(id(v), v), (args, kwargs))
            return node.operation(*args, **kwargs)

        with masked(fitted, mask, training):
            outputs = graph.run(
                fitted,
                call,
                mask_of,
                lambda: graph.sizes_in(given),
            )
        # A list of one output is that output, as in Keras.
        single = isinstance(outputs, list | tuple) and len(outputs) == 1
        return outputs[0] if single else outputs

    def _given(self, inputs: Any) -> list[Any]:
        names = self.input_names
        nested = tree.structure(inputs) == tree.structure(self._layer_graph.inputs)
        if isinstance(inputs, dict) and not (nested and names != sorted(inputs)):
            extra = [k for k in inputs if k not in names]
            if extra:
                warnings.warn(
                    "The structure of `inputs` doesn't match the expected structure: model "
                    f"{self.name!r} has no input '{extra[0]}'; it takes {', '.join(names)}",
                    stacklevel=3,
                )
            missing = [n for n in names if n not in inputs]
            if missing:
                raise DataError(
                    f"model {self.name!r} lacks the input '{missing[0]}'\n"
                    f"  hint: name the inputs {', '.join(names)}"
                )
            return self._complete([inputs[n] for n in names])
        whole = isinstance(inputs, list | tuple) and len(inputs) == len(names)
        given = list(inputs) if whole else tree.flatten(inputs)
        if len(given) != len(names):
            raise DataError(
                f"model {self.name!r} has {len(names)} inputs, got {len(given)}\n"
                f"  hint: inputs {', '.join(names)}"
            )
        return self._complete(given)

    def _complete(self, given: list[Any]) -> list[Any]:
        """`given`, in which only optional inputs may be None."""
        for name, x, value in zip(self.input_names, self.inputs, given, strict=True):
            made_by = x.node.operation if x.node is not None else None
            if value is None and not getattr(made_by, "optional", False):
                raise DataError(
                    f"input {name!r} of model {self.name!r} is None and not optional\n"
                    "  hint: give an array, or declare it as Input(..., optional=True)"
                )
        return given

    def __getstate__(self) -> dict[str, Any]:
        """What a copy takes along: layers, and the calls between them as a list."""
        state = super().__getstate__()
        del state["_layer_graph"]
        return state | {"_init_arguments": ((), {}), "_calls": self._layer_graph.to_records()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restores what `__getstate__` gave and calls the layers again."""
        records, ends = state["_calls"]
        super().__setstate__({k: v for k, v in state.items() if k != "_calls"})
        self._layer_graph = LayerGraph(*LayerGraph.from_records(records, ends), self.name)

    @classmethod
    def _takes_graph(cls) -> bool:
        """Whether the constructor takes `inputs` and `outputs`, so that a graph revives the model.

        It is the one of this class, or has parameters of these names, or hands on what it is given.
        """
        if cls.__init__ is Functional.__init__:
            return True
        spec = inspect.getfullargspec(constructor(cls))
        hands_on = spec.varargs is not None and spec.varkw is not None
        return hands_on or {"inputs", "outputs"} <= {*spec.args, *spec.kwonlyargs}

    def get_config(self) -> dict[str, Any]:
        """Layers and the calls between them; a subclass's constructor has its arguments, too."""
        if not self._takes_graph():
            return super().get_config()
        from fastnn.files.layer_records import functional_config

        config = functional_config(self)
        if type(self).__init__ is not Functional.__init__:
            own = config_of(self, ("inputs", "outputs"))
            config |= {k: v for k, v in own.items() if k not in (*config, "dtype")}
        return config


#: Names in pickles of earlier versions.
_Place, _Size = Place, WrittenSize


def new_input(x: KerasTensor) -> KerasTensor:
    """The `Input` that stands for a tensor inside a larger graph."""
    return InputLayer(batch_shape=x.shape, dtype=x.dtype).output  # type: ignore[no-any-return]


def _match_rank(value: Any, spec: KerasTensor) -> Any:
    """A value of rank one less (or more) than wanted, brought to rank when the size is 1."""
    rank, have = spec.ndim, ops.ndim(value)
    if have == rank - 1 and spec.shape[-1] == 1:
        return ops.expand_dims(value, axis=-1)
    if have == rank + 1 and value.shape[-1] == 1:
        return ops.squeeze(value, -1)
    return value
