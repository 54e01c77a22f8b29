"""Training on several processes, which MPI starts: `mpiexec -n 4 python train.py`.

After `init()` in the program, `fit` trains data-parallel: each rank computes the gradients of its
rows of a batch, and all step by their mean. It needs `pip install "fastnn-rs[dist]"`; without MPI,
or without `mpiexec`, the same program trains alone.
"""

from __future__ import annotations

import atexit
import os
import sys
from typing import Any

import numpy as np

from fastnn import _core
from fastnn.base.absent import answer_missing
from fastnn.base.arguments import hints_arguments, is_whole
from fastnn.base.messages import silence
from fastnn.distributed.group import Group
from fastnn.distributed.memory import shared_team
from fastnn.errors import RankError
from fastnn.tracing.ranks import count_ranks, group as _group, set_group

__all__ = [
    "all_reduce", "barrier", "broadcast", "init", "is_initialized", "rank", "size",
]  # fmt: skip

#: What the launchers of MPI libraries tell each process of a job with several.
_LAUNCHED = (
    "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMI_RANK", "PMIX_RANK", "MPI_LOCALNRANKS", "SLURM_PROCID",
)  # fmt: skip

_settings: dict[str, Any] | None = None


@hints_arguments
def init(own_data: bool = False, threads: int | None = None) -> None:
    """Joins the other processes of an MPI job; from here on `fit` trains together with them.

    A process that nobody started with `mpiexec` stays alone and trains as ever.

    Args:
        own_data: Whether the data that `fit` is given on each rank are that rank's own part of the
            whole. Otherwise every rank is given all data, and takes its part of each batch.
        threads: Threads of each rank; None: the cores that the rank may use, shared out among the
            ranks that may use the same. `FASTNN_NUM_THREADS` goes before both.

    Raises:
        ImportError: `mpiexec` started several processes and mpi4py or MPI is missing.
        RankError: The ranks run different versions of fastnn.

    Example:
        >>> fastnn.distributed.init()
        >>> fastnn.distributed.rank(), fastnn.distributed.size()
        (0, 1)
    """
    global _settings
    if threads is not None and (not is_whole(threads) or threads < 1):
        raise ValueError(f"threads is {threads!r}, wanted 1 or more\n  hint: leave it out")
    settings = {"own_data": bool(own_data), "threads": threads}
    if _settings is not None:
        if settings != _settings:
            raise ValueError(
                f"fastnn.distributed.init() was called with {_settings} before, now with "
                f"{settings}\n  hint: call it once, at the start of the program"
            )
        return
    mpi = _mpi()
    _settings = settings
    if mpi is None or mpi.COMM_WORLD.Get_size() == 1:
        return
    comm = mpi.COMM_WORLD.Dup()
    _check_equal(comm, settings)
    if "FASTNN_NUM_THREADS" not in os.environ:
        _core.set_num_threads(min(256, threads or _threads(mpi, comm)))
    made = Group(comm, bool(own_data), shared_team(mpi, comm))
    set_group(made)
    _core.set_collective(made.sum_view, made.team)
    if made.rank:
        silence()  # rank 0 prints for all
    os.register_at_fork(after_in_child=_forget)
    atexit.register(_leave, os.getpid())
    _end_all_on_errors(made)


def _mpi() -> Any:
    """The module `mpi4py.MPI`; None where nobody started several processes.

    A process that is alone does not start MPI: it could start no MPI job of its own any more.
    """
    launched = [name for name in _LAUNCHED if name in os.environ]
    if not launched and "mpi4py.MPI" not in sys.modules:
        return None
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise ImportError(
            f"fastnn.distributed.init() was started by a launcher ({launched[0]} is set) and "
            f'needs mpi4py with an MPI library: {error}\n  hint: pip install "fastnn-rs[dist]"'
        ) from None
    return MPI


def _check_equal(comm: Any, settings: dict[str, Any]) -> None:
    from fastnn import __version__

    own = {"fastnn": str(__version__), "its core": str(_core.info()["version"]), **settings}
    for r, other in enumerate(comm.allgather(own)):
        if r == 0:
            first = other
        for name in sorted(first.keys() | other.keys()):
            if first.get(name) != other.get(name):
                is_version = name in ("fastnn", "its core")
                what = f"{name} {{}}" if is_version else f"init({name}={{}})"
                hint = (
                    "install the same version on every machine" if is_version else
                    "every rank has to call init() alike"
                )  # fmt: skip
                raise RankError(
                    f"rank {r} runs {what.format(other.get(name))}, rank 0 runs "
                    f"{what.format(first.get(name))}\n  hint: {hint}"
                )


def _threads(mpi: Any, comm: Any) -> int:
    """The cores of this rank, by those that it may use and who else may."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    near = comm.Split_type(mpi.COMM_TYPE_SHARED)
    sharing = near.allgather(cores).count(cores)
    near.Free()
    return max(1, (len(cores) or os.cpu_count() or 1) // int(sharing))


def _forget() -> None:
    """A forked child is no rank."""
    set_group(None)
    _core.set_collective(None)


def _leave(pid: int) -> None:
    found = _group()
    if found is not None and os.getpid() == pid:
        found.end()


def _end_all_on_errors(made: Group) -> None:
    """An error that nobody handles on one rank ends all of them, by its name."""
    before, pid = sys.excepthook, os.getpid()

    def hook(kind: Any, error: Any, trace: Any) -> None:
        before(kind, error, trace)
        if os.getpid() == pid:
            text = str(error).split("\n")[0]
            why = f"{kind.__name__}: {text}" if text else kind.__name__
            made.abort(f"rank {made.rank} of {made.size} ended with {why}")

    sys.excepthook = hook


@hints_arguments
def is_initialized() -> bool:
    """Whether `init` was called.

    Returns:
        True or False.

    Example:
        >>> fastnn.distributed.init()
        >>> fastnn.distributed.is_initialized()
        True
    """
    return _settings is not None


@hints_arguments
def rank() -> int:
    """The number of this process, from 0.

    Returns:
        A whole number below `size()`.

    Example:
        >>> fastnn.distributed.rank()
        0
    """
    found = _group()
    return 0 if found is None else int(found.rank)


@hints_arguments
def size() -> int:
    """How many processes train together.

    Returns:
        A whole number, 1 for a process that is alone.

    Example:
        >>> fastnn.distributed.size()
        1
    """
    return count_ranks()


@hints_arguments
def all_reduce(value: Any, op: str = "sum") -> Any:
    """The sum or mean of a number or array over all ranks, for training loops of one's own.

    Every rank has to call it at the same place. It adds in the order of the ranks, so the bits are
    the same on every run.

    Args:
        value: A number or an array, of the same shape on every rank.
        op: `"sum"` or `"mean"`.

    Returns:
        A NumPy array, or a NumPy number for a number.

    Raises:
        ValueError: `op` is another one.
        RankError: The shapes differ, or the ranks have come to different places.

    Example:
        >>> fastnn.distributed.all_reduce(np.ones(2), op="mean")
        array([1., 1.])
    """
    if op not in ("sum", "mean"):
        raise ValueError(f"op is {op!r}, wanted 'sum' or 'mean'\n  hint: op='sum'")
    own = np.asarray(value)
    if own.dtype.kind not in "fiub":
        raise ValueError(
            f"all_reduce: value is of type {own.dtype}, wanted numbers\n  hint: float32"
        )
    own = own.astype(np.int64) if own.dtype.kind == "b" else own
    found = _group()
    parts = [own]
    if found is not None:
        with found.at("fastnn.distributed.all_reduce()"):
            parts = found.gather(own, 1)
    total = parts[0].copy()
    for r, part in enumerate(parts[1:], 1):
        if part.shape != parts[0].shape or part.dtype != parts[0].dtype:
            raise RankError(
                f"all_reduce: the value of rank {r} is {part.dtype} of shape {part.shape}, that of "
                f"rank 0 {parts[0].dtype} of shape {parts[0].shape}\n  hint: the same on all ranks"
            )
        total = total + part
    return total[()] if op == "sum" else (total / len(parts)).astype(
        total.dtype if total.dtype.kind == "f" else np.float64
    )[()]  # fmt: skip


@hints_arguments
def broadcast(value: Any) -> Any:
    """The value that rank 0 gives, on every rank: a path, a setting, an array.

    Every rank has to call it at the same place.

    Args:
        value: What pickle can carry; that of other ranks is not read.

    Returns:
        The value of rank 0.

    Raises:
        RankError: The ranks have come to different places.

    Example:
        >>> fastnn.distributed.broadcast("run-7")
        'run-7'
    """
    found = _group()
    return value if found is None else found.broadcast(value)


@hints_arguments
def barrier() -> None:
    """Waits until every rank has come here.

    Raises:
        RankError: A rank failed, ended, or has come to another place.

    Example:
        >>> fastnn.distributed.barrier()
    """
    found = _group()
    if found is not None:
        with found.at("fastnn.distributed.barrier()"):
            found.gather(None, 2)


answer_missing(globals())
