"""Sizes, steps and borders of windows that move over an input: of convolutions and pooling.

Depends on `arguments`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn.base.arguments import as_number, is_whole
from fastnn.errors import ShapeError

__all__ = ["first_axis", "per_axis", "standard_padding", "transposed_size", "window_shape"]


def per_axis(value: Any, rank: int, name: str, least: int = 1) -> tuple[int, ...]:
    """One whole number per axis, from one for all or a sequence.

    Args:
        value: The argument.
        rank: The number of axes.
        name: What it is called.
        least: The smallest number that is allowed.

    Returns:
        A tuple of `rank` numbers.
    """
    value = as_number(value)
    items = (value,) * rank if is_whole(value) else value
    try:
        numbers = tuple(as_number(v) for v in items)
    except TypeError:
        raise _no_window(value, rank, name) from None
    if len(numbers) != rank or not all(is_whole(v) for v in numbers):
        raise _no_window(value, rank, name)
    wrong = {v for v in numbers if v < least}
    if wrong:
        rule = "> 0" if least == 1 else f">= {least}"
        text = f", including values {wrong} that do not satisfy `value {rule}`"
        raise _no_window(value, rank, name, text)
    return tuple(int(v) for v in numbers)


def _no_window(value: Any, rank: int, name: str, more: str = "") -> ValueError:
    usual = 1 if name in ("strides", "dilation_rate", "output_padding") else 3
    return ValueError(
        f"The `{name}` argument must be a tuple of {rank} integers. Received {name}={value}{more}\n"
        f"  hint: {name}={usual if rank == 1 else (usual,) * rank}"
    )


def first_axis(data_format: str) -> int:
    """The first axis of positions: 1, or 2 when the channels stand before them."""
    return 2 if data_format == "channels_first" else 1


def standard_padding(padding: Any, causal: bool = False) -> str:
    """`"valid"`, `"same"`, or `"causal"` where that is allowed."""
    allowed = ("valid", "same", "causal") if causal else ("valid", "same")
    name = str(padding).lower()
    if name not in allowed:
        raise ValueError(
            f"The `padding` argument must be one of {allowed}. Received: {padding!r}"
            "\n  hint: padding='same'"
        )
    return name


def window_shape(
    shape: Sequence[int | None],
    channels: int | None,
    window: Sequence[int],
    strides: Sequence[int],
    padding: str,
    data_format: str,
    dilation: Sequence[int] | None = None,
) -> tuple[int | None, ...]:
    """The shape after a window has moved over an input.

    Args:
        shape: Of the input, with the batch; None where a size is open.
        channels: Of the output; None keeps those of the input.
        window: Sizes of the window.
        strides: Its steps.
        padding: `"valid"`, `"same"` or `"causal"`.
        data_format: Where the channels are.
        dilation: Distances between the window's elements; None: 1.

    Returns:
        The shape with the batch.

    Raises:
        ShapeError: The window does not fit into the input.
    """
    rank = len(window)
    if len(shape) != rank + 2:
        raise ShapeError(
            f"inputs have {len(shape)} axes {tuple(shape)}, wanted {rank + 2}\n"
            f"  hint: the batch, {rank} axes of positions and the channels"
        )
    first = data_format == "channels_first"
    spatial = list(shape[2:] if first else shape[1:-1])
    out: list[int | None] = []
    for axis, size in enumerate(spatial):
        reach = (window[axis] - 1) * (dilation[axis] if dilation else 1) + 1
        if size is None:
            out.append(None)
            continue
        places = size if padding in ("same", "causal") else size - reach + 1
        if places < 1:
            raise ShapeError(
                "Computed output size would be zero or negative. A window that reaches over "
                f"{reach} positions does not fit into {size} (axis {axis} of positions, inputs of "
                f"shape {tuple(shape)}, padding={padding!r})\n"
                "  hint: padding='same', or a smaller window, or larger inputs"
            )
        out.append(-(-places // strides[axis]))
    last = channels if channels is not None else shape[1] if first else shape[-1]
    return (shape[0], last, *out) if first else (shape[0], *out, last)


def transposed_size(
    size: int | None, kernel: int, stride: int, padding: str, output_padding: int | None,
    dilation: int,
) -> int | None:  # fmt: skip
    """The positions that a transposed convolution gives for `size` of them."""
    if size is None:
        return None
    reach = (kernel - 1) * dilation + 1
    if output_padding is None:
        return size * stride + (max(reach - stride, 0) if padding == "valid" else 0)
    border = reach // 2 if padding == "same" else 0
    return (size - 1) * stride + reach - 2 * border + output_padding
