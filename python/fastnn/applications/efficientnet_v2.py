"""EfficientNetV2: B0 to B3, S, M and L. Depends on `efficientnet`, `network`."""

from __future__ import annotations

import math
from typing import Any

from fastnn import layers
from fastnn.applications.efficientnet import KERNELS, classifier, conv, gated
from fastnn.applications.imagenet_utils import decode_predictions as decode_predictions
from fastnn.applications.network import axis_of_channels, made, preprocess_input as preprocess_input
from fastnn.base.arguments import hints_arguments
from fastnn.base.typing import Identifier, TensorLike
from fastnn.models import Model

__all__ = [
    "EfficientNetV2B0", "EfficientNetV2B1", "EfficientNetV2B2", "EfficientNetV2B3",
    "EfficientNetV2L", "EfficientNetV2M", "EfficientNetV2S", "decode_predictions",
    "preprocess_input",
]  # fmt: skip

#: Whether the block is a whole convolution, how often, channels in and out, expansion, whether it
#: has gates, stride: Tan and Le 2021, table 4.
Stage = tuple[bool, int, int, int, int, bool, int]
_B: tuple[Stage, ...] = (
    (True, 1, 32, 16, 1, False, 1), (True, 2, 16, 32, 4, False, 2),
    (True, 2, 32, 48, 4, False, 2), (False, 3, 48, 96, 4, True, 2),
    (False, 5, 96, 112, 6, True, 1), (False, 8, 112, 192, 6, True, 2),
)  # fmt: skip
_S: tuple[Stage, ...] = (
    (True, 2, 24, 24, 1, False, 1), (True, 4, 24, 48, 4, False, 2),
    (True, 4, 48, 64, 4, False, 2), (False, 6, 64, 128, 4, True, 2),
    (False, 9, 128, 160, 6, True, 1), (False, 15, 160, 256, 6, True, 2),
)  # fmt: skip
_M: tuple[Stage, ...] = (
    (True, 3, 24, 24, 1, False, 1), (True, 5, 24, 48, 4, False, 2),
    (True, 5, 48, 80, 4, False, 2), (False, 7, 80, 160, 4, True, 2),
    (False, 14, 160, 176, 6, True, 1), (False, 18, 176, 304, 6, True, 2),
    (False, 5, 304, 512, 6, True, 1),
)  # fmt: skip
_L: tuple[Stage, ...] = (
    (True, 4, 32, 32, 1, False, 1), (True, 7, 32, 64, 4, False, 2),
    (True, 7, 64, 96, 4, False, 2), (False, 10, 96, 192, 4, True, 2),
    (False, 19, 192, 224, 6, True, 1), (False, 25, 224, 384, 6, True, 2),
    (False, 7, 384, 640, 6, True, 1),
)  # fmt: skip


def _normed(x: TensorLike, name: str, activation: str | None = None) -> Any:
    x = layers.BatchNormalization(axis=axis_of_channels(), momentum=0.9, name=f"{name}bn")(x)
    return layers.Activation("swish", name=f"{name}{activation}")(x) if activation else x


def _block(
    x: TensorLike, name: str, whole: bool, channels: int, filters: int, expansion: int, gates: bool,
    stride: int, drop: float,
) -> Any:  # fmt: skip
    """Wider, depthwise, a gate, narrow again; a whole block widens by its 3x3 convolution, or has
    that alone. Beside it the input, where shapes agree.
    """
    wide, y = channels * expansion, x
    if expansion != 1:
        kernel, steps = (3, stride) if whole else (1, 1)
        y = conv(wide, kernel, f"{name}expand_conv", strides=steps)(y)
        y = _normed(y, f"{name}expand_", "activation")
    if not whole:
        y = layers.DepthwiseConv2D(
            3, strides=stride, padding="same", use_bias=False, depthwise_initializer=KERNELS,
            name=f"{name}dwconv2",
        )(y)  # fmt: skip
        y = _normed(y, name, "activation")
    if gates:
        y = gated(y, name, wide, max(1, int(channels * 0.25)))
    alone = whole and expansion == 1
    y = conv(filters, 3 if alone else 1, f"{name}project_conv", strides=stride if alone else 1)(y)
    y = _normed(y, f"{name}project_", "activation" if alone else None)
    if stride == 1 and channels == filters:
        if drop:
            y = layers.Dropout(drop, noise_shape=(None, 1, 1, 1), name=f"{name}drop")(y)
        y = layers.Add(name=f"{name}add")([y, x])
    return y


def _body(plan: tuple[Stage, ...], scaled: bool, width: float = 1.0, depth: float = 1.0) -> Any:
    def sized(filters: int) -> int:
        return max(8, int(filters * width + 4) // 8 * 8)

    def body(x: TensorLike) -> Any:
        axis = axis_of_channels()
        if scaled and plan is _B and x.shape[axis] == 3:
            x = layers.Rescaling(1.0 / 255)(x)
            variance = [0.229**2, 0.224**2, 0.225**2]
            x = layers.Normalization(mean=[0.485, 0.456, 0.406], variance=variance, axis=axis)(x)
        elif scaled:
            x = layers.Rescaling(1.0 / 128.0, offset=-1)(x)
        x = conv(sized(plan[0][2]), 3, "stem_conv", strides=2)(x)
        x = _normed(x, "stem_", "activation")
        blocks, number = sum(stage[1] for stage in plan), 0
        for i, (whole, count, channels, filters, expansion, gates, stride) in enumerate(plan):
            for j in range(math.ceil(depth * count)):
                x = _block(
                    x, f"block{i + 1}{chr(j + 97)}_", whole, sized(filters if j else channels),
                    sized(filters), expansion, gates, 1 if j else stride, 0.2 * number / blocks,
                )  # fmt: skip
                number += 1
        return _normed(conv(sized(1280), 1, "top_conv")(x), "top_", "activation")

    return body


@hints_arguments
def EfficientNetV2B0(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    include_preprocessing: bool = True,
    name: str = "efficientnetv2-b0",
) -> Model:
    """EfficientNetV2B0 (Tan and Le 2021): whole and gated blocks, 7.2 million weights.

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
        include_preprocessing: Whether the network itself scales the pixels.
        name: The name of the model, by which its file of weights is looked for.

    Returns:
        A `Model`.

    Raises:
        DataError: There is no such file of weights, or it is for other classes.
        ShapeError: The input is too small, or has other channels than the weights are for.

    Example:
        >>> network = fastnn.applications.EfficientNetV2B0
        >>> network(weights=None, include_top=False, pooling="avg").output_shape
        (None, 1280)
    """
    return made(
        "EfficientNetV2B0",
        _body(_B, include_preprocessing, 1.0, 1.0),
        classifier(classes, classifier_activation, 0.2),
        size=224, least=32, files=(f"{name}.h5", f"{name}_notop.h5"), model_name=name,
        include_top=include_top, weights=weights, input_tensor=input_tensor,
        input_shape=input_shape, pooling=pooling, classes=classes,
    )  # fmt: skip


@hints_arguments
def EfficientNetV2B1(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    include_preprocessing: bool = True,
    name: str = "efficientnetv2-b1",
) -> Model:
    """EfficientNetV2B1 (Tan and Le 2021): whole and gated blocks, 8.2 million weights.

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
        include_preprocessing: Whether the network itself scales the pixels.
        name: The name of the model, by which its file of weights is looked for.

    Returns:
        A `Model`.

    Raises:
        DataError: There is no such file of weights, or it is for other classes.
        ShapeError: The input is too small, or has other channels than the weights are for.

    Example:
        >>> network = fastnn.applications.EfficientNetV2B1
        >>> network(weights=None, include_top=False, pooling="avg").output_shape
        (None, 1280)
    """
    return made(
        "EfficientNetV2B1",
        _body(_B, include_preprocessing, 1.0, 1.1),
        classifier(classes, classifier_activation, 0.2),
        size=240, least=32, files=(f"{name}.h5", f"{name}_notop.h5"), model_name=name,
        include_top=include_top, weights=weights, input_tensor=input_tensor,
        input_shape=input_shape, pooling=pooling, classes=classes,
    )  # fmt: skip


@hints_arguments
def EfficientNetV2B2(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    include_preprocessing: bool = True,
    name: str = "efficientnetv2-b2",
) -> Model:
    """EfficientNetV2B2 (Tan and Le 2021): whole and gated blocks, 10.2 million weights.

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
        include_preprocessing: Whether the network itself scales the pixels.
        name: The name of the model, by which its file of weights is looked for.

    Returns:
        A `Model`.

    Raises:
        DataError: There is no such file of weights, or it is for other classes.
        ShapeError: The input is too small, or has other channels than the weights are for.

    Example:
        >>> network = fastnn.applications.EfficientNetV2B2
        >>> network(weights=None, include_top=False, pooling="avg").output_shape
        (None, 1408)
    """
    return made(
        "EfficientNetV2B2",
        _body(_B, include_preprocessing, 1.1, 1.2),
        classifier(classes, classifier_activation, 0.2),
        size=260, least=32, files=(f"{name}.h5", f"{name}_notop.h5"), model_name=name,
        include_top=include_top, weights=weights, input_tensor=input_tensor,
        input_shape=input_shape, pooling=pooling, classes=classes,
    )  # fmt: skip


@hints_arguments
def EfficientNetV2B3(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    include_preprocessing: bool = True,
    name: str = "efficientnetv2-b3",
) -> Model:
    """EfficientNetV2B3 (Tan and Le 2021): whole and gated blocks, 14.5 million weights.

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
        include_preprocessing: Whether the network itself scales the pixels.
        name: The name of the model, by which its file of weights is looked for.

    Returns:
        A `Model`.

    Raises:
        DataError: There is no such file of weights, or it is for other classes.
        ShapeError: The input is too small, or has other channels than the weights are for.

    Example:
        >>> network = fastnn.applications.EfficientNetV2B3
        >>> network(weights=None, include_top=False, pooling="avg").output_shape
        (None, 1536)
    """
    return made(
        "EfficientNetV2B3",
        _body(_B, include_preprocessing, 1.2, 1.4),
        classifier(classes, classifier_activation, 0.2),
        size=300, least=32, files=(f"{name}.h5", f"{name}_notop.h5"), model_name=name,
        include_top=include_top, weights=weights, input_tensor=input_tensor,
        input_shape=input_shape, pooling=pooling, classes=classes,
    )  # fmt: skip


@hints_arguments
def EfficientNetV2S(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    include_preprocessing: bool = True,
    name: str = "efficientnetv2-s",
) -> Model:
    """EfficientNetV2S (Tan and Le 2021): whole and gated blocks, 21.6 million weights.

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
        include_preprocessing: Whether the network itself scales the pixels.
        name: The name of the model, by which its file of weights is looked for.

    Returns:
        A `Model`.

    Raises:
        DataError: There is no such file of weights, or it is for other classes.
        ShapeError: The input is too small, or has other channels than the weights are for.

    Example:
        >>> network = fastnn.applications.EfficientNetV2S
        >>> network(weights=None, include_top=False, pooling="avg").output_shape
        (None, 1280)
    """
    return made(
        "EfficientNetV2S",
        _body(_S, include_preprocessing),
        classifier(classes, classifier_activation, 0.2),
        size=384, least=32, files=(f"{name}.h5", f"{name}_notop.h5"), model_name=name,
        include_top=include_top, weights=weights, input_tensor=input_tensor,
        input_shape=input_shape, pooling=pooling, classes=classes,
    )  # fmt: skip


@hints_arguments
def EfficientNetV2M(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    include_preprocessing: bool = True,
    name: str = "efficientnetv2-m",
) -> Model:
    """EfficientNetV2M (Tan and Le 2021): whole and gated blocks, 54.4 million weights.

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
        include_preprocessing: Whether the network itself scales the pixels.
        name: The name of the model, by which its file of weights is looked for.

    Returns:
        A `Model`.

    Raises:
        DataError: There is no such file of weights, or it is for other classes.
        ShapeError: The input is too small, or has other channels than the weights are for.

    Example:
        >>> network = fastnn.applications.EfficientNetV2M
        >>> network(weights=None, include_top=False, pooling="avg").output_shape
        (None, 1280)
    """
    return made(
        "EfficientNetV2M",
        _body(_M, include_preprocessing),
        classifier(classes, classifier_activation, 0.2),
        size=480, least=32, files=(f"{name}.h5", f"{name}_notop.h5"), model_name=name,
        include_top=include_top, weights=weights, input_tensor=input_tensor,
        input_shape=input_shape, pooling=pooling, classes=classes,
    )  # fmt: skip


@hints_arguments
def EfficientNetV2L(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    include_preprocessing: bool = True,
    name: str = "efficientnetv2-l",
) -> Model:
    """EfficientNetV2L (Tan and Le 2021): whole and gated blocks, 119.0 million weights.

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
        include_preprocessing: Whether the network itself scales the pixels.
        name: The name of the model, by which its file of weights is looked for.

    Returns:
        A `Model`.

    Raises:
        DataError: There is no such file of weights, or it is for other classes.
        ShapeError: The input is too small, or has other channels than the weights are for.

    Example:
        >>> network = fastnn.applications.EfficientNetV2L
        >>> network(weights=None, include_top=False, pooling="avg").output_shape
        (None, 1280)
    """
    return made(
        "EfficientNetV2L",
        _body(_L, include_preprocessing),
        classifier(classes, classifier_activation, 0.2),
        size=480, least=32, files=(f"{name}.h5", f"{name}_notop.h5"), model_name=name,
        include_top=include_top, weights=weights, input_tensor=input_tensor,
        input_shape=input_shape, pooling=pooling, classes=classes,
    )  # fmt: skip
