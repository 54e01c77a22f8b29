"""What a tensor's shape, type and values are to programs of TensorFlow: `x.shape.as_list()`,
`x.dtype.name`, `x.numpy()`.

Shapes are tuples and types are text, as in Keras, with TensorFlow's methods beside. Depends on
nothing of fastnn; NumPy, which takes most of the time of an import, is loaded when it is asked for.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "TYPES",
    "Absent",
    "DType",
    "NarrowType",
    "TensorShape",
    "WholeNumber",
    "asked_type",
    "complete",
    "given_shape",
    "own_array",
]


class TensorShape(tuple[Any, ...]):
    """Sizes of a tensor, with TensorFlow's methods.

    Example:
        >>> import fastnn as tf
        >>> tf.zeros((2, 3)).shape.as_list()
        [2, 3]
    """

    __slots__ = ()

    def __new__(cls, dims: Any = ()) -> TensorShape:
        """From a sequence of sizes, or one size."""
        return super().__new__(cls, dims if hasattr(dims, "__iter__") else (dims,))

    def as_list(self) -> list[int | None]:
        """The sizes as a list; None where one is open."""
        return [d if isinstance(d, int) else None for d in self]

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self)

    ndims = rank

    @property
    def dims(self) -> list[int | None]:
        """The sizes as a list; None where one is open."""
        return self.as_list()

    def num_elements(self) -> int | None:
        """The product of the sizes, None where one is open."""
        sizes = self.as_list()
        return None if None in sizes else math.prod(d or 0 for d in sizes)

    def is_fully_defined(self) -> bool:
        """Whether no size is open."""
        return None not in self.as_list()

    def is_compatible_with(self, other: Any) -> bool:
        """Whether one tensor can have both shapes; an open size fits any."""
        there = TensorShape(other).as_list()
        return len(self) == len(there) and all(
            a is None or b is None or a == b for a, b in zip(self.as_list(), there, strict=True)
        )

    def assert_is_compatible_with(self, other: Any) -> None:
        """ValueError unless one tensor can have both shapes."""
        if not self.is_compatible_with(other):
            raise ValueError(
                f"Shapes {self} and {tuple(other)} are incompatible\n  hint: None fits any size"
            )

    def assert_has_rank(self, rank: int) -> None:
        """ValueError for another number of axes."""
        if len(self) != rank:
            raise ValueError(f"Shape {self} must have rank {rank}\n  hint: tf.reshape, expand_dims")

    def with_rank(self, rank: int) -> TensorShape:
        """The shape itself; ValueError for another number of axes."""
        self.assert_has_rank(rank)
        return self

    def merge_with(self, other: Any) -> TensorShape:
        """The sizes that either shape knows."""
        self.assert_is_compatible_with(other)
        return TensorShape(b if a is None else a for a, b in zip(self, other, strict=True))

    def concatenate(self, other: Any) -> TensorShape:
        """The sizes of this shape and then those of another."""
        return TensorShape((*self, *TensorShape(other)))

    def __getitem__(self, at: Any) -> Any:
        found = tuple.__getitem__(self, at)
        return TensorShape(found) if found.__class__ is tuple else found

    def __add__(self, other: Any) -> Any:
        return self.concatenate(other) if isinstance(other, list | tuple) else NotImplemented

    def __radd__(self, other: Any) -> Any:
        if not isinstance(other, list | tuple):
            return NotImplemented
        return TensorShape((*other, *self))

    def __eq__(self, other: object) -> bool:
        return tuple.__eq__(self, tuple(other) if isinstance(other, list) else other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    if TYPE_CHECKING:  # by a name alone the class, and all that has a shape, is unknown to checkers

        def __hash__(self) -> int: ...

    else:
        __hash__ = tuple.__hash__

    def __reduce__(self) -> tuple[Any, ...]:
        return tuple, (tuple(self),)


class DType(str):
    """The name of an element type, with TensorFlow's attributes.

    Example:
        >>> import fastnn as tf
        >>> tf.float32.name, tf.float32.is_floating, tf.int32.max
        ('float32', True, 2147483647)
    """

    __slots__ = ()

    @property
    def name(self) -> str:
        """The name."""
        return str(self)

    @property
    def as_numpy_dtype(self) -> type[Any]:
        """NumPy's class of this type; of bfloat16, which NumPy has not, float32."""
        import numpy as np

        if self == "string":
            return np.object_
        return np.dtype("float32" if self == "bfloat16" else str(asked_type(self))).type

    @property
    def is_floating(self) -> bool:
        """Whether it holds fractions."""
        return "float" in self

    @property
    def is_integer(self) -> bool:
        """Whether it holds whole numbers."""
        return "int" in self

    @property
    def is_bool(self) -> bool:
        """Whether it holds truth values."""
        return self == "bool"

    is_complex = is_quantized = False

    @property
    def is_numpy_compatible(self) -> bool:
        """Whether NumPy has it."""
        return self != "bfloat16"

    @property
    def base_dtype(self) -> DType:
        """The type itself."""
        return self

    real_dtype = base_dtype

    @property
    def size(self) -> int:
        """Bytes of an element."""
        import numpy as np

        return 2 if self == "bfloat16" else np.dtype(self.as_numpy_dtype).itemsize

    def _limit(self, name: str) -> Any:
        import numpy as np

        if self.is_floating:
            return getattr(np.finfo(self.as_numpy_dtype), name)
        if self.is_integer:
            return getattr(np.iinfo(self.as_numpy_dtype), name)
        raise TypeError(f"{self} has no {name}imum value\n  hint: a type of numbers")

    @property
    def min(self) -> Any:
        """The smallest number."""
        return self._limit("min")

    @property
    def max(self) -> Any:
        """The largest number."""
        return self._limit("max")

    def is_compatible_with(self, other: Any) -> bool:
        """Whether values of another type are taken for it: only those of its own."""
        return str(self) == getattr(other, "name", str(other))

    def __reduce__(self) -> tuple[Any, ...]:
        return str, (str(self),)


class NarrowType(DType):
    """A whole type that computes as int32, under a name of TensorFlow's and with its limits.

    Example:
        >>> import fastnn as tf
        >>> tf.uint8.max, tf.uint8 == tf.int32
        (255, True)
    """

    __slots__ = ("asked",)

    asked: str

    def __new__(cls, asked: str) -> NarrowType:
        """The type of a name such as `"uint8"`."""
        made = super().__new__(cls, "int32")
        made.asked = asked
        return made


def asked_type(dtype: Any) -> Any:
    """The type that was asked for where another computes in its place."""
    return dtype.asked if isinstance(dtype, NarrowType) else dtype


class WholeNumber(int):
    """A size or a count, with a tensor's ways to read it."""

    dtype: DType
    shape = TensorShape()
    ndim = 0

    def numpy(self) -> np.int64:
        """The number as a NumPy scalar."""
        import numpy as np

        return np.int64(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return int, (int(self),)


def _beside_tensors(name: str) -> Any:
    """An operator of `WholeNumber`: the core knows plain numbers, and no class made of them."""
    of_numbers = getattr(int, f"__{name}__")
    swapped = not hasattr(operator, f"__{name}__")
    apply = getattr(operator, f"__{name[1:] if swapped else name}__")

    def method(self: WholeNumber, other: Any) -> Any:
        found = of_numbers(self, other)
        if found is not NotImplemented:
            return found
        return apply(other, int(self)) if swapped else apply(int(self), other)

    def power(self: WholeNumber, other: Any, mod: Any = None) -> Any:
        return method(self, other) if mod is None else of_numbers(self, other, mod)

    made = power if name in ("pow", "rpow") else method
    made.__name__ = made.__qualname__ = f"__{name}__"
    return made


for _name in (
    "add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod pow rpow "
    "lt le gt ge eq ne"
).split():
    setattr(WholeNumber, f"__{_name}__", _beside_tensors(_name))
WholeNumber.__hash__ = int.__hash__  # type: ignore[method-assign]  # which `__eq__` takes away


def own_array(array: Any) -> Any:
    """A value as `numpy()` gives it: an array of the caller's own, or a NumPy scalar."""
    return array.copy() if array.ndim else array[()]


def given_shape(shape: Any, wanted: Iterable[Any]) -> None:
    """ValueError unless a shape is one that `set_shape` says it is."""
    TensorShape(shape).assert_is_compatible_with(wanted)


class _Types(dict[str, DType]):
    """Types by name, so that reading one makes no object."""

    def __missing__(self, name: str) -> DType:
        return self.setdefault(name, DType(name))


#: The type of each name.
TYPES = _Types()
WholeNumber.dtype = TYPES["int32"]


#: Attributes of PyTorch's tensors, and what does the same here.
_OF_PYTORCH = {
    "backward": "with tf.GradientTape() as tape: loss = ...; then tape.gradient(loss, variables), "
    "with import fastnn as tf",
    "grad": "tape.gradient(loss, variables) of tf.GradientTape(), with import fastnn as tf",
    "requires_grad": "variables are watched by a tape as they are; tape.watch(x) for a tensor",
    "requires_grad_": "variables are watched by a tape as they are; tape.watch(x) for a tensor",
    "detach": "fastnn.ops.stop_gradient(x)",
    "cpu": "leave it out; x.numpy() is an array",
    "cuda": "fastnn.set_device('gpu') computes there",
    "to": "x.astype('int32') for another type, fastnn.set_device('gpu') for another device",
}


class Absent(property):
    """An attribute that is not there; reading it says what to do instead."""

    def __init__(self, name: str, hint: str) -> None:
        def refuse(self: Any) -> Any:
            what = type(self).__name__
            raise AttributeError(f"a {what} has no {name!r}, as PyTorch's has\n  hint: {hint}")

        super().__init__(refuse)


def complete(tensor: type[Any], variable: type[Any]) -> None:
    """Gives the core's classes the methods of TensorFlow's tensors that compute nothing, and an
    answer for those of PyTorch's.
    """
    for name, hint in _OF_PYTORCH.items():
        for kind in (tensor, variable):
            if not hasattr(kind, name):
                setattr(kind, name, Absent(name, hint))

    def get_shape(self: Any) -> TensorShape:
        """The sizes, as `shape`."""
        shape: TensorShape = self.shape
        return shape

    def set_shape(self: Any, shape: Sequence[int | None]) -> None:
        """ValueError unless the tensor has this shape; None fits any size."""
        given_shape(self.shape, shape)

    def to_tensor(
        self: Any, default_value: Any = None, shape: Any = None, name: str | None = None
    ) -> Any:
        """The tensor itself: rows of unlike lengths are filled up when they are made."""
        return self

    tensor.to_tensor, tensor.set_shape = to_tensor, set_shape
    tensor.get_shape = variable.get_shape = get_shape
