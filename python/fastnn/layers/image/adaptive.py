"""Contrast that is equalised tile by tile. Depends on `base`, `colour`.

Pizer et al. 1987, "Adaptive histogram equalization and its variations"; the limit of contrast:
Zuiderveld 1994.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.arguments import is_whole
from fastnn.base.typing import TensorLike, Transformation
from fastnn.layers.image.base import ImageLayer, value_range as _range
from fastnn.layers.image.colour import scaled

__all__ = ["ContrastLimitedAdaptiveHistogramEqualization"]

_LEVELS = 256


class ContrastLimitedAdaptiveHistogramEqualization(ImageLayer):
    """Spreads the values of each channel within tiles of each image, also outside training.

    Between the middles of tiles their tables are interpolated, so that no borders are seen.
    Shapes: the output has the input's.

    Args:
        value_range: The range of values of the images.
        clip_limit: How many times as often as the mean a level counts at most; what is above goes
            to all levels alike. 0 or less: no limit.
        tile_grid_size: Tiles along the height and along the width.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: A range that is no pair, or a grid that is no pair of whole numbers above 0.

    Example:
        >>> layer = fastnn.layers.ContrastLimitedAdaptiveHistogramEqualization()
        >>> layer(np.zeros((2, 16, 16, 3))).shape
        (2, 16, 16, 3)
    """

    value_range: tuple[float, float]
    clip_limit: float
    tile_grid_size: tuple[int, int]

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        clip_limit: float = 4.0,
        tile_grid_size: Sequence[int] = (8, 8),
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.value_range = _range(value_range)
        self.clip_limit = clip_limit
        grid = tuple(tile_grid_size) if isinstance(tile_grid_size, list | tuple) else ()
        if len(grid) != 2 or not all(is_whole(n) and n > 0 for n in grid):
            raise ValueError(
                f"tile_grid_size is {tile_grid_size!r}, wanted a pair of whole numbers above 0\n"
                "  hint: tile_grid_size=(8, 8)"
            )
        self.tile_grid_size = grid

    def transform_images(
        self, images: Tensor, transformation: Transformation = None, training: bool = True
    ) -> Tensor:
        """Images of even levels within tiles."""
        first = self.data_format == "channels_first"
        height, width = self._known(images)
        x = ops.moveaxis(images, 1, -1) if first else images
        x = self._equalised(scaled(x, self.value_range, (0, 255)), height, width)
        x = scaled(x, (0, 255), self.value_range)
        return ops.moveaxis(x, -1, 1) if first else x

    def _equalised(self, x: TensorLike, height: int, width: int) -> Any:
        down, across = self.tile_grid_size
        rows, columns = -(-height // down), -(-width // across)
        # The last tiles are filled up with the image mirrored.
        for axis, size, whole in ((1, height, rows * down), (2, width, columns * across)):
            if whole > size:
                places = np.pad(np.arange(size), (0, whole - size), "symmetric")
                x = ops.take(x, places, axis=axis)
        levels = ops.cast(ops.clip(x, 0.0, _LEVELS - 1.0), "int32")
        count, channels = ops.shape(x)[0], x.shape[-1]
        tiles = ops.reshape(levels, (count, down, rows, across, columns, channels))
        tiles = ops.transpose(tiles, (0, 1, 3, 5, 2, 4))
        tables = self._tables(ops.reshape(tiles, (-1, rows * columns)), rows * columns)
        y, x_at = _between(rows, down), _between(columns, across)
        # Of each image the tables lie by tile, channel and level.
        start = ops.reshape(ops.arange(count) * (down * across * channels), (-1, 1, 1, 1))
        flat = ops.reshape(tables, (-1,))
        out: Any = 0.0
        for tile_y, weight_y in y:
            for tile_x, weight_x in x_at:
                tile = tile_y[:, None] * across + tile_x[None]
                inner = tile[..., None] * channels + np.arange(channels)
                found = ops.take(flat, (start + inner.astype(np.int32)) * _LEVELS + levels)
                out = out + found * (weight_y[:, None, None] * weight_x[None, :, None])
        return out[:, :height, :width]

    def _tables(self, levels: TensorLike, pixels: int) -> Any:
        """What each level of each tile becomes, (tiles, levels)."""
        counts = ops.cast(ops.bincount(levels, minlength=_LEVELS), "float32")
        if self.clip_limit > 0:
            kept = ops.minimum(counts, np.float32(self.clip_limit * pixels / _LEVELS))
            counts = kept + ops.sum(counts - kept, axis=-1, keepdims=True) / _LEVELS
        total = ops.cumsum(counts, axis=-1)
        least = ops.min(total, axis=-1, keepdims=True)
        spread = pixels - least
        spread = ops.where(ops.equal(spread, 0.0), 1.0, spread)
        return ops.clip((total - least) * 255.0 / spread, 0.0, 255.0)


def _between(size: int, count: int) -> list[tuple[Any, Any]]:
    """For each pixel of an axis of `count` tiles: the tiles beside it, each with its weight."""
    at = (np.arange(size * count, dtype=np.float32) - size / 2.0) / size
    below = np.floor(at)
    share = (at - below).astype(np.float32)
    last = count - 1
    return [
        (np.clip(below, 0, last).astype(np.int64), np.float32(1.0) - share),
        (np.clip(below + 1, 0, last).astype(np.int64), share),
    ]
