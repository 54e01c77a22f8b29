"""Geometry and colours of single pictures, as `keras.preprocessing.image` has them, on the host.

Pixels between pixels are interpolated as `scipy.ndimage.affine_transform` does with order 0 or 1.
Depends on NumPy and `data.images`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnn.base.arguments import hints_arguments
from fastnn.data.images import img_to_array
from fastnn.errors import ShapeError

__all__ = [
    "FILL_MODES", "affine_matrix", "apply_affine_transform", "apply_brightness_shift",
    "apply_channel_shift", "flip_axis", "random_brightness", "random_channel_shift",
    "random_rotation", "random_shear", "random_shift", "random_zoom", "sampled",
]  # fmt: skip

Array = np.ndarray[Any, Any]

FILL_MODES = ("constant", "nearest", "reflect", "wrap")


def _mapped(at: Array, n: int, mode: str) -> Array:
    """Coordinates outside a picture of `n` pixels brought inside, as SciPy maps them."""
    if mode in ("nearest", "constant"):
        return at.clip(0, n - 1)
    place: Array
    if mode == "reflect":
        place = np.mod(at + 0.5, 2.0 * n)
        place = np.minimum(place, 2.0 * n - place) - 0.5
        return place
    if n == 1:
        return np.zeros_like(at)
    turn = float(n - 1)
    low = at + turn * (np.floor(-at / turn) + 1)
    high = at - turn * np.floor(at / turn)
    return np.where(at < 0, low, np.where(at > turn, high, at))


def sampled(x: Array, rows: Array, columns: Array, mode: str, cval: float, order: int) -> Array:
    """The values of a picture (height, width, channels) at points between its pixels."""
    height, width, channels = x.shape
    flat = np.ascontiguousarray(x).reshape(height * width, channels)
    r, c = _mapped(rows, height, mode), _mapped(columns, width, mode)
    out: Array
    if order == 0:
        r0 = np.floor(r + 0.5).astype(np.intp).clip(0, height - 1)
        c0 = np.floor(c + 0.5).astype(np.intp).clip(0, width - 1)
        out = flat[r0 * width + c0]
    else:
        low_r, low_c = np.floor(r), np.floor(c)
        fr = (r - low_r).astype(x.dtype)[..., None]
        fc = (c - low_c).astype(x.dtype)[..., None]
        r0, c0 = low_r.astype(np.intp), low_c.astype(np.intp)
        r1 = (r0 + 1).clip(0, height - 1) * width
        c1 = (c0 + 1).clip(0, width - 1)
        r0, c0 = r0.clip(0, height - 1) * width, c0.clip(0, width - 1)
        top, bottom = flat[r0 + c0], flat[r1 + c0]
        top = top + (flat[r0 + c1] - top) * fc
        bottom = bottom + (flat[r1 + c1] - bottom) * fc
        out = top + (bottom - top) * fr
    if mode == "constant":
        outside = (rows < 0) | (rows > height - 1) | (columns < 0) | (columns > width - 1)
        out[outside] = cval
    return out


def affine_matrix(
    height: int, width: int, theta: float = 0, tx: float = 0, ty: float = 0, shear: float = 0,
    zx: float = 1, zy: float = 1,
) -> Array | None:  # fmt: skip
    """The matrix (2, 3) from a pixel's (row, column, 1) to where its value comes from.

    Rotation, shift, shear and zoom about the middle of the picture, in this order; None where
    nothing changes. `tx` and `zx` go along the columns, `ty` and `zy` along the rows.
    """
    matrix: Array | None = None

    def then(step: list[list[float]]) -> None:
        nonlocal matrix
        matrix = np.array(step) if matrix is None else matrix @ np.array(step)

    # Points are (x, y, 1) until the end.
    if theta != 0:
        cos, sin = math.cos(math.radians(theta)), math.sin(math.radians(theta))
        then([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    if tx != 0 or ty != 0:
        then([[1, 0, tx], [0, 1, ty], [0, 0, 1]])
    if shear != 0:
        angle = math.radians(shear)
        then([[1, -math.sin(angle), 0], [0, math.cos(angle), 0], [0, 0, 1]])
    if zx != 1 or zy != 1:
        then([[zx, 0, 0], [0, zy, 0], [0, 0, 1]])
    if matrix is None:
        return None
    x, y = width / 2 - 0.5, height / 2 - 0.5
    middle = np.array([[1, 0, x], [0, 1, y], [0, 0, 1]])
    back = np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1]])
    m = middle @ matrix @ back
    return np.array([[m[1, 1], m[1, 0], m[1, 2]], [m[0, 1], m[0, 0], m[0, 2]]])


def _checked(x: Any, row_axis: int, col_axis: int, channel_axis: int) -> Array:
    values: Array = np.asarray(x)
    axes = (row_axis, col_axis, channel_axis)
    if len(set(axes)) != 3:
        raise ValueError(
            "'row_axis', 'col_axis', and 'channel_axis' must be distinct"
            f", got {axes}\n  hint: row_axis=0, col_axis=1, channel_axis=2"
        )
    if set(axes) != {0, 1, 2}:
        raise ValueError(
            f"Invalid axis' indices: {set(axes) - {0, 1, 2}}"
            "\n  hint: row_axis=0, col_axis=1, channel_axis=2"
        )
    if values.ndim != 3:
        raise ShapeError(
            f"Input arrays must be multi-channel 2D images, got shape {values.shape}\n"
            "  hint: (height, width, channels), one picture of a batch"
        )
    return values


def _spline(x: Array, m: Array, mode: str, cval: float, order: int) -> Array:
    """Interpolation by splines of order 2 to 5, which SciPy has."""
    try:
        from scipy import ndimage
    except ImportError as error:
        raise ImportError(
            f"interpolation_order={order} needs SciPy, which is not installed\n"
            "  hint: pip install scipy, or interpolation_order=1"
        ) from error
    planes = [
        ndimage.affine_transform(
            x[..., k], m[:, :2], m[:, 2], order=order, mode=mode, cval=cval
        )
        for k in range(x.shape[2])
    ]  # fmt: skip
    return np.stack(planes, axis=-1)


@hints_arguments
def apply_affine_transform(
    x: Any, theta: float = 0, tx: float = 0, ty: float = 0, shear: float = 0, zx: float = 1,
    zy: float = 1, row_axis: int = 1, col_axis: int = 2, channel_axis: int = 0,
    fill_mode: str = "nearest", cval: float = 0.0, order: int = 1,
) -> Array:  # fmt: skip
    """A picture rotated, shifted, sheared and zoomed about its middle.

    Args:
        x: One picture of three axes.
        theta: Rotation in degrees.
        tx: Shift of the columns in pixels.
        ty: Shift of the rows in pixels.
        shear: Angle in degrees.
        zx: Zoom of the columns; below 1 enlarges.
        zy: Zoom of the rows.
        row_axis: Which axis the rows are.
        col_axis: Which axis the columns are.
        channel_axis: Which axis the channels are.
        fill_mode: What stands outside the picture: `"nearest"`, `"constant"`, `"reflect"`,
            `"wrap"`.
        cval: The number outside for `"constant"`.
        order: 0 takes the nearest pixel, 1 interpolates; 2 to 5 are splines and need SciPy.

    Returns:
        An array of the shape and type of `x`.

    Example:
        >>> from fastnn.preprocessing.image import apply_affine_transform
        >>> x = np.arange(3.0).reshape(1, 3, 1)
        >>> apply_affine_transform(x, tx=1, row_axis=0, col_axis=1, channel_axis=2).ravel()
        array([1., 2., 2.])
    """
    values = _checked(x, row_axis, col_axis, channel_axis)
    if fill_mode not in FILL_MODES:
        raise ValueError(
            f"fill_mode is {fill_mode!r}, wanted one of {FILL_MODES}\n  hint: fill_mode='nearest'"
        )
    if order not in range(6):
        raise ValueError(f"order is {order!r}, wanted 0 to 5\n  hint: interpolation_order=1")
    m = affine_matrix(
        values.shape[row_axis], values.shape[col_axis], theta, tx, ty, shear, zx, zy
    )  # fmt: skip
    if m is None:
        return values
    axes = (row_axis, col_axis, channel_axis)
    image = values.transpose(axes)
    exact = image if image.dtype.kind == "f" else image.astype(np.float64)
    if order > 1:
        out = _spline(exact, m, fill_mode, cval, order)
    else:
        i = np.arange(image.shape[0])[:, None]
        j = np.arange(image.shape[1])[None, :]
        rows, columns = (a * i + b * j + c for a, b, c in m)
        out = sampled(exact, rows, columns, fill_mode, cval, order)
    back = np.argsort(axes)
    return out.astype(values.dtype, copy=False).transpose(back)


def flip_axis(x: Any, axis: int) -> Array:
    """A picture in reverse along an axis."""
    return np.flip(np.asarray(x), axis)


@hints_arguments
def apply_channel_shift(x: Any, intensity: float, channel_axis: int = 0) -> Array:
    """Adds a number to all channels; nothing leaves the range that the picture had.

    Args:
        x: A picture.
        intensity: The number.
        channel_axis: Which axis the channels are; all are changed alike.

    Returns:
        An array of the shape of `x`.

    Example:
        >>> from fastnn.preprocessing import image
        >>> image.apply_channel_shift(np.array([[[1.0, 5.0]]]), 2.0)
        array([[[3., 5.]]])
    """
    values: Array = np.asarray(x)
    return np.clip(values + intensity, values.min(), values.max()).astype(values.dtype, copy=False)


@hints_arguments
def apply_brightness_shift(x: Any, brightness: float, scale: bool = True) -> Array:
    """A picture with its brightness multiplied, rounded to 256 levels as in Pillow.

    Args:
        x: A picture; numbers outside 0 to 255 are brought there first, and back if not `scale`.
        brightness: The factor; 0 is black.
        scale: Whether the smallest number becomes 0 and the largest 255 first.

    Returns:
        An array of the shape of `x`.

    Example:
        >>> from fastnn.preprocessing import image
        >>> image.apply_brightness_shift(np.full((1, 1, 1), 100.0), 0.5, scale=False).ravel()
        array([50.], dtype=float32)
    """
    values: Array = np.asarray(x, np.float32)
    low, high = values.min(), values.max()
    outside = bool(low < 0 or high > 255)
    if outside or scale:
        levels = values - low
        top = levels.max()
        levels = (levels / top if top != 0 else levels) * 255
    else:
        levels = values
    levels = np.trunc(levels) * np.float32(brightness)
    out: Array = np.trunc(levels).clip(0, 255).astype(np.float32)
    if not scale and outside:
        out = out / 255 * (high - low) + low
    return img_to_array(out, "channels_last")


@hints_arguments
def random_rotation(
    x: Any, rg: float, row_axis: int = 1, col_axis: int = 2, channel_axis: int = 0,
    fill_mode: str = "nearest", cval: float = 0.0, interpolation_order: int = 1,
) -> Array:  # fmt: skip
    """A picture rotated by up to `rg` degrees to either side.

    Numbers are drawn from NumPy's global generator.

    Args:
        x: One picture of three axes.
        rg: Degrees.
        row_axis: Which axis the rows are.
        col_axis: Which axis the columns are.
        channel_axis: Which axis the channels are.
        fill_mode: What stands outside: `"nearest"`, `"constant"`, `"reflect"` or `"wrap"`.
        cval: The number outside for `"constant"`.
        interpolation_order: 0 takes the nearest pixel, 1 interpolates.

    Returns:
        An array of the shape of `x`.

    Example:
        >>> from fastnn.preprocessing import image
        >>> x = np.zeros((4, 4, 3))
        >>> image.random_rotation(x, 20, row_axis=0, col_axis=1, channel_axis=2).shape
        (4, 4, 3)
    """
    theta = np.random.uniform(-rg, rg)
    return apply_affine_transform(
        x, theta=theta, row_axis=row_axis, col_axis=col_axis, channel_axis=channel_axis,
        fill_mode=fill_mode, cval=cval, order=interpolation_order,
    )  # fmt: skip


@hints_arguments
def random_shift(
    x: Any, wrg: float, hrg: float, row_axis: int = 1, col_axis: int = 2, channel_axis: int = 0,
    fill_mode: str = "nearest", cval: float = 0.0, interpolation_order: int = 1,
) -> Array:  # fmt: skip
    """A picture shifted by up to the shares `wrg` of its width and `hrg` of its height.

    Numbers are drawn from NumPy's global generator.

    Args:
        x: One picture of three axes.
        wrg: A share of the width.
        hrg: A share of the height.
        row_axis: Which axis the rows are.
        col_axis: Which axis the columns are.
        channel_axis: Which axis the channels are.
        fill_mode: What stands outside: `"nearest"`, `"constant"`, `"reflect"` or `"wrap"`.
        cval: The number outside for `"constant"`.
        interpolation_order: 0 takes the nearest pixel, 1 interpolates.

    Returns:
        An array of the shape of `x`.

    Example:
        >>> from fastnn.preprocessing import image
        >>> x = np.zeros((4, 4, 3))
        >>> image.random_shift(x, 0.1, 0.1, row_axis=0, col_axis=1, channel_axis=2).shape
        (4, 4, 3)
    """
    values: Array = np.asarray(x)
    ty = np.random.uniform(-hrg, hrg) * values.shape[row_axis]
    tx = np.random.uniform(-wrg, wrg) * values.shape[col_axis]
    return apply_affine_transform(
        values, tx=tx, ty=ty, row_axis=row_axis, col_axis=col_axis, channel_axis=channel_axis,
        fill_mode=fill_mode, cval=cval, order=interpolation_order,
    )  # fmt: skip


@hints_arguments
def random_shear(
    x: Any, intensity: float, row_axis: int = 1, col_axis: int = 2, channel_axis: int = 0,
    fill_mode: str = "nearest", cval: float = 0.0, interpolation_order: int = 1,
) -> Array:  # fmt: skip
    """A picture sheared by up to `intensity` degrees to either side.

    Numbers are drawn from NumPy's global generator.

    Args:
        x: One picture of three axes.
        intensity: Degrees.
        row_axis: Which axis the rows are.
        col_axis: Which axis the columns are.
        channel_axis: Which axis the channels are.
        fill_mode: What stands outside: `"nearest"`, `"constant"`, `"reflect"` or `"wrap"`.
        cval: The number outside for `"constant"`.
        interpolation_order: 0 takes the nearest pixel, 1 interpolates.

    Returns:
        An array of the shape of `x`.

    Example:
        >>> from fastnn.preprocessing import image
        >>> x = np.zeros((4, 4, 3))
        >>> image.random_shear(x, 20, row_axis=0, col_axis=1, channel_axis=2).shape
        (4, 4, 3)
    """
    shear = np.random.uniform(-intensity, intensity)
    return apply_affine_transform(
        x, shear=shear, row_axis=row_axis, col_axis=col_axis, channel_axis=channel_axis,
        fill_mode=fill_mode, cval=cval, order=interpolation_order,
    )  # fmt: skip


@hints_arguments
def random_zoom(
    x: Any, zoom_range: Any, row_axis: int = 1, col_axis: int = 2, channel_axis: int = 0,
    fill_mode: str = "nearest", cval: float = 0.0, interpolation_order: int = 1,
) -> Array:  # fmt: skip
    """A picture zoomed by factors from `zoom_range`, another one for each side.

    Numbers are drawn from NumPy's global generator.

    Args:
        x: One picture of three axes.
        zoom_range: (low, high); below 1 enlarges.
        row_axis: Which axis the rows are.
        col_axis: Which axis the columns are.
        channel_axis: Which axis the channels are.
        fill_mode: What stands outside: `"nearest"`, `"constant"`, `"reflect"` or `"wrap"`.
        cval: The number outside for `"constant"`.
        interpolation_order: 0 takes the nearest pixel, 1 interpolates.

    Returns:
        An array of the shape of `x`.

    Example:
        >>> from fastnn.preprocessing import image
        >>> x = np.zeros((4, 4, 3))
        >>> image.random_zoom(x, (0.8, 1.2), row_axis=0, col_axis=1, channel_axis=2).shape
        (4, 4, 3)
    """
    low, high = _two(zoom_range, "zoom_range")
    zx, zy = (1.0, 1.0) if low == high == 1 else np.random.uniform(low, high, 2)
    return apply_affine_transform(
        x, zx=zx, zy=zy, row_axis=row_axis, col_axis=col_axis, channel_axis=channel_axis,
        fill_mode=fill_mode, cval=cval, order=interpolation_order,
    )  # fmt: skip


@hints_arguments
def random_channel_shift(x: Any, intensity_range: float, channel_axis: int = 0) -> Array:
    """A picture with up to `intensity_range` added to its channels.

    Args:
        x: A picture.
        intensity_range: The number, to either side.
        channel_axis: Which axis the channels are.

    Returns:
        An array of the shape of `x`.

    Example:
        >>> from fastnn.preprocessing import image
        >>> image.random_channel_shift(np.zeros((4, 4, 3)), 10.0, 2).shape
        (4, 4, 3)
    """
    return apply_channel_shift(
        x, np.random.uniform(-intensity_range, intensity_range), channel_axis
    )


@hints_arguments
def random_brightness(x: Any, brightness_range: Any, scale: bool = True) -> Array:
    """A picture with its brightness multiplied by a number from `brightness_range`.

    Args:
        x: A picture.
        brightness_range: (low, high).
        scale: Whether the smallest number becomes 0 and the largest 255 first.

    Returns:
        An array of the shape of `x`.

    Example:
        >>> from fastnn.preprocessing import image
        >>> image.random_brightness(np.ones((4, 4, 3)), (0.5, 1.5)).shape
        (4, 4, 3)
    """
    low, high = _two(brightness_range, "brightness_range")
    return apply_brightness_shift(x, np.random.uniform(low, high), scale)


def _two(value: Any, name: str) -> tuple[float, float]:
    numbers = tuple(value) if isinstance(value, list | tuple) else ()
    if len(numbers) != 2:
        raise ValueError(
            f"`{name}` should be a tuple or list of two floats. Received: {value}\n"
            f"  hint: {name}=(0.8, 1.2)"
        )
    return numbers[0], numbers[1]
