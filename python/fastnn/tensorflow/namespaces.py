"""`tf.math`, `tf.nn`, `tf.linalg` and others: names that are found on use, and more."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

from fastnn import ops, random, tensorflow
from fastnn.base import tree
from fastnn.base.absent import answer_missing, missing
from fastnn.tensorflow import (
    algebra,
    audio,
    files as io,
    image,
    lookup,
    mathematics,
    signal,
    sparse,
    strings,
    summary,
    train,
    windows,
)
from fastnn.tensorflow.checks import debugging
from fastnn.tensorflow.parameters import as_tensorflow

__all__ = [
    "audio", "autograph", "compat", "debugging", "dtypes", "image", "io", "linalg", "lookup",
    "math", "nest", "nn", "signal", "sparse", "strings", "summary", "test", "train",
]  # fmt: skip

#: Names that differ from those of `fastnn.ops`.
_RENAMED = {
    "math": {"pow": "power", "bessel_i0": "i0", "acos": "arccos", "asin": "arcsin",
             "atan": "arctan", "atan2": "arctan2", "acosh": "arccosh", "asinh": "arcsinh",
             "atanh": "arctanh", "floormod": "mod", "floordiv": "floor_divide", "negative":
             "negative", "is_nan": "isnan", "is_inf": "isinf", "is_finite": "isfinite",
             "invert_permutation": "argsort", "bincount": "bincount", "truediv": "true_divide",
             "rint": "round"},
    "nn": {"conv_transpose": "", "isotonic_regression": ""},
    "linalg": {"eig": ""},
}  # fmt: skip
#: Functions of `fastnn.tensorflow` that belong to a namespace.
_BESIDE = {
    "math": ("argmax", "argmin", "l2_normalize", "add_n", "top_k", "cumsum", "cumprod",
             "scalar_mul"),
    "nn": (
        "softmax_cross_entropy_with_logits", "sparse_softmax_cross_entropy_with_logits",
        "sigmoid_cross_entropy_with_logits", "l2_normalize", "l2_loss", "top_k",
    ),
    "linalg": ("matrix_transpose", "global_norm", "l2_normalize", "matmul", "eye", "cross"),
}  # fmt: skip
#: Modules whose names go before those of `ops`: TensorFlow means something else by them.
_OWN = {"math": mathematics, "nn": windows, "linalg": algebra}


class _Names(ModuleType):
    def __getattr__(self, name: str) -> Any:
        space = self.__name__.rpartition(".")[2]
        own = _OWN[space]
        if name in own.__all__:
            return getattr(own, name)
        if name.startswith("reduce_") or (name in _BESIDE[space] and hasattr(tensorflow, name)):
            return as_tensorflow(getattr(tensorflow, name), name)
        ours = _RENAMED[space].get(name, name)
        if ours in ops.__all__:
            return as_tensorflow(getattr(ops, ours), ours)
        raise missing(self.__name__, name, [*ops.__all__, *own.__all__, *_BESIDE[space]])


math = _Names("fastnn.math", "Functions under the names of `tf.math`.")
nn = _Names("fastnn.nn", "Functions under the names of `tf.nn`.")
linalg = _Names("fastnn.linalg", "Functions under the names of `tf.linalg`.")


def _same(function: Any) -> Any:
    return function


def _space(module: str, **names: Any) -> ModuleType:
    """A namespace of `tf` that holds `names`, and answers for those it has not."""
    space = ModuleType(f"fastnn.{module}")
    vars(space).update(names, __all__=list(names))
    answer_missing(vars(space))
    return space


#: Python is traced as it is, so there is nothing to be told of it.
autograph = _space(
    "autograph",
    experimental=SimpleNamespace(
        do_not_convert=lambda func=None: _same if func is None else func,
        set_loop_options=lambda **_: None,
    ),
    set_verbosity=lambda level, alsologtostdout=False: None,
    trace=print,
)
nest = _space(
    "nest",
    flatten=lambda structure, expand_composites=False: tree.flatten(structure),
    map_structure=lambda func, *structures, **_: tree.map_structure(func, *structures),
    pack_sequence_as=lambda structure, flat_sequence, expand_composites=False: tree.pack(
        structure, list(flat_sequence)
    ),
    is_nested=lambda structure: isinstance(structure, dict | list | tuple),
)
test = _space(
    "test",
    gpu_device_name=lambda: "",
    is_built_with_cuda=lambda: False,
    is_built_with_gpu_support=lambda: False,
    is_gpu_available=lambda *_, **__: False,
)
_TYPES = (
    "bfloat16", "bool", "double", "float16", "float32", "float64", "half", "int16", "int32",
    "int64", "int8", "string", "uint16", "uint32", "uint8",
)  # fmt: skip
dtypes = _space("dtypes", **{n: tensorflow.at_top(n) for n in ("as_dtype", "cast", *_TYPES)})


class _First(ModuleType):
    """`tf.compat.v1`: what programs of TensorFlow 2 still call; there are no sessions."""

    set_random_seed: Callable[[int], None] = staticmethod(random.set_seed)
    logging = SimpleNamespace(
        set_verbosity=lambda level: None, ERROR=40, WARN=30, INFO=20, DEBUG=10, FATAL=50
    )

    @staticmethod
    def enable_eager_execution(*_: Any, **__: Any) -> None:
        """Nothing: values are there when they are read."""

    def __getattr__(self, name: str) -> Any:
        import fastnn

        if name not in _GRAPHS and hasattr(fastnn, name):
            return getattr(fastnn, name)
        raise missing("fastnn.compat", "v1." + name, [])


_GRAPHS = ("Session", "placeholder", "global_variables_initializer", "get_variable")
compat = _space("compat", v1=_First("fastnn.compat.v1"), v2=sys.modules["fastnn"])
