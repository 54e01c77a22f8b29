"""`fastnn exit model ...`: a model's card, its scores on a table, why it says what it says."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import numpy as np

from fastnn.exit_strategy.errors import ExitError, Issue
from fastnn.exit_strategy.model.card import card_markdown
from fastnn.exit_strategy.model.metrics import Evaluation, evaluate_probabilities
from fastnn.exit_strategy.model.network import BaseRates, ExitNetwork, load_model
from fastnn.exit_strategy.model.table import CLASSES, read_table

from .running import run

__all__ = ["add_commands"]


def add_commands(subparsers: Any) -> None:
    """Mount `model evaluate`, `model explain` and `model card`; each sets `run` and `action`."""
    parser = subparsers.add_parser("model", help="the learned model: card, scores on a table")
    commands = parser.add_subparsers(dest="model_command", metavar="command", required=True)
    evaluate = commands.add_parser("evaluate", help="score a model on a landmark table")
    evaluate.add_argument("table", help="CSV with the columns of exit_landmarks")
    evaluate.add_argument("--model", required=True, metavar="DIR", help="folder of the model")
    evaluate.add_argument("--json", action="store_true", help="print one JSON object")
    evaluate.add_argument("--resamples", type=int, default=1000, help="bootstrap resamples")
    evaluate.add_argument("--seed", type=int, default=0, help="seed of the bootstrap")
    evaluate.set_defaults(run=run, action=_evaluate, lang="en")
    explain = commands.add_parser("explain", help="why the model says what it says of a company")
    explain.add_argument("profile", help="of the company: TOML, JSON, YAML or .xlsx")
    explain.add_argument("--model", required=True, metavar="DIR", help="folder of the model")
    explain.add_argument("--outcome", default="acquired", choices=CLASSES[1:])
    explain.add_argument("--lang", choices=("en", "zh"), default="en")
    explain.set_defaults(run=run, action=_explain)
    card = commands.add_parser("card", help="print the model card as Markdown")
    card.add_argument("--model", default="default", metavar="DIR", help="folder of the model")
    card.set_defaults(run=run, action=_card, lang="en")


def _evaluate(args: argparse.Namespace) -> int:
    model = load_model(args.model)
    if not isinstance(model, ExitNetwork):
        raise ExitError(Issue("EX601", "model", "base rates have no table scores",
                              "give the folder of a trained model", str(args.model)))  # fmt: skip
    if not 2 <= args.resamples <= 100_000:
        raise ExitError(Issue("EX803", "resamples", f"got {args.resamples}", "choose 2 to 100,000"))
    features = (*model.encoder.numbers, *model.encoder.labels)
    table = read_table(args.table, features, skip_broken=True)
    for fault in table.skipped:
        print(f"left out: {fault}", file=sys.stderr)
    p = model.predict_table(table)
    if not np.isfinite(p).all():
        raise ExitError(Issue("EX602", "model", "a probability is not finite", "train it again"))
    result = evaluate_probabilities(
        p, table.outcome, CLASSES, resamples=args.resamples, seed=args.seed
    )
    skipped = {"skipped": list(table.skipped)}
    print(json.dumps(result.as_json() | skipped) if args.json else _text(result))
    return 0


def _explain(args: argparse.Namespace) -> int:
    from fastnn.exit_strategy.catalogue import feature_names, text
    from fastnn.exit_strategy.notes import Note
    from fastnn.exit_strategy.profile.profile import Profile
    from fastnn.exit_strategy.wording import percent

    model = load_model(args.model)
    if not isinstance(model, ExitNetwork):
        raise ExitError(Issue("EX601", "model", "base rates have nothing to explain",
                              "give the folder of a trained model", str(args.model)))  # fmt: skip
    profile = Profile.from_file(args.profile)
    told = model.explain(profile, args.outcome)
    numbers = {"value": percent(told.value, 1), "baseline": percent(told.baseline, 1)}
    print(text(f"model.{args.outcome}", args.lang, **numbers))
    rows = sorted(told.contributions.items(), key=lambda item: -abs(item[1]))
    for name, part in rows:
        if abs(part) >= 5e-4:
            print(f"  {part:+7.1%}  {feature_names([name], args.lang)}")
    print(text("model.rest", args.lang, error=f"{told.completeness_error:.1e}"))
    hull = model.in_hull(profile)
    if not hull.inside:
        print(f"! {Note('outside_model', {'features': ' '.join(hull.outside)}).text(args.lang)}")
    return 0


def _text(result: Evaluation) -> str:
    lines = [f"{result.rows} rows, 95 % bootstrap intervals"]
    for key, value in result.values.items():
        cells = value.items() if isinstance(value, dict) else [("", value)]
        for name, number in cells:
            low, high = result.intervals[key][name] if name else result.intervals[key]
            lines.append(f"{key + ' ' + name:<28}{number:8.4f}   {low:.4f} to {high:.4f}")
    return "\n".join(lines)


def _card(args: argparse.Namespace) -> int:
    model = load_model(args.model)
    if isinstance(model, BaseRates):
        print(
            "# Base rates\n\nNo learned model is loaded. Chances are 26-month frequencies of US "
            "startups of 2006 to 2013 by money raised and last round (data from Crunchbase, "
            "October 2013 export, CC BY). Train one with examples/exit_model/train.py."
        )
    else:
        print(card_markdown(model.facts), end="")
    return 0
