"""Reading and writing files as a careful editor does. Depends on `_core`.

`replace_file` and `write_text` are how everything here writes: the file is replaced whole or not at
all. `check_regular` keeps loading from waiting at a pipe; `quoted` makes a name safe to print;
`uninterrupted` keeps Ctrl-C from being lost inside libraries that cannot pass it on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import threading
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

from fastnn import _core
from fastnn.base.arguments import hints_arguments

__all__ = ["check_regular", "quoted", "replace_file", "uninterrupted", "write_bytes", "write_text"]


@hints_arguments
def replace_file(path: str | os.PathLike[str], write: Callable[[str], Any]) -> None:
    """Writes a file beside its place and moves it there, on disk.

    The path holds the old file or the new one at any moment. A link stays a link, also when its
    target does not exist yet; the mode (and owner, where allowed) of an old file stay, a new one
    gets what the umask leaves. What killed writers left is cleared away.

    Args:
        path: The place; a pipe, a device or a folder is refused.
        write: Called with the name of the temporary file.

    Raises:
        OSError: The system refuses; the message names the path.

    Example:
        >>> import pathlib
        >>> def write(temporary):
        ...     pathlib.Path(temporary).write_text("whole")
        >>> fastnn.files.replace_file("notes.txt", write)
        >>> pathlib.Path("notes.txt").read_text()
        'whole'
    """
    _core.replace_file(os.fspath(path), write)


@hints_arguments
def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes bytes as `replace_file` does; into a pipe or a terminal, as it stands.

    Args:
        path: The place.
        data: The bytes.

    Raises:
        OSError: The system refuses.

    Example:
        >>> fastnn.files.write_bytes("notes.bin", b"whole")
    """
    if _is_stream(path):
        with open(path, "wb") as stream:
            stream.write(data)
        return

    def write(temporary: str) -> None:
        with open(temporary, "wb") as file:
            file.write(data)

    replace_file(path, write)


@hints_arguments
def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes text as UTF-8 as `replace_file` does; into a pipe or a terminal, as it stands.

    Args:
        path: The place.
        text: The text.

    Raises:
        OSError: The system refuses.

    Example:
        >>> fastnn.files.write_text("notes.txt", "whole")
    """
    write_bytes(path, text.encode())


def _is_stream(path: str | os.PathLike[str]) -> bool:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)


@hints_arguments
def check_regular(path: str | os.PathLike[str]) -> None:
    """Refuses what is there and is no plain file.

    Opening a pipe waits for a writer, and a device may never end.

    Args:
        path: A path; nothing need be there.

    Raises:
        OSError: A folder, a pipe or a device is there.

    Example:
        >>> fastnn.files.check_regular("model.safetensors")
    """
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return  # whoever opens it says so
    if stat.S_ISREG(mode):
        return
    name = quoted(os.fspath(path))
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"{name} is a folder, wanted a file\n  hint: name the file in it")
    kind = "a pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"
    raise OSError(f"{name} is {kind}, wanted a file\n  hint: copy what it gives to a file first")


@hints_arguments
def quoted(text: str) -> str:
    """A name or path in quotes, safe to print: control, bidirectional, unpaired and other invisible
    characters escaped.

    Args:
        text: The name.

    Returns:
        The name in quotes.

    Example:
        >>> fastnn.files.quoted("model.keras")
        "'model.keras'"
    """
    return ascii(text) if any(_is_hidden(c) for c in text) else repr(text)


def _is_hidden(character: str) -> bool:
    # Cc control, Cf format (bidirectional marks among them), Cs unpaired, Zl and Zp line ends.
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")


@hints_arguments
@contextlib.contextmanager
def uninterrupted() -> Iterator[Callable[[], None]]:
    """Puts signal handlers off to the end of the block, or to a call of what it gives.

    For stretches that run Python code from places where an exception is lost, as libraries do in
    callbacks from C: KeyboardInterrupt would be printed there and forgotten. Only the main thread
    runs handlers, so elsewhere nothing is done.

    Returns:
        A context manager; its value is a function that raises what is waiting.

    Example:
        >>> with fastnn.files.uninterrupted() as look:
        ...     look()  # a Ctrl-C until here is raised here
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    late: list[tuple[int, Any]] = []
    handlers: dict[int, Any] = {}
    inside = True

    def put_off(number: int, frame: Any) -> None:
        if inside:
            late.append((number, frame))
        else:  # an interrupt came while the handlers were put back
            handlers[number](number, frame)

    def look() -> None:
        while late:
            number, frame = late.pop(0)
            handlers[number](number, frame)

    try:
        for number in _handled():
            handlers[number] = signal.getsignal(number)
            signal.signal(number, put_off)
        yield look
    finally:
        inside = False
        for number, handler in handlers.items():
            if signal.getsignal(number) is put_off:
                signal.signal(number, handler)
        look()


def _handled() -> list[int]:
    """The signals that have a handler in Python, Ctrl-C last."""
    found = [n for n in signal.valid_signals() if callable(signal.getsignal(n))]
    return sorted(found, key=lambda n: n == signal.SIGINT)
