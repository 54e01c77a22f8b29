"""Models to files and back, and objects to configs: Keras's `saving` namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn.base.absent import answer_missing
from fastnn.files.layer_records import (
    functional_config as functional_config,
    functional_from_config as functional_from_config,
)
from fastnn.files.native import (
    deserialize,
    load_state as load_state,
    load_weights,
    save_model,
    save_state as save_state,
    save_weights,
    serialize,
)
from fastnn.files.variables import named_variables as named_variables
from fastnn.serialization.custom_objects import (
    CustomObjectScope as CustomObjectScope,
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    register_keras_serializable,
)
from fastnn.serialization.objects import (
    deserialize_keras_object,
    get_registered_object,
    serialize_keras_object,
)

if TYPE_CHECKING:  # there they are said to give models
    from fastnn.models import load_model, model_from_json
else:
    from fastnn.files.native import load_model, model_from_json

__all__ = [
    "CustomObjectScope", "custom_object_scope", "deserialize", "deserialize_keras_object",
    "get_custom_objects",
    "get_registered_name", "get_registered_object", "load_model", "load_weights",
    "model_from_json", "register_keras_serializable", "save_model", "save_weights", "serialize",
    "serialize_keras_object",
]  # fmt: skip

answer_missing(globals())
