"""`keras` and `keras.src` as fastnn, for Keras's own tests alone.

A finder on `sys.meta_path` answers for every module name that the Keras wheel has (the list is read
from the wheel): a module of an area is a view of fastnn's module of that area. Only
`keras.src.testing` and `REFERENCE` are Keras's own code. What Keras's tests take from the internals
of its back ends (`backend.convert_to_numpy`, name scopes, type names) is adapted here, never in the
package.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import config, layers, models, ops, random
from fastnn.base import tree as fastnn_tree
from fastnn.layers import einsum_dense
from fastnn.serialization import custom_objects, encoding, objects, registry
from fastnn.tracing import call_context, symbolic, variables

_SAVING = (custom_objects, encoding, objects, registry)

#: Keras's areas and the fastnn modules that stand for them.
AREAS = {
    "activations": ["activations"], "callbacks": ["callbacks"], "constraints": ["constraints"],
    "distillation": ["distillation"],
    "initializers": ["initializers"], "losses": ["losses"], "metrics": ["metrics"],
    "optimizers.schedules": ["optimizers.schedules"],
    "optimizers": ["optimizers", "optimizers.schedules"], "regularizers": ["regularizers"],
    "layers.preprocessing.image_preprocessing.bounding_boxes": ["data.bounding_boxes"],
    "dtype_policies": ["dtype_policies"], "layers": ["layers", "layers.rnn"], "models": ["models"],
    "ops": ["ops"], "random": ["random"],
    "saving": ["saving"], "datasets": ["datasets"], "trainers": ["models", "data.batches"],
    "utils": ["utils", "data.batches", "display.progress", "saving", "config", "base.messages"],
}  # fmt: skip

#: What tests of convolutions compute their expected shapes with: Keras's own code.
REFERENCE = "keras.src.backend.common.backend_utils"


# ---- what tests take from the back end -----------------------------------------------------------

_TYPES = {float: "float32", int: "int32", bool: "bool", "float": "float32", "int": "int32"}
_FLOATS = ("float16", "bfloat16", "float32", "float64")


def standardize_dtype(dtype: Any) -> str:
    """A type's name, whatever names or holds the type."""
    if dtype is None:
        return "float32"
    if dtype in _TYPES:
        return _TYPES[dtype]
    return dtype if isinstance(dtype, str) else np.dtype(dtype).name


def convert_to_numpy(x: Any) -> np.ndarray[Any, Any]:
    """A tensor, variable or array as an array."""
    return np.asarray(x.numpy() if hasattr(x, "numpy") else x)


def set_keras_mask(x: Any, mask: Any) -> None:
    """Attaches a mask to a tensor."""
    x._keras_mask = mask


def get_keras_mask(x: Any) -> Any:
    """The mask of a tensor."""
    return getattr(x, "_keras_mask", None)


@contextlib.contextmanager
def name_scope(name: str, **_: Any) -> Iterator[None]:
    """Prefixes the paths of weights."""
    with call_context.NameScope(name):
        yield


def compute_output_spec(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The symbolic result of a function of symbolic tensors."""
    return symbolic.record(fn, getattr(fn, "__name__", "fn"), args, kwargs)


def _backend() -> dict[str, Any]:
    return {
        "backend": config.backend, "floatx": config.floatx, "set_floatx": config.set_floatx,
        "epsilon": config.epsilon, "set_epsilon": config.set_epsilon,
        "image_data_format": config.image_data_format,
        "set_image_data_format": config.set_image_data_format,
        "standardize_data_format": config.standardize_data_format,
        "standardize_dtype": standardize_dtype,
        "is_float_dtype": lambda d: standardize_dtype(d) in _FLOATS,
        "is_int_dtype": lambda d: "int" in standardize_dtype(d),
        "convert_to_numpy": convert_to_numpy, "convert_to_tensor": ops.convert_to_tensor,
        "is_tensor": ops.is_tensor, "cast": ops.cast, "shape": ops.shape,
        "Variable": variables.Variable, "KerasVariable": variables.Variable,
        "KerasTensor": symbolic.KerasTensor, "name_scope": name_scope,
        "get_keras_mask": get_keras_mask, "set_keras_mask": set_keras_mask,
        "compute_output_spec": compute_output_spec, "clear_session": config.clear_session,
        "standardize_shape": tuple, "numpy": ops, "nn": ops, "math": ops, "image": ops.image,
        "random": random, "core": ops, "config": config,
        "enable_flash_attention": config.enable_flash_attention,
        "disable_flash_attention": config.disable_flash_attention,
        "is_flash_attention_enabled": config.is_flash_attention_enabled,
        "SUPPORTS_SPARSE_TENSORS": False,
        "SUPPORTS_RAGGED_TENSORS": False, "IS_THREAD_SAFE": True,
    }  # fmt: skip


# ---- trees, utilities, saving --------------------------------------------------------------------


def _analyze_einsum_string(
    equation: str, bias_axes: str | None, input_shape: Any, output_shape: Any
) -> tuple[Any, ...]:
    """Shapes of kernel, bias and output, and which axes of the kernel are inputs and outputs."""
    sizes = (output_shape,) if isinstance(output_shape, int) else tuple(output_shape)
    (kernel, outputs), bias, out = einsum_dense._weights(
        equation, bias_axes, tuple(input_shape), sizes
    )
    inputs = [i for i in range(len(kernel)) if i not in outputs]
    return kernel, bias, out, inputs, outputs


def _index_lookup(vocabulary_dtype: str = "string", **kwargs: Any) -> Any:
    """The layer that stands for Keras's base class of both look-ups."""
    integers = "int" in str(vocabulary_dtype)
    return (layers.IntegerLookup if integers else layers.StringLookup)(**kwargs)


class _Curve:
    ROC, PR, PRGAIN = "ROC", "PR", "PRGAIN"


class _Summation:
    INTERPOLATION, MAJORING, MINORING = "interpolation", "majoring", "minoring"


def _map_up_to(shallow: Any, fn: Callable[..., Any], *trees: Any) -> Any:
    if isinstance(shallow, dict):
        return {k: _map_up_to(v, fn, *(t[k] for t in trees)) for k, v in shallow.items()}
    if isinstance(shallow, list | tuple):
        return [_map_up_to(v, fn, *(t[i] for t in trees)) for i, v in enumerate(shallow)]
    return fn(*trees)


def _map_shapes(fn: Callable[..., Any], shape: Any) -> Any:
    if isinstance(shape, list | tuple) and all(d is None or isinstance(d, int) for d in shape):
        return fn(shape)
    if isinstance(shape, dict):
        return {k: _map_shapes(fn, v) for k, v in shape.items()}
    return type(shape)(_map_shapes(fn, v) for v in shape)


def _extras(name: str) -> dict[str, Any]:
    """Names that a module of Keras has beyond fastnn's module of the area."""
    if name == "backend" or name.startswith("backend."):
        return {**_backend(), **({} if name != "backend.random" else vars(random))}
    if name == "tree" or name.startswith("tree."):
        return {
            "flatten": fastnn_tree.flatten, "map_structure": fastnn_tree.map_structure,
            "map_structure_up_to": _map_up_to, "map_shape_structure": _map_shapes,
        }  # fmt: skip
    if name.startswith("dtype_policies"):
        return {
            "dtype_policy": config.dtype_policy, "set_dtype_policy": config.set_dtype_policy,
        }  # fmt: skip
    if name == "utils.file_utils":
        return {"join": os.path.join, "exists": os.path.exists, "File": open}
    if name == "ops":
        return {"random": random}
    if name == "layers":
        return {"IndexLookup": _index_lookup}
    if name == "layers.core.einsum_dense":
        return {"_analyze_einsum_string": _analyze_einsum_string}
    if name.startswith("utils"):
        return {
            "removesuffix": lambda s, end: s.removesuffix(end),
            "is_traceback_filtering_enabled": lambda: False,
            "disable_traceback_filtering": lambda: None,
        }
    if name == "metrics.metrics_utils":
        return {"AUCCurve": _Curve, "AUCSummationMethod": _Summation}
    if name.startswith("saving"):
        return {k: v for m in _SAVING for k, v in vars(m).items()}
    return {}


class _View(ModuleType):
    """A Keras module whose names come from fastnn."""

    def __init__(self, name: str, known: frozenset[str], file: str | None = None) -> None:
        super().__init__(name)
        self.__path__: list[str] = []
        self.__file__ = file or f"<{name}>"
        self._known = known
        self._inner = name.removeprefix("keras.src").removeprefix("keras").removeprefix(".")
        self._extra = _extras(self._inner)

    def _sources(self) -> list[ModuleType]:
        if not self._inner:
            return [fastnn.keras, fastnn]
        if self._inner.startswith("backend."):
            return [ops, random]
        if self._inner == "layers.preprocessing.feature_space":  # Keras offers it in `utils`
            return [importlib.import_module("fastnn.utils")]
        for area in (self._inner, *_parents(self._inner)):
            if area in AREAS:
                return [importlib.import_module(f"fastnn.{m}") for m in AREAS[area]]
        return []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if f"{self.__name__}.{name}" in self._known:
            return importlib.import_module(f"{self.__name__}.{name}")
        if name in self._extra:
            return self._extra[name]
        for module in self._sources():
            try:
                return getattr(module, name)
            except AttributeError:
                continue
        if name[:1].isupper() and not name.isupper():
            return _missing(f"{self.__name__}.{name}")
        raise AttributeError(f"fastnn has no {self.__name__}.{name}")


def _missing(name: str) -> Any:
    """A class that fastnn lacks: a file may import it, a test that uses it fails."""

    def fail(cls: type, *args: Any, **kwargs: Any) -> Any:
        raise AttributeError(f"fastnn has no {name}")

    return type(name.rpartition(".")[2], (), {"__new__": fail})


def _parents(name: str) -> Iterator[str]:
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


class _Loader(importlib.abc.Loader):
    def __init__(self, make: Callable[[], ModuleType]) -> None:
        self._make = make

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return self._make()

    def exec_module(self, module: ModuleType) -> None:
        """Views are whole when made."""


class KerasFinder(importlib.abc.MetaPathFinder):
    """Answers for `keras…` from fastnn, for `keras.src.testing` from the extracted wheel."""

    def __init__(self, names: Sequence[str], testing: Path) -> None:
        self._known = frozenset(names) | {n.replace("keras.src", "keras", 1) for n in names}
        self._testing = testing

    def find_spec(
        self, fullname: str, path: Any = None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname == "conftest":
            return importlib.machinery.ModuleSpec(fullname, _Loader(_conftest))
        if fullname in ("tensorflow", "grain") and _asked_from("image_preprocessing"):
            return importlib.machinery.ModuleSpec(fullname, _Loader(_tensorflow))
        if fullname in ("tensorflow", "grain") and _asked_from("preprocessing"):
            return importlib.machinery.ModuleSpec(fullname, _Loader(lambda: _beside(fullname)))
        if fullname.split(".")[0] != "keras":
            return None
        if fullname.startswith("keras.src.testing"):
            inner = fullname.removeprefix("keras.src.testing").strip(".")
            file = self._testing / (f"{inner}.py" if inner else "__init__.py")
            return importlib.util.spec_from_file_location(
                fullname,
                file,
                submodule_search_locations=[str(self._testing)] if not inner else None,
            )
        if fullname == REFERENCE:
            file = self._testing.parent / f"{fullname.replace('.', '/')[10:]}.py"
            return importlib.util.spec_from_file_location(fullname, file)
        test = self._testing.parent / "tests" / f"{fullname.replace('.', '/')[10:]}.py"
        if fullname.endswith("_test") and test.exists():
            return importlib.util.spec_from_file_location(fullname, test)
        if fullname not in self._known:
            return None
        make = lambda: _View(fullname, self._known)  # noqa: E731
        return importlib.machinery.ModuleSpec(fullname, _Loader(make), is_package=True)


def _asked_from(folder: str) -> bool:
    """Whether a file of this folder is being imported."""
    frame = sys._getframe()
    while frame is not None:
        if f"/{folder}/" in frame.f_code.co_filename:
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


def _tensorflow() -> ModuleType:
    """`tf.data` as fastnn has it, for tests that read images through it."""
    module = ModuleType("tensorflow")
    module.data = fastnn.data  # type: ignore[attr-defined]
    return module


class _Beside(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _missing(f"{self.__name__}.{name}")


def _beside(name: str) -> ModuleType:
    """TensorFlow or Grain for tests of text layers: data sets are fastnn's, no more."""
    module = _Beside(name)
    if name == "tensorflow":
        module.data = fastnn.data  # type: ignore[attr-defined]
        module.constant = ops.convert_to_tensor  # type: ignore[attr-defined]
    return module


def _conftest() -> ModuleType:
    module = ModuleType("conftest")
    module.skip_if_backend = lambda name, reason: pytest.mark.skipif(  # type: ignore[attr-defined]
        name == config.backend(), reason=reason
    )
    return module


def install(names: Sequence[str], testing: Path) -> None:
    """Puts the finder in front; a Keras that is installed is not looked at."""
    for name in [n for n in sys.modules if n.split(".")[0] == "keras"]:
        del sys.modules[name]
    sys.meta_path.insert(0, KerasFinder(names, testing))


def know_classes(module: ModuleType) -> None:
    """Layers that a test's module defines, by name: Keras imports the module that a config names,
    fastnn asks for custom objects.
    """
    found = fastnn.saving.get_custom_objects()
    for name, thing in vars(module).items():
        layer = isinstance(thing, type) and issubclass(thing, fastnn.Layer)
        if layer and not thing.__module__.startswith("fastnn."):
            found[name] = thing


def finish_test() -> None:
    """Ends what one test left open: custom objects, the axis order."""
    fastnn.saving.get_custom_objects().clear()
    config.set_image_data_format("channels_last")


__all__ = ["KerasFinder", "finish_test", "install", "layers", "models"]
