"""Layers that cut from images or mix them with each other. Depends on `base`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn import ops, random
from fastnn._core import Tensor
from fastnn.base.typing import TensorLike, Transformation
from fastnn.layers.image.base import ImageLayer, between, factor_range, value_range

__all__ = ["CutMix", "MixUp", "RandomErasing"]

_range = value_range


class _Boxes(ImageLayer):
    """A layer with a random box in each image."""

    def _box(self, data: TensorLike, wide: Any, high: Any, seed: Any) -> tuple[Any, Any]:
        """Which pixels of each image lie in its box, and the box's share of the image.

        `wide` and `high` (n,) are shares of the sides.
        """
        count, height, width = self._batch(data)
        inside: Any = None
        share: Any = 1.0
        for axis, size, ratio in ((self.width_axis, width, wide), (self.height_axis, height, high)):
            length = ops.cast(size, "float32")
            extent = ratio * length
            start = between((count,), (0, 1), seed) * (length - extent)
            shape = [1, 1, 1, 1]
            shape[axis] = -1
            at = ops.reshape(ops.cast(ops.arange(size), "float32"), shape)
            start, end = (ops.reshape(v, (-1, 1, 1, 1)) for v in (start, start + extent))
            here = ops.logical_and(at >= start, at < end)
            inside = here if inside is None else ops.logical_and(inside, here)
            share = share * ratio
        return inside, share


def _order(count: Any, seed: Any) -> Any:
    """The numbers below `count`, which may be open, mixed."""
    return ops.argsort(random.uniform((count,), seed=seed))


class RandomErasing(_Boxes):
    """Fills a random box of some of the images, in training.

    Shapes: the output has the input's.

    Args:
        factor: How likely that is, from 0 to 1, or (low, high).
        scale: The area of the box as a share of the image, from 0 to this number, or (low, high).
        fill_value: A number, or three of them; None fills with noise.
        value_range: The range of values of the images.
        seed: A whole number or a `SeedGenerator` for numbers that repeat.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.RandomErasing(seed=1)(np.zeros((2, 8, 8, 3))).shape
        (2, 8, 8, 3)
    """

    factor: Any
    scale: Any
    value_range: tuple[float, float]

    def __init__(
        self,
        factor: float | Sequence[float] = 1.0,
        scale: Any = (0.02, 0.33),
        fill_value: Any = None,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.factor = factor_range(factor, (0, 1))
        self.scale = factor_range(scale, (0, 1), "scale")
        if isinstance(fill_value, list | tuple) and len(fill_value) != 3:
            raise ValueError(
                "The `fill_value` argument should be a number (or a list of three numbers). "
                f"Received: {fill_value}\n  hint: fill_value=0"
            )
        self.fill_value = fill_value
        self.value_range = _range(value_range)
        self._seeded(seed)

    def get_random_transformation(
        self, data: TensorLike, training: bool = True, seed: Any = None
    ) -> Transformation:
        """Which images lose a box, where it lies and what fills it."""
        if not training:
            return None
        count, _, _ = self._batch(data)
        seed = self._drawn_from(seed)
        sides = ops.sqrt(between((count, 2), self.scale, seed))
        inside, _ = self._box(data, sides[:, 0], sides[:, 1], seed)
        chance = between((count,), self.factor, seed)
        apply = between((count,), (0, 1), seed) < chance
        images = data["images"] if isinstance(data, dict) else data
        shape = list(ops.shape(images))
        shape = shape if len(shape) == 4 else [1, *shape]
        low, high = self.value_range
        if self.fill_value is None:
            fill = random.normal(shape, seed=seed) * float(high)
        elif isinstance(self.fill_value, list | tuple):
            form = (3, 1, 1) if self.data_format == "channels_first" else (3,)
            fill = ops.reshape(ops.convert_to_tensor(list(self.fill_value), "float32"), form)
        else:
            fill = ops.convert_to_tensor(float(self.fill_value))
        return {
            "apply_erasing": apply, "batch_masks": inside,
            "fill_value": ops.clip(fill, float(low), float(high)),
        }  # fmt: skip

    def transform_images(
        self, images: Tensor, transformation: Transformation = None, training: bool = True
    ) -> Tensor:
        """Images, some of them with a box filled."""
        if not training or transformation is None:
            return images
        apply = ops.reshape(transformation["apply_erasing"], (-1, 1, 1, 1))
        chosen = ops.logical_and(apply, transformation["batch_masks"])
        return ops.where(chosen, transformation["fill_value"], images)


class MixUp(ImageLayer):
    """Mixes each image and its label with another of the batch, in training.

    Shapes: the output has the input's; labels are one-hot, in a dict with the images. Source:
    Zhang et al. 2018.

    Args:
        alpha: Both parameters of the beta distribution of the shares.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        seed: A whole number or a `SeedGenerator` for numbers that repeat.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> data = {"images": np.zeros((2, 4, 4, 3)), "labels": np.eye(2)}
        >>> fastnn.layers.MixUp(seed=1)(data, training=True)["labels"].numpy().sum(1)
        array([1., 1.], dtype=float32)
    """

    def __init__(
        self,
        alpha: float = 0.2,
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.alpha = alpha
        self._seeded(seed)

    def get_random_transformation(
        self, data: TensorLike, training: bool = True, seed: Any = None
    ) -> Transformation:
        """The share of each image, (n,), and what it is mixed with."""
        count, _, _ = self._batch(data)
        seed = self._drawn_from(seed)
        order = _order(count, seed)
        weight = random.beta((count,), self.alpha, self.alpha, seed=seed)
        return {"mix_weight": weight, "permutation_order": order}

    def _mixed(self, x: Tensor, transformation: Transformation, training: bool) -> Tensor:
        if not training:
            return x
        x = ops.cast(ops.convert_to_tensor(x), "float32")
        shape = (-1, *(1,) * (1 if len(x.shape) < 3 else 3))
        weight = ops.reshape(transformation["mix_weight"], shape)
        other = ops.take(x, transformation["permutation_order"], axis=0)
        return weight * x + (1.0 - weight) * other

    def transform_images(
        self, images: Tensor, transformation: Transformation = None, training: bool = True
    ) -> Tensor:
        """Mixed images."""
        return self._mixed(images, transformation, training)

    def transform_labels(
        self, labels: TensorLike, transformation: Transformation, training: bool = True
    ) -> Any:
        """Labels, mixed as the images are."""
        return self._mixed(labels, transformation, training)

    def transform_segmentation_masks(
        self, segmentation_masks: Tensor, transformation: Transformation, training: bool = True
    ) -> Tensor:
        """Masks, mixed as the images are."""
        return self._mixed(segmentation_masks, transformation, training)


class CutMix(_Boxes):
    """Replaces a box of each image by that of another of the batch, and mixes labels, in training.

    Shapes: the output has the input's; labels are one-hot, in a dict with the images. Source: Yun
    et al. 2019.

    Args:
        factor: Parameter of the beta distribution of the shares, from 0 to 1, or (low, high).
        seed: A whole number or a `SeedGenerator` for numbers that repeat.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> data = {"images": np.zeros((2, 4, 4, 3)), "labels": np.eye(2)}
        >>> fastnn.layers.CutMix(seed=1)(data, training=True)["labels"].numpy().sum(1)
        array([1., 1.], dtype=float32)
    """

    factor: Any

    def __init__(
        self,
        factor: float | Sequence[float] = 1.0,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.factor = factor_range(factor, (0, 1))
        self._seeded(seed)

    def get_random_transformation(
        self, data: TensorLike, training: bool = True, seed: Any = None
    ) -> Transformation:
        """The box of each image, its share, and whose box comes there."""
        images = data["images"] if isinstance(data, dict) else data
        if not training or len(images.shape) == 3:
            return None
        count, _, _ = self._batch(data)
        seed = self._drawn_from(seed)
        alpha = between((), self.factor, seed) + 1e-6
        weight = random.beta((count,), alpha, alpha, seed=seed)
        side = ops.sqrt(1.0 - weight)
        inside, share = self._box(data, side, side, seed)
        order = _order(count, seed)
        return {
            "permutation_order": order, "batch_masks": inside, "mix_weight": 1.0 - share,
        }  # fmt: skip

    def transform_images(
        self, images: Tensor, transformation: Transformation = None, training: bool = True
    ) -> Tensor:
        """Images with a box of others."""
        if not training or transformation is None:
            return images
        other = ops.take(images, transformation["permutation_order"], axis=0)
        return ops.where(transformation["batch_masks"], other, images)

    def transform_labels(
        self, labels: TensorLike, transformation: Transformation, training: bool = True
    ) -> Any:
        """Labels, mixed by the share of the box."""
        if not training or transformation is None:
            return labels
        weight = ops.reshape(transformation["mix_weight"], (-1, *(1,) * (len(labels.shape) - 1)))
        labels = ops.cast(labels, "float32")
        other = ops.take(labels, transformation["permutation_order"], axis=0)
        return weight * labels + (1.0 - weight) * other

    def transform_segmentation_masks(
        self, segmentation_masks: TensorLike, transformation: Transformation, training: bool = True
    ) -> Tensor:
        """Masks with a box of others."""
        return self.transform_images(segmentation_masks, transformation, training)
