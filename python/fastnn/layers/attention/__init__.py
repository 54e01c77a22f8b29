"""Attention: with heads (`multi_head`, `grouped_query`) and without (`dot`), and their masks.

Depends on `layers.base`, `layers.einsum_dense`.
"""

from __future__ import annotations

from fastnn.layers.attention.dot import AdditiveAttention, Attention
from fastnn.layers.attention.grouped_query import GroupedQueryAttention, GroupQueryAttention
from fastnn.layers.attention.multi_head import MultiHeadAttention

__all__ = [
    "AdditiveAttention", "Attention", "GroupQueryAttention", "GroupedQueryAttention",
    "MultiHeadAttention",
]  # fmt: skip
