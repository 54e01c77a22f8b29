"""A layer on symbolic tensors: the shapes it gives are inferred and the call is noted as a node.

Depends on `call`, `symbolic`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastnn.base import tree
from fastnn.errors import DataError, FastnnError, TraceError
from fastnn.layers.base.call import AnyLayer, located, run as run_layer, shapes_of
from fastnn.layers.base.module import overrides
from fastnn.tracing.call_context import CallContext, NameScope, mask_of, set_mask
from fastnn.tracing.symbolic import KerasTensor, Node, infer, wrap
from fastnn.tracing.variables import Scope

__all__ = ["call_symbolic", "trace_shapes"]


def call_symbolic(layer: AnyLayer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Symbolic outputs of a layer for symbolic arguments, with their masks."""
    node = Node(layer, args, kwargs)
    inputs = node.inputs
    if any(x.dtype == "string" for x in inputs) and not layer.reads_text:
        raise DataError(
            f"layer {layer.name!r} ({type(layer).__name__}) got a text input (dtype 'string'), it "
            "computes with numbers\n  hint: layers.TextVectorization or StringLookup first"
        )
    _build_open(layer, inputs, args, kwargs)
    values = layer._read_values(args) if layer.reads_text else args

    def run(replaced: Callable[[Any], Any]) -> Any:
        with Scope(training=False), CallContext():
            for x in inputs:
                if x.mask is not None:
                    set_mask(replaced(x), replaced(x.mask))
            outputs = run_layer(layer, replaced(values), replaced(kwargs))
            return outputs, [mask_of(x) for x in tree.flatten(outputs)]

    if overrides(layer, "compute_output_spec"):
        # The layer says what it gives, so its call is not traced (as in Keras).
        if not layer.built:
            layer._ensure_built(args, kwargs)
        outputs = layer.compute_output_spec(*args, **kwargs)
        layer._call_nodes.append(node)
        return wrap(outputs, node, layer.name)
    try:
        # With numbers for open sizes a call must not build layers: they would be built for these.
        outputs, masks = infer(
            [args, kwargs, [x.mask for x in inputs]],
            run,
            lambda: all(inner.built for inner in layer._every_layer()),
        )
    except TraceError:
        # The call reads values, as a layer may that is run eagerly; it says itself what it gives.
        if not overrides(layer, "compute_output_shape") or not args:
            raise
        outputs = KerasTensor.shaped(tuple(layer.compute_output_shape(shapes_of(args[0]))))
        masks = [None]
    if not tree.flatten(outputs):
        raise DataError(
            f"layer {layer.name!r} ({type(layer).__name__}): its call returned nothing\n"
            "  hint: end call(layer, inputs) with `return ...`"
        )
    wrapped = wrap(outputs, node, layer.name)
    for i, (x, mask) in enumerate(zip(tree.flatten(wrapped), masks, strict=True)):
        if mask is not None:
            x.mask = mask.made(node, f"{layer.name}_mask", i)
    layer._call_nodes.append(node)
    return wrapped


def _build_open(
    layer: AnyLayer, inputs: list[KerasTensor], args: Any, kwargs: dict[str, Any]
) -> None:
    """Builds for inputs with open sizes before the trace, where `build` is named in errors."""
    if layer.built or not any(None in x.shape[1:] for x in inputs):
        return
    try:
        with NameScope(layer.name):
            layer._ensure_built(args, kwargs)
    except FastnnError as error:
        raise located(layer, error) from None


def trace_shapes(layer: AnyLayer, *shapes: Any, **kwargs: Any) -> Any:
    """Symbolic outputs of a layer for inputs of these shapes; nothing is noted."""
    inputs = tuple(_map_shapes(s) for s in [*shapes, *kwargs.values()])
    leaves = tree.flatten(inputs)
    _build_open(layer, leaves, inputs, {})

    def run(replaced: Callable[[Any], Any]) -> Any:
        with Scope(training=False), CallContext(False):
            return run_layer(layer, replaced(inputs), {})

    return infer(leaves, run, lambda: all(inner.built for inner in layer._every_layer()))


def _map_shapes(shape: Any) -> Any:
    """Symbolic tensors for a shape, or for a nested structure of shapes."""
    if isinstance(shape, dict):
        return {k: _map_shapes(v) for k, v in shape.items()}
    if isinstance(shape, list | tuple) and any(isinstance(d, list | tuple) for d in shape):
        return [_map_shapes(d) for d in shape]
    return KerasTensor(shape, name="input")
