"""Where Keras's files keep each array: `layers/<class>[_n]/…/vars/<i>`, `optimizer/vars/<i>`.

Groups are numbered by class, in the order of `model.layers`; the layer's own name is an attribute.
Random states and the seed of the order of samples, which Keras does not save, stand in a group of
their own that it passes over. Depends on `hdf5`, `layers`. Layout: Keras 3.15
`saving/saving_lib.py`.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastnn.base.atomic import uninterrupted
from fastnn.base.messages import escaped
from fastnn.config import snake_case
from fastnn.errors import FastnnError, FormatError, told, warn_of_skipped
from fastnn.files.keras.archive import read_json
from fastnn.files.keras.hdf5 import Reader, h5py_or_hint
from fastnn.files.variables import random_states
from fastnn.initializers import HeUniform
from fastnn.layers import Layer
from fastnn.layers.base.low_rank import LowRank
from fastnn.layers.base.module import modules_in
from fastnn.optimizers import Optimizer
from fastnn.tracing.variables import snapshots

__all__ = [
    "Place", "as_keras_builds", "places", "places_in", "read_places", "read_run", "warn_of_frozen",
    "weights_bytes", "write_run",
]  # fmt: skip

#: The group's path, the owner (a layer or optimiser), and its variables in order.
Place = tuple[str, Any, list[Any]]

#: Attributes of layers that hold no layers of their own.
_INTERNAL = {
    "_call_nodes", "_init_arguments", "_variables", "_losses", "_functional", "_layer_graph",
    "_stack", "_compile_config", "_build_config",
}  # fmt: skip


def places(model: Any, properties: bool = True) -> list[Place]:
    """Every group of a model's file that holds or may hold arrays, parents first.

    Keras names a layer that a property gives, such as `query_dense`, by the property; files written
    before there was one have the name of the attribute behind it.
    """
    return list(_walk(model, "", set(), properties))


def _walk(owner: Any, path: str, seen: set[int], properties: bool) -> Iterator[Place]:
    if id(owner) in seen:
        return
    seen.add(id(owner))
    if isinstance(owner, Optimizer):
        yield path, owner, list(owner.variables)
        return
    yield path, owner, _kept(owner)
    for name, child in _children(owner, properties):
        inner = f"{path}/{name}" if path else name
        if isinstance(child, list | tuple | dict):
            yield from _walk_all(child, inner, seen, properties)
        else:
            yield from _walk(child, inner, seen, properties)


def _kept(owner: Any) -> list[Any]:
    """The weights of a layer that Keras's files have a place for: its adapters are merged."""
    own: list[Any] = owner._own_weights()
    return [v for v in own if not _is_adapter(owner, v)]


def _is_adapter(owner: Any, variable: Any) -> bool:
    return _is_adapted(owner) and any(variable is v for v in owner._adapters)


def _is_adapted(owner: Any) -> bool:
    return isinstance(owner, LowRank) and owner.lora_enabled


def _from_properties(owner: Any) -> dict[str, Any]:
    """What the properties give that the layer's class adds to `Layer` or its kind of model."""
    classes = type(owner).__mro__
    known = dir(next(c for c in classes if "model_kind" in vars(c)))
    kinds = (property, functools.cached_property)
    found: dict[str, Any] = {}
    for name in {n for c in classes for n, v in vars(c).items() if isinstance(v, kinds)}:
        if name not in known and not name.startswith("__"):
            with contextlib.suppress(Exception):  # one that cannot be read yet holds nothing
                found[name] = getattr(owner, name)
    return found


def _children(owner: Any, properties: bool) -> Iterator[tuple[str, Any]]:
    """What belongs to a layer, in Keras's order: by name, private attributes last."""
    found = {k: v for k, v in owner.__dict__.items() if k not in _INTERNAL}
    if properties:
        found |= _from_properties(owner)
    kind = getattr(owner, "model_kind", None)
    if kind in ("functional", "sequential"):
        yield "layers", owner.layers
    elif kind == "subclassed":
        found["layers"] = owner.layers
    if not (kind is not None and owner.compiled):
        found.pop("optimizer", None)
    for name in sorted(found, key=lambda n: f"~{n}" if n.startswith("_") else n):
        child = found[name]
        if isinstance(child, Optimizer) and kind is not None:
            child = as_keras_builds(child, owner)
        if isinstance(child, Layer | Optimizer) or (
            isinstance(child, list | tuple | dict) and _has_layers(child)
        ):
            yield name, child


def as_keras_builds(optimizer: Any, model: Any) -> Any:
    """The optimiser with state for what the model trains now, in the order Keras expects."""
    if not optimizer.built:
        return optimizer
    optimizer.build(model.trainable_variables)
    return optimizer.part(model.trainable_variables)


def warn_of_frozen(model: Any) -> None:
    """Says what of the optimiser's state Keras's files have no place for."""
    if not model.compiled or model.optimizer is None or not model.optimizer.built:
        return
    inside = set(model.weights)
    kept = model.optimizer.part(v for v in model.optimizer._trainable if v in inside)
    dropped = len(kept.variables) - len(as_keras_builds(model.optimizer, model).variables)
    if dropped > 0:
        warnings.warn(
            "Keras's files hold the optimizer's state of the weights that are trained now; "
            f"{dropped} of its {len(kept.variables)} arrays belong to frozen weights and are left "
            "out\n  hint: save to '.safetensors', which holds them all",
            UserWarning,
            stacklevel=4,
        )


def _has_layers(value: Any) -> bool:
    return bool(modules_in(value))


def _walk_all(group: Any, path: str, seen: set[int], properties: bool) -> Iterator[Place]:
    used: dict[str, int] = {}
    for child in group.values() if isinstance(group, dict) else group:
        is_layer = isinstance(child, Layer)
        if not is_layer and not isinstance(child, list | tuple | dict):
            continue
        base = snake_case(type(child).__name__) if is_layer else "container"
        n = used[base] = used.get(base, -1) + 1
        inner = f"{path}/{base}_{n}" if n else f"{path}/{base}"
        walk = _walk if is_layer else _walk_all
        yield from walk(child, inner, seen, properties)


# ---- writing -------------------------------------------------------------------------------------


def write_places(file: Any, found: list[Place], look: Callable[[], None]) -> None:
    """Groups and arrays into an open HDF5 file, all of one moment; `look` is called in between."""
    everything = [v for _, _, variables in found for v in variables]
    everything += [v for _, owner, _ in found if _is_adapted(owner) for v in owner._adapters]
    values = dict(zip(map(id, everything), snapshots(everything), strict=True))
    for path, owner, variables in found:
        look()
        group = file.create_group(f"{path}/vars" if path else "vars")
        group.attrs["name"] = owner.name
        store: dict[str, Any] = {str(i): np.asarray(values[id(v)]) for i, v in enumerate(variables)}
        if _is_adapted(owner):
            base = owner.__dict__[owner._adapted]
            at = next(i for i, v in enumerate(variables) if v is base)
            parts = (values[id(v)] for v in (base, *owner._adapters))
            store[str(at)] = np.asarray(owner._with_adapters(*parts))
        if _has_hook(owner, "save_own_variables"):
            store.clear()
            owner.save_own_variables(store)
        for key, value in store.items():
            group.create_dataset(key, data=np.asarray(value))


def _has_hook(owner: Any, name: str) -> bool:
    """Whether a layer of the caller's stores its own values in its own way."""
    return isinstance(owner, Layer) and getattr(type(owner), name) is not getattr(Layer, name)


def hdf5_bytes(write: Callable[[Any, Callable[[], None]], None], **settings: Any) -> bytes:
    """The bytes of the HDF5 file that `write(file, look)` fills; `look` lets an interrupt through.

    In memory, since HDF5 cannot take back what a full disk refused. It writes through Python's file
    from callbacks, in which an exception would be lost, as it would be where its objects die.
    """
    memory = io.BytesIO()

    def fill(look: Callable[[], None]) -> None:
        with h5py_or_hint().File(memory, "w", **settings) as file:
            write(file, look)

    with uninterrupted() as look:
        fill(look)
    return memory.getvalue()


def weights_bytes(model: Any, compiled: bool = True) -> bytes:
    """The content of `model.weights.h5`, without `compiled` that of the layers alone."""

    def write(file: Any, look: Callable[[], None]) -> None:
        found = [p for p in places(model) if compiled or not isinstance(p[1], Optimizer)]
        write_places(file, found, look)
        write_run(file, model)

    return hdf5_bytes(write)


#: Where the state of a run stands that Keras's layout has no place for: JSON as bytes.
_RUN = "fastnn/run"


def write_run(file: Any, model: Any) -> None:
    """Random states and the seed of the order of samples into an open HDF5 file."""
    states = random_states(model)
    values = snapshots(list(states.values()))
    numbers = {n: np.asarray(v).tolist() for n, v in zip(states, values, strict=True)}
    run = {"shuffle_seed": getattr(model, "_shuffle_seed", None), "random_states": numbers}
    file.create_dataset(_RUN, data=np.frombuffer(json.dumps(run).encode(), np.uint8))


def read_run(reader: Reader, model: Any, whole: bool = True) -> None:
    """Sets what `write_run` wrote, without `whole` the random states alone.

    A file of Keras's own has none of it.
    """
    if "run" not in (reader.names("fastnn") or []):
        return
    text = reader.array(_RUN, None).astype(np.uint8).tobytes()
    run = read_json(text, _RUN, reader.label)
    states = run.get("random_states") if isinstance(run, dict) else None
    if not isinstance(states, dict):
        raise FormatError(f"{reader.label!r}: {_RUN!r} holds no random states\n  hint: damaged?")
    own, values = random_states(model), []
    for name, v in own.items():
        numbers = np.asarray(states.get(name, v))
        if numbers.shape != tuple(v.shape) or numbers.dtype.kind != "i":
            raise FormatError(
                f"{reader.label!r}: the random state {name!r} is no list of {v.shape[0]} integers"
                "\n  hint: the file is damaged"
            )
        values.append((v, numbers))
    if left := [name for name in states if name not in own]:
        shown = escaped(", ".join(left[:8]))
        warn_of_skipped(reader.label, [f"no layer draws from the random states {shown}"])
    assign_all(reader, values)
    if whole:
        seed = run.get("shuffle_seed")
        model._shuffle_seed = seed if isinstance(seed, int) else None


# ---- reading -------------------------------------------------------------------------------------


#: Where the first versions of Keras 3 kept `layers`.
_OLD_LAYERS = "_layer_checkpoint_dependencies"


def places_in(reader: Reader, model: Any) -> list[Place]:
    """The model's groups by the names that the file knows them by."""
    held = {at.removesuffix("vars").strip("/") for at in reader.holders()}
    old = reader.names("layers") is None and reader.names(_OLD_LAYERS) is not None

    def named(properties: bool) -> list[Place]:
        return [
            (_OLD_LAYERS + path.removeprefix("layers"), owner, variables)
            if old and path.startswith("layers/")
            else (path, owner, variables)
            for path, owner, variables in places(model, properties)
        ]

    return max(map(named, (True, False)), key=lambda found: sum(p in held for p, _, _ in found))


def read_places(reader: Reader, model: Any, skip_mismatch: bool) -> None:
    """Sets all weights of the model, and the optimiser's state where the file holds it.

    All or nothing: values are read and checked before the first is set; layers of the caller's that
    define `load_own_variables` come last.
    """
    hooks: list[tuple[Any, dict[str, Any]]] = []
    values: list[tuple[Any, Any]] = []
    taken: set[str] = set()
    faults: list[str] = []
    for path, owner, variables in places_in(reader, model):
        if path == "optimizer" or path.endswith("/optimizer"):
            continue
        taken.add(path)
        try:
            if _has_hook(owner, "load_own_variables"):
                at = f"{path}/vars" if path else "vars"
                names = reader.names(at) or []
                hooks.append((owner, {n: reader.array(f"{at}/{n}", None) for n in names}))
                continue
            values += _read_group(reader, path, f"layer {owner.name!r}", variables)
            if _is_adapted(owner):  # one alone is 0, so that training goes on from there
                first, second = owner._adapters
                start = HeUniform(seed=len(values))(first.shape)
                values += [(first, np.asarray(start)), (second, np.zeros(second.shape, "f"))]
        except FormatError as error:
            if not skip_mismatch:
                raise
            faults.append(told(error))
    left = [at for at in reader.holders() if at.removesuffix("vars").strip("/") not in taken]
    left = [at for at in left if "optimizer" not in at.split("/")[:-1]]
    if left:
        faults.append(f"the model has no place for the weights in {escaped(', '.join(left[:8]))}")
    if faults and not skip_mismatch:
        raise FormatError(
            f"{reader.label!r} does not fit the model: {faults[0]}\n"
            "  hint: build the model by calling it on data; skip_mismatch=True takes what fits"
        )
    if faults:
        warn_of_skipped(reader.label, faults)
    assign_all(reader, values)
    for owner, store in hooks:
        owner.load_own_variables(store)


def _read_group(
    reader: Reader, path: str, owner: str, variables: list[Any]
) -> list[tuple[Any, Any]]:
    at = f"{path}/vars" if path else "vars"
    have = reader.names(at)
    if have is None and not variables:
        return []
    if len(have or ()) != len(variables):
        raise FormatError(
            f"{reader.label!r} does not fit the model: {owner} has {len(variables)} weights, "
            f"group {at!r} holds {'none' if have is None else len(have)}\n"
            "  hint: the file was written for another architecture"
        )
    return [(v, reader.array(f"{at}/{i}", v.shape)) for i, v in enumerate(variables)]


def read_optimizer(reader: Reader, model: Any) -> None:
    """The optimiser's state, when the file holds one that was trained or not."""
    inner = "optimizer/inner_optimizer"  # of a LossScaleOptimizer, which float32 does without
    at = "optimizer" if reader.names(f"{inner}/vars") is None else inner
    names = reader.names(f"{at}/vars")
    optimizer = getattr(model, "optimizer", None)
    if names is None or not model.compiled or optimizer is None:
        return
    if len(names) > len(optimizer.variables):
        optimizer.build(model.trainable_variables)
    own = optimizer.variables
    assign_all(reader, _read_group(reader, at, f"optimizer {optimizer.name!r}", own))


def assign_all(reader: Reader, values: list[tuple[Any, Any]]) -> None:
    """Sets variables to arrays that fit them."""
    for v, value in values:
        try:
            v.assign(value.astype(np.float32) if v.dtype == "float32" else value)
        except (FastnnError, OverflowError, ValueError) as error:
            raise FormatError(f"{reader.label!r}: weight {v.path!r}: {error}") from error
