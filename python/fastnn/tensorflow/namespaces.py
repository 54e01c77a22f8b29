"""`tf.math`, `tf.nn`, `tf.linalg`, `tf.debugging`: names that are found on use, and more."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from fastnn import ops, tensorflow
from fastnn.base.absent import missing
from fastnn.tensorflow import image, strings

__all__ = ["debugging", "image", "linalg", "math", "nn", "strings"]

#: Names that differ from those of `fastnn.ops`.
_RENAMED = {
    "math": {"pow": "power", "lgamma": "", "bessel_i0": "i0", "acos": "arccos", "asin": "arcsin",
             "atan": "arctan", "atan2": "arctan2", "acosh": "arccosh", "asinh": "arcsinh",
             "atanh": "arctanh", "floormod": "mod", "floordiv": "floor_divide", "negative":
             "negative", "is_nan": "isnan", "is_inf": "isinf", "is_finite": "isfinite",
             "invert_permutation": "argsort", "bincount": "bincount"},
    "nn": {"swish": "silu"},
    "linalg": {"diag": "diag", "diag_part": "diagonal", "tensor_diag": "diag", "eigvalsh": "",
               "set_diag": "", "triangular_solve": "solve_triangular", "matvec": "matmul"},
}  # fmt: skip
_SEGMENTS = tuple(
    f"{first}segment_{kind}"
    for first in ("", "unsorted_")
    for kind in ("sum", "mean", "max", "min", "prod")
)
#: Functions of `fastnn.tensorflow` that belong to a namespace.
_BESIDE = {
    "math": ("argmax", "argmin", "l2_normalize", "add_n", "top_k", *_SEGMENTS),
    "nn": (
        "softmax_cross_entropy_with_logits", "sparse_softmax_cross_entropy_with_logits",
        "sigmoid_cross_entropy_with_logits", "l2_normalize", "l2_loss", "dropout", "top_k",
    ),
    "linalg": ("matrix_transpose", "global_norm", "l2_normalize"),
}  # fmt: skip


class _Names(ModuleType):
    def __getattr__(self, name: str) -> Any:
        own = self.__name__.rpartition(".")[2]
        if name in _BESIDE[own] or name.startswith("reduce_"):
            return getattr(tensorflow, name)
        ours = _RENAMED[own].get(name, name)
        if ours in ops.__all__:
            return getattr(ops, ours)
        raise missing(self.__name__, name, [*ops.__all__, *_BESIDE[own]])


math = _Names("fastnn.math", "Functions under the names of `tf.math`.")
nn = _Names("fastnn.nn", "Functions under the names of `tf.nn`.")
linalg = _Names("fastnn.linalg", "Functions under the names of `tf.linalg`.")


class _Debugging(ModuleType):
    """Checks under the names of `tf.debugging`; while a step is traced they pass."""

    @staticmethod
    def assert_all_finite(x: Any, message: str = "") -> Any:
        """`x`, unless NaN or an infinity is in it."""
        x = ops.convert_to_tensor(x)
        if not x.is_traced and not bool(ops.all(ops.isfinite(x))):
            raise ValueError(f"{message or 'a tensor'} holds NaN or infinities\n  hint: look at x")
        return x

    check_numerics = assert_all_finite

    @staticmethod
    def assert_equal(x: Any, y: Any, message: str = "") -> None:
        """Nothing, unless elements differ."""
        same = ops.all(ops.equal(x, y))
        if not same.is_traced and not bool(same):
            raise ValueError(f"{message or 'tensors'} differ\n  hint: look at x and y")


debugging = _Debugging("fastnn.debugging")
