"""One complete, valid profile for the exit tests, and the day they pretend it is."""

from __future__ import annotations

import datetime as dt
from typing import Any

TODAY = dt.date(2026, 11, 22)


def make_profile_dict(**changes: Any) -> dict[str, Any]:
    """Return a complete, valid, flat profile mapping with the given changes (None removes)."""
    base: dict[str, Any] = {
        "name": "Acme AI", "as_of": "2026-11-20", "country": "US", "sector": "ai_application",
        "currency": "USD", "founded": "2019-03-01", "revenue_ttm": 90e6,
        "revenue_last_fy": [20e6, 45e6, 80e6], "growth_yoy": 0.55, "gross_margin": 0.7,
        "ebitda_margin": -0.2, "pretax_income_fy": [-9e6, -12e6, -16e6],
        "net_income_fy": [-9e6, -12e6, -16e6], "operating_cash_flow_fy": [-8e6, -10e6, -12e6],
        "total_assets": 120e6, "stockholders_equity": 80e6, "rd_opex_fy": [8e6, 14e6, 22e6],
        "opex_fy": [25e6, 50e6, 80e6], "audited_years": 3, "cash": 60e6, "monthly_burn": 3.7e6,
        "committed_funds": 5e6, "debt": 4e6, "need_24m": 120e6, "compute_cost_share": 0.4,
        "top_customer_share": 0.15, "recurring_share": 0.9, "founder_share": 0.4,
        "total_raised": 110e6, "reg_exposure": "medium", "ai_act_class": "limited",
        "personal_records_held": 20000, "valuation.low": 350e6, "valuation.mid": 500e6,
        "valuation.high": 700e6, "tech.strength": 0.7, "tech.moat": 0.55, "tech.team_depth": 0.65,
        "founder.technical_vision": 0.65, "founder.business_acumen": 0.65,
        "founder.leadership": 0.7, "founder.intent_to_stay": 0.7, "founder.assessor": "board",
        "controls.data_security": ["yes", "yes", "yes", "yes", "no", "unknown"],
        "controls.explain_fair": ["yes", "yes", "no", "yes", "no", "no"],
        "controls.ipo_readiness": ["yes"] * 14 + ["no"] * 6,
        "market.date": "2026-11-01", "market.ipo_window": 0.65, "market.ma_activity": 0.6,
        "market.sector_multiple_pct": 0.6, "market.private_access": 0.6,
        "market.competition": 0.55,
    }  # fmt: skip
    base.update(changes)
    return {key: value for key, value in base.items() if value is not None}
