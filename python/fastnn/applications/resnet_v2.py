"""ResNet50V2, ResNet101V2 and ResNet152V2. Depends on `network`."""

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

__all__ = ["ResNet50V2", "ResNet101V2", "ResNet152V2", "decode_predictions", "preprocess_input"]


def _block(x: TensorLike, filters: int, stride: int, shortcut: bool, name: str) -> Any:
    """Normalised first: 1x1, 3x3 and 1x1 convolutions beside a shortcut."""
    axis = axis_of_channels()

    def active(y: Any, part: str) -> Any:
        y = layers.BatchNormalization(axis=axis, epsilon=1.001e-5, name=f"{name}_{part}_bn")(y)
        return layers.Activation("relu", name=f"{name}_{part}_relu")(y)

    first = active(x, "preact")
    if shortcut:
        aside = layers.Conv2D(4 * filters, 1, strides=stride, name=f"{name}_0_conv")(first)
    else:
        aside = layers.MaxPooling2D(1, strides=stride)(x) if stride > 1 else x
    y = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_1_conv")(first)
    y = layers.ZeroPadding2D(1, name=f"{name}_2_pad")(active(y, "1"))
    y = layers.Conv2D(filters, 3, strides=stride, use_bias=False, name=f"{name}_2_conv")(y)
    y = layers.Conv2D(4 * filters, 1, name=f"{name}_3_conv")(active(y, "2"))
    return layers.Add(name=f"{name}_out")([aside, y])


def _body(depths: tuple[int, ...]) -> Any:
    def body(x: TensorLike) -> Any:
        x = layers.ZeroPadding2D(3, name="conv1_pad")(x)
        x = layers.Conv2D(64, 7, strides=2, name="conv1_conv")(x)
        x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
        x = layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)
        for stack, count in enumerate(depths):
            for i in range(count):
                # The last block of a stack makes the sides smaller, but for the last stack.
                stride = 2 if i == count - 1 and stack < 3 else 1
                name = f"conv{stack + 2}_block{i + 1}"
                x = _block(x, 64 * 2**stack, stride, i == 0, name)
        x = layers.BatchNormalization(axis=axis_of_channels(), epsilon=1.001e-5, name="post_bn")(x)
        return layers.Activation("relu", name="post_relu")(x)

    return body


@hints_arguments
def ResNet50V2(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    name: str = "resnet50v2",
) -> Model:
    """ResNet50V2 (He et al. 2016): residual blocks, normalised first, 25.6 million weights.

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
        >>> network = fastnn.applications.ResNet50V2
        >>> network(weights=None, include_top=False, pooling="avg").output_shape
        (None, 2048)
    """
    return made(
        "ResNet50V2",
        _body((3, 4, 6, 3)),
        dense_top(classes, classifier_activation),
        size=224, least=32, files=(
            "resnet50v2_weights_tf_dim_ordering_tf_kernels.h5",
            "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
        ), model_name=name,
        include_top=include_top, weights=weights, input_tensor=input_tensor,
        input_shape=input_shape, pooling=pooling, classes=classes,
    )  # fmt: skip


@hints_arguments
def ResNet101V2(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    name: str = "resnet101v2",
) -> Model:
    """ResNet101V2 (He et al. 2016): residual blocks, normalised first, 44.7 million weights.

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
        >>> network = fastnn.applications.ResNet101V2
        >>> network(weights=None, include_top=False, pooling="avg").output_shape
        (None, 2048)
    """
    return made(
        "ResNet101V2",
        _body((3, 4, 23, 3)),
        dense_top(classes, classifier_activation),
        size=224, least=32, files=(
            "resnet101v2_weights_tf_dim_ordering_tf_kernels.h5",
            "resnet101v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
        ), model_name=name,
        include_top=include_top, weights=weights, input_tensor=input_tensor,
        input_shape=input_shape, pooling=pooling, classes=classes,
    )  # fmt: skip


@hints_arguments
def ResNet152V2(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    name: str = "resnet152v2",
) -> Model:
    """ResNet152V2 (He et al. 2016): residual blocks, normalised first, 60.4 million weights.

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
        >>> network = fastnn.applications.ResNet152V2
        >>> network(weights=None, include_top=False, pooling="avg").output_shape
        (None, 2048)
    """
    return made(
        "ResNet152V2",
        _body((3, 8, 36, 3)),
        dense_top(classes, classifier_activation),
        size=224, least=32, files=(
            "resnet152v2_weights_tf_dim_ordering_tf_kernels.h5",
            "resnet152v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
        ), model_name=name,
        include_top=include_top, weights=weights, input_tensor=input_tensor,
        input_shape=input_shape, pooling=pooling, classes=classes,
    )  # fmt: skip


@hints_arguments
def preprocess_input(x: TensorLike, data_format: str | None = None) -> Any:
    """Pixels from 0 to 255 as this network was trained on them:
    from -1 to 1.

    Args:
        x: Pictures (…, height, width, 3), red, green and blue.
        data_format: `"channels_last"` (default) or `"channels_first"`.

    Returns:
        An array for an array, a tensor for a tensor.

    Example:
        >>> x = np.full((1, 2, 2, 3), 255.0)
        >>> fastnn.applications.resnet_v2.preprocess_input(x).shape
        (1, 2, 2, 3)
    """
    return _preprocess_input(x, data_format, "tf")
