"""What losses and metrics want as targets, said once by each function or class, and its check.

Targets whose values are known are checked: DataError. In a trace of the caller's, where they are
not, the numbers of rows that would be refused become NaN instead of passing for good ones.
Depends on `ops`, `labels`.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from fastnn import _core, ops
from fastnn.base.typing import TensorLike
from fastnn.config import are_targets_checked
from fastnn.data.labels import (
    ABOUT,
    RANGES,
    check_class_numbers,
    check_one_hot,
    check_probabilities,
    check_range,
    check_whole,
    in_range,
    known_values,
)
from fastnn.tracing.call_context import mask_of, set_mask

__all__ = [
    "Targets", "classes_of", "feeding", "guarded", "is_fed", "labels_are_checked", "out_of_range",
    "targets_of", "wants",
]  # fmt: skip

_c = _core.ops
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Targets:
    """A kind of targets: `"number"` (of a class), `"share"` (rows that add up to 1), `"whole"`
    (any whole numbers), or one of `labels.RANGES`.

    Args:
        kind: The kind.
        who: What wants them, in messages.
        axis: The axis of the classes.
        ignore: A class number that stands for no class.
    """

    kind: str
    who: str
    axis: int = -1
    ignore: int | None = None

    def check(
        self, labels: TensorLike, classes: int | None, what: str = "y", weights: Any = None
    ) -> None:
        """DataError when an array of labels holds other targets, but in rows of weight 0."""
        if self.kind == "number":
            check_class_numbers(labels, classes, what, "the model", self.ignore, weights)
        elif self.kind == "whole":
            check_whole(labels, what)
        elif self.kind == "share":
            check_one_hot(labels, what, weights, self.axis, self.who)
        else:
            # Whether labels are 0 and 1 or -1 and 1, all rows of a batch say.
            weights = None if self.kind == "sign" else weights
            check_range(self.kind, labels, self.who, what, weights)

    def inside(self, y: TensorLike, classes: Any) -> Any:
        """Where targets of a trace are as wanted, in the shape that is left of them; None: not
        asked.
        """
        if self.kind == "share" and ops.ndim(y):
            return _is_share(ops.convert_to_tensor(y, "float32"), self.axis)
        if self.kind in RANGES:
            y = ops.convert_to_tensor(y, "float32")
            return in_range(self.kind, y, ops.logical_and, ops.logical_or)
        if self.kind == "number" and classes is not None:
            y = ops.cast(y, "int32")
            within = ops.logical_and(y >= 0, y < classes)
            return within if self.ignore is None else (
                ops.logical_or(within, ops.equal(y, self.ignore))
            )  # fmt: skip
        return None

    def marked(self, values: TensorLike, y: TensorLike, classes: Any, shares: Any = ()) -> Any:
        """Values of a trace, NaN where the target is not as wanted and no share of it is 0."""
        inside = self.inside(y, classes)
        if inside is None:
            return values
        if ops.ndim(inside) == ops.ndim(values) + 1 and inside.shape[-1] == 1:
            inside = ops.squeeze(inside, -1)
        for share in shares if self.kind != "sign" else ():
            share = ops.cast(share, "float32")
            if ops.ndim(share) > ops.ndim(inside) and share.shape[-1] == 1:
                share = ops.squeeze(share, -1)
            while ops.ndim(share) < ops.ndim(inside):
                share = ops.expand_dims(share, axis=-1)
            inside = ops.logical_or(inside, ops.equal(share, 0.0))
        if ops.ndim(inside) > ops.ndim(values):
            kept = 0 if self.axis not in (-1, ops.ndim(inside) - 1) else ops.ndim(values)
            inside = ops.all(inside, axis=list(range(kept, ops.ndim(inside))))
        return _c.where(inside, values, math.nan)


def wants(kind: str, axis: int = -1) -> Callable[[F], F]:
    """Says what a function of (y_true, y_pred, …) wants as y_true, and checks it.

    Its arguments `axis` and `ignore_class`, where it has them, are looked at.
    """

    def decorate(fn: F) -> F:
        names = list(inspect.signature(fn).parameters)
        places = {n: names.index(n) for n in _SETTINGS if n in names}
        plain = Targets(kind, fn.__name__, axis)

        @functools.wraps(fn)
        def checked(*args: Any, **kwargs: Any) -> Any:
            if getattr(_local, "checked", False) or len(args) < 2:
                return fn(*args, **kwargs)
            own = {n: kwargs.get(n, args[i] if i < len(args) else None) for n, i in places.items()}
            targets = _with(plain, own)
            with labels_are_checked(True):
                values = fn(*args, **kwargs)
            return guarded(targets, values, *args[:2])

        checked._targets = plain  # type: ignore[attr-defined]
        return checked  # type: ignore[return-value]

    return decorate


def _is_share(y: TensorLike, axis: int) -> Any:
    """Which rows of a trace `check_one_hot` would take."""
    total = ops.sum(y, axis=axis)
    marks = ops.all(ops.logical_or(ops.equal(y, 0.0), ops.equal(y, 1.0)), axis=axis)
    several = ops.logical_and(marks, total > 1.0)
    single = ops.equal(ops.count_nonzero(y, axis=axis), 1)
    one = ops.abs(total - 1.0) <= ABOUT
    fine = ops.logical_or(single, ops.logical_and(one, ops.min(y, axis=axis) >= 0.0))
    fine = ops.logical_or(fine, several)
    empty = ops.logical_not(ops.any(ops.cast(y, "bool"), axis=axis))
    if ops.ndim(y) > 2:
        return ops.logical_or(fine, empty)
    weighted = ops.any(ops.logical_or(ops.logical_and(single, ops.logical_not(one)), several))
    return ops.logical_or(fine, ops.logical_and(empty, weighted))


#: Arguments of losses and metrics that change what they want.
_SETTINGS = ("axis", "ignore_class", "from_sorted_ids")


def _with(targets: Targets, settings: Any) -> Targets:
    axis, ignore, by_id = (settings.get(n) for n in _SETTINGS)
    if axis is None and ignore is None and not by_id:
        return targets
    # Several axes stand for some that no class lies along; ids do not say how many classes are.
    axis = targets.axis if axis is None else axis if isinstance(axis, int) else 0
    return Targets("whole" if by_id else targets.kind, targets.who, axis, ignore)


def targets_of(thing: Any) -> Targets | None:
    """What a loss, a metric or their function wants as targets; None: anything."""
    own = getattr(thing, "_targets", None)
    if own is not None:
        return own
    fn = getattr(thing, "fn", None)
    if not callable(fn):  # in a metric of the user's, `fn` may well count the false negatives
        fn = getattr(thing, "_fn", None)
    found = getattr(fn, "_targets", None)
    if found is None:
        return None
    return _with(found, getattr(thing, "_fn_kwargs", {}))


def classes_of(y_pred: TensorLike, targets: Targets | None) -> int | None:
    """How many classes predictions have, None where only the data will say."""
    size = _size(y_pred, targets)
    return size if isinstance(size, int) else None


def _size(y_pred: TensorLike, targets: Targets | None) -> Any:
    if targets is None or targets.kind != "number" or not ops.ndim(y_pred):
        return None
    return y_pred.shape[targets.axis]


def guarded(
    targets: Targets | None,
    values: TensorLike,
    y: TensorLike,
    y_pred: TensorLike,
    weights: Any = None,
    mask: TensorLike = None,
) -> Any:
    """Values that came of targets which are checked here, or marked where they are not known.

    Shapes shall have been checked before, as their message says more.
    """
    if targets is None or getattr(_local, "checked", False):
        return values
    if targets.kind != "number" and not are_targets_checked():
        return values
    known = known_values(y)
    y_pred = y_pred if hasattr(y_pred, "shape") else ops.convert_to_tensor(y_pred)
    if known is None:
        shares = [v for v in (weights, mask) if v is not None]
        marked = targets.marked(values, y, _size(y_pred, targets), shares)
        set_mask(marked, mask_of(values))
        return marked
    weights, mask = known_values(weights), known_values(mask)
    if weights is not None and mask is not None:
        while weights.ndim < mask.ndim:
            weights = weights[..., None]
        weights = weights * mask
    targets.check(known, classes_of(y_pred, targets), "y", mask if weights is None else weights)
    return values


def out_of_range(y_pred: TensorLike, who: str, hint: str = "") -> Any:
    """DataError for predictions outside 0 to 1; in a trace 0, or NaN where some are; else None."""
    if not are_targets_checked():
        return None
    known = known_values(y_pred)
    if known is None:
        inside = ops.logical_and(ops.min(y_pred) >= -1e-5, ops.max(y_pred) <= 1.0 + 1e-5)
        return _c.where(inside, 0.0, math.nan)
    check_probabilities(known, who, hint=hint)
    return None


_local = threading.local()


@contextlib.contextmanager
def feeding(targets: list[Any]) -> Iterator[set[Any]]:
    """While a step is traced that is fed these targets: what `is_fed` was asked of them.

    Who gets a target as it was fed can have it checked before each run, by its values.
    """
    before = getattr(_local, "fed", None)
    _local.fed = (targets, found := set[Any]())
    try:
        yield found
    finally:
        _local.fed = before


def is_fed(target: Any, who: Any) -> bool:
    """Whether a target in a trace is one that the step is fed; `who` gets it checked then."""
    fed, found = getattr(_local, "fed", None) or ((), set())
    if not any(target is t for t in fed):
        return False
    found.add(who)
    return True


@contextlib.contextmanager
def labels_are_checked(checked: bool) -> Iterator[None]:
    """While targets are checked elsewhere: before each run of a step that is traced, or by a
    caller who knows the weights.
    """
    before = getattr(_local, "checked", False)
    _local.checked = checked
    try:
        yield
    finally:
        _local.checked = before
