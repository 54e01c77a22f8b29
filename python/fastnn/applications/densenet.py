"""DenseNet121, DenseNet169 and DenseNet201. Depends on `network`."""

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

__all__ = ["DenseNet121", "DenseNet169", "DenseNet201", "decode_predictions", "preprocess_input"]


def _active(x: TensorLike, name: str) -> Any:
    x = layers.BatchNormalization(axis=axis_of_channels(), epsilon=1.001e-5, name=f"{name}_bn")(x)
    return layers.Activation("relu", name=f"{name}_relu")(x)


def _block(x: TensorLike, name: str) -> Any:
    """32 channels more: 1x1 and 3x3 convolutions, beside what was there."""
    y = layers.Conv2D(128, 1, use_bias=False, name=f"{name}_1_conv")(_active(x, f"{name}_0"))
    y = _active(y, f"{name}_1")
    y = layers.Conv2D(32, 3, padding="same", use_bias=False, name=f"{name}_2_conv")(y)
    return layers.Concatenate(axis=axis_of_channels(), name=f"{name}_concat")([x, y])


def _body(depths: tuple[int, ...]) -> Any:
    def body(x: TensorLike) -> Any:
        x = layers.ZeroPadding2D(3)(x)
        x = layers.Conv2D(64, 7, strides=2, use_bias=False, name="conv1_conv")(x)
        x = layers.BatchNormalization(axis=axis_of_channels(), epsilon=1.001e-5, name="conv1_bn")(x)
        x = layers.Activation("relu", name="conv1_relu")(x)
        x = layers.ZeroPadding2D(1)(x)
        x = layers.MaxPooling2D(3, strides=2, name="pool1")(x)
        for stack, count in enumerate(depths):
            for i in range(count):
                x = _block(x, f"conv{stack + 2}_block{i + 1}")
            if stack < 3:
                name = f"pool{stack + 2}"
                half = x.shape[axis_of_channels()] // 2
                x = layers.Conv2D(half, 1, use_bias=False, name=f"{name}_conv")(_active(x, name))
                x = layers.AveragePooling2D(2, strides=2, name=f"{name}_pool")(x)
        x = layers.BatchNormalization(axis=axis_of_channels(), epsilon=1.001e-5, name="bn")(x)
        return layers.Activation("relu", name="relu")(x)

    return body


@hints_arguments
def DenseNet121(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    name: str = "densenet121",
) -> Model:
    """DenseNet121 (Huang et al. 2016): each layer sees all before it, 8.1 million weights.

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
        >>> network = fastnn.applications.DenseNet121
        >>> network(weights=None, include_top=False, pooling="avg").output_shape
        (None, 1024)
    """
    return made(
        "DenseNet121",
        _body((6, 12, 24, 16)),
        dense_top(classes, classifier_activation),
        size=224, least=32, files=(
            "densenet121_weights_tf_dim_ordering_tf_kernels.h5",
            "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5",
        ), model_name=name,
        include_top=include_top, weights=weights, input_tensor=input_tensor,
        input_shape=input_shape, pooling=pooling, classes=classes,
    )  # fmt: skip


@hints_arguments
def DenseNet169(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    name: str = "densenet169",
) -> Model:
    """DenseNet169 (Huang et al. 2016): each layer sees all before it, 14.3 million weights.

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
        >>> network = fastnn.applications.DenseNet169
        >>> network(weights=None, include_top=False, pooling="avg").output_shape
        (None, 1664)
    """
    return made(
        "DenseNet169",
        _body((6, 12, 32, 32)),
        dense_top(classes, classifier_activation),
        size=224, least=32, files=(
            "densenet169_weights_tf_dim_ordering_tf_kernels.h5",
            "densenet169_weights_tf_dim_ordering_tf_kernels_notop.h5",
        ), model_name=name,
        include_top=include_top, weights=weights, input_tensor=input_tensor,
        input_shape=input_shape, pooling=pooling, classes=classes,
    )  # fmt: skip


@hints_arguments
def DenseNet201(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    name: str = "densenet201",
) -> Model:
    """DenseNet201 (Huang et al. 2016): each layer sees all before it, 20.2 million weights.

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
        >>> network = fastnn.applications.DenseNet201
        >>> network(weights=None, include_top=False, pooling="avg").output_shape
        (None, 1920)
    """
    return made(
        "DenseNet201",
        _body((6, 12, 48, 32)),
        dense_top(classes, classifier_activation),
        size=224, least=32, files=(
            "densenet201_weights_tf_dim_ordering_tf_kernels.h5",
            "densenet201_weights_tf_dim_ordering_tf_kernels_notop.h5",
        ), model_name=name,
        include_top=include_top, weights=weights, input_tensor=input_tensor,
        input_shape=input_shape, pooling=pooling, classes=classes,
    )  # fmt: skip


@hints_arguments
def preprocess_input(x: TensorLike, data_format: str | None = None) -> Any:
    """Pixels from 0 to 255 as this network was trained on them:
    from 0 to 1, then mean 0 and deviation 1.

    Args:
        x: Pictures (…, height, width, 3), red, green and blue.
        data_format: `"channels_last"` (default) or `"channels_first"`.

    Returns:
        An array for an array, a tensor for a tensor.

    Example:
        >>> x = np.full((1, 2, 2, 3), 255.0)
        >>> fastnn.applications.densenet.preprocess_input(x).shape
        (1, 2, 2, 3)
    """
    return _preprocess_input(x, data_format, "torch")
