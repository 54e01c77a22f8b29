"""A layer on tensors: its inputs are checked, it is built when it must be, masks travel along.

Depends on `module`, `call_context`.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from typing import Any, TypeAlias

import numpy as np

from fastnn import _core, config
from fastnn._core import Tensor
from fastnn.base import tree
from fastnn.base.arguments import call_parameters, training_default
from fastnn.base.typing import TensorLike
from fastnn.errors import DataError, FastnnError, ShapeError
from fastnn.layers.base.module import overrides
from fastnn.ops.contract import set_precision
from fastnn.serialization.file_budget import file_budget
from fastnn.tracing.call_context import (
    CallContext,
    NameScope,
    current_call,
    current_names,
    mask_of,
    set_mask,
)
from fastnn.tracing.symbolic import KerasTensor, known_sizes
from fastnn.tracing.variables import Variable, current_scope, suspended_scope

__all__ = [
    "as_called",
    "as_tensors",
    "build_for_call",
    "clear_losses",
    "in_its_name",
    "located",
    "needs_inputs",
    "note_path",
    "noted",
    "run",
    "set_policy",
    "shapes_of",
]

#: A `Layer`; its module is above this one.
AnyLayer: TypeAlias = Any


def set_policy() -> str:
    """The policy of a layer that is made now: of the layer that is being built, or the one set."""
    if _core.product_precision() == "bfloat16":
        return "mixed_bfloat16"
    return config.dtype_policy().name  # type: ignore[no-any-return]


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


def as_called(
    call: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments with the first one by position, however it was given, and arrays as tensors."""
    kwargs = {k: as_tensors(v) if _holds_arrays(v) else v for k, v in kwargs.items()}
    names = () if args else call_parameters(call)[0]
    if names and names[0] in kwargs:
        args = (kwargs.pop(names[0]),)
    return args, kwargs


_OPEN = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def needs_inputs(layer: AnyLayer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """TypeError where a layer's own `call` has an argument that the caller left out."""
    names = []
    for parameter in list(inspect.signature(type(layer).call).parameters.values())[1:]:
        if parameter.kind in _OPEN or parameter.name == "training":  # the call around says that
            continue
        names.append(parameter.name)
        needed = parameter.default is inspect.Parameter.empty
        if needed and len(names) > len(args) and parameter.name not in kwargs:
            wanted = [n for n in names if n != "mask"]
            raise _missing_input(layer, parameter.name, wanted) from None


def _missing_input(layer: AnyLayer, name: str, wanted: list[str]) -> TypeError:
    what = "layer" if layer.model_kind is None else "model"
    kind = type(layer).__name__
    given = ", ".join(wanted)
    call = f"{kind}(...)({given})" if what == "layer" else "model(inputs)"
    if what == "model" and len(wanted) > 1:
        call = f"model({given}); fit gives one argument: def call(self, inputs): {given} = inputs"
    return TypeError(
        f"{what} {layer.name!r} ({kind}) needs the input {name!r}, which is missing\n  hint: {call}"
    )


def _holds_arrays(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(v, np.ndarray | Variable) for v in value)
    return isinstance(value, np.ndarray | Variable)


def run(layer: AnyLayer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Calls a layer on tensors, within the call that this thread is in or as a first one."""
    context = current_call()
    if context is None:
        clear_losses(layer)
        with CallContext() as context:
            return _run_in(layer, context, args, kwargs)
    if not context.depth:  # a step calls it, not a layer
        clear_losses(layer)
    return _run_in(layer, context, args, kwargs)


def clear_losses(layer: AnyLayer) -> None:
    """Forgets what the call before added with `add_loss`."""
    scope = current_scope()
    if scope is not None and scope.losses:
        own = {id(inner) for inner in layer._every_layer()}
        scope.losses = [entry for entry in scope.losses if id(entry[0]) not in own]
    if layer._losses or layer.__dict__.get("_has_sublayers", True):
        for inner in layer._every_layer():
            inner._losses.clear()


def _run_in(
    layer: AnyLayer, context: CallContext, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    names, takes_training, takes_mask, _ = call_parameters(type(layer).call)
    budget = file_budget()
    if budget is not None:
        budget.call()
    before = context.training
    kwargs = dict(kwargs)
    given = kwargs.get("training")
    if given is None:
        # As in Keras: what the call around says, then the default of this call.
        given = training_default(type(layer).call) if before is None else before
    context.training = given
    context.depth += 1
    rounds = layer._policy == "mixed_bfloat16" and layer._rounds_products
    precision = set_precision("bfloat16" if rounds else "float32")
    if takes_training:
        kwargs["training"] = context.training
    elif "training" in kwargs:
        del kwargs["training"]
    try:
        with NameScope(layer.name):
            if not layer.built:
                check_inputs(layer, args)  # `build` reads sizes that have to be there
            layer._ensure_built(args, kwargs)
            check_inputs(layer, args)
            masks = tree.map_structure(mask_of, args[0]) if args else None
            if takes_mask and kwargs.get("mask") is None and _any_mask(masks):
                if _alone(names, args, kwargs):
                    kwargs["mask"] = masks
                else:
                    _warn_of_unused_mask(layer)
            _fill_masks(names, args, kwargs)
            outputs = layer.call(*args, **kwargs)
    except FastnnError as error:
        raise located(layer, error) from None
    except TypeError:
        needs_inputs(layer, args, kwargs)
        raise
    finally:
        set_precision(precision)
        context.training = before
        context.depth -= 1
    given = kwargs.get("mask") if takes_mask else None
    _after(layer, args, outputs, masks if given is None else given)
    context.called(layer, args, outputs)
    return outputs


def _alone(names: list[str], args: Any, kwargs: Any) -> bool:
    """Whether the first argument is the only one with tensors, masks aside.

    Keras hands on the mask of a lone input only: none to an LSTM that is given first states.
    """
    others = [*zip(names[1:], args[1:], strict=False), *kwargs.items()]
    return not any(
        hasattr(leaf, "shape")
        for name, value in others
        if not name.endswith("mask")
        for leaf in tree.flatten(value)
    )


def _warn_of_unused_mask(layer: AnyLayer) -> None:
    if not layer.__dict__.get("_masks_lost", False):
        object.__setattr__(layer, "_masks_lost", True)
        warnings.warn(
            f"Layer {layer.name!r} (of type {type(layer).__name__}) was passed an input with a "
            "mask attached to it and other tensors beside it. As in Keras, the mask is not used "
            "then. To use it, pass it in the call as `mask`.",
            stacklevel=2,
        )


def _fill_masks(names: list[str], args: Any, kwargs: Any) -> None:
    """The masks of single arguments: that of `value` goes to a parameter `value_mask`."""
    for name in names:
        if name.endswith("_mask") and kwargs.get(name) is None and names.index(name) >= len(args):
            of = name.removesuffix("_mask")
            at = names.index(of) if of in names else len(args)
            value = args[at] if at < len(args) else kwargs.get(of)
            mask = mask_of(value)
            if mask is not None:
                kwargs[name] = mask


def _after(layer: AnyLayer, args: Any, outputs: Any, mask: TensorLike) -> None:
    if layer.activity_regularizer is not None:
        for x in tree.flatten(outputs):
            loss = layer.activity_regularizer(x)
            # Per sample, so that the penalty does not grow with the batch (as Keras 3.15).
            layer.add_loss(loss / _core.ops.extent(x, axis=[0]) if len(x.shape) else loss)
    if layer.supports_masking and args:
        new = layer.compute_mask(args[0], mask)
        for x, m in zip(tree.flatten(outputs), _as_list(new), strict=False):
            if m is not None and mask_of(x) is None:  # what the call has set stays
                set_mask(x, m)
    elif _any_mask(mask) and not _takes_masks(layer, outputs):
        object.__setattr__(layer, "_masks_lost", True)
        warnings.warn(
            f"Layer {layer.name!r} (of type {type(layer).__name__}) was passed an input with a "
            "mask attached to it. However, this layer does not support masking and will "
            "therefore destroy the mask information. Downstream layers will not see the mask.",
            stacklevel=2,
        )


def _takes_masks(layer: AnyLayer, outputs: Any) -> bool:
    """Whether a mask serves this layer or reaches its outputs, or its end was warned of."""
    return (
        layer.__dict__.get("_masks_lost", False)
        or call_parameters(type(layer).call)[2]
        or any(mask_of(x) is not None for x in tree.flatten(outputs))
    )


def noted(build: Any) -> Any:
    """A `build` that leaves its layer built, and remembers for which shapes."""

    @functools.wraps(build)
    def run_build(self: AnyLayer, *args: Any, **kwargs: Any) -> None:
        given = {**dict(zip(list(inspect.signature(build).parameters)[1:], args, strict=False)),
                 **kwargs}  # fmt: skip
        shapes = {k: v for k, v in given.items() if k.endswith("_shape") and v is not None}
        noted_as = (
            {"input_shape": next(iter(shapes.values()))} if len(shapes) == 1
            else {"shapes_dict": shapes} if shapes else None
        )  # fmt: skip
        outermost = "_building" not in self.__dict__  # no `super().build(...)`
        if outermost and self.built and self._variables:
            _check_built_for(self, noted_as)
            return
        object.__setattr__(self, "_building", True)
        try:
            build(self, *args, **kwargs)
        finally:
            if outermost:
                object.__delattr__(self, "_building")
        self.built = True
        if self._build_config is None:
            self._build_config = noted_as

    return run_build


def _check_built_for(layer: AnyLayer, noted_as: Any) -> None:
    """A second `build` would make the weights again beside the first: other sizes are refused."""
    known, asked = (_sizes_of_samples(x) for x in (layer._build_config, noted_as))
    if layer._build_config is not None and noted_as is not None and known != asked:
        raise ShapeError(
            f"layer {layer.name!r} ({type(layer).__name__}) is built for {layer._build_config}, "
            f"build() got {noted_as}\n"
            f"  hint: make another layer: {type(layer).__name__}.from_config(layer.get_config())"
        )


def _sizes_of_samples(value: Any) -> Any:
    """Shapes without the batch, lists as tuples."""
    if isinstance(value, dict):
        return {k: _sizes_of_samples(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        if all(v is None or isinstance(v, int) for v in value):
            return tuple(value[1:])
        return tuple(_sizes_of_samples(v) for v in value)
    return value


def note_path(layer: AnyLayer) -> None:
    """Keeps where a layer is first built: the names of the layers around it and its own."""
    if layer.__dict__.get("_built_path") is None:
        names = current_names()
        names = names if names[-1:] == [layer.name] else [*names, layer.name]
        layer._built_path = "/".join(names)


def in_its_name(build: Any) -> Any:
    """A `build` below which paths of weights hold the layer's name, whoever calls it."""

    @functools.wraps(build)
    def run_build(self: AnyLayer, *args: Any, **kwargs: Any) -> Any:
        if current_names()[-1:] == [self.name]:
            note_path(self)
            return build(self, *args, **kwargs)
        with NameScope(self.name):
            note_path(self)
            return build(self, *args, **kwargs)

    return run_build


def build_for_call(layer: AnyLayer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Builds a layer for the shapes of its first call and remembers them for files."""
    if layer.built:
        return
    note_path(layer)
    if overrides(layer, "build") and args:
        names = list(inspect.signature(layer.build).parameters)
        with suspended_scope():
            if not names:  # its weights do not depend on the input
                layer.build()
            elif sum(n.endswith("_shape") for n in names) > 1:
                call_names = call_parameters(type(layer).call)[0]
                values = dict(zip(call_names, args, strict=False)) | kwargs
                shapes = {
                    f"{k}_shape": shapes_of(v)
                    for k, v in values.items()
                    if f"{k}_shape" in names and v is not None
                }
                missing = [
                    p.name.removesuffix("_shape")
                    for p in inspect.signature(layer.build).parameters.values()
                    if p.name.endswith("_shape") and p.name not in shapes and p.default is p.empty
                ]
                if missing:
                    given = [name.removesuffix("_shape") for name in shapes]
                    raise _missing_input(layer, missing[0], [*given, missing[0]])
                layer._build_config = {"shapes_dict": shapes}
                layer.build(**shapes)
            else:
                layer._build_config = {"input_shape": shapes_of(args[0])}
                layer.build(shapes_of(args[0]))
    layer.built = True


def check_inputs(layer: AnyLayer, args: tuple[Any, ...]) -> None:
    if layer.input_spec is None or not args:
        return
    leaves = tree.flatten(args[0])
    several = isinstance(layer.input_spec, list | tuple)
    wanted = layer.input_spec if several else [layer.input_spec]
    if len(leaves) != len(wanted) and not isinstance(layer.input_spec, dict):
        who = f"layer {layer.name!r} ({type(layer).__name__})"
        shapes = ", ".join(str(tuple(x.shape)) if hasattr(x, "shape") else "?" for x in leaves)
        raise ShapeError(
            f"{who} expects {len(wanted)} input(s), but it received {len(leaves)} input tensors, "
            f"of the shapes {shapes}\n  hint: "
            + ("join them first: layers.Concatenate()([a, b]), or call the layer on each"
               if len(leaves) > len(wanted) else "give a list of all inputs")
        )  # fmt: skip
    for i, (spec, x) in enumerate(zip(wanted, leaves, strict=False)):
        if not hasattr(x, "shape"):
            raise DataError(
                f"layer {layer.name!r} got {type(x).__name__}, wanted an array\n"
                "  hint: numpy.asarray(x)"
            )
        spec.check(tuple(x.shape), f"layer {layer.name!r} ({type(layer).__name__})", i)


def located(layer: AnyLayer, error: FastnnError) -> FastnnError:
    """The error with the layer that it happened in; the innermost one names itself."""
    text = str(error)
    if "layer '" in text:
        return error
    head, mark, hint = text.partition("\n  hint:")
    where = f"\n  in layer {layer.name!r} ({type(layer).__name__})"
    return type(error)(head + where + mark + hint)


def _any_mask(masks: TensorLike) -> bool:
    return any(m is not None for m in tree.flatten(masks))


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
