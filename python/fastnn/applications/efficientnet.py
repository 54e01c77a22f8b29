"""EfficientNetB0 to EfficientNetB7. Depends on `network`."""

from __future__ import annotations

import math
from typing import Any

from fastnn import layers
from fastnn.applications.imagenet_utils import decode_predictions as decode_predictions
from fastnn.applications.network import (
    axis_of_channels,
    even_padding,
    made,
    preprocess_input as preprocess_input,
    whole,
)
from fastnn.base.arguments import hints_arguments
from fastnn.base.typing import Identifier, TensorLike
from fastnn.models import Model

__all__ = [
    "EfficientNetB0", "EfficientNetB1", "EfficientNetB2", "EfficientNetB3",
    "EfficientNetB4", "EfficientNetB5", "EfficientNetB6", "EfficientNetB7",
    "decode_predictions", "preprocess_input",
]  # fmt: skip


#: Kernel, how often, channels in and out, expansion, stride: Tan and Le 2019, table 1.
_PLAN = (
    (3, 1, 32, 16, 1, 1), (3, 2, 16, 24, 6, 2), (5, 2, 24, 40, 6, 2), (3, 3, 40, 80, 6, 2),
    (5, 3, 80, 112, 6, 1), (5, 4, 112, 192, 6, 2), (3, 1, 192, 320, 6, 1),
)  # fmt: skip
#: As the networks were trained: random weights have these variances, depths and means.
KERNELS = {
    "class_name": "VarianceScaling",
    "config": {"scale": 2.0, "mode": "fan_out", "distribution": "truncated_normal"},
}
_DENSE = {
    "class_name": "VarianceScaling",
    "config": {"scale": 1.0 / 3.0, "mode": "fan_out", "distribution": "uniform"},
}


def conv(filters: int, kernel: int, name: str, **how: Any) -> Any:
    """A convolution as all of these networks have it."""
    how = {"padding": "same", "use_bias": False, "kernel_initializer": KERNELS, **how}
    return layers.Conv2D(filters, kernel, name=name, **how)


def _normed(x: TensorLike, name: str) -> Any:
    return layers.BatchNormalization(axis=axis_of_channels(), name=name)(x)


def gated(x: TensorLike, name: str, wide: int, few: int) -> Any:
    """`x` times a gate for each of its `wide` channels, made of their means through `few` ones."""
    gate = layers.GlobalAveragePooling2D(name=f"{name}se_squeeze")(x)
    shape = (wide, 1, 1) if axis_of_channels() == 1 else (1, 1, wide)
    gate = layers.Reshape(shape, name=f"{name}se_reshape")(gate)
    gate = conv(few, 1, f"{name}se_reduce", use_bias=True, activation="swish")(gate)
    gate = conv(wide, 1, f"{name}se_expand", use_bias=True, activation="sigmoid")(gate)
    return layers.Multiply(name=f"{name}se_excite")([x, gate])


def _block(
    x: TensorLike, name: str, kernel: int, channels: int, filters: int, expansion: int, stride: int,
    drop: float,
) -> Any:  # fmt: skip
    """1x1 wider, depthwise, a gate, 1x1 narrow again; beside it the input, where shapes agree."""
    wide = channels * expansion
    y = x
    if expansion != 1:
        y = _normed(conv(wide, 1, f"{name}expand_conv")(y), f"{name}expand_bn")
        y = layers.Activation("swish", name=f"{name}expand_activation")(y)
    if stride == 2:
        y = layers.ZeroPadding2D(even_padding(y, kernel), name=f"{name}dwconv_pad")(y)
    y = layers.DepthwiseConv2D(
        kernel, strides=stride, padding="valid" if stride == 2 else "same", use_bias=False,
        depthwise_initializer=KERNELS, name=f"{name}dwconv",
    )(y)  # fmt: skip
    y = layers.Activation("swish", name=f"{name}activation")(_normed(y, f"{name}bn"))
    y = gated(y, name, wide, max(1, int(channels * 0.25)))
    y = _normed(conv(filters, 1, f"{name}project_conv")(y), f"{name}project_bn")
    if stride == 1 and channels == filters:
        if drop > 0:
            y = layers.Dropout(drop, noise_shape=(None, 1, 1, 1), name=f"{name}drop")(y)
        y = layers.Add(name=f"{name}add")([y, x])
    return y


def _body(width: float, depth: float, trained: bool, drop_rate: float = 0.2) -> Any:
    def scaled(filters: float) -> int:
        return whole(filters * width)

    def often(count: int) -> int:
        return math.ceil(depth * count)

    def body(x: TensorLike) -> Any:
        axis = axis_of_channels()
        x = layers.Rescaling(1.0 / 255.0)(x)
        x = layers.Normalization(axis=axis)(x)
        if trained:
            # The files hold variances where deviations were meant; this factor makes up for it.
            scale = [1.0 / math.sqrt(s) for s in (0.229, 0.224, 0.225)]
            x = layers.Rescaling(scale)(x)
        x = layers.ZeroPadding2D(even_padding(x, 3), name="stem_conv_pad")(x)
        x = conv(scaled(32), 3, "stem_conv", strides=2, padding="valid")(x)
        x = layers.Activation("swish", name="stem_activation")(_normed(x, "stem_bn"))
        blocks = sum(often(stage[1]) for stage in _PLAN)
        number = 0
        for i, (kernel, count, channels, filters, expansion, stride) in enumerate(_PLAN):
            for j in range(often(count)):
                x = _block(
                    x, f"block{i + 1}{chr(j + 97)}_", kernel,
                    scaled(channels) if j == 0 else scaled(filters), scaled(filters), expansion,
                    stride if j == 0 else 1, drop_rate * number / blocks,
                )  # fmt: skip
                number += 1
        x = _normed(conv(scaled(1280), 1, "top_conv")(x), "top_bn")
        return layers.Activation("swish", name="top_activation")(x)

    return body


def classifier(classes: int, activation: Identifier, dropout: float) -> Any:
    """The layers on top."""

    def top(x: TensorLike) -> Any:
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
        x = layers.Dropout(dropout, name="top_dropout")(x)
        return layers.Dense(
            classes, activation=activation, kernel_initializer=_DENSE, name="predictions"
        )(x)

    return top


@hints_arguments
def EfficientNetB0(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    name: str = "efficientnetb0",
) -> Model:
    """EfficientNetB0 (Tan and Le 2019): depthwise blocks with gates, 5.3 million weights.

    Pixels come from 0 to 255.

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
        >>> network = fastnn.applications.EfficientNetB0
        >>> network(weights=None, include_top=False, pooling="avg").output_shape
        (None, 1280)
    """
    return made(
        "EfficientNetB0",
        _body(1.0, 1.0, weights == "imagenet"),
        classifier(classes, classifier_activation, 0.2),
        size=224, least=32, files=("efficientnetb0.h5", "efficientnetb0_notop.h5"), model_name=name,
        include_top=include_top, weights=weights, input_tensor=input_tensor,
        input_shape=input_shape, pooling=pooling, classes=classes,
    )  # fmt: skip


@hints_arguments
def EfficientNetB1(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    name: str = "efficientnetb1",
) -> Model:
    """EfficientNetB1 (Tan and Le 2019): depthwise blocks with gates, 7.9 million weights.

    Pixels come from 0 to 255.

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
        >>> network = fastnn.applications.EfficientNetB1
        >>> network(weights=None, include_top=False, pooling="avg").output_shape
        (None, 1280)
    """
    return made(
        "EfficientNetB1",
        _body(1.0, 1.1, weights == "imagenet"),
        classifier(classes, classifier_activation, 0.2),
        size=240, least=32, files=("efficientnetb1.h5", "efficientnetb1_notop.h5"), model_name=name,
        include_top=include_top, weights=weights, input_tensor=input_tensor,
        input_shape=input_shape, pooling=pooling, classes=classes,
    )  # fmt: skip


@hints_arguments
def EfficientNetB2(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    name: str = "efficientnetb2",
) -> Model:
    """EfficientNetB2 (Tan and Le 2019): depthwise blocks with gates, 9.2 million weights.

    Pixels come from 0 to 255.

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
        >>> fastnn.applications.EfficientNetB2.__name__
        'EfficientNetB2'
    """
    return made(
        "EfficientNetB2",
        _body(1.1, 1.2, weights == "imagenet"),
        classifier(classes, classifier_activation, 0.3),
        size=260, least=32, files=("efficientnetb2.h5", "efficientnetb2_notop.h5"), model_name=name,
        include_top=include_top, weights=weights, input_tensor=input_tensor,
        input_shape=input_shape, pooling=pooling, classes=classes,
    )  # fmt: skip


@hints_arguments
def EfficientNetB3(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    name: str = "efficientnetb3",
) -> Model:
    """EfficientNetB3 (Tan and Le 2019): depthwise blocks with gates, 12.3 million weights.

    Pixels come from 0 to 255.

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
        >>> fastnn.applications.EfficientNetB3.__name__
        'EfficientNetB3'
    """
    return made(
        "EfficientNetB3",
        _body(1.2, 1.4, weights == "imagenet"),
        classifier(classes, classifier_activation, 0.3),
        size=300, least=32, files=("efficientnetb3.h5", "efficientnetb3_notop.h5"), model_name=name,
        include_top=include_top, weights=weights, input_tensor=input_tensor,
        input_shape=input_shape, pooling=pooling, classes=classes,
    )  # fmt: skip


@hints_arguments
def EfficientNetB4(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    name: str = "efficientnetb4",
) -> Model:
    """EfficientNetB4 (Tan and Le 2019): depthwise blocks with gates, 19.5 million weights.

    Pixels come from 0 to 255.

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
        >>> fastnn.applications.EfficientNetB4.__name__
        'EfficientNetB4'
    """
    return made(
        "EfficientNetB4",
        _body(1.4, 1.8, weights == "imagenet"),
        classifier(classes, classifier_activation, 0.4),
        size=380, least=32, files=("efficientnetb4.h5", "efficientnetb4_notop.h5"), model_name=name,
        include_top=include_top, weights=weights, input_tensor=input_tensor,
        input_shape=input_shape, pooling=pooling, classes=classes,
    )  # fmt: skip


@hints_arguments
def EfficientNetB5(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    name: str = "efficientnetb5",
) -> Model:
    """EfficientNetB5 (Tan and Le 2019): depthwise blocks with gates, 30.6 million weights.

    Pixels come from 0 to 255.

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
        >>> fastnn.applications.EfficientNetB5.__name__
        'EfficientNetB5'
    """
    return made(
        "EfficientNetB5",
        _body(1.6, 2.2, weights == "imagenet"),
        classifier(classes, classifier_activation, 0.4),
        size=456, least=32, files=("efficientnetb5.h5", "efficientnetb5_notop.h5"), model_name=name,
        include_top=include_top, weights=weights, input_tensor=input_tensor,
        input_shape=input_shape, pooling=pooling, classes=classes,
    )  # fmt: skip


@hints_arguments
def EfficientNetB6(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    name: str = "efficientnetb6",
) -> Model:
    """EfficientNetB6 (Tan and Le 2019): depthwise blocks with gates, 43.3 million weights.

    Pixels come from 0 to 255.

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
        >>> fastnn.applications.EfficientNetB6.__name__
        'EfficientNetB6'
    """
    return made(
        "EfficientNetB6",
        _body(1.8, 2.6, weights == "imagenet"),
        classifier(classes, classifier_activation, 0.5),
        size=528, least=32, files=("efficientnetb6.h5", "efficientnetb6_notop.h5"), model_name=name,
        include_top=include_top, weights=weights, input_tensor=input_tensor,
        input_shape=input_shape, pooling=pooling, classes=classes,
    )  # fmt: skip


@hints_arguments
def EfficientNetB7(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    name: str = "efficientnetb7",
) -> Model:
    """EfficientNetB7 (Tan and Le 2019): depthwise blocks with gates, 66.7 million weights.

    Pixels come from 0 to 255.

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
        >>> fastnn.applications.EfficientNetB7.__name__
        'EfficientNetB7'
    """
    return made(
        "EfficientNetB7",
        _body(2.0, 3.1, weights == "imagenet"),
        classifier(classes, classifier_activation, 0.5),
        size=600, least=32, files=("efficientnetb7.h5", "efficientnetb7_notop.h5"), model_name=name,
        include_top=include_top, weights=weights, input_tensor=input_tensor,
        input_shape=input_shape, pooling=pooling, classes=classes,
    )  # fmt: skip
