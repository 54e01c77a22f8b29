"""What a cap table pays whom, and what every option pays the founders.

`captable` holds the terms, `captable_read` and `ocf` read them, `waterfall` shares a price among
claims, `deals` are the options as cash flows, `outcomes` values them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .antidilution import adjusted_price
from .outcomes import (
    DAYS_A_MONTH,
    Assumptions,
    CapTable,
    Holding,
    Note,
    OptionGrant,
    Safe,
    ShareClass,
    Vesting,
    Waterfall,
    parse_assumptions,
    parse_cap_table,
    price_grid,
    price_to_prefer,
    proceeds,
    run_waterfall,
)

if TYPE_CHECKING:
    from .investor import fund_view, internal_rate, investor_view, price_for_return, stake_of
    from .optionpricing import (
        Scenario,
        backsolve,
        black_scholes,
        option_values,
        scenario_values,
    )

#: Names that are loaded when they are asked for: a report of one company needs none of them.
_LATER = {
    **dict.fromkeys(
        ("fund_view", "internal_rate", "investor_view", "price_for_return", "stake_of"), "investor"
    ),
    **dict.fromkeys(
        ("Scenario", "backsolve", "black_scholes", "option_values", "scenario_values"),
        "optionpricing",
    ),
}

__all__ = [
    "DAYS_A_MONTH",
    "Assumptions",
    "CapTable",
    "Holding",
    "Note",
    "OptionGrant",
    "Safe",
    "Scenario",
    "ShareClass",
    "Vesting",
    "Waterfall",
    "adjusted_price",
    "backsolve",
    "black_scholes",
    "fund_view",
    "internal_rate",
    "investor_view",
    "option_values",
    "parse_assumptions",
    "parse_cap_table",
    "price_for_return",
    "price_grid",
    "price_to_prefer",
    "proceeds",
    "run_waterfall",
    "scenario_values",
    "stake_of",
]


def __getattr__(name: str) -> Any:
    if name in _LATER:
        value = getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
        globals()[name] = value
        return value
    from fastnn.base.absent import missing

    raise missing(__name__, name, __all__)
