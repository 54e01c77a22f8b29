"""The JSON form of a result, and its JSON Schema.

Numbers are plain floats, unknown or infinite ones are null; the schema is shipped as
`data/result.schema.json` and a test validates every report against it.
NumPy and the standard library only.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastnn.exit_strategy.notes import Note
from fastnn.exit_strategy.scoring.record import Record

__all__ = ["SCHEMA_ID", "result_dict", "to_plain"]

SCHEMA_ID = "fastnn.exit_strategy.result/1"


def result_dict(result: Record) -> dict[str, Any]:
    """Return a result as plain data."""
    scores = result.scores
    return {
        "schema": SCHEMA_ID,
        "company": result.profile.name,
        "as_of": result.profile.as_of.isoformat(),
        "currency": result.profile.currency,
        "recommendation": result.recommendation,
        "advice": to_plain(result.advice),
        "ranking": to_plain(result.ranking),
        "p_rank": to_plain(result.p_rank),
        "p_first_other_weights": to_plain(result.other_kappa),
        "weights": to_plain(result.weights),
        "group_scores": {
            option: dict(zip(result.groups, to_plain(scores.groups[k]), strict=True))
            for k, option in enumerate(scores.options)
        },
        "gates": {
            "venues": [{**to_plain(v), "word": v.word} for v in result.gates.venues],
            "regulatory": to_plain(result.gates.regulatory),
            "hard": [{**to_plain(gate), "word": gate.word} for gate in result.gates.hard],
        },
        "completion": to_plain(result.completion),
        "base_rates": to_plain(result.base),
        "proceeds": to_plain(result.proceeds),
        "tornado": [
            {"leaf": bar.leaf, "low": bar.low, "high": bar.high, "swing": bar.swing}
            for bar in result.tornado
        ],
        "differences": to_plain(result.differences),
        "flips": to_plain(result.flips),
        "inputs": {
            name: {
                "value": to_plain(leaf.value),
                "known": leaf.known,
                "source": leaf.source,
                "distribution": {"kind": leaf.distribution.kind,
                                 "params": to_plain(leaf.distribution.params)},
            }
            for name, leaf in result.leaves.items()
        },
        "unknown": list(result.unknown),
        "warnings": [note.text() for note in result.warnings],
        "provenance": to_plain(result.provenance),
    }  # fmt: skip


def to_plain(value: Any) -> Any:
    """Return JSON-ready data: dataclasses as dicts, dates as text, NaN and inf as null."""
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, np.ndarray):
        return [to_plain(item) for item in value.tolist()]
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, Note):
        return value.text()
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [part.name for part in dataclasses.fields(value)]
        return {name: to_plain(getattr(value, name)) for name in names}
    return str(value)
