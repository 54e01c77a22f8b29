"""What a program needs of a GPU's memory, for people. Depends on `gpu`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from fastnn import _core, config
from fastnn.devices.gpu import size_text
from fastnn.dtype_policies import MIXED

__all__ = ["between_steps", "needs", "planned"]

#: What the buffers of a program hold, by role.
_ROLES = {
    "slot": "values between steps", "state": "weights and other state", "input": "the batch",
    "scratch": "workspace", "output": "results",
}  # fmt: skip


def planned(
    function: _core.Function,
    shapes: Sequence[Sequence[int]],
    limits: dict[str, int],
    between: str | None,
) -> dict[str, Any]:
    """The program of a function for inputs of these shapes, as plain data.

    Args:
        function: The function.
        shapes: Of its inputs.
        limits: Of the adapter, as `Gpu.limits` has them.
        between: The type of activations between steps where that is one of two bytes.
    """
    made: dict[str, Any] = json.loads(
        _core.gpu_program(function, [list(s) for s in shapes], limits, between)
    )
    return made


def between_steps() -> str | None:
    """The type of activations between steps that `config.set_dtype_policy` asks for."""
    name: str = config.dtype_policy().name
    return name.removeprefix("mixed_") if name in MIXED else None


def needs(program: dict[str, Any]) -> str:
    """What a program needs, part by part."""
    held = program.get("memory", {})
    return ", ".join(
        f"{size_text(held[role])} for {what}" for role, what in _ROLES.items() if held.get(role)
    )
