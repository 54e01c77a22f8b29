"""What reading one file may cost, and how its faults are told. Depends on `errors`."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from fastnn.errors import FormatError

__all__ = ["FileBudget", "file_budget", "file_limit", "format_errors", "no_memory", "reading_file"]


class FileBudget:
    """What building a model from one file may cost: bytes of weights and calls of layers."""

    bytes_left: Any
    calls_left: Any

    def __init__(self, max_bytes: int, max_calls: int = 20_000) -> None:
        self.bytes_left, self.calls_left = max_bytes, max_calls

    def weights(self, shape: Sequence[int], where: str) -> None:
        """Charges a float32 or int32 array before it is made; FormatError when it is too much."""
        size = 4 * math.prod(shape)
        if size > self.bytes_left:
            raise FormatError(
                f"{where}: weights of shape {tuple(shape)} take {size:,} bytes, "
                f"the file leaves room for {self.bytes_left:,}\n"
                "  hint: raise max_bytes= if you trust the file"
            )
        self.bytes_left -= size

    def call(self) -> None:
        """Charges a call of a layer, so that models nested in models cannot explode."""
        self.calls_left -= 1
        if self.calls_left < 0:
            raise FormatError("the file asks for too many calls of layers\n  hint: is it damaged?")


#: Memory that a small file may take beyond twice its size.
_SPARE = 16 << 20


def file_limit(path: str, max_bytes: int | None) -> int:
    """The bytes of weights that a file may ask for: `max_bytes`, or twice its size and 16 MiB."""
    return 2 * os.path.getsize(path) + _SPARE if max_bytes is None else max_bytes


class _NoMemory(FormatError, MemoryError):
    """A file asks for more memory than there is: a large model, or settings that are wrong."""


def no_memory(path: str, where: str, error: object) -> MemoryError:
    """The error of a file that could not be read for lack of memory."""
    what = str(error).partition("\n")[0]
    return _NoMemory(
        f"{path!r}: not enough memory for {where}{': ' * bool(what)}{what}\n"
        "  hint: free memory or raise the limit; if the model is small, the file is wrong"
    )


@contextmanager
def format_errors(path: str) -> Iterator[None]:
    """Whatever a layer says of settings that are wrong, the file is at fault: FormatError."""
    try:
        yield
    except FormatError as error:
        text = str(error)
        if path in text and "\n  hint: " in text:
            raise
        text = text if path in text else f"{path!r}: {text}"
        text += "" if "\n  hint: " in text else "\n  hint: is the file damaged, or was it changed?"
        raise FormatError(text) from error
    except MemoryError as error:
        raise no_memory(path, "building its model", error) from error
    except (ArithmeticError, AssertionError, AttributeError, LookupError,
            RecursionError, RuntimeError, TypeError, ValueError) as error:  # fmt: skip
        what = str(error) if "\n  hint: " in str(error) else (
            f"{type(error).__name__}: {error}\n  hint: is the file damaged, or was it changed?"
        )  # fmt: skip
        raise FormatError(f"{path!r}: the config does not describe a model: {what}") from error


_budget: ContextVar[FileBudget | None] = ContextVar("file_budget", default=None)


def file_budget() -> FileBudget | None:
    """The budget of the file whose model is being built, None otherwise."""
    return _budget.get()


@contextmanager
def reading_file(max_bytes: int) -> Iterator[FileBudget]:
    """Inside, layers are built for a file's weights: they start at zero and are charged."""
    budget = FileBudget(max_bytes)
    token = _budget.set(budget)
    try:
        yield budget
    finally:
        _budget.reset(token)
