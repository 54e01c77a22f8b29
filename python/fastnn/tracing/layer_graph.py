"""`LayerGraph`: the calls of layers and ops between symbolic tensors, as one value.

A functional model runs it on data, is copied, cut, cloned, pickled, saved and drawn through it. A
walk over its calls is `run`; what can be written down is `to_records`, and `from_records` calls
everything again. Depends on `symbolic`, `sizes`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

from fastnn._core import Dim
from fastnn.base import tree
from fastnn.base.arguments import call_parameters
from fastnn.errors import FormatError
from fastnn.tracing.sizes import note_sizes, read_size, written_size
from fastnn.tracing.symbolic import KerasTensor, Node, call_again, shape_of

__all__ = ["LayerGraph", "Place", "Record", "WrittenSize"]


@dataclass(frozen=True)
class Place:
    """A result of a call, or its mask, where a list of calls stands for a graph."""

    call: int
    output: int
    mask: bool = False


@dataclass(frozen=True)
class WrittenSize:
    """An open size among the arguments of a call, over the places of the inputs."""

    text: str


class Record(NamedTuple):
    """A call without symbolic tensors: places and written sizes stand for them."""

    operation: Any
    args: Any
    kwargs: Any


class LayerGraph:
    """The calls between `inputs` and `outputs`, which are structures of symbolic tensors.

    ValueError, naming `name`, when an output depends on a tensor that is not among the inputs.
    """

    inputs: Any
    outputs: Any
    calls: Any
    operations: Any

    def __init__(self, inputs: Any, outputs: Any, name: str) -> None:
        self.inputs, self.outputs = inputs, outputs
        self.starts: list[KerasTensor] = tree.flatten(inputs)
        self.ends: list[KerasTensor] = tree.flatten(outputs)
        #: The calls, each after those it needs.
        self.calls = _ordered_nodes(self.starts, self.ends, name)
        #: Layers and ops, in the order in which Keras lists them.
        self.operations = _in_keras_order(self.starts, self.ends, self.calls)

    @classmethod
    def between(
        cls, inputs: Any, outputs: Any, name: str, start: Callable[[KerasTensor], KerasTensor]
    ) -> LayerGraph:
        """The graph, which begins at `start(x)` where an input x was cut out of a larger graph.

        The calls are noted anew with the layers that made them; the larger graph stays as it is.
        """
        graph = cls(inputs, outputs, name)
        cut = {id(x) for x in graph.starts if x.node is None or not x.node.starts}
        if not cut:
            return graph
        given = [start(x) if id(x) in cut else x for x in graph.starts]
        for new, x in zip(given, graph.starts, strict=True):
            new.mask = x.mask

        def noted_again(node: Node, args: Any, kwargs: Any) -> Any:
            again = Node(node.operation, args, kwargs)
            copies = []
            for i, x in enumerate(tree.flatten(node.outputs)):
                copy = KerasTensor.shaped(x.shape, x.dtype).made(again, x.name, i)
                if x.mask is not None:
                    mask = KerasTensor.shaped(x.mask.shape, x.mask.dtype)
                    copy.mask = mask.made(again, x.mask.name, i)
                copies.append(copy)
            again.outputs = tree.pack(node.outputs, copies)
            return again.outputs

        made = graph.run(given, noted_again, lambda x: x.mask, sizes=None)
        return cls(tree.pack(inputs, given), made, name)

    def run(
        self,
        given: Sequence[Any],
        call: Callable[[Node, Any, Any], Any],
        mask_of: Callable[[Any], Any] | None = None,
        sizes: Callable[[], dict[str, Any]] | None = None,
    ) -> Any:
        """What the graph gives when `given` stand for its inputs and `call` makes each call.

        `mask_of` gives the mask of a result; `sizes` what open sizes are in `given`, and without it
        they stay open. A call whose results are all given is not made.
        """
        values: dict[int, Any] = {}
        for x, value in zip(self.starts, given, strict=True):
            values[id(x)] = value
        found: dict[str, Any] = {}

        def look_up(leaf: Any) -> Any:
            if isinstance(leaf, KerasTensor):
                return values[id(leaf)]
            if isinstance(leaf, Dim) and sizes is not None:
                if not found:
                    found.update(sizes())
                return leaf.bind(found)
            return leaf

        for node in self.calls:
            results = tree.flatten(node.outputs)
            if node.starts or all(id(x) in values for x in results):
                continue
            args, kwargs = (tree.map_structure(look_up, v) for v in (node.args, node.kwargs))
            out = call(node, args, kwargs)
            for x, value in zip(results, tree.flatten(out), strict=True):
                values[id(x)] = value
                if x.mask is not None and mask_of is not None:
                    values[id(x.mask)] = mask_of(value)
        return tree.map_structure(look_up, self.outputs)

    def sizes_in(self, given: Iterable[Any]) -> dict[str, Any]:
        """What the open sizes of the inputs are in the values given for them."""
        found: dict[str, Any] = {}
        for x, value in zip(self.starts, given, strict=True):
            if value is not None:
                for name, size in zip(shape_of(x), shape_of(value), strict=False):
                    if isinstance(name, Dim) and [str(name)] == name.names:
                        found[str(name)] = size
        return found

    def calls_of(self, operation: Any) -> list[Node]:
        """The calls of a layer or op inside the graph, in the order in which they were made."""
        inside = {id(n) for n in self.calls}
        made = {id(n): n for n in [*getattr(operation, "_call_nodes", ()), *self.calls]}
        return [n for k, n in made.items() if k in inside and n.operation is operation]

    def list_as(self, operations: Iterable[Any]) -> None:
        """Lists layers and ops as a file does: its weights are numbered in that order."""
        place = {id(op): i for i, op in enumerate(operations)}
        self.operations.sort(key=lambda op: place.get(id(op), len(place)))

    def readers_of(self, x: KerasTensor) -> list[Node]:
        """The calls that take a symbolic tensor as an argument."""
        return [n for n in self.calls if not n.starts and any(i is x for i in n.inputs)]

    def to_records(self) -> tuple[list[Record], Any]:
        """The calls in order, and `[inputs, outputs]`, with places in place of symbolic tensors."""
        places: dict[int, Place] = {}
        axes: dict[str, Any] = {}

        def place(leaf: Any) -> Any:
            if isinstance(leaf, Dim):
                return WrittenSize(written_size(leaf, axes))
            return places.get(id(leaf), leaf) if isinstance(leaf, KerasTensor) else leaf

        records = []
        for at, node in enumerate(self.calls):
            args, kwargs = tree.map_structure(place, [node.args, node.kwargs])
            records.append(Record(node.operation, args, kwargs))
            for i, x in enumerate(tree.flatten(node.outputs)):
                places[id(x)] = Place(at, i)
                if node.starts:
                    note_sizes(x, at, i, axes)
                if x.mask is not None:
                    places[id(x.mask)] = Place(at, i, True)
        return records, tree.map_structure(place, [self.inputs, self.outputs])

    @staticmethod
    def from_records(records: Iterable[Record], ends: Any) -> tuple[Any, Any]:
        """Inputs and outputs of a graph that is called anew; FormatError for a wrong place."""
        tensors: dict[Place, Any] = {}
        axes: dict[tuple[Any, ...], Any] = {}

        def find(leaf: Any) -> Any:
            if isinstance(leaf, WrittenSize):
                return read_size(leaf.text, axes)
            if not isinstance(leaf, Place):
                return leaf
            if leaf not in tensors:
                raise FormatError(
                    f"a saved model refers to the missing tensor {leaf.output} of call {leaf.call}"
                    "\n  hint: the file is damaged: save the model again"
                )
            return tensors[leaf]

        for at, (operation, args, kwargs) in enumerate(records):
            args, kwargs = tree.map_structure(find, [args, kwargs])
            for i, x in enumerate(tree.flatten(call_again(operation, args, kwargs))):
                axes[at, i] = tensors[Place(at, i)] = x
                if x.mask is not None:
                    tensors[Place(at, i, True)] = x.mask
        inputs, outputs = tree.map_structure(find, ends)
        return inputs, outputs

    def tensor(self, place: Place) -> KerasTensor:
        """The symbolic tensor at a place."""
        x: KerasTensor = tree.flatten(self.calls[place.call].outputs)[place.output]
        return x.mask if place.mask else x


def _ordered_nodes(inputs: list[KerasTensor], outputs: list[KerasTensor], name: str) -> list[Node]:
    """The calls between inputs and outputs, each after those it needs, ordered by depth."""
    ends = {id(x) for x in inputs}
    order: list[Node] = []
    done: set[int] = set()
    stack: list[tuple[Node, bool]] = [
        (x.node, False) for x in reversed(outputs) if x.node is not None
    ]

    def refuse(x: KerasTensor) -> NoReturn:
        raise ValueError(
            f"model {name!r}: an output depends on {x.name!r}, which is not among inputs\n"
            "  hint: list every Input that the outputs use in inputs="
        )

    for x in outputs:
        if id(x) not in ends and (x.node is None or x.node.starts):
            refuse(x)
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
                refuse(x)
            if id(x.node) not in done:
                stack.append((x.node, False))
    first = [x.node for x in inputs if x.node is not None and x.node.starts]
    ordered = {id(n): n for n in [*first, *order]}
    return _by_depth(list(ordered.values()))


def _by_depth(nodes: list[Node]) -> list[Node]:
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


def _in_keras_order(
    inputs: list[KerasTensor], outputs: list[KerasTensor], nodes: list[Node]
) -> list[Any]:
    """Layers and ops in Keras's order, which numbers the weights in its files.

    Farthest from the outputs first, a shared layer at its farthest call; then in the order of
    a walk from the outputs back (Keras 3 `ops/function.py`).
    """
    ends = {id(x) for x in inputs}
    inputs_of = _with_masks(nodes)
    seen: dict[int, int] = {}
    first: dict[int, int] = {}
    walked: list[Node] = []
    for output in outputs:
        stack: list[tuple[Node | None, Node | None]] = [(output.node, None)]
        while stack:
            node, finished = stack.pop()
            if finished is not None:
                walked.append(finished)
            if node is None or id(node) in seen or id(node) not in inputs_of:
                continue
            seen[id(node)] = len(seen)
            first.setdefault(id(node.operation), len(first))
            stack.append((None, node))
            stack.extend(
                (x.node, None)
                for x in reversed(inputs_of[id(node)])
                if id(x) not in ends or (x.node is not None and not x.node.inputs)
            )
    depth: dict[int, int] = {}
    far: dict[int, int] = {}
    for node in reversed(walked):
        d = max(depth.get(id(node), 0), far.get(id(node.operation), 0))
        depth[id(node)] = far[id(node.operation)] = d
        for x in inputs_of[id(node)]:
            if x.node is not None:
                depth[id(x.node)] = max(depth.get(id(x.node), 0), d + 1)
    operations = {id(n.operation): n.operation for n in nodes}
    return sorted(operations.values(), key=lambda o: (-far.get(id(o), 0), first.get(id(o), -1)))


class _MaskStep:
    """A step that makes a mask: a call of its own in Keras, part of the layer's call here.

    It stands for the call and for the mask that comes of it.
    """

    def __init__(self, inputs: list[Any]) -> None:
        self.operation = self.node = self
        self.inputs = inputs


def _with_masks(nodes: list[Node]) -> dict[int, list[Any]]:
    """What each call takes in Keras, where masks that reach a layer are inputs of its call too.

    The steps that make them are calls there, so that they move what they start from farther from
    the outputs, and with that to another place among the layers.
    """
    inputs: dict[int, list[Any]] = {}
    made: dict[int, Any] = {}

    def mask_of(x: Any) -> Any:
        return made.get(id(x.mask)) if isinstance(x, KerasTensor) and x.mask is not None else None

    def stands_for(x: Any) -> Any:
        return made.get(id(x), x)

    def step(source: Any) -> Any:
        if not isinstance(source, tuple):
            return source
        new = _MaskStep([x for x in map(step, source) if isinstance(x, KerasTensor | _MaskStep)])
        inputs[id(new)] = new.inputs
        return new

    for node in nodes:
        kwargs, masks = _masks_taken(node, mask_of, stands_for)
        leaves = [stands_for(x) for x in tree.flatten([node.args, kwargs])]
        inputs[id(node)] = [x for x in leaves if isinstance(x, KerasTensor | _MaskStep)]
        sources_of = getattr(node.operation, "_mask_sources", None)
        masked = [x.mask for x in tree.flatten(node.outputs) if x.mask is not None]
        if masked and node.args and sources_of is not None:
            source = step(sources_of(node.args[0], masks))
            if isinstance(source, KerasTensor | _MaskStep):
                made.update((id(mask), source) for mask in masked)
    return inputs


def _masks_taken(
    node: Node, mask_of: Callable[[Any], Any], stands_for: Callable[[Any], Any]
) -> tuple[dict[str, Any], Any]:
    """Arguments by name with the mask that Keras adds, and the masks of the first argument.

    Keras notes the mask that it adds for a tensor given alone, and for a functional model.
    """
    masks = tree.map_structure(mask_of, node.args[0]) if node.args else None
    own, call = node.kwargs.get("mask"), getattr(type(node.operation), "call", None)
    if own is not None:
        return node.kwargs, tree.map_structure(stands_for, own)
    functional = getattr(node.operation, "model_kind", None) == "functional"
    alone = not node.kwargs and len(node.args) == 1 and isinstance(node.args[0], KerasTensor)
    if call is None or not (functional or alone) or not call_parameters(call)[2]:
        return node.kwargs, masks
    return {**node.kwargs, "mask": masks}, masks
