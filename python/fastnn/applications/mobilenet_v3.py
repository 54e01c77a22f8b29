"""MobileNetV3Small and MobileNetV3Large. Depends on `network`."""

from __future__ import annotations

from typing import Any

from fastnn import layers
from fastnn.applications.imagenet_utils import decode_predictions as decode_predictions
from fastnn.applications.network import (
    axis_of_channels,
    even_padding,
    made,
    normed,
    preprocess_input as preprocess_input,
    whole,
)
from fastnn.base.arguments import hints_arguments
from fastnn.base.typing import Identifier, TensorLike
from fastnn.models import Model

__all__ = ["MobileNetV3Large", "MobileNetV3Small", "decode_predictions", "preprocess_input"]


def _swish(x: TensorLike) -> Any:
    """X relu6(x + 3) / 6."""
    return layers.Activation("hard_swish")(x)


def _relu(x: TensorLike, name: str | None = None) -> Any:
    return layers.ReLU(name=name)(x)


def _hard_sigmoid(x: TensorLike) -> Any:
    return layers.ReLU(6.0)(x + 3.0) * (1.0 / 6.0)


def _gate(x: TensorLike, filters: int, name: str) -> Any:
    """Squeeze and excitation: a factor for each channel, from its mean."""
    y = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze_excite_avg_pool")(x)
    y = layers.Conv2D(whole(filters * 0.25), 1, padding="same", name=f"{name}_squeeze_excite_conv")(
        y
    )
    y = _relu(y, f"{name}_squeeze_excite_relu")
    y = layers.Conv2D(filters, 1, padding="same", name=f"{name}_squeeze_excite_conv_1")(y)
    return layers.Multiply(name=f"{name}_squeeze_excite_mul")([x, _hard_sigmoid(y)])


def _block(
    x: TensorLike,
    expansion: float,
    filters: int,
    kernel: int,
    stride: int,
    gate: bool,
    active: Any,
    index: int,
) -> Any:
    """1x1 wider, depthwise, a gate, 1x1 narrow again; beside it the input, where shapes agree."""
    channels = x.shape[axis_of_channels()]
    name = f"expanded_conv_{index}" if index else "expanded_conv"
    inner = whole(channels * expansion)
    y = x
    if index:
        y = layers.Conv2D(inner, 1, padding="same", use_bias=False, name=f"{name}_expand")(y)
        y = active(normed(y, f"{name}_expand_bn"))
    if stride == 2:
        y = layers.ZeroPadding2D(even_padding(y, kernel), name=f"{name}_depthwise_pad")(y)
    y = layers.DepthwiseConv2D(
        kernel, strides=stride, padding="same" if stride == 1 else "valid", use_bias=False,
        name=f"{name}_depthwise",
    )(y)  # fmt: skip
    y = active(normed(y, f"{name}_depthwise_bn"))
    if gate:
        y = _gate(y, inner, name)
    y = layers.Conv2D(filters, 1, padding="same", use_bias=False, name=f"{name}_project")(y)
    y = normed(y, f"{name}_project_bn")
    same = stride == 1 and channels == filters
    return layers.Add(name=f"{name}_add")([x, y]) if same else y


#: Expansion, channels, kernel, stride, gate, and whether hard swish follows, block by block.
_SMALL = (
    (1, 16, 3, 2, 1, 0), (72 / 16, 24, 3, 2, 0, 0), (88 / 24, 24, 3, 1, 0, 0), (4, 40, 5, 2, 1, 1),
    (6, 40, 5, 1, 1, 1), (6, 40, 5, 1, 1, 1), (3, 48, 5, 1, 1, 1), (3, 48, 5, 1, 1, 1),
    (6, 96, 5, 2, 1, 1), (6, 96, 5, 1, 1, 1), (6, 96, 5, 1, 1, 1),
)  # fmt: skip
_LARGE = (
    (1, 16, 3, 1, 0, 0), (4, 24, 3, 2, 0, 0), (3, 24, 3, 1, 0, 0), (3, 40, 5, 2, 1, 0),
    (3, 40, 5, 1, 1, 0), (3, 40, 5, 1, 1, 0), (6, 80, 3, 2, 0, 1), (2.5, 80, 3, 1, 0, 1),
    (2.3, 80, 3, 1, 0, 1), (2.3, 80, 3, 1, 0, 1), (6, 112, 3, 1, 1, 1), (6, 112, 3, 1, 1, 1),
    (6, 160, 5, 2, 1, 1), (6, 160, 5, 1, 1, 1), (6, 160, 5, 1, 1, 1),
)  # fmt: skip


def _minimal(block: tuple[Any, ...]) -> tuple[Any, ...]:
    expansion, filters, _, stride, _, _ = block
    return expansion, filters, 3, stride, 0, 0


def _body(plan: Any, alpha: float, minimalistic: bool, preprocessing: bool) -> Any:
    def body(x: TensorLike) -> Any:
        if preprocessing:
            x = layers.Rescaling(1.0 / 127.5, offset=-1.0)(x)
        swish = _relu if minimalistic else _swish
        x = layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False, name="conv")(x)
        x = swish(normed(x, "conv_bn"))
        for i, block in enumerate(plan):
            expansion, filters, kernel, stride, gate, swished = (
                _minimal(block) if minimalistic else block
            )
            active = swish if swished else _relu
            width = whole(filters * alpha)
            x = _block(x, expansion, width, kernel, stride, bool(gate), active, i)
        last = whole(x.shape[axis_of_channels()] * 6)
        x = layers.Conv2D(last, 1, padding="same", use_bias=False, name="conv_1")(x)
        return swish(normed(x, "conv_1_bn"))

    return body


def _top(
    points: int,
    alpha: float,
    minimalistic: bool,
    classes: int,
    dropout: float,
    activation: Identifier,
) -> Any:
    def top(x: TensorLike) -> Any:
        wide = whole(points * alpha) if alpha > 1.0 else points
        x = layers.GlobalAveragePooling2D(keepdims=True)(x)
        x = layers.Conv2D(wide, 1, padding="same", name="conv_2")(x)
        x = _relu(x) if minimalistic else _swish(x)
        if dropout > 0:
            x = layers.Dropout(dropout)(x)
        x = layers.Conv2D(classes, 1, padding="same", name="logits")(x)
        x = layers.Flatten()(x)
        return layers.Activation(activation=activation or "linear", name="predictions")(x)

    return top


@hints_arguments
def MobileNetV3Small(
    input_shape: Any = None,
    alpha: float = 1.0,
    minimalistic: bool = False,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    classes: int = 1000,
    pooling: str | None = None,
    dropout_rate: float = 0.2,
    classifier_activation: Identifier = "softmax",
    include_preprocessing: bool = True,
    name: str = "MobileNetV3Small",
) -> Model:
    """MobileNetV3Small (Howard et al. 2019): depthwise blocks with gates, 2.6 million weights.

    Args:
        input_shape: (height, width, channels); None: 224 x 224 x 3 with the classifier, else both
            sides are open.
        alpha: The share of the channels: 0.75 or 1.
        minimalistic: Whether gates, 5x5 windows and hard swish are left out.
        include_top: Whether the classifier is part of it.
        weights: None (random numbers), the path of a file of Keras's weights, or `"imagenet"`,
            which looks for Keras's file in `FASTNN_DATA` and the cache folders; nothing is
            downloaded.
        input_tensor: A symbolic tensor to start from; None makes an `Input`.
        pooling: Without the classifier: `"avg"` or `"max"` over all positions; None keeps them.
        classes: Classes of the classifier.
        dropout_rate: The share dropped before the classifier.
        classifier_activation: Of the classifier; None gives logits.
        include_preprocessing: Whether the network brings pixels from 0 to 255 to -1 to 1 itself.
        name: The name of the model.

    Returns:
        A `Model`.

    Raises:
        DataError: There is no such file of weights, or it is for other classes.
        ShapeError: The input is too small, or has other channels than the weights are for.

    Example:
        >>> network = fastnn.applications.MobileNetV3Small
        >>> network(weights=None, include_top=False, pooling="avg").output_shape
        (None, 576)
    """
    files: tuple[str | None, str | None] = (None, None)
    if alpha == 1.0 or (alpha == 0.75 and not minimalistic):
        size = "minimalistic_224" if minimalistic else "224"
        stem = f"weights_mobilenet_v3_small_{size}_{float(alpha)}_float"
        files = (f"{stem}.h5", f"{stem}_no_top_v2.h5")
    return made(
        "MobileNetV3Small", _body(_SMALL, alpha, minimalistic, include_preprocessing),
        _top(1024, alpha, minimalistic, classes, dropout_rate, classifier_activation),
        size=224, least=32, files=files, model_name=name,
        include_top=include_top, weights=weights, input_tensor=input_tensor,
        input_shape=input_shape, pooling=pooling, classes=classes,
    )  # fmt: skip


@hints_arguments
def MobileNetV3Large(
    input_shape: Any = None,
    alpha: float = 1.0,
    minimalistic: bool = False,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    classes: int = 1000,
    pooling: str | None = None,
    dropout_rate: float = 0.2,
    classifier_activation: Identifier = "softmax",
    include_preprocessing: bool = True,
    name: str = "MobileNetV3Large",
) -> Model:
    """MobileNetV3Large (Howard et al. 2019): depthwise blocks with gates, 5.5 million weights.

    Args:
        input_shape: (height, width, channels); None: 224 x 224 x 3 with the classifier, else both
            sides are open.
        alpha: The share of the channels: 0.75 or 1.
        minimalistic: Whether gates, 5x5 windows and hard swish are left out.
        include_top: Whether the classifier is part of it.
        weights: None (random numbers), the path of a file of Keras's weights, or `"imagenet"`,
            which looks for Keras's file in `FASTNN_DATA` and the cache folders; nothing is
            downloaded.
        input_tensor: A symbolic tensor to start from; None makes an `Input`.
        pooling: Without the classifier: `"avg"` or `"max"` over all positions; None keeps them.
        classes: Classes of the classifier.
        dropout_rate: The share dropped before the classifier.
        classifier_activation: Of the classifier; None gives logits.
        include_preprocessing: Whether the network brings pixels from 0 to 255 to -1 to 1 itself.
        name: The name of the model.

    Returns:
        A `Model`.

    Raises:
        DataError: There is no such file of weights, or it is for other classes.
        ShapeError: The input is too small, or has other channels than the weights are for.

    Example:
        >>> network = fastnn.applications.MobileNetV3Large
        >>> network(weights=None, include_top=False, pooling="avg").output_shape
        (None, 960)
    """
    files: tuple[str | None, str | None] = (None, None)
    if alpha == 1.0 or (alpha == 0.75 and not minimalistic):
        size = "minimalistic_224" if minimalistic else "224"
        stem = f"weights_mobilenet_v3_large_{size}_{float(alpha)}_float"
        files = (f"{stem}.h5", f"{stem}_no_top_v2.h5")
    return made(
        "MobileNetV3Large", _body(_LARGE, alpha, minimalistic, include_preprocessing),
        _top(1280, alpha, minimalistic, classes, dropout_rate, classifier_activation),
        size=224, least=32, files=files, model_name=name,
        include_top=include_top, weights=weights, input_tensor=input_tensor,
        input_shape=input_shape, pooling=pooling, classes=classes,
    )  # fmt: skip
