"""`Layer`: weights, sublayers and `call`, traced when used inside a model, run at once on arrays.

A layer never runs per batch: `fit` and `predict` trace it once. Behaviour follows
`keras.layers.Layer`. Depends on `symbolic`, `variables`, `serial`.
"""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

import numpy as np

from fastnn import _core, config, constraints as _constraints, initializers, regularizers
from fastnn._core import Tensor
from fastnn.base import tree
from fastnn.base.arguments import as_number, call_parameters, takes_numbers
from fastnn.base.caching import cached
from fastnn.dtype_policies import DTypePolicy, computing_dtype
from fastnn.errors import (
    ConfigError,
    DataError,
    FastnnError,
    ShapeError,
    TraceError,
    nearest,
    reject_arguments,
)
from fastnn.random import SeedGenerator
from fastnn.serialization.registry import file_budget, plain
from fastnn.tracing.call_context import CallContext, NameScope, current_call, current_names
from fastnn.tracing.fingerprint import UNTRACED
from fastnn.tracing.symbolic import KerasTensor, Node, infer, is_symbolic, known_sizes, wrap
from fastnn.tracing.variables import (
    Scope,
    Variable,
    assign_all,
    current_scope,
    read_all,
    suspended_scope,
    touch,
)

__all__ = ["InputSpec", "Layer"]

Shape = tuple[int | None, ...]


class InputSpec:
    """What a layer demands of an input: rank, and sizes along some axes."""

    def __init__(
        self,
        dtype: str | None = None,
        shape: Sequence[int | None] | None = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: dict[int, int] | None = None,
        **_: Any,
    ) -> None:
        self.dtype, self.shape = dtype, None if shape is None else tuple(shape)
        self.ndim = len(self.shape) if self.shape is not None else ndim
        self.max_ndim, self.min_ndim, self.axes = max_ndim, min_ndim, dict(axes or {})

    def check(self, shape: Shape, layer: Layer, index: int = 0) -> None:
        """ShapeError when input `index` of a layer, of this shape, does not meet the demands."""
        who = f"layer {layer.name!r} ({type(layer).__name__})"
        where = f"Input {index} of {who} is incompatible with the layer: it"
        rank = len(shape)
        if self.ndim is not None and rank != self.ndim:
            raise ShapeError(
                f"{where} expects inputs of {self.ndim} axes, got {rank}: shape {shape}\n"
                "  hint: reshape the input or add the missing axis with x[..., None]"
            )
        if self.min_ndim is not None and rank < self.min_ndim:
            raise ShapeError(
                f"{where} expects inputs of at least {self.min_ndim} axes, got shape {shape}\n"
                f"  hint: the first axis is the batch: shape (n, {'…' if rank else 'features'})"
            )
        if self.max_ndim is not None and rank > self.max_ndim:
            raise ShapeError(
                f"{where} expects inputs of at most {self.max_ndim} axes, got shape {shape}\n"
                "  hint: flatten the input first: layers.Flatten()"
            )
        for axis, size in self.axes.items():
            if size is not None and shape[axis] not in (size, None):
                raise ShapeError(
                    f"{where} was built for {size} features on axis {axis}, "
                    f"the input has {shape[axis]}: shape {shape}\n"
                    f"  hint: give inputs of shape {_with_axis(shape, axis, size)} "
                    "or build a new layer"
                )


def _with_axis(shape: Shape, axis: int, size: int) -> Shape:
    new = list(shape)
    new[axis] = size
    return tuple(new)


def shapes_of(value: Any) -> Any:
    """Shapes in place of tensors."""
    return tree.map_structure(lambda x: known_sizes(x.shape) if hasattr(x, "shape") else (), value)


def as_tensors(value: Any) -> Any:
    """Arrays, numbers and variables in `value` as tensors; lists of numbers as one tensor."""
    if isinstance(value, Tensor | KerasTensor):
        return value
    if isinstance(value, Variable):
        return value.value
    if isinstance(value, np.ndarray | np.generic | int | float):
        return _core.tensor(value)
    if isinstance(value, dict):
        return {k: as_tensors(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        leaves = tree.flatten(value)
        if leaves and all(isinstance(x, int | float) for x in leaves):
            return _core.tensor(value)
        return type(value)(as_tensors(v) for v in value)
    if hasattr(value, "__array__") or hasattr(value, "__dlpack__"):
        return _core.tensor(value)
    return value


class Layer:
    """A function with weights.

    Subclasses define `__init__`, `build(input_shape)` where weights are added with `add_weight`,
    and `call(inputs, …)`. Keyword arguments of every layer: `name`, `trainable`, `dtype`
    ("float32"), `activity_regularizer`, `input_shape` (sizes without the batch).
    """

    #: What files do with it if it is a model: "functional", "sequential" or "subclassed".
    model_kind: str | None = None
    _init_arguments: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Remembers the arguments for the config."""
        required = _required(cls) if args or kwargs else ()  # copies come without arguments
        missing = [n for i, n in enumerate(required) if i >= len(args) and n not in kwargs]
        if missing:
            raise _lacking(cls, missing[0], kwargs)
        layer = super().__new__(cls)
        if cls.__module__.startswith("fastnn."):
            args, kwargs = as_number(args), {k: as_number(v) for k, v in kwargs.items()}
        object.__setattr__(layer, "_init_arguments", (args, kwargs))
        return layer

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        takes_numbers(cls)

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        autocast: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        computing_dtype(dtype, type(self).__name__)
        given = _input_shape_of(kwargs)
        if kwargs:
            raise reject_arguments(type(self).__name__, kwargs, _constructor(type(self)))
        if name is not None and not isinstance(name, str):
            raise ValueError(f"name is {name!r}, wanted text\n  hint: name='hidden'")
        self.name = name or config.unique_name(config.snake_case(type(self).__name__))
        self._trainable = bool(trainable)
        self.built = False
        self._build_config: dict[str, Any] | None = None
        self.supports_masking = False
        self.input_spec: Any = None
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self._variables: list[Variable] = []
        self._losses: list[Any] = []
        self._given_input_shape = given
        self._nodes: list[Node] = []

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle takes along: all but the calls in graphs of other layers."""
        return {**self.__dict__, "_nodes": []}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Takes what `__getstate__` gave."""
        self.__dict__.update(state)
        touch()

    # ---- weights -----------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Variable):
            held = self.__dict__.get("_variables")
            if held is None:
                raise self._init_missing()
            if not any(v is value for v in held):
                held.append(value)
            touch()
        elif isinstance(value, Layer):
            if "_variables" not in self.__dict__:
                raise self._init_missing()
            touch()
        elif name not in UNTRACED:
            self._note_change(name)
        object.__setattr__(self, name, value)

    def _note_change(self, name: str) -> None:
        """Traces are looked at again, unless it is a call that changes what it keeps."""
        moving = self.__dict__.get("_moving", ())
        if current_call() is None:
            if name in moving:
                moving.discard(name)
            touch()
        elif name not in self.__dict__:
            touch()
        elif name not in moving:
            object.__setattr__(self, "_moving", {*moving, name})
            touch()

    def __delattr__(self, name: str) -> None:
        touch()
        object.__delattr__(self, name)

    def _init_missing(self) -> RuntimeError:
        return RuntimeError(
            f"{type(self).__name__} sets layers or weights before its base is set up\n"
            "  hint: call super().__init__() first in __init__"
        )

    def add_weight(
        self,
        shape: Sequence[int] | None = None,
        initializer: Any = None,
        dtype: str | None = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: str = "none",
        name: str | None = None,
        **_: Any,
    ) -> Variable:
        """A new variable of this shape; float weights start glorot-uniform, others at zero."""
        dtype = dtype or "float32"
        shape = as_number(shape)
        shape = () if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
        start = initializer if initializer is not None else (
            "glorot_uniform" if dtype == "float32" else "zeros"
        )  # fmt: skip
        for size in shape:
            if size is None:
                raise ShapeError(
                    f"layer {self.name!r} ({type(self).__name__}): weight {name!r} of shape "
                    f"{shape} needs a size that the input leaves open on axis {shape.index(None)}\n"
                    "  hint: give that size in Input(shape=...)"
                )
        budget = file_budget()
        if budget is not None:
            budget.weights(shape, f"layer {self.name!r} ({type(self).__name__})")
            start = "zeros"
        try:
            with suspended_scope():
                variable = Variable(
                    initializers.get(start),
                    shape,
                    dtype,
                    trainable,
                    name,
                    regularizer=regularizers.get(regularizer),
                    constraint=_constraints.get(constraint),
                )
        except MemoryError:
            raise MemoryError(
                f"layer {self.name!r} ({type(self).__name__}): weight {name!r} of shape {shape} "
                f"needs {4 * math.prod(shape):.3g} bytes, more than there are\n"
                "  hint: fewer units, or narrower inputs"
            ) from None
        prefix = current_names()
        if prefix[-1:] != [self.name]:
            prefix = [*prefix, self.name]
        variable.path = "/".join([*prefix, variable.name])
        self._variables.append(variable)
        touch()
        return variable

    add_variable = add_weight

    def _sublayers(self) -> Iterator[Layer]:
        seen: set[int] = set()
        for key, value in self.__dict__.items():
            if value.__class__ in _PLAIN or key in ("_nodes", "_init_arguments"):
                continue
            for layer in _layers_in(value):
                if id(layer) not in seen:
                    seen.add(id(layer))
                    yield layer

    def _every_layer(self) -> Iterator[Layer]:
        seen: set[int] = set()
        pending: list[Layer] = [self]
        while pending:
            layer = pending.pop(0)
            if id(layer) in seen:
                continue
            seen.add(id(layer))
            yield layer
            pending = [*layer._sublayers(), *pending]

    def _collect(self, wanted: Callable[[Variable], bool]) -> list[Variable]:
        found: dict[Variable, None] = {}
        for layer in self._every_layer():
            for v in layer._own():
                if wanted(v):
                    found[v] = None
        return list(found)

    @property
    def weights(self) -> list[Variable]:
        """All weights, trainable ones of a layer first."""
        return self._collect(lambda v: True)

    @property
    def variables(self) -> list[Variable]:
        """Weights and the states of random generators, layer by layer."""
        found: dict[Variable, None] = {}
        for layer in self._every_layer():
            own = layer._variables
            for v in [v for v in own if v._trainable] + [v for v in own if not v._trainable]:
                found[v] = None
            for generator in layer._own_generators():
                found[generator.state] = None
        return list(found)

    def _own_generators(self) -> list[SeedGenerator]:
        return [v for v in self.__dict__.values() if isinstance(v, SeedGenerator)]

    def _seed_generators(self) -> list[SeedGenerator]:
        found = [g for layer in self._every_layer() for g in layer._own_generators()]
        return list({id(g): g for g in found}.values())

    @property
    def trainable_weights(self) -> list[Variable]:
        """Weights that `fit` changes by gradients."""
        found: dict[Variable, None] = {}
        frozen: set[int] = set()
        for layer in self._every_layer():
            if not layer._trainable or id(layer) in frozen:
                frozen.update(id(x) for x in layer._sublayers())
                continue
            for v in layer._variables:
                if v._trainable:
                    found[v] = None
        return list(found)

    trainable_variables = trainable_weights

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The other weights."""
        moving = {id(v) for v in self.trainable_weights}
        return [v for v in self.weights if id(v) not in moving]

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """Weights that are not trained, and the states of random generators."""
        moving = {id(v) for v in self.trainable_weights}
        return [v for v in self.variables if id(v) not in moving]

    @property
    def trainable(self) -> bool:
        """Whether `fit` changes the weights; setting it sets all sublayers."""
        return self._trainable

    @trainable.setter
    def trainable(self, flag: bool) -> None:
        for layer in self._every_layer():
            layer._trainable = bool(flag)
        touch()

    @property
    def dtype(self) -> str:
        """The type of the weights."""
        return "float32"

    variable_dtype = compute_dtype = dtype

    @property
    def dtype_policy(self) -> DTypePolicy:
        """The policy: always "float32"."""
        return DTypePolicy()

    def count_params(self) -> int:
        """Number of weight elements."""
        if not self.built and not self.weights and type(self).build is not Layer.build:
            raise ValueError(
                f"layer {self.name!r} has no weights yet, it is not built\n"
                "  hint: call it on data or use build(input_shape)"
            )
        return sum(v.size for v in self.weights)

    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """Copies of all weights, in the order of `weights` and of one moment.

        While `fit` runs in another thread, that is between two of its steps.
        """
        return read_all(self.weights)

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Sets all weights from arrays in the order of `weights`, at one moment.

        While `fit` runs in another thread, that is between two of its steps.
        """
        own = self.weights
        if len(own) != len(weights):
            raise ValueError(
                f"set_weights on {self.name!r}: got {len(weights)} arrays, it has {len(own)} "
                f"weights: {', '.join(v.path for v in own[:8])}\n"
                "  hint: give what get_weights() returned"
            )
        for v, value in zip(own, weights, strict=True):
            if tuple(np.shape(value)) != v.shape:
                raise ShapeError(
                    f"set_weights on {self.name!r}: weight {v.path!r} has shape {v.shape}, "
                    f"got {np.shape(value)}\n  hint: the arrays stand in the order of `weights`"
                )
        assign_all(own, weights)

    def _own(self) -> list[Variable]:
        """The weights of this layer itself in the order of files: trainable ones first."""
        own = self._variables
        return [v for v in own if v._trainable] + [v for v in own if not v._trainable]

    def save_own_variables(self, store: Any) -> None:
        """Puts this layer's own weights into a mapping, under "0", "1", …."""
        for i, v in enumerate(self._own()):
            store[str(i)] = np.array(v.numpy())

    def load_own_variables(self, store: Any) -> None:
        """Sets this layer's own weights from a mapping that `save_own_variables` filled."""
        own = self._own()
        if set(store.keys()) != {str(i) for i in range(len(own))}:
            raise ValueError(
                f"Layer {self.name!r} expected {len(own)} variables, but received "
                f"{len(store.keys())} variables during loading: {', '.join(sorted(store.keys()))}\n"
                f"  hint: it has {', '.join(v.path for v in own) or 'none; build it first'}"
            )
        values = [np.asarray(store[str(i)]) for i in range(len(own))]
        for v, value in zip(own, values, strict=True):
            if value.shape != v.shape:
                raise ShapeError(
                    f"layer {self.name!r}: weight {v.path!r} has shape {v.shape}, the store holds "
                    f"{value.shape}\n  hint: it was written by another layer"
                )
        for v, value in zip(own, values, strict=True):
            v.assign(value)

    # ---- losses ------------------------------------------------------------------------------

    def add_loss(self, loss: Any) -> None:
        """Adds a number to the loss that `fit` minimises; use it inside `call`."""
        scope = current_scope()
        for x in tree.flatten(loss):
            (self._losses if scope is None or scope.eager else scope.losses).append(x)

    @property
    def losses(self) -> list[Any]:
        """Losses added in the last call on arrays, and the penalties of regularised weights."""
        added = [x for layer in self._every_layer() for x in layer._losses]
        return added + self._penalties()

    def _penalties(self) -> list[Tensor]:
        return [v.regularizer(v.value) for v in self.trainable_weights if v.regularizer is not None]

    # ---- calling -----------------------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        """Makes the weights; subclasses override it."""
        self.built = True

    def _build_at_init(self) -> None:
        """Marks a layer without weights as built, unless a subclass has a `build` of its own."""
        self.built = type(self).build is Layer.build

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """The computation; subclasses define it."""
        raise NotImplementedError(
            f"{type(self).__name__} has no `call` method\n  hint: def call(self, inputs): ..."
        )

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The mask of the outputs: that of the inputs, for layers that keep positions."""
        return previous_mask

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """The shape of the outputs for an input shape."""
        return shapes_of(self._trace_shapes(*args, **kwargs))

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Symbolic outputs for symbolic inputs."""
        return self(*args, **kwargs)

    def _trace_shapes(self, *shapes: Any, **kwargs: Any) -> Any:
        inputs = tuple(_map_shapes(s) for s in [*shapes, *kwargs.values()])
        leaves = tree.flatten(inputs)
        self._build_open(leaves, inputs, {})

        def run(replaced: Callable[[Any], Any]) -> Any:
            with Scope(training=False), CallContext(False):
                return self._run(replaced(inputs), {})

        return infer(leaves, run)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the layer, building it first if needed."""
        if is_symbolic(args) or is_symbolic(kwargs):
            return self._call_symbolic(args, kwargs)
        return self._run(tuple(as_tensors(a) for a in args), kwargs)

    def _call_symbolic(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        node = Node(self, args, kwargs)
        inputs = node.inputs
        self._build_open(inputs, args, kwargs)

        def run(replaced: Callable[[Any], Any]) -> Any:
            with Scope(training=False), CallContext() as context:
                for x in inputs:
                    if x.mask is not None:
                        context.set_mask(replaced(x), replaced(x.mask))
                outputs = self._run(replaced(args), replaced(kwargs))
                return outputs, [context.mask_of(x) for x in tree.flatten(outputs)]

        if type(self).compute_output_spec is not Layer.compute_output_spec:
            # The layer says what it gives, so its call is not traced (as in Keras).
            if not self.built:
                self._ensure_built(args, kwargs)
            outputs = self.compute_output_spec(*args, **kwargs)
            self._nodes.append(node)
            return wrap(outputs, node, self.name)
        try:
            outputs, masks = infer([args, kwargs, [x.mask for x in inputs]], run)
        except TraceError:
            # The call reads values, as a layer may that is run eagerly; its own word is taken.
            if type(self).compute_output_shape is Layer.compute_output_shape or not args:
                raise
            outputs = KerasTensor.shaped(tuple(self.compute_output_shape(shapes_of(args[0]))))
            masks = [None]
        if not tree.flatten(outputs):
            raise DataError(
                f"layer {self.name!r} ({type(self).__name__}): its call returned nothing\n"
                "  hint: end call(self, inputs) with `return ...`"
            )
        wrapped = wrap(outputs, node, self.name)
        for i, (x, mask) in enumerate(zip(tree.flatten(wrapped), masks, strict=True)):
            if mask is not None:
                x.mask = mask.made(node, f"{self.name}_mask", i)
        self._nodes.append(node)
        return wrapped

    def _build_open(self, inputs: list[KerasTensor], args: Any, kwargs: dict[str, Any]) -> None:
        """Builds for inputs with open sizes before the trace, where `build` is named in errors."""
        if self.built or not any(None in x.shape[1:] for x in inputs):
            return
        try:
            with NameScope(self.name):
                self._ensure_built(args, kwargs)
        except FastnnError as error:
            raise self._located(error) from None

    def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        outer = current_call()
        if outer is None:
            self._clear_losses()
            with CallContext() as context:
                return self._run_in(context, args, kwargs)
        return self._run_in(outer, args, kwargs)

    def _clear_losses(self) -> None:
        if self._losses or self.__dict__.get("_has_sublayers", True):
            for layer in self._every_layer():
                layer._losses.clear()

    def _run_in(self, context: CallContext, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        _, takes_training, takes_mask, _ = call_parameters(type(self).call)
        budget = file_budget()
        if budget is not None:
            budget.call()
        before = context.training
        kwargs = dict(kwargs)
        given = kwargs.get("training")
        context.training = given if given is not None else before
        if takes_training:
            kwargs["training"] = context.training
        elif "training" in kwargs:
            del kwargs["training"]
        try:
            with NameScope(self.name):
                if not self.built:
                    self._check_inputs(args)  # `build` reads sizes that have to be there
                self._ensure_built(args, kwargs)
                self._check_inputs(args)
                masks = tree.map_structure(context.mask_of, args[0]) if args else None
                if takes_mask and kwargs.get("mask") is None and _any_mask(masks):
                    kwargs["mask"] = masks
                outputs = self.call(*args, **kwargs)
        except FastnnError as error:
            raise self._located(error) from None
        finally:
            context.training = before
        self._after(context, args, outputs, kwargs.get("mask") if takes_mask else masks)
        return outputs

    def _after(self, context: CallContext, args: Any, outputs: Any, mask: Any) -> None:
        if self.activity_regularizer is not None:
            for x in tree.flatten(outputs):
                loss = self.activity_regularizer(x)
                # Per sample, so that the penalty does not grow with the batch (as Keras 3.15).
                self.add_loss(loss / _core.ops.extent(x, axis=[0]) if len(x.shape) else loss)
        if self.supports_masking and args:
            new = self.compute_mask(args[0], mask)
            for x, m in zip(tree.flatten(outputs), _as_list(new), strict=False):
                if m is not None:
                    context.set_mask(x, m)
        elif _any_mask(mask) and not self._takes_masks(context, outputs):
            object.__setattr__(self, "_masks_lost", True)
            warnings.warn(
                f"Layer {self.name!r} (of type {type(self).__name__}) was passed an input with a "
                "mask attached to it. However, this layer does not support masking and will "
                "therefore destroy the mask information. Downstream layers will not see the mask.",
                stacklevel=2,
            )

    def _takes_masks(self, context: CallContext, outputs: Any) -> bool:
        """Whether a mask serves this layer or reaches its outputs, or its loss was told before."""
        return (
            self.__dict__.get("_masks_lost", False)
            or call_parameters(type(self).call)[2]
            or any(context.mask_of(x) is not None for x in tree.flatten(outputs))
        )

    def _ensure_built(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self.built:
            return
        if type(self).build is not Layer.build and args:
            names = list(inspect.signature(self.build).parameters)
            with suspended_scope():
                if len(names) > 1:
                    call_names = call_parameters(type(self).call)[0]
                    values = dict(zip(call_names, args, strict=False)) | kwargs
                    shapes = {
                        f"{k}_shape": shapes_of(v)
                        for k, v in values.items()
                        if f"{k}_shape" in names and v is not None
                    }
                    self._build_config = {"shapes_dict": shapes}
                    self.build(**shapes)
                else:
                    self._build_config = {"input_shape": shapes_of(args[0])}
                    self.build(shapes_of(args[0]))
        self.built = True

    def _check_inputs(self, args: tuple[Any, ...]) -> None:
        if self.input_spec is None or not args:
            return
        leaves = tree.flatten(args[0])
        wanted = self.input_spec if isinstance(self.input_spec, list) else [self.input_spec]
        for i, (spec, x) in enumerate(zip(wanted, leaves, strict=False)):
            if not hasattr(x, "shape"):
                raise DataError(
                    f"layer {self.name!r} got {type(x).__name__}, wanted an array\n"
                    "  hint: numpy.asarray(x)"
                )
            spec.check(tuple(x.shape), self, i)

    def _located(self, error: FastnnError) -> FastnnError:
        text = str(error)
        if "layer '" in text:
            return error
        head, mark, hint = text.partition("\n  hint:")
        where = f"\n  in layer {self.name!r} ({type(self).__name__})"
        return type(error)(head + where + mark + hint)

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
        if self._nodes:
            return self._nodes[0]
        raise AttributeError(
            f"layer {self.name!r} was never called on symbolic tensors, so it has no input or "
            "output\n  hint: start the model with Input(...) and call its layers on that"
        )

    # ---- config ------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """Name, trainable flag and the constructor's arguments."""
        result: dict[str, Any] = {
            "name": self.name,
            "trainable": self._trainable,
            "dtype": "float32",
        }
        if self.activity_regularizer is not None:
            result["activity_regularizer"] = plain(self.activity_regularizer)
        constructor = _constructor(type(self))
        signature = inspect.signature(constructor)
        args, kwargs = self._init_arguments
        given = signature.bind_partial(self, *args, **kwargs).arguments
        own = type(self).__module__.startswith("fastnn.")
        for name, p in list(signature.parameters.items())[1:]:
            if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) or name in result:
                continue
            value = getattr(self, name, p.default) if own or name not in given else given[name]
            try:
                result[name] = plain(None if value is p.empty else value)
            except TypeError as error:
                raise TypeError(
                    f"layer {self.name!r} ({type(self).__name__}): argument `{name}`: {error}"
                ) from None
        return result

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A new layer from a config."""
        try:
            return cls(**config)
        except FastnnError:
            raise
        except (TypeError, ValueError) as error:
            text = str(error)
            if "\n  hint:" not in text:
                text += "\n  hint: give what get_config() returned"
            raise ConfigError(f"{cls.__name__} cannot be made from its config: {text}") from error

    def __repr__(self) -> str:
        built = f", {sum(v.size for v in self.weights):,} weights" if self.built else ", not built"
        return f"<{type(self).__name__} name={self.name}{built}>"


@cached()
def _required(cls: type) -> tuple[str, ...]:
    """Names of the constructor's parameters that have no default, in order."""
    parameters = list(inspect.signature(_constructor(cls)).parameters.values())[1:]
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(p.name for p in parameters if p.kind in kinds and p.default is p.empty)


def _lacking(cls: type, name: str, kwargs: dict[str, Any]) -> TypeError:
    """The error for an argument that is missing, perhaps because it is misspelt."""
    known = inspect.signature(_constructor(cls)).parameters
    close = nearest(name, [key for key in kwargs if key not in known], 1)
    hint = f"`{close[0]}` is called `{name}`" if close else f"{cls.__name__}({name}=...)"
    return TypeError(
        f"{cls.__name__} needs the argument {name!r}, which is missing\n  hint: {hint}"
    )


def _constructor(cls: type) -> Callable[..., Any]:
    """The `__init__` nearest to the class that was written for it."""
    return cls.__init__  # type: ignore[misc, no-any-return]


def _input_shape_of(kwargs: dict[str, Any]) -> Shape | None:
    """Takes Keras's older spellings of the input shape out of `kwargs`: without the batch."""
    for key in ("input_shape", "batch_input_shape", "batch_shape", "input_dim"):
        if key in kwargs:
            value = kwargs.pop(key)
            if value is None:
                continue
            sizes = (value,) if isinstance(value, int) else tuple(value)
            return sizes[1:] if key.startswith("batch") else sizes
    return None


def _map_shapes(shape: Any) -> Any:
    """Symbolic tensors for a shape, or for a nested structure of shapes."""
    if isinstance(shape, dict):
        return {k: _map_shapes(v) for k, v in shape.items()}
    if isinstance(shape, list | tuple) and any(isinstance(d, list | tuple) for d in shape):
        return [_map_shapes(d) for d in shape]
    return KerasTensor(shape, name="input")


#: Classes of most attributes, which hold no layers.
_PLAIN = frozenset((bool, int, float, str, type(None), np.ndarray, Variable))


def _layers_in(value: Any) -> list[Layer]:
    if isinstance(value, Layer):
        return [value]
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return []
    return [layer for x in value if x.__class__ not in _PLAIN for layer in _layers_in(x)]


def _any_mask(masks: Any) -> bool:
    return any(m is not None for m in tree.flatten(masks))


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
