"""The learned model: its network, fitting, metrics, card and tables."""

from __future__ import annotations

from .network import Attribution, BaseRates, ExitNetwork, base_rates, load_model

__all__ = ["Attribution", "BaseRates", "ExitNetwork", "base_rates", "load_model"]
