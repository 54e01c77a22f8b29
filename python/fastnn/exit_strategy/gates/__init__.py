"""Listing venues, regulators and hard conditions: dated data, judged for one company."""

from __future__ import annotations

from .judge import (
    Condition,
    GateReport,
    HardGate,
    RegulatoryResult,
    VenueResult,
    VenueTest,
    judge_gates,
    runway_months,
    unique,
)

__all__ = [
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
