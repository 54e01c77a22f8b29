"""Convolutional layers under Keras's names. `base` holds what they share."""

from __future__ import annotations

from fastnn.layers.convolutional.conv import Conv1D, Conv2D, Conv3D
from fastnn.layers.convolutional.depthwise import DepthwiseConv1D, DepthwiseConv2D
from fastnn.layers.convolutional.separable import SeparableConv1D, SeparableConv2D
from fastnn.layers.convolutional.transpose import (
    Conv1DTranspose,
    Conv2DTranspose,
    Conv3DTranspose,
)

__all__ = [
    "Conv1D", "Conv1DTranspose", "Conv2D", "Conv2DTranspose", "Conv3D", "Conv3DTranspose",
    "Convolution1D", "Convolution1DTranspose", "Convolution2D", "Convolution2DTranspose",
    "Convolution3D", "Convolution3DTranspose", "DepthwiseConv1D", "DepthwiseConv2D",
    "SeparableConv1D", "SeparableConv2D", "SeparableConvolution1D", "SeparableConvolution2D",
]  # fmt: skip

# Longer names that Keras has as well.
Convolution1D = Conv1D
Convolution1DTranspose = Conv1DTranspose
Convolution2D = Conv2D
Convolution2DTranspose = Conv2DTranspose
Convolution3D = Conv3D
Convolution3DTranspose = Conv3DTranspose
SeparableConvolution1D = SeparableConv1D
SeparableConvolution2D = SeparableConv2D
