"""Weigh IPO, sale and strategic transformation with numbers that can be checked.

    from fastnn.exit_strategy import Profile, evaluate
    result = evaluate(Profile.from_file("acme.toml"))
    print(result.to_terminal())

Names are loaded when first used, so that importing the package is cheap. Not legal, tax or
investment advice.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .batch import BatchResult, evaluate_many
    from .criteria import ahp, load_criteria, resolve_weights
    from .errors import ExitError, Issue
    from .evaluation import compare, evaluate
    from .gates.data import check_age, load_gates
    from .model.network import load_model
    from .money.outcomes import Assumptions, CapTable
    from .process.process import Process
    from .profile.profile import Profile
    from .profile.schema import json_schema, template
    from .result import Result
    from .scoring.scores import topsis, weighted_sum

#: Public name -> the module that holds it.
_MODULES = {
    "Assumptions": "money", "BatchResult": "batch", "CapTable": "money", "ExitError": "errors",
    "Issue": "errors", "Process": "process", "Profile": "profile", "Result": "result",
    "ahp": "criteria", "check_age": "gates.data", "compare": "evaluation", "evaluate": "evaluation",
    "evaluate_many": "batch", "json_schema": "profile.schema", "load_criteria": "criteria",
    "load_gates": "gates.data", "load_model": "model", "resolve_weights": "criteria",
    "template": "profile.schema", "topsis": "scoring", "weighted_sum": "scoring",
}  # fmt: skip

__all__ = [
    "Assumptions",
    "BatchResult",
    "CapTable",
    "ExitError",
    "Issue",
    "Process",
    "Profile",
    "Result",
    "ahp",
    "check_age",
    "compare",
    "evaluate",
    "evaluate_many",
    "json_schema",
    "load_criteria",
    "load_gates",
    "load_model",
    "resolve_weights",
    "template",
    "topsis",
    "weighted_sum",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
        globals()[name] = value
        return value
    from fastnn.base.absent import missing

    raise missing(__name__, name, __all__)


def __dir__() -> list[str]:
    return sorted(__all__)
