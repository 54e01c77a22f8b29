"""Compile settings and the state of optimisers in files."""

from __future__ import annotations

import warnings
from typing import Any

from fastnn import losses, metrics, optimizers
from fastnn.errors import told, warn_of_skipped
from fastnn.files.variables import assign, named_variables
from fastnn.serialization.custom_objects import custom_objects
from fastnn.serialization.encoding import as_json, to_config
from fastnn.serialization.keras_config import clean, is_keras_entry
from fastnn.serialization.objects import serialize_keras_object
from fastnn.serialization.registry import model_class

__all__ = [
    "as_keras_writes", "build_optimizer", "compile_as", "compile_config", "file_settings",
    "has_own", "optimizer_order", "optimizer_values", "recompile", "warn_of_settings",
]  # fmt: skip


def optimizer_values(model: Any, named: dict[str, Any] | None = None) -> dict[str, Any]:
    """The state of a model's optimiser by name, of weights that the model has: those in `named`."""
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None or not model.compiled:
        return {}
    # Layers that were taken off leave state behind that no weight of the model needs.
    inside = set((named_variables(model) if named is None else named).values())
    kept = optimizer.part(v for v in optimizer._trainable if v in inside)
    return {f"optimizer/{i}/{v.kind or v.name}": v for i, v in enumerate(kept.variables)}


def optimizer_order(model: Any, variables: dict[str, Any]) -> list[str] | None:
    """Names of the optimiser's weights in its own order, which freezing can make its own."""
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None or not model.compiled or not optimizer.built:
        return None
    names = {id(v): name for name, v in variables.items()}
    return [names[id(v)] for v in optimizer._trainable if id(v) in names]


def build_optimizer(model: Any, order: Any = None) -> None:
    """Gives the optimiser state for the weights of the names in `order`, else for all."""
    variables = named_variables(model)
    if isinstance(order, list) and all(n in variables for n in map(str, order)):
        model.optimizer.build([variables[n] for n in order])
    else:
        model.optimizer.build(model.trainable_variables)


def compile_config(model: Any) -> dict[str, Any] | None:
    """What `compile` was given as a config, None where a part has none."""
    given = model._compile_config
    if not model.compiled or given is None:
        return None
    try:
        return _settings(model)
    except (TypeError, ValueError, NotImplementedError):
        return None


def _settings(model: Any) -> dict[str, Any]:
    """The config; an error where a part has none, or is code that no file holds."""
    given = model._compile_config
    config = {k: to_config(v) for k, v in given.items() if k != "optimizer"}
    config["optimizer"] = to_config(model.optimizer)
    as_json(config)
    return config


def warn_of_settings(model: Any, path: str) -> None:
    """Says that a file will hold no compile settings, and why."""
    if not model.compiled or model._compile_config is None or file_settings(model) is not None:
        return
    try:
        _settings(model)
    except (TypeError, ValueError, NotImplementedError) as error:
        warnings.warn(
            f"{path!r} holds no compile settings and no optimizer: {told(error)}\n"
            "  hint: give that class a get_config and that function a name (def), or compile the "
            "loaded model again",
            UserWarning,
            stacklevel=4,
        )


def file_settings(model: Any) -> Any:
    """What a file holds of `compile`: `compile_config`, or what a class's own
    `get_compile_config` gives.
    """
    if not has_own(model, "get_compile_config"):
        return compile_config(model)
    return serialize_keras_object(model.get_compile_config()) if model.compiled else None


def recompile(
    model: Any, settings: dict[str, Any], tensors: dict[str, Any], order: Any = None
) -> None:
    """Compiles a model as `file_settings` said and sets the optimiser's state from `tensors`."""
    if has_own(model, "compile_from_config"):
        model.compile_from_config(settings)
    else:
        compile_as(model, settings)
    if not any(k.startswith("optimizer/") for k in tensors):
        return
    if getattr(model, "optimizer", None) is None:
        return warn_of_skipped("the file", ["the optimizer's state, of a model without one"])
    if any(k.count("/") >= 2 and not k.startswith(("optimizer/0/", "optimizer/1/"))
           for k in tensors if k.startswith("optimizer/")):  # fmt: skip
        build_optimizer(model, order)
    values = optimizer_values(model)
    held = {k for k in tensors if k.startswith("optimizer/")}
    if held == set(values):
        assign(values, {k: tensors[k] for k in held}, "the file", False)
    else:
        warn_of_skipped("the file", [
            f"the optimizer's state has {len(held)} tensors, {len(values)} are wanted; it "
            "starts anew"
        ])  # fmt: skip


def has_own(model: Any, name: str) -> bool:
    """Whether a class of the user's defines this method of models anew."""
    given = getattr(type(model), name, None)  # which a `FeatureSpace` lacks
    return given is not None and given is not getattr(model_class("Model"), name)


def as_keras_writes(value: Any) -> bool:
    """Whether a config holds an object in Keras's layout."""
    if isinstance(value, list):
        return any(map(as_keras_writes, value))
    return isinstance(value, dict) and (
        is_keras_entry(value) or any(map(as_keras_writes, value.values()))
    )


def compile_as(model: Any, settings: dict[str, Any]) -> None:
    """Compiles a model with settings, in Keras's layout or fastnn's own."""
    if as_keras_writes(settings):
        settings = clean(settings)
    own = custom_objects()

    def each(table: Any, value: Any) -> Any:
        if isinstance(value, dict) and "class_name" not in value:
            return {k: each(table, v) for k, v in value.items()}
        if isinstance(value, list):
            return [each(table, v) for v in value]
        if isinstance(value, str):  # a metric is made when shapes are known, without the scope
            return own.get(value, value)
        return table.get(value) if isinstance(value, dict) else value

    try:
        model.compile(
            optimizer=optimizers.get(settings.get("optimizer")),
            loss=each(losses, settings.get("loss")),
            loss_weights=settings.get("loss_weights"),
            metrics=each(metrics, settings.get("metrics")),
            weighted_metrics=each(metrics, settings.get("weighted_metrics")),
        )
    except ValueError as error:
        raise ValueError(
            f"the compile settings cannot be used: {told(error)}\n"
            "  hint: for a function or class of your own pass custom_objects={name: object}; "
            "compile=False loads the model without them"
        ) from error
