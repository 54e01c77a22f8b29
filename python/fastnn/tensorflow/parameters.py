"""TensorFlow's names of the arguments of functions that `ops` and `random` have as well.

Depends on nothing of fastnn.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["PARAMETERS", "as_tensorflow"]

_PAIR = ("x", "y")
#: TensorFlow's arguments in the order of those of fastnn's function; () where all are `x`.
PARAMETERS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("add", "divide", "equal", "greater", "greater_equal", "less", "less_equal", "logical_and",
         "logical_or", "logical_xor", "maximum", "minimum", "multiply", "not_equal", "subtract",
         "floor_divide", "mod", "power", "true_divide", "divide_no_nan"), _PAIR),
    "arctan2": ("y", "x"),
    "stack": ("values", "axis"), "unstack": ("value", "num", "axis"),
    "stop_gradient": ("input",), "repeat": ("input", "repeats", "axis"),
    "roll": ("input", "shift", "axis"), "tile": ("input", "multiples"),
    "tensordot": ("a", "b", "axes"), "norm": ("tensor", "ord", "axis", "keepdims"),
    "slice": ("input_", "begin", "size"), "ones_like": ("input", "dtype"),
    "zeros_like": ("input", "dtype"), "where": ("condition", "x", "y"),
    "broadcast_to": ("input", "shape"), "vectorized_map": ("fn", "elems"),
    "depth_to_space": ("input", "block_size", "data_format"),
    "space_to_depth": ("input", "block_size", "data_format"),
    **dict.fromkeys(("relu", "relu6", "elu", "selu", "softplus", "softsign"), ("features",)),
    "softmax": ("logits", "axis"), "log_softmax": ("logits", "axis"),
    "bincount": ("arr", "weights", "minlength"), "det": ("input",), "inv": ("input",),
    "cholesky": ("input",), "qr": ("input",), "eigh": ("tensor",), "solve": ("matrix", "rhs"),
    "count_nonzero": ("input", "axis"), "in_top_k": ("targets", "predictions", "k"),
    "normal": ("shape", "mean", "stddev"), "uniform": ("shape", "minval", "maxval"),
    "expand_dims": ("input", "axis"), "unravel_index": ("indices", "dims"),
    "cross": ("a", "b"),
}  # fmt: skip
#: Options of TensorFlow that say how, not what.
_WITHOUT_EFFECT = (
    "name", "parallel_iterations", "back_prop", "swap_memory", "shape_invariants", "out_type",
    "output_type", "dtype_hint", "layout", "infer_shape",
)  # fmt: skip


def as_tensorflow(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """`function` under a name of TensorFlow, which may be called with TensorFlow's arguments.

    Its own names of the arguments work as well. `name=` and the like have no effect.
    """
    try:
        own = inspect.signature(function).parameters
    except ValueError:  # of the core
        return function
    theirs = PARAMETERS.get(getattr(function, "__name__", name), ("x",))
    renamed = {t: o for t, o in zip(theirs, own, strict=False) if t not in own}
    dropped = [n for n in _WITHOUT_EFFECT if n not in own]

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            for without in dropped:
                kwargs.pop(without, None)
            if renamed:
                kwargs = {renamed.get(k, k): v for k, v in kwargs.items()}
        return function(*args, **kwargs)

    return call
