"""The model card and the fairness audit, as data and as Markdown.

Groups are region hub, sector and age; per group: rows, base rate, selected share (top decile by
predicted acquisition), share of real acquisitions found, calibration gap. NumPy only; fairlearn's
`MetricFrame` is a cross-check in the tests of those who have it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .table import Table

__all__ = ["MIN_TPR_RATIO", "audit", "card_markdown", "tpr_ratio"]

FloatArray = npt.NDArray[np.float64]

#: The audit fails below the ratio of the baseline without geography (0.137 / 0.301).
MIN_TPR_RATIO = 0.45

_HUBS = {"SF Bay": "SF Bay", "New York": "New York, Boston", "Boston": "New York, Boston"}


def audit(table: Table, p: FloatArray, *, top: float = 0.1) -> dict[str, list[dict[str, Any]]]:
    """Fairness by region, sector and age for the predicted chance of acquisition (class 1)."""
    chance = p[:, 1]
    cut = np.quantile(chance, 1.0 - top)
    selected = chance >= cut
    hit = table.outcome == 1
    groupings: dict[str, list[str]] = {}
    if "region" in table.columns:
        groupings["region"] = [_HUBS.get(r, "other") for r in table.columns["region"]]
    groupings["sector"] = [s or "unknown" for s in table.columns["category_code"]]
    groupings["age"] = [_age_group(a) for a in table.numbers("age_years")]
    return {name: _by_group(np.array(g), selected, hit, chance) for name, g in groupings.items()}


def _age_group(age: float) -> str:
    if age != age:
        return "unknown"
    return "under 3" if age < 3 else "3 to 7" if age < 7 else "7 and over"


def _by_group(
    groups: npt.NDArray[Any], selected: npt.NDArray[Any], hit: npt.NDArray[Any], chance: FloatArray
) -> list[dict[str, Any]]:
    rows = []
    for name in sorted(set(groups.tolist())):
        own = groups == name
        hits = int(hit[own].sum())
        rows.append(
            {
                "group": str(name),
                "rows": int(own.sum()),
                "acquired": hits,
                "base_rate": float(hit[own].mean()),
                "selection_rate": float(selected[own].mean()),
                "tpr": float(selected[own & hit].mean()) if hits else None,
                "calibration_gap": float(chance[own].mean() - hit[own].mean()),
            }
        )
    return rows


def tpr_ratio(rows: Sequence[Mapping[str, Any]], least: int = 30) -> float | None:
    """Lowest over highest share of real acquisitions found, groups of `least` acquisitions up."""
    rates = [r["tpr"] for r in rows if r["tpr"] is not None and r["acquired"] >= least]
    if len(rates) < 2 or max(rates) == 0:
        return None
    return float(min(rates) / max(rates))


def card_markdown(facts: Mapping[str, Any]) -> str:
    """The model card as Markdown, from the facts stored with the model."""
    lines = [
        "# Model card: exit within 26 months",
        "",
        "**What it says.** The chance that a US startup is acquired or lists within 26 months of "
        "a date, from what was known on that date. It predicts what tends to happen, not what is "
        "best. It never predicts a transformation.",
        "",
        "**What it has not seen.** Large-model firms, licence-and-hire deals, Hong Kong 18C "
        "listings, firms outside the US, anything after 2013. Closings count as none; some "
        "listings are missing from the labels.",
        "",
        "**Licence.** Features and acquisition labels: data from Crunchbase, October 2013 export, "
        "CC BY. Listing labels: a compiled table whose licence is not stated. Weights trained on "
        "them are for research inside this project and do not ship in the wheel.",
        "",
        f"**Training.** {facts['rows']} rows of landmarks {', '.join(facts['landmarks'])}; "
        f"{facts['networks']} networks, best epochs {facts['epochs']}; no geography. Class rates "
        "are those of the newest landmark; no trend is extrapolated.",
    ]
    if "selection" in facts:
        chosen = facts["selection"]
        lines += ["", "## Choice by rolling origin", "", *_rolling_lines(chosen)]
        lines += ["", "## Inner time split", ""]
        lines += [
            f"Trained on {', '.join(chosen['train'])}; stopped and calibrated on held-out "
            f"companies of {chosen['tune']}; scored on {chosen['test']}.",
            "",
            *_score_lines(chosen),
        ]
        if "money_raised_alone_auc" in chosen:
            alone = chosen["money_raised_alone_auc"]
            rows = [
                f"{alone[k]:.3f} ({k}; networks {chosen['model']['auc'][k]:.3f})" for k in alone
            ]
            lines += ["", f"AUC of the money raised so far, alone: {', '.join(rows)}."]
        if "unseen_companies" in chosen:
            lines += [
                "",
                "The two windows overlap, so a company sold in between counts at both landmarks. "
                "On companies that the scoring networks had never seen (a fifth of them each):",
                "",
                *_score_lines(chosen["unseen_companies"]),
            ]
    lines += ["", "## Fairness audit", ""]
    for name, rows in facts["fairness"].items():
        ratio = tpr_ratio(rows)
        note = "" if ratio is None else f" (lowest over highest share found: {ratio:.2f})"
        lines += [f"### By {name}{note}", "", *_group_lines(rows), ""]
    return "\n".join(lines) + "\n"


def _rolling_lines(selection: Mapping[str, Any]) -> list[str]:
    """Log-loss of every candidate on unseen companies of a later landmark."""
    rows = [("networks " + " + ".join(r["kinds"]), r["losses"]) for r in selection["rolling"]]
    base = selection.get("logistic")
    if base is not None:
        inputs = "bent inputs" if base["bent"] else "straight inputs"
        rows.append((f"logistic regression, {inputs}, C = {base['C']}", base["losses"]))
    heads = [f"{origin} to {later}" for origin, later in selection["origins"]]
    lines = [f"| log-loss | {' | '.join(heads)} | mean |", "|---" * (len(heads) + 2) + "|"]
    for name, losses in rows:
        cells = [f"{v:.4f}" for v in (*losses, sum(losses) / len(losses))]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _score_lines(selection: Mapping[str, Any]) -> list[str]:
    lines = [
        "| score | networks | logistic regression | difference (95 %) |",
        "|---|---|---|---|",
    ]
    baseline = selection.get("baseline")
    for key in ("log_loss", "brier", "ece"):
        own = f"{selection['model'][key]:.4f}"
        if baseline is None:
            lines.append(f"| {key} | {own} | not run | |")
            continue
        gap = selection["difference"]["difference"][key]
        low, high = selection["difference"]["intervals"][key]
        lines.append(
            f"| {key} | {own} | {baseline[key]:.4f} | {gap:+.4f} ({low:+.4f} to {high:+.4f}) |"
        )
    return lines


def _group_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        "| group | rows | base rate | selected | found | calibration gap |",
        "|---|---|---|---|---|---|",
    ]
    for r in rows:
        found = "" if r["tpr"] is None else f"{r['tpr']:.1%}"
        lines.append(
            f"| {r['group']} | {r['rows']} | {r['base_rate']:.1%} | {r['selection_rate']:.1%} | "
            f"{found} | {r['calibration_gap']:+.3f} |"
        )
    return lines
