"""What users hand to `fit`, `evaluate` and `predict`, as arrays of equal length or batches.

Depends on `arrays`, `errors` and `prefetch`.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from fastnn._core import Tensor
from fastnn.base import tree
from fastnn.base.arguments import hints_arguments
from fastnn.data.arrays import RowsByBatch, as_arrays, is_sparse, leaf
from fastnn.data.pass_numbers import Passes
from fastnn.data.prefetch import Prefetch, gather
from fastnn.errors import DataError, ShapeError

__all__ = [
    "ArrayData", "IterableData", "PyDataset", "as_arrays", "closing", "leaf", "split_tail",
    "unpack",
]  # fmt: skip

Array = np.ndarray[Any, Any]


@hints_arguments
def unpack(data: Any) -> tuple[Any, Any, Any]:
    """The inputs, labels and sample weights of a batch.

    Args:
        data: x, (x,), (x, y) or (x, y, weights).

    Returns:
        (x, y, weights), None for what is not there.

    Raises:
        ValueError: There are more than three parts.

    Example:
        >>> fastnn.data.unpack((1, 2))
        (1, 2, None)
    """
    if isinstance(data, tuple | list):
        if isinstance(data, list):
            data = tuple(data)
        if len(data) == 1:
            return data[0], None, None
        if len(data) == 2:
            return data[0], data[1], None
        if len(data) == 3:
            return data[0], data[1], data[2]
        raise DataError(
            f"a batch has {len(data)} parts, wanted x, (x, y) or (x, y, sample_weight)\n"
            "  hint: several inputs go into one list or dict: ([a, b], y)"
        )
    return data, None, None


@hints_arguments
def pack(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """What `unpack_x_y_sample_weight` takes apart: (x, y, weights) without what is None.

    x alone stays as it is, unless it is a list or tuple itself.

    Args:
        x: Inputs.
        y: Labels.
        sample_weight: Sample weights.

    Returns:
        x, (x, y) or (x, y, sample_weight).

    Example:
        >>> fastnn.utils.pack_x_y_sample_weight(1, 2)
        (1, 2)
    """
    if y is None and sample_weight is None:
        return (x,) if isinstance(x, list | tuple) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


class ArrayData:
    """Arrays of equal length, as `fit` takes them apart into batches.

    `n` is the number of samples.

    Args:
        x: Inputs, a structure of arrays.
        y: Labels, a structure of arrays, or None.
        weights: Sample weights, or None.

    Raises:
        ValueError: The lengths differ.

    Example:
        >>> x = np.zeros((4, 2), "float32")
        >>> fastnn.data.ArrayData(x, None, None).n
        4
    """

    x: Any
    y: Any
    weights: Any
    n: Any
    leaves: Any

    def __init__(self, x: Any, y: Any, weights: Any) -> None:
        self.x, self.y, self.weights = x, y, weights
        leaves = tree.flatten(x)
        self.join()
        if not leaves:
            raise DataError("x is missing\n  hint: fit(x, y)")
        for a in self.leaves:
            if a.ndim == 0:
                raise DataError(
                    "x, y or sample_weight is a single number, wanted an array"
                    "\n  hint: one entry per sample, as in numpy.array([1.0, 2.0])"
                )
        self.n = leaves[0].shape[0]
        if self.n == 0:
            raise DataError("x has 0 samples\n  hint: check the filter or the path of the data")
        if any(a.shape[0] != self.n for a in self.leaves):
            sizes = {
                name: sorted({a.shape[0] for a in tree.flatten(t)})
                for name, t in (("x", x), ("y", y), ("sample_weight", weights))
                if t is not None
            }
            text = ", ".join(f"{k} has {'/'.join(map(str, v))} samples" for k, v in sizes.items())
            raise DataError(f"{text}\n  hint: all need the same number of rows")

    def join(self) -> None:
        """Lists all arrays anew after one of the parts was set."""
        self.leaves = tree.flatten(self.x) + tree.flatten(self.y) + tree.flatten(self.weights)

    @property
    def by_batch(self) -> bool:
        """Whether some of it is made dense batch by batch, so that the core cannot read it."""
        return any(isinstance(a, RowsByBatch) for a in self.leaves)

    def dense(self) -> ArrayData:
        """The same with sparse matrices as arrays."""

        def full(a: Any) -> Any:
            return a.dense() if isinstance(a, RowsByBatch) else a

        return ArrayData(*(tree.map_structure(full, t) for t in self.parts))

    @property
    def parts(self) -> tuple[Any, Any, Any]:
        """x, y and sample weights."""
        return self.x, self.y, self.weights

    def steps(self, batch_size: int) -> int:
        """Batches per epoch, the short last one counted."""
        n: int = self.n
        return -(-n // batch_size)

    def part(self, start: int, stop: int) -> ArrayData:
        """Rows from start to stop."""

        def cut(a: Any) -> Any:
            return a.part(start, stop) if isinstance(a, RowsByBatch) else a[start:stop]

        return ArrayData(*(tree.map_structure(cut, t) for t in (self.x, self.y, self.weights)))


@hints_arguments
def split_tail(data: ArrayData, share: float) -> tuple[ArrayData, ArrayData]:
    """The first rows of arrays, and the rest: what `validation_split` does.

    Args:
        data: Arrays of equal length.
        share: The share of the rest, above 0 and below 1; the first part has floor(n (1 - share))
            rows.

    Returns:
        Two `ArrayData`.

    Raises:
        ValueError: A part would be empty.

    Example:
        >>> x = np.zeros((4, 2), "float32")
        >>> first, rest = fastnn.data.split_tail(fastnn.data.ArrayData(x, None, None), 0.25)
        >>> first.n, rest.n
        (3, 1)
    """
    at = int(np.floor(data.n * (1.0 - share)))
    if at == 0 or at == data.n:
        raise ValueError(
            f"validation_split={share} of {data.n} samples leaves {at} to train and "
            f"{data.n - at} to validate\n  hint: choose a split that leaves both some samples"
        )
    return data.part(0, at), data.part(at, data.n)


class PyDataset:
    """Batches by number, made when they are asked for.

    Subclasses define `__len__` (how many batches) and `__getitem__(i)`, which gives (x, y) or (x,
    y, weights); `on_epoch_end` may mix them. Threads load batches ahead of training.

    Args:
        workers: How many threads load batches.
        use_multiprocessing: Served by threads too: NumPy and file reading release the interpreter's
            lock.
        max_queue_size: How many batches are loaded ahead.

    Example:
        >>> class Squares(fastnn.data.PyDataset):
        ...     def __len__(self):
        ...         return 4
        ...     def __getitem__(self, i):
        ...         x = np.full((8, 1), i, "float32")
        ...         return x, x * x
        >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> model.fit(Squares(), verbose=0).params["steps"]
        4
    """

    workers: int
    max_queue_size: int

    def __init__(
        self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10
    ) -> None:
        self.workers, self.max_queue_size = workers, max_queue_size
        self.use_multiprocessing = use_multiprocessing

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(
            f"{type(self).__name__} must define __getitem__(self, index)"
            "\n  hint: def __getitem__(self, index): return x, y of one batch"
        )

    def __len__(self) -> int:
        raise NotImplementedError(
            f"{type(self).__name__} must define __len__(self)"
            "\n  hint: def __len__(self): return the number of batches"
        )

    @property
    def num_batches(self) -> int | None:
        """Batches per epoch, None when endless; a subclass may set it."""
        own: int | None = self.__dict__.get("num_batches")
        return len(self) if own is None else own

    @num_batches.setter
    def num_batches(self, count: int | None) -> None:
        self.__dict__["num_batches"] = count

    def on_epoch_begin(self) -> None:
        """Before each epoch."""

    def on_epoch_end(self) -> None:
        """After each epoch."""


Sequence = PyDataset


#: How many batches of an iterator are kept for later passes, which is Keras's number.
KEPT = 2


class IterableData:
    """Batches from a generator, a PyDataset or any iterable, prepared ahead on a thread.

    `limit` batches are read in all (None: as many as there are), `skip` batches are passed over
    first, `close` ends the thread. With `again` each call of `batches` starts at the first batch
    and ends with the source. An iterator cannot start again: as in Keras its first two batches
    are kept, and a new pass is those and what is left of it.

    Args:
        source: A generator, a `PyDataset`, or another iterable of batches (x, y) or (x, y,
            weights).
        name: What messages call it.
        shuffle: Whether batches of a `PyDataset` come in another order each epoch.

    Example:
        >>> source = fastnn.data.IterableData([(np.ones((2, 3)), np.ones(2))], "x")
        >>> [x.shape for x, y, weights in source.batches(None)]
        [(2, 3)]
        >>> source.close()
    """

    source: Any
    name: str
    shuffle: bool
    skip: int
    seed: Any
    epoch: Any
    sized: Any
    once: Any
    share: tuple[int, int]

    def __init__(self, source: Any, name: str, shuffle: bool = False) -> None:
        self.source, self.name, self.shuffle = source, name, shuffle
        self.limit: int | None = None
        self.skip = 0
        self.again = False
        #: Whether arrays of a batch may have unlike numbers of rows: the step takes them apart.
        self.unlike = False
        #: Of so many readers of the same source (the second) this is the one of that number: it
        #: takes every so manyeth batch, also where a pass over the source ends between them.
        self.share = (0, 1)
        self._turn = 0
        #: The last batch passed over, of a source that does not say how many it has.
        self.passed: Any = None
        self.seed, self.epoch = 0, 0
        self.sized = hasattr(source, "__len__") and hasattr(source, "__getitem__")
        # One that numbers its batches is read by number, also if `next` gives them without end.
        self.once = hasattr(source, "__next__") and not isinstance(source, PyDataset)
        self._ahead: Prefetch | None = None
        self._taken = 0
        #: How many passes each order at random had made before the first batch that a run reads
        #: next, or before the first of all where the run reads on across epochs.
        self._before: list[int] | None = None
        #: The first batches of an iterator, and those of them that are yet to come in this pass.
        self._first: list[Any] = []
        self._replayed: list[Any] = []
        self._ended = False

    def steps(self) -> int | None:
        """Batches per epoch if known."""
        count = self._count()
        return None if count is None else -(-count // self.share[1])

    def _count(self) -> int | None:
        """Batches of one pass over the source, those of other readers counted."""
        if isinstance(self.source, PyDataset):
            return self.source.num_batches
        try:
            return len(self.source)
        except TypeError:
            return None

    def _own(self, items: Iterable[Any]) -> Iterator[Any]:
        """Those that are this reader's."""
        own, readers = self.share
        for item in items:
            mine = self._turn % readers == own
            self._turn += 1
            if mine:
                yield item

    def passes(self, within: bool) -> list[int]:
        """Where a run that reads on after a crash has to set the orders at random of the source.

        Args:
            within: Whether an epoch is under way.

        Returns:
            A number for each of them, for `go_on`; none where the source has no such orders.
        """
        across = self.limit is not None and not self.again
        if self._before is not None and (across or within):
            return self._before
        return [p.count for p in self._orders()]

    def go_on(self, passes: list[int]) -> None:
        """Sets the orders at random of the source to what `passes` gave."""
        for order, count in zip(self._orders(), passes, strict=False):
            order.count = count

    def _orders(self) -> list[Passes]:
        """What numbers the passes of each order at random of the source."""
        found = getattr(self.source, "__dict__", {}).get("_passes")
        return [p for p in found if isinstance(p, Passes)] if isinstance(found, tuple) else []

    def _fresh(self) -> Iterator[Any]:
        count = None if self.once else self._count()
        if self._before is None or self.limit is None:
            self._before = [p.count for p in self._orders()]
        skip, self.skip = self.skip * self.share[1], 0
        if count and skip >= count:
            self.epoch += skip // count
            for passes in self._orders():
                passes.count += skip // count
            skip %= count
        numbered = self.sized and isinstance(self.source, PyDataset)
        if self.once or not self.sized or (hasattr(self.source, "__iter__") and not numbered):
            source = self.source if self.once else iter(self.source)
            for _ in range(skip):
                self.passed = next(source, self.passed)
            return source if self.share[1] == 1 else self._own(source)
        order: Any = itertools.count() if count is None else range(count)
        if self.shuffle and count is not None:
            from fastnn.random import epoch_order

            order = (int(i) for i in epoch_order(count, self.seed, self.epoch))
            self.epoch += 1
        order = self._own(itertools.islice(order, skip, None))
        # Batches of one pass belong together also where an epoch ends in the middle of it.
        begin = getattr(self.source, "begin_pass", None)
        get = self.source.__getitem__ if begin is None else begin()
        # Subclasses may forget super().__init__().
        workers = getattr(self.source, "workers", 1)
        if workers > 1:
            return gather(get, order, workers)
        return (get(i) for i in order)

    def _start(self) -> Prefetch:
        self.close()
        if self.limit is None and getattr(self.source, "endless", False):
            raise DataError(
                f"{self.name} repeats without end, so an epoch has no length\n"
                "  hint: steps_per_epoch=n (validation_steps, steps), or repeat(n)"
            )
        self._ended = False
        self._replayed = self._first[: self.limit]
        left = self.limit
        if left is not None:
            left = max(left - self._taken - len(self._replayed), 0)
        depth = max(1, getattr(self.source, "max_queue_size", 2))
        self._ahead = Prefetch(self._fresh(), self._prepare, depth, left, owned=not self.once)
        return self._ahead

    def batches(self, steps: int | None) -> Iterator[tuple[Any, Any, Any]]:
        """The batches of an epoch; with `steps`, the iterator goes on in the next, or `again`."""
        begin = getattr(self.source, "on_epoch_begin", None)
        if callable(begin):
            begin()
        if self.again:
            self._taken = 0
        if steps is None or self.again or (self.once and self._ended):
            self._turn = 0
            self._start()
        done = 0
        while steps is None or done < steps:
            try:
                batch = self._next(again=steps is not None and not (self.once or self.again))
            except Exception as error:
                error.add_note(f"  while reading batch {done + 1} of {self.name}")
                raise
            if batch is None:
                break
            done += 1
            yield batch
        end = getattr(self.source, "on_epoch_end", None)
        if callable(end):
            end()

    def _next(self, again: bool) -> Any:
        """The next batch; None at the end, unless the source can start `again` and has some."""
        if self._replayed:
            batch = self._replayed.pop(0)
        else:
            batch = None if self._ahead is None else next(self._ahead, None)
            if batch is None and (again or self._ahead is None):
                batch = next(self._start(), None)
            if self.once and batch is not None and len(self._first) < KEPT:
                self._first.append(batch)
        self._ended = batch is None
        self._taken += batch is not None
        return batch

    def close(self, patience: float = 0.0) -> None:
        """Ends the thread; waits up to `patience` seconds for the batch it is reading."""
        if self._ahead is not None:
            self._ahead.close(patience)
            self._ahead = None

    def _prepare(self, raw: Any) -> tuple[Any, Any, Any]:
        x, y, w = unpack(raw)
        batch = as_arrays(x, "x"), as_arrays(y, "y"), as_arrays(w, "sample_weight")
        # A source may fill the same arrays again while this batch waits.
        given = {id(a) for a in tree.flatten((x, y, w))}
        parts: tuple[Any, Any, Any] = batch
        if not (self.unlike and len({a.shape[0] for a in tree.flatten(batch) if a.ndim}) > 1):
            parts = ArrayData(*batch).parts
        x, y, w = (tree.map_structure(lambda a: _apart(a, given), part) for part in parts)
        return x, y, w


def _apart(value: Any, given: set[int]) -> Any:
    """A leaf of a batch in memory of its own, where it is, or looks into, an array of `given`."""
    shared = value.__class__ is np.ndarray and (value.base is not None or id(value) in given)
    return value.copy() if shared else value


@hints_arguments
@contextlib.contextmanager
def closing(*sources: Any) -> Iterator[None]:
    """Ends the threads of those sources that have one, whatever happens inside.

    After an error or an interrupt nobody waits for a slow source: its thread ends by itself when
    the batch that it is reading is there.

    Args:
        *sources: Data that fit or predict read; those without a thread are left alone.

    Returns:
        A context.

    Example:
        >>> source = fastnn.data.IterableData(iter([(np.ones((1, 2)), np.ones(1))]), "x")
        >>> with fastnn.data.closing(source):
        ...     x, y, weights = next(iter(source.batches(None)))
        >>> x.shape
        (1, 2)
    """
    patience = 0.02
    try:
        yield
        patience = 2.0
    finally:
        for source in sources:
            if isinstance(source, IterableData):
                source.close(patience)


def check_features(
    name: str, array: Array, want: tuple[int | None, ...], where: Callable[[], str]
) -> Array:
    """`array` brought to the rank that the model wants; ShapeError when sizes differ.

    `where` says what was wanted, for the message.
    """
    have = array.shape
    if len(have) == len(want) - 1 and want[-1] == 1:
        array = array.reshape(*have, 1)
    elif len(have) == len(want) + 1 and have[-1] == 1:
        array = array.reshape(have[:-1])
    have = array.shape
    if len(have) == len(want) and all(
        w is None or h == w for h, w in zip(have[1:], want[1:], strict=True)
    ):
        return array
    if len(have) == 2 and len(want) == 2:
        text = f"{name} has {have[1]} features, {where()}"
    else:
        text = f"{name} has samples of shape {tuple(have[1:])}, {where()}"
    raise ShapeError(text)


#: As a tuple, which is quicker to look through than a union.
_DATA = (np.ndarray, dict, list, tuple, Tensor)


def is_iterable_data(x: Any) -> bool:
    """True for generators, datasets and other sources of batches."""
    if isinstance(x, _DATA) or x is None:
        return False
    if isinstance(x, PyDataset):
        return True
    if hasattr(x, "__array__") or hasattr(x, "to_numpy") or is_sparse(x):
        return False
    return isinstance(x, Iterable) or (hasattr(x, "__getitem__") and hasattr(x, "__len__"))
