"""Layers under Keras's names, and the table that files and strings are looked up in."""

# ruff: noqa: F403, F405
from __future__ import annotations

import inspect

from fastnn.base.absent import answer_missing
from fastnn.layers.activation import *
from fastnn.layers.attention import *
from fastnn.layers.base.input_spec import InputSpec
from fastnn.layers.base.layer import Layer
from fastnn.layers.core import *
from fastnn.layers.einsum_dense import *
from fastnn.layers.merging import *
from fastnn.layers.normalization import *
from fastnn.layers.regularization import *
from fastnn.layers.reshaping import *
from fastnn.layers.reversible_embedding import *
from fastnn.layers.rnn import *
from fastnn.serialization.keras_config import deserialize as deserialize
from fastnn.serialization.objects import serialize as serialize
from fastnn.serialization.registry import Registry

__all__ = [
    "ELU",
    "GRU",
    "LSTM",
    "RNN",
    "Activation",
    "ActivityRegularization",
    "Add",
    "AdditiveAttention",
    "AlphaDropout",
    "Attention",
    "Average",
    "BatchNormalization",
    "Bidirectional",
    "Concatenate",
    "Cropping1D",
    "Cropping2D",
    "Dense",
    "Dot",
    "Dropout",
    "EinsumDense",
    "Embedding",
    "Flatten",
    "GRUCell",
    "GaussianDropout",
    "GaussianNoise",
    "GroupNormalization",
    "GroupQueryAttention",
    "GroupedQueryAttention",
    "Identity",
    "Input",
    "InputLayer",
    "InputSpec",
    "LSTMCell",
    "Lambda",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Masking",
    "Maximum",
    "Minimum",
    "MultiHeadAttention",
    "Multiply",
    "Normalization",
    "PReLU",
    "Permute",
    "RMSNormalization",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "ReversibleEmbedding",
    "SimpleRNN",
    "SimpleRNNCell",
    "Softmax",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "StackedRNNCells",
    "Subtract",
    "TimeDistributed",
    "UnitNormalization",
    "UpSampling1D",
    "UpSampling2D",
    "Wrapper",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "add",
    "average",
    "concatenate",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]

TABLE = Registry(
    "layer",
    [c for n in __all__ if inspect.isclass(c := globals().get(n)) and c not in (InputSpec, Layer)],
)

answer_missing(globals())
