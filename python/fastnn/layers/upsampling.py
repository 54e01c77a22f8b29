"""Layers that enlarge inputs by whole factors. Depends on `layers.base`, `ops.resampling`."""

from __future__ import annotations

from typing import Any

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.typing import TensorLike
from fastnn.config import standardize_data_format
from fastnn.layers.base.input_spec import InputSpec
from fastnn.layers.base.layer import Layer
from fastnn.layers.base.windows import first_axis, per_axis
from fastnn.ops.resampling import KINDS, resized

__all__ = ["UpSampling1D", "UpSampling2D", "UpSampling3D"]


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

    input_spec: Any

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

    def call(self, inputs: Tensor) -> Tensor:
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
    input_spec: Any

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
        self.size = per_axis(size, 2, "size")
        self.data_format = standardize_data_format(data_format)
        self.interpolation = interpolation
        self.input_spec = InputSpec(ndim=4)
        self._build_at_init()

    def call(self, inputs: Tensor) -> Tensor:
        """Repeated or interpolated rows and columns."""
        first = first_axis(self.data_format)
        x = ops.convert_to_tensor(inputs)
        if self.interpolation == "nearest" and str(x.dtype) != "float32":
            return _repeat(_repeat(x, self.size[0], first), self.size[1], first + 1)
        new = [x.shape[first + i] * times for i, times in enumerate(self.size)]
        return resized(ops.cast(x, "float32"), first, new, self.interpolation)


class UpSampling3D(Layer):
    """Repeats each position of volumes by whole factors.

    Shapes: (n, depth, rows, columns, channels) -> so many times as many of all three.

    Args:
        size: Factors for the three axes, or one number for all.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.UpSampling3D((1, 2, 3))(np.zeros((1, 2, 2, 2, 1))).shape
        (1, 2, 4, 6, 1)
    """

    size: Any
    data_format: str
    input_spec: Any

    def __init__(
        self, size: Any = (2, 2, 2), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.size = per_axis(size, 3, "size")
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=5)
        self._build_at_init()

    def call(self, inputs: TensorLike) -> Tensor:
        """Repeated positions."""
        x = ops.convert_to_tensor(inputs)
        first = first_axis(self.data_format)
        for i, times in enumerate(self.size):
            x = _repeat(x, times, first + i)
        return x


def _repeat(x: Tensor, times: int, axis: int) -> Tensor:
    sizes = list(x.shape)
    wide = ops.expand_dims(x, axis=axis + 1)
    wide = ops.broadcast_to(wide, shape=[*sizes[: axis + 1], times, *sizes[axis + 1 :]])
    sizes[axis] *= times
    return ops.reshape(wide, sizes)
