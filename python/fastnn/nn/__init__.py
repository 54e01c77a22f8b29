"""Blocks of Transformers and positions of tokens; and functions under the names of `tf.nn`."""

from __future__ import annotations

from typing import Any

from fastnn.layers.transformer import (
    PositionEmbedding,
    RotaryEmbedding,
    SinePositionEncoding,
    TokenAndPositionEmbedding,
    TransformerDecoder,
    TransformerEncoder,
)

__all__ = [
    "PositionEmbedding", "RotaryEmbedding", "SinePositionEncoding", "TokenAndPositionEmbedding",
    "TransformerDecoder", "TransformerEncoder",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    from fastnn.tensorflow.namespaces import nn  # what programs of TensorFlow ask for

    return getattr(nn, name)
