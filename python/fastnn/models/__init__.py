"""Models, and how they are copied, saved and loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec

from fastnn.base import tree
from fastnn.base.absent import answer_missing
from fastnn.errors import check_arguments
from fastnn.layers import Input, InputLayer, Layer
from fastnn.models.functional import Functional
from fastnn.models.model import Model
from fastnn.models.sequential import Sequential
from fastnn.serialization.custom_objects import custom_object_scope, get_registered_name
from fastnn.serialization.keras_config import deserialize
from fastnn.serialization.objects import own_config
from fastnn.serialization.shared import making_once, marking_shared
from fastnn.tracing.fingerprint import is_ours
from fastnn.tracing.symbolic import KerasTensor, Node

if TYPE_CHECKING:
    from fastnn.files import native as _native
    from fastnn.files.native import save_model
    from fastnn.models.feature_space import FeatureSpace as FeatureSpace
    from fastnn.models.inspection import FileContents, inspect_file
    from fastnn.models.onnx_graph import OnnxModel as OnnxModel
    from fastnn.models.table import TABLE as TABLE

    _P = ParamSpec("_P")

    def _of_model(read: Callable[_P, Any]) -> Callable[_P, Model]:
        """The floor of files does not know the class; that it makes one is said here."""

    load_model = _of_model(_native.load_model)
    model_from_json = _of_model(_native.model_from_json)

__all__ = [
    "FileContents", "Functional", "Model", "Sequential", "clone_model", "inspect_file",
    "load_model", "model_from_json", "save_model",
]  # fmt: skip


def clone_model(
    model: Model,
    input_tensors: Any = None,
    clone_function: Callable[[Any], Any] | None = None,
    call_function: Callable[..., Any] | None = None,
    recursive: bool = False,
    **accepted: Any,
) -> Model:
    """A new model of the same layers with fresh weights, compiled as the first.

    A subclassed model is made anew from its config.

    Args:
        model: A model.
        input_tensors: Symbolic tensors to start from, one an input, instead of new inputs like the
            old; they may have other sizes, such as open lengths.
        clone_function: Gives the new layer for each layer; None copies it by its config.
        call_function: Called with (layer, *args, **kwargs) in functional models instead of the
            layer.
        recursive: Whether both functions serve the models inside too.
        **accepted: None; a misspelt argument is told.

    Returns:
        A model of the same kind.

    Raises:
        ValueError: It is no model, or `input_tensors` do not fit its inputs.

    Example:
        >>> model = fastnn.Sequential([fastnn.Input((3,)), fastnn.layers.Dense(1)])
        >>> fastnn.models.clone_model(model).count_params()
        4
    """
    check_arguments("clone_model()", accepted, (), clone_model)
    if not isinstance(model, Model):
        raise ValueError(
            f"clone_model takes a model, got {model!r}\n"
            "  hint: clone_model(model); a layer is copied by layer.from_config(layer.get_config())"
        )
    own = {get_registered_name(type(layer)): type(layer) for layer in model._every_layer()
           if not is_ours(type(layer))}  # fmt: skip
    if own:
        # Classes of the user's are at hand, whatever is registered.
        with custom_object_scope(own):
            return _cloned(model, input_tensors, clone_function, call_function, recursive)
    return _cloned(model, input_tensors, clone_function, call_function, recursive)


def _cloned(
    model: Model,
    input_tensors: Any,
    clone_function: Callable[[Any], Any] | None,
    call_function: Callable[..., Any] | None,
    recursive: bool,
) -> Model:
    copy: Model
    tensors = _starts(model, input_tensors)
    if not isinstance(model, Sequential | Functional):
        copy = type(model).from_config(model.get_config())
    elif clone_function is None and call_function is None and tensors is None:
        with marking_shared():
            config = own_config(model)
        with making_once():
            copy = deserialize(config)
    else:

        def clone(layer: Any) -> Any:
            if recursive and isinstance(layer, Sequential | Functional):
                return clone_model(layer, None, clone_function, call_function, True)
            if clone_function is None:
                return deserialize(own_config(layer))
            return clone_function(layer)

        if isinstance(model, Sequential):
            copy = type(model)(name=model.name)
            if tensors is not None:
                copy.add(Input(batch_shape=tensors[0].shape, dtype=tensors[0].dtype), False)
            for layer in model._stack:
                if not isinstance(layer, InputLayer):
                    copy.add(clone(layer), False)
                elif tensors is None:
                    copy.add(layer, False)
            copy._rebuild()
        else:
            copy = _clone_functional(model, tensors, clone, call_function)
    from fastnn.files.compiling import file_settings, recompile

    settings = file_settings(model)
    if settings is not None:
        recompile(copy, settings, {})
    return copy


def _starts(model: Any, input_tensors: Any) -> list[Any] | None:
    """The symbolic tensors that a clone begins with, one an input; None: new ones like the old."""
    if input_tensors is None:
        return None
    tensors = tree.flatten(input_tensors)
    where = f"clone_model of {model.name!r}: input_tensors"
    if not isinstance(model, Sequential | Functional):
        raise ValueError(
            f"{where} are given, and {type(model).__name__} is neither a Sequential nor a "
            "functional model\n  hint: leave input_tensors out"
        )
    wrong = [x for x in tensors if not isinstance(x, KerasTensor)]
    if wrong:
        raise ValueError(
            f"{where} hold {type(wrong[0]).__name__}, wanted symbolic tensors\n  hint: Input(shape)"
        )
    wanted = 1 if isinstance(model, Sequential) else len(model.inputs)
    if len(tensors) != wanted:
        raise ValueError(
            f"{where} are {len(tensors)}, the model has {wanted} inputs\n  hint: one an input"
        )
    return tensors


def _clone_functional(
    model: Functional,
    tensors: list[Any] | None,
    clone_function: Callable[[Any], Any],
    call_function: Callable[..., Any] | None,
) -> Any:
    copies: dict[int, Any] = {}
    inputs = tensors or [
        Input(batch_shape=x.shape, dtype=x.dtype, name=x.name) for x in model.inputs
    ]
    graph = model._layer_graph

    def call(node: Node, args: Any, kwargs: Any) -> Any:
        operation = node.operation
        if not isinstance(operation, Layer):
            return operation(*args, **kwargs)
        if id(operation) not in copies:
            copies[id(operation)] = clone_function(operation)
        copy = copies[id(operation)]
        return (call_function or _plain_call)(copy, *args, **kwargs)

    outputs = graph.run(inputs, call, lambda x: x.mask, lambda: graph.sizes_in(inputs))
    return type(model)(tree.pack(graph.inputs, inputs), outputs, name=model.name)


def _plain_call(layer: Any, *args: Any, **kwargs: Any) -> Any:
    return layer(*args, **kwargs)


_FILES, _INSPECTION = "fastnn.files.native", f"{__name__}.inspection"
answer_missing(
    globals(),
    homes={
        **dict.fromkeys(("load_model", "model_from_json", "save_model"), _FILES),
        **dict.fromkeys(("FileContents", "inspect_file"), _INSPECTION),
        "FeatureSpace": f"{__name__}.feature_space",
        "OnnxModel": f"{__name__}.onnx_graph",
        "TABLE": f"{__name__}.table",
        **{name: f"{__name__}.{name}" for name in ("feature_space", "onnx_graph", "table")},
    },
)
