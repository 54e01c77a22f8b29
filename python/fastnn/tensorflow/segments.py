"""`tf.math.segment_…` and `unsorted_segment_…`: slices joined by their ids. Depends on `ops`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.typing import TensorLike

__all__ = [
    "segment_max",
    "segment_mean",
    "segment_min",
    "segment_prod",
    "segment_sum",
    "unsorted_segment_max",
    "unsorted_segment_mean",
    "unsorted_segment_min",
    "unsorted_segment_prod",
    "unsorted_segment_sqrt_n",
    "unsorted_segment_sum",
]


def _held(segment_ids: TensorLike, num_segments: Any, rank: int) -> Tensor:
    """How many slices each segment has, with axes that stretch."""
    ones = ops.ones((ops.shape(segment_ids)[0], *[1] * (rank - 1)))
    return ops.segment_sum(ones, segment_ids, num_segments)


def _segments(kind: str, sorted_ids: bool) -> Callable[..., Tensor]:
    """`tf.math.segment_…` and `unsorted_segment_…`: the latter are told how many there are."""
    name = f"segment_{kind}" if sorted_ids else f"unsorted_segment_{kind}"
    join = getattr(ops, f"segment_{'sum' if kind in ('mean', 'sqrt_n') else kind}")

    def segment(
        data: Any, segment_ids: Any, num_segments: Any = None, name: str | None = None
    ) -> Any:
        data = ops.convert_to_tensor(data)
        out = join(data, segment_ids, num_segments)
        if kind in ("sum", "prod"):
            return out
        held = _held(segment_ids, num_segments, len(data.shape))
        if kind in ("max", "min"):
            return ops.where(held > 0.0, out, 0 if sorted_ids else _extreme(kind, str(data.dtype)))
        return out / ops.maximum(held if kind == "mean" else ops.sqrt(held), 1.0)

    segment.__name__ = segment.__qualname__ = name
    segment.__doc__ = f"The {kind} of the slices that share an id."
    return segment


def _extreme(kind: str, dtype: str) -> Tensor:
    """What TensorFlow gives as the largest or smallest of no numbers: the other end of the type."""
    ends = np.finfo(np.float32) if dtype.startswith(("float", "bfloat")) else np.iinfo(np.int32)
    return ops.convert_to_tensor(ends.min if kind == "max" else ends.max, dtype)


segment_sum, segment_mean, segment_max, segment_min, segment_prod = (
    _segments(kind, True) for kind in ("sum", "mean", "max", "min", "prod")
)
unsorted_segment_sum, unsorted_segment_mean, unsorted_segment_max = (
    _segments(kind, False) for kind in ("sum", "mean", "max")
)
unsorted_segment_min, unsorted_segment_prod, unsorted_segment_sqrt_n = (
    _segments(kind, False) for kind in ("min", "prod", "sqrt_n")
)
