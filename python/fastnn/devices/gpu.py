"""An opened GPU: its buffers, transfers and submissions, and its errors as fastnn's.

wgpu's library ends the process on an error inside a submission, so a command buffer is made,
checked and submitted in one function, once, and buffers live as long as what binds them.
Depends on `away`, `hardware`, `speeds`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from fastnn.devices.hardware import ON_CPU, Adapter, adapters, wgpu
from fastnn.devices.speeds import kept_speeds, prefixed
from fastnn.errors import (
    DeviceError,
    GpuDeviceLostError,
    GpuInternalError,
    GpuOutOfMemoryError,
    GpuUnavailableError,
)
from fastnn.tracing import away

__all__ = ["Gpu", "opened", "size_text"]

#: The feature of adapters whose kernels bind elements of two bytes.
_HALVES = "shader-f16"

#: Bytes of a memory to read from that are kept for the next reading.
_STAGED = 64 << 20

_opened: dict[str, Gpu] = {}
_lock = threading.Lock()


def opened(name: str) -> Gpu:
    """The GPU of a name such as `gpu:0`, opened once in a process.

    Args:
        name: The name, as `fastnn.devices.adapters` has it.

    Returns:
        The GPU.

    Raises:
        GpuUnavailableError: There is none, or this process is a fork of one that used it.
        GpuDeviceLostError: It was lost before, and does not come back.
    """
    with _lock:
        found = adapters()
        gpu = _opened.get(name)
        if gpu is not None and gpu.is_lost and gpu.holds_values:
            raise gpu._loss()  # once, before the next one is opened
        if gpu is None or gpu.is_lost:
            named = {a.device: a for a in found}
            if name not in named:
                raise GpuUnavailableError(_missing(name, found))
            gpu = _opened[name] = Gpu(named[name])
        return gpu


def _missing(name: str, found: list[Adapter]) -> str:
    if found:
        seen = "; ".join(f"{a.device} is {a.name} ({a.api})" for a in found)
        return f"there is no {name}: {seen}\n  hint: one of these, or 'cpu'"
    return (
        f"there is no {name}: wgpu sees no adapter for Vulkan, Metal or DX12\n"
        "  hint: is the card's driver installed, with its Vulkan part (vulkaninfo lists it)? A "
        "container needs the driver's graphics capability (NVIDIA_DRIVER_CAPABILITIES=all); "
        "without a card: set_device('cpu')"
    )


class _Watch(logging.Handler):
    """Hears from wgpu's log that a device was lost, which no call tells."""

    def __init__(self, gpu: Gpu) -> None:
        super().__init__(logging.ERROR)
        self.gpu = gpu

    def emit(self, record: logging.LogRecord) -> None:
        """Notes the loss."""
        text = record.getMessage()
        if "lost" in text.lower() and "device" in text.lower() and not self.gpu.is_closed:
            self.gpu.lost = self.gpu.lost or text.strip()


class Gpu:
    """One device: memory, kernels, submissions."""

    name: str
    limits: dict[str, int]
    module: Any
    pid: int
    lost: str
    bytes: int
    device: Any
    lock: Any

    def __init__(self, adapter: Adapter) -> None:
        self.adapter = adapter
        self.name = adapter.device
        #: What the planner may use, with how fast tiles are where `fastnn gpu tune` measured it.
        self.limits = {**adapter.limits, **prefixed(kept_speeds(adapter))}
        features = [name for name in (_HALVES,) if name in adapter.features]
        self.limits["halves"] = len(features)
        self.module = wgpu()
        self.pid = os.getpid()
        #: What was said when the device was lost; empty while it is there.
        self.lost = ""
        self.is_closed = False
        #: Bytes that buffers hold.
        self.bytes = 0
        #: Pipelines by text and layouts by uses of the bindings.
        self._kernels: dict[tuple[str, tuple[str, ...]], Any] = {}
        self._layouts: dict[tuple[str, ...], Any] = {}
        self._staging: Any = None
        self.lock = threading.RLock()
        #: The variables that live here (`resident`).
        self.residence: Any = None
        self._watch = _Watch(self)
        logging.getLogger("wgpu").addHandler(self._watch)
        try:
            self.device = adapter.handle.request_device_sync(
                label="fastnn", required_features=features, required_limits=_wanted(adapter)
            )
        except Exception as error:
            logging.getLogger("wgpu").removeHandler(self._watch)
            raise GpuUnavailableError(
                f"{adapter.name} cannot be opened: {error}\n"
                "  hint: another program may hold it; fastnn.set_device('cpu') runs without"
            ) from error
        if adapter.is_software and not os.environ.get("FASTNN_SOFTWARE_GPU"):
            warnings.warn(
                f"{adapter.device} is {adapter.name}, a driver that runs on the CPU and is slower "
                "than fastnn's own kernels there. It serves for tests; set FASTNN_SOFTWARE_GPU=1 "
                "to say so.",
                stacklevel=5,
            )

    @property
    def is_lost(self) -> bool:
        """Whether the device has stopped answering."""
        return bool(self.lost)

    @property
    def holds_values(self) -> bool:
        """Whether there are variables whose newest values only this device has."""
        return any(cell.residence is self.residence for cell in list(away.held.values()))

    def check(self) -> None:
        """Raises where the device is lost, or belongs to the parent of this process."""
        if os.getpid() != self.pid:
            raise GpuUnavailableError(
                f"this process is a fork of one that used {self.name}, whose driver does not "
                "survive that\n  hint: multiprocessing.get_context('spawn')"
            )
        if self.lost:
            raise self._loss()

    def _loss(self) -> GpuDeviceLostError:
        if self.residence is not None:
            self.residence.forget()
        return GpuDeviceLostError(
            f"{self.name} ({self.adapter.name}) was lost: {' '.join(self.lost.split())}\n"
            "  hint: weights are those of the last epoch that ended, or that were last read "
            "together; run again, or on 'cpu'"
        )

    @contextlib.contextmanager
    def guarded(self, what: str) -> Iterator[None]:
        """Inside, what wgpu raises becomes fastnn's error about `what`."""
        self.check()
        try:
            yield
        except (DeviceError, KeyboardInterrupt):
            raise
        except (self.module.GPUError, RuntimeError, MemoryError) as error:
            raise self._translated(error, what) from error
        if self.lost:
            raise self._loss()

    def _translated(self, error: Exception, what: str) -> DeviceError:
        text = str(error).strip()
        low = text.lower()
        if self.lost or "device is lost" in low or "device lost" in low:
            self.lost = self.lost or text
            return self._loss()
        if isinstance(error, MemoryError) or "not enough memory" in low or "out of memory" in low:
            return GpuOutOfMemoryError(
                f"{self.name} has no memory left for {what}; {size_text(self.bytes)} are in use\n"
                f"  hint: a smaller batch_size, a smaller model; or {ON_CPU}"
            )
        version = getattr(self.module, "__version__", "?")
        return GpuInternalError(
            f"{self.name} refused {what} (wgpu {version}, {self.adapter.driver}): {text}\n"
            f"  hint: {ON_CPU}; please report this message"
        )

    # ---- memory --------------------------------------------------------------------------------

    def buffer(self, size: int, what: str) -> Any:
        """A buffer of `size` bytes, zero, which dispatches and copies read and write.

        Args:
            size: Bytes, a multiple of 4.
            what: What it holds, for messages.

        Returns:
            A buffer of wgpu. Its memory goes with the last reference.
        """
        if size > self.limits["buffer_bytes"]:
            most = size_text(self.limits["buffer_bytes"])
            raise GpuOutOfMemoryError(
                f"{what} has {size_text(size)}, {self.name} has buffers of {most}"
                f" at most\n  hint: a smaller batch_size; or {ON_CPU}"
            )
        usage = self.module.BufferUsage
        with self.guarded(f"{size_text(size)} for {what}"):
            made = self.device.create_buffer(
                size=size, usage=usage.STORAGE | usage.COPY_SRC | usage.COPY_DST
            )
        self.bytes += size
        return made

    def release(self, size: int) -> None:
        """Notes that buffers of `size` bytes have no references any more."""
        self.bytes -= size

    def write(self, buffer: Any, data: np.ndarray[Any, Any], offset: int = 0) -> None:
        """Copies a contiguous array into a buffer, before what is submitted later."""
        with self.guarded(f"an upload of {size_text(data.nbytes)}"):
            self.device.queue.write_buffer(buffer, offset, data.reshape(-1).view(np.uint8).data)

    def read(self, parts: Sequence[tuple[Any, int, int]]) -> list[np.ndarray[Any, Any]]:
        """The bytes of parts of buffers, all of one moment, after all that was submitted.

        Args:
            parts: Buffers, each with an offset and a length in bytes, multiples of 4.

        Returns:
            An array of uint32 for each.
        """
        starts, total = [], 0
        for _, _, size in parts:
            starts.append(total)
            total += -(-size // 8) * 8
        if not total:
            return [np.zeros(0, np.uint32) for _ in parts]
        with self.lock, self.guarded(f"a download of {size_text(total)}"):
            # An interruption may leave it mapped, and a submission that names it then would end the
            # process: so it is kept again only when all went well.
            staging, self._staging = self._staging, None
            if staging is None or staging.size < total:
                usage = self.module.BufferUsage
                room = max(1 << 16, 1 << (total - 1).bit_length())
                room = room if room <= _STAGED else total
                staging = self.device.create_buffer(
                    size=room, usage=usage.MAP_READ | usage.COPY_DST
                )

            def copies(encoder: Any) -> None:
                for (buffer, offset, size), start in zip(parts, starts, strict=True):
                    if size:
                        encoder.copy_buffer_to_buffer(buffer, offset, staging, start, size)

            self.submit(copies)
            staging.map_sync("READ", 0, total)
            # A view of the mapped memory would die with it.
            held = np.frombuffer(staging.read_mapped(0, total), np.uint32).copy()
            staging.unmap()
            if staging.size <= _STAGED:
                self._staging = staging
        return [
            held[start // 4 : (start + size) // 4]
            for start, (_, _, size) in zip(starts, parts, strict=True)
        ]

    def wait(self) -> None:
        """Returns when all that was submitted is done."""
        with self.guarded("a wait"):
            poll = getattr(self.device, "_poll_wait", None)
            if poll is not None:
                poll()
            else:
                self.read([(self._mark(), 0, 4)])

    def _mark(self) -> Any:
        if getattr(self, "_word", None) is None:
            self._word = self.buffer(4, "a mark")
        return self._word

    # ---- kernels and submissions ---------------------------------------------------------------

    def layout(self, uses: tuple[str, ...]) -> Any:
        """The layout of bindings `read` and `read_write`, which kernels of the same share."""
        found = self._layouts.get(uses)
        if found is None:
            kinds = {"read": "read-only-storage", "read_write": "storage"}
            stage = self.module.ShaderStage.COMPUTE
            entries = [
                {"binding": at, "visibility": stage, "buffer": {"type": kinds[use]}}
                for at, use in enumerate(uses)
            ]
            with self.guarded("a layout of bindings"):
                found = self._layouts[uses] = self.device.create_bind_group_layout(entries=entries)
        return found

    def kernel(self, name: str, text: str, uses: tuple[str, ...]) -> Any:
        """The pipeline of a text in WGSL, compiled once.

        Args:
            name: What it computes, for messages.
            text: The text, whose entry point is `main`.
            uses: How each binding is used.

        Returns:
            A pipeline of wgpu.
        """
        found = self._kernels.get((text, uses))
        if found is None:
            with self.guarded(f"the kernel of {name}"):
                module = self.device.create_shader_module(label=name, code=text)
                layout = self.device.create_pipeline_layout(bind_group_layouts=[self.layout(uses)])
                found = self.device.create_compute_pipeline(
                    label=name, layout=layout, compute={"module": module, "entry_point": "main"}
                )
            self._kernels[text, uses] = found
        return found

    def group(self, uses: tuple[str, ...], bound: Sequence[tuple[Any, int, int]]) -> Any:
        """A group of bindings: buffers, each with offset and bytes."""
        entries = [
            {"binding": at, "resource": {"buffer": buffer, "offset": offset, "size": size}}
            for at, (buffer, offset, size) in enumerate(bound)
        ]
        with self.guarded("a group of bindings"):
            return self.device.create_bind_group(layout=self.layout(uses), entries=entries)

    def copy(self, copies: Sequence[tuple[Any, Any, int]]) -> None:
        """Copies whole buffers: from, to and bytes of each."""

        def encode(encoder: Any) -> None:
            for source, target, size in copies:
                encoder.copy_buffer_to_buffer(source, 0, target, 0, size)

        if copies:
            self.submit(encode)

    def submit(self, encode: Callable[[Any], None]) -> None:
        """Makes a command buffer by `encode`, and submits it: once, and whole or not at all."""
        with self.lock, self.guarded("a command buffer"):
            encoder = self.device.create_command_encoder()
            encode(encoder)
            commands = encoder.finish()
            # A submission to a lost device would end the process.
            self.check()
            self.device.queue.submit([commands])


def _wanted(adapter: Adapter) -> dict[str, int]:
    """The limits to ask a device for: all that the adapter has, of those that matter here."""
    given = adapter.handle.limits
    names = (
        "max-storage-buffers-per-shader-stage", "max-compute-workgroup-storage-size",
        "max-compute-invocations-per-workgroup", "max-compute-workgroup-size-x",
        "max-compute-workgroup-size-y", "max-compute-workgroup-size-z",
        "max-compute-workgroups-per-dimension", "max-storage-buffer-binding-size",
        "max-buffer-size",
    )  # fmt: skip
    return {name: int(given[name]) for name in names}


def size_text(count: int) -> str:
    """A number of bytes for people."""
    amount = float(count)
    for unit in ("bytes", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"
