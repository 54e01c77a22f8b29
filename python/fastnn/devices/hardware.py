"""The adapters of this machine, and what they can do; the one module that imports wgpu.

wgpu is imported when a device other than the CPU is asked for. Depends on `errors`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from fastnn.base.arguments import hints_arguments
from fastnn.errors import GpuUnavailableError

__all__ = ["ON_CPU", "Adapter", "adapters", "limits_of", "wgpu"]

#: How to compute on the CPU what a device refuses, for hints.
ON_CPU = "with fastnn.device('cpu'), or compile(device='cpu')"

#: The fields of the core's limits, and what WebGPU calls them.
_LIMITS = {
    "storage_buffers": "max-storage-buffers-per-shader-stage",
    "workgroup_bytes": "max-compute-workgroup-storage-size",
    "workgroup_invocations": "max-compute-invocations-per-workgroup",
    "grid": "max-compute-workgroups-per-dimension",
    "binding_bytes": "max-storage-buffer-binding-size",
    "buffer_bytes": "max-buffer-size",
    "alignment": "min-storage-buffer-offset-alignment",
}
#: More than these would only split adapters into kinds that see different programs.
_ENOUGH = {"storage_buffers": 16, "workgroup_bytes": 32_768, "workgroup_invocations": 256}

_loaded: Any = None
_found: list[Adapter] | None = None
#: The process that looked: a driver does not outlive a fork.
_pid = 0


@dataclass(frozen=True)
class Adapter:
    """An adapter, as `fastnn info` prints it.

    Args:
        device: What `fastnn.device` calls it.
        name: Its name, as the driver gives it.
        kind: `DiscreteGPU`, `IntegratedGPU`, `CPU` for a software driver, or what wgpu says.
        api: `Vulkan`, `Metal` or `D3D12`.
        driver: The driver and its version.
        limits: What the planner asks of it, by the names of the core's limits; bytes and counts.
        features: Names of optional features of WebGPU.
        handle: The object of wgpu.

    Example:
        >>> from fastnn.devices import Adapter
        >>> Adapter("gpu:0", "a card", "DiscreteGPU", "Vulkan", "1.0", {}, (), None).is_software
        False
    """

    device: str
    name: str
    kind: str
    api: str
    driver: str
    limits: dict[str, int]
    features: tuple[str, ...]
    handle: Any

    @property
    def is_software(self) -> bool:
        """Whether it is a program on the CPU, slower than fastnn's own."""
        return self.kind == "CPU"


def wgpu() -> Any:
    """The module wgpu.

    Returns:
        The module, loaded once.

    Raises:
        GpuUnavailableError: It is not installed, or its library does not load.
    """
    global _loaded
    if _loaded is None:
        try:
            import wgpu as module
        except ImportError as error:
            raise GpuUnavailableError(
                f"a GPU needs the package wgpu, which cannot be imported: {error}\n"
                "  hint: pip install 'fastnn-rs[gpu]'"
            ) from error
        except Exception as error:
            raise GpuUnavailableError(
                f"wgpu's library does not load: {error}\n"
                "  hint: pip install --force-reinstall 'fastnn-rs[gpu]'"
            ) from error
        _loaded = module
    return _loaded


@hints_arguments
def adapters() -> list[Adapter]:
    """The adapters that wgpu sees, those of a card first; `gpu:0` is the first.

    One card that answers under several interfaces is listed once.

    Returns:
        A list, empty where there is no driver.

    Raises:
        GpuUnavailableError: wgpu is not installed, or the process is a fork of one that used a GPU.

    Example:
        >>> adapters = fastnn.devices.adapters()  # doctest: +SKIP
        >>> adapters[0].device, adapters[0].is_software  # doctest: +SKIP
        ('gpu:0', False)
    """
    global _found, _pid
    module = wgpu()
    if _found is not None and _pid != os.getpid():
        raise GpuUnavailableError(
            "this process is a fork of one that used a GPU, whose driver does not survive that\n"
            "  hint: multiprocessing.get_context('spawn'), or use the GPU after the fork only"
        )
    if _found is None:
        try:
            handles = module.gpu.enumerate_adapters_sync()
        except Exception as error:
            raise GpuUnavailableError(
                f"wgpu cannot list the adapters: {error}\n  hint: fastnn.set_device('cpu')"
            ) from error
        _found, _pid = _listed(handles), os.getpid()
    return _found


def _listed(handles: Any) -> list[Adapter]:
    """Adapters with compute shaders: cards first, one entry for each device."""
    order = {"DiscreteGPU": 0, "IntegratedGPU": 1, "CPU": 3}
    apis = {"Vulkan": 0, "Metal": 0, "D3D12": 1}
    rows = []
    for at, handle in enumerate(handles):
        info = handle.info
        kind, api = str(info.get("adapter_type")), str(info.get("backend_type"))
        # OpenGL lacks what the kernels need, and its devices are there under Vulkan as well.
        if api in apis and limits_of(handle)["storage_buffers"] >= 8:
            rows.append((order.get(kind, 2), apis[api], at, kind, api, info, handle))
    rows.sort(key=lambda row: row[:3])
    found: list[Adapter] = []
    seen: dict[tuple[Any, ...], set[str]] = {}
    for *_, kind, api, info, handle in rows:
        name = str(info.get("device", ""))
        others = seen.setdefault((info.get("vendor_id"), info.get("device_id"), name), set())
        if others and api not in others:
            continue
        others.add(api)
        driver = str(info.get("description", ""))
        limits, features = limits_of(handle), tuple(sorted(handle.features))
        number = f"gpu:{len(found)}"
        found.append(Adapter(number, name, kind, api, driver, limits, features, handle))
    return found


def limits_of(handle: Any) -> dict[str, int]:
    """What the planner may use of an adapter of wgpu, by the names of the core's limits."""
    given = handle.limits
    found = {field: int(given[name]) for field, name in _LIMITS.items()}
    for field, most in _ENOUGH.items():
        found[field] = min(found[field], most)
    # Programs address bytes of a binding by numbers of 31 bits, elements of a buffer by 32.
    found["binding_bytes"] = min(found["binding_bytes"], found["buffer_bytes"], 2**31 - 4)
    found["buffer_bytes"] = min(found["buffer_bytes"], 2**34 - 4)
    found["alignment"] = max(found["alignment"], 256)
    return found
