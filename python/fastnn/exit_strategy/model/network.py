"""The learned model: chances of sale and listing within 26 months, and what they rest on.

`load_model("default")` gives the base rates that ship with the package; a folder written by
`examples/exit_model/train.py` gives a calibrated ensemble. It predicts what tends to happen, not
what is best. Files are JSON and plain arrays, never code. `fastnn.grad` is used when an
explanation is asked for. Depends on NumPy.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn.exit_strategy.contracts import HullCheck, ModelProbabilities
from fastnn.exit_strategy.errors import ExitError, Issue
from fastnn.exit_strategy.reading.files import home
from fastnn.exit_strategy.records import dataclass
from fastnn.exit_strategy.scoring.base_rates import BaseRates, base_rates
from fastnn.files import write_bytes, write_text

from .fit import (
    Encoder,
    Layers,
    apply_calibration,
    ensemble_logits,
    mean_log_probability,
    softmax,
)
from .table import CLASSES, Table, profile_row

__all__ = ["Attribution", "BaseRates", "ExitNetwork", "base_rates", "load_model"]

FloatArray = npt.NDArray[np.float64]

_SCHEMA = "exit-model/2"
_MAX_BYTES = 100_000_000

#: Integrated gradients are refined until what they miss is below this, or at this many steps.
_COMPLETE, _MOST_STEPS = 1e-3, 4096


@dataclass(frozen=True, slots=True)
class Attribution:
    """Integrated gradients of one class: feature -> contribution, from `baseline` to `value`."""

    outcome: str
    value: float
    baseline: float
    contributions: Mapping[str, float]
    completeness_error: float


@dataclass(frozen=True)
class ExitNetwork:
    """A calibrated ensemble of small networks."""

    name: str
    encoder: Encoder
    networks: tuple[Layers, ...]
    calibration: tuple[float, ...]
    medians: Mapping[str, tuple[float, ...]]  # last round type ("" = all) -> encoded row
    facts: Mapping[str, Any]  # training rows, landmarks, scores; printed in the card

    def predict(self, x: npt.NDArray[np.float32]) -> FloatArray:
        """Calibrated probabilities (rows, classes) of encoded rows."""
        return apply_calibration(
            mean_log_probability(ensemble_logits(self.networks, x)), self.calibration
        )

    def predict_table(self, table: Table) -> FloatArray:
        """Calibrated probabilities of a landmark table; unseen labels count as unknown."""
        return self.predict(self.encoder.encode_table(table))

    def probabilities(self, profile: Any) -> ModelProbabilities:
        """Probabilities of a profile with the networks' standard deviation."""
        x, _ = self._encode(profile)
        p = self.predict(x)[0]
        members = apply_calibration(
            np.log(softmax(ensemble_logits(self.networks, x))), self.calibration
        )
        spread = members[:, 0].std(axis=0)
        return ModelProbabilities(
            float(p[0]), float(p[1]), float(p[2]),
            (float(spread[0]), float(spread[1]), float(spread[2])), self.name,
        )  # fmt: skip

    def in_hull(self, profile: Any) -> HullCheck:
        """Whether all features lie in the 1-99 % range of the training rows and are known."""
        numbers, labels, unknown = profile_row(profile)
        outside = list(unknown)
        for name, low, high in zip(
            self.encoder.numbers, self.encoder.low, self.encoder.high, strict=True
        ):
            value = numbers[name]
            if value == value and not low <= value <= high:
                outside.append(name)
        outside += [k for k, known in self.encoder.labels.items() if labels[k] not in known]
        if getattr(profile, "country", "US") != "US":  # the training table has no other
            outside.append("country")
        return HullCheck(not outside, tuple(dict.fromkeys(outside)))

    def explain(self, profile: Any, outcome: str = "acquired", steps: int = 64) -> Attribution:
        """Integrated gradients against the median company of the same stage (last round).

        Sundararajan, Taly and Yan 2017; exact gradients by `fastnn.grad`, midpoint rule with
        `steps` steps, doubled until the contributions add up to 1e-3.
        """
        x, labels = self._encode(profile)
        stage = labels["last_round_type"]
        start = np.array(self.medians.get(stage, self.medians[""]), dtype=np.float32)
        return self.explain_row(x[0], start, outcome, steps)

    def explain_row(
        self,
        row: npt.NDArray[np.float32],
        start: npt.NDArray[np.float32],
        outcome: str,
        steps: int = 64,
    ) -> Attribution:
        """Integrated gradients of an encoded row against another."""
        import fastnn
        from fastnn import ops

        if outcome not in CLASSES:
            raise ExitError(Issue("EX601", "outcome", f"{outcome!r} is not an outcome",
                                  f"choose one of {', '.join(CLASSES)}", outcome))  # fmt: skip
        at = CLASSES.index(outcome)
        terms = np.array([0.0, *self.calibration[1:]], dtype=np.float32)
        slope = float(self.calibration[0])

        def total(points: Any) -> Any:
            mean: Any = 0.0
            for layers in self.networks:
                h = points
                for i, (w, b) in enumerate(layers):
                    h = ops.matmul(h, w) + b
                    h = ops.relu(h) if i + 1 < len(layers) else h
                mean = mean + ops.softmax(h, axis=-1) / float(len(self.networks))
            p = ops.softmax(ops.log(mean) * slope + terms, axis=-1)
            return ops.sum(p[:, at])

        low, high = (float(v) for v in self.predict(np.stack([start, row]))[:, at])
        slope_of = fastnn.grad(total)
        error, columns = np.inf, np.zeros(len(row))
        while error >= _COMPLETE and steps <= _MOST_STEPS:
            share = (np.arange(steps, dtype=np.float32) + np.float32(0.5)) / np.float32(steps)
            points = (start + share[:, None] * (row - start)).astype(np.float32)
            slopes = np.asarray(slope_of(points), dtype=np.float64)
            columns = slopes.mean(axis=0) * (row.astype(np.float64) - start.astype(np.float64))
            error = float(abs(columns.sum() - (high - low)))
            steps *= 2
        blocks = self.encoder.blocks()
        parts = {name: float(columns[index].sum()) for name, index in blocks.items()}
        return Attribution(outcome, high, low, parts, error)

    def save(self, folder: str | Path) -> None:
        """Write `model.json` and `networks.npz`; each file is replaced whole or not at all."""
        target = home(folder)
        target.mkdir(parents=True, exist_ok=True)
        arrays = {
            f"n{n}_l{i}_{part}": array
            for n, layers in enumerate(self.networks)
            for i, pair in enumerate(layers)
            for part, array in zip("wb", pair, strict=True)
        }
        content = io.BytesIO()
        np.savez(content, **arrays)  # type: ignore[arg-type]
        write_bytes(target / "networks.npz", content.getvalue())
        head = {
            "schema": _SCHEMA,
            "name": self.name,
            "classes": CLASSES,
            "encoder": asdict(self.encoder),
            "calibration": self.calibration,
            "medians": self.medians,
            "layers": [len(layers) for layers in self.networks],
            "facts": self.facts,
        }
        write_text(target / "model.json", json.dumps(head, indent=1, ensure_ascii=False))

    def _encode(self, profile: Any) -> tuple[npt.NDArray[np.float32], dict[str, str]]:
        numbers, labels, _ = profile_row(profile)
        columns = {k: np.array([v]) for k, v in numbers.items()}
        return self.encoder.encode(columns, {k: [v] for k, v in labels.items()}), labels


def load_model(name: str | Path = "default") -> BaseRates | ExitNetwork:
    """Return the shipped base rates ("default"), or the model in a folder.

    Raises:
        ExitError: EX601 no such model, EX602 files that are damaged or foreign.
    """
    if str(name) in ("default", "base_rate"):
        return BaseRates()
    folder = home(name)
    if not (folder / "model.json").is_file():
        raise ExitError(Issue("EX601", "model", f"no model at {folder}",
                              'use "default", or a folder with model.json', str(name)))  # fmt: skip
    try:
        return _read(folder)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, RecursionError) as error:
        hint = "train the model again, or copy its folder whole"
        issue = Issue("EX602", "model", f"{folder}: {error}", hint, str(name))
        raise ExitError(issue) from error


def _read(folder: Path) -> ExitNetwork:
    for file in ("model.json", "networks.npz"):
        if (folder / file).stat().st_size > _MAX_BYTES:
            raise ValueError(f"{file} is larger than {_MAX_BYTES} bytes")
    head = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    if head["schema"] != _SCHEMA or tuple(head["classes"]) != CLASSES:
        raise ValueError(f"schema {head['schema']!r} is not {_SCHEMA!r}")
    raw = head["encoder"]
    columns = ("numbers", "mean", "scale", "low", "high")
    if len({len(raw[k]) for k in (*columns, "knots")}) != 1:
        raise ValueError("the encoder's columns differ in length")
    encoder = Encoder(
        **{k: tuple(raw[k]) for k in columns},
        knots=tuple(tuple(float(x) for x in row) for row in raw["knots"]),
        labels={k: tuple(v) for k, v in raw["labels"].items()},
        silent=tuple(int(i) for i in raw["silent"]),
    )
    if any(not 0 <= i < encoder.width for i in encoder.silent):
        raise ValueError("the encoder has no such column to silence")
    with (
        (folder / "networks.npz").open("rb") as stream,
        np.load(stream, allow_pickle=False) as arrays,
    ):
        networks = tuple(
            [(arrays[f"n{n}_l{i}_w"], arrays[f"n{n}_l{i}_b"]) for i in range(int(count))]
            for n, count in enumerate(head["layers"])
        )
    for layers in networks:
        _check_layers(layers, encoder.width)
    if not networks or len(head["calibration"]) != len(CLASSES):
        raise ValueError("the model has no networks or no calibration")
    medians = {k: tuple(map(float, v)) for k, v in head["medians"].items()}
    if "" not in medians or any(len(v) != encoder.width for v in medians.values()):
        raise ValueError("the medians do not fit the encoder")
    calibration = tuple(float(t) for t in head["calibration"])
    return ExitNetwork(str(head["name"]), encoder, networks, calibration, medians, head["facts"])


def _check_layers(layers: Sequence[tuple[Any, Any]], width: int) -> None:
    for w, b in layers:
        if w.dtype != np.float32 or b.dtype != np.float32 or w.ndim != 2 or w.shape[0] != width:
            raise ValueError(f"a layer of shape {w.shape} does not take {width} numbers")
        if b.shape != (w.shape[1],) or not (np.isfinite(w).all() and np.isfinite(b).all()):
            raise ValueError("a layer has a bias of another size, or numbers that are not finite")
        width = w.shape[1]
    if width != len(CLASSES):
        raise ValueError(f"the last layer gives {width} numbers, wanted {len(CLASSES)}")
