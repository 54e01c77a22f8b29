"""VGG16. Depends on `network`."""

from __future__ import annotations

from typing import Any

from fastnn import layers
from fastnn.applications.imagenet_utils import (
    decode_predictions as decode_predictions,
    preprocess_input as _preprocess_input,
)
from fastnn.applications.network import made
from fastnn.base.arguments import hints_arguments
from fastnn.base.typing import Identifier, TensorLike
from fastnn.models import Model

__all__ = ["VGG16", "decode_predictions", "preprocess_input"]


def body_of(depths: tuple[int, ...]) -> Any:
    """Blocks of 3x3 convolutions, each followed by a pooling that halves the sides."""

    def body(x: TensorLike) -> Any:
        for block, count in enumerate(depths):
            filters = min(64 * 2**block, 512)
            for i in range(count):
                x = layers.Conv2D(
                    filters, 3, activation="relu", padding="same",
                    name=f"block{block + 1}_conv{i + 1}",
                )(x)  # fmt: skip
            x = layers.MaxPooling2D(2, strides=2, name=f"block{block + 1}_pool")(x)
        return x

    return body


def top_of(classes: int, activation: Identifier) -> Any:
    def top(x: TensorLike) -> Any:
        x = layers.Flatten(name="flatten")(x)
        x = layers.Dense(4096, activation="relu", name="fc1")(x)
        x = layers.Dense(4096, activation="relu", name="fc2")(x)
        return layers.Dense(classes, activation=activation, name="predictions")(x)

    return top


@hints_arguments
def VGG16(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    name: str = "vgg16",
) -> Model:
    """VGG16 (Simonyan and Zisserman 2014): 16 layers with weights, 138 million of them.

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
        >>> network = fastnn.applications.VGG16
        >>> network(weights=None, include_top=False, pooling="avg").output_shape
        (None, 512)
    """
    return made(
        "VGG16",
        body_of((2, 2, 3, 3, 3)),
        top_of(classes, classifier_activation),
        size=224, least=32, files=(
            "vgg16_weights_tf_dim_ordering_tf_kernels.h5",
            "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
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
        >>> fastnn.applications.vgg16.preprocess_input(x).shape
        (1, 2, 2, 3)
    """
    return _preprocess_input(x, data_format, "caffe")
