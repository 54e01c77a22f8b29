"""What layers that change images share: one image or a batch, alone or with what belongs to it.

Depends on `layers.base`.
"""

from __future__ import annotations

from typing import Any

from fastnn import ops, random
from fastnn._core import Tensor
from fastnn.base.typing import Shape, TensorLike, Transformation
from fastnn.config import standardize_data_format
from fastnn.errors import DataError, ShapeError, TraceError
from fastnn.layers.base.layer import Layer
from fastnn.random import SeedGenerator

__all__ = ["FILL_MODES", "INTERPOLATIONS", "ImageLayer", "between", "checked_word", "value_range"]

INTERPOLATIONS = ("nearest", "bilinear")
FILL_MODES = ("reflect", "wrap", "constant", "nearest")


def between(shape: Any, span: Any, seed: Any) -> Tensor:
    """Numbers spread evenly over a span (low, high)."""
    low, high = span
    return random.uniform(shape, float(low), float(high), seed=seed)


def checked_word(value: Any, known: tuple[str, ...], name: str) -> str:
    """One of the words of an argument."""
    if value not in known:
        raise NotImplementedError(
            f"Unknown `{name}` {value}. Expected of one {known}.\n  hint: {name}={known[0]!r}"
        )
    return str(value)


def factor_range(
    value: Any, bounds: tuple[float, float], name: str = "factor", signed: bool = True
) -> tuple[float, float]:
    """(low, high) from a number, which counts to both sides where `signed`, or a pair."""
    low, high = bounds
    pair = list(value) if isinstance(value, list | tuple) else [value]
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in pair)
    count = 2 if isinstance(value, list | tuple) else 1
    if len(pair) != count or not numbers or any(v < low or v > high for v in pair):
        raise ValueError(
            f"The `{name}` argument should be a number (or a list of two numbers) in the range "
            f"[{low}, {high}]. Received: {name}={value}\n  hint: {name}={0.2 if low < 1 else low}"
        )
    if len(pair) == 2:
        first, last = sorted(pair)
        return first, last
    size = abs(pair[0])
    return (max(-size, low) if signed else max(low, 0.0)), size


def value_range(value: Any) -> tuple[float, float]:
    """(low, high) of the numbers that images hold."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(
            "The `value_range` argument should be a list of two numbers. "
            f"Received: value_range={value}\n  hint: value_range=(0, 255)"
        )
    low, high = sorted(value)
    return low, high


class ImageLayer(Layer):
    """Changes images, in training at random, with the labels and masks that belong to them.

    `call` takes images (n, height, width, channels), one image, or a dict with `images` and, where
    there are some, `labels` and `segmentation_masks`. Called outside a model and without
    `training`, the layer changes what it gets.
    """

    data_format: str
    generator: SeedGenerator
    _low, _high = -1.0, 1.0

    def __init__(
        self, data_format: str | None = None, bounding_box_format: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if bounding_box_format is not None:
            raise DataError(
                f"{type(self).__name__}: bounding boxes are not changed along with images\n"
                "  hint: leave bounding_box_format out"
            )
        self.data_format = standardize_data_format(data_format)
        self._build_at_init()

    def _seeded(self, seed: Any) -> None:
        self.seed = seed
        self.generator = random.SeedGenerator(seed)

    def _drawn_from(self, seed: Any) -> Any:
        return self.generator if seed is None else seed

    @property
    def height_axis(self) -> int:
        """The axis of rows, counted from the end."""
        return -2 if self.data_format == "channels_first" else -3

    @property
    def width_axis(self) -> int:
        """The axis of columns, counted from the end."""
        return self.height_axis + 1

    @property
    def channel_axis(self) -> int:
        """The axis of channels, counted from the end."""
        return -3 if self.data_format == "channels_first" else -1

    def call(self, data: Any, training: bool | None = True) -> Any:
        """The changed images."""
        training = training is None or bool(training)
        images = data["images"] if isinstance(data, dict) else data
        images = ops.convert_to_tensor(images)
        rank = len(images.shape)
        if rank not in (3, 4):
            raise ShapeError(
                "Expected the input image to be rank 3 or 4 (single image or batch of images). "
                f"Received: inputs.shape={tuple(images.shape)}\n"
                "  hint: (batch, height, width, channels)"
            )
        change = self.get_random_transformation(data, training=training)
        if not isinstance(data, dict):
            return self._one_or_many(self.transform_images, images, rank, change, training)
        if "bounding_boxes" in data:
            raise DataError(
                f"layer {self.name!r} ({type(self).__name__}): bounding boxes are not changed "
                "along with images\n  hint: leave them out of the dict"
            )
        done = dict(data)
        done["images"] = self._one_or_many(self.transform_images, images, rank, change, training)
        for key, change_all in (
            ("labels", self.transform_labels),
            ("segmentation_masks", self.transform_segmentation_masks),
        ):
            if key in data:
                value = ops.convert_to_tensor(data[key])
                done[key] = self._one_or_many(change_all, value, rank, change, training)
        return done

    def _one_or_many(
        self, change_all: Any, x: TensorLike, rank: int, change: Any, training: bool
    ) -> Any:
        """What is meant for batches, on one image too."""
        x = ops.cast(x, "float32")
        if rank == 4:
            return change_all(x, change, training=training)
        return change_all(ops.expand_dims(x, 0), change, training=training)[0]

    def _batch(self, data: TensorLike) -> tuple[Any, Any, Any]:
        """The number of images, their height and their width."""
        images = data["images"] if isinstance(data, dict) else data
        sizes = ops.shape(images)
        count = sizes[0] if len(sizes) == 4 else 1
        return count, sizes[self.height_axis], sizes[self.width_axis]

    def _known(self, images: TensorLike) -> tuple[int, int]:
        """Height and width of images as numbers."""
        height, width = images.shape[self.height_axis], images.shape[self.width_axis]
        if not isinstance(height, int) or not isinstance(width, int):
            raise TraceError(
                f"images of shape {tuple(images.shape)}: their height and width must be known\n"
                "  hint: give both in Input(shape=...)"
            )
        return height, width

    def get_random_transformation(
        self, data: TensorLike, training: bool = True, seed: Any = None
    ) -> Transformation:
        """Random numbers that say how each image is changed; None where nothing is drawn."""
        return None

    def transform_images(
        self, images: Tensor, transformation: Transformation, training: bool = True
    ) -> Tensor:
        """A batch of images, changed."""
        return images

    def transform_labels(
        self, labels: TensorLike, transformation: Transformation, training: bool = True
    ) -> Any:
        """The labels, which stay."""
        return labels

    def transform_segmentation_masks(
        self, segmentation_masks: Tensor, transformation: Transformation, training: bool = True
    ) -> Tensor:
        """Masks, moved as the images are."""
        return segmentation_masks

    def _chosen(self, apply: Tensor, changed: Tensor, images: Tensor) -> Tensor:
        """`changed` where an image is to be changed, else the image."""
        shape = (-1, 1, 1, 1) if len(images.shape) == 4 else ()
        return ops.where(ops.reshape(apply, shape), changed, images)

    def get_config(self) -> dict[str, Any]:
        """The arguments, and where the channels are."""
        return {**super().get_config(), "data_format": self.data_format}

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the inputs."""
        return input_shape
