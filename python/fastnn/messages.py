"""What fastnn says while it works: on standard output, or to the log `fastnn` when switched so.

Keras's switch (`utils/io_utils.py`), with the standard library's logging in place of absl's.
Depends on the standard library.
"""

from __future__ import annotations

import logging

__all__ = [
    "disable_interactive_logging", "enable_interactive_logging", "is_interactive_logging_enabled",
    "say", "set_logging_verbosity",
]  # fmt: skip

_interactive = True


def enable_interactive_logging() -> None:
    """Progress and messages go to standard output, which is how a process starts."""
    global _interactive
    _interactive = True


def disable_interactive_logging() -> None:
    """Progress and messages go to the log `fastnn` at level INFO, one line each, without a bar."""
    global _interactive
    _interactive = False


def is_interactive_logging_enabled() -> bool:
    """Whether progress and messages go to standard output."""
    return _interactive


def set_logging_verbosity(level: str | int) -> None:
    """The level from which the log `fastnn` keeps messages: "INFO", "WARNING", …."""
    names = ("DEBUG", "INFO", "WARNING", "ERROR", "FATAL")
    if isinstance(level, str) and level.upper() not in names:
        raise ValueError(f"logging verbosity {level!r} is not known\n  hint: {', '.join(names)}")
    logging.getLogger("fastnn").setLevel(level.upper() if isinstance(level, str) else level)


def say(text: str, end: str = "\n") -> None:
    """Prints a message, or logs it."""
    if _interactive:
        print(text, end=end, flush=True)
    else:
        logging.getLogger("fastnn").info(text.strip())
