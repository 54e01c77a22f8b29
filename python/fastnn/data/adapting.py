"""What `adapt` of a layer is given, as batches. Depends on `batches`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from fastnn.data.batches import PyDataset
from fastnn.errors import DataError

__all__ = ["batches_to_adapt", "is_one_batch"]


def is_one_batch(data: Any) -> bool:
    """Whether data are one array, frame, text or list of values, and no source of batches.

    A list is a source of batches where it holds arrays of at least one axis, or tuples of them.
    """
    if isinstance(data, list | tuple):
        first = data[0] if data else None
        first = first[0] if isinstance(first, tuple) and first else first
        return bool(data) and not getattr(first, "shape", ())
    if isinstance(data, str | bytes):
        return True
    return any(hasattr(data, a) for a in ("shape", "dtype", "to_numpy", "__array__"))


def batches_to_adapt(data: Any, steps: int | None, where: str) -> Iterator[Any]:
    """The samples of each batch of what `adapt` is given, without their targets and weights.

    Args:
        data: An array, frame or list, which is one batch; or a `PyDataset` or iterable of batches.
        steps: At most so many batches; None: all.
        where: The layer, for messages.

    Returns:
        An iterator of what the batches hold.

    Raises:
        ValueError: There is no batch, or `steps` is no count.
        TypeError: The data are neither.
        DataError: A batch is a list of arrays, which may be samples or samples and targets.
    """
    if steps is not None and (isinstance(steps, bool) or not isinstance(steps, int) or steps < 1):
        raise ValueError(f"{where}: adapt got steps={steps!r}, wanted at least 1\n  hint: steps=10")
    if is_one_batch(data):
        yield data
        return
    count = 0
    for batch in _iterated(data, where):
        yield _samples(batch, count, where)
        count += 1
        if count == steps:  # before another one is made: a generator may be read on
            return
    if count == 0:
        raise DataError(
            f"{where}: adapt() received an empty iterable (no batches)\n"
            "  hint: an array of at least one sample; a generator is empty once it was read"
        )


def _iterated(data: Any, where: str) -> Iterable[Any]:
    numbered = hasattr(data, "__getitem__") and hasattr(data, "__len__")
    if isinstance(data, PyDataset) or (numbered and not hasattr(data, "__iter__")):
        return (data[i] for i in range(len(data)))
    if hasattr(data, "__iter__") and not isinstance(data, dict):
        return data  # type: ignore[no-any-return]
    raise TypeError(
        f"{where}: adapt got {type(data).__name__}, wanted an array or an iterable of batches\n"
        "  hint: layer.adapt(numpy.asarray(values))"
    )


def _samples(batch: Any, place: int, where: str) -> Any:
    if isinstance(batch, tuple) and batch:
        return batch[0]
    if isinstance(batch, list) and len(batch) > 1 and len(getattr(batch[0], "shape", ())) > 1:
        raise DataError(
            f"{where}: batch {place} is a list of {len(batch)} arrays: samples, or samples and "
            "their targets?\n  hint: layer.adapt(x for x, y in data), or one array a batch"
        )
    return batch
