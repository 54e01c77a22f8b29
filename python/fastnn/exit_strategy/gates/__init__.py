"""Listing venues, regulators and hard conditions: dated data, judged for one company."""

from __future__ import annotations

from .hard import MAX_RUNWAY, runway_months
from .judge import MAX_RATE_AGE_DAYS, judge_gates, unique
from .results import (
    Condition,
    GateReport,
    HardGate,
    RegulatoryResult,
    VenueResult,
    VenueTest,
)

__all__ = [
    "MAX_RATE_AGE_DAYS",
    "MAX_RUNWAY",
    "Condition",
    "GateReport",
    "HardGate",
    "RegulatoryResult",
    "VenueResult",
    "VenueTest",
    "judge_gates",
    "runway_months",
    "unique",
]
