"""What fastnn prints while it works: to standard output, or to the logger `fastnn` where chosen.

Keras's switch (`utils/io_utils.py`), with the standard library's logging in place of absl's.
Terminals that are not UTF-8 get plain look-alikes of what they cannot show, never an error.
Depends on the standard library.
"""

from __future__ import annotations

import codecs
import sys
import unicodedata
import warnings
from typing import Any

from fastnn.base.arguments import hints_arguments

__all__ = [
    "disable_interactive_logging", "enable_interactive_logging", "escaped",
    "is_interactive_logging_enabled",
    "print_msg", "printable_stream", "set_logging_verbosity", "shown", "silence",
    "warn_of_one_unit",
]  # fmt: skip

_interactive = True
_silent = False

#: What stands for a character that a terminal cannot show.
_LOOKALIKES = {
    **dict.fromkeys("─━", "-"), **dict.fromkeys("│┃", "|"), **dict.fromkeys("┏┳┓┡╇┩└┴┘├┼┤┌┬┐", "+"),
    **dict(zip("▁▂▃▄▅▆▇█", "_.-=+*%#", strict=True)), **dict.fromkeys("–·•", "-"),
    **dict.fromkeys("‘’", "'"), **dict.fromkeys("“”", '"'), "→": "->", "←": "<-", "≥": ">=",
    "≤": "<=", "≠": "!=", "—": "--", "…": "...", "×": "x", "✗": "x", "✓": "v", "±": "+/-",
    "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR", "Φ": "Phi", "ł": "l",
}  # fmt: skip


def _lookalike(error: UnicodeError) -> tuple[str, int]:
    """The error handler of codecs: a look-alike of each character, or its base letter, or `?`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    out = []
    for char in error.object[error.start : error.end]:
        base = unicodedata.normalize("NFKD", char).encode("ascii", "ignore").decode()
        out.append(_LOOKALIKES.get(char) or base or "?")
    return "".join(out), error.end


codecs.register_error("fastnn.lookalike", _lookalike)


def escaped(text: str) -> str:
    r"""A name as it may stand in a line of text: control, bidirectional, unpaired and other
    characters that are not printable escaped, so that it cannot rewrite what stands around it.

    >>> escaped("dense\x1b[2J")
    'dense\\x1b[2J'
    """
    return text if text.isprintable() else "".join(_visible(c) for c in text)


def _visible(character: str) -> str:
    return character if character.isprintable() else repr(character)[1:-1]


@hints_arguments
def shown(text: str, stream: Any = None) -> str:
    """A text as a stream can show it: characters that its encoding lacks become look-alikes.

    Args:
        text: The text.
        stream: A text stream; None: standard output.

    Returns:
        The text.

    Example:
        >>> fastnn.config.shown("plain")
        'plain'
    """
    encoding = getattr(sys.stdout if stream is None else stream, "encoding", None)
    if text.isascii() or not isinstance(encoding, str):
        return text
    try:
        return text.encode(encoding, "fastnn.lookalike").decode(encoding)
    except (LookupError, UnicodeError):
        return text


@hints_arguments
def printable_stream(stream: Any) -> None:
    """Makes a stream of this process show look-alikes of characters that it cannot encode, instead
    of failing.

    Args:
        stream: A text stream such as `sys.stdout`.

    Example:
        >>> import io
        >>> fastnn.config.printable_stream(io.StringIO())
    """
    encoding = str(getattr(stream, "encoding", "utf-8")).lower().replace("-", "")
    if encoding != "utf8" and hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="fastnn.lookalike")


@hints_arguments
def enable_interactive_logging() -> None:
    """Progress and messages go to standard output, which is how a process starts.

    Example:
        >>> fastnn.config.enable_interactive_logging()
    """
    global _interactive
    _interactive = True


@hints_arguments
def disable_interactive_logging() -> None:
    """Progress and messages go to the log `fastnn` at level INFO, one line each, without a bar.

    Example:
        >>> fastnn.config.disable_interactive_logging()
        >>> fastnn.config.is_interactive_logging_enabled()
        False
        >>> fastnn.config.enable_interactive_logging()
    """
    global _interactive
    _interactive = False


@hints_arguments
def is_interactive_logging_enabled() -> bool:
    """Whether progress and messages go to standard output.

    Returns:
        True or False.

    Example:
        >>> fastnn.config.is_interactive_logging_enabled()
        True
    """
    return _interactive


@hints_arguments
def set_logging_verbosity(level: str | int) -> None:
    """The level from which the log `fastnn` keeps messages.

    Args:
        level: A name such as `"WARNING"`, or a level of Python's logging.

    Example:
        >>> fastnn.config.set_logging_verbosity("INFO")
    """
    names = ("DEBUG", "INFO", "WARNING", "ERROR", "FATAL")
    if isinstance(level, str) and level.upper() not in names:
        raise ValueError(f"logging verbosity {level!r} is not known\n  hint: {', '.join(names)}")
    import logging

    logging.getLogger("fastnn").setLevel(level.upper() if isinstance(level, str) else level)


def silence() -> None:
    """From here on another process says for this one what there is to say."""
    global _silent
    _silent = True


def print_msg(text: str, end: str = "\n") -> None:
    """Prints a message, or logs it."""
    if _silent:
        return
    if _interactive:
        print(shown(text), end=end, flush=True)
    else:
        import logging  # few programs log, and it takes its time

        logging.getLogger("fastnn").info(text.strip())


def warn_of_one_unit(what: str, size: Any) -> None:
    """Says that a softmax over an axis of this size is always 1, where it is."""
    if size == 1:
        warnings.warn(
            f"{what} takes the softmax of one unit, which is always 1\n"
            "  hint: activation='sigmoid', or one unit a class",
            stacklevel=3,
        )
