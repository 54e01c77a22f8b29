"""A pass over data in `fit`, `evaluate` and `predict`: its batches, and what is printed of it.

Depends on `data`, `display`, `ranks`.
"""

from __future__ import annotations

import itertools
import time
import warnings
from typing import Any

import numpy as np

from fastnn import random
from fastnn.base import tree
from fastnn.base.messages import print_msg
from fastnn.data.batches import ArrayData, IterableData
from fastnn.display.progress import Progbar, in_notebook, is_terminal, plain_line
from fastnn.training.program import Logs
from fastnn.training.ranks import Ranks

__all__ = ["batches_of", "endless_batches", "report", "warn_of_end", "warn_of_few"]


def batches_of(
    data: Any,
    batch_size: int,
    steps: int | None,
    order: Any,
    first: int = 0,
    ranks: Ranks | None = None,
) -> Any:
    """Batches of an epoch from arrays, from number `first` on, or from an iterable.

    On several ranks those of this rank, each with whether it counts.
    """
    if isinstance(data, IterableData):
        batches = data.batches(steps)
        yield from batches if ranks is None else ((batch, True) for batch in batches)
        return
    if ranks is not None:
        most = ranks.steps(data, batch_size)
        most = most if steps is None else min(steps, most)
        yield from ranks.parts(data, batch_size, most, order, first)
        return
    total = data.steps(batch_size) if steps is None else min(steps, data.steps(batch_size))
    parts = (data.x, data.y, data.weights)
    for i in range(first, total):
        at: Any = slice(i * batch_size, (i + 1) * batch_size)
        at = at if order is None else order[at]
        yield tuple(tree.map_structure(lambda a, at=at: a[at], p) for p in parts)


def endless_batches(
    data: ArrayData, batch_size: int, seed: int | None, start: int, ranks: Ranks | None
) -> Any:
    """Batches of arrays without end from number `start` on, each pass in its own order."""
    count = data.steps(batch_size) if ranks is None else data.steps(batch_size * ranks.readers)
    first, skipped = divmod(start, count)
    for turn in itertools.count(first):
        order = None if seed is None else random.epoch_order(data.n, seed, turn)
        if ranks is None:
            batches = batches_of(data, batch_size, None, order)
        else:
            batches = ranks.parts(data, batch_size, count, order)
        yield from itertools.islice(batches, skipped if turn == first else 0, None)


def warn_of_few(name: str, done: int, steps: int | None) -> None:
    """Says that an evaluation or a prediction got fewer batches than it was to have."""
    if steps is not None and done < steps:
        warnings.warn(
            f"{name} ran out after {done} of {steps} batches; the result is of those. "
            "Give a generator that does not end, or fewer steps.",
            stacklevel=5,
        )


def warn_of_end(done: int, steps: int | None, epoch: int) -> None:
    """Says that an epoch of training got fewer batches than it was to have, or none."""
    if done == 0:
        warnings.warn(
            f"x had no more batches in epoch {epoch + 1}; the training ends there. Give a "
            "generator that does not end with steps_per_epoch, or data that can be read again.",
            stacklevel=5,
        )
        return
    warnings.warn(
        f"x ran out after {done} of {steps} batches in epoch {epoch + 1}; as in Keras, an iterator "
        "that has ended gives its first two batches again in each epoch. Give a generator that "
        "does not end with steps_per_epoch, or data that can be read again.",
        stacklevel=5,
    )


def report(level: int, steps: int, logs: Logs, seconds: float) -> None:
    """Prints the line of an evaluation or a prediction."""
    if level == 1 and in_notebook():
        from fastnn.display.notebook import NotebookDisplay

        NotebookDisplay(None, steps).end(
            None, steps, {k: v for k, v in logs.items() if np.ndim(v) == 0}, seconds
        )
    elif level == 1 and is_terminal():
        bar = Progbar(steps)
        bar._start = time.perf_counter() - seconds
        bar.show(steps, {k: v for k, v in logs.items() if np.ndim(v) == 0}, done=True)
    elif logs:
        print_msg(plain_line(steps, seconds, {k: v for k, v in logs.items() if np.ndim(v) == 0}))
