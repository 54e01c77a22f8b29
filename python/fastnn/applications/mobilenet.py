"""MobileNet. Depends on `network`."""

from __future__ import annotations

from typing import Any

from fastnn import layers
from fastnn.applications.imagenet_utils import (
    decode_predictions as decode_predictions,
    preprocess_input as _preprocess_input,
)
from fastnn.applications.network import axis_of_channels, made, trained_side
from fastnn.base.arguments import hints_arguments
from fastnn.base.typing import Identifier, TensorLike
from fastnn.models import Model

__all__ = ["MobileNet", "decode_predictions", "preprocess_input"]


def _active(x: TensorLike, name: str) -> Any:
    x = layers.BatchNormalization(axis=axis_of_channels(), name=f"{name}_bn")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x)


def _body(alpha: float, depth_multiplier: int) -> Any:
    plan = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5,
            (1024, 2), (1024, 1))  # fmt: skip

    def body(x: TensorLike) -> Any:
        x = layers.Conv2D(
            int(32 * alpha), 3, strides=2, padding="same", use_bias=False, name="conv1"
        )(x)
        x = _active(x, "conv1")
        for i, (filters, stride) in enumerate(plan, 1):
            if stride == 2:
                x = layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"conv_pad_{i}")(x)
            x = layers.DepthwiseConv2D(
                3, strides=stride, padding="same" if stride == 1 else "valid", use_bias=False,
                depth_multiplier=depth_multiplier, name=f"conv_dw_{i}",
            )(x)  # fmt: skip
            x = _active(x, f"conv_dw_{i}")
            x = layers.Conv2D(
                int(filters * alpha), 1, padding="same", use_bias=False, name=f"conv_pw_{i}"
            )(x)
            x = _active(x, f"conv_pw_{i}")
        return x

    return body


def _top(classes: int, activation: Identifier, dropout: float) -> Any:
    def top(x: TensorLike) -> Any:
        x = layers.GlobalAveragePooling2D(keepdims=True)(x)
        x = layers.Dropout(dropout, name="dropout")(x)
        x = layers.Conv2D(classes, 1, padding="same", name="conv_preds")(x)
        x = layers.Reshape((classes,), name="reshape_2")(x)
        return layers.Activation(activation=activation or "linear", name="predictions")(x)

    return top


@hints_arguments
def MobileNet(
    input_shape: Any = None,
    alpha: float = 1.0,
    depth_multiplier: int = 1,
    dropout: float = 1e-3,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    name: str | None = None,
) -> Model:
    """MobileNet (Howard et al. 2017): depthwise and 1x1 convolutions, 4.3 million weights.

    Args:
        input_shape: (height, width, channels); None: 224 x 224 x 3 with the classifier, else both
            sides are open.
        alpha: The share of the channels: 0.25, 0.5, 0.75 or 1.
        depth_multiplier: Windows of each channel.
        dropout: The share dropped before the classifier.
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
        >>> network = fastnn.applications.MobileNet
        >>> network(weights=None, include_top=False, pooling="avg").output_shape
        (None, 1024)
    """
    side = trained_side(input_shape, (128, 160, 192, 224))
    share = {1.0: "1_0", 0.75: "7_5", 0.5: "5_0", 0.25: "2_5"}.get(alpha)
    files: tuple[str | None, str | None] = (None, None)
    if share is not None and depth_multiplier == 1:
        files = (f"mobilenet_{share}_{side}_tf.h5", f"mobilenet_{share}_{side}_tf_no_top.h5")
    rows = side if weights == "imagenet" or input_shape is None else input_shape[0]
    return made(
        "MobileNet", _body(alpha, depth_multiplier), _top(classes, classifier_activation, dropout),
        size=side, least=32, files=files,
        model_name=name or f"mobilenet_{alpha:0.2f}_{rows}",
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
        >>> fastnn.applications.mobilenet.preprocess_input(x).shape
        (1, 2, 2, 3)
    """
    return _preprocess_input(x, data_format, "tf")
