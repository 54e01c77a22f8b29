"""ResNet50, ResNet101 and ResNet152. Depends on `network`."""

from __future__ import annotations

from typing import Any

from fastnn import layers
from fastnn.applications.imagenet_utils import (
    decode_predictions as decode_predictions,
    preprocess_input as _preprocess_input,
)
from fastnn.applications.network import axis_of_channels, dense_top, made
from fastnn.base.arguments import hints_arguments
from fastnn.base.typing import Identifier, TensorLike
from fastnn.models import Model

__all__ = ["ResNet50", "ResNet101", "ResNet152", "decode_predictions", "preprocess_input"]


def _block(x: TensorLike, filters: int, stride: int, shortcut: bool, name: str) -> Any:
    """1x1, 3x3 and 1x1 convolutions beside a shortcut."""
    axis = axis_of_channels()

    def normed(y: Any, part: str) -> Any:
        return layers.BatchNormalization(axis=axis, epsilon=1.001e-5, name=f"{name}_{part}_bn")(y)

    aside = x
    if shortcut:
        aside = layers.Conv2D(4 * filters, 1, strides=stride, name=f"{name}_0_conv")(x)
        aside = normed(aside, "0")
    y = layers.Conv2D(filters, 1, strides=stride, name=f"{name}_1_conv")(x)
    y = layers.Activation("relu", name=f"{name}_1_relu")(normed(y, "1"))
    y = layers.Conv2D(filters, 3, padding="same", name=f"{name}_2_conv")(y)
    y = layers.Activation("relu", name=f"{name}_2_relu")(normed(y, "2"))
    y = layers.Conv2D(4 * filters, 1, name=f"{name}_3_conv")(y)
    y = layers.Add(name=f"{name}_add")([aside, normed(y, "3")])
    return layers.Activation("relu", name=f"{name}_out")(y)


def _body(depths: tuple[int, ...]) -> Any:
    def body(x: TensorLike) -> Any:
        x = layers.ZeroPadding2D(3, name="conv1_pad")(x)
        x = layers.Conv2D(64, 7, strides=2, name="conv1_conv")(x)
        x = layers.BatchNormalization(axis=axis_of_channels(), epsilon=1.001e-5, name="conv1_bn")(x)
        x = layers.Activation("relu", name="conv1_relu")(x)
        x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
        x = layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)
        for stack, count in enumerate(depths):
            for i in range(count):
                stride = 2 if i == 0 and stack > 0 else 1
                name = f"conv{stack + 2}_block{i + 1}"
                x = _block(x, 64 * 2**stack, stride, i == 0, name)
        return x

    return body


@hints_arguments
def ResNet50(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    name: str = "resnet50",
) -> Model:
    """ResNet50 (He et al. 2015): residual blocks, 25.6 million weights.

    Args:
        include_top: Whether the classifier is part of it.
        weights: None (random numbers), the path of a file of Keras's weights, or `"imagenet"`,
            which looks for Keras's file in `FASTNN_DATA` and the cache folders; nothing is
            downloaded.
        input_tensor: A symbolic tensor to start from; None makes an `Input`.
        input_shape: (height, width, channels) without the classifier; None leaves both sides open.
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
        >>> network = fastnn.applications.ResNet50
        >>> network(weights=None, include_top=False, pooling="avg").output_shape
        (None, 2048)
    """
    return made(
        "ResNet50",
        _body((3, 4, 6, 3)),
        dense_top(classes, classifier_activation),
        size=224, least=32, files=(
            "resnet50_weights_tf_dim_ordering_tf_kernels.h5",
            "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
        ), model_name=name,
        include_top=include_top, weights=weights, input_tensor=input_tensor,
        input_shape=input_shape, pooling=pooling, classes=classes,
    )  # fmt: skip


@hints_arguments
def ResNet101(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    name: str = "resnet101",
) -> Model:
    """ResNet101 (He et al. 2015): residual blocks, 44.7 million weights.

    Args:
        include_top: Whether the classifier is part of it.
        weights: None (random numbers), the path of a file of Keras's weights, or `"imagenet"`,
            which looks for Keras's file in `FASTNN_DATA` and the cache folders; nothing is
            downloaded.
        input_tensor: A symbolic tensor to start from; None makes an `Input`.
        input_shape: (height, width, channels) without the classifier; None leaves both sides open.
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
        >>> network = fastnn.applications.ResNet101
        >>> network(weights=None, include_top=False, pooling="avg").output_shape
        (None, 2048)
    """
    return made(
        "ResNet101",
        _body((3, 4, 23, 3)),
        dense_top(classes, classifier_activation),
        size=224, least=32, files=(
            "resnet101_weights_tf_dim_ordering_tf_kernels.h5",
            "resnet101_weights_tf_dim_ordering_tf_kernels_notop.h5",
        ), model_name=name,
        include_top=include_top, weights=weights, input_tensor=input_tensor,
        input_shape=input_shape, pooling=pooling, classes=classes,
    )  # fmt: skip


@hints_arguments
def ResNet152(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    name: str = "resnet152",
) -> Model:
    """ResNet152 (He et al. 2015): residual blocks, 60.4 million weights.

    Args:
        include_top: Whether the classifier is part of it.
        weights: None (random numbers), the path of a file of Keras's weights, or `"imagenet"`,
            which looks for Keras's file in `FASTNN_DATA` and the cache folders; nothing is
            downloaded.
        input_tensor: A symbolic tensor to start from; None makes an `Input`.
        input_shape: (height, width, channels) without the classifier; None leaves both sides open.
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
        >>> network = fastnn.applications.ResNet152
        >>> network(weights=None, include_top=False, pooling="avg").output_shape
        (None, 2048)
    """
    return made(
        "ResNet152",
        _body((3, 8, 36, 3)),
        dense_top(classes, classifier_activation),
        size=224, least=32, files=(
            "resnet152_weights_tf_dim_ordering_tf_kernels.h5",
            "resnet152_weights_tf_dim_ordering_tf_kernels_notop.h5",
        ), model_name=name,
        include_top=include_top, weights=weights, input_tensor=input_tensor,
        input_shape=input_shape, pooling=pooling, classes=classes,
    )  # fmt: skip


@hints_arguments
def preprocess_input(x: TensorLike, data_format: str | None = None) -> Any:
    """Pixels from 0 to 255 as this network was trained on them:
    blue, green and red without their means.

    Args:
        x: Pictures (…, height, width, 3), red, green and blue.
        data_format: `"channels_last"` (default) or `"channels_first"`.

    Returns:
        An array for an array, a tensor for a tensor.

    Example:
        >>> x = np.full((1, 2, 2, 3), 255.0)
        >>> fastnn.applications.resnet.preprocess_input(x).shape
        (1, 2, 2, 3)
    """
    return _preprocess_input(x, data_format, "caffe")
