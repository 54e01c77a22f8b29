"""What a model needs of a GPU's memory, before it runs there. Depends on `devices`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.base import tree
from fastnn.devices import choice
from fastnn.errors import DeviceError, FastnnError, told

__all__ = ["device_memory"]


def device_memory(model: Any, device: str, x: Any) -> list[str]:
    """Lines on what predictions and steps of training need for a batch such as `x`.

    Args:
        model: A model with known inputs.
        device: A GPU's name.
        x: Zeros for its inputs, with the rows of a batch.

    Returns:
        Lines of text.

    Raises:
        GpuUnavailableError: There is no such adapter.
    """
    name = choice.parsed(device)
    if name == choice.CPU:
        raise ValueError("summary: device is 'cpu', wanted a GPU\n  hint: device='gpu'")
    choice.look_for(name)
    from fastnn.devices.gpu import opened, size_text
    from fastnn.devices.memory import between_steps, needs, planned

    gpu = opened(name)

    def line(what: str, make: Callable[[], tuple[Any, list[Any]]]) -> str:
        try:
            function, arrays = make()
            shapes = [a.shape for a in arrays]
            program = planned(function, shapes, gpu.limits, between_steps())
        except FastnnError as error:
            return f"   {what}: {told(error)}"
        return f"   {what}: {size_text(sum(program['memory'].values()))} ({needs(program)})"

    leaves = tree.flatten(x)
    lines = [line("predict", lambda: (model._predict_function(x)[0], leaves))]
    if model.compiled:
        lines.append(line("fit", lambda: _step(model, x)))
    return [f" Memory on {gpu.name} ({gpu.adapter.name}) for {len(leaves[0])} rows:", *lines]


def _step(model: Any, x: Any) -> tuple[Any, list[Any]]:
    """A step of training on zeros, and its arrays."""
    known = model._predict_function(x)[1]
    rows = len(tree.flatten(x)[0])
    shapes = [(rows, *out.shape[1:]) for out in tree.flatten(known)]
    for make in (lambda s: np.zeros(s, np.float32), lambda s: np.zeros(s[:-1], np.int32)):
        y = tree.pack(known, [make(s) for s in shapes])
        data = (x, y, None)
        arrays = [a for part in data for a in tree.flatten(part)]
        try:
            return model._trace_step("train", data, [a.shape[1:] for a in arrays])[0], arrays
        except (FastnnError, TypeError, ValueError):
            continue
    raise DeviceError(
        "not known before a first fit, whose targets its loss needs\n  hint: fit on a few rows"
    )
