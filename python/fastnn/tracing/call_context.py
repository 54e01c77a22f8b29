"""What the layer calls of a thread share: the training flag, masks, and the names on the way.

Depends on `base`.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from fastnn._core import Tensor
from fastnn.base import tree

__all__ = [
    "CallContext",
    "NameScope",
    "current_call",
    "current_names",
    "hidden_masks",
    "mask_of",
    "masked",
    "set_mask",
    "without_own_name",
]

_local = threading.local()


class CallContext:
    """What nested calls share: the training flag, and masks that hold in them only."""

    def __init__(self, training: bool | None = None) -> None:
        self.training = training
        #: How many layers deep the present call is.
        self.depth = 0
        #: Masks that count here in place of the tensors' own, by the tensors' ids.
        self.masks: dict[int, tuple[Any, Any]] = {}
        #: What layers keep while the outermost call lasts: the dropout masks of a sequence.
        self.kept: dict[Any, Any] = {}
        #: The inputs of the trace that the calls belong to.
        self.feeds: list[Any] = []
        self._outer: CallContext | None = None

    def __enter__(self) -> Self:
        self._outer = getattr(_local, "call", None)
        _local.call = self
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _local.call = self._outer

    def called(self, layer: Any, args: tuple[Any, ...], outputs: Any) -> None:
        """Told of every layer that has been called; `fastnn.debug` notes them here."""


def current_call() -> CallContext | None:
    """The context of the layer call this thread is in."""
    return getattr(_local, "call", None)


def mask_of(tensor: Any) -> Any:
    """The mask that a layer attached to a tensor, or None."""
    context = current_call()
    entry = None if context is None else context.masks.get(id(tensor))
    if entry is not None:
        return entry[1]
    return getattr(tensor, "_keras_mask", None) if isinstance(tensor, Tensor) else None


def set_mask(tensor: Any, mask: Any) -> None:
    """Attaches a mask to a tensor that this call has made."""
    holder: Any = tensor
    if isinstance(tensor, Tensor):
        holder._keras_mask = mask


@contextlib.contextmanager
def hidden_masks(tensors: list[Any]) -> Iterator[None]:
    """Inside, these tensors have no masks: who calls layers on them has taken care of them."""
    with _these_masks([(x, None) for x in tensors]):
        yield


@contextlib.contextmanager
def _these_masks(pairs: list[tuple[Any, Any]], training: Any = None) -> Iterator[None]:
    # Noted in the call and not in the tensors, which other threads may use at the same time.
    context = current_call()
    with contextlib.nullcontext(context) if context is not None else CallContext(training) as made:
        before = made.masks
        made.masks = {**before, **{id(x): (x, m) for x, m in pairs}}
        try:
            yield
        finally:
            made.masks = before


@contextlib.contextmanager
def masked(inputs: list[Any], mask: Any, training: Any = None) -> Iterator[None]:
    """A call in which inputs have the masks given with them, if any.

    ValueError when there are more or fewer masks than inputs.
    """
    masks = tree.flatten(mask)
    if all(m is None for m in masks):
        yield
        return
    if len(masks) != len(inputs):
        raise ValueError(
            f"`mask` holds {len(masks)} masks, the model has {len(inputs)} inputs\n"
            "  hint: one mask for each input, None where there is none"
        )
    given = [(x, m) for x, m in zip(inputs, masks, strict=True) if m is not None]
    with _these_masks(given, training):
        yield


class NameScope:
    """Prefixes the paths of weights that are made inside.

    Args:
        name: The prefix.

    Example:
        >>> with fastnn.backend.name_scope("encoder"):
        ...     layer = fastnn.layers.Dense(1, name="dense")
        ...     y = layer(np.ones((1, 2)))
        >>> layer.weights[0].path
        'encoder/dense/kernel'
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        if not hasattr(_local, "names"):
            _local.names = []
        _local.names.append(self.name)

    def __exit__(self, *_: object) -> None:
        _local.names.pop()


def current_names() -> list[str]:
    """The names of the layers that are being called, the outermost first."""
    return getattr(_local, "names", None) or []


@contextlib.contextmanager
def without_own_name(name: str) -> Iterator[None]:
    """For a `build` that calls its layer: the call puts the name into paths again."""
    names = current_names()
    own = names[-1:] == [name]
    if own:
        names.pop()
    try:
        yield
    finally:
        if own:
            names.append(name)
