"""Layers that move the pixels of images at random. Depends on `base`, `ops`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.typing import TensorLike, Transformation
from fastnn.layers.image.base import (
    FILL_MODES,
    INTERPOLATIONS,
    ImageLayer,
    between,
    checked_word,
    factor_range,
)

__all__ = [
    "RandomFlip", "RandomPerspective", "RandomRotation", "RandomShear", "RandomTranslation",
    "RandomZoom",
]  # fmt: skip

_MODES = ("horizontal_and_vertical", "horizontal", "vertical")


class RandomFlip(ImageLayer):
    """Mirrors half of the images, in training.

    Shapes: the output has the input's.

    Args:
        mode: `"horizontal"` (left to right), `"vertical"` (top to bottom) or
            `"horizontal_and_vertical"`.
        seed: A whole number or a `SeedGenerator` for numbers that repeat.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> layer = fastnn.layers.RandomFlip("horizontal", seed=1)
        >>> layer(np.zeros((2, 4, 4, 3)), training=True).shape
        (2, 4, 4, 3)
    """

    def __init__(
        self,
        mode: str = "horizontal_and_vertical",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        if mode not in _MODES:
            raise ValueError(f"mode is {mode!r}, wanted one of {_MODES}\n  hint: mode='horizontal'")
        self.mode = mode
        self._seeded(seed)

    def get_random_transformation(
        self, data: TensorLike, training: bool = True, seed: Any = None
    ) -> Transformation:
        """Which images are mirrored."""
        if not training:
            return None
        count, _, _ = self._batch(data)
        drawn = between((count, 1, 1, 1), (0, 1), self._drawn_from(seed))
        return {"flips": ops.less_equal(drawn, 0.5)}

    def transform_images(
        self, images: Tensor, transformation: Transformation, training: bool = True
    ) -> Tensor:
        """Images, some of them mirrored."""
        if not training or transformation is None:
            return images
        for word, axis in (("horizontal", self.width_axis), ("vertical", self.height_axis)):
            if word in self.mode:
                images = ops.where(transformation["flips"], ops.flip(images, axis), images)
        return images

    def transform_segmentation_masks(
        self, segmentation_masks: TensorLike, transformation: Transformation, training: bool = True
    ) -> Tensor:
        """Masks, mirrored as the images are."""
        return self.transform_images(segmentation_masks, transformation, training)


class _Warp(ImageLayer):
    """A layer whose pixels come from the points that a matrix says."""

    fill_mode: str = "constant"
    fill_value: float = 0.0
    interpolation: str

    def _how(self, fill_mode: str, interpolation: str, seed: Any, fill_value: float) -> None:
        self.fill_mode = checked_word(fill_mode, FILL_MODES, "fill_mode")
        self.interpolation = checked_word(interpolation, INTERPOLATIONS, "interpolation")
        self.fill_value = float(fill_value)
        self._seeded(seed)

    def _matrix(self, images: TensorLike, transformation: Transformation) -> Any:
        raise NotImplementedError

    def _moved(
        self, images: Tensor, transformation: Transformation, training: bool, interpolation: str
    ) -> Tensor:
        if not training or transformation is None:
            return images
        return ops.image.affine_transform(
            images, self._matrix(images, transformation), interpolation=interpolation,
            fill_mode=self.fill_mode, fill_value=self.fill_value, data_format=self.data_format,
        )  # fmt: skip

    def transform_images(
        self, images: Tensor, transformation: Transformation, training: bool = True
    ) -> Tensor:
        """Moved images."""
        return self._moved(images, transformation, training, self.interpolation)

    def transform_segmentation_masks(
        self, segmentation_masks: Tensor, transformation: Transformation, training: bool = True
    ) -> Tensor:
        """Masks, moved as the images are, by the nearest pixel."""
        return self._moved(segmentation_masks, transformation, training, "nearest")

    def _middle(self, images: TensorLike) -> tuple[Any, Any]:
        _, height, width = self._batch(images)
        return tuple((ops.cast(s, "float32") - 1.0) / 2.0 for s in (width, height))  # type: ignore[return-value]


def _rows(*numbers: Any) -> Any:
    """The columns (n,) of a matrix (n, 8), with two zeros at the end."""
    zeros = numbers[0] * 0.0
    return ops.stack([*(zeros + n for n in numbers), zeros, zeros], axis=1)


class RandomRotation(_Warp):
    """Turns each image about its middle by a random angle, in training.

    Shapes: the output has the input's.

    Args:
        factor: The share of a full turn to either side, or (low, high).
        fill_mode: What stands outside: `"reflect"`, `"wrap"`, `"constant"` or `"nearest"`.
        interpolation: `"bilinear"` or `"nearest"`.
        seed: A whole number or a `SeedGenerator` for numbers that repeat.
        fill_value: The number outside for `"constant"`.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.RandomRotation(0.1, seed=1)(np.zeros((2, 4, 4, 3))).shape
        (2, 4, 4, 3)
    """

    factor: Any

    def __init__(
        self,
        factor: float | Sequence[float],
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.factor = factor_range(factor, (-1, 1))
        self._how(fill_mode, interpolation, seed, fill_value)

    def get_random_transformation(
        self, data: TensorLike, training: bool = True, seed: Any = None
    ) -> Transformation:
        """The angle of each image in degrees."""
        if not training:
            return None
        count, _, _ = self._batch(data)
        low, high = (f * 360.0 for f in self.factor)
        return {"angle": between((count,), (low, high), self._drawn_from(seed))}

    def _matrix(self, images: TensorLike, transformation: Transformation) -> Any:
        angle = transformation["angle"] * (math.pi / 180.0)
        cos, sin = ops.cos(angle), ops.sin(angle)
        x, y = self._middle(images)
        return _rows(cos, -sin, x - x * cos + y * sin, sin, cos, y - x * sin - y * cos)


class RandomZoom(_Warp):
    """Zooms each image by a random factor, in training.

    Shapes: the output has the input's.

    Args:
        height_factor: The share to either side, or (low, high); above 0 shows more of the image.
        width_factor: The same for the width; None keeps the ratio of sides.
        fill_mode: What stands outside: `"reflect"`, `"wrap"`, `"constant"` or `"nearest"`.
        interpolation: `"bilinear"` or `"nearest"`.
        seed: A whole number or a `SeedGenerator` for numbers that repeat.
        fill_value: The number outside for `"constant"`.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.RandomZoom(0.2, seed=1)(np.zeros((2, 4, 4, 3))).shape
        (2, 4, 4, 3)
    """

    height_factor: Any
    width_factor: Any

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._height = _zoom(height_factor, "height_factor")
        self._width = None if width_factor is None else _zoom(width_factor, "width_factor")
        self._how(fill_mode, interpolation, seed, fill_value)

    def get_random_transformation(
        self, data: TensorLike, training: bool = True, seed: Any = None
    ) -> Transformation:
        """The factors of each image, (n, 1)."""
        if not training:
            return None
        count, _, _ = self._batch(data)
        seed = self._drawn_from(seed)

        def drawn(pair: tuple[float, float]) -> Any:
            return between((count, 1), (1 + pair[0], 1 + pair[1]), seed)

        height = drawn(self._height)
        width = height if self._width is None else drawn(self._width)
        return {"height_zoom": height, "width_zoom": width}

    def _matrix(self, images: TensorLike, transformation: Transformation) -> Any:
        wide, high = transformation["width_zoom"][:, 0], transformation["height_zoom"][:, 0]
        x, y = self._middle(images)
        return _rows(wide, 0.0, x * (1.0 - wide), 0.0, high, y * (1.0 - high))


def _zoom(value: Any, name: str) -> tuple[float, float]:
    pair = factor_range(value, (-1, 1), name)
    if pair[0] <= -1 and not isinstance(value, int | float):
        raise ValueError(
            f"The `{name}` argument should be a number (or a list of two numbers) in the range "
            f"(-1.0, 1.0]. Received: {name}={value}\n  hint: {name}=0.2"
        )
    return pair


class RandomTranslation(_Warp):
    """Shifts each image at random, in training.

    Shapes: the output has the input's.

    Args:
        height_factor: The share of the height to either side, or (low, high); above 0 is down.
        width_factor: The share of the width; above 0 is to the right.
        fill_mode: What stands outside: `"reflect"`, `"wrap"`, `"constant"` or `"nearest"`.
        interpolation: `"bilinear"` or `"nearest"`.
        seed: A whole number or a `SeedGenerator` for numbers that repeat.
        fill_value: The number outside for `"constant"`.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.RandomTranslation(0.2, 0.2, seed=1)(np.zeros((2, 4, 4, 3))).shape
        (2, 4, 4, 3)
    """

    height_factor: Any
    width_factor: Any

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._height = factor_range(height_factor, (-1, 1), "height_factor")
        self._width = factor_range(width_factor, (-1, 1), "width_factor")
        self._how(fill_mode, interpolation, seed, fill_value)

    def get_random_transformation(
        self, data: TensorLike, training: bool = True, seed: Any = None
    ) -> Transformation:
        """The shift of each image in pixels, (n, 2): right and down."""
        if not training:
            return None
        count, height, width = self._batch(data)
        seed = self._drawn_from(seed)
        down = between((count, 1), self._height, seed) * ops.cast(height, "float32")
        right = between((count, 1), self._width, seed) * ops.cast(width, "float32")
        return {"translations": ops.concatenate([right, down], axis=1)}

    def _matrix(self, images: TensorLike, transformation: Transformation) -> Any:
        shifts = transformation["translations"]
        return _rows(shifts[:, 0] * 0.0 + 1.0, 0.0, -shifts[:, 0], 0.0, 1.0, -shifts[:, 1])


class RandomShear(_Warp):
    """Shears each image at random, in training.

    Shapes: the output has the input's.

    Args:
        x_factor: How far columns move per row, from 0 to 1: up to as much to either side. Of a
            pair (low, high) between 0 and 1 both factors have one side, drawn with them.
        y_factor: How far rows move per column.
        interpolation: `"bilinear"` or `"nearest"`.
        fill_mode: What stands outside: `"reflect"`, `"wrap"`, `"constant"` or `"nearest"`.
        fill_value: The number outside for `"constant"`.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        seed: A whole number or a `SeedGenerator` for numbers that repeat.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.RandomShear(0.2, 0.1, seed=1)(np.zeros((2, 4, 4, 3))).shape
        (2, 4, 4, 3)
    """

    x_factor: Any
    y_factor: Any

    def __init__(
        self,
        x_factor: Any = 0.0,
        y_factor: Any = 0.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.x_factor = self._to_both_sides(x_factor, "x_factor")
        self.y_factor = self._to_both_sides(y_factor, "y_factor")
        self._how(fill_mode, interpolation, seed, fill_value)

    @staticmethod
    def _to_both_sides(factor: Any, name: str) -> tuple[float, float]:
        if not isinstance(factor, tuple | list):
            _, high = factor_range(factor, (0, 1), name)
            return -high, high
        if len(factor) == 2 and factor[0] == -factor[1]:  # as a config has what a number became
            return factor_range(factor, (-1, 1), name)
        return factor_range(factor, (0, 1), name)

    def get_random_transformation(
        self, data: TensorLike, training: bool = True, seed: Any = None
    ) -> Transformation:
        """The factors of each image, (n, 2): along x and y."""
        if not training:
            return None
        count, _, _ = self._batch(data)
        seed = self._drawn_from(seed)
        side = ops.where(between((count, 1), (0, 1), seed) > 0.5, -1.0, 1.0)
        y = between((count, 1), self.y_factor, seed)
        x = between((count, 1), self.x_factor, seed)
        return {"shear_factor": ops.concatenate([x, y], axis=1) * side}

    def _matrix(self, images: TensorLike, transformation: Transformation) -> Any:
        factors = transformation["shear_factor"]
        one = factors[:, 0] * 0.0 + 1.0
        return _rows(one, factors[:, 0], 0.0, factors[:, 1], one, 0.0)


class RandomPerspective(_Warp):
    """Looks at images from the side: their corners move at random, in training.

    Shapes: the output has the input's.

    Args:
        factor: How likely an image is changed, from 0 to 1, or (low, high).
        scale: How far corners move, as a share of the sides.
        interpolation: `"bilinear"` or `"nearest"`.
        fill_value: The number outside.
        seed: A whole number or a `SeedGenerator` for numbers that repeat.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.RandomPerspective(seed=1)(np.zeros((2, 4, 4, 3))).shape
        (2, 4, 4, 3)
    """

    factor: Any

    def __init__(
        self,
        factor: float | Sequence[float] = 1.0,
        scale: float = 1.0,
        interpolation: str = "bilinear",
        fill_value: float = 0.0,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.factor = factor_range(factor, (0, 1))
        self.scale = scale
        self._how("constant", interpolation, seed, fill_value)

    def get_random_transformation(
        self, data: TensorLike, training: bool = True, seed: Any = None
    ) -> Transformation:
        """Which images are changed, and where their corners go."""
        if not training:
            return None
        count, height, width = self._batch(data)
        seed = self._drawn_from(seed)
        chance = between((count,), self.factor, seed)
        apply = between((count,), (0, 1), seed) < chance
        moves = between((count, 4, 2), (-0.5 * self.scale, 0.5 * self.scale), seed)
        x, y = (ops.cast(s, "float32") - 1.0 for s in (width, height))
        zero = x * 0.0
        corners = ops.stack([zero, zero, x, zero, zero, y, x, y], axis=0)
        start = ops.reshape(corners, (1, 4, 2)) + moves * 0.0
        return {
            "apply_perspective": apply, "start_points": start, "end_points": start + start * moves,
        }  # fmt: skip

    def _moved(
        self, images: Tensor, transformation: Transformation, training: bool, interpolation: str
    ) -> Tensor:
        if not training or transformation is None:
            return images
        moved = ops.image.perspective_transform(
            images, transformation["start_points"], transformation["end_points"],
            interpolation=interpolation, fill_value=self.fill_value, data_format=self.data_format,
        )  # fmt: skip
        return self._chosen(transformation["apply_perspective"], moved, images)
