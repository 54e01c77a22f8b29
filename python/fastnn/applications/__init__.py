"""`keras.applications`: networks for pictures, with Keras's names of layers and weights.

Weights are random, of a file, or of Keras's published files where they lie at hand; nothing is
downloaded. Each module has `preprocess_input` and `decode_predictions` of its networks.
"""

from __future__ import annotations

from fastnn.applications import (
    convnext,
    densenet,
    efficientnet,
    efficientnet_v2,
    imagenet_utils,
    inception_resnet_v2,
    inception_v3,
    mobilenet,
    mobilenet_v2,
    mobilenet_v3,
    nasnet,
    resnet,
    resnet50,
    resnet_v2,
    squeezenet,
    vgg16,
    vgg19,
    xception,
)
from fastnn.applications.convnext import (
    ConvNeXtBase,
    ConvNeXtLarge,
    ConvNeXtSmall,
    ConvNeXtTiny,
    ConvNeXtXLarge,
)
from fastnn.applications.densenet import DenseNet121, DenseNet169, DenseNet201
from fastnn.applications.efficientnet import (
    EfficientNetB0,
    EfficientNetB1,
    EfficientNetB2,
    EfficientNetB3,
    EfficientNetB4,
    EfficientNetB5,
    EfficientNetB6,
    EfficientNetB7,
)
from fastnn.applications.efficientnet_v2 import (
    EfficientNetV2B0,
    EfficientNetV2B1,
    EfficientNetV2B2,
    EfficientNetV2B3,
    EfficientNetV2L,
    EfficientNetV2M,
    EfficientNetV2S,
)
from fastnn.applications.gpt import GPT
from fastnn.applications.inception_resnet_v2 import InceptionResNetV2
from fastnn.applications.inception_v3 import InceptionV3
from fastnn.applications.llama import Llama
from fastnn.applications.mobilenet import MobileNet
from fastnn.applications.mobilenet_v2 import MobileNetV2
from fastnn.applications.mobilenet_v3 import MobileNetV3Large, MobileNetV3Small
from fastnn.applications.nasnet import NASNetLarge, NASNetMobile
from fastnn.applications.resnet import ResNet50, ResNet101, ResNet152
from fastnn.applications.resnet_v2 import ResNet50V2, ResNet101V2, ResNet152V2
from fastnn.applications.squeezenet import SqueezeNet
from fastnn.applications.vgg16 import VGG16
from fastnn.applications.vgg19 import VGG19
from fastnn.applications.xception import Xception
from fastnn.base.absent import answer_missing

__all__ = [
    "GPT",
    "VGG16",
    "VGG19",
    "ConvNeXtBase",
    "ConvNeXtLarge",
    "ConvNeXtSmall",
    "ConvNeXtTiny",
    "ConvNeXtXLarge",
    "DenseNet121",
    "DenseNet169",
    "DenseNet201",
    "EfficientNetB0",
    "EfficientNetB1",
    "EfficientNetB2",
    "EfficientNetB3",
    "EfficientNetB4",
    "EfficientNetB5",
    "EfficientNetB6",
    "EfficientNetB7",
    "EfficientNetV2B0",
    "EfficientNetV2B1",
    "EfficientNetV2B2",
    "EfficientNetV2B3",
    "EfficientNetV2L",
    "EfficientNetV2M",
    "EfficientNetV2S",
    "InceptionResNetV2",
    "InceptionV3",
    "Llama",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Large",
    "MobileNetV3Small",
    "NASNetLarge",
    "NASNetMobile",
    "ResNet50",
    "ResNet50V2",
    "ResNet101",
    "ResNet101V2",
    "ResNet152",
    "ResNet152V2",
    "SqueezeNet",
    "Xception",
    "convnext",
    "densenet",
    "efficientnet",
    "efficientnet_v2",
    "imagenet_utils",
    "inception_resnet_v2",
    "inception_v3",
    "mobilenet",
    "mobilenet_v2",
    "mobilenet_v3",
    "nasnet",
    "resnet",
    "resnet50",
    "resnet_v2",
    "squeezenet",
    "vgg16",
    "vgg19",
    "xception",
]  # fmt: skip

answer_missing(globals())
for _module in (
    convnext, densenet, efficientnet, efficientnet_v2, imagenet_utils, inception_resnet_v2,
    inception_v3, mobilenet, mobilenet_v2, mobilenet_v3, nasnet, resnet, resnet50, resnet_v2,
    squeezenet, vgg16, vgg19, xception,
):  # fmt: skip
    answer_missing(vars(_module))
