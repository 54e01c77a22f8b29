"""MobileNetV2. Depends on `network`."""

from __future__ import annotations

from typing import Any

from fastnn import layers
from fastnn.applications.imagenet_utils import (
    decode_predictions as decode_predictions,
    preprocess_input as _preprocess_input,
)
from fastnn.applications.network import (
    axis_of_channels,
    dense_top,
    even_padding,
    made,
    normed,
    trained_side,
    whole,
)
from fastnn.base.arguments import hints_arguments
from fastnn.base.typing import Identifier, TensorLike
from fastnn.models import Model

__all__ = ["MobileNetV2", "decode_predictions", "preprocess_input"]


def _block(x: TensorLike, filters: int, stride: int, expansion: int, index: int) -> Any:
    """1x1 wider, 3x3 depthwise, 1x1 narrow again; beside it the input, where shapes agree."""
    channels = x.shape[axis_of_channels()]
    name = f"block_{index}" if index else "expanded_conv"
    y = x
    if index:
        y = layers.Conv2D(
            expansion * channels, 1, padding="same", use_bias=False, name=f"{name}_expand"
        )(y)
        y = layers.ReLU(6.0, name=f"{name}_expand_relu")(normed(y, f"{name}_expand_BN"))
    if stride == 2:
        y = layers.ZeroPadding2D(even_padding(y, 3), name=f"{name}_pad")(y)
    y = layers.DepthwiseConv2D(
        3, strides=stride, use_bias=False, padding="same" if stride == 1 else "valid",
        name=f"{name}_depthwise",
    )(y)  # fmt: skip
    y = layers.ReLU(6.0, name=f"{name}_depthwise_relu")(normed(y, f"{name}_depthwise_BN"))
    y = layers.Conv2D(filters, 1, padding="same", use_bias=False, name=f"{name}_project")(y)
    y = normed(y, f"{name}_project_BN")
    return layers.Add(name=f"{name}_add")([x, y]) if channels == filters and stride == 1 else y


def _body(alpha: float) -> Any:
    plan = ((16, 1, 1, 1), (24, 2, 6, 2), (32, 2, 6, 3), (64, 2, 6, 4), (96, 1, 6, 3),
            (160, 2, 6, 3), (320, 1, 6, 1))  # fmt: skip

    def body(x: TensorLike) -> Any:
        x = layers.Conv2D(
            whole(32 * alpha), 3, strides=2, padding="same", use_bias=False, name="Conv1"
        )(x)
        x = layers.ReLU(6.0, name="Conv1_relu")(normed(x, "bn_Conv1"))
        index = 0
        for filters, stride, expansion, count in plan:
            for i in range(count):
                width = whole(int(filters * alpha))
                x = _block(x, width, stride if i == 0 else 1, expansion, index)
                index += 1
        last = whole(1280 * alpha) if alpha > 1.0 else 1280
        x = layers.Conv2D(last, 1, use_bias=False, name="Conv_1")(x)
        return layers.ReLU(6.0, name="out_relu")(normed(x, "Conv_1_bn"))

    return body


@hints_arguments
def MobileNetV2(
    input_shape: Any = None,
    alpha: float = 1.0,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    name: str | None = None,
) -> Model:
    """MobileNetV2 (Sandler et al. 2018): wide depthwise blocks between narrow shortcuts, 3.5
    million weights.

    Args:
        input_shape: (height, width, channels); None: 224 x 224 x 3 with the classifier, else both
            sides are open.
        alpha: The share of the channels: 0.35, 0.5, 0.75, 1, 1.3 or 1.4.
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
        >>> network = fastnn.applications.MobileNetV2
        >>> network(weights=None, include_top=False, pooling="avg").output_shape
        (None, 1280)
    """
    side = trained_side(input_shape, (96, 128, 160, 192, 224))
    files: tuple[str | None, str | None] = (None, None)
    if alpha in (0.35, 0.5, 0.75, 1.0, 1.3, 1.4):
        stem = f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{float(alpha)}_{side}"
        files = (f"{stem}.h5", f"{stem}_no_top.h5")
    rows = side if weights == "imagenet" or input_shape is None else input_shape[0]
    return made(
        "MobileNetV2", _body(alpha),
        dense_top(classes, classifier_activation, pool="global_average_pooling2d"),
        size=side, least=32, files=files,
        model_name=name or f"mobilenetv2_{alpha:0.2f}_{rows}",
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
        >>> fastnn.applications.mobilenet_v2.preprocess_input(x).shape
        (1, 2, 2, 3)
    """
    return _preprocess_input(x, data_format, "tf")
