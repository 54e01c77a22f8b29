"""Dispatches that the core encodes: by the functions of the library that wgpu-py has loaded.

wgpu-py takes about five microseconds to encode a dispatch, the library itself one. The core calls
it by the addresses of its functions, with the handles that wgpu-py's objects hold. A mistake is no
exception on this way, so a program goes it only after it was encoded once by wgpu-py. Where the
library is another one, or declares a function otherwise, `recorded` gives None.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn import _core
from fastnn.base.caching import cached

__all__ = ["handle_of", "recorded"]

#: The functions with their results and arguments: p a pointer, v nothing, a number its bytes.
_FUNCTIONS = {
    "wgpuDeviceCreateCommandEncoder": "p pp",
    "wgpuCommandEncoderBeginComputePass": "p pp",
    "wgpuComputePassEncoderSetPipeline": "v pp",
    "wgpuComputePassEncoderSetBindGroup": "v p4p8p",
    "wgpuComputePassEncoderDispatchWorkgroups": "v p444",
    "wgpuComputePassEncoderEnd": "v p",
    "wgpuCommandEncoderCopyBufferToBuffer": "v pp8p88",
    "wgpuCommandEncoderFinish": "p pp",
    "wgpuQueueSubmit": "v p8p",
    "wgpuComputePassEncoderRelease": "v p",
    "wgpuCommandEncoderRelease": "v p",
    "wgpuCommandBufferRelease": "v p",
}


@cached()
def _addresses() -> dict[str, int] | None:
    """The addresses of the functions, if all are there and declared as the core calls them."""
    try:
        from wgpu.backends.wgpu_native._ffi import ffi, lib

        found = {}
        for name, wanted in _FUNCTIONS.items():
            kind = ffi.typeof(getattr(lib, name))
            signature = f"{_letter(ffi, kind.result)} {''.join(_letter(ffi, a) for a in kind.args)}"
            if signature != wanted:
                return None
            found[name] = int(ffi.cast("uintptr_t", ffi.addressof(lib, name)))
    except (ImportError, AttributeError, TypeError, ValueError):
        return None
    return found


def _letter(ffi: Any, kind: Any) -> str:
    if kind.kind == "pointer":
        return "p"
    return "v" if kind.kind == "void" else str(ffi.sizeof(kind))


def handle_of(thing: Any) -> int:
    """The handle of an object of wgpu-py's, as a number."""
    from wgpu.backends.wgpu_native._ffi import ffi

    return int(ffi.cast("uintptr_t", thing._internal))


def recorded(
    device: Any, steps: Sequence[tuple[Any, Any, int, int, int]], copies: Sequence[Any]
) -> _core.GpuRecording | None:
    """The steps and copies of a program as the core encodes them; None where it cannot."""
    functions = _addresses()
    if functions is None:
        return None
    try:
        return _core.GpuRecording(
            functions, handle_of(device), handle_of(device.queue),
            [(handle_of(p), handle_of(g), x, y, z) for p, g, x, y, z in steps],
            [(handle_of(a), handle_of(b), size) for a, b, size in copies],
            (device, list(steps), list(copies)),
        )  # fmt: skip
    except (AttributeError, TypeError):
        return None
