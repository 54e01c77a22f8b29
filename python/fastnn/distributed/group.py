"""The ranks of an MPI job: they meet, say what they are at, and exchange arrays in rank order.

Before any exchange the ranks tell each other what they are about to do, so ranks that have come to
different places of the program, that failed or that ended are found and named, where MPI alone
would wait for ever or mix up what they send. Sums are made in the order of the ranks, so their
bits are the same on every run and with every MPI library.
"""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from fastnn.errors import DataError, RankError
from fastnn.tracing.variables import Variable

__all__ = ["Group"]

#: What ranks meet for.
SUM, COUNT, GATHER, BROADCAST, FAILED, ENDED = range(1, 7)  # the core knows SUM
_NAMES = {
    SUM: "a sum over the ranks", COUNT: "a step", GATHER: "an exchange of values",
    BROADCAST: "values of rank 0", FAILED: "an error", ENDED: "its end",
}  # fmt: skip

#: Up to so many floats (64 KiB) everybody gets everything and adds it up, which is one exchange;
#: of longer sums everybody makes a part, which is two exchanges of less.
SHORT = 1 << 14


class Group:
    """The ranks, over an MPI communicator of their own.

    Args:
        comm: A communicator of mpi4py.
        own_data: Whether the data of each rank are its own part of the whole.
        team: Shared memory in which the ranks meet and sum; None: they send each other messages.
    """

    team: Any
    rank: int
    size: int
    share: Variable
    place: str

    def __init__(self, comm: Any, own_data: bool = False, team: Any = None) -> None:
        self._comm, self.team = comm, team
        from mpi4py import MPI

        self._in_place = MPI.IN_PLACE
        self.rank, self.size = int(comm.Get_rank()), int(comm.Get_size())
        self.own_data = own_data
        #: The rows of this rank over those of all, in the step at hand.
        self.share = Variable(np.float32(1.0), trainable=False, name="share_of_rows")
        #: Where this rank is, in words.
        self.place = "fastnn.distributed.init()"
        #: What a sum inside a step raised: the core can hand on its text only.
        self.raised: BaseException | None = None
        #: What the metrics of each rank held when they were last added up, for a backup.
        self.sums: list[list[Any]] = []
        #: Models of which all ranks have the same values.
        self.known: weakref.WeakSet[Any] = weakref.WeakSet()
        #: Why the ranks can do nothing together any more.
        self.broken: str | None = None
        self._met = 0
        self._headers = np.empty((self.size, 6), np.int64)
        self._scratch = np.empty(0, np.float32)

    # ---- meeting -------------------------------------------------------------------------------

    def _meet(self, what: int, key: int = 0, count: int = 0, own: tuple[int, int] = (0, 0)) -> Any:
        """Waits for all ranks to come to the same place; gives what each says in `own`."""
        if self.broken is not None:
            raise RankError(
                f"the ranks cannot work together any more: {self.broken}\n"
                "  hint: start the program anew; BackupAndRestore goes on from its last backup"
            )
        headers = self._headers
        if self.team is None:
            self._met += 1
            mine = np.array([what, self._met, key, count, *own], np.int64)
            self._comm.Allgather(mine, headers)
        else:
            try:
                headers[:] = self.team.meet(what, key, count, own)
            except DataError as error:
                self.broken, _, hint = str(error).partition("\n  hint: ")
                raise RankError(f"{self.broken}\n  hint: {hint}") from None
        if (headers[:, :4] != headers[0, :4]).any() or what == FAILED:
            self._part(what, headers)
        return headers[:, 4:]

    def _part(self, what: int, headers: Any) -> None:
        """Says why the ranks cannot go on: all of them come here, as all saw the same headers."""
        places: list[str] = self._comm.allgather(self.place)
        kinds = headers[:, 0]
        failed = np.flatnonzero(kinds == FAILED)
        if len(failed) == self.size:
            return  # all of them: they stay together
        ended = np.flatnonzero(kinds == ENDED)
        if len(failed):
            first = int(failed[0])
            self.broken = f"rank {first} of {self.size} failed {places[first]}"
            if what == FAILED:
                return
            hint = "the error stands in the output of that rank"
        elif len(ended):
            first = int(ended[0])
            other = int(np.flatnonzero(kinds != ENDED)[0])
            self.broken = (
                f"rank {first} of {self.size} has ended its program while rank {other} is in "
                f"{places[other]}"
            )
            hint = "every rank has to make the same calls of fit"
        else:
            other = int(np.flatnonzero((headers[:, :4] != headers[0, :4]).any(axis=1))[0])
            says = [
                f"rank {r} is in {places[r]}, at {_NAMES.get(int(kinds[r]), '?')} "
                f"{int(headers[r, 1])} ({int(headers[r, 2])}) of {int(headers[r, 3])} numbers"
                for r in (0, other)
            ]
            self.broken = f"the ranks have come to different places: {'; '.join(says)}"
            hint = "every rank has to make the same calls of fit, with the same arguments"
        if what == ENDED:
            return
        raise RankError(f"{self.broken}\n  hint: {hint}")

    def fail(self, error: BaseException) -> None:
        """Tells the other ranks that this one failed, so that they leave at their next meeting."""
        if self.broken is not None:
            return
        text = str(error).split("\n")[0]
        self.place = f"in {self.place}: {type(error).__name__}: {text}"
        with contextlib.suppress(Exception):
            self._meet(FAILED)

    def end(self) -> None:
        """Waits at the end of the program until all ranks have come there."""
        if self.broken is None:
            self.place = "the end of its program"
            with contextlib.suppress(RankError):
                self._meet(ENDED)
        if self.broken is not None:
            self.abort(self.broken)

    def abort(self, why: str) -> None:
        """Ends all ranks."""
        sys.stdout.flush()
        print(f"fastnn.distributed: {why}; all ranks end", file=sys.stderr, flush=True)
        self._comm.Abort(1)

    @contextlib.contextmanager
    def at(self, place: str) -> Iterator[None]:
        """Names the place where this rank is."""
        outer, self.place = self.place, place
        try:
            yield
        finally:
            if self.broken is None:
                self.place = outer

    # ---- exchanges -----------------------------------------------------------------------------

    def counts(self, rows: int, stop: bool) -> tuple[Any, bool]:
        """The rows that each rank has for a step, and whether one of them wants to stop."""
        own = self._meet(COUNT, own=(rows, int(stop)))
        return own[:, 0].copy(), bool(own[:, 1].any())

    def gather(self, value: Any, call: int = 0) -> list[Any]:
        """The values of all ranks, which pickle carries, in their order.

        `call` numbers what a program calls itself, so that ranks in other calls do not meet.
        """
        self._meet(GATHER, call)
        found: list[Any] = self._comm.allgather(value)
        return found

    def broadcast(self, value: Any) -> Any:
        """The value of rank 0, which pickle carries."""
        self._meet(BROADCAST)
        return self._comm.bcast(value, root=0)

    def broadcast_arrays(self, arrays: Sequence[Any]) -> list[Any]:
        """The arrays of rank 0; those of the others have the same shapes and types."""
        sizes = sum(a.nbytes for a in arrays)
        self._meet(BROADCAST, len(arrays), sizes)
        found = []
        for a in arrays:
            held = np.array(a, order="C")
            part = 1 << 28  # MPI counts in 32 bits
            flat = held.reshape(-1).view(np.uint8)
            for at in range(0, flat.size, part):
                self._comm.Bcast(flat[at : at + part], root=0)
            found.append(held)
        return found

    def sum_view(self, key: int, view: memoryview) -> None:
        """Replaces the floats of a buffer by their sums: what the core calls inside a step.

        With a team it is called only where that cannot sum, which meeting anew then explains.
        """
        values = np.frombuffer(view, np.float32)
        try:
            self._meet(SUM, key, values.size)
            self._add(values)
        except BaseException as error:
            self.raised = error
            raise
        finally:
            del values

    def _add(self, values: Any) -> None:
        n, size = values.size, self.size
        if n <= SHORT:
            parts = self._room(size * n).reshape(size, n)
            self._comm.Allgather(values, parts)
            _in_order(parts, values)
            return
        bounds = [n * r // size for r in range(size + 1)]
        counts = [b - a for a, b in pairwise(bounds)]
        mine, rank = counts[self.rank], self.rank
        own = values[bounds[rank] : bounds[rank + 1]]
        parts = self._room(size * mine).reshape(size, mine)
        # What this rank has of its own part is not sent to itself.
        waits = []
        for step in range(1, size):
            source, target = (rank - step) % size, (rank + step) % size
            waits.append(self._comm.Irecv(parts[source], source=source))
            waits.append(self._comm.Isend(values[bounds[target] : bounds[target + 1]], dest=target))
        for wait in waits:
            wait.Wait()
        if size == 2:
            np.add(own, parts[1 - rank], out=own)  # either order gives the same bits
        else:
            parts[rank] = own
            _in_order(parts, own)
        self._comm.Allgatherv(self._in_place, [values, (counts, bounds[:-1])])

    def _room(self, n: int) -> Any:
        if self._scratch.size < n:
            self._scratch = np.empty(n, np.float32)
        return self._scratch[:n]


def _in_order(parts: Any, out: Any) -> None:
    np.add(parts[0], parts[1], out=out)
    for part in parts[2:]:
        out += part
