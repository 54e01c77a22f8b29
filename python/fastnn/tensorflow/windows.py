"""`tf.nn`'s convolutions, pooling and normalisation, whose arguments and defaults are TensorFlow's.

Depends on `ops`, `random`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastnn import ops, random
from fastnn._core import Tensor
from fastnn.base.typing import Axis, TensorLike
from fastnn.errors import DataError, ShapeError
from fastnn.tensorflow.candidates import (
    nce_loss as nce_loss,
    sampled_softmax_loss as sampled_softmax_loss,
)

__all__ = [
    "atrous_conv2d", "avg_pool", "avg_pool1d", "avg_pool2d", "avg_pool3d", "batch_normalization",
    "bias_add", "compute_average_loss", "conv1d", "conv1d_transpose", "conv2d", "conv2d_transpose",
    "conv3d", "conv3d_transpose", "convolution", "crelu", "ctc_loss", "depthwise_conv2d", "dropout",
    "embedding_lookup", "gelu", "leaky_relu", "local_response_normalization", "lrn", "max_pool",
    "max_pool1d", "max_pool2d", "max_pool3d", "moments", "nce_loss", "normalize", "pool",
    "sampled_softmax_loss", "scale_regularization_loss", "separable_conv2d", "silu", "swish",
    "weighted_cross_entropy_with_logits", "zero_fraction",
]  # fmt: skip

#: TensorFlow's names of layouts, and Keras's.
_LAYOUTS = {
    None: None, "NWC": "channels_last", "NHWC": "channels_last", "NDHWC": "channels_last",
    "NCW": "channels_first", "NCHW": "channels_first", "NCDHW": "channels_first",
}  # fmt: skip


def _layout(name: str, form: Any) -> Any:
    if form not in _LAYOUTS:
        raise ValueError(
            f"tf.nn.{name}: data_format={form!r} is not known\n  hint: data_format='NHWC'"
        )
    return _LAYOUTS[form] or "channels_last"


def _inner(name: str, value: Any, axes: int, layout: str) -> Any:
    """One number per axis within a picture, of a number, of these axes, or of all."""
    if value is None or isinstance(value, int):
        return value
    sizes = [int(v) for v in value]
    if len(sizes) == axes + 2:
        channels = sizes[-1] if layout == "channels_last" else sizes[1]
        if sizes[0] != 1 or channels != 1:
            raise ValueError(
                f"tf.nn.{name}: {sizes} moves along samples or channels\n  hint: 1 for both"
            )
        sizes = sizes[1:-1] if layout == "channels_last" else sizes[2:]
    if len(sizes) not in (1, axes):
        raise ValueError(f"tf.nn.{name}: {sizes} for {axes} axes\n  hint: one number per axis")
    return sizes[0] if len(sizes) == 1 else tuple(sizes)


def _padded(x: TensorLike, padding: Any) -> tuple[Any, str]:
    """The input and 'same' or 'valid', of a name or of borders for each axis."""
    if isinstance(padding, str):
        return x, padding.lower()
    return ops.pad(x, [[int(n) for n in side] for side in padding]), "valid"


def _convolved(
    name: str, x: TensorLike, kernel: Any, strides: Any, padding: Any, form: Any, dilations: Any,
    convolve: Callable[..., Tensor], axes: int | None = None,
) -> Tensor:  # fmt: skip
    x, kernel = ops.convert_to_tensor(x, "float32"), ops.convert_to_tensor(kernel, "float32")
    axes = len(kernel.shape) - 2 if axes is None else axes
    if len(x.shape) != axes + 2 or len(kernel.shape) != axes + 2:
        raise ShapeError(
            f"tf.nn.{name}: an input of shape {tuple(x.shape)} and filters of shape "
            f"{tuple(kernel.shape)}, wanted {axes + 2} axes\n"
            "  hint: filters are (sizes, channels in, channels out)"
        )
    layout = _layout(name, form)
    x, padding = _padded(x, padding)
    return convolve(
        x, kernel, strides=_inner(name, strides, axes, layout) or 1, padding=padding,
        data_format=layout, dilation_rate=_inner(name, dilations, axes, layout) or 1,
    )  # fmt: skip


def convolution(
    input: TensorLike, filters: TensorLike, strides: Any = None, padding: Any = "VALID",
    data_format: str | None = None, dilations: Any = None, name: str | None = None,
) -> Tensor:  # fmt: skip
    """A convolution of one, two or three axes."""
    return _convolved(
        "convolution", input, filters, strides, padding, data_format, dilations, ops.conv
    )


def conv1d(
    input: TensorLike, filters: TensorLike, stride: Any, padding: Any,
    data_format: str = "NWC", dilations: Any = None, name: str | None = None,
) -> Tensor:  # fmt: skip
    """A convolution of sequences (batch, steps, channels)."""
    return _convolved("conv1d", input, filters, stride, padding, data_format, dilations,
                      ops.conv, 1)  # fmt: skip


def conv2d(
    input: TensorLike, filters: TensorLike, strides: Any, padding: Any,
    data_format: str = "NHWC", dilations: Any = None, name: str | None = None,
) -> Tensor:  # fmt: skip
    """A convolution of pictures (batch, rows, columns, channels)."""
    return _convolved("conv2d", input, filters, strides, padding, data_format, dilations,
                      ops.conv, 2)  # fmt: skip


def conv3d(
    input: TensorLike, filters: TensorLike, strides: Any, padding: Any,
    data_format: str = "NDHWC", dilations: Any = None, name: str | None = None,
) -> Tensor:  # fmt: skip
    """A convolution of volumes."""
    return _convolved("conv3d", input, filters, strides, padding, data_format, dilations,
                      ops.conv, 3)  # fmt: skip


def atrous_conv2d(
    value: TensorLike, filters: TensorLike, rate: int, padding: Any, name: str | None = None
) -> Tensor:
    """A convolution of pictures whose filter leaves `rate` - 1 pixels out between two."""
    return conv2d(value, filters, 1, padding, dilations=rate)


def depthwise_conv2d(
    input: TensorLike, filter: TensorLike, strides: Any, padding: Any,
    data_format: str | None = None, dilations: Any = None, name: str | None = None,
) -> Tensor:  # fmt: skip
    """A convolution of each channel by itself."""
    return _convolved("depthwise_conv2d", input, filter, strides, padding, data_format, dilations,
                      ops.depthwise_conv, 2)  # fmt: skip


def separable_conv2d(
    input: TensorLike, depthwise_filter: TensorLike, pointwise_filter: TensorLike, strides: Any,
    padding: Any, data_format: str | None = None, dilations: Any = None, name: str | None = None,
) -> Tensor:  # fmt: skip
    """A convolution of each channel by itself, then one of each pixel by itself."""
    x = depthwise_conv2d(input, depthwise_filter, strides, padding, data_format, dilations)
    return conv2d(x, pointwise_filter, 1, "VALID", data_format or "NHWC")


def _transposed(
    name: str, x: TensorLike, kernel: Any, output_shape: Any, strides: Any, padding: Any, form: Any,
    axes: int,
) -> Tensor:  # fmt: skip
    """A transposed convolution whose result has the sizes that are asked for."""
    layout = _layout(name, form)
    x, kernel = ops.convert_to_tensor(x, "float32"), ops.convert_to_tensor(kernel, "float32")
    steps = _inner(name, strides, axes, layout) or 1
    steps = (steps,) * axes if isinstance(steps, int) else tuple(steps)
    wanted = [int(n) for n in list(output_shape)[1 : -1 if layout == "channels_last" else None]]
    wanted = wanted if layout == "channels_last" else wanted[1:]
    given = x.shape[1:-1] if layout == "channels_last" else x.shape[2:]
    same = str(padding).lower() == "same"
    usual, extra = True, []
    for n, size, step, k in zip(wanted, given, steps, kernel.shape[:axes], strict=True):
        # The layer takes k // 2 from both sides of "same", and adds what is wanted at the end.
        more = n - ((size - 1) * step + k - (2 * (k // 2) if same else 0))
        usual = usual and n == (size * step if same else (size - 1) * step + max(k, step))
        fits = -(-n // step) == size if same else n - k >= 0 and (n - k) // step + 1 == size
        if not fits:
            raise ShapeError(
                f"tf.nn.{name}: output_shape {tuple(output_shape)} does not come from an input of "
                f"shape {tuple(x.shape)} by strides of {steps}\n"
                f"  hint: {size} by a stride of {step} gives {size * step} with padding='SAME'"
            )
        extra.append(more)
    if usual:
        padding_out: Any = None
    elif all(0 <= more < step for more, step in zip(extra, steps, strict=True)):
        padding_out = tuple(extra)
    else:
        raise DataError(
            f"tf.nn.{name}: output_shape {tuple(output_shape)} is not supported for filters of "
            f"shape {tuple(kernel.shape)}\n  hint: sizes that are multiples of the strides"
        )
    return ops.conv_transpose(
        x, kernel, strides=steps, padding=str(padding).lower(), output_padding=padding_out,
        data_format=layout,
    )  # fmt: skip


def conv1d_transpose(
    input: TensorLike, filters: TensorLike, output_shape: Any, strides: Any,
    padding: Any = "SAME", data_format: str = "NWC", dilations: Any = None, name: str | None = None,
) -> Tensor:  # fmt: skip
    """The transpose of `conv1d`; filters are (size, channels out, channels in)."""
    return _transposed("conv1d_transpose", input, filters, output_shape, strides, padding,
                       data_format, 1)  # fmt: skip


def conv2d_transpose(
    input: TensorLike,
    filters: TensorLike,
    output_shape: Any,
    strides: Any,
    padding: Any = "SAME",
    data_format: str = "NHWC",
    dilations: Any = None,
    name: str | None = None,
) -> Tensor:
    """The transpose of `conv2d`; filters are (sizes, channels out, channels in)."""
    return _transposed("conv2d_transpose", input, filters, output_shape, strides, padding,
                       data_format, 2)  # fmt: skip


def conv3d_transpose(
    input: TensorLike,
    filters: TensorLike,
    output_shape: Any,
    strides: Any,
    padding: Any = "SAME",
    data_format: str = "NDHWC",
    dilations: Any = None,
    name: str | None = None,
) -> Tensor:
    """The transpose of `conv3d`; filters are (sizes, channels out, channels in)."""
    return _transposed("conv3d_transpose", input, filters, output_shape, strides, padding,
                       data_format, 3)  # fmt: skip


def _pooling(name: str, pooled: Callable[..., Tensor], axes: int | None, doc: str) -> Any:
    def pooling(
        input: TensorLike, ksize: Any, strides: Any, padding: Any,
        data_format: str | None = None, name: str | None = None,
    ) -> Tensor:  # fmt: skip
        x = ops.convert_to_tensor(input, "float32")
        inner = len(x.shape) - 2
        if axes is not None and inner != axes:
            raise ShapeError(
                f"tf.nn.{own}: got shape {tuple(x.shape)}, wanted {axes + 2} axes\n"
                "  hint: x[None] for one sample"
            )
        layout = _layout(own, data_format)
        if not isinstance(padding, str):
            raise DataError(f"tf.nn.{own}: padding {padding!r}\n  hint: padding='SAME'")
        return pooled(
            x, _inner(own, ksize, inner, layout), strides=_inner(own, strides, inner, layout),
            padding=padding.lower(), data_format=layout,
        )  # fmt: skip

    own = name
    pooling.__name__ = pooling.__qualname__ = name
    pooling.__doc__ = doc
    return pooling


_LARGEST, _MEAN = "The largest element of each window.", "The mean of each window."
max_pool = _pooling("max_pool", ops.max_pool, None, _LARGEST)
max_pool1d, max_pool2d, max_pool3d = (
    _pooling(f"max_pool{n}d", ops.max_pool, n, _LARGEST) for n in (1, 2, 3)
)
avg_pool = _pooling("avg_pool", ops.average_pool, None, _MEAN)
avg_pool1d, avg_pool2d, avg_pool3d = (
    _pooling(f"avg_pool{n}d", ops.average_pool, n, _MEAN) for n in (1, 2, 3)
)


def pool(
    input: TensorLike,
    window_shape: Any,
    pooling_type: str,
    strides: Any = None,
    padding: Any = "VALID",
    data_format: str | None = None,
    dilations: Any = None,
    name: str | None = None,
) -> Tensor:
    """Windows joined by "MAX" or "AVG"."""
    kinds = {"MAX": max_pool, "AVG": avg_pool}
    if pooling_type not in kinds:
        raise ValueError(f"tf.nn.pool: pooling_type={pooling_type!r}\n  hint: 'MAX' or 'AVG'")
    joined: Tensor = kinds[pooling_type](input, window_shape, strides or 1, padding, data_format)
    return joined


def bias_add(
    value: TensorLike, bias: TensorLike, data_format: str | None = None, name: str | None = None
) -> Tensor:
    """A number per channel added."""
    x, b = ops.convert_to_tensor(value), ops.convert_to_tensor(bias)
    if _layout("bias_add", data_format) == "channels_first":
        b = ops.reshape(b, (-1, *[1] * (len(x.shape) - 2)))
    return x + b


def moments(
    x: TensorLike, axes: Any, shift: Any = None, keepdims: bool = False, name: str | None = None
) -> tuple[Tensor, Tensor]:
    """Mean and variance over axes."""
    return ops.moments(x, axes, keepdims=keepdims)


def batch_normalization(
    x: TensorLike, mean: TensorLike, variance: TensorLike, offset: Any, scale: Any,
    variance_epsilon: float, name: str | None = None,
) -> Tensor:  # fmt: skip
    """(x - mean) / sqrt(variance + epsilon) * scale + offset; None leaves one of these out."""
    factor: Any = ops.rsqrt(ops.convert_to_tensor(variance) + variance_epsilon)
    if scale is not None:
        factor = factor * scale
    out = (ops.convert_to_tensor(x, "float32") - mean) * factor
    return out if offset is None else out + offset


def local_response_normalization(
    input: TensorLike, depth_radius: int = 5, bias: float = 1.0, alpha: float = 1.0,
    beta: float = 0.5, name: str | None = None,
) -> Tensor:  # fmt: skip
    """Each element over a power of the squares of the channels around it."""
    x = ops.convert_to_tensor(input, "float32")
    channels = x.shape[-1]
    squares = ops.pad(ops.square(x), [(0, 0)] * (len(x.shape) - 1) + [(depth_radius,) * 2])
    around = squares[..., 0:channels]
    for i in range(1, 2 * depth_radius + 1):
        around = around + squares[..., i : i + channels]
    return x / ops.power(bias + alpha * around, beta)


lrn = local_response_normalization


def gelu(features: TensorLike, approximate: bool = False, name: str | None = None) -> Tensor:
    """X times the share of normal numbers below x; exact unless told."""
    return ops.gelu(features, approximate=approximate)


def leaky_relu(features: TensorLike, alpha: float = 0.2, name: str | None = None) -> Tensor:
    """x, and `alpha` x below 0."""
    return ops.leaky_relu(features, negative_slope=alpha)


def silu(features: TensorLike, beta: float = 1.0) -> Tensor:
    """X sigmoid(beta x)."""
    x = ops.convert_to_tensor(features)
    return ops.silu(x) if beta == 1.0 else x * ops.sigmoid(x * beta)


swish = silu


def crelu(features: TensorLike, axis: int = -1, name: str | None = None) -> Tensor:
    """relu(x) and relu(-x) side by side."""
    x = ops.convert_to_tensor(features)
    return ops.relu(ops.concatenate([x, -x], axis=axis))


def normalize(
    tensor: TensorLike, ord: Any = "euclidean", axis: Axis = None, name: str | None = None
) -> tuple[Tensor, Tensor]:
    """A tensor over its norm, and the norm."""
    x = ops.convert_to_tensor(tensor, "float32")
    kind = None if ord == "euclidean" else ord
    size = ops.norm(x, ord=kind, axis=axis, keepdims=True)
    return x / size, size


def zero_fraction(value: TensorLike, name: str | None = None) -> Tensor:
    """The share of elements that are 0."""
    return ops.mean(ops.cast(ops.equal(value, 0.0), "float32"))


def embedding_lookup(
    params: TensorLike, ids: TensorLike, max_norm: float | None = None, name: str | None = None
) -> Tensor:
    """The rows of a table at `ids`."""
    rows = ops.take(params, ids, axis=0)
    if max_norm is None:
        return rows
    size = ops.norm(rows, axis=-1, keepdims=True)
    return rows * (max_norm / ops.maximum(size, max_norm))


def weighted_cross_entropy_with_logits(
    labels: TensorLike, logits: TensorLike, pos_weight: Any, name: str | None = None
) -> Tensor:
    """Cross entropy of truth values and logits, per element, where true ones count more."""
    x, z = ops.convert_to_tensor(logits), ops.convert_to_tensor(labels)
    weight = 1.0 + (pos_weight - 1.0) * z
    return (1.0 - z) * x + weight * (ops.log1p(ops.exp(-ops.abs(x))) + ops.relu(-x))


def ctc_loss(
    labels: TensorLike, logits: TensorLike, label_length: Any, logit_length: Any,
    logits_time_major: bool = True, unique: Any = None, blank_index: int | None = None,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """The CTC loss of each sequence; logits are (steps, batch, classes) unless told."""
    if label_length is None:
        raise DataError("tf.nn.ctc_loss: labels are dense here\n  hint: give label_length")
    x = ops.convert_to_tensor(logits, "float32")
    if logits_time_major:
        x = ops.transpose(x, (1, 0, 2))
    count = x.shape[-1]
    blank = 0 if blank_index is None else blank_index
    blank = blank + count if blank < 0 else blank
    return ops.ctc_loss(labels, x, label_length, logit_length, mask_index=blank)


def compute_average_loss(
    per_example_loss: TensorLike, sample_weight: TensorLike = None, global_batch_size: Any = None
) -> Tensor:
    """The sum of losses over the number of samples."""
    loss = ops.convert_to_tensor(per_example_loss, "float32")
    if sample_weight is not None:
        loss = loss * sample_weight
    rows: Any = ops.shape(loss)[0] if global_batch_size is None else global_batch_size
    return ops.sum(loss) / ops.cast(rows, "float32")


def scale_regularization_loss(regularization_loss: TensorLike) -> Tensor:
    """A penalty as it is: there is one replica."""
    return ops.sum(regularization_loss)


def dropout(
    x: TensorLike, rate: float, noise_shape: Sequence[int] | None = None, seed: Any = None,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """Elements set to zero with probability `rate`, the rest scaled up."""
    return random.dropout(x, rate, noise_shape, seed)
