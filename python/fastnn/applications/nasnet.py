"""NASNetMobile and NASNetLarge. Depends on `network`."""

from __future__ import annotations

from typing import Any

from fastnn import layers
from fastnn.applications.imagenet_utils import (
    decode_predictions as decode_predictions,
    preprocess_input as scaled,
)
from fastnn.applications.network import axis_of_channels, even_padding, made
from fastnn.base.arguments import hints_arguments
from fastnn.base.typing import Identifier, TensorLike
from fastnn.models import Model

__all__ = ["NASNetLarge", "NASNetMobile", "decode_predictions", "preprocess_input"]


def _normed(x: TensorLike, name: str) -> Any:
    return layers.BatchNormalization(momentum=0.9997, epsilon=1e-3, name=name)(x)


def _narrow(x: TensorLike, filters: int, name: str) -> Any:
    return layers.Conv2D(
        filters, 1, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
    )(x)


def _separable(x: TensorLike, filters: int, kernel: int, at: str, stride: int = 1) -> Any:
    """Two separable convolutions, the first one with steps of `stride`."""
    x = layers.Activation("relu")(x)
    if stride == 2:
        x = layers.ZeroPadding2D(even_padding(x, kernel), name=f"separable_conv_1_pad_{at}")(x)
    x = layers.SeparableConv2D(
        filters, kernel, strides=stride, padding="valid" if stride == 2 else "same",
        use_bias=False, name=f"separable_conv_1_{at}",
    )(x)  # fmt: skip
    x = layers.Activation("relu")(_normed(x, f"separable_conv_1_bn_{at}"))
    x = layers.SeparableConv2D(
        filters, kernel, padding="same", use_bias=False, name=f"separable_conv_2_{at}"
    )(x)
    return _normed(x, f"separable_conv_2_bn_{at}")


def _adjusted(p: Any, x: TensorLike, filters: int, at: str) -> Any:
    """The cell before, with the positions of `x` and `filters` channels."""
    if p is None:
        return x
    if p.shape[-2] != x.shape[-2]:
        p = layers.Activation("relu", name=f"adjust_relu_1_{at}")(p)
        half = layers.AveragePooling2D(1, strides=2, name=f"adjust_avg_pool_1_{at}")(p)
        half = _narrow(half, filters // 2, f"adjust_conv_1_{at}")
        # The other half sees the positions between those.
        other = layers.ZeroPadding2D(((0, 1), (0, 1)))(p)
        other = layers.Cropping2D(((1, 0), (1, 0)))(other)
        other = layers.AveragePooling2D(1, strides=2, name=f"adjust_avg_pool_2_{at}")(other)
        other = _narrow(other, filters // 2, f"adjust_conv_2_{at}")
        return _normed(layers.Concatenate()([half, other]), f"adjust_bn_{at}")
    if p.shape[-1] != filters:
        p = _narrow(layers.Activation("relu")(p), filters, f"adjust_conv_projection_{at}")
        return _normed(p, f"adjust_bn_{at}")
    return p


def _mean(x: TensorLike, name: str, stride: int = 1, padding: str = "same") -> Any:
    return layers.AveragePooling2D(3, strides=stride, padding=padding, name=name)(x)


def _largest(x: TensorLike, name: str) -> Any:
    return layers.MaxPooling2D(3, strides=2, padding="valid", name=name)(x)


def _normal(x: TensorLike, p: Any, filters: int, at: str) -> tuple[Any, Any]:
    """A cell that keeps the positions; gives its output and its input."""
    p = _adjusted(p, x, filters, at)
    h = _narrow(layers.Activation("relu")(x), filters, f"normal_conv_1_{at}")
    h = _normed(h, f"normal_bn_1_{at}")

    def added(number: int, one: Any, other: Any) -> Any:
        return layers.Add(name=f"normal_add_{number}_{at}")([one, other])

    left = _separable(h, filters, 5, f"normal_left1_{at}")
    x1 = added(1, left, _separable(p, filters, 3, f"normal_right1_{at}"))
    left = _separable(p, filters, 5, f"normal_left2_{at}")
    x2 = added(2, left, _separable(p, filters, 3, f"normal_right2_{at}"))
    x3 = added(3, _mean(h, f"normal_left3_{at}"), p)
    left = _mean(p, f"normal_left4_{at}")
    x4 = added(4, left, _mean(p, f"normal_right4_{at}"))
    x5 = added(5, _separable(h, filters, 3, f"normal_left5_{at}"), h)
    return layers.Concatenate(name=f"normal_concat_{at}")([p, x1, x2, x3, x4, x5]), x


def _reduction(x: TensorLike, p: Any, filters: int, at: str) -> tuple[Any, Any]:
    """A cell that halves the positions; gives its output and its input."""
    p = _adjusted(p, x, filters, at)
    h = _narrow(layers.Activation("relu")(x), filters, f"reduction_conv_1_{at}")
    h = _normed(h, f"reduction_bn_1_{at}")
    wide = layers.ZeroPadding2D(even_padding(h, 3), name=f"reduction_pad_1_{at}")(h)

    def added(name: str, one: Any, other: Any) -> Any:
        return layers.Add(name=f"reduction_{name}_{at}")([one, other])

    left = _separable(h, filters, 5, f"reduction_left1_{at}", 2)
    x1 = added("add_1", left, _separable(p, filters, 7, f"reduction_right1_{at}", 2))
    left = _largest(wide, f"reduction_left2_{at}")
    x2 = added("add_2", left, _separable(p, filters, 7, f"reduction_right2_{at}", 2))
    left = _mean(wide, f"reduction_left3_{at}", 2, "valid")
    x3 = added("add3", left, _separable(p, filters, 5, f"reduction_right3_{at}", 2))
    x4 = layers.Add()([x2, _mean(x1, f"reduction_left4_{at}")])
    left = _separable(x1, filters, 3, f"reduction_left4_{at}")
    x5 = added("add4", left, _largest(wide, f"reduction_right5_{at}"))
    return layers.Concatenate(name=f"reduction_concat_{at}")([x2, x3, x4, x5]), x


def _body(last: int, blocks: int, stem: int, skips: bool) -> Any:
    """The network of which the last cells have `last` channels, with `blocks` cells a stage."""

    def body(x: TensorLike) -> Any:
        if axis_of_channels() == 1:
            raise ValueError(
                "NASNet does not support the `channels_first` image data format\n"
                "  hint: fastnn.config.set_image_data_format('channels_last')"
            )
        filters = last // 24
        x = layers.Conv2D(
            stem, 3, strides=2, padding="valid", use_bias=False, name="stem_conv1",
            kernel_initializer="he_normal",
        )(x)  # fmt: skip
        x = _normed(x, "stem_bn1")
        x, p = _reduction(x, None, filters // 4, "stem_1")
        x, p = _reduction(x, p, filters // 2, "stem_2")
        for stage in range(3):
            width, first = filters * 2**stage, stage * blocks
            if stage:
                x, before = _reduction(x, p, width, f"reduce_{first}")
                p = p if skips else before
            for i in range(blocks):
                x, p = _normal(x, p, width, str(first + i + (1 if stage else 0)))
        return layers.Activation("relu")(x)

    return body


def _top(classes: int, activation: Identifier) -> Any:
    def top(x: TensorLike) -> Any:
        x = layers.GlobalAveragePooling2D()(x)
        return layers.Dense(classes, activation=activation, name="predictions")(x)

    return top


@hints_arguments
def NASNetMobile(
    input_shape: Any = None,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    name: str = "nasnet_mobile",
) -> Model:
    """NASNetMobile (Zoph et al. 2018): cells that were searched for, 5.3 million weights.

    Pixels come as `preprocess_input` makes them.

    Args:
        input_shape: (height, width, channels) without the classifier; (224, 224, 3) unless told.
        include_top: Whether the classifier is part of it.
        weights: None (random numbers), the path of a file of Keras's weights, or `"imagenet"`,
            which looks for Keras's file in `FASTNN_DATA` and the cache folders; nothing is
            downloaded.
        input_tensor: A symbolic tensor to start from; None makes an `Input`.
        pooling: Without the classifier: `"avg"` or `"max"` over all positions; None keeps them.
        classes: Classes of the classifier.
        classifier_activation: Of the classifier; None gives logits.
        name: The name of the model.

    Returns:
        A `Model`.

    Raises:
        DataError: There is no such file of weights, or it is for other classes.
        ShapeError: The input is too small, or has other channels than the weights are for.

    Example:
        >>> network = fastnn.applications.NASNetMobile
        >>> network(weights=None, include_top=False, pooling="avg").output_shape
        (None, 1056)
    """
    if input_shape is None and input_tensor is None:
        input_shape = (224, 224, 3)
    return made(
        "NASNetMobile",
        _body(1056, 4, 32, skips=False),
        _top(classes, classifier_activation),
        size=224, least=32, files=("nasnet_mobile.h5", "nasnet_mobile_no_top.h5"), model_name=name,
        include_top=include_top, weights=weights, input_tensor=input_tensor,
        input_shape=input_shape, pooling=pooling, classes=classes,
    )  # fmt: skip


@hints_arguments
def NASNetLarge(
    input_shape: Any = None,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    name: str = "nasnet_large",
) -> Model:
    """NASNetLarge (Zoph et al. 2018): cells that were searched for, 88.9 million weights.

    Pixels come as `preprocess_input` makes them.

    Args:
        input_shape: (height, width, channels) without the classifier; (331, 331, 3) unless told.
        include_top: Whether the classifier is part of it.
        weights: None (random numbers), the path of a file of Keras's weights, or `"imagenet"`,
            which looks for Keras's file in `FASTNN_DATA` and the cache folders; nothing is
            downloaded.
        input_tensor: A symbolic tensor to start from; None makes an `Input`.
        pooling: Without the classifier: `"avg"` or `"max"` over all positions; None keeps them.
        classes: Classes of the classifier.
        classifier_activation: Of the classifier; None gives logits.
        name: The name of the model.

    Returns:
        A `Model`.

    Raises:
        DataError: There is no such file of weights, or it is for other classes.
        ShapeError: The input is too small, or has other channels than the weights are for.

    Example:
        >>> network = fastnn.applications.NASNetLarge
        >>> network(weights=None, include_top=False, pooling="avg").output_shape
        (None, 4032)
    """
    if input_shape is None and input_tensor is None:
        input_shape = (331, 331, 3)
    return made(
        "NASNetLarge",
        _body(4032, 6, 96, skips=True),
        _top(classes, classifier_activation),
        size=331, least=32, files=("nasnet_large.h5", "nasnet_large_no_top.h5"), model_name=name,
        include_top=include_top, weights=weights, input_tensor=input_tensor,
        input_shape=input_shape, pooling=pooling, classes=classes,
    )  # fmt: skip


@hints_arguments
def preprocess_input(x: TensorLike, data_format: str | None = None) -> Any:
    """Pixels from 0 to 255 as numbers from -1 to 1.

    Args:
        x: Pictures (…, height, width, 3).
        data_format: `"channels_last"` (default) or `"channels_first"`.

    Returns:
        An array for an array, a tensor for a tensor.

    Example:
        >>> from fastnn.applications import nasnet
        >>> nasnet.preprocess_input(np.full((1, 1, 3), 255.0)).ravel()
        array([1., 1., 1.])
    """
    return scaled(x, data_format, "tf")
