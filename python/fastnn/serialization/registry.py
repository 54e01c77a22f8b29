"""Names to classes and functions: the one mechanism behind `activation="relu"` and saved models.

A `Registry` maps names to classes or functions of one kind. Files can name nothing outside these
tables and the objects that the caller hands in or registered; nothing is imported by a name that a
file gives. Depends on `custom_objects`, `lazy`.
"""

from __future__ import annotations

import inspect
from typing import Any

from fastnn.base.lazy import load
from fastnn.config import snake_case
from fastnn.errors import hint_of, told, unknown_name
from fastnn.serialization.custom_objects import custom_objects
from fastnn.serialization.encoding import FunctionName

__all__ = [
    "MODEL_CLASSES", "MODULES", "OF_KERAS_NETWORKS", "OF_NETWORKS", "Registry", "layer_class",
    "model_class", "network_layer", "table",
]  # fmt: skip


#: The modules whose tables files may name, by the kind of what they hold.
MODULES = {
    "activation": "activations", "initializer": "initializers", "regularizer": "regularizers",
    "constraint": "constraints", "loss": "losses", "metric": "metrics",
    "learning rate schedule": "optimizers.schedules", "optimizer": "optimizers", "layer": "layers",
    "model": "models", "distillation": "distillation",
}  # fmt: skip
#: Layers that only the networks of a module have, here as in Keras.
OF_KERAS_NETWORKS = {
    "CustomScaleLayer": "applications.inception_resnet_v2",
    "LayerScale": "applications.convnext",
}
#: Layers and models that only one module has, which files of these name.
OF_NETWORKS = OF_KERAS_NETWORKS | {
    "Distiller": "distillation.distiller", "GPT": "applications.gpt",
    "Llama": "applications.llama",
}  # fmt: skip
_tables: dict[str, Registry] = {}


def network_layer(name: str) -> Any:
    """The layer or model of a network that has this name; None for any other name."""
    return getattr(load(OF_NETWORKS[name]), name) if name in OF_NETWORKS else None


class Registry:
    """A closed table of one kind of object, with the aliases that strings may use."""

    def __init__(self, kind: str, members: list[Any], aliases: dict[str, Any] | None = None):
        self.kind = kind
        _tables[kind] = self
        self.names: dict[str, Any] = {}
        for member in members:
            self.names[member.__name__] = member
            if inspect.isclass(member):
                self.names.setdefault(snake_case(member.__name__), member)
        self.names.update(aliases or {})

    def find(self, name: str) -> Any:
        """The member or custom object of this name; ValueError with the nearest names."""
        custom = custom_objects().get(name)
        if custom is not None:
            return custom
        found = self.names.get(name)
        if found is None:
            found = self.names.get(name.lower())
        if found is None:
            raise unknown_name(self.kind, name, self.names)
        return found

    def get(self, identifier: Any) -> Any:
        """The object for None, a name, a config or a ready object; classes are instantiated."""
        if identifier is None:
            return None
        if isinstance(identifier, FunctionName) and identifier not in self.names:
            identifier = identifier.function
        if isinstance(identifier, str):
            found = self.find(identifier)
            return found() if inspect.isclass(found) else found
        if isinstance(identifier, dict):
            return self.from_config(identifier)
        if inspect.isclass(identifier):
            return identifier()
        if callable(identifier) or hasattr(identifier, "get_config"):
            return identifier
        raise ValueError(f"cannot use {identifier!r} as {self.kind}\n  hint: give a name or object")

    def from_config(self, config: dict[str, Any]) -> Any:
        """The object that `{"class_name": …, "config": …}` describes."""
        name = config.get("registered_name") or config.get("class_name")
        if config.get("class_name") == "function":
            return self.find(config["config"])
        if not isinstance(name, str):
            shown = repr(config)[:300]
            raise ValueError(
                f"a config of {self.kind} has no class_name: {shown}\n"
                "  hint: give what serialize() returned"
            )
        found = custom_objects().get(name) or self.find(config["class_name"])
        inner = config.get("config") or {}
        if isinstance(inner, str):
            return found
        return found.from_config(inner) if hasattr(found, "from_config") else found(**inner)


def table(kind: str) -> Registry:
    """The table of a kind. Its module fills it when it is imported, which happens here if need be.

    So what reads configs depends on no module of layers, losses or models.
    """
    if kind not in _tables:
        module = load(MODULES[kind])
        if kind not in _tables:
            module.TABLE  # noqa: B018  one that is made when it is asked for
    return _tables[kind]


#: Names of the classes of models in configs; `Model` alone means a functional one.
MODEL_CLASSES = ("FeatureSpace", "Functional", "Model", "OnnxModel", "Sequential")


def model_class(name: str) -> Any:
    """`Sequential` or `Functional` for a name in a config."""
    return table("model").names[name]


def layer_class(name: str) -> Any:
    """The class of layers or models that a config names; ValueError for one nobody knows."""
    found = custom_objects().get(name) or custom_objects().get(name.rpartition(">")[2])
    if found is not None:
        return found
    if name in MODEL_CLASSES:
        return model_class(name)
    names = table("layer").names
    if name in names or name in OF_NETWORKS:
        return names.get(name) or network_layer(name)
    error = unknown_name("layer class in a config", name, [*names, *MODEL_CLASSES])
    raise ValueError(
        f"{told(error)}\n  hint: {hint_of(error)}; for your own class pass "
        f"custom_objects={{{name!r}: {name.split('>')[-1]}}}"
    )
