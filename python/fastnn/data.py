"""What users hand to `fit`, `evaluate` and `predict`, turned into contiguous arrays or batches.

Floats become float32, whole numbers int32 (range checked), booleans float32. Messages name the
argument, the shapes and the mend. Depends on NumPy, `errors` and `prefetch`.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from fastnn import tree
from fastnn._core import Tensor
from fastnn.errors import DataError, ShapeError
from fastnn.prefetch import Prefetch, gather

__all__ = [
    "ArrayData", "IterableData", "PyDataset", "as_arrays", "closing", "leaf", "split_tail",
    "unpack",
]  # fmt: skip

Array = np.ndarray[Any, Any]
_F32 = np.dtype(np.float32)
_I32 = np.dtype(np.int32)


def leaf(value: Any, name: str) -> Array:
    """One array of float32 or int32, contiguous; a copy only where needed."""
    if value.__class__ is not np.ndarray:
        value = _to_numpy(value, name)
    dtype = value.dtype
    if dtype is _F32 or dtype is _I32:
        return value if value.flags.c_contiguous else np.ascontiguousarray(value)
    kind = dtype.kind
    if kind == "f":
        return np.ascontiguousarray(value, np.float32)
    if kind in "iu":
        return _whole(value, name)
    if kind == "b":
        return np.ascontiguousarray(value, np.float32)
    raise _unusable(value, name)


def _whole(value: Array, name: str) -> Array:
    if value.dtype.itemsize >= 4 and value.size:
        low, high = value.min(), value.max()
        if low < -(2**31) or high >= 2**31:
            raise DataError(
                f"{name} holds whole numbers from {low} to {high}, wanted 32-bit integers\n"
                f"  hint: {name}.astype('float32'), or number the values from 0"
            )
    return np.ascontiguousarray(value, np.int32)


def _to_numpy(value: Any, name: str) -> Array:
    if isinstance(value, Tensor):
        return value.numpy()
    given = value
    if hasattr(value, "to_numpy"):
        value = value.to_numpy()
    elif hasattr(value, "numpy") and not isinstance(value, np.ndarray):
        value = value.numpy()
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{name} cannot be made an array: {error}\n  hint: all rows need the same length"
        ) from None
    if array.dtype.kind == "O":
        try:
            array = _floats(array)
        except (ValueError, TypeError):
            raise _unusable(array, name, _text_column(given)) from None
    return array


def _floats(array: Array) -> Array:
    """Objects as numbers; pandas' NA is a missing number like NaN."""
    try:
        return array.astype(np.float32)
    except TypeError:
        missing = [type(v).__name__ == "NAType" for v in array.ravel()]
        filled = np.where(np.reshape(missing, array.shape), np.nan, array)
        return filled.astype(np.float32)


def _text_column(frame: Any) -> str:
    """The first column of a frame that holds no numbers, as part of a message."""
    for column in getattr(frame, "columns", ()):
        try:
            _floats(np.asarray(frame[column].to_numpy(), object))
        except (ValueError, TypeError, AttributeError, KeyError):
            return f" in column '{column}'"
    return ""


def _unusable(value: Array, name: str, where: str = "") -> DataError:
    if value.dtype.kind in "USTO" or str(value.dtype).startswith("StringDType"):
        return DataError(
            f"{name} holds text or objects{where} (dtype {value.dtype}), wanted numbers\n"
            "  hint: number the words or classes first, e.g. numpy.unique(x, return_inverse=True)"
        )
    return DataError(
        f"{name} has dtype {value.dtype}, wanted real numbers\n  hint: {name}.astype('float32')"
    )


def as_arrays(value: Any, name: str) -> Any:
    """A tree of arrays; lists of numbers become one array, frames become matrices."""
    if value.__class__ is np.ndarray:
        return leaf(value, name)
    if value is None:
        return None
    if isinstance(value, dict):
        return {k: as_arrays(v, f"{name}['{k}']") for k, v in value.items()}
    if isinstance(value, list | tuple):
        if _is_numbers(value):
            return leaf(_rectangle(value, name), name)
        return type(value)(as_arrays(v, f"{name}[{i}]") for i, v in enumerate(value))
    return leaf(value, name)


def _rectangle(rows: Any, name: str) -> Array:
    """Nested lists as one array; DataError when the rows differ in length."""
    try:
        return np.asarray(rows)
    except ValueError:
        sizes = [len(row) if isinstance(row, list | tuple) else 0 for row in rows]
        odd = next((i for i, size in enumerate(sizes) if size != sizes[0]), 0)
        raise DataError(
            f"{name} has rows of different lengths: row 0 has {sizes[0]}, row {odd} has "
            f"{sizes[odd]}\n  hint: fastnn.utils.pad_sequences({name}), or rows of one length"
        ) from None


def _is_numbers(value: Any) -> bool:
    """True for (nested) lists of plain numbers or of strings: one array, not several inputs."""
    first = value
    while isinstance(first, list | tuple) and first:
        first = first[0]
    return isinstance(first, int | float | str | bytes | np.generic)


def unpack(data: Any) -> tuple[Any, Any, Any]:
    """x, y and sample weights of a batch: x, (x,), (x, y) or (x, y, weights)."""
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


def pack(x: Any, y: Any = None, weights: Any = None) -> Any:
    """What `unpack` takes apart: x alone stays as it is, unless it is a list or tuple itself."""
    if y is None and weights is None:
        return (x,) if isinstance(x, list | tuple) else x
    return (x, y) if weights is None else (x, y, weights)


class ArrayData:
    """Arrays of equal length; `n` samples."""

    def __init__(self, x: Any, y: Any, weights: Any) -> None:
        self.x, self.y, self.weights = x, y, weights
        leaves = tree.flatten(x)
        self.leaves = leaves + tree.flatten(y) + tree.flatten(weights)
        if not leaves:
            raise DataError("x is missing\n  hint: fit(x, y)")
        for a in self.leaves:
            if a.ndim == 0:
                raise DataError("x, y or sample_weight is a single number, wanted an array")
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
        cut = [
            tree.map_structure(lambda a: a[start:stop], t) for t in (self.x, self.y, self.weights)
        ]
        return ArrayData(*cut)


def split_tail(data: ArrayData, share: float) -> tuple[ArrayData, ArrayData]:
    """The first floor(n (1 - share)) rows, and the rest."""
    at = int(np.floor(data.n * (1.0 - share)))
    if at == 0 or at == data.n:
        raise ValueError(
            f"validation_split={share} of {data.n} samples leaves {at} to train and "
            f"{data.n - at} to validate\n  hint: choose a split that leaves both some samples"
        )
    return data.part(0, at), data.part(at, data.n)


def class_weights(y: Any, weights: dict[int, float], given: Any) -> Array:
    """A weight per sample from its class; classes not named weigh 1."""
    leaves = tree.flatten(y)
    if len(leaves) != 1:
        raise ValueError("class_weight needs a single y\n  hint: use sample_weight")
    labels = leaves[0]
    if labels.ndim > 1 and labels.shape[-1] > 1:
        labels = labels.argmax(-1)
    labels = np.rint(labels.reshape(labels.shape[0], -1)[:, 0] if labels.ndim > 1 else labels)
    out = np.ones(labels.shape, np.float32)
    for cls in weights:
        if isinstance(cls, bool) or not isinstance(cls, int | float | np.number):
            raise ValueError(
                f"class_weight has the key {cls!r} ({type(cls).__name__}), wanted class numbers\n"
                "  hint: {0: 1.0, 1: 5.0}"
            )
    for cls, weight in weights.items():
        out[labels == cls] = weight
    return out if given is None else out * np.asarray(given, np.float32).reshape(out.shape)


class PyDataset:
    """Batches by number: subclasses define `__len__` and `__getitem__(i)`.

    `workers` threads load batches, up to `max_queue_size` of them ahead of training. Threads serve
    `use_multiprocessing` too: NumPy and file reading release the interpreter's lock.
    """

    def __init__(
        self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10
    ) -> None:
        self.workers, self.max_queue_size = workers, max_queue_size
        self.use_multiprocessing = use_multiprocessing

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(self, index)")

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} must define __len__(self)")

    @property
    def num_batches(self) -> int | None:
        """Batches per epoch, None when endless."""
        return len(self)

    def on_epoch_begin(self) -> None:
        """Before each epoch."""

    def on_epoch_end(self) -> None:
        """After each epoch."""


Sequence = PyDataset


class IterableData:
    """Batches from a generator, a PyDataset or any iterable, prepared ahead on a thread.

    `limit` batches are read in all (None: as many as there are), `skip` batches are passed over
    first, `close` ends the thread. With `again` each call of `batches` starts at the first batch,
    unless the source is an iterator, which cannot.
    """

    def __init__(self, source: Any, name: str, shuffle: bool = False) -> None:
        self.source, self.name, self.shuffle = source, name, shuffle
        self.limit: int | None = None
        self.skip = 0
        self.again = False
        #: The last batch passed over, of a source that does not say how many it has.
        self.passed: Any = None
        self.seed, self.epoch = 0, 0
        self.sized = hasattr(source, "__len__") and hasattr(source, "__getitem__")
        self.once = hasattr(source, "__next__")
        self._ahead: Prefetch | None = None
        self._taken = 0

    def steps(self) -> int | None:
        """Batches per epoch if known."""
        if isinstance(self.source, PyDataset):
            return self.source.num_batches
        try:
            return len(self.source)
        except TypeError:
            return None

    def _fresh(self) -> Iterator[Any]:
        count = None if self.once else self.steps()
        if count and self.skip >= count:
            self.epoch += self.skip // count
            self.skip %= count
        skip, self.skip = self.skip, 0
        if self.once or not self.sized or hasattr(self.source, "__iter__"):
            source = self.source if self.once else iter(self.source)
            for _ in range(skip):
                self.passed = next(source, self.passed)
            return source  # type: ignore[no-any-return]
        order: Any = itertools.count() if count is None else range(count)
        if self.shuffle and count is not None:
            from fastnn.random import epoch_order

            order = (int(i) for i in epoch_order(count, self.seed, self.epoch))
            self.epoch += 1
        order = itertools.islice(order, skip, None)
        # Subclasses may forget super().__init__().
        workers = getattr(self.source, "workers", 1)
        if workers > 1:
            return gather(self.source.__getitem__, order, workers)
        return (self.source[i] for i in order)

    def _start(self) -> Prefetch:
        self.close()
        left = None if self.limit is None else max(self.limit - self._taken, 0)
        depth = max(1, getattr(self.source, "max_queue_size", 2))
        self._ahead = Prefetch(self._fresh(), self._prepare, depth, left, owned=not self.once)
        return self._ahead

    def batches(self, steps: int | None) -> Iterator[tuple[Any, Any, Any]]:
        """The batches of an epoch; with `steps`, the iterator goes on in the next, or `again`."""
        begin = getattr(self.source, "on_epoch_begin", None)
        if callable(begin):
            begin()
        if self.again and not self.once:
            self._taken = 0
        if steps is None or (self.again and not self.once):
            self._start()
        done = 0
        while steps is None or done < steps:
            try:
                batch = self._next(again=steps is not None and not self.once)
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
        ahead = self._ahead
        if ahead is not None:
            batch = next(ahead, None)
            if batch is not None or not again:
                self._taken += batch is not None
                return batch
        batch = next(self._start(), None)
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
        return ArrayData(*batch).parts


@contextlib.contextmanager
def closing(*sources: Any) -> Iterator[None]:
    """Ends the threads of those sources that have one, whatever happens inside.

    After an error or an interrupt nobody waits for a slow source: its thread ends by itself when
    the batch that it is reading is there.
    """
    patience = 0.02
    try:
        yield
        patience = 2.0
    finally:
        for source in sources:
            if isinstance(source, IterableData):
                source.close(patience)


def check_features(name: str, array: Array, want: tuple[int | None, ...], where: str) -> Array:
    """`array` brought to the rank that the model wants; ShapeError when sizes differ."""
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
        text = f"{name} has {have[1]} features, {where}"
    else:
        text = f"{name} has samples of shape {tuple(have[1:])}, {where}"
    raise ShapeError(text)


def is_iterable_data(x: Any) -> bool:
    """True for generators, datasets and other sources of batches."""
    if isinstance(x, np.ndarray | dict | list | tuple | Tensor) or x is None:
        return False
    if isinstance(x, PyDataset):
        return True
    if hasattr(x, "__array__") or hasattr(x, "to_numpy"):
        return False
    return isinstance(x, Iterable) or (hasattr(x, "__getitem__") and hasattr(x, "__len__"))
