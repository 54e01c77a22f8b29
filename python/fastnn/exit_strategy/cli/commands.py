"""`fastnn exit ...`: init, check, score, waterfall, venues, batch, process, gates, model.

Modules are imported when a command runs, so that `--help` is instant.
"""

from __future__ import annotations

import argparse
import datetime as dt
import gc
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from fastnn.exit_strategy.errors import ExitError, Issue, unwritable
from fastnn.exit_strategy.reading.files import home
from fastnn.files import write_text

from .running import (
    BAD_INPUT,
    INSUFFICIENT,
    MINUS,
    PROFILE_HELP,
    STALE,
    Formatter,
    decimal,
    read_date,
    run,
    whole,
)

__all__ = ["add_commands", "main"]

_Action = Callable[[argparse.Namespace], int]


def add_commands(subparsers: Any, asked: str | None = None) -> None:
    """Add the exit tool's commands to an argparse sub-parser group.

    Where `asked` names one, it is the only one: to make the others takes longer than some run.
    """
    for name, (action, words, arguments) in _TOOLS.items():
        if asked == name or asked not in _TOOLS:
            arguments(_command(subparsers, name, action, words))


def _room(name: str) -> Any:
    """The module of a command that lives in one of its own, read when it is asked for."""
    if name == "round":
        from . import rounds

        return rounds
    from . import investor

    return investor


def _room_arguments(name: str, parser: argparse.ArgumentParser) -> None:
    getattr(_room(name), f"add_{name}")(parser)


def _room_run(name: str, args: argparse.Namespace) -> int:
    return int(getattr(_room(name), f"run_{name}")(args))


def _init_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="the template to write, such as acme.toml")
    parser.add_argument("--force", action="store_true", help="overwrite an existing file")


def _check_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("profile", help=PROFILE_HELP)
    parser.add_argument("--schema", action="store_true", help="print the profile's JSON Schema")


def _score_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("profile", help=PROFILE_HELP)
    _add_settings(parser)
    for name in ("html", "json", "markdown"):
        parser.add_argument(f"--{name}", metavar="FILE", help=f"write the report as {name}")
    parser.add_argument("--excel", metavar="FILE", help="write the waterfall as a workbook")
    parser.add_argument("--quiet", action="store_true", help="print nothing on the terminal")


def _serve_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("profile", metavar="FILE", help="a .toml profile; made when it is saved")
    parser.add_argument("--port", type=whole, default=8765, help="default: 8765")
    _add_settings(parser)


def _waterfall_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("profile", help=PROFILE_HELP)
    parser.add_argument("--prices", help="such as 10m,30m,1.2bn; default: around the value")
    parser.add_argument(
        "--decimal", choices=(".", ","), metavar="MARK", help="decimal mark of the prices"
    )


def _venues_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("profile", help=PROFILE_HELP)
    parser.add_argument("--gates", metavar="FILE", help="rules laid over the shipped ones (JSON)")
    parser.add_argument("--strict", action="store_true", help="exit 4 when a rule is out of date")


def _batch_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", help="CSV, Parquet or .xlsx, a company each row")
    parser.add_argument(
        "-o", "--output", required=True, metavar="FILE", help="CSV or Parquet to write"
    )
    parser.add_argument("--resume", action="store_true", help="go on where a run was cut off")
    parser.add_argument("--encoding", help="of a CSV file, where it cannot be told: gb18030 ...")
    parser.add_argument(
        "--decimal", choices=(".", ","), metavar="MARK", help="decimal mark of numbers as text"
    )
    parser.add_argument("--workers", type=whole, help="processes side by side; default: one a core")
    _add_settings(parser)


def _process_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("profile", help=PROFILE_HELP)
    parser.add_argument("--mermaid", action="store_true", help="print the repaired chart")
    parser.add_argument("--seed-view", action="store_true", help="print the article's own chart")
    _add_settings(parser)


def _gates_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--check-age", action="store_true", help="list only what is out of date")
    parser.add_argument("--gates", metavar="FILE", help="rules laid over the shipped ones (JSON)")
    parser.add_argument("--on", metavar="DATE", help="judge on this date instead of today")
    parser.add_argument("--strict", action="store_true", help="exit 4 when a rule is out of date")


def _model_arguments(parser: argparse.ArgumentParser) -> None:
    """Its own commands are read when it runs, since they load the learned model."""
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="card | evaluate | explain ...")


def _command(subparsers: Any, name: str, action: _Action, words: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name, help=words, description=words, formatter_class=Formatter
    )
    parser._negative_number_matcher = MINUS  # argparse's own knows -5 alone, not -5m
    parser.add_argument("--lang", choices=("en", "zh"), default=_language(), help="en or zh")
    parser.set_defaults(run=run, action=action)
    return parser


def _language() -> str:
    spoken = os.environ.get("LC_ALL") or os.environ.get("LANG") or ""
    return "zh" if spoken.lower().startswith("zh") else "en"


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--options",
        default="ipo,ma,transform",
        help="ipo, ma, transform, license_hire, private_round, dual_track, ma_buy, hold, "
        "secondary, mbo, esop, minority, wind_down; suited: those that fit the company",
    )
    parser.add_argument(
        "--weights",
        default="founder",
        help="founder, investor, cfo, adviser, equal, or a JSON file",
    )
    parser.add_argument("--draws", type=whole, default=10_000, help="default: 10000")
    parser.add_argument("--seed", type=whole, default=0, help="of the draws; default: 0")
    parser.add_argument(
        "--kappa",
        type=decimal,
        default=60.0,
        help="how firmly weights are held; 0 not at all, default: 60",
    )
    parser.add_argument("--gates", metavar="FILE", help="rules laid over the shipped ones (JSON)")
    parser.add_argument("--criteria", metavar="FILE", help="your own criteria file")
    parser.add_argument("--model", metavar="NAME", help="learned model; base rates otherwise")
    parser.add_argument("--threads", type=whole, help="default: one a core")
    parser.add_argument(
        "--allow-inconsistent",
        action="store_true",
        help="take weights of contradictory pairwise judgements",
    )
    parser.add_argument("--strict", action="store_true", help="exit 4 when a rule is out of date")


def _model(args: argparse.Namespace) -> int:
    from .model import add_commands as add_model_commands

    parser = argparse.ArgumentParser(prog="fastnn exit")
    add_model_commands(parser.add_subparsers(dest="tool", required=True))
    chosen = parser.parse_args(["model", *args.words])
    return int(chosen.action(chosen))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the exit tool alone: `python -m fastnn.exit_strategy.cli score acme.toml`."""
    parser = argparse.ArgumentParser(prog="fastnn exit", formatter_class=Formatter)
    words = sys.argv[1:] if argv is None else argv
    asked = words[0] if words else None
    add_commands(
        parser.add_subparsers(dest="tool", metavar="tool", required=True, prog="fastnn exit"), asked
    )
    args = parser.parse_args(argv)
    return int(args.run(args))


def _init(args: argparse.Namespace) -> int:
    from fastnn.exit_strategy.profile.schema import template

    path = home(args.file)
    if path.exists() and not args.force:
        raise ExitError(Issue("EX802", "", f"{path} exists", "name another file, or use --force"))
    _write(path, template(args.lang))
    print(path)
    return 0


def _write(path: Path, words: str) -> None:
    try:
        write_text(path, words)
    except OSError as error:
        raise ExitError(unwritable(path, error)) from error


def _serve(args: argparse.Namespace) -> int:
    from fastnn.exit_strategy.serve import serve

    if not 1 <= args.port <= 65535:
        text_ = f"{args.port} is not a port"
        raise ExitError(Issue("EX803", "port", text_, "use 1024 to 65535", str(args.port)))
    serve(args.profile, port=args.port, lang=args.lang, **_settings(args))
    return 0


def _check(args: argparse.Namespace) -> int:
    from fastnn.exit_strategy.catalogue import text
    from fastnn.exit_strategy.profile.profile import Profile
    from fastnn.exit_strategy.report.terminal import wrap

    if args.schema:
        import json

        from fastnn.exit_strategy.profile.schema import json_schema

        print(json.dumps(json_schema(), ensure_ascii=False, indent=1))
    profile = Profile.from_file(args.profile)
    print(text("cli.valid", args.lang, file=args.profile))
    first, rest = _missing(profile)
    if first:
        print(text("cli.missing_first", args.lang))
        print("\n".join(f"  {row.path:<30}{getattr(row, args.lang)}" for row in first))
    others = ", ".join(row.path for row in rest) or text("word.none", args.lang)
    print("\n".join(wrap(text("cli.missing", args.lang, fields=others), "", "  ")))
    return 0


def _missing(profile: Any) -> tuple[list[Any], list[Any]]:
    """Fields that were not given: those the ranking weighs, by their weight, and the others."""
    from fastnn.exit_strategy.criteria import load_criteria, resolve_weights
    from fastnn.exit_strategy.reading.fields import FIELD_BY_PATH
    from fastnn.exit_strategy.scoring.leaves import LEAF_FIELDS

    tree = load_criteria()
    groups = resolve_weights("founder", tree).values
    weights: dict[str, float] = {}
    for leaf, group, local in zip(tree.leaves, tree.group_of, tree.local_weights, strict=True):
        path = LEAF_FIELDS.get(leaf.id, leaf.id)
        weights[path] = weights.get(path, 0.0) + groups[group] * local
    rows = [FIELD_BY_PATH[path] for path in profile.missing]
    first = [row for row in rows if row.path in weights]
    first.sort(key=lambda row: -weights[row.path])
    return first, [row for row in rows if row.path not in weights]


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    from fastnn.exit_strategy.criteria import load_criteria
    from fastnn.exit_strategy.gates.data import load_gates

    weights: Any = args.weights
    from fastnn.exit_strategy.reading.files import json_of, read_text_file

    if weights.endswith(".json"):
        try:
            weights = json_of(read_text_file(weights))
        except (ExitError, ValueError, RecursionError) as error:
            raise ExitError(
                Issue(
                    "EX206",
                    "weights",
                    f"cannot read {args.weights}: {error}",
                    "give a preset or a JSON file",
                )
            ) from error
    model = None
    if args.model:
        from fastnn.exit_strategy.model.network import load_model

        model = load_model(args.model)
    return {
        "options": args.options, "weights": weights, "draws": args.draws, "seed": args.seed,
        "kappa": args.kappa, "gates": load_gates(args.gates), "model": model,
        "criteria": load_criteria(args.criteria), "threads": args.threads,
    }  # fmt: skip


def _score(args: argparse.Namespace) -> int:
    from fastnn.exit_strategy.evaluation import evaluate
    from fastnn.exit_strategy.profile.profile import Profile

    settings = _settings(args)
    result = evaluate(
        Profile.from_file(args.profile), allow_inconsistent=args.allow_inconsistent, **settings
    )
    if args.html:
        result.to_html(args.html, lang=args.lang)
    if args.markdown:
        result.to_markdown(args.markdown, lang=args.lang)
    if args.json:
        result.to_json(args.json)
    if args.excel:
        result.to_excel(args.excel, lang=args.lang)
    if not args.quiet:
        print(result.to_terminal(lang=args.lang, colour=_colour()), end="")
    stale = _stale(settings["gates"], result.profile.as_of) if args.strict else 0
    if stale:
        return stale
    return INSUFFICIENT if result.recommendation == "insufficient_information" else 0


def _colour() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def _stale(gates: Any, on: dt.date) -> int:
    from fastnn.exit_strategy.gates.data import check_age

    stale = [flag for flag in check_age(gates, on) if flag.stale]
    for flag in stale:
        print(flag.note.text(), file=sys.stderr)
    return STALE if stale else 0


def _waterfall(args: argparse.Namespace) -> int:
    from fastnn.exit_strategy.catalogue import holder_name, text
    from fastnn.exit_strategy.money.outcomes import price_grid, run_waterfall
    from fastnn.exit_strategy.notes import Note
    from fastnn.exit_strategy.profile.profile import Profile
    from fastnn.exit_strategy.report.tables import step_name
    from fastnn.exit_strategy.report.terminal import fit_table
    from fastnn.exit_strategy.wording import money

    profile = Profile.from_file(args.profile)
    prices = _prices(args, profile) if args.prices else list(price_grid(profile))
    table = run_waterfall(profile, prices)

    def shown(label: str, amounts: Any) -> list[str]:
        return [label, *(money(float(a), profile.currency, args.lang) for a in amounts)]

    bridges = [dict(bridge) for bridge in table.bridges]
    rows = [
        shown(step_name(step, args.lang), [bridge.get(step, 0.0) for bridge in bridges])
        for step in dict.fromkeys(step for bridge in table.bridges for step, _ in bridge)
        if step != "price" and (step == "net" or any(bridge.get(step) for bridge in bridges))
    ]
    if table.doubts:
        stable = [text(f"word.conversion_{doubt}", args.lang) for doubt in table.doubts]
        rows.append([step_name("conversion", args.lang), *stable])
    rows += [
        shown(holder_name(holder, args.lang), amounts)
        for holder, amounts in zip(table.holders, zip(*table.payouts, strict=True), strict=True)
    ]
    for person in dict.fromkeys(person for at in table.persons for person in at):
        sums = [sum(at.get(person, {}).values()) for at in table.persons]
        if any(sums):
            rows.append(shown(f"= {person or text('holder.others', args.lang)}", sums))
    shares = [f"{lost:.1%}" for lost in table.lost_to_preferences]
    rows.append([text("head.lost", args.lang), *shares])
    head = [
        step_name("price", args.lang),
        *(money(float(price), profile.currency, args.lang) for price in table.prices),
    ]
    for first in range(1, len(head), _PRICES_A_LINE):
        part = slice(first, first + _PRICES_A_LINE)
        block = [[row[0], *row[part]] for row in rows]
        columns = [head[0], *head[part]]
        lines = fit_table(block, columns, range(1, len(columns)))
        print("\n".join(lines if first == 1 else ["", *lines]))
    for grant, paid in table.at_closing.items():
        words = {"grant": holder_name(grant, args.lang), "part": f"{paid:.0%}"}
        print(f"! {text('text.deferred', args.lang, **words)}")
    for flag in table.flags:
        print(f"! {Note(flag).text(args.lang)}")
    return 0


_PRICES_A_LINE = 4


def _prices(args: argparse.Namespace, profile: Any) -> list[float]:
    """Read the prices of the command line as the profile's own numbers are read."""
    from fastnn.exit_strategy.reading.amounts import AmountError, split_amounts
    from fastnn.exit_strategy.reading.fields import Field
    from fastnn.exit_strategy.reading.parse import Reader, read_number

    mark = args.decimal or profile["decimal"]
    reader = Reader([], dt.date.today(), profile.currency, profile.rates, mark)
    row = Field("prices", "money", "", "", "30m", low=0, high=1e15)
    try:
        parts = split_amounts(args.prices, decimal=mark)
    except AmountError as error:
        raise ExitError(Issue("EX122", "prices", error.message, error.hint)) from error
    prices = [read_number(reader, row, part) for part in parts]
    if reader.issues or not parts:
        raise ExitError(
            reader.issues or [Issue("EX803", "prices", "no price is given", "such as 10m,30m")]
        )
    return [price for price in prices if price is not None]


def _venues(args: argparse.Namespace) -> int:
    from fastnn.exit_strategy.catalogue import text
    from fastnn.exit_strategy.gates.data import load_gates
    from fastnn.exit_strategy.gates.judge import judge_gates
    from fastnn.exit_strategy.profile.profile import Profile
    from fastnn.exit_strategy.report.tables import venue_rows
    from fastnn.exit_strategy.report.terminal import fit_table

    profile = Profile.from_file(args.profile)
    gates = load_gates(args.gates)
    report = judge_gates(profile, gates, ("ipo",))
    rows = [(row[0], row[1], row[3]) for row in venue_rows(report, args.lang)]
    head = [text(f"head.{key}", args.lang) for key in ("venue", "state", "gap")]
    print("\n".join(fit_table(rows, head)))
    for note in report.warnings:
        print(f"! {note.text(args.lang)}")
    return _stale(gates, profile.as_of) if args.strict else 0


def _batch(args: argparse.Namespace) -> int:
    import fastnn
    from fastnn.exit_strategy.batch import evaluate_many
    from fastnn.exit_strategy.batch_output import partial_path
    from fastnn.exit_strategy.catalogue import text

    from .meter import Meter

    gc.set_threshold(100_000, 50, 50)  # rows make no cycles; looking for some takes a tenth
    settings = _settings(args)
    workers = fastnn.get_num_threads() if args.workers is None else args.workers
    meter = Meter(args.lang)
    try:
        made = evaluate_many(
            args.source,
            output=args.output,
            progress=meter.show,
            workers=workers,
            resume=args.resume,
            encoding=args.encoding,
            decimal=args.decimal,
            **settings,
        )
    except KeyboardInterrupt:
        meter.close()
        part = partial_path(home(args.output))
        if part.exists():
            print(text("cli.interrupted", args.lang, file=part), file=sys.stderr)
            return 130
        raise
    meter.close()
    for remark in made.remarks:
        print(f"! {args.source}: {remark}", file=sys.stderr)
    counts = {"rows": f"{made.rows:,}", "failed": f"{made.failed:,}"}
    print(text("cli.batch", args.lang, file=args.output, **counts))
    stale = _stale(settings["gates"], dt.date.today()) if args.strict else 0
    return stale or (BAD_INPUT if made.rows and made.failed == made.rows else 0)


def _process(args: argparse.Namespace) -> int:
    from fastnn.exit_strategy.catalogue import text
    from fastnn.exit_strategy.evaluation import evaluate
    from fastnn.exit_strategy.process.process import Process, seed_mermaid
    from fastnn.exit_strategy.profile.profile import Profile
    from fastnn.exit_strategy.report.terminal import wrap

    if args.seed_view:
        print(seed_mermaid(args.lang), end="")
        return 0
    result = evaluate(Profile.from_file(args.profile), **_settings(args))
    process = Process(result)
    if args.mermaid:
        print(process.to_mermaid(args.lang), end="")
        return 0
    for step in process.next_steps(args.lang):
        lines = wrap(text("ui.step", args.lang, title=step.title) + step.advice)
        lines += [
            line for rule, words in step.rules for line in wrap(f"{rule} {words}", "  ", "     ")
        ]
        lines += [f"  -> {event}: {words}" for event, words in step.events]
        lines += [f"  x  {event}: {reason}" for event, reason in step.blocked]
        print("\n".join(lines))
    return 0


def _gates(args: argparse.Namespace) -> int:
    from fastnn.exit_strategy.catalogue import data_words, text
    from fastnn.exit_strategy.gates.data import check_age, load_gates

    on = read_date(args.on, "--on", "EX803") if args.on else dt.date.today()
    gates = load_gates(args.gates)
    flags = check_age(gates, on)
    if not args.check_age:
        for item in gates.items():
            level = data_words(item["confidence"], args.lang)
            row = {"id": f"{item['id']:<18}", "checked": item["checked"], "level": level}
            print(text("cli.gate_row", args.lang, **row))
    for flag in flags:
        print(f"! [{flag.id}] {flag.note.text(args.lang)}")
    if args.check_age and not flags:
        print(text("cli.fresh", args.lang, date=on.isoformat()))
    return STALE if args.strict and any(flag.stale for flag in flags) else 0


#: Command -> what it runs, what it does in words, and what adds its arguments.
_TOOLS: dict[str, tuple[_Action, str, Callable[[argparse.ArgumentParser], None]]] = {
    "init": (_init, "write a commented profile template", _init_arguments),
    "check": (_check, "validate a profile", _check_arguments),
    "score": (_score, "rank the options of one company", _score_arguments),
    "serve": (_serve, "the form and the report in a browser", _serve_arguments),
    "waterfall": (_waterfall, "who gets what at which price", _waterfall_arguments),
    **{
        name: (partial(_room_run, name), words, partial(_room_arguments, name))
        for name, words in (
            ("round", "a priced round: who owns what after it"),
            ("investor", "one holder's return by price"),
            ("fund", "one holder's stakes in several companies"),
            ("opm", "worth today by option pricing (409A)"),
        )
    },
    "venues": (_venues, "listing venues with what is missing", _venues_arguments),
    "batch": (_batch, "score many companies, CSV or Parquet", _batch_arguments),
    "process": (_process, "next steps, or the process as Mermaid", _process_arguments),
    "gates": (_gates, "listing and regulatory rules, and which are out of date", _gates_arguments),
    "model": (
        _model,
        "the learned model: `model card`, `evaluate TABLE`, `explain PROFILE`, with --model DIR",
        _model_arguments,
    ),
}
