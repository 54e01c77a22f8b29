"""Layers that change how the values of images are spread, or mix them with their surroundings.

Depends on `base`, `colour`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import ops, random
from fastnn._core import Tensor
from fastnn.base.typing import TensorLike, Transformation
from fastnn.layers.image.base import (
    FILL_MODES,
    INTERPOLATIONS,
    ImageLayer,
    between,
    checked_word,
    factor_range,
    value_range,
)
from fastnn.layers.image.colour import scaled
from fastnn.ops.warp import displaced, elastic_moves

__all__ = [
    "AutoContrast", "Equalization", "RandomElasticTransform", "RandomGaussianBlur",
    "RandomSharpness", "Solarization",
]  # fmt: skip


class Solarization(ImageLayer):
    """Turns what is lighter than a threshold to dark, after adding a number, in training.

    Shapes: the output has the input's.

    Args:
        addition_factor: What is added: from 0 to this share of the range of values, or (low, high).
        threshold_factor: The threshold, as a share in the same way.
        value_range: The range of values of the images.
        seed: A whole number or a `SeedGenerator` for numbers that repeat.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.Solarization()(np.full((1, 1, 1, 1), 200.0)).numpy().ravel()
        array([55.], dtype=float32)
    """

    addition_factor: tuple[float, float]
    threshold_factor: tuple[float, float]
    value_range: tuple[float, float]

    def __init__(
        self,
        addition_factor: Any = 0.0,
        threshold_factor: Any = 0.0,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.addition_factor = factor_range(addition_factor, (0, 1), "addition_factor", False)
        self.threshold_factor = factor_range(threshold_factor, (0, 1), "threshold_factor", False)
        self.value_range = _range(value_range)
        self._seeded(seed)

    def get_random_transformation(
        self, data: TensorLike, training: bool = True, seed: Any = None
    ) -> Transformation:
        """What is added to each image, and its threshold."""
        if not training:
            return None
        count, _, _ = self._batch(data)
        seed = self._drawn_from(seed)
        added, threshold = (
            between((count, 1, 1, 1), (low, high * 255.0), seed)
            for low, high in (self.addition_factor, self.threshold_factor)
        )
        return {"additions": added, "thresholds": threshold}

    def transform_images(
        self, images: Tensor, transformation: Transformation, training: bool = True
    ) -> Tensor:
        """Images with their lights turned."""
        if not training or transformation is None:
            return images
        x = scaled(images, self.value_range, (0, 255)) + transformation["additions"]
        x = ops.clip(x, 0.0, 255.0)
        x = ops.where(x < transformation["thresholds"], x, 255.0 - x)
        return scaled(x, (0, 255), self.value_range)


_range = value_range


class AutoContrast(ImageLayer):
    """Spreads each channel of each image over the whole range of values, also outside training.

    Shapes: the output has the input's.

    Args:
        value_range: The range of values of the images.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> x = np.array([2.0, 3.0, 4.0]).reshape(1, 1, 3, 1)
        >>> fastnn.layers.AutoContrast()(x).numpy().ravel()
        array([  0. , 127.5, 255. ], dtype=float32)
    """

    value_range: tuple[float, float]

    def __init__(self, value_range: Sequence[float] = (0, 255), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.value_range = _range(value_range)

    def transform_images(
        self, images: Tensor, transformation: Transformation = None, training: bool = True
    ) -> Tensor:
        """Images of full contrast; a channel of one value stays."""
        axes = [self.height_axis, self.width_axis]
        x = scaled(images, self.value_range, (0, 255))
        low, high = (f(x, axis=axes, keepdims=True) for f in (ops.min, ops.max))
        spread = high - low
        flat = ops.equal(spread, 0.0)
        x = ops.clip((x - low) * (255.0 / ops.where(flat, 1.0, spread)), 0.0, 255.0)
        return ops.where(flat, images, scaled(x, (0, 255), self.value_range))


class Equalization(ImageLayer):
    """Spreads the values of each channel so that all levels are about as frequent, in training.

    Levels are counted over the whole batch. Shapes: the output has the input's.

    Args:
        value_range: The range of values of the images.
        bins: The number of levels.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.Equalization()(np.zeros((2, 4, 4, 3))).shape
        (2, 4, 4, 3)
    """

    value_range: tuple[float, float]
    bins: int

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        bins: int = 256,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.value_range, self.bins = _range(value_range), bins

    def _channel(self, x: TensorLike) -> Any:
        levels = ops.cast(ops.clip(x * ((self.bins - 1) / 255.0), 0.0, self.bins - 1.0), "int32")
        counts = ops.bincount(ops.reshape(levels, (-1,)), minlength=self.bins)
        counts = ops.cast(counts, "float32")[: self.bins]
        total = ops.cumsum(counts)
        # The first level that occurs has the smallest total above 0.
        first = ops.min(ops.where(total > 0.0, total, np.float32(np.inf)))
        below = total[-1] - first
        table = (total - first) * 255.0 / ops.where(ops.equal(below, 0.0), 1.0, below)
        table = ops.clip(ops.round(table), 0.0, 255.0)
        one = ops.sum(ops.cast(counts > 0.0, "float32")) <= 1.0
        return ops.where(one, x, ops.take(table, levels, axis=0))

    def transform_images(
        self, images: Tensor, transformation: Transformation = None, training: bool = True
    ) -> Tensor:
        """Images of even levels."""
        if not training:
            return images
        x = scaled(images, self.value_range, (0, 255))
        axis = 4 + self.channel_axis
        channels = [self._channel(ops.take(x, i, axis=axis)) for i in range(x.shape[axis])]
        return scaled(ops.stack(channels, axis=axis), (0, 255), self.value_range)


class RandomSharpness(ImageLayer):
    """Makes each image sharper or smoother at random, in training.

    Shapes: the output has the input's.

    Args:
        factor: From 0 (smooth) over 0.5 (as it is) to 1 (sharp): from 0 to this number, or (low,
            high).
        value_range: The range of values of the images; nothing leaves it.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        seed: A whole number or a `SeedGenerator` for numbers that repeat.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.RandomSharpness(0.5, seed=1)(np.zeros((2, 4, 4, 3))).shape
        (2, 4, 4, 3)
    """

    factor: Any
    value_range: tuple[float, float]

    def __init__(
        self,
        factor: float | Sequence[float],
        value_range: Sequence[float] = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.factor = factor_range(factor, (0, 1))
        self.value_range = _range(value_range)
        self._seeded(seed)

    def get_random_transformation(
        self, data: TensorLike, training: bool = True, seed: Any = None
    ) -> Transformation:
        """The sharpness of each image, (n,)."""
        count, _, _ = self._batch(data)
        return {"factor": between((count,), self.factor, self._drawn_from(seed))}

    def transform_images(
        self, images: Tensor, transformation: Transformation = None, training: bool = True
    ) -> Tensor:
        """Sharper or smoother images."""
        if not training:
            return images
        channels = images.shape[4 + self.channel_axis]
        kernel = np.full((3, 3, 1, 1), 1 / 13, np.float32)
        kernel[1, 1] = 5 / 13
        smooth = ops.depthwise_conv(
            images, np.tile(kernel, (1, 1, channels, 1)), strides=1, padding="same",
            data_format=self.data_format,
        )  # fmt: skip
        factor = ops.reshape(transformation["factor"] * 2.0, (-1, 1, 1, 1))
        low, high = self.value_range
        return ops.clip(images + (1.0 - factor) * (smooth - images), float(low), float(high))


class RandomGaussianBlur(ImageLayer):
    """Blurs some of the images, in training.

    Shapes: the output has the input's.

    Args:
        factor: How likely that is, from 0 to 1, or (low, high).
        kernel_size: The size of the window, an odd number or a pair of them.
        sigma: The width of the bell, from 0 to this number (at most 1), or (low, high).
        value_range: The range of values of the images; nothing leaves it.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        seed: A whole number or a `SeedGenerator` for numbers that repeat.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.RandomGaussianBlur(seed=1)(np.zeros((2, 4, 4, 3))).shape
        (2, 4, 4, 3)
    """

    factor: Any
    kernel_size: Any
    sigma: Any
    value_range: tuple[float, float]

    def __init__(
        self,
        factor: float | Sequence[float] = 1.0,
        kernel_size: int | Sequence[int] = 3,
        sigma: Any = 1.0,
        value_range: Sequence[float] = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.factor = factor_range(factor, (0, 1))
        self.sigma = factor_range(sigma, (0, 1), "sigma")
        pair = tuple(kernel_size) if isinstance(kernel_size, list | tuple) else (kernel_size,) * 2
        if len(pair) != 2 or any(not isinstance(k, int) or k % 2 == 0 for k in pair):
            raise ValueError(
                f"kernel_size must be an odd number. Received: kernel_size={kernel_size}"
                "\n  hint: kernel_size=3"
            )
        self.kernel_size = pair
        self.value_range = _range(value_range)
        self._seeded(seed)

    def get_random_transformation(
        self, data: TensorLike, training: bool = True, seed: Any = None
    ) -> Transformation:
        """Which images are blurred, and how wide the bell is."""
        if not training:
            return None
        count, _, _ = self._batch(data)
        seed = self._drawn_from(seed)
        chance = between((count,), self.factor, seed)
        apply = between((count,), (0, 1), seed) < chance
        return {
            "should_apply_blur": apply, "blur_factor": between((2,), self.sigma, seed) + 1e-6,
        }  # fmt: skip

    def transform_images(
        self, images: Tensor, transformation: Transformation = None, training: bool = True
    ) -> Tensor:
        """Images, some of them blurred."""
        if not training or transformation is None:
            return images
        blurred = ops.image.gaussian_blur(
            images, kernel_size=self.kernel_size, sigma=transformation["blur_factor"],
            data_format=self.data_format,
        )  # fmt: skip
        chosen = self._chosen(transformation["should_apply_blur"], blurred, images)
        return ops.clip(chosen, float(self.value_range[0]), float(self.value_range[1]))


class RandomElasticTransform(ImageLayer):
    """Pulls some of the images about smoothly, in training.

    Shapes: the output has the input's; height and width are known.

    Args:
        factor: How likely that is, from 0 to 1, or (low, high).
        scale: How strongly, from 0 to 1, or (low, high); the upper end counts.
        interpolation: `"bilinear"` or `"nearest"`.
        fill_mode: What stands outside: `"reflect"`, `"wrap"`, `"constant"`, `"nearest"` or
            `"mirror"`.
        fill_value: The number outside for `"constant"`.
        value_range: The range of values of the images; nothing leaves it.
        seed: A whole number or a `SeedGenerator` for numbers that repeat.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.RandomElasticTransform(seed=1)(np.zeros((2, 8, 8, 3))).shape
        (2, 8, 8, 3)
    """

    factor: Any
    scale: Any
    interpolation: str
    fill_mode: str
    fill_value: float
    value_range: tuple[float, float]

    def __init__(
        self,
        factor: float | Sequence[float] = 1.0,
        scale: Any = 1.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.factor = factor_range(factor, (0, 1))
        self.scale = factor_range(scale, (0, 1), "scale")
        self.interpolation = checked_word(interpolation, INTERPOLATIONS, "interpolation")
        self.fill_mode = checked_word(fill_mode, (*FILL_MODES, "mirror"), "fill_mode")
        self.fill_value = float(fill_value)
        self.value_range = _range(value_range)
        self._seeded(seed)

    def get_random_transformation(
        self, data: TensorLike, training: bool = True, seed: Any = None
    ) -> Transformation:
        """Which images are changed."""
        if not training or self.scale[1] == 0 or self.factor[1] == 0:
            return None
        count, _, _ = self._batch(data)
        seed = self._drawn_from(seed)
        chance = between((count,), self.factor, seed)
        apply = between((count,), (0, 1), seed) < chance
        return {"apply_transform": apply, "moves": self._moves(data, seed)}

    def _moves(self, data: TensorLike, seed: Any) -> Tensor:
        count, height, width = self._batch(data)
        moves: Tensor = elastic_moves(
            random.normal((count, height, width, 2), seed=seed),
            alpha=0.1 * self.scale[1] * max(height, width),
            sigma=0.05 * self.scale[1] * min(height, width),
        )
        return moves

    def _pulled(
        self, images: TensorLike, transformation: Transformation, interpolation: str
    ) -> Any:
        moves = transformation.get("moves")
        if moves is None:  # Keras's says the seed alone
            moves = self._moves(images, self._drawn_from(transformation.get("seed")))
        pulled = displaced(
            images, moves, interpolation, self.fill_mode, self.fill_value, self.data_format
        )
        return self._chosen(transformation["apply_transform"], pulled, images)

    def transform_images(
        self, images: Tensor, transformation: Transformation = None, training: bool = True
    ) -> Tensor:
        """Images, some of them pulled about."""
        if not training or transformation is None:
            return images
        chosen = self._pulled(images, transformation, self.interpolation)
        return ops.clip(chosen, float(self.value_range[0]), float(self.value_range[1]))

    def transform_segmentation_masks(
        self,
        segmentation_masks: Tensor,
        transformation: Transformation = None,
        training: bool = True,
    ) -> Tensor:
        """Masks pulled about as their images are, by the nearest pixel."""
        if not training or transformation is None:
            return segmentation_masks
        masks: Tensor = self._pulled(segmentation_masks, transformation, "nearest")
        return masks
