"""What TensorFlow runs outside its graph, and what it needs for one: Python functions, lists of
tensors, checks of order. Depends on `ops`, `layers`, `tree`.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from fastnn import _core, layers, ops
from fastnn._core import Tensor
from fastnn.base import tree
from fastnn.base.typing import DTypeLike, TensorLike
from fastnn.config import stored_dtype
from fastnn.errors import DataError, TraceError
from fastnn.tracing.symbolic import KerasTensor

__all__ = [
    "Module", "TensorArray", "control_dependencies", "get_logger", "numpy_function", "py_function",
    "timestamp",
]  # fmt: skip


def _bytes(x: TensorLike) -> Any:
    """Text as TensorFlow hands it on."""
    if x.dtype.kind in "US":
        return np.char.encode(x.astype(str), "utf-8")[()]
    return x[()] if x.dtype.kind == "O" and x.ndim == 0 else x


def _results(found: Any, types: Any, name: str) -> Any:
    """What a Python function gave, as tensors of the types that it was said to give."""
    if types is None or (isinstance(types, list | tuple) and not types):
        return None

    def one(value: Any, kind: Any) -> Any:
        value = np.asarray(value)
        if value.dtype.kind in "USO" or str(kind) == "string":
            return value
        return _core.tensor(value.astype(stored_dtype(kind)))

    if not isinstance(types, list | tuple):
        return one(found, types)
    given = list(found) if isinstance(found, list | tuple) else [found]
    if len(given) != len(types):
        raise DataError(
            f"tf.{name}: the function gave {len(given)} values, Tout names {len(types)}\n"
            "  hint: one type per value"
        )
    return [one(v, t) for v, t in zip(given, types, strict=True)]


def _outside(inp: Any, name: str) -> list[Any]:
    values = list(inp) if isinstance(inp, list | tuple) else [inp]
    for x in values:
        if isinstance(x, KerasTensor) or (isinstance(x, Tensor) and x.is_traced):
            raise TraceError(
                f"tf.{name}: a Python function needs values, and its input is being traced\n"
                "  hint: call it in a data set's map, or write it with fastnn.ops"
            )
    return values


def numpy_function(
    func: Callable[..., Any] | None = None, inp: Any = None, Tout: Any = None,
    stateful: bool = True, name: str | None = None,
) -> Any:  # fmt: skip
    """A Python function of arrays, called now; text comes as bytes. Alone a decorator."""
    if func is None:
        return lambda f: functools.wraps(f)(lambda *args: numpy_function(f, args, Tout))
    arrays = [np.asarray(x) for x in _outside(inp, "numpy_function")]
    # Functions of users write into their arguments.
    return _results(func(*(_bytes(a.copy()) for a in arrays)), Tout, "numpy_function")


def py_function(func: Callable[..., Any], inp: Any, Tout: Any, name: str | None = None) -> Any:
    """A Python function of tensors, called now."""
    given = [ops.convert_to_tensor(x) for x in _outside(inp, "py_function")]
    return _results(func(*given), Tout, "py_function")


class TensorArray:
    """A list of tensors that loops write and read.

    Each `write` gives the array to go on with; `stack` and `concat` make one tensor of it.

    Example:
        >>> import fastnn as tf
        >>> found = tf.TensorArray(tf.float32, size=2)
        >>> for i in range(2):
        ...     found = found.write(i, tf.constant([i, i + 1.0]))
        >>> found.stack().tolist()
        [[0.0, 1.0], [1.0, 2.0]]
    """

    dynamic_size: bool

    def __init__(
        self, dtype: DTypeLike, size: Any = None, dynamic_size: bool | None = None,
        clear_after_read: bool | None = None, tensor_array_name: Any = None, handle: Any = None,
        flow: Any = None, infer_shape: bool = True, element_shape: Any = None,
        colocate_with_first_write_call: bool = True, name: str | None = None,
    ) -> None:  # fmt: skip
        self.dtype = dtype
        self.dynamic_size = bool(dynamic_size)
        self._held: list[Any] = [None] * int(size or 0)

    def write(self, index: Any, value: Any, name: str | None = None) -> TensorArray:
        """The array with a value at a place."""
        at = int(index)
        if at >= len(self._held) and (self.dynamic_size or not self._held):
            self._held += [None] * (at + 1 - len(self._held))
        if not 0 <= at < len(self._held):
            raise DataError(
                f"TensorArray.write: place {at} of {len(self._held)}\n  hint: dynamic_size=True"
            )
        self._held[at] = ops.convert_to_tensor(value, self.dtype)
        return self

    def read(self, index: Any, name: str | None = None) -> Tensor:
        """The value at a place."""
        value = self._held[int(index)]
        if value is None:
            raise DataError(
                f"TensorArray.read: place {int(index)} is empty\n  hint: write it first"
            )
        found: Tensor = value
        return found

    def stack(self, name: str | None = None) -> Tensor:
        """All values along a new first axis."""
        return ops.stack(self._all("stack"), axis=0)

    def concat(self, name: str | None = None) -> Tensor:
        """All values along their first axis."""
        return ops.concatenate(self._all("concat"), axis=0)

    def gather(self, indices: TensorLike, name: str | None = None) -> Tensor:
        """Values at places, along a new first axis."""
        return ops.stack([self.read(int(i)) for i in np.asarray(indices)], axis=0)

    def unstack(self, value: Any, name: str | None = None) -> TensorArray:
        """The array with the slices of a tensor."""
        self._held = list(ops.unstack(ops.convert_to_tensor(value, self.dtype)))
        return self

    def size(self, name: str | None = None) -> int:
        """The number of places."""
        return len(self._held)

    def close(self, name: str | None = None) -> None:
        """Forgets everything."""
        self._held = []

    def _all(self, name: str) -> list[Any]:
        if not self._held or any(v is None for v in self._held):
            empty = [i for i, v in enumerate(self._held) if v is None]
            raise DataError(
                f"TensorArray.{name}: {'places ' + str(empty[:5]) if empty else 'all'} are empty\n"
                "  hint: write them first"
            )
        return self._held


class Module(layers.Layer):
    """A base class for what holds variables and modules; `__call__` is the subclass's own."""

    def __init__(self, name: str | None = None) -> None:
        if "_variables" in self.__dict__:  # set up by its first attribute
            self.name = name or self.name
            return
        object.__setattr__(self, "_begun", True)
        super().__init__(name=name)
        self.built = True

    def __setattr__(self, name: str, value: Any) -> None:
        if "_begun" not in self.__dict__:  # a subclass need not call `super().__init__()`
            Module.__init__(self)
        super().__setattr__(name, value)

    @property
    def submodules(self) -> tuple[Any, ...]:
        """The modules and layers within."""
        return tuple(layer for layer in self._every_layer() if layer is not self)


@contextlib.contextmanager
def control_dependencies(control_inputs: Any) -> Iterator[None]:
    """Nothing: what is written first happens first."""
    yield


def get_logger() -> logging.Logger:
    """The logger of the package."""
    return logging.getLogger("fastnn")


def timestamp(name: str | None = None) -> float:
    """Seconds since 1970."""
    return time.time()


def case(
    pred_fn_pairs: Any, default: Callable[[], Any] | None = None, exclusive: bool = False,
    strict: bool = False, name: str | None = None,
) -> Any:  # fmt: skip
    """What the function of the first true condition gives, else that of `default`."""
    pairs = list(pred_fn_pairs.items() if isinstance(pred_fn_pairs, dict) else pred_fn_pairs)
    if not pairs:
        raise ValueError("tf.case: there are no conditions\n  hint: [(condition, function), …]")
    *first, last = pairs
    rest: Callable[[], Any] = default or last[1]
    for pred, function in reversed([*first, last] if default else first):
        rest = _branch(pred, function, rest)
    return rest()


def _branch(pred: Any, function: Callable[[], Any], rest: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: ops.cond(pred, function, rest)


def switch_case(
    branch_index: Any,
    branch_fns: Any,
    default: Callable[[], Any] | None = None,
    name: str | None = None,
) -> Any:
    """What the function of this number gives; another number takes `default`, or the last."""
    fns = dict(branch_fns) if isinstance(branch_fns, dict) else dict(
        enumerate(branch_fns) if all(map(callable, branch_fns)) else branch_fns
    )  # fmt: skip
    last = default or fns[max(fns)]
    return case([(ops.equal(branch_index, i), f) for i, f in fns.items()], last)


def _folded(fn: Callable[..., Any], elems: Any, start: Any, back: bool) -> list[Any]:
    if isinstance(elems, list) and not any(hasattr(x, "__len__") for x in elems):
        elems = ops.convert_to_tensor(elems)  # numbers, not a tensor each
    leaves = tree.flatten(elems)
    count = len(ops.convert_to_tensor(leaves[0]))
    order: Iterable[int] = range(count - 1, -1, -1) if back else range(count)
    parts = [
        tree.pack(elems, [ops.convert_to_tensor(x)[i] for x in leaves]) for i in order
    ]  # fmt: skip
    values, state = [], start
    if state is None:
        state, *parts = parts
        values.append(state)
    for part in parts:
        state = fn(state, part)
        values.append(state)
    return values


def foldl(fn: Callable[..., Any], elems: Any, initializer: Any = None, **_: Any) -> Any:
    """`fn(state, slice)` over the slices of the first axis; the last state."""
    return _folded(fn, elems, initializer, False)[-1]


def foldr(fn: Callable[..., Any], elems: Any, initializer: Any = None, **_: Any) -> Any:
    """As `foldl`, from the last slice."""
    return _folded(fn, elems, initializer, True)[-1]


def scan(
    fn: Callable[..., Any], elems: Any, initializer: Any = None, reverse: bool = False, **_: Any
) -> Any:
    """`fn(state, slice)` over the slices of the first axis; all states, stacked."""
    states: Sequence[Any] = _folded(fn, elems, initializer, reverse)
    states = states[::-1] if reverse else states
    return tree.map_structure(lambda *parts: ops.stack(parts), *states)
