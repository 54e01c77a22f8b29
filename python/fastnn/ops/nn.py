"""What networks are made of besides rows: encodings, ranks, losses of logits and probabilities."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _core
from fastnn._core import Tensor
from fastnn.base.absent import answer_from
from fastnn.base.arguments import as_number, hints_arguments, is_whole
from fastnn.base.typing import DTypeLike
from fastnn.config import epsilon, image_data_format
from fastnn.errors import ShapeError
from fastnn.ops import host, rows
from fastnn.ops.convert import Axis, TensorLike, arange, cast, computed, ndim, shape
from fastnn.ops.elements import clip
from fastnn.ops.families import name_ops
from fastnn.ops.linalg import norm, over_root_mean_square, scale_of_squares
from fastnn.ops.reduce import sum
from fastnn.ops.shapes import moveaxis, places, reshape, split, squeeze, transpose
from fastnn.tracing.symbolic import keras_op

__all__ = [
    "batch_normalization",
    "binary_crossentropy",
    "categorical_crossentropy",
    "depth_to_space",
    "dot_product_attention",
    "gelu",
    "glu",
    "layer_normalization",
    "log_softmax",
    "normalize",
    "one_hot",
    "psnr",
    "rms_normalization",
    "softmax",
    "space_to_depth",
    "sparse_categorical_crossentropy",
]

_c = _core.ops


@hints_arguments
def gelu(x: TensorLike, approximate: bool = True) -> Tensor:
    """`x` Φ(x), by tanh unless `approximate=False`; `activations.gelu` is exact unless told.

    Args:
        x: A tensor or array.
        approximate: Whether Φ is taken by tanh instead of exactly.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.gelu(np.array([-1.0, 2.0])).numpy().round(4)
        array([-0.1588,  1.9546], dtype=float32)
    """
    # The row, so that the graph of a model notes the argument: files read it by another default.
    return rows.gelu(x, approximate=approximate)


@keras_op
def one_hot(
    x: TensorLike, num_classes: int, axis: int = -1, dtype: DTypeLike = None, sparse: bool = False
) -> Tensor:
    """Rows with a one at the place that `x` names.

    Args:
        x: Class numbers.
        num_classes: The number of classes.
        axis: Where the axis of classes stands.
        dtype: The type of the result: `"float32"`, `"int32"` or `"bool"`.
        sparse: Not supported; False.

    Returns:
        A tensor with one axis more.

    Example:
        >>> fastnn.ops.one_hot(np.array([0, 2]), 3).numpy()
        array([[1., 0., 0.],
               [0., 0., 1.]], dtype=float32)
    """
    if sparse:
        raise ValueError("one_hot: sparse tensors are not supported\n  hint: sparse=False")
    out = _c.one_hot(cast(x, "int32"), num_classes=num_classes)
    if axis not in (-1, ndim(x)):
        out = moveaxis(out, -1, axis)
    return cast(out, dtype or "float32")


@keras_op
def softmax(x: TensorLike, axis: Axis = -1) -> Tensor:
    """e^x over its sum along `axis`, or over several axes together.

    Args:
        x: A tensor or array.
        axis: The axis, or several axes together; None: all of them.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.softmax(np.array([0.0, np.log(3.0)])).numpy().round(4)
        array([0.25, 0.75], dtype=float32)
    """
    return _over(_c.softmax, x, axis)


@keras_op
def log_softmax(x: TensorLike, axis: Axis = -1) -> Tensor:
    """log(softmax(x)), without overflow.

    Args:
        x: A tensor or array.
        axis: The axis, or several axes together; None: all of them.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.log_softmax(np.array([0.0, 0.0])).numpy().round(4)
        array([-0.6931, -0.6931], dtype=float32)
    """
    return _over(_c.log_softmax, x, axis)


def _over(row: Any, x: TensorLike, axis: Axis) -> Tensor:
    axis = as_number(axis)
    if isinstance(axis, int):
        return row(x, axis=axis)
    x = computed(x, "float32")
    over = places(row.__name__, axis, shape(x))
    rest = [i for i in range(ndim(x)) if i not in over]
    moved = transpose(x, [*rest, *over])
    flat = reshape(moved, [*shape(moved)[: len(rest)], -1])
    back = reshape(row(flat, axis=-1), shape(moved))
    order = [*rest, *over]
    return transpose(back, [order.index(i) for i in range(ndim(x))])


@keras_op
def normalize(
    x: TensorLike, axis: Axis = -1, order: int = 2, epsilon: float | None = None
) -> Tensor:
    """`x` divided by its norm along `axis`.

    Args:
        x: A tensor or array.
        axis: The axis, or several axes together; None: all of them.
        order: Which norm: 1, 2 or another number.
        epsilon: The least norm that is divided by.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.normalize(np.array([3.0, 4.0])).numpy().round(4)
        array([0.6, 0.8], dtype=float32)
    """
    eps = epsilon if epsilon is not None else 1e-12
    if order == 2:
        x = computed(x, "float32")
        scale = scale_of_squares(x, axis)
        scaled, least = x * scale, eps * scale
        total = sum(_c.square(scaled), axis=axis, keepdims=True)
        unit = scaled * _c.rsqrt(_c.maximum(total, _c.square(_c.minimum(least, 1e18))))
        return _c.where(least < 1e18, unit, x / eps)
    return x / _c.maximum(norm(x, order, axis, True), eps)


# ---- losses of logits and probabilities ------------------------------------------------------


@keras_op
def binary_crossentropy(
    target: TensorLike, output: TensorLike, from_logits: bool = False
) -> Tensor:
    """-t log p - (1-t) log(1-p) per element; p is clipped to [1e-7, 1 - 1e-7].

    Args:
        target: Labels from 0 to 1.
        output: Probabilities or logits of the same shape.
        from_logits: Whether `output` are logits, before sigmoid or softmax.

    Returns:
        A tensor of that shape.

    Example:
        >>> y, p = np.array([1.0, 0.0]), np.array([0.5, 0.5])
        >>> fastnn.ops.binary_crossentropy(y, p).numpy().round(4)
        array([0.6931, 0.6931], dtype=float32)
    """
    target, output = computed(target, "float32"), computed(output, "float32")
    if from_logits:
        return _c.sigmoid_cross_entropy(target, output)
    output = clip(output, epsilon(), 1.0 - epsilon())
    return -(target * _c.log(output) + (1.0 - target) * _c.log(1.0 - output))


def _log_probabilities(output: Tensor, axis: int) -> Tensor:
    output = output / sum(output, axis=axis, keepdims=True)
    return _c.log(clip(output, epsilon(), 1.0 - epsilon()))


@keras_op
def categorical_crossentropy(
    target: TensorLike, output: TensorLike, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """-sum t log p over `axis`; probabilities are divided by their sum, then clipped.

    Args:
        target: One-hot labels or probabilities.
        output: Probabilities or logits of the same shape.
        from_logits: Whether `output` are logits, before sigmoid or softmax.
        axis: The axis of the classes.

    Returns:
        A tensor without `axis`.

    Example:
        >>> y, p = np.array([0.0, 1.0]), np.array([0.5, 0.5])
        >>> fastnn.ops.categorical_crossentropy(y, p).numpy().round(4)
        np.float32(0.6931)
    """
    target, output = computed(target, "float32"), computed(output, "float32")
    logs = _c.log_softmax(output, axis=axis) if from_logits else _log_probabilities(output, axis)
    return -sum(target * logs, axis=axis)


@keras_op
def sparse_categorical_crossentropy(
    target: TensorLike, output: TensorLike, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """-log p[target] over the last axis; integer targets of shape (…) or (…, 1).

    Args:
        target: Class numbers (…) or (…, 1).
        output: Probabilities or logits (…, classes).
        from_logits: Whether `output` are logits, before sigmoid or softmax.
        axis: The axis of the classes.

    Returns:
        A tensor (…); NaN where a target of a traced step is no class.

    Raises:
        DataError: A target is no class.

    Example:
        >>> y, p = np.array([1]), np.array([[0.5, 0.5]])
        >>> fastnn.ops.sparse_categorical_crossentropy(y, p).numpy().round(4)
        array([0.6931], dtype=float32)
    """
    given, output = target, computed(output, "float32")
    target = _one_class(target, output)
    if axis not in (-1, ndim(output) - 1):
        output = moveaxis(output, axis, -1)
    return _marked(given, target, output.shape[-1], loss_of_classes(target, output, from_logits))


def _one_class(target: Any, output: Any) -> Any:
    target = cast(target, "int32")
    return squeeze(target, -1) if ndim(target) == ndim(output) and target.shape[-1] == 1 else target


def loss_of_classes(target: Any, output: Any, from_logits: bool) -> Any:
    """-log p[target] over the last axis; finite where a number is of no class: who calls checks."""
    if from_logits:
        inside = _c.logical_and(target >= 0, target < output.shape[-1])
        return _c.sparse_softmax_cross_entropy(output, _c.where(inside, target, target * 0))
    picked = one_hot(target, output.shape[-1])
    return -sum(picked * _log_probabilities(output, -1), axis=-1)


def _marked(given: Any, target: Any, classes: Any, loss: Any) -> Any:
    """`loss`; DataError for a number of no class, or NaN there while a step is traced."""
    if not host.has_values(given):
        inside = _c.logical_and(target >= 0, target < classes)
        return _c.where(inside, loss, math.nan)
    values = host.value("sparse_categorical_crossentropy", given)
    whole = values == np.floor(values) if values.dtype.kind == "f" else True
    bad = ~(whole & (values >= 0) & (values < classes))
    if bad.any():
        raise _core.DataError(
            f"sparse_categorical_crossentropy: target holds {values[bad][0]}, wanted class numbers "
            f"0…{classes - 1}\n  hint: number the classes from 0, or mask rows without one"
        )
    return loss


# ---- normalisation -----------------------------------------------------------------------------


def _along(x: TensorLike, value: Any, axis: Any) -> Any:
    """A parameter of the sizes of `axis` spread over the rank of `x`."""
    if value is None:
        return None
    value, axes = computed(value, "float32"), places("normalization", axis, shape(x))
    sizes = iter(value.shape)
    return reshape(value, [next(sizes) if i in axes else 1 for i in range(ndim(x))])


@keras_op
def batch_normalization(
    x: TensorLike, mean: TensorLike, variance: TensorLike, axis: int, offset: TensorLike = None,
    scale: TensorLike = None, epsilon: float = 1e-3,
) -> Tensor:  # fmt: skip
    """(x - mean) / sqrt(variance + epsilon), scaled and moved; all by the features of `axis`.

    Args:
        x: A tensor or array.
        mean: Means of the features, as long as `axis`.
        variance: Variances of the features, as long as `axis`.
        axis: The axis of the features.
        offset: Added at the end; None: nothing.
        scale: Multiplied before; None: nothing.
        epsilon: A small number added to the variance.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> x = np.array([[1.0], [3.0]])
        >>> fastnn.ops.batch_normalization(x, [2.0], [1.0], axis=-1).numpy().round(3)
        array([[-1.],
               [ 1.]], dtype=float32)
    """
    x = computed(x, "float32")
    factor = _c.rsqrt(_along(x, variance, axis) + epsilon)
    if scale is not None:
        factor = factor * _along(x, scale, axis)
    out = (x - _along(x, mean, axis)) * factor
    return out if offset is None else out + _along(x, offset, axis)


@keras_op
def layer_normalization(
    x: TensorLike, gamma: TensorLike = None, beta: TensorLike = None, axis: Any = -1,
    epsilon: float | None = None, **kwargs: Any,
) -> Tensor:  # fmt: skip
    """`x` with mean 0 and variance 1 over `axis`, then scaled by gamma and moved by beta.

    Args:
        x: A tensor or array.
        gamma: Multiplied at the end; None: nothing.
        beta: Added at the end; None: nothing.
        axis: The axis or axes; None: all of them.
        epsilon: A small number added to the variance.
        **kwargs: Accepted for the sake of Keras.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.layer_normalization(np.array([1.0, 2.0, 3.0])).numpy().round(3)
        array([-1.225,  0.   ,  1.225], dtype=float32)
    """
    if kwargs.pop("rms_scaling", False):
        return rms_normalization(x, gamma, axis, epsilon)
    if kwargs:
        raise TypeError(f"layer_normalization got {', '.join(kwargs)}\n  hint: gamma, beta, axis")
    x = computed(x, "float32")
    over = places("layer_normalization", axis, shape(x))
    if _is_last(x, over):
        return _rows_normalized(x, gamma, beta, axis, epsilon, center=True)
    centred = x - _c.mean(x, axis=over, keepdims=True)
    out = centred * over_root_mean_square(centred, over, 1e-7 if epsilon is None else epsilon)
    out = out if gamma is None else out * _along(x, gamma, axis)
    return out if beta is None else out + _along(x, beta, axis)


def _is_last(x: Tensor, over: list[int]) -> bool:
    """Whether the last axis alone is normalized, for which there is a row."""
    return over == [x.ndim - 1] and x.shape[-1] != 0


def _rows_normalized(
    x: Tensor, gamma: TensorLike, beta: TensorLike, axis: Any, epsilon: float | None, center: bool
) -> Tensor:
    columns = []
    for given, absent in ((gamma, 1.0), (beta, 0.0)):
        if given is not None:
            given = reshape(_along(x, given, axis), (-1,))
            given = reshape(given, ()) if given.shape == (1,) else given
        columns.append(absent if given is None else given)
    epsilon = 1e-7 if epsilon is None else float(epsilon)
    return _c.layer_norm(x, *columns, epsilon=epsilon, center=center)[0]


@keras_op
def rms_normalization(
    x: TensorLike, scale: TensorLike = None, axis: Any = -1, epsilon: float | None = None
) -> Tensor:
    """`x` over the root of its mean square over `axis`, then scaled.

    Args:
        x: A tensor or array.
        scale: Multiplied at the end; None: nothing.
        axis: The axis or axes; None: all of them.
        epsilon: A small number added to the mean square.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.rms_normalization(np.array([3.0, 4.0])).numpy().round(3)
        array([0.849, 1.131], dtype=float32)
    """
    x = computed(x, "float32")
    over = places("rms_normalization", axis, shape(x))
    if _is_last(x, over):
        return _rows_normalized(x, scale, None, axis, epsilon, center=False)
    out = x * over_root_mean_square(x, over, 1e-7 if epsilon is None else epsilon)
    return out if scale is None else out * _along(x, scale, axis)


# ---- further -----------------------------------------------------------------------------------


@keras_op
def glu(x: TensorLike, axis: int = -1) -> Tensor:
    """The first half of an axis times the sigmoid of the second.

    Args:
        x: A tensor or array.
        axis: The axis that is halved; its size is even.

    Returns:
        A tensor with half the size along `axis`.

    Example:
        >>> fastnn.ops.glu(np.array([3.0, 0.0])).numpy()
        array([1.5], dtype=float32)
    """
    a, b = split(computed(x, "float32"), 2, axis)
    return a * _c.sigmoid(b)


@keras_op
def psnr(x1: TensorLike, x2: TensorLike, max_val: float) -> Tensor:
    """The peak signal-to-noise ratio in decibels.

    Args:
        x1: A tensor or array.
        x2: A tensor or array that broadcasts with `x1`.
        max_val: The largest value that a signal takes.

    Returns:
        Decibels, a tensor without axes.

    Example:
        >>> x, y = np.array([1.0, 0.0]), np.array([1.0, 0.1])
        >>> round(float(fastnn.ops.psnr(x, y, 1.0)), 2)
        23.01
    """
    error = _c.mean(_c.square(computed(x1, "float32") - computed(x2, "float32")))
    return (10.0 / math.log(10.0)) * (2.0 * math.log(max_val) - _c.log(error))


@keras_op
def dot_product_attention(
    query: TensorLike, key: TensorLike, value: TensorLike, bias: TensorLike = None,
    mask: TensorLike = None, scale: float | None = None, is_causal: bool = False,
    flash_attention: bool | None = None, attn_logits_soft_cap: float | None = None,
) -> Tensor:  # fmt: skip
    """softmax(q k^T scale + bias) v by heads; tensors are (batch, length, heads, features).

    `mask` is true where a key may be seen; with fewer key heads than query heads each serves
    several. A query that sees nothing attends to all keys alike.

    Args:
        query: (batch, length, heads, features).
        key: (batch, keys, heads, features).
        value: (batch, keys, heads, features).
        bias: Added to the scores before softmax.
        mask: True where a key may be seen.
        scale: The factor of the scores; None: 1 / sqrt(features).
        is_causal: Whether a query sees earlier keys and its own alone.
        flash_attention: Accepted for Keras's sake: no matrix of weights is stored either way.
        attn_logits_soft_cap: The size that scores approach at most.

    Returns:
        (batch, length, heads, features).

    Example:
        >>> fastnn.ops.dot_product_attention(*[np.ones((1, 3, 2, 4))] * 3).shape
        (1, 3, 2, 4)
    """
    q, k, v = (computed(t, "float32") for t in (query, key, value))
    if any(t.ndim != 4 for t in (q, k, v)):
        raise ShapeError(
            f"dot_product_attention: got shapes {q.shape}, {k.shape}, {v.shape}\n"
            "  hint: (batch, length, heads, features)"
        )
    heads, shared = q.shape[2], k.shape[2]
    if heads != shared and (shared == 0 or heads % shared):
        raise ShapeError(
            f"dot_product_attention: {heads} heads of queries over {shared} of keys\n"
            "  hint: a multiple"
        )
    factor = 1.0 / math.sqrt(q.shape[3]) if scale is None else float(scale)
    added = None if bias is None else _four_axes("bias", computed(bias, "float32"))
    seen = None if mask is None else _four_axes("mask", cast(mask, "bool"))
    if attn_logits_soft_cap is not None:
        cap = float(attn_logits_soft_cap)
        return _capped_attention((q, k, v), added, seen, factor, is_causal, cap)
    out, sums = _c.attention(
        q, k, v,
        0.0 if added is None else added,
        _core.tensor(True) if seen is None else seen,
        *_ALL_KEYS,
        scale=factor,
        causal=bool(is_causal),
    )  # fmt: skip
    if seen is None:
        return out
    blank = _c.expand_dims(transpose(sums, [0, 2, 1]), -1) == -math.inf
    means = _c.mean(v, axis=1, keepdims=True)
    if heads != shared:
        means = _c.repeat(means, repeats=heads // shared, axis=2)
    return _c.where(blank, means, out)


#: Lengths beyond any number of keys, the place of the first query, a key that draws nothing.
_ALL_KEYS = (
    np.array(2**31 - 1, np.int32), np.array(0, np.int32), np.zeros(4, np.int32),
)  # fmt: skip


def _four_axes(name: str, x: Tensor) -> Tensor:
    """An operand that broadcasts with (batch, heads, queries, keys), with all its axes."""
    if x.ndim > 4:
        raise ShapeError(
            f"dot_product_attention: {name} has shape {x.shape}\n"
            "  hint: sizes that broadcast with (batch, heads, queries, keys)"
        )
    return x if x.ndim == 4 else _c.expand_dims(x, list(range(4 - x.ndim)))


def _capped_attention(
    operands: tuple[Tensor, ...],
    bias: Tensor | None,
    mask: Tensor | None,
    scale: float,
    is_causal: bool,
    cap: float,
) -> Tensor:
    """Attention whose scores are bent before the softmax, with the matrix of weights."""
    q, k, v = operands
    if q.shape[2] != k.shape[2]:
        k, v = (_c.repeat(t, repeats=q.shape[2] // k.shape[2], axis=2) for t in (k, v))
    q, k, v = (transpose(t, [0, 2, 1, 3]) for t in (q, k, v))
    scores = cap * _c.tanh(_c.matmul(q, k, transpose_b=True) * scale / cap)
    scores = scores if bias is None else scores + bias
    lowest = -0.7 * float(np.finfo(np.float32).max)
    if mask is not None:
        scores = _c.where(mask, scores, lowest)
    if is_causal:
        at, columns = (arange(shape(t)[2], dtype="int32") for t in (q, k))
        seen = _c.greater_equal(_c.expand_dims(at, axis=[-1]), columns)
        scores = _c.where(seen, scores, lowest)
    return transpose(_c.matmul(_c.softmax(scores, axis=-1), v), [0, 2, 1, 3])


def _blocks(
    name: str, x: TensorLike, block_size: Any, data_format: str | None
) -> tuple[Any, int, bool]:
    """Images, the size of a block, and whether channels come first."""
    x, block = computed(x), as_number(block_size)
    if not is_whole(block) or block < 1:
        raise ValueError(
            f"{name}: block_size is {block_size!r}, wanted a whole number of at least 1\n"
            "  hint: block_size=2"
        )
    form = data_format or image_data_format()
    if x.ndim != 4 or form not in ("channels_last", "channels_first"):
        raise ShapeError(
            f"{name}: shape {x.shape}, data_format {form!r}\n"
            "  hint: (batch, height, width, channels) with 'channels_last'"
        )
    return x, int(block), form == "channels_first"


@keras_op
def depth_to_space(x: TensorLike, block_size: int, data_format: str | None = None) -> Tensor:
    """Channels laid out as blocks of pixels.

    Args:
        x: Images (n, rows, columns, channels).
        block_size: Rows and columns of a block.
        data_format: `"channels_last"` (default) or `"channels_first"`.

    Returns:
        Images with fewer channels.

    Example:
        >>> fastnn.ops.depth_to_space(np.zeros((1, 2, 2, 4)), 2).shape
        (1, 4, 4, 1)
    """
    x, b, first = _blocks("depth_to_space", x, block_size, data_format)
    x = transpose(x, [0, 2, 3, 1]) if first else x
    _, h, w, c = x.shape
    if c % (b * b):
        raise ShapeError(
            f"depth_to_space: {c} channels for blocks of {b} x {b}\n  hint: a multiple of {b * b}"
        )
    x = transpose(reshape(x, (-1, h, w, b, b, c // (b * b))), [0, 1, 3, 2, 4, 5])
    x = reshape(x, (-1, h * b, w * b, c // (b * b)))
    return transpose(x, [0, 3, 1, 2]) if first else x


@keras_op
def space_to_depth(x: TensorLike, block_size: int, data_format: str | None = None) -> Tensor:
    """Blocks of pixels laid out as channels.

    Args:
        x: Images (n, rows, columns, channels).
        block_size: Rows and columns of a block.
        data_format: `"channels_last"` (default) or `"channels_first"`.

    Returns:
        Images with more channels.

    Example:
        >>> fastnn.ops.space_to_depth(np.zeros((1, 4, 4, 1)), 2).shape
        (1, 2, 2, 4)
    """
    x, b, first = _blocks("space_to_depth", x, block_size, data_format)
    x = transpose(x, [0, 2, 3, 1]) if first else x
    _, h, w, c = x.shape
    if h % b or w % b:
        raise ShapeError(
            f"space_to_depth: {h} x {w} pixels in blocks of {b}\n  hint: multiples of {b}"
        )
    x = transpose(reshape(x, (-1, h // b, b, w // b, b, c)), [0, 1, 3, 2, 4, 5])
    x = reshape(x, (-1, h // b, w // b, b * b * c))
    return transpose(x, [0, 3, 1, 2]) if first else x


if TYPE_CHECKING:  # the package answers with its own names

    def __getattr__(name: str) -> Any: ...


name_ops(globals())
answer_from(globals(), "fastnn.ops")
