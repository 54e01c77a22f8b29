"""InceptionV3. Depends on `network`."""

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

__all__ = ["InceptionV3", "decode_predictions", "preprocess_input"]


def _conv(
    x: TensorLike, filters: int, rows: int, columns: int, padding: str = "same", strides: int = 1
) -> Any:
    """A convolution without bias, normalised without scale."""
    x = layers.Conv2D(filters, (rows, columns), strides=strides, padding=padding, use_bias=False)(x)
    x = layers.BatchNormalization(axis=axis_of_channels(), scale=False)(x)
    return layers.Activation("relu")(x)


def _joined(branches: list[Any], name: str | None = None) -> Any:
    return layers.Concatenate(axis=axis_of_channels(), name=name)(branches)


def _pooled(x: TensorLike, filters: int) -> Any:
    return _conv(layers.AveragePooling2D(3, strides=1, padding="same")(x), filters, 1, 1)


def _sevens(x: TensorLike, inner: int, name: str) -> Any:
    """Branches of 1x7 and 7x1 convolutions."""
    one = _conv(x, 192, 1, 1)
    two = _conv(x, inner, 1, 1)
    two = _conv(_conv(two, inner, 1, 7), 192, 7, 1)
    four = _conv(x, inner, 1, 1)
    for rows, columns in ((7, 1), (1, 7), (7, 1)):
        four = _conv(four, inner, rows, columns)
    four = _conv(four, 192, 1, 7)
    return _joined([one, two, four, _pooled(x, 192)], name)


def _body(x: TensorLike) -> Any:
    x = _conv(x, 32, 3, 3, "valid", 2)
    x = _conv(x, 32, 3, 3, "valid")
    x = _conv(x, 64, 3, 3)
    x = layers.MaxPooling2D(3, strides=2)(x)
    x = _conv(x, 80, 1, 1, "valid")
    x = _conv(x, 192, 3, 3, "valid")
    x = layers.MaxPooling2D(3, strides=2)(x)
    for i, filters in enumerate((32, 64, 64)):
        one = _conv(x, 64, 1, 1)
        five = _conv(_conv(x, 48, 1, 1), 64, 5, 5)
        three = _conv(_conv(_conv(x, 64, 1, 1), 96, 3, 3), 96, 3, 3)
        x = _joined([one, five, three, _pooled(x, filters)], f"mixed{i}")
    one = _conv(x, 384, 3, 3, "valid", 2)
    three = _conv(_conv(_conv(x, 64, 1, 1), 96, 3, 3), 96, 3, 3, "valid", 2)
    x = _joined([one, three, layers.MaxPooling2D(3, strides=2)(x)], "mixed3")
    for i, inner in enumerate((128, 160, 160, 192)):
        x = _sevens(x, inner, f"mixed{i + 4}")
    one = _conv(_conv(x, 192, 1, 1), 320, 3, 3, "valid", 2)
    seven = _conv(_conv(_conv(x, 192, 1, 1), 192, 1, 7), 192, 7, 1)
    seven = _conv(seven, 192, 3, 3, "valid", 2)
    x = _joined([one, seven, layers.MaxPooling2D(3, strides=2)(x)], "mixed8")
    for i in range(2):
        one = _conv(x, 320, 1, 1)
        three = _conv(x, 384, 1, 1)
        three = _joined([_conv(three, 384, 1, 3), _conv(three, 384, 3, 1)], f"mixed9_{i}")
        double = _conv(_conv(x, 448, 1, 1), 384, 3, 3)
        double = _joined([_conv(double, 384, 1, 3), _conv(double, 384, 3, 1)])
        x = _joined([one, three, double, _pooled(x, 192)], f"mixed{9 + i}")
    return x


@hints_arguments
def InceptionV3(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    name: str = "inception_v3",
) -> Model:
    """InceptionV3 (Szegedy et al. 2015): branches side by side, 23.9 million weights.

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
        >>> network = fastnn.applications.InceptionV3
        >>> network(weights=None, include_top=False, pooling="avg").output_shape
        (None, 2048)
    """
    return made(
        "InceptionV3",
        _body,
        dense_top(classes, classifier_activation),
        size=299, least=75, files=(
            "inception_v3_weights_tf_dim_ordering_tf_kernels.h5",
            "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
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
        >>> fastnn.applications.inception_v3.preprocess_input(x).shape
        (1, 2, 2, 3)
    """
    return _preprocess_input(x, data_format, "tf")
