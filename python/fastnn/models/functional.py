"""Functional models: a graph of layer and op calls between symbolic tensors.

Depends on `model`, `symbolic`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

from fastnn import ops
from fastnn._core import Dim
from fastnn.base import tree
from fastnn.errors import DataError
from fastnn.files.native import functional_config
from fastnn.layers.base.layer import Layer
from fastnn.layers.core import InputLayer
from fastnn.models.model import Model, flat_names
from fastnn.tracing.call_context import current_call
from fastnn.tracing.sizes import note_sizes, read_size, written_size
from fastnn.tracing.symbolic import KerasTensor, Node, call_again

__all__ = ["Functional"]


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

    model_kind = "functional"

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
        inputs, outputs = _from_inputs(inputs, outputs, self.name)
        self._inputs, self._outputs = inputs, outputs
        self._order = _ordered_nodes(tree.flatten(inputs), tree.flatten(outputs), self.name)
        self._operations = _listed(tree.flatten(inputs), tree.flatten(outputs), self._order)
        names = [op.name for op in self._operations if isinstance(op, Layer)]
        double = next((n for n in names if names.count(n) > 1), None)
        if double is not None:
            raise ValueError(
                f"two layers of model {self.name!r} are called {double!r}\n"
                "  hint: give each layer its own name="
            )
        self.built = True

    def _listed_layers(self) -> list[Layer]:
        return [op for op in self._operations if isinstance(op, Layer)]

    def _sublayers(self) -> Any:
        if "_operations" in self.__dict__:
            seen = set()
            for layer in self.layers:
                seen.add(id(layer))
                yield layer
            for layer in super()._sublayers():
                if id(layer) not in seen:
                    yield layer

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic inputs."""
        return tree.flatten(self._inputs)

    @property
    def outputs(self) -> list[KerasTensor]:
        """The symbolic outputs."""
        return tree.flatten(self._outputs)

    @property
    def input(self) -> Any:
        """The symbolic input as given."""
        return self._inputs

    @property
    def output(self) -> Any:
        """The symbolic output as given."""
        return self._outputs

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs."""
        if isinstance(self._inputs, dict) and all(
            isinstance(x, KerasTensor) for x in self._inputs.values()
        ):
            return sorted(self._inputs)
        return flat_names(self._inputs)

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs, after their layers."""
        if isinstance(self._outputs, dict) and all(
            isinstance(x, KerasTensor) for x in self._outputs.values()
        ):
            return sorted(self._outputs)
        names = flat_names(self._outputs)
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
        values: dict[int, Any] = {}
        for x, value in zip(self.inputs, given, strict=True):
            values[id(x)] = value if value is None else _fitted(value, x)

        sizes: dict[str, Any] = {}

        def look_up(leaf: Any) -> Any:
            if isinstance(leaf, Dim):
                if not sizes:
                    sizes.update(self._sizes(given))
                return leaf.bind(sizes)
            return values[id(leaf)] if isinstance(leaf, KerasTensor) else leaf

        context = current_call()
        for node in self._order:
            if node.operation is None or not (node.args or node.kwargs):
                continue
            args = tree.map_structure(look_up, node.args)
            kwargs = tree.map_structure(look_up, node.kwargs)
            out = node.operation(*args, **kwargs)
            for x, value in zip(tree.flatten(node.outputs), tree.flatten(out), strict=True):
                values[id(x)] = value
                if x.mask is not None and context is not None:
                    values[id(x.mask)] = context.mask_of(value)
        return tree.map_structure(look_up, self._outputs)

    def _sizes(self, given: list[Any]) -> dict[str, Any]:
        """What the open sizes of the symbolic inputs are in the ones given."""
        found: dict[str, Any] = {}
        for x, value in zip(self.inputs, given, strict=True):
            if value is not None:
                for name, size in zip(ops.shape(x), ops.shape(value), strict=False):
                    if isinstance(name, Dim) and [str(name)] == name.names:
                        found[str(name)] = size
        return found

    def _given(self, inputs: Any) -> list[Any]:
        names = self.input_names
        nested = tree.structure(inputs) == tree.structure(self._inputs)
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
        for key in ("_order", "_operations", "_inputs", "_outputs"):
            del state[key]
        return state | {"_init_arguments": ((), {}), "_calls": _listed_calls(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Takes what `__getstate__` gave and calls the layers again."""
        calls, (inputs, outputs) = state["_calls"]
        super().__setstate__({k: v for k, v in state.items() if k != "_calls"})
        made: list[list[Any]] = []

        tensors: dict[tuple[Any, ...], Any] = {}

        def find(leaf: Any) -> Any:
            if isinstance(leaf, _Size):
                return read_size(leaf.text, tensors)
            if not isinstance(leaf, _Place):
                return leaf
            x = made[leaf.call][leaf.output]
            return x.mask if leaf.mask else x

        for operation, args, kwargs in calls:
            args, kwargs = tree.map_structure(find, [args, kwargs])
            made.append(tree.flatten(call_again(operation, args, kwargs)))
            tensors.update(((len(made) - 1, i), x) for i, x in enumerate(made[-1]))
        self._inputs, self._outputs = tree.map_structure(find, [inputs, outputs])
        ends = tree.flatten(self._inputs), tree.flatten(self._outputs)
        self._order = _ordered_nodes(*ends, self.name)
        self._operations = _listed(*ends, self._order)

    def get_config(self) -> dict[str, Any]:
        """Layers and the calls between them."""
        if type(self).__init__ is not Functional.__init__:
            return super().get_config()
        return functional_config(self)


@dataclass(frozen=True)
class _Place:
    """An output of a call, where a list of calls stands for a graph."""

    call: int
    output: int
    mask: bool = False


@dataclass(frozen=True)
class _Size:
    """An open size among the arguments of a call, over the places of the inputs."""

    text: str


def _listed_calls(model: Functional) -> tuple[list[Any], Any]:
    """The calls of a graph in order, and its ends, with places instead of symbolic tensors."""
    places: dict[int, _Place] = {}
    size_places: dict[str, Any] = {}

    def place(leaf: Any) -> Any:
        if isinstance(leaf, Dim):
            return _Size(written_size(leaf, size_places))
        return places[id(leaf)] if isinstance(leaf, KerasTensor) else leaf

    calls = []
    for at, node in enumerate(model._order):
        calls.append((node.operation, *tree.map_structure(place, [node.args, node.kwargs])))
        for i, x in enumerate(tree.flatten(node.outputs)):
            places[id(x)] = _Place(at, i)
            if node.starts:
                note_sizes(x, at, i, size_places)
            if x.mask is not None:
                places[id(x.mask)] = _Place(at, i, True)
    return calls, tree.map_structure(place, [model._inputs, model._outputs])


def _from_inputs(inputs: Any, outputs: Any, name: str) -> tuple[Any, Any]:
    """The same graph from `Input` tensors on, where it was cut out of a larger one.

    The calls are noted anew with the layers that made them; the larger graph stays as it is.
    """
    cut = [x for x in tree.flatten(inputs) if x.node is None or not x.node.starts]
    if not cut:
        return inputs, outputs
    order = _ordered_nodes(tree.flatten(inputs), tree.flatten(outputs), name)
    made: dict[int, KerasTensor] = {}
    for x in cut:
        start = InputLayer(batch_shape=x.shape, dtype=x.dtype)
        made[id(x)] = start.output
        start.output.mask = x.mask

    def look_up(leaf: Any) -> Any:
        return made.get(id(leaf), leaf) if isinstance(leaf, KerasTensor) else leaf

    for node in order:
        if node.starts or all(id(x) in made for x in tree.flatten(node.outputs)):
            continue
        args, kwargs = (tree.map_structure(look_up, v) for v in (node.args, node.kwargs))
        again = Node(node.operation, args, kwargs)
        copies = []
        for i, x in enumerate(tree.flatten(node.outputs)):
            copy = KerasTensor.shaped(x.shape, x.dtype).made(again, x.name, i)
            if x.mask is not None:
                copy.mask = KerasTensor.shaped(x.mask.shape, x.mask.dtype)
                made[id(x.mask)] = copy.mask.made(again, x.mask.name, i)
            made[id(x)] = copy
            copies.append(copy)
        again.outputs = tree.pack(node.outputs, copies)
    return tree.map_structure(look_up, inputs), tree.map_structure(look_up, outputs)


def _fitted(value: Any, spec: KerasTensor) -> Any:
    """A value of rank one less (or more) than wanted, brought to rank when the size is 1."""
    rank, have = spec.ndim, ops.ndim(value)
    if have == rank - 1 and spec.shape[-1] == 1:
        return ops.expand_dims(value, axis=-1)
    if have == rank + 1 and value.shape[-1] == 1:
        return ops.squeeze(value, -1)
    return value


def _ordered_nodes(inputs: list[KerasTensor], outputs: list[KerasTensor], name: str) -> list[Node]:
    """The calls between inputs and outputs, each after those it needs, ordered by depth."""
    ends = {id(x) for x in inputs}
    order: list[Node] = []
    done: set[int] = set()
    stack: list[tuple[Node, bool]] = [
        (x.node, False) for x in reversed(outputs) if x.node is not None
    ]
    while stack:
        node, ready = stack.pop()
        if id(node) in done:
            continue
        if ready:
            done.add(id(node))
            order.append(node)
            continue
        stack.append((node, True))
        for x in reversed(node.inputs):
            if id(x) in ends:
                start = x.node
                if start is not None and id(start) not in done and start.starts:
                    done.add(id(start))
                    order.append(start)
                continue
            if x.node is None or x.node.starts:
                raise ValueError(
                    f"model {name!r}: an output depends on {x.name!r}, which is not among inputs\n"
                    "  hint: list every Input that the outputs use in inputs="
                )
            if id(x.node) not in done:
                stack.append((x.node, False))
    first = [x.node for x in inputs if x.node is not None and x.node.starts]
    ordered = {id(n): n for n in [*first, *order]}
    return _by_depth(list(ordered.values()), outputs)


def _by_depth(nodes: list[Node], outputs: list[KerasTensor]) -> list[Node]:
    """Stable order by distance from the outputs, as Keras lists layers."""
    inside = {id(n) for n in nodes}
    depth: dict[int, int] = {id(n): 0 for n in nodes}
    for node in reversed(nodes):
        for x in node.inputs:
            if x.node is not None and id(x.node) in inside:
                depth[id(x.node)] = max(depth[id(x.node)], depth[id(node)] + 1)
    for node in nodes:
        if not node.inputs:
            depth[id(node)] = max(depth.values(), default=0)
    place = {id(n): i for i, n in enumerate(nodes)}
    return sorted(nodes, key=lambda n: (-depth[id(n)], place[id(n)]))


def _listed(inputs: list[KerasTensor], outputs: list[KerasTensor], nodes: list[Node]) -> list[Any]:
    """Layers and ops in Keras's order, which numbers the weights in its files.

    Farthest from the outputs first, a shared layer at its farthest call; then in the order of
    a walk from the outputs back (Keras 3 `ops/function.py`).
    """
    inside, ends = {id(n) for n in nodes}, {id(x) for x in inputs}
    seen: dict[int, int] = {}
    first: dict[int, int] = {}
    walked: list[Node] = []
    for output in outputs:
        stack: list[tuple[Node | None, Node | None]] = [(output.node, None)]
        while stack:
            node, finished = stack.pop()
            if finished is not None:
                walked.append(finished)
            if node is None or id(node) in seen or id(node) not in inside:
                continue
            seen[id(node)] = len(seen)
            first.setdefault(id(node.operation), len(first))
            stack.append((None, node))
            stack.extend(
                (x.node, None)
                for x in reversed(node.inputs)
                if id(x) not in ends or (x.node is not None and not x.node.inputs)
            )
    depth: dict[int, int] = {}
    far: dict[int, int] = {}
    for node in reversed(walked):
        d = max(depth.get(id(node), 0), far.get(id(node.operation), 0))
        depth[id(node)] = far[id(node.operation)] = d
        for x in node.inputs:
            if x.node is not None:
                depth[id(x.node)] = max(depth.get(id(x.node), 0), d + 1)
    operations = {id(n.operation): n.operation for n in nodes}
    return sorted(operations.values(), key=lambda o: (-far.get(id(o), 0), first.get(id(o), -1)))
