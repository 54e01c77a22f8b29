"""Keras's configs to models: `{module, class_name, config, …}` and functional `inbound_nodes`.

Every object comes from a closed table (`names`), every call of a layer is counted, and weights are
charged to the file's budget before they are made. Depends on `keras_names`, `registry`.
Layout: Keras 3.15 `models/functional.py`, `saving/serialization_lib.py`.
"""

from __future__ import annotations

import inspect
from collections import deque
from typing import Any, NoReturn

import numpy as np

from fastnn import _core
from fastnn.base import tree
from fastnn.base.arguments import call_parameters, hints_arguments
from fastnn.dtype_policies import MIXED
from fastnn.errors import FormatError
from fastnn.serialization.custom_objects import custom_object_scope, custom_objects
from fastnn.serialization.keras_names import (
    FEATURES,
    KIND_OF_MODULE,
    SEED_MODULES,
    find_class,
    op_of_class,
    tables,
)
from fastnn.serialization.registry import layer_class, table
from fastnn.serialization.shared import known, remembered
from fastnn.tracing.known_ops import known_ops

__all__ = [
    "build",
    "build_for",
    "clean",
    "deserialize",
    "functional",
    "has_no_effect",
    "is_keras_entry",
    "is_keras_functional",
    "named_dtype",
    "restore",
]

#: Settings of Keras that fastnn has not, with the values that change nothing.
NO_EFFECT: dict[str, tuple[Any, ...]] = {
    "quantization_config": (None,), "lora_rank": (None,), "lora_alpha": (None,),
    "input_axes": (None,), "output_axes": (None,),
    "ragged": (False, None), "sparse": (False, None), "input_length": (None,), "initial": (None,),
    "virtual_batch_size": (None,), "fused": (None, True, False), "decay": (0.0,), "jit_compile":
    (True, False, None, "auto"), "is_legacy_optimizer": (False,), "sample_weight_mode": (None,),
    "gamma_regularizer": (None,), "beta_regularizer": (None,),
}  # fmt: skip


def is_keras_entry(config: Any) -> bool:
    """Whether this is an object in Keras's layout rather than fastnn's own."""
    return isinstance(config, dict) and "module" in config and "class_name" in config


def is_keras_functional(config: Any) -> bool:
    """Whether this is Keras's config of a functional model."""
    return isinstance(config, dict) and "input_layers" in config and "output_layers" in config


def _fail(what: str, hint: str) -> NoReturn:
    raise FormatError(f"{what}\n  hint: {hint}")


# ---- objects ---------------------------------------------------------------------------------


def clean(value: Any, key: str | None = None) -> Any:
    """Settings in fastnn's terms: nested objects as `{class_name, config}` of known tables."""
    if isinstance(value, list):
        return [clean(v, key) for v in value]
    if not isinstance(value, dict):
        return value
    if "class_name" not in value:
        return {k: clean(v, key if key in KIND_OF_MODULE else k) for k, v in value.items()}
    name, inner = value["class_name"], value.get("config")
    if not isinstance(name, str):
        _fail(f"class_name {name!r:.80} is not text", "damaged file?")
    if name == "function" or isinstance(inner, str):
        return _function(inner if isinstance(inner, str) else value.get("registered_name"))
    if name in ("__numpy__", "__tensor__"):
        return _numbers(inner)
    if name == "__tuple__":
        return tuple(clean(v, key) for v in (inner or {}).get("value", ()))
    if name == "DTypePolicy":
        return named_dtype(value)
    if name == "SeedGenerator" and value.get("module") in SEED_MODULES:
        return {"class_name": name, "config": inner}
    as_it_is = value.get("module") in ("keras.layers", "keras", "keras.models") or name in FEATURES
    if as_it_is or key == "layer":
        return value
    if not isinstance(inner, dict | None.__class__):
        _fail(f"the config of {name!r:.80} is {type(inner).__name__}", "damaged file?")
    registered = value.get("registered_name")
    if any(isinstance(n, str) and n in custom_objects() for n in (registered, name)):
        return {"class_name": name, "registered_name": registered, "config": clean(inner or {})}
    module = value.get("module")
    if module is not None and module not in tables():
        _fail(f"class {name!r:.80} of module {module!r:.80} is not known",
              "for your own class pass custom_objects={...}")  # fmt: skip
    return {"class_name": name, "config": _settings(inner or {}, name)}


def _function(name: Any) -> str:
    if not isinstance(name, str):
        _fail(f"a function is named {name!r:.80}", "functions are looked up by name")
    return name


def named_dtype(value: Any) -> str:
    """The type that a policy, or its config in a file, names."""
    inner = value.get("config") if isinstance(value, dict) else {"name": value}
    name = inner.get("name") if isinstance(inner, dict) else None
    if name in ("int32", "int64"):  # look-ups and hashes, whose numbers are whole
        return "int32"
    if name in MIXED:
        return str(name)
    if name != "float32":
        _fail(f"a layer computes in {name!r:.80}", "fastnn computes in 'float32'")
    return "float32"


def _numbers(inner: Any) -> Any:
    if not isinstance(inner, dict) or inner.get("dtype") not in ("float32", "int32", "bool",
                                                               "float64", "int64"):  # fmt: skip
        _fail("an array in a config has no usable dtype", "float32 and int32 arrays are read")
    return np.asarray(inner.get("value"), inner["dtype"])


def has_no_effect(key: str, value: Any) -> bool:
    """Whether fastnn has no such setting of Keras's, and its value changes nothing."""
    return key in NO_EFFECT and any(value is n or value == n for n in NO_EFFECT[key])


def _settings(config: dict[str, Any], where: str) -> dict[str, Any]:
    """The constructor's arguments: settings without effect dropped, the others translated."""
    result = {}
    for key, value in config.items():
        if has_no_effect(key, value):
            continue
        result[key] = clean(value, key)
    return result


def restore(entry: dict[str, Any]) -> Any:
    """The layer, model or op call that an entry of a config describes."""
    name, inner = entry.get("class_name"), entry.get("config")
    if not isinstance(name, str) or not isinstance(inner, dict):
        _fail(f"not an entry of a model's config: {str(entry)[:120]}", "damaged file?")
    if (made := known(entry)) is not None:
        return made
    where = f"layer {str(inner.get('name', entry.get('name')))[:80]!r} ({name[:80]})"
    if name == "Lambda" and "Lambda" not in custom_objects():
        return _lambda(inner, where)
    cls = find_class(entry.get("module"), name, entry.get("registered_name"), where)
    settings = _settings(inner, where) if "layers" not in inner else dict(inner)
    if "dtype" in settings and not isinstance(settings["dtype"], str):
        settings["dtype"] = named_dtype(settings["dtype"])
    try:
        layer = cls.from_config(settings)
    except FormatError:
        raise
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError,
            ZeroDivisionError) as error:  # fmt: skip
        hint = "" if "hint: " in str(error) else "\n  hint: is the file or the text damaged?"
        raise FormatError(f"{where} cannot be made: {error}{hint}") from error
    build(layer, entry.get("build_config"), where)
    return remembered(entry, layer)


@hints_arguments
def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The layer or model that a config describes.

    Args:
        config: What `serialize` gave.
        custom_objects: Classes and functions by name, for what fastnn does not know.

    Returns:
        A layer or model with fresh weights.

    Raises:
        ValueError: The config names a class that is not known.

    Example:
        >>> config = fastnn.saving.serialize(fastnn.layers.ReLU(name="cut"))
        >>> fastnn.saving.deserialize(config).name
        'cut'
    """
    if is_keras_entry(config):
        with custom_object_scope(custom_objects):
            return restore(config)
    if not isinstance(config, dict) or not isinstance(config.get("class_name"), str):
        raise ValueError(
            f"not a config of a layer: {str(config)[:200]}\n  hint: use serialize(layer)"
        )
    inner = config.get("config")
    if not isinstance(inner, dict):
        raise ValueError(
            f"the config of {config['class_name']} is not a dict"
            "\n  hint: give what get_config() returned"
        )
    written = ("__tuple__", "__numpy__")
    inner = {
        k: clean(v) if isinstance(v, dict) and v.get("class_name") in written else v
        for k, v in inner.items()
    }
    name = config.get("registered_name") or config["class_name"]
    with custom_object_scope(custom_objects):
        made = known(config)
        if made is not None:
            return made
        return remembered(config, layer_class(name).from_config(inner))


def _lambda(inner: dict[str, Any], where: str) -> Any:
    name, known = inner.get("name"), custom_objects()
    function = known.get(name) if isinstance(name, str) else None
    written = inner.get("function")
    if isinstance(written, dict) and written.get("class_name") == "function":
        function = function or known.get(str(written.get("config")))
    if not callable(function):
        _fail(f"{where} holds code, which is never read from a file",
              f"pass the function: custom_objects={{{str(name)[:80]!r}: fn}}")  # fmt: skip
    return table("layer").names["Lambda"](function, name=name)


def build(layer: Any, config: Any, where: str) -> None:
    """Builds models and layers of the caller's that no call in the file will build."""
    if layer.built or not isinstance(config, dict) or layer.model_kind == "functional":
        return
    own = type(layer).__module__.startswith("fastnn.")
    if own and layer.model_kind is None:
        return
    try:
        layer.build_from_config(config)
    except FormatError:
        raise
    except (TypeError, ValueError, AttributeError, KeyError, IndexError) as error:
        shown = str(config.get("input_shape", config))[:80]
        raise FormatError(f"{where} cannot be built for {shown}: {error}") from error


def build_for(layer: Any, config: dict[str, Any]) -> None:
    """Builds a layer for the shape, or the shapes by name, of a config."""
    shape, shapes = config.get("input_shape"), config.get("shapes_dict")
    if isinstance(shapes, dict):
        layer.build(**{k: _shape(v) for k, v in shapes.items()})
    elif shape is not None:
        layer.build(_shape(shape))
    layer.built = True


def _shape(shape: Any) -> Any:
    if isinstance(shape, dict):
        return {k: _shape(v) for k, v in shape.items()}
    nested = any(isinstance(d, list | tuple | dict) for d in shape)
    if isinstance(shape, list | tuple) and not nested:
        return tuple(shape)
    return [_shape(d) for d in shape]


# ---- functional models -------------------------------------------------------------------------


class _Graph:
    """The calls of one functional model, made in an order in which each finds its inputs."""

    def __init__(self, config: dict[str, Any]) -> None:
        entries = config.get("layers")
        if not isinstance(entries, list):
            _fail("a functional model's config has no list of layers", "damaged file?")
        self.layers: dict[str, Any] = {}
        self.nodes: dict[str, list[Any]] = {}
        self.entries: dict[str, dict[str, Any]] = {}
        #: Whether the calls were written before Keras 3 (`legacy` marks them).
        self.old = False
        for entry in entries:
            self._add(entry)
        self.produced: dict[tuple[str, int], list[Any]] = {}

    def _add(self, entry: Any) -> None:
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not isinstance(entry.get("config"), dict):
            _fail(f"not a layer of a functional model: {str(entry)[:120]}", "damaged file?")
        if name in self.layers:
            _fail(f"two layers are called {name[:80]!r}", "damaged file?")
        nodes = entry.get("inbound_nodes")
        if not isinstance(nodes, list):
            _fail(f"layer {name[:80]!r} has no list of inbound_nodes", "damaged file?")
        self.entries[name] = entry
        module = entry.get("module")
        is_op = isinstance(module, str) and module.startswith("keras.src.ops.")
        self.layers[name] = None if is_op else restore({**entry, "name": name})
        self.nodes[name] = [n for n in nodes if n is not None]
        self.old |= any(isinstance(n, dict) and n.get("legacy") is True for n in nodes)

    def shift(self, name: str, inside: bool) -> int:
        """The number of a layer's first call.

        Keras counts calls of nested functional models from 1 in `output_layers`, and before
        Keras 3 everywhere and for Sequential too.
        """
        kind = getattr(self.layers[name], "model_kind", None)
        if self.old:
            return 1 if kind in ("functional", "sequential") else 0
        return 1 if not inside and kind == "functional" else 0

    def build(self) -> None:
        """Makes all calls, or says which cannot be made."""
        input_layer = table("layer").names["InputLayer"]
        waiting: dict[tuple[str, int], int] = {}
        needed: dict[tuple[str, int], list[tuple[str, int]]] = {}
        for name, nodes in self.nodes.items():
            if isinstance(self.layers[name], input_layer):
                self.produced[name, 0] = [self.layers[name].output]
                continue
            for at, node in enumerate(nodes):
                wants = self._wants(node, name)
                if at > 0:
                    wants.add((name, at - 1))
                waiting[name, at] = len(wants)
                for want in wants:
                    needed.setdefault(want, []).append((name, at))
        ready = deque(k for k in waiting if waiting[k] == 0)
        for start in list(self.produced):
            ready.extend(self._release(start, waiting, needed))
        done = 0
        while ready:
            key = ready.popleft()
            self._call(*key)
            done += 1
            ready.extend(self._release(key, waiting, needed))
        if done < len(waiting):
            stuck = next(k for k, n in waiting.items() if n > 0)
            _fail(f"layer {stuck[0][:80]!r} waits for inputs that nothing produces",
                  "the graph of the file is damaged")  # fmt: skip

    @staticmethod
    def _release(key: Any, waiting: Any, needed: Any) -> list[Any]:
        free = []
        for other in needed.pop(key, ()):
            waiting[other] -= 1
            if waiting[other] == 0:
                free.append(other)
        return free

    def _wants(self, node: Any, name: str) -> set[tuple[str, int]]:
        if not isinstance(node, dict):
            _fail(f"a call of layer {name[:80]!r} is {type(node).__name__}", "damaged file?")
        found: set[tuple[str, int]] = set()
        pending: list[Any] = [node.get("args"), _kept(node.get("kwargs"))]
        while pending:
            value = pending.pop()
            history = _history(value)
            if history is not None:
                found.add(self._place(history, True)[:2])
            elif isinstance(value, dict):
                pending.extend(value.values())
            elif isinstance(value, list):
                pending.extend(value)
        return found

    def _place(self, history: Any, inside: bool) -> tuple[str, int, int]:
        if not (isinstance(history, list) and len(history) >= 3 and isinstance(history[0], str)
                and all(type(i) is int for i in history[1:3])):  # fmt: skip
            _fail(f"a tensor's history is {str(history)[:80]}", "damaged file?")
        name, node, index = history[:3]
        if name not in self.layers:
            _fail(f"a tensor comes from {name[:80]!r}, which the model lacks", "damaged file?")
        return name, node - self.shift(name, inside), index

    def tensor(self, history: Any, inside: bool) -> Any:
        """The symbolic tensor that `[layer, call, output]` names."""
        name, node, index = self._place(history, inside)
        outputs = self.produced.get((name, node))
        if outputs is None or not 0 <= index < len(outputs):
            _fail(f"layer {name[:80]!r} has no output {node}, {index}", "damaged file?")
        return outputs[index]

    def _value(self, value: Any) -> Any:
        history = _history(value)
        if history is not None:
            return self.tensor(history, True)
        if isinstance(value, list):
            return [self._value(v) for v in value]
        if not isinstance(value, dict):
            return value
        name, inner = value.get("class_name"), value.get("config")
        if name == "__slice__" and isinstance(inner, dict):
            return slice(*(self._value(inner.get(k)) for k in ("start", "stop", "step")))
        if name == "__ellipsis__":
            return Ellipsis
        if name in ("__numpy__", "__tensor__"):
            return _core.tensor(_numbers(inner))
        if isinstance(name, str):
            _fail(
                f"an argument of a call is of class {name[:80]!r}", "tensors and numbers are read"
            )
        return {k: self._value(v) for k, v in value.items()}

    def _call(self, name: str, at: int) -> None:
        node, layer = self.nodes[name][at], self.layers[name]
        args = self._value(node.get("args", []))
        kwargs = self._value(_kept(node.get("kwargs")))
        if not isinstance(args, list) or not isinstance(kwargs, dict):
            _fail(f"a call of layer {name[:80]!r} has no argument list", "damaged file?")
        try:
            if layer is None:
                outputs = self._op(self.entries[name], args, kwargs)
            else:
                outputs = layer(*args, **_taken(layer, kwargs))
        except FormatError:
            raise
        except Exception as error:
            raise FormatError(f"layer {name[:80]!r} cannot be called: {error}") from error
        self.produced[name, at] = tree.flatten(outputs)

    def _op(self, entry: dict[str, Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
        kind = entry["class_name"]
        op = op_of_class(kind) if isinstance(kind, str) else None
        if op is None or op.module != entry.get("module"):
            _fail(f"op {str(kind)[:80]!r} of module {str(entry.get('module'))[:80]!r} is not known",
                  "write the model with layers")  # fmt: skip
        config = self._value(entry["config"])
        settings = {k: v for k, v in config.items() if k in op.config}
        odd = [k for k in config if k not in (*op.config, *_OF_OPS) and config[k] not in _UNSAID]
        if odd:
            _fail(f"op {kind!r} has the setting {odd[0][:80]!r} = {config[odd[0]]!r:.80}, which "
                  "fastnn's has not", "write the model with layers")  # fmt: skip
        named = dict(zip(op.call, args, strict=False)) | kwargs
        if op.function == "get_item":
            key = named["key"]
            outputs = named["x"][tuple(key) if isinstance(key, list) else key]
        else:
            function = known_ops()[op.function]
            if not op.call:  # settings, then tensors, however many there are
                return self._named(function(*settings.values(), *args), entry)
            # By name where names are the function's, as Keras orders arguments otherwise.
            by_name = _parameters(function) >= set(named)
            inputs = [] if by_name else [named.pop(n) for n in op.call if n in named]
            outputs = function(*inputs, **settings, **named)
        return self._named(outputs, entry)

    def _named(self, outputs: Any, entry: dict[str, Any]) -> Any:
        """The results of an op, which is called as the file calls it."""
        for x in tree.flatten(outputs):
            if x.node is not None:
                x.node.operation.name = x.name = entry["name"]
        return outputs


def _parameters(function: Any) -> set[str]:
    try:
        return set(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return set()


#: Settings of Keras's ops that say nothing here, and values of others that change nothing.
_OF_OPS = ("name", "dtype_policy", "synchronized", "sorted")
_UNSAID = (None, False)


def _history(value: Any) -> Any:
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        inner = value.get("config")
        return inner.get("keras_history") if isinstance(inner, dict) else []
    return None


def _kept(kwargs: Any) -> dict[str, Any]:
    """Arguments that were given; what Keras fills in by itself says nothing."""
    if kwargs is None:
        return {}
    if not isinstance(kwargs, dict):
        _fail(f"the keyword arguments of a call are {type(kwargs).__name__}", "damaged file?")
    return {k: v for k, v in kwargs.items() if v is not None and (k, v) != ("training", False)}


def _taken(layer: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Without masks for layers that take none: masks travel with the tensors."""
    if "mask" in kwargs and not call_parameters(type(layer).call)[2]:
        return {k: v for k, v in kwargs.items() if k != "mask"}
    return kwargs


def functional(cls: Any, config: dict[str, Any]) -> Any:
    """A functional model from Keras's config."""
    graph = _Graph(config)
    graph.build()

    def tensors(value: Any) -> Any:
        if isinstance(value, list) and len(value) >= 3 and isinstance(value[0], str):
            return graph.tensor(value, False)
        if isinstance(value, dict):
            return {k: tensors(v) for k, v in value.items()}
        if isinstance(value, list):
            return [tensors(v) for v in value]
        _fail(f"inputs or outputs are {str(value)[:80]}", "damaged file?")

    name = config.get("name")
    own = {"name", "trainable", "dtype", "layers", "input_layers", "output_layers"}
    model = cls(
        inputs=tensors(config["input_layers"]),
        outputs=tensors(config["output_layers"]),
        name=name if isinstance(name, str) else None,
        **{k: v for k, v in config.items() if k not in own},  # what a subclass has beside
    )
    place = {entry: i for i, entry in enumerate(graph.entries)}
    operations = model._layer_graph.operations
    if all(op.name in place for op in operations):
        model._layer_graph.list_as(sorted(operations, key=lambda op: place[op.name]))
    if config.get("trainable") is False:
        model.trainable = False
    return model
