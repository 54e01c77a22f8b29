"""Models, and how they are copied, saved and loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastnn.models.functional import Functional
from fastnn.models.model import Model
from fastnn.models.sequential import Sequential
from fastnn.saving import load_model, model_from_json, save_model

__all__ = [
    "Functional", "Model", "Sequential", "clone_model", "load_model", "model_from_json",
    "save_model",
]  # fmt: skip


def clone_model(
    model: Any,
    input_tensors: Any = None,
    clone_function: Callable[[Any], Any] | None = None,
    **_: Any,
) -> Any:
    """A new model of the same layers with fresh weights."""
    from fastnn.saving import deserialize, serialize

    if not isinstance(model, Sequential | Functional):
        raise ValueError(
            f"clone_model needs a Sequential or functional model, got {type(model).__name__}\n"
            "  hint: for a subclassed model, make a new object of the class"
        )
    if clone_function is None:
        return deserialize(serialize(model))
    if isinstance(model, Sequential):
        copy = type(model)(name=model.name)
        for layer in model._stack:
            copy.add(
                layer if type(layer).__name__ == "InputLayer" else clone_function(layer), False
            )
        copy._rebuild()
        return copy
    return _clone_functional(model, clone_function)


def _clone_functional(model: Functional, clone_function: Callable[[Any], Any]) -> Any:
    from fastnn import tree
    from fastnn.layers import Input, Layer
    from fastnn.symbolic import KerasTensor

    copies: dict[int, Any] = {}
    values: dict[int, Any] = {}
    for x in model.inputs:
        values[id(x)] = Input(batch_shape=x.shape, dtype=x.dtype, name=x.name)

    def look_up(leaf: Any) -> Any:
        return values[id(leaf)] if isinstance(leaf, KerasTensor) else leaf

    for node in model._order:
        if not node.inputs:
            continue
        operation = node.operation
        if isinstance(operation, Layer):
            if id(operation) not in copies:
                copies[id(operation)] = clone_function(operation)
            operation = copies[id(operation)]
        args = tree.map_structure(look_up, node.args)
        out = operation(*args, **tree.map_structure(look_up, node.kwargs))
        for x, value in zip(tree.flatten(node.outputs), tree.flatten(out), strict=True):
            values[id(x)] = value
            values[id(x.mask)] = value.mask
    inputs = tree.map_structure(look_up, model._inputs)
    return type(model)(inputs, tree.map_structure(look_up, model._outputs), name=model.name)
