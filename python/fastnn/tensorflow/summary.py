"""`tf.summary`: numbers, histograms, texts and pictures in TensorBoard's files.

tensorboardX (extra `[tensorboard]`) is imported when used. Depends on `callbacks`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastnn.base.absent import answer_missing
from fastnn.callbacks.recording import event_writer
from fastnn.errors import TraceError
from fastnn.tracing.variables import current_scope

__all__ = [
    "SummaryWriter", "create_file_writer", "flush", "histogram", "image", "scalar",
    "should_record_summaries", "text",
]  # fmt: skip

#: The writers of the blocks that run, innermost last.
_open: list[SummaryWriter] = []


class SummaryWriter:
    """A folder of event files, which `as_default` makes the one that is written to."""

    def __init__(self, folder: Any) -> None:
        self._events = event_writer(folder)
        self._step: Any = None

    @contextlib.contextmanager
    def as_default(self, step: Any = None) -> Iterator[SummaryWriter]:
        """Writes to it within a block; `step` is that of values without one."""
        kept, self._step = self._step, step
        _open.append(self)
        try:
            yield self
        finally:
            _open.remove(self)
            self._step = kept
            self.flush()

    def set_as_default(self, step: Any = None) -> None:
        """Writes to it from now on."""
        self._step = step
        _open.append(self)

    def flush(self) -> None:
        """Writes what waits."""
        self._events.flush()

    def init(self) -> None:
        """Nothing: it is open."""

    def close(self) -> None:
        """Closes the file."""
        self._events.close()
        if self in _open:
            _open.remove(self)


def create_file_writer(
    logdir: Any, max_queue: Any = None, flush_millis: Any = None, filename_suffix: Any = None,
    name: str | None = None, experimental_trackable: bool = False,
) -> SummaryWriter:  # fmt: skip
    """A writer of event files in a folder.

    Args:
        logdir: The folder.
        max_queue: Taken and not needed.
        flush_millis: Taken and not needed.
        filename_suffix: Taken and not needed.
        name: Taken and not needed.
        experimental_trackable: Taken and not needed.

    Returns:
        A writer, for `with writer.as_default():`.

    Raises:
        ImportError: tensorboardX is not installed.
    """
    return SummaryWriter(logdir)


def _written(method: str, name: str, made: Callable[[], Any], step: Any, **options: Any) -> bool:
    if current_scope() is not None:
        raise TraceError(
            f"tf.summary.{method} needs values, and the step is being traced\n"
            "  hint: write what the step gives, after it"
        )
    if not _open:
        return False
    writer = _open[-1]
    step = writer._step if step is None else step
    if step is None:
        raise ValueError(f"tf.summary.{method}({name!r}) has no step\n  hint: step=epoch")
    getattr(writer._events, f"add_{method}")(name, made(), int(step), **options)
    return True


def scalar(name: str, data: Any, step: Any = None, description: Any = None) -> bool:
    """Writes a number; False outside of a writer's block."""
    return _written("scalar", name, lambda: float(np.asarray(data)), step)


def histogram(
    name: str, data: Any, step: Any = None, buckets: Any = None, description: Any = None
) -> bool:
    """Writes how numbers are spread; False outside of a writer's block."""
    return _written("histogram", name, lambda: np.asarray(data), step)


def text(name: str, data: Any, step: Any = None, description: Any = None) -> bool:
    """Writes a text; False outside of a writer's block."""
    return _written("text", name, lambda: str(np.asarray(data)), step)


def image(
    name: str, data: Any, step: Any = None, max_outputs: int = 3, description: Any = None
) -> bool:
    """Writes the first pictures of (n, height, width, channels); False outside of a block.

    Floats go from 0 to 1, whole numbers from 0 to 255.
    """

    def made() -> Any:
        pictures = np.asarray(data)[:max_outputs]
        if pictures.dtype.kind == "f":
            return np.clip(pictures, 0, 1)
        return np.clip(pictures, 0, 255).astype(np.uint8)

    return _written("images", name, made, step, dataformats="NHWC")


def flush(writer: SummaryWriter | None = None, name: str | None = None) -> None:
    """Writes what waits."""
    for each in [writer] if writer is not None else _open:
        each.flush()


def should_record_summaries() -> bool:
    """Whether a writer's block runs."""
    return bool(_open)


answer_missing(globals(), "fastnn.summary")
