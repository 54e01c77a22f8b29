"""Layers that bring images to a size. Depends on `base`."""

from __future__ import annotations

from typing import Any

from fastnn import ops, random
from fastnn._core import Tensor
from fastnn.base.typing import TensorLike, Transformation
from fastnn.layers.convolutional.base import positive
from fastnn.layers.image.base import ImageLayer
from fastnn.ops.resampling import KINDS

__all__ = ["CenterCrop", "RandomCrop", "Resizing"]


class _Sized(ImageLayer):
    height: int
    width: int

    def _wanted(self, height: Any, width: Any) -> None:
        self.height, self.width = positive(height, "height"), positive(width, "width")

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape with the size that is wanted."""
        if isinstance(input_shape, dict):
            done = dict(input_shape)
            done["images"] = self.compute_output_shape(input_shape["images"])
            return done
        sizes = list(input_shape)
        sizes[self.height_axis], sizes[self.width_axis] = self.height, self.width
        return tuple(sizes)

    def _window(self, images: Tensor, top: int, left: int) -> Tensor:
        cut = [slice(None)] * 4
        cut[self.height_axis] = slice(top, top + self.height)
        cut[self.width_axis] = slice(left, left + self.width)
        return images[tuple(cut)]

    def _smart(self, images: TensorLike) -> Tensor:
        """The middle with the ratio of sides that is wanted, resized."""
        return ops.image.resize(
            images, (self.height, self.width), crop_to_aspect_ratio=True,
            data_format=self.data_format,
        )  # fmt: skip


class Resizing(_Sized):
    """Images at another size, also outside training.

    Shapes: (n, rows, columns, channels) -> (n, height, width, channels).

    Args:
        height: Rows of the result.
        width: Columns of the result.
        interpolation: `"bilinear"`, `"nearest"`, `"bicubic"`, `"lanczos3"` or `"lanczos5"`.
        crop_to_aspect_ratio: Whether to cut off what does not fit the ratio of sides.
        pad_to_aspect_ratio: Whether to add borders instead.
        fill_mode: `"constant"`.
        fill_value: The number in the borders.
        antialias: Whether a smaller image's pixels are means over what they cover.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.Resizing(4, 6)(np.zeros((1, 8, 8, 3))).shape
        (1, 4, 6, 3)
    """

    fill_mode: str
    fill_value: float

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        self._wanted(height, width)
        if interpolation not in ("nearest", *KINDS):
            raise ValueError(
                f"`interpolation` argument should be one of: {('nearest', *KINDS)}. "
                f"Received: {interpolation!r}\n  hint: interpolation='bilinear'"
            )
        self.interpolation = interpolation
        self.crop_to_aspect_ratio = crop_to_aspect_ratio
        self.pad_to_aspect_ratio = pad_to_aspect_ratio
        self.fill_mode, self.fill_value = fill_mode, fill_value
        self.antialias = antialias

    def _resized(self, images: TensorLike, interpolation: str) -> Tensor:
        return ops.image.resize(
            images, (self.height, self.width), interpolation, antialias=self.antialias,
            crop_to_aspect_ratio=self.crop_to_aspect_ratio,
            pad_to_aspect_ratio=self.pad_to_aspect_ratio, fill_mode=self.fill_mode,
            fill_value=self.fill_value, data_format=self.data_format,
        )  # fmt: skip

    def transform_images(
        self, images: Tensor, transformation: Transformation = None, training: bool = True
    ) -> Tensor:
        """Resized images."""
        return self._resized(images, self.interpolation)

    def transform_segmentation_masks(
        self,
        segmentation_masks: Tensor,
        transformation: Transformation = None,
        training: bool = True,
    ) -> Tensor:
        """Masks resized by the nearest pixel."""
        return self._resized(segmentation_masks, "nearest")


class CenterCrop(_Sized):
    """The middle of images, also outside training; smaller images are enlarged first.

    Shapes: (n, rows, columns, channels) -> (n, height, width, channels).

    Args:
        height: Rows of the result.
        width: Columns of the result.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> x = np.arange(16.0).reshape(1, 4, 4, 1)
        >>> fastnn.layers.CenterCrop(2, 2)(x).numpy().ravel()
        array([ 5.,  6.,  9., 10.], dtype=float32)
    """

    def __init__(
        self, height: int, width: int, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(data_format, **kwargs)
        self._wanted(height, width)

    def transform_images(
        self, images: Tensor, transformation: Transformation = None, training: bool = True
    ) -> Tensor:
        """The middle of the images."""
        height, width = self._known(images)
        if height < self.height or width < self.width:
            return self._smart(images)
        return self._window(images, (height - self.height) // 2, (width - self.width) // 2)

    def transform_segmentation_masks(
        self,
        segmentation_masks: Tensor,
        transformation: Transformation = None,
        training: bool = True,
    ) -> Tensor:
        """The middle of the masks."""
        return self.transform_images(segmentation_masks, transformation, training)


class RandomCrop(_Sized):
    """A random part of images in training, one for the whole batch; else the resized middle.

    Shapes: (n, rows, columns, channels) -> (n, height, width, channels).

    Args:
        height: Rows of the result.
        width: Columns of the result.
        seed: A whole number or a `SeedGenerator` for numbers that repeat.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        name: The name of the layer.
        **kwargs: `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.RandomCrop(2, 3, seed=1)(np.zeros((1, 8, 8, 3))).shape
        (1, 2, 3, 3)
    """

    def __init__(
        self,
        height: int,
        width: int,
        seed: int | None = None,
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, name=name, **kwargs)
        self._wanted(height, width)
        self._seeded(seed)

    def get_random_transformation(
        self, data: TensorLike, training: bool = True, seed: Any = None
    ) -> Transformation:
        """Where the part begins, as (row, column); None where images are not larger."""
        images = data["images"] if isinstance(data, dict) else data
        height, width = self._known(ops.convert_to_tensor(images))
        rows, columns = height - self.height, width - self.width
        if not training or rows < 0 or columns < 0:
            return None
        seed = self._drawn_from(seed)
        return tuple(
            random.randint((), 0, room + 1, seed=seed) if room else 0 for room in (rows, columns)
        )

    def transform_images(
        self, images: Tensor, transformation: Transformation, training: bool = True
    ) -> Tensor:
        """The part of each image."""
        if transformation is None or not training:
            return self._smart(images)
        top, left = transformation
        rows = ops.arange(self.height) + top
        columns = ops.arange(self.width) + left
        images = ops.take(images, rows, axis=4 + self.height_axis)
        return ops.take(images, columns, axis=4 + self.width_axis)

    def transform_segmentation_masks(
        self, segmentation_masks: TensorLike, transformation: Transformation, training: bool = True
    ) -> Tensor:
        """The same part of each mask."""
        return self.transform_images(segmentation_masks, transformation, training)
