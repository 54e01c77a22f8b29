"""Configs in Keras's layout: each class beside the module that exports it.

Depends on `keras_names`. Layout: Keras 3.15 `saving/serialization_lib.py`.
"""

from __future__ import annotations

from typing import Any

from fastnn.dtype_policies import MIXED
from fastnn.serialization.keras_names import EXPORTED, KIND_OF_MODULE, module_of

__all__ = ["Ready", "in_keras_layout", "layer_settings", "policy"]

#: Settings that Keras's constructors do not take.
NOT_TAKEN = {
    "SpatialDropout1D": ("trainable",),
    "SpatialDropout2D": ("trainable",),
    "SpatialDropout3D": ("trainable",),
    "ActivityRegularization": ("activity_regularizer",),
}


class Ready(dict[str, Any]):
    """An entry that is in Keras's layout already."""


def policy(name: str = "float32") -> dict[str, Any]:
    """A dtype policy as Keras writes it."""
    return {
        "module": "keras",
        "class_name": "DTypePolicy",
        "config": {"name": name},
        "registered_name": None,
    }


def in_keras_layout(value: Any, key: str | None = None) -> Any:
    """`value` of a config with the module that exports each class; what has one keeps it."""
    if isinstance(value, list | tuple):
        parts = [in_keras_layout(v, key) for v in value]
        return tuple(parts) if isinstance(value, tuple) else parts
    if not isinstance(value, dict) or isinstance(value, Ready):
        return value
    name = value.get("class_name")
    if not isinstance(name, str) or not isinstance(value.get("config"), dict):
        return {
            k: in_keras_layout(v, key if key in KIND_OF_MODULE else k) for k, v in value.items()
        }
    inner = {k: in_keras_layout(v, k) for k, v in value["config"].items()}
    if "module" in value or name.startswith("__"):
        return {**value, "config": inner}
    module = module_of(name, key)
    return {
        "module": module,
        "class_name": EXPORTED.get(name, name) if module else name.rpartition(">")[2],
        "config": inner,
        "registered_name": None if module else name,
    }


def layer_settings(kind: type, config: dict[str, Any]) -> dict[str, Any]:
    """A layer's config without what Keras's class does not take, and with its policy."""
    left_out = NOT_TAKEN.get(kind.__name__, ())
    kept = {k: v for k, v in config.items() if k not in left_out}
    if "dtype" in kept and kind.__name__ != "InputLayer":
        kept["dtype"] = policy(kept["dtype"] if kept["dtype"] in ("int32", *MIXED) else "float32")
    return kept
