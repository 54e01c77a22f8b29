"""Layers that add zeros around positions or cut them off. Depends on `layers.base`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.typing import TensorLike
from fastnn.config import standardize_data_format
from fastnn.errors import ShapeError
from fastnn.layers.base.input_spec import InputSpec
from fastnn.layers.base.layer import Layer
from fastnn.layers.base.windows import first_axis

__all__ = [
    "Cropping1D", "Cropping2D", "Cropping3D", "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D",
]  # fmt: skip


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


def _sides(x: TensorLike, first: int, amounts: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
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
    input_spec: Any

    def __init__(self, padding: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.padding = _pairs(padding, 1, "padding")[0]
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=3)
        self._build_at_init()

    def call(self, inputs: TensorLike) -> Tensor:
        """Padded inputs."""
        first = first_axis(self.data_format)
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
    input_spec: Any

    def __init__(self, padding: Any = (1, 1), data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.padding = _pairs(padding, 2, "padding")
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=4)
        self._build_at_init()

    def call(self, inputs: TensorLike) -> Tensor:
        """Padded inputs."""
        first = first_axis(self.data_format)
        return ops.pad(inputs, _sides(inputs, first, self.padding))


class ZeroPadding3D(Layer):
    """Zeros around volumes.

    Shapes: (n, depth, rows, columns, channels) -> more of all three.

    Args:
        padding: A pair for both ends of each of the three axes, or one number for all, or three.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.ZeroPadding3D(1)(np.zeros((1, 2, 3, 4, 5))).shape
        (1, 4, 5, 6, 5)
    """

    padding: Any
    data_format: str
    input_spec: Any

    def __init__(
        self,
        padding: Any = ((1, 1), (1, 1), (1, 1)),
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.padding = _pairs(padding, 3, "padding")
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=5)
        self._build_at_init()

    def call(self, inputs: TensorLike) -> Tensor:
        """Padded inputs."""
        first = first_axis(self.data_format)
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
    input_spec: Any

    def __init__(self, cropping: Any = (1, 1), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cropping = _pairs(cropping, 1, "cropping")[0]
        self.input_spec = InputSpec(ndim=3)
        self._build_at_init()

    def call(self, inputs: TensorLike) -> Tensor:
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
    input_spec: Any

    def __init__(
        self, cropping: Any = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.cropping = _pairs(cropping, 2, "cropping")
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=4)
        self._build_at_init()

    def call(self, inputs: TensorLike) -> Tensor:
        """Cropped inputs."""
        x = ops.convert_to_tensor(inputs)
        first = first_axis(self.data_format)
        a, b = _cut(x.shape, first, self.cropping[0], CROP_ND)
        c, d = _cut(x.shape, first + 1, self.cropping[1], CROP_ND)
        return x[:, a:b, c:d] if first == 1 else x[:, :, a:b, c:d]


class Cropping3D(Layer):
    """Cuts the ends of volumes off.

    Shapes: (n, depth, rows, columns, channels) -> less of all three.

    Args:
        cropping: A pair for both ends of each of the three axes, or one number for all, or three.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ShapeError: More is cut off than there is.

    Example:
        >>> fastnn.layers.Cropping3D((1, 1, 0))(np.zeros((1, 4, 5, 6, 3))).shape
        (1, 2, 3, 6, 3)
    """

    cropping: Any
    data_format: str
    input_spec: Any

    def __init__(
        self,
        cropping: Any = ((1, 1), (1, 1), (1, 1)),
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cropping = _pairs(cropping, 3, "cropping")
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=5)
        self._build_at_init()

    def call(self, inputs: TensorLike) -> Tensor:
        """Cropped inputs."""
        x = ops.convert_to_tensor(inputs)
        first = first_axis(self.data_format)
        cuts = [slice(*_cut(x.shape, first + i, self.cropping[i], CROP_ND)) for i in range(3)]
        return x[(slice(None),) * first + tuple(cuts)]


CROP_1D = "`cropping` parameter of `Cropping1D` layer must be smaller than the input length."
CROP_ND = (
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
