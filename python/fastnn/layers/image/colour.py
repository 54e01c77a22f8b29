"""Layers that change the colours of images at random. Depends on `base`, `ops`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn import ops, random
from fastnn._core import Tensor
from fastnn.base.typing import TensorLike, Transformation
from fastnn.layers.image.base import ImageLayer, between, factor_range, value_range as _range

__all__ = [
    "RandomBrightness", "RandomColorDegeneration", "RandomColorJitter", "RandomContrast",
    "RandomGrayscale", "RandomHue", "RandomInvert", "RandomPosterization", "RandomSaturation",
]  # fmt: skip


def scaled(x: Tensor, old: tuple[float, float], new: tuple[float, float]) -> Tensor:
    """Numbers from one range in another."""
    if tuple(old) == tuple(new):
        return x
    return (x - old[0]) * ((new[1] - new[0]) / (old[1] - old[0])) + new[0]


class _Colour(ImageLayer):
    """One random number for each image, from `factor`."""

    factor: Any
    value_range: Any
    _bounds = (0.0, 1.0)
    _signed = True

    def _take(self, factor: Any, range_: Any, seed: Any) -> None:
        self.factor = factor_range(factor, self._bounds, signed=self._signed)
        self.value_range = _range(range_)
        self._seeded(seed)

    def _each(self, data: TensorLike, seed: Any, low: float, high: float) -> Tensor:
        count, _, _ = self._batch(data)
        return between((count, 1, 1, 1), (low, high), self._drawn_from(seed))

    def _clipped(self, x: Tensor) -> Tensor:
        return ops.clip(x, float(self.value_range[0]), float(self.value_range[1]))


class RandomBrightness(_Colour):
    """Adds a random number to each image, in training.

    Shapes: the output has the input's.

    Args:
        factor: The share of the range of values to either side, or (low, high), from -1 to 1.
        value_range: The range of values of the images; nothing leaves it.
        seed: A whole number or a `SeedGenerator` for numbers that repeat.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> layer = fastnn.layers.RandomBrightness((0.5, 0.5))
        >>> layer(np.zeros((1, 1, 1, 2))).numpy().ravel()
        array([127.5, 127.5], dtype=float32)
    """

    _bounds = (-1.0, 1.0)

    def __init__(
        self,
        factor: float | Sequence[float],
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._take(factor, value_range, seed)

    def get_random_transformation(
        self, data: TensorLike, training: bool = True, seed: Any = None
    ) -> Transformation:
        """What is added to each image."""
        wide = self.value_range[1] - self.value_range[0]
        if not training:
            return {"rgb_delta": self._each(data, seed, 0, 0)}
        return {"rgb_delta": self._each(data, seed, *(f * wide for f in self.factor))}

    def transform_images(
        self, images: Tensor, transformation: Transformation, training: bool = True
    ) -> Tensor:
        """Brighter or darker images."""
        return self._clipped(images + transformation["rgb_delta"]) if training else images


class RandomContrast(_Colour):
    """Multiplies the distance to the mean of each image and channel, in training.

    Shapes: the output has the input's.

    Args:
        factor: Factors lie from 1 - factor to 1 + factor; or (low, high): from 1 - low to 1 + high.
        value_range: The range of values of the images; nothing leaves it.
        seed: A whole number or a `SeedGenerator` for numbers that repeat.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.RandomContrast(0.3, seed=1)(np.zeros((2, 4, 4, 3))).shape
        (2, 4, 4, 3)
    """

    factor: Any

    _signed = False

    def __init__(
        self,
        factor: float | Sequence[float],
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._take(factor, value_range, seed)
        if not isinstance(factor, list | tuple):
            self.factor = (self.factor[1], self.factor[1])

    def get_random_transformation(
        self, data: TensorLike, training: bool = True, seed: Any = None
    ) -> Transformation:
        """The factor of each image."""
        low, high = 1.0 - self.factor[0], 1.0 + self.factor[1]
        return {"contrast_factor": self._each(data, seed, low, high) if training else None}

    def transform_images(
        self, images: Tensor, transformation: Transformation, training: bool = True
    ) -> Tensor:
        """Images of more or less contrast."""
        if not training:
            return images
        mean = ops.mean(images, axis=[self.height_axis, self.width_axis], keepdims=True)
        return self._clipped((images - mean) * transformation["contrast_factor"] + mean)


class RandomGrayscale(ImageLayer):
    """Takes the colours off some of the images, in training.

    Shapes: the output has the input's.

    Args:
        factor: How likely that is, from 0 to 1.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        seed: A whole number or a `SeedGenerator` for numbers that repeat.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> layer = fastnn.layers.RandomGrayscale(1.0)
        >>> layer(np.array([[[[1.0, 0.0, 0.0]]]])).numpy().round(4).ravel()
        array([0.2989, 0.2989, 0.2989], dtype=float32)
    """

    def __init__(
        self,
        factor: float = 0.5,
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        if not 0 <= factor <= 1:
            raise ValueError(
                f"`factor` should be between 0 and 1. Received: factor={factor}\n  hint: factor=0.5"
            )
        self.factor = factor
        self._seeded(seed)

    def get_random_transformation(
        self, data: TensorLike, training: bool = True, seed: Any = None
    ) -> Transformation:
        """Which images lose their colours."""
        count, _, _ = self._batch(data)
        return between((count, 1, 1, 1), (0, 1), self._drawn_from(seed)) < self.factor

    def transform_images(
        self, images: Tensor, transformation: Transformation, training: bool = True
    ) -> Tensor:
        """Images, some of them grey."""
        if not training:
            return images
        if transformation is None:
            transformation = self.get_random_transformation(images)
        grey = ops.image.rgb_to_grayscale(images, data_format=self.data_format)
        return ops.where(transformation, grey, images)


class RandomInvert(_Colour):
    """Turns light to dark in some of the images, in training.

    Shapes: the output has the input's.

    Args:
        factor: How likely that is, from 0 to 1, or (low, high).
        value_range: The range of values of the images.
        seed: A whole number or a `SeedGenerator` for numbers that repeat.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.RandomInvert((1, 1))(np.full((1, 1, 1, 1), 5.0)).numpy().ravel()
        array([250.], dtype=float32)
    """

    def __init__(
        self,
        factor: float | Sequence[float] = 1.0,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        self._take(factor, value_range, seed)

    def get_random_transformation(
        self, data: TensorLike, training: bool = True, seed: Any = None
    ) -> Transformation:
        """Which images are inverted."""
        if not training:
            return None
        count, _, _ = self._batch(data)
        seed = self._drawn_from(seed)
        chance = between((count,), self.factor, seed)
        return {"apply_inversion": between((count,), (0, 1), seed) < chance}

    def transform_images(
        self, images: Tensor, transformation: Transformation, training: bool = True
    ) -> Any:
        """Images, some of them inverted."""
        if not training or transformation is None:
            return images
        apply = transformation["apply_inversion"]
        return self._chosen(apply, self.value_range[1] - images, images)


class RandomHue(_Colour):
    """Turns the hue of each image at random, in training.

    Shapes: (n, height, width, 3) -> the same.

    Args:
        factor: The share of half a turn to either side, from 0 to 1, or (low, high).
        value_range: The range of values of the images.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        seed: A whole number or a `SeedGenerator` for numbers that repeat.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.RandomHue(0.2, seed=1)(np.zeros((2, 4, 4, 3))).shape
        (2, 4, 4, 3)
    """

    def __init__(
        self,
        factor: float | Sequence[float],
        value_range: Sequence[float] = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        self._take(factor, value_range, seed)

    def get_random_transformation(
        self, data: TensorLike, training: bool = True, seed: Any = None
    ) -> Transformation:
        """The turn of each image, (n,)."""
        count, _, _ = self._batch(data)
        seed = self._drawn_from(seed)
        side = ops.where(between((count,), (0, 1), seed) > 0.5, -1.0, 1.0)
        return {"factor": between((count,), self.factor, seed) * side * 0.5}

    def transform_images(
        self, images: Tensor, transformation: Transformation = None, training: bool = True
    ) -> Tensor:
        """Images of other hues."""
        if not training:
            return images
        x = scaled(images, self.value_range, (0, 1))
        x = ops.image.rgb_to_hsv(x, data_format=self.data_format)
        hue, saturation, value = (
            ops.take(x, i, axis=4 + self.channel_axis) for i in range(3)
        )  # fmt: skip
        hue = ops.mod(hue + ops.reshape(transformation["factor"], (-1, 1, 1)), 1.0)
        x = ops.stack([hue, saturation, value], axis=self.channel_axis)
        x = ops.clip(ops.image.hsv_to_rgb(x, data_format=self.data_format), 0.0, 1.0)
        return scaled(x, (0, 1), self.value_range)


class RandomSaturation(_Colour):
    """Makes the colours of each image stronger or weaker at random, in training.

    Shapes: (n, height, width, 3) -> the same.

    Args:
        factor: f of (low, high) or (-factor, factor) multiplies the saturation by f / (1 - f): 0
            and less is grey, 0.5 leaves the image as it is, 1 is fully saturated.
        value_range: The range of values of the images.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        seed: A whole number or a `SeedGenerator` for numbers that repeat.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.RandomSaturation((0.4, 0.6), seed=1)(np.zeros((2, 4, 4, 3))).shape
        (2, 4, 4, 3)
    """

    _bounds = (-1.0, 1.0)

    def __init__(
        self,
        factor: float | Sequence[float],
        value_range: Sequence[float] = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        self._take(factor, value_range, seed)

    def get_random_transformation(
        self, data: TensorLike, training: bool = True, seed: Any = None
    ) -> Transformation:
        """The factor of each image, (n,)."""
        count, _, _ = self._batch(data)
        share = between((count,), self.factor, self._drawn_from(seed))
        return {"factor": share / (1.0 - share + 1e-7)}

    def transform_images(
        self, images: Tensor, transformation: Transformation = None, training: bool = True
    ) -> Tensor:
        """Images of stronger or weaker colours."""
        if not training:
            return images
        x = scaled(images, self.value_range, (0, 1))
        x = ops.image.rgb_to_hsv(x, data_format=self.data_format)
        hue, saturation, value = (
            ops.take(x, i, axis=4 + self.channel_axis) for i in range(3)
        )  # fmt: skip
        factor = ops.reshape(transformation["factor"], (-1, 1, 1))
        saturation = ops.clip(saturation * factor, 0.0, 1.0)
        x = ops.stack([hue, saturation, value], axis=self.channel_axis)
        x = ops.image.hsv_to_rgb(x, data_format=self.data_format)
        return scaled(x, (0, 1), self.value_range)


class RandomColorDegeneration(_Colour):
    """Mixes each image with its grey version at random, in training.

    Shapes: (n, height, width, 3) -> the same.

    Args:
        factor: The share of grey from -factor to factor, or (low, high) from -1 to 1; colours are
            stronger below 0.
        value_range: The range of values of the images.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        seed: A whole number or a `SeedGenerator` for numbers that repeat.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.RandomColorDegeneration(0.5, seed=1)(np.zeros((2, 4, 4, 3))).shape
        (2, 4, 4, 3)
    """

    _bounds = (-1.0, 1.0)

    def __init__(
        self,
        factor: float | Sequence[float],
        value_range: Sequence[float] = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        self._take(factor, value_range, seed)

    def get_random_transformation(
        self, data: TensorLike, training: bool = True, seed: Any = None
    ) -> Transformation:
        """The share of grey of each image."""
        return {"factor": self._each(data, seed, *self.factor)}

    def transform_images(
        self, images: Tensor, transformation: Transformation = None, training: bool = True
    ) -> Tensor:
        """Images of paler colours."""
        if not training:
            return images
        grey = ops.image.rgb_to_grayscale(images, data_format=self.data_format)
        return self._clipped(images + (grey - images) * transformation["factor"])


class RandomPosterization(_Colour):
    """Leaves few levels of brightness, a random number of bits of them, in training.

    Shapes: the output has the input's.

    Args:
        factor: Bits that stay, from 1 to 8, or (low, high), the end excluded.
        value_range: The range of values of the images.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        seed: A whole number or a `SeedGenerator` for numbers that repeat.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.RandomPosterization((1, 1))(np.full((1, 1, 1, 1), 200.0)).numpy().ravel()
        array([128.], dtype=float32)
    """

    _bounds = (1, 8)

    def __init__(
        self,
        factor: float | Sequence[float],
        value_range: Sequence[float] = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        self._take(factor, value_range, seed)

    def get_random_transformation(
        self, data: TensorLike, training: bool = True, seed: Any = None
    ) -> Transformation:
        """The bits that each image loses, (n,)."""
        count, _, _ = self._batch(data)
        low, high = self.factor
        if low == high:
            return {"shift_factor": between((count,), (8 - low, 8 - low), self._drawn_from(seed))}
        bits = random.randint((count,), int(low), int(high), seed=self._drawn_from(seed))
        return {"shift_factor": 8.0 - ops.cast(bits, "float32")}

    def transform_images(
        self, images: Tensor, transformation: Transformation = None, training: bool = True
    ) -> Tensor:
        """Images of few levels."""
        if not training:
            return images
        shift = ops.cast(transformation["shift_factor"], "float32")
        step = ops.reshape(ops.power(2.0, shift), (-1, 1, 1, 1))
        x = ops.floor(scaled(images, self.value_range, (0, 255)))
        return scaled(ops.floor(x / step) * step, (0, 255), self.value_range)


class RandomColorJitter(ImageLayer):
    """Changes brightness, contrast, saturation and hue at random, in training, in this order.

    Shapes: (n, height, width, 3) -> the same.

    Args:
        value_range: The range of values of the images.
        brightness_factor: As of `RandomBrightness`; None leaves it.
        contrast_factor: As of `RandomContrast`; None leaves it.
        saturation_factor: As of `RandomSaturation`; None leaves it.
        hue_factor: As of `RandomHue`; None leaves it.
        seed: A whole number or a `SeedGenerator` for numbers that repeat.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> layer = fastnn.layers.RandomColorJitter(brightness_factor=0.2, hue_factor=0.1, seed=1)
        >>> layer(np.zeros((2, 4, 4, 3))).shape
        (2, 4, 4, 3)
    """

    value_range: tuple[float, float]
    brightness_factor: Any
    contrast_factor: Any
    saturation_factor: Any
    hue_factor: Any

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        brightness_factor: Any = None,
        contrast_factor: Any = None,
        saturation_factor: Any = None,
        hue_factor: Any = None,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.value_range = _range(value_range)
        self.brightness_factor, self.contrast_factor = brightness_factor, contrast_factor
        self.saturation_factor, self.hue_factor = saturation_factor, hue_factor
        self._seeded(seed)
        shared = {"seed": seed, "data_format": data_format}
        makers: tuple[tuple[str, Any, Any], ...] = (
            ("random_brightness", RandomBrightness, brightness_factor),
            ("random_contrast", RandomContrast, contrast_factor),
            ("random_saturation", RandomSaturation, saturation_factor),
            ("random_hue", RandomHue, hue_factor),
        )
        self._parts: list[ImageLayer] = []
        for name, kind, factor in makers:
            if factor is not None:
                part: ImageLayer = kind(factor, value_range, **shared)
                setattr(self, name, part)
                self._parts.append(part)

    def transform_images(
        self, images: Tensor, transformation: Transformation, training: bool = True
    ) -> Tensor:
        """Images of other colours."""
        if not training:
            return images
        for part in self._parts:
            change = part.get_random_transformation(images, seed=self.generator)
            images = part.transform_images(images, change)
        return images
