"""How a command of the exit tool runs: exit codes, and errors in plain words.

Exit codes: 0 fine, 2 bad input, 3 not enough information, 4 stale gate data under --strict.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import re
import sys

from fastnn.exit_strategy.errors import ExitError, Issue

__all__ = [
    "BAD_INPUT", "INSUFFICIENT", "MINUS", "PROFILE_HELP", "STALE", "Formatter", "decimal",
    "read_date", "run", "whole",
]  # fmt: skip

#: What every command says of its profile.
PROFILE_HELP = "of the company: TOML, JSON, YAML, .xlsx or a CSV file of one row"

BAD_INPUT, INSUFFICIENT, STALE = 2, 3, 4

#: A word that begins so is a negative amount and no option: `-5m`, `-€5m`, `-(5m)`, `-5%`.
MINUS = re.compile(r"-[^-A-Za-z]")


class Formatter(argparse.HelpFormatter):
    """argparse's own, which makes one for every argument and reads four archive formats for it."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


def _columns() -> int:
    """The width of the terminal as `shutil.get_terminal_size` finds it."""
    try:
        stated = int(os.environ.get("COLUMNS") or 0)
        if stated <= 0:
            stated = os.get_terminal_size(sys.__stdout__.fileno()).columns  # type: ignore[union-attr]
    except (AttributeError, ValueError, OSError):
        return 80
    return stated or 80


def whole(given: str) -> int:
    """A whole number of the command line."""
    try:
        return int(given)
    except ValueError as error:
        raise _no_number(given, "a whole number", "10000") from error


def decimal(given: str) -> float:
    """A number of the command line."""
    try:
        return float(given)
    except ValueError as error:
        raise _no_number(given, "a number", "60") from error


def _no_number(given: str, wanted: str, such_as: str) -> argparse.ArgumentTypeError:
    text = f"{given!r} is not {wanted}\n  hint: write it in digits, without unit, such as {such_as}"
    return argparse.ArgumentTypeError(text)


def read_date(given: str, where: str, code: str = "EX107") -> dt.date:
    """Return a day of the command line, read as the profile's days are."""
    from fastnn.exit_strategy.reading.amounts import AmountError
    from fastnn.exit_strategy.reading.dates import read_day

    try:
        return read_day(given)
    except AmountError as error:
        code = "EX122" if error.two_ways else code
        text = error.message if error.two_ways else f"{given!r} is not a date"
        raise ExitError(Issue(code, where, text, "write year-month-day", given)) from error


def run(args: argparse.Namespace) -> int:
    """Run a parsed command; return its exit code, errors in plain words on stderr."""
    try:
        return int(args.action(args))
    except ExitError as error:
        print(_error_text(error, getattr(args, "lang", "en")), file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # the reader went away, as `head` does; not an error of ours
        return 0


def _error_text(error: ExitError, lang: str) -> str:
    count = len(error.issues)
    if lang == "zh":
        return "\n".join([f"{count} 个问题：", *(_issue_in_chinese(i) for i in error.issues)])
    head = f"{count} problem{'s' if count > 1 else ''}:"
    return "\n".join([head, *(str(issue) for issue in error.issues)])


def _issue_in_chinese(issue: Issue) -> str:
    from fastnn.exit_strategy.catalogue import text
    from fastnn.exit_strategy.faults import fault_lines

    where = f" {issue.field}" if issue.field else ""
    said, hint = fault_lines(issue, text(f"code.{issue.code}", "zh"))
    return f"{issue.code}{where}：{said}\n  提示：{hint}"
