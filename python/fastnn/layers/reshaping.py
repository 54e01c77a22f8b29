"""Layers that move elements without changing them; `borders` and `upsampling` hold those for
positions.

Depends on `base`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.typing import TensorLike
from fastnn.config import standardize_data_format
from fastnn.errors import ShapeError
from fastnn.layers.base.input_spec import InputSpec
from fastnn.layers.base.layer import Layer
from fastnn.layers.borders import (
    Cropping1D,
    Cropping2D,
    Cropping3D,
    ZeroPadding1D,
    ZeroPadding2D,
    ZeroPadding3D,
)
from fastnn.layers.upsampling import UpSampling1D, UpSampling2D, UpSampling3D

__all__ = [
    "Cropping1D", "Cropping2D", "Cropping3D", "Flatten", "Permute", "RepeatVector", "Reshape",
    "UpSampling1D", "UpSampling2D", "UpSampling3D", "ZeroPadding1D", "ZeroPadding2D",
    "ZeroPadding3D",
]  # fmt: skip


class Flatten(Layer):
    """All axes but the batch in one.

    Shapes: (n, a, b, …) -> (n, a * b * …).

    Args:
        data_format: `"channels_last"` (default) or `"channels_first"`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.Flatten()(np.zeros((2, 3, 4))).shape
        (2, 12)
    """

    data_format: str
    input_spec: Any

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(min_ndim=1)
        self._build_at_init()

    def call(self, inputs: TensorLike) -> Tensor:
        """One row per sample."""
        x = ops.convert_to_tensor(inputs)
        if self.data_format == "channels_first" and ops.ndim(x) > 1:
            x = ops.moveaxis(x, 1, -1)
        sizes = x.shape[1:]
        if not sizes:
            return ops.expand_dims(x, axis=-1)
        return ops.reshape(x, (-1, math.prod(sizes)))


class Reshape(Layer):
    """Each sample under another shape, elements in the same order.

    Shapes: (n, …) -> (n, *target_shape).

    Args:
        target_shape: Sizes without the batch; one may be -1 and follows from the others.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ShapeError: The numbers of elements differ.

    Example:
        >>> fastnn.layers.Reshape((2, -1))(np.zeros((5, 6))).shape
        (5, 2, 3)
    """

    target_shape: Sequence[int]

    def __init__(self, target_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_shape = tuple(int(d) for d in target_shape)
        if any(d < -1 for d in self.target_shape):
            raise ValueError(
                f"Reshape {self.name!r}: a size is a non-negative integer, or -1 to be worked out. "
                f"Received: target_shape={self.target_shape}"
                "\n  hint: target_shape=(4, -1)"
            )
        if sum(d == -1 for d in self.target_shape) > 1:
            raise ValueError(
                f"Reshape {self.name!r}: there can be at most one unknown dimension (-1). "
                f"Received: target_shape={self.target_shape}\n  hint: work the other sizes out"
            )
        self._build_at_init()

    def call(self, inputs: TensorLike) -> Tensor:
        """(n, *target_shape)."""
        x = ops.convert_to_tensor(inputs)
        have, want = math.prod(x.shape[1:]), list(self.target_shape)
        known = math.prod(d for d in want if d != -1)
        if isinstance(have, int):
            if -1 in want and known and have % known == 0:
                want[want.index(-1)] = have // known
            if math.prod(want) != have or -1 in want:
                raise ShapeError(
                    f"samples of shape {tuple(x.shape[1:])} have {have:,} elements, "
                    f"target_shape {self.target_shape} takes {known:,}\n"
                    f"  hint: {_two_ways(tuple(x.shape[1:]), have)}"
                )
        elif -1 in want:
            # Whether an open size divides shows when the model is called.
            want[want.index(-1)] = have // known
        if x.shape[0] is not None:
            return ops.reshape(x, [x.shape[0], *want])
        if not isinstance(have, int):
            return ops.reshape(x, [None, *want])
        return ops.reshape(x, [-1, *want])


def _two_ways(shape: tuple[Any, ...], have: int) -> str:
    """How a shape that does not fit is mended: here, or where images lost their edges."""
    if len(shape) != 3:
        return f"the product of target_shape must be {have}"
    return (
        f"Reshape(({have},)) or Flatten() takes what comes; convolutions before it with "
        "padding='same' keep the rows and columns of their images"
    )


class Permute(Layer):
    """The axes of each sample in another order.

    Shapes: axis i of the output is axis `dims[i - 1]` of the input.

    Args:
        dims: The axes in their new order, counted from 1; the batch is not among them.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: `dims` is not a permutation of 1 to n.

    Example:
        >>> fastnn.layers.Permute((2, 1))(np.zeros((5, 3, 4))).shape
        (5, 4, 3)
    """

    dims: Sequence[int]
    input_spec: Any

    def __init__(self, dims: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(
                f"Invalid permutation argument `dims` of Permute {self.name!r}: {self.dims} is not "
                f"an order of 1…{len(self.dims)}\n"
                "  hint: axis 0 is the batch; Permute((2, 1)) swaps two axes"
            )
        self.input_spec = InputSpec(ndim=len(self.dims) + 1)
        self._build_at_init()

    def call(self, inputs: TensorLike) -> Tensor:
        """Transposed samples."""
        return ops.transpose(inputs, (0, *self.dims))


class RepeatVector(Layer):
    """Each row several times, along a new axis.

    Shapes: (n, features) -> (n, times, features).

    Args:
        n: How many times, a whole number above 0.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.RepeatVector(3)(np.array([[1.0, 2.0]])).numpy()
        array([[[1., 2.],
                [1., 2.],
                [1., 2.]]], dtype=float32)
    """

    input_spec: Any

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(n, int) or isinstance(n, bool):
            raise TypeError(f"Expected an integer value for `n`, got {n!r}\n  hint: n=3")
        if n <= 0:
            raise ValueError(
                f"Argument `n` should be a positive integer. Received: n={n}\n  hint: n=3"
            )
        self.n = n
        self.input_spec = InputSpec(ndim=2)
        self._build_at_init()

    def call(self, inputs: TensorLike) -> Tensor:
        """Repeated rows."""
        x = ops.expand_dims(ops.convert_to_tensor(inputs), axis=1)
        return ops.broadcast_to(x, shape=[x.shape[0], self.n, x.shape[2]])
