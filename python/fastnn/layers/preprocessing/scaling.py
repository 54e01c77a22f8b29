"""`Normalization` and `Rescaling`: inputs brought to a scale. Depends on `layers.base`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import config, ops
from fastnn._core import Tensor
from fastnn.data.adapting import batches_to_adapt
from fastnn.data.arrays import leaf, numbers_of
from fastnn.errors import DataError, ShapeError
from fastnn.layers.base.axes import check_axes
from fastnn.layers.base.layer import Layer
from fastnn.serialization.file_budget import file_budget

__all__ = ["Normalization", "Rescaling"]


class Normalization(Layer):
    """Subtracts a mean and divides by a deviation that were measured or given: (x - mean) /
    sqrt(variance).

    `adapt(data)` measures them; they are part of the model and its files. Shapes: the output has
    the input's.

    Args:
        axis: The axes that keep statistics of their own, without the batch; None: one mean for all
            elements.
        mean: The mean to subtract, when it is known; then `variance` is needed as well.
        variance: The variance whose root is divided by.
        invert: Whether the inverse is computed: x * sqrt(variance) + mean.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> layer = fastnn.layers.Normalization()
        >>> layer.adapt(np.array([[0.0], [2.0], [4.0]]))
        >>> layer(np.array([[2.0], [4.0]])).numpy().round(4)
        array([[0.    ],
               [1.2247]], dtype=float32)
    """

    input_mean: Any
    input_variance: Any

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (mean is None) != (variance is None):
            raise ValueError(
                "When setting values directly, both `mean` and `variance` must be set. Received: "
                f"mean={mean} and variance={variance}\n"
                "  hint: Normalization(mean=[0.5], variance=[0.25]), or neither and adapt(data)"
            )
        if variance is not None and not (np.asarray(variance) >= 0).all():
            raise ValueError(
                f"`variance` holds numbers below 0 or NaN: {variance}\n"
                "  hint: the square of the deviation"
            )
        self.axis: Any = list(axis) if isinstance(axis, list | tuple) else axis
        for a in self._axes():
            if isinstance(a, bool) or not isinstance(a, int | np.integer):
                raise TypeError(
                    f"`axis` must be a whole number, several of them or None, got axis={axis!r}\n"
                    "  hint: axis=-1"
                )
        self.invert = invert
        self.supports_masking = True
        self.input_mean, self.input_variance = mean, variance
        self._mean: Any = None

    def _axes(self) -> list[int]:
        """The axes as they were given, as a list."""
        if self.axis is None:
            return []
        return self.axis if isinstance(self.axis, list) else [self.axis]

    def _kept(self, rank: int) -> list[int]:
        """The axes of statistics of their own in inputs of this rank, from 0."""
        axes = self._axes()
        check_axes(axes, rank, f"Normalization {self.name!r}")
        kept = sorted(int(a) % rank for a in axes)
        if len(set(kept)) < len(kept):
            raise ShapeError(
                f"Normalization {self.name!r}: axis={self.axis} names an axis of inputs of "
                f"ndim={rank} twice\n  hint: each axis once"
            )
        return kept

    def build(self, input_shape: Any) -> None:
        """mean, variance and count, not trained; none when they were given."""
        rank = len(input_shape)
        kept = self._kept(rank)
        if 0 in kept and rank > 1:
            raise ValueError("Normalization cannot keep the batch axis\n  hint: axis=-1")
        if any(input_shape[a] is None for a in kept):
            raise ShapeError(
                f"Normalization {self.name!r}: All `axis` values to be kept must have a known "
                f"shape. Received axis={self.axis}, inputs.shape={tuple(input_shape)}\n"
                "  hint: give that size in Input(shape=...)"
            )
        sizes = [input_shape[a] for a in kept]
        self._keeps, self._rank = kept, rank
        if self.input_mean is None:
            self._mean = self.add_weight(sizes, "zeros", trainable=False, name="mean")
            self._variance = self.add_weight(sizes, "ones", trainable=False, name="variance")
            self._count = self.add_weight((), "zeros", "int32", trainable=False, name="count")
        else:
            budget = file_budget()
            if budget is not None:
                budget.weights(sizes, f"Normalization {self.name!r}")
            self._given = [
                self._spread_over(v, sizes, name)
                for v, name in ((self.input_mean, "mean"), (self.input_variance, "variance"))
            ]
        self.built = True

    def _spread_over(self, value: Any, sizes: list[int], name: str) -> Any:
        """A given statistic for each place of the kept axes.

        Its axes are the last of those kept, or all of the inputs'.
        """
        array = numbers_of(value, f"`{name}`").astype(np.float32)
        every = array.ndim > len(sizes)
        wanted = self._wide(sizes, self._keeps, self._rank) if every else sizes
        try:
            return ops.convert_to_tensor(np.broadcast_to(array, wanted).reshape(sizes).copy())
        except ValueError:
            raise ShapeError(
                f"Normalization {self.name!r}: `{name}` has shape {array.shape}, wanted a number "
                f"or {tuple(sizes)}, the sizes of axis={self.axis}\n"
                "  hint: one value for each place of the kept axes"
            ) from None

    @staticmethod
    def _wide(sizes: Sequence[int], kept: Sequence[int], rank: int) -> list[int]:
        """The sizes of the kept axes among axes of size 1."""
        wide = [1] * rank
        for a, size in zip(kept, sizes, strict=True):
            wide[a] = size
        return wide

    @property
    def mean(self) -> Any:
        """The mean in use, shaped to broadcast."""
        return self._statistic(0)

    @property
    def variance(self) -> Any:
        """The variance in use, shaped to broadcast."""
        return self._statistic(1)

    def _statistic(self, which: int) -> Any:
        if not self.built:
            return (self.input_mean, self.input_variance)[which]
        value = self._narrow(which)
        # A pickle of an earlier version does not tell the rank.
        rank = self.__dict__.get("_rank", max(self._keeps, default=-1) + 1)
        return ops.reshape(value, self._wide(value.shape, self._keeps, rank))

    def _narrow(self, which: int) -> Any:
        """A statistic in the sizes of the kept axes."""
        if self._mean is None:
            return self._given[which]
        return (self._mean, self._variance)[which].value

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Takes mean and population variance from data.

        Args:
            data: An array (n, …) or a list of rows; or a list, generator, `PyDataset` or other
                iterable of batches of them, alone or as (x, y) or (x, y, weights). A batch of one
                axis is a row.
            batch_size: Not needed.
            steps: At most so many batches.

        Raises:
            DataError: There are no data, or they hold no numbers, NaN or infinities.
            ShapeError: Batches differ in the sizes of the kept axes, or the layer was built for
                other ones.

        Example:
            >>> layer = fastnn.layers.Normalization()
            >>> layer.adapt(np.array([[1.0], [3.0]]))
            >>> layer.mean.numpy().ravel(), layer.variance.numpy().ravel()
            (array([2.], dtype=float32), array([1.], dtype=float32))
        """
        where = f"Normalization {self.name!r}"
        if self.input_mean is not None:
            raise ValueError(
                f"{where} was given its statistics, so it cannot adapt\n"
                "  hint: leave mean and variance out"
            )
        n, total, squares = 0, 0.0, 0.0
        for batch in batches_to_adapt(data, steps, where):
            x = self._rows(batch, whole=batch is data)
            other = tuple(i for i in range(x.ndim) if i not in self._kept(x.ndim))
            count = int(np.prod([x.shape[i] for i in other]))
            mean, var = x.mean(other), x.var(other)
            shift = mean - total
            squares = squares + var * count + shift**2 * (n * count / (n + count))
            total = total + shift * (count / (n + count))
            n += count
        self._mean.assign(np.asarray(total, np.float32).reshape(self._mean.shape))
        self._variance.assign(np.asarray(squares / n, np.float32).reshape(self._mean.shape))
        self._count.assign(min(n, 2**31 - 1))

    def _rows(self, batch: Any, whole: bool) -> Any:
        """A batch as samples of float64 that fit the statistics; the first one builds the layer."""
        where = f"Normalization {self.name!r}"
        given = numbers_of(batch, "the data")
        if given.ndim == 0:
            raise TypeError(
                f"{where}: adapt wants an array or batches with a `.shape` of one axis or more, "
                f"got {'' if whole else 'a batch that is '}{batch!r:.60}\n"
                "  hint: numpy.array([[value]])"
            )
        if given.size == 0:
            raise DataError(
                f"{where}: adapt got data of shape {given.shape}: 0 samples\n"
                "  hint: give at least one sample"
            )
        if given.dtype.kind == "f":
            leaf(given, "the data")  # within the range of float32
        x = given.astype(np.float64)
        if not np.isfinite(x).all():
            at = tuple(int(i) for i in np.argwhere(~np.isfinite(x))[0])
            raise DataError(
                f"{where}: adapt got data that hold {x[at]} at position {at}\n"
                "  hint: drop those rows, or fill them: numpy.nan_to_num(x)"
            )
        if x.ndim == 1:  # numbers, or the features of one sample
            x = x[:, None] if whole else x[None]
        if not self.built:
            self.build((None, *x.shape[1:]))
        sizes = tuple(x.shape[a] for a in self._kept(x.ndim))
        if sizes != tuple(self._mean.shape):
            raise ShapeError(
                f"{where}: adapt got data of an incompatible shape: the sizes of axis={self.axis} "
                f"are {sizes} in {x.shape}, but {tuple(self._mean.shape)} in what it was built for"
                "\n  hint: batches of the same features, x[:, None] for one number a sample"
            )
        return x

    def call(self, inputs: Tensor) -> Any:
        """Normalised inputs, or the inverse with `invert`."""
        x = ops.convert_to_tensor(inputs, "float32")
        mean, variance = self._narrow(0), self._narrow(1)
        if self._keeps:
            wide = self._fitting(x.shape, mean.shape)
            mean, variance = ops.reshape(mean, wide), ops.reshape(variance, wide)
        deviation = ops.maximum(ops.sqrt(variance), 1e-7)
        return x * deviation + mean if self.invert else (x - mean) / deviation

    def _fitting(self, shape: Any, sizes: Sequence[int]) -> list[int]:
        """The statistics' shape beside inputs of `shape`; ShapeError where they are others'."""
        rank = len(shape)
        if rank == 1 and set(sizes) == {1}:  # numbers, each a sample of one feature
            return [1]
        built = self.__dict__.get("_rank", rank)
        if rank != built and any(a >= 0 for a in self._axes()):
            raise ShapeError(
                f"Normalization {self.name!r} with axis={self.axis} was built for inputs of "
                f"ndim={built}, got shape {tuple(shape)}\n  hint: axes from the end, as axis=-1"
            )
        kept = self._kept(rank)
        have = [shape[a] for a in kept]
        if any(isinstance(h, int) and h != s for h, s in zip(have, sizes, strict=True)):
            raise ShapeError(
                f"Normalization {self.name!r} has statistics of sizes {tuple(sizes)} for "
                f"axis={self.axis}, got inputs of shape {tuple(shape)}\n"
                "  hint: inputs with the features that it was adapted to"
            )
        return self._wide(sizes, kept, rank)

    def get_config(self) -> dict[str, Any]:
        """Axis, direction and given statistics."""
        base = {"name": self.name, "trainable": self._trainable, "dtype": "float32"}
        given = {
            "mean": None if self.input_mean is None else np.asarray(self.input_mean).tolist(),
            "variance": None
            if self.input_variance is None
            else np.asarray(self.input_variance).tolist(),
        }
        return {**base, "axis": self.axis, "invert": self.invert, **given}


class Rescaling(Layer):
    """inputs * scale + offset, as for pixels from 0 to 255.

    Shapes: the output has the input's.

    Args:
        scale: A number, or one a channel: the last axis, or the first of an image where
            `config.image_data_format()` is `"channels_first"`.
        offset: A number, or one a channel.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.Rescaling(1 / 128, offset=-1.0)(np.array([0.0, 256.0])).numpy()
        array([-1.,  1.], dtype=float32)
    """

    scale: Any
    offset: Any

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale, self.offset = scale, offset
        self.supports_masking = True
        self._build_at_init()

    def call(self, inputs: Tensor) -> Any:
        """Inputs * scale + offset."""
        x = ops.convert_to_tensor(inputs, "float32")
        scale, offset = (_by_channel(v, len(x.shape)) for v in (self.scale, self.offset))
        return x * scale + offset


def _by_channel(value: Any, rank: int) -> Any:
    """A number, or numbers shaped to meet the channels of inputs of this rank."""
    if isinstance(value, int | float):
        return value
    value = ops.convert_to_tensor(value, "float32")
    axes = len(value.shape)
    if axes == 0 or rank < 3 or config.image_data_format() != "channels_first":
        return value
    # Channels come first in an image, which has all axes but the batch's; three axes are one image.
    after = max((3 if rank == 3 else rank - 1) - axes, 0)
    return ops.reshape(value, (*value.shape, *[1] * after))
