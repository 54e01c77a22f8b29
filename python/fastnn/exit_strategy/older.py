"""Older import paths of the exit tool's modules: the same modules under the names they had.

Standard library only.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["install"]

_HOME = __name__.rpartition(".")[0]

#: Module in its first place -> where it lives now.
_MOVED = {
    "base_rates": "scoring.base_rates", "captable": "money.captable", "captable_read":
    "money.captable_read", "completion": "scoring.completion", "deals": "money.deals",
    "explain": "scoring.explain", "fields": "reading.fields", "fx": "reading.fx", "gate_data":
    "gates.data", "interest": "money.interest", "leaves": "scoring.leaves", "liquidity":
    "money.liquidity", "model_card": "model.card", "model_cli": "cli.model", "model_fit":
    "model.fit", "model_metrics": "model.metrics", "model_table": "model.table", "ocf":
    "money.ocf", "ocf_items": "money.ocf_items", "ocf_papers": "money.ocf_papers", "parse":
    "reading.parse", "process_data": "process.chart", "profile_tables": "profile.tables",
    "report_data": "report.data", "report_format": "wording", "report_html": "report.html",
    "report_markdown": "report.markdown", "report_sentences": "report.sentences", "report_svg":
    "report.svg", "report_tables": "report.tables", "report_terminal": "report.terminal",
    "sampling": "scoring.sampling", "schema": "profile.schema", "uncertainty":
    "scoring.uncertainty", "valuation": "profile.valuation", "waterfall": "money.waterfall",
    "whatif": "scoring.whatif", "windows": "gates.windows",
}  # fmt: skip

#: Names that a module had in its first place, with the module that has them now.
_NAMES = {
    "captable": {"PARTICIPATION": "money.terms", "COMPOUNDING": "money.terms"},
    "deals": {"value_option": "money.paths"},
    "report_sentences": {"sale_floor": "process.advice"},
}


class _Loader:
    """Lets an older name stand for a module as it is: one module, two names."""

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Leave the making of a placeholder to Python."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Put the module itself in the placeholder's place."""
        older = module.__name__.rpartition(".")[2]
        found = importlib.import_module(f"{_HOME}.{_MOVED[older]}")
        for name, home in _NAMES.get(older, {}).items():
            setattr(found, name, getattr(importlib.import_module(f"{_HOME}.{home}"), name))
        sys.modules[module.__name__] = found


class _Finder:
    @staticmethod
    def find_spec(fullname: str, path: Sequence[str] | None = None, target: Any = None) -> Any:
        """The spec of a module that has moved, or None."""
        home, _, name = fullname.rpartition(".")
        if home != _HOME or name not in _MOVED:
            return None
        return ModuleSpec(fullname, _Loader())  # type: ignore[arg-type]


def install() -> None:
    """Put the finder behind Python's own, once."""
    if not any(getattr(finder, "__module__", "") == __name__ for finder in sys.meta_path):
        sys.meta_path.append(_Finder)
