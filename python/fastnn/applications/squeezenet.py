"""SqueezeNet 1.0 and 1.1; the trained weights are those of 1.1. Depends on `network`."""

from __future__ import annotations

from typing import Any

from fastnn import layers
from fastnn.applications.imagenet_utils import (
    decode_predictions as decode_predictions,
    preprocess_input as _preprocess_input,
)
from fastnn.applications.network import axis_of_channels, made
from fastnn.base.arguments import hints_arguments
from fastnn.base.typing import Identifier, TensorLike
from fastnn.models import Model

__all__ = ["SqueezeNet", "decode_predictions", "preprocess_input"]


def _fire(x: TensorLike, name: str, squeeze: int, expand: int) -> Any:
    """1x1 convolutions to few channels, then 1x1 and 3x3 ones side by side."""

    def conv(y: Any, part: str, filters: int, kernel: int) -> Any:
        y = layers.Conv2D(filters, kernel, padding="same", name=f"{name}/{part}")(y)
        return layers.Activation("relu", name=f"{name}/relu_{part}")(y)

    x = conv(x, "squeeze1x1", squeeze, 1)
    sides = [conv(x, "expand1x1", expand, 1), conv(x, "expand3x3", expand, 3)]
    return layers.Concatenate(axis=axis_of_channels(), name=f"{name}/concat")(sides)


#: First filters and window, and after which fire module the sides are halved.
_PLANS: dict[str, tuple[int, int, tuple[int, ...]]] = {
    "1.0": (96, 7, (4, 8)), "1.1": (64, 3, (3, 5)),
}  # fmt: skip


def _known(version: str) -> str:
    if version not in _PLANS:
        raise ValueError(f"SqueezeNet: version is {version!r}\n  hint: '1.0' or '1.1'")
    return version


def _body(version: str) -> Any:
    filters, kernel, halved = _PLANS[version]

    def body(x: TensorLike) -> Any:
        x = layers.Conv2D(filters, kernel, strides=2, name="conv1")(x)
        x = layers.Activation("relu", name="relu_conv1")(x)
        x = layers.MaxPooling2D(3, strides=2, name="pool1")(x)
        for i, squeeze in enumerate((16, 16, 32, 32, 48, 48, 64, 64), 2):
            x = _fire(x, f"fire{i}", squeeze, 4 * squeeze)
            if i in halved:
                x = layers.MaxPooling2D(3, strides=2, name=f"pool{i}")(x)
        return layers.Dropout(0.5, name="drop9")(x)

    return body


def _top(classes: int, activation: Identifier) -> Any:
    def top(x: TensorLike) -> Any:
        x = layers.Conv2D(classes, 1, name="conv10")(x)
        x = layers.Activation("relu", name="relu_conv10")(x)
        x = layers.GlobalAveragePooling2D()(x)
        return layers.Activation(activation or "linear", name="loss")(x)

    return top


@hints_arguments
def SqueezeNet(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    name: str = "squeezenet",
    version: str = "1.1",
) -> Model:
    """SqueezeNet (Iandola et al. 2016): few channels between wide ones, 1.2 million weights.

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
        version: `"1.0"` as published, or `"1.1"`, which needs less than half of the work.

    Returns:
        A `Model`.

    Raises:
        DataError: There is no such file of weights, or it is for other classes.
        ShapeError: The input is too small, or has other channels than the weights are for.

    Example:
        >>> network = fastnn.applications.SqueezeNet
        >>> network(weights=None, include_top=False, pooling="avg").output_shape
        (None, 512)
    """
    old = "" if version == "1.1" else "_1.0"
    return made(
        "SqueezeNet",
        _body(_known(version)),
        _top(classes, classifier_activation),
        size=227, least=48, files=(
            f"squeezenet_weights_tf_dim_ordering_tf_kernels{old}.h5",
            f"squeezenet_weights_tf_dim_ordering_tf_kernels{old}_notop.h5",
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
        >>> fastnn.applications.squeezenet.preprocess_input(x).shape
        (1, 2, 2, 3)
    """
    return _preprocess_input(x, data_format, "caffe")
