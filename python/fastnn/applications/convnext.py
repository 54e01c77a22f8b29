"""ConvNeXt: Tiny, Small, Base, Large and XLarge. Depends on `network`."""

from __future__ import annotations

from typing import Any

from fastnn import layers
from fastnn.applications.imagenet_utils import decode_predictions as decode_predictions
from fastnn.applications.network import axis_of_channels, made, preprocess_input as preprocess_input
from fastnn.base.arguments import hints_arguments
from fastnn.base.typing import Identifier, TensorLike
from fastnn.initializers import Constant
from fastnn.models import Model, Sequential

__all__ = [
    "ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtSmall", "ConvNeXtTiny", "ConvNeXtXLarge",
    "LayerScale", "decode_predictions", "preprocess_input",
]  # fmt: skip


class LayerScale(layers.Layer):
    """`x` times a learned number for each channel, which starts small.

    Args:
        init_values: The first value of each.
        projection_dim: The number of channels.
        **kwargs: `name` and what else every `Layer` takes.

    Example:
        >>> from fastnn.applications.convnext import LayerScale
        >>> LayerScale(0.5, 2)(np.ones((1, 2))).numpy()
        array([[0.5, 0.5]], dtype=float32)
    """

    init_values: float
    projection_dim: int

    def __init__(self, init_values: float, projection_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.init_values, self.projection_dim = init_values, projection_dim

    def build(self, input_shape: Any) -> None:
        """A number for each channel."""
        start = Constant(self.init_values)
        self.gamma = self.add_weight((self.projection_dim,), start, name="gamma")
        self.built = True

    def call(self, x: TensorLike) -> Any:
        """X * gamma."""
        return x * self.gamma.value


def _block(x: TensorLike, channels: int, name: str) -> Any:
    """A 7x7 convolution of each channel, then two dense layers; beside it the input."""
    y = layers.Conv2D(
        channels, 7, padding="same", groups=channels, name=f"{name}_depthwise_conv"
    )(x)  # fmt: skip
    y = layers.LayerNormalization(epsilon=1e-6, name=f"{name}_layernorm")(y)
    y = layers.Dense(4 * channels, name=f"{name}_pointwise_conv_1")(y)
    y = layers.Activation("gelu", name=f"{name}_gelu")(y)
    y = layers.Dense(channels, name=f"{name}_pointwise_conv_2")(y)
    y = LayerScale(1e-6, channels, name=f"{name}_layer_scale")(y)
    return x + layers.Activation("linear", name=f"{name}_identity")(y)


def _body(name: str, depths: tuple[int, ...], widths: tuple[int, ...], scaled: bool) -> Any:
    def body(x: TensorLike) -> Any:
        if axis_of_channels() == 1:
            raise ValueError(
                "ConvNeXt does not support the `channels_first` image data format\n"
                "  hint: fastnn.config.set_image_data_format('channels_last')"
            )
        if scaled and x.shape[-1] == 3:
            x = layers.Normalization(
                mean=[255 * m for m in (0.485, 0.456, 0.406)],
                variance=[(255 * d) ** 2 for d in (0.229, 0.224, 0.225)],
                name=f"{name}_prestem_normalization",
            )(x)
        for i, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            norm: dict[str, Any] = {"epsilon": 1e-6}
            if i == 0:
                parts = [
                    layers.Conv2D(width, 4, strides=4, name=f"{name}_stem_conv"),
                    layers.LayerNormalization(**norm, name=f"{name}_stem_layernorm"),
                ]
            else:
                at = f"{name}_downsampling"
                parts = [
                    layers.LayerNormalization(**norm, name=f"{at}_layernorm_{i - 1}"),
                    layers.Conv2D(width, 2, strides=2, name=f"{at}_conv_{i - 1}"),
                ]
            smaller = f"{name}_downsampling_block_{i - 1}" if i else f"{name}_stem"
            x = Sequential(parts, name=smaller)(x)
            for j in range(depth):
                x = _block(x, width, f"{name}_stage_{i}_block_{j}")
        return x

    return body


def _top(name: str, classes: int, activation: Identifier) -> Any:
    def top(x: TensorLike) -> Any:
        x = layers.GlobalAveragePooling2D(name=f"{name}_head_gap")(x)
        x = layers.LayerNormalization(epsilon=1e-6, name=f"{name}_head_layernorm")(x)
        return layers.Dense(classes, activation=activation, name=f"{name}_head_dense")(x)

    return top


def _end(x: TensorLike) -> Any:
    return layers.LayerNormalization(epsilon=1e-6)(x)


@hints_arguments
def ConvNeXtTiny(
    include_top: bool = True,
    include_preprocessing: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    name: str = "convnext_tiny",
) -> Model:
    """ConvNeXtTiny (Liu et al. 2022): blocks as transformers have them, 28.6 million weights.

    Pixels come from 0 to 255.

    Args:
        include_top: Whether the classifier is part of it.
        include_preprocessing: Whether the network itself scales the pixels.
        weights: None (random numbers), the path of a file of Keras's weights, or `"imagenet"`,
            which looks for Keras's file in `FASTNN_DATA` and the cache folders; nothing is
            downloaded.
        input_tensor: A symbolic tensor to start from; None makes an `Input`.
        input_shape: (height, width, channels) without the classifier; None leaves both sides open.
        pooling: Without the classifier: `"avg"` or `"max"` over all positions; None keeps them.
        classes: Classes of the classifier.
        classifier_activation: Of the classifier; None gives logits.
        name: The name of the model, by which its file of weights is looked for.

    Returns:
        A `Model`.

    Raises:
        DataError: There is no such file of weights, or it is for other classes.
        ShapeError: The input is too small, or has other channels than the weights are for.

    Example:
        >>> network = fastnn.applications.ConvNeXtTiny
        >>> network(weights=None, include_top=False, pooling="avg").output_shape
        (None, 768)
    """
    return made(
        "ConvNeXtTiny",
        _body(name, (3, 3, 9, 3), (96, 192, 384, 768), include_preprocessing),
        _top(name, classes, classifier_activation),
        size=224, least=32, files=(f"{name}.h5", f"{name}_notop.h5"), model_name=name,
        include_top=include_top, weights=weights, input_tensor=input_tensor,
        input_shape=input_shape, pooling=pooling, classes=classes, end=_end,
    )  # fmt: skip


@hints_arguments
def ConvNeXtSmall(
    include_top: bool = True,
    include_preprocessing: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    name: str = "convnext_small",
) -> Model:
    """ConvNeXtSmall (Liu et al. 2022): blocks as transformers have them, 50.2 million weights.

    Pixels come from 0 to 255.

    Args:
        include_top: Whether the classifier is part of it.
        include_preprocessing: Whether the network itself scales the pixels.
        weights: None (random numbers), the path of a file of Keras's weights, or `"imagenet"`,
            which looks for Keras's file in `FASTNN_DATA` and the cache folders; nothing is
            downloaded.
        input_tensor: A symbolic tensor to start from; None makes an `Input`.
        input_shape: (height, width, channels) without the classifier; None leaves both sides open.
        pooling: Without the classifier: `"avg"` or `"max"` over all positions; None keeps them.
        classes: Classes of the classifier.
        classifier_activation: Of the classifier; None gives logits.
        name: The name of the model, by which its file of weights is looked for.

    Returns:
        A `Model`.

    Raises:
        DataError: There is no such file of weights, or it is for other classes.
        ShapeError: The input is too small, or has other channels than the weights are for.

    Example:
        >>> network = fastnn.applications.ConvNeXtSmall
        >>> network(weights=None, include_top=False, pooling="avg").output_shape
        (None, 768)
    """
    return made(
        "ConvNeXtSmall",
        _body(name, (3, 3, 27, 3), (96, 192, 384, 768), include_preprocessing),
        _top(name, classes, classifier_activation),
        size=224, least=32, files=(f"{name}.h5", f"{name}_notop.h5"), model_name=name,
        include_top=include_top, weights=weights, input_tensor=input_tensor,
        input_shape=input_shape, pooling=pooling, classes=classes, end=_end,
    )  # fmt: skip


@hints_arguments
def ConvNeXtBase(
    include_top: bool = True,
    include_preprocessing: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    name: str = "convnext_base",
) -> Model:
    """ConvNeXtBase (Liu et al. 2022): blocks as transformers have them, 88.6 million weights.

    Pixels come from 0 to 255.

    Args:
        include_top: Whether the classifier is part of it.
        include_preprocessing: Whether the network itself scales the pixels.
        weights: None (random numbers), the path of a file of Keras's weights, or `"imagenet"`,
            which looks for Keras's file in `FASTNN_DATA` and the cache folders; nothing is
            downloaded.
        input_tensor: A symbolic tensor to start from; None makes an `Input`.
        input_shape: (height, width, channels) without the classifier; None leaves both sides open.
        pooling: Without the classifier: `"avg"` or `"max"` over all positions; None keeps them.
        classes: Classes of the classifier.
        classifier_activation: Of the classifier; None gives logits.
        name: The name of the model, by which its file of weights is looked for.

    Returns:
        A `Model`.

    Raises:
        DataError: There is no such file of weights, or it is for other classes.
        ShapeError: The input is too small, or has other channels than the weights are for.

    Example:
        >>> network = fastnn.applications.ConvNeXtBase
        >>> network(weights=None, include_top=False, pooling="avg").output_shape
        (None, 1024)
    """
    return made(
        "ConvNeXtBase",
        _body(name, (3, 3, 27, 3), (128, 256, 512, 1024), include_preprocessing),
        _top(name, classes, classifier_activation),
        size=224, least=32, files=(f"{name}.h5", f"{name}_notop.h5"), model_name=name,
        include_top=include_top, weights=weights, input_tensor=input_tensor,
        input_shape=input_shape, pooling=pooling, classes=classes, end=_end,
    )  # fmt: skip


@hints_arguments
def ConvNeXtLarge(
    include_top: bool = True,
    include_preprocessing: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    name: str = "convnext_large",
) -> Model:
    """ConvNeXtLarge (Liu et al. 2022): blocks as transformers have them, 197.8 million weights.

    Pixels come from 0 to 255.

    Args:
        include_top: Whether the classifier is part of it.
        include_preprocessing: Whether the network itself scales the pixels.
        weights: None (random numbers), the path of a file of Keras's weights, or `"imagenet"`,
            which looks for Keras's file in `FASTNN_DATA` and the cache folders; nothing is
            downloaded.
        input_tensor: A symbolic tensor to start from; None makes an `Input`.
        input_shape: (height, width, channels) without the classifier; None leaves both sides open.
        pooling: Without the classifier: `"avg"` or `"max"` over all positions; None keeps them.
        classes: Classes of the classifier.
        classifier_activation: Of the classifier; None gives logits.
        name: The name of the model, by which its file of weights is looked for.

    Returns:
        A `Model`.

    Raises:
        DataError: There is no such file of weights, or it is for other classes.
        ShapeError: The input is too small, or has other channels than the weights are for.

    Example:
        >>> network = fastnn.applications.ConvNeXtLarge
        >>> network(weights=None, include_top=False, pooling="avg").output_shape
        (None, 1536)
    """
    return made(
        "ConvNeXtLarge",
        _body(name, (3, 3, 27, 3), (192, 384, 768, 1536), include_preprocessing),
        _top(name, classes, classifier_activation),
        size=224, least=32, files=(f"{name}.h5", f"{name}_notop.h5"), model_name=name,
        include_top=include_top, weights=weights, input_tensor=input_tensor,
        input_shape=input_shape, pooling=pooling, classes=classes, end=_end,
    )  # fmt: skip


@hints_arguments
def ConvNeXtXLarge(
    include_top: bool = True,
    include_preprocessing: bool = True,
    weights: Any = "imagenet",
    input_tensor: TensorLike = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    name: str = "convnext_xlarge",
) -> Model:
    """ConvNeXtXLarge (Liu et al. 2022): blocks as transformers have them, 350.2 million weights.

    Pixels come from 0 to 255.

    Args:
        include_top: Whether the classifier is part of it.
        include_preprocessing: Whether the network itself scales the pixels.
        weights: None (random numbers), the path of a file of Keras's weights, or `"imagenet"`,
            which looks for Keras's file in `FASTNN_DATA` and the cache folders; nothing is
            downloaded.
        input_tensor: A symbolic tensor to start from; None makes an `Input`.
        input_shape: (height, width, channels) without the classifier; None leaves both sides open.
        pooling: Without the classifier: `"avg"` or `"max"` over all positions; None keeps them.
        classes: Classes of the classifier.
        classifier_activation: Of the classifier; None gives logits.
        name: The name of the model, by which its file of weights is looked for.

    Returns:
        A `Model`.

    Raises:
        DataError: There is no such file of weights, or it is for other classes.
        ShapeError: The input is too small, or has other channels than the weights are for.

    Example:
        >>> network = fastnn.applications.ConvNeXtXLarge
        >>> network(weights=None, include_top=False, pooling="avg").output_shape
        (None, 2048)
    """
    return made(
        "ConvNeXtXLarge",
        _body(name, (3, 3, 27, 3), (256, 512, 1024, 2048), include_preprocessing),
        _top(name, classes, classifier_activation),
        size=224, least=32, files=(f"{name}.h5", f"{name}_notop.h5"), model_name=name,
        include_top=include_top, weights=weights, input_tensor=input_tensor,
        input_shape=input_shape, pooling=pooling, classes=classes, end=_end,
    )  # fmt: skip
