"""Layers that move elements without changing them. Depends on `base`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fastnn import ops
from fastnn.config import standardize_data_format
from fastnn.errors import ShapeError
from fastnn.layers.base.input_spec import InputSpec
from fastnn.layers.base.layer import Layer
from fastnn.ops.resampling import KINDS, resized

__all__ = [
    "Cropping1D", "Cropping2D", "Flatten", "Permute", "RepeatVector", "Reshape", "UpSampling1D",
    "UpSampling2D", "ZeroPadding1D", "ZeroPadding2D",
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

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(min_ndim=1)
        self._build_at_init()

    def call(self, inputs: Any) -> Any:
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

    def call(self, inputs: Any) -> Any:
        """(n, *target_shape)."""
        x = ops.convert_to_tensor(inputs)
        have, want = math.prod(x.shape[1:]), list(self.target_shape)
        known = math.prod(d for d in want if d != -1)
        if isinstance(have, int):
            if -1 in want and known and have % known == 0:
                want[want.index(-1)] = have // known
            if math.prod(want) != have or -1 in want:
                raise ShapeError(
                    f"samples of shape {tuple(x.shape[1:])} have {have} elements, "
                    f"target_shape {self.target_shape} takes {known}\n"
                    f"  hint: the product of target_shape must be {have}"
                )
        elif -1 in want:
            # Whether an open size divides shows when the model is called.
            want[want.index(-1)] = have // known
        if x.shape[0] is not None:
            return ops.reshape(x, [x.shape[0], *want])
        if not isinstance(have, int):
            return ops.reshape(x, [None, *want])
        return ops.reshape(x, [-1, *want])


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

    def call(self, inputs: Any) -> Any:
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

    def call(self, inputs: Any) -> Any:
        """Repeated rows."""
        x = ops.expand_dims(ops.convert_to_tensor(inputs), axis=1)
        return ops.broadcast_to(x, shape=[x.shape[0], self.n, x.shape[2]])


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _pairs(value: Any, axes: int, what: str) -> tuple[tuple[int, int], ...]:
    """An amount for all sides, one per axis, or one per side; ValueError for other things."""
    if _whole(value):
        return ((value, value),) * axes
    if isinstance(value, list | tuple):
        items = tuple(value)
        if axes == 1 and len(items) == 2 and all(_whole(v) for v in items):
            return ((items[0], items[1]),)
        if len(items) == axes and axes > 1:
            pairs = [(v, v) if _whole(v) else v for v in items]
            if all(isinstance(p, list | tuple) and len(p) == 2 for p in pairs) and all(
                _whole(v) for p in pairs for v in p
            ):
                return tuple((p[0], p[1]) for p in pairs)
    wanted = "a number or a pair" if axes == 1 else f"a number, or {axes} numbers or pairs"
    raise ValueError(f"`{what}` is {value!r}, wanted {wanted}, not negative\n  hint: {what}=1")


def _first_axis(data_format: str) -> int:
    """The first axis of positions: 1, or 2 when the channels stand before them."""
    return 2 if data_format == "channels_first" else 1


def _sides(x: Any, first: int, amounts: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Amounts for all axes of `x`, 0 for those without positions."""
    sides = [(0, 0)] * ops.ndim(x)
    sides[first : first + len(amounts)] = amounts
    return sides


class ZeroPadding1D(Layer):
    """Zeros before and after the steps of sequences.

    Shapes: (n, steps, channels) -> more steps.

    Args:
        padding: Zeros at the start and at the end as a pair, or one number for both.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.ZeroPadding1D((1, 0))(np.ones((1, 2, 1))).numpy().ravel()
        array([0., 1., 1.], dtype=float32)
    """

    padding: Any
    data_format: str

    def __init__(self, padding: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.padding = _pairs(padding, 1, "padding")[0]
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=3)
        self._build_at_init()

    def call(self, inputs: Any) -> Any:
        """Padded inputs."""
        first = _first_axis(self.data_format)
        return ops.pad(inputs, _sides(inputs, first, [self.padding]))


class ZeroPadding2D(Layer):
    """Zeros around images.

    Shapes: (n, rows, columns, channels) -> more rows and columns.

    Args:
        padding: ((top, bottom), (left, right)), a pair for both edges of each axis, or one number.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.ZeroPadding2D(1)(np.zeros((1, 3, 4, 2))).shape
        (1, 5, 6, 2)
    """

    padding: Any
    data_format: str

    def __init__(self, padding: Any = (1, 1), data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.padding = _pairs(padding, 2, "padding")
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=4)
        self._build_at_init()

    def call(self, inputs: Any) -> Any:
        """Padded inputs."""
        first = _first_axis(self.data_format)
        return ops.pad(inputs, _sides(inputs, first, self.padding))


class Cropping1D(Layer):
    """Cuts steps off both ends of sequences.

    Shapes: (n, steps, channels) -> fewer steps.

    Args:
        cropping: Steps at the start and at the end as a pair, or one number for both.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ShapeError: More is cut off than there is.

    Example:
        >>> fastnn.layers.Cropping1D((1, 2))(np.zeros((2, 6, 3))).shape
        (2, 3, 3)
    """

    cropping: Any

    def __init__(self, cropping: Any = (1, 1), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cropping = _pairs(cropping, 1, "cropping")[0]
        self.input_spec = InputSpec(ndim=3)
        self._build_at_init()

    def call(self, inputs: Any) -> Any:
        """Cropped inputs."""
        x = ops.convert_to_tensor(inputs)
        a, b = _cut(x.shape, 1, self.cropping, CROP_1D)
        return x[:, a:b]


class Cropping2D(Layer):
    """Cuts the edges of images off.

    Shapes: (n, rows, columns, channels) -> fewer rows and columns.

    Args:
        cropping: ((top, bottom), (left, right)), a pair for both edges of each axis, or one number.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ShapeError: More is cut off than there is.

    Example:
        >>> fastnn.layers.Cropping2D(((1, 1), (0, 2)))(np.zeros((1, 6, 6, 3))).shape
        (1, 4, 4, 3)
    """

    cropping: Any
    data_format: str

    def __init__(
        self, cropping: Any = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.cropping = _pairs(cropping, 2, "cropping")
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=4)
        self._build_at_init()

    def call(self, inputs: Any) -> Any:
        """Cropped inputs."""
        x = ops.convert_to_tensor(inputs)
        first = _first_axis(self.data_format)
        a, b = _cut(x.shape, first, self.cropping[0], CROP_2D)
        c, d = _cut(x.shape, first + 1, self.cropping[1], CROP_2D)
        return x[:, a:b, c:d] if first == 1 else x[:, :, a:b, c:d]


CROP_1D = "`cropping` parameter of `Cropping1D` layer must be smaller than the input length."
CROP_2D = (
    "Values in `cropping` argument should be smaller than the corresponding spatial dimension of "
    "the input."
)


def _cut(shape: Any, axis: int, crop: tuple[int, int], rule: str) -> tuple[int, int | None]:
    """Where to cut an axis; the end counts from the back, so the size may be open."""
    size = shape[axis]
    if isinstance(size, int) and crop[0] + crop[1] >= size:
        raise ShapeError(
            f"{rule} Received: inputs.shape={tuple(shape)}, cropping={crop}\n  hint: crop less"
        )
    return crop[0], -crop[1] if crop[1] else None


class UpSampling1D(Layer):
    """Repeats each step of sequences.

    Shapes: (n, steps, channels) -> (n, steps * size, channels).

    Args:
        size: How many times each step stands.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.UpSampling1D(2)(np.array([[[1.0], [2.0]]])).numpy().ravel()
        array([1., 1., 2., 2.], dtype=float32)
    """

    def __init__(self, size: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(size, bool) or not isinstance(size, int):
            raise TypeError(f"Expected an integer value for `size`, got {size!r}\n  hint: size=2")
        if size <= 0:
            raise ValueError(
                f"Argument `size` should be a positive integer. Received: size={size}\n"
                "  hint: size=2"
            )
        self.size = size
        self.input_spec = InputSpec(ndim=3)
        self._build_at_init()

    def call(self, inputs: Any) -> Any:
        """Repeated steps."""
        return _repeat(ops.convert_to_tensor(inputs), self.size, 1)


class UpSampling2D(Layer):
    """Enlarges images by whole factors.

    Shapes: (n, rows, columns, channels) -> (n, rows * size[0], columns * size[1], channels).

    Args:
        size: Factors for rows and columns, or one number for both.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        interpolation: `"nearest"` repeats pixels; `"bilinear"`, `"bicubic"`, `"lanczos3"` and
            `"lanczos5"` compute those between.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: The interpolation is not known.

    Example:
        >>> fastnn.layers.UpSampling2D((2, 3))(np.zeros((1, 2, 2, 1))).shape
        (1, 4, 6, 1)
    """

    size: Any
    data_format: str

    def __init__(
        self,
        size: Any = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if interpolation not in ("nearest", *KINDS):
            raise ValueError(
                f"`interpolation` argument should be one of: {('nearest', *KINDS)}. "
                f"Received: {interpolation!r} in UpSampling2D {self.name!r}"
                "\n  hint: interpolation='bilinear'"
            )
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        self.data_format = standardize_data_format(data_format)
        self.interpolation = interpolation
        self.input_spec = InputSpec(ndim=4)
        self._build_at_init()

    def call(self, inputs: Any) -> Any:
        """Repeated or interpolated rows and columns."""
        first = _first_axis(self.data_format)
        x = ops.convert_to_tensor(inputs)
        if self.interpolation == "nearest":
            return _repeat(_repeat(x, self.size[0], first), self.size[1], first + 1)
        x = ops.cast(x, "float32")
        for axis, times in ((first, self.size[0]), (first + 1, self.size[1])):
            x = resized(x, axis, x.shape[axis] * times, self.interpolation)
        return x


def _repeat(x: Any, times: int, axis: int) -> Any:
    sizes = list(x.shape)
    wide = ops.expand_dims(x, axis=axis + 1)
    wide = ops.broadcast_to(wide, shape=[*sizes[: axis + 1], times, *sizes[axis + 1 :]])
    sizes[axis] *= times
    return ops.reshape(wide, sizes)
