"""The processes that train one model together, as losses, layers and optimisers see them.

A step that is traced while `stepping` sums over the ranks where its result depends on all rows of
the batch: gradients, statistics of the batch, counts of what is masked. Each rank counts by its
`share`, its rows among those of all ranks; the shares of a step add up to 1. Alone there is no
step of this kind, and nothing is summed.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fastnn import _core
from fastnn.tracing.variables import Variable

__all__ = [
    "SharedStep", "count_ranks", "current_step", "group", "is_first", "set_group", "stepping",
]  # fmt: skip

_c = _core.ops

#: Gradients of so many elements (64 KiB), times the other ranks, are summed each by itself, where
#: they lie; smaller ones together, because the messages of a sum cost what copying them costs.
ALONE = 1 << 14

_group: Any = None
_local = threading.local()


def group() -> Any:
    """The processes that `fastnn.distributed.init` found, None where this one is alone."""
    return _group


def set_group(value: Any) -> None:
    """Names the processes; None for a process that is alone."""
    global _group
    _group = value


def is_first() -> bool:
    """Whether this process writes files and lines for all: rank 0, or one that is alone."""
    return _group is None or bool(_group.rank == 0)


def count_ranks() -> int:
    """How many processes train together; 1 for one that is alone."""
    return 1 if _group is None else int(_group.size)


class SharedStep:
    """A step that all ranks trace alike, each for rows of its own.

    Args:
        rank: The number of this process.
        share: A variable: the rows of this rank over the rows of all, set before each step.
    """

    rank: int

    __slots__ = ("_share", "_sums", "rank")

    def __init__(self, rank: int, share: Variable) -> None:
        self.rank, self._share, self._sums = rank, share, 0

    @property
    def share(self) -> Any:
        """The rows of this rank over the rows of all."""
        return self._share.value

    def sum(self, x: Any, scaled: bool = False) -> Any:
        """The sum of x over the ranks."""
        self._sums += 1
        return _c.all_reduce(x, self.share, place=self._sums, scaled=scaled)

    def weighted(self, x: Any) -> Any:
        """The mean of x over the ranks, each counted by its rows."""
        return self.sum(x, scaled=True)

    def present(self, x: Any) -> Any:
        """x, or 0 on a rank that has no rows left and runs the step on rows that do not count."""
        return _c.where(_c.greater(self.share, 0.0), x, 0.0)

    def as_part(self, x: Any) -> Any:
        """X such that `weighted` makes of it the sum of x over the ranks."""
        share = self.share
        some = _c.greater(share, 0.0)
        return _c.where(some, x, 0.0) / _c.where(some, share, 1.0)

    def mean_of(self, gs: Sequence[Any]) -> list[Any]:
        """`weighted` of several tensors, the small ones of them in one sum."""
        sizes = [int(np.prod(g.shape, dtype=np.int64)) for g in gs]
        small = [i for i, size in enumerate(sizes) if size < ALONE * (count_ranks() - 1)]
        out: list[Any] = [g if i in small else self.weighted(g) for i, g in enumerate(gs)]
        if len(small) == 1:
            out[small[0]] = self.weighted(out[small[0]])
        elif small:
            flat = [_c.reshape(gs[i], shape=(-1,)) for i in small]
            total, at = self.weighted(_c.concatenate(*flat, axis=0)), 0
            for i in small:
                end = at + sizes[i]
                piece = _c.slice(total, begin=(at,), end=(end,), step=(1,))
                out[i], at = _c.reshape(piece, shape=tuple(gs[i].shape)), end
        return out


def current_step() -> SharedStep | None:
    """The step of several ranks that this thread traces or runs, if any."""
    return getattr(_local, "step", None)


@contextlib.contextmanager
def stepping(share: Variable | None) -> Iterator[None]:
    """What is traced inside is a step of all ranks; with None, of this process alone."""
    outer = current_step()
    _local.step = None if share is None or _group is None else SharedStep(_group.rank, share)
    try:
        yield
    finally:
        _local.step = outer
