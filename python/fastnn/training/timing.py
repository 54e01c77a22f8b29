"""How long each layer of a model takes, one after another. Depends on `layers`, `tracing`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from fastnn._core import Tensor
from fastnn.base import tree
from fastnn.base.arguments import hints_arguments
from fastnn.errors import DataError
from fastnn.layers.base.call import as_tensors
from fastnn.layers.base.layer import Layer
from fastnn.tracing.call_context import CallContext, current_names
from fastnn.tracing.variables import Scope

__all__ = ["LayerTime", "layer_times"]


@dataclass(frozen=True)
class LayerTime:
    """When a layer was at work in one call of a model.

    Args:
        path: The layer's name after the names of the layers around it, joined by `/`.
        kind: The layer's class.
        start: Seconds after the call began.
        seconds: How long it took, layers inside included.

    Example:
        >>> fastnn.debug.LayerTime("m/dense", "Dense", 0.0, 0.001).seconds
        0.001
    """

    path: str
    kind: str
    start: float
    seconds: float


class _Clock(CallContext):
    """A call in which each layer's outputs are computed before the next one begins."""

    def __init__(self) -> None:
        super().__init__(False)
        self.begun = self.last = time.perf_counter()
        self.spans: list[tuple[str, str, float, float]] = []

    def called(self, layer: Any, args: tuple[Any, ...], outputs: Any) -> None:
        """Notes one call; layers inside have been noted before."""
        for x in tree.flatten(outputs):
            if isinstance(x, Tensor):
                x.numpy()
        now = time.perf_counter()
        path = "/".join([*current_names(), layer.name])
        within = [s for p, _, s, _ in self.spans if p.startswith(f"{path}/") and s >= self.begun]
        start = min(within, default=self.last)
        self.spans.append((path, type(layer).__name__, start, now))
        self.last = now


@hints_arguments
def layer_times(model: Any, x: Any, repeats: int = 5) -> list[LayerTime]:
    """How long each layer takes at inference, layers alone, the quickest of several calls.

    In a compiled run neighbours are fused, so a model takes less time than its layers together.

    Args:
        model: A model or layer.
        x: A batch of inputs.
        repeats: Calls of which the quickest is told, after one that warms up.

    Returns:
        One `LayerTime` a call of a layer, inner layers before outer ones.

    Raises:
        DataError: `model` is no layer.

    Example:
        >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)], name="m")
        >>> [t.kind for t in fastnn.debug.layer_times(model, np.ones((4, 2)))]
        ['Dense', 'Sequential']
    """
    if not isinstance(model, Layer):
        raise DataError(
            f"layer_times looks into layers and models, not {type(model).__name__}"
            "\n  hint: layer_times(model, x)"
        )
    if not isinstance(repeats, int) or repeats < 1:
        raise DataError(f"layer_times: repeats is {repeats!r}, wanted 1 or more\n  hint: repeats=5")
    given = as_tensors(x)
    if not model.built:
        model(given)  # makes the weights
    best: _Clock | None = None
    for _ in range(repeats + 1):
        with Scope(training=False), _Clock() as clock:
            Layer.__call__(model, given)
        total = clock.last - clock.begun
        if best is None or total < best.last - best.begun:
            best = clock
    assert best is not None
    return [LayerTime(p, k, s - best.begun, e - s) for p, k, s, e in best.spans]
