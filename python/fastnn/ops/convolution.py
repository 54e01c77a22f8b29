"""Convolutions over one to three spatial axes and pooling, under Keras's names.

Computed with channels last; images with channels first are transposed on the way in and out.
Depends on `_core`, `convert`, `shapes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import index
from typing import Any

from fastnn import _core
from fastnn._core import Tensor
from fastnn.config import image_data_format
from fastnn.errors import ShapeError
from fastnn.ops.convert import TensorLike, computed, known_size
from fastnn.ops.families import name_ops
from fastnn.ops.shapes import pad, reshape, transpose
from fastnn.tracing.symbolic import keras_op

__all__ = [
    "adaptive_average_pool",
    "adaptive_max_pool",
    "average_pool",
    "conv",
    "conv_transpose",
    "depthwise_conv",
    "max_pool",
    "separable_conv",
]

_c = _core.ops
_SAME = (-1,)  # as many places as ceil(size / stride)

#: A number for all spatial axes, or one per axis.
PerAxis = int | Sequence[int]


def _channels_last(name: str, inputs: TensorLike, data_format: str | None) -> tuple[Tensor, bool]:
    """`inputs` with channels last, and whether they came with channels first."""
    form = data_format or image_data_format()
    if form not in ("channels_last", "channels_first"):
        raise ValueError(
            f"{name}: data_format={form!r}\n  hint: 'channels_last' or 'channels_first'"
        )
    x = computed(inputs, "float32")
    if x.ndim not in (3, 4, 5):
        raise ShapeError(
            f"{name}: inputs are {tuple(x.shape)}, wanted (batch, sizes.., channels) with 1 to 3 "
            "sizes\n  hint: expand_dims(inputs, 0) adds the batch"
        )
    if form == "channels_first":
        return transpose(x, [0, *range(2, x.ndim), 1]), True
    return x, False


def _back(x: Tensor, first: bool) -> Tensor:
    return transpose(x, [0, x.ndim - 1, *range(1, x.ndim - 1)]) if first else x


def per_axis(name: str, what: str, value: Any, axes: int, least: int = 1) -> tuple[int, ...]:
    """A whole number for all spatial axes, or one for each, none of them less than `least`."""
    try:
        numbers = tuple(map(index, value if isinstance(value, Iterable) else (value,)))
    except TypeError:
        numbers = ()
    if len(numbers) == 1:
        numbers *= axes
    if len(numbers) != axes or min(numbers, default=0) < least:
        raise ShapeError(
            f"{name}: {what} is {value!r} for {axes} spatial axes\n"
            f"  hint: a whole number of at least {least}, or one per axis"
        )
    return numbers


def _padding(name: str, padding: Any, spans: Sequence[int]) -> tuple[Any, ...]:
    """The row's padding; `spans` says from where to where a window reaches along each axis."""
    if isinstance(padding, str):
        word = padding.lower()
        if word == "valid":
            return ()
        if word == "same":
            return _SAME
        if word == "causal" and len(spans) == 1:
            return (spans[0] - 1, 0)
    elif len(padding) == len(spans):
        pairs = [(p, p) if isinstance(p, int) else tuple(p) for p in padding]
        return tuple(side for pair in pairs for side in pair)
    raise ValueError(
        f"{name}: padding={padding!r} for {len(spans)} spatial axes\n"
        "  hint: 'valid', 'same', or (before, after) per axis; 'causal' in one dimension"
    )


def _spans(kernel: Sequence[int], dilation: Sequence[int]) -> list[int]:
    return [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]


def _kernel(name: str, kernel: TensorLike, rank: int) -> tuple[Tensor, list[int]]:
    """The kernel and its spatial sizes."""
    w = computed(kernel, "float32")
    if w.ndim != rank:
        raise ShapeError(
            f"{name}: kernel is {tuple(w.shape)} for inputs of {rank} axes\n"
            f"  hint: (sizes.., channels, filters), {rank} axes as the inputs have"
        )
    return w, [known_size(name, w, axis) for axis in range(rank - 2)]


def _convolved(
    name: str, x: Tensor, kernel: TensorLike, strides: PerAxis, padding: Any, dilation: PerAxis
) -> Tensor:
    """The convolution; how many groups there are follows from the channels of the kernel."""
    w, sizes = _kernel(name, kernel, x.ndim)
    steps = per_axis(name, "strides", strides, len(sizes))
    dilated = per_axis(name, "dilation_rate", dilation, len(sizes))
    have, wanted = x.shape[-1], w.shape[-2]
    if isinstance(have, int) and isinstance(wanted, int) and (wanted == 0 or have % wanted):
        raise ShapeError(
            f"{name}: inputs have {have} channels, kernel {tuple(w.shape)} is for {wanted}\n"
            "  hint: the axis before the last of the kernel has the channels of the inputs, or of "
            "one group of them"
        )
    groups = have // wanted if isinstance(have, int) and have else 1
    return _c.conv(
        x, w, strides=steps, padding=_padding(name, padding, _spans(sizes, dilated)),
        dilation=dilated, groups=groups,
    )  # fmt: skip


@keras_op
def conv(
    inputs: TensorLike,
    kernel: TensorLike,
    strides: PerAxis = 1,
    padding: Any = "valid",
    data_format: str | None = None,
    dilation_rate: PerAxis = 1,
) -> Tensor:
    """Convolution in one, two or three dimensions.

    Where the kernel has fewer channels than the inputs, these are convolved in groups.

    Args:
        inputs: Images (batch, sizes.., channels), or (batch, channels, sizes..) with
            `"channels_first"`.
        kernel: Taps (sizes.., channels / groups, filters).
        strides: Steps of the window; one number, or one per axis.
        padding: `"valid"`, `"same"`, `"causal"` in one dimension, or (before, after) per axis.
        data_format: `"channels_last"` or `"channels_first"`; None: `config.image_data_format()`.
        dilation_rate: Distance between taps; one number, or one per axis.

    Returns:
        A tensor (batch, places.., filters), laid out as the inputs.

    Raises:
        ShapeError: the kernel does not fit the inputs.

    Example:
        >>> fastnn.ops.conv(np.ones((1, 5, 5, 1)), np.ones((3, 3, 1, 8)), padding="same").shape
        (1, 5, 5, 8)
    """
    x, first = _channels_last("conv", inputs, data_format)
    return _back(_convolved("conv", x, kernel, strides, padding, dilation_rate), first)


def _depthwise(
    name: str, x: Tensor, kernel: TensorLike, strides: PerAxis, padding: Any, dilation: PerAxis
) -> Tensor:
    w, sizes = _kernel(name, kernel, x.ndim)
    channels, each = (known_size(name, w, axis) for axis in (-2, -1))
    if isinstance(x.shape[-1], int) and x.shape[-1] != channels:
        raise ShapeError(
            f"{name}: inputs have {x.shape[-1]} channels, "
            f"kernel {tuple(w.shape)} is for {channels}\n"
            "  hint: the axis before the last of the kernel has the channels of the inputs"
        )
    # The filters of a channel lie behind each other: the same memory as one group per channel.
    w = reshape(w, (*sizes, 1, channels * each))
    steps = per_axis(name, "strides", strides, len(sizes))
    dilated = per_axis(name, "dilation_rate", dilation, len(sizes))
    pads = _padding(name, padding, _spans(sizes, dilated))
    return _c.conv(x, w, strides=steps, padding=pads, dilation=dilated, groups=channels)


@keras_op
def depthwise_conv(
    inputs: TensorLike,
    kernel: TensorLike,
    strides: PerAxis = 1,
    padding: Any = "valid",
    data_format: str | None = None,
    dilation_rate: PerAxis = 1,
) -> Tensor:
    """Convolution of each channel with filters of its own.

    Args:
        inputs: Images (batch, sizes.., channels), or (batch, channels, sizes..) with
            `"channels_first"`.
        kernel: Taps (sizes.., channels, filters per channel).
        strides: Steps of the window; one number, or one per axis.
        padding: `"valid"`, `"same"`, or (before, after) per axis.
        data_format: `"channels_last"` or `"channels_first"`; None: `config.image_data_format()`.
        dilation_rate: Distance between taps; one number, or one per axis.

    Returns:
        A tensor (batch, places.., channels * filters per channel), laid out as the inputs.

    Raises:
        ShapeError: the kernel does not fit the inputs.

    Example:
        >>> fastnn.ops.depthwise_conv(np.ones((1, 5, 5, 4)), np.ones((3, 3, 4, 2))).shape
        (1, 3, 3, 8)
    """
    x, first = _channels_last("depthwise_conv", inputs, data_format)
    y = _depthwise("depthwise_conv", x, kernel, strides, padding, dilation_rate)
    return _back(y, first)


@keras_op
def separable_conv(
    inputs: TensorLike,
    depthwise_kernel: TensorLike,
    pointwise_kernel: TensorLike,
    strides: PerAxis = 1,
    padding: Any = "valid",
    data_format: str | None = None,
    dilation_rate: PerAxis = 1,
) -> Tensor:
    """Convolution of each channel by itself, then of all channels at each place.

    Args:
        inputs: Images (batch, sizes.., channels), or (batch, channels, sizes..) with
            `"channels_first"`.
        depthwise_kernel: Taps (sizes.., channels, filters per channel).
        pointwise_kernel: Taps (1.., channels * filters per channel, filters).
        strides: Steps of the window; one number, or one per axis.
        padding: `"valid"`, `"same"`, or (before, after) per axis.
        data_format: `"channels_last"` or `"channels_first"`; None: `config.image_data_format()`.
        dilation_rate: Distance between taps; one number, or one per axis.

    Returns:
        A tensor (batch, places.., filters), laid out as the inputs.

    Raises:
        ShapeError: a kernel does not fit.

    Example:
        >>> deep, wide = np.ones((3, 3, 4, 1)), np.ones((1, 1, 4, 6))
        >>> fastnn.ops.separable_conv(np.ones((1, 5, 5, 4)), deep, wide).shape
        (1, 3, 3, 6)
    """
    x, first = _channels_last("separable_conv", inputs, data_format)
    y = _depthwise("separable_conv", x, depthwise_kernel, strides, padding, dilation_rate)
    return _back(_convolved("separable_conv", y, pointwise_kernel, 1, "valid", 1), first)


def _transposed_sides(
    span: int, stride: int, padding: str, output_padding: int | None
) -> tuple[int, int]:
    """How far a transposed convolution reaches before and behind, as Keras (by JAX's rules)."""
    if padding == "valid":
        extra = max(span, stride) - span if output_padding is None else output_padding
        return span - 1, span - 1 + extra
    both = span - 2 + (stride if output_padding is None else span % 2 + output_padding)
    before = min(both // 2 + both % 2, span - 1)
    return before, both - before


@keras_op
def conv_transpose(
    inputs: TensorLike,
    kernel: TensorLike,
    strides: PerAxis = 1,
    padding: str = "valid",
    output_padding: PerAxis | None = None,
    data_format: str | None = None,
    dilation_rate: PerAxis = 1,
) -> Tensor:
    """Transposed convolution: what the gradient of a convolution does to its output.

    Args:
        inputs: Images (batch, sizes.., channels), or (batch, channels, sizes..) with
            `"channels_first"`.
        kernel: Taps (sizes.., filters, channels).
        strides: Places of the result per element of the inputs; one number, or one per axis.
        padding: `"valid"` or `"same"`: then the result has `stride` times the sizes of the inputs.
        output_padding: Places added at the end of each axis; None: what `padding` says.
        data_format: `"channels_last"` or `"channels_first"`; None: `config.image_data_format()`.
        dilation_rate: Distance between taps; one number, or one per axis.

    Returns:
        A tensor (batch, places.., filters), laid out as the inputs.

    Raises:
        ShapeError: the kernel does not fit the inputs.

    Example:
        >>> x, w = np.ones((1, 4, 4, 3)), np.ones((3, 3, 2, 3))
        >>> fastnn.ops.conv_transpose(x, w, strides=2, padding="same").shape
        (1, 8, 8, 2)
    """
    name = "conv_transpose"
    x, first = _channels_last(name, inputs, data_format)
    w, sizes = _kernel(name, kernel, x.ndim)
    have, wanted = x.shape[-1], w.shape[-1]
    if isinstance(have, int) and isinstance(wanted, int) and have != wanted:
        raise ShapeError(
            f"{name}: inputs have {have} channels, kernel {tuple(w.shape)} is for {wanted}\n"
            "  hint: the last axis of the kernel has the channels of the inputs"
        )
    word = padding.lower() if isinstance(padding, str) else padding
    if word not in ("valid", "same"):
        raise ValueError(f"{name}: padding={padding!r}\n  hint: 'valid' or 'same'")
    steps = per_axis(name, "strides", strides, len(sizes))
    dilated = per_axis(name, "dilation_rate", dilation_rate, len(sizes))
    extra: Sequence[int | None]
    if output_padding is None or isinstance(output_padding, int):
        extra = (output_padding,) * len(sizes)
    else:
        extra = tuple(output_padding)
    pads: list[int] = []
    wanted_sizes: list[Any] = []
    behind: list[int] = []
    for axis, span in enumerate(_spans(sizes, dilated)):
        before, after = _transposed_sides(span, steps[axis], word, extra[axis])
        if before + after < 0:
            raise ShapeError(
                f"{name}: output_padding={output_padding!r} with a window of {span}\n"
                "  hint: output_padding of 0 or more"
            )
        # The transpose of a convolution that pads by so much; places that no window of it covers
        # are zeros, which are added where they are more than a step.
        low, high = span - 1 - before, max(span - 1 - after, 0)
        lacking = max(after - (span - 1), 0)
        slack = min(lacking, steps[axis] - 1)
        pads += [low, high]
        behind.append(lacking - slack)
        wanted_sizes.append((x.shape[axis + 1] - 1) * steps[axis] + span - low - high + slack)
    y = _c.conv_input_grad(x, w, size=wanted_sizes, strides=steps, padding=pads, dilation=dilated)
    if any(behind):
        y = pad(y, [(0, 0), *((0, n) for n in behind), (0, 0)])
    return _back(y, first)


@keras_op
def max_pool(
    inputs: TensorLike,
    pool_size: PerAxis,
    strides: PerAxis | None = None,
    padding: Any = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The largest element of each window; NaN counts as the largest.

    Args:
        inputs: Images (batch, sizes.., channels), or (batch, channels, sizes..) with
            `"channels_first"`.
        pool_size: Sizes of the window; one number, or one per axis.
        strides: Steps of the window; None: its sizes.
        padding: `"valid"`, `"same"`, or (before, after) per axis; padding is never the largest.
        data_format: `"channels_last"` or `"channels_first"`; None: `config.image_data_format()`.

    Returns:
        A tensor (batch, places.., channels), laid out as the inputs.

    Raises:
        ShapeError: the window does not fit the inputs.

    Example:
        >>> fastnn.ops.max_pool(np.arange(6.0).reshape(1, 6, 1), 2).numpy().ravel()
        array([1., 3., 5.], dtype=float32)
    """
    x, first = _channels_last("max_pool", inputs, data_format)
    window, steps, pads = _window("max_pool", x, pool_size, strides, padding)
    return _back(_c.max_pool(x, window=window, strides=steps, padding=pads)[0], first)


@keras_op
def average_pool(
    inputs: TensorLike,
    pool_size: PerAxis,
    strides: PerAxis | None = None,
    padding: Any = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The mean of each window; padding does not count.

    Args:
        inputs: Images (batch, sizes.., channels), or (batch, channels, sizes..) with
            `"channels_first"`.
        pool_size: Sizes of the window; one number, or one per axis.
        strides: Steps of the window; None: its sizes.
        padding: `"valid"`, `"same"`, or (before, after) per axis.
        data_format: `"channels_last"` or `"channels_first"`; None: `config.image_data_format()`.

    Returns:
        A tensor (batch, places.., channels), laid out as the inputs.

    Raises:
        ShapeError: the window does not fit the inputs.

    Example:
        >>> fastnn.ops.average_pool(np.arange(6.0).reshape(1, 6, 1), 2).numpy().ravel()
        array([0.5, 2.5, 4.5], dtype=float32)
    """
    x, first = _channels_last("average_pool", inputs, data_format)
    window, steps, pads = _window("average_pool", x, pool_size, strides, padding)
    return _back(_c.average_pool(x, window=window, strides=steps, padding=pads), first)


def _window(
    name: str, x: Tensor, pool_size: PerAxis, strides: PerAxis | None, padding: Any
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[Any, ...]]:
    window = per_axis(name, "pool_size", pool_size, x.ndim - 2)
    steps = window if strides is None else per_axis(name, "strides", strides, x.ndim - 2)
    return window, steps, _padding(name, padding, window)


@keras_op
def adaptive_average_pool(
    inputs: TensorLike, output_size: PerAxis, data_format: str | None = None
) -> Tensor:
    """The means of as many windows as are wanted along each axis.

    Window i of n over a size s reaches from floor(i s / n) to ceil((i + 1) s / n).

    Args:
        inputs: Images (batch, sizes.., channels), or (batch, channels, sizes..) with
            `"channels_first"`.
        output_size: Windows along each axis; one number, or one per axis.
        data_format: `"channels_last"` or `"channels_first"`; None: `config.image_data_format()`.

    Returns:
        A tensor (batch, output_size.., channels), laid out as the inputs.

    Raises:
        ShapeError: a size of the inputs is open.

    Example:
        >>> fastnn.ops.adaptive_average_pool(np.arange(6.0).reshape(1, 6, 1), 2).numpy().ravel()
        array([1., 4.], dtype=float32)
    """
    return _adaptive("adaptive_average_pool", _c.average_pool, inputs, output_size, data_format)


@keras_op
def adaptive_max_pool(
    inputs: TensorLike, output_size: PerAxis, data_format: str | None = None
) -> Tensor:
    """The largest elements of as many windows as are wanted along each axis.

    Window i of n over a size s reaches from floor(i s / n) to ceil((i + 1) s / n).

    Args:
        inputs: Images (batch, sizes.., channels), or (batch, channels, sizes..) with
            `"channels_first"`.
        output_size: Windows along each axis; one number, or one per axis.
        data_format: `"channels_last"` or `"channels_first"`; None: `config.image_data_format()`.

    Returns:
        A tensor (batch, output_size.., channels), laid out as the inputs.

    Raises:
        ShapeError: a size of the inputs is open.

    Example:
        >>> fastnn.ops.adaptive_max_pool(np.arange(6.0).reshape(1, 6, 1), 2).numpy().ravel()
        array([2., 5.], dtype=float32)
    """

    def largest(x: Tensor, **window: Any) -> Tensor:
        return _c.max_pool(x, **window)[0]

    return _adaptive("adaptive_max_pool", largest, inputs, output_size, data_format)


def _adaptive(
    name: str, pool: Any, inputs: TensorLike, output_size: PerAxis, data_format: str | None
) -> Tensor:
    """Axis after axis: windows of one size are pooled at once.

    Where there are two sizes, all windows of each are pooled, of which the wanted ones are taken.
    """
    x, first = _channels_last(name, inputs, data_format)
    axes = x.ndim - 2
    for axis, out in enumerate(per_axis(name, "output_size", output_size, axes)):
        n = known_size(name, x, axis + 1)
        if n == 0:
            raise ShapeError(f"{name}: {tuple(x.shape)} is empty\n  hint: sizes of 1 or more")
        if n % out == 0:
            shape = tuple(n // out if a == axis else 1 for a in range(axes))
            x = pool(x, window=shape, strides=shape)
            continue
        starts = [i * n // out for i in range(out)]
        sizes = [-(-(i + 1) * n // out) - starts[i] for i in range(out)]
        parts, places, before = [], {}, 0
        for size in sorted(set(sizes)):
            shape = tuple(size if a == axis else 1 for a in range(axes))
            parts.append(pool(x, window=shape, strides=(1,) * axes))
            places[size] = before
            before += n - size + 1
        wanted = [places[size] + start for size, start in zip(sizes, starts, strict=True)]
        whole = parts[0] if len(parts) == 1 else _c.concatenate(parts, axis=axis + 1)
        x = _c.take(whole, wanted, axis=axis + 1)
    return _back(x, first)


name_ops(globals())
