"""Training that hides single rows: DP-SGD, and what it promises."""

from fastnn.privacy.accounting import epsilon
from fastnn.privacy.training import PrivateModel

__all__ = ["PrivateModel", "epsilon"]
