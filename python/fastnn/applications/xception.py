"""Xception. Depends on `network`."""

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

__all__ = ["Xception", "decode_predictions", "preprocess_input"]


def _body(x: TensorLike) -> Any:
    axis = axis_of_channels()

    def normed(y: Any, name: str | None) -> Any:
        return layers.BatchNormalization(axis=axis, name=name)(y)

    def separable(y: Any, filters: int, name: str, active: bool) -> Any:
        if active:
            y = layers.Activation("relu", name=f"{name}_act")(y)
        y = layers.SeparableConv2D(filters, 3, padding="same", use_bias=False, name=name)(y)
        return normed(y, f"{name}_bn")

    for i, (filters, stride) in enumerate(((32, 2), (64, 1))):
        name = f"block1_conv{i + 1}"
        x = layers.Conv2D(filters, 3, strides=stride, use_bias=False, name=name)(x)
        x = layers.Activation("relu", name=f"{name}_act")(normed(x, f"{name}_bn"))

    def down(x: TensorLike, widths: tuple[int, int], block: int, first_active: bool) -> Any:
        aside = layers.Conv2D(widths[1], 1, strides=2, padding="same", use_bias=False)(x)
        aside = normed(aside, None)
        x = separable(x, widths[0], f"block{block}_sepconv1", first_active)
        x = separable(x, widths[1], f"block{block}_sepconv2", True)
        x = layers.MaxPooling2D(3, strides=2, padding="same", name=f"block{block}_pool")(x)
        return layers.Add()([x, aside])

    x = down(x, (128, 128), 2, False)
    x = down(x, (256, 256), 3, True)
    x = down(x, (728, 728), 4, True)
    for block in range(5, 13):
        y = x
        for i in range(3):
            y = separable(y, 728, f"block{block}_sepconv{i + 1}", True)
        x = layers.Add()([y, x])
    x = down(x, (728, 1024), 13, True)
    for i, filters in enumerate((1536, 2048)):
        name = f"block14_sepconv{i + 1}"
        x = layers.Activation("relu", name=f"{name}_act")(separable(x, filters, name, False))
    return x


@hints_arguments
def Xception(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    name: str = "xception",
) -> Model:
    """Xception (Chollet 2017): separable convolutions in residual blocks, 22.9 million weights.

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
        >>> network = fastnn.applications.Xception
        >>> network(weights=None, include_top=False, pooling="avg").output_shape
        (None, 2048)
    """
    return made(
        "Xception",
        _body,
        dense_top(classes, classifier_activation),
        size=299, least=71, files=(
            "xception_weights_tf_dim_ordering_tf_kernels.h5",
            "xception_weights_tf_dim_ordering_tf_kernels_notop.h5",
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
        >>> fastnn.applications.xception.preprocess_input(x).shape
        (1, 2, 2, 3)
    """
    return _preprocess_input(x, data_format, "tf")
