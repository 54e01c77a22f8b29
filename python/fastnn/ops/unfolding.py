"""Windows of images as columns, and images from such columns.

Depends on `_core`, `convert`, `convolution`, `shapes`.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any

from fastnn._core import Tensor
from fastnn.errors import ShapeError
from fastnn.ops.convert import TensorLike, computed, known_size
from fastnn.ops.convolution import per_axis
from fastnn.ops.families import name_ops
from fastnn.ops.shapes import pad, reshape, stack
from fastnn.tracing.symbolic import keras_op

__all__ = ["fold", "unfold"]


def _grid(name: str, sizes: Any, kernel: Any, dilation: Any, padding: Any, stride: Any) -> Any:
    """How many windows there are along both axes."""
    count = tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, d, p, s in zip(sizes, kernel, dilation, padding, stride, strict=True)
    )
    if min(count) < 1:
        raise ShapeError(
            f"{name}: windows of {kernel} do not fit into {tuple(sizes)}\n  hint: padding=..."
        )
    return count


@keras_op
def unfold(
    x: TensorLike, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """The windows of images, each as a column.

    Args:
        x: Images with channels first, (n, c, h, w).
        kernel_size: Height and width of windows, or one number for both.
        dilation: Steps between the elements of a window.
        padding: Rows and columns of zeros at each border.
        stride: Steps between windows.

    Returns:
        (n, c kh kw, windows).

    Raises:
        ShapeError: The images have other axes, or the windows do not fit.

    Example:
        >>> fastnn.ops.unfold(np.ones((1, 2, 4, 4)), 2, stride=2).shape
        (1, 8, 4)
    """
    x = computed(x, "float32")
    if x.ndim != 4:
        raise ShapeError(f"unfold: x has shape {tuple(x.shape)}\n  hint: (n, c, h, w)")
    two = functools.partial(per_axis, "unfold", axes=2)
    k, d = two("kernel_size", kernel_size), two("dilation", dilation)
    p, s = two("padding", padding, least=0), two("stride", stride)
    c, h, w = (known_size("unfold", x, axis) for axis in (1, 2, 3))
    rows, columns = _grid("unfold", (h, w), k, d, p, s)
    x = pad(x, ((0, 0), (0, 0), (p[0], p[0]), (p[1], p[1])))
    parts = [
        x[
            :, :,
            i * d[0] : i * d[0] + (rows - 1) * s[0] + 1 : s[0],
            j * d[1] : j * d[1] + (columns - 1) * s[1] + 1 : s[1],
        ]
        for i, j in itertools.product(range(k[0]), range(k[1]))
    ]  # fmt: skip
    return reshape(stack(parts, axis=2), (-1, c * k[0] * k[1], rows * columns))


@keras_op
def fold(
    x: TensorLike,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Tensor:
    """Images of which `x` holds the windows; what stands in several windows is summed.

    Args:
        x: Windows as columns, (n, c kh kw, windows), as `unfold` gives them.
        output_size: Height and width of the images, or one number for both.
        kernel_size: Height and width of windows.
        dilation: Steps between the elements of a window.
        padding: Rows and columns at each border that are left out.
        stride: Steps between windows.

    Returns:
        (n, c, height, width).

    Raises:
        ShapeError: The number of windows, or of their elements, is another one.

    Example:
        >>> columns = fastnn.ops.unfold(np.ones((1, 1, 3, 3)), 2)
        >>> fastnn.ops.fold(columns, 3, 2).numpy()[0, 0]
        array([[1., 2., 1.],
               [2., 4., 2.],
               [1., 2., 1.]], dtype=float32)
    """
    x = computed(x, "float32")
    two = functools.partial(per_axis, "fold", axes=2)
    size, k = two("output_size", output_size), two("kernel_size", kernel_size)
    d, p = two("dilation", dilation), two("padding", padding, least=0)
    s, taps = two("stride", stride), k[0] * k[1]
    rows, columns = _grid("fold", size, k, d, p, s)
    deep = known_size("fold", x, 1) if x.ndim == 3 else -1
    if x.ndim != 3 or deep % taps or known_size("fold", x, 2) != rows * columns:
        raise ShapeError(
            f"fold: x has shape {tuple(x.shape)}, wanted (n, c * {taps}, {rows * columns})\n"
            "  hint: the settings with which unfold made it"
        )
    high, wide = size[0] + 2 * p[0], size[1] + 2 * p[1]
    windows = reshape(x, (-1, deep // taps, taps, rows, 1, columns, 1))
    total: Any = None
    for at, (i, j) in enumerate(itertools.product(range(k[0]), range(k[1]))):
        part = windows[:, :, at]
        none = ((0, 0), (0, 0), (0, 0))
        part = pad(part, (*none, (0, s[0] - 1), (0, 0), (0, s[1] - 1)))
        part = reshape(part, (-1, deep // taps, rows * s[0], columns * s[1]))
        part = part[:, :, : (rows - 1) * s[0] + 1, : (columns - 1) * s[1] + 1]
        above, left = i * d[0], j * d[1]
        below, right = high - above - part.shape[2], wide - left - part.shape[3]
        part = pad(part, ((0, 0), (0, 0), (above, below), (left, right)))
        total = part if total is None else total + part
    return total[:, :, p[0] : high - p[0], p[1] : wide - p[1]]


name_ops(globals())
