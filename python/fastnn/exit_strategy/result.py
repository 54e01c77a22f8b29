"""The result of an evaluation: frozen records, and the doors to the reports.

Every result carries library version, data-file hashes, seed, draws and the date of the gate file,
so that a report can be repeated.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fastnn.config import shown
from fastnn.files import write_text

from .completion import BaseRate, Completion
from .contracts import Proceeds, SamplingSpec
from .criteria import Criteria
from .explain import Difference, Flip
from .gate_data import Gates
from .gates import GateReport
from .leaves import LeafFact
from .notes import Note
from .profile import Profile
from .scoring import Scores

#: The recommendation rule of section 6.4: sure enough, far enough ahead, enough known.
MIN_P_FIRST, MIN_LEAD, MAX_UNKNOWN = 0.60, 0.02, 0.40

__all__ = [
    "MAX_UNKNOWN",
    "MIN_LEAD",
    "MIN_P_FIRST",
    "Provenance",
    "Rank",
    "Recommendation",
    "Result",
    "TornadoBar",
    "to_plain",
]


@dataclass(frozen=True, slots=True)
class Rank:
    """One option in the ranking; closed options come last with p_first 0."""

    option: str
    p_first: float
    score_mean: float
    score_p05: float
    score_p95: float
    open: bool
    mc_error: float
    wsm: float
    topsis: float


@dataclass(frozen=True, slots=True)
class Recommendation:
    """An option, or near_tie, insufficient_information, none_open; and why."""

    answer: str
    pair: tuple[str, ...]
    p_first: float
    lead: float
    methods_agree: bool
    unknown_weight: float
    settle: tuple[str, ...]  # leaves that would settle it, most telling first


@dataclass(frozen=True, slots=True)
class TornadoBar:
    """Change in p_first of the leader when a leaf moves from its 10 % to its 90 % quantile."""

    leaf: str
    low: float
    high: float

    @property
    def swing(self) -> float:
        """Signed change, low to high."""
        return self.high - self.low


@dataclass(frozen=True, slots=True)
class Provenance:
    """What is needed to repeat the result."""

    version: str
    seed: int
    draws: int
    kappa: float
    weights: str
    hashes: Mapping[str, str]
    gates_checked: str
    as_of: dt.date


@dataclass(frozen=True)
class Result:
    """Everything the tool says about one company."""

    profile: Profile
    options: tuple[str, ...]
    weights: Mapping[str, float]
    ranking: tuple[Rank, ...]
    advice: Recommendation
    scores: Scores
    groups: tuple[str, ...]
    leaves: Mapping[str, LeafFact]
    completion: Mapping[str, Completion]
    base: BaseRate
    gates: GateReport
    proceeds: Proceeds
    computed: Mapping[str, Mapping[str, tuple[float, float, float]]]
    p_rank: Mapping[str, tuple[float, ...]]
    other_kappa: Mapping[str, Mapping[str, float]]
    tornado: tuple[TornadoBar, ...]
    differences: tuple[Difference, ...]
    flips: tuple[Flip, ...]
    unknown: tuple[str, ...]
    warnings: tuple[Note, ...]
    provenance: Provenance
    spec: SamplingSpec = field(repr=False)
    criteria: Criteria = field(repr=False)  # the tree and the gate files it was judged by
    gate_data: Gates = field(repr=False)

    def total_effects(self) -> dict[str, dict[str, float]]:
        """Return the Sobol total index of every leaf, and of the weights, per option.

        Saltelli pairs with Jansen's estimator on each option's score, inputs taken as independent;
        costs two more evaluations of all leaves, so it is computed on request.
        """
        from .uncertainty import total_effects

        made = self.provenance
        leaves, weights = total_effects(
            self.spec, kappa=made.kappa, draws=made.draws, seed=made.seed
        )
        out = {
            leaf: dict(zip(self.options, map(float, leaves[k]), strict=True))
            for k, leaf in enumerate(self.spec.leaves)
        }
        out["weights"] = dict(zip(self.options, map(float, weights), strict=True))
        return out

    @property
    def recommendation(self) -> str:
        """An option id, or "near_tie", "insufficient_information", "none_open"."""
        return self.advice.answer

    @property
    def flip(self) -> Flip | None:
        """The smallest single change of an input or weight that changes the first place."""
        return self.flips[0] if self.flips else None

    @property
    def leader(self) -> str:
        """First option of the ranking."""
        return self.ranking[0].option

    def to_dict(self) -> dict[str, Any]:
        """Return plain data (no NaN, no arrays), the content of `to_json`."""
        from .report_data import result_dict

        return result_dict(self)

    def to_json(self, path: str | Path | None = None) -> str:
        """Return the result as JSON; write it when a path is given."""
        import json

        return _write(json.dumps(self.to_dict(), ensure_ascii=False, indent=1), path)

    def to_markdown(self, path: str | Path | None = None, *, lang: str = "en") -> str:
        """Return the report as Markdown in English or Chinese."""
        from .report_markdown import render

        return _write(render(self, lang), path)

    def to_html(self, path: str | Path | None = None, *, lang: str = "en") -> str:
        """Return the report as one self-contained HTML page: no network, inline SVG."""
        from .report_html import render

        return _write(render(self, lang), path)

    def to_terminal(self, *, lang: str = "en", colour: bool = False) -> str:
        """Return the report for an 80-column terminal."""
        from .report_terminal import render

        return shown(render(self, lang, colour))


def _write(text: str, path: str | Path | None) -> str:
    if path is not None:
        from .errors import ExitError, Issue

        try:
            write_text(path, text)
        except OSError as error:
            raise ExitError(
                Issue("EX802", "", f"cannot write {path}: {error.strerror}", "check the folder")
            ) from error
    return text


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
