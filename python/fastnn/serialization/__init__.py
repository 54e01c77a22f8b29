"""Names and configs to objects, and back."""

from __future__ import annotations

from fastnn.serialization.custom_objects import (
    CustomObjectScope as CustomObjectScope,
    custom_object_scope as custom_object_scope,
    custom_objects as custom_objects,
    get_custom_objects as get_custom_objects,
    get_registered_name as get_registered_name,
    register_keras_serializable as register_keras_serializable,
)
from fastnn.serialization.encoding import (
    Configurable as Configurable,
    FunctionName as FunctionName,
    as_json as as_json,
    function_config as function_config,
    function_of as function_of,
    to_config as to_config,
)
from fastnn.serialization.file_budget import (
    FileBudget as FileBudget,
    file_budget as file_budget,
    file_limit as file_limit,
    format_errors as format_errors,
    reading_file as reading_file,
)
from fastnn.serialization.objects import (
    deserialize_keras_object as deserialize_keras_object,
    get_registered_object as get_registered_object,
    serialize as serialize,
    serialize_keras_object as serialize_keras_object,
)
from fastnn.serialization.registry import (
    MODEL_CLASSES as MODEL_CLASSES,
    Registry as Registry,
    layer_class as layer_class,
    model_class as model_class,
    table as table,
)
