"""Data sets of data sets: windows, groups, and several read in turn.

Methods of `tf.data.Dataset`, which is built upon this class. Depends on `elements`, `random`.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from fastnn import random
from fastnn.base import tree
from fastnn.base.arguments import whole_number
from fastnn.data.elements import arrays as arrays_of, called, padded, stacked, tensors
from fastnn.data.pass_numbers import Passes
from fastnn.errors import DataError

__all__ = ["Grouping"]

#: `pipeline.Dataset`, which this class is a part of.
Dataset = Any
#: Data sets that `interleave` has open at a time unless told.
_CYCLE = 16
_UNKNOWN, _INFINITE = -2, -1


class Grouping:
    """The methods whose elements are data sets, or that read several data sets."""

    _make: Callable[[], Iterator[Any]]
    _size: int
    _rows: Any

    def _new(
        self, make: Callable[[], Iterator[Any]], size: int = _UNKNOWN, rows: Any = None
    ) -> Dataset:
        raise NotImplementedError

    def window(
        self,
        size: int,
        shift: int | None = None,
        stride: int = 1,
        drop_remainder: bool = False,
        name: str | None = None,
    ) -> Dataset:
        """Windows of elements, each of them a data set; of tuples and dicts, one per part.

        Args:
            size: The elements of a window.
            shift: From the start of a window to that of the next; `size` unless told.
            stride: From an element of a window to the next.
            drop_remainder: Whether shorter windows at the end are left out.
            name: Taken and not needed.

        Returns:
            A data set of data sets.

        Example:
            >>> ds = fastnn.data.Dataset.range(5).window(3, shift=1, drop_remainder=True)
            >>> [w.tolist() for w in ds.flat_map(lambda w: w.batch(3)).as_numpy_iterator()]
            [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
        """
        count, step = whole_number("size", size, 1), whole_number("stride", stride, 1)
        ahead = count if shift is None else whole_number("shift", shift, 1)
        n = self._size
        last = n - (count - 1) * step if drop_remainder else n
        windows = n if n < 0 else max(0, -(-last // ahead))

        def make() -> Iterator[Any]:
            if self._rows is None:
                for items in _windows(self._make(), count, ahead, step, drop_remainder):
                    yield _parts(self, items)
                return
            arrays, order = self._rows
            for items in _windows(iter(order()), count, ahead, step, drop_remainder):
                yield tree.map_structure(lambda a, at=items: _slices(self, a, at), arrays)

        return self._new(make, windows)

    def group_by_window(
        self,
        key_func: Callable[..., Any],
        reduce_func: Callable[[Any, Dataset], Dataset],
        window_size: int | None = None,
        window_size_func: Callable[[Any], Any] | None = None,
        name: str | None = None,
    ) -> Dataset:
        """Elements gathered by key; `reduce_func(key, data set)` makes elements of each group.

        Args:
            key_func: A whole number for each element.
            reduce_func: A data set for a key and the data set of its elements.
            window_size: How many elements a group has; or
            window_size_func: a function that says so for a key.
            name: Taken and not needed.

        Returns:
            The elements of all the data sets; groups that are not full come last, by key.
        """
        if (window_size is None) == (window_size_func is None):
            raise ValueError(
                "group_by_window wants one of window_size and window_size_func\n"
                "  hint: window_size=32"
            )

        def full(key: int) -> int:
            asked = window_size if window_size_func is None else window_size_func(tensor_of(key))
            return whole_number("window_size", asked, 1)

        def tensor_of(key: int) -> Any:
            return tensors(np.asarray(key))

        def made(key: int, items: list[Any]) -> Any:
            return reduce_func(tensor_of(key), self._new(lambda: iter(items), len(items)))._make()

        def make() -> Iterator[Any]:
            open_groups: dict[int, list[Any]] = {}
            for element in self._make():
                key = int(called(key_func, element))
                items = open_groups.setdefault(key, [])
                items.append(element)
                if len(items) == full(key):
                    yield from made(key, open_groups.pop(key))
            for key in sorted(open_groups):
                yield from made(key, open_groups[key])

        return self._new(make)

    def bucket_by_sequence_length(
        self,
        element_length_func: Callable[..., Any],
        bucket_boundaries: Sequence[int],
        bucket_batch_sizes: Sequence[int],
        padded_shapes: Any = None,
        padding_values: Any = None,
        pad_to_bucket_boundary: bool = False,
        no_padding: bool = False,
        drop_remainder: bool = False,
        name: str | None = None,
    ) -> Dataset:
        """Batches of elements of similar lengths, filled up to the longest of their batch.

        Args:
            element_length_func: The length of an element.
            bucket_boundaries: Where buckets begin; the first one is below the first boundary.
            bucket_batch_sizes: The batch size of each bucket, one more than boundaries.
            padded_shapes: As in `padded_batch`.
            padding_values: As in `padded_batch`.
            pad_to_bucket_boundary: Whether open axes are filled up to one below the bucket's
                end; then no element may reach the last boundary.
            no_padding: Whether the elements of a bucket have one shape and are stacked.
            drop_remainder: Whether batches that are not full are left out.
            name: Taken and not needed.

        Returns:
            A data set of batches.
        """
        bounds = [int(b) for b in bucket_boundaries]
        sizes = [whole_number("bucket_batch_sizes", s, 1) for s in bucket_batch_sizes]
        if len(sizes) != len(bounds) + 1 or bounds != sorted(set(bounds)):
            raise ValueError(
                f"bucket_by_sequence_length: {len(bounds)} boundaries and {len(sizes)} batch "
                "sizes, wanted rising boundaries and one more size\n"
                "  hint: bucket_boundaries=[3, 5], bucket_batch_sizes=[32, 16, 8]"
            )

        def bucket(*element: Any) -> int:
            return int(np.searchsorted(bounds, int(element_length_func(*element)), side="right"))

        def batch(key: Any, items: Dataset) -> Dataset:
            at = int(key)
            elements = list(items._make())
            if no_padding:
                done = stacked(elements)
            else:
                shapes = padded_shapes
                if pad_to_bucket_boundary:
                    if at == len(bounds):
                        raise DataError(
                            "bucket_by_sequence_length: an element is as long as the last "
                            f"boundary, {bounds[-1]}\n  hint: a larger last boundary"
                        )
                    shapes = _up_to(elements[0], padded_shapes, bounds[at] - 1)
                done = padded(elements, shapes, padding_values)
            keep = not drop_remainder or len(elements) == sizes[at]
            return self._new(lambda: iter([done] if keep else []))

        return self.group_by_window(bucket, batch, window_size_func=lambda k: sizes[int(k)])

    def interleave(
        self,
        map_func: Callable[..., Dataset],
        cycle_length: int | None = None,
        block_length: int | None = None,
        num_parallel_calls: Any = None,
        deterministic: Any = None,
        name: str | None = None,
    ) -> Dataset:
        """As `flat_map`, with the elements of several data sets in turn.

        Args:
            map_func: A data set for each element.
            cycle_length: How many of them are open at a time, 16 unless told.
            block_length: How many elements in a row come from one, 1 unless told.
            num_parallel_calls: Taken and not needed.
            deterministic: Taken: the order is always the same.
            name: Taken and not needed.

        Returns:
            Their elements.
        """
        cycle = _CYCLE
        if cycle_length not in (None, -1):
            cycle = whole_number("cycle_length", cycle_length, 1)
        block = 1 if block_length is None else whole_number("block_length", block_length, 1)

        def make() -> Iterator[Any]:
            source = self._make()
            slots: list[Iterator[Any] | None] = [None] * cycle
            more = True
            while more or any(s is not None for s in slots):
                for at in range(cycle):
                    slot = slots[at]
                    if slot is None and more:
                        element = next(source, source)
                        more = element is not source
                        slot = called(map_func, element)._make() if more else None
                    slots[at] = None
                    if slot is not None:
                        for _ in range(block):
                            item = next(slot, slot)
                            if item is slot:
                                break
                            yield item
                        else:
                            slots[at] = slot

        return self._new(make)

    def scan(
        self, initial_state: Any, scan_func: Callable[..., Any], name: str | None = None
    ) -> Dataset:
        """The outputs of `scan_func(state, element)`, which gives the next state and an output."""

        def make() -> Iterator[Any]:
            state = arrays_of(initial_state)
            for element in self._make():
                state, out = scan_func(tensors(state), tensors(element))
                state = arrays_of(state)
                yield arrays_of(out)

        return self._new(make, self._size)

    def unique(self, name: str | None = None) -> Dataset:
        """Each of the elements once, where it comes first."""

        def make() -> Iterator[Any]:
            seen: set[Any] = set()
            for element in self._make():
                key = tuple((a.shape, a.tobytes()) for a in tree.flatten(element))
                if key not in seen:
                    seen.add(key)
                    yield element

        return self._new(make)

    def rebatch(
        self, batch_size: int, drop_remainder: bool = False, name: str | None = None
    ) -> Dataset:
        """Batches of another size."""
        rows: Dataset = self._new(self._make).unbatch()
        return rows.batch(batch_size, drop_remainder)

    def rejection_resample(
        self,
        class_func: Callable[..., Any],
        target_dist: Sequence[float],
        initial_dist: Sequence[float] | None = None,
        seed: int | None = None,
        name: str | None = None,
    ) -> Dataset:
        """Pairs of a class and an element, with elements left out so that classes come as asked.

        Args:
            class_func: The class of an element, a whole number.
            target_dist: How often each class is wanted.
            initial_dist: How often each comes; counted while reading unless told.
            seed: Where draws begin.
            name: Taken and not needed.

        Returns:
            A data set of pairs (class, element).
        """
        want = np.asarray(target_dist, np.float64)
        start = random.make_default_seed() if seed is None else int(seed)

        def make() -> Iterator[Any]:
            rng = np.random.default_rng(abs(start))
            counts = np.zeros(len(want))
            for element in self._make():
                cls = int(called(class_func, element))
                counts[cls] += 1
                have = counts / counts.sum() if initial_dist is None else np.asarray(initial_dist)
                ratio = np.divide(want, have, out=np.zeros(len(want)), where=have > 0)
                if rng.random() * ratio.max() < ratio[cls]:
                    yield np.asarray(cls), element

        return self._new(make)

    def get_single_element(self, name: str | None = None) -> Any:
        """The only element; DataError when there are none or several."""
        found = list(itertools.islice(self._make(), 2))
        if len(found) != 1:
            raise DataError(
                f"get_single_element: the data set has {'no' if not found else 'several'} "
                "elements, wanted one\n  hint: next(iter(dataset))"
            )
        return tensors(found[0])

    @staticmethod
    def choose_from_datasets(
        datasets: Sequence[Dataset], choice_dataset: Dataset, stop_on_empty_dataset: bool = True
    ) -> Dataset:
        """The next element of the data set that each number of `choice_dataset` names."""
        given = _several(datasets, "choose_from_datasets")

        def make() -> Iterator[Any]:
            return _taken(given, (int(c) for c in choice_dataset._make()), stop_on_empty_dataset)

        return given[0]._new(make, others=[*given[1:], choice_dataset])

    @staticmethod
    def sample_from_datasets(
        datasets: Sequence[Dataset],
        weights: Sequence[float] | None = None,
        seed: int | None = None,
        stop_on_empty_dataset: bool = False,
        rerandomize_each_iteration: bool | None = None,
    ) -> Dataset:
        """Elements of several data sets, each next one from a set drawn at random.

        Args:
            datasets: Data sets of one structure.
            weights: How often each is drawn; equally unless told.
            seed: Where draws begin; drawn from the process-wide source unless told.
            stop_on_empty_dataset: Whether the end of one is the end of all.
            rerandomize_each_iteration: Whether passes have unlike orders; not unless told.

        Returns:
            A data set.
        """
        given = _several(datasets, "sample_from_datasets")
        shares = np.ones(len(given)) if weights is None else np.asarray(weights, np.float64)
        if shares.shape != (len(given),) or (shares < 0).any() or not shares.sum() > 0:
            raise ValueError(
                f"sample_from_datasets: weights={weights!r:.80} for {len(given)} data sets\n"
                "  hint: one number from 0 on for each"
            )
        start = random.make_default_seed() if seed is None else int(seed)
        passes = Passes()

        def make() -> Iterator[Any]:
            turn = next(passes) if rerandomize_each_iteration else 0
            rng = np.random.default_rng((abs(start), turn))
            return _taken(given, rng, stop_on_empty_dataset, shares)

        ends = all(d._size == _INFINITE for d in given)
        size = _INFINITE if ends else _UNKNOWN
        return given[0]._new(make, size, others=given[1:], passes=passes)


def _several(datasets: Any, where: str) -> list[Dataset]:
    given = list(datasets)
    if not given or not all(isinstance(d, Grouping) for d in given):
        raise TypeError(f"{where}: wanted a list of data sets\n  hint: {where}([first, second])")
    return given


def _taken(given: list[Any], choices: Any, stop: bool, shares: Any = None) -> Iterator[Any]:
    """Elements of the data sets that `choices` names, or that its draws by `shares` hit."""
    sources = [d._make() for d in given]
    left = None if shares is None else np.array(shares)
    while left is None or left.sum() > 0:
        at = next(choices, None) if left is None else choices.choice(len(left), p=left / left.sum())
        if at is None:
            return
        if not 0 <= at < len(sources):
            raise DataError(
                f"choose_from_datasets: choice {at} of {len(sources)} data sets\n"
                "  hint: numbers from 0 on"
            )
        element = next(sources[at], sources)
        if element is not sources:
            yield element
        elif stop:
            return
        elif left is not None:
            left[at] = 0


def _windows(
    items: Iterator[Any], count: int, shift: int, stride: int, drop: bool
) -> Iterator[list[Any]]:
    """Lists of `count` items, `stride` apart, each starting `shift` after the one before."""
    span = (count - 1) * stride + 1
    held: deque[Any] = deque()
    while True:
        while len(held) < span:
            item = next(items, items)
            if item is items:
                break
            held.append(item)
        if not held or (drop and len(held) < span):
            return
        yield [held[i] for i in range(0, min(span, len(held)), stride)]
        for _ in range(shift):
            if held:
                held.popleft()
            elif next(items, items) is items:
                return


def _parts(source: Grouping, items: list[Any]) -> Any:
    """One data set for each part of elements."""
    columns = zip(*(tree.flatten(e) for e in items), strict=True)
    return tree.pack(items[0], [_listed(source, list(c)) for c in columns])


def _listed(source: Grouping, items: list[Any]) -> Dataset:
    """The data set of these elements."""
    return source._new(lambda: iter(items), len(items))


def _slices(source: Grouping, array: Any, at: list[int]) -> Dataset:
    """The data set of some rows of an array."""

    def make() -> Iterator[Any]:
        return (np.asarray(array[i]) for i in at)

    return source._new(make, len(at), (array, lambda: at))


def _up_to(element: Any, shapes: Any, size: int) -> Any:
    """The shapes of padding with `size` for every axis that they leave open."""
    if isinstance(element, dict):
        return {k: _up_to(v, None if shapes is None else shapes[k], size) for k, v in
                element.items()}  # fmt: skip
    if isinstance(element, tuple):
        given = [None] * len(element) if shapes is None else shapes
        return tuple(_up_to(v, s, size) for v, s in zip(element, given, strict=True))
    given = [None] * element.ndim if shapes is None else list(shapes)
    return [size if s in (None, -1) else s for s in given]
