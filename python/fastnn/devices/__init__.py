"""Where models compute: the CPU, or a GPU through wgpu (Vulkan, Metal, DX12).

The modules, lower ones first: `choice` (the device of a process, a block, a model), `hardware` (the
adapters; alone imports wgpu), `cache` and `speeds` (what was measured on this machine), `gpu`
(memory, kernels, submissions, errors), `cells`, `executor` (a program of the planner), `resident`
(variables there), `functions`, `data`, `loop` (epochs), `crossover` (from which size on a GPU is
worth it), `tuning` (fast tiles). wgpu is imported when a GPU is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn.base.absent import answer_missing
from fastnn.devices.choice import device, get_device, set_device

if TYPE_CHECKING:
    from fastnn.devices.hardware import Adapter, adapters
    from fastnn.devices.tuning import tune

__all__ = ["Adapter", "adapters", "device", "get_device", "set_device", "tune"]

_HARDWARE = "fastnn.devices.hardware"
answer_missing(
    globals(),
    homes={"Adapter": _HARDWARE, "adapters": _HARDWARE, "tune": "fastnn.devices.tuning"},
)
