"""Every option as a path: one function for what an option pays the founders at a headline price.

Standard library only.
"""

from __future__ import annotations

from .deals import Assumptions, Company, Path, value_deal
from .staying import STAYING, value_staying

__all__ = ["OPTIONS", "value_option"]

#: Options with a money model.
OPTIONS = (
    "ipo", "ma", "transform", "license_hire", "private_round", "dual_track", "ma_buy", *STAYING
)  # fmt: skip


def value_option(option: str, price: float, company: Company, a: Assumptions) -> Path:
    """Return what an option pays the founders at a headline price; KeyError if it has no model."""
    if option in STAYING:
        return value_staying(option, price, company, a)
    return value_deal(option, price, company, a)
