"""Layers that pick from other changes of images at random. Depends on the modules beside it."""

from __future__ import annotations

import random as _python_random
from collections.abc import Sequence
from typing import Any

from fastnn import ops, random
from fastnn._core import Tensor
from fastnn.base.typing import TensorLike, Transformation
from fastnn.layers.image.base import ImageLayer, factor_range, value_range
from fastnn.layers.image.colour import (
    RandomBrightness,
    RandomColorDegeneration,
    RandomContrast,
    RandomPosterization,
)
from fastnn.layers.image.geometry import RandomRotation, RandomShear, RandomTranslation
from fastnn.layers.image.levels import AutoContrast, Equalization, RandomSharpness, Solarization

__all__ = ["AugMix", "RandAugment"]

_range = value_range

#: Names of the changes; the last four change brightness and colours.
_CHANGES = (
    "random_shear", "random_translation", "random_rotation", "solarization",
    "random_posterization", "auto_contrast", "equalization",
)  # fmt: skip
_COLOURS = (
    "random_brightness", "random_color_degeneration", "random_contrast", "random_sharpness",
)  # fmt: skip


class _Combined(ImageLayer):
    factor: Any
    value_range: Any
    interpolation: str

    def _make(self, names: tuple[str, ...]) -> None:
        """The changes of these names, as attributes."""
        shared = {"data_format": self.data_format, "seed": self.seed}
        colours = {**shared, "value_range": self.value_range}
        space = {**shared, "interpolation": self.interpolation}
        factor = self.factor
        makers: dict[str, Any] = {
            "random_shear": lambda: RandomShear(factor, factor, **space),
            "random_translation": lambda: RandomTranslation(factor, factor, **space),
            "random_rotation": lambda: RandomRotation(factor, **space),
            "random_brightness": lambda: RandomBrightness(factor, **colours),
            "random_color_degeneration": lambda: RandomColorDegeneration(factor, **colours),
            "random_contrast": lambda: RandomContrast(factor, **colours),
            "random_sharpness": lambda: RandomSharpness(factor, **colours),
            "solarization": lambda: Solarization(factor, factor, **colours),
            "random_posterization": lambda: RandomPosterization(
                max(1, int(8 * factor[1])), **colours
            ),
            "auto_contrast": lambda: AutoContrast(
                value_range=self.value_range, data_format=self.data_format
            ),
            "equalization": lambda: Equalization(
                value_range=self.value_range, data_format=self.data_format
            ),
        }
        for name in names:
            setattr(self, name, makers[name]())


class RandAugment(_Combined):
    """Changes each batch by `num_ops` changes, picked from eleven at random, in training.

    Shapes: (n, height, width, 3) -> the same. Source: Cubuk et al. 2020.

    Args:
        value_range: The range of values of the images.
        num_ops: How many changes follow each other.
        factor: How strong they are, from 0 to 1, or (low, high).
        interpolation: `"bilinear"` or `"nearest"`.
        seed: A whole number or a `SeedGenerator` for numbers that repeat.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.RandAugment(seed=1)(np.zeros((2, 8, 8, 3))).shape
        (2, 8, 8, 3)
    """

    value_range: Any
    num_ops: int
    factor: Any

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        num_ops: int = 2,
        factor: float | Sequence[float] = 0.5,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.value_range, self.num_ops = _range(value_range), num_ops
        self.factor = factor_range(factor, (0, 1))
        self.interpolation = interpolation
        self._seeded(seed)
        self._names = (*_CHANGES[:3], *_COLOURS, *_CHANGES[3:])
        self._make(self._names)

    def get_random_transformation(
        self, data: TensorLike, training: bool = True, seed: Any = None
    ) -> Transformation:
        """Which changes are made, and the numbers of all of them."""
        if not training:
            return None
        seed = self._drawn_from(seed)
        chosen = random.randint((self.num_ops,), 0, len(self._names), seed=seed)
        changes = {
            name: getattr(self, name).get_random_transformation(data, training=training, seed=seed)
            for name in self._names
        }
        return {"transforms": changes, "layer_idxes": chosen}

    def _each(self, x: Tensor, transformation: Transformation, method: str) -> Tensor:
        for i in range(self.num_ops):
            source = x
            for number, (name, change) in enumerate(transformation["transforms"].items()):
                changed = getattr(getattr(self, name), method)(source, change)
                picked = ops.equal(transformation["layer_idxes"][i], number)
                x = ops.where(picked, changed, x)
        return x

    def transform_images(
        self, images: Tensor, transformation: Transformation, training: bool = True
    ) -> Tensor:
        """Changed images."""
        if not training or transformation is None:
            return images
        return self._each(images, transformation, "transform_images")

    def transform_segmentation_masks(
        self, segmentation_masks: Tensor, transformation: Transformation, training: bool = True
    ) -> Tensor:
        """Masks, moved as the images are."""
        if not training or transformation is None:
            return segmentation_masks
        return self._each(segmentation_masks, transformation, "transform_segmentation_masks")


class AugMix(_Combined):
    """Mixes images with the results of some chains of random changes, in training.

    The chains are drawn when the layer is called, or traced. Shapes: (n, height, width, 3) -> the
    same. Source: Hendrycks et al. 2020.

    Args:
        value_range: The range of values of the images.
        num_chains: How many chains are mixed.
        chain_depth: How many changes a chain has at most.
        factor: How strong they are, from 0 to 1, or (low, high).
        alpha: Of the distributions of the shares.
        all_ops: Whether changes of brightness and colours are among them.
        interpolation: `"bilinear"` or `"nearest"`.
        seed: A whole number or a `SeedGenerator` for numbers that repeat.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.AugMix(seed=1)(np.zeros((2, 8, 8, 3))).shape
        (2, 8, 8, 3)
    """

    value_range: Any
    num_chains: int
    chain_depth: int
    factor: Any
    alpha: float
    all_ops: bool
    interpolation: str

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        num_chains: int = 3,
        chain_depth: int = 3,
        factor: float | Sequence[float] = 0.3,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.value_range = _range(value_range)
        self.num_chains, self.chain_depth = num_chains, chain_depth
        self.factor = factor_range(factor, (0, 1))
        self.alpha, self.all_ops, self.interpolation = alpha, all_ops, interpolation
        self._seeded(seed)
        self._names = _CHANGES + _COLOURS if all_ops else _CHANGES
        self._make(self._names)
        seed = seed if isinstance(seed, int) else random.make_default_seed()
        self._pick = _python_random.Random(seed)

    def get_random_transformation(
        self, data: TensorLike, training: bool = True, seed: Any = None
    ) -> Transformation:
        """The changes of each chain, and the shares of the chains and of the images."""
        if not training:
            return None
        seed = self._drawn_from(seed)
        shares = random.gamma((self.num_chains,), self.alpha, seed=seed)
        chains = []
        for _ in range(self.num_chains):
            names = [self._pick.choice((*self._names, None)) for _ in range(self.chain_depth)]
            chains.append(
                [
                    {
                        "layer_name": name,
                        "transformation": getattr(self, name).get_random_transformation(
                            data, seed=seed
                        ),
                    }
                    for name in names
                    if name is not None
                ]
            )
        return {
            "chain_mixing_weights": shares / ops.sum(shares),
            "weight_sample": random.beta((), self.alpha, self.alpha, seed=seed),
            "chain_transforms": chains,
        }

    def _mixed(self, x: Tensor, transformation: Transformation, method: str) -> Tensor:
        total: Tensor = x * 0.0
        for i, chain in enumerate(transformation["chain_transforms"]):
            y = x
            for step in chain:
                layer = getattr(self, step["layer_name"])
                y = getattr(layer, method)(y, step["transformation"])
            total = total + y * transformation["chain_mixing_weights"][i]
        weight: Tensor = transformation["weight_sample"]
        return weight * x + (1.0 - weight) * total

    def transform_images(
        self, images: Tensor, transformation: Transformation, training: bool = True
    ) -> Tensor:
        """Mixed images."""
        if not training or transformation is None:
            return images
        mixed = self._mixed(images, transformation, "transform_images")
        return ops.clip(mixed, float(self.value_range[0]), float(self.value_range[1]))

    def transform_segmentation_masks(
        self, segmentation_masks: Tensor, transformation: Transformation, training: bool = True
    ) -> Tensor:
        """Masks, mixed as the images are."""
        if not training or transformation is None:
            return segmentation_masks
        return self._mixed(segmentation_masks, transformation, "transform_segmentation_masks")
