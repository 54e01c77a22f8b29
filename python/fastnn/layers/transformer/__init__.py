"""Blocks of Transformers and positions of tokens, which `fastnn.nn` offers.

Depends on `layers.attention`.
"""

from __future__ import annotations

from fastnn.layers.transformer.blocks import TransformerDecoder, TransformerEncoder
from fastnn.layers.transformer.positions import (
    PositionEmbedding,
    RotaryEmbedding,
    SinePositionEncoding,
    TokenAndPositionEmbedding,
)

__all__ = [
    "PositionEmbedding", "RotaryEmbedding", "SinePositionEncoding", "TokenAndPositionEmbedding",
    "TransformerDecoder", "TransformerEncoder",
]  # fmt: skip
