"""Connectionist temporal classification: labels whose places in time are not known, their loss and
what is read off.

Sources: Graves et al. 2006; Hannun et al. 2014 (prefix search). Depends on `control`, `index`.
"""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np

from fastnn import _core
from fastnn._core import Tensor
from fastnn.base.arguments import hints_arguments
from fastnn.errors import DataError, ShapeError
from fastnn.ops.control import scan
from fastnn.ops.convert import TensorLike, arange, cast, computed, shape
from fastnn.ops.families import name_ops
from fastnn.ops.host import tensor, value
from fastnn.ops.index import take_along_axis
from fastnn.ops.nn import log_softmax
from fastnn.ops.shapes import pad, reshape, stack, transpose
from fastnn.ops.special import logaddexp
from fastnn.tracing.symbolic import keras_op

__all__ = ["ctc_decode", "ctc_loss"]

_c = _core.ops
#: The logarithm of what cannot be: small enough, and far from where float32 ends.
_NEVER = -1e5


def _check_lengths(where: str, name: str, lengths: Any, most: int, of: str) -> None:
    """DataError for a length beyond what there is, by which scores would be read as others."""
    odd = np.flatnonzero((lengths < 0) | (lengths > most))
    if odd.size:
        raise DataError(
            f"{where}: {name}[{odd[0]}] is {lengths[odd[0]]}, there are {most} {of}\n"
            f"  hint: numbers from 0 to {most}"
        )


@keras_op
def ctc_loss(
    target: TensorLike,
    output: TensorLike,
    target_length: TensorLike,
    output_length: TensorLike,
    mask_index: int = 0,
) -> Tensor:
    """-log of the chance that `output` says `target`, over all ways to spread it over the steps.

    A step says a class or nothing (`mask_index`); a class that is said several times in a row is
    one label, unless nothing stands between.

    Args:
        target: Labels, int32 (batch, labels); what stands after `target_length` does not count.
        output: Scores before softmax, (batch, steps, classes).
        target_length: How many labels count, (batch,).
        output_length: How many steps count, (batch,).
        mask_index: The class that stands for nothing.

    Returns:
        A tensor (batch,). Labels that do not fit into the steps give about 1e5.

    Raises:
        ShapeError: The shapes do not go together.
        DataError: A length that is given as a number is beyond the labels or steps there are.

    Example:
        >>> scores = np.zeros((1, 2, 3))
        >>> fastnn.ops.ctc_loss([[1]], scores, [1], [2]).numpy().round(4)
        array([1.0986], dtype=float32)
    """
    labels = cast(target, "int32")
    scores = computed(output, "float32")
    if len(labels.shape) != 2 or len(scores.shape) != 3:
        raise ShapeError(
            f"ctc_loss: labels of shape {tuple(labels.shape)} and scores of shape "
            f"{tuple(scores.shape)}, wanted (batch, labels) and (batch, steps, classes)\n"
            "  hint: scores of every step"
        )
    for name, lengths, axis, of in (
        ("target_length", target_length, labels.shape, "labels"),
        ("output_length", output_length, scores.shape, "steps"),
    ):
        if isinstance(lengths, list | tuple | np.ndarray):
            sizes = np.shape(lengths)
            if len(sizes) != 1 or sizes[0] not in (labels.shape[0], None):
                raise ShapeError(
                    f"ctc_loss: {name} has shape {sizes}, the labels {tuple(labels.shape)}\n"
                    "  hint: one number a sample"
                )
            if isinstance(axis[1], int):
                _check_lengths("ctc_loss", name, np.asarray(lengths), axis[1], of)
    batch, count = shape(labels)
    log = log_softmax(scores, axis=-1)
    # The labels with "nothing" before, between and after: 2 * count + 1 places.
    blank = _c.full(shape=[], value=float(mask_index), dtype="int32")
    nothing = labels * 0 + blank
    places = reshape(stack([nothing, labels], axis=-1), (batch, count * 2))
    places = pad(places, ((0, 0), (0, 1)), constant_values=mask_index)
    size = count * 2 + 1
    before = pad(places[:, :-2], ((0, 0), (2, 0)), constant_values=mask_index)
    # A label may follow the one before at once where it is another one. That is so for places of
    # labels alone; a label may be `mask_index` itself, as for words that are filled up with it.
    skips = _c.logical_and(arange(size, dtype="int32") % 2 == 1, _c.not_equal(places, before))
    at = _c.expand_dims(places, axis=[1])
    said = take_along_axis(log, _c.broadcast_to(at, shape=[batch, shape(log)[1], size]), axis=-1)
    said = transpose(said, (1, 0, 2))
    order = arange(size, dtype="int32")
    first = _c.where(_c.less(order, 2), said[0], _NEVER)
    steps = cast(output_length, "int32")

    def one(carry: Any, x: TensorLike) -> tuple[Any, None]:
        alpha, t = carry
        moved = pad(alpha[:, :-1], ((0, 0), (1, 0)), constant_values=_NEVER)
        leapt = pad(alpha[:, :-2], ((0, 0), (2, 0)), constant_values=_NEVER)
        new = logaddexp(logaddexp(alpha, moved), _c.where(skips, leapt, _NEVER)) + x
        counts = _c.expand_dims(_c.less(t, steps), axis=[-1])
        return [_c.where(counts, new, alpha), t + 1], None

    start = [first, _core.tensor(1, dtype="int32")]
    (alpha, _), _ = scan(one, start, said[1:])
    last = _c.expand_dims(cast(target_length, "int32") * 2, axis=[-1])
    ends = _c.where(_c.equal(order, last), alpha, 2 * _NEVER)
    whole = _c.logical_and(_c.equal(order, last - 1), _c.greater(last, 0))
    ends = logaddexp(ends, _c.where(whole, alpha, 2 * _NEVER))
    return -_c.logsumexp(ends, axis=[-1])


@hints_arguments
def ctc_decode(
    inputs: TensorLike,
    sequence_lengths: TensorLike,
    strategy: str = "greedy",
    beam_width: int = 100,
    top_paths: int = 1,
    merge_repeated: bool = True,
    mask_index: int = 0,
) -> tuple[Tensor, Tensor]:
    """The labels that scores say: of the largest score a step, or of the likeliest prefixes.

    Computed on values, so not in a traced step.

    Args:
        inputs: Scores before softmax, (batch, steps, classes).
        sequence_lengths: How many steps count, (batch,).
        strategy: `"greedy"` or `"beam_search"`.
        beam_width: How many prefixes a beam search keeps at each step.
        top_paths: How many of the best labellings a beam search gives.
        merge_repeated: Whether `"greedy"` joins a class that is said several times in a row.
        mask_index: The class that stands for nothing.

    Returns:
        Labels, int32 (top_paths, batch, steps), -1 after the last; and scores: of `"greedy"`
        minus the sum of the largest scores, (batch, 1), of `"beam_search"` the logarithms of the
        chances, (batch, top_paths).

    Raises:
        ValueError: The strategy is not known, or a number is out of range.
        ShapeError: The shapes do not go together.
        TraceError: The scores have no values yet.

    Example:
        >>> scores = np.eye(3)[None, [1, 1, 0, 2]] * 9
        >>> fastnn.ops.ctc_decode(scores, [4])[0].numpy()
        array([[[ 1,  2, -1, -1]]], dtype=int32)
    """
    scores = np.asarray(value("ctc_decode", inputs), np.float32)
    lengths = np.asarray(value("ctc_decode", sequence_lengths)).astype(np.int64)
    if scores.ndim != 3 or lengths.shape != scores.shape[:1]:
        raise ShapeError(
            f"ctc_decode: scores of shape {scores.shape} and lengths of shape {lengths.shape}, "
            "wanted (batch, steps, classes) and (batch,)\n  hint: scores of every step"
        )
    _check_lengths("ctc_decode", "sequence_lengths", lengths, scores.shape[1], "steps")
    if strategy not in ("greedy", "beam_search"):
        raise ValueError(
            f"Invalid strategy {strategy}. Supported values are 'greedy' and 'beam_search'.\n"
            "  hint: strategy='greedy'"
        )
    classes = scores.shape[2]
    if not -classes <= mask_index < classes:
        raise ValueError(
            f"ctc_decode: mask_index={mask_index}, wanted a class from 0 to {classes - 1}\n"
            "  hint: mask_index=0"
        )
    if strategy == "greedy":
        return _greedy(scores, lengths, merge_repeated, mask_index % classes)
    if top_paths < 1 or beam_width < top_paths:
        raise ValueError(
            f"ctc_decode: top_paths={top_paths} of beam_width={beam_width}, wanted 1 or more, and "
            "no more than the beam holds\n  hint: top_paths=1, beam_width=100"
        )
    rows = [
        _beam(row[:n], beam_width, top_paths, mask_index % classes)
        for row, n in zip(scores, lengths.tolist(), strict=True)
    ]
    paths = np.full((top_paths, *scores.shape[:2]), -1, np.int32)
    chances = np.full((len(rows), top_paths), -np.inf, np.float32)
    for i, row in enumerate(rows):
        for j, (path, chance) in enumerate(row):
            paths[j, i, : len(path)], chances[i, j] = path, chance
    return tensor(paths), tensor(chances)


def _greedy(scores: TensorLike, lengths: Any, merge: bool, nothing: int) -> tuple[Tensor, Tensor]:
    said, largest = scores.argmax(-1), scores.max(-1)
    outside = np.arange(scores.shape[1])[None] >= lengths[:, None]
    said[outside] = nothing
    kept = said != nothing
    if merge:
        kept[:, 1:] &= said[:, 1:] != said[:, :-1]
    order = np.argsort(~kept, axis=1, kind="stable")
    labels = np.take_along_axis(np.where(kept, said, -1), order, 1)
    total = -np.where(outside, 0.0, largest).sum(1, keepdims=True)
    return tensor(labels[None]), tensor(total)


def _beam(
    scores: TensorLike, width: int, count: int, nothing: int
) -> list[tuple[tuple[int, ...], float]]:
    """The likeliest labellings of one sample, with the logarithms of their chances.

    A prefix has two chances: that it ends in nothing, and that it ends in its last class.
    """
    shifted = scores - scores.max(-1, keepdims=True, initial=-np.inf)
    logs = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    join, never = np.logaddexp, -np.inf
    beam: dict[tuple[int, ...], tuple[Any, Any]] = {(): (0.0, never)}
    for step in logs:
        found: dict[tuple[int, ...], list[Any]] = {}

        def add(path: tuple[int, ...], at: int, chance: Any, found: Any = found) -> None:
            entry = found.setdefault(path, [never, never])
            entry[at] = join(entry[at], chance)

        for path, (blank, same) in beam.items():
            both = join(blank, same)
            add(path, 0, both + step[nothing])
            if path:
                add(path, 1, same + step[path[-1]])
            for c in range(len(step)):
                if c != nothing:
                    last = blank if path and path[-1] == c else both
                    add((*path, c), 1, last + step[c])
        best = heapq.nlargest(width, found.items(), key=lambda e: join(*e[1]))
        beam = {path: (entry[0], entry[1]) for path, entry in best}
    ordered = sorted(beam.items(), key=lambda e: -join(*e[1]))[:count]
    return [(path, float(join(*entry))) for path, entry in ordered]


name_ops(globals())
