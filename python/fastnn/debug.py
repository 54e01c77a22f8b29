"""Finds the first value that is not finite; shows outputs and graph layer by layer.

A model is called once on the given batch, layer by layer, without changing its state. Depends on
`layers`, `variables` and `_core`.
"""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn import _core
from fastnn._core import Tensor
from fastnn.base import tree
from fastnn.base.absent import answer_missing
from fastnn.base.arguments import hints_arguments
from fastnn.base.atomic import write_text
from fastnn.errors import DataError
from fastnn.layers.base.call import as_tensors
from fastnn.layers.base.layer import Layer
from fastnn.tracing.call_context import CallContext, current_names
from fastnn.tracing.variables import Scope, Variable, gradients
from fastnn.training.timing import LayerTime, layer_times

__all__ = [
    "LayerOutput", "LayerTime", "NotFinite", "find_nan", "layer_outputs", "layer_times", "profile",
    "show_graph",
]  # fmt: skip


@dataclass(frozen=True)
class NotFinite:
    """The first value that is NaN or infinite, as `find_nan` found it.

    Args:
        what: `"input"`, `"weight"`, `"layer input"`, `"layer output"`, `"loss"` or `"gradient"`.
        where: The path of the layer or of the weight, such as `"encoder/dense_1"`; the number of
            the input for `"input"`; empty for `"loss"`.
        count: How many values are not finite.
        size: How many values there are in all.
        index: Where the first of them stands, one number an axis.
        value: The first of them: nan, inf or -inf.

    Example:
        >>> import fastnn
        >>> str(fastnn.debug.NotFinite("loss", "", 1, 1, (), float("inf"))).splitlines()[0]
        'the loss is inf'
    """

    what: str
    where: str
    count: int
    size: int
    index: tuple[int, ...]
    value: float

    def __str__(self) -> str:
        """One sentence, and a hint."""
        if self.what == "loss":
            return f"the loss is {self.value}\n  hint: {_HINTS[self.what]}"
        at = f"first at {list(self.index)}: {self.value}"
        return (
            f"{self.what} {self.where!r}: {self.count} of {self.size} values are not finite, {at}\n"
            f"  hint: {_HINTS[self.what]}"
        )


_HINTS = {
    "input": "clean the data: np.nan_to_num, or drop the rows",
    "weight": "training has diverged before: a smaller learning rate, or clipnorm=1.0",
    "layer input": "it arises between layers, in the `call` of the model or layer around this one",
    "layer output": "its inputs and weights are finite: look for log(0), 0 / 0, a large exp",
    "loss": "predictions are finite: look for log(0) in the loss, or use from_logits=True",
    "gradient": "the loss is finite: look for sqrt or a power at 0, or a norm of zeros",
}


@dataclass(frozen=True)
class LayerOutput:
    """What a layer gave in one call of a model, as `layer_outputs` lists it.

    Args:
        path: The layer's name after the names of the layers around it, joined by `/`.
        kind: The layer's class, such as `"Dense"`.
        shape: The output's shape, batch first.
        dtype: The output's type, such as `"float32"`.
        values: The output itself, a NumPy array.

    Example:
        >>> import fastnn
        >>> layers = [fastnn.Input((2,)), fastnn.layers.ReLU(name="cut")]
        >>> model = fastnn.Sequential(layers, name="m")
        >>> print(fastnn.debug.layer_outputs(model, [[-1.0, 3.0]])[0])
        m/cut (ReLU): (1, 2) float32, 0 to 3, mean 1.5, 50.0 % zeros
    """

    path: str
    kind: str
    shape: tuple[int, ...]
    dtype: str
    values: np.ndarray[Any, Any]

    def __str__(self) -> str:
        """Shape, type, range, mean and the share of zeros; or how many values are not finite."""
        head = f"{self.path} ({self.kind}): {self.shape} {self.dtype}"
        if not self.values.size:
            return f"{head}, empty"
        x = self.values.astype(np.float64)
        bad = int(x.size - np.isfinite(x).sum())
        if bad:
            return f"{head}, {bad} of {x.size} values are NaN or infinite"
        zeros = 100 * float((x == 0).mean())
        span = f"{x.min():.4g} to {x.max():.4g}, mean {x.mean():.4g}"
        return f"{head}, {span}, {zeros:.1f} % zeros"


class _Watch(CallContext):
    """A call that notes what every layer takes and gives, inner layers before outer ones."""

    def __init__(self, training: bool) -> None:
        super().__init__(training)
        self.calls: list[tuple[str, Layer, list[Tensor], list[Tensor]]] = []

    def called(self, layer: Layer, args: tuple[Any, ...], outputs: Any) -> None:
        """Notes one call."""
        path = "/".join([*current_names(), layer.name])
        self.calls.append((path, layer, _tensors(args), _tensors(outputs)))


def _tensors(nested: Any) -> list[Tensor]:
    return [x for x in tree.flatten(nested) if isinstance(x, Tensor)]


def _called(model: Layer, x: Any, training: bool, scope: Scope) -> tuple[_Watch, Any]:
    """A call of the model within `scope`, which takes up what the call would assign."""
    if not isinstance(model, Layer):
        raise DataError(
            f"fastnn.debug looks into layers and models, not {type(model).__name__}"
            "\n  hint: find_nan(model, x)"
        )
    if not model.built:
        model(x)  # makes the weights
    with scope, _Watch(training) as watch:
        return watch, Layer.__call__(model, x)


def _checked(what: str, where: str, value: Any) -> NotFinite | None:
    """A finding if `value` holds anything but finite numbers."""
    x = np.asarray(value)
    finite = np.isfinite(x)
    if finite.all():
        return None
    index = tuple(int(i) for i in np.argwhere(~finite)[0])
    return NotFinite(what, where, int((~finite).sum()), x.size, index, float(x[index]))


@hints_arguments
def find_nan(
    model: Layer,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    training: bool | None = None,
) -> NotFinite | None:
    """The first place where a model's numbers stop being finite, or None where all are.

    Looks in this order: the inputs, the weights, the input and output of every layer as they are
    called, and, when `y` is given, the compiled loss and the gradient of every trainable weight.
    The model stays as it is: no weight, moving average or random state changes.

    Args:
        model: A model or layer. Compiled, when `y` is given.
        x: One batch of inputs, as for `model(x)`: an array, or a list or dict of arrays.
        y: Labels of the batch; loss and gradients are looked at as well.
        sample_weight: One weight a sample for the loss, shape (batch,).
        training: Whether dropout and batch statistics behave as in training; by default they do
            when `y` is given.

    Returns:
        A `NotFinite`, which prints as a sentence with a hint, or None.

    Raises:
        DataError: `model` is neither a layer nor a model.

    Example:
        >>> import numpy as np
        >>> import fastnn
        >>> model = fastnn.Sequential([
        ...     fastnn.Input((2,)),
        ...     fastnn.layers.Rescaling(0.5, name="scale"),
        ...     fastnn.layers.Lambda(fastnn.ops.log, name="log"),
        ... ], name="m")
        >>> print(fastnn.debug.find_nan(model, np.array([[1.0, 2.0]])))
        None
        >>> found = fastnn.debug.find_nan(model, np.array([[1.0, 0.0]]))
        >>> found.what, found.where, found.index, found.value
        ('layer output', 'm/log', (0, 1), -inf)
    """
    x = as_tensors(x)
    for number, array in enumerate(tree.flatten(x)):
        found = _checked("input", str(number), array)
        if found is not None:
            return found
    scope = Scope(training=y is not None if training is None else training)
    watch, outputs = _called(model, x, bool(scope.training), scope)
    losses: list[Tensor] = []
    slopes: list[Tensor] = []
    trained: list[Variable] = []
    if y is not None:
        with scope, CallContext(scope.training):
            weight = None if sample_weight is None else as_tensors(sample_weight)
            loss = model.compute_loss(x, as_tensors(y), outputs, weight)  # type: ignore[attr-defined]
            losses, trained = [loss], list(model.trainable_variables)
            slopes = gradients(loss, trained)
    for variable in model.variables:
        found = _checked("weight", variable.path, np.asarray(variable))
        if found is not None:
            return found
    for path, _, taken, given in watch.calls:
        for what, values in (("layer input", taken), ("layer output", given)):
            for value in values:
                found = _checked(what, path, np.asarray(value))
                # What a layer takes that an earlier one gave would have been found there.
                if found is not None:
                    return found
    for loss in losses:
        found = _checked("loss", "", np.asarray(loss))
        if found is not None:
            return found
    for variable, gradient in zip(trained, slopes, strict=True):
        found = _checked("gradient", variable.path, np.asarray(gradient))
        if found is not None:
            return found
    return None


@hints_arguments
def layer_outputs(model: Layer, x: Any, training: bool = False) -> list[LayerOutput]:
    """What every layer gives for one batch, in the order of the calls, inner layers first.

    The model stays as it is: no weight, moving average or random state changes.

    Args:
        model: A model or layer.
        x: One batch of inputs, as for `model(x)`.
        training: Whether dropout and batch statistics behave as in training.

    Returns:
        A list of `LayerOutput`, one a tensor given; each prints as a line.

    Raises:
        DataError: `model` is neither a layer nor a model.

    Example:
        >>> import numpy as np
        >>> import fastnn
        >>> model = fastnn.Sequential([
        ...     fastnn.Input((2,)),
        ...     fastnn.layers.Dense(3, "relu", kernel_initializer="ones", name="hidden"),
        ...     fastnn.layers.Dense(1, kernel_initializer="ones", name="out"),
        ... ], name="m")
        >>> for line in fastnn.debug.layer_outputs(model, np.ones((4, 2))):
        ...     print(line)
        m/hidden (Dense): (4, 3) float32, 2 to 2, mean 2, 0.0 % zeros
        m/out (Dense): (4, 1) float32, 6 to 6, mean 6, 0.0 % zeros
        m (Sequential): (4, 1) float32, 6 to 6, mean 6, 0.0 % zeros
    """
    watch, _ = _called(model, as_tensors(x), training, Scope(training=training))
    return [
        LayerOutput(path, type(layer).__name__, tuple(t.shape), t.dtype, t.numpy())
        for path, layer, _, given in watch.calls
        for t in given
    ]


@hints_arguments
def profile(
    model: Layer, x: Any, path: str | os.PathLike[str], repeats: int = 5
) -> list[LayerTime]:
    """Writes a trace of one call of a model, with the layers' names, for chrome://tracing.

    The first row holds the layers one after another, the second the compiled call of the whole
    model, in which neighbours are fused: so it is shorter. https://ui.perfetto.dev reads it too.

    Args:
        model: A model or layer.
        x: A batch of inputs, as for `model(x)`.
        path: The JSON file.
        repeats: Calls of which the quickest is written.

    Returns:
        What `layer_times` gives.

    Raises:
        OSError: The file cannot be written.

    Example:
        >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)], name="m")
        >>> times = fastnn.profile(model, np.ones((4, 2), np.float32), "trace.json")
        >>> times[-1].path
        'm'
    """
    times = layer_times(model, x, repeats)
    rows = [(t.path, t.kind, t.start, t.seconds, 1) for t in times]
    whole = min(_seconds(lambda: tree.map_structure(np.asarray, model(x))) for _ in range(repeats))
    rows.append((f"{model.name}, compiled", type(model).__name__, 0.0, whole, 2))
    events: list[dict[str, Any]] = [
        {"name": name, "cat": kind, "ph": "X", "ts": 1e6 * start, "dur": 1e6 * seconds, "pid": 1,
         "tid": row}
        for name, kind, start, seconds, row in rows
    ]  # fmt: skip
    for row, name in ((1, "layers"), (2, "compiled call")):
        events.append(
            {"name": "thread_name", "ph": "M", "pid": 1, "tid": row, "args": {"name": name}}
        )
    write_text(path, json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}))
    return times


def _seconds(call: Any) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


@hints_arguments
def show_graph(model: Layer, x: Any, training: bool = False) -> str:
    """The graph of ops that a model becomes, each line with the layer that it belongs to.

    It is the graph before it is simplified and fused; `FASTNN_DEBUG=graph` prints what is left
    after that, `FASTNN_DEBUG=plan` the steps, and `FASTNN_DEBUG=time` how long each takes.

    Args:
        model: A model or layer.
        x: One batch of inputs, as for `model(x)`. Its first axis is shown as `batch`.
        training: Whether the graph is that of a training step's forward part.

    Returns:
        The text, one line an op.

    Raises:
        DataError: `model` is neither a layer nor a model.
        TraceError: A layer reads values, so that its call has no graph.

    Example:
        >>> import numpy as np
        >>> import fastnn
        >>> model = fastnn.Sequential([
        ...     fastnn.Input((2,)), fastnn.layers.Dense(3, "relu", use_bias=False, name="hidden"),
        ... ], name="m")
        >>> print(fastnn.debug.show_graph(model, np.ones((4, 2))))
        %0 = input() : float32(batch, 2)                                 # input 0
        %1 = input() : float32(2, 3)                                     # m/hidden/kernel
        %2 = matmul(%0, %1) [False, False, float32] : float32(batch, 3)  # m/hidden (Dense)
        %3 = relu(%2) : float32(batch, 3)                                # m/hidden (Dense)
    """
    data = as_tensors(x)
    if isinstance(model, Layer) and not model.built:
        model(data)
    feeds = tree.map_structure(
        lambda a: _core.placeholder((None, *a.shape[1:]), dtype=a.dtype), data
    )
    scope = Scope(training=training, traces=True)
    watch, _ = _called(model, feeds, training, scope)
    given = [(f"{path} ({type(layer).__name__})", t) for path, layer, _, out in watch.calls
             for t in out]  # fmt: skip
    names = [(f"input {i}", t) for i, t in enumerate(tree.flatten(feeds))]
    names += [(v.path, leaf) for v, leaf in scope.leaves.items()]
    marked = [t for _, t in [*names, *given]]
    text = _core.Function(tree.flatten(feeds), marked, []).steps
    listing, ends = text.split("outputs [", 1)
    ids = [int(i) for i in re.findall(r"Id\((\d+)\)", ends.split("]", 1)[0])]
    nodes = dict(enumerate(line for line in listing.splitlines() if line.startswith("%")))
    owner = {i: name for (name, _), i in zip(names, ids, strict=False)}
    for (name, _), end in zip(given, ids[len(names) :], strict=True):
        waiting = [end]
        while waiting:
            node = waiting.pop()
            if node not in owner:
                owner[node] = name
                operands = nodes[node].split(" = ", 1)[1].split(" : ", 1)[0]
                waiting += [int(i) for i in re.findall(r"%(\d+)", operands)]
    shown = {i: _plainly(line) for i, line in nodes.items()}
    width = max(map(len, shown.values()))
    lines = [f"{line:<{width}}  # {owner.get(i, '')}" for i, line in shown.items()]
    return "\n".join(line.removesuffix("  # ").rstrip() for line in lines)


#: Names of element types by the core's own.
_TYPES = {"F32": "float32", "I32": "int32", "BF16": "bfloat16", "F16": "float16",
          "I8": "int8", "U8": "uint8"}  # fmt: skip


def _plainly(line: str) -> str:
    """A line of the core's text with attributes as Python writes them."""
    if " = input()" in line:
        line = re.sub(r" \[Int\(\d+\)\]", "", line)
    line = line.replace("Bool(true)", "True").replace("Bool(false)", "False")
    line = re.sub(r"\bDType\((\w+)\)", lambda m: _TYPES.get(m[1], m[1].lower()), line)
    return re.sub(r"\b(?:Int|Float|Sizes|Str)\(((?:[^()]|\([^()]*\))*)\)", r"\1", line)


answer_missing(globals())
