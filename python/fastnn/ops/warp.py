"""Images sampled at points between their pixels: affine and perspective changes, distortion, blur.

Values at points are gathered from up to four pixels and weighed.
Depends on `convolution`, `matrices`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnn import _core
from fastnn._core import Tensor
from fastnn.config import standardize_data_format
from fastnn.errors import ShapeError
from fastnn.ops.convert import (
    TensorLike,
    arange,
    cast,
    convert_to_tensor,
    ones_like,
    shape,
    zeros_like,
)
from fastnn.ops.convolution import depthwise_conv
from fastnn.ops.matrices import solve
from fastnn.ops.shapes import concatenate, moveaxis, reshape, stack
from fastnn.tracing.known_ops import known_ops
from fastnn.tracing.symbolic import keras_op

__all__ = [
    "affine_transform", "displaced", "elastic_moves", "elastic_transform", "gaussian_blur",
    "map_coordinates", "perspective_transform", "sampled",
]  # fmt: skip

_c = _core.ops

INTERPOLATIONS = ("nearest", "bilinear")
FILL_MODES = ("constant", "nearest", "wrap", "mirror", "reflect")


def _deeper(x: TensorLike, axis: int) -> Any:
    return _c.expand_dims(x, axis=[axis])


def _inside(at: Any, size: Any, mode: str) -> Any:
    """Whole coordinates (as floats) brought into an axis of `size` pixels."""
    size = cast(size, "float32") if not isinstance(size, int) else float(size)
    if mode == "wrap":
        return _c.mod(at, size)
    if mode == "reflect":
        place = _c.mod(at, size * 2.0)
        return _c.minimum(place, size * 2.0 - 1.0 - place)
    if mode == "mirror":
        turn = _c.maximum(size * 2.0 - 2.0, 1.0) if not isinstance(size, float) else max(
            size * 2.0 - 2.0, 1.0
        )  # fmt: skip
        place = _c.mod(at, turn)
        return _c.minimum(place, turn - place)
    return _c.minimum(_c.maximum(at, 0.0), size - 1.0)


def _nearest(at: Any) -> Any:
    """The nearest whole coordinate; halves go away from zero, as in the back ends of Keras."""
    return _c.where(at < 0.0, _c.ceil(at - 0.5), _c.floor(at + 0.5))


def sampled(
    images: TensorLike, rows: Any, columns: Any, interpolation: str, mode: str, fill_value: Any
) -> Any:
    """Values of images (n, height, width, channels) at points (n, …, …).

    Args:
        images: float32 images.
        rows: Coordinates along the height.
        columns: Coordinates along the width.
        interpolation: "nearest" or "bilinear".
        mode: What stands outside.
        fill_value: The number outside for "constant".

    Returns:
        A tensor (n, …, …, channels).
    """
    count, height, width = (shape(images)[i] for i in range(3))
    channels = images.shape[3]
    flat = reshape(images, (-1, channels))
    first = reshape(arange(count), (-1, 1, 1)) * (height * width)

    def pixel(r: Any, c: Any) -> Any:
        y, x = _inside(r, height, mode), _inside(c, width, mode)
        at = first + cast(y, "int32") * width + cast(x, "int32")
        values = _c.take(flat, at, axis=0)
        if mode != "constant":
            return values
        there = cast(_c.equal(y, r), "float32") * cast(_c.equal(x, c), "float32")
        return _c.where(_deeper(there, -1) > 0.5, values, fill_value)

    if interpolation == "nearest":
        return pixel(_nearest(rows), _nearest(columns))
    top, left = _c.floor(rows), _c.floor(columns)
    down, right = _deeper(rows - top, -1), _deeper(columns - left, -1)
    upper = pixel(top, left) * (1.0 - right) + pixel(top, left + 1.0) * right
    lower = pixel(top + 1.0, left) * (1.0 - right) + pixel(top + 1.0, left + 1.0) * right
    return upper * (1.0 - down) + lower * down


def _opened(name: str, images: TensorLike, data_format: str | None) -> tuple[Any, bool, bool]:
    """Images (n, height, width, channels), whether there was a batch, and channels first."""
    x = convert_to_tensor(images, "float32")
    if x.ndim not in (3, 4):
        raise ShapeError(
            f"Invalid images rank: expected rank 3 (single image) or rank 4 (batch of images). "
            f"Received input with shape: images.shape={tuple(x.shape)} ({name})\n"
            "  hint: (batch, height, width, channels)"
        )
    single = x.ndim == 3
    x = _deeper(x, 0) if single else x
    first = standardize_data_format(data_format) == "channels_first"
    return (moveaxis(x, 1, -1) if first else x), single, first


def _closed(x: TensorLike, single: bool, first: bool) -> Any:
    x = moveaxis(x, -1, 1) if first else x
    return x[0] if single else x


def _checked(interpolation: str, fill_mode: str) -> None:
    for name, value, known in (
        ("interpolation", interpolation, INTERPOLATIONS), ("fill_mode", fill_mode, FILL_MODES),
    ):  # fmt: skip
        if value not in known:
            raise ValueError(
                f"Invalid value for argument `{name}`. Expected of one {set(known)}. Received: "
                f"{name}={value}\n  hint: {name}={known[-1]!r}"
            )


def _grid(x: TensorLike) -> tuple[Any, Any]:
    """Row and column of each pixel, (1, height, 1) and (1, 1, width)."""
    rows = cast(arange(shape(x)[1]), "float32")
    columns = cast(arange(shape(x)[2]), "float32")
    return reshape(rows, (1, -1, 1)), reshape(columns, (1, 1, -1))


def _projected(x: TensorLike, transform: Any) -> tuple[Any, Any]:
    """Where each pixel's value comes from, by the 8 numbers of a projection."""
    rows, columns = _grid(x)
    a0, a1, a2, b0, b1, b2, c0, c1 = (
        reshape(transform[:, i], (-1, 1, 1)) for i in range(8)
    )  # fmt: skip
    depth = c0 * columns + c1 * rows + 1.0
    return (b0 * columns + b1 * rows + b2) / depth, (a0 * columns + a1 * rows + a2) / depth


@keras_op
def affine_transform(
    images: TensorLike,
    transform: TensorLike,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> Tensor:
    """Images whose pixel (x, y) comes from (a0 x + a1 y + a2, b0 x + b1 y + b2).

    Args:
        images: (batch, height, width, channels), or one image.
        transform: The numbers a0, a1, a2, b0, b1, b2, c0, c1 for each image; c0 and c1 do not
            count.
        interpolation: `"nearest"` or `"bilinear"`.
        fill_mode: What stands outside: `"constant"`, `"nearest"`, `"wrap"`, `"mirror"`,
            `"reflect"`.
        fill_value: The number outside for `"constant"`.
        data_format: `"channels_last"` or `"channels_first"`.

    Returns:
        A tensor of the shape of `images`.

    Example:
        >>> x = np.arange(3.0).reshape(1, 3, 1)
        >>> shift = np.array([1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0])
        >>> fastnn.ops.image.affine_transform(x, shift).numpy().ravel()
        array([1., 2., 0.], dtype=float32)
    """
    _checked(interpolation, fill_mode)
    x, single, first = _opened("affine_transform", images, data_format)
    numbers = convert_to_tensor(transform, "float32")
    if numbers.ndim not in (1, 2) or numbers.shape[-1] != 8:
        raise ShapeError(
            "Invalid transform rank: expected rank 1 (single transform) or rank 2 (batch of "
            f"transforms) of 8 numbers. Received input with shape: {tuple(numbers.shape)}\n"
            "  hint: (batch, 8)"
        )
    numbers = _deeper(numbers, 0) if numbers.ndim == 1 else numbers
    rows, columns = _grid(x)
    a0, a1, a2, b0, b1, b2 = (reshape(numbers[:, i], (-1, 1, 1)) for i in range(6))
    y, across = b0 * columns + b1 * rows + b2, a0 * columns + a1 * rows + a2
    return _closed(sampled(x, y, across, interpolation, fill_mode, fill_value), single, first)


@keras_op
def perspective_transform(
    images: TensorLike,
    start_points: TensorLike,
    end_points: TensorLike,
    interpolation: str = "bilinear",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> Tensor:
    """Images projected so that four points move to four others.

    Args:
        images: (batch, height, width, channels), or one image.
        start_points: Four (x, y) for each image.
        end_points: Where they come to lie.
        interpolation: `"nearest"` or `"bilinear"`.
        fill_value: The number outside the image.
        data_format: `"channels_last"` or `"channels_first"`.

    Returns:
        A tensor of the shape of `images`.

    Example:
        >>> x = np.arange(4.0).reshape(2, 2, 1)
        >>> corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        >>> y = fastnn.ops.image.perspective_transform(x, corners, corners)
        >>> y.numpy().round(3).ravel()
        array([0., 1., 2., 3.], dtype=float32)
    """
    _checked(interpolation, "constant")
    x, single, first = _opened("perspective_transform", images, data_format)
    start = convert_to_tensor(start_points, "float32")
    end = convert_to_tensor(end_points, "float32")
    if start.ndim not in (2, 3) or tuple(start.shape[-2:]) != (4, 2) or start.ndim != end.ndim:
        raise ShapeError(
            "Invalid start_points shape: expected (4,2) for a single image or (N,4,2) for a batch. "
            f"Received shapes: {tuple(start.shape)} and {tuple(end.shape)}\n"
            "  hint: four (x, y) an image"
        )
    start = _deeper(start, 0) if start.ndim == 2 else start
    end = _deeper(end, 0) if end.ndim == 2 else end
    sx, sy, ex, ey = start[..., 0], start[..., 1], end[..., 0], end[..., 1]
    zeros, ones = zeros_like(ex), ones_like(ex)
    across = stack([ex, ey, ones, zeros, zeros, zeros, -sx * ex, -sx * ey], axis=-1)
    down = stack([zeros, zeros, zeros, ex, ey, ones, -sy * ex, -sy * ey], axis=-1)
    right = _deeper(concatenate([sx, sy], axis=-1), -1)
    numbers = solve(concatenate([across, down], axis=1), right)[..., 0]
    y, columns = _projected(x, numbers)
    return _closed(sampled(x, y, columns, interpolation, "constant", fill_value), single, first)


@keras_op
def gaussian_blur(
    images: TensorLike,
    kernel_size: Any = (3, 3),
    sigma: Any = (1.0, 1.0),
    data_format: str | None = None,
) -> Tensor:
    """Images with each pixel replaced by a weighted mean around it.

    Args:
        images: (batch, height, width, channels), or one image.
        kernel_size: Columns and rows of the window.
        sigma: The width of the bell along both.
        data_format: `"channels_last"` or `"channels_first"`.

    Returns:
        A tensor of the shape of `images`; beside the image stand zeros.

    Example:
        >>> fastnn.ops.image.gaussian_blur(np.ones((1, 5, 5, 1))).shape
        (1, 5, 5, 1)
    """
    x, single, first = _opened("gaussian_blur", images, data_format)
    wide, high = (int(k) for k in kernel_size)
    widths = convert_to_tensor(sigma, "float32")

    def bell(size: int, width: Any) -> Any:
        at = (np.arange(size) - (size - 1) / 2).astype(np.float32)
        value = _c.exp(_c.square(at / width) * -0.5)
        return value / _c.sum(value)

    kernel = reshape(bell(high, widths[1]), (-1, 1)) * reshape(bell(wide, widths[0]), (1, -1))
    kernel = reshape(kernel, (high, wide, 1, 1)) * np.ones((1, 1, x.shape[3], 1), np.float32)
    return _closed(depthwise_conv(x, kernel, 1, "same", "channels_last"), single, first)


def displaced(
    images: TensorLike, moves: Any, interpolation: str, fill_mode: str, fill_value: float,
    data_format: str | None,
) -> Any:  # fmt: skip
    """Images whose pixels come from so far down and right: `moves` (n, height, width, 2)."""
    _checked(interpolation, fill_mode)
    x, single, first = _opened("displaced", images, data_format)
    rows, columns = _grid(x)
    y, across = rows + moves[..., 0], columns + moves[..., 1]
    return _closed(sampled(x, y, across, interpolation, fill_mode, fill_value), single, first)


def elastic_moves(noise: Any, alpha: float, sigma: float) -> Any:
    """How far pixels move, smoothly, of normal numbers (n, height, width, 2)."""
    reach = int(6 * sigma) | 1
    smooth = gaussian_blur(noise * sigma, (reach, reach), (sigma, sigma), "channels_last")
    return smooth * alpha


@keras_op
def elastic_transform(
    images: TensorLike, alpha: float = 20.0, sigma: float = 5.0, interpolation: str = "bilinear",
    fill_mode: str = "reflect", fill_value: float = 0.0, seed: Any = None,
    data_format: str | None = None,
) -> Tensor:  # fmt: skip
    """Images that are pulled about smoothly at random.

    Args:
        images: (batch, height, width, channels), or one image.
        alpha: How strongly.
        sigma: The width of the bell that smooths the moves, more than 0.
        interpolation: `"bilinear"` or `"nearest"`.
        fill_mode: What stands outside: `"reflect"`, `"wrap"`, `"constant"`, `"nearest"` or
            `"mirror"`.
        fill_value: The number outside for `"constant"`.
        seed: A whole number or a `SeedGenerator` for numbers that repeat; None takes the global
            seed.
        data_format: `"channels_last"` or `"channels_first"`.

    Returns:
        A tensor of the shape of `images`.

    Raises:
        ValueError: The interpolation or the fill mode is not known, or `sigma` is not above 0.

    Example:
        >>> fastnn.ops.image.elastic_transform(np.ones((1, 8, 8, 3)), seed=1).shape
        (1, 8, 8, 3)
    """
    width = float(sigma)
    if not width > 0.0:
        raise ValueError(f"elastic_transform: sigma is {sigma}, wanted more than 0\n  hint: 5.0")
    x, _, _ = _opened("elastic_transform", images, data_format)
    noise = known_ops()["normal"]((*shape(x)[:3], 2), seed=seed)
    moves = elastic_moves(noise, float(alpha), width)
    return displaced(images, moves, interpolation, fill_mode, fill_value, data_format)


@keras_op
def map_coordinates(
    inputs: TensorLike, coordinates: TensorLike, order: int, fill_mode: str = "constant",
    fill_value: float = 0.0,
) -> Tensor:  # fmt: skip
    """Values of an array at points between its elements.

    Args:
        inputs: An array of any rank.
        coordinates: One array of coordinates per axis, all of one shape.
        order: 0 for the nearest element, 1 for linear interpolation.
        fill_mode: What stands outside.
        fill_value: The number outside for `"constant"`.

    Returns:
        A tensor of the shape of the coordinates; whole numbers, rounded, where `inputs` are.

    Example:
        >>> fastnn.ops.image.map_coordinates(np.arange(4.0), [[0.5, 2.0]], 1).numpy()
        array([0.5, 2. ], dtype=float32)
    """
    given = convert_to_tensor(inputs)
    x, fill_value = convert_to_tensor(given, "float32"), float(fill_value)
    points = [convert_to_tensor(c, "float32") for c in coordinates]
    if len(points) != x.ndim:
        raise ShapeError(
            "First dim of `coordinates` must be the same as the rank of `inputs`. Received inputs "
            f"with shape: {tuple(x.shape)} and {len(points)} coordinates\n  hint: one per axis"
        )
    if order not in (0, 1):
        raise ValueError(
            f"Invalid value for argument `order`. Expected one of [0, 1]. Received: order={order}"
            "\n  hint: order=1"
        )
    _checked("bilinear", fill_mode)
    steps = [math.prod(x.shape[i + 1 :]) for i in range(x.ndim)]
    flat = reshape(x, (-1,))

    def element(places: list[Any]) -> Any:
        at: Any = 0
        there: Any = None
        for place, size, step in zip(places, x.shape, steps, strict=True):
            inside = _inside(place, size, fill_mode)
            at = at + cast(inside, "int32") * step
            same = cast(_c.equal(inside, place), "float32")
            there = same if there is None else there * same
        values = _c.take(flat, at, axis=0)
        return values if fill_mode != "constant" else _c.where(there > 0.5, values, fill_value)

    whole = given.dtype == "int32"
    if order == 0:
        nearest = element([_nearest(p) for p in points])
        return cast(nearest, "int32") if whole else nearest
    lows = [_c.floor(p) for p in points]
    total: Any = 0.0
    for corner in range(2**x.ndim):
        weight: Any = 1.0
        places = []
        for i, (p, low) in enumerate(zip(points, lows, strict=True)):
            high = corner >> i & 1
            weight = weight * (p - low if high else 1.0 - (p - low))
            places.append(low + float(high))
        total = total + element(places) * weight
    return cast(_c.round(total), "int32") if whole else total
