"""InceptionResNetV2. Depends on `network`."""

from __future__ import annotations

from typing import Any

from fastnn import layers
from fastnn.applications.imagenet_utils import (
    decode_predictions as decode_predictions,
    preprocess_input as scaled,
)
from fastnn.applications.network import axis_of_channels, dense_top, made
from fastnn.base.arguments import hints_arguments
from fastnn.base.typing import Identifier, TensorLike
from fastnn.models import Model

__all__ = ["CustomScaleLayer", "InceptionResNetV2", "decode_predictions", "preprocess_input"]


class CustomScaleLayer(layers.Layer):
    """The first of two inputs plus the second times a number.

    Args:
        scale: The number.
        **kwargs: `name` and what else every `Layer` takes.

    Example:
        >>> from fastnn.applications.inception_resnet_v2 import CustomScaleLayer
        >>> CustomScaleLayer(0.5)([np.ones(2), np.ones(2)]).numpy()
        array([1.5, 1.5], dtype=float32)
    """

    scale: float

    def __init__(self, scale: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, inputs: TensorLike) -> Any:
        """inputs[0] + inputs[1] * scale."""
        return inputs[0] + inputs[1] * self.scale


def _conv(
    x: TensorLike, filters: int, kernel: Any, strides: int = 1, padding: str = "same",
    name: str | None = None,
) -> Any:  # fmt: skip
    x = layers.Conv2D(
        filters, kernel, strides=strides, padding=padding, use_bias=False, name=name
    )(x)  # fmt: skip
    x = layers.BatchNormalization(
        axis=axis_of_channels(), scale=False, name=name and f"{name}_bn"
    )(x)  # fmt: skip
    return layers.Activation("relu", name=name and f"{name}_ac")(x)


def _chain(x: TensorLike, *steps: tuple[int, Any]) -> Any:
    for filters, kernel in steps:
        x = _conv(x, filters, kernel)
    return x


#: The branches of the three kinds of blocks: channels and kernels, one after the other.
_BRANCHES: dict[str, tuple[tuple[tuple[int, Any], ...], ...]] = {
    "block35": (((32, 1),), ((32, 1), (32, 3)), ((32, 1), (48, 3), (64, 3))),
    "block17": (((192, 1),), ((128, 1), (160, (1, 7)), (192, (7, 1)))),
    "block8": (((192, 1),), ((192, 1), (224, (1, 3)), (256, (3, 1)))),
}


def _block(
    x: TensorLike, scale: float, kind: str, number: int, activation: str | None = "relu"
) -> Any:
    """Branches beside each other, of which a part is added to the input."""
    axis, name = axis_of_channels(), f"{kind}_{number}"
    branches = [_chain(x, *steps) for steps in _BRANCHES[kind]]
    mixed = layers.Concatenate(axis=axis, name=f"{name}_mixed")(branches)
    up = layers.Conv2D(x.shape[axis], 1, padding="same", name=f"{name}_conv")(mixed)
    x = CustomScaleLayer(scale)([x, up])
    return layers.Activation(activation, name=f"{name}_ac")(x) if activation else x


def _body(x: TensorLike) -> Any:
    axis = axis_of_channels()
    x = _conv(x, 32, 3, 2, "valid")
    x = _conv(x, 32, 3, 1, "valid")
    x = layers.MaxPooling2D(3, strides=2)(_conv(x, 64, 3))
    x = _conv(_conv(x, 80, 1, 1, "valid"), 192, 3, 1, "valid")
    x = layers.MaxPooling2D(3, strides=2)(x)
    branches = [_chain(x, *steps) for steps in (
        ((96, 1),), ((48, 1), (64, 5)), ((64, 1), (96, 3), (96, 3)))]  # fmt: skip
    pooled = layers.AveragePooling2D(3, strides=1, padding="same")(x)
    x = layers.Concatenate(axis=axis, name="mixed_5b")([*branches, _conv(pooled, 64, 1)])
    for i in range(1, 11):
        x = _block(x, 0.17, "block35", i)
    branches = [_conv(x, 384, 3, 2, "valid")]
    branches.append(_conv(_chain(x, (256, 1), (256, 3)), 384, 3, 2, "valid"))
    branches.append(layers.MaxPooling2D(3, strides=2)(x))
    x = layers.Concatenate(axis=axis, name="mixed_6a")(branches)
    for i in range(1, 21):
        x = _block(x, 0.1, "block17", i)
    branches = [_conv(_conv(x, 256, 1), 384, 3, 2, "valid")]
    branches.append(_conv(_conv(x, 256, 1), 288, 3, 2, "valid"))
    branches.append(_conv(_chain(x, (256, 1), (288, 3)), 320, 3, 2, "valid"))
    branches.append(layers.MaxPooling2D(3, strides=2)(x))
    x = layers.Concatenate(axis=axis, name="mixed_7a")(branches)
    for i in range(1, 10):
        x = _block(x, 0.2, "block8", i)
    x = _block(x, 1.0, "block8", 10, None)
    return _conv(x, 1536, 1, name="conv_7b")


_FILE = "inception_resnet_v2_weights_tf_dim_ordering_tf_kernels"


@hints_arguments
def InceptionResNetV2(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    name: str = "inception_resnet_v2",
) -> Model:
    """InceptionResNetV2 (Szegedy et al. 2017): branches beside a residual, 55.9 million weights.

    Pixels come as `preprocess_input` makes them.

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
        >>> network = fastnn.applications.InceptionResNetV2
        >>> network(weights=None, include_top=False, pooling="avg").output_shape
        (None, 1536)
    """
    return made(
        "InceptionResNetV2",
        _body,
        dense_top(classes, classifier_activation),
        size=299, least=75, files=(f"{_FILE}.h5", f"{_FILE}_notop.h5"), model_name=name,
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
        >>> from fastnn.applications import inception_resnet_v2
        >>> inception_resnet_v2.preprocess_input(np.full((1, 1, 3), 255.0)).ravel()
        array([1., 1., 1.])
    """
    return scaled(x, data_format, "tf")
