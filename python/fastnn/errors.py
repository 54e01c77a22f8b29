"""The exceptions of fastnn and the texts they share: nearest names, shapes, counts.

Every message says what, got, wanted and where, and ends in a line `hint: …` that mends it.
Depends on `_core` (which defines the classes) and the standard library.
"""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from fastnn._core import (
    DataError,
    DeviceError,
    FastnnError,
    FormatError,
    InternalError,
    ShapeError,
    TraceError,
)

__all__ = [
    "ConfigError",
    "DataError",
    "DeviceError",
    "FastnnError",
    "FormatError",
    "GpuDeviceLostError",
    "GpuInternalError",
    "GpuOutOfMemoryError",
    "GpuUnavailableError",
    "InternalError",
    "NotCompiledError",
    "RankError",
    "ShapeError",
    "TraceError",
    "check_arguments",
    "hint_of",
    "nearest",
    "reject_arguments",
    "told",
    "unknown_name",
    "warn_of_skipped",
]


def hint_of(error: BaseException) -> str | None:
    r"""What an error says to do, which fastnn's own have as `error.hint`.

    Args:
        error: An exception of any kind.

    Returns:
        The text after `hint:`, of the message or of a note; None when there is none.

    Example:
        >>> fastnn.errors.hint_of(ValueError("wrong\n  hint: right"))
        'right'
    """
    for text in (str(error), *getattr(error, "__notes__", ())):
        hint = re.search(r"^ *hint: ?(.*)", text, re.M | re.S)
        if hint is not None:
            return hint[1].strip()
    return None


class RankError(FastnnError, RuntimeError):
    """The ranks of a distributed run differ, or one of them failed or ended."""


class NotCompiledError(FastnnError, RuntimeError, ValueError):
    """A model that is to be trained or evaluated has no loss and optimizer yet.

    Keras 3 raises a ValueError here, Keras 2 a RuntimeError.
    """


class ConfigError(ValueError, TypeError):
    """A config that its class refuses; Keras raises a TypeError here."""

    @property
    def hint(self) -> str | None:
        """What to do, as the message ends."""
        return hint_of(self)


class GpuUnavailableError(DeviceError):
    """No GPU can be used: wgpu or a driver is missing, or the process was forked."""


class GpuOutOfMemoryError(DeviceError, MemoryError):
    """The memory of a GPU does not hold what is asked of it."""


class GpuDeviceLostError(DeviceError):
    """A GPU stopped answering; weights are those that Python read last."""


class GpuInternalError(DeviceError):
    """A GPU refused a program of fastnn: a fault of fastnn or of the driver."""


def nearest(word: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The names that look most like a word, best first, without regard to case.

    Args:
        word: The word.
        known: The names.
        count: At most so many.

    Returns:
        A list of names.

    Example:
        >>> fastnn.errors.nearest("relo", ["relu", "tanh"])
        ['relu']
    """
    from difflib import get_close_matches

    names = {name.lower(): name for name in sorted(known)}
    close = get_close_matches(word.lower(), names, n=count, cutoff=0.5)
    return [names[c] for c in close]


def _escaped(name: str) -> str:
    # As `base.messages.escaped`, which stands a floor above.
    return name if name.isprintable() else repr(name)[1:-1]


def unknown_name(kind: str, word: object, known: Iterable[str]) -> ValueError:
    """The error for a name that no table holds.

    Args:
        kind: Which table.
        word: The name.
        known: The names that there are.

    Returns:
        A ValueError whose hint names the nearest ones.

    Example:
        >>> print(fastnn.errors.unknown_name("loss", "mze", ["mse", "mae"]))
        unknown loss: 'mze'
          hint: did you mean 'mse', 'mae'?
    """
    known = list(known)
    close = nearest(str(word), known)
    hint = (
        "did you mean " + ", ".join(f"'{_escaped(c)}'" for c in close) + "?"
        if close
        else "known names: " + ", ".join(map(_escaped, sorted(known)[:20]))
    )
    return ValueError(f"unknown {kind}: {word!r}\n  hint: {hint}")


def check_arguments(
    where: str, given: Iterable[str], accepted: Iterable[str], target: Callable[..., Any]
) -> None:
    """TypeError for keyword arguments beyond those that are accepted for Keras's sake.

    Args:
        where: What messages call the function.
        given: Names that are no parameters of the function.
        accepted: Those of them that may be given and change nothing.
        target: The function.

    Raises:
        TypeError: One is not accepted; with a hint.

    Example:
        >>> fastnn.errors.check_arguments("f", ["name"], ["name"], lambda height: None)
    """
    taken = set(accepted)
    if unknown := [name for name in given if name not in taken]:
        raise reject_arguments(where, unknown, target)


def reject_arguments(
    where: str, names: Iterable[str], target: Callable[..., Any], also: Iterable[str] = ()
) -> TypeError:
    """The error for keyword arguments that a function does not take.

    Args:
        where: What messages call the function.
        names: The arguments.
        target: The function.
        also: Names that are taken besides its parameters.

    Returns:
        A TypeError with a hint.

    Example:
        >>> print(fastnn.errors.reject_arguments("f", ["heigth"], lambda height: None))
        f got an unexpected keyword argument 'heigth'
          hint: did you mean `height`?
    """
    known = [
        p
        for p, kind in inspect.signature(target).parameters.items()
        if p != "self" and kind.kind not in (kind.VAR_KEYWORD, kind.VAR_POSITIONAL)
    ]
    known += [name for name in also if name not in known]
    name = next(iter(names))
    close = nearest(name, known, 1)
    hint = f"did you mean `{close[0]}`?" if close else "it takes " + ", ".join(known)
    return TypeError(f"{where} got an unexpected keyword argument {name!r}\n  hint: {hint}")


def told(error: Exception) -> str:
    r"""What an error says, without its hint.

    Args:
        error: An exception.

    Returns:
        The text before the line `hint:`.

    Example:
        >>> fastnn.errors.told(ValueError("wrong\n  hint: right"))
        'wrong'
    """
    return str(error).split("\n  hint:")[0]


def hinted(error: Exception, hint: str) -> Exception:
    """The error with its hint as a note, for texts that Keras's programs compare as a whole."""
    error.add_note(f"  hint: {hint}")
    return error


def warn_of_skipped(path: str, faults: list[str]) -> None:
    """The warning of a file that was not taken as a whole: what was left out, and why.

    Args:
        path: The file.
        faults: What was left out, a text each.

    Example:
        >>> import warnings
        >>> with warnings.catch_warnings(record=True) as said:
        ...     warnings.simplefilter("always")
        ...     fastnn.errors.warn_of_skipped("m.keras", ["it has no tensor 'dense/bias'"])
        >>> str(said[0].message)
        "'m.keras' was not taken as a whole: it has no tensor 'dense/bias'"
    """
    more = f"; and {len(faults) - 8} more" if len(faults) > 8 else ""
    warnings.warn(f"{path!r} was not taken as a whole: {'; '.join(faults[:8])}{more}", stacklevel=4)


#: What TensorFlow calls errors that programs catch, and the class of those that are raised here.
_TENSORFLOW: dict[str, type[BaseException]] = {
    "OpError": FastnnError,
    "InvalidArgumentError": FastnnError,
    "OutOfRangeError": StopIteration,
    "NotFoundError": FileNotFoundError,
    "AlreadyExistsError": FileExistsError,
    "PermissionDeniedError": PermissionError,
    "ResourceExhaustedError": MemoryError,
    "DataLossError": FormatError,
    "FailedPreconditionError": RuntimeError,
    "UnimplementedError": NotImplementedError,
}


def __getattr__(name: str) -> Any:
    if name in _TENSORFLOW:
        return _TENSORFLOW[name]
    raise AttributeError(
        f"fastnn.errors has no {name!r}\n  hint: {', '.join(__all__[:6])}, InvalidArgumentError, …"
    )
