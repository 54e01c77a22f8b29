"""`tf.data.Dataset`: a chain of steps over arrays or a generator, read again at each pass.

A thin view over fastnn's own loaders: `fit` reads batches from it ahead on a thread, as from any
iterable. As long as the elements are rows of arrays, shuffling and batching work on row numbers and
a batch is one gather. Depends on `data`, `random`, `tree`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np

from fastnn import random
from fastnn.base import tree
from fastnn.base.arguments import hints_arguments, whole_number
from fastnn.base.tensors import WholeNumber, own_array
from fastnn.base.text import as_text
from fastnn.data.elements import (
    arrays as arrays_of,
    beside,
    called,
    group_count,
    groups,
    padded,
    stacked,
    tensors,
)
from fastnn.data.grouping import Grouping
from fastnn.data.pass_numbers import Passes
from fastnn.data.paths import files_of
from fastnn.data.saved import read_elements, write_elements
from fastnn.data.specs import (
    TensorSpec,
    batched,
    mapped,
    merged,
    of_element,
    of_type,
    padded_to,
    unbatched,
)
from fastnn.errors import DataError

__all__ = ["AUTOTUNE", "INFINITE_CARDINALITY", "UNKNOWN_CARDINALITY", "Dataset", "Options"]

Array = np.ndarray[Any, Any]

#: Taken where TensorFlow wants a number of threads or batches; batches are read ahead anyway.
AUTOTUNE = -1
INFINITE_CARDINALITY = -1
UNKNOWN_CARDINALITY = -2


class Options:
    """Options of TensorFlow: attributes are taken and have no effect.

    So are those of its groups, as `options.experimental_distribute.auto_shard_policy`.
    """

    def __init__(self) -> None:
        groups = ("autotune", "experimental_distribute", "experimental_optimization", "threading")
        for group in (*groups, "experimental_service", "experimental_threading"):
            setattr(self, group, SimpleNamespace())

    def merge(self, options: Any) -> Options:
        """Those of both."""
        return self


class _Pass:
    """One pass over a data set."""

    def __init__(self, elements: Iterator[Any], show: Callable[[Any], Any] = tensors) -> None:
        self._elements, self._show = elements, show

    def __iter__(self) -> _Pass:
        return self

    def __next__(self) -> Any:
        return self._show(next(self._elements))

    def get_next(self, name: str | None = None) -> Any:
        """The next element; StopIteration after the last."""
        return next(self)

    next = get_next


def _plain(a: Any) -> Any:
    """An array as TensorFlow hands it to NumPy."""
    if isinstance(a, Dataset):
        return a
    a = np.asarray(a)
    return as_text(a).numpy() if a.dtype.kind in "US" else own_array(a)


class Dataset(Grouping):
    """Elements in order: nested tuples, lists and dicts of arrays.

    Make one with `from_tensor_slices`, `from_tensors`, `from_generator`, `range` or `zip`; each
    method gives a new data set. `for element in dataset` yields tensors, `as_numpy_iterator()`
    arrays. `fit`, `evaluate` and `predict` take data sets of batches.

    Example:
        >>> import numpy as np
        >>> import fastnn as tf
        >>> ds = tf.data.Dataset.from_tensor_slices((np.arange(6.0), np.arange(6)))
        >>> [x.tolist() for x, y in ds.batch(4)]
        [[0.0, 1.0, 2.0, 3.0], [4.0, 5.0]]
    """

    def __init__(
        self,
        make: Callable[[], Iterator[Any]],
        size: int,
        rows: tuple[Any, Callable[[], Iterable[int]]] | None = None,
        spec: Callable[[], Any] | None = None,
        sources: Sequence[Dataset] = (),
        passes: Passes | None = None,
    ) -> None:
        self._make = make
        self._size = size
        #: What elements are, where that is known without one.
        self._spec = spec
        #: The arrays whose rows are the elements, and the row numbers of one pass.
        self._rows = rows
        own = () if passes is None else (passes,)
        #: What numbers the passes of each order at random that the elements come through.
        self._passes: tuple[Passes, ...] = tuple(
            dict.fromkeys([p for s in sources for p in s._passes] + [*own])
        )

    def _new(
        self,
        make: Callable[[], Iterator[Any]],
        size: int = UNKNOWN_CARDINALITY,
        rows: tuple[Any, Callable[[], Iterable[int]]] | None = None,
        spec: Callable[[], Any] | None = None,
        others: Sequence[Dataset] = (),
        passes: Passes | None = None,
    ) -> Dataset:
        """A data set that is made of this one, and of others."""
        return Dataset(make, size, rows, spec, (self, *others), passes)

    # ---- sources -------------------------------------------------------------------------------

    @staticmethod
    @hints_arguments
    def from_tensor_slices(tensors: Any, name: str | None = None) -> Dataset:
        """The slices of the first axis of arrays, in their nesting."""
        arrays = arrays_of(tensors)
        sizes = {len(a) if a.ndim else -1 for a in tree.flatten(arrays)}
        if len(sizes) != 1 or -1 in sizes:
            shapes = ", ".join(str(a.shape) for a in tree.flatten(arrays))
            raise DataError(
                f"from_tensor_slices: arrays of shapes {shapes}, wanted first axes of one size\n"
                "  hint: one row per sample in each array"
            )
        n = sizes.pop()
        return _of_rows(arrays, lambda: range(n), n)

    @staticmethod
    def from_tensors(tensors: Any, name: str | None = None) -> Dataset:
        """One element."""
        arrays = arrays_of(tensors)
        return Dataset(lambda: iter([arrays]), 1)

    @staticmethod
    def from_generator(
        generator: Callable[..., Iterable[Any]],
        output_types: Any = None,
        output_shapes: Any = None,
        args: Any = (),
        output_signature: Any = None,
        name: str | None = None,
    ) -> Dataset:
        """What a function's generator yields; the function is called again for each pass."""
        spec = _signature(output_signature, output_types, output_shapes)
        if not callable(generator):
            raise TypeError(
                f"from_generator: got a {type(generator).__name__}, wanted a function\n"
                "  hint: from_generator(make), where make() returns a fresh generator"
            )

        def make() -> Iterator[Any]:
            # The generator may fill the same arrays again while an element waits.
            for element in generator(*args):
                fresh = tree.map_structure(np.array, arrays_of(element))
                yield fresh if spec is None else of_type(fresh, spec())

        return Dataset(make, UNKNOWN_CARDINALITY, spec=spec)

    @staticmethod
    def range(*args: int, output_type: Any = None, name: str | None = None) -> Dataset:
        """The numbers of `range(...)`."""
        return Dataset.from_tensor_slices(np.arange(*(int(a) for a in args)))

    @staticmethod
    def random(
        seed: int | None = None,
        rerandomize_each_iteration: bool | None = None,
        name: str | None = None,
    ) -> Dataset:
        """Whole numbers from 0 below 2**31 at random, without end."""
        start = random.make_default_seed() if seed is None else int(seed)
        passes = Passes()

        def make() -> Iterator[Any]:
            turn = next(passes) if rerandomize_each_iteration else 0
            rng = np.random.default_rng((abs(start), turn))
            while True:
                yield np.asarray(rng.integers(2**31, dtype=np.int64))

        return Dataset(make, INFINITE_CARDINALITY, passes=passes)

    @staticmethod
    def list_files(
        file_pattern: Any,
        shuffle: bool | None = None,
        seed: int | None = None,
        name: str | None = None,
    ) -> Dataset:
        """The paths of files that fit a pattern, or several; in random order unless told."""
        found = files_of(file_pattern, "list_files")
        paths = Dataset.from_tensor_slices(np.asarray(found))
        return paths if shuffle is False else paths.shuffle(len(found), seed=seed)

    @staticmethod
    def zip(*args: Any, datasets: Any = None, name: str | None = None) -> Dataset:
        """Elements of several data sets side by side, as many as the shortest has."""
        given = datasets if datasets is not None else args[0] if len(args) == 1 else args
        parts = [given] if isinstance(given, Dataset) else tree.flatten(given)
        for part in parts:
            if not isinstance(part, Dataset):
                raise TypeError(
                    f"zip: got a {type(part).__name__}, wanted data sets\n"
                    "  hint: Dataset.zip((features, labels))"
                )
        known = [p._size for p in parts if p._size != INFINITE_CARDINALITY]
        size = min(known) if known else INFINITE_CARDINALITY

        def make() -> Iterator[Any]:
            for elements in zip(*(p._make() for p in parts), strict=False):
                yield _nested(given, iter(elements))

        return Dataset(
            make,
            UNKNOWN_CARDINALITY if UNKNOWN_CARDINALITY in known else size,
            spec=lambda: _nested(given, (p.element_spec for p in parts)),
            sources=parts,
        )

    # ---- steps ---------------------------------------------------------------------------------

    def map(
        self,
        map_func: Callable[..., Any],
        num_parallel_calls: Any = None,
        deterministic: Any = None,
        name: str | None = None,
    ) -> Dataset:
        """`map_func` of each element; tuples are spread over its arguments."""

        def make() -> Iterator[Any]:
            for element in self._make():
                yield arrays_of(called(map_func, element))

        def spec() -> Any:
            first = self._first()
            return mapped(self.element_spec, first, arrays_of(called(map_func, first)))

        return self._new(make, self._size, spec=spec)

    def batch(
        self,
        batch_size: int,
        drop_remainder: bool = False,
        num_parallel_calls: Any = None,
        deterministic: Any = None,
        name: str | None = None,
    ) -> Dataset:
        """`batch_size` elements stacked to one; the last batch may be shorter."""
        count = whole_number("batch_size", batch_size, 1)
        size = group_count(self._size, count, drop_remainder)

        def make() -> Iterator[Any]:
            if self._rows is not None:
                arrays, order = self._rows
                for places in groups(order(), count, drop_remainder):
                    at = np.asarray(places)
                    yield tree.map_structure(lambda a, at=at: a[at], arrays)
                return
            for elements in groups(self._make(), count, drop_remainder):
                yield stacked(elements)

        rows = count if drop_remainder else None
        return self._new(make, size, spec=lambda: batched(self.element_spec, rows))

    def padded_batch(
        self,
        batch_size: int,
        padded_shapes: Any = None,
        padding_values: Any = None,
        drop_remainder: bool = False,
        name: str | None = None,
    ) -> Dataset:
        """As `batch`, with elements of unlike sizes filled up to the largest of their batch.

        Args:
            batch_size: Elements of a batch.
            padded_shapes: The sizes that elements are filled up to, in the nesting of elements;
                None or -1 for the largest of the batch.
            padding_values: What they are filled up with, one value or in the nesting of elements;
                0 and "" unless told.
            drop_remainder: Whether a shorter last batch is left out.
            name: Taken and not needed.

        Returns:
            A data set of batches.
        """
        count = whole_number("batch_size", batch_size, 1)
        size = group_count(self._size, count, drop_remainder)

        def make() -> Iterator[Any]:
            for elements in groups(self._make(), count, drop_remainder):
                yield padded(elements, padded_shapes, padding_values)

        def spec() -> Any:
            one = self.element_spec
            shapes = beside(one, padded_shapes, "padded_shapes")
            filled = padded_to(one, shapes)
            return batched(filled, count if drop_remainder else None)

        return self._new(make, size, spec=spec)

    def ragged_batch(self, batch_size: int, *args: Any, **kwargs: Any) -> NoReturn:
        """Ragged tensors are not supported: `padded_batch` fills rows up."""
        raise AttributeError(
            "tf.data.Dataset has no ragged_batch in fastnn: ragged tensors are not supported\n"
            f"  hint: padded_batch({batch_size}), which fills rows up with 0"
        )

    def unbatch(self, name: str | None = None) -> Dataset:
        """The slices of the first axis of each element, in all arrays of it as long."""

        def make() -> Iterator[Any]:
            for element in self._make():
                leaves = tree.flatten(element)
                shapes = [np.shape(a) for a in leaves]
                # Of scalars there is the first size of none, of unequal ones there are several.
                if len({shape[:1] for shape in shapes}) != 1 or not shapes[0]:
                    raise DataError(
                        f"unbatch: got an element with arrays of shapes {shapes}, wanted one "
                        "number of rows in all\n"
                        "  hint: leave unbatch() out for elements that are no batches, or map "
                        "them to arrays with equal first sizes"
                    )
                for i in range(shapes[0][0]):
                    yield tree.pack(element, [a[i] for a in leaves])

        return self._new(make, UNKNOWN_CARDINALITY, spec=lambda: unbatched(self.element_spec))

    def shuffle(
        self,
        buffer_size: int,
        seed: int | None = None,
        reshuffle_each_iteration: bool | None = None,
        name: str | None = None,
    ) -> Dataset:
        """Elements in random order, drawn from the next `buffer_size` ones.

        Each pass has another order unless `reshuffle_each_iteration=False`. Without a seed one is
        drawn from the process-wide source, which `set_random_seed` fixes.
        """
        size = whole_number("buffer_size", buffer_size, 1)
        start = random.make_default_seed() if seed is None else int(seed)
        passes = Passes()

        def draw() -> np.random.Generator:
            turn = 0 if reshuffle_each_iteration is False else next(passes)
            return np.random.default_rng((abs(start), turn))

        if self._rows is not None:
            arrays, order = self._rows
            mixed = lambda: _mixed(order(), size, draw())  # noqa: E731
            return _of_rows(arrays, mixed, self._size, self, passes)
        return self._new(
            lambda: iter(_mixed(self._make(), size, draw())), self._size, spec=self._alike,
            passes=passes,
        )  # fmt: skip

    def repeat(self, count: int | None = None, name: str | None = None) -> Dataset:
        """All elements `count` times; without end when None or -1."""
        endless = count is None or count == -1
        if self._size >= 0 and not endless:
            size = self._size * (count or 0)
        else:
            size = self._size if not endless or self._size == 0 else INFINITE_CARDINALITY

        def make() -> Iterator[Any]:
            for _ in itertools.count() if endless else range(count or 0):
                empty = True
                for element in self._make():
                    empty = False
                    yield element
                if empty and endless:
                    return

        return self._new(make, size, spec=self._alike)

    def take(self, count: int, name: str | None = None) -> Dataset:
        """The first `count` elements; all of them when -1."""
        if count == -1:
            return self
        n = whole_number("count", count, 0)
        size = n if self._size == INFINITE_CARDINALITY else min(n, self._size)
        return self._cut(lambda it: itertools.islice(it, n), size if self._size >= -1 else -2)

    def skip(self, count: int, name: str | None = None) -> Dataset:
        """All but the first `count` elements; none when -1."""
        if count == -1:
            return self.take(0)
        n = whole_number("count", count, 0)
        size = max(self._size - n, 0) if self._size >= 0 else self._size
        return self._cut(lambda it: itertools.islice(it, n, None), size)

    def shard(self, num_shards: int, index: int, name: str | None = None) -> Dataset:
        """Every `num_shards`-th element, from `index` on."""
        n = whole_number("num_shards", num_shards, 1)
        size = len(range(index, self._size, n)) if self._size >= 0 else self._size
        return self._cut(lambda it: itertools.islice(it, index, None, n), size)

    def _cut(self, pick: Callable[[Iterable[Any]], Iterable[Any]], size: int) -> Dataset:
        if self._rows is not None:
            arrays, order = self._rows
            return _of_rows(arrays, lambda: pick(order()), size, self)
        return self._new(lambda: iter(pick(self._make())), size, spec=self._alike)

    def filter(self, predicate: Callable[..., Any], name: str | None = None) -> Dataset:
        """The elements of which `predicate` is true."""

        def make() -> Iterator[Any]:
            for element in self._make():
                if bool(called(predicate, element)):
                    yield element

        return self._new(make, UNKNOWN_CARDINALITY, spec=self._alike)

    def take_while(self, predicate: Callable[..., Any], name: str | None = None) -> Dataset:
        """Elements up to the first of which `predicate` is false."""

        def make() -> Iterator[Any]:
            for element in self._make():
                if not bool(called(predicate, element)):
                    return
                yield element

        return self._new(make, UNKNOWN_CARDINALITY, spec=self._alike)

    def flat_map(self, map_func: Callable[..., Dataset], name: str | None = None) -> Dataset:
        """The elements of the data sets that `map_func` makes of each element."""

        def make() -> Iterator[Any]:
            for element in self._make():
                yield from called(map_func, element)._make()

        return self._new(make, UNKNOWN_CARDINALITY)

    def concatenate(self, dataset: Dataset, name: str | None = None) -> Dataset:
        """These elements, then those of another data set."""
        sizes = (self._size, dataset._size)
        size = (
            sum(sizes) if min(sizes) >= 0 else min(sizes) if -2 in sizes else INFINITE_CARDINALITY
        )
        return self._new(
            lambda: itertools.chain(self._make(), dataset._make()),
            size,
            spec=lambda: merged(self.element_spec, dataset.element_spec),
            others=(dataset,),
        )

    def enumerate(self, start: int = 0, name: str | None = None) -> Dataset:
        """Pairs of a number and an element."""

        def make() -> Iterator[Any]:
            for i, element in enumerate(self._make(), start):
                yield np.asarray(i), element

        return self._new(
            make, self._size, spec=lambda: (TensorSpec((), "int64"), self.element_spec)
        )

    def cache(self, filename: str = "", name: str | None = None) -> Dataset:
        """The elements as the first whole pass made them, kept in memory."""
        if filename:
            raise ValueError(f"cache: a file ({filename!r}) is not supported\n  hint: cache()")
        kept: list[Any] = []
        done: list[bool] = []

        def make() -> Iterator[Any]:
            if done:
                yield from kept
                return
            fresh = []
            for element in self._make():
                fresh.append(element)
                yield element
            if not done:
                kept.extend(fresh)
                done.append(True)

        # It keeps the order of one pass, so it does not count as coming through what draws orders.
        return Dataset(make, self._size, spec=self._alike)

    def prefetch(self, buffer_size: Any = AUTOTUNE, name: str | None = None) -> Dataset:
        """This data set: `fit` reads ahead on a thread anyway."""
        return self

    def options(self) -> Options:
        """No options."""
        return Options()

    def with_options(self, options: Any, name: str | None = None) -> Dataset:
        """This data set: options have no effect."""
        return self

    def apply(self, transformation_func: Callable[[Dataset], Dataset]) -> Dataset:
        """What a function makes of this data set."""
        return transformation_func(self)

    def reduce(
        self, initial_state: Any, reduce_func: Callable[..., Any], name: str | None = None
    ) -> Any:
        """`reduce_func(state, element)` over all elements; gives the last state."""
        state = initial_state
        for element in self._make():
            state = reduce_func(state, tensors(element))
        numbers = tree.flatten(state)
        if numbers and all(isinstance(v, int | float | np.number | np.ndarray) for v in numbers):
            return tensors(arrays_of(state))
        return state

    # ---- files ---------------------------------------------------------------------------------

    def save(
        self,
        path: Any,
        compression: Any = None,
        shard_func: Any = None,
        checkpoint_args: Any = None,
    ) -> None:
        """Writes all elements into a folder, for `load`; in a format of fastnn's own.

        Args:
            path: The folder, which is made; what an earlier `save` wrote there is replaced.
            compression: `"GZIP"` for smaller files, or None.
            shard_func: Not supported; None.
            checkpoint_args: Not supported; None.
        """
        if self.endless:
            raise ValueError("save: the data set has no end\n  hint: dataset.take(1000).save(path)")
        if shard_func is not None or checkpoint_args is not None:
            raise ValueError("save writes one file, in one go\n  hint: leave shard_func out")
        write_elements(path, self._make(), lambda: self.element_spec, compression == "GZIP")

    @staticmethod
    def load(
        path: Any, element_spec: Any = None, compression: Any = None, reader_func: Any = None
    ) -> Dataset:
        """The elements that `save` wrote, read one by one.

        Args:
            path: The folder.
            element_spec: Taken and not needed: the folder says it.
            compression: Taken and not needed.
            reader_func: Not supported; None.

        Returns:
            A data set.
        """
        if reader_func is not None:
            raise ValueError("load reads one file\n  hint: leave reader_func out")
        make, size, spec = read_elements(path)
        return Dataset(make, size, spec=None if spec is None else lambda: spec)

    # ---- reading -------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Any]:
        return _Pass(self._make())

    def as_numpy_iterator(self) -> Iterator[Any]:
        """The elements as arrays of the caller's own; numbers as NumPy scalars, text as bytes."""
        return _Pass(self._make(), lambda element: tree.map_structure(_plain, element))

    def cardinality(self) -> int:
        """The number of elements; -1 without end, -2 when it is not known."""
        return WholeNumber(self._size)

    @property
    def endless(self) -> bool:
        """True when a pass has no end."""
        return self._size == INFINITE_CARDINALITY

    def __len__(self) -> int:
        if self._size < 0:
            raise TypeError(
                f"the data set {'has no end' if self.endless else 'does not know its length'}\n"
                "  hint: cardinality(), or count while reading"
            )
        return self._size

    def __bool__(self) -> bool:
        return True

    @property
    def element_spec(self) -> Any:
        """Shapes and types of elements; None for the size of batches whose last may be smaller.

        Where a step does not tell, it is what the first element says.
        """
        return self._alike()

    def _alike(self) -> Any:
        return of_element(self._first()) if self._spec is None else self._spec()

    def _first(self) -> Any:
        for element in self._make():
            return element
        raise DataError("element_spec: the data set is empty\n  hint: look at its source")

    def __repr__(self) -> str:
        size = {-1: "no end", -2: "unknown"}.get(self._size, str(self._size))
        return f"<Dataset elements={size}>"

    def __getattr__(self, name: str) -> Any:
        from fastnn.base.absent import close_names

        close = close_names(name, dir(Dataset)) if name[0] != "_" else []
        hint = f"did you mean {', '.join(close)}?" if close else "map, filter, or from_generator"
        raise AttributeError(f"tf.data.Dataset has no {name!r} in fastnn\n  hint: {hint}")


def _signature(signature: Any, types: Any, shapes: Any) -> Callable[[], Any] | None:
    """What `from_generator` is told of its elements; None where that is nothing."""
    if signature is not None:
        return lambda: signature
    if types is None or shapes is None:
        return None
    kinds = tree.flatten(types)
    if len(kinds) == 1 and not isinstance(types, tuple | dict):
        return lambda: TensorSpec(shapes, types)
    sizes = shapes.values() if isinstance(shapes, dict) else shapes
    if len(kinds) != len(sizes):
        return None
    made = [TensorSpec(size, kind) for size, kind in zip(sizes, kinds, strict=True)]
    return lambda: tree.pack(types, made)


def _of_rows(
    arrays: Any,
    order: Callable[[], Iterable[int]],
    size: int,
    source: Dataset | None = None,
    passes: Passes | None = None,
) -> Dataset:
    def make() -> Iterator[Any]:
        for i in order():
            yield tree.map_structure(lambda a, i=i: np.asarray(a[i]), arrays)

    sources = () if source is None else (source,)
    return Dataset(make, size, (arrays, order), sources=sources, passes=passes)


def _mixed(items: Iterable[Any], size: int, rng: np.random.Generator) -> Iterator[Any]:
    """Items drawn at random from a buffer of `size` that is kept full."""
    it = iter(items)
    buffer = list(itertools.islice(it, size))
    if len(buffer) < size:  # all there are: one permutation
        for i in rng.permutation(len(buffer)):
            yield buffer[i]
        return
    for item in it:
        at = int(rng.integers(size))
        yield buffer[at]
        buffer[at] = item
    for i in rng.permutation(len(buffer)):
        yield buffer[i]


def _nested(like: Any, elements: Iterator[Any]) -> Any:
    """Elements in the nesting of the data sets that they come from."""
    if isinstance(like, Dataset):
        return next(elements)
    if isinstance(like, dict):
        return {k: _nested(v, elements) for k, v in like.items()}
    return tuple(_nested(v, elements) for v in like)
